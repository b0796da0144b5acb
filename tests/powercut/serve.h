/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file system of a few files in one directory, as a disk for a loop device
 * and as the buttons on it. serve() is called once by a program; it calls the
 * files' functions from one thread, one at a time, and what was asked first
 * is answered before the next is looked at.
 *
 * The files can't be truncated: opening with O_TRUNC succeeds and does
 * nothing, so that a shell can write to them.
 */
#ifndef MSYNCFS_POWERCUT_SERVE_H
#define MSYNCFS_POWERCUT_SERVE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Functions that are NULL: not permitted, for flush: nothing to do. */
struct serve_file {
	const char *name;
	mode_t mode; /* for anybody: others than the mounter may use it */
	uint64_t (*size)(void);
	/* Offset and size lie within the file. 0 or -errno. */
	int (*read)(char *buffer, size_t size, uint64_t offset);
	/* Whole, or -errno. */
	int (*write)(const char *data, size_t size, uint64_t offset);
	int (*zero)(uint64_t offset, uint64_t size);
	int (*flush)(void);
	/* How many have it open: by 1 more or by 1 less. */
	void (*opened)(int change);
};

/*
 * Mounts, serves until it is unmounted or a signal comes, unmounts. Returns
 * the program's exit status.
 */
int serve(const char *program, const char *mountpoint,
	  const struct serve_file *files, size_t count);

#endif
