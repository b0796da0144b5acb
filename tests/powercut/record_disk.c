// SPDX-License-Identifier: Apache-2.0
/*
 * A disk for a loop device to lie on that writes down all that is done to it.
 *
 *	record_disk BASE LOG FLUSH_MICROSECONDS MOUNTPOINT
 *
 * MOUNTPOINT/disk has what is in the file BASE, which itself is never
 * changed: what is written stays in memory, and goes into LOG, see
 * recording.h. Each line that is written to MOUNTPOINT/mark goes in between.
 *
 * The order is what the log is worth. One thread takes the requests, and has
 * recorded and answered one before it looks at the next: so a flush covers
 * exactly what stands before it. Nothing else is answered while a flush takes
 * its time; the kernel does not let writes pass an fsync of their file anyway.
 *
 * When the log can't be written, everything fails from then on, and so does
 * the program.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>

#include "recording.h"
#include "serve.h"
#include "util/cleanup.h"

static char *disk;
static size_t disk_size;
static long flush_ns;
static int log_fd;
static int log_error; /* the first -errno */

static int append(const struct record *record)
{
	if (!log_error)
		log_error = recording_append(log_fd, record);
	return log_error ? -EIO : 0;
}

static uint64_t size_of_disk(void)
{
	return disk_size;
}

static int read_disk(char *buffer, size_t size, uint64_t offset)
{
	memcpy(buffer, disk + offset, size);
	return 0;
}

static bool is_on_disk(uint64_t offset, uint64_t size)
{
	return offset <= disk_size && size <= disk_size - offset &&
		offset % SECTOR == 0 && size % SECTOR == 0;
}

static int write_disk(const char *data, size_t size, uint64_t offset)
{
	struct record record = {
		.kind = record_write,
		.offset = offset,
		.size = size,
		.length = (uint32_t)size,
		.data = data,
	};

	if (!is_on_disk(offset, size))
		return -EINVAL;
	memcpy(disk + offset, data, size);
	return append(&record);
}

static int zero_disk(uint64_t offset, uint64_t size)
{
	struct record record = {
		.kind = record_zero,
		.offset = offset,
		.size = size,
	};

	if (!is_on_disk(offset, size))
		return -EINVAL;
	memset(disk + offset, 0, size);
	return append(&record);
}

static int flush_disk(void)
{
	struct record record = { .kind = record_flush };
	struct timespec left = { .tv_nsec = flush_ns };

	while (flush_ns && nanosleep(&left, &left) && errno == EINTR)
		;
	return append(&record);
}

/* One mark for each line; a text without an end is a line as well. */
static int write_mark(const char *data, size_t size, uint64_t offset)
{
	const char *end = data + size;

	(void)offset;
	while (data < end) {
		const char *newline = memchr(data, '\n', (size_t)(end - data));
		const char *stop = newline ? newline : end;
		struct record record = {
			.kind = record_mark,
			.length = (uint32_t)(stop - data),
			.data = data,
		};
		int result = append(&record);

		if (result)
			return result;
		data = stop + 1;
	}
	return 0;
}

static const struct serve_file served[] = {
	{
		.name = "disk",
		.mode = 0600,
		.size = size_of_disk,
		.read = read_disk,
		.write = write_disk,
		.zero = zero_disk,
		.flush = flush_disk,
	},
	{ .name = "mark", .mode = 0622, .write = write_mark },
};

/* Changes stay in memory. */
static int open_base(const char *path)
{
	owned_fd fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat status;

	if (fd < 0 || fstat(fd, &status))
		return -errno;
	if (status.st_size == 0 || status.st_size % SECTOR)
		return -EINVAL;
	disk_size = (size_t)status.st_size;
	disk = mmap(NULL, disk_size, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_NORESERVE, fd, 0);
	return disk == MAP_FAILED ? -errno : 0;
}

int main(int argc, char **argv)
{
	int result;

	if (argc != 5) {
		fprintf(stderr, "usage: record_disk BASE LOG "
				"FLUSH_MICROSECONDS MOUNTPOINT\n");
		return 2;
	}
	flush_ns = atol(argv[3]) * 1000;
	result = open_base(argv[1]);
	if (result) {
		fprintf(stderr, "record_disk: %s: %s\n", argv[1],
			strerror(-result));
		return 1;
	}
	log_fd = recording_create(argv[2], disk_size);
	if (log_fd < 0 || flush_ns < 0 || flush_ns >= 1000000000) {
		fprintf(stderr, "record_disk: bad log or time\n");
		return 1;
	}
	prctl(PR_SET_TIMERSLACK, 1);
	result = serve(argv[0], argv[4], served,
		       sizeof(served) / sizeof(served[0]));
	if (!log_error)
		return result;
	fprintf(stderr, "record_disk: the log: %s\n", strerror(-log_error));
	return 1;
}
