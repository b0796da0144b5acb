// SPDX-License-Identifier: Apache-2.0
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "util/log_limit.h"

/* Far from zero, as a clock is. */
#define NOON   INT64_C(43200000000000)
#define SECOND INT64_C(1000000000)

static const struct log_rate rate = {3, 5 * SECOND};

static unsigned taken_of(struct log_limit *limit, unsigned tries, int64_t now)
{
	unsigned taken = 0;

	for (unsigned i = 0; i < tries; i++)
		taken += log_limit_take(limit, &rate, now);
	return taken;
}

static void a_burst_passes_and_no_more(void **state)
{
	struct log_limit limit = {0};

	(void)state;
	assert_int_equal(taken_of(&limit, 10, NOON), 3);
	assert_int_equal(log_limit_left_out(&limit), 7);
	assert_int_equal(log_limit_left_out(&limit), 0);
}

static void then_one_passes_in_each_period(void **state)
{
	struct log_limit limit = {0};

	(void)state;
	taken_of(&limit, 3, NOON);
	assert_int_equal(taken_of(&limit, 5, NOON + 5 * SECOND - 1), 0);
	assert_int_equal(taken_of(&limit, 5, NOON + 5 * SECOND), 1);
	assert_int_equal(taken_of(&limit, 5, NOON + 10 * SECOND - 1), 0);
	assert_int_equal(taken_of(&limit, 5, NOON + 10 * SECOND), 1);
	assert_int_equal(log_limit_left_out(&limit), 18);
}

static void a_pause_gives_back_a_burst_at_most(void **state)
{
	struct log_limit limit = {0};

	(void)state;
	taken_of(&limit, 3, NOON);
	assert_int_equal(taken_of(&limit, 10, NOON + 10 * SECOND), 2);
	assert_int_equal(taken_of(&limit, 10, NOON + 10000 * SECOND), 3);
}

/* A coarse clock may be read by one thread just before another's tick. */
static void a_clock_a_little_behind_does_no_harm(void **state)
{
	struct log_limit limit = {0};

	(void)state;
	assert_int_equal(taken_of(&limit, 2, NOON), 2);
	assert_int_equal(taken_of(&limit, 1, NOON - SECOND), 0);
	assert_int_equal(taken_of(&limit, 2, NOON), 1);
}

static void once_is_never_again(void **state)
{
	const struct log_rate once = {1, 0};
	struct log_limit limit = {0};

	(void)state;
	assert_true(log_limit_take(&limit, &once, NOON));
	assert_false(log_limit_take(&limit, &once, NOON));
	assert_false(log_limit_take(&limit, &once, NOON + 1000000 * SECOND));
}

static void no_limit_is_none(void **state)
{
	const struct log_rate none = {0, 0};
	struct log_limit limit = {0};

	(void)state;
	for (int i = 0; i < 1000; i++)
		assert_true(log_limit_take(&limit, &none, NOON));
	assert_int_equal(log_limit_left_out(&limit), 0);
}

static void what_was_lost_counts_as_well(void **state)
{
	struct log_limit limit = {0};

	(void)state;
	taken_of(&limit, 4, NOON);
	log_limit_lose(&limit, 5);
	assert_int_equal(log_limit_left_out(&limit), 6);
}

#define THREADS 8
#define TRIES   20000

struct user {
	pthread_t thread;
	struct log_limit *limit;
	uint64_t taken;
	uint64_t told;
};

/* The clock goes on by a period in a thousand tries. */
static void *use(void *argument)
{
	struct user *user = argument;

	for (int i = 0; i < TRIES; i++) {
		if (log_limit_take(user->limit, &rate,
			    NOON + i / 1000 * rate.period)) {
			user->taken++;
			user->told += log_limit_left_out(user->limit);
		}
	}
	return NULL;
}

static void threads_lose_no_count(void **state)
{
	struct log_limit limit = {0};
	struct user users[THREADS];
	uint64_t taken = 0;
	uint64_t told = 0;

	(void)state;
	for (int i = 0; i < THREADS; i++) {
		users[i] = (struct user){.limit = &limit};
		assert_int_equal(
			pthread_create(&users[i].thread, NULL, use, &users[i]),
			0);
	}
	for (int i = 0; i < THREADS; i++) {
		pthread_join(users[i].thread, NULL);
		taken += users[i].taken;
		told += users[i].told;
	}
	/* Twenty periods, and the first burst. */
	assert_in_range(taken, 3, 3 + 19);
	assert_int_equal(
		taken + told + log_limit_left_out(&limit), THREADS * TRIES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_burst_passes_and_no_more),
		cmocka_unit_test(then_one_passes_in_each_period),
		cmocka_unit_test(a_pause_gives_back_a_burst_at_most),
		cmocka_unit_test(a_clock_a_little_behind_does_no_harm),
		cmocka_unit_test(once_is_never_again),
		cmocka_unit_test(no_limit_is_none),
		cmocka_unit_test(what_was_lost_counts_as_well),
		cmocka_unit_test(threads_lose_no_count),
	};

	return cmocka_run_group_tests_name("log_limit", tests, NULL, NULL);
}
