// SPDX-License-Identifier: Apache-2.0
/*
 *	since	when the oldest write was that no sync has made durable
 *	again	written since the last sync began
 *
 * A writer sets again and then, if it is 0, since. A sync takes again away
 * when it begins; when it has succeeded, since becomes 0, or its begin if
 * again was set meanwhile. Who sets since to 0 looks at again once more, so
 * that one of the two sees the other.
 */
#include "core/loss.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "core/file.h"
#include "core/file_list.h"
#include "core/filesystem.h"
#include "core/stage.h"
#include "os/clock.h"
#include "os/pagecache.h"

/* How coarse file times are, at most. */
#define TICK INT64_C(10000000)

static void raise_to(_Atomic int64_t *max, int64_t value)
{
	int64_t known = *max;

	while (value > known &&
	       !atomic_compare_exchange_weak(max, &known, value))
		;
}

static void set_if_none(_Atomic int64_t *since, int64_t time)
{
	int64_t none = 0;

	atomic_compare_exchange_strong(since, &none, time);
}

static bool defers(const struct file *file)
{
	return !file->staged && file_policy(file)->fsync == policy_fsync_defer;
}

void loss_written(struct file *file)
{
	if (file->unsynced_again || !defers(file))
		return;
	file->unsynced_again = true;
	if (file->unsynced_since == 0)
		set_if_none(&file->unsynced_since, clock_now());
}

void loss_opened(struct file *file)
{
	int64_t now = clock_coarse();

	if (file->path == data_path_kernel && defers(file) &&
	    !file_mtime_is_new(file, NULL))
		file->looked_at = now;
}

void loss_clean(struct file *file, int64_t at)
{
	file->looked_at = at;
}

void loss_begin(struct file *file, bool written)
{
	int64_t now = clock_now();

	if (file->path == data_path_kernel && defers(file)) {
		if (file->unsynced_since == 0 && written)
			set_if_none(&file->unsynced_since,
				    file->looked_at ? file->looked_at : now);
		file->looked_at = now;
	}
	file->unsynced_again = false;
}

void loss_end(struct file *file, int64_t begin)
{
	int64_t since = file->unsynced_since;

	if (since == 0 || since > begin)
		return;
	raise_to(&file->fs->loss.max, clock_now() - since);
	if (!atomic_compare_exchange_strong(
		    &file->unsynced_since, &since,
		    file->unsynced_again ? begin : 0))
		return;
	if (file->unsynced_again)
		set_if_none(&file->unsynced_since, begin);
}

/* Atomics only, so the list may stay locked. */
void loss_begin_all(struct filesystem *fs)
{
	struct file *file;

	lock_take(&fs->files_lock, lock_rank_open_files);
	TAILQ_FOREACH (file, &fs->files, link) {
		if (file->unsynced_since)
			file->unsynced_again = false;
	}
	lock_drop(&fs->files_lock, lock_rank_open_files);
}

void loss_end_all(struct filesystem *fs, int64_t begin)
{
	int64_t left = fs->loss.left_since;
	struct file *file;

	lock_take(&fs->files_lock, lock_rank_open_files);
	TAILQ_FOREACH (file, &fs->files, link)
		loss_end(file, begin);
	lock_drop(&fs->files_lock, lock_rank_open_files);
	if (left == 0 || left > begin)
		return;
	raise_to(&fs->loss.max, clock_now() - left);
	atomic_compare_exchange_strong(&fs->loss.left_since, &left, 0);
}

void loss_leave(struct file *file)
{
	_Atomic int64_t *left = &file->fs->loss.left_since;
	int64_t since = file->unsynced_since;
	int64_t known = *left;

	if (since == 0 && file->path == data_path_kernel && defers(file))
		since = file->looked_at;
	while (since != 0 && (known == 0 || since < known) &&
	       !atomic_compare_exchange_weak(left, &known, since))
		;
}

void loss_hand_over(struct file *file, struct file *other)
{
	int64_t since = file->unsynced_since;
	int64_t known;

	if (since == 0)
		return;
	other->unsynced_again = true;
	known = other->unsynced_since;
	while ((known == 0 || since < known) &&
	       !atomic_compare_exchange_weak(&other->unsynced_since, &known,
					     since))
		;
}

/* ---- looking ------------------------------------------------------------ */

struct look {
	const struct filesystem *fs;
	int64_t now, wall;
	int64_t oldest; /* 0: nothing */
	int64_t bytes; /* that may still be looked at for dirty ones */
	int64_t dirty; /* -1: the kernel can't say */
	unsigned files; /* that may still be looked at */
};

static void note_oldest(struct look *look, int64_t since)
{
	if (since != 0 && (look->oldest == 0 || since < look->oldest))
		look->oldest = since;
}

/* The kernel path: a time before its oldest unsynced write; 0: none. */
static int64_t unseen_since(const struct look *look, const struct file *file,
			    const struct stat *st)
{
	int64_t mtime = clock_nanoseconds(&st->st_mtim);
	int64_t whole = look->fs->whole.done_from;
	int64_t since = file->looked_at;

	if (!defers(file) || mtime == file->synced_mtime)
		return 0;
	if (whole <= since)
		return since;
	return mtime + TICK < look->wall - (look->now - whole) ? 0 : whole;
}

static void look_at(struct look *look, struct file *file)
{
	int64_t since = file->unsynced_since;
	struct stat st;
	int64_t dirty;

	/* One that is just being opened isn't complete. */
	if (file->opens == 0 && !file->closed)
		return;
	if (file->staged || !file->writable)
		return;
	/* Too many: those that are known to have something count anyway. */
	if (look->files == 0) {
		note_oldest(look, since);
		return;
	}
	look->files--;
	/* What has no name is gone after a power cut in any case. */
	if (fstat(file->fd, &st) < 0 || st.st_nlink == 0)
		return;
	if (since == 0 && file->path == data_path_kernel)
		since = unseen_since(look, file, &st);
	note_oldest(look, since);
	if (st.st_size > look->bytes || look->dirty < 0)
		return;
	look->bytes -= st.st_size;
	dirty = file_dirty_bytes(file);
	look->dirty = dirty < 0 ? -1 : look->dirty + dirty;
}

int loss_look(struct filesystem *fs, struct loss_state *state)
{
	struct look look = {
		.fs = fs,
		.wall = clock_of(CLOCK_REALTIME),
		.bytes = LOSS_BYTES_MAX,
		.files = LOSS_FILES_MAX,
	};
	struct stage_loss staged;
	struct file **files;
	size_t count;

	look.now = clock_now();
	files = file_list_take(fs, &count);
	if (!files)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		look_at(&look, files[i]);
		file_release(files[i]);
	}
	free(files);
	note_oldest(&look, fs->loss.left_since);
	stage_look_loss(fs->stage, &staged);
	if (look.oldest)
		raise_to(&fs->loss.max, look.now - look.oldest);
	note_oldest(&look, staged.oldest);
	*state = (struct loss_state){
		.window = look.oldest && look.oldest < look.now ?
				  look.now - look.oldest :
				  0,
		.shared = look.dirty,
	};
	state->max = fs->loss.max;
	if (staged.max > state->max)
		state->max = staged.max;
	if (state->window > state->max)
		state->max = state->window;
	return 0;
}
