// SPDX-License-Identifier: Apache-2.0
/*
 * Mounts a file system that is in a file.
 *
 *	loop_mount TYPE OPTIONS FILE DIRECTORY
 *
 * As mount -o loop, with two differences: it works where /dev has fewer nodes
 * than there are loop devices, and it costs one process, of which a test of
 * two thousand images has use. A node that is missing is made in the working
 * directory. The loop device is freed at its last close
 * from the beginning on, so that none is left over however the test ends;
 * losetup(8) can't do that.
 *
 * OPTIONS are those of the file system itself, comma-separated, or empty.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "util/cleanup.h"

#define LOOP_MAJOR 7
/* Others may take the device that was free. */
#define TRIES	   100
#define WAIT_NS	   20000000

static int open_node(char *path, size_t size, int number)
{
	int fd;

	snprintf(path, size, "/dev/loop%d", number);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd >= 0 || errno != ENOENT)
		return fd;
	/* One of our own, in the working directory; it may stay there. */
	snprintf(path, size, "loop%d", number);
	if (mknod(path, S_IFBLK | 0600, makedev(LOOP_MAJOR, number)) &&
	    errno != EEXIST)
		return -1;
	return open(path, O_RDWR | O_CLOEXEC);
}

/* The device's descriptor and path, or -1 and errno. */
static int attach(int control, int file, char *path, size_t size)
{
	struct loop_config config = {
		.fd = (uint32_t)file,
		.info.lo_flags = LO_FLAGS_AUTOCLEAR,
	};
	int number = ioctl(control, LOOP_CTL_GET_FREE);
	owned_fd fd = -1;

	if (number < 0)
		return -1;
	fd = open_node(path, size, number);
	if (fd < 0 || ioctl(fd, LOOP_CONFIGURE, &config))
		return -1;
	return take_fd(&fd);
}

static int attach_patiently(int control, int file, char *path, size_t size)
{
	struct timespec wait = { .tv_nsec = WAIT_NS };
	int fd;

	for (int i = 0; i < TRIES; i++) {
		fd = attach(control, file, path, size);
		if (fd >= 0 || errno != EBUSY)
			return fd;
		nanosleep(&wait, NULL);
	}
	return fd;
}

static int fail(const char *what)
{
	fprintf(stderr, "loop_mount: %s: %s\n", what, strerror(errno));
	return 1;
}

int main(int argc, char **argv)
{
	owned_fd control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	owned_fd file = -1;
	owned_fd device = -1;
	char path[32];

	if (argc != 5) {
		fputs("usage: loop_mount TYPE OPTIONS FILE DIRECTORY\n",
		      stderr);
		return 2;
	}
	if (control < 0)
		return fail("/dev/loop-control");
	file = open(argv[3], O_RDWR | O_CLOEXEC);
	if (file < 0)
		return fail(argv[3]);
	device = attach_patiently(control, file, path, sizeof(path));
	if (device < 0)
		return fail("no loop device");
	if (mount(path, argv[4], argv[1], 0, argv[2]))
		return fail(argv[4]);
	return 0;
}
