// SPDX-License-Identifier: Apache-2.0
/* getopt's own messages name the program wrongly, so it is kept silent. */
#include "msyncctl/flags.h"

#include "msyncctl/output.h"

bool flags_take(struct flags *flags, int option)
{
	switch (option) {
	case 'R':
		flags->recursive = true;
		return true;
	case 'n':
		flags->dry_run = true;
		return true;
	case 'v':
		flags->verbose = true;
		return true;
	}
	return false;
}

int flags_bad_option(const struct verb *verb, char **argv)
{
	const char *word = argv[optind - 1];

	/* A short option may stand anywhere in its word. */
	if (optopt > 0 && optopt < 256 && word[0] == '-' && word[1] != '-')
		return output_usage(verb, "option -%c is unknown or lacks "
			"its value", optopt);
	return output_usage(verb, "option %s is unknown, or its value is "
		"missing or not wanted", word);
}

int flags_parse(struct flags *flags, const struct verb *verb, int argc,
	char **argv)
{
	static const struct option options[] = { FLAGS_LONG, FLAGS_LONG_END };
	int option;

	while ((option = getopt_long(argc, argv, FLAGS_SHORT, options,
			NULL)) != -1) {
		if (!flags_take(flags, option))
			return flags_bad_option(verb, argv);
	}
	return exit_ok;
}

int flags_none(const struct verb *verb, int argc, char **argv)
{
	static const struct option options[] = { FLAGS_LONG_END };

	if (getopt_long(argc, argv, "", options, NULL) != -1)
		return flags_bad_option(verb, argv);
	return exit_ok;
}
