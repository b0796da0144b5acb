// SPDX-License-Identifier: Apache-2.0
/*
 * map=staged: what programs write is in memory until a commit takes it to the
 * store. A step that fails leaves each file as it was or as it was meant; the
 * driver then commits, and compares. What is pending before the act was
 * written by the setup, on the mount.
 *
 * None of these files is committed by time unless the step is about that.
 */
#include "steps.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include "control.h"
#include "daemon.h"
#include "report.h"

#define PREFIX "user.msyncfs."
#define FILES 3
/* For what takes a fraction of a second. */
#define PATIENCE_MS 5000

/* ---- setups ------------------------------------------------------------ */

static void stage(struct place *place, const char *name, const char *sync)
{
	store_policy(place, name, "map", "staged");
	store_policy(place, name, "sync", sync);
}

static void with_sync(struct place *place, const char *value)
{
	make_file(place, "file", 0644);
	stage(place, "file", value);
}

static void staged_file(struct place *place)
{
	with_sync(place, "fsync=defer");
}

static void honoring_file(struct place *place)
{
	with_sync(place, "strict");
}

static void grouped_file(struct place *place)
{
	with_sync(place, "fsync=group:5ms");
}

static void committed_at_close(struct place *place)
{
	with_sync(place, "close");
}

static void committed_after_close(struct place *place)
{
	with_sync(place, "fsync=defer+close");
}

static void committed_by_time(struct place *place)
{
	with_sync(place, "fsync=defer+every=80ms");
}

static void committed_by_amount(struct place *place)
{
	with_sync(place, "fsync=defer+dirty=8K");
}

static void two_staged_files(struct place *place)
{
	staged_file(place);
	make_file(place, "other", 0600);
	stage(place, "other", "fsync=defer");
}

static void several_staged_files(struct place *place)
{
	static const char *const names[FILES] = { "1", "2", "3" };

	for (unsigned i = 0; i < FILES; i++) {
		make_file(place, names[i], 0644);
		stage(place, names[i], "fsync=defer");
	}
}

static void staged_directory(struct place *place)
{
	stage(place, ".", "fsync=defer");
}

static void honoring_directory(struct place *place)
{
	stage(place, ".", "strict");
}

/* Written on the mount, which an fsync has ordered before what comes. */
static void make_pending(struct place *place, const char *name)
{
	int fd = open_in(place, name, O_RDWR);

	must(fd, "a staged file");
	must(written(fd, 100, 3000), "writing to it");
	must(fsync(fd), "a deferred fsync");
	must(close(fd), "closing it");
}

static void pending_file(struct place *place)
{
	staged_file(place);
	make_pending(place, "file");
}

static void pending_file_and_other(struct place *place)
{
	two_staged_files(place);
	make_pending(place, "file");
}

static void two_pending_files(struct place *place)
{
	two_staged_files(place);
	make_pending(place, "file");
	make_pending(place, "other");
}

/* A new one of USER_ID would be as they are. */
static void pending_files_of_directory(struct place *place)
{
	stage(place, ".", "fsync=defer");
	two_pending_files(place);
	must(fchmodat(place->store, "other", 0640, 0), "its mode");
}

static void pending_file_and_directory(struct place *place)
{
	pending_file(place);
	must(mkdirat(place->store, "sub", 0755), "a directory");
}

static void pending_hole(struct place *place)
{
	int fd;

	pending_file(place);
	fd = open_in(place, "file", O_RDWR);
	must(ftruncate(fd, 1 << 20), "a hole");
	must(close(fd), "closing it");
}

/* ---- reading and writing ----------------------------------------------- */

static int open_and_close(struct place *place)
{
	int fd = open_in(place, "file", O_RDWR);

	return on(fd, fd);
}

/* The pending part and the store's around it. */
static int read_pending(struct place *place)
{
	char seen[SIZE + 1];
	char wanted[SIZE];
	int fd = open_in(place, "file", O_RDONLY);
	ssize_t n = fd < 0 ? -1 : pread(fd, seen, sizeof(seen), 0);
	int r = n < 0 ? -errno : 0;

	memset(wanted, 'o', sizeof(wanted));
	memcpy(wanted + 100, bytes, 3000);
	if (r == 0 && (n != SIZE || memcmp(seen, wanted, SIZE) != 0))
		r = SHORT;
	return closing(fd, r);
}

static int write_at(struct place *place, int flags, off_t offset, size_t size)
{
	int fd = open_in(place, "file", flags);
	int r = fd < 0 ? -errno : written(fd, offset, size);

	return closing(fd, r);
}

static int write_part(struct place *place)
{
	return write_at(place, O_RDWR, 100, 3000);
}

static int write_beyond(struct place *place)
{
	return write_at(place, O_WRONLY, 9000, 3000);
}

static int append(struct place *place)
{
	return write_at(place, O_WRONLY | O_APPEND, 0, 777);
}

static int rewrite(struct place *place)
{
	int fd = open_in(place, "file", O_WRONLY | O_TRUNC);
	int r = fd < 0 ? -errno : written(fd, 0, 3000);

	return r < 0 ? closing(fd, r) : result(close(fd));
}

static int truncate_to(struct place *place, off_t size)
{
	int fd = open_in(place, "file", O_RDWR);

	return on(fd, fd < 0 ? -1 : ftruncate(fd, size));
}

static int truncate_down(struct place *place)
{
	return truncate_to(place, 5000);
}

static int truncate_up(struct place *place)
{
	return truncate_to(place, 50000);
}

static int truncate_closed(struct place *place)
{
	return result(truncate(path_in(place, "file"), 5000));
}

static int allocate(struct place *place, int mode, off_t offset, off_t length)
{
	int fd = open_in(place, "file", O_RDWR);

	return on(fd, fd < 0 ? -1 : fallocate(fd, mode, offset, length));
}

static int punch(struct place *place)
{
	return allocate(place, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 100,
			9000);
}

static int zero(struct place *place)
{
	return allocate(place, FALLOC_FL_ZERO_RANGE, 100, 9000);
}

static int preallocate(struct place *place)
{
	return allocate(place, 0, 0, 5 * SIZE);
}

static int seek_hole(struct place *place)
{
	int fd = open_in(place, "file", O_RDONLY);
	off_t found = fd < 0 ? -1 : lseek(fd, 0, SEEK_HOLE);
	int r = found < 0 ? -errno : found < SIZE ? SHORT : 0;

	return closing(fd, r);
}

static int copy_pending(struct place *place)
{
	int in = open_in(place, "file", O_RDONLY);
	int out = in < 0 ? -1 : open_in(place, "other", O_WRONLY);
	ssize_t n = -1;
	int r;

	if (out >= 0)
		n = copy_file_range(in, NULL, out, NULL, 8192, 0);
	r = n < 0 ? -errno : n == 8192 ? 0 : SHORT;
	return closing(in, closing(out, r));
}

static int map_and_sync(int fd)
{
	char first;
	char *base = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
			  0);
	int r;

	if (base == MAP_FAILED)
		return -errno;
	/* A page that can't be read would be SIGBUS: ask first. */
	r = result(pread(fd, &first, 1, 0));
	if (r == 0) {
		memcpy(base + 100, bytes, 3000);
		r = result(msync(base, SIZE, MS_SYNC));
	}
	munmap(base, SIZE);
	return r;
}

static int write_mapped(struct place *place)
{
	int fd = open_in(place, "file", O_RDWR);

	return closing(fd, fd < 0 ? -errno : map_and_sync(fd));
}

static int stat_pending(struct place *place)
{
	struct stat st;

	if (fstatat(place->mount, "file", &st, 0) < 0)
		return -errno;
	return st.st_size == 1 << 20 ? 0 : SHORT;
}

static int set_times(struct place *place)
{
	struct timespec times[2] = { { 1000000000, 0 }, { 1100000000, 0 } };

	return result(utimensat(place->mount, "file", times, 0));
}

/* ---- commits that are asked for ---------------------------------------- */

static int write_and(struct place *place, int (*sync)(int))
{
	int fd = open_in(place, "file", O_RDWR);
	int r = fd < 0 ? -errno : written(fd, 100, 3000);

	if (r == 0)
		r = result(sync(fd));
	return closing(fd, r);
}

static int fsync_it(struct place *place)
{
	return write_and(place, fsync);
}

static int fdatasync_it(struct place *place)
{
	return write_and(place, fdatasync);
}

static int now(int fd)
{
	return fsetxattr(fd, PREFIX "sync.now", "wait", 4, 0);
}

static int sync_now(struct place *place)
{
	return write_and(place, now);
}

static int sync_now_pending(struct place *place)
{
	return result(setxattr(path_in(place, "file"), PREFIX "sync.now",
			       "wait", 4, 0));
}

static int sync_mount(struct place *place)
{
	return result(setxattr(path_in(place, ".."), PREFIX "sync.now", "wait",
			       4, 0));
}

/* One commit of several files, by the mount's root. */
static int sync_several(struct place *place)
{
	static const char *const names[FILES] = { "1", "2", "3" };
	int r = 0;

	for (unsigned i = 0; i < FILES && r == 0; i++) {
		int fd = open_in(place, names[i], O_RDWR);

		r = fd < 0 ? -errno : written(fd, 100 * (off_t)i, 3000);
		r = closing(fd, r);
	}
	return r < 0 ? r : sync_mount(place);
}

static int close_committed(struct place *place)
{
	int fd = open_in(place, "file", O_RDWR);
	int r = fd < 0 ? -errno : written(fd, 100, 3000);

	if (r < 0)
		return closing(fd, r);
	return result(close(fd));
}

/* Its name is made durable before its data. */
static int create_and_fsync(struct place *place)
{
	int fd = open_in(place, "new", O_RDWR | O_CREAT | O_EXCL);
	int r = fd < 0 ? -errno : written(fd, 0, 3000);

	if (r == 0)
		r = result(fsync(fd));
	return closing(fd, r);
}

static int fsync_unlinked(struct place *place)
{
	int fd = open_in(place, "file", O_RDWR);
	int r = result(fd);

	if (r == 0)
		r = result(unlinkat(place->mount, "file", 0));
	if (r == 0)
		r = written(fd, 100, 3000);
	if (r == 0)
		r = result(fsync(fd));
	return closing(fd, r);
}

/* ---- commits that order asks for ---------------------------------------- */

static int rename_pending(struct place *place)
{
	return result(renameat(place->mount, "file", place->mount, "new"));
}

static int rename_over(struct place *place)
{
	return result(renameat(place->mount, "file", place->mount, "other"));
}

static int link_pending(struct place *place)
{
	return result(linkat(place->mount, "file", place->mount, "new", 0));
}

static int unlink_other(struct place *place)
{
	return result(unlinkat(place->mount, "other", 0));
}

/* The name goes with the commit. */
static int unlink_and_commit(struct place *place)
{
	int r = unlink_other(place);

	return r < 0 ? r : sync_mount(place);
}

/* Where it can be, it is the same inode again. */
static int make_again(struct place *place)
{
	int r = unlink_other(place);
	int fd;

	if (r < 0)
		return r;
	fd = open_in(place, "other", O_RDWR | O_CREAT | O_EXCL);
	r = fd < 0 ? -errno : written(fd, 0, 2000);
	if (r == 0)
		r = result(now(fd));
	return closing(fd, r);
}

static int unlink_pending(struct place *place)
{
	return result(unlinkat(place->mount, "file", 0));
}

static int remove_directory(struct place *place)
{
	return result(unlinkat(place->mount, "sub", AT_REMOVEDIR));
}

/* ---- in the background ------------------------------------------------- */

static uint32_t flushed(void)
{
	return control->seen[fault_fdatasync][FAULT_BACKGROUND] +
	       control->seen[fault_fsync][FAULT_BACKGROUND];
}

/* Until there was a commit, or the fault has met what leads to one. */
static int wait_for_commit(uint32_t before)
{
	const struct timespec interval = { .tv_nsec = 1000000 };

	for (unsigned ms = 0; ms < PATIENCE_MS; ms++) {
		if ((flushed() != before || control->fired > 0) &&
		    control->background_busy == 0)
			return 0;
		nanosleep(&interval, NULL);
	}
	complain("nothing is committed");
	return SHORT;
}

static int write_and_wait(struct place *place, size_t size)
{
	int fd = open_in(place, "file", O_RDWR);
	uint32_t before = flushed();
	int r = fd < 0 ? -errno : written(fd, 100, size);

	if (r == 0)
		r = wait_for_commit(before);
	if (r < 0)
		return closing(fd, r);
	return on(fd, fsync(fd));
}

static int commit_by_time(struct place *place)
{
	return write_and_wait(place, 3000);
}

static int commit_by_amount(struct place *place)
{
	return write_and_wait(place, 9000);
}

static int commit_after_close(struct place *place)
{
	uint32_t before = flushed();
	int r = close_committed(place);

	return r < 0 ? r : wait_for_commit(before);
}

/* ---- other -------------------------------------------------------------- */

static int discard(struct place *place)
{
	return result(setxattr(path_in(place, "file"), PREFIX "discard.now",
			       "all", 3, 0));
}

static int change_map(struct place *place)
{
	return result(setxattr(path_in(place, "file"), PREFIX "map", "shared",
			       6, 0));
}

static int get_status(const char *path, const char *name)
{
	static char text[1 << 16];
	ssize_t n = getxattr(path, name, text, sizeof(text));

	return n < 0 ? -errno : n == 0 ? SHORT : 0;
}

static int pending_status(struct place *place)
{
	return get_status(path_in(place, "file"), PREFIX "status");
}

static int pending_stats(struct place *place)
{
	return get_status(path_in(place, ".."), PREFIX "stats");
}

#define STAGED (step_staged | step_partial | step_durable)

const struct step staged_steps[] = {
	{ "a_staged_open", staged_file, open_and_close, STAGED },
	{ "a_staged_read", pending_file, read_pending, STAGED },
	{ "a_staged_write", staged_file, write_part, STAGED },
	{ "a_staged_write_again", pending_file, write_part, STAGED },
	{ "a_staged_write_beyond_the_end", staged_file, write_beyond, STAGED },
	{ "a_staged_append", staged_file, append, STAGED },
	{ "a_staged_truncation", pending_file, truncate_down, STAGED },
	{ "a_staged_truncation_up", staged_file, truncate_up, STAGED },
	{ "a_staged_truncation_by_path", staged_file, truncate_closed,
	  STAGED },
	{ "a_staged_hole", pending_file, punch, STAGED },
	{ "a_staged_zero_range", staged_file, zero, STAGED },
	{ "a_staged_fallocate", staged_file, preallocate, STAGED },
	{ "a_staged_lseek", pending_hole, seek_hole, STAGED },
	{ "a_staged_copy_file_range", pending_file_and_other, copy_pending,
	  STAGED },
	{ "a_staged_mapped_write", staged_file, write_mapped,
	  STAGED | step_mapped },
	{ "a_staged_stat", pending_hole, stat_pending, STAGED },
	{ "staged_times", pending_file, set_times, STAGED },
	{ "a_staged_fsync", honoring_file, fsync_it, STAGED },
	{ "a_staged_fdatasync", honoring_file, fdatasync_it, STAGED },
	{ "a_staged_fsync_in_a_group", grouped_file, fsync_it,
	  STAGED | step_background },
	{ "a_staged_fsync_deferred", staged_file, fsync_it, STAGED },
	{ "a_staged_sync_now", staged_file, sync_now,
	  STAGED | step_background },
	{ "a_staged_sync_now_of_a_closed_file", pending_file, sync_now_pending,
	  STAGED | step_background },
	{ "a_staged_sync_now_of_several_files", several_staged_files,
	  sync_several, STAGED | step_background },
	{ "a_staged_close", committed_at_close, close_committed, STAGED },
	{ "a_staged_create", staged_directory, create_and_fsync,
	  STAGED | step_goes_on | step_policy },
	{ "a_staged_create_and_fsync", honoring_directory, create_and_fsync,
	  STAGED | step_goes_on | step_policy },
	{ "a_staged_file_without_a_name", honoring_file, fsync_unlinked,
	  STAGED },
	{ "a_staged_rename", pending_file, rename_pending, STAGED },
	{ "a_staged_rename_over_another", pending_file_and_other, rename_over,
	  STAGED },
	{ "a_staged_link", pending_file, link_pending, STAGED },
	{ "a_staged_unlink", pending_file, unlink_pending, STAGED },
	{ "an_unlink_after_staged_data", pending_file_and_other, unlink_other,
	  STAGED },
	{ "an_unlink_with_the_commit", two_pending_files, unlink_and_commit,
	  STAGED | step_background },
	{ "a_file_made_again", pending_files_of_directory, make_again,
	  STAGED | step_background | step_goes_on | step_policy |
		  step_by_user | step_remade },
	{ "a_file_made_again_by_another", pending_files_of_directory,
	  make_again, STAGED | step_background | step_goes_on | step_policy },
	{ "an_rmdir_after_staged_data", pending_file_and_directory,
	  remove_directory, STAGED },
	{ "a_staged_rewrite", committed_at_close, rewrite,
	  STAGED | step_goes_on },
	{ "a_commit_by_time", committed_by_time, commit_by_time,
	  STAGED | step_by_time | step_background },
	{ "a_commit_by_amount", committed_by_amount, commit_by_amount,
	  STAGED | step_by_time | step_background },
	{ "a_commit_after_the_close", committed_after_close,
	  commit_after_close, STAGED | step_by_time },
	{ "a_discard_of_staged_data", pending_file, discard,
	  STAGED | step_background },
	{ "a_change_of_map", pending_file, change_map,
	  STAGED | step_policy | step_attributes | step_background },
	{ "a_staged_status", pending_file, pending_status,
	  STAGED | step_attributes | step_status | step_counts_dirty },
	{ "a_staged_stats", pending_file, pending_stats,
	  STAGED | step_attributes | step_status },
	{ 0 },
};

/* ---- private files ------------------------------------------------------ */

static void private_file(struct place *place)
{
	make_file(place, "file", 0644);
	store_policy(place, "file", "map", "private");
}

/* Written, seen by another handle, and gone with the last. */
static int write_privately(struct place *place)
{
	int fd = open_in(place, "file", O_RDWR);
	int other = fd < 0 ? -1 : open_in(place, "file", O_RDONLY);
	int r = other < 0 ? -errno : written(fd, 100, 3000);
	char seen[3000];

	if (r == 0 && pread(other, seen, sizeof(seen), 100) < 0)
		r = -errno;
	if (r == 0 && memcmp(seen, bytes, sizeof(seen)) != 0)
		r = SHORT;
	return closing(fd, closing(other, r));
}

static int fsync_privately(struct place *place)
{
	return write_and(place, fsync);
}

static int truncate_privately(struct place *place)
{
	return truncate_to(place, 5000);
}

static int punch_privately(struct place *place)
{
	return punch(place);
}

static int discard_privately(struct place *place)
{
	char first = 0;
	int fd = open_in(place, "file", O_RDWR);
	int r = fd < 0 ? -errno : written(fd, 0, 3000);

	if (r == 0)
		r = result(fsetxattr(fd, PREFIX "discard.now", "all", 3, 0));
	if (r == 0)
		r = result(pread(fd, &first, 1, 0));
	if (r == 0 && first != 'o')
		r = SHORT;
	return closing(fd, r);
}

const struct step private_steps[] = {
	{ "a_private_write", private_file, write_privately, STAGED },
	{ "a_private_fsync", private_file, fsync_privately, STAGED },
	{ "a_private_truncation", private_file, truncate_privately, STAGED },
	{ "a_private_hole", private_file, punch_privately, STAGED },
	{ "a_private_discard", private_file, discard_privately,
	  STAGED | step_background },
	{ 0 },
};
