/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cleanup attributes for owned locals: the value is released on every way
 * out of the scope. Any thread.
 */
#ifndef MSYNCFS_UTIL_CLEANUP_H
#define MSYNCFS_UTIL_CLEANUP_H

#include <stdlib.h>
#include <unistd.h>

static inline void cleanup_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void cleanup_free(void *pointer)
{
	free(*(void **)pointer);
}

#define owned_fd __attribute__((cleanup(cleanup_close))) int
#define owned_memory __attribute__((cleanup(cleanup_free)))

/* Gives the descriptor to somebody else. */
static inline int take_fd(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

#endif
