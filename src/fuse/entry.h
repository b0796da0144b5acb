/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From an inode of the store to what the kernel is told of it: its node, its
 * attributes, and how long both may be cached. Any thread.
 */
#ifndef MSYNCFS_FUSE_ENTRY_H
#define MSYNCFS_FUSE_ENTRY_H

#include <errno.h>

#include "fuse/fuse.h"

/* Fills *entry for what fd (O_PATH) is, found as name in parent. One look-up
 * more. 0 or -errno. */
int entry_of_descriptor(struct filesystem *fs, int fd, struct node *parent,
			const char *name, struct fuse_entry_param *entry);

/* The store's own directory, which has the journal: not at the mount. */
bool entry_is_reserved(const struct filesystem *fs, const struct node *parent,
		       const char *name);

/* That, or a name that goes with the next commit. */
bool entry_is_hidden(const struct filesystem *fs, const struct node *parent,
		     const char *name);

/*
 * Before something is made by this name: what had it before is gone from the
 * store too. 0; -EPERM for a reserved one; -errno.
 */
int entry_make_way(struct filesystem *fs, const struct node *parent,
		   const char *name);

/* The same by name, relative to parent's descriptor. */
int entry_find(struct filesystem *fs, int parent_fd, struct node *parent,
	       const char *name, struct fuse_entry_param *entry);

/* A new inode takes its directory's policies over. 0 or -errno. */
int entry_inherit(struct filesystem *fs, struct node *node, int fd,
		  const struct policy *policies);

/* Takes one look-up back. */
void entry_drop(struct filesystem *fs, const struct fuse_entry_param *entry);

/* How long the kernel may keep attributes, in seconds; notes that it does. */
double entry_attr_timeout(struct filesystem *fs, struct node *node,
			  const struct stat *st);

/* A timeout as the protocol has it. */
void entry_split_timeout(double timeout, uint64_t *seconds,
			 uint32_t *nanoseconds);

/* Tells the kernel that cached attributes of a node are out of date. */
void entry_invalidate_attributes(struct session *session, struct node *node);

/* The same if it may have any cached. */
void entry_expire_attributes(struct session *session, struct node *node);

#endif
