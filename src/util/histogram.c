// SPDX-License-Identifier: Apache-2.0
/*
 * A value's bucket is its highest bit and the three below it; what a bucket
 * stands for is its upper end, so no percentile is told too low.
 */
#include "util/histogram.h"

#include <stdatomic.h>
#include <stdbool.h>

#define STEPS 8u
#define STEP_BITS 3u

static unsigned bucket_of(uint64_t value)
{
	unsigned power;

	if (value < STEPS)
		return (unsigned)value;
	power = 63u - (unsigned)__builtin_clzll(value);
	unsigned bucket = (power - STEP_BITS + 1) * STEPS +
			  (unsigned)((value >> (power - STEP_BITS)) &
				     (STEPS - 1));
	return bucket < HISTOGRAM_BUCKETS ? bucket : HISTOGRAM_BUCKETS - 1;
}

static int64_t end_of(unsigned bucket)
{
	unsigned row = bucket / STEPS;

	if (row == 0)
		return bucket;
	return (int64_t)((uint64_t)(STEPS + bucket % STEPS + 1) << (row - 1)) -
	       1;
}

void histogram_add(struct histogram *histogram, int64_t nanoseconds)
{
	int64_t max = histogram->max;

	if (nanoseconds < 0)
		nanoseconds = 0;
	atomic_fetch_add_explicit(
		&histogram->buckets[bucket_of((uint64_t)nanoseconds)], 1,
		memory_order_relaxed);
	atomic_fetch_add_explicit(&histogram->count, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&histogram->sum, (uint64_t)nanoseconds,
				  memory_order_relaxed);
	while (nanoseconds > max &&
	       !atomic_compare_exchange_weak(&histogram->max, &max,
					     nanoseconds))
		;
}

int64_t histogram_at(const struct histogram *histogram, unsigned permille)
{
	uint64_t count = histogram->count;
	uint64_t wanted = (count * permille + 999) / 1000;
	uint64_t seen = 0;

	if (count == 0)
		return 0;
	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
		seen += histogram->buckets[i];
		if (seen >= wanted && seen > 0)
			return end_of(i) < histogram->max ? end_of(i) :
							    histogram->max;
	}
	return histogram->max;
}

void histogram_below(const struct histogram *histogram,
		     const unsigned *powers, unsigned count, uint64_t *below)
{
	uint64_t seen = 0;
	unsigned bucket = 0;

	for (unsigned i = 0; i < count; i++) {
		while (bucket < bucket_of(UINT64_C(1) << powers[i]))
			seen += histogram->buckets[bucket++];
		below[i] = seen;
	}
	while (bucket < HISTOGRAM_BUCKETS)
		seen += histogram->buckets[bucket++];
	below[count] = seen;
}
