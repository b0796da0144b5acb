// SPDX-License-Identifier: Apache-2.0
/*
 * Attributes are not cached for as long as the mount allows
 * - but not at all for a file with setuid or setgid bits: every exec then
 *   asks for the mode (fuse_permission() refreshes what has timed out), so
 *   bits that a write has cleared in the store are never acted on;
 * - but for about a tick of the kernel's clock, which is as exact as file
 *   times are, for one that is open O_RDWR on the kernel path: a mapped write
 *   moves its times unseen. (The kernel notices write(2), which is all that
 *   O_WRONLY allows: a shared mapping that can be written takes both rights.)
 *   Not to cache them costs a request for each lseek(SEEK_END), of which
 *   PostgreSQL makes a dozen in a transaction.
 */
#include "fuse/entry.h"

#include <fcntl.h>
#include <math.h>
#include <string.h>

#include "core/file.h"
#include "core/stage.h"
#include "os/clock.h"
#include "os/credentials.h"
#include "store/journal.h"
#include "util/cleanup.h"

/* Seconds: 1 / HZ on most kernels; the kernel rounds up to that. */
#define UNSEEN_TIMEOUT 0.004

static uint32_t seconds_now(void)
{
	return (uint32_t)(clock_coarse() / 1000000000);
}

double entry_attr_timeout(struct filesystem *fs, struct node *node,
			  const struct stat *st)
{
	double timeout = fs->settings.attr_timeout;
	double until = (double)seconds_now() + timeout + 1;

	if (S_ISREG(st->st_mode) && (st->st_mode & (S_ISUID | S_ISGID)))
		return 0;
	if (node->written_unseen)
		return timeout < UNSEEN_TIMEOUT ? timeout : UNSEEN_TIMEOUT;
	if (timeout > 0)
		node->attributes_until =
			until < UINT32_MAX ? (uint32_t)ceil(until) :
					     UINT32_MAX;
	return timeout;
}

int entry_of_descriptor(struct filesystem *fs, int fd, struct node *parent,
			const char *name, struct fuse_entry_param *entry)
{
	struct store_id id;
	struct node *node;
	int r;

	*entry = (struct fuse_entry_param){ 0 };
	if (fstat(fd, &entry->attr) < 0)
		return -errno;
	r = store_identify(&fs->store, fd, &id);
	if (r < 0)
		return r;
	node = node_get_or_add(&fs->nodes, &id, &entry->attr, parent, name);
	if (!node)
		return -ENOMEM;
	r = file_overlay(node, &entry->attr);
	if (r < 0) {
		node_forget(&fs->nodes, node, 1);
		return r;
	}
	entry->attr.st_ino = node->ino;
	entry->generation = node->generation;
	entry->ino = node_number(&fs->nodes, node);
	entry->attr_timeout = entry_attr_timeout(fs, node, &entry->attr);
	entry->entry_timeout = fs->settings.entry_timeout;
	return 0;
}

bool entry_is_reserved(const struct filesystem *fs, const struct node *parent,
		       const char *name)
{
	return parent == fs->nodes.root &&
	       strcmp(name, JOURNAL_DIRECTORY) == 0;
}

bool entry_is_hidden(const struct filesystem *fs, const struct node *parent,
		     const char *name)
{
	return entry_is_reserved(fs, parent, name) ||
	       stage_is_removed(fs->stage, parent, name);
}

int entry_make_way(struct filesystem *fs, const struct node *parent,
		   const char *name)
{
	if (entry_is_reserved(fs, parent, name))
		return -EPERM;
	if (!stage_is_removed(fs->stage, parent, name))
		return 0;
	return stage_settle_removals(fs->stage);
}

int entry_find(struct filesystem *fs, int parent_fd, struct node *parent,
	       const char *name, struct fuse_entry_param *entry)
{
	if (entry_is_hidden(fs, parent, name))
		return -ENOENT;
	owned_fd fd = openat(parent_fd, name,
			     O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	return entry_of_descriptor(fs, fd, parent, name, entry);
}

int entry_inherit(struct filesystem *fs, struct node *node, int fd,
		  const struct policy *policies)
{
	struct inode_handle inode = { .fd = fd };
	struct store_id id;
	/* Whoever made it may not be allowed to write to it. */
	int r = credentials_restore();

	if (r < 0)
		return r;
	node_id(node, &id);
	return policy_store_inherit(&fs->policies, &id, &inode, policies);
}

void entry_split_timeout(double timeout, uint64_t *seconds,
			 uint32_t *nanoseconds)
{
	*seconds = timeout < (double)UINT64_MAX ? (uint64_t)timeout :
						  UINT64_MAX;
	*nanoseconds = (uint32_t)((timeout - (double)*seconds) * 1e9);
}

void entry_drop(struct filesystem *fs, const struct fuse_entry_param *entry)
{
	node_forget(&fs->nodes, node_of_number(&fs->nodes, entry->ino), 1);
}

void entry_invalidate_attributes(struct session *session, struct node *node)
{
	struct filesystem *fs = session_filesystem(session);

	node->attributes_until = 0;
	/* -ENOENT: the kernel has none. A negative offset leaves the pages. */
	(void)fuse_lowlevel_notify_inval_inode(session_fuse(session),
					       node_number(&fs->nodes, node),
					       -1, 0);
}

void entry_expire_attributes(struct session *session, struct node *node)
{
	if (node->attributes_until > seconds_now())
		entry_invalidate_attributes(session, node);
}
