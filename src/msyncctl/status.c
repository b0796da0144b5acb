// SPDX-License-Identifier: Apache-2.0
/*
 * status and stats print the mount's own lines. At a terminal numbers that
 * stand for bytes or times are said once more in words; pipes get the lines
 * as they are.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "msyncctl/attr.h"
#include "msyncctl/change.h"
#include "msyncctl/mount_reader.h"
#include "msyncctl/mounts.h"
#include "msyncctl/output.h"
#include "msyncctl/prometheus.h"
#include "util/cleanup.h"
#include "util/quantity.h"

/* A daemon that hangs is not waited for longer. */
#define PATIENCE INT64_C(5000000000)

struct show {
	struct report *report;
	const struct attribute *attribute;
	bool named; /* more than one: each has a heading */
	bool begun;
	struct prometheus *prometheus; /* what to collect in; NULL: print */
};

static const char *const byte_keys[] = { "size", "mapped", "dirty", "locked",
	"lock.limit", "count.read_bytes", "count.write_bytes", "read.bytes",
	"write.bytes", "staged", "staged.uncommitted", "stage.used",
	"stage.limit", "stage.dirty", "journal.size", "journal.free",
	"journal.bytes", "commit.bytes", "apply.bytes", "dirty.shared", NULL };
static const char *const time_keys[] = { "sync.took", "sync.next", "uptime",
	"scheduler.latest", "scheduler.next", "commit.pause", "commit.journal",
	"commit.took", "commit.age", "loss.window", NULL };
/* Of the keys of each histogram, and of loss.window.max. */
static const char *const time_ends[] = { ".p50", ".p95", ".p99", ".max" };

static bool is_key(const struct attr_pair *pair, const char *const *keys)
{
	for (; *keys; keys++) {
		if (strlen(*keys) == pair->key_length &&
			memcmp(*keys, pair->key, pair->key_length) == 0)
			return true;
	}
	return false;
}

static bool is_time(const struct attr_pair *pair)
{
	for (size_t i = 0; i < sizeof(time_ends) / sizeof(time_ends[0]); i++) {
		size_t length = strlen(time_ends[i]);

		if (pair->key_length > length &&
			memcmp(pair->key + pair->key_length - length,
				time_ends[i], length) == 0)
			return true;
	}
	return is_key(pair, time_keys);
}

/* The value in words, or NULL if it needs none. */
static const char *in_words(const struct attr_pair *pair,
	char text[QUANTITY_TEXT_MAX])
{
	uint64_t number;

	if (!attr_number(pair->value, pair->value_length, &number) ||
		number > INT64_MAX)
		return NULL;
	if (is_key(pair, byte_keys))
		return number < 1024 ? NULL : quantity_show_size(text, number);
	if (is_time(pair))
		return quantity_show_duration(text, (int64_t)number);
	return NULL;
}

static void print_pair(const struct context *context,
	const struct attr_pair *pair)
{
	char text[QUANTITY_TEXT_MAX];
	const char *words = context->tty ? in_words(pair, text) : NULL;

	output_bytes(pair->key, pair->key_length);
	putchar('=');
	output_bytes(pair->value, pair->value_length);
	if (words)
		printf("%s  (%s)%s", output_style(context, output_dim), words,
			output_style(context, output_plain));
	putchar('\n');
}

static void print_all(struct show *show, const char *path, const char *text)
{
	const struct context *context = show->report->context;
	struct attr_pair pair;

	if (show->named) {
		if (show->begun)
			putchar('\n');
		printf("%s", output_style(context, output_bold));
		output_text(path);
		printf(":%s\n", output_style(context, output_plain));
	}
	show->begun = true;
	while (attr_next_pair(&text, &pair))
		print_pair(context, &pair);
}

static void show_text(struct show *show, const char *path, const char *text)
{
	json_t *lines;

	if (show->prometheus) {
		prometheus_add(show->prometheus, text);
		return;
	}
	if (!show->report->list) {
		print_all(show, path, text);
		return;
	}
	lines = output_json_lines(text);
	json_object_set_new(report_entry(show->report, path),
		show->attribute->name, lines);
}

static void show_file(struct show *show, const char *path, const char *access)
{
	owned_memory char *text = NULL;
	char refusal[CHANGE_REFUSAL_MAX];
	int r = attr_get(access, show->attribute->name, &text);

	if (r < 0) {
		change_refusal(refusal, show->attribute, NULL, r);
		report_failure(show->report, path, exit_failed, "%s", refusal);
		return;
	}
	show_text(show, path, text);
}

/* Of all mounts one may hang, and the others are to be told of. */
static void show_mount(struct show *show, const char *mountpoint)
{
	enum reading_part part = show->prometheus ? reading_metrics :
						    reading_stats;
	struct mount_reader reader;
	owned_reading reading = { 0 };
	int r = mount_reader_start(&reader, mountpoint);

	if (r == 0) {
		r = mount_reader_ask(&reader, 1u << part);
		if (r >= 0)
			r = mount_reader_wait(&reader, &reading, PATIENCE);
		mount_reader_stop(&reader);
	}
	if (r >= 0)
		r = reading.error[part];
	if (r < 0)
		report_failure(show->report, mountpoint, exit_failed, "%s: %s",
			show->attribute->name, mount_reader_says(r));
	else
		show_text(show, mountpoint, reading.text[part]);
}

static void visit(const struct target *target, void *argument)
{
	struct show *show = argument;

	if (change_fits(show->report, target, show->attribute))
		show_file(show, target->path, target->access);
}

static int run_status(struct context *context, int argc, char **argv)
{
	struct report report;
	struct show show = {
		.report = &report,
		.attribute = attribute_find_text("status"),
	};
	const struct walk walk = {
		.report = &report,
		.wanted = show.attribute->where,
		.visit = visit,
		.argument = &show,
	};

	if (flags_none(&verb_status, argc, argv) != exit_ok)
		return exit_usage;
	if (optind == argc)
		return output_usage(&verb_status, "FILE is missing");
	show.named = argc - optind > 1;
	report_begin(&report, context);
	walk_files(&walk, argv + optind, argc - optind);
	return report_end(&report);
}

/* The root of the mount that path lies on, for the caller to free. */
static char *root_of(struct show *show, const char *path)
{
	owned_mount mount = { 0 };
	owned_mounts mounts = { 0 };
	int r = mounts_find(path, &mount);

	if (r < 0 && r != -ENODEV) {
		report_failure(show->report, path, exit_failed, "%s",
			report_reason(-r));
		return NULL;
	}
	if (r < 0 || !mount_is_msyncfs(&mount)) {
		report_failure(show->report, path, exit_no_mount,
			"not on an msyncfs mount");
		return NULL;
	}
	if (mount.whole)
		return strdup(mount.mountpoint);
	/* A bind mount of a part: its filesystem may be mounted elsewhere. */
	if (mounts_read(&mounts) == 0) {
		for (size_t i = 0; i < mounts.count; i++) {
			if (mounts.list[i].dev == mount.dev)
				return strdup(mounts.list[i].mountpoint);
		}
	}
	report_failure(show->report, path, exit_failed,
		"is on a bind mount, and the mountpoint of the whole is not "
		"seen");
	return NULL;
}

static void show_mounts(struct show *show, const struct mounts *mounts)
{
	show->named = mounts->count > 1;
	for (size_t i = 0; i < mounts->count; i++)
		show_mount(show, mounts->list[i].mountpoint);
}

static int parse_stats(const struct context *context, int argc, char **argv,
	bool *prometheus)
{
	static const struct option options[] = {
		{ "prometheus", no_argument, NULL, 'p' },
		FLAGS_LONG_END,
	};
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option != 'p')
			return flags_bad_option(&verb_stats, argv);
		*prometheus = true;
	}
	if (*prometheus && context->json)
		return output_usage(&verb_stats, "--prometheus and --json "
			"exclude each other: expected one of them");
	return exit_ok;
}

static int run_stats(struct context *context, int argc, char **argv)
{
	owned_mounts mounts = { 0 };
	struct prometheus collected = { 0 };
	struct report report;
	struct show show = {
		.report = &report,
		.attribute = attribute_find_text("stats"),
	};
	bool prometheus = false;

	if (parse_stats(context, argc, argv, &prometheus) != exit_ok)
		return exit_usage;
	if (prometheus) {
		show.attribute = attribute_find_text("metrics");
		show.prometheus = &collected;
	}
	report_begin(&report, context);
	if (optind == argc) {
		if (mounts_read(&mounts) < 0 || mounts.count == 0)
			report_failure(&report, NULL, exit_no_mount,
				"there is no msyncfs mount");
		show_mounts(&show, &mounts);
	}
	show.named |= argc - optind > 1;
	for (int i = optind; i < argc; i++) {
		owned_memory char *root = root_of(&show, argv[i]);

		if (root)
			show_mount(&show, root);
	}
	prometheus_print(&collected, stdout);
	prometheus_fini(&collected);
	return report_end(&report);
}

const struct verb verb_status = {
	.name = "status",
	.synopsis = "FILE...",
	.summary = "show everything known of a file",
	.help =
"The policies that act and where each comes from, the data path and why,\n"
"what is mapped, dirty and locked, the last and the next sync, errors and\n"
"counters, as lines KEY=VALUE.\n"
"\n"
"Example: msyncctl status /mnt/db/journal\n",
	.run = run_status,
};

const struct verb verb_stats = {
	.name = "stats",
	.synopsis = "[--prometheus] [MOUNTPOINT...]",
	.summary = "show the totals of a mount",
	.help =
"Any file stands for the mount it is on; without one all msyncfs mounts are\n"
"shown. Times are in nanoseconds, sizes in bytes.\n"
"\n"
"  --prometheus         as text for Prometheus, in seconds and bytes, of\n"
"                       all mounts together\n"
"\n"
"Example: msyncctl stats /mnt/db\n",
	.run = run_stats,
};
