// SPDX-License-Identifier: Apache-2.0
/* Patterns of policy files against paths. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "core/glob.h"
#include "random.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct glob *glob_good(const char *text)
{
	const char *expected = NULL;
	struct glob *glob;

	if (glob_new(text, strlen(text), &glob, &expected) != 0)
		fail_msg("'%s': expected %s", text, expected);
	return glob;
}

struct expectation {
	const char *pattern;
	const char *paths; /* separated by blanks; "(top)" is "" */
};

static void check(const struct expectation *expectations, size_t count,
	bool directory, bool wanted)
{
	for (size_t i = 0; i < count; i++) {
		struct glob *glob = glob_good(expectations[i].pattern);
		char *paths = strdup(expectations[i].paths);

		for (char *path = strtok(paths, " "); path;
			path = strtok(NULL, " ")) {
			if (strcmp(path, "(top)") == 0)
				path += strlen(path);
			if (glob_matches(glob, path, directory) != wanted)
				fail_msg("'%s' and '%s' (%s): expected %s",
					expectations[i].pattern, path,
					directory ? "directory" : "file",
					wanted ? "a match" : "none");
		}
		free(paths);
		glob_free(glob);
	}
}

static void what_matches_matches(void **state)
{
	static const struct expectation files[] = {
		{ "a", "a" },
		{ "/a", "a" },
		{ "a/b/c", "a/b/c" },
		{ "*", "a abc .hidden" },
		{ "*.db", "x.db .db a.b.db" },
		{ "a*", "a ab abc" },
		{ "*a*a*", "aa aaa xaxax" },
		{ "?", "a \xc3\xbc \xe2\x82\xac \xf0\x9f\x99\x82 \xff" },
		{ "a?c", "abc a\xc3\xbc""c a\xff""c" },
		{ "*\xc3\xbc", "\xc3\xbc x\xc3\xbc" },
		{ "[abc]", "a b c" },
		{ "[a-cx]", "a b c x" },
		{ "[!a-c]", "d \xc3\xbc" },
		{ "[^a-c]?", "dd \xc3\xbc\xc3\xbc" },
		{ "[]a]", "] a" },
		{ "[!]a]", "b" },
		{ "[a-]", "a -" },
		{ "[\\]x]", "] x" },
		{ "[\\a-\\c]", "b" },
		{ "\\*\\?\\[", "*?[" },
		{ "\\a\\\\", "a\\" },
		{ "logs/**", "logs/a logs/a/b" },
		{ "logs/", "logs/a logs/a/b" },
		{ "/", "a a/b" },
		{ "**", "a a/b/c" },
		{ "**/", "a a/b/c" },
		{ "**/x", "x a/x a/b/x" },
		{ "**/x/", "x/a a/x/a" },
		{ "a/**/z", "a/z a/b/z a/b/c/z a/z/z" },
		{ "**/a/**/b", "a/b x/a/b x/a/y/b a/a/b/b" },
		{ "**/a*/b/**", "ab/b/c x/a/b/c a/c/a/b/d" },
		{ "a/**/**/**/b", "a/b a/x/y/z/b" },
		{ "*/*.log", "a/b.log" },
		{ "a/*/c", "a/b/c" },
	};
	static const struct expectation directories[] = {
		{ "logs/**", "logs logs/a" },
		{ "logs/", "logs logs/a" },
		{ "**/logs/", "logs a/logs a/logs/b" },
		{ "/", "(top) a" },
		{ "**", "(top) a" },
		{ "a/*/", "a/b" },
		{ "a", "a" },
	};

	(void)state;
	check(files, COUNT(files), false, true);
	check(directories, COUNT(directories), true, true);
}

static void what_does_not_match_does_not(void **state)
{
	static const struct expectation files[] = {
		{ "a", "(top) b aa a/b b/a A" },
		{ "*", "(top) a/b" },
		{ "*.db", "x.dbx a/x.db" },
		{ "?", "(top) ab \xc3\xbc\xc3\xbc a/b" },
		{ "a?c", "ac abbc a/c" },
		{ "*a*a*", "a xa bb" },
		{ "[abc]", "d ab (top) ] \xc3\xbc" },
		{ "[!a-c]", "a b c / (top)" },
		{ "\\*", "a **" },
		{ "logs/**", "logs log/a logsa/b a/logs/b" },
		{ "logs/", "logs logs2/a xlogs" },
		{ "**/x", "(top) ax a/bx x/y" },
		{ "a/**/z", "a z a/b a/zz b/a/z" },
		{ "**/a/**/b", "b/a ab a/bb" },
		{ "a/*/c", "a/c a/b/b/c" },
		{ "/", "(top)" },
		{ "**", "(top)" },
	};
	static const struct expectation directories[] = {
		{ "logs/", "(top) logsx" },
		{ "a/*/", "a" },
		{ "*", "(top)" },
		{ "a/b/**", "a" },
	};

	(void)state;
	check(files, COUNT(files), false, false);
	check(directories, COUNT(directories), true, false);
}

static void what_is_no_pattern_is_refused_with_what_was_expected(void **state)
{
	static const struct {
		const char *text, *expected;
	} bad[] = {
		{ "", "a name between slashes" },
		{ "//a", "a name between slashes" },
		{ "a//b", "a name between slashes" },
		{ "a//", "a name between slashes" },
		{ ".", "without '.' and '..'" },
		{ "./a", "without '.' and '..'" },
		{ "a/../b", "without '.' and '..'" },
		{ "a**", "'**' to stand alone" },
		{ "**a/b", "'**' to stand alone" },
		{ "***", "'**' to stand alone" },
		{ "a\\", "a character behind the backslash" },
		{ "a\\/b", "a character behind the backslash" },
		{ "[", "']'" },
		{ "[a", "']'" },
		{ "[]", "']'" },
		{ "[!]", "']'" },
		{ "[a/b]", "']'" },
		{ "[a\\", "']'" },
		{ "[a-\\", "']'" },
		{ "[z-a]", "the smaller one first" },
		{ "[\xc3\xbc]", "ASCII characters" },
		{ "[a-\xc3\xbc]", "ASCII characters" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++) {
		const char *expected = "";
		struct glob *glob;
		int r = glob_new(bad[i].text, strlen(bad[i].text), &glob,
			&expected);

		if (r != -EINVAL || !strstr(expected, bad[i].expected))
			fail_msg("'%s': %d, expected %s", bad[i].text, r,
				expected);
		assert_null(glob);
	}
}

static void the_head_is_what_stands_before_wildcards(void **state)
{
	static const struct {
		const char *text, *head;
	} heads[] = {
		{ "a/b/c", "a/b/c" },
		{ "/a/b/", "a/b" },
		{ "a/b*/c", "a" },
		{ "a/\\*b/**/x", "a/*b" },
		{ "*/a", "" },
		{ "/", "" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(heads); i++) {
		struct glob *glob = glob_good(heads[i].text);

		assert_string_equal(glob_head(glob), heads[i].head);
		glob_free(glob);
	}
}

/* ---- against the obvious way -------------------------------------------- */

/* Without escapes and sets, which the tables have. */
static bool name_matches(const char *pattern, const char *name, size_t length)
{
	if (*pattern == '\0' || *pattern == '/')
		return length == 0;
	if (*pattern == '*')
		return name_matches(pattern + 1, name, length) ||
		       (length > 0 &&
			       name_matches(pattern, name + 1, length - 1));
	return length > 0 && (*pattern == '?' || *pattern == *name) &&
	       name_matches(pattern + 1, name + 1, length - 1);
}

static const char *behind(const char *names)
{
	const char *slash = strchr(names, '/');

	return slash ? slash + 1 : NULL;
}

static bool path_matches(const char *pattern, const char *path)
{
	if (!pattern)
		return !path;
	if (strncmp(pattern, "**", 2) == 0) {
		/* At the end it stands for at least one of a file's names. */
		if (!behind(pattern))
			return path != NULL;
		return path_matches(behind(pattern), path) ||
		       (path && path_matches(pattern, behind(path)));
	}
	return path && name_matches(pattern, path, strcspn(path, "/")) &&
	       path_matches(behind(pattern), behind(path));
}

/* A few names of a few letters, so that there are matches. */
static void random_names(uint64_t *seed, const char *const *letters,
	size_t count, bool stars, char *text)
{
	size_t names = random_between(seed, 1, 5);

	*text = '\0';
	for (size_t i = 0; i < names; i++) {
		size_t length = random_between(seed, 1, 4);

		if (i > 0)
			strcat(text, "/");
		if (stars && random_next(seed) % 3 == 0) {
			strcat(text, "**");
			continue;
		}
		for (size_t k = 0; k < length; k++) {
			const char *letter = letters[random_next(seed) % count];

			if (*letter == '*' && k > 0 &&
				text[strlen(text) - 1] == '*')
				letter = "a";
			strcat(text, letter);
		}
	}
}

static void random_ones_match_as_the_obvious_way_says(void **state)
{
	static const char *const pattern_letters[] = { "a", "b", "*", "?" };
	static const char *const path_letters[] = { "a", "b" };
	uint64_t seed = RANDOM_SEED;
	unsigned matches = 0;

	(void)state;
	for (unsigned i = 0; i < 100000; i++) {
		char pattern[64], path[64];
		struct glob *glob;
		bool wanted;

		random_names(&seed, pattern_letters, 4, true, pattern);
		random_names(&seed, path_letters, 2, false, path);
		wanted = path_matches(pattern, path);
		glob = glob_good(pattern);
		if (glob_matches(glob, path, false) != wanted)
			fail_msg("'%s' and '%s': expected %d", pattern, path,
				wanted);
		matches += wanted;
		glob_free(glob);
	}
	assert_in_range(matches, 5000, 95000);
}

/* With a way that tries all of it these would take years. */
static void many_stars_take_no_time(void **state)
{
	char pattern[1000] = "", path[4000] = "";
	struct glob *glob;

	(void)state;
	for (int i = 0; i < 60; i++)
		strcat(pattern, "a*");
	strcat(pattern, "b");
	memset(path, 'a', sizeof(path) - 1);
	glob = glob_good(pattern);
	assert_false(glob_matches(glob, path, false));
	glob_free(glob);
	*pattern = *path = '\0';
	for (int i = 0; i < 60; i++)
		strcat(pattern, "**/a/");
	strcat(pattern, "b");
	for (int i = 0; i < 1500; i++)
		strcat(path, "a/");
	strcat(path, "a");
	glob = glob_good(pattern);
	assert_false(glob_matches(glob, path, false));
	glob_free(glob);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_matches_matches),
		cmocka_unit_test(what_does_not_match_does_not),
		cmocka_unit_test(
			what_is_no_pattern_is_refused_with_what_was_expected),
		cmocka_unit_test(the_head_is_what_stands_before_wildcards),
		cmocka_unit_test(random_ones_match_as_the_obvious_way_says),
		cmocka_unit_test(many_stars_take_no_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
