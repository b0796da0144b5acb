/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Carries changes out on store files: what a mount does after each commit and
 * recovery after a crash. Any thread, one for a file at a time.
 */
#ifndef MSYNCFS_STORE_APPLY_H
#define MSYNCFS_STORE_APPLY_H

#include <sys/types.h>

#include "store/journal.h"

/*
 * Puts the change into the file behind fd (opened for writing): holes, pages,
 * size, mtime, in this order. Not durable yet. 0 or -errno; it may be done in
 * part then, and doing it again later is right.
 */
int apply_change(int fd, const struct journal_change *change);

/*
 * Any write clears a file's capabilities (capabilities(7)). Carrying a change
 * out is not the program's write, which has cleared them when it was made: so
 * they are kept before and restored after it, unless there are new ones.
 */
struct apply_capabilities {
	ssize_t size; /* negative: none */
	char bytes[64];
};
void apply_keep_capabilities(int fd, struct apply_capabilities *kept);
void apply_restore_capabilities(int fd, const struct apply_capabilities *kept);

/*
 * Allocates what the change will need, without changing what the file reads
 * as or its size (fallocate(2), FALLOC_FL_KEEP_SIZE), so that apply_change()
 * can't meet a full store. 0, also where the file system can't; -ENOSPC,
 * -EDQUOT or another -errno.
 */
int apply_reserve(int fd, const struct journal_change *change);

/*
 * Removes the name, if it still leads to the inode that is meant.
 * directory_fd: of the removal's directory. 0, also if it doesn't; -errno.
 */
int apply_removal(int directory_fd, const struct journal_removal *removal);

#endif
