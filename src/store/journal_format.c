// SPDX-License-Identifier: Apache-2.0
/*
 * Header and head have the same frame: 8 bytes that say what it is, 8 bytes
 * of checksum over all that follows, then the fields. A header is of 512
 * bytes, so that a device which writes whole sectors can't tear it; the rest
 * of its block is not used.
 */
#include "store/journal_format.h"

#include <errno.h>
#include <string.h>
#include <xxhash.h>

#include "store/journal_bytes.h"

#define FRAME 16u /* bytes before the fields */
#define HEADER_BYTES 512u

static const char header_magic[8] = "MSYNCFSJ";
static const char head_magic[8] = "MSYNCFST";

uint64_t journal_checksum(const void *bytes, size_t size, uint64_t seed)
{
	return XXH3_64bits_withSeed(bytes, size, seed);
}

uint64_t journal_seed(const uint64_t store_id[2], uint64_t sequence)
{
	unsigned char bytes[24];

	bytes_put64(bytes, store_id[0]);
	bytes_put64(bytes + 8, store_id[1]);
	bytes_put64(bytes + 16, sequence);
	return journal_checksum(bytes, sizeof(bytes), 0);
}

static void seal(unsigned char *block, const char magic[8], size_t size,
		 uint64_t seed)
{
	memcpy(block, magic, 8);
	bytes_put64(block + 8,
		journal_checksum(block + FRAME, size - FRAME, seed));
}

static bool is_sealed(const unsigned char *block, const char magic[8],
		      size_t size, uint64_t seed)
{
	return memcmp(block, magic, 8) == 0 &&
	       bytes_get64(block + 8) ==
		       journal_checksum(block + FRAME, size - FRAME, seed);
}

void journal_header_encode(const struct journal_header *header, void *block)
{
	unsigned char *at = block;

	memset(at, 0, JOURNAL_PAGE);
	bytes_put32(at + 16, header->version);
	bytes_put32(at + 20, header->block_size);
	bytes_put64(at + 24, header->store_id[0]);
	bytes_put64(at + 32, header->store_id[1]);
	bytes_put64(at + 40, header->blocks);
	bytes_put64(at + 48, header->generation);
	bytes_put64(at + 56, header->tail_block);
	bytes_put64(at + 64, header->tail_sequence);
	seal(at, header_magic, HEADER_BYTES, 0);
}

int journal_header_decode(const void *block, struct journal_header *header)
{
	const unsigned char *at = block;

	*header = (struct journal_header){ 0 };
	if (!is_sealed(at, header_magic, HEADER_BYTES, 0))
		return -EBADMSG;
	header->version = bytes_get32(at + 16);
	if (header->version > JOURNAL_VERSION)
		return -EPROTONOSUPPORT;
	header->block_size = bytes_get32(at + 20);
	header->store_id[0] = bytes_get64(at + 24);
	header->store_id[1] = bytes_get64(at + 32);
	header->blocks = bytes_get64(at + 40);
	header->generation = bytes_get64(at + 48);
	header->tail_block = bytes_get64(at + 56);
	header->tail_sequence = bytes_get64(at + 64);
	if (header->version == 0 || header->block_size != JOURNAL_PAGE ||
	    header->blocks < JOURNAL_BLOCKS_MIN ||
	    header->blocks > JOURNAL_PAGES_MAX ||
	    header->tail_block < JOURNAL_RING ||
	    header->tail_block >= header->blocks ||
	    header->tail_sequence == 0 ||
	    header->generation == UINT64_MAX ||
	    header->tail_sequence > UINT64_MAX / 2)
		return -EBADMSG;
	return 0;
}

void journal_head_encode(const struct journal_head *head,
			 const uint64_t store_id[2], void *block)
{
	unsigned char *at = block;

	bytes_put64(at + 16, head->sequence);
	bytes_put64(at + 24, head->blocks);
	bytes_put64(at + 32, head->description);
	bytes_put64(at + 40, head->pages);
	bytes_put64(at + 48, (uint64_t)head->time_ns);
	bytes_put64(at + 56, head->generation);
	bytes_put64(at + 64, head->rest);
	bytes_put32(at + 72, head->changes);
	bytes_put32(at + 76, head->removals);
	seal(at, head_magic, JOURNAL_PAGE,
		journal_seed(store_id, head->sequence));
}

bool journal_head_decode(const void *block, const uint64_t store_id[2],
			 struct journal_head *head)
{
	const unsigned char *at = block;

	if (memcmp(at, head_magic, sizeof(head_magic)) != 0)
		return false;
	head->sequence = bytes_get64(at + 16);
	if (!is_sealed(at, head_magic, JOURNAL_PAGE,
		       journal_seed(store_id, head->sequence)))
		return false;
	head->blocks = bytes_get64(at + 24);
	head->description = bytes_get64(at + 32);
	head->pages = bytes_get64(at + 40);
	head->time_ns = (int64_t)bytes_get64(at + 48);
	head->generation = bytes_get64(at + 56);
	head->rest = bytes_get64(at + 64);
	head->changes = bytes_get32(at + 72);
	head->removals = bytes_get32(at + 76);
	return true;
}
