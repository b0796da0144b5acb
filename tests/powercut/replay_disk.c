// SPDX-License-Identifier: Apache-2.0
/*
 * A recorded disk as a power cut at any instant could have left it: for a
 * loop device to lie on.
 *
 *	replay_disk BASE LOG MOUNTPOINT
 *	replay_disk --positions LOG
 *	replay_disk --marks LOG POSITION
 *	replay_disk --choose LOG COUNT SEED
 *
 * The first presents the disk in MOUNTPOINT/disk, at the beginning as BASE is.
 * What is written to it stays in memory. One line written to
 * MOUNTPOINT/control makes another image of it, EBUSY while anybody has the
 * disk open (a loop device has), EINVAL for what is no command:
 *
 *	cut POSITION SEED flush|all|random [UNIT]
 *		as image.h has it; UNIT bytes are written all or nothing (512)
 *	again SEED
 *		a second power cut, somewhere in what was done to the disk
 *		since the first
 *
 * MOUNTPOINT/marks has the marks before the cut, MOUNTPOINT/flushed those
 * that the last flush before the cut covers. The other forms print what
 * positions.h says.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "image.h"
#include "positions.h"
#include "recording.h"
#include "serve.h"

struct text {
	char *data;
	size_t size;
};

static struct recording recording;
static struct image image;
static int disk_opens;
static struct text marks, flushed;

/* --- the disk ------------------------------------------------------------ */

static uint64_t size_of_disk(void)
{
	return recording.disk_size;
}

static int read_disk(char *buffer, size_t size, uint64_t offset)
{
	uint64_t start = offset - offset % SECTOR;
	uint64_t end = offset + size;
	char *whole;

	if (offset % SECTOR == 0 && size % SECTOR == 0) {
		image_read(&image, buffer, size, offset);
		return 0;
	}
	end += (SECTOR - end % SECTOR) % SECTOR;
	whole = malloc(end - start);
	if (!whole)
		return -ENOMEM;
	image_read(&image, whole, end - start, start);
	memcpy(buffer, whole + (offset - start), size);
	free(whole);
	return 0;
}

static int write_disk(const char *data, size_t size, uint64_t offset)
{
	return image_write(&image, data, size, offset);
}

static int zero_disk(uint64_t offset, uint64_t size)
{
	return image_zero(&image, offset, size);
}

static int flush_disk(void)
{
	return image_flush(&image);
}

static void disk_opened(int change)
{
	disk_opens += change;
}

/* --- the buttons --------------------------------------------------------- */

static int set_text(struct text *text, size_t position)
{
	FILE *out;

	free(text->data);
	*text = (struct text){ 0 };
	out = open_memstream(&text->data, &text->size);
	if (!out)
		return -errno;
	positions_print_marks(out, &recording, position);
	return fclose(out) ? -errno : 0;
}

static int cut(const char *line)
{
	struct cut cut = { .unit = SECTOR };
	char mode[8];
	int result;

	if (sscanf(line, "cut %zu %" SCNu64 " %7s %u", &cut.position,
		   &cut.seed, mode, &cut.unit) < 3)
		return -EINVAL;
	if (!strcmp(mode, "flush"))
		cut.mode = cut_flush;
	else if (!strcmp(mode, "all"))
		cut.mode = cut_all;
	else if (!strcmp(mode, "random"))
		cut.mode = cut_random;
	else
		return -EINVAL;
	result = image_cut(&image, &cut);
	if (!result)
		result = set_text(&marks, cut.position);
	return result ? result : set_text(&flushed, image.covered);
}

static int write_control(const char *data, size_t size, uint64_t offset)
{
	char line[128] = "";
	uint64_t seed;

	(void)offset;
	if (size >= sizeof(line))
		return -EINVAL;
	memcpy(line, data, size);
	if (disk_opens > 0)
		return -EBUSY;
	if (sscanf(line, "again %" SCNu64, &seed) == 1)
		return image_cut_again(&image, seed);
	return cut(line);
}

static uint64_t size_of_marks(void)
{
	return marks.size;
}

static int read_marks(char *buffer, size_t size, uint64_t offset)
{
	memcpy(buffer, marks.data + offset, size);
	return 0;
}

static uint64_t size_of_flushed(void)
{
	return flushed.size;
}

static int read_flushed(char *buffer, size_t size, uint64_t offset)
{
	memcpy(buffer, flushed.data + offset, size);
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
		.opened = disk_opened,
	},
	{ .name = "control", .mode = 0600, .write = write_control },
	{
		.name = "marks",
		.mode = 0444,
		.size = size_of_marks,
		.read = read_marks,
	},
	{
		.name = "flushed",
		.mode = 0444,
		.size = size_of_flushed,
		.read = read_flushed,
	},
};

/* --- the command line ---------------------------------------------------- */

static int usage(void)
{
	fputs("usage: replay_disk BASE LOG MOUNTPOINT\n"
	      "       replay_disk --positions LOG\n"
	      "       replay_disk --marks LOG POSITION\n"
	      "       replay_disk --choose LOG COUNT SEED\n",
	      stderr);
	return 2;
}

static int fail(const char *path, int result)
{
	fprintf(stderr, "replay_disk: %s: %s\n", path,
		result == -EINVAL ? "not a whole recording, or its base" :
				    strerror(-result));
	return 1;
}

static int present(char **argv)
{
	int result = image_open(&image, &recording, argv[1]);

	if (result)
		return fail(argv[1], result);
	return serve(argv[0], argv[3], served,
		     sizeof(served) / sizeof(served[0]));
}

static int print(int argc, char **argv)
{
	const char *what = argv[1];
	uint64_t number = argc > 3 ? strtoull(argv[3], NULL, 10) : 0;

	if (!strcmp(what, "--positions") && argc == 3) {
		positions_print(stdout, &recording);
	} else if (!strcmp(what, "--marks") && argc == 4 &&
		   number <= recording.count) {
		positions_print_marks(stdout, &recording, number);
	} else if (!strcmp(what, "--choose") && argc == 5) {
		if (positions_choose(stdout, &recording, (unsigned)number,
				     strtoull(argv[4], NULL, 10)))
			return fail(argv[2], -ENOMEM);
	} else {
		return usage();
	}
	return fflush(stdout) ? 1 : 0;
}

int main(int argc, char **argv)
{
	bool prints = argc > 2 && !strncmp(argv[1], "--", 2);
	int result;

	if (!prints && argc != 4)
		return usage();
	result = recording_open(&recording, argv[2]);
	if (result)
		return fail(argv[2], result);
	return prints ? print(argc, argv) : present(argv);
}
