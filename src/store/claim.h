/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store is used by one process at a time, a daemon or msyncctl: whoever has
 * the lock on its root directory. Any thread.
 */
#ifndef MSYNCFS_STORE_CLAIM_H
#define MSYNCFS_STORE_CLAIM_H

#include <stddef.h>

/*
 * Takes the lock (recover_lock()) of the store at path, whose root directory
 * root_fd is. Who has it may be about to end: a daemon whose mount is gone is
 * waited for up to ten seconds, one that is mounted for one. 0; or -errno with
 * one line in error: -EBUSY, which names who has it as far as proc_locks(5)
 * knows, or that it can't be locked (NFS has no locks on directories).
 */
int claim_store(int root_fd, const char *path, char *error,
		size_t error_size);

#endif
