/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading and setting the attributes of msyncfs by path, and taking apart
 * what is read. Everything msyncctl knows of a mount goes through here: there
 * is no other channel. Symbolic links are followed. Any thread.
 *
 * Names are without ATTRIBUTE_PREFIX, as in control/attribute_list.h.
 */
#ifndef MSYNCFS_MSYNCCTL_ATTR_H
#define MSYNCFS_MSYNCCTL_ATTR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The value's length, or -errno (-ENODATA: not set, or no such attribute).
 * *value is for the caller to free; a NUL is put behind the length. On
 * failure it is NULL.
 */
int attr_get(const char *path, const char *name, char **value);

/* 0 or -errno as the mount answers. */
int attr_set(const char *path, const char *name, const char *value);
int attr_remove(const char *path, const char *name);

/* 0, -ENOTTY if path is not on an msyncfs mount, else -errno of path. */
int attr_check_mount(const char *path);

/*
 * The value of the first line "KEY=VALUE" of text, copied to buffer (and cut
 * off there); NULL if there is no such line.
 */
const char *attr_line(const char *text, const char *key, char *buffer,
		      size_t size);

/* Digits and nothing else; false for what is none or too large. */
bool attr_number(const char *text, size_t length, uint64_t *number);

/* The value of a line as a number; false if it is missing or is none. */
bool attr_line_number(const char *text, const char *key, uint64_t *number);

/*
 * Takes "KEY=VALUE\n" lines apart: *text is moved behind the line, key and
 * value point into it, by length. false at the end. Lines without "=" have
 * the whole line as key and an empty value.
 */
struct attr_pair {
	const char *key;
	size_t key_length;
	const char *value;
	size_t value_length;
};
bool attr_next_pair(const char **text, struct attr_pair *pair);

#endif
