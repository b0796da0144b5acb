// SPDX-License-Identifier: Apache-2.0
/*
 * Names that wait for a commit to be removed.
 *
 * A program that removes a file has often ordered other data before that: a
 * rollback journal goes when what it would roll back is safe. To commit first
 * costs a wait for the device. Instead the removal joins the commit: programs
 * don't see the name any more, the store has it until the transaction that
 * holds that data, and this removal, is carried out. A crash in between finds
 * both as they were, or both done.
 *
 * What is made anew by the same name before that is the same inode again, cut
 * to nothing: for the commit it is one file that has changed.
 *
 *	removed		on the list; its file is in no commit
 *	committing	frozen with a commit, which nobody can change any more
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/stage_internal.h"
#include "store/apply.h"
#include "util/cleanup.h"
#include "util/log.h"

/* Names are looked for one by one. */
#define REMOVALS_MAX 64

static struct removal *find_locked(struct stage *stage, const void *directory,
				   const char *name)
{
	struct removal *removal;

	TAILQ_FOREACH (removal, &stage->removals, link) {
		if (removal->directory == directory &&
		    strcmp(removal->name, name) == 0)
			return removal;
	}
	return NULL;
}

static void removal_free(struct stage *stage, struct removal *removal)
{
	stage->settings.release(stage->settings.context, removal->directory);
	staged_put(removal->staged);
	free(removal);
}

static struct removal *removal_new(struct staged *staged, void *directory,
				   const struct store_id *directory_id,
				   int directory_fd, const char *name)
{
	struct removal *removal =
		calloc(1, sizeof(*removal) + strlen(name) + 1);

	if (!removal)
		return NULL;
	removal->staged = staged;
	removal->directory = directory;
	removal->directory_id = *directory_id;
	memcpy(removal->name, name, strlen(name) + 1);
	if (journal_identify(directory_fd, &removal->journal_id) < 0) {
		free(removal);
		return NULL;
	}
	return removal;
}

int stage_remove(struct staged *staged, void *directory,
		 const struct store_id *directory_id, int directory_fd,
		 const char *name)
{
	struct stage *stage = staged->stage;
	struct removal *removal;

	if (staged->is_private || staged->is_removed ||
	    directory_id->type == STORE_ID_BY_NUMBER ||
	    stage->removal_count >= REMOVALS_MAX)
		return -EOPNOTSUPP;
	removal = removal_new(staged, directory, directory_id, directory_fd,
			      name);
	if (!removal)
		return -ENOMEM;
	stage_gate_enter(stage);
	lock_take(&staged->lock, lock_rank_stage_file);
	staged_get(staged);
	staged->is_unlinked = true;
	staged->is_removed = true;
	staged_unorder_locked(staged);
	lock_take(&stage->lock, lock_rank_stage);
	TAILQ_INSERT_TAIL(&stage->removals, removal, link);
	stage->removal_count++;
	lock_drop(&stage->lock, lock_rank_stage);
	lock_drop(&staged->lock, lock_rank_stage_file);
	stage_gate_leave(stage);
	return 0;
}

bool stage_is_removed(struct stage *stage, const void *directory,
		      const char *name)
{
	bool removed;

	if (stage->removal_count == 0)
		return false;
	lock_take(&stage->lock, lock_rank_stage);
	removed = find_locked(stage, directory, name) != NULL;
	lock_drop(&stage->lock, lock_rank_stage);
	return removed;
}

bool stage_has_removals(const struct stage *stage)
{
	return stage->removal_count > 0;
}

/* A commit is durable before it is carried out, which the next tells of. */
int stage_settle_removals(struct stage *stage)
{
	int r = 0;

	for (unsigned tries = 0; tries < 3 && r == 0; tries++) {
		if (stage->removal_count == 0)
			return 0;
		r = stage_commit(stage, commit_by_order);
	}
	return r < 0 || stage->removal_count == 0 ? r : -EIO;
}

struct staged *stage_removed_file(struct stage *stage, const void *directory,
				  const char *name)
{
	struct staged *staged = NULL;
	struct removal *removal;

	if (stage->removal_count == 0)
		return NULL;
	lock_take(&stage->lock, lock_rank_stage);
	removal = find_locked(stage, directory, name);
	if (removal && !removal->is_committing) {
		staged = removal->staged;
		staged_get(staged);
	}
	lock_drop(&stage->lock, lock_rank_stage);
	return staged;
}

void *staged_owner(const struct staged *staged)
{
	return staged->owner;
}

int stage_make_again(struct stage *stage, const void *directory,
		     const char *name)
{
	struct removal *removal;
	struct staged *staged;
	int r = -EBUSY;

	stage_gate_enter(stage);
	lock_take(&stage->lock, lock_rank_stage);
	removal = find_locked(stage, directory, name);
	if (removal && removal->is_committing)
		removal = NULL;
	lock_drop(&stage->lock, lock_rank_stage);
	/* Only a commit would take it away, and the gate is ours. */
	if (removal) {
		staged = removal->staged;
		lock_take(&staged->lock, lock_rank_stage_file);
		/* Nobody has opened it for writing: no commit could take it. */
		if (staged->fd >= 0)
			r = staged_empty_locked(staged);
		if (r == 0) {
			staged->is_unlinked = false;
			staged->is_removed = false;
			lock_take(&stage->lock, lock_rank_stage);
			TAILQ_REMOVE(&stage->removals, removal, link);
			stage->removal_count--;
			lock_drop(&stage->lock, lock_rank_stage);
		}
		lock_drop(&staged->lock, lock_rank_stage_file);
	}
	stage_gate_leave(stage);
	if (r == 0)
		removal_free(stage, removal);
	return r;
}

/* ---- in a commit -------------------------------------------------------- */

size_t stage_freeze_removals(struct stage *stage)
{
	struct removal *removal;
	size_t count = 0;

	lock_take(&stage->lock, lock_rank_stage);
	TAILQ_FOREACH (removal, &stage->removals, link) {
		removal->is_committing = true;
		count++;
	}
	lock_drop(&stage->lock, lock_rank_stage);
	return count;
}

void stage_thaw_removals(struct stage *stage)
{
	struct removal *removal;

	lock_take(&stage->lock, lock_rank_stage);
	TAILQ_FOREACH (removal, &stage->removals, link)
		removal->is_committing = false;
	lock_drop(&stage->lock, lock_rank_stage);
}

/* With the commit's lock, frozen ones stay where they are. */
static struct removal *next_frozen(struct stage *stage,
				   struct removal *removal)
{
	lock_take(&stage->lock, lock_rank_stage);
	removal = removal ? TAILQ_NEXT(removal, link) :
			    TAILQ_FIRST(&stage->removals);
	while (removal && !removal->is_committing)
		removal = TAILQ_NEXT(removal, link);
	lock_drop(&stage->lock, lock_rank_stage);
	return removal;
}

static struct journal_removal describe(const struct removal *removal)
{
	return (struct journal_removal){
		.directory = removal->journal_id,
		.path = "",
		.name = removal->name,
		.file = removal->staged->id,
	};
}

size_t stage_describe_removals(struct stage *stage,
			       struct journal_removal *removals, size_t room)
{
	struct removal *removal = NULL;
	size_t count = 0;

	while (count < room && (removal = next_frozen(stage, removal)))
		removals[count++] = describe(removal);
	return count;
}

static int apply_one(struct stage *stage, const struct removal *removal)
{
	const struct journal_removal what = describe(removal);
	owned_fd fd = store_open(stage->settings.store, &removal->directory_id,
				 O_RDONLY | O_DIRECTORY);

	if (fd == -ESTALE || fd == -ENOENT)
		return 0; /* the directory has been removed in the store */
	return fd < 0 ? fd : apply_removal(fd, &what);
}

/* Out of the list: programs get the store's answer from now on. */
static void finish_one(struct stage *stage, struct removal *removal)
{
	struct staged *staged = removal->staged;

	lock_take(&staged->lock, lock_rank_stage_file);
	staged->is_removed = false;
	lock_drop(&staged->lock, lock_rank_stage_file);
	lock_take(&stage->lock, lock_rank_stage);
	TAILQ_REMOVE(&stage->removals, removal, link);
	stage->removal_count--;
	lock_drop(&stage->lock, lock_rank_stage);
	stage->removed_names = true;
}

int stage_apply_removals(struct stage *stage, struct removal_list *done)
{
	struct removal *removal;
	int r;

	while ((removal = next_frozen(stage, NULL)) != NULL) {
		r = apply_one(stage, removal);
		if (r < 0) {
			log_event(event_commit_unapplied, "a commit can't be "
				  "carried out in the store: removing '%s': %s",
				  removal->name, strerror(-r));
			return r;
		}
		finish_one(stage, removal);
		TAILQ_INSERT_TAIL(done, removal, link);
	}
	return 0;
}

void stage_end_removals(struct stage *stage, struct removal_list *done)
{
	struct removal *removal;

	while ((removal = TAILQ_FIRST(done)) != NULL) {
		TAILQ_REMOVE(done, removal, link);
		stage->settings.idle(removal->staged, removal->staged->owner);
		removal_free(stage, removal);
	}
}
