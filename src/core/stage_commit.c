// SPDX-License-Identifier: Apache-2.0
/*
 * Commits. The commit's lock makes them one at a time:
 *
 *	freeze		all files' dirty layers become committing ones, at one
 *			instant, the gate closed
 *	names		directories that changed are synced: a name is durable
 *			before data that belongs to it
 *	reserve		the store's space for all of it
 *	journal		one transaction, one fdatasync; from here on it holds
 *	apply		to the store's files, through the page cache
 *
 * and some time later the checkpoint (stage_checkpoint.c).
 *
 * A step that fails before the journal has it puts the committing layers back
 * under the dirty ones: nothing is lost and the next commit tries again. A
 * failed apply leaves them where they are, and the next commit begins with
 * it.
 *
 * Who comes while a commit is under way waits for it, and then for the next
 * one, which takes the changes of all who wait: they find nothing left to do.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/counters.h"
#include "core/stage_internal.h"
#include "os/clock.h"
#include "os/credentials.h"
#include "os/inode.h"
#include "store/apply.h"
#include "util/cleanup.h"
#include "util/log.h"

#define SECOND INT64_C(1000000000)
/* How long a file may be left out because it is being rewritten. */
#define REWRITING_MAX (5 * SECOND)

/* ---- freeze ------------------------------------------------------------- */

struct commit {
	enum commit_cause cause;
	bool all; /* also what is being rewritten, or has no name */
	bool is_direct; /* without the journal: for the last one of all */
	struct stage_directories directories;
	struct journal_change *changes;
	size_t count; /* files */
	size_t removals;
	size_t pages;
};

static bool is_due(const struct staged *staged, const struct commit *commit,
		   int64_t now)
{
	if (commit->all)
		return true;
	if (staged->is_unlinked)
		return false;
	/* An fsync comes before what was left out since: see stage_defer(). */
	return !staged->is_rewriting || staged->is_ordered ||
	       now - staged->rewriting_since > REWRITING_MAX;
}

/* With the gate closed. */
static void freeze_file(struct stage *stage, struct staged *staged)
{
	lock_take(&staged->lock, lock_rank_stage_file);
	layer_move(&staged->committing, &staged->dirty);
	staged_recount_locked(staged);
	staged->committing_unreserved = staged->unreserved;
	atomic_fetch_sub(&stage->unreserved, staged->unreserved);
	staged->unreserved = 0;
	staged->committing_at = staged->changed_at;
	staged->committing_size = staged->size;
	staged->committing_mtime = staged->mtime;
	staged->is_committing = true;
	staged->was_ordered = staged->is_ordered;
	staged->was_unlinked = staged->is_unlinked;
	staged->is_ordered = false;
	staged->is_rewriting = false;
	staged->is_changed = false;
	lock_drop(&staged->lock, lock_rank_stage_file);
	TAILQ_REMOVE(&stage->dirty, staged, dirty_link);
	TAILQ_INSERT_TAIL(&stage->committing, staged, commit_link);
}

static void take_directories(struct stage *stage,
			     struct stage_directories *directories)
{
	lock_take(&stage->lock, lock_rank_stage);
	*directories = stage->directories;
	stage->directories.count = 0;
	stage->directories.all = false;
	lock_drop(&stage->lock, lock_rank_stage);
}

static void freeze(struct stage *stage, struct commit *commit)
{
	struct staged *staged, *next;
	struct counters *counters = stage->settings.counters;
	int64_t begin = clock_now();
	int64_t now = clock_coarse();
	int64_t since = 0;

	stage_gate_close(stage);
	/* First: whoever asks must not find it nowhere. */
	stage->in_flight = true;
	for (staged = TAILQ_FIRST(&stage->dirty); staged; staged = next) {
		next = TAILQ_NEXT(staged, dirty_link);
		if (!is_due(staged, commit, now))
			continue;
		freeze_file(stage, staged);
		atomic_fetch_sub(&stage->dirty_files, 1);
		commit->count++;
		commit->pages += staged->committing.pages;
		if (!staged->is_unlinked)
			since = stage_older(since, staged->committing_at);
	}
	stage->committing_since = since;
	stage->committing_pages = commit->pages;
	commit->removals = stage_freeze_removals(stage);
	stage->removals_frozen = commit->removals > 0;
	if (commit->count > 0 || commit->removals > 0) {
		stage->is_written = false;
		take_directories(stage, &commit->directories);
	}
	stage_gate_open(stage);
	if (commit->count > 0 || commit->removals > 0) {
		stage->last_pause = clock_now() - begin;
		histogram_add(&counters->commit_pause, stage->last_pause);
	}
}

/* What was frozen is durable, or among what is not again. */
static void end_loss(struct stage *stage)
{
	stage->committing_since = 0;
	stage->committing_pages = 0;
}

/* Puts what was frozen back; the layers are whole again. */
static int thaw_file(struct stage *stage, struct staged *staged)
{
	int r;

	stage_gate_enter(stage);
	lock_take(&staged->lock, lock_rank_stage_file);
	r = layer_merge(&staged->dirty, &staged->committing);
	if (r == 0) {
		staged->is_committing = false;
		if (staged->was_ordered && staged->is_ordered)
			atomic_fetch_sub(&stage->ordered, 1);
		staged->is_ordered |= staged->was_ordered;
		staged->was_ordered = false;
		if (staged->is_unlinked)
			staged_unorder_locked(staged);
		staged->unreserved += staged->committing_unreserved;
		atomic_fetch_add(&stage->unreserved,
				 staged->committing_unreserved);
		staged->committing_unreserved = 0;
		staged_recount_locked(staged);
		staged_changed_locked(staged);
		if (staged->committing_at < staged->changed_at)
			staged->changed_at = staged->committing_at;
	}
	lock_drop(&staged->lock, lock_rank_stage_file);
	stage_gate_leave(stage);
	return r;
}

static void keep_directories(struct stage *stage,
			     const struct stage_directories *directories)
{
	for (unsigned i = 0; i < directories->count; i++)
		stage_note_directory(stage, &directories->ids[i]);
	if (!directories->all)
		return;
	lock_take(&stage->lock, lock_rank_stage);
	stage->directories.all = true;
	lock_drop(&stage->lock, lock_rank_stage);
}

static void thaw(struct stage *stage, const struct commit *commit)
{
	struct staged *staged, *next;

	keep_directories(stage, &commit->directories);
	stage_thaw_removals(stage);
	stage->removals_frozen = false;
	for (staged = TAILQ_FIRST(&stage->committing); staged; staged = next) {
		next = TAILQ_NEXT(staged, commit_link);
		/* Without memory it stays, and is committed by the next. */
		if (thaw_file(stage, staged) < 0)
			continue;
		TAILQ_REMOVE(&stage->committing, staged, commit_link);
		staged_put(staged);
	}
	if (TAILQ_EMPTY(&stage->committing))
		end_loss(stage);
}

/* ---- names -------------------------------------------------------------- */

static int sync_directory(struct stage *stage, const struct store_id *id)
{
	owned_fd fd = store_open(stage->settings.store, id,
				 O_RDONLY | O_DIRECTORY);

	if (fd == -ESTALE || fd == -ENOENT)
		return 0; /* removed: its parent's names changed too */
	if (fd < 0)
		return fd;
	return fsync(fd) < 0 ? -errno : 0;
}

static int sync_names(struct stage *stage,
		      const struct stage_directories *directories)
{
	int r = 0;

	if (directories->all)
		return stage->settings.sync_store(stage->settings.context);
	for (unsigned i = 0; r == 0 && i < directories->count; i++)
		r = sync_directory(stage, &directories->ids[i]);
	return r;
}

/* ---- the transaction ---------------------------------------------------- */

/* Relative to the store's root, or empty. The caller frees it. */
static char *path_in_store(int fd, const char *root)
{
	char path[PATH_MAX];
	size_t length = strlen(root);

	inode_read_path(fd, path);
	if (strcmp(root, "/") == 0)
		length = 0;
	if (strncmp(path, root, length) != 0 || path[length] != '/')
		return strdup("");
	return strdup(path + length + 1);
}

static void free_changes(struct commit *commit)
{
	for (size_t i = 0; commit->changes && i < commit->count; i++) {
		free((void *)commit->changes[i].pages);
		free((void *)commit->changes[i].path);
	}
	free(commit->changes);
	commit->changes = NULL;
}

/*
 * The layer is not changed while it is committing, so no lock is needed to
 * read it.
 */
static int describe_file(struct staged *staged, const char *root,
			 struct journal_change *change)
{
	const struct layer *layer = &staged->committing;
	struct journal_page *pages = NULL;

	*change = (struct journal_change){
		.id = staged->id,
		.path = path_in_store(staged->fd, root),
		.size = (uint64_t)staged->committing_size,
		.mtime = staged->committing_mtime,
		.holes = layer->holes,
		.hole_count = layer->hole_count,
		.page_count = layer->pages,
	};
	if (!change->path)
		return -ENOMEM;
	if (layer->pages == 0)
		return 0;
	pages = malloc(layer->pages * sizeof(*pages));
	if (!pages)
		return -ENOMEM;
	layer_list(layer, pages);
	change->pages = pages;
	return 0;
}

static int describe(struct stage *stage, struct commit *commit)
{
	char root[PATH_MAX];
	struct staged *staged;
	size_t i = 0;
	int r = 0;

	inode_read_path(stage->settings.store->root_fd, root);
	commit->changes = calloc(commit->count + 1, sizeof(*commit->changes));
	if (!commit->changes)
		return -ENOMEM;
	TAILQ_FOREACH (staged, &stage->committing, commit_link) {
		if (r == 0)
			r = describe_file(staged, root, &commit->changes[i++]);
	}
	return r;
}

/*
 * Something done to the store's file that programs see nothing of: its ctime
 * stays for them, and its capabilities, unless a program clears them.
 */
static int do_hidden(struct staged *staged,
		     const struct journal_change *change,
		     int (*what)(int fd, const struct journal_change *change))
{
	struct apply_capabilities kept;
	unsigned cleared;
	int r;

	lock_take(&staged->lock, lock_rank_stage_file);
	cleared = staged->cleared;
	apply_keep_capabilities(staged->fd, &kept);
	lock_drop(&staged->lock, lock_rank_stage_file);
	staged_hide_begin(staged, staged->fd);
	staged_move_begin(staged);
	r = what(staged->fd, change);
	staged_move_end(staged);
	lock_take(&staged->lock, lock_rank_stage_file);
	if (staged->cleared == cleared)
		apply_restore_capabilities(staged->fd, &kept);
	lock_drop(&staged->lock, lock_rank_stage_file);
	staged_hide_end(staged, staged->fd);
	return r;
}

static int reserve(struct stage *stage, const struct commit *commit)
{
	struct staged *staged;
	size_t i = 0;
	int r = 0;

	TAILQ_FOREACH (staged, &stage->committing, commit_link) {
		if (r == 0)
			r = do_hidden(staged, &commit->changes[i++],
				      apply_reserve);
	}
	return r;
}

/* Files without a name are not for the journal: nobody could see them. */
static size_t named_changes(struct stage *stage, const struct commit *commit,
			    struct journal_change *named)
{
	struct staged *staged;
	size_t count = 0;
	size_t i = 0;

	TAILQ_FOREACH (staged, &stage->committing, commit_link) {
		if (!staged->was_unlinked)
			named[count++] = commit->changes[i];
		i++;
	}
	return count;
}

static int write_journal(struct stage *stage, const struct commit *commit)
{
	struct counters *counters = stage->settings.counters;
	owned_memory struct journal_change *named =
		calloc(commit->count + 1, sizeof(*named));
	owned_memory struct journal_removal *removals =
		calloc(commit->removals + 1, sizeof(*removals));
	struct journal_transaction transaction = {
		.time_ns = clock_of(CLOCK_REALTIME),
		.changes = named,
		.removals = removals,
	};
	int64_t begin = clock_now();
	int r;

	if (commit->is_direct)
		return 0;
	if (!named || !removals)
		return -ENOMEM;
	transaction.change_count = named_changes(stage, commit, named);
	transaction.removal_count = stage_describe_removals(
		stage, removals, commit->removals);
	if (transaction.change_count == 0 && transaction.removal_count == 0)
		return 0;
	/* It may have failed before, and can be written again now. */
	r = journal_reset(stage->journal);
	if (r == 0)
		r = journal_append(stage->journal, &transaction);
	if (r == -EAGAIN) {
		r = stage_checkpoint_locked(stage);
		if (r == 0)
			r = journal_append(stage->journal, &transaction);
	}
	stage->last_journal_time = clock_now() - begin;
	histogram_add(&counters->commit_journal, stage->last_journal_time);
	if (r < 0) {
		(void)journal_reset(stage->journal);
		return r;
	}
	stage->last_sequence = transaction.sequence;
	counter_add(&counters->journal_flushes, 1);
	counter_add(&counters->journal_bytes, transaction.length);
	return 0;
}

/* ---- apply -------------------------------------------------------------- */

static void applied(struct stage *stage, struct staged *staged)
{
	uint64_t sequence = stage->last_sequence;

	lock_take(&staged->lock, lock_rank_stage_file);
	staged->below_size = staged->committing_size;
	staged->reserved = 0;
	layer_clear(&staged->committing);
	staged->is_committing = false;
	staged->committing_unreserved = 0;
	staged->is_unjournaled |= staged->was_unlinked;
	staged->version++;
	staged->sequence = sequence;
	if (staged->was_ordered)
		atomic_fetch_sub(&stage->ordered, 1);
	staged->was_ordered = false;
	bool listed = staged->is_applied;
	staged->is_applied = true;
	lock_drop(&staged->lock, lock_rank_stage_file);
	TAILQ_REMOVE(&stage->committing, staged, commit_link);
	if (listed) {
		/* It keeps its place, and that list's reference. */
		staged_put(staged);
		return;
	}
	TAILQ_INSERT_TAIL(&stage->applied, staged, applied_link);
	stage->applied_count++;
}

/* All that is committing and in the journal. */
static int apply(struct stage *stage, struct commit *commit)
{
	struct staged *staged, *next;
	size_t i = 0;
	int r;

	for (staged = TAILQ_FIRST(&stage->committing); staged; staged = next) {
		const struct journal_change *change = &commit->changes[i++];

		next = TAILQ_NEXT(staged, commit_link);
		r = do_hidden(staged, change, apply_change);
		if (r < 0) {
			log_event(event_commit_unapplied, "a commit can't be "
				  "carried out in the store: '%s': %s",
				  change->path, strerror(-r));
			return r;
		}
		counter_add(&stage->settings.counters->apply_bytes,
			    change->page_count * ARENA_PAGE);
		applied(stage, staged);
	}
	r = stage_apply_removals(stage, &stage->removals_done);
	if (r < 0)
		return r;
	stage->removals_frozen = false;
	arena_trim(stage->arena);
	return 0;
}

int stage_finish_last(struct stage *stage)
{
	struct commit commit = { 0 };
	struct staged *staged;
	int r;

	if (TAILQ_EMPTY(&stage->committing) && !stage->removals_frozen)
		return 0;
	if (!stage->is_written) {
		thaw(stage, &commit);
		return TAILQ_EMPTY(&stage->committing) ? 0 : -ENOMEM;
	}
	TAILQ_FOREACH (staged, &stage->committing, commit_link)
		commit.count++;
	r = describe(stage, &commit);
	if (r == 0)
		r = apply(stage, &commit);
	free_changes(&commit);
	return r;
}

/* ---- a commit ----------------------------------------------------------- */

static void count_cause(struct stage *stage, enum commit_cause cause)
{
	struct counters *counters = stage->settings.counters;
	_Atomic uint64_t *const by[] = {
		[commit_by_fsync] = &counters->commit_fsync,
		[commit_by_group] = &counters->commit_group,
		[commit_by_time] = &counters->commit_time,
		[commit_by_amount] = &counters->commit_amount,
		[commit_by_close] = &counters->commit_close,
		[commit_by_request] = &counters->commit_request,
		[commit_by_order] = &counters->commit_order,
		[commit_by_limit] = &counters->commit_limit,
		[commit_by_policy] = &counters->commit_policy,
		[commit_at_unmount] = &counters->commit_unmount,
	};

	counter_add(&counters->commits, 1);
	counter_add(by[cause], 1);
}

static int commit_frozen(struct stage *stage, struct commit *commit)
{
	int r = sync_names(stage, &commit->directories);

	if (r == 0)
		r = describe(stage, commit);
	if (r == 0)
		r = reserve(stage, commit);
	if (r == 0)
		r = write_journal(stage, commit);
	if (r < 0) {
		thaw(stage, commit);
		return r;
	}
	stage->is_written = true;
	stage_note_loss(stage, stage->committing_since);
	end_loss(stage);
	return 0;
}

static int failed(struct stage *stage, int r)
{
	stage->last_error = -r;
	counter_add(&stage->settings.counters->commit_errors, 1);
	/* Each try would say it again. */
	if (stage->failed++ == 0)
		log_event(event_commit_failed,
			  "staged files can't be committed: %s", strerror(-r));
	return r;
}

static void succeeded(struct stage *stage, const struct commit *commit,
		      int64_t begin)
{
	if (stage->failed > 0)
		log_event(event_commits_resumed,
			  "staged files are committed again, after %u failures",
			  stage->failed);
	stage->failed = 0;
	stage->last_error = 0;
	stage->last_bytes = commit->pages * ARENA_PAGE;
	stage->last_files = commit->count;
	stage->committed_at = clock_now();
	stage->last_took = stage->committed_at - begin;
	histogram_add(&stage->settings.counters->commit_took,
		      stage->last_took);
	count_cause(stage, commit->cause);
}

/* With the commit's lock. */
static int run(struct stage *stage, struct commit *commit)
{
	int64_t begin = clock_now();
	int r = stage->broken ? -stage->broken : stage_finish_last(stage);

	if (r == 0) {
		freeze(stage, commit);
		if (commit->count == 0 && commit->removals == 0)
			return 0;
		r = commit_frozen(stage, commit);
	}
	if (r < 0) {
		free_changes(commit);
		return failed(stage, r);
	}
	succeeded(stage, commit, begin);
	/* It is durable now; that it can't be applied is told to the next. */
	(void)apply(stage, commit);
	free_changes(commit);
	stage_want_checkpoint(stage);
	return 0;
}

int stage_commit_locked(struct stage *stage, enum commit_cause cause,
			bool all, size_t *pages)
{
	struct commit commit = { .cause = cause, .all = all };
	int r = run(stage, &commit);

	stage->in_flight = !TAILQ_EMPTY(&stage->committing) ||
			   stage->removals_frozen;

	*pages = commit.pages;
	return r;
}

/* Not as whoever's request this thread is serving. */
void stage_enter_commit(struct stage *stage)
{
	lock_take(&stage->commit_lock, lock_rank_stage_commit);
	(void)credentials_restore();
}

void stage_leave_commit(struct stage *stage)
{
	struct removal_list done = TAILQ_HEAD_INITIALIZER(done);

	TAILQ_CONCAT(&done, &stage->removals_done, link);
	lock_drop(&stage->commit_lock, lock_rank_stage_commit);
	stage_end_removals(stage, &done);
}

int stage_commit(struct stage *stage, enum commit_cause cause)
{
	size_t pages;
	int r;

	if (!stage->used)
		return 0;
	stage_enter_commit(stage);
	r = stage_commit_locked(stage, cause, cause == commit_at_unmount,
				&pages);
	stage_leave_commit(stage);
	return r;
}

int64_t stage_run_commit(struct sync_item *item)
{
	struct stage *stage = (struct stage *)((char *)item -
					       offsetof(struct stage,
							commit_item));

	(void)stage_commit(stage, stage->commit_cause);
	return SYNC_NEVER;
}

/* ---- the end ------------------------------------------------------------ */

/*
 * With the store too full for the journal: to the files directly. That is not
 * one instant if the machine fails just then, but nothing is lost.
 */
static int commit_directly(struct stage *stage)
{
	struct commit commit = {
		.cause = commit_at_unmount,
		.all = true,
		.is_direct = true,
	};
	int r = 0;

	log_event(event_journal_full, "the journal has no room to grow: the "
		  "last changes go to the store's files directly");
	stage_enter_commit(stage);
	/* What is in the journal is older: it must not be carried out again. */
	if (stage->journal)
		r = stage_finish_last(stage);
	if (r == 0 && stage->journal)
		r = stage_checkpoint_locked(stage);
	if (r == 0)
		r = run(stage, &commit);
	stage_leave_commit(stage);
	return r;
}

int stage_finish(struct stage *stage)
{
	int r = stage_commit(stage, commit_at_unmount);

	if (r == -ENOSPC)
		r = commit_directly(stage);
	if (r == 0)
		r = stage_checkpoint(stage);
	if (r == 0 && stage->journal) {
		journal_close(stage->journal, true);
		stage->journal = NULL;
	}
	return r;
}
