// SPDX-License-Identifier: Apache-2.0
/*
 * advise sets advise.now. Loading and dropping may be done piece by piece;
 * everything else is one act on the file.
 */
#include <stdio.h>
#include <string.h>

#include "msyncctl/change.h"
#include "msyncctl/output.h"
#include "msyncctl/progress.h"
#include "msyncctl/ranged.h"

struct advise {
	struct report *report;
	const struct attribute *attribute;
	struct ranged ranged;
	struct flags flags;
	bool may_split;
};

/* What acts on each page by itself. */
static const char *const by_page[] = { "willneed", "dontneed", "cold",
	"pageout", "populate-read", "populate-write", NULL };

static void visit(const struct target *target, void *argument)
{
	struct advise *advise = argument;
	char value[RANGED_VALUE_MAX], text[CHANGE_REFUSAL_MAX];
	int r = 0;

	if (!change_fits(advise->report, target, advise->attribute))
		return;
	ranged_format(&advise->ranged, value);
	if (advise->report->list)
		json_object_set_new(
			report_entry(advise->report, target->path), "advice",
			output_json_text(value));
	if (!advise->flags.dry_run)
		r = ranged_set(target, "advise.now", &advise->ranged,
			advise->may_split);
	if (r < 0) {
		change_refusal(text, advise->attribute, value, r);
		report_failure(advise->report, target->path, exit_failed,
			"%s", text);
		return;
	}
	if (advise->report->list ||
		!(advise->flags.dry_run || advise->flags.verbose))
		return;
	progress_hide();
	output_text(target->path);
	printf(": %s\n", value);
}

static int run_advise(struct context *context, int argc, char **argv)
{
	struct report report;
	struct advise advise = {
		.report = &report,
		.attribute = attribute_find_text("advise.now"),
	};
	struct walk walk = {
		.report = &report,
		.wanted = advise.attribute->where,
		.visit = visit,
		.argument = &advise,
	};
	int status = flags_parse(&advise.flags, &verb_advise, argc, argv);

	if (status != exit_ok)
		return status;
	if (argc - optind < 2)
		return output_usage(&verb_advise, "%s is missing",
			argc == optind ? "ADVICE" : "FILE");
	if (ranged_parse(argv[optind], &advise.ranged) < 0)
		return output_usage(&verb_advise,
			"%s: expected ADVICE[@OFFSET+LENGTH]", argv[optind]);
	advise.may_split = ranged_only(&advise.ranged, by_page);
	walk.recursive = advise.flags.recursive;
	report_begin(&report, context);
	walk_files(&walk, argv + optind + 1, argc - optind - 1);
	return report_end(&report);
}

const struct verb verb_advise = {
	.name = "advise",
	.synopsis = "[-R] [-n] [-v] ADVICE[@OFFSET+LENGTH] FILE...",
	.summary = "load, drop or advise files' pages now",
	.help =
"ADVICE, several joined by +:\n"
"  willneed        read ahead, in the background\n"
"  populate-read   read, and return when the pages are in memory\n"
"  populate-write  make ready for writing: holes are allocated\n"
"  dontneed        drop clean pages\n"
"  pageout         write dirty pages and drop all\n"
"  cold            the first to go when memory is short\n"
"  normal, random, sequential\n"
"                  how an open file is read ahead, until its last close\n"
"  hugepage, nohugepage, collapse, dontdump, dodump, remove\n"
"                  as madvise(2) has them\n"
"\n"
"  -R, --recursive  all regular files below a directory\n"
"  -n, --dry-run    say what would be advised, do nothing\n"
"  -v, --verbose    say what is advised\n"
"\n"
"Sizes take K, M, G, T. A policy for the next opens as well is set with\n"
"msyncctl set advise=...\n"
"\n"
"Example: msyncctl advise populate-read@1G+256M /mnt/data/big\n",
	.run = run_advise,
};
