/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * bench_size: pages here and there in a file that may be very large.
 *
 *	bench_size make FILE BYTES
 *	bench_size read|write|open FILE STORE_FILE OPS cold|kept
 *
 * Of a file a thousand pages are used at the most, spread evenly; make gives
 * it these, and holes between. The others print the seconds that OPS
 * operations took: a page read, one written, or the file opened, one page
 * read, and closed.
 *
 * cold: before a page is read again FUSE's page cache is emptied, so that
 * each read is a request; the store's cache is full in any case. kept: there
 * is no cache but the store's. Files have to be cold for themselves: a small
 * file would be read once and then be found in memory, a large one not.
 */
#define _GNU_SOURCE
#define PROGRAM "bench_size"
#include <fcntl.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench.h"

enum { PAGE = 4096, PLACES_MAX = 1024 };

/* For what an open file takes to be closed after close(2): FUSE tells later. */
enum { CLOSING_MICROSECONDS = 2000 };

struct file {
	const char *path;
	off_t *places;
	size_t count;
	bool cold;
};

static char *page;

/* Distinct pages, in random order, the same for each file of this size. */
static void choose_places(struct file *file, size_t bytes)
{
	size_t pages = bytes / PAGE;
	uint64_t state = 0x2545f4914f6cdd1du;
	uint32_t *order;
	size_t stride;

	if (pages == 0) {
		fprintf(stderr, PROGRAM ": %s has no page\n", file->path);
		exit(2);
	}
	file->count = pages < PLACES_MAX ? pages : PLACES_MAX;
	stride = pages / file->count;
	order = permutation(file->count, 0);
	file->places = malloc(file->count * sizeof(*file->places));
	if (!file->places)
		die("malloc");
	for (size_t i = 0; i < file->count; i++)
		file->places[i] = (off_t)PAGE *
				  (off_t)(order[i] * stride +
					  next_random(&state) % stride);
	free(order);
}

static int open_file(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC, 0644);

	if (fd < 0)
		die(path);
	/* No page but the one that is asked for. */
	if ((errno = posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM)) != 0)
		die(path);
	return fd;
}

static void read_page(int fd, off_t place)
{
	if (pread(fd, page, PAGE, place) != PAGE)
		die("read");
}

static void write_page(int fd, off_t place)
{
	if (pwrite(fd, page, PAGE, place) != PAGE)
		die("write");
}

static void forget(const struct file *file, int fd)
{
	if (!file->cold)
		return;
	errno = posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	if (errno)
		die(file->path);
}

static void make(const char *path, size_t bytes)
{
	struct file file = { .path = path };
	int fd = open_file(path, O_RDWR | O_CREAT | O_EXCL);

	choose_places(&file, bytes);
	if (ftruncate(fd, (off_t)bytes) < 0)
		die(path);
	for (size_t i = 0; i < file.count; i++)
		write_page(fd, file.places[i]);
	if (fsync(fd) < 0 || close(fd) < 0)
		die(path);
	free(file.places);
}

static double time_reads(const struct file *file, size_t ops)
{
	int fd = open_file(file->path, O_RDONLY);
	double took = 0;

	for (size_t done = 0; done < ops;) {
		double start;

		forget(file, fd);
		start = now();
		for (size_t i = 0; i < file->count && done < ops; i++, done++)
			read_page(fd, file->places[i]);
		took += now() - start;
	}
	close(fd);
	return took;
}

/* All pages are dirty before, as they are in the middle of a long run. */
static double time_writes(const struct file *file, size_t ops)
{
	int fd = open_file(file->path, O_RDWR);
	double start;

	for (size_t i = 0; i < file->count; i++)
		write_page(fd, file->places[i]);
	start = now();
	for (size_t i = 0; i < ops; i++)
		write_page(fd, file->places[i % file->count]);
	start = now() - start;
	close(fd);
	return start;
}

/* Nobody else has it open, so that each is a first open and a last close. */
static double time_opens(const struct file *file, size_t ops)
{
	double took = 0;

	for (size_t i = 0; i < ops; i++) {
		off_t place = file->places[i % file->count];
		int fd = open_file(file->path, O_RDONLY);
		double start;

		forget(file, fd);
		close(fd);
		usleep(CLOSING_MICROSECONDS);
		start = now();
		fd = open_file(file->path, O_RDONLY);
		read_page(fd, place);
		close(fd);
		took += now() - start;
	}
	return took;
}

static void warm_store(const struct file *file, const char *path)
{
	int fd = open_file(path, O_RDONLY);

	for (size_t i = 0; i < file->count; i++)
		read_page(fd, file->places[i]);
	close(fd);
}

static void measure(const char *verb, char **argv)
{
	struct file file = { .path = argv[0] };
	size_t ops = number(argv[2], 1);
	struct stat status;
	double took;

	file.cold = strcmp(argv[3], "cold") == 0;
	if (stat(file.path, &status) < 0)
		die(file.path);
	choose_places(&file, (size_t)status.st_size);
	warm_store(&file, argv[1]);
	if (strcmp(verb, "read") == 0)
		took = time_reads(&file, ops);
	else if (strcmp(verb, "write") == 0)
		took = time_writes(&file, ops);
	else
		took = time_opens(&file, ops);
	printf("%.9f\n", took);
	free(file.places);
}

int main(int argc, char **argv)
{
	if (posix_memalign((void **)&page, PAGE, PAGE) != 0)
		die("memory");
	memset(page, 's', PAGE);
	if (argc == 4 && strcmp(argv[1], "make") == 0) {
		make(argv[2], number(argv[3], PAGE));
		return 0;
	}
	if (argc == 6 &&
		(strcmp(argv[1], "read") == 0 ||
			strcmp(argv[1], "write") == 0 ||
			strcmp(argv[1], "open") == 0)) {
		measure(argv[1], argv + 2);
		return 0;
	}
	fprintf(stderr,
		"usage: " PROGRAM " make FILE BYTES\n"
		"       " PROGRAM " read|write|open FILE STORE_FILE OPS "
		"cold|kept\n");
	return 2;
}
