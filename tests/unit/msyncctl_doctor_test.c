// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "msyncctl/doctor_mount.h"

/* --- the machine --------------------------------------------------------- */

static struct machine good_machine(void)
{
	struct machine machine = {
		.root = true,
		.sys_admin = true,
		.ipc_lock = true,
		.passthrough_built = fact_unknown,
		.advice_cold = true,
		.advice_populate = true,
		.advice_collapse = true,
		.has_fusermount = true,
		.fusermount_suid = true,
		.user_allow_other = true,
		.memlock = 8 << 20,
		.nofile = 1 << 20,
		.max_map_count = 65530,
		.dirty_expire = 30000,
		.dirty_writeback = 5000,
		.thp = "madvise",
		.shmem_thp = "never",
	};

	version_parse(&machine.kernel, "6.9.0");
	version_parse(&machine.fusermount, "3.14.0");
	return machine;
}

/* The one finding that is not ok, or NULL; it has to be complete. */
static const struct finding *only_complaint(const struct findings *findings)
{
	const struct finding *found = NULL;

	for (size_t i = 0; i < findings->count; i++) {
		const struct finding *finding = &findings->list[i];

		assert_non_null(finding->text);
		if (finding->level == finding_ok) {
			assert_null(finding->cost);
			assert_null(finding->get);
			continue;
		}
		if (found)
			fail_msg("%s and %s", found->name, finding->name);
		assert_non_null(finding->cost);
		assert_non_null(finding->get);
		found = finding;
	}
	return found;
}

static void expect_complaint(const struct machine *machine,
	enum finding_level level, const char *name, const char *get)
{
	struct findings findings = { 0 };
	const struct finding *finding;

	machine_judge(machine, &findings);
	finding = only_complaint(&findings);
	assert_non_null(finding);
	assert_string_equal(finding->name, name);
	assert_int_equal(finding->level, level);
	if (!strstr(finding->get, get))
		fail_msg("'%s' lacks '%s'", finding->get, get);
	findings_free(&findings);
}

static void a_good_machine_has_no_complaint(void **state)
{
	struct machine machine = good_machine();
	struct findings findings = { 0 };

	(void)state;
	machine_judge(&machine, &findings);
	assert_null(only_complaint(&findings));
	assert_int_equal(findings_worst(&findings), finding_ok);
	assert_true(findings.count > 8);
	findings_free(&findings);
}

static void what_the_kernel_lacks_is_told_with_its_version(void **state)
{
	struct machine machine = good_machine();

	(void)state;
	version_parse(&machine.kernel, "6.8.12-amd64");
	expect_complaint(&machine, finding_costs, "passthrough", "6.9");
	machine = good_machine();
	machine.passthrough_built = fact_no;
	expect_complaint(&machine, finding_costs, "passthrough",
		"CONFIG_FUSE_PASSTHROUGH");
	machine = good_machine();
	machine.sys_admin = false;
	expect_complaint(&machine, finding_costs, "passthrough", "container");
	machine = good_machine();
	machine.cachestat = EPERM;
	expect_complaint(&machine, finding_costs, "cachestat", "451");
	machine = good_machine();
	machine.advice_collapse = false;
	expect_complaint(&machine, finding_costs, "madvise", "6.1");
	machine.advice_populate = false;
	expect_complaint(&machine, finding_costs, "madvise", "5.14");
	machine.advice_cold = false;
	expect_complaint(&machine, finding_costs, "madvise", "5.4");
}

static void cachestat_needs_a_newer_kernel_first(void **state)
{
	struct machine machine = good_machine();
	struct findings findings = { 0 };
	bool found = false;

	(void)state;
	version_parse(&machine.kernel, "6.1.0");
	machine.cachestat = ENOSYS;
	machine_judge(&machine, &findings);
	for (size_t i = 0; i < findings.count; i++) {
		if (strcmp(findings.list[i].name, "cachestat") == 0)
			found = strstr(findings.list[i].get, "6.5") &&
				!strstr(findings.list[i].cost, "kernel path");
	}
	assert_true(found);
	findings_free(&findings);
}

static void the_device_is_needed(void **state)
{
	struct machine machine = good_machine();

	(void)state;
	machine.device = ENOENT;
	expect_complaint(&machine, finding_missing, "device", "modprobe");
	machine.device = EACCES;
	expect_complaint(&machine, finding_missing, "device", "allow");
}

static void fusermount3_matters_more_to_plain_users(void **state)
{
	struct machine machine = good_machine();

	(void)state;
	machine.has_fusermount = false;
	expect_complaint(&machine, finding_costs, "fusermount3", "fuse3");
	machine = good_machine();
	machine.fusermount_suid = false;
	machine.root = true;
	{
		struct findings findings = { 0 };

		machine_judge(&machine, &findings);
		assert_null(only_complaint(&findings));
		findings_free(&findings);
	}
	machine.root = false;
	expect_complaint(&machine, finding_missing, "fusermount3", "u+s");
	machine = good_machine();
	version_parse(&machine.fusermount, "3.10.5");
	expect_complaint(&machine, finding_costs, "libfuse", "3.14");
	version_parse(&machine.fusermount, "3.9.0");
	expect_complaint(&machine, finding_missing, "libfuse", "3.14");
}

static void limits_are_told_where_they_bind(void **state)
{
	struct machine machine = good_machine();

	(void)state;
	machine.ipc_lock = false;
	expect_complaint(&machine, finding_costs, "lock", "limits.conf");
	machine = good_machine();
	machine.nofile = 1024;
	expect_complaint(&machine, finding_costs, "files", "nofile");
	machine = good_machine();
	machine.max_map_count = 1000;
	expect_complaint(&machine, finding_costs, "mappings",
		"vm.max_map_count=65530");
	machine = good_machine();
	machine.dirty_writeback = 0;
	expect_complaint(&machine, finding_costs, "writeback", "every=");
	machine = good_machine();
	machine.dirty_expire = 600000;
	expect_complaint(&machine, finding_costs, "writeback", "every=");
	machine = good_machine();
	strcpy(machine.thp, "never");
	expect_complaint(&machine, finding_costs, "hugepages", "madvise");
	machine = good_machine();
	strcpy(machine.shmem_thp, "deny");
	expect_complaint(&machine, finding_costs, "hugepages", "shmem");
	machine = good_machine();
	machine.root = false;
	machine.user_allow_other = false;
	expect_complaint(&machine, finding_costs, "allow_other", "fuse.conf");
}

static void versions_are_compared_as_numbers(void **state)
{
	struct version version;

	(void)state;
	assert_true(version_parse(&version, "6.18.44-fc\n"));
	assert_string_equal(version.text, "6.18.44-fc");
	assert_true(version_is_least(&version, 6, 9));
	assert_true(version_is_least(&version, 6, 18));
	assert_true(version_is_least(&version, 5, 20));
	assert_false(version_is_least(&version, 6, 19));
	assert_false(version_is_least(&version, 7, 0));
	assert_false(version_parse(&version, "new"));
	assert_string_equal(version.text, "");
	assert_false(version_is_least(&version, 0, 1));
}

/* --- files of a machine -------------------------------------------------- */

static void put(const char *root, const char *name, const char *text)
{
	char path[512];
	FILE *file;

	snprintf(path, sizeof(path), "%s%s", root, name);
	for (char *slash = path + strlen(root) + 1;
		(slash = strchr(slash, '/')) != NULL; slash++) {
		*slash = '\0';
		mkdir(path, 0755);
		*slash = '/';
	}
	file = fopen(path, "w");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static int make_root(void **state)
{
	const char *base = getenv("TMPDIR");
	char *root;

	if (asprintf(&root, "%s/doctor.XXXXXX", base ? base : "/tmp") < 0)
		return -1;
	*state = root;
	return mkdtemp(root) ? 0 : -1;
}

static int drop_root(void **state)
{
	char *root = *state;
	char command[512];
	int status;

	snprintf(command, sizeof(command), "rm -rf '%s'", root);
	status = system(command);
	free(root);
	return status;
}

static void files_of_the_machine_are_read(void **state)
{
	const char *root = *state;
	struct machine machine;
	char path[512];

	put(root, "/proc/sys/vm/max_map_count", "65530\n");
	put(root, "/proc/sys/vm/dirty_expire_centisecs", "3000\n");
	put(root, "/proc/sys/vm/dirty_writeback_centisecs", "500\n");
	put(root, "/proc/self/status",
		"Name:\tx\nCapPrm:\t0000000000000000\n"
		"CapEff:\t0000000000200000\n");
	put(root, "/sys/kernel/mm/transparent_hugepage/enabled",
		"always [madvise] never\n");
	put(root, "/sys/kernel/mm/transparent_hugepage/shmem_enabled",
		"always within_size advise never [deny] force\n");
	put(root, "/etc/fuse.conf", "#user_allow_other\n mount_max = 9\n"
				    "  user_allow_other # yes\n");
	put(root, "/bin/fusermount3",
		"#!/bin/sh\necho fusermount3 version: 3.11.2\n");
	snprintf(path, sizeof(path), "%s/bin/fusermount3", root);
	assert_int_equal(chmod(path, 0755), 0);
	snprintf(path, sizeof(path), "/nonexistent::%s/bin", root);
	machine_look(&machine, root, path);
	assert_int_equal(machine.max_map_count, 65530);
	assert_int_equal(machine.dirty_expire, 30000);
	assert_int_equal(machine.dirty_writeback, 5000);
	assert_true(machine.sys_admin);
	assert_false(machine.ipc_lock);
	assert_string_equal(machine.thp, "madvise");
	assert_string_equal(machine.shmem_thp, "deny");
	assert_true(machine.user_allow_other);
	assert_true(machine.has_fusermount);
	assert_false(machine.fusermount_suid);
	assert_string_equal(machine.fusermount.text, "3.11.2");
	assert_int_equal(machine.device, ENOENT);
	assert_true(machine.kernel.major > 0);
}

static void missing_files_are_unknown(void **state)
{
	const char *root = *state;
	struct findings findings = { 0 };
	struct machine machine;

	put(root, "/etc/fuse.conf", "#user_allow_other\n"
				    "user_allow_others\n");
	machine_look(&machine, root, "relative:/nonexistent");
	assert_int_equal(machine.max_map_count, MACHINE_UNKNOWN);
	assert_int_equal(machine.dirty_expire, MACHINE_UNKNOWN);
	assert_int_equal(machine.passthrough_built, fact_unknown);
	assert_false(machine.sys_admin);
	assert_false(machine.user_allow_other);
	assert_false(machine.has_fusermount);
	assert_string_equal(machine.thp, "");
	/* And nothing is said of what is not known. */
	machine_judge(&machine, &findings);
	for (size_t i = 0; i < findings.count; i++) {
		assert_string_not_equal(findings.list[i].name, "writeback");
		assert_string_not_equal(findings.list[i].name, "mappings");
	}
	findings_free(&findings);
}

/* --- mounts -------------------------------------------------------------- */

#define STATS                                                                  \
	"version=0.1.0\nlibfuse=3.14.0\npassthrough=yes\ncachestat=yes\n"      \
	"killpriv=yes\nuptime=5000000000\nstore=/srv/x\nmappings=5\n"          \
	"mappings.limit=60000\nlocked=0\nlock.limit=unlimited\n"
#define STATUS "type=directory\ndata=auto\nsync=strict\npolicies=store\n"

struct told {
	const char *stats, *status, *open;
	int error, stats_error, store_error;
};

static void judge(const struct told *told, struct findings *findings)
{
	struct machine machine = good_machine();
	struct reading root = {
		.error[reading_stats] = told->stats_error,
		.text[reading_stats] = (char *)(told->stats_error ? NULL :
			told->stats ? told->stats : STATS),
		.text[reading_status] = (char *)(told->status ? told->status :
								STATUS),
	};
	struct reading store = {
		.text[reading_store] = (char *)"type=ext4\n",
		.text[reading_open] = (char *)told->open,
	};
	struct mount_facts facts = {
		.mountpoint = "/mnt",
		.machine = &machine,
		.error = told->error,
		.root = &root,
		.store_error = told->store_error,
		.store = &store,
	};

	mount_judge(&facts, findings);
	for (size_t i = 0; i < findings->count; i++)
		assert_string_equal(findings->list[i].mount, "/mnt");
}

static const struct finding *find(const struct findings *findings,
	const char *name)
{
	for (size_t i = 0; i < findings->count; i++) {
		if (strcmp(findings->list[i].name, name) == 0)
			return &findings->list[i];
	}
	fail_msg("no finding %s", name);
	return NULL;
}

static void expect_mount(const struct told *told, enum finding_level level,
	const char *name, const char *text)
{
	struct findings findings = { 0 };
	const struct finding *finding;

	judge(told, &findings);
	finding = level == finding_ok ? NULL : only_complaint(&findings);
	if (level == finding_ok) {
		assert_null(only_complaint(&findings));
		finding = find(&findings, name);
	}
	assert_non_null(finding);
	assert_string_equal(finding->name, name);
	assert_int_equal(finding->level, level);
	if (!strstr(finding->text, text))
		fail_msg("'%s' lacks '%s'", finding->text, text);
	findings_free(&findings);
}

static void a_good_mount_has_no_complaint(void **state)
{
	(void)state;
	expect_mount(&(struct told){ 0 }, finding_ok, "daemon", "up 5 s");
	expect_mount(&(struct told){ 0 }, finding_ok, "store",
		"/srv/x on ext4");
}

static void a_mount_that_does_not_answer_is_told_alone(void **state)
{
	struct findings findings = { 0 };

	(void)state;
	judge(&(struct told){ .error = -ETIMEDOUT }, &findings);
	assert_int_equal(findings.count, 1);
	assert_int_equal(findings.list[0].level, finding_broken);
	assert_non_null(strstr(findings.list[0].get, "hangs"));
	findings_free(&findings);
	judge(&(struct told){ .stats_error = -ENOTCONN }, &findings);
	assert_int_equal(findings.count, 1);
	assert_non_null(strstr(findings.list[0].get, "fusermount3 -u"));
	findings_free(&findings);
}

static void a_store_that_hangs_hides_nothing_else(void **state)
{
	struct findings findings = { 0 };

	(void)state;
	judge(&(struct told){ .store_error = -ETIMEDOUT }, &findings);
	assert_int_equal(find(&findings, "answer")->level, finding_broken);
	find(&findings, "errors");
	find(&findings, "loss window");
	findings_free(&findings);
}

static void what_the_daemon_lacks_costs(void **state)
{
	(void)state;
	expect_mount(&(struct told){ .stats = "passthrough=no\n" },
		finding_costs, "passthrough", "has none");
	expect_mount(&(struct told){ .stats = "passthrough=no\n",
			     .status = "data=daemon\n" },
		finding_ok, "passthrough", "not wanted");
	expect_mount(&(struct told){ .stats =
			"passthrough=yes\nkillpriv=no\n" },
		finding_costs, "killpriv", "not granted");
	expect_mount(&(struct told){ .stats =
			"passthrough=yes\ncachestat=no\n" },
		finding_costs, "cachestat", "has none");
	expect_mount(&(struct told){ .stats = "passthrough=yes\n"
					      "libfuse=3.13.1\n" },
		finding_costs, "daemon", "3.13.1");
	expect_mount(&(struct told){ .status = "policies=memory\n" },
		finding_costs, "store", "no user attributes");
}

static void limits_that_are_nearly_reached_cost(void **state)
{
	(void)state;
	expect_mount(&(struct told){ .stats = STATS "x=\n" },
		finding_ok, "lock", "no limit");
	expect_mount(&(struct told){ .stats =
			"passthrough=yes\nlocked=89\nlock.limit=100\n" },
		finding_ok, "lock", "89 B locked, at most 100 B");
	expect_mount(&(struct told){ .stats =
			"passthrough=yes\nlocked=90\nlock.limit=100\n" },
		finding_costs, "lock", "90 B of 100 B");
	expect_mount(&(struct told){ .stats = "passthrough=yes\n"
				"mappings=95\nmappings.limit=100\n" },
		finding_costs, "mappings", "95 of 100");
}

static void failed_syncs_are_broken_and_late_ones_cost(void **state)
{
	(void)state;
	expect_mount(&(struct told){ .stats =
			"passthrough=yes\nsync.errors=3\n" },
		finding_broken, "errors", "3 syncs have failed");
	expect_mount(&(struct told){ .stats =
			"passthrough=yes\nscheduler.latest=2500000000\n" },
		finding_costs, "scheduler", "2.5 s too late");
	expect_mount(&(struct told){ .stats =
			"passthrough=yes\nscheduler.latest=2000000\n" },
		finding_ok, "errors", "no sync has failed");
}

static void staging_is_told_where_it_is_used(void **state)
{
	(void)state;
	expect_mount(&(struct told){ .stats = "passthrough=yes\n"
				"stage.used=1048576\nstage.limit=104857600\n"
				"commit.errors=0\n" },
		finding_ok, "staging", "1 MiB staged, at most 100 MiB");
	expect_mount(&(struct told){ .stats = "passthrough=yes\n"
				"stage.used=95\nstage.limit=100\n" },
		finding_costs, "staging", "95 B of 100 B");
	expect_mount(&(struct told){ .stats =
			"passthrough=yes\ncommit.errors=1\n" },
		finding_broken, "commits", "1 commit has failed");
}

static void staging_needs_memory(void **state)
{
	struct machine machine = good_machine();

	(void)state;
	machine.memory = INT64_C(1) << 27;
	expect_complaint(&machine, finding_costs, "staging", "stage-limit");
	machine.memory = 0;
	machine.memfd = EPERM;
	expect_complaint(&machine, finding_missing, "staging", "system call");
}

static void a_policy_s_loss_window_is_known(void **state)
{
	const int64_t s = 1000000000;

	(void)state;
	assert_int_equal(sync_window("strict"), 0);
	assert_int_equal(sync_window(""), 0);
	assert_int_equal(sync_window("every=5s"), 0);
	assert_int_equal(sync_window("fsync=honor+every=5s+close"), 0);
	assert_int_equal(sync_window("fsync=group:5ms"), 0);
	assert_int_equal(sync_window("relaxed"), 5 * s);
	assert_int_equal(sync_window("fsync=defer+every=1500ms"), 3 * s / 2);
	assert_int_equal(sync_window("every=2m,fsync=defer"), 120 * s);
	assert_int_equal(sync_window("manual"), WINDOW_KERNEL);
	assert_int_equal(sync_window("fsync=defer+dirty=1M+close"),
		WINDOW_KERNEL);
	assert_int_equal(sync_window("fsync=defer+every=soon"),
		WINDOW_KERNEL);
}

static void the_widest_loss_window_is_told(void **state)
{
	(void)state;
	expect_mount(&(struct told){ .open = "sync=strict\ta\n" },
		finding_ok, "loss window", "none");
	expect_mount(&(struct told){ .status = "sync=fsync=defer+every=2s\n",
			     .open = "sync=strict\ta\n"
				     "sync=fsync=defer+every=1s\tb\n" },
		finding_ok, "loss window", "last 2 s");
	expect_mount(&(struct told){ .status = "sync=fsync=defer+every=2s\n",
			     .open = "sync=fsync=defer+every=9s\tdir/b c\n" },
		finding_ok, "loss window", "last 9 s of fsynced work "
		"(dir/b c: fsync=defer+every=9s)");
	expect_mount(&(struct told){ .open = "sync=fsync=defer\tdb\n" },
		finding_costs, "loss window", "without an end (db: ");
}

#define at_root(test)                                                          \
	cmocka_unit_test_setup_teardown(test, make_root, drop_root)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_good_machine_has_no_complaint),
		cmocka_unit_test(
			what_the_kernel_lacks_is_told_with_its_version),
		cmocka_unit_test(cachestat_needs_a_newer_kernel_first),
		cmocka_unit_test(the_device_is_needed),
		cmocka_unit_test(fusermount3_matters_more_to_plain_users),
		cmocka_unit_test(limits_are_told_where_they_bind),
		cmocka_unit_test(versions_are_compared_as_numbers),
		at_root(files_of_the_machine_are_read),
		at_root(missing_files_are_unknown),
		cmocka_unit_test(a_good_mount_has_no_complaint),
		cmocka_unit_test(a_mount_that_does_not_answer_is_told_alone),
		cmocka_unit_test(a_store_that_hangs_hides_nothing_else),
		cmocka_unit_test(what_the_daemon_lacks_costs),
		cmocka_unit_test(limits_that_are_nearly_reached_cost),
		cmocka_unit_test(failed_syncs_are_broken_and_late_ones_cost),
		cmocka_unit_test(staging_is_told_where_it_is_used),
		cmocka_unit_test(staging_needs_memory),
		cmocka_unit_test(a_policy_s_loss_window_is_known),
		cmocka_unit_test(the_widest_loss_window_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
