/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The mount's counters, gauges and histograms (core/counters.h), and its
 * requests by operation, as text for Prometheus. Any thread that is known to
 * RCU.
 */
#ifndef MSYNCFS_CONTROL_METRICS_H
#define MSYNCFS_CONTROL_METRICS_H

#include <stddef.h>
#include <stdio.h>

struct filesystem;

/* An attribute's value has at most 64 KiB (XATTR_SIZE_MAX). */
#define METRICS_ATTRIBUTE_MAX ((size_t)65536)

/* All of it. 0 or -errno. */
int metrics_write(struct filesystem *fs, FILE *out);

/*
 * At most METRICS_ATTRIBUTE_MAX bytes: operations lose their buckets first,
 * those that took the least time altogether before others; then labels are
 * shortened, and at last operations are left out.
 */
int metrics_write_attribute(struct filesystem *fs, FILE *out);

#endif
