// SPDX-License-Identifier: Apache-2.0
#include "support.h"

#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/mapping.h"
#include "os/guard.h"
#include "util/cleanup.h"

#define FILES 12

/* Some files and their mappings, in a pool of their own. */
struct files {
	struct mapping_pool pool;
	struct mapping mappings[FILES];
	int fds[FILES];
};

static struct files files;

static void open_files(struct place *place, unsigned limit)
{
	char name[16];

	mapping_pool_init(&files.pool, limit);
	for (int i = 0; i < FILES; i++) {
		snprintf(name, sizeof(name), "file%d", i);
		make_file(place, name, name);
		files.fds[i] = openat(place->fd, name, O_RDWR | O_CLOEXEC);
		assert_true(files.fds[i] >= 0);
		mapping_init(&files.mappings[i], &files.pool);
	}
}

static void close_files(void)
{
	for (int i = 0; i < FILES; i++) {
		mapping_fini(&files.mappings[i]);
		close(files.fds[i]);
	}
	assert_int_equal(files.pool.count, 0);
	mapping_pool_fini(&files.pool);
}

static struct region *get(int i, off_t end)
{
	return mapping_get(&files.mappings[i], files.fds[i], true, end);
}

static void a_region_shows_the_file(void **state)
{
	struct region *region;

	open_files(*state, 0);
	region = get(3, 5);
	assert_non_null(region);
	assert_true(region->length >= 5);
	assert_memory_equal(region->base, "file3", 5);
	memcpy(region->base, "FILE3", 5);
	assert_string_equal(stored(*state, "file3"), "FILE3");
	region_put(region);
	close_files();
}

static void a_second_use_maps_nothing_new(void **state)
{
	struct region *first, *second;

	open_files(*state, 0);
	first = get(0, 5);
	second = get(0, 4096);
	assert_ptr_equal(first, second);
	assert_int_equal(files.pool.count, 1);
	region_put(first);
	region_put(second);
	assert_int_equal(mappings_of("file0"), 1);
	close_files();
}

static void a_region_reaches_as_far_as_asked(void **state)
{
	static const off_t ends[] = { 1, 4096, (off_t)1 << 20,
		((off_t)1 << 20) + 1, ((off_t)1 << 21) + 1, (off_t)5 << 30,
		((off_t)1 << 34) + 1, (off_t)1 << 42 };

	open_files(*state, 0);
	for (unsigned i = 0; i < sizeof(ends) / sizeof(*ends); i++) {
		struct region *region = get(0, ends[i]);

		/* TSan's address space is small; then there is none. */
		if (!region) {
			assert_true(ends[i] > (off_t)1 << 30);
			continue;
		}
		assert_true((off_t)region->length >= ends[i]);
		region_put(region);
	}
	close_files();
}

static void no_offset_overflows(void **state)
{
	open_files(*state, 0);
	assert_null(get(0, INT64_MAX));
	assert_null(get(0, INT64_MAX / 2));
	close_files();
}

static void ten_thousand_appends_map_anew_a_few_times(void **state)
{
	char block[4096];
	off_t size = 0;
	struct region *last = NULL;
	unsigned times = 0;

	open_files(*state, 0);
	memset(block, 'x', sizeof(block));
	for (int i = 0; i < 10000; i++) {
		struct region *region;

		assert_int_equal(pwrite(files.fds[0], block, sizeof(block),
			size), sizeof(block));
		size += (off_t)sizeof(block);
		region = get(0, size);
		assert_non_null(region);
		assert_int_equal(region->base[size - 1], 'x');
		times += region != last || region->length == 0;
		last = region;
		region_put(region);
	}
	assert_in_range(times, 1, 20);
	assert_int_equal(mappings_of("file0"), 1);
	close_files();
}

static void the_pool_keeps_to_its_limit(void **state)
{
	struct place *place = *state;

	open_files(place, 4);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < FILES; i++) {
			struct region *region = get(i, 5);

			assert_memory_equal(region->base, "file", 4);
			region_put(region);
			assert_true(files.pool.count <= 4);
			assert_true(mappings_of(place->directory) <= 4);
		}
	}
	close_files();
}

/* The hand spares once what was used since it came by. */
static void what_is_used_again_and_again_stays(void **state)
{
	struct region *favourite;
	unsigned remapped = 0;

	open_files(*state, 4);
	favourite = get(0, 5);
	region_put(favourite);
	for (int round = 0; round < 5; round++) {
		for (int i = 1; i < FILES; i++) {
			struct region *region = get(i, 5);

			region_put(region);
			region = get(0, 5);
			remapped += region != favourite;
			favourite = region;
			region_put(region);
		}
	}
	/* By turns each of 55 others came in; the favourite left rarely. */
	assert_in_range(remapped, 0, 5 * FILES / 3);
	close_files();
}

static void a_region_in_use_outlives_its_eviction(void **state)
{
	struct region *used;

	open_files(*state, 2);
	used = get(0, 5);
	for (int round = 0; round < 2; round++) {
		for (int i = 1; i < FILES; i++)
			region_put(get(i, 5));
	}
	assert_null(files.mappings[0].region);
	assert_memory_equal(used->base, "file0", 5);
	memcpy(used->base, "still", 5);
	assert_string_equal(stored(*state, "file0"), "still");
	assert_int_equal(mappings_of("file0"), 1);
	region_put(used);
	assert_int_equal(mappings_of("file0"), 0);
	close_files();
}

static void a_region_in_use_outlives_its_growth(void **state)
{
	struct region *small, *large;

	open_files(*state, 0);
	small = get(0, 5);
	large = get(0, (off_t)small->length + 1);
	assert_ptr_not_equal(small, large);
	assert_int_equal(files.pool.count, 1);
	memcpy(small->base, "small", 5);
	assert_memory_equal(large->base, "small", 5);
	region_put(small);
	region_put(large);
	close_files();
}

static void a_drop_gives_the_address_space_back(void **state)
{
	open_files(*state, 0);
	region_put(get(0, 5));
	assert_int_equal(mappings_of("file0"), 1);
	mapping_drop(&files.mappings[0]);
	assert_int_equal(mappings_of("file0"), 0);
	assert_int_equal(files.pool.count, 0);
	mapping_drop(&files.mappings[0]);
	region_put(get(0, 5));
	close_files();
}

static void a_write_only_descriptor_has_no_region(void **state)
{
	struct place *place = *state;
	struct mapping mapping;
	owned_fd fd = -1;

	open_files(place, 0);
	fd = openat(place->fd, "file0", O_WRONLY | O_CLOEXEC);
	mapping_init(&mapping, &files.pool);
	assert_null(mapping_get(&mapping, fd, true, 5));
	assert_null(mapping_get(&mapping, fd, false, 5));
	mapping_fini(&mapping);
	close_files();
}

static void a_read_only_descriptor_can_only_be_read(void **state)
{
	struct place *place = *state;
	struct mapping mapping;
	struct region *region;
	owned_fd fd = -1;

	open_files(place, 0);
	fd = openat(place->fd, "file0", O_RDONLY | O_CLOEXEC);
	mapping_init(&mapping, &files.pool);
	assert_null(mapping_get(&mapping, fd, true, 5));
	region = mapping_get(&mapping, fd, false, 5);
	assert_non_null(region);
	assert_false(region->writable);
	assert_memory_equal(region->base, "file0", 5);
	region_put(region);
	mapping_fini(&mapping);
	close_files();
}

static void the_first_writer_maps_anew(void **state)
{
	struct region *reader, *writer, *again;

	open_files(*state, 0);
	reader = mapping_get(&files.mappings[0], files.fds[0], false, 5);
	assert_false(reader->writable);
	writer = get(0, 5);
	assert_ptr_not_equal(reader, writer);
	assert_true(writer->writable);
	again = mapping_get(&files.mappings[0], files.fds[0], false, 5);
	assert_ptr_equal(again, writer);
	region_put(reader);
	region_put(writer);
	region_put(again);
	close_files();
}

static int map_without_address_space(void *argument)
{
	struct rlimit limit = { .rlim_cur = 1, .rlim_max = 1 };
	struct region *region;

	(void)argument;
	expect(setrlimit(RLIMIT_AS, &limit) == 0);
	region = get(1, (off_t)1 << 30);
	expect(region == NULL);
	expect(files.mappings[1].region == NULL);
	/* What was there already goes on. */
	region = get(0, 5);
	expect(region != NULL);
	expect(memcmp(region->base, "file0", 5) == 0);
	region_put(region);
	return 0;
}

static void without_address_space_there_is_no_region(void **state)
{
	open_files(*state, 0);
	region_put(get(0, 5));
	assert_int_equal(in_child(map_without_address_space, NULL), 0);
	close_files();
}

static void the_system_s_limit_is_the_default(void **state)
{
	struct mapping_pool pool;
	unsigned maximum = 0;
	FILE *file = fopen("/proc/sys/vm/max_map_count", "re");

	(void)state;
	assert_non_null(file);
	assert_int_equal(fscanf(file, "%u", &maximum), 1);
	fclose(file);
	mapping_pool_init(&pool, 0);
	assert_in_range(pool.limit, maximum / 2, maximum - 1);
	mapping_pool_fini(&pool);
}

/* ---- threads ------------------------------------------------------------ */

#define THREADS 8

static int use_regions(void *argument, unsigned thread)
{
	int wrong = 0;

	(void)argument;
	for (int i = 0; i < 3000; i++) {
		int which = (int)((unsigned)i * 5 + thread) % FILES;
		struct region *region = get(which, 1 + i % 5000000);
		char text[4];

		if (!region)
			return 1;
		wrong += !guard_copy(text, region->base, 4) ||
			memcmp(text, "file", 4) != 0;
		region_put(region);
	}
	return wrong;
}

static void threads_share_a_small_pool(void **state)
{
	struct place *place = *state;

	open_files(place, 4);
	assert_int_equal(guard_init(), 0);
	assert_int_equal(in_threads(THREADS, use_regions, NULL), 0);
	/* A region that is being made can't be given up just then. */
	assert_in_range(files.pool.count, 1, 4 + THREADS);
	for (int i = 0; i < FILES; i++)
		region_put(get(i, 5));
	assert_true(files.pool.count <= 4);
	assert_true(mappings_of(place->directory) <= 4);
	close_files();
}

static int drop_regions(void *argument, unsigned thread)
{
	struct region *region;
	int wrong = 0;

	(void)argument;
	for (int i = 0; i < 3000; i++) {
		if (thread == 0) {
			mapping_drop(&files.mappings[0]);
			continue;
		}
		region = get(0, 5);
		wrong += memcmp(region->base, "file0", 5) != 0;
		region_put(region);
	}
	return wrong;
}

static void a_drop_harms_no_other_thread(void **state)
{
	open_files(*state, 0);
	assert_int_equal(in_threads(THREADS, drop_regions, NULL), 0);
	close_files();
}

#define sentence(name) \
	cmocka_unit_test_setup_teardown(name, place_setup, place_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		sentence(a_region_shows_the_file),
		sentence(a_second_use_maps_nothing_new),
		sentence(a_region_reaches_as_far_as_asked),
		sentence(no_offset_overflows),
		sentence(ten_thousand_appends_map_anew_a_few_times),
		sentence(the_pool_keeps_to_its_limit),
		sentence(what_is_used_again_and_again_stays),
		sentence(a_region_in_use_outlives_its_eviction),
		sentence(a_region_in_use_outlives_its_growth),
		sentence(a_drop_gives_the_address_space_back),
		sentence(a_write_only_descriptor_has_no_region),
		sentence(a_read_only_descriptor_can_only_be_read),
		sentence(the_first_writer_maps_anew),
		sentence(without_address_space_there_is_no_region),
		sentence(the_system_s_limit_is_the_default),
		sentence(threads_share_a_small_pool),
		sentence(a_drop_harms_no_other_thread),
	};

	return cmocka_run_group_tests_name("mapping", tests, NULL, NULL);
}
