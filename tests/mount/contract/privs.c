// SPDX-License-Identifier: Apache-2.0
/*
 * Who may do what, and to whom new files belong. Everything here is done by
 * users without privileges on what root prepared, so it needs root.
 */
#include "contract.h"

#include <dirent.h>
#include <stdlib.h>
#include <sys/fsuid.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>

enum { many_groups = 40 };

static gid_t group_list[many_groups];

/* A user with many supplementary groups: 64300 to 64339. */
static struct identity user_of_many_groups(void)
{
	struct identity who = {.uid = 64104, .gid = 64104};
	int i;

	for (i = 0; i < many_groups; i++)
		group_list[i] = 64300 + i;
	who.group_count = many_groups;
	who.groups = group_list;
	return who;
}

/* A directory where everybody may do everything. */
static void open_directory(const char *name)
{
	need_root();
	check_ok(mkdir(name, 0777));
	check_ok(chmod(name, 0777));
}

static void check_owner(const char *name, uid_t uid, gid_t gid)
{
	struct stat st = lstat_of(name);

	check_equal(st.st_uid, uid);
	check_equal(st.st_gid, gid);
}

/* --- to whom new files belong -------------------------------------------- */

static void make_one_of_each(void *directory)
{
	int fd;

	check_ok(chdir(directory));
	close_ok(check_ok(open("file", O_CREAT | O_RDWR, 0666)));
	check_ok(mkdir("dir", 0777));
	check_ok(symlink("x", "link"));
	check_ok(mkfifo("fifo", 0666));
	check_ok(mknod("node", S_IFREG | 0666, 0));
	fd = check_ok(open(".", O_TMPFILE | O_RDWR, 0666));
	check_equal(fstat_of(fd).st_uid, geteuid());
	close_ok(fd);
}

static void new_files_belong_to_their_maker(void **state)
{
	static const char *const names[] = {"dir/file", "dir/dir", "dir/link",
					    "dir/fifo", "dir/node"};
	size_t i;

	(void)state;
	open_directory("dir");
	run_as(&alice, make_one_of_each, "dir");
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		check_owner(names[i], alice.uid, alice.gid);
}

static void a_setgid_directory_gives_its_group(void **state)
{
	(void)state;
	open_directory("dir");
	check_ok(chown("dir", 0, 64200));
	check_ok(chmod("dir", 02777));
	run_as(&alice, make_one_of_each, "dir");
	check_owner("dir/file", alice.uid, 64200);
	check_owner("dir/fifo", alice.uid, 64200);
	check_owner("dir/link", alice.uid, 64200);
	check_owner("dir/dir", alice.uid, 64200);
	check_equal(stat_of("dir/dir").st_mode & 07777, 02755);
	check_equal(stat_of("dir/file").st_mode & 07777, 0644);
}

static void make_setgid_file(void *name)
{
	umask(0);
	close_ok(check_ok(open(name, O_CREAT | O_RDWR, 02777)));
}

static void a_stranger_makes_no_setgid_file_in_a_setgid_directory(void **state)
{
	static const gid_t groups[] = {64200};
	const struct identity member = {64103, 64103, 1, groups};

	(void)state;
	open_directory("dir");
	check_ok(chown("dir", 0, 64200));
	check_ok(chmod("dir", 02777));
	run_as(&alice, make_setgid_file, "dir/stranger");
	check_equal(stat_of("dir/stranger").st_mode & 07777, 0777);
	run_as(&member, make_setgid_file, "dir/member");
	check_equal(stat_of("dir/member").st_mode & 07777, 02777);
}

static void make_with_umask(void *mask)
{
	umask(*(mode_t *)mask);
	close_ok(check_ok(open("dir/file", O_CREAT | O_RDWR, 0777)));
	check_ok(mkdir("dir/dir", 0777));
	check_ok(mkfifo("dir/fifo", 0777));
}

static void the_maker_s_umask_counts(void **state)
{
	mode_t mask;

	(void)state;
	open_directory("dir");
	for (mask = 0; mask <= 0777; mask += 0111) {
		run_as(&alice, make_with_umask, &mask);
		check_equal(stat_of("dir/file").st_mode & 0777, 0777 & ~mask);
		check_equal(stat_of("dir/dir").st_mode & 0777, 0777 & ~mask);
		check_equal(stat_of("dir/fifo").st_mode & 0777, 0777 & ~mask);
		check_ok(unlink("dir/file"));
		check_ok(unlink("dir/fifo"));
		check_ok(rmdir("dir/dir"));
	}
}

static void make_many(void *prefix)
{
	char name[32];
	int i;

	for (i = 0; i < 200; i++) {
		snprintf(name, sizeof(name), "dir/%s%d", (char *)prefix, i);
		close_ok(check_ok(open(name, O_CREAT | O_RDWR, 0600)));
		check_equal(stat_of(name).st_uid, geteuid());
	}
}

static void makers_at_the_same_time_are_not_mixed_up(void **state)
{
	const struct identity many = user_of_many_groups();
	char name[32];
	pid_t child[3];
	int i;

	(void)state;
	open_directory("dir");
	child[0] = spawn(&alice, make_many, "a");
	child[1] = spawn(&bob, make_many, "b");
	child[2] = spawn(&many, make_many, "m");
	for (i = 0; i < 3; i++)
		join(child[i]);
	for (i = 0; i < 200; i++) {
		snprintf(name, sizeof(name), "dir/a%d", i);
		check_owner(name, alice.uid, alice.gid);
		snprintf(name, sizeof(name), "dir/b%d", i);
		check_owner(name, bob.uid, bob.gid);
		snprintf(name, sizeof(name), "dir/m%d", i);
		check_owner(name, many.uid, many.gid);
	}
}

static void alternate_identities(void *unused)
{
	char name[32];
	int i;

	(void)unused;
	for (i = 0; i < 100; i++) {
		uid_t uid = i % 2 ? alice.uid : i % 3 ? bob.uid : 0;

		setfsgid(uid);
		setfsuid(uid);
		snprintf(name, sizeof(name), "dir/%d", i);
		close_ok(check_ok(open(name, O_CREAT | O_RDWR, 0600)));
		setfsuid(0);
		setfsgid(0);
		check_owner(name, uid, uid);
		setfsuid(alice.uid);
		errno = 0;
		check((open(name, O_RDONLY) >= 0) == (uid == alice.uid));
		setfsuid(0);
	}
}

static void each_operation_has_the_identity_of_its_moment(void **state)
{
	(void)state;
	open_directory("dir");
	run_as(NULL, alternate_identities, NULL);
}

/* --- access -------------------------------------------------------------- */

/* What this process may do with the file is exactly these rwx bits. */
static void check_access(const char *name, unsigned bits)
{
	int fd;

	fd = open(name, O_RDONLY | O_CLOEXEC);
	check_equal(fd >= 0, !!(bits & 4));
	if (fd >= 0)
		close_ok(fd);
	else
		check_equal(errno, EACCES);
	fd = open(name, O_WRONLY | O_CLOEXEC);
	check_equal(fd >= 0, !!(bits & 2));
	if (fd >= 0)
		close_ok(fd);
	else
		check_equal(errno, EACCES);
	check_equal(access(name, X_OK) == 0, !!(bits & 1));
	check_equal(access(name, R_OK) == 0, !!(bits & 4));
	check_equal(truncate(name, 10) == 0, !!(bits & 2));
}

struct access_of {
	const char *name;
	unsigned bits;
};

static void check_access_of(void *argument)
{
	const struct access_of *access_of = argument;

	check_access(access_of->name, access_of->bits);
}

static void every_mode_gives_what_it_says(void **state)
{
	static const gid_t groups[] = {64999, 64200};
	const struct identity member = {64103, 64103, 2, groups};
	struct access_of it = {.name = "file"};

	(void)state;
	need_root();
	make_file("file", 10, 1);
	check_ok(chown("file", alice.uid, 64200));
	for (it.bits = 0; it.bits < 8; it.bits++) {
		unsigned other = it.bits ^ 7;

		check_ok(chmod("file", it.bits << 6 | other << 3 | other));
		run_as(&alice, check_access_of, &it);
		check_ok(chmod("file", other << 6 | it.bits << 3 | other));
		run_as(&member, check_access_of, &it);
		check_ok(chmod("file", other << 6 | other << 3 | it.bits));
		run_as(&bob, check_access_of, &it);
	}
}

static void every_one_of_many_groups_counts(void **state)
{
	const struct identity many = user_of_many_groups();
	struct access_of it = {.name = "file", .bits = 6};
	int i;

	(void)state;
	need_root();
	make_file_with_mode("file", 10, 0060);
	for (i = 0; i < many_groups; i++) {
		check_ok(chown("file", 0, group_list[i]));
		run_as(&many, check_access_of, &it);
	}
	it.bits = 0;
	check_ok(chown("file", 0, 64299));
	run_as(&many, check_access_of, &it);
}

static void make_in_dir(void *unused)
{
	(void)unused;
	make_file("dir/file", 10, 1);
	check_ok(rename("dir/file", "dir/new"));
	check_ok(unlink("dir/new"));
}

static void a_supplementary_group_may_make_files(void **state)
{
	const struct identity many = user_of_many_groups();

	(void)state;
	open_directory("dir");
	check_ok(chown("dir", 0, group_list[many_groups - 1]));
	check_ok(chmod("dir", 0770));
	run_as(&many, make_in_dir, NULL);
}

static void use_closed_directories(void *unused)
{
	struct stat st;
	DIR *dir;

	(void)unused;
	/* Search without reading: names that are known can be used. */
	check(!opendir("search"));
	check_equal(errno, EACCES);
	check_ok(stat("search/file", &st));
	check_access("search/file", 6);
	check_fails(unlink("search/file"), EACCES);
	check_fails(open("search/new", O_CREAT | O_RDWR, 0600), EACCES);
	check_fails(mkdir("search/new", 0700), EACCES);
	check_fails(symlink("x", "search/new"), EACCES);
	check_fails(rename("search/file", "search/new"), EACCES);
	check_fails(link("search/file", "search/new"), EACCES);
	/* Reading without search: only the names. */
	dir = opendir("list");
	check(dir);
	while (readdir(dir))
		;
	closedir(dir);
	check_fails(stat("list/file", &st), EACCES);
	check_fails(open("list/file", O_RDONLY), EACCES);
	check_fails(stat("list/missing", &st), EACCES);
	check_fails(chdir("list"), EACCES);
}

static void directories_ask_for_search_and_write(void **state)
{
	(void)state;
	need_root();
	check_ok(mkdir("search", 0755));
	check_ok(mkdir("list", 0755));
	make_file_with_mode("search/file", 10, 0666);
	make_file_with_mode("list/file", 10, 0666);
	check_ok(chmod("search", 0711));
	check_ok(chmod("list", 0744));
	run_as(&alice, use_closed_directories, NULL);
}

static void make_bob_s_file(void *unused)
{
	(void)unused;
	make_file("dir/bob", 1, 1);
	check_ok(mkdir("dir/bobdir", 0777));
}

static void meddle_in_sticky_directory(void *unused)
{
	(void)unused;
	check_fails(unlink("dir/bob"), EPERM);
	check_fails(rmdir("dir/bobdir"), EPERM);
	check_fails(rename("dir/bob", "dir/mine"), EPERM);
	make_file("dir/own", 1, 1);
	check_fails(rename("dir/own", "dir/bob"), EPERM);
	check_ok(unlink("dir/own"));
}

static void a_sticky_directory_protects_others_files(void **state)
{
	(void)state;
	open_directory("dir");
	check_ok(chmod("dir", 01777));
	run_as(&bob, make_bob_s_file, NULL);
	run_as(&alice, meddle_in_sticky_directory, NULL);
	check_ok(chown("dir", alice.uid, -1));
	check_equal(stat_of("dir").st_mode & 07777, 01777);
	check_ok(unlink("dir/bob"));
}

static void meddle_with_root_s_file(void *unused)
{
	const struct timespec times[2] = {{1, 1}, {1, 1}};
	struct timespec now[2] = {{.tv_nsec = UTIME_NOW},
				  {.tv_nsec = UTIME_NOW}};

	(void)unused;
	check_fails(chmod("file", 0777), EPERM);
	check_fails(chown("file", geteuid(), -1), EPERM);
	check_fails(chown("file", -1, getegid()), EPERM);
	check_fails(utimensat(AT_FDCWD, "file", times, 0), EPERM);
	check_fails(utimensat(AT_FDCWD, "closed", now, 0), EACCES);
	check_fails(open("file", O_RDONLY | O_NOATIME), EPERM);
	/* The present time may be set by whoever may write. */
	check_ok(utimensat(AT_FDCWD, "file", now, 0));
	check_ok(utimensat(AT_FDCWD, "file", NULL, 0));
	now[1].tv_nsec = UTIME_OMIT;
	check_fails(utimensat(AT_FDCWD, "file", now, 0), EPERM);
}

static void only_the_owner_changes_attributes(void **state)
{
	(void)state;
	need_root();
	make_file_with_mode("file", 10, 0666);
	make_file_with_mode("closed", 10, 0644);
	run_as(&alice, meddle_with_root_s_file, NULL);
}

static void give_away(void *unused)
{
	(void)unused;
	check_fails(chown("file", 64102, -1), EPERM);
	check_fails(chown("file", -1, 64998), EPERM);
	check_ok(chown("file", -1, 64310));
	check_ok(chown("file", geteuid(), 64311));
	check_ok(chown("file", -1, getegid()));
}

static void an_owner_gives_only_to_groups_of_his_own(void **state)
{
	const struct identity many = user_of_many_groups();

	(void)state;
	need_root();
	make_file("file", 10, 1);
	check_ok(chown("file", many.uid, many.gid));
	run_as(&many, give_away, NULL);
	check_owner("file", many.uid, many.gid);
}

static void make_devices(void *unused)
{
	(void)unused;
	check_fails(mknod("dir/char", S_IFCHR | 0666, makedev(1, 3)), EPERM);
	check_fails(mknod("dir/block", S_IFBLK | 0666, makedev(7, 0)), EPERM);
	check_ok(mkfifo("dir/fifo", 0666));
}

static void a_user_makes_no_devices(void **state)
{
	(void)state;
	open_directory("dir");
	run_as(&alice, make_devices, NULL);
	check_fails(access("dir/char", F_OK), ENOENT);
}

static int sysctl_of(const char *path)
{
	char text[16] = "";
	int fd = open_ok(path, O_RDONLY);

	check_ok(read(fd, text, sizeof(text) - 1));
	close_ok(fd);
	return atoi(text);
}

static void link_root_s_file(void *unused)
{
	(void)unused;
	check_fails(link("secret", "dir/link"), EPERM);
	check_ok(link("open", "dir/link"));
}

static void a_user_links_no_file_he_could_not_write(void **state)
{
	(void)state;
	if (!sysctl_of("/proc/sys/fs/protected_hardlinks"))
		skip_because("fs.protected_hardlinks is off");
	open_directory("dir");
	make_file_with_mode("secret", 10, 0644);
	make_file_with_mode("open", 10, 0666);
	run_as(&alice, link_root_s_file, NULL);
}

static void use_descriptor(void *fd)
{
	char byte;

	pread_ok(*(int *)fd, &byte, 1, 0);
	pwrite_ok(*(int *)fd, "x", 1, 0);
	check_fails(open("file", O_RDONLY), EACCES);
}

static void a_descriptor_keeps_the_access_it_was_opened_with(void **state)
{
	int fd;

	(void)state;
	need_root();
	make_file("file", 10, 1);
	fd = open_ok("file", O_RDWR);
	check_ok(fchmod(fd, 0));
	run_as(&alice, use_descriptor, &fd);
	close_ok(fd);
}

static void root_reads_and_writes_whatever_the_mode(void **state)
{
	(void)state;
	need_root();
	make_file_with_mode("file", 10, 0);
	check_ok(chown("file", alice.uid, alice.gid));
	check_access("file", 6);
	check_ok(chmod("file", 0001));
	check_access("file", 7);
}

static void use_revoked_directory(void *fd)
{
	check_fails(openat(*(int *)fd, "file", O_RDONLY), EACCES);
	check_fails(openat(*(int *)fd, "new", O_CREAT | O_RDWR, 0600),
		    EACCES);
}

static void a_revoked_right_is_gone_at_once(void **state)
{
	struct access_of it = {.name = "dir/file"};
	int fd, round;

	(void)state;
	open_directory("dir");
	make_file_with_mode("dir/file", 10, 0644);
	for (round = 0; round < 10; round++) {
		check_ok(chmod("dir/file", 0666));
		it.bits = 6;
		run_as(&alice, check_access_of, &it);
		check_ok(chmod("dir/file", 0600));
		it.bits = 0;
		run_as(&alice, check_access_of, &it);
	}
	fd = open_ok("dir", O_RDONLY | O_DIRECTORY);
	check_ok(chmod("dir", 0700));
	run_as(&alice, use_revoked_directory, &fd);
	close_ok(fd);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		contract_case(new_files_belong_to_their_maker),
		contract_case(a_setgid_directory_gives_its_group),
		contract_case(
		a_stranger_makes_no_setgid_file_in_a_setgid_directory),
		contract_case(the_maker_s_umask_counts),
		contract_case(makers_at_the_same_time_are_not_mixed_up),
		contract_case(each_operation_has_the_identity_of_its_moment),
		contract_case(every_mode_gives_what_it_says),
		contract_case(every_one_of_many_groups_counts),
		contract_case(a_supplementary_group_may_make_files),
		contract_case(directories_ask_for_search_and_write),
		contract_case(a_sticky_directory_protects_others_files),
		contract_case(only_the_owner_changes_attributes),
		contract_case(an_owner_gives_only_to_groups_of_his_own),
		contract_case(a_user_makes_no_devices),
		contract_case(a_user_links_no_file_he_could_not_write),
		contract_case(
			a_descriptor_keeps_the_access_it_was_opened_with),
		contract_case(root_reads_and_writes_whatever_the_mode),
		contract_case(a_revoked_right_is_gone_at_once),
	};

	return contract_main(argc, argv, tests);
}
