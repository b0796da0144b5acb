// SPDX-License-Identifier: Apache-2.0
/*
 * Extended attributes of the store file, in every namespace it has, ACLs
 * included. Those under user.msyncfs. are the control plane's
 * (control/attributes.h); what takes long there is done and answered by a
 * thread of the scheduler, so that requests that it waits for find a worker.
 */
#include <string.h>

#include "control/attributes.h"
#include "core/file.h"
#include "fuse/reply.h"
#include "fuse/request.h"
#include "util/cleanup.h"

#define ACL_PREFIX "system.posix_acl_"
#define TRUSTED_PREFIX "trusted."
#define CAPABILITY_NAME "security.capability"
#define VALUE_MAX 65536 /* XATTR_SIZE_MAX */

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

/* What a value or list of length bytes is for a buffer of size. */
static ssize_t fit(const char *all, size_t length, char *buffer, size_t size)
{
	if (size == 0)
		return (ssize_t)length;
	if (length > size)
		return -ERANGE;
	memcpy(buffer, all, length);
	return (ssize_t)length;
}

/* The names in the store, malloc'ed with room for more; bytes or -errno. */
static ssize_t stored_names(const struct path *path, size_t more, char **all)
{
	ssize_t n = inode_listxattr(&path->at, NULL, 0);

	*all = NULL;
	/* A store without attributes may still have policies in memory. */
	if (n == -EOPNOTSUPP && more > 0)
		n = 0;
	if (n < 0 || n + more == 0)
		return n;
	*all = malloc((size_t)n + more);
	if (!*all)
		return -ENOMEM;
	return n > 0 ? inode_listxattr(&path->at, *all, (size_t)n) : 0;
}

static size_t add_names(char *all, size_t length, const char *more,
			size_t more_length)
{
	size_t step;

	for (size_t at = 0; at < more_length; at += step) {
		bool there = false;

		step = strlen(more + at) + 1;
		for (size_t i = 0; i < length && !there;
		     i += strlen(all + i) + 1)
			there = strcmp(all + i, more + at) == 0;
		if (there)
			continue;
		memcpy(all + length, more + at, step);
		length += step;
	}
	return length;
}

static ssize_t list_names(struct filesystem *fs, struct node *node,
			  const struct path *path, char *names, size_t size)
{
	owned_memory char *more = NULL;
	owned_memory char *all = NULL;
	ssize_t added = attributes_list_more(fs, node, &more);
	ssize_t n;

	if (added < 0)
		return added;
	if (added == 0 && current_request.caller.uid == 0)
		return inode_listxattr(&path->at, names, size);
	n = stored_names(path, (size_t)added, &all);
	if (n < 0 || !all)
		return n;
	n = (ssize_t)add_names(all, (size_t)n, more, (size_t)added);
	if (current_request.caller.uid != 0)
		n = (ssize_t)hide_trusted(all, (size_t)n);
	return fit(all, (size_t)n, names, size);
}

/*
 * Who asks for the size first asks again with a buffer of it: a status may be
 * longer by then, so there is some room more.
 */
static ssize_t read_control(struct filesystem *fs, struct node *node,
			    const struct path *path, const char *name,
			    char *value, size_t size)
{
	owned_memory char *text = NULL;
	ssize_t n = attributes_get(fs, node, &path->at, name, &text);

	if (n > 0 && size == 0 && attributes_may_grow(name))
		return n + n / 4 + 256 < VALUE_MAX ? n + n / 4 + 256 :
						     VALUE_MAX;
	return n < 0 ? n : fit(text, (size_t)n, value, size);
}

/* Name NULL: the list of names. */
static ssize_t read_value(struct filesystem *fs, struct node *node,
			  const struct path *path, const char *name,
			  char *value, size_t size)
{
	if (!name)
		return list_names(fs, node, path, value, size);
	if (attributes_has(name))
		return read_control(fs, node, path, name, value, size);
	return inode_getxattr(&path->at, name, value, size);
}

static void reply_value(fuse_req_t req, fuse_ino_t number, const char *name,
			size_t size)
{
	struct filesystem *fs = filesystem_of(req);
	owned_memory char *value = size ? malloc(size) : NULL;
	struct node *node = node_of_number(&fs->nodes, number);
	owned_path path = PATH_NONE;
	ssize_t n = path_get(&fs->nodes, node, &path);

	if (n == 0 && size && !value)
		n = -ENOMEM;
	if (n == 0)
		n = read_value(fs, node, &path, name, value, size);
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
	file_attributes_changed(node);
	return r;
}

/* ---- the control plane ------------------------------------------------- */

/* One request; the kernel keeps the node until it is answered. */
struct control {
	fuse_req_t req;
	struct request_clock clock;
	struct filesystem *fs;
	struct node *node;
	char *name;
	char *value; /* NULL: remove */
	size_t size;
	int flags;
};

static void control_free(struct control *control)
{
	if (!control)
		return;
	free(control->name);
	free(control->value);
	free(control);
}

static struct control *control_new(fuse_req_t req, fuse_ino_t number,
				   const char *name, const char *value,
				   size_t size, int flags)
{
	struct control *control = calloc(1, sizeof(*control));

	if (!control)
		return NULL;
	control->req = req;
	control->fs = filesystem_of(req);
	control->node = node_of_number(&control->fs->nodes, number);
	control->size = size;
	control->flags = flags;
	control->name = strdup(name);
	if (value) {
		control->value = malloc(size + 1);
		if (control->value && size > 0)
			memcpy(control->value, value, size);
	}
	if (!control->name || (value && !control->value)) {
		control_free(control);
		return NULL;
	}
	return control;
}

static bool interrupted(void *context)
{
	return fuse_req_interrupted(context);
}

static int control_do(const struct control *control)
{
	owned_path path = PATH_NONE;
	int r = path_get(&control->fs->nodes, control->node, &path);
	struct attributes_request request = {
		.fs = control->fs,
		.node = control->node,
		.inode = &path.at,
		.name = control->name,
		.stopped = interrupted,
		.context = control->req,
	};

	if (r < 0)
		return r;
	return control->value ? attributes_set(&request, control->value,
					       control->size, control->flags) :
				attributes_remove(&request);
}

static void control_run(void *argument)
{
	struct control *control = argument;
	int r = control_do(control);

	reply_late(control->req, &control->clock, r);
	control_free(control);
}

/* value NULL: remove. Replies, now or later. */
static void change_control(fuse_req_t req, fuse_ino_t number, const char *name,
			   const char *value, size_t size, int flags)
{
	struct control *control = control_new(req, number, name, value, size,
					      flags);
	int r = control ? credentials_restore() : -ENOMEM;

	if (r == 0 && attributes_may_wait(name)) {
		control->clock = request_take_clock();
		r = filesystem_run(control->fs, control_run, control);
		if (r == 0)
			return;
		current_request.begin = control->clock.begin;
	} else if (r == 0) {
		r = control_do(control);
	}
	control_free(control);
	reply_status(req, r);
}

/* ---- operations -------------------------------------------------------- */

static void op_setxattr(fuse_req_t req, fuse_ino_t number, const char *name,
			const char *value, size_t size, int flags)
{
	struct filesystem *fs = filesystem_of(req);

	if (attributes_has(name)) {
		change_control(req, number, name, value ? value : "", size,
			       flags);
		return;
	}
	reply_status(req, change(fs, node_of_number(&fs->nodes, number), name,
				 value ? value : "", size, flags));
}

static void op_removexattr(fuse_req_t req, fuse_ino_t number, const char *name)
{
	struct filesystem *fs = filesystem_of(req);

	if (attributes_has(name)) {
		change_control(req, number, name, NULL, 0, 0);
		return;
	}
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
