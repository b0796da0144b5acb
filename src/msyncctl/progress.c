// SPDX-License-Identifier: Apache-2.0
/*
 * The first drawing waits half a second, so that short work shows no bar at
 * all. A name too long for the line loses its beginning: the end tells more.
 */
#include "msyncctl/progress.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "util/line.h"

#define MILLISECOND INT64_C(1000000)
#define FIRST_AFTER (500 * MILLISECOND)
#define AGAIN_AFTER (100 * MILLISECOND)
#define LINE_SIZE 1024
#define BAR_WIDTH 30
#define WIDTH_LEAST 20

static bool drawn;
static int64_t due;

static int64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000 * MILLISECOND + ts.tv_nsec;
}

bool progress_is_seen(void)
{
	const char *term = getenv("TERM");

	return isatty(STDERR_FILENO) && term && strcmp(term, "dumb") != 0;
}

/* Columns, counting each UTF-8 character as one. */
static size_t columns_of(const char *text)
{
	size_t columns = 0;

	for (; *text; text++)
		columns += (*text & 0xc0) != 0x80;
	return columns;
}

static const char *last_columns(const char *text, size_t columns)
{
	size_t skip = columns_of(text);

	skip = skip > columns ? skip - columns : 0;
	while (skip > 0) {
		text++;
		if ((*text & 0xc0) != 0x80)
			skip--;
	}
	return text;
}

void progress_format(char *line, size_t size, unsigned width, double fraction,
	const char *text)
{
	unsigned bar = width > 2 * BAR_WIDTH ? BAR_WIDTH : width / 3;
	unsigned room, full;
	char cells[BAR_WIDTH + 1];

	fraction = fraction < 0 ? 0 : fraction > 1 ? 1 : fraction;
	full = (unsigned)(fraction * bar);
	for (unsigned i = 0; i < bar; i++)
		cells[i] = i < full ? '=' : i == full ? '>' : ' ';
	cells[bar] = '\0';
	/* "[" bar "] 100% " */
	room = width > bar + 8 ? width - bar - 8 : 0;
	snprintf(line, size, "[%s] %3u%% %s", cells,
		(unsigned)(fraction * 100), last_columns(text, room));
}

static unsigned line_width(void)
{
	struct winsize size;

	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) < 0 ||
		size.ws_col < WIDTH_LEAST)
		return 79;
	/* The last column makes some terminals wrap. */
	return size.ws_col - 1u;
}

void progress_show(double fraction, const char *text)
{
	char clean[LINE_SIZE], line[LINE_SIZE];
	int64_t time = now();

	if (!progress_is_seen())
		return;
	if (due == 0)
		due = time + FIRST_AFTER;
	if (time < due)
		return;
	due = time + AGAIN_AFTER;
	line_escape(clean, sizeof(clean), text);
	progress_format(line, sizeof(line), line_width(), fraction, clean);
	fflush(stdout);
	fprintf(stderr, "\r%s\033[K", line);
	fflush(stderr);
	drawn = true;
}

void progress_hide(void)
{
	if (!drawn)
		return;
	fputs("\r\033[K", stderr);
	fflush(stderr);
	drawn = false;
}
