/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon's log: lines for people, to standard error, syslog, the journal
 * or a file. There is one per process. log_open(), log_set_mount() and
 * log_close() are called while no other thread logs; everything else from any
 * thread, at any time.
 *
 * Whatever is worth telling is an event of EVENT_LIST, which has its level,
 * how often it is told, and what the reader can do; a message has only what
 * happened this time.
 *
 * Before log_open() and after log_close(), lines up to log_level_info go to
 * standard error.
 */
#ifndef MSYNCFS_UTIL_LOG_H
#define MSYNCFS_UTIL_LOG_H

#include "util/event_list.h"

enum log_level {
	log_level_error,
	log_level_warning,
	log_level_info,
	log_level_debug,
};

#define EVENT_OF_LIST(name, level, limit, advice) event_##name,
enum event { EVENT_LIST(EVENT_OF_LIST) };
#undef EVENT_OF_LIST

/*
 * Sends lines up to the level max to target: "stderr", "syslog", "journal"
 * or the path of a file, which is appended to and made with mode 0600 if it is
 * missing. A relative path means the present working directory, later on too.
 * 0; -EINVAL for an empty target; for the journal -errno of connect(2), when
 * there is none; else -errno of open(2), and the log stays where it was.
 */
int log_open(const char *target, enum log_level max);

/* Tells what was left out since the last line of an event; then to stderr. */
void log_close(void);

/*
 * Opens a log file anew under its name, after logrotate(8) has moved it.
 * 0, or -errno and the old file goes on being used.
 */
int log_reopen(void);

/* Of which mount each line in the journal is; both are copied. */
void log_set_mount(const char *store, const char *mountpoint);

/*
 * One line, if there weren't too many of this event lately. errno is kept, so
 * %m may be used and a caller can go on.
 */
void log_event(enum event event, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Free text, for who looks for a fault in msyncfs itself; without limits. */
void log_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
