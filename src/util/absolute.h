/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MSYNCFS_UTIL_ABSOLUTE_H
#define MSYNCFS_UTIL_ABSOLUTE_H

/*
 * The path from the root, by the present working directory; symbolic links
 * and ".." stay. For the caller to free(); NULL and errno of getcwd(3), or
 * ENOMEM. Any thread.
 */
char *absolute_path(const char *path);

#endif
