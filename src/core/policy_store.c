// SPDX-License-Identifier: Apache-2.0
/*
 * Most files have no policy, so loading asks for the list of names first:
 * one call then tells. What could not be stored is looked up only if there
 * is any such entry at all.
 *
 * An attribute that the store refuses (ENOTSUP, ENOSPC, EDQUOT, a file that
 * we may not write) goes to memory; the store's own value, should there be
 * one, is then the older and memory wins.
 */
#include "core/policy_store.h"

#include <errno.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#include "util/cleanup.h"
#include "util/log.h"

#define PREFIX "user.msyncfs."
#define NAMES_MAX 4096

struct remembered {
	struct store_id id;
	struct policy policy;
};

struct attribute_name {
	char text[64];
};

static struct attribute_name attribute_of(enum policy_name name)
{
	struct attribute_name attribute;

	snprintf(attribute.text, sizeof(attribute.text), PREFIX "%s",
		 policy_key(name));
	return attribute;
}

static int compare_ids(const void *a, const void *b)
{
	const struct store_id *one = a;
	const struct store_id *two = b;

	if (one->type != two->type)
		return one->type < two->type ? -1 : 1;
	if (one->mount != two->mount)
		return one->mount < two->mount ? -1 : 1;
	if (one->length != two->length)
		return one->length < two->length ? -1 : 1;
	return memcmp(one->bytes, two->bytes, one->length);
}

void policy_store_init(struct policy_store *policies)
{
	lock_init(&policies->lock);
	policies->entries = NULL;
	policies->count = 0;
}

void policy_store_fini(struct policy_store *policies)
{
	while (policies->entries) {
		struct remembered **top = policies->entries;
		struct remembered *entry = *top;

		tdelete(entry, &policies->entries, compare_ids);
		free(entry);
	}
	lock_fini(&policies->lock);
}

/* ---- in memory --------------------------------------------------------- */

static struct remembered *find_locked(struct policy_store *policies,
				 const struct store_id *id)
{
	struct remembered **found = tfind(id, &policies->entries, compare_ids);

	return found ? *found : NULL;
}

static void drop_locked(struct policy_store *policies, struct remembered *entry)
{
	tdelete(entry, &policies->entries, compare_ids);
	free(entry);
	atomic_fetch_sub(&policies->count, 1);
}

static struct remembered *add_locked(struct policy_store *policies,
				const struct store_id *id)
{
	struct remembered *entry = calloc(1, sizeof(*entry));

	if (!entry)
		return NULL;
	entry->id.type = id->type;
	entry->id.mount = id->mount;
	entry->id.length = id->length;
	memcpy(entry->id.bytes, id->bytes, id->length);
	entry->policy = policy_builtin;
	if (!tsearch(entry, &policies->entries, compare_ids)) {
		free(entry);
		return NULL;
	}
	atomic_fetch_add(&policies->count, 1);
	return entry;
}

bool policy_store_in_memory(struct policy_store *policies,
			    const struct store_id *id, struct policy *found)
{
	struct remembered *entry;

	if (policies->count == 0)
		return false;
	lock_take(&policies->lock, lock_rank_policy_store);
	entry = find_locked(policies, id);
	if (entry)
		*found = entry->policy;
	lock_drop(&policies->lock, lock_rank_policy_store);
	return entry;
}

static int remember(struct policy_store *policies, const struct store_id *id,
		    const struct policy *value, enum policy_name name)
{
	struct remembered *entry;

	lock_take(&policies->lock, lock_rank_policy_store);
	entry = find_locked(policies, id);
	if (!entry)
		entry = add_locked(policies, id);
	if (entry)
		policy_copy(&entry->policy, value, name);
	lock_drop(&policies->lock, lock_rank_policy_store);
	return entry ? 0 : -ENOMEM;
}

/* True when it was there. */
static bool unremember(struct policy_store *policies,
		       const struct store_id *id, enum policy_name name)
{
	struct remembered *entry;
	bool had = false;

	if (policies->count == 0)
		return false;
	lock_take(&policies->lock, lock_rank_policy_store);
	entry = find_locked(policies, id);
	if (entry) {
		had = policy_has(&entry->policy, name);
		policy_copy(&entry->policy, &policy_builtin, name);
		if (entry->policy.set == 0)
			drop_locked(policies, entry);
	}
	lock_drop(&policies->lock, lock_rank_policy_store);
	return had;
}

void policy_store_forget(struct policy_store *policies,
			 const struct store_id *id)
{
	struct remembered *entry;

	if (policies->count == 0)
		return;
	lock_take(&policies->lock, lock_rank_policy_store);
	entry = find_locked(policies, id);
	if (entry)
		drop_locked(policies, entry);
	lock_drop(&policies->lock, lock_rank_policy_store);
}

/* ---- in the store ------------------------------------------------------ */

/*
 * Not there, or not for us: a plain user's daemon can't read the attributes
 * of a file that may only be written.
 */
static bool is_absent(ssize_t r)
{
	return r == -ENODATA || r == -EOPNOTSUPP || r == -EACCES ||
	       r == -EPERM;
}

static int load_one(const struct inode_handle *inode, enum policy_name name,
		    struct policy *own)
{
	struct attribute_name attribute = attribute_of(name);
	char error[512];
	char text[4096];
	ssize_t n = inode_getxattr(inode, attribute.text, text, sizeof(text));

	if (n < 0)
		return is_absent(n) ? 0 : (int)n;
	if (policy_parse(own, name, text, (size_t)n, error,
			 sizeof(error)) < 0) {
		char path[PATH_MAX];

		inode_read_path(inode->fd, path);
		log_event(event_policy_ignored, "what is stored for '%s': %s",
			  path, error);
	}
	return 0;
}

static int load_named(const struct inode_handle *inode, const char *names,
		       size_t size, struct policy *own)
{
	size_t prefix = strlen(PREFIX);
	int r = 0;

	for (size_t at = 0; r == 0 && at < size; at += strlen(names + at) + 1) {
		enum policy_name name;

		if (strncmp(names + at, PREFIX, prefix) != 0)
			continue;
		name = policy_of_key(names + at + prefix);
		if (name != POLICY_NAMES)
			r = load_one(inode, name, own);
	}
	return r;
}

int policy_store_load(struct policy_store *policies,
		      const struct store_id *id,
		      const struct inode_handle *inode, struct policy *own,
		      bool *in_memory)
{
	char names[NAMES_MAX];
	struct policy kept;
	ssize_t n = inode_listxattr(inode, names, sizeof(names));
	bool found;
	int r = 0;

	*own = policy_builtin;
	if (n > 0)
		r = load_named(inode, names, (size_t)n, own);
	else if (n == -ERANGE || n == -E2BIG)
		for (unsigned i = 0; r == 0 && i < POLICY_NAMES; i++)
			r = load_one(inode, (enum policy_name)i, own);
	else if (n < 0 && !is_absent(n))
		r = (int)n;
	if (r < 0)
		return r;
	found = policy_store_in_memory(policies, id, &kept);
	for (unsigned i = 0; found && i < POLICY_NAMES; i++) {
		if (policy_has(&kept, (enum policy_name)i))
			policy_copy(own, &kept, (enum policy_name)i);
	}
	if (in_memory)
		*in_memory = found;
	return 0;
}

/* 1, 0, or -errno. */
static int is_set(struct policy_store *policies, const struct store_id *id,
		  const struct inode_handle *inode, enum policy_name name)
{
	struct attribute_name attribute = attribute_of(name);
	struct policy kept;
	ssize_t n;

	if (policy_store_in_memory(policies, id, &kept) &&
	    policy_has(&kept, name))
		return 1;
	n = inode_getxattr(inode, attribute.text, NULL, 0);
	if (n < 0)
		return is_absent(n) ? 0 : (int)n;
	return 1;
}

static int keep_in_memory(struct policy_store *policies,
			  const struct store_id *id,
			  const struct policy *value, enum policy_name name,
			  int reason)
{
	switch (-reason) {
	case EOPNOTSUPP:
	case ENOSPC:
	case EDQUOT:
	case E2BIG:
	case EACCES:
	case EPERM:
	case EROFS:
		break;
	default:
		return reason;
	}
	log_event(event_policy_unstored, "a policy can't be stored in a "
		  "file's attributes (%s): it holds until the unmount",
		  strerror(-reason));
	return remember(policies, id, value, name);
}

int policy_store_save(struct policy_store *policies,
		      const struct store_id *id,
		      const struct inode_handle *inode,
		      const struct policy *value, enum policy_name name,
		      int flags)
{
	struct attribute_name attribute = attribute_of(name);
	char text[POLICY_TEXT_MAX];
	size_t length = policy_format(value, name, text);
	int r;

	if (flags & (XATTR_CREATE | XATTR_REPLACE)) {
		r = is_set(policies, id, inode, name);
		if (r < 0)
			return r;
		if (r == 1 && (flags & XATTR_CREATE))
			return -EEXIST;
		if (r == 0 && (flags & XATTR_REPLACE))
			return -ENODATA;
	}
	r = inode_setxattr(inode, attribute.text, text, length, 0);
	if (r < 0)
		return keep_in_memory(policies, id, value, name, r);
	unremember(policies, id, name);
	return 0;
}

int policy_store_remove(struct policy_store *policies,
			const struct store_id *id,
			const struct inode_handle *inode,
			enum policy_name name)
{
	struct attribute_name attribute = attribute_of(name);
	bool had = unremember(policies, id, name);
	int r = inode_removexattr(inode, attribute.text);

	if (r == -EOPNOTSUPP)
		r = -ENODATA;
	return had && r == -ENODATA ? 0 : r;
}

int policy_store_inherit(struct policy_store *policies,
			 const struct store_id *id,
			 const struct inode_handle *inode,
			 const struct policy *parent)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < POLICY_NAMES; i++) {
		if (policy_has(parent, (enum policy_name)i))
			r = policy_store_save(policies, id, inode, parent,
					      (enum policy_name)i, 0);
	}
	return r;
}
