// SPDX-License-Identifier: Apache-2.0
/*
 * The picture is made of residency.map, the numbers below it of residency.
 * The two are read one after the other, so on a busy file they may differ by
 * what happened in between.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "msyncctl/attr.h"
#include "msyncctl/change.h"
#include "msyncctl/output.h"
#include "msyncctl/picture.h"
#include "util/cleanup.h"
#include "util/quantity.h"

#define ROWS_MAX 1000
#define WATCH_DEFAULT INT64_C(1000000000)

struct residency {
	struct report *report;
	const struct attribute *attribute;
	unsigned rows;
	bool named; /* more than one file */
	bool watch;
	int64_t interval; /* nanoseconds */
};

static volatile sig_atomic_t interrupted;

static void interrupt(int number)
{
	(void)number;
	interrupted = 1;
}

static enum output_style style_of(enum picture_state state)
{
	static const enum output_style styles[picture_states] = {
		[picture_absent] = output_dim,
		[picture_partly] = output_green,
		[picture_resident] = output_green,
		[picture_dirty] = output_yellow,
		[picture_writeback] = output_red,
	};

	return styles[state];
}

static void print_symbol(const struct context *context,
	enum picture_state state, bool new_style)
{
	if (new_style)
		printf("%s%s", output_style(context, output_plain),
			output_style(context, style_of(state)));
	fputs(picture_symbol(state, context->utf8), stdout);
}

static void print_cells(const struct context *context,
	const struct picture *picture)
{
	enum picture_state last = picture_states;

	for (unsigned i = 0; i < picture->count; i++) {
		enum picture_state state = picture_state(picture, i);

		if (i > 0 && i % context->width == 0)
			putchar('\n');
		print_symbol(context, state, state != last);
		last = state;
	}
	printf("%s\n", output_style(context, output_plain));
}

static void print_legend(const struct context *context)
{
	for (unsigned state = 0; state < picture_states; state++) {
		print_symbol(context, state, true);
		printf("%s %s%s", output_style(context, output_plain),
			picture_name(state),
			state + 1 < picture_states ? "  " : "\n");
	}
}

/* ", 12 MiB dirty"; nothing for what is not known. */
static void print_amount(const struct picture_amount *amount,
	const char *what)
{
	char text[QUANTITY_TEXT_MAX];

	if (amount->known)
		printf(", %s %s", quantity_show_size(text, amount->bytes),
			what);
}

static void print_summary(const struct picture_totals *totals, uint64_t size)
{
	char resident[QUANTITY_TEXT_MAX], all[QUANTITY_TEXT_MAX];

	printf("%s of %s in memory (%u%%)",
		quantity_show_size(resident, totals->resident.bytes),
		quantity_show_size(all, size),
		picture_percent(totals->resident.bytes, size));
	print_amount(&totals->dirty, "dirty");
	print_amount(&totals->writeback, "being written");
	putchar('\n');
}

static json_t *amount_json(const struct picture_amount *amount)
{
	return amount->known ? json_integer((json_int_t)amount->bytes) :
			       json_null();
}

static void tell_json(json_t *entry, const struct picture *picture,
	const struct picture_totals *totals)
{
	json_t *cells = json_array();

	for (unsigned i = 0; i < picture->count; i++)
		json_array_append_new(cells,
			json_string(picture_name(picture_state(picture, i))));
	json_object_set_new(entry, "size",
		json_integer((json_int_t)picture->size));
	json_object_set_new(entry, "resident", amount_json(&totals->resident));
	json_object_set_new(entry, "dirty", amount_json(&totals->dirty));
	json_object_set_new(entry, "writeback",
		amount_json(&totals->writeback));
	json_object_set_new(entry, "evicted", amount_json(&totals->evicted));
	json_object_set_new(entry, "cells", cells);
}

static void tell_text(const struct residency *residency, const char *path,
	const struct picture *picture, const struct picture_totals *totals)
{
	const struct context *context = residency->report->context;

	if (residency->named) {
		printf("%s", output_style(context, output_bold));
		output_text(path);
		printf(":%s\n", output_style(context, output_plain));
	}
	if (picture->count > 0)
		print_cells(context, picture);
	print_summary(totals, picture->size);
}

/* What may be wrong: -errno of the mount, or -EBADMSG for what it said. */
static int show(struct residency *residency, const struct target *target)
{
	const struct context *context = residency->report->context;
	uint64_t page_size = (uint64_t)sysconf(_SC_PAGESIZE);
	unsigned count = picture_cells(target->size, page_size,
		context->width * residency->rows);
	owned_memory struct picture_cell *cells = NULL;
	owned_memory char *map = NULL, *numbers = NULL;
	struct picture_totals totals;
	struct picture picture;
	int r = attr_get(target->access, "residency.map", &map);

	if (r >= 0)
		r = attr_get(target->access, "residency", &numbers);
	if (r < 0)
		return r;
	cells = malloc((count + 1) * sizeof(*cells));
	if (!cells)
		return -ENOMEM;
	picture_init(&picture, target->size, cells, count);
	if (!picture_read(&picture, map) ||
		!picture_totals(&totals, numbers, page_size, target->size))
		return -EBADMSG;
	if (residency->report->list)
		tell_json(report_entry(residency->report, target->path),
			&picture, &totals);
	else
		tell_text(residency, target->path, &picture, &totals);
	return 0;
}

static void visit(const struct target *target, void *argument)
{
	struct residency *residency = argument;
	char text[CHANGE_REFUSAL_MAX];
	int r;

	if (!change_fits(residency->report, target, residency->attribute))
		return;
	r = show(residency, target);
	if (r == 0)
		return;
	change_refusal(text, residency->attribute, NULL, r);
	report_failure(residency->report, target->path, exit_failed, "%s",
		text);
}

/* Once for all files; what report_end() says. */
static int show_files(struct residency *residency,
	const struct context *context, char **files, int count)
{
	struct report report;
	const struct walk walk = {
		.report = &report,
		.wanted = residency->attribute->where,
		.visit = visit,
		.argument = residency,
	};

	residency->report = &report;
	report_begin(&report, context);
	/* Home and, behind the picture, erase: a clear screen would flicker. */
	if (residency->watch && context->tty && !context->json)
		fputs(context->color ? "\033[H\033[J" : "", stdout);
	walk_files(&walk, files, count);
	if (context->tty && !context->json)
		print_legend(context);
	return report_end(&report);
}

/*
 * False if a signal came, now or before. Signals are let in by ppoll() only,
 * so that none falls between the look and the pause.
 */
static bool pause_for(int64_t interval, const sigset_t *signals)
{
	const struct timespec time = {
		.tv_sec = interval / 1000000000,
		.tv_nsec = interval % 1000000000,
	};
	sigset_t before;

	sigprocmask(SIG_BLOCK, signals, &before);
	if (!interrupted)
		ppoll(NULL, 0, &time, &before);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return !interrupted;
}

static int watch(struct residency *residency, struct context *context,
	char **files, int count)
{
	/* The second one kills, in case a mount does not answer. */
	const struct sigaction action = {
		.sa_handler = interrupt,
		.sa_flags = (int)SA_RESETHAND,
	};
	sigset_t signals;
	int status;

	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	do {
		status = show_files(residency, context, files, count);
		/* A file that is gone, or a closed pipe, ends it. */
		if (status != exit_ok)
			return status;
		output_measure(context);
	} while (pause_for(residency->interval, &signals));
	return exit_ok;
}

enum { option_watch = 256, option_rows };

static int take_number(struct residency *residency, int option,
	const char *text)
{
	uint64_t rows;

	if (option == option_rows) {
		if (!attr_number(text, strlen(text), &rows) || rows == 0 ||
			rows > ROWS_MAX)
			return output_usage(&verb_residency,
				"--rows=%s: expected 1 to %d", text, ROWS_MAX);
		residency->rows = (unsigned)rows;
		return exit_ok;
	}
	residency->watch = true;
	if (text && !picture_parse_interval(text, &residency->interval))
		return output_usage(&verb_residency,
			"--watch=%s: expected seconds, 0.1 to 3600", text);
	return exit_ok;
}

static int run_residency(struct context *context, int argc, char **argv)
{
	static const struct option options[] = {
		{ "watch", optional_argument, NULL, option_watch },
		{ "rows", required_argument, NULL, option_rows },
		FLAGS_LONG_END,
	};
	struct residency residency = {
		.attribute = attribute_find_text("residency"),
		.rows = 1,
		.interval = WATCH_DEFAULT,
	};
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option != option_watch && option != option_rows)
			return flags_bad_option(&verb_residency, argv);
		if (take_number(&residency, option, optarg) != exit_ok)
			return exit_usage;
	}
	if (optind == argc)
		return output_usage(&verb_residency, "FILE is missing");
	residency.named = argc - optind > 1;
	if (residency.watch)
		return watch(&residency, context, argv + optind,
			argc - optind);
	return show_files(&residency, context, argv + optind, argc - optind);
}

const struct verb verb_residency = {
	.name = "residency",
	.synopsis = "[--watch[=SECONDS]] [--rows=N] FILE...",
	.summary = "draw which parts of a file are in memory",
	.help =
"  --watch[=SECONDS]  draw again every SECONDS (1) until interrupted\n"
"  --rows=N           the picture has N lines (1)\n"
"\n"
"Each cell of the picture, which is as wide as the terminal, stands for an\n"
"equal part of the file: in memory, partly in memory, dirty (some of it),\n"
"being written (some of it), or absent.\n"
"\n"
"Example: msyncctl residency --watch=0.5 /mnt/data/big\n",
	.run = run_residency,
};
