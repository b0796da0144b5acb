/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When to sync, and nothing about how: one thread owns a heap of due times,
 * others do the work, so that a slow file delays no other. Who wants
 * something leaves it in an inbox.
 *
 * An item is embedded in what is to be synced, which must outlive it:
 * sync_item_forget() before it is freed. An item never runs twice at one
 * time. Nothing wakes while nothing is due, and no item that isn't wanted
 * costs anything. Any thread, also from within run(); but no run() may wait
 * for another item's to begin, because all workers may be busy.
 */
#ifndef MSYNCFS_CORE_SCHEDULER_H
#define MSYNCFS_CORE_SCHEDULER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

struct scheduler;

/* When something is to be done: as clock_now(), nanoseconds since boot. */
#define SYNC_NEVER INT64_MAX
#define SYNC_AT_ONCE 0

struct sync_item {
	/*
	 * Does it, in a worker thread, with no lock of the scheduler's held.
	 * Returns when to run again, or SYNC_NEVER; what was wanted meanwhile
	 * counts as well, the earlier one. With once set, it may free the
	 * item: what it returns is ignored, the item is not looked at again,
	 * and nobody may want it any more.
	 */
	int64_t (*run)(struct sync_item *item);
	bool once;

	/* The scheduler's. */
	_Atomic int64_t wanted; /* the earliest due time asked for */
	_Atomic bool in_inbox;
	struct sync_item *next; /* in the inbox */
	/* The scheduler's lock protects what follows. */
	bool forgotten; /* by somebody who waits for its run to end */
	unsigned char state;
	unsigned char last_runs; /* while the scheduler is stopped */
	TAILQ_ENTRY(sync_item) link; /* among those to be run */
	size_t position; /* in the heap, from 1 */
	int64_t due; /* what it is there for */
};

void sync_item_init(struct sync_item *item,
		    int64_t (*run)(struct sync_item *item));

/* workers: the most threads for run() at one time. NULL: out of memory. */
struct scheduler *scheduler_new(unsigned workers);
/*
 * Starts the owner's thread; workers start when first needed. thread_enter
 * and thread_leave (may be NULL) are called in each worker thread.
 * 0 or -errno.
 */
int scheduler_start(struct scheduler *scheduler, void (*thread_enter)(void),
		    void (*thread_leave)(void));
/*
 * Runs every item that is wanted, however far away its time is, and once
 * more those that are wanted again meanwhile; waits for all, and ends the
 * threads. Whatever is wanted afterwards is ignored. Not from within run().
 */
void scheduler_stop(struct scheduler *scheduler);
void scheduler_free(struct scheduler *scheduler);

/*
 * The item is to begin at due at the latest, as far as workers are left.
 * Costs one atomic operation and no lock when an earlier time is known
 * already. What the caller wrote before is there for a run that begins later.
 */
void scheduler_want(struct scheduler *scheduler, struct sync_item *item,
		    int64_t due);

/*
 * Not wanted any more; waits if it runs just now (not in its own run(), whose
 * result is then ignored). Afterwards the item may be freed.
 */
void sync_item_forget(struct scheduler *scheduler, struct sync_item *item);

struct scheduler_state {
	size_t waiting; /* items with a due time, or due and not yet run */
	size_t running;
	unsigned threads; /* workers */
	int64_t next_due; /* SYNC_NEVER: none */
	uint64_t wakes; /* of the owner, so far */
	uint64_t runs;
	int64_t latest; /* ns: the most that a run began after its due time */
};
void scheduler_look(struct scheduler *scheduler,
		    struct scheduler_state *state);

#endif
