// SPDX-License-Identifier: Apache-2.0
/*
 * The two ioctls, with the ABI of Linux 6.9: headers of older systems lack
 * them (include/uapi/linux/fuse.h, struct fuse_backing_map).
 */
#include "os/backing.h"

#include <errno.h>
#include <stdint.h>
#include <sys/ioctl.h>

#define FUSE_IOCTL_GROUP 229

struct backing_map {
	int32_t fd;
	uint32_t flags;
	uint64_t padding;
};

#define BACKING_OPEN _IOW(FUSE_IOCTL_GROUP, 1, struct backing_map)
#define BACKING_CLOSE _IOW(FUSE_IOCTL_GROUP, 2, uint32_t)

int backing_open(int device, int fd)
{
	struct backing_map map = { .fd = fd };
	int id = ioctl(device, BACKING_OPEN, &map);

	return id < 0 ? -errno : id;
}

void backing_close(int device, int backing_id)
{
	uint32_t id = (uint32_t)backing_id;

	/* Fails only for an id that is not ours, or a connection that ended. */
	(void)ioctl(device, BACKING_CLOSE, &id);
}
