// SPDX-License-Identifier: Apache-2.0
/*
 * Copies that the kernel makes: copy_file_range, sendfile, splice.
 */
#include "contract.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <sys/sendfile.h>

enum { size = 300000 };

static char wanted[2 * size], seen[2 * size];

static void copy_all(int from, int to, size_t length)
{
	while (length > 0) {
		ssize_t count = check_ok(copy_file_range(from, NULL, to, NULL,
							 length, 0));

		check(count > 0);
		length -= count;
	}
}

static void copy_file_range_copies_a_file(void **state)
{
	int from, to;

	(void)state;
	make_file("from", size, 1);
	from = open_ok("from", O_RDONLY);
	to = open_ok("to", O_CREAT | O_WRONLY);
	copy_all(from, to, size);
	check_equal(copy_file_range(from, NULL, to, NULL, 100, 0), 0);
	check_equal(lseek(from, 0, SEEK_CUR), size);
	check_equal(lseek(to, 0, SEEK_CUR), size);
	close_ok(from);
	close_ok(to);
	check_file("to", size, 1);
}

static void copy_file_range_takes_offsets(void **state)
{
	loff_t in = 1001, out = 70003;
	ssize_t count;
	int from, to;

	(void)state;
	make_file("from", size, 1);
	make_file("to", size, 2);
	fill(seen, size, 1);
	fill(wanted, size, 2);
	from = open_ok("from", O_RDONLY);
	to = open_ok("to", O_RDWR);
	while (in < 1001 + 50000) {
		count = check_ok(copy_file_range(from, &in, to, &out,
						 1001 + 50000 - in, 0));
		check(count > 0);
	}
	check_equal(out, 70003 + 50000);
	check_equal(lseek(from, 0, SEEK_CUR), 0);
	check_equal(lseek(to, 0, SEEK_CUR), 0);
	memcpy(wanted + 70003, seen + 1001, 50000);
	pread_ok(to, seen, size, 0);
	check_bytes(seen, wanted, size);
	close_ok(from);
	close_ok(to);
}

static void copy_file_range_sees_what_is_only_in_the_cache(void **state)
{
	char *map;
	int from, to;

	(void)state;
	make_file("from", size, 1);
	from = open_ok("from", O_RDWR);
	map = map_ok(from, size, PROT_READ | PROT_WRITE, MAP_SHARED);
	fill(map, size, 6);
	to = open_ok("to", O_CREAT | O_RDWR);
	copy_all(from, to, size);
	check_ok(munmap(map, size));
	close_ok(from);
	close_ok(to);
	check_file("to", size, 6);
}

static void a_mapping_and_a_cached_read_see_the_copy(void **state)
{
	int from, to;
	char *map;

	(void)state;
	make_file("from", size, 1);
	make_file("to", size, 2);
	fill(wanted, size, 1);
	from = open_ok("from", O_RDONLY);
	to = open_ok("to", O_RDWR);
	map = map_ok(to, size, PROT_READ, MAP_SHARED);
	check_ok(madvise(map, size, MADV_POPULATE_READ));
	pread_ok(to, seen, size, 0);
	copy_all(from, to, size);
	pread_ok(to, seen, size, 0);
	check_bytes(seen, wanted, size);
	check_bytes(map, wanted, size);
	check_ok(munmap(map, size));
	close_ok(from);
	close_ok(to);
}

static void copy_file_range_works_within_one_file(void **state)
{
	loff_t in = 0, out = size;
	int fd;

	(void)state;
	make_file("file", size, 1);
	fill(wanted, size, 1);
	memcpy(wanted + size, wanted, size);
	fd = open_ok("file", O_RDWR);
	while (in < size)
		check(copy_file_range(fd, &in, fd, &out, size - in, 0) > 0);
	check_equal(fstat_of(fd).st_size, 2 * size);
	pread_ok(fd, seen, 2 * size, 0);
	check_bytes(seen, wanted, 2 * size);
	in = 0;
	out = 100;
	check_fails(copy_file_range(fd, &in, fd, &out, 1000, 0), EINVAL);
	close_ok(fd);
}

static void bad_copies_are_refused(void **state)
{
	int from, to, append, dir;

	(void)state;
	make_file("from", 100, 1);
	from = open_ok("from", O_RDONLY);
	to = open_ok("to", O_CREAT | O_WRONLY);
	append = open_ok("to", O_WRONLY | O_APPEND);
	dir = open_ok(".", O_RDONLY | O_DIRECTORY);
	check_fails(copy_file_range(from, NULL, append, NULL, 10, 0), EBADF);
	check_fails(copy_file_range(to, NULL, to, NULL, 10, 0), EBADF);
	check_fails(copy_file_range(from, NULL, from, NULL, 10, 0), EBADF);
	check_fails(copy_file_range(dir, NULL, to, NULL, 10, 0), EISDIR);
	check_fails(copy_file_range(from, NULL, to, NULL, 10, 1), EINVAL);
	check_equal(copy_file_range(from, NULL, to, NULL, 0, 0), 0);
	check_equal(copy_file_range(from, NULL, to, NULL, 1000, 0), 100);
	close_ok(from);
	close_ok(to);
	close_ok(append);
	close_ok(dir);
	check_file("to", 100, 1);
}

static void sendfile_copies_a_file(void **state)
{
	off_t offset = 0;
	int from, to;

	(void)state;
	make_file("from", size, 1);
	from = open_ok("from", O_RDONLY);
	to = open_ok("to", O_CREAT | O_WRONLY);
	while (offset < size)
		check(check_ok(sendfile(to, from, &offset, size - offset)) >
		      0);
	check_equal(sendfile(to, from, &offset, 100), 0);
	close_ok(from);
	close_ok(to);
	check_file("to", size, 1);
}

static void splice_carries_through_a_pipe(void **state)
{
	loff_t in = 0, out = 0;
	struct gate pipe;
	int from, to;

	(void)state;
	gate_init(&pipe);
	make_file("from", size, 1);
	from = open_ok("from", O_RDONLY);
	to = open_ok("to", O_CREAT | O_WRONLY);
	while (in < size) {
		ssize_t count = check_ok(splice(from, &in, pipe.fd[1], NULL,
						32768, 0));

		check(count > 0);
		while (count > 0)
			count -= check_ok(splice(pipe.fd[0], NULL, to, &out,
						 count, SPLICE_F_MOVE));
	}
	check_equal(out, size);
	check_equal(splice(from, &in, pipe.fd[1], NULL, 100, 0), 0);
	close_ok(from);
	close_ok(to);
	check_file("to", size, 1);
}

/* Pages that are in a pipe are those of the file; a later write may show or
 * not, but what was spliced from elsewhere must not change. */
static void spliced_bytes_survive_the_end_of_their_file(void **state)
{
	struct gate pipe;
	loff_t in = 0;
	int from;

	(void)state;
	gate_init(&pipe);
	make_file("from", 4096, 1);
	fill(wanted, 4096, 1);
	from = open_ok("from", O_RDONLY);
	check_equal(check_ok(splice(from, &in, pipe.fd[1], NULL, 4096, 0)),
		    4096);
	close_ok(from);
	check_ok(unlink("from"));
	check_equal(read(pipe.fd[0], seen, 4096), 4096);
	check_bytes(seen, wanted, 4096);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		contract_case(copy_file_range_copies_a_file),
		contract_case(copy_file_range_takes_offsets),
		contract_case(copy_file_range_sees_what_is_only_in_the_cache),
		contract_case(a_mapping_and_a_cached_read_see_the_copy),
		contract_case(copy_file_range_works_within_one_file),
		contract_case(bad_copies_are_refused),
		contract_case(sendfile_copies_a_file),
		contract_case(splice_carries_through_a_pipe),
		contract_case(spliced_bytes_survive_the_end_of_their_file),
	};

	return contract_main(argc, argv, tests);
}
