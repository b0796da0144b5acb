// SPDX-License-Identifier: Apache-2.0
/*
 * Two processes share one file through mappings of their own, on descriptors
 * of their own. They take turns: the word at the start of the file says whose
 * turn it is, and the one whose turn it is checks what the other has written
 * (through the mapping or by pwrite, by turns) and writes the next record.
 *
 *	shared_mmap FILE ROUNDS
 *
 * Ends with 0 when every record was seen by the other process and read(2)
 * finds all of them in the file.
 */
#include <fcntl.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define RECORD 1000

struct view {
	int fd;
	uint32_t rounds;
	size_t length;
	_Atomic uint32_t *turn;
	unsigned char *records;
};

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static size_t file_length(uint32_t rounds)
{
	return 4096 + (size_t)rounds * RECORD;
}

static void view_init(struct view *view, const char *path, uint32_t rounds)
{
	void *map;

	view->rounds = rounds;
	view->length = file_length(rounds);
	view->fd = open(path, O_RDWR | O_CLOEXEC);
	if (view->fd < 0)
		fail("open");
	map = mmap(NULL, view->length, PROT_READ | PROT_WRITE, MAP_SHARED,
		   view->fd, 0);
	if (map == MAP_FAILED)
		fail("mmap");
	view->turn = map;
	view->records = (unsigned char *)map + 4096;
}

static int value_of(uint32_t round)
{
	return (int)(round * 7 % 251) + 1;
}

static bool record_is(const unsigned char *record, int value)
{
	for (size_t i = 0; i < RECORD; i++) {
		if (record[i] != value)
			return false;
	}
	return true;
}

static void record_write(struct view *view, uint32_t round)
{
	unsigned char bytes[RECORD];
	off_t offset = (off_t)round * RECORD;

	memset(bytes, value_of(round), sizeof(bytes));
	if (round / 2 % 2 == 0)
		memcpy(view->records + offset, bytes, sizeof(bytes));
	else if (pwrite(view->fd, bytes, sizeof(bytes), offset + 4096) !=
		 (ssize_t)sizeof(bytes))
		fail("pwrite");
}

static int take_turns(struct view *view, uint32_t mine)
{
	for (uint32_t round = mine; round < view->rounds; round += 2) {
		while (atomic_load(view->turn) != round)
			sched_yield();
		if (round > 0 &&
		    !record_is(view->records + (size_t)(round - 1) * RECORD,
			       value_of(round - 1))) {
			fprintf(stderr, "round %u did not arrive\n", round - 1);
			return 1;
		}
		record_write(view, round);
		atomic_store(view->turn, round + 1);
	}
	return msync(view->turn, view->length, MS_SYNC) < 0;
}

static int check_by_read(const char *path, uint32_t rounds)
{
	unsigned char bytes[RECORD];
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		fail("open");
	for (uint32_t round = 0; round < rounds; round++) {
		if (pread(fd, bytes, sizeof(bytes),
			  4096 + (off_t)round * RECORD) != RECORD ||
		    !record_is(bytes, value_of(round))) {
			fprintf(stderr, "read finds no round %u\n", round);
			return 1;
		}
	}
	close(fd);
	return 0;
}

int main(int argc, char **argv)
{
	struct view view;
	uint32_t rounds;
	pid_t child;
	int status;
	int result;
	int fd;

	if (argc != 3) {
		fprintf(stderr, "usage: shared_mmap FILE ROUNDS\n");
		return 2;
	}
	rounds = (uint32_t)strtoul(argv[2], NULL, 10);
	fd = open(argv[1], O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0 || ftruncate(fd, (off_t)file_length(rounds)) < 0)
		fail(argv[1]);
	close(fd);
	child = fork();
	if (child < 0)
		fail("fork");
	/* A partner that gave up must not leave the other waiting. */
	alarm(60);
	view_init(&view, argv[1], rounds);
	result = take_turns(&view, child == 0);
	if (child == 0)
		_exit(result);
	if (waitpid(child, &status, 0) < 0 || status != 0)
		result = 1;
	return result | check_by_read(argv[1], rounds);
}
