/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For the stage's tests: a stage over a real directory, with a scheduler that
 * runs, and calls to the store that fail when they are told to (linked with
 * --wrap, see meson.build).
 */
#ifndef MSYNCFS_TESTS_UNIT_STAGE_WORLD_H
#define MSYNCFS_TESTS_UNIT_STAGE_WORLD_H

#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/counters.h"
#include "core/scheduler.h"
#include "core/stage.h"
#include "os/clock.h"
#include "store/journal.h"
#include "store/journal_read.h"
#include "store/store.h"
#include "util/cleanup.h"

#define PAGE ((size_t)STAGE_PAGE)
#define MIB  (UINT64_C(1) << 20)

/* What stands for a node: a staged object, or a directory. */
struct owner {
	_Atomic unsigned idles;
	_Atomic unsigned releases;
};

struct world {
	struct place *place;
	struct store store;
	struct scheduler *scheduler;
	struct counters counters;
	struct stage *stage;
	_Atomic unsigned syncs; /* of the whole store */
};

struct subject {
	struct world *world;
	const char *name;
	int fd;
	struct owner owner;
	struct staged *staged;
};

/* ---- calls that fail ---------------------------------------------------- */

/* errno for each call from now on, or 0. */
static _Atomic int fdatasync_error; /* the journal's */
static _Atomic int fsync_error;  /* directories', and files' at a checkpoint */
static _Atomic int syncfs_error; /* of the whole store */
static _Atomic int apply_error;  /* futimens(2): the last thing that it does */
/* Called within the next fdatasync(2), once: a commit is under way. */
static void (*_Atomic during_commit)(void);

int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);
int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __real_futimens(int fd, const struct timespec times[2]);
int __wrap_futimens(int fd, const struct timespec times[2]);

int __wrap_fdatasync(int fd)
{
	void (*what)(void) = atomic_exchange(&during_commit, NULL);

	if (what)
		what();
	if (fdatasync_error) {
		errno = fdatasync_error;
		return -1;
	}
	return __real_fdatasync(fd);
}

int __wrap_fsync(int fd)
{
	if (fsync_error) {
		errno = fsync_error;
		return -1;
	}
	return __real_fsync(fd);
}

int __wrap_futimens(int fd, const struct timespec times[2])
{
	if (apply_error) {
		errno = apply_error;
		return -1;
	}
	return __real_futimens(fd, times);
}

/* ---- the world ---------------------------------------------------------- */

static int sync_world(void *context)
{
	struct world *world = context;

	world->syncs++;
	return syncfs_error ? -syncfs_error : store_sync(&world->store);
}

static void is_idle(struct staged *staged, void *owner)
{
	(void)staged;
	((struct owner *)owner)->idles++;
}

static void is_released(void *context, void *owner)
{
	(void)context;
	((struct owner *)owner)->releases++;
}

static inline void world_begin(
	struct world *world, void **state, uint64_t limit)
{
	struct stage_settings settings = {
		.limit = limit,
		.journal_size = JOURNAL_SIZE_MIN,
		.files_limit = 1000,
		.sync_store = sync_world,
		.idle = is_idle,
		.release = is_released,
		.context = world,
	};

	*world = (struct world){.place = *state};
	fdatasync_error = fsync_error = syncfs_error = apply_error = 0;
	during_commit = NULL;
	assert_int_equal(
		store_init(&world->store,
			fcntl(world->place->fd, F_DUPFD_CLOEXEC, 3), false),
		0);
	world->scheduler = scheduler_new(4);
	assert_non_null(world->scheduler);
	assert_int_equal(scheduler_start(world->scheduler, NULL, NULL), 0);
	settings.store = &world->store;
	settings.scheduler = world->scheduler;
	settings.counters = &world->counters;
	assert_int_equal(stage_new(&settings, &world->stage), 0);
}

/* As at an unmount; what stage_finish() says. */
static inline int world_finish(struct world *world)
{
	scheduler_stop(world->scheduler);
	return stage_finish(world->stage);
}

static inline void world_free(struct world *world)
{
	stage_free(world->stage);
	scheduler_free(world->scheduler);
	store_fini(&world->store);
}

static inline void world_end(struct world *world)
{
	assert_int_equal(world_finish(world), 0);
	/* Nothing is left of it in the store. */
	assert_int_equal(
		faccessat(world->place->fd, JOURNAL_DIRECTORY, F_OK, 0), -1);
	world_free(world);
}

/* A file of this content, staged (or private) and open for writing. */
static inline void subject_begin_as(struct subject *subject,
	struct world *world, const char *name, const char *content,
	bool is_private)
{
	*subject = (struct subject){.world = world, .name = name};
	make_file(world->place, name, content);
	subject->fd = openat(world->place->fd, name, O_RDWR | O_CLOEXEC);
	assert_true(subject->fd >= 0);
	assert_int_equal(staged_new(world->stage, subject->fd, is_private,
				 &subject->owner, &subject->staged),
		0);
	assert_int_equal(
		staged_set_descriptor(subject->staged, subject->fd), 0);
}

static inline void subject_begin(struct subject *subject, struct world *world,
	const char *name, const char *content)
{
	subject_begin_as(subject, world, name, content, false);
}

static inline void subject_end(struct subject *subject)
{
	staged_put(subject->staged);
	close(subject->fd);
}

static inline ssize_t put(
	struct subject *subject, const void *data, size_t size, off_t offset)
{
	int r = staged_make_room(subject->staged, size, offset, false);

	return r < 0 ? r
		     : staged_write(subject->staged, data, size, offset, false);
}

static inline ssize_t put_text(
	struct subject *subject, const char *text, off_t offset)
{
	return put(subject, text, strlen(text), offset);
}

/* Bytes as programs see them, wherever they are. */
static inline ssize_t get(
	struct subject *subject, void *buffer, size_t size, off_t offset)
{
	bool simple;
	ssize_t n = staged_read(
		subject->staged, subject->fd, buffer, size, offset, &simple);

	if (n > 0 && simple)
		assert_int_equal(
			pread(subject->fd, buffer, (size_t)n, offset), n);
	return n;
}

/* All of it, if it is short; static memory. */
static inline const char *seen(struct subject *subject)
{
	static char text[PAGE + 1];
	ssize_t n = get(subject, text, PAGE, 0);

	assert_true(n >= 0);
	text[n] = '\0';
	return text;
}

static inline off_t size_seen(struct subject *subject)
{
	struct stat st;

	assert_int_equal(fstat(subject->fd, &st), 0);
	staged_overlay(subject->staged, &st);
	return st.st_size;
}

static inline int commit(struct world *world)
{
	return stage_commit(world->stage, commit_by_fsync);
}

static inline struct stage_state look_at(struct world *world)
{
	struct stage_state state;

	stage_look(world->stage, &state);
	return state;
}

static inline struct staged_state look_at_file(struct subject *subject)
{
	struct staged_state state;

	staged_look(subject->staged, &state);
	return state;
}

/* Directories are synced with everything else from now on, once. */
static inline void note_some_name(struct world *world)
{
	const struct store_id id = {.type = STORE_ID_BY_NUMBER};

	stage_note_directory(world->stage, &id);
}

/* Transactions that recovery would carry out. */
static inline uint64_t journaled(struct world *world)
{
	struct journal_reader *reader;
	char error[256] = "";
	uint64_t count;

	assert_int_equal(journal_reader_open(world->place->fd, &reader, error,
				 sizeof(error)),
		0);
	count = journal_reader_summary(reader)->transactions;
	journal_reader_close(reader);
	return count;
}

#define in_a_place(test)                                                       \
	cmocka_unit_test_setup_teardown(test, place_setup, place_teardown)

#endif
