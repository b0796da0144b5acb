// SPDX-License-Identifier: Apache-2.0
/*
 * What is done with a store before it is mounted, and what is said of it.
 * What recovery does with each kind of journal is recover_test.c's.
 */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "recovery.h"
#include "store/claim.h"
#include "store/journal.h"
#include "store/recover_text.h"
#include "util/cleanup.h"
#include "util/log.h"

/* --- words --------------------------------------------------------------- */

static const char *words(struct recovery recovery)
{
	static char text[RECOVER_TEXT_MAX];

	return recover_summary(text, "recovered", &recovery);
}

static void what_was_recovered_is_told_in_words(void **state)
{
	(void)state;
	assert_string_equal(words((struct recovery){ 0 }), "");
	assert_string_equal(words((struct recovery){ .found = true }), "");
	assert_string_equal(words((struct recovery){
		.found = true, .transactions = 1, .changes = 1,
		.bytes = 4096 }),
		"recovered 1 commit: 1 change of files, 4 KiB");
	assert_string_equal(words((struct recovery){
		.found = true, .torn = true, .transactions = 3, .changes = 12,
		.bytes = 4718592, .missing = 2, .removals = 1 }),
		"recovered 3 commits: 12 changes of files, 4.5 MiB, "
		"1 name removed; 2 of them of files deleted since; "
		"one incomplete commit dropped");
	assert_string_equal(words((struct recovery){ .torn = true }),
		"one incomplete commit dropped");
}

static void the_longest_words_fit(void **state)
{
	struct recovery most = {
		.found = true,
		.torn = true,
		.transactions = UINT64_MAX,
		.changes = UINT64_MAX,
		.bytes = UINT64_MAX,
		.missing = UINT64_MAX,
		.removals = UINT64_MAX,
	};

	(void)state;
	assert_non_null(strstr(words(most), "incomplete commit dropped"));
}

/* --- the lock ------------------------------------------------------------ */

static int another(const struct place *place)
{
	return open(place->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static void a_store_is_kept_from_others(void **state)
{
	struct place *place = *state;
	owned_fd other = another(place);
	char error[256] = "";

	assert_int_equal(recovery_run(place->directory, place->fd, false,
		error, sizeof(error)), 0);
	assert_int_equal(flock(other, LOCK_EX | LOCK_NB), -1);
	assert_int_equal(errno, EWOULDBLOCK);
	/* As long as any copy of the descriptor is there. */
	assert_int_equal(flock(place->fd, LOCK_UN), 0);
	assert_int_equal(flock(other, LOCK_EX | LOCK_NB), 0);
}

static void *let_go_later(void *argument)
{
	const struct timespec while_ = { .tv_nsec = 200000000 };
	int *fd = argument;

	nanosleep(&while_, NULL);
	close(*fd);
	return NULL;
}

static void who_is_about_to_end_is_waited_for(void **state)
{
	struct place *place = *state;
	char error[256] = "";
	int other = another(place);
	pthread_t thread;

	assert_int_equal(flock(other, LOCK_EX | LOCK_NB), 0);
	assert_int_equal(pthread_create(&thread, NULL, let_go_later, &other),
		0);
	assert_int_equal(claim_store(place->fd, place->directory, error,
		sizeof(error)), 0);
	pthread_join(thread, NULL);
	assert_string_equal(error, "");
}

/* --- the journal --------------------------------------------------------- */

/* A commit of one page of the file "a", that the file has not got. */
static void leave_commit(struct place *place)
{
	static unsigned char bytes[JOURNAL_PAGE];
	struct journal_page page = { .page = 0, .data = bytes };
	struct journal_change change = {
		.path = "a",
		.size = 5,
		.pages = &page,
		.page_count = 1,
	};
	struct journal_transaction transaction = {
		.time_ns = 1,
		.changes = &change,
		.change_count = 1,
	};
	owned_fd fd = openat(place->fd, "a", O_RDONLY | O_CLOEXEC);
	struct journal *journal;
	char error[256] = "";

	memcpy(bytes, "after", 5);
	assert_int_equal(journal_identify(fd, &change.id), 0);
	assert_int_equal(journal_open(place->fd, JOURNAL_SIZE_MIN, &journal,
		error, sizeof(error)), 0);
	assert_int_equal(journal_append(journal, &transaction), 0);
	journal_close(journal, false);
}

static const char *logged(struct place *place)
{
	static char text[1024];
	owned_fd fd = openat(place->fd, "log", O_RDONLY | O_CLOEXEC);
	ssize_t length = read(fd, text, sizeof(text) - 1);

	text[length < 0 ? 0 : length] = '\0';
	return text;
}

static void run(struct place *place, bool discard)
{
	char error[256] = "", path[256];
	int r;

	snprintf(path, sizeof(path), "%s/log", place->directory);
	assert_int_equal(log_open(path, log_level_info), 0);
	r = recovery_run(place->directory, place->fd, discard, error,
		sizeof(error));
	log_close();
	if (r < 0)
		fail_msg("%s", error);
}

static void commits_are_carried_out_and_told(void **state)
{
	struct place *place = *state;

	make_file(place, "a", "before");
	leave_commit(place);
	assert_string_equal(stored(place, "a"), "before");
	run(place, false);
	assert_string_equal(stored(place, "a"), "after");
	assert_non_null(strstr(logged(place), place->directory));
	assert_non_null(strstr(logged(place),
		"recovered 1 commit: 1 change of files, 5 B"));
}

static void commits_are_thrown_away_on_request(void **state)
{
	struct place *place = *state;

	make_file(place, "a", "before");
	leave_commit(place);
	run(place, true);
	assert_string_equal(stored(place, "a"), "before");
	assert_non_null(strstr(logged(place), "thrown away"));
	assert_non_null(strstr(logged(place), "lost are 1 commit:"));
	assert_int_equal(faccessat(place->fd, JOURNAL_DIRECTORY, F_OK, 0), -1);
}

static void nothing_is_said_where_nothing_is_done(void **state)
{
	struct place *place = *state;

	run(place, false);
	run(place, true);
	assert_string_equal(logged(place), "");
}

static void a_journal_that_is_none_is_an_error(void **state)
{
	struct place *place = *state;
	char error[1024] = "";

	make_file(place, "a", "before");
	leave_commit(place);
	cut_file(place, JOURNAL_DIRECTORY "/" JOURNAL_NAME, 1000);
	assert_true(recovery_run(place->directory, place->fd, false, error,
		sizeof(error)) < 0);
	assert_non_null(strstr(error, place->directory));
	assert_non_null(strstr(error, "discard-journal"));
	assert_null(strchr(error, '\n'));
	assert_string_equal(stored(place, "a"), "before");
}

#define sentence(name)                                                         \
	cmocka_unit_test_setup_teardown(name, place_setup, place_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_recovered_is_told_in_words),
		cmocka_unit_test(the_longest_words_fit),
		sentence(a_store_is_kept_from_others),
		sentence(who_is_about_to_end_is_waited_for),
		sentence(commits_are_carried_out_and_told),
		sentence(commits_are_thrown_away_on_request),
		sentence(nothing_is_said_where_nothing_is_done),
		sentence(a_journal_that_is_none_is_an_error),
	};

	return cmocka_run_group_tests_name("recovery", tests, NULL, NULL);
}
