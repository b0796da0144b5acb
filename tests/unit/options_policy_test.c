// SPDX-License-Identifier: Apache-2.0
/* Mount options that are policies, and lists of any bytes. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mount.h>
#include <cmocka.h>

#include "options.h"
#include "random.h"

struct parsed {
	struct options options;
	char error[256];
	int result;
};

static int setup(void **state)
{
	static struct parsed parsed;

	memset(&parsed, 0, sizeof(parsed));
	*state = &parsed;
	return 0;
}

static int teardown(void **state)
{
	struct parsed *parsed = *state;

	options_fini(&parsed->options);
	return 0;
}

static void parse(struct parsed *parsed, const char *list)
{
	char *argv[] = { "msyncfs", "store", "mnt", "-o", (char *)list, NULL };

	options_fini(&parsed->options);
	parsed->error[0] = '\0';
	parsed->result = options_parse(5, argv, &parsed->options,
		parsed->error, sizeof(parsed->error));
}

static const struct options *list(struct parsed *parsed, const char *options)
{
	parse(parsed, options);
	if (parsed->result != 0)
		fail_msg("%s", parsed->error);
	return &parsed->options;
}

static void bad_list(struct parsed *parsed, const char *options,
	const char *part)
{
	parse(parsed, options);
	assert_int_equal(parsed->result, -EINVAL);
	assert_null(strchr(parsed->error, '\n'));
	if (strstr(parsed->error, part) == NULL)
		fail_msg("no \"%s\" in: %s", part, parsed->error);
}

/* Which policies are set, and their texts joined by blanks. */
static void policies_are(const struct options *o, const char *expected)
{
	char all[POLICY_NAMES * (POLICY_TEXT_MAX + 10)] = "";

	for (enum policy_name name = 0; name < POLICY_NAMES; name++) {
		char text[POLICY_TEXT_MAX];

		if (!policy_has(&o->policy, name))
			continue;
		policy_format(&o->policy, name, text);
		if (all[0] != '\0')
			strcat(all, " ");
		strcat(strcat(strcat(all, policy_key(name)), "="), text);
	}
	assert_string_equal(all, expected);
}

static void policies_have_defaults_of_the_mount(void **state)
{
	policies_are(list(*state, "advise=random+willneed,sync=fsync=defer+"
		"every=5s,map=staged,lock=onfault,grow=chunk=1M+max=1G,"
		"append=on"), "advise=random+willneed "
		"sync=fsync=defer+every=5s map=staged lock=onfault "
		"grow=chunk=1M+max=1G append=on");
	policies_are(list(*state, "sync=fsync=defer\\,close,ro"),
		"sync=fsync=defer+close");
	policies_are(list(*state, "lock=off"), "lock=off");
	policies_are(list(*state, "data=daemon"), "");
}

static void the_last_policy_of_a_name_counts(void **state)
{
	policies_are(list(*state, "sync=relaxed,advise=random,sync=close"),
		"advise=random sync=close");
}

static void sync_is_a_flag_and_with_a_value_a_policy(void **state)
{
	const struct options *o;

	o = list(*state, "sync");
	assert_true(o->mount_flags & MS_SYNCHRONOUS);
	policies_are(o, "");
	o = list(*state, "sync=relaxed");
	assert_false(o->mount_flags & MS_SYNCHRONOUS);
	policies_are(o, "sync=fsync=defer+every=5s+close");
	o = list(*state, "sync=strict,sync,async");
	assert_false(o->mount_flags & MS_SYNCHRONOUS);
	policies_are(o, "sync=strict");
}

static void wrong_policies_are_named(void **state)
{
	bad_list(*state, "sync=every=5x", "sync=every=5x: 'every=5x': "
		"expected a duration such as 500ms, 5s or 2m");
	bad_list(*state, "ro,lock=yes,rw", "lock=yes: 'yes': expected off");
	bad_list(*state, "map=stage", "map=stage: 'stage': expected "
		"shared, private or staged");
	bad_list(*state, "grow=max=9000000T", "grow=max=9000000T: ");
	bad_list(*state, "advise", "'advise' needs a value: expected a "
		"policy, see msyncfs-xattr(7)");
	bad_list(*state, "append=", "'append' needs a value");
	bad_list(*state, "sync=", "'sync' needs a value: expected a policy");
	bad_list(*state, "async=relaxed", "'async' takes no value");
	bad_list(*state, "noappend", "unknown option 'noappend'");
	bad_list(*state, "sync=relaxed,every=2s",
		"unknown option 'every': expected the parts of a policy "
		"joined by '+'");
	bad_list(*state, "evry=2s", "unknown option 'evry': see --help");
}

static void locked_memory_has_a_limit(void **state)
{
	assert_true(list(*state, "lock-limit=64M")->lock_limit == 64 << 20);
	assert_true(list(*state, "lock-limit=0")->lock_limit == 0);
	assert_true(list(*state, "lock=on")->lock_limit == UINT64_MAX);
	bad_list(*state, "lock-limit=64m", "'lock-limit=64m': expected a size");
	bad_list(*state, "lock-limit=8388608T", "'lock-limit=8388608T'");
	bad_list(*state, "lock-limit", "'lock-limit' needs a value");
	bad_list(*state, "lock_limit=1M", "unknown option 'lock_limit'");
}

static void staging_has_limits(void **state)
{
	const struct options *o = list(*state, "map=staged");

	assert_true(o->stage_limit == UINT64_MAX);
	assert_int_equal(o->journal_size, 0);
	o = list(*state, "stage-limit=1M,journal-size=256K");
	assert_int_equal(o->stage_limit, 1 << 20);
	assert_int_equal(o->journal_size, 256 << 10);
	bad_list(*state, "stage-limit=1023K", "'stage-limit=1023K': expected "
		"at least 1M");
	bad_list(*state, "stage-limit=a", "'stage-limit=a': expected a size");
	bad_list(*state, "journal-size=0", "'journal-size=0': expected at "
		"least 256K");
	bad_list(*state, "journal-size=8388608T", "expected a size");
	bad_list(*state, "journal-size", "'journal-size' needs a value");
	bad_list(*state, "stage_limit=1M", "unknown option 'stage_limit'");
}

static void metrics_have_a_file_and_a_time(void **state)
{
	const struct options *o = list(*state, "ro");

	assert_null(o->metrics_file);
	assert_true(o->metrics_every == INT64_C(15000000000));
	o = list(*state, "metrics=a.prom,metrics=/b c.prom,metrics-every=1s");
	assert_string_equal(o->metrics_file, "/b c.prom");
	assert_true(o->metrics_every == INT64_C(1000000000));
	assert_true(list(*state, "metrics-every=5m")->metrics_every ==
		INT64_C(300000000000));
	bad_list(*state, "metrics", "'metrics' needs a value");
	bad_list(*state, "metrics-every=999ms", "'metrics-every=999ms': "
		"expected at least 1s");
	bad_list(*state, "metrics-every=15", "'metrics-every=15': expected a "
		"time");
	bad_list(*state, "metrics-every", "'metrics-every' needs a value");
	bad_list(*state, "metrics_every=1s", "unknown option 'metrics_every'");
}

static void a_policy_file_is_a_path(void **state)
{
	assert_null(list(*state, "")->policy_file);
	assert_string_equal(list(*state, "policy-file=a\\,b")->policy_file,
		"a,b");
	assert_string_equal(
		list(*state, "policy-file=a,policy-file=b")->policy_file, "b");
	bad_list(*state, "policy-file", "'policy-file' needs a value");
	bad_list(*state, "policy-file=", "'policy-file' needs a value");
}

static void nofsync_takes_no_staged_files(void **state)
{
	bad_list(*state, "nofsync,sync=relaxed,map=staged", "option 'nofsync' "
		"keeps every fsync from msyncfs");
	assert_true(list(*state, "nofsync,sync=relaxed,map=private")->nofsync);
	assert_false(list(*state, "nofsync,map=staged,fsync")->nofsync);
}

/* Pieces of real lists in any order, some bytes changed. */
static void any_list_is_options_or_one_line(void **state)
{
	static const char *const pieces[] = { ",", ",", "=", "=", "+", "\\",
		"sync", "advise", "grow", "lock", "map", "append", "ro",
		"data", "threads", "attr_timeout", "lock-limit", "fsname",
		"stage-limit", "journal-size", "discard-journal", "staged",
		"random", "fsync=defer", "every=5s", "chunk=1M", "on", "off",
		"shared", "kernel", "16", "0.5", "64K", "x-a", "remount" };
	struct parsed *parsed = *state;
	uint64_t seed = RANDOM_SEED;
	unsigned taken = 0;

	for (int i = 0; i < 50000; i++) {
		char text[256] = "";
		size_t length;

		for (uint64_t n = random_next(&seed) % 12; n > 0; n--)
			strcat(text, pieces[random_next(&seed) %
				(sizeof(pieces) / sizeof(pieces[0]))]);
		length = strlen(text);
		if (length > 0 && i % 4 == 0)
			text[random_next(&seed) % length] =
				(char)random_next(&seed);
		parse(parsed, text);
		if (parsed->result == 0) {
			taken++;
			continue;
		}
		assert_int_equal(parsed->result, -EINVAL);
		assert_true(strlen(parsed->error) > 10);
		assert_null(strchr(parsed->error, '\n'));
	}
	assert_true(taken > 100);
}

#define sentence(name) \
	cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		sentence(policies_have_defaults_of_the_mount),
		sentence(the_last_policy_of_a_name_counts),
		sentence(sync_is_a_flag_and_with_a_value_a_policy),
		sentence(wrong_policies_are_named),
		sentence(locked_memory_has_a_limit),
		sentence(staging_has_limits),
		sentence(metrics_have_a_file_and_a_time),
		sentence(a_policy_file_is_a_path),
		sentence(nofsync_takes_no_staged_files),
		sentence(any_list_is_options_or_one_line),
	};

	return cmocka_run_group_tests_name("options_policy", tests, NULL,
		NULL);
}
