// SPDX-License-Identifier: Apache-2.0
/*
 * The variable stays in the environment: what we start ourselves
 * (fusermount3) has no use for it and the manager listens to us alone.
 */
#include "os/notify.h"

#ifdef HAVE_SYSTEMD

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <systemd/sd-daemon.h>
#include <time.h>

#define STATUS_MAX 512

bool notify_wanted(void)
{
	return getenv("NOTIFY_SOCKET") != NULL;
}

void notify_ready(void)
{
	sd_notify(0, "READY=1");
}

/* The time is what Type=notify-reload asks for, systemd.service(5). */
void notify_reloading(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRId64,
		   (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000);
}

void notify_stopping(void)
{
	sd_notify(0, "STOPPING=1");
}

void notify_extend(int64_t nanoseconds)
{
	sd_notifyf(0, "EXTEND_TIMEOUT_USEC=%" PRId64, nanoseconds / 1000);
}

void notify_status(const char *format, ...)
{
	char text[STATUS_MAX];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	sd_notifyf(0, "STATUS=%s", text);
}

#else

bool notify_wanted(void)
{
	return false;
}

void notify_ready(void)
{
}

void notify_reloading(void)
{
}

void notify_stopping(void)
{
}

void notify_extend(int64_t nanoseconds)
{
	(void)nanoseconds;
}

void notify_status(const char *format, ...)
{
	(void)format;
}

#endif
