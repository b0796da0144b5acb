/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The list of attributes as msyncctl asks it. Constant; any thread.
 */
#ifndef MSYNCFS_MSYNCCTL_ATTRIBUTE_H
#define MSYNCFS_MSYNCCTL_ATTRIBUTE_H

#include <stddef.h>

#include "control/attribute_list.h"

struct attribute {
	const char *name; /* NULL behind the last of attribute_table */
	enum attribute_kind kind;
	unsigned where; /* enum attribute_where, or-ed */
	const char *values;
	const char *help;
};

extern const struct attribute attribute_table[];

/* NULL: no such attribute. The name has no NUL behind it. */
const struct attribute *attribute_find(const char *name, size_t length);
const struct attribute *attribute_find_text(const char *name);

/* "policy", "action", "status". */
const char *attribute_kind_name(enum attribute_kind kind);

/* "regular files and directories", for messages. */
const char *attribute_where_name(unsigned where);

#endif
