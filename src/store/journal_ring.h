/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a journal that is open knows of its ring. Only for journal.c, which
 * writes transactions, and journal_open.c, which makes the file and changes
 * its size. The owner's thread, except for what is atomic.
 */
#ifndef MSYNCFS_STORE_JOURNAL_RING_H
#define MSYNCFS_STORE_JOURNAL_RING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A transaction that the store may still need. */
struct journal_kept {
	uint64_t sequence;
	uint64_t place; /* in the ring, in blocks */
	uint64_t blocks;
};

struct journal {
	int root_fd;
	int directory_fd;
	int fd;
	uint64_t store_id[2];
	uint64_t generation; /* of the newest header that is durable */
	bool header_written; /* the next one, which isn't durable yet */
	bool failed; /* until journal_reset() */
	uint64_t head; /* place in the ring where the next goes */
	uint64_t next; /* its sequence */
	uint64_t used; /* blocks from the tail of the durable header on */
	uint64_t freeing; /* of these, free when the next header is durable */
	struct journal_kept *kept; /* ascending */
	size_t kept_count;
	size_t kept_room;
	/* Any thread. */
	_Atomic uint64_t blocks; /* of the file, with both headers */
	_Atomic uint64_t sequence; /* the last that is durable */
	_Atomic uint64_t room; /* bytes that an append may use */
};

/*
 * Writes a header whose tail is the oldest transaction of kept[from] and
 * after, or the next one. 0 or -errno.
 */
int journal_write_tail(struct journal *journal, size_t from);

/*
 * fdatasync(2): all that has been written is durable then, and room behind
 * the tail free. 0 or -errno, and failed.
 */
int journal_make_durable(struct journal *journal);

/*
 * Overwrites the first block of what may be in the next transaction's place.
 * 0 or -errno.
 */
int journal_wipe(struct journal *journal);

/*
 * Makes the empty journal large enough for a transaction of so many blocks.
 * 0 or -errno; the journal is as it was then, or failed.
 */
int journal_grow(struct journal *journal, uint64_t blocks);

#endif
