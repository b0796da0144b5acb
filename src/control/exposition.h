/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Prometheus' text exposition format 0.0.4, line by line: how names, labels
 * and numbers are written, and nothing about what they are. A family's header
 * comes first, then its samples. The caller owns the struct. One thread.
 */
#ifndef MSYNCFS_CONTROL_EXPOSITION_H
#define MSYNCFS_CONTROL_EXPOSITION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct histogram;

/* Room for one label's value, written: 3 bytes for each of a path. */
#define EXPOSITION_VALUE_MAX (3 * 4096 + 8)

struct exposition {
	FILE *out;
	const char *labels; /* of every sample, 'a="1",b="2"' */
};

/*
 * A label's value: escaped, bytes that are no UTF-8 as U+FFFD, and of one that
 * is longer than most bytes the end, behind "...". Returns text.
 */
const char *exposition_value(char text[EXPOSITION_VALUE_MAX],
			     const char *value, size_t most);

/* The header. name is without the prefix, which is "msyncfs_". */
void exposition_family(struct exposition *this, const char *name,
		       const char *type, const char *help);

/*
 * A sample of it. more: further labels, 'c="3"', or NULL. Seconds are given
 * in nanoseconds.
 */
void exposition_number(struct exposition *this, const char *name,
		       const char *more, uint64_t value);
void exposition_seconds(struct exposition *this, const char *name,
			const char *more, int64_t nanoseconds);
void exposition_text(struct exposition *this, const char *name,
		     const char *more, const char *value);
/*
 * All of a histogram's: buckets, sum, count. Not fine: of the buckets just
 * the one that every histogram must have.
 */
void exposition_histogram(struct exposition *this, const char *name,
			  const char *more, const struct histogram *histogram,
			  bool fine);

#endif
