// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <cmocka.h>

#include "options.h"

#define ARGUMENTS_MAX 16

struct parsed {
	struct options options;
	char *argv[ARGUMENTS_MAX + 1];
	char error[256];
	int result;
};

static int setup(void **state)
{
	static struct parsed parsed;

	memset(&parsed, 0, sizeof(parsed));
	*state = &parsed;
	return 0;
}

static int teardown(void **state)
{
	struct parsed *parsed = *state;

	options_fini(&parsed->options);
	return 0;
}

static void parse_arguments(struct parsed *parsed, const char *first, ...)
{
	va_list arguments;
	int argc = 0;

	options_fini(&parsed->options);
	parsed->error[0] = '\0';
	va_start(arguments, first);
	for (const char *arg = first; arg != NULL;
		arg = va_arg(arguments, const char *)) {
		assert_true(argc < ARGUMENTS_MAX);
		parsed->argv[argc++] = (char *)arg;
	}
	va_end(arguments);
	parsed->argv[argc] = NULL;
	parsed->result = options_parse(argc, parsed->argv, &parsed->options,
		parsed->error, sizeof(parsed->error));
}

#define parse(parsed, ...) parse_arguments(parsed, __VA_ARGS__, NULL)

static const struct options *good(struct parsed *parsed)
{
	if (parsed->result != 0)
		print_error("%s\n", parsed->error);
	assert_int_equal(parsed->result, 0);
	assert_non_null(parsed->options.mount_opts);
	return &parsed->options;
}

static const struct options *list(struct parsed *parsed, const char *options)
{
	parse(parsed, "msyncfs", "store", "mnt", "-o", options);
	return good(parsed);
}

/* The message has every one of the parts and is one line. */
static void bad_parts(struct parsed *parsed, const char *first, ...)
{
	va_list parts;

	assert_int_equal(parsed->result, -EINVAL);
	assert_true(parsed->error[0] != '\0');
	assert_null(strchr(parsed->error, '\n'));
	va_start(parts, first);
	for (const char *part = first; part != NULL;
		part = va_arg(parts, const char *)) {
		if (strstr(parsed->error, part) == NULL)
			fail_msg("no \"%s\" in: %s", part, parsed->error);
	}
	va_end(parts);
}

#define bad(parsed, ...) bad_parts(parsed, __VA_ARGS__, NULL)
#define bad_list(parsed, options, ...)                                         \
	do {                                                                   \
		parse(parsed, "msyncfs", "store", "mnt", "-o", options);       \
		bad(parsed, __VA_ARGS__);                                      \
	} while (0)

static void store_and_mountpoint_are_enough(void **state)
{
	const struct options *o;

	parse(*state, "msyncfs", "store", "mnt");
	o = good(*state);
	assert_string_equal(o->store, "store");
	assert_string_equal(o->mountpoint, "mnt");
	assert_false(o->foreground || o->debug || o->help || o->version);
	assert_false(o->helper || o->fake_mount || o->sloppy || o->remount);
	assert_false(o->read_only || o->allow_root || o->auto_unmount);
	assert_false(o->cross_mounts);
	assert_int_equal(o->allow_other, tristate_unset);
	assert_int_equal(o->data, data_auto);
	assert_int_equal(o->threads, 0);
	assert_int_equal(o->policy.set, 0);
	assert_true(o->lock_limit == UINT64_MAX);
	assert_true(o->attr_timeout == 1);
	assert_true(o->entry_timeout == 1);
	assert_true(o->negative_timeout == 1);
	assert_null(o->log_target);
	assert_null(o->fsname);
	assert_int_equal(o->mount_flags, MS_NOSUID | MS_NODEV);
	assert_int_equal(o->late_flags, 0);
	assert_string_equal(o->mount_opts, "");
}

static void options_may_stand_anywhere(void **state)
{
	const struct options *o;

	parse(*state, "msyncfs", "-f", "store", "-o", "ro", "mnt", "-d");
	o = good(*state);
	assert_true(o->foreground && o->debug && o->read_only);
	assert_string_equal(o->mountpoint, "mnt");
}

static void letters_may_be_joined(void **state)
{
	const struct options *o;

	parse(*state, "msyncfs", "-fdothreads=3", "store", "mnt");
	o = good(*state);
	assert_true(o->foreground && o->debug);
	assert_int_equal(o->threads, 3);
	parse(*state, "msyncfs", "-fo", "threads=4", "store", "mnt");
	assert_int_equal(good(*state)->threads, 4);
}

static void debug_stays_in_the_foreground(void **state)
{
	parse(*state, "msyncfs", "-d", "store", "mnt");
	assert_true(good(*state)->foreground);
}

static void a_double_dash_ends_the_options(void **state)
{
	parse(*state, "msyncfs", "--", "-store", "-o");
	assert_string_equal(good(*state)->store, "-store");
	assert_string_equal(good(*state)->mountpoint, "-o");
}

static void a_lone_dash_is_a_path(void **state)
{
	parse(*state, "msyncfs", "-", "mnt");
	assert_string_equal(good(*state)->store, "-");
}

static void help_and_version_need_nothing_else(void **state)
{
	static const char *const help[] = { "-h", "--help" };
	static const char *const version[] = { "-V", "--version" };

	for (size_t i = 0; i < 2; i++) {
		parse(*state, "msyncfs", help[i], "--bogus");
		assert_int_equal(((struct parsed *)*state)->result, 0);
		assert_true(((struct parsed *)*state)->options.help);
		parse(*state, "msyncfs", "a", version[i], "b", "c");
		assert_int_equal(((struct parsed *)*state)->result, 0);
		assert_true(((struct parsed *)*state)->options.version);
	}
}

static void missing_and_superfluous_arguments_are_named(void **state)
{
	parse(*state, "msyncfs");
	bad(*state, "STORE and MOUNTPOINT are missing");
	parse(*state, "msyncfs", "store");
	bad(*state, "MOUNTPOINT is missing");
	parse(*state, "msyncfs", "a", "b", "c", "-f");
	bad(*state, "unexpected argument 'c'");
	parse(*state, "msyncfs", "", "b");
	bad(*state, "STORE is empty");
	parse(*state, "msyncfs", "a", "");
	bad(*state, "MOUNTPOINT is empty");
}

static void no_arguments_at_all_are_survived(void **state)
{
	struct parsed *parsed = *state;
	char *argv[] = { NULL };

	parsed->result = options_parse(0, argv, &parsed->options,
		parsed->error, sizeof(parsed->error));
	bad(parsed, "STORE and MOUNTPOINT are missing");
}

static void unknown_letters_and_words_are_named(void **state)
{
	parse(*state, "msyncfs", "-x", "a", "b");
	bad(*state, "unknown option '-x'");
	parse(*state, "msyncfs", "-fs", "a", "b");
	bad(*state, "unknown option '-s'");
	parse(*state, "msyncfs", "-:", "a", "b");
	bad(*state, "unknown option '-:'");
	parse(*state, "msyncfs", "--foreground", "a", "b");
	bad(*state, "unknown option '--foreground'");
	parse(*state, "msyncfs", "a", "b", "-o");
	bad(*state, "'-o' needs a value");
}

static void unknown_options_are_named(void **state)
{
	bad_list(*state, "bogus", "unknown option 'bogus'");
	bad_list(*state, "ro,bogus=3,rw", "unknown option 'bogus'");
	bad_list(*state, "ro, rw", "unknown option ' rw'");
	bad_list(*state, "RO", "unknown option 'RO'");
	bad_list(*state, "=3", "unknown option ''");
	bad_list(*state, "thread=3", "unknown option 'thread'");
	bad_list(*state, "a\nb", "unknown option 'a\\012b'");
}

static void the_data_path_is_chosen(void **state)
{
	assert_int_equal(list(*state, "data=kernel")->data, data_kernel);
	assert_int_equal(list(*state, "data=daemon")->data, data_daemon);
	assert_int_equal(list(*state, "data=auto")->data, data_auto);
	bad_list(*state, "data=mmap", "'data=mmap'", "auto, kernel or daemon");
	bad_list(*state, "data", "'data' needs a value", "kernel");
	bad_list(*state, "data=", "'data' needs a value", "kernel");
}

static void threads_have_a_range(void **state)
{
	static const char *const wrong[] = { "0", "1", "257", "-2", "+4",
		"2 ", " 2", "4x", "0x10", "3.0", "4294967298",
		"99999999999999999999999999" };

	assert_int_equal(list(*state, "threads=2")->threads, 2);
	assert_int_equal(list(*state, "threads=256")->threads, 256);
	assert_int_equal(list(*state, "threads=008")->threads, 8);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		char option[64];
		char named[70];

		snprintf(option, sizeof(option), "threads=%s", wrong[i]);
		snprintf(named, sizeof(named), "'%s'", option);
		bad_list(*state, option, named, "a number from 2 to 256");
	}
	bad_list(*state, "threads", "'threads' needs a value", "2 to 256");
}

static void timeouts_are_seconds_with_a_fraction(void **state)
{
	const struct options *o;

	o = list(*state,
		"attr_timeout=0,entry_timeout=0.25,negative_timeout=3600");
	assert_true(o->attr_timeout == 0);
	assert_true(o->entry_timeout == 0.25);
	assert_true(o->negative_timeout == 3600);
	o = list(*state, "attr_timeout=1000000000");
	assert_true(o->attr_timeout == 1e9);
}

static void timeouts_that_are_no_seconds_are_named(void **state)
{
	static const char *const wrong[] = { "-1", "+1", "inf", "nan", "1s",
		"1e3", "0x1", ".5", "1.", "1,5", " 1", "1 ", "1.5.5",
		"1000000001", "x" };

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		char option[64];

		snprintf(option, sizeof(option), "entry_timeout=%s", wrong[i]);
		if (strchr(wrong[i], ',') != NULL) {
			bad_list(*state, option, "unknown option '5'");
			continue;
		}
		bad_list(*state, option, option, "seconds");
	}
	bad_list(*state, "attr_timeout", "'attr_timeout' needs a value");
	bad_list(*state, "negative_timeout=-0", "'negative_timeout=-0'");
}

static void a_timeout_of_a_thousand_digits_is_refused(void **state)
{
	char option[1100] = "attr_timeout=";
	size_t start = strlen(option);

	memset(option + start, '9', 1000);
	bad_list(*state, option, "attr_timeout=999");
}

static void who_has_access_is_chosen(void **state)
{
	assert_int_equal(list(*state, "allow_other")->allow_other,
		tristate_yes);
	assert_int_equal(list(*state, "noallow_other")->allow_other,
		tristate_no);
	assert_true(list(*state, "allow_root")->allow_root);
	assert_false(list(*state, "allow_root,noallow_root")->allow_root);
	assert_true(list(*state, "default_permissions") != NULL);
}

static void allow_other_and_allow_root_exclude_each_other(void **state)
{
	bad_list(*state, "allow_other,allow_root", "'allow_other'",
		"'allow_root'");
	bad_list(*state, "allow_root,allow_other", "'allow_other'",
		"'allow_root'");
	assert_true(list(*state, "allow_other,noallow_other,allow_root")
		->allow_root);
}

static void nofsync_needs_a_policy_that_defers(void **state)
{
	bad_list(*state, "nofsync", "'nofsync'", "fsync=defer");
	bad_list(*state, "sync=strict,nofsync", "'nofsync'", "fsync=defer");
	assert_true(list(*state, "nofsync,sync=relaxed")->nofsync);
	assert_false(list(*state, "sync=manual,nofsync,fsync")->nofsync);
}

static void a_journal_is_discarded_on_request(void **state)
{
	struct parsed *parsed = *state;

	assert_false(list(parsed, "ro")->discard_journal);
	assert_true(list(parsed, "ro,discard-journal")->discard_journal);
	parse(parsed, "msyncfs", "--discard-journal", "a", "b");
	good(parsed);
	assert_true(parsed->options.discard_journal);
	assert_string_equal(parsed->options.store, "a");
	bad_list(parsed, "discard-journal=yes", "'discard-journal'",
		"takes no value");
}

static void switches_are_switched(void **state)
{
	assert_true(list(*state, "cross_mounts")->cross_mounts);
	assert_false(list(*state, "cross_mounts,nocross_mounts")
		->cross_mounts);
	assert_true(list(*state, "auto_unmount")->auto_unmount);
	assert_false(list(*state, "auto_unmount,noauto_unmount")
		->auto_unmount);
}

static void switches_and_flags_take_no_value(void **state)
{
	bad_list(*state, "ro=1", "'ro=1'", "takes no value");
	bad_list(*state, "allow_other=yes", "'allow_other=yes'",
		"takes no value");
	bad_list(*state, "cross_mounts=", "'cross_mounts='",
		"takes no value");
	bad_list(*state, "remount=x", "'remount=x'", "takes no value");
}

static void texts_are_kept(void **state)
{
	const struct options *o = list(*state, "log=a/b.log,fsname=my store");

	assert_string_equal(o->log_target, "a/b.log");
	assert_string_equal(o->fsname, "my store");
	bad_list(*state, "log", "'log' needs a value");
	bad_list(*state, "fsname=", "'fsname' needs a value");
}

static void a_text_may_have_equals_signs(void **state)
{
	assert_string_equal(list(*state, "fsname=a=b=")->fsname, "a=b=");
}

static void a_backslash_keeps_a_comma_in_a_value(void **state)
{
	const struct options *o;

	o = list(*state, "fsname=a\\,b\\\\c\\d,ro");
	assert_string_equal(o->fsname, "a,b\\cd");
	assert_true(o->read_only);
	bad_list(*state, "fsname=a\\", "backslash at the end");
}

static void empty_elements_are_nothing(void **state)
{
	assert_true(list(*state, "")->threads == 0);
	assert_true(list(*state, ",,ro,")->read_only);
}

static void the_last_one_wins(void **state)
{
	const struct options *o;

	parse(*state, "msyncfs", "-o",
		"ro,threads=3,log=a,data=kernel,fsname=x,attr_timeout=5",
		"store", "mnt", "-o",
		"rw,threads=4,log=b,data=daemon,fsname=y,attr_timeout=6");
	o = good(*state);
	assert_false(o->read_only);
	assert_int_equal(o->threads, 4);
	assert_string_equal(o->log_target, "b");
	assert_int_equal(o->data, data_daemon);
	assert_string_equal(o->fsname, "y");
	assert_true(o->attr_timeout == 6);
	assert_string_equal(o->mount_opts, "");
}

static void mount_flags_are_collected(void **state)
{
	const struct options *o = list(*state,
		"ro,suid,dev,noexec,sync,dirsync,noatime");

	assert_true(o->read_only);
	assert_int_equal(o->mount_flags, MS_RDONLY | MS_NOEXEC |
		MS_SYNCHRONOUS | MS_DIRSYNC | MS_NOATIME);
	assert_string_equal(o->mount_opts,
		"ro,suid,dev,noexec,sync,dirsync,noatime");
	assert_int_equal(o->late_flags, 0);
}

static void every_flag_can_be_taken_back(void **state)
{
	const struct options *o = list(*state,
		"ro,suid,dev,noexec,sync,noatime,nodiratime,lazytime,"
		"nosymfollow,rw,nosuid,nodev,exec,async,atime,diratime,"
		"nolazytime,symfollow");

	assert_int_equal(o->mount_flags, MS_NOSUID | MS_NODEV);
	assert_string_equal(o->mount_opts, "");
	o = list(*state, "strictatime,nostrictatime,relatime,norelatime");
	assert_int_equal(o->mount_flags, MS_NOSUID | MS_NODEV);
}

static void the_kinds_of_atime_replace_each_other(void **state)
{
	const unsigned long rest = MS_NOSUID | MS_NODEV;

	assert_int_equal(list(*state, "noatime,relatime")->mount_flags,
		rest | MS_RELATIME);
	assert_int_equal(list(*state, "relatime,strictatime")->mount_flags,
		rest | MS_STRICTATIME);
	assert_int_equal(list(*state, "strictatime,noatime")->mount_flags,
		rest | MS_NOATIME);
}

static void flags_that_libfuse_refuses_are_set_later(void **state)
{
	const struct options *o = list(*state,
		"nodiratime,strictatime,lazytime,nosymfollow,noexec");

	assert_int_equal(o->late_flags, MS_NODIRATIME | MS_STRICTATIME |
		MS_LAZYTIME | MS_NOSYMFOLLOW);
	assert_int_equal(o->mount_flags & o->late_flags, o->late_flags);
	assert_string_equal(o->mount_opts, "noexec");
	assert_int_equal(list(*state, "relatime")->late_flags, 0);
}

static void options_of_fstab_are_ignored(void **state)
{
	const struct options *o = list(*state,
		"auto,noauto,user,nouser,user=joe,users,nousers,owner,noowner,"
		"group,nogroup,nofail,_netdev,defaults,x-systemd.automount,"
		"x-a=b,X-mount.mkdir,comment=text,silent,loud,threads=5");

	assert_int_equal(o->threads, 5);
	assert_int_equal(o->mount_flags, MS_NOSUID | MS_NODEV);
}

static void what_mount_fuse3_passes_is_understood(void **state)
{
	const struct options *o;

	parse(*state, "msyncfs", "/s", "/m", "-o", "rw,noexec,dev,suid");
	o = good(*state);
	assert_int_equal(o->mount_flags, MS_NOEXEC);
	assert_string_equal(o->mount_opts, "suid,dev,noexec");
}

static void a_mount_helper_gives_back_suid_and_dev(void **state)
{
	const struct options *o;

	parse(*state, "/sbin/mount.msyncfs", "/s", "/m", "-o", "rw");
	o = good(*state);
	assert_true(o->helper);
	assert_int_equal(o->mount_flags, 0);
	assert_string_equal(o->mount_opts, "suid,dev");
	parse(*state, "mount.fuse.msyncfs", "/s", "/m");
	assert_true(good(*state)->helper);
	assert_string_equal(good(*state)->mount_opts, "suid,dev");
}

static void a_mount_helper_keeps_to_nosuid_and_nodev(void **state)
{
	const struct options *o;

	parse(*state, "mount.msyncfs", "/s", "/m", "-o",
		"rw,noexec,nosuid,nodev,user");
	o = good(*state);
	assert_int_equal(o->mount_flags, MS_NOSUID | MS_NODEV | MS_NOEXEC);
	assert_string_equal(o->mount_opts, "noexec");
	parse(*state, "mount.msyncfs", "/s", "/m", "-o", "nosuid");
	assert_string_equal(good(*state)->mount_opts, "dev");
}

static void only_the_helper_s_names_make_a_helper(void **state)
{
	parse(*state, "/mount.msyncfs/msyncfs", "/s", "/m");
	assert_false(good(*state)->helper);
	parse(*state, "mount.msyncfs2", "/s", "/m");
	assert_false(good(*state)->helper);
}

static void a_mount_helper_has_its_own_letters(void **state)
{
	const struct options *o;

	parse(*state, "mount.msyncfs", "/s", "/m", "-s", "-f", "-n", "-v",
		"-o", "rw,bogus,threads=7", "-t", "fuse.msyncfs");
	o = good(*state);
	assert_true(o->sloppy && o->fake_mount);
	assert_false(o->foreground);
	assert_int_equal(o->threads, 7);
	parse(*state, "mount.msyncfs", "/s", "/m", "-sfnv", "-orw");
	assert_true(good(*state)->fake_mount);
	parse(*state, "mount.msyncfs", "/s", "/m", "-d");
	bad(*state, "unknown option '-d'");
	parse(*state, "mount.msyncfs", "/s", "/m", "-N", "/proc/1/ns/mnt");
	bad(*state, "unknown option '-N'");
	parse(*state, "mount.msyncfs", "/s", "/m", "-t");
	bad(*state, "'-t' needs a value");
}

static void a_sloppy_mount_bears_unknown_options_only(void **state)
{
	parse(*state, "mount.msyncfs", "/s", "/m", "-o", "bogus", "-s");
	good(*state);
	parse(*state, "mount.msyncfs", "/s", "/m", "-s", "-o", "threads=x");
	bad(*state, "'threads=x'");
	parse(*state, "mount.msyncfs", "/s", "/m", "-o", "bogus");
	bad(*state, "unknown option 'bogus'");
}

static void a_remount_collects_the_flags(void **state)
{
	const struct options *o;

	o = list(*state, "remount,ro,noexec");
	assert_true(o->remount && o->read_only);
	assert_int_equal(o->mount_flags,
		MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC);
	parse(*state, "mount.msyncfs", "/s", "/m", "-o", "ro,remount");
	assert_int_equal(good(*state)->mount_flags, MS_RDONLY);
}

/* mount(8) reads them in mountinfo and puts them before what was asked. */
static void a_remount_may_list_what_the_kernel_shows(void **state)
{
	const struct options *o = list(*state,
		"ro,nosuid,nodev,relatime,remount,user_id=0,group_id=0,"
		"default_permissions,allow_other,allow_root,max_read=131072,"
		"blksize=4096,seclabel");

	assert_true(o->remount);
	assert_int_equal(o->mount_flags,
		MS_RDONLY | MS_NOSUID | MS_NODEV | MS_RELATIME);
}

static void the_kernel_s_own_options_need_a_remount(void **state)
{
	bad_list(*state, "ro,user_id=0", "'user_id'", "remount");
	bad_list(*state, "max_read=1", "'max_read'", "remount");
}

static void a_small_buffer_for_the_error_is_kept_to(void **state)
{
	struct parsed *parsed = *state;
	char *argv[] = { "msyncfs", "a", "b", "-o", "bogus", NULL };
	char error[12] = "";

	parsed->result = options_parse(5, argv, &parsed->options, error,
		sizeof(error));
	assert_int_equal(parsed->result, -EINVAL);
	assert_string_equal(error, "unknown ...");
}

static void arguments_are_not_changed(void **state)
{
	char text[] = "ro,log=a\\,b,data=kernel";
	char copy[sizeof(text)];
	struct parsed *parsed = *state;

	memcpy(copy, text, sizeof(text));
	parse(parsed, "msyncfs", "a", "b", "-o", text);
	good(parsed);
	assert_memory_equal(text, copy, sizeof(text));
}

static void the_help_has_every_option(void **state)
{
	static const char *const words[] = { "-f ", "-d ", "-o ", "-h", "-V",
		"--help", "--version", "data=auto|kernel|daemon", "threads=N",
		"attr_timeout=", "entry_timeout=", "negative_timeout=",
		"[no]allow_other", "[no]allow_root", "[no]auto_unmount",
		"advise=LIST", "sync=LIST",
		"map=shared|private|staged", "stage-limit=SIZE",
		"journal-size=SIZE", "discard-journal",
		"--discard-journal",
		"lock=off|on|onfault", "grow=LIST", "append=off|on",
		"lock-limit=SIZE", "[no]cross_mounts",
		"log=stderr|syslog|journal|FILE", "fsname=",
		"metrics=FILE", "metrics-every=TIME",
		"default_permissions", "remount", "rw|ro", "nosuid|suid",
		"nodev|dev", "exec|noexec", "async|sync", "dirsync",
		"relatime|norelatime", "atime|noatime", "diratime|nodiratime",
		"nostrictatime|strictatime", "nolazytime|lazytime",
		"symfollow|nosymfollow", "STORE MOUNTPOINT" };
	const char *help = options_help_text();

	(void)state;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strstr(help, words[i]) == NULL)
			fail_msg("no \"%s\" in the help", words[i]);
	}
	for (const char *line = help; *line != '\0';) {
		size_t length = strcspn(line, "\n");

		assert_true(length <= 79);
		line += length + (line[length] == '\n');
	}
}

#define sentence(name) \
	cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		sentence(store_and_mountpoint_are_enough),
		sentence(options_may_stand_anywhere),
		sentence(letters_may_be_joined),
		sentence(debug_stays_in_the_foreground),
		sentence(a_double_dash_ends_the_options),
		sentence(a_lone_dash_is_a_path),
		sentence(help_and_version_need_nothing_else),
		sentence(missing_and_superfluous_arguments_are_named),
		sentence(no_arguments_at_all_are_survived),
		sentence(unknown_letters_and_words_are_named),
		sentence(unknown_options_are_named),
		sentence(the_data_path_is_chosen),
		sentence(threads_have_a_range),
		sentence(timeouts_are_seconds_with_a_fraction),
		sentence(timeouts_that_are_no_seconds_are_named),
		sentence(a_timeout_of_a_thousand_digits_is_refused),
		sentence(who_has_access_is_chosen),
		sentence(allow_other_and_allow_root_exclude_each_other),
		sentence(nofsync_needs_a_policy_that_defers),
		sentence(a_journal_is_discarded_on_request),
		sentence(switches_are_switched),
		sentence(switches_and_flags_take_no_value),
		sentence(texts_are_kept),
		sentence(a_text_may_have_equals_signs),
		sentence(a_backslash_keeps_a_comma_in_a_value),
		sentence(empty_elements_are_nothing),
		sentence(the_last_one_wins),
		sentence(mount_flags_are_collected),
		sentence(every_flag_can_be_taken_back),
		sentence(the_kinds_of_atime_replace_each_other),
		sentence(flags_that_libfuse_refuses_are_set_later),
		sentence(options_of_fstab_are_ignored),
		sentence(what_mount_fuse3_passes_is_understood),
		sentence(a_mount_helper_gives_back_suid_and_dev),
		sentence(a_mount_helper_keeps_to_nosuid_and_nodev),
		sentence(only_the_helper_s_names_make_a_helper),
		sentence(a_mount_helper_has_its_own_letters),
		sentence(a_sloppy_mount_bears_unknown_options_only),
		sentence(a_remount_collects_the_flags),
		sentence(a_remount_may_list_what_the_kernel_shows),
		sentence(the_kernel_s_own_options_need_a_remount),
		sentence(a_small_buffer_for_the_error_is_kept_to),
		sentence(arguments_are_not_changed),
		sentence(the_help_has_every_option),
	};

	return cmocka_run_group_tests_name("options", tests, NULL, NULL);
}
