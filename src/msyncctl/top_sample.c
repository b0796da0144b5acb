// SPDX-License-Identifier: Apache-2.0
/*
 * Counters of the daemon only grow, so a smaller one is of another daemon at
 * the same place, and nothing can be said of what has passed between.
 */
#include "msyncctl/top_sample.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "msyncctl/attr.h"

#define SECOND 1e9
/* As many files as the daemon tells of: more may have been open. */
#define FILES_LIMIT 200

static const char *const keys[SAMPLE_NUMBERS] = {
	[sample_uptime] = "uptime",
	[sample_open] = "open",
	[sample_nodes] = "nodes",
	[sample_mappings] = "mappings",
	[sample_locked] = "locked",
	[sample_waiting] = "scheduler.waiting",
	[sample_running] = "scheduler.running",
	[sample_latest] = "scheduler.latest",
	[sample_sync_p50] = "sync.p50",
	[sample_sync_p99] = "sync.p99",
	[sample_sync_max] = "sync.max",
	[sample_fsync_p50] = "fsync.p50",
	[sample_fsync_p99] = "fsync.p99",
	[sample_fsync_max] = "fsync.max",
	[sample_sync_errors] = "sync.errors",
	[sample_read_bytes] = "read.bytes",
	[sample_write_bytes] = "write.bytes",
};

const char *sample_key(enum sample_number number)
{
	return keys[number];
}

const char *sample_order_name(enum sample_order order)
{
	static const char *const names[SAMPLE_ORDERS] = {
		[sample_by_requests] = "requests",
		[sample_by_dirty] = "dirty",
		[sample_by_sync] = "sync",
	};

	return names[order];
}

static int64_t parse_number(const char *text, size_t length)
{
	uint64_t number;

	if (!attr_number(text, length, &number) || number > INT64_MAX)
		return SAMPLE_UNKNOWN;
	return (int64_t)number;
}

static int64_t add(int64_t sum, int64_t more)
{
	int64_t result;

	if (more == SAMPLE_UNKNOWN)
		return sum;
	if (sum == SAMPLE_UNKNOWN)
		return more;
	return __builtin_add_overflow(sum, more, &result) ? INT64_MAX : result;
}

static bool key_is(const struct attr_pair *pair, const char *key)
{
	return strlen(key) == pair->key_length &&
	       memcmp(pair->key, key, pair->key_length) == 0;
}

static int take_pair(struct sample *sample, const struct attr_pair *pair)
{
	static const char each[] = "requests.";
	int64_t value = parse_number(pair->value, pair->value_length);

	if (pair->key_length > sizeof(each) - 1 &&
		memcmp(pair->key, each, sizeof(each) - 1) == 0) {
		sample->requests = add(sample->requests, value);
		return 0;
	}
	if (key_is(pair, "store") && !sample->store) {
		sample->store = strndup(pair->value, pair->value_length);
		return sample->store ? 0 : -ENOMEM;
	}
	for (unsigned i = 0; i < SAMPLE_NUMBERS; i++) {
		if (key_is(pair, keys[i]))
			sample->number[i] = value;
	}
	return 0;
}

/* The next word up to a blank; *line is moved behind it. */
static int64_t take_number(const char **line, const char *end)
{
	const char *blank = memchr(*line, ' ', (size_t)(end - *line));
	const char *word = *line;

	*line = blank ? blank + 1 : end;
	return parse_number(word, (size_t)((blank ? blank : end) - word));
}

static int add_file(struct sample *sample, const char *line, size_t length)
{
	const char *end = line + length;
	struct sample_file *files, *file;

	files = reallocarray(sample->files, sample->count + 1, sizeof(*files));
	if (!files)
		return -ENOMEM;
	sample->files = files;
	file = &files[sample->count];
	file->requests = take_number(&line, end);
	file->dirty = take_number(&line, end);
	file->sync = take_number(&line, end);
	file->rate = SAMPLE_UNKNOWN;
	/* Without a path it is no line of ours. */
	if (line == end)
		return 0;
	file->path = strndup(line, (size_t)(end - line));
	if (!file->path)
		return -ENOMEM;
	sample->dirty = add(sample->dirty, file->dirty);
	sample->count++;
	return 0;
}

int sample_parse(struct sample *sample, int64_t when, const char *stats,
	const char *files)
{
	struct attr_pair pair;
	int r = 0;

	*sample = (struct sample){
		.when = when,
		.requests = SAMPLE_UNKNOWN,
		.dirty = SAMPLE_UNKNOWN,
		.request_rate = SAMPLE_UNKNOWN,
		.read_rate = SAMPLE_UNKNOWN,
		.write_rate = SAMPLE_UNKNOWN,
	};
	for (unsigned i = 0; i < SAMPLE_NUMBERS; i++)
		sample->number[i] = SAMPLE_UNKNOWN;
	while (r == 0 && attr_next_pair(&stats, &pair))
		r = take_pair(sample, &pair);
	while (r == 0 && *files != '\0') {
		size_t length = strcspn(files, "\n");

		if (length > 0)
			r = add_file(sample, files, length);
		files += length + (files[length] == '\n');
	}
	/* Nothing is open: then nothing is dirty that anybody knows of. */
	if (sample->count == 0)
		sample->dirty = 0;
	if (r < 0)
		sample_free(sample);
	return r;
}

void sample_free(struct sample *sample)
{
	for (size_t i = 0; i < sample->count; i++)
		free(sample->files[i].path);
	free(sample->files);
	free(sample->store);
	*sample = (struct sample){ 0 };
}

static double rate(int64_t now, int64_t before, double seconds)
{
	if (now == SAMPLE_UNKNOWN || before == SAMPLE_UNKNOWN || now < before)
		return SAMPLE_UNKNOWN;
	return (double)(now - before) / seconds;
}

static const struct sample_file *find_file(const struct sample *sample,
	const char *path)
{
	for (size_t i = 0; i < sample->count; i++) {
		if (strcmp(sample->files[i].path, path) == 0)
			return &sample->files[i];
	}
	return NULL;
}

void sample_compare(struct sample *sample, const struct sample *before)
{
	double seconds = (double)(sample->when - before->when) / SECOND;

	if (before->when == 0 || seconds <= 0 ||
		sample->number[sample_uptime] < before->number[sample_uptime])
		return;
	sample->request_rate = rate(sample->requests, before->requests,
		seconds);
	sample->read_rate = rate(sample->number[sample_read_bytes],
		before->number[sample_read_bytes], seconds);
	sample->write_rate = rate(sample->number[sample_write_bytes],
		before->number[sample_write_bytes], seconds);
	for (size_t i = 0; i < sample->count; i++) {
		struct sample_file *file = &sample->files[i];
		const struct sample_file *old = find_file(before, file->path);

		if (!old && before->count >= FILES_LIMIT)
			continue;
		/* One that was opened meanwhile, or closed and opened again. */
		file->rate = rate(file->requests,
			old && file->requests >= old->requests ?
				old->requests :
				0,
			seconds);
	}
}

static int compare(int64_t a, int64_t b)
{
	return a > b ? -1 : a < b;
}

static int by_requests(const void *left, const void *right)
{
	const struct sample_file *a = left, *b = right;

	if (a->rate != b->rate)
		return a->rate > b->rate ? -1 : 1;
	if (a->requests != b->requests)
		return compare(a->requests, b->requests);
	return strcmp(a->path, b->path);
}

static int by_dirty(const void *left, const void *right)
{
	const struct sample_file *a = left, *b = right;

	if (a->dirty != b->dirty)
		return compare(a->dirty, b->dirty);
	return by_requests(left, right);
}

static int by_sync(const void *left, const void *right)
{
	const struct sample_file *a = left, *b = right;

	if (a->sync != b->sync)
		return compare(a->sync, b->sync);
	return by_requests(left, right);
}

void sample_sort(struct sample *sample, enum sample_order order)
{
	static int (*const orders[SAMPLE_ORDERS])(const void *,
		const void *) = {
		[sample_by_requests] = by_requests,
		[sample_by_dirty] = by_dirty,
		[sample_by_sync] = by_sync,
	};

	if (sample->count > 1)
		qsort(sample->files, sample->count, sizeof(*sample->files),
			orders[order]);
}
