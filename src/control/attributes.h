/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control plane: extended attributes under user.msyncfs. that set and
 * tell how files are treated. What there is stands in attribute_list.h.
 *
 * Any thread. Actions, and setting or removing `lock`, may take as long as
 * the file is large: they belong into a thread that may wait
 * (attributes_may_wait()).
 */
#ifndef MSYNCFS_CONTROL_ATTRIBUTES_H
#define MSYNCFS_CONTROL_ATTRIBUTES_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "control/attribute_list.h"

struct filesystem;
struct inode_handle;
struct node;

/* Is the name one of ours, known or not? */
bool attributes_has(const char *name);

/* May it be longer when it is read again, though nobody sets it? */
bool attributes_may_grow(const char *name);

/* Does setting or removing it take long by its nature? */
bool attributes_may_wait(const char *name);

/*
 * The value, malloc'ed and without a NUL; its length or -errno: -ENODATA for
 * an unknown name, an action, a policy that is not set on the file itself.
 */
ssize_t attributes_get(struct filesystem *fs, struct node *node,
		       const struct inode_handle *inode, const char *name,
		       char **value);

/*
 * Sets a policy or carries an action out. flags: XATTR_CREATE,
 * XATTR_REPLACE. 0 or -errno, with one line in the log that says what was
 * wrong, and nothing changed: -EINVAL, -ERANGE, -EPERM for a status,
 * -EOPNOTSUPP, -ENOMEM past the limit of locked memory, and what the action
 * met. stopped (may be NULL) is asked by long actions.
 */
struct attributes_request {
	struct filesystem *fs;
	struct node *node;
	const struct inode_handle *inode;
	const char *name;
	bool (*stopped)(void *context);
	void *context;
};
int attributes_set(const struct attributes_request *request,
		   const char *value, size_t size, int flags);
int attributes_remove(const struct attributes_request *request);

/*
 * The names of policies that are in memory only, to be added to the store's
 * list: NUL-terminated names in a row, malloc'ed. Bytes, or -errno.
 */
ssize_t attributes_list_more(struct filesystem *fs, struct node *node,
			     char **names);

#endif
