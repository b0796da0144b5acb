// SPDX-License-Identifier: Apache-2.0
/*
 * Reading directories: complete, repeatable, seekable, and steady for what
 * nobody touches while others create and remove.
 */
#include "contract.h"

#include <dirent.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>

enum { many = 10000, some = 1000 };

static unsigned char seen[many];

static void make_numbered(int count)
{
	char name[32];
	int i;

	check_ok(mkdir("dir", 0755));
	for (i = 0; i < count; i++) {
		snprintf(name, sizeof(name), "dir/entry-%d", i);
		close_ok(check_ok(open(name, O_CREAT | O_WRONLY, 0600)));
	}
}

/* The number of an "entry-N", or -1 for any other name. */
static int number_of(const char *name)
{
	return strncmp(name, "entry-", 6) == 0 ? atoi(name + 6) : -1;
}

static DIR *open_dir(const char *name)
{
	DIR *dir = opendir(name);

	if (!dir)
		check_failed(__FILE__, __LINE__, "opendir %s: %s", name,
			     strerror(errno));
	return dir;
}

static struct dirent *next(DIR *dir)
{
	struct dirent *entry;

	errno = 0;
	entry = readdir(dir);
	if (!entry)
		check_equal(errno, 0);
	return entry;
}

/* Reads to the end and counts each number; returns the other entries. */
static int count_entries(DIR *dir)
{
	struct dirent *entry;
	int others = 0;

	memset(seen, 0, sizeof(seen));
	while ((entry = next(dir)) != NULL) {
		int number = number_of(entry->d_name);

		if (number < 0)
			others++;
		else
			seen[number]++;
	}
	return others;
}

static void check_each_once(int count)
{
	int i;

	for (i = 0; i < count; i++) {
		if (seen[i] != 1)
			check_failed(__FILE__, __LINE__,
				     "entry %d was seen %d times", i, seen[i]);
	}
}

static void a_new_directory_has_itself_and_its_parent(void **state)
{
	struct dirent *entry;
	int self = 0, parent = 0;
	DIR *dir;

	(void)state;
	check_ok(mkdir("dir", 0755));
	dir = open_dir("dir");
	while ((entry = next(dir)) != NULL) {
		if (strcmp(entry->d_name, ".") == 0) {
			check_equal(entry->d_ino, stat_of("dir").st_ino);
			self++;
		} else {
			check_equal(strcmp(entry->d_name, ".."), 0);
			check_equal(entry->d_ino, stat_of(".").st_ino);
			parent++;
		}
		check_equal(entry->d_type, DT_DIR);
	}
	check_equal(self, 1);
	check_equal(parent, 1);
	closedir(dir);
}

static void ten_thousand_entries_appear_once_each(void **state)
{
	DIR *dir;

	(void)state;
	make_numbered(many);
	dir = open_dir("dir");
	check_equal(count_entries(dir), 2);
	check_each_once(many);
	check(!next(dir));
	rewinddir(dir);
	check_equal(count_entries(dir), 2);
	check_each_once(many);
	closedir(dir);
}

static void entries_tell_their_type(void **state)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX,
				   .sun_path = "dir/socket"};
	struct dirent *entry;
	int fd, count = 0;
	DIR *dir;

	(void)state;
	check_ok(mkdir("dir", 0755));
	make_file("dir/regular", 1, 1);
	check_ok(mkdir("dir/directory", 0755));
	check_ok(symlink("regular", "dir/link"));
	check_ok(mkfifo("dir/pipe", 0600));
	fd = check_ok(socket(AF_UNIX, SOCK_STREAM, 0));
	check_ok(bind(fd, (struct sockaddr *)&name, sizeof(name)));
	close_ok(fd);
	dir = open_dir("dir");
	while ((entry = next(dir)) != NULL) {
		static const char types[][2] = {
			{'r', DT_REG}, {'d', DT_DIR},  {'l', DT_LNK},
			{'p', DT_FIFO}, {'s', DT_SOCK}, {'.', DT_DIR},
		};
		size_t i;

		for (i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
			if (entry->d_name[0] != types[i][0])
				continue;
			check_equal(entry->d_type, types[i][1]);
			count++;
		}
	}
	check_equal(count, 7);
	closedir(dir);
}

static void a_position_can_be_returned_to(void **state)
{
	static struct {
		long position;
		char name[256];
	} mark[some + 2];
	struct dirent *entry;
	unsigned seed = 7;
	int i, count = 0;
	DIR *dir;

	(void)state;
	make_numbered(some);
	dir = open_dir("dir");
	for (;;) {
		long position = telldir(dir);

		entry = next(dir);
		if (!entry)
			break;
		check(count < some + 2);
		mark[count].position = position;
		strcpy(mark[count].name, entry->d_name);
		count++;
	}
	check_equal(count, some + 2);
	for (i = 0; i < 500; i++) {
		int at = rand_r(&seed) % count;

		seekdir(dir, mark[at].position);
		entry = next(dir);
		check(entry);
		check_equal(strcmp(entry->d_name, mark[at].name), 0);
		if (at + 1 < count) {
			entry = next(dir);
			check(entry);
			check_equal(strcmp(entry->d_name, mark[at + 1].name),
				    0);
		}
	}
	closedir(dir);
}

static void rewinding_shows_what_is_new(void **state)
{
	DIR *dir;

	(void)state;
	make_numbered(10);
	dir = open_dir("dir");
	check_equal(count_entries(dir), 2);
	check_each_once(10);
	make_file("dir/entry-10", 1, 1);
	check_ok(unlink("dir/entry-3"));
	rewinddir(dir);
	check_equal(count_entries(dir), 2);
	check_equal(seen[3], 0);
	seen[3] = 1;
	check_each_once(11);
	closedir(dir);
}

static void two_readers_don_t_disturb_each_other(void **state)
{
	DIR *one, *two;
	int i;

	(void)state;
	make_numbered(some);
	one = open_dir("dir");
	two = open_dir("dir");
	for (i = 0; i < 300; i++)
		check(next(one));
	check_equal(count_entries(two), 2);
	check_each_once(some);
	while (next(one))
		i++;
	check_equal(i, some + 2);
	closedir(one);
	closedir(two);
}

struct linux_dirent {
	uint64_t ino;
	int64_t offset;
	uint16_t length;
	uint8_t type;
	char name[];
};

static void small_buffers_read_all_and_too_small_ones_fail(void **state)
{
	_Alignas(8) char buffer[64];
	int fd, count = 0;

	(void)state;
	make_numbered(some);
	memset(seen, 0, sizeof(seen));
	fd = open_ok("dir", O_RDONLY | O_DIRECTORY);
	check_fails(syscall(SYS_getdents64, fd, buffer, 16), EINVAL);
	for (;;) {
		long size = check_ok(
			syscall(SYS_getdents64, fd, buffer, sizeof(buffer)));
		long at = 0;

		if (size == 0)
			break;
		while (at < size) {
			struct linux_dirent *entry = (void *)(buffer + at);
			int number = number_of(entry->name);

			if (number >= 0)
				seen[number]++;
			else
				count++;
			at += entry->length;
		}
	}
	check_equal(count, 2);
	check_each_once(some);
	close_ok(fd);
}

static void a_file_is_no_directory(void **state)
{
	char buffer[100];
	int fd;

	(void)state;
	make_file("file", 1, 1);
	fd = open_ok("file", O_RDONLY);
	check_fails(syscall(SYS_getdents64, fd, buffer, sizeof(buffer)),
		    ENOTDIR);
	close_ok(fd);
	check(!opendir("file"));
	check_equal(errno, ENOTDIR);
}

static void churn(void *unused)
{
	char name[32], other[32];
	int i;

	(void)unused;
	for (i = 0;; i = (i + 1) % 500) {
		snprintf(name, sizeof(name), "dir/churn-%d", i);
		snprintf(other, sizeof(other), "dir/moved-%d", i);
		make_file(name, 0, 1);
		check_ok(rename(name, other));
		check_ok(unlink(other));
	}
}

static void what_nobody_touches_appears_once_during_change(void **state)
{
	pid_t child;
	DIR *dir;
	int round;

	(void)state;
	make_numbered(some);
	check_ok(mkdir("dir/sub", 0755));
	child = spawn(NULL, churn, NULL);
	for (round = 0; round < 20; round++) {
		dir = open_dir("dir");
		check(count_entries(dir) >= 3);
		check_each_once(some);
		closedir(dir);
	}
	check_runs(child);
	kill_child(child);
}

static void removing_while_reading_misses_nothing(void **state)
{
	struct dirent *entry;
	char name[300];
	int removed = 0;
	DIR *dir;

	(void)state;
	make_numbered(some);
	dir = open_dir("dir");
	while ((entry = next(dir)) != NULL) {
		if (number_of(entry->d_name) < 0)
			continue;
		snprintf(name, sizeof(name), "dir/%s", entry->d_name);
		check_ok(unlink(name));
		removed++;
	}
	closedir(dir);
	check_equal(removed, some);
	check_ok(rmdir("dir"));
}

/* As "ls -l" and "find" do: what the listing brought along must be true. */
static void attributes_after_a_listing_are_up_to_date(void **state)
{
	char name[32];
	DIR *dir;
	int i;

	(void)state;
	make_numbered(100);
	dir = open_dir("dir");
	count_entries(dir);
	for (i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "dir/entry-%d", i);
		check_ok(truncate(name, i * 10));
		check_equal(stat_of(name).st_size, i * 10);
	}
	rewinddir(dir);
	count_entries(dir);
	for (i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "dir/entry-%d", i);
		check_equal(stat_of(name).st_size, i * 10);
		check_equal(stat_of(name).st_nlink, 1);
	}
	closedir(dir);
}

static void deep_directories_can_be_walked(void **state)
{
	enum { depth = 100 };
	char name[64];
	int i, fd, down = open_ok(".", O_RDONLY | O_DIRECTORY);
	ino_t top = fstat_of(down).st_ino;

	(void)state;
	for (i = 0; i < depth; i++) {
		snprintf(name, sizeof(name), "a directory at depth %d", i);
		check_ok(mkdirat(down, name, 0755));
		fd = check_ok(openat(down, name, O_RDONLY | O_DIRECTORY));
		close_ok(down);
		down = fd;
	}
	for (i = 0; i < depth; i++) {
		fd = check_ok(openat(down, "..", O_RDONLY | O_DIRECTORY));
		close_ok(down);
		down = fd;
	}
	check_equal(fstat_of(down).st_ino, top);
	close_ok(down);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		contract_case(a_new_directory_has_itself_and_its_parent),
		contract_case(ten_thousand_entries_appear_once_each),
		contract_case(entries_tell_their_type),
		contract_case(a_position_can_be_returned_to),
		contract_case(rewinding_shows_what_is_new),
		contract_case(two_readers_don_t_disturb_each_other),
		contract_case(small_buffers_read_all_and_too_small_ones_fail),
		contract_case(a_file_is_no_directory),
		contract_case(what_nobody_touches_appears_once_during_change),
		contract_case(removing_while_reading_misses_nothing),
		contract_case(attributes_after_a_listing_are_up_to_date),
		contract_case(deep_directories_can_be_walked),
	};

	return contract_main(argc, argv, tests);
}
