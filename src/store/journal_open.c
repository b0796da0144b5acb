// SPDX-License-Identifier: Apache-2.0
/*
 * A journal is made under another name and renamed when all of it is durable,
 * so one that has its name always has a header. All blocks are written once
 * then: a later fdatasync(2) has no metadata to write. What it grows by is
 * only allocated, and costs the file system a record in its first lap.
 *
 * Growing is three steps, each durable before the next: the file is larger
 * than its header says; the header says so, with the tail at the beginning;
 * something is written behind the old end.
 */
#include "store/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/journal_file.h"
#include "store/journal_read.h"
#include "store/journal_ring.h"
#include "util/cleanup.h"

#define CHUNK (1u << 20) /* bytes written at one time, and grown by */
#define CHUNK_BLOCKS (CHUNK / JOURNAL_PAGE)

static int write_zeros(int fd, uint64_t from, uint64_t to)
{
	owned_memory char *zeros = calloc(1, CHUNK);
	int r = 0;

	if (!zeros)
		return -ENOMEM;
	while (r == 0 && from < to) {
		uint64_t size = to - from < CHUNK ? to - from : CHUNK;

		r = journal_write(fd, zeros, size, (off_t)from);
		from += size;
	}
	return r;
}

/* Where the file system can't allocate they have to be written. */
static int allocate(int fd, uint64_t from, uint64_t to)
{
	int r;

	do
		r = fallocate(fd, 0, (off_t)from, (off_t)(to - from));
	while (r < 0 && errno == EINTR);
	if (r == 0)
		return 0;
	if (errno != EOPNOTSUPP && errno != ENOSYS)
		return -errno;
	return write_zeros(fd, from, to);
}

int journal_grow(struct journal *journal, uint64_t blocks)
{
	uint64_t old = journal->blocks;
	uint64_t old_head = journal->head;
	uint64_t larger = JOURNAL_RING + blocks + blocks / 4;
	int r;

	larger = (larger + CHUNK_BLOCKS - 1) / CHUNK_BLOCKS * CHUNK_BLOCKS;
	r = allocate(journal->fd, old * JOURNAL_PAGE, larger * JOURNAL_PAGE);
	if (r < 0) {
		/* Longer than it says is right as well. */
		if (ftruncate(journal->fd, (off_t)(old * JOURNAL_PAGE)) < 0)
			return r;
		return r;
	}
	r = journal_make_durable(journal);
	if (r < 0)
		return r;
	journal->blocks = larger;
	journal->head = 0;
	r = journal_write_tail(journal, 0);
	if (r == 0)
		r = journal_make_durable(journal);
	if (r < 0) {
		journal->failed = true;
		journal->blocks = old;
		journal->head = old_head;
	}
	return r;
}

/* ---- a new one --------------------------------------------------------- */

/* Both copies of its header, so that the file is never without. */
static int write_first_headers(struct journal *journal)
{
	struct journal_header header = {
		.version = JOURNAL_VERSION,
		.block_size = JOURNAL_PAGE,
		.store_id = { journal->store_id[0], journal->store_id[1] },
		.blocks = journal->blocks,
		.tail_block = JOURNAL_RING,
		.tail_sequence = 1,
	};
	int r = journal_header_write(journal->fd, &header);

	if (r < 0)
		return r;
	header.generation = 1;
	journal->generation = 1;
	journal->next = 1;
	return journal_header_write(journal->fd, &header);
}

static int sync_names(const struct journal *journal)
{
	if (fsync(journal->directory_fd) < 0 || fsync(journal->root_fd) < 0)
		return -errno;
	return 0;
}

static int fill(struct journal *journal, uint64_t size)
{
	struct stat st;
	int r;

	if (fstat(journal->fd, &st) < 0)
		return -errno;
	/* Recovery would refuse it then. */
	if (st.st_uid != geteuid())
		return -EPERM;
	/* Whatever this thread's umask is. */
	if (fchmod(journal->fd, 0600) < 0)
		return -errno;
	if (size < JOURNAL_SIZE_MIN)
		size = JOURNAL_SIZE_MIN;
	journal->blocks = (size + JOURNAL_PAGE - 1) / JOURNAL_PAGE;
	size = journal->blocks * JOURNAL_PAGE;
	r = allocate(journal->fd, 0, size);
	if (r == 0)
		r = write_zeros(journal->fd, 0, size);
	if (r == 0)
		r = journal_store_id(journal->root_fd, journal->fd,
			journal->store_id);
	if (r == 0)
		r = write_first_headers(journal);
	if (r == 0 && fdatasync(journal->fd) < 0)
		r = -errno;
	return r;
}

static int make(struct journal *journal, uint64_t size)
{
	int directory = journal->directory_fd;
	int r;

	if (unlinkat(directory, JOURNAL_NEW_NAME, 0) < 0 && errno != ENOENT)
		return -errno;
	journal->fd = openat(directory, JOURNAL_NEW_NAME,
		O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (journal->fd < 0)
		return -errno;
	r = fill(journal, size);
	if (r == 0 && renameat(directory, JOURNAL_NEW_NAME, directory,
			      JOURNAL_NAME) < 0)
		r = -errno;
	if (r < 0)
		unlinkat(directory, JOURNAL_NEW_NAME, 0);
	return r < 0 ? r : sync_names(journal);
}

/* ---- one that is there ------------------------------------------------- */

static int take_over(struct journal *journal, char *error, size_t error_size)
{
	const struct journal_header *header;
	const struct journal_summary *summary;
	struct journal_reader *reader;
	uint64_t waiting;
	bool torn;
	int r = journal_reader_open(journal->root_fd, &reader, error,
		error_size);

	if (r < 0)
		return r;
	header = journal_reader_header(reader);
	summary = journal_reader_summary(reader);
	waiting = summary->transactions;
	torn = summary->torn;
	journal->store_id[0] = header->store_id[0];
	journal->store_id[1] = header->store_id[1];
	journal->blocks = header->blocks;
	journal->generation = header->generation;
	journal->next = summary->next_sequence;
	journal->head = journal_reader_next_block(reader) - JOURNAL_RING;
	journal_reader_close(reader);
	if (waiting > 0) {
		journal_say(error, error_size, journal->root_fd,
			"holds %llu commit%s that the store lacks: recover "
			"it first, with msyncctl recover",
			(unsigned long long)waiting, waiting == 1 ? "" : "s");
		return -EBUSY;
	}
	/* It could become whole with blocks of the next one. */
	r = torn ? journal_wipe(journal) : 0;
	if (r == 0 && fdatasync(journal->fd) < 0)
		r = -errno;
	if (r < 0)
		journal_say(error, error_size, journal->root_fd,
			"can't be written: %s", strerror(-r));
	return r;
}

/* ---- for all ----------------------------------------------------------- */

static int open_directory(struct journal *journal, bool *made)
{
	*made = mkdirat(journal->root_fd, JOURNAL_DIRECTORY, 0700) == 0;
	if (!*made && errno != EEXIST)
		return -errno;
	if (*made && fchmodat(journal->root_fd, JOURNAL_DIRECTORY, 0700,
			      AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	journal->directory_fd = journal_directory_open(journal->root_fd);
	return journal->directory_fd < 0 ? journal->directory_fd : 0;
}

static int open_any(struct journal *journal, uint64_t size, char *error,
		    size_t error_size)
{
	bool made = false;
	int r = open_directory(journal, &made);

	if (r == 0) {
		journal->fd = journal_file_open(journal->directory_fd, O_RDWR);
		if (journal->fd >= 0)
			return take_over(journal, error, error_size);
		r = journal->fd;
	}
	if (r == -ENOENT)
		r = make(journal, size);
	if (r < 0 && made)
		unlinkat(journal->root_fd, JOURNAL_DIRECTORY, AT_REMOVEDIR);
	if (r == -EPERM)
		journal_say(error, error_size, journal->root_fd,
			"would not be of the user who runs this (id %u)",
			(unsigned)geteuid());
	else if (r < 0)
		journal_say(error, error_size, journal->root_fd,
			"can't be made: %s", strerror(-r));
	return r;
}

static void free_journal(struct journal *journal)
{
	cleanup_close(&journal->fd);
	cleanup_close(&journal->directory_fd);
	cleanup_close(&journal->root_fd);
	free(journal->kept);
	free(journal);
}

int journal_open(int root_fd, uint64_t size, struct journal **journal,
		 char *error, size_t error_size)
{
	struct journal *this = calloc(1, sizeof(*this));
	int r = 0;

	if (!this)
		return -ENOMEM;
	this->directory_fd = -1;
	this->fd = -1;
	this->root_fd = openat(root_fd, ".",
		O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (this->root_fd < 0) {
		r = -errno;
		journal_say(error, error_size, root_fd, "can't be made: %s",
			strerror(-r));
	}
	if (r == 0)
		r = open_any(this, size, error, error_size);
	if (r < 0) {
		free_journal(this);
		return r;
	}
	this->sequence = this->next - 1;
	this->room = (this->blocks - JOURNAL_RING) * JOURNAL_PAGE;
	*journal = this;
	return 0;
}

void journal_close(struct journal *journal, bool remove)
{
	if (!journal)
		return;
	if (!remove || journal->kept_count > 0) {
		journal_flush(journal);
	} else if (unlinkat(journal->directory_fd, JOURNAL_NAME, 0) == 0) {
		unlinkat(journal->root_fd, JOURNAL_DIRECTORY, AT_REMOVEDIR);
		fsync(journal->root_fd);
	}
	free_journal(journal);
}
