/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where staged pages live: page-sized slots in a memfd, all of them in one
 * mapping, so a page is named by a number and keeps its address. A memfd and
 * not private memory, because it can outlive the process that filled it.
 *
 * Owned by the stage; made before and freed after all who use it. Any thread.
 */
#ifndef MSYNCFS_CORE_ARENA_H
#define MSYNCFS_CORE_ARENA_H

#include <stdint.h>

#define ARENA_PAGE 4096u
#define ARENA_NONE UINT32_MAX

struct arena;

/* capacity: bytes, the most it will ever hold. 0 or -errno. */
int arena_new(uint64_t capacity, struct arena **arena);
void arena_free(struct arena *arena);

/*
 * A slot, its bytes undefined but there: touching them can't fail. ARENA_NONE
 * when all are taken or the machine has no memory for it.
 */
uint32_t arena_take(struct arena *arena);
void arena_give(struct arena *arena, uint32_t slot);

void *arena_page(const struct arena *arena, uint32_t slot);

/* Bytes in slots that are taken; bytes that the memfd holds in memory. */
uint64_t arena_used(const struct arena *arena);
uint64_t arena_resident(const struct arena *arena);

/*
 * Gives the memory of free slots back to the system (FALLOC_FL_PUNCH_HOLE),
 * except for a few percent of what is used. For moments after a commit.
 */
void arena_trim(struct arena *arena);

#endif
