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
#include <sys/stat.h>
#include <sys/types.h>

#include "core/mapping.h"
#include "os/credentials.h"

struct filesystem;
struct node;

enum data_path {
	data_path_daemon,
	data_path_kernel,
};

struct file {
	struct node *node;
	_Atomic unsigned refs;
	/* The node's lock. */
	unsigned opens;
	unsigned writers;
	unsigned mappers; /* O_RDWR: can write through a shared mapping */
	int fd; /* its number never changes; file_descriptor() */
	enum data_path path;
	int backing_id; /* on the kernel path */
	const struct store *store;
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
};

/* One open of it: what the kernel's file handle stands for. */
struct file_handle_state {
	struct file *file;
	_Atomic unsigned errors_seen;
	bool writer;
	bool mapper;
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
 * taken over in every case.
 */
int file_open_created(struct filesystem *fs, struct node *node, int fd,
		      int flags, const struct caller *caller,
		      struct file_opened *opened);

/* Undoes one open. */
void file_close(struct filesystem *fs, struct file_handle_state *handle);

/*
 * A writer closes. True when setuid or setgid bits were cleared since the
 * last time: the kernel must then learn the new mode before anybody can
 * execute the file.
 */
bool file_flushed(struct file *file);

/* An open writer is about to change it by other means than file_write(). */
void file_changing(struct file *file);

/* Keeps the object, not the open, alive; needs an open or the node's lock. */
void file_hold(struct file *file);
void file_release(struct file *file);

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
 * Makes it durable. An error is told once to every handle (as errseq does,
 * Documentation/core-api/errseq.rst). 0 or -errno.
 */
int file_sync(struct file_handle_state *handle, bool data_only);

/*
 * A change of attributes, by path (of the node, path_get()): what an open
 * file must know of them. The node's file, if any, is told.
 */
void file_capabilities_set(struct node *node);

/* Size or times were changed by other means than file_write(). */
void file_times_set(struct node *node);

#endif
