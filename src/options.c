// SPDX-License-Identifier: Apache-2.0
/*
 * Arguments are taken apart by hand: getopt(3) keeps state, prints messages
 * of its own and looks at the environment.
 *
 * Everything that can stand in an -o list is a row of `rules`. The last one
 * wins, so a row only ever stores; whatever depends on two options together
 * is decided in finish(), when all have been seen.
 */
#include "options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>

#include "store/journal.h"
#include "util/cleanup.h"
#include "util/line.h"
#include "util/quantity.h"

/* Some 30 years: a timeout for ever, and far from any overflow. */
#define SECONDS_MAX 1e9

#define LATE_FLAGS \
	(MS_NODIRATIME | MS_STRICTATIME | MS_LAZYTIME | MS_NOSYMFOLLOW)
#define ATIME_FLAGS (MS_NOATIME | MS_RELATIME | MS_STRICTATIME)

struct rule;

struct parser {
	struct options *out;
	char *error;
	size_t error_size;

	unsigned positions; /* arguments seen that are no options */

	/* Whether these are errors depends on -s and on remount. */
	char *unknown; /* the first unknown option, owned */
	const struct rule *kernel_rule; /* the first of rule_kernel */
};

enum rule_kind {
	rule_flags, /* mount flags: `clear` goes, then `set` comes */
	rule_switch, /* the bool at `field` becomes `value` */
	rule_allow_other, /* allow_other becomes `value` */
	rule_data,
	rule_threads,
	rule_seconds,
	rule_size, /* at least `set` bytes */
	rule_duration, /* at least `set` ns */
	rule_policy, /* the policy named `value` */
	rule_text,
	rule_fstab, /* for mount(8), not for us */
	rule_default, /* always on, may be asked for */
	rule_kernel, /* the kernel shows it in mountinfo; a remount has it */
};

struct rule {
	const char *name;
	enum rule_kind kind;
	size_t field;
	int value;
	unsigned long set;
	unsigned long clear;
};

#define FLAGS(name, set, clear) { name, rule_flags, 0, 0, set, clear }
#define FIELD(name, kind, field, value) \
	{ name, kind, offsetof(struct options, field), value, 0, 0 }
#define SIZE(name, field, least) \
	{ name, rule_size, offsetof(struct options, field), 0, least, 0 }
#define OTHER(name, kind) { name, kind, 0, 0, 0, 0 }

static const struct rule rules[] = {
	FLAGS("rw", 0, MS_RDONLY),
	FLAGS("ro", MS_RDONLY, 0),
	FLAGS("suid", 0, MS_NOSUID),
	FLAGS("nosuid", MS_NOSUID, 0),
	FLAGS("dev", 0, MS_NODEV),
	FLAGS("nodev", MS_NODEV, 0),
	FLAGS("exec", 0, MS_NOEXEC),
	FLAGS("noexec", MS_NOEXEC, 0),
	FLAGS("async", 0, MS_SYNCHRONOUS),
	FLAGS("sync", MS_SYNCHRONOUS, 0),
	FLAGS("dirsync", MS_DIRSYNC, 0),
	FLAGS("atime", 0, MS_NOATIME),
	FLAGS("noatime", MS_NOATIME, ATIME_FLAGS),
	FLAGS("diratime", 0, MS_NODIRATIME),
	FLAGS("nodiratime", MS_NODIRATIME, 0),
	FLAGS("relatime", MS_RELATIME, ATIME_FLAGS),
	FLAGS("norelatime", 0, MS_RELATIME),
	FLAGS("strictatime", MS_STRICTATIME, ATIME_FLAGS),
	FLAGS("nostrictatime", 0, MS_STRICTATIME),
	FLAGS("lazytime", MS_LAZYTIME, 0),
	FLAGS("nolazytime", 0, MS_LAZYTIME),
	FLAGS("symfollow", 0, MS_NOSYMFOLLOW),
	FLAGS("nosymfollow", MS_NOSYMFOLLOW, 0),

	FIELD("remount", rule_switch, remount, true),
	FIELD("allow_root", rule_switch, allow_root, true),
	FIELD("noallow_root", rule_switch, allow_root, false),
	FIELD("auto_unmount", rule_switch, auto_unmount, true),
	FIELD("noauto_unmount", rule_switch, auto_unmount, false),
	FIELD("cross_mounts", rule_switch, cross_mounts, true),
	FIELD("nocross_mounts", rule_switch, cross_mounts, false),
	FIELD("allow_other", rule_allow_other, allow_other, tristate_yes),
	FIELD("noallow_other", rule_allow_other, allow_other, tristate_no),
	FIELD("nofsync", rule_switch, nofsync, true),
	FIELD("fsync", rule_switch, nofsync, false),
	FIELD("data", rule_data, data, 0),
	FIELD("threads", rule_threads, threads, 0),
	FIELD("attr_timeout", rule_seconds, attr_timeout, 0),
	FIELD("entry_timeout", rule_seconds, entry_timeout, 0),
	FIELD("negative_timeout", rule_seconds, negative_timeout, 0),
	SIZE("lock-limit", lock_limit, 0),
	SIZE("stage-limit", stage_limit, OPTIONS_STAGE_LIMIT_MIN),
	SIZE("journal-size", journal_size, JOURNAL_SIZE_MIN),
	FIELD("discard-journal", rule_switch, discard_journal, true),
	FIELD("policy-file", rule_text, policy_file, 0),
	FIELD("log", rule_text, log_target, 0),
	FIELD("fsname", rule_text, fsname, 0),
	FIELD("metrics", rule_text, metrics_file, 0),
	{ "metrics-every", rule_duration,
		offsetof(struct options, metrics_every), 0,
		OPTIONS_METRICS_EVERY_MIN, 0 },

	FIELD("advise", rule_policy, policy, policy_advise),
	FIELD("sync", rule_policy, policy, policy_sync), /* with a value */
	FIELD("map", rule_policy, policy, policy_map),
	FIELD("lock", rule_policy, policy, policy_lock),
	FIELD("grow", rule_policy, policy, policy_grow),
	FIELD("append", rule_policy, policy, policy_append),

	OTHER("default_permissions", rule_default),
	OTHER("defaults", rule_fstab),
	OTHER("auto", rule_fstab),
	OTHER("noauto", rule_fstab),
	OTHER("user", rule_fstab),
	OTHER("nouser", rule_fstab),
	OTHER("users", rule_fstab),
	OTHER("nousers", rule_fstab),
	OTHER("owner", rule_fstab),
	OTHER("noowner", rule_fstab),
	OTHER("group", rule_fstab),
	OTHER("nogroup", rule_fstab),
	OTHER("nofail", rule_fstab),
	OTHER("_netdev", rule_fstab),
	OTHER("comment", rule_fstab),
	OTHER("uhelper", rule_fstab),
	OTHER("silent", rule_fstab),
	OTHER("loud", rule_fstab),
	OTHER("user_id", rule_kernel),
	OTHER("group_id", rule_kernel),
	OTHER("max_read", rule_kernel),
	OTHER("blksize", rule_kernel),
	OTHER("seclabel", rule_kernel),
};

/* "sync" is a flag and "sync=VALUE" a policy: a flag is found last then. */
static const struct rule *find_rule(const char *name, bool has_value)
{
	static const struct rule extension = OTHER("x-", rule_fstab);
	const struct rule *flag = NULL;

	if (strncmp(name, "x-", 2) == 0 || strncmp(name, "X-", 2) == 0)
		return &extension;
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		if (strcmp(rules[i].name, name) != 0)
			continue;
		if (!has_value || rules[i].kind != rule_flags)
			return &rules[i];
		flag = &rules[i];
	}
	return flag;
}

static const char *expected_value(enum rule_kind kind)
{
	switch (kind) {
	case rule_data:
		return "auto, kernel or daemon";
	case rule_threads:
		return "a number from 2 to 256";
	case rule_seconds:
		return "seconds, such as 0, 0.5 or 60";
	case rule_size:
		return "a size, such as 65536, 64K or 1G";
	case rule_duration:
		return "a time, such as 1s, 30s or 5m";
	case rule_policy:
		return "a policy, see msyncfs-xattr(7)";
	case rule_text:
		return "a text";
	default:
		return NULL;
	}
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Not strtod(3), which knows locales, hexadecimal numbers and infinity. */
static bool parse_seconds(const char *text, double *seconds)
{
	double whole = 0;
	double fraction = 0;
	double unit = 1;

	if (!is_digit(*text))
		return false;
	for (; is_digit(*text); text++)
		whole = whole * 10 + (*text - '0');
	if (*text == '.') {
		text++;
		if (!is_digit(*text))
			return false;
		for (; is_digit(*text); text++) {
			unit /= 10;
			fraction += (*text - '0') * unit;
		}
	}
	if (*text != '\0' || !(whole + fraction <= SECONDS_MAX))
		return false;
	*seconds = whole + fraction;
	return true;
}

static bool parse_threads(const char *text, unsigned *threads)
{
	unsigned number = 0;

	if (*text == '\0')
		return false;
	for (; *text != '\0'; text++) {
		if (!is_digit(*text))
			return false;
		number = number * 10 + (unsigned)(*text - '0');
		if (number > OPTIONS_THREADS_MAX)
			return false;
	}
	if (number < OPTIONS_THREADS_MIN)
		return false;
	*threads = number;
	return true;
}

static bool parse_data(const char *text, enum data_path_choice *data)
{
	static const char *const names[] = {
		[data_auto] = "auto",
		[data_kernel] = "kernel",
		[data_daemon] = "daemon",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(names[i], text) == 0) {
			*data = (enum data_path_choice)i;
			return true;
		}
	}
	return false;
}

static int apply_size(struct parser *parser, const struct rule *rule,
	const char *value, uint64_t *field)
{
	char least[QUANTITY_TEXT_MAX];
	uint64_t bytes;

	if (quantity_parse_size(value, strlen(value), &bytes) < 0)
		return line_fail(parser->error, parser->error_size, EINVAL,
			"option '%s=%s': expected %s", rule->name, value,
			expected_value(rule->kind));
	if (bytes < rule->set)
		return line_fail(parser->error, parser->error_size, EINVAL,
			"option '%s=%s': expected at least %s", rule->name,
			value, quantity_format_size(least, rule->set));
	*field = bytes;
	return 0;
}

static int apply_duration(struct parser *parser, const struct rule *rule,
	const char *value, int64_t *field)
{
	char least[QUANTITY_TEXT_MAX];
	int64_t time;

	if (quantity_parse_duration(value, strlen(value), &time) < 0)
		return line_fail(parser->error, parser->error_size, EINVAL,
			"option '%s=%s': expected %s", rule->name, value,
			expected_value(rule->kind));
	if (time < (int64_t)rule->set)
		return line_fail(parser->error, parser->error_size, EINVAL,
			"option '%s=%s': expected at least %s", rule->name,
			value,
			quantity_format_duration(least, (int64_t)rule->set));
	*field = time;
	return 0;
}

static int keep_text(const char *text, char **field)
{
	char *copy = strdup(text);

	if (copy == NULL)
		return -ENOMEM;
	free(*field);
	*field = copy;
	return 0;
}

static int apply_policy(struct parser *parser, const struct rule *rule,
	const char *value)
{
	int error = policy_parse(&parser->out->policy,
		(enum policy_name)rule->value, value, strlen(value),
		parser->error, parser->error_size);

	return error < 0 ? -EINVAL : 0;
}

static int apply_value(struct parser *parser, const struct rule *rule,
	const char *value)
{
	char *field = (char *)parser->out + rule->field;
	bool good = false;

	if (value == NULL || *value == '\0')
		return line_fail(parser->error, parser->error_size, EINVAL,
			"option '%s' needs a value: expected %s", rule->name,
			expected_value(rule->kind));
	if (rule->kind == rule_policy)
		return apply_policy(parser, rule, value);
	if (rule->kind == rule_size)
		return apply_size(parser, rule, value, (uint64_t *)field);
	if (rule->kind == rule_duration)
		return apply_duration(parser, rule, value, (int64_t *)field);
	if (rule->kind == rule_text)
		return keep_text(value, (char **)field);
	if (rule->kind == rule_seconds)
		good = parse_seconds(value, (double *)field);
	else if (rule->kind == rule_threads)
		good = parse_threads(value, (unsigned *)field);
	else if (rule->kind == rule_data)
		good = parse_data(value, (enum data_path_choice *)field);
	if (!good)
		return line_fail(parser->error, parser->error_size, EINVAL,
			"option '%s=%s': expected %s", rule->name, value,
			expected_value(rule->kind));
	return 0;
}

static void apply_switch(struct options *out, const struct rule *rule)
{
	char *field = (char *)out + rule->field;

	if (rule->kind == rule_flags) {
		out->mount_flags &= ~rule->clear;
		out->mount_flags |= rule->set;
	} else if (rule->kind == rule_switch) {
		*(bool *)field = rule->value != 0;
	} else if (rule->kind == rule_allow_other) {
		*(enum tristate *)field = (enum tristate)rule->value;
	}
}

/* One element of a list, unescaped; it is cut at the equals sign. */
static int apply_option(struct parser *parser, char *option)
{
	char *value = strchr(option, '=');
	const struct rule *rule;

	if (*option == '\0')
		return 0;
	if (value != NULL)
		*value++ = '\0';
	rule = find_rule(option, value != NULL);
	if (rule == NULL) {
		/* -s may still come after the list: finish() decides. */
		if (parser->unknown == NULL)
			return keep_text(option, &parser->unknown);
		return 0;
	}
	switch (rule->kind) {
	case rule_fstab:
		return 0;
	case rule_kernel:
		if (parser->kernel_rule == NULL)
			parser->kernel_rule = rule;
		return 0;
	case rule_flags:
	case rule_switch:
	case rule_allow_other:
	case rule_default:
		if (value != NULL)
			return line_fail(parser->error, parser->error_size,
				EINVAL, "option '%s=%s': '%s' takes no value",
				option, value, option);
		apply_switch(parser->out, rule);
		return 0;
	default:
		return apply_value(parser, rule, value);
	}
}

/*
 * A backslash takes the meaning away from the byte after it, a comma for the
 * most part; libfuse and mount(8) read lists the same way.
 */
static int apply_list(struct parser *parser, const char *list)
{
	owned_memory char *option = malloc(strlen(list) + 1);
	size_t length = 0;

	if (option == NULL)
		return -ENOMEM;
	for (const char *c = list;; c++) {
		if (*c == ',' || *c == '\0') {
			int error;

			option[length] = '\0';
			error = apply_option(parser, option);
			if (error < 0 || *c == '\0')
				return error;
			length = 0;
			continue;
		}
		if (*c == '\\') {
			c++;
			if (*c == '\0')
				return line_fail(parser->error,
					parser->error_size, EINVAL,
					"options '%s': expected a character "
					"after the backslash at the end",
					list);
		}
		option[length++] = *c;
	}
}

static int apply_letter(struct parser *parser, char letter, const char *value)
{
	struct options *out = parser->out;

	switch (letter) {
	case 'h':
		out->help = true;
		break;
	case 'V':
		out->version = true;
		break;
	case 'd':
		out->debug = true;
		break;
	case 'f':
		if (out->helper)
			out->fake_mount = true;
		else
			out->foreground = true;
		break;
	case 's':
		out->sloppy = true;
		break;
	case 'o':
		return apply_list(parser, value);
	default:
		/* n, v, t: mount(8) passes them, they change nothing here. */
		break;
	}
	return 0;
}

/*
 * -fd, -o LIST, -oLIST. *next is the argument after this one, or NULL, and
 * becomes NULL when it was used up as the value.
 */
static int apply_letters(struct parser *parser, const char *argument,
	const char **next)
{
	const char *letters = parser->out->helper ? "hVsfnvo:t:" : "hVfdo:";

	for (const char *c = argument + 1; *c != '\0'; c++) {
		const char *known = *c == ':' ? NULL : strchr(letters, *c);
		const char *value = NULL;
		int error;

		if (known == NULL)
			return line_fail(parser->error, parser->error_size,
				EINVAL, "unknown option '-%c': see --help", *c);
		if (known[1] == ':') {
			value = c[1] != '\0' ? c + 1 : *next;
			if (value == NULL)
				return line_fail(parser->error,
					parser->error_size, EINVAL,
					"option '-%c' needs a value: expected "
					"%s", *c,
					*c == 'o' ? "a list of options"
						  : "a type");
			if (value == *next)
				*next = NULL;
		}
		error = apply_letter(parser, *c, value);
		if (error < 0 || value != NULL)
			return error;
	}
	return 0;
}

static int apply_position(struct parser *parser, const char *argument)
{
	struct options *out = parser->out;

	if (parser->positions == 0)
		out->store = argument;
	else if (parser->positions == 1)
		out->mountpoint = argument;
	else
		return line_fail(parser->error, parser->error_size, EINVAL,
			"unexpected argument '%s': expected one STORE and one "
			"MOUNTPOINT", argument);
	parser->positions++;
	if (*argument == '\0')
		return line_fail(parser->error, parser->error_size, EINVAL,
			"the %s is empty: expected the path of a directory",
			parser->positions == 1 ? "STORE" : "MOUNTPOINT");
	return 0;
}

static int apply_arguments(struct parser *parser, int argc, char **argv)
{
	struct options *out = parser->out;
	bool only_positions = false;

	for (int i = 1; i < argc && !out->help && !out->version; i++) {
		const char *next = i + 1 < argc ? argv[i + 1] : NULL;
		bool had_next = next != NULL;
		int error = 0;

		if (only_positions || argv[i][0] != '-' || argv[i][1] == '\0')
			error = apply_position(parser, argv[i]);
		else if (strcmp(argv[i], "--") == 0)
			only_positions = true;
		else if (strcmp(argv[i], "--help") == 0)
			out->help = true;
		else if (strcmp(argv[i], "--version") == 0)
			out->version = true;
		else if (strcmp(argv[i], "--discard-journal") == 0)
			out->discard_journal = true;
		else if (argv[i][1] == '-')
			error = line_fail(parser->error, parser->error_size,
				EINVAL, "unknown option '%s': see --help",
				argv[i]);
		else
			error = apply_letters(parser, argv[i], &next);
		if (error < 0)
			return error;
		if (had_next && next == NULL)
			i++;
	}
	return 0;
}

/* What libfuse takes, where it is not what libfuse does anyway. */
static int format_mount_opts(unsigned long flags, char **list)
{
	const struct {
		bool listed;
		const char *name;
	} names[] = {
		{ (flags & MS_RDONLY) != 0, "ro" },
		{ (flags & MS_NOSUID) == 0, "suid" },
		{ (flags & MS_NODEV) == 0, "dev" },
		{ (flags & MS_NOEXEC) != 0, "noexec" },
		{ (flags & MS_SYNCHRONOUS) != 0, "sync" },
		{ (flags & MS_DIRSYNC) != 0, "dirsync" },
		{ (flags & MS_NOATIME) != 0, "noatime" },
	};
	char text[64] = "";

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (!names[i].listed)
			continue;
		if (text[0] != '\0')
			strcat(text, ",");
		strcat(text, names[i].name);
	}
	return keep_text(text, list);
}

/* Everything has been seen: what depends on more than one option. */
static int finish(struct parser *parser)
{
	struct options *out = parser->out;

	if (out->help || out->version)
		return 0;
	if (parser->unknown != NULL && !out->sloppy)
		return line_fail(parser->error, parser->error_size, EINVAL,
			"unknown option '%s': %s", parser->unknown,
			options_unknown_advice(parser->unknown));
	if (parser->kernel_rule != NULL && !out->remount)
		return line_fail(parser->error, parser->error_size, EINVAL,
			"option '%s' is the kernel's own: expected only with "
			"remount", parser->kernel_rule->name);
	/* A remount lists the kernel's allow_other next to fstab's options. */
	if (out->allow_other == tristate_yes && out->allow_root &&
		!out->remount)
		return line_fail(parser->error, parser->error_size, EINVAL,
			"options 'allow_other' and 'allow_root' exclude each "
			"other: expected one of them");
	if (out->nofsync && out->policy.fsync != policy_fsync_defer)
		return line_fail(parser->error, parser->error_size, EINVAL,
			"option 'nofsync' has every fsync return at once: "
			"expected it with sync=relaxed, sync=manual or "
			"another sync=fsync=defer");
	/* The order that fsyncs ask for would be lost with them. */
	if (out->nofsync && out->policy.map == policy_map_staged)
		return line_fail(parser->error, parser->error_size, EINVAL,
			"option 'nofsync' keeps every fsync from msyncfs, and "
			"with them the order of staged files' commits: "
			"expected it without map=staged");
	if (parser->positions < 2)
		return line_fail(parser->error, parser->error_size, EINVAL,
			"%s missing: expected msyncfs [-o OPTIONS] STORE "
			"MOUNTPOINT, see --help",
			parser->positions == 0 ? "STORE and MOUNTPOINT are"
					       : "MOUNTPOINT is");
	out->foreground = out->foreground || out->debug;
	out->read_only = (out->mount_flags & MS_RDONLY) != 0;
	out->late_flags = out->mount_flags & LATE_FLAGS;
	return 0;
}

static bool is_helper(const char *program)
{
	const char *slash = strrchr(program, '/');
	const char *name = slash != NULL ? slash + 1 : program;

	return strcmp(name, "mount.msyncfs") == 0 ||
	       strcmp(name, "mount.fuse.msyncfs") == 0;
}

int options_parse(int argc, char **argv, struct options *out, char *error,
	size_t error_size)
{
	struct parser parser = {
		.out = out,
		.error = error,
		.error_size = error_size,
	};
	int result;

	*out = (struct options){
		.helper = argc > 0 && is_helper(argv[0]),
		.attr_timeout = 1,
		.entry_timeout = 1,
		.negative_timeout = 1,
		.policy = policy_builtin,
		.lock_limit = UINT64_MAX,
		.stage_limit = UINT64_MAX,
		.metrics_every = OPTIONS_METRICS_EVERY,
	};
	if (!out->helper)
		out->mount_flags = MS_NOSUID | MS_NODEV;
	result = apply_arguments(&parser, argc, argv);
	if (result == 0)
		result = finish(&parser);
	if (result == 0)
		result = format_mount_opts(out->mount_flags, &out->mount_opts);
	free(parser.unknown);
	if (result == -ENOMEM)
		line_fail(error, error_size, ENOMEM, "out of memory");
	if (result < 0)
		options_fini(out);
	return result;
}

void options_fini(struct options *options)
{
	free(options->policy_file);
	free(options->metrics_file);
	free(options->log_target);
	free(options->fsname);
	free(options->mount_opts);
	*options = (struct options){ 0 };
}
