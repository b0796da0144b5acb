/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * What the programs of the benchmark have in common. Each is one file, with
 * one thread; PROGRAM is its name.
 */
#ifndef BENCH_H
#define BENCH_H

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static inline void die(const char *what)
{
	fprintf(stderr, PROGRAM ": %s: %s\n", what, strerror(errno));
	exit(1);
}

/* A whole number of at least `least`. */
static inline size_t number(const char *text, size_t least)
{
	char *end;
	unsigned long long value;

	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno || end == text || *end || *text == '-' || value < least ||
		value > SIZE_MAX / 2) {
		fprintf(stderr, PROGRAM ": '%s' is not a count\n", text);
		exit(2);
	}
	return value;
}

static inline double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* xorshift64: the order must be the same in every run, not unpredictable. */
static inline uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* The numbers below n in an order that a seed gives, the same each time. */
static inline uint32_t *permutation(size_t n, uint64_t seed)
{
	uint32_t *order = malloc((n ? n : 1) * sizeof(*order));
	uint64_t state = 0x9e3779b97f4a7c15u + seed;

	if (!order)
		die("malloc");
	for (size_t i = 0; i < n; i++)
		order[i] = (uint32_t)i;
	for (size_t i = n; i > 1; i--) {
		size_t j = next_random(&state) % i;
		uint32_t other = order[j];

		order[j] = order[i - 1];
		order[i - 1] = other;
	}
	return order;
}

#endif
