// SPDX-License-Identifier: Apache-2.0
/*
 * Attributes of an inode and of the file system. The kernel has decided what
 * the caller may change, also which setgid bit a chmod may keep; what it
 * leaves to us (KILLPRIV_V2) is that truncation and chown clear setuid,
 * setgid and capabilities as the caller's rights demand. The store's file
 * system does that itself when it is asked with those rights.
 */
#include <fcntl.h>
#include <sys/statvfs.h>

#include "core/file.h"
#include "fuse/entry.h"
#include "fuse/handshake.h"
#include "fuse/reply.h"
#include "fuse/request.h"
#include "fuse/wire.h"
#include "util/cleanup.h"

#define SET_OWNER (FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID)
#define SET_TIMES                                        \
	(FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_MTIME |     \
	 FUSE_SET_ATTR_ATIME_NOW | FUSE_SET_ATTR_MTIME_NOW)

/*
 * Gives the path back first: once the reply is out, the kernel may forget the
 * node, and another thread free it.
 */
static void reply_attributes(fuse_req_t req, struct node *node,
			     struct path *path, int r)
{
	struct stat st;
	double timeout = 0;

	if (r == 0 && fstat(path->at.fd, &st) < 0)
		r = -errno;
	if (r == 0)
		r = file_overlay(node, &st);
	/* The next write is to be seen as a change, within one tick too. */
	if (S_ISREG(node->type))
		file_times_set(node);
	if (r == 0) {
		st.st_ino = node->ino;
		timeout = entry_attr_timeout(filesystem_of(req), node, &st);
	}
	path_put(path);
	if (r < 0)
		reply_status(req, r);
	else
		fuse_reply_attr(req, &st, timeout);
}

static void op_getattr(fuse_req_t req, fuse_ino_t number,
		       struct fuse_file_info *fi)
{
	struct filesystem *fs = filesystem_of(req);
	struct node *node = node_of_number(&fs->nodes, number);
	owned_path path = PATH_NONE;
	int r = path_get(&fs->nodes, node, &path);

	(void)fi;
	reply_attributes(req, node, &path, r);
}

static struct wire_time wire_time_of(const struct statx_timestamp *time)
{
	return (struct wire_time){
		.seconds = time->tv_sec,
		.nanoseconds = time->tv_nsec,
	};
}

/* What is staged has another size and time than the store's file. */
static int overlay_statx(struct node *node, struct statx *stx)
{
	struct stat st = {
		.st_size = (off_t)stx->stx_size,
		.st_blocks = (blkcnt_t)stx->stx_blocks,
		.st_mtim.tv_sec = stx->stx_mtime.tv_sec,
		.st_mtim.tv_nsec = stx->stx_mtime.tv_nsec,
		.st_ctim.tv_sec = stx->stx_ctime.tv_sec,
		.st_ctim.tv_nsec = stx->stx_ctime.tv_nsec,
	};

	int r = file_overlay(node, &st);

	if (r < 0)
		return r;
	stx->stx_size = (uint64_t)st.st_size;
	stx->stx_blocks = (uint64_t)st.st_blocks;
	stx->stx_mtime.tv_sec = st.st_mtim.tv_sec;
	stx->stx_mtime.tv_nsec = (uint32_t)st.st_mtim.tv_nsec;
	stx->stx_ctime.tv_sec = st.st_ctim.tv_sec;
	stx->stx_ctime.tv_nsec = (uint32_t)st.st_ctim.tv_nsec;
	return 0;
}

static void fill_statx(struct wire_statx_out *out, const struct statx *stx)
{
	*out = (struct wire_statx_out){
		.mask = stx->stx_mask & (STATX_BASIC_STATS | STATX_BTIME),
		.blksize = stx->stx_blksize,
		.attributes = stx->stx_attributes,
		.attributes_mask = stx->stx_attributes_mask,
		.nlink = stx->stx_nlink,
		.uid = stx->stx_uid,
		.gid = stx->stx_gid,
		.mode = stx->stx_mode,
		.size = stx->stx_size,
		.blocks = stx->stx_blocks,
		.atime = wire_time_of(&stx->stx_atime),
		.btime = wire_time_of(&stx->stx_btime),
		.ctime = wire_time_of(&stx->stx_ctime),
		.mtime = wire_time_of(&stx->stx_mtime),
		.rdev_major = stx->stx_rdev_major,
		.rdev_minor = stx->stx_rdev_minor,
	};
}

void ops_statx(struct session *session, uint64_t number)
{
	struct filesystem *fs = session_filesystem(session);
	struct node *node = node_of_number(&fs->nodes, number);
	struct wire_statx_out out;
	struct stat st = { 0 };
	struct statx stx;
	owned_path path = PATH_NONE;
	int r = path_get(&fs->nodes, node, &path);

	if (r == 0 && statx(path.at.fd, "", AT_EMPTY_PATH,
			    STATX_BASIC_STATS | STATX_BTIME, &stx) < 0)
		r = -errno;
	path_put(&path);
	if (r == 0)
		r = overlay_statx(node, &stx);
	if (r < 0) {
		handshake_reply(session_handshake(session), r, NULL, 0);
		return;
	}
	if (S_ISREG(node->type))
		file_times_set(node);
	fill_statx(&out, &stx);
	out.ino = node->ino;
	st.st_mode = stx.stx_mode;
	entry_split_timeout(entry_attr_timeout(fs, node, &st), &out.attr_valid,
			    &out.attr_valid_nsec);
	handshake_reply(session_handshake(session), 0, &out, sizeof(out));
}

static int set_mode(const struct path *path, mode_t mode)
{
	int r = credentials_restore();

	return r < 0 ? r : inode_chmod(&path->at, mode & 07777);
}

static int set_owner(const struct path *path, const struct stat *attr, int what)
{
	uid_t uid = what & FUSE_SET_ATTR_UID ? attr->st_uid : (uid_t)-1;
	gid_t gid = what & FUSE_SET_ATTR_GID ? attr->st_gid : (gid_t)-1;
	int r = credentials_assume_with_groups(&current_request.caller);

	if (r == 0 && fchownat(path->at.fd, "", uid, gid, AT_EMPTY_PATH) < 0)
		r = -errno;
	return r;
}

/* Those in force, also of a file that nobody has open. */
static int policies_of(struct filesystem *fs, struct node *node,
		       const struct path *path, struct file *file,
		       struct policy *policy)
{
	struct policy own;
	struct store_id id;
	int r;

	if (file) {
		*policy = *file_policy(file);
		return 0;
	}
	node_id(node, &id);
	r = policy_store_load(&fs->policies, &id, &path->at, &own, NULL);
	if (r == 0)
		policy_in_force(fs, node, &own, policy, NULL);
	return r;
}

static int check_size(struct node *node, const struct path *path,
		      const struct policy *policy, off_t size)
{
	struct stat st;
	int r;

	if (!policy->append && policy->max == 0)
		return 0;
	if (fstat(path->at.fd, &st) < 0)
		return -errno;
	r = file_overlay(node, &st);
	return r < 0 ? r : growth_check_truncate(policy, st.st_size, size);
}

static int truncate_shared(const struct path *path, off_t size)
{
	int r = credentials_assume_for_write(&current_request.caller);

	return r < 0 ? r : inode_truncate(&path->at, size);
}

static int set_size(struct filesystem *fs, struct node *node,
		    const struct path *path, off_t size)
{
	struct file *file = file_of_node(node);
	struct policy policy;
	int r = policies_of(fs, node, path, file, &policy);

	if (r == 0)
		r = check_size(node, path, &policy, size);
	if (r == 0) {
		r = file_truncate_staged(fs, node, policy.map, size,
					 &current_request.caller);
		if (r == -EOPNOTSUPP)
			r = truncate_shared(path, size);
	}
	if (file) {
		growth_forget(&file->growth);
		file_data_changed(file);
		file_release(file);
	}
	return r;
}

static struct timespec time_to_set(int what, int set, int now,
				   struct timespec value)
{
	if (what & now)
		value.tv_nsec = UTIME_NOW;
	else if (!(what & set))
		value.tv_nsec = UTIME_OMIT;
	return value;
}

static int set_times(struct node *node, const struct path *path,
		     const struct stat *attr, int what)
{
	int r;

	struct timespec times[2] = {
		time_to_set(what, FUSE_SET_ATTR_ATIME,
			    FUSE_SET_ATTR_ATIME_NOW, attr->st_atim),
		time_to_set(what, FUSE_SET_ATTR_MTIME,
			    FUSE_SET_ATTR_MTIME_NOW, attr->st_mtim),
	};

	r = inode_utimens(&path->at, times);
	if (r == 0 && times[1].tv_nsec != UTIME_OMIT)
		r = file_mtime_set(node, path->at.fd);
	return r;
}

static int set_attributes(struct filesystem *fs, struct node *node,
			  const struct path *path, const struct stat *attr,
			  int what)
{
	int r = 0;

	if (what & FUSE_SET_ATTR_MODE)
		r = set_mode(path, attr->st_mode);
	if (r == 0 && (what & SET_OWNER))
		r = set_owner(path, attr, what);
	if (r == 0 && (what & FUSE_SET_ATTR_SIZE))
		r = set_size(fs, node, path, attr->st_size);
	if (r == 0 && (what & SET_TIMES))
		r = set_times(node, path, attr, what);
	return r;
}

static void op_setattr(fuse_req_t req, fuse_ino_t number, struct stat *attr,
		       int what, struct fuse_file_info *fi)
{
	struct filesystem *fs = filesystem_of(req);
	struct node *node = node_of_number(&fs->nodes, number);
	owned_path path = PATH_NONE;
	int r = path_get(&fs->nodes, node, &path);

	(void)fi;
	if (r == 0)
		r = set_attributes(fs, node, &path, attr, what);
	file_attributes_changed(node);
	reply_attributes(req, node, &path, r);
}

static void op_statfs(fuse_req_t req, fuse_ino_t number)
{
	struct filesystem *fs = filesystem_of(req);
	struct statvfs st;
	owned_path path = PATH_NONE;
	int r = path_get(&fs->nodes, node_of_number(&fs->nodes, number),
			 &path);

	if (r == 0 && fstatvfs(path.at.fd, &st) < 0)
		r = -errno;
	path_put(&path);
	if (r < 0)
		reply_status(req, r);
	else
		fuse_reply_statfs(req, &st);
}

void ops_attr_add(struct fuse_lowlevel_ops *ops)
{
	ops->getattr = op_getattr;
	ops->setattr = op_setattr;
	ops->statfs = op_statfs;
}
