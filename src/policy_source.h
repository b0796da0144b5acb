/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a mount's policy file is, -o policy-file=, and reading it again. Owned
 * by main; the main thread alone.
 */
#ifndef MSYNCFS_POLICY_SOURCE_H
#define MSYNCFS_POLICY_SOURCE_H

#include <stdbool.h>
#include <stddef.h>

struct filesystem;
struct options;
struct policy_file;

struct policy_source {
	char *path; /* absolute; NULL: the mount has none */
	bool no_fsync; /* of the mount */
};

/*
 * The file that the options name is read; *file stays NULL if they name none.
 * Its path is kept: a relative one means the present working directory, also
 * later. 0, or -errno with one line in error; nothing is to be released then.
 */
int policy_source_open(struct policy_source *source,
	const struct options *options, const char *mountpoint,
	struct policy_file **file, char *error, size_t error_size);
void policy_source_close(struct policy_source *source);

/*
 * Reads it anew and puts it in force; one line in the log says what came of
 * it. 0, or -errno and the rules are what they were.
 */
int policy_source_reload(const struct policy_source *source,
	struct filesystem *fs);

#endif
