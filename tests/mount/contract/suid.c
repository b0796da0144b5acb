// SPDX-License-Identifier: Apache-2.0
/*
 * Set-id bits and file capabilities: whoever changes a file's contents takes
 * away the rights that its old contents were given.
 *
 * Started as "contract_suid --euid SIZE", which is how the cases start copies
 * of this program, it tells in its exit status which rights it runs with.
 */
#include "contract.h"

#include <linux/falloc.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>

enum {
	file_size = 8192,
	/* Exit statuses of the copy. */
	runs_as_caller = 40,
	runs_as_root = 41,
	runs_changed_as_root = 42,
};

/* --- ways to change a file ----------------------------------------------- */

static void change_by_write(void)
{
	int fd = open_ok("file", O_WRONLY);

	write_ok(fd, "x", 1);
	close_ok(fd);
}

static void change_by_whole_pages(void)
{
	char page[4096] = "";
	int fd = open_ok("file", O_RDWR);

	pwrite_ok(fd, page, sizeof(page), 4096);
	close_ok(fd);
}

static void change_by_append(void)
{
	int fd = open_ok("file", O_WRONLY | O_APPEND);

	write_ok(fd, "x", 1);
	close_ok(fd);
}

static void change_by_writev(void)
{
	struct iovec parts[] = {{"x", 1}, {"y", 1}};
	int fd = open_ok("file", O_WRONLY | O_DSYNC);

	check_equal(writev(fd, parts, 2), 2);
	close_ok(fd);
}

static void change_by_direct_write(void)
{
	void *page = aligned_buffer(4096);
	int fd = open("file", O_WRONLY | O_DIRECT | O_CLOEXEC);

	/* A filesystem without it has one way less to forget the bits. */
	if (fd < 0 && errno == EINVAL)
		fd = open_ok("file", O_WRONLY);
	pwrite_ok(check_ok(fd), page, 4096, 0);
	close_ok(fd);
}

static void change_by_copy_file_range(void)
{
	int from = open_ok("source", O_RDONLY);
	int fd = open_ok("file", O_WRONLY);

	check_equal(check_ok(copy_file_range(from, NULL, fd, NULL, 100, 0)),
		    100);
	close_ok(fd);
	close_ok(from);
}

static void change_by_sendfile(void)
{
	int from = open_ok("source", O_RDONLY);
	int fd = open_ok("file", O_WRONLY);

	check_equal(check_ok(sendfile(fd, from, NULL, 100)), 100);
	close_ok(fd);
	close_ok(from);
}

static void change_by_splice(void)
{
	int fd = open_ok("file", O_WRONLY);
	struct gate pipe;

	gate_init(&pipe);
	gate_pass(&pipe);
	check_equal(check_ok(splice(pipe.fd[0], NULL, fd, NULL, 1, 0)), 1);
	close_ok(fd);
}

static void change_by_truncate(void)
{
	check_ok(truncate("file", 100));
}

static void change_by_extension(void)
{
	check_ok(truncate("file", 2 * file_size));
}

static void change_by_ftruncate(void)
{
	int fd = open_ok("file", O_WRONLY);

	check_ok(ftruncate(fd, 100));
	close_ok(fd);
}

static void change_by_o_trunc(void)
{
	close_ok(open_ok("file", O_WRONLY | O_TRUNC));
}

static void change_by_allocation(void)
{
	int fd = open_ok("file", O_WRONLY);

	check_ok(fallocate(fd, 0, 0, 4 * file_size));
	close_ok(fd);
}

static void change_by_hole(void)
{
	int fd = open_ok("file", O_WRONLY);

	check_ok(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
			   4096));
	close_ok(fd);
}

static const struct change {
	const char *name;
	void (*make)(void);
} changes[] = {
	{"write", change_by_write},
	{"whole pages", change_by_whole_pages},
	{"append", change_by_append},
	{"writev", change_by_writev},
	{"direct write", change_by_direct_write},
	{"copy_file_range", change_by_copy_file_range},
	{"sendfile", change_by_sendfile},
	{"splice", change_by_splice},
	{"truncate", change_by_truncate},
	{"extension", change_by_extension},
	{"ftruncate", change_by_ftruncate},
	{"O_TRUNC", change_by_o_trunc},
	{"allocation", change_by_allocation},
	{"hole", change_by_hole},
};

enum { change_count = sizeof(changes) / sizeof(changes[0]) };

static void make_change(void *change)
{
	((const struct change *)change)->make();
}

static void make_source(void)
{
	need_root();
	make_file("source", 1000, 3);
}

/* A file of root's that everybody may write. */
static void make_privileged(mode_t mode)
{
	unlink("file");
	make_file_with_mode("file", file_size, mode);
	check_equal(stat_of("file").st_mode & 07777, mode);
}

static void check_mode_after(const char *name, mode_t wanted)
{
	mode_t mode = stat_of("file").st_mode & 07777;

	if (mode != wanted)
		check_failed(__FILE__, __LINE__,
			     "after %s: mode %#o instead of %#o", name,
			     (unsigned)mode, (unsigned)wanted);
}

static void every_change_by(const struct identity *who, mode_t before,
			    mode_t after)
{
	size_t i;

	make_source();
	for (i = 0; i < change_count; i++) {
		make_privileged(before);
		run_as(who, make_change, (void *)&changes[i]);
		check_mode_after(changes[i].name, after);
	}
}

/* --- set-id bits --------------------------------------------------------- */

static void a_user_s_change_clears_setuid_and_setgid(void **state)
{
	(void)state;
	every_change_by(&alice, 06777, 0777);
}

static void a_user_s_change_clears_setuid_alone(void **state)
{
	(void)state;
	every_change_by(&alice, 04777, 0777);
}

static void root_s_change_leaves_the_bits(void **state)
{
	(void)state;
	every_change_by(NULL, 06777, 06777);
}

static void setgid_without_group_execution_is_cleared_for_strangers(
	void **state)
{
	(void)state;
	every_change_by(&alice, 02767, 0767);
}

static void setgid_without_group_execution_stays_for_members(void **state)
{
	static const gid_t groups[] = {0};
	const struct identity member = {64103, 64103, 1, groups};

	(void)state;
	every_change_by(&member, 02767, 02767);
}

static void bits_without_execution_are_cleared_all_the_same(void **state)
{
	(void)state;
	every_change_by(&alice, 04666, 0666);
}

static void the_owner_s_own_write_clears_the_bits(void **state)
{
	(void)state;
	make_source();
	make_privileged(0666);
	check_ok(chown("file", alice.uid, alice.gid));
	check_ok(chmod("file", 06755));
	run_as(&alice, make_change, (void *)&changes[0]);
	check_mode_after("the owner's write", 0755);
}

/* The store must have lost the bits too, not only what the mount remembers:
 * asked again when every cached attribute is out of date. */
static void cleared_bits_do_not_come_back(void **state)
{
	static const struct timespec cache_time = {.tv_sec = 1,
						   .tv_nsec = 300000000};
	char name[16];
	size_t i;

	(void)state;
	make_source();
	for (i = 0; i < change_count; i++) {
		make_privileged(06777);
		run_as(&alice, make_change, (void *)&changes[i]);
		snprintf(name, sizeof(name), "%zu", i);
		check_ok(rename("file", name));
	}
	nanosleep(&cache_time, NULL);
	for (i = 0; i < change_count; i++) {
		snprintf(name, sizeof(name), "%zu", i);
		check_ok(rename(name, "file"));
		check_mode_after(changes[i].name, 0777);
	}
}

static void a_mapped_write_leaves_the_bits(void **state)
{
	char *map;
	int fd;

	(void)state;
	need_root();
	make_privileged(06777);
	fd = open_ok("file", O_RDWR);
	map = map_ok(fd, file_size, PROT_READ | PROT_WRITE, MAP_SHARED);
	map[1] ^= 1;
	check_ok(msync(map, file_size, MS_SYNC));
	check_ok(munmap(map, file_size));
	close_ok(fd);
	check_mode_after("a mapped write", 06777);
}

static void read_and_sync(void *unused)
{
	char byte;
	int fd = open_ok("file", O_RDWR);

	(void)unused;
	pread_ok(fd, &byte, 1, 0);
	check_equal(write(fd, "", 0), 0);
	check_ok(fsync(fd));
	close_ok(fd);
}

static void what_changes_nothing_leaves_the_bits(void **state)
{
	(void)state;
	need_root();
	make_privileged(06777);
	run_as(&alice, read_and_sync, NULL);
	check_mode_after("reading", 06777);
}

static void write_through(void *fd)
{
	pwrite_ok(*(int *)fd, "x", 1, 10);
}

static void a_user_s_write_through_root_s_descriptor_clears_the_bits(
	void **state)
{
	int fd;

	(void)state;
	need_root();
	make_privileged(06755);
	fd = open_ok("file", O_WRONLY);
	run_as(&alice, write_through, &fd);
	check_mode_after("a write", 0755);
	close_ok(fd);
	check_mode_after("the close", 0755);
}

static void a_second_write_clears_bits_that_were_set_after_the_first(
	void **state)
{
	int fd;

	(void)state;
	need_root();
	make_privileged(0777);
	fd = open_ok("file", O_WRONLY);
	run_as(&alice, write_through, &fd);
	check_ok(chmod("file", 06777));
	run_as(&alice, write_through, &fd);
	check_mode_after("the second write", 0777);
	close_ok(fd);
}

/* --- chown and chmod ----------------------------------------------------- */

static void give_to_group(void *group)
{
	check_ok(chown("file", -1, *(gid_t *)group));
}

static void a_chown_by_the_owner_clears_the_bits(void **state)
{
	static gid_t groups[] = {64200};
	const struct identity owner = {64101, 64101, 1, groups};

	(void)state;
	need_root();
	make_privileged(0755);
	check_ok(chown("file", owner.uid, owner.gid));
	check_ok(chmod("file", 06755));
	run_as(&owner, give_to_group, &groups[0]);
	check_equal(stat_of("file").st_gid, 64200);
	check_mode_after("chown", 0755);
}

static void a_chown_by_root_clears_the_bits(void **state)
{
	(void)state;
	need_root();
	make_privileged(06755);
	check_ok(chown("file", 64101, 64101));
	check_mode_after("chown", 0755);
	check_ok(mkdir("dir", 0755));
	check_ok(chmod("dir", 06755));
	check_ok(chown("dir", 64101, 64101));
	check_equal(stat_of("dir").st_mode & 07777, 06755);
}

static void a_chown_that_names_nobody_clears_the_bits(void **state)
{
	struct statfs fs;

	(void)state;
	need_root();
	check_ok(statfs(".", &fs));
	if (fs.f_type == FUSE_SUPER_MAGIC)
		skip_because("n/a: the kernel's FUSE keeps it to itself");
	make_privileged(06755);
	check_ok(chown("file", -1, -1));
	check_mode_after("chown", 0755);
}

static void chmod_to_setgid(void *unused)
{
	(void)unused;
	check_ok(chmod("file", 02755));
}

static void chmod_drops_setgid_for_an_owner_outside_the_group(void **state)
{
	(void)state;
	need_root();
	make_privileged(0755);
	check_ok(chown("file", alice.uid, 64200));
	run_as(&alice, chmod_to_setgid, NULL);
	check_mode_after("chmod", 0755);
	check_ok(chown("file", alice.uid, alice.gid));
	run_as(&alice, chmod_to_setgid, NULL);
	check_mode_after("chmod", 02755);
}

/* --- file capabilities --------------------------------------------------- */

/* struct vfs_cap_data of revision 2: cap_net_bind_service, effective. */
static const unsigned char capability[20] = {
	1, 0, 0, 2, 0, 4, 0, 0,
};

static bool has_capability(void)
{
	unsigned char seen[20];
	ssize_t size = getxattr("file", "security.capability", seen,
				sizeof(seen));

	if (size < 0) {
		check_equal(errno, ENODATA);
		return false;
	}
	check_equal(size, sizeof(capability));
	check_bytes(seen, capability, sizeof(capability));
	return true;
}

static void make_capable(void)
{
	make_privileged(0777);
	if (setxattr("file", "security.capability", capability,
		     sizeof(capability), 0) < 0) {
		if (errno == EOPNOTSUPP)
			skip_because("n/a: no security attributes here");
		check_failed(__FILE__, __LINE__, "setxattr: %s",
			     strerror(errno));
	}
	check(has_capability());
}

static void every_change_takes_the_capability(const struct identity *who)
{
	size_t i;

	make_source();
	for (i = 0; i < change_count; i++) {
		make_capable();
		run_as(who, make_change, (void *)&changes[i]);
		if (has_capability())
			check_failed(__FILE__, __LINE__,
				     "%s leaves the capability",
				     changes[i].name);
	}
}

static void a_user_s_change_takes_the_capability(void **state)
{
	(void)state;
	every_change_takes_the_capability(&alice);
}

static void root_s_change_takes_the_capability(void **state)
{
	(void)state;
	every_change_takes_the_capability(NULL);
}

static void a_chown_takes_the_capability(void **state)
{
	(void)state;
	need_root();
	make_capable();
	check_ok(chown("file", alice.uid, -1));
	check(!has_capability());
}

static void reading_leaves_the_capability(void **state)
{
	(void)state;
	need_root();
	make_capable();
	run_as(&alice, read_and_sync, NULL);
	check(has_capability());
	check_ok(chmod("file", 0755));
	check(has_capability());
}

/* --- execution ----------------------------------------------------------- */

static off_t program_size;

static int run_copy(void)
{
	char size[32];
	int status;
	pid_t child;

	snprintf(size, sizeof(size), "%lld", (long long)program_size);
	child = check_ok(vfork());
	if (child == 0) {
		execl("./program", "program", "--euid", size, NULL);
		_exit(errno == ETXTBSY ? 0 : 99);
	}
	check_equal(waitpid(child, &status, 0), child);
	check(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void make_setuid_program(void)
{
	struct statvfs fs;

	need_root();
	check_ok(statvfs(".", &fs));
	if (fs.f_flag & (ST_NOSUID | ST_NOEXEC))
		skip_because("n/a: mounted nosuid or noexec");
	copy_program("/proc/self/exe", "program");
	check_ok(chmod("program", 04777));
	program_size = stat_of("program").st_size;
}

static void append_to_program(void)
{
	int fd;

	/* As long as somebody executes it, it can't be opened for writing. */
	while ((fd = open("program", O_WRONLY | O_APPEND | O_CLOEXEC)) < 0)
		check_equal(errno, ETXTBSY);
	write_ok(fd, "x", 1);
	close_ok(fd);
}

static void run_setuid_program(void *unused)
{
	(void)unused;
	check_equal(run_copy(), runs_as_root);
}

static void write_and_run(void *unused)
{
	(void)unused;
	append_to_program();
	check_equal(run_copy(), runs_as_caller);
}

static void a_program_runs_setuid_until_a_user_writes_to_it(void **state)
{
	int round;

	(void)state;
	make_setuid_program();
	for (round = 0; round < 60; round++) {
		run_as(&alice, run_setuid_program, NULL);
		run_as(&alice, write_and_run, NULL);
		check_equal(stat_of("program").st_mode & 07777, 0777);
		check_ok(truncate("program", program_size));
		check_ok(chmod("program", 04777));
	}
}

static void run_again_and_again(void *unused)
{
	(void)unused;
	for (;;)
		check(run_copy() != runs_changed_as_root);
}

static void write_once(void *unused)
{
	(void)unused;
	append_to_program();
}

/* Nobody can have it open for writing while it is executed, so a copy that
 * finds itself longer than it was, was changed before it was started. Between
 * the runners a moment has to be found to write at all: on a slow machine the
 * rounds are as many as there is time for. */
static void at_no_moment_does_a_user_s_change_run_setuid(void **state)
{
	time_t end = time(NULL) + 30;
	pid_t runner[2];
	int round, fd;

	(void)state;
	make_setuid_program();
	runner[0] = spawn(&bob, run_again_and_again, NULL);
	runner[1] = spawn(&alice, run_again_and_again, NULL);
	for (round = 0; round < 100 && (round < 3 || time(NULL) < end);
	     round++) {
		run_as(&alice, write_once, NULL);
		check_equal(stat_of("program").st_mode & 07777, 0777);
		while ((fd = open("program", O_WRONLY | O_CLOEXEC)) < 0)
			check_equal(errno, ETXTBSY);
		check_ok(ftruncate(fd, program_size));
		check_ok(fchmod(fd, 04777));
		close_ok(fd);
	}
	check_runs(runner[0]);
	check_runs(runner[1]);
	kill_child(runner[0]);
	kill_child(runner[1]);
}

/* Whether what append_to_program() writes is where the program's end was. */
static int tell_rights(const char *size)
{
	char byte = 0;
	int fd;

	if (geteuid() != 0)
		return runs_as_caller;
	fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return EXIT_FAILURE;
	if (pread(fd, &byte, 1, atoll(size)) == 1 && byte == 'x')
		return runs_changed_as_root;
	return runs_as_root;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		contract_case(a_user_s_change_clears_setuid_and_setgid),
		contract_case(a_user_s_change_clears_setuid_alone),
		contract_case(root_s_change_leaves_the_bits),
		contract_case(
		setgid_without_group_execution_is_cleared_for_strangers),
		contract_case(
			setgid_without_group_execution_stays_for_members),
		contract_case(bits_without_execution_are_cleared_all_the_same),
		contract_case(the_owner_s_own_write_clears_the_bits),
		contract_case(cleared_bits_do_not_come_back),
		contract_case(a_mapped_write_leaves_the_bits),
		contract_case(what_changes_nothing_leaves_the_bits),
		contract_case(
		a_user_s_write_through_root_s_descriptor_clears_the_bits),
		contract_case(
		a_second_write_clears_bits_that_were_set_after_the_first),
		contract_case(a_chown_by_the_owner_clears_the_bits),
		contract_case(a_chown_by_root_clears_the_bits),
		contract_case(a_chown_that_names_nobody_clears_the_bits),
		contract_case(
			chmod_drops_setgid_for_an_owner_outside_the_group),
		contract_case(a_user_s_change_takes_the_capability),
		contract_case(root_s_change_takes_the_capability),
		contract_case(a_chown_takes_the_capability),
		contract_case(reading_leaves_the_capability),
		contract_case(a_program_runs_setuid_until_a_user_writes_to_it),
		contract_case(at_no_moment_does_a_user_s_change_run_setuid),
	};

	if (argc == 3 && strcmp(argv[1], "--euid") == 0)
		return tell_rights(argv[2]);
	return contract_main(argc, argv, tests);
}
