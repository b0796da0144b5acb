/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * bench_io: one timed loop of reads or writes on an open file.
 *
 *	bench_io make FILE BYTES
 *	bench_io read|write FILE STORE_FILE BLOCK OPS seq|rand
 *	bench_io coldread FILE STORE_FILE BLOCK OPS seq|rand
 *
 * FILE is the file as the program under test sees it, STORE_FILE the same
 * file in the store directory. Prints the seconds that the OPS operations
 * took; opening, warming and checking are not part of them.
 *
 * read and write work on a file in the page cache: the store file is synced,
 * then one untimed pass over FILE of the same kind brings every page to the
 * state that it has in the middle of a long run.
 *
 * coldread empties FUSE's page cache and keeps the store's, so that each read
 * is a request that needs no disk. mincore(2) is asked about both, and the
 * run fails if either is not as it should be: the figure would be of
 * something else.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum action { ACTION_READ, ACTION_WRITE, ACTION_COLDREAD };

struct run {
	enum action action;
	const char *path;
	const char *store_path;
	size_t block;
	size_t ops;
	bool random;
};

static void die(const char *what)
{
	fprintf(stderr, "bench_io: %s: %s\n", what, strerror(errno));
	exit(1);
}

static size_t number(const char *text)
{
	char *end;
	unsigned long long value;

	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno || end == text || *end || !value || value > SIZE_MAX / 2) {
		fprintf(stderr, "bench_io: '%s' is not a count\n", text);
		exit(2);
	}
	return value;
}

/* xorshift64: the order must be the same in every run, not unpredictable. */
static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/*
 * The order of the blocks: a permutation, walked again from its start when
 * there are more operations than blocks. No block is favoured, and a cold
 * block is cold once.
 */
static uint32_t *block_order(size_t blocks, bool random)
{
	uint32_t *order = malloc(blocks * sizeof(*order));
	uint64_t state = 0x9e3779b97f4a7c15u;

	if (!order)
		die("malloc");
	for (size_t i = 0; i < blocks; i++)
		order[i] = i;
	for (size_t i = blocks; random && i > 1; i--) {
		size_t j = next_random(&state) % i;
		uint32_t other = order[j];

		order[j] = order[i - 1];
		order[i - 1] = other;
	}
	return order;
}

static void one(const struct run *run, int fd, char *buf, off_t offset)
{
	ssize_t done;

	if (run->action == ACTION_WRITE)
		done = pwrite(fd, buf, run->block, offset);
	else
		done = pread(fd, buf, run->block, offset);
	if (done < 0)
		die(run->path);
	if ((size_t)done != run->block) {
		fprintf(stderr, "bench_io: %s: %zd of %zu bytes at %lld\n",
			run->path, done, run->block, (long long)offset);
		exit(1);
	}
}

/* The share of the file's pages that is in the page cache of that file. */
static double resident_share(int fd, const char *path, size_t size)
{
	size_t page = sysconf(_SC_PAGESIZE);
	size_t pages = (size + page - 1) / page;
	size_t resident = 0;
	unsigned char *vec = malloc(pages);
	void *map = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);

	if (!vec || map == MAP_FAILED || mincore(map, size, vec))
		die(path);
	for (size_t i = 0; i < pages; i++)
		resident += vec[i] & 1;
	munmap(map, size);
	free(vec);
	return (double)resident / (double)pages;
}

static void pass(const struct run *run, int fd, char *buf, size_t size)
{
	for (off_t at = 0; (size_t)at + run->block <= size; at += run->block)
		one(run, fd, buf, at);
}

static void make_warm(
	const struct run *run, int fd, int store_fd, char *buf, size_t size)
{
	if (fdatasync(store_fd))
		die(run->store_path);
	pass(run, fd, buf, size);
}

static void make_cold(
	const struct run *run, int fd, int store_fd, char *buf, size_t size)
{
	if (fdatasync(store_fd))
		die(run->store_path);
	pass(run, store_fd, buf, size);
	errno = posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	if (errno)
		die(run->path);
	if (resident_share(store_fd, run->store_path, size) < 0.99) {
		fprintf(stderr,
			"bench_io: %s left the page cache: it doesn't "
			"fit, or memory is short\n",
			run->store_path);
		exit(1);
	}
	if (resident_share(fd, run->path, size) > 0.01) {
		fprintf(stderr,
			"bench_io: %s is still in FUSE's page cache: "
			"not a cold read\n",
			run->path);
		exit(1);
	}
}

static double seconds_since(const struct timespec *start)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - start->tv_sec) +
	       (double)(now.tv_nsec - start->tv_nsec) / 1e9;
}

static void run_loop(const struct run *run)
{
	int flags = run->action == ACTION_WRITE ? O_RDWR : O_RDONLY;
	int fd = open(run->path, flags | O_CLOEXEC);
	int store_fd = open(run->store_path, O_RDONLY | O_CLOEXEC);
	struct timespec start;
	struct stat st;
	uint32_t *order;
	size_t blocks;
	char *buf;

	if (fd < 0)
		die(run->path);
	if (store_fd < 0 || fstat(store_fd, &st))
		die(run->store_path);
	blocks = (size_t)st.st_size / run->block;
	if (!blocks || (run->action == ACTION_COLDREAD && run->ops > blocks)) {
		fprintf(stderr, "bench_io: %s is too small\n", run->store_path);
		exit(1);
	}
	if (posix_memalign((void **)&buf, 4096, run->block))
		die("posix_memalign");
	memset(buf, 'b', run->block);
	order = block_order(blocks, run->random);
	if (run->action == ACTION_COLDREAD)
		make_cold(run, fd, store_fd, buf, st.st_size);
	else
		make_warm(run, fd, store_fd, buf, st.st_size);

	clock_gettime(CLOCK_MONOTONIC, &start);
	for (size_t i = 0; i < run->ops; i++)
		one(run, fd, buf, (off_t)order[i % blocks] * run->block);
	printf("%.9f\n", seconds_since(&start));
	free(order);
	free(buf);
	close(fd);
	close(store_fd);
}

static void make_file(const char *path, size_t size)
{
	static char buf[1 << 20];
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	if (fd < 0)
		die(path);
	memset(buf, 'm', sizeof(buf));
	for (size_t done = 0; done < size;) {
		size_t left = size - done;
		ssize_t n =
			write(fd, buf, left < sizeof(buf) ? left : sizeof(buf));

		if (n < 0)
			die(path);
		done += n;
	}
	if (fsync(fd) || close(fd))
		die(path);
}

int main(int argc, char **argv)
{
	static const char *const names[] = {"read", "write", "coldread"};
	struct run run = {0};

	if (argc == 4 && !strcmp(argv[1], "make")) {
		make_file(argv[2], number(argv[3]));
		return 0;
	}
	if (argc == 7) {
		run.path = argv[2];
		run.store_path = argv[3];
		run.block = number(argv[4]);
		run.ops = number(argv[5]);
		run.random = !strcmp(argv[6], "rand");
		for (int i = 0; i < 3; i++) {
			if (strcmp(argv[1], names[i]))
				continue;
			run.action = i;
			run_loop(&run);
			return 0;
		}
	}
	fprintf(stderr, "usage: bench_io make FILE BYTES\n"
			"       bench_io read|write|coldread FILE STORE_FILE "
			"BLOCK OPS seq|rand\n");
	return 2;
}
