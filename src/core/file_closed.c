// SPDX-License-Identifier: Apache-2.0
/*
 * What a file that everybody has closed has still to do.
 *
 *	closed		node->file is another, or none; the item of its sync
 *			holds a reference to it
 *	settled		its last sync is scheduled: when that has found it
 *			clean, the item gives the reference back
 *	waiting		settled, and the one that later closes of the same
 *			node leave their sync to (fs->waiting, by node)
 *
 * With too many of them that can't do so, everything is synced together.
 */
#include <search.h>
#include <stdint.h>

#include "core/file_internal.h"
#include "core/filesystem.h"
#include "core/loss.h"
#include "core/stage.h"
#include "os/clock.h"

/* After a close, time for a file that is removed at once to be gone. */
#define CLOSE_DELAY INT64_C(50000000)

void file_sync_closing_locked(struct file *file)
{
	if (!file->tracked && !file->scheduled)
		return;
	atomic_fetch_add(&file->node->files_closed, 1);
	atomic_fetch_add(&file->fs->files_closed, 1);
	file->closed = true;
}

static void schedule_last(struct file *file, int64_t due)
{
	lock_take(&file->node->lock, lock_rank_node);
	file_schedule(file, due);
	file->settled = true;
	lock_drop(&file->node->lock, lock_rank_node);
}

/*
 * By a thread of the scheduler: the item may run just now and wait for
 * requests that this thread is to serve.
 */
static void unschedule(struct file *file)
{
	if (atomic_exchange(&file->scheduled, false))
		scheduler_want(file->fs->scheduler, &file->reap, SYNC_AT_ONCE);
}

/* The closed file of a node, with a reference; NULL: there is none. */
static struct file *find_closed(struct filesystem *fs, struct node *node)
{
	struct file *file;

	lock_take(&fs->files_lock, lock_rank_open_files);
	TAILQ_FOREACH (file, &fs->files, link) {
		if (file->node == node && file->closed && file->scheduled &&
		    file_try_hold(file))
			break;
	}
	lock_drop(&fs->files_lock, lock_rank_open_files);
	return file;
}

void file_sync_unlinked(struct filesystem *fs, struct node *node)
{
	struct file *file;

	while (node->files_closed > 0 &&
	       (file = find_closed(fs, node)) != NULL) {
		unschedule(file);
		file_release(file);
	}
}

/* ---- one for each node -------------------------------------------------- */

static int by_node(const void *a, const void *b)
{
	uintptr_t one = (uintptr_t)((const struct file *)a)->node;
	uintptr_t two = (uintptr_t)((const struct file *)b)->node;

	return (one > two) - (one < two);
}

void file_forget_waiting_locked(struct file *file)
{
	if (file->waiting)
		tdelete(file, &file->fs->waiting, by_node);
	file->waiting = false;
}

/*
 * The file of the same node that waits already, with a reference. NULL: now
 * this one does; or there is no memory to note it, and it waits unnoted.
 */
static struct file *find_waiting(struct file *file, struct file *instead_of)
{
	struct filesystem *fs = file->fs;
	struct file *other = NULL;
	struct file **slot;

	lock_take(&fs->files_lock, lock_rank_open_files);
	slot = tsearch(file, &fs->waiting, by_node);
	if (slot && *slot != file) {
		other = *slot;
		if (other == instead_of || !file_try_hold(other)) {
			other->waiting = false;
			other = NULL;
			*slot = file;
		}
	}
	file->waiting = slot && *slot == file;
	lock_drop(&fs->files_lock, lock_rank_open_files);
	return other;
}

/*
 * A file that is opened and closed again and again would wait as many times.
 * The first of them that is to be synced does it for all: their descriptors
 * are of one inode. It may be syncing just now; what is said to it then is as
 * if somebody had written to it.
 */
static bool hand_over(struct file *file, int64_t due)
{
	struct file *other = find_waiting(file, NULL);
	bool taken;

	if (!other)
		return false;
	lock_take(&file->node->lock, lock_rank_node);
	taken = other->scheduled && other->settled &&
		other->staged == file->staged && other->path == file->path;
	if (taken) {
		other->written_at = file->written_at;
		loss_hand_over(file, other);
		other->dirty = true;
		file_schedule(other, due);
	}
	lock_drop(&file->node->lock, lock_rank_node);
	if (!taken) {
		struct file *third = find_waiting(file, other);

		if (third)
			file_release(third);
	}
	file_release(other);
	return taken;
}

void file_sync_closed(struct file *file)
{
	const struct policy *policy = file_policy(file);
	struct filesystem *fs = file->fs;
	int64_t due;

	if (!file->closed)
		return;
	if (!file_may_be_dirty(file) || file_is_gone(file)) {
		unschedule(file);
		return;
	}
	/* By amount alone: what is less is left to the kernel. */
	if (!policy->close && policy->every == 0) {
		unschedule(file);
		return;
	}
	due = clock_now() + policy->every;
	if (policy->close &&
	    (policy->every == 0 || policy->every > CLOSE_DELAY))
		due = clock_now() + CLOSE_DELAY;
	if (policy->close)
		counter_add(&fs->counters.sync_close, 1);
	file->dirty = true;
	file->written_at = clock_coarse();
	/* First: it costs no descriptor, however many there are. */
	if (hand_over(file, due)) {
		unschedule(file);
	} else if (fs->files_closed > fs->files_closed_limit) {
		loss_leave(file);
		filesystem_want_sync(fs, due);
		unschedule(file);
	} else {
		schedule_last(file, due);
	}
}
