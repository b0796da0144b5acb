/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parts of the driver: steps, what they are tried on, trees compared.
 */
#ifndef MSYNCFS_TESTS_FAULT_DRIVER_H
#define MSYNCFS_TESTS_FAULT_DRIVER_H

#include <stdbool.h>
#include <sys/types.h>

#define USER_ID 65534
#define GROUP_ID 65534
/* A supplementary group of that user. */
#define OTHER_GROUP_ID 4321

/* One try: a fresh directory, in the store and as the mount shows it. */
struct place {
	int store; /* descriptors of the directory */
	int mount; /* -1 before and after act() */
	char mount_path[4096];
};

enum step_flags {
	step_by_user = 1, /* act() is USER_ID's */
	step_goes_on = 2,
	step_attributes = 4, /* what it asks for are extended attributes */
	step_setuid = 16, /* it clears setuid and setgid */
	step_partial = 8, /* when it fails, any part may have happened */
	step_policy = 32, /* what the store doesn't keep is kept in memory */
	step_by_time = 64, /* how often it calls depends on time */
	step_advice = 128, /* it advises, at once or later */
	step_durable = 256, /* it is about syncing, perhaps in the background */
	step_status = 512, /* it tells what can be found out */
	step_counts_dirty = 1024, /* opens the file for that alone */
	/*
	 * Of staged or private files: each ends as it was or as meant, unless
	 * step_goes_on.
	 */
	step_staged = 2048,
	step_background = 4096, /* always asks for what is done there */
	/*
	 * It writes through a mapping: of pages that couldn't be written back
	 * the kernel goes on showing what the file never got, and of the
	 * error it tells syncfs(2) as well.
	 */
	step_mapped = 8192,
	step_remade = 16384, /* it makes a file whose removal waits again */
};

struct step {
	const char *name;
	/* In the store, and on the mount before anything is failed. */
	void (*setup)(struct place *place);
	/*
	 * On the mount. 0 or -errno; what it opened is closed. The last call
	 * is the only one that changes anything, unless step_goes_on.
	 */
	int (*act)(struct place *place);
	unsigned flags;
};

/* NULL after the last. */
const struct step *step_number(unsigned number);

/* Set when a write of act() ended early, which is one way to tell. */
extern bool wrote_less;

/*
 * All of a directory as text: names, types, modes, owners, sizes, contents,
 * attributes, and times that are too old to be of now. To be freed. NULL,
 * with errno, when something can't be read.
 */
char *tree_text(int directory);
/* Do two such texts differ in attributes user.msyncfs. only, if at all? */
bool tree_same_but_policies(const char *one, const char *other);
/* Is each line of text in one or in the other? */
bool tree_of_either(const char *text, const char *one, const char *other);
/* Removes all that is in it. 0 or -errno of the first failure. */
int tree_clear(int directory);

#endif
