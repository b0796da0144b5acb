/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Carries changes out on store files: what a mount does after each commit and
 * recovery after a crash. Any thread, one for a file at a time.
 */
#ifndef MSYNCFS_STORE_APPLY_H
#define MSYNCFS_STORE_APPLY_H

#include "store/journal.h"

/*
 * Puts the change into the file behind fd (opened for writing): holes, pages,
 * size, mtime, in this order. Not durable yet. 0 or -errno; it may be done in
 * part then, and doing it again later is right.
 */
int apply_change(int fd, const struct journal_change *change);

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
