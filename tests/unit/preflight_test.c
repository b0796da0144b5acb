// SPDX-License-Identifier: Apache-2.0
/* Paths, users, the device and what a plain user needs. */
#include "preflight_world.h"

static void a_store_and_a_mountpoint_are_opened(void **state)
{
	struct world *world = *state;
	struct stat by_fd, by_path;
	char path[64];

	check(world);
	good(world);
	snprintf(path, sizeof(path), "%s/store", world->root);
	assert_string_equal(world->out.store_abs, path);
	snprintf(path, sizeof(path), "%s/mnt", world->root);
	assert_string_equal(world->out.mountpoint_abs, path);
	assert_int_equal(fstat(world->out.store_fd, &by_fd), 0);
	assert_int_equal(stat("store", &by_path), 0);
	assert_int_equal(by_fd.st_ino, by_path.st_ino);
	assert_int_equal(by_fd.st_dev, by_path.st_dev);
	assert_true(fcntl(world->out.store_fd, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(fcntl(world->out.store_fd, F_GETFL) & O_ACCMODE,
		O_RDONLY);
}

static void symbolic_links_and_dots_are_resolved(void **state)
{
	struct world *world = *state;
	char path[64];

	assert_int_equal(symlink("store", "s"), 0);
	assert_int_equal(symlink("mnt", "m"), 0);
	check_here(world, "./bin/../s", "mnt/../m/");
	good(world);
	snprintf(path, sizeof(path), "%s/store", world->root);
	assert_string_equal(world->out.store_abs, path);
	snprintf(path, sizeof(path), "%s/mnt", world->root);
	assert_string_equal(world->out.mountpoint_abs, path);
}

static void a_plain_user_may_mount_on_a_directory_of_theirs(void **state)
{
	check_as_nobody(*state);
	good(*state);
}

static void the_real_machine_is_looked_at(void **state)
{
	struct world *world = *state;

	needs_root();
	world->result = preflight_check(&world->options, &world->out,
		world->error, sizeof(world->error));
	if (access("/dev/fuse", F_OK) == 0)
		good(world);
	else
		bad(world, -ENOENT, "/dev/fuse", "modprobe fuse");
}

static void a_missing_store_is_named(void **state)
{
	check_here(*state, "nothing", "mnt");
	bad(*state, -ENOENT, "store 'nothing'", "does not exist", "mkdir");
}

static void a_store_that_is_no_directory_is_named(void **state)
{
	check_here(*state, "fuse.conf", "mnt");
	bad(*state, -ENOTDIR, "store 'fuse.conf'", "not a directory");
	check_here(*state, "fuse.conf/x", "mnt");
	bad(*state, -ENOTDIR, "store 'fuse.conf/x'", "not a directory");
}

static void a_store_that_can_t_be_read_is_named(void **state)
{
	chmod("store", 0311);
	check_as_nobody(*state);
	chmod("store", 0755);
	bad(*state, -EACCES, "store 'store'", "no permission to read");
}

static void a_store_that_can_t_be_searched_is_named(void **state)
{
	chmod("store", 0444);
	check_as_nobody(*state);
	chmod("store", 0755);
	bad(*state, -EACCES, "store 'store'", "no permission to search it");
}

static void a_store_that_can_t_be_reached_is_named(void **state)
{
	struct world *world = *state;

	make("closed", 0755);
	make("closed/store", 0755);
	chmod("closed", 0600);
	world->options.store = "closed/store";
	check_as_nobody(world);
	chmod("closed", 0755);
	bad(world, -EACCES, "store 'closed/store'", "directories above");
}

static void a_missing_mountpoint_is_named(void **state)
{
	check_here(*state, "store", "nothing");
	bad(*state, -ENOENT, "mountpoint 'nothing'", "does not exist",
		"mkdir");
}

static void a_mountpoint_that_is_no_directory_is_named(void **state)
{
	check_here(*state, "store", "fuse.conf");
	bad(*state, -ENOTDIR, "mountpoint", "fuse.conf'", "not a directory");
	check_here(*state, "store", "fuse.conf/x");
	bad(*state, -ENOTDIR, "mountpoint 'fuse.conf/x'", "not a directory");
}

static void a_mountpoint_that_can_t_be_reached_is_named(void **state)
{
	struct world *world = *state;

	make("closed", 0755);
	make("closed/mnt", 0777);
	chmod("closed", 0600);
	world->options.mountpoint = "closed/mnt";
	check_as_nobody(world);
	chmod("closed", 0755);
	bad(world, -EACCES, "mountpoint 'closed/mnt'", "directories above");
}

static void a_plain_user_needs_to_write_to_the_mountpoint(void **state)
{
	chmod("mnt", 0555);
	check_as_nobody(*state);
	bad(*state, -EACCES, "mountpoint", "mnt'", "not writable");
}

static void a_sticky_mountpoint_must_be_one_s_own(void **state)
{
	needs_root();
	assert_int_equal(chown("mnt", 0, 0), 0);
	chmod("mnt", 01777);
	check_as_nobody(*state);
	bad(*state, -EPERM, "mountpoint", "mnt'", "sticky");
	assert_int_equal(chown("mnt", NOBODY, NOBODY), 0);
	check_as_nobody(*state);
	good(*state);
}

static void root_may_mount_anywhere(void **state)
{
	needs_root();
	chmod("mnt", 01000);
	check(*state);
	good(*state);
}

static void the_same_directory_is_refused(void **state)
{
	assert_int_equal(symlink("mnt", "m"), 0);
	check_here(*state, "mnt", "mnt");
	bad(*state, -EINVAL, "same directory", "mnt'");
	check_here(*state, "m/../mnt", "m");
	bad(*state, -EINVAL, "same directory", "mnt'");
}

static void a_mountpoint_inside_the_store_is_refused(void **state)
{
	make("store/a", 0755);
	make("store/a/b", 0755);
	assert_int_equal(symlink("store/a/b", "m"), 0);
	check_here(*state, "store", "store/a/b");
	bad(*state, -EINVAL, "store/a/b' is inside the store", "outside");
	check_here(*state, "store", "m");
	bad(*state, -EINVAL, "store/a/b' is inside the store");
	check_here(*state, "/", "mnt");
	bad(*state, -EINVAL, "mnt' is inside the store '/'");
}

static void a_store_inside_the_mountpoint_is_refused(void **state)
{
	make("mnt/a", 0755);
	make("mnt/a/b", 0755);
	assert_int_equal(symlink("mnt/a/b", "s"), 0);
	check_here(*state, "mnt/a/b", "mnt");
	bad(*state, -EINVAL, "mnt/a/b' is inside the mountpoint", "hide");
	check_here(*state, "s", "mnt");
	bad(*state, -EINVAL, "mnt/a/b' is inside the mountpoint");
}

static void the_root_as_mountpoint_is_refused(void **state)
{
	needs_root();
	check_here(*state, "store", "/");
	bad(*state, -EINVAL, "store' is inside the mountpoint '/'");
}

static void names_with_the_same_beginning_are_apart(void **state)
{
	make("store2", 0755);
	check_here(*state, "store", "store2");
	good(*state);
	check_here(*state, "store2", "store");
	good(*state);
}

static void a_missing_device_is_named(void **state)
{
	struct world *world = *state;

	world->machine.fuse_device = "missing";
	check(world);
	bad(world, -ENOENT, "no missing", "modprobe fuse");
}

static void a_device_without_a_driver_is_named(void **state)
{
	needs_root();
	assert_int_equal(unlink("fuse"), 0);
	assert_int_equal(mknod("fuse", S_IFCHR | 0666, makedev(511, 511)), 0);
	check(*state);
	bad(*state, -ENXIO, "no fuse", "modprobe fuse");
}

static void a_device_closed_to_users_is_named(void **state)
{
	chmod("fuse", 0000);
	check_as_nobody(*state);
	bad(*state, -EACCES, "no permission for fuse", "chmod 666", "udev");
}

static void root_without_the_right_to_mount_is_told(void **state)
{
	struct world *world = *state;
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
	unsigned *effective = &data[CAP_TO_INDEX(CAP_SYS_ADMIN)].effective;

	needs_root();
	assert_int_equal(syscall(SYS_capget, &header, data), 0);
	*effective &= ~CAP_TO_MASK(CAP_SYS_ADMIN);
	assert_int_equal(syscall(SYS_capset, &header, data), 0);
	check(world);
	*effective |= CAP_TO_MASK(CAP_SYS_ADMIN);
	assert_int_equal(syscall(SYS_capset, &header, data), 0);
	bad(world, -EPERM, "CAP_SYS_ADMIN");
}

static void a_plain_user_needs_fusermount3(void **state)
{
	struct world *world = *state;

	world->machine.path = "missing:store";
	check_as_nobody(world);
	bad(world, -ENOENT, "fusermount3", "install", "fuse3");
	/* One that can't be run is none. */
	put_file("store/fusermount3", "", 0644);
	check_as_nobody(world);
	bad(world, -ENOENT, "fusermount3");
}

static void root_needs_no_fusermount3(void **state)
{
	struct world *world = *state;

	needs_root();
	world->machine.path = "missing";
	check(world);
	good(world);
}

static void allow_other_needs_the_administrator_s_leave(void **state)
{
	static const char *const without[] = { "", "#user_allow_other\n",
		"user_allow_other2\n", "mount_max = 5\n# user_allow_other\n" };
	static const char *const with[] = { "user_allow_other\n",
		"user_allow_other", "# x\n \tuser_allow_other \t# yes\n",
		"mount_max = 5\nuser_allow_other\n" };
	struct world *world = *state;

	world->options.allow_other = tristate_yes;
	for (size_t i = 0; i < 4; i++) {
		put_file("fuse.conf", without[i], 0644);
		check_as_nobody(world);
		bad(world, -EPERM, "'allow_other'", "user_allow_other",
			"fuse.conf");
	}
	for (size_t i = 0; i < 4; i++) {
		put_file("fuse.conf", with[i], 0644);
		check_as_nobody(world);
		good(world);
	}
	assert_int_equal(unlink("fuse.conf"), 0);
	check_as_nobody(world);
	bad(world, -EPERM, "'allow_other'", "fuse.conf");
}

static void allow_root_needs_it_too(void **state)
{
	struct world *world = *state;

	world->options.allow_root = true;
	check_as_nobody(world);
	bad(world, -EPERM, "'allow_root'", "user_allow_other");
	put_file("fuse.conf", "user_allow_other\n", 0644);
	check_as_nobody(world);
	good(world);
}

static void root_may_always_allow_others(void **state)
{
	struct world *world = *state;

	needs_root();
	world->options.allow_other = tristate_yes;
	check(world);
	good(world);
}

static void flags_that_need_a_remount_need_root(void **state)
{
	struct world *world = *state;

	world->options.late_flags = MS_STRICTATIME;
	check_as_nobody(world);
	bad(world, -EPERM, "strictatime", "root");
	if (geteuid() == 0) {
		check(world);
		good(world);
	}
}

static void a_strange_name_stays_on_one_line(void **state)
{
	check_here(*state, "no\nsuch", "mnt");
	bad(*state, -ENOENT, "store 'no\\012such'");
}

static void a_machine_without_proc_is_told(void **state)
{
	struct world *world = *state;

	world->machine.mountinfo = "missing";
	check(world);
	bad(world, -ENOENT, "missing", "mount proc");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		sentence(a_store_and_a_mountpoint_are_opened),
		sentence(symbolic_links_and_dots_are_resolved),
		sentence(a_plain_user_may_mount_on_a_directory_of_theirs),
		sentence(the_real_machine_is_looked_at),
		sentence(a_missing_store_is_named),
		sentence(a_store_that_is_no_directory_is_named),
		sentence(a_store_that_can_t_be_read_is_named),
		sentence(a_store_that_can_t_be_searched_is_named),
		sentence(a_store_that_can_t_be_reached_is_named),
		sentence(a_missing_mountpoint_is_named),
		sentence(a_mountpoint_that_is_no_directory_is_named),
		sentence(a_mountpoint_that_can_t_be_reached_is_named),
		sentence(a_plain_user_needs_to_write_to_the_mountpoint),
		sentence(a_sticky_mountpoint_must_be_one_s_own),
		sentence(root_may_mount_anywhere),
		sentence(the_same_directory_is_refused),
		sentence(a_mountpoint_inside_the_store_is_refused),
		sentence(a_store_inside_the_mountpoint_is_refused),
		sentence(the_root_as_mountpoint_is_refused),
		sentence(names_with_the_same_beginning_are_apart),
		sentence(a_missing_device_is_named),
		sentence(a_device_without_a_driver_is_named),
		sentence(a_device_closed_to_users_is_named),
		sentence(root_without_the_right_to_mount_is_told),
		sentence(a_plain_user_needs_fusermount3),
		sentence(root_needs_no_fusermount3),
		sentence(allow_other_needs_the_administrator_s_leave),
		sentence(allow_root_needs_it_too),
		sentence(root_may_always_allow_others),
		sentence(flags_that_need_a_remount_need_root),
		sentence(a_strange_name_stays_on_one_line),
		sentence(a_machine_without_proc_is_told),
	};

	return cmocka_run_group_tests_name("preflight", tests, group_setup,
		NULL);
}
