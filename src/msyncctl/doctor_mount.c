// SPDX-License-Identifier: Apache-2.0
/*
 * A mount that does not answer is told as that and nothing else. What the
 * user has asked for (data=daemon) is no finding.
 */
#include "msyncctl/doctor_mount.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "msyncctl/attr.h"
#include "util/quantity.h"

#define VALUE_MAX 256
#define SECOND INT64_C(1000000000)
/* A limit is near when nine tenths are in use. */
#define NEAR(used, limit) ((used) >= (limit) - (limit) / 10)

struct judge {
	const struct mount_facts *facts;
	const char *stats;
	const char *status; /* may be "" */
	struct findings *findings;
};

static struct finding *add(const struct judge *judge,
	enum finding_level level, const char *name)
{
	return findings_add(judge->findings, level, judge->facts->mountpoint,
		name);
}

static bool stat_is(const struct judge *judge, const char *key,
	const char *wanted)
{
	char value[VALUE_MAX];

	return attr_line(judge->stats, key, value, sizeof(value)) &&
	       strcmp(value, wanted) == 0;
}

static void judge_daemon(const struct judge *judge)
{
	char version[VALUE_MAX], libfuse[VALUE_MAX], up[QUANTITY_TEXT_MAX];
	struct version parsed;
	struct finding *finding;
	uint64_t uptime;

	if (!attr_line(judge->stats, "version", version, sizeof(version)))
		strcpy(version, "?");
	if (!attr_line(judge->stats, "libfuse", libfuse, sizeof(libfuse)))
		strcpy(libfuse, "?");
	if (!attr_line_number(judge->stats, "uptime", &uptime) ||
		uptime > INT64_MAX)
		uptime = 0;
	quantity_show_duration(up, (int64_t)uptime);
	if (!version_parse(&parsed, libfuse) ||
		version_is_least(&parsed, 3, 14)) {
		finding_text(add(judge, finding_ok, "daemon"),
			"msyncfs %s with libfuse %s, up %s", version, libfuse,
			up);
		return;
	}
	finding = finding_text(add(judge, finding_costs, "daemon"),
		"msyncfs %s with libfuse %s", version, libfuse);
	finding_cost(finding, "no passthrough");
	finding_get(finding, "libfuse 3.14 or newer, and a new mount");
}

static void judge_passthrough(const struct judge *judge)
{
	const struct machine *machine = judge->facts->machine;
	char data[VALUE_MAX];
	struct finding *finding;

	if (attr_line(judge->status, "data", data, sizeof(data)) &&
		strcmp(data, "daemon") == 0) {
		finding_text(add(judge, finding_ok, "passthrough"),
			"not wanted (data=daemon)");
		return;
	}
	if (stat_is(judge, "passthrough", "yes")) {
		finding_text(add(judge, finding_ok, "passthrough"), "granted");
		return;
	}
	finding = finding_text(add(judge, finding_costs, "passthrough"),
		"the daemon has none");
	finding_cost(finding, "every read and write is a request to the "
		"daemon");
	if (!version_is_least(&machine->kernel, 6, 9))
		finding_get(finding, "Linux 6.9 or newer");
	else
		finding_get(finding, "mount as root (CAP_SYS_ADMIN), with "
			"libfuse 3.14 or newer");
}

static void judge_kernel_services(const struct judge *judge)
{
	struct finding *finding;

	if (stat_is(judge, "cachestat", "no")) {
		finding = finding_text(add(judge, finding_costs, "cachestat"),
			"the daemon has none");
		finding_cost(finding, "dirty pages are not counted%s",
			stat_is(judge, "passthrough", "yes") ? ", and "
			"dirty=SIZE can't see what is written on the kernel "
			"path" : "");
		finding_get(finding, "Linux 6.5 or newer; in a container or "
			"service, let system call 451 through");
	}
	/* Without passthrough the daemon clears such bits with each write. */
	if (stat_is(judge, "killpriv", "no") &&
		stat_is(judge, "passthrough", "yes")) {
		finding = finding_text(add(judge, finding_costs, "killpriv"),
			"the kernel has not granted it");
		finding_cost(finding, "each write asks the daemon for "
			"security.capability first");
		finding_get(finding, "Linux 5.12 or newer");
	}
}

static void judge_store(const struct judge *judge)
{
	const struct mount_facts *facts = judge->facts;
	const char *text = facts->store_error < 0 ?
		NULL : facts->store->text[reading_store];
	char store[4096], type[VALUE_MAX] = "?", policies[VALUE_MAX];
	struct finding *finding;

	if (!attr_line(judge->stats, "store", store, sizeof(store)))
		strcpy(store, "?");
	if (text)
		attr_line(text, "type", type, sizeof(type));
	if (!attr_line(judge->status, "policies", policies,
		    sizeof(policies)) ||
		strcmp(policies, "memory") != 0) {
		finding_text(add(judge, finding_ok, "store"),
			"%s on %s keeps policies", store, type);
		return;
	}
	finding = finding_text(add(judge, finding_costs, "store"),
		"%s on %s takes no user attributes, or is full", store, type);
	finding_cost(finding, "policies are forgotten at the unmount");
	finding_get(finding, "a store on ext4, XFS, btrfs, or tmpfs of Linux "
		"6.6 and newer, with room");
}

static void judge_lock(const struct judge *judge)
{
	char now[QUANTITY_TEXT_MAX], most[QUANTITY_TEXT_MAX];
	uint64_t locked = 0, limit;
	struct finding *finding;

	attr_line_number(judge->stats, "locked", &locked);
	quantity_show_size(now, locked);
	/* "unlimited" is no number. */
	if (!attr_line_number(judge->stats, "lock.limit", &limit)) {
		finding_text(add(judge, finding_ok, "lock"),
			"%s locked, no limit", now);
		return;
	}
	quantity_show_size(most, limit);
	if (locked == 0 || !NEAR(locked, limit)) {
		finding_text(add(judge, finding_ok, "lock"),
			"%s locked, at most %s", now, most);
		return;
	}
	finding = finding_text(add(judge, finding_costs, "lock"),
		"%s of %s are locked", now, most);
	finding_cost(finding, "lock=on of more is refused (ENOMEM)");
	finding_get(finding, "-o lock-limit=SIZE, and a new mount");
}

static void judge_mappings(const struct judge *judge)
{
	uint64_t used, limit;
	struct finding *finding;

	if (!attr_line_number(judge->stats, "mappings", &used) ||
		!attr_line_number(judge->stats, "mappings.limit", &limit) ||
		limit == 0 || !NEAR(used, limit))
		return;
	finding = finding_text(add(judge, finding_costs, "mappings"),
		"%" PRIu64 " of %" PRIu64 " are in use", used, limit);
	finding_cost(finding, "mappings are given up and made again");
	finding_get(finding, "sysctl vm.max_map_count=%" PRIu64
		", and a new mount", limit * 4);
}

/* A mount that never had a staged file has nothing to say. */
static void judge_staging(const struct judge *judge)
{
	char now[QUANTITY_TEXT_MAX], most[QUANTITY_TEXT_MAX];
	uint64_t errors = 0, used = 0, limit = 0;
	struct finding *finding;

	attr_line_number(judge->stats, "commit.errors", &errors);
	attr_line_number(judge->stats, "stage.used", &used);
	attr_line_number(judge->stats, "stage.limit", &limit);
	if (errors > 0) {
		finding = finding_text(add(judge, finding_broken, "commits"),
			"%" PRIu64 " commit%s failed", errors,
			errors == 1 ? " has" : "s have");
		finding_cost(finding, "what is staged stays in memory until a "
			"commit succeeds; a crash takes it");
		finding_get(finding, "room in the store, or see the log and "
			"the kernel's log for its device; then msyncctl sync "
			"MOUNTPOINT");
	}
	if (used == 0 || limit == 0)
		return;
	quantity_show_size(now, used);
	quantity_show_size(most, limit);
	if (!NEAR(used, limit)) {
		finding_text(add(judge, finding_ok, "staging"),
			"%s staged, at most %s", now, most);
		return;
	}
	finding = finding_text(add(judge, finding_costs, "staging"),
		"%s of %s are in use by staged files", now, most);
	finding_cost(finding, "writers wait for commits; in private files "
		"they fail (ENOSPC)");
	finding_get(finding, "-o stage-limit=SIZE, and a new mount");
}

static void judge_errors(const struct judge *judge)
{
	char late[QUANTITY_TEXT_MAX];
	uint64_t errors = 0, latest = 0;
	struct finding *finding;

	attr_line_number(judge->stats, "sync.errors", &errors);
	if (errors == 0) {
		finding_text(add(judge, finding_ok, "errors"),
			"no sync has failed");
	} else {
		finding = finding_text(add(judge, finding_broken, "errors"),
			"%" PRIu64 " sync%s failed", errors,
			errors == 1 ? " has" : "s have");
		finding_cost(finding, "what was to be synced may be lost");
		finding_get(finding, "see the kernel's log for the store's "
			"device, and error.last in msyncctl status FILE");
	}
	attr_line_number(judge->stats, "scheduler.latest", &latest);
	if (latest < (uint64_t)SECOND || latest > INT64_MAX)
		return;
	finding = finding_text(add(judge, finding_costs, "scheduler"),
		"a sync has begun %s too late",
		quantity_show_duration(late, (int64_t)latest));
	finding_cost(finding, "the loss window was longer than every= says");
	finding_get(finding, "a faster store, or a longer every=");
}

/* --- the loss window ----------------------------------------------------- */

static bool word_is(const char *text, size_t length, const char *word)
{
	return strlen(word) == length && memcmp(text, word, length) == 0;
}

int64_t sync_window(const char *sync)
{
	static const char every[] = "every=";
	bool deferred = false;
	int64_t window = WINDOW_KERNEL;

	while (*sync != '\0') {
		size_t length = strcspn(sync, "+,");

		if (word_is(sync, length, "relaxed")) {
			deferred = true;
			window = 5 * SECOND;
		} else if (word_is(sync, length, "manual") ||
			   word_is(sync, length, "fsync=defer")) {
			deferred = true;
		} else if (length > strlen(every) &&
			   memcmp(sync, every, strlen(every)) == 0) {
			if (quantity_parse_duration(sync + strlen(every),
				    length - strlen(every), &window) < 0)
				window = WINDOW_KERNEL;
		}
		sync += length + (sync[length] != '\0');
	}
	return deferred ? window : 0;
}

struct widest {
	int64_t window;
	char sync[VALUE_MAX];
	char where[VALUE_MAX];
};

static void widen(struct widest *widest, const char *sync, const char *where,
	size_t length)
{
	int64_t window = sync_window(sync);

	if (window <= widest->window)
		return;
	widest->window = window;
	snprintf(widest->sync, sizeof(widest->sync), "%s", sync);
	snprintf(widest->where, sizeof(widest->where), "%.*s", (int)length,
		where);
}

/* Lines "sync=POLICY\tPATH". */
static void widen_by_files(struct widest *widest, const char *lines)
{
	struct attr_pair pair;

	while (attr_next_pair(&lines, &pair)) {
		const char *tab = memchr(pair.value, '\t', pair.value_length);
		char sync[VALUE_MAX];

		if (!tab)
			continue;
		snprintf(sync, sizeof(sync), "%.*s", (int)(tab - pair.value),
			pair.value);
		widen(widest, sync, tab + 1, pair.value_length -
			(size_t)(tab + 1 - pair.value));
	}
}

static void judge_window(const struct judge *judge)
{
	static const char all[] = "the mount's default";
	const struct mount_facts *facts = judge->facts;
	struct widest widest = { .window = 0 };
	char sync[VALUE_MAX], time[QUANTITY_TEXT_MAX];
	struct finding *finding;

	if (attr_line(judge->status, "sync", sync, sizeof(sync)))
		widen(&widest, sync, all, strlen(all));
	if (facts->store_error == 0 && facts->store->text[reading_open])
		widen_by_files(&widest, facts->store->text[reading_open]);
	if (widest.window == 0) {
		finding_text(add(judge, finding_ok, "loss window"),
			"none: fsync is honoured for every open file");
	} else if (widest.window != WINDOW_KERNEL) {
		finding_text(add(judge, finding_ok, "loss window"),
			"a crash can take the last %s of fsynced work "
			"(%s: %s)", quantity_show_duration(time,
				widest.window), widest.where, widest.sync);
	} else {
		finding = finding_text(add(judge, finding_costs,
			"loss window"), "fsync is deferred without an end "
			"(%s: %s)", widest.where, widest.sync);
		finding_cost(finding, "a crash can take all that the kernel "
			"has not written by itself yet");
		finding_get(finding, "every=DUR in the policy, or msyncctl "
			"sync when it matters");
	}
}

/* --- all of it ----------------------------------------------------------- */

static void judge_silence(const struct judge *judge, int error,
	const char *what)
{
	struct finding *finding = finding_text(add(judge, finding_broken,
		"answer"), "%s", what);

	finding_cost(finding, "nothing can be said of this mount");
	finding_get(finding, "%s", mount_reader_says(error));
}

void mount_judge(const struct mount_facts *facts, struct findings *findings)
{
	struct judge judge = { .facts = facts, .findings = findings };
	int error = facts->error < 0 ? facts->error :
				       facts->root->error[reading_stats];

	if (error < 0) {
		judge_silence(&judge, error, "the mount does not answer");
		return;
	}
	judge.stats = facts->root->text[reading_stats];
	judge.status = facts->root->text[reading_status];
	if (!judge.status)
		judge.status = "";
	judge_daemon(&judge);
	judge_passthrough(&judge);
	judge_kernel_services(&judge);
	if (facts->store_error < 0)
		judge_silence(&judge, facts->store_error,
			"the store or its files do not answer");
	judge_store(&judge);
	judge_lock(&judge);
	judge_mappings(&judge);
	judge_staging(&judge);
	judge_errors(&judge);
	judge_window(&judge);
}
