// SPDX-License-Identifier: Apache-2.0
#include "daemon.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "report.h"

#define ANSWER_SECONDS 15
#define SETTLE_MS 3000
#define CACHES_MS 500
/* More than the daemon has freed together. */
#define BATCH_MAX 256
#define GRACE_US 50000
#define ROUNDS 5

struct fault_control *control;
unsigned caches_dropped;
static pid_t daemon_pid;
static char waiting_path[128];
static _Atomic time_t deadline;

void map_control(const char *path, int flags)
{
	int fd = open(path, O_RDWR | O_CLOEXEC | flags, 0600);

	if (fd < 0 || ftruncate(fd, sizeof(*control)) < 0)
		give_up(path);
	control = mmap(NULL, sizeof(*control), PROT_READ | PROT_WRITE,
		       MAP_SHARED, fd, 0);
	if (control == MAP_FAILED)
		give_up(path);
	close(fd);
}

/* A client that waits for ever can only be freed by ending the daemon. */
static void *watch(void *argument)
{
	struct timespec interval = { .tv_nsec = 200000000 };

	for (;;) {
		nanosleep(&interval, NULL);
		if (!deadline || time(NULL) < deadline)
			continue;
		printf("%s, %s: no answer for %d seconds\n", step_name,
		       fault_text, ANSWER_SECONDS);
		fflush(stdout);
		kill(daemon_pid, SIGKILL);
		_exit(1);
	}
	return argument;
}

void expect_answers(bool expected)
{
	deadline = expected ? time(NULL) + ANSWER_SECONDS : 0;
}

void expect_daemon(void)
{
	if (kill(daemon_pid, 0) == 0)
		return;
	complain("the daemon is dead");
	end_sweep("it can't go on");
}

static int number_waiting(void)
{
	int count = -1;
	FILE *file = fopen(waiting_path, "re");

	if (!file)
		give_up(waiting_path);
	if (fscanf(file, "%d", &count) != 1)
		count = -1;
	fclose(file);
	return count;
}

static void sleep_us(long us)
{
	struct timespec interval = { .tv_nsec = us * 1000 };

	nanosleep(&interval, NULL);
}

void wait_until_idle(void)
{
	for (unsigned i = 0; i < 50000; i++) {
		if (number_waiting() == 0 && control->busy == 0 &&
		    control->background_busy == 0)
			return;
		expect_daemon();
		sleep_us(200);
	}
	complain("requests are never done");
	end_sweep("it can't go on");
}

static int64_t count_descriptors(void)
{
	char path[64];
	int64_t count = 0;
	DIR *stream;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)daemon_pid);
	stream = opendir(path);
	if (!stream)
		give_up(path);
	while (readdir(stream))
		count++;
	closedir(stream);
	return count;
}

struct holdings holdings_now(void)
{
	return (struct holdings){
		.descriptors = count_descriptors(),
		.mappings = control->mappings,
		.backings = control->backings,
	};
}

static bool within(const struct holdings *now, const struct holdings *before)
{
	return now->descriptors <= before->descriptors &&
	       now->mappings <= before->mappings &&
	       now->backings <= before->backings;
}

static void drop_caches(void)
{
	int fd = open("/proc/sys/vm/drop_caches", O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (write(fd, "2", 1) != 1)
		give_up("/proc/sys/vm/drop_caches");
	close(fd);
	caches_dropped++;
}

static bool settles_within(const struct holdings *before,
			   struct holdings *now)
{
	for (unsigned ms = 0; ms < SETTLE_MS; ms++) {
		*now = holdings_now();
		if (within(now, before))
			return true;
		if (ms == CACHES_MS)
			drop_caches();
		sleep_us(1000);
	}
	return false;
}

bool settled(struct holdings *before)
{
	struct holdings now;

	if (settles_within(before, &now))
		return true;
	*before = now;
	return false;
}

void check_holdings(struct holdings *before)
{
	struct holdings now;

	if (settles_within(before, &now))
		return;
	complain("the daemon keeps %+lld descriptors, %+lld mappings, "
		 "%+lld backing files",
		 (long long)(now.descriptors - before->descriptors),
		 (long long)(now.mappings - before->mappings),
		 (long long)(now.backings - before->backings));
	*before = now;
}

/*
 * Inodes are forgotten a moment after their names are gone, so a batch may
 * not end exactly where it seems to: the least of a few times counts.
 */
int64_t heap_blocks(void (*churn)(void), int64_t enough)
{
	int64_t least = INT64_MAX;

	for (unsigned round = 0; round < ROUNDS && least > enough; round++) {
		uint32_t before = control->grace_periods;
		int64_t now;

		for (unsigned i = 0; i < BATCH_MAX; i++) {
			churn();
			if (control->grace_periods != before)
				break;
		}
		sleep_us(GRACE_US);
		now = control->blocks;
		if (now < least)
			least = now;
	}
	return least;
}

void watch_daemon(pid_t pid, dev_t device)
{
	pthread_t thread;

	daemon_pid = pid;
	snprintf(waiting_path, sizeof(waiting_path),
		 "/sys/fs/fuse/connections/%u/waiting", minor(device));
	if (pthread_create(&thread, NULL, watch, NULL) != 0)
		give_up("a thread");
}
