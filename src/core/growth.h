/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a file may grow, and where its space comes from: the policies grow=
 * and append=. Decisions are pure; what allocates goes by descriptor. Sizes
 * and offsets are in bytes. Any thread; whoever needs the size to hold still
 * between a decision and the write keeps others out.
 */
#ifndef MSYNCFS_CORE_GROWTH_H
#define MSYNCFS_CORE_GROWTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct policy;

/*
 * May these bytes be written? append: at the end, wherever that is; offset
 * does not count then. Shortens *length so that the write ends at grow's
 * max. 0; -EFBIG when nothing is left; -EPERM when append=on and the write
 * is elsewhere than at the end. What a file has beyond max already may be
 * overwritten.
 */
int growth_limit_write(const struct policy *policy, off_t size, off_t offset,
		       size_t *length, bool append);

/* truncate(2). 0, -EPERM upward with append=on, -EFBIG upward past max. */
int growth_check_truncate(const struct policy *policy, off_t size,
			  off_t new_size);

/*
 * fallocate(2). With append=on only what changes no byte and no size: else
 * -EPERM. -EFBIG for a size past max, or space past it.
 */
int growth_check_fallocate(const struct policy *policy, off_t size, int mode,
			   off_t offset, off_t length);

/* Of an open file; all zero at its first open. */
struct growth {
	/* The end of the chunk tried last; INT64_MAX: the store can't. */
	_Atomic int64_t allocated;
};

/*
 * Before a write that will end at end: has the store allocate the rest of
 * the chunk it ends in, invisibly. Costs a comparison, and one fallocate(2)
 * for each chunk. The store's refusal is no error; it is asked again at the
 * next chunk. Never a hole's space.
 */
void growth_ahead(struct growth *growth, int fd, const struct policy *policy,
		  off_t size, off_t end);

/* The file was cut: what had been allocated ahead is gone. */
void growth_forget(struct growth *growth);

/*
 * Gives the space beyond the end back; size and mtime stay, ctime moves.
 * fd is for writing. 0, also when there was nothing to give back. -EAGAIN
 * when anybody else has the file open or mapped, in the store, too: a hold of
 * its pages (lock=on) is such a mapping. -EPERM when it would cost the file
 * its setuid or setgid bit or its capabilities. Else the -errno of a file
 * system that can't.
 */
int growth_trim(int fd);

#endif
