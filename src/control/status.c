// SPDX-License-Identifier: Apache-2.0
#include "control/status.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "control/gauges.h"
#include "core/file.h"
#include "core/file_list.h"
#include "core/filesystem.h"
#include "core/stage.h"
#include "os/clock.h"
#include "os/pagecache.h"
#include "util/cleanup.h"
#include "util/line.h"

/* "-" where nothing is known. */
static void put_number(FILE *out, const char *key, int64_t value)
{
	if (value < 0)
		fprintf(out, "%s=-\n", key);
	else
		fprintf(out, "%s=%" PRId64 "\n", key, value);
}

/* ---- one file ---------------------------------------------------------- */

/*
 * What it says nothing of itself is what was in force when it was opened, or
 * when the policy file was read last: it may have another name by now.
 */
static void take_from_open(struct node *node, const struct policy *own,
			   struct policy *effective,
			   struct policy_lines *lines)
{
	struct file *file = file_of_node(node);
	const struct file_policies *force;

	if (!file)
		return;
	force = file_policies(file);
	for (unsigned i = 0; i < POLICY_NAMES; i++) {
		enum policy_name name = (enum policy_name)i;

		if (policy_has(own, name) ||
		    policy_has(&force->effective, name))
			continue;
		policy_copy(effective, &force->effective, name);
		lines->of[i] = force->lines.of[i];
	}
	file_release(file);
}

static void put_policies(FILE *out, const struct policy *effective,
			 const struct policy *own,
			 const struct policy *defaults,
			 const struct policy_lines *lines)
{
	char text[POLICY_TEXT_MAX];

	for (unsigned i = 0; i < POLICY_NAMES; i++) {
		enum policy_name name = (enum policy_name)i;
		const char *from = "builtin";

		if (policy_has(own, name))
			from = "file";
		else if (policy_has(defaults, name))
			from = "mount";
		policy_format(effective, name, text);
		fprintf(out, "%s=%s\n%s.from=", policy_key(name), text,
			policy_key(name));
		if (lines->of[i] > 0)
			fprintf(out, "policy-file:%u\n", lines->of[i]);
		else
			fprintf(out, "%s\n", from);
	}
}

static void put_error(FILE *out, int error, int64_t at)
{
	const char *name = strerrorname_np(error);

	if (!error)
		fprintf(out, "error.last=-\n");
	else
		fprintf(out, "error.last=%s %" PRId64 "\n",
			name ? name : "?", at / 1000000000);
}

static void put_open_file(FILE *out, struct file *file)
{
	const struct file_counts *counts = &file->counts;
	int64_t synced = file->synced_at;
	int64_t wall = clock_of(CLOCK_REALTIME) - (clock_now() - synced);

	fprintf(out, "data.path=%s\ndata.why=%s\n",
		file->path == data_path_kernel ? "kernel" : "daemon",
		file->path_reason ? file->path_reason : "");
	fprintf(out, "open=%u\nwriters=%u\n", file->opens, file->writers);
	put_number(out, "mapped", (int64_t)mapping_length(&file->mapping));
	put_number(out, "dirty", file_dirty_bytes(file));
	if (file->sync_took < 0)
		fprintf(out, "sync.last=-\n");
	else
		fprintf(out, "sync.last=%" PRId64 ".%03" PRId64 "\n",
			wall / 1000000000, wall / 1000000 % 1000);
	put_number(out, "sync.took", file->sync_took);
	put_number(out, "sync.next", file_next_sync(file));
	put_error(out, file->sync_error, file->error_at);
	put_number(out, "errors", file->sync_errors);
	put_number(out, "count.opens", (int64_t)counts->opens);
	put_number(out, "count.reads", (int64_t)counts->reads);
	put_number(out, "count.read_bytes", (int64_t)counts->read_bytes);
	put_number(out, "count.writes", (int64_t)counts->writes);
	put_number(out, "count.write_bytes", (int64_t)counts->write_bytes);
	put_number(out, "count.fsyncs", (int64_t)counts->fsyncs);
	put_number(out, "count.syncs", (int64_t)counts->syncs);
}

static int64_t dirty_bytes_of(struct filesystem *fs, struct node *node)
{
	owned_fd fd = file_open_descriptor(fs, node, O_RDONLY);

	return fd < 0 ? -1 : pagecache_dirty_bytes(fd);
}

static void put_closed_file(FILE *out, struct filesystem *fs,
			    struct node *node)
{
	fprintf(out, "data.path=none\ndata.why=not open\nopen=0\nwriters=0\n"
		     "mapped=0\n");
	put_number(out, "dirty", dirty_bytes_of(fs, node));
	fprintf(out, "sync.last=-\nsync.took=-\nsync.next=-\n");
	put_error(out, node->pending_error, clock_wall_coarse());
	put_number(out, "errors", node->pending_error != 0);
	fprintf(out, "count.opens=0\ncount.reads=0\ncount.read_bytes=0\n"
		     "count.writes=0\ncount.write_bytes=0\ncount.fsyncs=0\n"
		     "count.syncs=0\n");
}

static void put_staged(FILE *out, struct node *node)
{
	struct staged *staged = file_staged_of(node);
	struct staged_state state = { 0 };

	if (staged)
		staged_look(staged, &state);
	put_number(out, "staged", (int64_t)(state.pages * STAGE_PAGE));
	put_number(out, "staged.pages", (int64_t)state.pages);
	put_number(out, "staged.uncommitted", (int64_t)state.uncommitted);
	put_number(out, "commit.sequence",
		   state.sequence > 0 ? (int64_t)state.sequence : -1);
	if (staged)
		staged_put(staged);
}

static const char *map_of(const struct file *file)
{
	if (!file->staged)
		return "shared";
	return staged_is_private(file->staged) ? "private" : "staged";
}

/* What is set and does nothing, or not yet, and why. */
static void put_notes(FILE *out, struct filesystem *fs, struct file *file,
		      const struct policy *policy)
{
	char text[POLICY_TEXT_MAX];
	bool must;
	const char *reason = policy_needs_daemon(policy, &must);

	if (file && file->lock_error)
		fprintf(out, "note=lock does not act: %s\n",
			strerror(file->lock_error));
	if (policy->lock == policy_lock_onfault)
		fprintf(out, "note=lock=onfault holds what was in memory when "
			     "it was set, and what came in until a last "
			     "close\n");
	if (policy->fsync != policy_fsync_defer && fs->settings.no_fsync)
		fprintf(out, "note=the mount has -o nofsync: fsync does not "
			     "wait\n");
	if (!file)
		return;
	policy_format(policy, policy_map, text);
	if (strcmp(text, map_of(file)) != 0)
		fprintf(out, "note=map=%s until everybody has closed the "
			     "file\n", map_of(file));
	if (reason && file->path == data_path_kernel)
		fprintf(out, "note=on the kernel path until the last close, "
			     "but %s\n", reason);
	if (policy->data == policy_data_kernel &&
	    file->path == data_path_daemon)
		fprintf(out, "note=data=kernel does not act: %s\n",
			file->path_reason);
	if (policy->huge == policy_hugepage && file->path == data_path_kernel)
		fprintf(out, "note=advise=hugepage is for the daemon's "
			     "mapping: programs on the kernel path map the "
			     "store's file themselves\n");
}

static void put_file(FILE *out, struct filesystem *fs, struct node *node,
		     const struct policy *effective)
{
	struct file *file = file_of_node(node);
	const struct policy *force = file ? file_policy(file) : effective;
	struct store_id id;
	uint64_t held = 0;

	node_id(node, &id);
	if (file)
		put_open_file(out, file);
	else
		put_closed_file(out, fs, node);
	hold_has(&fs->holds, &id, &held);
	put_number(out, "locked", (int64_t)held);
	put_staged(out, node);
	put_notes(out, fs, file, force);
	if (file)
		file_release(file);
}

int status_of_node(struct filesystem *fs, struct node *node,
		   const struct inode_handle *inode, FILE *out)
{
	struct policy own, effective;
	struct policy_lines lines;
	struct store_id id;
	struct stat st;
	bool in_memory;
	int r;

	node_id(node, &id);
	if (fstat(inode->fd, &st) < 0)
		return -errno;
	r = file_overlay(node, &st);
	if (r < 0)
		return r;
	r = policy_store_load(&fs->policies, &id, inode, &own, &in_memory);
	if (r < 0)
		return r;
	policy_in_force(fs, node, &own, &effective, &lines);
	if (fs->defaults.by_path)
		take_from_open(node, &own, &effective, &lines);
	fprintf(out, "type=%s\n", S_ISDIR(node->type) ? "directory" : "file");
	put_number(out, "size", st.st_size);
	put_policies(out, &effective, &own, &fs->settings.policy, &lines);
	fprintf(out, "policies=%s\n", in_memory ? "memory" : "store");
	if (S_ISREG(node->type))
		put_file(out, fs, node, &effective);
	return 0;
}

/* ---- residency --------------------------------------------------------- */

int status_residency(struct filesystem *fs, struct node *node, FILE *out)
{
	owned_fd fd = file_open_descriptor(fs, node, O_RDONLY);
	struct pagecache_counts counts;
	int r = fd < 0 ? fd : pagecache_count(fd, 0, 0, &counts);

	if (r < 0)
		return r;
	fprintf(out, "%" PRIu64 " %" PRIu64, counts.pages, counts.resident);
	if (counts.exact)
		fprintf(out, " %" PRIu64 " %" PRIu64 " %" PRIu64, counts.dirty,
			counts.writeback, counts.evicted);
	else
		fprintf(out, " - - -");
	return 0;
}

/* An attribute's value has at most 64 KiB (XATTR_SIZE_MAX). */
#define MAP_MAX 65536

int status_residency_map(struct filesystem *fs, struct node *node, FILE *out)
{
	owned_fd fd = file_open_descriptor(fs, node, O_RDONLY);
	owned_memory char *text = malloc(MAP_MAX);
	ssize_t n;

	if (fd < 0)
		return fd;
	if (!text)
		return -ENOMEM;
	n = pagecache_map(fd, text, MAP_MAX);
	if (n < 0)
		return (int)n;
	fwrite(text, 1, (size_t)n, out);
	return 0;
}

/* ---- the mount --------------------------------------------------------- */

static void put_times(FILE *out, const char *key,
		      const struct histogram *histogram)
{
	static const struct {
		const char *name;
		unsigned permille;
	} points[] = { { "p50", 500 }, { "p95", 950 }, { "p99", 990 } };

	for (unsigned i = 0; i < 3; i++)
		fprintf(out, "%s.%s=%" PRId64 "\n", key, points[i].name,
			histogram_at(histogram, points[i].permille));
	fprintf(out, "%s.max=%" PRId64 "\n", key, histogram->max);
}

static void put_gauge(FILE *out, const char *key, int64_t value)
{
	if (value == GAUGE_UNLIMITED)
		fprintf(out, "%s=unlimited\n", key);
	else
		put_number(out, key, value);
}

static int put_lists(FILE *out, struct filesystem *fs)
{
	struct gauges gauges;
	int r = gauges_take(fs, &gauges);

	if (r < 0)
		return r;
#define GAUGE(field, name, metric, kind, help) \
	put_gauge(out, name, gauges.field);
	GAUGE_LIST(GAUGE)
#undef GAUGE
#define HISTOGRAM(field, name, metric, help) \
	put_times(out, name, &fs->counters.field);
	HISTOGRAM_LIST(HISTOGRAM)
#undef HISTOGRAM
#define COUNTER(field, name, help) \
	fprintf(out, name "=%" PRIu64 "\n", fs->counters.field);
	COUNTER_LIST(COUNTER)
#undef COUNTER
	return 0;
}

static void put_store(FILE *out, const struct filesystem *fs)
{
	char path[PATH_MAX];
	char line[4096];

	inode_read_path(fs->store.root_fd, path);
	line_escape(line, sizeof(line), path);
	fprintf(out, "store=%s\n", line);
}

int status_of_mount(struct filesystem *fs, FILE *out)
{
	struct stage_state stage;
	struct utsname system;

	uname(&system);
	fprintf(out, "version=" MSYNCFS_VERSION "\nkernel=%s\n",
		system.release);
	fprintf(out, "passthrough=%s\ncachestat=%s\n",
		fs->passthrough_device >= 0 ? "yes" : "no",
		pagecache_has_cachestat() ? "yes" : "no");
	if (fs->clients.describe)
		fs->clients.describe(fs->clients.context, out);
	put_store(out, fs);
	stage_look(fs->stage, &stage);
	fprintf(out, "commit.error=%s\n",
		stage.error ? strerrorname_np(stage.error) : "-");
	return put_lists(out, fs);
}

/* ---- open files -------------------------------------------------------- */

#define FILES_MAX 200
/* An attribute has at most 64 KiB, and a line at most 8 of them. */
#define FILES_TEXT_MAX (56 << 10)

struct ranked {
	struct file *file;
	uint64_t requests;
};

static int by_requests(const void *a, const void *b)
{
	const struct ranked *one = a;
	const struct ranked *two = b;

	return (one->requests < two->requests) -
	       (one->requests > two->requests);
}

static uint64_t requests_of(const struct file *file)
{
	const struct file_counts *counts = &file->counts;

	return counts->opens + counts->reads + counts->writes +
	       counts->fsyncs + counts->syncs;
}

static void put_ranked(FILE *out, struct file *file, uint64_t requests,
		       const char *root)
{
	char path[PATH_MAX];
	char line[8192];
	size_t skip = strlen(root);

	inode_read_path(file_descriptor(file), path);
	if (strncmp(path, root, skip) != 0 || path[skip] != '/')
		skip = 0;
	line_escape(line, sizeof(line), path + skip + (skip > 0));
	fprintf(out, "%" PRIu64 " %" PRId64 " %" PRId64 " %s\n", requests,
		file_dirty_bytes(file), file->sync_took, line);
}

int status_of_files(struct filesystem *fs, FILE *out)
{
	char root[PATH_MAX];
	size_t count;
	owned_memory struct file **taken = file_list_take(fs, &count);
	owned_memory struct ranked *files = calloc(count + 1, sizeof(*files));

	for (size_t i = 0; i < count && !files; i++)
		file_release(taken[i]);
	if (!taken || !files)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		files[i] = (struct ranked){ taken[i], requests_of(taken[i]) };
	inode_read_path(fs->store.root_fd, root);
	qsort(files, count, sizeof(*files), by_requests);
	for (size_t i = 0; i < count; i++) {
		if (i < FILES_MAX && ftell(out) < FILES_TEXT_MAX)
			put_ranked(out, files[i].file, files[i].requests,
				   root);
		file_release(files[i].file);
	}
	return 0;
}
