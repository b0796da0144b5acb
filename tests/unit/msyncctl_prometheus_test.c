// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "msyncctl/prometheus.h"

#define INFO_HEAD "# HELP msyncfs_info what\n# TYPE msyncfs_info gauge\n"
#define OPEN_HEAD "# HELP msyncfs_open files\n# TYPE msyncfs_open gauge\n"
#define INFO(mount) "msyncfs_info{mountpoint=\"" mount "\"} 1\n"
#define OPEN(mount, n) "msyncfs_open{mountpoint=\"" mount "\"} " n "\n"
#define MOUNT(mount, n) \
	INFO_HEAD INFO(mount) OPEN_HEAD OPEN(mount, n)

static void expect(const char *const *texts, size_t count,
	const char *expected)
{
	struct prometheus all = { 0 };
	char *printed = NULL;
	size_t length = 0;
	FILE *out = open_memstream(&printed, &length);

	assert_non_null(out);
	for (size_t i = 0; i < count; i++)
		prometheus_add(&all, texts[i]);
	prometheus_print(&all, out);
	assert_int_equal(fclose(out), 0);
	assert_string_equal(printed, expected);
	free(printed);
	prometheus_fini(&all);
	assert_int_equal(all.count, 0);
}

static void one_mount_s_text_stays_as_it_is(void **state)
{
	const char *const texts[] = { MOUNT("/a", "1") };

	(void)state;
	expect(texts, 1, MOUNT("/a", "1"));
	expect(texts, 0, "");
}

static void a_metric_s_samples_of_all_mounts_stand_together(void **state)
{
	const char *const texts[] = { MOUNT("/a", "1"), MOUNT("/b", "2") };

	(void)state;
	expect(texts, 2, INFO_HEAD INFO("/a") INFO("/b") OPEN_HEAD
		OPEN("/a", "1") OPEN("/b", "2"));
}

static void a_mount_that_comes_again_is_left_out(void **state)
{
	const char *const texts[] = { MOUNT("/a", "1"), MOUNT("/b", "2"),
		MOUNT("/a", "3"), MOUNT("/b", "4") };

	(void)state;
	expect(texts, 4, INFO_HEAD INFO("/a") INFO("/b") OPEN_HEAD
		OPEN("/a", "1") OPEN("/b", "2"));
}

/* A daemon of another version may have more, or words of its own. */
static void metrics_that_only_one_mount_has_are_kept(void **state)
{
#define NEW_HEAD "# HELP msyncfs_new x\n# TYPE msyncfs_new counter\n"
#define NEW NEW_HEAD "msyncfs_new{} 7\n"
	const char *const texts[] = {
		MOUNT("/a", "1"),
		INFO_HEAD INFO("/b") NEW "# HELP msyncfs_open other words\n"
		"# TYPE msyncfs_open gauge\n" OPEN("/b", "2"),
	};

	(void)state;
	expect(texts, 2, INFO_HEAD INFO("/a") INFO("/b") OPEN_HEAD
		OPEN("/a", "1") OPEN("/b", "2") NEW);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_mount_s_text_stays_as_it_is),
		cmocka_unit_test(
			a_metric_s_samples_of_all_mounts_stand_together),
		cmocka_unit_test(a_mount_that_comes_again_is_left_out),
		cmocka_unit_test(metrics_that_only_one_mount_has_are_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
