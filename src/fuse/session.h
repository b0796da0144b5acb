/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One mount: from mount(2) to the last request. Made, run and freed by the
 * main thread; session_run() starts the worker threads and is back when all
 * of them have ended.
 */
#ifndef MSYNCFS_FUSE_SESSION_H
#define MSYNCFS_FUSE_SESSION_H

#include <stdbool.h>
#include <stddef.h>

struct filesystem;
struct session;

struct session_settings {
	const char *mountpoint; /* absolute; must outlive the session */
	const char *mount_options; /* a list for libfuse */
	unsigned long late_flags; /* MS_ flags for a remount, or 0 */
	unsigned threads; /* the most workers at one time */
	bool passthrough; /* ask the kernel for it */
	bool passthrough_required; /* no mount without it */
	bool count_requests; /* print the table at the end */
	/*
	 * Called in the main thread when the mount can be used. Not 0: the
	 * session ends.
	 */
	int (*ready)(void *context);
	/*
	 * Called in the main thread if ready was, when the mount has ended
	 * and before the filesystem stops: whoever looks at it from outside
	 * is to be gone when this returns.
	 */
	void (*ending)(void *context);
	/*
	 * Called in the main thread at SIGHUP; says in the log what it has
	 * done. 0 or -errno, which changes nothing.
	 */
	int (*reload)(void *context);
	void *context;
};

/* Signals that session_run() takes care of; to be called before any thread. */
void session_block_signals(void);

/*
 * Mounts. 0 or -errno with one line in error that says what failed.
 */
int session_new(struct filesystem *fs, const struct session_settings *settings,
		struct session **session, char *error, size_t error_size);

/*
 * Serves until the mount is gone: unmounted by somebody, or by SIGTERM or
 * SIGINT. SIGUSR1 prints the request counters, SIGHUP calls reload.
 * Everything is durable afterwards. 0, or -errno with a line in error.
 */
int session_run(struct session *session, char *error, size_t error_size);

/*
 * False, and nothing is freed, when programs still had files open or threads
 * could not be stopped: they may use it, and the process is to end now.
 */
bool session_free(struct session *session);

#endif
