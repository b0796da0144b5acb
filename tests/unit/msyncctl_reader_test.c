// SPDX-License-Identifier: Apache-2.0
/*
 * The reader of a mount, on a directory that is none. What it does when the
 * mount hangs is in tests/mount/top.sh.
 */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "msyncctl/mount_reader.h"

#define SECOND INT64_C(1000000000)
#define GENEROUS (30 * SECOND)

static void every_part_that_is_asked_for_is_answered(void **state)
{
	struct mount_reader reader;
	struct reading reading = { 0 };
	int64_t before = monotonic_now();

	(void)state;
	assert_int_equal(mount_reader_start(&reader, "/"), 0);
	assert_int_equal(mount_reader_ask(&reader, (1u << READING_PARTS) - 1),
		0);
	assert_int_equal(mount_reader_wait(&reader, &reading, GENEROUS), 1);
	for (unsigned i = 0; i < READING_PARTS; i++) {
		assert_true(reading.error[i] == -ENODATA ||
			    reading.error[i] == -EOPNOTSUPP);
		assert_null(reading.text[i]);
	}
	assert_true(reading.when >= before);
	assert_true(reading.when <= monotonic_now());
	reading_free(&reading);
	mount_reader_stop(&reader);
}

static void it_can_be_asked_again_and_again(void **state)
{
	struct mount_reader reader;

	(void)state;
	assert_int_equal(mount_reader_start(&reader, "/nonexistent"), 0);
	for (unsigned i = 0; i < 50; i++) {
		struct reading reading = { 0 };

		assert_int_equal(mount_reader_ask(&reader,
			1u << reading_stats), 0);
		/* One question at a time: these do nothing. */
		assert_int_equal(mount_reader_ask(&reader,
			1u << reading_files), 0);
		assert_int_equal(mount_reader_wait(&reader, &reading,
			GENEROUS), 1);
		assert_int_equal(reading.error[reading_stats], -ENOENT);
		reading_free(&reading);
		assert_int_equal(mount_reader_take(&reader, &reading), 0);
	}
	mount_reader_stop(&reader);
}

static void nothing_comes_unasked(void **state)
{
	struct mount_reader reader;
	struct reading reading = { 0 };

	(void)state;
	assert_int_equal(mount_reader_start(&reader, "/"), 0);
	assert_int_equal(mount_reader_wait(&reader, &reading, SECOND / 20),
		-ETIMEDOUT);
	mount_reader_stop(&reader);
	assert_int_equal(reader.fd, -1);
}

static void a_dead_reader_is_noticed(void **state)
{
	struct mount_reader reader;
	struct reading reading = { 0 };
	int status;

	(void)state;
	assert_int_equal(mount_reader_start(&reader, "/"), 0);
	kill(reader.pid, SIGKILL);
	assert_int_equal(waitpid(reader.pid, &status, 0), reader.pid);
	assert_int_equal(mount_reader_wait(&reader, &reading, GENEROUS),
		-EPIPE);
	assert_int_equal(mount_reader_ask(&reader, 1u << reading_stats),
		-EPIPE);
	reader.pid = 0;
	mount_reader_stop(&reader);
}

/* By the closed socket alone: nobody is left to send a signal. */
static void it_ends_with_the_program(void **state)
{
	struct mount_reader reader, other;
	int status;

	(void)state;
	assert_int_equal(mount_reader_start(&reader, "/"), 0);
	/* A later one must not hold the first one's socket. */
	assert_int_equal(mount_reader_start(&other, "/"), 0);
	close(reader.fd);
	reader.fd = -1;
	assert_int_equal(waitpid(reader.pid, &status, 0), reader.pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	reader.pid = 0;
	mount_reader_stop(&reader);
	mount_reader_stop(&other);
}

/* What is piped into another program ends when top does. */
static void it_holds_no_other_descriptor(void **state)
{
	struct mount_reader reader;
	struct pollfd end;
	int ends[2];

	(void)state;
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(mount_reader_start(&reader, "/"), 0);
	close(ends[1]);
	end = (struct pollfd){ .fd = ends[0], .events = POLLIN };
	assert_int_equal(poll(&end, 1, 30000), 1);
	assert_true(end.revents & POLLHUP);
	close(ends[0]);
	mount_reader_stop(&reader);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_part_that_is_asked_for_is_answered),
		cmocka_unit_test(it_can_be_asked_again_and_again),
		cmocka_unit_test(nothing_comes_unasked),
		cmocka_unit_test(a_dead_reader_is_noticed),
		cmocka_unit_test(it_ends_with_the_program),
		cmocka_unit_test(it_holds_no_other_descriptor),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
