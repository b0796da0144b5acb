// SPDX-License-Identifier: Apache-2.0
/*
 * Names: what can be made, found, linked, renamed and removed.
 */
#include "contract.h"

#include <dirent.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>

static bool is_listed(const char *directory, const char *name)
{
	DIR *dir = opendir(directory);
	struct dirent *entry;
	bool found = false;

	check(dir);
	while ((entry = readdir(dir)) != NULL)
		found = found || strcmp(entry->d_name, name) == 0;
	closedir(dir);
	return found;
}

static void a_made_name_is_found_and_a_removed_one_is_not(void **state)
{
	struct stat st;

	(void)state;
	check_fails(stat("file", &st), ENOENT);
	make_file("file", 10, 1);
	check_equal(stat_of("file").st_size, 10);
	check(is_listed(".", "file"));
	check_fails(open("file", O_CREAT | O_EXCL | O_RDWR, 0600), EEXIST);
	check_ok(unlink("file"));
	check_fails(stat("file", &st), ENOENT);
	check_fails(unlink("file"), ENOENT);
	check(!is_listed(".", "file"));
}

static void make_named(void *name)
{
	make_file(name, 7, 2);
}

static void a_missing_name_is_found_once_another_process_made_it(void **state)
{
	struct stat st;
	int i;

	(void)state;
	for (i = 0; i < 20; i++) {
		check_fails(stat("new", &st), ENOENT);
		run_as(NULL, make_named, "new");
		check_file("new", 7, 2);
		check_ok(unlink("new"));
	}
}

static void names_differ_by_case_and_by_every_byte(void **state)
{
	(void)state;
	make_file("name", 1, 1);
	make_file("Name", 2, 1);
	make_file("name ", 3, 1);
	make_file("name.", 4, 1);
	check_equal(stat_of("name").st_size, 1);
	check_equal(stat_of("Name").st_size, 2);
	check_equal(stat_of("name ").st_size, 3);
	check_equal(stat_of("name.").st_size, 4);
}

static void names_hold_255_bytes_and_no_more(void **state)
{
	char name[300] = "", other[300];
	struct stat st;

	(void)state;
	memset(name, 'n', 255);
	make_file(name, 5, 1);
	check(is_listed(".", name));
	check_ok(chmod(name, 0600));
	memset(other, 'o', 255);
	other[255] = 0;
	check_ok(rename(name, other));
	check_ok(symlink("x", name));
	check_ok(unlink(name));
	check_ok(mkdir(name, 0755));
	check_ok(rmdir(name));
	name[255] = 'n';
	check_fails(stat(name, &st), ENAMETOOLONG);
	check_fails(open(name, O_CREAT | O_RDWR, 0600), ENAMETOOLONG);
	check_fails(mkdir(name, 0700), ENAMETOOLONG);
	check_fails(unlink(name), ENAMETOOLONG);
	check_fails(rename(other, name), ENAMETOOLONG);
	check_fails(link(other, name), ENAMETOOLONG);
	check_fails(symlink("x", name), ENAMETOOLONG);
}

static void names_hold_every_byte_but_slash_and_nul(void **state)
{
	char name[] = "?x";
	bool seen[256] = {false};
	struct dirent *entry;
	int byte;
	DIR *dir;

	(void)state;
	for (byte = 1; byte < 256; byte++) {
		name[0] = byte;
		if (byte != '/')
			make_file(name, byte, byte);
	}
	dir = opendir(".");
	check(dir);
	while ((entry = readdir(dir)) != NULL) {
		if (strcmp(entry->d_name + 1, "x") == 0)
			seen[(unsigned char)entry->d_name[0]] = true;
	}
	closedir(dir);
	for (byte = 1; byte < 256; byte++) {
		if (byte == '/')
			continue;
		name[0] = byte;
		check(seen[byte]);
		check_file(name, byte, byte);
	}
}

static void a_directory_is_made_empty_and_removed_only_empty(void **state)
{
	(void)state;
	check_ok(mkdir("dir", 0755));
	check_fails(mkdir("dir", 0755), EEXIST);
	check_fails(mkdir("missing/dir", 0755), ENOENT);
	make_file("dir/file", 1, 1);
	check_fails(mkdir("dir/file", 0755), EEXIST);
	check_fails(mkdir("dir/file/dir", 0755), ENOTDIR);
	check_fails(rmdir("dir"), ENOTEMPTY);
	check_fails(rmdir("dir/file"), ENOTDIR);
	check_fails(unlink("dir"), EISDIR);
	check_fails(rmdir("dir/."), EINVAL);
	check_fails(rmdir("dir/.."), ENOTEMPTY);
	check_ok(unlink("dir/file"));
	check_ok(rmdir("dir/"));
	check_fails(rmdir("dir"), ENOENT);
}

static void a_trailing_slash_asks_for_a_directory(void **state)
{
	struct stat st;

	(void)state;
	make_file("file", 1, 1);
	check_fails(stat("file/", &st), ENOTDIR);
	check_fails(open("new/", O_CREAT | O_RDWR, 0600), EISDIR);
	check_fails(unlink("file/"), ENOTDIR);
	check_ok(mkdir("dir/", 0755));
	check_ok(stat("dir/", &st));
	check_fails(rename("file", "other/"), ENOTDIR);
	check_ok(rename("dir/", "other/"));
	check_equal(stat_of("other/..").st_ino, stat_of(".").st_ino);
}

static void rename_replaces_a_file_at_once(void **state)
{
	struct stat before;
	char byte;
	int fd;

	(void)state;
	make_file("new", 100, 1);
	make_file("old", 200, 2);
	before = stat_of("new");
	fd = open_ok("old", O_RDONLY);
	check_ok(rename("new", "old"));
	check_file("old", 100, 1);
	check_equal(stat_of("old").st_ino, before.st_ino);
	check_fails(access("new", F_OK), ENOENT);
	check(!is_listed(".", "new"));
	/* Who had the replaced file open still has it. */
	check_equal(fstat_of(fd).st_nlink, 0);
	check_equal(fstat_of(fd).st_size, 200);
	pread_ok(fd, &byte, 1, 199);
	close_ok(fd);
	check_fails(rename("missing", "old"), ENOENT);
}

static void rename_minds_what_is_a_directory(void **state)
{
	(void)state;
	make_file("file", 1, 1);
	check_ok(mkdir("dir", 0755));
	check_ok(mkdir("full", 0755));
	make_file("full/file", 2, 1);
	check_fails(rename("file", "dir"), EISDIR);
	check_fails(rename("dir", "file"), ENOTDIR);
	/* POSIX allows both, and Linux filesystems differ. */
	errno = 0;
	check_equal(rename("dir", "full"), -1);
	check(errno == ENOTEMPTY || errno == EEXIST);
	check_fails(rename("full", "full/sub"), EINVAL);
	check_fails(rename("full", "full/file/x"), ENOTDIR);
	check_ok(rename("full", "dir"));
	check_equal(stat_of("dir/file").st_size, 2);
	check_fails(access("full", F_OK), ENOENT);
}

static void a_directory_moves_with_all_below_it(void **state)
{
	int fd;

	(void)state;
	check_ok(mkdir("a", 0755));
	check_ok(mkdir("b", 0755));
	check_ok(mkdir("a/dir", 0755));
	make_file("a/dir/file", 50, 1);
	fd = open_ok("a/dir", O_RDONLY | O_DIRECTORY);
	check_ok(rename("a/dir", "b/moved"));
	check_file("b/moved/file", 50, 1);
	check_equal(stat_of("b/moved/..").st_ino, stat_of("b").st_ino);
	check_fails(access("a/dir/file", F_OK), ENOENT);
	check_ok(faccessat(fd, "file", R_OK, 0));
	check_ok(renameat(fd, "file", AT_FDCWD, "file"));
	close_ok(fd);
	check_file("file", 50, 1);
}

static void rename_between_two_links_of_a_file_does_nothing(void **state)
{
	(void)state;
	make_file("one", 9, 1);
	check_ok(link("one", "two"));
	check_ok(rename("one", "two"));
	check_equal(stat_of("one").st_nlink, 2);
	check_file("two", 9, 1);
}

static void rename_noreplace_keeps_what_is_there(void **state)
{
	(void)state;
	make_file("one", 1, 1);
	make_file("two", 2, 1);
	check_fails(renameat2(AT_FDCWD, "one", AT_FDCWD, "two",
			      RENAME_NOREPLACE),
		    EEXIST);
	check_equal(stat_of("two").st_size, 2);
	check_ok(renameat2(AT_FDCWD, "one", AT_FDCWD, "three",
			   RENAME_NOREPLACE));
	check_equal(stat_of("three").st_size, 1);
	check_fails(access("one", F_OK), ENOENT);
}

static void rename_exchange_swaps_two_names(void **state)
{
	struct stat file, dir;

	(void)state;
	make_file("file", 1, 1);
	check_ok(mkdir("dir", 0755));
	make_file("dir/inner", 2, 1);
	file = stat_of("file");
	dir = stat_of("dir");
	check_ok(renameat2(AT_FDCWD, "file", AT_FDCWD, "dir",
			   RENAME_EXCHANGE));
	check_equal(stat_of("dir").st_ino, file.st_ino);
	check_equal(stat_of("file").st_ino, dir.st_ino);
	check(S_ISREG(stat_of("dir").st_mode));
	check_equal(stat_of("file/inner").st_size, 2);
	check_fails(renameat2(AT_FDCWD, "file", AT_FDCWD, "missing",
			      RENAME_EXCHANGE),
		    ENOENT);
	check_fails(renameat2(AT_FDCWD, "file", AT_FDCWD, "dir",
			      RENAME_EXCHANGE | RENAME_NOREPLACE),
		    EINVAL);
}

static void exchanged_directories_have_exchanged_parents(void **state)
{
	(void)state;
	check_ok(mkdir("a", 0755));
	check_ok(mkdir("b", 0755));
	check_ok(mkdir("a/x", 0755));
	check_ok(mkdir("b/y", 0755));
	check_ok(renameat2(AT_FDCWD, "a/x", AT_FDCWD, "b/y",
			   RENAME_EXCHANGE));
	check_equal(stat_of("a/x/..").st_ino, stat_of("a").st_ino);
	check_equal(stat_of("b/y/..").st_ino, stat_of("b").st_ino);
}

static void hard_links_are_one_file(void **state)
{
	struct stat one;
	int fd;

	(void)state;
	make_file("one", 10, 1);
	check_ok(mkdir("dir", 0755));
	check_ok(link("one", "dir/two"));
	one = stat_of("one");
	check_equal(one.st_nlink, 2);
	check_equal(stat_of("dir/two").st_ino, one.st_ino);
	fd = open_ok("dir/two", O_WRONLY | O_APPEND);
	write_ok(fd, "more", 4);
	close_ok(fd);
	check_equal(stat_of("one").st_size, 14);
	check_ok(chmod("one", 0600));
	check_equal(stat_of("dir/two").st_mode & 07777, 0600);
	check_ok(unlink("one"));
	check_equal(stat_of("dir/two").st_nlink, 1);
	check_equal(stat_of("dir/two").st_size, 14);
}

static void links_that_cannot_be_are_refused(void **state)
{
	(void)state;
	make_file("file", 1, 1);
	make_file("other", 1, 1);
	check_ok(mkdir("dir", 0755));
	check_fails(link("dir", "link"), EPERM);
	check_fails(link("file", "other"), EEXIST);
	check_fails(link("file", "dir"), EEXIST);
	check_fails(link("missing", "link"), ENOENT);
	check_fails(link("file", "missing/link"), ENOENT);
	check_fails(link("file", "other/link"), ENOTDIR);
}

static void a_symlink_can_have_hard_links(void **state)
{
	(void)state;
	make_file("file", 1, 1);
	check_ok(symlink("file", "soft"));
	check_ok(linkat(AT_FDCWD, "soft", AT_FDCWD, "hard", 0));
	check(S_ISLNK(lstat_of("hard").st_mode));
	check_equal(lstat_of("soft").st_nlink, 2);
	check_ok(linkat(AT_FDCWD, "soft", AT_FDCWD, "file2",
			AT_SYMLINK_FOLLOW));
	check_equal(lstat_of("file2").st_ino, stat_of("file").st_ino);
}

static void a_symlink_gives_back_what_was_put_in(void **state)
{
	char target[1001] = "", seen[1100];

	(void)state;
	memset(target, 't', sizeof(target) - 1);
	target[3] = '\n';
	target[4] = (char)0xff;
	check_ok(symlink(target, "link"));
	check_equal(readlink("link", seen, sizeof(seen)), 1000);
	check_bytes(seen, target, 1000);
	check_equal(lstat_of("link").st_size, 1000);
	check_equal(readlink("link", seen, 10), 10);
	check_fails(symlink("x", "link"), EEXIST);
	check_fails(symlink("", "empty"), ENOENT);
	make_file("file", 1, 1);
	check_fails(readlink("file", seen, sizeof(seen)), EINVAL);
	check_fails(readlink("missing", seen, sizeof(seen)), ENOENT);
}

static void symlinks_are_followed_from_where_they_are(void **state)
{
	struct stat st;

	(void)state;
	check_ok(mkdir("dir", 0755));
	make_file("file", 11, 1);
	check_ok(symlink("../file", "dir/link"));
	check_ok(symlink("dir", "way"));
	check_equal(stat_of("way/link").st_size, 11);
	check_file("way/link", 11, 1);
	check_ok(symlink("made", "dangling"));
	check_fails(stat("dangling", &st), ENOENT);
	close_ok(open_ok("dangling", O_CREAT | O_WRONLY));
	check_equal(stat_of("made").st_size, 0);
	check_ok(unlink("way"));
	check_ok(stat("dir", &st));
}

static void endless_symlinks_end_in_eloop(void **state)
{
	char name[16], target[16];
	struct stat st;
	int i;

	(void)state;
	check_ok(symlink("b", "a"));
	check_ok(symlink("a", "b"));
	check_fails(stat("a", &st), ELOOP);
	check_fails(open("a", O_RDONLY), ELOOP);
	make_file("0", 3, 1);
	for (i = 1; i <= 41; i++) {
		snprintf(name, sizeof(name), "%d", i);
		snprintf(target, sizeof(target), "%d", i - 1);
		check_ok(symlink(target, name));
	}
	check_equal(stat_of("40").st_size, 3);
	check_fails(stat("41", &st), ELOOP);
}

static void an_unlinked_file_lives_while_it_is_open(void **state)
{
	char path[64], seen[100], wanted[100];
	int fd, other;

	(void)state;
	make_file("file", 100, 1);
	fd = open_ok("file", O_RDWR);
	other = open_ok("file", O_RDONLY);
	check_ok(unlink("file"));
	make_file("file", 5, 9);
	check_equal(fstat_of(fd).st_nlink, 0);
	check_equal(fstat_of(fd).st_size, 100);
	check(fstat_of(fd).st_ino != stat_of("file").st_ino);
	fill(wanted, 100, 1);
	pread_ok(other, seen, 100, 0);
	check_bytes(seen, wanted, 100);
	pwrite_ok(fd, wanted, 100, 50);
	pread_ok(other, seen, 100, 50);
	check_bytes(seen, wanted, 100);
	check_ok(ftruncate(fd, 10));
	check_ok(fchmod(fd, 0640));
	check_equal(fstat_of(other).st_size, 10);
	check_equal(fstat_of(other).st_mode & 07777, 0640);
	check_ok(fsync(fd));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	check_fails(linkat(AT_FDCWD, path, AT_FDCWD, "again",
			   AT_SYMLINK_FOLLOW),
		    ENOENT);
	/* The link in /proc still opens it. */
	close_ok(open_ok(path, O_RDONLY));
	close_ok(fd);
	close_ok(other);
	check_file("file", 5, 9);
}

static void a_removed_open_directory_is_empty_and_closed_to_new_names(
	void **state)
{
	struct dirent *entry;
	int fd;
	DIR *dir;

	(void)state;
	check_ok(mkdir("dir", 0755));
	fd = open_ok("dir", O_RDONLY | O_DIRECTORY);
	check_ok(rmdir("dir"));
	check_equal(fstat_of(fd).st_nlink, 0);
	check_fails(openat(fd, "file", O_CREAT | O_RDWR, 0600), ENOENT);
	check_fails(mkdirat(fd, "sub", 0700), ENOENT);
	check_fails(symlinkat("x", fd, "link"), ENOENT);
	dir = fdopendir(fd);
	check(dir);
	while ((entry = readdir(dir)) != NULL)
		check(entry->d_name[0] == '.');
	closedir(dir);
}

static void live_in_a_removed_directory(void *unused)
{
	char path[PATH_MAX];
	struct stat st;

	(void)unused;
	check_ok(mkdir("sub", 0755));
	check_ok(chdir("sub"));
	check_ok(rmdir("../sub"));
	errno = 0;
	check(!getcwd(path, sizeof(path)));
	check_equal(errno, ENOENT);
	check_ok(stat(".", &st));
	check_equal(st.st_nlink, 0);
	check_fails(open("file", O_CREAT | O_RDWR, 0600), ENOENT);
	check_fails(stat("file", &st), ENOENT);
	check_ok(chdir(".."));
	make_file("file", 1, 1);
}

static void a_process_may_stay_in_a_removed_directory(void **state)
{
	(void)state;
	check_ok(mkdir("dir", 0755));
	check_ok(chdir("dir"));
	run_as(NULL, live_in_a_removed_directory, NULL);
	check_file("file", 1, 1);
}

static int open_tmpfile(int flags)
{
	int fd = open(".", O_TMPFILE | O_CLOEXEC | flags, 0640);

	if (fd < 0 && errno == EOPNOTSUPP)
		check_failed(__FILE__, __LINE__, "no O_TMPFILE");
	return check_ok(fd);
}

static void a_tmpfile_has_no_name_until_it_is_linked(void **state)
{
	struct dirent *entry;
	char path[64], bytes[100];
	int fd;
	DIR *dir;

	(void)state;
	fd = open_tmpfile(O_RDWR);
	check_equal(fstat_of(fd).st_nlink, 0);
	check_equal(fstat_of(fd).st_mode, S_IFREG | 0640);
	fill(bytes, sizeof(bytes), 4);
	write_ok(fd, bytes, sizeof(bytes));
	dir = opendir(".");
	check(dir);
	while ((entry = readdir(dir)) != NULL)
		check(entry->d_name[0] == '.');
	closedir(dir);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	check_ok(linkat(AT_FDCWD, path, AT_FDCWD, "named",
			AT_SYMLINK_FOLLOW));
	check_equal(fstat_of(fd).st_nlink, 1);
	check_equal(stat_of("named").st_ino, fstat_of(fd).st_ino);
	check_file("named", sizeof(bytes), 4);
	write_ok(fd, bytes, sizeof(bytes));
	check_equal(stat_of("named").st_size, 200);
	close_ok(fd);
	check_equal(stat_of("named").st_size, 200);
}

static void an_exclusive_tmpfile_is_never_linked(void **state)
{
	char path[64];
	int fd;

	(void)state;
	fd = open_tmpfile(O_RDWR | O_EXCL);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	check_fails(linkat(AT_FDCWD, path, AT_FDCWD, "named",
			   AT_SYMLINK_FOLLOW),
		    ENOENT);
	close_ok(fd);
	check_fails(open(".", O_TMPFILE | O_RDONLY, 0600), EINVAL);
}

static void write_into_fifo(void *unused)
{
	int fd = open_ok("fifo", O_WRONLY);

	(void)unused;
	write_ok(fd, "through", 7);
	close_ok(fd);
}

static void a_fifo_joins_two_processes(void **state)
{
	char seen[8] = "";
	pid_t child;
	int fd;

	(void)state;
	check_ok(mkfifo("fifo", 0640));
	check_equal(stat_of("fifo").st_mode, S_IFIFO | 0640);
	child = spawn(NULL, write_into_fifo, NULL);
	fd = open_ok("fifo", O_RDONLY);
	check_equal(read(fd, seen, sizeof(seen)), 7);
	check_bytes(seen, "through", 7);
	check_equal(read(fd, seen, sizeof(seen)), 0);
	close_ok(fd);
	join(child);
}

static void a_socket_joins_two_ends(void **state)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX, .sun_path = "sock"};
	int server, client, end;
	char byte;

	(void)state;
	server = check_ok(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
	check_ok(bind(server, (struct sockaddr *)&name, sizeof(name)));
	check(S_ISSOCK(stat_of("sock").st_mode));
	check_fails(open("sock", O_RDWR), ENXIO);
	check_ok(listen(server, 1));
	client = check_ok(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
	check_ok(connect(client, (struct sockaddr *)&name, sizeof(name)));
	end = check_ok(accept(server, NULL, NULL));
	write_ok(client, "b", 1);
	check_equal(read(end, &byte, 1), 1);
	close_ok(server);
	close_ok(end);
	close_ok(client);
	check_ok(unlink("sock"));
}

static void a_path_below_a_file_is_enotdir(void **state)
{
	struct stat st;

	(void)state;
	make_file("file", 1, 1);
	check_fails(stat("file/x", &st), ENOTDIR);
	check_fails(open("file/x", O_CREAT | O_RDWR, 0600), ENOTDIR);
	check_fails(unlink("file/x"), ENOTDIR);
	check_fails(chdir("file"), ENOTDIR);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		contract_case(a_made_name_is_found_and_a_removed_one_is_not),
		contract_case(
			a_missing_name_is_found_once_another_process_made_it),
		contract_case(names_differ_by_case_and_by_every_byte),
		contract_case(names_hold_255_bytes_and_no_more),
		contract_case(names_hold_every_byte_but_slash_and_nul),
		contract_case(a_directory_is_made_empty_and_removed_only_empty),
		contract_case(a_trailing_slash_asks_for_a_directory),
		contract_case(rename_replaces_a_file_at_once),
		contract_case(rename_minds_what_is_a_directory),
		contract_case(a_directory_moves_with_all_below_it),
		contract_case(rename_between_two_links_of_a_file_does_nothing),
		contract_case(rename_noreplace_keeps_what_is_there),
		contract_case(rename_exchange_swaps_two_names),
		contract_case(exchanged_directories_have_exchanged_parents),
		contract_case(hard_links_are_one_file),
		contract_case(links_that_cannot_be_are_refused),
		contract_case(a_symlink_can_have_hard_links),
		contract_case(a_symlink_gives_back_what_was_put_in),
		contract_case(symlinks_are_followed_from_where_they_are),
		contract_case(endless_symlinks_end_in_eloop),
		contract_case(an_unlinked_file_lives_while_it_is_open),
		contract_case(
	a_removed_open_directory_is_empty_and_closed_to_new_names),
		contract_case(a_process_may_stay_in_a_removed_directory),
		contract_case(a_tmpfile_has_no_name_until_it_is_linked),
		contract_case(an_exclusive_tmpfile_is_never_linked),
		contract_case(a_fifo_joins_two_processes),
		contract_case(a_socket_joins_two_ends),
		contract_case(a_path_below_a_file_is_enotdir),
	};

	return contract_main(argc, argv, tests);
}
