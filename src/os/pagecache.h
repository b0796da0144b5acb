/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The page cache of a file: what is in it, and what is to be. Everything
 * here goes by descriptor and leaves no mapping behind; mappings that the
 * process keeps of the file are in the way of eviction and must be
 * madvise'd away (MADV_DONTNEED) by their owner before.
 *
 * Ranges are in bytes and are rounded outward to pages; a length of 0 means
 * up to the end of the file. What lies beyond the end is left out. Files and
 * offsets may be of any size: work is done in pieces, and stop (may be NULL)
 * is asked between two of them; -EINTR when it says so. Any thread.
 */
#ifndef MSYNCFS_OS_PAGECACHE_H
#define MSYNCFS_OS_PAGECACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct pagecache_counts {
	uint64_t pages; /* of the range, up to the end of the file */
	uint64_t resident;
	/* Known only where cachestat(2) is there (Linux 6.5). */
	bool exact;
	uint64_t dirty;
	uint64_t writeback;
	uint64_t evicted;
};

struct pagecache_stop {
	bool (*asked)(void *context);
	void *context;
};

bool pagecache_has_cachestat(void);
size_t pagecache_page_size(void);

/* cachestat(2); mincore(2) before Linux 6.5. 0 or -errno. */
int pagecache_count(int fd, off_t offset, off_t length,
		    struct pagecache_counts *counts);

/* What is dirty or being written, in bytes; -1: not known. */
int64_t pagecache_dirty_bytes(int fd);

/*
 * The parts that are in memory as text: "OFFSET+LENGTH STATE", in bytes, one
 * a line; STATE is r (resident, clean), d (dirty) or w (being written), and
 * p where only some pages of the part are resident (only if the file has
 * more parts than fit size: the first line is then "grain=BYTES"). The
 * text's length, without a NUL, or -errno.
 */
ssize_t pagecache_map(int fd, char *text, size_t size);

/* Has the range read ahead; returns when that is under way. 0 or -errno. */
int pagecache_load(int fd, off_t offset, off_t length,
		   const struct pagecache_stop *stop);

/*
 * Returns when the range is in memory (MADV_POPULATE_READ). huge: in huge
 * pages where the store has them (MADV_HUGEPAGE). 0 or -errno.
 */
int pagecache_populate(int fd, off_t offset, off_t length, bool huge,
		       const struct pagecache_stop *stop);

/*
 * Makes the range ready to be written (MADV_POPULATE_WRITE): holes are
 * allocated. fd is O_RDWR. -ENOSPC when the store is full.
 */
int pagecache_populate_write(int fd, off_t offset, off_t length, bool huge,
			     const struct pagecache_stop *stop);

/*
 * Drops the clean pages of the range, also those that programs have mapped;
 * dirty ones stay. So do those that a program or a hold has locked, and in
 * rare cases ones that several processes have mapped (pagecache_evict.c says
 * which). The file's ctime may move. 0 or -errno; -EOPNOTSUPP on tmpfs, whose
 * pages are the only copy.
 */
int pagecache_evict(int fd, off_t offset, off_t length,
		    const struct pagecache_stop *stop);

/*
 * Writes the dirty pages of the range and drops all, as pagecache_evict()
 * does. 0 or -errno; the error that writeback met is then told to nobody
 * else who uses the same open file (sync_file_range(2)).
 */
int pagecache_page_out(int fd, off_t offset, off_t length,
		       const struct pagecache_stop *stop);

/*
 * Has the resident pages reclaimed before others (MADV_COLD, Linux 5.4).
 * Without effect on pages that two processes have mapped.
 */
int pagecache_cool(int fd, off_t offset, off_t length,
		   const struct pagecache_stop *stop);

/*
 * MADV_COLLAPSE: -EINVAL or -EOPNOTSUPP where the file system has no huge
 * pages (Linux 6.1).
 */
int pagecache_collapse(int fd, off_t offset, off_t length,
		       const struct pagecache_stop *stop);

/*
 * Does madvise(MADV_HUGEPAGE) give huge or large pages on the file system of
 * directory_fd? Tried out with an unnamed file. 0, or -EOPNOTSUPP, -EINVAL.
 */
int pagecache_try_huge(int directory_fd);

/* Starts writeback of the range's dirty pages. 0 or -errno. */
int pagecache_start_writeback(int fd, off_t offset, off_t length);

/*
 * Makes the range durable, and only the range: msync(MS_SYNC), which is
 * vfs_fsync_range(). fd is O_RDWR; with one that isn't, all of the file is
 * synced. 0 or the -errno that writeback met.
 */
int pagecache_sync_range(int fd, off_t offset, off_t length);

/*
 * Pages kept in memory (mlock2(2)). A hold has its own mapping of the file;
 * resize makes it follow the file's size.
 */
struct pagecache_hold {
	char *base; /* NULL: nothing held */
	size_t length; /* bytes, whole pages */
};
/* on_fault: pages count when they come in by themselves. -ENOMEM, -EAGAIN. */
int pagecache_hold_make(struct pagecache_hold *hold, int fd, size_t length,
			bool on_fault);
/* Also locks again what the file lost by truncation and has anew. */
int pagecache_hold_change(struct pagecache_hold *hold, bool on_fault);
/* length in bytes, whole pages. Only of a hold that has a base. */
int pagecache_hold_resize(struct pagecache_hold *hold, size_t length);
/*
 * Locks the pages that are in memory, and reads none: for holds on fault,
 * since only faults through the hold's own mapping would lock any.
 */
int pagecache_hold_catch_up(struct pagecache_hold *hold, int fd);
void pagecache_hold_drop(struct pagecache_hold *hold);

#endif
