/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sizes, durations and ranges as people write them. Pure; any thread.
 *
 * Texts are given by length and need no NUL. Nothing but the quantity may
 * stand in them. All return 0, -EINVAL for what is no quantity, -ERANGE for
 * one that is too large.
 */
#ifndef MSYNCFS_UTIL_QUANTITY_H
#define MSYNCFS_UTIL_QUANTITY_H

#include <stddef.h>
#include <stdint.h>

/* Room for any of the formatted texts, the NUL included. */
#define QUANTITY_TEXT_MAX 64

/* Bytes: digits and K, M, G or T (powers of 1024); up to INT64_MAX. */
int quantity_parse_size(const char *text, size_t length, uint64_t *bytes);

/*
 * Nanoseconds: digits, perhaps with a fraction, and ms, s, m or h. A bare
 * 0 is taken without a unit. Up to 100 years.
 */
int quantity_parse_duration(const char *text, size_t length,
			    int64_t *nanoseconds);

/* "OFFSET+LENGTH", two sizes; the end is at most INT64_MAX. LENGTH > 0. */
int quantity_parse_range(const char *text, size_t length, int64_t *offset,
			 int64_t *range_length);

/* Exact, in the largest unit that leaves no rest: "64K", "1500ms". */
const char *quantity_format_size(char text[QUANTITY_TEXT_MAX],
				 uint64_t bytes);
const char *quantity_format_duration(char text[QUANTITY_TEXT_MAX],
				     int64_t nanoseconds);

/* For people, rounded, four significant places: "1.25 MiB", "3.4 ms". */
const char *quantity_show_size(char text[QUANTITY_TEXT_MAX], uint64_t bytes);
const char *quantity_show_duration(char text[QUANTITY_TEXT_MAX],
				   int64_t nanoseconds);

#endif
