// SPDX-License-Identifier: Apache-2.0
/*
 * The variable stays in the environment: what we start ourselves
 * (fusermount3) has no use for it and the manager listens to us alone.
 *
 * While the end takes its time a thread of its own asks for more, because all
 * others are in system calls just then. It asks for three times as long as
 * its next request takes to come, and stops asking after an hour: from then on
 * the unit's TimeoutStopSec= decides about a device that hangs.
 */
#include "os/notify.h"

#ifdef HAVE_SYSTEMD

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <systemd/sd-daemon.h>
#include <time.h>

#define STATUS_MAX 512
#define ASK_EVERY  10 /* seconds */
#define ASK_FOR    (3 * ASK_EVERY)
#define ASK_LIMIT  3600

static bool ignored;

static struct {
	_Atomic bool begun;
	bool asking; /* there is a thread; main thread only */
	bool over;   /* with lock */
	pthread_t thread;
	pthread_mutex_t lock; /* held with no other */
	pthread_cond_t changed;
} ending = {.lock = PTHREAD_MUTEX_INITIALIZER};

void notify_ignore(void)
{
	ignored = true;
}

bool notify_wanted(void)
{
	return !ignored && getenv("NOTIFY_SOCKET") != NULL;
}

void notify_ready(void)
{
	if (notify_wanted())
		sd_notify(0, "READY=1");
}

/* The time is what Type=notify-reload asks for, systemd.service(5). */
void notify_reloading(void)
{
	struct timespec now;

	if (!notify_wanted())
		return;
	clock_gettime(CLOCK_MONOTONIC, &now);
	sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRId64,
		(int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000);
}

static void *ask_for_time(void *unused)
{
	struct timespec until;

	(void)unused;
	clock_gettime(CLOCK_MONOTONIC, &until);
	pthread_mutex_lock(&ending.lock);
	for (int asked = 0; !ending.over && asked < ASK_LIMIT;
		asked += ASK_EVERY) {
		int r = 0;

		sd_notifyf(0, "EXTEND_TIMEOUT_USEC=%d000000", ASK_FOR);
		until.tv_sec += ASK_EVERY;
		while (!ending.over && r != ETIMEDOUT)
			r = pthread_cond_timedwait(
				&ending.changed, &ending.lock, &until);
	}
	pthread_mutex_unlock(&ending.lock);
	return NULL;
}

void notify_stopping(void)
{
	pthread_condattr_t attributes;

	if (!notify_wanted() || ending.begun)
		return;
	ending.begun = true;
	sd_notify(0, "STOPPING=1\n"
		     "STATUS=committing and syncing what was written");
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&ending.changed, &attributes);
	pthread_condattr_destroy(&attributes);
	/* Without it the unit's own limit holds. */
	ending.asking =
		pthread_create(&ending.thread, NULL, ask_for_time, NULL) == 0;
}

void notify_stopped(void)
{
	if (!ending.asking)
		return;
	pthread_mutex_lock(&ending.lock);
	ending.over = true;
	pthread_cond_signal(&ending.changed);
	pthread_mutex_unlock(&ending.lock);
	pthread_join(ending.thread, NULL);
	ending.asking = false;
}

void notify_status(const char *format, ...)
{
	char text[STATUS_MAX];
	va_list arguments;

	if (!notify_wanted() || ending.begun)
		return;
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	sd_notifyf(0, "STATUS=%s", text);
}

void notify_failed(const char *line)
{
	if (notify_wanted())
		sd_notifyf(0, "STATUS=%s", line);
}

#else

void notify_ignore(void)
{
}

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

void notify_stopped(void)
{
}

void notify_status(const char *format, ...)
{
	(void)format;
}

void notify_failed(const char *line)
{
	(void)line;
}

#endif
