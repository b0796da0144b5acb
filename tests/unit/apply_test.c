// SPDX-License-Identifier: Apache-2.0
/*
 * Changes on real files, compared with a model of bytes: whatever the file
 * was, it is what the change says, also when it is carried out twice; and
 * what was reserved is not asked for again.
 */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "journal_sample.h"
#include "random.h"
#include "store/apply.h"
#include "util/cleanup.h"

#define PAGES 24u
#define MODEL_SIZE (PAGES * JOURNAL_PAGE)

static const struct journal_id no_id;

/* A file as it should be. */
struct model {
	unsigned char bytes[MODEL_SIZE];
	uint64_t size;
};

static void model_apply(struct model *model,
			const struct journal_change *change)
{
	for (size_t i = 0; i < change->hole_count; i++) {
		uint64_t first = change->holes[i].first;
		uint64_t count = change->holes[i].count;

		for (uint64_t page = first;
			page < PAGES && page - first < count; page++)
			memset(model->bytes + page * JOURNAL_PAGE, 0,
				JOURNAL_PAGE);
	}
	for (size_t i = 0; i < change->page_count; i++)
		memcpy(model->bytes + change->pages[i].page * JOURNAL_PAGE,
			change->pages[i].data, JOURNAL_PAGE);
	model->size = change->size;
	memset(model->bytes + model->size, 0, MODEL_SIZE - model->size);
}

static int check_file(int fd, const struct model *model)
{
	static unsigned char bytes[MODEL_SIZE + 1];
	struct stat st;

	expect(fstat(fd, &st) == 0);
	expect(st.st_size == (off_t)model->size);
	expect(pread(fd, bytes, sizeof(bytes), 0) == (ssize_t)model->size);
	expect(memcmp(bytes, model->bytes, model->size) == 0);
	return 0;
}

static void is_as(int fd, const struct model *model)
{
	assert_int_equal(check_file(fd, model), 0);
}

static int open_new(struct place *place)
{
	int fd = openat(place->fd, "file", O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	return fd;
}

/* A file of so many bytes of 'x', and its model. */
static void fill(int fd, struct model *model, uint64_t size)
{
	memset(model->bytes, 'x', size);
	memset(model->bytes + size, 0, MODEL_SIZE - size);
	model->size = size;
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(pwrite(fd, model->bytes, size, 0), size);
}

static int apply_both(int fd, struct model *model,
		      const struct journal_change *change)
{
	model_apply(model, change);
	expect(apply_change(fd, change) == 0);
	return check_file(fd, model);
}

/* ---- what changes do ---------------------------------------------------- */

static void pages_size_and_time_are_set(void **state)
{
	owned_fd fd = open_new(*state);
	struct sample sample;
	struct journal_change *change;
	struct model model;
	struct stat st;

	fill(fd, &model, 10000);
	sample_init(&sample, 0);
	change = sample_change(&sample, &no_id, "", 20001);
	sample_pages(change, 1, 1, 'a');
	sample_pages(change, 3, 2, 'b');
	change->mtime = (struct timespec){ 1234567890, 123456789 };
	assert_int_equal(apply_both(fd, &model, change), 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_mtim.tv_sec, 1234567890);
	assert_int_equal(st.st_mtim.tv_nsec, 123456789);
	sample_fini(&sample);
}

static void a_file_that_was_cut_and_grew_again_has_zeros_between(void **state)
{
	owned_fd fd = open_new(*state);
	struct sample sample;
	struct journal_change *change;
	struct model model;

	/* Cut to 5000, 4096 of which are kept by a page; grown to 60000. */
	fill(fd, &model, 50000);
	sample_init(&sample, 0);
	change = sample_change(&sample, &no_id, "", 60000);
	sample_hole(&sample, 0, 2, JOURNAL_TO_END);
	sample_pages(change, 1, 1, 'a');
	sample_pages(change, 9, 1, 'b');
	assert_int_equal(apply_both(fd, &model, change), 0);
	sample_fini(&sample);
}

static void one_rewritten_from_nothing_is_overwritten_in_place(void **state)
{
	owned_fd fd = open_new(*state);
	struct sample sample;
	struct journal_change *change;
	struct model model;

	fill(fd, &model, MODEL_SIZE);
	sample_init(&sample, 0);
	change = sample_change(&sample, &no_id, "", 2 * JOURNAL_PAGE + 1);
	sample_hole(&sample, 0, 0, JOURNAL_TO_END);
	sample_pages(change, 0, 3, 'n');
	assert_int_equal(apply_both(fd, &model, change), 0);
	sample_fini(&sample);
}

static void pages_behind_the_end_are_left_out(void **state)
{
	owned_fd fd = open_new(*state);
	struct sample sample;
	struct journal_change *change;
	struct model model;

	fill(fd, &model, 6 * JOURNAL_PAGE);
	sample_init(&sample, 0);
	change = sample_change(&sample, &no_id, "", JOURNAL_PAGE);
	sample_hole(&sample, 0, 3, 100);
	sample_pages(change, 0, 3, 'a');
	sample_pages(change, 9, 3, 'b');
	assert_int_equal(apply_both(fd, &model, change), 0);
	change->size = 0;
	assert_int_equal(apply_both(fd, &model, change), 0);
	sample_fini(&sample);
}

static void offsets_beyond_4_gigabytes_are_right(void **state)
{
	owned_fd fd = open_new(*state);
	uint64_t far = UINT64_C(3) << 20; /* page; 12 GiB */
	struct sample sample;
	struct journal_change *change;
	char byte = 0;

	sample_init(&sample, 0);
	change = sample_change(&sample, &no_id, "",
		(far + 1) * JOURNAL_PAGE - 1);
	sample_hole(&sample, 0, far - 10, 5);
	sample_pages(change, far, 1, 'a');
	assert_int_equal(apply_reserve(fd, change), 0);
	assert_int_equal(apply_change(fd, change), 0);
	assert_int_equal(lseek(fd, 0, SEEK_END),
		(far + 1) * JOURNAL_PAGE - 1);
	assert_int_equal(pread(fd, &byte, 1, (off_t)(far * JOURNAL_PAGE)), 1);
	assert_int_equal(byte, (char)('a' + far));
	sample_fini(&sample);
}

/* ---- any change --------------------------------------------------------- */

static void random_change(struct sample *sample, uint64_t *seed)
{
	struct journal_change *change;
	uint64_t page = 0;

	sample_init(sample, 0);
	change = sample_change(sample, &no_id, "",
		random_next(seed) % (MODEL_SIZE + 1));
	for (unsigned i = 0; i < SAMPLE_HOLES && random_next(seed) % 3; i++) {
		uint64_t count = 1 + random_next(seed) % 6;

		page += random_next(seed) % 6;
		if (random_next(seed) % 8 == 0) {
			sample_hole(sample, 0, page, JOURNAL_TO_END);
			break;
		}
		sample_hole(sample, 0, page, count);
		page += count;
	}
	for (page = 0; page < PAGES; page++) {
		if (random_next(seed) % 3 == 0)
			sample_pages(change, page, 1,
				(unsigned char)random_next(seed));
	}
}

static int any_change(int fd)
{
	uint64_t seed = RANDOM_SEED;
	struct model model = { .size = 0 };

	for (unsigned i = 0; i < 2000; i++) {
		struct sample sample;

		random_change(&sample, &seed);
		if (i % 2 == 0) {
			expect(apply_reserve(fd, sample.changes) == 0);
			expect(check_file(fd, &model) == 0);
		}
		expect(apply_both(fd, &model, sample.changes) == 0);
		expect(apply_both(fd, &model, sample.changes) == 0);
		sample_fini(&sample);
	}
	return 0;
}

static void any_change_does_the_same_twice_as_once(void **state)
{
	owned_fd fd = open_new(*state);

	assert_int_equal(any_change(fd), 0);
}

/* A new file on a mount of this child's own, or -1. */
static int file_on(struct place *place, const char *type, const char *options)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/file", place->directory);
	if (unshare(CLONE_NEWNS) < 0 ||
		mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		mount("none", place->directory, type, 0, options) < 0)
		return -1;
	return open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
}

static int any_change_on_ramfs(void *argument)
{
	owned_fd fd = file_on(argument, "ramfs", NULL);

	expect(fd >= 0);
	expect(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
		       4096) < 0);
	return any_change(fd);
}

static void holes_are_written_where_they_can_t_be_punched(void **state)
{
	if (geteuid() != 0)
		skip_because("needs root: mounts");
	assert_int_equal(in_child(any_change_on_ramfs, *state), 0);
}

/* ---- room --------------------------------------------------------------- */

static int reserve_on_a_full_store(void *argument)
{
	struct place *place = argument;
	owned_fd fd = file_on(place, "tmpfs", "size=256k");
	struct sample sample, large;
	struct journal_change *change;
	static struct model model;
	owned_fd filler = -1;

	expect(fd >= 0);
	fill(fd, &model, 8 * JOURNAL_PAGE);
	sample_init(&sample, 0);
	/* In a hole, over data, behind the end. */
	change = sample_change(&sample, &no_id, "", 20 * JOURNAL_PAGE);
	sample_hole(&sample, 0, 0, 4);
	sample_pages(change, 1, 2, 'a');
	sample_pages(change, 6, 1, 'b');
	sample_pages(change, 12, 8, 'c');
	expect(apply_reserve(fd, change) == 0);
	expect(check_file(fd, &model) == 0);
	/* Somebody takes all that is left. */
	filler = open(place->directory, O_RDWR | O_TMPFILE | O_CLOEXEC,
		0600);
	expect(filler >= 0);
	for (off_t at = 0; fallocate(filler, 0, at, 4096) == 0; at += 4096)
		;
	expect(errno == ENOSPC);
	expect(apply_both(fd, &model, change) == 0);
	sample_init(&large, 0);
	sample_pages(sample_change(&large, &no_id, "", 100 * JOURNAL_PAGE), 90,
		10, 'd');
	expect(apply_reserve(fd, large.changes) == -ENOSPC);
	expect(check_file(fd, &model) == 0);
	expect(apply_change(fd, large.changes) == -ENOSPC);
	sample_fini(&sample);
	sample_fini(&large);
	return 0;
}

static void what_is_reserved_is_there_when_the_store_is_full(void **state)
{
	if (geteuid() != 0)
		skip_because("needs root: mounts");
	assert_int_equal(in_child(reserve_on_a_full_store, *state), 0);
}

static void what_is_there_is_not_reserved_again(void **state)
{
	owned_fd fd = open_new(*state);
	struct sample sample;
	struct journal_change *change;
	struct model model;
	struct stat before, after;

	fill(fd, &model, MODEL_SIZE);
	fsync(fd);
	assert_int_equal(fstat(fd, &before), 0);
	sample_init(&sample, 0);
	change = sample_change(&sample, &no_id, "", MODEL_SIZE);
	for (uint64_t page = 0; page < PAGES; page += 2)
		sample_pages(change, page, 1, 'a');
	assert_int_equal(apply_reserve(fd, change), 0);
	assert_int_equal(fstat(fd, &after), 0);
	assert_int_equal(before.st_blocks, after.st_blocks);
	/* fallocate(2) would have moved it. */
	assert_int_equal(before.st_ctim.tv_nsec, after.st_ctim.tv_nsec);
	is_as(fd, &model);
	sample_fini(&sample);
}

/* ---- names -------------------------------------------------------------- */

static void a_name_is_removed_only_from_its_own_inode(void **state)
{
	struct place *place = *state;
	struct journal_removal removal = { .path = "", .name = "a" };
	owned_fd fd = -1;

	make_file(place, "a", "1");
	make_file(place, "b", "2");
	fd = openat(place->fd, "a", O_PATH | O_CLOEXEC);
	assert_int_equal(journal_identify(fd, &removal.file), 0);
	removal.name = "b";
	assert_int_equal(apply_removal(place->fd, &removal), 0);
	assert_string_equal(stored(place, "b"), "2");
	removal.name = "a";
	assert_int_equal(apply_removal(place->fd, &removal), 0);
	assert_int_equal(faccessat(place->fd, "a", F_OK, 0), -1);
	assert_int_equal(apply_removal(place->fd, &removal), 0);
}

#define on_a_place(test) \
	cmocka_unit_test_setup_teardown(test, place_setup, place_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		on_a_place(pages_size_and_time_are_set),
		on_a_place(
			a_file_that_was_cut_and_grew_again_has_zeros_between),
		on_a_place(one_rewritten_from_nothing_is_overwritten_in_place),
		on_a_place(pages_behind_the_end_are_left_out),
		on_a_place(offsets_beyond_4_gigabytes_are_right),
		on_a_place(any_change_does_the_same_twice_as_once),
		on_a_place(holes_are_written_where_they_can_t_be_punched),
		on_a_place(what_is_reserved_is_there_when_the_store_is_full),
		on_a_place(what_is_there_is_not_reserved_again),
		on_a_place(a_name_is_removed_only_from_its_own_inode),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
