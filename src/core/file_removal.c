// SPDX-License-Identifier: Apache-2.0
/*
 * Files whose last name goes with the next commit (stage_removal.c), and
 * files that are made anew by that name before it. A program that makes and
 * removes a journal for each of its transactions then waits for no device.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "core/file_internal.h"
#include "core/filesystem.h"
#include "core/policy_store.h"
#include "core/stage.h"

#define DEFAULT_ACL "system.posix_acl_default"
/* Names of attributes; a file with more than this is not like a new one. */
#define NAMES_MAX 1024

int file_remove_later(struct filesystem *fs, struct node *directory,
		      int directory_fd, const char *name, struct node *node)
{
	struct staged *staged = file_staged_of(node);
	struct store_id id, own;
	int r = -EOPNOTSUPP;

	if (!staged)
		return r;
	node_id(directory, &id);
	node_id(node, &own);
	node_hold(directory);
	/* What is kept of it by its id would have to be let go of later. */
	if (fs->policies.count == 0 && !hold_has(&fs->holds, &own, NULL))
		r = stage_remove(staged, directory, &id, directory_fd, name);
	if (r < 0)
		node_forget(&fs->nodes, directory, 1);
	lock_take(&node->lock, lock_rank_node);
	if (r == 0 && !node->file)
		staged_discard(staged);
	lock_drop(&node->lock, lock_rank_node);
	staged_put(staged);
	return r;
}

/* ---- made anew ---------------------------------------------------------- */

/* Would the directory give a new file something of its own? */
static bool is_plain_directory(int fd)
{
	struct inode_path path = inode_path_of(fd);
	struct stat st;

	if (fstat(fd, &st) < 0 || (st.st_mode & S_ISGID))
		return false;
	return getxattr(path.text, DEFAULT_ACL, NULL, 0) < 0;
}

/* Has it no attributes but policies? */
static bool has_policies_only(const struct inode_handle *inode)
{
	static const char policies[] = "user.msyncfs.";
	char names[NAMES_MAX];
	ssize_t size = inode_listxattr(inode, names, sizeof(names));

	if (size < 0)
		return size == -EOPNOTSUPP;
	for (ssize_t i = 0; i < size; i += (ssize_t)strlen(names + i) + 1) {
		if (strncmp(names + i, policies, strlen(policies)) != 0)
			return false;
	}
	return true;
}

static bool has_policies(struct filesystem *fs, struct node *node,
			 const struct inode_handle *inode,
			 const struct policy *wanted)
{
	char text[POLICY_TEXT_MAX], other[POLICY_TEXT_MAX];
	struct policy own;
	struct store_id id;

	node_id(node, &id);
	if (policy_store_load(&fs->policies, &id, inode, &own, NULL) < 0 ||
	    own.set != wanted->set)
		return false;
	for (unsigned i = 0; i < POLICY_NAMES; i++) {
		policy_format(&own, (enum policy_name)i, text);
		policy_format(wanted, (enum policy_name)i, other);
		if (strcmp(text, other) != 0)
			return false;
	}
	return true;
}

/* Is the inode what a new one would be? */
static bool is_like_new(struct filesystem *fs, struct node *node,
			const struct file_maker *maker)
{
	owned_path path = PATH_NONE;
	struct stat st;

	if (path_get(&fs->nodes, node, &path) < 0 ||
	    fstat(path.at.fd, &st) < 0)
		return false;
	return st.st_uid == maker->caller->uid &&
	       st.st_gid == maker->caller->gid &&
	       (st.st_mode & 07777) == (maker->mode & ~maker->umask & 07777) &&
	       st.st_nlink == 1 && is_plain_directory(maker->directory_fd) &&
	       has_policies_only(&path.at) &&
	       has_policies(fs, node, &path.at, maker->inherited);
}

static bool is_open(struct node *node)
{
	bool open;

	lock_take(&node->lock, lock_rank_node);
	open = node->file != NULL;
	lock_drop(&node->lock, lock_rank_node);
	return open;
}

int file_make_again(struct filesystem *fs, struct node *directory,
		    const char *name, const struct file_maker *maker,
		    struct node **made, struct file_opened *opened)
{
	struct staged *staged =
		stage_removed_file(fs->stage, directory, name);
	struct node *node;
	int r = -EAGAIN;

	if (!staged)
		return r;
	node = staged_owner(staged);
	if (!is_open(node) && is_like_new(fs, node, maker))
		r = file_open(fs, node,
			      maker->flags & ~(O_CREAT | O_EXCL | O_TRUNC),
			      maker->caller, opened);
	if (r == 0) {
		r = stage_make_again(fs->stage, directory, name);
		if (r < 0)
			file_close(fs, opened->handle);
		else
			file_data_changed(opened->handle->file);
	}
	if (r == 0) {
		opened->keep_cache = false;
		node->generation++;
		path_unpin(node);
		node_hold(node);
		*made = node;
	}
	staged_put(staged);
	return r == 0 ? 0 : -EAGAIN;
}
