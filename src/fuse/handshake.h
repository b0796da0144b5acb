/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Completes replies with what libfuse doesn't know: passthrough and
 * KILLPRIV_V2 in INIT's, the backing id in OPEN's and CREATE's, and a READ
 * answered from a mapping whose page can't be had.
 */
#ifndef MSYNCFS_FUSE_HANDSHAKE_H
#define MSYNCFS_FUSE_HANDSHAKE_H

#include <stdbool.h>
#include <sys/uio.h>

struct fuse_session;
struct filesystem;

struct handshake {
	struct filesystem *fs;
	int device;
	bool want_passthrough;
	unsigned stack_depth; /* 1, or 2 when the store is stacked itself */
	bool installed; /* libfuse lets us: else replies stay as it made them */
	/* What was agreed on; set by the INIT reply. */
	bool passthrough;
	bool killpriv;
};

/*
 * After the mount and before the first request. -EOPNOTSUPP when libfuse
 * has no such hook (before 3.14): replies then stay as libfuse makes them.
 */
int handshake_install(struct handshake *handshake, struct fuse_session *se);

/*
 * After the INIT reply: the path that files take unless they say otherwise,
 * for people; and what the other takes, if it was wanted.
 */
const char *handshake_data_path(const struct handshake *handshake);

/* Sends a reply that is made here altogether. 0 or -errno. */
int handshake_reply(struct handshake *handshake, int error,
		    const void *body, size_t size);

#endif
