// SPDX-License-Identifier: Apache-2.0
#include "core/filesystem.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "util/log.h"

/*
 * Of the descriptors, an eighth at most is for cached paths: the rest is for
 * open files and directories, one each.
 */
#define PATHS_MIN 16
#define PATHS_MAX 4096

static unsigned path_limit(unsigned descriptors)
{
	unsigned limit = descriptors / 8;

	if (limit < PATHS_MIN)
		return PATHS_MIN;
	return limit < PATHS_MAX ? limit : PATHS_MAX;
}

static int add_root(struct filesystem *fs)
{
	struct store_id id;
	struct stat st;
	int r;

	if (fstat(fs->store.root_fd, &st) < 0)
		return -errno;
	r = store_identify(&fs->store, fs->store.root_fd, &id);
	if (r < 0)
		return r;
	fs->nodes.root = node_get_or_add(&fs->nodes, &id, &st, NULL, NULL);
	return fs->nodes.root ? 0 : -ENOMEM;
}

int filesystem_init(struct filesystem *fs, int root_fd, unsigned descriptors,
		    const struct filesystem_settings *settings)
{
	int r;

	memset(fs, 0, sizeof(*fs));
	fs->settings = *settings;
	fs->passthrough_device = -1;
	r = store_init(&fs->store, root_fd, settings->cross_mounts);
	path_cache_init(&fs->paths, &fs->store, path_limit(descriptors));
	mapping_pool_init(&fs->mappings, 0);
	if (r == 0)
		r = node_table_init(&fs->nodes, &fs->paths);
	if (r == 0)
		r = add_root(fs);
	if (r < 0)
		filesystem_fini(fs);
	return r;
}

int filesystem_sync(struct filesystem *fs)
{
	int r = 0;

	for (unsigned i = 0; i < fs->store.mount_count; i++) {
		if (syncfs(fs->store.mounts[i].fd) < 0)
			r = -errno;
	}
	return r;
}

void filesystem_fini(struct filesystem *fs)
{
	node_table_fini(&fs->nodes);
	mapping_pool_fini(&fs->mappings);
	path_cache_fini(&fs->paths);
	store_fini(&fs->store);
}
