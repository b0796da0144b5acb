// SPDX-License-Identifier: Apache-2.0
/*
 * Values are taken once and written as often as it takes until they fit.
 */
#include "control/metrics.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "control/exposition.h"
#include "control/gauges.h"
#include "core/filesystem.h"
#include "os/inode.h"
#include "os/pagecache.h"
#include "util/cleanup.h"
#include "util/text.h"

#define OPERATIONS_MAX 64
#define NAME_MAX_OF_METRIC 64
#define LABELS_MAX (2 * EXPOSITION_VALUE_MAX + 64)

/* How much is told, from most to least. */
struct detail {
	unsigned fine; /* operations that have buckets */
	size_t label_max; /* bytes of a path in a label */
	bool operations;
};

static const struct detail details[] = {
	{ UINT_MAX, SIZE_MAX, true }, { 24, SIZE_MAX, true },
	{ 20, SIZE_MAX, true },	      { 16, SIZE_MAX, true },
	{ 12, SIZE_MAX, true },	      { 8, SIZE_MAX, true },
	{ 4, SIZE_MAX, true },	      { 0, SIZE_MAX, true },
	{ 0, 64, true },	      { 0, 24, false },
};

/* What is written, whatever the detail. */
struct measured {
	struct filesystem *fs;
	struct gauges gauges;
	char store[PATH_MAX];
	/* How many operations took more time than this one. */
	unsigned rank[OPERATIONS_MAX];
};

static void rank(struct measured *measured)
{
	const struct operation_counts *all = measured->fs->clients.operations;
	unsigned count = measured->fs->clients.operation_count;
	uint64_t sums[OPERATIONS_MAX];

	assert(count <= OPERATIONS_MAX);
	for (unsigned i = 0; i < count; i++)
		sums[i] = all[i].took.sum;
	for (unsigned i = 0; i < count; i++) {
		measured->rank[i] = 0;
		for (unsigned j = 0; j < count; j++)
			measured->rank[i] += sums[j] > sums[i] ||
					     (sums[j] == sums[i] && j < i);
	}
}

static int measure(struct filesystem *fs, struct measured *measured)
{
	int r = gauges_take(fs, &measured->gauges);

	if (r < 0)
		return r;
	measured->fs = fs;
	inode_read_path(fs->store.root_fd, measured->store);
	rank(measured);
	return 0;
}

/* ---- parts ------------------------------------------------------------- */

static void put_info(struct exposition *out, const struct filesystem *fs)
{
	char labels[128];

	snprintf(labels, sizeof(labels),
		 "version=\"" MSYNCFS_VERSION
		 "\",passthrough=\"%s\",cachestat=\"%s\"",
		 fs->passthrough_device >= 0 ? "yes" : "no",
		 pagecache_has_cachestat() ? "yes" : "no");
	exposition_family(out, "info", "gauge", "what serves the mount");
	exposition_number(out, "info", labels, 1);
}

static void put_gauge(struct exposition *out, const char *name,
		      enum gauge_kind kind, const char *help, int64_t value)
{
	/* What isn't known is left out. */
	if (value == GAUGE_UNKNOWN)
		return;
	exposition_family(out, name, kind == gauge_total ? "counter" : "gauge",
			  help);
	if (value == GAUGE_UNLIMITED)
		exposition_text(out, name, NULL, "+Inf");
	else if (kind == gauge_time)
		exposition_seconds(out, name, NULL, value);
	else
		exposition_number(out, name, NULL, (uint64_t)value);
}

static void put_counter(struct exposition *out, const char *key,
			const char *help, uint64_t value)
{
	char name[NAME_MAX_OF_METRIC];

	snprintf(name, sizeof(name), "%s_total", key);
	for (char *c = name; *c; c++) {
		if (*c == '.')
			*c = '_';
	}
	exposition_family(out, name, "counter", help);
	exposition_number(out, name, NULL, value);
}

static void put_lists(struct exposition *out, const struct measured *measured)
{
	const struct counters *counters = &measured->fs->counters;
	const struct gauges *gauges = &measured->gauges;

#define GAUGE(field, name, metric, kind, help) \
	put_gauge(out, metric, gauge_##kind, help, gauges->field);
	GAUGE_LIST(GAUGE)
#undef GAUGE
#define COUNTER(field, name, help) \
	put_counter(out, name, help, counters->field);
	COUNTER_LIST(COUNTER)
#undef COUNTER
#define HISTOGRAM(field, name, metric, help)           \
	exposition_family(out, metric, "histogram", help); \
	exposition_histogram(out, metric, NULL, &counters->field, true);
	HISTOGRAM_LIST(HISTOGRAM)
#undef HISTOGRAM
}

/* ---- requests ---------------------------------------------------------- */

/* 'operation="lookup"'; operations without a name go by their number. */
static void operation_label(const struct filesystem *fs, unsigned operation,
			    char *label, size_t size)
{
	const char *name = fs->clients.operation_name(operation);
	size_t length;

	if (strcmp(name, "?") == 0)
		length = (size_t)snprintf(label, size, "operation=\"%u\"",
					  operation);
	else
		length = (size_t)snprintf(label, size, "operation=\"%s\"",
					  name);
	for (size_t i = 0; i < length && i < size; i++)
		label[i] = (char)tolower((unsigned char)label[i]);
}

static void put_errors(struct exposition *out,
		       const struct operation_counts *counts,
		       const char *operation)
{
	char labels[128];

	for (int error = 0; error < COUNTERS_ERRNO_MAX; error++) {
		const char *name = strerrorname_np(error);
		uint64_t count = counts->errors[error];

		if (count == 0)
			continue;
		if (error == 0 || !name)
			snprintf(labels, sizeof(labels), "%s,errno=\"%d\"",
				 operation, error);
		else
			snprintf(labels, sizeof(labels), "%s,errno=\"%s\"",
				 operation, name);
		exposition_number(out, "request_errors_total", labels, count);
	}
}

static void put_operations(struct exposition *out,
			   const struct measured *measured, unsigned fine)
{
	const struct filesystem *fs = measured->fs;
	const struct operation_counts *all = fs->clients.operations;
	char label[64];

	exposition_family(out, "requests_total", "counter",
			  "requests of the kernel that came in");
	for (unsigned i = 0; i < fs->clients.operation_count; i++) {
		operation_label(fs, i, label, sizeof(label));
		if (all[i].requests > 0)
			exposition_number(out, "requests_total", label,
					  all[i].requests);
	}
	exposition_family(out, "request_errors_total", "counter",
			  "requests that were answered with an error");
	for (unsigned i = 0; i < fs->clients.operation_count; i++) {
		operation_label(fs, i, label, sizeof(label));
		put_errors(out, &all[i], label);
	}
	exposition_family(out, "request_seconds", "histogram",
			  "how long requests took to answer");
	for (unsigned i = 0; i < fs->clients.operation_count; i++) {
		operation_label(fs, i, label, sizeof(label));
		if (all[i].took.count > 0)
			exposition_histogram(out, "request_seconds", label,
					     &all[i].took,
					     measured->rank[i] < fine);
	}
}

/* ---- the whole --------------------------------------------------------- */

/* The labels of every sample, or NULL; the caller frees it. */
static char *labels_of(const struct measured *measured, size_t most)
{
	const char *mountpoint = measured->fs->clients.mountpoint;
	char value[EXPOSITION_VALUE_MAX];
	char *labels = malloc(LABELS_MAX);
	size_t length;

	if (!labels)
		return NULL;
	length = (size_t)snprintf(labels, LABELS_MAX, "store=\"%s\"",
				  exposition_value(value, measured->store,
						   most));
	snprintf(labels + length, LABELS_MAX - length, ",mountpoint=\"%s\"",
		 exposition_value(value, mountpoint ? mountpoint : "", most));
	return labels;
}

static int put_all(const struct measured *measured,
		   const struct detail *detail, FILE *file)
{
	owned_memory char *labels = labels_of(measured, detail->label_max);
	struct exposition out = {
		.out = file,
		.labels = labels,
	};

	if (!labels)
		return -ENOMEM;
	put_info(&out, measured->fs);
	put_lists(&out, measured);
	if (detail->operations && measured->fs->clients.operations)
		put_operations(&out, measured, detail->fine);
	return 0;
}

int metrics_write(struct filesystem *fs, FILE *out)
{
	owned_memory struct measured *measured = malloc(sizeof(*measured));
	int r = measured ? measure(fs, measured) : -ENOMEM;

	if (r < 0)
		return r;
	return put_all(measured, &details[0], out);
}

/* 1: out has it; 0: it was too long; -errno. */
static int put_if_it_fits(const struct measured *measured,
			  const struct detail *detail, FILE *out)
{
	char *text = NULL;
	size_t length = 0;
	FILE *memory = text_open(&text, &length);
	int r;

	if (!memory)
		return -ENOMEM;
	r = put_all(measured, detail, memory);
	if (text_close(memory) < 0 && r == 0)
		r = -ENOMEM;
	if (r == 0 && length <= METRICS_ATTRIBUTE_MAX) {
		fwrite(text, 1, length, out);
		r = 1;
	}
	free(text);
	return r;
}

int metrics_write_attribute(struct filesystem *fs, FILE *out)
{
	owned_memory struct measured *measured = malloc(sizeof(*measured));
	int r = measured ? measure(fs, measured) : -ENOMEM;

	for (size_t i = 0;
	     r == 0 && i < sizeof(details) / sizeof(details[0]); i++)
		r = put_if_it_fits(measured, &details[i], out);
	/* The last of them always fits: tests/unit/metrics_test.c. */
	return r < 0 ? r : r > 0 ? 0 : -E2BIG;
}
