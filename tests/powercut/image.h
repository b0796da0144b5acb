/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk as a power cut left it, and what is written to it afterwards. The
 * program that presents it owns it; one thread.
 */
#ifndef MSYNCFS_POWERCUT_IMAGE_H
#define MSYNCFS_POWERCUT_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "recording.h"

/* What becomes of the writes that no flush covers. */
enum cut_mode {
	cut_flush, /* none is there */
	cut_all, /* all are there */
	cut_random, /* some are there, some in part, by the seed */
};

struct cut {
	size_t position; /* so many records had happened */
	uint64_t seed;
	enum cut_mode mode;
	unsigned unit; /* bytes written all or nothing: SECTOR to 4096 */
};

struct image {
	const struct recording *recording;
	const char *base; /* the disk before the first record */
	const char **sectors; /* each one's data; NULL: as in the base */
	struct cut cut;
	bool is_cut_twice;
	size_t covered; /* records that flushes covered */
	struct recording later; /* what came after the cut; data in arena */
	char *arena;
	size_t arena_used;
};

/* base is a file of the recording's disk_size. 0 or -errno. */
int image_open(struct image *image, const struct recording *recording,
	       const char *base);

/*
 * The disk as that cut left it; what was written later is gone. -EINVAL, and
 * nothing has changed, for a position that is not in the recording, or a unit
 * that is no power of two in range.
 */
int image_cut(struct image *image, const struct cut *cut);

/*
 * A second cut, in the midst of what came after the first one: where, and
 * what is there, is up to the seed. What came later is gone. -EINVAL for a
 * third one.
 */
int image_cut_again(struct image *image, uint64_t seed);

/* Within the disk, in whole sectors: 0, -EINVAL, or -ENOMEM. */
void image_read(const struct image *image, char *buffer, size_t size,
		uint64_t offset);
int image_write(struct image *image, const char *data, size_t size,
		uint64_t offset);
int image_zero(struct image *image, uint64_t offset, uint64_t size);
int image_flush(struct image *image);

#endif
