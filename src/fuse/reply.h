/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one place where -errno becomes a FUSE reply. A reply that the kernel
 * no longer wants (ENOENT: the caller was interrupted) takes back what it
 * would have handed over.
 */
#ifndef MSYNCFS_FUSE_REPLY_H
#define MSYNCFS_FUSE_REPLY_H

#include "fuse/counters.h"
#include "fuse/entry.h"
#include "fuse/fuse.h"
#include "fuse/request.h"

/* r: 0 or -errno. In the thread that serves the request. */
static inline void reply_status(fuse_req_t req, int r)
{
	if (r < 0)
		counters_failed(current_request.opcode, -r);
	fuse_reply_err(req, r < 0 ? -r : 0);
}

/* The same in any thread, by whoever has the request's clock. */
static inline void reply_late(fuse_req_t req,
			      const struct request_clock *clock, int r)
{
	if (r < 0)
		counters_failed(clock->opcode, -r);
	fuse_reply_err(req, r < 0 ? -r : 0);
	counters_answered(clock);
}

/* r: 0, and entry holds one look-up; or -errno. */
static inline void reply_entry(fuse_req_t req, int r,
			       const struct fuse_entry_param *entry)
{
	struct filesystem *fs = filesystem_of(req);

	if (r < 0)
		reply_status(req, r);
	else if (fuse_reply_entry(req, entry) == -ENOENT && entry->ino)
		entry_drop(fs, entry);
}

/* r: bytes, or -errno. */
static inline void reply_written(fuse_req_t req, ssize_t r)
{
	if (r < 0)
		reply_status(req, (int)r);
	else
		fuse_reply_write(req, (size_t)r);
}

#endif
