// SPDX-License-Identifier: Apache-2.0
/*
 * The root is inode 1, file i is inode i + 2. Every file is opened with direct
 * I/O: no second cache below the loop device's own.
 *
 * The server must not be the last process of the mount namespace in which its
 * disk is used: when all of a test is killed at once, the last one to die
 * unmounts everything, and the kernel closes its /dev/fuse only after that.
 * It would wait for its own answer forever. So it goes to a namespace of its
 * own in which nothing is mounted.
 */
#define FUSE_USE_VERSION 34
#include "serve.h"

#include <errno.h>
#include <fuse_lowlevel.h>
#include <linux/falloc.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "util/cleanup.h"

static const struct serve_file *files;
static size_t file_count;

static const struct serve_file *file_of(fuse_ino_t inode)
{
	return &files[inode - 2];
}

static void fill(struct stat *status, fuse_ino_t inode)
{
	memset(status, 0, sizeof(*status));
	status->st_ino = inode;
	status->st_nlink = 1;
	if (inode == FUSE_ROOT_ID) {
		status->st_mode = S_IFDIR | 0755;
		return;
	}
	status->st_mode = S_IFREG | file_of(inode)->mode;
	if (file_of(inode)->size)
		status->st_size = (off_t)file_of(inode)->size();
}

static void serve_lookup(fuse_req_t request, fuse_ino_t parent,
			 const char *name)
{
	struct fuse_entry_param entry = { .entry_timeout = 60 };

	(void)parent;
	for (size_t i = 0; i < file_count; i++) {
		if (strcmp(files[i].name, name))
			continue;
		entry.ino = i + 2;
		fill(&entry.attr, entry.ino);
		fuse_reply_entry(request, &entry);
		return;
	}
	fuse_reply_err(request, ENOENT);
}

static void serve_getattr(fuse_req_t request, fuse_ino_t inode,
			  struct fuse_file_info *info)
{
	struct stat status;

	(void)info;
	fill(&status, inode);
	fuse_reply_attr(request, &status, 0);
}

static void serve_setattr(fuse_req_t request, fuse_ino_t inode,
			  struct stat *status, int what,
			  struct fuse_file_info *info)
{
	(void)status;
	(void)what;
	serve_getattr(request, inode, info);
}

static void serve_readdir(fuse_req_t request, fuse_ino_t inode, size_t size,
			  off_t offset, struct fuse_file_info *info)
{
	owned_memory char *buffer = malloc(size);
	size_t used = 0;

	(void)info;
	(void)inode;
	if (!buffer) {
		fuse_reply_err(request, ENOMEM);
		return;
	}
	for (size_t i = (size_t)offset; i < file_count; i++) {
		struct stat status;
		size_t needs;

		fill(&status, i + 2);
		needs = fuse_add_direntry(request, buffer + used, size - used,
					  files[i].name, &status,
					  (off_t)i + 1);
		if (needs > size - used)
			break;
		used += needs;
	}
	fuse_reply_buf(request, buffer, used);
}

static void serve_open(fuse_req_t request, fuse_ino_t inode,
		       struct fuse_file_info *info)
{
	info->direct_io = 1;
	if (file_of(inode)->opened)
		file_of(inode)->opened(1);
	/* Whoever was interrupted in open(2) will not close it. */
	if (fuse_reply_open(request, info) == -ENOENT && file_of(inode)->opened)
		file_of(inode)->opened(-1);
}

static void serve_release(fuse_req_t request, fuse_ino_t inode,
			  struct fuse_file_info *info)
{
	(void)info;
	if (file_of(inode)->opened)
		file_of(inode)->opened(-1);
	fuse_reply_err(request, 0);
}

static void serve_read(fuse_req_t request, fuse_ino_t inode, size_t size,
		       off_t offset, struct fuse_file_info *info)
{
	const struct serve_file *file = file_of(inode);
	owned_memory char *buffer = NULL;
	uint64_t all = file->size ? file->size() : 0;
	int result = file->read ? 0 : -EPERM;

	(void)info;
	if ((uint64_t)offset >= all)
		size = 0;
	else if (size > all - (uint64_t)offset)
		size = all - (uint64_t)offset;
	if (!result && size) {
		buffer = malloc(size);
		result = buffer ?
			file->read(buffer, size, (uint64_t)offset) :
			-ENOMEM;
	}
	if (result)
		fuse_reply_err(request, -result);
	else
		fuse_reply_buf(request, buffer, size);
}

static void serve_write(fuse_req_t request, fuse_ino_t inode, const char *data,
			size_t size, off_t offset, struct fuse_file_info *info)
{
	const struct serve_file *file = file_of(inode);
	int result = -EPERM;

	(void)info;
	if (file->write)
		result = file->write(data, size, (uint64_t)offset);
	if (result)
		fuse_reply_err(request, -result);
	else
		fuse_reply_write(request, size);
}

/* There is nothing to allocate. */
static void serve_fallocate(fuse_req_t request, fuse_ino_t inode, int mode,
			    off_t offset, off_t length,
			    struct fuse_file_info *info)
{
	const struct serve_file *file = file_of(inode);
	int result = -EPERM;

	(void)info;
	if (file->zero) {
		result = 0;
		if (mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE))
			result = file->zero((uint64_t)offset,
					    (uint64_t)length);
	}
	fuse_reply_err(request, -result);
}

static void serve_fsync(fuse_req_t request, fuse_ino_t inode, int data_only,
			struct fuse_file_info *info)
{
	int result = 0;

	(void)data_only;
	(void)info;
	if (file_of(inode)->flush)
		result = file_of(inode)->flush();
	fuse_reply_err(request, -result);
}

static const struct fuse_lowlevel_ops operations = {
	.lookup = serve_lookup,
	.getattr = serve_getattr,
	.setattr = serve_setattr,
	.readdir = serve_readdir,
	.open = serve_open,
	.release = serve_release,
	.read = serve_read,
	.write = serve_write,
	.fallocate = serve_fallocate,
	.fsync = serve_fsync,
};

/* An empty directory instead of all that is mounted: pivot_root(2). */
static int step_aside(void)
{
	if (unshare(CLONE_NEWNS) ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("none", "/dev", "tmpfs", 0, "size=4k") || chdir("/dev") ||
	    syscall(SYS_pivot_root, ".", ".") || umount2(".", MNT_DETACH)) {
		perror("a namespace of its own");
		return -1;
	}
	return 0;
}

static int serve_mounted(struct fuse_session *session)
{
	int status = 1;

	/* A signal is as good an end as an unmount. */
	if (!step_aside())
		status = fuse_session_loop(session) < 0;
	fuse_session_unmount(session);
	return status;
}

int serve(const char *program, const char *mountpoint,
	  const struct serve_file *all, size_t count)
{
	char *words[] = { (char *)program, "-o",
			  "default_permissions,allow_other", NULL };
	struct fuse_args args = FUSE_ARGS_INIT(3, words);
	struct fuse_session *session;
	int status = 1;

	files = all;
	file_count = count;
	session = fuse_session_new(&args, &operations, sizeof(operations),
				   NULL);
	if (!session)
		return 1;
	if (!fuse_set_signal_handlers(session)) {
		if (!fuse_session_mount(session, mountpoint))
			status = serve_mounted(session);
		fuse_remove_signal_handlers(session);
	}
	fuse_session_destroy(session);
	fuse_opt_free_args(&args);
	return status;
}
