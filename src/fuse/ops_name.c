// SPDX-License-Identifier: Apache-2.0
/*
 * Names: look them up, make, link, move and remove them. The kernel has
 * checked permissions (default_permissions) and holds the directory's lock.
 *
 * An inode that loses its last name can't be opened by handle any more, but
 * may still be somebody's working directory or O_PATH descriptor. So it is
 * opened before (struct doomed) and pinned until the kernel forgets it.
 */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "core/file.h"
#include "core/stage.h"
#include "fuse/entry.h"
#include "fuse/reply.h"
#include "fuse/request.h"
#include "os/credentials.h"
#include "util/cleanup.h"
#include "util/log.h"

static struct node *node_of(fuse_req_t req, fuse_ino_t number)
{
	return node_of_number(&filesystem_of(req)->nodes, number);
}

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct filesystem *fs = filesystem_of(req);
	struct node *directory = node_of(req, parent);
	struct fuse_entry_param entry;
	owned_path path = PATH_NONE;
	int r = path_get(&fs->nodes, directory, &path);

	if (r == 0)
		r = entry_find(fs, path.at.fd, directory, name, &entry);
	path_put(&path);
	if (r == -ENOENT && fs->settings.negative_timeout > 0) {
		entry = (struct fuse_entry_param){
			.entry_timeout = fs->settings.negative_timeout,
		};
		r = 0;
	}
	reply_entry(req, r, &entry);
}

static void op_forget(fuse_req_t req, fuse_ino_t number, uint64_t count)
{
	node_forget(&filesystem_of(req)->nodes, node_of(req, number), count);
	fuse_reply_none(req);
}

static void op_forget_multi(fuse_req_t req, size_t count,
			    struct fuse_forget_data *forgets)
{
	for (size_t i = 0; i < count; i++)
		node_forget(&filesystem_of(req)->nodes,
			    node_of(req, forgets[i].ino), forgets[i].nlookup);
	fuse_reply_none(req);
}

static void op_readlink(fuse_req_t req, fuse_ino_t number)
{
	char target[PATH_MAX + 1];
	owned_path path = PATH_NONE;
	int r = path_get(&filesystem_of(req)->nodes, node_of(req, number),
			 &path);
	ssize_t n = -1;

	if (r == 0) {
		n = readlinkat(path.at.fd, "", target, sizeof(target));
		if (n < 0)
			r = -errno;
		else if ((size_t)n == sizeof(target))
			r = -ENAMETOOLONG;
	}
	path_put(&path);
	if (r < 0) {
		reply_status(req, r);
		return;
	}
	target[n] = '\0';
	fuse_reply_readlink(req, target);
}

/* ---- making ------------------------------------------------------------ */

/* A setgid bit in the mode is kept for members of the group only. */
static int assume_maker(mode_t mode, mode_t mask)
{
	const struct caller *caller = &current_request.caller;

	credentials_umask(mask);
	if (mode & S_ISGID)
		return credentials_assume_with_groups(caller);
	return credentials_assume(caller);
}

struct making {
	mode_t mode;
	dev_t device;
	const char *target; /* of a symbolic link, else NULL */
};

static int make_at(int fd, const char *name, const struct making *what)
{
	int r;

	if (what->target)
		r = symlinkat(what->target, fd, name);
	else if (S_ISDIR(what->mode))
		r = mkdirat(fd, name, what->mode & ~(mode_t)S_IFMT);
	else
		r = mknodat(fd, name, what->mode, what->device);
	return r < 0 ? -errno : 0;
}

static void unmake(const struct path *path, const char *name)
{
	if (unlinkat(path->at.fd, name, 0) < 0 && errno == EISDIR)
		unlinkat(path->at.fd, name, AT_REMOVEDIR);
}

/* What is just made and can't be handed over is not made at all. */
static int find_made(struct filesystem *fs, const struct path *path,
		     struct node *directory, const char *name,
		     struct fuse_entry_param *entry)
{
	int r = entry_find(fs, path->at.fd, directory, name, entry);

	if (r < 0)
		unmake(path, name);
	return r;
}

/* Files and directories; user attributes are for no others (xattr(7)). */
static int inherit(struct filesystem *fs, const struct path *path,
		   struct node *directory, const char *name,
		   const struct fuse_entry_param *entry)
{
	struct policy policies;
	int r;

	if (!S_ISREG(entry->attr.st_mode) && !S_ISDIR(entry->attr.st_mode))
		return 0;
	r = directory_policies(fs, directory, &path->at, &policies);
	if (r < 0 || !policies.set)
		return r;
	owned_fd fd = openat(path->at.fd, name,
			     O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	return entry_inherit(fs, node_of_number(&fs->nodes, entry->ino), fd,
			     &policies);
}

static void make(fuse_req_t req, fuse_ino_t parent, const char *name,
		 const struct making *what)
{
	struct filesystem *fs = filesystem_of(req);
	struct node *directory = node_of(req, parent);
	struct fuse_entry_param entry;
	owned_path path = PATH_NONE;
	int r = entry_make_way(fs, directory, name);

	if (r == 0)
		r = path_get(&fs->nodes, directory, &path);
	if (r == 0)
		r = assume_maker(what->mode, fuse_req_ctx(req)->umask);
	if (r == 0)
		r = make_at(path.at.fd, name, what);
	if (r == 0)
		filesystem_note_names(fs, directory);
	if (r == 0)
		r = find_made(fs, &path, directory, name, &entry);
	if (r == 0) {
		r = inherit(fs, &path, directory, name, &entry);
		if (r < 0) {
			unmake(&path, name);
			entry_drop(fs, &entry);
		}
	}
	path_put(&path);
	reply_entry(req, r, &entry);
}

static void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name,
		     mode_t mode, dev_t device)
{
	make(req, parent, name,
	     &(struct making){ .mode = mode, .device = device });
}

static void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name,
		     mode_t mode)
{
	make(req, parent, name, &(struct making){ .mode = mode | S_IFDIR });
}

static void op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent,
		       const char *name)
{
	make(req, parent, name, &(struct making){ .target = target });
}

static int link_to(struct filesystem *fs, struct node *node,
		   struct node *directory, const char *name,
		   struct fuse_entry_param *entry)
{
	owned_path from = PATH_NONE;
	owned_path into = PATH_NONE;
	int r = entry_make_way(fs, directory, name);

	if (r == 0)
		r = path_get(&fs->nodes, node, &from);
	if (r == 0)
		r = path_get(&fs->nodes, directory, &into);
	if (r == 0)
		r = file_linking(fs, node);
	if (r == 0)
		r = stage_order(fs->stage, NULL);
	if (r < 0)
		return r;
	struct inode_path source = inode_path_of(from.at.fd);
	if (linkat(AT_FDCWD, source.text, into.at.fd, name,
		   AT_SYMLINK_FOLLOW) < 0)
		return -errno;
	filesystem_note_names(fs, directory);
	return find_made(fs, &into, directory, name, entry);
}

static void op_link(fuse_req_t req, fuse_ino_t number, fuse_ino_t parent,
		    const char *name)
{
	struct fuse_entry_param entry;
	int r = credentials_restore();

	if (r == 0)
		r = link_to(filesystem_of(req), node_of(req, number),
			    node_of(req, parent), name, &entry);
	reply_entry(req, r, &entry);
}

/* ---- removing and moving ----------------------------------------------- */

struct doomed {
	int fd;
	struct node *node; /* one look-up held; NULL: not known to anyone */
};

/* 0 or -errno; a name that isn't there, or leads elsewhere, is no error. */
static int doomed_find(struct filesystem *fs, int parent_fd, const char *name,
		       struct doomed *doomed)
{
	struct store_id id;
	int r;

	doomed->node = NULL;
	doomed->fd = openat(parent_fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (doomed->fd < 0)
		return errno == ENOENT ? 0 : -errno;
	r = store_identify(&fs->store, doomed->fd, &id);
	if (r == 0)
		doomed->node = node_get(&fs->nodes, &id);
	return r == -EXDEV ? 0 : r;
}

static bool is_last_name(const struct doomed *doomed)
{
	struct stat st;

	return S_ISDIR(doomed->node->type) || fstat(doomed->fd, &st) < 0 ||
	       st.st_nlink == 0;
}

static bool is_unreachable(struct filesystem *fs, const struct doomed *doomed)
{
	return !fs->store.by_handle || is_last_name(doomed);
}

static void doomed_pin(struct filesystem *fs, struct doomed *doomed)
{
	path_pin(&fs->paths, doomed->node, doomed->fd);
	doomed->fd = -1;
}

/* removed: the name is gone, and perhaps the inode with it. */
static void doomed_settle(struct filesystem *fs, struct doomed *doomed,
			  bool removed)
{
	struct store_id id;

	if (removed && doomed->node && is_last_name(doomed)) {
		file_unlinked(fs, doomed->node);
		node_id(doomed->node, &id);
		policy_store_forget(&fs->policies, &id);
		hold_drop(&fs->holds, &id);
		file_note_hold(fs, doomed->node);
	}
	if (removed && doomed->node && is_unreachable(fs, doomed))
		doomed_pin(fs, doomed);
	if (doomed->node)
		node_forget(&fs->nodes, doomed->node, 1);
	if (doomed->fd >= 0)
		close(doomed->fd);
}

/*
 * Data that an fsync has ordered before this goes first, or it goes with
 * that: 1 if it will.
 */
static int order_removal(struct filesystem *fs, struct node *directory,
			 int parent_fd, const char *name, int flags,
			 struct doomed *doomed)
{
	struct staged *staged = NULL;
	struct stat st;
	bool ordered;

	/* The store's directory must be as empty as programs see it. */
	if ((flags & AT_REMOVEDIR) && stage_has_removals(fs->stage))
		return stage_settle_removals(fs->stage);
	if (doomed->node && fstat(doomed->fd, &st) == 0 && st.st_nlink == 1)
		staged = file_staged_of(doomed->node);
	ordered = stage_is_ordered(fs->stage, staged);
	if (staged)
		staged_put(staged);
	if (!ordered)
		return 0;
	if (staged && S_ISREG(doomed->node->type) &&
	    file_remove_later(fs, directory, parent_fd, name, doomed->node) ==
		    0) {
		doomed_pin(fs, doomed);
		return 1;
	}
	return stage_commit(fs->stage, commit_by_order);
}

static void remove_name(fuse_req_t req, fuse_ino_t parent, const char *name,
			int flags)
{
	struct filesystem *fs = filesystem_of(req);
	struct node *directory = node_of(req, parent);
	struct doomed doomed = { .fd = -1 };
	owned_path path = PATH_NONE;
	bool removed = false;
	int r = entry_is_hidden(fs, directory, name) ?
			-ENOENT :
			path_get(&fs->nodes, directory, &path);

	if (r == 0)
		r = doomed_find(fs, path.at.fd, name, &doomed);
	if (r == 0)
		r = order_removal(fs, directory, path.at.fd, name, flags,
				  &doomed);
	if (r == 0) {
		r = unlinkat(path.at.fd, name, flags) < 0 ? -errno : 0;
		removed = r == 0;
	}
	if (removed)
		filesystem_note_names(fs, directory);
	doomed_settle(fs, &doomed, removed);
	path_put(&path);
	reply_status(req, r < 0 ? r : 0);
}

static void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	remove_name(req, parent, name, 0);
}

static void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	remove_name(req, parent, name, AT_REMOVEDIR);
}

/* Nodes whose names are kept learn their new one. */
static void note_name(struct filesystem *fs, int parent_fd,
		      struct node *directory, const char *name)
{
	struct fuse_entry_param entry;

	if (fs->store.by_handle && !fs->nodes.keeps_names)
		return;
	if (entry_find(fs, parent_fd, directory, name, &entry) == 0)
		entry_drop(fs, &entry);
}

/*
 * What an fsync has ordered goes first, and the data of a file that takes the
 * place of another.
 */
static int order_rename(struct filesystem *fs, int source_fd,
			const char *name, const struct doomed *doomed,
			unsigned flags)
{
	struct doomed source = { .fd = -1 };
	struct staged *staged = NULL;
	int r = stage_order(fs->stage, NULL);

	if (r < 0 || !stage_is_dirty(fs->stage))
		return r;
	if (flags & RENAME_EXCHANGE)
		return stage_commit(fs->stage, commit_by_order);
	if (doomed->fd < 0)
		return 0;
	r = doomed_find(fs, source_fd, name, &source);
	if (r == 0 && source.node)
		staged = file_staged_of(source.node);
	/* It is complete, whoever has it open: it takes another's place. */
	if (staged) {
		staged_rewritten(staged);
		staged_put(staged);
	}
	if (r == 0 && source.node && file_is_uncommitted(source.node))
		r = stage_commit(fs->stage, commit_by_order);
	doomed_settle(fs, &source, false);
	return r;
}

static int rename_between(struct filesystem *fs, struct node *from,
			  const char *name, struct node *to,
			  const char *new_name, unsigned flags)
{
	struct doomed doomed = { .fd = -1 };
	owned_path source = PATH_NONE;
	owned_path target = PATH_NONE;
	int r = 0;

	if (entry_is_hidden(fs, from, name))
		r = -ENOENT;
	if (r == 0)
		r = entry_make_way(fs, to, new_name);
	if (r == 0)
		r = path_get(&fs->nodes, from, &source);
	if (r == 0)
		r = path_get(&fs->nodes, to, &target);
	if (r < 0)
		return r;
	if (flags == 0)
		r = doomed_find(fs, target.at.fd, new_name, &doomed);
	if (r == 0)
		r = order_rename(fs, source.at.fd, name, &doomed, flags);
	if (r == 0 && renameat2(source.at.fd, name, target.at.fd, new_name,
				flags) < 0)
		r = -errno;
	doomed_settle(fs, &doomed, r == 0);
	if (r == 0) {
		filesystem_note_names(fs, from);
		filesystem_note_names(fs, to);
		note_name(fs, target.at.fd, to, new_name);
		if (flags & RENAME_EXCHANGE)
			note_name(fs, source.at.fd, from, name);
	}
	return r;
}

static void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name,
		      fuse_ino_t new_parent, const char *new_name,
		      unsigned flags)
{
	reply_status(req, rename_between(filesystem_of(req),
					 node_of(req, parent), name,
					 node_of(req, new_parent), new_name,
					 flags));
}

void ops_name_add(struct fuse_lowlevel_ops *ops)
{
	ops->lookup = op_lookup;
	ops->forget = op_forget;
	ops->forget_multi = op_forget_multi;
	ops->readlink = op_readlink;
	ops->mknod = op_mknod;
	ops->mkdir = op_mkdir;
	ops->symlink = op_symlink;
	ops->link = op_link;
	ops->unlink = op_unlink;
	ops->rmdir = op_rmdir;
	ops->rename = op_rename;
}
