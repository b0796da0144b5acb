/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The msyncfs mounts that this process sees, and what any path lies on. The
 * caller owns what it gets. Nothing here asks a mount, so none can hang it,
 * except mounts_find(), which looks at the path. Any thread.
 */
#ifndef MSYNCFS_MSYNCCTL_MOUNTS_H
#define MSYNCFS_MSYNCCTL_MOUNTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct mount {
	uint64_t id; /* of mountinfo */
	dev_t dev; /* st_dev of its files */
	char *mountpoint;
	char *type; /* "fuse.msyncfs" */
	char *source; /* the store, or what -o fsname= says */
	bool whole; /* shows all of it, is no bind mount of a part */
};

struct mounts {
	struct mount *list;
	size_t count;
};

/* Those of msyncfs, each file system once, at its root. 0 or -errno. */
int mounts_read(struct mounts *mounts);
void mounts_free(struct mounts *mounts);

/*
 * The mount that path lies on, of whatever type. 0; -ENODEV if it is one that
 * this process can't see; -errno of path.
 */
int mounts_find(const char *path, struct mount *mount);
void mount_free(struct mount *mount);

bool mount_is_msyncfs(const struct mount *mount);

#define owned_mounts __attribute__((cleanup(mounts_free))) struct mounts
#define owned_mount __attribute__((cleanup(mount_free))) struct mount

#endif
