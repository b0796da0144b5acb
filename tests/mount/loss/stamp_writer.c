// SPDX-License-Identifier: Apache-2.0
/*
 * Stamps the time into many files, constantly, until it gets SIGTERM.
 *
 *	stamp_writer DIRECTORY LOG WRITES_PER_SECOND
 *
 * Three files in four are busy, each written some dozens of times a second;
 * the others wait for seconds between two writes. In both kinds there are
 * files that grow (with O_APPEND, and by writes at their end) and files that
 * are overwritten at random places, and some are opened and closed for each
 * write. Nothing is ever synced here. Prints "ready" once all files exist.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "stamp.h"

#define BUSY_FILES (STAMP_FILES / 4 * 3)
#define PLACES 1024u

struct target {
	int fd; /* -1: opened for each write */
	uint32_t slots; /* of a growing file: how many there are */
};

static volatile sig_atomic_t ended;
static struct target targets[STAMP_FILES];
static struct stamp_log *log_map;
static const char *directory;

static void end(int number)
{
	(void)number;
	ended = 1;
}

static void die(const char *what)
{
	fprintf(stderr, "stamp_writer: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static bool grows(uint32_t file)
{
	return file % 2 == 0;
}

static bool has_o_append(uint32_t file)
{
	return file % 4 == 0;
}

static bool is_opened_each_time(uint32_t file)
{
	return file % 8 >= 6;
}

static int open_target(uint32_t file)
{
	char path[4096];
	int fd;

	snprintf(path, sizeof(path), "%s/%02u", directory, file);
	fd = open(path,
		  O_WRONLY | O_CREAT | O_CLOEXEC |
			  (has_o_append(file) ? O_APPEND : 0),
		  0644);
	if (fd < 0)
		die(path);
	return fd;
}

static void write_record(uint32_t file)
{
	struct target *target = &targets[file];
	uint64_t index = atomic_load(&log_map->count);
	struct stamp_entry *entry = &log_map->entry[index];
	struct stamp_record record = { .number = index + 1, .file = file };
	int fd = target->fd;

	if (index >= STAMP_LOG_MAX) {
		errno = ENOSPC;
		die("log");
	}
	record.slot = grows(file) ? target->slots++ :
				    (uint32_t)random() % PLACES;
	if (fd < 0)
		fd = open_target(file);
	record.stamp = now_ns();
	record.check = stamp_sum(&record);
	entry->stamp = record.stamp;
	entry->file = file;
	entry->slot = record.slot;
	if (pwrite(fd, &record, sizeof(record),
		   (off_t)record.slot * (off_t)sizeof(record)) !=
	    sizeof(record))
		die("write");
	entry->done = now_ns();
	atomic_store(&log_map->count, index + 1);
	if (target->fd < 0 && close(fd))
		die("close");
}

static uint32_t next_file(void)
{
	uint32_t any = (uint32_t)random();

	if (any % 1000 < 2)
		return BUSY_FILES + any / 1000 % (STAMP_FILES - BUSY_FILES);
	return any / 1000 % BUSY_FILES;
}

static void map_log(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0 || ftruncate(fd, sizeof(*log_map)))
		die(path);
	log_map = mmap(NULL, sizeof(*log_map), PROT_READ | PROT_WRITE,
		       MAP_SHARED, fd, 0);
	if (log_map == MAP_FAILED)
		die(path);
	close(fd);
}

/* Steadily: what was missed by sleeping too long is made good. */
static void write_at_rate(int64_t rate)
{
	int64_t start = now_ns();

	for (int64_t count = 0; !ended; count++) {
		int64_t due = start + count * 1000000000 / rate;
		int64_t left = due - now_ns();

		if (left > 500000) {
			struct timespec pause = { .tv_nsec = 1000000 };

			nanosleep(&pause, NULL);
		}
		write_record(next_file());
	}
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = end };
	int64_t rate = argc == 4 ? atoll(argv[3]) : 0;

	if (rate <= 0) {
		fprintf(stderr, "usage: stamp_writer DIRECTORY LOG "
				"WRITES_PER_SECOND\n");
		return 2;
	}
	directory = argv[1];
	sigaction(SIGTERM, &action, NULL);
	srandom(1);
	map_log(argv[2]);
	for (uint32_t i = 0; i < STAMP_FILES; i++) {
		targets[i].fd = open_target(i);
		if (is_opened_each_time(i)) {
			close(targets[i].fd);
			targets[i].fd = -1;
		}
	}
	puts("ready");
	fflush(stdout);
	write_at_rate(rate);
	return 0;
}
