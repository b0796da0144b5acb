/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the workloads of the power-cut tests share: numbers that follow from a
 * seed, and the ways to claim that something is durable.
 *
 * Environment:
 *	WORK_ROOT	the mount's root, asked to commit
 *	WORK_MARKS	file that claims are appended to, one line each, as
 *			"durable NAME NUMBER"; unset or empty: nobody asks for
 *			anything to be durable, and nothing is claimed
 *	WORK_FSYNC	"honoured": an fsync(2) makes all that was written
 *			before durable, so it is claimed after that as well
 *	WORK_STOP	the work ends when there is a file by this name
 */
#ifndef WORK_H
#define WORK_H

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

/* splitmix64: any input, also small ones, gives numbers that look random. */
static inline uint64_t work_mix(uint64_t x)
{
	x += UINT64_C(0x9e3779b97f4a7c15);
	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return x ^ (x >> 31);
}

static inline bool work_is_over(void)
{
	const char *stop = getenv("WORK_STOP");

	return stop && access(stop, F_OK) == 0;
}

static inline void work_pause_us(uint64_t us)
{
	struct timespec pause = { .tv_sec = (time_t)(us / 1000000),
				  .tv_nsec = (long)(us % 1000000) * 1000 };

	nanosleep(&pause, NULL);
}

/*
 * Claims the line: what it says is durable already. 0, also when nobody asks
 * for claims; -1 with errno.
 */
static inline int work_claim(const char *line)
{
	const char *marks = getenv("WORK_MARKS");
	char text[256];
	ssize_t written;
	int length;
	int fd;

	if (!marks || !*marks)
		return 0;
	length = snprintf(text, sizeof(text), "durable %s\n", line);
	fd = open(marks, O_WRONLY | O_APPEND | O_CLOEXEC);
	if (fd < 0)
		return -1;
	written = write(fd, text, (size_t)length);
	close(fd);
	return written == length ? 0 : -1;
}

/* The same, after all that was written before has been made durable. */
static inline int work_durable(const char *line)
{
	const char *root = getenv("WORK_ROOT");
	const char *marks = getenv("WORK_MARKS");

	if (!marks || !*marks)
		return 0;
	if (!root || setxattr(root, "user.msyncfs.sync.now", "wait", 4, 0))
		return -1;
	return work_claim(line);
}

/* Is what an fsync(2) has returned for durable, without more? */
static inline bool work_fsync_is_honoured(void)
{
	const char *fsync_is = getenv("WORK_FSYNC");

	return fsync_is && strcmp(fsync_is, "honoured") == 0;
}

#endif
