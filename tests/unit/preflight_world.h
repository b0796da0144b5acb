/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small world for preflight_check_machine(), made anew for every case.
 *
 * Real directories, mounts, devices and users. As root everything happens on
 * a tmpfs over /tmp in a mount namespace of the test's own, so that nothing
 * is left however it ends. Without root only what a plain user can be tested
 * with runs, and the rest is skipped.
 */
#ifndef MSYNCFS_TESTS_PREFLIGHT_WORLD_H
#define MSYNCFS_TESTS_PREFLIGHT_WORLD_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <linux/capability.h>
#include <linux/fuse.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "preflight.h"

#define NOBODY 65534

struct world {
	char root[32]; /* the working directory of the tests */
	struct options options;
	struct preflight_machine machine;
	struct preflight out;
	char error[512];
	int result;
	int open_before;
	pid_t server; /* of a FUSE mount, or 0 */
};

static inline int count_open(void)
{
	DIR *directory = opendir("/proc/self/fd");
	int count = 0;

	while (readdir(directory) != NULL)
		count++;
	closedir(directory);
	return count;
}

static inline void put_file(const char *path, const char *text, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	fchmod(fd, mode);
	close(fd);
}

static inline void make(const char *path, mode_t mode)
{
	assert_int_equal(mkdir(path, mode), 0);
	assert_int_equal(chmod(path, mode), 0);
}

static inline int private_tmp(void)
{
	if (unshare(CLONE_NEWNS) < 0 ||
		mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		mount("none", "/tmp", "tmpfs", 0, "mode=1777") < 0) {
		print_error("no mount namespace: %s\n", strerror(errno));
		return -1;
	}
	return 0;
}

static inline int group_setup(void **state)
{
	(void)state;
	return geteuid() == 0 ? private_tmp() : 0;
}

static inline int setup(void **state)
{
	static struct world world;

	world = (struct world){ .out.store_fd = -1 };
	strcpy(world.root, "/tmp/preflight_test.XXXXXX");
	if (mkdtemp(world.root) == NULL || chmod(world.root, 0755) < 0 ||
		chdir(world.root) < 0)
		return -1;
	make("store", 0755);
	make("mnt", 0755);
	make("bin", 0755);
	put_file("bin/fusermount3", "", 0755);
	put_file("fuse.conf", "", 0644);
	world.options = (struct options){
		.store = "store",
		.mountpoint = "mnt",
	};
	world.machine = (struct preflight_machine){
		.fuse_device = "fuse",
		.fuse_conf = "fuse.conf",
		.mountinfo = "/proc/self/mountinfo",
		.path = "missing:bin",
	};
	/* A plain user can't make a device; what is opened is not looked at. */
	if (geteuid() != 0)
		put_file("fuse", "", 0666);
	else if (mknod("fuse", S_IFCHR, makedev(10, 229)) < 0 ||
		chmod("fuse", 0666) < 0 || chown("mnt", NOBODY, NOBODY) < 0)
		return -1;
	world.open_before = count_open();
	*state = &world;
	return 0;
}

static inline int remove_entry(const char *path, const struct stat *status,
	int type, struct FTW *ftw)
{
	(void)status;
	(void)type;
	(void)ftw;
	return remove(path);
}

/* Everything that the tests mount is under their directory. */
static inline int unmount_all(const char *root)
{
	char path[512];
	char line[1024];
	bool found;

	do {
		FILE *file = fopen("/proc/self/mounts", "re");

		found = false;
		while (!found && fgets(line, sizeof(line), file) != NULL) {
			if (sscanf(line, "%*s %500s", path) == 1)
				found = strncmp(path, root, strlen(root)) == 0;
		}
		fclose(file);
		if (found) {
			/* The one escape that the tests' names need. */
			char *space = strstr(path, "\\040");

			if (space != NULL) {
				*space = ' ';
				memmove(space + 1, space + 4,
					strlen(space + 4) + 1);
			}
			if (umount2(path, MNT_DETACH) < 0)
				return -1;
		}
	} while (found);
	return 0;
}

static inline int teardown(void **state)
{
	struct world *world = *state;
	int error = 0;

	preflight_fini(&world->out);
	if (count_open() != world->open_before) {
		print_error("descriptors were left open\n");
		error = -1;
	}
	if (world->server != 0) {
		kill(world->server, SIGKILL);
		waitpid(world->server, NULL, 0);
	}
	if (chdir("/") < 0 || unmount_all(world->root) < 0)
		error = -1;
	if (nftw(world->root, remove_entry, 16, FTW_DEPTH | FTW_PHYS) != 0)
		error = -1;
	return error;
}

static inline void check(struct world *world)
{
	preflight_fini(&world->out);
	world->error[0] = '\0';
	world->result = preflight_check_machine(&world->options,
		&world->machine, &world->out, world->error,
		sizeof(world->error));
}

static inline void check_here(struct world *world, const char *store,
	const char *mountpoint)
{
	world->options.store = store;
	world->options.mountpoint = mountpoint;
	check(world);
}

/*
 * The same in a process of the user nobody: result and message come back,
 * the descriptor does not.
 */
static inline void check_as_nobody(struct world *world)
{
	int channel[2];
	int status;
	pid_t child;

	if (geteuid() != 0) {
		check(world);
		return;
	}
	assert_int_equal(pipe2(channel, O_CLOEXEC), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		struct { int result; char error[512]; } answer = { 0 };
		ssize_t sent = 0;

		if (syscall(SYS_setgroups, 0, NULL) == 0 &&
			setresgid(NOBODY, NOBODY, NOBODY) == 0 &&
			setresuid(NOBODY, NOBODY, NOBODY) == 0) {
			check(world);
			answer.result = world->result;
			strcpy(answer.error, world->error);
			sent = write(channel[1], &answer, sizeof(answer));
			preflight_fini(&world->out);
		}
		_exit(sent == sizeof(answer) ? 0 : 1);
	}
	close(channel[1]);
	assert_int_equal(read(channel[0], &world->result,
		sizeof(world->result)), sizeof(world->result));
	assert_int_equal(read(channel[0], world->error, sizeof(world->error)),
		sizeof(world->error));
	close(channel[0]);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

static inline void good(struct world *world)
{
	if (world->result != 0)
		print_error("%s\n", world->error);
	assert_int_equal(world->result, 0);
}

static inline void bad_parts(struct world *world, int result,
	const char *first, ...)
{
	va_list parts;

	if (world->result != result)
		print_error("%s\n", world->error);
	assert_int_equal(world->result, result);
	assert_null(strchr(world->error, '\n'));
	assert_int_equal(world->out.store_fd, -1);
	assert_null(world->out.store_abs);
	assert_null(world->out.mountpoint_abs);
	va_start(parts, first);
	for (const char *part = first; part != NULL;
		part = va_arg(parts, const char *)) {
		if (strstr(world->error, part) == NULL)
			fail_msg("no \"%s\" in: %s", part, world->error);
	}
	va_end(parts);
}

#define bad(world, result, ...) bad_parts(world, result, __VA_ARGS__, NULL)

#define needs_root()                                                           \
	do {                                                                   \
		if (geteuid() != 0) {                                          \
			print_message("the next case needs root\n");           \
			skip();                                                \
		}                                                              \
	} while (0)

static inline void bind_to(const char *from, const char *to)
{
	assert_int_equal(mount(from, to, NULL, MS_BIND, NULL), 0);
}

static inline void mount_tmpfs(const char *path, const char *options)
{
	assert_int_equal(mount("none", path, "tmpfs", 0, options), 0);
}

/* Answers what a look at the root needs, until the mount is gone. */
static inline void serve(int device)
{
	static char request[FUSE_MIN_READ_BUFFER * 2];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (read(device, request, sizeof(request)) > 0) {
		const struct fuse_in_header *in = (const void *)request;
		struct {
			struct fuse_out_header header;
			union {
				struct fuse_init_out init;
				struct fuse_attr_out attr;
			} body;
		} out = { .header.unique = in->unique };
		uint32_t size = sizeof(out.header);

		if (in->opcode == FUSE_INIT) {
			out.body.init.major = FUSE_KERNEL_VERSION;
			out.body.init.minor = 31;
			out.body.init.max_write = 4096;
			size += sizeof(out.body.init);
		} else if (in->opcode == FUSE_GETATTR) {
			out.body.attr.attr_valid = 3600;
			out.body.attr.attr.ino = 1;
			out.body.attr.attr.mode = S_IFDIR | 0755;
			out.body.attr.attr.nlink = 2;
			size += sizeof(out.body.attr);
		} else if (in->opcode == FUSE_FORGET ||
			   in->opcode == FUSE_BATCH_FORGET) {
			continue;
		} else {
			out.header.error = -ENOSYS;
		}
		out.header.len = size;
		if (write(device, &out, size) < 0 && errno == ENODEV)
			break;
	}
	_exit(0);
}

/* As if a daemon had been killed; the kernel keeps what it has cached. */
static inline void kill_server(struct world *world)
{
	assert_int_equal(kill(world->server, SIGKILL), 0);
	assert_int_equal(waitpid(world->server, NULL, 0), world->server);
	world->server = 0;
}

/* A real FUSE mount of that type, served or with nobody behind it. */
static inline void mount_fuse(struct world *world, const char *type,
	const char *mountpoint, bool alive)
{
	char data[96];
	int device = open("fuse", O_RDWR | O_CLOEXEC);

	assert_true(device >= 0);
	snprintf(data, sizeof(data),
		"fd=%d,rootmode=40000,user_id=0,group_id=0", device);
	assert_int_equal(mount("src", mountpoint, type, MS_NOSUID | MS_NODEV,
		data), 0);
	if (alive) {
		world->server = fork();
		assert_true(world->server >= 0);
		if (world->server == 0)
			serve(device);
	}
	close(device);
}

#define sentence(name) \
	cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
