// SPDX-License-Identifier: Apache-2.0
/*
 * How far back a power cut would take shared files under fsync=defer: from
 * the first write on until a sync of the file, or of everything, has it.
 */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/loss.h"
#include "os/clock.h"
#include "util/cleanup.h"

#define MILLISECOND INT64_C(1000000)

struct subject {
	struct open_file open;
	struct place *place;
	struct filesystem *fs;
};

static void begin(struct subject *this, void **state, const char *sync)
{
	char error[256];

	this->place = *state;
	this->fs = &this->place->fs;
	this->fs->settings.policy = policy_builtin;
	assert_int_equal(policy_parse(&this->fs->settings.policy, policy_sync,
				      sync, strlen(sync), error,
				      sizeof(error)), 0);
	assert_int_equal(filesystem_start(this->fs), 0);
	open_file_begin(&this->open, this->place, O_RDWR, "content");
}

static void end(struct subject *this)
{
	file_close(this->fs, this->open.opened.handle);
	filesystem_stop(this->fs);
	node_forget(&this->fs->nodes, this->open.node, 1);
}

static int64_t window(struct subject *this)
{
	struct loss_state state;

	assert_int_equal(loss_look(this->fs, &state), 0);
	return state.window;
}

static int64_t worst(struct subject *this)
{
	struct loss_state state;

	assert_int_equal(loss_look(this->fs, &state), 0);
	return state.max;
}

static void pause_ms(long milliseconds)
{
	struct timespec time = { .tv_nsec = milliseconds * 1000000 };

	nanosleep(&time, NULL);
}

static void write_one(struct subject *this)
{
	assert_int_equal(write_text(this->open.file, "new", 0, 0), 3);
}

static void nothing_is_lost_while_nothing_is_written(void **state)
{
	struct subject this;

	begin(&this, state, "manual");
	pause_ms(5);
	assert_int_equal(window(&this), 0);
	assert_int_equal(worst(&this), 0);
	end(&this);
}

static void it_grows_from_the_first_write_on_until_a_sync(void **state)
{
	struct subject this;
	int64_t first;

	begin(&this, state, "manual");
	write_one(&this);
	pause_ms(20);
	write_one(&this);
	first = window(&this);
	assert_true(first >= 20 * MILLISECOND);
	pause_ms(20);
	assert_true(window(&this) >= first + 20 * MILLISECOND);
	assert_int_equal(file_sync_now(this.open.file, 0, 0), 0);
	assert_int_equal(window(&this), 0);
	assert_true(worst(&this) >= first + 20 * MILLISECOND);
	/* And again, of the next write. */
	write_one(&this);
	assert_true(window(&this) > 0);
	end(&this);
}

static void an_fsync_that_is_deferred_does_not_end_it(void **state)
{
	struct subject this;

	begin(&this, state, "manual");
	write_one(&this);
	assert_int_equal(file_fsync(this.open.opened.handle, true, NULL, NULL),
		0);
	pause_ms(2);
	assert_true(window(&this) >= 2 * MILLISECOND);
	end(&this);
}

/* What a program hasn't fsynced would be lost anywhere. */
static void a_file_whose_fsyncs_are_honored_has_none(void **state)
{
	struct subject this;

	begin(&this, state, "every=1h");
	write_one(&this);
	assert_int_equal(window(&this), 0);
	end(&this);
}

static void a_sync_of_everything_ends_it(void **state)
{
	struct subject this;

	begin(&this, state, "manual");
	write_one(&this);
	pause_ms(5);
	assert_int_equal(filesystem_sync_since(this.fs, clock_now()), 0);
	assert_int_equal(window(&this), 0);
	assert_true(worst(&this) >= 5 * MILLISECOND);
	end(&this);
}

static void a_sync_that_fails_does_not_end_it(void **state)
{
	struct subject this;
	owned_fd broken = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
	owned_fd whole = -1;

	begin(&this, state, "manual");
	whole = fcntl(this.open.file->fd, F_DUPFD_CLOEXEC, 3);
	write_one(&this);
	/* procfs can't sync. */
	assert_true(dup3(broken, this.open.file->fd, O_CLOEXEC) >= 0);
	assert_true(file_sync_now(this.open.file, 0, 0) < 0);
	assert_true(dup3(whole, this.open.file->fd, O_CLOEXEC) >= 0);
	pause_ms(2);
	assert_true(window(&this) >= 2 * MILLISECOND);
	assert_int_equal(file_sync_now(this.open.file, 0, 0), 0);
	assert_int_equal(window(&this), 0);
	end(&this);
}

/* What is written while a sync is under way isn't known to be in it. */
static void a_write_during_a_sync_counts_from_its_begin(void **state)
{
	struct subject this;
	int64_t at;

	begin(&this, state, "manual");
	write_one(&this);
	pause_ms(20);
	at = clock_now();
	loss_begin(this.open.file, false);
	write_one(&this);
	loss_end(this.open.file, at);
	assert_true(window(&this) > 0);
	assert_true(window(&this) <= clock_now() - at);
	end(&this);
}

static void a_file_without_a_name_is_no_loss(void **state)
{
	struct subject this;

	begin(&this, state, "manual");
	write_one(&this);
	pause_ms(1);
	assert_true(window(&this) > 0);
	assert_int_equal(unlinkat(this.place->fd, "file", 0), 0);
	assert_int_equal(window(&this), 0);
	end(&this);
}

static void a_closed_file_counts_until_it_is_synced(void **state)
{
	struct subject this;

	begin(&this, state, "fsync=defer+every=1h");
	write_one(&this);
	file_close(this.fs, this.open.opened.handle);
	pause_ms(1);
	assert_true(window(&this) > 0);
	/* Syncs what is due later, too. */
	filesystem_stop(this.fs);
	assert_int_equal(window(&this), 0);
	assert_true(worst(&this) > 0);
	node_forget(&this.fs->nodes, this.open.node, 1);
}

static void dirty_pages_of_open_files_are_counted(void **state)
{
	struct loss_state look;
	struct subject this;

	begin(&this, state, "manual");
	write_one(&this);
	assert_int_equal(loss_look(this.fs, &look), 0);
	if (look.shared < 0)
		print_message("# no cachestat(2): dirty bytes not known\n");
	else
		assert_true(look.shared >= 4096);
	end(&this);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define test(name) \
	cmocka_unit_test_setup_teardown(name, place_setup_filesystem, \
		place_teardown)
		test(nothing_is_lost_while_nothing_is_written),
		test(it_grows_from_the_first_write_on_until_a_sync),
		test(an_fsync_that_is_deferred_does_not_end_it),
		test(a_file_whose_fsyncs_are_honored_has_none),
		test(a_sync_of_everything_ends_it),
		test(a_sync_that_fails_does_not_end_it),
		test(a_write_during_a_sync_counts_from_its_begin),
		test(a_file_without_a_name_is_no_loss),
		test(a_closed_file_counts_until_it_is_synced),
		test(dirty_pages_of_open_files_are_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
