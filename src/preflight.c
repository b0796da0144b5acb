// SPDX-License-Identifier: Apache-2.0
/*
 * The order matters: a msyncfs that is mounted at the mountpoint, alive or
 * dead, changes what every later look at the mountpoint finds, so it is
 * looked for first, by name in mountinfo and without a request to it that
 * need not be.
 *
 * "Inside" is decided two ways, because each alone can be fooled: by walking
 * up with ".." and comparing inodes, which sees through other names of the
 * same directory; and by the places inside the filesystem that is mounted
 * there, because the ".." of a bind mount leads elsewhere.
 */
#include "preflight.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "util/absolute.h"
#include "util/cleanup.h"
#include "util/line.h"
#include "util/mountinfo.h"

#define FILESYSTEM_TYPE "fuse.msyncfs"

struct check {
	const struct options *options;
	const struct preflight_machine *machine;
	struct preflight *out;
	char *error;
	size_t error_size;
};

/* Says why and gives back -errnum. */
#define fail(check, errnum, ...) \
	line_fail((check)->error, (check)->error_size, errnum, __VA_ARGS__)

static int fail_memory(struct check *check)
{
	return fail(check, ENOMEM, "out of memory");
}

/* 1: something of that type is mounted there; its type is given back. */
static int find_mount(struct check *check, const char *mountpoint,
	bool ours_only, char **type)
{
	owned_mountinfo info = { 0 };
	const struct mountinfo_entry *entry;
	int error = mountinfo_open(&info, check->machine->mountinfo);

	if (error < 0)
		return fail(check, -error, "can't read %s: %s: mount proc",
			check->machine->mountinfo, strerror(-error));
	while ((entry = mountinfo_next(&info)) != NULL) {
		if (strcmp(entry->mountpoint, mountpoint) != 0)
			continue;
		if (ours_only && strcmp(entry->type, FILESYSTEM_TYPE) != 0)
			continue;
		/* Of several, the last one hides the others. */
		free(*type);
		*type = strdup(entry->type);
		if (*type == NULL)
			return fail_memory(check);
	}
	return *type != NULL;
}

static int fail_dead(struct check *check, const char *path, const char *type)
{
	return fail(check, ENOTCONN,
		"mountpoint '%s': a dead %s is still mounted there, its daemon "
		"is gone: run fusermount3 -u '%s'", path, type, path);
}

/*
 * realpath(3) itself sends nothing to a filesystem that is mounted at the
 * last component, so it works for a dead or hanging one too.
 */
static int resolve_mountpoint(struct check *check)
{
	const char *path = check->options->mountpoint;

	check->out->mountpoint_abs = realpath(path, NULL);
	if (check->out->mountpoint_abs != NULL)
		return 0;
	switch (errno) {
	case ENOENT:
		return fail(check, ENOENT, "mountpoint '%s' does not exist: "
			"make it with mkdir", path);
	case ENOTDIR:
		return fail(check, ENOTDIR, "mountpoint '%s' is not a "
			"directory: give a directory", path);
	case EACCES:
		return fail(check, EACCES, "mountpoint '%s': no permission to "
			"search the directories above it: give one that you "
			"can reach", path);
	case ENOTCONN:
		return fail_dead(check, path, "FUSE filesystem");
	default:
		return fail(check, errno, "mountpoint '%s': %s: give another "
			"directory", path, strerror(errno));
	}
}

/*
 * Asks the filesystem itself: stat(2) is answered from the kernel's cache
 * while attributes that the daemon gave before it died are good. When true,
 * errno is ENOTCONN.
 */
static bool is_dead(const char *path)
{
	struct statx status;

	return statx(AT_FDCWD, path, AT_STATX_FORCE_SYNC, STATX_TYPE,
		       &status) < 0 && errno == ENOTCONN;
}

static int check_not_mounted(struct check *check)
{
	const char *path = check->out->mountpoint_abs;
	owned_memory char *type = NULL;
	int found = find_mount(check, path, true, &type);

	if (found <= 0)
		return found;
	if (is_dead(path))
		return fail_dead(check, path, "msyncfs");
	return fail(check, EBUSY,
		"mountpoint '%s': a msyncfs is mounted there already: unmount "
		"it first (umount, or fusermount3 -u), or use another "
		"mountpoint", path);
}

static int check_mounted(struct check *check)
{
	const char *path = check->out->mountpoint_abs;
	owned_memory char *type = NULL;
	int found = find_mount(check, path, true, &type);

	if (found < 0)
		return found;
	if (found == 0)
		return fail(check, EINVAL, "mountpoint '%s': no msyncfs is "
			"mounted there: mount it without remount", path);
	if (geteuid() != 0)
		return fail(check, EPERM, "only root can remount: run as root, "
			"or unmount and mount anew");
	return 0;
}

/* Called after check_not_mounted(): whatever is dead here is not ours. */
static int check_mountpoint(struct check *check, struct stat *status)
{
	const char *path = check->out->mountpoint_abs;
	owned_memory char *type = NULL;
	bool sticky;

	if (stat(path, status) < 0 || is_dead(path)) {
		int saved = errno;

		if (find_mount(check, path, false, &type) < 0)
			return -saved;
		if (saved == ENOTCONN)
			return fail_dead(check, path,
				type != NULL ? type : "FUSE filesystem");
		if (saved == EACCES && type != NULL)
			return fail(check, EACCES, "mountpoint '%s': a %s of "
				"another user is mounted there: use another "
				"mountpoint", path, type);
		return fail(check, saved, "mountpoint '%s': %s: give another "
			"directory", path, strerror(saved));
	}
	if (!S_ISDIR(status->st_mode))
		return fail(check, ENOTDIR, "mountpoint '%s' is not a "
			"directory: give a directory", path);
	if (geteuid() == 0)
		return 0;
	/* As fusermount3 demands it. */
	sticky = (status->st_mode & S_ISVTX) != 0;
	if (sticky && status->st_uid != geteuid())
		return fail(check, EPERM, "mountpoint '%s' is sticky and not "
			"yours: give a directory that you own", path);
	if (faccessat(AT_FDCWD, path, W_OK, AT_EACCESS) < 0)
		return fail(check, EACCES, "mountpoint '%s' is not writable "
			"for you: give a directory that you own, or run as "
			"root", path);
	return 0;
}

static int open_store(struct check *check)
{
	const char *path = check->options->store;
	struct preflight *out = check->out;
	struct stat status;

	out->store_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (out->store_fd < 0) {
		switch (errno) {
		case ENOENT:
			return fail(check, ENOENT, "store '%s' does not "
				"exist: make it with mkdir", path);
		case ENOTDIR:
			return fail(check, ENOTDIR, "store '%s' is not a "
				"directory: give a directory", path);
		case EACCES:
			/* The names above it, or the store itself? */
			if (stat(path, &status) == 0)
				return fail(check, EACCES, "store '%s': no "
					"permission to read it: chmod or "
					"chown it, or run as its owner", path);
			return fail(check, EACCES, "store '%s': no permission "
				"to search the directories above it: give one "
				"that you can reach", path);
		case ENOTCONN:
			return fail(check, ENOTCONN, "store '%s' is on a dead "
				"FUSE mount: run fusermount3 -u on that one "
				"and mount it anew", path);
		default:
			return fail(check, errno, "store '%s': %s: give "
				"another directory", path, strerror(errno));
		}
	}
	if (faccessat(out->store_fd, ".", X_OK, AT_EACCESS) < 0)
		return fail(check, EACCES, "store '%s': no permission to "
			"search it: chmod or chown it, or run as its owner",
			path);
	out->store_abs = realpath(path, NULL);
	if (out->store_abs == NULL)
		return fail(check, errno, "store '%s': can't find its full "
			"path: %s: give one that you can reach", path,
			strerror(errno));
	return 0;
}

static bool same_inode(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* 0 where the kernel can't say (before 5.8). */
static uint64_t mount_id(int fd)
{
	struct statx status;

	if (statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &status) < 0 ||
		(status.stx_mask & STATX_MNT_ID) == 0)
		return 0;
	return status.stx_mnt_id;
}

/*
 * 1 when a directory that path is in is the directory above, 0 when none is,
 * else -errno. The first step is by name, for a directory that may be mounted
 * on and not searched.
 */
static int is_below(const char *path, const struct stat *above)
{
	owned_memory char *parent = strdup(path);
	owned_fd at = -1;
	char *slash;

	if (parent == NULL)
		return -ENOMEM;
	slash = strrchr(parent, '/');
	slash[slash == parent ? 1 : 0] = '\0';
	at = open(parent, O_PATH | O_DIRECTORY | O_CLOEXEC);
	for (;;) {
		owned_fd up = openat(at, "..",
			O_PATH | O_DIRECTORY | O_CLOEXEC);
		struct stat here, there;
		int below;

		if (up < 0 || fstat(at, &here) < 0 || fstat(up, &there) < 0)
			return -errno;
		if (same_inode(&here, above))
			return 1;
		/*
		 * The root is its own parent. So seems a directory that is
		 * bound to a name in itself, but that one is another mount.
		 */
		if (same_inode(&there, &here) && mount_id(up) == mount_id(at))
			return 0;
		below = at;
		at = up;
		up = below;
	}
}

/* A directory by its filesystem and its path from that one's root. */
struct place {
	unsigned major, minor;
	char *path;
};

static void place_fini(struct place *place)
{
	free(place->path);
}

#define owned_place __attribute__((cleanup(place_fini))) struct place

/*
 * place->path stays NULL when the kernel can't say which mount a directory
 * is on: one guard less then.
 */
static int find_place(struct check *check, const char *path,
	struct place *place)
{
	owned_fd fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	owned_mountinfo info = { 0 };
	const struct mountinfo_entry *entry;
	uint64_t id = mount_id(fd);
	const char *root, *rest;
	int error;

	if (id == 0)
		return 0;
	error = mountinfo_open(&info, check->machine->mountinfo);
	if (error < 0)
		return fail(check, -error, "can't read %s: %s: mount proc",
			check->machine->mountinfo, strerror(-error));
	do {
		entry = mountinfo_next(&info);
	} while (entry != NULL && entry->id != id);
	if (entry == NULL || !path_text_is_below(path, entry->mountpoint))
		return 0;
	root = strcmp(entry->root, "/") == 0 ? "" : entry->root;
	rest = strcmp(entry->mountpoint, "/") == 0 ?
		path : path + strlen(entry->mountpoint);
	if (strcmp(rest, "/") == 0)
		rest = "";
	place->major = entry->major;
	place->minor = entry->minor;
	if (asprintf(&place->path, "%s%s", root, rest) < 0) {
		place->path = NULL;
		return fail_memory(check);
	}
	return 0;
}

static bool is_place_below(const struct place *place,
	const struct place *above)
{
	return place->path != NULL && above->path != NULL &&
	       place->major == above->major && place->minor == above->minor &&
	       path_text_is_below(place->path, above->path);
}

/* 1, 0 or a failure that has been told. */
static int is_inside(struct check *check, const char *path,
	const struct place *place, const struct stat *above,
	const struct place *above_place)
{
	int below = is_below(path, above);

	if (below < 0)
		return fail(check, -below, "'%s': can't look at the "
			"directories above it: %s: give one that you can "
			"reach", path, strerror(-below));
	return below || is_place_below(place, above_place);
}

static int check_apart(struct check *check, const struct stat *mountpoint)
{
	const struct preflight *out = check->out;
	owned_place store_place = { 0 };
	owned_place mountpoint_place = { 0 };
	struct stat store;
	int inside;

	if (fstat(out->store_fd, &store) < 0)
		return fail(check, errno, "store '%s': %s: give another "
			"directory", out->store_abs, strerror(errno));
	if (same_inode(&store, mountpoint))
		return fail(check, EINVAL, "store and mountpoint are the same "
			"directory '%s': use another mountpoint",
			out->store_abs);
	inside = find_place(check, out->store_abs, &store_place);
	if (inside == 0)
		inside = find_place(check, out->mountpoint_abs,
			&mountpoint_place);
	if (inside == 0)
		inside = is_inside(check, out->mountpoint_abs,
			&mountpoint_place, &store, &store_place);
	if (inside > 0)
		return fail(check, EINVAL, "mountpoint '%s' is inside the "
			"store '%s': use a mountpoint outside of it",
			out->mountpoint_abs, out->store_abs);
	if (inside == 0)
		inside = is_inside(check, out->store_abs, &store_place,
			mountpoint, &mountpoint_place);
	if (inside > 0)
		return fail(check, EINVAL, "store '%s' is inside the "
			"mountpoint '%s', which would hide it: use another "
			"mountpoint", out->store_abs, out->mountpoint_abs);
	return inside;
}

/* Stores that were given another name by fsname= are not recognised. */
static int find_overlapping(struct check *check)
{
	struct preflight *out = check->out;
	owned_mountinfo info = { 0 };
	const struct mountinfo_entry *entry;
	int error = mountinfo_open(&info, check->machine->mountinfo);

	while (error == 0 && (entry = mountinfo_next(&info)) != NULL) {
		if (strcmp(entry->type, FILESYSTEM_TYPE) != 0 ||
			entry->source[0] != '/' ||
			(!path_text_is_below(entry->source, out->store_abs) &&
				!path_text_is_below(out->store_abs,
					entry->source)))
			continue;
		if (asprintf(&out->overlapping, "%s, mounted at %s",
			    entry->source, entry->mountpoint) < 0) {
			out->overlapping = NULL;
			return fail_memory(check);
		}
		return 0;
	}
	return 0;
}

static int check_device(struct check *check)
{
	const char *device = check->machine->fuse_device;
	owned_fd fd = open(device, O_RDWR | O_CLOEXEC);

	if (fd >= 0)
		return 0;
	switch (errno) {
	case ENOENT:
	case ENODEV:
	case ENXIO:
		return fail(check, errno, "no %s: load the kernel's FUSE "
			"support with modprobe fuse (in a container: pass the "
			"device to it)", device);
	case EACCES:
	case EPERM:
		if (geteuid() == 0)
			return fail(check, errno, "no permission for %s even "
				"as root: this container or sandbox has to "
				"allow the device", device);
		return fail(check, errno, "no permission for %s: as root, run "
			"chmod 666 %s (udev's usual rule: KERNEL==\"fuse\", "
			"MODE=\"0666\"), or mount as root", device, device);
	default:
		return fail(check, errno, "can't open %s: %s: check the "
			"device", device, strerror(errno));
	}
}

static bool find_program(const char *path, const char *name)
{
	owned_memory char *directories = strdup(path);
	char *rest = directories;
	char *directory;

	while ((directory = strsep(&rest, ":")) != NULL) {
		owned_memory char *file = NULL;

		if (asprintf(&file, "%s/%s", directory, name) < 0) {
			file = NULL;
			return false;
		}
		if (access(file, X_OK) == 0)
			return true;
	}
	return false;
}

/* A line of its own without anything else but white space and a comment. */
static bool conf_allows_other(const char *fuse_conf)
{
	FILE *file = fopen(fuse_conf, "re");
	char *line = NULL;
	size_t size = 0;
	bool found = false;

	if (file == NULL)
		return false;
	while (!found && getline(&line, &size, file) >= 0) {
		char *start = line + strspn(line, " \t");

		start[strcspn(start, "#\n")] = '\0';
		start[strcspn(start, " \t\r")] = '\0';
		found = strcmp(start, "user_allow_other") == 0;
	}
	free(line);
	fclose(file);
	return found;
}

static int check_plain_user(struct check *check)
{
	const struct options *options = check->options;
	const char *conf = check->machine->fuse_conf;

	if (!find_program(check->machine->path, "fusermount3"))
		return fail(check, ENOENT, "no fusermount3, which mounts for "
			"plain users: install the package fuse3, or mount as "
			"root");
	if ((options->allow_other == tristate_yes || options->allow_root) &&
		!conf_allows_other(conf))
		return fail(check, EPERM, "option '%s' is not allowed for "
			"plain users: add the line user_allow_other to %s, or "
			"leave the option out",
			options->allow_root ? "allow_root" : "allow_other",
			conf);
	if (options->late_flags != 0)
		return fail(check, EPERM, "only root can set nodiratime, "
			"strictatime, lazytime and nosymfollow: leave them "
			"out, or mount as root");
	return 0;
}

/* Root in a container need not be able to mount. */
static int check_root(struct check *check)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = { 0 };
	unsigned mask = CAP_TO_MASK(CAP_SYS_ADMIN);

	if (syscall(SYS_capget, &header, data) < 0)
		return 0;
	if ((data[CAP_TO_INDEX(CAP_SYS_ADMIN)].effective & mask) == 0)
		return fail(check, EPERM, "no permission to mount, root "
			"without CAP_SYS_ADMIN: this container or service has "
			"to grant it");
	return 0;
}

static int check_all(struct check *check)
{
	struct stat mountpoint;
	int error = resolve_mountpoint(check);

	if (error < 0)
		return error;
	if (check->options->remount)
		return check_mounted(check);
	error = check_not_mounted(check);
	if (error == 0)
		error = open_store(check);
	if (error == 0)
		error = check_mountpoint(check, &mountpoint);
	if (error == 0)
		error = check_apart(check, &mountpoint);
	if (error == 0)
		error = find_overlapping(check);
	if (error == 0)
		error = check_device(check);
	if (error == 0)
		error = geteuid() == 0 ? check_root(check)
				       : check_plain_user(check);
	return error;
}

int preflight_check_machine(const struct options *options,
	const struct preflight_machine *machine, struct preflight *out,
	char *error, size_t error_size)
{
	struct check check = {
		.options = options,
		.machine = machine,
		.out = out,
		.error = error,
		.error_size = error_size,
	};
	int result;

	*out = (struct preflight){ .store_fd = -1 };
	result = check_all(&check);
	if (result < 0)
		preflight_fini(out);
	return result;
}

int preflight_check(const struct options *options, struct preflight *out,
	char *error, size_t error_size)
{
	/* Where libfuse looks, then where a shell does. */
	static const char usual[] = "/usr/bin:/bin:/usr/local/bin";
	owned_memory char *path = NULL;
	const char *environment = getenv("PATH");
	struct preflight_machine machine = {
		.fuse_device = "/dev/fuse",
		.fuse_conf = "/etc/fuse.conf",
		.mountinfo = "/proc/self/mountinfo",
	};

	if (asprintf(&path, "%s:%s", usual,
		    environment != NULL ? environment : usual) < 0) {
		path = NULL;
		*out = (struct preflight){ .store_fd = -1 };
		return line_fail(error, error_size, ENOMEM, "out of memory");
	}
	machine.path = path;
	return preflight_check_machine(options, &machine, out, error,
		error_size);
}

void preflight_fini(struct preflight *preflight)
{
	free(preflight->store_abs);
	free(preflight->mountpoint_abs);
	free(preflight->overlapping);
	if (preflight->store_fd >= 0)
		close(preflight->store_fd);
	*preflight = (struct preflight){ .store_fd = -1 };
}
