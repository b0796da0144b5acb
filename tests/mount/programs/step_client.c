// SPDX-License-Identifier: Apache-2.0
/*
 * A program that does one file operation per line of its input and says on one
 * line what came of it, so that a shell script can hold files open, count the
 * daemon's requests between two steps, and put a time limit on each of them.
 *
 *	open H PATH FLAGS	FLAGS: ro wo rw create excl trunc append direct
 *				sync dsync, joined by commas; H: 0..63
 *	close H
 *	write H OFF LEN BYTE [COUNT [STEP]]
 *	read H OFF LEN [COUNT [STEP]]		ok BYTES
 *	expect H OFF LEN BYTE	all LEN bytes are read and have that value
 *	map H LEN ro|rw		shared
 *	unmap H
 *	poke H OFF LEN BYTE	store through the mapping; err SIGBUS
 *	peek H OFF		ok VALUE; err SIGBUS
 *	msync H | fsync H | fdatasync H | truncate H SIZE | size H
 *	fallocate H OFF LEN | punch H OFF LEN | uncache H
 *	lock H wait|try|off	fcntl write lock of the whole file
 *	flock H wait|try|off
 *	stat PATH COUNT | reopen PATH COUNT FLAGS
 *	quit		the end of the input is not enough where others have
 *			inherited the pipe's other end
 *
 * The reply is `ok ...` or `err ERRNO done=N`, N being how many of COUNT
 * operations were complete before the error.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define HANDLES 64
#define ARGS 8
#define BUFFER_SIZE ((size_t)8 << 20)

struct handle {
	bool used;
	int fd;
	char *map;
	size_t length;
};

static struct handle handles[HANDLES];
static unsigned char *buffer;
static sigjmp_buf bus_return;

static void on_bus(int signal_number)
{
	(void)signal_number;
	siglongjmp(bus_return, 1);
}

static void say_ok(long long value)
{
	printf("ok %lld\n", value);
}

static void say_error(int error, long done)
{
	const char *name = strerrorname_np(error);

	printf("err %s done=%ld\n", name ? name : "UNKNOWN", done);
}

static void say_result(int result)
{
	if (result < 0)
		say_error(errno, 0);
	else
		say_ok(result);
}

static void bad_use(const char *why)
{
	fprintf(stderr, "step_client: %s\n", why);
	exit(2);
}

static struct handle *handle_of(const char *text)
{
	unsigned long index = strtoul(text, NULL, 10);

	if (index >= HANDLES)
		bad_use("no such handle");
	return &handles[index];
}

static int fd_of(const char *text)
{
	struct handle *handle = handle_of(text);

	if (!handle->used)
		bad_use("that handle is not open");
	return handle->fd;
}

static long long number(const char *text)
{
	char *end;
	long long value = strtoll(text, &end, 0);

	if (*text == '\0' || *end != '\0')
		bad_use("not a number");
	return value;
}

static size_t length_of(const char *text)
{
	long long value = number(text);

	if (value < 0 || (size_t)value > BUFFER_SIZE)
		bad_use("that length is out of range");
	return (size_t)value;
}

static int open_flags(char *list)
{
	static const struct {
		const char *name;
		int flag;
	} known[] = {
		{ "ro", O_RDONLY }, { "wo", O_WRONLY }, { "rw", O_RDWR },
		{ "create", O_CREAT }, { "excl", O_EXCL },
		{ "trunc", O_TRUNC }, { "append", O_APPEND },
		{ "direct", O_DIRECT }, { "sync", O_SYNC },
		{ "dsync", O_DSYNC }, { "path", O_PATH },
		{ "directory", O_DIRECTORY },
	};
	int flags = O_CLOEXEC;
	char *rest = NULL;

	for (char *word = strtok_r(list, ",", &rest); word;
	     word = strtok_r(NULL, ",", &rest)) {
		size_t i = 0;

		while (i < sizeof(known) / sizeof(known[0]) &&
		       strcmp(known[i].name, word) != 0)
			i++;
		if (i == sizeof(known) / sizeof(known[0]))
			bad_use("unknown open flag");
		flags |= known[i].flag;
	}
	return flags;
}

static void do_open(char **arg)
{
	struct handle *handle = handle_of(arg[1]);
	int fd = open(arg[2], open_flags(arg[3]), 0644);

	if (handle->used)
		bad_use("that handle is in use");
	if (fd < 0) {
		say_error(errno, 0);
		return;
	}
	*handle = (struct handle){ .used = true, .fd = fd };
	say_ok(fd);
}

static void do_unmap(char **arg)
{
	struct handle *handle = handle_of(arg[1]);
	int result = 0;

	if (handle->map)
		result = munmap(handle->map, handle->length);
	handle->map = NULL;
	say_result(result);
}

static void do_close(char **arg)
{
	int fd = fd_of(arg[1]);

	handle_of(arg[1])->used = false;
	say_result(close(fd));
}

static void do_write(char **arg)
{
	int fd = fd_of(arg[1]);
	long long offset = number(arg[2]);
	size_t length = length_of(arg[3]);
	long count = arg[5] ? (long)number(arg[5]) : 1;
	long long step = arg[5] && arg[6] ? number(arg[6]) : (long long)length;
	long long total = 0;

	memset(buffer, (int)number(arg[4]), length);
	for (long i = 0; i < count; i++) {
		ssize_t n = pwrite(fd, buffer, length, offset + i * step);

		if (n < 0) {
			say_error(errno, i);
			return;
		}
		total += n;
	}
	say_ok(total);
}

static void do_read(char **arg)
{
	int fd = fd_of(arg[1]);
	long long offset = number(arg[2]);
	size_t length = length_of(arg[3]);
	long count = arg[4] ? (long)number(arg[4]) : 1;
	long long step = arg[4] && arg[5] ? number(arg[5]) : (long long)length;
	long long total = 0;

	for (long i = 0; i < count; i++) {
		ssize_t n = pread(fd, buffer, length, offset + i * step);

		if (n < 0) {
			say_error(errno, i);
			return;
		}
		total += n;
	}
	say_ok(total);
}

static void do_expect(char **arg)
{
	int fd = fd_of(arg[1]);
	long long offset = number(arg[2]);
	size_t length = length_of(arg[3]);
	int value = (int)number(arg[4]);
	ssize_t n = pread(fd, buffer, length, offset);

	if (n < 0) {
		say_error(errno, 0);
		return;
	}
	if ((size_t)n < length) {
		printf("err SHORT done=%zd\n", n);
		return;
	}
	for (size_t i = 0; i < length; i++) {
		if (buffer[i] != value) {
			printf("err DIFFERS done=%zu\n", i);
			return;
		}
	}
	say_ok(n);
}

static void do_map(char **arg)
{
	int fd = fd_of(arg[1]);
	struct handle *handle = handle_of(arg[1]);
	size_t length = (size_t)number(arg[2]);
	int access = PROT_READ;
	void *map;

	if (strcmp(arg[3], "rw") == 0)
		access |= PROT_WRITE;
	map = mmap(NULL, length, access, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED) {
		say_error(errno, 0);
		return;
	}
	handle->map = map;
	handle->length = length;
	say_ok((long long)length);
}

static char *mapped(char **arg, size_t length)
{
	struct handle *handle = handle_of(arg[1]);
	long long offset = number(arg[2]);

	if (!handle->map || offset < 0 ||
	    (size_t)offset + length > handle->length)
		bad_use("outside of the mapping");
	return handle->map + offset;
}

static void do_poke(char **arg)
{
	size_t length = length_of(arg[3]);
	char *where = mapped(arg, length);

	if (sigsetjmp(bus_return, 1) != 0) {
		puts("err SIGBUS done=0");
		return;
	}
	memset(where, (int)number(arg[4]), length);
	say_ok((long long)length);
}

static void do_peek(char **arg)
{
	char *where = mapped(arg, 1);

	if (sigsetjmp(bus_return, 1) != 0) {
		puts("err SIGBUS done=0");
		return;
	}
	say_ok(*(volatile unsigned char *)where);
}

static void do_msync(char **arg)
{
	struct handle *handle = handle_of(arg[1]);

	say_result(msync(handle->map, handle->length, MS_SYNC));
}

static void do_fsync(char **arg)
{
	say_result(fsync(fd_of(arg[1])));
}

static void do_fdatasync(char **arg)
{
	say_result(fdatasync(fd_of(arg[1])));
}

static void do_truncate(char **arg)
{
	say_result(ftruncate(fd_of(arg[1]), number(arg[2])));
}

static void do_size(char **arg)
{
	struct stat status;

	if (fstat(fd_of(arg[1]), &status) < 0)
		say_error(errno, 0);
	else
		say_ok(status.st_size);
}

static void do_fallocate(char **arg)
{
	say_result(fallocate(fd_of(arg[1]), 0, number(arg[2]), number(arg[3])));
}

static void do_punch(char **arg)
{
	say_result(fallocate(fd_of(arg[1]),
			     FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			     number(arg[2]), number(arg[3])));
}

static void do_uncache(char **arg)
{
	int error = posix_fadvise(fd_of(arg[1]), 0, 0, POSIX_FADV_DONTNEED);

	if (error)
		say_error(error, 0);
	else
		say_ok(0);
}

static void do_lock(char **arg)
{
	struct flock lock = {
		.l_type = F_WRLCK,
		.l_whence = SEEK_SET,
	};
	int command = strcmp(arg[2], "wait") == 0 ? F_SETLKW : F_SETLK;

	if (strcmp(arg[2], "off") == 0)
		lock.l_type = F_UNLCK;
	say_result(fcntl(fd_of(arg[1]), command, &lock));
}

static void do_flock(char **arg)
{
	int operation = LOCK_EX;

	if (strcmp(arg[2], "off") == 0)
		operation = LOCK_UN;
	else if (strcmp(arg[2], "try") == 0)
		operation |= LOCK_NB;
	say_result(flock(fd_of(arg[1]), operation));
}

static void do_stat(char **arg)
{
	long count = (long)number(arg[2]);
	struct stat status;

	for (long i = 0; i < count; i++) {
		if (stat(arg[1], &status) < 0 && i == count - 1) {
			say_error(errno, i);
			return;
		}
	}
	say_ok(count);
}

static void do_reopen(char **arg)
{
	long count = (long)number(arg[2]);
	int flags = open_flags(arg[3]);

	for (long i = 0; i < count; i++) {
		int fd = open(arg[1], flags);

		if (fd < 0 || close(fd) < 0) {
			say_error(errno, i);
			return;
		}
	}
	say_ok(count);
}

static void do_quit(char **arg)
{
	(void)arg;
	exit(0);
}

static const struct verb {
	const char *name;
	int least_args;
	void (*run)(char **arg);
} verbs[] = {
	{ "open", 3, do_open }, { "close", 1, do_close },
	{ "write", 4, do_write }, { "read", 3, do_read },
	{ "expect", 4, do_expect }, { "map", 3, do_map },
	{ "unmap", 1, do_unmap }, { "poke", 4, do_poke },
	{ "peek", 2, do_peek }, { "msync", 1, do_msync },
	{ "fsync", 1, do_fsync }, { "fdatasync", 1, do_fdatasync },
	{ "truncate", 2, do_truncate }, { "size", 1, do_size },
	{ "fallocate", 3, do_fallocate }, { "punch", 3, do_punch },
	{ "uncache", 1, do_uncache }, { "lock", 2, do_lock },
	{ "flock", 2, do_flock }, { "stat", 2, do_stat },
	{ "reopen", 3, do_reopen }, { "quit", 0, do_quit },
};

static void run_line(char *line)
{
	char *arg[ARGS + 1] = { NULL };
	char *rest = NULL;
	int count = 0;

	for (char *word = strtok_r(line, " \n", &rest); word && count < ARGS;
	     word = strtok_r(NULL, " \n", &rest))
		arg[count++] = word;
	if (count == 0)
		return;
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		if (strcmp(verbs[i].name, arg[0]) != 0)
			continue;
		if (count - 1 < verbs[i].least_args)
			bad_use("an argument is missing");
		verbs[i].run(arg);
		return;
	}
	bad_use("unknown operation");
}

int main(void)
{
	struct sigaction action = { .sa_handler = on_bus };
	char *line = NULL;
	size_t size = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (sigaction(SIGBUS, &action, NULL) < 0 ||
	    posix_memalign((void **)&buffer, 4096, BUFFER_SIZE) != 0)
		bad_use("cannot start");
	while (getline(&line, &size, stdin) > 0)
		run_line(line);
	free(line);
	free(buffer);
	return 0;
}
