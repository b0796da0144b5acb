/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file's pages as a row of cells, each for an equal part of the file. Made
 * from the text of residency.map; pure. The caller owns the cells.
 */
#ifndef MSYNCFS_MSYNCCTL_PICTURE_H
#define MSYNCFS_MSYNCCTL_PICTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a cell shows: the most telling of what is in its part. */
enum picture_state {
	picture_absent,
	picture_partly, /* some pages are in memory */
	picture_resident, /* all are */
	picture_dirty, /* some are dirty */
	picture_writeback, /* some are being written */
	picture_states,
};

struct picture_cell {
	uint64_t resident; /* bytes in memory, in whatever state */
	bool partly, dirty, writeback;
};

struct picture {
	uint64_t size; /* of the file, bytes, > 0 */
	unsigned count;
	struct picture_cell *cells;
};

/*
 * How many cells show a file of this size in a room of width cells: none for
 * an empty file, and no more than there are pages.
 */
unsigned picture_cells(uint64_t size, uint64_t page_size, unsigned width);

/* The cells are all zero. */
void picture_init(struct picture *picture, uint64_t size,
	struct picture_cell *cells, unsigned count);

/* Reads residency.map; false at a line that can't be understood. */
bool picture_read(struct picture *picture, const char *map);

enum picture_state picture_state(const struct picture *picture, unsigned cell);

/* One column each: a block, or an ASCII character. */
const char *picture_symbol(enum picture_state state, bool utf8);

/* "in memory", "partly" ...: for the legend and for JSON. */
const char *picture_name(enum picture_state state);

/* The text of residency: what is known, in bytes, at most the file's size. */
struct picture_amount {
	bool known;
	uint64_t bytes;
};
struct picture_totals {
	struct picture_amount resident, dirty, writeback, evicted;
};

/* "PAGES RESIDENT DIRTY WRITEBACK EVICTED", "-" for what is not known. */
bool picture_totals(struct picture_totals *totals, const char *text,
	uint64_t page_size, uint64_t size);

/* Rounded down, but a little is never none and nearly all never 100. */
unsigned picture_percent(uint64_t part, uint64_t all);

/* Seconds, perhaps with a fraction: 0.1 to 3600. */
bool picture_parse_interval(const char *text, int64_t *nanoseconds);

#endif
