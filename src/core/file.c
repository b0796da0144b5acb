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
 *
 * Writing on the daemon path. Within the file's size bytes are copied into
 * the mapping. What extends the file goes through pwrite(2), which allocates
 * and moves the size as one, so a full store is an error and never a size
 * without data; it is the same page cache, so the mapping sees it. A copy
 * that faults (a hole in a full store, a truncated file, a broken device) is
 * repeated with pwrite to learn the errno. A copy doesn't move mtime unless
 * the page was clean, so that is done here, once per tick of the clock that
 * the kernel takes its file times from.
 */
#include "core/file.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <xxhash.h>

#include "core/filesystem.h"
#include "os/backing.h"
#include "os/clock.h"
#include "os/guard.h"
#include "util/cleanup.h"
#include "util/log.h"

#define PRIVILEGE_BITS (S_ISUID | S_ISGID)
#define CAPABILITY_ATTRIBUTE "security.capability"
#define SECONDS_PER_DAY 86400

void file_hold(struct file *file)
{
	atomic_fetch_add(&file->refs, 1);
}

void file_release(struct file *file)
{
	if (atomic_fetch_sub(&file->refs, 1) != 1)
		return;
	mapping_fini(&file->mapping);
	close(file->fd);
	free(file);
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

static bool not_after(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec < b->tv_sec ||
	       (a->tv_sec == b->tv_sec && a->tv_nsec <= b->tv_nsec);
}

/* Would a read move atime now? mount(8), relatime. */
static bool access_due(const struct store *store, const struct stat *st)
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

static struct file *file_new(struct filesystem *fs, struct node *node, int fd,
			     int access)
{
	struct file *file = calloc(1, sizeof(*file));

	if (!file)
		return NULL;
	file->node = node;
	file->store = &fs->store;
	file->refs = 1;
	file->fd = fd;
	file->writable = access != O_RDONLY;
	file->readable = access != O_WRONLY;
	file->path = data_path_daemon;
	mapping_init(&file->mapping, &fs->mappings);
	return file;
}

/* 0, also when the kernel path is refused; -errno for the credentials. */
static int choose_path(struct filesystem *fs, struct file *file,
		       const struct stat *st, const struct caller *caller)
{
	int device = fs->passthrough_device;
	int id;

	if (device >= 0 && fs->settings.kernel_path &&
	    !(st->st_mode & PRIVILEGE_BITS)) {
		id = credentials_assume_for_backing(caller);
		if (id < 0)
			return id;
		id = backing_open(device, file->fd);
		if (id > 0) {
			file->path = data_path_kernel;
			file->backing_id = id;
			return 0;
		}
		log_warning_once("passthrough refused for a file (%s): such "
				 "files go through the daemon",
				 strerror(-id));
	}
	file->has_capabilities =
		fgetxattr(file->fd, CAPABILITY_ATTRIBUTE, NULL, 0) > 0;
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
	return choose_path(fs, node->file, &st, caller);
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

	node->file = NULL;
	if (file->backing_id > 0)
		backing_close(fs->passthrough_device, file->backing_id);
	file_release(file);
}

bool file_flushed(struct file *file)
{
	bool cleared = atomic_exchange(&file->bits_cleared, false);

	/*
	 * A file gets here on the kernel path when it was given the bits
	 * while it was open: what was written there we have not seen.
	 */
	return cleared || file->path == data_path_kernel;
}

void file_changing(struct file *file)
{
	struct stat st;

	if (fstat(file->fd, &st) == 0 && (st.st_mode & PRIVILEGE_BITS))
		file->bits_cleared = true;
}

static int truncate_at_open(struct file *file, const struct caller *caller)
{
	int r = credentials_assume_for_write(caller);

	file_changing(file);
	if (r == 0 && ftruncate(file->fd, 0) < 0)
		r = -errno;
	file->write_tick = 0;
	return r;
}

static bool cache_is_good(struct filesystem *fs, struct node *node)
{
	struct stat st;

	if (node->file->path == data_path_kernel ||
	    fstat(node->file->fd, &st) < 0)
		return false;
	if (access_due(&fs->store, &st))
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
	};
	file->opens++;
	file->writers += writer;
	file->mappers += mapper;
	if (mapper && file->path == data_path_kernel)
		node->written_unseen = true;
	handle->file = file;
	handle->writer = writer;
	handle->mapper = mapper;
	handle->errors_seen = atomic_load(&file->sync_errors);
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
	if (r < 0)
		return r;
	handle = calloc(1, sizeof(*handle));
	if (!handle)
		return -ENOMEM;
	lock_take(&node->lock, lock_rank_node);
	r = open_locked(fs, node, &path, flags, writer, caller);
	if (r == 0) {
		keep = cache_is_good(fs, node);
		count_open_locked(node, flags, handle, opened);
		opened->keep_cache = keep;
		opened->wants_flush =
			writer && (node->file->bits_cleared ||
				   (fstat(node->file->fd, &st) == 0 &&
				    (st.st_mode & PRIVILEGE_BITS)));
	}
	lock_drop(&node->lock, lock_rank_node);
	if (r < 0)
		free(handle);
	return r;
}

static int created_locked(struct filesystem *fs, struct node *node, int *fd,
			  const struct caller *caller)
{
	struct stat st;

	if (fstat(*fd, &st) < 0)
		return -errno;
	node->file = file_new(fs, node, *fd, O_RDWR);
	if (!node->file)
		return -ENOMEM;
	*fd = -1;
	return choose_path(fs, node->file, &st, caller);
}

int file_open_created(struct filesystem *fs, struct node *node, int fd,
		      int flags, const struct caller *caller,
		      struct file_opened *opened)
{
	struct file_handle_state *handle = calloc(1, sizeof(*handle));
	int r = 0;

	lock_take(&node->lock, lock_rank_node);
	if (!handle)
		r = -ENOMEM;
	else if (node->file && !node->file->writable)
		r = replace_descriptor(node->file, fd);
	else if (!node->file)
		r = created_locked(fs, node, &fd, caller);
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

void file_close(struct filesystem *fs, struct file_handle_state *handle)
{
	struct file *file = handle->file;
	struct node *node = file->node;
	struct stat st;
	bool last;

	lock_take(&node->lock, lock_rank_node);
	assert(file->opens > 0);
	file->opens--;
	file->writers -= handle->writer;
	file->mappers -= handle->mapper;
	if (file->mappers == 0)
		node->written_unseen = false;
	last = file->opens == 0;
	if (last) {
		node->file = NULL;
		node->stamp = 0;
		if (file->path == data_path_kernel)
			backing_close(fs->passthrough_device,
				      file->backing_id);
		else if (fstat(file->fd, &st) == 0)
			node->stamp = stamp_of(&st);
	}
	lock_drop(&node->lock, lock_rank_node);
	if (last)
		file_release(file);
	free(handle);
}

/* ---- data -------------------------------------------------------------- */

/* Lets the store move atime: by a read of one byte, without O_NOATIME. */
static void allow_access(struct file *file, off_t offset)
{
	int64_t second = clock_wall_coarse() / 1000000000;
	char byte;

	if (atomic_exchange(&file->access_second, second) == second)
		return;
	owned_fd fd = store_reopen(file->fd, O_RDONLY);
	if (fd >= 0 && pread(fd, &byte, 1, offset) < 0)
		log_debug("access time not moved: %s", strerror(errno));
}

static ssize_t read_by_syscall(int fd, char *spare, size_t size, off_t offset)
{
	size_t done = 0;

	while (done < size) {
		ssize_t n = pread(fd, spare + done, size - done,
				  offset + (off_t)done);

		if (n < 0)
			return done > 0 ? (ssize_t)done : -errno;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

/* st_blocks counts 512 bytes, whatever the block size (stat(3type)). */
static bool has_holes(const struct stat *st)
{
	return st->st_blocks * 512 < st->st_size;
}

static int read_to_buffer(struct file *file, char *(*spare)(void),
			  size_t size, off_t offset, struct file_bytes *bytes)
{
	char *buffer = spare();
	ssize_t n;

	if (!buffer)
		return -ENOMEM;
	n = read_by_syscall(file->fd, buffer, size, offset);
	if (n < 0)
		return (int)n;
	bytes->data = buffer;
	bytes->size = (size_t)n;
	return 0;
}

int file_read_copied(struct file *file, char *(*spare)(void), off_t offset,
		     struct file_bytes *bytes)
{
	struct region *region = bytes->region;
	char *buffer = spare();
	bool copied = buffer && guard_copy(buffer, bytes->data, bytes->size);

	bytes->region = NULL;
	region_put(region);
	if (!copied)
		return read_to_buffer(file, spare, bytes->size, offset, bytes);
	bytes->data = buffer;
	return 0;
}

int file_read(struct file *file, char *(*spare)(void), size_t size,
	      off_t offset, int flags, struct file_bytes *bytes)
{
	struct stat st;

	*bytes = (struct file_bytes){ 0 };
	if (fstat(file->fd, &st) < 0)
		return -errno;
	if (offset >= st.st_size)
		return 0;
	if ((off_t)size > st.st_size - offset)
		size = (size_t)(st.st_size - offset);
	if (!(flags & O_NOATIME) && access_due(file->store, &st))
		allow_access(file, offset);
	if (!file->store->fills_holes || !has_holes(&st))
		bytes->region = mapping_get(&file->mapping, file->fd,
					    file->writable,
					    offset + (off_t)size);
	if (bytes->region) {
		bytes->data = bytes->region->base + offset;
		bytes->size = size;
		return 0;
	}
	return read_to_buffer(file, spare, size, offset, bytes);
}

static ssize_t write_by_syscall(int fd, const char *data, size_t size,
				off_t offset, bool append)
{
	size_t done = 0;

	while (done < size) {
		struct iovec part = {
			.iov_base = (char *)data + done,
			.iov_len = size - done,
		};
		ssize_t n = pwritev2(fd, &part, 1, offset + (off_t)done,
				     append ? RWF_APPEND : 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return done > 0 ? (ssize_t)done : -errno;
		if (n == 0)
			return done > 0 ? (ssize_t)done : -EIO;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

/* At most one of these a tick: as exact as the kernel's own. */
static void move_write_times(struct file *file)
{
	int64_t tick = clock_wall_coarse();
	struct timespec times[2] = {
		{ .tv_nsec = UTIME_OMIT },
		{ .tv_nsec = UTIME_NOW },
	};

	if (atomic_exchange(&file->write_tick, tick) == tick)
		return;
	if (futimens(file->fd, times) < 0)
		file->copies_by_syscall = true;
}

static bool copy_into_mapping(struct file *file, const char *data, size_t size,
			      off_t offset)
{
	struct region *region;
	bool copied;

	if (file->copies_by_syscall)
		return false;
	region = mapping_get(&file->mapping, file->fd, true,
			     offset + (off_t)size);
	if (!region)
		return false;
	copied = guard_copy(region->base + offset, data, size);
	region_put(region);
	if (!copied)
		return false;
	move_write_times(file);
	return !file->copies_by_syscall;
}

ssize_t file_write(struct file *file, const char *data, size_t size,
		   off_t offset, int flags, const struct caller *caller,
		   bool *cleared)
{
	struct stat st;
	bool append;
	int r;

	*cleared = false;
	if (fstat(file->fd, &st) < 0)
		return -errno;
	if ((st.st_mode & PRIVILEGE_BITS) || file->has_capabilities) {
		*cleared = true;
		r = credentials_assume_for_write(caller);
	} else {
		r = credentials_assume(caller);
	}
	if (r < 0)
		return r;
	append = flags & O_APPEND;
	if (!*cleared && !append && offset + (off_t)size <= st.st_size &&
	    copy_into_mapping(file, data, size, offset))
		return (ssize_t)size;
	if (*cleared) {
		file->has_capabilities = false;
		file->bits_cleared = true;
	}
	return write_by_syscall(file->fd, data, size, offset, append);
}

int file_sync(struct file_handle_state *handle, bool data_only)
{
	struct file *file = handle->file;
	int r = data_only ? fdatasync(file->fd) : fsync(file->fd);
	unsigned errors;
	unsigned seen;

	if (r < 0) {
		r = -errno;
		file->sync_error = -r;
		atomic_fetch_add(&file->sync_errors, 1);
	}
	errors = atomic_load(&file->sync_errors);
	seen = atomic_exchange(&handle->errors_seen, errors);
	if (r == 0 && seen != errors)
		r = -file->sync_error;
	return r;
}
