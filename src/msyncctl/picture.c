// SPDX-License-Identifier: Apache-2.0
/*
 * Cell i is for the bytes from i * size / count up to where the next begins.
 * Products may pass 2^64 with the largest files, so they are 128 bits wide.
 */
#include "msyncctl/picture.h"

#include <stdio.h>
#include <string.h>

#include "msyncctl/attr.h"
#include "util/quantity.h"

#define INTERVAL_LEAST INT64_C(100000000)
#define INTERVAL_MOST INT64_C(3600000000000)

unsigned picture_cells(uint64_t size, uint64_t page_size, unsigned width)
{
	uint64_t pages = size / page_size + (size % page_size != 0);

	return pages < width ? (unsigned)pages : width;
}

void picture_init(struct picture *picture, uint64_t size,
	struct picture_cell *cells, unsigned count)
{
	*picture = (struct picture){
		.size = size,
		.count = count,
		.cells = cells,
	};
	memset(cells, 0, count * sizeof(*cells));
}

static uint64_t cell_begin(const struct picture *picture, unsigned cell)
{
	return (uint64_t)((unsigned __int128)picture->size * cell /
			  picture->count);
}

/* The cell that has the byte. */
static unsigned cell_at(const struct picture *picture, uint64_t offset)
{
	unsigned cell = (unsigned)((unsigned __int128)offset * picture->count /
				   picture->size);

	/* Both divisions round down, so it may be the one before. */
	while (cell + 1 < picture->count &&
		cell_begin(picture, cell + 1) <= offset)
		cell++;
	return cell;
}

static void add_range(struct picture *picture, uint64_t offset, uint64_t end,
	char state)
{
	unsigned cell;

	/* The last page reaches past the end of the file. */
	if (end > picture->size)
		end = picture->size;
	if (offset >= end)
		return;
	for (cell = cell_at(picture, offset); offset < end; cell++) {
		uint64_t stop = cell_begin(picture, cell + 1);
		struct picture_cell *to = &picture->cells[cell];

		if (stop > end)
			stop = end;
		to->resident += stop - offset;
		to->partly |= state == 'p';
		to->dirty |= state == 'd';
		to->writeback |= state == 'w';
		offset = stop;
	}
}

/* "OFFSET+LENGTH STATE", or "grain=BYTES", which changes no cell. */
static bool read_line(struct picture *picture, const char *line, size_t length)
{
	const char *blank = memchr(line, ' ', length);
	int64_t offset, bytes;
	char state;

	if (length > 6 && memcmp(line, "grain=", 6) == 0)
		return true;
	if (!blank || blank + 2 != line + length)
		return false;
	state = blank[1];
	if (!strchr("rdwp", state))
		return false;
	if (quantity_parse_range(line, (size_t)(blank - line), &offset,
		    &bytes) < 0)
		return false;
	add_range(picture, (uint64_t)offset, (uint64_t)offset + (uint64_t)bytes,
		state);
	return true;
}

bool picture_read(struct picture *picture, const char *map)
{
	while (*map != '\0') {
		size_t length = strcspn(map, "\n");

		if (length > 0 && !read_line(picture, map, length))
			return false;
		map += length + (map[length] == '\n');
	}
	return true;
}

enum picture_state picture_state(const struct picture *picture, unsigned cell)
{
	const struct picture_cell *of = &picture->cells[cell];
	uint64_t length =
		cell_begin(picture, cell + 1) - cell_begin(picture, cell);

	if (of->writeback)
		return picture_writeback;
	if (of->dirty)
		return picture_dirty;
	if (of->resident == 0)
		return picture_absent;
	return of->partly || of->resident < length ? picture_partly :
						     picture_resident;
}

const char *picture_symbol(enum picture_state state, bool utf8)
{
	/* One shape each: the picture has to do without colours, too. */
	static const char *const blocks[picture_states] = {
		[picture_absent] = "\u2591", /* light shade */
		[picture_partly] = "\u2584", /* lower half block */
		[picture_resident] = "\u2588", /* full block */
		[picture_dirty] = "\u25c6", /* black diamond */
		[picture_writeback] = "\u25b2", /* triangle up */
	};
	static const char *const letters[picture_states] = {
		[picture_absent] = ".",
		[picture_partly] = "-",
		[picture_resident] = "#",
		[picture_dirty] = "d",
		[picture_writeback] = "w",
	};

	return utf8 ? blocks[state] : letters[state];
}

const char *picture_name(enum picture_state state)
{
	static const char *const names[picture_states] = {
		[picture_absent] = "absent",
		[picture_partly] = "partly in memory",
		[picture_resident] = "in memory",
		[picture_dirty] = "dirty",
		[picture_writeback] = "being written",
	};

	return names[state];
}

static bool next_amount(struct picture_amount *amount, const char **text,
	uint64_t page_size, uint64_t size)
{
	size_t length;
	uint64_t pages;

	*text += strspn(*text, " ");
	length = strcspn(*text, " \n");
	*amount = (struct picture_amount){ 0 };
	if (length == 1 && **text == '-') {
		*text += length;
		return true;
	}
	if (!attr_number(*text, length, &pages))
		return false;
	*text += length;
	amount->known = true;
	/* The last page may be a part of one only. */
	if (__builtin_mul_overflow(pages, page_size, &amount->bytes) ||
		amount->bytes > size)
		amount->bytes = size;
	return true;
}

bool picture_totals(struct picture_totals *totals, const char *text,
	uint64_t page_size, uint64_t size)
{
	struct picture_amount pages;

	return next_amount(&pages, &text, page_size, size) &&
	       next_amount(&totals->resident, &text, page_size, size) &&
	       next_amount(&totals->dirty, &text, page_size, size) &&
	       next_amount(&totals->writeback, &text, page_size, size) &&
	       next_amount(&totals->evicted, &text, page_size, size);
}

unsigned picture_percent(uint64_t part, uint64_t all)
{
	unsigned percent;

	if (part == 0 || all == 0)
		return 0;
	percent = (unsigned)((unsigned __int128)part * 100 / all);
	if (percent == 0)
		return 1;
	return percent;
}

bool picture_parse_interval(const char *text, int64_t *nanoseconds)
{
	char duration[32];
	int n = snprintf(duration, sizeof(duration), "%ss", text);

	return n > 0 && (size_t)n < sizeof(duration) &&
	       quantity_parse_duration(duration, (size_t)n, nanoseconds) == 0 &&
	       *nanoseconds >= INTERVAL_LEAST && *nanoseconds <= INTERVAL_MOST;
}
