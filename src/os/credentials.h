/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whose rights a worker thread works with.
 *
 * The kernel has checked every request already (default_permissions, with
 * the caller's ids, groups, ACLs and capabilities), so a thread keeps the
 * capabilities that override permissions. What it takes over is what the
 * store's file system decides from the one who asks: the owner of a new
 * file, whether setuid and setgid bits survive, and whose limits bind.
 *
 * A thread changes its credentials only when the next operation needs others
 * than it has; it never gives them back for an operation that doesn't care.
 *
 * A daemon without CAP_SETUID (a plain user's) works as itself: every call
 * here but the umask does nothing.
 */
#ifndef MSYNCFS_OS_CREDENTIALS_H
#define MSYNCFS_OS_CREDENTIALS_H

#include <stdbool.h>
#include <sys/types.h>

/* Who sent a request. */
struct caller {
	uid_t uid;
	gid_t gid;
	pid_t pid; /* 0 when it can't be told in our pid namespace */
	/* The kernel asks that setuid and setgid be cleared (KILLPRIV_V2). */
	bool kill_privileges;
};

/* Learns what this process may do. Once, before any thread. */
void credentials_init(void);

/* True when threads can take over a caller's ids. */
bool credentials_can_switch(void);

/* True when this process may register backing files (CAP_SYS_ADMIN). */
bool credentials_can_passthrough(void);

/* True when RLIMIT_MEMLOCK doesn't bind this process (CAP_IPC_LOCK). */
bool credentials_can_lock(void);

/*
 * The calling thread gets an umask of its own (unshare(2), CLONE_FS) and the
 * daemon's credentials without its supplementary groups. 0 or -errno.
 */
int credentials_thread_init(void);

/*
 * As the caller: file system ids, and for anyone but root no CAP_FSETID and
 * no CAP_SYS_RESOURCE, so that bits are cleared and limits bind. 0 or -errno.
 */
int credentials_assume(const struct caller *caller);

/* The same with the caller's supplementary groups, read from /proc. */
int credentials_assume_with_groups(const struct caller *caller);

/*
 * For a file whose setuid and setgid bits the store is to clear at a write:
 * as the caller with groups when the request says so, as the daemon when the
 * caller's CAP_FSETID keeps them.
 */
int credentials_assume_for_write(const struct caller *caller);

/*
 * What the kernel is to write with on the kernel path, for the inode's first
 * opener: the file system's own clearing of setuid bits must act, so never
 * CAP_FSETID.
 */
int credentials_assume_for_backing(const struct caller *caller);

/*
 * May the caller open this file with these flags (open(2))? For files that
 * the kernel has not checked: tried with the caller's ids and groups and, for
 * anyone but root, no capabilities. 0 or -errno. Nothing is truncated.
 */
int credentials_check_open(const struct caller *caller, int directory,
			   const char *name, int flags);

/*
 * For operations that don't care whose rights a thread has as long as it has
 * some: makes good a change that failed half way. Costs nothing otherwise.
 */
int credentials_ensure(void);

/* As the daemon itself, with all it has. */
int credentials_restore(void);

/* This thread's umask from now on. */
void credentials_umask(mode_t mask);

#endif
