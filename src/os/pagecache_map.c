// SPDX-License-Identifier: Apache-2.0
/*
 * Two calls make the picture. cachestat(2) counts quickly, and steps over
 * the empty parts of a sparse file in strides that double; mincore(2) says
 * which pages of a window of 64 MiB are there. What is dirty or being
 * written among them cachestat tells by halving: a run whose count is none
 * or all needs no closer look.
 */
#include "os/pagecache.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "os/pagecache_range.h"

int pagecache_walk_begin(struct pagecache_walk *walk, int fd,
			 const struct pagecache_range *range)
{
	*walk = (struct pagecache_walk) {
		.fd = fd,
		.at = range->at,
		.end = range->end,
		.window_at = range->at,
		.window_end = range->at,
		.next = { .at = range->at, .end = range->at },
	};
	walk->memory = malloc((size_t)PAGECACHE_PIECE / pagecache_page_size());
	return walk->memory ? 0 : -ENOMEM;
}

void pagecache_walk_end(struct pagecache_walk *walk)
{
	free(walk->memory);
	walk->memory = NULL;
}

static off_t round_down(off_t bytes)
{
	return bytes - bytes % (off_t)pagecache_page_size();
}

/* The length of the next stretch at walk->at that has pages; 0: none has. */
static off_t find_stretch(struct pagecache_walk *walk,
			  struct pagecache_counts *counts)
{
	off_t length = PAGECACHE_PIECE;

	while (walk->at < walk->end) {
		if (length > walk->end - walk->at)
			length = walk->end - walk->at;
		if (pagecache_stat(walk->fd, walk->at, length, counts) < 0)
			return length < PAGECACHE_PIECE ? length :
				PAGECACHE_PIECE;
		if (counts->resident == 0) {
			walk->at += length;
			if (length < INT64_MAX / 4)
				length *= 2;
		} else if (length > PAGECACHE_PIECE) {
			length = round_down(length / 2);
			if (length < PAGECACHE_PIECE)
				length = PAGECACHE_PIECE;
		} else {
			return length;
		}
	}
	return 0;
}

/* Looks at the next window that has pages. 1, 0 at the end, or -errno. */
static int next_window(struct pagecache_walk *walk)
{
	struct pagecache_counts counts = { 0 };
	off_t length = find_stretch(walk, &counts);
	uint64_t pages = (uint64_t)length / pagecache_page_size();
	int error;

	if (length == 0)
		return 0;
	walk->window_at = walk->at;
	walk->window_end = walk->at + length;
	walk->present = NULL;
	if (counts.exact && counts.resident >= pages)
		return 1;
	walk->present = walk->memory;
	error = pagecache_residents(walk->fd, walk->at, (size_t)length,
		walk->present);
	return error ? error : 1;
}

static bool is_present(const struct pagecache_walk *walk, off_t at)
{
	size_t i = (size_t)(at - walk->window_at) / pagecache_page_size();

	return !walk->present || (walk->present[i] & 1);
}

/* Sets the state of the run at part->at, and shortens it to what is alike. */
static void classify(struct pagecache_walk *walk, struct pagecache_part *part)
{
	struct pagecache_counts counts = { 0 };
	off_t page = (off_t)pagecache_page_size();

	part->state = 'r';
	for (;;) {
		uint64_t pages = (uint64_t)((part->end - part->at) / page);

		if (pagecache_stat(walk->fd, part->at, part->end - part->at,
		    &counts) < 0)
			return;
		if (counts.dirty == 0 && counts.writeback == 0)
			return;
		if (counts.dirty >= pages || pages == 1) {
			part->state = counts.dirty ? 'd' : 'w';
			return;
		}
		if (counts.dirty == 0 && counts.writeback >= pages) {
			part->state = 'w';
			return;
		}
		part->end = part->at +
			round_down((part->end - part->at + page) / 2);
	}
}

/* The next run without regard to what follows it. */
static int find_part(struct pagecache_walk *walk, struct pagecache_part *part)
{
	off_t page = (off_t)pagecache_page_size();

	for (;;) {
		if (walk->at >= walk->window_end) {
			int got = next_window(walk);

			if (got <= 0)
				return got;
		}
		while (walk->at < walk->window_end &&
		       !is_present(walk, walk->at))
			walk->at += page;
		if (walk->at < walk->window_end)
			break;
	}
	part->at = walk->at;
	part->end = walk->at;
	if (!walk->present)
		part->end = walk->window_end;
	while (part->end < walk->window_end && is_present(walk, part->end))
		part->end += page;
	classify(walk, part);
	walk->at = part->end;
	return 1;
}

int pagecache_walk_next(struct pagecache_walk *walk,
			struct pagecache_part *part)
{
	struct pagecache_part found;
	int got;

	while ((got = find_part(walk, &found)) > 0) {
		struct pagecache_part *next = &walk->next;

		if (next->at == next->end) {
			*next = found;
		} else if (next->end == found.at &&
			   next->state == found.state) {
			next->end = found.end;
		} else {
			*part = *next;
			*next = found;
			return 1;
		}
	}
	if (got < 0 || walk->next.at == walk->next.end)
		return got;
	*part = walk->next;
	walk->next.at = walk->next.end;
	return 1;
}

/* Text that may not fit: then used goes past size. */
struct text {
	char *bytes;
	size_t size;
	size_t used;
};

static void add_line(struct text *text, const struct pagecache_range *range,
		     const struct pagecache_part *part)
{
	off_t end = part->end < range->size ? part->end : range->size;
	char line[64];
	int length = snprintf(line, sizeof(line), "%jd+%jd %c\n",
		(intmax_t)part->at, (intmax_t)(end - part->at), part->state);

	for (int i = 0; i < length; i++, text->used++) {
		if (text->used < text->size)
			text->bytes[text->used] = line[i];
	}
}

static int write_parts(int fd, const struct pagecache_range *range,
		       struct text *text)
{
	struct pagecache_part part;
	struct pagecache_walk walk;
	int got = pagecache_walk_begin(&walk, fd, range);

	if (got)
		return got;
	while (text->used <= text->size &&
	       (got = pagecache_walk_next(&walk, &part)) > 0)
		add_line(text, range, &part);
	pagecache_walk_end(&walk);
	return got < 0 ? got : 0;
}

/* What a grain counts as; 0: nothing of it is resident. */
static char state_of(const struct pagecache_counts *counts)
{
	if (counts->resident == 0)
		return 0;
	if (counts->exact && counts->dirty > 0)
		return 'd';
	if (counts->exact && counts->writeback > 0)
		return 'w';
	return counts->resident < counts->pages ? 'p' : 'r';
}

static int write_grains(int fd, const struct pagecache_range *range,
			off_t grain, struct text *text)
{
	struct pagecache_part run = { 0 };

	text->used = (size_t)snprintf(text->bytes, text->size, "grain=%jd\n",
		(intmax_t)grain);
	for (off_t at = 0; at < range->end; at = run.end) {
		off_t length = grain < range->end - at ? grain :
							 range->end - at;
		struct pagecache_counts counts;
		int error = pagecache_count(fd, at, length, &counts);
		char state;

		if (error)
			return error;
		state = state_of(&counts);
		if (state != run.state || run.end != at) {
			if (run.state)
				add_line(text, range, &run);
			run.at = at;
			run.state = state;
		}
		run.end = at + length;
	}
	if (run.state)
		add_line(text, range, &run);
	return 0;
}

/* Twice as long, and no longer than the file. */
static off_t larger(off_t grain, off_t end)
{
	return grain > end / 2 ? end : 2 * grain;
}

ssize_t pagecache_map(int fd, char *text_bytes, size_t size)
{
	struct text text = { text_bytes, size, 0 };
	off_t grain = (off_t)pagecache_page_size();
	struct pagecache_range range;
	int error = pagecache_range_make(&range, fd, 0, 0);

	if (!error)
		error = write_parts(fd, &range, &text);
	if (error)
		return error;
	if (text.used <= size)
		return (ssize_t)text.used;
	/* As many grains as there is room for, each with a line of its own. */
	while (range.end / grain > (off_t)(size / 32) && grain < range.end)
		grain = larger(grain, range.end);
	for (;;) {
		error = write_grains(fd, &range, grain, &text);
		if (error)
			return error;
		if (text.used <= size)
			return (ssize_t)text.used;
		if (grain >= range.end)
			return -ERANGE;
		grain = larger(grain, range.end);
	}
}
