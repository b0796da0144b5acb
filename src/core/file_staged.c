// SPDX-License-Identifier: Apache-2.0
/*
 * Open files and what is staged of them.
 *
 * The node has the staged object, since what was written outlives the open
 * file; each open file of the node shares it. Once it is there, the file
 * stays staged until nothing of it is missing in the store, whatever its
 * policy has become: a journal that still holds it would otherwise, after a
 * crash, undo what had been written to the store's file directly.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "core/file_internal.h"
#include "core/filesystem.h"
#include "core/stage.h"
#include "os/clock.h"
#include "util/log.h"

struct staged *file_staged_of(struct node *node)
{
	struct staged *staged;

	if (!node->staged)
		return NULL;
	lock_take(&node->lock, lock_rank_node);
	staged = node->staged;
	if (staged)
		staged_get(staged);
	lock_drop(&node->lock, lock_rank_node);
	return staged;
}

bool file_is_uncommitted(struct node *node)
{
	struct staged *staged = file_staged_of(node);
	bool uncommitted;

	if (!staged)
		return false;
	uncommitted = staged_is_uncommitted(staged);
	staged_put(staged);
	return uncommitted;
}

int file_overlay(struct node *node, struct stat *st)
{
	struct staged *staged = file_staged_of(node);
	int r = 0;

	if (staged) {
		r = staged_overlay(staged, st);
		staged_put(staged);
	} else if (node->ctime.below != 0) {
		lock_take(&node->lock, lock_rank_node);
		staged_ctime_overlay(&node->ctime, st);
		lock_drop(&node->lock, lock_rank_node);
	}
	return r;
}

int file_stat(struct file *file, struct stat *st)
{
	if (fstat(file->fd, st) < 0)
		return -errno;
	return file->staged ? staged_overlay(file->staged, st) : 0;
}

/* A commit that is under way may fail, and then gives back what it took. */
#define LOOK_AGAIN INT64_C(1000000000)

int64_t file_staged_due(struct file *file, int64_t every)
{
	int64_t since;

	/* Their time is not kept; whoever comes first makes the commit. */
	if (every == 0 || stage_has_removals(file->fs->stage))
		return 0;
	/* First, so that a writer who comes after the question sets it. */
	file->dirty = false;
	since = staged_changed_since(file->staged);
	if (since == 0 && !staged_is_uncommitted(file->staged)) {
		file->dirty_bytes = 0;
		return SYNC_NEVER;
	}
	file->dirty = true;
	return since == 0 ? clock_now() + LOOK_AGAIN : since + every;
}

/* ---- opening and closing ------------------------------------------------ */

static bool may_stage(const struct file *file)
{
	enum policy_map map = file_policy(file)->map;

	if (map == policy_map_shared)
		return false;
	if (file->node->id_mount == 0)
		return true;
	log_event(event_map_elsewhere, "a file with map=staged or map=private "
		  "is on another file system than the store's root");
	return false;
}

int file_stage_locked(struct file *file)
{
	struct node *node = file->node;
	struct staged *staged = node->staged;
	int r = 0;

	if (staged && staged_is_idle(staged)) {
		node->ctime = staged_get_ctime(staged);
		node->staged = NULL;
		/* Not the last look-up: somebody is opening it. */
		staged_put(staged);
		staged = NULL;
	}
	/* What it is now it becomes when nothing is missing in the store. */
	if (staged && !node->is_settled &&
	    file_policy(file)->map != policy_map_staged)
		return -ERESTART;
	if (!staged && may_stage(file)) {
		node_hold(node);
		r = staged_new(file->fs->stage, file->fd,
			       file_policy(file)->map == policy_map_private,
			       node, &staged);
		if (r < 0)
			node_forget(&file->fs->nodes, node, 1);
		else
			staged_set_ctime(staged, &node->ctime);
		if (r == 0)
			node->staged = staged;
	}
	if (r == 0 && staged) {
		staged_get(staged);
		file->staged = staged;
	}
	return r;
}

void file_settle_map(struct filesystem *fs, struct node *node)
{
	int r = file_settle(fs, node);

	if (r < 0)
		log_event(event_map_unchanged,
			  "the map= of a file (inode %llu) can't change yet: "
			  "%s", (unsigned long long)node->ino, strerror(-r));
	lock_take(&node->lock, lock_rank_node);
	node->is_settled = true;
	lock_drop(&node->lock, lock_rank_node);
}

int file_stage_writer(struct file *file)
{
	if (!file->staged)
		return 0;
	if (!file->readable)
		return -EACCES;
	return staged_set_descriptor(file->staged, file->fd);
}

/*
 * The node's staged object, taken from it, if nobody needs it. What has no
 * name is dropped: nobody can open it again.
 */
static struct staged *take_idle_locked(struct node *node)
{
	struct staged *staged = node->staged;

	if (staged_is_unlinked(staged))
		staged_discard(staged);
	if (!staged_is_idle(staged))
		return NULL;
	node->ctime = staged_get_ctime(staged);
	node->staged = NULL;
	return staged;
}

struct staged *file_unstage_locked(struct file *file, bool *dropped)
{
	struct node *node = file->node;
	struct staged *staged = file->staged;

	*dropped = false;
	if (!staged || node->staged != staged)
		return NULL;
	staged_rewritten(staged);
	if (staged_is_private(staged)) {
		*dropped = !staged_is_idle(staged);
		staged_discard(staged);
	}
	return take_idle_locked(node);
}

void file_staged_idle(struct node *node, struct staged *staged)
{
	bool taken;

	lock_take(&node->lock, lock_rank_node);
	taken = !node->file && node->staged == staged &&
		take_idle_locked(node) != NULL;
	lock_drop(&node->lock, lock_rank_node);
	if (taken)
		staged_put(staged);
}

void file_unlinked(struct filesystem *fs, struct node *node)
{
	struct staged *staged;

	file_sync_unlinked(fs, node);
	lock_take(&node->lock, lock_rank_node);
	staged = node->staged;
	if (staged) {
		staged_set_unlinked(staged, true);
		staged = node->file ? NULL : take_idle_locked(node);
	}
	lock_drop(&node->lock, lock_rank_node);
	if (staged)
		staged_put(staged);
}

int file_linking(struct filesystem *fs, struct node *node)
{
	struct staged *staged = file_staged_of(node);
	int r = 0;

	if (!staged)
		return 0;
	/* What was written before it had a name comes with the name. */
	if (staged_is_unlinked(staged)) {
		staged_set_unlinked(staged, false);
		if (staged_is_uncommitted(staged))
			r = stage_commit(fs->stage, commit_by_order);
		if (r == 0)
			r = staged_sync_unjournaled(staged);
		if (r < 0)
			staged_set_unlinked(staged, true);
	}
	staged_put(staged);
	return r;
}

/* ---- changes ------------------------------------------------------------ */

/*
 * The store's file system knows what is to be cleared: truncating the file to
 * the size it has changes nothing else.
 */
int file_clear_privileges(struct file *file, const struct caller *caller)
{
	struct stage *stage = file->fs->stage;
	int r;

	/* A commit that changed the size in between would be cut off. */
	stage_hold_store(stage);
	r = credentials_assume_for_write(caller);
	if (r == 0) {
		staged_clearing(file->staged);
		r = staged_touch(file->fd);
	}
	stage_release_store(stage);
	return r;
}

int file_cutting(struct node *node)
{
	struct staged *staged = file_staged_of(node);
	int r;

	if (!staged)
		return 0;
	r = staged_cutting(staged);
	staged_put(staged);
	return r;
}

int file_truncate_staged(struct filesystem *fs, struct node *node,
			 enum policy_map map, off_t size,
			 const struct caller *caller)
{
	struct file_opened opened;
	struct file *file;
	struct stat st;
	int r;

	if (map == policy_map_shared && !node->staged)
		return -EOPNOTSUPP;
	r = size == 0 ? file_cutting(node) : 0;
	if (r < 0)
		return r;
	r = file_open(fs, node, O_WRONLY, caller, &opened);
	if (r < 0)
		return r;
	file = opened.handle->file;
	file_changing(file);
	if (!file->staged)
		r = -EOPNOTSUPP;
	else if (fstat(file->fd, &st) < 0)
		r = -errno;
	else if ((st.st_mode & FILE_PRIVILEGE_BITS) || file->has_capabilities)
		r = file_clear_privileges(file, caller);
	if (r == 0)
		r = staged_truncate(file->staged, size);
	if (r == 0)
		file_data_changed(file);
	file_close(fs, opened.handle);
	return r;
}

int file_allocate(struct file *file, int mode, off_t offset, off_t length,
		  const struct caller *caller)
{
	struct stat st;
	int r;

	file_changing(file);
	if (!file->staged) {
		r = credentials_assume_for_write(caller);
		if (r == 0 && fallocate(file->fd, mode, offset, length) < 0)
			r = -errno;
		return r;
	}
	if (fstat(file->fd, &st) < 0)
		return -errno;
	r = 0;
	if ((st.st_mode & FILE_PRIVILEGE_BITS) || file->has_capabilities)
		r = file_clear_privileges(file, caller);
	return r < 0 ? r : staged_allocate(file->staged, mode, offset, length);
}

off_t file_seek(struct file *file, off_t offset, int whence)
{
	off_t found;

	if (file->staged)
		return staged_seek(file->staged, file->fd, offset, whence);
	found = lseek(file->fd, offset, whence);
	return found < 0 ? -errno : found;
}

void file_attributes_changed(struct node *node)
{
	struct staged *staged = file_staged_of(node);

	if (!staged)
		return;
	staged_attributes_changed(staged);
	staged_put(staged);
}

int file_settle(struct filesystem *fs, struct node *node)
{
	struct staged *staged = file_staged_of(node);
	int r = 0;

	if (staged && !staged_is_private(staged)) {
		r = stage_commit(fs->stage, commit_by_policy);
		if (r == 0)
			r = stage_checkpoint(fs->stage);
	}
	if (staged)
		staged_put(staged);
	return r;
}

int file_mtime_set(struct node *node, int fd)
{
	struct staged *staged = file_staged_of(node);
	struct stat st;
	int r = 0;

	if (!staged)
		return 0;
	if (fstat(fd, &st) < 0)
		r = -errno;
	else
		staged_set_mtime(staged, &st.st_mtim);
	staged_put(staged);
	return r;
}

int file_discard(struct filesystem *fs, struct node *node)
{
	struct staged *staged = file_staged_of(node);

	if (!staged)
		return -ENODATA;
	/* What programs have mapped comes to us first, or it would later. */
	if (fs->clients.invalidate)
		fs->clients.invalidate(fs->clients.context, node, 0, 0);
	staged_discard(staged);
	if (fs->clients.invalidate)
		fs->clients.invalidate(fs->clients.context, node, 0, 0);
	staged_put(staged);
	return 0;
}
