// SPDX-License-Identifier: Apache-2.0
/*
 * The policy sync=: what a program's own fsync and close mean, and what is
 * synced with nobody waiting. Of an error then the next fsync tells, once.
 */
#include "steps.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include "control.h"
#include "daemon.h"
#include "report.h"

#define PREFIX "user.msyncfs."
/* For what takes a fraction of a second. */
#define PATIENCE_MS 5000

/* ---- setups ------------------------------------------------------------ */

static void with_sync(struct place *place, const char *value)
{
	make_file(place, "file", 0644);
	store_policy(place, "file", "sync", value);
}

static void a_grouped_file(struct place *place)
{
	with_sync(place, "fsync=group:5ms");
}

static void a_deferred_file(struct place *place)
{
	with_sync(place, "fsync=defer");
}

static void a_deferred_directory(struct place *place)
{
	must(mkdirat(place->store, "sub", 0755), "a directory");
	store_policy(place, "sub", "sync", "fsync=defer");
}

static void a_file_synced_at_close(struct place *place)
{
	with_sync(place, "close");
}

static void a_file_synced_after_close(struct place *place)
{
	with_sync(place, "fsync=defer+close");
}

static void a_file_synced_by_time(struct place *place)
{
	with_sync(place, "fsync=defer+every=80ms");
}

/* ---- asked for --------------------------------------------------------- */

/* Overwrites a part and syncs. */
static int write_and(struct place *place, int (*sync)(int))
{
	int fd = open_in(place, "file", O_RDWR);
	int r = fd < 0 ? -errno : written(fd, 100, 3000);

	if (r == 0)
		r = result(sync(fd));
	return closing(fd, r);
}

static int fsync_it(struct place *place)
{
	return write_and(place, fsync);
}

static int fdatasync_it(struct place *place)
{
	return write_and(place, fdatasync);
}

static int fsync_directory(struct place *place)
{
	int fd = open_in(place, "sub", O_RDONLY | O_DIRECTORY);

	return on(fd, fd < 0 ? -1 : fsync(fd));
}

/* Both handles wait for one flush, and both are told. */
static int fsync_two_handles(struct place *place)
{
	int one = open_in(place, "file", O_RDWR);
	int two = one < 0 ? -1 : open_in(place, "file", O_RDWR);
	int r = two < 0 ? -errno : written(one, 0, 1000);
	int again = 0;

	if (r == 0) {
		r = result(fsync(one));
		again = result(fsync(two));
		if ((r == -EIO || r == -ENOSPC) && again != r)
			r = SHORT;
		else if (r == 0)
			r = again;
	}
	return closing(one, closing(two, r));
}

static int now(int fd, const char *value)
{
	return fsetxattr(fd, PREFIX "sync.now", value, strlen(value), 0);
}

static int now_wait(int fd)
{
	return now(fd, "wait");
}

static int now_range(int fd)
{
	return now(fd, "wait@0+4096");
}

static int now_start(int fd)
{
	return now(fd, "start");
}

static int now_invalidate(int fd)
{
	return now(fd, "wait+invalidate");
}

static int sync_now_wait(struct place *place)
{
	return write_and(place, now_wait);
}

static int sync_now_range(struct place *place)
{
	return write_and(place, now_range);
}

static int sync_now_start(struct place *place)
{
	return write_and(place, now_start);
}

static int sync_now_invalidate(struct place *place)
{
	return write_and(place, now_invalidate);
}

static int sync_now_closed(struct place *place)
{
	return result(setxattr(path_in(place, "file"), PREFIX "sync.now",
			       "wait", 4, 0));
}

static int sync_now_mount(struct place *place)
{
	return result(setxattr(path_in(place, ".."), PREFIX "sync.now",
			       "wait", 4, 0));
}

/* ---- in the background ------------------------------------------------- */

static uint32_t synced(void)
{
	return control->seen[fault_fdatasync][FAULT_BACKGROUND] +
	       control->seen[fault_fsync][FAULT_BACKGROUND] +
	       control->seen[fault_syncfs][FAULT_BACKGROUND];
}

/* Until more has been synced than before, and the thread has noted how. */
static int wait_for_sync(uint32_t before)
{
	const struct timespec interval = { .tv_nsec = 1000000 };

	for (unsigned ms = 0; ms < PATIENCE_MS; ms++) {
		if (synced() != before && control->background_busy == 0)
			return 0;
		nanosleep(&interval, NULL);
	}
	complain("nothing is synced");
	return SHORT;
}

static int close_synced(struct place *place)
{
	int fd = open_in(place, "file", O_RDWR);
	int r = fd < 0 ? -errno : written(fd, 100, 3000);

	if (r < 0)
		return closing(fd, r);
	return result(close(fd));
}

/* Of what came of a sync nobody waited for, fsync tells, once. */
static int ask_by(int fd)
{
	int r = result(fsync(fd));
	bool background = control->opcode == FAULT_BACKGROUND;

	if (r < 0 && background && !control->lasting && fsync(fd) < 0)
		complain("an error is told twice");
	return closing(fd, r);
}

static int sync_after_close(struct place *place)
{
	uint32_t before = synced();
	int r = close_synced(place);
	int fd;

	if (r == 0)
		r = wait_for_sync(before);
	if (r < 0)
		return r;
	fd = open_in(place, "file", O_RDWR);
	return fd < 0 ? -errno : ask_by(fd);
}

static int sync_by_time(struct place *place)
{
	int fd = open_in(place, "file", O_RDWR);
	uint32_t before = synced();
	int r = fd < 0 ? -errno : written(fd, 100, 3000);

	if (r == 0)
		r = wait_for_sync(before);
	if (r < 0)
		return closing(fd, r);
	return ask_by(fd);
}

/* ---- the list ---------------------------------------------------------- */

const struct step durability_steps[] = {
	{ "a_grouped_fsync", a_grouped_file, fsync_it,
	  step_goes_on | step_durable },
	{ "a_grouped_fdatasync", a_grouped_file, fdatasync_it,
	  step_goes_on | step_durable },
	{ "a_grouped_fsync_of_two_handles", a_grouped_file, fsync_two_handles,
	  step_goes_on | step_durable },
	{ "a_deferred_fsync", a_deferred_file, fsync_it,
	  step_goes_on | step_durable },
	{ "a_deferred_fsync_of_a_directory", a_deferred_directory,
	  fsync_directory, 0 },
	{ "a_close_that_syncs", a_file_synced_at_close, close_synced,
	  step_goes_on | step_durable },
	{ "a_sync_after_the_close", a_file_synced_after_close,
	  sync_after_close, step_goes_on | step_by_time | step_durable },
	{ "a_sync_by_time", a_file_synced_by_time, sync_by_time,
	  step_goes_on | step_by_time | step_durable },
	{ "sync_now", a_file, sync_now_wait, step_goes_on | step_durable },
	{ "sync_now_of_a_range", a_file, sync_now_range,
	  step_goes_on | step_durable },
	{ "sync_now_start", a_file, sync_now_start,
	  step_goes_on | step_durable },
	{ "sync_now_invalidate", a_file, sync_now_invalidate,
	  step_goes_on | step_durable },
	{ "sync_now_of_a_closed_file", a_file, sync_now_closed,
	  step_durable },
	{ "sync_now_of_the_mount", nothing, sync_now_mount, step_durable },
	{ 0 },
};
