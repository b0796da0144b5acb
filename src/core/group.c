// SPDX-License-Identifier: Apache-2.0
/*
 * A batch is flushed in three steps: the write-back of all its files is
 * started, then waited for, and only then is each file synced, several at a
 * time. The order is what saves flushes of the device: once all data is
 * written, the files' metadata is in one transaction of the file system's
 * journal, and what the single calls ask for comes together there and in the
 * block layer. Eight files on ext4 cost 2.4 flushes this way, eight threads
 * that each call fdatasync(2) 4, syncfs(2) alone 4.2: it commits once before
 * the data is allocated and once after.
 *
 * Threads of one's own for each file end somewhere: for more files than that
 * syncfs is tried, and used as long as it isn't the slower one, which it is
 * when others write much to the file system. It says neither which file an
 * error belongs to, so after one each file is asked; nor does it flush the
 * device's cache on XFS if nothing was logged (an overwrite, Linux 6.18), so
 * one file is synced after it.
 *
 * How many waiters to expect: those of the last batch, and those that came
 * while it was flushed, because whoever waits can't be in two batches. After
 * a pause nobody is expected but the one who comes.
 */
#include "core/group.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/scheduler.h"
#include "os/clock.h"
#include "os/inode.h"
#include "util/cleanup.h"
#include "util/lock.h"

/* Files of a batch that are synced at one time, with the flush's thread. */
#define PARALLEL 16
/* A sync that takes less than this, in ns, isn't worth waking a thread. */
#define WORTH_HELP 100000
/* syncfs when it was slower: again after so many times what it took. */
#define RETRY 64

/* One waiter's share of a batch. Those of one inode stand together. */
struct part {
	struct group_waiter *waiter;
	dev_t device;
	ino_t inode;
	int fd;
	bool whole;
	bool leads; /* the first of its inode: does the work for all */
	int result;
};

struct helper {
	struct sync_item item;
	struct group *group;
};

struct group {
	struct scheduler *scheduler;
	int fd;
	int (*flush)(void *context); /* NULL: descriptors are synced */
	void *context;
	struct sync_item item;
	_Atomic uint64_t waiters;
	_Atomic uint64_t flushes;

	struct lock lock; /* protects what follows */
	struct group_waiter *first; /* the batch that gathers */
	struct group_waiter **last;
	unsigned gathered;
	unsigned expected;
	int64_t deadline; /* of this batch */
	int64_t ended; /* when the last flush had ended */
	bool flushing;

	/* Of the flush that is under way. */
	struct part *parts;
	size_t part_count;
	_Atomic size_t next_part;
	struct helper helpers[PARALLEL - 1];
	/* What things take, ns; the flush's. */
	_Atomic int64_t sync_takes; /* one fdatasync(2) or fsync(2) */
	int64_t round_takes; /* as many as go at one time */
	int64_t syncfs_takes;
	int64_t syncfs_next; /* when it may be tried although slower */
};

/* ---- one file ----------------------------------------------------------- */

static void note_result(struct part *part, int r)
{
	if (r < 0 && part->result == 0)
		part->result = -errno;
}

/* Also tells of errors that this descriptor has not reported yet. */
static void wait_for_pages(struct part *part)
{
	int r = sync_file_range(part->fd, 0, 0, SYNC_FILE_RANGE_WAIT_BEFORE);

	if (r == 0 || errno != ESPIPE)
		note_result(part, r);
}

static void sync_part(struct group *group, struct part *part)
{
	int64_t begin = clock_now();
	int64_t took = group->sync_takes;

	note_result(part, part->whole ? fsync(part->fd) : fdatasync(part->fd));
	took += (clock_now() - begin - took) / 4;
	group->sync_takes = took;
}

/* ---- a batch's files ---------------------------------------------------- */

static void sync_next_parts(struct group *group)
{
	size_t i;

	while ((i = atomic_fetch_add(&group->next_part, 1)) <
	       group->part_count) {
		if (group->parts[i].leads)
			sync_part(group, &group->parts[i]);
	}
}

static int64_t run_helper(struct sync_item *item)
{
	sync_next_parts(((struct helper *)item)->group);
	return SYNC_NEVER;
}

/* A helper that finds no worker free is not waited for. */
static void sync_each(struct group *group, size_t files)
{
	size_t rounds = (files + PARALLEL - 1) / PARALLEL;
	size_t helpers = files < PARALLEL ? files - 1 : PARALLEL - 1;
	int64_t begin = clock_now();

	if (group->sync_takes < WORTH_HELP)
		helpers = 0;
	atomic_store(&group->next_part, 0);
	for (size_t i = 0; i < helpers; i++)
		scheduler_want(group->scheduler, &group->helpers[i].item,
			       SYNC_AT_ONCE);
	sync_next_parts(group);
	for (size_t i = 0; i < helpers; i++)
		sync_item_forget(group->scheduler, &group->helpers[i].item);
	if (rounds > 0)
		group->round_takes = (clock_now() - begin) / (int64_t)rounds;
}

static bool is_syncfs_better(const struct group *group, size_t files)
{
	int64_t rounds = (int64_t)((files + PARALLEL - 1) / PARALLEL);

	if (rounds <= 1)
		return false;
	return group->syncfs_takes <= group->round_takes * rounds ||
	       clock_now() >= group->syncfs_next;
}

static void start_all(struct group *group)
{
	for (size_t i = 0; i < group->part_count; i++) {
		if (group->parts[i].leads)
			sync_file_range(group->parts[i].fd, 0, 0,
					SYNC_FILE_RANGE_WRITE);
	}
}

static void wait_for_all(struct group *group)
{
	for (size_t i = 0; i < group->part_count; i++) {
		if (group->parts[i].leads)
			wait_for_pages(&group->parts[i]);
	}
}

/* All of the file system; false if there was an error, of any file. */
static bool sync_everything(struct group *group)
{
	int64_t begin = clock_now();
	int64_t end;

	if (syncfs(group->fd) < 0)
		return false;
	sync_part(group, &group->parts[0]);
	/* An error may have been told to somebody else's syncfs. */
	wait_for_all(group);
	end = clock_now();
	group->syncfs_takes = end - begin;
	group->syncfs_next = end + RETRY * group->syncfs_takes;
	return true;
}


/* ---- a batch ------------------------------------------------------------ */

static int compare_parts(const void *left, const void *right)
{
	const struct part *a = left;
	const struct part *b = right;

	if (a->device != b->device)
		return a->device < b->device ? -1 : 1;
	if (a->inode != b->inode)
		return a->inode < b->inode ? -1 : 1;
	return (a->fd > b->fd) - (a->fd < b->fd);
}

static bool is_same_inode(const struct part *a, const struct part *b)
{
	return a->device == b->device && a->inode == b->inode;
}

/* Finds out who leads: one for each file. How many files there are. */
static size_t sort_parts(struct part *parts, size_t count)
{
	struct part *leader = parts;
	size_t files = 0;

	qsort(parts, count, sizeof(*parts), compare_parts);
	for (size_t i = 0; i < count; i++) {
		if (i == 0 || !is_same_inode(leader, &parts[i])) {
			leader = &parts[i];
			leader->leads = true;
			files++;
		}
		leader->whole |= parts[i].whole;
	}
	return files;
}

/* What the leader got is everybody's; other descriptors have their own. */
static void share_results(struct part *parts, size_t count)
{
	const struct part *leader = parts;

	for (size_t i = 1; i < count; i++) {
		if (parts[i].leads) {
			leader = &parts[i];
			continue;
		}
		if (parts[i].fd == parts[i - 1].fd)
			parts[i].result = parts[i - 1].result;
		else
			wait_for_pages(&parts[i]);
		if (leader->result < 0)
			parts[i].result = leader->result;
	}
}

static void flush(struct group *group, struct part *parts, size_t count)
{
	size_t files = sort_parts(parts, count);

	group->parts = parts;
	group->part_count = count;
	if (files > 1) {
		start_all(group);
		wait_for_all(group);
	}
	if (!is_syncfs_better(group, files) || !sync_everything(group))
		sync_each(group, files);
	share_results(parts, count);
}

/* The part of a waiter, whose descriptor may turn out to be none. */
static struct part part_of(struct group_waiter *waiter)
{
	struct part part = {
		.waiter = waiter,
		.fd = waiter->fd,
		.whole = waiter->whole,
	};
	struct inode_look look;

	/* What can't be told is a file of its own. */
	part.device = (dev_t)-1;
	part.inode = (ino_t)waiter->fd;
	if (inode_look(waiter->fd, &look) == 0) {
		part.device = look.device;
		part.inode = look.inode;
	}
	return part;
}

/* ---- the item ----------------------------------------------------------- */

static struct group_waiter *take_batch(struct group *group, unsigned *count)
{
	struct group_waiter *first;

	lock_take(&group->lock, lock_rank_group);
	first = group->first;
	*count = group->gathered;
	group->first = NULL;
	group->last = &group->first;
	group->gathered = 0;
	group->flushing = first != NULL;
	lock_drop(&group->lock, lock_rank_group);
	return first;
}

static bool is_complete_locked(const struct group *group)
{
	return group->gathered > 0 && group->gathered >= group->expected;
}

/* When the next batch is to be flushed. */
static int64_t end_batch(struct group *group, unsigned count)
{
	int64_t due = SYNC_NEVER;

	lock_take(&group->lock, lock_rank_group);
	group->flushing = false;
	group->ended = clock_now();
	group->expected = count + group->gathered;
	if (group->gathered > 0)
		due = group->deadline;
	lock_drop(&group->lock, lock_rank_group);
	return due;
}

static void flush_without_memory(struct group *group,
				 struct group_waiter *waiter)
{
	while (waiter) {
		struct group_waiter *next = waiter->next;
		struct part part = part_of(waiter);

		sync_part(group, &part);
		waiter->done(waiter, part.result);
		waiter = next;
	}
}

/* Those who wait for something else than their files. */
static int64_t flush_of(struct group *group, struct group_waiter *waiter,
			unsigned count)
{
	int r = group->flush(group->context);
	int64_t due = end_batch(group, count);

	while (waiter) {
		struct group_waiter *next = waiter->next;

		waiter->done(waiter, r);
		waiter = next;
	}
	return due;
}

static int64_t run_flush(struct sync_item *item)
{
	struct group *group = (struct group *)((char *)item -
					       offsetof(struct group, item));
	unsigned count;
	struct group_waiter *waiter = take_batch(group, &count);
	owned_memory struct part *parts = NULL;
	int64_t due;
	size_t i = 0;

	if (!waiter)
		return SYNC_NEVER;
	atomic_fetch_add(&group->flushes, 1);
	if (group->flush)
		return flush_of(group, waiter, count);
	parts = malloc(count * sizeof(*parts));
	if (!parts) {
		flush_without_memory(group, waiter);
		return end_batch(group, count);
	}
	for (; waiter; waiter = waiter->next)
		parts[i++] = part_of(waiter);
	flush(group, parts, count);
	/* First this: who is called back may be the next to come. */
	due = end_batch(group, count);
	for (i = 0; i < count; i++)
		parts[i].waiter->done(parts[i].waiter, parts[i].result);
	return due;
}

void group_join(struct group *group, struct group_waiter *waiter,
		int64_t delay)
{
	int64_t now = clock_now();
	int64_t due = now + delay;
	bool flushing;

	waiter->next = NULL;
	atomic_fetch_add(&group->waiters, 1);
	lock_take(&group->lock, lock_rank_group);
	*group->last = waiter;
	group->last = &waiter->next;
	if (group->gathered++ == 0 || due < group->deadline)
		group->deadline = due;
	flushing = group->flushing;
	if (!flushing && group->gathered == 1 && now - group->ended > delay)
		group->expected = 1;
	due = is_complete_locked(group) ? SYNC_AT_ONCE : group->deadline;
	lock_drop(&group->lock, lock_rank_group);
	/* Else the flush asks for the next one when it ends. */
	if (!flushing)
		scheduler_want(group->scheduler, &group->item, due);
}

void group_count(const struct group *group, struct group_counts *counts)
{
	*counts = (struct group_counts){
		.waiters = group->waiters,
		.flushes = group->flushes,
	};
}

struct group *group_new(struct scheduler *scheduler, int fd)
{
	struct group *group = calloc(1, sizeof(*group));

	if (!group)
		return NULL;
	group->scheduler = scheduler;
	group->fd = fd;
	group->expected = 1;
	group->last = &group->first;
	lock_init(&group->lock);
	sync_item_init(&group->item, run_flush);
	for (size_t i = 0; i < PARALLEL - 1; i++) {
		group->helpers[i].group = group;
		sync_item_init(&group->helpers[i].item, run_helper);
	}
	return group;
}

struct group *group_new_of(struct scheduler *scheduler,
			   int (*flush)(void *context), void *context)
{
	struct group *group = group_new(scheduler, -1);

	if (!group)
		return NULL;
	group->flush = flush;
	group->context = context;
	return group;
}

void group_free(struct group *group)
{
	sync_item_forget(group->scheduler, &group->item);
	lock_fini(&group->lock);
	free(group);
}
