// SPDX-License-Identifier: Apache-2.0
/*
 * A look-up finds a node under rcu_read_lock() and takes it by raising
 * lookups from a value above 0; one that has reached 0 belongs to the thread
 * that took it there, which removes it from the table and frees it after a
 * grace period. A finder that meets such a node helps with the removal and
 * tries again, so two nodes of one inode never live at one time.
 *
 * ThreadSanitizer sees neither a grace period nor what liburcu publishes
 * inside; the macros tell it of the order.
 */
#include "core/node.h"

#include <assert.h>
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "core/path.h"

#ifndef __has_feature
#define __has_feature(feature) 0
#endif
#if defined(__SANITIZE_THREAD__) || __has_feature(thread_sanitizer)
void __tsan_acquire(void *address);
void __tsan_release(void *address);
static char rcu_domain;
#define rcu_reader_done() __tsan_release(&rcu_domain)
#define grace_period_over() __tsan_acquire(&rcu_domain)
#define about_to_publish(node) __tsan_release(node)
#define was_published(node) __tsan_acquire(node)
#else
#define rcu_reader_done() ((void)0)
#define grace_period_over() ((void)0)
#define about_to_publish(node) ((void)(node))
#define was_published(node) ((void)(node))
#endif

#define TABLE_BUCKETS_MIN 1024

static void read_lock(void)
{
	rcu_read_lock();
}

static void read_unlock(void)
{
	rcu_reader_done();
	rcu_read_unlock();
}

void node_thread_enter(void)
{
	rcu_register_thread();
}

void node_thread_leave(void)
{
	rcu_unregister_thread();
}

int node_table_init(struct node_table *table, struct path_cache *paths)
{
	*table = (struct node_table){
		.paths = paths,
		.hash = cds_lfht_new(TABLE_BUCKETS_MIN, TABLE_BUCKETS_MIN, 0,
				     CDS_LFHT_AUTO_RESIZE |
					     CDS_LFHT_ACCOUNTING,
				     NULL),
	};
	if (!table->hash)
		return -ENOMEM;
	lock_init(&table->names_lock);
	return 0;
}

static unsigned long hash_of(const struct store_id *id)
{
	return XXH3_64bits_withSeed(id->bytes, id->length,
				    (XXH64_hash_t)id->mount);
}

static int same_id(struct cds_lfht_node *link, const void *key)
{
	struct node *node = caa_container_of(link, struct node, link);
	const struct store_id *id = key;

	was_published(node);
	return node->id_length == id->length && node->id_type == id->type &&
	       node->id_mount == id->mount &&
	       memcmp(node->id_bytes, id->bytes, id->length) == 0;
}

static void node_free(struct node *node)
{
	lock_fini(&node->lock);
	free(node->name);
	free(node->policies);
	free(node);
}

static void free_after_grace_period(struct rcu_head *head)
{
	struct node *node = caa_container_of(head, struct node, rcu);

	grace_period_over();
	while (node) {
		struct node *next = node->next_retired;

		node_free(node);
		node = next;
	}
}

/* A grace period interrupts every processor: one for so many nodes. */
#define RETIRE_TOGETHER 64

static void free_retired(struct node_table *table)
{
	struct node *node = atomic_exchange(&table->retired, NULL);

	if (!node)
		return;
	rcu_reader_done();
	call_rcu(&node->rcu, free_after_grace_period);
}

static void retire(struct node_table *table, struct node *node)
{
	struct node *top = atomic_load(&table->retired);

	do
		node->next_retired = top;
	while (!atomic_compare_exchange_weak(&table->retired, &top, node));
	if (atomic_fetch_add(&table->retired_count, 1) % RETIRE_TOGETHER ==
	    RETIRE_TOGETHER - 1)
		free_retired(table);
}

static bool keeps_name(const struct node_table *table,
		       const struct store_id *id, const struct node *parent,
		       const char *name)
{
	if (table->keeps_names)
		return parent;
	return name && id->type == STORE_ID_BY_NUMBER;
}

static struct node *node_new(const struct node_table *table,
			     const struct store_id *id, const struct stat *st,
			     struct node *parent, const char *name)
{
	struct node *node = calloc(1, sizeof(*node) + id->length);

	if (!node)
		return NULL;
	if (keeps_name(table, id, parent, name)) {
		node->name = strdup(name ? name : "");
		if (!node->name) {
			free(node);
			return NULL;
		}
		node->parent = parent;
	}
	cds_lfht_node_init(&node->link);
	lock_init(&node->lock);
	node->device = (uint8_t)store_device(table->paths->store, st->st_dev);
	node->ino = store_inode_number(node->device, st->st_ino);
	node->path_fd = -1;
	node->type = st->st_mode & S_IFMT;
	node->id_type = id->type;
	node->id_mount = id->mount;
	node->id_length = id->length;
	memcpy(node->id_bytes, id->bytes, id->length);
	atomic_store(&node->lookups, 1);
	return node;
}

static bool take_lookup(struct node *node)
{
	uint64_t count = atomic_load(&node->lookups);

	while (count > 0) {
		if (atomic_compare_exchange_weak(&node->lookups, &count,
						 count + 1))
			return true;
	}
	return false;
}

static struct node *found_node(struct cds_lfht_iter *iter)
{
	struct cds_lfht_node *link = cds_lfht_iter_get_node(iter);

	return link ? caa_container_of(link, struct node, link) : NULL;
}

struct node *node_get(struct node_table *table, const struct store_id *id)
{
	struct cds_lfht_iter iter;
	struct node *node;

	read_lock();
	cds_lfht_lookup(table->hash, hash_of(id), same_id, id, &iter);
	node = found_node(&iter);
	if (node && !take_lookup(node))
		node = NULL;
	read_unlock();
	return node;
}

/* Adds node, or takes the one that is there instead; that one is returned. */
static struct node *add_or_take(struct node_table *table,
				const struct store_id *id, struct node *node)
{
	unsigned long hash = hash_of(id);
	struct cds_lfht_node *link;
	struct node *there;

	about_to_publish(node);
	read_lock();
	for (;;) {
		link = cds_lfht_add_unique(table->hash, hash, same_id, id,
					   &node->link);
		there = caa_container_of(link, struct node, link);
		if (there == node || take_lookup(there))
			break;
		/* On its way out: fails if its owner was faster. */
		(void)cds_lfht_del(table->hash, link);
	}
	read_unlock();
	return there;
}

struct node *node_get_or_add(struct node_table *table,
			     const struct store_id *id, const struct stat *st,
			     struct node *parent, const char *name)
{
	struct node *node = node_get(table, id);
	struct node *made;

	if (node) {
		path_moved(table, node, parent, name);
		return node;
	}
	made = node_new(table, id, st, parent, name);
	if (!made)
		return NULL;
	if (made->parent)
		atomic_fetch_add(&made->parent->lookups, 1);
	node = add_or_take(table, id, made);
	if (node == made) {
		atomic_fetch_add(&table->count, 1);
		return node;
	}
	if (made->parent)
		node_forget(table, made->parent, 1);
	node_free(made);
	return node;
}

void node_hold(struct node *node)
{
	atomic_fetch_add(&node->lookups, 1);
}

void node_forget(struct node_table *table, struct node *node, uint64_t count)
{
	/* Each turn lets a node go and goes on with the parent it counted. */
	while (node) {
		uint64_t before = atomic_fetch_sub(&node->lookups, count);
		struct node *parent;

		assert(before >= count);
		if (before > count)
			return;
		parent = node->parent;
		read_lock();
		(void)cds_lfht_del(table->hash, &node->link);
		read_unlock();
		path_forget(table->paths, node);
		atomic_fetch_sub(&table->count, 1);
		retire(table, node);
		node = parent;
		count = 1;
	}
}

void node_table_fini(struct node_table *table)
{
	struct cds_lfht_iter iter;
	struct node *node;

	if (!table->hash)
		return;
	read_lock();
	cds_lfht_for_each_entry(table->hash, &iter, node, link) {
		(void)cds_lfht_del(table->hash, &node->link);
		path_forget(table->paths, node);
		retire(table, node);
	}
	read_unlock();
	free_retired(table);
	rcu_barrier();
	cds_lfht_destroy(table->hash, NULL);
	table->hash = NULL;
	lock_fini(&table->names_lock);
}

int node_path(struct node_table *table, const struct node *node,
	      char path[PATH_MAX])
{
	char *at = path + PATH_MAX - 1;
	bool last = true;
	int r = 0;

	*at = '\0';
	lock_take(&table->names_lock, lock_rank_names);
	for (; r == 0 && node != table->root; node = node->parent) {
		size_t length = node->name ? strlen(node->name) : 0;

		if (!node->parent || !node->name) {
			r = -ENOENT;
		} else if ((size_t)(at - path) < length + 1) {
			r = -ENAMETOOLONG;
		} else {
			if (!last)
				*--at = '/';
			at -= length;
			memcpy(at, node->name, length);
			last = false;
		}
	}
	lock_drop(&table->names_lock, lock_rank_names);
	memmove(path, at, strlen(at) + 1);
	return r;
}

/* Nodes: about a mebibyte. */
#define TRIM_WORTH 4096

void node_table_trim(struct node_table *table)
{
	unsigned gone = table->retired_count;

	free_retired(table);
	if (gone - table->trimmed_at < TRIM_WORTH)
		return;
	rcu_barrier(); /* what was forgotten is free now */
	malloc_trim(0);
	table->trimmed_at = gone;
}

void node_id(const struct node *node, struct store_id *id)
{
	id->type = node->id_type;
	id->mount = node->id_mount;
	id->length = node->id_length;
	memcpy(id->bytes, node->id_bytes, node->id_length);
}

/* The protocol's number of the root (FUSE_ROOT_ID). */
#define ROOT_NUMBER 1

uint64_t node_number(const struct node_table *table, const struct node *node)
{
	return node == table->root ? ROOT_NUMBER : (uint64_t)(uintptr_t)node;
}

struct node *node_of_number(const struct node_table *table, uint64_t number)
{
	if (number == ROOT_NUMBER)
		return table->root;
	return (struct node *)(uintptr_t)number;
}
