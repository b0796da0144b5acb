/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the command line asks for: argv and its -o lists, taken apart and
 * checked, with nothing done about it yet. options_parse() has no side
 * effects. Any thread; a parsed struct is constant.
 */
#ifndef MSYNCFS_OPTIONS_H
#define MSYNCFS_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/policy.h"

/* Of the threads that serve requests. */
#define OPTIONS_THREADS_MIN 2
#define OPTIONS_THREADS_MAX 256

/* Bytes: with less, staged files would wait for each other all the time. */
#define OPTIONS_STAGE_LIMIT_MIN (1 << 20)

/* Nanoseconds. */
#define OPTIONS_METRICS_EVERY_MIN INT64_C(1000000000)
#define OPTIONS_METRICS_EVERY (15 * OPTIONS_METRICS_EVERY_MIN)

enum data_path_choice {
	data_auto,
	data_kernel,
	data_daemon,
};

enum tristate {
	tristate_unset,
	tristate_no,
	tristate_yes,
};

struct options {
	/* As given, pointing into argv; NULL only with help or version. */
	const char *store;
	const char *mountpoint;

	bool foreground; /* implied by debug */
	bool debug;
	bool help; /* help and version: nothing else is looked at */
	bool version;

	bool helper; /* started by mount(8) as mount.msyncfs */
	bool fake_mount; /* helper: check everything, mount nothing */
	bool sloppy; /* helper: unknown options are no error */
	bool remount; /* change the flags of what is mounted already */

	bool read_only; /* MS_RDONLY of mount_flags */
	enum tristate allow_other; /* unset: yes for root, else no */
	bool allow_root;
	bool auto_unmount;
	bool cross_mounts;
	bool nofsync; /* the kernel answers fsync; takes a deferring policy */
	enum data_path_choice data;
	unsigned threads; /* 0: not given */

	/* What holds where a file has none of its own; data is above. */
	struct policy policy;
	char *metrics_file; /* owned; for a collector to read; NULL: none */
	int64_t metrics_every; /* ns between two times that it is written */
	char *policy_file; /* owned; what holds for paths; NULL: none */
	uint64_t lock_limit; /* bytes; UINT64_MAX: not given */
	uint64_t stage_limit; /* bytes; UINT64_MAX: not given */
	uint64_t journal_size; /* bytes; 0: not given */
	bool discard_journal; /* what it holds is thrown away */

	/* Seconds, 0 or more. */
	double attr_timeout;
	double entry_timeout;
	double negative_timeout;

	/* Owned; NULL: standard error in the foreground, else syslog. */
	char *log_target;
	char *fsname; /* owned; NULL: the store's path */

	/*
	 * All MS_ flags that a mount with these options has: nosuid and nodev
	 * unless the options, or mount(8) by saying nothing, say otherwise.
	 * A remount sets exactly these, as mount(8) and mount(2) do it.
	 */
	unsigned long mount_flags;

	/*
	 * Those of mount_flags that neither libfuse nor fusermount3 take.
	 * They need root, and a mount(2) with MS_REMOUNT and mount_flags
	 * when the mount is there.
	 */
	unsigned long late_flags;

	/*
	 * The rest of mount_flags as a list for libfuse, where it differs
	 * from libfuse's own default, "suid,noexec" for example. Owned; never
	 * NULL, may be empty.
	 */
	char *mount_opts;
};

/*
 * 0, or -EINVAL (-ENOMEM) with one line in error that names the option or
 * argument and what was expected; *out then holds nothing to release.
 *
 * argv[0] named mount.msyncfs or mount.fuse.msyncfs means the calling
 * convention of mount(8), "EXTERNAL HELPERS": -f is fake, and mount(8)'s
 * defaults, which it does not pass on, hold (suid and dev). The options that
 * only mount(8) itself looks at are accepted and ignored either way.
 */
int options_parse(int argc, char **argv, struct options *out, char *error,
	size_t error_size);
void options_fini(struct options *options);

/* The text of --help; of each option the default too. */
const char *options_help_text(void);

/* What to do about an option that is unknown, for the end of a message. */
const char *options_unknown_advice(const char *name);

/* One line on standard output. */
void options_print_version(void);

#endif
