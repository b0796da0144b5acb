/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the parts of the stage (stage*.c) share.
 */
#ifndef MSYNCFS_CORE_STAGE_INTERNAL_H
#define MSYNCFS_CORE_STAGE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/queue.h>

#include "core/layer.h"
#include "core/scheduler.h"
#include "core/stage.h"
#include "store/journal.h"
#include "store/store.h"
#include "util/lock.h"

struct staged {
	struct stage *stage;
	_Atomic unsigned refs;
	bool is_private;
	void *owner;
	struct journal_id id;

	struct lock lock; /* protects what follows */
	int fd; /* for writing; -1: not yet needed */
	struct layer dirty;
	struct layer committing;
	off_t size; /* as programs see it */
	off_t committing_size;
	off_t below_size; /* of the store's file */
	size_t counted; /* pages of the dirty layer, in stage->dirty_pages */
	size_t unreserved; /* of these, as in the stage */
	size_t committing_unreserved;
	blkcnt_t reserved; /* that the store has for pages on their way */
	blkcnt_t moving_blocks; /* the store's before a commit's step, if */
	bool is_moving; /* it is at it */
	_Atomic off_t size_allowed; /* the store takes a file so long */
	struct timespec mtime; /* as programs see it, if has_mtime */
	struct timespec committing_mtime;
	bool has_mtime;
	int64_t written; /* when, as a ctime; 0: not since the last apply */
	struct staged_ctime ctime;
	unsigned is_applying; /* the store's ctime is on its way */
	_Atomic bool has_attributes; /* changed since its last fsync */
	unsigned cleared; /* times that a program cleared capabilities */
	bool is_committing;
	bool is_applied; /* and not checkpointed; on the applied list */
	_Atomic bool is_rewriting;
	_Atomic bool is_unlinked;
	bool was_unlinked; /* when it was frozen */
	bool is_unjournaled; /* applied like that, and not checkpointed */
	bool is_removed; /* by a name that waits for the next commit */
	_Atomic bool is_ordered; /* an fsync of what is dirty was deferred */
	bool was_ordered; /* the same of what is committing */
	int64_t rewriting_since; /* clock_coarse() */
	unsigned version; /* of what is below: grows with each apply */
	uint64_t sequence; /* of the last commit it was in */

	/* Its dirty layer, size or time is to be committed: on the list. */
	_Atomic bool is_changed;
	_Atomic int64_t changed_at; /* since when; clock_now() */
	int64_t committing_at; /* the same of what is committing */
	/* The stage's lock. */
	TAILQ_ENTRY(staged) all_link;
	/* Changed with the gate and the stage's lock, or the gate alone. */
	TAILQ_ENTRY(staged) dirty_link;
	/* The commit's lock. */
	TAILQ_ENTRY(staged) commit_link;
	TAILQ_ENTRY(staged) applied_link;
};

TAILQ_HEAD(staged_list, staged);

/* More directories than this are synced with everything else. */
#define STAGE_DIRECTORIES_MAX 64

struct stage_directories {
	struct store_id ids[STAGE_DIRECTORIES_MAX];
	unsigned count;
	bool all; /* there were more, or who knows which */
};

/* A name that waits for a commit to be removed (stage_removal.c). */
struct removal {
	struct staged *staged; /* counted */
	void *directory; /* held; its owner's */
	struct store_id directory_id;
	struct journal_id journal_id; /* of the directory */
	bool is_committing;
	/* The stage's lock; or the commit's, once it is carried out. */
	TAILQ_ENTRY(removal) link;
	char name[];
};

TAILQ_HEAD(removal_list, removal);

struct stage {
	struct stage_settings settings;
	struct arena *arena; /* NULL until there is something to stage */
	_Atomic bool used;

	pthread_rwlock_t gate;

	struct lock commit_lock; /* one commit, checkpoint at a time */
	struct lock sync_lock; /* the syncing of one checkpoint at a time */
	struct staged_list committing; /* the commit's lock, and next ones */
	bool is_written; /* what is committing is in the journal */
	struct staged_list applied;
	_Atomic unsigned applied_count;
	uint64_t applied_sequence;
	_Atomic(struct journal *) journal; /* made with the commit's lock */
	struct removal_list removals_done; /* whose owners are to be told */
	bool removals_frozen;
	bool removed_names; /* carried out and not checkpointed */
	_Atomic int broken; /* errno: the store lost what was applied */
	_Atomic unsigned failed; /* commits that failed since one did not */

	struct lock lock; /* protects what follows */
	struct staged_list all;
	struct staged_list dirty;
	struct stage_directories directories;
	struct removal_list removals;
	struct group *group;

	/* Files with is_ordered or was_ordered. */
	_Atomic unsigned ordered;
	_Atomic unsigned dirty_files;
	_Atomic bool in_flight; /* frozen, and not yet carried out */
	_Atomic unsigned removal_count;
	_Atomic uint64_t dirty_pages; /* of files that are to be committed */
	_Atomic uint64_t waiting; /* bytes; for who waits for room in memory */
	_Atomic int64_t limit_commit_at; /* the last one wanted early */
	/* Pages that the store will have to find room for; about. */
	_Atomic uint64_t unreserved;
	_Atomic int64_t room_known_at; /* clock_coarse() */
	_Atomic uint64_t room; /* free pages of the store then */

	struct sync_item commit_item;
	_Atomic enum commit_cause commit_cause; /* of the item */
	struct sync_item checkpoint_item;

	/* What the last commit was like. */
	_Atomic uint64_t last_sequence, last_bytes, last_files;
	_Atomic int64_t last_pause, last_journal_time, last_took; /* ns */
	_Atomic int last_error;
	_Atomic int64_t committed_at; /* clock_now() */

	/* Of what is frozen and not yet durable. */
	_Atomic int64_t committing_since; /* its oldest change; 0: none */
	_Atomic uint64_t committing_pages;
	_Atomic int64_t loss_max; /* ns: how old a change ever got */
};

/* What was that old is durable now. since: clock_now(), or 0. */
void stage_note_loss(struct stage *stage, int64_t since);
/* The earlier of two times; 0 is none. */
int64_t stage_older(int64_t a, int64_t b);

/* A change is about to be made to a staged file; not while it is frozen. */
void stage_gate_enter(struct stage *stage);
void stage_gate_leave(struct stage *stage);
/* Nobody is changing anything. */
void stage_gate_close(struct stage *stage);
void stage_gate_open(struct stage *stage);

/* With the gate and the file's lock: it has something to commit. */
void staged_changed_locked(struct staged *staged);
/* The same, with the time of a write. */
void staged_written_locked(struct staged *staged);
/*
 * With the gate and the file's lock: there is nothing to commit any more.
 * True: the list's reference is the caller's to put, without that lock.
 */
bool staged_unchanged_locked(struct staged *staged);
void staged_unorder_locked(struct staged *staged);

/* Around what moves the store's ctime and is nothing to programs. */
void staged_hide_begin(struct staged *staged, int fd);
void staged_hide_end(struct staged *staged, int fd);
/* Around a step of a commit that gives the store's file its blocks. */
void staged_move_begin(struct staged *staged);
void staged_move_end(struct staged *staged);
/* With the file's lock: the ctime that programs see. */
void staged_ctime_overlay_locked(const struct staged *staged, struct stat *st);

/* With the gate and the file's lock: cut to nothing. 0 or -ENOMEM. */
int staged_empty_locked(struct staged *staged);

/* With the file's lock, after its dirty layer has changed. */
void staged_recount_locked(struct staged *staged);

/* Takes the commit's lock, as the daemon itself and nobody else. */
void stage_enter_commit(struct stage *stage);
/* Drops the commit's lock, and tells owners what it was in the way of. */
void stage_leave_commit(struct stage *stage);
/* A commit with that lock; *pages: how many it took. 0 or -errno. */
int stage_commit_locked(struct stage *stage, enum commit_cause cause,
			bool all, size_t *pages);

/* With the gate closed; how many there are. */
size_t stage_freeze_removals(struct stage *stage);
/* With the commit's lock, the others too. */
void stage_thaw_removals(struct stage *stage);
size_t stage_describe_removals(struct stage *stage,
			       struct journal_removal *removals, size_t room);
int stage_apply_removals(struct stage *stage, struct removal_list *done);
/* Without any lock. */
void stage_end_removals(struct stage *stage, struct removal_list *done);

/* The journal is there, or -errno. */
int stage_need_journal(struct stage *stage);
/* May the file become so long? 0 or -EFBIG. */
int staged_check_size(struct staged *staged, off_t size);
/* Commits if its dirty layer has too many holes. 0 or -errno. */
int staged_limit_holes(struct staged *staged);

/*
 * With the commit's lock: what an earlier commit has left is applied, or put
 * back. 0 or -errno.
 */
int stage_finish_last(struct stage *stage);
/*
 * A checkpoint with the commit's lock throughout, for a commit that has no
 * room. 0 or -errno.
 */
int stage_checkpoint_locked(struct stage *stage);
/* One in the background: later, or soon if something runs short. */
void stage_want_checkpoint(struct stage *stage);

/* In the background. */
int64_t stage_run_commit(struct sync_item *item);
int64_t stage_run_checkpoint(struct sync_item *item);

#endif
