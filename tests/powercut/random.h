/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Numbers that follow from a seed: splitmix64, which takes any seed, 0 and
 * neighbouring ones too, and gives the same numbers everywhere. Any thread.
 */
#ifndef MSYNCFS_POWERCUT_RANDOM_H
#define MSYNCFS_POWERCUT_RANDOM_H

#include <stdint.h>

static inline uint64_t random_mix(uint64_t number)
{
	number += UINT64_C(0x9e3779b97f4a7c15);
	number = (number ^ number >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	number = (number ^ number >> 27) * UINT64_C(0x94d049bb133111eb);
	return number ^ number >> 31;
}

/* 0 to count - 1; count > 0. */
static inline uint64_t random_below(uint64_t *seed, uint64_t count)
{
	*seed = random_mix(*seed);
	return *seed % count;
}

#endif
