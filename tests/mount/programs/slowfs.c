// SPDX-License-Identifier: Apache-2.0
/*
 * A filesystem to be the store: it shows a directory, and has whatever trouble
 * with a file that the test wants at the moment.
 *
 *	slowfs DIRECTORY CONTROL MOUNTPOINT [libfuse's options]
 *
 * CONTROL/NAME.delay holds the seconds that every read of a file called NAME
 * takes, or until that is removed; while CONTROL/NAME.eio exists, reads,
 * writes and fsyncs of it fail with EIO. With CONTROL/NAME.reads a line is
 * added to it for every read.
 */
#define FUSE_USE_VERSION 31
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

static int root_fd;
static int control_fd;

/* libfuse gives absolute paths; relative to the directory there is no slash. */
static const char *below(const char *path)
{
	return path[1] ? path + 1 : ".";
}

static int result_of(int result)
{
	return result < 0 ? -errno : 0;
}

static void control_name(char name[300], const char *path, const char *what)
{
	const char *slash = strrchr(path, '/');

	snprintf(name, 300, "%.255s.%s", slash + 1, what);
}

static bool has_trouble(const char *path)
{
	char name[300];

	control_name(name, path, "eio");
	return faccessat(control_fd, name, F_OK, 0) == 0;
}

static void wait_as_told(const char *path)
{
	char name[300];
	char text[16] = "";
	double left = 0;
	int fd;

	control_name(name, path, "reads");
	fd = openat(control_fd, name, O_WRONLY | O_APPEND | O_CLOEXEC);
	if (fd >= 0) {
		if (write(fd, "read\n", 5) != 5)
			abort();
		close(fd);
	}
	control_name(name, path, "delay");
	fd = openat(control_fd, name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	if (read(fd, text, sizeof(text) - 1) > 0)
		left = atof(text);
	close(fd);
	for (; left > 0 && faccessat(control_fd, name, F_OK, 0) == 0;
	     left -= 0.01)
		usleep(10000);
}

static void *slow_init(struct fuse_conn_info *conn, struct fuse_config *config)
{
	(void)conn;
	config->use_ino = 1;
	config->hard_remove = 1;
	config->attr_timeout = 0;
	config->entry_timeout = 0;
	return NULL;
}

static int slow_getattr(const char *path, struct stat *status,
			struct fuse_file_info *file)
{
	if (file)
		return result_of(fstat((int)file->fh, status));
	return result_of(fstatat(root_fd, below(path), status,
				 AT_SYMLINK_NOFOLLOW));
}

static int slow_readdir(const char *path, void *buffer, fuse_fill_dir_t fill,
			off_t offset, struct fuse_file_info *file,
			enum fuse_readdir_flags flags)
{
	int fd = openat(root_fd, below(path),
			O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *directory = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	(void)offset;
	(void)file;
	(void)flags;
	if (!directory)
		return -errno;
	while ((entry = readdir(directory)) != NULL) {
		struct stat status = { .st_ino = entry->d_ino,
				       .st_mode = DTTOIF(entry->d_type) };

		if (fill(buffer, entry->d_name, &status, 0, 0))
			break;
	}
	closedir(directory);
	return 0;
}

static int slow_mkdir(const char *path, mode_t mode)
{
	return result_of(mkdirat(root_fd, below(path), mode));
}

static int slow_rmdir(const char *path)
{
	return result_of(unlinkat(root_fd, below(path), AT_REMOVEDIR));
}

static int slow_unlink(const char *path)
{
	return result_of(unlinkat(root_fd, below(path), 0));
}

static int slow_rename(const char *from, const char *to, unsigned int flags)
{
	return result_of(renameat2(root_fd, below(from), root_fd, below(to),
				   flags));
}

static int slow_chmod(const char *path, mode_t mode,
		      struct fuse_file_info *file)
{
	(void)file;
	return result_of(fchmodat(root_fd, below(path), mode, 0));
}

static int slow_chown(const char *path, uid_t uid, gid_t gid,
		      struct fuse_file_info *file)
{
	(void)file;
	return result_of(fchownat(root_fd, below(path), uid, gid,
				  AT_SYMLINK_NOFOLLOW));
}

static int slow_utimens(const char *path, const struct timespec times[2],
			struct fuse_file_info *file)
{
	(void)file;
	return result_of(utimensat(root_fd, below(path), times,
				   AT_SYMLINK_NOFOLLOW));
}

static int slow_truncate(const char *path, off_t size,
			 struct fuse_file_info *file)
{
	int fd;
	int result;

	if (file)
		return result_of(ftruncate((int)file->fh, size));
	fd = openat(root_fd, below(path), O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	result = result_of(ftruncate(fd, size));
	close(fd);
	return result;
}

static int slow_create(const char *path, mode_t mode,
		       struct fuse_file_info *file)
{
	int fd = openat(root_fd, below(path), file->flags | O_CLOEXEC, mode);

	file->fh = (uint64_t)fd;
	return result_of(fd);
}

static int slow_open(const char *path, struct fuse_file_info *file)
{
	return slow_create(path, 0, file);
}

static int slow_release(const char *path, struct fuse_file_info *file)
{
	(void)path;
	return result_of(close((int)file->fh));
}

static int slow_read(const char *path, char *buffer, size_t size, off_t offset,
		     struct fuse_file_info *file)
{
	ssize_t n;

	wait_as_told(path);
	if (has_trouble(path))
		return -EIO;
	n = pread((int)file->fh, buffer, size, offset);
	return n < 0 ? -errno : (int)n;
}

static int slow_write(const char *path, const char *buffer, size_t size,
		      off_t offset, struct fuse_file_info *file)
{
	ssize_t n;

	if (has_trouble(path))
		return -EIO;
	n = pwrite((int)file->fh, buffer, size, offset);
	return n < 0 ? -errno : (int)n;
}

static int slow_fsync(const char *path, int data_only,
		      struct fuse_file_info *file)
{
	(void)data_only;
	if (has_trouble(path))
		return -EIO;
	return result_of(fsync((int)file->fh));
}

static int slow_statfs(const char *path, struct statvfs *status)
{
	(void)path;
	return result_of(fstatvfs(root_fd, status));
}

static const struct fuse_operations operations = {
	.init = slow_init,
	.getattr = slow_getattr,
	.readdir = slow_readdir,
	.mkdir = slow_mkdir,
	.rmdir = slow_rmdir,
	.unlink = slow_unlink,
	.rename = slow_rename,
	.chmod = slow_chmod,
	.chown = slow_chown,
	.utimens = slow_utimens,
	.truncate = slow_truncate,
	.create = slow_create,
	.open = slow_open,
	.release = slow_release,
	.read = slow_read,
	.write = slow_write,
	.fsync = slow_fsync,
	.statfs = slow_statfs,
};

int main(int argc, char **argv)
{
	if (argc < 4) {
		fprintf(stderr, "usage: slowfs DIRECTORY CONTROL MOUNTPOINT\n");
		return 2;
	}
	root_fd = open(argv[1], O_PATH | O_DIRECTORY | O_CLOEXEC);
	control_fd = open(argv[2], O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root_fd < 0 || control_fd < 0) {
		perror("slowfs");
		return 1;
	}
	umask(0);
	argv[2] = argv[0];
	return fuse_main(argc - 2, argv + 2, &operations, NULL);
}
