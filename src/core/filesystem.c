// SPDX-License-Identifier: Apache-2.0
/*
 * What is synced as a whole: directories, files that were closed while there
 * were too many to keep a descriptor of each, and many files that are due at
 * one time. One syncfs(2) then does what thousands of fdatasync(2) would,
 * and whoever waits behind it finds its own work done.
 */
#include "core/filesystem.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/file.h"
#include "core/group.h"
#include "core/stage.h"
#include "os/clock.h"
#include "util/log.h"

/*
 * Of the descriptors, an eighth at most is for cached paths: the rest is for
 * open files and directories, one each.
 */
#define PATHS_MIN 16
#define PATHS_MAX 4096

/* Threads that sync. */
#define SYNCERS 32

static unsigned path_limit(unsigned descriptors)
{
	unsigned limit = descriptors / 8;

	if (limit < PATHS_MIN)
		return PATHS_MIN;
	return limit < PATHS_MAX ? limit : PATHS_MAX;
}

static int add_root(struct filesystem *fs)
{
	struct store_id id;
	struct stat st;
	int r;

	if (fstat(fs->store.root_fd, &st) < 0)
		return -errno;
	r = store_identify(&fs->store, fs->store.root_fd, &id);
	if (r < 0)
		return r;
	fs->nodes.root = node_get_or_add(&fs->nodes, &id, &st, NULL, NULL);
	return fs->nodes.root ? 0 : -ENOMEM;
}

static int64_t run_whole(struct sync_item *item)
{
	struct filesystem *fs =
		(struct filesystem *)((char *)item -
				      offsetof(struct filesystem, whole.item));
	int64_t from = atomic_exchange(&fs->whole.wanted_from, 0);
	int r;

	if (from == 0)
		return SYNC_NEVER;
	r = filesystem_sync_all(fs, from, false);
	if (r < 0) {
		counter_add(&fs->counters.sync_errors, 1);
		log_event(event_sync_failed,
			  "syncing the whole store, with files that have been "
			  "closed: %s", strerror(-r));
	}
	return SYNC_NEVER;
}

/* ---- the stage ---------------------------------------------------------- */

static int sync_for_stage(void *context)
{
	return filesystem_sync_since(context, clock_now());
}

static void staged_idle(struct staged *staged, void *owner)
{
	file_staged_idle(owner, staged);
}

static void staged_gone(void *context, void *owner)
{
	struct filesystem *fs = context;

	node_forget(&fs->nodes, owner, 1);
}

static int make_stage(struct filesystem *fs)
{
	struct stage_settings settings = {
		.store = &fs->store,
		.scheduler = fs->scheduler,
		.counters = &fs->counters,
		.limit = fs->settings.stage_limit,
		.journal_size = fs->settings.journal_size,
		.files_limit = fs->files_closed_limit,
		.sync_store = sync_for_stage,
		.idle = staged_idle,
		.release = staged_gone,
		.context = fs,
	};

	return stage_new(&settings, &fs->stage);
}

/* ---- the filesystem ----------------------------------------------------- */

int filesystem_init(struct filesystem *fs, int root_fd, unsigned descriptors,
		    const struct filesystem_settings *settings)
{
	int r;

	memset(fs, 0, sizeof(*fs));
	fs->settings = *settings;
	fs->settings.policy_file = NULL; /* the defaults have it */
	fs->passthrough_device = -1;
	fs->started = clock_now();
	fs->files_closed_limit = path_limit(descriptors);
	TAILQ_INIT(&fs->files);
	lock_init(&fs->files_lock);
	lock_init(&fs->whole.lock);
	sync_item_init(&fs->whole.item, run_whole);
	r = store_init(&fs->store, root_fd, settings->cross_mounts);
	path_cache_init(&fs->paths, &fs->store, path_limit(descriptors));
	mapping_pool_init(&fs->mappings, 0);
	policy_store_init(&fs->policies);
	policy_defaults_init(&fs->defaults, settings->policy_file);
	fs->scheduler = scheduler_new(SYNCERS);
	if (r == 0 && !fs->scheduler)
		r = -ENOMEM;
	if (hold_table_init(&fs->holds, settings->lock_limit) < 0 && r == 0)
		r = -ENOMEM;
	if (r == 0)
		r = make_stage(fs);
	if (r == 0)
		r = node_table_init(&fs->nodes, &fs->paths);
	fs->nodes.keeps_names = fs->defaults.by_path;
	if (r == 0)
		r = add_root(fs);
	if (r < 0)
		filesystem_fini(fs);
	return r;
}

int filesystem_start(struct filesystem *fs)
{
	return scheduler_start(fs->scheduler, node_thread_enter,
			       node_thread_leave);
}

void filesystem_stop(struct filesystem *fs)
{
	scheduler_stop(fs->scheduler);
}

int filesystem_finish(struct filesystem *fs)
{
	int staged = stage_finish(fs->stage);
	int r = store_sync(&fs->store);

	return staged < 0 ? staged : r;
}

/* Closed after the last sync: what is left has been synced as a whole. */
static void drop_files(struct filesystem *fs)
{
	struct file *file;

	while ((file = TAILQ_FIRST(&fs->files)) != NULL) {
		file->refs = 1;
		file_release(file);
	}
}

void filesystem_fini(struct filesystem *fs)
{
	drop_files(fs);
	if (fs->stage)
		stage_free(fs->stage);
	for (unsigned i = 0; i < STORE_MOUNTS_MAX; i++) {
		if (fs->groups[i])
			group_free(fs->groups[i]);
	}
	if (fs->scheduler)
		scheduler_free(fs->scheduler);
	hold_table_fini(&fs->holds);
	node_table_fini(&fs->nodes);
	policy_defaults_fini(&fs->defaults);
	policy_store_fini(&fs->policies);
	mapping_pool_fini(&fs->mappings);
	path_cache_fini(&fs->paths);
	store_fini(&fs->store);
	lock_fini(&fs->whole.lock);
	lock_fini(&fs->files_lock);
}

struct group *filesystem_group(struct filesystem *fs, const struct node *node)
{
	struct group **group = &fs->groups[node->id_mount];

	lock_take(&fs->store.lock, lock_rank_store);
	if (!*group)
		*group = group_new(fs->scheduler,
				   fs->store.mounts[node->id_mount].fd);
	struct group *found = *group;
	lock_drop(&fs->store.lock, lock_rank_store);
	return found;
}

/* ---- as a whole -------------------------------------------------------- */

void filesystem_want_sync(struct filesystem *fs, int64_t due)
{
	/* What it is to cover is what has been written up to now. */
	fs->whole.wanted_from = clock_now();
	scheduler_want(fs->scheduler, &fs->whole.item, due);
}

int filesystem_sync_since(struct filesystem *fs, int64_t since)
{
	int64_t begin;
	int r = 0;

	lock_take(&fs->whole.lock, lock_rank_whole_sync);
	if (fs->whole.done_from <= since) {
		begin = clock_now();
		counter_add(&fs->counters.sync_whole, 1);
		loss_begin_all(fs);
		r = store_sync(&fs->store);
		if (r == 0) {
			fs->whole.done_from = begin;
			loss_end_all(fs, begin);
		}
	}
	lock_drop(&fs->whole.lock, lock_rank_whole_sync);
	return r;
}

int filesystem_sync_all(struct filesystem *fs, int64_t since, bool asked)
{
	int staged = stage_commit(fs->stage,
				  asked ? commit_by_request : commit_by_time);
	int r = filesystem_sync_since(fs, since);

	return staged < 0 ? staged : r;
}

void filesystem_note_names(struct filesystem *fs, const struct node *directory)
{
	struct store_id id;

	node_id(directory, &id);
	stage_note_directory(fs->stage, &id);
}

int filesystem_write_back_clients(struct filesystem *fs, int64_t since)
{
	int64_t begin = clock_now();
	int r;

	if (!fs->clients.write_back || fs->clients_written > since)
		return 0;
	r = fs->clients.write_back(fs->clients.context);
	if (r == 0)
		fs->clients_written = begin;
	return r;
}

/* ---- something once ---------------------------------------------------- */

struct job {
	struct sync_item item;
	void (*what)(void *);
	void *argument;
};

static int64_t run_job(struct sync_item *item)
{
	struct job *job = (struct job *)item;

	job->what(job->argument);
	free(job);
	return SYNC_NEVER;
}

int filesystem_run(struct filesystem *fs, void (*what)(void *), void *argument)
{
	struct job *job = calloc(1, sizeof(*job));

	if (!job)
		return -ENOMEM;
	sync_item_init(&job->item, run_job);
	job->item.once = true;
	job->what = what;
	job->argument = argument;
	scheduler_want(fs->scheduler, &job->item, SYNC_AT_ONCE);
	return 0;
}
