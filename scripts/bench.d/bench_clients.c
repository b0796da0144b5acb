/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * bench_clients: processes that work at the same time, each on its own file.
 *
 *	bench_clients make DIRECTORY CLIENTS PAGES
 *	bench_clients read|write|fsync|stat DIRECTORY STORE CLIENTS
 *		MILLISECONDS cold|kept
 *
 * make: files c0, c1 ... of so many pages. The others print how many
 * operations a second all clients together have done:
 *
 *	read	each page of the file once, in random order. With cold
 *		FUSE's page cache is emptied first, so that each is a
 *		request; the store's cache (STORE is that directory) is full
 *	write	pages at random, all of which are dirty before
 *	fsync	a page at random is written, and the file synced
 *	stat	the file's attributes, asked of the file system and not of
 *		what the kernel knows (AT_STATX_FORCE_SYNC)
 *
 * The last three go on for so many milliseconds. Everybody begins when all
 * are ready.
 */
#define _GNU_SOURCE
#define PROGRAM "bench_clients"
#include <fcntl.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

enum { PAGE = 4096, PATH_BYTES = 4096, CLOCK_EVERY = 16 };

enum action { ACTION_READ, ACTION_WRITE, ACTION_FSYNC, ACTION_STAT };

struct work {
	enum action action;
	const char *directory;
	const char *store;
	double seconds;
	bool cold;
};

/* What a client reports; times of the same clock for all. */
struct result {
	size_t ops;
	double start;
	double end;
};

struct client {
	int fd;
	size_t pages;
	uint32_t *order;
	char *page;
};

static int open_file(const char *directory, size_t i, int flags)
{
	char path[PATH_BYTES];
	int fd;

	snprintf(path, sizeof(path), "%s/c%zu", directory, i);
	fd = open(path, flags | O_CLOEXEC, 0644);
	if (fd < 0)
		die(path);
	errno = posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
	if (errno)
		die(path);
	return fd;
}

static char *new_page(void)
{
	char *page;

	if (posix_memalign((void **)&page, PAGE, PAGE) != 0)
		die("memory");
	memset(page, 'c', PAGE);
	return page;
}

static void read_page(int fd, char *page, off_t at)
{
	if (pread(fd, page, PAGE, at * PAGE) != PAGE)
		die("read");
}

static void write_page(int fd, const char *page, off_t at)
{
	if (pwrite(fd, page, PAGE, at * PAGE) != PAGE)
		die("write");
}

static void make(const char *directory, size_t clients, size_t pages)
{
	char *page = new_page();

	for (size_t i = 0; i < clients; i++) {
		int fd = open_file(directory, i, O_RDWR | O_CREAT | O_EXCL);

		for (size_t p = 0; p < pages; p++)
			write_page(fd, page, (off_t)p);
		if (fsync(fd) < 0 || close(fd) < 0)
			die("fsync");
	}
	free(page);
}

/* The page caches as the work is to find them. */
static void prepare(const struct work *work, size_t i,
	const struct client *client)
{
	int store_fd = open_file(work->store, i, O_RDONLY);

	for (size_t p = 0; p < client->pages; p++) {
		read_page(store_fd, client->page, (off_t)p);
		if (work->action == ACTION_WRITE)
			write_page(client->fd, client->page, (off_t)p);
	}
	close(store_fd);
	if (work->action != ACTION_READ || !work->cold)
		return;
	errno = posix_fadvise(client->fd, 0, 0, POSIX_FADV_DONTNEED);
	if (errno)
		die("fadvise");
}

static void one(const struct work *work, const struct client *client,
	size_t i)
{
	off_t at = client->order[i % client->pages];
	struct statx status;

	switch (work->action) {
	case ACTION_READ:
		read_page(client->fd, client->page, at);
		break;
	case ACTION_FSYNC:
		write_page(client->fd, client->page, at);
		if (fsync(client->fd) < 0)
			die("fsync");
		break;
	case ACTION_WRITE:
		write_page(client->fd, client->page, at);
		break;
	case ACTION_STAT:
		if (statx(client->fd, "", AT_EMPTY_PATH | AT_STATX_FORCE_SYNC,
			    STATX_BASIC_STATS, &status) < 0)
			die("statx");
		break;
	}
}

static struct result work_on(const struct work *work,
	const struct client *client)
{
	struct result result = { .start = now() };
	bool slow = work->action == ACTION_FSYNC;

	if (work->action == ACTION_READ) {
		for (; result.ops < client->pages; result.ops++)
			one(work, client, result.ops);
	}
	do {
		if (work->action == ACTION_READ)
			break;
		one(work, client, result.ops++);
	} while ((!slow && result.ops % CLOCK_EVERY != 0) ||
		 now() - result.start < work->seconds);
	result.end = now();
	return result;
}

/* A client's whole life: ready, then go, then the result. */
static void be_client(const struct work *work, size_t i, int ready, int go,
	int results)
{
	struct client client = { .page = new_page() };
	struct result result;
	struct stat status;
	char byte = 'r';

	client.fd = open_file(work->directory, i,
		work->action == ACTION_READ ? O_RDONLY : O_RDWR);
	if (fstat(client.fd, &status) < 0)
		die("fstat");
	client.pages = (size_t)status.st_size / PAGE;
	client.order = permutation(client.pages, i);
	prepare(work, i, &client);
	if (write(ready, &byte, 1) != 1 || read(go, &byte, 1) != 0)
		die("pipe");
	result = work_on(work, &client);
	if (write(results, &result, sizeof(result)) != sizeof(result))
		die("pipe");
	exit(0);
}

static double rate(int results, size_t clients)
{
	struct result all = { 0 };

	for (size_t i = 0; i < clients; i++) {
		struct result one;

		if (read(results, &one, sizeof(one)) != sizeof(one)) {
			fprintf(stderr, PROGRAM ": a client has failed\n");
			exit(1);
		}
		if (i == 0 || one.start < all.start)
			all.start = one.start;
		if (i == 0 || one.end > all.end)
			all.end = one.end;
		all.ops += one.ops;
	}
	return (double)all.ops / (all.end - all.start);
}

static double run(const struct work *work, size_t clients)
{
	int ready[2], go[2], results[2];
	double speed;
	char byte;

	if (pipe(ready) < 0 || pipe(go) < 0 || pipe(results) < 0)
		die("pipe");
	for (size_t i = 0; i < clients; i++) {
		pid_t pid = fork();

		if (pid < 0)
			die("fork");
		if (pid == 0) {
			close(go[1]);
			be_client(work, i, ready[1], go[0], results[1]);
		}
	}
	close(ready[1]);
	close(results[1]);
	for (size_t i = 0; i < clients; i++) {
		if (read(ready[0], &byte, 1) != 1) {
			fprintf(stderr, PROGRAM ": a client is not ready\n");
			exit(1);
		}
	}
	close(go[1]);
	speed = rate(results[0], clients);
	while (wait(NULL) > 0)
		continue;
	return speed;
}

int main(int argc, char **argv)
{
	static const char *const names[] = { "read", "write", "fsync",
		"stat" };
	struct work work = { 0 };

	if (argc == 5 && strcmp(argv[1], "make") == 0) {
		make(argv[2], number(argv[3], 1), number(argv[4], 1));
		return 0;
	}
	for (int i = 0; argc == 7 && i < 4; i++) {
		if (strcmp(argv[1], names[i]) != 0)
			continue;
		work.action = i;
		work.directory = argv[2];
		work.store = argv[3];
		work.seconds = (double)number(argv[5], 1) / 1000;
		work.cold = strcmp(argv[6], "cold") == 0;
		printf("%.3f\n", run(&work, number(argv[4], 1)));
		return 0;
	}
	fprintf(stderr, PROGRAM ": the top of its source says how it is "
				"called\n");
	return 2;
}
