// SPDX-License-Identifier: Apache-2.0
#include "scheduler_probe.h"

/* ---- forgetting --------------------------------------------------------- */

static void a_forgotten_item_does_not_run(void **state)
{
	enum { count = 100 };
	static struct probe probes[count];

	(void)state;
	start(WORKERS);
	for (unsigned i = 0; i < count; i++) {
		probe_init(&probes[i]);
		want(&probes[i], 200 * MILLISECOND + i * 1000);
	}
	for (unsigned i = 0; i < count; i += 2)
		sync_item_forget(scheduler, &probes[i].item);
	for (unsigned i = 1; i < count; i += 2)
		await(probes[i].ended);
	for (unsigned i = 0; i < count; i++)
		assert_int_equal(probes[i].runs, i % 2);
	/* It is as new. */
	want(&probes[0], 0);
	await(probes[0].runs == 1);
	end();
}

static void *forget_other(void *argument)
{
	struct probe *probe = argument;

	sync_item_forget(scheduler, &probe->item);
	assert_false(probe->inside);
	probe->ended = false;
	return NULL;
}

static void forgetting_waits_for_a_run_to_end(void **state)
{
	struct probe probe;
	pthread_t thread;

	(void)state;
	start(WORKERS);
	probe_init(&probe);
	probe.act = at_gate;
	probe.again = MILLISECOND;
	want(&probe, 0);
	await(probe.inside);
	assert_int_equal(pthread_create(&thread, NULL, forget_other, &probe),
		0);
	take_a_moment();
	assert_true(probe.inside);
	sem_post(&probe.gate);
	pthread_join(thread, NULL);
	take_a_moment();
	assert_int_equal(probe.runs, 1);
	assert_int_equal(look().waiting, 0);
	end();
}

static void forget_itself(struct probe *probe)
{
	sync_item_forget(scheduler, &probe->item);
}

static void an_item_may_forget_itself(void **state)
{
	struct probe probe;

	(void)state;
	start(WORKERS);
	probe_init(&probe);
	probe.act = forget_itself;
	probe.again = MILLISECOND;
	want(&probe, 0);
	await(look().runs == 1);
	take_a_moment();
	assert_int_equal(probe.runs, 1);
	end();
}

static void forget_the_other(struct probe *probe)
{
	sync_item_forget(scheduler, &probe->other->item);
}

static void an_item_may_forget_another(void **state)
{
	struct probe slow, other;

	(void)state;
	start(WORKERS);
	probe_init(&slow);
	probe_init(&other);
	slow.act = at_gate;
	slow.again = HOUR;
	other.act = forget_the_other;
	other.other = &slow;
	want(&slow, 0);
	await(slow.inside);
	want(&other, 0);
	await(other.inside);
	take_a_moment();
	assert_true(other.inside);
	sem_post(&slow.gate);
	await(other.ended);
	assert_int_equal(look().waiting, 0);
	end();
}

static _Atomic unsigned freed;

static int64_t run_and_free(struct sync_item *item)
{
	/* Who looks at it again is to notice. */
	explicit_bzero(item, sizeof(*item));
	free(item);
	freed++;
	return clock_now();
}

static void an_item_for_once_may_free_itself(void **state)
{
	enum { count = 1000 };

	(void)state;
	start(WORKERS);
	freed = 0;
	for (unsigned i = 0; i < count; i++) {
		struct sync_item *item = malloc(sizeof(*item));

		assert_non_null(item);
		sync_item_init(item, run_and_free);
		item->once = true;
		scheduler_want(scheduler, item,
			       i % 2 ? SYNC_AT_ONCE : clock_now() + i);
	}
	await(freed == count);
	end();
}

static void it_is_gone_from_the_inbox_as_well(void **state)
{
	struct sync_item *item = malloc(sizeof(*item));
	struct probe probe;

	(void)state;
	assert_non_null(item);
	start(WORKERS);
	freed = 0;
	probe_init(&probe);
	/* A worker is there, so that the owner isn't asked for one. */
	want(&probe, 0);
	await(look().runs == 1);
	want(&probe, HOUR);
	take_a_moment();
	sync_item_init(item, run_and_free);
	item->once = true;
	/* Later than what the owner sleeps for: it stays in the inbox. */
	scheduler_want(scheduler, item, clock_now() + 2 * HOUR);
	scheduler_want(scheduler, item, SYNC_AT_ONCE);
	await(freed == 1);
	assert_int_equal(look().waiting, 1);
	end();
	assert_int_equal(freed, 1);
}

/* ---- stopping ----------------------------------------------------------- */

static void stopping_runs_what_is_wanted_however_late(void **state)
{
	enum { count = 300 };
	static struct probe probes[count];

	(void)state;
	start(WORKERS);
	for (unsigned i = 0; i < count; i++) {
		probe_init(&probes[i]);
		if (i % 3)
			want(&probes[i], HOUR + i);
	}
	scheduler_stop(scheduler);
	for (unsigned i = 0; i < count; i++)
		assert_int_equal(probes[i].runs, i % 3 != 0);
	want(&probes[0], 0);
	take_a_moment();
	assert_int_equal(probes[0].runs, 0);
	sync_item_forget(scheduler, &probes[0].item);
	scheduler_free(scheduler);
}

static void want_the_other(struct probe *probe)
{
	want(probe->other, HOUR);
}

static void what_is_wanted_while_stopping_runs_once_more(void **state)
{
	struct probe endless, first, second;

	(void)state;
	start(WORKERS);
	probe_init(&endless);
	endless.again = 1;
	probe_init(&first);
	probe_init(&second);
	first.act = want_the_other;
	first.other = &second;
	want(&first, HOUR);
	/* Not before the stop: it is in an hour first. */
	want(&endless, HOUR);
	end();
	assert_int_equal(endless.runs, 2);
	assert_int_equal(first.runs, 1);
	assert_int_equal(second.runs, 1);
}

static void *open_gate_later(void *argument)
{
	struct probe *probe = argument;

	take_a_moment();
	sem_post(&probe->gate);
	return NULL;
}

static void stopping_waits_for_a_slow_run(void **state)
{
	struct probe probe;
	pthread_t thread;

	(void)state;
	start(WORKERS);
	probe_init(&probe);
	probe.act = at_gate;
	want(&probe, 0);
	await(probe.inside);
	assert_int_equal(pthread_create(&thread, NULL, open_gate_later,
		&probe), 0);
	end();
	assert_true(probe.ended);
	assert_int_equal(probe.runs, 1);
	pthread_join(thread, NULL);
}

static void a_scheduler_that_was_never_started_stops(void **state)
{
	struct probe probe;

	(void)state;
	scheduler = scheduler_new(WORKERS);
	assert_non_null(scheduler);
	probe_init(&probe);
	want(&probe, HOUR);
	sync_item_forget(scheduler, &probe.item);
	end();
}

static void each_worker_enters_and_leaves(void **state)
{
	static struct probe probes[WORKERS];

	(void)state;
	entered = left = 0;
	scheduler = scheduler_new(WORKERS);
	assert_non_null(scheduler);
	assert_int_equal(scheduler_start(scheduler, enter, leave), 0);
	for (unsigned i = 0; i < WORKERS; i++) {
		probe_init(&probes[i]);
		probes[i].act = at_gate;
		want(&probes[i], 0);
	}
	await(look().running == WORKERS);
	assert_int_equal(entered, WORKERS);
	assert_int_equal(left, 0);
	for (unsigned i = 0; i < WORKERS; i++)
		sem_post(&probes[i].gate);
	end();
	assert_int_equal(left, WORKERS);
}

/* ---- many --------------------------------------------------------------- */

#define MANY 10000

static void ten_thousand_items_due_at_one_time_all_run(void **state)
{
	struct probe *probes = calloc(MANY, sizeof(*probes));
	int64_t due;

	(void)state;
	assert_non_null(probes);
	start(WORKERS);
	due = clock_now() + 100 * MILLISECOND;
	for (unsigned i = 0; i < MANY; i++) {
		probe_init(&probes[i]);
		scheduler_want(scheduler, &probes[i].item, due);
	}
	await(runs_so_far == MANY);
	await(look().running == 0);
	for (unsigned i = 0; i < MANY; i++) {
		assert_int_equal(probes[i].runs, 1);
		assert_true(probes[i].began >= due);
	}
	assert_int_equal(look().waiting, 0);
	end();
	free(probes);
}

#define THREADS 8
#define ROUNDS 20000
#define SHARED 16

struct written {
	struct probe probe;
	_Atomic uint64_t value;
	_Atomic uint64_t seen;
};

static int64_t run_seeing(struct sync_item *item)
{
	struct written *written = (struct written *)item;
	int64_t again = run_probe(item);

	written->seen = written->value;
	return again;
}

static int write_and_want(void *argument, unsigned thread)
{
	struct written *shared = argument;

	for (unsigned i = 0; i < ROUNDS; i++) {
		struct written *written = &shared[(i + thread) % SHARED];

		written->value++;
		want(&written->probe, i % 7 ? MILLISECOND : i % 3);
		if (i % 1009 == 0)
			scheduler_want(scheduler, &written->probe.item,
				       SYNC_AT_ONCE);
	}
	return 0;
}

/* The promise: what was written before it was wanted is there for a run. */
static void no_write_is_missed_and_no_item_runs_twice_at_once(void **state)
{
	static struct written shared[SHARED];

	(void)state;
	start(WORKERS);
	for (unsigned i = 0; i < SHARED; i++) {
		probe_init(&shared[i].probe);
		shared[i].probe.item.run = run_seeing;
		shared[i].value = shared[i].seen = 0;
	}
	assert_int_equal(in_threads(THREADS, write_and_want, shared), 0);
	for (unsigned i = 0; i < SHARED; i++) {
		await(shared[i].seen == shared[i].value);
		assert_int_equal(shared[i].value, THREADS * ROUNDS / SHARED);
		assert_false(shared[i].probe.overlapped);
	}
	end();
}

static int want_and_forget(void *argument, unsigned thread)
{
	struct probe *probes = argument;

	for (unsigned i = 0; i < ROUNDS / 4; i++) {
		struct probe *probe = &probes[thread];
		unsigned runs;

		want(probe, i % 50 * 1000);
		if (i % 3 == 0)
			scheduler_want(scheduler, &probe->item, SYNC_AT_ONCE);
		if (i % 5 == 0)
			usleep(10);
		sync_item_forget(scheduler, &probe->item);
		runs = probe->runs;
		expect(!probe->inside);
		if (i % 100 == 0)
			usleep(100);
		expect(probe->runs == runs);
	}
	return 0;
}

static void threads_want_and_forget_as_they_like(void **state)
{
	static struct probe probes[THREADS];

	(void)state;
	start(WORKERS);
	for (unsigned i = 0; i < THREADS; i++) {
		probe_init(&probes[i]);
		probes[i].again = 1;
	}
	assert_int_equal(in_threads(THREADS, want_and_forget, probes), 0);
	assert_int_equal(look().waiting, 0);
	assert_int_equal(look().running, 0);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_forgotten_item_does_not_run),
		cmocka_unit_test(forgetting_waits_for_a_run_to_end),
		cmocka_unit_test(an_item_may_forget_itself),
		cmocka_unit_test(an_item_may_forget_another),
		cmocka_unit_test(an_item_for_once_may_free_itself),
		cmocka_unit_test(it_is_gone_from_the_inbox_as_well),
		cmocka_unit_test(stopping_runs_what_is_wanted_however_late),
		cmocka_unit_test(what_is_wanted_while_stopping_runs_once_more),
		cmocka_unit_test(stopping_waits_for_a_slow_run),
		cmocka_unit_test(a_scheduler_that_was_never_started_stops),
		cmocka_unit_test(each_worker_enters_and_leaves),
		cmocka_unit_test(ten_thousand_items_due_at_one_time_all_run),
		cmocka_unit_test(
			no_write_is_missed_and_no_item_runs_twice_at_once),
		cmocka_unit_test(threads_want_and_forget_as_they_like),
	};

	return cmocka_run_group_tests_name("scheduler_stop", tests, NULL, NULL);
}
