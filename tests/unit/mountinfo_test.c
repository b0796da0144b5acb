// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "util/mountinfo.h"

/* Opens the text as if the kernel had written it. */
static void open_text(struct mountinfo *info, const char *text)
{
	char path[] = "/tmp/mountinfo_test.XXXXXX";
	int fd = mkstemp(path);
	size_t length = strlen(text);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, length), length);
	close(fd);
	assert_int_equal(mountinfo_open(info, path), 0);
	unlink(path);
}

static void a_line_is_taken_apart(void **state)
{
	owned_mountinfo info = { 0 };
	const struct mountinfo_entry *entry;

	(void)state;
	open_text(&info, "36 35 98:7 /sub /mnt rw,noatime - ext4 /dev/sda "
		"rw,errors=continue\n");
	entry = mountinfo_next(&info);
	assert_non_null(entry);
	assert_int_equal(entry->id, 36);
	assert_int_equal(entry->major, 98);
	assert_int_equal(entry->minor, 7);
	assert_string_equal(entry->root, "/sub");
	assert_string_equal(entry->mountpoint, "/mnt");
	assert_string_equal(entry->type, "ext4");
	assert_string_equal(entry->source, "/dev/sda");
	assert_null(mountinfo_next(&info));
}

static void any_number_of_tags_may_stand_before_the_dash(void **state)
{
	owned_mountinfo info = { 0 };
	const struct mountinfo_entry *entry;

	(void)state;
	open_text(&info, "1 2 0:3 / / rw shared:1 master:2 unbindable - "
		"fuse.msyncfs s rw\n");
	entry = mountinfo_next(&info);
	assert_non_null(entry);
	assert_string_equal(entry->type, "fuse.msyncfs");
	assert_string_equal(entry->source, "s");
}

static void escapes_are_undone(void **state)
{
	owned_mountinfo info = { 0 };
	const struct mountinfo_entry *entry;

	(void)state;
	open_text(&info, "1 2 0:3 /a\\040b /x\\134y\\011z\\012 rw - fuse.a "
		"s\\043t rw\n");
	entry = mountinfo_next(&info);
	assert_non_null(entry);
	assert_string_equal(entry->root, "/a b");
	assert_string_equal(entry->mountpoint, "/x\\y\tz\n");
	assert_string_equal(entry->source, "s#t");
}

static void an_empty_source_is_understood(void **state)
{
	owned_mountinfo info = { 0 };
	const struct mountinfo_entry *entry;

	(void)state;
	open_text(&info, "1 2 0:3 / /m rw - tmpfs  rw\n");
	entry = mountinfo_next(&info);
	assert_non_null(entry);
	assert_string_equal(entry->source, "");
}

static void lines_that_make_no_sense_are_passed_over(void **state)
{
	owned_mountinfo info = { 0 };
	const struct mountinfo_entry *entry;

	(void)state;
	open_text(&info,
		"\n"
		"1 2 0:3\n"
		"1 2 0:3 / /m rw no dash\n"
		"1 2 0:3 / /m rw -\n"
		"x 2 0:3 / /m rw - t s rw\n"
		"1 2 03 / /m rw - t s rw\n"
		"9 2 0:3 / /good rw - t s rw\n");
	entry = mountinfo_next(&info);
	assert_non_null(entry);
	assert_int_equal(entry->id, 9);
	assert_null(mountinfo_next(&info));
}

static void a_missing_file_is_an_error(void **state)
{
	owned_mountinfo info = { 0 };

	(void)state;
	assert_int_equal(mountinfo_open(&info, "/tmp/no-such/mountinfo"),
		-ENOENT);
}

static void the_kernel_s_own_list_has_the_root(void **state)
{
	owned_mountinfo info = { 0 };
	const struct mountinfo_entry *entry;
	int roots = 0;

	(void)state;
	assert_int_equal(mountinfo_open(&info, "/proc/self/mountinfo"), 0);
	while ((entry = mountinfo_next(&info)) != NULL)
		roots += strcmp(entry->mountpoint, "/") == 0;
	assert_true(roots > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_is_taken_apart),
		cmocka_unit_test(any_number_of_tags_may_stand_before_the_dash),
		cmocka_unit_test(escapes_are_undone),
		cmocka_unit_test(an_empty_source_is_understood),
		cmocka_unit_test(lines_that_make_no_sense_are_passed_over),
		cmocka_unit_test(a_missing_file_is_an_error),
		cmocka_unit_test(the_kernel_s_own_list_has_the_root),
	};

	return cmocka_run_group_tests_name("mountinfo", tests, NULL, NULL);
}
