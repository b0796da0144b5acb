// SPDX-License-Identifier: Apache-2.0
/*
 * On a terminal top draws a screen (top_screen.c); otherwise, or when asked
 * to, it prints. Rates need two samples, so what is printed is what happened
 * during the delay before.
 */
#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "msyncctl/flags.h"
#include "msyncctl/output.h"
#include "msyncctl/top_mounts.h"
#include "msyncctl/top_screen.h"
#include "msyncctl/top_view.h"
#include "util/cleanup.h"
#include "util/quantity.h"

#define SECOND INT64_C(1000000000)
#define MILLISECOND INT64_C(1000000)
#define PATIENCE (5 * SECOND)
#define DELAY_MIN (SECOND / 10)
#define DELAY_MAX (3600 * SECOND)
#define COUNT_MAX 1000000000
/* Paths are cut for a terminal only. */
#define WIDTH_MAX 4000

struct top {
	struct context *context;
	struct top_mounts mounts;
	int64_t delay;
	long count; /* of snapshots; 0: no end */
	bool batch; /* print, even on a terminal */
	enum sample_order order;
};

/* --- printing ------------------------------------------------------------ */

struct printer {
	struct view_output output; /* first: the view knows only this */
	const struct context *context;
};

static void print_line(struct view_output *output, enum view_style style,
	const char *text)
{
	static const enum output_style styles[] = {
		[view_plain] = output_plain,
		[view_bold] = output_bold,
		[view_dim] = output_dim,
		[view_alarm] = output_red,
		[view_bar] = output_bold,
	};
	const struct printer *printer = (struct printer *)output;
	bool styled = style != view_plain;

	printf("%s%s%s\n",
		styled ? output_style(printer->context, styles[style]) : "",
		text,
		styled ? output_style(printer->context, output_plain) : "");
}

static void print_text(const struct top *top, const struct view_mount *list)
{
	const struct context *context = top->context;
	struct printer printer = { { print_line }, context };

	for (size_t i = 0; i < top->mounts.count; i++) {
		if (i > 0)
			putchar('\n');
		view_print(&list[i], context->tty ? context->width : WIDTH_MAX,
			&printer.output);
	}
}

static void set_number(json_t *object, const char *key, int64_t number)
{
	json_object_set_new(object, key,
		number == SAMPLE_UNKNOWN ? json_null() : json_integer(number));
}

static void set_rate(json_t *object, const char *key, double rate)
{
	json_object_set_new(object, key,
		rate < 0 ? json_null() : json_real(rate));
}

static json_t *json_of_file(const struct sample_file *file)
{
	json_t *object = json_object();

	json_object_set_new(object, "path", output_json_text(file->path));
	set_rate(object, "requests_per_second", file->rate);
	set_number(object, "requests", file->requests);
	set_number(object, "dirty_bytes", file->dirty);
	set_number(object, "sync_ns", file->sync);
	return object;
}

static json_t *json_of_mount(const struct view_mount *mount)
{
	const struct sample *sample = mount->sample;
	json_t *object = json_object();
	json_t *files;

	json_object_set_new(object, "mountpoint",
		output_json_text(mount->mountpoint));
	json_object_set_new(object, "trouble", mount->trouble ?
		output_json_text(mount->trouble) : json_null());
	if (sample->when == 0)
		return object;
	json_object_set_new(object, "store", sample->store ?
		output_json_text(sample->store) : json_null());
	set_rate(object, "requests_per_second", sample->request_rate);
	set_rate(object, "read_bytes_per_second", sample->read_rate);
	set_rate(object, "write_bytes_per_second", sample->write_rate);
	set_number(object, "requests", sample->requests);
	set_number(object, "dirty_bytes", sample->dirty);
	for (unsigned i = 0; i < SAMPLE_NUMBERS; i++)
		set_number(object, sample_key(i), sample->number[i]);
	files = json_array();
	for (size_t i = 0; i < sample->count; i++)
		json_array_append_new(files, json_of_file(&sample->files[i]));
	json_object_set_new(object, "files", files);
	return object;
}

static void print_json(const struct top *top, const struct view_mount *list)
{
	json_t *mounts = json_array();
	json_t *object = json_object();

	for (size_t i = 0; i < top->mounts.count; i++)
		json_array_append_new(mounts, json_of_mount(&list[i]));
	json_object_set_new(object, "time", json_integer(time(NULL)));
	json_object_set_new(object, "mounts", mounts);
	output_json(object);
}

/* --- snapshots ----------------------------------------------------------- */

static void sleep_until(int64_t when)
{
	struct timespec ts = { when / SECOND, when % SECOND };

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL) != 0)
		;
}

/* Asks all mounts and waits for the answers, for a while. */
static void sample_all(struct top_mounts *mounts)
{
	int64_t end = monotonic_now() + PATIENCE;

	top_mounts_look(mounts);
	top_mounts_ask(mounts);
	for (;;) {
		owned_memory struct pollfd *list = NULL;
		int64_t left = end - monotonic_now();
		nfds_t count = 0;

		top_mounts_take(mounts);
		if (!top_mounts_awaited(mounts) || left <= 0)
			return;
		list = calloc(mounts->count, sizeof(*list));
		if (!list)
			return;
		for (size_t i = 0; i < mounts->count; i++) {
			if (mounts->list[i].reader.asked)
				list[count++] = (struct pollfd){
					.fd = mounts->list[i].reader.fd,
					.events = POLLIN,
				};
		}
		poll(list, count, (int)(left / MILLISECOND) + 1);
	}
}

static int print_snapshot(struct top *top)
{
	/* Who has not answered by now has had its time. */
	owned_memory struct view_mount *list = top_mounts_view(&top->mounts,
		PATIENCE - MILLISECOND);
	int status = exit_ok;

	if (top->mounts.count == 0) {
		output_error(NULL, "no msyncfs is mounted any more");
		return exit_no_mount;
	}
	if (!list) {
		output_error(NULL, "out of memory");
		return exit_failed;
	}
	if (top->context->json)
		print_json(top, list);
	else
		print_text(top, list);
	for (size_t i = 0; i < top->mounts.count; i++) {
		if (list[i].trouble)
			status = exit_failed;
	}
	return output_finish() ? status : exit_failed;
}

static int print_all(struct top *top)
{
	int64_t next = monotonic_now() + top->delay;
	int status = exit_ok;
	char clock[16];

	sample_all(&top->mounts);
	for (long i = 0; top->count == 0 || i < top->count; i++) {
		int r;

		sleep_until(next);
		next += top->delay;
		sample_all(&top->mounts);
		if (!top->context->json && top->count != 1)
			printf("%s--- %s\n", i > 0 ? "\n" : "",
				top_clock(clock));
		r = print_snapshot(top);
		if (r != exit_ok)
			status = r;
		/* Nothing will come of it, or nobody reads it. */
		if (r == exit_no_mount || ferror(stdout))
			break;
	}
	return status;
}

/* --- the command line ---------------------------------------------------- */

static int parse_delay(const char *text, int64_t *delay)
{
	char *end;
	double seconds = strtod(text, &end);

	if (end == text || (*end != '\0' && strcmp(end, "s") != 0) ||
		!(seconds >= (double)DELAY_MIN / (double)SECOND) ||
		!(seconds <= (double)DELAY_MAX / (double)SECOND))
		return -1;
	*delay = (int64_t)(seconds * (double)SECOND);
	return 0;
}

static int parse_order(const char *text, enum sample_order *order)
{
	for (unsigned i = 0; i < SAMPLE_ORDERS; i++) {
		if (strcmp(text, sample_order_name(i)) == 0) {
			*order = i;
			return 0;
		}
	}
	return -1;
}

static int parse_count(const char *text, long *count)
{
	char *end;

	*count = strtol(text, &end, 10);
	return end == text || *end != '\0' || *count < 1 ||
		*count > COUNT_MAX ? -1 : 0;
}

enum { option_once = 256 };

static int take_option(struct top *top, int option, char **argv)
{
	switch (option) {
	case 'd':
		if (parse_delay(optarg, &top->delay) < 0)
			return output_usage(&verb_top, "'%s' is no number of "
				"seconds from 0.1 to 3600", optarg);
		return exit_ok;
	case 's':
		if (parse_order(optarg, &top->order) < 0)
			return output_usage(&verb_top, "'%s' is none of "
				"requests, dirty, sync", optarg);
		return exit_ok;
	case 'n':
		top->batch = true;
		if (parse_count(optarg, &top->count) < 0)
			return output_usage(&verb_top, "'%s' is no number of "
				"snapshots", optarg);
		return exit_ok;
	case 'b':
		top->batch = true;
		top->count = 0;
		return exit_ok;
	case option_once:
		top->batch = true;
		top->count = 1;
		return exit_ok;
	default:
		return flags_bad_option(&verb_top, argv);
	}
}

static int run(struct context *context, int argc, char **argv)
{
	static const struct option options[] = {
		{ "batch", no_argument, NULL, 'b' },
		{ "count", required_argument, NULL, 'n' },
		{ "delay", required_argument, NULL, 'd' },
		{ "once", no_argument, NULL, option_once },
		{ "sort", required_argument, NULL, 's' },
		{ NULL, 0, NULL, 0 },
	};
	struct top top = { .context = context, .delay = SECOND, .count = 1 };
	int option, status;

	while ((option = getopt_long(argc, argv, "bd:n:s:", options, NULL)) !=
		-1) {
		status = take_option(&top, option, argv);
		if (status != exit_ok)
			return status;
	}
	status = top_mounts_init(&top.mounts, argc - optind, argv + optind);
	if (status != exit_ok)
		return status;
	top.mounts.order = top.order;
	if (top.batch || context->json || !context->tty ||
		!isatty(STDIN_FILENO))
		status = print_all(&top);
	else
		status = top_screen_run(&top.mounts, top.delay, context);
	top_mounts_fini(&top.mounts);
	return status;
}

const struct verb verb_top = {
	.name = "top",
	.synopsis = "[-d SECONDS] [-s KEY] [--once | -b | -n COUNT] "
		    "[MOUNTPOINT...]",
	.summary = "show what the mounts are doing, on and on",
	.help = "Shows requests, throughput, dirty bytes and sync latency of "
		"each mount, and its\n"
		"busiest and dirtiest files. Without a MOUNTPOINT all mounts "
		"of msyncfs. Where\n"
		"there is no terminal, or with --json, one snapshot is "
		"printed.\n"
		"\n"
		"  -d, --delay=SECONDS  time between two looks, 0.1 to 3600 "
		"(1)\n"
		"  -s, --sort=KEY       requests|dirty|sync: what comes first "
		"(requests)\n"
		"  --once               print one snapshot\n"
		"  -b, --batch          print snapshots until interrupted\n"
		"  -n, --count=COUNT    print so many snapshots\n"
		"\n"
		"Keys: q quits, s changes the order, SPACE pauses, arrows and "
		"pages scroll, TAB\n"
		"or a number shows another mount, ? explains.\n"
		"\n"
		"Example: msyncctl top --sort=dirty /srv/data\n",
	.run = run,
};
