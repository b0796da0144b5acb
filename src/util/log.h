/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon's log: lines for people, to standard error, syslog or a file.
 * There is one per process. log_open() and log_close() are called while no
 * other thread logs; everything else from any thread, at any time.
 *
 * Before log_open() and after log_close(), lines up to log_level_info go to
 * standard error.
 */
#ifndef MSYNCFS_UTIL_LOG_H
#define MSYNCFS_UTIL_LOG_H

#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>

enum log_level {
	log_level_error,
	log_level_warning,
	log_level_info,
	log_level_debug,
};

/*
 * Sends lines up to the level max to target: "stderr", "syslog" or the path
 * of a file, which is appended to and made with mode 0600 if it is missing.
 * A relative path means the present working directory, later on too.
 * 0; -EINVAL for an empty target; else -errno of open(2), and the log stays
 * where it was.
 */
int log_open(const char *target, enum log_level max);

/* Back to standard error. */
void log_close(void);

/*
 * Opens a log file anew under its name, after logrotate(8) has moved it.
 * 0, or -errno and the old file goes on being used.
 */
int log_reopen(void);

/* One line each; errno is kept, so %m may be used and a caller can go on. */
void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warning(const char *format, ...)
	__attribute__((format(printf, 1, 2)));
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_va(enum log_level level, const char *format, va_list arguments)
	__attribute__((format(printf, 2, 0)));

/* True for the first caller only, of all threads. */
bool log_once(atomic_bool *said);

/* Warns when this place of the program is reached first, then never again. */
#define log_warning_once(...)                                                  \
	do {                                                                   \
		static atomic_bool said_;                                      \
                                                                               \
		if (log_once(&said_))                                          \
			log_warning(__VA_ARGS__);                              \
	} while (0)

#endif
