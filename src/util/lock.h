/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A mutex with a rank. A thread may take a lock only while every lock that
 * it holds has a lower rank; builds with -Dlock_check=true abort on the
 * first breach. lock_try() is exempt, because it can't wait: eviction goes
 * against the order with it.
 *
 * No lock is held across a FUSE reply, and none that is shared by several
 * inodes is held across a system call that can block.
 */
#ifndef MSYNCFS_UTIL_LOCK_H
#define MSYNCFS_UTIL_LOCK_H

#include <pthread.h>
#include <stdbool.h>

enum lock_rank {
	/* One open directory's position; held while entries are looked up. */
	lock_rank_directory,
	/* One inode's descriptors and opens; held while they are opened. */
	lock_rank_node,
	/* Who appends to a file; held while that is written. */
	lock_rank_append,
	/* One commit at a time; held while it is written. */
	lock_rank_stage_commit,
	/* One checkpoint's syncing at a time; held while it takes. */
	lock_rank_stage_sync,
	/* Shared: a staged file is changed; alone: a commit's instant. */
	lock_rank_stage_gate,
	/* One staged file's layers. */
	lock_rank_stage_file,
	/* The lists of staged files, and of directories that changed. */
	lock_rank_stage,
	/* The slots of staged pages. */
	lock_rank_arena,
	/* One inode's mapped region. */
	lock_rank_mapping,
	/* Where and by what name nodes were last found. */
	lock_rank_names,
	/* The list of cached path descriptors. */
	lock_rank_path_cache,
	/* The list of mapped regions. */
	lock_rank_mapping_pool,
	/* A sync of the whole store; held while that takes. */
	lock_rank_whole_sync,
	/* The policies that are kept in memory. */
	lock_rank_policy_store,
	/* Which policy file acts. */
	lock_rank_policy_file,
	/* The list of open files. */
	lock_rank_open_files,
	/* The table of files that are held in memory. */
	lock_rank_hold,
	/* The list of file systems that the store spans. */
	lock_rank_store,
	/* Who waits for a common flush. */
	lock_rank_group,
	/* When to sync what. */
	lock_rank_scheduler,
	/* The list of worker threads. */
	lock_rank_workers,
	/* Whether the watch is to end. */
	lock_rank_watch,
	lock_ranks, /* how many there are */
};

struct lock {
	pthread_mutex_t mutex;
};

#ifdef MSYNCFS_LOCK_CHECK
void lock_check_order(enum lock_rank rank);
void lock_note(enum lock_rank rank, bool held);
#else
static inline void lock_check_order(enum lock_rank rank)
{
	(void)rank;
}

static inline void lock_note(enum lock_rank rank, bool held)
{
	(void)rank;
	(void)held;
}
#endif

static inline void lock_init(struct lock *lock)
{
	pthread_mutex_init(&lock->mutex, NULL);
}

static inline void lock_fini(struct lock *lock)
{
	pthread_mutex_destroy(&lock->mutex);
}

static inline void lock_take(struct lock *lock, enum lock_rank rank)
{
	lock_check_order(rank);
	pthread_mutex_lock(&lock->mutex);
	lock_note(rank, true);
}

static inline bool lock_try(struct lock *lock, enum lock_rank rank)
{
	if (pthread_mutex_trylock(&lock->mutex) != 0)
		return false;
	lock_note(rank, true);
	return true;
}

static inline void lock_drop(struct lock *lock, enum lock_rank rank)
{
	lock_note(rank, false);
	pthread_mutex_unlock(&lock->mutex);
}

#endif
