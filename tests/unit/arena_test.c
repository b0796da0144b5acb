// SPDX-License-Identifier: Apache-2.0
/*
 * Linked with --wrap for the calls that fail here when they are told to; what
 * the memfd holds is asked of the kernel.
 */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/arena.h"
#include "random.h"

#define MIB	    (UINT64_C(1) << 20)
#define CHUNK	    MIB
#define MEMORY_NAME "memfd:msyncfs-staged"

/* --- calls that fail ----------------------------------------------------- */

static int fill_error, punch_error, memfd_error, mmap_error;
static unsigned calls_failed;
static unsigned fills;
static unsigned fill_takes_us; /* longer than it does anyway */

static bool fails(int error)
{
	if (!error)
		return false;
	__atomic_add_fetch(&calls_failed, 1, __ATOMIC_RELAXED);
	errno = error;
	return true;
}

int __real_fallocate64(int fd, int mode, off_t offset, off_t length);
int __wrap_fallocate64(int fd, int mode, off_t offset, off_t length);
int __real_memfd_create(const char *name, unsigned flags);
int __wrap_memfd_create(const char *name, unsigned flags);
void *__real_mmap64(void *base, size_t length, int protection, int flags,
		    int fd, off_t offset);
void *__wrap_mmap64(void *base, size_t length, int protection, int flags,
		    int fd, off_t offset);

int __wrap_fallocate64(int fd, int mode, off_t offset, off_t length)
{
	bool fill = !(mode & FALLOC_FL_PUNCH_HOLE);

	if (fails(fill ? fill_error : punch_error))
		return -1;
	if (fill) {
		__atomic_add_fetch(&fills, 1, __ATOMIC_RELAXED);
		usleep(fill_takes_us);
	}
	return __real_fallocate64(fd, mode, offset, length);
}

int __wrap_memfd_create(const char *name, unsigned flags)
{
	/* EINVAL: an old kernel, which knows MFD_CLOEXEC only. */
	if (memfd_error == EINVAL ? flags != MFD_CLOEXEC && fails(EINVAL) :
				    fails(memfd_error))
		return -1;
	return __real_memfd_create(name, flags);
}

void *__wrap_mmap64(void *base, size_t length, int protection, int flags,
		    int fd, off_t offset)
{
	if (fails(mmap_error))
		return MAP_FAILED;
	return __real_mmap64(base, length, protection, flags, fd, offset);
}

/* --- helpers ------------------------------------------------------------- */

static struct arena *new_arena(uint64_t capacity)
{
	struct arena *arena = NULL;

	assert_int_equal(arena_new(capacity, &arena), 0);
	assert_non_null(arena);
	return arena;
}

/* What the kernel says the only arena's memfd holds, in bytes. */
static uint64_t held(void)
{
	char link[64], target[256];
	struct stat status;

	for (int fd = 0; fd < PLACE_DESCRIPTORS_MAX; fd++) {
		ssize_t length;

		snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
		length = readlink(link, target, sizeof(target) - 1);
		if (length < 0)
			continue;
		target[length] = '\0';
		if (!strstr(target, MEMORY_NAME))
			continue;
		assert_int_equal(fstat(fd, &status), 0);
		return (uint64_t)status.st_blocks * 512;
	}
	fail_msg("there is no arena");
	return 0;
}

static uint32_t take(struct arena *arena)
{
	uint32_t slot = arena_take(arena);

	assert_int_not_equal(slot, ARENA_NONE);
	return slot;
}

/* Takes count slots, with their numbers written into them. */
static uint32_t *take_many(struct arena *arena, size_t count)
{
	uint32_t *slots = malloc(count * sizeof(*slots));

	assert_non_null(slots);
	for (size_t i = 0; i < count; i++) {
		slots[i] = take(arena);
		memset(arena_page(arena, slots[i]), 0, ARENA_PAGE);
		memcpy(arena_page(arena, slots[i]), &slots[i], sizeof(*slots));
	}
	return slots;
}

static void give_many(struct arena *arena, const uint32_t *slots, size_t count)
{
	for (size_t i = 0; i < count; i++)
		arena_give(arena, slots[i]);
}

static bool is_intact(const struct arena *arena, uint32_t slot)
{
	return memcmp(arena_page(arena, slot), &slot, sizeof(slot)) == 0;
}

static uint64_t kept_at_most(const struct arena *arena)
{
	uint64_t share = arena_used(arena) / 32;

	return share > MIB ? share : MIB;
}

static double now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static int no_arena_is_left(void **state)
{
	fill_error = punch_error = memfd_error = mmap_error = 0;
	fill_takes_us = 0;
	if (mappings_of(MEMORY_NAME) != 0) {
		print_message("# an arena was left mapped\n");
		place_teardown(state);
		return -1;
	}
	return place_teardown(state);
}

/* --- tests --------------------------------------------------------------- */

static void a_slot_keeps_its_page(void **state)
{
	struct arena *arena = new_arena(8 * MIB);
	uint32_t *slots = take_many(arena, 2048);

	(void)state;
	for (size_t i = 0; i < 2048; i++) {
		assert_int_equal((uintptr_t)arena_page(arena, slots[i]) %
					 ARENA_PAGE, 0);
		assert_true(is_intact(arena, slots[i]));
	}
	assert_int_equal(arena_used(arena), 8 * MIB);
	free(slots);
	arena_free(arena);
}

static void the_capacity_is_the_most_it_holds(void **state)
{
	/* Neither whole chunks nor whole pages. */
	uint64_t capacity = 2 * MIB + 5 * ARENA_PAGE + 4095;
	struct arena *arena = new_arena(capacity);
	uint32_t *slots = take_many(arena, 517);

	(void)state;
	assert_int_equal(arena_take(arena), ARENA_NONE);
	assert_int_equal(arena_take(arena), ARENA_NONE);
	assert_int_equal(arena_used(arena), 517 * ARENA_PAGE);
	assert_int_equal(arena_resident(arena), 517 * ARENA_PAGE);
	assert_int_equal(held(), 517 * ARENA_PAGE);
	arena_give(arena, slots[300]);
	assert_int_equal(arena_take(arena), slots[300]);
	assert_int_equal(arena_take(arena), ARENA_NONE);
	free(slots);
	arena_free(arena);
}

static void a_capacity_of_less_than_a_page_is_refused(void **state)
{
	struct arena *arena;

	(void)state;
	assert_int_equal(arena_new(0, &arena), -EINVAL);
	assert_int_equal(arena_new(ARENA_PAGE - 1, &arena), -EINVAL);
	arena = new_arena(ARENA_PAGE);
	assert_int_equal(take(arena), 0);
	assert_int_equal(arena_take(arena), ARENA_NONE);
	arena_free(arena);
}

static void a_large_one_costs_nothing_before_it_is_used(void **state)
{
	struct arena *arena = new_arena(UINT64_C(1) << 40);

	(void)state;
	assert_int_equal(held(), 0);
	assert_int_equal(arena_resident(arena), 0);
	*(char *)arena_page(arena, take(arena)) = 1;
	assert_int_equal(held(), CHUNK);
	arena_free(arena);
}

static void no_more_than_a_chunk_is_held_ahead(void **state)
{
	struct arena *arena = new_arena(16 * MIB);

	(void)state;
	for (unsigned i = 1; i <= 4096; i++) {
		memset(arena_page(arena, take(arena)), 1, ARENA_PAGE);
		assert_int_equal(arena_used(arena), i * ARENA_PAGE);
		assert_true(arena_resident(arena) - arena_used(arena) < CHUNK);
		if (i % 100 == 0)
			assert_int_equal(held(), arena_resident(arena));
	}
	arena_free(arena);
}

static void the_lowest_free_slot_is_taken_first(void **state)
{
	struct arena *arena = new_arena(4 * MIB);
	uint32_t *slots = take_many(arena, 1024);

	(void)state;
	arena_give(arena, slots[900]);
	arena_give(arena, slots[130]);
	arena_give(arena, slots[700]);
	arena_give(arena, slots[131]);
	assert_int_equal(arena_take(arena), slots[130]);
	assert_int_equal(arena_take(arena), slots[131]);
	assert_int_equal(arena_take(arena), slots[700]);
	assert_int_equal(arena_take(arena), slots[900]);
	free(slots);
	arena_free(arena);
}

static void trimming_gives_memory_back_to_the_system(void **state)
{
	struct arena *arena = new_arena(64 * MIB);
	uint32_t *slots = take_many(arena, 64 * 256);

	(void)state;
	assert_int_equal(held(), 64 * MIB);
	give_many(arena, slots, 64 * 256);
	assert_int_equal(held(), 64 * MIB);
	arena_trim(arena);
	assert_int_equal(held(), MIB);
	assert_int_equal(arena_resident(arena), MIB);
	free(slots);
	slots = take_many(arena, 64 * 256);
	assert_int_equal(arena_take(arena), ARENA_NONE);
	for (size_t i = 0; i < 64 * 256; i++)
		assert_true(is_intact(arena, slots[i]));
	free(slots);
	arena_free(arena);
}

static void trimming_leaves_a_few_percent_and_what_is_used(void **state)
{
	struct arena *arena = new_arena(64 * MIB);
	uint32_t *slots = take_many(arena, 64 * 256);

	(void)state;
	/* Never two in a row; a share of what stays is more than 1 MiB. */
	for (size_t i = 0; i < 64 * 256; i += 3)
		arena_give(arena, slots[i]);
	arena_trim(arena);
	assert_int_equal(held(), arena_resident(arena));
	assert_true(arena_resident(arena) - arena_used(arena) <=
		    kept_at_most(arena));
	/* Nor much less than that. */
	assert_true(arena_resident(arena) - arena_used(arena) >=
		    kept_at_most(arena) - 2 * ARENA_PAGE);
	assert_true(kept_at_most(arena) > MIB);
	/* All of it is there again. */
	for (size_t i = 0; i < 64 * 256; i += 3)
		memset(arena_page(arena, take(arena)), 1, ARENA_PAGE);
	assert_int_equal(arena_take(arena), ARENA_NONE);
	for (size_t i = 0; i < 64 * 256; i++)
		assert_true(i % 3 == 0 || is_intact(arena, slots[i]));
	free(slots);
	arena_free(arena);
}

static void a_trimmed_one_wastes_five_percent_at_most(void **state)
{
	struct arena *arena = new_arena(128 * MIB);
	size_t count = 40 * 256;
	uint32_t *slots = take_many(arena, count);
	uint64_t seed = RANDOM_SEED;

	(void)state;
	/* Commits: some pages go, others come, and then it is trimmed. */
	for (unsigned round = 0; round < 50; round++) {
		size_t gone = random_between(&seed, 1, count / 2);
		uint32_t *more;

		for (size_t i = 0; i < gone; i++) {
			size_t which = random_next(&seed) % (count - i);
			uint32_t slot = slots[which];

			slots[which] = slots[count - 1 - i];
			slots[count - 1 - i] = slot;
			arena_give(arena, slot);
		}
		arena_trim(arena);
		more = take_many(arena, gone);
		memcpy(slots + count - gone, more, gone * sizeof(*slots));
		free(more);
		assert_int_equal(held(), arena_resident(arena));
		assert_true((double)held() <= 1.05 * (double)arena_used(arena));
	}
	for (size_t i = 0; i < count; i++)
		assert_true(is_intact(arena, slots[i]));
	free(slots);
	arena_free(arena);
}

static void without_memory_there_is_no_slot(void **state)
{
	static const int errors[] = { ENOSPC, ENOMEM };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct arena *arena = new_arena(4 * MIB);
		uint32_t *slots = take_many(arena, 256);

		fill_error = errors[i];
		calls_failed = 0;
		assert_int_equal(arena_take(arena), ARENA_NONE);
		assert_int_equal(calls_failed, 1);
		assert_int_equal(arena_resident(arena), MIB);
		/* What is there is still handed out. */
		arena_give(arena, slots[7]);
		assert_int_equal(arena_take(arena), slots[7]);
		assert_int_equal(arena_take(arena), ARENA_NONE);
		fill_error = 0;
		assert_int_equal(take(arena), 256);
		free(slots);
		arena_free(arena);
	}
}

static void memory_that_can_not_be_given_back_stays_in_use(void **state)
{
	struct arena *arena = new_arena(8 * MIB);
	uint32_t *slots = take_many(arena, 2048);

	(void)state;
	give_many(arena, slots, 2048);
	punch_error = ENOMEM;
	calls_failed = 0;
	arena_trim(arena);
	assert_true(calls_failed > 0);
	assert_int_equal(arena_resident(arena), 8 * MIB);
	punch_error = 0;
	fill_error = ENOSPC;
	free(slots);
	slots = take_many(arena, 2048);
	give_many(arena, slots, 2048);
	arena_trim(arena);
	assert_int_equal(arena_resident(arena), MIB);
	assert_int_equal(held(), MIB);
	free(slots);
	arena_free(arena);
}

static void one_that_can_not_be_made_leaves_nothing(void **state)
{
	struct arena *arena;

	(void)state;
	memfd_error = EMFILE;
	assert_int_equal(arena_new(MIB, &arena), -EMFILE);
	memfd_error = 0;
	mmap_error = ENOMEM;
	assert_int_equal(arena_new(MIB, &arena), -ENOMEM);
}

static void a_kernel_that_knows_no_noexec_will_do(void **state)
{
	struct arena *arena;

	(void)state;
	memfd_error = EINVAL;
	calls_failed = 0;
	arena = new_arena(MIB);
	assert_int_equal(calls_failed, 1);
	assert_int_equal(take(arena), 0);
	arena_free(arena);
}

/* --- threads ------------------------------------------------------------- */

#define THREADS 8

static int churn(void *argument, unsigned number)
{
	struct arena *arena = argument;
	uint64_t seed = RANDOM_SEED + number;
	uint32_t slots[256];
	size_t count = 0;

	for (unsigned i = 0; i < 20000; i++) {
		bool grow = random_next(&seed) % 256 >= count;

		if (grow && count < 256) {
			uint32_t slot = arena_take(arena);

			if (slot == ARENA_NONE)
				continue;
			memcpy(arena_page(arena, slot), &slot, sizeof(slot));
			slots[count++] = slot;
		} else if (count > 0) {
			size_t which = random_next(&seed) % count;

			expect(is_intact(arena, slots[which]));
			arena_give(arena, slots[which]);
			slots[which] = slots[--count];
		}
		if (i % 1024 == number)
			arena_trim(arena);
	}
	while (count > 0) {
		expect(is_intact(arena, slots[--count]));
		arena_give(arena, slots[count]);
	}
	return 0;
}

static void threads_never_share_a_slot(void **state)
{
	/* Less than they want together. */
	struct arena *arena = new_arena(900 * ARENA_PAGE);

	(void)state;
	assert_int_equal(in_threads(THREADS, churn, arena), 0);
	assert_int_equal(arena_used(arena), 0);
	arena_trim(arena);
	assert_int_equal(held(), arena_resident(arena));
	assert_true(arena_resident(arena) <= MIB);
	arena_free(arena);
}

static int take_all(void *argument, unsigned number)
{
	struct arena *arena = argument;
	int count = 0;

	while (arena_take(arena) != ARENA_NONE) {
		count++;
		if (number % 4 == 0)
			arena_trim(arena);
	}
	return count;
}

static void threads_get_all_of_it_together(void **state)
{
	(void)state;
	for (unsigned round = 0; round < 20; round++) {
		struct arena *arena = new_arena(3 * MIB + 9 * ARENA_PAGE);
		uint32_t *slots = take_many(arena, 777);

		/* So that there is something to trim meanwhile. */
		give_many(arena, slots, 777);
		free(slots);
		assert_int_equal(in_threads(THREADS, take_all, arena), 777);
		assert_int_equal(held(), 777 * ARENA_PAGE);
		arena_free(arena);
	}
}

static int take_one(void *argument, unsigned number)
{
	(void)number;
	return arena_take(argument) != ARENA_NONE;
}

static void threads_wait_for_the_one_that_fills(void **state)
{
	static const uint64_t capacities[] = {
		4 * MIB, /* others could fill, too */
		THREADS * ARENA_PAGE, /* there is nothing left to fill */
	};

	(void)state;
	fill_takes_us = 20000;
	for (size_t i = 0; i < 2; i++) {
		struct arena *arena = new_arena(capacities[i]);

		fills = 0;
		assert_int_equal(in_threads(THREADS, take_one, arena), THREADS);
		assert_int_equal(fills, 1);
		arena_free(arena);
	}
}

/* --- speed --------------------------------------------------------------- */

static double copy_ms(struct arena *arena, uint32_t *slots, const char *from)
{
	double begin = now_ms();

	for (size_t i = 0; i < 64 * 256; i++) {
		slots[i] = take(arena);
		memcpy(arena_page(arena, slots[i]), from, ARENA_PAGE);
	}
	return now_ms() - begin;
}

/* Printed, not judged: machines differ. */
static void how_fast_it_is(void **state)
{
	struct arena *arena = new_arena(64 * MIB);
	uint32_t *slots = malloc(64 * 256 * sizeof(*slots));
	static char from[ARENA_PAGE] = "x";
	double fresh, begin, give, used, trim;

	(void)state;
	assert_non_null(slots);
	fresh = copy_ms(arena, slots, from);
	begin = now_ms();
	give_many(arena, slots, 64 * 256);
	give = now_ms() - begin;
	used = copy_ms(arena, slots, from);
	give_many(arena, slots, 64 * 256);
	begin = now_ms();
	arena_trim(arena);
	trim = now_ms() - begin;
	print_message("# 64 MiB copied into fresh slots %.1f ms, into used "
		      "ones %.1f ms; given %.1f ms, trimmed %.1f ms\n",
		fresh, used, give, trim);
	free(slots);
	arena_free(arena);
}

#define arena_test(name)                                                       \
	cmocka_unit_test_setup_teardown(name, place_setup, no_arena_is_left)

int main(void)
{
	const struct CMUnitTest tests[] = {
		arena_test(a_slot_keeps_its_page),
		arena_test(the_capacity_is_the_most_it_holds),
		arena_test(a_capacity_of_less_than_a_page_is_refused),
		arena_test(a_large_one_costs_nothing_before_it_is_used),
		arena_test(no_more_than_a_chunk_is_held_ahead),
		arena_test(the_lowest_free_slot_is_taken_first),
		arena_test(trimming_gives_memory_back_to_the_system),
		arena_test(trimming_leaves_a_few_percent_and_what_is_used),
		arena_test(a_trimmed_one_wastes_five_percent_at_most),
		arena_test(without_memory_there_is_no_slot),
		arena_test(memory_that_can_not_be_given_back_stays_in_use),
		arena_test(one_that_can_not_be_made_leaves_nothing),
		arena_test(a_kernel_that_knows_no_noexec_will_do),
		arena_test(threads_never_share_a_slot),
		arena_test(threads_get_all_of_it_together),
		arena_test(threads_wait_for_the_one_that_fills),
		arena_test(how_fast_it_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
