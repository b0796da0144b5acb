// SPDX-License-Identifier: Apache-2.0
/*
 *	reading		waits for a request: looking for it, then asleep
 *	serving		has taken a request; perhaps nobody reads now
 *	parked		done serving when there were readers enough
 *
 * With one program waiting for each answer one thread is enough, and fastest:
 * it is the warm one. A second reader is put up
 * - at once, when the request is one that takes long by its nature;
 * - by the watchdog, when a request has taken longer than a tick;
 * - by the watchdog, when most requests were found waiting: there are more
 *   programs than one thread can serve.
 * The watchdog ticks while requests come, and sleeps soon after the last: an
 * idle mount wakes for nothing.
 *
 * Unmounting ends the wait with ENODEV, in every thread; to stop them
 * otherwise each is sent a signal whose handler does nothing, again and again
 * until it is gone, because it may arrive just before the poll.
 */
#include "fuse/workers.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "core/node.h"
#include "fuse/request.h"
#include "os/clock.h"
#include "os/credentials.h"
#include "util/log.h"

/* Room for the largest write and its headers. */
#define MESSAGE_SIZE (((size_t)1 << 20) + 4096)
#define STACK_SIZE ((size_t)512 << 10)
#define STOP_INTERVAL_MS 5

/* The watchdog: a request that takes longer than this is a slow one. */
#define TICK_NS 1000000
/*
 * To sleep and be woken costs more than most requests, on a virtual machine
 * several times more. So a reader looks again and again for SPIN_NS before it
 * sleeps, as long as that pays: waits shorter than WORTH_NS (which has the
 * waking in it) earn credit, longer ones and fruitless spinning cost it.
 */
#define SPIN_NS 60000
#define WORTH_NS 100000
#define SPIN_CREDIT 8
#define SPIN_MISS 4
#define CREDIT_MAX 32
/* Crowded: three of four requests, of at least so many, in one round. */
#define ROUND_TICKS 10
#define ROUND_REQUESTS 64
#define IDLE_ROUNDS 2

struct worker {
	struct workers *workers;
	pthread_t thread;
	void *message;
	int credit; /* for spinning */
	LIST_ENTRY(worker) link;
};

static int worker_start(struct workers *workers);

int workers_signal(void)
{
	return SIGRTMIN;
}

static int interrupt_signal(void)
{
	return SIGRTMIN + 1;
}

static void interrupted(int number)
{
	(void)number;
}

/* ---- serving ----------------------------------------------------------- */

/* A request's size, 0: there is none now, or -errno. */
static ssize_t take(struct worker *worker)
{
	ssize_t n = read(worker->workers->device, worker->message,
			 MESSAGE_SIZE);

	if (n >= 0)
		return n;
	/* ENOENT: the request was taken back before it was read. */
	return errno == EAGAIN || errno == EINTR || errno == ENOENT ? 0 :
								      -errno;
}

/* Looks again and again for a while. As take(). */
static ssize_t spin(struct worker *worker, int64_t since)
{
	ssize_t n = 0;

	while (n == 0 && clock_now() - since < SPIN_NS &&
	       !worker->workers->stopping)
		n = take(worker);
	worker->credit += n > 0 ? 1 : -SPIN_MISS;
	return n;
}

/* Sleeps until there is something to take; learns whether to spin. */
static void await(struct worker *worker, int64_t since)
{
	struct pollfd device = {
		.fd = worker->workers->device,
		.events = POLLIN,
	};

	poll(&device, 1, -1);
	worker->credit += clock_now() - since < WORTH_NS ? 1 : -1;
}

static ssize_t wait_and_take(struct worker *worker)
{
	int64_t since = clock_now();
	ssize_t n = 0;

	if (worker->credit >= SPIN_CREDIT && worker->workers->may_spin)
		n = spin(worker, since);
	while (n == 0 && !worker->workers->stopping) {
		await(worker, since);
		n = take(worker);
	}
	if (worker->credit < 0)
		worker->credit = 0;
	if (worker->credit > CREDIT_MAX)
		worker->credit = CREDIT_MAX;
	return n;
}

/* The next request: its size, or 0 when there are no more. */
static size_t receive(struct worker *worker)
{
	struct workers *workers = worker->workers;
	ssize_t n = take(worker);

	if (n > 0)
		atomic_fetch_add(&workers->crowded, 1);
	else if (n == 0)
		n = wait_and_take(worker);
	if (n > 0 && !workers->stopping)
		return (size_t)n;
	if (n < 0 && n != -ENODEV)
		log_event(event_requests_lost,
			  "the kernel's requests can't be read: %s",
			  strerror((int)-n));
	workers->stopping = true;
	kill(getpid(), workers_signal());
	return 0;
}

/* One more reader: a parked worker, or a new one, up to the limit. */
static void add_reader(struct workers *workers)
{
	bool parked;

	lock_take(&workers->lock, lock_rank_workers);
	parked = workers->parked > workers->wakes;
	if (parked) {
		workers->wakes++;
		atomic_fetch_add(&workers->readers, 1);
		pthread_cond_signal(&workers->wake);
	}
	lock_drop(&workers->lock, lock_rank_workers);
	if (!parked && worker_start(workers) < 0)
		log_event(event_workers_few, "no thread to serve requests can "
			  "be started beside the %u there are",
			  atomic_load(&workers->count));
}

static void park(struct workers *workers)
{
	lock_take(&workers->lock, lock_rank_workers);
	workers->parked++;
	while (workers->wakes == 0 && !workers->stopping)
		pthread_cond_wait(&workers->wake, &workers->lock.mutex);
	if (workers->wakes > 0)
		workers->wakes--;
	workers->parked--;
	lock_drop(&workers->lock, lock_rank_workers);
}

static void wake_watchdog(struct workers *workers)
{
	if (workers->watching || atomic_exchange(&workers->watching, true))
		return;
	lock_take(&workers->lock, lock_rank_workers);
	pthread_cond_signal(&workers->watch);
	lock_drop(&workers->lock, lock_rank_workers);
}

static void work(struct worker *worker)
{
	struct workers *workers = worker->workers;
	size_t size;

	while ((size = receive(worker)) > 0) {
		unsigned left = atomic_fetch_sub(&workers->readers, 1) - 1;

		atomic_fetch_add(&workers->taken, 1);
		if (workers->is_long(workers->context, worker->message, size) &&
		    left == 0)
			add_reader(workers);
		wake_watchdog(workers);
		workers->serve(workers->context, worker->message, size);
		/* Who wakes a parked one has counted it as a reader. */
		if (workers->readers >= workers->wanted)
			park(workers);
		else
			atomic_fetch_add(&workers->readers, 1);
	}
}

static void worker_free(struct worker *worker)
{
	munmap(worker->message, MESSAGE_SIZE);
	free(worker);
}

static void *worker_main(void *argument)
{
	struct worker *worker = argument;
	struct workers *workers = worker->workers;
	sigset_t set;
	int r;

	sigemptyset(&set);
	sigaddset(&set, interrupt_signal());
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	node_thread_enter();
	r = credentials_thread_init();
	if (r < 0)
		log_event(event_umask_shared,
			  "threads can't have umasks of their own: %s",
			  strerror(-r));
	work(worker);
	request_spare_free();
	node_thread_leave();
	lock_take(&workers->lock, lock_rank_workers);
	LIST_REMOVE(worker, link);
	lock_drop(&workers->lock, lock_rank_workers);
	worker_free(worker);
	atomic_fetch_sub(&workers->count, 1);
	return NULL;
}

static int thread_start(struct worker *worker)
{
	pthread_attr_t attributes;
	int r;

	pthread_attr_init(&attributes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attributes, STACK_SIZE);
	r = pthread_create(&worker->thread, &attributes, worker_main, worker);
	pthread_attr_destroy(&attributes);
	return -r;
}

/* A new reader, unless there are too many threads. */
static int worker_start(struct workers *workers)
{
	struct worker *worker;
	int r;

	if (atomic_fetch_add(&workers->count, 1) >= workers->limit) {
		atomic_fetch_sub(&workers->count, 1);
		return 0;
	}
	worker = calloc(1, sizeof(*worker));
	if (worker)
		worker->message = mmap(NULL, MESSAGE_SIZE,
				       PROT_READ | PROT_WRITE,
				       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (!worker || worker->message == MAP_FAILED) {
		free(worker);
		atomic_fetch_sub(&workers->count, 1);
		return -ENOMEM;
	}
	worker->workers = workers;
	atomic_fetch_add(&workers->readers, 1);
	/* In the list before it can end; under the lock till thread is set. */
	lock_take(&workers->lock, lock_rank_workers);
	LIST_INSERT_HEAD(&workers->list, worker, link);
	r = thread_start(worker);
	if (r < 0)
		LIST_REMOVE(worker, link);
	lock_drop(&workers->lock, lock_rank_workers);
	if (r < 0) {
		worker_free(worker);
		atomic_fetch_sub(&workers->readers, 1);
		atomic_fetch_sub(&workers->count, 1);
	}
	return r;
}

/* ---- watching ---------------------------------------------------------- */

static void sleep_till_woken(struct workers *workers)
{
	lock_take(&workers->lock, lock_rank_workers);
	workers->watching = false;
	while (!workers->watching && !workers->stopping)
		pthread_cond_wait(&workers->watch, &workers->lock.mutex);
	lock_drop(&workers->lock, lock_rank_workers);
}

/* More readers while most requests had to wait, else back to one. */
static void adapt(struct workers *workers, uint64_t taken, uint64_t crowded)
{
	if (taken < ROUND_REQUESTS || crowded < taken / 4 * 3) {
		workers->wanted = 1;
	} else if (workers->wanted < workers->limit) {
		workers->wanted++;
		add_reader(workers);
	}
}

static void *watchdog_main(void *argument)
{
	struct workers *workers = argument;
	const struct timespec tick = { .tv_nsec = TICK_NS };
	uint64_t taken = 0, round_taken = 0, round_crowded = 0;
	unsigned ticks = 0, idle = 0;

	/* An idle moment frees nodes. */
	node_thread_enter();
	while (!workers->stopping) {
		uint64_t now = workers->taken;

		/* The same requests as a tick ago, and nobody for the next. */
		if (now == taken && workers->readers == 0)
			add_reader(workers);
		taken = now;
		if (++ticks == ROUND_TICKS) {
			uint64_t crowded = workers->crowded;

			adapt(workers, now - round_taken,
			      crowded - round_crowded);
			idle = now == round_taken ? idle + 1 : 0;
			round_taken = now;
			round_crowded = crowded;
			ticks = 0;
		}
		if (idle >= IDLE_ROUNDS && workers->readers > 0) {
			workers->idle(workers->context);
			sleep_till_woken(workers);
			idle = 0;
		}
		nanosleep(&tick, NULL);
	}
	node_thread_leave();
	return NULL;
}

/* ---- starting and stopping --------------------------------------------- */

int workers_start(struct workers *workers)
{
	struct sigaction action = { .sa_handler = interrupted };
	int r;

	lock_init(&workers->lock);
	pthread_cond_init(&workers->wake, NULL);
	pthread_cond_init(&workers->watch, NULL);
	LIST_INIT(&workers->list);
	workers->wanted = 1;
	workers->watching = true;
	workers->may_spin = sysconf(_SC_NPROCESSORS_ONLN) > 1;
	r = fcntl(workers->device, F_SETFL, O_RDWR | O_NONBLOCK);
	if (r < 0)
		return -errno;
	sigemptyset(&action.sa_mask);
	sigaction(interrupt_signal(), &action, NULL);
	r = -pthread_create(&workers->watchdog, NULL, watchdog_main, workers);
	if (r < 0)
		return r;
	r = worker_start(workers);
	if (r < 0) {
		workers->stopping = true;
		pthread_join(workers->watchdog, NULL);
	}
	return r;
}

static void interrupt_all(struct workers *workers)
{
	struct worker *worker;

	lock_take(&workers->lock, lock_rank_workers);
	LIST_FOREACH(worker, &workers->list, link)
		pthread_kill(worker->thread, interrupt_signal());
	pthread_cond_broadcast(&workers->wake);
	pthread_cond_broadcast(&workers->watch);
	lock_drop(&workers->lock, lock_rank_workers);
}

bool workers_stop(struct workers *workers, unsigned milliseconds)
{
	struct timespec interval = {
		.tv_nsec = STOP_INTERVAL_MS * 1000000L,
	};

	workers->stopping = true;
	interrupt_all(workers);
	pthread_join(workers->watchdog, NULL);
	for (unsigned waited = 0; workers->count > 0;
	     waited += STOP_INTERVAL_MS) {
		if (waited >= milliseconds)
			return false;
		interrupt_all(workers);
		nanosleep(&interval, NULL);
	}
	pthread_cond_destroy(&workers->watch);
	pthread_cond_destroy(&workers->wake);
	lock_fini(&workers->lock);
	return true;
}
