// SPDX-License-Identifier: Apache-2.0
/*
 * A small journal cut at each length, with each byte changed, and with blocks
 * from other times: what is read is the transactions up to some point, or an
 * error that says so, never half of one.
 *
 * It has five transactions. The first is released and the newest header says
 * so; it became durable with the fourth. The last may be lost without
 * anybody's knowing; no other may.
 */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "journal_sample.h"
#include "random.h"
#include "store/journal_bytes.h"
#include "store/journal_format.h"
#include "store/recover.h"
#include "util/cleanup.h"

#define SIZE (20u * JOURNAL_PAGE)
#define FIRST 2u /* the oldest that counts */
#define COUNT 5u /* all that were appended */
#define PAGES 2u
#define LENGTH ((1 + PAGES) * JOURNAL_PAGE) /* of each, bytes */
#define RING (JOURNAL_RING * JOURNAL_PAGE)

/* The newest header is in block 0, the one before it in block 1. */
#define NEWEST 0u
#define BEFORE JOURNAL_PAGE
#define HEADER_BYTES 512u

/* All of them, except where that takes minutes and finds no more. */
#ifdef __SANITIZE_THREAD__
#define STEP 7u
#else
#define STEP 1u
#endif

struct world {
	struct place *place;
	struct sample samples[COUNT];
	struct sample *all[COUNT];
	unsigned char bytes[SIZE];
	int fd; /* a memfd with these */
};

static uint64_t begin_of(unsigned sequence)
{
	return RING + (uint64_t)(sequence - 1) * LENGTH;
}

/* Smaller than a journal can be made, so that less has to be read. */
static void make_smaller(struct world *world)
{
	for (unsigned slot = 0; slot < JOURNAL_RING; slot++) {
		unsigned char *block = world->bytes + slot * JOURNAL_PAGE;
		struct journal_header header;

		assert_int_equal(journal_header_decode(block, &header), 0);
		header.blocks = SIZE / JOURNAL_PAGE;
		journal_header_encode(&header, block);
	}
}

static void make_journal(struct world *world)
{
	struct journal *journal = open_journal(world->place->fd, SIZE);
	owned_fd fd = -1;

	for (unsigned i = 0; i < COUNT; i++) {
		sample_small(&world->samples[i], PAGES,
			(unsigned char)(10 * i));
		world->all[i] = &world->samples[i];
	}
	for (unsigned i = 0; i < COUNT; i++) {
		if (i == 3)
			assert_int_equal(journal_release(journal, 1), 0);
		assert_int_equal(journal_append(journal,
			&world->samples[i].transaction), 0);
	}
	journal_close(journal, true);
	fd = openat(world->place->fd, JOURNAL_DIRECTORY "/" JOURNAL_NAME,
		O_RDONLY | O_CLOEXEC);
	assert_int_equal(read(fd, world->bytes, SIZE), SIZE);
	make_smaller(world);
}

static int world_setup(void **state)
{
	struct world *world = calloc(1, sizeof(*world));
	void *place;

	if (place_setup(&place) < 0)
		return -1;
	world->place = place;
	make_journal(world);
	world->fd = memfd_create("journal", MFD_CLOEXEC);
	*state = world;
	return write(world->fd, world->bytes, SIZE) == SIZE ? 0 : -1;
}

static int world_teardown(void **state)
{
	struct world *world = *state;
	void *place = world->place;

	close(world->fd);
	for (unsigned i = 0; i < COUNT; i++)
		sample_fini(&world->samples[i]);
	free(world);
	return place_teardown(&place);
}

/*
 * How many of those that count are read, all of them right; or -errno. With
 * enough damage it may begin with one that has been released.
 */
static int read_some(struct world *world)
{
	struct journal_reader *reader;
	const struct journal_summary *summary;
	char error[512] = "";
	uint64_t first, count;
	int r = journal_reader_open_file(world->fd, &reader, error,
		sizeof(error));

	if (r < 0) {
		assert_non_null(strstr(error, "the journal "));
		return r;
	}
	summary = journal_reader_summary(reader);
	first = summary->first_sequence;
	count = summary->transactions;
	assert_in_range(first, 1, FIRST);
	assert_in_range(count, 0, COUNT + 1 - first);
	assert_true(reads_as(reader, first, world->all + first - 1, count));
	journal_reader_close(reader);
	return first + count > FIRST ? (int)(first + count - FIRST) : 0;
}

static void put_byte(struct world *world, uint64_t at, unsigned char byte)
{
	assert_int_equal(pwrite(world->fd, &byte, 1, (off_t)at), 1);
}

static void put_back(struct world *world, uint64_t at, size_t size)
{
	assert_int_equal(pwrite(world->fd, world->bytes + at, size, (off_t)at),
		size);
}

/* ---- lengths ------------------------------------------------------------ */

static void whole_it_is_all_there(void **state)
{
	assert_int_equal(read_some(*state), COUNT + 1 - FIRST);
}

static void cut_at_any_length_it_is_refused(void **state)
{
	struct world *world = *state;

	for (uint64_t length = SIZE; length > 0;) {
		length -= length < STEP ? length : STEP;
		assert_int_equal(ftruncate(world->fd, (off_t)length), 0);
		assert_int_equal(read_some(world), -EBADMSG);
	}
}

/* The last written byte of it; behind that it is padding. */
static uint64_t end_of(const struct world *world, uint64_t at)
{
	while (at > 0 && world->bytes[at - 1] == 0)
		at--;
	return at;
}

static void zeros_from_any_length_on_leave_a_beginning(void **state)
{
	struct world *world = *state;
	uint64_t end = end_of(world, begin_of(COUNT + 1));
	unsigned sequence = COUNT;
	int before = COUNT + 1 - FIRST;

	for (uint64_t at = end; at-- > begin_of(FIRST);) {
		int now;

		put_byte(world, at, 0);
		if (at % STEP != 0)
			continue;
		now = read_some(world);
		while (at < begin_of(sequence))
			sequence--;
		/* The one that this byte is of is whole or is not. */
		assert_in_range(now, (int)(sequence - FIRST), before);
		if (world->bytes[at] != 0)
			assert_int_equal(now, sequence - FIRST);
		before = now;
	}
	assert_int_equal(before, 0);
}

/* ---- bytes -------------------------------------------------------------- */

static bool is_in(uint64_t at, uint64_t first, uint64_t size)
{
	return at >= first && at - first < size;
}

static void check_change_at(struct world *world, uint64_t at,
			    unsigned char change)
{
	int all = COUNT + 1 - FIRST;
	int found;

	put_byte(world, at, world->bytes[at] ^ change);
	found = read_some(world);
	put_byte(world, at, world->bytes[at]);
	if (is_in(at, NEWEST, HEADER_BYTES) ||
		is_in(at, begin_of(FIRST), begin_of(COUNT) - begin_of(FIRST)))
		assert_int_equal(found, -EBADMSG);
	else if (is_in(at, begin_of(COUNT), LENGTH))
		assert_int_equal(found, all - 1);
	else
		assert_int_equal(found, all);
}

static void any_changed_byte_is_noticed_or_harmless(void **state)
{
	struct world *world = *state;
	uint64_t seed = RANDOM_SEED;

	/* All of its bits, or one. */
	for (uint64_t at = 0; at < SIZE; at += STEP)
		check_change_at(world, at, random_next(&seed) % 2 ? 0xff :
			(unsigned char)(1u << random_next(&seed) % 8));
}

static void many_changed_bytes_never_show_half_of_one(void **state)
{
	struct world *world = *state;
	uint64_t seed = RANDOM_SEED;

	for (unsigned i = 0; i < 3000; i++) {
		uint64_t at[8];

		for (unsigned k = 0; k < 8; k++) {
			at[k] = random_next(&seed) % begin_of(COUNT + 1);
			put_byte(world, at[k],
				(unsigned char)random_next(&seed));
		}
		read_some(world);
		for (unsigned k = 0; k < 8; k++)
			put_byte(world, at[k], world->bytes[at[k]]);
	}
}

static void both_headers_gone_is_damage(void **state)
{
	struct world *world = *state;

	put_byte(world, NEWEST + 40, 0xee);
	put_byte(world, BEFORE + 40, 0xee);
	assert_int_equal(read_some(world), -EBADMSG);
}

/* ---- blocks of other times ---------------------------------------------- */

static void one_in_another_s_place_does_not_count(void **state)
{
	struct world *world = *state;

	/* The fourth once more behind the fifth, as from another lap. */
	assert_int_equal(pwrite(world->fd, world->bytes + begin_of(4), LENGTH,
		(off_t)begin_of(6)), LENGTH);
	assert_int_equal(read_some(world), COUNT + 1 - FIRST);
	/* In the place of the fifth. */
	assert_int_equal(pwrite(world->fd, world->bytes + begin_of(4), LENGTH,
		(off_t)begin_of(5)), LENGTH);
	assert_int_equal(read_some(world), COUNT - FIRST);
	/* The fifth elsewhere: its place is known to have been written. */
	assert_int_equal(pwrite(world->fd, world->bytes + begin_of(5), LENGTH,
		(off_t)begin_of(9)), LENGTH);
	assert_int_equal(read_some(world), -EBADMSG);
}

static void the_header_before_the_newest_is_known_as_such(void **state)
{
	struct world *world = *state;
	static const char zeros[JOURNAL_PAGE];

	/* As if the newest had never been written. */
	assert_int_equal(pwrite(world->fd, zeros, sizeof(zeros), NEWEST),
		sizeof(zeros));
	assert_int_equal(read_some(world), -EBADMSG);
	put_back(world, NEWEST, JOURNAL_PAGE);
	assert_int_equal(pwrite(world->fd, zeros, sizeof(zeros), BEFORE),
		sizeof(zeros));
	assert_int_equal(read_some(world), COUNT + 1 - FIRST);
	/* A copy of it in the wrong place is none. */
	assert_int_equal(pwrite(world->fd, world->bytes + NEWEST, JOURNAL_PAGE,
		BEFORE), JOURNAL_PAGE);
	assert_int_equal(pwrite(world->fd, zeros, sizeof(zeros), NEWEST),
		sizeof(zeros));
	assert_int_equal(read_some(world), -EBADMSG);
}

static void damage_says_where_it_is(void **state)
{
	struct world *world = *state;
	struct journal_reader *reader;
	char error[512] = "";

	put_byte(world, begin_of(3) + JOURNAL_PAGE, 0xee);
	assert_int_equal(journal_reader_open_file(world->fd, &reader, error,
		sizeof(error)), -EBADMSG);
	assert_string_equal(error, "the journal is damaged: transaction 3 at "
		"block 8 is not whole, though 1 before it and 2 after it are; "
		"give up what it holds with -o discard-journal");
}

/* ---- sealed, and wrong -------------------------------------------------- */

static struct journal_header header_of(const struct world *world)
{
	struct journal_header header;

	assert_int_equal(journal_header_decode(world->bytes + NEWEST, &header),
		0);
	return header;
}

static void put_header(struct world *world,
		       const struct journal_header *header)
{
	unsigned char block[JOURNAL_PAGE];

	journal_header_encode(header, block);
	assert_int_equal(pwrite(world->fd, block, sizeof(block), NEWEST),
		sizeof(block));
}

static void a_newer_version_is_not_touched(void **state)
{
	struct world *world = *state;
	struct journal_header header = header_of(world);
	struct journal_reader *reader;
	char error[512] = "";

	header.version = 2;
	put_header(world, &header);
	assert_int_equal(journal_reader_open_file(world->fd, &reader, error,
		sizeof(error)), -EPROTONOSUPPORT);
	assert_string_equal(error, "the journal is of version 2, this msyncfs "
		"knows up to 1: use a newer msyncfs, or give up what it holds "
		"with -o discard-journal");
}

static void a_header_that_makes_no_sense_is_none(void **state)
{
	struct world *world = *state;
	struct journal_header good = header_of(world);
	struct journal_header bad[] = { good, good, good, good, good, good,
		good };

	bad[0].version = 0;
	bad[1].block_size = 512;
	bad[2].blocks = SIZE / JOURNAL_PAGE + 1;
	bad[3].blocks = 0;
	bad[4].tail_block = 1;
	bad[5].tail_block = good.blocks;
	bad[6].tail_sequence = 0;
	for (unsigned i = 0; i < 7; i++) {
		put_header(world, &bad[i]);
		assert_int_equal(read_some(world), -EBADMSG);
	}
	put_header(world, &good);
	assert_int_equal(read_some(world), COUNT + 1 - FIRST);
}

/*
 * Where things are in the description of the last one: its id has 24 bytes,
 * its path, "dir/file", 8.
 */
enum {
	at_handle = 16, /* type and length */
	at_size = 24,
	at_nanoseconds = 40, /* and the path's length */
	at_holes = 48,
	at_runs = 56,
	at_pages = 64,
	at_path = 72,
	at_first = 80,
	at_count = 88,
};

/* What is read when this is in it, and all checksums are right. */
static int with_description(struct world *world, size_t at, uint64_t value)
{
	struct journal_header header = header_of(world);
	unsigned char block[JOURNAL_PAGE];
	struct journal_head head;
	int r;

	memcpy(block, world->bytes + begin_of(COUNT), JOURNAL_PAGE);
	assert_true(journal_head_decode(block, header.store_id, &head));
	bytes_put64(block + JOURNAL_HEAD_BYTES + at, value);
	journal_head_encode(&head, header.store_id, block);
	assert_int_equal(pwrite(world->fd, block, sizeof(block),
		(off_t)begin_of(COUNT)), sizeof(block));
	r = read_some(world);
	put_back(world, begin_of(COUNT), JOURNAL_PAGE);
	return r;
}

static uint64_t text(const char bytes[8])
{
	return bytes_get64((const unsigned char *)bytes);
}

static void a_description_that_makes_no_sense_is_damage(void **state)
{
	const struct {
		size_t at;
		uint64_t value;
	} wrong[] = {
		{ at_handle, UINT64_C(129) << 32 },
		{ at_handle, UINT64_C(0xffffffff) << 32 },
		{ at_size, UINT64_C(1) << 63 },
		{ at_nanoseconds, UINT64_C(8) << 32 | 1000000000 },
		{ at_nanoseconds, UINT64_C(4096) << 32 },
		{ at_nanoseconds, UINT64_C(0xffffffff) << 32 },
		{ at_nanoseconds, UINT64_C(7) << 32 | UINT64_C(1) << 31 },
		{ at_holes, 1 },
		{ at_holes, UINT64_MAX },
		{ at_runs, 0 },
		{ at_runs, 2 },
		{ at_runs, UINT64_MAX },
		{ at_pages, 1 },
		{ at_pages, 3 },
		{ at_pages, UINT64_MAX },
		{ at_path, text("/ir/file") },
		{ at_path, text("../../ab") },
		{ at_path, text("a/../abc") },
		{ at_path, text("abc/./de") },
		{ at_path, text("dir//ile") },
		{ at_path, text("dir/fil/") },
		{ at_path, text("dir/fi\0e") },
		{ at_first, JOURNAL_PAGES_MAX },
		{ at_first, JOURNAL_PAGES_MAX - 1 },
		{ at_first, UINT64_MAX },
		{ at_count, 0 },
		{ at_count, 1 },
		{ at_count, 3 },
		{ at_count, UINT64_MAX },
	};
	struct world *world = *state;

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		int r = with_description(world, wrong[i].at, wrong[i].value);

		if (r != -EBADMSG)
			print_message("# number %zu\n", i);
		assert_int_equal(r, -EBADMSG);
	}
	/* The same bytes as they are. */
	assert_int_equal(with_description(world, at_path, text("dir/file")),
		COUNT + 1 - FIRST);
}

/* ---- of another store --------------------------------------------------- */

/* A file in `to` with the bytes of the journal in the place. */
static void copy_journal(struct world *world, int to)
{
	owned_fd fd = -1;

	assert_int_equal(mkdirat(to, JOURNAL_DIRECTORY, 0700), 0);
	fd = openat(to, JOURNAL_DIRECTORY "/" JOURNAL_NAME,
		O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, world->bytes, SIZE), SIZE);
}

static void refused_as_another_s(int root_fd)
{
	struct journal_reader *reader;
	struct journal *journal;
	struct recovery recovery;
	char error[512] = "";

	assert_int_equal(journal_reader_open(root_fd, &reader, error,
		sizeof(error)), -EXDEV);
	assert_non_null(strstr(error, "belongs to another store"));
	assert_int_equal(recover_store(root_fd, false, &recovery, error,
		sizeof(error)), -EXDEV);
	assert_int_equal(journal_open(root_fd, SIZE, &journal, error,
		sizeof(error)), -EXDEV);
}

static void a_copy_in_another_store_is_refused(void **state)
{
	struct world *world = *state;
	owned_fd other = -1;

	assert_int_equal(mkdirat(world->place->fd, "other", 0700), 0);
	other = openat(world->place->fd, "other",
		O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	copy_journal(world, other);
	refused_as_another_s(other);
	/* The file itself, moved there. */
	assert_int_equal(renameat(world->place->fd, JOURNAL_DIRECTORY "/"
		JOURNAL_NAME, other, JOURNAL_DIRECTORY "/" JOURNAL_NAME), 0);
	refused_as_another_s(other);
}

static void a_copy_in_the_same_store_is_refused(void **state)
{
	struct world *world = *state;
	int root = world->place->fd;

	assert_int_equal(renameat(root, JOURNAL_DIRECTORY, root, "kept"), 0);
	copy_journal(world, root);
	refused_as_another_s(root);
}

static void a_store_that_was_only_moved_is_the_same(void **state)
{
	struct world *world = *state;
	char away[sizeof(world->place->directory) + 8];

	snprintf(away, sizeof(away), "%s.moved", world->place->directory);
	assert_int_equal(rename(world->place->directory, away), 0);
	journal_reader_close(read_journal(world->place->fd));
	assert_int_equal(rename(away, world->place->directory), 0);
}

#define on_a_world(test) \
	cmocka_unit_test_setup_teardown(test, world_setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		on_a_world(whole_it_is_all_there),
		on_a_world(cut_at_any_length_it_is_refused),
		on_a_world(zeros_from_any_length_on_leave_a_beginning),
		on_a_world(any_changed_byte_is_noticed_or_harmless),
		on_a_world(many_changed_bytes_never_show_half_of_one),
		on_a_world(both_headers_gone_is_damage),
		on_a_world(one_in_another_s_place_does_not_count),
		on_a_world(the_header_before_the_newest_is_known_as_such),
		on_a_world(damage_says_where_it_is),
		on_a_world(a_newer_version_is_not_touched),
		on_a_world(a_header_that_makes_no_sense_is_none),
		on_a_world(a_description_that_makes_no_sense_is_damage),
		on_a_world(a_copy_in_another_store_is_refused),
		on_a_world(a_copy_in_the_same_store_is_refused),
		on_a_world(a_store_that_was_only_moved_is_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
