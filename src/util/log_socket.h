/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sockets of syslog and of the journal: one datagram for each line.
 * Threads that serve never wait there: whoever reads them may itself wait for
 * a file of our mount (a log below /var/log), and would never get it.
 *
 * Opened and closed while no other thread sends; sent to from any thread.
 */
#ifndef MSYNCFS_UTIL_LOG_SOCKET_H
#define MSYNCFS_UTIL_LOG_SOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/uio.h>

#define LOG_SOCKET_SYSLOG  "/dev/log"
#define LOG_SOCKET_JOURNAL "/run/systemd/journal/socket"

/* A descriptor above the standard ones, or -errno of socket(2). */
int log_socket_open(void);

/* 0 if somebody listens to datagrams at path, else -errno of connect(2). */
int log_socket_check(const char *path);

/*
 * Sends the parts as one datagram. Without room for it, a patient caller waits
 * for one second, unless somebody has done so in vain since it last went well.
 * 0, or -errno of sendmsg(2): -EAGAIN when the reader is too far behind,
 * -EPROTOTYPE when it wants a stream.
 */
int log_socket_send(int fd, const char *path, const struct iovec *parts,
	size_t count, bool patient);

/*
 * True when standard error goes to the journal, as $JOURNAL_STREAM tells
 * (systemd.exec(5)), and the journal can be reached.
 */
bool log_socket_stderr_is_journal(void);

#endif
