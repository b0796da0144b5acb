/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The options that verbs on trees share, for getopt_long(3). One thread.
 */
#ifndef MSYNCFS_MSYNCCTL_FLAGS_H
#define MSYNCFS_MSYNCCTL_FLAGS_H

#include <getopt.h>
#include <stdbool.h>

#include "msyncctl/verb.h"

struct flags {
	bool recursive, dry_run, verbose;
};

#define FLAGS_SHORT "Rnv"
/* clang-format off */
#define FLAGS_LONG                                                             \
	{ "recursive", no_argument, NULL, 'R' },                               \
	{ "dry-run", no_argument, NULL, 'n' },                                 \
	{ "verbose", no_argument, NULL, 'v' }
#define FLAGS_LONG_END { NULL, 0, NULL, 0 }
/* clang-format on */

/* False if the option is none of these. */
bool flags_take(struct flags *flags, int option);

/*
 * Parses a command line that has only these options. exit_ok, and optind is
 * the first that is no option, or exit_usage.
 */
int flags_parse(struct flags *flags, const struct verb *verb, int argc,
	char **argv);

/* The same for a verb without any; --help was taken out before. */
int flags_none(const struct verb *verb, int argc, char **argv);

/* For what getopt_long() answered with '?' or ':'. */
int flags_bad_option(const struct verb *verb, char **argv);

#endif
