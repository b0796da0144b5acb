/* SPDX-License-Identifier: Apache-2.0 */
/*
 * top on a terminal. One thread, once in a process.
 */
#ifndef MSYNCFS_MSYNCCTL_TOP_SCREEN_H
#define MSYNCFS_MSYNCCTL_TOP_SCREEN_H

#include <stdint.h>

#include "msyncctl/top_mounts.h"
#include "msyncctl/verb.h"

/*
 * Shows the mounts until the user quits. delay: ns. The terminal is given
 * back as it was, also when a signal ends it; then the process ends by that
 * signal. An enum exit_status.
 */
int top_screen_run(struct top_mounts *mounts, int64_t delay,
		   const struct context *context);

/* What time it is, for people. */
const char *top_clock(char text[16]);

#endif
