/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The policies of one file or directory, or a mount's defaults: a value.
 * Parsing, formatting, merging; no I/O, no locks. Any thread.
 */
#ifndef MSYNCFS_CORE_POLICY_H
#define MSYNCFS_CORE_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* In the order in which they are listed. */
enum policy_name {
	policy_advise,
	policy_sync,
	policy_map,
	policy_data,
	policy_lock,
	policy_grow,
	policy_append,
	POLICY_NAMES,
};

enum policy_pattern {
	policy_normal,
	policy_random,
	policy_sequential,
};

enum policy_huge {
	policy_huge_unset,
	policy_hugepage,
	policy_nohugepage,
};

enum policy_fsync {
	policy_fsync_honor,
	policy_fsync_group,
	policy_fsync_defer,
};

enum policy_map {
	policy_map_shared, /* writes go to the store's file */
	policy_map_private, /* never; they are gone after the last close */
	policy_map_staged, /* at commits, with all other staged files */
};

enum policy_data {
	policy_data_auto,
	policy_data_kernel,
	policy_data_daemon,
};

enum policy_lock {
	policy_lock_off,
	policy_lock_on,
	policy_lock_onfault,
};

struct policy {
	unsigned set; /* 1 << policy_name: given, the others are defaults */

	enum policy_pattern pattern; /* advise */
	enum policy_huge huge;
	bool willneed;

	enum policy_fsync fsync; /* sync */
	int64_t group; /* ns that fsync may wait for others; > 0 for group */
	int64_t every; /* ns; 0: never by time */
	uint64_t dirty; /* bytes; 0: never by amount */
	bool close;

	enum policy_map map;
	enum policy_data data;
	enum policy_lock lock;

	uint64_t chunk; /* grow: bytes, 0: none */
	uint64_t max; /* bytes, 0: none */
	bool trim;

	bool append;
};

/* The longest text of a policy, the NUL included. */
#define POLICY_TEXT_MAX 256

/* What holds when nobody says anything; set is 0. */
extern const struct policy policy_builtin;

/* "advise"; what follows "user.msyncfs." and what a mount option is called. */
const char *policy_key(enum policy_name name);
/* POLICY_NAMES if there is none. */
enum policy_name policy_of_key(const char *key);

/*
 * Takes one policy from its text, of that length, which is a list joined by
 * '+' or ','. Blanks, a newline or a NUL at the end don't count. The other
 * policies of *policy stay; the one parsed starts from the built-in values
 * and is marked in set. 0, or -errno with one line in error that names the
 * policy, the value and what was expected, and *policy as it was. -EINVAL;
 * -ERANGE for a quantity that is too large.
 */
int policy_parse(struct policy *policy, enum policy_name name,
		 const char *text, size_t length, char *error,
		 size_t error_size);

/*
 * The text of one policy, in its shortest form that policy_parse() takes;
 * "relaxed" and "manual" are written out, plain fsync=honor is "strict".
 * Its length without the NUL, less than POLICY_TEXT_MAX.
 */
size_t policy_format(const struct policy *policy, enum policy_name name,
		     char text[POLICY_TEXT_MAX]);

/* Takes one policy over from another value, and whether it is set. */
void policy_copy(struct policy *policy, const struct policy *from,
		 enum policy_name name);

/* Those that own has set, else those of the defaults; set is own's. */
void policy_merge(struct policy *effective, const struct policy *own,
		  const struct policy *defaults);

/* Do they say the same? What is set doesn't count. */
bool policy_same(const struct policy *one, const struct policy *other);

static inline bool policy_has(const struct policy *policy,
			      enum policy_name name)
{
	return policy->set & (1u << name);
}

/*
 * Must, or should, the file go through the daemon? NULL, or why, for people:
 * "append=on sees every write". must: the promise of the policy can't be
 * kept otherwise, whatever data= says; else it is a matter of effect and
 * holds for data=auto only.
 */
const char *policy_needs_daemon(const struct policy *policy, bool *must);

#endif
