// SPDX-License-Identifier: Apache-2.0
/*
 * POSIX ACLs, set and read as the attributes that the kernel knows:
 * what they grant, how modes follow them, how new files inherit them.
 */
#include "contract.h"

#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <sys/xattr.h>

#define access_acl "system.posix_acl_access"
#define default_acl "system.posix_acl_default"

enum { acl_limit = 8 };

struct acl {
	struct posix_acl_xattr_header header;
	struct posix_acl_xattr_entry entry[acl_limit];
};

struct acl_line {
	uint16_t tag;
	uint16_t permission;
	uint32_t id;
};

static size_t make_acl(struct acl *acl, const struct acl_line *lines,
		       size_t count)
{
	size_t i;

	acl->header.a_version = POSIX_ACL_XATTR_VERSION;
	for (i = 0; i < count; i++) {
		acl->entry[i].e_tag = lines[i].tag;
		acl->entry[i].e_perm = lines[i].permission;
		acl->entry[i].e_id = lines[i].id;
	}
	return sizeof(acl->header) + count * sizeof(acl->entry[0]);
}

static void set_acl(const char *name, const char *kind,
		    const struct acl_line *lines, size_t count)
{
	struct acl acl;
	size_t size = make_acl(&acl, lines, count);

	if (setxattr(name, kind, &acl, size, 0) == 0)
		return;
	if (errno == EOPNOTSUPP)
		skip_because("n/a: the filesystem has no ACLs");
	check_failed(__FILE__, __LINE__, "%s: %s", kind, strerror(errno));
}

static void check_acl(const char *name, const char *kind,
		      const struct acl_line *lines, size_t count)
{
	struct acl wanted, seen;
	size_t size = make_acl(&wanted, lines, count);

	check_equal(check_ok(getxattr(name, kind, &seen, sizeof(seen))), size);
	check_bytes(&seen, &wanted, size);
}

#define lines_of(...)                                                    \
	((const struct acl_line[]){__VA_ARGS__}),                        \
		sizeof((const struct acl_line[]){__VA_ARGS__}) /         \
			sizeof(struct acl_line)
#define nobody_s ((uint32_t)ACL_UNDEFINED_ID)

struct attempt {
	const char *name;
	int flags;
	int error;
};

static void attempt_open(void *argument)
{
	const struct attempt *attempt = argument;
	int fd = open(attempt->name, attempt->flags | O_CLOEXEC);

	if (fd < 0)
		check_equal(errno, attempt->error);
	else
		check_equal(0, attempt->error);
}

static void open_as(const struct identity *who, const char *name, int flags,
		    int error)
{
	struct attempt attempt = {name, flags, error};

	run_as(who, attempt_open, &attempt);
}

static void an_acl_is_read_back_as_it_was_set(void **state)
{
	(void)state;
	make_file("file", 10, 1);
	set_acl("file", access_acl,
		lines_of({ACL_USER_OBJ, 6, nobody_s}, {ACL_USER, 6, 64101},
			 {ACL_GROUP_OBJ, 4, nobody_s}, {ACL_GROUP, 4, 64200},
			 {ACL_MASK, 6, nobody_s}, {ACL_OTHER, 0, nobody_s}));
	check_acl("file", access_acl,
		  lines_of({ACL_USER_OBJ, 6, nobody_s}, {ACL_USER, 6, 64101},
			   {ACL_GROUP_OBJ, 4, nobody_s}, {ACL_GROUP, 4, 64200},
			   {ACL_MASK, 6, nobody_s}, {ACL_OTHER, 0, nobody_s}));
	/* The mask is the mode's group part. */
	check_equal(stat_of("file").st_mode & 0777, 0660);
	check_fails(getxattr("file", default_acl, NULL, 0), ENODATA);
}

static void an_acl_grants_to_the_users_and_groups_it_names(void **state)
{
	static const gid_t groups[] = {64997, 64200};
	const struct identity member = {64103, 64103, 2, groups};

	(void)state;
	need_root();
	make_file("file", 10, 1);
	set_acl("file", access_acl,
		lines_of({ACL_USER_OBJ, 6, nobody_s}, {ACL_USER, 6, 64101},
			 {ACL_GROUP_OBJ, 0, nobody_s}, {ACL_GROUP, 4, 64200},
			 {ACL_MASK, 6, nobody_s}, {ACL_OTHER, 0, nobody_s}));
	open_as(&alice, "file", O_RDWR, 0);
	open_as(&bob, "file", O_RDONLY, EACCES);
	open_as(&member, "file", O_RDONLY, 0);
	open_as(&member, "file", O_WRONLY, EACCES);
}

static void an_acl_denies_a_named_user_what_all_others_may(void **state)
{
	(void)state;
	need_root();
	make_file("file", 10, 1);
	set_acl("file", access_acl,
		lines_of({ACL_USER_OBJ, 6, nobody_s}, {ACL_USER, 0, 64101},
			 {ACL_GROUP_OBJ, 4, nobody_s}, {ACL_MASK, 4, nobody_s},
			 {ACL_OTHER, 4, nobody_s}));
	open_as(&alice, "file", O_RDONLY, EACCES);
	open_as(&bob, "file", O_RDONLY, 0);
	check_ok(removexattr("file", access_acl));
	open_as(&alice, "file", O_RDONLY, 0);
	check_fails(getxattr("file", access_acl, NULL, 0), ENODATA);
}

static void chmod_changes_the_mask(void **state)
{
	(void)state;
	make_file("file", 10, 1);
	set_acl("file", access_acl,
		lines_of({ACL_USER_OBJ, 6, nobody_s}, {ACL_USER, 6, 64101},
			 {ACL_GROUP_OBJ, 4, nobody_s}, {ACL_MASK, 6, nobody_s},
			 {ACL_OTHER, 0, nobody_s}));
	check_ok(chmod("file", 0644));
	check_acl("file", access_acl,
		  lines_of({ACL_USER_OBJ, 6, nobody_s}, {ACL_USER, 6, 64101},
			   {ACL_GROUP_OBJ, 4, nobody_s},
			   {ACL_MASK, 4, nobody_s}, {ACL_OTHER, 4, nobody_s}));
	check_equal(stat_of("file").st_mode & 0777, 0644);
	if (geteuid() == 0) {
		open_as(&alice, "file", O_RDONLY, 0);
		open_as(&alice, "file", O_WRONLY, EACCES);
	}
}

static void an_acl_that_only_repeats_a_mode_becomes_the_mode(void **state)
{
	(void)state;
	make_file("file", 10, 1);
	set_acl("file", access_acl,
		lines_of({ACL_USER_OBJ, 7, nobody_s},
			 {ACL_GROUP_OBJ, 5, nobody_s},
			 {ACL_OTHER, 1, nobody_s}));
	check_equal(stat_of("file").st_mode & 0777, 0751);
	check_fails(getxattr("file", access_acl, NULL, 0), ENODATA);
}

static void an_acl_that_makes_no_sense_is_refused(void **state)
{
	static const struct acl_line maskless[] = {
		{ACL_USER_OBJ, 7, nobody_s},
		{ACL_USER, 7, 1},
		{ACL_GROUP_OBJ, 7, nobody_s},
		{ACL_OTHER, 7, nobody_s},
	};
	struct acl acl;
	size_t size = make_acl(&acl, maskless, 4);

	(void)state;
	make_file("file", 10, 1);
	set_acl("file", access_acl,
		lines_of({ACL_USER_OBJ, 6, nobody_s},
			 {ACL_GROUP_OBJ, 4, nobody_s},
			 {ACL_OTHER, 4, nobody_s}));
	check_fails(setxattr("file", access_acl, &acl, size, 0), EINVAL);
	check_fails(setxattr("file", access_acl, &acl, size - 3, 0), EINVAL);
	check_fails(setxattr("file", default_acl, &acl, size, 0), EACCES);
	check_equal(stat_of("file").st_mode & 0777, 0644);
}

static void set_default_acl(void)
{
	check_ok(mkdir("dir", 0755));
	set_acl("dir", default_acl,
		lines_of({ACL_USER_OBJ, 7, nobody_s}, {ACL_USER, 6, 64101},
			 {ACL_GROUP_OBJ, 5, nobody_s}, {ACL_MASK, 7, nobody_s},
			 {ACL_OTHER, 0, nobody_s}));
	check_equal(stat_of("dir").st_mode & 0777, 0755);
}

static void a_new_file_takes_the_default_acl_instead_of_the_umask(void **state)
{
	(void)state;
	set_default_acl();
	umask(077);
	close_ok(check_ok(open("dir/file", O_CREAT | O_RDWR, 0664)));
	umask(022);
	check_acl("dir/file", access_acl,
		  lines_of({ACL_USER_OBJ, 6, nobody_s}, {ACL_USER, 6, 64101},
			   {ACL_GROUP_OBJ, 5, nobody_s},
			   {ACL_MASK, 6, nobody_s}, {ACL_OTHER, 0, nobody_s}));
	check_equal(stat_of("dir/file").st_mode & 0777, 0660);
	check_fails(getxattr("dir/file", default_acl, NULL, 0), ENODATA);
	if (geteuid() == 0)
		open_as(&alice, "dir/file", O_RDWR, 0);
}

static void a_new_fifo_takes_the_default_acl(void **state)
{
	(void)state;
	set_default_acl();
	umask(077);
	check_ok(mkfifo("dir/fifo", 0640));
	umask(022);
	check_equal(stat_of("dir/fifo").st_mode & 0777, 0640);
	check_acl("dir/fifo", access_acl,
		  lines_of({ACL_USER_OBJ, 6, nobody_s}, {ACL_USER, 6, 64101},
			   {ACL_GROUP_OBJ, 5, nobody_s},
			   {ACL_MASK, 4, nobody_s}, {ACL_OTHER, 0, nobody_s}));
}

static void a_new_directory_takes_and_hands_on_the_default_acl(void **state)
{
	(void)state;
	set_default_acl();
	umask(077);
	check_ok(mkdir("dir/sub", 0777));
	umask(022);
	check_acl("dir/sub", default_acl,
		  lines_of({ACL_USER_OBJ, 7, nobody_s}, {ACL_USER, 6, 64101},
			   {ACL_GROUP_OBJ, 5, nobody_s},
			   {ACL_MASK, 7, nobody_s}, {ACL_OTHER, 0, nobody_s}));
	check_acl("dir/sub", access_acl,
		  lines_of({ACL_USER_OBJ, 7, nobody_s}, {ACL_USER, 6, 64101},
			   {ACL_GROUP_OBJ, 5, nobody_s},
			   {ACL_MASK, 7, nobody_s}, {ACL_OTHER, 0, nobody_s}));
	check_equal(stat_of("dir/sub").st_mode & 0777, 0770);
	check_ok(removexattr("dir", default_acl));
	check_ok(mkdir("dir/plain", 0777));
	check_equal(stat_of("dir/plain").st_mode & 0777, 0755);
	check_fails(getxattr("dir/plain", default_acl, NULL, 0), ENODATA);
}

static void a_tmpfile_takes_the_default_acl(void **state)
{
	int fd;

	(void)state;
	set_default_acl();
	umask(077);
	fd = check_ok(open("dir", O_TMPFILE | O_RDWR, 0664));
	umask(022);
	check_equal(fstat_of(fd).st_mode & 0777, 0660);
	check(fgetxattr(fd, access_acl, NULL, 0) > 0);
	close_ok(fd);
}

static void set_foreign_acl(void *unused)
{
	struct acl acl;
	size_t size = make_acl(&acl, lines_of({ACL_USER_OBJ, 7, nobody_s},
					      {ACL_GROUP_OBJ, 7, nobody_s},
					      {ACL_OTHER, 7, nobody_s}));

	(void)unused;
	check_fails(setxattr("file", access_acl, &acl, size, 0), EPERM);
	check_fails(removexattr("file", access_acl), EPERM);
	check(getxattr("file", access_acl, NULL, 0) > 0);
}

static void only_the_owner_sets_an_acl(void **state)
{
	(void)state;
	need_root();
	make_file("file", 10, 1);
	set_acl("file", access_acl,
		lines_of({ACL_USER_OBJ, 6, nobody_s}, {ACL_USER, 6, 64101},
			 {ACL_GROUP_OBJ, 4, nobody_s}, {ACL_MASK, 6, nobody_s},
			 {ACL_OTHER, 4, nobody_s}));
	run_as(&alice, set_foreign_acl, NULL);
}

static void set_acl_outside_group(void *unused)
{
	struct acl acl;
	size_t size = make_acl(
		&acl, lines_of({ACL_USER_OBJ, 6, nobody_s},
			       {ACL_USER, 6, 64102},
			       {ACL_GROUP_OBJ, 5, nobody_s},
			       {ACL_MASK, 5, nobody_s},
			       {ACL_OTHER, 5, nobody_s}));

	(void)unused;
	check_ok(setxattr("file", access_acl, &acl, size, 0));
}

static void an_acl_set_by_an_owner_outside_the_group_drops_setgid(
	void **state)
{
	(void)state;
	need_root();
	make_file("file", 10, 1);
	set_acl("file", access_acl,
		lines_of({ACL_USER_OBJ, 6, nobody_s},
			 {ACL_GROUP_OBJ, 4, nobody_s},
			 {ACL_OTHER, 4, nobody_s}));
	check_ok(chown("file", alice.uid, 64200));
	check_ok(chmod("file", 02755));
	run_as(&alice, set_acl_outside_group, NULL);
	check_equal(stat_of("file").st_mode & 07777, 0655);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		contract_case(an_acl_is_read_back_as_it_was_set),
		contract_case(an_acl_grants_to_the_users_and_groups_it_names),
		contract_case(an_acl_denies_a_named_user_what_all_others_may),
		contract_case(chmod_changes_the_mask),
		contract_case(
			an_acl_that_only_repeats_a_mode_becomes_the_mode),
		contract_case(an_acl_that_makes_no_sense_is_refused),
		contract_case(
		a_new_file_takes_the_default_acl_instead_of_the_umask),
		contract_case(a_new_fifo_takes_the_default_acl),
		contract_case(
			a_new_directory_takes_and_hands_on_the_default_acl),
		contract_case(a_tmpfile_takes_the_default_acl),
		contract_case(only_the_owner_sets_an_acl),
		contract_case(
		an_acl_set_by_an_owner_outside_the_group_drops_setgid),
	};

	return contract_main(argc, argv, tests);
}
