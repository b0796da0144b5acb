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

static blkcnt_t blocks_of(off_t bytes)
{
	return bytes <= 0 ? 0 : (bytes + 511) / 512;
}

static blkcnt_t at_least(blkcnt_t blocks, blkcnt_t least)
{
	return blocks > least ? blocks : least;
}

/* What a layer's pages will take, about: those behind the end before it. */
static blkcnt_t new_blocks(const struct layer *layer, off_t size, off_t before)
{
	off_t all = (off_t)layer->pages * (off_t)ARENA_PAGE;

	return blocks_of(size - before < all ? size - before : all);
}

/*
 * What the file will take when all is committed. What a commit has allocated
 * for it counts once, with the store's blocks; and while one is at it nobody
 * knows how far it has got: then it is what was there before.
 */
static blkcnt_t blocks_locked(const struct staged *staged, blkcnt_t below)
{
	const struct layer *dirty = &staged->dirty;
	const struct layer *committing = &staged->committing;
	blkcnt_t coming = new_blocks(dirty, staged->size, staged->below_size);
	blkcnt_t added = 0; /* since the freeze */
	blkcnt_t blocks;

	if (staged->is_committing) {
		coming = new_blocks(committing, staged->committing_size,
				    staged->below_size);
		added = new_blocks(dirty, staged->size,
				   staged->committing_size);
	}
	coming = at_least(coming - staged->reserved, 0);
	if (staged->is_moving)
		blocks = at_least(staged->moving_blocks + coming, below);
	else
		blocks = below + coming;
	/* Pages in holes. Without any blocks tar(1) takes it for empty. */
	return at_least(blocks + added,
			blocks_of((off_t)ARENA_PAGE *
				  (off_t)(dirty->pages > committing->pages ?
						  dirty->pages :
						  committing->pages)));
}

void staged_move_begin(struct staged *staged)
{
	struct stat st;

	lock_take(&staged->lock, lock_rank_stage_file);
	if (fstat(staged->fd, &st) == 0) {
		staged->moving_blocks = st.st_blocks;
		staged->is_moving = true;
	}
	lock_drop(&staged->lock, lock_rank_stage_file);
}

void staged_move_end(struct staged *staged)
{
	struct stat st;

	lock_take(&staged->lock, lock_rank_stage_file);
	if (staged->is_moving && fstat(staged->fd, &st) == 0)
		staged->reserved +=
			at_least(st.st_blocks - staged->moving_blocks, 0);
	staged->is_moving = false;
	lock_drop(&staged->lock, lock_rank_stage_file);
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

int staged_overlay(struct staged *staged, struct stat *st)
{
	struct stat now;
	int r = 0;

	lock_take(&staged->lock, lock_rank_stage_file);
	if (staged->is_removed)
		st->st_nlink = 0;
	/*
	 * The store's may have been asked before a commit was carried out, and
	 * the commit's next step needs the lock.
	 */
	st->st_size = staged->size;
	if (staged->is_private || staged->is_changed || staged->is_committing ||
		staged->is_applied) {
		if (staged->fd >= 0 && fstat(staged->fd, &now) < 0) {
			r = -errno;
		} else if (staged->fd >= 0) {
			st->st_blocks = now.st_blocks;
			st->st_ctim = now.st_ctim;
		}
		st->st_blocks = blocks_locked(staged, st->st_blocks);
		if (staged->has_mtime)
			st->st_mtim = staged->mtime;
	}
	staged_ctime_overlay_locked(staged, st);
	lock_drop(&staged->lock, lock_rank_stage_file);
	return r;
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
