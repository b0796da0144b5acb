/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many requests of each operation have come in, how long their answers
 * took and which errors they were. Any thread.
 *
 * The time of a request is that from when a worker has it until that worker
 * is done with it; of one that is answered later, by somebody who has taken
 * its clock, until then. What is never answered has none: forgets,
 * interrupts; nor do INIT and DESTROY, which come once.
 */
#ifndef MSYNCFS_FUSE_COUNTERS_H
#define MSYNCFS_FUSE_COUNTERS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct operation_counts;
struct request_clock;

void counters_add(uint32_t opcode);

/* Is it timed? */
bool counters_is_timed(uint32_t opcode);
/* It has been answered, and nobody has taken the clock. */
void counters_answered(const struct request_clock *clock);
/* The reply to it is an error, an errno. */
void counters_failed(uint32_t opcode, int error);

/* Of all of them, WIRE_OPCODES; counters_name() has their names. */
const struct operation_counts *counters_all(void);

/* An operation's name, or "?". */
const char *counters_name(uint32_t opcode);

/* The table into the log: a line "NAME count" for each that is not 0. */
void counters_log(void);
/* Lines requests.NAME=COUNT, of every operation. */
void counters_print(FILE *out);

#endif
