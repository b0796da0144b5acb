// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "util/line.h"

static void plain_text_is_copied(void **state)
{
	char line[32];

	(void)state;
	assert_int_equal(line_escape(line, sizeof(line), "a b/c"), 5);
	assert_string_equal(line, "a b/c");
}

static void control_bytes_become_octal(void **state)
{
	char line[64];

	(void)state;
	line_escape(line, sizeof(line), "a\nb\tc\033[1m\177");
	assert_string_equal(line, "a\\012b\\011c\\033[1m\\177");
}

/* U+009B is what ESC [ is, and U+0085 a new line. */
static void control_characters_of_two_bytes_become_octal(void **state)
{
	char line[64];

	(void)state;
	line_escape(line, sizeof(line), "a\302\2331m\302\205\302\240\302");
	assert_string_equal(line, "a\\302\\2331m\\302\\205\302\240\302");
}

static void utf_8_stays_readable(void **state)
{
	char line[32];

	(void)state;
	line_escape(line, sizeof(line), "caf\303\251");
	assert_string_equal(line, "caf\303\251");
}

static void a_text_that_just_fits_is_not_cut(void **state)
{
	char line[6];

	(void)state;
	assert_int_equal(line_escape(line, sizeof(line), "12345"), 5);
	assert_string_equal(line, "12345");
}

static void a_text_that_does_not_fit_ends_in_dots(void **state)
{
	char line[6];

	(void)state;
	assert_int_equal(line_escape(line, sizeof(line), "123456"), 5);
	assert_string_equal(line, "12...");
}

static void an_escape_is_never_cut_open(void **state)
{
	char line[8];

	(void)state;
	line_escape(line, sizeof(line), "12345\n");
	assert_string_equal(line, "12...");
}

static void the_smallest_buffers_are_kept_to(void **state)
{
	char line[2] = { 'x', 'x' };

	(void)state;
	assert_int_equal(line_escape(line, 0, "abc"), 0);
	assert_int_equal(line[0], 'x');
	assert_int_equal(line_escape(line, 1, "abc"), 0);
	assert_int_equal(line[0], '\0');
	assert_int_equal(line[1], 'x');
}

static void a_failure_is_said_and_returned(void **state)
{
	char line[64];

	(void)state;
	assert_int_equal(line_fail(line, sizeof(line), ENOENT, "'%s': %d",
		"a\nb", 7), -ENOENT);
	assert_string_equal(line, "'a\\012b': 7");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain_text_is_copied),
		cmocka_unit_test(control_bytes_become_octal),
		cmocka_unit_test(control_characters_of_two_bytes_become_octal),
		cmocka_unit_test(utf_8_stays_readable),
		cmocka_unit_test(a_text_that_just_fits_is_not_cut),
		cmocka_unit_test(a_text_that_does_not_fit_ends_in_dots),
		cmocka_unit_test(an_escape_is_never_cut_open),
		cmocka_unit_test(the_smallest_buffers_are_kept_to),
		cmocka_unit_test(a_failure_is_said_and_returned),
	};

	return cmocka_run_group_tests_name("line", tests, NULL, NULL);
}
