/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is in a store's journal, without changing anything. Whatever bytes are
 * in the file: no crash, nothing but whole transactions, and a reason. One
 * thread at a time.
 */
#ifndef MSYNCFS_STORE_JOURNAL_READ_H
#define MSYNCFS_STORE_JOURNAL_READ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/journal.h"

struct journal_reader;

struct journal_summary {
	uint32_t version;
	uint32_t block_size; /* bytes */
	uint64_t blocks; /* of the whole file */
	uint64_t store_id[2]; /* as the journal has it */
	uint64_t generation; /* of the header, grows at each checkpoint */
	uint64_t first_sequence; /* the first that is not checkpointed */
	uint64_t next_sequence; /* after the last whole one */
	uint64_t transactions; /* whole ones that are to be carried out */
	uint64_t blocks_used; /* by these */
	bool torn; /* one more begins after them and isn't whole */
};

/*
 * Reads and checks all of it. 0; -ENOENT: the store has none; with one line
 * in error that says what to do:
 *
 *	-EPROTONOSUPPORT	of a newer version
 *	-EXDEV			of another store, or a copy
 *	-EBADMSG		damaged: whole transactions come after one
 *				that is not, or no header can be read
 *	-EIO ...		it can't be read
 */
int journal_reader_open(int root_fd, struct journal_reader **reader,
			char *error, size_t error_size);
/*
 * The same for a file by itself (fd, not taken over), which may be of any
 * store: for tests and fuzzing.
 */
int journal_reader_open_file(int fd, struct journal_reader **reader,
			     char *error, size_t error_size);
void journal_reader_close(struct journal_reader *reader);

const struct journal_summary *
journal_reader_summary(const struct journal_reader *reader);

/*
 * The next transaction, in order: 1, or 0 after the last, or -errno. What it
 * points to stays until the next call.
 */
int journal_reader_next(struct journal_reader *reader,
			struct journal_transaction *transaction);
/* Bytes that this transaction takes in the journal. */
uint64_t journal_reader_length(const struct journal_reader *reader);

#endif
