// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "util/histogram.h"

static void an_empty_one_has_only_noughts(void **state)
{
	static struct histogram histogram;

	(void)state;
	assert_int_equal(histogram_at(&histogram, 500), 0);
	assert_int_equal(histogram_at(&histogram, 1000), 0);
}

static void small_values_are_exact(void **state)
{
	static struct histogram histogram;

	(void)state;
	for (int64_t i = 0; i < 8; i++)
		histogram_add(&histogram, i);
	assert_int_equal(histogram_at(&histogram, 500), 3);
	assert_int_equal(histogram_at(&histogram, 1000), 7);
	assert_int_equal(histogram.count, 8);
}

static void a_percentile_is_never_low_and_at_most_an_eighth_high(void **state)
{
	(void)state;
	for (int64_t value = 1; value < INT64_C(1) << 40;
	     value += value / 3 + 1) {
		struct histogram *histogram = calloc(1, sizeof(*histogram));
		int64_t at;

		histogram_add(histogram, value);
		histogram_add(histogram, INT64_C(1) << 40);
		at = histogram_at(histogram, 500);
		assert_true(at >= value);
		assert_true(at <= value + value / 8);
		free(histogram);
	}
}

static void the_largest_value_is_kept_exactly(void **state)
{
	static struct histogram histogram;

	(void)state;
	histogram_add(&histogram, 123456789);
	histogram_add(&histogram, 1000);
	assert_int_equal(histogram.max, 123456789);
	assert_int_equal(histogram_at(&histogram, 1000), 123456789);
}

static void what_is_longer_than_the_last_bucket_is_counted_there(void **state)
{
	static struct histogram histogram;

	(void)state;
	histogram_add(&histogram, INT64_MAX);
	histogram_add(&histogram, -5);
	assert_int_equal(histogram.count, 2);
	assert_int_equal(histogram_at(&histogram, 500), 0);
	assert_true(histogram_at(&histogram, 1000) >= INT64_C(1) << 40);
}

static void the_sum_is_that_of_all_values(void **state)
{
	static struct histogram histogram;

	(void)state;
	histogram_add(&histogram, 1000);
	histogram_add(&histogram, 0);
	histogram_add(&histogram, -7);
	histogram_add(&histogram, 123456789);
	assert_int_equal(histogram.sum, 123457789);
	assert_int_equal(histogram.count, 4);
}

/* A bucket of its own ends where a power of two does. */
static void what_is_below_a_power_of_two_is_counted_exactly(void **state)
{
	static const unsigned powers[] = { 3, 10, 11, 36, 40 };
	static struct histogram histogram;
	uint64_t below[6];

	(void)state;
	histogram_below(&histogram, powers, 5, below);
	assert_int_equal(below[5], 0);
	for (unsigned i = 0; i < 5; i++) {
		histogram_add(&histogram, (INT64_C(1) << powers[i]) - 1);
		histogram_add(&histogram, INT64_C(1) << powers[i]);
	}
	histogram_add(&histogram, INT64_MAX);
	histogram_below(&histogram, powers, 5, below);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(below[i], 2 * i + 1);
	assert_int_equal(below[5], 11);
	histogram_below(&histogram, NULL, 0, below);
	assert_int_equal(below[0], 11);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_one_has_only_noughts),
		cmocka_unit_test(small_values_are_exact),
		cmocka_unit_test(
			a_percentile_is_never_low_and_at_most_an_eighth_high),
		cmocka_unit_test(the_largest_value_is_kept_exactly),
		cmocka_unit_test(the_sum_is_that_of_all_values),
		cmocka_unit_test(
			what_is_below_a_power_of_two_is_counted_exactly),
		cmocka_unit_test(
			what_is_longer_than_the_last_bucket_is_counted_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
