// SPDX-License-Identifier: Apache-2.0
/*
 * Advice that madvise(2) gives about a mapping is given here about a file:
 * a piece of it is mapped for the moment, advised, and unmapped. Nothing is
 * read or written through these mappings by our own code, so no SIGBUS can
 * come of them; the kernel's populating calls answer EFAULT instead, and
 * the reason is then asked for by pread(2) or fallocate(2).
 */
#include "os/pagecache.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "os/pagecache_range.h"
#include "util/cleanup.h"

/* The same number on every architecture but alpha. */
#define CALL_CACHESTAT 451

#define LOAD_STEP ((off_t)2 << 20)
#define LOAD_STEP_BLIND ((off_t)128 << 10)

struct cachestat_range {
	uint64_t at;
	uint64_t length;
};

struct cachestat {
	uint64_t cache;
	uint64_t dirty;
	uint64_t writeback;
	uint64_t evicted;
	uint64_t recently_evicted;
};

size_t pagecache_page_size(void)
{
	static _Atomic size_t known;
	size_t size = atomic_load_explicit(&known, memory_order_relaxed);

	if (size == 0) {
		size = (size_t)sysconf(_SC_PAGESIZE);
		atomic_store_explicit(&known, size, memory_order_relaxed);
	}
	return size;
}

static int call_cachestat(int fd, off_t at, off_t length,
			  struct cachestat *result)
{
	struct cachestat_range range = { (uint64_t)at, (uint64_t)length };

	if (syscall(CALL_CACHESTAT, (unsigned)fd, &range, result, 0u) < 0)
		return -errno;
	return 0;
}

/*
 * Tried on a file of our own: there EPERM can only be a seccomp filter's,
 * while on others it may be about that file.
 */
bool pagecache_has_cachestat(void)
{
	enum { unknown, missing, there };
	static _Atomic int known = unknown;
	int answer = atomic_load(&known);

	if (answer == unknown) {
		owned_fd fd = memfd_create("cachestat", MFD_CLOEXEC);
		struct cachestat result;

		answer = missing;
		if (fd >= 0 && call_cachestat(fd, 0, 0, &result) == 0)
			answer = there;
		atomic_store(&known, answer);
	}
	return answer == there;
}

int pagecache_stat(int fd, off_t at, off_t length,
		   struct pagecache_counts *counts)
{
	struct cachestat result;
	int error;

	if (!pagecache_has_cachestat())
		return -ENOSYS;
	error = call_cachestat(fd, at, length, &result);
	if (error)
		return error;
	counts->resident = result.cache;
	counts->exact = true;
	counts->dirty = result.dirty;
	counts->writeback = result.writeback;
	counts->evicted = result.evicted;
	return 0;
}

int pagecache_range_make(struct pagecache_range *range, int fd, off_t offset,
			 off_t length)
{
	off_t page = (off_t)pagecache_page_size();
	struct stat status;
	off_t end;

	if (offset < 0 || length < 0)
		return -EINVAL;
	if (fstat(fd, &status) < 0)
		return -errno;
	end = status.st_size;
	if (length > 0 && offset < end && length < end - offset)
		end = offset + length;
	range->size = status.st_size;
	range->at = offset - offset % page;
	/* The last page of the largest possible file is not whole. */
	if (end > INT64_MAX - page)
		end = INT64_MAX - page;
	range->end = (end + page - 1) / page * page;
	if (offset >= status.st_size)
		range->end = range->at;
	return 0;
}

bool pagecache_stop_asked(const struct pagecache_stop *stop)
{
	return stop && stop->asked(stop->context);
}

int pagecache_each(int fd, const struct pagecache_range *range, off_t step,
		   const struct pagecache_stop *stop,
		   int (*what)(int fd, off_t at, size_t length))
{
	for (off_t at = range->at; at < range->end;) {
		/* Pieces start where huge pages can. */
		off_t length = step - at % step;
		int error;

		if (pagecache_stop_asked(stop))
			return -EINTR;
		if (length > range->end - at)
			length = range->end - at;
		error = what(fd, at, (size_t)length);
		if (error)
			return error;
		at += length;
	}
	return 0;
}

char *pagecache_view(int fd, off_t at, size_t length, int protection)
{
	void *base = mmap(NULL, length, protection, MAP_SHARED, fd, at);

	return base == MAP_FAILED ? NULL : base;
}

int pagecache_residents(int fd, off_t at, size_t length,
			unsigned char *present)
{
	char *view = pagecache_view(fd, at, length, PROT_READ);
	int error = 0;

	if (!view)
		return -errno;
	if (mincore(view, length, present) < 0)
		error = -errno;
	munmap(view, length);
	return error;
}

static int count_by_mincore(int fd, const struct pagecache_range *range,
			    struct pagecache_counts *counts)
{
	size_t page = pagecache_page_size();
	owned_memory unsigned char *present = malloc(PAGECACHE_PIECE / page);

	if (!present)
		return -ENOMEM;
	for (off_t at = range->at; at < range->end;) {
		off_t length = range->end - at;
		int error;

		if (length > PAGECACHE_PIECE)
			length = PAGECACHE_PIECE;
		error = pagecache_residents(fd, at, (size_t)length, present);
		if (error)
			return error;
		for (size_t i = 0; i < (size_t)length / page; i++)
			counts->resident += present[i] & 1;
		at += length;
	}
	return 0;
}

int pagecache_count(int fd, off_t offset, off_t length,
		    struct pagecache_counts *counts)
{
	struct pagecache_range range;
	int error = pagecache_range_make(&range, fd, offset, length);

	*counts = (struct pagecache_counts) { 0 };
	if (error)
		return error;
	counts->exact = pagecache_has_cachestat();
	counts->pages = (uint64_t)(range.end - range.at) /
		pagecache_page_size();
	if (counts->pages == 0)
		return 0;
	error = pagecache_stat(fd, range.at, range.end - range.at, counts);
	if (error == -ENOSYS || error == -EOPNOTSUPP) {
		counts->exact = false;
		return count_by_mincore(fd, &range, counts);
	}
	return error;
}

/* How many bytes of the range are in memory or coming; -1: not known. */
static off_t bytes_under_way(int fd, off_t at, off_t length)
{
	struct pagecache_counts counts;

	if (pagecache_stat(fd, at, length, &counts) < 0)
		return -1;
	return (off_t)counts.resident * (off_t)pagecache_page_size();
}

/*
 * The kernel reads no more at one call than the device's read-ahead or
 * largest transfer, whichever is more, and doesn't say how much it was. So
 * the step is halved until a step is seen to come in as a whole.
 */
int pagecache_load(int fd, off_t offset, off_t length,
		   const struct pagecache_stop *stop)
{
	off_t step = LOAD_STEP;
	struct pagecache_range range;
	int error = pagecache_range_make(&range, fd, offset, length);

	if (error)
		return error;
	for (off_t at = range.at; at < range.end;) {
		off_t now = range.end - at < step ? range.end - at : step;
		off_t coming;

		if (pagecache_stop_asked(stop))
			return -EINTR;
		error = posix_fadvise(fd, at, now, POSIX_FADV_WILLNEED);
		if (error)
			return -error;
		coming = bytes_under_way(fd, at, now);
		if (coming >= now || (coming < 0 && step <= LOAD_STEP_BLIND)) {
			at += now;
		} else if (step <= (off_t)pagecache_page_size()) {
			/* A file system that can't read ahead. */
			return 0;
		} else {
			step /= 2;
		}
	}
	return 0;
}

/* Reads the piece the plain way, for its effect or its errno. */
static int read_through(int fd, off_t at, size_t length)
{
	size_t size = (size_t)1 << 18;
	owned_memory char *scratch = malloc(size);

	if (!scratch)
		return -ENOMEM;
	while (length > 0) {
		size_t now = length < size ? length : size;
		ssize_t got = pread(fd, scratch, now, at);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		/* The file has become shorter. */
		if (got == 0)
			return 0;
		at += got;
		length -= (size_t)got;
	}
	return 0;
}

static int advise_view(char *view, size_t length, int advice)
{
	while (madvise(view, length, advice) < 0) {
		if (errno != EAGAIN && errno != EINTR)
			return -errno;
	}
	return 0;
}

int64_t pagecache_dirty_bytes(int fd)
{
	struct pagecache_counts counts;

	if (pagecache_count(fd, 0, 0, &counts) < 0 || !counts.exact)
		return -1;
	return (int64_t)((counts.dirty + counts.writeback) *
			 pagecache_page_size());
}

/* In huge pages, if the mapping and the file system can. */
static void want_huge(char *view, size_t length)
{
	(void)madvise(view, length, MADV_HUGEPAGE);
}

static int populate_huge_piece(int fd, off_t at, size_t length)
{
	char *view = pagecache_view(fd, at, length, PROT_READ);
	int error;

	if (!view)
		return read_through(fd, at, length);
	want_huge(view, length);
	error = advise_view(view, length, ADVICE_POPULATE_READ);
	munmap(view, length);
	if (error == -EINVAL || error == -EFAULT || error == -EHWPOISON)
		return read_through(fd, at, length);
	return error;
}

static int populate_piece(int fd, off_t at, size_t length)
{
	char *view = pagecache_view(fd, at, length, PROT_READ);
	int error;

	if (!view)
		return read_through(fd, at, length);
	/* Faults would read the device's read-ahead at one time only. */
	posix_fadvise(fd, at, (off_t)length, POSIX_FADV_WILLNEED);
	error = advise_view(view, length, ADVICE_POPULATE_READ);
	munmap(view, length);
	if (error == -EINVAL || error == -EFAULT || error == -EHWPOISON)
		return read_through(fd, at, length);
	return error;
}

int pagecache_populate(int fd, off_t offset, off_t length, bool huge,
		       const struct pagecache_stop *stop)
{
	struct pagecache_range range;
	int error = pagecache_range_make(&range, fd, offset, length);

	if (error)
		return error;
	if (huge)
		return pagecache_each(fd, &range, PAGECACHE_PIECE, stop,
			populate_huge_piece);
	return pagecache_each(fd, &range, LOAD_STEP, stop, populate_piece);
}

/* Why a fault for writing failed: allocating the same bytes tells. */
static int allocate(int fd, off_t at, size_t length)
{
	struct statvfs space;
	struct stat status;

	if (fstat(fd, &status) < 0)
		return -errno;
	if (at >= status.st_size)
		return 0;
	if ((off_t)length > status.st_size - at)
		length = (size_t)(status.st_size - at);
	if (fallocate(fd, FALLOC_FL_KEEP_SIZE, at, (off_t)length) == 0)
		return 0;
	if (errno != EOPNOTSUPP)
		return -errno;
	if (fstatvfs(fd, &space) == 0 && space.f_bavail == 0)
		return -ENOSPC;
	return -EIO;
}

/* True when the file ends within the piece: it was cut meanwhile. */
static bool has_become_shorter(int fd, off_t at, size_t length)
{
	struct stat status;
	off_t page = (off_t)pagecache_page_size();

	return fstat(fd, &status) == 0 &&
		status.st_size <= at + (off_t)length - page;
}

static int populate_write_view(int fd, off_t at, size_t length, bool huge)
{
	char *view = pagecache_view(fd, at, length, PROT_READ | PROT_WRITE);
	int error;

	if (!view)
		return -errno;
	if (huge)
		want_huge(view, length);
	error = advise_view(view, length, ADVICE_POPULATE_WRITE);
	if (error == -EFAULT) {
		error = allocate(fd, at, length);
		if (!error)
			error = advise_view(view, length,
				ADVICE_POPULATE_WRITE);
	} else if (error == -EINVAL) {
		error = allocate(fd, at, length);
		if (!error)
			error = read_through(fd, at, length);
	}
	munmap(view, length);
	if (error == -EFAULT)
		return has_become_shorter(fd, at, length) ? 0 : -EIO;
	return error == -EHWPOISON ? -EIO : error;
}

static int populate_write_piece(int fd, off_t at, size_t length)
{
	return populate_write_view(fd, at, length, false);
}

static int populate_write_huge_piece(int fd, off_t at, size_t length)
{
	return populate_write_view(fd, at, length, true);
}

int pagecache_populate_write(int fd, off_t offset, off_t length, bool huge,
			     const struct pagecache_stop *stop)
{
	struct pagecache_range range;
	int error = pagecache_range_make(&range, fd, offset, length);

	if (error)
		return error;
	return pagecache_each(fd, &range, PAGECACHE_PIECE, stop,
		huge ? populate_write_huge_piece : populate_write_piece);
}

/*
 * Only what is mapped can be advised, so resident pages, and only these, are
 * mapped first. The advice makes them old, so that unmapping them doesn't
 * count as a use.
 */
static int cool_piece(int fd, off_t at, size_t length)
{
	char *view = pagecache_view(fd, at, length, PROT_READ);
	int error;

	if (!view)
		return -errno;
	error = advise_view(view, length, ADVICE_POPULATE_READ);
	/* The file was cut, or a page is bad: the others are mapped. */
	if (error == 0 || error == -EFAULT || error == -EHWPOISON)
		error = advise_view(view, length, ADVICE_COLD);
	munmap(view, length);
	return error == -EINVAL ? -EOPNOTSUPP : error;
}

int pagecache_cool(int fd, off_t offset, off_t length,
		   const struct pagecache_stop *stop)
{
	struct pagecache_mappers mappers = { 0 };
	struct pagecache_range range;
	struct pagecache_walk walk;
	struct pagecache_part part;
	int error = pagecache_range_make(&range, fd, offset, length);

	if (!error)
		error = pagecache_walk_begin(&walk, fd, &range);
	if (error)
		return error;
	while ((error = pagecache_walk_next(&walk, &part)) > 0) {
		struct pagecache_range run = { part.at, part.end, 0 };

		error = pagecache_each(fd, &run, PAGECACHE_PIECE, stop,
			cool_piece);
		if (error)
			break;
	}
	pagecache_walk_end(&walk);
	if (error)
		return error;
	return pagecache_advise_mappers(fd, &range, ADVICE_COLD, stop,
		&mappers);
}

int pagecache_start_writeback(int fd, off_t offset, off_t length)
{
	struct pagecache_range range;
	int error = pagecache_range_make(&range, fd, offset, length);

	if (error || range.at == range.end)
		return error;
	if (sync_file_range(fd, range.at, range.end - range.at,
	    SYNC_FILE_RANGE_WRITE) < 0)
		return -errno;
	return 0;
}

int pagecache_sync_range(int fd, off_t offset, off_t length)
{
	struct pagecache_range range;
	int flags = fcntl(fd, F_GETFL);
	int error = pagecache_range_make(&range, fd, offset, length);
	char *view = NULL;
	size_t size;

	if (error || range.at == range.end)
		return error;
	size = (size_t)(range.end - range.at);
	if (flags >= 0 && (flags & O_ACCMODE) == O_RDWR)
		view = pagecache_view(fd, range.at, size, PROT_NONE);
	if (!view)
		return fdatasync(fd) < 0 ? -errno : 0;
	if (msync(view, size, MS_SYNC) < 0)
		error = -errno;
	munmap(view, size);
	return error;
}
