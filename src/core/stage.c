// SPDX-License-Identifier: Apache-2.0
/*
 * The stage and its objects: making, counting, keeping the lists.
 *
 * Who changes a staged file holds the gate (shared) and the file's lock. A
 * commit closes the gate for the moment in which it moves the dirty layers
 * aside: that is its instant, the same for all files, and takes no time that
 * grows with their pages. Whoever waits for a device does so before the gate.
 */
#include "core/stage.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/counters.h"
#include "core/group.h"
#include "core/stage_internal.h"
#include "os/clock.h"
#include "util/log.h"

/* Over the limit: what threads that were let in together may still take. */
#define ARENA_SPARE (UINT64_C(256) << 20)
/* Until the space of a removed file is free: several share a checkpoint. */
#define UNLINKED_NS INT64_C(200000000)

/* ---- the gate ----------------------------------------------------------- */

static void gate_init(pthread_rwlock_t *gate)
{
	pthread_rwlockattr_t attributes;

	pthread_rwlockattr_init(&attributes);
	/* Else a commit would wait for a moment without any writer. */
	pthread_rwlockattr_setkind_np(
		&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(gate, &attributes);
	pthread_rwlockattr_destroy(&attributes);
}

void stage_gate_enter(struct stage *stage)
{
	lock_check_order(lock_rank_stage_gate);
	pthread_rwlock_rdlock(&stage->gate);
	lock_note(lock_rank_stage_gate, true);
}

void stage_gate_leave(struct stage *stage)
{
	lock_note(lock_rank_stage_gate, false);
	pthread_rwlock_unlock(&stage->gate);
}

void stage_gate_close(struct stage *stage)
{
	lock_check_order(lock_rank_stage_gate);
	pthread_rwlock_wrlock(&stage->gate);
	lock_note(lock_rank_stage_gate, true);
}

void stage_gate_open(struct stage *stage)
{
	stage_gate_leave(stage);
}

/* ---- the stage ---------------------------------------------------------- */

static uint64_t memory_of_machine(void)
{
	long pages = sysconf(_SC_PHYS_PAGES);
	long page = sysconf(_SC_PAGESIZE);

	if (pages <= 0 || page <= 0)
		return UINT64_C(1) << 30;
	return (uint64_t)pages * (uint64_t)page;
}

static uint64_t limit_of(uint64_t asked)
{
	return asked == UINT64_MAX ? memory_of_machine() / 4 : asked;
}

int stage_new(const struct stage_settings *settings, struct stage **made)
{
	struct stage *stage = calloc(1, sizeof(*stage));

	if (!stage)
		return -ENOMEM;
	stage->settings = *settings;
	stage->settings.limit = limit_of(settings->limit);
	if (settings->journal_size == 0)
		stage->settings.journal_size = JOURNAL_SIZE_DEFAULT;
	gate_init(&stage->gate);
	lock_init(&stage->commit_lock);
	lock_init(&stage->sync_lock);
	lock_init(&stage->lock);
	TAILQ_INIT(&stage->all);
	TAILQ_INIT(&stage->dirty);
	TAILQ_INIT(&stage->committing);
	TAILQ_INIT(&stage->removals);
	TAILQ_INIT(&stage->removals_done);
	TAILQ_INIT(&stage->applied);
	sync_item_init(&stage->commit_item, stage_run_commit);
	sync_item_init(&stage->checkpoint_item, stage_run_checkpoint);
	*made = stage;
	return 0;
}

static void staged_free(struct staged *staged)
{
	layer_clear(&staged->dirty);
	layer_clear(&staged->committing);
	lock_fini(&staged->lock);
	if (staged->fd >= 0)
		close(staged->fd);
	free(staged);
}

void stage_free(struct stage *stage)
{
	struct staged *staged;
	struct removal *removal;

	sync_item_forget(stage->settings.scheduler, &stage->commit_item);
	sync_item_forget(stage->settings.scheduler, &stage->checkpoint_item);
	if (stage->group)
		group_free(stage->group);
	while ((removal = TAILQ_FIRST(&stage->removals)) != NULL) {
		TAILQ_REMOVE(&stage->removals, removal, link);
		free(removal);
	}
	/* What nobody could commit is gone with the process. */
	while ((staged = TAILQ_FIRST(&stage->all)) != NULL) {
		TAILQ_REMOVE(&stage->all, staged, all_link);
		staged_free(staged);
	}
	if (stage->journal)
		journal_close(stage->journal, false);
	if (stage->arena)
		arena_free(stage->arena);
	lock_fini(&stage->lock);
	lock_fini(&stage->sync_lock);
	lock_fini(&stage->commit_lock);
	pthread_rwlock_destroy(&stage->gate);
	free(stage);
}

int stage_need_journal(struct stage *stage)
{
	struct journal *journal = NULL;
	char error[1024];
	int r = 0;

	if (stage->journal)
		return 0;
	stage_enter_commit(stage);
	if (!stage->journal) {
		r = journal_open(stage->settings.store->root_fd,
				 stage->settings.journal_size, &journal, error,
				 sizeof(error));
		if (r == 0)
			stage->journal = journal;
		else
			log_event(event_staging_refused,
				  "a staged file can't be opened: %s", error);
	}
	lock_drop(&stage->commit_lock, lock_rank_stage_commit);
	return r;
}

void stage_hold_store(struct stage *stage)
{
	lock_take(&stage->commit_lock, lock_rank_stage_commit);
}

void stage_release_store(struct stage *stage)
{
	lock_drop(&stage->commit_lock, lock_rank_stage_commit);
}

int staged_touch(int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0 || ftruncate(fd, st.st_size) < 0)
		return -errno;
	return 0;
}

static int flush_group(void *context)
{
	return stage_commit(context, commit_by_group);
}

struct group *stage_group(struct stage *stage)
{
	struct group *group;

	lock_take(&stage->lock, lock_rank_stage);
	if (!stage->group)
		stage->group = group_new_of(stage->settings.scheduler,
					    flush_group, stage);
	group = stage->group;
	lock_drop(&stage->lock, lock_rank_stage);
	return group;
}

void stage_want_commit(struct stage *stage, enum commit_cause cause)
{
	stage->commit_cause = cause;
	scheduler_want(stage->settings.scheduler, &stage->commit_item,
		       SYNC_AT_ONCE);
}

bool stage_is_dirty(const struct stage *stage)
{
	return stage->dirty_files > 0 || stage->in_flight ||
	       stage->removal_count > 0;
}

void stage_note_directory(struct stage *stage, const struct store_id *id)
{
	struct stage_directories *directories = &stage->directories;

	if (!stage->used)
		return;
	lock_take(&stage->lock, lock_rank_stage);
	for (unsigned i = 0; i < directories->count; i++) {
		const struct store_id *known = &directories->ids[i];

		if (known->length == id->length &&
		    known->mount == id->mount && known->type == id->type &&
		    memcmp(known->bytes, id->bytes, id->length) == 0)
			goto out;
	}
	if (directories->all || directories->count == STAGE_DIRECTORIES_MAX ||
	    id->type == STORE_ID_BY_NUMBER)
		directories->all = true;
	else
		directories->ids[directories->count++] = *id;
out:
	lock_drop(&stage->lock, lock_rank_stage);
}

void stage_look(struct stage *stage, struct stage_state *state)
{
	struct journal *journal = stage->journal;

	*state = (struct stage_state){
		.used = stage->used,
		.limit = stage->settings.limit,
		.resident = stage->used ? arena_used(stage->arena) : 0,
		.dirty = stage->dirty_pages * ARENA_PAGE,
		.files = stage->dirty_files,
		.journal_size = journal ? journal_size(journal) : 0,
		.journal_room = journal ? journal_room(journal) : 0,
		.sequence = stage->last_sequence,
		.bytes = stage->last_bytes,
		.committed_files = stage->last_files,
		.pause = stage->last_pause,
		.journal_time = stage->last_journal_time,
		.took = stage->last_took,
		.error = stage->last_error,
		.committing = stage->committing_pages * ARENA_PAGE,
		.committed_at = stage->committed_at,
		.failing = stage->failed,
	};
}

/* ---- objects ------------------------------------------------------------ */

/* The first one: there was nothing to keep before. 0 or -errno. */
static int begin_use(struct stage *stage)
{
	int r = 0;

	if (stage->used)
		return 0;
	lock_take(&stage->lock, lock_rank_stage);
	if (!stage->arena)
		r = arena_new(stage->settings.limit + ARENA_SPARE,
			      &stage->arena);
	if (r == 0) {
		/* Names that changed before anybody kept count of them. */
		stage->directories.all = true;
		stage->used = true;
	}
	lock_drop(&stage->lock, lock_rank_stage);
	if (r < 0)
		log_event(event_staging_refused, "a staged or private file "
			  "can't be opened: the daemon can't have %llu bytes "
			  "for stage-limit (RLIMIT_AS, RLIMIT_FSIZE): %s",
			  (unsigned long long)stage->settings.limit,
			  strerror(-r));
	return r;
}

int staged_new(struct stage *stage, int fd, bool is_private, void *owner,
	       struct staged **made)
{
	struct staged *staged = calloc(1, sizeof(*staged));
	struct stat st;
	int r;

	if (!staged)
		return -ENOMEM;
	r = fstat(fd, &st) < 0 ? -errno : journal_identify(fd, &staged->id);
	if (r == 0)
		r = begin_use(stage);
	if (r < 0) {
		free(staged);
		return r;
	}
	staged->stage = stage;
	staged->refs = 1;
	staged->is_private = is_private;
	staged->owner = owner;
	staged->fd = -1;
	staged->size = st.st_size;
	staged->below_size = st.st_size;
	staged->is_unlinked = st.st_nlink == 0;
	lock_init(&staged->lock);
	layer_init(&staged->dirty, stage->arena);
	layer_init(&staged->committing, stage->arena);
	lock_take(&stage->lock, lock_rank_stage);
	TAILQ_INSERT_TAIL(&stage->all, staged, all_link);
	lock_drop(&stage->lock, lock_rank_stage);
	*made = staged;
	return 0;
}

void staged_get(struct staged *staged)
{
	atomic_fetch_add(&staged->refs, 1);
}

void staged_put(struct staged *staged)
{
	struct stage *stage = staged->stage;
	void *owner = staged->owner;

	if (atomic_fetch_sub(&staged->refs, 1) != 1)
		return;
	lock_take(&stage->lock, lock_rank_stage);
	TAILQ_REMOVE(&stage->all, staged, all_link);
	lock_drop(&stage->lock, lock_rank_stage);
	staged_free(staged);
	stage->settings.release(stage->settings.context, owner);
}

int staged_set_descriptor(struct staged *staged, int fd)
{
	int r = staged->is_private ? 0 : stage_need_journal(staged->stage);

	if (r < 0)
		return r;
	lock_take(&staged->lock, lock_rank_stage_file);
	if (staged->fd < 0) {
		staged->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
		if (staged->fd < 0)
			r = -errno;
	}
	lock_drop(&staged->lock, lock_rank_stage_file);
	return r;
}

bool staged_is_private(const struct staged *staged)
{
	return staged->is_private;
}

void staged_attributes_changed(struct staged *staged)
{
	staged->has_attributes = true;
}

bool staged_take_attributes(struct staged *staged)
{
	return atomic_exchange(&staged->has_attributes, false);
}

bool staged_is_unlinked(const struct staged *staged)
{
	return staged->is_unlinked;
}

bool staged_is_idle(struct staged *staged)
{
	bool idle;

	lock_take(&staged->lock, lock_rank_stage_file);
	idle = !staged->is_changed && !staged->is_committing &&
	       !staged->is_applied && !staged->is_removed &&
	       staged->size == staged->below_size &&
	       layer_is_empty(&staged->dirty);
	lock_drop(&staged->lock, lock_rank_stage_file);
	return idle;
}

bool staged_is_uncommitted(struct staged *staged)
{
	bool uncommitted;

	lock_take(&staged->lock, lock_rank_stage_file);
	uncommitted = staged->is_changed || staged->is_committing;
	lock_drop(&staged->lock, lock_rank_stage_file);
	return uncommitted;
}

void staged_look(struct staged *staged, struct staged_state *state)
{
	lock_take(&staged->lock, lock_rank_stage_file);
	*state = (struct staged_state){
		.pages = staged->dirty.pages + staged->committing.pages,
		.uncommitted = staged->dirty.pages * ARENA_PAGE,
		.sequence = staged->sequence,
		.changed = staged->is_changed,
		.rewriting = staged->is_rewriting,
	};
	lock_drop(&staged->lock, lock_rank_stage_file);
}

/* ---- being changed ------------------------------------------------------ */

void staged_changed_locked(struct staged *staged)
{
	struct stage *stage = staged->stage;

	if (staged->is_private || staged->is_changed)
		return;
	staged->is_changed = true;
	staged->changed_at = clock_now();
	staged_get(staged);
	if (atomic_fetch_add(&stage->dirty_files, 1) >
	    stage->settings.files_limit)
		stage_want_commit(stage, commit_by_limit);
	lock_take(&stage->lock, lock_rank_stage);
	TAILQ_INSERT_TAIL(&stage->dirty, staged, dirty_link);
	lock_drop(&stage->lock, lock_rank_stage);
}

void staged_recount_locked(struct staged *staged)
{
	size_t pages = staged->is_private ? 0 : staged->dirty.pages;

	/* It may have become less: what is added is modulo 2^64 then. */
	atomic_fetch_add(&staged->stage->dirty_pages,
			 (uint64_t)pages - (uint64_t)staged->counted);
	staged->counted = pages;
}

void staged_written_locked(struct staged *staged)
{
	int64_t now = clock_wall_coarse();

	staged->mtime = (struct timespec){
		.tv_sec = now / 1000000000,
		.tv_nsec = now % 1000000000,
	};
	staged->has_mtime = true;
	staged->written = now;
	staged_changed_locked(staged);
}

void staged_unorder_locked(struct staged *staged)
{
	if (!staged->is_ordered)
		return;
	staged->is_ordered = false;
	atomic_fetch_sub(&staged->stage->ordered, 1);
}

bool staged_unchanged_locked(struct staged *staged)
{
	struct stage *stage = staged->stage;

	staged->is_rewriting = false;
	staged_unorder_locked(staged);
	if (!staged->is_changed)
		return false;
	staged->is_changed = false;
	atomic_fetch_sub(&stage->dirty_files, 1);
	lock_take(&stage->lock, lock_rank_stage);
	TAILQ_REMOVE(&stage->dirty, staged, dirty_link);
	lock_drop(&stage->lock, lock_rank_stage);
	return true;
}

void stage_defer(struct staged *staged)
{
	lock_take(&staged->lock, lock_rank_stage_file);
	staged->is_rewriting = false;
	if (staged->is_unlinked)
		goto out; /* nobody could see it after a crash */
	if (staged->is_changed && !staged->is_ordered) {
		staged->is_ordered = true;
		atomic_fetch_add(&staged->stage->ordered, 1);
	}
	/* It may yet fail, and is put back then. */
	if (staged->is_committing && !staged->was_ordered) {
		staged->was_ordered = true;
		atomic_fetch_add(&staged->stage->ordered, 1);
	}
out:
	lock_drop(&staged->lock, lock_rank_stage_file);
}

int staged_cutting(struct staged *staged)
{
	bool ordered;

	lock_take(&staged->lock, lock_rank_stage_file);
	ordered = staged->is_ordered;
	lock_drop(&staged->lock, lock_rank_stage_file);
	return ordered ? stage_commit(staged->stage, commit_by_order) : 0;
}

void staged_rewritten(struct staged *staged)
{
	lock_take(&staged->lock, lock_rank_stage_file);
	staged->is_rewriting = false;
	lock_drop(&staged->lock, lock_rank_stage_file);
}

void staged_set_unlinked(struct staged *staged, bool unlinked)
{
	bool applied;

	lock_take(&staged->lock, lock_rank_stage_file);
	staged->is_unlinked = unlinked;
	if (unlinked)
		staged_unorder_locked(staged);
	applied = staged->is_applied;
	lock_drop(&staged->lock, lock_rank_stage_file);
	if (unlinked && applied)
		scheduler_want(staged->stage->settings.scheduler,
			       &staged->stage->checkpoint_item,
			       clock_now() + UNLINKED_NS);
}

bool stage_is_ordered(struct stage *stage, struct staged *except)
{
	unsigned ordered = stage->ordered;
	unsigned own = 0;

	/* What it waited for may be gone itself: the removal came first. */
	if (stage_has_removals(stage))
		return true;
	if (ordered == 0)
		return false;
	if (except) {
		lock_take(&except->lock, lock_rank_stage_file);
		own = except->is_ordered + except->was_ordered;
		lock_drop(&except->lock, lock_rank_stage_file);
	}
	return ordered > own;
}

int stage_order(struct stage *stage, struct staged *except)
{
	if (!stage_is_ordered(stage, except))
		return 0;
	return stage_commit(stage, commit_by_order);
}
