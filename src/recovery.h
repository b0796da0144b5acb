/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What has to be done with a store before it is mounted: nobody else may use
 * it from then on, and it is brought to its last commit. Called once, by the
 * process that will serve the mount (proc_locks(5) shows its number), before
 * it has other threads and before anything of the store is used.
 */
#ifndef MSYNCFS_RECOVERY_H
#define MSYNCFS_RECOVERY_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Locks the store behind fd (a directory, O_RDONLY) for as long as its open
 * file description lives, and carries out what its journal holds, or with
 * discard throws it away. What was done goes to the log. store: its path, for
 * messages. 0; or -errno with one line in error that says what to do: -EBUSY
 * if somebody has it, else as recover_store().
 */
int recovery_run(const char *store, int fd, bool discard, char *error,
		 size_t error_size);

#endif
