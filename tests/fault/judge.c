// SPDX-License-Identifier: Apache-2.0
#include "judge.h"

#include <errno.h>
#include <string.h>

#include "control.h"
#include "driver.h"
#include "report.h"

#define ERRNOS 3

enum opcode {
	op_lookup = 1,
	op_getattr = 3,
	op_setattr = 4,
	op_mknod = 8,
	op_mkdir = 9,
	op_unlink = 10,
	op_rmdir = 11,
	op_rename = 12,
	op_link = 13,
	op_open = 14,
	op_read = 15,
	op_write = 16,
	op_release = 18,
	op_fsync = 20,
	op_setxattr = 21,
	op_getxattr = 22,
	op_flush = 25,
	op_opendir = 27,
	op_readdir = 28,
	op_releasedir = 29,
	op_fsyncdir = 30,
	op_create = 35,
	op_fallocate = 43,
	op_readdirplus = 44,
	op_rename2 = 45,
	op_copy = 47,
	op_tmpfile = 51,
	op_background = FAULT_BACKGROUND,
	op_any = -1,
};

static const char *const opcode_names[FAULT_OPCODES] = {
	[1] = "LOOKUP", [3] = "GETATTR", [4] = "SETATTR", [5] = "READLINK",
	[6] = "SYMLINK", [8] = "MKNOD", [9] = "MKDIR", [10] = "UNLINK",
	[11] = "RMDIR", [12] = "RENAME", [13] = "LINK", [14] = "OPEN",
	[15] = "READ", [16] = "WRITE", [17] = "STATFS", [18] = "RELEASE",
	[20] = "FSYNC", [21] = "SETXATTR", [22] = "GETXATTR",
	[23] = "LISTXATTR", [24] = "REMOVEXATTR", [25] = "FLUSH",
	[27] = "OPENDIR", [28] = "READDIR", [29] = "RELEASEDIR",
	[30] = "FSYNCDIR", [34] = "ACCESS", [35] = "CREATE", [39] = "IOCTL",
	[43] = "FALLOCATE", [44] = "READDIRPLUS", [45] = "RENAME2",
	[46] = "LSEEK", [47] = "COPY_FILE_RANGE", [50] = "SYNCFS",
	[51] = "TMPFILE", [52] = "STATX",
	[FAULT_BACKGROUND] = "the background",
};

static const char *const function_names[] = {
#define X(name, ...) #name,
	FAULT_FUNCTIONS(X)
#undef X
};

static const int function_errnos[][ERRNOS] = {
#define X(name, ...) { __VA_ARGS__ },
	FAULT_FUNCTIONS(X)
#undef X
};

/* What may fail unnoticed, and why the client is none the worse. */
static const struct fallback {
	int function;
	int opcode;
	bool once; /* only if the call works the first or the next time */
	unsigned flags; /* only for steps that have one of them; 0: for all */
} fallbacks[] = {
	/* Closed all the same. */
	{ fault_close, op_any, false, 0 },
	/* Goes through the daemon instead. */
	{ fault_capset, op_open, false, 0 },
	{ fault_capset, op_create, false, 0 },
	{ fault_backing_open, op_any, false, 0 },
	/* By pread and pwrite. */
	{ fault_mmap_file, op_read, false, 0 },
	{ fault_mmap_file, op_write, false, 0 },
	/* The region's own record: as if it could not be mapped. */
	{ fault_calloc, op_read, false, 0 },
	{ fault_calloc, op_write, false, 0 },
	/* By pwrite, which moves the times itself. */
	{ fault_utimens, op_write, false, 0 },
	/* Whether the kernel's cached pages are good: taken as not. */
	{ fault_fstat, op_open, true, 0 },
	{ fault_fstat, op_create, true, 0 },
	{ fault_fstat, op_release, false, 0 },
	/* The access time stays, as with noatime. */
	{ fault_open, op_read, false, 0 },
	{ fault_pread, op_read, false, 0 },
	/* May have capabilities: treated as if it had. */
	{ fault_getxattr, op_open, false, 0 },
	{ fault_getxattr, op_create, false, 0 },
	{ fault_getxattr, op_tmpfile, false, 0 },
	/* An entry without its inode, which is then looked up. */
	{ fault_openat, op_readdirplus, false, 0 },
	{ fault_fstat, op_readdirplus, false, 0 },
	{ fault_statx, op_readdirplus, false, 0 },
	{ fault_name_to_handle_at, op_readdirplus, false, 0 },
	{ fault_calloc, op_readdirplus, false, 0 },
	{ fault_malloc, op_readdirplus, false, 0 },
	/* Known by its old name until it is looked up again. */
	{ fault_malloc, op_link, false, 0 },
	{ fault_malloc, op_rename, false, 0 },
	{ fault_malloc, op_rename2, false, 0 },
	/* Read ahead, and read again when it is needed. */
	{ fault_fstat, op_read, true, 0 },
	{ fault_malloc, op_read, true, 0 },
	/* What was read before is given, and the rest asked for again. */
	{ fault_getdents64, op_readdir, true, 0 },
	{ fault_getdents64, op_readdirplus, true, 0 },
	/* Whether bits are cleared: taken as so. */
	{ fault_fstat, op_fallocate, false, 0 },
	{ fault_fstat, op_copy, false, 0 },
	/* With ESTALE the kernel looks up again, and then opens. */
	{ fault_open_by_handle_at, op_create, false, 0 },
	/* No space is allocated ahead, or given back. */
	{ fault_fstatvfs, op_write, false, 0 },
	{ fault_fallocate, op_write, false, 0 },
	{ fault_ioctl, op_release, false, 0 },
	{ fault_lease, op_release, false, 0 },
	{ fault_getxattr, op_release, false, 0 },
	{ fault_truncate, op_release, false, 0 },
	{ fault_utimens, op_release, false, 0 },
	/* Advice is only that; `status` tells that a file isn't locked. */
	{ fault_posix_fadvise, op_any, false, 0 },
	{ fault_madvise, op_any, false, step_advice },
	{ fault_calloc, op_open, false, step_advice },
	{ fault_calloc, op_release, false, step_advice },
	{ fault_mlock2, op_background, false, step_advice },
	{ fault_fstat, op_background, false, step_advice },
	{ fault_cachestat, op_background, false, step_advice },
	/* How long it has waited isn't told then. */
	{ fault_malloc, op_fsync, false, 0 },
	/* Synced alone instead of with others. */
	{ fault_calloc, op_fsync, false, 0 },
	/* Dropped in another way, see pagecache_evict.c. */
	{ fault_madvise, op_background, false, step_durable },
	/*
	 * What programs have mapped is written back through the mount, which
	 * is opened for that; tried again soon, and a program's own fsync
	 * does it by itself.
	 */
	{ fault_openat, op_opendir, false, step_by_time },
	{ fault_malloc, op_opendir, false, step_by_time },
	{ fault_calloc, op_opendir, false, step_by_time },
	{ fault_syncfs, op_background, false, step_by_time },
	{ fault_fstat, op_background, false, step_durable },
	{ fault_cachestat, op_background, false, step_durable },
	/* Not known to be clean: taken as dirty. */
	{ fault_fstat, op_fsync, false, step_durable },
	{ fault_fstat, op_flush, false, step_durable },
	{ fault_cachestat, op_release, false, step_durable },
	/* Of its own accord the kernel asks for what it will not need. */
	{ fault_open_by_handle_at, op_getattr, false, step_durable },
	/* The directory's policies are read again for the next file. */
	{ fault_malloc, op_create, false, step_policy },
	{ fault_malloc, op_mkdir, false, step_policy },
	{ fault_malloc, op_mknod, false, step_policy },
	/* Synced, because it isn't known whether it may be deferred. */
	{ fault_getxattr, op_fsyncdir, false, 0 },
	{ fault_listxattr, op_fsyncdir, false, 0 },
	{ fault_malloc, op_fsyncdir, false, 0 },
	{ fault_open_by_handle_at, op_fsyncdir, false, 0 },
	/* In the journal, and carried out by the next commit. */
	{ fault_pwritev2, op_any, false, step_staged },
	{ fault_truncate, op_any, false, step_staged },
	{ fault_utimens, op_any, false, step_staged },
	{ fault_openat, op_background, false, step_staged },
	{ fault_statx, op_background, false, step_staged },
	{ fault_name_to_handle_at, op_background, false, step_staged },
	{ fault_unlinkat, op_background, false, step_staged },
	/* The one that waits to be removed stays so, and a new one is made. */
	{ fault_open, op_create, false, step_remade },
	/* Of a name that is in the way: tried again at once. */
	{ fault_openat, op_create, true, step_staged },
	{ fault_statx, op_create, true, step_staged },
	{ fault_name_to_handle_at, op_create, true, step_staged },
	{ fault_unlinkat, op_create, true, step_staged },
	/* A name that can't wait for a commit: the commit comes first. */
	{ fault_calloc, op_unlink, false, step_staged },
	/* Whether it can be the same inode again: taken as not. */
	{ fault_listxattr, op_create, false, step_staged },
	{ fault_calloc, op_create, true, step_staged },
	/* Where the store's file has holes: taken as nowhere. */
	{ fault_lseek, op_any, false, step_staged },
	/* Where the file is, for who can't open by handle. */
	{ fault_readlinkat, op_any, false, step_staged },
	/* Whether there is a way not to wait for a commit: taken as not. */
	{ fault_fstat, op_link, false, step_staged },
	{ fault_fstat, op_setattr, false, step_staged },
	/* Capabilities that a commit could keep: taken as none. */
	{ fault_getxattr, op_any, false, step_staged },
	/* To free the journal's room is tried twice. */
	{ fault_write_journal, op_background, true, step_policy },
	{ fault_fdatasync, op_background, true, step_policy },
	/* A name that the kernel has seen is looked up again. */
	{ fault_openat, op_lookup, true, step_staged },
	{ fault_fstat, op_lookup, true, step_staged },
	{ fault_statx, op_lookup, true, step_staged },
	{ fault_name_to_handle_at, op_lookup, true, step_staged },
	{ fault_malloc, op_lookup, true, step_staged },
	/* The mount, for what programs have mapped: done the next time. */
	{ fault_open, op_background, false, step_by_time },
	/* A line less, or "-". */
	{ fault_fstat, op_getxattr, false, step_status },
	{ fault_cachestat, op_getxattr, false, step_status },
	{ fault_readlinkat, op_getxattr, false, step_status },
	{ fault_open, op_getxattr, true, step_counts_dirty },
	{ fault_malloc, op_getxattr, true, step_counts_dirty },
};

/* ---- names ------------------------------------------------------------- */

const char *function_name(int function)
{
	return function_names[function];
}

int function_errno(int function, unsigned i)
{
	return i < ERRNOS ? function_errnos[function][i] : 0;
}

const char *opcode_name(int opcode)
{
	const char *name = opcode_names[opcode];

	return name ? name : "an unnamed request";
}

/* ---- judging ----------------------------------------------------------- */

/* A policy that the store has no room for is kept in memory. */
static bool is_kept_in_memory(const struct step *step,
			      const struct fault *fault)
{
	return (step->flags & step_policy) &&
	       fault->function == fault_setxattr && fault->error == ENOSPC;
}

bool may_go_unnoticed(const struct step *step, const struct fault *fault)
{
	for (unsigned i = 0; i < sizeof(fallbacks) / sizeof(fallbacks[0]);
	     i++) {
		const struct fallback *known = &fallbacks[i];

		if (known->function == fault->function &&
		    (known->opcode == op_any ||
		     known->opcode == fault->opcode) &&
		    (!known->once || !fault->lasting || fault->number > 0) &&
		    (known->flags == 0 || (step->flags & known->flags)))
			return true;
	}
	/* The kernel tries once more; a commit takes it for removed. */
	if (fault->error == ESTALE &&
	    (!fault->lasting || (step->flags & step_staged)))
		return true;
	/* The kernel asks for what the client has not. */
	if (fault->opcode == op_getxattr && !(step->flags & step_attributes))
		return true;
	/* After a write that cleared bits the daemon has them read again. */
	if ((step->flags & step_setuid) &&
	    (fault->opcode == op_flush || fault->opcode == op_opendir ||
	     fault->opcode == op_getattr))
		return true;
	/* Removed all the same; who holds the inode is another step. */
	return (fault->opcode == op_unlink || fault->opcode == op_rmdir ||
		fault->opcode == op_rename || fault->opcode == op_rename2) &&
	       (fault->function == fault_openat ||
		fault->function == fault_fstat ||
		fault->function == fault_name_to_handle_at ||
		fault->function == fault_statx);
}

/*
 * What a thread does for a request depends on what it did before: it has the
 * right credentials and a buffer already or not. So calls that get these may
 * be missing, the first ones of a new thread for good. How full the store is,
 * is known for a while. What was applied earlier is synced in the background
 * by chance, and how often a file is looked at that is read in there depends
 * on the device. And where things happen by time or there, a file's descriptor
 * is closed by whoever lets go of it last.
 */
bool may_be_elsewhere(const struct step *step, const struct fault *fault)
{
	switch (fault->function) {
	case fault_capset:
	case fault_setgroups:
		return true;
	case fault_close:
		return step->flags & (step_by_time | step_advice);
	case fault_fstatvfs:
	case fault_mmap_memory:
		return step->flags & step_staged;
	default:
		return (step->flags & (step_staged | step_advice)) &&
		       fault->number > 0 && fault->opcode == op_background;
	}
}

/* A step that failed, with a trace of it in the store. */
static bool may_have_changed(const struct step *step,
			     const struct fault *fault, bool as_normal)
{
	if (step->flags & step_partial)
		return true;
	if (!as_normal)
		return false;
	if (step->flags & step_goes_on)
		return true;
	/* The kernel asks for attributes of its own accord, after it. */
	if (fault->opcode == op_getattr)
		return true;
	/* Attributes were changed, but what they are now can't be told. */
	return fault->opcode == op_setattr && fault->function == fault_fstat;
}

static bool right_errno(const struct step *step, const struct fault *fault,
			int error)
{
	if (error == fault->error)
		return true;
	/* No memory for what is staged is no room for it. */
	if ((step->flags & step_staged) && fault->error == ENOMEM &&
	    error == ENOSPC)
		return true;
	/* The store still has a file that is removed: see entry_make_way(). */
	if ((step->flags & step_staged) && fault->opcode == op_create &&
	    (error == EIO || (error == EEXIST && fault->error == ESTALE)))
		return true;
	/* By it the size is found that a file may have. */
	if ((step->flags & step_staged) && fault->function == fault_lseek &&
	    error == EFBIG)
		return true;
	/* Pages that can't be written back: the kernel knows two causes. */
	return fault->opcode == op_write && error == EIO;
}

/* If it failed, each file. */
static bool is_old_or_new(const struct step *step, const struct fault *fault)
{
	if (!(step->flags & step_staged) || (step->flags & step_goes_on))
		return false;
	/* Times were set, but what they are now can't be told. */
	return fault->opcode != op_setattr || fault->function != fault_fstat;
}

/* What can't be opened by its handle is gone, and so are names in it. */
static bool is_taken_for_gone(const struct step *step,
			      const struct fault *fault)
{
	return (step->flags & step_staged) && fault->error == ESTALE &&
	       fault->opcode == op_background;
}

void judge(const struct step *step, const struct fault *fault,
	   const struct outcome *normal, const char *before,
	   const struct outcome *seen)
{
	const char *store = seen->store;
	bool unchanged = strcmp(store, before) == 0;
	bool as_normal = strcmp(store, normal->store) == 0 ||
			 is_taken_for_gone(step, fault);

	if (seen->result == 0) {
		bool in_memory = is_kept_in_memory(step, fault);

		if (!may_go_unnoticed(step, fault) && !wrote_less &&
		    !in_memory)
			complain("the client was told of success");
		if (!as_normal &&
		    !(in_memory &&
		      tree_same_but_policies(store, normal->store)))
			complain("success, but the store has\n%sinstead of\n%s",
				 store, normal->store);
		return;
	}
	if (!right_errno(step, fault, -seen->result))
		complain("the client got %s", errno_name(-seen->result));
	if (is_old_or_new(step, fault) &&
	    !tree_of_either(store, before, normal->store))
		complain("the client got %s, and a file is neither old nor "
			 "new:\n%sIt was\n%sand was to be\n%s",
			 errno_name(-seen->result), store, before,
			 normal->store);
	if (!unchanged && !may_have_changed(step, fault, as_normal))
		complain("the client got %s, but the store has\n%sinstead "
			 "of\n%s",
			 errno_name(-seen->result), store, before);
}

/*
 * libfuse allocates a request before it calls us. Where it can't, nobody
 * hears of a release, and what was open stays so: not ours to mend.
 */
bool is_libfuse_s(int function, int opcode)
{
	return (function == fault_calloc || function == fault_malloc) &&
	       (opcode == op_release || opcode == op_releasedir);
}
