/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For the scheduler's tests: items that note when they run.
 *
 * Times are either so near that they come during the test, or an hour away.
 * What is expected to happen is waited for as long as PATIENCE says, however
 * busy the machine is; only what must not happen is given a moment.
 */
#ifndef MSYNCFS_TESTS_UNIT_SCHEDULER_PROBE_H
#define MSYNCFS_TESTS_UNIT_SCHEDULER_PROBE_H

#include "support.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/scheduler.h"
#include "os/clock.h"

#define MILLISECOND INT64_C(1000000)
#define SECOND (1000 * MILLISECOND)
#define HOUR (3600 * SECOND)
#define PATIENCE (60 * SECOND)
#define MOMENT (100 * MILLISECOND)

#define WORKERS 4

/* What the sanitizers allocate for themselves is not to fail. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

/* An item that notes when it runs, and does what the test wants. */
struct probe {
	struct sync_item item;
	_Atomic unsigned runs;
	_Atomic unsigned order; /* of the last run among all runs, from 1 */
	_Atomic int64_t began;
	_Atomic bool inside;
	_Atomic bool overlapped;
	_Atomic bool ended;
	int64_t again; /* from now, when it has run; 0: SYNC_NEVER */
	void (*act)(struct probe *probe);
	struct probe *other;
	sem_t gate;
};

static struct scheduler *scheduler;
static _Atomic unsigned runs_so_far;

static inline int64_t run_probe(struct sync_item *item)
{
	struct probe *probe = (struct probe *)item;
	int64_t again = probe->again ? clock_now() + probe->again : SYNC_NEVER;

	if (atomic_exchange(&probe->inside, true))
		probe->overlapped = true;
	probe->began = clock_now();
	probe->order = atomic_fetch_add(&runs_so_far, 1) + 1;
	probe->runs++;
	if (probe->act)
		probe->act(probe);
	probe->ended = true;
	probe->inside = false;
	return again;
}

static inline void probe_init(struct probe *probe)
{
	memset(probe, 0, sizeof(*probe));
	sync_item_init(&probe->item, run_probe);
	sem_init(&probe->gate, 0, 0);
}

static inline void at_gate(struct probe *probe)
{
	while (sem_wait(&probe->gate) < 0)
		;
}

static inline void take_a_moment(void)
{
	usleep(MOMENT / 1000);
}

/* Waits until the condition holds, as long as PATIENCE. */
#define await(condition)                                                       \
	do {                                                                   \
		int64_t end_ = clock_now() + PATIENCE;                         \
                                                                               \
		while (!(condition) && clock_now() < end_)                     \
			usleep(500);                                           \
		assert_true(condition);                                        \
	} while (0)

static inline void want(struct probe *probe, int64_t from_now)
{
	scheduler_want(scheduler, &probe->item, clock_now() + from_now);
}

static inline struct scheduler_state look(void)
{
	struct scheduler_state state;

	scheduler_look(scheduler, &state);
	return state;
}

static inline void start(unsigned workers)
{
	runs_so_far = 0;
	scheduler = scheduler_new(workers);
	assert_non_null(scheduler);
	assert_int_equal(scheduler_start(scheduler, NULL, NULL), 0);
}

static inline void end(void)
{
	scheduler_stop(scheduler);
	scheduler_free(scheduler);
	scheduler = NULL;
}

/* Threads that have; for scheduler_start(). */
static _Atomic int entered, left;

static inline void enter(void)
{
	entered++;
}

static inline void leave(void)
{
	left++;
}

#endif
