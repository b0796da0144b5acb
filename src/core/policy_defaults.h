/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What holds for a file or directory that says nothing of its own: what the
 * mount's policy file says of its path, else the mount's options.
 *
 * A part of the filesystem object. Any thread.
 */
#ifndef MSYNCFS_CORE_POLICY_DEFAULTS_H
#define MSYNCFS_CORE_POLICY_DEFAULTS_H

#include <stdbool.h>

#include "core/policy_file.h"
#include "util/lock.h"

struct filesystem;
struct node;

struct policy_defaults {
	bool by_path; /* the mount has a policy file; never changes */
	struct lock lock; /* protects file */
	struct policy_file *file;
};

/* file: NULL, the mount has none, or taken over. */
void policy_defaults_init(struct policy_defaults *defaults,
	struct policy_file *file);
void policy_defaults_fini(struct policy_defaults *defaults);

/* Others act from now on; file is taken over. file_reload_policies() next. */
void policy_defaults_replace(struct policy_defaults *defaults,
	struct policy_file *file);

/*
 * What acts on a node that has these policies of its own. lines (may be
 * NULL): which rules it is from. The node's lock may be held. Without a policy
 * file this is policy_merge() with the mount's options.
 */
void policy_in_force(struct filesystem *fs, struct node *node,
	const struct policy *own, struct policy *effective,
	struct policy_lines *lines);

#endif
