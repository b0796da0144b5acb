/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store: the directory tree that holds the files, and how an inode of it
 * is named and found again without keeping a descriptor.
 *
 * Owned by the filesystem object, made before any thread and freed after the
 * last; in between every function may be called from any thread.
 */
#ifndef MSYNCFS_STORE_STORE_H
#define MSYNCFS_STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "util/lock.h"

/* The largest file handle that the kernel makes (MAX_HANDLE_SZ). */
#define STORE_ID_MAX 128

/* Most file systems that one store may span. */
#define STORE_MOUNTS_MAX 256
/* Most devices whose inode numbers are told apart; what is more shares one. */
#define STORE_DEVICES_MAX 256

/*
 * What names an inode for as long as it exists: the store file system's file
 * handle (name_to_handle_at(2)), or, where there are none or they can't be
 * opened, device, inode number and birth time. Equal bytes are the same inode.
 */
struct store_id {
	int32_t type; /* the handle's type; STORE_ID_BY_NUMBER without one */
	uint8_t mount; /* index of the file system in the store */
	uint8_t length; /* of bytes */
	unsigned char bytes[STORE_ID_MAX];
};

#define STORE_ID_BY_NUMBER (-1)

struct store_mount {
	int id; /* mount id, as name_to_handle_at(2) and statx(2) have it */
	/* What it is known by without handles, before Linux 5.8. */
	dev_t device;
	int fd; /* a directory on it */
	/*
	 * An unnamed file on it where syncfs(2) alone doesn't flush the
	 * device; -1: not needed, or none can be had. Opened when first
	 * needed, the caller's to keep others out.
	 */
	int flush_fd;
	bool flush_tried;
};

struct store {
	int root_fd;
	/* Inodes are found again by handle; else by path. Fixed at start. */
	bool by_handle;
	bool by_device; /* mounts are known by that. Fixed at start. */
	bool cross_mounts;
	/* A fault on a hole allocates it, also one for reading: tmpfs. */
	bool fills_holes;
	bool updates_atime; /* at reads: mounted without noatime and ro */
	bool relatime; /* only when the rules of mount(8) say so */
	struct lock lock; /* protects the growth of mounts and devices */
	struct store_mount mounts[STORE_MOUNTS_MAX];
	_Atomic unsigned mount_count;
	dev_t devices[STORE_DEVICES_MAX]; /* 0: the root's */
	_Atomic unsigned device_count;
};

/*
 * Takes root_fd (a directory, O_RDONLY) over in every case. 0 or -errno.
 */
int store_init(struct store *store, int root_fd, bool cross_mounts);
void store_fini(struct store *store);

/*
 * Names the inode behind fd (O_PATH is enough). 0, or -EXDEV when it is on
 * another file system than the store's root and cross_mounts is off, or
 * -errno.
 */
int store_identify(struct store *store, int fd, struct store_id *id);

/*
 * Opens an inode by its handle, with the flags of open(2). A descriptor or
 * -errno: -ESTALE when it exists no more, -EOPNOTSUPP for an id by number.
 */
int store_open(struct store *store, const struct store_id *id, int flags);

/*
 * Opens again what fd (O_PATH) refers to: through /proc, so it works for
 * inodes without a name. A descriptor or -errno.
 */
int store_reopen(int fd, int flags);

/*
 * Makes everything on the store's file systems durable: syncfs(2). From one
 * thread at a time. 0 or -errno.
 */
int store_sync(struct store *store);

/*
 * The index of a device, st_dev of stat(2), in the store. There are several
 * with cross_mounts, and within one mount of btrfs, whose subvolumes count
 * their inodes each for itself, or of overlayfs with layers on several file
 * systems.
 */
unsigned store_device(struct store *store, dev_t device);

/*
 * An inode number that no other device of the store has: the root's own
 * numbers are kept, those of others get the device's index in the topmost
 * byte.
 */
static inline uint64_t store_inode_number(unsigned device, uint64_t ino)
{
	return ino ^ ((uint64_t)device << 56);
}

#endif
