/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What msyncctl can do: one struct verb each, in the table of main.c. All in
 * one thread, unless a verb starts its own.
 */
#ifndef MSYNCFS_MSYNCCTL_VERB_H
#define MSYNCFS_MSYNCCTL_VERB_H

#include <stdbool.h>

/* Exit statuses, the same for every verb; the manual page has them too. */
enum exit_status {
	exit_ok = 0,
	exit_failed = 1, /* some file failed, or doctor found something */
	exit_usage = 2,
	exit_no_mount = 3, /* not an msyncfs mount, or there is none */
};

struct context {
	bool json;
	bool color; /* standard output takes colours */
	bool tty; /* standard output is a terminal */
	bool utf8; /* the locale's character set */
	unsigned width; /* columns of the terminal; 80 without one */
	const char *program; /* "msyncctl" */
};

struct verb {
	const char *name;
	const char *synopsis; /* what follows the name: "[-R] FILE..." */
	const char *summary; /* one line */
	const char *help; /* options and an example; whole lines */
	/*
	 * argv[0] is the verb's name, so getopt_long(3) can be used. --json
	 * and --help are taken out before. An enum exit_status.
	 */
	int (*run)(struct context *context, int argc, char **argv);
};

extern const struct verb verb_get;
extern const struct verb verb_set;
extern const struct verb verb_unset;
extern const struct verb verb_advise;
extern const struct verb verb_sync;
extern const struct verb verb_lock;
extern const struct verb verb_residency;
extern const struct verb verb_status;
extern const struct verb verb_stats;
extern const struct verb verb_top;
extern const struct verb verb_doctor;
extern const struct verb verb_recover;
extern const struct verb verb_journal;

#endif
