// SPDX-License-Identifier: Apache-2.0
/*
 * The three times of a file: what they hold, and what moves them.
 */
#include "contract.h"

#include <dirent.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <time.h>

static const struct timespec long_ago = {.tv_sec = 1000000000,
					 .tv_nsec = 123456789};

/* Both times to long ago, so that whatever moves them shows. */
static void make_old(const char *name)
{
	const struct timespec times[2] = {long_ago, long_ago};

	check_ok(utimensat(AT_FDCWD, name, times, AT_SYMLINK_NOFOLLOW));
	check_equal(mtime_of(name), nanoseconds(long_ago));
	check_equal(atime_of(name), nanoseconds(long_ago));
}

static int64_t now(void)
{
	struct timespec time;

	check_ok(clock_gettime(CLOCK_REALTIME, &time));
	return nanoseconds(time);
}

static bool is_now(int64_t time)
{
	int64_t age = now() - time;

	/* Filesystems use a clock that lags by up to a tick. */
	return age > -INT64_C(1000000000) && age < INT64_C(30000000000);
}

static void times_are_kept_to_the_nanosecond(void **state)
{
	static const struct timespec times[][2] = {
		{{1234567890, 123456789}, {987654321, 999999999}},
		{{0, 0}, {0, 1}},
		{{-5, 500000001}, {-2000000000, 7}},
		{{4102444800, 4}, {4102444801, 5}},
	};
	struct stat st;
	size_t i;
	int fd;

	(void)state;
	make_file("file", 1, 1);
	fd = open_ok("file", O_RDONLY);
	for (i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		check_ok(utimensat(AT_FDCWD, "file", times[i], 0));
		st = stat_of("file");
		check_equal(st.st_atim.tv_sec, times[i][0].tv_sec);
		check_equal(st.st_atim.tv_nsec, times[i][0].tv_nsec);
		check_equal(st.st_mtim.tv_sec, times[i][1].tv_sec);
		check_equal(st.st_mtim.tv_nsec, times[i][1].tv_nsec);
		check_ok(futimens(fd, times[0]));
		check_equal(mtime_of("file"), nanoseconds(times[0][1]));
	}
	close_ok(fd);
}

static void times_can_be_omitted_or_now(void **state)
{
	const struct timespec omit = {.tv_nsec = UTIME_OMIT};
	const struct timespec present = {.tv_nsec = UTIME_NOW};
	const struct timespec fixed = {.tv_sec = 77, .tv_nsec = 8};
	const struct timespec odd = {.tv_nsec = 1000000000};
	int64_t changed;

	(void)state;
	make_file("file", 1, 1);
	make_old("file");
#define set_times(a, m) \
	utimensat(AT_FDCWD, "file", (struct timespec[]){a, m}, 0)
	check_ok(set_times(fixed, omit));
	check_equal(atime_of("file"), nanoseconds(fixed));
	check_equal(mtime_of("file"), nanoseconds(long_ago));
	check_ok(set_times(omit, fixed));
	check_equal(mtime_of("file"), nanoseconds(fixed));
	check_ok(set_times(present, omit));
	check(is_now(atime_of("file")));
	check_equal(mtime_of("file"), nanoseconds(fixed));
	check_ok(set_times(omit, present));
	check(is_now(mtime_of("file")));
	changed = ctime_of("file");
	tick();
	check_ok(set_times(omit, omit));
	check_equal(ctime_of("file"), changed);
	check_fails(set_times(odd, odd), EINVAL);
	make_old("file");
	check_ok(utimensat(AT_FDCWD, "file", NULL, 0));
	check(is_now(mtime_of("file")) && is_now(atime_of("file")));
#undef set_times
}

static void a_symlink_s_times_are_its_own(void **state)
{
	int64_t before;

	(void)state;
	make_file("file", 1, 1);
	check_ok(symlink("file", "link"));
	before = mtime_of("file");
	make_old("link");
	check_equal(mtime_of("file"), before);
}

/* Runs the statement and sees which of mtime and ctime moved. */
#define check_moves(name, mtime_moves, ctime_moves, ...)                 \
	do {                                                             \
		int64_t m_before = mtime_of(name);                       \
		int64_t c_before = ctime_of(name);                       \
		tick();                                                  \
		__VA_ARGS__;                                             \
		check_equal(mtime_of(name) > m_before, mtime_moves);     \
		check_equal(ctime_of(name) > c_before, ctime_moves);     \
	} while (0)

static void a_write_moves_mtime_and_ctime(void **state)
{
	int fd;

	(void)state;
	make_file("file", 100, 1);
	fd = open_ok("file", O_RDWR);
	check_moves("file", true, true, pwrite_ok(fd, "x", 1, 50));
	check_moves("file", true, true, pwrite_ok(fd, "x", 1, 50));
	check_moves("file", true, true, pwrite_ok(fd, "x", 1, 5000));
	make_old("file");
	pwrite_ok(fd, "x", 1, 0);
	check(is_now(mtime_of("file")));
	check(is_now(nanoseconds(fstat_of(fd).st_mtim)));
	check_moves("file", false, false, pwrite_ok(fd, "", 0, 0));
	close_ok(fd);
	check(is_now(mtime_of("file")));
}

/* Neither the close of a writer nor an fsync may move the times again. */
static void times_set_after_a_write_stay(void **state)
{
	const struct timespec times[2] = {long_ago, long_ago};
	char *map;
	int fd;

	(void)state;
	make_file("file", 8192, 1);
	fd = open_ok("file", O_RDWR);
	pwrite_ok(fd, "x", 1, 5000);
	check_ok(futimens(fd, times));
	check_ok(fsync(fd));
	check_equal(mtime_of("file"), nanoseconds(long_ago));
	pwrite_ok(fd, "x", 1, 9000);
	check_ok(futimens(fd, times));
	close_ok(fd);
	check_equal(mtime_of("file"), nanoseconds(long_ago));
	tick();
	check_equal(mtime_of("file"), nanoseconds(long_ago));
	fd = open_ok("file", O_RDWR);
	map = map_ok(fd, 8192, PROT_READ | PROT_WRITE, MAP_SHARED);
	map[0] ^= 1;
	check_ok(msync(map, 8192, MS_SYNC));
	check_ok(futimens(fd, times));
	check_ok(munmap(map, 8192));
	close_ok(fd);
	check_equal(mtime_of("file"), nanoseconds(long_ago));
}

static void a_truncation_moves_mtime_and_ctime(void **state)
{
	int fd;

	(void)state;
	make_file("file", 100, 1);
	check_moves("file", true, true, check_ok(truncate("file", 50)));
	check_moves("file", true, true, check_ok(truncate("file", 5000)));
	fd = open_ok("file", O_RDWR);
	check_moves("file", true, true, check_ok(ftruncate(fd, 10)));
	check_moves("file", true, true, check_ok(ftruncate(fd, 10)));
	close_ok(fd);
	check_moves("file", true, true,
		    close_ok(open_ok("file", O_WRONLY | O_TRUNC)));
	check_moves("file", true, true,
		    close_ok(open_ok("file", O_WRONLY | O_TRUNC)));
}

static void a_mapped_write_moves_mtime_and_ctime(void **state)
{
	int64_t changed;
	char *map;
	int fd;

	(void)state;
	make_file("file", 8192, 1);
	make_old("file");
	changed = ctime_of("file");
	tick();
	fd = open_ok("file", O_RDWR);
	map = map_ok(fd, 8192, PROT_READ | PROT_WRITE, MAP_SHARED);
	map[4096] ^= 1;
	check_ok(msync(map, 8192, MS_SYNC));
	check(is_now(mtime_of("file")));
	check(ctime_of("file") > changed);
	check_ok(munmap(map, 8192));
	close_ok(fd);
	check(is_now(mtime_of("file")));
}

static void a_mapped_write_without_msync_moves_mtime(void **state)
{
	char *map;
	int fd;

	(void)state;
	make_file("file", 8192, 1);
	make_old("file");
	fd = open_ok("file", O_RDWR);
	map = map_ok(fd, 8192, PROT_READ | PROT_WRITE, MAP_SHARED);
	map[0] ^= 1;
	check_ok(munmap(map, 8192));
	close_ok(fd);
	check(is_now(mtime_of("file")));
}

static void a_change_of_attributes_moves_ctime_alone(void **state)
{
	int fd;

	(void)state;
	make_file("file", 100, 1);
	check_moves("file", false, true, check_ok(chmod("file", 0600)));
	check_moves("file", false, true,
		    check_ok(chown("file", geteuid(), getegid())));
	check_moves("file", false, true, check_ok(link("file", "link")));
	check_moves("file", false, true, check_ok(unlink("link")));
	check_moves("file", false, true,
		    check_ok(setxattr("file", "user.x", "y", 1, 0)));
	check_moves("file", false, true,
		    check_ok(removexattr("file", "user.x")));
	check_ok(rename("file", "renamed"));
	check_ok(rename("renamed", "file"));
	check_moves("file", false, false, close_ok(open_ok("file", O_RDWR)));
	fd = open_ok("file", O_RDWR);
	check_moves("file", false, false, check_ok(fsync(fd)));
	close_ok(fd);
}

static void a_change_of_names_moves_the_directory_s_times(void **state)
{
	(void)state;
	check_ok(mkdir("dir", 0755));
	make_file("outside", 1, 1);
	check_moves("dir", true, true, make_file("dir/file", 1, 1));
	check_moves("dir", true, true, check_ok(mkdir("dir/sub", 0755)));
	check_moves("dir", true, true, check_ok(symlink("x", "dir/soft")));
	check_moves("dir", true, true, check_ok(link("outside", "dir/hard")));
	check_moves("dir", true, true, check_ok(mkfifo("dir/fifo", 0600)));
	check_moves("dir", true, true,
		    check_ok(rename("dir/file", "dir/new")));
	check_moves("dir", true, true, check_ok(unlink("dir/new")));
	check_moves("dir", true, true, check_ok(rmdir("dir/sub")));
	check_moves("dir", true, true, check_ok(rename("outside", "dir/in")));
	check_moves("dir", true, true, check_ok(rename("dir/in", "outside")));
	check_moves("dir", false, true, check_ok(chmod("dir", 0700)));
	make_old("dir");
	make_file("dir/file", 1, 1);
	check(is_now(mtime_of("dir")));
}

/* Reads name with a new descriptor. */
static void read_it(const char *name)
{
	char byte;
	int fd = open_ok(name, O_RDONLY);

	pread_ok(fd, &byte, 1, 0);
	close_ok(fd);
}

static void need_relatime(void)
{
	struct statvfs fs;

	check_ok(statvfs(".", &fs));
	if (fs.f_flag & (ST_NOATIME | ST_NODIRATIME))
		skip_because("n/a: mounted without access times");
}

static void a_read_moves_an_old_atime(void **state)
{
	(void)state;
	need_relatime();
	make_file("file", 100, 1);
	make_old("file");
	read_it("file");
	check(is_now(atime_of("file")));
	check_equal(mtime_of("file"), nanoseconds(long_ago));
}

static void a_read_from_the_cache_moves_an_old_atime(void **state)
{
	(void)state;
	need_relatime();
	make_file("file", 100, 1);
	read_it("file");
	make_old("file");
	read_it("file");
	check(is_now(atime_of("file")));
}

static void relatime_leaves_an_atime_that_is_new_enough(void **state)
{
	const struct timespec omit = {.tv_nsec = UTIME_OMIT};
	struct timespec recent;
	int64_t before;

	(void)state;
	need_relatime();
	make_file("file", 100, 1);
	/* Younger than mtime and ctime: only strictatime would move it. */
	check_ok(clock_gettime(CLOCK_REALTIME, &recent));
	recent.tv_sec += 100;
	check_ok(utimensat(AT_FDCWD, "file",
			   (struct timespec[]){recent, omit}, 0));
	before = atime_of("file");
	check_equal(before, nanoseconds(recent));
	read_it("file");
	tick();
	read_it("file");
	check_equal(atime_of("file"), before);
}

static void relatime_moves_the_atime_after_a_write(void **state)
{
	int64_t before;
	int fd;

	(void)state;
	need_relatime();
	make_file("file", 100, 1);
	tick();
	read_it("file");
	before = atime_of("file");
	tick();
	fd = open_ok("file", O_WRONLY);
	pwrite_ok(fd, "x", 1, 0);
	close_ok(fd);
	tick();
	read_it("file");
	check(atime_of("file") > before);
	check(atime_of("file") >= mtime_of("file"));
}

static void o_noatime_leaves_the_atime(void **state)
{
	char byte;
	int fd;

	(void)state;
	make_file("file", 100, 1);
	make_old("file");
	fd = open_ok("file", O_RDONLY | O_NOATIME);
	pread_ok(fd, &byte, 1, 0);
	close_ok(fd);
	check_equal(atime_of("file"), nanoseconds(long_ago));
}

static void a_directory_s_old_atime_moves_when_it_is_read(void **state)
{
	DIR *dir;

	(void)state;
	need_relatime();
	check_ok(mkdir("dir", 0755));
	make_file("dir/file", 1, 1);
	make_old("dir");
	dir = opendir("dir");
	check(dir);
	while (readdir(dir))
		;
	closedir(dir);
	check(is_now(atime_of("dir")));
}

static void a_symlink_s_old_atime_moves_when_it_is_read(void **state)
{
	char target[16];

	(void)state;
	need_relatime();
	check_ok(symlink("target", "link"));
	make_old("link");
	check_equal(readlink("link", target, sizeof(target)), 6);
	check(is_now(atime_of("link")));
}

static void an_execution_moves_an_old_atime(void **state)
{
	struct statvfs fs;

	(void)state;
	need_relatime();
	check_ok(statvfs(".", &fs));
	if (fs.f_flag & ST_NOEXEC)
		skip_because("n/a: mounted noexec");
	copy_program("/bin/true", "true");
	make_old("true");
	run_as(NULL, execute_it, "./true");
	check(is_now(atime_of("true")));
}

static void a_mapped_read_moves_an_old_atime(void **state)
{
	volatile char *map;
	int fd;

	(void)state;
	need_relatime();
	make_file("file", 100, 1);
	make_old("file");
	fd = open_ok("file", O_RDONLY);
	map = map_ok(fd, 100, PROT_READ, MAP_SHARED);
	(void)map[1];
	check_ok(munmap((void *)map, 100));
	close_ok(fd);
	check(is_now(atime_of("file")));
}

static void the_birth_time_is_when_it_was_made(void **state)
{
	struct statx before, after;
	int64_t start;
	int fd;

	(void)state;
	start = now() - INT64_C(1000000000);
	make_file("file", 1, 1);
	check_ok(statx(AT_FDCWD, "file", 0, STATX_BTIME, &before));
	if (!(before.stx_mask & STATX_BTIME))
		skip_because("n/a: the filesystem gives no birth time");
	check(before.stx_btime.tv_sec * INT64_C(1000000000) >= start -
	      INT64_C(1000000000));
	tick();
	fd = open_ok("file", O_RDWR);
	pwrite_ok(fd, "x", 1, 10);
	close_ok(fd);
	make_old("file");
	check_ok(statx(AT_FDCWD, "file", 0, STATX_BTIME, &after));
	check_equal(after.stx_btime.tv_sec, before.stx_btime.tv_sec);
	check_equal(after.stx_btime.tv_nsec, before.stx_btime.tv_nsec);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		contract_case(times_are_kept_to_the_nanosecond),
		contract_case(times_can_be_omitted_or_now),
		contract_case(a_symlink_s_times_are_its_own),
		contract_case(a_write_moves_mtime_and_ctime),
		contract_case(times_set_after_a_write_stay),
		contract_case(a_truncation_moves_mtime_and_ctime),
		contract_case(a_mapped_write_moves_mtime_and_ctime),
		contract_case(a_mapped_write_without_msync_moves_mtime),
		contract_case(a_change_of_attributes_moves_ctime_alone),
		contract_case(a_change_of_names_moves_the_directory_s_times),
		contract_case(a_read_moves_an_old_atime),
		contract_case(a_read_from_the_cache_moves_an_old_atime),
		contract_case(relatime_leaves_an_atime_that_is_new_enough),
		contract_case(relatime_moves_the_atime_after_a_write),
		contract_case(o_noatime_leaves_the_atime),
		contract_case(a_directory_s_old_atime_moves_when_it_is_read),
		contract_case(a_symlink_s_old_atime_moves_when_it_is_read),
		contract_case(an_execution_moves_an_old_atime),
		contract_case(a_mapped_read_moves_an_old_atime),
		contract_case(the_birth_time_is_when_it_was_made),
	};

	return contract_main(argc, argv, tests);
}
