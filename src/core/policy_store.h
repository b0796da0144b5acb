/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where policies are kept: in attributes of the store's files, and where the
 * store has none or no room, in memory for as long as the mount lasts.
 *
 * Owned by the filesystem object. Any thread.
 */
#ifndef MSYNCFS_CORE_POLICY_STORE_H
#define MSYNCFS_CORE_POLICY_STORE_H

#include <stdatomic.h>
#include <stdbool.h>

#include "core/policy.h"
#include "os/inode.h"
#include "store/store.h"
#include "util/lock.h"

struct policy_store {
	struct lock lock; /* protects entries */
	void *entries; /* tsearch(3) tree of what is in memory only */
	_Atomic unsigned count;
};

void policy_store_init(struct policy_store *policies);
void policy_store_fini(struct policy_store *policies);

/*
 * The policies set on an inode itself. One that can't be understood (written
 * by a newer version, or behind the daemon's back) is logged and left out.
 * *in_memory (may be NULL): some are not in the store. 0 or -errno.
 */
int policy_store_load(struct policy_store *policies,
		      const struct store_id *id,
		      const struct inode_handle *inode, struct policy *own,
		      bool *in_memory);

/*
 * Keeps one policy of the value. flags: XATTR_CREATE, XATTR_REPLACE. 0 or
 * -errno: -EEXIST, -ENODATA as the flags demand; -ENOMEM.
 */
int policy_store_save(struct policy_store *policies,
		      const struct store_id *id,
		      const struct inode_handle *inode,
		      const struct policy *value, enum policy_name name,
		      int flags);

/* 0; -ENODATA when it is not set. */
int policy_store_remove(struct policy_store *policies,
			const struct store_id *id,
			const struct inode_handle *inode,
			enum policy_name name);

/* A new inode takes over what its directory has. 0 or -errno. */
int policy_store_inherit(struct policy_store *policies,
			 const struct store_id *id,
			 const struct inode_handle *inode,
			 const struct policy *parent);

/* Those that are in memory only; false: there are none. */
bool policy_store_in_memory(struct policy_store *policies,
			    const struct store_id *id, struct policy *found);

/* The inode is gone for good. */
void policy_store_forget(struct policy_store *policies,
			 const struct store_id *id);

#endif
