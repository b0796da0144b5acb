// SPDX-License-Identifier: Apache-2.0
/*
 * On a real directory: in the store's attributes where it has them, and in
 * memory for a file system that has none (one of /proc's).
 */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/xattr.h>

#include "core/policy_store.h"
#include "util/cleanup.h"

static const struct store_id an_id = {
	.type = 1, .length = 3, .bytes = "abc"
};
static const struct store_id another_id = {
	.type = 1, .length = 3, .bytes = "abd"
};

static struct policy parsed(enum policy_name name, const char *text)
{
	struct policy policy = policy_builtin;
	char error[256];

	assert_int_equal(policy_parse(&policy, name, text, strlen(text), error,
				      sizeof(error)), 0);
	return policy;
}

static int open_plain(struct place *place)
{
	int fd = openat(place->fd, "file", O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	if (fsetxattr(fd, "user.test", "x", 1, 0) < 0) {
		close(fd);
		skip_because("no user attributes here");
	}
	return fd;
}

/* A file that takes no attribute. */
static int open_bare(void)
{
	int fd = open("/proc/self/comm", O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static void what_is_saved_is_in_the_store_and_loaded_again(void **state)
{
	owned_fd fd = open_plain(*state);
	struct inode_handle inode = { .fd = fd, .opened = true };
	struct policy value = parsed(policy_sync, "fsync=defer+every=5s");
	struct policy_store policies;
	struct policy own;
	char text[64] = "";
	bool in_memory = true;

	policy_store_init(&policies);
	assert_int_equal(policy_store_save(&policies, &an_id, &inode, &value,
					   policy_sync, 0), 0);
	assert_true(fgetxattr(fd, "user.msyncfs.sync", text,
			      sizeof(text) - 1) > 0);
	assert_string_equal(text, "fsync=defer+every=5s");
	assert_int_equal(policy_store_load(&policies, &an_id, &inode, &own,
					   &in_memory), 0);
	assert_int_equal(own.every, INT64_C(5000000000));
	assert_int_equal(own.set, 1u << policy_sync);
	assert_false(in_memory);
	policy_store_fini(&policies);
}

static void a_store_without_attributes_is_made_up_for_in_memory(void **state)
{
	owned_fd fd = open_bare();
	struct inode_handle inode = { .fd = fd, .opened = true };
	struct policy value = parsed(policy_lock, "on");
	struct policy_store policies;
	struct policy own;
	bool in_memory = false;

	(void)state;
	policy_store_init(&policies);
	assert_int_equal(policy_store_save(&policies, &an_id, &inode, &value,
					   policy_lock, 0), 0);
	policy_store_load(&policies, &an_id, &inode, &own, &in_memory);
	assert_true(in_memory);
	assert_int_equal(own.lock, policy_lock_on);
	policy_store_load(&policies, &another_id, &inode, &own, &in_memory);
	assert_false(in_memory);
	assert_int_equal(own.set, 0);
	assert_int_equal(policy_store_remove(&policies, &an_id, &inode,
					     policy_lock), 0);
	assert_int_equal(policies.count, 0);
	policy_store_fini(&policies);
}

static void create_and_replace_are_obeyed(void **state)
{
	owned_fd fd = open_plain(*state);
	struct inode_handle inode = { .fd = fd, .opened = true };
	struct policy value = parsed(policy_append, "on");
	struct policy_store policies;

	policy_store_init(&policies);
	assert_int_equal(policy_store_save(&policies, &an_id, &inode, &value,
					   policy_append, XATTR_REPLACE),
			 -ENODATA);
	assert_int_equal(policy_store_save(&policies, &an_id, &inode, &value,
					   policy_append, XATTR_CREATE), 0);
	assert_int_equal(policy_store_save(&policies, &an_id, &inode, &value,
					   policy_append, XATTR_CREATE),
			 -EEXIST);
	assert_int_equal(policy_store_remove(&policies, &an_id, &inode,
					     policy_append), 0);
	assert_int_equal(policy_store_remove(&policies, &an_id, &inode,
					     policy_append), -ENODATA);
	policy_store_fini(&policies);
}

static void what_makes_no_sense_in_the_store_is_left_out(void **state)
{
	owned_fd fd = open_plain(*state);
	struct inode_handle inode = { .fd = fd, .opened = true };
	struct policy_store policies;
	struct policy own;

	policy_store_init(&policies);
	fsetxattr(fd, "user.msyncfs.sync", "sometimes", 9, 0);
	fsetxattr(fd, "user.msyncfs.data", "daemon", 6, 0);
	fsetxattr(fd, "user.msyncfs.unheard-of", "1", 1, 0);
	assert_int_equal(policy_store_load(&policies, &an_id, &inode, &own,
					   NULL), 0);
	assert_int_equal(own.set, 1u << policy_data);
	assert_int_equal(own.fsync, policy_fsync_honor);
	policy_store_fini(&policies);
}

static void a_new_file_gets_each_that_its_directory_has(void **state)
{
	owned_fd fd = open_plain(*state);
	struct inode_handle inode = { .fd = fd, .opened = true };
	struct policy directory = parsed(policy_advise, "random");
	struct policy_store policies;
	struct policy own;
	struct policy more = parsed(policy_grow, "chunk=1M+trim");

	policy_copy(&directory, &more, policy_grow);
	policy_store_init(&policies);
	policy_store_inherit(&policies, &an_id, &inode, &directory);
	policy_store_load(&policies, &an_id, &inode, &own, NULL);
	assert_int_equal(own.set, 1u << policy_advise | 1u << policy_grow);
	assert_int_equal(own.chunk, 1 << 20);
	policy_store_fini(&policies);
}

static void an_inode_that_is_gone_takes_no_memory(void **state)
{
	owned_fd fd = open_bare();
	struct inode_handle inode = { .fd = fd, .opened = true };
	struct policy value = parsed(policy_lock, "on");
	struct policy_store policies;

	(void)state;
	policy_store_init(&policies);
	for (unsigned i = 0; i < 100; i++) {
		struct store_id id = { .type = 1, .length = 1 };

		id.bytes[0] = (unsigned char)i;
		policy_store_save(&policies, &id, &inode, &value, policy_lock,
				  0);
	}
	assert_int_equal(policies.count, 100);
	for (unsigned i = 0; i < 99; i++) {
		struct store_id id = { .type = 1, .length = 1 };

		id.bytes[0] = (unsigned char)i;
		policy_store_forget(&policies, &id);
	}
	assert_int_equal(policies.count, 1);
	/* The rest goes with the table: the leak checker looks. */
	policy_store_fini(&policies);
}

#define on_a_place(test) \
	cmocka_unit_test_setup_teardown(test, place_setup, place_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		on_a_place(what_is_saved_is_in_the_store_and_loaded_again),
		on_a_place(a_store_without_attributes_is_made_up_for_in_memory),
		on_a_place(create_and_replace_are_obeyed),
		on_a_place(what_makes_no_sense_in_the_store_is_left_out),
		on_a_place(a_new_file_gets_each_that_its_directory_has),
		on_a_place(an_inode_that_is_gone_takes_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
