/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one place where -errno becomes a FUSE reply. A reply that the kernel
 * no longer wants (ENOENT: the caller was interrupted) takes back what it
 * would have handed over.
 */
#ifndef MSYNCFS_FUSE_REPLY_H
#define MSYNCFS_FUSE_REPLY_H

#include "fuse/entry.h"
#include "fuse/fuse.h"

/* r: 0 or -errno. */
static inline void reply_status(fuse_req_t req, int r)
{
	fuse_reply_err(req, r < 0 ? -r : 0);
}

/* r: 0, and entry holds one look-up; or -errno. */
static inline void reply_entry(fuse_req_t req, int r,
			       const struct fuse_entry_param *entry)
{
	struct filesystem *fs = filesystem_of(req);

	if (r < 0)
		fuse_reply_err(req, -r);
	else if (fuse_reply_entry(req, entry) == -ENOENT && entry->ino)
		entry_drop(fs, entry);
}

/* r: bytes, or -errno. */
static inline void reply_written(fuse_req_t req, ssize_t r)
{
	if (r < 0)
		fuse_reply_err(req, (int)-r);
	else
		fuse_reply_write(req, (size_t)r);
}

#endif
