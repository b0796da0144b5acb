/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The frame of the contract tests: what a Linux filesystem does, asserted on
 * any directory. A program takes that directory as its one argument.
 *
 * Each case runs in an empty directory of its own, which is the working
 * directory, so that children of any identity reach it by relative names.
 * After a case everything it left is removed: descriptors, children, files.
 *
 * The check macros work in the test and in the children that it spawned: a
 * child that fails a check says why and ends, and join() then fails the test.
 * A test program is single-threaded.
 */
#ifndef MSYNCFS_TESTS_CONTRACT_H
#define MSYNCFS_TESTS_CONTRACT_H

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include <cmocka.h>

/* --- the program --------------------------------------------------------- */

#define contract_case(function) \
	cmocka_unit_test_setup_teardown(function, case_begins, case_ends)

#define contract_main(argc, argv, tests) \
	contract_run(argc, argv, tests, sizeof(tests) / sizeof((tests)[0]))

int contract_run(int argc, char **argv, const struct CMUnitTest *tests,
		 size_t count);
int case_begins(void **state);
int case_ends(void **state);

/* Ends the case as skipped. The reason starts with "n/a: " when the case has
 * no meaning here, otherwise it names what the machine lacks. */
void skip_because(const char *format, ...)
	__attribute__((noreturn, format(printf, 1, 2)));
void need_root(void);
/* The kind of the filesystem under test or, on a mount, of its store, which
 * CONTRACT_STORE_TYPE then names as "stat -f -c %T" does. */
bool store_is(const char *type, long magic);

/* --- checks -------------------------------------------------------------- */

void check_failed(const char *file, int line, const char *format, ...)
	__attribute__((noreturn, format(printf, 3, 4)));

static inline long long check_ok_at(long long result, const char *what,
				    const char *file, int line)
{
	if (result < 0)
		check_failed(file, line, "%s: %s", what, strerror(errno));
	return result;
}

static inline void check_fails_at(long long result, int wanted,
				  const char *what, const char *file, int line)
{
	int seen = errno;

	if (result != -1)
		check_failed(file, line, "%s gave %lld instead of %s", what,
			     result, strerrorname_np(wanted));
	if (seen != wanted)
		check_failed(file, line, "%s gave %s instead of %s", what,
			     strerrorname_np(seen), strerrorname_np(wanted));
}

static inline void check_equal_at(long long left, long long right,
				  const char *what, const char *file, int line)
{
	if (left != right)
		check_failed(file, line, "%s: %lld (%#llo) and %lld (%#llo)",
			     what, left, (unsigned long long)left, right,
			     (unsigned long long)right);
}

void check_bytes_at(const void *left, const void *right, size_t size,
		    const char *what, const char *file, int line);

#define check(condition)                                             \
	do {                                                         \
		if (!(condition))                                    \
			check_failed(__FILE__, __LINE__, "not true: %s", \
				     #condition);                    \
	} while (0)
/* A call that gives -1 and errno when it fails; its value otherwise. */
#define check_ok(call) check_ok_at((call), #call, __FILE__, __LINE__)
#define check_fails(call, wanted) \
	check_fails_at((call), wanted, #call, __FILE__, __LINE__)
#define check_equal(left, right)                                    \
	check_equal_at((long long)(left), (long long)(right),       \
		       #left " is " #right, __FILE__, __LINE__)
#define check_bytes(left, right, size)                              \
	check_bytes_at(left, right, size, #left " holds " #right, __FILE__, \
		       __LINE__)

/* --- processes ----------------------------------------------------------- */

struct identity {
	uid_t uid;
	gid_t gid;
	size_t group_count;
	const gid_t *groups;
};

/* Two users without any privilege; the ids need no entry in a database. */
extern const struct identity alice, bob;

typedef void body_fn(void *argument);

/* Starts a child; with an identity it takes that first and loses every
 * capability (this needs root). */
pid_t spawn(const struct identity *who, body_fn *body, void *argument);
/* Waits for a child and fails the test if the child failed. */
void join(pid_t child);
/* Waits for a child that a signal ends. */
void join_killed(pid_t child, int signal_number);
/* The child has neither ended nor failed. */
void check_runs(pid_t child);
void kill_child(pid_t child);
/* spawn and join. */
void run_as(const struct identity *who, body_fn *body, void *argument);
void become(const struct identity *who);
/* Waits until the process sleeps, at most five seconds, times SLOW. */
void wait_until_asleep(pid_t process);

/* What one process passes and another waits for. */
struct gate {
	int fd[2];
};

void gate_init(struct gate *gate);
void gate_pass(struct gate *gate);
void gate_wait(struct gate *gate);

/* --- files --------------------------------------------------------------- */

/* Bytes that differ by seed and position. */
void fill(void *buffer, size_t size, unsigned seed);
/* Makes a file of so many bytes of fill(). */
void make_file(const char *name, size_t size, unsigned seed);
void make_file_with_mode(const char *name, size_t size, mode_t mode);
/* The file is size bytes of fill(seed), read through a new descriptor. */
void check_file(const char *name, size_t size, unsigned seed);
int open_ok(const char *name, int flags);
void close_ok(int fd);
/* Copies an executable. */
void copy_program(const char *from, const char *to);
/* A child's body: becomes the program of that name. */
void execute_it(void *name);
void write_ok(int fd, const void *buffer, size_t size);
void pwrite_ok(int fd, const void *buffer, size_t size, off_t offset);
void pread_ok(int fd, void *buffer, size_t size, off_t offset);
struct stat stat_of(const char *name);
struct stat lstat_of(const char *name);
struct stat fstat_of(int fd);
void *map_ok(int fd, size_t size, int protection, int flags);
/* A page-aligned buffer, for O_DIRECT. */
void *aligned_buffer(size_t size);
/* Opens with O_DIRECT, or skips where the filesystem has none. */
int open_direct(const char *name, int flags);

/* Longer than the granularity of any filesystem's timestamps. */
void tick(void);
int64_t nanoseconds(struct timespec time);

#define atime_of(name) nanoseconds(lstat_of(name).st_atim)
#define mtime_of(name) nanoseconds(lstat_of(name).st_mtim)
#define ctime_of(name) nanoseconds(lstat_of(name).st_ctim)

#endif
