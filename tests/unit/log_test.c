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
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "util/log.h"
#include "util/log_socket.h"

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
	log_event(event_requests_lost, "an %s", "error");
	log_event(event_attribute_refused, "a warning");
	log_event(event_mounted, "mounted at %s", "/mnt");
	log_event(event_requests, "WRITE %d", 1000);
	log_debug("detail");
	assert_matches(written(*state), "^msyncfs: error: an error; the mount "
		"ends here; .* \\[requests-lost\\]\n$");
	assert_string_equal(written(*state), "msyncfs: warning: a warning; "
		"nothing was changed; see msyncfs-xattr(7) "
		"[attribute-refused]\n");
	assert_string_equal(written(*state),
		"msyncfs: mounted at /mnt [mounted]\n");
	assert_string_equal(written(*state), "msyncfs: WRITE 1000\n");
	assert_string_equal(written(*state), "msyncfs: debug: detail\n");
	assert_string_equal(written(*state), "");
}

static void before_it_is_opened_lines_go_to_stderr(void **state)
{
	log_event(event_requests, "early");
	log_debug("too much");
	assert_string_equal(written(*state), "msyncfs: early\n");
	assert_string_equal(written(*state), "");
}

static void levels_above_the_highest_are_left_out(void **state)
{
	assert_int_equal(log_open("stderr", log_level_warning), 0);
	log_event(event_mounted, "info");
	log_debug("debug");
	log_event(event_attribute_refused, "warning");
	assert_matches(written(*state), "^msyncfs: warning: warning; ");
	assert_string_equal(written(*state), "");
}

static void a_line_stays_one_line(void **state)
{
	log_event(event_requests, "file 'a\nmsyncfs: error: forged\033[2J'");
	assert_string_equal(written(*state),
		"msyncfs: file 'a\\012msyncfs: error: forged\\033[2J'\n");
	log_event(event_requests, "%s", "");
	assert_string_equal(written(*state), "msyncfs: \n");
}

static void a_long_line_keeps_advice_and_name(void **state)
{
	const char *end = "x...; nothing was changed; see msyncfs-xattr(7) "
			  "[attribute-refused]\n";
	char text[6000];
	const char *line;

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	log_event(event_attribute_refused, "%s", text);
	line = written(*state);
	assert_int_equal(strlen(line), 4096);
	assert_string_equal(line + 4096 - strlen(end), end);
	assert_string_equal(written(*state), "");
}

static void errno_is_kept_and_may_be_printed(void **state)
{
	errno = ENOSPC;
	log_event(event_attribute_refused, "write: %m");
	assert_int_equal(errno, ENOSPC);
	assert_matches(written(*state),
		"^msyncfs: warning: write: No space left on device; ");
	/* Even if the line itself can't be written. */
	close(STDERR_FILENO);
	errno = ENOSPC;
	log_event(event_attribute_refused, "lost");
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
	log_event(event_attribute_refused, "low on space");
	assert_string_equal(written(place), "");
	assert_int_equal(stat(place->file, &status), 0);
	assert_int_equal(status.st_mode, S_IFREG | 0600);
	text = content(place->file);
	assert_matches(text, "^[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:"
		"[0-5][0-9]:[0-6][0-9]\\.[0-9]{3}[+-][0-9]{4} "
		"msyncfs\\[[0-9]+\\]: warning: low on space; .* "
		"\\[attribute-refused\\]\n$");
}

static void a_file_is_appended_to(void **state)
{
	struct place *place = *state;

	assert_int_equal(log_open(place->file, log_level_info), 0);
	log_event(event_requests, "one");
	log_close();
	assert_int_equal(log_open(place->file, log_level_info), 0);
	log_event(event_requests, "two");
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
	log_event(event_requests, "old");
	assert_int_equal(rename(place->file, place->moved), 0);
	log_event(event_requests, "still old");
	assert_int_equal(log_reopen(), 0);
	log_event(event_requests, "new");
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
	log_event(event_requests, "kept");
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
	log_event(event_requests, "here");
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
	log_event(event_requests, "still here");
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
	log_event(event_requests, "high");
	assert_matches(content(place->file), " high\n$");
}

#define THREADS 8
#define LINES 200

static void *write_lines(void *argument)
{
	for (int i = 0; i < LINES; i++)
		log_event(event_requests, "thread %d line %d end",
			*(int *)argument, i);
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

static void what_does_not_change_is_said_once(void **state)
{
	struct place *place = *state;

	log_event(event_store_spans, "first");
	log_event(event_store_spans, "second");
	assert_matches(written(place), "^msyncfs: warning: first; .*\n$");
	assert_string_equal(written(place), "");
	/* Nor is it worth a word that it was met again. */
	log_close();
	assert_string_equal(written(place), "");
}

/* The numbers of "(37 more like this were left out)" and the like, added. */
static unsigned long long left_out_in(const char *text)
{
	unsigned long long count, sum = 0;
	const char *more = text;

	while ((more = strstr(more, " more like this ")) != NULL) {
		const char *digits = more;

		while (digits > text && digits[-1] >= '0' && digits[-1] <= '9')
			digits--;
		count = strtoull(digits, NULL, 10);
		assert_true(count > 0);
		sum += count;
		more++;
	}
	return sum;
}

static unsigned lines_with(const char *text, const char *word)
{
	unsigned count = 0;

	while ((text = strstr(text, word)) != NULL) {
		text++;
		count++;
	}
	return count;
}

static int64_t seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec;
}

/* However slow the machine is: none is lost, and few come through. */
static void a_flood_is_counted_to_the_last_line(void **state)
{
	struct place *place = *state;
	int64_t from = seconds();
	const char *text;
	unsigned said;

	assert_int_equal(log_open(place->file, log_level_info), 0);
	for (int i = 0; i < 1000; i++)
		log_event(event_lock_failed, "flood %d", i);
	log_close();
	text = content(place->file);
	said = lines_with(text, "warning: flood ");
	assert_in_range(said, 10, 10 + (seconds() - from) / 5 + 1);
	assert_int_equal(said + left_out_in(text), 1000);
	assert_matches(text, " msyncfs\\[[0-9]+\\]: warning: [0-9]+ more like "
		"this were left out \\[lock-failed\\]\n$");
}

static void other_events_pass_a_flood(void **state)
{
	struct place *place = *state;

	assert_int_equal(log_open(place->file, log_level_info), 0);
	for (int i = 0; i < 1000; i++)
		log_event(event_sync_failed, "flood %d", i);
	log_event(event_commit_failed, "another");
	assert_non_null(strstr(content(place->file), ": error: another; "));
}

static void *flood(void *argument)
{
	(void)argument;
	for (int i = 0; i < LINES; i++)
		log_event(event_policy_ignored, "flood");
	return NULL;
}

static void threads_together_have_one_limit(void **state)
{
	struct place *place = *state;
	int64_t from = seconds();
	pthread_t threads[THREADS];
	const char *text;
	unsigned said;

	assert_int_equal(log_open(place->file, log_level_info), 0);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, flood,
			NULL), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	log_close();
	text = content(place->file);
	said = lines_with(text, "warning: flood;");
	assert_in_range(said, 10, 10 + (seconds() - from) / 5 + 1);
	assert_int_equal(said + left_out_in(text), THREADS * LINES);
}

static void an_answer_comes_whole(void **state)
{
	struct place *place = *state;

	assert_int_equal(log_open(place->file, log_level_info), 0);
	for (int i = 0; i < 500; i++)
		log_event(event_requests, "READ %d", i);
	log_close();
	assert_int_equal(lines_with(content(place->file), ": READ "), 500);
}

/* A datagram socket at path, which is in an empty tmpfs, or -1. */
static int listen_at(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int listener = socket(AF_UNIX,
		SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	strcpy(address.sun_path, path);
	if (bind(listener, (struct sockaddr *)&address, sizeof(address)) < 0)
		return -1;
	return listener;
}

static const char *heard(int listener)
{
	static char line[16384];
	ssize_t length = recv(listener, line, sizeof(line) - 1, 0);

	line[length < 0 ? 0 : length] = '\0';
	return line;
}

/*
 * More lines than the socket takes, which nobody reads: no line waits, and
 * all are told of.
 */
static bool never_waits(const char *target, int listener, enum event event)
{
	unsigned said = 0, left_out = 0;
	const char *line;

	if (log_open(target, log_level_debug) != 0)
		return false;
	for (int i = 0; i < 20000; i++)
		log_debug("READ %d", i);
	for (int i = 0; i < 5; i++)
		log_event(event, "nobody reads");
	while (*(line = heard(listener)) != '\0')
		;
	log_event(event, "read again");
	while (*(line = heard(listener)) != '\0') {
		said += strstr(line, ": read again") != NULL;
		left_out += strstr(line, "(5 more like this were left out)") !=
			    NULL;
	}
	return said == 1 && left_out == 1;
}

static void *read_slowly(void *argument)
{
	const struct timespec pause = { .tv_nsec = 500000 };
	int listener = *(int *)argument;
	static unsigned got;

	/* It blocks: the last line ends it. */
	while (strstr(heard(listener), ": the end") == NULL) {
		got++;
		nanosleep(&pause, NULL);
	}
	return &got;
}

/* Many more lines than there is room for, and a reader who isn't quick. */
static bool answers_wait_a_little(int listener)
{
	pthread_t reader;
	void *got;

	if (fcntl(listener, F_SETFL, 0) < 0 ||
		pthread_create(&reader, NULL, read_slowly, &listener) != 0)
		return false;
	for (int i = 0; i < 1000; i++)
		log_event(event_requests, "READ %d", i);
	log_event(event_requests, "the end");
	pthread_join(reader, &got);
	return *(unsigned *)got == 1000 &&
	       fcntl(listener, F_SETFL, O_NONBLOCK) == 0;
}

/* With /dev hidden. 0, or the number of the step that failed. */
static int syslog_child(void)
{
	const char *line;
	int listener = listen_at("/dev/log");
	int number;

	if (listener < 0)
		return 1;
	if (log_open("syslog", log_level_info) != 0)
		return 2;
	log_event(event_commit_failed, "a\nb %d", 5);
	log_debug("not this");
	line = heard(listener);
	/* 27: LOG_DAEMON and LOG_ERR. */
	if (sscanf(line, "<27>%*3[A-Z a-z] %*d %*d:%*d:%*d msyncfs[%d]: error",
		    &number) != 1 || number != getpid())
		return 3;
	if (strstr(line, "]: error: a\\012b 5; nothing is lost") == NULL ||
		strstr(line, " [commit-failed]") == NULL)
		return 4;
	if (*heard(listener) != '\0')
		return 5;
	if (!never_waits("syslog", listener, event_checkpoint_failed))
		return 6;
	if (!answers_wait_a_little(listener))
		return 8;
	/* Started anew: another socket by the same name. */
	close(listener);
	unlink("/dev/log");
	log_event(event_requests, "nobody is there");
	listener = listen_at("/dev/log");
	log_event(event_requests, "somebody is");
	if (strstr(heard(listener), "]: somebody is") == NULL)
		return 7;
	log_close();
	return 0;
}

/* One that takes nothing but streams gets its lines as well. */
static int syslog_stream_child(void)
{
	struct sockaddr_un address = { AF_UNIX, "/dev/log" };
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int client;

	if (bind(listener, (struct sockaddr *)&address, sizeof(address)) < 0 ||
		listen(listener, 5) < 0 ||
		log_open("syslog", log_level_info) != 0)
		return 1;
	log_event(event_commit_failed, "by stream");
	client = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (client < 0)
		return 2;
	return strstr(heard(client), "]: error: by stream; ") == NULL ? 3 : 0;
}

static bool has_line(const char *message, const char *line)
{
	size_t length = strlen(line);
	const char *found;

	for (found = strstr(message, line); found != NULL;
		found = strstr(found + 1, line)) {
		if ((found == message || found[-1] == '\n') &&
			found[length] == '\n')
			return true;
	}
	return false;
}

/* With /run hidden. */
static int journal_child(void)
{
	const char *message;
	int listener;

	if (log_open("journal", log_level_info) != -ENOENT)
		return 1;
	if (mkdir("/run/systemd", 0755) < 0 ||
		mkdir("/run/systemd/journal", 0755) < 0)
		return 2;
	listener = listen_at("/run/systemd/journal/socket");
	if (listener < 0 || log_open("journal", log_level_debug) != 0)
		return 3;
	log_set_mount("/srv/a\nPRIORITY=7", "/mnt");
	log_event(event_attribute_refused, "a\nb %d", 5);
	message = heard(listener);
	if (!has_line(message, "MESSAGE=warning: a\\012b 5; nothing was "
		"changed; see msyncfs-xattr(7) [attribute-refused]"))
		return 4;
	if (!has_line(message, "PRIORITY=4") ||
		!has_line(message, "SYSLOG_IDENTIFIER=msyncfs") ||
		!has_line(message, "SYSLOG_FACILITY=3") ||
		!has_line(message, "MSYNCFS_EVENT=attribute-refused") ||
		!has_line(message, "MSYNCFS_ADVICE=nothing was changed; see "
			"msyncfs-xattr(7)") ||
		!has_line(message, "MSYNCFS_STORE=/srv/a\\012PRIORITY=7") ||
		!has_line(message, "MSYNCFS_MOUNTPOINT=/mnt") ||
		lines_with(message, "PRIORITY=") != 2 ||
		strstr(message, "LEFT_OUT") != NULL)
		return 5;
	log_debug("free text");
	message = heard(listener);
	if (!has_line(message, "MESSAGE=debug: free text") ||
		!has_line(message, "PRIORITY=7") ||
		strstr(message, "MSYNCFS_EVENT") != NULL)
		return 6;
	if (!never_waits("journal", listener, event_checkpoint_failed))
		return 7;
	for (int i = 0; i < 1000; i++)
		log_event(event_staging_refused, "flood");
	while (*heard(listener) != '\0')
		;
	log_close();
	while (*(message = heard(listener)) != '\0') {
		if (has_line(message, "MSYNCFS_EVENT=staging-refused"))
			return strstr(message, "\nMSYNCFS_LEFT_OUT=") ? 0 : 8;
	}
	return 9;
}

/* Standard error is the pipe of the test here. */
static int journal_stream_child(void)
{
	struct stat status;
	char stream[64];
	int listener;

	if (fstat(STDERR_FILENO, &status) < 0)
		return 1;
	snprintf(stream, sizeof(stream), "%ju:%ju", (uintmax_t)status.st_dev,
		(uintmax_t)status.st_ino);
	setenv("JOURNAL_STREAM", stream, 1);
	if (log_socket_stderr_is_journal())
		return 2;
	if (mkdir("/run/systemd", 0755) < 0 ||
		mkdir("/run/systemd/journal", 0755) < 0)
		return 3;
	listener = listen_at("/run/systemd/journal/socket");
	if (listener < 0 || !log_socket_stderr_is_journal())
		return 4;
	strcat(stream, "0");
	setenv("JOURNAL_STREAM", stream, 1);
	if (log_socket_stderr_is_journal())
		return 5;
	setenv("JOURNAL_STREAM", "something", 1);
	if (log_socket_stderr_is_journal())
		return 6;
	unsetenv("JOURNAL_STREAM");
	return log_socket_stderr_is_journal() ? 7 : 0;
}

/* In a mount namespace of its own, with an empty tmpfs at a directory. */
static void succeeds_with_hidden(const char *directory, int (*child)(void))
{
	int status = 0;
	pid_t pid;

	if (geteuid() != 0) {
		print_message("the next case needs root\n");
		skip();
	}
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		if (unshare(CLONE_NEWNS) < 0 ||
			mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
			mount("none", directory, "tmpfs", 0, NULL) < 0)
			_exit(100);
		/* Of one that waits for ever. */
		alarm(120);
		_exit(child());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void syslog_gets_level_and_process(void **state)
{
	(void)state;
	succeeds_with_hidden("/dev", syslog_child);
}

static void syslog_may_be_a_stream(void **state)
{
	(void)state;
	succeeds_with_hidden("/dev", syslog_stream_child);
}

static void the_journal_gets_fields(void **state)
{
	(void)state;
	succeeds_with_hidden("/run", journal_child);
}

static void stderr_is_known_for_the_journal(void **state)
{
	(void)state;
	succeeds_with_hidden("/run", journal_stream_child);
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
		sentence(a_long_line_keeps_advice_and_name),
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
		sentence(what_does_not_change_is_said_once),
		sentence(a_flood_is_counted_to_the_last_line),
		sentence(other_events_pass_a_flood),
		sentence(threads_together_have_one_limit),
		sentence(an_answer_comes_whole),
		sentence(syslog_gets_level_and_process),
		sentence(syslog_may_be_a_stream),
		sentence(the_journal_gets_fields),
		sentence(stderr_is_known_for_the_journal),
	};

	return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
