/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a mount was doing at one moment, taken from the root's attributes
 * stats and files, and what has changed since the moment before. Values; the
 * caller owns what is in them. Pure; one thread per value.
 */
#ifndef MSYNCFS_MSYNCCTL_TOP_SAMPLE_H
#define MSYNCFS_MSYNCCTL_TOP_SAMPLE_H

#include <stddef.h>
#include <stdint.h>

/* For a number that the daemon does not know, or that is not there yet. */
#define SAMPLE_UNKNOWN (-1)

enum sample_number {
	sample_uptime, /* ns */
	sample_open,
	sample_nodes,
	sample_mappings,
	sample_locked, /* bytes */
	sample_waiting,
	sample_running,
	sample_latest, /* ns */
	sample_sync_p50,
	sample_sync_p99,
	sample_sync_max,
	sample_fsync_p50,
	sample_fsync_p99,
	sample_fsync_max,
	sample_sync_errors,
	sample_read_bytes,
	sample_write_bytes,
	SAMPLE_NUMBERS,
};

/* What program reads the JSON calls it; also the key in stats. */
const char *sample_key(enum sample_number number);

struct sample_file {
	int64_t requests; /* since it was opened */
	int64_t dirty; /* bytes */
	int64_t sync; /* ns, the last one */
	double rate; /* requests per second */
	char *path; /* control bytes escaped by the daemon */
};

struct sample {
	int64_t when; /* ns; 0: nothing here */
	char *store;
	int64_t number[SAMPLE_NUMBERS];
	int64_t requests; /* of all kinds */
	int64_t dirty; /* bytes of the files below, those known */

	/* Per second since the sample before, or SAMPLE_UNKNOWN. */
	double request_rate, read_rate, write_rate;

	struct sample_file *files;
	size_t count;
};

/* 0 or -ENOMEM. What is no number, or missing, is SAMPLE_UNKNOWN. */
int sample_parse(struct sample *sample, int64_t when, const char *stats,
		 const char *files);
void sample_free(struct sample *sample);

/* Sets the rates. before: of the same mount, or with nothing in it. */
void sample_compare(struct sample *sample, const struct sample *before);

enum sample_order {
	sample_by_requests, /* the rate if it is known, then the number */
	sample_by_dirty,
	sample_by_sync,
	SAMPLE_ORDERS,
};

const char *sample_order_name(enum sample_order order);

/* Most first; equals by name, so that lines don't jump. */
void sample_sort(struct sample *sample, enum sample_order order);

#endif
