// SPDX-License-Identifier: Apache-2.0
/*
 * Names and directories: what is in one, made, moved and removed.
 */
#include "steps.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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

const struct step name_steps[] = {
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
	{ "readdir", many_files, read_directory, 0 },
	{ "a_fsync_of_a_directory", nothing, sync_directory, 0 },
	{ 0 },
};
