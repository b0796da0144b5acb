// SPDX-License-Identifier: Apache-2.0
/*
 * Extended attributes of the store file, in every namespace it has, ACLs
 * included.
 */
#include <string.h>

#include "core/file.h"
#include "fuse/reply.h"
#include "fuse/request.h"
#include "util/cleanup.h"

#define ACL_PREFIX "system.posix_acl_"
#define TRUSTED_PREFIX "trusted."
#define CAPABILITY_NAME "security.capability"

/*
 * Names in the trusted namespace are shown to CAP_SYS_ADMIN only (xattr(7)),
 * and the store shows them to us. The list's new size.
 */
static size_t hide_trusted(char *names, size_t size)
{
	size_t kept = 0;
	size_t length;

	for (size_t at = 0; at < size; at += length) {
		length = strlen(names + at) + 1;
		if (strncmp(names + at, TRUSTED_PREFIX,
			    strlen(TRUSTED_PREFIX)) == 0)
			continue;
		memmove(names + kept, names + at, length);
		kept += length;
	}
	return kept;
}

static ssize_t list_names(const struct path *path, char *names, size_t size)
{
	owned_memory char *all = NULL;
	ssize_t n;

	if (current_request.caller.uid == 0)
		return inode_listxattr(&path->at, names, size);
	n = inode_listxattr(&path->at, NULL, 0);
	if (n <= 0)
		return n;
	all = malloc((size_t)n);
	if (!all)
		return -ENOMEM;
	n = inode_listxattr(&path->at, all, (size_t)n);
	if (n < 0)
		return n;
	n = (ssize_t)hide_trusted(all, (size_t)n);
	if (size == 0)
		return n;
	if ((size_t)n > size)
		return -ERANGE;
	memcpy(names, all, (size_t)n);
	return n;
}

/* Name NULL: the list of names. */
static ssize_t read_value(const struct path *path, const char *name,
			  char *value, size_t size)
{
	return name ? inode_getxattr(&path->at, name, value, size) :
		      list_names(path, value, size);
}

static void reply_value(fuse_req_t req, fuse_ino_t number, const char *name,
			size_t size)
{
	struct filesystem *fs = filesystem_of(req);
	owned_memory char *value = size ? malloc(size) : NULL;
	owned_path path = PATH_NONE;
	ssize_t n = path_get(&fs->nodes, node_of_number(&fs->nodes, number),
			     &path);

	if (n == 0 && size && !value)
		n = -ENOMEM;
	if (n == 0)
		n = read_value(&path, name, value, size);
	path_put(&path);
	if (n < 0)
		reply_status(req, (int)n);
	else if (size == 0)
		fuse_reply_xattr(req, (size_t)n);
	else
		fuse_reply_buf(req, value, (size_t)n);
}

static void op_getxattr(fuse_req_t req, fuse_ino_t number, const char *name,
			size_t size)
{
	reply_value(req, number, name, size);
}

static void op_listxattr(fuse_req_t req, fuse_ino_t number, size_t size)
{
	reply_value(req, number, NULL, size);
}

/*
 * Setting an access ACL may clear the setgid bit, as the caller's groups say
 * (posix_acl_update_mode() in the kernel); for the rest we are ourselves.
 */
static int assume_setter(const char *name)
{
	if (strncmp(name, ACL_PREFIX, strlen(ACL_PREFIX)) == 0)
		return credentials_assume_with_groups(&current_request.caller);
	return credentials_restore();
}

/* value NULL: remove. */
static int change(struct filesystem *fs, struct node *node, const char *name,
		  const char *value, size_t size, int flags)
{
	owned_path path = PATH_NONE;
	int r = path_get(&fs->nodes, node, &path);

	if (r == 0)
		r = assume_setter(name);
	if (r < 0)
		return r;
	if (value)
		r = inode_setxattr(&path.at, name, value, size, flags);
	else
		r = inode_removexattr(&path.at, name);
	if (r == 0 && strcmp(name, CAPABILITY_NAME) == 0)
		file_capabilities_set(node);
	return r;
}

static void op_setxattr(fuse_req_t req, fuse_ino_t number, const char *name,
			const char *value, size_t size, int flags)
{
	struct filesystem *fs = filesystem_of(req);

	reply_status(req, change(fs, node_of_number(&fs->nodes, number), name,
				 value ? value : "", size, flags));
}

static void op_removexattr(fuse_req_t req, fuse_ino_t number, const char *name)
{
	struct filesystem *fs = filesystem_of(req);

	reply_status(req, change(fs, node_of_number(&fs->nodes, number), name,
				 NULL, 0, 0));
}

void ops_xattr_add(struct fuse_lowlevel_ops *ops)
{
	ops->getxattr = op_getxattr;
	ops->listxattr = op_listxattr;
	ops->setxattr = op_setxattr;
	ops->removexattr = op_removexattr;
}
