/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a mount has done and how it stands, from the one list that the root's
 * `stats` and `metrics` are made from and the manual is checked against. Any
 * thread.
 *
 *	COUNTER(FIELD, NAME, HELP)	how often, or how much, since the start
 *	HISTOGRAM(FIELD, NAME, METRIC, HELP)	how long something took
 *	GAUGE(FIELD, NAME, METRIC, KIND, HELP)	how it is now
 *
 * NAME is the key in `stats`. For Prometheus a counter's name is NAME with
 * underscores and "_total", the others have METRIC; all begin with "msyncfs_".
 * KIND: count, bytes, time (nanoseconds), or total for a counter that is kept
 * elsewhere.
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
	COUNTER(cache_kept, "cache.kept",                                      \
		"opens on the daemon path that kept the kernel's cached pages")\
	COUNTER(cache_dropped, "cache.dropped",                                \
		"opens on the daemon path that did not")                       \
	COUNTER(path_hits, "path.hits",                                        \
		"inodes that a descriptor was there for")                      \
	COUNTER(path_misses, "path.misses",                                    \
		"inodes that had to be opened for a request")                  \
	COUNTER(mappings_made, "mapping.made",                                 \
		"mappings of files made, or made anew larger")                 \
	COUNTER(mappings_evicted, "mapping.evicted",                           \
		"mappings given up because there were too many")               \
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
	COUNTER(staged_hits, "stage.read_hits",                                \
		"reads of staged files that found staged pages")               \
	COUNTER(staged_misses, "stage.read_misses",                            \
		"reads of staged files that the store's file answered")        \
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

#define HISTOGRAM_LIST(HISTOGRAM)                                              \
	HISTOGRAM(sync_time, "sync", "sync_seconds",                           \
		"how long syncs took that nobody waited for")                  \
	HISTOGRAM(fsync_time, "fsync", "fsync_wait_seconds",                   \
		"how long programs waited for fsync")                          \
	HISTOGRAM(commit_took, "commit", "commit_seconds",                     \
		"how long commits took")                                       \
	HISTOGRAM(commit_pause, "commit.pause", "commit_pause_seconds",        \
		"how long commits kept writers waiting")                       \
	HISTOGRAM(commit_journal, "commit.journal", "commit_journal_seconds",  \
		"how long commits took to write and flush the journal")

#define GAUGE_LIST(GAUGE)                                                      \
	GAUGE(uptime, "uptime", "uptime_seconds", time,                        \
		"for how long the mount has been there")                       \
	GAUGE(nodes, "nodes", "nodes", count,                                  \
		"inodes that the kernel knows")                                \
	GAUGE(open, "open", "open_files", count, "files that are open")        \
	GAUGE(closed, "closed", "closed_files", count,                         \
		"files that are closed and still to be synced")                \
	GAUGE(mappings, "mappings", "mappings", count,                         \
		"mappings of the daemon")                                      \
	GAUGE(mappings_limit, "mappings.limit", "mappings_limit", count,       \
		"the most mappings that it makes")                             \
	GAUGE(locked, "locked", "locked_bytes", bytes,                         \
		"bytes that lock= holds in memory")                            \
	GAUGE(lock_limit, "lock.limit", "lock_limit_bytes", bytes,             \
		"the most bytes that lock= may hold")                          \
	GAUGE(policies, "policies.in_memory", "policies_in_memory", count,     \
		"files whose policies are not in the store")                   \
	GAUGE(dirty, "dirty", "dirty_bytes", bytes,                            \
		"bytes written and not yet durable, as far as is known")       \
	GAUGE(dirty_shared, "dirty.shared", "dirty_shared_bytes", bytes,       \
		"those of them that are in the page cache of open files")      \
	GAUGE(loss, "loss.window", "loss_window_seconds", time,                \
		"how far back a power cut now would take deferred changes")    \
	GAUGE(loss_max, "loss.window.max", "loss_window_max_seconds", time,    \
		"the same at its worst since the mount was made")              \
	GAUGE(waiting, "scheduler.waiting", "scheduler_waiting", count,        \
		"syncs to come")                                               \
	GAUGE(running, "scheduler.running", "scheduler_running", count,        \
		"syncs under way")                                             \
	GAUGE(threads, "scheduler.threads", "scheduler_threads", count,        \
		"threads that sync")                                           \
	GAUGE(wakes, "scheduler.wakes", "scheduler_wakes_total", total,        \
		"times that the scheduler woke")                               \
	GAUGE(runs, "scheduler.runs", "scheduler_runs_total", total,           \
		"things that the scheduler had done")                          \
	GAUGE(latest, "scheduler.latest", "scheduler_latest_seconds", time,    \
		"the most that something began too late")                      \
	GAUGE(next, "scheduler.next", "scheduler_next_seconds", time,          \
		"time until the next sync is due")                             \
	GAUGE(stage_used, "stage.used", "stage_used_bytes", bytes,             \
		"memory that staged and private files take")                   \
	GAUGE(stage_limit, "stage.limit", "stage_limit_bytes", bytes,          \
		"the most memory that they may take")                          \
	GAUGE(stage_dirty, "stage.dirty", "stage_dirty_bytes", bytes,          \
		"bytes of staged files that no commit has taken")              \
	GAUGE(stage_files, "stage.files", "stage_files", count,                \
		"staged files that have such bytes")                           \
	GAUGE(journal_size, "journal.size", "journal_size_bytes", bytes,       \
		"size of the journal")                                         \
	GAUGE(journal_free, "journal.free", "journal_free_bytes", bytes,       \
		"what the next commit may use of it")                          \
	GAUGE(commit_sequence, "commit.sequence", "commit_sequence", count,    \
		"number of the last commit")                                   \
	GAUGE(commit_age, "commit.age", "commit_age_seconds", time,            \
		"time since the last commit that succeeded")                   \
	GAUGE(commit_failing, "commit.failing", "commit_failing", count,       \
		"commits that failed since the last one that succeeded")       \
	GAUGE(commit_bytes, "commit.bytes", "commit_last_bytes", bytes,        \
		"bytes in the last commit")                                    \
	GAUGE(commit_files, "commit.files", "commit_last_files", count,        \
		"files in the last commit")                                    \
	GAUGE(last_pause, "commit.pause", "commit_last_pause_seconds", time,   \
		"how long the last commit kept writers waiting")               \
	GAUGE(last_journal, "commit.journal", "commit_last_journal_seconds",   \
		time, "how long the last commit took for the journal")         \
	GAUGE(last_took, "commit.took", "commit_last_seconds", time,           \
		"how long the last commit took")
/* clang-format on */

struct counters {
#define COUNTER(field, name, help) _Atomic uint64_t field;
	COUNTER_LIST(COUNTER)
#undef COUNTER
	/* Nanoseconds. */
#define HISTOGRAM(field, name, metric, help) struct histogram field;
	HISTOGRAM_LIST(HISTOGRAM)
#undef HISTOGRAM
};

/* Errors above are counted at 0; Linux has none there. */
#define COUNTERS_ERRNO_MAX 134

/*
 * The requests of one operation: told apart, timed and named by the protocol's
 * side.
 */
struct operation_counts {
	_Atomic uint64_t requests; /* that have come in */
	struct histogram took; /* ns until the reply */
	_Atomic uint64_t errors[COUNTERS_ERRNO_MAX]; /* replies, by errno */
};

static inline void counter_add(_Atomic uint64_t *counter, uint64_t count)
{
	atomic_fetch_add_explicit(counter, count, memory_order_relaxed);
}

#endif
