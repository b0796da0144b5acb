// SPDX-License-Identifier: Apache-2.0
/*
 * Work whose traces are known, to see what the machine that pulls the plug is
 * worth, on a file system without msyncfs.
 *
 *	mark_writer DIRECTORY MARK ROUNDS
 *	mark_writer --check DIRECTORY MARKS
 *
 * Every 512 bytes of a file bear the number of the round that wrote them. In
 * round R, from 1:
 *	mark "begin R"
 *	safe.(R mod 8) is written anew in its place, fsync, mark "safe R"
 *	new.R is made, written, fsync of it and the directory, mark "new R"
 *	loose.0 to loose.3, one by one, are written anew and out to the disk,
 *	which has done it, but no flush is asked for (sync_file_range); mark
 *	"loose R"
 *
 * The check is given the marks before the power cut. It fails if a file is
 * older than a mark says, or anything is from a round that had not begun. It
 * prints what became of the last round of each loose file, one line each:
 * there, lost or torn.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util/cleanup.h"

#define SECTOR	   512
#define SAFE_FILES 8
#define SAFE_SIZE  (32 << 10)
#define NEW_SIZE   (12 << 10)
#define LOOSE_FILES 4
#define LOOSE_SIZE (64 << 10)

static int directory;
static int mark_fd;

static void die(const char *what)
{
	fprintf(stderr, "mark_writer: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void mark(const char *what, uint64_t round)
{
	char line[64];
	int length = snprintf(line, sizeof(line), "%s %llu\n", what,
			      (unsigned long long)round);

	if (write(mark_fd, line, (size_t)length) != length)
		die("mark");
}

static void stamp(int fd, size_t size, uint64_t round)
{
	static char data[LOOSE_SIZE];

	for (size_t at = 0; at < size; at += sizeof(round))
		memcpy(data + at, &round, sizeof(round));
	if (pwrite(fd, data, size, 0) != (ssize_t)size)
		die("write");
}

static int open_file(const char *name, uint64_t number, int flags)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "%s.%llu", name,
		 (unsigned long long)number);
	fd = openat(directory, path, flags | O_CLOEXEC, 0644);
	if (fd < 0)
		die(path);
	return fd;
}

static void sync_fd(int fd)
{
	if (fsync(fd))
		die("fsync");
}

static void write_safe(uint64_t round)
{
	owned_fd fd = open_file("safe", round % SAFE_FILES, O_RDWR);

	stamp(fd, SAFE_SIZE, round);
	sync_fd(fd);
	mark("safe", round);
}

static void write_new(uint64_t round)
{
	owned_fd fd = open_file("new", round, O_RDWR | O_CREAT | O_EXCL);

	stamp(fd, NEW_SIZE, round);
	sync_fd(fd);
	sync_fd(directory);
	mark("new", round);
}

static void write_loose(uint64_t number, uint64_t round)
{
	owned_fd fd = open_file("loose", number, O_RDWR);

	stamp(fd, LOOSE_SIZE, round);
	if (sync_file_range(fd, 0, LOOSE_SIZE,
			    SYNC_FILE_RANGE_WAIT_BEFORE |
				    SYNC_FILE_RANGE_WRITE |
				    SYNC_FILE_RANGE_WAIT_AFTER))
		die("sync_file_range");
}

static void make(const char *name, uint64_t number, size_t size)
{
	owned_fd fd = open_file(name, number, O_RDWR | O_CREAT | O_EXCL);

	stamp(fd, size, 0);
	sync_fd(fd);
}

static void work(uint64_t rounds)
{
	for (uint64_t i = 0; i < SAFE_FILES; i++)
		make("safe", i, SAFE_SIZE);
	for (uint64_t i = 0; i < LOOSE_FILES; i++)
		make("loose", i, LOOSE_SIZE);
	sync_fd(directory);
	mark("ready", 0);
	for (uint64_t round = 1; round <= rounds; round++) {
		mark("begin", round);
		write_safe(round);
		write_new(round);
		for (uint64_t i = 0; i < LOOSE_FILES; i++)
			write_loose(i, round);
		mark("loose", round);
	}
}

/* --- the check ----------------------------------------------------------- */

static bool is_ready;
static uint64_t begun, made, loose_round;
static uint64_t safe[SAFE_FILES];

static void read_marks(const char *path)
{
	FILE *file = fopen(path, "re");
	char what[16];
	unsigned long long round;

	if (!file)
		die(path);
	while (fscanf(file, "%15s", what) == 1) {
		if (!strcmp(what, "start") || !strcmp(what, "stop"))
			continue;
		if (fscanf(file, "%llu", &round) != 1)
			die("a mark without a round");
		if (!strcmp(what, "ready"))
			is_ready = true;
		else if (!strcmp(what, "begin"))
			begun = round;
		else if (!strcmp(what, "safe"))
			safe[round % SAFE_FILES] = round;
		else if (!strcmp(what, "new"))
			made = round;
		else if (!strcmp(what, "loose"))
			loose_round = round;
	}
	fclose(file);
}

/* The oldest and the newest round that its sectors bear. */
static void read_rounds(const char *name, uint64_t number, size_t size,
			uint64_t *oldest, uint64_t *newest)
{
	owned_fd fd = open_file(name, number, O_RDONLY);
	static char data[LOOSE_SIZE];

	if (read(fd, data, size) != (ssize_t)size) {
		fprintf(stderr, "mark_writer: %s.%llu is short\n", name,
			(unsigned long long)number);
		exit(1);
	}
	*oldest = UINT64_MAX;
	*newest = 0;
	for (size_t at = 0; at < size; at += sizeof(uint64_t)) {
		uint64_t round;

		memcpy(&round, data + at, sizeof(round));
		*oldest = round < *oldest ? round : *oldest;
		*newest = round > *newest ? round : *newest;
		if (at % SECTOR && memcmp(data + at, data + at - sizeof(round),
					  sizeof(round))) {
			fprintf(stderr, "mark_writer: a sector is torn\n");
			exit(1);
		}
	}
}

static bool is_right(const char *name, uint64_t number, size_t size,
		     uint64_t least)
{
	uint64_t oldest, newest;

	read_rounds(name, number, size, &oldest, &newest);
	if (oldest >= least && newest <= begun)
		return true;
	fprintf(stderr,
		"mark_writer: %s.%llu is of rounds %llu to %llu, expected %llu"
		" to %llu\n",
		name, (unsigned long long)number, (unsigned long long)oldest,
		(unsigned long long)newest, (unsigned long long)least,
		(unsigned long long)begun);
	return false;
}

static void tell_loose(uint64_t number)
{
	uint64_t oldest, newest;

	read_rounds("loose", number, LOOSE_SIZE, &oldest, &newest);
	if (oldest != newest)
		puts("torn");
	else
		puts(newest < loose_round ? "lost" : "there");
}

static int check(void)
{
	bool right = true;

	if (!is_ready)
		return 0;
	for (uint64_t i = 0; i < SAFE_FILES; i++)
		right &= is_right("safe", i, SAFE_SIZE, safe[i]);
	for (uint64_t round = 1; round <= made; round++)
		right &= is_right("new", round, NEW_SIZE, round);
	for (uint64_t i = 0; i < LOOSE_FILES; i++) {
		right &= is_right("loose", i, LOOSE_SIZE, 0);
		tell_loose(i);
	}
	return right ? 0 : 1;
}

int main(int argc, char **argv)
{
	bool checks = argc == 4 && !strcmp(argv[1], "--check");

	if (argc != 4) {
		fputs("usage: mark_writer DIRECTORY MARK ROUNDS\n"
		      "       mark_writer --check DIRECTORY MARKS\n",
		      stderr);
		return 2;
	}
	directory = open(argv[checks ? 2 : 1],
			 O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (directory < 0)
		die("directory");
	if (checks) {
		read_marks(argv[3]);
		return check();
	}
	mark_fd = open(argv[2], O_WRONLY | O_CLOEXEC);
	if (mark_fd < 0)
		die(argv[2]);
	work(strtoull(argv[3], NULL, 10));
	return 0;
}
