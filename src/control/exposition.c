// SPDX-License-Identifier: Apache-2.0
/*
 * See https://prometheus.io/docs/instrumenting/exposition_formats/. A
 * bucket's bound is a power of 2 of nanoseconds, where the histogram's own
 * buckets end, so that nothing has to be guessed: from 2^10 (a microsecond) to
 * 2^36 (69 seconds) in steps of 4.
 *
 * No printf of floating-point numbers: a locale might have its say there.
 */
#include "control/exposition.h"

#include <inttypes.h>
#include <string.h>

#include "util/histogram.h"
#include "util/utf8.h"

#define PREFIX "msyncfs_"
#define FIRST_POWER 10u
#define LAST_POWER 36u
#define POWERS_MAX ((LAST_POWER - FIRST_POWER) / 2 + 1)

/* ---- labels ------------------------------------------------------------ */

/* One character of a label's value; how many bytes of it were taken. */
static size_t put_character(char **to, const char *from)
{
	size_t length = utf8_length(from, strnlen(from, 4));

	if (length == 0) {
		memcpy(*to, UTF8_REPLACEMENT, 3);
		*to += 3;
		return 1;
	}
	if (*from == '\\' || *from == '"' || *from == '\n') {
		*(*to)++ = '\\';
		*(*to)++ = *from == '\n' ? 'n' : *from;
		return 1;
	}
	memcpy(*to, from, length);
	*to += length;
	return length;
}

const char *exposition_value(char text[EXPOSITION_VALUE_MAX],
			     const char *value, size_t most)
{
	const char *end = text + EXPOSITION_VALUE_MAX - 4;
	size_t length = strlen(value);
	char *to = text;

	if (length > most) {
		to = stpcpy(text, "...");
		value += length - most;
		while (((unsigned char)*value & 0xc0) == 0x80)
			value++;
	}
	while (*value && to < end)
		value += put_character(&to, value);
	*to = '\0';
	return text;
}

/* ---- lines ------------------------------------------------------------- */

void exposition_family(struct exposition *this, const char *name,
		       const char *type, const char *help)
{
	fprintf(this->out, "# HELP " PREFIX "%s %s\n# TYPE " PREFIX "%s %s\n",
		name, help, name, type);
}

/* Up to the value; suffix: of a histogram's samples. */
static void put_series(struct exposition *this, const char *name,
		       const char *suffix, const char *more)
{
	bool both = more && this->labels[0];

	fprintf(this->out, PREFIX "%s%s{%s%s%s} ", name, suffix, this->labels,
		both ? "," : "", more ? more : "");
}

/* 1.5, 0.000001024, 3: as short as it can be said. */
static void format_seconds(char text[32], int64_t nanoseconds)
{
	int length = snprintf(text, 32, "%" PRId64 ".%09" PRId64,
			      nanoseconds / 1000000000,
			      nanoseconds % 1000000000);

	while (text[length - 1] == '0')
		text[--length] = '\0';
	if (text[length - 1] == '.')
		text[length - 1] = '\0';
}

void exposition_text(struct exposition *this, const char *name,
		     const char *more, const char *value)
{
	put_series(this, name, "", more);
	fprintf(this->out, "%s\n", value);
}

void exposition_number(struct exposition *this, const char *name,
		       const char *more, uint64_t value)
{
	put_series(this, name, "", more);
	fprintf(this->out, "%" PRIu64 "\n", value);
}

void exposition_seconds(struct exposition *this, const char *name,
			const char *more, int64_t nanoseconds)
{
	char text[32];

	format_seconds(text, nanoseconds);
	exposition_text(this, name, more, text);
}

static void put_bucket(struct exposition *this, const char *name,
		       const char *more, const char *bound, uint64_t count)
{
	char labels[160];

	snprintf(labels, sizeof(labels), "%s%sle=\"%s\"", more ? more : "",
		 more ? "," : "", bound);
	put_series(this, name, "_bucket", labels);
	fprintf(this->out, "%" PRIu64 "\n", count);
}

void exposition_histogram(struct exposition *this, const char *name,
			  const char *more, const struct histogram *histogram,
			  bool fine)
{
	uint64_t below[POWERS_MAX + 1];
	unsigned powers[POWERS_MAX] = { 0 };
	unsigned count = 0;
	char text[32];

	for (unsigned power = FIRST_POWER; fine && power <= LAST_POWER;
	     power += 2)
		powers[count++] = power;
	histogram_below(histogram, powers, count, below);
	for (unsigned i = 0; i < count; i++) {
		format_seconds(text, INT64_C(1) << powers[i]);
		put_bucket(this, name, more, text, below[i]);
	}
	put_bucket(this, name, more, "+Inf", below[count]);
	put_series(this, name, "_sum", more);
	format_seconds(text, (int64_t)histogram->sum);
	fprintf(this->out, "%s\n", text);
	/* Not its own: what was added meanwhile must be in both or in none. */
	put_series(this, name, "_count", more);
	fprintf(this->out, "%" PRIu64 "\n", below[count]);
}
