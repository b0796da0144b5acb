// SPDX-License-Identifier: Apache-2.0
/*
 * The policy fuzzer's checks without the fuzzer, in every build: files made of
 * what rules are made of, by numbers that are always the same.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "../fuzz/policy_input.h"
#include "random.h"

#define INPUTS 60000

static uint64_t random_state = RANDOM_SEED;

static const char *pick(const char *const *words, size_t count)
{
	return words[random_next(&random_state) % count];
}

#define PICK(words) pick(words, sizeof(words) / sizeof(words[0]))

/* A text of so many bytes at most, most of them good. */
static size_t make_input(char *text, size_t room)
{
	static const char *const paths[] = { "", "a", "a/b", "a/b/c", "b",
		"ab/b", "a b", "a/", "/a", "//", "\xc3\xbc" };
	static const char *const globs[] = { "a", "b", "/", "/", "*", "**",
		"?", "[ab]", "[!a]", "/**", "**/", "\\a", "a\\ b", "\"a b\"",
		"\xc3\xbc", "/a", "/b", "a/*" };
	static const char *const policies[] = { " sync=manual",
		" sync=relaxed", " map=staged", " map=private data=daemon",
		" lock=on", "\tgrow=trim", " append=on" };
	static const char *const odd[] = { "#", " ", "\"", "\\", "=", "..",
		"[", "]", "sync", "\r", "\xef\xbb\xbf", "\x01", "***" };
	size_t lines = random_between(&random_state, 0, 6);

	strcpy(text, PICK(paths));
	strcat(text, "\n");
	for (; lines > 0 && strlen(text) + 200 < room; lines--) {
		size_t parts = random_between(&random_state, 1, 4);

		for (; parts > 0; parts--)
			strcat(text, PICK(globs));
		strcat(text, PICK(policies));
		if (random_next(&random_state) % 12 == 0)
			strcat(text, PICK(odd));
		strcat(text, "\n");
	}
	return strlen(text);
}

static void whatever_is_taken_is_matched_as_its_lines_are(void **state)
{
	char text[2048];

	(void)state;
	for (unsigned i = 0; i < INPUTS; i++) {
		size_t length = make_input(text, sizeof(text));

		/* A byte of it is any other, perhaps a 0. */
		if (i % 8 == 0)
			text[random_next(&random_state) % length] =
				(char)random_next(&random_state);
		assert_int_equal(LLVMFuzzerTestOneInput((uint8_t *)text,
			length), 0);
	}
	/* They are not all refused. */
	print_message("# %llu rules of %u files\n",
		(unsigned long long)input_rules, INPUTS);
	assert_true(input_rules > INPUTS / 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whatever_is_taken_is_matched_as_its_lines_are),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
