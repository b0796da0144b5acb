/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a mount tells others by itself, now and then: -o metrics=FILE, for
 * node_exporter's textfile collector, and the status line of a service
 * manager. One thread does it, and there is none if nobody asked.
 *
 * Owned by main: the plan is made before the working directory changes, the
 * watch lives from when the mount is ready until its requests have ended.
 */
#ifndef MSYNCFS_WATCH_H
#define MSYNCFS_WATCH_H

#include <stddef.h>
#include <stdint.h>

struct filesystem;
struct options;
struct preflight;
struct watch;

struct watch_plan {
	char *path; /* absolute; NULL: no file */
	char *temporary; /* beside it */
	int64_t every; /* ns */
};

/*
 * Is the file one that can be written? 0, or -errno with one line in error;
 * *plan then holds nothing to release.
 */
int watch_plan(struct watch_plan *plan, const struct options *options,
	const struct preflight *checked, char *error, size_t error_size);
void watch_plan_fini(struct watch_plan *plan);

/*
 * NULL if nobody wants anything, or the thread can't be started, which the
 * log says then. The plan must outlive the watch.
 */
struct watch *watch_start(struct filesystem *fs, const struct watch_plan *plan);

/* Ends the thread and removes the file. watch may be NULL. */
void watch_stop(struct watch *watch);

#endif
