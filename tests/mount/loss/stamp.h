/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What stamp_writer writes and stamp_check looks for: records in files, and a
 * log of all of them that lies elsewhere and loses nothing.
 *
 * Every record has a number of its own, from 1 up. A slot of a file holds the
 * last record that was written to it; a record is missing from a copy if its
 * slot there holds an earlier one, or none.
 */
#ifndef STAMP_H
#define STAMP_H

#include <stdatomic.h>
#include <stdint.h>

#define STAMP_FILES 64u
#define STAMP_LOG_MAX (4u << 20)

/* In the files; never across two blocks. */
struct stamp_record {
	uint64_t number;
	int64_t stamp; /* CLOCK_MONOTONIC ns, before write(2) */
	uint32_t file;
	uint32_t slot;
	uint64_t check;
	uint64_t fill[4];
};

struct stamp_entry {
	int64_t stamp;
	int64_t done; /* when write(2) had returned; 0: not yet */
	uint32_t file;
	uint32_t slot;
};

/* Mapped by both; entry i is record i + 1. */
struct stamp_log {
	_Atomic uint64_t count;
	struct stamp_entry entry[STAMP_LOG_MAX];
};

_Static_assert(4096 % sizeof(struct stamp_record) == 0, "fits a page");

static inline uint64_t stamp_sum(const struct stamp_record *record)
{
	uint64_t sum = record->number * UINT64_C(0x9e3779b97f4a7c15);

	sum = (sum ^ (uint64_t)record->stamp) * UINT64_C(0xff51afd7ed558ccd);
	sum ^= ((uint64_t)record->file << 32 | record->slot);
	return sum * UINT64_C(0xc4ceb9fe1a85ec53);
}

#endif
