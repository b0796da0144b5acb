// SPDX-License-Identifier: Apache-2.0
#include "policy_values.h"

static void bad(enum policy_name name, const char *text, int expected,
	const char *message)
{
	uint64_t seed = RANDOM_SEED;
	struct policy before = random_policy(&seed);
	struct policy policy = before;
	char error[512] = "";
	int result = policy_parse(&policy, name, text, strlen(text), error,
		sizeof(error));

	if (result != expected)
		fail_msg("%s=%s: %d instead of %d, '%s'", policy_key(name),
			text, result, expected, error);
	policies_same(&policy, &before);
	assert_string_equal(error, message);
}

/* Refused as EINVAL, in one line with the key and "expected". */
static void refused(enum policy_name name, const char *text)
{
	uint64_t seed = RANDOM_SEED;
	struct policy before = random_policy(&seed);
	struct policy policy = before;
	char error[512] = "";
	char head[32];
	int result = policy_parse(&policy, name, text, strlen(text), error,
		sizeof(error));

	if (result != -EINVAL)
		fail_msg("%s=%s: %d, '%s'", policy_key(name), text, result,
			error);
	policies_same(&policy, &before);
	snprintf(head, sizeof(head), "%s=", policy_key(name));
	assert_memory_equal(error, head, strlen(head));
	assert_non_null(strstr(error, ": expected "));
	assert_null(strchr(error, '\n'));
}

/* What text becomes when it is read and written. */
static const char *written(enum policy_name name, const char *text)
{
	struct policy policy = policy_good(name, text);

	return policy_text(&policy, name);
}

static void advice_is_a_list(void **state)
{
	struct policy policy = policy_good(policy_advise,
		"random+hugepage+willneed");

	(void)state;
	assert_int_equal(policy.pattern, policy_random);
	assert_int_equal(policy.huge, policy_hugepage);
	assert_true(policy.willneed);
	policy = policy_good(policy_advise, "nohugepage");
	assert_int_equal(policy.pattern, policy_normal);
	assert_int_equal(policy.huge, policy_nohugepage);
	assert_false(policy.willneed);
	assert_string_equal(written(policy_advise,
		"willneed,nohugepage,sequential"),
		"sequential+nohugepage+willneed");
	assert_string_equal(written(policy_advise, "normal+willneed"),
		"willneed");
}

static void advice_does_not_contradict_itself(void **state)
{
	(void)state;
	refused(policy_advise, "random+sequential");
	refused(policy_advise, "normal+random");
	refused(policy_advise, "random+normal");
	refused(policy_advise, "hugepage+willneed+nohugepage");
	assert_string_equal(written(policy_advise, "random+random"), "random");
	bad(policy_advise, "random+sequential", -EINVAL,
		"advise=random+sequential: 'sequential': expected nothing "
		"that contradicts what stands before it");
}

static void sync_says_when_and_what_fsync_means(void **state)
{
	struct policy policy = policy_good(policy_sync,
		"fsync=group:2.5ms+every=1m+dirty=16M+close");

	(void)state;
	assert_int_equal(policy.fsync, policy_fsync_group);
	assert_int_equal(policy.group, 2500000);
	assert_int_equal(policy.every, 60 * SECOND);
	assert_int_equal(policy.dirty, 16 << 20);
	assert_true(policy.close);
	policy = policy_good(policy_sync, "fsync=defer");
	assert_int_equal(policy.fsync, policy_fsync_defer);
	assert_int_equal(policy.group, 0);
	assert_int_equal(policy.every, 0);
	assert_int_equal(policy.dirty, 0);
	assert_false(policy.close);
	policy = policy_good(policy_sync, "every=10ms");
	assert_int_equal(policy.fsync, policy_fsync_honor);
	assert_int_equal(policy.every, 10 * MS);
}

static void sync_s_shortcuts_are_written_out(void **state)
{
	(void)state;
	assert_string_equal(written(policy_sync, "strict"), "strict");
	assert_string_equal(written(policy_sync, "fsync=honor"), "strict");
	assert_string_equal(written(policy_sync, "manual"), "fsync=defer");
	assert_string_equal(written(policy_sync, "relaxed"),
		"fsync=defer+every=5s+close");
	assert_string_equal(written(policy_sync, "fsync=honor+every=60s"),
		"every=1m");
}

static void elements_behind_a_shortcut_change_it(void **state)
{
	(void)state;
	assert_string_equal(written(policy_sync, "relaxed+every=1s"),
		"fsync=defer+every=1s+close");
	assert_string_equal(written(policy_sync, "relaxed+fsync=honor"),
		"every=5s+close");
	assert_string_equal(written(policy_sync, "manual,dirty=1M"),
		"fsync=defer+dirty=1M");
	assert_string_equal(written(policy_sync, "manual+fsync=group:1s"),
		"fsync=group:1s");
	refused(policy_sync, "relaxed+every=1s+every=2s");
	refused(policy_sync, "every=1s+relaxed");
	refused(policy_sync, "relaxed+manual");
	refused(policy_sync, "manual+manual");
}

static void strict_stands_alone(void **state)
{
	(void)state;
	refused(policy_sync, "strict+close");
	refused(policy_sync, "close+strict");
	refused(policy_sync, "strict+strict");
	refused(policy_sync, "strict+");
	refused(policy_sync, "relaxed+strict");
}

static void sync_does_not_contradict_itself(void **state)
{
	(void)state;
	refused(policy_sync, "fsync=honor+fsync=defer");
	refused(policy_sync, "fsync=group:1s+fsync=group:2s");
	refused(policy_sync, "every=1s+close+every=2s");
	refused(policy_sync, "dirty=1M+dirty=2M");
	assert_string_equal(written(policy_sync,
		"every=1s+close+every=1000ms+close"), "every=1s+close");
	assert_string_equal(written(policy_sync,
		"fsync=honor+fsync=honor"), "strict");
}

static void sync_s_quantities_have_bounds(void **state)
{
	(void)state;
	refused(policy_sync, "fsync=group:0");
	refused(policy_sync, "fsync=group:0s");
	refused(policy_sync, "fsync=group:0.0000001ms");
	refused(policy_sync, "every=0");
	refused(policy_sync, "every=9.999999ms");
	refused(policy_sync, "dirty=0");
	refused(policy_sync, "dirty=4095");
	assert_string_equal(written(policy_sync,
		"fsync=group:0.000001ms+every=10ms+dirty=4096"),
		"fsync=group:0.000001ms+every=10ms+dirty=4K");
	bad(policy_sync, "every=876601h", -ERANGE, "sync=every=876601h: "
		"'every=876601h': expected at most 876600h");
	bad(policy_sync, "dirty=8388608T", -ERANGE, "sync=dirty=8388608T: "
		"'dirty=8388608T': expected less than 8388608T");
	bad(policy_sync, "every=9ms", -EINVAL,
		"sync=every=9ms: 'every=9ms': expected at least 10ms");
}

static void what_is_no_sync_is_refused(void **state)
{
	static const char *const wrong[] = { "fsync", "fsync=", "fsync=group",
		"fsync=group:", "fsync=group:5", "fsync=honors",
		"fsync=defer ms",
		"every", "every=", "every=5", "every=-1s", "dirty", "dirty=",
		"dirty=1m", "close=1", "closed", "Strict", "strict=1",
		"relaxed=1s", "every=5s close", "every=5s;close" };

	(void)state;
	for (size_t i = 0; i < COUNT(wrong); i++)
		refused(policy_sync, wrong[i]);
}

static void mappings_are_shared_private_or_staged(void **state)
{
	(void)state;
	assert_int_equal(policy_good(policy_map, "shared").map,
		policy_map_shared);
	assert_int_equal(policy_good(policy_map, "private").map,
		policy_map_private);
	assert_int_equal(policy_good(policy_map, "staged\n").map,
		policy_map_staged);
	assert_string_equal(written(policy_map, "shared"), "shared");
	assert_string_equal(written(policy_map, "private "), "private");
	assert_string_equal(written(policy_map, "staged"), "staged");
	bad(policy_map, "stage", -EINVAL, "map=stage: 'stage': "
		"expected shared, private or staged");
	bad(policy_map, "", -EINVAL, "map=: '': "
		"expected shared, private or staged");
	refused(policy_map, "staged+private");
	refused(policy_map, "Shared");
}

static void single_values_are_one_of_their_words(void **state)
{
	(void)state;
	assert_int_equal(policy_good(policy_data, "auto").data,
		policy_data_auto);
	assert_int_equal(policy_good(policy_data, "kernel").data,
		policy_data_kernel);
	assert_int_equal(policy_good(policy_data, "daemon").data,
		policy_data_daemon);
	assert_int_equal(policy_good(policy_lock, "off").lock, policy_lock_off);
	assert_int_equal(policy_good(policy_lock, "on").lock, policy_lock_on);
	assert_int_equal(policy_good(policy_lock, "onfault").lock,
		policy_lock_onfault);
	assert_true(policy_good(policy_append, "on").append);
	assert_false(policy_good(policy_append, "off").append);
}

static void single_values_are_no_lists(void **state)
{
	static const enum policy_name names[] = { policy_map, policy_data,
		policy_lock, policy_append };
	char text[2 * POLICY_TEXT_MAX];

	(void)state;
	for (size_t i = 0; i < COUNT(names); i++) {
		const char *word = policy_text(&policy_builtin, names[i]);

		snprintf(text, sizeof(text), "%s+%s", word, word);
		refused(names[i], text);
		snprintf(text, sizeof(text), "%s,", word);
		refused(names[i], text);
		refused(names[i], "1");
		refused(names[i], "yes");
	}
}

static void growth_is_a_list(void **state)
{
	struct policy policy = policy_good(policy_grow,
		"trim+max=1T,chunk=64K");

	(void)state;
	assert_int_equal(policy.chunk, 65536);
	assert_int_equal(policy.max, INT64_C(1) << 40);
	assert_true(policy.trim);
	assert_string_equal(policy_text(&policy, policy_grow),
		"chunk=64K+max=1T+trim");
	assert_string_equal(written(policy_grow, "max=1"), "max=1");
	assert_string_equal(written(policy_grow, "chunk=4096"), "chunk=4K");
	policy = policy_good(policy_grow, "off");
	assert_true(policy.chunk == 0 && policy.max == 0 && !policy.trim);
}

static void what_is_no_growth_is_refused(void **state)
{
	static const char *const wrong[] = { "on", "chunk", "chunk=", "chunk=0",
		"chunk=off", "chunk=4095", "chunk=1.5M", "max=", "max=0",
		"trim=1", "off+trim", "trim+off", "off+off", "max=1+max=2",
		"chunk=1M+chunk=2M", "-1" };

	(void)state;
	for (size_t i = 0; i < COUNT(wrong); i++)
		refused(policy_grow, wrong[i]);
	bad(policy_grow, "max=99999999999999999999", -ERANGE,
		"grow=max=99999999999999999999: 'max=99999999999999999999': "
		"expected less than 8388608T");
}

static void no_element_is_empty(void **state)
{
	static const char *const wrong[] = { "", "\n", " ", "+", ",", "++" };

	(void)state;
	for (enum policy_name name = 0; name < POLICY_NAMES; name++) {
		char text[POLICY_TEXT_MAX + 1];

		for (size_t i = 0; i < COUNT(wrong); i++)
			refused(name, wrong[i]);
		snprintf(text, sizeof(text), "+%s",
			policy_text(&policy_builtin, name));
		refused(name, text);
		snprintf(text, sizeof(text), "%s+",
			policy_text(&policy_builtin, name));
		refused(name, text);
	}
	refused(policy_advise, "random++willneed");
	refused(policy_sync, "every=1s,,close");
}

static void what_echo_leaves_at_the_end_does_not_count(void **state)
{
	static const char text[] = "every=1s+close \t\n\n\0\0 ";
	struct policy policy = policy_builtin;
	char error[256];

	(void)state;
	assert_int_equal(policy_parse(&policy, policy_sync, text,
		sizeof(text), error, sizeof(error)), 0);
	assert_string_equal(policy_text(&policy, policy_sync),
		"every=1s+close");
	assert_string_equal(written(policy_lock, "on\n"), "on");
	refused(policy_lock, " on");
	refused(policy_lock, "o n");
	refused(policy_lock, "on\r");
	assert_int_equal(policy_parse(&policy, policy_lock, "on\0on", 5,
		error, sizeof(error)), -EINVAL);
	assert_int_equal(policy_parse(&policy, policy_lock, "\0", 1, error,
		sizeof(error)), -EINVAL);
}

static void a_text_ends_where_its_length_says(void **state)
{
	struct policy policy = policy_builtin;
	char error[256];

	(void)state;
	assert_int_equal(policy_parse(&policy, policy_lock, "onfault", 2,
		error, sizeof(error)), 0);
	assert_int_equal(policy.lock, policy_lock_on);
	assert_int_equal(policy_parse(&policy, policy_lock, NULL, 0, error,
		sizeof(error)), -EINVAL);
}

static void an_error_says_what_was_expected(void **state)
{
	(void)state;
	bad(policy_sync, "every=5x", -EINVAL, "sync=every=5x: 'every=5x': "
		"expected a duration such as 500ms, 5s or 2m");
	bad(policy_sync, "close+every=5x\n", -EINVAL, "sync=close+every=5x: "
		"'every=5x': expected a duration such as 500ms, 5s or 2m");
	bad(policy_lock, "yes", -EINVAL,
		"lock=yes: 'yes': expected off, on or onfault");
	bad(policy_data, "", -EINVAL,
		"data=: '': expected auto, kernel or daemon");
	bad(policy_append, "a\nb", -EINVAL,
		"append=a\\012b: 'a\\012b': expected on or off");
}

static void a_long_value_is_cut_in_the_error(void **state)
{
	struct policy policy = policy_builtin;
	char text[60000];
	char error[1024] = "";
	char small[16] = "";

	(void)state;
	memset(text, 'x', sizeof(text));
	assert_int_equal(policy_parse(&policy, policy_lock, text,
		sizeof(text), error, sizeof(error)), -EINVAL);
	assert_true(strlen(error) < 300);
	assert_non_null(strstr(error, "xxx...: 'xxx"));
	assert_non_null(strstr(error, "expected off, on or onfault"));
	assert_int_equal(policy_parse(&policy, policy_lock, text,
		sizeof(text), small, sizeof(small)), -EINVAL);
	assert_string_equal(small, "lock=xxxxxxx...");
}

static void a_formatted_policy_is_read_back_exactly(void **state)
{
	uint64_t seed = RANDOM_SEED;

	(void)state;
	for (int i = 0; i < 20000; i++) {
		struct policy policy = random_policy(&seed);
		struct policy back = policy_builtin;

		policy.set = (1u << POLICY_NAMES) - 1;
		for (enum policy_name name = 0; name < POLICY_NAMES; name++) {
			const char *text = policy_text(&policy, name);
			char error[256] = "";

			if (policy_parse(&back, name, text, strlen(text),
				    error, sizeof(error)) != 0)
				fail_msg("%s", error);
		}
		policies_same(&back, &policy);
	}
}

/* Pieces of real values in any order, some bytes changed. */
static size_t random_text(uint64_t *seed, char *text, size_t size)
{
	static const char *const pieces[] = { "+", ",", "+", "random",
		"sequential", "normal", "hugepage", "nohugepage", "willneed",
		"fsync=", "honor", "group:", "defer", "every=", "dirty=",
		"close", "strict", "relaxed", "manual", "5s", "10ms", "1.5",
		"64K", "0", "99999999999999999999", "shared", "private",
		"auto", "kernel", "daemon", "off", "on", "onfault", "chunk=",
		"max=", "trim", " ", "\n" };
	size_t length = 0;

	for (uint64_t n = random_next(seed) % 8; n > 0; n--) {
		const char *piece = pieces[random_next(seed) % COUNT(pieces)];

		if (length + strlen(piece) > size)
			break;
		memcpy(text + length, piece, strlen(piece));
		length += strlen(piece);
	}
	if (length > 0 && random_next(seed) % 4 == 0)
		text[random_next(seed) % length] = (char)random_next(seed);
	return length;
}

static void any_bytes_are_a_policy_or_an_error(void **state)
{
	uint64_t seed = RANDOM_SEED;
	unsigned taken = 0;

	(void)state;
	for (int i = 0; i < 200000; i++) {
		enum policy_name name = (enum policy_name)(i % POLICY_NAMES);
		char bytes[128];
		size_t length = random_text(&seed, bytes, sizeof(bytes));
		/* Just that long: a sanitizer sees a step too far. */
		char *text = malloc(length ? length : 1);
		struct policy before = random_policy(&seed);
		struct policy policy = before;
		struct policy again;
		char error[256] = "";
		int result;

		assert_non_null(text);
		memcpy(text, bytes, length);
		result = policy_parse(&policy, name, text, length, error,
			sizeof(error));
		free(text);
		if (result < 0) {
			assert_true(result == -EINVAL || result == -ERANGE ||
				    result == -EOPNOTSUPP);
			assert_non_null(strstr(error, "expected "));
			policies_same(&policy, &before);
			continue;
		}
		assert_int_equal(result, 0);
		again = policy_good(name, policy_text(&policy, name));
		policy_copy(&before, &again, name);
		policies_same(&policy, &before);
		taken++;
	}
	assert_true(taken > 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(advice_is_a_list),
		cmocka_unit_test(advice_does_not_contradict_itself),
		cmocka_unit_test(sync_says_when_and_what_fsync_means),
		cmocka_unit_test(sync_s_shortcuts_are_written_out),
		cmocka_unit_test(elements_behind_a_shortcut_change_it),
		cmocka_unit_test(strict_stands_alone),
		cmocka_unit_test(sync_does_not_contradict_itself),
		cmocka_unit_test(sync_s_quantities_have_bounds),
		cmocka_unit_test(what_is_no_sync_is_refused),
		cmocka_unit_test(mappings_are_shared_private_or_staged),
		cmocka_unit_test(single_values_are_one_of_their_words),
		cmocka_unit_test(single_values_are_no_lists),
		cmocka_unit_test(growth_is_a_list),
		cmocka_unit_test(what_is_no_growth_is_refused),
		cmocka_unit_test(no_element_is_empty),
		cmocka_unit_test(what_echo_leaves_at_the_end_does_not_count),
		cmocka_unit_test(a_text_ends_where_its_length_says),
		cmocka_unit_test(an_error_says_what_was_expected),
		cmocka_unit_test(a_long_value_is_cut_in_the_error),
		cmocka_unit_test(a_formatted_policy_is_read_back_exactly),
		cmocka_unit_test(any_bytes_are_a_policy_or_an_error),
	};

	return cmocka_run_group_tests_name("policy_parse", tests, NULL, NULL);
}
