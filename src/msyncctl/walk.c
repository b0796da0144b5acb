// SPDX-License-Identifier: Apache-2.0
/*
 * Every file is opened with O_PATH, which asks nothing of the daemon, and is
 * then named by /proc/self/fd: xattr system calls take no such descriptor.
 *
 * A directory is visited before what is in it, so that files made there
 * meanwhile take its policies already. Its names are read at once and sorted,
 * and its stream is closed before they are visited: one descriptor is held
 * for each level.
 *
 * Each directory's part of the progress bar is shared equally by its entries.
 * That needs no counting beforehand and never goes back.
 */
#include "msyncctl/walk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "msyncctl/attribute.h"
#include "msyncctl/mounts.h"
#include "msyncctl/progress.h"
#include "util/cleanup.h"

#define STATX_WANTED (STATX_TYPE | STATX_SIZE | STATX_INO | STATX_MNT_ID)

/* What tells one mount from another. */
struct place {
	bool has_id;
	uint64_t id;
	unsigned major, minor;
};

struct names {
	char **list;
	size_t count;
};

static void walk_directory(const struct walk *walk,
	const struct target *directory, int fd, const struct place *place);

enum walk_step walk_decide(const struct walk *walk,
	const struct target *target, bool same_mount)
{
	bool is_directory = target->kind & attribute_on_directory;
	bool is_wanted = target->kind & walk->wanted;

	if (!target->given && !same_mount)
		return walk_skip;
	if (walk->root_is_all && (target->kind & attribute_on_root))
		return walk_visit;
	if (is_directory && walk->recursive)
		return is_wanted ? walk_visit_and_enter : walk_enter;
	return target->given || is_wanted ? walk_visit : walk_skip;
}

static struct place place_of(const struct statx *stx)
{
	return (struct place){
		.has_id = stx->stx_mask & STATX_MNT_ID,
		.id = stx->stx_mnt_id,
		.major = stx->stx_dev_major,
		.minor = stx->stx_dev_minor,
	};
}

static bool same_place(const struct place *a, const struct place *b)
{
	if (a->has_id && b->has_id)
		return a->id == b->id;
	return a->major == b->major && a->minor == b->minor;
}

static unsigned kind_of(unsigned mode)
{
	if (S_ISREG(mode))
		return attribute_on_file;
	return S_ISDIR(mode) ? attribute_on_directory : 0;
}

/* The part of a directory's share that its entry number i gets. */
static void take_share(struct target *target, const struct target *of,
	size_t i, size_t count)
{
	double each = (of->to - of->from) / (double)count;

	target->from = of->from + each * (double)i;
	target->to = target->from + each;
}

static void take_step(const struct walk *walk, struct target *target, int fd,
	const struct place *place, bool same_mount)
{
	enum walk_step step = walk_decide(walk, target, same_mount);

	target->exact = target->given && step == walk_visit;
	if (walk->recursive)
		progress_show(target->from, target->path);
	if (step == walk_visit || step == walk_visit_and_enter)
		walk->visit(target, walk->argument);
	if (step == walk_enter || step == walk_visit_and_enter)
		walk_directory(walk, target, fd, place);
}

static void walk_entry(const struct walk *walk, const struct target *directory,
	int directory_fd, const struct place *place, const char *name,
	struct target *target)
{
	size_t length = strlen(directory->path);
	bool has_slash = length > 0 && directory->path[length - 1] == '/';
	owned_memory char *path = NULL;
	owned_fd fd = -1;
	struct statx stx;
	struct place own;

	if (asprintf(&path, "%s%s%s", directory->path, has_slash ? "" : "/",
		    name) < 0) {
		path = NULL;
		report_failure(walk->report, name, exit_failed, "%s",
			strerror(ENOMEM));
		return;
	}
	fd = openat(directory_fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || statx(fd, "", AT_EMPTY_PATH, STATX_WANTED, &stx) < 0) {
		/* Gone since its name was read: nothing is left to do. */
		if (errno != ENOENT)
			report_failure(walk->report, path, exit_failed, "%s",
				report_reason(errno));
		return;
	}
	target->path = path;
	target->kind = kind_of(stx.stx_mode);
	target->size = stx.stx_size;
	snprintf(target->access, sizeof(target->access), "/proc/self/fd/%d",
		fd);
	own = place_of(&stx);
	take_step(walk, target, fd, place, same_place(&own, place));
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void names_free(struct names *names)
{
	for (size_t i = 0; i < names->count; i++)
		free(names->list[i]);
	free(names->list);
}

static int add_name(struct names *names, size_t *room, const char *name)
{
	if (names->count == *room) {
		size_t more = *room ? *room * 2 : 64;
		char **list = reallocarray(names->list, more, sizeof(*list));

		if (!list)
			return -ENOMEM;
		names->list = list;
		*room = more;
	}
	names->list[names->count] = strdup(name);
	if (!names->list[names->count])
		return -ENOMEM;
	names->count++;
	return 0;
}

/* 0 or -errno; what could be read is in names in any case. */
static int read_names(int fd, struct names *names)
{
	int own = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *stream = own < 0 ? NULL : fdopendir(own);
	struct dirent *entry;
	size_t room = 0;
	int r = 0;

	if (!stream) {
		r = -errno;
		if (own >= 0)
			close(own);
		return r;
	}
	while (r == 0 && (errno = 0, entry = readdir(stream)) != NULL) {
		if (strcmp(entry->d_name, ".") != 0 &&
			strcmp(entry->d_name, "..") != 0)
			r = add_name(names, &room, entry->d_name);
	}
	if (r == 0)
		r = -errno;
	closedir(stream);
	if (names->count > 0)
		qsort(names->list, names->count, sizeof(*names->list),
			compare_names);
	return r;
}

static void walk_directory(const struct walk *walk,
	const struct target *directory, int fd, const struct place *place)
{
	struct names names = { 0 };
	int r = read_names(fd, &names);

	if (r < 0)
		report_failure(walk->report, directory->path, exit_failed,
			"%s", report_reason(-r));
	for (size_t i = 0; i < names.count; i++) {
		struct target target = { 0 };

		take_share(&target, directory, i, names.count);
		walk_entry(walk, directory, fd, place, names.list[i], &target);
	}
	names_free(&names);
}

/* Is it the root of the filesystem, not just of a bind mount? */
static bool is_root(const struct statx *stx, const struct mount *mount)
{
	return mount->whole &&
	       (stx->stx_attributes_mask & stx->stx_attributes &
		       STATX_ATTR_MOUNT_ROOT);
}

static void report_no_mount(const struct walk *walk, const char *path,
	const struct mount *mount)
{
	if (mount->type)
		report_failure(walk->report, path, exit_no_mount,
			"not on an msyncfs mount (it is on %s at %s)",
			mount->type, mount->mountpoint);
	else
		report_failure(walk->report, path, exit_no_mount,
			"not on an msyncfs mount");
}

static void walk_given(const struct walk *walk, struct target *target)
{
	owned_mount mount = { 0 };
	owned_fd fd = open(target->path, O_PATH | O_CLOEXEC);
	struct statx stx;
	struct place place;
	int r;

	if (fd < 0 || statx(fd, "", AT_EMPTY_PATH, STATX_WANTED, &stx) < 0) {
		report_failure(walk->report, target->path, exit_failed, "%s",
			report_reason(errno));
		return;
	}
	snprintf(target->access, sizeof(target->access), "/proc/self/fd/%d",
		fd);
	r = mounts_find(target->access, &mount);
	if (r < 0 && r != -ENODEV) {
		report_failure(walk->report, target->path, exit_failed, "%s",
			strerror(-r));
		return;
	}
	if (r < 0 || !mount_is_msyncfs(&mount)) {
		report_no_mount(walk, target->path, &mount);
		return;
	}
	target->kind = kind_of(stx.stx_mode);
	if (is_root(&stx, &mount))
		target->kind |= attribute_on_root;
	target->size = stx.stx_size;
	place = place_of(&stx);
	take_step(walk, target, fd, &place, true);
}

void walk_files(const struct walk *walk, char **paths, int count)
{
	const struct target all = { .from = 0, .to = 1 };
	struct rlimit limit;

	if (walk->recursive && getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
	for (int i = 0; i < count; i++) {
		struct target target = { .path = paths[i], .given = true };

		take_share(&target, &all, (size_t)i, (size_t)count);
		walk_given(walk, &target);
	}
	progress_hide();
}
