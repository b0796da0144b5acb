// SPDX-License-Identifier: Apache-2.0
/*
 * Chunks are aligned. A write past the end has the chunk that it ends in
 * allocated, from the file's end or the chunk's start, whichever is later:
 * appends of any size find their space in one piece, and what is skipped
 * stays a hole. The chunk tried last is remembered, whatever came of it.
 * A store that is nearly full is not asked: ext4 hands out all that is left
 * before it says ENOSPC, and other files would have none.
 *
 * The space is given back by truncation to the present size, which frees it
 * on ext4, XFS, btrfs and tmpfs alike; punching a hole beyond the end does
 * nothing on ext4. A truncation at a size that is no longer the size would
 * destroy data, so it is made under a write lease: only while no other open
 * description of the file is there, and who opens it waits.
 */
#include "core/growth.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "core/policy.h"

#define UNABLE INT64_MAX

#define PARTS 16 /* of the block map looked at */

/* Where the file must end; what it has already is no growth. */
static int64_t limit_of(const struct policy *policy, off_t size)
{
	if (policy->max == 0 || policy->max > INT64_MAX)
		return INT64_MAX;
	return (int64_t)policy->max > size ? (int64_t)policy->max : size;
}

int growth_limit_write(const struct policy *policy, off_t size, off_t offset,
		       size_t *length, bool append)
{
	int64_t limit = limit_of(policy, size);

	if (*length == 0)
		return 0;
	if (append)
		offset = size;
	if (policy->append && offset != size)
		return -EPERM;
	if (offset >= limit)
		return -EFBIG;
	if (*length > (uint64_t)(limit - offset))
		*length = (size_t)(limit - offset);
	return 0;
}

int growth_check_truncate(const struct policy *policy, off_t size,
			  off_t new_size)
{
	if (policy->append && new_size > size)
		return -EPERM;
	return new_size > limit_of(policy, size) ? -EFBIG : 0;
}

int growth_check_fallocate(const struct policy *policy, off_t size, int mode,
			   off_t offset, off_t length)
{
	off_t end;

	if (offset < 0 || length < 0)
		return -EINVAL;
	if (__builtin_add_overflow(offset, length, &end))
		return -EFBIG;
	if (policy->append && mode != FALLOC_FL_KEEP_SIZE &&
	    (mode != 0 || end > size))
		return -EPERM;
	if (mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_COLLAPSE_RANGE))
		return 0;
	if ((mode & FALLOC_FL_INSERT_RANGE) &&
	    __builtin_add_overflow(size, length, &end))
		return -EFBIG;
	return end > limit_of(policy, size) ? -EFBIG : 0;
}

/* 0, or -errno of a store that can't, now or ever. */
static int allocate(int fd, off_t start, off_t length)
{
	struct statfs fs;

	if (fstatfs(fd, &fs) < 0)
		return -errno;
	/* No blocks at all: a store without bounds, as some tmpfs are. */
	if (fs.f_blocks > 0 &&
	    fs.f_bavail / 2 < (uint64_t)length / (uint64_t)fs.f_bsize)
		return -ENOSPC;
	return fallocate(fd, FALLOC_FL_KEEP_SIZE, start, length) < 0 ? -errno :
		0;
}

void growth_ahead(struct growth *growth, int fd, const struct policy *policy,
		  off_t size, off_t end)
{
	int64_t chunk = policy->chunk < INT64_MAX ? (int64_t)policy->chunk : 0;
	int64_t limit = limit_of(policy, size);
	int64_t start;
	int64_t target;
	int64_t tried;
	int r;

	if (chunk == 0 || end <= size)
		return;
	start = (end - 1) / chunk * chunk;
	if (__builtin_add_overflow(start, chunk, &target) || target > limit)
		target = limit;
	tried = atomic_load_explicit(&growth->allocated, memory_order_relaxed);
	if (tried == target || tried == UNABLE)
		return;
	if (start < size)
		start = size;
	if (start >= target)
		return;
	r = allocate(fd, start, target - start);
	atomic_store_explicit(&growth->allocated,
		r == -EOPNOTSUPP || r == -ENOSYS ? UNABLE : target,
		memory_order_relaxed);
}

void growth_forget(struct growth *growth)
{
	int64_t tried = atomic_load_explicit(&growth->allocated,
		memory_order_relaxed);

	if (tried != UNABLE)
		atomic_store_explicit(&growth->allocated, 0,
			memory_order_relaxed);
}

/*
 * Is space allocated beyond the block that the file ends in? The block map
 * knows (FIEMAP); btrfs tells of parts before the place asked for as well.
 * What XFS keeps there for its own reasons isn't allocated yet (DELALLOC),
 * and it frees that itself. Where there is no block map, as on tmpfs,
 * st_blocks is all there is, which misses it in files with holes. Elsewhere
 * st_blocks would be of no use: ext4 counts blocks of metadata in.
 */
static bool has_space_beyond(int fd, const struct stat *st)
{
	union {
		struct fiemap head;
		char room[sizeof(struct fiemap) +
			PARTS * sizeof(struct fiemap_extent)];
	} map = { .head.fm_extent_count = PARTS };
	uint64_t end = (uint64_t)st->st_size + (uint64_t)st->st_blksize - 1;

	end -= end % (uint64_t)st->st_blksize;
	map.head.fm_start = end;
	map.head.fm_length = INT64_MAX - end;
	if (ioctl(fd, FS_IOC_FIEMAP, &map) < 0)
		return (uint64_t)st->st_blocks > end / 512;
	for (unsigned i = 0; i < map.head.fm_mapped_extents; i++) {
		const struct fiemap_extent *part = &map.head.fm_extents[i];

		if (part->fe_logical + part->fe_length > end &&
		    !(part->fe_flags & FIEMAP_EXTENT_DELALLOC))
			return true;
	}
	return false;
}

/* truncate(2) would take them off. */
static bool has_privileges(int fd, const struct stat *st)
{
	return (st->st_mode & (S_ISUID | S_ISGID)) != 0 ||
		fgetxattr(fd, "security.capability", NULL, 0) > 0;
}

static int trim_leased(int fd)
{
	struct stat st;
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT } };

	if (fstat(fd, &st) < 0)
		return -errno;
	if (has_privileges(fd, &st))
		return -EPERM;
	if (ftruncate(fd, st.st_size) < 0)
		return -errno;
	times[1] = st.st_mtim;
	return futimens(fd, times) < 0 ? -errno : 0;
}

int growth_trim(int fd)
{
	struct stat st;
	int r;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!has_space_beyond(fd, &st))
		return 0;
	/* Who wants the file sends a signal: one that is ignored, not SIGIO. */
	if (fcntl(fd, F_SETSIG, SIGURG) < 0 ||
	    fcntl(fd, F_SETLEASE, F_WRLCK) < 0)
		return -errno;
	r = trim_leased(fd);
	fcntl(fd, F_SETLEASE, F_UNLCK);
	return r;
}
