// SPDX-License-Identifier: Apache-2.0
/*
 * What the page cache has of a file, asked of the kernel and not of msyncfs.
 *
 *	pages count PATH [OFFSET LENGTH]
 *				RESIDENT DIRTY WRITEBACK EVICTED, by
 *				cachestat(2); before Linux 6.5 by the flags
 *				of their frames, for root, and EVICTED is 0;
 *				else status 77
 *	pages unwritten PATH...	DIRTY + WRITEBACK of all files, directories
 *				with all that is in them
 *	pages large PATH	how many pages are parts of large folios
 *	pages evict PATH...	syncs it and drops its pages
 *
 * OFFSET and LENGTH are in bytes.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
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

#define PAGE_FRAME ((UINT64_C(1) << 55) - 1)
#define PAGE_PRESENT (UINT64_C(1) << 63)
#define FRAME_DIRTY (UINT64_C(1) << 4)
#define FRAME_WRITEBACK (UINT64_C(1) << 8)
#define FRAME_IN_LARGE_FOLIO (UINT64_C(3) << 15) /* head or tail */
#define FRAME_TAIL (UINT64_C(1) << 16)

struct range {
	uint64_t offset;
	uint64_t length;
};

struct counts {
	uint64_t resident;
	uint64_t dirty;
	uint64_t writeback;
	uint64_t evicted;
	uint64_t recently_evicted;
};

static uint64_t unwritten;

static void fail(const char *what, const char *path)
{
	fprintf(stderr, "pages: %s %s: %s\n", what, path, strerror(errno));
	exit(errno == ENOSYS ? 77 : 1);
}

/* Looking must not move atime, which would dirty the inode. */
static int open_path(const char *path)
{
	int fd = open(path, O_RDONLY | O_NOATIME | O_CLOEXEC);

	if (fd < 0 && errno == EPERM)
		fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		fail("open", path);
	return fd;
}

static uint64_t word_of(int fd, const char *name, uint64_t index)
{
	uint64_t word;

	if (pread(fd, &word, sizeof(word), (off_t)(index * sizeof(word))) !=
	    (ssize_t)sizeof(word))
		fail("read", name);
	return word;
}

/* Of a large folio only the head's flags tell. */
static uint64_t flags_of(int fd, uint64_t frame)
{
	uint64_t flags = word_of(fd, "/proc/kpageflags", frame);

	while (flags & FRAME_TAIL)
		flags = word_of(fd, "/proc/kpageflags", --frame);
	return flags;
}

/* Page by page, with the frames that the file's pages are in. */
static void count_frames(int fd, const char *path, struct range range,
			 struct counts *counts)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	int map_fd = open_path("/proc/self/pagemap");
	int flags_fd = open_path("/proc/kpageflags");
	unsigned char *present;
	struct stat status;
	uint64_t begin, end;
	char *map;

	*counts = (struct counts){ 0 };
	if (fstat(fd, &status) < 0)
		fail("stat", path);
	begin = range.offset / page;
	end = ((uint64_t)status.st_size + page - 1) / page;
	if (range.length > 0 &&
	    (range.offset + range.length + page - 1) / page < end)
		end = (range.offset + range.length + page - 1) / page;
	if (begin < end) {
		map = mmap(NULL, end * page, PROT_READ, MAP_SHARED, fd, 0);
		present = malloc(end);
		if (map == MAP_FAILED || !present ||
		    mincore(map, end * page, present) < 0)
			fail("map", path);
		for (uint64_t i = begin; i < end; i++) {
			uint64_t word, flags;

			if (!(present[i] & 1))
				continue;
			(void)*(volatile char *)(map + i * page);
			word = word_of(map_fd, "/proc/self/pagemap",
				       (uintptr_t)map / page + i);
			flags = flags_of(flags_fd, word & PAGE_FRAME);
			counts->resident++;
			counts->writeback += !!(flags & FRAME_WRITEBACK);
			counts->dirty += (flags & FRAME_DIRTY) &&
					 !(flags & FRAME_WRITEBACK);
		}
		munmap(map, end * page);
		free(present);
	}
	close(map_fd);
	close(flags_fd);
}

static void count(const char *path, struct range range, struct counts *counts)
{
	int fd = open_path(path);

	if (syscall(SYS_cachestat, fd, &range, counts, 0) < 0) {
		if (errno != ENOSYS || geteuid() != 0)
			fail("cachestat", path);
		count_frames(fd, path, range, counts);
	}
	close(fd);
}

static int do_count(int argc, char **argv)
{
	struct range range = { 0, 0 };
	struct counts counts;

	if (argc == 3) {
		range.offset = strtoull(argv[1], NULL, 0);
		range.length = strtoull(argv[2], NULL, 0);
	}
	count(argv[0], range, &counts);
	printf("%llu %llu %llu %llu\n", (unsigned long long)counts.resident,
	       (unsigned long long)counts.dirty,
	       (unsigned long long)counts.writeback,
	       (unsigned long long)counts.evicted);
	return 0;
}

static int add_unwritten(const char *path, const struct stat *status,
			 int kind, struct FTW *where)
{
	struct counts counts;

	(void)where;
	if (kind != FTW_F || !S_ISREG(status->st_mode))
		return 0;
	count(path, (struct range){ 0, 0 }, &counts);
	unwritten += counts.dirty + counts.writeback;
	return 0;
}

static int do_unwritten(int argc, char **argv)
{
	for (int i = 0; i < argc; i++) {
		if (nftw(argv[i], add_unwritten, 32, FTW_PHYS) < 0)
			fail("walk", argv[i]);
	}
	printf("%llu\n", (unsigned long long)unwritten);
	return 0;
}

/* Only pages that are there: looking must not bring any in. */
static int do_large(int argc, char **argv)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	int fd = open_path(argv[0]);
	int map_fd = open_path("/proc/self/pagemap");
	int flags_fd = open_path("/proc/kpageflags");
	uint64_t large = 0;
	struct stat status;
	char *map;

	(void)argc;
	if (fstat(fd, &status) < 0)
		fail("stat", argv[0]);
	map = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		fail("map", argv[0]);
	for (off_t at = 0; at < status.st_size; at += (off_t)page) {
		unsigned char in;
		uint64_t word;

		if (mincore(map + at, page, &in) < 0)
			fail("mincore", argv[0]);
		if (!(in & 1))
			continue;
		(void)*(volatile char *)(map + at);
		word = word_of(map_fd, "pagemap", (uintptr_t)(map + at) / page);
		if (!(word & PAGE_PRESENT))
			continue;
		word = word_of(flags_fd, "kpageflags", word & PAGE_FRAME);
		large += (word & FRAME_IN_LARGE_FOLIO) != 0;
	}
	printf("%llu\n", (unsigned long long)large);
	return 0;
}

static int do_evict(int argc, char **argv)
{
	for (int i = 0; i < argc; i++) {
		int fd = open_path(argv[i]);
		int error;

		if (fdatasync(fd) < 0)
			fail("fdatasync", argv[i]);
		error = posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
		if (error) {
			errno = error;
			fail("fadvise", argv[i]);
		}
		close(fd);
	}
	return 0;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*run)(int argc, char **argv);
	} verbs[] = {
		{ "count", do_count }, { "unwritten", do_unwritten },
		{ "large", do_large }, { "evict", do_evict },
	};

	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		if (argc > 2 && strcmp(verbs[i].name, argv[1]) == 0)
			return verbs[i].run(argc - 2, argv + 2);
	}
	fputs("pages: see the top of pages.c\n", stderr);
	return 2;
}
