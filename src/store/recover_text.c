// SPDX-License-Identifier: Apache-2.0
/* Numbers first: whoever reads the log wants to know how much it was. */
#include "store/recover_text.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "util/quantity.h"

static void append(char *text, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void append(char *text, const char *format, ...)
{
	size_t length = strlen(text);
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text + length, RECOVER_TEXT_MAX - length, format, arguments);
	va_end(arguments);
}

static const char *plural(uint64_t count)
{
	return count == 1 ? "" : "s";
}

const char *recover_summary(char text[RECOVER_TEXT_MAX], const char *verb,
			    const struct recovery *recovery)
{
	char size[QUANTITY_TEXT_MAX];

	text[0] = '\0';
	if (recovery->transactions > 0)
		append(text, "%s %" PRIu64 " commit%s: %" PRIu64
		       " change%s of files, %s", verb, recovery->transactions,
		       plural(recovery->transactions), recovery->changes,
		       plural(recovery->changes),
		       quantity_show_size(size, recovery->bytes));
	if (recovery->removals > 0)
		append(text, ", %" PRIu64 " name%s removed",
		       recovery->removals, plural(recovery->removals));
	if (recovery->missing > 0)
		append(text, "; %" PRIu64 " of them of files deleted since",
		       recovery->missing);
	if (recovery->torn)
		append(text, "%sone incomplete commit dropped",
		       text[0] != '\0' ? "; " : "");
	return text;
}
