/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the pagecache*.c files share: ranges rounded to pages, work done piece
 * by piece, and the parts of a range that are in memory. For them only. A
 * walk belongs to one thread; the rest is for any.
 */
#ifndef MSYNCFS_OS_PAGECACHE_RANGE_H
#define MSYNCFS_OS_PAGECACHE_RANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "os/pagecache.h"

/* madvise(2)'s numbers, which older headers don't have. */
#define ADVICE_COLD 20
#define ADVICE_PAGEOUT 21
#define ADVICE_POPULATE_READ 22
#define ADVICE_POPULATE_WRITE 23
#define ADVICE_COLLAPSE 25

/* What is mapped and worked on at one time. */
#define PAGECACHE_PIECE ((off_t)64 << 20)

/* Bytes, from a page's start to a page's start; empty if at == end. */
struct pagecache_range {
	off_t at;
	off_t end;
	off_t size; /* of the file */
};

/* Rounds outward and ends at the end of the file. 0 or -errno. */
int pagecache_range_make(struct pagecache_range *range, int fd, off_t offset,
			 off_t length);

bool pagecache_stop_asked(const struct pagecache_stop *stop);

/*
 * Calls what for each piece of at most step bytes, until one gives an error
 * or stop says so. 0 or -errno.
 */
int pagecache_each(int fd, const struct pagecache_range *range, off_t step,
		   const struct pagecache_stop *stop,
		   int (*what)(int fd, off_t at, size_t length));

/* A MAP_SHARED mapping; NULL with errno set. */
char *pagecache_view(int fd, off_t at, size_t length, int protection);

/* cachestat(2) as it is: 0 or -errno, -ENOSYS where there is none. */
int pagecache_stat(int fd, off_t at, off_t length,
		   struct pagecache_counts *counts);

/* One byte for each page of the piece, bit 0: resident. 0 or -errno. */
int pagecache_residents(int fd, off_t at, size_t length,
			unsigned char *present);

/* A run of resident pages that are alike. */
struct pagecache_part {
	off_t at;
	off_t end;
	char state; /* 'r' clean, 'd' dirty, 'w' being written */
};

struct pagecache_walk {
	int fd;
	off_t at; /* what lies before has been gone through */
	off_t end;
	off_t window_end; /* present is of the pages up to here */
	off_t window_at;
	unsigned char *present; /* NULL: all pages of the window are */
	unsigned char *memory;
	struct pagecache_part next; /* found, may still grow */
};

int pagecache_walk_begin(struct pagecache_walk *walk, int fd,
			 const struct pagecache_range *range);
/* 1 and a part, in order; 0 after the last; or -errno. */
int pagecache_walk_next(struct pagecache_walk *walk,
			struct pagecache_part *part);
void pagecache_walk_end(struct pagecache_walk *walk);

/* What was learnt of the processes that map a file. */
struct pagecache_mappers {
	/* One of them has locked the range, or a part of it (mlock(2)). */
	bool locked;
};

/*
 * Gives ADVICE_PAGEOUT, on clean pages, or ADVICE_COLD to the mappings that
 * processes have of the range. It acts where one process alone has a page
 * mapped, and with CAP_SYS_NICE; else it finds nothing. 0 or -errno.
 */
int pagecache_advise_mappers(int fd, const struct pagecache_range *range,
			     int advice, const struct pagecache_stop *stop,
			     struct pagecache_mappers *mappers);

#endif
