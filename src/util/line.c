// SPDX-License-Identifier: Apache-2.0
/*
 * Only control characters are escaped: they could end the line, forge another
 * one or drive a terminal. Everything else, UTF-8 too, stays readable.
 */
#include "util/line.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* As long as a message with two paths in it can sensibly be. */
#define MESSAGE_SIZE 8192

/* U+0080 to U+009F: terminals take U+009B for ESC [ (ECMA-48). */
static bool begins_c1(const unsigned char *at)
{
	return at[0] == 0xc2 && at[1] >= 0x80 && at[1] < 0xa0;
}

static bool is_control(const unsigned char *text, const unsigned char *at)
{
	return *at < 0x20 || *at == 0x7f || begins_c1(at) ||
	       (at > text && begins_c1(at - 1));
}

size_t line_escape(char *line, size_t size, const char *text)
{
	const unsigned char *begin = (const unsigned char *)text;
	size_t used = 0;

	if (size == 0)
		return 0;
	for (const unsigned char *at = begin; *at != '\0'; at++) {
		unsigned char byte = *at;
		size_t need = is_control(begin, at) ? 4 : 1;

		if (used + need >= size) {
			size_t dots = used < 3 ? used : 3;

			memset(line + used - dots, '.', dots);
			break;
		}
		if (need == 1) {
			line[used] = (char)byte;
		} else {
			line[used] = '\\';
			line[used + 1] = (char)('0' + (byte >> 6));
			line[used + 2] = (char)('0' + (byte >> 3 & 7));
			line[used + 3] = (char)('0' + (byte & 7));
		}
		used += need;
	}
	line[used] = '\0';
	return used;
}

int line_fail(char *line, size_t size, int errnum, const char *format, ...)
{
	char message[MESSAGE_SIZE];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(message, sizeof(message), format, arguments);
	va_end(arguments);
	line_escape(line, size, message);
	return -errnum;
}
