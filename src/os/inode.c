// SPDX-License-Identifier: Apache-2.0
/*
 * Each call tries the descriptor itself, then the kernel's newer call, then
 * the path in /proc. That a call is missing (ENOSYS) is remembered.
 *
 * The newer calls for extended attributes refuse an O_PATH descriptor with
 * an empty path (EBADF, Linux 6.18), but take the descriptor's name relative
 * to the open directory /proc/self/fd, which saves most of the walk.
 */
#include "os/inode.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "util/cleanup.h"

/* The same numbers on every architecture but alpha (asm-generic/unistd.h). */
#define CALL_FCHMODAT2 452
#define CALL_SETXATTRAT 463
#define CALL_GETXATTRAT 464
#define CALL_LISTXATTRAT 465
#define CALL_REMOVEXATTRAT 466

struct xattr_arguments {
	uint64_t value;
	uint32_t size;
	uint32_t flags;
};

static atomic_bool no_fchmodat2;
static atomic_bool no_empty_utimensat;
static atomic_bool no_xattrat;

#define DESCRIPTORS "/proc/self/fd/"

static int descriptors = -1;

int inode_init(void)
{
	descriptors = open(DESCRIPTORS, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return descriptors < 0 ? -errno : 0;
}

void inode_fini(void)
{
	cleanup_close(&descriptors);
	descriptors = -1;
}

struct inode_path inode_path_of(int fd)
{
	struct inode_path path;

	snprintf(path.text, sizeof(path.text), DESCRIPTORS "%d", fd);
	return path;
}

void inode_read_path(int fd, char path[PATH_MAX])
{
	struct inode_path link = inode_path_of(fd);
	ssize_t n = readlink(link.text, path, PATH_MAX - 1);

	path[n > 0 ? n : 0] = '\0';
}

/* The last part of it, relative to the open directory. */
static const char *name_in(const struct inode_path *path)
{
	return path->text + sizeof(DESCRIPTORS) - 1;
}

static bool has_xattrat(void)
{
	return descriptors >= 0 && !no_xattrat;
}

/* True when the call is there: *r is then its result. */
static bool answered(long result, atomic_bool *missing, long *r)
{
	*r = result < 0 ? -errno : result;
	if (*r != -ENOSYS)
		return true;
	atomic_store(missing, true);
	return false;
}

static long result_of(long result)
{
	return result < 0 ? -errno : result;
}

int inode_look(int fd, struct inode_look *look)
{
	struct statx stx;

	if (statx(fd, "", AT_EMPTY_PATH,
		  STATX_INO | STATX_TYPE | STATX_MODE | STATX_SIZE, &stx) < 0)
		return -errno;
	look->device = makedev(stx.stx_dev_major, stx.stx_dev_minor);
	look->inode = stx.stx_ino;
	look->mode = stx.stx_mode;
	look->size = (off_t)stx.stx_size;
	return 0;
}

int inode_chmod(const struct inode_handle *inode, mode_t mode)
{
	long r;

	if (inode->opened)
		return (int)result_of(fchmod(inode->fd, mode));
	if (!no_fchmodat2 &&
	    answered(syscall(CALL_FCHMODAT2, inode->fd, "", mode,
			     AT_EMPTY_PATH),
		     &no_fchmodat2, &r))
		return (int)r;
	struct inode_path path = inode_path_of(inode->fd);
	return (int)result_of(chmod(path.text, mode));
}

int inode_utimens(const struct inode_handle *inode,
		  const struct timespec times[2])
{
	if (inode->opened)
		return (int)result_of(futimens(inode->fd, times));
	if (!no_empty_utimensat) {
		if (utimensat(inode->fd, "", times, AT_EMPTY_PATH) == 0)
			return 0;
		if (errno != EINVAL && errno != ENOENT)
			return -errno;
		no_empty_utimensat = true;
	}
	struct inode_path path = inode_path_of(inode->fd);
	return (int)result_of(utimensat(AT_FDCWD, path.text, times, 0));
}

int inode_truncate(const struct inode_handle *inode, off_t size)
{
	if (inode->writable)
		return (int)result_of(ftruncate(inode->fd, size));
	struct inode_path path = inode_path_of(inode->fd);
	return (int)result_of(truncate(path.text, size));
}

ssize_t inode_getxattr(const struct inode_handle *inode, const char *name,
		       void *value, size_t size)
{
	struct xattr_arguments arguments = {
		.value = (uintptr_t)value,
		.size = (uint32_t)size,
	};
	long r;

	if (inode->opened)
		return result_of(fgetxattr(inode->fd, name, value, size));
	struct inode_path path = inode_path_of(inode->fd);
	if (has_xattrat() &&
	    answered(syscall(CALL_GETXATTRAT, descriptors, name_in(&path), 0,
			     name, &arguments, sizeof(arguments)),
		     &no_xattrat, &r))
		return r;
	return result_of(getxattr(path.text, name, value, size));
}

ssize_t inode_listxattr(const struct inode_handle *inode, char *names,
			size_t size)
{
	long r;

	if (inode->opened)
		return result_of(flistxattr(inode->fd, names, size));
	struct inode_path path = inode_path_of(inode->fd);
	if (has_xattrat() &&
	    answered(syscall(CALL_LISTXATTRAT, descriptors, name_in(&path), 0,
			     names, size),
		     &no_xattrat, &r))
		return r;
	return result_of(listxattr(path.text, names, size));
}

int inode_setxattr(const struct inode_handle *inode, const char *name,
		   const void *value, size_t size, int flags)
{
	struct xattr_arguments arguments = {
		.value = (uintptr_t)value,
		.size = (uint32_t)size,
		.flags = (uint32_t)flags,
	};
	long r;

	if (inode->opened)
		return (int)result_of(
			fsetxattr(inode->fd, name, value, size, flags));
	struct inode_path path = inode_path_of(inode->fd);
	if (has_xattrat() &&
	    answered(syscall(CALL_SETXATTRAT, descriptors, name_in(&path), 0,
			     name, &arguments, sizeof(arguments)),
		     &no_xattrat, &r))
		return (int)r;
	return (int)result_of(setxattr(path.text, name, value, size, flags));
}

int inode_removexattr(const struct inode_handle *inode, const char *name)
{
	long r;

	if (inode->opened)
		return (int)result_of(fremovexattr(inode->fd, name));
	struct inode_path path = inode_path_of(inode->fd);
	if (has_xattrat() &&
	    answered(syscall(CALL_REMOVEXATTRAT, descriptors, name_in(&path),
			     0, name),
		     &no_xattrat, &r))
		return (int)r;
	return (int)result_of(removexattr(path.text, name));
}
