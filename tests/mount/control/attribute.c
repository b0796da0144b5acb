// SPDX-License-Identifier: Apache-2.0
/*
 * One xattr call as a program makes it, and what exactly came of it:
 * getfattr(1) and setfattr(1) hide errno, sizes and what a value ends with.
 *
 *	attribute get PATH NAME [SIZE]	with a buffer of that size; 0 asks
 *					for the size
 *	attribute set PATH NAME VALUE [create|replace]
 *	attribute remove PATH NAME
 *	attribute list PATH [SIZE]	the names, in the order of sort(1)
 *	attribute mknod PATH		makes a regular file
 *	attribute tmpfile DIRECTORY PATH	O_TMPFILE, then linkat
 *
 * Prints `ok LENGTH TEXT`, or `err ERRNO`. In VALUE and TEXT \n, \0 and \\
 * stand for a newline, a NUL and a backslash.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define BUFFER_SIZE 65536

static char buffer[BUFFER_SIZE];

static int say_error(void)
{
	const char *name = strerrorname_np(errno);

	printf("err %s\n", name ? name : "UNKNOWN");
	return 1;
}

static void say_text(const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		if (text[i] == '\n')
			fputs("\\n", stdout);
		else if (text[i] == '\0')
			fputs("\\0", stdout);
		else if (text[i] == '\\')
			fputs("\\\\", stdout);
		else
			putchar(text[i]);
	}
}

static int say_value(ssize_t length, size_t size)
{
	if (length < 0)
		return say_error();
	printf("ok %zd", length);
	if (size > 0) {
		putchar(' ');
		say_text(buffer, (size_t)length);
	}
	putchar('\n');
	return 0;
}

static size_t size_of(const char *text)
{
	size_t size = text ? strtoul(text, NULL, 10) : BUFFER_SIZE;

	return size > BUFFER_SIZE ? BUFFER_SIZE : size;
}

static size_t unescape(char *text)
{
	char *to = text;

	for (char *from = text; *from; from++) {
		if (*from != '\\') {
			*to++ = *from;
			continue;
		}
		from++;
		if (!*from)
			break;
		if (*from == 'n')
			*to++ = '\n';
		else
			*to++ = (char)(*from == '0' ? '\0' : *from);
	}
	return (size_t)(to - text);
}

static int do_get(char **arg)
{
	size_t size = size_of(arg[3]);

	return say_value(getxattr(arg[1], arg[2], buffer, size), size);
}

static int do_set(char **arg)
{
	size_t length = unescape(arg[3]);
	int flags = 0;

	if (arg[4] && strcmp(arg[4], "create") == 0)
		flags = XATTR_CREATE;
	else if (arg[4])
		flags = XATTR_REPLACE;
	if (setxattr(arg[1], arg[2], arg[3], length, flags) < 0)
		return say_error();
	puts("ok 0");
	return 0;
}

static int do_remove(char **arg)
{
	if (removexattr(arg[1], arg[2]) < 0)
		return say_error();
	puts("ok 0");
	return 0;
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int do_list(char **arg)
{
	static char *name[BUFFER_SIZE / 2];
	size_t size = size_of(arg[2]);
	ssize_t length = listxattr(arg[1], buffer, size);
	size_t count = 0;

	if (length < 0)
		return say_error();
	printf("ok %zd", length);
	for (ssize_t i = 0; size > 0 && i < length;) {
		name[count++] = buffer + i;
		i += (ssize_t)strlen(buffer + i) + 1;
	}
	qsort(name, count, sizeof(name[0]), compare);
	for (size_t i = 0; i < count; i++)
		printf(" %s", name[i]);
	putchar('\n');
	return 0;
}

static int do_mknod(char **arg)
{
	if (mknod(arg[1], S_IFREG | 0644, 0) < 0)
		return say_error();
	puts("ok 0");
	return 0;
}

static int do_tmpfile(char **arg)
{
	char link[64];
	int fd = open(arg[1], O_TMPFILE | O_RDWR | O_CLOEXEC, 0644);

	if (fd < 0)
		return say_error();
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	if (linkat(AT_FDCWD, link, AT_FDCWD, arg[2], AT_SYMLINK_FOLLOW) < 0)
		return say_error();
	puts("ok 0");
	return close(fd);
}

static const struct verb {
	const char *name;
	int least_args;
	int (*run)(char **arg);
} verbs[] = {
	{ "get", 2, do_get }, { "set", 3, do_set },
	{ "remove", 2, do_remove }, { "list", 1, do_list },
	{ "mknod", 1, do_mknod }, { "tmpfile", 2, do_tmpfile },
};

int main(int argc, char **argv)
{
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		if (argc > 1 && strcmp(verbs[i].name, argv[1]) == 0 &&
		    argc - 2 >= verbs[i].least_args)
			return verbs[i].run(argv + 1);
	}
	fputs("attribute: see the top of attribute.c\n", stderr);
	return 2;
}
