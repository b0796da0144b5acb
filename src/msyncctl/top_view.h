/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What top shows, line by line, for a terminal of any size or for none. Pure
 * but for the locale, which says how wide characters are; one thread.
 */
#ifndef MSYNCFS_MSYNCCTL_TOP_VIEW_H
#define MSYNCFS_MSYNCCTL_TOP_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "msyncctl/top_sample.h"

enum view_style {
	view_plain,
	view_bold,
	view_dim, /* out of date */
	view_alarm,
	view_bar, /* the table's head */
};

struct view_mount {
	const char *mountpoint;
	const struct sample *sample; /* the last one; when is 0: none yet */
	const char *trouble; /* why there is no newer one, or NULL */
	bool stale; /* too old to be taken for the present */
};

struct view {
	const struct view_mount *mounts;
	size_t count;
	size_t selected;
	enum sample_order order;
	const char *clock; /* "14:03:12" */
	double delay; /* seconds */
	bool paused;
	bool help;
	unsigned width; /* columns; nothing is wider */
	unsigned height; /* lines */
	size_t scroll; /* the first file that is shown */
};

/* Gets each line, without a newline. */
struct view_output {
	void (*line)(struct view_output *output, enum view_style style,
		     const char *text);
};

/* The whole screen: never more lines than height. */
void view_draw(const struct view *view, struct view_output *output);

/* How many lines of files view_draw() has room for. */
unsigned view_rows(const struct view *view);

/* One mount with all its files, for paper. */
void view_print(const struct view_mount *mount, unsigned width,
		struct view_output *output);

/*
 * Copies what fits into so many columns. What is cut is marked by "~": at the
 * end, or at the beginning if the end is to be kept. Bytes that are no
 * printable character become "?". Returns the columns used.
 */
unsigned view_fit(char *to, size_t size, const char *text, unsigned columns,
		  bool keep_end);

/* "12.3k"; "-" for what is not known. */
#define VIEW_NUMBER_MAX 64
const char *view_number(char text[VIEW_NUMBER_MAX], double number);

#endif
