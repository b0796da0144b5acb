// SPDX-License-Identifier: Apache-2.0
/*
 * Each sector of the disk has a pointer to its data, in the base, in the log
 * or among what was written later: nothing is copied for a cut, which goes
 * through the log from its beginning and sets pointers. Sectors that nobody
 * has written have none.
 *
 * What is written after the cut is a recording as well, so that there can be
 * a power cut in it: the same two steps once more on top of the first.
 */
#include "image.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "random.h"
#include "util/cleanup.h"

/* Room for what may be written after one cut; used as it is needed. */
#define ARENA_SIZE (UINT64_C(16) << 30)
#define ARENA_KEEP ((size_t)64 << 20)

/* Here file systems have their superblock, which they need whole. */
#define FIRST_BLOCK 4096

static const char zeroes[SECTOR];

int image_open(struct image *image, const struct recording *recording,
	       const char *base)
{
	uint64_t size = recording->disk_size;
	owned_fd fd = open(base, O_RDONLY | O_CLOEXEC);
	struct stat status;
	void *map;

	memset(image, 0, sizeof(*image));
	if (fd < 0 || fstat(fd, &status))
		return -errno;
	if ((uint64_t)status.st_size != size || size == 0 || size % SECTOR)
		return -EINVAL;
	map = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (map == MAP_FAILED)
		return -errno;
	image->base = map;
	map = mmap(NULL, ARENA_SIZE, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (map == MAP_FAILED)
		return -errno;
	image->arena = map;
	image->sectors = calloc(size / SECTOR, sizeof(*image->sectors));
	image->recording = recording;
	image->later.disk_size = size;
	return image->sectors ? 0 : -ENOMEM;
}

/* The sectors from first, before end, of the disk, as the record has them. */
static void take_part(struct image *image, const struct record *record,
		      uint64_t first, uint64_t end)
{
	uint64_t start = record->offset / SECTOR;

	for (uint64_t i = first; i < end; i++) {
		image->sectors[i] = record->kind == record_write ?
			record->data + (i - start) * SECTOR :
			zeroes;
	}
}

static bool is_write(const struct record *record)
{
	return (record->kind == record_write || record->kind == record_zero) &&
		record->size > 0;
}

static void take(struct image *image, const struct record *record)
{
	if (is_write(record))
		take_part(image, record, record->offset / SECTOR,
			  (record->offset + record->size) / SECTOR);
}

static uint64_t min(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/*
 * A beginning, or any run, of the units that the write touches, but not all
 * of them; all where there is only one, and of the first block.
 */
static void take_torn(struct image *image, const struct record *record,
		      unsigned unit, uint64_t *seed)
{
	uint64_t start = record->offset / unit;
	uint64_t end = (record->offset + record->size - 1) / unit + 1;
	uint64_t count = end - start;
	uint64_t run, first = start;

	if (count < 2 || record->offset < FIRST_BLOCK) {
		take(image, record);
		return;
	}
	run = 1 + random_below(seed, count - 1);
	if (random_below(seed, 2))
		first += random_below(seed, count - run + 1);
	end = (first + run) * unit;
	first = first * unit;
	if (first < record->offset)
		first = record->offset;
	take_part(image, record, first / SECTOR,
		  min(end, record->offset + record->size) / SECTOR);
}

/*
 * Writes are lost one by one, more or fewer of them. One write in four of
 * those that are there is torn.
 */
static void take_some(struct image *image, const struct recording *recording,
		      size_t first, const struct cut *cut)
{
	static const unsigned kept_of_16[] = { 1, 4, 8, 12, 15 };
	uint64_t seed = random_mix(cut->seed);
	unsigned kept = kept_of_16[random_below(&seed, 5)];

	for (size_t i = first; i < cut->position; i++) {
		const struct record *record = &recording->records[i];

		if (!is_write(record) || random_below(&seed, 16) >= kept)
			continue;
		if (random_below(&seed, 4))
			take(image, record);
		else
			take_torn(image, record, cut->unit, &seed);
	}
}

/* Returns how many records the flushes cover. */
static size_t apply(struct image *image, const struct recording *recording,
		    const struct cut *cut)
{
	size_t covered = recording_covered(recording, cut->position);
	size_t whole = cut->mode == cut_all ? cut->position : covered;

	for (size_t i = 0; i < whole; i++)
		take(image, &recording->records[i]);
	if (cut->mode == cut_random)
		take_some(image, recording, covered, cut);
	return covered;
}

static void forget_later(struct image *image)
{
	if (image->arena_used > ARENA_KEEP)
		madvise(image->arena, image->arena_used, MADV_DONTNEED);
	image->arena_used = 0;
	image->later.count = 0;
}

static bool is_unit(unsigned unit)
{
	return unit >= SECTOR && unit <= 4096 && (unit & (unit - 1)) == 0;
}

static void start_over(struct image *image)
{
	memset(image->sectors, 0,
	       image->recording->disk_size / SECTOR * sizeof(*image->sectors));
	image->covered = apply(image, image->recording, &image->cut);
}

int image_cut(struct image *image, const struct cut *cut)
{
	if (cut->position > image->recording->count || !is_unit(cut->unit))
		return -EINVAL;
	forget_later(image);
	image->cut = *cut;
	image->is_cut_twice = false;
	start_over(image);
	return 0;
}

int image_cut_again(struct image *image, uint64_t seed)
{
	struct cut again = {
		.seed = seed,
		.mode = cut_random,
		.unit = image->cut.unit,
	};

	if (image->is_cut_twice)
		return -EINVAL;
	again.position = random_below(&seed, image->later.count + 1);
	start_over(image);
	apply(image, &image->later, &again);
	image->is_cut_twice = true;
	return 0;
}

void image_read(const struct image *image, char *buffer, size_t size,
		uint64_t offset)
{
	for (uint64_t end = offset + size; offset < end; offset += SECTOR) {
		const char *data = image->sectors[offset / SECTOR];

		memcpy(buffer, data ? data : image->base + offset, SECTOR);
		buffer += SECTOR;
	}
}

static bool is_on_disk(const struct image *image, uint64_t offset,
		       uint64_t size)
{
	uint64_t all = image->recording->disk_size;

	return offset <= all && size <= all - offset && offset % SECTOR == 0 &&
		size % SECTOR == 0;
}

static int add(struct image *image, const struct record *record)
{
	int result = recording_add(&image->later, record);

	if (!result)
		take(image, record);
	return result;
}

int image_write(struct image *image, const char *data, size_t size,
		uint64_t offset)
{
	struct record record = {
		.kind = record_write,
		.offset = offset,
		.size = size,
		.data = image->arena + image->arena_used,
	};

	if (!is_on_disk(image, offset, size))
		return -EINVAL;
	if (size > ARENA_SIZE - image->arena_used)
		return -ENOMEM;
	memcpy(image->arena + image->arena_used, data, size);
	image->arena_used += size;
	return add(image, &record);
}

int image_zero(struct image *image, uint64_t offset, uint64_t size)
{
	struct record record = {
		.kind = record_zero,
		.offset = offset,
		.size = size,
	};

	if (!is_on_disk(image, offset, size))
		return -EINVAL;
	return add(image, &record);
}

int image_flush(struct image *image)
{
	struct record record = { .kind = record_flush };

	return recording_add(&image->later, &record);
}
