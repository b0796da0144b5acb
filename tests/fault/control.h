/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the driver and the preloaded library share: a mapped file. The driver
 * says which call is to fail, the library counts and reports.
 *
 * A call is named by the function, the FUSE request that the daemon serves
 * with it (FAULT_MAIN: the main thread, at start and end) and its number
 * among those. Threads that serve no request but sync or load for later are
 * FAULT_BACKGROUND; with all_threads everything counts that threads of the
 * daemon's own do there, as for commits.
 */
#ifndef MSYNCFS_TESTS_FAULT_CONTROL_H
#define MSYNCFS_TESTS_FAULT_CONTROL_H

#include <stdatomic.h>
#include <stdint.h>

/*
 * The functions that can be failed, with the errnos that fit them. Those that
 * do the same to a path and to a descriptor count as one. With all_threads,
 * fsync of a regular file is one of its own, and so is writing to the journal.
 */
#define FAULT_FUNCTIONS(X)                          \
	X(openat, EMFILE, EIO, ENOMEM)              \
	X(open, EMFILE, EIO, ENOMEM)                \
	X(open_by_handle_at, ESTALE, EMFILE, EIO)   \
	X(name_to_handle_at, EIO, ENOMEM, 0)        \
	X(fstat, EIO, ESTALE, 0)                    \
	X(statx, EIO, ENOMEM, 0)                    \
	X(fstatvfs, EIO, 0, 0)                      \
	X(read, EIO, ENOMEM, 0)                     \
	X(pread, EIO, 0, 0)                         \
	X(pwritev2, ENOSPC, EIO, EDQUOT)            \
	X(write_journal, EIO, ENOSPC, 0)            \
	X(truncate, EIO, ENOSPC, 0)                 \
	X(fallocate, ENOSPC, EIO, 0)                \
	X(flock, ENOLCK, EINTR, 0)                  \
	X(copy_file_range, ENOSPC, EIO, 0)          \
	X(fsync, EIO, ENOSPC, 0)                    \
	X(fsync_file, EIO, ENOSPC, 0)               \
	X(fdatasync, EIO, ENOSPC, 0)                \
	X(syncfs, EIO, ENOSPC, 0)                   \
	X(sync_file_range, EIO, ENOSPC, 0)          \
	X(msync, EIO, ENOSPC, 0)                    \
	X(cachestat, EIO, EOPNOTSUPP, 0)            \
	X(posix_fadvise, EIO, EINVAL, 0)            \
	X(lease, EAGAIN, ENOMEM, EINVAL)            \
	X(getxattr, EIO, ENOMEM, 0)                 \
	X(setxattr, ENOSPC, EIO, 0)                 \
	X(listxattr, EIO, ENOMEM, 0)                \
	X(removexattr, EIO, ENOSPC, 0)              \
	X(chmod, EIO, EROFS, 0)                     \
	X(fchownat, EIO, EDQUOT, 0)                 \
	X(utimens, EIO, EROFS, 0)                   \
	X(mkdirat, ENOSPC, EIO, 0)                  \
	X(mknodat, ENOSPC, EIO, 0)                  \
	X(symlinkat, ENOSPC, EIO, 0)                \
	X(linkat, EMLINK, EIO, 0)                   \
	X(unlinkat, EIO, EROFS, 0)                  \
	X(renameat2, ENOSPC, EIO, 0)                \
	X(readlinkat, EIO, ENOMEM, 0)               \
	X(lseek, EIO, 0, 0)                         \
	X(dup3, EMFILE, 0, 0)                       \
	X(close, EIO, EDQUOT, 0)                    \
	X(fopen, EMFILE, ENOMEM, 0)                 \
	X(getdents64, EIO, ENOMEM, 0)               \
	X(capset, EPERM, 0, 0)                      \
	X(setgroups, ENOMEM, 0, 0)                  \
	X(backing_open, ENOMEM, EIO, EPERM)         \
	X(ioctl, EIO, ENOTTY, 0)                    \
	X(mmap_file, ENOMEM, ENODEV, EACCES)        \
	X(mmap_memory, ENOMEM, 0, 0)                \
	X(mremap, ENOMEM, EAGAIN, 0)                \
	X(madvise, EIO, ENOMEM, EFAULT)             \
	X(mincore, EAGAIN, ENOMEM, 0)               \
	X(mlock2, ENOMEM, EAGAIN, 0)                \
	X(memfd_create, EMFILE, ENOMEM, 0)          \
	X(pthread_create, EAGAIN, 0, 0)             \
	X(malloc, ENOMEM, 0, 0)                     \
	X(realloc, ENOMEM, 0, 0)                    \
	X(calloc, ENOMEM, 0, 0)

enum fault_function {
#define X(name, ...) fault_##name,
	FAULT_FUNCTIONS(X)
#undef X
	fault_functions
};

#define FAULT_OPCODES 64
#define FAULT_MAIN 0
#define FAULT_BACKGROUND 63
#define FAULT_TRACE_MAX 16384

struct fault_call {
	uint8_t function;
	uint8_t opcode;
};

struct fault_control {
	/* Set by the driver. Calls are counted only while counting is set. */
	_Atomic int counting;
	_Atomic int main_thread; /* count its calls, at opcode 0 */
	_Atomic int all_threads;
	_Atomic int armed;
	int function;
	int opcode;
	uint32_t number; /* from 0 */
	int lasting; /* this call and all after it */
	int error;

	/* Set by the library. */
	_Atomic uint32_t fired;
	_Atomic uint32_t seen[fault_functions][FAULT_OPCODES];
	_Atomic uint32_t traced;
	struct fault_call trace[FAULT_TRACE_MAX];

	/* What the daemon holds now. */
	_Atomic int64_t busy; /* requests being served */
	_Atomic int64_t background_busy; /* threads */
	_Atomic int64_t blocks; /* of the heap */
	_Atomic int64_t mappings; /* of files */
	_Atomic int64_t backings; /* registered for the kernel path */
	/* How often it had memory freed after a grace period. */
	_Atomic uint32_t grace_periods;
};

#endif
