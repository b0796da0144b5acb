// SPDX-License-Identifier: Apache-2.0
/*
 * What a power cut would take of staged files: what changed since the commit
 * before, and what a commit that is under way has taken and not yet made
 * durable. Files without a name are left out: nobody could find them.
 */
#include <stdatomic.h>

#include "core/stage_internal.h"
#include "os/clock.h"

void stage_note_loss(struct stage *stage, int64_t since)
{
	int64_t age = since ? clock_now() - since : 0;
	int64_t known = stage->loss_max;

	while (age > known &&
	       !atomic_compare_exchange_weak(&stage->loss_max, &known, age))
		;
}

int64_t stage_older(int64_t a, int64_t b)
{
	if (a == 0 || b == 0)
		return a ? a : b;
	return a < b ? a : b;
}

int64_t staged_changed_since(struct staged *staged)
{
	int64_t since;

	lock_take(&staged->lock, lock_rank_stage_file);
	since = staged->is_changed ? staged->changed_at : 0;
	lock_drop(&staged->lock, lock_rank_stage_file);
	return since;
}

void stage_look_loss(struct stage *stage, struct stage_loss *loss)
{
	struct staged *staged;
	int64_t oldest = 0;

	if (stage->used) {
		stage_gate_enter(stage);
		lock_take(&stage->lock, lock_rank_stage);
		TAILQ_FOREACH (staged, &stage->dirty, dirty_link) {
			if (!staged->is_unlinked)
				oldest = stage_older(oldest,
						     staged->changed_at);
		}
		lock_drop(&stage->lock, lock_rank_stage);
		oldest = stage_older(oldest, stage->committing_since);
		stage_gate_leave(stage);
	}
	stage_note_loss(stage, oldest);
	*loss = (struct stage_loss){
		.oldest = oldest,
		.max = stage->loss_max,
	};
}
