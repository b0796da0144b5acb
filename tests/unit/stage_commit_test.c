// SPDX-License-Identifier: Apache-2.0
/*
 * Commits: what they take and when, what is left out, and what becomes of it
 * all when a step fails.
 */
#include "stage_world.h"

#include "core/group.h"

static void what_is_written_is_in_the_store_after_a_commit(void **state)
{
	struct world world;
	struct subject file;

	world_begin(&world, state, 16 * MIB);
	subject_begin(&file, &world, "file", "old contents");
	assert_int_equal(put_text(&file, "new", 0), 3);
	assert_string_equal(seen(&file), "new contents");
	assert_string_equal(stored(world.place, "file"), "old contents");
	assert_int_equal(commit(&world), 0);
	assert_string_equal(stored(world.place, "file"), "new contents");
	assert_int_equal(journaled(&world), 1);
	/* Nothing is new: nothing is done. */
	assert_int_equal(commit(&world), 0);
	assert_int_equal(look_at(&world).sequence, 1);
	assert_int_equal(stage_checkpoint(world.stage), 0);
	assert_int_equal(journaled(&world), 0);
	subject_end(&file);
	world_end(&world);
}

static void a_commit_takes_all_files(void **state)
{
	struct world world;
	struct subject files[40];
	char name[40][16];

	world_begin(&world, state, 16 * MIB);
	for (unsigned i = 0; i < 40; i++) {
		snprintf(name[i], sizeof(name[i]), "file%u", i);
		subject_begin(&files[i], &world, name[i], "old");
		assert_int_equal(put_text(&files[i], "new", 0), 3);
	}
	assert_int_equal(look_at(&world).files, 40);
	assert_int_equal(look_at(&world).dirty, 40 * PAGE);
	assert_int_equal(commit(&world), 0);
	assert_int_equal(look_at(&world).files, 0);
	assert_int_equal(look_at(&world).dirty, 0);
	assert_int_equal(look_at(&world).resident, 0);
	assert_int_equal(journaled(&world), 1);
	for (unsigned i = 0; i < 40; i++) {
		assert_string_equal(stored(world.place, name[i]), "new");
		subject_end(&files[i]);
	}
	world_end(&world);
}

static void a_time_that_was_set_is_committed(void **state)
{
	const struct timespec times[2] = {{.tv_sec = 7}, {.tv_sec = 12345}};
	struct world world;
	struct subject file;
	struct stat st;

	world_begin(&world, state, 16 * MIB);
	subject_begin(&file, &world, "file", "old");
	put_text(&file, "new", 0);
	assert_int_equal(futimens(file.fd, times), 0);
	staged_set_mtime(file.staged, &times[1]);
	assert_int_equal(fstat(file.fd, &st), 0);
	staged_overlay(file.staged, &st);
	assert_int_equal(st.st_mtim.tv_sec, 12345);
	assert_int_equal(commit(&world), 0);
	assert_int_equal(fstat(file.fd, &st), 0);
	assert_int_equal(st.st_mtim.tv_sec, 12345);
	/* And again while the journal still has the other one. */
	staged_set_mtime(file.staged, &(struct timespec){.tv_sec = 99});
	assert_int_equal(look_at(&world).files, 1);
	subject_end(&file);
	world_end(&world);
}

/* Asked before a commit was carried out, and told after it. */
static void a_size_that_is_out_of_date_is_not_told(void **state)
{
	struct world world;
	struct subject file;
	struct stat st;

	world_begin(&world, state, 16 * MIB);
	subject_begin(&file, &world, "file", "old");
	put_text(&file, "longer than it was", 0);
	assert_int_equal(fstat(file.fd, &st), 0);
	assert_int_equal(commit(&world), 0);
	staged_overlay(file.staged, &st);
	assert_int_equal(st.st_size, 18);
	subject_end(&file);
	world_end(&world);
}

/* ---- order -------------------------------------------------------------- */

static void a_deferred_fsync_is_committed_before_names_change(void **state)
{
	struct world world;
	struct subject file, other;

	world_begin(&world, state, 16 * MIB);
	subject_begin(&file, &world, "file", "old");
	subject_begin(&other, &world, "other", "old");
	put_text(&file, "new", 0);
	assert_int_equal(stage_order(world.stage, NULL), 0);
	assert_string_equal(stored(world.place, "file"), "old");
	stage_defer(file.staged);
	/* Its own data may go with its name, others' not. */
	assert_int_equal(stage_order(world.stage, file.staged), 0);
	assert_string_equal(stored(world.place, "file"), "old");
	assert_int_equal(stage_order(world.stage, other.staged), 0);
	assert_string_equal(stored(world.place, "file"), "new");
	assert_false(stage_is_ordered(world.stage, NULL));
	/* Nothing changed since: there is nothing to order. */
	stage_defer(file.staged);
	assert_false(stage_is_ordered(world.stage, NULL));
	subject_end(&file);
	subject_end(&other);
	world_end(&world);
}

static void order_outlives_a_commit_that_fails(void **state)
{
	struct world world;
	struct subject file;

	world_begin(&world, state, 16 * MIB);
	subject_begin(&file, &world, "file", "old");
	put_text(&file, "new", 0);
	stage_defer(file.staged);
	fdatasync_error = EIO;
	assert_int_equal(stage_order(world.stage, NULL), -EIO);
	assert_true(stage_is_ordered(world.stage, NULL));
	fdatasync_error = 0;
	/* The journal is made whole by the failure of the next one. */
	while (commit(&world) < 0)
		continue;
	assert_false(stage_is_ordered(world.stage, NULL));
	assert_string_equal(stored(world.place, "file"), "new");
	subject_end(&file);
	world_end(&world);
}

/* ---- what a power cut would take ---------------------------------------- */

static struct stage_loss seen_loss;
static struct stage *seen_stage;

static void look_at_loss(void)
{
	stage_look_loss(seen_stage, &seen_loss);
}

static int64_t oldest(struct world *world)
{
	struct stage_loss loss;

	stage_look_loss(world->stage, &loss);
	return loss.oldest;
}

static void a_change_counts_until_its_commit_is_durable(void **state)
{
	struct world world;
	struct subject file;
	int64_t first;

	world_begin(&world, state, 16 * MIB);
	subject_begin(&file, &world, "file", "old");
	assert_int_equal(oldest(&world), 0);
	put_text(&file, "new", 0);
	first = oldest(&world);
	assert_true(first > 0);
	put_text(&file, "NEW", 0);
	assert_true(oldest(&world) == first);
	/* While the journal is being flushed it isn't yet. */
	seen_stage = world.stage;
	during_commit = look_at_loss;
	assert_int_equal(commit(&world), 0);
	assert_true(seen_loss.oldest == first);
	assert_int_equal(oldest(&world), 0);
	put_text(&file, "newer", 0);
	assert_true(oldest(&world) > first);
	assert_int_equal(commit(&world), 0);
	stage_look_loss(world.stage, &seen_loss);
	assert_true(seen_loss.max > 0);
	subject_end(&file);
	world_end(&world);
}

/* What failed is as old as it was, whatever has been written meanwhile. */
static void a_commit_that_fails_makes_no_change_younger(void **state)
{
	struct world world;
	struct subject file;
	int64_t first;

	world_begin(&world, state, 16 * MIB);
	subject_begin(&file, &world, "file", "old");
	put_text(&file, "new", 0);
	first = oldest(&world);
	fdatasync_error = EIO;
	assert_true(commit(&world) < 0);
	assert_true(oldest(&world) == first);
	put_text(&file, "newer", 0);
	assert_true(oldest(&world) == first);
	fdatasync_error = 0;
	while (commit(&world) < 0)
		continue;
	assert_int_equal(oldest(&world), 0);
	subject_end(&file);
	world_end(&world);
}

/* Nobody could find it after a crash. */
static void a_change_of_a_file_without_a_name_does_not_count(void **state)
{
	struct world world;
	struct subject file;

	world_begin(&world, state, 16 * MIB);
	subject_begin(&file, &world, "file", "old");
	put_text(&file, "new", 0);
	staged_set_unlinked(file.staged, true);
	assert_int_equal(oldest(&world), 0);
	staged_set_unlinked(file.staged, false);
	assert_true(oldest(&world) > 0);
	subject_end(&file);
	world_end(&world);
}

static void discarded_and_unlinked_data_orders_nothing(void **state)
{
	struct world world;
	struct subject file;

	world_begin(&world, state, 16 * MIB);
	subject_begin(&file, &world, "file", "old");
	put_text(&file, "new", 0);
	stage_defer(file.staged);
	staged_discard(file.staged);
	assert_false(stage_is_ordered(world.stage, NULL));
	put_text(&file, "new", 0);
	stage_defer(file.staged);
	staged_set_unlinked(file.staged, true);
	assert_false(stage_is_ordered(world.stage, NULL));
	stage_defer(file.staged);
	assert_false(stage_is_ordered(world.stage, NULL));
	subject_end(&file);
	world_end(&world);
}

static struct subject *in_commit;

static void unlink_it(void)
{
	staged_set_unlinked(in_commit->staged, true);
}

static void a_file_unlinked_while_it_is_committed_orders_nothing(void **state)
{
	struct world world;
	struct subject file;

	world_begin(&world, state, 16 * MIB);
	subject_begin(&file, &world, "file", "old");
	put_text(&file, "new", 0);
	stage_defer(file.staged);
	in_commit = &file;
	during_commit = unlink_it;
	fdatasync_error = EIO;
	assert_int_equal(commit(&world), -EIO);
	fdatasync_error = 0;
	assert_false(stage_is_ordered(world.stage, NULL));
	subject_end(&file);
	world_end(&world);
}

/* ---- what is left out --------------------------------------------------- */

static void a_file_that_is_rewritten_is_old_or_new(void **state)
{
	struct world world;
	struct subject file, other;

	world_begin(&world, state, 16 * MIB);
	subject_begin(&file, &world, "file", "old");
	subject_begin(&other, &world, "other", "old");
	assert_int_equal(staged_truncate(file.staged, 0), 0);
	put_text(&other, "new", 0);
	assert_true(look_at_file(&file).rewriting);
	assert_int_equal(commit(&world), 0);
	assert_string_equal(stored(world.place, "other"), "new");
	put_text(&file, "half of", 0);
	assert_int_equal(commit(&world), 0);
	assert_string_equal(stored(world.place, "file"), "old");
	assert_string_equal(seen(&file), "half of");
	put_text(&file, " the new", 7);
	staged_rewritten(file.staged);
	assert_int_equal(commit(&world), 0);
	assert_string_equal(stored(world.place, "file"), "half of the new");
	subject_end(&file);
	subject_end(&other);
	world_end(&world);
}

static void what_was_empty_is_not_left_out(void **state)
{
	struct world world;
	struct subject file;

	world_begin(&world, state, 16 * MIB);
	subject_begin(&file, &world, "file", "");
	put_text(&file, "new", 0);
	assert_int_equal(staged_truncate(file.staged, 0), 0);
	assert_false(look_at_file(&file).rewriting);
	put_text(&file, "newer", 0);
	assert_int_equal(commit(&world), 0);
	assert_string_equal(stored(world.place, "file"), "newer");
	subject_end(&file);
	world_end(&world);
}

/*
 * As a rollback journal that is truncated: a commit with later data of others
 * must not have contents of it that are older than what an fsync ordered.
 */
static void a_rewriting_never_hides_what_was_ordered_before(void **state)
{
	struct world world;
	struct subject file, other;

	world_begin(&world, state, 16 * MIB);
	subject_begin(&file, &world, "file", "one");
	subject_begin(&other, &world, "other", "one");
	put_text(&file, "two", 0);
	stage_defer(file.staged);
	assert_int_equal(staged_cutting(file.staged), 0);
	assert_string_equal(stored(world.place, "file"), "two");
	assert_int_equal(staged_truncate(file.staged, 0), 0);
	put_text(&other, "two", 0);
	assert_int_equal(commit(&world), 0);
	assert_string_equal(stored(world.place, "file"), "two");
	assert_string_equal(stored(world.place, "other"), "two");
	/* Without that step it is in each commit, empty or not. */
	staged_rewritten(file.staged);
	put_text(&file, "three", 0);
	stage_defer(file.staged);
	assert_int_equal(staged_truncate(file.staged, 0), 0);
	assert_int_equal(commit(&world), 0);
	assert_string_equal(stored(world.place, "file"), "");
	subject_end(&file);
	subject_end(&other);
	world_end(&world);
}

static void cut_it(void)
{
	staged_truncate(in_commit->staged, 0);
}

static void what_was_ordered_is_in_the_commit_after_one_that_fails(void **state)
{
	struct world world;
	struct subject file;

	world_begin(&world, state, 16 * MIB);
	subject_begin(&file, &world, "file", "one");
	put_text(&file, "two", 0);
	stage_defer(file.staged);
	in_commit = &file;
	during_commit = cut_it;
	fdatasync_error = EIO;
	assert_int_equal(commit(&world), -EIO);
	fdatasync_error = 0;
	assert_true(look_at_file(&file).rewriting);
	assert_int_equal(stage_order(world.stage, NULL), 0);
	assert_string_equal(stored(world.place, "file"), "");
	subject_end(&file);
	world_end(&world);
}

static void an_unlinked_file_is_in_no_commit_until_it_is_linked(void **state)
{
	struct world world;
	struct subject file;

	world_begin(&world, state, 16 * MIB);
	subject_begin(&file, &world, "file", "old");
	staged_set_unlinked(file.staged, true);
	put_text(&file, "new", 0);
	assert_int_equal(commit(&world), 0);
	assert_string_equal(stored(world.place, "file"), "old");
	assert_true(staged_is_uncommitted(file.staged));
	staged_set_unlinked(file.staged, false);
	assert_int_equal(commit(&world), 0);
	assert_string_equal(stored(world.place, "file"), "new");
	assert_int_equal(journaled(&world), 1);
	subject_end(&file);
	world_end(&world);
}

/* A full memory takes it to the store without the journal. */
static void what_had_no_name_in_its_commit_is_synced_when_linked(void **state)
{
	static char big[MIB];
	struct world world;
	struct subject file, other;

	world_begin(&world, state, MIB);
	subject_begin(&file, &world, "file", "old");
	subject_begin(&other, &world, "other", "old");
	memset(big, 'x', sizeof(big));
	staged_set_unlinked(file.staged, true);
	assert_int_equal(put_text(&file, "new", 0), 3);
	assert_int_equal(put(&other, big, sizeof(big), 0), sizeof(big));
	assert_int_equal(commit(&world), 0);
	assert_string_equal(stored(world.place, "file"), "new");
	staged_set_unlinked(file.staged, false);
	assert_false(staged_is_uncommitted(file.staged));
	fsync_error = syncfs_error = EIO;
	assert_int_equal(staged_sync_unjournaled(file.staged), -EIO);
	fsync_error = syncfs_error = 0;
	scheduler_stop(world.scheduler);
	/* That was an error of the store: it is not forgotten. */
	assert_int_equal(stage_finish(world.stage), -EIO);
	subject_end(&file);
	subject_end(&other);
	world_free(&world);
}

/* ---- what fails --------------------------------------------------------- */

static void fail_and_try_again(struct world *world, struct subject *file,
	const char *name, _Atomic int *error)
{
	subject_begin(file, world, name, "old contents");
	put_text(file, "new", 0);
	note_some_name(world);
	*error = EIO;
	assert_int_equal(commit(world), -EIO);
	assert_int_equal(look_at(world).error, EIO);
	assert_int_equal(look_at(world).dirty, PAGE);
	assert_string_equal(seen(file), "new contents");
	assert_string_equal(stored(world->place, name), "old contents");
	put_text(file, "far", 4);
	assert_string_equal(seen(file), "new fartents");
	*error = 0;
	assert_int_equal(commit(world), 0);
	assert_int_equal(look_at(world).error, 0);
	assert_string_equal(stored(world->place, name), "new fartents");
	subject_end(file);
}

static void a_commit_that_fails_loses_nothing(void **state)
{
	struct world world;
	struct subject files[2];

	world_begin(&world, state, 16 * MIB);
	fail_and_try_again(&world, &files[0], "names", &syncfs_error);
	fail_and_try_again(&world, &files[1], "journal", &fdatasync_error);
	world_end(&world);
}

static void write_into_it(void)
{
	put_text(in_commit, "NEW", 0);
	staged_truncate(in_commit->staged, 8);
}

static void what_is_written_during_a_commit_that_fails_is_newer(void **state)
{
	struct world world;
	struct subject file;

	world_begin(&world, state, 16 * MIB);
	subject_begin(&file, &world, "file", "old contents");
	put_text(&file, "new", 0);
	in_commit = &file;
	during_commit = write_into_it;
	fdatasync_error = EIO;
	assert_int_equal(commit(&world), -EIO);
	fdatasync_error = 0;
	assert_string_equal(seen(&file), "NEW cont");
	assert_int_equal(commit(&world), 0);
	assert_string_equal(stored(world.place, "file"), "NEW cont");
	subject_end(&file);
	world_end(&world);
}

static void what_is_written_during_a_commit_is_in_the_next(void **state)
{
	struct world world;
	struct subject file;

	world_begin(&world, state, 16 * MIB);
	subject_begin(&file, &world, "file", "old contents");
	put_text(&file, "new", 0);
	in_commit = &file;
	during_commit = write_into_it;
	assert_int_equal(commit(&world), 0);
	assert_string_equal(stored(world.place, "file"), "new contents");
	assert_string_equal(seen(&file), "NEW cont");
	assert_int_equal(commit(&world), 0);
	assert_string_equal(stored(world.place, "file"), "NEW cont");
	subject_end(&file);
	world_end(&world);
}

static void discard_it(void)
{
	put_text(in_commit, "never", 0);
	staged_discard(in_commit->staged);
}

static void a_discard_during_a_commit_leaves_what_is_committed(void **state)
{
	struct world world;
	struct subject file;

	world_begin(&world, state, 16 * MIB);
	subject_begin(&file, &world, "file", "old");
	put_text(&file, "new and longer", 0);
	in_commit = &file;
	during_commit = discard_it;
	assert_int_equal(commit(&world), 0);
	assert_string_equal(seen(&file), "new and longer");
	assert_string_equal(stored(world.place, "file"), "new and longer");
	assert_false(staged_is_uncommitted(file.staged));
	assert_int_equal(look_at(&world).resident, 0);
	subject_end(&file);
	world_end(&world);
}

/* The journal has it: it is committed, and carried out as soon as it can be. */
static void what_can_not_be_carried_out_is_tried_again(void **state)
{
	struct world world;
	struct subject file, other;

	world_begin(&world, state, 16 * MIB);
	subject_begin(&file, &world, "file", "old");
	subject_begin(&other, &world, "other", "old");
	put_text(&file, "new", 0);
	put_text(&other, "new", 0);
	apply_error = EIO;
	assert_int_equal(commit(&world), 0);
	assert_int_equal(journaled(&world), 1);
	put_text(&file, "newer", 0);
	assert_int_equal(commit(&world), -EIO);
	assert_int_equal(stage_checkpoint(world.stage), -EIO);
	assert_int_equal(journaled(&world), 1);
	assert_string_equal(seen(&file), "newer");
	assert_string_equal(seen(&other), "new");
	apply_error = 0;
	assert_int_equal(commit(&world), 0);
	assert_string_equal(stored(world.place, "file"), "newer");
	assert_string_equal(stored(world.place, "other"), "new");
	subject_end(&file);
	subject_end(&other);
	world_end(&world);
}

/* To sync again would seem to work: the pages are clean now. */
static void a_store_that_can_not_be_synced_keeps_its_journal(void **state)
{
	struct world world;
	struct subject file;

	world_begin(&world, state, 16 * MIB);
	subject_begin(&file, &world, "file", "old");
	put_text(&file, "new", 0);
	assert_int_equal(commit(&world), 0);
	fsync_error = EIO;
	assert_int_equal(stage_checkpoint(world.stage), -EIO);
	fsync_error = 0;
	assert_int_equal(stage_checkpoint(world.stage), -EIO);
	put_text(&file, "newer", 0);
	assert_int_equal(commit(&world), -EIO);
	assert_string_equal(seen(&file), "newer");
	assert_int_equal(world_finish(&world), -EIO);
	subject_end(&file);
	world_free(&world);
	world.place = *state;
	assert_int_equal(journaled(&world), 1);
}

/* A header that can't be written now can be later: nothing is lost. */
static void a_journal_that_fails_at_a_checkpoint_is_made_whole(void **state)
{
	struct world world;
	struct subject file;

	world_begin(&world, state, 16 * MIB);
	subject_begin(&file, &world, "file", "old");
	put_text(&file, "new", 0);
	assert_int_equal(commit(&world), 0);
	fdatasync_error = EIO;
	assert_int_equal(stage_checkpoint(world.stage), -EIO);
	fdatasync_error = 0;
	assert_int_equal(stage_checkpoint(world.stage), 0);
	assert_int_equal(journaled(&world), 0);
	subject_end(&file);
	world_end(&world);
}

static void the_end_tells_what_could_not_be_committed(void **state)
{
	struct world world;
	struct subject file;

	world_begin(&world, state, 16 * MIB);
	subject_begin(&file, &world, "file", "old");
	put_text(&file, "new", 0);
	fdatasync_error = EIO;
	assert_int_equal(world_finish(&world), -EIO);
	fdatasync_error = 0;
	subject_end(&file);
	world_free(&world);
	assert_string_equal(stored(*state, "file"), "old");
}

/* ---- the journal's size ------------------------------------------------- */

static void a_journal_without_room_is_emptied_or_grows(void **state)
{
	static char data[3 * MIB];
	struct world world;
	struct subject file;

	world_begin(&world, state, 16 * MIB);
	subject_begin(&file, &world, "file", "");
	for (unsigned i = 1; i <= 20; i++) {
		memset(data, (int)i, sizeof(data));
		assert_int_equal(put(&file, data, 50 * PAGE, 0), 50 * PAGE);
		assert_int_equal(commit(&world), 0);
	}
	assert_int_equal(look_at(&world).journal_size, JOURNAL_SIZE_MIN);
	assert_true(world.counters.checkpoints > 0);
	assert_int_equal(put(&file, data, sizeof(data), 0), sizeof(data));
	assert_int_equal(commit(&world), 0);
	assert_true(look_at(&world).journal_size > sizeof(data));
	subject_end(&file);
	world_end(&world);
}

static _Atomic int fallocate_error;

int __real_fallocate64(int fd, int mode, off_t offset, off_t length);
int __wrap_fallocate64(int fd, int mode, off_t offset, off_t length);

int __wrap_fallocate64(int fd, int mode, off_t offset, off_t length)
{
	if (fallocate_error && mode == 0) {
		errno = fallocate_error;
		return -1;
	}
	return __real_fallocate64(fd, mode, offset, length);
}

/* The store has room for the data, but not for it and a journal. */
static void without_a_journal_the_last_commit_is_made_all_the_same(void **state)
{
	static char data[3 * MIB], back[3 * MIB];
	struct world world;
	struct subject file;

	world_begin(&world, state, 16 * MIB);
	subject_begin(&file, &world, "file", "");
	assert_int_equal(put_text(&file, "in the journal already", 0), 22);
	assert_int_equal(commit(&world), 0);
	memset(data, 'x', sizeof(data));
	assert_int_equal(put(&file, data, sizeof(data), 0), sizeof(data));
	fallocate_error = ENOSPC;
	assert_int_equal(commit(&world), -ENOSPC);
	assert_int_equal(world_finish(&world), 0);
	fallocate_error = 0;
	assert_int_equal(pread(file.fd, back, sizeof(back), 0), sizeof(back));
	assert_memory_equal(data, back, sizeof(data));
	subject_end(&file);
	world_free(&world);
	assert_int_equal(faccessat(((struct place *)*state)->fd,
				 JOURNAL_DIRECTORY, F_OK, 0),
		-1);
}

/* ---- the instant -------------------------------------------------------- */

#define WRITERS  4
#define INSTANTS 150

struct pair {
	struct subject first, second;
	uint64_t first_journaled, second_journaled;
};

struct instants {
	struct world *world;
	struct pair pairs[WRITERS];
	uint64_t sequence; /* of the last transaction that was looked at */
	_Atomic bool end;
};

/* A number into one file and then into the other, each time one more. */
static int write_pairs(void *argument, unsigned number)
{
	struct instants *this = argument;
	struct pair *pair = &this->pairs[number];

	for (uint64_t i = 1; !this->end; i++) {
		off_t offset = (off_t)(i % 3 * PAGE);

		expect(put(&pair->first, &i, sizeof(i), 0) == sizeof(i));
		expect(put(&pair->first, &i, sizeof(i), offset) == sizeof(i));
		expect(put(&pair->second, &i, sizeof(i), 0) == sizeof(i));
	}
	return 0;
}

/* The first page's number, if the change has that page. */
static void take_number(const struct journal_change *change, uint64_t *number)
{
	if (change->page_count > 0 && change->pages[0].page == 0)
		memcpy(number, change->pages[0].data, sizeof(*number));
}

static void take_change(
	struct instants *this, const struct journal_change *change)
{
	for (unsigned i = 0; i < WRITERS; i++) {
		struct pair *pair = &this->pairs[i];
		struct journal_id id;

		assert_int_equal(journal_identify(pair->first.fd, &id), 0);
		if (journal_same_id(&id, &change->id))
			take_number(change, &pair->first_journaled);
		assert_int_equal(journal_identify(pair->second.fd, &id), 0);
		if (journal_same_id(&id, &change->id))
			take_number(change, &pair->second_journaled);
	}
}

static int compare_pair(const struct pair *pair)
{
	uint64_t first = pair->first_journaled;
	uint64_t second = pair->second_journaled;

	expect(first == second || first == second + 1);
	return 0;
}

/* The transaction of the last commit, unless a checkpoint was faster. */
static int check_journal(struct instants *this)
{
	struct journal_transaction transaction;
	struct journal_reader *reader;
	char error[256];
	int failures = 0;

	expect(journal_reader_open(this->world->place->fd, &reader, error,
		       sizeof(error)) == 0);
	while (journal_reader_next(reader, &transaction) == 1) {
		if (transaction.sequence <= this->sequence)
			continue;
		this->sequence = transaction.sequence;
		for (size_t i = 0; i < transaction.change_count; i++)
			take_change(this, &transaction.changes[i]);
		for (unsigned i = 0; i < WRITERS; i++)
			failures += compare_pair(&this->pairs[i]);
	}
	journal_reader_close(reader);
	return failures;
}

/* It has been carried out: nobody else commits. */
static int check_store(struct pair *pair)
{
	uint64_t first = 0, second = 0;

	expect(pread(pair->first.fd, &first, sizeof(first), 0) >= 0);
	expect(pread(pair->second.fd, &second, sizeof(second), 0) >= 0);
	pair->first_journaled = first;
	pair->second_journaled = second;
	return compare_pair(pair);
}

static int write_or_commit(void *argument, unsigned number)
{
	struct instants *this = argument;
	int failures = 0;

	if (number < WRITERS)
		return write_pairs(argument, number);
	for (unsigned i = 0; i < INSTANTS; i++) {
		failures += commit(this->world) != 0;
		failures += check_journal(this);
		for (unsigned j = 0; j < WRITERS; j++)
			failures += check_store(&this->pairs[j]);
		if (i % 16 == 15)
			failures += stage_checkpoint(this->world->stage) != 0;
	}
	this->end = true;
	return failures;
}

static void a_commit_is_one_instant_of_all_files(void **state)
{
	static struct instants this;
	static const char *const names[WRITERS][2] = {
		{"a1", "a2"},
		{"b1", "b2"},
		{"c1", "c2"},
		{"d1", "d2"},
	};
	struct world world;

	/* More than is ever written: nobody but the test commits. */
	world_begin(&world, state, 64 * MIB);
	this = (struct instants){.world = &world};
	for (unsigned i = 0; i < WRITERS; i++) {
		subject_begin(&this.pairs[i].first, &world, names[i][0], "");
		subject_begin(&this.pairs[i].second, &world, names[i][1], "");
	}
	assert_int_equal(in_threads(WRITERS + 1, write_or_commit, &this), 0);
	for (unsigned i = 0; i < WRITERS; i++) {
		subject_end(&this.pairs[i].first);
		subject_end(&this.pairs[i].second);
	}
	world_end(&world);
}

static int commit_many(void *argument, unsigned number)
{
	struct subject *files = argument;
	struct subject *file = &files[number];

	for (uint64_t i = 0; i < 200; i++) {
		uint64_t stored_number = 0;

		expect(put(file, &i, sizeof(i), 0) == sizeof(i));
		expect(commit(file->world) == 0);
		expect(pread(file->fd, &stored_number, 8, 0) == 8);
		expect(stored_number == i);
		if (i % 50 == 49)
			expect(stage_checkpoint(file->world->stage) == 0);
	}
	return 0;
}

static void who_comes_together_shares_commits(void **state)
{
	static const char *const names[] = {"a", "b", "c", "d"};
	struct subject files[4];
	struct world world;

	world_begin(&world, state, 16 * MIB);
	for (unsigned i = 0; i < 4; i++)
		subject_begin(&files[i], &world, names[i], "");
	assert_int_equal(in_threads(4, commit_many, files), 0);
	assert_true(world.counters.commits <= 800);
	for (unsigned i = 0; i < 4; i++)
		subject_end(&files[i]);
	world_end(&world);
}

struct waiter {
	struct group_waiter waiter;
	_Atomic int result;
};

static void answered(struct group_waiter *waiter, int result)
{
	((struct waiter *)waiter)->result = result;
}

static void a_group_is_answered_by_a_commit(void **state)
{
	struct waiter waiter = {.waiter.done = answered, .result = 1};
	struct world world;
	struct subject file;

	world_begin(&world, state, 16 * MIB);
	subject_begin(&file, &world, "file", "old");
	put_text(&file, "new", 0);
	group_join(stage_group(world.stage), &waiter.waiter, 0);
	for (int i = 0; i < 20000 && waiter.result == 1; i++)
		usleep(1000);
	assert_int_equal(waiter.result, 0);
	assert_string_equal(stored(world.place, "file"), "new");
	assert_int_equal(world.counters.commit_group, 1);
	subject_end(&file);
	world_end(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		in_a_place(what_is_written_is_in_the_store_after_a_commit),
		in_a_place(a_commit_takes_all_files),
		in_a_place(a_time_that_was_set_is_committed),
		in_a_place(a_size_that_is_out_of_date_is_not_told),
		in_a_place(a_deferred_fsync_is_committed_before_names_change),
		in_a_place(order_outlives_a_commit_that_fails),
		in_a_place(a_change_counts_until_its_commit_is_durable),
		in_a_place(a_commit_that_fails_makes_no_change_younger),
		in_a_place(a_change_of_a_file_without_a_name_does_not_count),
		in_a_place(discarded_and_unlinked_data_orders_nothing),
		in_a_place(
			a_file_unlinked_while_it_is_committed_orders_nothing),
		in_a_place(a_file_that_is_rewritten_is_old_or_new),
		in_a_place(what_was_empty_is_not_left_out),
		in_a_place(a_rewriting_never_hides_what_was_ordered_before),
		in_a_place(
			what_was_ordered_is_in_the_commit_after_one_that_fails),
		in_a_place(an_unlinked_file_is_in_no_commit_until_it_is_linked),
		in_a_place(
			what_had_no_name_in_its_commit_is_synced_when_linked),
		in_a_place(a_commit_that_fails_loses_nothing),
		in_a_place(what_is_written_during_a_commit_that_fails_is_newer),
		in_a_place(what_is_written_during_a_commit_is_in_the_next),
		in_a_place(a_discard_during_a_commit_leaves_what_is_committed),
		in_a_place(what_can_not_be_carried_out_is_tried_again),
		in_a_place(a_store_that_can_not_be_synced_keeps_its_journal),
		in_a_place(a_journal_that_fails_at_a_checkpoint_is_made_whole),
		in_a_place(the_end_tells_what_could_not_be_committed),
		in_a_place(a_journal_without_room_is_emptied_or_grows),
		in_a_place(
			without_a_journal_the_last_commit_is_made_all_the_same),
		in_a_place(a_commit_is_one_instant_of_all_files),
		in_a_place(who_comes_together_shares_commits),
		in_a_place(a_group_is_answered_by_a_commit),
	};

	return cmocka_run_group_tests_name("stage_commit", tests, NULL, NULL);
}
