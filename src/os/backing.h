/* SPDX-License-Identifier: Apache-2.0 */
/*
 * FUSE passthrough's backing files: a store file that the kernel reads and
 * writes itself (Documentation/filesystems/fuse/fuse-passthrough.rst).
 * Linux 6.9 and CAP_SYS_ADMIN. Any thread.
 */
#ifndef MSYNCFS_OS_BACKING_H
#define MSYNCFS_OS_BACKING_H

/*
 * Registers fd with the connection behind device (/dev/fuse). The kernel
 * keeps its own reference to the file, and does the file's I/O with the
 * credentials that this thread has now. A backing id (> 0) or -errno:
 * -EPERM without passthrough or privilege, -ELOOP when the store is stacked
 * too deep, -EOPNOTSUPP when its file system has no read_iter.
 */
int backing_open(int device, int fd);

/* Gives a backing id up; opens that use it keep their file. */
void backing_close(int device, int backing_id);

#endif
