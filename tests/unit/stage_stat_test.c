// SPDX-License-Identifier: Apache-2.0
/*
 * The blocks that programs see of a staged file: those it will have when it is
 * committed, at every step of the commit and whenever the store was asked.
 */
#include "stage_world.h"

#define BLOCKS(pages) ((blkcnt_t)((pages) * (PAGE / 512)))
/* File systems count blocks of their own for what they keep of a file. */
#define SPARE BLOCKS(16)

enum { pages = 256 };

static char bytes[pages * PAGE];

/* ---- what is seen -------------------------------------------------------- */

static struct stat below(struct subject *subject)
{
	struct stat st;

	assert_int_equal(fstat(subject->fd, &st), 0);
	return st;
}

static blkcnt_t blocks_seen(struct subject *subject)
{
	struct stat st = below(subject);

	staged_overlay(subject->staged, &st);
	return st.st_blocks;
}

static bool is_about(blkcnt_t seen_blocks, blkcnt_t wanted)
{
	if (seen_blocks >= wanted && seen_blocks <= wanted + SPARE)
		return true;
	print_message("%lld blocks, not %lld\n", (long long)seen_blocks,
		      (long long)wanted);
	return false;
}

static void put_pages(struct subject *subject, off_t first, size_t count)
{
	memset(bytes, 'x', sizeof(bytes));
	assert_int_equal(put(subject, bytes, count * PAGE, first * (off_t)PAGE),
			 count * PAGE);
}

static struct subject *in_commit;
static blkcnt_t seen_in_commit;

static void look(void)
{
	seen_in_commit = blocks_seen(in_commit);
}

/* ---- a commit ------------------------------------------------------------ */

static void room_that_is_reserved_counts_once(void **state)
{
	struct world world;
	struct subject file;

	world_begin(&world, state, 16 * MIB);
	subject_begin(&file, &world, "file", "");
	put_pages(&file, 0, pages);
	assert_true(is_about(blocks_seen(&file), BLOCKS(pages)));
	/* The journal is written, the store's file has its room. */
	in_commit = &file;
	during_commit = look;
	assert_int_equal(commit(&world), 0);
	assert_true(is_about(seen_in_commit, BLOCKS(pages)));
	assert_true(is_about(blocks_seen(&file), BLOCKS(pages)));
	subject_end(&file);
	world_end(&world);
}

static void write_and_look(void)
{
	put_pages(in_commit, pages, pages / 2);
	look();
}

static void what_is_added_during_a_commit_counts_too(void **state)
{
	struct world world;
	struct subject file;

	world_begin(&world, state, 16 * MIB);
	subject_begin(&file, &world, "file", "");
	put_pages(&file, 0, pages);
	in_commit = &file;
	during_commit = write_and_look;
	assert_int_equal(commit(&world), 0);
	assert_true(is_about(seen_in_commit, BLOCKS(pages + pages / 2)));
	assert_true(is_about(blocks_seen(&file), BLOCKS(pages + pages / 2)));
	subject_end(&file);
	world_end(&world);
}

/* Asked before the commit was carried out, and told after it. */
static void blocks_that_are_out_of_date_are_not_told(void **state)
{
	struct world world;
	struct subject file;
	struct stat st;

	world_begin(&world, state, 16 * MIB);
	subject_begin(&file, &world, "file", "");
	put_pages(&file, 0, pages);
	st = below(&file);
	assert_int_equal(commit(&world), 0);
	staged_overlay(file.staged, &st);
	assert_true(is_about(st.st_blocks, BLOCKS(pages)));
	subject_end(&file);
	world_end(&world);
}

static void a_commit_that_fails_changes_no_blocks(void **state)
{
	struct world world;
	struct subject file;

	world_begin(&world, state, 16 * MIB);
	subject_begin(&file, &world, "file", "");
	put_pages(&file, 0, pages);
	fdatasync_error = EIO;
	assert_int_equal(commit(&world), -EIO);
	fdatasync_error = 0;
	assert_true(is_about(blocks_seen(&file), BLOCKS(pages)));
	assert_int_equal(commit(&world), 0);
	assert_true(is_about(blocks_seen(&file), BLOCKS(pages)));
	subject_end(&file);
	world_end(&world);
}

struct looking {
	struct subject file;
	_Atomic bool end;
};

#define LOOKERS 2

static int look_or_commit(void *argument, unsigned thread)
{
	struct looking *this = argument;
	unsigned wrong = 0;

	if (thread == LOOKERS) {
		for (unsigned i = 0; i < 40; i++) {
			expect(put(&this->file, bytes, sizeof(bytes), 0) ==
			       sizeof(bytes));
			expect(commit(this->file.world) == 0);
		}
		this->end = true;
		return 0;
	}
	while (!this->end)
		wrong += !is_about(blocks_seen(&this->file), BLOCKS(pages));
	expect(wrong == 0);
	return 0;
}

static void blocks_are_the_same_all_through_commits(void **state)
{
	struct looking this = {0};
	struct world world;

	world_begin(&world, state, 16 * MIB);
	subject_begin(&this.file, &world, "file", "");
	put_pages(&this.file, 0, pages);
	assert_int_equal(in_threads(LOOKERS + 1, look_or_commit, &this), 0);
	subject_end(&this.file);
	world_end(&world);
}

/* ---- holes --------------------------------------------------------------- */

/* tar takes a file without any for empty. */
static void what_is_written_into_a_hole_has_blocks(void **state)
{
	struct world world;
	struct subject file;

	world_begin(&world, state, 16 * MIB);
	subject_begin(&file, &world, "file", "");
	assert_int_equal(staged_truncate(file.staged, 4 * pages * PAGE), 0);
	assert_int_equal(commit(&world), 0);
	assert_true(is_about(blocks_seen(&file), 0));
	put_pages(&file, pages, pages);
	assert_true(is_about(blocks_seen(&file), BLOCKS(pages)));
	in_commit = &file;
	during_commit = look;
	assert_int_equal(commit(&world), 0);
	assert_true(is_about(seen_in_commit, BLOCKS(pages)));
	assert_true(is_about(blocks_seen(&file), BLOCKS(pages)));
	subject_end(&file);
	world_end(&world);
}

static void what_is_replaced_needs_no_more_blocks(void **state)
{
	struct world world;
	struct subject file;

	world_begin(&world, state, 16 * MIB);
	subject_begin(&file, &world, "file", "");
	put_pages(&file, 0, pages);
	assert_int_equal(commit(&world), 0);
	put_pages(&file, 0, pages);
	assert_true(is_about(blocks_seen(&file), BLOCKS(pages)));
	in_commit = &file;
	during_commit = look;
	assert_int_equal(commit(&world), 0);
	assert_true(is_about(seen_in_commit, BLOCKS(pages)));
	subject_end(&file);
	world_end(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		in_a_place(room_that_is_reserved_counts_once),
		in_a_place(what_is_added_during_a_commit_counts_too),
		in_a_place(blocks_that_are_out_of_date_are_not_told),
		in_a_place(a_commit_that_fails_changes_no_blocks),
		in_a_place(blocks_are_the_same_all_through_commits),
		in_a_place(what_is_written_into_a_hole_has_blocks),
		in_a_place(what_is_replaced_needs_no_more_blocks),
	};

	return cmocka_run_group_tests_name("stage_stat", tests, NULL, NULL);
}
