// SPDX-License-Identifier: Apache-2.0
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "core/growth.h"
#include "core/policy.h"
#include "util/cleanup.h"

#define KIB ((off_t)1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)
#define PIECE (4 * KIB)

static const struct policy max_1m = { .max = 1024 * 1024 };
static const struct policy chunk_1m = { .chunk = 1024 * 1024 };
static const struct policy append_on = { .append = true };
static const struct policy anything;

/* What of length may be written, or -errno. */
static ssize_t limited(const struct policy *policy, off_t size, off_t offset,
		       size_t length, bool append)
{
	int r = growth_limit_write(policy, size, offset, &length, append);

	return r < 0 ? r : (ssize_t)length;
}

static void without_a_policy_everything_is_allowed(void **state)
{
	(void)state;
	assert_int_equal(limited(&anything, 0, GIB, 10, false), 10);
	assert_int_equal(limited(&anything, 10, 0, 10, true), 10);
	assert_int_equal(growth_check_truncate(&anything, 0, GIB), 0);
	assert_int_equal(growth_check_fallocate(&anything, 0, 0, GIB, GIB), 0);
	assert_int_equal(growth_check_fallocate(&anything, 5,
		FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 5), 0);
}

static void a_write_across_max_is_short(void **state)
{
	(void)state;
	assert_int_equal(limited(&max_1m, 0, MIB - 10, 10, false), 10);
	assert_int_equal(limited(&max_1m, 0, MIB - 10, 11, false), 10);
	assert_int_equal(limited(&max_1m, MIB - 1, 0, 100, true), 1);
	assert_int_equal(limited(&max_1m, 0, 0, SIZE_MAX, false), MIB);
}

static void a_write_at_max_is_too_big(void **state)
{
	(void)state;
	assert_int_equal(limited(&max_1m, 0, MIB, 1, false), -EFBIG);
	assert_int_equal(limited(&max_1m, MIB, 0, 1, true), -EFBIG);
	assert_int_equal(limited(&max_1m, 0, INT64_MAX, 1, false), -EFBIG);
}

static void what_lies_past_max_already_can_be_overwritten(void **state)
{
	(void)state;
	assert_int_equal(limited(&max_1m, 2 * MIB, MIB, 100, false), 100);
	assert_int_equal(limited(&max_1m, 2 * MIB, 2 * MIB - 1, 100, false),
		1);
	assert_int_equal(limited(&max_1m, 2 * MIB, 2 * MIB, 1, false), -EFBIG);
}

static void a_write_of_nothing_is_allowed_anywhere(void **state)
{
	(void)state;
	assert_int_equal(limited(&max_1m, 0, GIB, 0, false), 0);
	assert_int_equal(limited(&append_on, 10, 0, 0, false), 0);
}

static void append_only_takes_writes_at_the_end(void **state)
{
	(void)state;
	assert_int_equal(limited(&append_on, 10, 10, 5, false), 5);
	assert_int_equal(limited(&append_on, 10, 0, 5, true), 5);
	assert_int_equal(limited(&append_on, 0, 0, 5, false), 5);
	assert_int_equal(limited(&append_on, 10, 9, 5, false), -EPERM);
	assert_int_equal(limited(&append_on, 10, 0, 5, false), -EPERM);
	assert_int_equal(limited(&append_on, 10, 11, 5, false), -EPERM);
}

static void truncation_goes_up_to_max(void **state)
{
	(void)state;
	assert_int_equal(growth_check_truncate(&max_1m, 0, MIB), 0);
	assert_int_equal(growth_check_truncate(&max_1m, 0, MIB + 1), -EFBIG);
	assert_int_equal(growth_check_truncate(&max_1m, 3 * MIB, 2 * MIB), 0);
	assert_int_equal(growth_check_truncate(&max_1m, 3 * MIB, 3 * MIB + 1),
		-EFBIG);
}

static void append_only_truncates_down_only(void **state)
{
	(void)state;
	assert_int_equal(growth_check_truncate(&append_on, 10, 9), 0);
	assert_int_equal(growth_check_truncate(&append_on, 10, 0), 0);
	assert_int_equal(growth_check_truncate(&append_on, 10, 10), 0);
	assert_int_equal(growth_check_truncate(&append_on, 10, 11), -EPERM);
}

static int allocating(const struct policy *policy, int mode, off_t offset,
		      off_t length)
{
	return growth_check_fallocate(policy, 100 * KIB, mode, offset, length);
}

static void allocation_goes_up_to_max(void **state)
{
	const int keep = FALLOC_FL_KEEP_SIZE;

	(void)state;
	assert_int_equal(allocating(&max_1m, 0, 0, MIB), 0);
	assert_int_equal(allocating(&max_1m, 0, 1, MIB), -EFBIG);
	assert_int_equal(allocating(&max_1m, keep, 0, MIB), 0);
	assert_int_equal(allocating(&max_1m, keep, 1, MIB), -EFBIG);
	assert_int_equal(allocating(&max_1m, FALLOC_FL_ZERO_RANGE | keep, 1,
		MIB), -EFBIG);
	assert_int_equal(allocating(&max_1m, FALLOC_FL_PUNCH_HOLE | keep, 0,
		GIB), 0);
	assert_int_equal(allocating(&max_1m, FALLOC_FL_INSERT_RANGE, 0,
		MIB - 100 * KIB), 0);
	assert_int_equal(allocating(&max_1m, FALLOC_FL_INSERT_RANGE, 0, MIB),
		-EFBIG);
	assert_int_equal(allocating(&max_1m, 0, INT64_MAX, 1), -EFBIG);
	assert_int_equal(allocating(&max_1m, 0, -1, 1), -EINVAL);
}

static void append_only_allocates_but_changes_nothing(void **state)
{
	const int keep = FALLOC_FL_KEEP_SIZE;

	(void)state;
	assert_int_equal(allocating(&append_on, keep, 0, MIB), 0);
	assert_int_equal(allocating(&append_on, 0, 0, 100 * KIB), 0);
	assert_int_equal(allocating(&append_on, 0, 0, 100 * KIB + 1), -EPERM);
	assert_int_equal(allocating(&append_on, FALLOC_FL_PUNCH_HOLE | keep, 0,
		1), -EPERM);
	assert_int_equal(allocating(&append_on, FALLOC_FL_ZERO_RANGE, 0, 1),
		-EPERM);
	assert_int_equal(allocating(&append_on, FALLOC_FL_ZERO_RANGE | keep, 0,
		1), -EPERM);
	assert_int_equal(allocating(&append_on, FALLOC_FL_COLLAPSE_RANGE, 0,
		PIECE), -EPERM);
	assert_int_equal(allocating(&append_on, FALLOC_FL_INSERT_RANGE, 0,
		PIECE), -EPERM);
}

/* The place's file "file" for writing, empty. */
static int make_empty(struct place *place)
{
	int fd = openat(place->fd, "file",
		O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	return fd;
}

static struct stat attributes(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return st;
}

static off_t allocated(int fd)
{
	return attributes(fd).st_blocks * 512;
}

/* Writes as the daemon does: allocates, then writes. */
static void append(struct growth *growth, int fd, const struct policy *policy)
{
	static char bytes[PIECE];
	off_t size = attributes(fd).st_size;

	growth_ahead(growth, fd, policy, size, size + PIECE);
	assert_int_equal(pwrite(fd, bytes, PIECE, size), PIECE);
}

static void need_allocation(struct place *place)
{
	owned_fd fd = make_empty(place);

	if (fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, PIECE) < 0)
		skip_because("no fallocate here");
}

static void space_is_allocated_ahead_and_not_seen(void **state)
{
	owned_fd fd = -1;
	struct growth growth = { 0 };

	need_allocation(*state);
	fd = make_empty(*state);
	append(&growth, fd, &chunk_1m);
	assert_int_equal(attributes(fd).st_size, PIECE);
	assert_in_range(allocated(fd), MIB, MIB + 64 * KIB);
	for (off_t size = PIECE; size < MIB; size += PIECE)
		append(&growth, fd, &chunk_1m);
	assert_in_range(allocated(fd), MIB, MIB + 64 * KIB);
	append(&growth, fd, &chunk_1m);
	assert_int_equal(attributes(fd).st_size, MIB + PIECE);
	assert_in_range(allocated(fd), 2 * MIB, 2 * MIB + 64 * KIB);
}

static void a_chunk_is_asked_for_once(void **state)
{
	owned_fd fd = -1;
	struct growth growth = { 0 };

	need_allocation(*state);
	fd = make_empty(*state);
	append(&growth, fd, &chunk_1m);
	/* Taken away, it would come back if it was asked for again. */
	assert_int_equal(ftruncate(fd, PIECE), 0);
	append(&growth, fd, &chunk_1m);
	assert_in_range(allocated(fd), 0, 64 * KIB);
	growth_forget(&growth);
	append(&growth, fd, &chunk_1m);
	assert_in_range(allocated(fd), MIB, MIB + 64 * KIB);
}

static void what_lies_within_the_file_allocates_nothing(void **state)
{
	owned_fd fd = make_empty(*state);
	struct growth growth = { 0 };

	assert_int_equal(ftruncate(fd, MIB / 2), 0);
	growth_ahead(&growth, fd, &chunk_1m, MIB / 2, MIB / 2);
	growth_ahead(&growth, fd, &max_1m, MIB / 2, MIB);
	assert_in_range(allocated(fd), 0, 64 * KIB);
}

static void a_hole_stays_a_hole(void **state)
{
	owned_fd fd = -1;
	struct growth growth = { 0 };

	need_allocation(*state);
	fd = make_empty(*state);
	growth_ahead(&growth, fd, &chunk_1m, 0, GIB + PIECE);
	assert_in_range(allocated(fd), MIB, MIB + 64 * KIB);
}

static void nothing_is_allocated_beyond_max(void **state)
{
	const struct policy policy = {
		.chunk = 1024 * 1024,
		.max = 1024 * 1024 + 8192,
	};
	owned_fd fd = -1;
	struct growth growth = { 0 };

	need_allocation(*state);
	fd = make_empty(*state);
	for (int i = 0; i < 257; i++)
		append(&growth, fd, &policy);
	assert_in_range(allocated(fd), MIB + 2 * PIECE, MIB + 64 * KIB);
	/* The file is larger than it may be: it grows no more. */
	assert_int_equal(ftruncate(fd, 3 * MIB), 0);
	growth_ahead(&growth, fd, &policy, 3 * MIB, 3 * MIB + PIECE);
	assert_in_range(allocated(fd), PIECE, MIB + 64 * KIB);
}

static void a_chunk_at_the_end_of_all_offsets_is_cut(void **state)
{
	const struct policy policy = { .chunk = INT64_MAX - 1 };
	struct growth growth = { 0 };

	(void)state;
	growth_ahead(&growth, -1, &policy, INT64_MAX - 2, INT64_MAX);
	assert_int_equal(growth.allocated, INT64_MAX);
}

/* procfs has files to write to and no fallocate(2). */
static void a_store_that_cannot_allocate_is_asked_once(void **state)
{
	owned_fd fd = open("/proc/self/comm", O_RDWR | O_CLOEXEC);
	struct growth growth = { 0 };

	(void)state;
	assert_true(fd >= 0);
	growth_ahead(&growth, fd, &chunk_1m, 0, PIECE);
	assert_int_equal(growth.allocated, INT64_MAX);
	growth_forget(&growth);
	growth_ahead(&growth, fd, &chunk_1m, 0, 2 * MIB);
	assert_int_equal(growth.allocated, INT64_MAX);
}

/* In a mount namespace of its own, on 64 pages. */
static int write_to_the_full(void *argument)
{
	static char bytes[PIECE];
	const struct policy policy = { .chunk = 128 * 1024 };
	struct place *place = argument;
	struct growth growth = { 0 };
	owned_fd fd = -1;
	off_t size = 0;
	char name[160];

	if (unshare(CLONE_NEWNS) < 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("none", place->directory, "tmpfs", 0, "size=256k") < 0)
		return 77;
	snprintf(name, sizeof(name), "%s/file", place->directory);
	fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	expect(fd >= 0);
	for (; size < 64 * PIECE; size += PIECE) {
		growth_ahead(&growth, fd, &policy, size, size + PIECE);
		expect(pwrite(fd, bytes, PIECE, size) == PIECE);
		/* Never more than half of what is free. */
		expect(allocated(fd) ==
			(size < 128 * KIB ? 128 * KIB : size + PIECE));
	}
	growth_ahead(&growth, fd, &policy, size, size + PIECE);
	expect(pwrite(fd, bytes, PIECE, size) == -1 && errno == ENOSPC);
	return 0;
}

static void the_last_space_of_a_store_is_not_taken_ahead(void **state)
{
	int status = in_child(write_to_the_full, *state);

	if (status == 77)
		skip_because("no mount namespaces or no tmpfs");
	assert_int_equal(status, 0);
}

static int append_in_thread(void *argument, unsigned number)
{
	struct growth *growth = argument;
	char name[] = "/tmp/growth_test.XXXXXX";
	int fd = mkstemp(name);

	expect(fd >= 0);
	unlink(name);
	for (off_t end = PIECE; end < 8 * MIB; end += PIECE * (number + 1)) {
		growth_ahead(growth, fd, &chunk_1m, end - PIECE, end);
		if (end % (2 * MIB) == 0)
			growth_forget(growth);
	}
	expect(attributes(fd).st_size == 0);
	close(fd);
	return 0;
}

static void threads_may_allocate_at_one_time(void **state)
{
	struct growth growth = { 0 };

	(void)state;
	assert_int_equal(in_threads(4, append_in_thread, &growth), 0);
}

/* A file of one piece with a chunk ahead, last written in 1970. */
static int make_with_space(struct place *place)
{
	const struct timespec old[2] = { { .tv_sec = 5, .tv_nsec = 7 },
		{ .tv_sec = 5, .tv_nsec = 7 } };
	struct growth growth = { 0 };
	int fd = -1;

	need_allocation(place);
	fd = make_empty(place);
	append(&growth, fd, &chunk_1m);
	assert_true(allocated(fd) >= MIB);
	assert_int_equal(futimens(fd, old), 0);
	return fd;
}

static void trimming_gives_unused_space_back_and_no_more(void **state)
{
	owned_fd fd = make_with_space(*state);
	struct stat st;

	assert_int_equal(growth_trim(fd), 0);
	st = attributes(fd);
	assert_in_range(allocated(fd), PIECE, 64 * KIB);
	assert_int_equal(st.st_size, PIECE);
	assert_int_equal(st.st_mtim.tv_sec, 5);
	assert_int_equal(st.st_mtim.tv_nsec, 7);
	assert_int_equal(st.st_atim.tv_sec, 5);
}

static void a_file_without_unused_space_is_not_touched(void **state)
{
	owned_fd fd = make_with_space(*state);
	struct stat before;
	struct stat after;

	assert_int_equal(growth_trim(fd), 0);
	before = attributes(fd);
	/* Longer than a tick, which is what ctime is made of. */
	usleep(20000);
	assert_int_equal(growth_trim(fd), 0);
	after = attributes(fd);
	assert_memory_equal(&before.st_ctim, &after.st_ctim,
		sizeof(before.st_ctim));
}

/* Its blocks don't tell; its block map does, where there is one. */
static void a_file_with_a_hole_is_trimmed(void **state)
{
	struct place *place = *state;
	owned_fd fd = -1;
	struct growth growth = { 0 };
	struct statfs fs;

	assert_int_equal(fstatfs(place->fd, &fs), 0);
	if (fs.f_type == TMPFS_MAGIC)
		skip_because("tmpfs has no block map");
	fd = make_with_space(place);
	assert_int_equal(ftruncate(fd, 8 * MIB), 0);
	growth_ahead(&growth, fd, &chunk_1m, 8 * MIB, 8 * MIB + PIECE);
	assert_in_range(allocated(fd), MIB + PIECE, 2 * MIB + 64 * KIB);
	assert_int_equal(growth_trim(fd), 0);
	assert_int_equal(attributes(fd).st_size, 8 * MIB);
	assert_in_range(allocated(fd), PIECE, MIB + 64 * KIB);
}

/* It might grow between the look at its size and the truncation. */
static void a_file_that_somebody_has_open_is_left_alone(void **state)
{
	struct place *place = *state;
	owned_fd fd = make_with_space(place);
	int other = openat(place->fd, "file", O_RDWR | O_CLOEXEC);

	assert_true(other >= 0);
	assert_int_equal(growth_trim(fd), -EAGAIN);
	assert_true(allocated(fd) >= MIB);
	close(other);
	assert_int_equal(growth_trim(fd), 0);
	assert_in_range(allocated(fd), PIECE, 64 * KIB);
	/* No lease is left behind. */
	other = openat(place->fd, "file", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	assert_true(other >= 0);
	close(other);
}

static void a_setuid_file_keeps_its_bit_and_its_space(void **state)
{
	owned_fd fd = make_with_space(*state);

	assert_int_equal(fchmod(fd, 04700), 0);
	assert_int_equal(growth_trim(fd), -EPERM);
	assert_int_equal(attributes(fd).st_mode & 07777, 04700);
	assert_true(allocated(fd) >= MIB);
}

static void a_file_for_reading_is_not_trimmed(void **state)
{
	struct place *place = *state;
	owned_fd reader = -1;

	close(make_with_space(place));
	reader = openat(place->fd, "file", O_RDONLY | O_CLOEXEC);
	assert_true(reader >= 0);
	assert_true(growth_trim(reader) < 0);
	assert_true(allocated(reader) >= MIB);
}

#define place_test(name)                                                       \
	cmocka_unit_test_setup_teardown(name, place_setup, place_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_a_policy_everything_is_allowed),
		cmocka_unit_test(a_write_across_max_is_short),
		cmocka_unit_test(a_write_at_max_is_too_big),
		cmocka_unit_test(what_lies_past_max_already_can_be_overwritten),
		cmocka_unit_test(a_write_of_nothing_is_allowed_anywhere),
		cmocka_unit_test(append_only_takes_writes_at_the_end),
		cmocka_unit_test(truncation_goes_up_to_max),
		cmocka_unit_test(append_only_truncates_down_only),
		cmocka_unit_test(allocation_goes_up_to_max),
		cmocka_unit_test(append_only_allocates_but_changes_nothing),
		place_test(space_is_allocated_ahead_and_not_seen),
		place_test(a_chunk_is_asked_for_once),
		place_test(what_lies_within_the_file_allocates_nothing),
		place_test(a_hole_stays_a_hole),
		place_test(nothing_is_allocated_beyond_max),
		cmocka_unit_test(a_chunk_at_the_end_of_all_offsets_is_cut),
		cmocka_unit_test(a_store_that_cannot_allocate_is_asked_once),
		place_test(the_last_space_of_a_store_is_not_taken_ahead),
		cmocka_unit_test(threads_may_allocate_at_one_time),
		place_test(trimming_gives_unused_space_back_and_no_more),
		place_test(a_file_without_unused_space_is_not_touched),
		place_test(a_file_with_a_hole_is_trimmed),
		place_test(a_file_that_somebody_has_open_is_left_alone),
		place_test(a_setuid_file_keeps_its_bit_and_its_space),
		place_test(a_file_for_reading_is_not_trimmed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
