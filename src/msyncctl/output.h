/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What msyncctl prints: results on standard output as text or JSON, messages
 * on standard error, one line each, control bytes escaped. One thread.
 */
#ifndef MSYNCFS_MSYNCCTL_OUTPUT_H
#define MSYNCFS_MSYNCCTL_OUTPUT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "msyncctl/verb.h"

/* Finds out about the terminal; NO_COLOR and TERM=dumb are obeyed. */
void output_init(struct context *context, const char *program);

/* Asks for the terminal's width again. */
void output_measure(struct context *context);

enum output_style {
	output_plain, /* ends any other */
	output_bold,
	output_dim,
	output_red,
	output_green,
	output_yellow,
	output_blue,
};

/* The escape sequence, or "" where there are no colours. */
const char *output_style(const struct context *context,
			 enum output_style style);

/* "msyncctl: PATH: ..." to standard error; path may be NULL. */
void output_error(const char *path, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Says what is wrong with the command line; returns exit_usage. */
int output_usage(const struct verb *verb, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* A text for standard output: control bytes are escaped. */
void output_text(const char *text);
void output_bytes(const char *text, size_t length);

/*
 * A string of any bytes: what is not UTF-8 becomes U+FFFD, as JSON can't have
 * it. Never NULL; when memory is short the program ends.
 */
json_t *output_json_text(const char *text);
json_t *output_json_bytes(const char *text, size_t length);

/*
 * "KEY=VALUE" lines as an object: whole numbers are numbers, "yes" and "no"
 * booleans, "-" null, a key that comes again makes an array; note always does.
 */
json_t *output_json_lines(const char *text);

/* Prints the value, which is then given up, and a newline. */
void output_json(json_t *value);

/* Flushes standard output; false (and a message) if it could not be written. */
bool output_finish(void);

#endif
