// SPDX-License-Identifier: Apache-2.0
/*
 * A worker waits in read(2) on /dev/fuse. One that takes a request and leaves
 * nobody waiting starts another first, up to the limit. Unmounting ends the
 * read with ENODEV, in every thread; to stop them otherwise each is sent a
 * signal whose handler does nothing, again and again until it is gone,
 * because it may arrive just before the read.
 */
#include "fuse/workers.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "core/node.h"
#include "fuse/request.h"
#include "os/credentials.h"
#include "util/log.h"

/* Room for the largest write and its headers. */
#define MESSAGE_SIZE (((size_t)1 << 20) + 4096)
#define STACK_SIZE ((size_t)512 << 10)
#define IDLE_MAX 8
#define WORKERS_MIN 2
#define STOP_INTERVAL_MS 5

struct worker {
	struct workers *workers;
	pthread_t thread;
	void *message;
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

/* The next request: its size, or 0 when there are no more. */
static size_t receive(struct worker *worker)
{
	struct workers *workers = worker->workers;

	while (!workers->stopping) {
		ssize_t n = read(workers->device, worker->message,
				 MESSAGE_SIZE);

		if (n > 0)
			return (size_t)n;
		/* ENOENT: the request was taken back before it was read. */
		if (n < 0 && (errno == EINTR || errno == ENOENT ||
			      errno == EAGAIN))
			continue;
		if (n < 0 && errno != ENODEV)
			log_error("reading requests: %s", strerror(errno));
		workers->stopping = true;
		kill(getpid(), workers_signal());
	}
	return 0;
}

static void work(struct worker *worker)
{
	struct workers *workers = worker->workers;
	size_t size;

	while ((size = receive(worker)) > 0) {
		if (atomic_fetch_sub(&workers->idle, 1) == 1 &&
		    worker_start(workers) < 0)
			log_warning_once("no more worker threads: %s",
					 strerror(errno));
		workers->serve(workers->context, worker->message, size);
		if (atomic_fetch_add(&workers->idle, 1) >= IDLE_MAX)
			break;
	}
	atomic_fetch_sub(&workers->idle, 1);
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

	sigemptyset(&set);
	sigaddset(&set, interrupt_signal());
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	node_thread_enter();
	if (credentials_thread_init() < 0)
		log_warning_once("threads share one umask: %s",
				 strerror(errno));
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
	atomic_fetch_add(&workers->idle, 1);
	/* In the list before it can end; under the lock till thread is set. */
	lock_take(&workers->lock, lock_rank_workers);
	LIST_INSERT_HEAD(&workers->list, worker, link);
	r = thread_start(worker);
	if (r < 0)
		LIST_REMOVE(worker, link);
	lock_drop(&workers->lock, lock_rank_workers);
	if (r < 0) {
		worker_free(worker);
		atomic_fetch_sub(&workers->idle, 1);
		atomic_fetch_sub(&workers->count, 1);
	}
	return r;
}

int workers_start(struct workers *workers)
{
	struct sigaction action = { .sa_handler = interrupted };
	int r = 0;

	lock_init(&workers->lock);
	LIST_INIT(&workers->list);
	sigemptyset(&action.sa_mask);
	sigaction(interrupt_signal(), &action, NULL);
	for (unsigned i = 0; i < WORKERS_MIN && r == 0; i++)
		r = worker_start(workers);
	return workers->count > 0 ? 0 : r;
}

static void interrupt_all(struct workers *workers)
{
	struct worker *worker;

	lock_take(&workers->lock, lock_rank_workers);
	LIST_FOREACH(worker, &workers->list, link)
		pthread_kill(worker->thread, interrupt_signal());
	lock_drop(&workers->lock, lock_rank_workers);
}

bool workers_stop(struct workers *workers, unsigned milliseconds)
{
	struct timespec interval = {
		.tv_nsec = STOP_INTERVAL_MS * 1000000L,
	};

	workers->stopping = true;
	for (unsigned waited = 0; workers->count > 0;
	     waited += STOP_INTERVAL_MS) {
		if (waited >= milliseconds)
			return false;
		interrupt_all(workers);
		nanosleep(&interval, NULL);
	}
	lock_fini(&workers->lock);
	return true;
}
