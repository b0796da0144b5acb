// SPDX-License-Identifier: Apache-2.0
/*
 * O_DIRECT and asynchronous I/O: coherent with buffered reads and writes and
 * with mappings, through the same and other descriptors.
 */
#include "contract.h"

#include <linux/aio_abi.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>

enum { page = 4096, pages = 64, size = page * pages };

static char *buffer(unsigned seed)
{
	char *bytes = aligned_buffer(size);

	fill(bytes, size, seed);
	return bytes;
}

static void make_pages(unsigned seed)
{
	make_file("file", size, seed);
}

static void a_direct_write_is_read_directly(void **state)
{
	char *out = buffer(2), *in = buffer(3);
	int fd;

	(void)state;
	make_pages(1);
	fd = open_direct("file", O_RDWR);
	pwrite_ok(fd, out, size, 0);
	pread_ok(fd, in, size, 0);
	check_bytes(in, out, size);
	pwrite_ok(fd, out + page, page, 10 * page);
	pread_ok(fd, in, page, 10 * page);
	check_bytes(in, out + page, page);
	close_ok(fd);
}

static void a_direct_write_extends_the_file(void **state)
{
	char *out = buffer(2);
	int fd;

	(void)state;
	make_file("file", 0, 1);
	fd = open_direct("file", O_WRONLY);
	write_ok(fd, out, page);
	check_equal(stat_of("file").st_size, page);
	write_ok(fd, out + page, size - page);
	close_ok(fd);
	check_file("file", size, 2);
}

static void a_direct_read_ends_at_the_end_of_the_file(void **state)
{
	char *in = buffer(3), wanted[5000];
	int fd;

	(void)state;
	make_file("file", 5000, 1);
	fill(wanted, sizeof(wanted), 1);
	fd = open_direct("file", O_RDONLY);
	check_equal(pread(fd, in, size, 0), 5000);
	check_bytes(in, wanted, 5000);
	check_equal(pread(fd, in, page, page), 5000 - page);
	check_equal(pread(fd, in, page, 2 * page), 0);
	close_ok(fd);
}

static void a_direct_append_goes_to_the_end(void **state)
{
	char *out = buffer(2), *in = buffer(3);
	int fd;

	(void)state;
	make_file("file", page, 1);
	fd = open_direct("file", O_RDWR | O_APPEND);
	write_ok(fd, out, page);
	check_equal(fstat_of(fd).st_size, 2 * page);
	pread_ok(fd, in, page, page);
	check_bytes(in, out, page);
	close_ok(fd);
}

static void a_buffered_read_sees_a_direct_write(void **state)
{
	char *out = buffer(2), *in = buffer(3);
	int direct, buffered, i;

	(void)state;
	make_pages(1);
	buffered = open_ok("file", O_RDONLY);
	pread_ok(buffered, in, size, 0);
	direct = open_direct("file", O_WRONLY);
	for (i = 0; i < pages; i++) {
		pwrite_ok(direct, out + i * page, page, i * page);
		pread_ok(buffered, in, page, i * page);
		check_bytes(in, out + i * page, page);
	}
	close_ok(direct);
	pread_ok(buffered, in, size, 0);
	check_bytes(in, out, size);
	close_ok(buffered);
	check_file("file", size, 2);
}

static void a_direct_read_sees_a_buffered_write(void **state)
{
	char *out = buffer(2), *in = buffer(3);
	int direct, buffered, i;

	(void)state;
	make_pages(1);
	buffered = open_ok("file", O_WRONLY);
	direct = open_direct("file", O_RDONLY);
	for (i = 0; i < pages; i++) {
		pwrite_ok(buffered, out + i * page, page, i * page);
		pread_ok(direct, in, page, i * page);
		check_bytes(in, out + i * page, page);
	}
	pwrite_ok(buffered, "odd", 3, 3 * page + 77);
	pread_ok(direct, in, page, 3 * page);
	check_bytes(in + 77, "odd", 3);
	close_ok(direct);
	close_ok(buffered);
}

static void a_direct_read_sees_a_mapped_write(void **state)
{
	char *in = buffer(3), *map;
	int direct, fd, i;

	(void)state;
	make_pages(1);
	fd = open_ok("file", O_RDWR);
	map = map_ok(fd, size, PROT_READ | PROT_WRITE, MAP_SHARED);
	direct = open_direct("file", O_RDONLY);
	for (i = 0; i < pages; i++) {
		memset(map + i * page, 'a' + i % 26, page);
		pread_ok(direct, in, page, i * page);
		check_bytes(in, map + i * page, page);
	}
	check_ok(munmap(map, size));
	close_ok(fd);
	close_ok(direct);
}

static void a_mapping_sees_a_direct_write(void **state)
{
	char *out = buffer(2), *map;
	int direct, fd, i;

	(void)state;
	make_pages(1);
	fd = open_ok("file", O_RDONLY);
	map = map_ok(fd, size, PROT_READ, MAP_SHARED);
	check_ok(madvise(map, size, MADV_POPULATE_READ));
	direct = open_direct("file", O_WRONLY);
	for (i = 0; i < pages; i++) {
		pwrite_ok(direct, out + i * page, page, i * page);
		check_bytes(map + i * page, out + i * page, page);
	}
	close_ok(direct);
	check_ok(munmap(map, size));
	close_ok(fd);
}

static void a_direct_write_beside_a_dirty_mapping_loses_neither(void **state)
{
	char *out = buffer(2), *in = buffer(3), *map;
	int direct, fd;

	(void)state;
	make_pages(1);
	fd = open_ok("file", O_RDWR);
	map = map_ok(fd, size, PROT_READ | PROT_WRITE, MAP_SHARED);
	direct = open_direct("file", O_RDWR);
	memset(map + page, 'm', page);
	pwrite_ok(direct, out, page, 0);
	pwrite_ok(direct, out, page, 2 * page);
	check_bytes(map, out, page);
	check_bytes(map + 2 * page, out, page);
	pread_ok(direct, in, page, page);
	check_bytes(in, map + page, page);
	check_equal(in[5], 'm');
	check_ok(msync(map, size, MS_SYNC));
	check_ok(munmap(map, size));
	close_ok(direct);
	pread_ok(fd, in, size, 0);
	check_bytes(in, out, page);
	check_equal(in[page], 'm');
	check_bytes(in + 2 * page, out, page);
	close_ok(fd);
}

/* A read whose buffer is a mapping of the file that is read must not wait
 * for itself. */
static void direct_io_with_a_mapped_file_as_buffer_works(void **state)
{
	char *map, *wanted = buffer(1);
	int direct, fd;

	(void)state;
	make_pages(1);
	make_file("other", size, 2);
	fd = open_ok("other", O_RDWR);
	map = map_ok(fd, size, PROT_READ | PROT_WRITE, MAP_SHARED);
	direct = open_direct("file", O_RDWR);
	pread_ok(direct, map, size, 0);
	check_bytes(map, wanted, size);
	memset(map, 'w', page);
	pwrite_ok(direct, map, page, page);
	close_ok(direct);
	check_ok(munmap(map, size));
	close_ok(fd);
	fd = open_ok("file", O_RDONLY);
	pread_ok(fd, wanted, page, page);
	check_equal(wanted[100], 'w');
	close_ok(fd);
}

static void an_unaligned_direct_write_is_refused_or_right(void **state)
{
	char *out = buffer(2), *in = buffer(3);
	ssize_t count;
	int fd;

	(void)state;
	make_pages(1);
	fd = open_direct("file", O_RDWR);
	count = pwrite(fd, out + 3, 100, 5);
	if (count < 0) {
		check_equal(errno, EINVAL);
	} else {
		check_equal(count, 100);
		pread_ok(fd, in, page, 0);
		check_bytes(in + 5, out + 3, 100);
	}
	close_ok(fd);
}

/* --- asynchronous -------------------------------------------------------- */

static void submit_and_wait(struct iocb *blocks, int count)
{
	struct io_event events[pages];
	struct iocb *list[pages];
	aio_context_t context = 0;
	int i, done = 0;

	check_ok(syscall(SYS_io_setup, pages, &context));
	for (i = 0; i < count; i++)
		list[i] = &blocks[i];
	check_equal(check_ok(syscall(SYS_io_submit, context, count, list)),
		    count);
	while (done < count)
		done += check_ok(syscall(SYS_io_getevents, context, 1,
					 count - done, events + done, NULL));
	for (i = 0; i < count; i++)
		check_equal(events[i].res, blocks[i].aio_nbytes);
	check_ok(syscall(SYS_io_destroy, context));
}

static void prepare(struct iocb *blocks, int fd, int operation, char *bytes)
{
	int i;

	memset(blocks, 0, pages * sizeof(*blocks));
	for (i = 0; i < pages; i++) {
		blocks[i].aio_fildes = fd;
		blocks[i].aio_lio_opcode = operation;
		blocks[i].aio_buf = (uintptr_t)bytes + i * page;
		blocks[i].aio_nbytes = page;
		blocks[i].aio_offset = i * page;
	}
}

static void a_buffered_read_sees_asynchronous_direct_writes(void **state)
{
	char *out = buffer(2), *in = buffer(3);
	struct iocb blocks[pages];
	int direct, buffered, round;

	(void)state;
	make_pages(1);
	direct = open_direct("file", O_RDWR);
	buffered = open_ok("file", O_RDONLY);
	for (round = 0; round < 10; round++) {
		pread_ok(buffered, in, size, 0);
		fill(out, size, round);
		prepare(blocks, direct, IOCB_CMD_PWRITE, out);
		submit_and_wait(blocks, pages);
		pread_ok(buffered, in, size, 0);
		check_bytes(in, out, size);
	}
	close_ok(direct);
	close_ok(buffered);
	check_file("file", size, 9);
}

static void asynchronous_direct_writes_extend_the_file(void **state)
{
	char *out = buffer(7), *in = buffer(3);
	struct iocb blocks[pages];
	int direct;

	(void)state;
	make_file("file", 0, 1);
	direct = open_direct("file", O_RDWR);
	prepare(blocks, direct, IOCB_CMD_PWRITE, out);
	submit_and_wait(blocks, pages);
	check_equal(stat_of("file").st_size, size);
	prepare(blocks, direct, IOCB_CMD_PREAD, in);
	submit_and_wait(blocks, pages);
	check_bytes(in, out, size);
	close_ok(direct);
	check_file("file", size, 7);
}

static void asynchronous_reads_see_buffered_writes(void **state)
{
	char *out = buffer(2), *in = buffer(3);
	struct iocb blocks[pages];
	int direct, buffered;

	(void)state;
	make_pages(1);
	direct = open_direct("file", O_RDONLY);
	buffered = open_ok("file", O_RDWR);
	pwrite_ok(buffered, out, size, 0);
	prepare(blocks, direct, IOCB_CMD_PREAD, in);
	submit_and_wait(blocks, pages);
	check_bytes(in, out, size);
	prepare(blocks, buffered, IOCB_CMD_PREAD, in);
	memset(in, 0, size);
	submit_and_wait(blocks, pages);
	check_bytes(in, out, size);
	close_ok(direct);
	close_ok(buffered);
}

struct half {
	int which;
	char mark;
};

static void write_half_directly(void *argument)
{
	struct half *half = argument;
	char *bytes = aligned_buffer(page);
	int i, fd = open_direct("file", O_WRONLY);

	memset(bytes, half->mark, page);
	for (i = half->which; i < pages; i += 2)
		pwrite_ok(fd, bytes, page, i * page);
	close_ok(fd);
}

static void write_half_buffered(void *argument)
{
	struct half *half = argument;
	char bytes[page];
	int i, fd = open_ok("file", O_WRONLY);

	memset(bytes, half->mark, page);
	for (i = half->which; i < pages; i += 2)
		pwrite_ok(fd, bytes, page, i * page);
	close_ok(fd);
}

static void direct_and_buffered_writers_at_once_keep_all(void **state)
{
	struct half even = {0, 'e'}, odd = {1, 'o'};
	char *in = buffer(3);
	pid_t one, two;
	int i, fd, round;

	(void)state;
	make_pages(1);
	close_ok(open_direct("file", O_RDONLY));
	for (round = 0; round < 10; round++) {
		one = spawn(NULL, write_half_directly, &even);
		two = spawn(NULL, write_half_buffered, &odd);
		join(one);
		join(two);
		fd = open_ok("file", O_RDONLY);
		pread_ok(fd, in, size, 0);
		for (i = 0; i < size; i++)
			check_equal(in[i], i / page % 2 ? 'o' : 'e');
		close_ok(fd);
		check_ok(truncate("file", 0));
		check_ok(truncate("file", size));
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		contract_case(a_direct_write_is_read_directly),
		contract_case(a_direct_write_extends_the_file),
		contract_case(a_direct_read_ends_at_the_end_of_the_file),
		contract_case(a_direct_append_goes_to_the_end),
		contract_case(a_buffered_read_sees_a_direct_write),
		contract_case(a_direct_read_sees_a_buffered_write),
		contract_case(a_direct_read_sees_a_mapped_write),
		contract_case(a_mapping_sees_a_direct_write),
		contract_case(
			a_direct_write_beside_a_dirty_mapping_loses_neither),
		contract_case(direct_io_with_a_mapped_file_as_buffer_works),
		contract_case(an_unaligned_direct_write_is_refused_or_right),
		contract_case(a_buffered_read_sees_asynchronous_direct_writes),
		contract_case(asynchronous_direct_writes_extend_the_file),
		contract_case(asynchronous_reads_see_buffered_writes),
		contract_case(direct_and_buffered_writers_at_once_keep_all),
	};

	return contract_main(argc, argv, tests);
}
