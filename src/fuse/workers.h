/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The threads that serve requests: as few as keep up, because the kernel
 * wakes readers in turn and a cold thread costs more than most requests, but
 * always another one when a request takes long, so that a slow store file
 * delays nobody else.
 *
 * Owned by the session; started and stopped by the main thread.
 */
#ifndef MSYNCFS_FUSE_WORKERS_H
#define MSYNCFS_FUSE_WORKERS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "util/lock.h"

struct worker;

struct workers {
	/* Set by the caller. */
	int device;
	unsigned limit;
	/*
	 * Will serving this take long by its nature? Asked of each request.
	 */
	bool (*is_long)(void *context, const void *message, size_t size);
	/* Serves one request; in the worker's thread. */
	void (*serve)(void *context, void *message, size_t size);
	/* There was nothing to serve for a while; in the watchdog's thread. */
	void (*idle)(void *context);
	void *context;

	/* Set when the connection is gone or somebody stops us. */
	_Atomic bool stopping;
	bool may_spin; /* there is another processor for the program */
	_Atomic unsigned readers; /* waiting for a request, or about to */
	_Atomic unsigned wanted; /* how many there should be */
	_Atomic unsigned count;
	_Atomic uint64_t taken; /* requests so far */
	_Atomic uint64_t crowded; /* of those, found without waiting */
	_Atomic bool watching; /* the watchdog is awake */
	struct lock lock; /* protects what follows */
	pthread_cond_t wake;
	pthread_cond_t watch;
	unsigned parked;
	unsigned wakes; /* parked ones that are to go on */
	pthread_t watchdog;
	LIST_HEAD(, worker) list;
};

/* The signal that the main thread gets when a worker saw the mount end. */
int workers_signal(void);

/* 0 or -errno. */
int workers_start(struct workers *workers);

/*
 * Ends all threads, waiting at most so many milliseconds for busy ones.
 * False when some are still busy then.
 */
bool workers_stop(struct workers *workers, unsigned milliseconds);

#endif
