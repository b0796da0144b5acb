// SPDX-License-Identifier: Apache-2.0
/*
 * Recovery of real stores: after it the files are what the journal says, done
 * once or twice, whatever was renamed or deleted meanwhile; and when it can't
 * be done, nothing is lost.
 */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "journal_sample.h"
#include "store/journal_format.h"
#include "store/recover.h"
#include "util/cleanup.h"

#define SIZE JOURNAL_SIZE_MIN
#define JOURNAL JOURNAL_DIRECTORY "/" JOURNAL_NAME

/* ---- making what is to be recovered ------------------------------------- */

static struct journal_id id_of(int directory, const char *name)
{
	owned_fd fd = openat(directory, name,
		O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct journal_id id;

	assert_true(fd >= 0);
	assert_int_equal(journal_identify(fd, &id), 0);
	return id;
}

/* A change of one page of `letter`, which is then all that the file has. */
static void add_change(struct sample *sample, int root, const char *path,
		       char letter)
{
	struct journal_id id = id_of(root, path);
	struct journal_change *change =
		sample_change(sample, &id, path, 3);

	sample_hole(sample, sample->transaction.change_count - 1, 0,
		JOURNAL_TO_END);
	sample_pages(change, 0, 1, (unsigned char)letter);
}

static void add_removal(struct sample *sample, int root, const char *path,
			const char *name)
{
	owned_fd directory = openat(root, *path ? path : ".",
		O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	size_t at = sample->transaction.removal_count++;

	assert_true(directory >= 0);
	sample->removals[at] = (struct journal_removal){
		.directory = id_of(root, *path ? path : "."),
		.path = path,
		.name = name,
		.file = id_of(directory, name),
	};
}

/* As if the daemon was killed after it had been appended. */
static void commit(int root, struct sample *sample)
{
	struct journal *journal;
	char error[512];

	if (journal_open(root, SIZE, &journal, error, sizeof(error)) < 0) {
		print_message("# %s\n", error);
		fail();
	}
	assert_int_equal(journal_append(journal, &sample->transaction), 0);
	journal_close(journal, false);
	sample_fini(sample);
}

/* "aaa" is in a, "bbb" in dir/b, by two transactions. */
static void commit_two(int root)
{
	struct journal *journal = open_journal(root, SIZE);
	struct sample one, two;

	sample_init(&one, 1);
	add_change(&one, root, "a", '1');
	add_change(&one, root, "dir/b", 'b');
	sample_init(&two, 2);
	add_change(&two, root, "a", 'a');
	assert_int_equal(journal_append(journal, &one.transaction), 0);
	assert_int_equal(journal_append(journal, &two.transaction), 0);
	journal_close(journal, true);
	sample_fini(&one);
	sample_fini(&two);
}

static void make_files(struct place *place)
{
	make_file(place, "a", "old content of a");
	assert_int_equal(mkdirat(place->fd, "dir", 0755), 0);
	make_file(place, "dir/b", "old content of b");
}

static struct recovery recovered(int root, bool dry_run)
{
	struct recovery recovery;
	char error[512] = "";
	int r = recover_store(root, dry_run, &recovery, error, sizeof(error));

	if (r < 0)
		print_message("# %d %s\n", r, error);
	assert_int_equal(r, 0);
	return recovery;
}

static uint64_t waiting(int root)
{
	struct journal_reader *reader = read_journal(root);
	uint64_t count = journal_reader_summary(reader)->transactions;

	journal_reader_close(reader);
	return count;
}

static bool is_there(struct place *place, const char *name)
{
	return faccessat(place->fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static ssize_t read_bytes(int root, const char *name, void *bytes, size_t size)
{
	owned_fd fd = openat(root, name, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	return pread(fd, bytes, size, 0);
}

/* ---- what it does ------------------------------------------------------- */

static void without_a_journal_there_is_nothing_to_do(void **state)
{
	struct place *place = *state;
	struct recovery recovery = recovered(place->fd, false);

	assert_false(recovery.found);
	assert_int_equal(recovery.transactions, 0);
	journal_close(open_journal(place->fd, SIZE), false);
	recovery = recovered(place->fd, false);
	assert_true(recovery.found);
	assert_false(recovery.torn);
	assert_int_equal(recovery.transactions, 0);
	/* One that was never finished goes away. */
	assert_int_equal(unlinkat(place->fd, JOURNAL, 0), 0);
	make_file(place, JOURNAL_DIRECTORY "/journal.new", "half");
	recovery = recovered(place->fd, false);
	assert_false(recovery.found);
	assert_false(is_there(place, JOURNAL_DIRECTORY));
}

static void what_was_committed_is_in_the_files(void **state)
{
	struct place *place = *state;
	struct recovery recovery;
	struct stat st;

	make_files(place);
	commit_two(place->fd);
	recovery = recovered(place->fd, false);
	assert_true(recovery.found);
	assert_int_equal(recovery.transactions, 2);
	assert_int_equal(recovery.first_sequence, 1);
	assert_int_equal(recovery.last_sequence, 2);
	assert_int_equal(recovery.changes, 3);
	assert_int_equal(recovery.bytes, 9);
	assert_int_equal(recovery.missing, 0);
	assert_string_equal(stored(place, "a"), "aaa");
	assert_string_equal(stored(place, "dir/b"), "bbb");
	assert_int_equal(fstatat(place->fd, "dir/b", &st, 0), 0);
	assert_int_equal(st.st_mtim.tv_sec, 1000000001);
	assert_int_equal(st.st_mtim.tv_nsec, 5);
	assert_int_equal(waiting(place->fd), 0);
	recovery = recovered(place->fd, false);
	assert_int_equal(recovery.transactions, 0);
	journal_close(open_journal(place->fd, SIZE), true);
	assert_false(is_there(place, JOURNAL_DIRECTORY));
}

static void a_dry_run_changes_nothing(void **state)
{
	struct place *place = *state;
	static char before[SIZE], after[SIZE];
	struct recovery recovery;

	make_files(place);
	commit_two(place->fd);
	assert_int_equal(read_bytes(place->fd, JOURNAL, before, SIZE), SIZE);
	recovery = recovered(place->fd, true);
	assert_int_equal(recovery.transactions, 2);
	assert_int_equal(recovery.changes, 3);
	assert_int_equal(recovery.bytes, 9);
	assert_string_equal(stored(place, "a"), "old content of a");
	assert_int_equal(read_bytes(place->fd, JOURNAL, after, SIZE), SIZE);
	assert_memory_equal(before, after, SIZE);
}

/* A crash before the last step leaves the journal as it was. */
static void doing_it_again_is_right(void **state)
{
	struct place *place = *state;
	static char bytes[SIZE];
	owned_fd fd = -1;

	make_files(place);
	commit_two(place->fd);
	fd = openat(place->fd, JOURNAL, O_RDWR | O_CLOEXEC);
	assert_int_equal(pread(fd, bytes, SIZE, 0), SIZE);
	recovered(place->fd, false);
	assert_int_equal(pwrite(fd, bytes, SIZE, 0), SIZE);
	/* Part of it had not reached the disk. */
	cut_file(place, "a", 1);
	assert_int_equal(recovered(place->fd, false).transactions, 2);
	assert_string_equal(stored(place, "a"), "aaa");
	assert_string_equal(stored(place, "dir/b"), "bbb");
}

static void what_comes_after_recovery_is_not_undone(void **state)
{
	struct place *place = *state;
	struct sample sample;

	make_files(place);
	commit_two(place->fd);
	recovered(place->fd, false);
	make_file(place, "a", "written afterwards");
	sample_init(&sample, 3);
	add_change(&sample, place->fd, "dir/b", 'c');
	commit(place->fd, &sample);
	assert_int_equal(recovered(place->fd, false).first_sequence, 3);
	assert_string_equal(stored(place, "a"), "written afterwards");
	assert_string_equal(stored(place, "dir/b"), "ccc");
}

static void an_incomplete_commit_is_dropped(void **state)
{
	struct place *place = *state;
	struct recovery recovery;
	owned_fd fd = -1;

	make_files(place);
	commit_two(place->fd);
	/* The second one's only page: block 2, 3, 4 are the first. */
	fd = openat(place->fd, JOURNAL, O_RDWR | O_CLOEXEC);
	assert_int_equal(pwrite(fd, "x", 1, 6 * JOURNAL_PAGE + 9), 1);
	recovery = recovered(place->fd, false);
	assert_true(recovery.torn);
	assert_int_equal(recovery.transactions, 1);
	assert_string_equal(stored(place, "a"), "111");
}

static void damage_leaves_all_as_it_is(void **state)
{
	struct place *place = *state;
	struct recovery recovery;
	owned_fd fd = -1;
	char error[512] = "";

	make_files(place);
	commit_two(place->fd);
	fd = openat(place->fd, JOURNAL, O_RDWR | O_CLOEXEC);
	assert_int_equal(pwrite(fd, "x", 1, 3 * JOURNAL_PAGE + 9), 1);
	assert_int_equal(recover_store(place->fd, false, &recovery, error,
		sizeof(error)), -EBADMSG);
	assert_non_null(strstr(error, place->directory));
	assert_non_null(strstr(error, "is damaged: transaction 1 at block 2"));
	assert_string_equal(stored(place, "a"), "old content of a");
	assert_string_equal(stored(place, "dir/b"), "old content of b");
}

/* ---- names that have changed -------------------------------------------- */

static int change_names(struct place *place)
{
	struct recovery recovery;

	make_files(place);
	make_file(place, "c", "old content of c");
	commit_two(place->fd);
	expect(renameat(place->fd, "a", place->fd, "dir/elsewhere") == 0);
	/* Another file at its path. */
	expect(renameat(place->fd, "c", place->fd, "a") == 0);
	expect(unlinkat(place->fd, "dir/b", 0) == 0);
	make_file(place, "dir/b", "a new b");
	recovery = recovered(place->fd, true);
	expect(recovery.changes == 3 && recovery.missing == 1);
	recovery = recovered(place->fd, false);
	expect(recovery.transactions == 2);
	expect(recovery.changes == 3 && recovery.missing == 1);
	expect(recovery.bytes == 6);
	expect(strcmp(stored(place, "dir/elsewhere"), "aaa") == 0);
	expect(strcmp(stored(place, "a"), "old content of c") == 0);
	expect(strcmp(stored(place, "dir/b"), "a new b") == 0);
	return 0;
}

static void files_are_found_under_other_names_and_deleted_ones_are_not(
	void **state)
{
	assert_int_equal(change_names(*state), 0);
}

static int become_plain_user(struct place *place)
{
	if (geteuid() != 0)
		return 0;
	expect(fchown(place->fd, 65534, 65534) == 0);
	expect(setresgid(65534, 65534, 65534) == 0);
	expect(setresuid(65534, 65534, 65534) == 0);
	return 0;
}

static int as_plain_user(void *argument)
{
	struct place *place = argument;

	expect(become_plain_user(place) == 0);
	return change_names(place);
}

static void a_plain_user_s_recovery_finds_them_as_well(void **state)
{
	assert_int_equal(in_child(as_plain_user, *state), 0);
}

/* Not deleted: a directory above it lets nobody in. */
static int hidden_file(void *argument)
{
	struct place *place = argument;
	struct recovery recovery;
	char error[512] = "";

	expect(become_plain_user(place) == 0);
	make_files(place);
	commit_two(place->fd);
	expect(fchmodat(place->fd, "dir", 0, 0) == 0);
	expect(recover_store(place->fd, false, &recovery, error,
		       sizeof(error)) == -EACCES);
	expect(strstr(error, "stays as it is: dir/b: Permission") != NULL);
	expect(waiting(place->fd) == 2);
	/* It has moved, and where to can't be seen. */
	expect(renameat(place->fd, "dir", place->fd, "moved") == 0);
	expect(recover_store(place->fd, false, &recovery, error,
		       sizeof(error)) == -EACCES);
	/* Nor can it with names alone. */
	expect(fchmodat(place->fd, "moved", 0400, 0) == 0);
	expect(recover_store(place->fd, false, &recovery, error,
		       sizeof(error)) == -EACCES);
	expect(fchmodat(place->fd, "moved", 0700, 0) == 0);
	expect(recovered(place->fd, false).missing == 0);
	expect(strcmp(stored(place, "moved/b"), "bbb") == 0);
	return 0;
}

static void what_can_t_be_looked_for_is_not_taken_for_deleted(void **state)
{
	assert_int_equal(in_child(hidden_file, *state), 0);
}

static int read_only_file(void *argument)
{
	struct place *place = argument;
	struct stat st;

	expect(become_plain_user(place) == 0);
	make_files(place);
	commit_two(place->fd);
	expect(fchmodat(place->fd, "a", 0440, 0) == 0);
	recovered(place->fd, false);
	expect(strcmp(stored(place, "a"), "aaa") == 0);
	expect(fstatat(place->fd, "a", &st, 0) == 0);
	expect((st.st_mode & 07777) == 0440);
	return 0;
}

static void a_file_that_its_owner_may_not_write_is_written(void **state)
{
	assert_int_equal(in_child(read_only_file, *state), 0);
}

static void something_else_than_a_file_is_never_written(void **state)
{
	struct place *place = *state;
	struct recovery recovery;
	struct sample sample;
	char error[512] = "";

	assert_int_equal(mkfifoat(place->fd, "pipe", 0600), 0);
	sample_init(&sample, 1);
	add_change(&sample, place->fd, "pipe", 'a');
	commit(place->fd, &sample);
	assert_int_equal(recover_store(place->fd, false, &recovery, error,
		sizeof(error)), -EINVAL);
	assert_non_null(strstr(error, "pipe: Invalid argument"));
}

/* ---- removals ----------------------------------------------------------- */

static void names_are_removed_if_they_are_what_was_meant(void **state)
{
	struct place *place = *state;
	struct recovery recovery;
	struct sample sample;

	make_files(place);
	make_file(place, "replaced", "1");
	make_file(place, "gone", "1");
	sample_init(&sample, 1);
	add_removal(&sample, place->fd, "dir", "b");
	add_removal(&sample, place->fd, "", "replaced");
	add_removal(&sample, place->fd, "", "gone");
	add_change(&sample, place->fd, "dir/b", 'b');
	commit(place->fd, &sample);
	assert_int_equal(linkat(place->fd, "dir/b", place->fd, "link", 0), 0);
	make_file(place, "new", "2");
	assert_int_equal(renameat(place->fd, "new", place->fd, "replaced"), 0);
	assert_int_equal(unlinkat(place->fd, "gone", 0), 0);
	assert_int_equal(renameat(place->fd, "dir", place->fd, "moved"), 0);
	recovery = recovered(place->fd, true);
	assert_int_equal(recovery.removals, 1);
	assert_true(is_there(place, "moved/b"));
	recovery = recovered(place->fd, false);
	assert_int_equal(recovery.removals, 1);
	assert_int_equal(recovery.missing, 0);
	assert_false(is_there(place, "moved/b"));
	assert_string_equal(stored(place, "link"), "bbb");
	assert_string_equal(stored(place, "replaced"), "2");
}

/* ---- errors ------------------------------------------------------------- */

static int fail_in_the_middle(void *argument)
{
	struct place *place = argument;
	struct rlimit limit = { 4 * JOURNAL_PAGE, RLIM_INFINITY };
	static char before[SIZE], after[SIZE];
	struct recovery recovery;
	struct sample sample;
	struct journal_id id;
	char error[512] = "";

	make_files(place);
	sample_init(&sample, 1);
	add_change(&sample, place->fd, "a", 'a');
	id = id_of(place->fd, "dir/b");
	sample_pages(sample_change(&sample, &id, "dir/b", 5 * JOURNAL_PAGE), 0,
		5, 'b');
	commit(place->fd, &sample);
	expect(read_bytes(place->fd, JOURNAL, before, SIZE) == (ssize_t)SIZE);
	signal(SIGXFSZ, SIG_IGN);
	setrlimit(RLIMIT_FSIZE, &limit);
	expect(recover_store(place->fd, false, &recovery, error,
		       sizeof(error)) == -EFBIG);
	expect(strstr(error, "dir/b: File too large") != NULL);
	expect(read_bytes(place->fd, JOURNAL, after, SIZE) == (ssize_t)SIZE);
	expect(memcmp(before, after, SIZE) == 0);
	limit.rlim_cur = RLIM_INFINITY;
	setrlimit(RLIMIT_FSIZE, &limit);
	expect(recovered(place->fd, false).transactions == 1);
	expect(strcmp(stored(place, "a"), "aaa") == 0);
	return 0;
}

static void after_an_error_the_journal_is_as_it_was(void **state)
{
	assert_int_equal(in_child(fail_in_the_middle, *state), 0);
}

static int on_a_read_only_store(void *argument)
{
	struct place *place = argument;
	struct recovery recovery;
	struct sample sample;
	char error[512] = "";
	char path[sizeof(place->directory) + 8];
	owned_fd file = -1;
	owned_fd root = -1;

	expect(unshare(CLONE_NEWNS) == 0);
	expect(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
	expect(mount("none", place->directory, "tmpfs", 0, "size=1m") == 0);
	root = open(place->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	snprintf(path, sizeof(path), "%s/a", place->directory);
	file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	sample_init(&sample, 1);
	add_change(&sample, root, "a", 'a');
	commit(root, &sample);
	cleanup_close(&file);
	file = -1;
	expect(mount("none", place->directory, NULL, MS_REMOUNT | MS_RDONLY,
		       "size=1m") == 0);
	expect(recover_store(root, true, &recovery, error, sizeof(error)) ==
		0);
	expect(recovery.changes == 1);
	expect(recover_store(root, false, &recovery, error, sizeof(error)) ==
		-EROFS);
	expect(strstr(error, "holds 1 commit that the store lacks, and "
			     "can't be written: Read-only") != NULL);
	expect(mount("none", place->directory, NULL, MS_REMOUNT, "size=1m") ==
		0);
	expect(recovered(root, false).transactions == 1);
	expect(mount("none", place->directory, NULL, MS_REMOUNT | MS_RDONLY,
		       "size=1m") == 0);
	expect(recovered(root, false).found);
	return 0;
}

static void a_read_only_store_is_refused_if_it_lacks_something(void **state)
{
	if (geteuid() != 0)
		skip_because("needs root: mounts");
	assert_int_equal(in_child(on_a_read_only_store, *state), 0);
}

/* ---- discarding, locking ------------------------------------------------ */

static void discarding_tells_what_was_lost(void **state)
{
	struct place *place = *state;
	struct recovery recovery;
	char error[512] = "";

	make_files(place);
	commit_two(place->fd);
	assert_int_equal(recover_discard(place->fd, &recovery, error,
		sizeof(error)), 0);
	assert_true(recovery.found);
	assert_int_equal(recovery.transactions, 2);
	assert_int_equal(recovery.changes, 3);
	assert_int_equal(recovery.bytes, 9);
	assert_false(is_there(place, JOURNAL_DIRECTORY));
	assert_string_equal(stored(place, "a"), "old content of a");
	assert_int_equal(recover_discard(place->fd, &recovery, error,
		sizeof(error)), 0);
	assert_false(recovery.found);
}

static void anything_can_be_discarded(void **state)
{
	struct place *place = *state;
	struct recovery recovery;
	char error[512] = "";

	assert_int_equal(mkdirat(place->fd, JOURNAL_DIRECTORY, 0700), 0);
	make_file(place, JOURNAL, "this is no journal");
	make_file(place, JOURNAL_DIRECTORY "/mine", "and this is mine");
	assert_int_equal(recover_store(place->fd, false, &recovery, error,
		sizeof(error)), -EBADMSG);
	assert_int_equal(recover_discard(place->fd, &recovery, error,
		sizeof(error)), 0);
	assert_true(recovery.found);
	assert_int_equal(recovery.transactions, 0);
	assert_false(is_there(place, JOURNAL));
	assert_true(is_there(place, JOURNAL_DIRECTORY "/mine"));
}

static void only_one_has_a_store_at_a_time(void **state)
{
	struct place *place = *state;
	owned_fd one = openat(place->fd, ".", O_RDONLY | O_CLOEXEC);
	owned_fd two = openat(place->fd, ".", O_RDONLY | O_CLOEXEC);

	assert_int_equal(recover_lock(one), 0);
	assert_int_equal(recover_lock(one), 0);
	assert_int_equal(recover_lock(two), -EBUSY);
	close(take_fd(&one));
	assert_int_equal(recover_lock(two), 0);
}

#define on_a_place(test) \
	cmocka_unit_test_setup_teardown(test, place_setup, place_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		on_a_place(without_a_journal_there_is_nothing_to_do),
		on_a_place(what_was_committed_is_in_the_files),
		on_a_place(a_dry_run_changes_nothing),
		on_a_place(doing_it_again_is_right),
		on_a_place(what_comes_after_recovery_is_not_undone),
		on_a_place(an_incomplete_commit_is_dropped),
		on_a_place(damage_leaves_all_as_it_is),
		on_a_place(
		    files_are_found_under_other_names_and_deleted_ones_are_not),
		on_a_place(a_plain_user_s_recovery_finds_them_as_well),
		on_a_place(what_can_t_be_looked_for_is_not_taken_for_deleted),
		on_a_place(a_file_that_its_owner_may_not_write_is_written),
		on_a_place(something_else_than_a_file_is_never_written),
		on_a_place(names_are_removed_if_they_are_what_was_meant),
		on_a_place(after_an_error_the_journal_is_as_it_was),
		on_a_place(a_read_only_store_is_refused_if_it_lacks_something),
		on_a_place(discarding_tells_what_was_lost),
		on_a_place(anything_can_be_discarded),
		on_a_place(only_one_has_a_store_at_a_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
