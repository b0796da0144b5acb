/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a service manager is told about us, by sd_notify(3). Without one
 * (NOTIFY_SOCKET isn't set), or built without libsystemd, nothing happens.
 * Any thread, where nothing else is said.
 */
#ifndef MSYNCFS_OS_NOTIFY_H
#define MSYNCFS_OS_NOTIFY_H

#include <stdbool.h>

/*
 * Nobody is told anything. A daemon in the background was started by some
 * other service's program, whose manager would take our news for its own.
 * While there is one thread.
 */
void notify_ignore(void);

/* Somebody listens. */
bool notify_wanted(void);

/* The mount can be used; also the end of a reload. */
void notify_ready(void);
void notify_reloading(void);

/*
 * The end has begun: the rest is to commit and to sync, which takes as long as
 * it takes, so from now on and until notify_stopped() the manager is asked for
 * more time every few seconds, for an hour at the most. A second call does
 * nothing. Main thread, with the process's signals blocked.
 */
void notify_stopping(void);
void notify_stopped(void);

/*
 * One line for people, shown by "systemctl status". Once the end has begun,
 * that is what is shown.
 */
void notify_status(const char *format, ...)
	__attribute__((format(printf, 1, 2)));

/* What went wrong, as the last status line. */
void notify_failed(const char *line);

#endif
