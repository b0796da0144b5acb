// SPDX-License-Identifier: Apache-2.0
/* Made from the list that the daemon is made from. */
#include "msyncctl/attribute.h"

#include <string.h>

#define ENTRY(NAME, KIND, WHERE, VALUES, HELP)                                 \
	{ NAME, attribute_##KIND, WHERE, VALUES, HELP },

const struct attribute attribute_table[] = {
	ATTRIBUTE_LIST(ENTRY)
	{ .name = NULL },
};

const struct attribute *attribute_find(const char *name, size_t length)
{
	const struct attribute *a;

	for (a = attribute_table; a->name; a++) {
		if (strlen(a->name) == length &&
			memcmp(a->name, name, length) == 0)
			return a;
	}
	return NULL;
}

const struct attribute *attribute_find_text(const char *name)
{
	return attribute_find(name, strlen(name));
}

const char *attribute_kind_name(enum attribute_kind kind)
{
	static const char *const names[] = {
		[attribute_policy] = "policy",
		[attribute_action] = "action",
		[attribute_status] = "status",
	};

	return names[kind];
}

const char *attribute_where_name(unsigned where)
{
	if (where == attribute_on_root)
		return "the mount's root";
	if (where == (attribute_on_file | attribute_on_root))
		return "regular files and the mount's root";
	if (where == attribute_on_file)
		return "regular files";
	return "regular files and directories";
}
