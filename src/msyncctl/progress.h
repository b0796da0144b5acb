/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A progress bar on standard error, if that is a terminal; there is one per
 * process. It appears only when the work takes a while, and whoever prints
 * anything else hides it first. One thread.
 */
#ifndef MSYNCFS_MSYNCCTL_PROGRESS_H
#define MSYNCFS_MSYNCCTL_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>

/* Is there anybody to see one? If not, work need not be done in pieces. */
bool progress_is_seen(void);

/*
 * fraction: 0 to 1 of the whole work; text: what is being done, cut to what
 * fits. Drawn ten times a second at the most.
 */
void progress_show(double fraction, const char *text);

/* Takes the bar away; progress_show() brings it back. */
void progress_hide(void);

/*
 * The bar's line, for progress_show() and its test: "[=====>    ]  42% text",
 * of at most width columns.
 */
void progress_format(char *line, size_t size, unsigned width, double fraction,
	const char *text);

#endif
