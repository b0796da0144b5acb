/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a mount has done, from the one list that the root's `stats` and the
 * manual are made from or checked against. Any thread.
 *
 *	COUNTER(FIELD, NAME, HELP)
 */
#ifndef MSYNCFS_CORE_COUNTERS_H
#define MSYNCFS_CORE_COUNTERS_H

#include <stdatomic.h>
#include <stdint.h>

#include "util/histogram.h"

/* clang-format off */
#define COUNTER_LIST(COUNTER)                                                  \
	COUNTER(opens_kernel, "opens.kernel",                                  \
		"first opens of files on the kernel path")                     \
	COUNTER(opens_daemon, "opens.daemon",                                  \
		"first opens of files on the daemon path")                     \
	COUNTER(reads, "read.requests", "reads on the daemon path")            \
	COUNTER(read_bytes, "read.bytes", "bytes that these read")             \
	COUNTER(writes, "write.requests", "writes on the daemon path")         \
	COUNTER(write_bytes, "write.bytes", "bytes that these wrote")          \
	COUNTER(fsync_honored, "fsync.honored",                                \
		"fsyncs of programs passed on to the store")                   \
	COUNTER(fsync_grouped, "fsync.grouped",                                \
		"fsyncs that shared a flush")                                  \
	COUNTER(fsync_deferred, "fsync.deferred",                              \
		"fsyncs answered at once")                                     \
	COUNTER(group_flushes, "group.flushes", "flushes that were shared")    \
	COUNTER(sync_scheduled, "sync.scheduled",                              \
		"files synced because their time or amount was due")           \
	COUNTER(sync_whole, "sync.whole",                                      \
		"syncs of the whole store for many files at once")             \
	COUNTER(sync_close, "sync.at_close",                                   \
		"files synced at their last close")                            \
	COUNTER(sync_explicit, "sync.explicit", "syncs asked for by sync.now") \
	COUNTER(sync_errors, "sync.errors", "syncs that failed")               \
	COUNTER(commits, "commit.count", "commits of staged files")            \
	COUNTER(commit_fsync, "commit.by_fsync",                               \
		"commits that a program's fsync waited for")                   \
	COUNTER(commit_group, "commit.by_group",                               \
		"commits that several fsyncs shared")                          \
	COUNTER(commit_time, "commit.by_time",                                 \
		"commits because sync=every was due")                          \
	COUNTER(commit_amount, "commit.by_amount",                             \
		"commits because sync=dirty was reached")                      \
	COUNTER(commit_close, "commit.by_close",                               \
		"commits after a last close, with sync=close")                 \
	COUNTER(commit_request, "commit.by_request",                           \
		"commits asked for by sync.now")                               \
	COUNTER(commit_order, "commit.by_order",                               \
		"commits before a rename, link, unlink or rmdir")              \
	COUNTER(commit_limit, "commit.by_limit",                               \
		"commits because of stage-limit")                              \
	COUNTER(commit_policy, "commit.by_policy",                             \
		"commits because a file's map was changed")                    \
	COUNTER(commit_unmount, "commit.at_unmount",                           \
		"commits at the end of the mount")                             \
	COUNTER(commit_errors, "commit.errors", "commits that failed")         \
	COUNTER(journal_bytes, "journal.bytes",                                \
		"bytes of transactions written to the journal")                \
	COUNTER(journal_flushes, "journal.flushes",                            \
		"syncs of the journal for commits")                            \
	COUNTER(apply_bytes, "apply.bytes",                                    \
		"bytes of committed pages written to store files")             \
	COUNTER(checkpoints, "checkpoint.count",                               \
		"syncs of what was committed, to free the journal")            \
	COUNTER(advised, "advise.explicit", "advices given by advise.now")     \
	COUNTER(refused, "control.refused",                                    \
		"attributes that were refused when they were set")
/* clang-format on */

struct counters {
#define COUNTER(field, name, help) _Atomic uint64_t field;
	COUNTER_LIST(COUNTER)
#undef COUNTER
	/* Nanoseconds. */
	struct histogram sync_time; /* syncs that nobody waited for */
	struct histogram fsync_time; /* what programs waited for fsync */
};

static inline void counter_add(_Atomic uint64_t *counter, uint64_t count)
{
	atomic_fetch_add_explicit(counter, count, memory_order_relaxed);
}

#endif
