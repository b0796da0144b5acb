// SPDX-License-Identifier: Apache-2.0
/*
 * set and unset. Words are attributes as long as they look like one; the
 * first that doesn't begins the files. "./" before a name makes it a file.
 */
#include <stdlib.h>
#include <string.h>

#include "msyncctl/change.h"
#include "msyncctl/output.h"
#include "util/cleanup.h"

/* "sync=relaxed"; a path has a slash before its first "=", if it has one. */
static bool is_assignment(const char *word)
{
	size_t length = strcspn(word, "=/");

	return length > 0 && word[length] == '=';
}

static int take_assignment(const char *word, struct change *change)
{
	size_t length = strcspn(word, "=");

	change->attribute = attribute_find(word, length);
	change->value = word + length + 1;
	if (!change->attribute)
		return output_usage(&verb_set,
			"%.*s: no such attribute (see msyncctl help "
			"attributes)", (int)length, word);
	if (change->attribute->kind == attribute_status)
		return output_usage(&verb_set, "%s can only be read",
			change->attribute->name);
	return exit_ok;
}

static int change_all(struct context *context, struct change *changes,
	int count, const struct flags *flags, char **files, int file_count)
{
	struct report report;
	const struct change_list list = {
		.report = &report,
		.changes = changes,
		.count = (size_t)count,
		.flags = *flags,
	};

	report_begin(&report, context);
	change_files(&list, files, file_count);
	return report_end(&report);
}

static int run_set(struct context *context, int argc, char **argv)
{
	owned_memory struct change *changes = NULL;
	struct flags flags = { 0 };
	int status = flags_parse(&flags, &verb_set, argc, argv);
	int count = 0;

	if (status != exit_ok)
		return status;
	argc -= optind;
	argv += optind;
	changes = calloc((size_t)argc + 1, sizeof(*changes));
	while (changes && count < argc && is_assignment(argv[count])) {
		status = take_assignment(argv[count], &changes[count]);
		if (status != exit_ok)
			return status;
		count++;
	}
	if (!changes || count == 0)
		return output_usage(&verb_set, "NAME=VALUE is missing");
	if (count == argc)
		return output_usage(&verb_set, "FILE is missing");
	return change_all(context, changes, count, &flags, argv + count,
		argc - count);
}

static int run_unset(struct context *context, int argc, char **argv)
{
	owned_memory struct change *changes = NULL;
	struct flags flags = { 0 };
	int status = flags_parse(&flags, &verb_unset, argc, argv);
	int count = 0;

	if (status != exit_ok)
		return status;
	argc -= optind;
	argv += optind;
	changes = calloc((size_t)argc + 1, sizeof(*changes));
	while (changes && count < argc) {
		const struct attribute *a = attribute_find_text(argv[count]);

		if (!a)
			break;
		if (a->kind != attribute_policy)
			return output_usage(&verb_unset,
				"%s is no policy: there is nothing to unset",
				a->name);
		changes[count++].attribute = a;
	}
	if (count == 0 && argc > 1)
		return output_usage(&verb_unset, "%s: no such attribute",
			argv[0]);
	if (!changes || count == 0)
		return output_usage(&verb_unset, "NAME is missing");
	if (count == argc)
		return output_usage(&verb_unset, "FILE is missing");
	return change_all(context, changes, count, &flags, argv + count,
		argc - count);
}

const struct verb verb_set = {
	.name = "set",
	.synopsis = "[-R] [-n] [-v] NAME=VALUE... FILE...",
	.summary = "set policies (or do actions) of files and directories",
	.help =
"  -R, --recursive  everything below a directory as well\n"
"  -n, --dry-run    say what would change, change nothing\n"
"  -v, --verbose    say what is changed\n"
"\n"
"A directory's policies are those that new files and directories in it take;\n"
"with -R what is there already gets them, too. The names and their values\n"
"are listed by msyncctl help attributes.\n"
"\n"
"Example: msyncctl set -R sync=relaxed advise=random /mnt/db\n",
	.run = run_set,
};

const struct verb verb_unset = {
	.name = "unset",
	.synopsis = "[-R] [-n] [-v] NAME... FILE...",
	.summary = "remove policies: the mount's default acts again",
	.help =
"  -R, --recursive  everything below a directory as well\n"
"  -n, --dry-run    say what would change, change nothing\n"
"  -v, --verbose    say what is changed\n"
"\n"
"A policy that is not set needs no removing: that is no error.\n"
"\n"
"Example: msyncctl unset -R sync advise /mnt/db\n",
	.run = run_unset,
};
