// SPDX-License-Identifier: Apache-2.0
/*
 * A mount is found by its type before anything is opened: opening would ask
 * the daemon. The lock is the one that a daemon takes.
 */
#include "msyncctl/stores.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "msyncctl/mounts.h"
#include "msyncctl/output.h"
#include "store/claim.h"
#include "store/journal.h"
#include "util/cleanup.h"

static bool is_mount(struct report *report, const char *path)
{
	owned_mount mount = { 0 };

	if (mounts_find(path, &mount) < 0 || !mount_is_msyncfs(&mount))
		return false;
	report_failure(report, path, exit_failed, "is on a mount of msyncfs: "
		"unmount it, and give its store (here %s)", mount.source);
	return true;
}

int stores_open(struct report *report, const char *path)
{
	char reason[STORES_REASON_MAX];
	owned_fd fd = -1;
	int r;

	if (is_mount(report, path))
		return -1;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0) {
		report_failure(report, path, exit_failed, "%s",
			strerror(errno));
		return -1;
	}
	r = claim_store(fd, path, reason, sizeof(reason));
	if (r == -EBUSY) {
		report_failure(report, path, exit_failed, "%s", reason);
		return -1;
	}
	/* A daemon goes on as well then. */
	if (r < 0)
		output_error(path, "%s: see to it that nobody else mounts it",
			reason);
	return take_fd(&fd);
}

void stores_fail(struct report *report, const char *path, int r,
		 const char *reason)
{
	/* The path stands in front already. */
	const char *journal = strstr(reason, "/" JOURNAL_DIRECTORY "/");

	if (journal)
		reason = journal + 1;
	report_failure(report, path, exit_failed, "%s",
		reason[0] != '\0' ? reason : strerror(-r));
}
