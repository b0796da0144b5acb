/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The mounts that top watches, each with a reader of its own and the last
 * sample it gave. Mounts come and go meanwhile. One thread.
 */
#ifndef MSYNCFS_MSYNCCTL_TOP_MOUNTS_H
#define MSYNCFS_MSYNCCTL_TOP_MOUNTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "msyncctl/mount_reader.h"
#include "msyncctl/top_sample.h"
#include "msyncctl/top_view.h"

struct top_mount {
	char *mountpoint;
	dev_t dev;
	struct mount_reader reader;
	struct sample sample;
	int error; /* of the last answer: 0 or -errno */
	int64_t gone; /* when it was seen to be unmounted, or 0 */
	char trouble[160];
};

struct top_mounts {
	struct top_mount *list;
	size_t count;
	size_t selected; /* follows its mount when others go */
	bool named; /* by the user: no other is taken in, none left out */
	enum sample_order order;
};

/*
 * Those that paths lie on, or all that there are. Returns an enum
 * exit_status, and has said what is wrong if it isn't exit_ok.
 */
int top_mounts_init(struct top_mounts *mounts, int count, char **paths);
void top_mounts_fini(struct top_mounts *mounts);

/* Looks which mounts have come and gone. */
void top_mounts_look(struct top_mounts *mounts);

/* Asks each that is not still being asked. */
void top_mounts_ask(struct top_mounts *mounts);

/* Takes in what has been answered; true if there was something. */
bool top_mounts_take(struct top_mounts *mounts);

/* True while an answer is to come. */
bool top_mounts_awaited(const struct top_mounts *mounts);

void top_mounts_sort(struct top_mounts *mounts, enum sample_order order);

/*
 * For top_view.h; valid until the mounts change. patience: ns that an answer
 * may take before it is missed. NULL: out of memory, or no mounts.
 */
struct view_mount *top_mounts_view(struct top_mounts *mounts,
				   int64_t patience);

/* The mount whose root path is or lies on: its root. An enum exit_status. */
int mountpoint_of(const char *path, char **mountpoint, dev_t *dev);

#endif
