// SPDX-License-Identifier: Apache-2.0
/*
 * A question is four bytes, the parts that are wanted; the answer a struct
 * answer and the texts behind it. There is one question at a time, so a mount
 * that hangs has one request of ours in it, however long it hangs.
 *
 * The child ends when its end of the socket says that the parent is gone. It
 * is in a session of its own and holds no other descriptor: the terminal's
 * signals are not for it, and a pipe that the parent writes to ends with the
 * parent.
 */
#include "msyncctl/mount_reader.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "msyncctl/attr.h"
#include "msyncctl/mounts.h"
#include "util/cleanup.h"
#include "util/text.h"

#define SECOND INT64_C(1000000000)
#define SOCKET_FD 3
#define DESCRIPTORS_GUESS 1024
/* A part is a few times as long as the longest attribute at most. */
#define TEXT_MAX (1 << 20)

struct answer {
	int64_t when;
	int32_t error[READING_PARTS];
	uint32_t length[READING_PARTS];
};

int64_t monotonic_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * SECOND + ts.tv_nsec;
}

void reading_free(struct reading *reading)
{
	for (unsigned i = 0; i < READING_PARTS; i++)
		free(reading->text[i]);
	*reading = (struct reading){ 0 };
}

/* --- the child ----------------------------------------------------------- */

static bool is_octal(char c)
{
	return c >= '0' && c <= '7';
}

/* Undoes the escapes of line_escape(), in place. */
static void unescape(char *path)
{
	char *to = path;

	while (*path != '\0') {
		if (path[0] == '\\' && is_octal(path[1]) && is_octal(path[2]) &&
			is_octal(path[3])) {
			*to++ = (char)((path[1] - '0') << 6 |
				       (path[2] - '0') << 3 | (path[3] - '0'));
			path += 4;
		} else {
			*to++ = *path++;
		}
	}
	*to = '\0';
}

/* The path of a line of the attribute files: what follows three fields. */
static char *path_of(char *line)
{
	for (unsigned i = 0; i < 3; i++) {
		line += strcspn(line, " ");
		if (*line == ' ')
			line++;
	}
	return line;
}

static void add_sync_of(FILE *out, const char *mountpoint, char *line)
{
	owned_memory char *path = NULL;
	owned_memory char *status = NULL;
	const char *name = path_of(line);
	owned_memory char *file = strdup(name);
	char sync[256];

	if (*name == '\0' || !file)
		return;
	unescape(file);
	if (asprintf(&path, "%s/%s", mountpoint, file) < 0) {
		path = NULL;
		return;
	}
	/* It may have lost its name since. */
	if (attr_get(path, "status", &status) < 0)
		return;
	if (attr_line(status, "sync", sync, sizeof(sync)))
		fprintf(out, "sync=%s\t%s\n", sync, name);
}

static int read_open(const char *mountpoint, char **text)
{
	owned_memory char *files = NULL;
	size_t size;
	char *rest, *line;
	FILE *out;
	int r = attr_get(mountpoint, "files", &files);

	if (r < 0)
		return r;
	out = text_open(text, &size);
	if (!out)
		return -ENOMEM;
	rest = files;
	while ((line = strsep(&rest, "\n")) != NULL) {
		if (*line != '\0')
			add_sync_of(out, mountpoint, line);
	}
	if (text_close(out) < 0) {
		free(*text);
		*text = NULL;
		return -ENOMEM;
	}
	return 0;
}

static int read_store(const char *mountpoint, char **text)
{
	owned_memory char *stats = NULL;
	owned_mount mount = { 0 };
	char store[4096];
	int r = attr_get(mountpoint, "stats", &stats);

	if (r < 0)
		return r;
	if (!attr_line(stats, "store", store, sizeof(store)))
		return -ENODATA;
	unescape(store);
	r = mounts_find(store, &mount);
	if (r < 0)
		return r;
	if (asprintf(text, "type=%s\n", mount.type) < 0) {
		*text = NULL;
		return -ENOMEM;
	}
	return 0;
}

static int read_part(const char *mountpoint, enum reading_part part,
	char **text)
{
	int r;

	switch (part) {
	case reading_stats:
		r = attr_get(mountpoint, "stats", text);
		break;
	case reading_files:
		r = attr_get(mountpoint, "files", text);
		break;
	case reading_status:
		r = attr_get(mountpoint, "status", text);
		break;
	case reading_metrics:
		r = attr_get(mountpoint, "metrics", text);
		break;
	case reading_store:
		return read_store(mountpoint, text);
	default:
		return read_open(mountpoint, text);
	}
	return r < 0 ? r : 0;
}

static bool send_all(const void *data, size_t size)
{
	const char *from = data;

	while (size > 0) {
		ssize_t n = send(SOCKET_FD, from, size, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return false;
		from += n;
		size -= (size_t)n;
	}
	return true;
}

static bool send_answer(const char *mountpoint, uint32_t parts)
{
	char *text[READING_PARTS] = { NULL };
	struct answer answer = { 0 };
	bool sent;

	for (unsigned i = 0; i < READING_PARTS; i++) {
		answer.error[i] = (parts & 1u << i) == 0 ?
			-ENODATA :
			read_part(mountpoint, i, &text[i]);
		if (text[i])
			answer.length[i] = (uint32_t)strnlen(text[i],
				TEXT_MAX - 1);
	}
	answer.when = monotonic_now();
	sent = send_all(&answer, sizeof(answer));
	for (unsigned i = 0; i < READING_PARTS; i++) {
		sent = sent && send_all(text[i] ? text[i] : "",
			answer.length[i]);
		free(text[i]);
	}
	return sent;
}

static void __attribute__((noreturn)) child(int fd, const char *mountpoint)
{
	uint32_t parts;
	int null;

	setsid();
	dup2(fd, SOCKET_FD);
	if (close_range(SOCKET_FD + 1, ~0u, 0) < 0) {
		for (int i = SOCKET_FD + 1; i < DESCRIPTORS_GUESS; i++)
			close(i);
	}
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (int i = 0; i < SOCKET_FD; i++) {
		if (dup2(null, i) < 0)
			close(i);
	}
	while (recv(SOCKET_FD, &parts, sizeof(parts), MSG_WAITALL) ==
		sizeof(parts)) {
		if (!send_answer(mountpoint, parts))
			break;
	}
	_exit(0);
}

/* --- the parent ---------------------------------------------------------- */

int mount_reader_start(struct mount_reader *reader, const char *mountpoint)
{
	int pair[2];

	*reader = (struct mount_reader){ .fd = -1 };
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	reader->pid = fork();
	if (reader->pid < 0) {
		int error = -errno;

		close(pair[0]);
		close(pair[1]);
		reader->pid = 0;
		return error;
	}
	if (reader->pid == 0)
		child(pair[1], mountpoint);
	close(pair[1]);
	reader->fd = pair[0];
	return 0;
}

void mount_reader_stop(struct mount_reader *reader)
{
	if (reader->fd >= 0)
		close(reader->fd);
	if (reader->pid > 0) {
		kill(reader->pid, SIGKILL);
		/* One that can't die is init's when this program has ended. */
		waitpid(reader->pid, NULL, WNOHANG);
	}
	free(reader->buffer);
	*reader = (struct mount_reader){ .fd = -1 };
}

int mount_reader_ask(struct mount_reader *reader, unsigned parts)
{
	uint32_t question = parts;

	if (reader->asked)
		return 0;
	if (send(reader->fd, &question, sizeof(question),
		    MSG_NOSIGNAL | MSG_DONTWAIT) != sizeof(question))
		return -EPIPE;
	reader->asked = true;
	reader->asked_at = monotonic_now();
	reader->used = 0;
	return 0;
}

static size_t answer_size(const struct answer *answer)
{
	size_t size = sizeof(*answer);

	for (unsigned i = 0; i < READING_PARTS; i++)
		size += answer->length[i];
	return size;
}

static int make_reading(const struct mount_reader *reader,
	struct reading *reading)
{
	const char *from = reader->buffer + sizeof(struct answer);
	struct answer answer;

	memcpy(&answer, reader->buffer, sizeof(answer));
	*reading = (struct reading){ .when = answer.when };
	for (unsigned i = 0; i < READING_PARTS; i++) {
		reading->error[i] = answer.error[i];
		if (answer.error[i] == 0) {
			reading->text[i] = strndup(from, answer.length[i]);
			if (!reading->text[i]) {
				reading_free(reading);
				return -ENOMEM;
			}
		}
		from += answer.length[i];
	}
	return 1;
}

static bool is_complete(const struct mount_reader *reader)
{
	struct answer answer;

	if (reader->used < sizeof(answer))
		return false;
	memcpy(&answer, reader->buffer, sizeof(answer));
	return reader->used == answer_size(&answer);
}

int mount_reader_take(struct mount_reader *reader, struct reading *reading)
{
	while (!is_complete(reader)) {
		ssize_t n;

		if (reader->used == reader->room) {
			size_t room = reader->room + (1 << 16);
			char *buffer = realloc(reader->buffer, room);

			if (!buffer)
				return -ENOMEM;
			reader->buffer = buffer;
			reader->room = room;
		}
		n = recv(reader->fd, reader->buffer + reader->used,
			reader->room - reader->used, MSG_DONTWAIT);
		if (n == 0)
			return -EPIPE;
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? 0 : -errno;
		reader->used += (size_t)n;
	}
	reader->asked = false;
	reader->used = 0;
	return make_reading(reader, reading);
}

int mount_reader_wait(struct mount_reader *reader, struct reading *reading,
	int64_t timeout)
{
	int64_t end = monotonic_now() + timeout;

	for (;;) {
		struct pollfd ready = { .fd = reader->fd, .events = POLLIN };
		int r = mount_reader_take(reader, reading);
		int64_t left = end - monotonic_now();

		if (r != 0)
			return r;
		if (left <= 0)
			return -ETIMEDOUT;
		poll(&ready, 1, (int)(left / 1000000) + 1);
	}
}

const char *mount_reader_says(int error)
{
	switch (-error) {
	case ENODATA:
	case EOPNOTSUPP:
		return "the daemon tells nothing of itself: it is older than "
		       "msyncctl";
	case ENOTCONN:
	case ECONNABORTED:
		return "the daemon has ended: fusermount3 -u or umount "
		       "removes the mount";
	case EACCES:
	case EPERM:
		return "no permission: only who has mounted it may ask, "
		       "without -o allow_other";
	case ENOENT:
	case ENOTDIR:
		return "the mountpoint can't be reached by its name";
	case ETIMEDOUT:
		return "no answer: the daemon or its store hangs";
	default:
		return strerror(-error);
	}
}
