// SPDX-License-Identifier: Apache-2.0
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/file.h"
#include "util/cleanup.h"

static off_t size_of(struct place *place)
{
	struct stat st;

	assert_int_equal(fstatat(place->fd, "file", &st, 0), 0);
	return st.st_size;
}

/* ---- reads and writes --------------------------------------------------- */

static void a_read_stops_at_the_end_of_the_file(void **state)
{
	struct open_file this;

	open_file_begin(&this, *state, O_RDONLY, "content");
	assert_string_equal(read_text(this.file, 100, 0), "content");
	assert_string_equal(read_text(this.file, 100, 4), "ent");
	assert_string_equal(read_text(this.file, 2, 1), "on");
	assert_string_equal(read_text(this.file, 100, 7), "");
	assert_string_equal(read_text(this.file, 100, 1 << 20), "");
	open_file_end(&this);
}

static void a_file_cut_in_the_store_reads_short(void **state)
{
	struct open_file this;

	open_file_begin(&this, *state, O_RDONLY, "content");
	assert_string_equal(read_text(this.file, 100, 0), "content");
	cut_file(*state, "file", 3);
	assert_string_equal(read_text(this.file, 100, 0), "con");
	cut_file(*state, "file", 0);
	assert_string_equal(read_text(this.file, 100, 0), "");
	open_file_end(&this);
}

static void a_read_needs_no_copy(void **state)
{
	struct file_bytes bytes;
	struct open_file this;

	open_file_begin(&this, *state, O_RDONLY, "content");
	assert_int_equal(file_read(this.file, spare_bytes, 7, 0, 0, &bytes), 0);
	assert_non_null(bytes.region);
	assert_ptr_equal(bytes.data, bytes.region->base);
	/* It is the file itself, not what it was. */
	make_file(*state, "file", "CONTENT");
	assert_memory_equal(bytes.data, "CONTENT", 7);
	region_put(bytes.region);
	open_file_end(&this);
}

static void a_write_within_the_size_goes_to_the_mapping(void **state)
{
	struct open_file this;

	open_file_begin(&this, *state, O_RDWR, "content");
	assert_int_equal(this.fs->mappings.count, 0);
	assert_int_equal(write_text(this.file, "TEN", 3, 0), 3);
	assert_int_equal(this.fs->mappings.count, 1);
	assert_string_equal(stored(*state, "file"), "conTENt");
	assert_string_equal(read_text(this.file, 100, 0), "conTENt");
	open_file_end(&this);
}

static void a_write_past_the_size_extends_the_file(void **state)
{
	struct open_file this;

	open_file_begin(&this, *state, O_RDWR, "content");
	assert_int_equal(write_text(this.file, "xyz", 6, 0), 3);
	assert_string_equal(stored(*state, "file"), "contenxyz");
	assert_int_equal(write_text(this.file, "end", 9000, 0), 3);
	assert_int_equal(size_of(*state), 9003);
	assert_string_equal(read_text(this.file, 100, 9000), "end");
	assert_string_equal(read_text(this.file, 1, 100), "");
	open_file_end(&this);
}

static void far_offsets_are_right(void **state)
{
	off_t far = (off_t)5 << 30;
	struct open_file this;

	open_file_begin(&this, *state, O_RDWR, "");
	assert_int_equal(write_text(this.file, "far away", far, 0), 8);
	assert_int_equal(write_text(this.file, "FAR", far, 0), 3);
	assert_string_equal(read_text(this.file, 100, far), "FAR away");
	assert_true(size_of(*state) == far + 8);
	open_file_end(&this);
}

static void an_append_goes_to_the_end_wherever_it_is(void **state)
{
	struct open_file this;

	open_file_begin(&this, *state, O_RDWR | O_APPEND, "content");
	assert_int_equal(write_text(this.file, "+1", 7, O_APPEND), 2);
	/* The kernel's idea of the size is old: the store file grew. */
	make_file(*state, "file", "longer content");
	assert_int_equal(write_text(this.file, "+2", 9, O_APPEND), 2);
	assert_string_equal(stored(*state, "file"), "longer content+2");
	/* And now it shrank. */
	cut_file(*state, "file", 3);
	assert_int_equal(write_text(this.file, "+3", 16, O_APPEND), 2);
	assert_string_equal(stored(*state, "file"), "lon+3");
	open_file_end(&this);
}

#define APPENDS 4000

static int append_in_turns(void *argument, unsigned thread)
{
	struct open_file *this = argument;
	owned_fd fd = store_reopen(this->file->fd, O_WRONLY | O_APPEND);
	struct stat st;

	for (int i = 0; i < APPENDS; i++) {
		if (thread == 0) {
			expect(write(fd, "x", 1) == 1);
			continue;
		}
		expect(fstat(fd, &st) == 0);
		expect(write_text(this->file, "y", st.st_size, O_APPEND) == 1);
	}
	return 0;
}

static void appends_in_the_store_are_never_overwritten(void **state)
{
	struct open_file this;

	open_file_begin(&this, *state, O_RDWR | O_APPEND, "");
	assert_int_equal(in_threads(2, append_in_turns, &this), 0);
	assert_int_equal(size_of(*state), 2 * APPENDS);
	open_file_end(&this);
}

static int write_past_the_limit(void *argument)
{
	struct rlimit limit = { .rlim_cur = 8192, .rlim_max = 8192 };
	struct open_file *this = argument;

	signal(SIGXFSZ, SIG_IGN);
	expect(setrlimit(RLIMIT_FSIZE, &limit) == 0);
	/* What fits is written, then the error is told. */
	expect(write_text(this->file, "12345678", 8188, 0) == 4);
	expect(write_text(this->file, "12345678", 8192, 0) == -EFBIG);
	expect(write_text(this->file, "1234", 8188, 0) == 4);
	return 0;
}

static void a_write_that_fails_tells_why(void **state)
{
	struct open_file this;

	open_file_begin(&this, *state, O_RDWR, "");
	assert_int_equal(in_child(write_past_the_limit, &this), 0);
	assert_int_equal(size_of(*state), 8192);
	open_file_end(&this);
}

/* ---- times -------------------------------------------------------------- */

static struct timespec file_time(struct place *place, bool access)
{
	struct stat st;

	assert_int_equal(fstatat(place->fd, "file", &st, 0), 0);
	return access ? st.st_atim : st.st_mtim;
}

static int compare(struct timespec a, struct timespec b)
{
	if (a.tv_sec != b.tv_sec)
		return a.tv_sec < b.tv_sec ? -1 : 1;
	return a.tv_nsec < b.tv_nsec ? -1 : a.tv_nsec > b.tv_nsec;
}

static void sleep_a_tick(void)
{
	struct timespec tick;

	clock_getres(CLOCK_REALTIME_COARSE, &tick);
	tick.tv_nsec *= 2;
	nanosleep(&tick, NULL);
}

/* The page is dirty already: only the daemon can move the time. */
static void every_tick_s_write_moves_mtime(void **state)
{
	struct timespec before, after;
	struct open_file this;

	open_file_begin(&this, *state, O_RDWR, "content");
	write_text(this.file, "x", 0, 0);
	for (int i = 0; i < 5; i++) {
		before = file_time(*state, false);
		sleep_a_tick();
		write_text(this.file, "y", 0, 0);
		after = file_time(*state, false);
		assert_int_equal(compare(before, after), -1);
	}
	open_file_end(&this);
}

static void a_write_after_utimes_moves_mtime(void **state)
{
	struct timespec times[2] = { { .tv_sec = 1000 }, { .tv_sec = 1000 } };
	struct place *place = *state;
	struct open_file this;

	open_file_begin(&this, place, O_RDWR, "content");
	for (int i = 0; i < 50; i++) {
		write_text(this.file, "x", 0, 0);
		utimensat(place->fd, "file", times, 0);
		file_times_set(this.node);
		write_text(this.file, "y", 0, 0);
		assert_true(file_time(place, false).tv_sec > 1000);
	}
	open_file_end(&this);
}

static void a_write_leaves_atime_alone(void **state)
{
	struct timespec times[2] = { { .tv_sec = 1000 },
		{ .tv_nsec = UTIME_OMIT } };
	struct place *place = *state;
	struct open_file this;

	make_file(place, "file", "content");
	open_file_begin(&this, place, O_RDWR, "content");
	utimensat(place->fd, "file", times, 0);
	write_text(this.file, "x", 0, 0);
	write_text(this.file, "longer than it was", 3, 0);
	assert_int_equal(file_time(place, true).tv_sec, 1000);
	open_file_end(&this);
}

static void a_read_moves_an_old_atime(void **state)
{
	struct timespec times[2] = { { .tv_sec = 1000 },
		{ .tv_nsec = UTIME_OMIT } };
	struct place *place = *state;
	struct file_bytes bytes;
	struct open_file this;

	open_file_begin(&this, place, O_RDONLY, "content");
	if (!this.fs->store.updates_atime) {
		open_file_end(&this);
		skip_because("n/a: access times are off on this file system");
	}
	utimensat(place->fd, "file", times, 0);
	file_read(this.file, spare_bytes, 7, 0, O_NOATIME, &bytes);
	region_put(bytes.region);
	assert_int_equal(file_time(place, true).tv_sec, 1000);
	read_text(this.file, 7, 0);
	assert_true(file_time(place, true).tv_sec > 1000);
	open_file_end(&this);
}

/* ---- durability --------------------------------------------------------- */

/*
 * procfs can't sync: its descriptor in the place of the file's own makes the
 * next sync a real failure, and a later one succeed.
 */
static int sync_handle(struct file_handle_state *handle, bool data_only)
{
	return file_fsync(handle, data_only, NULL, NULL);
}

static void a_sync_error_is_told_once_to_every_handle(void **state)
{
	struct file_opened second, late;
	struct open_file this;
	owned_fd broken = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
	owned_fd good = -1;

	open_file_begin(&this, *state, O_RDWR, "content");
	assert_int_equal(file_open(this.fs, this.node, O_RDWR, &caller_root,
		&second), 0);
	assert_int_equal(sync_handle(this.opened.handle, false), 0);
	good = fcntl(this.file->fd, F_DUPFD_CLOEXEC, 3);
	assert_int_equal(dup3(broken, this.file->fd, O_CLOEXEC),
		this.file->fd);
	assert_int_equal(sync_handle(this.opened.handle, true), -EINVAL);
	dup3(good, this.file->fd, O_CLOEXEC);
	assert_int_equal(sync_handle(this.opened.handle, true), 0);
	/* Opened after the error: not its data. */
	assert_int_equal(file_open(this.fs, this.node, O_RDWR, &caller_root,
		&late), 0);
	assert_int_equal(sync_handle(late.handle, false), 0);
	assert_int_equal(sync_handle(second.handle, false), -EINVAL);
	assert_int_equal(sync_handle(second.handle, false), 0);
	file_close(this.fs, late.handle);
	file_close(this.fs, second.handle);
	open_file_end(&this);
}

#define sentence(name)                                                         \
	cmocka_unit_test_setup_teardown(name, place_setup_filesystem,          \
		place_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		sentence(a_read_stops_at_the_end_of_the_file),
		sentence(a_file_cut_in_the_store_reads_short),
		sentence(a_read_needs_no_copy),
		sentence(a_write_within_the_size_goes_to_the_mapping),
		sentence(a_write_past_the_size_extends_the_file),
		sentence(far_offsets_are_right),
		sentence(an_append_goes_to_the_end_wherever_it_is),
		sentence(appends_in_the_store_are_never_overwritten),
		sentence(a_write_that_fails_tells_why),
		sentence(every_tick_s_write_moves_mtime),
		sentence(a_write_after_utimes_moves_mtime),
		sentence(a_write_leaves_atime_alone),
		sentence(a_read_moves_an_old_atime),
		sentence(a_sync_error_is_told_once_to_every_handle),
	};

	return cmocka_run_group_tests_name("file", tests, NULL, NULL);
}
