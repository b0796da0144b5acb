// SPDX-License-Identifier: Apache-2.0
/*
 * The policy file was read again. Its rules act on whoever asks from then on,
 * so all that is left to do is what was decided before: the policies of open
 * files, and which files are held in memory.
 *
 * Nothing is missed. A file that is opened meanwhile is in the list before it
 * looks at the rules: either it finds the new ones, or it is found here, and
 * its node's lock is free when its policies are in force.
 */
#include <errno.h>
#include <stdlib.h>

#include "core/file_internal.h"
#include "core/file_list.h"
#include "core/filesystem.h"
#include "core/policy_store.h"
#include "util/cleanup.h"

/* ---- what is held ------------------------------------------------------- */

void file_note_hold_locked(struct filesystem *fs, struct node *node)
{
	struct store_id id;
	bool held;

	if (!fs->nodes.keeps_names)
		return;
	node_id(node, &id);
	held = hold_has(&fs->holds, &id, NULL);
	if (held == node->held)
		return;
	node->held = held;
	/* Not the last one: the caller has one. */
	if (held)
		node_hold(node);
	else
		node_forget(&fs->nodes, node, 1);
}

void file_note_hold(struct filesystem *fs, struct node *node)
{
	if (!fs->nodes.keeps_names)
		return;
	lock_take(&node->lock, lock_rank_node);
	file_note_hold_locked(fs, node);
	lock_drop(&node->lock, lock_rank_node);
}

/* Is a file that nobody has open not to be held any more? */
static bool is_held_in_vain(struct filesystem *fs, struct node *node,
			    const struct store_id *id)
{
	struct file *file = file_of_node(node);
	owned_path path = PATH_NONE;
	struct policy own, effective;

	if (file) {
		file_release(file);
		return false;
	}
	if (path_get(&fs->nodes, node, &path) < 0 ||
	    policy_store_load(&fs->policies, id, &path.at, &own, NULL) < 0)
		return false;
	policy_in_force(fs, node, &own, &effective, NULL);
	return effective.lock == policy_lock_off;
}

static int reload_holds(struct filesystem *fs)
{
	owned_memory struct store_id *ids = NULL;
	size_t count;
	int r = hold_list(&fs->holds, &ids, &count);

	for (size_t i = 0; i < count; i++) {
		struct node *node = node_get(&fs->nodes, &ids[i]);

		if (!node)
			continue;
		if (is_held_in_vain(fs, node, &ids[i])) {
			hold_drop(&fs->holds, &ids[i]);
			file_note_hold(fs, node);
		}
		node_forget(&fs->nodes, node, 1);
	}
	return r;
}

/* ---- open files --------------------------------------------------------- */

static int reload_file(struct file *file)
{
	struct node *node = file->node;
	int r = 0;

	lock_take(&node->lock, lock_rank_node);
	/* What is closed only waits for its last sync. */
	if (node->file == file)
		r = file_reload_policies_locked(file);
	lock_drop(&node->lock, lock_rank_node);
	return r;
}

ssize_t file_reload_policies(struct filesystem *fs)
{
	struct file **files;
	ssize_t changed = 0;
	size_t count;
	int r = 0;

	files = file_list_take(fs, &count);
	if (!files)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		int now = reload_file(files[i]);

		if (now < 0)
			r = now;
		else
			changed += now;
		file_release(files[i]);
	}
	free(files);
	if (r == 0)
		r = reload_holds(fs);
	return r < 0 ? r : changed;
}
