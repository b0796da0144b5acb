// SPDX-License-Identifier: Apache-2.0
/*
 * umount(8) returns before the daemon has ended, and a killed one takes a
 * moment to die, so somebody who mounts anew at once has to be patient. A
 * store that is really mounted shows in mountinfo, unless it is under another
 * name (-o fsname) or elsewhere: then the refusal takes longer.
 *
 * The holder is found by device and inode number. Where the kernel lists
 * another device than stat(2) tells (btrfs), or the holder is in a process
 * namespace that is not seen from here, nobody is named.
 */
#include "store/claim.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>

#include "store/recover.h"
#include "util/cleanup.h"
#include "util/line.h"
#include "util/mountinfo.h"

#define SECOND INT64_C(1000000000)
#define PATIENCE_MOUNTED SECOND
#define PATIENCE_GONE (10 * SECOND)
#define POLL (SECOND / 50)
#define COMMAND_MAX 64
#define HOLDER_MAX 128

static int64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (int64_t)time.tv_sec * SECOND + time.tv_nsec;
}

static bool is_mounted(const char *path)
{
	owned_memory char *real = realpath(path, NULL);
	owned_mountinfo info = { 0 };
	const struct mountinfo_entry *entry;

	if (real == NULL || mountinfo_open(&info, "/proc/self/mountinfo") < 0)
		return false;
	while ((entry = mountinfo_next(&info)) != NULL) {
		if (strcmp(entry->type, "fuse.msyncfs") == 0 &&
			strcmp(entry->source, real) == 0)
			return true;
	}
	return false;
}

/* The process that holds a flock(2) of the inode behind fd; 0: not known. */
static int find_holder(int fd)
{
	FILE *locks = fopen("/proc/locks", "re");
	struct stat status;
	char line[256];
	int found = 0;

	if (locks == NULL || fstat(fd, &status) < 0)
		status = (struct stat){ 0 };
	while (locks != NULL && found == 0 &&
		fgets(line, sizeof(line), locks) != NULL) {
		unsigned major_number, minor_number;
		unsigned long inode;
		int pid;

		if (sscanf(line, "%*d: FLOCK %*s %*s %d %x:%x:%lu", &pid,
			    &major_number, &minor_number, &inode) == 4 &&
			major_number == major(status.st_dev) &&
			minor_number == minor(status.st_dev) &&
			inode == status.st_ino && pid > 0)
			found = pid;
	}
	if (locks != NULL)
		fclose(locks);
	return found;
}

/* False if there is no such process, as for one that is just ending. */
static bool command_of(int pid, char command[COMMAND_MAX])
{
	char path[64];
	FILE *file;
	bool got;

	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	file = fopen(path, "re");
	if (file == NULL)
		return false;
	got = fgets(command, COMMAND_MAX, file) != NULL;
	fclose(file);
	if (got)
		command[strcspn(command, "\n")] = '\0';
	return got;
}

static const char *name_holder(char text[HOLDER_MAX], int fd)
{
	char command[COMMAND_MAX];
	int pid = find_holder(fd);

	if (pid > 0 && command_of(pid, command))
		snprintf(text, HOLDER_MAX, "%s (pid %d)", command, pid);
	else
		snprintf(text, HOLDER_MAX,
			"another msyncfs or msyncctl");
	return text;
}

static int lock_patiently(int fd, const char *path)
{
	const struct timespec pause = { .tv_nsec = POLL };
	int64_t start = now();
	int r;

	while ((r = recover_lock(fd)) == -EBUSY) {
		int64_t patience = is_mounted(path) ? PATIENCE_MOUNTED
						    : PATIENCE_GONE;

		if (now() - start > patience)
			break;
		nanosleep(&pause, NULL);
	}
	return r;
}

int claim_store(int root_fd, const char *path, char *error,
		size_t error_size)
{
	char holder[HOLDER_MAX];
	int r = lock_patiently(root_fd, path);

	if (r == -EBUSY)
		return line_fail(error, error_size, EBUSY, "it is in use by "
			"%s: unmount it there first",
			name_holder(holder, root_fd));
	if (r < 0)
		return line_fail(error, error_size, -r, "it can't be locked: "
			"%s", strerror(-r));
	return 0;
}
