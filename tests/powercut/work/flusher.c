// SPDX-License-Identifier: Apache-2.0
/*
 * Stands in for the kernel's own writeback, which would wait for half a minute
 * before it writes anything:
 *
 *	flusher DIRECTORY SEED [FILE]
 *
 * starts writeback of random parts of random files below DIRECTORY, again and
 * again until WORK_STOP (work.h). Nothing is flushed by that and no order is
 * made (sync_file_range(2)): it is what may happen to a file that nobody
 * syncs, at any time. With FILE, a file of its own on the same file system,
 * that is synced a few times each second, and with it the file system's own
 * journal.
 */
#include <ftw.h>

#include "work.h"

static uint64_t state;
static int own = -1;   /* FILE */
static int64_t due_us; /* when it is synced */

static uint64_t draw(uint64_t below)
{
	return work_mix(state++) % below;
}

static int64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000000) + now.tv_nsec / 1000;
}

/* What other programs on the same file system may do at any time. */
static void sync_when_due(void)
{
	char byte = (char)draw(256);

	if (own < 0 || now_us() < due_us)
		return;
	if (pwrite(own, &byte, 1, (off_t)draw(4096)) != 1 || fdatasync(own)) {
		perror("flusher");
		exit(1);
	}
	due_us = now_us() + 30000 + (int64_t)draw(200000);
}

/* Files come and go; what can't be opened is gone. */
static int visit(const char *path, const struct stat *status, int type,
		 struct FTW *at)
{
	off_t offset = 0;
	off_t length = 0;
	int fd;

	(void)at;
	if (work_is_over())
		return 1;
	sync_when_due();
	if (type != FTW_F || draw(3) != 0)
		return 0;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOATIME);
	if (fd < 0)
		return 0;
	if (draw(2) == 0 && status->st_size > 0) {
		offset = (off_t)draw((uint64_t)status->st_size);
		length = (off_t)draw(65536) + 1;
	}
	sync_file_range(fd, offset, length, SYNC_FILE_RANGE_WRITE);
	close(fd);
	if (draw(8) == 0)
		work_pause_us(1000);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc != 3 && argc != 4) {
		fprintf(stderr, "usage: flusher DIRECTORY SEED [FILE]\n");
		return 2;
	}
	state = work_mix(strtoull(argv[2], NULL, 10));
	if (argc == 4) {
		own = open(argv[3], O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
		if (own < 0) {
			perror(argv[3]);
			return 1;
		}
	}
	while (!work_is_over()) {
		nftw(argv[1], visit, 16, FTW_PHYS);
		work_pause_us(5000 + draw(30000));
	}
	return 0;
}
