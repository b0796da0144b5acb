/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files whose pages the tests count. They are written page by page, so that
 * no folio is larger than a page where the file system makes large ones.
 */
#ifndef MSYNCFS_TESTS_UNIT_PAGES_H
#define MSYNCFS_TESTS_UNIT_PAGES_H

#include "support.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "os/pagecache.h"

#define PAGE ((off_t)pagecache_page_size())

static inline bool is_on(struct place *place, long magic)
{
	struct statfs system;

	assert_int_equal(fstatfs(place->fd, &system), 0);
	return (unsigned long)system.f_type == (unsigned long)magic;
}

#define need_disk(place)                                                       \
	do {                                                                   \
		if (is_on(place, TMPFS_MAGIC))                                 \
			skip_because("Pages can't be dropped on tmpfs.");      \
	} while (0)

static inline char byte_of(off_t page)
{
	return (char)('a' + page % 23);
}

static inline void write_page(int fd, off_t page)
{
	char bytes[65536];

	memset(bytes, byte_of(page), (size_t)PAGE);
	assert_int_equal(pwrite(fd, bytes, (size_t)PAGE, page * PAGE), PAGE);
}

static inline struct pagecache_counts count(int fd, off_t page, off_t pages)
{
	struct pagecache_counts counts;

	assert_int_equal(pagecache_count(fd, page * PAGE, pages * PAGE,
		&counts), 0);
	return counts;
}

static inline unsigned resident(int fd, off_t page, off_t pages)
{
	return (unsigned)count(fd, page, pages).resident;
}

static inline unsigned dirty(int fd, off_t page, off_t pages)
{
	return (unsigned)count(fd, page, pages).dirty;
}

/* Drops what is clean without the code under test. */
static inline void forget_pages(int fd)
{
	assert_int_equal(fsync(fd), 0);
	for (int i = 0; i < 100 && resident(fd, 0, 0) > 0; i++) {
		posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
		if (i > 0)
			usleep(10000);
	}
	assert_int_equal(resident(fd, 0, 0), 0);
}

/* A clean file of so many pages, all in memory. O_RDWR. */
static inline int make_pages(struct place *place, const char *name,
			     off_t pages)
{
	int fd = openat(place->fd, name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	for (off_t page = 0; page < pages; page++)
		write_page(fd, page);
	assert_int_equal(fsync(fd), 0);
	return fd;
}

/* Brings in one page and no other. */
static inline void touch_page(int fd, off_t page)
{
	char byte;

	assert_int_equal(posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM), 0);
	assert_int_equal(pread(fd, &byte, 1, page * PAGE), 1);
}

static inline bool pages_are_whole(int fd, off_t pages)
{
	char bytes[65536], wanted[65536];

	for (off_t page = 0; page < pages; page++) {
		memset(wanted, byte_of(page), (size_t)PAGE);
		if (pread(fd, bytes, (size_t)PAGE, page * PAGE) != PAGE ||
		    memcmp(bytes, wanted, (size_t)PAGE) != 0)
			return false;
	}
	return true;
}

#endif
