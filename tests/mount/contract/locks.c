// SPDX-License-Identifier: Apache-2.0
/*
 * Locks: fcntl (of a process), OFD (of an open file), flock; conflicts,
 * waiting, interruption, release.
 */
#include "contract.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/time.h>
#include <time.h>

static struct flock range(short type, off_t start, off_t length)
{
	return (struct flock){.l_type = type, .l_whence = SEEK_SET,
			      .l_start = start, .l_len = length};
}

static int lock(int fd, int command, short type, off_t start, off_t length)
{
	struct flock wanted = range(type, start, length);

	return fcntl(fd, command, &wanted);
}

static int open_file(void)
{
	return open_ok("file", O_RDWR | O_CREAT);
}

/* --- fcntl locks --------------------------------------------------------- */

struct probe {
	short type;
	off_t start, length;
	short seen;
	pid_t owner;
};

static void check_probe(void *argument)
{
	struct probe *probe = argument;
	struct flock found = range(probe->type, probe->start, probe->length);
	int fd = open_file();

	check_ok(fcntl(fd, F_GETLK, &found));
	check_equal(found.l_type, probe->seen);
	if (found.l_type != F_UNLCK)
		check_equal(found.l_pid, probe->owner);
	if (found.l_type == F_UNLCK)
		check_ok(lock(fd, F_SETLK, probe->type, probe->start,
			      probe->length));
	else
		check_fails(lock(fd, F_SETLK, probe->type, probe->start,
				 probe->length),
			    EAGAIN);
}

/* What another process finds of our locks when it wants this one. */
static void others_find(short wanted, off_t start, off_t length, short seen)
{
	struct probe probe = {wanted, start, length, seen, getpid()};

	run_as(NULL, check_probe, &probe);
}

static void a_write_lock_keeps_others_out(void **state)
{
	int fd = open_file();

	(void)state;
	check_ok(lock(fd, F_SETLK, F_WRLCK, 10, 20));
	others_find(F_RDLCK, 0, 100, F_WRLCK);
	others_find(F_WRLCK, 29, 1, F_WRLCK);
	others_find(F_WRLCK, 30, 0, F_UNLCK);
	others_find(F_WRLCK, 0, 10, F_UNLCK);
	/* Not itself. */
	check_ok(lock(fd, F_SETLK, F_RDLCK, 0, 0));
	others_find(F_RDLCK, 0, 0, F_UNLCK);
	others_find(F_WRLCK, 5, 1, F_RDLCK);
	check_ok(lock(fd, F_SETLK, F_UNLCK, 0, 0));
	others_find(F_WRLCK, 0, 0, F_UNLCK);
	close_ok(fd);
}

static void a_lock_is_split_and_joined(void **state)
{
	int fd = open_file();

	(void)state;
	check_ok(lock(fd, F_SETLK, F_WRLCK, 0, 100));
	check_ok(lock(fd, F_SETLK, F_UNLCK, 40, 20));
	others_find(F_WRLCK, 40, 20, F_UNLCK);
	others_find(F_WRLCK, 39, 1, F_WRLCK);
	others_find(F_WRLCK, 60, 1, F_WRLCK);
	check_ok(lock(fd, F_SETLK, F_RDLCK, 30, 40));
	others_find(F_RDLCK, 30, 40, F_UNLCK);
	others_find(F_RDLCK, 29, 1, F_WRLCK);
	close_ok(fd);
}

static void a_lock_beyond_4_gib_is_its_own(void **state)
{
	int fd = open_file();
	const off_t far = (INT64_C(1) << 62) + 5;

	(void)state;
	check_ok(lock(fd, F_SETLK, F_WRLCK, far, 1));
	others_find(F_WRLCK, 5, 1, F_UNLCK);
	others_find(F_WRLCK, far, 1, F_WRLCK);
	others_find(F_WRLCK, 0, 0, F_WRLCK);
	close_ok(fd);
}

static void any_close_of_the_file_drops_the_process_s_locks(void **state)
{
	int fd = open_file(), other;

	(void)state;
	check_ok(lock(fd, F_SETLK, F_WRLCK, 0, 0));
	others_find(F_WRLCK, 0, 0, F_WRLCK);
	other = open_file();
	close_ok(other);
	others_find(F_WRLCK, 0, 0, F_UNLCK);
	close_ok(fd);
}

static void hold_lock(void *gate)
{
	int fd = open_file();

	check_ok(lock(fd, F_SETLK, F_WRLCK, 0, 0));
	gate_pass(gate);
	pause();
}

static void a_killed_process_loses_its_locks(void **state)
{
	int fd = open_file();
	struct gate gate;
	pid_t child;

	(void)state;
	gate_init(&gate);
	child = spawn(NULL, hold_lock, &gate);
	gate_wait(&gate);
	check_fails(lock(fd, F_SETLK, F_RDLCK, 0, 0), EAGAIN);
	kill_child(child);
	check_ok(lock(fd, F_SETLKW, F_WRLCK, 0, 0));
	close_ok(fd);
}

static void a_lock_needs_the_descriptor_s_access(void **state)
{
	int fd;

	(void)state;
	make_file("file", 1, 1);
	fd = open_ok("file", O_RDONLY);
	check_fails(lock(fd, F_SETLK, F_WRLCK, 0, 0), EBADF);
	check_ok(lock(fd, F_SETLK, F_RDLCK, 0, 0));
	check_ok(flock(fd, LOCK_EX));
	close_ok(fd);
	fd = open_ok("file", O_WRONLY);
	check_fails(lock(fd, F_SETLK, F_RDLCK, 0, 0), EBADF);
	check_fails(lock(fd, F_SETLK, F_WRLCK, -1, 1), EINVAL);
	close_ok(fd);
}

/* --- waiting ------------------------------------------------------------- */

static void wait_for_lock(void *unused)
{
	int fd = open_file();

	(void)unused;
	check_ok(lock(fd, F_SETLKW, F_WRLCK, 0, 0));
}

static void a_waiter_gets_the_lock_when_it_is_free(void **state)
{
	int fd = open_file();
	pid_t child;

	(void)state;
	check_ok(lock(fd, F_SETLK, F_WRLCK, 0, 0));
	child = spawn(NULL, wait_for_lock, NULL);
	wait_until_asleep(child);
	check_runs(child);
	check_ok(lock(fd, F_SETLK, F_UNLCK, 0, 0));
	join(child);
	close_ok(fd);
}

static void catch_alarm(int signal_number)
{
	(void)signal_number;
}

static void interrupt_soon(void)
{
	const struct sigaction action = {.sa_handler = catch_alarm};
	/* Again and again: the first may come before the wait begins. */
	const struct itimerval soon = {{0, 50000}, {0, 50000}};

	check_ok(sigaction(SIGALRM, &action, NULL));
	check_ok(setitimer(ITIMER_REAL, &soon, NULL));
}

static void be_interrupted(void *unused)
{
	int fd = open_file();

	(void)unused;
	interrupt_soon();
	check_fails(lock(fd, F_SETLKW, F_WRLCK, 0, 0), EINTR);
	check_fails(lock(fd, F_OFD_SETLKW, F_WRLCK, 0, 0), EINTR);
}

static void a_waiter_can_be_interrupted(void **state)
{
	int fd = open_file();
	pid_t child;

	(void)state;
	check_ok(lock(fd, F_SETLK, F_WRLCK, 0, 0));
	run_as(NULL, be_interrupted, NULL);
	child = spawn(NULL, wait_for_lock, NULL);
	wait_until_asleep(child);
	kill_child(child);
	others_find(F_WRLCK, 0, 0, F_WRLCK);
	close_ok(fd);
}

static void lock_crosswise(void *gate)
{
	int fd = open_file();

	check_ok(lock(fd, F_SETLK, F_WRLCK, 1, 1));
	gate_pass(gate);
	check_ok(lock(fd, F_SETLKW, F_WRLCK, 0, 1));
}

static void a_deadlock_is_seen(void **state)
{
	int fd = open_file();
	struct gate gate;
	pid_t child;

	(void)state;
	gate_init(&gate);
	check_ok(lock(fd, F_SETLK, F_WRLCK, 0, 1));
	child = spawn(NULL, lock_crosswise, &gate);
	gate_wait(&gate);
	wait_until_asleep(child);
	check_fails(lock(fd, F_SETLKW, F_WRLCK, 1, 1), EDEADLK);
	check_ok(lock(fd, F_SETLK, F_UNLCK, 0, 1));
	join(child);
	close_ok(fd);
}

/* --- OFD locks ----------------------------------------------------------- */

static void an_ofd_lock_belongs_to_the_open_file(void **state)
{
	int one = open_file(), two = open_file(), same = check_ok(dup(one));
	struct flock found = range(F_WRLCK, 0, 0);

	(void)state;
	check_ok(lock(one, F_OFD_SETLK, F_WRLCK, 0, 10));
	check_fails(lock(two, F_OFD_SETLK, F_RDLCK, 5, 1), EAGAIN);
	check_ok(lock(two, F_OFD_SETLK, F_RDLCK, 10, 1));
	check_ok(lock(same, F_OFD_SETLK, F_WRLCK, 0, 5));
	check_ok(fcntl(two, F_OFD_GETLK, &found));
	check_equal(found.l_type, F_WRLCK);
	check_equal(found.l_pid, -1);
	/* It conflicts with a process's own fcntl lock too. */
	check_fails(lock(one, F_SETLK, F_WRLCK, 0, 1), EAGAIN);
	close_ok(open_file());
	check_fails(lock(two, F_OFD_SETLK, F_WRLCK, 0, 1), EAGAIN);
	close_ok(one);
	check_fails(lock(two, F_OFD_SETLK, F_WRLCK, 0, 1), EAGAIN);
	close_ok(same);
	check_ok(lock(two, F_OFD_SETLK, F_WRLCK, 0, 0));
	close_ok(two);
}

static void exit_with_lock(void *fd)
{
	check_ok(lock(*(int *)fd, F_OFD_SETLK, F_WRLCK, 0, 0));
}

static void an_ofd_lock_is_shared_with_children(void **state)
{
	int fd = open_file(), other = open_file();

	(void)state;
	run_as(NULL, exit_with_lock, &fd);
	check_fails(lock(other, F_OFD_SETLK, F_RDLCK, 0, 0), EAGAIN);
	close_ok(fd);
	check_ok(lock(other, F_OFD_SETLK, F_RDLCK, 0, 0));
	close_ok(other);
}

/* --- flock --------------------------------------------------------------- */

static void flocks_conflict_between_open_files(void **state)
{
	int one = open_file(), two = open_file(), same = check_ok(dup(one));

	(void)state;
	check_ok(flock(one, LOCK_SH));
	check_ok(flock(two, LOCK_SH));
	check_fails(flock(one, LOCK_EX | LOCK_NB), EWOULDBLOCK);
	check_ok(flock(two, LOCK_UN));
	check_ok(flock(one, LOCK_EX | LOCK_NB));
	check_fails(flock(two, LOCK_SH | LOCK_NB), EWOULDBLOCK);
	check_ok(flock(same, LOCK_EX | LOCK_NB));
	close_ok(one);
	check_fails(flock(two, LOCK_SH | LOCK_NB), EWOULDBLOCK);
	close_ok(same);
	check_ok(flock(two, LOCK_EX | LOCK_NB));
	close_ok(two);
}

static void directories_can_be_flocked(void **state)
{
	int one = open_ok(".", O_RDONLY), two = open_ok(".", O_RDONLY);

	(void)state;
	check_ok(flock(one, LOCK_EX));
	check_fails(flock(two, LOCK_SH | LOCK_NB), EWOULDBLOCK);
	close_ok(one);
	check_ok(flock(two, LOCK_SH | LOCK_NB));
	close_ok(two);
}

static void flocks_and_fcntl_locks_don_t_meet(void **state)
{
	int fd = open_file(), other = open_file();

	(void)state;
	check_ok(flock(fd, LOCK_EX));
	check_ok(lock(other, F_OFD_SETLK, F_WRLCK, 0, 0));
	close_ok(fd);
	close_ok(other);
}

static void be_interrupted_in_flock(void *unused)
{
	int fd = open_file();

	(void)unused;
	interrupt_soon();
	check_fails(flock(fd, LOCK_EX), EINTR);
}

static void wait_for_flock(void *unused)
{
	int fd = open_file();

	(void)unused;
	check_ok(flock(fd, LOCK_EX));
}

static void a_waiting_flock_can_be_interrupted_and_killed(void **state)
{
	int fd = open_file(), other;
	pid_t child;

	(void)state;
	check_ok(flock(fd, LOCK_EX));
	run_as(NULL, be_interrupted_in_flock, NULL);
	child = spawn(NULL, wait_for_flock, NULL);
	wait_until_asleep(child);
	kill_child(child);
	child = spawn(NULL, wait_for_flock, NULL);
	wait_until_asleep(child);
	check_ok(flock(fd, LOCK_UN));
	join(child);
	other = open_file();
	check_ok(flock(other, LOCK_EX | LOCK_NB));
	close_ok(other);
	close_ok(fd);
}

/* --- many ---------------------------------------------------------------- */

enum { waiters = 200 };

static void wait_in_line(void *number)
{
	int fd = open_file();

	/* Half of them wait for a flock, half for an fcntl lock. */
	if (*(int *)number % 2)
		check_ok(flock(fd, LOCK_EX));
	else
		check_ok(lock(fd, F_SETLKW, F_WRLCK, 0, 0));
}

static void work_meanwhile(void)
{
	char name[32];
	int i;

	for (i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "work%d", i);
		make_file(name, 10000, i);
		check_file(name, 10000, i);
		check_ok(rename(name, "done"));
		check_ok(chmod("done", 0600));
		check_ok(unlink("done"));
	}
}

static void many_waiters_hold_nobody_up(void **state)
{
	int fd = open_file(), i;
	pid_t child[waiters];

	(void)state;
	check_ok(flock(fd, LOCK_EX));
	check_ok(lock(fd, F_SETLK, F_WRLCK, 0, 0));
	for (i = 0; i < waiters; i++)
		child[i] = spawn(NULL, wait_in_line, &i);
	for (i = 0; i < waiters; i++)
		wait_until_asleep(child[i]);
	work_meanwhile();
	/* The file itself too. */
	pwrite_ok(fd, "still works", 11, 0);
	check_equal(stat_of("file").st_size, 11);
	check_ok(flock(fd, LOCK_UN));
	check_ok(lock(fd, F_SETLK, F_UNLCK, 0, 0));
	for (i = 0; i < waiters; i++)
		join(child[i]);
	close_ok(fd);
}

enum { counters = 4, counts = 200 };

static void count_under_lock(void *use_flock)
{
	unsigned value;
	int i, fd = open_file();

	for (i = 0; i < counts; i++) {
		if (use_flock)
			check_ok(flock(fd, LOCK_EX));
		else
			check_ok(lock(fd, F_SETLKW, F_WRLCK, 0, 0));
		pread_ok(fd, &value, sizeof(value), 0);
		value++;
		pwrite_ok(fd, &value, sizeof(value), 0);
		if (use_flock)
			check_ok(flock(fd, LOCK_UN));
		else
			check_ok(lock(fd, F_SETLK, F_UNLCK, 0, 0));
	}
	close_ok(fd);
}

static void count_all(void *use_flock)
{
	pid_t child[counters];
	unsigned value = 0;
	int i, fd = open_file();

	pwrite_ok(fd, &value, sizeof(value), 0);
	for (i = 0; i < counters; i++)
		child[i] = spawn(NULL, count_under_lock, use_flock);
	for (i = 0; i < counters; i++)
		join(child[i]);
	pread_ok(fd, &value, sizeof(value), 0);
	check_equal(value, counters * counts);
	close_ok(fd);
}

static void locked_counting_loses_nothing(void **state)
{
	(void)state;
	count_all(NULL);
	count_all("flock");
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		contract_case(a_write_lock_keeps_others_out),
		contract_case(a_lock_is_split_and_joined),
		contract_case(a_lock_beyond_4_gib_is_its_own),
		contract_case(any_close_of_the_file_drops_the_process_s_locks),
		contract_case(a_killed_process_loses_its_locks),
		contract_case(a_lock_needs_the_descriptor_s_access),
		contract_case(a_waiter_gets_the_lock_when_it_is_free),
		contract_case(a_waiter_can_be_interrupted),
		contract_case(a_deadlock_is_seen),
		contract_case(an_ofd_lock_belongs_to_the_open_file),
		contract_case(an_ofd_lock_is_shared_with_children),
		contract_case(flocks_conflict_between_open_files),
		contract_case(directories_can_be_flocked),
		contract_case(flocks_and_fcntl_locks_don_t_meet),
		contract_case(a_waiting_flock_can_be_interrupted_and_killed),
		contract_case(many_waiters_hold_nobody_up),
		contract_case(locked_counting_loses_nothing),
	};

	return contract_main(argc, argv, tests);
}
