// SPDX-License-Identifier: Apache-2.0
/*
 * Pages kept in memory. mlock2(2) locks what is mapped, so a hold is a
 * mapping that nobody reads: populated by the kernel, never touched by us.
 */
#include "os/pagecache.h"

#include <errno.h>
#include <sys/mman.h>

#include "os/pagecache_range.h"

int pagecache_hold_make(struct pagecache_hold *hold, int fd, size_t length,
			bool on_fault)
{
	unsigned flags = on_fault ? MLOCK_ONFAULT : 0;
	char *base = NULL;
	int error;

	hold->base = NULL;
	hold->length = 0;
	if (length == 0)
		return 0;
	base = pagecache_view(fd, 0, length, PROT_READ);
	if (!base)
		return -errno;
	if (mlock2(base, length, flags) < 0) {
		error = -errno;
		munmap(base, length);
		return error;
	}
	hold->base = base;
	hold->length = length;
	return 0;
}

int pagecache_hold_change(struct pagecache_hold *hold, bool on_fault)
{
	unsigned flags = on_fault ? MLOCK_ONFAULT : 0;

	if (hold->base && mlock2(hold->base, hold->length, flags) < 0)
		return -errno;
	return 0;
}

int pagecache_hold_resize(struct pagecache_hold *hold, size_t length)
{
	void *base;

	if (length == hold->length)
		return 0;
	if (length == 0) {
		pagecache_hold_drop(hold);
		return 0;
	}
	base = mremap(hold->base, hold->length, length, MREMAP_MAYMOVE);
	if (base == MAP_FAILED)
		return -errno;
	hold->base = base;
	hold->length = length;
	return 0;
}

void pagecache_hold_drop(struct pagecache_hold *hold)
{
	if (hold->base)
		munmap(hold->base, hold->length);
	hold->base = NULL;
	hold->length = 0;
}

int pagecache_hold_catch_up(struct pagecache_hold *hold, int fd)
{
	struct pagecache_range range;
	struct pagecache_walk walk;
	struct pagecache_part part;
	int error = pagecache_range_make(&range, fd, 0, 0);

	if (error)
		return error;
	if (range.end > (off_t)hold->length)
		range.end = (off_t)hold->length;
	error = pagecache_walk_begin(&walk, fd, &range);
	if (error)
		return error;
	while ((error = pagecache_walk_next(&walk, &part)) > 0) {
		/* What is evicted or cut off meanwhile is not held then. */
		madvise(hold->base + part.at, (size_t)(part.end - part.at),
			ADVICE_POPULATE_READ);
	}
	pagecache_walk_end(&walk);
	return error;
}
