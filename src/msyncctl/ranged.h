/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An action with an optional range, "willneed@0+1M", and doing it to a large
 * file in pieces, so that a progress bar moves. One thread.
 */
#ifndef MSYNCFS_MSYNCCTL_RANGED_H
#define MSYNCFS_MSYNCCTL_RANGED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "msyncctl/walk.h"

#define RANGED_WORDS_MAX 256

struct ranged {
	char words[RANGED_WORDS_MAX]; /* "willneed+hugepage" */
	uint64_t offset;
	uint64_t length; /* 0: up to the file's end */
};

/* "WORDS", "WORDS@RANGE", "WORDS @RANGE". 0, -EINVAL or -ERANGE. */
int ranged_parse(const char *text, struct ranged *ranged);

/* The value for the attribute: as parsed, offsets in bytes. */
#define RANGED_VALUE_MAX (RANGED_WORDS_MAX + 48)
void ranged_format(const struct ranged *ranged, char value[RANGED_VALUE_MAX]);

/* A comma joins as a plus does. Is each of the words in the list? */
bool ranged_only(const struct ranged *ranged, const char *const *list);

/*
 * Piece number i of the range in a file of size bytes, pieces being aligned
 * at the file's beginning; false behind the last.
 */
bool ranged_piece(const struct ranged *ranged, uint64_t size, uint64_t i,
	struct ranged *piece);

/* Large: more than 64 MiB. Seen: and somebody sees the progress. */
bool ranged_is_large(const struct ranged *ranged, uint64_t size);
bool ranged_is_seen(const struct ranged *ranged, uint64_t size);

/*
 * Sets the attribute, in pieces if that is allowed and ranged_is_seen().
 * 0 or -errno.
 */
int ranged_set(const struct target *target, const char *name,
	const struct ranged *ranged, bool may_split);

#endif
