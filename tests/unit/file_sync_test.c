// SPDX-License-Identifier: Apache-2.0
/*
 * When an open file is synced: on a real directory, with the scheduler's
 * threads running. Nothing here fails because the machine is slow: what is to
 * happen is waited for, and what isn't is counted once something later has.
 */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/file_internal.h"
#include "os/clock.h"
#include "os/guard.h"
#include "os/pagecache.h"
#include "util/cleanup.h"

#define PATIENCE_MS 20000

struct subject {
	struct open_file open;
	struct place *place;
};

/* Opens "file" under this sync policy, with the threads running. */
static void begin(struct subject *this, void **state, const char *sync,
		  int flags)
{
	char error[256];

	this->place = *state;
	this->place->fs.settings.policy = policy_builtin;
	assert_int_equal(policy_parse(&this->place->fs.settings.policy,
				      policy_sync, sync, strlen(sync), error,
				      sizeof(error)), 0);
	assert_int_equal(filesystem_start(&this->place->fs), 0);
	open_file_begin(&this->open, this->place, flags, "content");
}

/* Closes it, if it is not, and stops: everything that was due has run. */
static void end(struct subject *this, bool open)
{
	if (open)
		file_close(this->open.fs, this->open.opened.handle);
	filesystem_stop(this->open.fs);
	node_forget(&this->open.fs->nodes, this->open.node, 1);
}

static void pause_ms(long milliseconds)
{
	struct timespec time = { .tv_nsec = milliseconds * 1000000 };

	nanosleep(&time, NULL);
}

/* Until the counter is at least so much. */
static bool becomes(const _Atomic uint64_t *counter, uint64_t least)
{
	for (int waited = 0; waited < PATIENCE_MS; waited++) {
		if (*counter >= least)
			return true;
		pause_ms(1);
	}
	return false;
}

/* Until every reference but the caller's has been given back. */
static bool is_let_go(struct filesystem *fs)
{
	for (int waited = 0; waited < PATIENCE_MS; waited++) {
		if (fs->files_closed == 0)
			return true;
		pause_ms(1);
	}
	return false;
}

static int fsync_of(struct file_handle_state *handle)
{
	return file_fsync(handle, true, NULL, NULL);
}

/* procfs can't sync: its descriptor in the file's place is a failing disk. */
static void break_file(struct file *file)
{
	owned_fd broken = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);

	assert_int_equal(dup3(broken, file->fd, O_CLOEXEC), file->fd);
}

static void what_is_written_is_synced_when_its_time_has_come(void **state)
{
	struct subject this;
	struct counters *counters;

	begin(&this, state, "fsync=defer+every=20ms", O_WRONLY);
	counters = &this.open.fs->counters;
	assert_int_equal(write_text(this.open.file, "new", 0, 0), 3);
	assert_true(becomes(&counters->sync_scheduled, 1));
	assert_false(this.open.file->dirty);
	/* Again, for a later write. */
	assert_int_equal(write_text(this.open.file, "NEW", 0, 0), 3);
	assert_true(becomes(&counters->sync_scheduled, 2));
	end(&this, true);
}

static void a_clean_file_is_not_synced_and_wakes_nobody(void **state)
{
	struct scheduler_state before, after;
	struct subject this;
	struct counters *counters;

	begin(&this, state, "fsync=defer+every=10ms", O_WRONLY);
	counters = &this.open.fs->counters;
	assert_int_equal(write_text(this.open.file, "new", 0, 0), 3);
	assert_true(becomes(&counters->sync_scheduled, 1));
	pause_ms(50);
	scheduler_look(this.open.fs->scheduler, &before);
	pause_ms(200);
	scheduler_look(this.open.fs->scheduler, &after);
	assert_int_equal(after.runs, before.runs);
	assert_int_equal(after.wakes, before.wakes);
	assert_int_equal(counters->sync_scheduled, 1);
	end(&this, true);
}

static void many_writes_are_one_sync(void **state)
{
	struct subject this;
	struct counters *counters;

	begin(&this, state, "fsync=defer+every=10h", O_WRONLY);
	counters = &this.open.fs->counters;
	for (unsigned i = 0; i < 1000; i++)
		assert_int_equal(write_text(this.open.file, "new", 0, 0), 3);
	assert_int_equal(counters->sync_scheduled, 0);
	/* The end does not wait ten hours. */
	end(&this, true);
	assert_int_equal(counters->sync_scheduled, 1);
}

static void an_amount_is_synced_when_it_is_reached(void **state)
{
	static char block[4096];
	struct subject this;
	struct counters *counters;

	begin(&this, state, "fsync=defer+dirty=16K", O_WRONLY);
	counters = &this.open.fs->counters;
	memset(block, 'x', sizeof(block) - 1);
	for (unsigned i = 0; i < 4; i++)
		write_text(this.open.file, block, 0, 0);
	pause_ms(100);
	assert_int_equal(counters->sync_scheduled, 0);
	write_text(this.open.file, block, 0, 0);
	assert_true(becomes(&counters->sync_scheduled, 1));
	end(&this, true);
}

static void fsync_is_deferred_or_honored(void **state)
{
	struct subject this;
	struct counters *counters;

	begin(&this, state, "manual", O_WRONLY);
	counters = &this.open.fs->counters;
	write_text(this.open.file, "new", 0, 0);
	break_file(this.open.file);
	/* It isn't even tried. */
	assert_int_equal(fsync_of(this.open.opened.handle), 0);
	assert_int_equal(counters->fsync_deferred, 1);
	assert_int_equal(counters->fsync_honored, 0);
	end(&this, true);
}

static void an_error_that_nobody_waited_for_is_told_once(void **state)
{
	struct subject this;
	struct counters *counters;

	begin(&this, state, "fsync=defer+every=10ms", O_WRONLY);
	counters = &this.open.fs->counters;
	break_file(this.open.file);
	this.open.file->copies_by_syscall = true;
	file_dirtied(this.open.file, 1);
	assert_true(becomes(&counters->sync_errors, 1));
	/* EINVAL is what procfs says. */
	assert_int_equal(fsync_of(this.open.opened.handle), -EINVAL);
	assert_int_equal(fsync_of(this.open.opened.handle), 0);
	end(&this, true);
}

static void an_error_after_the_last_close_waits_for_the_next_open(void **state)
{
	struct subject this;
	struct filesystem *fs;

	begin(&this, state, "fsync=defer+every=20ms", O_WRONLY);
	fs = this.open.fs;
	write_text(this.open.file, "new", 0, 0);
	break_file(this.open.file);
	file_close(fs, this.open.opened.handle);
	assert_true(becomes(&fs->counters.sync_errors, 1));
	assert_true(is_let_go(fs));
	assert_int_equal(open_file_as(&this.open, O_WRONLY, &caller_root), 0);
	assert_int_equal(fsync_of(this.open.opened.handle), -EINVAL);
	assert_int_equal(fsync_of(this.open.opened.handle), 0);
	end(&this, true);
}

static void a_closed_file_is_synced_and_let_go(void **state)
{
	struct subject this;
	struct filesystem *fs;
	unsigned descriptors;

	begin(&this, state, "relaxed", O_WRONLY);
	fs = this.open.fs;
	descriptors = open_descriptors();
	write_text(this.open.file, "new", 0, 0);
	file_close(fs, this.open.opened.handle);
	assert_true(becomes(&fs->counters.sync_scheduled, 1));
	assert_true(is_let_go(fs));
	assert_int_equal(open_descriptors(), descriptors - 1);
	end(&this, false);
}

/* Opens it again; it was closed. */
static void write_and_close(struct subject *this)
{
	assert_int_equal(open_file_as(&this->open, O_WRONLY, &caller_root), 0);
	write_text(this->open.file, "new", 0, 0);
	file_close(this->open.fs, this->open.opened.handle);
}

static void a_file_that_is_closed_often_waits_once(void **state)
{
	struct subject this;
	struct filesystem *fs;
	unsigned descriptors;

	begin(&this, state, "fsync=defer+every=10h", O_WRONLY);
	fs = this.open.fs;
	descriptors = open_descriptors();
	write_text(this.open.file, "new", 0, 0);
	file_close(fs, this.open.opened.handle);
	for (unsigned i = 0; i < 20; i++)
		write_and_close(&this);
	/* Those that have handed over are let go by another thread. */
	for (int waited = 0; waited < PATIENCE_MS && fs->files_closed > 1;
	     waited++)
		pause_ms(1);
	assert_int_equal(fs->files_closed, 1);
	assert_int_equal(open_descriptors(), descriptors);
	end(&this, false);
	assert_int_equal(fs->files_closed, 0);
	assert_null(fs->waiting);
}

static void what_is_closed_while_a_sync_runs_is_synced(void **state)
{
	struct subject this;
	struct filesystem *fs;
	int64_t dirty;

	begin(&this, state, "fsync=defer+every=10ms", O_WRONLY);
	fs = this.open.fs;
	file_close(fs, this.open.opened.handle);
	while (fs->counters.sync_scheduled < 30)
		write_and_close(&this);
	assert_true(is_let_go(fs));
	owned_fd fd = openat(this.place->fd, "file", O_RDONLY | O_CLOEXEC);
	dirty = pagecache_dirty_bytes(fd);
	if (dirty < 0)
		print_message("# no cachestat(2): dirty bytes not known\n");
	else
		assert_int_equal(dirty, 0);
	end(&this, false);
	assert_null(fs->waiting);
}

static void a_file_that_is_removed_is_not_synced(void **state)
{
	struct subject this;
	struct filesystem *fs;

	begin(&this, state, "relaxed", O_WRONLY);
	fs = this.open.fs;
	write_text(this.open.file, "new", 0, 0);
	break_file(this.open.file);
	assert_int_equal(unlinkat(this.place->fd, "file", 0), 0);
	/* In its place, so that the look at the number of names is real. */
	owned_fd gone = openat(this.place->fd, ".",
			       O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	assert_true(gone >= 0);
	assert_int_equal(dup3(gone, this.open.file->fd, O_CLOEXEC),
			 this.open.file->fd);
	file_close(fs, this.open.opened.handle);
	assert_true(is_let_go(fs));
	assert_int_equal(fs->counters.sync_scheduled, 0);
	assert_int_equal(fs->counters.sync_errors, 0);
	end(&this, false);
}

static void a_close_that_waits_tells_the_error(void **state)
{
	struct subject this;

	begin(&this, state, "fsync=honor+close", O_WRONLY);
	assert_true(this.open.opened.wants_flush);
	write_text(this.open.file, "new", 0, 0);
	break_file(this.open.file);
	assert_int_equal(file_sync_at_close(this.open.opened.handle), -EINVAL);
	/* And is over with it. */
	assert_int_equal(file_sync_at_close(this.open.opened.handle), 0);
	end(&this, true);
}

static void more_closed_files_than_descriptors_are_synced_together(void **state)
{
	struct subject this;
	struct filesystem *fs;

	begin(&this, state, "fsync=defer+every=10h", O_WRONLY);
	fs = this.open.fs;
	fs->files_closed_limit = 0;
	write_text(this.open.file, "new", 0, 0);
	file_close(fs, this.open.opened.handle);
	assert_true(is_let_go(fs));
	assert_int_equal(fs->counters.sync_whole, 0);
	end(&this, false);
	assert_int_equal(fs->counters.sync_whole, 1);
}

static void one_that_waits_takes_over_however_many_there_are(void **state)
{
	struct subject this;
	struct filesystem *fs;

	begin(&this, state, "fsync=defer+every=10h", O_WRONLY);
	fs = this.open.fs;
	write_text(this.open.file, "new", 0, 0);
	file_close(fs, this.open.opened.handle);
	fs->files_closed_limit = 0;
	for (unsigned i = 0; i < 20; i++)
		write_and_close(&this);
	assert_int_equal(fs->whole.wanted_from, 0);
	end(&this, false);
	assert_int_equal(fs->counters.sync_whole, 0);
	assert_int_equal(fs->counters.sync_scheduled, 1);
	assert_null(fs->waiting);
}

static void what_is_synced_by_amount_is_left_to_the_kernel(void **state)
{
	struct subject this;
	struct filesystem *fs;

	begin(&this, state, "fsync=defer+dirty=16K", O_WRONLY);
	fs = this.open.fs;
	fs->files_closed_limit = 0;
	write_text(this.open.file, "new", 0, 0);
	file_close(fs, this.open.opened.handle);
	assert_true(is_let_go(fs));
	end(&this, false);
	assert_int_equal(fs->counters.sync_whole, 0);
}

static void a_policy_that_is_set_later_holds_for_what_was_written(void **state)
{
	struct subject this;
	struct policy own;
	char error[256];

	begin(&this, state, "manual", O_WRONLY);
	write_text(this.open.file, "new", 0, 0);
	own = policy_builtin;
	policy_parse(&own, policy_sync, "fsync=defer+every=10ms", 22, error,
		     sizeof(error));
	assert_int_equal(file_set_policies(this.open.file, &own), 0);
	assert_true(becomes(&this.open.fs->counters.sync_scheduled, 1));
	end(&this, true);
}

static void note_answer(void *context, int result)
{
	*(_Atomic uint64_t *)context = result == 0 ? 1 : 2;
}

static void a_grouped_fsync_is_answered_by_its_flush(void **state)
{
	static _Atomic uint64_t answered;
	struct subject this;
	struct counters *counters;

	begin(&this, state, "fsync=group:1s", O_WRONLY);
	counters = &this.open.fs->counters;
	write_text(this.open.file, "new", 0, 0);
	answered = 0;
	assert_int_equal(file_fsync(this.open.opened.handle, true,
				    note_answer,
				    (void *)&answered), FILE_WAITS);
	assert_true(becomes(&answered, 1));
	assert_int_equal(answered, 1);
	assert_int_equal(counters->fsync_grouped, 1);
	end(&this, true);
}

/* The threads end also when a test has failed in the middle. */
static int stop_and_teardown(void **state)
{
	struct place *place = *state;

	filesystem_stop(&place->fs);
	return place_teardown(state);
}

#define on_a_filesystem(test)                                                  \
	cmocka_unit_test_setup_teardown(test, place_setup_filesystem,          \
					stop_and_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		on_a_filesystem(
			what_is_written_is_synced_when_its_time_has_come),
		on_a_filesystem(a_clean_file_is_not_synced_and_wakes_nobody),
		on_a_filesystem(many_writes_are_one_sync),
		on_a_filesystem(an_amount_is_synced_when_it_is_reached),
		on_a_filesystem(fsync_is_deferred_or_honored),
		on_a_filesystem(an_error_that_nobody_waited_for_is_told_once),
		on_a_filesystem(
			an_error_after_the_last_close_waits_for_the_next_open),
		on_a_filesystem(a_closed_file_is_synced_and_let_go),
		on_a_filesystem(a_file_that_is_closed_often_waits_once),
		on_a_filesystem(what_is_closed_while_a_sync_runs_is_synced),
		on_a_filesystem(a_file_that_is_removed_is_not_synced),
		on_a_filesystem(a_close_that_waits_tells_the_error),
		on_a_filesystem(
			more_closed_files_than_descriptors_are_synced_together),
		on_a_filesystem(
			one_that_waits_takes_over_however_many_there_are),
		on_a_filesystem(what_is_synced_by_amount_is_left_to_the_kernel),
		on_a_filesystem(
			a_policy_that_is_set_later_holds_for_what_was_written),
		on_a_filesystem(a_grouped_fsync_is_answered_by_its_flush),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
