// SPDX-License-Identifier: Apache-2.0
/*
 * Most rules begin with names and not with a wildcard. They are sorted by
 * these names (glob_head()), so that only those are looked at whose names the
 * path begins with: ten thousand rules for ten thousand directories cost as
 * much as one. The order in the file decides among what matches, so each rule
 * keeps its line.
 */
#include "core/policy_file.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/glob.h"
#include "util/cleanup.h"
#include "util/line.h"

/* Of a word in a message. */
#define SHOWN_MAX 100

struct rule {
	struct glob *glob;
	struct policy policy;
	unsigned line;
};

struct policy_file {
	_Atomic unsigned refs;
	struct rule *rules; /* by head, then by line */
	size_t count;
	size_t room;
};

struct policy_file *policy_file_get(struct policy_file *file)
{
	atomic_fetch_add(&file->refs, 1);
	return file;
}

void policy_file_put(struct policy_file *file)
{
	if (!file || atomic_fetch_sub(&file->refs, 1) != 1)
		return;
	for (size_t i = 0; i < file->count; i++)
		glob_free(file->rules[i].glob);
	free(file->rules);
	free(file);
}

size_t policy_file_count(const struct policy_file *file)
{
	return file->count;
}

/* ---- parsing ------------------------------------------------------------ */

struct parser {
	struct policy_file *file;
	const char *name;
	bool no_fsync;
	unsigned line;
	const char *at; /* in that line */
	const char *end; /* of that line */
	char *word; /* the last one taken; as long as the longest line */
	char *error;
	size_t error_size;
};

/* file:line: and what was wrong; gives back -errnum. */
#define fail(parser, errnum, format, ...) \
	line_fail((parser)->error, (parser)->error_size, errnum, \
		"%s:%u: " format, (parser)->name, (parser)->line, \
		__VA_ARGS__)

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

/*
 * The next word of the line, without its quotes, and with its backslashes,
 * which are the glob's. 1; 0 at the end of the line or a comment; -EINVAL.
 */
static int take_word(struct parser *parser)
{
	char *to = parser->word;
	bool quoted = false;

	while (parser->at < parser->end && is_blank(*parser->at))
		parser->at++;
	if (parser->at == parser->end || *parser->at == '#')
		return 0;
	while (parser->at < parser->end && (quoted || !is_blank(*parser->at))) {
		char c = *parser->at++;

		if (c == '"') {
			quoted = !quoted;
			continue;
		}
		*to++ = c;
		if (c == '\\' && parser->at < parser->end)
			*to++ = *parser->at++;
	}
	*to = '\0';
	if (quoted)
		return fail(parser, EINVAL,
			"'%.*s': expected a second '\"' in the line",
			SHOWN_MAX, parser->word);
	return 1;
}

static int parse_glob(struct parser *parser, struct rule *rule)
{
	const char *expected;
	int r = glob_new(parser->word, strlen(parser->word), &rule->glob,
		&expected);

	if (r == -EINVAL)
		return fail(parser, EINVAL, "'%.*s': expected %s", SHOWN_MAX,
			parser->word, expected);
	return r;
}

/* What options.c asks of the mount's options holds for rules as well. */
static int check_no_fsync(const struct parser *parser,
	const struct policy *policy, enum policy_name name)
{
	if (!parser->no_fsync)
		return 0;
	if (name == policy_sync && policy->fsync != policy_fsync_defer)
		return fail(parser, EINVAL, "%s: option 'nofsync' has every "
			"fsync return at once: expected sync=relaxed, "
			"sync=manual or another sync=fsync=defer",
			parser->word);
	if (name == policy_map && policy->map == policy_map_staged)
		return fail(parser, EINVAL, "%s: option 'nofsync' keeps every "
			"fsync from msyncfs, and with them the order of "
			"staged files' commits: expected another map",
			parser->word);
	return 0;
}

static int parse_policy(struct parser *parser, struct policy *policy)
{
	char *value = strchr(parser->word, '=');
	enum policy_name name = POLICY_NAMES;
	char error[512];
	int r;

	if (value) {
		*value = '\0';
		name = policy_of_key(parser->word);
		*value++ = '=';
	}
	if (name == POLICY_NAMES)
		return fail(parser, EINVAL, "'%.*s': expected POLICY=VALUE, "
			"of the policies advise, sync, map, data, lock, grow "
			"and append", SHOWN_MAX, parser->word);
	if (policy_has(policy, name))
		return fail(parser, EINVAL, "'%.*s': expected each policy "
			"once in a line", SHOWN_MAX, parser->word);
	r = policy_parse(policy, name, value, strlen(value), error,
		sizeof(error));
	if (r < 0)
		return fail(parser, -r, "%s", error);
	return check_no_fsync(parser, policy, name);
}

static int parse_rule(struct parser *parser, struct rule *rule)
{
	int r = parse_glob(parser, rule);

	while (r == 0) {
		int more = take_word(parser);

		if (more < 0)
			return more;
		if (more == 0)
			break;
		r = parse_policy(parser, &rule->policy);
	}
	if (r == 0 && rule->policy.set == 0)
		return fail(parser, EINVAL, "'%.*s' stands alone: expected a "
			"policy behind it, such as sync=relaxed", SHOWN_MAX,
			parser->word);
	return r;
}

static int parse_line(struct parser *parser)
{
	struct policy_file *file = parser->file;
	struct rule rule = {
		.policy = policy_builtin,
		.line = parser->line,
	};
	int r = take_word(parser);

	if (r <= 0)
		return r;
	if (file->count == file->room) {
		size_t room = 2 * file->room + 16;
		struct rule *rules =
			reallocarray(file->rules, room, sizeof(rule));

		if (!rules)
			return -ENOMEM;
		file->rules = rules;
		file->room = room;
	}
	r = parse_rule(parser, &rule);
	if (r < 0) {
		glob_free(rule.glob);
		return r;
	}
	file->rules[file->count++] = rule;
	return 0;
}

static int by_head(const void *a, const void *b)
{
	const struct rule *one = a;
	const struct rule *two = b;
	int order = strcmp(glob_head(one->glob), glob_head(two->glob));

	if (order != 0)
		return order;
	return (one->line > two->line) - (one->line < two->line);
}

static int parse_lines(struct parser *parser, const char *text, size_t length)
{
	const char *end = text + length;
	const char *zero = memchr(text, '\0', length);

	while (text < end) {
		const char *newline =
			memchr(text, '\n', (size_t)(end - text));
		int r;

		parser->line++;
		parser->at = text;
		parser->end = newline ? newline : end;
		if (zero && zero < parser->end)
			return fail(parser, EINVAL, "%s",
				"a byte 0: expected text");
		r = parse_line(parser);
		if (r < 0)
			return r;
		text = parser->end + 1;
	}
	return 0;
}

int policy_file_parse(const char *name, const char *text, size_t length,
	bool no_fsync, struct policy_file **file, char *error,
	size_t error_size)
{
	/* Some editors begin a file with it: UTF-8's byte order mark. */
	bool marked = length >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0;
	size_t mark = marked ? 3 : 0;
	owned_memory char *word = malloc(length + 1);
	struct parser parser = {
		.file = calloc(1, sizeof(*parser.file)),
		.name = name,
		.no_fsync = no_fsync,
		.word = word,
		.error = error,
		.error_size = error_size,
	};
	int r = -ENOMEM;

	*file = NULL;
	if (parser.file && word) {
		parser.file->refs = 1;
		r = parse_lines(&parser, text + mark, length - mark);
	}
	if (r == -ENOMEM)
		line_fail(error, error_size, ENOMEM, "%s: out of memory",
			name);
	if (r < 0) {
		policy_file_put(parser.file);
		return r;
	}
	if (parser.file->count > 0)
		qsort(parser.file->rules, parser.file->count,
			sizeof(struct rule), by_head);
	*file = parser.file;
	return 0;
}

/* ---- the file ----------------------------------------------------------- */

static int check_owner(const char *path, const struct stat *st, char *error,
	size_t error_size)
{
	if (!S_ISREG(st->st_mode))
		return line_fail(error, error_size, EPERM,
			"policy-file '%s': expected a regular file", path);
	if (st->st_uid != 0 && st->st_uid != geteuid())
		return line_fail(error, error_size, EPERM,
			"policy-file '%s' belongs to user %u, who could "
			"change what a crash may lose: expected one of root's "
			"or of who mounts", path, (unsigned)st->st_uid);
	if (st->st_mode & (S_IWGRP | S_IWOTH))
		return line_fail(error, error_size, EPERM,
			"policy-file '%s' can be written by others than its "
			"owner (mode %o): expected chmod go-w", path,
			(unsigned)(st->st_mode & 07777));
	if (st->st_size > (off_t)POLICY_FILE_MAX)
		return line_fail(error, error_size, EFBIG,
			"policy-file '%s': expected at most 16M", path);
	return 0;
}

/* What is there, up to one byte more than is allowed. */
static ssize_t read_all(int fd, char *text, size_t room)
{
	size_t length = 0;

	while (length < room) {
		ssize_t n = read(fd, text + length, room - length);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0)
			break;
		length += n > 0 ? (size_t)n : 0;
	}
	return (ssize_t)length;
}

int policy_file_read(const char *path, bool no_fsync,
	struct policy_file **file, char *error, size_t error_size)
{
	/* Not waiting for a writer, should it be a FIFO. */
	owned_fd fd = open(path,
		O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	owned_memory char *text = NULL;
	ssize_t length;
	struct stat st;
	int r;

	*file = NULL;
	if (fd < 0 || fstat(fd, &st) < 0)
		return line_fail(error, error_size, errno,
			"policy-file '%s': %s", path, strerror(errno));
	r = check_owner(path, &st, error, error_size);
	if (r < 0)
		return r;
	text = malloc((size_t)st.st_size + 1);
	length = text ? read_all(fd, text, (size_t)st.st_size) : -ENOMEM;
	if (length < 0)
		return line_fail(error, error_size, (int)-length,
			"policy-file '%s': %s", path, strerror((int)-length));
	return policy_file_parse(path, text, (size_t)length, no_fsync, file,
		error, error_size);
}

/* ---- matching ----------------------------------------------------------- */

/* How a rule's head stands to the first length bytes of path. */
static int compare_head(const struct rule *rule, const char *path,
	size_t length)
{
	const char *head = glob_head(rule->glob);
	int order = strncmp(head, path, length);

	if (order != 0)
		return order;
	return head[length] != '\0';
}

/* The first rule whose head is not before that. */
static size_t find_head(const struct policy_file *file, const char *path,
	size_t length)
{
	size_t low = 0;
	size_t high = file->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (compare_head(&file->rules[middle], path, length) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void take(const struct rule *rule, struct policy *policy,
	struct policy_lines *lines)
{
	unsigned set = policy->set;

	for (unsigned i = 0; i < POLICY_NAMES; i++) {
		enum policy_name name = (enum policy_name)i;

		if (!policy_has(&rule->policy, name) ||
			rule->line < lines->of[i])
			continue;
		policy_copy(policy, &rule->policy, name);
		lines->of[i] = rule->line;
	}
	policy->set = set;
}

/* Those whose head is the first length bytes of path; rest may be NULL. */
static void match_under(const struct policy_file *file, const char *path,
	size_t length, const char *rest, bool directory,
	struct policy *policy, struct policy_lines *lines)
{
	for (size_t i = find_head(file, path, length);
		i < file->count &&
		compare_head(&file->rules[i], path, length) == 0;
		i++) {
		const struct rule *rule = &file->rules[i];

		if (glob_matches_rest(rule->glob, rest, directory))
			take(rule, policy, lines);
	}
}

void policy_file_match(const struct policy_file *file, const char *path,
	bool directory, struct policy *policy, struct policy_lines *lines)
{
	const char *end = path;

	*lines = (struct policy_lines){ 0 };
	match_under(file, path, 0, *path ? path : NULL, directory, policy,
		lines);
	while (*end != '\0') {
		end += strcspn(end, "/");
		if (end > path)
			match_under(file, path, (size_t)(end - path),
				*end == '/' ? end + 1 : NULL, directory,
				policy, lines);
		end += *end == '/';
	}
}
