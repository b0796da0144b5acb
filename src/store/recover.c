// SPDX-License-Identifier: Apache-2.0
/*
 * The order, each step durable before the next:
 *
 *	1. the journal itself. A daemon that was killed has left it in the page
 *	   cache; a power cut in the middle of what follows must not find a
 *	   transaction gone that is in the files half.
 *	2. all changes of all transactions, then all removals. Removals name
 *	   inodes and changes go to inodes, so these don't depend on each
 *	   other, and nothing is unlinked that has yet to be found.
 *	3. the header, with nothing before its tail.
 *
 * A crash on the way, or an error, leaves a journal that says the same, and
 * what it says is true whatever part of it has been done.
 */
#include "store/recover.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/inode.h"
#include "store/apply.h"
#include "store/journal_file.h"
#include "store/journal_read.h"
#include "store/recover_find.h"
#include "util/cleanup.h"

struct work {
	int root_fd; /* opened here, so syncfs(2) tells of our errors */
	int fd; /* of the journal, for writing; -1: changes nothing */
	bool dry_run;
	struct journal_reader *reader;
	struct find find;
	struct recovery *recovery;
	char *error;
	size_t error_size;
};

int recover_lock(int root_fd)
{
	if (flock(root_fd, LOCK_EX | LOCK_NB) == 0)
		return 0;
	return errno == EWOULDBLOCK ? -EBUSY : -errno;
}

static int say_failed(struct work *work, const char *path, int r)
{
	journal_say(work->error, work->error_size, work->root_fd,
		"could not be carried out, and stays as it is: %s%s%s", path,
		*path ? ": " : "", strerror(-r));
	return r;
}

/* ---- changes ----------------------------------------------------------- */

/*
 * A file may be written by whom its mode keeps out: it was open before. Its
 * owner gives himself the right for a moment.
 */
static int open_for_writing(int located)
{
	struct inode_path path = inode_path_of(located);
	int flags = O_WRONLY | O_NONBLOCK | O_CLOEXEC;
	int fd = open(path.text, flags);
	struct stat st;

	if (fd >= 0 || errno != EACCES)
		return fd < 0 ? -errno : fd;
	if (fstat(located, &st) < 0 || st.st_uid != geteuid() ||
		chmod(path.text, (st.st_mode & 07777) | S_IWUSR) < 0)
		return -EACCES;
	fd = open(path.text, flags);
	if (fd < 0)
		fd = -errno;
	if (chmod(path.text, st.st_mode & 07777) < 0 && fd >= 0) {
		int r = -errno;

		close(fd);
		return r;
	}
	return fd;
}

static uint64_t bytes_of(const struct journal_change *change)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < change->page_count; i++) {
		uint64_t offset = change->pages[i].page << JOURNAL_PAGE_BITS;
		uint64_t left = offset < change->size ? change->size - offset :
							0;

		bytes += left < JOURNAL_PAGE ? left : JOURNAL_PAGE;
	}
	return bytes;
}

static int do_change(struct work *work, const struct journal_change *change)
{
	owned_fd located = find_open(&work->find, &change->id, change->path);
	struct apply_capabilities kept;
	owned_fd fd = -1;
	struct stat st;
	int r;

	work->recovery->changes++;
	if (located == -ENOENT) {
		work->recovery->missing++;
		return 0;
	}
	if (located < 0)
		return say_failed(work, change->path, located);
	if (fstat(located, &st) < 0)
		return say_failed(work, change->path, -errno);
	/* Never a device, whoever has written this. */
	if (!S_ISREG(st.st_mode))
		return say_failed(work, change->path, -EINVAL);
	work->recovery->bytes += bytes_of(change);
	if (work->dry_run)
		return 0;
	fd = open_for_writing(located);
	if (fd < 0)
		return say_failed(work, change->path, fd);
	apply_keep_capabilities(fd, &kept);
	r = apply_change(fd, change);
	apply_restore_capabilities(fd, &kept);
	return r < 0 ? say_failed(work, change->path, r) : 0;
}

static int do_changes(struct work *work, const struct journal_transaction *t)
{
	struct recovery *recovery = work->recovery;
	int r = 0;

	if (recovery->transactions == 0)
		recovery->first_sequence = t->sequence;
	recovery->last_sequence = t->sequence;
	recovery->transactions++;
	for (size_t i = 0; r == 0 && i < t->change_count; i++)
		r = do_change(work, &t->changes[i]);
	return r;
}

/* ---- removals ---------------------------------------------------------- */

/* Counts those that are still to be done. */
static int do_removal(struct work *work, const struct journal_removal *removal)
{
	owned_fd located = find_open(&work->find, &removal->directory,
		removal->path);
	owned_fd fd = -1;
	struct journal_id id;
	int r = 0;

	if (located == -ENOENT)
		return 0;
	if (located >= 0)
		fd = openat(located, removal->name,
			O_PATH | O_NOFOLLOW | O_CLOEXEC);
	else
		r = located;
	if (r == 0 && fd < 0)
		return errno == ENOENT ? 0 :
			       say_failed(work, removal->path, -errno);
	if (r == 0)
		r = journal_identify(fd, &id);
	if (r == 0 && journal_same_id(&id, &removal->file)) {
		work->recovery->removals++;
		if (!work->dry_run)
			r = apply_removal(located, removal);
	}
	return r < 0 ? say_failed(work, removal->path, r) : 0;
}

static int do_removals(struct work *work, const struct journal_transaction *t)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < t->removal_count; i++)
		r = do_removal(work, &t->removals[i]);
	return r;
}

/* ---- all --------------------------------------------------------------- */

static int want(struct work *work, const struct journal_transaction *t)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < t->change_count; i++)
		r = find_want(&work->find, &t->changes[i].id,
			t->changes[i].path);
	for (size_t i = 0; r == 0 && i < t->removal_count; i++)
		r = find_want(&work->find, &t->removals[i].directory,
			t->removals[i].path);
	return r < 0 ? say_failed(work, "a file can't be looked for", r) : 0;
}

static int for_each(struct work *work,
		    int (*what)(struct work *,
				const struct journal_transaction *))
{
	struct journal_transaction transaction;
	int more;
	int r = 0;

	journal_reader_rewind(work->reader);
	while (r == 0 &&
		(more = journal_reader_next(work->reader, &transaction)) != 0)
		r = more < 0 ? say_failed(work, "reading", more) :
			       what(work, &transaction);
	return r;
}

/* What is in the files is durable, then the journal's tail is. */
static int finish(struct work *work)
{
	struct journal_header header = *journal_reader_header(work->reader);
	int r = 0;

	header.generation++;
	header.tail_sequence =
		journal_reader_summary(work->reader)->next_sequence;
	header.tail_block = journal_reader_next_block(work->reader);
	/*
	 * On XFS syncfs() may leave the device unflushed; fdatasync() of any
	 * file flushes it (see store.c).
	 */
	if (syncfs(work->root_fd) < 0 || fdatasync(work->fd) < 0)
		r = -errno;
	if (r == 0)
		r = journal_header_write(work->fd, &header);
	if (r == 0 && fdatasync(work->fd) < 0)
		r = -errno;
	return r < 0 ? say_failed(work, "", r) : 0;
}

static int carry_out(struct work *work)
{
	int r = for_each(work, want);

	if (r < 0)
		return r;
	r = find_walk(&work->find);
	if (r < 0)
		return say_failed(work, "going through the store", r);
	r = for_each(work, do_changes);
	if (r == 0)
		r = for_each(work, do_removals);
	if (r == 0 && !work->dry_run)
		r = finish(work);
	return r;
}

/*
 * Opens the journal for writing and makes it durable. What is read later
 * comes from the device. 0, also when it isn't there or may only be read.
 */
static int settle(struct work *work)
{
	owned_fd directory = journal_directory_open(work->root_fd);
	int r = 0;

	if (directory < 0)
		return 0; /* the reader says why */
	work->fd = journal_file_open(directory, O_RDWR);
	if (work->fd == -ENOENT) {
		/* One that was never finished. */
		unlinkat(directory, JOURNAL_NEW_NAME, 0);
		unlinkat(work->root_fd, JOURNAL_DIRECTORY, AT_REMOVEDIR);
	}
	if (work->fd < 0)
		return 0;
	if (fdatasync(work->fd) < 0)
		r = -errno;
	if (r < 0)
		return say_failed(work, "", r);
	posix_fadvise(work->fd, 0, 0, POSIX_FADV_DONTNEED);
	return 0;
}

static int recover(struct work *work)
{
	const struct journal_summary *summary;
	int r = work->dry_run ? 0 : settle(work);

	if (r == 0)
		r = journal_reader_open(work->root_fd, &work->reader,
			work->error, work->error_size);
	if (r == -ENOENT)
		return 0;
	work->recovery->found = true;
	if (r < 0)
		return r;
	summary = journal_reader_summary(work->reader);
	work->recovery->torn = summary->torn;
	if (summary->transactions == 0)
		return 0;
	if (!work->dry_run && work->fd < 0) {
		journal_say(work->error, work->error_size, work->root_fd,
			"holds %llu commit%s that the store lacks, and can't "
			"be written: %s",
			(unsigned long long)summary->transactions,
			summary->transactions == 1 ? "" : "s",
			strerror(-work->fd));
		return work->fd;
	}
	return carry_out(work);
}

int recover_store(int root_fd, bool dry_run, struct recovery *recovery,
		  char *error, size_t error_size)
{
	owned_fd own_root = openat(root_fd, ".",
		O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct work work = {
		.root_fd = own_root,
		.fd = -1,
		.dry_run = dry_run,
		.recovery = recovery,
		.error = error,
		.error_size = error_size,
	};
	int r;

	*recovery = (struct recovery){ 0 };
	if (own_root < 0) {
		r = -errno;
		work.root_fd = root_fd;
		return say_failed(&work, "", r);
	}
	find_init(&work.find, own_root);
	r = recover(&work);
	find_fini(&work.find);
	journal_reader_close(work.reader);
	cleanup_close(&work.fd);
	return r;
}

int recover_discard(int root_fd, struct recovery *recovery, char *error,
		    size_t error_size)
{
	owned_fd own_root = openat(root_fd, ".",
		O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	owned_fd directory = -1;
	int r = own_root < 0 ? -errno : 0;

	/* What can't be read can't be counted. */
	if (r == 0)
		recover_store(own_root, true, recovery, error, error_size);
	if (r == 0) {
		directory = openat(own_root, JOURNAL_DIRECTORY,
			O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (directory < 0)
			r = errno == ENOENT ? 0 : -errno;
	}
	if (directory >= 0) {
		if (unlinkat(directory, JOURNAL_NAME, 0) < 0 &&
			errno != ENOENT)
			r = -errno;
		unlinkat(directory, JOURNAL_NEW_NAME, 0);
		/* Some file systems don't know a directory that is gone. */
		if (r == 0 && fsync(directory) < 0)
			r = -errno;
		/* Not empty with what somebody else has put there. */
		unlinkat(own_root, JOURNAL_DIRECTORY, AT_REMOVEDIR);
		if (r == 0 && fsync(own_root) < 0)
			r = -errno;
	}
	if (r < 0)
		journal_say(error, error_size, root_fd,
			"can't be removed: %s", strerror(-r));
	return r;
}
