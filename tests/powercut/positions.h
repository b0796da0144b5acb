/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where in a recording what happened, and where to cut it. One thread.
 */
#ifndef MSYNCFS_POWERCUT_POSITIONS_H
#define MSYNCFS_POWERCUT_POSITIONS_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "recording.h"

/*
 * One line each, in order:
 *	flush NUMBER POSITION	NUMBER from 0
 *	mark POSITION TEXT
 *	end POSITION		how many records there are
 */
void positions_print(FILE *out, const struct recording *recording);

/* The texts of the marks before the position, one line each. */
void positions_print_marks(FILE *out, const struct recording *recording,
			   size_t position);

/*
 * COUNT lines POSITION SEED MODE for replay_disk's control, which
 * follow from the seed, those of a small count being the beginning of those
 * of a large one. 0 or -ENOMEM.
 */
int positions_choose(FILE *out, const struct recording *recording,
		     unsigned count, uint64_t seed);

#endif
