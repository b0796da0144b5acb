/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is mounted where, as this process sees it: mountinfo of
 * proc_pid_mountinfo(5). The caller owns the reader and what is in it. One
 * thread per reader.
 */
#ifndef MSYNCFS_UTIL_MOUNTINFO_H
#define MSYNCFS_UTIL_MOUNTINFO_H

#include <stdint.h>
#include <stdio.h>

struct mountinfo_entry {
	uint64_t id;
	unsigned major, minor; /* of the filesystem */
	const char *root; /* the directory of the filesystem that is shown */
	const char *mountpoint;
	const char *type; /* with its subtype: fuse.msyncfs */
	const char *source;
};

struct mountinfo {
	FILE *file;
	char *line; /* what the entry points into */
	size_t size;
	struct mountinfo_entry entry;
};

/* 0 or -errno. */
int mountinfo_open(struct mountinfo *info, const char *path);

/*
 * The next entry, escapes undone, valid until the next call; NULL at the end.
 * Lines that are not understood are passed over.
 */
const struct mountinfo_entry *mountinfo_next(struct mountinfo *info);
void mountinfo_close(struct mountinfo *info);

#define owned_mountinfo \
	__attribute__((cleanup(mountinfo_close))) struct mountinfo

#endif
