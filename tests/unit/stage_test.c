// SPDX-License-Identifier: Apache-2.0
/*
 * The stage's objects: who has references to them, what is shared among them
 * (memory), private files, and names that go with a commit.
 */
#include "stage_world.h"

/* ---- references --------------------------------------------------------- */

static void an_object_that_nothing_was_written_to_is_idle(void **state)
{
	struct world world;
	struct subject file;

	world_begin(&world, state, 16 * MIB);
	subject_begin(&file, &world, "file", "old");
	assert_true(staged_is_idle(file.staged));
	assert_false(staged_is_uncommitted(file.staged));
	subject_end(&file);
	assert_int_equal(file.owner.releases, 1);
	assert_int_equal(file.owner.idles, 0);
	world_end(&world);
}

static void an_object_lives_until_it_is_durable_in_the_store(void **state)
{
	struct world world;
	struct subject file;

	world_begin(&world, state, 16 * MIB);
	subject_begin(&file, &world, "file", "old");
	put_text(&file, "new", 0);
	assert_true(staged_is_uncommitted(file.staged));
	subject_end(&file);
	assert_int_equal(file.owner.releases, 0);
	assert_int_equal(commit(&world), 0);
	assert_int_equal(file.owner.releases, 0);
	assert_int_equal(stage_checkpoint(world.stage), 0);
	assert_int_equal(file.owner.idles, 1);
	assert_int_equal(file.owner.releases, 1);
	assert_string_equal(stored(world.place, "file"), "new");
	world_end(&world);
}

static void an_object_that_is_changed_again_and_again_stays_one(void **state)
{
	struct world world;
	struct subject file;

	world_begin(&world, state, 16 * MIB);
	subject_begin(&file, &world, "file", "old");
	for (unsigned i = 0; i < 20; i++) {
		put_text(&file, "new", i);
		fdatasync_error = i % 3 == 0 ? EIO : 0;
		assert_int_equal(commit(&world), i % 3 == 0 ? -EIO : 0);
		fdatasync_error = 0;
		if (i % 7 == 0)
			assert_int_equal(stage_checkpoint(world.stage), 0);
	}
	assert_int_equal(commit(&world), 0);
	subject_end(&file);
	assert_int_equal(file.owner.releases, 0);
	assert_int_equal(stage_checkpoint(world.stage), 0);
	assert_int_equal(file.owner.releases, 1);
	world_end(&world);
}

static void a_discard_gives_back_what_the_changes_had(void **state)
{
	struct world world;
	struct subject file;

	world_begin(&world, state, 16 * MIB);
	subject_begin(&file, &world, "file", "old");
	put_text(&file, "new and longer", 0);
	assert_int_equal(look_at(&world).dirty, PAGE);
	staged_discard(file.staged);
	assert_int_equal(look_at(&world).dirty, 0);
	assert_int_equal(look_at(&world).files, 0);
	assert_int_equal(look_at(&world).resident, 0);
	assert_string_equal(seen(&file), "old");
	assert_int_equal(size_seen(&file), 3);
	assert_true(staged_is_idle(file.staged));
	subject_end(&file);
	assert_int_equal(file.owner.releases, 1);
	world_end(&world);
}

static int come_and_go(void *argument, unsigned number)
{
	struct subject *file = &((struct subject *)argument)[number];

	for (unsigned i = 0; i < 200; i++) {
		expect(put_text(file, "new", number) == 3);
		if (i % 5 == 0)
			staged_discard(file->staged);
		if (i % 7 == 0)
			expect(commit(file->world) == 0);
		if (i % 31 == 0)
			expect(stage_checkpoint(file->world->stage) == 0);
		staged_get(file->staged);
		staged_put(file->staged);
	}
	subject_end(file);
	return 0;
}

static void each_object_is_released_once(void **state)
{
	static const char *const names[] = {"a", "b", "c", "d"};
	struct subject files[4];
	struct world world;

	world_begin(&world, state, 16 * MIB);
	for (unsigned i = 0; i < 4; i++)
		subject_begin(&files[i], &world, names[i], "old");
	assert_int_equal(in_threads(4, come_and_go, files), 0);
	assert_int_equal(commit(&world), 0);
	assert_int_equal(stage_checkpoint(world.stage), 0);
	world_end(&world);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(files[i].owner.releases, 1);
}

/* ---- memory ------------------------------------------------------------- */

#define WRITERS 8
#define WRITTEN (4 * MIB) /* by each */
#define AT_ONCE (128 * PAGE)

static int write_much(void *argument, unsigned number)
{
	struct subject *file = &((struct subject *)argument)[number];
	char *data = malloc(AT_ONCE);
	int failures = 0;

	expect(data);
	for (uint64_t at = 0; at < WRITTEN; at += AT_ONCE) {
		memset(data, (int)(at / AT_ONCE + number), AT_ONCE);
		failures +=
			put(file, data, AT_ONCE, (off_t)at) != (ssize_t)AT_ONCE;
	}
	free(data);
	return failures;
}

/* None is refused because others took what a commit had freed. */
static void writers_wait_for_memory_and_lose_nothing(void **state)
{
	static const char *const names[] = {
		"a", "b", "c", "d", "e", "f", "g", "h"};
	static char data[AT_ONCE];
	struct subject files[WRITERS];
	struct world world;

	world_begin(&world, state, MIB);
	for (unsigned i = 0; i < WRITERS; i++)
		subject_begin(&files[i], &world, names[i], "");
	assert_int_equal(in_threads(WRITERS, write_much, files), 0);
	/* And what was let in at one time. */
	assert_in_range(look_at(&world).resident, 0, MIB + WRITERS * AT_ONCE);
	assert_true(world.counters.commit_limit > 0);
	assert_int_equal(world_finish(&world), 0);
	for (unsigned i = 0; i < WRITERS; i++) {
		for (uint64_t at = 0; at < WRITTEN; at += sizeof(data)) {
			assert_int_equal(pread(files[i].fd, data, sizeof(data),
						 (off_t)at),
				sizeof(data));
			assert_int_equal(
				(unsigned char)data[0], at / AT_ONCE + i);
			assert_memory_equal(data, data + 1, sizeof(data) - 1);
		}
		subject_end(&files[i]);
	}
	world_free(&world);
}

static void a_write_larger_than_the_limit_is_taken(void **state)
{
	static char data[3 * MIB];
	struct world world;
	struct subject file;

	world_begin(&world, state, MIB);
	subject_begin(&file, &world, "file", "");
	memset(data, 'x', sizeof(data));
	for (off_t i = 0; i < 3; i++)
		assert_int_equal(
			put(&file, data, sizeof(data), i * (off_t)sizeof(data)),
			sizeof(data));
	assert_int_equal(size_seen(&file), 3 * sizeof(data));
	subject_end(&file);
	world_end(&world);
}

static void a_limit_takes_also_what_is_left_out_of_commits(void **state)
{
	static char data[MIB / 2];
	struct world world;
	struct subject file, other;

	world_begin(&world, state, MIB);
	subject_begin(&file, &world, "file", "old");
	subject_begin(&other, &world, "other", "old");
	assert_int_equal(staged_truncate(file.staged, 0), 0);
	assert_int_equal(put(&file, data, sizeof(data), 0), sizeof(data));
	for (off_t i = 0; i < 8; i++)
		assert_int_equal(put(&other, data, sizeof(data),
					 i * (off_t)sizeof(data)),
			sizeof(data));
	subject_end(&file);
	subject_end(&other);
	world_end(&world);
}

static void memory_that_can_not_be_committed_is_an_error(void **state)
{
	static char data[MIB / 2];
	struct world world;
	struct subject file;

	world_begin(&world, state, MIB);
	subject_begin(&file, &world, "file", "old");
	assert_int_equal(put(&file, data, sizeof(data), 0), sizeof(data));
	fdatasync_error = EIO;
	assert_int_equal(put(&file, data, sizeof(data), sizeof(data)), -EIO);
	fdatasync_error = 0;
	assert_int_equal(
		put(&file, data, sizeof(data), sizeof(data)), sizeof(data));
	subject_end(&file);
	world_end(&world);
}

/* ---- private files ------------------------------------------------------ */

static void a_private_file_is_never_committed(void **state)
{
	struct world world;
	struct subject file;

	world_begin(&world, state, 16 * MIB);
	subject_begin_as(&file, &world, "file", "old", true);
	put_text(&file, "new", 0);
	assert_false(staged_is_uncommitted(file.staged));
	assert_int_equal(commit(&world), 0);
	assert_string_equal(seen(&file), "new");
	assert_string_equal(stored(world.place, "file"), "old");
	assert_int_equal(look_at(&world).dirty, 0);
	assert_int_equal(look_at(&world).journal_size, 0);
	staged_discard(file.staged);
	assert_string_equal(seen(&file), "old");
	subject_end(&file);
	world_end(&world);
}

static void private_files_can_fill_the_memory_and_no_more(void **state)
{
	static char data[MIB / 4];
	struct world world;
	struct subject file, staged;
	unsigned written = 0;
	ssize_t n;

	world_begin(&world, state, MIB);
	subject_begin_as(&file, &world, "file", "", true);
	subject_begin(&staged, &world, "staged", "old");
	do
		n = put(&file, data, sizeof(data),
			(off_t)(written++ * sizeof(data)));
	while (n > 0);
	assert_int_equal(n, -ENOSPC);
	assert_int_equal(written, 4);
	assert_int_equal(put(&staged, data, sizeof(data), 0), -ENOSPC);
	/* A file can still be cut, which frees some. */
	assert_int_equal(staged_truncate(file.staged, 0), 0);
	assert_int_equal(put(&staged, data, sizeof(data), 0), sizeof(data));
	staged_discard(file.staged);
	subject_end(&file);
	subject_end(&staged);
	world_end(&world);
}

/* ---- names that go with a commit ---------------------------------------- */

static int remove_it(struct subject *subject, struct owner *directory)
{
	struct world *world = subject->world;
	struct store_id id;

	assert_int_equal(
		store_identify(&world->store, world->place->fd, &id), 0);
	return stage_remove(subject->staged, directory, &id, world->place->fd,
		subject->name);
}

static bool is_there(struct world *world, const char *name)
{
	return faccessat(world->place->fd, name, F_OK, 0) == 0;
}

static void a_removal_goes_with_the_commit(void **state)
{
	struct owner directory = {0};
	struct world world;
	struct subject file, other;

	need_handles((struct place *)*state);
	world_begin(&world, state, 16 * MIB);
	subject_begin(&file, &world, "file", "old");
	subject_begin(&other, &world, "other", "old");
	put_text(&other, "new", 0);
	assert_int_equal(remove_it(&file, &directory), 0);
	assert_true(stage_is_removed(world.stage, &directory, "file"));
	assert_true(is_there(&world, "file"));
	fdatasync_error = EIO;
	assert_int_equal(commit(&world), -EIO);
	fdatasync_error = 0;
	assert_true(stage_is_removed(world.stage, &directory, "file"));
	assert_int_equal(commit(&world), 0);
	assert_false(stage_is_removed(world.stage, &directory, "file"));
	assert_false(is_there(&world, "file"));
	assert_string_equal(stored(world.place, "other"), "new");
	assert_int_equal(directory.releases, 1);
	subject_end(&file);
	subject_end(&other);
	assert_int_equal(file.owner.releases, 1);
	world_end(&world);
}

static void a_removed_file_can_be_made_again_until_then(void **state)
{
	struct owner directory = {0};
	struct world world;
	struct subject file;
	struct staged *again;

	need_handles((struct place *)*state);
	world_begin(&world, state, 16 * MIB);
	subject_begin(&file, &world, "file", "old");
	assert_int_equal(remove_it(&file, &directory), 0);
	again = stage_removed_file(world.stage, &directory, "file");
	assert_ptr_equal(again, file.staged);
	staged_put(again);
	assert_int_equal(stage_make_again(world.stage, &directory, "file"), 0);
	assert_int_equal(directory.releases, 1);
	assert_int_equal(size_seen(&file), 0);
	put_text(&file, "new", 0);
	assert_int_equal(commit(&world), 0);
	assert_string_equal(stored(world.place, "file"), "new");
	assert_int_equal(
		stage_make_again(world.stage, &directory, "file"), -EBUSY);
	subject_end(&file);
	world_end(&world);
}

static struct owner some_directory;
static struct world *this_world;

static void make_it_again(void)
{
	assert_int_equal(
		stage_make_again(this_world->stage, &some_directory, "file"),
		-EBUSY);
}

static void a_removal_that_is_being_committed_can_not_be_undone(void **state)
{
	struct world world;
	struct subject file;

	need_handles((struct place *)*state);
	world_begin(&world, state, 16 * MIB);
	subject_begin(&file, &world, "file", "old");
	assert_int_equal(remove_it(&file, &some_directory), 0);
	this_world = &world;
	during_commit = make_it_again;
	assert_int_equal(commit(&world), 0);
	assert_false(is_there(&world, "file"));
	subject_end(&file);
	world_end(&world);
}

/* A removal is durable before the journal lets go of it. */
static void a_removal_is_synced_before_it_is_forgotten(void **state)
{
	struct owner directory = {0};
	struct world world;
	struct subject file, other;
	unsigned syncs;

	need_handles((struct place *)*state);
	world_begin(&world, state, 16 * MIB);
	subject_begin(&file, &world, "file", "old");
	subject_begin(&other, &world, "other", "old");
	put_text(&other, "new", 0);
	assert_int_equal(remove_it(&file, &directory), 0);
	assert_int_equal(commit(&world), 0);
	/* What can't be carried out keeps it from being forgotten. */
	put_text(&other, "newer", 0);
	apply_error = EIO;
	assert_int_equal(commit(&world), 0);
	assert_int_equal(stage_checkpoint(world.stage), -EIO);
	apply_error = 0;
	syncs = world.syncs;
	assert_int_equal(stage_checkpoint(world.stage), 0);
	assert_int_equal(world.syncs, syncs + 1);
	assert_int_equal(journaled(&world), 0);
	subject_end(&file);
	subject_end(&other);
	world_end(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		in_a_place(an_object_that_nothing_was_written_to_is_idle),
		in_a_place(an_object_lives_until_it_is_durable_in_the_store),
		in_a_place(an_object_that_is_changed_again_and_again_stays_one),
		in_a_place(a_discard_gives_back_what_the_changes_had),
		in_a_place(each_object_is_released_once),
		in_a_place(writers_wait_for_memory_and_lose_nothing),
		in_a_place(a_write_larger_than_the_limit_is_taken),
		in_a_place(a_limit_takes_also_what_is_left_out_of_commits),
		in_a_place(memory_that_can_not_be_committed_is_an_error),
		in_a_place(a_private_file_is_never_committed),
		in_a_place(private_files_can_fill_the_memory_and_no_more),
		in_a_place(a_removal_goes_with_the_commit),
		in_a_place(a_removed_file_can_be_made_again_until_then),
		in_a_place(a_removal_that_is_being_committed_can_not_be_undone),
		in_a_place(a_removal_is_synced_before_it_is_forgotten),
	};

	return cmocka_run_group_tests_name("stage", tests, NULL, NULL);
}
