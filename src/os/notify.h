/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a service manager is told about us, by sd_notify(3). Without one
 * (NOTIFY_SOCKET isn't set), or built without libsystemd, nothing happens.
 * Any thread.
 */
#ifndef MSYNCFS_OS_NOTIFY_H
#define MSYNCFS_OS_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>

/* Somebody listens. */
bool notify_wanted(void);

/* The mount can be used; also the end of a reload. */
void notify_ready(void);
void notify_reloading(void);
void notify_stopping(void);

/* Still stopping: not to be killed for so many more nanoseconds. */
void notify_extend(int64_t nanoseconds);

/* One line for people, shown by "systemctl status". */
void notify_status(const char *format, ...)
	__attribute__((format(printf, 1, 2)));

#endif
