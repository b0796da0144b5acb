// SPDX-License-Identifier: Apache-2.0
/*
 * The table's lock is held for look-ups only. Whoever works on a file marks
 * it busy, works on its mapping without the lock, and takes the lock again
 * to say how it went; others that want the same file wait for that.
 *
 * Bytes are reserved before they are locked, so that two threads can't pass
 * the limit together. A file that is dropped while it is busy is doomed: it
 * is no longer found, and its worker frees it.
 *
 * MLOCK_ONFAULT locks what is faulted in through our mapping, but programs
 * never use that one, and read(2) faults in none at all. So onfault is done
 * by following: what is in memory then is faulted in, which reads nothing.
 */
#include "core/hold.h"

#include <assert.h>
#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "os/pagecache.h"

struct held_file {
	struct store_id id;
	struct pagecache_hold hold; /* the worker's while busy */
	bool on_fault;
	bool busy;
	bool settled; /* has been set once */
	bool doomed;
	uint64_t bytes; /* that count for the limit */
};

static int compare(const void *one, const void *other)
{
	const struct store_id *a = &((const struct held_file *)one)->id;
	const struct store_id *b = &((const struct held_file *)other)->id;

	if (a->mount != b->mount)
		return a->mount < b->mount ? -1 : 1;
	if (a->type != b->type)
		return a->type < b->type ? -1 : 1;
	if (a->length != b->length)
		return a->length < b->length ? -1 : 1;
	return memcmp(a->bytes, b->bytes, a->length);
}

static void raise_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_MEMLOCK, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_MEMLOCK, &limit);
}

int hold_table_init(struct hold_table *table, uint64_t limit_bytes)
{
	int error = pthread_cond_init(&table->idle, NULL);

	if (error)
		return -error;
	lock_init(&table->lock);
	table->files = NULL;
	table->limit = limit_bytes;
	table->bytes = 0;
	table->count = 0;
	raise_limit();
	return 0;
}

static void free_file(void *entry)
{
	struct held_file *file = entry;

	assert(!file->busy);
	pagecache_hold_drop(&file->hold);
	free(file);
}

void hold_table_fini(struct hold_table *table)
{
	tdestroy(table->files, free_file);
	table->files = NULL;
	pthread_cond_destroy(&table->idle);
	lock_fini(&table->lock);
}

static struct held_file *find_locked(struct hold_table *table,
				     const struct store_id *id)
{
	struct held_file wanted = { .id = *id };
	struct held_file **found = tfind(&wanted, &table->files, compare);

	return found ? *found : NULL;
}

static struct held_file *add_locked(struct hold_table *table,
				    const struct store_id *id)
{
	struct held_file *file = calloc(1, sizeof(*file));

	if (!file)
		return NULL;
	file->id = *id;
	if (!tsearch(file, &table->files, compare)) {
		free(file);
		return NULL;
	}
	table->count++;
	return file;
}

static void forget_locked(struct hold_table *table, struct held_file *file)
{
	tdelete(file, &table->files, compare);
	table->count--;
	file->doomed = true;
}

/* The file, busy for the caller alone; NULL if it isn't held, or -ENOMEM. */
static struct held_file *begin(struct hold_table *table,
			       const struct store_id *id, bool make)
{
	struct held_file *file;

	lock_take(&table->lock, lock_rank_hold);
	while ((file = find_locked(table, id)) && file->busy)
		pthread_cond_wait(&table->idle, &table->lock.mutex);
	if (!file && make)
		file = add_locked(table, id);
	if (file)
		file->busy = true;
	lock_drop(&table->lock, lock_rank_hold);
	return file;
}

/* bytes is what is held now; keep false: the file is not to stay. */
static void end(struct hold_table *table, struct held_file *file,
		uint64_t bytes, bool keep)
{
	lock_take(&table->lock, lock_rank_hold);
	file->busy = false;
	if (!keep && !file->doomed)
		forget_locked(table, file);
	if (file->doomed)
		bytes = 0;
	table->bytes -= file->bytes;
	table->bytes += bytes;
	file->bytes = bytes;
	keep = !file->doomed;
	pthread_cond_broadcast(&table->idle);
	lock_drop(&table->lock, lock_rank_hold);
	if (!keep)
		free_file(file);
}

/* Has bytes count for the file from now on, if that is more. 0, -ENOMEM. */
static int reserve(struct hold_table *table, struct held_file *file,
		   uint64_t bytes)
{
	int error = 0;

	lock_take(&table->lock, lock_rank_hold);
	if (bytes > file->bytes) {
		uint64_t others = table->bytes - file->bytes;

		if (others > table->limit || bytes > table->limit - others) {
			error = -ENOMEM;
		} else {
			table->bytes = others + bytes;
			file->bytes = bytes;
		}
	}
	lock_drop(&table->lock, lock_rank_hold);
	return error;
}

/*
 * The file's size in whole pages; -ENOENT when it has no name any more. Who
 * removes a name drops the hold afterwards, so one of the two sees the other.
 */
static int length_of(int fd, uint64_t *length)
{
	uint64_t page = pagecache_page_size();
	struct stat status;

	if (fstat(fd, &status) < 0)
		return -errno;
	if (!S_ISREG(status.st_mode))
		return -EINVAL;
	if (status.st_nlink == 0)
		return -ENOENT;
	*length = ((uint64_t)status.st_size + page - 1) / page * page;
	return *length > SIZE_MAX / 2 ? -ENOMEM : 0;
}

static int resize(struct hold_table *table, struct held_file *file, int fd,
		  uint64_t length, bool on_fault)
{
	int error = reserve(table, file, length);

	if (error)
		return error;
	if (!file->hold.base)
		return pagecache_hold_make(&file->hold, fd, (size_t)length,
			on_fault);
	error = pagecache_hold_resize(&file->hold, (size_t)length);
	/* Pages that were cut off and written again are not held yet. */
	return error ? error : pagecache_hold_change(&file->hold, on_fault);
}

/* Makes the hold as long as the file, also one that is cut meanwhile. */
static int stretch(struct hold_table *table, struct held_file *file, int fd,
		   bool on_fault)
{
	uint64_t before, length;
	int error = length_of(fd, &length);

	if (error)
		return error;
	do {
		before = length;
		error = resize(table, file, fd, length, on_fault);
	} while (error && length_of(fd, &length) == 0 && length < before);
	if (!error && on_fault)
		error = pagecache_hold_catch_up(&file->hold, fd);
	return error;
}

int hold_set(struct hold_table *table, const struct store_id *id, int fd,
	     bool on_fault)
{
	struct held_file *file = begin(table, id, true);
	int error;

	if (!file)
		return -ENOMEM;
	error = stretch(table, file, fd, on_fault);
	if (!error) {
		file->on_fault = on_fault;
		file->settled = true;
	} else if (file->settled && file->on_fault != on_fault) {
		pagecache_hold_change(&file->hold, file->on_fault);
	}
	end(table, file, file->hold.length,
	    file->settled && error != -ENOENT);
	return error == -ENOENT ? 0 : error;
}

int hold_follow(struct hold_table *table, const struct store_id *id, int fd)
{
	struct held_file *file = begin(table, id, false);
	int error;

	if (!file)
		return 0;
	error = stretch(table, file, fd, file->on_fault);
	end(table, file, file->hold.length, error != -ENOENT);
	return error == -ENOENT ? 0 : error;
}

void hold_drop(struct hold_table *table, const struct store_id *id)
{
	struct held_file *file;

	lock_take(&table->lock, lock_rank_hold);
	file = find_locked(table, id);
	if (file) {
		forget_locked(table, file);
		if (file->busy) {
			file = NULL;
		} else {
			table->bytes -= file->bytes;
			file->bytes = 0;
		}
	}
	lock_drop(&table->lock, lock_rank_hold);
	if (file)
		free_file(file);
}

bool hold_has(struct hold_table *table, const struct store_id *id,
	      uint64_t *bytes)
{
	struct held_file *file;

	lock_take(&table->lock, lock_rank_hold);
	file = find_locked(table, id);
	if (file && bytes)
		*bytes = file->bytes;
	lock_drop(&table->lock, lock_rank_hold);
	return file != NULL;
}

struct listing {
	struct store_id *ids;
	size_t count;
};

static void add_to_listing(const void *entry, VISIT visit, void *argument)
{
	const struct held_file *const *file = entry;
	struct listing *listing = argument;

	if (visit == postorder || visit == leaf)
		listing->ids[listing->count++] = (*file)->id;
}

int hold_list(struct hold_table *table, struct store_id **ids, size_t *count)
{
	struct listing listing = { 0 };

	lock_take(&table->lock, lock_rank_hold);
	listing.ids = calloc(table->count + 1, sizeof(struct store_id));
	if (listing.ids)
		twalk_r(table->files, add_to_listing, &listing);
	lock_drop(&table->lock, lock_rank_hold);
	*ids = listing.ids;
	*count = listing.count;
	return listing.ids ? 0 : -ENOMEM;
}

struct hold_totals hold_totals(struct hold_table *table)
{
	struct hold_totals totals;

	lock_take(&table->lock, lock_rank_hold);
	totals.bytes = table->bytes;
	totals.limit = table->limit;
	totals.count = table->count;
	lock_drop(&table->lock, lock_rank_hold);
	return totals;
}
