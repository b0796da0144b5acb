/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clocks, all of the vDSO's. The coarse ones cost a few nanoseconds and are
 * as exact as the kernel's tick (1 to 10 ms), which is what file times are
 * made of.
 */
#ifndef MSYNCFS_OS_CLOCK_H
#define MSYNCFS_OS_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline int64_t clock_nanoseconds(const struct timespec *time)
{
	return (int64_t)time->tv_sec * 1000000000 + time->tv_nsec;
}

static inline int64_t clock_of(clockid_t id)
{
	struct timespec now;

	clock_gettime(id, &now);
	return clock_nanoseconds(&now);
}

/* Nanoseconds since boot. */
static inline int64_t clock_now(void)
{
	return clock_of(CLOCK_MONOTONIC);
}

/* Nanoseconds since the epoch, at the last tick. */
static inline int64_t clock_wall_coarse(void)
{
	return clock_of(CLOCK_REALTIME_COARSE);
}

/* Nanoseconds since boot, at the last tick. */
static inline int64_t clock_coarse(void)
{
	return clock_of(CLOCK_MONOTONIC_COARSE);
}

#endif
