/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attributes of the inode behind a descriptor, whichever kind that is:
 * opened (open(2) for reading or writing) or only located (O_PATH), also one
 * of a symbolic link. Newer kernels take an O_PATH descriptor and an empty
 * path; older ones are asked by way of /proc/self/fd, which costs twice as
 * much. Any thread. All return 0 or a size, or -errno.
 */
#ifndef MSYNCFS_OS_INODE_H
#define MSYNCFS_OS_INODE_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <time.h>

struct inode_handle {
	int fd;
	bool opened;
	bool writable; /* opened, and for writing */
};

/*
 * Keeps /proc/self/fd open; before any thread. 0 or -errno: everything works
 * without it, extended attributes slower.
 */
int inode_init(void);
void inode_fini(void);

/* "/proc/self/fd/N", for calls that take nothing but paths. */
struct inode_path {
	char text[32];
};
struct inode_path inode_path_of(int fd);

/* Where the inode is, as /proc tells; empty when it doesn't. */
void inode_read_path(int fd, char path[PATH_MAX]);

/*
 * What a write or a sync has to know, without the times: whoever asks for
 * those has the next change get times of its own (multigrain timestamps,
 * Linux 6.13), and with them the inode dirtied and the file system's journal
 * committed at each fsync. Unasked, all changes within a tick of the clock
 * share theirs.
 */
struct inode_look {
	dev_t device;
	ino_t inode;
	mode_t mode;
	off_t size; /* bytes */
};
int inode_look(int fd, struct inode_look *look);

/* chmod(2); fchmodat2(2) of Linux 6.6. */
int inode_chmod(const struct inode_handle *inode, mode_t mode);

/* utimensat(2), which takes an empty path since Linux 5.8. */
int inode_utimens(const struct inode_handle *inode,
		  const struct timespec times[2]);

/* truncate(2). */
int inode_truncate(const struct inode_handle *inode, off_t size);

/* getxattr(2) and its kin; getxattrat(2) and its kin of Linux 6.13. */
ssize_t inode_getxattr(const struct inode_handle *inode, const char *name,
		       void *value, size_t size);
ssize_t inode_listxattr(const struct inode_handle *inode, char *names,
			size_t size);
int inode_setxattr(const struct inode_handle *inode, const char *name,
		   const void *value, size_t size, int flags);
int inode_removexattr(const struct inode_handle *inode, const char *name);

#endif
