// SPDX-License-Identifier: Apache-2.0
/*
 * A mount is known by its mountpoint and device number: another one at the
 * same place is asked anew. One that goes away stays to be seen for a while,
 * so that whoever looks learns why the numbers stand still.
 *
 * A path is first compared with the list of mounts, as text: asking the
 * kernel what it is would wait for a mount that hangs.
 */
#include "msyncctl/top_mounts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "msyncctl/mounts.h"
#include "msyncctl/output.h"
#include "msyncctl/verb.h"
#include "util/absolute.h"
#include "util/cleanup.h"

#define SECOND INT64_C(1000000000)
#define GONE_FOR (10 * SECOND)

/* Absolute, without blank steps at its end; symbolic links stay. */
static char *absolute(const char *path)
{
	char *result = absolute_path(path);
	size_t length;

	if (!result)
		return NULL;
	length = strlen(result);
	while (length > 1 && result[length - 1] == '/')
		result[--length] = '\0';
	return result;
}

static const struct mount *at_mountpoint(const struct mounts *all,
	const char *path)
{
	for (size_t i = 0; i < all->count; i++) {
		if (strcmp(all->list[i].mountpoint, path) == 0)
			return &all->list[i];
	}
	return NULL;
}

static const struct mount *with_device(const struct mounts *all, dev_t dev)
{
	for (size_t i = 0; i < all->count; i++) {
		if (all->list[i].dev == dev)
			return &all->list[i];
	}
	return NULL;
}

static int fail(const char *path, int error)
{
	output_error(path, "%s", strerror(-error));
	return exit_failed;
}

static int take_root(const char *path, const struct mount *mount,
	char **mountpoint, dev_t *dev)
{
	*mountpoint = strdup(mount->mountpoint);
	*dev = mount->dev;
	return *mountpoint ? exit_ok : fail(path, -ENOMEM);
}

int mountpoint_of(const char *path, char **mountpoint, dev_t *dev)
{
	owned_mounts all = { 0 };
	owned_mount found = { 0 };
	owned_memory char *name = absolute(path);
	const struct mount *root;
	int r = mounts_read(&all);

	*mountpoint = NULL;
	if (r < 0 || !name)
		return fail(path, r < 0 ? r : -ENOMEM);
	root = at_mountpoint(&all, name);
	if (root)
		return take_root(path, root, mountpoint, dev);
	r = mounts_find(path, &found);
	if (r < 0 && r != -ENODEV)
		return fail(path, r);
	if (r < 0 || !mount_is_msyncfs(&found)) {
		output_error(path, "not on an msyncfs mount (it is on %s at "
			"%s)", r < 0 ? "something" : found.type,
			r < 0 ? "a place not to be seen" : found.mountpoint);
		return exit_no_mount;
	}
	/* A bind mount of a part: the root is elsewhere, if anywhere. */
	root = with_device(&all, found.dev);
	return take_root(path, root ? root : &found, mountpoint, dev);
}

/* Takes mountpoint over in every case. */
static int add(struct top_mounts *mounts, char *mountpoint, dev_t dev)
{
	struct top_mount *list, *mount;
	int r;

	list = reallocarray(mounts->list, mounts->count + 1, sizeof(*list));
	if (!list) {
		free(mountpoint);
		return -ENOMEM;
	}
	mounts->list = list;
	mount = &list[mounts->count];
	*mount = (struct top_mount){ .mountpoint = mountpoint, .dev = dev };
	r = mount_reader_start(&mount->reader, mountpoint);
	if (r < 0) {
		free(mountpoint);
		return r;
	}
	mounts->count++;
	return 0;
}

static void drop(struct top_mounts *mounts, size_t i)
{
	struct top_mount *mount = &mounts->list[i];

	mount_reader_stop(&mount->reader);
	sample_free(&mount->sample);
	free(mount->mountpoint);
	mounts->count--;
	memmove(mount, mount + 1, (mounts->count - i) * sizeof(*mount));
	if (mounts->selected > i || mounts->selected == mounts->count)
		mounts->selected -= mounts->selected > 0;
}

static bool is_known(const struct top_mounts *mounts, const char *mountpoint)
{
	for (size_t i = 0; i < mounts->count; i++) {
		if (strcmp(mounts->list[i].mountpoint, mountpoint) == 0)
			return true;
	}
	return false;
}

static int add_named(struct top_mounts *mounts, const char *path)
{
	char *mountpoint;
	dev_t dev;
	int r = mountpoint_of(path, &mountpoint, &dev);

	if (r != exit_ok)
		return r;
	if (is_known(mounts, mountpoint)) {
		free(mountpoint);
		return exit_ok;
	}
	r = add(mounts, mountpoint, dev);
	return r < 0 ? fail(path, r) : exit_ok;
}

int top_mounts_init(struct top_mounts *mounts, int count, char **paths)
{
	*mounts = (struct top_mounts){ .named = count > 0 };
	for (int i = 0; i < count; i++) {
		int status = add_named(mounts, paths[i]);

		if (status != exit_ok) {
			top_mounts_fini(mounts);
			return status;
		}
	}
	if (count == 0)
		top_mounts_look(mounts);
	if (mounts->count == 0) {
		output_error(NULL, "no msyncfs is mounted");
		return exit_no_mount;
	}
	return exit_ok;
}

void top_mounts_fini(struct top_mounts *mounts)
{
	while (mounts->count > 0)
		drop(mounts, mounts->count - 1);
	free(mounts->list);
	*mounts = (struct top_mounts){ 0 };
}

static void restart(struct top_mount *mount, dev_t dev)
{
	mount_reader_stop(&mount->reader);
	sample_free(&mount->sample);
	mount->gone = 0;
	mount->error = mount_reader_start(&mount->reader, mount->mountpoint);
	mount->dev = dev;
}

/* Whether the mount is still there, and still the same. */
static void look_at(struct top_mount *mount, const struct mounts *all,
	int64_t now)
{
	const struct mount *found = at_mountpoint(all, mount->mountpoint);

	if (!found) {
		if (mount->gone == 0)
			mount->gone = now;
		mount_reader_stop(&mount->reader);
	} else if (mount->gone != 0 || found->dev != mount->dev ||
		   mount->reader.fd < 0) {
		restart(mount, found->dev);
	}
}

void top_mounts_look(struct top_mounts *mounts)
{
	owned_mounts all = { 0 };
	int64_t now = monotonic_now();

	if (mounts_read(&all) < 0)
		return;
	for (size_t i = mounts->count; i-- > 0;) {
		struct top_mount *mount = &mounts->list[i];

		look_at(mount, &all, now);
		if (mount->gone != 0 && !mounts->named &&
			now - mount->gone > GONE_FOR)
			drop(mounts, i);
	}
	for (size_t i = 0; i < all.count && !mounts->named; i++) {
		char *mountpoint;

		if (is_known(mounts, all.list[i].mountpoint))
			continue;
		mountpoint = strdup(all.list[i].mountpoint);
		/* Without memory it is tried again the next time. */
		if (mountpoint)
			add(mounts, mountpoint, all.list[i].dev);
	}
}

void top_mounts_ask(struct top_mounts *mounts)
{
	for (size_t i = 0; i < mounts->count; i++) {
		struct top_mount *mount = &mounts->list[i];

		if (mount->reader.fd < 0)
			continue;
		if (mount_reader_ask(&mount->reader, 1u << reading_stats |
			    1u << reading_files) < 0)
			mount_reader_stop(&mount->reader);
	}
}

static int take_reading(struct top_mount *mount, struct reading *reading,
	enum sample_order order)
{
	struct sample sample;
	int r = reading->error[reading_stats];

	/* A daemon that counts and has no list of files is of use still. */
	if (r == 0)
		r = sample_parse(&sample, reading->when,
			reading->text[reading_stats],
			reading->text[reading_files] ?
				reading->text[reading_files] :
				"");
	if (r < 0)
		return r;
	sample_compare(&sample, &mount->sample);
	sample_sort(&sample, order);
	sample_free(&mount->sample);
	mount->sample = sample;
	return 0;
}

bool top_mounts_take(struct top_mounts *mounts)
{
	bool taken = false;

	for (size_t i = 0; i < mounts->count; i++) {
		struct top_mount *mount = &mounts->list[i];
		owned_reading reading = { 0 };
		int r;

		if (!mount->reader.asked)
			continue;
		r = mount_reader_take(&mount->reader, &reading);
		if (r == 0)
			continue;
		taken = true;
		if (r > 0) {
			mount->error = take_reading(mount, &reading,
				mounts->order);
			continue;
		}
		mount->error = r;
		mount_reader_stop(&mount->reader);
	}
	return taken;
}

bool top_mounts_awaited(const struct top_mounts *mounts)
{
	for (size_t i = 0; i < mounts->count; i++) {
		if (mounts->list[i].reader.asked)
			return true;
	}
	return false;
}

void top_mounts_sort(struct top_mounts *mounts, enum sample_order order)
{
	mounts->order = order;
	for (size_t i = 0; i < mounts->count; i++)
		sample_sort(&mounts->list[i].sample, order);
}

static const char *trouble_of(struct top_mount *mount, int64_t patience)
{
	int64_t waited = monotonic_now() - mount->reader.asked_at;

	if (mount->gone != 0)
		return "it has been unmounted";
	if (mount->reader.asked && waited > patience) {
		snprintf(mount->trouble, sizeof(mount->trouble),
			"no answer for %lld s: the daemon or its store hangs",
			(long long)(waited / SECOND));
		return mount->trouble;
	}
	return mount->error < 0 ? mount_reader_says(mount->error) : NULL;
}

struct view_mount *top_mounts_view(struct top_mounts *mounts,
	int64_t patience)
{
	struct view_mount *view = calloc(mounts->count, sizeof(*view));

	for (size_t i = 0; view && i < mounts->count; i++) {
		struct top_mount *mount = &mounts->list[i];

		view[i] = (struct view_mount){
			.mountpoint = mount->mountpoint,
			.sample = &mount->sample,
			.trouble = trouble_of(mount, patience),
		};
		view[i].stale = view[i].trouble != NULL;
	}
	return view;
}
