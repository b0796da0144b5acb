/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon as seen from outside: whether it answers, has done all it was
 * asked, and what it holds.
 */
#ifndef MSYNCFS_TESTS_FAULT_DAEMON_H
#define MSYNCFS_TESTS_FAULT_DAEMON_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "control.h"

extern struct fault_control *control;
extern unsigned caches_dropped;

/* Maps the control file; flags of open(2) are added. */
void map_control(const char *path, int flags);

/* device: the mount's st_dev. */
void watch_daemon(pid_t pid, dev_t device);

/* Between true and false every call on the mount has to come back. */
void expect_answers(bool expected);
/* Ends the sweep if it is dead. */
void expect_daemon(void);
/* Until every request is answered, those that nobody waits for as well. */
void wait_until_idle(void);

struct holdings {
	int64_t descriptors, mappings, backings;
};

struct holdings holdings_now(void);

/*
 * Does it come back to what it held before? The kernel may keep an inode
 * until it is asked for memory. If not, what it holds now is the new measure.
 */
bool settled(struct holdings *before);
/* The same, and complains. */
void check_holdings(struct holdings *before);

/*
 * Blocks of the heap when nothing waits to be freed, at most enough or as
 * few as can be had. churn() makes the daemon know an inode and forget it.
 */
int64_t heap_blocks(void (*churn)(void), int64_t enough);

#endif
