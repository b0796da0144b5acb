/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds the inodes of a journal in its store again. Only for recover.c. One
 * thread.
 */
#ifndef MSYNCFS_STORE_RECOVER_FIND_H
#define MSYNCFS_STORE_RECOVER_FIND_H

#include <stdbool.h>
#include <stddef.h>

#include "store/journal.h"

struct find_entry {
	struct journal_id id;
	char *path; /* NULL: there is none by this id */
};

struct find {
	int root_fd;
	struct find_entry *wanted; /* by inode number, after find_walk() */
	size_t count;
	size_t room;
	int unseen; /* -errno of what the walk couldn't look into; 0 */
};

void find_init(struct find *find, int root_fd);
void find_fini(struct find *find);

/*
 * An O_PATH descriptor of the inode: by handle, at its path, or where the
 * walk has seen it. -ENOENT: it exists no more; -EACCES, or another -errno: it
 * may be where it can't be looked for.
 */
int find_open(const struct find *find, const struct journal_id *id,
	      const char *path);

/*
 * Has find_walk() look for it, unless it can be found without. 0 or -errno.
 */
int find_want(struct find *find, const struct journal_id *id,
	      const char *path);
/* Goes through the store once, if anything is wanted. 0 or -errno. */
int find_walk(struct find *find);

#endif
