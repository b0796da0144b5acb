// SPDX-License-Identifier: Apache-2.0
/*
 * A program at work when the daemon dies. It writes numbered records round and
 * round into a file, and after each notes the number in a ledger outside of
 * the mount, once the filesystem has promised what the kind of work asks for:
 *
 *	death_client write|append|fsync|mmap FILE LEDGER
 *
 *	write, append	write(2) has returned
 *	fsync		fsync(2) has returned 0
 *	mmap		msync(2) of a shared mapping has returned 0
 *
 * It ends at the first error, whose name it prints, or (`stopped`) when a file
 * LEDGER.stop appears. After an error it asks three more times: a success then
 * is noted like any other, because a program would believe it.
 *
 *	death_client check FILE LEDGER
 *
 * compares FILE, now in the store, with what was promised.
 *
 * A record is 64 times its number. Number n is at slot n % SLOTS, so that a
 * slot must hold the last promised number that belongs there, or a later one.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SLOTS ((uint64_t)8192)
#define WORDS 64
#define RECORD (WORDS * sizeof(uint64_t))

enum kind { kind_write, kind_append, kind_fsync, kind_mmap };

struct work {
	enum kind kind;
	int fd;
	int ledger;
	char *map;
};

static sigjmp_buf bus_return;

static void on_bus(int signal_number)
{
	(void)signal_number;
	siglongjmp(bus_return, 1);
}

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

/* Writes the record; 0 or the errno. */
static int record_write(struct work *work, uint64_t number)
{
	uint64_t record[WORDS];
	off_t offset = (off_t)(number % SLOTS * RECORD);
	ssize_t n;

	for (size_t i = 0; i < WORDS; i++)
		record[i] = number;
	if (work->kind == kind_mmap) {
		if (sigsetjmp(bus_return, 1) != 0)
			return EFAULT;
		memcpy(work->map + offset, record, RECORD);
		return 0;
	}
	if (work->kind == kind_append)
		n = write(work->fd, record, RECORD);
	else
		n = pwrite(work->fd, record, RECORD, offset);
	if (n < 0)
		return errno;
	return n == (ssize_t)RECORD ? 0 : ENOSPC;
}

/* Asks for the promise; 0 or the errno. */
static int record_promise(struct work *work)
{
	int result = 0;

	if (work->kind == kind_fsync)
		result = fsync(work->fd);
	else if (work->kind == kind_mmap)
		result = msync(work->map, SLOTS * RECORD, MS_SYNC);
	return result < 0 ? errno : 0;
}

static void note(struct work *work, uint64_t number)
{
	if (pwrite(work->ledger, &number, sizeof(number), 0) !=
	    (ssize_t)sizeof(number))
		fail("ledger");
}

/* What a dead daemon may give: never a hang, never another errno. */
static int judge(int error, bool touched)
{
	if (touched) {
		puts("SIGBUS");
		return 0;
	}
	puts(strerrorname_np(error));
	return error != ENOTCONN && error != EIO && error != ECONNABORTED;
}

static int work_on(struct work *work, const char *stop)
{
	for (uint64_t number = 1;; number++) {
		int error = record_write(work, number);
		bool touched = error != 0;

		if (!error)
			error = record_promise(work);
		if (!error) {
			note(work, number);
			if (access(stop, F_OK) != 0)
				continue;
			puts("stopped");
			return 0;
		}
		for (int i = 0; i < 3 && !touched; i++) {
			if (record_promise(work) == 0 &&
			    work->kind >= kind_fsync)
				note(work, number);
		}
		return judge(error, touched && work->kind == kind_mmap);
	}
}

static void work_init(struct work *work, const char *file, const char *ledger)
{
	int flags = O_RDWR | O_CREAT | O_CLOEXEC;
	struct sigaction action = { .sa_handler = on_bus };

	if (work->kind == kind_append)
		flags |= O_APPEND;
	work->fd = open(file, flags, 0644);
	if (work->fd < 0)
		fail(file);
	work->ledger = open(ledger, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	if (work->ledger < 0)
		fail(ledger);
	if (work->kind != kind_mmap)
		return;
	if (sigaction(SIGBUS, &action, NULL) < 0 ||
	    ftruncate(work->fd, (off_t)(SLOTS * RECORD)) < 0)
		fail(file);
	work->map = mmap(NULL, SLOTS * RECORD, PROT_READ | PROT_WRITE,
			 MAP_SHARED, work->fd, 0);
	if (work->map == MAP_FAILED)
		fail("mmap");
}

/* The number in a record, 0 when its words differ. */
static uint64_t number_in(const uint64_t record[WORDS])
{
	for (size_t i = 1; i < WORDS; i++) {
		if (record[i] != record[0])
			return 0;
	}
	return record[0];
}

/* The last number up to `promised` that belongs to the slot; 0: none. */
static uint64_t last_for(uint64_t slot, uint64_t promised)
{
	uint64_t turn;

	if (promised < slot)
		return 0;
	turn = (promised - slot) / SLOTS;
	return turn * SLOTS + slot;
}

static int check_slots(int fd, uint64_t promised)
{
	uint64_t record[WORDS];

	for (uint64_t slot = 0; slot < SLOTS; slot++) {
		uint64_t least = last_for(slot, promised);
		uint64_t found;

		if (least == 0)
			continue;
		if (pread(fd, record, RECORD, (off_t)(slot * RECORD)) !=
		    (ssize_t)RECORD)
			memset(record, 0, RECORD);
		/* The one being written when it all ended may be torn. */
		found = number_in(record);
		if (found < least && slot != (promised + 1) % SLOTS) {
			fprintf(stderr, "slot %llu: %llu, promised %llu\n",
				(unsigned long long)slot,
				(unsigned long long)found,
				(unsigned long long)least);
			return 1;
		}
	}
	return 0;
}

static int check_appended(int fd, uint64_t promised)
{
	uint64_t record[WORDS];

	for (uint64_t number = 1; number <= promised; number++) {
		if (pread(fd, record, RECORD, (off_t)((number - 1) * RECORD)) !=
			    (ssize_t)RECORD ||
		    number_in(record) != number) {
			fprintf(stderr, "record %llu of %llu is missing\n",
				(unsigned long long)number,
				(unsigned long long)promised);
			return 1;
		}
	}
	return 0;
}

static int check(const char *file, const char *ledger)
{
	const char *suffix = strrchr(file, '.');
	int fd = open(file, O_RDONLY | O_CLOEXEC);
	int ledger_fd = open(ledger, O_RDONLY | O_CLOEXEC);
	uint64_t promised = 0;

	if (fd < 0 || ledger_fd < 0)
		fail(file);
	if (pread(ledger_fd, &promised, sizeof(promised), 0) !=
		    (ssize_t)sizeof(promised) ||
	    promised == 0) {
		fprintf(stderr, "nothing was promised\n");
		return 1;
	}
	printf("%llu promised\n", (unsigned long long)promised);
	if (suffix && strcmp(suffix, ".append") == 0)
		return check_appended(fd, promised);
	return check_slots(fd, promised);
}

int main(int argc, char **argv)
{
	static const char *const kinds[] = { "write", "append", "fsync",
					     "mmap" };
	struct work work = { .fd = -1 };
	char stop[4096];
	size_t kind = 0;

	if (argc != 4) {
		fprintf(stderr, "usage: death_client KIND FILE LEDGER\n");
		return 2;
	}
	if (strcmp(argv[1], "check") == 0)
		return check(argv[2], argv[3]);
	while (kind < 4 && strcmp(kinds[kind], argv[1]) != 0)
		kind++;
	if (kind == 4)
		return 2;
	work.kind = (enum kind)kind;
	/* Whoever hangs is killed by this and seen by its status. */
	alarm(30);
	snprintf(stop, sizeof(stop), "%s.stop", argv[3]);
	work_init(&work, argv[2], argv[3]);
	return work_on(&work, stop);
}
