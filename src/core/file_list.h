/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The open files of a mount, and those that are closed and not yet synced, at
 * one time. Any thread that may release a file: it is known to RCU
 * (node_thread_enter()).
 */
#ifndef MSYNCFS_CORE_FILE_LIST_H
#define MSYNCFS_CORE_FILE_LIST_H

#include <stddef.h>

struct file;
struct filesystem;

/*
 * Each with a reference, for the caller to file_release(); the array is the
 * caller's to free. NULL and no files: out of memory.
 */
struct file **file_list_take(struct filesystem *fs, size_t *count);

#endif
