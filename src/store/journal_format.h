/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The journal's bytes: what is in each kind of block, written and read by
 * functions, one integer at a time. The format itself is described at the top
 * of journal.c. Only for src/store and its tests. Pure; any thread.
 */
#ifndef MSYNCFS_STORE_JOURNAL_FORMAT_H
#define MSYNCFS_STORE_JOURNAL_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/journal.h"

#define JOURNAL_VERSION 1u

/* Both copies of the header; the ring is all blocks after them. */
#define JOURNAL_RING 2u
/* The least blocks that a file can have: these and one of the ring. */
#define JOURNAL_BLOCKS_MIN (JOURNAL_RING + 1u)

/* Numbers of pages are less: a file's size is less than 2^63 bytes. */
#define JOURNAL_PAGES_MAX (UINT64_C(1) << 51)

struct journal_header {
	uint32_t version;
	uint32_t block_size; /* bytes */
	uint64_t store_id[2];
	uint64_t blocks; /* of the whole file */
	uint64_t generation; /* even: the copy in block 0, odd: in block 1 */
	uint64_t tail_block; /* where transaction tail_sequence begins */
	uint64_t tail_sequence; /* the first that isn't checkpointed */
};

/* Fills a block of JOURNAL_PAGE bytes. */
void journal_header_encode(const struct journal_header *header, void *block);
/*
 * 0; -EBADMSG: this is no header, or damaged; -EPROTONOSUPPORT: it is whole
 * and newer than this program, only its version is set.
 */
int journal_header_decode(const void *block, struct journal_header *header);

/* The first block of a transaction, without what it describes. */
struct journal_head {
	uint64_t sequence;
	uint64_t blocks; /* of the transaction */
	uint64_t description; /* bytes */
	uint64_t pages; /* each is a block at the transaction's end */
	int64_t time_ns;
	uint64_t generation; /* the newest header that was durable then */
	uint64_t rest; /* checksum of the description's further blocks */
	uint32_t changes;
	uint32_t removals;
};

/* Where the description begins in a transaction's first block. */
#define JOURNAL_HEAD_BYTES 80u

/*
 * What the checksums of a transaction start from, so that a block of another
 * journal or of an earlier lap is never taken for one of it.
 */
uint64_t journal_seed(const uint64_t store_id[2], uint64_t sequence);
uint64_t journal_checksum(const void *bytes, size_t size, uint64_t seed);

/* The first block; what it describes is in it already. */
void journal_head_encode(const struct journal_head *head,
			 const uint64_t store_id[2], void *block);
/* False: this is no transaction's first block, or damaged. */
bool journal_head_decode(const void *block, const uint64_t store_id[2],
			 struct journal_head *head);

/* Blocks of a head and a description of so many bytes. */
static inline uint64_t journal_description_blocks(uint64_t bytes)
{
	return (JOURNAL_HEAD_BYTES + bytes + JOURNAL_PAGE - 1) / JOURNAL_PAGE;
}

/* ---- the description --------------------------------------------------- */

/*
 * Bytes, at most: of a change without the text of its path, holes and pages;
 * of a removal without path and name.
 */
#define JOURNAL_CHANGE_MAX (24u + JOURNAL_HANDLE_MAX + 48u + 8u)
#define JOURNAL_REMOVAL_MAX (2u * (24u + JOURNAL_HANDLE_MAX) + 8u + 16u)

/* Pages of all the transaction's changes. */
uint64_t journal_page_count(const struct journal_transaction *transaction);
/* Bytes. */
uint64_t
journal_description_size(const struct journal_transaction *transaction);
/*
 * Writes it, all but the pages' checksums: those are the last 8 bytes for
 * each page, in order.
 */
void journal_description_encode(const struct journal_transaction *transaction,
				unsigned char *bytes);
static inline size_t journal_checksums_at(const struct journal_head *head)
{
	return (size_t)(head->description - 8 * head->pages);
}

/*
 * A description that has been read. The pages' data is set by the reader:
 * data of change 0, then of change 1.
 */
struct journal_description {
	struct journal_change *changes;
	struct journal_removal *removals;
	struct journal_hole *holes; /* of all changes */
	struct journal_page *pages;
	char *text; /* paths and names, each with its NUL */
};

/*
 * Reads it, believing nothing: 0; -EBADMSG: what it says can't be; -ENOMEM.
 * It takes no more memory than a few times the bytes and pages there are.
 */
int journal_description_decode(const struct journal_head *head,
			       const unsigned char *bytes,
			       struct journal_description *description);
void journal_description_fini(struct journal_description *description);

#endif
