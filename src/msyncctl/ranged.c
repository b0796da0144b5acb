// SPDX-License-Identifier: Apache-2.0
/*
 * Pieces begin at multiples of their size in the file, which are multiples of
 * any page: the kernel rounds ranges outward, and no page shall be done twice.
 */
#include "msyncctl/ranged.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "msyncctl/attr.h"
#include "msyncctl/progress.h"
#include "util/quantity.h"

#define PIECE (UINT64_C(16) << 20)
#define LARGE (UINT64_C(64) << 20)

int ranged_parse(const char *text, struct ranged *ranged)
{
	const char *at = strchr(text, '@');
	size_t length = at ? (size_t)(at - text) : strlen(text);
	int64_t offset, bytes;
	int r;

	*ranged = (struct ranged){ 0 };
	while (length > 0 && text[length - 1] == ' ')
		length--;
	if (length == 0 || length >= sizeof(ranged->words))
		return -EINVAL;
	memcpy(ranged->words, text, length);
	if (!at)
		return 0;
	r = quantity_parse_range(at + 1, strlen(at + 1), &offset, &bytes);
	if (r < 0)
		return r;
	ranged->offset = (uint64_t)offset;
	ranged->length = (uint64_t)bytes;
	return 0;
}

void ranged_format(const struct ranged *ranged, char value[RANGED_VALUE_MAX])
{
	if (ranged->length == 0)
		snprintf(value, RANGED_VALUE_MAX, "%s", ranged->words);
	else
		snprintf(value, RANGED_VALUE_MAX, "%s@%" PRIu64 "+%" PRIu64,
			ranged->words, ranged->offset, ranged->length);
}

static bool is_in(const char *word, size_t length, const char *const *list)
{
	for (; *list; list++) {
		if (strlen(*list) == length &&
			memcmp(*list, word, length) == 0)
			return true;
	}
	return false;
}

bool ranged_only(const struct ranged *ranged, const char *const *list)
{
	const char *word = ranged->words;

	for (;;) {
		size_t length = strcspn(word, "+,");

		if (!is_in(word, length, list))
			return false;
		if (word[length] == '\0')
			return true;
		word += length + 1;
	}
}

static uint64_t range_end(const struct ranged *ranged, uint64_t size)
{
	if (ranged->length == 0 || ranged->length > size ||
		ranged->offset > size - ranged->length)
		return size;
	return ranged->offset + ranged->length;
}

bool ranged_piece(const struct ranged *ranged, uint64_t size, uint64_t i,
	struct ranged *piece)
{
	uint64_t end = range_end(ranged, size);
	uint64_t first = ranged->offset / PIECE;
	uint64_t begin = i == 0 ? ranged->offset : (first + i) * PIECE;
	uint64_t stop = (first + i + 1) * PIECE;

	if (begin >= end)
		return false;
	*piece = *ranged;
	piece->offset = begin;
	piece->length = (stop < end ? stop : end) - begin;
	return true;
}

bool ranged_is_large(const struct ranged *ranged, uint64_t size)
{
	uint64_t end = range_end(ranged, size);

	return end > ranged->offset && end - ranged->offset > LARGE;
}

bool ranged_is_seen(const struct ranged *ranged, uint64_t size)
{
	return ranged_is_large(ranged, size) && progress_is_seen();
}

static int set_value(const struct target *target, const char *name,
	const struct ranged *ranged)
{
	char value[RANGED_VALUE_MAX];

	ranged_format(ranged, value);
	return attr_set(target->access, name, value);
}

int ranged_set(const struct target *target, const char *name,
	const struct ranged *ranged, bool may_split)
{
	uint64_t end = range_end(ranged, target->size);
	struct ranged piece;
	int r = 0;

	if (!may_split || !ranged_is_seen(ranged, target->size))
		return set_value(target, name, ranged);
	for (uint64_t i = 0; ranged_piece(ranged, target->size, i, &piece);
		i++) {
		double done = (double)(piece.offset - ranged->offset) /
			      (double)(end - ranged->offset);

		progress_show(target->from +
				(target->to - target->from) * done,
			target->path);
		r = set_value(target, name, &piece);
		if (r < 0)
			return r;
	}
	return 0;
}
