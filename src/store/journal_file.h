/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The journal's file in a store: found, proven to be this store's, read and
 * written whole. Only for src/store. Any thread.
 */
#ifndef MSYNCFS_STORE_JOURNAL_FILE_H
#define MSYNCFS_STORE_JOURNAL_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "store/journal_format.h"

/* The name of one that is being made. */
#define JOURNAL_NEW_NAME "journal.new"

/*
 * The directory of the journal. A descriptor; -ENOENT; -EPERM when it is not
 * this process's user's: whoever can write a journal can have its bytes
 * written to any file of the file system.
 */
int journal_directory_open(int root_fd);
/* The journal in it, with the flags of open(2); as above. */
int journal_file_open(int directory_fd, int flags);

/* What the header's store id has to be. 0 or -errno. */
int journal_store_id(int root_fd, int file_fd, uint64_t id[2]);

/*
 * Writes all of it, as often as that takes; changes parts. 0 or -errno. Any
 * number of parts.
 */
int journal_write_parts(int fd, struct iovec *parts, size_t count,
			off_t offset);
int journal_write(int fd, const void *bytes, size_t size, off_t offset);
/* 0 or -errno; -EIO also when the file ends before. */
int journal_read(int fd, void *bytes, size_t size, off_t offset);

/* Writes the header to its place; not durable yet. 0 or -errno. */
int journal_header_write(int fd, const struct journal_header *header);

/*
 * One line about the journal of this store, which begins with its path; -1:
 * a file by itself.
 */
void journal_say(char *error, size_t size, int root_fd, const char *format,
		 ...) __attribute__((format(printf, 4, 5)));

struct journal_reader;

/* The header that counts, and the block where the next transaction goes. */
const struct journal_header *
journal_reader_header(const struct journal_reader *reader);
uint64_t journal_reader_next_block(const struct journal_reader *reader);
/* Before the first transaction again. */
void journal_reader_rewind(struct journal_reader *reader);

#endif
