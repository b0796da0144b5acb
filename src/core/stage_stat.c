// SPDX-License-Identifier: Apache-2.0
/*
 * What programs see of a staged file with stat(2).
 *
 * Its size and mtime are those of the layers. The ctime of the store's file
 * moves when a commit is carried out, which no program did: that is hidden as
 * long as nothing else moves it (struct staged_ctime).
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/stage_internal.h"
#include "os/clock.h"

/* What the store will have to allocate, about: pages behind its own end. */
static blkcnt_t new_blocks_locked(const struct staged *staged)
{
	off_t pages = (off_t)(staged->dirty.pages + staged->committing.pages);
	off_t longer = staged->size - staged->below_size;

	if (longer <= 0)
		return 0;
	if (longer > pages * (off_t)ARENA_PAGE)
		longer = pages * (off_t)ARENA_PAGE;
	return (longer + 511) / 512;
}

void staged_ctime_overlay(const struct staged_ctime *ctime, struct stat *st)
{
	if (ctime->below == 0 ||
		clock_nanoseconds(&st->st_ctim) != ctime->below)
		return;
	st->st_ctim.tv_sec = ctime->shown / 1000000000;
	st->st_ctim.tv_nsec = ctime->shown % 1000000000;
}

void staged_ctime_overlay_locked(const struct staged *staged, struct stat *st)
{
	struct staged_ctime ctime = staged->ctime;

	if (staged->is_applying)
		ctime.below = clock_nanoseconds(&st->st_ctim);
	staged_ctime_overlay(&ctime, st);
	if (clock_nanoseconds(&st->st_ctim) >= staged->written)
		return;
	st->st_ctim.tv_sec = staged->written / 1000000000;
	st->st_ctim.tv_nsec = staged->written % 1000000000;
}

void staged_hide_begin(struct staged *staged, int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return;
	lock_take(&staged->lock, lock_rank_stage_file);
	staged_ctime_overlay_locked(staged, &st);
	staged->ctime.shown = clock_nanoseconds(&st.st_ctim);
	staged->is_applying++;
	lock_drop(&staged->lock, lock_rank_stage_file);
}

void staged_hide_end(struct staged *staged, int fd)
{
	struct stat st;
	bool known = fstat(fd, &st) == 0;

	lock_take(&staged->lock, lock_rank_stage_file);
	staged->ctime.below = known ? clock_nanoseconds(&st.st_ctim) : 0;
	if (staged->is_applying > 0)
		staged->is_applying--;
	lock_drop(&staged->lock, lock_rank_stage_file);
}

int staged_touch_access(struct staged *staged, int fd)
{
	const struct timespec times[2] = {
		{.tv_nsec = UTIME_NOW},
		{.tv_nsec = UTIME_OMIT},
	};
	int r;

	staged_hide_begin(staged, fd);
	r = futimens(fd, times) < 0 ? -errno : 0;
	staged_hide_end(staged, fd);
	return r;
}

void staged_clearing(struct staged *staged)
{
	lock_take(&staged->lock, lock_rank_stage_file);
	staged->cleared++;
	lock_drop(&staged->lock, lock_rank_stage_file);
}

struct staged_ctime staged_get_ctime(struct staged *staged)
{
	struct staged_ctime ctime;

	lock_take(&staged->lock, lock_rank_stage_file);
	ctime = staged->ctime;
	lock_drop(&staged->lock, lock_rank_stage_file);
	return ctime;
}

void staged_set_ctime(struct staged *staged, const struct staged_ctime *ctime)
{
	lock_take(&staged->lock, lock_rank_stage_file);
	staged->ctime = *ctime;
	lock_drop(&staged->lock, lock_rank_stage_file);
}

void staged_overlay(struct staged *staged, struct stat *st)
{
	lock_take(&staged->lock, lock_rank_stage_file);
	if (staged->is_removed)
		st->st_nlink = 0;
	/* The store's may have been asked before a commit was carried out. */
	st->st_size = staged->size;
	if (staged->is_private || staged->is_changed || staged->is_committing ||
		staged->is_applied) {
		st->st_blocks += new_blocks_locked(staged);
		if (staged->has_mtime)
			st->st_mtim = staged->mtime;
	}
	staged_ctime_overlay_locked(staged, st);
	lock_drop(&staged->lock, lock_rank_stage_file);
}

void staged_set_mtime(struct staged *staged, const struct timespec *mtime)
{
	stage_gate_enter(staged->stage);
	lock_take(&staged->lock, lock_rank_stage_file);
	staged->mtime = *mtime;
	staged->has_mtime = true;
	/* What is in the journal would set another one when it is replayed. */
	if (staged->is_changed || staged->is_committing || staged->is_applied)
		staged_changed_locked(staged);
	lock_drop(&staged->lock, lock_rank_stage_file);
	stage_gate_leave(staged->stage);
}
