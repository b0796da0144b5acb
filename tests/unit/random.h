/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Numbers for tests that try many values: xorshift64*, the same on every
 * run, so that a failure comes again.
 */
#ifndef MSYNCFS_TESTS_RANDOM_H
#define MSYNCFS_TESTS_RANDOM_H

#include <stdint.h>

#define RANDOM_SEED UINT64_C(0x5eed)

static inline uint64_t random_next(uint64_t *seed)
{
	*seed ^= *seed >> 12;
	*seed ^= *seed << 25;
	*seed ^= *seed >> 27;
	return *seed * UINT64_C(2685821657736338717);
}

/* From least up to most, small ones as often as large ones. */
static inline uint64_t random_between(uint64_t *seed, uint64_t least,
	uint64_t most)
{
	uint64_t number = random_next(seed) >> 1;

	number >>= random_next(seed) % 63;
	return least + number % (most - least + 1);
}

#endif
