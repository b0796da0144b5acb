// SPDX-License-Identifier: Apache-2.0
/*
 * Names come from anywhere, so nothing reaches a terminal with its control
 * bytes. Standard output is checked once, at the end: a full disk or a closed
 * pipe must not look like success.
 */
#include "msyncctl/output.h"

#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "msyncctl/attr.h"
#include "util/cleanup.h"
#include "util/line.h"
#include "util/utf8.h"

#define WIDTH_DEFAULT 80
#define MESSAGE_SIZE 8192
/* An array even when it comes once: programs want one type. */
#define KEY_OF_MANY "note"

static unsigned terminal_width(void)
{
	const char *columns = getenv("COLUMNS");
	struct winsize size;
	uint64_t number;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
		return size.ws_col;
	if (columns && attr_number(columns, strlen(columns), &number) &&
		number > 0 && number < 10000)
		return (unsigned)number;
	return WIDTH_DEFAULT;
}

void output_init(struct context *context, const char *program)
{
	const char *no_color = getenv("NO_COLOR");
	const char *term = getenv("TERM");

	setlocale(LC_ALL, "");
	/* Numbers are read by programs as well. */
	setlocale(LC_NUMERIC, "C");
	context->program = program;
	context->tty = isatty(STDOUT_FILENO);
	context->color = context->tty && !(no_color && *no_color) && term &&
			 strcmp(term, "dumb") != 0;
	context->utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
	output_measure(context);
}

void output_measure(struct context *context)
{
	context->width = terminal_width();
}

const char *output_style(const struct context *context,
	enum output_style style)
{
	static const char *const sequences[] = {
		[output_plain] = "\033[0m",
		[output_bold] = "\033[1m",
		[output_dim] = "\033[2m",
		[output_red] = "\033[31m",
		[output_green] = "\033[32m",
		[output_yellow] = "\033[33m",
		[output_blue] = "\033[34m",
	};

	return context->color ? sequences[style] : "";
}

static void print_message(const char *prefix, const char *format,
	va_list arguments) __attribute__((format(printf, 2, 0)));

static void print_message(const char *prefix, const char *format,
	va_list arguments)
{
	char message[MESSAGE_SIZE];
	char line[MESSAGE_SIZE];

	vsnprintf(message, sizeof(message), format, arguments);
	line_escape(line, sizeof(line), message);
	/* Results that belong before the message are there before it. */
	fflush(stdout);
	fprintf(stderr, "msyncctl: %s%s\n", prefix, line);
}

void output_error(const char *path, const char *format, ...)
{
	char prefix[MESSAGE_SIZE] = "";
	va_list arguments;

	if (path) {
		size_t length = line_escape(prefix, sizeof(prefix) - 2, path);

		memcpy(prefix + length, ": ", 3);
	}
	va_start(arguments, format);
	print_message(prefix, format, arguments);
	va_end(arguments);
}

int output_usage(const struct verb *verb, const char *format, ...)
{
	char prefix[64];
	va_list arguments;

	snprintf(prefix, sizeof(prefix), "%s: ", verb->name);
	va_start(arguments, format);
	print_message(prefix, format, arguments);
	va_end(arguments);
	fprintf(stderr, "usage: msyncctl %s %s\n", verb->name, verb->synopsis);
	return exit_usage;
}

static void *made(void *value)
{
	if (!value) {
		fputs("msyncctl: out of memory\n", stderr);
		exit(exit_failed);
	}
	return value;
}

void output_text(const char *text)
{
	/* An escaped byte takes four. */
	size_t size = 4 * strlen(text) + 1;
	owned_memory char *line = made(malloc(size));

	line_escape(line, size, text);
	fputs(line, stdout);
}

void output_bytes(const char *text, size_t length)
{
	owned_memory char *copy = made(strndup(text, length));

	output_text(copy);
}

json_t *output_json_bytes(const char *text, size_t length)
{
	owned_memory char *clean = made(malloc(3 * length + 1));
	size_t used = 0;

	for (size_t i = 0; i < length;) {
		size_t size = utf8_length(text + i, length - i);

		if (size > 0) {
			memcpy(clean + used, text + i, size);
			used += size;
			i += size;
		} else {
			memcpy(clean + used, UTF8_REPLACEMENT, 3);
			used += 3;
			i++;
		}
	}
	return made(json_stringn(clean, used));
}

json_t *output_json_text(const char *text)
{
	return output_json_bytes(text, strlen(text));
}

static bool is_word(const struct attr_pair *pair, const char *word)
{
	return pair->value_length == strlen(word) &&
	       memcmp(pair->value, word, pair->value_length) == 0;
}

static json_t *line_value(const struct attr_pair *pair)
{
	uint64_t number;

	if (is_word(pair, "-"))
		return made(json_null());
	if (is_word(pair, "yes") || is_word(pair, "no"))
		return made(json_boolean(is_word(pair, "yes")));
	if (attr_number(pair->value, pair->value_length, &number) &&
		number <= INT64_MAX)
		return made(json_integer((json_int_t)number));
	return output_json_bytes(pair->value, pair->value_length);
}

json_t *output_json_lines(const char *text)
{
	json_t *object = made(json_object());
	struct attr_pair pair;

	while (attr_next_pair(&text, &pair)) {
		owned_memory char *key =
			made(strndup(pair.key, pair.key_length));
		json_t *value = line_value(&pair);
		json_t *there;

		there = json_object_get(object, key);
		if (!there && strcmp(key, KEY_OF_MANY) == 0) {
			there = made(json_array());
			json_object_set_new(object, key, there);
		}
		if (!there) {
			json_object_set_new(object, key, value);
			continue;
		}
		if (!json_is_array(there)) {
			json_t *array = made(json_array());

			json_array_append(array, there);
			json_object_set_new(object, key, array);
			there = array;
		}
		json_array_append_new(there, value);
	}
	return object;
}

void output_json(json_t *value)
{
	json_dumpf(value, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY);
	putchar('\n');
	json_decref(value);
}

bool output_finish(void)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return true;
	fprintf(stderr, "msyncctl: standard output: %s\n", strerror(errno));
	return false;
}
