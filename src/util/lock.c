// SPDX-License-Identifier: Apache-2.0
/*
 * The rank check: how many locks of each rank this thread holds. A lock may
 * be waited for only when no lock of its own or a higher rank is held.
 */
#include "util/lock.h"

#ifdef MSYNCFS_LOCK_CHECK

#include <stdio.h>
#include <stdlib.h>

static _Thread_local unsigned held_count[lock_ranks];

void lock_check_order(enum lock_rank rank)
{
	for (unsigned r = rank; r < lock_ranks; r++) {
		if (held_count[r] == 0)
			continue;
		fprintf(stderr, "lock of rank %u waited for under rank %u\n",
			(unsigned)rank, r);
		abort();
	}
}

void lock_note(enum lock_rank rank, bool held)
{
	if (held)
		held_count[rank]++;
	else
		held_count[rank]--;
}

#endif
