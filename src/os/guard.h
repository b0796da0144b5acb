/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Access to mapped store files that survives SIGBUS. The kernel raises it
 * when a page of a mapping can't be had: the file was truncated, its device
 * failed, or the store is full and the page was a hole (mmap(2)).
 *
 * guard_init() once, before any thread; the rest from any thread.
 */
#ifndef MSYNCFS_OS_GUARD_H
#define MSYNCFS_OS_GUARD_H

#include <stdbool.h>
#include <stddef.h>

/* Installs the SIGBUS handler of the process. 0 or -errno. */
int guard_init(void);

/*
 * Copies size bytes to or from a mapping. False when a page could not be
 * had: a part of the bytes may then have been copied, and the caller asks
 * the kernel for the reason with pread or pwrite.
 */
bool guard_copy(void *to, const void *from, size_t size);

#endif
