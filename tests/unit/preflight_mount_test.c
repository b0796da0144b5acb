// SPDX-License-Identifier: Apache-2.0
/* What other mounts do to store and mountpoint. */
#include "preflight_world.h"

static void a_store_on_a_dead_mount_is_named(void **state)
{
	struct world *world = *state;

	needs_root();
	make("dead", 0755);
	mount_fuse(world, "fuse.other", "dead", false);
	check_here(world, "dead", "mnt");
	bad(world, -ENOTCONN, "store 'dead'", "dead FUSE mount",
		"fusermount3 -u");
}

static void bind_mounts_don_t_hide_the_same_directory(void **state)
{
	needs_root();
	bind_to("store", "mnt");
	check(*state);
	bad(*state, -EINVAL, "same directory");
}

static void bind_mounts_don_t_hide_a_mountpoint_inside(void **state)
{
	needs_root();
	make("store/a", 0755);
	make("store/a/b", 0755);
	/* The store with its parents, seen again. */
	bind_to(".", "mnt");
	check_here(*state, "store", "mnt/store/a");
	bad(*state, -EINVAL, "mnt/store/a' is inside the store");
	/* A part of the store, whose ".." is not the store. */
	bind_to("store/a", "bin");
	check_here(*state, "store", "bin");
	bad(*state, -EINVAL, "bin' is inside the store");
	check_here(*state, "store", "bin/b");
	bad(*state, -EINVAL, "bin/b' is inside the store");
}

static void bind_mounts_don_t_hide_a_store_inside(void **state)
{
	needs_root();
	make("mnt/a", 0755);
	bind_to("mnt/a", "store");
	check(*state);
	bad(*state, -EINVAL, "store' is inside the mountpoint");
}

/* What is mounted below a second name of the store is below the store. */
static void other_filesystems_don_t_hide_what_is_inside(void **state)
{
	needs_root();
	make("store/x", 0755);
	bind_to("store", "mnt");
	mount_tmpfs("mnt/x", "");
	make("mnt/x/m", 0755);
	check_here(*state, "store", "mnt/x/m");
	bad(*state, -EINVAL, "mnt/x/m' is inside the store");
	check_here(*state, "mnt/x/m", "store");
	bad(*state, -EINVAL, "mnt/x/m' is inside the mountpoint");
}

static void a_directory_bound_into_itself_ends_no_search(void **state)
{
	needs_root();
	make("store/a", 0755);
	make("store/a/b", 0755);
	make("store/a/c", 0755);
	bind_to("store", "mnt");
	/* Now mnt/a/b shows mnt/a: its ".." has the same inode. */
	bind_to("mnt/a", "mnt/a/b");
	mount_tmpfs("mnt/a/b/c", "");
	check_here(*state, "store", "mnt/a/b/c");
	bad(*state, -EINVAL, "mnt/a/b/c' is inside the store");
}

static void a_mountpoint_that_can_t_be_searched_is_found_inside(void **state)
{
	struct world *world = *state;

	needs_root();
	make("store/m", 0755);
	mount_tmpfs("store/m", "mode=0222");
	world->options.mountpoint = "store/m";
	check_as_nobody(world);
	bad(world, -EINVAL, "store/m' is inside the store");
}

static void other_mounts_at_the_mountpoint_are_no_matter(void **state)
{
	needs_root();
	mount_tmpfs("mnt", "");
	check(*state);
	good(*state);
}

static void a_mounted_msyncfs_is_found(void **state)
{
	needs_root();
	mount_fuse(*state, "fuse.msyncfs", "mnt", true);
	check(*state);
	bad(*state, -EBUSY, "mnt'", "mounted there already", "unmount");
}

static void a_mounted_msyncfs_is_found_under_a_strange_name(void **state)
{
	needs_root();
	make("a b", 0755);
	mount_fuse(*state, "fuse.msyncfs", "a b", true);
	assert_int_equal(symlink("a b", "m"), 0);
	check_here(*state, "store", "m");
	bad(*state, -EBUSY, "a b'", "mounted there already");
}

static void a_dead_msyncfs_is_found(void **state)
{
	needs_root();
	mount_fuse(*state, "fuse.msyncfs", "mnt", false);
	check(*state);
	bad(*state, -ENOTCONN, "mnt'", "dead msyncfs", "fusermount3 -u");
}

static void one_that_died_a_moment_ago_is_found(void **state)
{
	static const char *const types[] = { "fuse.msyncfs", "fuse.other" };
	static const char *const messages[] = { "dead msyncfs",
		"dead fuse.other" };
	struct stat status;

	needs_root();
	for (size_t i = 0; i < 2; i++) {
		mount_fuse(*state, types[i], "mnt", true);
		assert_int_equal(stat("mnt", &status), 0);
		kill_server(*state);
		/* The kernel still answers for it. */
		assert_int_equal(stat("mnt", &status), 0);
		check(*state);
		bad(*state, -ENOTCONN, "mnt'", messages[i]);
		assert_int_equal(umount2("mnt", MNT_DETACH), 0);
	}
}

static void another_dead_filesystem_is_found(void **state)
{
	needs_root();
	mount_fuse(*state, "fuse.other", "mnt", false);
	check(*state);
	bad(*state, -ENOTCONN, "mnt'", "dead fuse.other", "fusermount3 -u");
}

static void another_user_s_filesystem_is_found(void **state)
{
	needs_root();
	mount_fuse(*state, "fuse.other", "mnt", true);
	check_as_nobody(*state);
	bad(*state, -EACCES, "mnt'", "fuse.other of another user");
}

static void a_remount_needs_a_mount(void **state)
{
	struct world *world = *state;

	needs_root();
	world->options.remount = true;
	check(world);
	bad(world, -EINVAL, "mnt'", "no msyncfs is mounted", "remount");
	mount_fuse(world, "fuse.msyncfs", "mnt", true);
	check(world);
	good(world);
	assert_int_equal(world->out.store_fd, -1);
	assert_null(world->out.store_abs);
	assert_non_null(world->out.mountpoint_abs);
}

static void a_remount_needs_root(void **state)
{
	struct world *world = *state;

	needs_root();
	world->options.remount = true;
	mount_fuse(world, "fuse.msyncfs", "mnt", true);
	check_as_nobody(world);
	bad(world, -EPERM, "only root can remount");
}

static void a_device_closed_to_root_is_named(void **state)
{
	needs_root();
	/* As in a sandbox: no device works here. */
	bind_to(".", "mnt");
	assert_int_equal(mount(NULL, "mnt", NULL,
		MS_REMOUNT | MS_BIND | MS_NODEV, NULL), 0);
	make("m", 0755);
	((struct world *)*state)->machine.fuse_device = "mnt/fuse";
	check_here(*state, "store", "m");
	bad(*state, -EACCES, "no permission for mnt/fuse even as root",
		"container");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		sentence(a_store_on_a_dead_mount_is_named),
		sentence(bind_mounts_don_t_hide_the_same_directory),
		sentence(bind_mounts_don_t_hide_a_mountpoint_inside),
		sentence(bind_mounts_don_t_hide_a_store_inside),
		sentence(other_filesystems_don_t_hide_what_is_inside),
		sentence(a_directory_bound_into_itself_ends_no_search),
		sentence(a_mountpoint_that_can_t_be_searched_is_found_inside),
		sentence(other_mounts_at_the_mountpoint_are_no_matter),
		sentence(a_mounted_msyncfs_is_found),
		sentence(a_mounted_msyncfs_is_found_under_a_strange_name),
		sentence(a_dead_msyncfs_is_found),
		sentence(one_that_died_a_moment_ago_is_found),
		sentence(another_dead_filesystem_is_found),
		sentence(another_user_s_filesystem_is_found),
		sentence(a_remount_needs_a_mount),
		sentence(a_remount_needs_root),
		sentence(a_device_closed_to_root_is_named),
	};

	return cmocka_run_group_tests_name("preflight_mount", tests,
		group_setup, NULL);
}
