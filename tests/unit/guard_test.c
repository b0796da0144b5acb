// SPDX-License-Identifier: Apache-2.0
/*
 * cmocka puts its own SIGBUS handler in place for each test, so each test
 * installs the guard's anew.
 */
#include "support.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "os/guard.h"
#include "util/cleanup.h"

#define PAGE 4096
#define LENGTH (16 * PAGE)

static char bytes[LENGTH];

/* A file of one page, mapped over LENGTH bytes. */
static char *map_file(struct place *place)
{
	owned_fd fd = openat(place->fd, "file", O_RDWR | O_CREAT | O_CLOEXEC,
		0600);
	char *base;

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, PAGE), 0);
	base = mmap(NULL, LENGTH, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(base, MAP_FAILED);
	assert_int_equal(guard_init(), 0);
	return base;
}

static void a_copy_within_the_file_is_made(void **state)
{
	char *base = map_file(*state);

	assert_true(guard_copy(base + 10, "written", 8));
	assert_true(guard_copy(bytes, base + 10, 8));
	assert_string_equal(bytes, "written");
	assert_string_equal(stored(*state, "file") + 10, "written");
	munmap(base, LENGTH);
}

static void a_copy_from_past_the_end_of_the_file_is_false(void **state)
{
	char *base = map_file(*state);

	assert_false(guard_copy(bytes, base + 2 * PAGE, 100));
	assert_false(guard_copy(bytes, base, LENGTH));
	munmap(base, LENGTH);
}

static void a_copy_to_past_the_end_of_the_file_is_false(void **state)
{
	char *base = map_file(*state);

	assert_false(guard_copy(base + 2 * PAGE, bytes, 100));
	munmap(base, LENGTH);
}

/* No state of the first fault, no blocked signal, is in the second's way. */
static void faults_can_follow_each_other(void **state)
{
	char *base = map_file(*state);

	for (int i = 0; i < 1000; i++) {
		assert_false(guard_copy(bytes, base + 3 * PAGE, PAGE));
		assert_true(guard_copy(bytes, base, PAGE));
	}
	munmap(base, LENGTH);
}

static void a_file_cut_behind_the_mapping_is_noticed(void **state)
{
	char *base = map_file(*state);

	cut_file(*state, "file", LENGTH);
	assert_true(guard_copy(base + 5 * PAGE, "here", 5));
	cut_file(*state, "file", PAGE);
	assert_false(guard_copy(bytes, base + 5 * PAGE, 5));
	munmap(base, LENGTH);
}

static int touch_unguarded(void *argument)
{
	struct rlimit none = { 0 };
	char *base = argument;

	/* After a copy that faulted and one that didn't. */
	expect(!guard_copy(bytes, base + PAGE, PAGE));
	expect(guard_copy(bytes, base, PAGE));
	setrlimit(RLIMIT_CORE, &none);
	*(volatile char *)(base + 2 * PAGE) = 1;
	return 0;
}

static void a_fault_outside_a_copy_still_kills(void **state)
{
	char *base = map_file(*state);

	assert_int_equal(in_child(touch_unguarded, base), 128 + SIGBUS);
	munmap(base, LENGTH);
}

static int copy_and_fault(void *argument, unsigned number)
{
	char *base = argument;
	char own[PAGE];
	int wrong = 0;

	for (int i = 0; i < 500; i++) {
		if ((i + number) % 2)
			wrong += guard_copy(own, base + 4 * PAGE, PAGE);
		else
			wrong += !guard_copy(own, base, PAGE);
	}
	return wrong;
}

static void threads_faults_are_their_own(void **state)
{
	char *base = map_file(*state);

	assert_int_equal(in_threads(8, copy_and_fault, base), 0);
	munmap(base, LENGTH);
}

#define sentence(name) \
	cmocka_unit_test_setup_teardown(name, place_setup, place_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		sentence(a_copy_within_the_file_is_made),
		sentence(a_copy_from_past_the_end_of_the_file_is_false),
		sentence(a_copy_to_past_the_end_of_the_file_is_false),
		sentence(faults_can_follow_each_other),
		sentence(a_file_cut_behind_the_mapping_is_noticed),
		sentence(a_fault_outside_a_copy_still_kills),
		sentence(threads_faults_are_their_own),
	};

	return cmocka_run_group_tests_name("guard", tests, NULL, NULL);
}
