// SPDX-License-Identifier: Apache-2.0
/*
 * What a change may take, found out before it is made: memory, descriptors,
 * the store's space for the data and for a journal that has to grow for it,
 * the size that the store's file may have, and holes. Where something is short
 * a commit frees it, and who wants to write waits for that. What is accepted
 * here a commit can carry out, as far as nobody else fills the store.
 *
 * Who waits for memory is first in the queue for it: others find as much less
 * of it. A commit takes what was let in before, so several may be needed.
 */
#include <errno.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "core/stage_internal.h"
#include "os/clock.h"

/* Pages of the store that are left for its own needs and the journal's. */
#define ROOM_SPARE 64
/* How long a look at the store's free space is good for. */
#define ROOM_NS INT64_C(100000000)
/* Between commits that are made so that nobody need wait later. */
#define EARLY_NS INT64_C(100000000)
/* Holes of one file that are worth a commit; and the most there may be. */
#define HOLES_MANY 65536u
#define HOLES_MAX  (16 * HOLES_MANY)
/* Sizes are allowed in steps of so many bytes. */
#define SIZE_STEP (INT64_C(1) << 30)

/* ---- memory ------------------------------------------------------------- */

static bool has_room(const struct stage *stage, uint64_t bytes)
{
	return arena_used(stage->arena) + bytes <= stage->settings.limit;
}

/* Much is to be committed and little room left: before anybody waits. */
static void commit_early(struct stage *stage)
{
	int64_t now = clock_coarse();
	uint64_t dirty = stage->dirty_pages * ARENA_PAGE;

	if (has_room(stage, stage->settings.limit / 2) ||
		dirty < stage->settings.limit / 4 ||
		now - stage->limit_commit_at < EARLY_NS)
		return;
	stage->limit_commit_at = now;
	stage_want_commit(stage, commit_by_limit);
}

/* With the commit's lock. */
static int free_memory_locked(struct stage *stage, uint64_t bytes)
{
	bool all = false;
	size_t pages;
	int r = 0;

	while (r == 0 && !has_room(stage, bytes)) {
		r = stage_commit_locked(stage, commit_by_limit, all, &pages);
		/* What was left out is all that there is. */
		if (r == 0 && pages == 0 && all)
			return has_room(stage, bytes) ? 0 : -ENOSPC;
		all = pages == 0;
	}
	return r;
}

static int make_room(struct stage *stage, uint64_t bytes)
{
	int r;

	if (bytes > stage->settings.limit)
		bytes = stage->settings.limit;
	if (has_room(stage, bytes + stage->waiting)) {
		commit_early(stage);
		return 0;
	}
	stage_enter_commit(stage);
	stage->waiting = bytes;
	r = free_memory_locked(stage, bytes);
	stage->waiting = 0;
	stage_leave_commit(stage);
	return r;
}

/* ---- descriptors -------------------------------------------------------- */

/*
 * A file that is changed keeps one until its checkpoint. From files_limit on
 * that is hurried; who changes still more of them waits. It is not his error
 * if it fails: there may be descriptors left.
 */
static void limit_files(struct staged *staged)
{
	struct stage *stage = staged->stage;
	unsigned kept = stage->dirty_files + stage->applied_count;

	if (staged->is_private || staged->is_changed ||
		kept <= 2 * stage->settings.files_limit)
		return;
	if (stage_commit(stage, commit_by_limit) == 0)
		(void)stage_checkpoint(stage);
}

/* ---- the store ---------------------------------------------------------- */

/* What the journal would need of the store for all that is staged; pages. */
static uint64_t journal_growth(struct stage *stage, uint64_t pages)
{
	uint64_t need = stage->dirty_pages + pages;
	uint64_t has = journal_size(stage->journal) / ARENA_PAGE;

	need += need / 4;
	return need > has ? need - has : 0;
}

static bool is_full(struct stage *stage, uint64_t pages)
{
	int64_t now = clock_coarse();
	uint64_t wanted = stage->unreserved + pages + ROOM_SPARE;
	struct statvfs st;

	if (now - stage->room_known_at > ROOM_NS || wanted > stage->room) {
		if (fstatvfs(stage->settings.store->root_fd, &st) < 0)
			return false;
		stage->room =
			st.f_bavail * (st.f_frsize / 512) / (ARENA_PAGE / 512);
		stage->room_known_at = now;
	}
	return wanted > stage->room;
}

/*
 * pages: that are changed; added: of these, behind the file's end. What
 * overwrites the store's own bytes needs no more there.
 */
static int check_store(struct stage *stage, uint64_t pages, uint64_t added)
{
	uint64_t growth = journal_growth(stage, pages);
	int r;

	if ((added == 0 && growth == 0) || !is_full(stage, added + growth))
		return 0;
	/* A small transaction needs less, and what was removed is free then. */
	r = stage_commit(stage, commit_by_limit);
	if (r == 0 && is_full(stage, added + journal_growth(stage, pages)))
		r = stage_checkpoint(stage);
	if (r < 0)
		return r;
	growth = journal_growth(stage, pages);
	return is_full(stage, added + growth) ? -ENOSPC : 0;
}

/* Every page of it has been changed already: no other is needed. */
static bool is_covered(struct staged *staged, size_t size, off_t offset)
{
	uint64_t page = (uint64_t)offset / ARENA_PAGE;
	uint64_t end = ((uint64_t)offset + size - 1) / ARENA_PAGE;
	bool covered = true;

	lock_take(&staged->lock, lock_rank_stage_file);
	for (; covered && page <= end; page++) {
		uint32_t slot = layer_find(&staged->dirty, page);

		covered = slot != LAYER_BELOW && slot != LAYER_ZERO;
	}
	lock_drop(&staged->lock, lock_rank_stage_file);
	return covered;
}

int staged_make_room(
	struct staged *staged, size_t size, off_t offset, bool append)
{
	struct stage *stage = staged->stage;
	uint64_t pages = size / ARENA_PAGE + 1;
	uint64_t added = pages;
	int r;

	if (size == 0)
		return 0;
	limit_files(staged);
	r = make_room(stage, (pages + 1) * ARENA_PAGE);
	if (r == -ENOSPC && !append && is_covered(staged, size, offset))
		r = 0;
	if (r < 0 || staged->is_private)
		return r;
	lock_take(&staged->lock, lock_rank_stage_file);
	if (!append && offset + (off_t)size <= staged->below_size)
		added = 0;
	lock_drop(&staged->lock, lock_rank_stage_file);
	return check_store(stage, pages, added);
}

/* ---- one file ----------------------------------------------------------- */

static bool is_size_allowed(const struct staged *staged, off_t size)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_FSIZE, &limit) == 0 &&
		limit.rlim_cur != RLIM_INFINITY &&
		(rlim_t)size > limit.rlim_cur)
		return false;
	/* EINVAL: further than a file of this file system can reach. */
	return lseek(staged->fd, size, SEEK_SET) >= 0;
}

int staged_check_size(struct staged *staged, off_t size)
{
	off_t ahead;

	if (size <= staged->size_allowed)
		return 0;
	if (size > INT64_MAX - (off_t)ARENA_PAGE)
		return -EFBIG;
	ahead = size | (SIZE_STEP - 1);
	if (is_size_allowed(staged, ahead))
		staged->size_allowed = ahead;
	else if (!is_size_allowed(staged, size))
		return -EFBIG;
	return 0;
}

static size_t count_holes(struct staged *staged)
{
	size_t count;

	lock_take(&staged->lock, lock_rank_stage_file);
	count = staged->dirty.hole_count;
	lock_drop(&staged->lock, lock_rank_stage_file);
	return count;
}

int staged_limit_holes(struct staged *staged)
{
	int r;

	if (count_holes(staged) <= HOLES_MANY)
		return 0;
	r = staged->is_private ? 0
			       : stage_commit(staged->stage, commit_by_limit);
	if (r < 0)
		return r;
	return count_holes(staged) > HOLES_MAX ? -ENOSPC : 0;
}
