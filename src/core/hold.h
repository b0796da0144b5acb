/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files whose pages are held in memory (mlock2(2)), whether they are open or
 * not: lock=on and lock=onfault. A held file has a mapping of its own, so
 * its descriptor stays the caller's and may be closed.
 *
 * The table belongs to the filesystem object. Any thread; calls on one file
 * wait for each other, those on different files don't: bringing a large file
 * in takes long.
 */
#ifndef MSYNCFS_CORE_HOLD_H
#define MSYNCFS_CORE_HOLD_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "store/store.h"
#include "util/lock.h"

struct hold_table {
	struct lock lock; /* protects the rest */
	pthread_cond_t idle; /* work on some file is done */
	void *files; /* tsearch(3)'s tree */
	uint64_t limit; /* bytes */
	uint64_t bytes; /* held or about to be */
	uint64_t count; /* of files */
};

/*
 * limit_bytes: the most that is held, UINT64_MAX for no limit. Raises the
 * soft limit of RLIMIT_MEMLOCK to the hard one. 0 or -errno.
 */
int hold_table_init(struct hold_table *table, uint64_t limit_bytes);
/* Lets all go. No other call may be under way. */
void hold_table_fini(struct hold_table *table);

/*
 * Holds the whole file, or changes how; fd is open for reading. on_fault:
 * what is in memory now is held, and what comes in later from when
 * hold_follow() is called next; else all is brought in before it returns.
 * -ENOMEM past the limit, -EAGAIN or another -errno when the kernel refuses:
 * nothing has changed then.
 */
int hold_set(struct hold_table *table, const struct store_id *id, int fd,
	     bool on_fault);

/*
 * The file's size may have changed, or pages have come in: the hold is made
 * as long as the file and takes them in. -ENOMEM past the limit: what was
 * held still is. 0 if the file isn't held.
 */
int hold_follow(struct hold_table *table, const struct store_id *id, int fd);

/* Lets the file go; at once, also while another thread brings it in. */
void hold_drop(struct hold_table *table, const struct store_id *id);

/* bytes (may be NULL): what is held of it. */
bool hold_has(struct hold_table *table, const struct store_id *id,
	      uint64_t *bytes);

/* Which files are held: malloc'ed. 0 or -ENOMEM. */
int hold_list(struct hold_table *table, struct store_id **ids, size_t *count);

struct hold_totals {
	uint64_t bytes;
	uint64_t limit; /* UINT64_MAX: none */
	uint64_t count; /* files */
};

struct hold_totals hold_totals(struct hold_table *table);

#endif
