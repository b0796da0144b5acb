// SPDX-License-Identifier: Apache-2.0
/*
 * advice_pages: what the kernel has of a file in memory, and the few things
 * that scripts/advice does to files itself.
 *
 *	advice_pages count FILE [OFFSET LENGTH]	prints RESIDENT DIRTY, in pages
 *	advice_pages fill FILE BYTES	makes it, full of data
 *	advice_pages evict FILE		syncs it and drops its pages
 *	advice_pages read FILE OFFSET	reads 4 KiB
 *	advice_pages hold FILE		maps it and reads every page, prints
 *			"ready HUGE", where HUGE of the pages are mapped as
 *			parts of huge ones, and stays until its input ends
 *
 * cachestat(2) counts (Linux 6.5), and nothing else is asked: mincore(2) knows
 * no dirty pages.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_cachestat
#define SYS_cachestat 451
#endif

#define PAGE 4096u
#define HUGE (2u << 20)

/* The kernel's struct cachestat_range and struct cachestat. */
struct range {
	uint64_t offset;
	uint64_t length; /* 0: to the end */
};

struct counts {
	uint64_t resident;
	uint64_t dirty;
	uint64_t writeback;
	uint64_t evicted;
	uint64_t recently_evicted;
};

static void die(const char *what)
{
	fprintf(stderr, "advice_pages: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int open_file(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC, 0644);

	if (fd < 0)
		die(path);
	return fd;
}

static struct counts count(int fd, uint64_t offset, uint64_t length)
{
	struct range range = { .offset = offset, .length = length };
	struct counts counts;

	if (syscall(SYS_cachestat, fd, &range, &counts, 0))
		die("cachestat");
	return counts;
}

static void show_count(const char *path, uint64_t offset, uint64_t length)
{
	struct counts counts = count(open_file(path, O_RDONLY), offset, length);

	printf("%llu %llu\n", (unsigned long long)counts.resident,
	       (unsigned long long)(counts.dirty + counts.writeback));
}

static void fill(const char *path, uint64_t bytes)
{
	static char buffer[1 << 20];
	int fd = open_file(path, O_WRONLY | O_CREAT);

	memset(buffer, 'a', sizeof(buffer));
	for (uint64_t done = 0; done < bytes;) {
		uint64_t left = bytes - done;
		ssize_t n = write(fd, buffer,
				  left < sizeof(buffer) ? left :
							  sizeof(buffer));

		if (n < 0)
			die(path);
		done += (uint64_t)n;
	}
}

static void evict(const char *path)
{
	int fd = open_file(path, O_RDONLY);

	if (fsync(fd))
		die(path);
	errno = posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	if (errno)
		die(path);
	if (count(fd, 0, 0).resident) {
		fprintf(stderr, "advice_pages: %s stays in memory\n", path);
		exit(1);
	}
}

static void read_once(const char *path, off_t offset)
{
	char buffer[PAGE];
	ssize_t n = pread(open_file(path, O_RDONLY), buffer, sizeof(buffer),
			  offset);

	if (n != sizeof(buffer))
		die(path);
}

/* KiB in huge pages of the mapping that begins at map, by its smaps. */
static unsigned long huge_kib(const void *map)
{
	FILE *smaps = fopen("/proc/self/smaps", "re");
	unsigned long sum = 0;
	unsigned long start;
	unsigned long value;
	char line[512];
	char name[64];
	int inside = 0;

	if (!smaps)
		die("smaps");
	while (fgets(line, sizeof(line), smaps)) {
		if (sscanf(line, "%lx-%*x %*4s", &start) == 1 &&
		    strchr(line, '-'))
			inside = start == (unsigned long)map;
		else if (inside &&
			 sscanf(line, "%63[^:]: %lu", name, &value) == 2 &&
			 strstr(name, "PmdMapped"))
			sum += value;
	}
	fclose(smaps);
	return sum;
}

static void hold(const char *path)
{
	int fd = open_file(path, O_RDWR);
	struct stat status;
	volatile char *map;
	char *room;
	size_t size;

	if (fstat(fd, &status))
		die(path);
	size = (size_t)status.st_size;
	/* Where a huge page can be mapped as one. */
	room = mmap(NULL, size + HUGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS,
		    -1, 0);
	if (room == MAP_FAILED)
		die("mmap");
	room += (HUGE - (uintptr_t)room % HUGE) % HUGE;
	map = mmap(room, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
		   fd, 0);
	if (map == MAP_FAILED)
		die(path);
	for (size_t i = 0; i < size; i += PAGE)
		(void)map[i];
	printf("ready %lu\n", huge_kib(room) * 1024 / PAGE);
	fflush(stdout);
	while (getchar() != EOF)
		;
}

int main(int argc, char **argv)
{
	const char *verb = argc > 2 ? argv[1] : "";
	uint64_t third = argc > 3 ? strtoull(argv[3], NULL, 10) : 0;

	if (!strcmp(verb, "count"))
		show_count(argv[2], third,
			   argc > 4 ? strtoull(argv[4], NULL, 10) : 0);
	else if (!strcmp(verb, "fill") && argc == 4)
		fill(argv[2], third);
	else if (!strcmp(verb, "evict"))
		evict(argv[2]);
	else if (!strcmp(verb, "read") && argc == 4)
		read_once(argv[2], (off_t)third);
	else if (!strcmp(verb, "hold"))
		hold(argv[2]);
	else {
		fprintf(stderr, "usage: advice_pages count|fill|evict|read|"
				"hold FILE ...\n");
		return 2;
	}
	return 0;
}
