// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "util/text.h"

static void nothing_written_is_an_empty_text(void **state)
{
	size_t length = 7;
	char *text;
	FILE *out = text_open(&text, &length);

	(void)state;
	assert_non_null(out);
	assert_int_equal(text_close(out), 0);
	assert_int_equal(length, 0);
	assert_string_equal(text, "");
	free(text);
}

static void a_text_is_what_was_written(void **state)
{
	size_t length;
	char *text;
	FILE *out = text_open(&text, &length);

	(void)state;
	for (unsigned i = 0; i < 10000; i++)
		fprintf(out, "%05u\n", i);
	fputc('\0', out);
	assert_int_equal(text_close(out), 0);
	assert_int_equal(length, 60001);
	for (unsigned i = 0; i < 10000; i++)
		assert_int_equal(strtoul(text + 6 * i, NULL, 10), i);
	free(text);
}

/* As much as there never is. */
static void what_has_no_room_is_told(void **state)
{
	static char block[1 << 20];
	struct rlimit before, little = { 256 << 20, 256 << 20 };
	size_t length;
	char *text;
	FILE *out;
	int r;

	(void)state;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	print_message("# n/a: a sanitizer needs its memory\n");
	skip();
#endif
	memset(block, 'x', sizeof(block));
	assert_int_equal(getrlimit(RLIMIT_AS, &before), 0);
	little.rlim_max = before.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_AS, &little), 0);
	out = text_open(&text, &length);
	for (unsigned i = 0; i < 1024; i++)
		fwrite(block, 1, sizeof(block), out);
	r = text_close(out);
	setrlimit(RLIMIT_AS, &before);
	assert_int_equal(r, -ENOMEM);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_written_is_an_empty_text),
		cmocka_unit_test(a_text_is_what_was_written),
		cmocka_unit_test(what_has_no_room_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
