/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The loss window: how far back a power cut now would take changes that
 * msyncfs holds back. Of staged files the age of the oldest uncommitted
 * change (stage_oldest()), of shared ones under fsync=defer that of the
 * oldest write that no sync has made durable, as long as the file is open or
 * still to be synced.
 *
 * Writes on the kernel path are seen by nobody: a file that has been written
 * since it was last looked at counts from that look on. What programs have
 * stored in mappings on the daemon's path counts from when the kernel writes
 * it back to us. Any thread.
 */
#ifndef MSYNCFS_CORE_LOSS_H
#define MSYNCFS_CORE_LOSS_H

#include <stdbool.h>
#include <stdint.h>

struct file;
struct filesystem;

/* What the mount as a whole has of it. */
struct loss {
	_Atomic int64_t max; /* ns, of shared files */
	/* The oldest write to files that were left to a sync of everything. */
	_Atomic int64_t left_since; /* clock_now(); 0: none */
};

/* The file was written to, here. Costs two loads after the first time. */
void loss_written(struct file *file);
/* A writer has opened it. */
void loss_opened(struct file *file);
/* It was looked at then, and is clean. */
void loss_clean(struct file *file, int64_t at);

/*
 * A sync of it begins now; written: on the kernel path, since the last one
 * (file_mtime_is_new()). It has made durable what was written before begin
 * (clock_now()).
 */
void loss_begin(struct file *file, bool written);
void loss_end(struct file *file, int64_t begin);
/* The same, of all files. */
void loss_begin_all(struct filesystem *fs);
void loss_end_all(struct filesystem *fs, int64_t begin);
/* The other one's sync is to make durable what this one has. */
void loss_hand_over(struct file *file, struct file *other);
/* Nobody looks at this file any more; the next sync of everything has it. */
void loss_leave(struct file *file);

/*
 * What is not durable now. Looks at some files (LOSS_FILES_MAX, and of
 * LOSS_BYTES_MAX bytes together) with two system calls each.
 */
#define LOSS_FILES_MAX 1024
#define LOSS_BYTES_MAX (INT64_C(4) << 30)

struct loss_state {
	int64_t window; /* ns; 0: nothing is deferred */
	int64_t max; /* ns; the worst that was ever seen, or synced */
	int64_t shared; /* dirty bytes in the page cache; -1: not known */
};
/* 0 or -ENOMEM. */
int loss_look(struct filesystem *fs, struct loss_state *state);

#endif
