// SPDX-License-Identifier: Apache-2.0
/*
 * Programs that map a file through the kernel's data path map the store
 * file's own pages, and advice on a mapping of ours passes over these. So
 * process_madvise(2) advises theirs: MADV_PAGEOUT has the kernel reclaim the
 * clean pages, MADV_COLD has it reclaim them before others. Pages that two
 * processes have mapped are passed over still. It changes nothing that the
 * program can see but time; it needs CAP_SYS_NICE and the right to look at
 * the process.
 *
 * Mappings are found in /proc/PID/maps. The device there is that of what the
 * program has opened, the mount rather than the store (and on btrfs never
 * the one that stat(2) gives), and the inode number may have the store's
 * file system in its topmost byte. So a mapping whose inode number fits,
 * unless it is of another disk, is paged out by one page that is resident:
 * if that one goes, it's our file's. On a stranger's mapping one page is read
 * again some day. MADV_COLD does too little to a stranger to need such a
 * trial.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <unistd.h>

#include "os/pagecache_range.h"
#include "util/cleanup.h"

/* The same numbers on every architecture but alpha. */
#define CALL_PIDFD_OPEN 434
#define CALL_PROCESS_MADVISE 440

#define INODE_BITS 56

/* A mapping of the process, as a line of /proc/PID/maps gives it. */
struct found {
	int process; /* a pidfd */
	uintptr_t start;
	struct pagecache_range part; /* of the file, within the range */
	off_t offset; /* in the file, of start */
	bool sure;
};

static ssize_t advise(const struct found *found, off_t at, off_t end,
		      int advice)
{
	struct iovec where = {
		.iov_base = (void *)(found->start +
			(uintptr_t)(at - found->offset)),
		.iov_len = (size_t)(end - at),
	};

	return syscall(CALL_PROCESS_MADVISE, found->process, &where, 1ul,
		advice, 0u) < 0 ? -errno : 0;
}

/* Does the page at this offset go when it is paged out of the mapping? */
static bool is_ours(int fd, const struct found *found, off_t at)
{
	off_t page = (off_t)pagecache_page_size();
	struct pagecache_counts counts;

	return advise(found, at, at + page, ADVICE_PAGEOUT) == 0 &&
		pagecache_count(fd, at, page, &counts) == 0 &&
		counts.resident == 0;
}

struct search {
	int fd;
	const struct pagecache_range *range;
	int advice;
	const struct pagecache_stop *stop;
	struct pagecache_mappers *mappers;
	dev_t device;
	uint64_t inode;
};

/* EINVAL is for mappings that are locked. Others' errors mean no success. */
static int advise_parts(const struct search *search, struct found *found)
{
	struct pagecache_mappers *mappers = search->mappers;
	bool paging_out = search->advice == ADVICE_PAGEOUT;
	struct pagecache_walk walk;
	struct pagecache_part part;
	int fd = search->fd;
	int error = pagecache_walk_begin(&walk, fd, &found->part);

	if (error)
		return error;
	while ((error = pagecache_walk_next(&walk, &part)) > 0) {
		error = 0;
		if (paging_out && part.state != 'r')
			continue;
		if (pagecache_stop_asked(search->stop)) {
			error = -EINTR;
			break;
		}
		if (paging_out && !found->sure &&
		    !is_ours(fd, found, part.at)) {
			/* Locked, or mapped by two, or another file's. */
			mappers->locked |= advise(found, part.at, part.at + 1,
				search->advice) == -EINVAL;
			break;
		}
		found->sure = true;
		if (advise(found, part.at, part.end, search->advice) ==
		    -EINVAL)
			mappers->locked = true;
	}
	pagecache_walk_end(&walk);
	return error;
}

/* Takes a line apart; false when it is not about our range of the file. */
static bool read_line(const struct search *search, const char *line,
		      struct found *found)
{
	const uint64_t bits = ((uint64_t)1 << INODE_BITS) - 1;
	const struct pagecache_range *range = search->range;
	struct pagecache_range *part = &found->part;
	unsigned major_number, minor_number;
	uintmax_t start, end, offset, inode;

	if (sscanf(line, "%jx-%jx %*s %jx %x:%x %ju", &start, &end, &offset,
	    &major_number, &minor_number, &inode) != 6)
		return false;
	if (inode == 0 || ((inode ^ search->inode) & bits) != 0)
		return false;
	found->start = (uintptr_t)start;
	found->offset = (off_t)offset;
	found->sure = search->device == makedev(major_number, minor_number);
	/* Another disk's; a FUSE mount, like btrfs, has a device of no kind. */
	if (!found->sure && major_number != 0)
		return false;
	*part = *range;
	if (part->at < found->offset)
		part->at = found->offset;
	if (part->end > found->offset + (off_t)(end - start))
		part->end = found->offset + (off_t)(end - start);
	return part->at < part->end;
}

static int search_process(const struct search *search, const char *process)
{
	struct found found = { .process = -1 };
	owned_memory char *line = NULL;
	size_t capacity = 0;
	char path[64];
	FILE *maps;
	int error = 0;

	snprintf(path, sizeof(path), "/proc/%.20s/maps", process);
	maps = fopen(path, "re");
	if (!maps)
		return 0;
	while (!error && getline(&line, &capacity, maps) > 0) {
		if (!read_line(search, line, &found))
			continue;
		if (found.process < 0)
			found.process = (int)syscall(CALL_PIDFD_OPEN,
				atoi(process), 0u);
		if (found.process < 0)
			break;
		error = advise_parts(search, &found);
	}
	fclose(maps);
	cleanup_close(&found.process);
	return error;
}

int pagecache_advise_mappers(int fd, const struct pagecache_range *range,
			     int advice, const struct pagecache_stop *stop,
			     struct pagecache_mappers *mappers)
{
	struct search search = { fd, range, advice, stop, mappers, 0, 0 };
	struct dirent *entry;
	struct stat status;
	DIR *processes;
	int error = 0;

	if (fstat(fd, &status) < 0)
		return -errno;
	search.device = status.st_dev;
	search.inode = status.st_ino;
	processes = opendir("/proc");
	if (!processes)
		return 0;
	while (!error && (entry = readdir(processes)) != NULL) {
		if (!isdigit((unsigned char)entry->d_name[0]))
			continue;
		error = pagecache_stop_asked(stop) ? -EINTR :
			search_process(&search, entry->d_name);
	}
	closedir(processes);
	return error;
}
