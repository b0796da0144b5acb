// SPDX-License-Identifier: Apache-2.0
/*
 * The header says where the oldest transaction that counts begins and which
 * sequence it has; each next one follows it with the next sequence. The first
 * that isn't whole ends them. That is how the journal of a crash ends: the
 * last one was being written (torn). But no transaction is begun before the
 * one before it is durable. So a first block that is whole and of a later
 * sequence, anywhere, proves that what is missing was there once: that is
 * damage. And each one tells the newest header that was durable when it was
 * written: a newer one than can be read is damage as well.
 *
 * Everything is read twice, once here when it is opened, without keeping the
 * data, and again for who carries it out.
 */
#include "store/journal_read.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "store/journal_bytes.h"
#include "store/journal_file.h"
#include "util/cleanup.h"

/* Blocks that are read at one time. */
#define CHUNK 64u

#define GIVE_UP "give up what it holds with -o discard-journal"

/* One transaction. */
struct loaded {
	struct journal_head head;
	unsigned char *bytes; /* the blocks of the description */
	struct journal_description description;
	unsigned char *data; /* of all pages, if it is kept */
};

struct journal_reader {
	int fd;
	bool owns_fd;
	int root_fd; /* -1 for a file by itself */
	uint64_t file_blocks;
	struct journal_header header;
	struct journal_summary summary;
	uint64_t next; /* place in the ring, after the last */
	/* What journal_reader_next() comes to. */
	uint64_t place;
	uint64_t sequence;
	struct loaded now;
};

struct report {
	char *text;
	size_t size;
};

#define say(reader, report, ...)                                               \
	journal_say((report)->text, (report)->size, (reader)->root_fd,         \
		__VA_ARGS__)

/* ---- one transaction --------------------------------------------------- */

static uint64_t ring_size(const struct journal_reader *reader)
{
	return reader->header.blocks - JOURNAL_RING;
}

static int read_ring(const struct journal_reader *reader, uint64_t place,
		     uint64_t count, unsigned char *to)
{
	uint64_t ring = ring_size(reader);
	uint64_t straight;
	int r;

	place %= ring;
	straight = count < ring - place ? count : ring - place;
	r = journal_read(reader->fd, to, straight * JOURNAL_PAGE,
		(off_t)((JOURNAL_RING + place) * JOURNAL_PAGE));
	if (r < 0 || straight == count)
		return r;
	return journal_read(reader->fd, to + straight * JOURNAL_PAGE,
		(count - straight) * JOURNAL_PAGE,
		(off_t)JOURNAL_RING * JOURNAL_PAGE);
}

static void loaded_fini(struct loaded *loaded)
{
	journal_description_fini(&loaded->description);
	free(loaded->bytes);
	free(loaded->data);
	*loaded = (struct loaded){ 0 };
}

/* 1: the head is that of transaction `sequence` and makes sense; 0; -errno. */
static int load_head(const struct journal_reader *reader, uint64_t place,
		     uint64_t sequence, uint64_t blocks_max,
		     struct journal_head *head)
{
	unsigned char block[JOURNAL_PAGE];
	int r = read_ring(reader, place, 1, block);

	if (r < 0)
		return r;
	if (!journal_head_decode(block, reader->header.store_id, head) ||
	    head->sequence != sequence)
		return 0;
	return head->blocks > 0 && head->blocks <= blocks_max &&
	       head->pages < head->blocks &&
	       head->description <= blocks_max * JOURNAL_PAGE &&
	       journal_description_blocks(head->description) ==
		       head->blocks - head->pages;
}

/* 1: the description is as it was written; 0; -errno. */
static int load_description(const struct journal_reader *reader,
			    uint64_t place, struct loaded *loaded)
{
	const struct journal_head *head = &loaded->head;
	uint64_t blocks = head->blocks - head->pages;
	int r;

	loaded->bytes = malloc(blocks * JOURNAL_PAGE);
	if (!loaded->bytes)
		return -ENOMEM;
	r = read_ring(reader, place, blocks, loaded->bytes);
	if (r < 0)
		return r;
	if (journal_checksum(loaded->bytes + JOURNAL_PAGE,
		    (blocks - 1) * JOURNAL_PAGE,
		    journal_seed(reader->header.store_id, head->sequence)) !=
		head->rest)
		return 0;
	r = journal_description_decode(head,
		loaded->bytes + JOURNAL_HEAD_BYTES, &loaded->description);
	return r < 0 ? r : 1;
}

/* 1: the pages are as they were written; 0; -errno. */
static int load_data(const struct journal_reader *reader, uint64_t place,
		     struct loaded *loaded, bool keep)
{
	const struct journal_head *head = &loaded->head;
	const unsigned char *sums = loaded->bytes + JOURNAL_HEAD_BYTES +
				    journal_checksums_at(head);
	uint64_t seed = journal_seed(reader->header.store_id, head->sequence);
	uint64_t room = keep || head->pages < CHUNK ? head->pages : CHUNK;

	loaded->data = malloc((room + 1) * JOURNAL_PAGE);
	if (!loaded->data)
		return -ENOMEM;
	place += head->blocks - head->pages;
	for (uint64_t at = 0; at < head->pages; at += CHUNK) {
		unsigned char *to = loaded->data;
		uint64_t count = head->pages - at;
		int r;

		count = count < CHUNK ? count : CHUNK;
		to += keep ? at * JOURNAL_PAGE : 0;
		r = read_ring(reader, place + at, count, to);
		if (r < 0)
			return r;
		for (uint64_t i = 0; i < count; i++) {
			const unsigned char *page = to + i * JOURNAL_PAGE;

			if (journal_checksum(page, JOURNAL_PAGE, seed) !=
				bytes_get64(sums + 8 * (at + i)))
				return 0;
			loaded->description.pages[at + i].data = page;
		}
	}
	return 1;
}

/*
 * 1: the whole transaction is there, and in loaded; 0: it isn't; -EBADMSG: it
 * is whole and makes no sense; -errno.
 */
static int load(const struct journal_reader *reader, uint64_t place,
		uint64_t sequence, uint64_t blocks_max, bool keep,
		struct loaded *loaded)
{
	int r;

	*loaded = (struct loaded){ 0 };
	r = load_head(reader, place, sequence, blocks_max, &loaded->head);
	if (r == 1)
		r = load_description(reader, place, loaded);
	if (r == 1)
		r = load_data(reader, place, loaded, keep);
	if (r != 1)
		loaded_fini(loaded);
	return r;
}

/* ---- all of it --------------------------------------------------------- */

/* The newer of the two copies that is whole. */
static int read_header(struct journal_reader *reader, struct report *report)
{
	unsigned char block[JOURNAL_PAGE];
	bool found = false;

	for (unsigned slot = 0; slot < JOURNAL_RING; slot++) {
		struct journal_header header;
		int r = journal_read(reader->fd, block, sizeof(block),
			(off_t)slot * JOURNAL_PAGE);

		if (r < 0) {
			say(reader, report, "can't be read: %s", strerror(-r));
			return r;
		}
		r = journal_header_decode(block, &header);
		if (r == -EPROTONOSUPPORT) {
			say(reader, report,
				"is of version %u, this msyncfs knows up to "
				"%u: use a newer msyncfs, or " GIVE_UP,
				header.version, JOURNAL_VERSION);
			return r;
		}
		if (r < 0 || header.generation % JOURNAL_RING != slot)
			continue;
		if (!found || header.generation > reader->header.generation)
			reader->header = header;
		found = true;
	}
	if (!found) {
		say(reader, report,
			"is damaged: both copies of its header can't be "
			"read; " GIVE_UP);
		return -EBADMSG;
	}
	return 0;
}

static int check_file(struct journal_reader *reader, struct report *report)
{
	struct stat st;
	int r;

	if (fstat(reader->fd, &st) < 0) {
		r = -errno;
		say(reader, report, "can't be read: %s", strerror(-r));
		return r;
	}
	reader->file_blocks = (uint64_t)st.st_size / JOURNAL_PAGE;
	if (reader->file_blocks >= JOURNAL_BLOCKS_MIN) {
		r = read_header(reader, report);
		if (r < 0)
			return r;
	}
	if (reader->file_blocks < JOURNAL_BLOCKS_MIN ||
		reader->file_blocks < reader->header.blocks) {
		say(reader, report,
			"is damaged: it has been cut to %jd bytes; " GIVE_UP,
			(intmax_t)st.st_size);
		return -EBADMSG;
	}
	return 0;
}

static int check_store(struct journal_reader *reader, struct report *report)
{
	const uint64_t *has = reader->header.store_id;
	uint64_t id[2];
	int r;

	if (reader->root_fd < 0)
		return 0;
	r = journal_store_id(reader->root_fd, reader->fd, id);
	if (r < 0) {
		say(reader, report, "can't be identified: %s", strerror(-r));
		return r;
	}
	if (id[0] == has[0] && id[1] == has[1])
		return 0;
	say(reader, report,
		"belongs to another store, or it or the store is a copy: mount "
		"or recover the original and copy it then, or " GIVE_UP);
	return -EXDEV;
}

/* Where reading stopped, and what is known of the rest. */
struct end {
	uint64_t place; /* in the ring */
	uint64_t sequence; /* that is expected there */
	uint64_t used; /* blocks before */
	uint64_t generation; /* the newest that is told of */
	uint64_t later; /* first blocks that can only come after it */
	int r; /* of reading what is there: 0 or -errno */
};

static void note_generation(struct end *end, const struct journal_head *head)
{
	if (head->generation > end->generation)
		end->generation = head->generation;
}

/* Up to the first that isn't whole. */
static void follow(const struct journal_reader *reader, struct end *end)
{
	uint64_t ring = ring_size(reader);

	*end = (struct end){
		.place = reader->header.tail_block - JOURNAL_RING,
		.sequence = reader->header.tail_sequence,
	};
	while (end->used < ring) {
		struct loaded loaded;

		end->r = load(reader, end->place, end->sequence,
			ring - end->used, false, &loaded);
		if (end->r != 1)
			break;
		note_generation(end, &loaded.head);
		end->place = (end->place + loaded.head.blocks) % ring;
		end->used += loaded.head.blocks;
		end->sequence++;
		loaded_fini(&loaded);
	}
	if (end->r == 1)
		end->r = 0;
}

/* What comes after the end although it can't, in the whole file. */
static int look_behind(const struct journal_reader *reader, struct end *end,
		       bool *torn)
{
	owned_memory unsigned char *chunk = malloc(CHUNK * JOURNAL_PAGE);
	uint64_t expected = end->place + JOURNAL_RING;

	if (!chunk)
		return -ENOMEM;
	for (uint64_t at = JOURNAL_RING; at < reader->file_blocks;
		at += CHUNK) {
		uint64_t count = reader->file_blocks - at;
		int r;

		count = count < CHUNK ? count : CHUNK;
		r = journal_read(reader->fd, chunk, count * JOURNAL_PAGE,
			(off_t)(at * JOURNAL_PAGE));
		if (r < 0)
			return r;
		for (uint64_t i = 0; i < count; i++) {
			struct journal_head head;

			if (!journal_head_decode(chunk + i * JOURNAL_PAGE,
				    reader->header.store_id, &head) ||
				head.sequence < end->sequence)
				continue;
			note_generation(end, &head);
			if (head.sequence == end->sequence &&
				at + i == expected)
				*torn = true;
			else
				end->later++;
		}
	}
	return 0;
}

static int judge(const struct journal_reader *reader, const struct end *end,
		 struct report *report)
{
	unsigned long long whole =
		end->sequence - reader->header.tail_sequence;

	if (end->r < 0 && end->r != -EBADMSG) {
		say(reader, report, "can't be read: %s", strerror(-end->r));
		return end->r;
	}
	if (end->r < 0 || end->later > 0) {
		say(reader, report,
			"is damaged: transaction %llu at block %llu is not "
			"whole, though %llu before it and %llu after it are; "
			GIVE_UP,
			(unsigned long long)end->sequence,
			(unsigned long long)(end->place + JOURNAL_RING), whole,
			(unsigned long long)end->later);
		return -EBADMSG;
	}
	if (end->generation > reader->header.generation) {
		say(reader, report,
			"is damaged: the newest copy of its header can't be "
			"read, it holds %llu transactions or less; " GIVE_UP,
			whole);
		return -EBADMSG;
	}
	return 0;
}

static int read_all(struct journal_reader *reader, struct report *report)
{
	struct journal_summary *summary = &reader->summary;
	struct end end;
	int r = check_file(reader, report);

	if (r == 0)
		r = check_store(reader, report);
	if (r < 0)
		return r;
	follow(reader, &end);
	if (end.r == 0 || end.r == -EBADMSG) {
		r = look_behind(reader, &end, &summary->torn);
		if (r < 0)
			end.r = r;
	}
	r = judge(reader, &end, report);
	if (r < 0)
		return r;
	summary->version = reader->header.version;
	summary->block_size = reader->header.block_size;
	summary->blocks = reader->header.blocks;
	summary->store_id[0] = reader->header.store_id[0];
	summary->store_id[1] = reader->header.store_id[1];
	summary->generation = reader->header.generation;
	summary->first_sequence = reader->header.tail_sequence;
	summary->next_sequence = end.sequence;
	summary->transactions = end.sequence - summary->first_sequence;
	summary->blocks_used = end.used;
	reader->next = end.place;
	journal_reader_rewind(reader);
	return 0;
}

/* ---- for all ----------------------------------------------------------- */

static int open_reader(int fd, bool owns_fd, int root_fd,
		       struct journal_reader **reader, struct report *report)
{
	struct journal_reader *this = calloc(1, sizeof(*this));
	int r;

	if (!this) {
		if (owns_fd)
			close(fd);
		return -ENOMEM;
	}
	this->fd = fd;
	this->owns_fd = owns_fd;
	this->root_fd = root_fd;
	r = read_all(this, report);
	if (r < 0) {
		journal_reader_close(this);
		return r;
	}
	*reader = this;
	return 0;
}

int journal_reader_open_file(int fd, struct journal_reader **reader,
			     char *error, size_t error_size)
{
	struct report report = { error, error_size };

	return open_reader(fd, false, -1, reader, &report);
}

int journal_reader_open(int root_fd, struct journal_reader **reader,
			char *error, size_t error_size)
{
	struct report report = { error, error_size };
	owned_fd directory = journal_directory_open(root_fd);
	int fd = directory < 0 ? directory :
				 journal_file_open(directory, O_RDONLY);

	if (fd >= 0)
		return open_reader(fd, true, root_fd, reader, &report);
	if (fd == -EPERM)
		journal_say(error, error_size, root_fd,
			"is not of the user who runs this (id %u): be the one "
			"who mounted the store", (unsigned)geteuid());
	else
		journal_say(error, error_size, root_fd, "can't be opened: %s%s",
			strerror(-fd),
			fd == -ENOTDIR || fd == -ELOOP || fd == -EINVAL ?
				": expected a regular file in a directory, "
				"move away what is there instead" :
				"");
	return fd;
}

void journal_reader_close(struct journal_reader *reader)
{
	if (!reader)
		return;
	loaded_fini(&reader->now);
	if (reader->owns_fd)
		close(reader->fd);
	free(reader);
}

const struct journal_summary *
journal_reader_summary(const struct journal_reader *reader)
{
	return &reader->summary;
}

const struct journal_header *
journal_reader_header(const struct journal_reader *reader)
{
	return &reader->header;
}

uint64_t journal_reader_next_block(const struct journal_reader *reader)
{
	return JOURNAL_RING + reader->next;
}

void journal_reader_rewind(struct journal_reader *reader)
{
	loaded_fini(&reader->now);
	reader->place = reader->header.tail_block - JOURNAL_RING;
	reader->sequence = reader->header.tail_sequence;
}

int journal_reader_next(struct journal_reader *reader,
			struct journal_transaction *transaction)
{
	const struct loaded *now = &reader->now;
	int r;

	loaded_fini(&reader->now);
	*transaction = (struct journal_transaction){ 0 };
	if (reader->sequence == reader->summary.next_sequence)
		return 0;
	r = load(reader, reader->place, reader->sequence,
		reader->summary.blocks_used, true, &reader->now);
	/* It was whole when the reader was opened. */
	if (r != 1)
		return r < 0 ? r : -EBADMSG;
	reader->place = (reader->place + now->head.blocks) % ring_size(reader);
	reader->sequence++;
	*transaction = (struct journal_transaction){
		.sequence = now->head.sequence,
		.time_ns = now->head.time_ns,
		.changes = now->description.changes,
		.change_count = now->head.changes,
		.removals = now->description.removals,
		.removal_count = now->head.removals,
	};
	return 1;
}

uint64_t journal_reader_length(const struct journal_reader *reader)
{
	return reader->now.head.blocks * JOURNAL_PAGE;
}
