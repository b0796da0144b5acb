// SPDX-License-Identifier: Apache-2.0
/*
 * What a transaction describes: its changes, its removals, its pages'
 * checksums, one after another, each thing a multiple of 8 bytes. The reader
 * has two passes: one counts and checks, so that the memory is known, the
 * other fills it in.
 */
#include "store/journal_format.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "store/journal_bytes.h"

#define ID_BYTES 24u /* without the handle */
#define CHANGE_BYTES 48u /* without id, path, holes and runs */
#define REMOVAL_BYTES 8u /* without ids, path and name */

/* Pages one after another. */
struct run {
	uint64_t first;
	uint64_t count;
};

static uint64_t padded(uint64_t bytes)
{
	return (bytes + 7) & ~UINT64_C(7);
}

/* ---- writing ----------------------------------------------------------- */

uint64_t journal_page_count(const struct journal_transaction *transaction)
{
	uint64_t pages = 0;

	for (size_t i = 0; i < transaction->change_count; i++)
		pages += transaction->changes[i].page_count;
	return pages;
}

/* The run that begins with the change's page number `at`. */
static struct run run_at(const struct journal_change *change, size_t at)
{
	struct run run = { .first = change->pages[at].page, .count = 1 };

	while (at + run.count < change->page_count &&
	       change->pages[at + run.count].page == run.first + run.count)
		run.count++;
	return run;
}

static uint64_t run_count(const struct journal_change *change)
{
	uint64_t runs = 0;

	for (size_t at = 0; at < change->page_count; runs++)
		at += run_at(change, at).count;
	return runs;
}

static uint64_t id_size(const struct journal_id *id)
{
	return ID_BYTES + padded(id->handle_length);
}

uint64_t
journal_description_size(const struct journal_transaction *transaction)
{
	uint64_t size = 8 * journal_page_count(transaction);

	for (size_t i = 0; i < transaction->change_count; i++) {
		const struct journal_change *change = &transaction->changes[i];

		size += id_size(&change->id) + CHANGE_BYTES +
			padded(strlen(change->path)) +
			16 * (change->hole_count + run_count(change));
	}
	for (size_t i = 0; i < transaction->removal_count; i++) {
		const struct journal_removal *removal =
			&transaction->removals[i];

		size += id_size(&removal->directory) +
			id_size(&removal->file) + REMOVAL_BYTES +
			padded(strlen(removal->path)) +
			padded(strlen(removal->name));
	}
	return size;
}

static void put32(unsigned char **at, uint32_t value)
{
	bytes_put32(*at, value);
	*at += sizeof(value);
}

static void put64(unsigned char **at, uint64_t value)
{
	bytes_put64(*at, value);
	*at += sizeof(value);
}

static void put_bytes(unsigned char **at, const void *bytes, size_t size)
{
	memcpy(*at, bytes, size);
	memset(*at + size, 0, (size_t)padded(size) - size);
	*at += padded(size);
}

static void put_id(unsigned char **at, const struct journal_id *id)
{
	put64(at, id->ino);
	put64(at, (uint64_t)id->birth_ns);
	put32(at, (uint32_t)id->handle_type);
	put32(at, id->handle_length);
	put_bytes(at, id->handle, id->handle_length);
}

static void put_change(unsigned char **at, const struct journal_change *change)
{
	size_t path = strlen(change->path);

	put_id(at, &change->id);
	put64(at, change->size);
	put64(at, (uint64_t)change->mtime.tv_sec);
	put32(at, (uint32_t)change->mtime.tv_nsec);
	put32(at, (uint32_t)path);
	put64(at, change->hole_count);
	put64(at, run_count(change));
	put64(at, change->page_count);
	put_bytes(at, change->path, path);
	for (size_t i = 0; i < change->hole_count; i++) {
		put64(at, change->holes[i].first);
		put64(at, change->holes[i].count);
	}
	for (size_t i = 0; i < change->page_count;) {
		struct run run = run_at(change, i);

		put64(at, run.first);
		put64(at, run.count);
		i += run.count;
	}
}

void journal_description_encode(const struct journal_transaction *transaction,
				unsigned char *bytes)
{
	for (size_t i = 0; i < transaction->change_count; i++)
		put_change(&bytes, &transaction->changes[i]);
	for (size_t i = 0; i < transaction->removal_count; i++) {
		const struct journal_removal *removal =
			&transaction->removals[i];

		put_id(&bytes, &removal->directory);
		put_id(&bytes, &removal->file);
		put32(&bytes, (uint32_t)strlen(removal->path));
		put32(&bytes, (uint32_t)strlen(removal->name));
		put_bytes(&bytes, removal->path, strlen(removal->path));
		put_bytes(&bytes, removal->name, strlen(removal->name));
	}
}

/* ---- reading ----------------------------------------------------------- */

/* Where the reader is, and what it has counted or filled so far. */
struct cursor {
	const unsigned char *at;
	const unsigned char *end;
	uint64_t holes;
	uint64_t pages;
	uint64_t text; /* bytes */
	/* NULL in the first pass. */
	struct journal_description *into;
};

/* NULL: so many bytes are not there. */
static const unsigned char *take(struct cursor *cursor, uint64_t size)
{
	const unsigned char *at = cursor->at;

	if (size > (uint64_t)(cursor->end - at))
		return NULL;
	cursor->at += size;
	return at;
}

static bool take_id(struct cursor *cursor, struct journal_id *id)
{
	const unsigned char *at = take(cursor, ID_BYTES);
	const unsigned char *handle;

	if (!at)
		return false;
	*id = (struct journal_id){
		.ino = bytes_get64(at),
		.birth_ns = (int64_t)bytes_get64(at + 8),
		.handle_type = (int32_t)bytes_get32(at + 16),
		.handle_length = bytes_get32(at + 20),
	};
	if (id->handle_length > JOURNAL_HANDLE_MAX)
		return false;
	handle = take(cursor, padded(id->handle_length));
	if (!handle)
		return false;
	memcpy(id->handle, handle, id->handle_length);
	return true;
}

/* Of FAT and NTFS one may have more than NAME_MAX bytes. */
static bool is_name(const unsigned char *name, size_t length)
{
	if (length == 0 || length >= PATH_MAX ||
	    memchr(name, '/', length) || memchr(name, '\0', length))
		return false;
	return !(name[0] == '.' &&
		 (length == 1 || (length == 2 && name[1] == '.')));
}

/* Empty, or names with one slash between them. */
static bool is_path(const unsigned char *path, size_t length)
{
	const unsigned char *end = path + length;

	if (length == 0)
		return true;
	if (length >= PATH_MAX)
		return false;
	for (;;) {
		const unsigned char *slash =
			memchr(path, '/', (size_t)(end - path));
		const unsigned char *stop = slash ? slash : end;

		if (!is_name(path, (size_t)(stop - path)))
			return false;
		if (!slash)
			return true;
		path = slash + 1;
	}
}

/* In the second pass *text is where it is now. */
static bool take_text(struct cursor *cursor, uint32_t length,
		      bool (*is_right)(const unsigned char *, size_t),
		      const char **text)
{
	const unsigned char *bytes = take(cursor, padded(length));

	if (!bytes || !is_right(bytes, length))
		return false;
	if (cursor->into) {
		char *to = cursor->into->text + cursor->text;

		memcpy(to, bytes, length);
		to[length] = '\0';
		*text = to;
	}
	cursor->text += (uint64_t)length + 1;
	return true;
}

static bool take_holes(struct cursor *cursor, uint64_t count)
{
	uint64_t next = 0;

	for (uint64_t i = 0; i < count; i++) {
		const unsigned char *at = take(cursor, 16);
		struct journal_hole hole;

		if (!at)
			return false;
		hole.first = bytes_get64(at);
		hole.count = bytes_get64(at + 8);
		if (hole.first < next || hole.first >= JOURNAL_PAGES_MAX)
			return false;
		if (hole.count == JOURNAL_TO_END)
			next = JOURNAL_PAGES_MAX;
		else if (hole.count == 0 ||
			 hole.count > JOURNAL_PAGES_MAX - hole.first)
			return false;
		else
			next = hole.first + hole.count;
		if (cursor->into)
			cursor->into->holes[cursor->holes] = hole;
		cursor->holes++;
	}
	return true;
}

/* Runs of `count` pages in all; no more than pages_max with those before. */
static bool take_runs(struct cursor *cursor, uint64_t runs, uint64_t count,
		      uint64_t pages_max)
{
	uint64_t next = 0;

	if (count > pages_max - cursor->pages)
		return false;
	for (uint64_t i = 0; i < runs; i++) {
		const unsigned char *at = take(cursor, 16);
		struct run run;

		if (!at)
			return false;
		run.first = bytes_get64(at);
		run.count = bytes_get64(at + 8);
		if (run.first < next || run.first >= JOURNAL_PAGES_MAX ||
		    run.count == 0 || run.count > count ||
		    run.count > JOURNAL_PAGES_MAX - run.first)
			return false;
		next = run.first + run.count;
		count -= run.count;
		for (uint64_t page = run.first; page < next; page++) {
			if (cursor->into)
				cursor->into->pages[cursor->pages].page = page;
			cursor->pages++;
		}
	}
	return count == 0;
}

static bool take_change(struct cursor *cursor, uint64_t pages_max,
			struct journal_change *change)
{
	const unsigned char *at;
	uint64_t runs;

	if (!take_id(cursor, &change->id))
		return false;
	at = take(cursor, CHANGE_BYTES);
	if (!at)
		return false;
	change->size = bytes_get64(at);
	change->mtime.tv_sec = (time_t)bytes_get64(at + 8);
	change->mtime.tv_nsec = (long)bytes_get32(at + 16);
	change->hole_count = bytes_get64(at + 24);
	runs = bytes_get64(at + 32);
	change->page_count = bytes_get64(at + 40);
	if (change->size > INT64_MAX || change->mtime.tv_nsec > 999999999)
		return false;
	if (cursor->into) {
		change->holes = cursor->into->holes + cursor->holes;
		change->pages = cursor->into->pages + cursor->pages;
	}
	return take_text(cursor, bytes_get32(at + 20), is_path,
			 &change->path) &&
	       take_holes(cursor, change->hole_count) &&
	       take_runs(cursor, runs, change->page_count, pages_max);
}

static bool take_removal(struct cursor *cursor,
			 struct journal_removal *removal)
{
	const unsigned char *at;

	if (!take_id(cursor, &removal->directory) ||
	    !take_id(cursor, &removal->file))
		return false;
	at = take(cursor, REMOVAL_BYTES);
	return at &&
	       take_text(cursor, bytes_get32(at), is_path, &removal->path) &&
	       take_text(cursor, bytes_get32(at + 4), is_name,
			 &removal->name);
}

static bool pass(const struct journal_head *head, const unsigned char *bytes,
		 struct journal_description *into, struct cursor *cursor)
{
	struct journal_change change;
	struct journal_removal removal;

	*cursor = (struct cursor){
		.at = bytes,
		.end = bytes + journal_checksums_at(head),
		.into = into,
	};
	for (uint32_t i = 0; i < head->changes; i++) {
		if (!take_change(cursor, head->pages,
				 into ? &into->changes[i] : &change))
			return false;
	}
	for (uint32_t i = 0; i < head->removals; i++) {
		if (!take_removal(cursor,
				  into ? &into->removals[i] : &removal))
			return false;
	}
	return cursor->at == cursor->end && cursor->pages == head->pages;
}

/* At least one, so that NULL means that there is no memory. */
static void *array_of(uint64_t count, size_t size)
{
	return calloc(count > 0 ? (size_t)count : 1, size);
}

int journal_description_decode(const struct journal_head *head,
			       const unsigned char *bytes,
			       struct journal_description *description)
{
	struct cursor counted, filled;

	*description = (struct journal_description){ 0 };
	if (head->pages > head->description / 8 ||
	    !pass(head, bytes, NULL, &counted))
		return -EBADMSG;
	description->changes =
		array_of(head->changes, sizeof(*description->changes));
	description->removals =
		array_of(head->removals, sizeof(*description->removals));
	description->holes =
		array_of(counted.holes, sizeof(*description->holes));
	description->pages =
		array_of(counted.pages, sizeof(*description->pages));
	description->text = array_of(counted.text, 1);
	if (!description->changes || !description->removals ||
	    !description->holes || !description->pages || !description->text) {
		journal_description_fini(description);
		return -ENOMEM;
	}
	pass(head, bytes, description, &filled);
	return 0;
}

void journal_description_fini(struct journal_description *description)
{
	free(description->changes);
	free(description->removals);
	free(description->holes);
	free(description->pages);
	free(description->text);
	*description = (struct journal_description){ 0 };
}
