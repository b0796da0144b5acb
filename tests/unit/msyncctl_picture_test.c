// SPDX-License-Identifier: Apache-2.0
/* The picture of a file's pages, from the mount's text to the cells. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "msyncctl/picture.h"

#define KIB UINT64_C(1024)
#define TIB (UINT64_C(1) << 40)
#define CELLS_MAX 64

static struct picture_cell cells[CELLS_MAX];

/* The picture as text, in ASCII. */
static const char *drawn(uint64_t size, unsigned count, const char *map)
{
	static char line[CELLS_MAX + 1];
	struct picture picture;

	assert_true(count <= CELLS_MAX);
	picture_init(&picture, size, cells, count);
	assert_true(picture_read(&picture, map));
	for (unsigned i = 0; i < count; i++)
		line[i] = *picture_symbol(picture_state(&picture, i), false);
	line[count] = '\0';
	return line;
}

static bool is_read(const char *map)
{
	struct picture picture;

	picture_init(&picture, 64 * KIB, cells, 8);
	return picture_read(&picture, map);
}

static void a_file_has_no_more_cells_than_pages(void **state)
{
	(void)state;
	assert_int_equal(picture_cells(0, 4096, 80), 0);
	assert_int_equal(picture_cells(1, 4096, 80), 1);
	assert_int_equal(picture_cells(4096, 4096, 80), 1);
	assert_int_equal(picture_cells(4097, 4096, 80), 2);
	assert_int_equal(picture_cells(80 * 4096, 4096, 80), 80);
	assert_int_equal(picture_cells(INT64_MAX, 4096, 80), 80);
}

static void nothing_in_memory_is_all_absent(void **state)
{
	(void)state;
	assert_string_equal(drawn(64 * KIB, 8, ""), "........");
}

static void each_state_has_its_symbol(void **state)
{
	(void)state;
	assert_string_equal(drawn(64 * KIB, 8,
		"8192+8192 r\n16384+8192 d\n24576+8192 w\n32768+8192 p\n"),
		".#dw-...");
}

static void a_cell_that_is_not_full_is_partly_there(void **state)
{
	(void)state;
	assert_string_equal(drawn(64 * KIB, 8, "0+4096 r\n"), "-.......");
	assert_string_equal(drawn(64 * KIB, 8, "0+4096 r\n4096+4096 r\n"),
		"#.......");
}

static void one_dirty_page_makes_its_cell_dirty(void **state)
{
	(void)state;
	assert_string_equal(drawn(64 * KIB, 4,
		"0+16384 r\n16384+4096 d\n20480+4096 w\n32768+4096 d\n"),
		"#wd.");
}

static void a_range_covers_all_cells_between_its_ends(void **state)
{
	(void)state;
	assert_string_equal(drawn(64 * KIB, 8, "4096+49152 r\n"), "-#####-.");
}

static void the_last_page_may_reach_past_the_end(void **state)
{
	(void)state;
	assert_string_equal(drawn(5000, 2, "0+8192 r\n"), "##");
	assert_string_equal(drawn(5000, 2, "4096+4096 r\n"), ".-");
	assert_string_equal(drawn(5000, 2, "8192+4096 r\n"), "..");
}

static void cells_of_unequal_sizes_leave_no_gap(void **state)
{
	(void)state;
	for (unsigned count = 1; count <= CELLS_MAX; count++) {
		const char *line = drawn(100 * 4096 + 17, count,
			"0+413696 r\n");

		assert_int_equal(strspn(line, "#"), count);
	}
}

static void the_largest_file_is_drawn(void **state)
{
	(void)state;
	assert_string_equal(drawn(UINT64_C(1) << 62, 8,
		"3458764513820540928+576460752303423488 r\n"), "......#.");
	assert_string_equal(drawn(INT64_MAX, 8, "0+9223372036854775807 r\n"),
		"########");
	assert_string_equal(drawn(8 * TIB, 8, "1T+2T d\n7T+4K w\n"),
		".dd....w");
}

static void the_grain_changes_no_cell(void **state)
{
	(void)state;
	assert_string_equal(drawn(64 * KIB, 8, "grain=8192\n0+8192 p\n"),
		"-.......");
}

static void nonsense_is_refused(void **state)
{
	static const char *const lines[] = { "x", "0+4096", "0+4096 ",
		"0+4096 z", "0+4096 rr", "+4096 r", "0+0 r", "-1+2 r",
		"0+4096  r", "0 r", "0+99999999999999999999 r" };

	(void)state;
	assert_true(is_read("0+4096 r"));
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		if (is_read(lines[i]))
			fail_msg("taken: %s", lines[i]);
	}
}

static void pages_become_bytes_of_the_file_at_most(void **state)
{
	struct picture_totals totals;

	(void)state;
	assert_true(picture_totals(&totals, "2 2 1 0 7\n", 4096, 5000));
	assert_true(totals.resident.known);
	assert_int_equal(totals.resident.bytes, 5000);
	assert_int_equal(totals.dirty.bytes, 4096);
	assert_true(totals.writeback.known);
	assert_int_equal(totals.writeback.bytes, 0);
	assert_int_equal(totals.evicted.bytes, 5000);
}

static void what_is_not_known_stays_unknown(void **state)
{
	struct picture_totals totals;

	(void)state;
	assert_true(picture_totals(&totals, "10 3 - - -", 4096, 40960));
	assert_int_equal(totals.resident.bytes, 3 * 4096);
	assert_false(totals.dirty.known);
	assert_false(totals.writeback.known);
	assert_false(totals.evicted.known);
	assert_false(picture_totals(&totals, "10 3 - -", 4096, 40960));
	assert_false(picture_totals(&totals, "10 x 0 0 0", 4096, 40960));
	assert_false(picture_totals(&totals, "", 4096, 40960));
}

static void a_percentage_tells_none_and_all_from_nearly(void **state)
{
	(void)state;
	assert_int_equal(picture_percent(0, 100), 0);
	assert_int_equal(picture_percent(0, 0), 0);
	assert_int_equal(picture_percent(1, TIB), 1);
	assert_int_equal(picture_percent(TIB - 1, TIB), 99);
	assert_int_equal(picture_percent(TIB, TIB), 100);
	assert_int_equal(picture_percent(INT64_MAX, INT64_MAX), 100);
}

static void an_interval_is_a_number_of_seconds(void **state)
{
	int64_t interval = 0;

	(void)state;
	assert_true(picture_parse_interval("2", &interval));
	assert_int_equal(interval, 2000000000);
	assert_true(picture_parse_interval("0.5", &interval));
	assert_int_equal(interval, 500000000);
	assert_false(picture_parse_interval("0", &interval));
	assert_false(picture_parse_interval("0.01", &interval));
	assert_false(picture_parse_interval("3601", &interval));
	assert_false(picture_parse_interval("", &interval));
	assert_false(picture_parse_interval("1m", &interval));
	assert_false(picture_parse_interval("-1", &interval));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_file_has_no_more_cells_than_pages),
		cmocka_unit_test(nothing_in_memory_is_all_absent),
		cmocka_unit_test(each_state_has_its_symbol),
		cmocka_unit_test(a_cell_that_is_not_full_is_partly_there),
		cmocka_unit_test(one_dirty_page_makes_its_cell_dirty),
		cmocka_unit_test(a_range_covers_all_cells_between_its_ends),
		cmocka_unit_test(the_last_page_may_reach_past_the_end),
		cmocka_unit_test(cells_of_unequal_sizes_leave_no_gap),
		cmocka_unit_test(the_largest_file_is_drawn),
		cmocka_unit_test(the_grain_changes_no_cell),
		cmocka_unit_test(nonsense_is_refused),
		cmocka_unit_test(pages_become_bytes_of_the_file_at_most),
		cmocka_unit_test(what_is_not_known_stays_unknown),
		cmocka_unit_test(a_percentage_tells_none_and_all_from_nearly),
		cmocka_unit_test(an_interval_is_a_number_of_seconds),
	};

	return cmocka_run_group_tests_name("msyncctl_picture", tests, NULL,
		NULL);
}
