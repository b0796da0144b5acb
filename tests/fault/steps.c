// SPDX-License-Identifier: Apache-2.0
/*
 * One step for each operation, small enough that a failure has one cause.
 * Files are prepared in the store, so that a step begins with look-ups.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "driver.h"
#include "report.h"

#define SIZE 10000
#define MANY 200
/* Whole blocks: a reflink leaves the rest to another call. */
#define COPIED 8192

static char bytes[SIZE];

/* ---- shorthand --------------------------------------------------------- */

static void must(int r, const char *what)
{
	if (r < 0)
		give_up(what);
}

/* The result of a call as 0 or -errno. */
static int result(long r)
{
	return r < 0 ? -errno : 0;
}

/* Of a call on fd, which is closed; of the open if that failed. */
static int on(int fd, long r)
{
	int error = r < 0 ? -errno : 0;

	if (fd >= 0)
		close(fd);
	return error;
}

/* r, after closing. */
static int closing(int fd, int r)
{
	if (fd >= 0)
		close(fd);
	return r;
}

/* Less than all of it, without an error. */
#define SHORT (-EBADMSG)

bool wrote_less;

/* A write that fails in the middle is short; the next one says why. */
static int written(int fd, off_t offset, size_t size)
{
	size_t done = 0;

	while (done < size) {
		ssize_t n = pwrite(fd, bytes + done, size - done,
				   offset + (off_t)done);

		if (n < 0)
			return -errno;
		if (n == 0)
			return SHORT;
		done += (size_t)n;
		wrote_less |= done < size;
	}
	return 0;
}

static int open_in(const struct place *place, const char *name, int flags)
{
	return openat(place->mount, name, flags | O_CLOEXEC, 0640);
}

static const char *path_in(const struct place *place, const char *name)
{
	static char path[4200];

	snprintf(path, sizeof(path), "%s/%s", place->mount_path, name);
	return path;
}

static void fill_bytes(void)
{
	for (unsigned i = 0; i < SIZE; i++)
		bytes[i] = (char)(i * 7 + i / 256);
}

static void make_file(struct place *place, const char *name, mode_t mode)
{
	int fd = openat(place->store, name, O_RDWR | O_CREAT | O_CLOEXEC);
	char old[SIZE];

	memset(old, 'o', sizeof(old));
	must(fd, "a file in the store");
	must(write(fd, old, SIZE) == SIZE ? 0 : -1, "its contents");
	must(fchown(fd, USER_ID, GROUP_ID), "its owner");
	must(fchmod(fd, mode), "its mode");
	close(fd);
}

/* ---- setups ------------------------------------------------------------ */

static void nothing(struct place *place)
{
	(void)place;
}

static void a_file(struct place *place)
{
	make_file(place, "file", 0644);
}

static void two_files(struct place *place)
{
	make_file(place, "file", 0644);
	make_file(place, "other", 0600);
}

static void a_setuid_file(struct place *place)
{
	make_file(place, "file", 06777);
}

static void a_setgid_file(struct place *place)
{
	make_file(place, "file", 02750);
	must(fchownat(place->store, "file", USER_ID, OTHER_GROUP_ID, 0),
	     "its group");
	must(fchmodat(place->store, "file", 02750, 0), "its mode");
}

static void a_file_with_capabilities(struct place *place)
{
	/* struct vfs_cap_data, version 2: CAP_CHOWN permitted. */
	static const uint32_t capabilities[5] = { 0x02000000, 1, 0, 0, 0 };
	char path[64];

	make_file(place, "file", 0777);
	snprintf(path, sizeof(path), "/proc/self/fd/%d/file", place->store);
	must(setxattr(path, "security.capability", capabilities,
		      sizeof(capabilities), 0),
	     "file capabilities");
}

static void a_file_with_attributes(struct place *place)
{
	char path[64];

	make_file(place, "file", 0644);
	snprintf(path, sizeof(path), "/proc/self/fd/%d/file", place->store);
	must(setxattr(path, "user.one", "1", 1, 0), "an attribute");
	must(setxattr(path, "user.two", "22", 2, 0), "an attribute");
}

static void a_directory(struct place *place)
{
	must(mkdirat(place->store, "sub", 0755), "a directory");
}

static void a_link(struct place *place)
{
	must(symlinkat("to/nowhere", place->store, "link"), "a link");
}

static void many_files(struct place *place)
{
	char name[256];

	for (unsigned i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "%03u-%0200u", i, i);
		must(mknodat(place->store, name, S_IFREG | 0600, 0),
		     "many files");
	}
}

static void a_file_with_a_hole(struct place *place)
{
	make_file(place, "file", 0644);
	int fd = openat(place->store, "file", O_WRONLY | O_CLOEXEC);
	must(ftruncate(fd, 1 << 20), "a hole");
	close(fd);
}

/* The kernel knows that there is none, and then there is. */
static void a_file_made_behind(struct place *place)
{
	struct stat st;

	if (fstatat(place->mount, "file", &st, 0) == 0 || errno != ENOENT)
		give_up("a name that is not there");
	make_file(place, "file", 0644);
}

/* ---- names ------------------------------------------------------------- */

static int look_up(struct place *place)
{
	struct stat st;

	return result(fstatat(place->mount, "file", &st, 0));
}

static int look_up_missing(struct place *place)
{
	struct stat st;

	if (fstatat(place->mount, "missing", &st, 0) == 0)
		return SHORT;
	return errno == ENOENT ? 0 : -errno;
}

static int create(struct place *place)
{
	int fd = open_in(place, "new", O_RDWR | O_CREAT | O_EXCL);

	return on(fd, fd);
}

static int create_setgid(struct place *place)
{
	int fd = openat(place->mount, "new", O_RDWR | O_CREAT | O_CLOEXEC,
			02755);

	return on(fd, fd);
}

static int create_there(struct place *place)
{
	int fd = open_in(place, "file", O_RDWR | O_CREAT);

	return on(fd, fd);
}

static int make_node(struct place *place)
{
	return result(mknodat(place->mount, "fifo", S_IFIFO | 0600, 0));
}

static int make_directory(struct place *place)
{
	return result(mkdirat(place->mount, "new", 0750));
}

static int remove_directory(struct place *place)
{
	return result(unlinkat(place->mount, "sub", AT_REMOVEDIR));
}

static int make_symlink(struct place *place)
{
	return result(symlinkat("target", place->mount, "new"));
}

static int read_link(struct place *place)
{
	char target[64];
	ssize_t n = readlinkat(place->mount, "link", target, sizeof(target));

	if (n < 0)
		return -errno;
	return n == 10 && !memcmp(target, "to/nowhere", 10) ? 0 : SHORT;
}

static int make_link(struct place *place)
{
	return result(linkat(place->mount, "file", place->mount, "new", 0));
}

static int unlink_it(struct place *place)
{
	return result(unlinkat(place->mount, "file", 0));
}

static int rename_it(struct place *place)
{
	return result(renameat(place->mount, "file", place->mount, "new"));
}

static int rename_over(struct place *place)
{
	return result(renameat(place->mount, "file", place->mount, "other"));
}

static int rename_exchange(struct place *place)
{
	return result(renameat2(place->mount, "file", place->mount, "other",
				RENAME_EXCHANGE));
}

static int rename_noreplace(struct place *place)
{
	return result(renameat2(place->mount, "file", place->mount, "new",
				RENAME_NOREPLACE));
}

/*
 * An inode without a name stays whole for whoever holds it; flags are those
 * it is held with. What is not removed is asked nothing more.
 */
static int removed_while_held(struct place *place, const char *name, int flags,
			      int remove_flags)
{
	struct stat st;
	int fd = open_in(place, name, flags);
	int r = result(fd);

	if (r == 0)
		r = result(unlinkat(place->mount, name, remove_flags));
	if (r == 0)
		r = result(fstat(fd, &st));
	if (r == 0 && !(flags & (O_PATH | O_DIRECTORY))) {
		r = written(fd, 0, SIZE);
		if (r == 0 && pread(fd, bytes, 1, 0) != 1)
			r = -errno;
	}
	return closing(fd, r);
}

static int unlink_open(struct place *place)
{
	return removed_while_held(place, "file", O_RDWR, 0);
}

static int unlink_held_by_path(struct place *place)
{
	return removed_while_held(place, "file", O_PATH, 0);
}

static int rmdir_held_by_path(struct place *place)
{
	return removed_while_held(place, "sub", O_PATH | O_DIRECTORY,
				  AT_REMOVEDIR);
}

static int temporary_file(struct place *place)
{
	int fd = open_in(place, ".", O_TMPFILE | O_RDWR);
	char path[64];
	int r = result(fd);

	if (r == 0)
		r = written(fd, 0, SIZE);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (r == 0)
		r = result(linkat(AT_FDCWD, path, place->mount, "new",
				  AT_SYMLINK_FOLLOW));
	return closing(fd, r);
}

/* ---- attributes -------------------------------------------------------- */

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

/* ---- directories ------------------------------------------------------- */

static int read_directory(struct place *place)
{
	int fd = open_in(place, ".", O_RDONLY | O_DIRECTORY);
	DIR *stream = fd < 0 ? NULL : fdopendir(fd);
	unsigned count = 0;
	int r;

	if (!stream)
		return -errno;
	while ((errno = 0, readdir(stream)))
		count++;
	r = -errno;
	closedir(stream);
	return r == 0 && count != MANY + 2 ? SHORT : r;
}

static int sync_directory(struct place *place)
{
	int fd = open_in(place, ".", O_RDONLY | O_DIRECTORY);

	return on(fd, fd < 0 ? -1 : fsync(fd));
}

/* ---- data -------------------------------------------------------------- */

static int read_all(int fd)
{
	char buffer[SIZE + 1];
	ssize_t n = pread(fd, buffer, sizeof(buffer), 0);

	if (n < 0)
		return -errno;
	for (ssize_t i = 0; i < n; i++) {
		if (buffer[i] != 'o')
			return SHORT;
	}
	return n == SIZE ? 0 : SHORT;
}

static int read_file(struct place *place)
{
	int fd = open_in(place, "file", O_RDONLY);
	int r = fd < 0 ? -errno : read_all(fd);

	return closing(fd, r);
}

static int write_to(struct place *place, int flags, off_t offset, size_t size)
{
	int fd = open_in(place, "file", flags);
	int r = fd < 0 ? -errno : written(fd, offset, size);

	return closing(fd, r);
}

static int write_in_place(struct place *place)
{
	return write_to(place, O_WRONLY, 1000, 3000);
}

/* Any number of requests. */
static int write_pages(struct place *place)
{
	return write_to(place, O_WRONLY, 100, SIZE);
}

static int write_extending(struct place *place)
{
	return write_to(place, O_RDWR, 9000, 3000);
}

static int write_appending(struct place *place)
{
	return write_to(place, O_WRONLY | O_APPEND, 0, 777);
}

/* The reader's descriptor and mapping are replaced by writable ones. */
static int write_after_reading(struct place *place)
{
	int reader = open_in(place, "file", O_RDONLY);
	int writer = -1;
	int r = reader < 0 ? -errno : read_all(reader);

	if (r == 0) {
		writer = open_in(place, "file", O_RDWR);
		if (writer >= 0)
			r = written(writer, 10, 4000);
		else
			r = -errno;
	}
	return closing(reader, closing(writer, r));
}

static int direct(struct place *place, bool writing)
{
	int fd = open_in(place, "file", O_RDWR | O_DIRECT);
	void *buffer = aligned_alloc(4096, 4096);
	long n = -1;
	int r;

	memset(buffer, 'd', 4096);
	if (fd >= 0)
		n = writing ? pwrite(fd, buffer, 4096, 4096) :
			      pread(fd, buffer, 4096, 4096);
	r = n < 0 ? -errno : n == 4096 ? 0 : SHORT;
	free(buffer);
	return closing(fd, r);
}

static int direct_read(struct place *place)
{
	return direct(place, false);
}

static int direct_write(struct place *place)
{
	return direct(place, true);
}

static int write_mapped(int fd)
{
	char *base = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
			  0);
	int r;

	if (base == MAP_FAILED)
		return -errno;
	/* A page that can't be read would be SIGBUS: ask first. */
	r = read_all(fd);
	if (r == 0) {
		memcpy(base + 100, bytes, 5000);
		r = result(msync(base, SIZE, MS_SYNC));
	}
	munmap(base, SIZE);
	return r;
}

static int mapped_write(struct place *place)
{
	int fd = open_in(place, "file", O_RDWR);

	return closing(fd, fd < 0 ? -errno : write_mapped(fd));
}

static int preallocate(struct place *place)
{
	int fd = open_in(place, "file", O_RDWR);

	return on(fd, fd < 0 ? -1 : fallocate(fd, 0, 0, 5 * SIZE));
}

static int punch_hole(struct place *place)
{
	int fd = open_in(place, "file", O_RDWR);
	int mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;

	return on(fd, fd < 0 ? -1 : fallocate(fd, mode, 4096, 4096));
}

static int seek_hole(struct place *place)
{
	int fd = open_in(place, "file", O_RDONLY);
	off_t found = fd < 0 ? -1 : lseek(fd, 0, SEEK_HOLE);
	int r = found < 0 ? -errno : found < SIZE ? SHORT : 0;

	return closing(fd, r);
}

static int copy_range(struct place *place)
{
	int in = open_in(place, "file", O_RDONLY);
	int out = in < 0 ? -1 : open_in(place, "other", O_WRONLY);
	ssize_t n = -1;
	int r;

	if (out >= 0)
		n = copy_file_range(in, NULL, out, NULL, COPIED, 0);
	r = n < 0 ? -errno : n == COPIED ? 0 : SHORT;
	return closing(in, closing(out, r));
}

static int sync_file(struct place *place)
{
	int fd = open_in(place, "file", O_RDWR);

	return on(fd, fd < 0 ? -1 : fsync(fd));
}

static int sync_data(struct place *place)
{
	int fd = open_in(place, "file", O_RDWR);

	return on(fd, fd < 0 ? -1 : fdatasync(fd));
}

/* Both handles are told of an error, once; without one there is none. */
static int sync_two_handles(struct place *place)
{
	int one = open_in(place, "file", O_RDWR);
	int two = one < 0 ? -1 : open_in(place, "file", O_RDWR);
	int r = result(two);
	int again = 0;

	if (r == 0) {
		r = result(fsync(one));
		again = result(fsync(two));
		if ((r == -EIO || r == -ENOSPC) && again != r)
			r = SHORT;
		else if (r == 0)
			r = again;
	}
	return closing(one, closing(two, r));
}

/* ---- the list ---------------------------------------------------------- */

__attribute__((constructor)) static void prepare(void)
{
	fill_bytes();
}

const struct step steps[] = {
	{ "a_look_up", a_file, look_up, 0 },
	{ "a_look_up_of_nothing", nothing, look_up_missing, 0 },
	{ "create", nothing, create, 0 },
	{ "create_by_a_user", nothing, create, step_by_user },
	{ "create_of_a_setgid_file", nothing, create_setgid, step_by_user },
	{ "create_of_a_file_that_is_there", a_file_made_behind, create_there,
	  step_by_user },
	{ "mknod", nothing, make_node, 0 },
	{ "mkdir", nothing, make_directory, step_by_user },
	{ "rmdir", a_directory, remove_directory, 0 },
	{ "rmdir_of_a_held_directory", a_directory, rmdir_held_by_path,
	  step_goes_on },
	{ "symlink", nothing, make_symlink, 0 },
	{ "readlink", a_link, read_link, 0 },
	{ "link", a_file, make_link, 0 },
	{ "unlink", a_file, unlink_it, 0 },
	{ "unlink_of_an_open_file", a_file, unlink_open,
	  step_goes_on },
	{ "unlink_of_a_held_file", a_file, unlink_held_by_path,
	  step_goes_on },
	{ "rename", a_file, rename_it, 0 },
	{ "rename_over_a_file", two_files, rename_over, 0 },
	{ "rename_exchange", two_files, rename_exchange, 0 },
	{ "rename_noreplace", a_file, rename_noreplace, 0 },
	{ "O_TMPFILE_and_linkat", nothing, temporary_file, 0 },
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
	{ "readdir", many_files, read_directory, 0 },
	{ "a_fsync_of_a_directory", nothing, sync_directory, 0 },
	{ "read", a_file, read_file, 0 },
	{ "write_in_place", a_file, write_in_place, 0 },
	{ "write_in_place_by_a_user", a_file, write_in_place, step_by_user },
	{ "write_to_a_setuid_file", a_setuid_file, write_in_place,
	  step_by_user | step_setuid },
	{ "write_to_a_file_with_capabilities", a_file_with_capabilities,
	  write_in_place, step_by_user | step_partial },
	{ "write_of_pages", a_file, write_pages, step_partial },
	{ "an_extending_write", a_file, write_extending, 0 },
	{ "an_appending_write", a_file, write_appending, 0 },
	{ "write_after_reading", a_file, write_after_reading, 0 },
	{ "a_direct_read", a_file, direct_read, 0 },
	{ "a_direct_write", a_file, direct_write, 0 },
	{ "a_mapped_write", a_file, mapped_write, step_partial },
	{ "fallocate", a_file, preallocate, 0 },
	{ "fallocate_of_a_setuid_file", a_setuid_file, preallocate,
	  step_by_user | step_setuid },
	{ "a_punched_hole", a_file, punch_hole, 0 },
	{ "lseek", a_file_with_a_hole, seek_hole, 0 },
	{ "copy_file_range", two_files, copy_range, 0 },
	{ "fsync", a_file, sync_file, 0 },
	{ "fdatasync", a_file, sync_data, 0 },
	{ "fsync_of_two_handles", a_file, sync_two_handles, 0 },
};
const unsigned step_count = sizeof(steps) / sizeof(steps[0]);
