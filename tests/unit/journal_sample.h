/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Transactions for the tests of journal, apply and recovery: built from
 * parts, with pages whose bytes tell which page of which transaction they
 * are, and compared with what is read.
 */
#ifndef MSYNCFS_TESTS_UNIT_JOURNAL_SAMPLE_H
#define MSYNCFS_TESTS_UNIT_JOURNAL_SAMPLE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "store/journal.h"
#include "store/journal_read.h"

#define SAMPLE_CHANGES 8
#define SAMPLE_HOLES 8

struct sample {
	struct journal_transaction transaction;
	struct journal_change changes[SAMPLE_CHANGES];
	struct journal_hole holes[SAMPLE_CHANGES][SAMPLE_HOLES];
	struct journal_removal removals[SAMPLE_CHANGES];
};

static inline void sample_init(struct sample *sample, int64_t time_ns)
{
	*sample = (struct sample){
		.transaction = {
			.time_ns = time_ns,
			.changes = sample->changes,
			.removals = sample->removals,
		},
	};
}

/* Of a file, its number is enough. */
static inline struct journal_id sample_id(uint64_t ino)
{
	return (struct journal_id){ .ino = ino, .birth_ns = -7 };
}

/* Without pages; path stays the caller's. */
static inline struct journal_change *
sample_change(struct sample *sample, const struct journal_id *id,
	const char *path, uint64_t size)
{
	size_t at = sample->transaction.change_count++;
	struct journal_change *change = &sample->changes[at];

	*change = (struct journal_change){
		.id = *id,
		.path = path,
		.size = size,
		.mtime = { .tv_sec = 1000000000 + (time_t)at, .tv_nsec = 5 },
		.holes = sample->holes[at],
	};
	return change;
}

static inline void sample_hole(struct sample *sample, size_t change,
	uint64_t first, uint64_t count)
{
	sample->holes[change][sample->changes[change].hole_count++] =
		(struct journal_hole){ first, count };
}

/* Behind those that are there; each byte of the pages is fill + page. */
static inline void sample_pages(struct journal_change *change, uint64_t first,
	size_t count, unsigned char fill)
{
	struct journal_page *pages = realloc((void *)change->pages,
		(change->page_count + count) * sizeof(*pages));

	assert_non_null(pages);
	change->pages = pages;
	for (uint64_t page = first; page < first + count; page++) {
		unsigned char *data = malloc(JOURNAL_PAGE);

		assert_non_null(data);
		memset(data, (int)(fill + page), JOURNAL_PAGE);
		pages[change->page_count++] =
			(struct journal_page){ page, data };
	}
}

static inline void sample_fini(struct sample *sample)
{
	for (size_t i = 0; i < sample->transaction.change_count; i++) {
		struct journal_change *change = &sample->changes[i];

		for (size_t p = 0; p < change->page_count; p++)
			free((void *)change->pages[p].data);
		free((void *)change->pages);
	}
}

/* A transaction of one file, number 77, with so many pages. */
static inline void sample_small(struct sample *sample, size_t pages,
	unsigned char fill)
{
	struct journal_id id = sample_id(77);

	sample_init(sample, fill);
	sample_pages(sample_change(sample, &id, "dir/file",
			     pages * JOURNAL_PAGE), 0, pages, fill);
}

static inline bool same_change(const struct journal_change *a,
	const struct journal_change *b)
{
	if (!journal_same_id(&a->id, &b->id) ||
		a->id.birth_ns != b->id.birth_ns ||
		strcmp(a->path, b->path) != 0 || a->size != b->size ||
		a->mtime.tv_sec != b->mtime.tv_sec ||
		a->mtime.tv_nsec != b->mtime.tv_nsec ||
		a->hole_count != b->hole_count ||
		a->page_count != b->page_count)
		return false;
	for (size_t i = 0; i < a->hole_count; i++) {
		if (a->holes[i].first != b->holes[i].first ||
			a->holes[i].count != b->holes[i].count)
			return false;
	}
	for (size_t i = 0; i < a->page_count; i++) {
		if (a->pages[i].page != b->pages[i].page ||
			memcmp(a->pages[i].data, b->pages[i].data,
				JOURNAL_PAGE) != 0)
			return false;
	}
	return true;
}

/* All but the sequence. */
static inline bool same_transaction(const struct journal_transaction *a,
	const struct journal_transaction *b)
{
	if (a->time_ns != b->time_ns || a->change_count != b->change_count ||
		a->removal_count != b->removal_count)
		return false;
	for (size_t i = 0; i < a->change_count; i++) {
		if (!same_change(&a->changes[i], &b->changes[i]))
			return false;
	}
	for (size_t i = 0; i < a->removal_count; i++) {
		const struct journal_removal *one = &a->removals[i];
		const struct journal_removal *two = &b->removals[i];

		if (!journal_same_id(&one->directory, &two->directory) ||
			!journal_same_id(&one->file, &two->file) ||
			strcmp(one->path, two->path) != 0 ||
			strcmp(one->name, two->name) != 0)
			return false;
	}
	return true;
}

/*
 * Reads all that is in the journal: as many transactions as are those of
 * samples, beginning with this sequence, and no more. False, with what was
 * wrong, or true.
 */
static inline bool reads_as(struct journal_reader *reader, uint64_t sequence,
	struct sample *const *samples, size_t count)
{
	struct journal_transaction transaction;

	for (size_t i = 0; i < count; i++) {
		if (journal_reader_next(reader, &transaction) != 1 ||
			transaction.sequence != sequence + i ||
			!same_transaction(&transaction,
				&samples[i]->transaction)) {
			print_message("# transaction %zu differs\n", i);
			return false;
		}
	}
	return journal_reader_next(reader, &transaction) == 0;
}

static inline struct journal_reader *read_journal(int root_fd)
{
	struct journal_reader *reader = NULL;
	char error[512] = "";
	int r = journal_reader_open(root_fd, &reader, error, sizeof(error));

	if (r < 0)
		print_message("# %d %s\n", r, error);
	assert_int_equal(r, 0);
	return reader;
}

static inline struct journal *open_journal(int root_fd, uint64_t size)
{
	struct journal *journal = NULL;
	char error[512] = "";
	int r = journal_open(root_fd, size, &journal, error, sizeof(error));

	if (r < 0)
		print_message("# %d %s\n", r, error);
	assert_int_equal(r, 0);
	return journal;
}

#endif
