// SPDX-License-Identifier: Apache-2.0
#include "util/absolute.h"

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
