/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Several mounts' `metrics` as one text: in Prometheus' exposition format a
 * metric's samples stand together, under one header. The verb owns it. One
 * thread.
 */
#ifndef MSYNCFS_MSYNCCTL_PROMETHEUS_H
#define MSYNCFS_MSYNCCTL_PROMETHEUS_H

#include <stdio.h>

struct prometheus_metric;

/* Empty when zeroed. */
struct prometheus {
	struct prometheus_metric *metrics; /* in the order that they came */
	size_t count;
};

/*
 * Adds a mount's text, unless that mount is in already. When memory is short
 * the program ends.
 */
void prometheus_add(struct prometheus *this, const char *text);
void prometheus_print(const struct prometheus *this, FILE *out);
void prometheus_fini(struct prometheus *this);

#endif
