// SPDX-License-Identifier: Apache-2.0
/*
 * The file is written anew beside its place and then renamed, so whoever reads
 * it sees one text or the next one and never a part. It isn't synced: after a
 * crash of the machine its figures would be old ones. For the same reason it
 * is removed at the end; one that a killed daemon has left behind is replaced
 * by the next mount's.
 *
 * A failure is told once, and once more when it is another one or has passed.
 */
#include "watch.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "control/gauges.h"
#include "control/metrics.h"
#include "core/filesystem.h"
#include "core/node.h"
#include "options.h"
#include "os/clock.h"
#include "os/inode.h"
#include "os/notify.h"
#include "preflight.h"
#include "util/cleanup.h"
#include "util/line.h"
#include "util/lock.h"
#include "util/log.h"
#include "util/quantity.h"
#include "util/text.h"

#define SECOND INT64_C(1000000000)
#define STATUS_MAX 512

struct watch {
	struct filesystem *fs;
	const struct watch_plan *plan;
	pthread_t thread;
	struct lock lock; /* protects stopping */
	pthread_cond_t wake;
	bool stopping;

	/* The thread's own. */
	bool written; /* the file is ours */
	int error; /* of the last try; 0: it worked */
	char told[STATUS_MAX]; /* to the service manager */
};

/* ---- the plan ---------------------------------------------------------- */

/* Is the directory above, or is it inside of it? 1, 0 or -errno. */
static int is_inside(const char *directory, const char *above)
{
	owned_fd at = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct stat wanted, here, last = { 0 };

	if (at < 0 || stat(above, &wanted) < 0 || fstat(at, &here) < 0)
		return -errno;
	/* The root is its own parent. */
	while (here.st_ino != last.st_ino || here.st_dev != last.st_dev) {
		int up;

		if (here.st_ino == wanted.st_ino &&
			here.st_dev == wanted.st_dev)
			return 1;
		up = openat(at, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (up < 0)
			return -errno;
		close(at);
		at = up;
		last = here;
		if (fstat(at, &here) < 0)
			return -errno;
	}
	return 0;
}

struct check {
	const char *file; /* as it was given */
	char *error;
	size_t error_size;
};

#define fail(check, errnum, format, ...) \
	line_fail((check)->error, (check)->error_size, errnum, \
		"option 'metrics=%s': " format, (check)->file, ##__VA_ARGS__)

static int check_apart(const struct check *check, const char *directory,
	const char *above, const char *what)
{
	int r = is_inside(directory, above);

	if (r < 0)
		return fail(check, -r, "can't look at the directories above "
			"it: %s: expected a file in one that you can reach",
			strerror(-r));
	if (r > 0)
		return fail(check, EINVAL, "that is inside the %s %s: expected "
			"a file outside of it", what, above);
	return 0;
}

/* directory: its full path. */
static int check_directory(const struct check *check, const char *directory,
	const char *name, const struct preflight *checked)
{
	owned_fd fd = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct stat st;
	int r;

	if (fd < 0)
		return fail(check, errno, "%s: %s: expected a file in a "
			"directory that is there", directory, strerror(errno));
	r = check_apart(check, directory, checked->store_abs, "store");
	if (r == 0)
		r = check_apart(check, directory, checked->mountpoint_abs,
			"mountpoint");
	if (r < 0)
		return r;
	if (faccessat(AT_FDCWD, directory, W_OK | X_OK, AT_EACCESS) < 0)
		return fail(check, errno, "%s: %s: expected a directory where "
			"this user may make files", directory, strerror(errno));
	if (*name == '\0' || strcmp(name, ".") == 0 ||
		strcmp(name, "..") == 0 ||
		(fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
			!S_ISREG(st.st_mode)))
		return fail(check, EINVAL, "that is no regular file: expected "
			"the name of a file, such as "
			"/var/lib/node_exporter/msyncfs.prom");
	return 0;
}

static int plan_file(struct watch_plan *plan, const struct check *check,
	const struct preflight *checked)
{
	owned_memory char *parent = strdup(check->file);
	owned_memory char *directory = NULL;
	const char *slash = strrchr(check->file, '/');
	const char *name = slash ? slash + 1 : check->file;
	int r;

	if (!parent)
		return fail(check, ENOMEM, "out of memory");
	/* Of "/file" the slash is the directory. */
	if (slash)
		parent[slash == check->file ? 1 : slash - check->file] = '\0';
	directory = realpath(slash ? parent : ".", NULL);
	if (!directory)
		return fail(check, errno, "%s: %s: expected a file in a "
			"directory that is there", slash ? parent : ".",
			strerror(errno));
	r = check_directory(check, directory, name, checked);
	if (r < 0)
		return r;
	/* Nobody takes what doesn't end in ".prom" for metrics. */
	if (asprintf(&plan->path, "%s/%s",
		    strcmp(directory, "/") == 0 ? "" : directory, name) < 0)
		plan->path = NULL;
	else if (asprintf(&plan->temporary, "%s.%ld.tmp", plan->path,
			 (long)getpid()) < 0)
		plan->temporary = NULL;
	if (!plan->path || !plan->temporary)
		return fail(check, ENOMEM, "out of memory");
	return 0;
}

int watch_plan(struct watch_plan *plan, const struct options *options,
	const struct preflight *checked, char *error, size_t error_size)
{
	const struct check check = {
		.file = options->metrics_file,
		.error = error,
		.error_size = error_size,
	};
	int r = 0;

	*plan = (struct watch_plan){ .every = options->metrics_every };
	if (check.file)
		r = plan_file(plan, &check, checked);
	if (r < 0)
		watch_plan_fini(plan);
	return r;
}

void watch_plan_fini(struct watch_plan *plan)
{
	free(plan->path);
	free(plan->temporary);
	*plan = (struct watch_plan){ 0 };
}

/* ---- the file ---------------------------------------------------------- */

static int write_all(int fd, const char *text, size_t length)
{
	while (length > 0) {
		ssize_t n = write(fd, text, length);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0) {
			text += n;
			length -= (size_t)n;
		}
	}
	return 0;
}

/* Never through a link that somebody else has put there. */
static int write_temporary(const char *path, const char *text, size_t length)
{
	const int flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC;
	owned_fd fd = open(path, flags, 0644);
	int r;

	if (fd < 0 && errno == EEXIST && unlinkat(AT_FDCWD, path, 0) == 0)
		fd = open(path, flags, 0644);
	if (fd < 0)
		return -errno;
	/* The umask is no matter: a collector is another user. */
	if (fchmod(fd, 0644) < 0)
		return -errno;
	r = write_all(fd, text, length);
	if (close(take_fd(&fd)) < 0 && r == 0)
		r = -errno;
	return r;
}

static int replace_file(const struct watch_plan *plan, const char *text,
	size_t length)
{
	int r = write_temporary(plan->temporary, text, length);

	if (r == 0 && renameat(AT_FDCWD, plan->temporary, AT_FDCWD,
			      plan->path) < 0)
		r = -errno;
	if (r < 0)
		unlinkat(AT_FDCWD, plan->temporary, 0);
	return r;
}

static int write_metrics(struct watch *watch)
{
	owned_memory char *text = NULL;
	size_t length = 0;
	FILE *out = text_open(&text, &length);
	int r;

	if (!out)
		return -ENOMEM;
	r = metrics_write(watch->fs, out);
	if (text_close(out) < 0 && r == 0)
		r = -ENOMEM;
	return r < 0 ? r : replace_file(watch->plan, text, length);
}

static void update_file(struct watch *watch)
{
	const char *path = watch->plan->path;
	int error = -write_metrics(watch);

	if (error && error != watch->error)
		log_event(event_metrics_unwritten, "metrics=%s: %s", path,
			strerror(error));
	else if (!error && watch->error)
		log_event(event_metrics_resumed, "metrics=%s is written again",
			path);
	watch->error = error;
	watch->written |= error == 0;
}

/* ---- the line for the service manager ---------------------------------- */

/* "2 s", "3 min": it seldom changes. */
static void format_age(char *text, size_t size, int64_t age)
{
	int64_t seconds = age / SECOND;

	if (seconds < 60)
		snprintf(text, size, "%" PRId64 " s", seconds);
	else if (seconds < 3600)
		snprintf(text, size, "%" PRId64 " min", seconds / 60);
	else if (seconds < 86400)
		snprintf(text, size, "%" PRId64 " h", seconds / 3600);
	else
		snprintf(text, size, "%" PRId64 " d", seconds / 86400);
}

static int format_status(struct filesystem *fs, char *text, size_t size)
{
	char store[PATH_MAX];
	char shown[256];
	char dirty[QUANTITY_TEXT_MAX];
	char age[32] = "";
	struct gauges gauges;
	int r = gauges_take(fs, &gauges);

	if (r < 0)
		return r;
	inode_read_path(fs->store.root_fd, store);
	line_escape(shown, sizeof(shown), store);
	format_age(age, sizeof(age), gauges.commit_age);
	snprintf(text, size, "serving %s: %" PRId64 " open file%s, %s not yet "
		"durable%s%s%s", shown, gauges.open,
		gauges.open == 1 ? "" : "s",
		quantity_show_size(dirty, (uint64_t)gauges.dirty),
		gauges.commit_age < 0 ? "" : ", last commit ",
		gauges.commit_age < 0 ? "" : age,
		gauges.commit_age < 0 ? "" : " ago");
	return 0;
}

static void update_status(struct watch *watch)
{
	char text[STATUS_MAX];

	if (format_status(watch->fs, text, sizeof(text)) < 0 ||
		strcmp(text, watch->told) == 0)
		return;
	notify_status("%s", text);
	strcpy(watch->told, text);
}

/* ---- the thread -------------------------------------------------------- */

/* False: it is time to end. */
static bool wait_until(struct watch *watch, int64_t due)
{
	const struct timespec time = {
		.tv_sec = due / SECOND,
		.tv_nsec = due % SECOND,
	};
	bool stopping;
	int r = 0;

	lock_take(&watch->lock, lock_rank_watch);
	while (!watch->stopping && r != ETIMEDOUT)
		r = pthread_cond_timedwait(&watch->wake,
			&watch->lock.mutex, &time);
	stopping = watch->stopping;
	lock_drop(&watch->lock, lock_rank_watch);
	return !stopping;
}

static void *watch_main(void *argument)
{
	struct watch *watch = argument;
	int64_t due;

	node_thread_enter();
	do {
		due = clock_now() + watch->plan->every;
		if (watch->plan->path)
			update_file(watch);
		if (notify_wanted())
			update_status(watch);
	} while (wait_until(watch, due));
	node_thread_leave();
	return NULL;
}

static void watch_free(struct watch *watch)
{
	pthread_cond_destroy(&watch->wake);
	lock_fini(&watch->lock);
	free(watch);
}

struct watch *watch_start(struct filesystem *fs, const struct watch_plan *plan)
{
	pthread_condattr_t attributes;
	struct watch *watch;
	int error = ENOMEM;

	if (!plan->path && !notify_wanted())
		return NULL;
	watch = calloc(1, sizeof(*watch));
	if (watch) {
		watch->fs = fs;
		watch->plan = plan;
		lock_init(&watch->lock);
		pthread_condattr_init(&attributes);
		pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
		pthread_cond_init(&watch->wake, &attributes);
		pthread_condattr_destroy(&attributes);
		error = pthread_create(&watch->thread, NULL, watch_main, watch);
		if (error == 0)
			return watch;
		watch_free(watch);
	}
	log_event(event_metrics_unwritten, "%s%s: its thread can't be started: "
		"%s", plan->path ? "metrics=" : "the service's status",
		plan->path ? plan->path : "", strerror(error));
	return NULL;
}

void watch_stop(struct watch *watch)
{
	if (!watch)
		return;
	lock_take(&watch->lock, lock_rank_watch);
	watch->stopping = true;
	pthread_cond_signal(&watch->wake);
	lock_drop(&watch->lock, lock_rank_watch);
	pthread_join(watch->thread, NULL);
	if (watch->written && unlinkat(AT_FDCWD, watch->plan->path, 0) < 0 &&
		errno != ENOENT)
		log_event(event_metrics_unwritten, "metrics=%s can't be "
			"removed: %m", watch->plan->path);
	watch_free(watch);
}
