// SPDX-License-Identifier: Apache-2.0
/*
 * An item's states, under the lock:
 *
 *	idle		not wanted, or still in the inbox
 *	waiting		in the heap, ordered by due time
 *	ready		due, in the queue of what is to be run
 *	running		a worker is at it; it may be wanted again meanwhile
 *
 * `wanted` is the earliest time asked for since the item's last run began. Who
 * lowers it tells the owner through the inbox, a lock-free stack; who finds
 * an earlier time there has nothing to do. It is reset before run() is
 * called: what is wanted later counts for the next run.
 *
 * The owner sleeps until the heap's top is due, without a timer when there
 * is none, and is woken for an earlier time only: `asleep_until` is what
 * it sleeps for, lowered by who wakes it, so that of many only one does. What
 * is wanted at once goes past the inbox, straight to a worker.
 *
 * A time can be kept without memory for it: an item that the heap has no room
 * for is run at once, since too early is never wrong.
 */
#include "core/scheduler.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "os/clock.h"
#include "util/lock.h"
#include "util/log.h"

#define HEAP_MIN 64
#define STACK_SIZE ((size_t)512 << 10)
#define AWAKE INT64_MIN /* earlier than anything wanted */

enum state {
	state_idle,
	state_waiting,
	state_ready,
	state_running,
};

enum phase {
	phase_working,
	phase_stopping, /* what is wanted runs at once */
	phase_ended,
};

/* While stopping: what is wanted, and what is wanted again meanwhile. */
#define LAST_RUNS 2

struct scheduler {
	struct sync_item *_Atomic inbox;
	_Atomic int64_t asleep_until;
	_Atomic int phase; /* written under the lock */

	struct lock lock; /* protects what follows */
	pthread_cond_t wake; /* the owner */
	pthread_cond_t work; /* for parked workers */
	pthread_cond_t done; /* a run has ended that somebody waits for */
	struct sync_item **heap; /* from 1; heap[1] is due first */
	size_t heap_count;
	size_t heap_room;
	TAILQ_HEAD(, sync_item) ready;
	size_t ready_count;
	size_t running;
	unsigned forgetting; /* threads that wait for done */
	unsigned parked; /* workers, until they have work */
	unsigned coming; /* workers that will look for work next */
	unsigned threads;
	unsigned limit;
	bool started;
	pthread_t owner;
	pthread_t *workers;
	uint64_t wakes;
	uint64_t runs;
	int64_t latest;

	void (*thread_enter)(void);
	void (*thread_leave)(void);
};

/* What this thread runs just now. */
static _Thread_local struct sync_item *running_here;

/* ---- the heap ----------------------------------------------------------- */

static void heap_set(struct scheduler *this, size_t position,
		     struct sync_item *item)
{
	this->heap[position] = item;
	item->position = position;
}

static void heap_up(struct scheduler *this, struct sync_item *item)
{
	size_t position = item->position;

	while (position > 1 && this->heap[position / 2]->due > item->due) {
		heap_set(this, position, this->heap[position / 2]);
		position /= 2;
	}
	heap_set(this, position, item);
}

static void heap_down(struct scheduler *this, struct sync_item *item)
{
	size_t position = item->position;

	for (;;) {
		size_t child = position * 2;

		if (child < this->heap_count &&
		    this->heap[child + 1]->due < this->heap[child]->due)
			child++;
		if (child > this->heap_count ||
		    this->heap[child]->due >= item->due)
			break;
		heap_set(this, position, this->heap[child]);
		position = child;
	}
	heap_set(this, position, item);
}

static bool heap_has_room(struct scheduler *this)
{
	size_t room = this->heap_room ? this->heap_room * 2 : HEAP_MIN;
	struct sync_item **heap;

	if (this->heap_count + 1 < this->heap_room)
		return true;
	heap = realloc(this->heap, room * sizeof(struct sync_item *));
	if (!heap)
		return false;
	this->heap = heap;
	this->heap_room = room;
	return true;
}

static void heap_remove(struct scheduler *this, struct sync_item *item)
{
	struct sync_item *last = this->heap[this->heap_count--];

	if (last == item)
		return;
	heap_set(this, item->position, last);
	heap_up(this, last);
	heap_down(this, last);
}

static int64_t next_due(const struct scheduler *this)
{
	return this->heap_count > 0 ? this->heap[1]->due : SYNC_NEVER;
}

/* ---- an item's way ------------------------------------------------------ */

static bool lacks_workers(const struct scheduler *this)
{
	return this->ready_count > this->parked + this->coming &&
	       this->threads < this->limit;
}

static void make_ready_locked(struct scheduler *this, struct sync_item *item)
{
	item->state = state_ready;
	TAILQ_INSERT_TAIL(&this->ready, item, link);
	this->ready_count++;
	if (this->parked > 0)
		pthread_cond_signal(&this->work);
	if (lacks_workers(this))
		pthread_cond_signal(&this->wake);
}

/* Out of the heap or the queue. */
static void take_out_locked(struct scheduler *this, struct sync_item *item)
{
	if (item->state == state_waiting) {
		heap_remove(this, item);
	} else if (item->state == state_ready) {
		TAILQ_REMOVE(&this->ready, item, link);
		this->ready_count--;
	} else {
		return;
	}
	item->state = state_idle;
}

/* True for the one who is to wake the owner. */
static bool lower_sleep(struct scheduler *this, int64_t due)
{
	int64_t until = atomic_load(&this->asleep_until);

	while (due < until) {
		if (atomic_compare_exchange_weak(&this->asleep_until, &until,
						 due))
			return true;
	}
	return false;
}

/* Puts the item to where its wanted time belongs. */
static void place_locked(struct scheduler *this, struct sync_item *item)
{
	int64_t due = atomic_load(&item->wanted);

	if (item->forgotten || due == SYNC_NEVER ||
	    this->phase == phase_ended || item->last_runs == LAST_RUNS ||
	    (item->state != state_idle && item->state != state_waiting))
		return;
	if (due <= SYNC_AT_ONCE || this->phase == phase_stopping) {
		take_out_locked(this, item);
		item->due = clock_now();
		make_ready_locked(this, item);
		return;
	}
	if (item->state == state_idle && !heap_has_room(this)) {
		item->due = due;
		make_ready_locked(this, item);
		return;
	}
	if (item->state == state_waiting && item->due <= due)
		return;
	item->due = due;
	if (item->state == state_idle)
		item->position = ++this->heap_count;
	item->state = state_waiting;
	heap_up(this, item);
	if (lower_sleep(this, due))
		pthread_cond_signal(&this->wake);
}

static void empty_inbox_locked(struct scheduler *this)
{
	struct sync_item *item = atomic_exchange(&this->inbox, NULL);

	while (item) {
		struct sync_item *next = item->next;

		/* First this: who lowers `wanted` now puts it in anew. */
		atomic_store(&item->in_inbox, false);
		place_locked(this, item);
		item = next;
	}
}

static void make_all_ready_locked(struct scheduler *this)
{
	while (this->heap_count > 0) {
		struct sync_item *item = this->heap[1];

		take_out_locked(this, item);
		make_ready_locked(this, item);
	}
}

static void make_due_ready_locked(struct scheduler *this)
{
	int64_t now;

	if (this->heap_count == 0)
		return;
	now = clock_now();
	while (next_due(this) <= now) {
		struct sync_item *item = this->heap[1];

		take_out_locked(this, item);
		make_ready_locked(this, item);
	}
}

/* ---- running ------------------------------------------------------------ */

static void lower_wanted(struct sync_item *item, int64_t due)
{
	int64_t wanted = atomic_load(&item->wanted);

	while (due < wanted &&
	       !atomic_compare_exchange_weak(&item->wanted, &wanted, due))
		;
}

static void run_ended_locked(struct scheduler *this, struct sync_item *item,
			     int64_t again)
{
	item->state = state_idle;
	lower_wanted(item, again);
	/* This thread looks for work next: none is needed for what it puts. */
	this->coming++;
	place_locked(this, item);
	this->coming--;
}

static void run_one_locked(struct scheduler *this)
{
	struct sync_item *item = TAILQ_FIRST(&this->ready);
	bool once = item->once;
	int64_t late = clock_now() - item->due;
	int64_t again;

	/* It may be freed by its run. */
	if (atomic_load(&item->in_inbox))
		empty_inbox_locked(this);
	take_out_locked(this, item);
	if (late > this->latest)
		this->latest = late;
	this->running++;
	item->state = state_running;
	if (this->phase == phase_stopping)
		item->last_runs++;
	atomic_store(&item->wanted, SYNC_NEVER);
	running_here = item;
	lock_drop(&this->lock, lock_rank_scheduler);
	again = item->run(item);
	lock_take(&this->lock, lock_rank_scheduler);
	if (!once && running_here == item)
		run_ended_locked(this, item, again);
	running_here = NULL;
	this->running--;
	this->runs++;
	if (this->forgetting > 0)
		pthread_cond_broadcast(&this->done);
	if (this->phase != phase_working && this->running == 0)
		pthread_cond_signal(&this->wake);
}

static void *worker_main(void *argument)
{
	struct scheduler *this = argument;

	if (this->thread_enter)
		this->thread_enter();
	lock_take(&this->lock, lock_rank_scheduler);
	this->coming--;
	for (;;) {
		if (this->ready_count > 0) {
			run_one_locked(this);
		} else if (this->phase == phase_ended) {
			break;
		} else {
			this->parked++;
			pthread_cond_wait(&this->work, &this->lock.mutex);
			this->parked--;
		}
	}
	lock_drop(&this->lock, lock_rank_scheduler);
	if (this->thread_leave)
		this->thread_leave();
	return NULL;
}

/* ---- the owner ---------------------------------------------------------- */

/* One more worker; without any, the owner does the work. */
static bool start_worker_locked(struct scheduler *this)
{
	pthread_attr_t attributes;
	unsigned number = this->threads++;
	int r;

	this->coming++;
	lock_drop(&this->lock, lock_rank_scheduler);
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK_SIZE);
	r = pthread_create(&this->workers[number], &attributes, worker_main,
			   this);
	pthread_attr_destroy(&attributes);
	if (r != 0)
		log_event(event_sync_workers_few,
			  "no thread for syncing can be started: %s",
			  strerror(r));
	lock_take(&this->lock, lock_rank_scheduler);
	if (r == 0)
		return true;
	this->coming--;
	this->threads--;
	return false;
}

static void work_without_workers_locked(struct scheduler *this)
{
	if (this->thread_enter) {
		lock_drop(&this->lock, lock_rank_scheduler);
		this->thread_enter();
		lock_take(&this->lock, lock_rank_scheduler);
	}
	while (this->ready_count > 0)
		run_one_locked(this);
	if (this->thread_leave) {
		lock_drop(&this->lock, lock_rank_scheduler);
		this->thread_leave();
		lock_take(&this->lock, lock_rank_scheduler);
	}
}

static void staff_locked(struct scheduler *this)
{
	while (lacks_workers(this)) {
		if (start_worker_locked(this))
			continue;
		if (this->threads == 0)
			work_without_workers_locked(this);
		break;
	}
}

static void sleep_locked(struct scheduler *this)
{
	int64_t until = next_due(this);
	struct timespec time = {
		.tv_sec = until / 1000000000,
		.tv_nsec = until % 1000000000,
	};

	atomic_store(&this->asleep_until, until);
	/* Who has put something in before that has not waked us. */
	if (!atomic_load(&this->inbox)) {
		if (until == SYNC_NEVER)
			pthread_cond_wait(&this->wake, &this->lock.mutex);
		else
			pthread_cond_timedwait(&this->wake, &this->lock.mutex,
					       &time);
		this->wakes++;
	}
	atomic_store(&this->asleep_until, AWAKE);
}

/* Nothing is left, and nothing runs that could want something. */
static bool is_through_locked(struct scheduler *this)
{
	return this->phase == phase_stopping && this->ready_count == 0 &&
	       this->running == 0 && !atomic_load(&this->inbox);
}

static void *owner_main(void *argument)
{
	struct scheduler *this = argument;

	lock_take(&this->lock, lock_rank_scheduler);
	while (!is_through_locked(this)) {
		empty_inbox_locked(this);
		make_due_ready_locked(this);
		staff_locked(this);
		/* The lock may have been dropped. */
		if (next_due(this) > clock_now() && !is_through_locked(this))
			sleep_locked(this);
	}
	this->phase = phase_ended;
	pthread_cond_broadcast(&this->work);
	lock_drop(&this->lock, lock_rank_scheduler);
	return NULL;
}

/* ---- for everybody ------------------------------------------------------ */

void sync_item_init(struct sync_item *item,
		    int64_t (*run)(struct sync_item *item))
{
	*item = (struct sync_item){ .run = run, .wanted = SYNC_NEVER };
}

static void put_in_inbox(struct scheduler *this, struct sync_item *item)
{
	struct sync_item *first = atomic_load(&this->inbox);

	do
		item->next = first;
	while (!atomic_compare_exchange_weak(&this->inbox, &first, item));
}

void scheduler_want(struct scheduler *this, struct sync_item *item,
		    int64_t due)
{
	/*
	 * Not a load: what the caller wrote into a mapping must be there
	 * before `wanted` is read, or a run that has just reset it could
	 * miss both.
	 */
	int64_t wanted = atomic_fetch_add(&item->wanted, 0);

	do {
		if (wanted <= due)
			return;
	} while (!atomic_compare_exchange_weak(&item->wanted, &wanted, due));
	if (this->phase == phase_ended)
		return;
	if (due <= SYNC_AT_ONCE) {
		lock_take(&this->lock, lock_rank_scheduler);
		place_locked(this, item);
		lock_drop(&this->lock, lock_rank_scheduler);
		return;
	}
	if (atomic_exchange(&item->in_inbox, true))
		return;
	/* From here on it may be run, and freed. */
	put_in_inbox(this, item);
	if (!lower_sleep(this, due))
		return;
	lock_take(&this->lock, lock_rank_scheduler);
	pthread_cond_signal(&this->wake);
	lock_drop(&this->lock, lock_rank_scheduler);
}

void sync_item_forget(struct scheduler *this, struct sync_item *item)
{
	lock_take(&this->lock, lock_rank_scheduler);
	item->forgotten = true;
	for (;;) {
		if (atomic_load(&item->in_inbox))
			empty_inbox_locked(this);
		take_out_locked(this, item);
		if (item->state != state_running || running_here == item)
			break;
		this->forgetting++;
		pthread_cond_wait(&this->done, &this->lock.mutex);
		this->forgetting--;
	}
	if (running_here == item) {
		running_here = NULL;
		item->state = state_idle;
	}
	atomic_store(&item->wanted, SYNC_NEVER);
	item->forgotten = false;
	lock_drop(&this->lock, lock_rank_scheduler);
}

void scheduler_look(struct scheduler *this, struct scheduler_state *state)
{
	lock_take(&this->lock, lock_rank_scheduler);
	empty_inbox_locked(this);
	*state = (struct scheduler_state){
		.waiting = this->heap_count + this->ready_count,
		.running = this->running,
		.threads = this->threads,
		.next_due = next_due(this),
		.wakes = this->wakes,
		.runs = this->runs,
		.latest = this->latest,
	};
	lock_drop(&this->lock, lock_rank_scheduler);
}

/* ---- starting and stopping ---------------------------------------------- */

struct scheduler *scheduler_new(unsigned workers)
{
	struct scheduler *this = calloc(1, sizeof(*this));
	pthread_condattr_t attributes;

	if (!this)
		return NULL;
	this->limit = workers;
	this->workers = calloc(workers, sizeof(*this->workers));
	if (!this->workers) {
		free(this);
		return NULL;
	}
	this->asleep_until = AWAKE;
	lock_init(&this->lock);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&this->wake, &attributes);
	pthread_condattr_destroy(&attributes);
	pthread_cond_init(&this->work, NULL);
	pthread_cond_init(&this->done, NULL);
	TAILQ_INIT(&this->ready);
	return this;
}

int scheduler_start(struct scheduler *this, void (*thread_enter)(void),
		    void (*thread_leave)(void))
{
	int r;

	assert(!this->started);
	this->thread_enter = thread_enter;
	this->thread_leave = thread_leave;
	r = pthread_create(&this->owner, NULL, owner_main, this);
	this->started = r == 0;
	return -r;
}

void scheduler_stop(struct scheduler *this)
{
	assert(!running_here);
	if (!this->started)
		return;
	lock_take(&this->lock, lock_rank_scheduler);
	this->phase = phase_stopping;
	empty_inbox_locked(this);
	make_all_ready_locked(this);
	pthread_cond_signal(&this->wake);
	lock_drop(&this->lock, lock_rank_scheduler);
	pthread_join(this->owner, NULL);
	for (unsigned i = 0; i < this->threads; i++)
		pthread_join(this->workers[i], NULL);
	this->started = false;
}

void scheduler_free(struct scheduler *this)
{
	assert(!this->started);
	pthread_cond_destroy(&this->done);
	pthread_cond_destroy(&this->work);
	pthread_cond_destroy(&this->wake);
	lock_fini(&this->lock);
	free(this->workers);
	free(this->heap);
	free(this);
}
