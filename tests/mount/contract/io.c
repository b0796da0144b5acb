// SPDX-License-Identifier: Apache-2.0
/*
 * Buffered reads and writes in all their forms, at the end of the file, at
 * large offsets, at the limit, and what is refused.
 */
#include "contract.h"

#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/uio.h>

static void what_is_written_is_read(void **state)
{
	static const size_t sizes[] = {0,    1,     511,    4095,    4096,
				       4097, 65536, 131073, 1 << 20, 5000001};
	char name[32];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		snprintf(name, sizeof(name), "file%zu", i);
		make_file(name, sizes[i], i);
	}
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		snprintf(name, sizeof(name), "file%zu", i);
		check_file(name, sizes[i], i);
	}
}

/* Against a copy in memory: overlapping, unaligned, growing. */
static void random_writes_land_where_they_should(void **state)
{
	enum { limit = 300000 };
	char *copy = calloc(1, limit), *seen = malloc(limit);
	size_t size = 0;
	unsigned seed = 12345;
	int i, fd;

	(void)state;
	check(copy && seen);
	fd = open_ok("file", O_CREAT | O_RDWR);
	for (i = 0; i < 400; i++) {
		size_t at = rand_r(&seed) % (limit - 20000);
		size_t length = 1 + rand_r(&seed) % 20000;

		fill(seen, length, i);
		memcpy(copy + at, seen, length);
		pwrite_ok(fd, seen, length, at);
		size = at + length > size ? at + length : size;
		if (i % 40 == 0) {
			size = rand_r(&seed) % size;
			memset(copy + size, 0, limit - size);
			check_ok(ftruncate(fd, size));
		}
		at = rand_r(&seed) % (size + 1);
		pread_ok(fd, seen, size - at, at);
		check_bytes(seen, copy + at, size - at);
	}
	close_ok(fd);
	fd = open_ok("file", O_RDONLY);
	check_equal(fstat_of(fd).st_size, size);
	pread_ok(fd, seen, size, 0);
	check_bytes(seen, copy, size);
	close_ok(fd);
	free(copy);
	free(seen);
}

static void two_descriptors_see_each_other_s_writes(void **state)
{
	char seen[100], wanted[100];
	int i, one, two;

	(void)state;
	make_file("file", 1000, 1);
	one = open_ok("file", O_RDWR);
	two = open_ok("file", O_RDWR);
	for (i = 0; i < 100; i++) {
		fill(wanted, sizeof(wanted), i);
		pwrite_ok(i % 2 ? one : two, wanted, 100, i * 70);
		pread_ok(i % 2 ? two : one, seen, 100, i * 70);
		check_bytes(seen, wanted, 100);
		check_equal(fstat_of(one).st_size, fstat_of(two).st_size);
	}
	close_ok(one);
	close_ok(two);
}

static void reads_end_at_the_end_of_the_file(void **state)
{
	char seen[10000];
	int fd;

	(void)state;
	make_file("file", 5000, 1);
	fd = open_ok("file", O_RDWR);
	check_equal(pread(fd, seen, sizeof(seen), 0), 5000);
	check_equal(pread(fd, seen, sizeof(seen), 4990), 10);
	check_equal(pread(fd, seen, sizeof(seen), 5000), 0);
	check_equal(pread(fd, seen, sizeof(seen), INT64_C(1) << 50), 0);
	check_equal(lseek(fd, 0, SEEK_END), 5000);
	check_equal(read(fd, seen, 10), 0);
	write_ok(fd, "more", 4);
	check_equal(lseek(fd, -4, SEEK_CUR), 5000);
	check_equal(read(fd, seen, 10), 4);
	check_bytes(seen, "more", 4);
	check_fails(lseek(fd, -1, SEEK_SET), EINVAL);
	close_ok(fd);
}

static void a_write_past_the_end_leaves_zeros_between(void **state)
{
	char seen[20000], wanted[20000] = "";
	int fd;

	(void)state;
	make_file("file", 1000, 1);
	fill(wanted, 1000, 1);
	fd = open_ok("file", O_RDWR);
	pwrite_ok(fd, "end", 3, 19997);
	memcpy(wanted + 19997, "end", 3);
	check_equal(fstat_of(fd).st_size, 20000);
	pread_ok(fd, seen, 20000, 0);
	check_bytes(seen, wanted, 20000);
	close_ok(fd);
}

static void a_write_only_descriptor_changes_parts_of_pages(void **state)
{
	char seen[12000], wanted[12000];
	int fd;

	(void)state;
	make_file("file", 12000, 1);
	fill(wanted, sizeof(wanted), 1);
	fd = open_ok("file", O_WRONLY);
	pwrite_ok(fd, "abc", 3, 100);
	pwrite_ok(fd, "defghi", 6, 4093);
	pwrite_ok(fd, "j", 1, 11999);
	memcpy(wanted + 100, "abc", 3);
	memcpy(wanted + 4093, "defghi", 6);
	wanted[11999] = 'j';
	check_fails(pread(fd, seen, 1, 0), EBADF);
	check_fails(read(fd, seen, 1), EBADF);
	close_ok(fd);
	fd = open_ok("file", O_RDONLY);
	check_equal(pread(fd, seen, sizeof(seen), 0), 12000);
	check_bytes(seen, wanted, sizeof(wanted));
	check_fails(write(fd, "x", 1), EBADF);
	check_fails(pwrite(fd, "x", 1, 0), EBADF);
	close_ok(fd);
}

static void appends_go_to_the_end_whatever_the_offset(void **state)
{
	char seen[16] = "";
	int one, two;

	(void)state;
	one = open_ok("file", O_CREAT | O_RDWR | O_APPEND);
	two = open_ok("file", O_WRONLY | O_APPEND);
	write_ok(one, "1", 1);
	write_ok(two, "2", 1);
	check_equal(lseek(one, 0, SEEK_SET), 0);
	write_ok(one, "3", 1);
	check_equal(lseek(one, 0, SEEK_CUR), 3);
	/* A bug of Linux that is relied on: see pwrite(2). */
	check_equal(pwrite(two, "4", 1, 0), 1);
	check_ok(ftruncate(two, 2));
	write_ok(one, "5", 1);
	pread_ok(one, seen, 3, 0);
	check_bytes(seen, "125", 3);
	check_equal(fstat_of(one).st_size, 3);
	close_ok(one);
	close_ok(two);
}

static void a_descriptor_can_begin_to_append(void **state)
{
	char seen[16] = "";
	int fd;

	(void)state;
	fd = open_ok("file", O_CREAT | O_RDWR);
	write_ok(fd, "12", 2);
	check_ok(fcntl(fd, F_SETFL, O_APPEND));
	pwrite_ok(fd, "3", 1, 0);
	pread_ok(fd, seen, 3, 0);
	check_bytes(seen, "123", 3);
	close_ok(fd);
}

/* FUSE passthrough opens the backing file with the flags of the open and
 * never hears of F_SETFL: the one thing it is known to do wrong here. */
static void a_descriptor_can_cease_to_append(void **state)
{
	const char *data = getenv("CONTRACT_DATA");
	char seen[16] = "";
	int fd;

	(void)state;
	fd = open_ok("file", O_CREAT | O_RDWR | O_APPEND);
	write_ok(fd, "12", 2);
	check_ok(fcntl(fd, F_SETFL, 0));
	pwrite_ok(fd, "3", 1, 0);
	if (data && strcmp(data, "daemon") != 0 &&
	    pread(fd, seen, sizeof(seen), 0) == 3 &&
	    memcmp(seen, "123", 3) == 0)
		skip_because("n/a: the kernel's passthrough goes on to append");
	check_equal(pread(fd, seen, sizeof(seen), 0), 2);
	check_bytes(seen, "32", 2);
	close_ok(fd);
}

enum { append_count = 500, appender_count = 4 };

static void append_records(void *mark)
{
	char record[50];
	int i, fd = open_ok("log", O_WRONLY | O_APPEND);

	memset(record, *(char *)mark, sizeof(record));
	for (i = 0; i < append_count; i++)
		write_ok(fd, record, sizeof(record));
	close_ok(fd);
}

static void appends_of_many_processes_all_arrive_whole(void **state)
{
	static char marks[] = "abcd";
	int i, fd, count[256] = {0};
	pid_t child[appender_count];
	char record[50];
	size_t at;

	(void)state;
	make_file("log", 0, 1);
	for (i = 0; i < appender_count; i++)
		child[i] = spawn(NULL, append_records, &marks[i]);
	for (i = 0; i < appender_count; i++)
		join(child[i]);
	check_equal(stat_of("log").st_size,
		    append_count * appender_count * sizeof(record));
	fd = open_ok("log", O_RDONLY);
	while (check_ok(read(fd, record, sizeof(record))) > 0) {
		for (at = 1; at < sizeof(record); at++)
			check_equal(record[at], record[0]);
		count[(unsigned char)record[0]]++;
	}
	close_ok(fd);
	for (i = 0; i < appender_count; i++)
		check_equal(count[(unsigned char)marks[i]], append_count);
}

static void vectors_are_gathered_and_scattered(void **state)
{
	char a[3], b[4], c[5], wanted[] = "onetwothree!";
	struct iovec out[] = {{"one", 3}, {"two", 3}, {"", 0}, {"three!", 6}};
	struct iovec in[] = {{a, 3}, {b, 4}, {c, 5}};
	static const struct iovec too_many[IOV_MAX + 1];
	int fd;

	(void)state;
	fd = open_ok("file", O_CREAT | O_RDWR);
	check_equal(writev(fd, out, 4), 12);
	check_equal(preadv(fd, in, 3, 0), 12);
	check_bytes(a, wanted, 3);
	check_bytes(b, wanted + 3, 4);
	check_bytes(c, wanted + 7, 5);
	check_equal(preadv(fd, in, 3, 8), 4);
	check_equal(pwritev(fd, out, 2, 100), 6);
	check_equal(fstat_of(fd).st_size, 106);
	check_fails(readv(fd, too_many, IOV_MAX + 1), EINVAL);
	check_equal(readv(fd, in, 0), 0);
	close_ok(fd);
}

static void flags_of_a_single_write_are_honoured(void **state)
{
	struct iovec part = {"part", 4};
	char seen[9] = "";
	struct iovec in = {seen, 8};
	int fd;

	(void)state;
	fd = open_ok("file", O_CREAT | O_RDWR);
	check_equal(check_ok(pwritev2(fd, &part, 1, 0, RWF_DSYNC)), 4);
	check_equal(check_ok(pwritev2(fd, &part, 1, 0, RWF_APPEND)), 4);
	check_equal(check_ok(pwritev2(fd, &part, 1, 2, RWF_SYNC)), 4);
	check_equal(check_ok(preadv2(fd, &in, 1, 0, 0)), 8);
	check_bytes(seen, "papartrt", 8);
	check_equal(fstat_of(fd).st_size, 8);
	check_fails(pwritev2(fd, &part, 1, 0, 1 << 30), EOPNOTSUPP);
	close_ok(fd);
}

static void a_read_that_must_not_wait_gives_data_or_eagain(void **state)
{
	char seen[100], wanted[100];
	struct iovec in = {seen, sizeof(seen)};
	ssize_t count;
	int fd;

	(void)state;
	make_file("file", 100, 5);
	fill(wanted, sizeof(wanted), 5);
	fd = open_ok("file", O_RDONLY);
	count = preadv2(fd, &in, 1, 0, RWF_NOWAIT);
	if (count < 0) {
		check(errno == EAGAIN || errno == EOPNOTSUPP);
	} else {
		check(count > 0 && count <= 100);
		check_bytes(seen, wanted, count);
	}
	close_ok(fd);
}

static void synchronous_descriptors_write_as_others(void **state)
{
	static const int flags[] = {O_SYNC, O_DSYNC, O_SYNC | O_APPEND};
	char bytes[5000], seen[5000];
	int i, fd;

	(void)state;
	for (i = 0; i < 3; i++) {
		fill(bytes, sizeof(bytes), i);
		fd = open_ok("file", O_CREAT | O_RDWR | O_TRUNC | flags[i]);
		write_ok(fd, bytes, sizeof(bytes));
		pread_ok(fd, seen, sizeof(seen), 0);
		check_bytes(seen, bytes, sizeof(bytes));
		close_ok(fd);
		check_file("file", sizeof(bytes), i);
	}
}

static void offsets_beyond_4_gib_work(void **state)
{
	static const off_t offsets[] = {
		(INT64_C(4) << 30) - 3, (INT64_C(6) << 30) + 5,
		INT64_C(1) << 40};
	char seen[6];
	size_t i;
	int fd;

	(void)state;
	fd = open_ok("file", O_CREAT | O_RDWR);
	for (i = 0; i < sizeof(offsets) / sizeof(offsets[0]); i++) {
		pwrite_ok(fd, "across", 6, offsets[i]);
		check_equal(stat_of("file").st_size, offsets[i] + 6);
		pread_ok(fd, seen, 6, offsets[i]);
		check_bytes(seen, "across", 6);
		check_equal(lseek(fd, -6, SEEK_END), offsets[i]);
		check_equal(read(fd, seen, 6), 6);
		check_bytes(seen, "across", 6);
	}
	pread_ok(fd, seen, 6, 0);
	check_bytes(seen, "\0\0\0\0\0", 6);
	check(stat_of("file").st_blocks < 4096);
	close_ok(fd);
}

static void a_sparse_file_of_16_tib_works_where_it_may_exist(void **state)
{
	/* One page less than what ext4 allows. */
	const off_t size = (INT64_C(16) << 40) - 8192;
	char seen[4];
	int fd;

	(void)state;
	fd = open_ok("file", O_CREAT | O_RDWR);
	if (ftruncate(fd, size) < 0 && errno == EFBIG)
		skip_because("n/a: the filesystem's limit is lower");
	check_equal(fstat_of(fd).st_size, size);
	pwrite_ok(fd, "tail", 4, size - 4);
	pread_ok(fd, seen, 4, size - 4);
	check_bytes(seen, "tail", 4);
	pwrite_ok(fd, "half", 4, size / 2);
	pread_ok(fd, seen, 4, size / 2);
	check_bytes(seen, "half", 4);
	check_equal(stat_of("file").st_size, size);
	check_ok(ftruncate(fd, 0));
	close_ok(fd);
}

static void meet_the_file_size_limit(void *unused)
{
	const struct rlimit limit = {10000, 10000};
	char bytes[8000] = "";
	int fd;

	(void)unused;
	signal(SIGXFSZ, SIG_IGN);
	check_ok(setrlimit(RLIMIT_FSIZE, &limit));
	fd = open_ok("file", O_CREAT | O_RDWR);
	write_ok(fd, bytes, sizeof(bytes));
	check_equal(write(fd, bytes, sizeof(bytes)), 2000);
	check_equal(fstat_of(fd).st_size, 10000);
	check_fails(write(fd, bytes, 1), EFBIG);
	check_fails(pwrite(fd, bytes, 1, 20000), EFBIG);
	check_fails(ftruncate(fd, 10001), EFBIG);
	check_fails(truncate("file", 10001), EFBIG);
	check_fails(posix_fallocate(fd, 0, 10001) ? (errno = EFBIG, -1) : 0,
		    EFBIG);
	check_equal(fstat_of(fd).st_size, 10000);
	pwrite_ok(fd, bytes, 100, 0);
	check_ok(ftruncate(fd, 10000));
	close_ok(fd);
	fd = open_ok("big", O_RDWR | O_APPEND);
	check_fails(write(fd, bytes, 1), EFBIG);
	close_ok(fd);
}

static void exceed_the_file_size_limit(void *unused)
{
	const struct rlimit limit = {100, 100};
	int fd = open_ok("file", O_RDWR);

	(void)unused;
	check_ok(setrlimit(RLIMIT_FSIZE, &limit));
	check_ok(setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0}));
	pwrite(fd, "x", 1, 100);
}

static void the_file_size_limit_binds(void **state)
{
	(void)state;
	make_file("big", 20000, 1);
	run_as(NULL, meet_the_file_size_limit, NULL);
	join_killed(spawn(NULL, exceed_the_file_size_limit, NULL), SIGXFSZ);
	check_equal(stat_of("file").st_size, 10000);
}

static void bad_calls_get_their_errors(void **state)
{
	void *hole = map_ok(-1, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS);
	char byte;
	int fd;

	(void)state;
	make_file("file", 8192, 1);
	fd = open_ok("file", O_RDWR);
	check_fails(pread(fd, &byte, 1, -1), EINVAL);
	check_fails(pwrite(fd, &byte, 1, -1), EINVAL);
	check_fails(pwrite(fd, hole, 4096, 0), EFAULT);
	check_fails(pread(fd, hole, 4096, 0), EFAULT);
	close_ok(fd);
	check_file("file", 8192, 1);
	fd = open_ok(".", O_RDONLY | O_DIRECTORY);
	check_fails(read(fd, &byte, 1), EISDIR);
	check_fails(write(fd, &byte, 1), EBADF);
	check_fails(ftruncate(fd, 0), EINVAL);
	close_ok(fd);
	check_fails(open(".", O_RDWR), EISDIR);
	check_fails(open(".", O_WRONLY), EISDIR);
}

/* The classic way to deadlock: the page that is written from must be brought
 * in while the page that is written to is held. */
static void a_write_may_come_from_a_mapping_of_the_same_file(void **state)
{
	char wanted[4096], seen[4096];
	char *map;
	int fd;

	(void)state;
	make_file("file", 8192, 1);
	fd = open_ok("file", O_RDWR);
	map = map_ok(fd, 8192, PROT_READ | PROT_WRITE, MAP_SHARED);
	pread_ok(fd, wanted, 4096, 4096);
	check_ok(madvise(map, 8192, MADV_DONTNEED));
	check_ok(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED));
	pwrite_ok(fd, map + 4096, 4096, 0);
	pread_ok(fd, seen, 4096, 0);
	check_bytes(seen, wanted, 4096);
	check_ok(madvise(map, 8192, MADV_DONTNEED));
	pwrite_ok(fd, map, 4096, 0);
	check_bytes(map, wanted, 4096);
	/* And a read into a page of the file itself. */
	pread_ok(fd, map + 4096, 4096, 0);
	check_bytes(map + 4096, wanted, 4096);
	check_ok(munmap(map, 8192));
	close_ok(fd);
}

static void syncs_of_all_kinds_succeed(void **state)
{
	int fd, dir;

	(void)state;
	make_file("file", 100000, 1);
	fd = open_ok("file", O_RDWR);
	pwrite_ok(fd, "x", 1, 0);
	check_ok(sync_file_range(fd, 0, 0,
				 SYNC_FILE_RANGE_WAIT_BEFORE |
					 SYNC_FILE_RANGE_WRITE |
					 SYNC_FILE_RANGE_WAIT_AFTER));
	check_ok(fdatasync(fd));
	check_ok(fsync(fd));
	close_ok(fd);
	fd = open_ok("file", O_RDONLY);
	check_ok(fsync(fd));
	check_ok(fdatasync(fd));
	close_ok(fd);
	dir = open_ok(".", O_RDONLY | O_DIRECTORY);
	check_ok(fsync(dir));
	check_ok(fdatasync(dir));
	check_ok(syncfs(dir));
	close_ok(dir);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		contract_case(what_is_written_is_read),
		contract_case(random_writes_land_where_they_should),
		contract_case(two_descriptors_see_each_other_s_writes),
		contract_case(reads_end_at_the_end_of_the_file),
		contract_case(a_write_past_the_end_leaves_zeros_between),
		contract_case(a_write_only_descriptor_changes_parts_of_pages),
		contract_case(appends_go_to_the_end_whatever_the_offset),
		contract_case(a_descriptor_can_begin_to_append),
		contract_case(a_descriptor_can_cease_to_append),
		contract_case(appends_of_many_processes_all_arrive_whole),
		contract_case(vectors_are_gathered_and_scattered),
		contract_case(flags_of_a_single_write_are_honoured),
		contract_case(a_read_that_must_not_wait_gives_data_or_eagain),
		contract_case(synchronous_descriptors_write_as_others),
		contract_case(offsets_beyond_4_gib_work),
		contract_case(
			a_sparse_file_of_16_tib_works_where_it_may_exist),
		contract_case(the_file_size_limit_binds),
		contract_case(bad_calls_get_their_errors),
		contract_case(
			a_write_may_come_from_a_mapping_of_the_same_file),
		contract_case(syncs_of_all_kinds_succeed),
	};

	return contract_main(argc, argv, tests);
}
