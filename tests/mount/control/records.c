// SPDX-License-Identifier: Apache-2.0
/*
 * A log of records and who follows it.
 *
 *	records write PATH FIRST COUNT	appends records FIRST, FIRST + 1, ...
 *	records follow PATH COUNT	reads until COUNT records were seen;
 *					waits by inotify(7), never by polling
 *	records check PATH COUNT	there are COUNT records in any order,
 *					all of them whole, and nothing else
 *
 * A record is its length, its number and filler, and ends with a newline. It
 * is written by one write(2). A follower reads what is there: that must end
 * where a record ends, always.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#define RECORD_MAX 16384
#define HEADER 16 /* two numbers of seven digits and a blank after each */
#define BUFFER_SIZE (16 << 20)
#define PATIENCE_MS 30000

static char buffer[BUFFER_SIZE];

static void fail(const char *what)
{
	fprintf(stderr, "records: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void broken(const char *what, long number, const char *text)
{
	fprintf(stderr, "records: after record %ld: %s: %.40s\n", number, what,
		text);
	exit(1);
}

/* From some bytes to several pages. */
static int length_of(long number)
{
	return HEADER + 1 + (int)(number * 2654435761u % (RECORD_MAX - 32));
}

static int do_write(const char *path, long first, long count)
{
	int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);

	if (fd < 0)
		fail(path);
	for (long i = first; i < first + count; i++) {
		int length = length_of(i);

		snprintf(buffer, sizeof(buffer), "%07d %07ld ", length, i);
		memset(buffer + HEADER, 'a' + (int)(i % 26),
		       (size_t)length - HEADER - 1);
		buffer[length - 1] = '\n';
		if (write(fd, buffer, (size_t)length) != length)
			fail("write");
	}
	return close(fd);
}

/* The number of the whole record at text, of which size bytes are there. */
static long check_record(const char *text, size_t size, long before,
			 size_t *length)
{
	long number;
	char *end;

	if (size < HEADER)
		broken("torn", before, text);
	*length = strtoul(text, &end, 10);
	number = strtol(end, &end, 10);
	if (end != text + HEADER - 1 || *length != (size_t)length_of(number))
		broken("not a record", before, text);
	if (*length > size)
		broken("torn", before, text);
	for (size_t i = HEADER; i < *length - 1; i++) {
		if (text[i] != 'a' + (int)(number % 26))
			broken("other bytes", number, text + i);
	}
	if (text[*length - 1] != '\n')
		broken("no end", number, text);
	return number;
}

/* Reads all that is there; the number of the last record. */
static long read_on(int fd, long seen)
{
	ssize_t size;

	while ((size = read(fd, buffer, sizeof(buffer))) > 0) {
		for (ssize_t at = 0; at < size;) {
			size_t length;
			long number = check_record(buffer + at,
						   (size_t)(size - at), seen,
						   &length);

			if (number != seen)
				broken("out of order", seen, buffer + at);
			seen++;
			at += (ssize_t)length;
		}
	}
	if (size < 0)
		fail("read");
	return seen;
}

static int do_follow(const char *path, long count)
{
	char events[4096];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int watch = inotify_init1(IN_CLOEXEC);
	struct pollfd ready = { .fd = watch, .events = POLLIN };
	long seen = 0;

	if (fd < 0 || watch < 0 ||
	    inotify_add_watch(watch, path, IN_MODIFY) < 0)
		fail(path);
	puts("following");
	fflush(stdout);
	for (;;) {
		seen = read_on(fd, seen);
		if (seen >= count)
			break;
		if (poll(&ready, 1, PATIENCE_MS) != 1)
			broken("no event any more", seen, "");
		if (read(watch, events, sizeof(events)) < 0)
			fail("inotify");
	}
	printf("%ld\n", seen);
	return 0;
}

static int do_check(const char *path, long count)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	bool *was = calloc((size_t)count, 1);
	size_t filled = 0;
	long seen = 0;
	ssize_t size;

	if (fd < 0 || !was)
		fail(path);
	while ((size = read(fd, buffer + filled, sizeof(buffer) - filled)) > 0)
		filled += (size_t)size;
	for (size_t at = 0; at < filled;) {
		size_t length;
		long number = check_record(buffer + at, filled - at, seen,
					   &length);

		if (number < 0 || number >= count || was[number])
			broken("twice, or too many", number, buffer + at);
		was[number] = true;
		seen++;
		at += length;
	}
	free(was);
	printf("%ld\n", seen);
	return seen == count ? 0 : 1;
}

int main(int argc, char **argv)
{
	if (argc == 5 && strcmp(argv[1], "write") == 0)
		return do_write(argv[2], atol(argv[3]), atol(argv[4]));
	if (argc == 4 && strcmp(argv[1], "follow") == 0)
		return do_follow(argv[2], atol(argv[3]));
	if (argc == 4 && strcmp(argv[1], "check") == 0)
		return do_check(argv[2], atol(argv[3]));
	fputs("records: see the top of records.c\n", stderr);
	return 2;
}
