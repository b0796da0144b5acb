/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Setting and removing attributes on the files of a walk, or saying what
 * would be done. One thread.
 */
#ifndef MSYNCFS_MSYNCCTL_CHANGE_H
#define MSYNCFS_MSYNCCTL_CHANGE_H

#include <stdbool.h>
#include <stddef.h>

#include "msyncctl/attribute.h"
#include "msyncctl/flags.h"
#include "msyncctl/walk.h"

struct change {
	const struct attribute *attribute;
	const char *value; /* NULL: remove it */
};

struct change_list {
	struct report *report;
	const struct change *changes;
	size_t count;
	struct flags flags;
};

/* walk_files() with all the changes for each file. */
void change_files(const struct change_list *list, char **paths, int count);

/* The same for one file; a walk's visit function. */
void change_visit(const struct target *target, void *list);

/*
 * What -errno means as the answer to "NAME=VALUE" (VALUE NULL: a removal or
 * a question), with the values that the attribute takes where that helps.
 */
#define CHANGE_REFUSAL_MAX 512
void change_refusal(char text[CHANGE_REFUSAL_MAX],
	const struct attribute *attribute, const char *value, int error);

/* False, and the failure reported if that is due, if target has no such. */
bool change_fits(struct report *report, const struct target *target,
	const struct attribute *attribute);

#endif
