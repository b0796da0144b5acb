// SPDX-License-Identifier: Apache-2.0
#include "steps.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "report.h"

char bytes[SIZE];

/* ---- shorthand --------------------------------------------------------- */

void must(int r, const char *what)
{
	if (r < 0)
		give_up(what);
}

int result(long r)
{
	return r < 0 ? -errno : 0;
}

int on(int fd, long r)
{
	int error = r < 0 ? -errno : 0;

	if (fd >= 0)
		close(fd);
	return error;
}

int closing(int fd, int r)
{
	if (fd >= 0)
		close(fd);
	return r;
}

bool wrote_less;

int written(int fd, off_t offset, size_t size)
{
	size_t done = 0;

	while (done < size) {
		ssize_t n = pwrite(fd, bytes + done, size - done,
				   offset + (off_t)done);

		if (n < 0)
			return -errno;
		if (n == 0)
			return SHORT;
		done += (size_t)n;
		wrote_less |= done < size;
	}
	return 0;
}

int open_in(const struct place *place, const char *name, int flags)
{
	return openat(place->mount, name, flags | O_CLOEXEC, 0640);
}

const char *path_in(const struct place *place, const char *name)
{
	static char path[4200];

	snprintf(path, sizeof(path), "%s/%s", place->mount_path, name);
	return path;
}

void store_policy(struct place *place, const char *file, const char *name,
		  const char *value)
{
	char path[128];
	char attribute[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", place->store, file);
	snprintf(attribute, sizeof(attribute), "user.msyncfs.%s", name);
	must(setxattr(path, attribute, value, strlen(value), 0),
	     "a policy in the store");
}

__attribute__((constructor)) static void fill_bytes(void)
{
	for (unsigned i = 0; i < SIZE; i++)
		bytes[i] = (char)(i * 7 + i / 256);
}

void make_file(struct place *place, const char *name, mode_t mode)
{
	int fd = openat(place->store, name, O_RDWR | O_CREAT | O_CLOEXEC);
	char old[SIZE];

	memset(old, 'o', sizeof(old));
	must(fd, "a file in the store");
	must(write(fd, old, SIZE) == SIZE ? 0 : -1, "its contents");
	must(fchown(fd, USER_ID, GROUP_ID), "its owner");
	must(fchmod(fd, mode), "its mode");
	close(fd);
}

/* ---- setups ------------------------------------------------------------ */

void nothing(struct place *place)
{
	(void)place;
}

void a_file(struct place *place)
{
	make_file(place, "file", 0644);
}

void two_files(struct place *place)
{
	make_file(place, "file", 0644);
	make_file(place, "other", 0600);
}

void a_setuid_file(struct place *place)
{
	make_file(place, "file", 06777);
}

void a_setgid_file(struct place *place)
{
	make_file(place, "file", 02750);
	must(fchownat(place->store, "file", USER_ID, OTHER_GROUP_ID, 0),
	     "its group");
	must(fchmodat(place->store, "file", 02750, 0), "its mode");
}

void a_file_with_capabilities(struct place *place)
{
	/* struct vfs_cap_data, version 2: CAP_CHOWN permitted. */
	static const uint32_t capabilities[5] = { 0x02000000, 1, 0, 0, 0 };
	char path[64];

	make_file(place, "file", 0777);
	snprintf(path, sizeof(path), "/proc/self/fd/%d/file", place->store);
	must(setxattr(path, "security.capability", capabilities,
		      sizeof(capabilities), 0),
	     "file capabilities");
}

void a_file_with_attributes(struct place *place)
{
	char path[64];

	make_file(place, "file", 0644);
	snprintf(path, sizeof(path), "/proc/self/fd/%d/file", place->store);
	must(setxattr(path, "user.one", "1", 1, 0), "an attribute");
	must(setxattr(path, "user.two", "22", 2, 0), "an attribute");
}

void a_directory(struct place *place)
{
	must(mkdirat(place->store, "sub", 0755), "a directory");
}

void a_link(struct place *place)
{
	must(symlinkat("to/nowhere", place->store, "link"), "a link");
}

void many_files(struct place *place)
{
	char name[256];

	for (unsigned i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "%03u-%0200u", i, i);
		must(mknodat(place->store, name, S_IFREG | 0600, 0),
		     "many files");
	}
}

void a_file_with_a_hole(struct place *place)
{
	make_file(place, "file", 0644);
	int fd = openat(place->store, "file", O_WRONLY | O_CLOEXEC);
	must(ftruncate(fd, 1 << 20), "a hole");
	close(fd);
}

void a_file_made_behind(struct place *place)
{
	struct stat st;

	if (fstatat(place->mount, "file", &st, 0) == 0 || errno != ENOENT)
		give_up("a name that is not there");
	make_file(place, "file", 0644);
}
