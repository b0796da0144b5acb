/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A descriptor for a node, for calls that name an inode by one: opened by
 * handle, or by walking from the parent where there are no handles.
 *
 * Directories' descriptors (without handles: every node's) are cached, a
 * bounded number of them. One that could not be found again is pinned: an
 * unlinked inode that the kernel still knows. Any thread.
 */
#ifndef MSYNCFS_CORE_PATH_H
#define MSYNCFS_CORE_PATH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "os/inode.h"
#include "util/lock.h"

struct file;
struct node;
struct node_table;
struct store;

struct path_cache {
	struct store *store;
	struct lock lock; /* protects nodes, count and their path_link */
	TAILQ_HEAD(, node) nodes;
	unsigned count;
	unsigned limit;
	/* Of path_get(): was there a descriptor, or was the inode opened? */
	_Atomic uint64_t hits, misses;
};

/* A borrowed descriptor; path_put() gives it back. */
struct path {
	struct inode_handle at; /* .fd is -1 when there is none */
	struct node *node; /* whose cached descriptor it is, or NULL */
	struct file *file; /* whose descriptor it is, or NULL */
};

#define PATH_NONE { .at.fd = -1 }
#define owned_path __attribute__((cleanup(path_put))) struct path

void path_cache_init(struct path_cache *cache, struct store *store,
		     unsigned limit);
void path_cache_fini(struct path_cache *cache);

/*
 * 0 or -errno, -ESTALE when the inode exists no more. *path is PATH_NONE
 * before and after a failure.
 */
int path_get(struct node_table *table, struct node *node, struct path *path);
void path_put(struct path *path);

/*
 * Keeps an inode reachable that is about to lose its name; fd (O_PATH) is
 * taken over in every case.
 */
void path_pin(struct path_cache *cache, struct node *node, int fd);

/* It has got a name again: it is found by its handle, as before. */
void path_unpin(struct node *node);

/*
 * Notes under which name a node was last found, for nodes that are found by
 * name, and all if the table keeps names.
 */
void path_moved(struct node_table *table, struct node *node,
		struct node *parent, const char *name);

/* The node is going: its descriptor is closed. */
void path_forget(struct path_cache *cache, struct node *node);

#endif
