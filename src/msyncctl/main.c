// SPDX-License-Identifier: Apache-2.0
/*
 * msyncctl: a verb, its options, its files. What every verb has, --json and
 * --help, is taken out here, wherever it stands before "--".
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "msyncctl/attribute.h"
#include "msyncctl/output.h"

static const struct verb *const verbs[] = {
	&verb_get,
	&verb_set,
	&verb_unset,
	&verb_advise,
	&verb_sync,
	&verb_lock,
	&verb_residency,
	&verb_status,
	&verb_stats,
	&verb_top,
	&verb_doctor,
	&verb_recover,
	&verb_journal,
};
#define VERB_COUNT (sizeof(verbs) / sizeof(verbs[0]))

static const struct verb *find_verb(const char *name)
{
	for (size_t i = 0; i < VERB_COUNT; i++) {
		if (strcmp(verbs[i]->name, name) == 0)
			return verbs[i];
	}
	return NULL;
}

static void print_verbs(FILE *out)
{
	fprintf(out, "usage: msyncctl VERB [options] ARGUMENTS\n"
		"\n"
		"Reads and sets what msyncfs does with files, "
		"recovers stores.\n"
		"\n"
		"Verbs:\n");
	for (size_t i = 0; i < VERB_COUNT; i++)
		fprintf(out, "  %-10s %s\n", verbs[i]->name,
			verbs[i]->summary);
	fprintf(out,
		"  help       help VERB: the same as VERB --help;\n"
		"             help attributes: names and values\n"
		"\n"
		"Options of every verb:\n"
		"  --json         results as JSON\n"
		"  -h, --help     what the verb does, with an example\n"
		"\n"
		"Instead of a verb:\n"
		"  -V, --version  the version\n"
		"\n"
		"Exit status:\n"
		"  0  success\n"
		"  1  a file failed, or doctor found something\n"
		"  2  the command line is wrong\n"
		"  3  a file is on no msyncfs mount, or there is none\n");
}

static int print_help(const struct verb *verb)
{
	printf("usage: msyncctl %s [--json] %s\n"
	       "\n"
	       "msyncctl %s: %s.\n"
	       "\n"
	       "%s",
		verb->name, verb->synopsis, verb->name, verb->summary,
		verb->help);
	return output_finish() ? exit_ok : exit_failed;
}

static json_t *attributes_json(void)
{
	json_t *list = json_array();

	for (const struct attribute *a = attribute_table; a->name; a++) {
		json_t *entry = json_object();

		json_object_set_new(entry, "name", json_string(a->name));
		json_object_set_new(entry, "kind",
			json_string(attribute_kind_name(a->kind)));
		json_object_set_new(entry, "where",
			json_string(attribute_where_name(a->where)));
		json_object_set_new(entry, "values", json_string(a->values));
		json_object_set_new(entry, "help", json_string(a->help));
		json_array_append_new(list, entry);
	}
	return list;
}

static int print_attributes(const struct context *context)
{
	if (context->json) {
		output_json(attributes_json());
		return output_finish() ? exit_ok : exit_failed;
	}
	for (const struct attribute *a = attribute_table; a->name; a++) {
		printf("%s%s%s (%s of %s)\n",
			output_style(context, output_bold), a->name,
			output_style(context, output_plain),
			attribute_kind_name(a->kind),
			attribute_where_name(a->where));
		printf("    %s\n    %s\n", a->help, a->values);
	}
	return output_finish() ? exit_ok : exit_failed;
}

static int run_help(const struct context *context, int argc, char **argv)
{
	const struct verb *verb;

	if (argc < 2 || strcmp(argv[1], "help") == 0) {
		print_verbs(stdout);
		return output_finish() ? exit_ok : exit_failed;
	}
	if (strcmp(argv[1], "attributes") == 0)
		return print_attributes(context);
	verb = find_verb(argv[1]);
	if (verb)
		return print_help(verb);
	output_error(NULL, "%s: no such verb (see msyncctl --help)", argv[1]);
	return exit_usage;
}

/* Takes --json and --help out of argv; the words that are left. */
static int take_common(struct context *context, bool *help, int argc,
	char **argv)
{
	bool options = true;
	int kept = 0;

	for (int i = 0; i < argc; i++) {
		options &= strcmp(argv[i], "--") != 0;
		if (options && strcmp(argv[i], "--json") == 0)
			context->json = true;
		else if (options && (strcmp(argv[i], "--help") == 0 ||
					    strcmp(argv[i], "-h") == 0))
			*help = true;
		else
			argv[kept++] = argv[i];
	}
	argv[kept] = NULL;
	return kept;
}

static bool is_version(const char *word)
{
	return strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0;
}

int main(int argc, char **argv)
{
	struct context context = { 0 };
	const struct verb *verb;
	bool help = false;

	output_init(&context, "msyncctl");
	if (argc == 0)
		return exit_usage;
	argc = take_common(&context, &help, argc - 1, argv + 1);
	argv++;
	if (argc == 0 && !help) {
		print_verbs(stderr);
		return exit_usage;
	}
	if (argc == 0 || strcmp(argv[0], "help") == 0)
		return run_help(&context, argc, argv);
	if (is_version(argv[0])) {
		puts("msyncctl " MSYNCFS_VERSION);
		return output_finish() ? exit_ok : exit_failed;
	}
	verb = find_verb(argv[0]);
	if (!verb) {
		output_error(NULL, "%s: no such %s (see msyncctl --help)",
			argv[0], argv[0][0] == '-' ? "option" : "verb");
		return exit_usage;
	}
	if (help)
		return print_help(verb);
	opterr = 0;
	return verb->run(&context, argc, argv);
}
