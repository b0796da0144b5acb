// SPDX-License-Identifier: Apache-2.0
/*
 * Reading and writing on the daemon path. Within the file's size bytes are
 * copied into the mapping. What extends the file goes through pwrite(2),
 * which allocates and moves the size as one, so a full store is an error and
 * never a size without data; it is the same page cache, so the mapping sees
 * it. A copy that faults (a hole in a full store, a truncated file, a broken
 * device) is repeated with pwrite to learn the errno. A copy doesn't move
 * mtime unless the page was clean, so that is done here, once per tick of the
 * clock that the kernel takes its file times from.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "core/file_internal.h"
#include "core/filesystem.h"
#include "core/stage.h"
#include "os/clock.h"
#include "os/guard.h"
#include "os/inode.h"
#include "util/cleanup.h"
#include "util/log.h"

#define SEQUENTIAL_AHEAD ((off_t)256 << 10)

/* Lets the store move atime: by a read of one byte, without O_NOATIME. */
static void allow_access(struct file *file, off_t offset)
{
	int64_t second = clock_wall_coarse() / 1000000000;
	struct stat st;
	char byte;
	int r;

	if (atomic_exchange(&file->access_second, second) == second)
		return;
	/* The store's file may have nothing there to read. */
	if (file->staged &&
	    (fstat(file->fd, &st) < 0 || offset >= st.st_size)) {
		r = staged_touch_access(file->staged, file->fd);
		if (r < 0)
			log_debug("access time not moved: %s", strerror(-r));
		return;
	}
	/* This byte must not be all that is read for who reads on. */
	if (file->pattern == policy_sequential)
		posix_fadvise(file->fd, offset, SEQUENTIAL_AHEAD,
			      POSIX_FADV_WILLNEED);
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

/*
 * 1: the bytes are the store's own, and *size is what there is of them; 0:
 * they are in *bytes, or there are none; -errno.
 */
static int read_staged(struct file *file, char *(*spare)(void), size_t *size,
		       off_t offset, struct file_bytes *bytes)
{
	char *buffer = spare();
	bool simple;
	ssize_t n = staged_read(file->staged, file->fd, buffer, *size, offset,
				&simple);

	if (n < 0)
		return (int)n;
	*size = (size_t)n;
	if (simple && n > 0)
		return 1;
	bytes->data = buffer;
	bytes->size = (size_t)n;
	return 0;
}

int file_read(struct file *file, char *(*spare)(void), size_t size,
	      off_t offset, int flags, struct file_bytes *bytes)
{
	struct stat st;
	int r;

	*bytes = (struct file_bytes){ 0 };
	counter_add(&file->counts.reads, 1);
	counter_add(&file->fs->counters.reads, 1);
	r = file_stat(file, &st);
	if (r < 0)
		return r;
	if (offset >= st.st_size)
		return 0;
	if (!(flags & O_NOATIME) && file_access_due(file->store, &st))
		allow_access(file, offset);
	if (file->staged) {
		r = read_staged(file, spare, &size, offset, bytes);
		if (r < 0)
			return r;
		if (r == 0) {
			counter_add(&file->counts.read_bytes, size);
			counter_add(&file->fs->counters.read_bytes, size);
			return 0;
		}
	}
	if ((off_t)size > st.st_size - offset)
		size = (size_t)(st.st_size - offset);
	counter_add(&file->counts.read_bytes, size);
	counter_add(&file->fs->counters.read_bytes, size);
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

/*
 * Within the policies' limits; *size is what may be written. Appending is
 * one at a time where only appending is allowed.
 */
static int limit_write(struct file *file, const struct policy *policy,
		       off_t file_size, off_t offset, size_t *size,
		       bool append)
{
	if (append)
		offset = file_size;
	int r = growth_limit_write(policy, file_size, offset, size, append);

	if (r == 0 && policy->chunk > 0)
		growth_ahead(&file->growth, file->fd, policy, file_size,
			     offset + (off_t)*size);
	return r;
}

static ssize_t write_staged(struct file *file, const char *data, size_t size,
			    off_t offset, bool append,
			    const struct caller *caller, bool *cleared)
{
	const struct policy *policy = file_policy(file);
	bool one_by_one = policy->append || policy->max > 0;
	struct stat st;
	ssize_t n = file_stat(file, &st);

	*cleared = n == 0 && ((st.st_mode & FILE_PRIVILEGE_BITS) ||
			      file->has_capabilities);
	if (*cleared) {
		n = file_clear_privileges(file, caller);
		file->has_capabilities = false;
		file->bits_cleared = true;
	}
	if (n == 0)
		n = staged_make_room(file->staged, size, offset, append);
	if (n < 0)
		return n;
	if (!one_by_one)
		return staged_write(file->staged, data, size, offset, append);
	lock_take(&file->append_lock, lock_rank_append);
	n = file_stat(file, &st);
	if (n == 0)
		n = growth_limit_write(policy, st.st_size,
				       append ? st.st_size : offset, &size,
				       append);
	if (n == 0)
		n = staged_write(file->staged, data, size, offset, append);
	lock_drop(&file->append_lock, lock_rank_append);
	return n;
}

static ssize_t write_limited(struct file *file, const char *data, size_t size,
			     off_t offset, bool append)
{
	const struct policy *policy = file_policy(file);
	bool one_by_one = policy->append || policy->max > 0;
	struct inode_look now;
	ssize_t n;

	if (!one_by_one && policy->chunk == 0)
		return write_by_syscall(file->fd, data, size, offset, append);
	if (one_by_one)
		lock_take(&file->append_lock, lock_rank_append);
	n = inode_look(file->fd, &now);
	if (n == 0)
		n = limit_write(file, policy, now.size, offset, &size, append);
	if (n == 0)
		n = write_by_syscall(file->fd, data, size, offset, append);
	if (one_by_one)
		lock_drop(&file->append_lock, lock_rank_append);
	return n;
}

static ssize_t write_anyhow(struct file *file, const char *data, size_t size,
			    off_t offset, int flags,
			    const struct caller *caller, bool *cleared)
{
	struct inode_look now;
	bool append = flags & O_APPEND;
	int r;

	*cleared = false;
	if (file->staged)
		return write_staged(file, data, size, offset, append, caller,
				    cleared);
	r = inode_look(file->fd, &now);
	if (r < 0)
		return r;
	if ((now.mode & FILE_PRIVILEGE_BITS) || file->has_capabilities) {
		*cleared = true;
		r = credentials_assume_for_write(caller);
	} else {
		r = credentials_assume(caller);
	}
	if (r < 0)
		return r;
	if (!*cleared && !append && offset + (off_t)size <= now.size &&
	    !file_policy(file)->append &&
	    copy_into_mapping(file, data, size, offset))
		return (ssize_t)size;
	if (*cleared) {
		file->has_capabilities = false;
		file->bits_cleared = true;
	}
	return write_limited(file, data, size, offset, append);
}

ssize_t file_write(struct file *file, const char *data, size_t size,
		   off_t offset, int flags, const struct caller *caller,
		   bool *cleared)
{
	ssize_t n = write_anyhow(file, data, size, offset, flags, caller,
				 cleared);

	counter_add(&file->counts.writes, 1);
	counter_add(&file->fs->counters.writes, 1);
	if (n > 0) {
		counter_add(&file->counts.write_bytes, (uint64_t)n);
		counter_add(&file->fs->counters.write_bytes, (uint64_t)n);
		file_dirtied(file, (size_t)n);
	}
	return n;
}
