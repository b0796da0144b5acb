// SPDX-License-Identifier: Apache-2.0
/* Policy files: their text, and which rule holds; globs are glob_test.c's. */
#include "policy_values.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/policy_file.h"

static char error[1024];

static struct policy_file *good(const char *text)
{
	struct policy_file *file;

	if (policy_file_parse("rules", text, strlen(text), false, &file,
		    error, sizeof(error)) != 0)
		fail_msg("%s", error);
	return file;
}

/* "sync=relaxed:3 map=staged:2" for a path; in the order of policies. */
static const char *found(const struct policy_file *file, const char *path,
	bool directory)
{
	static char text[2048];
	struct policy policy = policy_builtin;
	struct policy_lines lines;
	size_t used = 0;

	text[0] = '\0';
	policy_file_match(file, path, directory, &policy, &lines);
	assert_int_equal(policy.set, 0);
	for (unsigned i = 0; i < POLICY_NAMES; i++) {
		enum policy_name name = (enum policy_name)i;

		if (lines.of[i] == 0)
			continue;
		used += (size_t)snprintf(text + used, sizeof(text) - used,
			"%s%s=%s:%u", used > 0 ? " " : "", policy_key(name),
			policy_text(&policy, name), lines.of[i]);
	}
	return text;
}

static void a_file_may_have_no_rules(void **state)
{
	static const char *const texts[] = { "", "\n", "# nothing\n\n \t\n",
		"\xef\xbb\xbf# nothing", "\r\n\r\n" };

	(void)state;
	for (size_t i = 0; i < COUNT(texts); i++) {
		struct policy_file *file = good(texts[i]);

		assert_int_equal(policy_file_count(file), 0);
		assert_string_equal(found(file, "a", false), "");
		policy_file_put(file);
	}
}

static void rules_are_lines_of_words(void **state)
{
	struct policy_file *file = good(
		"# comment\n"
		"\n"
		"  logs/** \t sync=relaxed   # of this line\n"
		"\"a b/**\"  data=daemon map=shared\r\n"
		"c\\ d sync=manual\n"
		"\"#e\" sync=manual\n"
		"\\#f sync=manual\n"
		"g#h sync=manual\n"
		"say\\ \\\"x\\\" sync=manual\n"
		"\"say \\\"y\\\"\" sync=manual\n"
		"x\" \"y lock=on\n"
		"last sync=every=2s,close");

	(void)state;
	assert_int_equal(policy_file_count(file), 10);
	assert_string_equal(found(file, "logs/x", false),
		"sync=fsync=defer+every=5s+close:3");
	assert_string_equal(found(file, "a b/x", false),
		"map=shared:4 data=daemon:4");
	assert_string_equal(found(file, "c d", false), "sync=fsync=defer:5");
	assert_string_equal(found(file, "#e", false), "sync=fsync=defer:6");
	assert_string_equal(found(file, "#f", false), "sync=fsync=defer:7");
	assert_string_equal(found(file, "g#h", false), "sync=fsync=defer:8");
	assert_string_equal(found(file, "say \"x\"", false),
		"sync=fsync=defer:9");
	assert_string_equal(found(file, "say \"y\"", false),
		"sync=fsync=defer:10");
	assert_string_equal(found(file, "x y", false), "lock=on:11");
	assert_string_equal(found(file, "last", false),
		"sync=every=2s+close:12");
	assert_string_equal(found(file, "none", false), "");
	policy_file_put(file);
}

static void every_policy_may_be_in_a_rule(void **state)
{
	struct policy_file *file = good(
		"** advise=random sync=manual map=staged data=daemon "
		"lock=on grow=chunk=1M append=on\n");

	(void)state;
	assert_string_equal(found(file, "x", false),
		"advise=random:1 sync=fsync=defer:1 map=staged:1 "
		"data=daemon:1 lock=on:1 grow=chunk=1M:1 append=on:1");
	policy_file_put(file);
}

static void what_is_wrong_is_named_with_its_line(void **state)
{
	static const struct {
		const char *text, *error;
	} bad[] = {
		{ "a", "rules:1: 'a' stands alone: expected a policy behind" },
		{ "a # b", "rules:1: 'a' stands alone" },
		{ "\n\na sync", "rules:3: 'sync': expected POLICY=VALUE" },
		{ "a sync=", "rules:1: sync=: '': expected" },
		{ "a sync=bogus", "rules:1: sync=bogus: 'bogus': expected" },
		{ "a =relaxed", "rules:1: '=relaxed': expected POLICY=VALUE" },
		{ "a syn=relaxed", "rules:1: 'syn=relaxed': expected POLICY" },
		{ "a data=x", "rules:1: data=x: 'x': expected auto, kernel" },
		{ "a sync=manual\nb sync=every=99999999h",
			"rules:2: sync=every=99999999h: " },
		{ "a sync=manual sync=strict",
			"rules:1: 'sync=strict': expected each policy once" },
		{ "a b sync=manual", "rules:1: 'b': expected POLICY=VALUE" },
		{ "\"a b sync=manual", "expected a second '\"' in the line" },
		{ "a \"sync=manual", "expected a second '\"' in the line" },
		{ "\"\" sync=manual", "rules:1: '': expected a name" },
		{ "a/../b sync=manual", "rules:1: 'a/../b': expected a path" },
		{ "a** sync=manual", "rules:1: 'a**': expected '**' to stand" },
		{ "[a sync=manual", "rules:1: '[a': expected a ']'" },
		{ "a\\ sync=manual", "rules:1: 'a\\ sync=manual' stands" },
		{ "a sync=man\x01ual", "rules:1: sync=man\\001ual: " },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++) {
		struct policy_file *file;
		int r = policy_file_parse("rules", bad[i].text,
			strlen(bad[i].text), false, &file, error,
			sizeof(error));

		if ((r != -EINVAL && r != -ERANGE) ||
			!strstr(error, bad[i].error) || strchr(error, '\n'))
			fail_msg("'%s': %d, %s", bad[i].text, r, error);
		assert_null(file);
	}
	struct policy_file *file;
	assert_int_equal(policy_file_parse("rules", "a sync=manual\nb\0c", 17,
		false, &file, error, sizeof(error)), -EINVAL);
	assert_string_equal(error, "rules:2: a byte 0: expected text");
}

static void what_nofsync_can_not_keep_is_refused(void **state)
{
	static const struct {
		const char *text;
		bool good;
	} rules[] = {
		{ "a sync=relaxed", true },
		{ "a sync=fsync=defer+every=1s", true },
		{ "a map=private data=daemon", true },
		{ "a sync=strict", false },
		{ "a sync=every=1s", false },
		{ "a sync=fsync=group:1s", false },
		{ "a map=staged", false },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rules); i++) {
		struct policy_file *file;
		int r = policy_file_parse("rules", rules[i].text,
			strlen(rules[i].text), true, &file, error,
			sizeof(error));

		assert_int_equal(r, rules[i].good ? 0 : -EINVAL);
		if (r < 0) {
			assert_non_null(strstr(error, "rules:1: "));
			assert_non_null(strstr(error, "nofsync"));
		}
		policy_file_put(file);
	}
}

/* ---- which rule holds --------------------------------------------------- */

static void the_last_rule_holds_for_each_policy(void **state)
{
	struct policy_file *file = good(
		"** sync=relaxed data=daemon\n"
		"db/** sync=strict\n"
		"**/*.tmp sync=manual map=private\n"
		"db/keep.tmp map=shared\n"
		"db/** grow=trim\n");

	(void)state;
	assert_string_equal(found(file, "x", false),
		"sync=fsync=defer+every=5s+close:1 data=daemon:1");
	assert_string_equal(found(file, "db/x", false),
		"sync=strict:2 data=daemon:1 grow=trim:5");
	assert_string_equal(found(file, "db/x.tmp", false),
		"sync=fsync=defer:3 map=private:3 data=daemon:1 grow=trim:5");
	assert_string_equal(found(file, "db/keep.tmp", false),
		"sync=fsync=defer:3 map=shared:4 data=daemon:1 grow=trim:5");
	assert_string_equal(found(file, "", true),
		"sync=fsync=defer+every=5s+close:1 data=daemon:1");
	assert_string_equal(found(file, "db", true),
		"sync=strict:2 data=daemon:1 grow=trim:5");
	policy_file_put(file);
}

static void a_file_without_a_name_is_in_its_directory(void **state)
{
	struct policy_file *file = good("a/** sync=manual\na lock=on\n");

	(void)state;
	assert_string_equal(found(file, "a/", false), "sync=fsync=defer:1");
	policy_file_put(file);
}

/* The index by heads finds what looking at each rule finds. */
static void rules_are_found_wherever_their_wildcards_begin(void **state)
{
	static const char *const names[] = { "a", "ab", "b", "*", "**", "a*",
		"?", "aa" };
	uint64_t seed = RANDOM_SEED;

	(void)state;
	for (int round = 0; round < 300; round++) {
		char text[8192] = "", line[30][64], path[64] = "";
		size_t rules = random_between(&seed, 1, 30);
		char expected[64] = "";
		struct policy_file *file;

		for (size_t n = random_between(&seed, 1, 4); n > 0; n--) {
			static const char *const plain[] = { "a", "ab", "b" };

			strcat(path, plain[random_next(&seed) % 3]);
			if (n > 1)
				strcat(path, "/");
		}
		for (size_t i = 0; i < rules; i++) {
			line[i][0] = '\0';
			for (size_t n = random_between(&seed, 1, 4); n > 0;
				n--) {
				strcat(line[i], names[random_next(&seed) %
					COUNT(names)]);
				strcat(line[i], n > 1 ? "/" : " lock=on\n");
			}
			strcat(text, line[i]);
			file = good(line[i]);
			if (*found(file, path, false))
				snprintf(expected, sizeof(expected),
					"lock=on:%zu", i + 1);
			policy_file_put(file);
		}
		file = good(text);
		if (strcmp(found(file, path, false), expected) != 0)
			fail_msg("'%s': %s, expected %s, of\n%s", path,
				found(file, path, false), expected, text);
		policy_file_put(file);
	}
}

static void ten_thousand_rules_are_as_good_as_one(void **state)
{
	char *text = malloc(10000 * 40);
	char path[40], expected[60];
	struct policy_file *file;
	size_t used = 0;

	(void)state;
	assert_non_null(text);
	for (int i = 0; i < 10000; i++)
		used += (size_t)sprintf(text + used,
			"home/u%d/** sync=every=%ds\n", i, i + 1);
	file = good(text);
	assert_int_equal(policy_file_count(file), 10000);
	for (int i = 0; i < 10000; i++) {
		snprintf(path, sizeof(path), "home/u%d/x/y", i);
		snprintf(expected, sizeof(expected), "sync=every=%ds", i + 1);
		struct policy policy = policy_builtin;
		struct policy_lines lines;
		policy_file_match(file, path, false, &policy, &lines);
		assert_int_equal(lines.of[policy_sync], i + 1);
		assert_int_equal(policy.every, (i + 1) * SECOND);
	}
	policy_file_put(file);
	free(text);
}

/* ---- on disk ------------------------------------------------------------ */

static char path[64];

static int make_directory(void **state)
{
	(void)state;
	strcpy(path, "/tmp/policy_file_test.XXXXXX");
	if (!mkdtemp(path))
		return -1;
	strcat(path, "/rules");
	return 0;
}

static int remove_directory(void **state)
{
	(void)state;
	(void)!unlink(path);
	(void)!rmdir(path);
	*strrchr(path, '/') = '\0';
	return rmdir(path);
}

static void make(const char *text, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

static void refused(int errnum, const char *why)
{
	struct policy_file *file;
	int r = policy_file_read(path, false, &file, error, sizeof(error));

	if (r != errnum || !strstr(error, path) || !strstr(error, why))
		fail_msg("%d, %s; expected %d, %s", r, error, errnum, why);
	assert_null(file);
}

static void a_file_is_read(void **state)
{
	struct policy_file *file;

	(void)state;
	make("** sync=manual\n", 0644);
	assert_int_equal(policy_file_read(path, false, &file, error,
		sizeof(error)), 0);
	assert_string_equal(found(file, "x", false), "sync=fsync=defer:1");
	policy_file_put(file);
	make("\n** sync=x\n", 0600);
	refused(-EINVAL, "rules:2: sync=x: 'x': expected");
}

static void what_others_could_write_is_refused(void **state)
{
	(void)state;
	make("** sync=manual\n", 0664);
	refused(-EPERM, "written by others than its owner (mode 664): "
			"expected chmod go-w");
	make("** sync=manual\n", 0602);
	refused(-EPERM, "(mode 602)");
	if (geteuid() == 0) {
		make("** sync=manual\n", 0600);
		assert_int_equal(chown(path, 65534, 65534), 0);
		refused(-EPERM, "belongs to user 65534");
	}
}

static void what_is_no_file_is_refused(void **state)
{
	(void)state;
	refused(-ENOENT, "No such file or directory");
	assert_int_equal(mkfifo(path, 0600), 0);
	refused(-EPERM, "expected a regular file");
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkdir(path, 0700), 0);
	refused(-EPERM, "expected a regular file");
	assert_int_equal(rmdir(path), 0);
	make("", 0600);
	assert_int_equal(truncate(path, (off_t)POLICY_FILE_MAX + 1), 0);
	refused(-EFBIG, "at most 16M");
}

#define on_disk(test) \
	cmocka_unit_test_setup_teardown(test, make_directory, remove_directory)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_file_may_have_no_rules),
		cmocka_unit_test(rules_are_lines_of_words),
		cmocka_unit_test(every_policy_may_be_in_a_rule),
		cmocka_unit_test(what_is_wrong_is_named_with_its_line),
		cmocka_unit_test(what_nofsync_can_not_keep_is_refused),
		cmocka_unit_test(the_last_rule_holds_for_each_policy),
		cmocka_unit_test(a_file_without_a_name_is_in_its_directory),
		cmocka_unit_test(
			rules_are_found_wherever_their_wildcards_begin),
		cmocka_unit_test(ten_thousand_rules_are_as_good_as_one),
		on_disk(a_file_is_read),
		on_disk(what_others_could_write_is_refused),
		on_disk(what_is_no_file_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
