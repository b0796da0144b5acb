/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Brings a store to its last commit: what its journal holds is carried out,
 * made durable, and the journal is emptied. Before the store is used by
 * anybody, with the store's lock held. One thread.
 */
#ifndef MSYNCFS_STORE_RECOVER_H
#define MSYNCFS_STORE_RECOVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct recovery {
	bool found; /* there is a journal */
	bool torn; /* a commit was under way and not complete: dropped */
	uint64_t transactions;
	uint64_t first_sequence, last_sequence; /* of these; 0 without */
	uint64_t changes; /* files changed, counted for each transaction */
	uint64_t bytes; /* of data written to files */
	uint64_t missing; /* changes of files that have been deleted since */
	uint64_t removals;
};

/*
 * Keeps all others out of the store behind root_fd (flock(2) of the
 * directory, as long as its open file description lives). 0; -EBUSY when
 * another daemon or recovery has it; -errno.
 */
int recover_lock(int root_fd);

/*
 * 0, also when there is no journal or nothing in it; else as
 * journal_reader_open() or what failed when the store was written, and one
 * line in error. After any error the journal is as it was, and doing it again
 * is right. dry_run: changes nothing, only counts.
 */
int recover_store(int root_fd, bool dry_run, struct recovery *recovery,
		  char *error, size_t error_size);

/*
 * Throws the journal away, whatever it is; what is counted is what was lost,
 * as far as it can be read. 0 or -errno.
 */
int recover_discard(int root_fd, struct recovery *recovery, char *error,
		    size_t error_size);

#endif
