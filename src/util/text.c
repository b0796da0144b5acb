// SPDX-License-Identifier: Apache-2.0
#include "util/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#define ROOM_FIRST 4096

struct text {
	char **text;
	size_t *length;
	size_t room;
};

/* A short count is an error to stdio, and stays one. */
static ssize_t append(void *cookie, const char *bytes, size_t count)
{
	struct text *text = cookie;
	size_t room = text->room ? text->room : ROOM_FIRST;
	char *larger;

	while (room - *text->length <= count)
		room *= 2;
	if (room > text->room) {
		larger = realloc(*text->text, room);
		if (!larger)
			return 0;
		*text->text = larger;
		text->room = room;
	}
	memcpy(*text->text + *text->length, bytes, count);
	*text->length += count;
	(*text->text)[*text->length] = '\0';
	return (ssize_t)count;
}

static int finish(void *cookie)
{
	struct text *text = cookie;
	int r = 0;

	/* Nothing was written: a text all the same. */
	if (!*text->text) {
		*text->text = calloc(1, 1);
		r = *text->text ? 0 : -1;
	}
	free(text);
	return r;
}

FILE *text_open(char **text, size_t *length)
{
	static const cookie_io_functions_t functions = {
		.write = append,
		.close = finish,
	};
	struct text *state = malloc(sizeof(*state));
	FILE *stream = NULL;

	*text = NULL;
	*length = 0;
	if (!state)
		return NULL;
	*state = (struct text){ text, length, 0 };
	stream = fopencookie(state, "w", functions);
	if (!stream)
		free(state);
	else
		setvbuf(stream, NULL, _IONBF, 0);
	return stream;
}

int text_close(FILE *stream)
{
	int lost = ferror(stream);

	return fclose(stream) != 0 || lost ? -ENOMEM : 0;
}
