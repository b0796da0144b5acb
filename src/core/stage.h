/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Staged writes: changes of files that stay in memory until a commit takes
 * all of them to the store together (map=staged), or until the last close
 * drops them (map=private).
 *
 * A mount has one stage. A staged object stands for one inode that has, or
 * may get, such changes: it lies over the store's file and says what programs
 * see. Counted: the inode's owner and each open file have a reference, the
 * stage has one while something is uncommitted or not yet checkpointed.
 *
 *	clean		the store's file is what programs see
 *	changed		the dirty layer has something
 *	committing	the committing layer as well: frozen at a commit's
 *			instant, on its way through the journal to the store;
 *			what is written meanwhile goes to the dirty layer
 *	applied		in the store's file, but not durable there yet: the
 *			journal still has it
 *
 * Any thread. Errors are -errno.
 */
#ifndef MSYNCFS_CORE_STAGE_H
#define MSYNCFS_CORE_STAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

/* Bytes: what is staged is staged in these. */
#define STAGE_PAGE 4096u

struct counters;
struct scheduler;
struct stage;
struct staged;
struct store;
struct store_id;

/* Why a commit is made; in the order of the counters. */
enum commit_cause {
	commit_by_fsync,
	commit_by_group,
	commit_by_time,
	commit_by_amount,
	commit_by_close,
	commit_by_request,
	commit_by_order,
	commit_by_limit,
	commit_by_policy,
	commit_at_unmount,
};

struct stage_settings {
	struct store *store;
	struct scheduler *scheduler;
	struct counters *counters;
	uint64_t limit; /* bytes of staged pages */
	uint64_t journal_size; /* bytes */
	unsigned files_limit; /* descriptors that may be kept for closed ones */
	/* The whole store durable (syncfs). 0 or -errno. */
	int (*sync_store)(void *context);
	/*
	 * The stage needs this object no longer; no lock of the stage's is
	 * held. The owner may put its reference to it.
	 */
	void (*idle)(struct staged *staged, void *owner);
	/* The last reference is gone. */
	void (*release)(void *context, void *owner);
	void *context;
};

int stage_new(const struct stage_settings *settings, struct stage **stage);
/*
 * Commits everything, makes it durable in the store, and removes the journal.
 * After the last request; nothing is staged any more. 0 or -errno: what could
 * not be committed is lost with stage_free(), what was is in the journal.
 */
int stage_finish(struct stage *stage);
void stage_free(struct stage *stage);

/* ---- one file ----------------------------------------------------------- */

/*
 * A new object with one reference. owner is what idle() is called with, once
 * for each time it becomes idle; fd (kept by the caller) is the store's file.
 * The first staged one opens the journal. 0 or -errno.
 */
int staged_new(struct stage *stage, int fd, bool is_private, void *owner,
	       struct staged **staged);
void staged_get(struct staged *staged);
void staged_put(struct staged *staged);

/* A descriptor for writing, copied; needed before anything is changed. */
int staged_set_descriptor(struct staged *staged, int fd);

bool staged_is_private(const struct staged *staged);
/* Nothing in it, nor in the journal, that the store's file lacks. */
bool staged_is_idle(struct staged *staged);
/* Something that no commit has made durable. */
bool staged_is_uncommitted(struct staged *staged);
/* clock_now() of the oldest change that no commit has taken; 0: none. */
int64_t staged_changed_since(struct staged *staged);

struct staged_state {
	uint64_t pages; /* in memory, of both layers */
	uint64_t uncommitted; /* bytes */
	uint64_t sequence; /* of its last commit; 0: none */
	bool changed;
	bool rewriting;
};
void staged_look(struct staged *staged, struct staged_state *state);

/*
 * When its inode changed: a commit that is carried out moves the ctime of the
 * store's file, for nothing that a program did. As long as that is `below`,
 * programs see `shown`. ns since the epoch; 0: nothing is known.
 */
struct staged_ctime {
	int64_t below;
	int64_t shown;
};
void staged_ctime_overlay(const struct staged_ctime *ctime, struct stat *st);
/* For a node that outlives its object, and the next object. */
struct staged_ctime staged_get_ctime(struct staged *staged);
void staged_set_ctime(struct staged *staged, const struct staged_ctime *ctime);

/*
 * Its atime moves to now; nothing else changes for programs. fd: the store's
 * file. 0 or -errno.
 */
int staged_touch_access(struct staged *staged, int fd);
/*
 * Attributes go to the store at once, and no commit has them: an fsync(2) of
 * a file whose attributes were changed must sync that file too. True once
 * after each staged_attributes_changed().
 */
void staged_attributes_changed(struct staged *staged);
bool staged_take_attributes(struct staged *staged);
/*
 * A program's write is about to clear its capabilities: a commit that is
 * being carried out does not restore them.
 */
void staged_clearing(struct staged *staged);

/* Makes what fstat(2) said of the store's file what programs see; 0, -errno. */
int staged_overlay(struct staged *staged, struct stat *st);

/*
 * Up to size bytes at offset into buffer; how many there are. fd is for
 * reading the store's file. simple: all of them are the store's own bytes and
 * inside its file; nothing was read then.
 */
ssize_t staged_read(struct staged *staged, int fd, char *buffer, size_t size,
		    off_t offset, bool *simple);

/*
 * To be called before each staged_write(): waits for a commit when the stage's
 * limit is reached. 0 or -errno: -ENOSPC when nothing can be freed or the
 * store has no room for it.
 */
int staged_make_room(struct staged *staged, size_t size, off_t offset,
		     bool append);
/*
 * Writes at the offset, or at the end with append. Bytes, fewer when the
 * memory for the rest is missing, or -errno: -EFBIG, -ENOSPC ...
 */
ssize_t staged_write(struct staged *staged, const char *data, size_t size,
		     off_t offset, bool append);
int staged_truncate(struct staged *staged, off_t size);
/* fallocate(2)'s modes, those that FUSE passes on. */
int staged_allocate(struct staged *staged, int mode, off_t offset,
		    off_t length);
/* lseek(2) with SEEK_DATA or SEEK_HOLE. */
off_t staged_seek(struct staged *staged, int fd, off_t offset, int whence);
/* utimensat(2)'s mtime; the store's file has got it already. */
void staged_set_mtime(struct staged *staged, const struct timespec *mtime);

/*
 * Before it is cut to nothing, without any lock: what an fsync has ordered is
 * committed, because the new contents will be left out of commits for a time.
 * 0 or -errno.
 */
int staged_cutting(struct staged *staged);

/* Drops what is uncommitted. */
void staged_discard(struct staged *staged);

/*
 * It is being rewritten from nothing, until this is called: left out of
 * commits so long (not for ever), so that they have the old contents.
 */
void staged_rewritten(struct staged *staged);

/*
 * It has lost its last name, or has got one again. What was committed of it
 * keeps its space in the store until the next checkpoint, which comes soon.
 */
void staged_set_unlinked(struct staged *staged, bool unlinked);
bool staged_is_unlinked(const struct staged *staged);

/* ---- commits ------------------------------------------------------------ */

/*
 * Everything that was staged when this was called is durable when it returns
 * 0. Shared by all who call at one time. -errno: nothing is lost, it stays
 * staged and is tried again by the next one.
 */
int stage_commit(struct stage *stage, enum commit_cause cause);

/* Also durable in the store's own files, and the journal empty. */
int stage_checkpoint(struct stage *stage);

/* A commit in the background, soon. */
void stage_want_commit(struct stage *stage, enum commit_cause cause);

/* Is anything uncommitted? */
bool stage_is_dirty(const struct stage *stage);

struct group;
/* For fsync=group; NULL: out of memory. */
struct group *stage_group(struct stage *stage);

/* ---- order of names and data -------------------------------------------- */

/* An fsync of this file was answered at once: it ordered its data. */
void stage_defer(struct staged *staged);

/*
 * Before a name is moved or removed: what an fsync has ordered before it is
 * committed first. except: a file whose data need not be, because it goes
 * with its last name; or NULL. 0 or -errno.
 */
int stage_order(struct stage *stage, struct staged *except);
/* Is there such data? */
bool stage_is_ordered(struct stage *stage, struct staged *except);

/*
 * A file's last name joins the next commit instead: programs don't see it any
 * more. directory is held by the caller for this (released as an owner is); it
 * stands for the directory that directory_fd is. 0; -EOPNOTSUPP or -ENOMEM:
 * then the name must be removed at once.
 */
int stage_remove(struct staged *staged, void *directory,
		 const struct store_id *directory_id, int directory_fd,
		 const char *name);
bool stage_is_removed(struct stage *stage, const void *directory,
		      const char *name);
bool stage_has_removals(const struct stage *stage);
/* The names are gone from the store too, committed and carried out. */
int stage_settle_removals(struct stage *stage);
/* Its file, with a reference, while it can still be made again; else NULL. */
struct staged *stage_removed_file(struct stage *stage, const void *directory,
				  const char *name);
void *staged_owner(const struct staged *staged);
/* The name is there again, the file empty. 0; -EBUSY: too late. */
int stage_make_again(struct stage *stage, const void *directory,
		     const char *name);

/* Nothing is carried out in the store's files while it is held. */
void stage_hold_store(struct stage *stage);
void stage_release_store(struct stage *stage);
/*
 * With it held: sets the size that the store's file has, for what else that
 * does (ftruncate(2)). 0 or -errno.
 */
int staged_touch(int fd);

/* What was committed without a name has one now: durable. 0 or -errno. */
int staged_sync_unjournaled(struct staged *staged);

/* Names in this directory have changed. */
void stage_note_directory(struct stage *stage, const struct store_id *id);

/* ---- inquiries ---------------------------------------------------------- */

struct stage_state {
	bool used; /* there ever was something staged or private */
	uint64_t limit, resident, dirty; /* bytes */
	uint64_t files; /* with something uncommitted */
	uint64_t journal_size, journal_room; /* bytes */
	uint64_t sequence; /* of the last commit, and what follows */
	uint64_t bytes, committed_files;
	int64_t pause, journal_time, took; /* ns */
	int error; /* why nothing can be committed, or 0 */
	uint64_t committing; /* bytes on their way to the journal */
	int64_t committed_at; /* clock_now() at the last one's end; 0: none */
	unsigned failing; /* commits that failed since one did not */
};
void stage_look(struct stage *stage, struct stage_state *state);

/* What no commit has made durable yet; looks at each changed file. */
struct stage_loss {
	int64_t oldest; /* clock_now() of the oldest change; 0: none */
	int64_t max; /* ns: the oldest that one ever was */
};
void stage_look_loss(struct stage *stage, struct stage_loss *loss);

#endif
