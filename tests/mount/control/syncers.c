// SPDX-License-Identifier: Apache-2.0
/*
 * Programs that write and fsync at the same time, each a file of its own.
 *
 *	syncers DIRECTORY STORE THREADS ROUNDS
 *
 * In every round all threads write a page and then call fdatasync together.
 * After it returns, the file of that name in STORE must have no page left to
 * write. Prints how many fsyncs there were, all of them good.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_cachestat
#define SYS_cachestat 451
#endif

static const char *directory;
static const char *store;
static long rounds;
static pthread_barrier_t together;

static void fail(const char *what, const char *path)
{
	fprintf(stderr, "syncers: %s %s: %s\n", what, path, strerror(errno));
	exit(1);
}

static int open_in(const char *where, long index, int flags)
{
	char path[4096];
	int fd;

	snprintf(path, sizeof(path), "%s/synced.%ld", where, index);
	fd = open(path, flags | O_CLOEXEC, 0644);
	if (fd < 0)
		fail("open", path);
	return fd;
}

static void check_written(int fd)
{
	struct {
		uint64_t offset;
		uint64_t length;
	} range = { 0, 0 };
	struct {
		uint64_t resident, dirty, writeback, evicted, recently;
	} counts;

	if (syscall(SYS_cachestat, fd, &range, &counts, 0) < 0)
		fail("cachestat", store);
	if (counts.dirty + counts.writeback > 0) {
		errno = EBUSY;
		fail("pages are unwritten after fdatasync in", store);
	}
}

static void *work(void *argument)
{
	long index = (long)(intptr_t)argument;
	int fd = open_in(directory, index, O_RDWR | O_CREAT);
	int store_fd = open_in(store, index, O_RDONLY);
	char page[4096];

	for (long i = 0; i < rounds; i++) {
		memset(page, 'a' + (int)(i % 26), sizeof(page));
		if (pwrite(fd, page, sizeof(page), i * 4096) != 4096)
			fail("write", directory);
		pthread_barrier_wait(&together);
		if (fdatasync(fd) < 0)
			fail("fdatasync", directory);
		check_written(store_fd);
	}
	close(store_fd);
	close(fd);
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t thread[64];
	long threads;

	if (argc != 5 || (threads = atol(argv[3])) < 1 || threads > 64) {
		fputs("syncers DIRECTORY STORE THREADS ROUNDS\n", stderr);
		return 2;
	}
	directory = argv[1];
	store = argv[2];
	rounds = atol(argv[4]);
	pthread_barrier_init(&together, NULL, (unsigned)threads);
	for (long i = 0; i < threads; i++) {
		if (pthread_create(&thread[i], NULL, work, (void *)i) != 0)
			fail("thread", directory);
	}
	for (long i = 0; i < threads; i++)
		pthread_join(thread[i], NULL);
	printf("%ld\n", threads * rounds);
	return 0;
}
