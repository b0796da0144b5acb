// SPDX-License-Identifier: Apache-2.0
/*
 * Any bytes as a journal: they are read as recovery reads them, every byte
 * that comes out is looked at, what the header journal_read.h promises is
 * checked, and some of the changes are carried out on a file in memory.
 *
 * The mutator changes numbers where they matter, in headers and
 * descriptions, moves blocks, and sets the checksums right in most cases.
 * With random bytes alone the fuzzer would never get behind these.
 */
#include "journal_input.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "random.h"
#include "store/apply.h"
#include "store/journal_bytes.h"
#include "store/journal_format.h"
#include "store/journal_read.h"

#define PAGE JOURNAL_PAGE

static volatile uint64_t sink;

uint64_t input_transactions;

static void must(bool true_so)
{
	if (!true_so)
		abort();
}

/* ---- reading ------------------------------------------------------------ */

static void look_at(const void *bytes, size_t size)
{
	const unsigned char *at = bytes;
	uint64_t sum = 0;

	for (size_t i = 0; i < size; i++)
		sum += at[i];
	sink += sum;
}

static void look_at_id(const struct journal_id *id)
{
	must(id->handle_length <= JOURNAL_HANDLE_MAX);
	look_at(id, sizeof(*id));
}

static void look_at_path(const char *path)
{
	must(strlen(path) < 4096);
	must(path[0] != '/');
	must(strcmp(path, "..") != 0 && strncmp(path, "../", 3) != 0);
	must(!strstr(path, "/../") && !strstr(path, "//"));
	look_at(path, strlen(path));
}

static void look_at_change(const struct journal_change *change)
{
	uint64_t next = 0;

	look_at_id(&change->id);
	look_at_path(change->path);
	must(change->size <= INT64_MAX);
	must(change->mtime.tv_nsec >= 0 && change->mtime.tv_nsec < 1000000000);
	for (size_t i = 0; i < change->hole_count; i++) {
		const struct journal_hole *hole = &change->holes[i];

		must(hole->first >= next && hole->first < JOURNAL_PAGES_MAX);
		must(hole->count > 0);
		next = hole->count == JOURNAL_TO_END ?
			       JOURNAL_PAGES_MAX : hole->first + hole->count;
		must(next <= JOURNAL_PAGES_MAX);
	}
	next = 0;
	for (size_t i = 0; i < change->page_count; i++) {
		must(change->pages[i].page >= next);
		next = change->pages[i].page + 1;
		look_at(change->pages[i].data, PAGE);
	}
	must(next <= JOURNAL_PAGES_MAX);
}

static void look_at_transaction(const struct journal_transaction *transaction,
	int scratch)
{
	for (size_t i = 0; i < transaction->change_count; i++) {
		look_at_change(&transaction->changes[i]);
		if (i < 4) {
			apply_reserve(scratch, &transaction->changes[i]);
			apply_change(scratch, &transaction->changes[i]);
		}
	}
	for (size_t i = 0; i < transaction->removal_count; i++) {
		const struct journal_removal *removal =
			&transaction->removals[i];

		look_at_id(&removal->directory);
		look_at_id(&removal->file);
		look_at_path(removal->path);
		look_at_path(removal->name);
		must(*removal->name && !strchr(removal->name, '/'));
	}
}

static int memory_file(void)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	must(fd >= 0);
	return fd;
}

static void set_bytes(int fd, const uint8_t *bytes, size_t size)
{
	must(ftruncate(fd, 0) == 0);
	must(size == 0 || pwrite(fd, bytes, size, 0) == (ssize_t)size);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static int journal = -1;
	static int scratch = -1;
	struct journal_transaction transaction;
	const struct journal_summary *summary;
	struct journal_reader *reader;
	uint64_t count = 0, blocks = 0;
	char error[256];
	int r;

	if (journal < 0) {
		journal = memory_file();
		scratch = memory_file();
	}
	set_bytes(journal, bytes, size);
	r = journal_reader_open_file(journal, &reader, error, sizeof(error));
	if (r < 0) {
		must(strlen(error) > 0);
		return 0;
	}
	summary = journal_reader_summary(reader);
	while ((r = journal_reader_next(reader, &transaction)) == 1) {
		must(transaction.sequence == summary->first_sequence + count);
		count++;
		blocks += journal_reader_length(reader) / PAGE;
		look_at_transaction(&transaction, scratch);
	}
	input_transactions += count;
	must(r == 0 && count == summary->transactions);
	must(blocks == summary->blocks_used);
	must(blocks <= summary->blocks - JOURNAL_RING);
	journal_reader_close(reader);
	must(ftruncate(scratch, 0) == 0);
	return 0;
}

/* ---- changing ----------------------------------------------------------- */

static uint64_t interesting(uint64_t *random, uint64_t now)
{
	static const uint64_t values[] = { 0, 1, 2, 3, 4095, 4096, 4097,
		UINT64_C(1) << 31, UINT64_C(1) << 32, JOURNAL_PAGES_MAX - 1,
		JOURNAL_PAGES_MAX, UINT64_MAX >> 1, UINT64_C(1) << 63,
		UINT64_MAX - 1, UINT64_MAX };
	uint64_t which = random_next(random) % 20;

	if (which < sizeof(values) / sizeof(values[0]))
		return values[which];
	return which < 18 ? now + random_next(random) % 5 - 2 :
			    random_next(random);
}

/* A block that begins a transaction if there is one, else any. */
static size_t some_head(const uint8_t *bytes, size_t blocks, uint64_t *random)
{
	size_t start = (size_t)(random_next(random) % blocks);

	for (size_t i = 0; i < blocks; i++) {
		size_t block = (start + i) % blocks;

		if (memcmp(bytes + block * PAGE, "MSYNCFST", 8) == 0)
			return block;
	}
	return start;
}

/* One number, or a few bytes, where headers and descriptions are. */
static void change_fields(uint8_t *bytes, size_t blocks, uint64_t *random)
{
	size_t block = random_next(random) % 4 == 0 ?
			       (size_t)(random_next(random) % blocks) :
			       some_head(bytes, blocks, random);
	uint8_t *at = bytes + block * PAGE;

	at += random_next(random) % 2 ? 16 + 8 * (random_next(random) % 8) :
					64 + 8 * (random_next(random) % 40);
	if (random_next(random) % 3 > 0)
		bytes_put64(at, interesting(random, bytes_get64(at)));
	else if (random_next(random) % 2)
		bytes_put32(at + 4, (uint32_t)interesting(random,
					    bytes_get32(at + 4)));
	else
		LLVMFuzzerMutate(at, 32, 32);
}

static void copy_block(uint8_t *bytes, size_t blocks, uint64_t *random)
{
	size_t from = (size_t)(random_next(random) % blocks);
	size_t to = (size_t)(random_next(random) % blocks);

	memmove(bytes + to * PAGE, bytes + from * PAGE, PAGE);
}

size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t size, size_t max,
	unsigned seed)
{
	uint64_t random = (seed + UINT64_C(1)) * UINT64_C(0x9e3779b97f4a7c15);
	size_t blocks = size / PAGE;
	uint64_t how = random_next(&random) % 16;

	if (blocks == 0 || how == 0) {
		size = LLVMFuzzerMutate(bytes, size, max);
	} else if (how == 1) {
		copy_block(bytes, blocks, &random);
	} else if (how == 2 && size + PAGE <= max) {
		memset(bytes + size, 0, PAGE);
		size += PAGE;
	} else {
		for (uint64_t n = random_next(&random) % 3; n < 3; n++)
			change_fields(bytes, blocks, &random);
	}
	if (random_next(&random) % 16 > 0)
		input_seal(bytes, size);
	return size;
}
