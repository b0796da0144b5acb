// SPDX-License-Identifier: Apache-2.0
/*
 * Preloaded: calls on files and names. A failing close() closes nevertheless,
 * as the kernel's does.
 */
#include "preload.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <unistd.h>

#define BACKING_GROUP 229

static bool open_has_mode(int flags)
{
	return (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE;
}

/* ---- descriptors ------------------------------------------------------- */

HOOK int hook_openat(int at, const char *path, int flags, ...)
{
	mode_t mode = 0;
	va_list arguments;

	va_start(arguments, flags);
	if (open_has_mode(flags))
		mode = va_arg(arguments, mode_t);
	va_end(arguments);
	return PASS(openat, at, path, flags, mode);
}
EXPORT_WIDE(openat)

HOOK int hook_open(const char *path, int flags, ...)
{
	mode_t mode = 0;
	va_list arguments;

	va_start(arguments, flags);
	if (open_has_mode(flags))
		mode = va_arg(arguments, mode_t);
	va_end(arguments);
	return PASS(open, path, flags, mode);
}
EXPORT_WIDE(open)

/*
 * FAULT_NO_HANDLES: a store whose file system makes no handles.
 */
static bool without_handles(void)
{
	static _Atomic int without = -1;

	if (without < 0)
		without = getenv("FAULT_NO_HANDLES") != NULL;
	if (without)
		errno = EOPNOTSUPP;
	return without;
}

HOOK int hook_open_by_handle_at(int at, struct file_handle *handle, int flags)
{
	if (without_handles())
		return -1;
	return PASS(open_by_handle_at, at, handle, flags);
}
EXPORT(open_by_handle_at, open_by_handle_at)

HOOK int hook_name_to_handle_at(int at, const char *path,
				struct file_handle *handle, int *mount,
				int flags)
{
	if (without_handles())
		return -1;
	return PASS(name_to_handle_at, at, path, handle, mount, flags);
}
EXPORT(name_to_handle_at, name_to_handle_at)

HOOK int hook_dup3(int from, int to, int flags)
{
	return PASS(dup3, from, to, flags);
}
EXPORT(dup3, dup3)

HOOK int hook_close(int fd)
{
	bool failing = fails(fault_close);
	int error = errno;
	int r = REAL(close)(fd);

	if (!failing)
		return r;
	errno = error;
	return -1;
}
EXPORT(close, close)

HOOK FILE *hook_fopen(const char *path, const char *mode)
{
	return fails(fault_fopen) ? NULL : REAL(fopen)(path, mode);
}
EXPORT_WIDE(fopen)

HOOK DIR *hook_opendir(const char *path)
{
	return fails(fault_open) ? NULL : REAL(opendir)(path);
}
EXPORT(opendir, opendir)

HOOK DIR *hook_fdopendir(int fd)
{
	return fails(fault_open) ? NULL : REAL(fdopendir)(fd);
}
EXPORT(fdopendir, fdopendir)

/* NULL with errno as it was is the end. */
HOOK struct dirent *hook_readdir(DIR *directory)
{
	return fails(fault_getdents64) ? NULL : REAL(readdir)(directory);
}
EXPORT_WIDE(readdir)

HOOK int hook_flock(int fd, int operation)
{
	return PASS(flock, fd, operation);
}
EXPORT(flock, flock)

/* Of its commands only those that the kernel may refuse. */
HOOK int hook_fcntl(int fd, int command, ...)
{
	va_list arguments;
	long argument;

	va_start(arguments, command);
	argument = va_arg(arguments, long);
	va_end(arguments);
	if (command == F_DUPFD_CLOEXEC && fails(fault_dup3))
		return -1;
	if (command == F_SETLEASE && argument != F_UNLCK && fails(fault_lease))
		return -1;
	return REAL(fcntl)(fd, command, argument);
}
EXPORT_WIDE(fcntl)

/* ---- attributes -------------------------------------------------------- */

HOOK int hook_fstat(int fd, struct stat *st)
{
	return PASS(fstat, fd, st);
}
EXPORT_WIDE(fstat)

HOOK int hook_stat(const char *path, struct stat *st)
{
	return PASS_AS(fstat, stat, path, st);
}
EXPORT_WIDE(stat)

HOOK int hook_fstatat(int at, const char *path, struct stat *st, int flags)
{
	return PASS_AS(fstat, fstatat, at, path, st, flags);
}
EXPORT_WIDE(fstatat)

HOOK int hook_statx(int at, const char *path, int flags, unsigned mask,
		    struct statx *stx)
{
	return PASS(statx, at, path, flags, mask, stx);
}
EXPORT(statx, statx)

HOOK int hook_fstatvfs(int fd, struct statvfs *st)
{
	return PASS(fstatvfs, fd, st);
}
EXPORT_WIDE(fstatvfs)

HOOK int hook_fstatfs(int fd, struct statfs *st)
{
	return PASS_AS(fstatvfs, fstatfs, fd, st);
}
EXPORT_WIDE(fstatfs)

HOOK int hook_chmod(const char *path, mode_t mode)
{
	return PASS(chmod, path, mode);
}
EXPORT(chmod, chmod)

HOOK int hook_fchmod(int fd, mode_t mode)
{
	return PASS_AS(chmod, fchmod, fd, mode);
}
EXPORT(fchmod, fchmod)

HOOK int hook_fchmodat(int at, const char *path, mode_t mode, int flags)
{
	return PASS_AS(chmod, fchmodat, at, path, mode, flags);
}
EXPORT(fchmodat, fchmodat)

HOOK int hook_fchownat(int at, const char *path, uid_t uid, gid_t gid,
		       int flags)
{
	return PASS(fchownat, at, path, uid, gid, flags);
}
EXPORT(fchownat, fchownat)

HOOK int hook_utimensat(int at, const char *path,
			const struct timespec *times, int flags)
{
	return PASS_AS(utimens, utimensat, at, path, times, flags);
}
EXPORT(utimensat, utimensat)

HOOK int hook_futimens(int fd, const struct timespec *times)
{
	return PASS_AS(utimens, futimens, fd, times);
}
EXPORT(futimens, futimens)

HOOK ssize_t hook_getxattr(const char *path, const char *name, void *value,
			   size_t size)
{
	return PASS(getxattr, path, name, value, size);
}
EXPORT(getxattr, getxattr)

HOOK ssize_t hook_fgetxattr(int fd, const char *name, void *value, size_t size)
{
	return PASS_AS(getxattr, fgetxattr, fd, name, value, size);
}
EXPORT(fgetxattr, fgetxattr)

HOOK int hook_setxattr(const char *path, const char *name, const void *value,
		       size_t size, int flags)
{
	return PASS(setxattr, path, name, value, size, flags);
}
EXPORT(setxattr, setxattr)

HOOK int hook_fsetxattr(int fd, const char *name, const void *value,
			size_t size, int flags)
{
	return PASS_AS(setxattr, fsetxattr, fd, name, value, size, flags);
}
EXPORT(fsetxattr, fsetxattr)

HOOK ssize_t hook_listxattr(const char *path, char *names, size_t size)
{
	return PASS(listxattr, path, names, size);
}
EXPORT(listxattr, listxattr)

HOOK ssize_t hook_flistxattr(int fd, char *names, size_t size)
{
	return PASS_AS(listxattr, flistxattr, fd, names, size);
}
EXPORT(flistxattr, flistxattr)

HOOK int hook_removexattr(const char *path, const char *name)
{
	return PASS(removexattr, path, name);
}
EXPORT(removexattr, removexattr)

HOOK int hook_fremovexattr(int fd, const char *name)
{
	return PASS_AS(removexattr, fremovexattr, fd, name);
}
EXPORT(fremovexattr, fremovexattr)

/* ---- names ------------------------------------------------------------- */

HOOK int hook_mkdirat(int at, const char *path, mode_t mode)
{
	return PASS(mkdirat, at, path, mode);
}
EXPORT(mkdirat, mkdirat)

HOOK int hook_mknodat(int at, const char *path, mode_t mode, dev_t device)
{
	return PASS(mknodat, at, path, mode, device);
}
EXPORT(mknodat, mknodat)

HOOK int hook_symlinkat(const char *target, int at, const char *path)
{
	return PASS(symlinkat, target, at, path);
}
EXPORT(symlinkat, symlinkat)

HOOK int hook_linkat(int from, const char *path, int to, const char *name,
		     int flags)
{
	return PASS(linkat, from, path, to, name, flags);
}
EXPORT(linkat, linkat)

HOOK int hook_unlinkat(int at, const char *path, int flags)
{
	return PASS(unlinkat, at, path, flags);
}
EXPORT(unlinkat, unlinkat)

HOOK int hook_renameat(int from, const char *path, int to, const char *name)
{
	return PASS_AS(renameat2, renameat, from, path, to, name);
}
EXPORT(renameat, renameat)

HOOK int hook_renameat2(int from, const char *path, int to, const char *name,
			unsigned flags)
{
	return PASS(renameat2, from, path, to, name, flags);
}
EXPORT(renameat2, renameat2)

HOOK ssize_t hook_readlinkat(int at, const char *path, char *target,
			     size_t size)
{
	return PASS(readlinkat, at, path, target, size);
}
EXPORT(readlinkat, readlinkat)

HOOK ssize_t hook_readlink(const char *path, char *target, size_t size)
{
	return PASS_AS(readlinkat, readlink, path, target, size);
}
EXPORT(readlink, readlink)

/* ---- data -------------------------------------------------------------- */

HOOK ssize_t hook_pread(int fd, void *buffer, size_t size, off_t offset)
{
	return PASS(pread, fd, buffer, size, offset);
}
EXPORT_WIDE(pread)

HOOK ssize_t hook_preadv(int fd, const struct iovec *parts, int count,
			 off_t offset)
{
	return PASS_AS(pread, preadv, fd, parts, count, offset);
}
EXPORT_WIDE(preadv)

static bool is_journal(int fd)
{
	static const char end[] = "/.msyncfs/journal";
	char link[64];
	char path[4096];
	long n;

	if (!control || !control->all_threads)
		return false;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = syscall(SYS_readlink, link, path, sizeof(path));
	return n >= (long)sizeof(end) &&
	       memcmp(path + n - (sizeof(end) - 1), end, sizeof(end) - 1) == 0;
}

static bool write_fails(int fd)
{
	return fails(is_journal(fd) ? fault_write_journal : fault_pwritev2);
}

HOOK ssize_t hook_pwrite(int fd, const void *buffer, size_t size,
			 off_t offset)
{
	if (write_fails(fd))
		return -1;
	return REAL(pwrite)(fd, buffer, size, offset);
}
EXPORT_WIDE(pwrite)

HOOK ssize_t hook_pwritev(int fd, const struct iovec *parts, int count,
			  off_t offset)
{
	if (write_fails(fd))
		return -1;
	return REAL(pwritev)(fd, parts, count, offset);
}
EXPORT_WIDE(pwritev)

/* Not resolve()'s way of naming: the 64 stands in the middle. */
HOOK ssize_t hook_pwritev64v2(int fd, const struct iovec *parts, int count,
			      off_t offset, int flags)
{
	if (write_fails(fd))
		return -1;
	return REAL(pwritev64v2)(fd, parts, count, offset, flags);
}
EXPORT(pwritev64v2, pwritev2)
EXPORT(pwritev64v2, pwritev64v2)

HOOK int hook_ftruncate(int fd, off_t size)
{
	return PASS_AS(truncate, ftruncate, fd, size);
}
EXPORT_WIDE(ftruncate)

HOOK int hook_truncate(const char *path, off_t size)
{
	return PASS(truncate, path, size);
}
EXPORT_WIDE(truncate)

HOOK int hook_fallocate(int fd, int mode, off_t offset, off_t length)
{
	return PASS(fallocate, fd, mode, offset, length);
}
EXPORT_WIDE(fallocate)

/* Tells the error by its result. */
HOOK int hook_posix_fallocate(int fd, off_t offset, off_t length)
{
	int before = errno;
	int error = 0;

	if (fails(fault_fallocate)) {
		error = errno;
		errno = before;
		return error;
	}
	return REAL(posix_fallocate)(fd, offset, length);
}
EXPORT_WIDE(posix_fallocate)

HOOK ssize_t hook_copy_file_range(int in, off_t *in_offset, int out,
				  off_t *out_offset, size_t size,
				  unsigned flags)
{
	return PASS(copy_file_range, in, in_offset, out, out_offset, size,
		    flags);
}
EXPORT(copy_file_range, copy_file_range)

HOOK off_t hook_lseek(int fd, off_t offset, int whence)
{
	return PASS(lseek, fd, offset, whence);
}
EXPORT_WIDE(lseek)

static bool is_file(int fd)
{
	struct stat st;

	return syscall(SYS_fstat, fd, &st) == 0 && S_ISREG(st.st_mode);
}

HOOK int hook_fsync(int fd)
{
	if (control && control->all_threads && is_file(fd))
		return PASS_AS(fsync_file, fsync, fd);
	return PASS(fsync, fd);
}
EXPORT(fsync, fsync)

HOOK int hook_fdatasync(int fd)
{
	return PASS(fdatasync, fd);
}
EXPORT(fdatasync, fdatasync)

HOOK int hook_syncfs(int fd)
{
	return PASS(syncfs, fd);
}
EXPORT(syncfs, syncfs)

HOOK int hook_sync_file_range(int fd, off_t offset, off_t length,
			      unsigned flags)
{
	return PASS(sync_file_range, fd, offset, length, flags);
}
EXPORT(sync_file_range, sync_file_range)

/* Tells the error by its result. */
HOOK int hook_posix_fadvise(int fd, off_t offset, off_t length, int advice)
{
	int before = errno;
	int error = 0;

	if (fails(fault_posix_fadvise)) {
		error = errno;
		errno = before;
		return error;
	}
	return REAL(posix_fadvise)(fd, offset, length, advice);
}
EXPORT_WIDE(posix_fadvise)

/* ---- control calls ----------------------------------------------------- */

HOOK int hook_ioctl(int fd, unsigned long request, ...)
{
	bool backing = _IOC_TYPE(request) == BACKING_GROUP;
	va_list arguments;
	void *argument;
	int r;

	va_start(arguments, request);
	argument = va_arg(arguments, void *);
	va_end(arguments);
	if (backing && _IOC_NR(request) == 1 && fails(fault_backing_open))
		return -1;
	if (!backing && fails(fault_ioctl))
		return -1;
	r = REAL(ioctl)(fd, request, argument);
	if (control && backing && _IOC_NR(request) == 1 && r > 0)
		control->backings++;
	if (control && backing && _IOC_NR(request) == 2 && r == 0)
		control->backings--;
	return r;
}
EXPORT(ioctl, ioctl)

/* Which calls the C library has no function for; -1: not of the store. */
static int function_of_call(long number)
{
	switch (number) {
	case SYS_getdents64:
		return fault_getdents64;
	case SYS_capset:
		return fault_capset;
	case SYS_setgroups:
		return fault_setgroups;
	case 434: /* pidfd_open */
		return fault_open;
	case 440: /* process_madvise */
		return fault_madvise;
	case 451:
		return fault_cachestat;
	case 452: /* fchmodat2 */
		return fault_chmod;
	case 463: /* setxattrat */
		return fault_setxattr;
	case 464: /* getxattrat */
		return fault_getxattr;
	case 465: /* listxattrat */
		return fault_listxattr;
	case 466: /* removexattrat */
		return fault_removexattr;
	default:
		return -1;
	}
}

HOOK long hook_syscall(long number, ...)
{
	int function = function_of_call(number);
	long a[6];
	va_list arguments;

	va_start(arguments, number);
	for (unsigned i = 0; i < 6; i++)
		a[i] = va_arg(arguments, long);
	va_end(arguments);
	if (function >= 0 && fails((enum fault_function)function))
		return -1;
	return REAL(syscall)(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
EXPORT(syscall, syscall)
