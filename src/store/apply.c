// SPDX-License-Identifier: Apache-2.0
/*
 * The order: cut what is beyond the new size, zeros, pages, grow to the new
 * size, mtime. Nothing is given back to the file system that the change
 * needs: a hole is punched around the pages in it, not below them. So what
 * apply_reserve() has allocated is there still when the pages come, and a
 * full store can't stop a change half-way. (A file system that never writes
 * in place, such as btrfs, may need more all the same.)
 */
#include "store/apply.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "store/journal_file.h"
#include "util/cleanup.h"

/* Pages in one call of pwritev(2): 1 MiB. */
#define BATCH 256u

static uint64_t page_offset(uint64_t page)
{
	return page << JOURNAL_PAGE_BITS;
}

/* Pages that a file of so many bytes has. */
static uint64_t pages_of(uint64_t size)
{
	return (size + JOURNAL_PAGE - 1) >> JOURNAL_PAGE_BITS;
}

static int size_of(int fd, uint64_t *size)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	*size = (uint64_t)st.st_size;
	return 0;
}

static int set_size(int fd, uint64_t size)
{
	int r;

	do
		r = ftruncate(fd, (off_t)size);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : 0;
}

/* ---- zeros ------------------------------------------------------------- */

/* Where holes can't be punched. */
static int write_zeros(int fd, uint64_t offset, uint64_t end)
{
	static const char zeros[16 * JOURNAL_PAGE];
	int r = 0;

	while (r == 0 && offset < end) {
		uint64_t size = end - offset;

		size = size < sizeof(zeros) ? size : sizeof(zeros);
		r = journal_write(fd, zeros, size, (off_t)offset);
		offset += size;
	}
	return r;
}

/* Pages [first, end) of a file of `size` bytes read as zeros then. */
static int punch(int fd, uint64_t first, uint64_t end, uint64_t size)
{
	uint64_t offset = page_offset(first);
	int r;

	if (first >= end || offset >= size)
		return 0;
	do
		r = fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			(off_t)offset, (off_t)(page_offset(end) - offset));
	while (r < 0 && errno == EINTR);
	if (r == 0)
		return 0;
	if (errno != EOPNOTSUPP && errno != ENOSYS)
		return -errno;
	return write_zeros(fd, offset,
		page_offset(end) < size ? page_offset(end) : size);
}

/* Punches the holes of a file of `size` bytes, around the pages in them. */
static int punch_holes(int fd, const struct journal_change *change,
		       uint64_t size)
{
	uint64_t last = pages_of(size);
	size_t page = 0;
	int r = 0;

	for (size_t i = 0; r == 0 && i < change->hole_count; i++) {
		const struct journal_hole *hole = &change->holes[i];
		uint64_t at = hole->first;
		uint64_t end = last;

		if (at >= last)
			break;
		if (hole->count < last - at)
			end = at + hole->count;
		while (page < change->page_count &&
			change->pages[page].page < at)
			page++;
		for (; r == 0 && page < change->page_count &&
			change->pages[page].page < end; page++) {
			r = punch(fd, at, change->pages[page].page, size);
			at = change->pages[page].page + 1;
		}
		if (r == 0)
			r = punch(fd, at, end, size);
	}
	return r;
}

/* ---- pages ------------------------------------------------------------- */

/*
 * How many pages from number `at` on lie one behind the other and within the
 * file's size, `max` at the most.
 */
static size_t run_length(const struct journal_change *change, size_t at,
			 size_t max)
{
	const struct journal_page *pages = change->pages + at;
	uint64_t end = pages_of(change->size);
	size_t left = change->page_count - at;
	size_t count = 0;

	while (count < left && count < max && pages[count].page < end &&
		pages[count].page == pages[0].page + count)
		count++;
	return count;
}

/* The bytes of a run, which ends where the file does. */
static uint64_t run_bytes(const struct journal_change *change, size_t at,
			  size_t count)
{
	uint64_t offset = page_offset(change->pages[at].page);
	uint64_t bytes = page_offset(count);

	return bytes < change->size - offset ? bytes : change->size - offset;
}

static int write_pages(int fd, const struct journal_change *change)
{
	struct iovec parts[BATCH];
	size_t count;
	int r = 0;

	for (size_t at = 0; r == 0 && at < change->page_count; at += count) {
		uint64_t left;

		count = run_length(change, at, BATCH);
		if (count == 0)
			break; /* this and all others are behind the end */
		left = run_bytes(change, at, count);
		for (size_t i = 0; i < count; i++) {
			uint64_t size = left < JOURNAL_PAGE ? left :
							      JOURNAL_PAGE;

			parts[i].iov_base = (void *)change->pages[at + i].data;
			parts[i].iov_len = size;
			left -= size;
		}
		r = journal_write_parts(fd, parts, count,
			(off_t)page_offset(change->pages[at].page));
	}
	return r;
}

/* Those who may write a file may not always set its times. */
static int set_mtime(int fd, const struct timespec *mtime)
{
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, *mtime };

	if (futimens(fd, times) == 0 || errno == EPERM || errno == EACCES)
		return 0;
	return -errno;
}

/* ---- capabilities ------------------------------------------------------- */

#define CAPABILITY "security.capability"

void apply_keep_capabilities(int fd, struct apply_capabilities *kept)
{
	kept->size = fgetxattr(fd, CAPABILITY, kept->bytes,
		sizeof(kept->bytes));
}

void apply_restore_capabilities(int fd, const struct apply_capabilities *kept)
{
	/* Where we may not, the file has fewer rights than before. */
	if (kept->size > 0)
		(void)fsetxattr(fd, CAPABILITY, kept->bytes,
			(size_t)kept->size, XATTR_CREATE);
}

/* ---- a change ----------------------------------------------------------- */

int apply_change(int fd, const struct journal_change *change)
{
	uint64_t size;
	int r = size_of(fd, &size);

	if (r == 0 && size > change->size) {
		r = set_size(fd, change->size);
		size = change->size;
	}
	if (r == 0)
		r = punch_holes(fd, change, size);
	if (r == 0)
		r = write_pages(fd, change);
	if (r == 0)
		r = size_of(fd, &size);
	if (r == 0 && size != change->size)
		r = set_size(fd, change->size);
	if (r == 0)
		r = set_mtime(fd, &change->mtime);
	return r;
}

/* ---- room -------------------------------------------------------------- */

static int allocate(int fd, uint64_t offset, uint64_t bytes)
{
	int r;

	do
		r = fallocate(fd, FALLOC_FL_KEEP_SIZE, (off_t)offset,
			(off_t)bytes);
	while (r < 0 && errno == EINTR);
	if (r == 0 || errno == EOPNOTSUPP || errno == ENOSYS)
		return 0;
	return -errno;
}

/*
 * Most pages replace others. Where the next hole begins is asked only when a
 * run is not known to lie before it, so all asking together goes over the
 * file's extents once.
 */
int apply_reserve(int fd, const struct journal_change *change)
{
	uint64_t solid = 0; /* where the next hole begins */
	size_t count;
	int r = 0;

	for (size_t at = 0; r == 0 && at < change->page_count; at += count) {
		uint64_t offset = page_offset(change->pages[at].page);
		uint64_t bytes;

		count = run_length(change, at, SIZE_MAX);
		if (count == 0)
			break;
		bytes = run_bytes(change, at, count);
		if (offset >= solid) {
			off_t hole = lseek(fd, (off_t)offset, SEEK_HOLE);

			solid = hole < 0 ? offset : (uint64_t)hole;
		}
		if (offset + bytes > solid)
			r = allocate(fd, offset, bytes);
	}
	return r;
}

/* ---- names ------------------------------------------------------------- */

int apply_removal(int directory_fd, const struct journal_removal *removal)
{
	owned_fd fd = openat(directory_fd, removal->name,
		O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct journal_id id;
	int r;

	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	r = journal_identify(fd, &id);
	if (r < 0)
		return r;
	if (!journal_same_id(&id, &removal->file))
		return 0;
	if (unlinkat(directory_fd, removal->name, 0) < 0 && errno != ENOENT)
		return -errno;
	return 0;
}
