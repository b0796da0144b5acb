// SPDX-License-Identifier: Apache-2.0
/*
 * The journal of a fresh store: what is appended is read again, the ring goes
 * round and grows, room is free only when that is durable, and after an error
 * nothing counts that was reported as failed.
 */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "journal_sample.h"
#include "random.h"
#include "store/journal_format.h"
#include "util/cleanup.h"

#define SMALL JOURNAL_SIZE_MIN
#define RING_BLOCKS (SMALL / JOURNAL_PAGE - JOURNAL_RING)

static int append_small(struct journal *journal, size_t pages,
			unsigned char fill)
{
	struct sample sample;
	int r;

	sample_small(&sample, pages, fill);
	r = journal_append(journal, &sample.transaction);
	sample_fini(&sample);
	return r;
}

/* What is in the journal: transactions first .. first + count - 1. */
static void holds(struct place *place, uint64_t first, uint64_t count)
{
	struct journal_reader *reader = read_journal(place->fd);
	const struct journal_summary *summary = journal_reader_summary(reader);

	assert_int_equal(summary->transactions, count);
	assert_int_equal(summary->first_sequence, first);
	assert_int_equal(summary->next_sequence, first + count);
	journal_reader_close(reader);
}

static int open_file_of(struct place *place)
{
	int fd = openat(place->fd, JOURNAL_DIRECTORY "/" JOURNAL_NAME,
		O_RDWR | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

/* ---- reading again ------------------------------------------------------ */

/* FAT and NTFS have names of 255 characters, which may be 765 bytes. */
static char long_name[766];
static char long_path[770];

static void fill_large(struct sample *sample)
{
	struct journal_id id = { .ino = 1, .birth_ns = -2, .handle_type = -3,
		.handle_length = JOURNAL_HANDLE_MAX };
	struct journal_id other = { .ino = UINT64_MAX, .handle_type = 1,
		.handle_length = 3, .handle = "abc" };
	struct journal_change *change;

	memset(id.handle, 0xee, sizeof(id.handle));
	memset(long_name, 'n', sizeof(long_name) - 1);
	snprintf(long_path, sizeof(long_path), "d/%s", long_name);
	sample_init(sample, -12345);
	change = sample_change(sample, &id, "a", 5);
	sample_pages(change, 0, 1, 1);
	change = sample_change(sample, &other, "some/longer/path", INT64_MAX);
	sample_hole(sample, 1, 0, 3);
	sample_hole(sample, 1, 4, 1);
	sample_hole(sample, 1, 1000, JOURNAL_TO_END);
	sample_pages(change, 7, 2, 3);
	sample_pages(change, 10, 1, 4);
	sample_pages(change, JOURNAL_PAGES_MAX - 2, 2, 5);
	sample_change(sample, &other, "", 0);
	sample->removals[0] = (struct journal_removal){
		.directory = id, .path = "", .name = long_name, .file = other };
	sample->removals[1] = (struct journal_removal){
		.directory = other, .path = long_path, .name = "...",
		.file = id };
	sample->transaction.removal_count = 2;
}

static void what_is_appended_is_read_again(void **state)
{
	struct place *place = *state;
	struct journal *journal = open_journal(place->fd, SMALL);
	struct sample large, small;
	struct sample *all[] = { &large, &small };
	struct journal_reader *reader;

	fill_large(&large);
	sample_small(&small, 3, 9);
	assert_int_equal(journal_sequence(journal), 0);
	assert_int_equal(journal_append(journal, &large.transaction), 0);
	assert_int_equal(large.transaction.sequence, 1);
	assert_int_equal(journal_append(journal, &small.transaction), 0);
	assert_int_equal(journal_sequence(journal), 2);
	reader = read_journal(place->fd);
	assert_true(reads_as(reader, 1, all, 2));
	assert_int_equal(journal_reader_length(reader), 0);
	assert_int_equal(journal_reader_summary(reader)->blocks_used, 7 + 4);
	assert_false(journal_reader_summary(reader)->torn);
	journal_reader_close(reader);
	journal_close(journal, true);
	sample_fini(&large);
	sample_fini(&small);
}

static void a_transaction_of_nothing_is_one(void **state)
{
	struct place *place = *state;
	struct journal *journal = open_journal(place->fd, SMALL);
	struct journal_transaction nothing = { .time_ns = 3 };

	assert_int_equal(journal_append(journal, &nothing), 0);
	holds(place, 1, 1);
	journal_close(journal, false);
}

/* More than one block of description, and past the ring's end. */
static void a_long_description_is_read_again(void **state)
{
	struct place *place = *state;
	struct journal *journal = open_journal(place->fd, SMALL);
	struct journal_id id = sample_id(3);
	struct journal_hole holes[900];
	struct journal_change change = { .id = id, .path = "p", .size = 1,
		.holes = holes, .hole_count = 900 };
	struct journal_transaction long_one = { .changes = &change,
		.change_count = 1 };
	struct journal_transaction read;
	struct journal_reader *reader;

	for (uint64_t i = 0; i < 900; i++)
		holes[i] = (struct journal_hole){ 3 * i, 2 };
	for (unsigned i = 0; i < 40; i++) {
		assert_int_equal(journal_append(journal, &long_one), 0);
		reader = read_journal(place->fd);
		assert_int_equal(journal_reader_next(reader, &read), 1);
		assert_true(same_transaction(&read, &long_one));
		assert_int_equal(journal_reader_length(reader),
			4 * JOURNAL_PAGE);
		journal_reader_close(reader);
		assert_int_equal(journal_release(journal, i + 1), 0);
	}
	journal_close(journal, true);
}

static void random_sample(struct sample *sample, uint64_t *seed)
{
	sample_init(sample, (int64_t)random_next(seed));
	for (uint64_t files = random_between(seed, 0, 3); files > 0; files--) {
		struct journal_id id = sample_id(random_next(seed));
		struct journal_change *change = sample_change(sample, &id,
			"some/path", random_between(seed, 0, INT64_MAX));
		uint64_t page = 0;

		for (uint64_t runs = random_between(seed, 0, 3); runs > 0;
			runs--) {
			uint64_t count = random_between(seed, 1, 5);

			page += random_between(seed, 0, 9);
			sample_pages(change, page, count,
				(unsigned char)random_next(seed));
			page += count;
		}
	}
}

#define ROUNDS 600

static void the_ring_goes_round_and_round(void **state)
{
	struct place *place = *state;
	struct journal *journal = open_journal(place->fd, SMALL);
	static struct sample kept[ROUNDS];
	struct sample *all[ROUNDS];
	uint64_t seed = RANDOM_SEED;
	uint64_t oldest = 1;
	uint64_t laps = 0;

	for (uint64_t i = 0; i < ROUNDS; i++) {
		struct journal_reader *reader;

		random_sample(&kept[i], &seed);
		all[i] = &kept[i];
		while (journal_append(journal, &kept[i].transaction) ==
			-EAGAIN) {
			oldest += random_between(&seed, 1, i + 1 - oldest);
			assert_int_equal(journal_release(journal, oldest - 1),
				0);
			laps++;
		}
		assert_int_equal(kept[i].transaction.sequence, i + 1);
		if (i % 7 != 0)
			continue;
		reader = read_journal(place->fd);
		assert_true(reads_as(reader, oldest, all + oldest - 1,
			i + 2 - oldest));
		journal_reader_close(reader);
	}
	assert_true(laps > 20);
	assert_int_equal(journal_size(journal), SMALL);
	journal_close(journal, true);
	for (unsigned i = 0; i < ROUNDS; i++)
		sample_fini(&kept[i]);
}

static void what_is_needed_is_never_more_than_was_said(void **state)
{
	struct place *place = *state;
	struct journal *journal = open_journal(place->fd, SMALL);
	uint64_t seed = RANDOM_SEED;

	for (unsigned i = 0; i < 100; i++) {
		struct sample sample;
		struct journal_transaction *t = &sample.transaction;
		uint64_t before, pages = 0, holes = 0;

		random_sample(&sample, &seed);
		for (size_t c = 0; c < t->change_count; c++) {
			pages += t->changes[c].page_count;
			holes += t->changes[c].hole_count;
		}
		before = journal_room(journal);
		assert_int_equal(journal_append(journal, t), 0);
		assert_in_range(before - journal_room(journal), 1,
			journal_need(t->change_count, 0, holes, pages,
				t->change_count * strlen("some/path")));
		journal_release(journal, t->sequence);
		journal_flush(journal);
		sample_fini(&sample);
	}
	journal_close(journal, true);
}

/* ---- room --------------------------------------------------------------- */

static void room_is_free_when_that_is_durable(void **state)
{
	struct place *place = *state;
	struct journal *journal = open_journal(place->fd, SMALL);
	uint64_t all = RING_BLOCKS * JOURNAL_PAGE;

	assert_int_equal(journal_room(journal), all);
	assert_int_equal(append_small(journal, 30, 1), 0);
	assert_int_equal(append_small(journal, 27, 2), 0);
	assert_int_equal(journal_room(journal), 3 * JOURNAL_PAGE);
	assert_int_equal(append_small(journal, 3, 3), -EAGAIN);
	assert_int_equal(journal_release(journal, 1), 0);
	assert_int_equal(journal_room(journal), 3 * JOURNAL_PAGE);
	assert_int_equal(journal_flush(journal), 0);
	assert_int_equal(journal_room(journal), (3 + 31) * JOURNAL_PAGE);
	holds(place, 2, 1);
	assert_int_equal(journal_release(journal, 1), 0);
	assert_int_equal(journal_release(journal, 99), 0);
	assert_int_equal(journal_flush(journal), 0);
	assert_int_equal(journal_room(journal), all);
	holds(place, 3, 0);
	journal_close(journal, true);
}

static void an_append_makes_what_was_released_durable(void **state)
{
	struct place *place = *state;
	struct journal *journal = open_journal(place->fd, SMALL);

	assert_int_equal(append_small(journal, RING_BLOCKS - 1, 1), 0);
	assert_int_equal(journal_room(journal), 0);
	assert_int_equal(journal_release(journal, 1), 0);
	/* There is no room without a flush of its own. */
	assert_int_equal(append_small(journal, 3, 2), 0);
	holds(place, 2, 1);
	assert_int_equal(journal_release(journal, 2), 0);
	/* Here it goes along. */
	assert_int_equal(append_small(journal, 3, 3), 0);
	assert_int_equal(journal_room(journal),
		(RING_BLOCKS - 4) * JOURNAL_PAGE);
	holds(place, 3, 1);
	journal_close(journal, true);
}

static void the_newest_durable_header_is_never_overwritten(void **state)
{
	struct place *place = *state;
	struct journal *journal = open_journal(place->fd, SMALL);
	owned_fd fd = open_file_of(place);
	unsigned char before[2 * JOURNAL_PAGE], after[2 * JOURNAL_PAGE];

	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(append_small(journal, 1, 1), 0);
	assert_int_equal(pread(fd, before, sizeof(before), 0), sizeof(before));
	for (unsigned i = 1; i <= 3; i++)
		assert_int_equal(journal_release(journal, i), 0);
	assert_int_equal(pread(fd, after, sizeof(after), 0), sizeof(after));
	/* Generation 1 is in block 1. */
	assert_memory_equal(before + JOURNAL_PAGE, after + JOURNAL_PAGE,
		JOURNAL_PAGE);
	assert_memory_not_equal(before, after, JOURNAL_PAGE);
	assert_int_equal(journal_flush(journal), 0);
	assert_int_equal(journal_release(journal, 4), 0);
	assert_int_equal(pread(fd, before, sizeof(before), 0), sizeof(before));
	assert_memory_equal(before, after, JOURNAL_PAGE);
	assert_memory_not_equal(before + JOURNAL_PAGE, after + JOURNAL_PAGE,
		JOURNAL_PAGE);
	journal_close(journal, true);
}

static void one_that_is_too_small_grows_when_it_is_empty(void **state)
{
	struct place *place = *state;
	struct journal *journal = open_journal(place->fd, SMALL);
	struct sample large;
	struct sample *all[] = { &large };
	struct journal_reader *reader;

	sample_small(&large, 1000, 1);
	assert_int_equal(append_small(journal, 20, 1), 0);
	assert_int_equal(journal_append(journal, &large.transaction), -EAGAIN);
	assert_int_equal(journal_size(journal), SMALL);
	assert_int_equal(journal_release(journal, 1), 0);
	assert_int_equal(journal_append(journal, &large.transaction), 0);
	assert_int_equal(large.transaction.sequence, 2);
	assert_true(journal_size(journal) >= 1250 * JOURNAL_PAGE);
	assert_int_equal(journal_size(journal) % (1 << 20), 0);
	reader = read_journal(place->fd);
	assert_true(reads_as(reader, 2, all, 1));
	journal_reader_close(reader);
	assert_int_equal(journal_release(journal, 2), 0);
	for (unsigned i = 0; i < 10; i++) {
		assert_int_equal(journal_append(journal, &large.transaction),
			0);
		reader = read_journal(place->fd);
		assert_true(reads_as(reader, 3 + i, all, 1));
		journal_reader_close(reader);
		assert_int_equal(journal_release(journal, 3 + i), 0);
	}
	journal_close(journal, true);
	sample_fini(&large);
}

/* ---- errors ------------------------------------------------------------- */

static void limit_file_size(rlim_t bytes)
{
	struct rlimit limit;

	getrlimit(RLIMIT_FSIZE, &limit);
	limit.rlim_cur = bytes;
	setrlimit(RLIMIT_FSIZE, &limit);
}

static int fail_to_write(void *argument)
{
	struct place *place = argument;
	struct journal *journal = open_journal(place->fd, SMALL);

	signal(SIGXFSZ, SIG_IGN);
	expect(append_small(journal, 20, 1) == 0);
	expect(append_small(journal, 10, 2) == 0);
	/* Some of it can be written, as much as to block 36. */
	limit_file_size(36 * JOURNAL_PAGE);
	expect(append_small(journal, 10, 3) == -EFBIG);
	expect(append_small(journal, 1, 3) == -EIO);
	expect(journal_flush(journal) == -EIO);
	expect(journal_sequence(journal) == 2);
	holds(place, 1, 2);
	expect(journal_release(journal, 1) == 0);
	limit_file_size(20 * JOURNAL_PAGE);
	expect(journal_reset(journal) == -EFBIG);
	expect(append_small(journal, 1, 3) == -EIO);
	limit_file_size(RLIM_INFINITY);
	expect(journal_reset(journal) == 0);
	holds(place, 2, 1);
	expect(journal_room(journal) ==
		(RING_BLOCKS - 11) * (uint64_t)JOURNAL_PAGE);
	expect(append_small(journal, 10, 4) == 0);
	expect(journal_sequence(journal) == 3);
	holds(place, 2, 2);
	journal_close(journal, true);
	return 0;
}

static void after_an_error_nothing_is_appended_before_a_reset(void **state)
{
	assert_int_equal(in_child(fail_to_write, *state), 0);
}

static int fail_when_full(void *argument)
{
	struct place *place = argument;
	struct journal *journal = open_journal(place->fd, SMALL);

	signal(SIGXFSZ, SIG_IGN);
	/* The ring is full, so the next place is the oldest one's. */
	expect(append_small(journal, 20, 1) == 0);
	expect(append_small(journal, RING_BLOCKS - 22, 2) == 0);
	expect(journal_room(journal) == 0);
	expect(journal_release(journal, 1) == 0);
	limit_file_size(0);
	expect(journal_release(journal, 2) == -EFBIG);
	limit_file_size(RLIM_INFINITY);
	expect(journal_reset(journal) == 0);
	holds(place, 2, 1);
	journal_close(journal, true);
	return 0;
}

static void a_reset_of_a_full_ring_spoils_nothing(void **state)
{
	assert_int_equal(in_child(fail_when_full, *state), 0);
}

static int fail_to_grow(void *argument)
{
	struct place *place = argument;
	struct journal *journal = open_journal(place->fd, SMALL);

	signal(SIGXFSZ, SIG_IGN);
	limit_file_size(SMALL);
	expect(append_small(journal, 100, 1) == -EFBIG);
	expect(journal_size(journal) == SMALL);
	expect(append_small(journal, 10, 2) == 0);
	holds(place, 1, 1);
	journal_close(journal, true);
	return 0;
}

static void one_that_can_t_grow_remains_usable(void **state)
{
	assert_int_equal(in_child(fail_to_grow, *state), 0);
}

/* A mount of this child's own; its root, or -1. */
static int mount_here(struct place *place, const char *type,
		      const char *options)
{
	if (unshare(CLONE_NEWNS) < 0 ||
		mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		mount("none", place->directory, type, 0, options) < 0)
		return -1;
	return open(place->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static int grow_on_a_full_store(void *argument)
{
	struct place *place = argument;
	owned_fd root = mount_here(place, "tmpfs", "size=1m");
	struct journal *journal;
	char error[512];

	expect(root >= 0);
	expect(journal_open(root, 4 << 20, &journal, error, sizeof(error)) ==
		-ENOSPC);
	expect(faccessat(root, JOURNAL_DIRECTORY, F_OK, 0) < 0);
	journal = open_journal(root, SMALL);
	expect(append_small(journal, 400, 1) == -ENOSPC);
	expect(journal_size(journal) == SMALL);
	expect(append_small(journal, 10, 2) == 0);
	expect(journal_release(journal, 1) == 0);
	expect(append_small(journal, 300, 3) == -ENOSPC);
	expect(append_small(journal, 10, 4) == 0);
	expect(journal_sequence(journal) == 2);
	expect(journal_release(journal, 2) == 0);
	journal_close(journal, true);
	expect(faccessat(root, JOURNAL_DIRECTORY, F_OK, 0) < 0);
	return 0;
}

static int grow_without_fallocate(void *argument)
{
	owned_fd root = mount_here(argument, "ramfs", NULL);
	struct journal *journal;

	expect(root >= 0);
	journal = open_journal(root, SMALL);
	expect(append_small(journal, 100, 1) == 0);
	expect(journal_size(journal) == 1 << 20);
	journal_close(journal, true);
	return 0;
}

static void a_full_store_is_told_and_no_more(void **state)
{
	if (geteuid() != 0)
		skip_because("needs root: mounts");
	assert_int_equal(in_child(grow_on_a_full_store, *state), 0);
}

static void a_store_that_can_t_allocate_is_written(void **state)
{
	if (geteuid() != 0)
		skip_because("needs root: mounts");
	assert_int_equal(in_child(grow_without_fallocate, *state), 0);
}

/* ---- opening and closing ------------------------------------------------ */

static void only_its_owner_gets_at_it(void **state)
{
	struct place *place = *state;
	mode_t mask = umask(0777);
	struct journal *journal = open_journal(place->fd, SMALL);
	struct journal_reader *reader;
	struct stat st;
	char error[512];

	umask(mask);
	assert_int_equal(fstatat(place->fd, JOURNAL_DIRECTORY, &st, 0), 0);
	assert_int_equal(st.st_mode, S_IFDIR | 0700);
	assert_int_equal(fstatat(place->fd, JOURNAL_DIRECTORY "/" JOURNAL_NAME,
		&st, 0), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0600);
	assert_true(st.st_blocks * 512 >= (off_t)SMALL);
	if (geteuid() == 0) {
		assert_int_equal(fchownat(place->fd, JOURNAL_DIRECTORY "/"
			JOURNAL_NAME, 65534, 65534, 0), 0);
		assert_int_equal(journal_reader_open(place->fd, &reader, error,
			sizeof(error)), -EPERM);
		assert_non_null(strstr(error, "is not of the user"));
	}
	journal_close(journal, true);
}

static void a_link_in_its_place_is_not_followed(void **state)
{
	struct place *place = *state;
	struct journal *journal;
	struct journal_reader *reader;
	char error[512];

	assert_int_equal(mkdirat(place->fd, "elsewhere", 0700), 0);
	assert_int_equal(symlinkat("elsewhere", place->fd, JOURNAL_DIRECTORY),
		0);
	assert_int_equal(journal_open(place->fd, SMALL, &journal, error,
		sizeof(error)), -ENOTDIR);
	assert_int_equal(journal_reader_open(place->fd, &reader, error,
		sizeof(error)), -ENOTDIR);
}

static void closing_takes_it_away_when_nothing_is_in_it(void **state)
{
	struct place *place = *state;
	struct journal *journal = open_journal(place->fd, SMALL);
	struct journal_reader *reader;
	char error[512];

	assert_int_equal(append_small(journal, 1, 1), 0);
	journal_close(journal, true);
	holds(place, 1, 1);
	assert_int_equal(journal_open(place->fd, SMALL, &journal, error,
		sizeof(error)), -EBUSY);
	assert_non_null(strstr(error, "msyncctl recover"));
	/* As the end of a recovery does it. */
	assert_int_equal(unlinkat(place->fd, JOURNAL_DIRECTORY "/" JOURNAL_NAME,
		0), 0);
	journal = open_journal(place->fd, SMALL);
	assert_int_equal(append_small(journal, 1, 1), 0);
	assert_int_equal(journal_release(journal, 1), 0);
	journal_close(journal, true);
	assert_int_equal(journal_reader_open(place->fd, &reader, error,
		sizeof(error)), -ENOENT);
	assert_int_equal(faccessat(place->fd, JOURNAL_DIRECTORY, F_OK, 0), -1);
}

static void sequences_go_on_when_it_is_opened_again(void **state)
{
	struct place *place = *state;
	struct journal *journal = open_journal(place->fd, SMALL);

	for (uint64_t round = 0; round < 30; round++) {
		for (uint64_t i = 1; i <= 3; i++) {
			assert_int_equal(append_small(journal, 5, 1), 0);
			assert_int_equal(journal_sequence(journal),
				3 * round + i);
		}
		assert_int_equal(journal_release(journal, 3 * round + 3), 0);
		journal_close(journal, false);
		journal = open_journal(place->fd, 0);
		assert_int_equal(journal_size(journal), SMALL);
		assert_int_equal(journal_room(journal),
			RING_BLOCKS * JOURNAL_PAGE);
		assert_int_equal(journal_sequence(journal), 3 * round + 3);
	}
	journal_close(journal, true);
}

static void what_was_torn_can_t_become_whole_later(void **state)
{
	struct place *place = *state;
	struct journal *journal = open_journal(place->fd, SMALL);
	owned_fd fd = open_file_of(place);
	struct journal_reader *reader;
	unsigned char page[JOURNAL_PAGE];
	off_t last = 4 * JOURNAL_PAGE;

	/* Head in block 2, pages in 3 and 4; the second never arrived. */
	assert_int_equal(append_small(journal, 2, 1), 0);
	journal_close(journal, false);
	assert_int_equal(pread(fd, page, sizeof(page), last), sizeof(page));
	assert_int_equal(pwrite(fd, "torn", 4, last), 4);
	reader = read_journal(place->fd);
	assert_true(journal_reader_summary(reader)->torn);
	assert_int_equal(journal_reader_summary(reader)->transactions, 0);
	journal_reader_close(reader);
	journal = open_journal(place->fd, SMALL);
	assert_int_equal(pwrite(fd, page, sizeof(page), last), sizeof(page));
	holds(place, 1, 0);
	journal_close(journal, true);
}

static void one_that_was_never_finished_is_made_anew(void **state)
{
	struct place *place = *state;
	struct journal *journal;
	struct journal_reader *reader;
	char error[512];

	assert_int_equal(mkdirat(place->fd, JOURNAL_DIRECTORY, 0700), 0);
	make_file(place, JOURNAL_DIRECTORY "/journal.new", "half");
	assert_int_equal(journal_reader_open(place->fd, &reader, error,
		sizeof(error)), -ENOENT);
	journal = open_journal(place->fd, SMALL);
	journal_close(journal, true);
	assert_int_equal(faccessat(place->fd, JOURNAL_DIRECTORY, F_OK, 0), -1);
}

static void an_id_is_of_one_inode(void **state)
{
	struct place *place = *state;
	owned_fd by_path = -1;
	owned_fd opened = -1;
	struct journal_id a, b, root;

	make_file(place, "a", "1");
	make_file(place, "b", "1");
	assert_int_equal(linkat(place->fd, "a", place->fd, "c", 0), 0);
	by_path = openat(place->fd, "c", O_PATH | O_CLOEXEC);
	opened = openat(place->fd, "a", O_RDONLY | O_CLOEXEC);
	assert_int_equal(journal_identify(by_path, &a), 0);
	assert_int_equal(journal_identify(opened, &b), 0);
	assert_true(journal_same_id(&a, &b));
	/* Known by number and birth time where there is no handle. */
	b.handle_length = 0;
	assert_true(journal_same_id(&a, &b));
	b.birth_ns++;
	assert_false(journal_same_id(&a, &b));
	close(take_fd(&opened));
	opened = openat(place->fd, "b", O_RDONLY | O_CLOEXEC);
	assert_int_equal(journal_identify(opened, &b), 0);
	assert_false(journal_same_id(&a, &b));
	assert_int_equal(journal_identify(place->fd, &root), 0);
	assert_false(journal_same_id(&a, &root));
}

#define on_a_place(test) \
	cmocka_unit_test_setup_teardown(test, place_setup, place_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		on_a_place(what_is_appended_is_read_again),
		on_a_place(a_transaction_of_nothing_is_one),
		on_a_place(a_long_description_is_read_again),
		on_a_place(the_ring_goes_round_and_round),
		on_a_place(what_is_needed_is_never_more_than_was_said),
		on_a_place(room_is_free_when_that_is_durable),
		on_a_place(an_append_makes_what_was_released_durable),
		on_a_place(the_newest_durable_header_is_never_overwritten),
		on_a_place(one_that_is_too_small_grows_when_it_is_empty),
		on_a_place(after_an_error_nothing_is_appended_before_a_reset),
		on_a_place(a_reset_of_a_full_ring_spoils_nothing),
		on_a_place(one_that_can_t_grow_remains_usable),
		on_a_place(a_full_store_is_told_and_no_more),
		on_a_place(a_store_that_can_t_allocate_is_written),
		on_a_place(only_its_owner_gets_at_it),
		on_a_place(a_link_in_its_place_is_not_followed),
		on_a_place(closing_takes_it_away_when_nothing_is_in_it),
		on_a_place(sequences_go_on_when_it_is_opened_again),
		on_a_place(what_was_torn_can_t_become_whole_later),
		on_a_place(one_that_was_never_finished_is_made_anew),
		on_a_place(an_id_is_of_one_inode),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
