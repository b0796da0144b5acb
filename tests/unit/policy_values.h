/* SPDX-License-Identifier: Apache-2.0 */
/* Policies to test with, and what is the same for every test of them. */
#ifndef MSYNCFS_TESTS_POLICY_VALUES_H
#define MSYNCFS_TESTS_POLICY_VALUES_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "core/policy.h"
#include "random.h"

#define MS INT64_C(1000000)
#define SECOND (1000 * MS)
#define HOUR (3600 * SECOND)
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Any value that a policy can have. */
static inline struct policy random_policy(uint64_t *seed)
{
	struct policy policy = {
		.set = (unsigned)(random_next(seed) % (1u << POLICY_NAMES)),
		.pattern = (enum policy_pattern)(random_next(seed) % 3),
		.huge = (enum policy_huge)(random_next(seed) % 3),
		.willneed = random_next(seed) % 2,
		.fsync = (enum policy_fsync)(random_next(seed) % 3),
		.every = random_next(seed) % 2 ? 0 :
			(int64_t)random_between(seed, 10 * MS, 876600 * HOUR),
		.dirty = random_next(seed) % 2 ? 0 :
			random_between(seed, 4096, INT64_MAX),
		.close = random_next(seed) % 2,
		.map = (enum policy_map)(random_next(seed) % 3),
		.data = (enum policy_data)(random_next(seed) % 3),
		.lock = (enum policy_lock)(random_next(seed) % 3),
		.chunk = random_next(seed) % 2 ? 0 :
			random_between(seed, 4096, INT64_MAX),
		.max = random_next(seed) % 2 ? 0 :
			random_between(seed, 1, INT64_MAX),
		.trim = random_next(seed) % 2,
		.append = random_next(seed) % 2,
	};

	if (policy.fsync == policy_fsync_group)
		policy.group = (int64_t)random_between(seed, 1, 876600 * HOUR);
	return policy;
}

static inline void policies_same(const struct policy *a,
	const struct policy *b)
{
	assert_int_equal(a->set, b->set);
	assert_int_equal(a->pattern, b->pattern);
	assert_int_equal(a->huge, b->huge);
	assert_int_equal(a->willneed, b->willneed);
	assert_int_equal(a->fsync, b->fsync);
	assert_int_equal(a->group, b->group);
	assert_int_equal(a->every, b->every);
	assert_int_equal(a->dirty, b->dirty);
	assert_int_equal(a->close, b->close);
	assert_int_equal(a->map, b->map);
	assert_int_equal(a->data, b->data);
	assert_int_equal(a->lock, b->lock);
	assert_int_equal(a->chunk, b->chunk);
	assert_int_equal(a->max, b->max);
	assert_int_equal(a->trim, b->trim);
	assert_int_equal(a->append, b->append);
}

/* Parsed over a random value, of which everything else has to stay. */
static inline struct policy policy_good(enum policy_name name,
	const char *text)
{
	uint64_t seed = RANDOM_SEED + strlen(text);
	struct policy before = random_policy(&seed);
	struct policy policy = before;
	struct policy others;
	char error[256] = "";

	if (policy_parse(&policy, name, text, strlen(text), error,
		    sizeof(error)) != 0)
		fail_msg("%s", error);
	assert_true(policy_has(&policy, name));
	others = policy;
	policy_copy(&others, &before, name);
	policies_same(&others, &before);
	return policy;
}

/* Good until the next call. */
static inline const char *policy_text(const struct policy *policy,
	enum policy_name name)
{
	static char text[POLICY_TEXT_MAX];
	size_t length = policy_format(policy, name, text);

	assert_int_equal(length, strlen(text));
	return text;
}

#endif
