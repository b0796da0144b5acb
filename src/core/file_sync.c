// SPDX-License-Identifier: Apache-2.0
/*
 * When an open file's data becomes durable.
 *
 * On the daemon path each write comes here: the first one after a sync sets
 * the time of the next (struct sync_item), the others cost a look at a flag.
 * What the kernel path writes, and what programs write through mappings, is
 * seen by nobody; while such a writer has the file open it is looked at once
 * in each period (cachestat(2), and mtime, which also tells of pages that
 * the kernel has written back by itself), and synced if there is something.
 *
 *	scheduled	the item is wanted, or may be again; it holds a
 *			reference to the file
 *	closed		by everybody: what is left is synced when it is due,
 *			and the item then gives its reference back. The node
 *			is kept, because an error must reach who opens it next
 *
 * A period is shorter than `every` by what a sync takes, so that data is
 * durable about that long after it was written, not only on its way.
 *
 * Many files due at one time are synced by one syncfs(2), see filesystem.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/file_internal.h"
#include "core/filesystem.h"
#include "core/group.h"
#include "core/loss.h"
#include "core/stage.h"
#include "os/clock.h"
#include "os/inode.h"
#include "os/pagecache.h"
#include "util/log.h"

#define MILLISECOND INT64_C(1000000)
/* How much clock_coarse() may be behind. */
#define TICK (10 * MILLISECOND)
/* How often a file is looked at that is synced by amount only. */
#define LOOK_BUSY (100 * MILLISECOND)
#define LOOK_IDLE (1000 * MILLISECOND)
/* So many files synced at one time are worth a sync of everything. */
#define MANY 12

static struct file *file_of_item(struct sync_item *item)
{
	return (struct file *)((char *)item - offsetof(struct file, sync));
}

/* ---- errors ------------------------------------------------------------ */

static void count_error(struct file *file, int error)
{
	file->sync_error = error;
	file->error_at = clock_wall_coarse();
	atomic_fetch_add(&file->sync_errors, 1);
}

static void note_error(struct file *file, int error)
{
	struct node *node = file->node;
	char path[PATH_MAX];

	/*
	 * What a commit could not take is still staged and not lost, which
	 * commit-failed has said.
	 */
	if (!file->staged) {
		inode_read_path(file_descriptor(file), path);
		log_event(event_sync_failed, "syncing '%s' (inode %llu): %s",
			  path, (unsigned long long)node->ino,
			  strerror(error));
		counter_add(&file->fs->counters.sync_errors, 1);
	}
	count_error(file, error);
	if (file->closed) {
		lock_take(&node->lock, lock_rank_node);
		if (node->file && node->file != file)
			count_error(node->file, error);
		else
			node->pending_error = error;
		lock_drop(&node->lock, lock_rank_node);
	}
}

void file_take_pending_error_locked(struct file *file,
				    struct file_handle_state *handle)
{
	struct node *node = file->node;

	if (!node->pending_error)
		return;
	count_error(file, node->pending_error);
	node->pending_error = 0;
	handle->errors_seen = atomic_load(&file->sync_errors) - 1;
}

/* r, or an error that this handle has not been told yet. */
static int told(struct file_handle_state *handle, int r)
{
	struct file *file = handle->file;
	unsigned errors = atomic_load(&file->sync_errors);
	unsigned seen = atomic_exchange(&handle->errors_seen, errors);

	return r == 0 && seen != errors ? -file->sync_error : r;
}

/* ---- syncing ----------------------------------------------------------- */

static void note_time(struct file *file, int64_t begin)
{
	struct filesystem *fs = file->fs;
	int64_t took = clock_now() - begin;
	int64_t average = fs->sync_takes;

	file->synced_at = begin;
	file->sync_took = took;
	fs->sync_takes = average + (took - average) / 8;
}

bool file_mtime_is_new(const struct file *file, int64_t *mtime)
{
	struct stat st;
	int64_t now;

	if (fstat(file->fd, &st) < 0)
		return true;
	now = clock_nanoseconds(&st.st_mtim);
	if (mtime)
		*mtime = now;
	return now != file->synced_mtime;
}

/* A sync begins, which makes durable what was written up to now. */
static void forget_dirty(struct file *file)
{
	int64_t mtime = file->synced_mtime;
	bool written = false;

	/* For looks by and by; asked in vain it costs, see inode_look(). */
	if (file->path == data_path_kernel &&
	    (file->tracked || file_policy(file)->fsync == policy_fsync_defer))
		written = file_mtime_is_new(file, &mtime);
	loss_begin(file, written);
	file->dirty = false;
	file->dirty_bytes = 0;
	file->synced_mtime = mtime;
}

/* What is private is never synced. */
static int sync_staged(struct file *file, bool data_only,
		       enum commit_cause cause)
{
	int r;

	if (staged_is_private(file->staged))
		return 0;
	staged_rewritten(file->staged);
	r = stage_commit(file->fs->stage, cause);
	if (r < 0 || data_only || !staged_take_attributes(file->staged))
		return r;
	if (fsync(file->fd) == 0)
		return 0;
	r = -errno;
	staged_attributes_changed(file->staged);
	return r;
}

/*
 * After forget_dirty(). 0 or -errno; the error is noted. cause: of a commit, if
 * it is staged.
 */
static int sync_file(struct file *file, bool data_only,
		     enum commit_cause cause)
{
	int64_t begin = clock_now();
	int r;

	if (file->staged) {
		r = sync_staged(file, data_only, cause);
		if (r < 0)
			note_error(file, -r);
		note_time(file, begin);
		return r;
	}
	r = data_only ? fdatasync(file->fd) : fsync(file->fd);
	if (r < 0) {
		r = -errno;
		note_error(file, -r);
	} else {
		loss_end(file, begin);
	}
	note_time(file, begin);
	return r;
}

int64_t file_dirty_bytes(struct file *file)
{
	return pagecache_dirty_bytes(file->fd);
}

bool file_may_be_dirty(struct file *file)
{
	if (file->dirty)
		return true;
	if (file->staged)
		return staged_is_uncommitted(file->staged);
	if (file->path == data_path_daemon)
		return false;
	return file_mtime_is_new(file, NULL) ||
	       file_dirty_bytes(file) != 0;
}

bool file_is_gone(const struct file *file)
{
	struct stat st;

	return file->closed && fstat(file->fd, &st) == 0 && st.st_nlink == 0;
}

/*
 * A time after its last write, if that is known. Asked after the dirty flag
 * was taken: a writer then either is seen here or sets it again.
 */
static int64_t written_before(const struct file *file)
{
	bool seen = file->path == data_path_daemon && file->mappers == 0;

	return seen || file->closed ? file->written_at + TICK : clock_now();
}

/*
 * syncfs(2) tells of an error once, perhaps somebody else. A file's own error
 * is told by this too, which has nothing to wait for.
 */
static void learn_error(struct file *file)
{
	if (sync_file_range(file->fd, 0, 0, SYNC_FILE_RANGE_WAIT_BEFORE) < 0 &&
	    errno != ESPIPE)
		note_error(file, errno);
}

static void commit_scheduled(struct file *file)
{
	const struct policy *policy = file_policy(file);
	struct counters *counters = &file->fs->counters;
	enum commit_cause cause = commit_by_time;
	int64_t begin = clock_now();

	if (file->closed && policy->close)
		cause = commit_by_close;
	else if (policy->dirty > 0 && file->dirty_bytes >= policy->dirty)
		cause = commit_by_amount;
	forget_dirty(file);
	if (staged_is_private(file->staged) || file_is_gone(file))
		return;
	if (stage_is_dirty(file->fs->stage)) {
		int r = stage_commit(file->fs->stage, cause);

		if (r < 0)
			note_error(file, -r);
	}
	note_time(file, begin);
	counter_add(&counters->sync_scheduled, 1);
	counter_add(&file->counts.syncs, 1);
	histogram_add(&counters->sync_time, clock_now() - begin);
}

static void sync_scheduled(struct file *file)
{
	struct filesystem *fs = file->fs;
	int64_t since, begin;
	unsigned at_work;

	if (file->staged) {
		commit_scheduled(file);
		return;
	}
	forget_dirty(file);
	since = written_before(file);
	if (file_is_gone(file))
		return;
	/* Has everything been synced together since? */
	if (fs->whole.done_from > since) {
		loss_end(file, fs->whole.done_from);
		learn_error(file);
		return;
	}
	begin = clock_now();
	at_work = atomic_fetch_add(&fs->syncing, 1);
	if (at_work < MANY || filesystem_sync_since(fs, since) < 0) {
		sync_file(file, true, commit_by_time);
	} else {
		loss_end(file, begin);
		learn_error(file);
	}
	atomic_fetch_sub(&fs->syncing, 1);
	counter_add(&fs->counters.sync_scheduled, 1);
	counter_add(&file->counts.syncs, 1);
	histogram_add(&fs->counters.sync_time, clock_now() - begin);
}

/* ---- times ------------------------------------------------------------- */

/* How long before its time a sync has to begin. */
static int64_t lead(const struct file *file, int64_t every)
{
	int64_t takes = 2 * file->fs->sync_takes;

	return takes < every / 4 ? takes : every / 4;
}

static bool is_written_unseen(const struct file *file)
{
	if (file->path == data_path_kernel)
		return file->writers > 0;
	return file->mappers > 0;
}

static int64_t period(const struct file *file, const struct policy *policy)
{
	int64_t every = policy->every;

	/* One write-back of programs' mappings serves files due soon. */
	if (file->path == data_path_daemon)
		every -= every / 8;
	return every - lead(file, policy->every);
}

/* 0: it is due when its time has come, whoever has committed since. */
static int64_t staged_period(const struct file *file,
			     const struct policy *policy)
{
	if ((policy->close && file->closed) ||
	    (policy->dirty > 0 && file->dirty_bytes >= policy->dirty))
		return 0;
	return policy->every - lead(file, policy->every);
}

void file_schedule(struct file *file, int64_t due)
{
	if (!atomic_exchange(&file->scheduled, true))
		file_hold(file);
	scheduler_want(file->fs->scheduler, &file->sync, due);
}

static void schedule_look(struct file *file, const struct policy *policy,
			  int64_t now)
{
	bool by_amount = policy->dirty > 0 && file->path == data_path_kernel;

	file->every_due = now + period(file, policy);
	if (by_amount)
		file_schedule(file, now + LOOK_BUSY);
	else if (policy->every > 0)
		file_schedule(file, file->every_due);
}

void file_track(struct file *file, bool writer)
{
	const struct policy *policy = file_policy(file);

	file->tracked = policy->every > 0 || policy->dirty > 0 ||
			policy->close;
	if (!file->tracked || !writer)
		return;
	/* To the tick: what is opened within one is due together. */
	if (is_written_unseen(file) || file->dirty)
		schedule_look(file, policy, clock_coarse());
}

void file_dirtied(struct file *file, size_t bytes)
{
	const struct policy *policy;
	int64_t now;

	loss_written(file);
	if (!file->tracked)
		return;
	policy = file_policy(file);
	now = clock_coarse();
	file->written_at = now;
	if (!file->dirty && !atomic_exchange(&file->dirty, true) &&
	    policy->every > 0)
		file_schedule(file,
			      now + policy->every - lead(file, policy->every));
	if (policy->dirty > 0) {
		uint64_t before = atomic_fetch_add(&file->dirty_bytes, bytes);

		if (before < policy->dirty && before + bytes >= policy->dirty)
			file_schedule(file, SYNC_AT_ONCE);
	}
}

void file_data_changed(struct file *file)
{
	file_dirtied(file, 0);
}

/* By amount alone, on a file whose writes are not seen. */
static int64_t look_at_amount(struct file *file, const struct policy *policy,
			      int64_t now)
{
	int64_t dirty = file_dirty_bytes(file);

	if (policy->every > 0 && now >= file->every_due) {
		file->every_due = now + period(file, policy);
		if (file_may_be_dirty(file))
			sync_scheduled(file);
	} else if (dirty < 0 || (uint64_t)dirty >= policy->dirty) {
		sync_scheduled(file);
	}
	return clock_now() + (dirty > 0 ? LOOK_BUSY : LOOK_IDLE);
}

/* Closed by everybody, and nothing left to do: lets it go. */
static void settle(struct file *file)
{
	lock_take(&file->node->lock, lock_rank_node);
	if (file->settled && !file->dirty && file->scheduled) {
		file->scheduled = false;
		scheduler_want(file->fs->scheduler, &file->reap, SYNC_AT_ONCE);
	}
	lock_drop(&file->node->lock, lock_rank_node);
}

static int64_t run_sync(struct sync_item *item)
{
	struct file *file = file_of_item(item);
	const struct policy *policy = file_policy(file);
	int64_t now = clock_now();
	bool unseen = is_written_unseen(file) && !file->closed;
	int64_t again = policy->every > 0 ? period(file, policy) : LOOK_IDLE;

	if (file->path == data_path_daemon && unseen) {
		int r = filesystem_write_back_clients(file->fs,
						      now - policy->every / 8);
		if (r < 0) {
			log_event(event_mapped_unwritten, "writing back what "
				  "programs changed in mapped files: %s",
				  strerror(-r));
			again = LOOK_BUSY;
		}
	}
	if (unseen && policy->dirty > 0 && file->path == data_path_kernel)
		return look_at_amount(file, policy, now);
	if (file->staged && file_may_be_dirty(file)) {
		int64_t due = file_staged_due(file, staged_period(file,
								  policy));
		if (due > now && due != SYNC_NEVER)
			return unseen && again < due - now ? now + again : due;
		if (due <= now)
			sync_scheduled(file);
	} else if (file_may_be_dirty(file)) {
		sync_scheduled(file);
	} else {
		loss_clean(file, now);
	}
	/* The commit failed, or left it out for now. */
	if (file->staged && !file_is_gone(file) &&
	    staged_is_uncommitted(file->staged))
		return clock_now() + (policy->every > LOOK_IDLE ? again :
								  LOOK_IDLE);
	settle(file);
	if (unseen && policy->every > 0 && !file->closed)
		return now + again;
	return SYNC_NEVER;
}

/* The item's own reference: not given back while the item runs. */
static int64_t run_reap(struct sync_item *item)
{
	struct file *file = (struct file *)((char *)item -
					    offsetof(struct file, reap));

	sync_item_forget(file->fs->scheduler, &file->sync);
	file_release(file);
	return SYNC_NEVER;
}

void file_sync_init(struct file *file)
{
	sync_item_init(&file->sync, run_sync);
	sync_item_init(&file->reap, run_reap);
	file->reap.once = true;
	file->sync_took = -1;
}

/* ---- at close, and asked for ------------------------------------------- */

int file_sync_at_close(struct file_handle_state *handle)
{
	struct file *file = handle->file;
	int r = 0;

	if (!handle->writer || !file_waits_at_close(file))
		return 0;
	if (file_may_be_dirty(file)) {
		counter_add(&file->fs->counters.sync_close, 1);
		forget_dirty(file);
		r = sync_file(file, true, commit_by_close);
	}
	return told(handle, r);
}

struct grouped {
	struct group_waiter waiter;
	struct file_handle_state *handle;
	void (*done)(void *context, int result);
	void *context;
	int64_t begin;
};

static void group_done(struct group_waiter *waiter, int result)
{
	struct grouped *grouped = (struct grouped *)waiter;
	struct file *file = grouped->handle->file;

	if (result < 0)
		note_error(file, -result);
	else
		loss_end(file, grouped->begin);
	note_time(file, grouped->begin);
	histogram_add(&file->fs->counters.fsync_time,
		      clock_now() - grouped->begin);
	/* Once it has replied the handle may be gone. */
	grouped->done(grouped->context, told(grouped->handle, result));
	file_release(file);
	free(grouped);
}

static bool join_group(struct file_handle_state *handle, bool data_only,
		       int64_t delay,
		       void (*done)(void *context, int result), void *context)
{
	struct file *file = handle->file;
	struct group *group =
		file->staged ? stage_group(file->fs->stage) :
			       filesystem_group(file->fs, file->node);
	struct grouped *grouped = group ? calloc(1, sizeof(*grouped)) : NULL;

	if (!grouped)
		return false;
	*grouped = (struct grouped){
		.waiter.done = group_done,
		.waiter.fd = file->fd,
		.waiter.whole = !data_only,
		.handle = handle,
		.done = done,
		.context = context,
		.begin = clock_now(),
	};
	file_hold(file);
	forget_dirty(file);
	if (file->staged)
		staged_rewritten(file->staged);
	group_join(group, &grouped->waiter, delay);
	return true;
}

int file_fsync(struct file_handle_state *handle, bool data_only,
	       void (*done)(void *context, int result), void *context)
{
	struct file *file = handle->file;
	const struct policy *policy = file_policy(file);
	struct counters *counters = &file->fs->counters;
	int64_t begin = clock_now();
	int r;

	counter_add(&file->counts.fsyncs, 1);
	if (file->staged && staged_is_private(file->staged))
		return told(handle, 0);
	if (policy->fsync == policy_fsync_defer) {
		if (file->staged)
			stage_defer(file->staged);
		counter_add(&counters->fsync_deferred, 1);
		return told(handle, 0);
	}
	if (policy->fsync == policy_fsync_group &&
	    join_group(handle, data_only, policy->group, done, context)) {
		counter_add(&counters->fsync_grouped, 1);
		return FILE_WAITS;
	}
	counter_add(&counters->fsync_honored, 1);
	forget_dirty(file);
	r = sync_file(file, data_only, commit_by_fsync);
	histogram_add(&counters->fsync_time, clock_now() - begin);
	return told(handle, r);
}

int file_sync_now(struct file *file, off_t offset, off_t length)
{
	int r;

	counter_add(&file->fs->counters.sync_explicit, 1);
	if ((offset == 0 && length == 0) || file->staged) {
		forget_dirty(file);
		return sync_file(file, true, commit_by_request);
	}
	r = pagecache_sync_range(file->fd, offset, length);
	if (r < 0)
		note_error(file, -r);
	return r;
}

int64_t file_next_sync(const struct file *file)
{
	int64_t wanted = file->sync.wanted;
	int64_t now = clock_now();

	if (!file->scheduled || wanted == SYNC_NEVER)
		return -1;
	return wanted > now ? wanted - now : 0;
}
