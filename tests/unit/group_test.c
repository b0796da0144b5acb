// SPDX-License-Identifier: Apache-2.0
/*
 * A scheduler with one worker, which a gate can occupy, makes exact what
 * comes into one batch. Delays of an hour show that nobody waits for time.
 */
#include "scheduler_probe.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <linux/magic.h>
#include <malloc.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/vfs.h>

#include "core/group.h"
#include "os/pagecache.h"
#include "util/cleanup.h"

#define PAGE 4096

struct visitor {
	struct group_waiter waiter;
	_Atomic unsigned calls;
	_Atomic int result;
};

static struct group *group;
static struct probe gate;

static void called_back(struct group_waiter *waiter, int result)
{
	struct visitor *visitor = (struct visitor *)waiter;

	visitor->result = result;
	visitor->calls++;
}

static void join(struct visitor *visitor, int fd, int64_t delay)
{
	*visitor = (struct visitor){
		.waiter.done = called_back,
		.waiter.fd = fd,
		.result = 1,
	};
	group_join(group, &visitor->waiter, delay);
}

static struct group_counts counts(void)
{
	struct group_counts counts;

	group_count(group, &counts);
	return counts;
}

static void begin(int fd, unsigned workers)
{
	start(workers);
	group = group_new(scheduler, fd);
	assert_non_null(group);
}

static void finish(void)
{
	group_free(group);
	end();
}

/* Until the gate is opened no flush begins: there is no other worker. */
static void close_gate(void)
{
	probe_init(&gate);
	gate.act = at_gate;
	want(&gate, 0);
	await(gate.inside);
}

static void open_gate(void)
{
	sem_post(&gate.gate);
}

static void all_are_called_back_once(struct visitor *visitors, unsigned count,
				     int result)
{
	for (unsigned i = 0; i < count; i++)
		await(visitors[i].calls > 0);
	for (unsigned i = 0; i < count; i++) {
		assert_int_equal(visitors[i].calls, 1);
		assert_int_equal(visitors[i].result, result);
	}
}

/* A batch of so many, who will be expected again. */
static void flush_batch(struct visitor *visitors, unsigned count, int fd)
{
	uint64_t before = counts().flushes;

	close_gate();
	for (unsigned i = 0; i < count; i++)
		join(&visitors[i], fd, HOUR);
	open_gate();
	all_are_called_back_once(visitors, count, 0);
	assert_int_equal(counts().flushes, before + 1);
}

static int dirty_file(struct place *place, const char *name)
{
	char page[PAGE];
	int fd;

	make_file(place, name, "");
	fd = openat(place->fd, name, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	memset(page, 'x', sizeof(page));
	assert_int_equal(pwrite(fd, page, sizeof(page), 0), PAGE);
	return fd;
}

static void no_page_is_dirty(int fd)
{
	struct pagecache_counts pages;
	struct statfs fs;

	assert_int_equal(fstatfs(fd, &fs), 0);
	assert_int_equal(pagecache_count(fd, 0, 0, &pages), 0);
	/* Of memory's own files every page is. */
	if (!pages.exact || fs.f_type == TMPFS_MAGIC)
		return;
	assert_int_equal(pages.dirty, 0);
	assert_int_equal(pages.writeback, 0);
}

/* ---- batches ------------------------------------------------------------ */

static void who_comes_alone_waits_for_nobody(void **state)
{
	struct place *place = *state;
	struct visitor visitor;
	owned_fd fd = dirty_file(place, "file");

	begin(place->fd, WORKERS);
	for (unsigned i = 1; i <= 20; i++) {
		join(&visitor, fd, HOUR);
		all_are_called_back_once(&visitor, 1, 0);
		no_page_is_dirty(fd);
		assert_int_equal(counts().flushes, i);
	}
	assert_int_equal(counts().waiters, 20);
	finish();
}

static void those_who_come_during_a_flush_share_the_next(void **state)
{
	enum { count = 100 };
	struct place *place = *state;
	static struct visitor visitors[count];
	owned_fd fd = dirty_file(place, "file");

	begin(place->fd, 1);
	flush_batch(visitors, count, fd);
	assert_int_equal(counts().flushes, 1);
	assert_int_equal(counts().waiters, count);
	finish();
}

static void a_batch_ends_when_all_have_come_again(void **state)
{
	enum { count = 8 };
	struct place *place = *state;
	struct visitor visitors[count];
	owned_fd fd = dirty_file(place, "file");

	begin(place->fd, 1);
	flush_batch(visitors, count, fd);
	for (unsigned round = 2; round <= 5; round++) {
		for (unsigned i = 0; i < count - 1; i++)
			join(&visitors[i], fd, HOUR);
		usleep(20000);
		assert_int_equal(counts().flushes, round - 1);
		assert_int_equal(visitors[0].calls, 0);
		join(&visitors[count - 1], fd, HOUR);
		all_are_called_back_once(visitors, count, 0);
		assert_int_equal(counts().flushes, round);
	}
	finish();
}

static void who_does_not_come_is_waited_for_only_so_long(void **state)
{
	enum { count = 8 };
	struct place *place = *state;
	struct visitor visitors[count];
	owned_fd fd = dirty_file(place, "file");

	begin(place->fd, 1);
	flush_batch(visitors, count, fd);
	join(&visitors[0], fd, HOUR);
	take_a_moment();
	assert_int_equal(visitors[0].calls, 0);
	/* Who has less patience ends it for all. */
	join(&visitors[1], fd, 30 * MILLISECOND);
	all_are_called_back_once(visitors, 2, 0);
	assert_int_equal(counts().flushes, 2);
	/* And two are expected from now on. */
	join(&visitors[0], fd, HOUR);
	join(&visitors[1], fd, HOUR);
	all_are_called_back_once(visitors, 2, 0);
	assert_int_equal(counts().flushes, 3);
	finish();
}

static void stopping_flushes_who_still_waits(void **state)
{
	enum { count = 8 };
	struct place *place = *state;
	struct visitor visitors[count];
	owned_fd fd = dirty_file(place, "file");

	begin(place->fd, 1);
	flush_batch(visitors, count, fd);
	join(&visitors[0], fd, HOUR);
	scheduler_stop(scheduler);
	all_are_called_back_once(visitors, 1, 0);
	finish();
}

/* ---- files -------------------------------------------------------------- */

/* Few are synced each by itself, many with all of the file system. */
static void flush_files(struct place *place, unsigned count)
{
	static struct visitor visitors[100];
	static int fds[100];
	char name[16];

	begin(place->fd, 1);
	for (unsigned round = 1; round <= 3; round++) {
		close_gate();
		for (unsigned i = 0; i < count; i++) {
			snprintf(name, sizeof(name), "%u", i);
			fds[i] = dirty_file(place, name);
			join(&visitors[i], fds[i], HOUR);
			visitors[i].waiter.whole = i % 2;
		}
		open_gate();
		all_are_called_back_once(visitors, count, 0);
		assert_int_equal(counts().flushes, round);
		for (unsigned i = 0; i < count; i++) {
			no_page_is_dirty(fds[i]);
			close(fds[i]);
		}
	}
	finish();
}

static void a_few_files_share_a_flush(void **state)
{
	flush_files(*state, 2);
	flush_files(*state, 10);
}

static void many_files_share_a_flush(void **state)
{
	flush_files(*state, 100);
}

static void a_bad_descriptor_is_told_to_its_waiter_only(void **state)
{
	struct place *place = *state;
	struct visitor visitors[3];
	owned_fd fd = dirty_file(place, "file");
	owned_fd other = dirty_file(place, "other");

	begin(place->fd, 1);
	close_gate();
	join(&visitors[0], fd, HOUR);
	join(&visitors[1], -1, HOUR);
	join(&visitors[2], other, HOUR);
	open_gate();
	all_are_called_back_once(&visitors[0], 1, 0);
	all_are_called_back_once(&visitors[1], 1, -EBADF);
	all_are_called_back_once(&visitors[2], 1, 0);
	no_page_is_dirty(fd);
	no_page_is_dirty(other);
	finish();
}

/* ---- errors ------------------------------------------------------------- */

static void need_disks(void)
{
	if (access("/dev/loop-control", R_OK | W_OK) < 0)
		skip_because("no loop devices can be had");
}

/*
 * A block device, which is a file like others here, over a memfd; it takes
 * its end with it. Negative: it can't be had.
 */
static int make_disk(int memory)
{
	struct loop_config config = {
		.fd = (unsigned)memory,
		.info.lo_flags = LO_FLAGS_AUTOCLEAR,
	};
	char name[32];

	/* Others may take the free one first. */
	for (unsigned tries = 0; tries < 100; tries++) {
		owned_fd control = open("/dev/loop-control",
			O_RDWR | O_CLOEXEC);
		int number = ioctl(control, LOOP_CTL_GET_FREE);
		owned_fd fd = -1;

		if (number < 0)
			return -1;
		snprintf(name, sizeof(name), "/dev/loop%d", number);
		fd = open(name, O_RDWR | O_CLOEXEC);
		if (fd < 0)
			return -1;
		if (ioctl(fd, LOOP_CONFIGURE, &config) == 0)
			return take_fd(&fd);
		if (errno != EBUSY)
			return -1;
	}
	return -1;
}

static int make_memory(void)
{
	int memory = memfd_create("disk", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_true(memory >= 0);
	assert_int_equal(ftruncate(memory, 1 << 20), 0);
	return memory;
}

static void dirty_page(int fd)
{
	char page[PAGE];

	memset(page, 'y', sizeof(page));
	assert_int_equal(pwrite(fd, page, sizeof(page), 0), PAGE);
}

/* The same node of /dev, opened anew. */
static int open_again(int fd)
{
	char name[32];

	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	return open(name, O_RDWR | O_CLOEXEC);
}

static void flush_both(struct visitor visitors[4], int good, int bad, int again)
{
	close_gate();
	join(&visitors[0], good, HOUR);
	join(&visitors[1], bad, HOUR);
	join(&visitors[2], bad, HOUR);
	join(&visitors[3], again, HOUR);
	open_gate();
	for (unsigned i = 0; i < 4; i++)
		await(visitors[i].calls > 0);
}

static void an_error_reaches_each_waiter_of_its_file_and_no_other(void **state)
{
	struct place *place = *state;
	struct visitor visitors[4];
	owned_fd good_memory = -1, bad_memory = -1;
	owned_fd good = -1, bad = -1, again = -1;

	need_disks();
	good_memory = make_memory();
	bad_memory = make_memory();
	good = make_disk(good_memory);
	bad = make_disk(bad_memory);
	again = open_again(bad);
	assert_true(good >= 0 && bad >= 0 && again >= 0);
	assert_int_equal(fcntl(bad_memory, F_ADD_SEALS, F_SEAL_FUTURE_WRITE),
		0);
	begin(place->fd, 1);
	for (unsigned round = 0; round < 2; round++) {
		dirty_page(good);
		dirty_page(bad);
		flush_both(visitors, good, bad, again);
		all_are_called_back_once(&visitors[0], 1, 0);
		all_are_called_back_once(&visitors[1], 3, -EIO);
		/* It has been told. */
		flush_both(visitors, good, bad, again);
		all_are_called_back_once(visitors, 4, 0);
	}
	assert_int_equal(counts().flushes, 4);
	finish();
}

/* What write-back met before anybody waited is not lost either. */
static void an_error_of_earlier_is_told_to_who_comes_next(void **state)
{
	struct place *place = *state;
	struct visitor visitor;
	owned_fd memory = -1, bad = -1;

	need_disks();
	memory = make_memory();
	bad = make_disk(memory);
	assert_true(bad >= 0);
	assert_int_equal(fcntl(memory, F_ADD_SEALS, F_SEAL_FUTURE_WRITE), 0);
	begin(place->fd, 1);
	dirty_page(bad);
	/* Waits for the pages through another descriptor, which is told. */
	{
		owned_fd again = open_again(bad);

		assert_int_equal(fdatasync(again), -1);
		assert_int_equal(errno, EIO);
	}
	join(&visitor, bad, HOUR);
	all_are_called_back_once(&visitor, 1, -EIO);
	finish();
}

/* ---- many --------------------------------------------------------------- */

#define THREADS 8
#define ROUNDS 50

struct writing {
	int fds[THREADS];
	_Atomic unsigned errors;
};

/* As a program: writes, waits until it is durable, writes. */
static int write_and_wait(void *argument, unsigned thread)
{
	struct writing *writing = argument;
	struct visitor visitor;

	for (unsigned i = 0; i < ROUNDS; i++) {
		int64_t patience = clock_now() + PATIENCE;

		expect(write(writing->fds[thread], "record", 6) == 6);
		join(&visitor, writing->fds[thread], 20 * MILLISECOND);
		while (visitor.calls == 0 && clock_now() < patience)
			usleep(100);
		expect(visitor.calls == 1 && visitor.result == 0);
	}
	return 0;
}

static void threads_share_flushes(void **state)
{
	struct place *place = *state;
	struct writing writing;
	char name[16];

	for (unsigned i = 0; i < THREADS; i++) {
		snprintf(name, sizeof(name), "%u", i / 2);
		writing.fds[i] = dirty_file(place, name);
	}
	begin(place->fd, WORKERS);
	assert_int_equal(in_threads(THREADS, write_and_wait, &writing), 0);
	assert_int_equal(counts().waiters, THREADS * ROUNDS);
	assert_true(counts().flushes < THREADS * ROUNDS);
	finish();
	for (unsigned i = 0; i < THREADS; i++)
		close(writing.fds[i]);
}

/* ---- a function of all -------------------------------------------------- */

struct common {
	_Atomic unsigned calls;
	_Atomic int result;
	sem_t gate; /* each call waits there */
};

static int flush_common(void *context)
{
	struct common *common = context;

	common->calls++;
	while (sem_wait(&common->gate) < 0)
		;
	return common->result;
}

static void begin_of(struct common *common)
{
	*common = (struct common){ 0 };
	sem_init(&common->gate, 0, 0);
	start(WORKERS);
	group = group_new_of(scheduler, flush_common, common);
	assert_non_null(group);
}

static void one_function_flushes_for_all(void **state)
{
	enum { count = 30 };
	struct visitor visitors[count];
	struct common common;

	(void)state;
	begin_of(&common);
	/* No descriptor of theirs is looked at. */
	join(&visitors[0], -1, HOUR);
	await(common.calls == 1);
	for (unsigned i = 1; i < count; i++)
		join(&visitors[i], -1, HOUR);
	take_a_moment();
	/* Not twice at one time, and nobody is answered before. */
	assert_int_equal(common.calls, 1);
	assert_int_equal(visitors[0].calls, 0);
	sem_post(&common.gate);
	all_are_called_back_once(visitors, 1, 0);
	/* The first may come again, and is waited for, but not for ever. */
	join(&visitors[0], -1, MILLISECOND);
	await(common.calls == 2);
	assert_int_equal(visitors[1].calls, 0);
	sem_post(&common.gate);
	all_are_called_back_once(visitors, count, 0);
	assert_int_equal(counts().flushes, 2);
	assert_int_equal(counts().waiters, count + 1);
	finish();
}

static void its_error_is_everybody_s(void **state)
{
	enum { count = 5 };
	struct visitor visitors[count];
	struct common common;

	(void)state;
	begin_of(&common);
	join(&visitors[0], -1, 0);
	await(common.calls == 1);
	for (unsigned i = 1; i < count; i++)
		join(&visitors[i], -1, MILLISECOND);
	common.result = -EIO;
	sem_post(&common.gate);
	all_are_called_back_once(visitors, 1, -EIO);
	common.result = -ENOSPC;
	sem_post(&common.gate);
	all_are_called_back_once(visitors + 1, count - 1, -ENOSPC);
	/* And then it is over. */
	common.result = 0;
	sem_post(&common.gate);
	join(&visitors[0], -1, 0);
	all_are_called_back_once(visitors, 1, 0);
	finish();
}

#define FAR_TOO_MANY 100000

/* In a child: RLIMIT_AS is the process's. */
static int flush_without_memory(void *argument)
{
	const struct rlimit nothing = { .rlim_cur = 1, .rlim_max = 1 };
	struct visitor *visitors = argument;
	int fd = memfd_create("file", MFD_CLOEXEC);

	/* A thread's own arena has its address space already. */
	mallopt(M_ARENA_MAX, 1);
	begin(fd, 1);
	close_gate();
	setrlimit(RLIMIT_AS, &nothing);
	for (unsigned i = 0; i < FAR_TOO_MANY; i++)
		join(&visitors[i], i == 7 ? -1 : fd, HOUR);
	open_gate();
	await(visitors[FAR_TOO_MANY - 1].calls > 0);
	finish();
	for (unsigned i = 0; i < FAR_TOO_MANY; i++) {
		expect(visitors[i].calls == 1);
		expect(visitors[i].result == (i == 7 ? -EBADF : 0));
	}
	return 0;
}

static void without_memory_each_is_flushed_alone(void **state)
{
	struct visitor *visitors;

	(void)state;
	if (SANITIZED)
		skip_because("n/a: a sanitizer needs its memory");
	visitors = calloc(FAR_TOO_MANY, sizeof(*visitors));
	assert_non_null(visitors);
	assert_int_equal(in_child(flush_without_memory, visitors), 0);
	free(visitors);
}

#define sentence(name)                                                         \
	cmocka_unit_test_setup_teardown(name, place_setup, place_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		/* First: threads that have ended leave memory behind. */
		sentence(without_memory_each_is_flushed_alone),
		sentence(who_comes_alone_waits_for_nobody),
		sentence(those_who_come_during_a_flush_share_the_next),
		sentence(a_batch_ends_when_all_have_come_again),
		sentence(who_does_not_come_is_waited_for_only_so_long),
		sentence(stopping_flushes_who_still_waits),
		sentence(a_few_files_share_a_flush),
		sentence(many_files_share_a_flush),
		sentence(a_bad_descriptor_is_told_to_its_waiter_only),
		sentence(an_error_reaches_each_waiter_of_its_file_and_no_other),
		sentence(an_error_of_earlier_is_told_to_who_comes_next),
		sentence(threads_share_flushes),
		sentence(one_function_flushes_for_all),
		sentence(its_error_is_everybody_s),
	};

	return cmocka_run_group_tests_name("group", tests, NULL, NULL);
}
