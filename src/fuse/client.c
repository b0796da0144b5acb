// SPDX-License-Identifier: Apache-2.0
/*
 * Our own mount is used by a process of its own. A thread that waits for an
 * answer there can't be killed once its request has been read: after a
 * SIGKILL it would keep /dev/fuse open, the kernel would never give the mount
 * up, and every program on it would wait for ever. A child has nothing of
 * ours open and gets ECONNABORTED.
 *
 * What it opens there it opens by a copy of the mount that nobody else sees,
 * so that umount(8) doesn't find the mount busy for what we do on our own.
 */
#include "fuse/client.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* glibc has them since 2.36. */
#ifndef OPEN_TREE_CLONE
#define OPEN_TREE_CLONE	  1
#define OPEN_TREE_CLOEXEC O_CLOEXEC
#endif

struct question {
	uint64_t number;
	uint32_t generation;
};

/* vfork(2), because only this thread need wait for it. */
__attribute__((noinline)) static int
run(const struct client *client,
    int (*what)(const struct client *client, const struct question *question),
    const struct question *question)
{
	int status;
	pid_t pid = vfork();

	if (pid < 0)
		return -errno;
	if (pid == 0) {
		if (close_range(STDERR_FILENO + 1, ~0u, 0) < 0) {
			close(client->connections[0]);
			close(client->connections[1]);
		}
		_exit(-what(client, question));
	}
	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return -errno;
	}
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -EIO;
}

/* Only CAP_SYS_ADMIN may copy a mount: others take it as it is. */
static int open_mount(const struct client *client)
{
	int tree = (int)syscall(SYS_open_tree, AT_FDCWD, client->mountpoint,
				OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	int fd = openat(tree, tree < 0 ? client->mountpoint : ".",
			O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (tree >= 0)
		close(tree);
	return fd;
}

/* The handle that the kernel's FUSE makes: fs/fuse/inode.c, fuse_encode_fh. */
#define KERNEL_HANDLE_TYPE 0x81

struct kernel_handle {
	struct file_handle head;
	uint32_t words[3]; /* node id, high part first; generation */
};

static int refresh(const struct client *client,
		   const struct question *question)
{
	struct kernel_handle handle = {
		.head.handle_bytes = sizeof(handle.words),
		.head.handle_type = KERNEL_HANDLE_TYPE,
		.words = { (uint32_t)(question->number >> 32),
			   (uint32_t)question->number, question->generation },
	};
	struct statx stx;
	int root = open_mount(client);
	int fd = -1;

	if (root >= 0)
		fd = open_by_handle_at(root, &handle.head,
				       O_PATH | O_CLOEXEC);
	if (fd < 0 || statx(fd, "", AT_EMPTY_PATH | AT_STATX_FORCE_SYNC,
			    STATX_BASIC_STATS, &stx) < 0)
		return -errno;
	return 0;
}

int client_refresh(const struct client *client, uint64_t number,
		   uint32_t generation)
{
	struct question question = { number, generation };

	return run(client, refresh, &question);
}

static int sync_mount(const struct client *client,
		      const struct question *question)
{
	struct stat st;
	int fd = open_mount(client);

	(void)question;
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	/* Unmounted, or covered by another mount? */
	if (st.st_dev != client->device)
		return 0;
	return syncfs(fd) < 0 ? -errno : 0;
}

int client_sync(const struct client *client)
{
	return run(client, sync_mount, NULL);
}
