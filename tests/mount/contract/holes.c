// SPDX-License-Identifier: Apache-2.0
/*
 * Allocation and holes: fallocate in every mode, SEEK_HOLE and SEEK_DATA.
 *
 * FUSE in the kernel passes on three modes (plain, punch, zero range, each
 * with keep-size) and refuses the others itself with EOPNOTSUPP, as do
 * filesystems without them. A mode that is refused must change nothing.
 */
#include "contract.h"

#include <linux/falloc.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/vfs.h>

enum { size = 1 << 20, block = 65536 };

static char wanted[size + block], seen[size + block];

/* A file of 1 MiB that is on the store, not only in the cache. */
static int make_stored_file(void)
{
	int fd;

	make_file("file", size, 1);
	fill(wanted, size, 1);
	fd = open_ok("file", O_RDWR);
	check_ok(fsync(fd));
	return fd;
}

static void check_contents(int fd, size_t length)
{
	check_equal(fstat_of(fd).st_size, length);
	pread_ok(fd, seen, length, 0);
	check_bytes(seen, wanted, length);
	check_equal(pread(fd, seen, 1, length), 0);
}

/* False when the mode does not exist here; nothing may have changed then. */
static bool allocate(int fd, int mode, off_t offset, off_t length)
{
	struct stat before = fstat_of(fd);

	if (fallocate(fd, mode, offset, length) == 0)
		return true;
	if (errno != EOPNOTSUPP)
		check_failed(__FILE__, __LINE__, "fallocate mode %#x: %s",
			     (unsigned)mode, strerror(errno));
	check_contents(fd, before.st_size);
	return false;
}

static void must_allocate(int fd, int mode, off_t offset, off_t length)
{
	if (!allocate(fd, mode, offset, length))
		check_failed(__FILE__, __LINE__, "no fallocate mode %#x",
			     (unsigned)mode);
}

/* For the modes that not everybody has. */
static void need_mode(int fd, int mode, off_t offset, off_t length)
{
	if (!allocate(fd, mode, offset, length))
		skip_because("n/a: no such fallocate here");
}

/* What is staged gives its space back with the next commit. */
static void check_blocks_fall(int fd, blkcnt_t before)
{
	const char *map = getenv("CONTRACT_MAP");
	bool is_staged = map && strcmp(map, "staged") == 0;

	for (int i = 0; is_staged && i < 600; i++) {
		if (fstat_of(fd).st_blocks < before)
			return;
		usleep(50000);
	}
	check(fstat_of(fd).st_blocks < before);
}

static void plain_allocation_extends_with_zeros(void **state)
{
	int fd = make_stored_file();

	(void)state;
	must_allocate(fd, 0, 0, size + 5000);
	check_contents(fd, size + 5000);
	check(fstat_of(fd).st_blocks * 512 >= size + 4096);
	must_allocate(fd, 0, 100, 100);
	check_contents(fd, size + 5000);
	close_ok(fd);
}

static void plain_allocation_fills_holes(void **state)
{
	int fd = open_ok("file", O_CREAT | O_RDWR);

	(void)state;
	check_ok(ftruncate(fd, size));
	memset(wanted, 0, sizeof(wanted));
	must_allocate(fd, 0, 0, size);
	check_contents(fd, size);
	check(fstat_of(fd).st_blocks * 512 >= size);
	close_ok(fd);
}

static void allocation_may_keep_the_size(void **state)
{
	int fd = make_stored_file();
	blkcnt_t before = fstat_of(fd).st_blocks;

	(void)state;
	must_allocate(fd, FALLOC_FL_KEEP_SIZE, size, size);
	check_contents(fd, size);
	check(fstat_of(fd).st_blocks >= before + size / 512 / 2);
	check_equal(fstat_of(fd).st_size, size);
	pwrite_ok(fd, "x", 1, size);
	wanted[size] = 'x';
	check_contents(fd, size + 1);
	close_ok(fd);
}

static void a_punched_hole_reads_as_zeros(void **state)
{
	int fd = make_stored_file();
	blkcnt_t before = fstat_of(fd).st_blocks;
	const int mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;

	(void)state;
	must_allocate(fd, mode, 2 * block, 4 * block);
	check_blocks_fall(fd, before);
	memset(wanted + 2 * block, 0, 4 * block);
	check_contents(fd, size);
	/* Not on any boundary. */
	must_allocate(fd, mode, 8 * block + 77, 5000);
	memset(wanted + 8 * block + 77, 0, 5000);
	check_contents(fd, size);
	/* Across the end and past it. */
	must_allocate(fd, mode, size - 100, block);
	memset(wanted + size - 100, 0, 100);
	check_contents(fd, size);
	check_fails(fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, 4096), EOPNOTSUPP);
	close_ok(fd);
}

/* Filling a tmpfs by reading it would be a surprise. */
static void reading_a_hole_takes_no_space(void **state)
{
	int fd = open_ok("file", O_CREAT | O_RDWR);
	blkcnt_t before;

	(void)state;
	check_ok(ftruncate(fd, size));
	memset(wanted, 0, sizeof(wanted));
	before = fstat_of(fd).st_blocks;
	check_contents(fd, size);
	check_equal(fstat_of(fd).st_blocks, before);
	close_ok(fd);
	check_equal(stat_of("file").st_blocks, before);
}

static void a_mapping_and_a_cached_read_see_the_hole(void **state)
{
	int fd = make_stored_file();
	char *map = map_ok(fd, size, PROT_READ, MAP_SHARED);

	(void)state;
	check_contents(fd, size);
	check_ok(madvise(map, size, MADV_POPULATE_READ));
	must_allocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		      block + 10, block);
	memset(wanted + block + 10, 0, block);
	check_bytes(map, wanted, size);
	check_contents(fd, size);
	check_ok(munmap(map, size));
	close_ok(fd);
}

static void a_hole_can_be_written_again(void **state)
{
	int fd = make_stored_file();

	(void)state;
	must_allocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
		  8 * block);
	memset(wanted, 0, 8 * block);
	pwrite_ok(fd, "back", 4, block + 5);
	memcpy(wanted + block + 5, "back", 4);
	check_contents(fd, size);
	close_ok(fd);
	check_equal(stat_of("file").st_size, size);
}

static void a_zeroed_range_reads_as_zeros(void **state)
{
	int fd = make_stored_file();

	(void)state;
	if (store_is("tmpfs", TMPFS_MAGIC))
		skip_because("n/a: tmpfs zeroes no ranges");
	must_allocate(fd, FALLOC_FL_ZERO_RANGE, block + 100, 3 * block);
	memset(wanted + block + 100, 0, 3 * block);
	check_contents(fd, size);
	must_allocate(fd, FALLOC_FL_ZERO_RANGE, size - 50, 150);
	memset(wanted + size - 50, 0, 150);
	check_contents(fd, size + 100);
	must_allocate(fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, size,
		  block);
	check_contents(fd, size + 100);
	close_ok(fd);
}

static void a_collapsed_range_is_gone(void **state)
{
	int fd = make_stored_file();

	(void)state;
	need_mode(fd, FALLOC_FL_COLLAPSE_RANGE, 2 * block, 3 * block);
	memmove(wanted + 2 * block, wanted + 5 * block, size - 5 * block);
	check_contents(fd, size - 3 * block);
	close_ok(fd);
}

static void an_inserted_range_is_zeros(void **state)
{
	int fd = make_stored_file();

	(void)state;
	need_mode(fd, FALLOC_FL_INSERT_RANGE, 2 * block, block);
	memmove(wanted + 3 * block, wanted + 2 * block, size - 2 * block);
	memset(wanted + 2 * block, 0, block);
	check_contents(fd, size + block);
	close_ok(fd);
}

static void an_unshared_range_is_as_it_was(void **state)
{
	int fd = make_stored_file();

	(void)state;
	need_mode(fd, FALLOC_FL_UNSHARE_RANGE, 0, size);
	check_contents(fd, size);
	close_ok(fd);
}

static void senseless_allocations_are_refused(void **state)
{
	int fd = make_stored_file(), read_only, dir;

	(void)state;
	check_fails(fallocate(fd, 0, -1, 10), EINVAL);
	check_fails(fallocate(fd, 0, 0, 0), EINVAL);
	check_fails(fallocate(fd, 0, 10, -10), EINVAL);
	check_fails(fallocate(fd, 0, INT64_MAX - 10, 100), EFBIG);
	check_fails(fallocate(fd, 0x4000, 0, 10), EOPNOTSUPP);
	check_contents(fd, size);
	read_only = open_ok("file", O_RDONLY);
	check_fails(fallocate(read_only, 0, 0, 10), EBADF);
	close_ok(read_only);
	dir = open_ok(".", O_RDONLY | O_DIRECTORY);
	check_fails(fallocate(dir, 0, 0, 10), EBADF);
	close_ok(dir);
	check_equal(posix_fallocate(fd, 0, size + 10), 0);
	check_equal(fstat_of(fd).st_size, size + 10);
	close_ok(fd);
}

static void more_than_there_is_is_enospc(void **state)
{
	int fd = make_stored_file();
	struct statfs fs;
	off_t much;

	(void)state;
	check_ok(statfs(".", &fs));
	much = (off_t)fs.f_blocks * fs.f_bsize * 2;
	/* To be refused, some filesystems take all there is first. */
	if (much > INT64_C(16) << 30)
		skip_because("n/a: a filesystem this large is not filled");
	check_fails(fallocate(fd, 0, 0, much), ENOSPC);
	check(fstat_of(fd).st_size >= size);
	pread_ok(fd, seen, size, 0);
	check_bytes(seen, wanted, size);
	check_ok(ftruncate(fd, size));
	close_ok(fd);
}

/* --- finding holes ------------------------------------------------------- */

static void holes_and_data_are_found(void **state)
{
	int fd = open_ok("file", O_CREAT | O_RDWR);

	(void)state;
	check_ok(ftruncate(fd, 16 * size));
	fill(wanted, block, 1);
	pwrite_ok(fd, wanted, block, 4 * size);
	pwrite_ok(fd, wanted, block, 8 * size);
	check_equal(lseek(fd, 0, SEEK_HOLE), 0);
	check_equal(lseek(fd, 0, SEEK_DATA), 4 * size);
	check_equal(lseek(fd, 4 * size + 5, SEEK_DATA), 4 * size + 5);
	check_equal(lseek(fd, 4 * size, SEEK_HOLE), 4 * size + block);
	check_equal(lseek(fd, 4 * size + block, SEEK_DATA), 8 * size);
	check_fails(lseek(fd, 8 * size + block, SEEK_DATA), ENXIO);
	check_equal(lseek(fd, 8 * size + block, SEEK_HOLE), 8 * size + block);
	check_fails(lseek(fd, 16 * size, SEEK_DATA), ENXIO);
	check_fails(lseek(fd, 16 * size, SEEK_HOLE), ENXIO);
	/* The offset is where the last success left it. */
	check_equal(lseek(fd, 0, SEEK_CUR), 8 * size + block);
	close_ok(fd);
}

static void a_full_file_has_its_hole_at_the_end(void **state)
{
	int fd = make_stored_file();

	(void)state;
	check_equal(lseek(fd, 0, SEEK_DATA), 0);
	check_equal(lseek(fd, 100, SEEK_DATA), 100);
	check_equal(lseek(fd, 0, SEEK_HOLE), size);
	check_equal(lseek(fd, size - 1, SEEK_HOLE), size);
	close_ok(fd);
}

static void a_mapped_write_into_a_hole_is_data(void **state)
{
	int fd = open_ok("file", O_CREAT | O_RDWR);
	char *map;
	off_t data;

	(void)state;
	check_ok(ftruncate(fd, 2 * size));
	map = map_ok(fd, 2 * size, PROT_READ | PROT_WRITE, MAP_SHARED);
	map[size] = 'x';
	check_ok(msync(map, 2 * size, MS_SYNC));
	data = check_ok(lseek(fd, 0, SEEK_DATA));
	check(data <= size);
	check_equal(lseek(fd, size, SEEK_DATA), size);
	check_ok(munmap(map, 2 * size));
	close_ok(fd);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		contract_case(plain_allocation_extends_with_zeros),
		contract_case(plain_allocation_fills_holes),
		contract_case(allocation_may_keep_the_size),
		contract_case(a_punched_hole_reads_as_zeros),
		contract_case(reading_a_hole_takes_no_space),
		contract_case(a_mapping_and_a_cached_read_see_the_hole),
		contract_case(a_hole_can_be_written_again),
		contract_case(a_zeroed_range_reads_as_zeros),
		contract_case(a_collapsed_range_is_gone),
		contract_case(an_inserted_range_is_zeros),
		contract_case(an_unshared_range_is_as_it_was),
		contract_case(senseless_allocations_are_refused),
		contract_case(more_than_there_is_is_enospc),
		contract_case(holes_and_data_are_found),
		contract_case(a_full_file_has_its_hole_at_the_end),
		contract_case(a_mapped_write_into_a_hole_is_data),
	};

	return contract_main(argc, argv, tests);
}
