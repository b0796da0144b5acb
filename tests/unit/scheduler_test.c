// SPDX-License-Identifier: Apache-2.0
#include "scheduler_probe.h"

#include <malloc.h>
#include <sys/resource.h>

/* ---- times -------------------------------------------------------------- */

static void items_run_in_the_order_of_their_due_times(void **state)
{
	enum { count = 100 };
	static struct probe probes[count];
	int64_t base;

	(void)state;
	/* One worker: the order of beginning is that of the queue. */
	scheduler = scheduler_new(1);
	assert_non_null(scheduler);
	runs_so_far = 0;
	base = clock_now() + 20 * MILLISECOND;
	for (unsigned i = 0; i < count; i++) {
		unsigned place = i * 37 % count;

		probe_init(&probes[place]);
		scheduler_want(scheduler, &probes[place].item,
			       base + place * 1000);
	}
	assert_int_equal(scheduler_start(scheduler, NULL, NULL), 0);
	await(runs_so_far == count);
	for (unsigned i = 0; i < count; i++) {
		assert_int_equal(probes[i].order, i + 1);
		assert_true(probes[i].began >= base + i * 1000);
	}
	end();
}

#define SOME 1000

static unsigned random_number(void)
{
	static unsigned seed = 1;

	seed = seed * 1103515245 + 12345;
	return seed >> 8;
}

/* What has run did so in the order of these times. */
static void ran_in_order(const struct probe *probes, const int64_t *times)
{
	int64_t by_order[SOME + 1] = { 0 };

	for (unsigned i = 0; i < SOME; i++)
		by_order[probes[i].order] = times[i];
	for (unsigned n = 2; n <= runs_so_far; n++)
		assert_true(by_order[n - 1] <= by_order[n]);
}

static void the_order_holds_when_items_go_and_times_change(void **state)
{
	static struct probe probes[SOME];
	static int64_t times[SOME];
	unsigned forgotten = 0;

	(void)state;
	start(1);
	for (unsigned i = 0; i < SOME; i++) {
		probe_init(&probes[i]);
		times[i] = clock_now() + HOUR + random_number() % 100000;
		scheduler_want(scheduler, &probes[i].item, times[i]);
	}
	assert_int_equal(look().waiting, SOME);
	for (unsigned i = 0; i < SOME; i++) {
		if (i % 4 == 0) {
			sync_item_forget(scheduler, &probes[i].item);
			forgotten++;
		} else if (i % 4 == 1) {
			times[i] -= random_number() % 100000;
			scheduler_want(scheduler, &probes[i].item, times[i]);
		}
	}
	assert_int_equal(look().waiting, SOME - forgotten);
	/* Stopping goes through them from the earliest on. */
	end();
	assert_int_equal(runs_so_far, SOME - forgotten);
	ran_in_order(probes, times);
}

static void an_item_runs_once_and_not_before_its_time(void **state)
{
	struct probe probe;
	int64_t due;

	(void)state;
	start(WORKERS);
	probe_init(&probe);
	due = clock_now() + 50 * MILLISECOND;
	scheduler_want(scheduler, &probe.item, due);
	await(probe.ended);
	assert_true(probe.began >= due);
	take_a_moment();
	assert_int_equal(probe.runs, 1);
	assert_int_equal(look().runs, 1);
	assert_int_equal(look().waiting, 0);
	assert_true(look().next_due == SYNC_NEVER);
	assert_true(look().latest >= 0 && look().latest < PATIENCE);
	end();
}

static void of_several_times_the_earliest_counts(void **state)
{
	struct probe probe;
	int64_t due;

	(void)state;
	start(WORKERS);
	probe_init(&probe);
	want(&probe, HOUR);
	assert_int_equal(look().waiting, 1);
	due = clock_now() + HOUR / 2;
	scheduler_want(scheduler, &probe.item, due);
	assert_true(look().next_due == due);
	want(&probe, 2 * HOUR);
	assert_true(look().next_due == due);
	assert_int_equal(look().waiting, 1);
	want(&probe, 10 * MILLISECOND);
	await(probe.ended);
	take_a_moment();
	assert_int_equal(probe.runs, 1);
	assert_int_equal(look().waiting, 0);
	end();
}

static void at_once_is_at_once_whatever_was_wanted_before(void **state)
{
	struct probe probe;

	(void)state;
	start(WORKERS);
	probe_init(&probe);
	for (unsigned round = 1; round <= 20; round++) {
		want(&probe, HOUR);
		scheduler_want(scheduler, &probe.item, SYNC_AT_ONCE);
		await(probe.runs == round);
	}
	await(look().running == 0);
	assert_int_equal(look().waiting, 0);
	end();
}

static void what_an_item_returns_is_its_next_time(void **state)
{
	struct probe probe;

	(void)state;
	start(WORKERS);
	probe_init(&probe);
	probe.again = 5 * MILLISECOND;
	want(&probe, 0);
	await(probe.runs >= 5);
	sync_item_forget(scheduler, &probe.item);
	assert_false(probe.overlapped);
	end();
}

/* ---- while it runs ------------------------------------------------------ */

static void what_is_wanted_during_a_run_runs_again_afterwards(void **state)
{
	struct probe probe;

	(void)state;
	start(WORKERS);
	probe_init(&probe);
	probe.act = at_gate;
	want(&probe, 0);
	await(probe.inside);
	scheduler_want(scheduler, &probe.item, SYNC_AT_ONCE);
	want(&probe, 0);
	take_a_moment();
	assert_int_equal(probe.runs, 1);
	sem_post(&probe.gate);
	await(probe.runs == 2);
	sem_post(&probe.gate);
	await(look().running == 0);
	assert_int_equal(probe.runs, 2);
	assert_false(probe.overlapped);
	end();
}

static void the_earlier_of_wanted_and_returned_counts(void **state)
{
	struct probe probe;
	int64_t due;

	(void)state;
	start(WORKERS);
	probe_init(&probe);
	probe.act = at_gate;
	probe.again = HOUR;
	want(&probe, 0);
	await(probe.inside);
	due = clock_now() + HOUR / 2;
	scheduler_want(scheduler, &probe.item, due);
	sem_post(&probe.gate);
	await(look().running == 0);
	assert_true(look().next_due == due);
	sync_item_forget(scheduler, &probe.item);

	due = clock_now();
	want(&probe, 0);
	await(probe.inside);
	want(&probe, 2 * HOUR);
	sem_post(&probe.gate);
	await(look().running == 0);
	assert_in_range(look().next_due - due, HOUR, HOUR + PATIENCE);
	sync_item_forget(scheduler, &probe.item);
	end();
}

static void a_slow_item_delays_no_other(void **state)
{
	enum { count = 50 };
	static struct probe slow[WORKERS - 1], probes[count];

	(void)state;
	start(WORKERS);
	for (unsigned i = 0; i < WORKERS - 1; i++) {
		probe_init(&slow[i]);
		slow[i].act = at_gate;
		want(&slow[i], 0);
	}
	for (unsigned i = 0; i < WORKERS - 1; i++)
		await(slow[i].inside);
	for (unsigned i = 0; i < count; i++) {
		probe_init(&probes[i]);
		want(&probes[i], i * MILLISECOND / 10);
	}
	for (unsigned i = 0; i < count; i++)
		await(probes[i].ended);
	for (unsigned i = 0; i < WORKERS - 1; i++) {
		assert_true(slow[i].inside);
		sem_post(&slow[i].gate);
	}
	end();
}

static void more_slow_items_than_workers_wait_for_one(void **state)
{
	enum { count = 3 * WORKERS };
	static struct probe probes[count];

	(void)state;
	start(WORKERS);
	for (unsigned i = 0; i < count; i++) {
		probe_init(&probes[i]);
		probes[i].act = at_gate;
		want(&probes[i], 0);
	}
	await(look().running == WORKERS);
	take_a_moment();
	assert_int_equal(look().running, WORKERS);
	assert_int_equal(look().threads, WORKERS);
	assert_int_equal(look().waiting, count - WORKERS);
	for (unsigned i = 0; i < count; i++)
		sem_post(&probes[i].gate);
	await(look().runs == count);
	assert_int_equal(look().threads, WORKERS);
	end();
}

/* ---- idle --------------------------------------------------------------- */

static void nothing_wakes_while_nothing_is_due(void **state)
{
	struct probe probe;
	uint64_t wakes;

	(void)state;
	start(WORKERS);
	take_a_moment();
	assert_int_equal(look().wakes, 0);
	assert_int_equal(look().threads, 0);
	probe_init(&probe);
	want(&probe, 0);
	await(look().runs == 1);
	want(&probe, HOUR);
	take_a_moment();
	wakes = look().wakes;
	usleep(500000);
	assert_int_equal(look().wakes, wakes);
	end();
}

static void later_times_wake_nobody(void **state)
{
	enum { count = 1000 };
	static struct probe probes[count];
	uint64_t wakes;

	(void)state;
	start(WORKERS);
	probe_init(&probes[0]);
	want(&probes[0], HOUR);
	take_a_moment();
	wakes = look().wakes;
	for (unsigned i = 1; i < count; i++) {
		probe_init(&probes[i]);
		want(&probes[i], HOUR + SECOND + i);
	}
	/* Nor do times that are later than what the item is there for. */
	for (unsigned i = 0; i < count; i++)
		want(&probes[i], 2 * HOUR);
	take_a_moment();
	assert_int_equal(look().wakes, wakes);
	assert_int_equal(look().waiting, count);
	for (unsigned i = 0; i < count; i++)
		sync_item_forget(scheduler, &probes[i].item);
	assert_int_equal(look().waiting, 0);
	assert_int_equal(look().runs, 0);
	end();
}

/* ---- without memory ----------------------------------------------------- */

#define FAR_TOO_MANY 50000

/* In a child: RLIMIT_AS is the process's. */
static int want_without_memory(void *argument)
{
	const struct rlimit nothing = { .rlim_cur = 1, .rlim_max = 1 };
	struct probe *probes = argument;
	int64_t patience;

	/* A thread's own arena has its address space already. */
	mallopt(M_ARENA_MAX, 1);
	/* Two items make the worker's thread exist. */
	start(1);
	for (unsigned i = 0; i < 2; i++)
		want(&probes[i], 0);
	while (look().runs < 2)
		usleep(500);
	setrlimit(RLIMIT_AS, &nothing);
	for (unsigned i = 0; i < FAR_TOO_MANY; i++)
		want(&probes[i], HOUR);
	patience = clock_now() + PATIENCE;
	while (look().runs <= 2 && clock_now() < patience)
		usleep(500);
	expect(look().runs > 2);
	scheduler_stop(scheduler);
	for (unsigned i = 0; i < FAR_TOO_MANY; i++)
		expect(probes[i].runs == (i < 2 ? 2 : 1));
	return 0;
}

static void what_memory_is_missing_for_runs_at_once(void **state)
{
	struct probe *probes;

	(void)state;
	if (SANITIZED)
		skip_because("n/a: a sanitizer needs its memory");
	probes = calloc(FAR_TOO_MANY, sizeof(*probes));
	assert_non_null(probes);
	for (unsigned i = 0; i < FAR_TOO_MANY; i++)
		probe_init(&probes[i]);
	assert_int_equal(in_child(want_without_memory, probes), 0);
	free(probes);
}

/* In a child. */
static int run_without_threads(void *argument)
{
	const struct rlimit nothing = { .rlim_cur = 1, .rlim_max = 1 };
	struct probe *probes = argument;

	entered = left = 0;
	scheduler = scheduler_new(WORKERS);
	expect(scheduler);
	expect(scheduler_start(scheduler, enter, leave) == 0);
	/* No address space, no stack for a worker. */
	setrlimit(RLIMIT_AS, &nothing);
	for (unsigned i = 0; i < 10; i++)
		want(&probes[i], i * MILLISECOND);
	while (look().runs < 10)
		usleep(500);
	want(&probes[0], HOUR);
	expect(look().threads == 0);
	scheduler_stop(scheduler);
	expect(probes[0].runs == 2);
	expect(entered > 0 && entered == left);
	return 0;
}

static void without_a_thread_the_owner_does_the_work(void **state)
{
	static struct probe probes[10];

	(void)state;
	if (SANITIZED)
		skip_because("n/a: a sanitizer needs its memory");
	for (unsigned i = 0; i < 10; i++)
		probe_init(&probes[i]);
	assert_int_equal(in_child(run_without_threads, probes), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		/* First: threads that have ended leave memory behind. */
		cmocka_unit_test(what_memory_is_missing_for_runs_at_once),
		cmocka_unit_test(without_a_thread_the_owner_does_the_work),
		cmocka_unit_test(items_run_in_the_order_of_their_due_times),
		cmocka_unit_test(
			the_order_holds_when_items_go_and_times_change),
		cmocka_unit_test(an_item_runs_once_and_not_before_its_time),
		cmocka_unit_test(of_several_times_the_earliest_counts),
		cmocka_unit_test(at_once_is_at_once_whatever_was_wanted_before),
		cmocka_unit_test(what_an_item_returns_is_its_next_time),
		cmocka_unit_test(
			what_is_wanted_during_a_run_runs_again_afterwards),
		cmocka_unit_test(the_earlier_of_wanted_and_returned_counts),
		cmocka_unit_test(a_slow_item_delays_no_other),
		cmocka_unit_test(more_slow_items_than_workers_wait_for_one),
		cmocka_unit_test(nothing_wakes_while_nothing_is_due),
		cmocka_unit_test(later_times_wake_nobody),
	};

	return cmocka_run_group_tests_name("scheduler", tests, NULL, NULL);
}
