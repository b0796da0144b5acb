/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * bench_meta: one operation on names and attributes, many times in one
 * process.
 *
 *	bench_meta make DIRECTORY COUNT [LISTED]
 *	bench_meta OPERATION DIRECTORY COUNT [LISTED]
 *
 * DIRECTORY exists; what an operation needs is made in it first, by the same
 * way that is then measured, and isn't part of the time. Two find what make
 * has made, because they are about names that the mount has not seen yet:
 * stat-cold and list-cold. Prints the seconds that COUNT operations took.
 *
 *	create		a new empty file, opened for writing and closed
 *	write		a new file of 4 KiB, closed
 *	open		an existing file opened for reading, and closed
 *	stat stat-cold	stat(2) of a name that is known, of one that is not
 *	list list-cold	all names of a directory of LISTED files; and a stat(2)
 *			of each where nothing is known of them (ls -l)
 *	chmod utimens setxattr getxattr truncate	by name; truncate makes
 *			an empty file 4 KiB long
 *	rename link symlink readlink mkdir unlink rmdir
 *	fsyncdir	fsync(2) of a directory in which a name is new
 *
 * What is there afterwards is counted: an operation that did nothing would
 * be fast.
 */
#define _GNU_SOURCE
#define PROGRAM "bench_meta"
#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "bench.h"

enum { FILE_BYTES = 4096, VALUE_BYTES = 32 };

/* What an operation finds: COUNT of these. */
enum needs { NOTHING, FILES, DIRECTORIES, LINKS, LISTS };

struct operation {
	const char *name;
	enum needs needs;
	/* Done by make, before. */
	bool made_before;
	/* Names in DIRECTORY afterwards, for each that was needed. */
	int left;
	void (*run)(size_t i);
};

static char block[FILE_BYTES];
static size_t listed;

/* Relative names: the working directory is DIRECTORY. */
static const char *name_of(char kind, size_t i)
{
	static char names[2][32];
	static int next;
	char *name = names[next ^= 1];

	snprintf(name, sizeof(names[0]), "%c%zu", kind, i);
	return name;
}

static void check(int result, const char *what)
{
	if (result < 0)
		die(what);
}

static int make_file(const char *name)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

	check(fd, name);
	return fd;
}

static void run_create(size_t i)
{
	check(close(make_file(name_of('n', i))), "close");
}

static void run_write(size_t i)
{
	int fd = make_file(name_of('n', i));

	if (write(fd, block, FILE_BYTES) != FILE_BYTES)
		die("write");
	check(close(fd), "close");
}

static void run_open(size_t i)
{
	int fd = open(name_of('f', i), O_RDONLY | O_CLOEXEC);

	check(fd, "open");
	check(close(fd), "close");
}

static void run_stat(size_t i)
{
	struct stat status;

	check(stat(name_of('f', i), &status), "stat");
}

static void run_chmod(size_t i)
{
	check(chmod(name_of('f', i), 0600), "chmod");
}

static void run_utimens(size_t i)
{
	const struct timespec times[2] = { { .tv_sec = 1000000 + (time_t)i },
		{ .tv_sec = 1000000 } };

	check(utimensat(AT_FDCWD, name_of('f', i), times, 0), "utimensat");
}

static void run_setxattr(size_t i)
{
	check(setxattr(name_of('f', i), "user.bench", block, VALUE_BYTES, 0),
		"setxattr");
}

static void run_getxattr(size_t i)
{
	char value[VALUE_BYTES];

	if (getxattr(name_of('f', i), "user.bench", value, sizeof(value)) !=
		VALUE_BYTES)
		die("getxattr");
}

static void run_truncate(size_t i)
{
	check(truncate(name_of('f', i), FILE_BYTES), "truncate");
}

static void run_rename(size_t i)
{
	check(rename(name_of('f', i), name_of('n', i)), "rename");
}

static void run_link(size_t i)
{
	check(link(name_of('f', i), name_of('n', i)), "link");
}

static void run_symlink(size_t i)
{
	check(symlink("target", name_of('n', i)), "symlink");
}

static void run_readlink(size_t i)
{
	char target[16];

	if (readlink(name_of('f', i), target, sizeof(target)) != 6)
		die("readlink");
}

static void run_mkdir(size_t i)
{
	check(mkdir(name_of('n', i), 0755), "mkdir");
}

static void run_unlink(size_t i)
{
	check(unlink(name_of('f', i)), "unlink");
}

static void run_rmdir(size_t i)
{
	check(rmdir(name_of('f', i)), "rmdir");
}

/* The names in a directory; with a stat of each if `stats`. */
static size_t list(const char *path, bool stats)
{
	DIR *directory = opendir(path);
	const struct dirent *entry;
	struct stat status;
	size_t names = 0;

	if (!directory)
		die(path);
	while ((entry = readdir(directory)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		names++;
		if (stats)
			check(fstatat(dirfd(directory), entry->d_name, &status,
				      AT_SYMLINK_NOFOLLOW),
				entry->d_name);
	}
	closedir(directory);
	return names;
}

static void check_names(const char *path, size_t found, size_t expected)
{
	if (found == expected)
		return;
	fprintf(stderr, PROGRAM ": %s has %zu names, not %zu\n", path, found,
		expected);
	exit(1);
}

static void run_list(size_t i)
{
	(void)i;
	check_names("f0", list("f0", false), listed);
}

static void run_list_cold(size_t i)
{
	const char *path = name_of('f', i);

	check_names(path, list(path, true), listed);
}

static const struct operation operations[] = {
	{ "create", NOTHING, false, 1, run_create },
	{ "write", NOTHING, false, 1, run_write },
	{ "open", FILES, false, 1, run_open },
	{ "stat", FILES, false, 1, run_stat },
	{ "stat-cold", FILES, true, 1, run_stat },
	{ "list", LISTS, false, 1, run_list },
	{ "list-cold", LISTS, true, 1, run_list_cold },
	{ "chmod", FILES, false, 1, run_chmod },
	{ "utimens", FILES, false, 1, run_utimens },
	{ "setxattr", FILES, false, 1, run_setxattr },
	{ "getxattr", FILES, false, 1, run_getxattr },
	{ "truncate", FILES, false, 1, run_truncate },
	{ "rename", FILES, false, 1, run_rename },
	{ "link", FILES, false, 2, run_link },
	{ "symlink", NOTHING, false, 1, run_symlink },
	{ "readlink", LINKS, false, 1, run_readlink },
	{ "mkdir", NOTHING, false, 1, run_mkdir },
	{ "unlink", FILES, false, 0, run_unlink },
	{ "rmdir", DIRECTORIES, false, 0, run_rmdir },
	{ "fsyncdir", NOTHING, false, 1, NULL },
};

static void make_list(size_t i)
{
	char path[64];

	check(mkdir(name_of('f', i), 0755), "mkdir");
	for (size_t n = 0; n < listed; n++) {
		snprintf(path, sizeof(path), "f%zu/name%zu", i, n);
		check(close(make_file(path)), path);
	}
}

static void prepare(enum needs needs, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const char *name = name_of('f', i);

		switch (needs) {
		case NOTHING:
			return;
		case FILES:
			check(close(make_file(name)), name);
			break;
		case DIRECTORIES:
			check(mkdir(name, 0755), name);
			break;
		case LINKS:
			check(symlink("target", name), name);
			break;
		case LISTS:
			make_list(i);
			break;
		}
	}
}

static double timed(const struct operation *operation, size_t count)
{
	double start;

	/* Looked at once, so that they are known and fresh. */
	for (size_t i = 0; operation->run == run_stat && i < count; i++) {
		if (!operation->made_before)
			run_stat(i);
	}
	for (size_t i = 0; operation->run == run_getxattr && i < count; i++)
		run_setxattr(i);
	start = now();
	for (size_t i = 0; i < count; i++)
		operation->run(i);
	return now() - start;
}

/* The name is made outside of the time. */
static double timed_fsyncdir(size_t count)
{
	int fd = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	double took = 0;

	check(fd, ".");
	for (size_t i = 0; i < count; i++) {
		double start;

		run_create(i);
		start = now();
		check(fsync(fd), "fsync");
		took += now() - start;
	}
	close(fd);
	return took;
}

static void measure(const struct operation *operation, size_t count)
{
	/* One directory is listed again and again. */
	size_t needed = operation->run == run_list ? 1 : count;
	double took;

	if (!operation->made_before)
		prepare(operation->needs, needed);
	took = operation->run ? timed(operation, count)
			      : timed_fsyncdir(count);
	check_names("the directory", list(".", false),
		needed * (size_t)operation->left);
	printf("%.9f\n", took);
}

int main(int argc, char **argv)
{
	size_t count;

	if (argc < 4 || argc > 5) {
		fprintf(stderr, "usage: " PROGRAM " make|OPERATION DIRECTORY "
				"COUNT [LISTED]\n");
		return 2;
	}
	count = number(argv[3], 1);
	listed = argc > 4 ? number(argv[4], 1) : 0;
	memset(block, 'b', sizeof(block));
	check(chdir(argv[2]), argv[2]);
	if (strcmp(argv[1], "make") == 0) {
		prepare(listed ? LISTS : FILES, count);
		return 0;
	}
	for (size_t i = 0; i < sizeof(operations) / sizeof(*operations); i++) {
		if (strcmp(argv[1], operations[i].name) == 0) {
			measure(&operations[i], count);
			return 0;
		}
	}
	fprintf(stderr, PROGRAM ": no operation '%s'\n", argv[1]);
	return 2;
}
