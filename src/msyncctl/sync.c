// SPDX-License-Identifier: Apache-2.0
/*
 * sync sets sync.now. A file that is synced in pieces is synced once more as
 * a whole: pieces are for the bar, the promise is about the file.
 */
#include <stdio.h>
#include <string.h>

#include "msyncctl/change.h"
#include "msyncctl/output.h"
#include "msyncctl/progress.h"
#include "msyncctl/ranged.h"

struct sync {
	struct report *report;
	const struct attribute *attribute;
	struct ranged ranged;
	struct flags flags;
	bool start, invalidate;
};

static int sync_target(const struct sync *sync, const struct target *target)
{
	bool in_pieces = !sync->start &&
			 ranged_is_seen(&sync->ranged, target->size);
	int r = 0;

	if (sync->flags.dry_run)
		return 0;
	if (in_pieces)
		r = ranged_set(target, "sync.now", &sync->ranged, true);
	return r < 0 ? r :
		       ranged_set(target, "sync.now", &sync->ranged, false);
}

static bool is_possible(const struct sync *sync, const struct target *target)
{
	if (!(target->kind & sync->attribute->where) && target->exact &&
		(target->kind & attribute_on_directory)) {
		report_failure(sync->report, target->path, exit_failed,
			"is a directory: use -R for the files below it, or "
			"name the mountpoint for everything");
		return false;
	}
	if (sync->ranged.length > 0 && (target->kind & attribute_on_root)) {
		report_failure(sync->report, target->path, exit_failed,
			"is a mountpoint, which has no ranges");
		return false;
	}
	return change_fits(sync->report, target, sync->attribute);
}

static void visit(const struct target *target, void *argument)
{
	struct sync *sync = argument;
	char value[RANGED_VALUE_MAX], text[CHANGE_REFUSAL_MAX];
	int r;

	if (!is_possible(sync, target))
		return;
	ranged_format(&sync->ranged, value);
	if (sync->report->list)
		json_object_set_new(report_entry(sync->report, target->path),
			"sync", output_json_text(value));
	r = sync_target(sync, target);
	if (r < 0) {
		change_refusal(text, sync->attribute, value, r);
		report_failure(sync->report, target->path, exit_failed, "%s",
			text);
		return;
	}
	if (sync->report->list ||
		!(sync->flags.dry_run || sync->flags.verbose))
		return;
	progress_hide();
	output_text(target->path);
	printf(": %s\n", value);
}

enum { option_start = 256, option_invalidate, option_range };

static int take_range(struct sync *sync, const char *range)
{
	char text[128];

	snprintf(text, sizeof(text), "wait@%s", range);
	if (ranged_parse(text, &sync->ranged) < 0)
		return output_usage(&verb_sync,
			"--range=%s: expected OFFSET+LENGTH", range);
	return exit_ok;
}

static int parse(struct sync *sync, int argc, char **argv)
{
	static const struct option options[] = {
		FLAGS_LONG,
		{ "start", no_argument, NULL, option_start },
		{ "invalidate", no_argument, NULL, option_invalidate },
		{ "range", required_argument, NULL, option_range },
		FLAGS_LONG_END,
	};
	int option;

	while ((option = getopt_long(argc, argv, FLAGS_SHORT, options,
			NULL)) != -1) {
		if (option == option_start)
			sync->start = true;
		else if (option == option_invalidate)
			sync->invalidate = true;
		else if (option == option_range) {
			if (take_range(sync, optarg) != exit_ok)
				return exit_usage;
		} else if (!flags_take(&sync->flags, option))
			return flags_bad_option(&verb_sync, argv);
	}
	if (optind == argc)
		return output_usage(&verb_sync, "FILE is missing");
	snprintf(sync->ranged.words, sizeof(sync->ranged.words), "%s%s",
		sync->start ? "start" : "wait",
		sync->invalidate ? "+invalidate" : "");
	return exit_ok;
}

static int run_sync(struct context *context, int argc, char **argv)
{
	struct report report;
	struct sync sync = {
		.report = &report,
		.attribute = attribute_find_text("sync.now"),
	};
	struct walk walk = {
		.report = &report,
		.wanted = sync.attribute->where,
		.root_is_all = true,
		.visit = visit,
		.argument = &sync,
	};
	int status = parse(&sync, argc, argv);

	if (status != exit_ok)
		return status;
	walk.recursive = sync.flags.recursive;
	report_begin(&report, context);
	walk_files(&walk, argv + optind, argc - optind);
	return report_end(&report);
}

const struct verb verb_sync = {
	.name = "sync",
	.synopsis = "[-R] [-n] [-v] [--start] [--invalidate] [--range=RANGE] "
		    "FILE...|MOUNTPOINT",
	.summary = "make files durable now, or everything of a mount",
	.help =
"  --start          start the writing and don't wait for it\n"
"  --invalidate     drop the clean pages afterwards\n"
"  --range=RANGE    only that part of each file: OFFSET+LENGTH\n"
"  -R, --recursive  all regular files below a directory\n"
"  -n, --dry-run    say what would be synced, do nothing\n"
"  -v, --verbose    say what is synced\n"
"\n"
"Without --start the data is durable when it returns, whatever the policy,\n"
"and an error that writing met is reported. Naming the mountpoint syncs\n"
"everything that is dirty on the mount.\n"
"\n"
"Example: msyncctl sync --range=0+1M /mnt/db/journal\n",
	.run = run_sync,
};
