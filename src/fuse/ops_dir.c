// SPDX-License-Identifier: Apache-2.0
/*
 * Directories. Each open one has a descriptor, because the store's file
 * system keeps the position of a directory stream there, and its offsets are
 * the ones we hand on: seeking and concurrent change are as good as native.
 *
 * getdents64 fills a buffer; a reply takes entries from it until it is full,
 * and the next goes on behind them if it asks for the offset that follows.
 */
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>

#include "core/file.h"
#include "core/stage.h"
#include "fuse/entry.h"
#include "fuse/reply.h"
#include "fuse/request.h"
#include "os/clock.h"
#include "util/cleanup.h"

#define ENTRIES_SIZE 32768

/* What getdents64(2) fills a buffer with. */
struct raw_entry {
	uint64_t ino;
	int64_t next;
	uint16_t length;
	uint8_t type;
	char name[];
};

struct directory {
	int fd;
	struct lock lock; /* protects what follows */
	off_t next; /* offset behind the last entry that was handed out */
	size_t used;
	size_t filled;
	char entries[ENTRIES_SIZE] __attribute__((aligned(8)));
};

struct listing {
	struct filesystem *fs;
	struct node *node;
	bool plus;
	char *reply;
	size_t size;
	size_t used;
	/* Look-ups that the reply hands over. */
	struct fuse_entry_param *taken;
	size_t taken_count;
};

static struct directory *directory_of(struct fuse_file_info *fi)
{
	return (struct directory *)(uintptr_t)fi->fh;
}

static int directory_open(struct filesystem *fs, struct node *node,
			  struct directory **opened)
{
	owned_path path = PATH_NONE;
	struct directory *directory;
	int r = path_get(&fs->nodes, node, &path);
	int fd;

	if (r < 0)
		return r;
	fd = openat(path.at.fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		fd = store_reopen(path.at.fd, O_RDONLY | O_DIRECTORY);
	if (fd < 0)
		return -errno;
	directory = malloc(sizeof(*directory));
	if (!directory) {
		close(fd);
		return -ENOMEM;
	}
	directory->fd = fd;
	directory->next = 0;
	directory->used = 0;
	directory->filled = 0;
	lock_init(&directory->lock);
	*opened = directory;
	return 0;
}

static void directory_close(struct directory *directory)
{
	close(directory->fd);
	lock_fini(&directory->lock);
	free(directory);
}

static void op_opendir(fuse_req_t req, fuse_ino_t number,
		       struct fuse_file_info *fi)
{
	struct filesystem *fs = filesystem_of(req);
	struct directory *directory = NULL;
	int r = directory_open(fs, node_of_number(&fs->nodes, number),
			       &directory);

	if (r < 0) {
		reply_status(req, r);
		return;
	}
	fi->fh = (uintptr_t)directory;
	if (fuse_reply_open(req, fi) == -ENOENT)
		directory_close(directory);
}

static void op_releasedir(fuse_req_t req, fuse_ino_t number,
			  struct fuse_file_info *fi)
{
	(void)number;
	directory_close(directory_of(fi));
	reply_status(req, 0);
}

/* Names that go with the next commit are gone for who asks for this. */
static int sync_directory(struct filesystem *fs, int fd, bool data_only)
{
	int r = 0;

	if (stage_has_removals(fs->stage))
		r = stage_commit(fs->stage, commit_by_fsync);
	if (r == 0 && (data_only ? fdatasync(fd) : fsync(fd)) < 0)
		r = -errno;
	return r;
}

/*
 * A program that orders names by fsync of their directory is told what its
 * policy says; names that are deferred become durable with the whole store.
 */
static void op_fsyncdir(fuse_req_t req, fuse_ino_t number, int data_only,
			struct fuse_file_info *fi)
{
	struct filesystem *fs = filesystem_of(req);
	struct node *node = node_of_number(&fs->nodes, number);
	int fd = directory_of(fi)->fd;
	struct inode_handle inode = { .fd = fd, .opened = true };
	struct policy own, policy;
	int r;

	if (fs->settings.no_fsync) {
		reply_status(req, -ENOSYS);
		return;
	}
	r = directory_policies(fs, node, &inode, &own);
	policy_in_force(fs, node, &own, &policy, NULL);
	if (r == 0 && policy.fsync == policy_fsync_defer) {
		counter_add(&fs->counters.fsync_deferred, 1);
		if (policy.every > 0)
			filesystem_want_sync(fs, clock_now() + policy.every);
		reply_status(req, 0);
		return;
	}
	counter_add(&fs->counters.fsync_honored, 1);
	reply_status(req, sync_directory(fs, fd, data_only));
}

static bool is_dots(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static size_t add_plain(fuse_req_t req, struct listing *listing,
			const struct raw_entry *raw)
{
	struct stat st = {
		.st_ino = store_inode_number(listing->node->device, raw->ino),
		.st_mode = (mode_t)DTTOIF(raw->type),
	};

	return fuse_add_direntry(req, listing->reply + listing->used,
				 listing->size - listing->used, raw->name,
				 &st, raw->next);
}

static size_t add_plus(fuse_req_t req, struct listing *listing,
		       struct directory *directory,
		       const struct raw_entry *raw)
{
	struct fuse_entry_param entry = { 0 };
	size_t room = listing->size - listing->used;
	size_t length;

	/* Measured before it is looked up: what doesn't fit isn't taken. */
	length = fuse_add_direntry_plus(req, NULL, 0, raw->name, NULL, 0);
	if (length > room)
		return length;
	if (is_dots(raw->name) ||
	    entry_find(listing->fs, directory->fd, listing->node, raw->name,
		       &entry) < 0) {
		/* Not looked up: a number and a type, and no node. */
		entry.ino = 0;
		entry.attr.st_ino = store_inode_number(
			listing->node->device, raw->ino);
		entry.attr.st_mode = (mode_t)DTTOIF(raw->type);
	}
	length = fuse_add_direntry_plus(req, listing->reply + listing->used,
					room, raw->name, &entry, raw->next);
	if (entry.ino)
		listing->taken[listing->taken_count++] = entry;
	return length;
}

/* More entries into the buffer: 1, or 0 at the end, or -errno. */
static int refill(struct directory *directory)
{
	long n = syscall(SYS_getdents64, directory->fd, directory->entries,
			 sizeof(directory->entries));

	if (n < 0)
		return -errno;
	directory->used = 0;
	directory->filled = (size_t)n;
	return n > 0;
}

static int seek_to(struct directory *directory, off_t offset)
{
	if (offset == directory->next && offset != 0)
		return 0;
	if (lseek(directory->fd, offset, SEEK_SET) < 0)
		return -errno;
	directory->used = 0;
	directory->filled = 0;
	directory->next = offset;
	return 0;
}

static int list_locked(fuse_req_t req, struct listing *listing,
		       struct directory *directory, off_t offset)
{
	int r = seek_to(directory, offset);

	while (r == 0) {
		const struct raw_entry *raw;
		size_t length;

		if (directory->used == directory->filled) {
			r = refill(directory);
			if (r <= 0)
				break;
			r = 0;
		}
		raw = (const void *)(directory->entries + directory->used);
		if (entry_is_hidden(listing->fs, listing->node, raw->name)) {
			directory->used += raw->length;
			directory->next = raw->next;
			continue;
		}
		length = listing->plus ?
				 add_plus(req, listing, directory, raw) :
				 add_plain(req, listing, raw);
		if (length > listing->size - listing->used)
			break;
		listing->used += length;
		directory->used += raw->length;
		directory->next = raw->next;
	}
	return listing->used > 0 ? 0 : r;
}

/* The shortest entry of a READDIRPLUS reply: 128 + 24 + 8 bytes. */
#define ENTRY_PLUS_MIN 160

static void list(fuse_req_t req, fuse_ino_t number, size_t size, off_t offset,
		 struct fuse_file_info *fi, bool plus)
{
	struct filesystem *fs = filesystem_of(req);
	struct directory *directory = directory_of(fi);
	owned_memory char *reply = malloc(size);
	owned_memory struct fuse_entry_param *taken =
		plus ? malloc((size / ENTRY_PLUS_MIN + 1) * sizeof(*taken)) :
		       NULL;
	struct listing listing = {
		.fs = fs,
		.node = node_of_number(&fs->nodes, number),
		.plus = plus,
		.reply = reply,
		.size = size,
		.taken = taken,
	};
	int r;

	if (!reply || (plus && !taken)) {
		reply_status(req, -ENOMEM);
		return;
	}
	lock_take(&directory->lock, lock_rank_directory);
	r = list_locked(req, &listing, directory, offset);
	lock_drop(&directory->lock, lock_rank_directory);
	if (r < 0)
		reply_status(req, r);
	else if (fuse_reply_buf(req, reply, listing.used) == 0)
		listing.taken_count = 0;
	for (size_t i = 0; i < listing.taken_count; i++)
		entry_drop(fs, &taken[i]);
}

static void op_readdir(fuse_req_t req, fuse_ino_t number, size_t size,
		       off_t offset, struct fuse_file_info *fi)
{
	list(req, number, size, offset, fi, false);
}

static void op_readdirplus(fuse_req_t req, fuse_ino_t number, size_t size,
			   off_t offset, struct fuse_file_info *fi)
{
	list(req, number, size, offset, fi, true);
}

void ops_dir_add(struct fuse_lowlevel_ops *ops)
{
	ops->opendir = op_opendir;
	ops->releasedir = op_releasedir;
	ops->fsyncdir = op_fsyncdir;
	ops->readdir = op_readdir;
	ops->readdirplus = op_readdirplus;
}
