/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many lines of one kind may be logged: so many at once, and one more in
 * each period. What is left out is counted. Zeroed memory is a fresh one.
 * Any thread; nothing waits.
 */
#ifndef MSYNCFS_UTIL_LOG_LIMIT_H
#define MSYNCFS_UTIL_LOG_LIMIT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct log_rate {
	unsigned burst; /* lines at once; 0: no limit */
	int64_t period; /* ns until there may be one more; 0: never */
};

struct log_limit {
	_Atomic int64_t full_at; /* ns: when a whole burst is allowed again */
	_Atomic uint64_t left_out;
};

/*
 * True when a line may be written at the time now (ns of a clock that doesn't
 * go backwards, above 0); else it is counted as left out.
 */
bool log_limit_take(
	struct log_limit *limit, const struct log_rate *rate, int64_t now);

/* How many were left out since the last call. */
uint64_t log_limit_left_out(struct log_limit *limit);

/* These were left out as well. */
void log_limit_lose(struct log_limit *limit, uint64_t count);

#endif
