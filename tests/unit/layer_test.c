// SPDX-License-Identifier: Apache-2.0
/*
 * Linked with --wrap for malloc and realloc, which fail when they are told
 * to. Large random mixtures are compared with plain arrays.
 */
#include "support.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "core/arena.h"
#include "core/layer.h"
#include "random.h"

#define MIB   (UINT64_C(1) << 20)
#define SLOTS (64 * 256)

/* Calls of malloc and realloc that still succeed; negative: all do. */
static long allocations_left = -1;

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__real_realloc(void *block, size_t size);
void *__wrap_realloc(void *block, size_t size);

static bool is_refused(void)
{
	if (allocations_left == 0) {
		errno = ENOMEM;
		return true;
	}
	if (allocations_left > 0)
		allocations_left--;
	return false;
}

void *__wrap_malloc(size_t size)
{
	return is_refused() ? NULL : __real_malloc(size);
}

void *__wrap_realloc(void *block, size_t size)
{
	return is_refused() ? NULL : __real_realloc(block, size);
}

/* --- the arena and a layer over it --------------------------------------- */

static struct arena *arena;
static struct layer layer;

static int setup(void **state)
{
	(void)state;
	allocations_left = -1;
	if (arena_new(SLOTS * (uint64_t)ARENA_PAGE, &arena) < 0)
		return -1;
	layer_init(&layer, arena);
	return 0;
}

/* Fails if slots were lost. */
static int teardown(void **state)
{
	uint64_t used;

	(void)state;
	allocations_left = -1;
	layer_clear(&layer);
	used = arena_used(arena);
	arena_free(arena);
	if (used == 0)
		return 0;
	print_message("# %lu bytes of the arena were left taken\n",
		(unsigned long)used);
	return -1;
}

static uint32_t put_in(struct layer *to, uint64_t page)
{
	uint32_t slot = arena_take(arena);

	assert_int_not_equal(slot, ARENA_NONE);
	assert_int_equal(layer_put(to, page, slot), 0);
	return slot;
}

static void punch(uint64_t first, uint64_t count)
{
	assert_int_equal(layer_punch(&layer, first, count), 0);
}

static void check_hole(size_t at, uint64_t first, uint64_t count)
{
	assert_true(at < layer.hole_count);
	assert_int_equal(layer.holes[at].first, first);
	assert_int_equal(layer.holes[at].count, count);
}

static void empty_arena_into(uint32_t *slots, size_t *count)
{
	for (*count = 0;; (*count)++) {
		uint32_t slot = arena_take(arena);

		if (slot == ARENA_NONE)
			return;
		slots[*count] = slot;
	}
}

/* --- pages --------------------------------------------------------------- */

static void an_empty_one_shows_what_is_below(void **state)
{
	(void)state;
	assert_true(layer_is_empty(&layer));
	assert_int_equal(layer_find(&layer, 0), LAYER_BELOW);
	assert_int_equal(layer_find(&layer, UINT64_MAX), LAYER_BELOW);
	assert_int_equal(layer_next(&layer, 0), UINT64_MAX);
	assert_false(layer_touches(&layer, 0, JOURNAL_TO_END));
	layer_list(&layer, NULL);
	layer_clear(&layer);
	assert_true(layer_is_empty(&layer));
}

static void a_page_is_found_where_it_was_put(void **state)
{
	uint32_t slots[1000];

	(void)state;
	for (uint64_t i = 0; i < 1000; i++)
		slots[i] = put_in(&layer, i * 7);
	assert_int_equal(layer.pages, 1000);
	for (uint64_t page = 0; page < 7000; page++)
		assert_int_equal(layer_find(&layer, page),
			page % 7 ? LAYER_BELOW : slots[page / 7]);
	assert_false(layer_is_empty(&layer));
}

static void page_numbers_may_be_as_large_as_files(void **state)
{
	uint64_t last = (uint64_t)INT64_MAX / ARENA_PAGE;
	uint32_t slot = put_in(&layer, last);

	(void)state;
	assert_int_equal(layer_find(&layer, last), slot);
	assert_int_equal(layer_find(&layer, last - 1), LAYER_BELOW);
	assert_int_equal(layer_next(&layer, 0), last);
	assert_int_equal(layer_next(&layer, last), last + 1);
	assert_int_equal(layer_next(&layer, last + 1), UINT64_MAX);
	assert_true(layer_touches(&layer, 1, JOURNAL_TO_END));
}

static void clearing_gives_all_slots_back(void **state)
{
	(void)state;
	for (uint64_t i = 0; i < SLOTS; i++)
		put_in(&layer, i);
	assert_int_equal(arena_take(arena), ARENA_NONE);
	layer_clear(&layer);
	assert_true(layer_is_empty(&layer));
	assert_null(layer.table);
	assert_int_equal(arena_used(arena), 0);
	put_in(&layer, 5);
	assert_int_equal(layer.pages, 1);
}

static void moving_leaves_an_empty_one(void **state)
{
	struct layer other;
	uint32_t slot = put_in(&layer, 3);

	(void)state;
	layer_init(&other, arena);
	punch(10, 5);
	layer_move(&other, &layer);
	assert_true(layer_is_empty(&layer));
	assert_int_equal(layer_find(&layer, 3), LAYER_BELOW);
	assert_int_equal(layer_find(&other, 3), slot);
	assert_int_equal(layer_find(&other, 12), LAYER_ZERO);
	layer_move(&layer, &other);
	assert_int_equal(layer_find(&layer, 3), slot);
}

/* --- holes --------------------------------------------------------------- */

static void a_hole_reads_as_zeros(void **state)
{
	(void)state;
	punch(10, 5);
	assert_int_equal(layer_find(&layer, 9), LAYER_BELOW);
	assert_int_equal(layer_find(&layer, 10), LAYER_ZERO);
	assert_int_equal(layer_find(&layer, 14), LAYER_ZERO);
	assert_int_equal(layer_find(&layer, 15), LAYER_BELOW);
	assert_false(layer_touches(&layer, 0, 10));
	assert_true(layer_touches(&layer, 0, 11));
	assert_true(layer_touches(&layer, 14, 1));
	assert_false(layer_touches(&layer, 15, JOURNAL_TO_END));
	assert_false(layer_touches(&layer, 12, 0));
}

static void holes_that_touch_become_one(void **state)
{
	(void)state;
	punch(10, 10);
	punch(40, 10);
	punch(30, 5);
	assert_int_equal(layer.hole_count, 3);
	punch(20, 5);
	assert_int_equal(layer.hole_count, 3);
	check_hole(0, 10, 15);
	punch(35, 5);
	assert_int_equal(layer.hole_count, 2);
	check_hole(1, 30, 20);
	punch(12, 3);
	assert_int_equal(layer.hole_count, 2);
	check_hole(0, 10, 15);
	punch(0, 60);
	assert_int_equal(layer.hole_count, 1);
	check_hole(0, 0, 60);
	punch(7, 0);
	assert_int_equal(layer.hole_count, 1);
}

static void a_hole_may_have_no_end(void **state)
{
	(void)state;
	punch(10, 5);
	punch(20, 5);
	punch(12, JOURNAL_TO_END);
	assert_int_equal(layer.hole_count, 1);
	check_hole(0, 10, JOURNAL_TO_END);
	punch(100, 5);
	assert_int_equal(layer.hole_count, 1);
	assert_int_equal(layer_find(&layer, UINT64_MAX - 1), LAYER_ZERO);
	assert_int_equal(layer_next(&layer, 10), UINT64_MAX);
	/* The end beyond the largest number is no end. */
	layer_clear(&layer);
	punch(5, UINT64_MAX - 3);
	check_hole(0, 5, JOURNAL_TO_END);
}

static void a_page_put_into_a_hole_is_data(void **state)
{
	uint32_t slot;

	(void)state;
	punch(10, 5);
	slot = put_in(&layer, 12);
	assert_int_equal(layer.hole_count, 1);
	assert_int_equal(layer_find(&layer, 12), slot);
	assert_int_equal(layer_find(&layer, 11), LAYER_ZERO);
	assert_int_equal(layer_next(&layer, 0), 10);
	assert_int_equal(layer_next(&layer, 10), 12);
	assert_int_equal(layer_next(&layer, 12), 13);
	assert_int_equal(layer_next(&layer, 13), 15);
	assert_int_equal(layer_next(&layer, 15), UINT64_MAX);
	punch(12, 1);
	assert_int_equal(layer_find(&layer, 12), LAYER_ZERO);
	assert_int_equal(arena_used(arena), 0);
}

static void punching_gives_the_pages_of_the_range_back(void **state)
{
	(void)state;
	for (uint64_t i = 0; i < 10000; i++)
		put_in(&layer, i);
	punch(5000, 10); /* looked up one by one */
	punch(100, 9000); /* all gone through */
	assert_int_equal(layer.pages, 1000);
	assert_int_equal(arena_used(arena), 1000 * ARENA_PAGE);
	for (uint64_t i = 0; i < 10000; i++) {
		uint32_t found = layer_find(&layer, i);

		if (i >= 100 && i < 9100)
			assert_int_equal(found, LAYER_ZERO);
		else
			assert_true(found < LAYER_ZERO);
	}
	punch(0, JOURNAL_TO_END);
	assert_int_equal(layer.pages, 0);
	assert_int_equal(arena_used(arena), 0);
	assert_null(layer.table);
}

/* --- lists --------------------------------------------------------------- */

static bool lists_are_refused_memory;

static void check_list(uint64_t (*page_of)(uint64_t, uint64_t *), size_t count)
{
	struct journal_page *pages = calloc(count, sizeof(*pages));
	uint64_t seed = RANDOM_SEED;

	assert_non_null(pages);
	layer_clear(&layer);
	for (uint64_t i = 0; i < count; i++) {
		uint64_t page = page_of(i, &seed);

		if (layer_find(&layer, page) == LAYER_BELOW)
			put_in(&layer, page);
	}
	allocations_left = lists_are_refused_memory ? 0 : -1;
	layer_list(&layer, pages);
	allocations_left = -1;
	for (size_t i = 0; i < layer.pages; i++) {
		assert_true(i == 0 || pages[i - 1].page < pages[i].page);
		assert_ptr_equal(pages[i].data, arena_page(arena,
			layer_find(&layer, pages[i].page)));
	}
	free(pages);
}

static uint64_t ascending(uint64_t i, uint64_t *seed)
{
	(void)seed;
	return i;
}

static uint64_t far_apart(uint64_t i, uint64_t *seed)
{
	(void)seed;
	return (SLOTS - i) << 33 | 5;
}

static uint64_t anywhere(uint64_t i, uint64_t *seed)
{
	(void)i;
	return random_next(seed) >> 12;
}

static uint64_t mostly_small(uint64_t i, uint64_t *seed)
{
	(void)i;
	return random_between(seed, 0, UINT64_C(1) << 50);
}

static void check_lists(void)
{
	static const size_t counts[] = { 1, 2, 3, 255, 256, 257, 300, SLOTS };

	for (size_t i = 0; i < sizeof(counts) / sizeof(*counts); i++) {
		check_list(ascending, counts[i]);
		check_list(far_apart, counts[i]);
		check_list(anywhere, counts[i]);
		check_list(mostly_small, counts[i]);
	}
}

static void pages_are_listed_in_order(void **state)
{
	(void)state;
	check_lists();
	/* Without memory for sorting as well. */
	lists_are_refused_memory = true;
	check_lists();
	lists_are_refused_memory = false;
}

/* --- merging ------------------------------------------------------------- */

static void merging_puts_the_older_one_below(void **state)
{
	struct layer older;
	uint32_t kept, under;

	(void)state;
	layer_init(&older, arena);
	assert_int_equal(layer_punch(&older, 20, 20), 0);
	put_in(&older, 1); /* there is a newer one */
	put_in(&older, 5); /* a newer hole */
	under = put_in(&older, 8);
	put_in(&older, 25); /* in its own hole, and in a newer one */
	put_in(&older, 31); /* in its own hole */
	kept = put_in(&layer, 1);
	punch(4, 2);
	punch(24, 2);
	put_in(&layer, 39);
	assert_int_equal(layer_merge(&layer, &older), 0);

	assert_true(layer_is_empty(&older));
	assert_int_equal(layer_find(&layer, 1), kept);
	assert_int_equal(layer_find(&layer, 5), LAYER_ZERO);
	assert_int_equal(layer_find(&layer, 8), under);
	assert_int_equal(layer_find(&layer, 9), LAYER_BELOW);
	assert_int_equal(layer_find(&layer, 20), LAYER_ZERO);
	assert_int_equal(layer_find(&layer, 25), LAYER_ZERO);
	assert_true(layer_find(&layer, 31) < LAYER_ZERO);
	assert_true(layer_find(&layer, 39) < LAYER_ZERO);
	assert_int_equal(layer_find(&layer, 40), LAYER_BELOW);
	assert_int_equal(layer.hole_count, 2);
	assert_int_equal(layer.pages, 4);
	assert_int_equal(arena_used(arena), 4 * ARENA_PAGE);
	layer_clear(&older);
}

static void merging_with_an_empty_one_changes_nothing(void **state)
{
	struct layer other;
	uint32_t slot = put_in(&layer, 7);

	(void)state;
	layer_init(&other, arena);
	punch(10, 5);
	assert_int_equal(layer_merge(&layer, &other), 0);
	assert_int_equal(layer_find(&layer, 7), slot);
	check_hole(0, 10, 5);
	assert_int_equal(layer_merge(&other, &layer), 0);
	assert_true(layer_is_empty(&layer));
	assert_int_equal(layer_find(&other, 7), slot);
	assert_int_equal(layer_find(&other, 14), LAYER_ZERO);
	layer_move(&layer, &other);
}

/* --- a plain array beside it --------------------------------------------- */

#define MODEL_PAGES 700

/* What each page is: LAYER_BELOW, LAYER_ZERO or the slot. */
struct model {
	uint32_t pages[MODEL_PAGES];
	uint32_t beyond; /* all after those */
};

static void model_clear(struct model *model)
{
	memset(model, 0xff, sizeof(*model));
	assert_int_equal(model->beyond, LAYER_BELOW);
}

static void model_punch(struct model *model, uint64_t first, uint64_t count)
{
	for (uint64_t i = first; i < MODEL_PAGES && i - first < count; i++)
		model->pages[i] = LAYER_ZERO;
	if (count == JOURNAL_TO_END)
		model->beyond = LAYER_ZERO;
}

static void model_merge(struct model *model, struct model *from)
{
	for (uint64_t i = 0; i < MODEL_PAGES; i++) {
		if (model->pages[i] == LAYER_BELOW)
			model->pages[i] = from->pages[i];
	}
	if (model->beyond == LAYER_BELOW)
		model->beyond = from->beyond;
	model_clear(from);
}

static unsigned kind(uint32_t answer)
{
	return answer == LAYER_BELOW ? 0 : answer == LAYER_ZERO ? 1 : 2;
}

static uint32_t model_find(const struct model *model, uint64_t page)
{
	return page < MODEL_PAGES ? model->pages[page] : model->beyond;
}

static uint64_t model_next(const struct model *model, uint64_t page)
{
	unsigned before = kind(model_find(model, page));

	while (++page <= MODEL_PAGES) {
		if (kind(model_find(model, page)) != before)
			return page;
	}
	return UINT64_MAX;
}

static bool model_touches(const struct model *model, uint64_t first,
			  uint64_t count)
{
	for (uint64_t i = first; i <= MODEL_PAGES && i - first < count; i++) {
		if (model_find(model, i) != LAYER_BELOW)
			return true;
	}
	return false;
}

static void check_holes(const struct layer *of)
{
	for (size_t i = 0; i < of->hole_count; i++) {
		const struct journal_hole *hole = &of->holes[i];

		assert_true(hole->count > 0);
		if (i + 1 < of->hole_count) {
			assert_true(hole->count != JOURNAL_TO_END);
			assert_true(hole->first + hole->count <
				    of->holes[i + 1].first);
		}
	}
}

static void compare(const struct layer *of, const struct model *model,
		    uint64_t *seed)
{
	struct journal_page listed[MODEL_PAGES];
	uint64_t first = random_between(seed, 0, MODEL_PAGES - 1);
	uint64_t count = random_between(seed, 0, MODEL_PAGES);
	size_t pages = 0;

	layer_list(of, listed);
	for (uint64_t i = 0; i < MODEL_PAGES; i++) {
		uint32_t found = layer_find(of, i);

		assert_int_equal(found, model->pages[i]);
		assert_int_equal(layer_next(of, i), model_next(model, i));
		if (kind(found) == 2) {
			assert_int_equal(listed[pages].page, i);
			assert_ptr_equal(listed[pages].data,
				arena_page(arena, found));
			pages++;
		}
	}
	assert_int_equal(of->pages, pages);
	assert_int_equal(layer_find(of, MODEL_PAGES + 9), model->beyond);
	assert_int_equal(layer_touches(of, first, count),
		model_touches(model, first, count));
	assert_int_equal(layer_touches(of, first, JOURNAL_TO_END),
		model_touches(model, first, JOURNAL_TO_END));
	check_holes(of);
}

static void step(struct layer layers[2], struct model models[2],
		 uint64_t *seed)
{
	unsigned which = random_next(seed) % 2;
	uint64_t first = random_next(seed) % MODEL_PAGES;
	uint64_t count = random_between(seed, 0, MODEL_PAGES - first);
	struct layer *to = &layers[which];
	struct model *model = &models[which];
	unsigned dice = random_next(seed) % 1000;

	if (dice < 5) {
		assert_int_equal(layer_merge(to, &layers[!which]), 0);
		model_merge(model, &models[!which]);
	} else if (dice < 10) {
		layer_clear(to);
		model_clear(model);
	} else if (dice < 15) {
		layer_clear(to);
		layer_move(to, &layers[!which]);
		*model = models[!which];
		model_clear(&models[!which]);
	} else if (dice < 20) {
		assert_int_equal(layer_punch(to, first, JOURNAL_TO_END), 0);
		model_punch(model, first, JOURNAL_TO_END);
	} else if (dice < 100) {
		count /= 1 + random_next(seed) % 32;
		assert_int_equal(layer_punch(to, first, count), 0);
		model_punch(model, first, count);
	} else if (kind(model->pages[first]) != 2) {
		model->pages[first] = put_in(to, first);
	}
}

static uint64_t pages_of(const struct layer layers[2])
{
	return (uint64_t)(layers[0].pages + layers[1].pages) * ARENA_PAGE;
}

static void any_mixture_is_what_an_array_would_hold(void **state)
{
	struct layer layers[2];
	struct model models[2];
	uint64_t seed = RANDOM_SEED;

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		layer_init(&layers[i], arena);
		model_clear(&models[i]);
	}
	for (unsigned i = 0; i < 60000; i++) {
		step(layers, models, &seed);
		if (i % 50 != 0)
			continue;
		compare(&layers[0], &models[0], &seed);
		compare(&layers[1], &models[1], &seed);
		assert_int_equal(arena_used(arena), pages_of(layers));
	}
	layer_clear(&layers[0]);
	layer_clear(&layers[1]);
}

/* --- memory -------------------------------------------------------------- */

static void without_memory_a_page_is_not_put(void **state)
{
	uint32_t slot = arena_take(arena);
	uint64_t pages = 0;

	(void)state;
	allocations_left = 0;
	assert_int_equal(layer_put(&layer, 0, slot), -ENOMEM);
	assert_true(layer_is_empty(&layer));
	allocations_left = 1;
	while (layer_put(&layer, pages, slot) == 0) {
		pages++;
		slot = arena_take(arena);
	}
	assert_true(pages > 0);
	assert_int_equal(layer.pages, pages);
	assert_int_equal(layer_find(&layer, pages), LAYER_BELOW);
	for (uint64_t i = 0; i < pages; i++)
		assert_true(layer_find(&layer, i) < LAYER_ZERO);
	allocations_left = -1;
	assert_int_equal(layer_put(&layer, pages, slot), 0);
}

static void without_memory_a_punch_changes_nothing(void **state)
{
	(void)state;
	for (uint64_t i = 0; i < 100; i++)
		put_in(&layer, i);
	allocations_left = 0;
	assert_int_equal(layer_punch(&layer, 10, 50), -ENOMEM);
	assert_int_equal(layer.pages, 100);
	assert_int_equal(layer.hole_count, 0);
	allocations_left = -1;
	punch(1000, 5);
	/* Making a hole longer needs none, nor does an empty table. */
	allocations_left = 0;
	punch(0, 1000);
	assert_int_equal(layer.pages, 0);
	check_hole(0, 0, 1005);
}

static void without_memory_a_smaller_table_is_not_made(void **state)
{
	(void)state;
	for (uint64_t i = 0; i < 1000; i++)
		put_in(&layer, i);
	punch(2000, 1);
	allocations_left = 0;
	assert_int_equal(layer_punch(&layer, 10, 1990), 0);
	assert_int_equal(layer.pages, 10);
	for (uint64_t i = 0; i < 10; i++)
		assert_true(layer_find(&layer, i) < LAYER_ZERO);
}

static void without_memory_a_merge_changes_nothing(void **state)
{
	struct layer older;
	long needed = 0;

	(void)state;
	layer_init(&older, arena);
	for (uint64_t i = 0; i < 100; i++)
		put_in(&older, 50 + i);
	put_in(&layer, 60);
	punch(70, 3);
	allocations_left = 0;
	assert_int_equal(layer_merge(&layer, &older), -ENOMEM);
	assert_int_equal(older.pages, 100);
	allocations_left = -1;
	assert_int_equal(layer_punch(&older, 300, 5), 0);
	for (;; needed++) {
		allocations_left = needed;
		if (layer_merge(&layer, &older) == 0)
			break;
		assert_int_equal(allocations_left, 0);
		assert_int_equal(layer.pages, 1);
		assert_int_equal(older.pages, 100);
		assert_int_equal(layer_find(&layer, 61), LAYER_BELOW);
		assert_int_equal(layer_find(&layer, 300), LAYER_BELOW);
		assert_int_equal(layer_find(&older, 300), LAYER_ZERO);
	}
	/* The table and the holes. */
	assert_int_equal(needed, 2);
	assert_int_equal(layer.pages, 97);
	assert_true(layer_is_empty(&older));
}

static void a_full_arena_leaves_the_layer_as_it_is(void **state)
{
	uint32_t *slots = malloc(SLOTS * sizeof(*slots));
	size_t count;

	(void)state;
	assert_non_null(slots);
	for (uint64_t i = 0; i < 100; i++)
		put_in(&layer, i);
	empty_arena_into(slots, &count);
	assert_int_equal(count, SLOTS - 100);
	punch(0, 1);
	put_in(&layer, 200);
	assert_int_equal(arena_take(arena), ARENA_NONE);
	while (count > 0)
		arena_give(arena, slots[--count]);
	free(slots);
}

static void a_page_costs_less_than_40_bytes(void **state)
{
	size_t worst = 0;

	(void)state;
	for (uint64_t i = 1; i <= SLOTS; i++) {
		size_t bytes;

		put_in(&layer, i * 3);
		bytes = layer.room * sizeof(*layer.table) * 100 / i;
		if (i >= 4 && bytes > worst)
			worst = bytes;
		assert_true(i < 4 || bytes < 4000);
	}
	/* Tables become smaller as well. */
	for (uint64_t i = SLOTS; i-- > 100;) {
		punch(i * 3, 1);
		assert_true(layer.room * sizeof(*layer.table) <=
			    52 * layer.pages);
	}
	print_message("# a page costs %zu.%02zu bytes at the worst\n",
		worst / 100, worst % 100);
}

/* --- speed --------------------------------------------------------------- */

static double ns_since(const struct timespec *begin, double steps)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return ((double)(now.tv_sec - begin->tv_sec) * 1e9 +
		       (double)(now.tv_nsec - begin->tv_nsec)) /
	       steps;
}

static void time_pages(const char *what, uint64_t stride, bool shuffled)
{
	struct journal_page *listed = calloc(SLOTS, sizeof(*listed));
	struct timespec begin;
	double put, find, miss, list, clear;
	uint64_t seed = RANDOM_SEED, found = 0;

	assert_non_null(listed);
	layer_clear(&layer);
	clock_gettime(CLOCK_MONOTONIC, &begin);
	for (uint64_t i = 0; i < SLOTS; i++)
		put_in(&layer, shuffled ? random_next(&seed) >> 20 :
					  i * stride);
	put = ns_since(&begin, SLOTS);
	layer_list(&layer, listed);
	clock_gettime(CLOCK_MONOTONIC, &begin);
	for (uint64_t i = 0; i < SLOTS; i++)
		found += layer_find(&layer, listed[i].page);
	find = ns_since(&begin, SLOTS);
	clock_gettime(CLOCK_MONOTONIC, &begin);
	for (uint64_t i = 0; i < SLOTS; i++)
		found += layer_find(&layer, (UINT64_C(1) << 51) + i * stride);
	miss = ns_since(&begin, SLOTS);
	clock_gettime(CLOCK_MONOTONIC, &begin);
	layer_list(&layer, listed);
	list = ns_since(&begin, 1e6);
	clock_gettime(CLOCK_MONOTONIC, &begin);
	layer_clear(&layer);
	clear = ns_since(&begin, 1e6);
	free(listed);
	print_message("# %s: put %.0f ns, found %.0f ns, missed %.0f ns; all "
		      "listed %.2f ms, cleared %.2f ms%s\n",
		what, put, find, miss, list, clear, found ? "" : "!");
}

/* Printed, not judged: machines differ. */
static void how_fast_it_is(void **state)
{
	(void)state;
	time_pages("in a row (memory is new)", 1, false);
	time_pages("in a row", 1, false);
	time_pages("every 64th", 64, false);
	time_pages("every 1597th", 1597, false);
	time_pages("at random", 1, true);
}

int main(void)
{
#define with_layer(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		with_layer(an_empty_one_shows_what_is_below),
		with_layer(a_page_is_found_where_it_was_put),
		with_layer(page_numbers_may_be_as_large_as_files),
		with_layer(clearing_gives_all_slots_back),
		with_layer(moving_leaves_an_empty_one),
		with_layer(a_hole_reads_as_zeros),
		with_layer(holes_that_touch_become_one),
		with_layer(a_hole_may_have_no_end),
		with_layer(a_page_put_into_a_hole_is_data),
		with_layer(punching_gives_the_pages_of_the_range_back),
		with_layer(pages_are_listed_in_order),
		with_layer(merging_puts_the_older_one_below),
		with_layer(merging_with_an_empty_one_changes_nothing),
		with_layer(any_mixture_is_what_an_array_would_hold),
		with_layer(without_memory_a_page_is_not_put),
		with_layer(without_memory_a_punch_changes_nothing),
		with_layer(without_memory_a_smaller_table_is_not_made),
		with_layer(without_memory_a_merge_changes_nothing),
		with_layer(a_full_arena_leaves_the_layer_as_it_is),
		with_layer(a_page_costs_less_than_40_bytes),
		with_layer(how_fast_it_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
