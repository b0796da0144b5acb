/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many requests of each operation have come in. Any thread.
 */
#ifndef MSYNCFS_FUSE_COUNTERS_H
#define MSYNCFS_FUSE_COUNTERS_H

#include <stdint.h>
#include <stdio.h>

void counters_add(uint32_t opcode);

/* An operation's name, or "?". */
const char *counters_name(uint32_t opcode);

/* The table into the log: a line "NAME count" for each that is not 0. */
void counters_log(void);
/* Lines requests.NAME=COUNT, of every operation. */
void counters_print(FILE *out);

#endif
