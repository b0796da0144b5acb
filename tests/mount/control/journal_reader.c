// SPDX-License-Identifier: Apache-2.0
/*
 * In the place of systemd-journald(8): takes what is sent to its socket and
 * prints the fields, one in a line, with an empty line behind each message.
 * Values that aren't one line of text (the protocol's other form) end it with
 * status 1.
 *
 *	journal_reader SOCKET
 */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static char message[65536];

static int print_fields(ssize_t length)
{
	char *line = message;

	if (message[length - 1] != '\n')
		return -1;
	while (line < message + length) {
		char *end =
			memchr(line, '\n', (size_t)(message + length - line));

		*end = '\0';
		if (!strchr(line, '=') || strlen(line) != (size_t)(end - line))
			return -1;
		puts(line);
		line = end + 1;
	}
	putchar('\n');
	return fflush(stdout);
}

int main(int argc, char **argv)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	ssize_t length;

	if (argc != 2 || strlen(argv[1]) >= sizeof(address.sun_path)) {
		fputs("journal_reader SOCKET\n", stderr);
		return 2;
	}
	strcpy(address.sun_path, argv[1]);
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		perror(argv[1]);
		return 1;
	}
	while ((length = recv(fd, message, sizeof(message), 0)) > 0) {
		if (print_fields(length) < 0) {
			fputs("journal_reader: no lines of fields\n", stderr);
			return 1;
		}
	}
	return 1;
}
