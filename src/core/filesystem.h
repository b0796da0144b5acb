/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One mounted store: the parts that its operations share. Made before any
 * worker thread, taken apart after the last one.
 */
#ifndef MSYNCFS_CORE_FILESYSTEM_H
#define MSYNCFS_CORE_FILESYSTEM_H

#include <stdbool.h>
#include <stdint.h>

#include "core/mapping.h"
#include "core/node.h"
#include "core/path.h"
#include "store/store.h"

struct filesystem_settings {
	bool kernel_path; /* use passthrough where it works */
	bool cross_mounts;
	double attr_timeout; /* seconds */
	double entry_timeout;
	double negative_timeout;
};

struct filesystem {
	struct filesystem_settings settings;
	struct store store;
	struct path_cache paths;
	struct node_table nodes;
	struct mapping_pool mappings;
	/*
	 * /dev/fuse, for backing files; -1 until the kernel has agreed to
	 * passthrough. Set once, before the first open.
	 */
	_Atomic int passthrough_device;
};

/*
 * Takes root_fd over in every case. descriptors is the process's limit. 0 or
 * -errno.
 */
int filesystem_init(struct filesystem *fs, int root_fd, unsigned descriptors,
		    const struct filesystem_settings *settings);
/* Everything durable: syncfs(2) of the store's file systems. 0 or -errno. */
int filesystem_sync(struct filesystem *fs);
void filesystem_fini(struct filesystem *fs);

#endif
