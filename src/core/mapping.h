/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The mapped region of an open file: MAP_SHARED, made at the first access,
 * larger than the file so that growth never remaps per append, given up at
 * the last close or when the process runs short of mappings.
 *
 * A mapping is embedded in its file, which owns it. A region is counted: it
 * stays mapped as long as somebody copies from it, also when the mapping has
 * gone on to a larger one. Any thread.
 */
#ifndef MSYNCFS_CORE_MAPPING_H
#define MSYNCFS_CORE_MAPPING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "util/lock.h"

struct mapping;

struct region {
	char *base;
	size_t length; /* bytes of address space, from file offset 0 */
	bool writable;
	_Atomic unsigned refs;
	_Atomic bool used; /* since the pool's hand came by */
	struct mapping *owner; /* NULL once detached; pool's lock */
	TAILQ_ENTRY(region) link; /* pool's lock */
};

/* All regions of the process; bounds them below vm.max_map_count. */
struct mapping_pool {
	struct lock lock; /* protects regions, count */
	TAILQ_HEAD(, region) regions;
	_Atomic unsigned count;
	unsigned limit;
	_Atomic uint64_t made; /* so far */
	_Atomic uint64_t evicted; /* because of the limit */
};

struct mapping {
	struct mapping_pool *pool;
	struct lock lock; /* protects what follows */
	struct region *region;
	/* madvise(2)'s numbers, applied whenever a region is made; 0: none. */
	int pattern; /* MADV_NORMAL, MADV_RANDOM, MADV_SEQUENTIAL */
	_Atomic int huge; /* MADV_HUGEPAGE, MADV_NOHUGEPAGE */
	int dump; /* MADV_DONTDUMP, MADV_DODUMP */
};

/* limit: the most regions at one time; 0 takes it from vm.max_map_count. */
void mapping_pool_init(struct mapping_pool *pool, unsigned limit);
void mapping_pool_fini(struct mapping_pool *pool);

void mapping_init(struct mapping *mapping, struct mapping_pool *pool);
/* Gives the region up; whoever still uses it keeps it. */
void mapping_drop(struct mapping *mapping);
void mapping_fini(struct mapping *mapping);

/*
 * A counted region that reaches to end (bytes from the file's start) and can
 * be written if that is asked for, or NULL when none can be had (no address
 * space, a file system that can't map, a descriptor that can't be read):
 * the caller then uses pread and pwrite.
 */
struct region *mapping_get(struct mapping *mapping, int fd, bool writable,
			   off_t end);
void region_put(struct region *region);

/*
 * Advises all of the present region and of those made later, with one of the
 * advices named above. 0, or -errno of madvise(2) for the present one.
 */
int mapping_advise(struct mapping *mapping, int advice);

/*
 * Lets go of the pages of a range (MADV_DONTNEED), so that nothing here
 * keeps them from being evicted; they come back at the next access.
 */
void mapping_let_go(struct mapping *mapping, off_t offset, off_t length);

/* Bytes of address space, now. */
size_t mapping_length(struct mapping *mapping);

#endif
