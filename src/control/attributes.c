// SPDX-License-Identifier: Apache-2.0
/*
 * The table is made from the one list. Policies have no functions of their
 * own: parsing and formatting is policy.h's, keeping policy_store.h's.
 */
#include "control/attributes.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "control/action.h"
#include "control/metrics.h"
#include "control/status.h"
#include "core/file.h"
#include "core/filesystem.h"
#include "os/pagecache.h"
#include "util/cleanup.h"
#include "util/line.h"
#include "util/log.h"
#include "util/text.h"

struct attribute {
	const char *name;
	enum attribute_kind kind;
	unsigned where;
};

static const struct attribute attributes[] = {
#define ATTRIBUTE(name, kind, where, values, help) \
	{ name, attribute_##kind, where },
	ATTRIBUTE_LIST(ATTRIBUTE)
#undef ATTRIBUTE
};

#define PREFIX_LENGTH (sizeof(ATTRIBUTE_PREFIX) - 1)
#define ERROR_MAX 512

bool attributes_has(const char *name)
{
	return strncmp(name, ATTRIBUTE_PREFIX, PREFIX_LENGTH) == 0;
}

static unsigned where_of(const struct filesystem *fs, const struct node *node)
{
	if (S_ISREG(node->type))
		return attribute_on_file;
	if (!S_ISDIR(node->type))
		return 0;
	return attribute_on_directory |
	       (node == fs->nodes.root ? attribute_on_root : 0);
}

/* NULL: there is none of that name, of all or for this kind of file. */
static const struct attribute *find(const char *name, unsigned where)
{
	for (size_t i = 0; i < sizeof(attributes) / sizeof(attributes[0]);
	     i++) {
		if (strcmp(attributes[i].name, name + PREFIX_LENGTH) == 0 &&
		    (attributes[i].where & where))
			return &attributes[i];
	}
	return NULL;
}

bool attributes_may_wait(const char *name)
{
	const struct attribute *attribute = find(name, ~0u);

	return attribute && (attribute->kind == attribute_action ||
			     strcmp(attribute->name, "lock") == 0 ||
			     strcmp(attribute->name, "map") == 0);
}

bool attributes_may_grow(const char *name)
{
	const struct attribute *attribute = find(name, ~0u);

	return attribute && attribute->kind == attribute_status;
}

/* error names the attribute, without the prefix, and the value. */
static void log_error_of(const struct attributes_request *request,
			 const char *error)
{
	char line[PATH_MAX + ERROR_MAX];
	char path[PATH_MAX];

	/* What the log calls a file is its path in the store. */
	inode_read_path(request->inode->fd, path);
	line_fail(line, sizeof(line), EINVAL, "%s: " ATTRIBUTE_PREFIX "%s",
		  path, error);
	log_event(event_attribute_refused, "%s", line);
	counter_add(&request->fs->counters.refused, 1);
}

static void log_refusal(const struct attributes_request *request,
			const char *value, size_t size, const char *reason)
{
	char error[ERROR_MAX];

	if (size > 128)
		size = 128;
	snprintf(error, sizeof(error), "%s=%.*s: %s",
		 request->name + PREFIX_LENGTH, (int)size, value, reason);
	log_error_of(request, error);
}

/* ---- reading ----------------------------------------------------------- */

static ssize_t get_policy(struct filesystem *fs, struct node *node,
			  const struct inode_handle *inode,
			  enum policy_name name, char **value)
{
	char text[POLICY_TEXT_MAX];
	struct policy own;
	struct store_id id;
	size_t length;
	int r;

	node_id(node, &id);
	r = policy_store_load(&fs->policies, &id, inode, &own, NULL);
	if (r < 0)
		return r;
	if (!policy_has(&own, name))
		return -ENODATA;
	length = policy_format(&own, name, text);
	*value = strndup(text, length);
	return *value ? (ssize_t)length : -ENOMEM;
}

static int write_status(struct filesystem *fs, struct node *node,
			const struct inode_handle *inode, const char *name,
			FILE *out)
{
	if (strcmp(name, "status") == 0)
		return status_of_node(fs, node, inode, out);
	if (strcmp(name, "stats") == 0)
		return status_of_mount(fs, out);
	if (strcmp(name, "metrics") == 0)
		return metrics_write_attribute(fs, out);
	if (strcmp(name, "files") == 0)
		return status_of_files(fs, out);
	if (strcmp(name, "residency") == 0)
		return status_residency(fs, node, out);
	return status_residency_map(fs, node, out);
}

static ssize_t get_status(struct filesystem *fs, struct node *node,
			  const struct inode_handle *inode, const char *name,
			  char **value)
{
	size_t length = 0;
	FILE *out = text_open(value, &length);
	int r;

	if (!out)
		return -ENOMEM;
	r = write_status(fs, node, inode, name, out);
	if (text_close(out) < 0 && r == 0)
		r = -ENOMEM;
	return r < 0 ? r : (ssize_t)length;
}

ssize_t attributes_get(struct filesystem *fs, struct node *node,
		       const struct inode_handle *inode, const char *name,
		       char **value)
{
	const struct attribute *attribute = find(name, where_of(fs, node));

	*value = NULL;
	if (!attribute || attribute->kind == attribute_action)
		return -ENODATA;
	if (attribute->kind == attribute_status)
		return get_status(fs, node, inode, attribute->name, value);
	return get_policy(fs, node, inode, policy_of_key(attribute->name),
			  value);
}

ssize_t attributes_list_more(struct filesystem *fs, struct node *node,
			     char **names)
{
	struct policy own;
	struct store_id id;
	size_t length = 0;
	FILE *out;

	*names = NULL;
	if (fs->policies.count == 0)
		return 0;
	node_id(node, &id);
	if (!policy_store_in_memory(&fs->policies, &id, &own))
		return 0;
	out = text_open(names, &length);
	if (!out)
		return -ENOMEM;
	for (unsigned i = 0; i < POLICY_NAMES; i++) {
		if (policy_has(&own, (enum policy_name)i))
			fprintf(out, ATTRIBUTE_PREFIX "%s%c",
				policy_key((enum policy_name)i), '\0');
	}
	return text_close(out) == 0 ? (ssize_t)length : -ENOMEM;
}

/* ---- setting ----------------------------------------------------------- */

/* What `echo` and C programs leave at the end doesn't count. */
static size_t length_of(const char *value, size_t size)
{
	while (size > 0 && (value[size - 1] == '\0' ||
			    value[size - 1] == '\n' ||
			    value[size - 1] == '\r' ||
			    value[size - 1] == '\t' || value[size - 1] == ' '))
		size--;
	return size;
}

/* What lock these make it; a file that isn't to be held is let go. */
static enum policy_lock drop_unlocked(const struct attributes_request *request,
				      const struct policy *own)
{
	struct policy effective;
	struct store_id id;

	policy_in_force(request->fs, request->node, own, &effective, NULL);
	node_id(request->node, &id);
	if (effective.lock == policy_lock_off)
		hold_drop(&request->fs->holds, &id);
	file_note_hold(request->fs, request->node);
	return effective.lock;
}

/* The file's pages are held, or let go, before the policy is kept. */
static int apply_lock(const struct attributes_request *request,
		      const struct policy *own)
{
	struct filesystem *fs = request->fs;
	enum policy_lock lock;
	struct store_id id;

	if (!S_ISREG(request->node->type))
		return 0;
	lock = drop_unlocked(request, own);
	if (lock == policy_lock_off)
		return 0;
	owned_fd fd = file_open_descriptor(fs, request->node, O_RDONLY);
	if (fd < 0)
		return fd;
	node_id(request->node, &id);
	int r = hold_set(&fs->holds, &id, fd, lock == policy_lock_onfault);
	file_note_hold(fs, request->node);
	return r;
}

/* They have changed in the store to these: who uses them learns it. */
static int put_in_force(const struct attributes_request *request,
			const struct policy *own)
{
	struct node *node = request->node;
	struct file *file;
	int r = 0;

	if (S_ISDIR(node->type)) {
		directory_policies_changed(node);
		return 0;
	}
	file = file_of_node(node);
	if (file) {
		r = file_set_policies(file, own);
		file_release(file);
	}
	/* Whoever held it anew meanwhile saw the old policy. */
	drop_unlocked(request, own);
	return r;
}

/* What can't act here is refused now and not found out later. */
static int check_effect(const struct attributes_request *request,
			enum policy_name name, const struct policy *own,
			const char **reason)
{
	const struct store *store = &request->fs->store;
	int r = 0;

	if (name == policy_sync && own->fsync != policy_fsync_defer &&
	    request->fs->settings.no_fsync) {
		*reason = "the mount has -o nofsync: every fsync is deferred";
		return -EOPNOTSUPP;
	}
	if (name == policy_map && own->map == policy_map_staged &&
	    request->fs->settings.no_fsync) {
		*reason = "the mount has -o nofsync: commits would lose their "
			  "order";
		return -EOPNOTSUPP;
	}
	if (name == policy_lock)
		r = apply_lock(request, own);
	else if (name == policy_map)
		r = file_settle(request->fs, request->node);
	else if (name == policy_advise && own->huge == policy_hugepage)
		r = pagecache_try_huge(
			store->mounts[request->node->id_mount].fd);
	*reason = name == policy_advise ? "the store has no huge pages" :
		  r == -ENOMEM		? "more than -o lock-limit allows" :
					  strerror(-r);
	return r;
}

static int set_policy(const struct attributes_request *request,
		      enum policy_name name, const char *value, size_t length,
		      int flags)
{
	struct filesystem *fs = request->fs;
	char error[ERROR_MAX];
	const char *reason;
	struct policy own;
	struct store_id id;
	int r;

	node_id(request->node, &id);
	r = policy_store_load(&fs->policies, &id, request->inode, &own, NULL);
	if (r < 0)
		return r;
	struct policy before = own;
	r = policy_parse(&own, name, value, length, error, sizeof(error));
	if (r < 0) {
		log_error_of(request, error);
		return r;
	}
	r = check_effect(request, name, &own, &reason);
	if (r < 0) {
		log_refusal(request, value, length, reason);
		return r;
	}
	r = policy_store_save(&fs->policies, &id, request->inode, &own, name,
			      flags);
	if (r < 0 && name == policy_lock)
		apply_lock(request, &before);
	return r < 0 ? r : put_in_force(request, &own);
}

static int act(const struct attributes_request *request, const char *name,
	       const char *value, size_t length)
{
	char error[ERROR_MAX] = "";
	int r;

	if (strcmp(name, "advise.now") == 0)
		r = action_advise(request, value, length, error,
				  sizeof(error));
	else if (strcmp(name, "sync.now") == 0)
		r = action_sync(request, value, length, error, sizeof(error));
	else
		r = action_discard(request, value, length, error,
				   sizeof(error));
	if (error[0])
		log_refusal(request, value, length, error);
	return r;
}

int attributes_set(const struct attributes_request *request,
		   const char *value, size_t size, int flags)
{
	const struct attribute *attribute =
		find(request->name, where_of(request->fs, request->node));
	size_t length = length_of(value, size);

	if (!attribute) {
		log_refusal(request, value, length,
			    find(request->name, ~0u) ?
				    "not for this kind of file" :
				    "no attribute has this name");
		return -EINVAL;
	}
	switch (attribute->kind) {
	case attribute_status:
		log_refusal(request, value, length, "can only be read");
		return -EPERM;
	case attribute_action:
		return act(request, attribute->name, value, length);
	default:
		return set_policy(request, policy_of_key(attribute->name),
				  value, length, flags);
	}
}

int attributes_remove(const struct attributes_request *request)
{
	struct filesystem *fs = request->fs;
	const struct attribute *attribute =
		find(request->name, where_of(fs, request->node));
	enum policy_name name;
	struct policy own;
	struct store_id id;
	int r;

	if (!attribute || attribute->kind == attribute_action)
		return -ENODATA;
	if (attribute->kind == attribute_status)
		return -EPERM;
	name = policy_of_key(attribute->name);
	node_id(request->node, &id);
	/* What is left is known before anything is changed. */
	r = policy_store_load(&fs->policies, &id, request->inode, &own, NULL);
	if (r == 0 && name == policy_map)
		r = file_settle(fs, request->node);
	if (r == 0)
		r = policy_store_remove(&fs->policies, &id, request->inode,
					name);
	if (r < 0)
		return r;
	policy_copy(&own, &policy_builtin, name);
	if (name == policy_lock)
		(void)apply_lock(request, &own);
	return put_in_force(request, &own);
}
