/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stores that no daemon has: what recover and journal work on. Unlike all
 * other verbs these ask no mount. The caller owns the descriptor. One thread.
 */
#ifndef MSYNCFS_MSYNCCTL_STORES_H
#define MSYNCFS_MSYNCCTL_STORES_H

#include <limits.h>

#include "msyncctl/report.h"

/* Room for a line about a journal, which begins with its path. */
#define STORES_REASON_MAX (PATH_MAX + 1024)

/*
 * Opens the store's root directory and keeps all others out of it until the
 * descriptor is closed. -1 if that can't be, which has been reported: it is
 * no store but a mount, or somebody uses it.
 */
int stores_open(struct report *report, const char *path);

/*
 * What went wrong with its journal. reason: what the function that failed with
 * r said, or "".
 */
void stores_fail(struct report *report, const char *path, int r,
		 const char *reason);

#endif
