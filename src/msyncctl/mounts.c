// SPDX-License-Identifier: Apache-2.0
/*
 * A path's mount is found by the mount id that statx(2) tells (Linux 5.8),
 * which is right for bind mounts and for btrfs, whose st_dev is in no list;
 * by st_dev before that.
 */
#include "msyncctl/mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "util/mountinfo.h"

#define MOUNTINFO "/proc/self/mountinfo"
#define TYPE "fuse.msyncfs"

void mount_free(struct mount *mount)
{
	free(mount->mountpoint);
	free(mount->type);
	free(mount->source);
	*mount = (struct mount){ 0 };
}

void mounts_free(struct mounts *mounts)
{
	for (size_t i = 0; i < mounts->count; i++)
		mount_free(&mounts->list[i]);
	free(mounts->list);
	*mounts = (struct mounts){ 0 };
}

bool mount_is_msyncfs(const struct mount *mount)
{
	return strcmp(mount->type, TYPE) == 0;
}

static int copy_entry(struct mount *mount, const struct mountinfo_entry *entry)
{
	*mount = (struct mount){
		.id = entry->id,
		.dev = makedev(entry->major, entry->minor),
		.mountpoint = strdup(entry->mountpoint),
		.type = strdup(entry->type),
		.source = strdup(entry->source),
		.whole = strcmp(entry->root, "/") == 0,
	};
	if (mount->mountpoint && mount->type && mount->source)
		return 0;
	mount_free(mount);
	return -ENOMEM;
}

static bool has_device(const struct mounts *mounts, dev_t dev)
{
	for (size_t i = 0; i < mounts->count; i++) {
		if (mounts->list[i].dev == dev)
			return true;
	}
	return false;
}

static int add_entry(struct mounts *mounts,
	const struct mountinfo_entry *entry)
{
	struct mount *list;
	int r;

	list = reallocarray(mounts->list, mounts->count + 1, sizeof(*list));
	if (!list)
		return -ENOMEM;
	mounts->list = list;
	r = copy_entry(&list[mounts->count], entry);
	if (r == 0)
		mounts->count++;
	return r;
}

int mounts_read(struct mounts *mounts)
{
	owned_mountinfo info = { 0 };
	const struct mountinfo_entry *entry;
	int r = mountinfo_open(&info, MOUNTINFO);

	*mounts = (struct mounts){ 0 };
	while (r == 0 && (entry = mountinfo_next(&info)) != NULL) {
		if (strcmp(entry->type, TYPE) != 0 ||
			strcmp(entry->root, "/") != 0 ||
			has_device(mounts, makedev(entry->major, entry->minor)))
			continue;
		r = add_entry(mounts, entry);
	}
	if (r < 0)
		mounts_free(mounts);
	return r;
}

int mounts_find(const char *path, struct mount *mount)
{
	owned_mountinfo info = { 0 };
	const struct mountinfo_entry *entry;
	struct statx stx;
	bool by_id;
	int r;

	*mount = (struct mount){ 0 };
	/* Nothing that a file system would have to be asked for. */
	if (statx(AT_FDCWD, path, AT_STATX_DONT_SYNC, STATX_MNT_ID, &stx) < 0)
		return -errno;
	by_id = stx.stx_mask & STATX_MNT_ID;
	r = mountinfo_open(&info, MOUNTINFO);
	if (r < 0)
		return r;
	while ((entry = mountinfo_next(&info)) != NULL) {
		if (by_id ? entry->id == stx.stx_mnt_id :
			    (entry->major == stx.stx_dev_major &&
				    entry->minor == stx.stx_dev_minor))
			return copy_entry(mount, entry);
	}
	return -ENODEV;
}
