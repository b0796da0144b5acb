// SPDX-License-Identifier: Apache-2.0
/*
 * Checkpoints: what was committed and applied is made durable in the store's
 * own files, so that the journal's room is free again. Some time after a
 * commit, or when the journal is short of room.
 *
 * If that fails, the store has lost what was applied: its journal is kept for
 * the next mount, which applies it anew, and nothing more is committed. To
 * sync again would only seem to work (fsync(2), EIO).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/counters.h"
#include "core/stage_internal.h"
#include "os/clock.h"
#include "util/log.h"

/* From a commit to its checkpoint, if nothing asks for it earlier; ns. */
#define CHECKPOINT_DELAY INT64_C(5000000000)
/* Up to so many files are synced one by one. */
#define FILES_ONE_BY_ONE 16

/* syncfs(2) tells of an error once, perhaps to somebody else before. */
static int learn_errors(struct staged **files, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (sync_file_range(files[i]->fd, 0, 0,
				    SYNC_FILE_RANGE_WAIT_BEFORE) < 0 &&
		    errno != ESPIPE)
			return -errno;
	}
	return 0;
}

static int sync_files(struct stage *stage, struct staged **files,
		      size_t count, bool names)
{
	int r;

	if (count > FILES_ONE_BY_ONE || names) {
		r = stage->settings.sync_store(stage->settings.context);
		return r < 0 ? r : learn_errors(files, count);
	}
	for (size_t i = 0; i < count; i++) {
		if (fsync(files[i]->fd) < 0)
			return -errno;
	}
	return 0;
}

/* Those that were applied last by a commit up to this one. */
static size_t drop_applied(struct stage *stage, uint64_t sequence,
			   struct staged **files, size_t room)
{
	struct staged *staged, *next;
	size_t count = 0;

	for (staged = TAILQ_FIRST(&stage->applied); staged && count < room;
	     staged = next) {
		next = TAILQ_NEXT(staged, applied_link);
		if (staged->sequence > sequence)
			continue;
		TAILQ_REMOVE(&stage->applied, staged, applied_link);
		stage->applied_count--;
		lock_take(&staged->lock, lock_rank_stage_file);
		staged->is_applied = false;
		staged->is_unjournaled = false;
		lock_drop(&staged->lock, lock_rank_stage_file);
		files[count++] = staged;
	}
	return count;
}

/* Nothing is changed in the store any more that the journal has too. */
static void store_is_lost(struct stage *stage, int r)
{
	stage->broken = -r;
	stage->last_error = -r;
	counter_add(&stage->settings.counters->commit_errors, 1);
	log_event(event_checkpoint_failed,
		  "files that commits were carried out in can't be synced: %s",
		  strerror(-r));
}

/*
 * Files of the list, synced so that their journal isn't needed. One at a time:
 * an error is told once, and who comes next must know of it.
 */
static int sync_applied(struct stage *stage, struct staged **files,
			size_t count, bool names)
{
	int r;

	lock_take(&stage->sync_lock, lock_rank_stage_sync);
	r = stage->broken ? -stage->broken :
			    sync_files(stage, files, count, names);
	if (r < 0 && !stage->broken)
		store_is_lost(stage, r);
	lock_drop(&stage->sync_lock, lock_rank_stage_sync);
	return r;
}

/* Durable, so that its room is free. With the commit's lock. */
static int release_journal(struct stage *stage, uint64_t sequence)
{
	struct journal *journal = stage->journal;
	int r;

	for (int tries = 0;; tries++) {
		r = journal_release(journal, sequence);
		if (r == 0)
			r = journal_flush(journal);
		if (r == 0 || tries > 0 || journal_reset(journal) < 0)
			return r;
	}
}

/* The files, each with the reference of the applied list, or an error. */
static int list_applied(struct stage *stage, struct staged ***files,
			size_t *count)
{
	struct staged *staged;

	*count = 0;
	*files = calloc(stage->applied_count + 1, sizeof(**files));
	if (!*files)
		return -ENOMEM;
	TAILQ_FOREACH (staged, &stage->applied, applied_link)
		(*files)[(*count)++] = staged;
	return 0;
}

/* Their owners may let go of them. */
static void tell_idle(struct stage *stage, struct staged **files, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		stage->settings.idle(files[i], files[i]->owner);
		staged_put(files[i]);
	}
}

/* Nobody is told that a file is idle: who is told may wait for us. */
int stage_checkpoint_locked(struct stage *stage)
{
	struct staged **files;
	size_t count;
	int r = list_applied(stage, &files, &count);

	if (r == 0) {
		r = sync_applied(stage, files, count, stage->removed_names);
		if (r == 0)
			stage->removed_names = false;
	}
	if (r == 0)
		r = release_journal(stage, stage->last_sequence);
	if (r == 0)
		counter_add(&stage->settings.counters->checkpoints, 1);
	free(files);
	return r;
}

/*
 * The syncing is done without the lock, so that commits go on: what they
 * apply meanwhile has a later sequence and stays.
 */
static int checkpoint(struct stage *stage)
{
	struct staged **files = NULL;
	uint64_t sequence = 0;
	size_t count = 0;
	bool names;
	int r;

	stage_enter_commit(stage);
	r = stage->broken ? -stage->broken : stage_finish_last(stage);
	if (r == 0)
		r = list_applied(stage, &files, &count);
	for (size_t i = 0; r == 0 && i < count; i++)
		staged_get(files[i]);
	sequence = stage->last_sequence;
	names = stage->removed_names;
	if (r == 0)
		stage->removed_names = false;
	stage_leave_commit(stage);
	if (r < 0 || (count == 0 && !names)) {
		free(files);
		return r;
	}
	r = sync_applied(stage, files, count, names);
	for (size_t i = 0; i < count; i++)
		staged_put(files[i]);
	stage_enter_commit(stage);
	if (r == 0 && sequence > 0)
		r = release_journal(stage, sequence);
	count = r == 0 ? drop_applied(stage, sequence, files, count) : 0;
	lock_drop(&stage->commit_lock, lock_rank_stage_commit);
	if (r == 0)
		counter_add(&stage->settings.counters->checkpoints, 1);
	tell_idle(stage, files, count);
	free(files);
	return r;
}

int64_t stage_run_checkpoint(struct sync_item *item)
{
	struct stage *stage =
		(struct stage *)((char *)item -
				 offsetof(struct stage, checkpoint_item));

	if (checkpoint(stage) == 0 || stage->broken)
		return SYNC_NEVER;
	/* It could not be carried out, or there was no memory for the list. */
	return clock_now() + CHECKPOINT_DELAY;
}

void stage_want_checkpoint(struct stage *stage)
{
	int64_t due = clock_now() + CHECKPOINT_DELAY;

	if (journal_room(stage->journal) < journal_size(stage->journal) / 2 ||
	    stage->applied_count > stage->settings.files_limit)
		due = SYNC_AT_ONCE;
	scheduler_want(stage->settings.scheduler, &stage->checkpoint_item,
		       due);
}

/* ---- to the store ------------------------------------------------------- */

int stage_checkpoint(struct stage *stage)
{
	return stage->journal ? checkpoint(stage) : 0;
}

int staged_sync_unjournaled(struct staged *staged)
{
	bool is_unjournaled;

	lock_take(&staged->lock, lock_rank_stage_file);
	is_unjournaled = staged->is_unjournaled;
	lock_drop(&staged->lock, lock_rank_stage_file);
	return is_unjournaled ? stage_checkpoint(staged->stage) : 0;
}

