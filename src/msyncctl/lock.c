// SPDX-License-Identifier: Apache-2.0
/*
 * lock is the policy of that name. Where a bar is seen, a large file is
 * loaded in pieces before it is locked: locking would load it in one call
 * that says nothing until it is done.
 */
#include <string.h>

#include "msyncctl/change.h"
#include "msyncctl/output.h"
#include "msyncctl/ranged.h"

static bool is_mode(const char *word)
{
	return strcmp(word, "on") == 0 || strcmp(word, "onfault") == 0 ||
	       strcmp(word, "off") == 0;
}

static void visit(const struct target *target, void *argument)
{
	const struct change_list *list = argument;
	const struct ranged all = { .words = "populate-read" };

	/* If it can't be loaded, locking says so. */
	if (!list->flags.dry_run && (target->kind & attribute_on_file) &&
		strcmp(list->changes->value, "on") == 0 &&
		ranged_is_seen(&all, target->size))
		ranged_set(target, "advise.now", &all, true);
	change_visit(target, argument);
}

static int run_lock(struct context *context, int argc, char **argv)
{
	struct change change = {
		.attribute = attribute_find_text("lock"),
		.value = "on",
	};
	struct report report;
	struct change_list list = {
		.report = &report,
		.changes = &change,
		.count = 1,
	};
	struct walk walk = {
		.report = &report,
		.wanted = change.attribute->where,
		.visit = visit,
		.argument = &list,
	};
	int status = flags_parse(&list.flags, &verb_lock, argc, argv);

	if (status != exit_ok)
		return status;
	argc -= optind;
	argv += optind;
	if (argc > 0 && is_mode(argv[0])) {
		change.value = argv[0];
		argc--;
		argv++;
	}
	if (argc == 0)
		return output_usage(&verb_lock, "FILE is missing");
	walk.recursive = list.flags.recursive;
	report_begin(&report, context);
	walk_files(&walk, argv, argc);
	return report_end(&report);
}

const struct verb verb_lock = {
	.name = "lock",
	.synopsis = "[-R] [-n] [-v] [on|onfault|off] FILE...",
	.summary = "keep files in memory, or let them go",
	.help =
"  on       all pages are loaded and kept (what is meant without a word)\n"
"  onfault  pages are kept once something has loaded them\n"
"  off      nothing is kept\n"
"\n"
"  -R, --recursive  everything below a directory as well\n"
"  -n, --dry-run    say what would change, change nothing\n"
"  -v, --verbose    say what is changed\n"
"\n"
"The same as msyncctl set lock=... The mount's limit is lock.limit in\n"
"msyncctl stats.\n"
"\n"
"Example: msyncctl lock onfault /mnt/db/index\n",
	.run = run_lock,
};
