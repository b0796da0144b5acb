/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rules that give whole trees of a store their policies: a text of lines
 *
 *	GLOB POLICY=VALUE...
 *
 * as msyncfs(1), POLICY FILE, describes it. Parsing and matching are pure. A
 * parsed file is constant and counted: whoever has a reference may match, in
 * any thread; policy_defaults.h owns the one that acts.
 */
#ifndef MSYNCFS_CORE_POLICY_FILE_H
#define MSYNCFS_CORE_POLICY_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "core/policy.h"

/* Bytes; more is refused. */
#define POLICY_FILE_MAX ((size_t)16 << 20)

struct policy_file;

/* Where each policy comes from: the rule's line, 0: from no rule. */
struct policy_lines {
	unsigned of[POLICY_NAMES];
};

/*
 * name is what messages call the file. no_fsync: of a mount with -o nofsync,
 * where rules that it can't keep are refused. 0; -ENOMEM, -EINVAL or -ERANGE
 * with one line in error: file, line, what was wrong, what was expected.
 */
int policy_file_parse(const char *name, const char *text, size_t length,
	bool no_fsync, struct policy_file **file, char *error,
	size_t error_size);

/*
 * The same of a file on disk. It decides what a crash may lose, so it must be
 * a regular file that nobody can write but its owner, and that is root or
 * whose daemon this is: -EPERM; -EFBIG; -errno of open(2) and read(2).
 */
int policy_file_read(const char *path, bool no_fsync,
	struct policy_file **file, char *error, size_t error_size);

struct policy_file *policy_file_get(struct policy_file *file);
void policy_file_put(struct policy_file *file); /* NULL is fine */

/* How many rules it has. */
size_t policy_file_count(const struct policy_file *file);

/*
 * Puts those policies into *policy that rules have for a path (relative to
 * the store's root, "" is the root itself), and their lines into *lines. Of
 * each policy the last rule that matches and names it holds. The set of
 * *policy is left alone.
 */
void policy_file_match(const struct policy_file *file, const char *path,
	bool directory, struct policy *policy, struct policy_lines *lines);

#endif
