// SPDX-License-Identifier: Apache-2.0
/*
 * How much of what stamp_writer had written is missing from a copy?
 *
 *	stamp_check DIRECTORY LOG INSTANT
 *
 * DIRECTORY has the files as they were on the disk at INSTANT
 * (CLOCK_MONOTONIC, ns). Missing is each record whose write(2) had returned by
 * then and whose slot holds an earlier record or none. Prints one line:
 *
 *	LOSS MISSING WRITTEN DAMAGED
 *
 * LOSS is the age at INSTANT of the oldest missing record, in ns, by the time
 * that was stamped into it: before write(2), so a write that had to wait
 * counts in full. 0 if nothing is missing. DAMAGED counts records that are
 * not what was written there; their slots count as empty.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "stamp.h"

struct contents {
	struct stamp_record *record;
	size_t count;
};

static struct contents files[STAMP_FILES];
static const struct stamp_log *log_map;
static uint64_t damaged;

static void die(const char *what)
{
	fprintf(stderr, "stamp_check: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* A file that isn't there has no records. */
static void load(const char *directory, uint32_t file)
{
	struct contents *contents = &files[file];
	char path[4096];
	struct stat status;
	int fd;

	snprintf(path, sizeof(path), "%s/%02u", directory, file);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return;
	if (fd < 0 || fstat(fd, &status))
		die(path);
	contents->count = (size_t)status.st_size / sizeof(*contents->record);
	contents->record = calloc(contents->count + 1,
				  sizeof(*contents->record));
	if (!contents->record)
		die("calloc");
	for (size_t done = 0;
	     done < contents->count * sizeof(*contents->record);) {
		ssize_t n = pread(fd, (char *)contents->record + done,
				  contents->count * sizeof(*contents->record) -
					  done,
				  (off_t)done);

		if (n <= 0)
			die(path);
		done += (size_t)n;
	}
	close(fd);
}

static bool is_sound(const struct stamp_record *record, uint32_t file,
		     uint32_t slot)
{
	const struct stamp_entry *entry;

	/* One more than the count may be under way. */
	if (record->number > atomic_load(&log_map->count) + 1 ||
	    record->number > STAMP_LOG_MAX)
		return false;
	entry = &log_map->entry[record->number - 1];
	return record->file == file && record->slot == slot &&
	       record->check == stamp_sum(record) &&
	       record->stamp == entry->stamp && entry->file == file &&
	       entry->slot == slot;
}

static void find_damage(uint32_t file)
{
	for (size_t i = 0; i < files[file].count; i++) {
		struct stamp_record *record = &files[file].record[i];

		if (record->number && !is_sound(record, file, (uint32_t)i)) {
			damaged++;
			record->number = 0;
		}
	}
}

static uint64_t held(const struct stamp_entry *entry)
{
	const struct contents *contents = &files[entry->file];

	return entry->slot < contents->count ?
		       contents->record[entry->slot].number :
		       0;
}

static void report(int64_t instant)
{
	uint64_t count = atomic_load(&log_map->count);
	uint64_t missing = 0;
	uint64_t written = 0;
	int64_t loss = 0;

	for (uint64_t i = 0; i < count; i++) {
		const struct stamp_entry *entry = &log_map->entry[i];

		if (!entry->done || entry->done > instant)
			continue;
		written++;
		if (held(entry) >= i + 1)
			continue;
		missing++;
		if (instant - entry->stamp > loss)
			loss = instant - entry->stamp;
	}
	printf("%lld %llu %llu %llu\n", (long long)loss,
	       (unsigned long long)missing, (unsigned long long)written,
	       (unsigned long long)damaged);
}

int main(int argc, char **argv)
{
	int fd;

	if (argc != 4) {
		fprintf(stderr, "usage: stamp_check DIRECTORY LOG INSTANT\n");
		return 2;
	}
	fd = open(argv[2], O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		die(argv[2]);
	log_map = mmap(NULL, sizeof(*log_map), PROT_READ, MAP_SHARED, fd, 0);
	if (log_map == MAP_FAILED)
		die(argv[2]);
	for (uint32_t i = 0; i < STAMP_FILES; i++) {
		load(argv[1], i);
		find_damage(i);
	}
	report(atoll(argv[3]));
	return 0;
}
