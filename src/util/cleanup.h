/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cleanup attributes for owned locals: the value is released on every way
 * out of the scope. Any thread.
 */
#ifndef MSYNCFS_UTIL_CLEANUP_H
#define MSYNCFS_UTIL_CLEANUP_H

#include <errno.h>
#include <fcntl.h>
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

/*
 * The same, and never as one of the three standard descriptors, which a daemon
 * replaces when it leaves its terminal. -errno: it stays with its owner.
 */
static inline int take_fd_above_standard(int *fd)
{
	int high;

	if (*fd > STDERR_FILENO)
		return take_fd(fd);
	high = fcntl(*fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	return high < 0 ? -errno : high;
}

#endif
