// SPDX-License-Identifier: Apache-2.0
/*
 * Reading and changing staged files.
 *
 * A page is looked for in the dirty layer, then in the committing one, then
 * in the store's file as far as that reaches (below_size); beyond are zeros.
 * A slot's bytes behind the end of the file are zeros, too.
 *
 * A change of a part of a page needs the rest of it, which may have to be
 * read from the store's device. Nobody else may wait for that, least of all a
 * commit's instant, so it is read before the gate (struct fill), and read
 * again if the store's file has changed meanwhile. Reads do the same the
 * other way round: what is staged is copied under the lock, the rest is read
 * after it.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "core/counters.h"
#include "core/stage_internal.h"
#include "os/clock.h"

#define PAGE ((off_t)ARENA_PAGE)
/* A READ is this long at most, and may begin within a page. */
#define READ_MAX ((size_t)1 << 20)
#define READ_PAGES (READ_MAX / ARENA_PAGE + 1)

static uint64_t page_of(off_t offset)
{
	return (uint64_t)offset >> JOURNAL_PAGE_BITS;
}

static uint64_t pages_up_to(off_t end)
{
	return ((uint64_t)end + ARENA_PAGE - 1) >> JOURNAL_PAGE_BITS;
}

static off_t offset_of(uint64_t page)
{
	return (off_t)(page << JOURNAL_PAGE_BITS);
}

static bool is_slot(uint32_t slot)
{
	return slot != LAYER_BELOW && slot != LAYER_ZERO;
}

/* ---- what is there ------------------------------------------------------ */

/* A slot; LAYER_ZERO; LAYER_BELOW: in the store's file. */
static uint32_t find_locked(const struct staged *staged, uint64_t page)
{
	uint32_t slot = layer_find(&staged->dirty, page);

	if (slot == LAYER_BELOW)
		slot = layer_find(&staged->committing, page);
	if (slot == LAYER_BELOW && offset_of(page) >= staged->below_size)
		slot = LAYER_ZERO;
	return slot;
}

/* All of fd's bytes there, and zeros behind its end. 0 or -errno. */
static int read_below(int fd, char *buffer, size_t size, off_t offset)
{
	size_t done = 0;

	while (done < size) {
		ssize_t n = pread(fd, buffer + done, size - done,
				  offset + (off_t)done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	memset(buffer + done, 0, size - done);
	return 0;
}

/* Which of a read's pages are the store's: a bit each. */
struct missing {
	uint64_t bits[(READ_PAGES + 63) / 64];
};

static bool is_missing(const struct missing *missing, uint64_t i)
{
	return missing->bits[i / 64] & (UINT64_C(1) << (i % 64));
}

static void copy_locked(struct staged *staged, char *buffer, size_t size,
			off_t offset, struct missing *missing)
{
	uint64_t first = page_of(offset);
	size_t done = 0;

	while (done < size) {
		off_t at = offset + (off_t)done;
		size_t skip = (size_t)(at & (PAGE - 1));
		size_t part = (size_t)PAGE - skip;
		uint32_t slot = find_locked(staged, page_of(at));
		uint64_t i = page_of(at) - first;

		if (part > size - done)
			part = size - done;
		if (slot == LAYER_BELOW)
			missing->bits[i / 64] |= UINT64_C(1) << (i % 64);
		else if (slot == LAYER_ZERO)
			memset(buffer + done, 0, part);
		else
			memcpy(buffer + done,
			       (char *)arena_page(staged->stage->arena, slot) +
				       skip,
			       part);
		done += part;
	}
}

static int read_missing(int fd, char *buffer, size_t size, off_t offset,
			const struct missing *missing)
{
	uint64_t first = page_of(offset);
	uint64_t count = pages_up_to(offset + (off_t)size) - first;

	for (uint64_t i = 0; i < count; i++) {
		off_t begin = offset_of(first + i);
		off_t end;
		int r;

		if (!is_missing(missing, i))
			continue;
		while (i + 1 < count && is_missing(missing, i + 1))
			i++;
		end = offset_of(first + i + 1);
		if (begin < offset)
			begin = offset;
		if (end > offset + (off_t)size)
			end = offset + (off_t)size;
		r = read_below(fd, buffer + (begin - offset),
			       (size_t)(end - begin), begin);
		if (r < 0)
			return r;
	}
	return 0;
}

ssize_t staged_read(struct staged *staged, int fd, char *buffer, size_t size,
		    off_t offset, bool *simple)
{
	struct counters *counters = staged->stage->settings.counters;
	struct missing missing = { 0 };
	uint64_t first, count;
	int r;

	*simple = false;
	if (size > READ_MAX)
		size = READ_MAX;
	lock_take(&staged->lock, lock_rank_stage_file);
	if (offset >= staged->size)
		size = 0;
	else if ((off_t)size > staged->size - offset)
		size = (size_t)(staged->size - offset);
	first = page_of(offset);
	count = pages_up_to(offset + (off_t)size) - first;
	if (size == 0 ||
	    (offset + (off_t)size <= staged->below_size &&
	     !layer_touches(&staged->dirty, first, count) &&
	     !layer_touches(&staged->committing, first, count)))
		*simple = true;
	else if (buffer)
		copy_locked(staged, buffer, size, offset, &missing);
	lock_drop(&staged->lock, lock_rank_stage_file);
	if (size > 0)
		counter_add(*simple ? &counters->staged_misses :
				      &counters->staged_hits, 1);
	if (*simple)
		return (ssize_t)size;
	if (!buffer)
		return -ENOMEM;
	r = read_missing(fd, buffer, size, offset, &missing);
	return r < 0 ? r : (ssize_t)size;
}

off_t staged_seek(struct staged *staged, int fd, off_t offset, int whence)
{
	off_t at = offset;
	off_t found = -ENXIO;

	lock_take(&staged->lock, lock_rank_stage_file);
	while (found == -ENXIO && at >= 0 && at < staged->size) {
		uint64_t page = page_of(at);
		uint32_t slot = find_locked(staged, page);
		uint64_t other = layer_next(&staged->dirty, page);
		uint64_t end = layer_next(&staged->committing, page);
		off_t next, below;

		end = other < end ? other : end;
		next = end > page_of(staged->size) ? staged->size :
						     offset_of(end);
		if (slot == LAYER_BELOW) {
			if (next > staged->below_size)
				next = staged->below_size;
			below = lseek(fd, at, whence);
			if (below < 0 && errno != ENXIO)
				found = -errno;
			else if (below >= 0 && below < next)
				found = below;
		} else if (is_slot(slot) == (whence == SEEK_DATA)) {
			found = at;
		}
		/* A page that is below only in part ends in zeros. */
		at = next > at ? next : offset_of(page + 1);
	}
	if (found == -ENXIO && whence == SEEK_HOLE && offset >= 0 &&
	    offset < staged->size)
		found = staged->size;
	lock_drop(&staged->lock, lock_rank_stage_file);
	return found;
}

/* ---- pages -------------------------------------------------------------- */

/* Store bytes of the pages at a change's two edges, read beforehand. */
struct fill {
	bool wanted;
	bool read;
	uint64_t page;
	unsigned version;
	char data[ARENA_PAGE];
};

struct fills {
	struct fill of[2];
};

/* Is the page's fill there, or is none needed? Else it is noted as wanted. */
static bool has_fill_locked(struct staged *staged, uint64_t page,
			    struct fill *fill)
{
	if (find_locked(staged, page) != LAYER_BELOW)
		return true;
	if (fill->read && fill->page == page &&
	    fill->version == staged->version)
		return true;
	*fill = (struct fill){
		.wanted = true,
		.page = page,
		.version = staged->version,
	};
	return false;
}

static int read_fills(struct staged *staged, struct fills *fills)
{
	for (unsigned i = 0; i < 2; i++) {
		struct fill *fill = &fills->of[i];
		int r;

		if (!fill->wanted || fill->read)
			continue;
		r = read_below(staged->fd, fill->data, ARENA_PAGE,
			       offset_of(fill->page));
		if (r < 0)
			return r;
		fill->read = true;
	}
	return 0;
}

static const char *fill_of(const struct fills *fills, uint64_t page,
			   unsigned version)
{
	for (unsigned i = 0; i < 2; i++) {
		const struct fill *fill = &fills->of[i];

		if (fill->read && fill->page == page &&
		    fill->version == version)
			return fill->data;
	}
	return NULL;
}

/*
 * The page in the dirty layer, with its present contents unless all of them
 * will be replaced. NULL: no room.
 */
static char *page_to_write_locked(struct staged *staged, uint64_t page,
				  bool whole, const struct fills *fills)
{
	struct arena *arena = staged->stage->arena;
	uint32_t slot = layer_find(&staged->dirty, page);
	uint32_t old;
	const char *contents = NULL;
	char *data;

	if (is_slot(slot))
		return arena_page(arena, slot);
	old = find_locked(staged, page);
	slot = arena_take(arena);
	if (slot == ARENA_NONE)
		return NULL;
	data = arena_page(arena, slot);
	if (!whole && is_slot(old))
		contents = arena_page(arena, old);
	else if (!whole && old == LAYER_BELOW)
		contents = fill_of(fills, page, staged->version);
	if (contents)
		memcpy(data, contents, ARENA_PAGE);
	else if (!whole)
		memset(data, 0, ARENA_PAGE);
	if (layer_put(&staged->dirty, page, slot) < 0) {
		arena_give(arena, slot);
		return NULL;
	}
	if (offset_of(page) >= staged->below_size && !staged->is_private) {
		staged->unreserved++;
		atomic_fetch_add(&staged->stage->unreserved, 1);
	}
	return data;
}

/* Pages went away that the store need not find room for; at most these. */
static void unreserve_locked(struct staged *staged, size_t pages)
{
	if (pages > staged->unreserved)
		pages = staged->unreserved;
	staged->unreserved -= pages;
	atomic_fetch_sub(&staged->stage->unreserved, pages);
}

static int punch_locked(struct staged *staged, uint64_t first, uint64_t count)
{
	size_t before = staged->dirty.pages;
	int r = layer_punch(&staged->dirty, first, count);

	unreserve_locked(staged, before - staged->dirty.pages);
	return r;
}

static bool is_partial(off_t begin, off_t end, uint64_t page)
{
	return begin > offset_of(page) || end < offset_of(page + 1);
}

/* The fills of a change of [begin, end), begin < end. */
static bool has_fills_locked(struct staged *staged, off_t begin, off_t end,
			     struct fills *fills)
{
	uint64_t first = page_of(begin);
	uint64_t last = page_of(end - 1);
	bool has = true;

	if (is_partial(begin, end, first))
		has = has_fill_locked(staged, first, &fills->of[0]);
	if (last != first && is_partial(begin, end, last))
		has = has_fill_locked(staged, last, &fills->of[1]) && has;
	return has;
}

/* Bytes done: fewer when no room is left. */
static size_t put_locked(struct staged *staged, const char *data, size_t size,
			 off_t offset, const struct fills *fills)
{
	size_t done = 0;

	while (done < size) {
		off_t at = offset + (off_t)done;
		size_t skip = (size_t)(at & (PAGE - 1));
		size_t part = (size_t)PAGE - skip;
		char *page;

		if (part > size - done)
			part = size - done;
		page = page_to_write_locked(staged, page_of(at),
					    part == ARENA_PAGE, fills);
		if (!page)
			break;
		memcpy(page + skip, data + done, part);
		done += part;
	}
	return done;
}

/* ---- changes ------------------------------------------------------------ */

/*
 * A change is tried with the gate and the lock; -EAGAIN: it wants a fill.
 */
static ssize_t change(struct staged *staged,
		      ssize_t (*try_locked)(struct staged *staged,
					    struct fills *fills, void *what),
		      void *what)
{
	struct fills fills;
	ssize_t n;

	/* No commit could carry it out. */
	if (staged->fd < 0)
		return -EBADF;
	fills.of[0].wanted = fills.of[0].read = false;
	fills.of[1].wanted = fills.of[1].read = false;
	for (;;) {
		stage_gate_enter(staged->stage);
		lock_take(&staged->lock, lock_rank_stage_file);
		n = try_locked(staged, &fills, what);
		staged_recount_locked(staged);
		lock_drop(&staged->lock, lock_rank_stage_file);
		stage_gate_leave(staged->stage);
		if (n != -EAGAIN)
			return n;
		n = read_fills(staged, &fills);
		if (n < 0)
			return n;
	}
}

struct writing {
	const char *data;
	size_t size;
	off_t offset;
	bool append;
};

static ssize_t write_locked(struct staged *staged, struct fills *fills,
			    void *what)
{
	const struct writing *writing = what;
	off_t offset = writing->append ? staged->size : writing->offset;
	off_t end;
	size_t done;
	int r;

	if (offset > INT64_MAX - (off_t)writing->size)
		return -EFBIG;
	end = offset + (off_t)writing->size;
	r = staged_check_size(staged, end);
	if (r < 0)
		return r;
	if (!has_fills_locked(staged, offset, end, fills))
		return -EAGAIN;
	done = put_locked(staged, writing->data, writing->size, offset, fills);
	if (done == 0)
		return -ENOSPC;
	if (offset + (off_t)done > staged->size)
		staged->size = offset + (off_t)done;
	staged_written_locked(staged);
	return (ssize_t)done;
}

ssize_t staged_write(struct staged *staged, const char *data, size_t size,
		     off_t offset, bool append)
{
	struct writing writing = { data, size, offset, append };

	return size == 0 ? 0 : change(staged, write_locked, &writing);
}

/* A file with contents is cut to nothing: new ones will come. */
static void note_rewriting_locked(struct staged *staged)
{
	off_t committed = staged->is_committing ? staged->committing_size :
						  staged->below_size;

	/* What an fsync has ordered must not be passed by what came later. */
	if (committed == 0 || staged->is_rewriting || staged->is_private ||
	    staged->is_ordered)
		return;
	staged->is_rewriting = true;
	staged->rewriting_since = clock_coarse();
}

/* Bytes of one page that are to be zeros, once nothing can fail any more. */
struct edge {
	char *data; /* NULL: they are */
	size_t size;
};

/* [from, to) of a page: it gets a slot, with the contents it has. */
static int edge_locked(struct staged *staged, off_t from, off_t to,
		       const struct fills *fills, struct edge *edge)
{
	uint64_t page = page_of(from);
	char *data;

	if (find_locked(staged, page) == LAYER_ZERO)
		return 0;
	data = page_to_write_locked(staged, page, false, fills);
	if (!data)
		return -ENOSPC;
	edge->data = data + (from - offset_of(page));
	edge->size = (size_t)(to - from);
	return 0;
}

static void clear_edge(const struct edge *edge)
{
	if (edge->data)
		memset(edge->data, 0, edge->size);
}

static ssize_t truncate_locked(struct staged *staged, struct fills *fills,
			       void *what)
{
	off_t size = *(off_t *)what;
	off_t old = staged->size;
	off_t end = offset_of(pages_up_to(size));
	struct edge edge = { 0 };
	int r = staged_check_size(staged, size);

	if (r < 0)
		return r;
	if (size < old && size < end && size > 0) {
		if (end > old)
			end = old;
		if (!has_fill_locked(staged, page_of(size), &fills->of[0]))
			return -EAGAIN;
		r = edge_locked(staged, size, end, fills, &edge);
	}
	/* A slot more is to be committed, whatever comes. */
	if (r == 0)
		staged_written_locked(staged);
	if (r == 0 && size < old)
		r = punch_locked(staged, pages_up_to(size), JOURNAL_TO_END);
	if (r < 0)
		return r;
	clear_edge(&edge);
	if (size == 0 && old > 0)
		note_rewriting_locked(staged);
	staged->size = size;
	return 0;
}

int staged_empty_locked(struct staged *staged)
{
	int r = punch_locked(staged, 0, JOURNAL_TO_END);

	if (r < 0)
		return r;
	staged->size = 0;
	/* The old contents had their end: nothing is left out of commits. */
	staged->is_rewriting = false;
	staged_written_locked(staged);
	staged_recount_locked(staged);
	return 0;
}

int staged_truncate(struct staged *staged, off_t size)
{
	if (size < 0)
		return -EINVAL;
	return (int)change(staged, truncate_locked, &size);
}

struct range {
	off_t begin;
	off_t end;
	bool extend;
};

/* Zeros instead of what is there; pages that are all of it become holes. */
static ssize_t zero_locked(struct staged *staged, struct fills *fills,
			   void *what)
{
	const struct range *range = what;
	off_t begin = range->begin;
	off_t end = range->end;
	uint64_t first = pages_up_to(begin);
	uint64_t last = page_of(end);
	struct edge edges[2] = { 0 };
	int r = 0;

	if (!has_fills_locked(staged, begin, end, fills))
		return -EAGAIN;
	if (range->extend)
		r = staged_check_size(staged, end);
	for (unsigned i = 0; r == 0 && i < 2; i++) {
		uint64_t page = i == 0 ? page_of(begin) : page_of(end - 1);
		off_t from = begin > offset_of(page) ? begin : offset_of(page);
		off_t to = offset_of(page + 1) < end ? offset_of(page + 1) :
						       end;

		if (to - from < PAGE)
			r = edge_locked(staged, from, to, fills, &edges[i]);
	}
	if (r == 0 || edges[0].data)
		staged_written_locked(staged);
	if (r == 0 && last > first)
		r = punch_locked(staged, first, last - first);
	if (r < 0)
		return r;
	clear_edge(&edges[0]);
	clear_edge(&edges[1]);
	if (range->extend && end > staged->size)
		staged->size = end;
	return 0;
}

static ssize_t extend_locked(struct staged *staged, struct fills *fills,
			     void *what)
{
	const struct range *range = what;
	int r = 0;

	(void)fills;
	if (range->extend && range->end > staged->size) {
		r = staged_check_size(staged, range->end);
		if (r < 0)
			return r;
		staged->size = range->end;
		staged_written_locked(staged);
	}
	return 0;
}

/*
 * The space itself, which changes nothing that is seen. What a file system
 * took before it found that there is too little goes back.
 */
static int allocate_below(struct staged *staged, off_t offset, off_t length)
{
	int r;

	if (fallocate(staged->fd, FALLOC_FL_KEEP_SIZE, offset, length) == 0)
		return 0;
	r = -errno;
	if (r == -ENOSPC) {
		stage_hold_store(staged->stage);
		(void)staged_touch(staged->fd);
		stage_release_store(staged->stage);
	}
	return r;
}

int staged_allocate(struct staged *staged, int mode, off_t offset,
		    off_t length)
{
	struct range range = {
		.begin = offset,
		.extend = !(mode & FALLOC_FL_KEEP_SIZE),
	};
	int r;

	if (offset < 0 || length <= 0)
		return -EINVAL;
	if (length > INT64_MAX - (off_t)ARENA_PAGE - offset)
		return -EFBIG;
	range.end = offset + length;
	r = staged_limit_holes(staged);
	if (r < 0)
		return r;
	switch (mode & ~FALLOC_FL_KEEP_SIZE) {
	case FALLOC_FL_PUNCH_HOLE:
		if (range.extend)
			return -EOPNOTSUPP;
		return (int)change(staged, zero_locked, &range);
	case FALLOC_FL_ZERO_RANGE:
		return (int)change(staged, zero_locked, &range);
	case 0:
		r = staged->is_private ? 0 :
					 allocate_below(staged, offset,
							length);
		if (r < 0)
			return r;
		return (int)change(staged, extend_locked, &range);
	default:
		return -EOPNOTSUPP;
	}
}

void staged_discard(struct staged *staged)
{
	bool listed;

	stage_gate_enter(staged->stage);
	lock_take(&staged->lock, lock_rank_stage_file);
	unreserve_locked(staged, staged->dirty.pages);
	layer_clear(&staged->dirty);
	staged_recount_locked(staged);
	staged->size = staged->is_committing ? staged->committing_size :
					       staged->below_size;
	staged->mtime = staged->committing_mtime;
	staged->has_mtime = staged->is_committing;
	listed = staged_unchanged_locked(staged);
	lock_drop(&staged->lock, lock_rank_stage_file);
	stage_gate_leave(staged->stage);
	if (listed)
		staged_put(staged);
}
