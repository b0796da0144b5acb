// SPDX-License-Identifier: Apache-2.0
/*
 * A disk with the trouble that a test wants at the moment: a filesystem with
 * one file, to be put under a loop device.
 *
 *	disk IMAGE CONTROL MOUNTPOINT [libfuse's options]
 *
 * MOUNTPOINT/disk is IMAGE. CONTROL/bad holds lines "OFFSET LENGTH" in bytes:
 * who writes there gets EIO. CONTROL/delay holds the seconds that a flush
 * takes. With CONTROL/flushes a line is added to it for every flush. Nothing
 * is flushed to IMAGE: this disk has no power to lose.
 */
#define FUSE_USE_VERSION 31
#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int image_fd;
static int control_fd;

static FILE *control(const char *name)
{
	int fd = openat(control_fd, name, O_RDONLY | O_CLOEXEC);

	return fd < 0 ? NULL : fdopen(fd, "r");
}

static bool is_bad(off_t offset, size_t size)
{
	FILE *file = control("bad");
	long long start;
	long long length;
	bool bad = false;

	if (!file)
		return false;
	while (!bad && fscanf(file, "%lld %lld", &start, &length) == 2)
		bad = offset < start + length && offset + (off_t)size > start;
	fclose(file);
	return bad;
}

static int disk_getattr(const char *path, struct stat *status,
			struct fuse_file_info *file)
{
	(void)file;
	if (fstat(image_fd, status) < 0)
		return -errno;
	if (strcmp(path, "/disk") == 0)
		return 0;
	if (strcmp(path, "/") != 0)
		return -ENOENT;
	*status = (struct stat){ .st_mode = S_IFDIR | 0755, .st_nlink = 2 };
	return 0;
}

static int disk_open(const char *path, struct fuse_file_info *file)
{
	(void)file;
	return strcmp(path, "/disk") == 0 ? 0 : -ENOENT;
}

static int disk_read(const char *path, char *buffer, size_t size, off_t offset,
		     struct fuse_file_info *file)
{
	ssize_t n = pread(image_fd, buffer, size, offset);

	(void)path;
	(void)file;
	return n < 0 ? -errno : (int)n;
}

static int disk_write(const char *path, const char *buffer, size_t size,
		      off_t offset, struct fuse_file_info *file)
{
	ssize_t n;

	(void)path;
	(void)file;
	if (is_bad(offset, size))
		return -EIO;
	n = pwrite(image_fd, buffer, size, offset);
	return n < 0 ? -errno : (int)n;
}

static int disk_fsync(const char *path, int data_only,
		      struct fuse_file_info *file)
{
	int fd = openat(control_fd, "flushes",
			O_WRONLY | O_APPEND | O_CLOEXEC);
	FILE *delay = control("delay");
	double seconds;

	(void)path;
	(void)data_only;
	(void)file;
	if (fd >= 0) {
		if (write(fd, "flush\n", 6) != 6)
			abort();
		close(fd);
	}
	if (delay) {
		if (fscanf(delay, "%lf", &seconds) == 1)
			usleep((useconds_t)(seconds * 1e6));
		fclose(delay);
	}
	return 0;
}

static const struct fuse_operations operations = {
	.getattr = disk_getattr,
	.open = disk_open,
	.read = disk_read,
	.write = disk_write,
	.fsync = disk_fsync,
};

int main(int argc, char **argv)
{
	if (argc < 4) {
		fputs("usage: disk IMAGE CONTROL MOUNTPOINT\n", stderr);
		return 2;
	}
	image_fd = open(argv[1], O_RDWR | O_CLOEXEC);
	control_fd = open(argv[2], O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (image_fd < 0 || control_fd < 0) {
		perror("disk");
		return 1;
	}
	argv[2] = argv[0];
	return fuse_main(argc - 2, argv + 2, &operations, NULL);
}
