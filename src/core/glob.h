/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pattern for paths below one directory, as it stands in a policy file:
 *
 *	*	any characters but '/'
 *	?	one character, of UTF-8 a whole one
 *	[a-z_]	one of these ASCII characters, [!a-z] or [^a-z] any other
 *	**	between slashes: any number of directories, also none
 *	dir/	the directory and all that is below it, as dir/ and two stars
 *	\c	the character c itself
 *
 * Everything is looked for from the top; a slash at the beginning changes
 * nothing, and "/" alone is everything. A leading dot is a character like
 * others. Bytes that are no UTF-8 are one character each.
 *
 * Compiled once, then constant. Pure. Any thread.
 */
#ifndef MSYNCFS_CORE_GLOB_H
#define MSYNCFS_CORE_GLOB_H

#include <stdbool.h>
#include <stddef.h>

struct glob;

/*
 * Of length bytes without a NUL. 0; -ENOMEM; -EINVAL and *expected says what
 * should have been there ("a ']' to every '['").
 */
int glob_new(const char *text, size_t length, struct glob **glob,
	const char **expected);
void glob_free(struct glob *glob);

/*
 * The names at its beginning that have no wildcards, joined by '/', with no
 * backslashes: every path that matches is this or begins with this and '/'.
 * Empty if there are none.
 */
const char *glob_head(const struct glob *glob);

/*
 * Does the rest of a path match, behind the head? rest is NULL when there is
 * none, else what follows the '/'. directory: of the path as a whole, which
 * "dir/" needs for matching dir itself.
 */
bool glob_matches_rest(const struct glob *glob, const char *rest,
	bool directory);

/* The same for a whole path, relative to the top; "" is the top itself. */
bool glob_matches(const struct glob *glob, const char *path, bool directory);

#endif
