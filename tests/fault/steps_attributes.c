// SPDX-License-Identifier: Apache-2.0
/*
 * What an inode has beside its data.
 */
#include "steps.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

static int change_mode(struct place *place)
{
	return result(fchmodat(place->mount, "file", 0604, 0));
}

static int change_owner(struct place *place)
{
	return result(fchownat(place->mount, "file", 12, 34, 0));
}

static int change_group(struct place *place)
{
	return result(fchownat(place->mount, "file", (uid_t)-1, OTHER_GROUP_ID,
			       0));
}

static int change_times(struct place *place)
{
	struct timespec times[2] = { { 1100000000, 1 }, { 1000000000, 2 } };

	return result(utimensat(place->mount, "file", times, 0));
}

static int change_times_of_open(struct place *place)
{
	struct timespec times[2] = { { 1100000000, 1 }, { 1000000000, 2 } };
	int fd = open_in(place, "file", O_RDWR);

	return on(fd, fd < 0 ? -1 : futimens(fd, times));
}

static int truncate_it(struct place *place)
{
	return result(truncate(path_in(place, "file"), 5000));
}

static int truncate_open(struct place *place)
{
	int fd = open_in(place, "file", O_RDWR);

	return on(fd, fd < 0 ? -1 : ftruncate(fd, 3 * SIZE));
}

static int open_truncating(struct place *place)
{
	int fd = open_in(place, "file", O_RDWR | O_TRUNC);

	return on(fd, fd);
}

static int file_system_status(struct place *place)
{
	struct statvfs st;

	return result(fstatvfs(place->mount, &st));
}

static int set_attribute(struct place *place)
{
	return result(setxattr(path_in(place, "file"), "user.one", "one", 3,
			       0));
}

static int get_attribute(struct place *place)
{
	char value[16];
	ssize_t n = getxattr(path_in(place, "file"), "user.two", value,
			     sizeof(value));

	if (n < 0)
		return -errno;
	return n == 2 && !memcmp(value, "22", 2) ? 0 : SHORT;
}

static int list_attributes(struct place *place)
{
	char names[256];
	ssize_t n = listxattr(path_in(place, "file"), names, sizeof(names));

	if (n < 0)
		return -errno;
	return memmem(names, (size_t)n, "user.one", 9) &&
			       memmem(names, (size_t)n, "user.two", 9) ?
		       0 :
		       SHORT;
}

static int remove_attribute(struct place *place)
{
	return result(removexattr(path_in(place, "file"), "user.one"));
}

/* An ACL as <linux/posix_acl_xattr.h> has it: one named user more. */
static int set_acl(struct place *place)
{
	static const struct {
		uint32_t version;
		struct {
			uint16_t tag, permissions;
			uint32_t id;
		} entries[5];
	} acl = { 2,
		  { { 0x01, 7, UINT32_MAX },
		    { 0x02, 4, 77 },
		    { 0x04, 5, UINT32_MAX },
		    { 0x10, 5, UINT32_MAX },
		    { 0x20, 0, UINT32_MAX } } };

	return result(setxattr(path_in(place, "file"),
			       "system.posix_acl_access", &acl, sizeof(acl),
			       0));
}

static int get_flags(struct place *place)
{
	int fd = open_in(place, "file", O_RDONLY);
	int flags;

	return on(fd, fd < 0 ? -1 : ioctl(fd, FS_IOC_GETFLAGS, &flags));
}

const struct step attribute_steps[] = {
	{ "chmod", a_file, change_mode, 0 },
	{ "chown", a_file, change_owner, 0 },
	{ "chgrp_by_a_user", a_setuid_file, change_group, step_by_user },
	{ "utimensat", a_file, change_times, 0 },
	{ "futimens", a_file, change_times_of_open, 0 },
	{ "truncate", a_file, truncate_it, 0 },
	{ "truncate_by_a_user", a_setuid_file, truncate_it, step_by_user },
	{ "ftruncate", a_file, truncate_open, 0 },
	{ "an_open_with_O_TRUNC", a_file, open_truncating, 0 },
	{ "statfs", nothing, file_system_status, 0 },
	{ "setxattr", a_file, set_attribute, 0 },
	{ "getxattr", a_file_with_attributes, get_attribute, step_attributes },
	{ "listxattr", a_file_with_attributes, list_attributes,
	  step_attributes },
	{ "removexattr", a_file_with_attributes, remove_attribute, 0 },
	{ "an_acl", a_file, set_acl, 0 },
	{ "an_acl_on_a_setgid_file", a_setgid_file, set_acl, step_by_user },
	{ "an_inode_flag_ioctl", a_file, get_flags, 0 },
	{ 0 },
};
