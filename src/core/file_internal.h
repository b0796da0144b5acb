/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the parts of an open file (file*.c) ask of each other.
 */
#ifndef MSYNCFS_CORE_FILE_INTERNAL_H
#define MSYNCFS_CORE_FILE_INTERNAL_H

#include "core/file.h"

#define FILE_PRIVILEGE_BITS (S_ISUID | S_ISGID)

/* Would a read move atime now? mount(8), relatime. */
bool file_access_due(const struct store *store, const struct stat *st);

/* ---- policies (file_policy.c) ------------------------------------------ */

/*
 * Puts the policies in force that the file has in the store, or those just
 * inherited. 0 or -errno.
 */
int file_load_policies(struct file *file, const struct policy *inherited);
void file_free_policies(struct file *file);

/* Which path it takes, as far as policies decide; sets path_reason. */
bool file_may_take_kernel_path(struct file *file);

/* It is open now: advice, locking, what is to be read ahead. */
void file_apply_policies(struct file *file);

/*
 * An open file, with the node's lock: the policy file is another. 1: other
 * policies are in force now; 0; -ENOMEM.
 */
int file_reload_policies_locked(struct file *file);

/* The same as file_note_hold(), with the node's lock. */
void file_note_hold_locked(struct filesystem *fs, struct node *node);

/* Its size may have changed: what is locked follows. */
void file_follow_hold(struct file *file);

/* ---- staging (file_staged.c) ------------------------------------------- */

/*
 * At the first open, with the node's lock and the policies in force: the file
 * has a stage, or has not. 0; -ERESTART: it is not staged any more, and
 * file_settle_map() must come first; -errno.
 */
int file_stage_locked(struct file *file);
/*
 * Everything staged goes to the store, durably. If that fails, the file stays
 * as it is for one open more.
 */
void file_settle_map(struct filesystem *fs, struct node *node);
/* A writer has opened it. 0 or -errno. */
int file_stage_writer(struct file *file);
/* It is about to be cut to nothing; without any lock. 0 or -errno. */
int file_cutting(struct node *node);
/*
 * At the last close, with the node's lock. Returns what is to be put without
 * it; *dropped: programs' cached pages are of contents that are gone.
 */
struct staged *file_unstage_locked(struct file *file, bool *dropped);
/*
 * The time of its sync has come, which was set when it became dirty; a commit
 * for another file may have taken what it had then. Changes are to be
 * committed within `every` ns (0: at once). Returns when: the past for now,
 * SYNC_NEVER if there are none. By the scheduler.
 */
int64_t file_staged_due(struct file *file, int64_t every);
/*
 * Clears what a write by this caller clears of setuid, setgid and
 * capabilities. 0 or -errno.
 */
int file_clear_privileges(struct file *file, const struct caller *caller);

/* ---- sync (file_sync.c) ------------------------------------------------ */

void file_sync_init(struct file *file);
/* The policies in force have changed, or somebody has opened it. */
void file_track(struct file *file, bool writer);
/* Its sync is wanted, at that time (clock_now()) or before. */
void file_schedule(struct file *file, int64_t due);
/* Has it something that isn't durable? When in doubt, yes. */
bool file_may_be_dirty(struct file *file);
/* Closed, and without a name. */
bool file_is_gone(const struct file *file);

/* ---- closed files (file_closed.c) --------------------------------------- */

/* The last close, with the node's lock. */
void file_sync_closing_locked(struct file *file);
/* After that, without it. */
void file_sync_closed(struct file *file);
/* Its last name is gone: nobody need sync what was closed of it. */
void file_sync_unlinked(struct filesystem *fs, struct node *node);
/* It is about to be freed; with the filesystem's files_lock. */
void file_forget_waiting_locked(struct file *file);
/* Takes over an error that a sync met when nobody had it open. */
void file_take_pending_error_locked(struct file *file,
				    struct file_handle_state *handle);

#endif
