// SPDX-License-Identifier: Apache-2.0
/*
 * A line is put together on the caller's stack and leaves in one write(2):
 * O_APPEND keeps lines of different threads and processes whole, and no lock
 * is needed. (syslog(3) has a lock of its own inside.)
 *
 * The descriptor's number stays the same for as long as a file is the
 * target: log_reopen() replaces what is behind it with dup3(2), which is
 * atomic for threads that are writing.
 *
 * A line that can't be written is lost: a log has nowhere to report that.
 */
#include "util/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/line.h"

#define LINE_SIZE 4096

enum sink {
	sink_stderr,
	sink_syslog,
	sink_file,
};

/* Atomic because a thread may log while the main one opens the log. */
static _Atomic enum sink sink = sink_stderr;
static _Atomic enum log_level max_level = log_level_info;
static atomic_int file_fd = -1;

/* The file's absolute path; only for log_open, log_close and log_reopen. */
static char *file_path;

static const struct {
	const char *tag;
	int priority;
} levels[] = {
	[log_level_error] = { "error: ", LOG_ERR },
	[log_level_warning] = { "warning: ", LOG_WARNING },
	[log_level_info] = { "", LOG_INFO },
	[log_level_debug] = { "debug: ", LOG_DEBUG },
};

static int make_absolute(const char *path, char **absolute)
{
	owned_memory char *directory = NULL;

	if (path[0] == '/') {
		*absolute = strdup(path);
		return *absolute == NULL ? -ENOMEM : 0;
	}
	directory = getcwd(NULL, 0);
	if (directory == NULL)
		return -errno;
	if (asprintf(absolute, "%s/%s", directory, path) < 0)
		return -ENOMEM;
	return 0;
}

/*
 * Never one of the three standard descriptors, which a daemon replaces when
 * it leaves its terminal.
 */
static int open_file(const char *path)
{
	owned_fd fd = -1;
	int high;

	fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY,
		0600);
	if (fd < 0)
		return -errno;
	if (fd > STDERR_FILENO)
		return take_fd(&fd);
	high = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	return high < 0 ? -errno : high;
}

int log_open(const char *target, enum log_level max)
{
	char *path = NULL;
	enum sink to = sink_file;
	int fd = -1;

	if (target == NULL || target[0] == '\0')
		return -EINVAL;
	if (strcmp(target, "stderr") == 0) {
		to = sink_stderr;
	} else if (strcmp(target, "syslog") == 0) {
		to = sink_syslog;
	} else {
		int error = make_absolute(target, &path);

		if (error < 0)
			return error;
		fd = open_file(path);
		if (fd < 0) {
			free(path);
			return fd;
		}
	}
	log_close();
	/* Timestamps: read the time zone now, not under the first line. */
	tzset();
	if (to == sink_syslog)
		openlog("msyncfs", LOG_PID, LOG_DAEMON);
	file_path = path;
	file_fd = fd;
	max_level = max;
	sink = to;
	return 0;
}

void log_close(void)
{
	enum sink was = atomic_exchange(&sink, sink_stderr);
	int fd = atomic_exchange(&file_fd, -1);

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
	return dup3(fd, file_fd, O_CLOEXEC) < 0 ? -errno : 0;
}

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

static void write_line(int fd, enum log_level level, const char *text)
{
	char line[LINE_SIZE];
	size_t length;

	if (fd == STDERR_FILENO)
		length = (size_t)snprintf(line, sizeof(line), "msyncfs: ");
	else
		length = put_stamp(line, sizeof(line));
	length += (size_t)snprintf(line + length, sizeof(line) - length, "%s",
		levels[level].tag);
	/* The newline takes the place of the NUL. */
	length += line_escape(line + length, sizeof(line) - length, text);
	line[length++] = '\n';
	while (write(fd, line, length) < 0 && errno == EINTR)
		;
}

void log_va(enum log_level level, const char *format, va_list arguments)
{
	int saved = errno;
	char text[LINE_SIZE];
	size_t length;

	if (level > max_level)
		return;
	vsnprintf(text, sizeof(text), format, arguments);
	/* Libraries end their messages themselves. */
	length = strlen(text);
	if (length > 0 && text[length - 1] == '\n')
		text[length - 1] = '\0';
	if (sink == sink_syslog) {
		char line[LINE_SIZE];

		line_escape(line, sizeof(line), text);
		syslog(levels[level].priority, "%s%s", levels[level].tag,
			line);
	} else {
		int fd = file_fd;

		write_line(fd >= 0 ? fd : STDERR_FILENO, level, text);
	}
	errno = saved;
}

#define DEFINE_LEVEL(name)                                                     \
	void log_##name(const char *format, ...)                               \
	{                                                                      \
		va_list arguments;                                             \
                                                                               \
		va_start(arguments, format);                                   \
		log_va(log_level_##name, format, arguments);                   \
		va_end(arguments);                                             \
	}

DEFINE_LEVEL(error)
DEFINE_LEVEL(warning)
DEFINE_LEVEL(info)
DEFINE_LEVEL(debug)

bool log_once(atomic_bool *said)
{
	return !atomic_exchange(said, true);
}
