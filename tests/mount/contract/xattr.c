// SPDX-License-Identifier: Apache-2.0
/*
 * Extended attributes in every namespace: set, read, list, remove, the
 * protocol of sizes, and who may.
 */
#include "contract.h"

#include <linux/magic.h>
#include <stdlib.h>
#include <sys/xattr.h>

static bool is_listed(const char *name, const char *attribute)
{
	char list[8192];
	ssize_t size = check_ok(llistxattr(name, list, sizeof(list)));
	ssize_t at;

	for (at = 0; at < size; at += strlen(list + at) + 1) {
		if (strcmp(list + at, attribute) == 0)
			return true;
	}
	return false;
}

static void check_value(const char *name, const char *attribute,
			const void *value, size_t size)
{
	char seen[70000];

	check_equal(check_ok(lgetxattr(name, attribute, NULL, 0)), size);
	check_equal(check_ok(lgetxattr(name, attribute, seen, sizeof(seen))),
		    size);
	check_bytes(seen, value, size);
}

static void an_attribute_is_set_read_listed_and_removed(void **state)
{
	int fd;

	(void)state;
	make_file("file", 1, 1);
	check_fails(getxattr("file", "user.a", NULL, 0), ENODATA);
	check_ok(setxattr("file", "user.a", "value", 5, 0));
	check_value("file", "user.a", "value", 5);
	check(is_listed("file", "user.a"));
	check_ok(setxattr("file", "user.a", "other value", 11, 0));
	check_value("file", "user.a", "other value", 11);
	fd = open_ok("file", O_RDONLY);
	check_equal(fgetxattr(fd, "user.a", NULL, 0), 11);
	check_ok(fsetxattr(fd, "user.b", "b", 1, 0));
	check_ok(fremovexattr(fd, "user.a"));
	close_ok(fd);
	check(!is_listed("file", "user.a"));
	check(is_listed("file", "user.b"));
	check_fails(getxattr("file", "user.a", NULL, 0), ENODATA);
	check_fails(removexattr("file", "user.a"), ENODATA);
	check_fails(getxattr("missing", "user.a", NULL, 0), ENOENT);
}

static void create_and_replace_mind_what_is_there(void **state)
{
	(void)state;
	make_file("file", 1, 1);
	check_fails(setxattr("file", "user.a", "1", 1, XATTR_REPLACE),
		    ENODATA);
	check_ok(setxattr("file", "user.a", "1", 1, XATTR_CREATE));
	check_fails(setxattr("file", "user.a", "2", 1, XATTR_CREATE), EEXIST);
	check_value("file", "user.a", "1", 1);
	check_ok(setxattr("file", "user.a", "3", 1, XATTR_REPLACE));
	check_value("file", "user.a", "3", 1);
	check_fails(setxattr("file", "user.a", "3", 1, 64), EINVAL);
}

static void a_buffer_too_small_is_erange(void **state)
{
	char buffer[300];
	ssize_t size;

	(void)state;
	make_file("file", 1, 1);
	check_ok(setxattr("file", "user.name", "0123456789", 10, 0));
	check_fails(getxattr("file", "user.name", buffer, 9), ERANGE);
	check_equal(getxattr("file", "user.name", buffer, 10), 10);
	check_ok(setxattr("file", "user.second", "x", 1, 0));
	size = check_ok(listxattr("file", NULL, 0));
	check(size >= 22);
	check_fails(listxattr("file", buffer, 5), ERANGE);
	check_equal(listxattr("file", buffer, sizeof(buffer)), size);
	check_equal(listxattr("file", buffer, size), size);
}

static void values_may_be_empty_or_hold_any_byte(void **state)
{
	char value[256];
	int i;

	(void)state;
	make_file("file", 1, 1);
	check_ok(setxattr("file", "user.empty", "", 0, 0));
	check_equal(getxattr("file", "user.empty", NULL, 0), 0);
	check(is_listed("file", "user.empty"));
	for (i = 0; i < 256; i++)
		value[i] = i;
	check_ok(setxattr("file", "user.bytes", value, 256, 0));
	check_value("file", "user.bytes", value, 256);
}

static void large_values_are_kept_whole_or_refused(void **state)
{
	static const size_t sizes[] = {3000, 12000, 60000, 65536};
	char *value = malloc(65537);
	size_t i;

	(void)state;
	check(value);
	make_file("file", 1, 1);
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		fill(value, sizes[i], i);
		if (setxattr("file", "user.big", value, sizes[i], 0) == 0) {
			check_value("file", "user.big", value, sizes[i]);
			continue;
		}
		check(errno == ENOSPC || errno == E2BIG);
		check(sizes[i] > 3000);
	}
	check_fails(setxattr("file", "user.big", value, 65537, 0), E2BIG);
	free(value);
}

static void names_of_255_bytes_and_no_more(void **state)
{
	char name[300] = "user.";

	(void)state;
	make_file("file", 1, 1);
	memset(name + 5, 'n', 250);
	check_ok(setxattr("file", name, "x", 1, 0));
	check_value("file", name, "x", 1);
	check(is_listed("file", name));
	name[255] = 'n';
	check_fails(setxattr("file", name, "x", 1, 0), ERANGE);
	check_fails(setxattr("file", "", "x", 1, 0), ERANGE);
	check_fails(setxattr("file", "nonsense.x", "x", 1, 0), EOPNOTSUPP);
}

static void many_attributes_live_on_one_file(void **state)
{
	char name[32], value[32];
	int i;

	(void)state;
	make_file("file", 1, 1);
	for (i = 0; i < 50; i++) {
		snprintf(name, sizeof(name), "user.number%d", i);
		snprintf(value, sizeof(value), "value %d", i * i);
		check_ok(setxattr("file", name, value, strlen(value), 0));
	}
	for (i = 0; i < 50; i++) {
		snprintf(name, sizeof(name), "user.number%d", i);
		snprintf(value, sizeof(value), "value %d", i * i);
		check_value("file", name, value, strlen(value));
		check(is_listed("file", name));
	}
}

static void attributes_stay_with_the_file_not_the_name(void **state)
{
	(void)state;
	make_file("file", 1, 1);
	check_ok(setxattr("file", "user.a", "here", 4, 0));
	check_ok(link("file", "link"));
	check_ok(rename("file", "renamed"));
	check_value("renamed", "user.a", "here", 4);
	check_value("link", "user.a", "here", 4);
	make_file("file", 1, 1);
	check_fails(getxattr("file", "user.a", NULL, 0), ENODATA);
}

static void directories_have_attributes(void **state)
{
	(void)state;
	check_ok(mkdir("dir", 0755));
	check_ok(setxattr("dir", "user.a", "of the directory", 16, 0));
	check_value("dir", "user.a", "of the directory", 16);
	check(is_listed("dir", "user.a"));
	check_ok(removexattr("dir", "user.a"));
	check(!is_listed("dir", "user.a"));
}

static void user_attributes_belong_to_files_and_directories_alone(void **state)
{
	(void)state;
	check_ok(symlink("target", "link"));
	check_ok(mkfifo("fifo", 0644));
	check_fails(lsetxattr("link", "user.a", "x", 1, 0), EPERM);
	check_fails(setxattr("fifo", "user.a", "x", 1, 0), EPERM);
	check_fails(lgetxattr("link", "user.a", NULL, 0), ENODATA);
	check_fails(getxattr("link", "user.a", NULL, 0), ENOENT);
}

static void trusted_attributes_live_on_everything(void **state)
{
	static const char *const names[] = {"file", "dir", "link", "fifo"};
	size_t i;

	(void)state;
	need_root();
	make_file("file", 1, 1);
	check_ok(mkdir("dir", 0755));
	check_ok(symlink("file", "link"));
	check_ok(mkfifo("fifo", 0644));
	for (i = 0; i < 4; i++) {
		check_ok(lsetxattr(names[i], "trusted.a", names[i],
				   strlen(names[i]), 0));
	}
	for (i = 0; i < 4; i++) {
		check_value(names[i], "trusted.a", names[i],
			    strlen(names[i]));
		check(is_listed(names[i], "trusted.a"));
		check_ok(lremovexattr(names[i], "trusted.a"));
		check(!is_listed(names[i], "trusted.a"));
	}
}

static void security_attributes_are_kept(void **state)
{
	(void)state;
	need_root();
	make_file("file", 1, 1);
	check_ok(symlink("file", "link"));
	check_ok(setxattr("file", "security.odd", "value", 5, 0));
	check_value("file", "security.odd", "value", 5);
	check(is_listed("file", "security.odd"));
	check_ok(lsetxattr("link", "security.odd", "of link", 7, 0));
	check_value("link", "security.odd", "of link", 7);
	check_value("file", "security.odd", "value", 5);
	check_ok(removexattr("file", "security.odd"));
	check_fails(getxattr("file", "security.odd", NULL, 0), ENODATA);
}

/* struct vfs_cap_data of revision 2, no capability in it. */
static const unsigned char capability[20] = {0, 0, 0, 2};

static void try_as_user(void *unused)
{
	(void)unused;
	check_fails(setxattr("open", "trusted.a", "x", 1, 0), EPERM);
	check_fails(getxattr("open", "trusted.a", NULL, 0), ENODATA);
	check_fails(removexattr("open", "trusted.a"), EPERM);
	check(is_listed("open", "user.a"));
	check_fails(setxattr("open", "security.capability", capability,
			     sizeof(capability), 0),
		    EPERM);
	check_ok(setxattr("open", "user.b", "x", 1, 0));
	check_fails(setxattr("closed", "user.a", "x", 1, 0), EACCES);
	check_equal(getxattr("closed", "user.a", NULL, 0), 1);
	check_fails(getxattr("secret", "user.a", NULL, 0), EACCES);
	check(is_listed("secret", "user.a"));
	check_fails(setxattr("sticky", "user.a", "x", 1, 0), EPERM);
}

static void rights_decide_who_sees_and_sets(void **state)
{
	(void)state;
	need_root();
	make_file_with_mode("open", 1, 0666);
	make_file_with_mode("closed", 1, 0644);
	make_file_with_mode("secret", 1, 0600);
	check_ok(mkdir("sticky", 0777));
	check_ok(chmod("sticky", 01777));
	check_ok(setxattr("open", "trusted.a", "x", 1, 0));
	check_ok(setxattr("open", "user.a", "x", 1, 0));
	check_ok(setxattr("closed", "user.a", "x", 1, 0));
	check_ok(setxattr("secret", "user.a", "x", 1, 0));
	run_as(&alice, try_as_user, NULL);
}

static void look_for_trusted(void *unused)
{
	(void)unused;
	check(is_listed("file", "user.a"));
	check(!is_listed("file", "trusted.a"));
}

static void users_are_not_shown_trusted_names(void **state)
{
	(void)state;
	need_root();
	if (store_is("btrfs", BTRFS_SUPER_MAGIC))
		skip_because("n/a: btrfs shows them to everybody");
	make_file("file", 1, 1);
	check_ok(setxattr("file", "trusted.a", "x", 1, 0));
	check_ok(setxattr("file", "user.a", "x", 1, 0));
	check(is_listed("file", "trusted.a"));
	run_as(&alice, look_for_trusted, NULL);
}

static void set_by_another(void *unused)
{
	(void)unused;
	check_ok(setxattr("file", "user.a", "by the child", 12, 0));
}

static void another_process_s_attribute_is_seen_at_once(void **state)
{
	(void)state;
	make_file("file", 1, 1);
	check_fails(getxattr("file", "user.a", NULL, 0), ENODATA);
	run_as(NULL, set_by_another, NULL);
	check_value("file", "user.a", "by the child", 12);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		contract_case(an_attribute_is_set_read_listed_and_removed),
		contract_case(create_and_replace_mind_what_is_there),
		contract_case(a_buffer_too_small_is_erange),
		contract_case(values_may_be_empty_or_hold_any_byte),
		contract_case(large_values_are_kept_whole_or_refused),
		contract_case(names_of_255_bytes_and_no_more),
		contract_case(many_attributes_live_on_one_file),
		contract_case(attributes_stay_with_the_file_not_the_name),
		contract_case(directories_have_attributes),
		contract_case(
		user_attributes_belong_to_files_and_directories_alone),
		contract_case(trusted_attributes_live_on_everything),
		contract_case(security_attributes_are_kept),
		contract_case(rights_decide_who_sees_and_sets),
		contract_case(users_are_not_shown_trusted_names),
		contract_case(another_process_s_attribute_is_seen_at_once),
	};

	return contract_main(argc, argv, tests);
}
