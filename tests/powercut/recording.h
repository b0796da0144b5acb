/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What reached a disk, in order: a file that record_disk appends to and
 * replay_disk reads. A struct recording belongs to whoever opened it; one
 * thread at a time.
 *
 * The file is a struct recording_start, then for each record a struct
 * recording_head and `length` bytes of data or text, in the machine's own
 * byte order: it is read where it was written. The position of a record is
 * how many come before it.
 */
#ifndef MSYNCFS_POWERCUT_RECORDING_H
#define MSYNCFS_POWERCUT_RECORDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SECTOR 512u /* offsets and lengths on the disk are multiples of it */

enum record_kind {
	record_write = 1,
	record_zero, /* a discard, or zeroes written as such */
	record_flush, /* covers what comes before it */
	record_mark,
};

struct recording_start {
	char magic[8];
	uint64_t disk_size;
};

struct recording_head {
	uint32_t kind;
	uint32_t length; /* of what follows; 0 for zeroes and flushes */
	uint64_t offset; /* on the disk, as is the size */
	uint64_t size;
};

struct record {
	enum record_kind kind;
	uint32_t length; /* of a mark's text */
	uint64_t offset;
	uint64_t size;
	const char *data; /* a write's, or a mark's text; not ended by a NUL */
};

struct recording {
	uint64_t disk_size;
	struct record *records;
	size_t count;
	size_t room;
	const char *map; /* of the file; NULL when it is in memory only */
	size_t map_size;
};

/* The file made new, to be appended to: its descriptor, or -errno. */
int recording_create(const char *path, uint64_t disk_size);

/* 0 or -errno; nothing may be appended after an error. */
int recording_append(int fd, const struct record *record);

/*
 * Reads all of it: 0 or -errno, -EINVAL when it does not end where a record
 * does or has another format.
 */
int recording_open(struct recording *recording, const char *path);

/* An empty one in memory, which points to others' data. 0 or -ENOMEM. */
int recording_add(struct recording *recording, const struct record *record);

void recording_close(struct recording *recording);

/* How many records the flushes before the cut cover. */
size_t recording_covered(const struct recording *recording, size_t cut);

#endif
