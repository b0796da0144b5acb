// SPDX-License-Identifier: Apache-2.0
/*
 * A policy that is not set on the file itself still acts: what does, and
 * where it comes from, is in status. --set asks for the attributes themselves.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "msyncctl/attr.h"
#include "msyncctl/change.h"
#include "msyncctl/output.h"
#include "msyncctl/progress.h"
#include "util/cleanup.h"

#define VALUE_MAX 1024
#define FROM_MAX 32

struct get {
	struct report *report;
	const struct attribute **wanted;
	size_t count;
	struct flags flags;
	bool all; /* no names were given: every policy */
	bool set_only, values_only;
	bool named; /* more than one file: each line names its own */
};

static void print_head(const struct get *get, const struct target *target)
{
	if (!get->named)
		return;
	output_text(target->path);
	printf(": ");
}

/* Lines of a status go as they are, without what could drive a terminal. */
static void print_lines(const char *text)
{
	while (*text != '\0') {
		size_t length = strcspn(text, "\n");

		output_bytes(text, length);
		putchar('\n');
		text += length + (text[length] == '\n');
	}
}

static void print_value(const struct get *get, const struct target *target,
	const struct attribute *attribute, const char *value, const char *from)
{
	const struct context *context = get->report->context;
	bool many = strchr(value, '\n') != NULL;

	progress_hide();
	print_head(get, target);
	if (!get->values_only)
		printf("%s%c", attribute->name, many ? '\n' : '=');
	else if (many && get->named)
		putchar('\n');
	if (many) {
		print_lines(value);
		return;
	}
	output_text(value);
	if (!get->values_only && *from && strcmp(from, "file") != 0)
		printf("%s  (%s)%s", output_style(context, output_dim), from,
			output_style(context, output_plain));
	putchar('\n');
}

static void tell(const struct get *get, const struct target *target,
	const struct attribute *attribute, const char *value, const char *from,
	json_t *told)
{
	json_t *entry;

	if (!told) {
		print_value(get, target, attribute, value, from);
		return;
	}
	entry = json_object();
	json_object_set_new(entry, "value", output_json_text(value));
	if (*from)
		json_object_set_new(entry, "from", output_json_text(from));
	json_object_set_new(told, attribute->name, entry);
}

static void fail(const struct get *get, const struct target *target,
	const struct attribute *attribute, int r)
{
	char text[CHANGE_REFUSAL_MAX];

	change_refusal(text, attribute, NULL, r);
	report_failure(get->report, target->path, exit_failed, "%s", text);
}

/* The value that acts. */
static int get_effective(const struct get *get, const struct target *target,
	const struct attribute *attribute, const char *status, json_t *told)
{
	char value[VALUE_MAX], from[FROM_MAX] = "", key[64];

	snprintf(key, sizeof(key), "%s.from", attribute->name);
	attr_line(status, key, from, sizeof(from));
	if (!attr_line(status, attribute->name, value, sizeof(value)))
		return -ENODATA;
	tell(get, target, attribute, value, from, told);
	return 0;
}

/* The attribute of this name, of the file itself. */
static int get_own(const struct get *get, const struct target *target,
	const struct attribute *attribute, json_t *told)
{
	bool is_policy = attribute->kind == attribute_policy;
	owned_memory char *value = NULL;
	int r = attr_get(target->access, attribute->name, &value);

	if (r >= 0)
		tell(get, target, attribute, value, is_policy ? "file" : "",
			told);
	/* Not set: nothing to tell of this file. */
	else if (r == -ENODATA && is_policy)
		r = 0;
	return r < 0 ? r : 0;
}

static int get_one(const struct get *get, const struct target *target,
	const struct attribute *attribute, char **status, json_t *told)
{
	int r;

	if (attribute->kind != attribute_policy || get->set_only)
		return get_own(get, target, attribute, told);
	if (!*status) {
		r = attr_get(target->access, "status", status);
		if (r < 0)
			return r;
	}
	return get_effective(get, target, attribute, *status, told);
}

static void visit(const struct target *target, void *argument)
{
	const struct get *get = argument;
	owned_memory char *status = NULL;
	json_t *told = NULL;

	if (get->report->list) {
		told = json_object();
		json_object_set_new(report_entry(get->report, target->path),
			"attributes", told);
	}
	for (size_t i = 0; i < get->count; i++) {
		int r;

		if (!change_fits(get->report, target, get->wanted[i]))
			continue;
		r = get_one(get, target, get->wanted[i], &status, told);
		if (r < 0)
			fail(get, target, get->wanted[i], r);
	}
}

enum { option_set = 256, option_value };

static int parse_options(struct get *get, int argc, char **argv)
{
	static const struct option options[] = {
		{ "recursive", no_argument, NULL, 'R' },
		{ "set", no_argument, NULL, option_set },
		{ "value", no_argument, NULL, option_value },
		FLAGS_LONG_END,
	};
	int option;

	while ((option = getopt_long(argc, argv, "R", options, NULL)) != -1) {
		if (option == option_set)
			get->set_only = true;
		else if (option == option_value)
			get->values_only = true;
		else if (!flags_take(&get->flags, option))
			return flags_bad_option(&verb_get, argv);
	}
	return exit_ok;
}

/* How many words are names; -1 for one that can't be read. */
static int take_names(struct get *get, int argc, char **argv)
{
	int count = 0;

	for (; count < argc; count++) {
		const struct attribute *a = attribute_find_text(argv[count]);

		if (!a)
			break;
		if (a->kind == attribute_action) {
			output_usage(&verb_get, "%s can only be set", a->name);
			return -1;
		}
		get->wanted[get->count++] = a;
	}
	if (count > 0)
		return count;
	for (const struct attribute *a = attribute_table; a->name; a++) {
		if (a->kind == attribute_policy)
			get->wanted[get->count++] = a;
	}
	get->all = true;
	return 0;
}

static size_t table_length(void)
{
	size_t count = 0;

	while (attribute_table[count].name)
		count++;
	return count;
}

static int run_get(struct context *context, int argc, char **argv)
{
	owned_memory const struct attribute **wanted = NULL;
	struct report report;
	struct get get = { .report = &report };
	struct walk walk = {
		.report = &report,
		.visit = visit,
		.argument = &get,
	};
	int status = parse_options(&get, argc, argv);
	int names;

	if (status != exit_ok)
		return status;
	argc -= optind;
	argv += optind;
	wanted = calloc(table_length() + (size_t)argc, sizeof(*wanted));
	if (!wanted)
		return exit_failed;
	get.wanted = wanted;
	names = take_names(&get, argc, argv);
	if (names < 0)
		return exit_usage;
	if (names == argc)
		return output_usage(&verb_get, "FILE is missing");
	get.named = get.flags.recursive || argc - names > 1;
	if (get.all && get.flags.recursive)
		get.set_only = true;
	for (size_t i = 0; i < get.count; i++)
		walk.wanted |= get.wanted[i]->where;
	walk.recursive = get.flags.recursive;
	report_begin(&report, context);
	walk_files(&walk, argv + names, argc - names);
	return report_end(&report);
}

const struct verb verb_get = {
	.name = "get",
	.synopsis = "[-R] [--set] [--value] [NAME...] FILE...",
	.summary = "show policies: what acts, and where it comes from",
	.help =
"  -R, --recursive  everything below a directory as well; without a NAME\n"
"                   only what is set, as with --set\n"
"  --set            only what is set on the file itself\n"
"  --value          the values only, for scripts\n"
"\n"
"Without a NAME all policies are shown. A value that is not the file's own\n"
"is followed by where it comes from: (policy-file:LINE), (mount) its options,\n"
"(builtin). What else can be read (residency, residency.map, status; stats\n"
"and files of a mountpoint) can be named, too.\n"
"\n"
"Example: msyncctl get sync /mnt/db/journal\n",
	.run = run_get,
};
