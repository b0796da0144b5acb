// SPDX-License-Identifier: Apache-2.0
/*
 * A line is
 *
 *	36 35 98:0 /root /mountpoint rw,noatime master:1 - ext4 /dev/sda rw
 *
 * with any number of fields before the dash. Spaces, tabs, newlines,
 * backslashes and # inside a field are a backslash and three octal digits.
 */
#include "util/mountinfo.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static bool is_octal(char c)
{
	return c >= '0' && c <= '7';
}

static void unescape(char *text)
{
	char *to = text;

	while (*text != '\0') {
		if (text[0] == '\\' && is_octal(text[1]) &&
			is_octal(text[2]) && is_octal(text[3])) {
			*to++ = (char)((text[1] - '0') << 6 |
				(text[2] - '0') << 3 | (text[3] - '0'));
			text += 4;
		} else {
			*to++ = *text++;
		}
	}
	*to = '\0';
}

/* The next field, or NULL at the end of the line. */
static char *next_field(char **line)
{
	char *field = strsep(line, " \n");

	return field == NULL || *field == '\0' ? NULL : field;
}

static bool parse_line(char *line, struct mountinfo_entry *entry)
{
	char *id = next_field(&line);
	char *parent = next_field(&line);
	char *device = next_field(&line);
	char *root = next_field(&line);
	char *mountpoint = next_field(&line);
	char *type, *source, *field;

	if (id == NULL || parent == NULL || device == NULL || root == NULL ||
		mountpoint == NULL)
		return false;
	do {
		field = next_field(&line);
		if (field == NULL)
			return false;
	} while (strcmp(field, "-") != 0);
	type = next_field(&line);
	/* The one field that may be empty. */
	source = line == NULL ? NULL : strsep(&line, " \n");
	if (type == NULL || source == NULL)
		return false;
	if (sscanf(id, "%" SCNu64, &entry->id) != 1 ||
		sscanf(device, "%u:%u", &entry->major, &entry->minor) != 2)
		return false;
	unescape(root);
	unescape(mountpoint);
	unescape(type);
	unescape(source);
	entry->root = root;
	entry->mountpoint = mountpoint;
	entry->type = type;
	entry->source = source;
	return true;
}

int mountinfo_open(struct mountinfo *info, const char *path)
{
	*info = (struct mountinfo){ .file = fopen(path, "re") };
	return info->file == NULL ? -errno : 0;
}

const struct mountinfo_entry *mountinfo_next(struct mountinfo *info)
{
	while (getline(&info->line, &info->size, info->file) >= 0) {
		if (parse_line(info->line, &info->entry))
			return &info->entry;
	}
	return NULL;
}

void mountinfo_close(struct mountinfo *info)
{
	if (info->file != NULL)
		fclose(info->file);
	free(info->line);
	*info = (struct mountinfo){ 0 };
}
