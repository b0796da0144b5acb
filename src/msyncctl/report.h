/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a verb found or did, file by file: with --json everything is kept for
 * one array at the end, without it the verb prints as it goes. The verb owns
 * the report. One thread.
 */
#ifndef MSYNCFS_MSYNCCTL_REPORT_H
#define MSYNCFS_MSYNCCTL_REPORT_H

#include <jansson.h>

#include "msyncctl/verb.h"

struct report {
	const struct context *context;
	json_t *list; /* NULL without --json */
	int status; /* the worst so far: an enum exit_status */
};

void report_begin(struct report *report, const struct context *context);

/* The JSON object of the file, which the report keeps; only with --json. */
json_t *report_entry(struct report *report, const char *path);

/*
 * A failure of one file: a line on standard error, and "error" in its JSON
 * object. Returns status, which the report remembers.
 */
int report_failure(struct report *report, const char *path, int status,
	const char *format, ...) __attribute__((format(printf, 4, 5)));

/* What errno means for a file, with what to do where the mount is dead. */
const char *report_reason(int errnum);

/* Prints what is to be printed; the program's exit status. */
int report_end(struct report *report);

#endif
