// SPDX-License-Identifier: Apache-2.0
/*
 * A path is what the nodes' names make together (node_path()): no call to the
 * kernel, and the answer is the same for an inode opened by handle, one whose
 * name is gone, and in a store that was moved. Nothing of this is looked at
 * on a mount without a policy file.
 */
#include "core/policy_defaults.h"

#include <limits.h>
#include <stddef.h>
#include <string.h>

#include "core/filesystem.h"
#include "util/log.h"

void policy_defaults_init(struct policy_defaults *defaults,
	struct policy_file *file)
{
	lock_init(&defaults->lock);
	defaults->file = file;
	defaults->by_path = file != NULL;
}

void policy_defaults_fini(struct policy_defaults *defaults)
{
	policy_file_put(defaults->file);
	defaults->file = NULL;
	lock_fini(&defaults->lock);
}

void policy_defaults_replace(struct policy_defaults *defaults,
	struct policy_file *file)
{
	struct policy_file *before;

	lock_take(&defaults->lock, lock_rank_policy_file);
	before = defaults->file;
	defaults->file = file;
	lock_drop(&defaults->lock, lock_rank_policy_file);
	policy_file_put(before);
}

static struct policy_file *current_file(struct policy_defaults *defaults)
{
	struct policy_file *file;

	lock_take(&defaults->lock, lock_rank_policy_file);
	file = policy_file_get(defaults->file);
	lock_drop(&defaults->lock, lock_rank_policy_file);
	return file;
}

static void match(struct filesystem *fs, struct node *node,
	struct policy *defaults, struct policy_lines *lines)
{
	struct policy_file *file;
	char path[PATH_MAX];
	int r = node_path(&fs->nodes, node, path);

	if (r < 0) {
		log_event(event_path_unknown, "a file's path can't be told: "
			  "%s", strerror(-r));
		return;
	}
	file = current_file(&fs->defaults);
	policy_file_match(file, path, S_ISDIR(node->type), defaults, lines);
	policy_file_put(file);
}

void policy_in_force(struct filesystem *fs, struct node *node,
	const struct policy *own, struct policy *effective,
	struct policy_lines *lines)
{
	struct policy_lines unwanted;
	struct policy defaults;

	if (!lines)
		lines = &unwanted;
	*lines = (struct policy_lines){ 0 };
	if (!fs->defaults.by_path) {
		policy_merge(effective, own, &fs->settings.policy);
		return;
	}
	defaults = fs->settings.policy;
	match(fs, node, &defaults, lines);
	policy_merge(effective, own, &defaults);
	for (unsigned i = 0; i < POLICY_NAMES; i++) {
		if (policy_has(own, (enum policy_name)i))
			lines->of[i] = 0;
	}
}
