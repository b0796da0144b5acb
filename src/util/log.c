// SPDX-License-Identifier: Apache-2.0
/*
 * A line is put together on the caller's stack and leaves in one call:
 * O_APPEND keeps lines of different threads and processes whole, a datagram
 * is whole anyway, and no lock is needed.
 *
 *	msyncfs: warning: TEXT; ADVICE (3 more like this were left out) [NAME]
 *
 * Only TEXT, which may have paths in it, is cut when a line gets too long:
 * what a program looks for stands at the end.
 *
 * The descriptor's number stays the same for as long as a file is the
 * target: log_reopen() replaces what is behind it with dup3(2), which is
 * atomic for threads that are writing.
 *
 * A line that can't be written is lost: a log has nowhere to report that. But
 * an event that a socket has no room for counts as left out.
 */
#include "util/log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "util/absolute.h"
#include "util/cleanup.h"
#include "util/line.h"
#include "util/log_limit.h"
#include "util/log_socket.h"

#define LINE_SIZE 4096
/* The longest advice, a number and a name. */
#define SUFFIX_SIZE 512
#define NAME_SIZE   64
#define SECOND      INT64_C(1000000000)

enum sink {
	sink_stderr,
	sink_syslog,
	sink_journal,
	sink_file,
};

/* Atomic because a thread may log while the main one opens the log. */
static _Atomic enum sink sink = sink_stderr;
static _Atomic enum log_level max_level = log_level_info;
static atomic_int sink_fd = -1; /* a file's or a socket's */

/* The file's absolute path; only for log_open, log_close and log_reopen. */
static char *file_path;

/* "MSYNCFS_STORE=...", for the journal; set before there are threads. */
static char mount_fields[2 * PATH_MAX + NAME_SIZE];

static const struct {
	const char *tag;
	int priority;
} levels[] = {
	[log_level_error] = { "error: ", LOG_ERR },
	[log_level_warning] = { "warning: ", LOG_WARNING },
	[log_level_info] = { "", LOG_INFO },
	[log_level_debug] = { "debug: ", LOG_DEBUG },
};

enum limit {
	limit_some,
	limit_many,
	limit_once,
	limit_table,
};

static const struct log_rate rates[] = {
	[limit_some] = { 10, 5 * SECOND },
	[limit_many] = { 200, SECOND },
	[limit_once] = { 1, 0 },
	[limit_table] = { 0, 0 },
};

static const struct event_kind {
	const char *name;
	enum log_level level;
	enum limit limit;
	const char *advice;
} events[] = {
#define KIND(name, level, limit, advice)                                       \
	{#name, log_level_##level, limit_##limit, advice},
	EVENT_LIST(KIND)
#undef KIND
};

#define EVENTS (sizeof(events) / sizeof(events[0]))

static struct log_limit limits[EVENTS];

/* What a line says; kind is NULL for free text. */
struct line {
	const char *text; /* empty: there is only left_out to tell */
	enum log_level level;
	const struct event_kind *kind;
	bool bare;          /* part of an answer: nothing follows the text */
	const char *advice; /* may be empty */
	uint64_t left_out;
};

static void write_left_out(void);

static int open_file(const char *path)
{
	owned_fd fd = -1;

	fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY,
		0600);
	return fd < 0 ? -errno : take_fd_above_standard(&fd);
}

/* The descriptor of a target that isn't stderr, -1 for that, or -errno. */
static int open_target(const char *target, enum sink *to, char **path)
{
	int r;

	if (strcmp(target, "stderr") == 0) {
		*to = sink_stderr;
		return -1;
	}
	if (strcmp(target, "syslog") == 0) {
		*to = sink_syslog;
		return log_socket_open();
	}
	if (strcmp(target, "journal") == 0) {
		*to = sink_journal;
		r = log_socket_check(LOG_SOCKET_JOURNAL);
		return r < 0 ? r : log_socket_open();
	}
	*to = sink_file;
	*path = absolute_path(target);
	return *path == NULL ? -errno : open_file(*path);
}

int log_open(const char *target, enum log_level max)
{
	char *path = NULL;
	enum sink to;
	int fd;

	if (target == NULL || target[0] == '\0')
		return -EINVAL;
	fd = open_target(target, &to, &path);
	if (fd < 0 && to != sink_stderr) {
		free(path);
		return fd;
	}
	log_close();
	/* Timestamps: read the time zone now, not under the first line. */
	tzset();
	if (to == sink_syslog)
		openlog("msyncfs", LOG_PID, LOG_DAEMON);
	file_path = path;
	sink_fd = fd;
	max_level = max;
	sink = to;
	return 0;
}

void log_close(void)
{
	enum sink was;
	int fd;

	write_left_out();
	was = atomic_exchange(&sink, sink_stderr);
	fd = atomic_exchange(&sink_fd, -1);
	max_level = log_level_info;
	if (was == sink_syslog)
		closelog();
	if (fd >= 0)
		close(fd);
	free(file_path);
	file_path = NULL;
}

int log_reopen(void)
{
	owned_fd fd = -1;

	if (sink != sink_file)
		return 0;
	fd = open_file(file_path);
	if (fd < 0)
		return fd;
	return dup3(fd, sink_fd, O_CLOEXEC) < 0 ? -errno : 0;
}

void log_set_mount(const char *store, const char *mountpoint)
{
	size_t size = sizeof(mount_fields);
	size_t length;

	length = (size_t)snprintf(mount_fields, size, "MSYNCFS_STORE=");
	/* Whatever the store's path is, there is room for the other. */
	length += line_escape(mount_fields + length, PATH_MAX, store);
	length += (size_t)snprintf(
		mount_fields + length, size - length, "\nMSYNCFS_MOUNTPOINT=");
	length += line_escape(mount_fields + length, PATH_MAX, mountpoint);
	snprintf(mount_fields + length, size - length, "\n");
}

/* ---- lines -------------------------------------------------------------- */

/* 2025-01-31T23:59:59.123+0100 msyncfs[42]: */
static size_t put_stamp(char *line, size_t size)
{
	struct timespec now;
	struct tm local;
	char date[32];
	char zone[8];
	int length;

	clock_gettime(CLOCK_REALTIME, &now);
	localtime_r(&now.tv_sec, &local);
	strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &local);
	strftime(zone, sizeof(zone), "%z", &local);
	length = snprintf(line, size, "%s.%03ld%s msyncfs[%ld]: ", date,
		now.tv_nsec / 1000000, zone, (long)getpid());
	return (size_t)length;
}

/* <27>Jan 31 23:59:59 msyncfs[42]: */
static size_t put_syslog_header(char *line, size_t size, enum log_level level)
{
	time_t now = time(NULL);
	struct tm local;
	char date[32];
	int length;

	localtime_r(&now, &local);
	strftime(date, sizeof(date), "%b %e %T", &local);
	length = snprintf(line, size,
		"<%d>%s msyncfs[%ld]: ", LOG_DAEMON | levels[level].priority,
		date, (long)getpid());
	return (size_t)length;
}

static size_t put_prefix(
	char *line, size_t size, enum sink to, enum log_level level)
{
	switch (to) {
	case sink_file:
		return put_stamp(line, size);
	case sink_syslog:
		return put_syslog_header(line, size, level);
	case sink_journal:
		return (size_t)snprintf(line, size, "MESSAGE=");
	default:
		return (size_t)snprintf(line, size, "msyncfs: ");
	}
}

static const char *name_of(const struct event_kind *kind, char name[NAME_SIZE])
{
	size_t i;

	for (i = 0; i < NAME_SIZE - 1 && kind->name[i] != '\0'; i++)
		name[i] = kind->name[i] == '_' ? '-' : kind->name[i];
	name[i] = '\0';
	return name;
}

/* What follows the text, at most SUFFIX_SIZE bytes with the final NUL. */
static size_t put_suffix(char *suffix, const struct line *what)
{
	char name[NAME_SIZE];
	char more[NAME_SIZE] = "";
	bool alone = what->text[0] == '\0';
	int length;

	suffix[0] = '\0';
	if (what->kind == NULL || what->bare)
		return 0;
	if (what->left_out > 0)
		snprintf(more, sizeof(more),
			"%s%" PRIu64 " more like this %s left out%s",
			alone ? "" : " (", what->left_out,
			what->left_out == 1 ? "was" : "were", alone ? "" : ")");
	length = snprintf(suffix, SUFFIX_SIZE, "%s%s%s [%s]",
		what->advice[0] != '\0' ? "; " : "", what->advice, more,
		name_of(what->kind, name));
	return (size_t)length;
}

/* With neither newline nor NUL at its end; less than LINE_SIZE. */
static size_t put_line(
	char line[LINE_SIZE], size_t prefix, const struct line *what)
{
	char suffix[SUFFIX_SIZE];
	size_t end = put_suffix(suffix, what);
	size_t length = prefix;

	length += (size_t)snprintf(line + length, LINE_SIZE - length, "%s",
		levels[what->level].tag);
	length += line_escape(
		line + length, LINE_SIZE - length - end, what->text);
	memcpy(line + length, suffix, end);
	return length + end;
}

/* The fields are in journalctl(1)'s order of use; see msyncfs(1). */
static int send_to_journal(const struct line *what, char *line, size_t length)
{
	char fields[SUFFIX_SIZE + 4 * NAME_SIZE];
	char name[NAME_SIZE];
	size_t used;

	used = (size_t)snprintf(fields, sizeof(fields),
		"PRIORITY=%d\nSYSLOG_FACILITY=%d\n"
		"SYSLOG_IDENTIFIER=msyncfs\n",
		levels[what->level].priority, LOG_FAC(LOG_DAEMON));
	if (what->kind != NULL)
		used += (size_t)snprintf(fields + used, sizeof(fields) - used,
			"MSYNCFS_EVENT=%s\n", name_of(what->kind, name));
	if (what->kind != NULL && what->advice[0] != '\0')
		used += (size_t)snprintf(fields + used, sizeof(fields) - used,
			"MSYNCFS_ADVICE=%s\n", what->advice);
	if (what->left_out > 0)
		used += (size_t)snprintf(fields + used, sizeof(fields) - used,
			"MSYNCFS_LEFT_OUT=%" PRIu64 "\n", what->left_out);
	line[length++] = '\n';
	const struct iovec parts[] = {
		{fields, used},
		{mount_fields, strlen(mount_fields)},
		{line, length},
	};
	return log_socket_send(
		sink_fd, LOG_SOCKET_JOURNAL, parts, 3, what->bare);
}

static int send_to_syslog(
	const struct line *what, char *line, size_t prefix, size_t length)
{
	const struct iovec part = {line, length};
	int r = log_socket_send(
		sink_fd, LOG_SOCKET_SYSLOG, &part, 1, what->bare);

	/* A daemon that listens to streams: libc knows how. */
	if (r == -EPROTOTYPE) {
		syslog(levels[what->level].priority, "%.*s",
			(int)(length - prefix), line + prefix);
		r = 0;
	}
	return r;
}

/* 0, or -errno for a line that a socket doesn't take. */
static int write_line(const struct line *what)
{
	char line[LINE_SIZE];
	enum sink to = sink;
	int fd = sink_fd;
	size_t prefix;
	size_t length;

	/* A thread that is late, after log_close(). */
	if (fd < 0)
		to = sink_stderr;
	prefix = put_prefix(line, sizeof(line), to, what->level);
	length = put_line(line, prefix, what);
	if (to == sink_journal)
		return send_to_journal(what, line, length);
	if (to == sink_syslog)
		return send_to_syslog(what, line, prefix, length);
	line[length++] = '\n';
	while (write(to == sink_stderr ? STDERR_FILENO : fd, line, length) <
			0 &&
		errno == EINTR)
		;
	return 0;
}

static int64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &time);
	return time.tv_sec * SECOND + time.tv_nsec;
}

void log_event(enum event event, const char *format, ...)
{
	const struct event_kind *kind = &events[event];
	struct log_limit *limit = &limits[event];
	int saved = errno;
	char text[LINE_SIZE];
	struct line what = {
		.text = text,
		.level = kind->level,
		.kind = kind,
		.bare = kind->limit == limit_table,
		.advice = kind->advice,
	};
	va_list arguments;

	if (kind->level > max_level ||
		!log_limit_take(limit, &rates[kind->limit], now()))
		return;
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	if (kind->limit != limit_once && !what.bare)
		what.left_out = log_limit_left_out(limit);
	if (write_line(&what) < 0)
		log_limit_lose(limit, what.left_out + 1);
	errno = saved;
}

/* What no later line will tell. */
static void write_left_out(void)
{
	for (size_t i = 0; i < EVENTS; i++) {
		const struct line what = {
			.text = "",
			.level = events[i].level,
			.kind = &events[i],
			.advice = "",
			.left_out = log_limit_left_out(&limits[i]),
		};

		if (what.left_out > 0 && events[i].limit != limit_once)
			write_line(&what);
	}
}

void log_debug(const char *format, ...)
{
	int saved = errno;
	char text[LINE_SIZE];
	const struct line what = {.text = text, .level = log_level_debug};
	va_list arguments;

	if (log_level_debug > max_level)
		return;
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	write_line(&what);
	errno = saved;
}
