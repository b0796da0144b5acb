// SPDX-License-Identifier: Apache-2.0
/*
 * First the machine, then each mount. Mounts are asked all at once, in two
 * steps: what the daemon has at hand, then what it, or this program, has to
 * ask the store for; so a store that hangs hides no more than itself.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "msyncctl/doctor_mount.h"
#include "msyncctl/flags.h"
#include "msyncctl/mounts.h"
#include "msyncctl/output.h"
#include "msyncctl/top_mounts.h"
#include "util/cleanup.h"
#include "util/line.h"

#define SECOND INT64_C(1000000000)
#define PATIENCE (5 * SECOND)
#define NAME_COLUMNS 13
#define LEVEL_COLUMNS 8
#define WIDTH_LEAST 40
#define WIDTH_MOST 100

/* --- asking -------------------------------------------------------------- */

struct patient {
	struct mount_facts facts;
	struct reading root, store;
};

static int64_t left_until(int64_t end)
{
	int64_t left = end - monotonic_now();

	return left > 0 ? left : 0;
}

/* Waits for one mount's answer to what all have been asked; -errno. */
static int wait_for(struct mount_reader *reader, struct reading *reading,
	int64_t end)
{
	int r;

	if (reader->fd < 0 || !reader->asked)
		return -EPIPE;
	r = mount_reader_wait(reader, reading, left_until(end));
	return r < 0 ? r : 0;
}

static void ask_all(struct top_mounts *mounts, struct patient *patients)
{
	int64_t end = monotonic_now() + PATIENCE;

	for (size_t i = 0; i < mounts->count; i++)
		mount_reader_ask(&mounts->list[i].reader,
			1u << reading_stats | 1u << reading_status);
	for (size_t i = 0; i < mounts->count; i++)
		patients[i].facts.error = wait_for(&mounts->list[i].reader,
			&patients[i].root, end);
	for (size_t i = 0; i < mounts->count; i++) {
		if (patients[i].facts.error == 0 &&
			patients[i].root.error[reading_stats] == 0)
			mount_reader_ask(&mounts->list[i].reader,
				1u << reading_store | 1u << reading_open);
	}
	end = monotonic_now() + PATIENCE;
	for (size_t i = 0; i < mounts->count; i++) {
		struct mount_facts *facts = &patients[i].facts;

		/* What hangs hasn't even been asked. */
		facts->store_error = facts->error < 0 ? facts->error :
			wait_for(&mounts->list[i].reader, &patients[i].store,
				end);
	}
}

static int judge_mounts(struct top_mounts *mounts,
	const struct machine *machine, struct findings *findings)
{
	owned_memory struct patient *patients =
		calloc(mounts->count + 1, sizeof(*patients));

	if (!patients) {
		output_error(NULL, "doctor: out of memory");
		return exit_failed;
	}
	ask_all(mounts, patients);
	for (size_t i = 0; i < mounts->count; i++) {
		struct patient *patient = &patients[i];

		patient->facts.mountpoint = mounts->list[i].mountpoint;
		patient->facts.machine = machine;
		patient->facts.root = &patient->root;
		patient->facts.store = &patient->store;
		mount_judge(&patient->facts, findings);
		reading_free(&patient->root);
		reading_free(&patient->store);
	}
	return exit_ok;
}

/* --- telling ------------------------------------------------------------- */

/* The words of text, in lines that all but the first begin at indent. */
static void print_wrapped(const char *text, unsigned indent, unsigned width)
{
	unsigned column = indent;

	while (*text != '\0') {
		size_t length = strcspn(text, " ");

		if (column > indent && column + 1 + length > width) {
			printf("\n%*s", (int)indent, "");
			column = indent;
		} else if (column > indent) {
			putchar(' ');
			column++;
		}
		printf("%.*s", (int)length, text);
		column += (unsigned)length;
		text += length + (text[length] == ' ');
	}
	putchar('\n');
}

static void print_part(const char *label, const char *text, unsigned indent,
	unsigned width)
{
	char clean[8192];
	int n;

	if (!text)
		return;
	n = snprintf(clean, sizeof(clean), "%s", label);
	line_escape(clean + n, sizeof(clean) - (size_t)n, text);
	if (*label != '\0')
		printf("%*s", (int)indent, "");
	print_wrapped(clean, indent, width);
}

static void print_finding(const struct context *context,
	const struct finding *finding)
{
	static const enum output_style styles[] = {
		[finding_ok] = output_green,
		[finding_costs] = output_yellow,
		[finding_missing] = output_red,
		[finding_broken] = output_red,
	};
	unsigned indent = LEVEL_COLUMNS + NAME_COLUMNS;
	unsigned width = context->width;

	if (width > WIDTH_MOST)
		width = WIDTH_MOST;
	if (width < WIDTH_LEAST)
		width = WIDTH_LEAST;
	printf("%s%-*s%s%-*s", output_style(context, styles[finding->level]),
		LEVEL_COLUMNS, finding_level_name(finding->level),
		output_style(context, output_plain), NAME_COLUMNS,
		finding->name);
	print_part("", finding->text, indent, width);
	print_part("costs: ", finding->cost, indent, width);
	print_part("to do: ", finding->get, indent, width);
}

static void print_text(const struct context *context,
	const struct findings *findings)
{
	const char *mount = NULL;

	for (size_t i = 0; i < findings->count; i++) {
		const struct finding *finding = &findings->list[i];

		if (finding->mount &&
			(!mount || strcmp(mount, finding->mount) != 0)) {
			mount = finding->mount;
			printf("\n%s", output_style(context, output_bold));
			output_text(mount);
			printf("%s\n", output_style(context, output_plain));
		}
		print_finding(context, finding);
	}
}

static json_t *text_or_null(const char *text)
{
	return text ? output_json_text(text) : json_null();
}

static void print_json(const struct findings *findings)
{
	json_t *list = json_array();
	json_t *object = json_object();

	for (size_t i = 0; i < findings->count; i++) {
		const struct finding *finding = &findings->list[i];
		json_t *entry = json_object();

		json_object_set_new(entry, "level",
			json_string(finding_level_name(finding->level)));
		json_object_set_new(entry, "name", json_string(finding->name));
		json_object_set_new(entry, "mountpoint",
			text_or_null(finding->mount));
		json_object_set_new(entry, "text",
			text_or_null(finding->text));
		json_object_set_new(entry, "costs",
			text_or_null(finding->cost));
		json_object_set_new(entry, "to_do", text_or_null(finding->get));
		json_array_append_new(list, entry);
	}
	json_object_set_new(object, "worst", json_string(
		finding_level_name(findings_worst(findings))));
	json_object_set_new(object, "findings", list);
	output_json(object);
}

/* --- the command line ---------------------------------------------------- */

/* Without names a machine with no mount is looked at as well. */
static int find_mounts(struct top_mounts *mounts, int count, char **paths)
{
	owned_mounts all = { 0 };

	*mounts = (struct top_mounts){ 0 };
	if (count == 0 && (mounts_read(&all) < 0 || all.count == 0))
		return exit_ok;
	return top_mounts_init(mounts, count, paths);
}

/* Where a plain user's shell does not look. */
static char *search_path(void)
{
	const char *path = getenv("PATH");
	char *all;

	if (asprintf(&all, "%s:/usr/local/bin:/usr/bin:/bin",
		    path ? path : "") < 0)
		return NULL;
	return all;
}

static int run(struct context *context, int argc, char **argv)
{
	static const struct option options[] = { { NULL, 0, NULL, 0 } };
	owned_memory char *path = NULL;
	owned_findings findings = { 0 };
	struct top_mounts mounts;
	struct machine machine;
	int status;

	if (getopt_long(argc, argv, "", options, NULL) != -1)
		return flags_bad_option(&verb_doctor, argv);
	status = find_mounts(&mounts, argc - optind, argv + optind);
	if (status != exit_ok)
		return status;
	path = search_path();
	machine_look(&machine, "", path ? path : "/usr/bin:/bin");
	machine_judge(&machine, &findings);
	status = judge_mounts(&mounts, &machine, &findings);
	top_mounts_fini(&mounts);
	if (status != exit_ok)
		return status;
	if (context->json)
		print_json(&findings);
	else
		print_text(context, &findings);
	if (!output_finish() || findings_worst(&findings) != finding_ok)
		return exit_failed;
	return exit_ok;
}

const struct verb verb_doctor = {
	.name = "doctor",
	.synopsis = "[MOUNTPOINT...]",
	.summary = "say what is missing, what it costs and what to do",
	.help = "Looks at the kernel, libfuse and the limits that a daemon "
		"started from here\n"
		"would have, then at each MOUNTPOINT (without one: at every "
		"mount of msyncfs):\n"
		"what its daemon could not have, errors, and how much a crash "
		"would take.\n"
		"\n"
		"  ok       as it should be\n"
		"  costs    it works, but slower, or not all of it\n"
		"  missing  something does not work without it\n"
		"  broken   something has gone wrong\n"
		"\n"
		"The exit status is 0 if all is ok, else 1.\n"
		"\n"
		"Example: msyncctl doctor /srv/data\n",
	.run = run,
};
