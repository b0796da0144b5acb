// SPDX-License-Identifier: Apache-2.0
/*
 * Standard error is a pipe in packet mode (O_DIRECT) here: one read gives
 * exactly what one write wrote.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <regex.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "util/log.h"

struct place {
	char directory[64];
	char file[96];
	char moved[96];
	int start; /* the working directory the tests came from */
	int real_stderr;
	int pipe[2];
};

static int setup(void **state)
{
	static struct place place;

	strcpy(place.directory, "/tmp/log_test.XXXXXX");
	if (mkdtemp(place.directory) == NULL)
		return -1;
	snprintf(place.file, sizeof(place.file), "%s/log", place.directory);
	snprintf(place.moved, sizeof(place.moved), "%s/log.1",
		place.directory);
	place.start = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	place.real_stderr = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	if (pipe2(place.pipe, O_DIRECT | O_NONBLOCK | O_CLOEXEC) < 0)
		return -1;
	dup2(place.pipe[1], STDERR_FILENO);
	*state = &place;
	return 0;
}

static int teardown(void **state)
{
	struct place *place = *state;
	int error = 0;

	log_close();
	dup2(place->real_stderr, STDERR_FILENO);
	close(place->real_stderr);
	close(place->pipe[0]);
	close(place->pipe[1]);
	error = fchdir(place->start);
	close(place->start);
	unlink(place->file);
	unlink(place->moved);
	return rmdir(place->directory) < 0 ? -1 : error;
}

/* What the next write to standard error wrote, "" if there was none. */
static const char *written(struct place *place)
{
	static char line[8192];
	ssize_t length = read(place->pipe[0], line, sizeof(line) - 1);

	line[length < 0 ? 0 : length] = '\0';
	return line;
}

static char *content(const char *path)
{
	static char text[65536];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t length;

	assert_true(fd >= 0);
	length = read(fd, text, sizeof(text) - 1);
	close(fd);
	assert_true(length >= 0);
	text[length] = '\0';
	return text;
}

static void assert_matches(const char *text, const char *pattern)
{
	regex_t regex;
	int result;

	assert_int_equal(regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB),
		0);
	result = regexec(&regex, text, 0, NULL, 0);
	regfree(&regex);
	if (result != 0)
		fail_msg("\"%s\" does not match %s", text, pattern);
}

static void a_line_is_one_write_with_a_prefix(void **state)
{
	assert_int_equal(log_open("stderr", log_level_debug), 0);
	log_error("an %s", "error");
	log_warning("a warning");
	log_info("WRITE %d", 1000);
	log_debug("detail");
	assert_string_equal(written(*state), "msyncfs: error: an error\n");
	assert_string_equal(written(*state), "msyncfs: warning: a warning\n");
	assert_string_equal(written(*state), "msyncfs: WRITE 1000\n");
	assert_string_equal(written(*state), "msyncfs: debug: detail\n");
	assert_string_equal(written(*state), "");
}

static void before_it_is_opened_lines_go_to_stderr(void **state)
{
	log_info("early");
	log_debug("too much");
	assert_string_equal(written(*state), "msyncfs: early\n");
	assert_string_equal(written(*state), "");
}

static void levels_above_the_highest_are_left_out(void **state)
{
	assert_int_equal(log_open("stderr", log_level_warning), 0);
	log_info("info");
	log_debug("debug");
	log_warning("warning");
	assert_string_equal(written(*state), "msyncfs: warning: warning\n");
	assert_string_equal(written(*state), "");
}

static void a_line_stays_one_line(void **state)
{
	log_info("file 'a\nmsyncfs: error: forged\033[2J'");
	assert_string_equal(written(*state),
		"msyncfs: file 'a\\012msyncfs: error: forged\\033[2J'\n");
	log_info("a library ends it itself\n");
	assert_string_equal(written(*state),
		"msyncfs: a library ends it itself\n");
	log_info("%s", "");
	assert_string_equal(written(*state), "msyncfs: \n");
}

static void a_long_line_is_cut(void **state)
{
	char text[6000];
	const char *line;

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	log_error("%s", text);
	line = written(*state);
	assert_int_equal(strlen(line), 4096);
	assert_string_equal(line + 4096 - 5, "x...\n");
	assert_string_equal(written(*state), "");
}

static void errno_is_kept_and_may_be_printed(void **state)
{
	errno = ENOSPC;
	log_error("write: %m");
	assert_int_equal(errno, ENOSPC);
	assert_string_equal(written(*state),
		"msyncfs: error: write: No space left on device\n");
	/* Even if the line itself can't be written. */
	close(STDERR_FILENO);
	errno = ENOSPC;
	log_error("lost");
	assert_int_equal(errno, ENOSPC);
}

static void a_file_is_private_and_has_times(void **state)
{
	struct place *place = *state;
	struct stat status;
	char *text;

	umask(0);
	assert_int_equal(log_open(place->file, log_level_info), 0);
	umask(022);
	log_warning("low on space");
	assert_string_equal(written(place), "");
	assert_int_equal(stat(place->file, &status), 0);
	assert_int_equal(status.st_mode, S_IFREG | 0600);
	text = content(place->file);
	assert_matches(text, "^[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:"
		"[0-5][0-9]:[0-6][0-9]\\.[0-9]{3}[+-][0-9]{4} "
		"msyncfs\\[[0-9]+\\]: warning: low on space\n$");
}

static void a_file_is_appended_to(void **state)
{
	struct place *place = *state;

	assert_int_equal(log_open(place->file, log_level_info), 0);
	log_info("one");
	log_close();
	assert_int_equal(log_open(place->file, log_level_info), 0);
	log_info("two");
	assert_matches(content(place->file), "one\n.* two\n$");
}

static void a_file_s_descriptor_is_not_inherited(void **state)
{
	struct place *place = *state;
	struct stat file, status;
	int found = 0;

	assert_int_equal(log_open(place->file, log_level_info), 0);
	assert_int_equal(log_reopen(), 0);
	assert_int_equal(stat(place->file, &file), 0);
	for (int fd = 0; fd < 100; fd++) {
		if (fstat(fd, &status) < 0 || status.st_ino != file.st_ino ||
			status.st_dev != file.st_dev)
			continue;
		found++;
		assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
		assert_true(fcntl(fd, F_GETFL) & O_APPEND);
	}
	assert_int_equal(found, 1);
}

static void a_moved_file_is_followed_by_a_new_one(void **state)
{
	struct place *place = *state;

	assert_int_equal(log_open(place->file, log_level_info), 0);
	log_info("old");
	assert_int_equal(rename(place->file, place->moved), 0);
	log_info("still old");
	assert_int_equal(log_reopen(), 0);
	log_info("new");
	assert_matches(content(place->moved), " old\n.* still old\n$");
	assert_matches(content(place->file), "^[^ ]+ [^ ]+ new\n$");
}

static void a_reopen_that_fails_keeps_the_old_file(void **state)
{
	struct place *place = *state;

	assert_int_equal(log_open(place->file, log_level_info), 0);
	assert_int_equal(rename(place->file, place->moved), 0);
	assert_int_equal(mkdir(place->file, 0700), 0);
	assert_int_equal(log_reopen(), -EISDIR);
	assert_int_equal(rmdir(place->file), 0);
	log_info("kept");
	assert_matches(content(place->moved), " kept\n$");
}

static void stderr_and_syslog_need_no_reopening(void **state)
{
	(void)state;
	assert_int_equal(log_open("stderr", log_level_info), 0);
	assert_int_equal(log_reopen(), 0);
	assert_int_equal(log_open("syslog", log_level_info), 0);
	assert_int_equal(log_reopen(), 0);
}

static void a_relative_path_means_where_it_was_opened(void **state)
{
	struct place *place = *state;

	assert_int_equal(chdir(place->directory), 0);
	assert_int_equal(log_open("log", log_level_info), 0);
	assert_int_equal(chdir("/"), 0);
	assert_int_equal(unlink(place->file), 0);
	assert_int_equal(log_reopen(), 0);
	log_info("here");
	assert_matches(content(place->file), " here\n$");
}

static void a_target_that_fails_leaves_the_log_as_it_was(void **state)
{
	struct place *place = *state;
	char path[128];

	assert_int_equal(log_open(place->file, log_level_info), 0);
	snprintf(path, sizeof(path), "%s/missing/log", place->directory);
	assert_int_equal(log_open(path, log_level_info), -ENOENT);
	assert_int_equal(log_open(place->directory, log_level_info), -EISDIR);
	assert_int_equal(log_open("", log_level_info), -EINVAL);
	assert_int_equal(log_open(NULL, log_level_info), -EINVAL);
	log_info("still here");
	assert_matches(content(place->file), " still here\n$");
}

/* As in a daemon whose standard descriptors are closed. */
static void a_file_never_becomes_a_standard_descriptor(void **state)
{
	struct place *place = *state;
	int stdin_copy = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
	int opened;
	int standard;

	close(STDIN_FILENO);
	opened = log_open(place->file, log_level_info);
	standard = fcntl(STDIN_FILENO, F_GETFD);
	if (stdin_copy >= 0) {
		dup2(stdin_copy, STDIN_FILENO);
		close(stdin_copy);
	}
	assert_int_equal(opened, 0);
	assert_int_equal(standard, -1);
	log_info("high");
	assert_matches(content(place->file), " high\n$");
}

#define THREADS 8
#define LINES 200

static void *write_lines(void *argument)
{
	for (int i = 0; i < LINES; i++)
		log_info("thread %d line %d end", *(int *)argument, i);
	return NULL;
}

static void threads_lines_stay_whole(void **state)
{
	struct place *place = *state;
	pthread_t threads[THREADS];
	int numbers[THREADS];
	int seen[THREADS] = { 0 };
	FILE *file;
	char line[256];

	assert_int_equal(log_open(place->file, log_level_info), 0);
	for (int i = 0; i < THREADS; i++) {
		numbers[i] = i;
		assert_int_equal(pthread_create(&threads[i], NULL,
			write_lines, &numbers[i]), 0);
	}
	for (int i = 0; i < 20; i++)
		assert_int_equal(log_reopen(), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	file = fopen(place->file, "re");
	assert_non_null(file);
	while (fgets(line, sizeof(line), file) != NULL) {
		int thread, number, end = 0;

		assert_int_equal(sscanf(line,
			"%*s msyncfs[%*d]: thread %d line %d end%n", &thread,
			&number, &end), 2);
		assert_true(end > 0 && line[end] == '\n');
		assert_in_range(thread, 0, THREADS - 1);
		assert_int_equal(number, seen[thread]);
		seen[thread]++;
	}
	fclose(file);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(seen[i], LINES);
}

static void say_it(void)
{
	log_warning_once("no %s here", "passthrough");
}

static void a_warning_is_said_once(void **state)
{
	static atomic_bool said;

	say_it();
	say_it();
	assert_string_equal(written(*state),
		"msyncfs: warning: no passthrough here\n");
	assert_string_equal(written(*state), "");
	assert_true(log_once(&said));
	assert_false(log_once(&said));
}

/*
 * In a mount namespace of its own, with /dev hidden by an empty tmpfs.
 * 0, or the number of the step that failed.
 */
static int syslog_child(void)
{
	struct sockaddr_un address = { AF_UNIX, "/dev/log" };
	char line[8192];
	ssize_t length;
	int listener;
	int number;

	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		mount("none", "/dev", "tmpfs", 0, NULL) < 0)
		return 1;
	listener = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
		0);
	if (bind(listener, (struct sockaddr *)&address, sizeof(address)) < 0)
		return 2;
	if (log_open("syslog", log_level_info) != 0)
		return 3;
	log_error("a\nb %d", 5);
	log_debug("not this");
	length = recv(listener, line, sizeof(line) - 1, 0);
	if (length < 0)
		return 4;
	line[length] = '\0';
	/* 27: LOG_DAEMON and LOG_ERR. */
	if (sscanf(line, "<27>%*s %*d %*s msyncfs[%d]: error", &number) != 1 ||
		number != getpid())
		return 5;
	if (strstr(line, "]: error: a\\012b 5") == NULL)
		return 6;
	if (recv(listener, line, sizeof(line), 0) >= 0)
		return 7;
	log_close();
	return 0;
}

static void syslog_gets_level_and_process(void **state)
{
	int status = 0;
	pid_t child;

	(void)state;
	if (geteuid() != 0) {
		print_message("the next case needs root\n");
		skip();
	}
	child = fork();
	assert_true(child >= 0);
	if (child == 0)
		_exit(unshare(CLONE_NEWNS) < 0 ? 100 : syslog_child());
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

#define sentence(name) \
	cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		sentence(a_line_is_one_write_with_a_prefix),
		sentence(before_it_is_opened_lines_go_to_stderr),
		sentence(levels_above_the_highest_are_left_out),
		sentence(a_line_stays_one_line),
		sentence(a_long_line_is_cut),
		sentence(errno_is_kept_and_may_be_printed),
		sentence(a_file_is_private_and_has_times),
		sentence(a_file_is_appended_to),
		sentence(a_file_s_descriptor_is_not_inherited),
		sentence(a_moved_file_is_followed_by_a_new_one),
		sentence(a_reopen_that_fails_keeps_the_old_file),
		sentence(stderr_and_syslog_need_no_reopening),
		sentence(a_relative_path_means_where_it_was_opened),
		sentence(a_target_that_fails_leaves_the_log_as_it_was),
		sentence(a_file_never_becomes_a_standard_descriptor),
		sentence(threads_lines_stay_whole),
		sentence(a_warning_is_said_once),
		sentence(syslog_gets_level_and_process),
	};

	return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
