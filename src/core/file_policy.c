// SPDX-License-Identifier: Apache-2.0
/*
 * The policies of open files and of directories.
 *
 * A file's are read at its first open and kept with it; a directory's are
 * read when something is first made in it and kept with its node. What was
 * in force is never changed but replaced, because every read and write looks
 * at it without a lock; the old one is freed with the file.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "core/file_internal.h"
#include "core/filesystem.h"
#include "core/policy_store.h"
#include "os/inode.h"
#include "os/pagecache.h"
#include "util/cleanup.h"
#include "util/log.h"

static int replace_policies(struct file *file,
			    const struct file_policies *with)
{
	struct file_policies *policies = malloc(sizeof(*policies));

	if (!policies)
		return -ENOMEM;
	*policies = *with;
	policies->older = file->policies;
	atomic_store_explicit(&file->policies, policies, memory_order_release);
	return 0;
}

static int put_in_force(struct file *file, const struct policy *own)
{
	struct file_policies policies;

	policy_in_force(file->fs, file->node, own, &policies.effective,
			&policies.lines);
	return replace_policies(file, &policies);
}

int file_load_policies(struct file *file, const struct policy *inherited)
{
	struct inode_handle inode = {
		.fd = file->fd,
		.opened = true,
		.writable = file->writable,
	};
	struct policy own = policy_builtin;
	struct store_id id;
	int r = 0;

	node_id(file->node, &id);
	if (inherited)
		own = *inherited;
	else
		r = policy_store_load(&file->fs->policies, &id, &inode, &own,
				      NULL);
	if (r < 0)
		return r;
	return put_in_force(file, &own);
}

void file_free_policies(struct file *file)
{
	struct file_policies *policies = file->policies;

	while (policies) {
		struct file_policies *older = policies->older;

		free(policies);
		policies = older;
	}
}

bool file_may_take_kernel_path(struct file *file)
{
	const struct policy *policy = file_policy(file);
	bool must = false;
	const char *reason = policy_needs_daemon(policy, &must);

	if (reason && (must || policy->data == policy_data_auto)) {
		file->path_reason = reason;
		return false;
	}
	file->path_reason = "data=daemon";
	if (policy->data == policy_data_daemon)
		return false;
	file->path_reason = policy->data == policy_data_kernel ?
				    "data=kernel" :
				    "passthrough works here";
	return true;
}

/* ---- advice ------------------------------------------------------------ */

void file_advise_pattern(struct file *file, enum policy_pattern pattern)
{
	static const int advice[] = {
		[policy_normal] = MADV_NORMAL,
		[policy_random] = MADV_RANDOM,
		[policy_sequential] = MADV_SEQUENTIAL,
	};
	static const int hint[] = {
		[policy_normal] = POSIX_FADV_NORMAL,
		[policy_random] = POSIX_FADV_RANDOM,
		[policy_sequential] = POSIX_FADV_SEQUENTIAL,
	};

	mapping_advise(&file->mapping, advice[pattern]);
	/* Faults read ahead as much as the descriptor is told to. */
	posix_fadvise(file->fd, 0, 0, hint[pattern]);
	file->pattern = pattern;
}

static void load(void *argument)
{
	struct file *file = argument;
	int r = pagecache_load(file->fd, 0, 0, NULL);

	if (r < 0)
		log_debug("not read ahead: %s", strerror(-r));
	file_release(file);
}

void file_load_later(struct file *file)
{
	file_hold(file);
	if (filesystem_run(file->fs, load, file) < 0)
		file_release(file);
}

static void advise(struct file *file, const struct policy *policy)
{
	if (policy->pattern != file->pattern)
		file_advise_pattern(file, policy->pattern);
	if (policy->huge == policy_hugepage)
		mapping_advise(&file->mapping, MADV_HUGEPAGE);
	else if (policy->huge == policy_nohugepage)
		mapping_advise(&file->mapping, MADV_NOHUGEPAGE);
}

/* ---- locking ----------------------------------------------------------- */

static void hold_pages(void *argument)
{
	struct file *file = argument;
	const struct policy *policy = file_policy(file);
	char path[PATH_MAX];
	struct store_id id;
	int r = 0;

	node_id(file->node, &id);
	if (policy->lock != policy_lock_off &&
	    hold_has(&file->fs->holds, &id, NULL))
		r = hold_follow(&file->fs->holds, &id, file->fd);
	else if (policy->lock != policy_lock_off)
		r = hold_set(&file->fs->holds, &id, file->fd,
			     policy->lock == policy_lock_onfault);
	/* It may have been unlocked meanwhile. */
	if (file_policy(file)->lock == policy_lock_off)
		hold_drop(&file->fs->holds, &id);
	file->lock_error = -r;
	if (r < 0) {
		inode_read_path(file_descriptor(file), path);
		log_event(event_lock_failed, "the pages of '%s' can't be "
			  "held in memory, as its lock= wants: %s", path,
			  strerror(-r));
	}
	file_note_hold(file->fs, file->node);
	node_forget(&file->fs->nodes, file->node, 1);
	file_release(file);
}

/* Not now: the node's lock is held, and it reads the whole file. */
static void hold_later(struct file *file)
{
	file_hold(file);
	node_hold(file->node);
	if (filesystem_run(file->fs, hold_pages, file) < 0) {
		node_forget(&file->fs->nodes, file->node, 1);
		file_release(file);
	}
}

void file_follow_hold(struct file *file)
{
	enum policy_lock lock = file_policy(file)->lock;

	/* What readers brought in is to be held as well. */
	if (lock == policy_lock_onfault ||
	    (lock == policy_lock_on && file->writable))
		hold_later(file);
}

void file_apply_policies(struct file *file)
{
	const struct policy *policy = file_policy(file);
	struct store_id id;

	advise(file, policy);
	if (policy->willneed)
		file_load_later(file);
	if (policy->lock == policy_lock_off)
		return;
	node_id(file->node, &id);
	if (!hold_has(&file->fs->holds, &id, NULL))
		hold_later(file);
}

/* With the node's lock: others are in force now. */
static void follow_policies(struct file *file)
{
	advise(file, file_policy(file));
	/* What was written so far may not have been counted. */
	file->dirty = file->dirty || file->writers > 0;
	file_track(file, file->writers > 0);
}

int file_set_policies(struct file *file, const struct policy *own)
{
	int r;

	lock_take(&file->node->lock, lock_rank_node);
	r = put_in_force(file, own);
	if (r == 0)
		follow_policies(file);
	lock_drop(&file->node->lock, lock_rank_node);
	return r;
}

int file_reload_policies_locked(struct file *file)
{
	const struct file_policies *before = file->policies;
	struct file_policies now;
	struct store_id id;
	bool same;
	int r;

	/* What it has of its own is in there, as it is set. */
	policy_in_force(file->fs, file->node, &before->effective,
			&now.effective, &now.lines);
	same = policy_same(&now.effective, &before->effective);
	if (same &&
	    memcmp(&now.lines, &before->lines, sizeof(now.lines)) == 0)
		return 0;
	r = replace_policies(file, &now);
	if (r < 0 || same)
		return r;
	follow_policies(file);
	if (now.effective.lock == before->effective.lock)
		return 1;
	node_id(file->node, &id);
	hold_drop(&file->fs->holds, &id);
	file_note_hold_locked(file->fs, file->node);
	if (now.effective.lock != policy_lock_off)
		hold_later(file);
	return 1;
}

/* ---- directories ------------------------------------------------------- */

/* Not if they were changed since version. */
static void keep_policies(struct node *node, const struct policy *own,
			  unsigned version)
{
	struct policy *kept = own->set ? malloc(sizeof(*kept)) : NULL;

	if (kept)
		*kept = *own;
	else if (own->set)
		return;
	lock_take(&node->lock, lock_rank_node);
	if (node->policies_version == version && !node->policies_known) {
		node->policies = kept;
		node->policies_known = true;
		kept = NULL;
	}
	lock_drop(&node->lock, lock_rank_node);
	free(kept);
}

int directory_policies(struct filesystem *fs, struct node *node,
		       const struct inode_handle *inode, struct policy *own)
{
	struct store_id id;
	unsigned version;
	bool known;
	int r;

	*own = policy_builtin;
	lock_take(&node->lock, lock_rank_node);
	known = node->policies_known;
	version = node->policies_version;
	if (known && node->policies)
		*own = *node->policies;
	lock_drop(&node->lock, lock_rank_node);
	if (known)
		return 0;
	node_id(node, &id);
	r = policy_store_load(&fs->policies, &id, inode, own, NULL);
	if (r == 0)
		keep_policies(node, own, version);
	return r;
}

void directory_policies_changed(struct node *node)
{
	lock_take(&node->lock, lock_rank_node);
	free(node->policies);
	node->policies = NULL;
	node->policies_known = false;
	node->policies_version++;
	lock_drop(&node->lock, lock_rank_node);
}
