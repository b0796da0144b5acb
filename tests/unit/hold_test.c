// SPDX-License-Identifier: Apache-2.0
#include "pages.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "core/hold.h"
#include "util/cleanup.h"

#define TABLE_LIMIT (64 * PAGE)

static struct hold_table table;

static struct store_id id_of(unsigned number)
{
	struct store_id id = { .type = 1, .length = sizeof(number) };

	memcpy(id.bytes, &number, sizeof(number));
	return id;
}

static const struct store_id *id(unsigned number)
{
	static struct store_id ids[4];

	ids[number % 4] = id_of(number);
	return &ids[number % 4];
}

/* Bytes that this process has locked. */
static uint64_t locked(void)
{
	FILE *status = fopen("/proc/self/status", "re");
	char line[256];
	unsigned long kilobytes = UINT32_MAX;

	assert_non_null(status);
	while (fgets(line, sizeof(line), status)) {
		if (sscanf(line, "VmLck: %lu kB", &kilobytes) == 1)
			break;
	}
	fclose(status);
	return (uint64_t)kilobytes * 1024;
}

static bool can_lock(off_t bytes)
{
	struct rlimit limit;

	if (geteuid() == 0)
		return true;
	return getrlimit(RLIMIT_MEMLOCK, &limit) == 0 &&
		limit.rlim_max >= (rlim_t)bytes;
}

/* Sanitizers lock nothing: their mlock2() does as if. */
static bool locks_are_real(void)
{
	char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	bool real;

	assert_ptr_not_equal(page, MAP_FAILED);
	real = mlock2(page, 4096, 0) == 0 && locked() > 0;
	munmap(page, 4096);
	return real;
}

static int setup(void **state)
{
	int error = place_setup(state);

	return error ? error : hold_table_init(&table, TABLE_LIMIT);
}

static int teardown(void **state)
{
	hold_table_fini(&table);
	if (locked() != 0) {
		print_message("# %ju bytes are still locked\n",
			(uintmax_t)locked());
		return -1;
	}
	return place_teardown(state);
}

#define need_locks()                                                           \
	do {                                                                   \
		if (!can_lock(2 * TABLE_LIMIT) || !locks_are_real())           \
			skip_because("Memory can't be locked here.");          \
	} while (0)

static uint64_t held(unsigned number)
{
	uint64_t bytes = 0;

	return hold_has(&table, id(number), &bytes) ? bytes : 0;
}

static void a_held_file_is_in_memory_and_stays(void **state)
{
	owned_fd fd = -1;

	need_disk(*state);
	need_locks();
	fd = make_pages(*state, "file", 32);
	forget_pages(fd);
	assert_int_equal(hold_set(&table, id(1), fd, false), 0);
	assert_int_equal(resident(fd, 0, 0), 32);
	assert_int_equal(locked(), 32 * PAGE);
	assert_int_equal(held(1), 32 * PAGE);
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	assert_int_equal(pagecache_evict(fd, 0, 0, NULL), 0);
	assert_int_equal(resident(fd, 0, 0), 32);
}

static void the_descriptor_may_be_closed(void **state)
{
	int fd = -1;

	need_locks();
	fd = make_pages(*state, "file", 8);
	assert_int_equal(hold_set(&table, id(1), fd, false), 0);
	close(fd);
	assert_int_equal(locked(), 8 * PAGE);
	assert_true(hold_has(&table, id(1), NULL));
	hold_drop(&table, id(1));
	assert_false(hold_has(&table, id(1), NULL));
	assert_int_equal(locked(), 0);
}

static void on_fault_holds_what_is_there_and_reads_nothing(void **state)
{
	owned_fd fd = -1;

	need_disk(*state);
	need_locks();
	fd = make_pages(*state, "file", 32);
	forget_pages(fd);
	touch_page(fd, 3);
	assert_int_equal(hold_set(&table, id(1), fd, true), 0);
	assert_int_equal(resident(fd, 0, 0), 1);
	touch_page(fd, 7);
	assert_int_equal(hold_follow(&table, id(1), fd), 0);
	touch_page(fd, 9);
	assert_int_equal(pagecache_evict(fd, 0, 0, NULL), 0);
	assert_int_equal(resident(fd, 3, 1), 1);
	assert_int_equal(resident(fd, 7, 1), 1);
	assert_int_equal(resident(fd, 0, 0), 2);
}

static void how_a_file_is_held_can_be_changed(void **state)
{
	owned_fd fd = -1;

	need_disk(*state);
	need_locks();
	fd = make_pages(*state, "file", 32);
	forget_pages(fd);
	assert_int_equal(hold_set(&table, id(1), fd, true), 0);
	assert_int_equal(resident(fd, 0, 0), 0);
	assert_int_equal(hold_set(&table, id(1), fd, false), 0);
	assert_int_equal(resident(fd, 0, 0), 32);
	assert_int_equal(hold_set(&table, id(1), fd, true), 0);
	assert_int_equal(locked(), 32 * PAGE);
	assert_int_equal(hold_totals(&table).count, 1);
	assert_int_equal(hold_totals(&table).bytes, 32 * PAGE);
}

static void a_hold_follows_the_size(void **state)
{
	owned_fd fd = -1;

	need_locks();
	fd = make_pages(*state, "file", 0);
	assert_int_equal(hold_set(&table, id(1), fd, false), 0);
	assert_true(hold_has(&table, id(1), NULL));
	assert_int_equal(held(1), 0);
	for (off_t page = 0; page < 16; page++)
		write_page(fd, page);
	assert_int_equal(hold_follow(&table, id(1), fd), 0);
	assert_int_equal(locked(), 16 * PAGE);
	assert_int_equal(ftruncate(fd, 4 * PAGE + 1), 0);
	assert_int_equal(hold_follow(&table, id(1), fd), 0);
	assert_int_equal(locked(), 5 * PAGE);
	assert_int_equal(held(1), 5 * PAGE);
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(hold_follow(&table, id(1), fd), 0);
	assert_int_equal(locked(), 0);
	assert_int_equal(hold_totals(&table).bytes, 0);
	assert_true(hold_has(&table, id(1), NULL));
}

static void what_was_cut_off_and_written_again_is_held(void **state)
{
	owned_fd fd = -1;

	need_disk(*state);
	need_locks();
	fd = make_pages(*state, "file", 16);
	assert_int_equal(hold_set(&table, id(1), fd, false), 0);
	assert_int_equal(ftruncate(fd, PAGE), 0);
	for (off_t page = 0; page < 16; page++)
		write_page(fd, page);
	assert_int_equal(fsync(fd), 0);
	assert_int_equal(hold_follow(&table, id(1), fd), 0);
	assert_int_equal(pagecache_evict(fd, 0, 0, NULL), 0);
	assert_int_equal(resident(fd, 0, 0), 16);
}

static void past_the_limit_nothing_changes(void **state)
{
	owned_fd one = -1;
	owned_fd two = -1;

	need_locks();
	one = make_pages(*state, "one", 40);
	two = make_pages(*state, "two", 25);
	assert_int_equal(hold_set(&table, id(1), one, false), 0);
	assert_int_equal(hold_set(&table, id(2), two, false), -ENOMEM);
	assert_false(hold_has(&table, id(2), NULL));
	assert_int_equal(locked(), 40 * PAGE);
	assert_int_equal(hold_totals(&table).bytes, 40 * PAGE);
	assert_int_equal(ftruncate(two, 24 * PAGE), 0);
	assert_int_equal(hold_set(&table, id(2), two, false), 0);
	assert_int_equal(hold_totals(&table).bytes, TABLE_LIMIT);
	assert_int_equal(ftruncate(one, 41 * PAGE), 0);
	assert_int_equal(hold_follow(&table, id(1), one), -ENOMEM);
	assert_int_equal(held(1), 40 * PAGE);
	assert_int_equal(locked(), TABLE_LIMIT);
	hold_drop(&table, id(2));
	assert_int_equal(hold_follow(&table, id(1), one), 0);
	assert_int_equal(held(1), 41 * PAGE);
}

static void a_held_empty_file_outlives_a_refused_change(void **state)
{
	owned_fd fd = -1;

	need_locks();
	fd = make_pages(*state, "file", 0);
	assert_int_equal(hold_set(&table, id(1), fd, true), 0);
	assert_int_equal(ftruncate(fd, TABLE_LIMIT + 1), 0);
	assert_int_equal(hold_set(&table, id(1), fd, false), -ENOMEM);
	assert_true(hold_has(&table, id(1), NULL));
	assert_int_equal(held(1), 0);
}

static void what_is_not_held_needs_nothing(void **state)
{
	owned_fd fd = make_pages(*state, "file", 4);
	struct place *place = *state;

	assert_int_equal(hold_follow(&table, id(1), fd), 0);
	hold_drop(&table, id(1));
	assert_false(hold_has(&table, id(1), NULL));
	assert_int_equal(hold_set(&table, id(1), place->fd, false), -EINVAL);
	assert_false(hold_has(&table, id(1), NULL));
	assert_int_equal(hold_totals(&table).count, 0);
	assert_int_equal(hold_totals(&table).limit, TABLE_LIMIT);
}

static int init_with_low_limit(void *argument)
{
	struct rlimit limit = { 4096, 1 << 20 };
	struct hold_table another;

	(void)argument;
	expect(setrlimit(RLIMIT_MEMLOCK, &limit) == 0);
	expect(hold_table_init(&another, UINT64_MAX) == 0);
	expect(getrlimit(RLIMIT_MEMLOCK, &limit) == 0);
	expect(limit.rlim_cur == 1 << 20);
	hold_table_fini(&another);
	return 0;
}

static void the_soft_limit_of_locked_memory_is_raised(void **state)
{
	struct rlimit limit;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_MEMLOCK, &limit), 0);
	if (geteuid() != 0 && limit.rlim_max < 1 << 20)
		skip_because("The hard limit can't be raised here.");
	assert_int_equal(in_child(init_with_low_limit, NULL), 0);
}

#define THREADS 4
#define ROUNDS 200

static int thread_fds[THREADS];

/* Every thread comes by every file, and no sum may pass the limit. */
static int set_follow_and_drop(void *argument, unsigned number)
{
	(void)argument;
	for (unsigned round = 0; round < ROUNDS; round++) {
		unsigned which = (number + round) % THREADS;
		struct store_id one = id_of(which);
		int error;

		error = hold_set(&table, &one, thread_fds[which], round % 2);
		expect(error == 0 || error == -ENOMEM);
		error = hold_follow(&table, &one, thread_fds[which]);
		expect(error == 0);
		expect(hold_totals(&table).bytes <= (uint64_t)TABLE_LIMIT);
		if (round % 3 == 0)
			hold_drop(&table, &one);
	}
	return 0;
}

static void threads_share_the_table(void **state)
{
	char name[16];

	need_locks();
	for (unsigned i = 0; i < THREADS; i++) {
		snprintf(name, sizeof(name), "file%u", i);
		thread_fds[i] = make_pages(*state, name, 20);
	}
	assert_int_equal(in_threads(THREADS, set_follow_and_drop, NULL), 0);
	assert_int_equal(locked(), hold_totals(&table).bytes);
	for (unsigned i = 0; i < THREADS; i++) {
		hold_drop(&table, id(i));
		close(thread_fds[i]);
	}
	assert_int_equal(hold_totals(&table).bytes, 0);
	assert_int_equal(hold_totals(&table).count, 0);
	assert_int_equal(locked(), 0);
}

int main(void)
{
#define with_table(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		with_table(a_held_file_is_in_memory_and_stays),
		with_table(the_descriptor_may_be_closed),
		with_table(on_fault_holds_what_is_there_and_reads_nothing),
		with_table(how_a_file_is_held_can_be_changed),
		with_table(a_hold_follows_the_size),
		with_table(what_was_cut_off_and_written_again_is_held),
		with_table(past_the_limit_nothing_changes),
		with_table(a_held_empty_file_outlives_a_refused_change),
		with_table(what_is_not_held_needs_nothing),
		with_table(the_soft_limit_of_locked_memory_is_raised),
		with_table(threads_share_the_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
