/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What can be known before a mount is tried: whether store, mountpoint,
 * /dev/fuse and the rights of the user are as they must be, each failure
 * with a message that says what to do. Called once by main, before there are
 * other threads; the caller owns the result.
 */
#ifndef MSYNCFS_PREFLIGHT_H
#define MSYNCFS_PREFLIGHT_H

#include <stddef.h>

#include "options.h"

struct preflight {
	char *store_abs; /* no symbolic links, "." or ".." left */
	char *mountpoint_abs;
	int store_fd; /* O_RDONLY | O_DIRECTORY | O_CLOEXEC */
	/*
	 * A mount of another store that has files in common with this one, for
	 * people: "STORE, mounted at MOUNTPOINT"; NULL: there is none.
	 */
	char *overlapping;
};

/* Where the machine keeps things; tests have other places. */
struct preflight_machine {
	const char *fuse_device;
	const char *fuse_conf;
	const char *mountinfo;
	const char *path; /* like $PATH, where fusermount3 is */
};

/*
 * 0, or -errno with one line in error; *out then holds nothing to release.
 *
 * With remount there is only to be a msyncfs at the mountpoint: of the store
 * nothing is looked at, store_abs is NULL and store_fd -1.
 */
int preflight_check(const struct options *options, struct preflight *out,
	char *error, size_t error_size);
int preflight_check_machine(const struct options *options,
	const struct preflight_machine *machine, struct preflight *out,
	char *error, size_t error_size);
void preflight_fini(struct preflight *preflight);

#endif
