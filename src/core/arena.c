// SPDX-License-Identifier: Apache-2.0
/*
 * A slot is in one of four states, two bits of its chunk:
 *
 *	taken present
 *	  0      0	missing: free, the memfd has no memory there
 *	  0      1	ready: free, with memory
 *	  1      1	taken
 *	  1      0	busy: being filled or punched, or beyond the capacity
 *
 * arena_take() hands out the lowest ready slot. Only when there is none at
 * all does it fill missing ones, a run inside one chunk, with fallocate(2):
 * whether there is memory is known then and not at a write's SIGBUS. So what
 * is filled ahead is never more than one chunk, and low slots are used first,
 * which leaves the free ones in long runs at the top for arena_trim().
 *
 * The lock is not held across a system call: slots are busy meanwhile. One
 * thread fills, others that need a slot wait for it.
 *
 * MADV_POPULATE_WRITE of what was filled would spare a page fault for each
 * page. 64 MiB copied into fresh slots took 36 ms with it and 37 without, and
 * 15 ms instead of 12 to punch them out again, so it isn't used. Into slots
 * used before: 4 ms.
 */
#include "core/arena.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/lock.h"

/* Linux 6.3, glibc 2.38. */
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

#define WORD_BITS   64u
#define CHUNK_WORDS 4u
#define CHUNK_SLOTS (CHUNK_WORDS * WORD_BITS)

/* What arena_trim() leaves of free memory: bytes, and a share of the used. */
#define KEEP_BYTES (UINT64_C(1) << 20)
#define KEEP_SHARE 32

struct chunk {
	uint64_t taken[CHUNK_WORDS];
	uint64_t present[CHUNK_WORDS];
};

/* A bit for each chunk, and the lowest word that may have one set. */
struct summary {
	uint64_t *words;
	size_t lowest;
};

struct arena {
	unsigned char *base;
	size_t length; /* bytes of the mapping */
	int fd;
	size_t chunk_count;
	size_t word_count; /* of a summary */
	struct lock lock; /* of all below */
	pthread_cond_t settled; /* busy slots became something else */
	struct chunk *chunks;
	struct summary ready; /* chunks with a ready slot */
	struct summary missing; /* chunks with a missing slot */
	uint64_t ready_bytes; /* in ready slots */
	unsigned runs_busy; /* being filled or punched */
	bool filling;
	_Atomic uint64_t used; /* bytes; written with the lock held */
	_Atomic uint64_t resident;
};

struct run {
	size_t chunk;
	unsigned first; /* slot of the chunk */
	unsigned count; /* 1 and more */
};

static uint64_t run_bytes(const struct run *run)
{
	return (uint64_t)run->count * ARENA_PAGE;
}

static off_t run_offset(const struct run *run)
{
	return (off_t)((run->chunk * CHUNK_SLOTS + run->first) * ARENA_PAGE);
}

/* --- bits ---------------------------------------------------------------- */

static uint64_t ready_word(const struct chunk *chunk, unsigned word)
{
	return chunk->present[word] & ~chunk->taken[word];
}

static uint64_t missing_word(const struct chunk *chunk, unsigned word)
{
	return ~chunk->present[word] & ~chunk->taken[word];
}

static void set_range(uint64_t *words, unsigned first, unsigned count,
		      bool value)
{
	for (unsigned i = first; i < first + count; i++) {
		uint64_t bit = UINT64_C(1) << i % WORD_BITS;

		if (value)
			words[i / WORD_BITS] |= bit;
		else
			words[i / WORD_BITS] &= ~bit;
	}
}

static void summary_set(struct summary *summary, size_t chunk, bool value)
{
	size_t word = chunk / WORD_BITS;
	uint64_t bit = UINT64_C(1) << chunk % WORD_BITS;

	if (!value) {
		summary->words[word] &= ~bit;
		return;
	}
	summary->words[word] |= bit;
	if (word < summary->lowest)
		summary->lowest = word;
}

/* Says anew in the summaries what the chunk has. */
static void summarise_locked(struct arena *arena, size_t at)
{
	const struct chunk *chunk = &arena->chunks[at];
	uint64_t ready = 0, missing = 0;

	for (unsigned word = 0; word < CHUNK_WORDS; word++) {
		ready |= ready_word(chunk, word);
		missing |= missing_word(chunk, word);
	}
	summary_set(&arena->ready, at, ready != 0);
	summary_set(&arena->missing, at, missing != 0);
}

/* The lowest chunk that has its bit set, or SIZE_MAX. */
static size_t lowest_chunk_locked(const struct arena *arena,
				  struct summary *summary)
{
	while (summary->lowest < arena->word_count) {
		uint64_t word = summary->words[summary->lowest];

		if (word)
			return summary->lowest * WORD_BITS +
			       (unsigned)__builtin_ctzll(word);
		summary->lowest++;
	}
	return SIZE_MAX;
}

/* The highest one below the chunk `below`, or SIZE_MAX. */
static size_t highest_chunk_locked(const struct summary *summary, size_t below)
{
	while (below > 0) {
		size_t at = (below - 1) / WORD_BITS;
		unsigned bits = (unsigned)(below - at * WORD_BITS);
		uint64_t word = summary->words[at];

		if (bits < WORD_BITS)
			word &= (UINT64_C(1) << bits) - 1;
		if (word)
			return at * WORD_BITS + WORD_BITS - 1 -
			       (unsigned)__builtin_clzll(word);
		below = at * WORD_BITS;
	}
	return SIZE_MAX;
}

/* --- a new one ----------------------------------------------------------- */

static int make_memory(uint64_t bytes)
{
	int fd = memfd_create("msyncfs-staged", MFD_CLOEXEC | MFD_NOEXEC_SEAL);

	if (fd < 0 && errno == EINVAL)
		fd = memfd_create("msyncfs-staged", MFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)bytes) < 0) {
		int error = -errno;

		close(fd);
		return error;
	}
	return fd;
}

static int make_tables(struct arena *arena, size_t slots)
{
	size_t chunks = (slots + CHUNK_SLOTS - 1) / CHUNK_SLOTS;
	unsigned rest = (unsigned)(chunks * CHUNK_SLOTS - slots);

	arena->chunk_count = chunks;
	arena->word_count = (chunks + WORD_BITS - 1) / WORD_BITS;
	arena->chunks = calloc(chunks, sizeof(*arena->chunks));
	arena->ready.words = calloc(arena->word_count, sizeof(uint64_t));
	arena->missing.words = calloc(arena->word_count, sizeof(uint64_t));
	if (!arena->chunks || !arena->ready.words || !arena->missing.words)
		return -ENOMEM;
	/* What is beyond the capacity stays busy for ever. */
	set_range(arena->chunks[chunks - 1].taken, CHUNK_SLOTS - rest, rest,
		true);
	for (size_t chunk = 0; chunk < chunks; chunk++)
		summary_set(&arena->missing, chunk, true);
	arena->ready.lowest = arena->word_count;
	return 0;
}

static int make(struct arena *arena, uint64_t slots)
{
	void *base;
	int error = make_tables(arena, (size_t)slots);

	if (error)
		return error;
	arena->fd = make_memory(slots * ARENA_PAGE);
	if (arena->fd < 0)
		return arena->fd;
	arena->length = (size_t)(slots * ARENA_PAGE);
	base = mmap(NULL, arena->length, PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_NORESERVE, arena->fd, 0);
	if (base == MAP_FAILED)
		return -errno;
	arena->base = base;
	return 0;
}

int arena_new(uint64_t capacity, struct arena **result)
{
	uint64_t slots = capacity / ARENA_PAGE;
	struct arena *arena;
	int error;

	if (slots == 0)
		return -EINVAL;
	/* The two numbers at the top are no slots: core/layer.h. */
	if (slots > ARENA_NONE - 1)
		slots = ARENA_NONE - 1;
	if (slots > SIZE_MAX / ARENA_PAGE)
		return -ENOMEM;
	arena = calloc(1, sizeof(*arena));
	if (!arena)
		return -ENOMEM;
	arena->fd = -1;
	error = -pthread_cond_init(&arena->settled, NULL);
	if (error) {
		free(arena);
		return error;
	}
	lock_init(&arena->lock);
	error = make(arena, slots);
	if (error) {
		arena_free(arena);
		return error;
	}
	*result = arena;
	return 0;
}

void arena_free(struct arena *arena)
{
	if (!arena)
		return;
	if (arena->base)
		munmap(arena->base, arena->length);
	cleanup_close(&arena->fd);
	free(arena->chunks);
	free(arena->ready.words);
	free(arena->missing.words);
	pthread_cond_destroy(&arena->settled);
	lock_fini(&arena->lock);
	free(arena);
}

/* --- memory for slots, and back ------------------------------------------ */

/* Makes the run busy, with the lock dropped for what comes next. */
static void begin_locked(struct arena *arena, const struct run *run)
{
	struct chunk *chunk = &arena->chunks[run->chunk];

	set_range(chunk->taken, run->first, run->count, true);
	set_range(chunk->present, run->first, run->count, false);
	summarise_locked(arena, run->chunk);
	arena->runs_busy++;
	lock_drop(&arena->lock, lock_rank_arena);
}

/* Frees a busy run; present: it has memory. Has the lock again afterwards. */
static void end_locked(struct arena *arena, const struct run *run,
		       bool present)
{
	struct chunk *chunk = &arena->chunks[run->chunk];

	lock_take(&arena->lock, lock_rank_arena);
	set_range(chunk->present, run->first, run->count, present);
	set_range(chunk->taken, run->first, run->count, false);
	summarise_locked(arena, run->chunk);
	if (present)
		arena->ready_bytes += run_bytes(run);
	arena->runs_busy--;
	pthread_cond_broadcast(&arena->settled);
}

/* The lowest run of missing slots, or false. */
static bool lowest_missing_locked(struct arena *arena, struct run *run)
{
	size_t at = lowest_chunk_locked(arena, &arena->missing);
	const struct chunk *chunk;
	unsigned slot = 0;

	if (at == SIZE_MAX)
		return false;
	chunk = &arena->chunks[at];
	while (!(missing_word(chunk, slot / WORD_BITS) >> slot % WORD_BITS & 1))
		slot++;
	run->chunk = at;
	run->first = slot;
	while (slot < CHUNK_SLOTS &&
		missing_word(chunk, slot / WORD_BITS) >> slot % WORD_BITS & 1)
		slot++;
	run->count = slot - run->first;
	return true;
}

/* Makes missing slots ready. False: there are none, or no memory. */
static bool fill_locked(struct arena *arena)
{
	struct run run;
	int result;

	if (!lowest_missing_locked(arena, &run))
		return false;
	arena->filling = true;
	begin_locked(arena, &run);
	do {
		result = fallocate(arena->fd, FALLOC_FL_KEEP_SIZE,
			run_offset(&run), (off_t)run_bytes(&run));
	} while (result < 0 && errno == EINTR);
	end_locked(arena, &run, result == 0);
	arena->filling = false;
	if (result == 0)
		arena->resident += run_bytes(&run);
	return result == 0;
}

/* Free memory that is more than arena_trim() leaves, in slots. */
static uint64_t excess_locked(const struct arena *arena)
{
	uint64_t keep = arena->used / KEEP_SHARE;

	if (keep < KEEP_BYTES)
		keep = KEEP_BYTES;
	/* Rounded up: at most that is kept. */
	return arena->ready_bytes <= keep ?
		       0 :
		       (arena->ready_bytes - keep + ARENA_PAGE - 1) /
			       ARENA_PAGE;
}

/* The highest run of at most so many ready slots of the chunk that has one. */
static void highest_ready_locked(const struct arena *arena, size_t at,
				 uint64_t most, struct run *run)
{
	const struct chunk *chunk = &arena->chunks[at];
	unsigned word = CHUNK_WORDS - 1;
	unsigned slot;

	while (!ready_word(chunk, word))
		word--;
	slot = word * WORD_BITS + WORD_BITS - 1 -
	       (unsigned)__builtin_clzll(ready_word(chunk, word));
	run->chunk = at;
	run->count = 1;
	while (slot > 0 && run->count < most &&
		ready_word(chunk, (slot - 1) / WORD_BITS) >>
			(slot - 1) % WORD_BITS & 1) {
		slot--;
		run->count++;
	}
	run->first = slot;
}

static bool is_all_ready(const struct chunk *chunk)
{
	for (unsigned word = 0; word < CHUNK_WORDS; word++) {
		if (~ready_word(chunk, word))
			return false;
	}
	return true;
}

static bool punch_locked(struct arena *arena, const struct run *run)
{
	int result;

	arena->ready_bytes -= run_bytes(run);
	begin_locked(arena, run);
	do {
		result = fallocate(arena->fd,
			FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			run_offset(run), (off_t)run_bytes(run));
	} while (result < 0 && errno == EINTR);
	end_locked(arena, run, result < 0);
	if (result == 0)
		arena->resident -= run_bytes(run);
	return result == 0;
}

/* From the top downwards; whole: only chunks that are free altogether. */
static void trim_locked(struct arena *arena, bool whole)
{
	size_t at = arena->chunk_count;
	uint64_t excess;
	struct run run;

	while ((excess = excess_locked(arena)) >= (whole ? CHUNK_SLOTS : 1) &&
		(at = highest_chunk_locked(&arena->ready, at)) != SIZE_MAX) {
		if (whole && !is_all_ready(&arena->chunks[at]))
			continue;
		highest_ready_locked(arena, at, excess, &run);
		if (!punch_locked(arena, &run))
			return;
		/* There may be another run in it. */
		at++;
	}
}

void arena_trim(struct arena *arena)
{
	lock_take(&arena->lock, lock_rank_arena);
	trim_locked(arena, true);
	trim_locked(arena, false);
	lock_drop(&arena->lock, lock_rank_arena);
}

/* --- slots --------------------------------------------------------------- */

static uint32_t take_locked(struct arena *arena, size_t at)
{
	struct chunk *chunk = &arena->chunks[at];
	unsigned word = 0;
	unsigned bit;

	while (!ready_word(chunk, word))
		word++;
	bit = (unsigned)__builtin_ctzll(ready_word(chunk, word));
	chunk->taken[word] |= UINT64_C(1) << bit;
	arena->ready_bytes -= ARENA_PAGE;
	arena->used += ARENA_PAGE;
	bit += word * WORD_BITS;
	while (word < CHUNK_WORDS && !ready_word(chunk, word))
		word++;
	if (word == CHUNK_WORDS)
		summary_set(&arena->ready, at, false);
	return (uint32_t)(at * CHUNK_SLOTS + bit);
}

uint32_t arena_take(struct arena *arena)
{
	uint32_t slot = ARENA_NONE;
	size_t chunk;

	lock_take(&arena->lock, lock_rank_arena);
	while ((chunk = lowest_chunk_locked(arena, &arena->ready)) ==
		SIZE_MAX) {
		bool missing = lowest_chunk_locked(arena, &arena->missing) !=
			       SIZE_MAX;

		if (missing && !arena->filling) {
			if (!fill_locked(arena))
				break;
		} else if (arena->runs_busy > 0) {
			pthread_cond_wait(&arena->settled, &arena->lock.mutex);
		} else {
			break;
		}
	}
	if (chunk != SIZE_MAX)
		slot = take_locked(arena, chunk);
	lock_drop(&arena->lock, lock_rank_arena);
	return slot;
}

void arena_give(struct arena *arena, uint32_t slot)
{
	size_t at = slot / CHUNK_SLOTS;
	unsigned word = slot % CHUNK_SLOTS / WORD_BITS;
	uint64_t bit = UINT64_C(1) << slot % WORD_BITS;
	struct chunk *chunk;

	assert(at < arena->chunk_count);
	lock_take(&arena->lock, lock_rank_arena);
	chunk = &arena->chunks[at];
	assert(chunk->taken[word] & chunk->present[word] & bit);
	chunk->taken[word] &= ~bit;
	arena->ready_bytes += ARENA_PAGE;
	arena->used -= ARENA_PAGE;
	summary_set(&arena->ready, at, true);
	lock_drop(&arena->lock, lock_rank_arena);
}

void *arena_page(const struct arena *arena, uint32_t slot)
{
	assert(slot < arena->length / ARENA_PAGE);
	return arena->base + (size_t)slot * ARENA_PAGE;
}

uint64_t arena_used(const struct arena *arena)
{
	return atomic_load_explicit(&arena->used, memory_order_relaxed);
}

uint64_t arena_resident(const struct arena *arena)
{
	return atomic_load_explicit(&arena->resident, memory_order_relaxed);
}
