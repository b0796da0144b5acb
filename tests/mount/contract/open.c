// SPDX-License-Identifier: Apache-2.0
/*
 * Opening: what the flags ask for and refuse, what a descriptor can do, and
 * files that are executed.
 */
#include "contract.h"

#include <stdlib.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/xattr.h>

#include <linux/openat2.h>

static void o_excl_makes_or_fails(void **state)
{
	int fd;

	(void)state;
	fd = check_ok(open("file", O_CREAT | O_EXCL | O_WRONLY, 0600));
	write_ok(fd, "x", 1);
	close_ok(fd);
	check_fails(open("file", O_CREAT | O_EXCL | O_WRONLY, 0600), EEXIST);
	check_ok(symlink("missing", "dangling"));
	check_fails(open("dangling", O_CREAT | O_EXCL | O_WRONLY, 0600),
		    EEXIST);
	check_fails(access("missing", F_OK), ENOENT);
	check_ok(mkdir("dir", 0755));
	check_fails(open("dir", O_CREAT | O_EXCL | O_WRONLY, 0600), EEXIST);
	check_fails(open("dir", O_CREAT | O_WRONLY, 0600), EISDIR);
	check_equal(stat_of("file").st_size, 1);
}

enum { racers = 8 };

static void race_for_file(void *result)
{
	int fd = open("race", O_CREAT | O_EXCL | O_RDWR, 0600);

	if (fd >= 0)
		gate_pass(result);
	else
		check_equal(errno, EEXIST);
}

static void only_one_of_many_makes_an_exclusive_file(void **state)
{
	pid_t child[racers];
	struct gate won;
	char wins[racers];
	int i, round;

	(void)state;
	gate_init(&won);
	check_ok(fcntl(won.fd[0], F_SETFL, O_NONBLOCK));
	for (round = 0; round < 20; round++) {
		for (i = 0; i < racers; i++)
			child[i] = spawn(NULL, race_for_file, &won);
		for (i = 0; i < racers; i++)
			join(child[i]);
		check_equal(read(won.fd[0], wins, sizeof(wins)), 1);
		check_ok(unlink("race"));
	}
}

static void o_creat_opens_what_is_there(void **state)
{
	int fd;

	(void)state;
	make_file("file", 100, 1);
	check_ok(chmod("file", 0640));
	fd = check_ok(open("file", O_CREAT | O_RDWR, 0777));
	check_equal(fstat_of(fd).st_size, 100);
	check_equal(fstat_of(fd).st_mode & 07777, 0640);
	close_ok(fd);
	check_file("file", 100, 1);
}

static void o_trunc_empties(void **state)
{
	int fd, other;

	(void)state;
	make_file("file", 100000, 1);
	other = open_ok("file", O_RDONLY);
	fd = open_ok("file", O_WRONLY | O_TRUNC);
	check_equal(fstat_of(fd).st_size, 0);
	check_equal(fstat_of(other).st_size, 0);
	write_ok(fd, "new", 3);
	check_equal(fstat_of(other).st_size, 3);
	close_ok(fd);
	fd = check_ok(open("file", O_CREAT | O_TRUNC | O_RDWR, 0600));
	check_equal(fstat_of(other).st_size, 0);
	close_ok(fd);
	close_ok(other);
	check_fails(open(".", O_RDONLY | O_TRUNC), EISDIR);
}

static void o_nofollow_and_o_directory_mind_the_type(void **state)
{
	int fd;

	(void)state;
	make_file("file", 1, 1);
	check_ok(mkdir("dir", 0755));
	check_ok(symlink("file", "link"));
	check_ok(symlink("dir", "dirlink"));
	check_fails(open("link", O_RDONLY | O_NOFOLLOW), ELOOP);
	close_ok(open_ok("file", O_RDONLY | O_NOFOLLOW));
	close_ok(open_ok("dirlink/../link", O_RDONLY));
	check_fails(open("file", O_RDONLY | O_DIRECTORY), ENOTDIR);
	check_fails(open("link", O_RDONLY | O_DIRECTORY), ENOTDIR);
	close_ok(open_ok("dirlink", O_RDONLY | O_DIRECTORY));
	check_fails(open("dirlink", O_RDONLY | O_DIRECTORY | O_NOFOLLOW),
		    ENOTDIR);
	fd = open_ok("link", O_PATH | O_NOFOLLOW);
	check(S_ISLNK(fstat_of(fd).st_mode));
	close_ok(fd);
}

static void o_path_names_without_opening(void **state)
{
	char path[64], byte;
	int fd, opened;

	(void)state;
	make_file("file", 100, 1);
	check_ok(chmod("file", 0));
	fd = open_ok("file", O_PATH);
	check_equal(fstat_of(fd).st_size, 100);
	check_fails(read(fd, &byte, 1), EBADF);
	check_fails(write(fd, &byte, 1), EBADF);
	check_fails(fchmod(fd, 0600), EBADF);
	check_fails(ftruncate(fd, 0), EBADF);
	check_fails(fgetxattr(fd, "user.a", NULL, 0), EBADF);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	check_ok(chmod(path, 0600));
	opened = open_ok(path, O_RDWR);
	pread_ok(opened, &byte, 1, 99);
	close_ok(opened);
	check_ok(rename("file", "renamed"));
	check_equal(fstat_of(fd).st_ino, stat_of("renamed").st_ino);
	check_ok(unlink("renamed"));
	check_equal(fstat_of(fd).st_nlink, 0);
	close_ok(fd);
}

static void an_o_path_directory_is_a_place_to_start_from(void **state)
{
	struct open_how how = {.flags = O_RDONLY | O_CLOEXEC,
			       .resolve = RESOLVE_BENEATH};
	int dir, fd;

	(void)state;
	check_ok(mkdir("dir", 0755));
	make_file("dir/file", 10, 1);
	make_file("outside", 10, 1);
	dir = open_ok("dir", O_PATH | O_DIRECTORY);
	close_ok(check_ok(openat(dir, "file", O_RDONLY)));
	close_ok(check_ok(openat(dir, "../outside", O_RDONLY)));
	fd = check_ok(syscall(SYS_openat2, dir, "file", &how, sizeof(how)));
	close_ok(fd);
	check_fails(syscall(SYS_openat2, dir, "../outside", &how,
			    sizeof(how)),
		    EXDEV);
	check_ok(mkdirat(dir, "sub", 0755));
	check_ok(unlinkat(dir, "sub", AT_REMOVEDIR));
	check_ok(fchdir(dir));
	check_file("file", 10, 1);
	check_ok(chdir(".."));
	close_ok(dir);
}

/* --- executing ----------------------------------------------------------- */

static void need_exec(void)
{
	struct statvfs fs;

	check_ok(statvfs(".", &fs));
	if (fs.f_flag & ST_NOEXEC)
		skip_because("n/a: mounted noexec");
}

static void sleep_in_copy(void *unused)
{
	(void)unused;
	execl("./sleep", "sleep", "1000", NULL);
	check_failed(__FILE__, __LINE__, "exec: %s", strerror(errno));
}

static pid_t start_sleeping_copy(void)
{
	char path[64], program[4096];
	pid_t child;
	int tries;

	copy_program("/bin/sleep", "sleep");
	child = spawn(NULL, sleep_in_copy, NULL);
	snprintf(path, sizeof(path), "/proc/%d/exe", (int)child);
	for (tries = 0; tries < 250; tries++) {
		ssize_t size = check_ok(
			readlink(path, program, sizeof(program)));

		if (size > 6 && memcmp(program + size - 6, "/sleep", 6) == 0)
			return child;
		tick();
	}
	check_failed(__FILE__, __LINE__, "the copy did not start");
}

static void a_file_that_is_executed_cannot_be_written(void **state)
{
	pid_t child;

	(void)state;
	need_exec();
	child = start_sleeping_copy();
	check_fails(open("sleep", O_WRONLY), ETXTBSY);
	check_fails(open("sleep", O_RDWR), ETXTBSY);
	check_fails(open("sleep", O_WRONLY | O_TRUNC), ETXTBSY);
	check_fails(truncate("sleep", 0), ETXTBSY);
	close_ok(open_ok("sleep", O_RDONLY));
	check_runs(child);
	kill_child(child);
	close_ok(open_ok("sleep", O_WRONLY));
}

static void a_program_runs_on_when_its_file_is_replaced(void **state)
{
	pid_t child;

	(void)state;
	need_exec();
	child = start_sleeping_copy();
	make_file("new", 10, 1);
	check_ok(rename("new", "sleep"));
	tick();
	check_runs(child);
	kill_child(child);
	check_file("sleep", 10, 1);
}

static void a_file_open_for_writing_cannot_be_executed(void **state)
{
	int fd;

	(void)state;
	need_exec();
	copy_program("/bin/true", "true");
	fd = open_ok("true", O_WRONLY);
	check_fails(execl("./true", "true", NULL), ETXTBSY);
	close_ok(fd);
	run_as(NULL, execute_it, "./true");
	check_ok(chmod("true", 0644));
	check_fails(execl("./true", "true", NULL), EACCES);
	check_ok(mkdir("dir", 0755));
	check_fails(execl("./dir", "dir", NULL), EACCES);
}

static void execute_descriptor(void *fd)
{
	char *arguments[] = {"true", NULL}, *environment[] = {NULL};

	fexecve(*(int *)fd, arguments, environment);
	check_failed(__FILE__, __LINE__, "fexecve: %s", strerror(errno));
}

static void a_descriptor_can_be_executed(void **state)
{
	int fd;

	(void)state;
	need_exec();
	copy_program("/bin/true", "true");
	fd = open_ok("true", O_PATH);
	run_as(NULL, execute_descriptor, &fd);
	close_ok(fd);
	fd = open_ok("true", O_RDONLY);
	check_ok(unlink("true"));
	run_as(NULL, execute_descriptor, &fd);
	close_ok(fd);
}

static void a_script_finds_its_interpreter(void **state)
{
	int fd;

	(void)state;
	need_exec();
	fd = check_ok(open("script", O_CREAT | O_WRONLY | O_CLOEXEC, 0755));
	write_ok(fd, "#!/bin/sh\nexit 0\n", 17);
	close_ok(fd);
	run_as(NULL, execute_it, "./script");
}

/* --- many opens and descriptors ------------------------------------------ */

enum { opens = 500 };

static void one_file_can_be_opened_many_times(void **state)
{
	static const int flags[] = {O_RDONLY, O_RDWR, O_RDWR | O_APPEND};
	struct rlimit limit;
	int fd[opens], i;
	char byte;

	(void)state;
	check_ok(getrlimit(RLIMIT_NOFILE, &limit));
	if (limit.rlim_max < opens + 20)
		skip_because("fewer than %d descriptors are allowed", opens);
	limit.rlim_cur = limit.rlim_max;
	check_ok(setrlimit(RLIMIT_NOFILE, &limit));
	make_file("file", opens, 1);
	for (i = 0; i < opens; i++)
		fd[i] = open_ok("file", flags[i % 3]);
	for (i = 1; i < opens; i += 3) {
		pwrite_ok(fd[i], "w", 1, i);
		pread_ok(fd[opens - 1 - i], &byte, 1, i);
		check_equal(byte, 'w');
	}
	for (i = 0; i < opens; i++)
		close_ok(fd[i]);
	for (i = 0; i < 2000; i++)
		close_ok(open_ok("file", flags[i % 3]));
	check_equal(stat_of("file").st_size, opens);
}

static void duplicates_share_offset_and_flags(void **state)
{
	char seen[4] = "";
	int one, two;

	(void)state;
	one = open_ok("file", O_CREAT | O_RDWR);
	two = check_ok(dup(one));
	write_ok(one, "a", 1);
	write_ok(two, "b", 1);
	check_equal(lseek(one, 0, SEEK_CUR), 2);
	check_ok(fcntl(two, F_SETFL, O_APPEND));
	check(fcntl(one, F_GETFL) & O_APPEND);
	close_ok(one);
	check_equal(lseek(two, 0, SEEK_SET), 0);
	write_ok(two, "c", 1);
	pread_ok(two, seen, 3, 0);
	check_bytes(seen, "abc", 3);
	close_ok(two);
	check_fails(close(two), EBADF);
}

static void write_and_exit(void *fd)
{
	write_ok(*(int *)fd, "child", 5);
}

static void a_child_s_exit_leaves_the_descriptor_open(void **state)
{
	int i, fd;

	(void)state;
	fd = open_ok("file", O_CREAT | O_RDWR);
	for (i = 0; i < 10; i++)
		run_as(NULL, write_and_exit, &fd);
	write_ok(fd, "parent", 6);
	check_equal(fstat_of(fd).st_size, 56);
	close_ok(fd);
}

/* The last reference to an open file goes with a process that was killed. */
static void open_and_wait(void *gate)
{
	int fd = open_ok("file", O_CREAT | O_RDWR);

	write_ok(fd, "written", 7);
	gate_pass(gate);
	pause();
}

static void what_a_killed_process_wrote_is_there(void **state)
{
	struct gate gate;
	pid_t child;
	int fd;

	(void)state;
	gate_init(&gate);
	child = spawn(NULL, open_and_wait, &gate);
	gate_wait(&gate);
	kill_child(child);
	check_equal(stat_of("file").st_size, 7);
	fd = open_ok("file", O_RDWR | O_TRUNC);
	close_ok(fd);
	check_ok(unlink("file"));
}

/* A path that is kept in use by descriptors alone. */
static void descriptors_follow_renames_and_removed_parents(void **state)
{
	char bytes[10];
	int fd;

	(void)state;
	check_ok(mkdir("dir", 0755));
	make_file("dir/file", 10, 1);
	fd = open_ok("dir/file", O_RDWR);
	check_ok(rename("dir", "moved"));
	pread_ok(fd, bytes, 10, 0);
	check_ok(unlink("moved/file"));
	check_ok(rmdir("moved"));
	pwrite_ok(fd, bytes, 10, 10);
	check_ok(fsync(fd));
	check_equal(fstat_of(fd).st_size, 20);
	close_ok(fd);
}

static void a_failed_open_leaves_nothing(void **state)
{
	struct rlimit limit = {0, 0}, before;
	int i, fd;

	(void)state;
	check_ok(getrlimit(RLIMIT_NOFILE, &before));
	limit.rlim_max = before.rlim_max;
	limit.rlim_cur = check_ok(dup(0));
	close_ok(limit.rlim_cur);
	check_ok(setrlimit(RLIMIT_NOFILE, &limit));
	for (i = 0; i < 100; i++)
		check_fails(open("never", O_CREAT | O_RDWR, 0600), EMFILE);
	check_ok(setrlimit(RLIMIT_NOFILE, &before));
	check_fails(access("never", F_OK), ENOENT);
	check_fails(open("never/x", O_CREAT | O_RDWR, 0600), ENOENT);
	fd = open_ok("never", O_CREAT | O_EXCL | O_RDWR);
	close_ok(fd);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		contract_case(o_excl_makes_or_fails),
		contract_case(only_one_of_many_makes_an_exclusive_file),
		contract_case(o_creat_opens_what_is_there),
		contract_case(o_trunc_empties),
		contract_case(o_nofollow_and_o_directory_mind_the_type),
		contract_case(o_path_names_without_opening),
		contract_case(an_o_path_directory_is_a_place_to_start_from),
		contract_case(a_file_that_is_executed_cannot_be_written),
		contract_case(a_program_runs_on_when_its_file_is_replaced),
		contract_case(a_file_open_for_writing_cannot_be_executed),
		contract_case(a_descriptor_can_be_executed),
		contract_case(a_script_finds_its_interpreter),
		contract_case(one_file_can_be_opened_many_times),
		contract_case(duplicates_share_offset_and_flags),
		contract_case(a_child_s_exit_leaves_the_descriptor_open),
		contract_case(what_a_killed_process_wrote_is_there),
		contract_case(descriptors_follow_renames_and_removed_parents),
		contract_case(a_failed_open_leaves_nothing),
	};

	return contract_main(argc, argv, tests);
}
