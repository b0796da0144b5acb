/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The redo journal of a store: whole transactions, each durable before
 * anything of it reaches the files it changes. The format is documented at
 * the top of journal.c.
 *
 * What a transaction holds is the same value whether it is written
 * (journal_append), read (journal_read.h) or carried out (apply.h): after it,
 * each of its files has these pages, holes, size and time, all of them
 * together. Carrying it out twice does what once does.
 *
 * The owner calls from one thread at a time; the inquiries at the end may be
 * called from any.
 */
#ifndef MSYNCFS_STORE_JOURNAL_H
#define MSYNCFS_STORE_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

/* Pages and the journal's blocks, in bytes. */
#define JOURNAL_PAGE 4096u
#define JOURNAL_PAGE_BITS 12

/* In the store's root; hidden at the mount. */
#define JOURNAL_DIRECTORY ".msyncfs"
#define JOURNAL_NAME "journal"

/* Bytes: what a new journal has, and the least it may be told to have. */
#define JOURNAL_SIZE_DEFAULT (UINT64_C(32) << 20)
#define JOURNAL_SIZE_MIN (UINT64_C(256) << 10)

/* A file handle has at most so many bytes (MAX_HANDLE_SZ). */
#define JOURNAL_HANDLE_MAX 128

/*
 * Which inode is meant, on the file system of the store's root: by the handle
 * of name_to_handle_at(2), which has a generation in it; on file systems
 * without handles by number and birth time.
 */
struct journal_id {
	uint64_t ino;
	int64_t birth_ns; /* since the epoch; 0: not known */
	int32_t handle_type;
	uint32_t handle_length; /* 0: there is none */
	unsigned char handle[JOURNAL_HANDLE_MAX];
};

/* The count of a range that has no end. */
#define JOURNAL_TO_END UINT64_MAX

/* Pages that read as zeros; first of all a change does. */
struct journal_hole {
	uint64_t first; /* page */
	uint64_t count; /* or JOURNAL_TO_END: the file is cut there */
};

struct journal_page {
	uint64_t page; /* its number in the file */
	const void *data; /* JOURNAL_PAGE bytes */
};

struct journal_change {
	struct journal_id id;
	/*
	 * Where the file was, relative to the store's root, for who can't
	 * open by handle; never NULL, may be out of date or empty.
	 */
	const char *path;
	uint64_t size; /* of the file, bytes, after the change */
	struct timespec mtime;
	const struct journal_hole *holes; /* ascending, apart */
	size_t hole_count;
	const struct journal_page *pages; /* ascending; after the holes */
	size_t page_count;
};

/* A name that is gone with the transaction, if it still is this inode's. */
struct journal_removal {
	struct journal_id directory;
	const char *path; /* of the directory, as above */
	const char *name;
	struct journal_id file;
};

struct journal_transaction {
	uint64_t sequence; /* journal_append() sets both */
	uint64_t length; /* bytes that it takes in the journal */
	int64_t time_ns; /* since the epoch, when it was taken */
	const struct journal_change *changes;
	size_t change_count;
	const struct journal_removal *removals; /* after the changes */
	size_t removal_count;
};

struct journal;

/* The id of the inode behind fd (O_PATH is enough). 0 or -errno. */
int journal_identify(int fd, struct journal_id *id);
bool journal_same_id(const struct journal_id *a, const struct journal_id *b);

/*
 * Opens the journal of the store whose root directory is root_fd, made with
 * `size` bytes (rounded up to blocks) if there is none, in a directory that
 * only its owner may enter. One that is there must be empty: recover_store()
 * comes before. Its blocks are allocated and written once, so that later
 * nothing but the data has to reach the disk. 0 or -errno, with one line in
 * error: -ENOSPC; -EBUSY when transactions are in it; what recover_store()
 * says of one that can't be used.
 */
int journal_open(int root_fd, uint64_t size, struct journal **journal,
		 char *error, size_t error_size);

/*
 * Closes it. If nothing is in it that the store needs, and remove is set, the
 * file and its directory are removed, so that the store is only its files.
 */
void journal_close(struct journal *journal, bool remove);

/*
 * Writes a transaction and makes it durable with one fdatasync(2). When this
 * returns 0 it is; on any error it is not, and will not be.
 *
 *	-EAGAIN		no room until journal_release() of what is in it
 *	-ENOSPC		the file must grow and the store is full
 *	-EIO ...	the device failed: nothing can be appended any more
 *			until journal_reset()
 *
 * A transaction larger than the journal makes it grow; that needs it empty
 * (else -EAGAIN).
 */
int journal_append(struct journal *journal,
		   struct journal_transaction *transaction);

/*
 * All transactions up to this sequence are carried out and durable in the
 * store. Their room is free once that is durable here as well, which the next
 * journal_append() sees to, or journal_flush(). 0 or -errno.
 */
int journal_release(struct journal *journal, uint64_t sequence);
int journal_flush(struct journal *journal);

/*
 * After an error: the same journal anew, with nothing in it that has been
 * released. 0 or -errno.
 */
int journal_reset(struct journal *journal);

/* The last sequence that is durable; 0: none ever was. Any thread. */
uint64_t journal_sequence(const struct journal *journal);
/* Bytes, of the file and of what an append may use now. Any thread. */
uint64_t journal_size(const struct journal *journal);
uint64_t journal_room(const struct journal *journal);
/* Bytes that a transaction of so many files and pages takes, at most. */
uint64_t journal_need(size_t changes, size_t removals, size_t holes,
		      size_t pages, size_t path_bytes);

#endif
