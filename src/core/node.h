/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The in-memory object of one live inode, and the table of all of them.
 *
 * A node exists from the first look-up whose answer the kernel keeps until
 * the kernel has forgotten every one of them (FUSE_FORGET); the kernel names
 * it by node_number(). The table is a lock-free hash (liburcu): a look-up
 * waits for nobody. Every thread that calls here has registered with
 * node_thread_enter().
 *
 *	lookups > 0	in the table, the kernel may name it
 *	lookups == 0	being removed: no look-up can bring it back; freed
 *			after a grace period
 */
#ifndef MSYNCFS_CORE_NODE_H
#define MSYNCFS_CORE_NODE_H

#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/stat.h>
#include <urcu.h>
#include <urcu/rculfhash.h>

#include "core/stage.h"
#include "store/store.h"
#include "util/lock.h"

struct file;
struct path_cache;
struct policy;

struct node {
	struct cds_lfht_node link;
	struct rcu_head rcu;
	struct node *next_retired;
	_Atomic uint64_t lookups;
	uint64_t ino; /* as shown at the mount */

	struct lock lock; /* protects the next block */
	struct file *file; /* of a regular file that is open, else NULL */
	/* Changes that the store lacks, also of a closed file; counted. */
	_Atomic(struct staged *) staged;
	/* What it knew; read without the lock to see if there is any. */
	struct staged_ctime ctime;
	int path_fd; /* O_PATH, cached, else -1 */
	unsigned path_users;
	bool path_pinned; /* can't be found again: kept until forgotten */
	/* What is staged was to be settled for an open as something else. */
	bool is_settled;
	bool policies_known; /* of a directory */
	bool held; /* a look-up is kept: file_note_hold() */
	uint64_t stamp; /* contents at the last close; 0: not known */
	/* Closed ones whose last sync is still to come. */
	_Atomic unsigned files_closed;
	/* Of a sync after the last close: errno or 0. */
	_Atomic int pending_error;
	unsigned policies_version; /* grows when they are changed */
	struct policy *policies; /* its own, NULL: none are set */
	/*
	 * Where it was last found, if that is kept, else both NULL; the parent
	 * is counted. To change them takes the table's names_lock as well.
	 */
	struct node *parent;
	char *name; /* "": it has none, O_TMPFILE */

	/* The path cache's lock. */
	bool path_listed;
	_Atomic bool path_used; /* since the cache's hand came by */
	TAILQ_ENTRY(node) path_link;

	/* Written by the kernel unseen: its attributes can't be cached. */
	_Atomic bool written_unseen;
	/* Coarse seconds (clock_coarse) until which attributes are cached. */
	_Atomic uint32_t attributes_until;
	/* Grows when the inode is made anew for programs. */
	_Atomic uint32_t generation;
	mode_t type; /* S_IFMT bits */
	int32_t id_type;
	uint8_t device; /* store_device() */
	uint8_t id_mount;
	uint8_t id_length;
	unsigned char id_bytes[];
};

struct node_table {
	struct cds_lfht *hash;
	struct path_cache *paths;
	struct node *root;
	/* Of what is found by handle too, for node_path(); set at start. */
	bool keeps_names;
	struct lock names_lock; /* all nodes' parents and names together */
	_Atomic uint64_t count;
	/* Gone, and to be freed together after one grace period. */
	_Atomic(struct node *) retired;
	_Atomic unsigned retired_count;
	unsigned trimmed_at; /* retired_count when memory was given back */
};

void node_thread_enter(void);
void node_thread_leave(void);

/* 0 or -errno. The root is made by the caller with node_get_or_add(). */
int node_table_init(struct node_table *table, struct path_cache *paths);
/* Frees every node; no other thread may use the table any more. */
void node_table_fini(struct node_table *table);

/*
 * The node of an inode, made if there is none, with one look-up more. parent
 * and name say where it was found (NULL for the root, name NULL for a file
 * that has none); they are kept only for an id by number, or if the table
 * keeps_names. NULL: out of memory.
 */
struct node *node_get_or_add(struct node_table *table,
			     const struct store_id *id, const struct stat *st,
			     struct node *parent, const char *name);

/* The node of an inode if there is one, with one look-up more, else NULL. */
struct node *node_get(struct node_table *table, const struct store_id *id);

/* One look-up more, for somebody who has the node already. */
void node_hold(struct node *node);

/* Takes count look-ups back; the node is gone with the last. */
void node_forget(struct node_table *table, struct node *node, uint64_t count);

/*
 * Where the node is, relative to the root, by the names that were looked up
 * last; "" is the root. The node's lock may be held. 0; -ENOENT when it is
 * not known, always so without keeps_names; -ENAMETOOLONG.
 */
int node_path(struct node_table *table, const struct node *node,
	      char path[PATH_MAX]);

/*
 * Frees what is gone, and gives the memory back to the system if it is much.
 * For idle moments, from one thread only.
 */
void node_table_trim(struct node_table *table);

void node_id(const struct node *node, struct store_id *id);

/* What the kernel calls it. The one place that knows how ids are made. */
uint64_t node_number(const struct node_table *table, const struct node *node);
struct node *node_of_number(const struct node_table *table, uint64_t number);

#endif
