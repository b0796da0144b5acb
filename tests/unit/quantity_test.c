// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "random.h"
#include "util/quantity.h"

#define MS INT64_C(1000000)
#define SECOND (1000 * MS)
#define HOUR (3600 * SECOND)
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static uint64_t size_of(const char *text)
{
	uint64_t bytes = 4711;
	int result = quantity_parse_size(text, strlen(text), &bytes);

	if (result != 0)
		fail_msg("'%s': %d", text, result);
	return bytes;
}

static int64_t duration_of(const char *text)
{
	int64_t nanoseconds = 4711;
	int result = quantity_parse_duration(text, strlen(text), &nanoseconds);

	if (result != 0)
		fail_msg("'%s': %d", text, result);
	return nanoseconds;
}

static void no_size(const char *text, int expected)
{
	uint64_t bytes = 4711;
	int result = quantity_parse_size(text, strlen(text), &bytes);

	if (result != expected)
		fail_msg("'%s': %d instead of %d", text, result, expected);
	assert_int_equal(bytes, 4711);
}

static void no_duration(const char *text, int expected)
{
	int64_t nanoseconds = 4711;
	int result = quantity_parse_duration(text, strlen(text), &nanoseconds);

	if (result != expected)
		fail_msg("'%s': %d instead of %d", text, result, expected);
	assert_int_equal(nanoseconds, 4711);
}

static void sizes_have_units_of_1024(void **state)
{
	(void)state;
	assert_int_equal(size_of("0"), 0);
	assert_int_equal(size_of("1"), 1);
	assert_int_equal(size_of("007"), 7);
	assert_int_equal(size_of("0T"), 0);
	assert_int_equal(size_of("64K"), 65536);
	assert_int_equal(size_of("3M"), 3 << 20);
	assert_int_equal(size_of("5G"), INT64_C(5) << 30);
	assert_int_equal(size_of("7T"), INT64_C(7) << 40);
}

static void sizes_end_at_the_largest_offset(void **state)
{
	(void)state;
	assert_int_equal(size_of("9223372036854775807"), INT64_MAX);
	assert_int_equal(size_of("8388607T"), INT64_C(8388607) << 40);
	no_size("9223372036854775808", -ERANGE);
	no_size("18446744073709551615", -ERANGE);
	no_size("18446744073709551616", -ERANGE);
	no_size("99999999999999999999999999999", -ERANGE);
	no_size("8388608T", -ERANGE);
	no_size("16777216T", -ERANGE);
	no_size("16777217T", -ERANGE);
}

static void what_is_no_size_is_refused(void **state)
{
	static const char *const wrong[] = { "", "K", "k", "1k", "1KB", "1KiB",
		"1B", "-1", "+1", " 1", "1 ", "1 K", "1.5K", "0x10", "1e3",
		"1K1", "1KK", "1P", "1\n", "1,5", "999999999999999999999x" };

	(void)state;
	for (size_t i = 0; i < COUNT(wrong); i++)
		no_size(wrong[i], -EINVAL);
}

static void durations_have_units(void **state)
{
	(void)state;
	assert_int_equal(duration_of("0"), 0);
	assert_int_equal(duration_of("0s"), 0);
	assert_int_equal(duration_of("1ms"), MS);
	assert_int_equal(duration_of("5s"), 5 * SECOND);
	assert_int_equal(duration_of("2m"), 120 * SECOND);
	assert_int_equal(duration_of("3h"), 3 * HOUR);
}

static void durations_have_fractions(void **state)
{
	(void)state;
	assert_int_equal(duration_of("1.5s"), 1500 * MS);
	assert_int_equal(duration_of("0.25ms"), 250000);
	assert_int_equal(duration_of("0.000001ms"), 1);
	assert_int_equal(duration_of("1.000000001s"), SECOND + 1);
	assert_int_equal(duration_of("0.1m"), 6 * SECOND);
	assert_int_equal(duration_of("0.5000h"), HOUR / 2);
	assert_int_equal(duration_of("0.00000000001h"), 36);
}

static void what_is_less_than_a_nanosecond_is_dropped(void **state)
{
	(void)state;
	assert_int_equal(duration_of("0.0000009ms"), 0);
	assert_int_equal(duration_of("0.0000019999999999999999999ms"), 1);
	assert_int_equal(duration_of("0.9999999999999999999999999s"),
		SECOND - 1);
	assert_int_equal(duration_of("0.33333333333333333333333333h"),
		HOUR / 3 - 1);
}

static void durations_end_after_a_hundred_years(void **state)
{
	(void)state;
	assert_int_equal(duration_of("876600h"), 876600 * HOUR);
	assert_int_equal(duration_of("3155760000s"), 876600 * HOUR);
	assert_int_equal(duration_of("876599.5h"), 876599 * HOUR + HOUR / 2);
	no_duration("876600.1h", -ERANGE);
	no_duration("876601h", -ERANGE);
	no_duration("5124096h", -ERANGE);
	no_duration("99999999999999999999999ms", -ERANGE);
	no_duration("18446744073709551615.9s", -ERANGE);
}

static void what_is_no_duration_is_refused(void **state)
{
	static const char *const wrong[] = { "", "1", "00", "0.0", "s", ".5s",
		"1.s", "1..5s", "1.5", "-1s", "+1s", " 1s", "1s ", "1 s", "1S",
		"1sec", "1us", "1ns", "1d", "1msm", "1s5ms", "1e3s", "inf",
		"nan", "1,5s", "0x1s", "99999999999999999999999x" };

	(void)state;
	for (size_t i = 0; i < COUNT(wrong); i++)
		no_duration(wrong[i], -EINVAL);
}

static void a_text_ends_where_its_length_says(void **state)
{
	uint64_t bytes;
	int64_t nanoseconds;
	int64_t offset;
	int64_t length;

	(void)state;
	assert_int_equal(quantity_parse_size("12K3", 3, &bytes), 0);
	assert_int_equal(bytes, 12 << 10);
	assert_int_equal(quantity_parse_size("12K3", 2, &bytes), 0);
	assert_int_equal(bytes, 12);
	assert_int_equal(quantity_parse_duration("0ms", 1, &nanoseconds), 0);
	assert_int_equal(nanoseconds, 0);
	assert_int_equal(quantity_parse_range("1+23", 3, &offset, &length), 0);
	assert_int_equal(length, 2);
	assert_int_equal(quantity_parse_size("1\0", 2, &bytes), -EINVAL);
	assert_int_equal(quantity_parse_duration("1s\0", 3, &nanoseconds),
		-EINVAL);
}

static void a_range_is_an_offset_and_a_length(void **state)
{
	int64_t offset;
	int64_t length;

	(void)state;
	assert_int_equal(quantity_parse_range("4K+1M", 5, &offset, &length), 0);
	assert_int_equal(offset, 4096);
	assert_int_equal(length, 1 << 20);
	assert_int_equal(quantity_parse_range("0+1", 3, &offset, &length), 0);
	assert_int_equal(offset, 0);
	assert_int_equal(length, 1);
}

static void ranges_end_at_the_largest_offset(void **state)
{
	static const char *const large[] = {
		"9223372036854775807+1",
		"1+9223372036854775807",
		"8388607T+1T",
		"8388608T+1",
		"0+8388608T",
	};
	static const char most[] = "9223372036854775806+1";
	int64_t offset = 4711;
	int64_t length = 4711;

	(void)state;
	for (size_t i = 0; i < COUNT(large); i++) {
		assert_int_equal(quantity_parse_range(large[i],
			strlen(large[i]), &offset, &length), -ERANGE);
		assert_int_equal(offset, 4711);
		assert_int_equal(length, 4711);
	}
	assert_int_equal(quantity_parse_range(most, strlen(most), &offset,
		&length), 0);
	assert_int_equal(offset, INT64_MAX - 1);
}

static void what_is_no_range_is_refused(void **state)
{
	static const char *const wrong[] = { "", "+", "1", "1+", "+1", "1+0",
		"1-2", "1++2", "1+2+3", " 1+2", "1+2 ", "1 + 2", "@1+2",
		"99999999999999999999+x", "x+99999999999999999999" };
	int64_t offset;
	int64_t length;

	(void)state;
	for (size_t i = 0; i < COUNT(wrong); i++) {
		if (quantity_parse_range(wrong[i], strlen(wrong[i]), &offset,
			    &length) != -EINVAL)
			fail_msg("'%s' is taken", wrong[i]);
	}
}

static void sizes_are_formatted_without_a_rest(void **state)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} sizes[] = {
		{ 0, "0" },
		{ 1, "1" },
		{ 1000, "1000" },
		{ 1024, "1K" },
		{ 1536, "1536" },
		{ 65536, "64K" },
		{ (1 << 20) + 1024, "1025K" },
		{ UINT64_C(1) << 30, "1G" },
		{ UINT64_C(1) << 50, "1024T" },
		{ INT64_MAX, "9223372036854775807" },
		{ UINT64_MAX, "18446744073709551615" },
	};
	char text[QUANTITY_TEXT_MAX];

	(void)state;
	for (size_t i = 0; i < COUNT(sizes); i++) {
		assert_string_equal(quantity_format_size(text,
			sizes[i].bytes), sizes[i].text);
		assert_string_equal(text, sizes[i].text);
	}
}

static void durations_are_formatted_without_a_rest(void **state)
{
	static const struct {
		int64_t nanoseconds;
		const char *text;
	} durations[] = {
		{ 0, "0" },
		{ 1, "0.000001ms" },
		{ MS / 2, "0.5ms" },
		{ 10 * MS, "10ms" },
		{ 1500 * MS, "1500ms" },
		{ SECOND, "1s" },
		{ SECOND + 10, "1000.00001ms" },
		{ 90 * SECOND, "90s" },
		{ 120 * SECOND, "2m" },
		{ 24 * HOUR, "24h" },
		{ -1500 * MS, "-1500ms" },
		{ INT64_MIN, "-9223372036854.775808ms" },
	};
	char text[QUANTITY_TEXT_MAX];

	(void)state;
	for (size_t i = 0; i < COUNT(durations); i++)
		assert_string_equal(quantity_format_duration(text,
			durations[i].nanoseconds), durations[i].text);
}

static void sizes_are_shown_in_four_places(void **state)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} sizes[] = {
		{ 0, "0 B" },
		{ 1023, "1023 B" },
		{ 1024, "1 KiB" },
		{ 1536, "1.5 KiB" },
		{ 1310720, "1.25 MiB" },
		{ 1234567, "1.177 MiB" },
		{ 12345678, "11.77 MiB" },
		{ 123456789, "117.7 MiB" },
		{ 10 << 10, "10 KiB" },
		{ 1000 << 10, "1000 KiB" },
		{ (1 << 20) - 1, "1 MiB" },
		{ UINT64_C(1) << 50, "1 PiB" },
		{ INT64_MAX, "8 EiB" },
		{ UINT64_MAX, "16 EiB" },
	};
	char text[QUANTITY_TEXT_MAX];

	(void)state;
	for (size_t i = 0; i < COUNT(sizes); i++)
		assert_string_equal(quantity_show_size(text, sizes[i].bytes),
			sizes[i].text);
}

static void durations_are_shown_in_four_places(void **state)
{
	static const struct {
		int64_t nanoseconds;
		const char *text;
	} durations[] = {
		{ 0, "0 ns" },
		{ 999, "999 ns" },
		{ 1000, "1 us" },
		{ 3400000, "3.4 ms" },
		{ 12345678, "12.35 ms" },
		{ 999960000, "1 s" },
		{ 999940000, "999.9 ms" },
		{ 59999 * MS, "1 min" },
		{ 90 * SECOND, "1.5 min" },
		{ 36 * HOUR, "1.5 d" },
		{ -3400000, "-3.4 ms" },
		{ INT64_MIN, "-106752 d" },
	};
	char text[QUANTITY_TEXT_MAX];

	(void)state;
	for (size_t i = 0; i < COUNT(durations); i++)
		assert_string_equal(quantity_show_duration(text,
			durations[i].nanoseconds), durations[i].text);
}

static void a_formatted_quantity_is_read_back_exactly(void **state)
{
	uint64_t seed = RANDOM_SEED;
	char text[QUANTITY_TEXT_MAX];

	(void)state;
	for (int i = 0; i < 100000; i++) {
		int64_t number =
			(int64_t)random_between(&seed, 0, INT64_MAX);
		int64_t nanoseconds = number % (876600 * HOUR + 1);

		assert_int_equal(size_of(quantity_format_size(text,
			(uint64_t)number)), number);
		assert_int_equal(duration_of(quantity_format_duration(text,
			nanoseconds)), nanoseconds);
	}
}

/* In memory of just that length, so that a sanitizer sees a step too far. */
static void any_bytes_are_answered_within_their_length(void **state)
{
	static const char usual[] = "0123456789.+KMGTmsh ";
	uint64_t seed = RANDOM_SEED;
	unsigned taken = 0;

	(void)state;
	for (int i = 0; i < 100000; i++) {
		size_t length = random_next(&seed) % 12;
		char *text = malloc(length ? length : 1);
		uint64_t bytes;
		int64_t first;
		int64_t second;
		int size;
		int duration;
		int range;

		assert_non_null(text);
		for (size_t j = 0; j < length; j++)
			text[j] = i % 4 == 0 ?
				(char)random_next(&seed) :
				usual[random_next(&seed) % (COUNT(usual) - 1)];
		size = quantity_parse_size(text, length, &bytes);
		duration = quantity_parse_duration(text, length, &first);
		if (duration == 0)
			assert_in_range(first, 0, 876600 * HOUR);
		range = quantity_parse_range(text, length, &first, &second);
		if (size == 0)
			assert_true(bytes <= INT64_MAX);
		if (range == 0)
			assert_true(first >= 0 && second > 0 &&
				    first <= INT64_MAX - second);
		assert_true(size == 0 || size == -EINVAL || size == -ERANGE);
		assert_true(duration == 0 || duration == -EINVAL ||
			    duration == -ERANGE);
		assert_true(range == 0 || range == -EINVAL || range == -ERANGE);
		taken += size == 0 || duration == 0 || range == 0;
		free(text);
	}
	assert_true(taken > 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_have_units_of_1024),
		cmocka_unit_test(sizes_end_at_the_largest_offset),
		cmocka_unit_test(what_is_no_size_is_refused),
		cmocka_unit_test(durations_have_units),
		cmocka_unit_test(durations_have_fractions),
		cmocka_unit_test(what_is_less_than_a_nanosecond_is_dropped),
		cmocka_unit_test(durations_end_after_a_hundred_years),
		cmocka_unit_test(what_is_no_duration_is_refused),
		cmocka_unit_test(a_text_ends_where_its_length_says),
		cmocka_unit_test(a_range_is_an_offset_and_a_length),
		cmocka_unit_test(ranges_end_at_the_largest_offset),
		cmocka_unit_test(what_is_no_range_is_refused),
		cmocka_unit_test(sizes_are_formatted_without_a_rest),
		cmocka_unit_test(durations_are_formatted_without_a_rest),
		cmocka_unit_test(sizes_are_shown_in_four_places),
		cmocka_unit_test(durations_are_shown_in_four_places),
		cmocka_unit_test(
			a_formatted_quantity_is_read_back_exactly),
		cmocka_unit_test(
			any_bytes_are_answered_within_their_length),
	};

	return cmocka_run_group_tests_name("quantity", tests, NULL, NULL);
}
