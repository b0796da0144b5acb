// SPDX-License-Identifier: Apache-2.0
/*
 * Each part of the mount is asked once, and nothing is locked in between: the
 * values are of about one time.
 */
#include "control/gauges.h"

#include "core/filesystem.h"
#include "core/group.h"
#include "core/loss.h"
#include "core/stage.h"
#include "os/clock.h"

static void take_locked(struct filesystem *fs, struct gauges *gauges)
{
	struct hold_totals held = hold_totals(&fs->holds);

	gauges->locked = (int64_t)held.bytes;
	gauges->lock_limit = held.limit == UINT64_MAX ? GAUGE_UNLIMITED :
							(int64_t)held.limit;
}

static void take_scheduler(struct filesystem *fs, struct gauges *gauges)
{
	struct scheduler_state state;
	int64_t now = clock_now();

	scheduler_look(fs->scheduler, &state);
	gauges->waiting = (int64_t)state.waiting;
	gauges->running = (int64_t)state.running;
	gauges->threads = state.threads;
	gauges->wakes = (int64_t)state.wakes;
	gauges->runs = (int64_t)state.runs;
	gauges->latest = state.latest;
	gauges->next = state.next_due == SYNC_NEVER ? GAUGE_UNKNOWN :
		       state.next_due > now	    ? state.next_due - now :
						      0;
}

static void take_stage(struct filesystem *fs, struct gauges *gauges)
{
	struct stage_state state;

	stage_look(fs->stage, &state);
	gauges->stage_used = (int64_t)state.resident;
	gauges->stage_limit = (int64_t)state.limit;
	gauges->stage_dirty = (int64_t)state.dirty;
	gauges->stage_files = (int64_t)state.files;
	gauges->journal_size = (int64_t)state.journal_size;
	gauges->journal_free = (int64_t)state.journal_room;
	gauges->commit_sequence = (int64_t)state.sequence;
	gauges->commit_age = state.committed_at == 0 ?
				     GAUGE_UNKNOWN :
				     clock_now() - state.committed_at;
	gauges->commit_failing = state.failing;
	gauges->commit_bytes = (int64_t)state.bytes;
	gauges->commit_files = (int64_t)state.committed_files;
	gauges->last_pause = state.pause;
	gauges->last_journal = state.journal_time;
	gauges->last_took = state.took;
	gauges->dirty = (int64_t)(state.dirty + state.committing);
}

static int take_loss(struct filesystem *fs, struct gauges *gauges)
{
	struct loss_state state;
	int r = loss_look(fs, &state);

	if (r < 0)
		return r;
	gauges->loss = state.window;
	gauges->loss_max = state.max;
	gauges->dirty_shared = state.shared;
	if (state.shared > 0)
		gauges->dirty += state.shared;
	return 0;
}

static void bring_counters(struct filesystem *fs)
{
	struct counters *counters = &fs->counters;
	uint64_t flushes = 0;

	for (unsigned i = 0; i < STORE_MOUNTS_MAX; i++) {
		struct group_counts counts;

		if (!fs->groups[i])
			continue;
		group_count(fs->groups[i], &counts);
		flushes += counts.flushes;
	}
	counters->group_flushes = flushes;
	counters->path_hits = fs->paths.hits;
	counters->path_misses = fs->paths.misses;
	counters->mappings_made = fs->mappings.made;
	counters->mappings_evicted = fs->mappings.evicted;
}

int gauges_take(struct filesystem *fs, struct gauges *gauges)
{
	*gauges = (struct gauges){
		.uptime = clock_now() - fs->started,
		.nodes = (int64_t)fs->nodes.count,
		.open = fs->files_open,
		.closed = fs->files_closed,
		.mappings = fs->mappings.count,
		.mappings_limit = fs->mappings.limit,
		.policies = fs->policies.count,
	};
	take_locked(fs, gauges);
	take_scheduler(fs, gauges);
	take_stage(fs, gauges);
	bring_counters(fs);
	return take_loss(fs, gauges);
}
