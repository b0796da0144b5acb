/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fsync=group: whoever waits for durability within one file system shares
 * one flush. Waiters come with a descriptor and are called back; no thread
 * is held while they wait.
 *
 *	idle	nobody waits
 *	open	a batch gathers; ends when as many have come as may be
 *		expected after the last one, or its delay is over
 *	flush	its data is written and made durable together; who comes now
 *		opens the next batch
 *
 * Who comes alone waits for nobody. Any thread.
 */
#ifndef MSYNCFS_CORE_GROUP_H
#define MSYNCFS_CORE_GROUP_H

#include <stdbool.h>
#include <stdint.h>

struct group;
struct scheduler;

struct group_waiter {
	/*
	 * Called once, in some thread, when the data that had been written
	 * when the waiter joined is durable (result 0), or -errno. The waiter
	 * is not looked at again.
	 */
	void (*done)(struct group_waiter *waiter, int result);
	int fd; /* stays open until done(); several waiters may share it */
	bool whole; /* as fsync(2), times and all; else as fdatasync(2) */

	struct group_waiter *next; /* the group's */
};

struct group_counts {
	uint64_t waiters;
	uint64_t flushes;
};

/*
 * fd: a directory of the file system, for syncfs(2); stays the caller's.
 * NULL: out of memory.
 */
struct group *group_new(struct scheduler *scheduler, int fd);
/*
 * A group whose waiters all share one function instead: 0 or -errno, the
 * same for all. Their descriptors are not looked at.
 */
struct group *group_new_of(struct scheduler *scheduler,
			   int (*flush)(void *context), void *context);
/* Nobody may wait any more, the scheduler must still be there. */
void group_free(struct group *group);

/*
 * Waits for others for at most delay ns. Several waiters of one inode get
 * an error that any of their descriptors has to report. Not after
 * scheduler_stop(): nobody would be called back.
 */
void group_join(struct group *group, struct group_waiter *waiter,
		int64_t delay);
void group_count(const struct group *group, struct group_counts *counts);

#endif
