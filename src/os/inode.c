// SPDX-License-Identifier: Apache-2.0
/*
 * Each call tries the descriptor itself, then the kernel's newer call with an
 * empty path, then /proc. That a call is missing (ENOSYS) is remembered.
 */
#include "os/inode.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

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

struct inode_path inode_path_of(int fd)
{
	struct inode_path path;

	snprintf(path.text, sizeof(path.text), "/proc/self/fd/%d", fd);
	return path;
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
	if (!no_xattrat &&
	    answered(syscall(CALL_GETXATTRAT, inode->fd, "", AT_EMPTY_PATH,
			     name, &arguments, sizeof(arguments)),
		     &no_xattrat, &r))
		return r;
	struct inode_path path = inode_path_of(inode->fd);
	return result_of(getxattr(path.text, name, value, size));
}

ssize_t inode_listxattr(const struct inode_handle *inode, char *names,
			size_t size)
{
	long r;

	if (inode->opened)
		return result_of(flistxattr(inode->fd, names, size));
	if (!no_xattrat &&
	    answered(syscall(CALL_LISTXATTRAT, inode->fd, "", AT_EMPTY_PATH,
			     names, size),
		     &no_xattrat, &r))
		return r;
	struct inode_path path = inode_path_of(inode->fd);
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
	if (!no_xattrat &&
	    answered(syscall(CALL_SETXATTRAT, inode->fd, "", AT_EMPTY_PATH,
			     name, &arguments, sizeof(arguments)),
		     &no_xattrat, &r))
		return (int)r;
	struct inode_path path = inode_path_of(inode->fd);
	return (int)result_of(setxattr(path.text, name, value, size, flags));
}

int inode_removexattr(const struct inode_handle *inode, const char *name)
{
	long r;

	if (inode->opened)
		return (int)result_of(fremovexattr(inode->fd, name));
	if (!no_xattrat &&
	    answered(syscall(CALL_REMOVEXATTRAT, inode->fd, "", AT_EMPTY_PATH,
			     name),
		     &no_xattrat, &r))
		return (int)r;
	struct inode_path path = inode_path_of(inode->fd);
	return (int)result_of(removexattr(path.text, name));
}
