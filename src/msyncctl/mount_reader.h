/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads what a mount says of itself in a process of its own: a request to a
 * mount that hangs can't be taken back, and may not even die of SIGKILL
 * (fuse(4): one that the daemon has taken is waited out). So nobody who asks
 * through here ever waits for a mount, and the program can end at any time.
 *
 * The caller owns the reader. One thread.
 */
#ifndef MSYNCFS_MSYNCCTL_MOUNT_READER_H
#define MSYNCFS_MSYNCCTL_MOUNT_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum reading_part {
	reading_stats, /* the root's attributes */
	reading_files,
	reading_status,
	reading_metrics,
	reading_store, /* "type=ext4\n": what the store lies on */
	/* "sync=...\tPATH\n": what holds for each of the open files */
	reading_open,
	READING_PARTS,
};

struct reading {
	int64_t when; /* ns, CLOCK_MONOTONIC */
	/* 0 or -errno for each part; text is then NULL. */
	int error[READING_PARTS];
	char *text[READING_PARTS];
};

void reading_free(struct reading *reading);

#define owned_reading __attribute__((cleanup(reading_free))) struct reading

struct mount_reader {
	pid_t pid;
	int fd; /* readable when there is something to take; -1: not started */
	bool asked;
	int64_t asked_at; /* ns, CLOCK_MONOTONIC */
	char *buffer;
	size_t used, room;
};

int64_t monotonic_now(void);

/* 0 or -errno, and the reader is as mount_reader_stop() leaves it. */
int mount_reader_start(struct mount_reader *reader, const char *mountpoint);

/* Ends it without waiting for anything. */
void mount_reader_stop(struct mount_reader *reader);

/* parts: 1 << reading_part each. Does nothing while a reading is awaited. */
int mount_reader_ask(struct mount_reader *reader, unsigned parts);

/*
 * 1 and a reading, 0 if it is not there yet; -EPIPE when the process is gone,
 * or another -errno. Does not wait.
 */
int mount_reader_take(struct mount_reader *reader, struct reading *reading);

/* The same, but waits for at most timeout ns; -ETIMEDOUT. */
int mount_reader_wait(struct mount_reader *reader, struct reading *reading,
		      int64_t timeout);

/* For people: why a mount gave no answer, and what can be done. */
const char *mount_reader_says(int error);

#endif
