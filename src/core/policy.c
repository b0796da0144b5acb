// SPDX-License-Identifier: Apache-2.0
/*
 * A policy's text is a list of elements. They are taken one by one into a
 * copy, which replaces the caller's value when all were good, so a failure
 * changes nothing.
 *
 * What an element says goes to a slot (the pattern, the meaning of fsync,
 * the chunk, ...). A slot that has been given may be given again only with
 * the same value: of two that differ nobody could say which one was meant.
 * The shortcuts of sync fill slots without giving them, so that elements
 * behind them can say otherwise.
 */
#include "core/policy.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "util/line.h"
#include "util/quantity.h"

#define EVERY_MIN INT64_C(10000000)
#define RELAXED_EVERY INT64_C(5000000000)
/* The smallest page there is, so that a store means the same everywhere. */
#define DIRTY_MIN 4096
#define CHUNK_MIN 4096
/* Of a value in a message: attributes may be 64 KiB long. */
#define SHOWN_MAX 100

const struct policy policy_builtin = { 0 };

static const char *const keys[POLICY_NAMES] = {
	[policy_advise] = "advise",
	[policy_sync] = "sync",
	[policy_map] = "map",
	[policy_data] = "data",
	[policy_lock] = "lock",
	[policy_grow] = "grow",
	[policy_append] = "append",
};

static const char *const patterns[] = {
	[policy_normal] = "normal",
	[policy_random] = "random",
	[policy_sequential] = "sequential",
};

static const char *const huges[] = {
	[policy_hugepage] = "hugepage",
	[policy_nohugepage] = "nohugepage",
};

static const char *const maps[] = {
	[policy_map_shared] = "shared",
	[policy_map_private] = "private",
	[policy_map_staged] = "staged",
};

static const char *const paths[] = {
	[policy_data_auto] = "auto",
	[policy_data_kernel] = "kernel",
	[policy_data_daemon] = "daemon",
};

static const char *const locks[] = {
	[policy_lock_off] = "off",
	[policy_lock_on] = "on",
	[policy_lock_onfault] = "onfault",
};

static const char *const switches[] = {
	[false] = "off",
	[true] = "on",
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum slot {
	slot_pattern,
	slot_huge,
	slot_willneed,
	slot_fsync,
	slot_every,
	slot_dirty,
	slot_close,
	slot_chunk,
	slot_max,
	slot_trim,
};

struct text {
	const char *start;
	size_t length;
};

struct parsing {
	struct policy value;
	enum policy_name name;
	unsigned given; /* slots */
	unsigned count; /* elements before this one */
	bool alone; /* nothing may follow */
	struct text all;
	struct text element;
	char *error;
	size_t error_size;
};

const char *policy_key(enum policy_name name)
{
	assert(name < POLICY_NAMES);
	return keys[name];
}

enum policy_name policy_of_key(const char *key)
{
	enum policy_name name = 0;

	while (name < POLICY_NAMES && strcmp(keys[name], key) != 0)
		name++;
	return name;
}

static bool text_is(const struct text *text, const char *word)
{
	return strlen(word) == text->length &&
	       memcmp(word, text->start, text->length) == 0;
}

/* Is it "KEY..."? Then *rest is what follows. */
static bool text_begins(const struct text *text, const char *key,
	struct text *rest)
{
	size_t length = strlen(key);

	if (text->length < length || memcmp(text->start, key, length) != 0)
		return false;
	*rest = (struct text){ text->start + length, text->length - length };
	return true;
}

static int shown(const struct text *text)
{
	return text->length < SHOWN_MAX ? (int)text->length : SHOWN_MAX;
}

static const char *dots(const struct text *text)
{
	return text->length > SHOWN_MAX ? "..." : "";
}

static int fail(const struct parsing *parsing, int errnum,
	const char *expected)
{
	const struct text *all = &parsing->all;
	const struct text *element = &parsing->element;

	return line_fail(parsing->error, parsing->error_size, errnum,
		"%s=%.*s%s: '%.*s%s': expected %s", keys[parsing->name],
		shown(all), all->start, dots(all), shown(element),
		element->start, dots(element), expected);
}

/* The slot is about to hold something; same: what it holds already. */
static int give(struct parsing *parsing, enum slot slot, bool same)
{
	unsigned bit = 1u << slot;

	if ((parsing->given & bit) && !same)
		return fail(parsing, EINVAL, "nothing that contradicts what "
					     "stands before it");
	parsing->given |= bit;
	return 0;
}

/* The index of the element among the words, or -1. */
static int find_word(const struct parsing *parsing, const char *const *words,
	size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (words[i] != NULL && text_is(&parsing->element, words[i]))
			return (int)i;
	}
	return -1;
}

#define FIND_WORD(parsing, words) find_word(parsing, words, COUNT(words))

static int stand_alone(struct parsing *parsing, const char *expected)
{
	if (parsing->count > 0)
		return fail(parsing, EINVAL, expected);
	parsing->alone = true;
	return 0;
}

static int parse_size(const struct parsing *parsing, const struct text *text,
	uint64_t least, const char *expected, uint64_t *bytes)
{
	int error = quantity_parse_size(text->start, text->length, bytes);

	if (error == -ERANGE)
		return fail(parsing, ERANGE, "less than 8388608T");
	if (error < 0 || *bytes < least)
		return fail(parsing, EINVAL, expected);
	return 0;
}

static int parse_duration(const struct parsing *parsing,
	const struct text *text, int64_t least, const char *too_short,
	int64_t *nanoseconds)
{
	int error = quantity_parse_duration(text->start, text->length,
		nanoseconds);

	if (error == -ERANGE)
		return fail(parsing, ERANGE, "at most 876600h");
	if (error < 0)
		return fail(parsing, EINVAL,
			"a duration such as 500ms, 5s or 2m");
	if (*nanoseconds < least)
		return fail(parsing, EINVAL, too_short);
	return 0;
}

static int parse_advise(struct parsing *parsing)
{
	struct policy *value = &parsing->value;
	int word = FIND_WORD(parsing, patterns);
	int error;

	if (word >= 0) {
		error = give(parsing, slot_pattern,
			value->pattern == (enum policy_pattern)word);
		value->pattern = (enum policy_pattern)word;
		return error;
	}
	word = FIND_WORD(parsing, huges);
	if (word >= 0) {
		error = give(parsing, slot_huge,
			value->huge == (enum policy_huge)word);
		value->huge = (enum policy_huge)word;
		return error;
	}
	if (text_is(&parsing->element, "willneed")) {
		value->willneed = true;
		return 0;
	}
	return fail(parsing, EINVAL, "a list of normal, random or sequential, "
				     "hugepage or nohugepage, and willneed");
}

static int parse_fsync(struct parsing *parsing, const struct text *text)
{
	struct policy *value = &parsing->value;
	enum policy_fsync fsync;
	struct text delay;
	int64_t group = 0;
	int error;

	if (text_is(text, "honor")) {
		fsync = policy_fsync_honor;
	} else if (text_is(text, "defer")) {
		fsync = policy_fsync_defer;
	} else if (text_begins(text, "group:", &delay)) {
		fsync = policy_fsync_group;
		error = parse_duration(parsing, &delay, 1,
			"a duration above 0", &group);
		if (error < 0)
			return error;
	} else {
		return fail(parsing, EINVAL, "fsync=honor, fsync=defer, or "
			"fsync=group: and a duration");
	}
	error = give(parsing, slot_fsync,
		value->fsync == fsync && value->group == group);
	value->fsync = fsync;
	value->group = group;
	return error;
}

static int parse_shortcut(struct parsing *parsing, bool relaxed)
{
	if (parsing->count > 0)
		return fail(parsing, EINVAL,
			"relaxed or manual at the beginning only");
	parsing->value.fsync = policy_fsync_defer;
	if (relaxed) {
		parsing->value.every = RELAXED_EVERY;
		parsing->value.close = true;
	}
	return 0;
}

static int parse_sync(struct parsing *parsing)
{
	struct policy *value = &parsing->value;
	const struct text *element = &parsing->element;
	struct text rest;
	int64_t every;
	uint64_t dirty;
	int error;

	if (text_begins(element, "fsync=", &rest))
		return parse_fsync(parsing, &rest);
	if (text_begins(element, "every=", &rest)) {
		error = parse_duration(parsing, &rest, EVERY_MIN,
			"at least 10ms", &every);
		if (error == 0)
			error = give(parsing, slot_every,
				value->every == every);
		if (error == 0)
			value->every = every;
		return error;
	}
	if (text_begins(element, "dirty=", &rest)) {
		error = parse_size(parsing, &rest, DIRTY_MIN,
			"a size such as 64K or 16M, at least 4096", &dirty);
		if (error == 0)
			error = give(parsing, slot_dirty,
				value->dirty == dirty);
		if (error == 0)
			value->dirty = dirty;
		return error;
	}
	if (text_is(element, "close")) {
		value->close = true;
		return 0;
	}
	if (text_is(element, "strict"))
		return stand_alone(parsing, "strict to stand alone");
	if (text_is(element, "relaxed") || text_is(element, "manual"))
		return parse_shortcut(parsing, text_is(element, "relaxed"));
	return fail(parsing, EINVAL, "strict, relaxed, manual, or a list of "
		"fsync=, every=, dirty= and close");
}

static int parse_map(struct parsing *parsing)
{
	int word = FIND_WORD(parsing, maps);

	if (word < 0)
		return fail(parsing, EINVAL, "shared, private or staged");
	parsing->value.map = (enum policy_map)word;
	parsing->alone = true;
	return 0;
}

static int parse_data(struct parsing *parsing)
{
	int word = FIND_WORD(parsing, paths);

	if (word < 0)
		return fail(parsing, EINVAL, "auto, kernel or daemon");
	parsing->value.data = (enum policy_data)word;
	parsing->alone = true;
	return 0;
}

static int parse_lock(struct parsing *parsing)
{
	int word = FIND_WORD(parsing, locks);

	if (word < 0)
		return fail(parsing, EINVAL, "off, on or onfault");
	parsing->value.lock = (enum policy_lock)word;
	parsing->alone = true;
	return 0;
}

static int parse_append(struct parsing *parsing)
{
	int word = FIND_WORD(parsing, switches);

	if (word < 0)
		return fail(parsing, EINVAL, "on or off");
	parsing->value.append = word > 0;
	parsing->alone = true;
	return 0;
}

static int parse_grow(struct parsing *parsing)
{
	struct policy *value = &parsing->value;
	const struct text *element = &parsing->element;
	struct text rest;
	uint64_t size;
	int error;

	if (text_begins(element, "chunk=", &rest)) {
		error = parse_size(parsing, &rest, CHUNK_MIN,
			"a size such as 64K or 16M, at least 4096", &size);
		if (error == 0)
			error = give(parsing, slot_chunk, value->chunk == size);
		if (error == 0)
			value->chunk = size;
		return error;
	}
	if (text_begins(element, "max=", &rest)) {
		error = parse_size(parsing, &rest, 1,
			"a size such as 64K or 16M, at least 1", &size);
		if (error == 0)
			error = give(parsing, slot_max, value->max == size);
		if (error == 0)
			value->max = size;
		return error;
	}
	if (text_is(element, "trim")) {
		value->trim = true;
		return 0;
	}
	if (text_is(element, "off"))
		return stand_alone(parsing, "off to stand alone");
	return fail(parsing, EINVAL,
		"off, or a list of chunk=, max= and trim");
}

static int parse_element(struct parsing *parsing)
{
	static int (*const parsers[POLICY_NAMES])(struct parsing *) = {
		[policy_advise] = parse_advise,
		[policy_sync] = parse_sync,
		[policy_map] = parse_map,
		[policy_data] = parse_data,
		[policy_lock] = parse_lock,
		[policy_grow] = parse_grow,
		[policy_append] = parse_append,
	};

	if (parsing->alone)
		return fail(parsing, EINVAL, "nothing after what stands alone");
	return parsers[parsing->name](parsing);
}

static bool is_blank_end(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\0';
}

int policy_parse(struct policy *policy, enum policy_name name,
	const char *text, size_t length, char *error, size_t error_size)
{
	struct parsing parsing = {
		.name = name,
		.error = error,
		.error_size = error_size,
	};
	size_t start = 0;

	assert(name < POLICY_NAMES);
	while (length > 0 && is_blank_end(text[length - 1]))
		length--;
	parsing.all = (struct text){ text, length };
	parsing.value = *policy;
	policy_copy(&parsing.value, &policy_builtin, name);
	for (size_t i = 0; i <= length; i++) {
		int result;

		if (i < length && text[i] != '+' && text[i] != ',')
			continue;
		parsing.element = (struct text){ text + start, i - start };
		result = parse_element(&parsing);
		if (result < 0)
			return result;
		parsing.count++;
		start = i + 1;
	}
	parsing.value.set |= 1u << name;
	*policy = parsing.value;
	return 0;
}

/* Appends one element to a list. */
static void append(char text[POLICY_TEXT_MAX], const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void append(char text[POLICY_TEXT_MAX], const char *format, ...)
{
	size_t length = strlen(text);
	va_list arguments;
	int more;

	if (length > 0)
		text[length++] = '+';
	va_start(arguments, format);
	more = vsnprintf(text + length, POLICY_TEXT_MAX - length, format,
		arguments);
	va_end(arguments);
	assert(more >= 0 && length + (size_t)more < POLICY_TEXT_MAX);
}

static void format_advise(const struct policy *policy, char *text)
{
	if (policy->pattern != policy_normal)
		append(text, "%s", patterns[policy->pattern]);
	if (policy->huge != policy_huge_unset)
		append(text, "%s", huges[policy->huge]);
	if (policy->willneed)
		append(text, "willneed");
	if (text[0] == '\0')
		append(text, "normal");
}

static void format_sync(const struct policy *policy, char *text)
{
	char quantity[QUANTITY_TEXT_MAX];

	if (policy->fsync == policy_fsync_defer)
		append(text, "fsync=defer");
	else if (policy->fsync == policy_fsync_group)
		append(text, "fsync=group:%s",
			quantity_format_duration(quantity, policy->group));
	if (policy->every > 0)
		append(text, "every=%s",
			quantity_format_duration(quantity, policy->every));
	if (policy->dirty > 0)
		append(text, "dirty=%s",
			quantity_format_size(quantity, policy->dirty));
	if (policy->close)
		append(text, "close");
	if (text[0] == '\0')
		append(text, "strict");
}

static void format_grow(const struct policy *policy, char *text)
{
	char quantity[QUANTITY_TEXT_MAX];

	if (policy->chunk > 0)
		append(text, "chunk=%s",
			quantity_format_size(quantity, policy->chunk));
	if (policy->max > 0)
		append(text, "max=%s",
			quantity_format_size(quantity, policy->max));
	if (policy->trim)
		append(text, "trim");
	if (text[0] == '\0')
		append(text, "off");
}

size_t policy_format(const struct policy *policy, enum policy_name name,
	char text[POLICY_TEXT_MAX])
{
	assert(name < POLICY_NAMES);
	text[0] = '\0';
	switch (name) {
	case policy_advise:
		format_advise(policy, text);
		break;
	case policy_sync:
		format_sync(policy, text);
		break;
	case policy_map:
		append(text, "%s", maps[policy->map]);
		break;
	case policy_data:
		append(text, "%s", paths[policy->data]);
		break;
	case policy_lock:
		append(text, "%s", locks[policy->lock]);
		break;
	case policy_grow:
		format_grow(policy, text);
		break;
	default:
		append(text, "%s", switches[policy->append]);
		break;
	}
	return strlen(text);
}

void policy_copy(struct policy *policy, const struct policy *from,
	enum policy_name name)
{
	assert(name < POLICY_NAMES);
	policy->set &= ~(1u << name);
	policy->set |= from->set & (1u << name);
	switch (name) {
	case policy_advise:
		policy->pattern = from->pattern;
		policy->huge = from->huge;
		policy->willneed = from->willneed;
		break;
	case policy_sync:
		policy->fsync = from->fsync;
		policy->group = from->group;
		policy->every = from->every;
		policy->dirty = from->dirty;
		policy->close = from->close;
		break;
	case policy_map:
		policy->map = from->map;
		break;
	case policy_data:
		policy->data = from->data;
		break;
	case policy_lock:
		policy->lock = from->lock;
		break;
	case policy_grow:
		policy->chunk = from->chunk;
		policy->max = from->max;
		policy->trim = from->trim;
		break;
	default:
		policy->append = from->append;
		break;
	}
}

void policy_merge(struct policy *effective, const struct policy *own,
	const struct policy *defaults)
{
	struct policy merged = *own;

	for (enum policy_name name = 0; name < POLICY_NAMES; name++) {
		if (!policy_has(own, name))
			policy_copy(&merged, defaults, name);
	}
	merged.set = own->set;
	*effective = merged;
}

bool policy_same(const struct policy *one, const struct policy *other)
{
	char text[POLICY_TEXT_MAX], other_text[POLICY_TEXT_MAX];

	for (enum policy_name name = 0; name < POLICY_NAMES; name++) {
		policy_format(one, name, text);
		policy_format(other, name, other_text);
		if (strcmp(text, other_text) != 0)
			return false;
	}
	return true;
}

const char *policy_needs_daemon(const struct policy *policy, bool *must)
{
	*must = policy->append || policy->max > 0 ||
		policy->map != policy_map_shared;
	if (policy->map == policy_map_staged)
		return "map=staged sees every write";
	if (policy->map == policy_map_private)
		return "map=private sees every write";
	if (policy->append)
		return "append=on sees every write";
	if (policy->max > 0)
		return "grow=max sees every write";
	if (policy->pattern == policy_random)
		return "advise=random acts on the daemon's mapping";
	if (policy->pattern == policy_sequential)
		return "advise=sequential acts on the daemon's mapping";
	if (policy->chunk > 0)
		return "grow=chunk allocates ahead of the writes it sees";
	/* The kernel path may still have the store's file open by then. */
	if (policy->trim)
		return "grow=trim needs the last close to be everyone's";
	return NULL;
}
