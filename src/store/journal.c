// SPDX-License-Identifier: Apache-2.0
/*
 * The file is a sequence of blocks of 4096 bytes. All integers in it are
 * little-endian; all checksums are XXH3 of 64 bits. What is said to be
 * unused is written as zeros and not looked at.
 *
 *	block 0, 1	two copies of the header
 *	block 2 ...	a ring of transactions
 *
 * The header (512 bytes, the rest of its block is unused). The first three
 * fields are there in every version.
 *
 *	0	8	"MSYNCFSJ"
 *	8	8	checksum (seed 0) of bytes 16 to 511
 *	16	4	version: 1
 *	20	4	bytes of a block: 4096
 *	24	16	store id (see journal_file.c)
 *	40	8	blocks of the file, with both headers
 *	48	8	generation; an even one is in block 0
 *	56	8	tail: block where the first transaction begins that
 *			counts, or the next one will
 *	64	8	its sequence, at least 1
 *
 * A transaction is some blocks of the ring one after another; after the last
 * block comes block 2. Its checksums have as seed the checksum (seed 0) of
 * store id and sequence, 24 bytes. Each transaction has the next sequence and
 * begins where the one before it ends.
 *
 *	0	8	"MSYNCFST"
 *	8	8	checksum of bytes 16 to 4095 of this block
 *	16	8	sequence
 *	24	8	blocks of the transaction
 *	32	8	bytes of the description
 *	40	8	pages
 *	48	8	when it was taken, nanoseconds since the epoch
 *	56	8	generation of the newest header that was durable
 *	64	8	checksum of the description's blocks after this one
 *	72	4	changes
 *	76	4	removals
 *	80		the description
 *	...		pages, one in each of the last blocks
 *
 * The description: changes, removals, and for each page, in order, 8 bytes of
 * checksum. Text and handles are padded with zeros to a multiple of 8 bytes.
 *
 *	change		id; 8 size of the file; 8 + 4 mtime, seconds and
 *			nanoseconds; 4 length of the path; 8 count of holes;
 *			8 count of runs; 8 count of pages; path; holes; runs
 *	removal		id of the directory; id of the file; 4 length of the
 *			directory's path; 4 of the name; path; name
 *	id		8 inode number; 8 birth time, nanoseconds since the
 *			epoch; 4 type of the handle; 4 its length; handle
 *	hole, run	8 first page; 8 count of pages; a hole's may be
 *			2^64 - 1: to the end
 *
 * So a change of one page takes two blocks, and one of 4 MiB takes 1027.
 *
 * Order of writing. A transaction's first block is written last, but all of
 * them are made durable by one fdatasync(2): only checksums tell what is
 * whole. The next one is not begun before that. The header moves the tail
 * when transactions are released; it is written over the copy that is not
 * the newest durable one, as often as need be, and made durable by the next
 * fdatasync(2), whoever's. Until then the room behind the tail isn't free.
 *
 * After any error nothing is appended until the place of the failed
 * transaction is known to be empty on the device: it could be whole there,
 * or become whole with blocks of the next one that happen to be equal.
 */
#include "store/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/journal_bytes.h"
#include "store/journal_file.h"
#include "store/journal_ring.h"
#include "util/cleanup.h"

/* Blocks after which writing is started while more are being copied: 4 MiB. */
#define EARLY_BLOCKS 1024u

static uint64_t ring_size(const struct journal *journal)
{
	return journal->blocks - JOURNAL_RING;
}

static void note_room(struct journal *journal)
{
	atomic_store(&journal->room,
		(ring_size(journal) - journal->used) * JOURNAL_PAGE);
}

/* ---- the header -------------------------------------------------------- */

int journal_write_tail(struct journal *journal, size_t from)
{
	bool empty = from == journal->kept_count;
	const struct journal_kept *kept = empty ? NULL : &journal->kept[from];
	struct journal_header header = {
		.version = JOURNAL_VERSION,
		.block_size = JOURNAL_PAGE,
		.store_id = { journal->store_id[0], journal->store_id[1] },
		.blocks = journal->blocks,
		.generation = journal->generation + 1,
		.tail_block = JOURNAL_RING +
			      (empty ? journal->head : kept->place),
		.tail_sequence = empty ? journal->next : kept->sequence,
	};
	int r = journal_header_write(journal->fd, &header);

	if (r == 0)
		journal->header_written = true;
	return r;
}

int journal_make_durable(struct journal *journal)
{
	if (fdatasync(journal->fd) < 0) {
		journal->failed = true;
		return -errno;
	}
	if (journal->header_written) {
		journal->generation++;
		journal->header_written = false;
		journal->used -= journal->freeing;
		journal->freeing = 0;
	}
	note_room(journal);
	return 0;
}

int journal_release(struct journal *journal, uint64_t sequence)
{
	uint64_t blocks = 0;
	size_t count = 0;
	int r = 0;

	while (count < journal->kept_count &&
		journal->kept[count].sequence <= sequence)
		blocks += journal->kept[count++].blocks;
	if (count == 0)
		return 0;
	/* After an error journal_reset() writes it. */
	if (!journal->failed)
		r = journal_write_tail(journal, count);
	if (r < 0)
		return r;
	journal->kept_count -= count;
	memmove(journal->kept, journal->kept + count,
		journal->kept_count * sizeof(*journal->kept));
	journal->freeing += blocks;
	return 0;
}

int journal_flush(struct journal *journal)
{
	if (journal->failed)
		return -EIO;
	return journal->header_written ? journal_make_durable(journal) : 0;
}

/* ---- appending --------------------------------------------------------- */

/* Blocks on their way to the ring. */
struct writer {
	struct journal *journal;
	uint64_t place; /* in the ring, of the first of parts */
	uint64_t early; /* as many blocks before it are not on their way yet */
	size_t count;
	struct iovec parts[IOV_MAX];
};

static off_t offset_of(uint64_t place)
{
	return (off_t)((JOURNAL_RING + place) * JOURNAL_PAGE);
}

static int writer_flush(struct writer *writer)
{
	size_t count = writer->count;
	int r = journal_write_parts(writer->journal->fd, writer->parts, count,
		offset_of(writer->place));

	writer->count = 0;
	writer->early += count;
	writer->place += count;
	/* Only a hint: fdatasync() is what tells of errors. */
	if (r == 0 && writer->early >= EARLY_BLOCKS) {
		sync_file_range(writer->journal->fd,
			offset_of(writer->place - writer->early),
			(off_t)writer->early * JOURNAL_PAGE,
			SYNC_FILE_RANGE_WRITE);
		writer->early = 0;
	}
	return r;
}

static int writer_add(struct writer *writer, const void *block)
{
	uint64_t ring = ring_size(writer->journal);
	int r = 0;

	if (writer->count == IOV_MAX ||
		writer->place + writer->count == ring)
		r = writer_flush(writer);
	if (writer->place == ring) {
		writer->place = 0;
		writer->early = 0;
	}
	writer->parts[writer->count++] = (struct iovec){
		.iov_base = (void *)block,
		.iov_len = JOURNAL_PAGE,
	};
	return r;
}

/* All pages behind one another from this place on; sums: their checksums. */
static int write_data(struct journal *journal, uint64_t place,
		      const struct journal_transaction *transaction,
		      uint64_t seed, unsigned char *sums)
{
	owned_memory struct writer *writer = malloc(sizeof(*writer));
	int r = 0;

	if (!writer)
		return -ENOMEM;
	writer->journal = journal;
	writer->place = place % ring_size(journal);
	writer->early = 0;
	writer->count = 0;
	for (size_t i = 0; i < transaction->change_count; i++) {
		const struct journal_change *change = &transaction->changes[i];

		for (size_t p = 0; r == 0 && p < change->page_count; p++) {
			const void *data = change->pages[p].data;

			bytes_put64(sums, journal_checksum(data, JOURNAL_PAGE,
						  seed));
			sums += 8;
			r = writer_add(writer, data);
		}
	}
	return r == 0 ? writer_flush(writer) : r;
}

/* The blocks of the description, the first one last. */
static int write_description(struct journal *journal,
			     const unsigned char *blocks, uint64_t count)
{
	uint64_t ring = ring_size(journal);
	uint64_t straight = ring - journal->head;
	int r = 0;

	straight = count < straight ? count : straight;
	if (count > straight)
		r = journal_write(journal->fd,
			blocks + straight * JOURNAL_PAGE,
			(count - straight) * JOURNAL_PAGE, offset_of(0));
	if (r == 0 && straight > 1)
		r = journal_write(journal->fd, blocks + JOURNAL_PAGE,
			(straight - 1) * JOURNAL_PAGE,
			offset_of(journal->head + 1));
	if (r == 0)
		r = journal_write(journal->fd, blocks, JOURNAL_PAGE,
			offset_of(journal->head));
	return r;
}

static int write_transaction(struct journal *journal,
			     const struct journal_transaction *transaction,
			     struct journal_head *head)
{
	uint64_t blocks = journal_description_blocks(head->description);
	uint64_t seed = journal_seed(journal->store_id, head->sequence);
	owned_memory unsigned char *bytes = calloc(blocks, JOURNAL_PAGE);
	unsigned char *description;
	int r;

	if (!bytes)
		return -ENOMEM;
	description = bytes + JOURNAL_HEAD_BYTES;
	journal_description_encode(transaction, description);
	r = write_data(journal, journal->head + blocks, transaction, seed,
		description + journal_checksums_at(head));
	if (r < 0)
		return r;
	head->rest = journal_checksum(bytes + JOURNAL_PAGE,
		(blocks - 1) * JOURNAL_PAGE, seed);
	journal_head_encode(head, journal->store_id, bytes);
	return write_description(journal, bytes, blocks);
}

int journal_wipe(struct journal *journal)
{
	static const char zeros[JOURNAL_PAGE];

	/* With the ring full the oldest transaction is there. */
	if (journal->used == ring_size(journal))
		return 0;
	return journal_write(journal->fd, zeros, sizeof(zeros),
		offset_of(journal->head));
}

/* Room for so many blocks, or -EAGAIN, -ENOSPC ... */
static int make_room(struct journal *journal, uint64_t blocks)
{
	uint64_t room = ring_size(journal) - journal->used;

	if (blocks <= room)
		return 0;
	if (blocks > ring_size(journal))
		return journal->kept_count == 0 ? journal_grow(journal, blocks)
						: -EAGAIN;
	if (blocks <= room + journal->freeing)
		return journal_flush(journal);
	return -EAGAIN;
}

static int keep(struct journal *journal, uint64_t sequence, uint64_t blocks)
{
	if (journal->kept_count == journal->kept_room) {
		size_t room = 2 * journal->kept_room + 16;
		void *larger = realloc(journal->kept,
			room * sizeof(*journal->kept));

		if (!larger)
			return -ENOMEM;
		journal->kept = larger;
		journal->kept_room = room;
	}
	journal->kept[journal->kept_count++] = (struct journal_kept){
		.sequence = sequence,
		.place = journal->head,
		.blocks = blocks,
	};
	return 0;
}

int journal_append(struct journal *journal,
		   struct journal_transaction *transaction)
{
	struct journal_head head = {
		.description = journal_description_size(transaction),
		.pages = journal_page_count(transaction),
		.time_ns = transaction->time_ns,
		.changes = (uint32_t)transaction->change_count,
		.removals = (uint32_t)transaction->removal_count,
	};
	int r;

	if (journal->failed)
		return -EIO;
	head.blocks = journal_description_blocks(head.description) +
		      head.pages;
	r = make_room(journal, head.blocks);
	if (r == 0)
		r = keep(journal, journal->next, head.blocks);
	if (r < 0)
		return r;
	head.generation = journal->generation;
	head.sequence = journal->next;
	transaction->sequence = head.sequence;
	transaction->length = head.blocks * JOURNAL_PAGE;
	r = write_transaction(journal, transaction, &head);
	if (r == 0)
		r = journal_make_durable(journal);
	if (r < 0) {
		journal->kept_count--;
		journal->failed = true;
		/* The earlier the better; journal_reset() makes sure of it. */
		if (journal_wipe(journal) == 0)
			fdatasync(journal->fd);
		return r;
	}
	journal->head = (journal->head + head.blocks) % ring_size(journal);
	journal->next++;
	journal->used += head.blocks;
	note_room(journal);
	atomic_store(&journal->sequence, head.sequence);
	return 0;
}

int journal_reset(struct journal *journal)
{
	int r;

	if (!journal->failed)
		return 0;
	r = journal_wipe(journal);
	/* What the device has not taken is not written again by itself. */
	if (r == 0)
		r = journal_write_tail(journal, 0);
	if (r == 0)
		r = journal_make_durable(journal);
	if (r == 0)
		journal->failed = false;
	return r;
}

/* ---- inquiries --------------------------------------------------------- */

uint64_t journal_sequence(const struct journal *journal)
{
	return atomic_load(&journal->sequence);
}

uint64_t journal_size(const struct journal *journal)
{
	return atomic_load(&journal->blocks) * JOURNAL_PAGE;
}

uint64_t journal_room(const struct journal *journal)
{
	return atomic_load(&journal->room);
}

uint64_t journal_need(size_t changes, size_t removals, size_t holes,
		      size_t pages, size_t path_bytes)
{
	uint64_t description =
		changes * JOURNAL_CHANGE_MAX + removals * JOURNAL_REMOVAL_MAX +
		holes * UINT64_C(16) + pages * UINT64_C(24) + path_bytes;

	return (journal_description_blocks(description) + pages) *
	       JOURNAL_PAGE;
}
