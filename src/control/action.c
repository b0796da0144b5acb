// SPDX-License-Identifier: Apache-2.0
/*
 * An action goes by a descriptor of the store's file: that of the file while
 * it is open, so that what was advised holds for its mapping too, or one of
 * its own. Where pages are to go, the daemon's mapping lets go of them first
 * and programs' cached pages are dropped: nothing is evicted that is mapped.
 */
#include "control/action.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/attributes.h"
#include "core/file.h"
#include "core/filesystem.h"
#include "core/stage.h"
#include "os/clock.h"
#include "os/pagecache.h"
#include "util/cleanup.h"
#include "util/quantity.h"

struct target {
	const struct attributes_request *request;
	struct file *file; /* NULL: not open */
	int fd; /* of the file, or our own */
	int own_fd; /* ours, else -1 */
	off_t offset;
	off_t length; /* 0: to the end */
	struct pagecache_stop stop;
};

static int target_find(struct target *target,
		       const struct attributes_request *request, int access)
{
	struct file *file = file_of_node(request->node);

	target->request = request;
	target->file = file;
	target->own_fd = -1;
	target->stop = (struct pagecache_stop){
		.asked = request->stopped,
		.context = request->context,
	};
	if (file && (access == O_RDONLY ? file->readable : file->writable)) {
		target->fd = file_descriptor(file);
		return 0;
	}
	target->own_fd = file_open_descriptor(request->fs, request->node,
					      access);
	target->fd = target->own_fd;
	if (target->own_fd < 0 && file)
		file_release(file);
	return target->own_fd < 0 ? target->own_fd : 0;
}

static void target_put(struct target *target)
{
	if (target->own_fd >= 0)
		close(target->own_fd);
	if (target->file)
		file_release(target->file);
}

/* Cuts "@OFFSET+LENGTH" off the end. 0 or -errno. */
static int take_range(struct target *target, const char *value,
		      size_t *length, char *error, size_t error_size)
{
	const char *at = memchr(value, '@', *length);
	int64_t offset, range;
	int r;

	target->offset = 0;
	target->length = 0;
	if (!at)
		return 0;
	r = quantity_parse_range(at + 1, *length - (size_t)(at + 1 - value),
				 &offset, &range);
	if (r < 0) {
		snprintf(error, error_size,
			 "expected a range such as @0+4096 or @1M+64K");
		return r;
	}
	target->offset = offset;
	target->length = range;
	*length = (size_t)(at - value);
	while (*length > 0 && value[*length - 1] == ' ')
		--*length;
	return 0;
}

/* The next word of a list joined by '+' or ','; false at its end. */
static bool next_word(const char **list, size_t *left, const char **word,
		      size_t *length)
{
	if (*left == SIZE_MAX)
		return false;
	*word = *list;
	*length = 0;
	while (*length < *left && (*list)[*length] != '+' &&
	       (*list)[*length] != ',')
		++*length;
	if (*length == *left) {
		*left = SIZE_MAX;
	} else {
		*list += *length + 1;
		*left -= *length + 1;
	}
	return true;
}

static bool is_word(const char *word, size_t length, const char *name)
{
	return strlen(name) == length && memcmp(word, name, length) == 0;
}

/* ---- advise.now -------------------------------------------------------- */

/* Nothing of ours, nor a program's cached copy, is in the way. */
static void let_go(struct target *target)
{
	struct filesystem *fs = target->request->fs;

	if (target->file)
		mapping_let_go(&target->file->mapping, target->offset,
			       target->length);
	if (fs->clients.invalidate &&
	    (!target->file || target->file->path == data_path_daemon))
		fs->clients.invalidate(fs->clients.context,
				       target->request->node, target->offset,
				       target->length);
}

static int pattern(struct target *target, enum policy_pattern wanted)
{
	if (target->file)
		file_advise_pattern(target->file, wanted);
	return 0;
}

static int advise_normal(struct target *target)
{
	return pattern(target, policy_normal);
}

static int advise_random(struct target *target)
{
	return pattern(target, policy_random);
}

static int advise_sequential(struct target *target)
{
	return pattern(target, policy_sequential);
}

struct loading {
	struct filesystem *fs;
	int fd;
	off_t offset;
	off_t length;
};

static void load(void *argument)
{
	struct loading *loading = argument;

	(void)pagecache_load(loading->fd, loading->offset, loading->length,
			     NULL);
	close(loading->fd);
	free(loading);
}

/* Returns at once; the reading goes on in a thread of its own. */
static int advise_willneed(struct target *target)
{
	struct loading *loading = calloc(1, sizeof(*loading));
	int fd = loading ? fcntl(target->fd, F_DUPFD_CLOEXEC, 3) : -1;

	if (fd < 0) {
		free(loading);
		return -ENOMEM;
	}
	*loading = (struct loading){ target->request->fs, fd, target->offset,
				     target->length };
	if (filesystem_run(target->request->fs, load, loading) == 0)
		return 0;
	close(fd);
	free(loading);
	return -ENOMEM;
}

static int advise_dontneed(struct target *target)
{
	let_go(target);
	return pagecache_evict(target->fd, target->offset, target->length,
			       &target->stop);
}

static int advise_pageout(struct target *target)
{
	let_go(target);
	return pagecache_page_out(target->fd, target->offset, target->length,
				  &target->stop);
}

static int advise_cold(struct target *target)
{
	if (target->file)
		mapping_let_go(&target->file->mapping, target->offset,
			       target->length);
	return pagecache_cool(target->fd, target->offset, target->length,
			      &target->stop);
}

/* Those of the file, open or not. 0 or -errno. */
static int policies_in_force(const struct attributes_request *request,
			     struct policy *policy)
{
	struct policy own;
	struct store_id id;
	int r;

	node_id(request->node, &id);
	r = policy_store_load(&request->fs->policies, &id, request->inode,
			      &own, NULL);
	if (r == 0)
		policy_in_force(request->fs, request->node, &own, policy,
				NULL);
	return r;
}

/* Is the file advised to have huge pages, open or not? */
static bool wants_huge(const struct target *target)
{
	struct policy policy;

	if (target->file)
		return target->file->mapping.huge == MADV_HUGEPAGE;
	return policies_in_force(target->request, &policy) == 0 &&
	       policy.huge == policy_hugepage;
}

static int advise_populate_read(struct target *target)
{
	return pagecache_populate(target->fd, target->offset, target->length,
				  wants_huge(target), &target->stop);
}

static int advise_populate_write(struct target *target)
{
	int r = pagecache_populate_write(target->fd, target->offset,
					 target->length, wants_huge(target),
					 &target->stop);

	if (target->file)
		file_data_changed(target->file);
	return r;
}

static int flag_mapping(struct target *target, int advice)
{
	return target->file ? mapping_advise(&target->file->mapping, advice) :
			      0;
}

static int advise_hugepage(struct target *target)
{
	struct filesystem *fs = target->request->fs;
	int r = pagecache_try_huge(
		fs->store.mounts[target->request->node->id_mount].fd);

	return r < 0 ? r : flag_mapping(target, MADV_HUGEPAGE);
}

static int advise_nohugepage(struct target *target)
{
	return flag_mapping(target, MADV_NOHUGEPAGE);
}

static int advise_collapse(struct target *target)
{
	return pagecache_collapse(target->fd, target->offset, target->length,
				  &target->stop);
}

static int advise_dontdump(struct target *target)
{
	return flag_mapping(target, MADV_DONTDUMP);
}

static int advise_dodump(struct target *target)
{
	return flag_mapping(target, MADV_DODUMP);
}

/* In what is staged of it, if it is: the store is not to see it yet. */
static int punch(struct target *target, const struct policy *policy,
		 off_t length)
{
	int mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
	int r;

	if (target->file && target->file->staged) {
		/* Perhaps it is open for reading only. */
		r = staged_set_descriptor(target->file->staged, target->fd);
		return r < 0 ? r :
			       staged_allocate(target->file->staged, mode,
					       target->offset, length);
	}
	/* Nobody has it open: there is nothing to stage it in. */
	if (policy->map != policy_map_shared)
		return -EBUSY;
	if (fallocate(target->fd, mode, target->offset, length) < 0)
		return -errno;
	return 0;
}

/* MADV_REMOVE: a hole is punched, the size stays. */
static int advise_remove(struct target *target)
{
	struct filesystem *fs = target->request->fs;
	off_t length = target->length;
	struct policy policy;
	struct stat st;
	int r = 0;

	if (fstat(target->fd, &st) < 0)
		return -errno;
	r = file_overlay(target->request->node, &st);
	if (r < 0)
		return r;
	if (length == 0)
		length = st.st_size - target->offset;
	if (length <= 0)
		return 0;
	if (target->file)
		policy = *file_policy(target->file);
	else
		r = policies_in_force(target->request, &policy);
	if (r == 0)
		r = growth_check_fallocate(
			&policy, st.st_size,
			FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			target->offset, length);
	if (r == 0)
		r = punch(target, &policy, length);
	if (r < 0)
		return r;
	if (target->file)
		file_data_changed(target->file);
	if (fs->clients.invalidate)
		fs->clients.invalidate(fs->clients.context,
				       target->request->node, target->offset,
				       target->length);
	return 0;
}

static const struct advice {
	const char *name;
	int (*give)(struct target *target);
	bool writes;
} advices[] = {
	{ "normal", advise_normal, false },
	{ "random", advise_random, false },
	{ "sequential", advise_sequential, false },
	{ "willneed", advise_willneed, false },
	{ "dontneed", advise_dontneed, false },
	{ "cold", advise_cold, false },
	{ "pageout", advise_pageout, false },
	{ "populate-read", advise_populate_read, false },
	{ "populate-write", advise_populate_write, true },
	{ "hugepage", advise_hugepage, false },
	{ "nohugepage", advise_nohugepage, false },
	{ "collapse", advise_collapse, false },
	{ "dontdump", advise_dontdump, false },
	{ "dodump", advise_dodump, false },
	{ "remove", advise_remove, true },
};

static const struct advice *find_advice(const char *word, size_t length)
{
	for (size_t i = 0; i < sizeof(advices) / sizeof(advices[0]); i++) {
		if (is_word(word, length, advices[i].name))
			return &advices[i];
	}
	return NULL;
}

/* All words are looked at before the first is carried out. */
static int check_advices(const char *list, size_t left, bool *writes,
			 char *error, size_t error_size)
{
	const char *word;
	size_t length;

	while (next_word(&list, &left, &word, &length)) {
		const struct advice *advice = find_advice(word, length);

		if (!advice) {
			snprintf(error, error_size,
				 "'%.*s': expected willneed, dontneed, cold, "
				 "pageout, populate-read, populate-write, "
				 "random, sequential, normal, hugepage, "
				 "nohugepage, collapse, dontdump, dodump or "
				 "remove", (int)length, word);
			return -EINVAL;
		}
		*writes |= advice->writes;
	}
	return 0;
}

static int give_advices(struct target *target, const char *list, size_t left)
{
	const char *word;
	size_t length;
	int r = 0;

	while (r == 0 && next_word(&list, &left, &word, &length))
		r = find_advice(word, length)->give(target);
	return r;
}

int action_advise(const struct attributes_request *request, const char *value,
		  size_t length, char *error, size_t error_size)
{
	struct target target = { 0 };
	bool writes = false;
	int r = take_range(&target, value, &length, error, error_size);

	if (r == 0)
		r = check_advices(value, length, &writes, error, error_size);
	if (r == 0)
		r = target_find(&target, request, writes ? O_RDWR : O_RDONLY);
	if (r < 0)
		return r;
	counter_add(&request->fs->counters.advised, 1);
	r = give_advices(&target, value, length);
	target_put(&target);
	return r;
}

/* ---- sync.now ---------------------------------------------------------- */

enum sync_kind {
	sync_none,
	sync_wait,
	sync_start,
};

static int parse_sync(const char *list, size_t left, enum sync_kind *kind,
		      bool *invalidate, char *error, size_t error_size)
{
	const char *word;
	size_t length;

	while (next_word(&list, &left, &word, &length)) {
		if (is_word(word, length, "wait") && *kind != sync_start) {
			*kind = sync_wait;
		} else if (is_word(word, length, "start") &&
			   *kind != sync_wait) {
			*kind = sync_start;
		} else if (is_word(word, length, "invalidate")) {
			*invalidate = true;
		} else {
			snprintf(error, error_size,
				 "'%.*s': expected wait or start, and perhaps "
				 "invalidate", (int)length, word);
			return -EINVAL;
		}
	}
	return 0;
}

static int sync_mount(const struct attributes_request *request,
		      enum sync_kind kind, bool invalidate, char *error,
		      size_t error_size)
{
	struct filesystem *fs = request->fs;
	int64_t now = clock_now();
	int r;

	if (invalidate) {
		snprintf(error, error_size,
			 "invalidate is for one file at a time");
		return -EINVAL;
	}
	r = filesystem_write_back_clients(fs, now);
	if (r < 0)
		return r;
	if (kind == sync_start) {
		stage_want_commit(fs->stage, commit_by_request);
		filesystem_want_sync(fs, SYNC_AT_ONCE);
		return 0;
	}
	counter_add(&fs->counters.sync_explicit, 1);
	return filesystem_sync_all(fs, now, true);
}

static int sync_closed(struct target *target)
{
	struct filesystem *fs = target->request->fs;

	counter_add(&fs->counters.sync_explicit, 1);
	if (file_is_uncommitted(target->request->node))
		return stage_commit(fs->stage, commit_by_request);
	if (target->offset == 0 && target->length == 0)
		return fdatasync(target->fd) < 0 ? -errno : 0;
	return pagecache_sync_range(target->fd, target->offset,
				    target->length);
}

static int sync_target(struct target *target, enum sync_kind kind)
{
	struct filesystem *fs = target->request->fs;
	int r = 0;

	/* What programs have mapped is written to us first. */
	if (target->file && target->file->path == data_path_daemon &&
	    target->file->mappers > 0)
		r = filesystem_write_back_clients(fs, clock_now());
	if (r < 0)
		return r;
	if (kind == sync_start && file_is_uncommitted(target->request->node)) {
		stage_want_commit(fs->stage, commit_by_request);
		return 0;
	}
	if (kind == sync_start)
		return pagecache_start_writeback(target->fd, target->offset,
						 target->length);
	if (kind != sync_wait)
		return 0;
	if (target->file && target->own_fd < 0)
		return file_sync_now(target->file, target->offset,
				     target->length);
	return sync_closed(target);
}

int action_sync(const struct attributes_request *request, const char *value,
		size_t length, char *error, size_t error_size)
{
	struct target target = { 0 };
	enum sync_kind kind = sync_none;
	bool invalidate = false;
	int r = take_range(&target, value, &length, error, error_size);

	if (r == 0)
		r = parse_sync(value, length, &kind, &invalidate, error,
			       error_size);
	if (r < 0)
		return r;
	if (!S_ISREG(request->node->type))
		return sync_mount(request, kind, invalidate, error,
				  error_size);
	/* To sync a range the file must be open for writing. */
	r = target_find(&target, request, O_RDWR);
	if (r == -EACCES || r == -EPERM || r == -EROFS)
		r = target_find(&target, request, O_RDONLY);
	if (r < 0)
		return r;
	r = sync_target(&target, kind);
	if (r == 0 && invalidate) {
		let_go(&target);
		r = pagecache_evict(target.fd, target.offset, target.length,
				    &target.stop);
		/* In memory only, tmpfs: there is nothing that could go. */
		if (r == -EOPNOTSUPP)
			r = 0;
	}
	target_put(&target);
	return r;
}

/* ---- discard.now ------------------------------------------------------- */

static bool is_staged_by_policy(const struct attributes_request *request)
{
	struct policy policy;

	return policies_in_force(request, &policy) == 0 &&
	       policy.map != policy_map_shared;
}

int action_discard(const struct attributes_request *request,
		   const char *value, size_t length, char *error,
		   size_t error_size)
{
	int r;

	if (!is_word(value, length, "all")) {
		snprintf(error, error_size, "expected all");
		return -EINVAL;
	}
	r = file_discard(request->fs, request->node);
	if (r == 0)
		return 0;
	/* Staged, and nothing of it is missing in the store? */
	if (is_staged_by_policy(request))
		return 0;
	snprintf(error, error_size, "the file is shared: only private and "
				    "staged files have something to drop");
	return -EOPNOTSUPP;
}
