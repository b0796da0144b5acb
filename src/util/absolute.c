// SPDX-License-Identifier: Apache-2.0
#include "util/absolute.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util/cleanup.h"

char *absolute_path(const char *path)
{
	owned_memory char *directory = NULL;
	char *whole;

	if (path[0] == '/')
		return strdup(path);
	directory = getcwd(NULL, 0);
	if (!directory || asprintf(&whole, "%s/%s", directory, path) < 0)
		return NULL;
	return whole;
}

/* Where the path leads; of a file that is not there, its directory. */
static char *real_place(const char *path)
{
	char *real = realpath(path, NULL);
	owned_memory char *parent = NULL;
	char *slash;

	if (real || errno != ENOENT)
		return real;
	parent = absolute_path(path);
	if (!parent)
		return NULL;
	slash = strrchr(parent, '/');
	slash[slash == parent ? 1 : 0] = '\0';
	return realpath(parent, NULL);
}

bool path_text_is_below(const char *path, const char *directory)
{
	size_t length = strcmp(directory, "/") == 0 ? 0 : strlen(directory);

	return strncmp(path, directory, length) == 0 &&
	       (path[length] == '/' || path[length] == '\0');
}

bool path_is_below(const char *path, const char *directory)
{
	owned_memory char *real = real_place(path);

	return real && path_text_is_below(real, directory);
}
