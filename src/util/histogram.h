/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long something took, many times over: counts in buckets that grow by
 * an eighth of a power of two, so that a percentile is right to about a
 * tenth. Any thread; adding costs three atomic additions.
 */
#ifndef MSYNCFS_UTIL_HISTOGRAM_H
#define MSYNCFS_UTIL_HISTOGRAM_H

#include <stdint.h>

/* Eight buckets for each power of two up to 2^40 ns, 18 minutes. */
#define HISTOGRAM_BUCKETS (41 * 8)

struct histogram {
	_Atomic uint64_t buckets[HISTOGRAM_BUCKETS];
	_Atomic uint64_t count;
	_Atomic uint64_t sum; /* modulo 2^64: 584 years of nanoseconds */
	_Atomic int64_t max;
};

void histogram_add(struct histogram *histogram, int64_t nanoseconds);

/* The value that so many of 1000 are at or below; 0 when there is none. */
int64_t histogram_at(const struct histogram *histogram, unsigned permille);

/*
 * How many values are below 2^powers[i] ns, for each of count powers (3 to
 * 40, growing); below[count] is how many there are. One pass: a value that is
 * added meanwhile is in none, or in all that it belongs to.
 */
void histogram_below(const struct histogram *histogram,
		     const unsigned *powers, unsigned count, uint64_t *below);

#endif
