/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of this folder share: libfuse itself at one version, the
 * operations' functions, and how an operation finds its filesystem.
 */
#ifndef MSYNCFS_FUSE_FUSE_H
#define MSYNCFS_FUSE_FUSE_H

#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>

#include "core/filesystem.h"

struct handshake;
struct session;

struct filesystem *session_filesystem(struct session *session);
struct handshake *session_handshake(struct session *session);
struct fuse_session *session_fuse(struct session *session);

static inline struct session *session_of(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

static inline struct filesystem *filesystem_of(fuse_req_t req)
{
	return session_filesystem(session_of(req));
}

/*
 * Makes the kernel ask for a node's attributes now, by a stat of our own on
 * the mount. For the rare case that no answer of ours carries them. Another
 * thread serves the question.
 */
void session_refresh_attributes(struct session *session, struct node *node);

/* Each adds its operations to the table. */
void ops_name_add(struct fuse_lowlevel_ops *ops);
void ops_attr_add(struct fuse_lowlevel_ops *ops);
void ops_dir_add(struct fuse_lowlevel_ops *ops);
void ops_file_add(struct fuse_lowlevel_ops *ops);
void ops_xattr_add(struct fuse_lowlevel_ops *ops);

/*
 * Requests that libfuse 3.14 doesn't know are served whole, the reply
 * included: O_TMPFILE, and statx(2) for the birth time.
 */
void ops_statx(struct session *session, uint64_t number);
void ops_tmpfile(struct session *session, uint64_t parent, const void *body,
		 size_t size);

#endif
