/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a mount stands now: the values of core/counters.h's GAUGE_LIST, taken
 * together. The caller owns the struct. Any thread that is known to RCU.
 */
#ifndef MSYNCFS_CONTROL_GAUGES_H
#define MSYNCFS_CONTROL_GAUGES_H

#include <stdint.h>

#include "core/counters.h"

struct filesystem;

#define GAUGE_UNKNOWN INT64_C(-1)
#define GAUGE_UNLIMITED INT64_MAX

enum gauge_kind {
	gauge_count,
	gauge_bytes,
	gauge_time, /* ns */
	gauge_total, /* a counter that is kept elsewhere */
};

struct gauges {
#define GAUGE(field, name, metric, kind, help) int64_t field;
	GAUGE_LIST(GAUGE)
#undef GAUGE
};

/*
 * Looks at open files, see core/loss.h for how many. What counters lie with
 * their owners is brought to fs->counters, too. 0 or
 * -ENOMEM.
 */
int gauges_take(struct filesystem *fs, struct gauges *gauges);

#endif
