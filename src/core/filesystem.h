/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One mounted store: the parts that its operations share. Made before any
 * worker thread, taken apart after the last one.
 */
#ifndef MSYNCFS_CORE_FILESYSTEM_H
#define MSYNCFS_CORE_FILESYSTEM_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/queue.h>

#include "core/counters.h"
#include "core/hold.h"
#include "core/loss.h"
#include "core/mapping.h"
#include "core/node.h"
#include "core/path.h"
#include "core/policy.h"
#include "core/policy_defaults.h"
#include "core/policy_store.h"
#include "core/scheduler.h"
#include "store/store.h"

struct file;
struct group;
struct stage;

struct filesystem_settings {
	bool kernel_path; /* use passthrough where it works */
	bool cross_mounts;
	bool no_fsync; /* the kernel answers fsync(2) by itself */
	double attr_timeout; /* seconds */
	double entry_timeout;
	double negative_timeout;
	struct policy policy; /* what holds where nothing is set */
	/* What holds there by path; taken over. NULL: there is none. */
	struct policy_file *policy_file;
	uint64_t lock_limit; /* bytes; UINT64_MAX: the process's limit */
	uint64_t stage_limit; /* bytes; UINT64_MAX: a quarter of the memory */
	uint64_t journal_size; /* bytes; 0: JOURNAL_SIZE_DEFAULT */
};

/*
 * What only the protocol's side can do, set before the first request. All
 * may wait for requests that other threads serve. NULL: not there.
 */
struct filesystem_clients {
	/*
	 * Pages that programs have dirtied through mappings come to us. 0 or
	 * -errno.
	 */
	int (*write_back)(void *context);
	/* Programs' cached pages of a file are dropped; length 0: all. */
	void (*invalidate)(void *context, struct node *node, off_t offset,
			   off_t length);
	/* Lines for the mount's `stats`. */
	void (*describe)(void *context, FILE *out);
	/* Requests by operation, and the operation's name; for `metrics`. */
	const struct operation_counts *operations;
	unsigned operation_count;
	const char *(*operation_name)(uint32_t operation);
	const char *mountpoint;
	void *context;
};

/* The store's files as a whole: what is synced together with syncfs(2). */
struct whole_sync {
	struct sync_item item;
	struct lock lock; /* one at a time */
	_Atomic int64_t done_from; /* clock_now() at the last one's begin */
	_Atomic int64_t wanted_from; /* what it is to cover; 0: nothing */
};

struct filesystem {
	struct filesystem_settings settings;
	struct filesystem_clients clients;
	struct store store;
	struct path_cache paths;
	struct node_table nodes;
	struct mapping_pool mappings;
	struct policy_store policies;
	struct policy_defaults defaults;
	struct hold_table holds;
	struct scheduler *scheduler;
	struct stage *stage;
	struct group *groups[STORE_MOUNTS_MAX]; /* the store's lock */
	struct whole_sync whole;
	struct counters counters;
	struct loss loss;
	int64_t started; /* clock_now() */

	struct lock files_lock; /* protects files */
	TAILQ_HEAD(, file) files; /* open, or closed and not yet synced */
	void *waiting; /* tsearch(3), by node: see file_closed.c */
	_Atomic unsigned files_open;
	_Atomic unsigned files_closed; /* of those that are not open any more */
	unsigned files_closed_limit;

	_Atomic int64_t clients_written; /* last write_back()'s begin */
	_Atomic int64_t sync_takes; /* ns, an average */
	_Atomic unsigned syncing; /* files that are being synced now */
	/*
	 * /dev/fuse, for backing files; -1 until the kernel has agreed to
	 * passthrough. Set once, before the first open.
	 */
	_Atomic int passthrough_device;
};

/*
 * Takes root_fd and settings->policy_file over in every case. descriptors is
 * the process's limit. 0 or -errno.
 */
int filesystem_init(struct filesystem *fs, int root_fd, unsigned descriptors,
		    const struct filesystem_settings *settings);
/* Starts the threads that sync. After any fork. 0 or -errno. */
int filesystem_start(struct filesystem *fs);
/* Syncs what is due later too, and ends these threads. */
void filesystem_stop(struct filesystem *fs);
/*
 * Everything staged is committed, and all of the store durable; the last of a
 * mount. 0 or -errno.
 */
int filesystem_finish(struct filesystem *fs);
void filesystem_fini(struct filesystem *fs);

/* Staged files committed, and everything durable. 0 or -errno. */
int filesystem_sync_all(struct filesystem *fs, int64_t since, bool asked);

/* Names in a directory were changed. */
void filesystem_note_names(struct filesystem *fs, const struct node *directory);

/* The group of waiters on a node's file system; NULL: out of memory. */
struct group *filesystem_group(struct filesystem *fs, const struct node *node);

/* The store as a whole is to be durable by due (clock_now()). */
void filesystem_want_sync(struct filesystem *fs, int64_t due);

/*
 * Makes everything durable that was written before since (clock_now()),
 * unless that has happened already. 0 or -errno.
 */
int filesystem_sync_since(struct filesystem *fs, int64_t since);

/*
 * Programs' mapped pages reach us, if that hasn't happened since. 0 or
 * -errno.
 */
int filesystem_write_back_clients(struct filesystem *fs, int64_t since);

/* Runs something once in a worker of the scheduler. 0 or -ENOMEM. */
int filesystem_run(struct filesystem *fs, void (*what)(void *), void *argument);

#endif
