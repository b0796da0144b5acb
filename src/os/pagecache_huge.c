// SPDX-License-Identifier: Apache-2.0
/*
 * Huge pages need an address that fits: one that has the same remainder by
 * their size as the offset in the file. mmap(2) doesn't promise that, so
 * more is reserved than is needed, and the file mapped where it fits.
 *
 * Whether a file system gives huge pages can't be learnt from any answer:
 * madvise(MADV_HUGEPAGE) says yes to every file. So it is tried, and
 * /proc/self/smaps says how the pages came to be mapped.
 */
#include "os/pagecache.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/pagecache_range.h"
#include "util/cleanup.h"

struct huge_view {
	char *reserved;
	size_t reserved_length;
	char *base;
	size_t length;
};

/* The size of a huge page in bytes; 0 if the kernel has none. */
static size_t huge_page_size(void)
{
	FILE *file = fopen("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size",
		"re");
	uintmax_t size = 0;

	if (!file)
		return 0;
	if (fscanf(file, "%ju", &size) != 1 || (size & (size - 1)) != 0)
		size = 0;
	fclose(file);
	return (size_t)size;
}

static int huge_view_make(struct huge_view *view, int fd, off_t at,
			  size_t length, int protection, size_t huge)
{
	size_t remainder = (size_t)at & (huge - 1);
	uintptr_t base;

	view->length = length;
	view->reserved_length = length + 2 * huge;
	view->reserved = mmap(NULL, view->reserved_length, PROT_NONE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (view->reserved == MAP_FAILED)
		return -errno;
	base = ((uintptr_t)view->reserved + huge - 1) & ~(huge - 1);
	view->base = mmap((void *)(base + remainder), length, protection,
		MAP_SHARED | MAP_FIXED, fd, at);
	if (view->base == MAP_FAILED) {
		int error = -errno;

		munmap(view->reserved, view->reserved_length);
		return error;
	}
	return 0;
}

static void huge_view_drop(struct huge_view *view)
{
	munmap(view->reserved, view->reserved_length);
}

/* EAGAIN: a page was in use; EBUSY, ENOMEM: there was no huge page just now. */
static int collapse_piece(int fd, off_t at, size_t length)
{
	size_t huge = huge_page_size();
	struct huge_view view;
	int error;

	if (huge == 0)
		return -EOPNOTSUPP;
	error = huge_view_make(&view, fd, at, length, PROT_READ, huge);
	if (error)
		return error;
	if (madvise(view.base, length, ADVICE_COLLAPSE) < 0)
		error = -errno;
	huge_view_drop(&view);
	return error;
}

/* Huge pages that the range reaches into count as a whole. */
int pagecache_collapse(int fd, off_t offset, off_t length,
		       const struct pagecache_stop *stop)
{
	off_t huge = (off_t)huge_page_size();
	struct pagecache_range range;
	int error = pagecache_range_make(&range, fd, offset, length);

	if (error)
		return error;
	if (huge == 0)
		return -EOPNOTSUPP;
	if (range.at == range.end)
		return 0;
	range.at -= range.at % huge;
	if (range.end % huge)
		range.end += huge - range.end % huge;
	return pagecache_each(fd, &range, PAGECACHE_PIECE, stop,
		collapse_piece);
}

/* Bytes that the mapping at base has in pages of the huge size. */
static uintmax_t huge_bytes(const char *base)
{
	FILE *maps = fopen("/proc/self/smaps", "re");
	owned_memory char *line = NULL;
	size_t capacity = 0;
	uintmax_t start, end, sum = 0, kilobytes;
	bool ours = false;

	if (!maps)
		return 0;
	while (getline(&line, &capacity, maps) > 0) {
		if (sscanf(line, "%jx-%jx ", &start, &end) == 2)
			ours = start == (uintptr_t)base;
		else if (ours && (sscanf(line, "ShmemPmdMapped: %ju kB",
			  &kilobytes) == 1 || sscanf(line,
			  "FilePmdMapped: %ju kB", &kilobytes) == 1))
			sum += kilobytes * 1024;
	}
	fclose(maps);
	return sum;
}

/*
 * A file of nothing but a hole does, which no device is read for. Where holes
 * are allocated by reading (tmpfs), the memory goes with the file.
 */
int pagecache_try_huge(int directory_fd)
{
	size_t huge = huge_page_size();
	owned_fd fd = -1;
	struct huge_view view;
	int error;

	if (huge == 0)
		return -EOPNOTSUPP;
	fd = openat(directory_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, (off_t)huge) < 0)
		return -EOPNOTSUPP;
	error = huge_view_make(&view, fd, 0, huge, PROT_READ, huge);
	if (error)
		return error;
	if (madvise(view.base, huge, MADV_HUGEPAGE) < 0)
		error = -errno;
	else if (madvise(view.base, huge, ADVICE_POPULATE_READ) < 0 ||
		 huge_bytes(view.base) == 0)
		error = -EOPNOTSUPP;
	huge_view_drop(&view);
	return error;
}
