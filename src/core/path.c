// SPDX-License-Identifier: Apache-2.0
/*
 * Three sources, in this order: the descriptor of the open file; the cached
 * one; a new one. With handles only directories are cached: as parents they
 * are needed again and again, while a cached regular file would hold its
 * space after somebody deletes it in the store.
 *
 * The cache is a CLOCK ring over nodes (their path_link). It is entered with
 * the node's lock held, and evicts by trylock because other nodes' locks
 * rank the same.
 */
#include "core/path.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/file.h"
#include "core/node.h"
#include "store/store.h"
#include "util/cleanup.h"

void path_cache_init(struct path_cache *cache, struct store *store,
		     unsigned limit)
{
	*cache = (struct path_cache){
		.store = store,
		.limit = limit,
	};
	lock_init(&cache->lock);
	TAILQ_INIT(&cache->nodes);
}

void path_cache_fini(struct path_cache *cache)
{
	lock_fini(&cache->lock);
}

static void unlist_locked(struct path_cache *cache, struct node *node)
{
	if (!node->path_listed)
		return;
	TAILQ_REMOVE(&cache->nodes, node, path_link);
	node->path_listed = false;
	cache->count--;
}

/* Takes the descriptor of a node that nobody uses now; -1 if all are used. */
static int evict_locked(struct path_cache *cache)
{
	for (unsigned tries = 2 * cache->count; tries > 0; tries--) {
		struct node *node = TAILQ_FIRST(&cache->nodes);
		int fd = -1;

		TAILQ_REMOVE(&cache->nodes, node, path_link);
		TAILQ_INSERT_TAIL(&cache->nodes, node, path_link);
		if (node->path_used) {
			node->path_used = false;
			continue;
		}
		if (!lock_try(&node->lock, lock_rank_node))
			continue;
		if (node->path_users == 0 && !node->path_pinned) {
			fd = node->path_fd;
			node->path_fd = -1;
			unlist_locked(cache, node);
		}
		lock_drop(&node->lock, lock_rank_node);
		if (fd >= 0)
			return fd;
	}
	return -1;
}

#define EVICTIONS 16

/* Evicts down to one below the limit, some at a time: true if not done. */
static bool evict_some(struct path_cache *cache)
{
	int evicted[EVICTIONS];
	unsigned count = 0;

	lock_take(&cache->lock, lock_rank_path_cache);
	while (count < EVICTIONS && cache->count >= cache->limit) {
		evicted[count] = evict_locked(cache);
		if (evicted[count] < 0)
			break;
		count++;
	}
	lock_drop(&cache->lock, lock_rank_path_cache);
	for (unsigned i = 0; i < count; i++)
		close(evicted[i]);
	return count == EVICTIONS;
}

/* With the node's lock held: its descriptor counts from now on. */
static void cache_add(struct path_cache *cache, struct node *node)
{
	while (evict_some(cache))
		continue;
	lock_take(&cache->lock, lock_rank_path_cache);
	TAILQ_INSERT_TAIL(&cache->nodes, node, path_link);
	node->path_listed = true;
	node->path_used = true;
	cache->count++;
	lock_drop(&cache->lock, lock_rank_path_cache);
}

/* Where a node was last found, its parent counted; -ESTALE for the root. */
static int whereabouts(struct node *node, struct node **parent, char **name)
{
	int r = -ESTALE;

	lock_take(&node->lock, lock_rank_node);
	if (node->parent && node->name) {
		*name = strdup(node->name);
		*parent = node->parent;
		r = *name ? 0 : -ENOMEM;
		if (r == 0)
			atomic_fetch_add(&node->parent->lookups, 1);
	}
	lock_drop(&node->lock, lock_rank_node);
	return r;
}

static void count(struct path_cache *cache, bool hit)
{
	atomic_fetch_add_explicit(hit ? &cache->hits : &cache->misses, 1,
				  memory_order_relaxed);
}

/* The descriptor that is there already, if any. */
static bool borrow(struct node *node, struct path *path)
{
	bool found = true;

	lock_take(&node->lock, lock_rank_node);
	if (node->file) {
		file_hold(node->file);
		*path = (struct path){
			.at.fd = file_descriptor(node->file),
			.at.opened = true,
			.at.writable = node->file->writable,
			.file = node->file,
		};
	} else if (node->path_fd >= 0) {
		node->path_users++;
		node->path_used = true;
		*path = (struct path){
			.at.fd = node->path_fd,
			.node = node,
		};
	} else {
		found = false;
	}
	lock_drop(&node->lock, lock_rank_node);
	return found;
}

/* Makes fd the node's cached descriptor, or drops it if there is one now. */
static void lend(struct path_cache *cache, struct node *node, int fd,
		 struct path *path)
{
	int spare = -1;

	lock_take(&node->lock, lock_rank_node);
	if (node->path_fd >= 0) {
		spare = fd;
	} else {
		node->path_fd = fd;
		cache_add(cache, node);
	}
	node->path_users++;
	*path = (struct path){ .at.fd = node->path_fd, .node = node };
	lock_drop(&node->lock, lock_rank_node);
	if (spare >= 0)
		close(spare);
}

/* ---- nodes that are found by name -------------------------------------- */

/* More than a path of any length has: the store was changed into a circle. */
#define STEPS_MAX 65536

/* A way down: step 0 is the node wanted, the others are counted ancestors. */
struct way {
	struct step {
		struct node *node;
		char *name; /* in the next step's node */
	} *steps;
	size_t count;
	size_t room;
};

static int way_add(struct way *way, struct node *node)
{
	if (way->count == STEPS_MAX)
		return -ESTALE;
	if (way->count == way->room) {
		size_t room = way->room ? 2 * way->room : 1;
		struct step *steps =
			realloc(way->steps, room * sizeof(*steps));

		if (!steps)
			return -ENOMEM;
		way->steps = steps;
		way->room = room;
	}
	way->steps[way->count++] = (struct step){ .node = node };
	return 0;
}

static void way_free(struct node_table *table, struct way *way)
{
	for (size_t i = 0; i < way->count; i++) {
		if (i > 0)
			node_forget(table, way->steps[i].node, 1);
		free(way->steps[i].name);
	}
	free(way->steps);
}

/* Up until a node has a descriptor: *path. Its steps lead down again. */
static int climb(struct node_table *table, struct way *way, struct path *path)
{
	for (;;) {
		struct step *step = &way->steps[way->count - 1];
		struct node *parent;
		int r;

		if (borrow(step->node, path))
			return 0;
		if (step->node == table->root) {
			int fd = openat(table->paths->store->root_fd, ".",
					O_PATH | O_CLOEXEC);

			if (fd < 0)
				return -errno;
			lend(table->paths, step->node, fd, path);
			return 0;
		}
		r = whereabouts(step->node, &parent, &step->name);
		if (r < 0)
			return r;
		r = way_add(way, parent);
		if (r < 0) {
			node_forget(table, parent, 1);
			return r;
		}
	}
}

/* The node of this name, if it is the same inode still. */
static int open_child(struct path_cache *cache, const struct path *parent,
		      const struct step *step)
{
	struct store_id id;
	struct store_id own;
	int r;
	owned_fd fd = openat(parent->at.fd, step->name,
			     O_PATH | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return errno == ENOENT ? -ESTALE : -errno;
	r = store_identify(cache->store, fd, &id);
	if (r < 0)
		return r;
	node_id(step->node, &own);
	if (id.length != own.length ||
	    memcmp(id.bytes, own.bytes, own.length) != 0)
		return -ESTALE;
	return take_fd(&fd);
}

static int path_get_by_name(struct node_table *table, struct node *node,
			    struct path *path)
{
	struct way way = { 0 };
	int r = way_add(&way, node);

	if (r == 0)
		r = climb(table, &way, path);
	if (r == 0)
		count(table->paths, way.count == 1);
	for (size_t i = way.count; r == 0 && i-- > 1;) {
		struct step *step = &way.steps[i - 1];
		int fd = open_child(table->paths, path, step);

		path_put(path);
		if (fd < 0)
			r = fd;
		else
			lend(table->paths, step->node, fd, path);
	}
	way_free(table, &way);
	return r;
}

/* ---- all nodes --------------------------------------------------------- */

int path_get(struct node_table *table, struct node *node, struct path *path)
{
	struct path_cache *cache = table->paths;
	struct store_id id;
	int fd;

	if (!cache->store->by_handle)
		return path_get_by_name(table, node, path);
	if (borrow(node, path)) {
		count(cache, true);
		return 0;
	}
	count(cache, false);
	node_id(node, &id);
	fd = store_open(cache->store, &id, O_PATH);
	if (fd < 0)
		return fd;
	if (S_ISDIR(node->type))
		lend(cache, node, fd, path);
	else
		*path = (struct path){ .at.fd = fd };
	return 0;
}

void path_put(struct path *path)
{
	if (path->node) {
		lock_take(&path->node->lock, lock_rank_node);
		path->node->path_users--;
		lock_drop(&path->node->lock, lock_rank_node);
	} else if (path->file) {
		file_release(path->file);
	} else if (path->at.fd >= 0) {
		close(path->at.fd);
	}
	*path = (struct path)PATH_NONE;
}

void path_pin(struct path_cache *cache, struct node *node, int fd)
{
	int spare = fd;

	lock_take(&node->lock, lock_rank_node);
	if (node->path_fd < 0) {
		node->path_fd = fd;
		spare = -1;
	} else if (node->path_listed) {
		lock_take(&cache->lock, lock_rank_path_cache);
		unlist_locked(cache, node);
		lock_drop(&cache->lock, lock_rank_path_cache);
	}
	node->path_pinned = true;
	lock_drop(&node->lock, lock_rank_node);
	if (spare >= 0)
		close(spare);
}

void path_unpin(struct node *node)
{
	owned_fd fd = -1;

	lock_take(&node->lock, lock_rank_node);
	if (node->path_pinned && node->path_users == 0) {
		node->path_pinned = false;
		fd = take_fd(&node->path_fd);
	}
	lock_drop(&node->lock, lock_rank_node);
}

/* With the node's lock. Its parent's node that is to be let go, or NULL. */
static struct node *take_name(struct node_table *table, struct node *node,
			      struct node *parent, char *name)
{
	struct node *left = NULL;

	lock_take(&table->names_lock, lock_rank_names);
	if (node->parent != parent) {
		left = node->parent;
		atomic_fetch_add(&parent->lookups, 1);
		node->parent = parent;
	}
	free(node->name);
	node->name = name;
	lock_drop(&table->names_lock, lock_rank_names);
	return left;
}

void path_moved(struct node_table *table, struct node *node,
		struct node *parent, const char *name)
{
	bool by_number = node->id_type == STORE_ID_BY_NUMBER;
	struct node *left = NULL;

	if ((!by_number && !table->keeps_names) || !parent || !name)
		return;
	lock_take(&node->lock, lock_rank_node);
	if (node->parent != parent || !node->name ||
	    strcmp(node->name, name) != 0) {
		char *copy = strdup(name);

		/* Else it is found under the old name, or ESTALE. */
		if (copy)
			left = take_name(table, node, parent, copy);
	}
	if (by_number && node->path_pinned) {
		node->path_pinned = false;
		cache_add(table->paths, node);
	}
	lock_drop(&node->lock, lock_rank_node);
	if (left)
		node_forget(table, left, 1);
}

void path_forget(struct path_cache *cache, struct node *node)
{
	/*
	 * No lock of the node: nobody else can reach it but an eviction that
	 * found it in the list, and that holds the cache's lock.
	 */
	lock_take(&cache->lock, lock_rank_path_cache);
	unlist_locked(cache, node);
	lock_drop(&cache->lock, lock_rank_path_cache);
	if (node->path_fd >= 0)
		close(node->path_fd);
	node->path_fd = -1;
}
