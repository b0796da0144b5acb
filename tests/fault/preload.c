// SPDX-License-Identifier: Apache-2.0
/*
 * Preloaded into the daemon: stands between it and the C library, fails the
 * call that the control file names, and counts.
 *
 * A thread serves a request from the read of /dev/fuse that brought it until
 * its next one, or until it waits for being needed. Only calls made in
 * between count, and if asked for those of the main thread. Forgetting is
 * left out: the kernel sends it whenever it likes, and its one allocation is
 * libfuse's.
 *
 * A failing close() closes nevertheless, as the kernel's does.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <unistd.h>

#include "control.h"

#define FUSE_FORGET 2
#define FUSE_BATCH_FORGET 42
#define FUSE_DEVICE makedev(10, 229)
#define BACKING_GROUP 229

static struct fault_control *control;
static _Thread_local bool serving;
static _Thread_local uint32_t opcode;

/* ---- the real functions ------------------------------------------------ */

/*
 * dlsym(3) may allocate before there is an allocator to hand on to; those
 * few blocks are never given back.
 */
static _Alignas(16) char early[65536];
static _Atomic size_t early_used;
static _Thread_local bool resolving;

static void *early_block(size_t size)
{
	size_t need = (size + 15) & ~(size_t)15;
	size_t at = atomic_fetch_add(&early_used, need);

	return at + need <= sizeof(early) ? early + at : NULL;
}

static bool is_early(const void *block)
{
	return (const char *)block >= early &&
	       (const char *)block < early + sizeof(early);
}

/* The variant with 64 bit offsets where there are two. */
static void *resolve(const char *name)
{
	char wide[64];
	void *found;

	resolving = true;
	snprintf(wide, sizeof(wide), "%s64", name);
	found = dlsym(RTLD_NEXT, wide);
	if (!found)
		found = dlsym(RTLD_NEXT, name);
	resolving = false;
	return found;
}

/* A pointer to the function that a hook stands for. */
#define REAL(name)                                                       \
	({                                                               \
		static __typeof__(hook_##name) *_Atomic real_function;   \
		__typeof__(hook_##name) *now = real_function;            \
		if (!now) {                                              \
			now = (__typeof__(hook_##name) *)resolve(#name); \
			real_function = now;                             \
		}                                                        \
		now;                                                     \
	})

/* A hook is static and exported under the names it takes the place of. */
#define HOOK __attribute__((used)) static
#define EXPORT(hook, symbol)                                 \
	extern __typeof__(hook_##hook) exported_##symbol     \
		__asm__(#symbol) __attribute__((alias("hook_" #hook)));
#define EXPORT_WIDE(hook) EXPORT(hook, hook) EXPORT(hook, hook##64)

static bool open_has_mode(int flags)
{
	return (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE;
}

/* ---- counting and failing ---------------------------------------------- */

__attribute__((constructor)) static void attach(void)
{
	const char *path = getenv("FAULT_CONTROL");
	long fd;
	long at;

	if (!path)
		return;
	fd = syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0);
	if (fd < 0)
		return;
	at = syscall(SYS_mmap, NULL, sizeof(*control), PROT_READ | PROT_WRITE,
		     MAP_SHARED, fd, 0);
	syscall(SYS_close, fd);
	if (at != -1)
		control = (struct fault_control *)at;
}

static bool counts(void)
{
	if (!control || !control->counting)
		return false;
	if (serving)
		return opcode != FUSE_FORGET && opcode != FUSE_BATCH_FORGET;
	return control->main_thread && getpid() == (pid_t)syscall(SYS_gettid);
}

/* True, with errno set, when this call is to fail. */
static bool fails(enum fault_function function)
{
	uint32_t served = FAULT_MAIN;
	uint32_t number, position;

	if (!counts())
		return false;
	if (serving && opcode < FAULT_OPCODES)
		served = opcode;
	number = atomic_fetch_add(&control->seen[function][served], 1);
	position = atomic_fetch_add(&control->traced, 1);
	if (position < FAULT_TRACE_MAX)
		control->trace[position] = (struct fault_call){
			.function = (uint8_t)function,
			.opcode = (uint8_t)served,
		};
	if (!control->armed || control->function != (int)function ||
	    control->opcode != (int)served || number < control->number ||
	    (number > control->number && !control->lasting))
		return false;
	control->fired++;
	errno = control->error;
	return true;
}

/* A result of -1 on failure, else what the real function says. */
#define PASS_AS(family, name, ...) \
	(fails(fault_##family) ? -1 : REAL(name)(__VA_ARGS__))
#define PASS(name, ...) PASS_AS(name, name, __VA_ARGS__)

/* ---- requests ---------------------------------------------------------- */

static bool is_fuse_device(int fd)
{
	static _Atomic int device = -1;
	struct stat st;

	if (fd == device)
		return true;
	if (device >= 0 || syscall(SYS_fstat, fd, &st) < 0 ||
	    !S_ISCHR(st.st_mode) || st.st_rdev != FUSE_DEVICE)
		return false;
	device = fd;
	return true;
}

static void done_serving(void)
{
	if (serving)
		control->busy--;
	serving = false;
}

/* A worker that is not needed now waits so, instead of for a request. */
HOOK int hook_pthread_cond_wait(pthread_cond_t *condition,
				pthread_mutex_t *mutex)
{
	done_serving();
	return REAL(pthread_cond_wait)(condition, mutex);
}
EXPORT(pthread_cond_wait, pthread_cond_wait)

HOOK ssize_t hook_read(int fd, void *buffer, size_t size)
{
	ssize_t n;

	if (!control || !is_fuse_device(fd))
		return PASS(read, fd, buffer, size);
	done_serving();
	n = REAL(read)(fd, buffer, size);
	if (n >= 8) {
		memcpy(&opcode, (char *)buffer + 4, sizeof(opcode));
		serving = true;
		control->busy++;
	}
	return n;
}
EXPORT(read, read)

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

/* ---- attributes -------------------------------------------------------- */

HOOK int hook_fstat(int fd, struct stat *st)
{
	return PASS(fstat, fd, st);
}
EXPORT_WIDE(fstat)

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

/* ---- data -------------------------------------------------------------- */

HOOK ssize_t hook_pread(int fd, void *buffer, size_t size, off_t offset)
{
	return PASS(pread, fd, buffer, size, offset);
}
EXPORT_WIDE(pread)

/* Not resolve()'s way of naming: the 64 stands in the middle. */
HOOK ssize_t hook_pwritev64v2(int fd, const struct iovec *parts, int count,
			      off_t offset, int flags)
{
	if (fails(fault_pwritev2))
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

HOOK int hook_fsync(int fd)
{
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

/* ---- memory ------------------------------------------------------------ */

/* What the daemon retires it has freed in batches: here ends one. */
struct rcu_head;

HOOK void hook_urcu_memb_call_rcu(struct rcu_head *head,
				  void (*function)(struct rcu_head *head))
{
	if (control)
		control->grace_periods++;
	REAL(urcu_memb_call_rcu)(head, function);
}
EXPORT(urcu_memb_call_rcu, urcu_memb_call_rcu)

#define MAPPINGS_MAX 4096
static void *_Atomic mapped[MAPPINGS_MAX];

static void note_mapping(void *base)
{
	for (unsigned i = 0; i < MAPPINGS_MAX; i++) {
		void *none = NULL;

		if (!mapped[i] &&
		    atomic_compare_exchange_strong(&mapped[i], &none, base)) {
			control->mappings++;
			return;
		}
	}
	abort();
}

static void forget_mapping(void *base)
{
	for (unsigned i = 0; i < MAPPINGS_MAX; i++) {
		void *this = base;

		if (atomic_compare_exchange_strong(&mapped[i], &this, NULL)) {
			control->mappings--;
			return;
		}
	}
}

HOOK void *hook_mmap(void *at, size_t size, int protection, int flags, int fd,
		     off_t offset)
{
	void *base;

	if (fails(fd < 0 ? fault_mmap_memory : fault_mmap_file))
		return MAP_FAILED;
	base = REAL(mmap)(at, size, protection, flags, fd, offset);
	if (control && fd >= 0 && base != MAP_FAILED)
		note_mapping(base);
	return base;
}
EXPORT_WIDE(mmap)

HOOK int hook_munmap(void *base, size_t size)
{
	if (control)
		forget_mapping(base);
	return REAL(munmap)(base, size);
}
EXPORT(munmap, munmap)

static void *counted(void *block)
{
	if (control && block)
		control->blocks++;
	return block;
}

HOOK void *hook_malloc(size_t size)
{
	if (resolving)
		return early_block(size);
	return fails(fault_malloc) ? NULL : counted(REAL(malloc)(size));
}
EXPORT(malloc, malloc)

HOOK void *hook_calloc(size_t count, size_t size)
{
	if (resolving)
		return early_block(count * size); /* zero, used once */
	return fails(fault_calloc) ? NULL : counted(REAL(calloc)(count, size));
}
EXPORT(calloc, calloc)

HOOK void *hook_realloc(void *block, size_t size)
{
	if (is_early(block)) {
		void *copy = hook_malloc(size);
		size_t room = (size_t)(early + sizeof(early) - (char *)block);

		if (copy)
			memcpy(copy, block, size < room ? size : room);
		return copy;
	}
	if (!block)
		return hook_malloc(size);
	return REAL(realloc)(block, size);
}
EXPORT(realloc, realloc)

HOOK void hook_free(void *block)
{
	if (!block || is_early(block))
		return;
	/* Of blocks allocated before attach() a few are freed uncounted. */
	if (control)
		control->blocks--;
	REAL(free)(block);
}
EXPORT(free, free)
