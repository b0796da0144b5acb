// SPDX-License-Identifier: Apache-2.0
/*
 * Address space is cheap and remapping is not: it takes the process's map
 * lock and flushes other processors' TLBs. So a region is made twice as
 * large as asked for, at least a mebibyte; pages past the end of the file
 * fault only if touched (mmap(2)), and whoever copies checks the size first.
 *
 * When the pool is full a hand goes round the regions (CLOCK, Corbato 1968):
 * one that was used since it last came by is spared once. The victim's
 * mapping is locked by trylock, since the order of the locks is the other
 * way round; a mapping that is busy is spared as well.
 */
#include "core/mapping.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define REGION_MIN ((off_t)1 << 20)
#define REGION_ALIGN ((off_t)1 << 21)
/* Doubling ends here: larger files get an eighth more. */
#define REGION_DOUBLING_MAX ((off_t)1 << 34)

static unsigned limit_of_system(void)
{
	unsigned maximum = 65530;
	FILE *file = fopen("/proc/sys/vm/max_map_count", "re");

	if (file) {
		if (fscanf(file, "%u", &maximum) != 1)
			maximum = 65530;
		fclose(file);
	}
	/* The rest is for threads, the allocator and libraries. */
	return maximum > 8192 ? maximum - 4096 : maximum / 2;
}

void mapping_pool_init(struct mapping_pool *pool, unsigned limit)
{
	lock_init(&pool->lock);
	TAILQ_INIT(&pool->regions);
	pool->count = 0;
	pool->limit = limit ? limit : limit_of_system();
}

void mapping_pool_fini(struct mapping_pool *pool)
{
	lock_fini(&pool->lock);
}

void mapping_init(struct mapping *mapping, struct mapping_pool *pool)
{
	*mapping = (struct mapping){ .pool = pool };
	lock_init(&mapping->lock);
}

void region_put(struct region *region)
{
	if (atomic_fetch_sub(&region->refs, 1) != 1)
		return;
	munmap(region->base, region->length);
	free(region);
}

static void detach_locked(struct mapping_pool *pool, struct region *region)
{
	TAILQ_REMOVE(&pool->regions, region, link);
	pool->count--;
	region->owner->region = NULL;
	region->owner = NULL;
}

/* Takes the next unused region off its mapping; NULL if all are in use. */
static struct region *evict_locked(struct mapping_pool *pool)
{
	for (unsigned tries = 2 * pool->count; tries > 0; tries--) {
		struct region *region = TAILQ_FIRST(&pool->regions);
		struct mapping *owner = region->owner;

		TAILQ_REMOVE(&pool->regions, region, link);
		TAILQ_INSERT_TAIL(&pool->regions, region, link);
		if (atomic_exchange(&region->used, false))
			continue;
		if (!lock_try(&owner->lock, lock_rank_mapping))
			continue;
		detach_locked(pool, region);
		lock_drop(&owner->lock, lock_rank_mapping);
		return region;
	}
	return NULL;
}

/* Evicts down to one below the limit, as far as regions are unused. */
static void evict_surplus(struct mapping_pool *pool)
{
	struct region *evicted;

	for (;;) {
		evicted = NULL;
		lock_take(&pool->lock, lock_rank_mapping_pool);
		if (pool->count >= pool->limit)
			evicted = evict_locked(pool);
		lock_drop(&pool->lock, lock_rank_mapping_pool);
		if (!evicted)
			break;
		pool->evicted++;
		region_put(evicted);
	}
}

/* Puts a region of mapping, whose lock is held, into the pool. */
static void pool_add(struct mapping *mapping, struct region *region)
{
	struct mapping_pool *pool = mapping->pool;

	evict_surplus(pool);
	lock_take(&pool->lock, lock_rank_mapping_pool);
	TAILQ_INSERT_TAIL(&pool->regions, region, link);
	pool->count++;
	pool->made++;
	region->owner = mapping;
	mapping->region = region;
	lock_drop(&pool->lock, lock_rank_mapping_pool);
}

static struct region *detach(struct mapping *mapping)
{
	struct mapping_pool *pool = mapping->pool;
	struct region *region = mapping->region;

	if (!region)
		return NULL;
	lock_take(&pool->lock, lock_rank_mapping_pool);
	detach_locked(pool, region);
	lock_drop(&pool->lock, lock_rank_mapping_pool);
	return region;
}

void mapping_drop(struct mapping *mapping)
{
	struct region *region;

	lock_take(&mapping->lock, lock_rank_mapping);
	region = detach(mapping);
	lock_drop(&mapping->lock, lock_rank_mapping);
	if (region)
		region_put(region);
}

void mapping_fini(struct mapping *mapping)
{
	mapping_drop(mapping);
	lock_fini(&mapping->lock);
}

static off_t length_for(off_t end)
{
	off_t length = end < REGION_MIN / 2 ? REGION_MIN / 2 : end;

	length += end < REGION_DOUBLING_MAX ? length : length / 8;
	return (length + REGION_ALIGN - 1) & ~(REGION_ALIGN - 1);
}

static struct region *region_new(int fd, bool writable, off_t end)
{
	int protection = PROT_READ | (writable ? PROT_WRITE : 0);
	struct region *region;

	if (end > INT64_MAX / 4)
		return NULL;
	region = calloc(1, sizeof(*region));
	if (!region)
		return NULL;
	region->length = (size_t)length_for(end);
	region->writable = writable;
	region->refs = 1;
	region->base = mmap(NULL, region->length, protection, MAP_SHARED, fd,
			    0);
	if (region->base == MAP_FAILED) {
		free(region);
		return NULL;
	}
	return region;
}

/* ---- advice ------------------------------------------------------------ */

static int advise(const struct region *region, int advice)
{
	return madvise(region->base, region->length, advice) < 0 ? -errno : 0;
}

static void apply_advice(const struct mapping *mapping,
			 const struct region *region)
{
	/* Refused by a kernel that lacks one: then there is no effect. */
	if (mapping->pattern)
		(void)advise(region, mapping->pattern);
	if (mapping->huge)
		(void)advise(region, mapping->huge);
	if (mapping->dump)
		(void)advise(region, mapping->dump);
}

static void remember(struct mapping *mapping, int advice)
{
	switch (advice) {
	case MADV_HUGEPAGE:
	case MADV_NOHUGEPAGE:
		mapping->huge = advice;
		break;
	case MADV_DONTDUMP:
	case MADV_DODUMP:
		mapping->dump = advice;
		break;
	default:
		mapping->pattern = advice;
		break;
	}
}

int mapping_advise(struct mapping *mapping, int advice)
{
	int r = 0;

	lock_take(&mapping->lock, lock_rank_mapping);
	remember(mapping, advice);
	if (mapping->region)
		r = advise(mapping->region, advice);
	lock_drop(&mapping->lock, lock_rank_mapping);
	return r;
}

void mapping_let_go(struct mapping *mapping, off_t offset, off_t length)
{
	off_t page = sysconf(_SC_PAGESIZE);
	off_t begin = offset & ~(page - 1);
	off_t end;

	lock_take(&mapping->lock, lock_rank_mapping);
	if (mapping->region && begin < (off_t)mapping->region->length) {
		end = (off_t)mapping->region->length;
		if (length > 0 && length < end - offset)
			end = (offset + length + page - 1) & ~(page - 1);
		(void)madvise(mapping->region->base + begin,
			      (size_t)(end - begin), MADV_DONTNEED);
	}
	lock_drop(&mapping->lock, lock_rank_mapping);
}

size_t mapping_length(struct mapping *mapping)
{
	size_t length = 0;

	lock_take(&mapping->lock, lock_rank_mapping);
	if (mapping->region)
		length = mapping->region->length;
	lock_drop(&mapping->lock, lock_rank_mapping);
	return length;
}

struct region *mapping_get(struct mapping *mapping, int fd, bool writable,
			   off_t end)
{
	struct region *outgrown = NULL;
	struct region *region;

	lock_take(&mapping->lock, lock_rank_mapping);
	region = mapping->region;
	if (!region || (off_t)region->length < end ||
	    (writable && !region->writable)) {
		outgrown = detach(mapping);
		region = region_new(fd, writable, end);
		if (region) {
			apply_advice(mapping, region);
			pool_add(mapping, region);
		}
	}
	if (region) {
		atomic_fetch_add(&region->refs, 1);
		atomic_store(&region->used, true);
	}
	lock_drop(&mapping->lock, lock_rank_mapping);
	if (outgrown)
		region_put(outgrown);
	return region;
}
