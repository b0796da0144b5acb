// SPDX-License-Identifier: Apache-2.0
/*
 * A pattern is a row of parts, one for each name, and matching is the same
 * thing twice: two stars stand among the names of a path as one star stands
 * among the characters of a name. Both times the last star seen takes one
 * more whenever what follows it doesn't match. Earlier stars need not be
 * tried again: what stands between two stars is best found as far to the
 * left as possible, because that leaves the most to the rest. So a match
 * costs no more than pattern times path, whatever the pattern is.
 */
#include "core/glob.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum part_kind {
	part_name, /* without wildcards; unescaped */
	part_pattern,
	part_any_depth,
};

struct part {
	enum part_kind kind;
	const char *text;
};

struct glob {
	char *head; /* names, joined */
	size_t count; /* of the parts behind them */
	char *texts; /* where the parts' are */
	struct part parts[];
};

/* ---- one name ----------------------------------------------------------- */

/* Behind the character at text, which is not at the end. */
static const char *next_character(const char *text, const char *end)
{
	unsigned char first = (unsigned char)*text++;

	if (first < 0xc0)
		return text;
	for (int i = 0; i < 3 && text < end; i++) {
		if (((unsigned char)*text & 0xc0) != 0x80)
			break;
		text++;
	}
	return text;
}

/*
 * The next member of a set, *set behind its '['; first: none was taken yet.
 * False at the ']', which *set is then behind of.
 */
static bool next_member(const char **set, bool first, unsigned char *low,
	unsigned char *high)
{
	const char *at = *set;

	if (*at == ']' && !first) {
		*set = at + 1;
		return false;
	}
	at += *at == '\\';
	*low = *high = (unsigned char)*at++;
	if (at[0] == '-' && at[1] != ']' && at[1] != '\0') {
		at += 1 + (at[1] == '\\');
		*high = (unsigned char)*at++;
	}
	*set = at;
	return true;
}

/* Is the character in the set behind the '['? *set is then behind the ']'. */
static bool is_in_set(const char **set, unsigned char character)
{
	bool negated = **set == '!' || **set == '^';
	unsigned char low, high;
	bool found = false;
	bool first = true;

	*set += negated;
	for (; next_member(set, first, &low, &high); first = false)
		found = found || (character >= low && character <= high);
	return found != negated;
}

/*
 * Takes one character off both, if they match; *pattern is at no star and
 * neither is at its end.
 */
static bool take_character(const char **pattern, const char **text,
	const char *end)
{
	const char *at = *pattern;

	switch (*at) {
	case '?':
		at++;
		break;
	case '[':
		at++;
		if (!is_in_set(&at, (unsigned char)**text))
			return false;
		break;
	default:
		at += *at == '\\';
		if (*at++ != **text)
			return false;
		/* A byte for a byte. */
		*pattern = at;
		(*text)++;
		return true;
	}
	*pattern = at;
	*text = next_character(*text, end);
	return true;
}

static bool name_matches(const char *pattern, const char *text,
	const char *end)
{
	const char *star = NULL; /* behind it */
	const char *taken = NULL; /* behind what it has taken */

	for (;;) {
		if (*pattern == '*') {
			star = ++pattern;
			taken = text;
			continue;
		}
		if (*pattern == '\0' && text == end)
			return true;
		if (*pattern != '\0' && text < end &&
			take_character(&pattern, &text, end))
			continue;
		if (!star || taken == end)
			return false;
		taken = next_character(taken, end);
		text = taken;
		pattern = star;
	}
}

/* ---- a path ------------------------------------------------------------- */

static const char *name_end(const char *name)
{
	return name + strcspn(name, "/");
}

/* NULL: there is none. */
static const char *next_name(const char *name)
{
	const char *end = name_end(name);

	return *end == '/' ? end + 1 : NULL;
}

static bool part_matches(const struct part *part, const char *name)
{
	const char *end = name_end(name);
	size_t length = (size_t)(end - name);

	if (part->kind == part_pattern)
		return name_matches(part->text, name, end);
	return strlen(part->text) == length &&
	       memcmp(part->text, name, length) == 0;
}

bool glob_matches_rest(const struct glob *glob, const char *rest,
	bool directory)
{
	const char *taken = NULL; /* the first name that it has not taken */
	size_t star = 0; /* the part behind it; 0: none was seen */
	size_t i = 0;

	for (;;) {
		if (i < glob->count && glob->parts[i].kind == part_any_depth) {
			star = ++i;
			taken = rest;
			if (i == glob->count)
				return rest || directory;
			continue;
		}
		if (i == glob->count && !rest)
			return true;
		if (i < glob->count && rest &&
			part_matches(&glob->parts[i], rest)) {
			rest = next_name(rest);
			i++;
			continue;
		}
		if (star == 0 || !taken)
			return false;
		taken = next_name(taken);
		rest = taken;
		i = star;
	}
}

bool glob_matches(const struct glob *glob, const char *path, bool directory)
{
	size_t head = strlen(glob->head);

	if (head == 0)
		return glob_matches_rest(glob, *path ? path : NULL, directory);
	if (strncmp(path, glob->head, head) != 0)
		return false;
	if (path[head] != '\0' && path[head] != '/')
		return false;
	return glob_matches_rest(glob,
		path[head] == '/' ? path + head + 1 : NULL, directory);
}

const char *glob_head(const struct glob *glob)
{
	return glob->head;
}

/* ---- compiling ---------------------------------------------------------- */

/* Goes over the set behind a '['; NULL, or what was expected. */
static const char *check_set(const char **set)
{
	unsigned char low, high;
	const char *at = *set;
	bool first = true;

	at += *at == '!' || *at == '^';
	for (;; first = false) {
		if (*at == '\0' || (*at == '\\' && at[1] == '\0'))
			return "a ']' to every '[', in the same name";
		if (!next_member(&at, first, &low, &high))
			break;
		if (low == '\0' || high == '\0')
			return "a ']' to every '[', in the same name";
		if (low >= 0x80 || high >= 0x80)
			return "ASCII characters alone between '[' and ']'";
		if (low > high)
			return "ranges such as a-z, the smaller one first";
	}
	*set = at;
	return NULL;
}

/* Of one name; NULL, or what was expected. */
static const char *classify(const char *name, enum part_kind *kind)
{
	const char *expected = NULL;
	const char *at = name;

	*kind = part_name;
	if (strcmp(name, "**") == 0) {
		*kind = part_any_depth;
		return NULL;
	}
	if (*name == '\0')
		return "a name between slashes";
	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return "a path from the store's root without '.' and '..'";
	while (*at != '\0' && !expected) {
		char c = *at++;

		if (c == '*' && *at == '*')
			return "'**' to stand alone between slashes";
		if (c == '\\' && *at == '\0')
			return "a character behind the backslash";
		if (c == '*' || c == '?' || c == '[')
			*kind = part_pattern;
		if (c == '\\')
			at++;
		else if (c == '[')
			expected = check_set(&at);
	}
	return expected;
}

static void unescape(char *text)
{
	char *to = text;

	for (; *text != '\0'; text++) {
		text += *text == '\\';
		*to++ = *text;
	}
	*to = '\0';
}

static void add_to_head(struct glob *glob, const char *name)
{
	if (glob->head[0] != '\0')
		strcat(glob->head, "/");
	strcat(glob->head, name);
}

/* The name is in glob->texts. */
static const char *add_part(struct glob *glob, char *name)
{
	struct part *part = &glob->parts[glob->count];
	const char *expected = classify(name, &part->kind);

	if (expected)
		return expected;
	part->text = name;
	if (part->kind == part_name)
		unescape(name);
	if (part->kind == part_name && glob->count == 0)
		add_to_head(glob, name);
	else if (part->kind != part_any_depth || glob->count == 0 ||
		 part[-1].kind != part_any_depth)
		glob->count++;
	return NULL;
}

static const char *add_parts(struct glob *glob)
{
	static char any_depth[] = "**";
	char *name = glob->texts + (glob->texts[0] == '/');
	const char *expected = NULL;

	while (!expected && name) {
		char *slash = strchr(name, '/');

		if (*name == '\0' && name > glob->texts)
			return add_part(glob, any_depth);
		if (slash)
			*slash++ = '\0';
		expected = add_part(glob, name);
		name = slash;
	}
	return expected;
}

int glob_new(const char *text, size_t length, struct glob **made,
	const char **expected)
{
	struct glob *glob;
	size_t parts = 1;

	for (size_t i = 0; i < length; i++)
		parts += text[i] == '/';
	glob = calloc(1, sizeof(*glob) + parts * sizeof(struct part));
	*made = NULL;
	if (!glob)
		return -ENOMEM;
	glob->texts = strndup(text, length);
	glob->head = calloc(1, length + 1);
	if (!glob->texts || !glob->head) {
		glob_free(glob);
		return -ENOMEM;
	}
	*expected = add_parts(glob);
	if (*expected) {
		glob_free(glob);
		return -EINVAL;
	}
	*made = glob;
	return 0;
}

void glob_free(struct glob *glob)
{
	if (!glob)
		return;
	free(glob->head);
	free(glob->texts);
	free(glob);
}
