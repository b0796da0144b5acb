// SPDX-License-Identifier: Apache-2.0
/*
 * What nobody but a later version, or a broken disk, does to a journal:
 *
 *	forge_journal tail FILE		prints the block where the first
 *					transaction begins that is still needed
 *	forge_journal version FILE N	makes it one of version N, with headers
 *					that are whole
 *	forge_journal flip FILE OFFSET	changes that byte
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/journal_format.h"

static int fail(const char *what)
{
	perror(what);
	return 1;
}

/* Of the two copies; -1: neither can be read. */
static int newest(int fd, struct journal_header headers[JOURNAL_RING],
	unsigned char blocks[JOURNAL_RING][JOURNAL_PAGE])
{
	int found = -1;

	for (int i = 0; i < (int)JOURNAL_RING; i++) {
		if (pread(fd, blocks[i], JOURNAL_PAGE,
			    i * (off_t)JOURNAL_PAGE) != JOURNAL_PAGE ||
			journal_header_decode(blocks[i], &headers[i]) != 0)
			continue;
		if (found < 0 ||
			headers[i].generation > headers[found].generation)
			found = i;
	}
	return found;
}

static int set_version(int fd, struct journal_header *header, uint32_t version)
{
	static unsigned char block[JOURNAL_PAGE];

	header->version = version;
	journal_header_encode(header, block);
	/* Only the newest counts, so both copies become that one. */
	for (off_t i = 0; i < (off_t)JOURNAL_RING; i++) {
		if (pwrite(fd, block, sizeof(block),
			    i * (off_t)sizeof(block)) != sizeof(block))
			return fail("writing");
	}
	return 0;
}

static int flip(int fd, off_t offset)
{
	unsigned char byte;

	if (pread(fd, &byte, 1, offset) != 1)
		return fail("reading");
	byte ^= 0x10;
	if (pwrite(fd, &byte, 1, offset) != 1)
		return fail("writing");
	return 0;
}

int main(int argc, char **argv)
{
	static unsigned char blocks[JOURNAL_RING][JOURNAL_PAGE];
	struct journal_header headers[JOURNAL_RING] = { 0 };
	const char *verb = argc > 2 ? argv[1] : "";
	int fd = argc > 2 ? open(argv[2], O_RDWR | O_CLOEXEC) : -1;
	int copy;

	if (fd < 0)
		return fail(argc > 2 ? argv[2] : "FILE");
	if (strcmp(verb, "flip") == 0 && argc == 4)
		return flip(fd, (off_t)strtoll(argv[3], NULL, 10));
	copy = newest(fd, headers, blocks);
	if (copy < 0)
		return fail("no header");
	if (strcmp(verb, "version") == 0 && argc == 4)
		return set_version(fd, &headers[copy],
			(uint32_t)strtoul(argv[3], NULL, 10));
	if (strcmp(verb, "tail") != 0)
		return fail(verb);
	printf("%" PRIu64 "\n", headers[copy].tail_block);
	return 0;
}
