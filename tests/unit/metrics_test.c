// SPDX-License-Identifier: Apache-2.0
/*
 * The text for Prometheus, read by tests/lib/prometheus_check.py: whatever has
 * been counted and whatever the paths are, it is valid, and the attribute's
 * stays below its limit.
 */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "control/exposition.h"
#include "control/metrics.h"
#include "fuse/counters.h"
#include "fuse/wire.h"
#include "util/cleanup.h"

#define LONG_NAME 250
/* Operations, the last of which is POLL. */
#define SEEN 40

static struct operation_counts operations[WIRE_OPCODES];

struct text {
	char *text;
	size_t length;
};

static void text_free(struct text *text)
{
	free(text->text);
}

#define owned_text __attribute__((cleanup(text_free))) struct text

static void write_to(struct text *text, struct filesystem *fs,
		     int (*what)(struct filesystem *fs, FILE *out))
{
	FILE *out = open_memstream(&text->text, &text->length);

	assert_non_null(out);
	assert_int_equal(what(fs, out), 0);
	assert_int_equal(fclose(out), 0);
}

/* Fails with what the checker says. */
static void assert_valid(const struct text *text)
{
	FILE *checker = popen("python3 '" PROMETHEUS_CHECK "' -", "w");

	assert_non_null(checker);
	assert_int_equal(fwrite(text->text, 1, text->length, checker),
		text->length);
	assert_int_equal(pclose(checker), 0);
}

static unsigned count_of(const struct text *text, const char *what)
{
	unsigned count = 0;

	for (const char *at = strstr(text->text, what); at;
	     at = strstr(at + 1, what))
		count++;
	return count;
}

static void with_operations(struct filesystem *fs, const char *mountpoint)
{
	memset(operations, 0, sizeof(operations));
	fs->clients.operations = operations;
	fs->clients.operation_count = WIRE_OPCODES;
	fs->clients.operation_name = counters_name;
	fs->clients.mountpoint = mountpoint;
}

static void a_mount_that_did_nothing_has_valid_metrics(void **state)
{
	struct place *place = *state;
	owned_text all = { 0 };
	owned_text attribute = { 0 };

	with_operations(&place->fs, "/mnt");
	write_to(&all, &place->fs, metrics_write);
	assert_valid(&all);
	write_to(&attribute, &place->fs, metrics_write_attribute);
	assert_valid(&attribute);
	/* Operations that were never seen are left out. */
	assert_int_equal(count_of(&all, "operation="), 0);
	assert_int_equal(count_of(&all, "msyncfs_commit_age_seconds"), 0);
	assert_int_equal(count_of(&all, "msyncfs_lock_limit_bytes{"), 1);
}

static void a_session_is_not_needed(void **state)
{
	struct place *place = *state;
	owned_text all = { 0 };

	write_to(&all, &place->fs, metrics_write);
	assert_valid(&all);
	assert_true(count_of(&all, ",mountpoint=\"\"}") > 50);
}

static void requests_are_told_by_operation(void **state)
{
	struct place *place = *state;
	owned_text all = { 0 };

	with_operations(&place->fs, "/mnt");
	operations[15].requests = 3;
	histogram_add(&operations[15].took, 1024);
	histogram_add(&operations[15].took, 1023);
	histogram_add(&operations[15].took, INT64_C(2000000000));
	operations[1].requests = 2;
	operations[1].errors[ENOENT] = 2;
	operations[0].requests = 1;
	write_to(&all, &place->fs, metrics_write);
	assert_valid(&all);
#define READ ",mountpoint=\"/mnt\",operation=\"read\""
	assert_int_equal(count_of(&all, READ "} 3\n"), 2);
	assert_int_equal(count_of(&all, READ ",le=\"0.000001024\"} 1\n"), 1);
	assert_int_equal(count_of(&all, READ ",le=\"0.000004096\"} 2\n"), 1);
	assert_int_equal(count_of(&all, READ ",le=\"1.073741824\"} 2\n"), 1);
	assert_int_equal(count_of(&all, READ ",le=\"4.294967296\"} 3\n"), 1);
	assert_int_equal(count_of(&all, READ ",le=\"+Inf\"} 3\n"), 1);
	assert_int_equal(count_of(&all, READ "} 2.000002047\n"), 1);
	assert_int_equal(count_of(&all, "operation=\"lookup\",errno="
					"\"ENOENT\"} 2\n"), 1);
	assert_int_equal(count_of(&all, "operation=\"0\"} 1\n"), 1);
}

static const char *valued(const char *value, size_t most)
{
	static char text[EXPOSITION_VALUE_MAX];

	return exposition_value(text, value, most);
}

static void values_of_labels_are_escaped(void **state)
{
	(void)state;
	assert_string_equal(valued("a\\b\"c\nd\te", 100),
		"a\\\\b\\\"c\\nd\te");
	assert_string_equal(valued("", 100), "");
	/* All lengths of UTF-8, and what only looks like it. */
	assert_string_equal(valued("\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", 99),
		"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80");
#define BAD "\xef\xbf\xbd"
	assert_string_equal(valued("\xc3", 9), BAD);
	assert_string_equal(valued("\xc0\xaf", 9), BAD BAD);
	assert_string_equal(valued("\xed\xa0\x80", 9), BAD BAD BAD);
	assert_string_equal(valued("\xf4\x90\x80\x80", 9), BAD BAD BAD BAD);
	assert_string_equal(valued("\xe2\x82", 9), BAD BAD);
	/* Of a long one the end, from the next whole character on. */
	assert_string_equal(valued("/srv/store", 5), "...store");
	assert_string_equal(valued("a\xe2\x82\xac" "b", 3), "...b");
}

/* A store as deep down as a path may be. */
static int deep_directory(const char *name)
{
	int fd = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	for (unsigned i = 0; i < 15; i++) {
		int below;

		assert_int_equal(mkdirat(fd, name, 0755), 0);
		below = openat(fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		assert_true(below >= 0);
		close(fd);
		fd = below;
	}
	return fd;
}

/* The longest paths and numbers, every operation, many errors. */
static void fill(struct filesystem *fs)
{
	_Atomic uint64_t *counters = (_Atomic uint64_t *)&fs->counters;

	for (size_t i = 0;
	     i < offsetof(struct counters, sync_time) / sizeof(*counters); i++)
		counters[i] = UINT64_MAX - i;
	for (unsigned i = 0; i < WIRE_OPCODES; i++) {
		operations[i].requests = UINT64_MAX - i;
		for (unsigned j = 0; j < HISTOGRAM_BUCKETS; j++)
			operations[i].took.buckets[j] = UINT64_C(1) << 54;
		operations[i].took.count = UINT64_MAX;
		operations[i].took.sum = INT64_MAX - i;
		for (unsigned j = 0; j < COUNTERS_ERRNO_MAX; j += 11)
			operations[i].errors[j] = UINT64_MAX;
	}
	fs->counters.sync_time = operations[0].took;
	fs->counters.fsync_time = operations[0].took;
	fs->counters.commit_took = operations[0].took;
	fs->counters.commit_pause = operations[0].took;
	fs->counters.commit_journal = operations[0].took;
}

static void assert_attribute_fits(const char *name)
{
	struct filesystem_settings settings = { .attr_timeout = 1 };
	char mountpoint[4096] = "";
	struct filesystem *fs = calloc(1, sizeof(*fs));
	owned_text attribute = { 0 };

	for (unsigned i = 0; i < 15; i++) {
		strcat(mountpoint, "/");
		strcat(mountpoint, name);
	}
	assert_int_equal(filesystem_init(fs, deep_directory(name), 1024,
					 &settings), 0);
	with_operations(fs, mountpoint);
	fill(fs);
	write_to(&attribute, fs, metrics_write_attribute);
	filesystem_fini(fs);
	free(fs);
	assert_true(attribute.length <= METRICS_ATTRIBUTE_MAX);
	assert_valid(&attribute);
}

static void the_attribute_stays_below_64_kib_in_every_case(void **state)
{
	static const char bytes[] = { 'x', '"', '\n', '\xff' };
	struct place *place = *state;
	char name[LONG_NAME + 1] = "";
	int before = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_int_equal(fchdir(place->fd), 0);
	for (size_t i = 0; i < sizeof(bytes); i++) {
		memset(name, bytes[i], LONG_NAME);
		assert_attribute_fits(name);
	}
	assert_int_equal(fchdir(before), 0);
	close(before);
}

static void a_file_has_everything(void **state)
{
	struct place *place = *state;
	owned_text all = { 0 };

	with_operations(&place->fs, "/mnt");
	fill(&place->fs);
	write_to(&all, &place->fs, metrics_write);
	assert_true(all.length > METRICS_ATTRIBUTE_MAX);
	assert_valid(&all);
	assert_int_equal(count_of(&all, "msyncfs_request_seconds_bucket{"),
		15 * WIRE_OPCODES);
}

/* What took the most time keeps its buckets longest. */
static void the_costly_operations_keep_their_buckets(void **state)
{
	struct place *place = *state;
	owned_text attribute = { 0 };

	with_operations(&place->fs, "/a/mountpoint/with/a/name");
	for (unsigned i = 1; i <= SEEN; i++) {
		operations[i].requests = 1000 - i;
		histogram_add(&operations[i].took, 1000000 + i);
	}
	write_to(&attribute, &place->fs, metrics_write_attribute);
	assert_valid(&attribute);
	assert_true(attribute.length <= METRICS_ATTRIBUTE_MAX);
	/* The last was the slowest; 1 has no more than every histogram. */
	assert_int_equal(count_of(&attribute, "operation=\"link\",le="), 1);
	assert_int_equal(count_of(&attribute, "operation=\"poll\",le="), 15);
	assert_int_equal(count_of(&attribute, "operation=\"lookup\",le="), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define test(name) \
	cmocka_unit_test_setup_teardown(name, place_setup_filesystem, \
		place_teardown)
		test(a_mount_that_did_nothing_has_valid_metrics),
		test(a_session_is_not_needed),
		test(requests_are_told_by_operation),
		test(values_of_labels_are_escaped),
		test(the_attribute_stays_below_64_kib_in_every_case),
		test(a_file_has_everything),
		test(the_costly_operations_keep_their_buckets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
