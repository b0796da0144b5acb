/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files that a verb works on: those of the command line and, with
 * -R, everything below. The walk stays on the mount, follows no symbolic link
 * that it meets (those of the command line are followed), and holds each file
 * by descriptor while it is visited, so that nobody can put another in its
 * place. Files are not opened: that would choose their data path. One thread.
 */
#ifndef MSYNCFS_MSYNCCTL_WALK_H
#define MSYNCFS_MSYNCCTL_WALK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "msyncctl/report.h"

/* Room for "/proc/self/fd/N". */
#define WALK_ACCESS_SIZE 32

struct target {
	const char *path; /* for people */
	char access[WALK_ACCESS_SIZE]; /* for system calls */
	unsigned kind; /* enum attribute_where, or-ed; 0: neither */
	uint64_t size; /* of a regular file */
	bool given; /* on the command line, not found by the walk */
	bool exact; /* given, and not as a tree: a wrong kind is a failure */
	double from, to; /* the part of the whole work, for the progress bar */
};

struct walk {
	struct report *report;
	/*
	 * Kinds (enum attribute_where) that are visited in a tree; others are
	 * passed over, directories entered all the same.
	 */
	unsigned wanted;
	bool recursive;
	/* The root is a target that stands for its whole tree. */
	bool root_is_all;
	/* Failures are told to the report; the walk goes on. */
	void (*visit)(const struct target *target, void *argument);
	void *argument;
};

/*
 * Visits count files. What can't be opened or is on no msyncfs mount is
 * reported as a failure.
 */
void walk_files(const struct walk *walk, char **paths, int count);

/* What the walk does with something that it meets; pure. */
enum walk_step {
	walk_skip,
	walk_visit, /* a file, or a directory that is not entered */
	walk_enter, /* a directory that is entered and not visited */
	walk_visit_and_enter,
};
enum walk_step walk_decide(const struct walk *walk,
	const struct target *target, bool same_mount);

#endif
