// SPDX-License-Identifier: Apache-2.0
/*
 * A disk in memory whose flushes take the time they are told to take, and
 * that can be cut off: for a loop device to lie on.
 *
 *	cut_disk BYTES FLUSH_MICROSECONDS DIRECTORY MOUNTPOINT [libfuse's]
 *
 * MOUNTPOINT/disk is the disk. Like a real one it has a volatile cache: what
 * is written is read back at once, but is safe only when a flush (the loop
 * device's fsync) has come after it. So there are two images, what was
 * written and what was flushed, and a flush takes over the blocks that differ.
 *
 * A NAME written to MOUNTPOINT/cut puts what was flushed by that instant into
 * DIRECTORY/NAME, and the instant (CLOCK_MONOTONIC, ns) into
 * DIRECTORY/NAME.ns. That is the power cut in which the whole cache is lost: a
 * copy of what was written would forgive a daemon that never flushes. Nothing
 * moves while the copy is made, so it is of one instant. With "-" for the
 * DIRECTORY nothing can be cut, and what was flushed isn't kept.
 */
#define FUSE_USE_VERSION 31
#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <linux/falloc.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#define BLOCK 4096u

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t flush_lock = PTHREAD_MUTEX_INITIALIZER;
static size_t disk_size;
static long flush_ns;
static int cut_fd; /* -1: nothing can be cut */
static char *written; /* both: disk_size bytes; lock */
static char *flushed; /* NULL if nothing can be cut */
/* One byte for each block, under lock. */
static unsigned char *unflushed; /* the images differ */
static unsigned char *used; /* ever flushed, so perhaps not zero */

/* Blocks since the last flush; a flush need not look at all of the disk. */
static uint32_t *waiting;
static size_t waiting_count;

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

/* Called with the lock held. */
static void note_written(size_t offset, size_t size)
{
	for (size_t i = offset / BLOCK; i * BLOCK < offset + size; i++) {
		if (!flushed || unflushed[i])
			continue;
		unflushed[i] = 1;
		waiting[waiting_count++] = (uint32_t)i;
	}
}

static void take_over_written(void)
{
	for (size_t i = 0; i < waiting_count; i++) {
		size_t at = (size_t)waiting[i] * BLOCK;

		memcpy(flushed + at, written + at, BLOCK);
		unflushed[waiting[i]] = 0;
		used[waiting[i]] = 1;
	}
	waiting_count = 0;
}

static bool is_disk(const char *path)
{
	return !strcmp(path, "/disk");
}

static bool is_cut(const char *path)
{
	return !strcmp(path, "/cut");
}

static void *disk_init(struct fuse_conn_info *conn, struct fuse_config *config)
{
	(void)conn;
	config->kernel_cache = 0;
	config->attr_timeout = 60;
	config->entry_timeout = 60;
	return NULL;
}

static int disk_getattr(const char *path, struct stat *status,
			struct fuse_file_info *file)
{
	(void)file;
	memset(status, 0, sizeof(*status));
	if (!strcmp(path, "/")) {
		status->st_mode = S_IFDIR | 0700;
		status->st_nlink = 2;
		return 0;
	}
	if (!is_disk(path) && !is_cut(path))
		return -ENOENT;
	status->st_mode = S_IFREG | 0600;
	status->st_nlink = 1;
	status->st_size = is_disk(path) ? (off_t)disk_size : 0;
	return 0;
}

static int disk_readdir(const char *path, void *buffer, fuse_fill_dir_t fill,
			off_t offset, struct fuse_file_info *file,
			enum fuse_readdir_flags flags)
{
	(void)path;
	(void)offset;
	(void)file;
	(void)flags;
	fill(buffer, "disk", NULL, 0, 0);
	fill(buffer, "cut", NULL, 0, 0);
	return 0;
}

static int disk_open(const char *path, struct fuse_file_info *file)
{
	(void)path;
	/* No second cache below the loop device's own. */
	file->direct_io = 1;
	return 0;
}

/* A shell opens "cut" with O_TRUNC; a disk has the size that it has. */
static int disk_truncate(const char *path, off_t size,
			 struct fuse_file_info *file)
{
	(void)size;
	(void)file;
	return is_cut(path) ? 0 : -EPERM;
}

static size_t clip(off_t offset, size_t size)
{
	if (offset < 0 || (size_t)offset >= disk_size)
		return 0;
	return size < disk_size - (size_t)offset ? size :
						   disk_size - (size_t)offset;
}

static int disk_read(const char *path, char *buffer, size_t size, off_t offset,
		     struct fuse_file_info *file)
{
	(void)file;
	if (!is_disk(path))
		return 0;
	size = clip(offset, size);
	pthread_mutex_lock(&lock);
	memcpy(buffer, written + offset, size);
	pthread_mutex_unlock(&lock);
	return (int)size;
}

/* Called with the lock held. Runs of blocks that were never used are holes. */
static int copy_flushed(int fd)
{
	size_t blocks = disk_size / BLOCK;
	size_t end;

	if (ftruncate(fd, (off_t)disk_size))
		return -errno;
	for (size_t i = 0; i < blocks; i = end) {
		end = i + 1;
		if (!used[i])
			continue;
		while (end < blocks && used[end])
			end++;
		for (size_t at = i * BLOCK; at < end * BLOCK;) {
			ssize_t n = pwrite(fd, flushed + at, end * BLOCK - at,
					   (off_t)at);

			if (n < 0)
				return -errno;
			at += (size_t)n;
		}
	}
	return 0;
}

static int write_instant(const char *name, int64_t instant)
{
	char path[300];
	char text[32];
	int length = snprintf(text, sizeof(text), "%lld\n", (long long)instant);
	int result = 0;
	int fd;

	snprintf(path, sizeof(path), "%s.ns", name);
	fd = openat(cut_fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC,
		    0600);
	if (fd < 0)
		return -errno;
	if (write(fd, text, (size_t)length) != length)
		result = -EIO;
	close(fd);
	return result;
}

static int cut(const char *text, size_t size)
{
	char name[256];
	int64_t instant;
	int result;
	int fd;

	while (size > 0 && text[size - 1] == '\n')
		size--;
	if (!flushed || !size || size >= sizeof(name) ||
	    memchr(text, '/', size))
		return -EINVAL;
	memcpy(name, text, size);
	name[size] = '\0';
	fd = openat(cut_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC,
		    0600);
	if (fd < 0)
		return -errno;
	pthread_mutex_lock(&lock);
	instant = now_ns();
	result = copy_flushed(fd);
	pthread_mutex_unlock(&lock);
	close(fd);
	return result ? result : write_instant(name, instant);
}

static int disk_write(const char *path, const char *buffer, size_t size,
		      off_t offset, struct fuse_file_info *file)
{
	size_t fits;
	int result;

	(void)file;
	if (is_cut(path)) {
		result = cut(buffer, size);
		return result ? result : (int)size;
	}
	fits = clip(offset, size);
	if (!fits)
		return -ENOSPC;
	pthread_mutex_lock(&lock);
	memcpy(written + offset, buffer, fits);
	note_written((size_t)offset, fits);
	pthread_mutex_unlock(&lock);
	return (int)fits;
}

/* Discarded or zeroed ranges; there is nothing to allocate. */
static int disk_fallocate(const char *path, int mode, off_t offset,
			  off_t length, struct fuse_file_info *file)
{
	size_t size;

	(void)file;
	if (!is_disk(path))
		return -EPERM;
	if (!(mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)))
		return 0;
	size = clip(offset, (size_t)length);
	pthread_mutex_lock(&lock);
	memset(written + offset, 0, size);
	note_written((size_t)offset, size);
	pthread_mutex_unlock(&lock);
	return 0;
}

/*
 * What is written by the end of the flush is safe then, and nothing is safe
 * earlier. One flush at a time, as disks have it.
 */
static int disk_fsync(const char *path, int data_only,
		      struct fuse_file_info *file)
{
	struct timespec left = { .tv_nsec = flush_ns };

	(void)path;
	(void)data_only;
	(void)file;
	pthread_mutex_lock(&flush_lock);
	if (flush_ns) {
		prctl(PR_SET_TIMERSLACK, 1);
		while (nanosleep(&left, &left) && errno == EINTR)
			;
	}
	pthread_mutex_lock(&lock);
	take_over_written();
	pthread_mutex_unlock(&lock);
	pthread_mutex_unlock(&flush_lock);
	return 0;
}

static const struct fuse_operations operations = {
	.init = disk_init,
	.getattr = disk_getattr,
	.readdir = disk_readdir,
	.open = disk_open,
	.truncate = disk_truncate,
	.read = disk_read,
	.write = disk_write,
	.fallocate = disk_fallocate,
	.fsync = disk_fsync,
};

static void *room(size_t size)
{
	void *at = mmap(NULL, size, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (at == MAP_FAILED) {
		perror("cut_disk: mmap");
		exit(1);
	}
	return at;
}

int main(int argc, char **argv)
{
	size_t blocks;
	bool can_cut;

	if (argc < 5) {
		fprintf(stderr, "usage: cut_disk BYTES FLUSH_MICROSECONDS "
				"DIRECTORY MOUNTPOINT\n");
		return 2;
	}
	blocks = strtoull(argv[1], NULL, 10) / BLOCK;
	disk_size = blocks * BLOCK;
	flush_ns = atol(argv[2]) * 1000;
	can_cut = strcmp(argv[3], "-") != 0;
	cut_fd = can_cut ? open(argv[3], O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
	if (!blocks || blocks > UINT32_MAX || flush_ns < 0 ||
	    flush_ns >= 1000000000 || (can_cut && cut_fd < 0)) {
		fprintf(stderr, "cut_disk: bad size, time or directory\n");
		return 1;
	}
	written = room(disk_size);
	if (can_cut)
		flushed = room(disk_size);
	unflushed = room(blocks);
	used = room(blocks);
	waiting = room(blocks * sizeof(*waiting));
	argv[3] = argv[0];
	return fuse_main(argc - 3, argv + 3, &operations, NULL);
}
