/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An open regular file: what all opens of one inode share. One descriptor,
 * one mapping or one backing id, however often the inode is open.
 *
 *	closed		node->file is NULL
 *	kernel path	the kernel reads and writes a backing file itself; we
 *			see open, close, fsync and what changes the size
 *	daemon path	every read and write comes here, to the mapping
 *
 * The path is chosen at the first open and held until the last close: the
 * kernel refuses to mix them (fs/fuse/iomode.c). Opens are counted under the
 * node's lock; references keep the object alive for whoever uses its
 * descriptor just now. Any thread.
 */
#ifndef MSYNCFS_CORE_FILE_H
#define MSYNCFS_CORE_FILE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "core/growth.h"
#include "core/mapping.h"
#include "core/policy.h"
#include "core/policy_file.h"
#include "core/scheduler.h"
#include "os/credentials.h"
#include "os/inode.h"

struct filesystem;
struct group_waiter;
struct node;
struct staged;

enum data_path {
	data_path_daemon,
	data_path_kernel,
};

/* The policies that hold for an open file. Never changed, only replaced. */
struct file_policies {
	struct policy effective;
	struct policy_lines lines; /* which rules they are from */
	struct file_policies *older; /* somebody may still look at it */
};

struct file_counts {
	_Atomic uint64_t opens;
	_Atomic uint64_t reads;
	_Atomic uint64_t read_bytes;
	_Atomic uint64_t writes;
	_Atomic uint64_t write_bytes;
	_Atomic uint64_t fsyncs;
	_Atomic uint64_t syncs; /* that nobody waited for */
};

struct file {
	struct node *node; /* a look-up of it is held */
	struct filesystem *fs;
	_Atomic unsigned refs;
	/* The node's lock. */
	_Atomic unsigned opens;
	_Atomic unsigned writers;
	_Atomic unsigned mappers; /* O_RDWR: can write a shared mapping */
	LIST_HEAD(, file_handle_state) handles; /* as many as opens */
	int fd; /* its number never changes; file_descriptor() */
	enum data_path path;
	const char *path_reason; /* why this path; for people */
	int backing_id; /* on the kernel path */
	const struct store *store;
	struct staged *staged; /* map=staged, map=private; else NULL */
	_Atomic bool writable; /* the descriptor */
	bool readable;
	/* Its times can't be set by us, so writes must move them. */
	_Atomic bool copies_by_syscall;
	/* A change cleared setuid or setgid, and the kernel may not know. */
	_Atomic bool bits_cleared;
	/* May have file capabilities, which a write must clear. */
	_Atomic bool has_capabilities;
	/* The tick of the last write whose times are in the store. */
	_Atomic int64_t write_tick;
	/* The second in which a read last let the store update atime. */
	_Atomic int64_t access_second;
	/* Failed syncs, and the errno of the last one. */
	_Atomic unsigned sync_errors;
	_Atomic int sync_error;
	struct mapping mapping;
	struct growth growth;
	struct lock append_lock; /* who appends; under append=on only */

	_Atomic(struct file_policies *) policies;
	/* As it is advised now. */
	_Atomic(enum policy_pattern) pattern;
	_Atomic int lock_error; /* errno of lock=, when it failed */
	struct file_counts counts;

	/* Scheduled sync; file_sync.c. */
	struct sync_item sync;
	struct sync_item reap;
	_Atomic bool scheduled; /* the item is wanted and holds a reference */
	_Atomic bool tracked; /* its policy asks when it was written */
	_Atomic bool dirty; /* written here since the last sync began */
	_Atomic uint64_t dirty_bytes; /* at most so many of these */
	_Atomic int64_t written_at; /* clock_coarse() at the last write */
	_Atomic int64_t synced_at; /* clock_now() at the last sync's begin */
	_Atomic int64_t sync_took; /* ns; -1: not synced yet */
	_Atomic int64_t synced_mtime; /* ns, before it began; kernel path */
	int64_t every_due; /* of a file that is looked at more often */
	_Atomic int64_t error_at; /* ns since the epoch; 0: none */
	/* What a power cut would take; loss.c. clock_now(). */
	_Atomic int64_t unsynced_since; /* 0: nothing */
	_Atomic bool unsynced_again;
	_Atomic int64_t looked_at; /* unwritten then; kernel path */
	bool settled; /* its last sync is scheduled; the node's lock */
	_Atomic bool closed; /* by everybody */
	bool waiting; /* for its last sync, file_closed.c; files_lock */

	TAILQ_ENTRY(file) link; /* the filesystem's files_lock */
};

/* One open of it: what the kernel's file handle stands for. */
struct file_handle_state {
	struct file *file;
	_Atomic unsigned errors_seen;
	bool writer;
	bool mapper;
	bool privileged; /* had setuid or setgid bits at its open */
	LIST_ENTRY(file_handle_state) link; /* the node's lock */
};

/* What an OPEN or CREATE answers. */
struct file_opened {
	struct file_handle_state *handle;
	enum data_path path;
	int backing_id;
	bool keep_cache; /* the kernel's cached pages are still right */
	bool first_mapper;
	bool wants_flush; /* close is to be told at once: file_flushed() */
};

/*
 * Opens the node as flags (of open(2)) say; O_TRUNC truncates. 0 or -errno.
 */
int file_open(struct filesystem *fs, struct node *node, int flags,
	      const struct caller *caller, struct file_opened *opened);

/*
 * The same for a file just created, with its descriptor (O_RDWR), which is
 * taken over in every case, and the policies it got from its directory.
 */
int file_open_created(struct filesystem *fs, struct node *node, int fd,
		      int flags, const struct policy *inherited,
		      const struct caller *caller, struct file_opened *opened);

/* How a file is to be made, for file_make_again(). */
struct file_maker {
	int directory_fd;
	mode_t mode;
	mode_t umask;
	int flags; /* open(2)'s */
	const struct policy *inherited;
	const struct caller *caller;
};

/* Undoes one open. */
void file_close(struct filesystem *fs, struct file_handle_state *handle);
/*
 * Closes every handle that there is: the kernel drops the releases it has not
 * sent yet when the mount goes. Nobody else opens or closes any more.
 */
void file_close_all(struct filesystem *fs);

/*
 * A writer closes. True when setuid or setgid bits were cleared since the
 * last time: the kernel must then learn the new mode before anybody can
 * execute the file.
 */
bool file_flushed(struct file_handle_state *handle);

/* An open writer is about to change it by other means than file_write(). */
void file_changing(struct file *file);

/* Keeps the object, not the open, alive; needs an open or the node's lock. */
void file_hold(struct file *file);
void file_release(struct file *file);
/* With the filesystem's files_lock. False: it is on its way out. */
bool file_try_hold(struct file *file);

static inline int file_descriptor(const struct file *file)
{
	return file->fd;
}

/*
 * Where a read's bytes are: in the mapping (region set, to be given back
 * with region_put) or copied to the buffer that spare() gives. size is what
 * there is up to the end of the file. 0 or -errno.
 */
struct file_bytes {
	struct region *region;
	const char *data;
	size_t size;
};
int file_read(struct file *file, char *(*spare)(void), size_t size,
	      off_t offset, int flags, struct file_bytes *bytes);

/*
 * Copies what file_read() found in the mapping to the buffer, for replies
 * that can't point there, and gives the region back. 0 or -errno.
 */
int file_read_copied(struct file *file, char *(*spare)(void), off_t offset,
		     struct file_bytes *bytes);

/*
 * Writes all of it. flags are the open's: O_APPEND writes at the end,
 * wherever that is. *cleared tells that setuid, setgid or capabilities may
 * be gone. Bytes written or -errno; the thread's credentials may be changed.
 */
ssize_t file_write(struct file *file, const char *data, size_t size,
		   off_t offset, int flags, const struct caller *caller,
		   bool *cleared);

/*
 * fsync(2) of a program, as the file's policy wants it. An error is told
 * once to every handle (as errseq does, Documentation/core-api/errseq.rst).
 * 0 or -errno. FILE_WAITS: done is called later with the result, perhaps
 * before this returns; it may use the handle until it has replied.
 */
#define FILE_WAITS 1
int file_fsync(struct file_handle_state *handle, bool data_only,
	       void (*done)(void *context, int result), void *context);

/* A sync asked for by name, whatever the policy is. 0 or -errno. */
int file_sync_now(struct file *file, off_t offset, off_t length);

/* close(2) of a writer whose policy has it wait for a sync. 0 or -errno. */
int file_sync_at_close(struct file_handle_state *handle);

/*
 * The policies in force, and where they come from; valid as long as the file
 * is.
 */
static inline const struct file_policies *file_policies(const struct file *file)
{
	return atomic_load_explicit(&((struct file *)file)->policies,
				    memory_order_acquire);
}

static inline const struct policy *file_policy(const struct file *file)
{
	return &file_policies(file)->effective;
}

/* Advises the mapping until the last close, whatever the policy is. */
void file_advise_pattern(struct file *file, enum policy_pattern pattern);

/* Has it read ahead in the background. */
void file_load_later(struct file *file);

/* A directory's own policies; inode is the directory's. 0 or -errno. */
int directory_policies(struct filesystem *fs, struct node *node,
		       const struct inode_handle *inode, struct policy *own);
/* They were set or removed. */
void directory_policies_changed(struct node *node);

/* Does close(2) of a writer wait for a sync? */
static inline bool file_waits_at_close(const struct file *file)
{
	const struct policy *policy = file_policy(file);

	return policy->close && policy->fsync != policy_fsync_defer;
}

/* Puts other policies of its own in force. 0 or -ENOMEM. */
int file_set_policies(struct file *file, const struct policy *own);

/*
 * The node's file was held or let go (hold.h). Where policies may come from a
 * file, a held node stays known: its path is needed when that file changes.
 * The caller has a look-up.
 */
void file_note_hold(struct filesystem *fs, struct node *node);

/*
 * The policy file is another: open files get the policies that hold now, and
 * files are let go that are not to be held in memory any more. From a thread
 * known to RCU. How many open files have other policies now, or -ENOMEM: some
 * have not got theirs.
 */
ssize_t file_reload_policies(struct filesystem *fs);

/*
 * The node's file with a reference (file_release()), or NULL when it is not
 * open.
 */
struct file *file_of_node(struct node *node);

/* A descriptor of the node for work that no open is needed for, or -errno. */
int file_open_descriptor(struct filesystem *fs, struct node *node, int access);

/*
 * On the kernel path: has it been written since its last sync began, as far as
 * its mtime tells? When in doubt, yes. *mtime (may be NULL) is that now, in ns.
 */
bool file_mtime_is_new(const struct file *file, int64_t *mtime);

/* What the store's page cache holds unwritten, in bytes; -1: not known. */
int64_t file_dirty_bytes(struct file *file);

/* ns from now to its next sync; -1: none is due. */
int64_t file_next_sync(const struct file *file);

/*
 * Staged files (file_staged.c). What fstat(2) says of a node's file in the
 * store becomes what programs see. 0 or -errno.
 */
int file_overlay(struct node *node, struct stat *st);
/* fstat(2) of an open file, as programs see it. 0 or -errno. */
int file_stat(struct file *file, struct stat *st);
/*
 * truncate(2) of a file that has something staged, or would have if it were
 * opened. 0 or -errno; -EOPNOTSUPP: it is shared.
 */
int file_truncate_staged(struct filesystem *fs, struct node *node,
			 enum policy_map map, off_t size,
			 const struct caller *caller);
/* lseek(2) with SEEK_DATA or SEEK_HOLE, of shared files too. */
off_t file_seek(struct file *file, off_t offset, int whence);
/* fallocate(2), of shared files too. The caller's rights are taken on. */
int file_allocate(struct file *file, int mode, off_t offset, off_t length,
		  const struct caller *caller);
/* The node has lost its last name. */
void file_unlinked(struct filesystem *fs, struct node *node);
/* The stage needs its staged object no longer. */
void file_staged_idle(struct node *node, struct staged *staged);
/*
 * A name of the node, its only one, goes with the next commit. directory_fd:
 * of the directory. 0, or -errno: it must be removed at once.
 */
int file_remove_later(struct filesystem *fs, struct node *directory,
		      int directory_fd, const char *name, struct node *node);
/*
 * Makes a file by the name of one that was removed like that: the same inode,
 * empty. node: whose it is, with a look-up. 0; -EAGAIN: it can't be done so,
 * or the two would differ, and a commit must come first; -errno.
 */
int file_make_again(struct filesystem *fs, struct node *directory,
		    const char *name, const struct file_maker *maker,
		    struct node **node, struct file_opened *opened);
/* It is about to get another name. 0 or -errno. */
int file_linking(struct filesystem *fs, struct node *node);
/* Its owner, mode or extended attributes were changed. */
void file_attributes_changed(struct node *node);
/*
 * What is staged of it goes to the store, durably, so that nothing is in the
 * way of using the file in another manner. 0 or -errno.
 */
int file_settle(struct filesystem *fs, struct node *node);
/* Its mtime was set by name. 0 or -errno. */
int file_mtime_set(struct node *node, int fd);
/* Drops what is uncommitted; programs see it at once. 0 or -errno. */
int file_discard(struct filesystem *fs, struct node *node);
/* The node's staged object with a reference, or NULL. */
struct staged *file_staged_of(struct node *node);
/* Open or not, it has something that no commit has made durable. */
bool file_is_uncommitted(struct node *node);

/*
 * A change of attributes, by path (of the node, path_get()): what an open
 * file must know of them. The node's file, if any, is told.
 */
void file_capabilities_set(struct node *node);

/* Size or times were changed by other means than file_write(). */
void file_times_set(struct node *node);

/* The same for data that a scheduled sync has to know of: so many bytes. */
void file_dirtied(struct file *file, size_t bytes);
/* Its size, or holes of it. */
void file_data_changed(struct file *file);

#endif
