// SPDX-License-Identifier: Apache-2.0
/*
 * By handle where this process may; that also tells what is deleted. Else
 * the path that the journal has, if it leads to this very inode. What has
 * been renamed since is found by one walk through the whole store, so
 * everything that the journal names is asked for beforehand (find_want()).
 */
#include "store/recover_find.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/inode.h"
#include "util/cleanup.h"

struct handle_buffer {
	struct file_handle head;
	unsigned char bytes[JOURNAL_HANDLE_MAX];
};

void find_init(struct find *find, int root_fd)
{
	*find = (struct find){ .root_fd = root_fd };
}

void find_fini(struct find *find)
{
	for (size_t i = 0; i < find->count; i++)
		free(find->wanted[i].path);
	free(find->wanted);
}

/* A descriptor; -ESTALE when it exists no more; -EPERM ... when not so. */
static int open_handle(int root_fd, const struct journal_id *id)
{
	struct handle_buffer buffer = {
		.head.handle_bytes = id->handle_length,
		.head.handle_type = id->handle_type,
	};
	int fd;

	if (id->handle_length == 0)
		return -EOPNOTSUPP;
	memcpy(buffer.head.f_handle, id->handle, id->handle_length);
	fd = open_by_handle_at(root_fd, &buffer.head, O_PATH | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* Follows no symbolic link on the way. */
static int open_path(int root_fd, const char *path)
{
	owned_fd at = openat(root_fd, ".", O_PATH | O_CLOEXEC);

	while (at >= 0 && *path != '\0') {
		/* Of FAT and NTFS it may have more than NAME_MAX bytes. */
		char name[PATH_MAX];
		size_t length = strcspn(path, "/");
		int next;

		if (length >= sizeof(name))
			return -ENOENT;
		memcpy(name, path, length);
		name[length] = '\0';
		path += length + (path[length] == '/');
		next = openat(at, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
		if (next < 0)
			return -errno;
		close(at);
		at = next;
	}
	return at < 0 ? -errno : take_fd(&at);
}

/* What is at the path, if it is the inode; else -ENOENT. */
static int open_verified(int root_fd, const struct journal_id *id,
			 const char *path)
{
	owned_fd fd = open_path(root_fd, path);
	struct journal_id found;
	int r;

	if (fd < 0)
		return fd;
	r = journal_identify(fd, &found);
	if (r < 0)
		return r;
	return journal_same_id(&found, id) ? take_fd(&fd) : -ENOENT;
}

/* Not at this path; elsewhere perhaps. */
static bool is_elsewhere(int r)
{
	return r == -ENOENT || r == -ENOTDIR || r == -ELOOP ||
	       r == -ENAMETOOLONG || r == -EACCES;
}

/*
 * As find_open(), without what the walk has seen; what is_elsewhere() knows
 * also if the path can't be followed.
 */
static int open_directly(const struct find *find, const struct journal_id *id,
			 const char *path, bool *deleted)
{
	int fd = open_handle(find->root_fd, id);

	*deleted = fd == -ESTALE;
	if (fd >= 0)
		return fd;
	if (*deleted)
		return -ENOENT;
	if (fd != -EPERM && fd != -EOPNOTSUPP && fd != -ENOSYS)
		return fd;
	return open_verified(find->root_fd, id, path);
}

static int compare(const void *a, const void *b)
{
	const struct find_entry *one = a;
	const struct find_entry *two = b;

	return (one->id.ino > two->id.ino) - (one->id.ino < two->id.ino);
}

/* The first entry with this inode number, or NULL. */
static struct find_entry *entry_of(const struct find *find, uint64_t ino)
{
	size_t low = 0;
	size_t high = find->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (find->wanted[middle].id.ino < ino)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == find->count || find->wanted[low].id.ino != ino)
		return NULL;
	return &find->wanted[low];
}

static bool is_last(const struct find *find, const struct find_entry *entry)
{
	return entry == find->wanted + find->count - 1;
}

int find_open(const struct find *find, const struct journal_id *id,
	      const char *path)
{
	bool deleted;
	int fd = open_directly(find, id, path, &deleted);

	if (deleted || !is_elsewhere(fd))
		return fd;
	for (const struct find_entry *entry = entry_of(find, id->ino);
		entry && entry->id.ino == id->ino;
		entry = is_last(find, entry) ? NULL : entry + 1) {
		if (entry->path && journal_same_id(&entry->id, id))
			return open_verified(find->root_fd, id, entry->path);
	}
	/* It may be where nobody could look. */
	return fd == -EACCES ? fd : find->unseen < 0 ? find->unseen : -ENOENT;
}

int find_want(struct find *find, const struct journal_id *id, const char *path)
{
	bool deleted;
	owned_fd fd = open_directly(find, id, path, &deleted);

	if (fd >= 0 || deleted)
		return 0;
	if (!is_elsewhere(fd))
		return fd;
	if (find->count == find->room) {
		size_t room = 2 * find->room + 16;
		void *larger = realloc(find->wanted,
			room * sizeof(*find->wanted));

		if (!larger)
			return -ENOMEM;
		find->wanted = larger;
		find->room = room;
	}
	find->wanted[find->count++] = (struct find_entry){ .id = *id };
	return 0;
}

/* ---- the walk ---------------------------------------------------------- */

/* Sets the path of all entries that this is. */
static int note(struct find *find, uint64_t ino, const char *path)
{
	for (struct find_entry *entry = entry_of(find, ino);
		entry && entry->id.ino == ino;
		entry = is_last(find, entry) ? NULL : entry + 1) {
		int fd;

		if (entry->path)
			continue;
		fd = open_verified(find->root_fd, &entry->id, path);
		if (fd < 0)
			continue;
		close(fd);
		entry->path = strdup(path);
		if (!entry->path)
			return -ENOMEM;
	}
	return 0;
}

/*
 * What a user has made inaccessible to himself he can make accessible again.
 * Others' directories are passed over, or what is deleted could never be told
 * from what is in them.
 */
static void note_unseen(struct find *find, const FTSENT *entry)
{
	const FTSENT *directory =
		entry->fts_info == FTS_NS ? entry->fts_parent : entry;

	if (find->unseen < 0 || entry->fts_errno == ENOENT)
		return;
	if (entry->fts_errno != EACCES ||
		directory->fts_statp->st_uid == geteuid())
		find->unseen = -entry->fts_errno;
}

static int visit(struct find *find, FTS *walk, FTSENT *entry, size_t prefix)
{
	const char *path = entry->fts_path + prefix;

	if (entry->fts_level == 1 &&
		strcmp(entry->fts_name, JOURNAL_DIRECTORY) == 0) {
		fts_set(walk, entry, FTS_SKIP);
		return 0;
	}
	if (entry->fts_info == FTS_DNR || entry->fts_info == FTS_NS ||
		entry->fts_info == FTS_ERR)
		note_unseen(find, entry);
	if (entry->fts_info != FTS_F && entry->fts_info != FTS_D)
		return 0;
	return note(find, entry->fts_statp->st_ino,
		*path == '/' ? path + 1 : path);
}

int find_walk(struct find *find)
{
	struct inode_path root = inode_path_of(find->root_fd);
	char start[sizeof(root.text) + 2];
	char *starts[] = { start, NULL };
	FTSENT *entry;
	FTS *walk;
	int r = 0;

	if (find->count == 0)
		return 0;
	qsort(find->wanted, find->count, sizeof(*find->wanted), compare);
	/* The link of /proc itself is none of the store's. */
	strcpy(stpcpy(start, root.text), "/.");
	walk = fts_open(starts, FTS_PHYSICAL | FTS_NOCHDIR | FTS_XDEV, NULL);
	if (!walk)
		return -errno;
	while (r == 0 && (errno = 0, entry = fts_read(walk)) != NULL)
		r = visit(find, walk, entry, strlen(start));
	if (r == 0 && errno != 0)
		r = -errno;
	fts_close(walk);
	return r;
}
