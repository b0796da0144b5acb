/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The threads that serve requests. Always one more than is busy, so that a
 * slow store file keeps only the threads busy that wait for it; above a few
 * idle ones they end again.
 *
 * Owned by the session; started and stopped by the main thread.
 */
#ifndef MSYNCFS_FUSE_WORKERS_H
#define MSYNCFS_FUSE_WORKERS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/queue.h>

#include "util/lock.h"

struct worker;

struct workers {
	int device;
	unsigned limit;
	/* Serves one request; in the worker's thread. */
	void (*serve)(void *context, void *message, size_t size);
	void *context;
	/* Set when the connection is gone or somebody stops us. */
	_Atomic bool stopping;
	_Atomic unsigned idle;
	_Atomic unsigned count;
	struct lock lock; /* protects list */
	LIST_HEAD(, worker) list;
};

/* The signal that the main thread gets when a worker saw the mount end. */
int workers_signal(void);

/* 0 or -errno. device, limit, serve and context are set by the caller. */
int workers_start(struct workers *workers);

/*
 * Ends all threads, waiting at most so many milliseconds for busy ones.
 * False when some are still busy then.
 */
bool workers_stop(struct workers *workers, unsigned milliseconds);

#endif
