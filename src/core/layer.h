/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A layer of changes over a file: which pages are new, which read as zeros,
 * everything else shows what is below. Staged files are made of these: one
 * that takes writes, one that is being committed, and the store's file.
 *
 * A page in a layer is a slot of the arena, which the layer owns. A page that
 * is put into a hole is data again. The caller keeps others out.
 */
#ifndef MSYNCFS_CORE_LAYER_H
#define MSYNCFS_CORE_LAYER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/arena.h"
#include "store/journal.h"

/* What a layer says of a page, where it isn't a slot. */
#define LAYER_BELOW ARENA_NONE /* nothing: look below */
#define LAYER_ZERO (ARENA_NONE - 1) /* a hole */

struct layer_entry {
	uint64_t page;
	uint32_t slot;
};

struct layer {
	struct arena *arena;
	struct layer_entry *table; /* open addressing; NULL while empty */
	size_t room; /* entries of the table, a power of 2 or 0 */
	size_t pages; /* in it */
	struct journal_hole *holes; /* ascending, never touching each other */
	size_t hole_count;
	size_t hole_room;
};

void layer_init(struct layer *layer, struct arena *arena);
/* Gives all its slots back; empty afterwards and usable. */
void layer_clear(struct layer *layer);
/* Moves everything to an empty layer. */
void layer_move(struct layer *to, struct layer *from);

static inline bool layer_is_empty(const struct layer *layer)
{
	return layer->pages == 0 && layer->hole_count == 0;
}

/* A slot, LAYER_ZERO or LAYER_BELOW. */
uint32_t layer_find(const struct layer *layer, uint64_t page);

/* Is there anything, page or hole, in [first, first + count)? */
bool layer_touches(const struct layer *layer, uint64_t first, uint64_t count);

/*
 * The first page at or after `page` whose answer of layer_find() may differ
 * in kind (below, zero, slot) from that of `page`; UINT64_MAX when the rest is
 * all the same. For SEEK_DATA and SEEK_HOLE.
 */
uint64_t layer_next(const struct layer *layer, uint64_t page);

/* Takes the slot over; the page has none yet. 0 or -ENOMEM. */
int layer_put(struct layer *layer, uint64_t page, uint32_t slot);

/*
 * Makes [first, first + count) a hole, count may be JOURNAL_TO_END; slots in
 * it are given back. 0 or -ENOMEM, with nothing changed.
 */
int layer_punch(struct layer *layer, uint64_t first, uint64_t count);

/* The pages with their data, ascending: as many as layer->pages. */
void layer_list(const struct layer *layer, struct journal_page *pages);

/*
 * Puts what is in `from`, the older one, under what is in `layer`: the result
 * is both, `from` is empty then. For a commit that failed. 0 or -ENOMEM, with
 * nothing changed.
 */
int layer_merge(struct layer *layer, struct layer *from);

#endif
