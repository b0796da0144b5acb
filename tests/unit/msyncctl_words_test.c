// SPDX-License-Identifier: Apache-2.0
/* What msyncctl makes of the words it is given and of the mount's answers. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "msyncctl/attr.h"
#include "msyncctl/change.h"
#include "msyncctl/output.h"
#include "msyncctl/progress.h"
#include "msyncctl/ranged.h"

#define MIB (UINT64_C(1) << 20)

/* ---- lines ------------------------------------------------------------ */

static void a_key_s_line_is_found(void **state)
{
	const char *text = "a=1\nab=2\nb=x=y\nempty=\nlast=z";
	char buffer[8];

	(void)state;
	assert_string_equal(attr_line(text, "a", buffer, 8), "1");
	assert_string_equal(attr_line(text, "ab", buffer, 8), "2");
	assert_string_equal(attr_line(text, "b", buffer, 8), "x=y");
	assert_string_equal(attr_line(text, "empty", buffer, 8), "");
	assert_string_equal(attr_line(text, "last", buffer, 8), "z");
	assert_null(attr_line(text, "none", buffer, 8));
	assert_null(attr_line("", "none", buffer, 8));
}

static void a_value_too_long_for_the_buffer_is_cut(void **state)
{
	char buffer[4];

	(void)state;
	assert_string_equal(attr_line("k=abcdef\n", "k", buffer, 4), "abc");
}

static void numbers_are_digits_that_fit(void **state)
{
	uint64_t number = 7;

	(void)state;
	assert_true(attr_line_number("n=18446744073709551615\n", "n",
		&number));
	assert_true(number == UINT64_MAX);
	assert_false(attr_line_number("n=18446744073709551616\n", "n",
		&number));
	assert_false(attr_line_number("n=-\n", "n", &number));
	assert_false(attr_line_number("n=\n", "n", &number));
	assert_false(attr_line_number("n=1 \n", "n", &number));
	assert_false(attr_line_number("m=1\n", "n", &number));
}

static void lines_without_an_equals_sign_are_keys(void **state)
{
	const char *text = "word\nk=v\n";
	struct attr_pair pair;

	(void)state;
	assert_true(attr_next_pair(&text, &pair));
	assert_int_equal(pair.key_length, 4);
	assert_int_equal(pair.value_length, 0);
	assert_true(attr_next_pair(&text, &pair));
	assert_int_equal(pair.value_length, 1);
	assert_false(attr_next_pair(&text, &pair));
}

/* ---- JSON ------------------------------------------------------------- */

static char *dumped(json_t *value)
{
	char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);

	json_decref(value);
	return text;
}

#define assert_json(value, expected)                                           \
	do {                                                                   \
		char *text_ = dumped(value);                                   \
                                                                               \
		assert_string_equal(text_, expected);                          \
		free(text_);                                                   \
	} while (0)

static void lines_become_json_of_their_kind(void **state)
{
	(void)state;
	assert_json(output_json_lines("n=12\ns=5s\ny=yes\nx=no\nu=-\ne=\n"),
		"{\"n\":12,\"s\":\"5s\",\"y\":true,\"x\":false,\"u\":null,"
		"\"e\":\"\"}");
	assert_json(output_json_lines(""), "{}");
	/* Too large for JSON's numbers here: kept as it is written. */
	assert_json(output_json_lines("n=9223372036854775808\n"),
		"{\"n\":\"9223372036854775808\"}");
}

static void keys_that_come_again_make_an_array(void **state)
{
	(void)state;
	assert_json(output_json_lines("a=1\na=2\na=3\n"), "{\"a\":[1,2,3]}");
	assert_json(output_json_lines("note=once\n"), "{\"note\":[\"once\"]}");
}

static void bytes_that_are_no_utf_8_are_replaced(void **state)
{
	static const char *const bad[] = { "\xff", "\x80", "\xc0\xaf",
		"\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82",
		"\xf8\x88\x80\x80\x80" };

	(void)state;
	assert_json(output_json_text("a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"),
		"\"a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"");
	assert_json(output_json_text("x\xffy"), "\"x\xef\xbf\xbdy\"");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		json_t *value = output_json_text(bad[i]);

		assert_int_equal(strncmp(json_string_value(value),
			"\xef\xbf\xbd", 3), 0);
		json_decref(value);
	}
}

/* ---- ranges and pieces ------------------------------------------------ */

static void expect_ranged(const char *text, const char *value)
{
	char formatted[RANGED_VALUE_MAX];
	struct ranged ranged;

	assert_int_equal(ranged_parse(text, &ranged), 0);
	ranged_format(&ranged, formatted);
	assert_string_equal(formatted, value);
}

static void a_range_may_follow_the_words(void **state)
{
	(void)state;
	expect_ranged("willneed", "willneed");
	expect_ranged("willneed+hugepage@0+1M", "willneed+hugepage@0+1048576");
	expect_ranged("dontneed @4K+1", "dontneed@4096+1");
}

static void a_bad_range_is_refused(void **state)
{
	static const char *const texts[] = { "", "@0+1", "willneed@",
		"willneed@1M", "willneed@0+0", "willneed@+1", "willneed@0+1x",
		"willneed@1+2@3+4" };
	struct ranged ranged;
	char longest[2 * RANGED_WORDS_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		if (ranged_parse(texts[i], &ranged) == 0)
			fail_msg("taken: %s", texts[i]);
	}
	memset(longest, 'a', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	assert_int_equal(ranged_parse(longest, &ranged), -EINVAL);
	assert_int_equal(ranged_parse("a@0+9999999999T", &ranged), -ERANGE);
}

static void every_word_has_to_be_in_the_list(void **state)
{
	static const char *const list[] = { "willneed", "cold", NULL };
	const struct ranged one = { .words = "cold" };
	const struct ranged two = { .words = "cold,willneed+cold" };
	const struct ranged other = { .words = "cold+random" };
	const struct ranged part = { .words = "col" };
	const struct ranged empty = { .words = "cold+" };

	(void)state;
	assert_true(ranged_only(&one, list));
	assert_true(ranged_only(&two, list));
	assert_false(ranged_only(&other, list));
	assert_false(ranged_only(&part, list));
	assert_false(ranged_only(&empty, list));
}

/* All pieces, checked to lie one behind the other. */
static void expect_pieces(const struct ranged *ranged, uint64_t size,
	uint64_t end)
{
	uint64_t at = ranged->offset;
	struct ranged piece;

	for (uint64_t i = 0; ranged_piece(ranged, size, i, &piece); i++) {
		assert_true(piece.offset == at);
		assert_true(piece.length > 0 && piece.length <= 16 * MIB);
		assert_true(i == 0 || piece.offset % (16 * MIB) == 0);
		assert_string_equal(piece.words, ranged->words);
		at += piece.length;
	}
	assert_true(at == end);
}

static void pieces_cover_the_range_and_nothing_else(void **state)
{
	const struct ranged all = { .words = "a" };
	const struct ranged tail = { .words = "a", .offset = 17 * MIB };
	const struct ranged part = { .words = "a", .offset = MIB + 1,
		.length = 40 * MIB };
	const struct ranged beyond = { .words = "a", .offset = 90 * MIB,
		.length = 500 * MIB };

	(void)state;
	expect_pieces(&all, 100 * MIB + 5, 100 * MIB + 5);
	expect_pieces(&all, 16 * MIB, 16 * MIB);
	expect_pieces(&all, 0, 0);
	expect_pieces(&tail, 100 * MIB, 100 * MIB);
	expect_pieces(&part, 100 * MIB, 41 * MIB + 1);
	expect_pieces(&beyond, 100 * MIB, 100 * MIB);
}

static void only_large_ranges_are_worth_pieces(void **state)
{
	const struct ranged all = { .words = "a" };
	const struct ranged part = { .words = "a", .length = 64 * MIB };
	const struct ranged beyond = { .words = "a", .offset = 1000 * MIB };

	(void)state;
	assert_false(ranged_is_large(&all, 64 * MIB));
	assert_true(ranged_is_large(&all, 64 * MIB + 1));
	assert_false(ranged_is_large(&part, 1000 * MIB));
	assert_false(ranged_is_large(&beyond, 900 * MIB));
}

/* ---- the walk's decisions --------------------------------------------- */

static const struct target file_below = { .kind = attribute_on_file };
static const struct target file_given = { .kind = attribute_on_file,
	.given = true };
static const struct target directory_below = {
	.kind = attribute_on_directory };
static const struct target directory_given = {
	.kind = attribute_on_directory, .given = true };
static const struct target root_given = { .given = true,
	.kind = attribute_on_directory | attribute_on_root };
static const struct target pipe_below = { .kind = 0 };
static const struct target pipe_given = { .kind = 0, .given = true };

static void without_r_just_the_named_files_are_visited(void **state)
{
	const struct walk walk = { .wanted = attribute_on_file };

	(void)state;
	assert_int_equal(walk_decide(&walk, &file_given, true), walk_visit);
	/* Of a wrong kind, but asked for: whoever visits it says so. */
	assert_int_equal(walk_decide(&walk, &directory_given, true),
		walk_visit);
	assert_int_equal(walk_decide(&walk, &pipe_given, true), walk_visit);
}

static void directories_are_entered_even_if_not_wanted(void **state)
{
	const struct walk files = { .recursive = true,
		.wanted = attribute_on_file };
	const struct walk both = { .recursive = true,
		.wanted = attribute_on_file | attribute_on_directory };

	(void)state;
	assert_int_equal(walk_decide(&files, &directory_given, true),
		walk_enter);
	assert_int_equal(walk_decide(&files, &directory_below, true),
		walk_enter);
	assert_int_equal(walk_decide(&both, &directory_given, true),
		walk_visit_and_enter);
	assert_int_equal(walk_decide(&both, &directory_below, true),
		walk_visit_and_enter);
}

static void in_a_tree_only_wanted_kinds_are_visited(void **state)
{
	const struct walk walk = { .recursive = true,
		.wanted = attribute_on_file };
	const struct walk root = { .recursive = true,
		.wanted = attribute_on_root };

	(void)state;
	assert_int_equal(walk_decide(&walk, &file_below, true), walk_visit);
	assert_int_equal(walk_decide(&walk, &pipe_below, true), walk_skip);
	assert_int_equal(walk_decide(&root, &file_below, true), walk_skip);
}

static void the_walk_stays_on_the_mount(void **state)
{
	const struct walk walk = { .recursive = true,
		.wanted = attribute_on_file | attribute_on_directory };

	(void)state;
	assert_int_equal(walk_decide(&walk, &file_below, false), walk_skip);
	assert_int_equal(walk_decide(&walk, &directory_below, false),
		walk_skip);
}

static void the_root_may_stand_for_its_tree(void **state)
{
	const struct walk walk = { .recursive = true, .root_is_all = true,
		.wanted = attribute_on_file | attribute_on_root };

	(void)state;
	assert_int_equal(walk_decide(&walk, &root_given, true), walk_visit);
	assert_int_equal(walk_decide(&walk, &directory_given, true),
		walk_enter);
}

/* ---- messages --------------------------------------------------------- */

static void a_refusal_says_what_was_expected(void **state)
{
	char text[CHANGE_REFUSAL_MAX];
	const struct attribute *data = attribute_find_text("data");

	(void)state;
	change_refusal(text, data, "fast", -EINVAL);
	assert_string_equal(text, "data=fast: refused by the mount: expected "
		"auto|kernel|daemon");
	change_refusal(text, data, NULL, -ENOSPC);
	assert_string_equal(text, "data: No space left on device");
}

static void every_refusal_fits(void **state)
{
	char text[CHANGE_REFUSAL_MAX];
	char value[2 * CHANGE_REFUSAL_MAX];
	const struct attribute *a;

	(void)state;
	memset(value, 'v', sizeof(value) - 1);
	value[sizeof(value) - 1] = '\0';
	for (a = attribute_table; a->name; a++) {
		change_refusal(text, a, value, -EINVAL);
		assert_non_null(strstr(text, a->values));
	}
}

static void names_are_found_whole(void **state)
{
	(void)state;
	assert_string_equal(attribute_find_text("sync")->name, "sync");
	assert_string_equal(attribute_find("sync.now=wait", 8)->name,
		"sync.now");
	assert_null(attribute_find_text("syn"));
	assert_null(attribute_find_text("syncs"));
	assert_null(attribute_find_text(""));
}

static void the_bar_fills_the_line_and_no_more(void **state)
{
	char line[256];

	(void)state;
	progress_format(line, sizeof(line), 79, 0.5, "name");
	assert_string_equal(line,
		"[===============>              ]  50% name");
	progress_format(line, sizeof(line), 79, 1, "name");
	assert_string_equal(line,
		"[==============================] 100% name");
	progress_format(line, sizeof(line), 40, 0, "0123456789abcdefghijklm");
	assert_int_equal(strlen(line), 40);
	/* The end of a name tells more than its beginning. */
	assert_non_null(strstr(line, "% 4567"));
	progress_format(line, sizeof(line), 40, -3, "x");
	assert_non_null(strstr(line, "  0%"));
}

static void names_are_cut_between_characters(void **state)
{
	char line[256];

	(void)state;
	/* 20 columns: 6 for the bar, 8 around it, 6 for the name. */
	progress_format(line, sizeof(line), 20, 0,
		"ab\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9");
	assert_string_equal(strchr(line, '%') + 2,
		"\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_key_s_line_is_found),
		cmocka_unit_test(a_value_too_long_for_the_buffer_is_cut),
		cmocka_unit_test(numbers_are_digits_that_fit),
		cmocka_unit_test(lines_without_an_equals_sign_are_keys),
		cmocka_unit_test(lines_become_json_of_their_kind),
		cmocka_unit_test(keys_that_come_again_make_an_array),
		cmocka_unit_test(bytes_that_are_no_utf_8_are_replaced),
		cmocka_unit_test(a_range_may_follow_the_words),
		cmocka_unit_test(a_bad_range_is_refused),
		cmocka_unit_test(every_word_has_to_be_in_the_list),
		cmocka_unit_test(pieces_cover_the_range_and_nothing_else),
		cmocka_unit_test(only_large_ranges_are_worth_pieces),
		cmocka_unit_test(without_r_just_the_named_files_are_visited),
		cmocka_unit_test(directories_are_entered_even_if_not_wanted),
		cmocka_unit_test(in_a_tree_only_wanted_kinds_are_visited),
		cmocka_unit_test(the_walk_stays_on_the_mount),
		cmocka_unit_test(the_root_may_stand_for_its_tree),
		cmocka_unit_test(a_refusal_says_what_was_expected),
		cmocka_unit_test(every_refusal_fits),
		cmocka_unit_test(names_are_found_whole),
		cmocka_unit_test(the_bar_fills_the_line_and_no_more),
		cmocka_unit_test(names_are_cut_between_characters),
	};

	return cmocka_run_group_tests_name("msyncctl_words", tests, NULL,
		NULL);
}
