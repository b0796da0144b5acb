// SPDX-License-Identifier: Apache-2.0
/*
 * The attributes under user.msyncfs.: policies are kept, actions done,
 * statuses read. Policies that a step only uses are set in the store.
 */
#include "steps.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define PREFIX "user.msyncfs."
#define CHUNK "chunk=64K"

/* ---- policies ---------------------------------------------------------- */

static void a_file_with_policies(struct place *place)
{
	make_file(place, "file", 0644);
	store_policy(place, "file", "sync", "fsync=defer");
	store_policy(place, "file", "advise", "random");
}

static void a_directory_with_policies(struct place *place)
{
	store_policy(place, ".", "sync", "fsync=defer");
	store_policy(place, ".", "grow", CHUNK);
}

static int set_and_see(struct place *place, const char *file,
		       const char *name, const char *value)
{
	char seen[64];
	ssize_t n;

	if (setxattr(path_in(place, file), name, value, strlen(value), 0) < 0)
		return -errno;
	n = getxattr(path_in(place, file), name, seen, sizeof(seen));
	if (n < 0)
		return -errno;
	return n == (ssize_t)strlen(value) && !memcmp(seen, value, (size_t)n) ?
		       0 : SHORT;
}

static int set_policy(struct place *place)
{
	return set_and_see(place, "file", PREFIX "sync", "fsync=defer");
}

static int set_directory_policy(struct place *place)
{
	return set_and_see(place, "sub", PREFIX "data", "daemon");
}

static int replace_policy(struct place *place)
{
	return set_and_see(place, "file", PREFIX "sync", "strict");
}

/* The one in the store is replaced, so the file's own has to be known. */
static int set_policy_of_open(struct place *place)
{
	const char *value = "fsync=group:10ms";
	int fd = open_in(place, "file", O_RDWR);

	return on(fd, fd < 0 ? -1 : fsetxattr(fd, PREFIX "sync", value,
					      strlen(value), XATTR_REPLACE));
}

static int get_policy(struct place *place)
{
	char value[64];
	ssize_t n = getxattr(path_in(place, "file"), PREFIX "advise", value,
			     sizeof(value));

	if (n < 0)
		return -errno;
	return n == 6 && !memcmp(value, "random", 6) ? 0 : SHORT;
}

static int remove_policy(struct place *place)
{
	return result(removexattr(path_in(place, "file"), PREFIX "sync"));
}

static int remove_policy_of_open(struct place *place)
{
	int fd = open_in(place, "file", O_RDONLY);

	return on(fd, fd < 0 ? -1 : fremovexattr(fd, PREFIX "advise"));
}

static int list_policies(struct place *place)
{
	char names[256];
	ssize_t n = listxattr(path_in(place, "file"), names, sizeof(names));

	if (n < 0)
		return -errno;
	return memmem(names, (size_t)n, PREFIX "sync", 17) &&
			       memmem(names, (size_t)n, PREFIX "advise", 19) ?
		       0 : SHORT;
}

/* ---- inheritance ------------------------------------------------------- */

static int create_with_policies(struct place *place)
{
	int fd = open_in(place, "new", O_RDWR | O_CREAT | O_EXCL);

	return on(fd, fd);
}

static int mkdir_with_policies(struct place *place)
{
	return result(mkdirat(place->mount, "new", 0755));
}

static int mknod_with_policies(struct place *place)
{
	return result(mknodat(place->mount, "new", S_IFREG | 0640, 0));
}

/* ---- what policies do -------------------------------------------------- */

static void a_growing_file(struct place *place)
{
	make_file(place, "file", 0644);
	store_policy(place, "file", "grow", CHUNK "+max=1M+trim");
}

static void a_file_to_append_to(struct place *place)
{
	make_file(place, "file", 0644);
	store_policy(place, "file", "append", "on");
}

static void a_locked_file(struct place *place)
{
	make_file(place, "file", 0644);
	store_policy(place, "file", "lock", "on");
}

static void an_advised_file(struct place *place)
{
	make_file(place, "file", 0644);
	store_policy(place, "file", "advise", "sequential+willneed");
}

static int grow_file(struct place *place)
{
	int fd = open_in(place, "file", O_WRONLY);
	int r = fd < 0 ? -errno : written(fd, SIZE, 3000);

	return closing(fd, r);
}

static int append_to(struct place *place)
{
	int fd = open_in(place, "file", O_WRONLY | O_APPEND);
	int r = fd < 0 ? -errno : written(fd, 0, 777);

	return closing(fd, r);
}

/* Never told of success: were it done, a policy would have been lost. */
static int overwrite(struct place *place)
{
	int fd = open_in(place, "file", O_WRONLY);
	int r = fd < 0 ? -errno : written(fd, 10, 100);

	return closing(fd, r == -EPERM ? 0 : r == 0 ? SHORT : r);
}

static int read_one(struct place *place)
{
	int fd = open_in(place, "file", O_RDONLY);
	char first;

	return on(fd, fd < 0 ? -1 : pread(fd, &first, 1, 0));
}

static int lock_file(struct place *place)
{
	return result(setxattr(path_in(place, "file"), PREFIX "lock", "on", 2,
			       0));
}

static int unlock_file(struct place *place)
{
	return result(setxattr(path_in(place, "file"), PREFIX "lock", "off", 3,
			       0));
}

/* ---- actions ----------------------------------------------------------- */

static int now(struct place *place, const char *action, const char *value)
{
	return result(setxattr(path_in(place, "file"), action, value,
			       strlen(value), 0));
}

static int advise_willneed(struct place *place)
{
	return now(place, PREFIX "advise.now", "willneed");
}

static int advise_dontneed(struct place *place)
{
	return now(place, PREFIX "advise.now", "dontneed");
}

static int advise_pageout(struct place *place)
{
	return now(place, PREFIX "advise.now", "pageout");
}

static int advise_cold(struct place *place)
{
	return now(place, PREFIX "advise.now", "cold");
}

static int advise_populate_read(struct place *place)
{
	return now(place, PREFIX "advise.now", "populate-read@0+4096");
}

static int advise_populate_write(struct place *place)
{
	return now(place, PREFIX "advise.now", "populate-write");
}

static int advise_remove(struct place *place)
{
	return now(place, PREFIX "advise.now", "remove@4096+4096");
}

/* With the daemon's own mapping of it, on its path. */
static int advise_open(struct place *place, const char *advice)
{
	int fd = open_in(place, "file", O_RDWR);
	char first;
	int r = fd < 0 ? -errno : result(pread(fd, &first, 1, 0));

	if (r == 0)
		r = result(fsetxattr(fd, PREFIX "advise.now", advice,
				     strlen(advice), 0));
	return closing(fd, r);
}

static int advise_open_random(struct place *place)
{
	return advise_open(place, "random");
}

static int advise_open_dontneed(struct place *place)
{
	return advise_open(place, "dontneed");
}

/* ---- statuses ---------------------------------------------------------- */

static int get_status(const char *path, const char *name)
{
	static char text[1 << 16];
	ssize_t n = getxattr(path, name, text, sizeof(text));

	return n < 0 ? -errno : n == 0 ? SHORT : 0;
}

static int file_status(struct place *place)
{
	return get_status(path_in(place, "file"), PREFIX "status");
}

static int open_file_status(struct place *place)
{
	int fd = open_in(place, "file", O_RDWR);
	int r = result(fd);

	if (r == 0)
		r = get_status(path_in(place, "file"), PREFIX "status");
	return closing(fd, r);
}

static int directory_status(struct place *place)
{
	return get_status(path_in(place, "sub"), PREFIX "status");
}

static int residency(struct place *place)
{
	return get_status(path_in(place, "file"), PREFIX "residency");
}

static int residency_map(struct place *place)
{
	return get_status(path_in(place, "file"), PREFIX "residency.map");
}

static int mount_statistics(struct place *place)
{
	return get_status(path_in(place, ".."), PREFIX "stats");
}

static int mount_metrics(struct place *place)
{
	return get_status(path_in(place, ".."), PREFIX "metrics");
}

static int open_files(struct place *place)
{
	int fd = open_in(place, "file", O_RDONLY);
	int r = result(fd);

	if (r == 0)
		r = get_status(path_in(place, ".."), PREFIX "files");
	return closing(fd, r);
}

/* ---- the list ---------------------------------------------------------- */

const struct step control_steps[] = {
	{ "setting_a_policy", a_file, set_policy,
	  step_attributes | step_goes_on | step_policy },
	{ "setting_a_directory_s_policy", a_directory, set_directory_policy,
	  step_attributes | step_goes_on | step_policy },
	{ "setting_a_policy_anew", a_file_with_policies, replace_policy,
	  step_attributes | step_goes_on | step_policy },
	{ "setting_an_open_file_s_policy", a_file_with_policies,
	  set_policy_of_open, step_goes_on | step_policy },
	{ "getting_a_policy", a_file_with_policies, get_policy,
	  step_attributes },
	{ "removing_a_policy", a_file_with_policies, remove_policy, 0 },
	{ "removing_an_open_file_s_policy", a_file_with_policies,
	  remove_policy_of_open, step_goes_on },
	{ "listing_policies", a_file_with_policies, list_policies,
	  step_attributes },
	{ "create_with_inherited_policies", a_directory_with_policies,
	  create_with_policies, step_policy },
	{ "mkdir_with_inherited_policies", a_directory_with_policies,
	  mkdir_with_policies, step_policy },
	{ "mknod_with_inherited_policies", a_directory_with_policies,
	  mknod_with_policies, step_policy },
	{ "a_write_that_grows_by_chunks", a_growing_file, grow_file, 0 },
	{ "an_append_to_an_append_only_file", a_file_to_append_to, append_to,
	  0 },
	{ "an_overwrite_of_an_append_only_file", a_file_to_append_to,
	  overwrite, 0 },
	{ "a_read_of_a_locked_file", a_locked_file, read_one, step_advice },
	{ "a_read_of_an_advised_file", an_advised_file, read_one, step_advice },
	{ "locking", a_file, lock_file, step_policy },
	{ "unlocking", a_locked_file, unlock_file, step_policy },
	{ "advise_willneed", a_file, advise_willneed, step_advice },
	{ "advise_dontneed", a_file, advise_dontneed, step_advice },
	{ "advise_pageout", a_file, advise_pageout, step_advice },
	{ "advise_cold", a_file, advise_cold, step_advice },
	{ "advise_populate_read", a_file, advise_populate_read, step_advice },
	{ "advise_populate_write", a_file, advise_populate_write, step_advice },
	{ "advise_remove", a_file, advise_remove, step_advice },
	{ "advise_random_while_open", a_file, advise_open_random, step_advice },
	{ "advise_dontneed_while_open", a_file, advise_open_dontneed,
	  step_advice },
	{ "status_of_a_file", a_file, file_status,
	  step_attributes | step_status | step_counts_dirty },
	{ "status_of_an_open_file", a_file, open_file_status,
	  step_attributes | step_status },
	{ "status_of_a_directory", a_directory, directory_status,
	  step_attributes | step_status },
	{ "residency", a_file, residency, step_attributes | step_status },
	{ "residency_map", a_file, residency_map,
	  step_attributes | step_status },
	{ "stats", nothing, mount_statistics, step_attributes | step_status },
	{ "metrics", nothing, mount_metrics, step_attributes | step_status },
	{ "files", a_file, open_files, step_attributes | step_status },
	{ 0 },
};
