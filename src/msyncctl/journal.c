// SPDX-License-Identifier: Apache-2.0
/*
 * The journal is read twice: once by the reader when it opens it, which
 * checks all of it, and once here. A transaction is printed before the next
 * one is read, as its pages stay only that long.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "msyncctl/flags.h"
#include "msyncctl/output.h"
#include "msyncctl/stores.h"
#include "store/journal_read.h"
#include "util/cleanup.h"
#include "util/quantity.h"

#define SECOND INT64_C(1000000000)
#define TIME_MAX 64

struct task {
	struct report *report;
	bool verbose;
};

static void close_reader(struct journal_reader **reader)
{
	if (*reader)
		journal_reader_close(*reader);
}

#define owned_reader \
	__attribute__((cleanup(close_reader))) struct journal_reader

/* Local time, with milliseconds. */
static const char *show_time(char text[TIME_MAX], int64_t ns)
{
	time_t seconds = (time_t)(ns / SECOND);
	struct tm parts;
	size_t length;

	if (!localtime_r(&seconds, &parts))
		return "at an unknown time";
	length = strftime(text, TIME_MAX, "%Y-%m-%d %H:%M:%S", &parts);
	snprintf(text + length, TIME_MAX - length, ".%03d",
		(int)(ns % SECOND / 1000000));
	return text;
}

/* The pages from i on that follow each other. */
static size_t run_length(const struct journal_change *change, size_t i)
{
	size_t count = 1;

	while (i + count < change->page_count &&
		change->pages[i + count].page == change->pages[i].page + count)
		count++;
	return count;
}

/* --- text ---------------------------------------------------------------- */

static void print_summary(const struct task *task,
	const struct journal_summary *summary)
{
	const struct context *context = task->report->context;
	char size[QUANTITY_TEXT_MAX], used[QUANTITY_TEXT_MAX];

	printf("%sversion%s      %" PRIu32 "\n",
		output_style(context, output_bold),
		output_style(context, output_plain), summary->version);
	printf("size         %s, %s in use\n", quantity_show_size(size,
		       summary->blocks * summary->block_size),
		quantity_show_size(used,
			summary->blocks_used * summary->block_size));
	printf("generation   %" PRIu64 "\n", summary->generation);
	if (summary->transactions > 0)
		printf("commits      %" PRIu64 ", %" PRIu64 " to %" PRIu64
		       "\n", summary->transactions, summary->first_sequence,
			summary->next_sequence - 1);
	else
		printf("commits      none, the next is %" PRIu64 "\n",
			summary->next_sequence);
	if (summary->torn)
		printf("incomplete   one more, which recovery drops\n");
}

/* In pages of 4096 bytes: "pages 0+3 17+1". */
static void print_ranges(const struct journal_change *change)
{
	for (size_t i = 0; i < change->hole_count; i++) {
		const struct journal_hole *hole = &change->holes[i];

		printf("%s %" PRIu64 "+", i == 0 ? "    holes" : "",
			hole->first);
		if (hole->count == JOURNAL_TO_END)
			printf("end");
		else
			printf("%" PRIu64, hole->count);
	}
	if (change->hole_count > 0)
		putchar('\n');
	for (size_t i = 0; i < change->page_count;
		i += run_length(change, i))
		printf("%s %" PRIu64 "+%zu", i == 0 ? "    pages" : "",
			change->pages[i].page, run_length(change, i));
	if (change->page_count > 0)
		putchar('\n');
}

static void print_change(const struct task *task,
	const struct journal_change *change)
{
	printf("  ");
	if (change->path[0] != '\0')
		output_text(change->path);
	else
		printf("inode %" PRIu64, change->id.ino);
	printf(": size %" PRIu64 ", %zu page%s, %zu hole%s\n", change->size,
		change->page_count, change->page_count == 1 ? "" : "s",
		change->hole_count, change->hole_count == 1 ? "" : "s");
	if (task->verbose)
		print_ranges(change);
}

static void print_removal(const struct journal_removal *removal)
{
	printf("  removed: ");
	if (removal->path[0] != '\0') {
		output_text(removal->path);
		putchar('/');
	}
	output_text(removal->name);
	putchar('\n');
}

static void print_transaction(const struct task *task,
	const struct journal_transaction *transaction, uint64_t length)
{
	const struct context *context = task->report->context;
	char size[QUANTITY_TEXT_MAX], when[TIME_MAX];

	printf("\n%scommit %" PRIu64 "%s, %s: %zu file%s, %s\n",
		output_style(context, output_bold), transaction->sequence,
		output_style(context, output_plain),
		show_time(when, transaction->time_ns),
		transaction->change_count,
		transaction->change_count == 1 ? "" : "s",
		quantity_show_size(size, length));
	for (size_t i = 0; i < transaction->change_count; i++)
		print_change(task, &transaction->changes[i]);
	for (size_t i = 0; i < transaction->removal_count; i++)
		print_removal(&transaction->removals[i]);
}

/* --- JSON ---------------------------------------------------------------- */

static json_t *number(uint64_t value)
{
	return json_integer((json_int_t)value);
}

static json_t *summary_json(const struct journal_summary *summary)
{
	json_t *object = json_object();
	char id[40];

	snprintf(id, sizeof(id), "%016" PRIx64 "%016" PRIx64,
		summary->store_id[0], summary->store_id[1]);
	json_object_set_new(object, "version", number(summary->version));
	json_object_set_new(object, "store_id", json_string(id));
	json_object_set_new(object, "size",
		number(summary->blocks * summary->block_size));
	json_object_set_new(object, "used",
		number(summary->blocks_used * summary->block_size));
	json_object_set_new(object, "generation",
		number(summary->generation));
	json_object_set_new(object, "first_sequence",
		number(summary->first_sequence));
	json_object_set_new(object, "next_sequence",
		number(summary->next_sequence));
	json_object_set_new(object, "incomplete",
		json_boolean(summary->torn));
	json_object_set_new(object, "commits", json_array());
	return object;
}

static void append_range(json_t *list, uint64_t first, json_t *count)
{
	json_t *range = json_array();

	json_array_append_new(range, number(first));
	json_array_append_new(range, count);
	json_array_append_new(list, range);
}

static json_t *change_json(const struct journal_change *change)
{
	json_t *object = json_object();
	json_t *holes = json_array();
	json_t *pages = json_array();

	for (size_t i = 0; i < change->hole_count; i++)
		append_range(holes, change->holes[i].first,
			change->holes[i].count == JOURNAL_TO_END ?
				json_null() : number(change->holes[i].count));
	for (size_t i = 0; i < change->page_count;
		i += run_length(change, i))
		append_range(pages, change->pages[i].page,
			number(run_length(change, i)));
	json_object_set_new(object, "path", output_json_text(change->path));
	json_object_set_new(object, "inode", number(change->id.ino));
	json_object_set_new(object, "size", number(change->size));
	json_object_set_new(object, "mtime",
		json_real((double)change->mtime.tv_sec +
			(double)change->mtime.tv_nsec / (double)SECOND));
	json_object_set_new(object, "holes", holes);
	json_object_set_new(object, "pages", pages);
	return object;
}

static json_t *removal_json(const struct journal_removal *removal)
{
	json_t *object = json_object();

	json_object_set_new(object, "directory",
		output_json_text(removal->path));
	json_object_set_new(object, "name", output_json_text(removal->name));
	json_object_set_new(object, "inode", number(removal->file.ino));
	return object;
}

static json_t *transaction_json(const struct journal_transaction *transaction,
	uint64_t length)
{
	json_t *object = json_object();
	json_t *files = json_array();
	json_t *removals = json_array();

	for (size_t i = 0; i < transaction->change_count; i++)
		json_array_append_new(files,
			change_json(&transaction->changes[i]));
	for (size_t i = 0; i < transaction->removal_count; i++)
		json_array_append_new(removals,
			removal_json(&transaction->removals[i]));
	json_object_set_new(object, "sequence",
		number(transaction->sequence));
	json_object_set_new(object, "time",
		json_real((double)transaction->time_ns / (double)SECOND));
	json_object_set_new(object, "bytes", number(length));
	json_object_set_new(object, "files", files);
	json_object_set_new(object, "removals", removals);
	return object;
}

/* --- the verb ------------------------------------------------------------ */

static void tell_nothing(const struct task *task, const char *path)
{
	if (task->report->list) {
		json_object_set_new(report_entry(task->report, path),
			"journal", json_null());
		return;
	}
	output_text(path);
	printf(": no journal\n");
}

/* 0, or what the reader could not read. */
static int tell_all(const struct task *task, const char *path,
	struct journal_reader *reader)
{
	const struct journal_summary *summary = journal_reader_summary(reader);
	struct journal_transaction transaction;
	json_t *object = NULL;
	int r;

	if (task->report->list) {
		object = summary_json(summary);
		json_object_set_new(report_entry(task->report, path),
			"journal", object);
	} else {
		print_summary(task, summary);
	}
	while ((r = journal_reader_next(reader, &transaction)) > 0) {
		uint64_t length = journal_reader_length(reader);

		if (object)
			json_array_append_new(
				json_object_get(object, "commits"),
				transaction_json(&transaction, length));
		else
			print_transaction(task, &transaction, length);
	}
	return r;
}

static void show(const struct task *task, const char *path)
{
	owned_fd fd = stores_open(task->report, path);
	owned_reader *reader = NULL;
	char reason[STORES_REASON_MAX] = "";
	int r;

	if (fd < 0)
		return;
	r = journal_reader_open(fd, &reader, reason, sizeof(reason));
	if (r < 0)
		reader = NULL;
	if (r == -ENOENT) {
		tell_nothing(task, path);
		return;
	}
	if (r == 0)
		r = tell_all(task, path, reader);
	if (r < 0)
		stores_fail(task->report, path, r, reason);
}

static int parse_options(struct task *task, int argc, char **argv)
{
	static const struct option options[] = {
		{ "verbose", no_argument, NULL, 'v' },
		FLAGS_LONG_END,
	};
	int option;

	while ((option = getopt_long(argc, argv, "v", options, NULL)) != -1) {
		if (option != 'v')
			return flags_bad_option(&verb_journal, argv);
		task->verbose = true;
	}
	return exit_ok;
}

static int run_journal(struct context *context, int argc, char **argv)
{
	struct report report;
	struct task task = { .report = &report };
	int status = parse_options(&task, argc, argv);

	if (status != exit_ok)
		return status;
	if (argc - optind != 1)
		return output_usage(&verb_journal, argc == optind ?
			"STORE is missing" : "only one STORE can be shown");
	report_begin(&report, context);
	show(&task, argv[optind]);
	return report_end(&report);
}

const struct verb verb_journal = {
	.name = "journal",
	.synopsis = "[-v] STORE",
	.summary = "show what is in the journal of a store",
	.help =
"The commits of staged files (map=staged) that the journal of a store that\n"
"isn't mounted holds, as a crash or a kill has left it: of each when it was\n"
"made, its files with their size after it, and how many pages are written\n"
"and how many holes are punched. Nothing is changed.\n"
"\n"
"  -v, --verbose  which pages (of 4096 bytes), as FIRST+COUNT\n"
"\n"
"The exit status is 1 if the store is mounted or otherwise in use, and if the\n"
"journal can't be read: damaged, of another store, of a newer version.\n"
"\n"
"Example: msyncctl journal -v /srv/store\n",
	.run = run_journal,
};
