/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One line of text for people: an error or a log line stays one line,
 * whatever bytes a file name or an argument in it has. The caller owns the
 * buffer. Any thread.
 */
#ifndef MSYNCFS_UTIL_LINE_H
#define MSYNCFS_UTIL_LINE_H

#include <stddef.h>

/*
 * Copies text to line, size bytes with the final NUL, with each byte of a
 * control character as a backslash and three octal digits. What does not fit
 * is cut off and the line then ends in "...". Returns the length of the line.
 */
size_t line_escape(char *line, size_t size, const char *text);

/*
 * Formats the message of a failure into line, escaped as above, and returns
 * -errnum, so that a function can say and return its failure at once.
 */
int line_fail(char *line, size_t size, int errnum, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

#endif
