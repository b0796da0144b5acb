// SPDX-License-Identifier: Apache-2.0
/*
 * Opening. The descriptor is O_RDONLY until the first writer, then replaced
 * in place by an O_RDWR one (dup3(2): its number stays, calls under way keep
 * the old one). It is O_NOATIME, because mapping a file counts as reading it
 * and a write must not move atime; reads move it as allow_access() says.
 *
 * Files with setuid or setgid bits stay off the kernel path: a write there
 * would clear the bits in the store and leave them in the mode that the
 * kernel has cached. On the daemon path we see that write, and the kernel is
 * made to ask for the mode before the writer's close is over: until then
 * nobody can execute the file (ETXTBSY).
 */
#include "core/file.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <xxhash.h>

#include "core/file_internal.h"
#include "core/file_list.h"
#include "core/filesystem.h"
#include "core/loss.h"
#include "core/stage.h"
#include "os/backing.h"
#include "os/clock.h"
#include "util/cleanup.h"
#include "util/log.h"

#define CAPABILITY_ATTRIBUTE "security.capability"
#define SECONDS_PER_DAY 86400

void file_hold(struct file *file)
{
	atomic_fetch_add(&file->refs, 1);
}

bool file_try_hold(struct file *file)
{
	unsigned refs = file->refs;

	while (refs > 0 &&
	       !atomic_compare_exchange_weak(&file->refs, &refs, refs + 1))
		;
	return refs > 0;
}

void file_release(struct file *file)
{
	struct filesystem *fs = file->fs;

	if (atomic_fetch_sub(&file->refs, 1) != 1)
		return;
	lock_take(&fs->files_lock, lock_rank_open_files);
	TAILQ_REMOVE(&fs->files, file, link);
	file_forget_waiting_locked(file);
	lock_drop(&fs->files_lock, lock_rank_open_files);
	mapping_fini(&file->mapping);
	lock_fini(&file->append_lock);
	file_free_policies(file);
	close(file->fd);
	if (file->staged)
		staged_put(file->staged);
	if (file->closed) {
		atomic_fetch_sub(&fs->files_closed, 1);
		atomic_fetch_sub(&file->node->files_closed, 1);
	}
	node_forget(&fs->nodes, file->node, 1);
	free(file);
}

struct file *file_of_node(struct node *node)
{
	struct file *file;

	lock_take(&node->lock, lock_rank_node);
	file = node->file;
	if (file)
		file_hold(file);
	lock_drop(&node->lock, lock_rank_node);
	return file;
}

void file_times_set(struct node *node)
{
	lock_take(&node->lock, lock_rank_node);
	if (node->file)
		node->file->write_tick = 0;
	lock_drop(&node->lock, lock_rank_node);
}

void file_capabilities_set(struct node *node)
{
	lock_take(&node->lock, lock_rank_node);
	if (node->file)
		node->file->has_capabilities = true;
	lock_drop(&node->lock, lock_rank_node);
}

/* Stands for a file's contents as long as nobody plays with its times. */
static uint64_t stamp_of(const struct stat *st)
{
	struct {
		struct timespec mtime;
		struct timespec ctime;
		off_t size;
	} state = { st->st_mtim, st->st_ctim, st->st_size };
	uint64_t stamp = XXH3_64bits(&state, sizeof(state));

	return stamp ? stamp : 1;
}

/*
 * A change in the tick of the kernel's clock in which the file was changed
 * before leaves the times as they are, but on some file systems since Linux
 * 6.13: only what an earlier tick has left stands for the contents.
 */
static uint64_t lasting_stamp(int fd)
{
	int64_t now = clock_wall_coarse();
	struct stat st;

	if (fstat(fd, &st) < 0 || clock_nanoseconds(&st.st_ctim) >= now)
		return 0;
	return stamp_of(&st);
}

static bool not_after(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec < b->tv_sec ||
	       (a->tv_sec == b->tv_sec && a->tv_nsec <= b->tv_nsec);
}

bool file_access_due(const struct store *store, const struct stat *st)
{
	if (!store->updates_atime)
		return false;
	if (!store->relatime)
		return true;
	return not_after(&st->st_atim, &st->st_mtim) ||
	       not_after(&st->st_atim, &st->st_ctim) ||
	       clock_wall_coarse() / 1000000000 - st->st_atim.tv_sec >
		       SECONDS_PER_DAY;
}

static bool is_writer(int flags)
{
	return (flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC);
}

/* ---- descriptors ------------------------------------------------------- */

static int open_inode_as(struct filesystem *fs, struct node *node,
			 const struct path *path, int flags)
{
	struct store_id id;

	if (path->at.fd >= 0)
		return store_reopen(path->at.fd, flags);
	if (node->path_fd >= 0)
		return store_reopen(node->path_fd, flags);
	node_id(node, &id);
	return store_open(&fs->store, &id, flags);
}

/* With the node's lock. O_NOATIME is for owners and CAP_FOWNER only. */
static int open_inode(struct filesystem *fs, struct node *node,
		      const struct path *path, int access)
{
	int fd = open_inode_as(fs, node, path, access | O_NOATIME);

	if (fd == -EPERM)
		fd = open_inode_as(fs, node, path, access);
	return fd;
}

int file_open_descriptor(struct filesystem *fs, struct node *node, int access)
{
	owned_path path = PATH_NONE;
	int fd;
	int r = 0;

	if (!fs->store.by_handle)
		r = path_get(&fs->nodes, node, &path);
	if (r < 0)
		return r;
	lock_take(&node->lock, lock_rank_node);
	fd = open_inode(fs, node, &path, access);
	lock_drop(&node->lock, lock_rank_node);
	return fd;
}

static struct file *file_new(struct filesystem *fs, struct node *node, int fd,
			     int access)
{
	struct file *file = calloc(1, sizeof(*file));

	if (!file)
		return NULL;
	node_hold(node);
	file->node = node;
	file->fs = fs;
	file->store = &fs->store;
	file->refs = 1;
	file->fd = fd;
	file->writable = access != O_RDONLY;
	file->readable = access != O_WRONLY;
	file->path = data_path_daemon;
	LIST_INIT(&file->handles);
	mapping_init(&file->mapping, &fs->mappings);
	lock_init(&file->append_lock);
	file_sync_init(file);
	lock_take(&fs->files_lock, lock_rank_open_files);
	TAILQ_INSERT_TAIL(&fs->files, file, link);
	lock_drop(&fs->files_lock, lock_rank_open_files);
	return file;
}

static bool take_kernel_path(struct filesystem *fs, struct file *file)
{
	int id = backing_open(fs->passthrough_device, file->fd);

	if (id > 0) {
		file->path = data_path_kernel;
		file->backing_id = id;
		return true;
	}
	file->path_reason = "the kernel refuses passthrough for this file";
	log_event(event_passthrough_refused,
		  "the kernel refuses passthrough for a file: %s",
		  strerror(-id));
	return false;
}

/* 0, also when the kernel path is refused; -errno for the credentials. */
static int choose_path(struct filesystem *fs, struct file *file,
		       const struct stat *st, const struct caller *caller)
{
	int r;

	if (file->staged) {
		file->path_reason = staged_is_private(file->staged) ?
					    "map=private sees every write" :
					    "map=staged sees every write";
	} else if (fs->passthrough_device < 0 || !fs->settings.kernel_path) {
		file->path_reason = "the mount has no passthrough";
	} else if (st->st_mode & FILE_PRIVILEGE_BITS) {
		file->path_reason = "setuid or setgid bits";
	} else if (file_may_take_kernel_path(file)) {
		r = credentials_assume_for_backing(caller);
		if (r < 0)
			return r;
		if (take_kernel_path(fs, file))
			return 0;
	}
	file->has_capabilities =
		fgetxattr(file->fd, CAPABILITY_ATTRIBUTE, NULL, 0) > 0;
	return 0;
}

/* A file that was just made or opened: everything but its opens. */
static int begin_locked(struct filesystem *fs, struct file *file,
			const struct stat *st, const struct policy *inherited,
			const struct caller *caller)
{
	int r = file_load_policies(file, inherited);

	file->synced_mtime = clock_nanoseconds(&st->st_mtim);
	file->looked_at = clock_coarse();
	if (r == 0)
		r = file_stage_locked(file);
	if (r == 0)
		r = choose_path(fs, file, st, caller);
	if (r < 0)
		return r;
	counter_add(file->path == data_path_kernel ?
			    &fs->counters.opens_kernel :
			    &fs->counters.opens_daemon,
		    1);
	file_apply_policies(file);
	return 0;
}

static int first_open_locked(struct filesystem *fs, struct node *node,
			     const struct path *path, bool writer,
			     const struct caller *caller)
{
	int access = writer ? O_RDWR : O_RDONLY;
	int fd = open_inode(fs, node, path, access);
	struct stat st;

	/* A plain user's daemon and a file that may only be written. */
	if (fd == -EACCES && writer) {
		access = O_WRONLY;
		fd = open_inode(fs, node, path, access);
	}
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0) {
		close(fd);
		return -errno;
	}
	node->file = file_new(fs, node, fd, access);
	if (!node->file) {
		close(fd);
		return -ENOMEM;
	}
	return begin_locked(fs, node->file, &st, NULL, caller);
}

/* Replaces the descriptor by fd (O_RDWR), which stays the caller's. */
static int replace_descriptor(struct file *file, int fd)
{
	if (dup3(fd, file->fd, O_CLOEXEC) < 0)
		return -errno;
	file->writable = true;
	file->readable = true;
	mapping_drop(&file->mapping);
	return 0;
}

/* For the first writer of a file that was open for reading, or the reverse. */
static int upgrade_locked(struct filesystem *fs, struct node *node,
			  const struct path *path)
{
	owned_fd fd = open_inode(fs, node, path, O_RDWR);

	return fd < 0 ? fd : replace_descriptor(node->file, fd);
}

static void drop_unopened_locked(struct filesystem *fs, struct node *node)
{
	struct file *file = node->file;
	struct staged *staged;
	bool dropped;

	staged = file_unstage_locked(file, &dropped);
	node->file = NULL;
	if (file->backing_id > 0)
		backing_close(fs->passthrough_device, file->backing_id);
	file_release(file);
	/* Not the last look-up: somebody wanted to open it. */
	if (staged)
		staged_put(staged);
}

bool file_flushed(struct file_handle_state *handle)
{
	struct file *file = handle->file;
	bool cleared = atomic_exchange(&file->bits_cleared, false);

	/*
	 * A privileged file gets to the kernel path when it was given the
	 * bits while it was open: what was written there we have not seen.
	 */
	return cleared || (handle->privileged &&
			   file->path == data_path_kernel);
}

void file_changing(struct file *file)
{
	struct stat st;

	if (fstat(file->fd, &st) == 0 && (st.st_mode & FILE_PRIVILEGE_BITS))
		file->bits_cleared = true;
}

static int truncate_at_open(struct file *file, const struct caller *caller)
{
	int r;

	file_changing(file);
	if (file->staged) {
		r = file->bits_cleared || file->has_capabilities ?
			    file_clear_privileges(file, caller) :
			    0;
		if (r == 0)
			r = staged_truncate(file->staged, 0);
	} else {
		r = credentials_assume_for_write(caller);
		if (r == 0 && ftruncate(file->fd, 0) < 0)
			r = -errno;
	}
	file->write_tick = 0;
	growth_forget(&file->growth);
	file_data_changed(file);
	return r;
}

static bool cache_is_good(struct filesystem *fs, struct node *node)
{
	struct stat st;

	if (node->file->path == data_path_kernel ||
	    fstat(node->file->fd, &st) < 0)
		return false;
	if (file_access_due(&fs->store, &st))
		return false;
	return node->file->opens > 0 || node->stamp == stamp_of(&st);
}

static void count_open_locked(struct node *node, int flags,
			      struct file_handle_state *handle,
			      struct file_opened *opened)
{
	struct file *file = node->file;
	bool writer = is_writer(flags);
	bool mapper = (flags & O_ACCMODE) == O_RDWR;

	*opened = (struct file_opened){
		.handle = handle,
		.path = file->path,
		.backing_id = file->backing_id,
		.first_mapper = mapper && file->mappers == 0,
		.wants_flush = writer && file_waits_at_close(file),
	};
	if (file->opens++ == 0)
		atomic_fetch_add(&file->fs->files_open, 1);
	counter_add(&file->counts.opens, 1);
	if (writer && file->writers == 0)
		loss_opened(file);
	file->writers += writer;
	file->mappers += mapper;
	if (mapper && file->path == data_path_kernel)
		node->written_unseen = true;
	handle->file = file;
	LIST_INSERT_HEAD(&file->handles, handle, link);
	handle->writer = writer;
	handle->mapper = mapper;
	handle->errors_seen = atomic_load(&file->sync_errors);
	file_take_pending_error_locked(file, handle);
	file_track(file, writer);
}

static bool suffices(const struct file *file, int flags)
{
	return (file->writable || !is_writer(flags)) &&
	       (file->readable || (flags & O_ACCMODE) == O_WRONLY);
}

static int open_locked(struct filesystem *fs, struct node *node,
		       const struct path *path, int flags, bool writer,
		       const struct caller *caller)
{
	int r = 0;

	if (!node->file)
		r = first_open_locked(fs, node, path, writer, caller);
	else if (!suffices(node->file, flags))
		r = upgrade_locked(fs, node, path);
	if (r == 0 && writer)
		r = file_stage_writer(node->file);
	if (r == 0 && (flags & O_TRUNC))
		r = truncate_at_open(node->file, caller);
	if (r < 0 && node->file && node->file->opens == 0)
		drop_unopened_locked(fs, node);
	return r;
}

int file_open(struct filesystem *fs, struct node *node, int flags,
	      const struct caller *caller, struct file_opened *opened)
{
	bool writer = is_writer(flags);
	owned_path path = PATH_NONE;
	struct file_handle_state *handle;
	struct stat st;
	bool keep = false;
	int r = 0;

	if (!fs->store.by_handle)
		r = path_get(&fs->nodes, node, &path);
	if (r == 0 && (flags & O_TRUNC))
		r = file_cutting(node);
	if (r < 0)
		return r;
	handle = calloc(1, sizeof(*handle));
	if (!handle)
		return -ENOMEM;
	lock_take(&node->lock, lock_rank_node);
	r = open_locked(fs, node, &path, flags, writer, caller);
	if (r == -ERESTART) {
		lock_drop(&node->lock, lock_rank_node);
		file_settle_map(fs, node);
		lock_take(&node->lock, lock_rank_node);
		r = open_locked(fs, node, &path, flags, writer, caller);
		node->is_settled = false;
	}
	if (r == 0) {
		keep = cache_is_good(fs, node);
		count_open_locked(node, flags, handle, opened);
		opened->keep_cache = keep;
		if (opened->path == data_path_daemon)
			counter_add(keep ? &fs->counters.cache_kept :
					   &fs->counters.cache_dropped, 1);
		handle->privileged =
			writer && (node->file->bits_cleared ||
				   (fstat(node->file->fd, &st) == 0 &&
				    (st.st_mode & FILE_PRIVILEGE_BITS)));
		opened->wants_flush |= handle->privileged;
	}
	lock_drop(&node->lock, lock_rank_node);
	if (r < 0)
		free(handle);
	return r;
}

static int created_locked(struct filesystem *fs, struct node *node, int *fd,
			  const struct policy *inherited,
			  const struct caller *caller)
{
	struct stat st;

	if (fstat(*fd, &st) < 0)
		return -errno;
	node->file = file_new(fs, node, *fd, O_RDWR);
	if (!node->file)
		return -ENOMEM;
	*fd = -1;
	return begin_locked(fs, node->file, &st, inherited, caller);
}

int file_open_created(struct filesystem *fs, struct node *node, int fd,
		      int flags, const struct policy *inherited,
		      const struct caller *caller, struct file_opened *opened)
{
	struct file_handle_state *handle = calloc(1, sizeof(*handle));
	int r = 0;

	lock_take(&node->lock, lock_rank_node);
	if (!handle)
		r = -ENOMEM;
	else if (node->file && !node->file->writable)
		r = replace_descriptor(node->file, fd);
	else if (!node->file)
		r = created_locked(fs, node, &fd, inherited, caller);
	if (r == 0)
		r = file_stage_writer(node->file);
	if (r < 0 && node->file && node->file->opens == 0)
		drop_unopened_locked(fs, node);
	if (r == 0)
		count_open_locked(node, flags, handle, opened);
	lock_drop(&node->lock, lock_rank_node);
	if (r < 0)
		free(handle);
	if (fd >= 0)
		close(fd);
	return r;
}

/* What was allocated ahead, at the last close. */
static void trim(struct file *file)
{
	int r;

	if (!file_policy(file)->trim || !file->writable || file->staged)
		return;
	r = growth_trim(file->fd);
	if (r < 0)
		log_debug("unused space not given back: %s", strerror(-r));
}

void file_close(struct filesystem *fs, struct file_handle_state *handle)
{
	struct file *file = handle->file;
	struct node *node = file->node;
	struct staged *staged = NULL;
	bool dropped = false;
	bool last;

	lock_take(&node->lock, lock_rank_node);
	assert(file->opens > 0);
	LIST_REMOVE(handle, link);
	file->opens--;
	file->writers -= handle->writer;
	file->mappers -= handle->mapper;
	if (file->mappers == 0)
		node->written_unseen = false;
	last = file->opens == 0;
	if (file->writers == 0 && file->staged)
		staged_rewritten(file->staged);
	if (last) {
		file_sync_closing_locked(file);
		staged = file_unstage_locked(file, &dropped);
		node->file = NULL;
		node->stamp = 0;
		if (file->path == data_path_kernel)
			backing_close(fs->passthrough_device,
				      file->backing_id);
		trim(file);
		file_follow_hold(file);
		if (file->path == data_path_daemon && !dropped)
			node->stamp = lasting_stamp(file->fd);
	}
	lock_drop(&node->lock, lock_rank_node);
	if (dropped && fs->clients.invalidate)
		fs->clients.invalidate(fs->clients.context, node, 0, 0);
	if (last) {
		atomic_fetch_sub(&fs->files_open, 1);
		file_sync_closed(file);
		file_release(file);
	}
	if (staged)
		staged_put(staged);
	free(handle);
}

void file_close_all(struct filesystem *fs)
{
	owned_memory struct file **files = NULL;
	size_t count;

	files = file_list_take(fs, &count);
	for (size_t i = 0; i < count; i++) {
		struct file_handle_state *handle;

		while ((handle = LIST_FIRST(&files[i]->handles)) != NULL)
			file_close(fs, handle);
		file_release(files[i]);
	}
}
