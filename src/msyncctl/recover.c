// SPDX-License-Identifier: Apache-2.0
/*
 * What a mount does before it begins, without a mount. A journal in which
 * nothing is left is removed, as a clean unmount does it: the store is only
 * its files then.
 */
#include <stdio.h>

#include "msyncctl/flags.h"
#include "msyncctl/output.h"
#include "msyncctl/stores.h"
#include "store/recover_text.h"
#include "util/cleanup.h"

struct task {
	struct report *report;
	bool dry_run, discard;
};

static void tell_json(const struct task *task, const char *path,
	const struct recovery *recovery)
{
	const struct {
		const char *name;
		uint64_t value;
	} numbers[] = {
		{ "commits", recovery->transactions },
		{ "first_sequence", recovery->first_sequence },
		{ "last_sequence", recovery->last_sequence },
		{ "changes", recovery->changes },
		{ "bytes", recovery->bytes },
		{ "missing", recovery->missing },
		{ "removals", recovery->removals },
	};
	json_t *entry = report_entry(task->report, path);

	json_object_set_new(entry, "dry_run", json_boolean(task->dry_run));
	json_object_set_new(entry, "discarded", json_boolean(task->discard));
	json_object_set_new(entry, "journal", json_boolean(recovery->found));
	json_object_set_new(entry, "incomplete",
		json_boolean(recovery->torn));
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		json_object_set_new(entry, numbers[i].name,
			json_integer((json_int_t)numbers[i].value));
}

static void tell(const struct task *task, const char *path,
	const struct recovery *recovery)
{
	const char *verb = task->discard ?
		(task->dry_run ? "would throw away" : "threw away") :
		(task->dry_run ? "would recover" : "recovered");
	char text[RECOVER_TEXT_MAX];

	if (task->report->list) {
		tell_json(task, path, recovery);
		return;
	}
	recover_summary(text, verb, recovery);
	output_text(path);
	if (!recovery->found)
		printf(": no journal, nothing to do\n");
	else if (text[0] != '\0')
		printf(": %s\n", text);
	else
		printf(": nothing in the journal\n");
}

/* Of one that can't be read nothing is known but that it is there. */
static void count_lost(const struct task *task, const char *path, int fd)
{
	char reason[STORES_REASON_MAX] = "";
	struct recovery recovery = { 0 };
	int r = recover_store(fd, true, &recovery, reason, sizeof(reason));

	if (r < 0)
		recovery = (struct recovery){ .found = true };
	if (r == 0 || task->report->list) {
		tell(task, path, &recovery);
		return;
	}
	output_text(path);
	printf(": would throw away what can't be read: %s\n", reason);
}

static void recover(const struct task *task, const char *path)
{
	owned_fd fd = stores_open(task->report, path);
	char reason[STORES_REASON_MAX] = "";
	struct recovery recovery = { 0 };
	struct recovery nothing;
	int r;

	if (fd < 0)
		return;
	if (task->discard && task->dry_run) {
		count_lost(task, path, fd);
		return;
	}
	r = task->discard ?
		recover_discard(fd, &recovery, reason, sizeof(reason)) :
		recover_store(fd, task->dry_run, &recovery, reason,
			sizeof(reason));
	if (r == 0 && !task->discard && !task->dry_run && recovery.found)
		r = recover_discard(fd, &nothing, reason, sizeof(reason));
	if (r < 0)
		stores_fail(task->report, path, r, reason);
	else
		tell(task, path, &recovery);
}

enum { option_discard = 256 };

static int parse_options(struct task *task, int argc, char **argv)
{
	static const struct option options[] = {
		{ "dry-run", no_argument, NULL, 'n' },
		{ "discard-journal", no_argument, NULL, option_discard },
		FLAGS_LONG_END,
	};
	int option;

	while ((option = getopt_long(argc, argv, "n", options, NULL)) != -1) {
		if (option == 'n')
			task->dry_run = true;
		else if (option == option_discard)
			task->discard = true;
		else
			return flags_bad_option(&verb_recover, argv);
	}
	return exit_ok;
}

static int run_recover(struct context *context, int argc, char **argv)
{
	struct report report;
	struct task task = { .report = &report };
	int status = parse_options(&task, argc, argv);

	if (status != exit_ok)
		return status;
	if (optind == argc)
		return output_usage(&verb_recover, "STORE is missing");
	report_begin(&report, context);
	for (int i = optind; i < argc; i++)
		recover(&task, argv[i]);
	return report_end(&report);
}

const struct verb verb_recover = {
	.name = "recover",
	.synopsis = "[-n] [--discard-journal] STORE...",
	.summary = "bring a store that isn't mounted to its last commit",
	.help =
"Carries out what staged files (map=staged) have left in the journal of a\n"
"store when the machine crashed or the daemon was killed, as the next mount\n"
"would do it by itself. It can be repeated; after an error the journal is as\n"
"it was.\n"
"\n"
"  -n, --dry-run      say what would be done, change nothing\n"
"  --discard-journal  throw the journal away: the store's files stay as they\n"
"                     are, which may be in the middle of a commit\n"
"\n"
"The exit status is 1 if the store is mounted or otherwise in use, and if the\n"
"journal can't be used: damaged, of another store, of a newer version.\n"
"\n"
"Example: msyncctl recover --dry-run /srv/store\n",
	.run = run_recover,
};
