// SPDX-License-Identifier: Apache-2.0
/*
 * Not syslog(3) and not sd_journal_sendv(3): both wait for room in the
 * socket's queue. What they send is simple and won't change: RFC 3164, and
 * the journal's native protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL).
 *
 * The socket isn't connected: each line finds the path anew, so a reader that
 * has been restarted gets the next one.
 */
#include "util/log_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "util/cleanup.h"

static struct sockaddr_un address_of(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
	return address;
}

int log_socket_open(void)
{
	const struct timeval patience = {.tv_sec = 1};
	owned_fd fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience,
			      sizeof(patience)) < 0)
		return -errno;
	return take_fd_above_standard(&fd);
}

int log_socket_check(const char *path)
{
	struct sockaddr_un address = address_of(path);
	owned_fd fd = log_socket_open();

	if (fd < 0)
		return fd;
	return connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0
		       ? -errno
		       : 0;
}

int log_socket_send(int fd, const char *path, const struct iovec *parts,
	size_t count, bool patient)
{
	static atomic_bool behind;
	struct sockaddr_un address = address_of(path);
	struct msghdr message = {
		.msg_name = &address,
		.msg_namelen = sizeof(address),
		.msg_iov = (struct iovec *)parts,
		.msg_iovlen = count,
	};

	int flags = MSG_NOSIGNAL;

	if (!patient || behind)
		flags |= MSG_DONTWAIT;
	while (sendmsg(fd, &message, flags) < 0) {
		if (errno == EINTR)
			continue;
		if (errno == EAGAIN && patient)
			behind = true;
		return -errno;
	}
	if (behind)
		behind = false;
	return 0;
}

bool log_socket_stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	uintmax_t device, inode;
	struct stat status;
	int end = 0;

	if (stream == NULL ||
		sscanf(stream, "%" SCNuMAX ":%" SCNuMAX "%n", &device, &inode,
			&end) != 2 ||
		stream[end] != '\0')
		return false;
	return fstat(STDERR_FILENO, &status) == 0 && status.st_dev == device &&
	       status.st_ino == inode &&
	       log_socket_check(LOG_SOCKET_JOURNAL) == 0;
}
