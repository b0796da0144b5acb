// SPDX-License-Identifier: Apache-2.0
/* Policies as values; their texts are policy_parse_test.c's. */
#include "policy_values.h"

static void keys_and_names_belong_together(void **state)
{
	(void)state;
	for (enum policy_name name = 0; name < POLICY_NAMES; name++)
		assert_int_equal(policy_of_key(policy_key(name)), name);
	assert_int_equal(policy_of_key("sync"), policy_sync);
	assert_int_equal(policy_of_key("sync.now"), POLICY_NAMES);
	assert_int_equal(policy_of_key("syn"), POLICY_NAMES);
	assert_int_equal(policy_of_key(""), POLICY_NAMES);
}

static void nothing_is_set_in_the_built_in_values(void **state)
{
	static const char *const texts[POLICY_NAMES] = {
		[policy_advise] = "normal",
		[policy_sync] = "strict",
		[policy_map] = "shared",
		[policy_data] = "auto",
		[policy_lock] = "off",
		[policy_grow] = "off",
		[policy_append] = "off",
	};

	(void)state;
	assert_int_equal(policy_builtin.set, 0);
	for (enum policy_name name = 0; name < POLICY_NAMES; name++)
		assert_string_equal(policy_text(&policy_builtin, name),
			texts[name]);
}

static void the_built_in_values_may_be_set(void **state)
{
	(void)state;
	for (enum policy_name name = 0; name < POLICY_NAMES; name++) {
		struct policy policy =
			policy_good(name, policy_text(&policy_builtin, name));
		struct policy expected = policy;

		policy_copy(&expected, &policy_builtin, name);
		expected.set |= 1u << name;
		policies_same(&policy, &expected);
	}
}

static void own_policies_go_before_defaults(void **state)
{
	uint64_t seed = RANDOM_SEED;

	(void)state;
	for (int i = 0; i < 1000; i++) {
		struct policy own = random_policy(&seed);
		struct policy defaults = random_policy(&seed);
		struct policy effective;

		policy_merge(&effective, &own, &defaults);
		assert_int_equal(effective.set, own.set);
		for (enum policy_name name = 0; name < POLICY_NAMES; name++) {
			char text[POLICY_TEXT_MAX];

			policy_format(policy_has(&own, name) ? &own :
				&defaults, name, text);
			assert_string_equal(policy_text(&effective, name),
				text);
		}
		/* The result may lie where an argument does. */
		policy_merge(&own, &own, &defaults);
		policies_same(&own, &effective);
	}
}

static void a_copy_takes_one_policy_and_whether_it_is_set(void **state)
{
	uint64_t seed = RANDOM_SEED;

	(void)state;
	for (int i = 0; i < 1000; i++) {
		enum policy_name name = (enum policy_name)(i % POLICY_NAMES);
		struct policy from = random_policy(&seed);
		struct policy before = random_policy(&seed);
		struct policy policy = before;

		policy_copy(&policy, &from, name);
		assert_int_equal(policy_has(&policy, name),
			policy_has(&from, name));
		for (enum policy_name n = 0; n < POLICY_NAMES; n++) {
			char text[POLICY_TEXT_MAX];

			policy_format(n == name ? &from : &before, n, text);
			assert_string_equal(policy_text(&policy, n), text);
			if (n != name)
				assert_int_equal(policy_has(&policy, n),
					policy_has(&before, n));
		}
	}
}

static void needs(const char *key, const char *text, bool daemon, bool must)
{
	struct policy policy = policy_builtin;
	char error[256];
	bool said = !must;
	const char *why;

	assert_int_equal(policy_parse(&policy, policy_of_key(key), text,
		strlen(text), error, sizeof(error)), 0);
	why = policy_needs_daemon(&policy, &said);
	assert_int_equal(why != NULL, daemon);
	assert_int_equal(said, must);
	if (why != NULL)
		assert_memory_equal(why, key, strlen(key));
}

static void some_policies_need_the_daemon_s_path(void **state)
{
	(void)state;
	needs("append", "on", true, true);
	needs("append", "off", false, false);
	needs("grow", "max=1M", true, true);
	needs("grow", "max=1M+chunk=1M", true, true);
	needs("grow", "chunk=1M", true, false);
	needs("grow", "trim", true, false);
	needs("grow", "off", false, false);
	needs("advise", "random", true, false);
	needs("advise", "sequential", true, false);
	needs("advise", "normal+hugepage+willneed", false, false);
	needs("sync", "relaxed+dirty=1M", false, false);
	needs("lock", "on", false, false);
	needs("data", "daemon", false, false);
	needs("map", "shared", false, false);
	needs("map", "private", true, true);
	needs("map", "staged", true, true);
}

static void a_promise_goes_before_an_effect(void **state)
{
	struct policy policy = policy_builtin;
	bool must = false;

	(void)state;
	policy.pattern = policy_random;
	policy.append = true;
	assert_string_equal(policy_needs_daemon(&policy, &must),
		"append=on sees every write");
	assert_true(must);
	policy = policy_builtin;
	policy.trim = true;
	policy.map = policy_map_staged;
	assert_string_equal(policy_needs_daemon(&policy, &must),
		"map=staged sees every write");
	assert_true(must);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_and_names_belong_together),
		cmocka_unit_test(nothing_is_set_in_the_built_in_values),
		cmocka_unit_test(the_built_in_values_may_be_set),
		cmocka_unit_test(own_policies_go_before_defaults),
		cmocka_unit_test(a_copy_takes_one_policy_and_whether_it_is_set),
		cmocka_unit_test(some_policies_need_the_daemon_s_path),
		cmocka_unit_test(a_promise_goes_before_an_effect),
	};

	return cmocka_run_group_tests_name("policy", tests, NULL, NULL);
}
