// SPDX-License-Identifier: Apache-2.0
/*
 * Each test is a child: ids and groups are changed for good, and what a
 * thread remembers of them starts anew.
 */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/credentials.h"
#include "util/cleanup.h"

#define USER 12001
#define OTHER 12002
#define GROUP 13001
#define EXTRA_GROUP 13002

static const struct caller user = { .uid = USER, .gid = GROUP };
static const struct caller other = { .uid = OTHER, .gid = GROUP + 100 };

static uint64_t effective_capabilities(void)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[2] = { { 0 } };

	if (syscall(SYS_capget, &header, data) < 0)
		return 0;
	return data[0].effective | (uint64_t)data[1].effective << 32;
}

/* A process of the user's that has a supplementary group. */
struct member {
	pid_t pid;
	int end; /* it ends when this is closed, also by our own end */
};

static void be_member(int ready, int end, gid_t group)
{
	char byte;

	if (setgroups(1, &group) < 0 || setresgid(GROUP, GROUP, GROUP) < 0 ||
		setresuid(USER, USER, USER) < 0 || write(ready, "", 1) != 1)
		_exit(1);
	close(ready);
	_exit(read(end, &byte, 1) == 0 ? 0 : 1);
}

static int start_member(struct member *member, gid_t group)
{
	int ready[2];
	int end[2];
	char byte;

	expect(pipe2(ready, O_CLOEXEC) == 0);
	expect(pipe2(end, O_CLOEXEC) == 0);
	member->pid = fork();
	expect(member->pid >= 0);
	if (member->pid == 0) {
		close(ready[0]);
		close(end[1]);
		be_member(ready[1], end[0], group);
	}
	close(ready[1]);
	close(end[0]);
	member->end = end[1];
	expect(read(ready[0], &byte, 1) == 1);
	close(ready[0]);
	return 0;
}

static void end_member(struct member *member)
{
	close(member->end);
	waitpid(member->pid, NULL, 0);
}

/* Makes a file the way the daemon does it; its attributes. */
static int create(struct place *place, const char *name, struct stat *st)
{
	owned_fd fd = openat(place->fd, name, O_RDWR | O_CREAT | O_EXCL, 0666);

	return fd < 0 ? -errno : fstat(fd, st);
}

static int own_new_files(void *argument)
{
	struct place *place = argument;
	struct stat st;

	credentials_init();
	expect(credentials_can_switch());
	expect(credentials_assume(&user) == 0);
	/* The directory is root's, 0755: the kernel has checked already. */
	expect(create(place, "first", &st) == 0);
	expect(st.st_uid == USER && st.st_gid == GROUP);
	expect(credentials_assume(&other) == 0);
	expect(create(place, "second", &st) == 0);
	expect(st.st_uid == OTHER && st.st_gid == GROUP + 100);
	expect(credentials_assume(&caller_root) == 0);
	expect(create(place, "third", &st) == 0);
	expect(st.st_uid == 0 && st.st_gid == 0);
	return 0;
}

static int take_no_limit_along(void *argument)
{
	uint64_t lost = UINT64_C(1) << CAP_FSETID |
		UINT64_C(1) << CAP_SYS_RESOURCE;
	uint64_t all;

	(void)argument;
	credentials_init();
	all = effective_capabilities();
	/* Containers often lack the other one to begin with. */
	expect(all & UINT64_C(1) << CAP_FSETID);
	expect(credentials_assume(&user) == 0);
	expect(effective_capabilities() == (all & ~lost));
	expect(credentials_assume(&caller_root) == 0);
	expect(effective_capabilities() == all);
	expect(credentials_assume_for_backing(&caller_root) == 0);
	expect(effective_capabilities() ==
		(all & ~(UINT64_C(1) << CAP_FSETID)));
	expect(credentials_assume_for_backing(&user) == 0);
	expect(effective_capabilities() == (all & ~lost));
	return 0;
}

static int give_everything_back(void *argument)
{
	struct place *place = argument;
	struct member member;
	struct caller caller = user;
	uint64_t all = effective_capabilities();
	struct stat st;

	expect(start_member(&member, EXTRA_GROUP) == 0);
	caller.pid = member.pid;
	credentials_init();
	expect(credentials_assume_with_groups(&caller) == 0);
	expect(effective_capabilities() != all);
	expect(credentials_restore() == 0);
	expect(effective_capabilities() == all);
	expect((uid_t)syscall(SYS_setfsuid, -1) == 0);
	expect((gid_t)syscall(SYS_setfsgid, -1) == 0);
	expect(getgroups(0, NULL) == 0);
	expect(create(place, "file", &st) == 0);
	expect(st.st_uid == 0 && st.st_gid == 0);
	end_member(&member);
	return 0;
}

/* chmod(2): S_ISGID is cleared if the file's group is none of the caller's. */
static int need_the_group_for_setgid(void *argument)
{
	struct place *place = argument;
	struct member member;
	struct caller caller = user;
	struct stat st;

	expect(start_member(&member, EXTRA_GROUP) == 0);
	caller.pid = member.pid;
	credentials_init();
	expect(create(place, "file", &st) == 0);
	expect(fchownat(place->fd, "file", USER, EXTRA_GROUP, 0) == 0);
	expect(credentials_assume(&caller) == 0);
	expect(fchmodat(place->fd, "file", 02755, 0) == 0);
	expect(fstatat(place->fd, "file", &st, 0) == 0);
	expect(!(st.st_mode & S_ISGID));
	expect(credentials_assume_with_groups(&caller) == 0);
	expect(getgroups(0, NULL) == 1);
	expect(fchmodat(place->fd, "file", 02755, 0) == 0);
	expect(fstatat(place->fd, "file", &st, 0) == 0);
	expect(st.st_mode & S_ISGID);
	/* The next caller has none of them. */
	expect(credentials_assume(&user) == 0);
	expect(getgroups(0, NULL) == 0);
	end_member(&member);
	return 0;
}

static int give_a_gone_caller_no_groups(void *argument)
{
	struct caller caller = user;
	pid_t gone = fork();

	(void)argument;
	if (gone == 0)
		_exit(0);
	waitpid(gone, NULL, 0);
	credentials_init();
	caller.pid = gone;
	expect(credentials_assume_with_groups(&caller) == 0);
	expect(getgroups(0, NULL) == 0);
	caller.pid = 0;
	expect(credentials_assume_with_groups(&caller) == 0);
	expect(getgroups(0, NULL) == 0);
	return 0;
}

/* Root's login shell has groups; they must not become anybody's else. */
static int keep_own_groups_to_itself(void *argument)
{
	gid_t own = EXTRA_GROUP;
	struct place *place = argument;
	struct stat st;

	expect(setgroups(1, &own) == 0);
	credentials_init();
	expect(create(place, "file", &st) == 0);
	expect(fchownat(place->fd, "file", 0, EXTRA_GROUP, 0) == 0);
	expect(fchmodat(place->fd, "file", 0040, 0) == 0);
	expect(credentials_check_open(&user, place->fd, "file", O_RDONLY) ==
		-EACCES);
	expect(credentials_restore() == 0);
	expect(credentials_assume_with_groups(&user) == 0);
	expect(getgroups(0, NULL) == 0);
	return 0;
}

static int write_with_and_without_killing(void *argument)
{
	struct caller killing = { .kill_privileges = true };
	struct caller keeping = user;
	struct place *place = argument;
	struct stat st;
	owned_fd fd = -1;

	credentials_init();
	expect(create(place, "file", &st) == 0);
	fd = openat(place->fd, "file", O_RDWR);
	expect(fchmod(fd, 04755) == 0);
	expect(credentials_assume_for_write(&keeping) == 0);
	expect(write(fd, "x", 1) == 1);
	expect(fstat(fd, &st) == 0);
	expect(st.st_mode & S_ISUID);
	/* Also root, when the kernel asks for it. */
	expect(credentials_assume_for_write(&killing) == 0);
	expect(write(fd, "x", 1) == 1);
	expect(fstat(fd, &st) == 0);
	expect(!(st.st_mode & S_ISUID));
	expect(credentials_assume_for_write(&caller_root) == 0);
	expect(fchmod(fd, 04755) == 0);
	keeping.kill_privileges = true;
	expect(credentials_assume_for_write(&keeping) == 0);
	expect(write(fd, "x", 1) == 1);
	expect(fstat(fd, &st) == 0);
	expect(!(st.st_mode & S_ISUID));
	return 0;
}

static int check_opens(void *argument)
{
	struct place *place = argument;
	struct member member;
	struct caller caller = user;
	int fd = place->fd;
	struct stat st;

	expect(start_member(&member, EXTRA_GROUP) == 0);
	credentials_init();
	expect(create(place, "mine", &st) == 0);
	expect(fchownat(fd, "mine", USER, GROUP, 0) == 0);
	expect(fchmodat(fd, "mine", 0400, 0) == 0);
	expect(create(place, "group", &st) == 0);
	expect(fchownat(fd, "group", 0, EXTRA_GROUP, 0) == 0);
	expect(fchmodat(fd, "group", 0640, 0) == 0);
	expect(create(place, "closed", &st) == 0);
	expect(fchmodat(fd, "closed", 0, 0) == 0);
	expect(credentials_check_open(&user, fd, "mine", O_RDONLY) == 0);
	expect(credentials_check_open(&user, fd, "mine", O_RDWR) == -EACCES);
	expect(credentials_check_open(&user, fd, "group", O_RDONLY) ==
		-EACCES);
	expect(credentials_check_open(&user, fd, "closed", O_RDONLY) ==
		-EACCES);
	caller.pid = member.pid;
	expect(credentials_check_open(&caller, fd, "group", O_RDONLY) == 0);
	expect(credentials_check_open(&caller, fd, "group", O_WRONLY) ==
		-EACCES);
	expect(credentials_check_open(&caller, fd, "group",
		O_RDONLY | O_TRUNC) == -EACCES);
	expect(credentials_check_open(&caller_root, fd, "closed", O_RDWR) ==
		0);
	expect(credentials_check_open(&user, fd, "none", O_RDONLY) == -ENOENT);
	end_member(&member);
	return 0;
}

/* Whatever a check of rights took away, the next request has again. */
static int go_on_after_a_check(void *argument)
{
	struct place *place = argument;
	struct stat st;

	credentials_init();
	expect(create(place, "file", &st) == 0);
	expect(credentials_check_open(&user, place->fd, "file", O_RDONLY) ==
		0);
	expect(credentials_assume(&other) == 0);
	expect(create(place, "other", &st) == 0);
	expect(st.st_uid == OTHER);
	expect(st.st_gid == GROUP + 100);
	return 0;
}

static int go_on_after_a_check_with_groups(void *argument)
{
	struct place *place = argument;
	struct member member;
	struct caller caller = user;
	struct stat st;

	expect(start_member(&member, EXTRA_GROUP) == 0);
	caller.pid = member.pid;
	credentials_init();
	expect(create(place, "file", &st) == 0);
	expect(credentials_check_open(&caller, place->fd, "file", O_RDONLY) ==
		0);
	end_member(&member);
	expect(credentials_restore() == 0);
	expect(credentials_assume(&other) == 0);
	expect(create(place, "other", &st) == 0);
	expect(st.st_uid == OTHER);
	return 0;
}

static int check_without_truncating(void *argument)
{
	struct place *place = argument;
	struct stat st;

	credentials_init();
	expect(credentials_check_open(&caller_root, place->fd, "full",
		O_RDWR | O_TRUNC | O_CREAT) == 0);
	expect(fstatat(place->fd, "full", &st, 0) == 0);
	expect(st.st_size == 7);
	return 0;
}

static int work_as_itself(void *argument)
{
	struct place *place = argument;
	struct stat st;

	expect(setresgid(GROUP, GROUP, GROUP) == 0);
	expect(setresuid(USER, USER, USER) == 0);
	credentials_init();
	expect(!credentials_can_switch());
	expect(!credentials_can_passthrough());
	expect(credentials_assume(&other) == 0);
	expect(credentials_assume_with_groups(&other) == 0);
	expect(credentials_assume_for_write(&other) == 0);
	expect(create(place, "open/file", &st) == 0);
	expect(st.st_uid == USER);
	/* An open is checked with what it has itself. */
	expect(credentials_check_open(&caller_root, place->fd, "closed",
		O_RDONLY) == -EACCES);
	expect(credentials_restore() == 0);
	return 0;
}

struct umask_use {
	struct place *place;
	mode_t seen[2];
};

static int use_umask(void *argument, unsigned number)
{
	struct umask_use *use = argument;
	char name[16];
	struct stat st;

	expect(credentials_thread_init() == 0);
	for (int i = 0; i < 200; i++) {
		credentials_umask(number ? 077 : 0);
		snprintf(name, sizeof(name), "%u.%d", number, i);
		expect(create(use->place, name, &st) == 0);
		use->seen[number] |= st.st_mode & 0777;
	}
	return 0;
}

static void each_thread_has_an_umask_of_its_own(void **state)
{
	struct umask_use use = { .place = *state };
	mode_t before = umask(0123);

	umask(0123);
	assert_int_equal(in_threads(2, use_umask, &use), 0);
	assert_int_equal(umask(before), 0123);
	assert_int_equal(use.seen[0], 0666);
	assert_int_equal(use.seen[1], 0600);
}

static void run(void **state, int (*what)(void *))
{
	if (geteuid() != 0)
		skip_because("needs root: it becomes other users");
	umask(022);
	assert_int_equal(in_child(what, *state), 0);
}

#define child_test(name, function)                                             \
	static void name(void **state)                                         \
	{                                                                      \
		run(state, function);                                          \
	}

child_test(files_made_as_a_caller_belong_to_it, own_new_files)
child_test(a_caller_s_limits_and_bits_hold, take_no_limit_along)
child_test(restore_gives_everything_back, give_everything_back)
child_test(setgid_stays_for_a_member_of_the_group, need_the_group_for_setgid)
child_test(a_caller_that_is_gone_has_no_groups, give_a_gone_caller_no_groups)
child_test(the_daemon_s_groups_are_no_caller_s, keep_own_groups_to_itself)
child_test(a_write_kills_setuid_when_it_is_to, write_with_and_without_killing)
child_test(an_open_is_checked_with_the_caller_s_rights, check_opens)
child_test(after_a_check_the_next_caller_has_its_ids, go_on_after_a_check)
child_test(after_a_check_with_groups_as_well, go_on_after_a_check_with_groups)

static void a_check_truncates_nothing(void **state)
{
	make_file(*state, "full", "content");
	run(state, check_without_truncating);
}

static void a_plain_user_s_daemon_works_as_itself(void **state)
{
	struct place *place = *state;

	make_file(place, "closed", "");
	assert_int_equal(fchmodat(place->fd, "closed", 0, 0), 0);
	assert_int_equal(mkdirat(place->fd, "open", 0700), 0);
	assert_int_equal(fchmodat(place->fd, "open", 0777, 0), 0);
	run(state, work_as_itself);
}

#define sentence(name) \
	cmocka_unit_test_setup_teardown(name, place_setup, place_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		sentence(files_made_as_a_caller_belong_to_it),
		sentence(a_caller_s_limits_and_bits_hold),
		sentence(restore_gives_everything_back),
		sentence(setgid_stays_for_a_member_of_the_group),
		sentence(a_caller_that_is_gone_has_no_groups),
		sentence(the_daemon_s_groups_are_no_caller_s),
		sentence(a_write_kills_setuid_when_it_is_to),
		sentence(an_open_is_checked_with_the_caller_s_rights),
		sentence(after_a_check_the_next_caller_has_its_ids),
		sentence(after_a_check_with_groups_as_well),
		sentence(a_check_truncates_nothing),
		sentence(a_plain_user_s_daemon_works_as_itself),
		sentence(each_thread_has_an_umask_of_its_own),
	};

	return cmocka_run_group_tests_name("credentials", tests, NULL, NULL);
}
