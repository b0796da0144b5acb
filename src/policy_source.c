// SPDX-License-Identifier: Apache-2.0
/*
 * The file is looked for by its name each time, so it may be replaced by a
 * rename, as editors and package managers do it; who writes into it in place
 * sends SIGHUP when it is complete.
 */
#include "policy_source.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "core/filesystem.h"
#include "core/policy_file.h"
#include "options.h"
#include "util/absolute.h"
#include "util/cleanup.h"
#include "util/line.h"
#include "util/log.h"

#define ERROR_MAX 8192

int policy_source_open(struct policy_source *source,
	const struct options *options, const char *mountpoint,
	struct policy_file **file, char *error, size_t error_size)
{
	int r = 0;

	*file = NULL;
	*source = (struct policy_source){ .no_fsync = options->nofsync };
	if (!options->policy_file)
		return 0;
	source->path = absolute_path(options->policy_file);
	if (!source->path)
		return line_fail(error, error_size, errno,
			"policy-file '%s': %s", options->policy_file,
			strerror(errno));
	/*
	 * The mount would hide it, and reading it there takes threads that a
	 * killed daemon has no more.
	 */
	if (path_is_below(source->path, mountpoint))
		r = line_fail(error, error_size, EINVAL,
			"policy-file '%s' is below the mountpoint, where the "
			"mount will hide it: expected one elsewhere, which "
			"may be in the store", source->path);
	if (r == 0)
		r = policy_file_read(source->path, source->no_fsync, file,
			error, error_size);
	if (r < 0)
		policy_source_close(source);
	return r;
}

void policy_source_close(struct policy_source *source)
{
	free(source->path);
	source->path = NULL;
}

int policy_source_reload(const struct policy_source *source,
	struct filesystem *fs)
{
	struct policy_file *file;
	char error[ERROR_MAX];
	ssize_t changed;
	size_t count;
	int r;

	if (!source->path)
		return 0;
	r = policy_file_read(source->path, source->no_fsync, &file, error,
		sizeof(error));
	if (r < 0) {
		log_event(event_policies_refused, "%s", error);
		return r;
	}
	count = policy_file_count(file);
	policy_defaults_replace(&fs->defaults, file);
	changed = file_reload_policies(fs);
	if (changed < 0) {
		log_event(event_policies_late, "the policy file '%s' was read "
			"again, but not all open files could be told: %s",
			source->path, strerror((int)-changed));
		return (int)changed;
	}
	log_event(event_policies_read, "the policy file '%s' was read again: "
		"%zu %s, other policies for %zd open %s", source->path, count,
		count == 1 ? "rule" : "rules", changed,
		changed == 1 ? "file" : "files");
	return 0;
}
