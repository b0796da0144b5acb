// SPDX-License-Identifier: Apache-2.0
/*
 * A value is asked for with a guess of its size first; when it has grown in
 * between, as the picture of a busy file does, again with more room.
 */
#include "msyncctl/attr.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#include "control/attribute_list.h"
#include "msyncctl/mounts.h"

#define NAME_SIZE 256
/* Most values; the kernel's own limit, XATTR_SIZE_MAX, is 64 KiB. */
#define SIZE_GUESS 4096
#define SIZE_LIMIT 65536

static int full_name(char full[NAME_SIZE], const char *name)
{
	int n = snprintf(full, NAME_SIZE, "%s%s", ATTRIBUTE_PREFIX, name);

	return n < NAME_SIZE ? 0 : -ERANGE;
}

int attr_get(const char *path, const char *name, char **value)
{
	char full[NAME_SIZE];
	size_t size = SIZE_GUESS;
	ssize_t n;

	*value = NULL;
	if (full_name(full, name) < 0)
		return -ERANGE;
	for (;;) {
		char *buffer = malloc(size + 1);

		if (!buffer)
			return -ENOMEM;
		n = getxattr(path, full, buffer, size);
		if (n >= 0) {
			buffer[n] = '\0';
			*value = buffer;
			return (int)n;
		}
		n = -errno;
		free(buffer);
		if (n != -ERANGE || size == SIZE_LIMIT)
			return (int)n;
		size = SIZE_LIMIT;
	}
}

int attr_set(const char *path, const char *name, const char *value)
{
	char full[NAME_SIZE];

	if (full_name(full, name) < 0)
		return -ERANGE;
	return setxattr(path, full, value, strlen(value), 0) < 0 ? -errno : 0;
}

int attr_remove(const char *path, const char *name)
{
	char full[NAME_SIZE];

	if (full_name(full, name) < 0)
		return -ERANGE;
	return removexattr(path, full) < 0 ? -errno : 0;
}

int attr_check_mount(const char *path)
{
	owned_mount mount = { 0 };
	int r = mounts_find(path, &mount);

	if (r == -ENODEV)
		return -ENOTTY;
	if (r < 0)
		return r;
	return mount_is_msyncfs(&mount) ? 0 : -ENOTTY;
}

bool attr_next_pair(const char **text, struct attr_pair *pair)
{
	const char *line = *text;
	size_t length = strcspn(line, "\n");
	const char *equals = memchr(line, '=', length);

	if (*line == '\0')
		return false;
	pair->key = line;
	pair->key_length = equals ? (size_t)(equals - line) : length;
	pair->value = equals ? equals + 1 : line + length;
	pair->value_length = (size_t)(line + length - pair->value);
	*text = line + length + (line[length] == '\n');
	return true;
}

static bool find_pair(const char *text, const char *key,
	struct attr_pair *pair)
{
	size_t length = strlen(key);

	while (attr_next_pair(&text, pair)) {
		if (pair->key_length == length &&
			memcmp(pair->key, key, length) == 0)
			return true;
	}
	return false;
}

const char *attr_line(const char *text, const char *key, char *buffer,
	size_t size)
{
	struct attr_pair pair;

	if (!find_pair(text, key, &pair))
		return NULL;
	snprintf(buffer, size, "%.*s", (int)pair.value_length, pair.value);
	return buffer;
}

bool attr_number(const char *text, size_t length, uint64_t *number)
{
	uint64_t sum = 0;

	if (length == 0)
		return false;
	for (size_t i = 0; i < length; i++) {
		unsigned digit = (unsigned)(text[i] - '0');

		if (digit > 9 || __builtin_mul_overflow(sum, 10, &sum) ||
			__builtin_add_overflow(sum, digit, &sum))
			return false;
	}
	*number = sum;
	return true;
}

bool attr_line_number(const char *text, const char *key, uint64_t *number)
{
	struct attr_pair pair;

	return find_pair(text, key, &pair) &&
	       attr_number(pair.value, pair.value_length, number);
}
