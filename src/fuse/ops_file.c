// SPDX-License-Identifier: Apache-2.0
/*
 * Open files. On the kernel path only open, release, fsync and what changes
 * a file's extent come here; on the daemon path reads and writes as well.
 *
 * A new file is made with O_EXCL, as its caller. If the name exists after
 * all (made in the store behind the kernel's back), the kernel has not
 * checked the caller's right to open it, so that is looked up with the
 * caller's own rights.
 */
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>

#include "core/file.h"
#include "core/stage.h"
#include "fuse/entry.h"
#include "fuse/handshake.h"
#include "fuse/reply.h"
#include "fuse/request.h"
#include "fuse/wire.h"
#include "util/cleanup.h"
#include "util/log.h"

static struct file_handle_state *handle_of(const struct fuse_file_info *fi)
{
	return (struct file_handle_state *)(uintptr_t)fi->fh;
}

static struct file *file_of(const struct fuse_file_info *fi)
{
	return handle_of(fi)->file;
}

/* ---- opening ----------------------------------------------------------- */

static void fill_opened(struct fuse_file_info *fi,
			const struct file_opened *opened)
{
	fi->fh = (uintptr_t)opened->handle;
	fi->keep_cache = opened->keep_cache;
	current_request.backing_id = opened->backing_id;
	current_request.wants_flush = opened->wants_flush;
}

static void op_open(fuse_req_t req, fuse_ino_t number,
		    struct fuse_file_info *fi)
{
	struct filesystem *fs = filesystem_of(req);
	struct node *node = node_of_number(&fs->nodes, number);
	struct file_opened opened;
	int r = file_open(fs, node, fi->flags, &current_request.caller,
			  &opened);

	if (r < 0) {
		reply_status(req, r);
		return;
	}
	fill_opened(fi, &opened);
	/* From now on a mapped write may move times unseen. */
	if (opened.first_mapper && opened.path == data_path_kernel)
		entry_expire_attributes(session_of(req), node);
	if (fuse_reply_open(req, fi) == -ENOENT)
		file_close(fs, opened.handle);
}

struct creation {
	struct filesystem *fs;
	struct node *parent;
	const char *name; /* NULL: O_TMPFILE */
	mode_t mode;
	mode_t umask;
	int flags;
	struct policy policies; /* of the parent, for the new file */
};

/* A descriptor of the new file, or -errno; -EEXIST also without O_EXCL. */
static int create_at(const struct creation *what, int parent_fd)
{
	const struct caller *caller = &current_request.caller;
	int flags = O_RDWR | O_NOATIME | O_CLOEXEC;
	int fd, r;

	credentials_umask(what->umask);
	/* Root too without CAP_FSETID: the backing file must do without. */
	if (what->mode & S_ISGID)
		r = credentials_assume_with_groups(caller);
	else
		r = credentials_assume_for_backing(caller);
	if (r < 0)
		return r;
	if (what->name)
		fd = openat(parent_fd, what->name,
			    flags | O_CREAT | O_EXCL | O_NOFOLLOW, what->mode);
	else
		fd = openat(parent_fd, ".",
			    flags | O_TMPFILE | (what->flags & O_EXCL),
			    what->mode);
	return fd < 0 ? -errno : fd;
}

static int open_existing(const struct creation *what, int parent_fd,
			 struct fuse_entry_param *entry,
			 struct file_opened *opened)
{
	struct node *node;
	int r = entry_find(what->fs, parent_fd, what->parent, what->name,
			   entry);

	if (r < 0)
		return r;
	node = node_of_number(&what->fs->nodes, entry->ino);
	if (!S_ISREG(node->type)) {
		r = S_ISLNK(node->type) ? -ELOOP : -EEXIST;
	} else {
		r = credentials_check_open(&current_request.caller, parent_fd,
					   what->name, what->flags);
		if (r == 0)
			r = file_open(what->fs, node, what->flags,
				      &current_request.caller, opened);
	}
	if (r < 0) {
		entry_drop(what->fs, entry);
		return r;
	}
	/* What was told of it is from before. */
	if ((what->flags & O_TRUNC) &&
	    file_stat(opened->handle->file, &entry->attr) == 0)
		entry->attr.st_ino = node->ino;
	return 0;
}

static int open_created(const struct creation *what, int fd,
			struct fuse_entry_param *entry,
			struct file_opened *opened)
{
	struct node *node;
	int r = entry_of_descriptor(what->fs, fd, what->parent, what->name,
				    entry);

	if (r < 0) {
		close(fd);
		return r;
	}
	node = node_of_number(&what->fs->nodes, entry->ino);
	if (what->policies.set)
		r = entry_inherit(what->fs, node, fd, &what->policies);
	if (r < 0)
		close(fd);
	else
		r = file_open_created(what->fs, node, fd, what->flags,
				      &what->policies,
				      &current_request.caller, opened);
	if (r < 0)
		entry_drop(what->fs, entry);
	/*
	 * The attributes may be cached although a writer has it open: there
	 * is nothing to map until a write or a truncation changes the size,
	 * which the kernel notices.
	 */
	return r;
}

/*
 * By the name of one that goes with the next commit. 0; -EAGAIN: in another
 * way; -errno.
 */
static int create_again(const struct creation *what, int parent_fd,
			struct fuse_entry_param *entry,
			struct file_opened *opened)
{
	struct file_maker maker = {
		.directory_fd = parent_fd,
		.mode = what->mode,
		.umask = what->umask,
		.flags = what->flags,
		.inherited = &what->policies,
		.caller = &current_request.caller,
	};
	struct filesystem *fs = what->fs;
	struct node *node;
	int r;

	if (!stage_is_removed(fs->stage, what->parent, what->name))
		return -EAGAIN;
	r = credentials_restore();
	if (r == 0)
		r = file_make_again(fs, what->parent, what->name, &maker,
				    &node, opened);
	if (r < 0)
		return r;
	r = entry_of_descriptor(fs, file_descriptor(opened->handle->file),
				what->parent, what->name, entry);
	if (r < 0) {
		file_close(fs, opened->handle);
		/* As if it had not been made. */
		if (file_remove_later(fs, what->parent, parent_fd, what->name,
				      node) < 0)
			unlinkat(parent_fd, what->name, 0);
	}
	node_forget(&fs->nodes, node, 1);
	return r;
}

static int create(struct creation *what, struct fuse_entry_param *entry,
		  struct file_opened *opened)
{
	owned_path path = PATH_NONE;
	int r = path_get(&what->fs->nodes, what->parent, &path);
	int fd;

	if (r == 0)
		r = directory_policies(what->fs, what->parent, &path.at,
				       &what->policies);
	if (r == 0 && what->name) {
		r = create_again(what, path.at.fd, entry, opened);
		if (r != -EAGAIN)
			return r;
		r = entry_make_way(what->fs, what->parent, what->name);
	}
	if (r < 0)
		return r;
	fd = create_at(what, path.at.fd);
	if (fd == -EEXIST && what->name && !(what->flags & O_EXCL))
		return open_existing(what, path.at.fd, entry, opened);
	if (fd < 0)
		return fd;
	filesystem_note_names(what->fs, what->parent);
	r = open_created(what, fd, entry, opened);
	/* Made and not handed over: as if it had not been made. */
	if (r < 0 && what->name)
		unlinkat(path.at.fd, what->name, 0);
	return r;
}

static void op_create(fuse_req_t req, fuse_ino_t parent, const char *name,
		      mode_t mode, struct fuse_file_info *fi)
{
	struct filesystem *fs = filesystem_of(req);
	struct creation what = {
		.fs = fs,
		.parent = node_of_number(&fs->nodes, parent),
		.name = name,
		.mode = mode & 07777,
		.umask = fuse_req_ctx(req)->umask,
		.flags = fi->flags,
	};
	struct fuse_entry_param entry;
	struct file_opened opened;
	int r = create(&what, &entry, &opened);

	if (r < 0) {
		reply_status(req, r);
		return;
	}
	fill_opened(fi, &opened);
	if (fuse_reply_create(req, &entry, fi) == -ENOENT) {
		file_close(fs, opened.handle);
		entry_drop(fs, &entry);
	}
}

static void fill_wire_entry(struct wire_entry_out *out,
			    const struct fuse_entry_param *entry)
{
	const struct stat *st = &entry->attr;

	*out = (struct wire_entry_out){
		.nodeid = entry->ino,
		.attr.ino = st->st_ino,
		.attr.size = (uint64_t)st->st_size,
		.attr.blocks = (uint64_t)st->st_blocks,
		.attr.atime = (uint64_t)st->st_atim.tv_sec,
		.attr.mtime = (uint64_t)st->st_mtim.tv_sec,
		.attr.ctime = (uint64_t)st->st_ctim.tv_sec,
		.attr.atimensec = (uint32_t)st->st_atim.tv_nsec,
		.attr.mtimensec = (uint32_t)st->st_mtim.tv_nsec,
		.attr.ctimensec = (uint32_t)st->st_ctim.tv_nsec,
		.attr.mode = st->st_mode,
		.attr.nlink = (uint32_t)st->st_nlink,
		.attr.uid = st->st_uid,
		.attr.gid = st->st_gid,
		.attr.blksize = (uint32_t)st->st_blksize,
	};
	entry_split_timeout(entry->entry_timeout, &out->entry_valid,
			    &out->entry_valid_nsec);
	entry_split_timeout(entry->attr_timeout, &out->attr_valid,
			    &out->attr_valid_nsec);
}

void ops_tmpfile(struct session *session, uint64_t parent, const void *body,
		 size_t size)
{
	struct handshake *handshake = session_handshake(session);
	struct filesystem *fs = session_filesystem(session);
	const struct wire_create_in *in = body;
	struct {
		struct wire_entry_out entry;
		struct wire_open_out open;
	} out;
	struct creation what = { .fs = fs };
	struct fuse_entry_param entry;
	struct file_opened opened;
	int r = -EINVAL;

	if (size >= sizeof(*in)) {
		what.parent = node_of_number(&fs->nodes, parent);
		what.mode = in->mode & 07777;
		what.umask = in->umask;
		what.flags = (int)in->flags;
		r = create(&what, &entry, &opened);
	}
	if (r < 0) {
		handshake_reply(handshake, r, NULL, 0);
		return;
	}
	fill_wire_entry(&out.entry, &entry);
	out.open = (struct wire_open_out){
		.fh = (uintptr_t)opened.handle,
		.open_flags = opened.wants_flush ? 0 : WIRE_FOPEN_NOFLUSH,
		.backing_id = opened.backing_id,
	};
	if (opened.backing_id > 0)
		out.open.open_flags |= WIRE_FOPEN_PASSTHROUGH;
	if (handshake_reply(handshake, 0, &out, sizeof(out)) == -ENOENT) {
		file_close(fs, opened.handle);
		entry_drop(fs, &entry);
	}
}

static void op_release(fuse_req_t req, fuse_ino_t number,
		       struct fuse_file_info *fi)
{
	(void)number;
	file_close(filesystem_of(req), handle_of(fi));
	reply_status(req, 0);
}

/* ---- data -------------------------------------------------------------- */

static void op_read(fuse_req_t req, fuse_ino_t number, size_t size,
		    off_t offset, struct fuse_file_info *fi)
{
	struct file *file = file_of(fi);
	struct file_bytes bytes;
	struct iovec part;
	int r;

	(void)number;
	if (size > REQUEST_SPARE_SIZE)
		size = REQUEST_SPARE_SIZE;
	r = file_read(file, request_spare, size, offset, fi->flags, &bytes);
	if (r == 0 && bytes.region &&
	    !session_handshake(session_of(req))->installed)
		r = file_read_copied(file, request_spare, offset, &bytes);
	if (r < 0) {
		reply_status(req, r);
		return;
	}
	if (bytes.region) {
		current_request.read_fd = file_descriptor(file);
		current_request.read_offset = offset;
		current_request.read_size = bytes.size;
	}
	part = (struct iovec){ (void *)bytes.data, bytes.size };
	fuse_reply_iov(req, &part, 1);
	if (bytes.region)
		region_put(bytes.region);
}

static void op_write(fuse_req_t req, fuse_ino_t number, const char *data,
		     size_t size, off_t offset, struct fuse_file_info *fi)
{
	bool cleared;
	ssize_t n = file_write(file_of(fi), data, size, offset, fi->flags,
			       &current_request.caller, &cleared);

	if (cleared)
		entry_invalidate_attributes(
			session_of(req),
			node_of_number(&filesystem_of(req)->nodes, number));
	reply_written(req, n);
}

/* Kernels before 5.16 send it in spite of FOPEN_NOFLUSH. */
static void op_flush(fuse_req_t req, fuse_ino_t number,
		     struct fuse_file_info *fi)
{
	struct node *node = node_of_number(&filesystem_of(req)->nodes, number);

	if (file_flushed(handle_of(fi)))
		session_refresh_attributes(session_of(req), node);
	reply_status(req, file_sync_at_close(handle_of(fi)));
}

/* An fsync that is answered when its group has been flushed. */
struct waiting {
	fuse_req_t req;
	struct request_clock clock;
};

static void answer(void *context, int result)
{
	struct waiting *waiting = context;

	reply_late(waiting->req, &waiting->clock, result);
	free(waiting);
}

/* The same, when nobody has expected that it waits. */
static void answer_untimed(void *request, int result)
{
	const struct request_clock clock = { .opcode = WIRE_FSYNC };

	reply_late(request, &clock, result);
}

/* 0, -errno, or FILE_WAITS: it answers by itself. */
static int fsync_for(fuse_req_t req, struct file_handle_state *handle,
		     bool data_only)
{
	struct waiting *waiting = NULL;
	int r;

	if (file_policy(handle->file)->fsync == policy_fsync_group)
		waiting = malloc(sizeof(*waiting));
	if (!waiting)
		return file_fsync(handle, data_only, answer_untimed, req);
	*waiting = (struct waiting){ req, request_take_clock() };
	r = file_fsync(handle, data_only, answer, waiting);
	if (r == FILE_WAITS)
		return r;
	current_request.begin = waiting->clock.begin;
	free(waiting);
	return r;
}

static void op_fsync(fuse_req_t req, fuse_ino_t number, int data_only,
		     struct fuse_file_info *fi)
{
	int r;

	(void)number;
	/* From then on the kernel doesn't ask any more. */
	if (filesystem_of(req)->settings.no_fsync) {
		reply_status(req, -ENOSYS);
		return;
	}
	r = fsync_for(req, handle_of(fi), data_only);
	if (r != FILE_WAITS)
		reply_status(req, r);
}

/* fallocate and copies clear setuid and setgid like a write. */
static struct caller changer(void)
{
	struct caller caller = current_request.caller;

	caller.kill_privileges = caller.uid != 0;
	return caller;
}

static int assume_changer(struct file *file)
{
	struct caller caller = changer();

	file_changing(file);
	return credentials_assume_for_write(&caller);
}

static int check_fallocate(struct file *file, int mode, off_t offset,
			   off_t length)
{
	const struct policy *policy = file_policy(file);
	struct stat st;
	int r;

	if (!policy->append && policy->max == 0)
		return 0;
	r = file_stat(file, &st);
	return r < 0 ? r :
		       growth_check_fallocate(policy, st.st_size, mode, offset,
					      length);
}

static void op_fallocate(fuse_req_t req, fuse_ino_t number, int mode,
			 off_t offset, off_t length, struct fuse_file_info *fi)
{
	struct file *file = file_of(fi);
	int r = check_fallocate(file, mode, offset, length);

	struct caller caller = changer();

	(void)number;
	if (r == 0)
		r = file_allocate(file, mode, offset, length, &caller);
	if (r == 0)
		file_data_changed(file);
	reply_status(req, r);
}

static void op_lseek(fuse_req_t req, fuse_ino_t number, off_t offset,
		     int whence, struct fuse_file_info *fi)
{
	off_t found = file_seek(file_of(fi), offset, whence);

	(void)number;
	if (found < 0)
		reply_status(req, (int)found);
	else
		fuse_reply_lseek(req, found);
}

static int check_copy(struct file *file, off_t offset, size_t *size)
{
	const struct policy *policy = file_policy(file);
	struct stat st;

	if (!policy->append && policy->max == 0)
		return 0;
	if (fstat(file_descriptor(file), &st) < 0)
		return -errno;
	return growth_limit_write(policy, st.st_size, offset, size, false);
}

static void op_copy_file_range(fuse_req_t req, fuse_ino_t from,
			       off_t from_offset, struct fuse_file_info *in,
			       fuse_ino_t to, off_t to_offset,
			       struct fuse_file_info *out, size_t size,
			       int flags)
{
	ssize_t n = check_copy(file_of(out), to_offset, &size);

	/* The kernel then copies by reading and writing. */
	if (file_of(in)->staged || file_of(out)->staged)
		n = -EOPNOTSUPP;
	(void)from;
	(void)to;
	if (n == 0)
		n = assume_changer(file_of(out));
	if (n == 0) {
		n = copy_file_range(file_descriptor(file_of(in)), &from_offset,
				    file_descriptor(file_of(out)), &to_offset,
				    size, (unsigned)flags);
		if (n < 0)
			n = -errno;
		else
			file_dirtied(file_of(out), (size_t)n);
	}
	reply_written(req, n);
}

/* Inode flags (lsattr, chattr): the ioctls that FUSE lets through. */
static void op_ioctl(fuse_req_t req, fuse_ino_t number, unsigned command,
		     void *argument, struct fuse_file_info *fi, unsigned flags,
		     const void *in, size_t in_size, size_t out_size)
{
	union {
		unsigned flags;
		struct fsxattr attributes;
	} value = { 0 };
	struct filesystem *fs = filesystem_of(req);
	struct node *node = node_of_number(&fs->nodes, number);
	owned_path path = PATH_NONE;
	int r;

	(void)argument;
	(void)fi;
	(void)flags;
	if (command != FS_IOC_GETFLAGS && command != FS_IOC_SETFLAGS &&
	    command != FS_IOC_FSGETXATTR && command != FS_IOC_FSSETXATTR) {
		reply_status(req, -ENOTTY);
		return;
	}
	r = path_get(&fs->nodes, node, &path);
	if (r < 0) {
		reply_status(req, r);
		return;
	}
	owned_fd fd = store_reopen(path.at.fd, O_RDONLY | O_NONBLOCK);
	if (in_size > 0)
		memcpy(&value, in,
		       in_size < sizeof(value) ? in_size : sizeof(value));
	r = credentials_restore();
	/* An immutable file takes nothing that is still to be committed. */
	if (r == 0 && (command == FS_IOC_SETFLAGS ||
		       command == FS_IOC_FSSETXATTR))
		r = file_settle(fs, node);
	if (fd < 0)
		r = fd;
	else if (r == 0 && ioctl(fd, command, &value) < 0)
		r = -errno;
	if (out_size > sizeof(value))
		out_size = sizeof(value);
	path_put(&path);
	if (r < 0)
		reply_status(req, r);
	else
		fuse_reply_ioctl(req, 0, &value, out_size);
}

void ops_file_add(struct fuse_lowlevel_ops *ops)
{
	ops->open = op_open;
	ops->create = op_create;
	ops->release = op_release;
	ops->read = op_read;
	ops->write = op_write;
	ops->flush = op_flush;
	ops->fsync = op_fsync;
	ops->fallocate = op_fallocate;
	ops->lseek = op_lseek;
	ops->copy_file_range = op_copy_file_range;
	ops->ioctl = op_ioctl;
}
