// SPDX-License-Identifier: Apache-2.0
#include "pages.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>

#include "util/cleanup.h"

#define NO_CACHESTAT "There is no cachestat(2) here (Linux 6.5)."

#define need_cachestat()                                                       \
	do {                                                                   \
		if (!pagecache_has_cachestat())                                \
			skip_because(NO_CACHESTAT);                            \
	} while (0)

static void counts_are_of_the_range(void **state)
{
	owned_fd fd = -1;

	need_disk(*state);
	need_cachestat();
	fd = make_pages(*state, "file", 32);
	forget_pages(fd);
	for (off_t page = 8; page < 16; page++)
		touch_page(fd, page);
	write_page(fd, 30);
	assert_true(count(fd, 0, 0).exact);
	assert_int_equal(count(fd, 0, 0).pages, 32);
	assert_int_equal(resident(fd, 0, 0), 9);
	assert_int_equal(resident(fd, 8, 8), 8);
	assert_int_equal(resident(fd, 0, 8), 0);
	assert_int_equal(resident(fd, 12, 0), 5);
	assert_int_equal(dirty(fd, 0, 30), 0);
	assert_int_equal(dirty(fd, 30, 1), 1);
}

static void ranges_are_rounded_outward(void **state)
{
	owned_fd fd = make_pages(*state, "file", 8);
	struct pagecache_counts counts;

	assert_int_equal(pagecache_count(fd, PAGE - 1, 2, &counts), 0);
	assert_int_equal(counts.pages, 2);
	assert_int_equal(pagecache_count(fd, 2 * PAGE, 1, &counts), 0);
	assert_int_equal(counts.pages, 1);
}

static void what_lies_past_the_end_is_left_out(void **state)
{
	owned_fd fd = make_pages(*state, "file", 8);
	struct pagecache_counts counts;

	assert_int_equal(ftruncate(fd, 7 * PAGE + 1), 0);
	assert_int_equal(count(fd, 0, 1000).pages, 8);
	assert_int_equal(count(fd, 0, 0).pages, 8);
	assert_int_equal(count(fd, 9, 0).pages, 0);
	assert_int_equal(count(fd, 9, 5).pages, 0);
	assert_int_equal(pagecache_count(fd, PAGE, INT64_MAX, &counts), 0);
	assert_int_equal(counts.pages, 7);
	assert_int_equal(pagecache_count(fd, INT64_MAX, 1, &counts), 0);
	assert_int_equal(counts.pages, 0);
	assert_int_equal(pagecache_count(fd, -1, 0, &counts), -EINVAL);
	assert_int_equal(pagecache_count(fd, 0, -1, &counts), -EINVAL);
}

static void an_empty_file_has_nothing_to_do(void **state)
{
	owned_fd fd = make_pages(*state, "file", 0);
	char text[16];

	assert_int_equal(count(fd, 0, 0).pages, 0);
	assert_int_equal(pagecache_map(fd, text, sizeof(text)), 0);
	assert_int_equal(pagecache_load(fd, 0, 0, NULL), 0);
	assert_int_equal(pagecache_populate(fd, 0, 0, false, NULL), 0);
	assert_int_equal(pagecache_populate_write(fd, 0, 0, false, NULL), 0);
	assert_int_equal(pagecache_cool(fd, 0, 0, NULL), 0);
	assert_int_equal(pagecache_start_writeback(fd, 0, 0), 0);
	assert_int_equal(pagecache_sync_range(fd, 0, 0), 0);
}

/* Has cachestat(2) fail with ENOSYS from now on. */
static int take_cachestat_away(void)
{
	struct sock_filter steps[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 451, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog filter = { 4, steps };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) < 0 ?
		-errno : 0;
}

static int count_without_cachestat(void *argument)
{
	int fd = *(int *)argument;
	struct pagecache_counts counts;
	char text[64], wanted[64];
	ssize_t length;

	expect(take_cachestat_away() == 0);
	expect(pagecache_count(fd, 0, 0, &counts) == 0);
	expect(!counts.exact);
	expect(counts.pages == 32 && counts.resident == 3);
	length = pagecache_map(fd, text, sizeof(text));
	snprintf(wanted, sizeof(wanted), "%jd+%jd r\n", (intmax_t)(5 * PAGE),
		(intmax_t)(3 * PAGE));
	expect(length == (ssize_t)strlen(wanted));
	expect(memcmp(text, wanted, (size_t)length) == 0);
	expect(pagecache_load(fd, 0, 0, NULL) == 0);
	/* mincore(2) doesn't count pages that are still being read. */
	expect(pages_are_whole(fd, 32));
	expect(pagecache_count(fd, 0, 0, &counts) == 0);
	expect(counts.resident == 32);
	expect(pagecache_evict(fd, 0, 0, NULL) == 0);
	expect(pagecache_count(fd, 0, 0, &counts) == 0);
	expect(counts.resident == 0);
	return 0;
}

static void mincore_counts_where_cachestat_is_missing(void **state)
{
	owned_fd fd = -1;

	need_disk(*state);
	fd = make_pages(*state, "file", 32);
	forget_pages(fd);
	for (off_t page = 5; page < 8; page++)
		touch_page(fd, page);
	assert_int_equal(in_child(count_without_cachestat, &fd), 0);
}

static const char *map_of(int fd, size_t size)
{
	static char text[65536];
	ssize_t length = pagecache_map(fd, text, size);

	assert_true(length >= 0 && (size_t)length <= size);
	text[length] = '\0';
	return text;
}

static const char *line_of(off_t page, off_t end, char state)
{
	static char line[64];

	snprintf(line, sizeof(line), "%jd+%jd %c\n", (intmax_t)(page * PAGE),
		(intmax_t)(end - page * PAGE), state);
	return line;
}

static void the_map_shows_runs_of_pages(void **state)
{
	owned_fd fd = -1;
	char wanted[256];

	need_disk(*state);
	need_cachestat();
	fd = make_pages(*state, "file", 63);
	assert_int_equal(pwrite(fd, "five!", 5, 63 * PAGE), 5);
	assert_int_equal(fsync(fd), 0);
	assert_string_equal(map_of(fd, 4096), line_of(0, 63 * PAGE + 5, 'r'));
	forget_pages(fd);
	assert_string_equal(map_of(fd, 4096), "");
	for (off_t page = 3; page < 9; page++)
		touch_page(fd, page);
	write_page(fd, 9);
	write_page(fd, 10);
	write_page(fd, 20);
	touch_page(fd, 62);
	touch_page(fd, 63);
	strcpy(wanted, line_of(3, 9 * PAGE, 'r'));
	strcat(wanted, line_of(9, 11 * PAGE, 'd'));
	strcat(wanted, line_of(20, 21 * PAGE, 'd'));
	strcat(wanted, line_of(62, 63 * PAGE + 5, 'r'));
	assert_string_equal(map_of(fd, 4096), wanted);
}

static void a_map_that_does_not_fit_is_made_of_grains(void **state)
{
	owned_fd fd = -1;
	const char *text;

	need_disk(*state);
	need_cachestat();
	fd = make_pages(*state, "file", 256);
	forget_pages(fd);
	for (off_t page = 0; page < 128; page += 2)
		touch_page(fd, page);
	text = map_of(fd, 128);
	assert_int_equal(strncmp(text, "grain=", 6), 0);
	assert_true(atoll(text + 6) > PAGE);
	assert_int_equal(atoll(text + 6) % PAGE, 0);
	assert_string_equal(strchr(text, '\n') + 1,
		line_of(0, 128 * PAGE, 'p'));
	write_page(fd, 255);
	assert_non_null(strstr(map_of(fd, 128), " d\n"));
	assert_int_equal(pagecache_map(fd, spare_bytes(), 4), -ERANGE);
}

/* A memfd's tmpfs takes one; the last page is not whole. */
static void the_largest_file_has_a_map(void **state)
{
	const off_t last = INT64_MAX - INT64_MAX % PAGE;
	owned_fd fd = memfd_create("largest", MFD_CLOEXEC);
	char text[256];
	ssize_t length;

	(void)state;
	assert_int_equal(ftruncate(fd, INT64_MAX), 0);
	for (off_t page = 0; page < 64; page += 2)
		assert_int_equal(pwrite(fd, "x", 1, page * PAGE), 1);
	assert_int_equal(pwrite(fd, "x", 1, last - PAGE), 1);
	length = pagecache_map(fd, text, sizeof(text) - 1);
	assert_true(length > 0);
	text[length] = '\0';
	assert_int_equal(strncmp(text, "grain=", 6), 0);
	assert_null(strchr(text, '-'));
}

static void large_sparse_files_are_looked_at_quickly(void **state)
{
	owned_fd fd = -1;
	off_t pages = ((off_t)8 << 40) / PAGE;
	char wanted[128];

	need_disk(*state);
	need_cachestat();
	fd = openat(((struct place *)*state)->fd, "file",
		O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (ftruncate(fd, pages * PAGE) < 0)
		skip_because("Files of 8 TiB can't be made here.");
	touch_page(fd, 1);
	touch_page(fd, pages / 3);
	touch_page(fd, pages - 1);
	strcpy(wanted, line_of(1, 2 * PAGE, 'r'));
	strcat(wanted, line_of(pages / 3, (pages / 3 + 1) * PAGE, 'r'));
	strcat(wanted, line_of(pages - 1, pages * PAGE, 'r'));
	assert_string_equal(map_of(fd, 4096), wanted);
	assert_int_equal(resident(fd, 0, 0), 3);
}

static void loading_brings_in_the_range_and_no_more(void **state)
{
	owned_fd fd = -1;

	need_disk(*state);
	fd = make_pages(*state, "file", 1024);
	forget_pages(fd);
	assert_int_equal(pagecache_load(fd, 100 * PAGE, 200 * PAGE, NULL), 0);
	assert_int_equal(resident(fd, 100, 200), 200);
	assert_int_equal(resident(fd, 0, 0), 200);
	assert_int_equal(pagecache_load(fd, 0, 0, NULL), 0);
	assert_int_equal(resident(fd, 0, 0), 1024);
}

static void populating_brings_in_the_range_and_no_more(void **state)
{
	owned_fd fd = -1;

	need_disk(*state);
	fd = make_pages(*state, "file", 1024);
	forget_pages(fd);
	assert_int_equal(pagecache_populate(fd, 600 * PAGE, 300 * PAGE, false,
		NULL), 0);
	assert_int_equal(resident(fd, 600, 300), 300);
	assert_int_equal(resident(fd, 0, 0), 300);
	assert_int_equal(pagecache_populate(fd, 0, 0, false, NULL), 0);
	assert_int_equal(resident(fd, 0, 0), 1024);
	assert_true(pages_are_whole(fd, 1024));
}

static void ranges_past_four_gigabytes_act_on_their_pages(void **state)
{
	owned_fd fd = -1;
	off_t first = ((off_t)5 << 30) / PAGE + 7;

	need_disk(*state);
	fd = openat(((struct place *)*state)->fd, "file",
		O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	for (off_t page = first; page < first + 32; page++)
		write_page(fd, page);
	forget_pages(fd);
	assert_int_equal(pagecache_populate(fd, first * PAGE, 2 * PAGE, false,
		NULL), 0);
	assert_int_equal(resident(fd, first, 2), 2);
	assert_int_equal(pagecache_load(fd, (first + 8) * PAGE, 3 * PAGE,
		NULL), 0);
	assert_int_equal(resident(fd, first + 8, 3), 3);
	assert_int_equal(resident(fd, 0, 0), 5);
	assert_int_equal(pagecache_evict(fd, first * PAGE, PAGE, NULL), 0);
	assert_int_equal(resident(fd, first, 1), 0);
	assert_int_equal(resident(fd, 0, 0), 4);
}

static bool third_time(void *context)
{
	return ++*(unsigned *)context >= 3;
}

static void work_stops_when_it_is_asked_to(void **state)
{
	unsigned times = 0;
	struct pagecache_stop stop = { third_time, &times };
	off_t pages = ((off_t)8 << 20) / PAGE;
	owned_fd fd = -1;

	need_disk(*state);
	fd = make_pages(*state, "file", pages);
	forget_pages(fd);
	assert_int_equal(pagecache_populate(fd, 0, 0, false, &stop), -EINTR);
	assert_true(resident(fd, 0, 0) > 0);
	assert_true(resident(fd, 0, 0) < pages);
	times = 2;
	assert_int_equal(pagecache_load(fd, 0, 0, &stop), -EINTR);
	times = 2;
	assert_int_equal(pagecache_evict(fd, 0, 0, &stop), -EINTR);
	times = 2;
	assert_int_equal(pagecache_page_out(fd, 0, 0, &stop), -EINTR);
	times = 2;
	assert_int_equal(pagecache_cool(fd, 0, 0, &stop), -EINTR);
}

static void holes_are_made_ready_to_be_written(void **state)
{
	owned_fd fd = -1;
	struct stat status;

	need_disk(*state);
	fd = make_pages(*state, "file", 0);
	assert_int_equal(ftruncate(fd, 64 * PAGE), 0);
	assert_int_equal(pagecache_populate_write(fd, 16 * PAGE, 32 * PAGE,
		false, NULL), 0);
	assert_int_equal(resident(fd, 16, 32), 32);
	assert_int_equal(fsync(fd), 0);
	assert_int_equal(fstat(fd, &status), 0);
	assert_int_equal(status.st_size, 64 * PAGE);
	assert_true(status.st_blocks * 512 >= 32 * PAGE);
	assert_true(status.st_blocks * 512 < 64 * PAGE);
}

static int fill_a_small_store(void *argument)
{
	struct place *place = argument;
	char path[sizeof(place->directory) + 8];
	owned_fd fd = -1;

	snprintf(path, sizeof(path), "%s/small", place->directory);
	expect(unshare(CLONE_NEWNS) == 0);
	expect(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
	expect(mkdir(path, 0700) == 0);
	expect(mount("small", path, "tmpfs", 0, "size=1m") == 0);
	strcat(path, "/f");
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	expect(fd >= 0 && ftruncate(fd, 2 << 20) == 0);
	expect(pagecache_populate_write(fd, 0, 512 << 10, false, NULL) == 0);
	expect(pagecache_populate_write(fd, 0, 0, false, NULL) == -ENOSPC);
	return 0;
}

static void a_full_store_is_said_to_be_full(void **state)
{
	if (geteuid() != 0)
		skip_because("Only root can mount a small store.");
	assert_int_equal(in_child(fill_a_small_store, *state), 0);
}

static void cooling_brings_nothing_in_and_drops_nothing(void **state)
{
	owned_fd fd = -1;

	need_disk(*state);
	fd = make_pages(*state, "file", 256);
	forget_pages(fd);
	for (off_t page = 10; page < 20; page++)
		touch_page(fd, page);
	for (off_t page = 100; page < 110; page++)
		write_page(fd, page);
	assert_int_equal(pagecache_cool(fd, 0, 0, NULL), 0);
	assert_int_equal(resident(fd, 10, 10), 10);
	assert_int_equal(resident(fd, 100, 10), 10);
	assert_int_equal(resident(fd, 0, 0), 20);
}

static void make_dirty(int fd, off_t pages)
{
	for (off_t page = 0; page < pages; page++)
		write_page(fd, page);
}

static void only_the_range_is_synced(void **state)
{
	owned_fd fd = -1;
	unsigned left = 0;

	need_disk(*state);
	need_cachestat();
	if (is_on(*state, BTRFS_SUPER_MAGIC))
		skip_because("btrfs syncs the whole file.");
	fd = make_pages(*state, "file", 64);
	/* A sync(1) of somebody else's may come between. */
	for (int i = 0; i < 10 && left != 56; i++) {
		make_dirty(fd, 64);
		assert_int_equal(pagecache_sync_range(fd, 8 * PAGE, 8 * PAGE),
			0);
		left = dirty(fd, 0, 0);
		assert_int_equal(dirty(fd, 8, 8), 0);
		assert_int_equal(count(fd, 8, 8).writeback, 0);
	}
	assert_int_equal(left, 56);
	assert_int_equal(pagecache_sync_range(fd, 0, 0), 0);
	assert_int_equal(dirty(fd, 0, 0), 0);
}

static void a_file_open_for_reading_is_synced_as_a_whole(void **state)
{
	owned_fd fd = -1;
	owned_fd reader = -1;

	need_cachestat();
	fd = make_pages(*state, "file", 16);
	reader = openat(((struct place *)*state)->fd, "file",
		O_RDONLY | O_CLOEXEC);
	make_dirty(fd, 16);
	assert_int_equal(pagecache_sync_range(reader, PAGE, PAGE), 0);
	assert_int_equal(dirty(fd, 0, 0), 0);
}

static void writeback_is_started_and_goes_on_by_itself(void **state)
{
	owned_fd fd = -1;
	time_t deadline = time(NULL) + 20;

	need_disk(*state);
	need_cachestat();
	fd = make_pages(*state, "file", 64);
	make_dirty(fd, 64);
	assert_int_equal(pagecache_start_writeback(fd, 0, 32 * PAGE), 0);
	assert_int_equal(dirty(fd, 0, 32), 0);
	while (count(fd, 0, 32).writeback > 0 && time(NULL) < deadline)
		usleep(1000);
	assert_int_equal(count(fd, 0, 32).writeback, 0);
}

static void huge_pages_are_tried_without_a_trace(void **state)
{
	struct place *place = *state;
	int error = pagecache_try_huge(place->fd);

	assert_true(error == 0 || error == -EOPNOTSUPP || error == -EINVAL);
	assert_int_equal(mappings_of(place->directory), 0);
}

static void collapsing_says_whether_it_could(void **state)
{
	owned_fd disk = make_pages(*state, "file", 1024);
	int error = pagecache_collapse(disk, 0, 0, NULL);

	assert_true(error == 0 || error == -EINVAL || error == -EOPNOTSUPP);
	if (!is_on(*state, TMPFS_MAGIC))
		assert_true(resident(disk, 0, 0) <= 1024);
	assert_true(pages_are_whole(disk, 1024));
}

int main(void)
{
#define in_place(test)                                                         \
	cmocka_unit_test_setup_teardown(test, place_setup, place_teardown)
	const struct CMUnitTest tests[] = {
		in_place(counts_are_of_the_range),
		in_place(ranges_are_rounded_outward),
		in_place(what_lies_past_the_end_is_left_out),
		in_place(an_empty_file_has_nothing_to_do),
		in_place(mincore_counts_where_cachestat_is_missing),
		in_place(the_map_shows_runs_of_pages),
		in_place(a_map_that_does_not_fit_is_made_of_grains),
		in_place(the_largest_file_has_a_map),
		in_place(large_sparse_files_are_looked_at_quickly),
		in_place(loading_brings_in_the_range_and_no_more),
		in_place(populating_brings_in_the_range_and_no_more),
		in_place(ranges_past_four_gigabytes_act_on_their_pages),
		in_place(work_stops_when_it_is_asked_to),
		in_place(holes_are_made_ready_to_be_written),
		in_place(a_full_store_is_said_to_be_full),
		in_place(cooling_brings_nothing_in_and_drops_nothing),
		in_place(only_the_range_is_synced),
		in_place(a_file_open_for_reading_is_synced_as_a_whole),
		in_place(writeback_is_started_and_goes_on_by_itself),
		in_place(huge_pages_are_tried_without_a_trace),
		in_place(collapsing_says_whether_it_could),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
