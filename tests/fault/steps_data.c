// SPDX-License-Identifier: Apache-2.0
/*
 * Reading, writing, allocating, syncing.
 */
#include "steps.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Whole blocks: a reflink leaves the rest to another call. */
#define COPIED 8192

static int read_all(int fd)
{
	char buffer[SIZE + 1];
	ssize_t n = pread(fd, buffer, sizeof(buffer), 0);

	if (n < 0)
		return -errno;
	for (ssize_t i = 0; i < n; i++) {
		if (buffer[i] != 'o')
			return SHORT;
	}
	return n == SIZE ? 0 : SHORT;
}

static int read_file(struct place *place)
{
	int fd = open_in(place, "file", O_RDONLY);
	int r = fd < 0 ? -errno : read_all(fd);

	return closing(fd, r);
}

static int write_to(struct place *place, int flags, off_t offset, size_t size)
{
	int fd = open_in(place, "file", flags);
	int r = fd < 0 ? -errno : written(fd, offset, size);

	return closing(fd, r);
}

static int write_in_place(struct place *place)
{
	return write_to(place, O_WRONLY, 1000, 3000);
}

/* Any number of requests. */
static int write_pages(struct place *place)
{
	return write_to(place, O_WRONLY, 100, SIZE);
}

static int write_extending(struct place *place)
{
	return write_to(place, O_RDWR, 9000, 3000);
}

static int write_appending(struct place *place)
{
	return write_to(place, O_WRONLY | O_APPEND, 0, 777);
}

/* The reader's descriptor and mapping are replaced by writable ones. */
static int write_after_reading(struct place *place)
{
	int reader = open_in(place, "file", O_RDONLY);
	int writer = -1;
	int r = reader < 0 ? -errno : read_all(reader);

	if (r == 0) {
		writer = open_in(place, "file", O_RDWR);
		if (writer >= 0)
			r = written(writer, 10, 4000);
		else
			r = -errno;
	}
	return closing(reader, closing(writer, r));
}

static int direct(struct place *place, bool writing)
{
	int fd = open_in(place, "file", O_RDWR | O_DIRECT);
	void *buffer = aligned_alloc(4096, 4096);
	long n = -1;
	int r;

	memset(buffer, 'd', 4096);
	if (fd >= 0)
		n = writing ? pwrite(fd, buffer, 4096, 4096) :
			      pread(fd, buffer, 4096, 4096);
	r = n < 0 ? -errno : n == 4096 ? 0 : SHORT;
	free(buffer);
	return closing(fd, r);
}

static int direct_read(struct place *place)
{
	return direct(place, false);
}

static int direct_write(struct place *place)
{
	return direct(place, true);
}

static int write_mapped(int fd)
{
	char *base = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
			  0);
	int r;

	if (base == MAP_FAILED)
		return -errno;
	/* A page that can't be read would be SIGBUS: ask first. */
	r = read_all(fd);
	if (r == 0) {
		memcpy(base + 100, bytes, 5000);
		r = result(msync(base, SIZE, MS_SYNC));
	}
	munmap(base, SIZE);
	return r;
}

static int mapped_write(struct place *place)
{
	int fd = open_in(place, "file", O_RDWR);

	return closing(fd, fd < 0 ? -errno : write_mapped(fd));
}

static int preallocate(struct place *place)
{
	int fd = open_in(place, "file", O_RDWR);

	return on(fd, fd < 0 ? -1 : fallocate(fd, 0, 0, 5 * SIZE));
}

static int punch_hole(struct place *place)
{
	int fd = open_in(place, "file", O_RDWR);
	int mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;

	return on(fd, fd < 0 ? -1 : fallocate(fd, mode, 4096, 4096));
}

static int seek_hole(struct place *place)
{
	int fd = open_in(place, "file", O_RDONLY);
	off_t found = fd < 0 ? -1 : lseek(fd, 0, SEEK_HOLE);
	int r = found < 0 ? -errno : found < SIZE ? SHORT : 0;

	return closing(fd, r);
}

static int copy_range(struct place *place)
{
	int in = open_in(place, "file", O_RDONLY);
	int out = in < 0 ? -1 : open_in(place, "other", O_WRONLY);
	ssize_t n = -1;
	int r;

	if (out >= 0)
		n = copy_file_range(in, NULL, out, NULL, COPIED, 0);
	r = n < 0 ? -errno : n == COPIED ? 0 : SHORT;
	return closing(in, closing(out, r));
}

static int sync_file(struct place *place)
{
	int fd = open_in(place, "file", O_RDWR);

	return on(fd, fd < 0 ? -1 : fsync(fd));
}

static int sync_data(struct place *place)
{
	int fd = open_in(place, "file", O_RDWR);

	return on(fd, fd < 0 ? -1 : fdatasync(fd));
}

/* Both handles are told of an error, once; without one there is none. */
static int sync_two_handles(struct place *place)
{
	int one = open_in(place, "file", O_RDWR);
	int two = one < 0 ? -1 : open_in(place, "file", O_RDWR);
	int r = result(two);
	int again = 0;

	if (r == 0) {
		r = result(fsync(one));
		again = result(fsync(two));
		if ((r == -EIO || r == -ENOSPC) && again != r)
			r = SHORT;
		else if (r == 0)
			r = again;
	}
	return closing(one, closing(two, r));
}

const struct step data_steps[] = {
	{ "read", a_file, read_file, 0 },
	{ "write_in_place", a_file, write_in_place, 0 },
	{ "write_in_place_by_a_user", a_file, write_in_place, step_by_user },
	{ "write_to_a_setuid_file", a_setuid_file, write_in_place,
	  step_by_user | step_setuid },
	{ "write_to_a_file_with_capabilities", a_file_with_capabilities,
	  write_in_place, step_by_user | step_partial },
	{ "write_of_pages", a_file, write_pages, step_partial },
	{ "an_extending_write", a_file, write_extending, 0 },
	{ "an_appending_write", a_file, write_appending, 0 },
	{ "write_after_reading", a_file, write_after_reading, 0 },
	{ "a_direct_read", a_file, direct_read, 0 },
	{ "a_direct_write", a_file, direct_write, 0 },
	{ "a_mapped_write", a_file, mapped_write, step_partial },
	{ "fallocate", a_file, preallocate, 0 },
	{ "fallocate_of_a_setuid_file", a_setuid_file, preallocate,
	  step_by_user | step_setuid },
	{ "a_punched_hole", a_file, punch_hole, 0 },
	{ "lseek", a_file_with_a_hole, seek_hole, 0 },
	{ "copy_file_range", two_files, copy_range, 0 },
	{ "fsync", a_file, sync_file, step_durable },
	{ "fdatasync", a_file, sync_data, step_durable },
	{ "fsync_of_two_handles", a_file, sync_two_handles, step_durable },
	{ 0 },
};
