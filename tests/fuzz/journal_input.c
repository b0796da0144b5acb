// SPDX-License-Identifier: Apache-2.0
/*
 * The seeds are made with the functions that journal.c uses, but their rings
 * are of a few blocks only: journal_open() makes none as small.
 */
#include "journal_input.h"

#include <string.h>

#include "store/journal_bytes.h"
#include "store/journal_format.h"

#define PAGE JOURNAL_PAGE

static const uint64_t store_id[2] = { 17, 4 };

/* ---- seeds -------------------------------------------------------------- */

static void put_header(uint8_t *bytes, uint64_t generation, uint64_t blocks,
	uint64_t tail_block, uint64_t tail_sequence)
{
	struct journal_header header = {
		.version = JOURNAL_VERSION,
		.block_size = PAGE,
		.store_id = { store_id[0], store_id[1] },
		.blocks = blocks,
		.generation = generation,
		.tail_block = tail_block,
		.tail_sequence = tail_sequence,
	};

	journal_header_encode(&header, bytes + generation % 2 * PAGE);
}

/* Its blocks, in a ring of so many, from this place on. The place after. */
static uint64_t put_transaction(uint8_t *bytes, uint64_t ring, uint64_t place,
	uint64_t sequence, const struct journal_transaction *transaction)
{
	static uint8_t blocks[INPUT_MAX];
	struct journal_head head = {
		.sequence = sequence,
		.description = journal_description_size(transaction),
		.pages = journal_page_count(transaction),
		.time_ns = INT64_C(1700000000000000000),
		.generation = 1,
		.changes = (uint32_t)transaction->change_count,
		.removals = (uint32_t)transaction->removal_count,
	};
	uint64_t description = journal_description_blocks(head.description);

	memset(blocks, 0, sizeof(blocks));
	head.blocks = description + head.pages;
	journal_description_encode(transaction, blocks + JOURNAL_HEAD_BYTES);
	memset(blocks + description * PAGE, 'd', head.pages * PAGE);
	journal_head_encode(&head, store_id, blocks);
	for (uint64_t i = 0; i < head.blocks; i++)
		memcpy(bytes + (JOURNAL_RING + (place + i) % ring) * PAGE,
			blocks + i * PAGE, PAGE);
	return (place + head.blocks) % ring;
}

#define BY_HANDLE                                                              \
	{                                                                      \
		.ino = 12, .birth_ns = 99, .handle_type = 1,                   \
		.handle_length = 8, .handle = "handle 8"                       \
	}
#define BY_NUMBER                                                              \
	{                                                                      \
		.ino = 13, .birth_ns = 98                                      \
	}

static const struct journal_page pages[] = {
	{ 0, NULL }, { 1, NULL }, { 9, NULL },
};
static const struct journal_hole holes[] = {
	{ 0, 3 }, { 5, 1 }, { 10, JOURNAL_TO_END },
};
static const struct journal_change small_change[] = {
	{ .id = BY_HANDLE, .path = "a", .size = 5, .pages = pages,
		.page_count = 1 },
};
static const struct journal_change some_changes[] = {
	{ .id = BY_HANDLE, .path = "dir/file", .size = 40000,
		.mtime = { 1700000000, 1 }, .holes = holes, .hole_count = 3,
		.pages = pages, .page_count = 3 },
	{ .id = BY_NUMBER, .path = "", .size = 0, .holes = holes,
		.hole_count = 1 },
};
static const struct journal_removal removal[] = {
	{ .directory = BY_NUMBER, .path = "dir", .name = "file",
		.file = BY_HANDLE },
};
static const struct journal_transaction small = {
	.changes = small_change, .change_count = 1,
};
static const struct journal_transaction medium = {
	.changes = some_changes, .change_count = 2,
	.removals = removal, .removal_count = 1,
};

/* A description of three blocks. */
static void put_long(uint8_t *bytes, uint64_t ring)
{
	struct journal_hole many[600];
	struct journal_change change = { .id = BY_NUMBER, .path = "long",
		.size = 1, .holes = many, .hole_count = 600, .pages = pages,
		.page_count = 2 };
	struct journal_transaction transaction = { .changes = &change,
		.change_count = 1 };

	for (uint64_t i = 0; i < 600; i++)
		many[i] = (struct journal_hole){ 2 * i, 1 };
	put_transaction(bytes, ring, ring - 2, 7, &transaction);
}

size_t input_seed(unsigned which, uint8_t bytes[INPUT_MAX])
{
	static const unsigned all_blocks[INPUT_SEEDS] = { 3, 6, 12, 14, 12, 9 };
	uint64_t blocks = all_blocks[which];
	uint64_t ring = blocks - JOURNAL_RING;
	uint64_t place;

	memset(bytes, 0, INPUT_MAX);
	put_header(bytes, 0, blocks, JOURNAL_RING, 1);
	put_header(bytes, 1, blocks, JOURNAL_RING, 1);
	switch (which) {
	case 1: /* one */
		put_transaction(bytes, ring, 0, 1, &small);
		break;
	case 2: /* three, over the ring's end */
		put_header(bytes, 2, blocks, JOURNAL_RING + 6, 5);
		place = put_transaction(bytes, ring, 6, 5, &small);
		place = put_transaction(bytes, ring, place, 6, &medium);
		put_transaction(bytes, ring, place, 7, &small);
		break;
	case 3: /* a long description, over the ring's end */
		put_header(bytes, 2, blocks, JOURNAL_RING + ring - 2, 7);
		put_long(bytes, ring);
		break;
	case 4: /* the ring is full, and what it held before shows */
		put_transaction(bytes, ring, 0, 1, &medium);
		place = put_transaction(bytes, ring, 4, 2, &medium);
		place = put_transaction(bytes, ring, place, 3, &small);
		put_header(bytes, 2, blocks, JOURNAL_RING + 4, 2);
		break;
	case 5: /* of nothing */
		put_transaction(bytes, ring, 0, 1,
			&(struct journal_transaction){ 0 });
		break;
	default:
		break;
	}
	input_seal(bytes, blocks * PAGE);
	return blocks * PAGE;
}

/* ---- checksums ---------------------------------------------------------- */

/* The ring of the input, and the blocks that begin a transaction in it. */
struct ring {
	uint8_t *at;
	uint64_t blocks;
	uint64_t id[2];
};

static uint8_t *block_of(const struct ring *ring, uint64_t place)
{
	return ring->at + place % ring->blocks * PAGE;
}

static void seal_transaction(const struct ring *ring, uint64_t place)
{
	static uint8_t all[INPUT_MAX];
	uint8_t *head = block_of(ring, place);
	uint64_t description = bytes_get64(head + 32);
	uint64_t pages_at_end = bytes_get64(head + 40);
	uint64_t seed = journal_seed(ring->id, bytes_get64(head + 16));
	uint64_t blocks;

	if (description > INPUT_MAX || pages_at_end > ring->blocks ||
		8 * pages_at_end > description)
		goto out;
	blocks = journal_description_blocks(description);
	if (blocks > ring->blocks || blocks > INPUT_MAX / PAGE)
		goto out;
	for (uint64_t i = 0; i < blocks; i++)
		memcpy(all + i * PAGE, block_of(ring, place + i), PAGE);
	for (uint64_t i = 0; i < pages_at_end; i++)
		bytes_put64(all + JOURNAL_HEAD_BYTES + description -
				    8 * (pages_at_end - i),
			journal_checksum(block_of(ring, place + blocks + i),
				PAGE, seed));
	bytes_put64(all + 64,
		journal_checksum(all + PAGE, (blocks - 1) * PAGE, seed));
	for (uint64_t i = 0; i < blocks; i++)
		memcpy(block_of(ring, place + i), all + i * PAGE, PAGE);
out:
	bytes_put64(head + 8, journal_checksum(head + 16, PAGE - 16, seed));
}

void input_seal(uint8_t *bytes, size_t size)
{
	struct ring ring = { .at = bytes + JOURNAL_RING * PAGE };
	uint64_t blocks = size / PAGE;
	const uint8_t *newest;

	if (blocks < JOURNAL_BLOCKS_MIN)
		return;
	for (unsigned slot = 0; slot < JOURNAL_RING; slot++)
		bytes_put64(bytes + slot * PAGE + 8,
			journal_checksum(bytes + slot * PAGE + 16, 512 - 16,
				0));
	newest = bytes_get64(bytes + 48) > bytes_get64(bytes + PAGE + 48) ?
			 bytes : bytes + PAGE;
	ring.blocks = bytes_get64(newest + 40) - JOURNAL_RING;
	if (ring.blocks == 0 || ring.blocks > blocks - JOURNAL_RING)
		ring.blocks = blocks - JOURNAL_RING;
	ring.id[0] = bytes_get64(newest + 24);
	ring.id[1] = bytes_get64(newest + 32);
	for (uint64_t place = 0; place < ring.blocks; place++) {
		if (memcmp(block_of(&ring, place), "MSYNCFST", 8) == 0)
			seal_transaction(&ring, place);
	}
}
