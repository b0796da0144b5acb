/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon as a client of its own mount, for what the kernel does only when
 * it is asked from there. The workers serve it: any thread, as long as another
 * one does. Owned by nobody, nothing is kept.
 */
#ifndef MSYNCFS_FUSE_CLIENT_H
#define MSYNCFS_FUSE_CLIENT_H

#include <stdint.h>
#include <sys/types.h>

struct client {
	const char *mountpoint; /* absolute */
	dev_t device; /* of the mounted root */
	int connections[2]; /* our descriptors of /dev/fuse */
};

/*
 * The kernel asks for an inode's attributes anew; number and generation are
 * what it knows the inode by. 0 or -errno.
 */
int client_refresh(const struct client *client, uint64_t number,
		   uint32_t generation);

/*
 * What programs have dirtied in mappings comes to the daemon (syncfs(2)); 0,
 * also when something else is mounted there now, or -errno.
 */
int client_sync(const struct client *client);

#endif
