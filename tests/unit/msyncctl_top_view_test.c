// SPDX-License-Identifier: Apache-2.0
#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>
#include <cmocka.h>

#include "msyncctl/top_view.h"

#define LINES_MAX 300

/* What has been drawn. */
struct paper {
	struct view_output output; /* first */
	char *line[LINES_MAX];
	enum view_style style[LINES_MAX];
	unsigned count;
};

static void take_line(struct view_output *output, enum view_style style,
	const char *text)
{
	struct paper *paper = (struct paper *)output;

	assert_in_range(paper->count, 0, LINES_MAX - 1);
	paper->style[paper->count] = style;
	paper->line[paper->count++] = strdup(text);
}

static void clear(struct paper *paper)
{
	for (unsigned i = 0; i < paper->count; i++)
		free(paper->line[i]);
	*paper = (struct paper){ .output = { take_line } };
}

static unsigned columns_of(const char *text)
{
	wchar_t wide[1024];
	size_t n = mbstowcs(wide, text, 1024);

	assert_true(n < 1024);
	return (unsigned)wcswidth(wide, n);
}

static bool has(const struct paper *paper, const char *text)
{
	for (unsigned i = 0; i < paper->count; i++) {
		if (strstr(paper->line[i], text))
			return true;
	}
	return false;
}

#define STATS                                                                  \
	"store=/srv/store\nuptime=3000000000\nopen=4\nscheduler.waiting=2\n"   \
	"fsync.p50=1000000\nfsync.p99=4000000\nsync.p99=8000000\n"             \
	"requests.READ=77\n"

struct world {
	struct sample sample[2];
	struct view_mount mounts[2];
	struct view view;
	struct paper paper;
};

static int make_world(void **state)
{
	struct world *world = calloc(1, sizeof(*world));
	static const char files[] = "40 4096 1000 first\n"
				    "30 0 - second\n"
				    "20 - - dir/third\n"
				    "10 0 - fourth\n";

	assert_non_null(world);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(sample_parse(&world->sample[i], 1, STATS,
					 i == 0 ? files : ""), 0);
		world->mounts[i] = (struct view_mount){
			.mountpoint = i == 0 ? "/mnt/one" : "/mnt/two",
			.sample = &world->sample[i],
		};
	}
	world->view = (struct view){
		.mounts = world->mounts,
		.count = 1,
		.clock = "14:03:12",
		.delay = 1,
		.width = 80,
		.height = 24,
	};
	clear(&world->paper);
	*state = world;
	return 0;
}

static int drop_world(void **state)
{
	struct world *world = *state;

	clear(&world->paper);
	sample_free(&world->sample[0]);
	sample_free(&world->sample[1]);
	free(world);
	return 0;
}

static void draw(struct world *world)
{
	clear(&world->paper);
	view_draw(&world->view, &world->paper.output);
}

static void the_screen_has_the_mount_and_its_files(void **state)
{
	struct world *world = *state;

	draw(world);
	assert_int_equal(world->paper.count, 24);
	assert_true(has(&world->paper, "14:03:12"));
	assert_true(has(&world->paper, "/mnt/one  up 3 s  store /srv/store"));
	assert_true(has(&world->paper, "open 4"));
	assert_true(has(&world->paper, "waiting 2"));
	assert_true(has(&world->paper, "fsync p50 1 ms p99 4 ms"));
	assert_true(has(&world->paper, "sync p99 8 ms"));
	assert_true(has(&world->paper, "dir/third"));
	assert_true(has(&world->paper, "q quit"));
}

static void nothing_is_wider_or_longer_than_the_screen(void **state)
{
	struct world *world = *state;

	world->view.count = 2;
	for (unsigned height = 1; height < 30; height++) {
		for (unsigned width = 1; width < 100; width += 7) {
			world->view.width = width;
			world->view.height = height;
			draw(world);
			assert_int_equal(world->paper.count, height);
			for (unsigned i = 0; i < world->paper.count; i++)
				assert_in_range(columns_of(
					world->paper.line[i]), 0, width);
		}
	}
}

static void scrolling_begins_the_table_further_down(void **state)
{
	struct world *world = *state;

	world->view.height = 9;
	assert_int_equal(view_rows(&world->view), 2);
	draw(world);
	assert_true(has(&world->paper, "first"));
	assert_false(has(&world->paper, "third"));
	world->view.scroll = 2;
	draw(world);
	assert_false(has(&world->paper, "first"));
	assert_false(has(&world->paper, "second"));
	assert_true(has(&world->paper, "third"));
	assert_true(has(&world->paper, "fourth"));
}

static void several_mounts_are_named_in_a_line(void **state)
{
	struct world *world = *state;

	draw(world);
	assert_false(has(&world->paper, "[1 /mnt/one]"));
	world->view.count = 2;
	world->view.selected = 1;
	world->mounts[0].trouble = "no answer for 7 s";
	draw(world);
	assert_true(has(&world->paper, " 1 /mnt/one ! [2 /mnt/two]"));
	/* Its trouble is told where it is shown. */
	assert_false(has(&world->paper, "no answer"));
	assert_true(has(&world->paper, "no file is open"));
}

static void trouble_is_told_and_old_numbers_are_dim(void **state)
{
	struct world *world = *state;
	unsigned dim = 0;

	world->mounts[0].trouble = "no answer for 7 s";
	world->mounts[0].stale = true;
	draw(world);
	assert_true(has(&world->paper, "no answer for 7 s"));
	for (unsigned i = 0; i < world->paper.count; i++) {
		if (strstr(world->paper.line[i], "first") ||
			strstr(world->paper.line[i], "requests/s")) {
			assert_int_equal(world->paper.style[i], view_dim);
			dim++;
		}
	}
	assert_int_equal(dim, 2);
}

static void failed_syncs_are_an_alarm(void **state)
{
	struct world *world = *state;

	world->sample[0].number[sample_sync_errors] = 1;
	draw(world);
	assert_true(has(&world->paper, "1 sync has failed"));
	world->sample[0].number[sample_sync_errors] = 2;
	draw(world);
	assert_true(has(&world->paper, "2 syncs have failed"));
}

static void a_mount_without_an_answer_is_waited_for(void **state)
{
	struct world *world = *state;

	sample_free(&world->sample[0]);
	draw(world);
	assert_int_equal(world->paper.count, 24);
	assert_true(has(&world->paper, "waiting for the first answer"));
	assert_false(has(&world->paper, "no file is open"));
}

static void help_takes_the_table_s_place(void **state)
{
	struct world *world = *state;

	world->view.help = true;
	draw(world);
	assert_int_equal(world->paper.count, 24);
	assert_true(has(&world->paper, "TAB, 1-9"));
	assert_false(has(&world->paper, "first"));
}

static void a_screen_without_mounts_says_so(void **state)
{
	struct world *world = *state;

	world->view.count = 0;
	draw(world);
	assert_int_equal(world->paper.count, 24);
	assert_true(has(&world->paper, "no msyncfs mount is left"));
	assert_true(has(&world->paper, "q quit"));
}

static void paper_has_all_files_and_no_blank_lines(void **state)
{
	struct world *world = *state;

	view_print(&world->mounts[0], 80, &world->paper.output);
	assert_int_equal(world->paper.count, 8);
	assert_true(has(&world->paper, "fourth"));
	for (unsigned i = 0; i < world->paper.count; i++)
		assert_string_not_equal(world->paper.line[i], "");
}

static void expect_fit(const char *text, unsigned columns, bool keep_end,
	const char *wanted)
{
	char fitted[64];
	unsigned used = view_fit(fitted, sizeof(fitted), text, columns,
		keep_end);

	assert_string_equal(fitted, wanted);
	assert_int_equal(used, columns_of(wanted));
	assert_in_range(used, 0, columns);
}

static void long_text_is_cut_and_marked(void **state)
{
	(void)state;
	expect_fit("", 3, false, "");
	expect_fit("abc", 3, false, "abc");
	expect_fit("abcd", 3, false, "ab~");
	expect_fit("abcd", 3, true, "~cd");
	expect_fit("abcd", 1, true, "~");
	expect_fit("abcd", 0, false, "");
}

static void wide_characters_are_not_halved(void **state)
{
	(void)state;
	/* Two columns each. */
	expect_fit("\u65e5\u672c\u8a9e", 6, false, "\u65e5\u672c\u8a9e");
	expect_fit("\u65e5\u672c\u8a9e", 5, false, "\u65e5\u672c~");
	expect_fit("\u65e5\u672c\u8a9e", 4, false, "\u65e5~");
	expect_fit("\u65e5\u672c\u8a9e", 4, true, "~\u8a9e");
	/* One with an accent that takes none. */
	expect_fit("e\u0301e\u0301", 2, false, "e\u0301e\u0301");
}

static void what_could_drive_a_terminal_is_replaced(void **state)
{
	(void)state;
	expect_fit("a\033[1mb", 20, false, "a?[1mb");
	/* Not UTF-8, and a control character of two bytes. */
	expect_fit("a\377b", 20, false, "a?b");
	expect_fit("a\302\233b", 20, false, "a?b");
}

static void a_small_buffer_cuts_whole_characters(void **state)
{
	char small[6];

	(void)state;
	view_fit(small, sizeof(small), "\u65e5\u672c\u8a9e", 10, false);
	assert_string_equal(small, "\u65e5");
}

static void numbers_are_rounded_for_people(void **state)
{
	static const struct {
		double number;
		const char *text;
	} cases[] = {
		{ -1, "-" }, { 0, "0" }, { 0.26, "0.3" }, { 9.9, "9.9" },
		{ 9.96, "10" }, { 12.4, "12" }, { 9999, "9999" },
		{ 9999.6, "10.0k" }, { 999940, "999.9k" },
		{ 999960, "1.0M" }, { 2.5e9, "2.5G" }, { 7e12, "7.0T" },
		{ 7e15, "7000.0T" },
	};
	char text[VIEW_NUMBER_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_string_equal(view_number(text, cases[i].number),
			cases[i].text);
}

#define in_world(test)                                                         \
	cmocka_unit_test_setup_teardown(test, make_world, drop_world)

int main(void)
{
	const struct CMUnitTest tests[] = {
		in_world(the_screen_has_the_mount_and_its_files),
		in_world(nothing_is_wider_or_longer_than_the_screen),
		in_world(scrolling_begins_the_table_further_down),
		in_world(several_mounts_are_named_in_a_line),
		in_world(trouble_is_told_and_old_numbers_are_dim),
		in_world(failed_syncs_are_an_alarm),
		in_world(a_mount_without_an_answer_is_waited_for),
		in_world(help_takes_the_table_s_place),
		in_world(a_screen_without_mounts_says_so),
		in_world(paper_has_all_files_and_no_blank_lines),
		cmocka_unit_test(long_text_is_cut_and_marked),
		cmocka_unit_test(wide_characters_are_not_halved),
		cmocka_unit_test(what_could_drive_a_terminal_is_replaced),
		cmocka_unit_test(a_small_buffer_cuts_whole_characters),
		cmocka_unit_test(numbers_are_rounded_for_people),
	};

	setlocale(LC_ALL, "C.UTF-8");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
