/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * bench_names: directories with many names, and many dirty files.
 *
 *	bench_names make TOP DIRECTORIES FILES
 *	bench_names create|lookup|unlink TOP DIRECTORIES FILES EACH ROUND
 *	bench_names touch TOP FILES
 *	bench_names sync DIRECTORY xattr|syncfs
 *	bench_names cpu PID
 *
 * make: TOP with so many directories d0, d1 ... of so many empty files f0,
 * f1 ... each. The next three do an operation EACH times in every one of the
 * directories and print the seconds that all of it took: a new name is made
 * (and the file closed), names are looked up that no other ROUND has looked
 * up, in random order, or the names are removed that this ROUND has made. The
 * directories are found before, so that only the last name counts.
 *
 * touch writes the first page of so many files in TOP/d0. sync makes all of a
 * file system durable, by msyncfs's attribute of DIRECTORY or by syncfs(2),
 * and prints the seconds. cpu prints the seconds of processor time that a
 * process has used, those of its ended threads included.
 */
#define _GNU_SOURCE
#define PROGRAM "bench_names"
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "bench.h"

enum { PAGE = 4096, NAME_BYTES = 64 };

enum action { ACTION_CREATE, ACTION_LOOKUP, ACTION_UNLINK };

struct work {
	enum action action;
	size_t files;
	size_t each;
	size_t round;
};

static void make(const char *top, size_t directories, size_t files)
{
	char path[NAME_BYTES];

	if (mkdir(top, 0755) < 0 || chdir(top) < 0)
		die(top);
	for (size_t d = 0; d < directories; d++) {
		snprintf(path, sizeof(path), "d%zu", d);
		if (mkdir(path, 0755) < 0)
			die(path);
		for (size_t f = 0; f < files; f++) {
			int fd;

			snprintf(path, sizeof(path), "d%zu/f%zu", d, f);
			fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0644);
			if (fd < 0 || close(fd) < 0)
				die(path);
		}
	}
}

/* One descriptor for each directory. */
static int *open_directories(const char *top, size_t directories)
{
	struct rlimit limit;
	int *fds = malloc(directories * sizeof(*fds));
	char path[NAME_BYTES];

	if (!fds || getrlimit(RLIMIT_NOFILE, &limit) < 0)
		die("limits");
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0 || chdir(top) < 0)
		die(top);
	for (size_t d = 0; d < directories; d++) {
		snprintf(path, sizeof(path), "d%zu", d);
		fds[d] = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (fds[d] < 0)
			die(path);
	}
	return fds;
}

static void create(int directory, const char *name)
{
	int fd = openat(directory, name,
		O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

	if (fd < 0 || close(fd) < 0)
		die(name);
}

static void work_in(const struct work *work, int directory,
	const uint32_t *order)
{
	char name[NAME_BYTES];
	struct stat status;

	for (size_t i = 0; i < work->each; i++) {
		size_t at = (work->round * work->each + i) % work->files;

		if (work->action == ACTION_LOOKUP)
			snprintf(name, sizeof(name), "f%u", order[at]);
		else
			snprintf(name, sizeof(name), "n%zu.%zu", work->round,
				i);
		if (work->action == ACTION_CREATE)
			create(directory, name);
		else if (work->action == ACTION_LOOKUP &&
			 fstatat(directory, name, &status, 0) < 0)
			die(name);
		else if (work->action == ACTION_UNLINK &&
			 unlinkat(directory, name, 0) < 0)
			die(name);
	}
}

static double run(const struct work *work, const char *top,
	size_t directories)
{
	int *fds = open_directories(top, directories);
	uint32_t *order = permutation(work->files, 0);
	double start = now(), took;

	for (size_t d = 0; d < directories; d++)
		work_in(work, fds[d], order);
	took = now() - start;
	free(order);
	free(fds);
	return took;
}

static void touch(const char *top, size_t files)
{
	static char page[PAGE];
	char path[NAME_BYTES];

	memset(page, (int)(now() * 1000), sizeof(page));
	if (chdir(top) < 0)
		die(top);
	for (size_t f = 0; f < files; f++) {
		int fd;

		snprintf(path, sizeof(path), "d0/f%zu", f);
		fd = open(path, O_WRONLY | O_CLOEXEC);
		if (fd < 0 || pwrite(fd, page, PAGE, 0) != PAGE ||
			close(fd) < 0)
			die(path);
	}
}

static double sync_all(const char *directory, const char *how)
{
	int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	double start = now();
	int r;

	if (fd < 0)
		die(directory);
	if (strcmp(how, "xattr") == 0)
		r = fsetxattr(fd, "user.msyncfs.sync.now", "wait", 4, 0);
	else
		r = syncfs(fd);
	if (r < 0)
		die(directory);
	return now() - start;
}

static double processor_time(pid_t pid)
{
	struct timespec used;
	clockid_t clock;

	errno = clock_getcpuclockid(pid, &clock);
	if (errno || clock_gettime(clock, &used) < 0)
		die("the process");
	return (double)used.tv_sec + (double)used.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	static const char *const names[] = { "create", "lookup", "unlink" };
	const char *verb = argc > 1 ? argv[1] : "";

	if (argc == 5 && strcmp(verb, "make") == 0) {
		make(argv[2], number(argv[3], 1), number(argv[4], 1));
		return 0;
	}
	if (argc == 4 && strcmp(verb, "touch") == 0) {
		touch(argv[2], number(argv[3], 1));
		return 0;
	}
	if (argc == 4 && strcmp(verb, "sync") == 0) {
		printf("%.9f\n", sync_all(argv[2], argv[3]));
		return 0;
	}
	if (argc == 3 && strcmp(verb, "cpu") == 0) {
		printf("%.9f\n",
			processor_time((pid_t)number(argv[2], 1)));
		return 0;
	}
	for (int i = 0; argc == 7 && i < 3; i++) {
		struct work work = { .action = i };

		if (strcmp(verb, names[i]) != 0)
			continue;
		work.files = number(argv[4], 1);
		work.each = number(argv[5], 1);
		work.round = number(argv[6], 0);
		printf("%.9f\n", run(&work, argv[2], number(argv[3], 1)));
		return 0;
	}
	fprintf(stderr, PROGRAM ": the top of its source says how it is "
				"called\n");
	return 2;
}
