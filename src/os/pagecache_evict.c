// SPDX-License-Identifier: Apache-2.0
/*
 * Clean pages are dropped in four ways, the gentle first; the next is taken
 * only when clean pages are left.
 *
 * 1. posix_fadvise(POSIX_FADV_DONTNEED), which passes over every page that
 *    anybody has mapped, and over large folios that the range doesn't cover.
 *    It starts writeback of dirty pages, so it is used on clean parts only.
 * 2. madvise(MADV_PAGEOUT) on a mapping of our own, which splits large
 *    folios. It passes over pages that somebody else has mapped.
 * 3. The processes that map the file are made to let go (see
 *    pagecache_mappers.c); does it for pages that one process alone maps.
 * 4. A direct write that can't succeed. Before a direct write the kernel
 *    writes back, unmaps and drops the pages of its range, in all processes
 *    (kiocb_invalidate_pages() of Linux's mm/filemap.c); then it turns to
 *    the source, which is memory without access, and fails with EFAULT
 *    before the first byte. Nothing that anybody writes meanwhile can be
 *    lost: a page that has become dirty is written back or stays.
 *
 * The fourth way needs care. A write into a hole would allocate it, so only
 * data is touched. One past the end would be taken as growth, so it ends at
 * the last whole sector: a tail shorter than that stays in memory when it is
 * mapped. The kernel clears setuid, setgid and capabilities and sets mtime
 * and ctime before it fails; so it isn't used on files that have such bits
 * or may be executed (an exec would meanwhile meet ETXTBSY), only on files
 * that have no dirty page, and mtime is put back unless there is a dirty
 * page then, which means that somebody has written. ctime moves. On XFS,
 * extents that a reflink shares get space reserved for a copy, which XFS
 * gives back after minutes. On btrfs it has no effect: files with checksums
 * are written through the page cache.
 *
 * Pages that a program has locked in memory stay. The worst that two users of
 * a file can do to each other here is what memory pressure does as well.
 */
#include "os/pagecache.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "os/pagecache_range.h"
#include "util/cleanup.h"

#define DIRECT_STEP ((off_t)16 << 20)
#define SECTOR 512

static uint64_t clean_pages(int fd, const struct pagecache_range *range)
{
	struct pagecache_counts counts;
	uint64_t busy;

	if (range->at == range->end ||
	    pagecache_count(fd, range->at, range->end - range->at, &counts))
		return 0;
	busy = counts.dirty + counts.writeback;
	return counts.resident > busy ? counts.resident - busy : 0;
}

static int forget_piece(int fd, off_t at, size_t length)
{
	return -posix_fadvise(fd, at, (off_t)length, POSIX_FADV_DONTNEED);
}

/* Does what for each clean part of the range. */
static int each_clean(int fd, const struct pagecache_range *range,
		      const struct pagecache_stop *stop,
		      int (*what)(int fd, off_t at, size_t length))
{
	struct pagecache_walk walk;
	struct pagecache_part part;
	int error = pagecache_walk_begin(&walk, fd, range);

	if (error)
		return error;
	while ((error = pagecache_walk_next(&walk, &part)) > 0) {
		struct pagecache_range run = { part.at, part.end, 0 };

		error = 0;
		if (part.state == 'r')
			error = pagecache_each(fd, &run, DIRECT_STEP, stop,
				what);
		if (error)
			break;
	}
	pagecache_walk_end(&walk);
	return error;
}

static int page_out_piece(int fd, off_t at, size_t length)
{
	char *view = pagecache_view(fd, at, length, PROT_READ);

	if (!view)
		return 0;
	/* Without success of these, the next way is tried. */
	if (madvise(view, length, ADVICE_POPULATE_READ) == 0)
		madvise(view, length, ADVICE_PAGEOUT);
	munmap(view, length);
	return 0;
}

/* Pages that only just came in may have to be asked for twice. */
static int forget(int fd, const struct pagecache_range *range,
		  const struct pagecache_stop *stop)
{
	int error = each_clean(fd, range, stop, forget_piece);

	if (!error && clean_pages(fd, range) > 0)
		error = each_clean(fd, range, stop, forget_piece);
	return error;
}

/* Writes, without anything to write, where the file has data. */
static void fail_to_write(int fd, off_t at, off_t end)
{
	size_t size = (size_t)DIRECT_STEP;
	void *nothing = mmap(NULL, size, PROT_NONE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (nothing == MAP_FAILED)
		return;
	while (at < end) {
		off_t data = lseek(fd, at, SEEK_DATA);
		off_t hole = data < 0 ? -1 : lseek(fd, data, SEEK_HOLE);

		if (data < 0 || data >= end || hole <= data)
			break;
		at = hole < end ? hole : end;
		if (pwrite(fd, nothing, (size_t)(at - data), data) >= 0)
			break;
	}
	munmap(nothing, size);
}

static int drop_piece(int fd, off_t at, size_t length)
{
	off_t end = at + (off_t)length;
	struct stat status;

	if (fstat(fd, &status) < 0)
		return -errno;
	status.st_size -= status.st_size % SECTOR;
	fail_to_write(fd, at, end < status.st_size ? end : status.st_size);
	return 0;
}

static bool file_is_clean(int fd)
{
	struct pagecache_counts counts;

	return pagecache_count(fd, 0, 0, &counts) == 0 && counts.exact &&
		counts.dirty == 0 && counts.writeback == 0;
}

static bool may_be_written_to(int fd, struct stat *status)
{
	const mode_t special = S_ISUID | S_ISGID | 0111;

	if (fstat(fd, status) < 0 || !S_ISREG(status->st_mode) ||
	    (status->st_mode & special))
		return false;
	if (fgetxattr(fd, "security.capability", NULL, 0) >= 0)
		return false;
	return file_is_clean(fd);
}

static void drop_by_force(int fd, const struct pagecache_range *range,
			  const struct pagecache_stop *stop)
{
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT } };
	struct stat status;
	char path[32];
	owned_fd direct = -1;

	if (!may_be_written_to(fd, &status))
		return;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	direct = open(path, O_RDWR | O_DIRECT | O_CLOEXEC | O_NONBLOCK);
	if (direct < 0)
		return;
	each_clean(direct, range, stop, drop_piece);
	times[1] = status.st_mtim;
	if (file_is_clean(fd))
		futimens(direct, times);
}

/* Pages that are the file's only copy can be swapped out at best. */
static bool lives_in_memory(int fd)
{
	struct statfs system;

	return fstatfs(fd, &system) == 0 &&
		(system.f_type == TMPFS_MAGIC || system.f_type == RAMFS_MAGIC ||
		 system.f_type == HUGETLBFS_MAGIC);
}

static int evict(int fd, const struct pagecache_range *range,
		 const struct pagecache_stop *stop)
{
	struct pagecache_mappers mappers = { 0 };
	int error;

	error = forget(fd, range, stop);
	if (error || clean_pages(fd, range) == 0)
		return error;
	error = each_clean(fd, range, stop, page_out_piece);
	if (error || clean_pages(fd, range) == 0)
		return error;
	error = pagecache_advise_mappers(fd, range, ADVICE_PAGEOUT, stop,
		&mappers);
	if (error || clean_pages(fd, range) == 0)
		return error;
	error = forget(fd, range, stop);
	if (!error && clean_pages(fd, range) > 0 && !mappers.locked)
		drop_by_force(fd, range, stop);
	return pagecache_stop_asked(stop) ? -EINTR : error;
}

int pagecache_evict(int fd, off_t offset, off_t length,
		    const struct pagecache_stop *stop)
{
	struct pagecache_range range;
	int error = pagecache_range_make(&range, fd, offset, length);

	if (error)
		return error;
	if (lives_in_memory(fd))
		return -EOPNOTSUPP;
	return evict(fd, &range, stop);
}

static int write_out_piece(int fd, off_t at, size_t length)
{
	const unsigned flags = SYNC_FILE_RANGE_WAIT_BEFORE |
		SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER;

	if (sync_file_range(fd, at, (off_t)length, flags) < 0)
		return -errno;
	return 0;
}

int pagecache_page_out(int fd, off_t offset, off_t length,
		       const struct pagecache_stop *stop)
{
	struct pagecache_range range;
	int error = pagecache_range_make(&range, fd, offset, length);

	if (error)
		return error;
	if (lives_in_memory(fd))
		return -EOPNOTSUPP;
	error = pagecache_each(fd, &range, PAGECACHE_PIECE, stop,
		write_out_piece);
	return error ? error : evict(fd, &range, stop);
}
