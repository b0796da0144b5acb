/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MSYNCFS_UTIL_ABSOLUTE_H
#define MSYNCFS_UTIL_ABSOLUTE_H

#include <stdbool.h>

/*
 * The path from the root, by the present working directory; symbolic links
 * and ".." stay. For the caller to free(); NULL and errno of getcwd(3), or
 * ENOMEM. Any thread.
 */
char *absolute_path(const char *path);

/* Whether an absolute path is the directory's or below it, by its words. */
bool path_text_is_below(const char *path, const char *directory);

/*
 * Whether the file is, or would be made, below the directory, which is a path
 * that realpath(3) has given. Symbolic links are followed. Any thread.
 */
bool path_is_below(const char *path, const char *directory);

#endif
