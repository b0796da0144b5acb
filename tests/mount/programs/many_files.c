// SPDX-License-Identifier: Apache-2.0
/*
 * Many files, numbered, 1000 to a directory.
 *
 *	many_files make DIRECTORY COUNT		makes them
 *	many_files empty DIRECTORY COUNT	makes them without content
 *	many_files read DIRECTORY COUNT		opens, reads and closes each
 *	many_files hold DIRECTORY COUNT TIMES	opens each file TIMES times,
 *		writes each once, reads and maps through every descriptor, says
 *		`ready`, keeps all of it until its input ends, checks it again,
 *		says `done`
 *
 * A file holds one line with its number, padded to 64 bytes; `hold` writes the
 * same bytes again.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define CONTENT 64

struct held {
	int fd;
	const char *map;
};

static void fail(const char *what, int number)
{
	fprintf(stderr, "%s, file %d: %s\n", what, number, strerror(errno));
	exit(1);
}

static void path_of(char path[4096], const char *directory, int number)
{
	snprintf(path, 4096, "%s/d%05d/f%08d", directory, number / 1000,
		 number);
}

static void content_of(char content[CONTENT], int number)
{
	memset(content, ' ', CONTENT);
	content[snprintf(content, CONTENT, "%d", number)] = ' ';
	content[CONTENT - 1] = '\n';
}

static void make(const char *directory, int count, ssize_t size)
{
	for (int number = 0; number < count; number++) {
		char path[4096];
		char content[CONTENT];
		int fd;

		snprintf(path, sizeof(path), "%s/d%05d", directory,
			 number / 1000);
		if (number % 1000 == 0 && mkdir(path, 0755) < 0)
			fail(path, number);
		path_of(path, directory, number);
		content_of(content, number);
		fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
		if (fd < 0 || write(fd, content, (size_t)size) != size ||
		    close(fd) < 0)
			fail(path, number);
	}
}

static void check(int fd, int number)
{
	char expected[CONTENT];
	char found[CONTENT];

	content_of(expected, number);
	errno = 0;
	if (pread(fd, found, CONTENT, 0) != CONTENT)
		fail("read", number);
	if (memcmp(expected, found, CONTENT) != 0)
		fail("the content differs", number);
}

static void read_all(const char *directory, int count)
{
	for (int number = 0; number < count; number++) {
		char path[4096];
		int fd;

		path_of(path, directory, number);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			fail("open", number);
		check(fd, number);
		close(fd);
	}
}

static void hold_one(struct held *held, const char *directory, int number,
		     bool written)
{
	char path[4096];
	char content[CONTENT];

	path_of(path, directory, number);
	content_of(content, number);
	held->fd = open(path, O_RDWR | O_CLOEXEC);
	if (held->fd < 0)
		fail("open", number);
	if (written && pwrite(held->fd, content, CONTENT, 0) != CONTENT)
		fail("write", number);
	check(held->fd, number);
	held->map = mmap(NULL, CONTENT, PROT_READ, MAP_SHARED, held->fd, 0);
	if (held->map == MAP_FAILED)
		fail("mmap", number);
	if (memcmp(held->map, content, CONTENT) != 0)
		fail("the mapping differs", number);
}

static void hold(const char *directory, int count, int times)
{
	struct held *held = calloc((size_t)count * (size_t)times,
				   sizeof(*held));
	char byte;

	if (!held)
		fail("memory", 0);
	for (int i = 0; i < count * times; i++)
		hold_one(&held[i], directory, i % count, i < count);
	puts("ready");
	fflush(stdout);
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
	for (int i = 0; i < count * times; i++) {
		check(held[i].fd, i % count);
		if (close(held[i].fd) < 0)
			fail("close", i % count);
	}
	free(held);
	puts("done");
}

int main(int argc, char **argv)
{
	int count = argc > 3 ? atoi(argv[3]) : 0;

	if (argc == 4 && strcmp(argv[1], "make") == 0)
		make(argv[2], count, CONTENT);
	else if (argc == 4 && strcmp(argv[1], "empty") == 0)
		make(argv[2], count, 0);
	else if (argc == 4 && strcmp(argv[1], "read") == 0)
		read_all(argv[2], count);
	else if (argc == 5 && strcmp(argv[1], "hold") == 0)
		hold(argv[2], count, atoi(argv[4]));
	else
		return 2;
	return 0;
}
