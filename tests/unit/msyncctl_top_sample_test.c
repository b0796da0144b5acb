// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "msyncctl/top_sample.h"

#define SECOND INT64_C(1000000000)

static struct sample sample_of(int64_t when, const char *stats,
	const char *files)
{
	struct sample sample;

	assert_int_equal(sample_parse(&sample, when, stats, files), 0);
	return sample;
}

static void numbers_are_found_by_their_keys(void **state)
{
	struct sample sample = sample_of(1,
		"store=/srv/a b\nopen=3\nsync.p99=12\nfsync.p99=34\n"
		"read.bytes=18446744073709551615\nlocked=many\n", "");

	(void)state;
	assert_string_equal(sample.store, "/srv/a b");
	assert_int_equal(sample.number[sample_open], 3);
	assert_int_equal(sample.number[sample_sync_p99], 12);
	assert_int_equal(sample.number[sample_fsync_p99], 34);
	/* Too large, no number, and missing. */
	assert_int_equal(sample.number[sample_read_bytes], SAMPLE_UNKNOWN);
	assert_int_equal(sample.number[sample_locked], SAMPLE_UNKNOWN);
	assert_int_equal(sample.number[sample_uptime], SAMPLE_UNKNOWN);
	sample_free(&sample);
}

static void requests_of_all_kinds_are_added_up(void **state)
{
	struct sample sample = sample_of(1, "requests.READ=5\nrequests=100\n"
		"requests.WRITE=7\nrequestsX=100\nread.requests=100\n", "");

	(void)state;
	assert_int_equal(sample.requests, 12);
	sample_free(&sample);
	sample = sample_of(1, "open=1\n", "");
	assert_int_equal(sample.requests, SAMPLE_UNKNOWN);
	sample_free(&sample);
}

static void a_line_of_files_has_three_numbers_and_a_path(void **state)
{
	struct sample sample = sample_of(1, "",
		"5 4096 77 dir/a file\n1 - -1 \\012odd");

	(void)state;
	assert_int_equal(sample.count, 2);
	assert_int_equal(sample.files[0].requests, 5);
	assert_int_equal(sample.files[0].dirty, 4096);
	assert_int_equal(sample.files[0].sync, 77);
	assert_string_equal(sample.files[0].path, "dir/a file");
	assert_int_equal(sample.files[1].dirty, SAMPLE_UNKNOWN);
	assert_int_equal(sample.files[1].sync, SAMPLE_UNKNOWN);
	assert_string_equal(sample.files[1].path, "\\012odd");
	assert_int_equal(sample.dirty, 4096);
	sample_free(&sample);
}

static void lines_without_a_path_are_left_out(void **state)
{
	struct sample sample = sample_of(1, "", "\n1 2 3\n1 2 3 \n4\n\n");

	(void)state;
	assert_int_equal(sample.count, 0);
	assert_int_equal(sample.dirty, 0);
	sample_free(&sample);
}

static void dirty_is_unknown_if_no_file_s_is_known(void **state)
{
	struct sample sample = sample_of(1, "", "1 - - a\n2 - - b\n");

	(void)state;
	assert_int_equal(sample.dirty, SAMPLE_UNKNOWN);
	sample_free(&sample);
}

static void rates_are_what_has_come_in_between(void **state)
{
	struct sample before = sample_of(SECOND,
		"uptime=10\nrequests.READ=100\nread.bytes=1000\n"
		"write.bytes=5\n", "10 0 0 a\n50 0 0 again\n");
	struct sample now = sample_of(3 * SECOND,
		"uptime=20\nrequests.READ=300\nread.bytes=5000\n"
		"write.bytes=5\n", "30 0 0 a\n8 0 0 new\n4 0 0 again\n");

	(void)state;
	sample_compare(&now, &before);
	assert_true(now.request_rate == 100);
	assert_true(now.read_rate == 2000);
	assert_true(now.write_rate == 0);
	assert_true(now.files[0].rate == 10);
	assert_true(now.files[1].rate == 4);
	assert_true(now.files[2].rate == 2);
	sample_free(&before);
	sample_free(&now);
}

static void another_daemon_s_counters_are_not_compared(void **state)
{
	struct sample before = sample_of(SECOND,
		"uptime=100\nrequests.READ=1\n", "1 0 0 a\n");
	struct sample now = sample_of(2 * SECOND,
		"uptime=20\nrequests.READ=300\n", "3 0 0 a\n");
	struct sample nothing = { .when = 0 };

	(void)state;
	sample_compare(&now, &before);
	assert_true(now.request_rate == SAMPLE_UNKNOWN);
	assert_true(now.files[0].rate == SAMPLE_UNKNOWN);
	sample_compare(&now, &nothing);
	assert_true(now.request_rate == SAMPLE_UNKNOWN);
	sample_free(&before);
	sample_free(&now);
}

/* A file that was not among the 200 that are told may have been open. */
static void a_file_that_enters_a_full_list_has_no_rate(void **state)
{
	struct sample before, now;
	char files[200 * 16];
	size_t used = 0;

	(void)state;
	for (unsigned i = 0; i < 200; i++)
		used += (size_t)snprintf(files + used, sizeof(files) - used,
			"9 0 0 f%u\n", i);
	before = sample_of(SECOND, "uptime=1\n", files);
	now = sample_of(2 * SECOND, "uptime=2\n", "1000 0 0 g\n11 0 0 f7\n");
	sample_compare(&now, &before);
	assert_true(now.files[0].rate == SAMPLE_UNKNOWN);
	assert_true(now.files[1].rate == 2);
	sample_free(&before);
	sample_free(&now);
}

static void expect_order(struct sample *sample, enum sample_order order,
	const char *paths)
{
	char found[16] = "";

	sample_sort(sample, order);
	for (size_t i = 0; i < sample->count; i++)
		strcat(found, sample->files[i].path);
	assert_string_equal(found, paths);
}

static void files_are_sorted_most_first(void **state)
{
	struct sample sample = sample_of(1, "",
		"1 30 5 c\n9 10 - b\n9 10 7 a\n2 - 6 d\n");

	(void)state;
	expect_order(&sample, sample_by_requests, "abdc");
	expect_order(&sample, sample_by_dirty, "cabd");
	expect_order(&sample, sample_by_sync, "adcb");
	/* What happens now is more than what has been. */
	for (size_t i = 0; i < sample.count; i++)
		sample.files[i].rate = *sample.files[i].path == 'd' ? 3 : 0;
	expect_order(&sample, sample_by_requests, "dabc");
	sample_free(&sample);
	sample = (struct sample){ 0 };
	sample_sort(&sample, sample_by_sync);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_are_found_by_their_keys),
		cmocka_unit_test(requests_of_all_kinds_are_added_up),
		cmocka_unit_test(a_line_of_files_has_three_numbers_and_a_path),
		cmocka_unit_test(lines_without_a_path_are_left_out),
		cmocka_unit_test(dirty_is_unknown_if_no_file_s_is_known),
		cmocka_unit_test(rates_are_what_has_come_in_between),
		cmocka_unit_test(another_daemon_s_counters_are_not_compared),
		cmocka_unit_test(a_file_that_enters_a_full_list_has_no_rate),
		cmocka_unit_test(files_are_sorted_most_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
