// SPDX-License-Identifier: Apache-2.0
/*
 * Mappings: shared between processes, private, coherent with reads and
 * writes, ended by truncation in the process that maps and nowhere else.
 */
#include "contract.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>

enum { page = 4096, size = 16 * page };

static char wanted[size], seen[size];

static char *map_file(const char *name, int flags, int protection, int kind)
{
	int fd = open_ok(name, flags);
	char *map = map_ok(fd, size, protection, kind);

	close_ok(fd);
	return map;
}

static char *map_shared(const char *name)
{
	return map_file(name, O_RDWR, PROT_READ | PROT_WRITE, MAP_SHARED);
}

static void a_mapping_shows_the_file(void **state)
{
	char *map;

	(void)state;
	make_file("file", size, 1);
	fill(wanted, size, 1);
	map = map_file("file", O_RDONLY, PROT_READ, MAP_SHARED);
	check_bytes(map, wanted, size);
	check_ok(munmap(map, size));
}

static void a_read_sees_mapped_writes_and_a_mapping_sees_writes(void **state)
{
	char *map;
	int fd, i;

	(void)state;
	make_file("file", size, 1);
	fd = open_ok("file", O_RDWR);
	map = map_shared("file");
	for (i = 0; i < 200; i++) {
		off_t at = i * 997 % (size - 100);

		fill(wanted, 100, i);
		memcpy(map + at, wanted, 100);
		pread_ok(fd, seen, 100, at);
		check_bytes(seen, wanted, 100);
		fill(wanted, 100, i + 1000);
		pwrite_ok(fd, wanted, 100, at);
		check_bytes(map + at, wanted, 100);
	}
	check_ok(munmap(map, size));
	close_ok(fd);
}

static void a_mapping_sees_the_writes_of_a_write_only_descriptor(void **state)
{
	char *map;
	int fd;

	(void)state;
	make_file("file", size, 1);
	map = map_file("file", O_RDONLY, PROT_READ, MAP_SHARED);
	check_ok(madvise(map, size, MADV_POPULATE_READ));
	fd = open_ok("file", O_WRONLY);
	pwrite_ok(fd, "across the pages", 16, page - 8);
	check_bytes(map + page - 8, "across the pages", 16);
	close_ok(fd);
	fd = open_ok("file", O_WRONLY | O_APPEND);
	write_ok(fd, "x", 1);
	close_ok(fd);
	check_ok(munmap(map, size));
}

struct shared {
	struct gate ask, answer;
};

static void answer_in_mapping(void *argument)
{
	struct shared *shared = argument;
	char *map = map_shared("file");
	int round;

	for (round = 0; round < 100; round++) {
		gate_wait(&shared->ask);
		check_equal(map[round], 'a' + round % 26);
		map[size - 1 - round] = 'A' + round % 26;
		gate_pass(&shared->answer);
	}
}

static void two_processes_share_a_mapping(void **state)
{
	struct shared shared;
	pid_t child;
	char *map;
	int round;

	(void)state;
	make_file("file", size, 1);
	gate_init(&shared.ask);
	gate_init(&shared.answer);
	map = map_shared("file");
	child = spawn(NULL, answer_in_mapping, &shared);
	for (round = 0; round < 100; round++) {
		map[round] = 'a' + round % 26;
		gate_pass(&shared.ask);
		gate_wait(&shared.answer);
		check_equal(map[size - 1 - round], 'A' + round % 26);
	}
	join(child);
	check_ok(munmap(map, size));
	check_equal(stat_of("file").st_size, size);
}

enum { increments = 20000 };

static void increment(void *unused)
{
	unsigned *counter = (unsigned *)map_shared("file");
	int i;

	(void)unused;
	for (i = 0; i < increments; i++)
		__atomic_fetch_add(counter, 1, __ATOMIC_SEQ_CST);
}

static void atomic_increments_of_two_processes_all_count(void **state)
{
	unsigned counter = 0;
	pid_t child;
	int fd;

	(void)state;
	make_file("file", 0, 1);
	check_ok(truncate("file", size));
	child = spawn(NULL, increment, NULL);
	increment(NULL);
	join(child);
	fd = open_ok("file", O_RDONLY);
	pread_ok(fd, &counter, sizeof(counter), 0);
	close_ok(fd);
	check_equal(counter, 2 * increments);
}

static void a_private_mapping_keeps_its_changes_to_itself(void **state)
{
	char *map;

	(void)state;
	make_file("file", size, 1);
	map = map_file("file", O_RDONLY, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	memset(map, 'p', size);
	check_file("file", size, 1);
	check_equal(map[100], 'p');
	check_ok(madvise(map, size, MADV_DONTNEED));
	fill(wanted, size, 1);
	check_bytes(map, wanted, size);
	check_ok(munmap(map, size));
}

static void a_mapping_has_no_more_rights_than_its_descriptor(void **state)
{
	int fd;

	(void)state;
	make_file("file", size, 1);
	fd = open_ok("file", O_RDONLY);
	check(mmap(NULL, size, PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED);
	check_equal(errno, EACCES);
	seen[0] = *map_file("file", O_RDONLY, PROT_READ, MAP_SHARED);
	close_ok(fd);
	fd = open_ok("file", O_WRONLY);
	check(mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED);
	check_equal(errno, EACCES);
	check(mmap(NULL, size, PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED);
	check_equal(errno, EACCES);
	close_ok(fd);
	fd = open_ok(".", O_RDONLY | O_DIRECTORY);
	check(mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED);
	check_equal(errno, ENODEV);
	close_ok(fd);
}

static void mapped_writes_stay_after_munmap_and_close(void **state)
{
	char *map;

	(void)state;
	make_file("file", size, 1);
	map = map_shared("file");
	fill(map, size, 8);
	check_ok(munmap(map, size));
	check_file("file", size, 8);
	map = map_shared("file");
	fill(map, size, 9);
	check_ok(msync(map, size, MS_SYNC));
	check_ok(msync(map, size, MS_ASYNC));
	check_ok(msync(map, size, MS_SYNC | MS_INVALIDATE));
	check_file("file", size, 9);
	check_ok(munmap(map, size));
	check_file("file", size, 9);
}

static void a_mapping_outlives_its_name(void **state)
{
	struct gate pipe;
	char *map;

	(void)state;
	make_file("file", size, 1);
	map = map_shared("file");
	check_ok(unlink("file"));
	fill(wanted, size, 1);
	check_bytes(map, wanted, size);
	fill(map, size, 2);
	check_ok(msync(map, size, MS_SYNC));
	fill(wanted, size, 2);
	check_bytes(map, wanted, size);
	gate_init(&pipe);
	check_equal(write(pipe.fd[1], map, page), page);
	check_ok(munmap(map, size));
}

static void bytes_past_the_end_within_the_page_are_zeros(void **state)
{
	char zeros[page] = "";
	char *map;

	(void)state;
	make_file("file", 100, 1);
	map = map_shared("file");
	check_bytes(map + 100, zeros, page - 100);
	map[200] = 'x';
	check_ok(msync(map, page, MS_SYNC));
	check_ok(munmap(map, size));
	check_equal(stat_of("file").st_size, 100);
	check_file("file", 100, 1);
}

static void expect_bus_error(void)
{
	const struct rlimit none = {0, 0};

	/* Sanitizers catch it. */
	signal(SIGBUS, SIG_DFL);
	check_ok(setrlimit(RLIMIT_CORE, &none));
}

static void read_past_the_end(void *unused)
{
	volatile char *map = map_shared("file");

	(void)unused;
	expect_bus_error();
	(void)map[page - 1];
	(void)map[page];
}

static void write_past_the_end(void *unused)
{
	char *map = map_shared("file");

	(void)unused;
	expect_bus_error();
	map[page - 1] = 'x';
	map[2 * page] = 'x';
}

static void a_page_past_the_end_is_a_bus_error(void **state)
{
	(void)state;
	make_file("file", 100, 1);
	join_killed(spawn(NULL, read_past_the_end, NULL), SIGBUS);
	join_killed(spawn(NULL, write_past_the_end, NULL), SIGBUS);
	check_file("file", 100, 1);
}

static void use_truncated_mapping(void *gates)
{
	struct shared *shared = gates;
	char *map = map_shared("file");

	expect_bus_error();
	memset(map, 'x', size);
	gate_pass(&shared->answer);
	gate_wait(&shared->ask);
	check_equal(map[0], 'x');
	map[4 * page] = 'y';
}

static void truncation_takes_pages_from_a_mapping(void **state)
{
	struct shared shared;
	pid_t child;
	char *map;

	(void)state;
	make_file("file", size, 1);
	gate_init(&shared.ask);
	gate_init(&shared.answer);
	map = map_shared("file");
	child = spawn(NULL, use_truncated_mapping, &shared);
	gate_wait(&shared.answer);
	check_ok(truncate("file", page + 10));
	gate_pass(&shared.ask);
	join_killed(child, SIGBUS);
	/* Grown again, what was cut is zeros. */
	check_ok(truncate("file", size));
	check_equal(map[page + 9], 'x');
	check_equal(map[page + 10], 0);
	check_equal(map[2 * page], 0);
	check_equal(map[size - 1], 0);
	map[3 * page] = 'z';
	check_ok(munmap(map, size));
	memset(wanted, 0, size);
	memset(wanted, 'x', page + 10);
	wanted[3 * page] = 'z';
	map = map_shared("file");
	check_bytes(map, wanted, size);
	check_ok(munmap(map, size));
}

static void a_mapping_grows_with_its_file(void **state)
{
	char *map;
	int fd;

	(void)state;
	make_file("file", 10, 1);
	map = map_shared("file");
	fd = open_ok("file", O_WRONLY | O_APPEND);
	fill(wanted, size, 4);
	write_ok(fd, wanted, 5 * page);
	check_bytes(map + 10, wanted, 5 * page);
	close_ok(fd);
	check_ok(munmap(map, size));
}

static void mapped_writes_fill_a_hole(void **state)
{
	char *map;
	int i;

	(void)state;
	make_file("file", 0, 1);
	check_ok(truncate("file", size));
	map = map_shared("file");
	for (i = 0; i < size; i += 3 * page)
		map[i + 7] = 'h';
	check_ok(msync(map, size, MS_SYNC));
	check_ok(munmap(map, size));
	memset(wanted, 0, size);
	for (i = 0; i < size; i += 3 * page)
		wanted[i + 7] = 'h';
	map = map_file("file", O_RDONLY, PROT_READ, MAP_SHARED);
	check_bytes(map, wanted, size);
	check_ok(munmap(map, size));
}

static void a_part_of_a_file_can_be_mapped_beyond_4_gib(void **state)
{
	const off_t offset = (INT64_C(5) << 30) + page;
	char *map;
	int fd;

	(void)state;
	fd = open_ok("file", O_CREAT | O_RDWR);
	check_ok(ftruncate(fd, offset + size));
	map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		   offset);
	check(map != MAP_FAILED);
	fill(map, size, 5);
	pread_ok(fd, seen, size, offset);
	check_bytes(seen, map, size);
	pwrite_ok(fd, "far", 3, offset + 9);
	check_bytes(map + 9, "far", 3);
	check_ok(munmap(map, size));
	close_ok(fd);
}

static void a_mapping_can_be_moved_and_extended(void **state)
{
	char *map, *moved;

	(void)state;
	make_file("file", size, 1);
	map = map_file("file", O_RDWR, PROT_READ | PROT_WRITE, MAP_SHARED);
	moved = mremap(map, size, 2 * size, MREMAP_MAYMOVE);
	check(moved != MAP_FAILED);
	fill(moved, size, 3);
	check_ok(munmap(moved, 2 * size));
	check_file("file", size, 3);
}

static void a_program_runs_from_a_mapping(void **state)
{
	(void)state;
	copy_program("/bin/true", "program");
	run_as(NULL, execute_it, "./program");
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		contract_case(a_mapping_shows_the_file),
		contract_case(
			a_read_sees_mapped_writes_and_a_mapping_sees_writes),
		contract_case(
		a_mapping_sees_the_writes_of_a_write_only_descriptor),
		contract_case(two_processes_share_a_mapping),
		contract_case(atomic_increments_of_two_processes_all_count),
		contract_case(a_private_mapping_keeps_its_changes_to_itself),
		contract_case(
			a_mapping_has_no_more_rights_than_its_descriptor),
		contract_case(mapped_writes_stay_after_munmap_and_close),
		contract_case(a_mapping_outlives_its_name),
		contract_case(bytes_past_the_end_within_the_page_are_zeros),
		contract_case(a_page_past_the_end_is_a_bus_error),
		contract_case(truncation_takes_pages_from_a_mapping),
		contract_case(a_mapping_grows_with_its_file),
		contract_case(mapped_writes_fill_a_hole),
		contract_case(a_part_of_a_file_can_be_mapped_beyond_4_gib),
		contract_case(a_mapping_can_be_moved_and_extended),
		contract_case(a_program_runs_from_a_mapping),
	};

	return contract_main(argc, argv, tests);
}
