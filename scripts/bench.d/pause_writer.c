/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * pause_writer: what a commit looks like to a program that goes on writing.
 *
 *	pause_writer FILE OTHER BYTES COMMITS
 *
 * For each commit all of FILE's BYTES are written anew; then a commit is asked
 * for, and until it is durable single pages are written at random. Prints the
 * longest of these writes, in seconds.
 *
 * It is asked of OTHER (sync.now), with a page of its own: the kernel lets
 * nobody write to a file while one of its attributes is being set.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#define PAGE  4096u
#define PIECE (256u << 10)

static const char *other;
static atomic_bool committing;

static void die(const char *what)
{
	fprintf(stderr, "pause_writer: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

/* For writing only: of a file that can be mapped the daemon has to ask. */
static int open_file(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	if (fd < 0)
		die(path);
	return fd;
}

static void *commit(void *unused)
{
	if (setxattr(other, "user.msyncfs.sync.now", "wait", 4, 0) < 0)
		die("sync.now");
	atomic_store(&committing, 0);
	return unused;
}

static void write_all(int fd, char *piece, size_t bytes)
{
	memset(piece, (int)(now_ns() / 1000), PIECE);
	for (size_t at = 0; at < bytes; at += PIECE) {
		if (pwrite(fd, piece, PIECE, (off_t)at) != PIECE)
			die("write");
	}
}

/* The longest of the writes while one commit is under way. */
static int64_t longest_write(
	int fd, const char *piece, size_t pages, uint64_t *state)
{
	int64_t longest = 0;
	pthread_t thread;

	atomic_store(&committing, 1);
	if (pthread_create(&thread, NULL, commit, NULL) != 0)
		die("thread");
	while (atomic_load(&committing)) {
		int64_t begin, took;

		*state = *state * UINT64_C(6364136223846793005) + 1;
		begin = now_ns();
		if (pwrite(fd, piece, PAGE,
			    (off_t)((*state >> 33) % pages * PAGE)) != PAGE)
			die("write");
		took = now_ns() - begin;
		longest = took > longest ? took : longest;
	}
	pthread_join(thread, NULL);
	return longest;
}

int main(int argc, char **argv)
{
	size_t bytes;
	long commits;
	int64_t longest = 0;
	uint64_t state = 1;
	char *piece = malloc(PIECE);
	int fd, other_fd;

	if (argc != 5 || !piece) {
		fputs("pause_writer FILE OTHER BYTES COMMITS\n", stderr);
		return 2;
	}
	other = argv[2];
	bytes = strtoull(argv[3], NULL, 10) / PIECE * PIECE;
	commits = atol(argv[4]);
	fd = open_file(argv[1]);
	other_fd = open_file(other);
	for (long i = 0; i < commits; i++) {
		int64_t took;

		write_all(fd, piece, bytes);
		write_all(other_fd, piece, PIECE);
		took = longest_write(fd, piece, bytes / PAGE, &state);
		longest = took > longest ? took : longest;
	}
	printf("%.9f\n", (double)longest / 1e9);
	free(piece);
	close(other_fd);
	return close(fd);
}
