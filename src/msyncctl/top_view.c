// SPDX-License-Identifier: Apache-2.0
/*
 * From the top: the title, a line of all mounts if there are several, four
 * lines of the one that is selected, the table of its files, the keys. When
 * the screen is low the table is what loses lines, then the rest from its
 * end.
 */
#include "msyncctl/top_view.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <wchar.h>

#include "util/quantity.h"

#define LINE_SIZE 4096
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* The title, the mount's lines, the table's head, the keys. */
#define FIXED_LINES 7

static const char *const help_lines[] = {
	"  q           quit",
	"  s           sort by requests, by dirty bytes, by the last sync",
	"  SPACE       pause, and go on",
	"  arrows      scroll; PgUp, PgDn, Home and End too",
	"  TAB, 1-9    the next mount, the mount of that number",
	"  ?           this help, and back",
	"",
	"REQ/S and REQUESTS count what has reached the daemon for a file;",
	"reads and writes on the kernel path do not. DIRTY is what is written",
	"and not yet synced, SYNC how long the last sync took. What is not",
	"known is \"-\". A mount that has trouble has a \"!\" behind its name.",
};

/* --- text ---------------------------------------------------------------- */

/* One character from text: bytes read, columns taken, printable or not. */
struct character {
	size_t bytes;
	unsigned columns;
	bool printable;
};

static struct character next_character(const char *text)
{
	mbstate_t state = { 0 };
	wchar_t wide;
	size_t n = mbrtowc(&wide, text, strlen(text), &state);
	int columns;

	if (n == 0 || n == (size_t)-1 || n == (size_t)-2)
		return (struct character){ 1, 1, false };
	columns = wcwidth(wide);
	if (columns < 0)
		return (struct character){ n, 1, false };
	return (struct character){ n, (unsigned)columns, true };
}

static unsigned columns_of(const char *text)
{
	unsigned columns = 0;

	while (*text != '\0') {
		struct character c = next_character(text);

		columns += c.columns;
		text += c.bytes;
	}
	return columns;
}

/* Skips characters until the rest is at most so wide. */
static const char *skip_to(const char *text, unsigned columns)
{
	unsigned left = columns_of(text);

	while (left > columns) {
		struct character c = next_character(text);

		left -= c.columns;
		text += c.bytes;
	}
	return text;
}

unsigned view_fit(char *to, size_t size, const char *text, unsigned columns,
	bool keep_end)
{
	bool cut = columns_of(text) > columns;
	unsigned room = cut && columns > 0 ? columns - 1 : columns;
	unsigned used = 0;
	size_t filled = 0;

	if (cut && columns > 0 && keep_end && size > 1) {
		to[filled++] = '~';
		text = skip_to(text, room);
	}
	while (*text != '\0') {
		struct character c = next_character(text);

		if (used + c.columns > room || filled + c.bytes + 2 > size)
			break;
		if (c.printable)
			memcpy(to + filled, text, c.bytes);
		else
			to[filled] = '?';
		filled += c.printable ? c.bytes : 1;
		used += c.columns;
		text += c.bytes;
	}
	if (cut && columns > 0 && !keep_end && filled + 1 < size)
		to[filled++] = '~';
	to[filled] = '\0';
	return used + (cut && columns > 0);
}

const char *view_number(char text[VIEW_NUMBER_MAX], double number)
{
	static const char units[] = { 'k', 'M', 'G', 'T' };
	unsigned i = 0;

	if (number < 0)
		return strcpy(text, "-");
	if (number < 9999.5) {
		snprintf(text, VIEW_NUMBER_MAX, "%.*f",
			number > 0 && number < 9.95, number);
		return text;
	}
	for (number /= 1000; number >= 999.95 && i + 1 < COUNT(units); i++)
		number /= 1000;
	snprintf(text, VIEW_NUMBER_MAX, "%.1f%c", number, units[i]);
	return text;
}

static const char *show_size(char text[QUANTITY_TEXT_MAX], double bytes)
{
	if (bytes < 0)
		return strcpy(text, "-");
	return quantity_show_size(text,
		bytes < (double)INT64_MAX ? (uint64_t)bytes : INT64_MAX);
}

/* Nothing takes no time at all: then nothing has been timed yet. */
static const char *show_duration(char text[QUANTITY_TEXT_MAX], int64_t ns)
{
	return ns <= 0 ? strcpy(text, "-") : quantity_show_duration(text, ns);
}

static const char *show_count(char text[VIEW_NUMBER_MAX], int64_t number)
{
	if (number < 0 || number > 9999)
		return view_number(text, (double)number);
	snprintf(text, VIEW_NUMBER_MAX, "%" PRId64, number);
	return text;
}

/* --- lines --------------------------------------------------------------- */

struct drawing {
	struct view_output *output;
	unsigned width;
	unsigned left; /* lines */
};

static void put(struct drawing *drawing, enum view_style style,
	const char *format, ...) __attribute__((format(printf, 3, 4)));

static void put(struct drawing *drawing, enum view_style style,
	const char *format, ...)
{
	char text[LINE_SIZE], line[LINE_SIZE];
	va_list arguments;

	if (drawing->left == 0)
		return;
	drawing->left--;
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	view_fit(line, sizeof(line), text, drawing->width, false);
	drawing->output->line(drawing->output, style, line);
}

static void put_names(struct drawing *drawing, const struct view *view)
{
	char line[LINE_SIZE] = "";
	size_t used = 0;

	for (size_t i = 0; i < view->count && used < sizeof(line) - 1; i++) {
		const struct view_mount *mount = &view->mounts[i];
		bool here = i == view->selected;
		int n = snprintf(line + used, sizeof(line) - used,
			"%s%zu %s%s%s", here ? "[" : " ", i + 1,
			mount->mountpoint, mount->trouble ? " !" : "",
			here ? "]" : " ");

		used += n < 0 ? 0 : (size_t)n;
	}
	put(drawing, view_plain, "%s", line);
}

static void put_head(struct drawing *drawing, const struct view_mount *mount)
{
	const struct sample *sample = mount->sample;
	char up[QUANTITY_TEXT_MAX], where[LINE_SIZE];

	if (sample->when == 0) {
		put(drawing, view_bold, "%s", mount->mountpoint);
		return;
	}
	view_fit(where, sizeof(where), mount->mountpoint,
		drawing->width > 40 ? drawing->width / 2 : 20, true);
	put(drawing, view_bold, "%s  up %s  store %s", where,
		show_duration(up, sample->number[sample_uptime]),
		sample->store ? sample->store : "-");
}

static void put_numbers(struct drawing *drawing,
	const struct view_mount *mount)
{
	const struct sample *sample = mount->sample;
	const int64_t *number = sample->number;
	enum view_style style = mount->stale ? view_dim : view_plain;
	char requests[VIEW_NUMBER_MAX], count[VIEW_NUMBER_MAX];
	char a[QUANTITY_TEXT_MAX], b[QUANTITY_TEXT_MAX], c[QUANTITY_TEXT_MAX];

	if (sample->when == 0) {
		put(drawing, style, "%s", "");
		put(drawing, style, "%s", "");
		return;
	}
	put(drawing, style,
		"requests/s %s  read %s/s  write %s/s  dirty %s  open %s",
		view_number(requests, sample->request_rate),
		show_size(a, sample->read_rate),
		show_size(b, sample->write_rate),
		show_size(c, (double)sample->dirty),
		show_count(count, number[sample_open]));
	put(drawing, style,
		"scheduler waiting %s  fsync p50 %s p99 %s  sync p99 %s",
		show_count(count, number[sample_waiting]),
		show_duration(a, number[sample_fsync_p50]),
		show_duration(b, number[sample_fsync_p99]),
		show_duration(c, number[sample_sync_p99]));
}

static void put_trouble(struct drawing *drawing,
	const struct view_mount *mount)
{
	int64_t errors = mount->sample->number[sample_sync_errors];

	if (mount->trouble)
		put(drawing, view_alarm, "%s", mount->trouble);
	else if (mount->sample->when == 0)
		put(drawing, view_dim, "waiting for the first answer");
	else if (errors > 0)
		put(drawing, view_alarm, "%" PRId64 " sync%s failed: "
			"see the status of the files", errors,
			errors == 1 ? " has" : "s have");
	else
		put(drawing, view_plain, "%s", "");
}

static void put_mount(struct drawing *drawing, const struct view_mount *mount)
{
	put_head(drawing, mount);
	put_numbers(drawing, mount);
	put_trouble(drawing, mount);
}

#define TABLE "%8s %9s %11s %10s  "
#define TABLE_COLUMNS 43

static void put_table_head(struct drawing *drawing)
{
	char line[LINE_SIZE];

	snprintf(line, sizeof(line), TABLE "%s", "REQ/S", "REQUESTS", "DIRTY",
		"SYNC", "FILE");
	/* The bar reaches over the whole line. */
	put(drawing, view_bar, "%-*s", (int)drawing->width, line);
}

static void put_file(struct drawing *drawing, enum view_style style,
	const struct sample_file *file)
{
	char rate[VIEW_NUMBER_MAX], requests[VIEW_NUMBER_MAX];
	char dirty[QUANTITY_TEXT_MAX], sync[QUANTITY_TEXT_MAX];
	char path[LINE_SIZE];
	unsigned room = drawing->width > TABLE_COLUMNS + 8 ?
		drawing->width - TABLE_COLUMNS :
		8;

	view_fit(path, sizeof(path), file->path, room, true);
	put(drawing, style, TABLE "%s", view_number(rate, file->rate),
		show_count(requests, file->requests),
		show_size(dirty, (double)file->dirty),
		show_duration(sync, file->sync), path);
}

static void put_files(struct drawing *drawing, const struct view_mount *mount,
	size_t first, unsigned rows)
{
	const struct sample *sample = mount->sample;
	enum view_style style = mount->stale ? view_dim : view_plain;
	size_t end = first + rows;

	for (size_t i = first; i < end; i++) {
		if (i < sample->count)
			put_file(drawing, style, &sample->files[i]);
		else if (i == 0 && sample->when != 0)
			put(drawing, view_dim, "%s", "no file is open");
		else
			put(drawing, view_plain, "%s", "");
	}
}

static void put_help(struct drawing *drawing, unsigned rows)
{
	for (unsigned i = 0; i < rows; i++)
		put(drawing, view_plain, "%s",
			i < COUNT(help_lines) ? help_lines[i] : "");
}

unsigned view_rows(const struct view *view)
{
	unsigned others = FIXED_LINES + (view->count > 1);

	return view->height > others ? view->height - others : 0;
}

void view_draw(const struct view *view, struct view_output *output)
{
	struct drawing drawing = { output, view->width, view->height };
	unsigned rows = view_rows(view);

	put(&drawing, view_plain, "msyncctl top  %s  every %g s  by %s%s",
		view->clock, view->delay, sample_order_name(view->order),
		view->paused ? "  PAUSED" : "");
	if (view->count > 1)
		put_names(&drawing, view);
	if (view->count > 0) {
		put_mount(&drawing, &view->mounts[view->selected]);
	} else {
		put(&drawing, view_alarm, "no msyncfs mount is left");
		for (unsigned i = 0; i < 3; i++)
			put(&drawing, view_plain, "%s", "");
	}
	put_table_head(&drawing);
	if (view->help)
		put_help(&drawing, rows);
	else if (view->count > 0)
		put_files(&drawing, &view->mounts[view->selected],
			view->scroll, rows);
	while (drawing.left > 1)
		put(&drawing, view_plain, "%s", "");
	put(&drawing, view_dim,
		"q quit  s sort  SPACE pause  TAB next mount  ? help");
}

void view_print(const struct view_mount *mount, unsigned width,
	struct view_output *output)
{
	/* A bar padded with blanks is for the screen. */
	struct drawing drawing = { output, width, ~0u };
	const struct sample *sample = mount->sample;

	put_head(&drawing, mount);
	if (sample->when != 0)
		put_numbers(&drawing, mount);
	if (mount->trouble || sample->number[sample_sync_errors] > 0)
		put_trouble(&drawing, mount);
	if (sample->count == 0)
		return;
	put(&drawing, view_bold, TABLE "%s", "REQ/S", "REQUESTS", "DIRTY",
		"SYNC", "FILE");
	put_files(&drawing, mount, 0, (unsigned)sample->count);
}
