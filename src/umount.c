// SPDX-License-Identifier: Apache-2.0
/*
 * umount.msyncfs: what umount(8) runs for a mount of ours, so that it comes
 * back when everything is in the store. umount(2) itself comes back when the
 * mount is gone, and the daemon only then begins with its last commit and
 * sync: a machine switched off right after it, or a store unmounted, would
 * come in between.
 *
 *	find	the mount in mountinfo, and in it the store; the store's
 *		directory is opened
 *	unmount	umount2(2), or fusermount3 for a plain user
 *	wait	until nobody has the store's lock, which a daemon has until it
 *		has ended, however that was (store/claim.h); not when the
 *		filesystem is still mounted at another place, nor when
 *		the daemon may hang (-f) or goes on (-l)
 *	judge	a daemon that could not commit leaves its journal, and errors
 *		of the store's device are told to every descriptor that was
 *		open when they came about (syncfs(2) since Linux 5.8)
 *
 * A daemon is asked nothing, because one that hangs doesn't answer; but when
 * the mount has another name than the store's path (-o fsname), there is no
 * other way to find that. -f and -l don't even then.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/mount.h>
#include <sched.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/line.h"
#include "util/mountinfo.h"

/* <sys/mount.h> and <linux/mount.h> exclude each other in some versions. */
int umount2(const char *target, int flags);
#define FLAG_FORCE    1
#define FLAG_DETACH   2
#define FLAG_NOFOLLOW 8

/* As mount(8) has them. */
enum status {
	status_done = 0,
	status_usage = 1,   /* or no permission */
	status_system = 2,  /* unmounted, but not all is in the store */
	status_failed = 32, /* still mounted */
};

#define MOUNT_TYPE  "fuse.msyncfs"
#define STATS       "user.msyncfs.stats"
#define JOURNAL     ".msyncfs/journal"
#define MESSAGE_MAX 8192
#define POLL_NS     20000000
/* Then it says what it waits for. */
#define SILENT_NS INT64_C(3000000000)

struct request {
	const char *target;
	const char *mount_namespace; /* a pid or a file; NULL: ours */
	bool lazy;
	bool force;
	bool read_only; /* at least, if it can't be unmounted */
	bool verbose;
	bool quiet; /* nothing to be unmounted is no news */
	bool dead; /* only if its daemon has ended */
};

struct target {
	char *path;
	char *source;
	unsigned major, minor;
	int store; /* its directory, or -1: not known */
	char *store_path;
};

__attribute__((format(printf, 1, 2))) static void say(const char *format, ...)
{
	char text[MESSAGE_MAX];
	char line[MESSAGE_MAX];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	line_escape(line, sizeof(line), text);
	fprintf(stderr, "umount.msyncfs: %s\n", line);
}

/* ---- the command line -------------------------------------------------- */

static void print_help(void)
{
	fputs("usage: umount.msyncfs [-flnqrv] [--dead] [-N NAMESPACE] "
	      "[-t TYPE] MOUNTPOINT\n\n"
	      "Unmounts msyncfs and waits until its daemon has ended, when\n"
	      "everything is committed and synced. umount(8) runs this.\n\n"
	      "  -f             abort what the mount is doing; don't wait\n"
	      "  -l             detach it now, unmount when nobody uses it; "
	      "don't wait\n"
	      "  -r             if it is busy, make it read-only\n"
	      "  -v             say what was done\n"
	      "  -q             nothing if nothing is mounted there\n"
	      "  --dead         only if its daemon has ended\n"
	      "  -N NAMESPACE   in the mount namespace of a process, or of a "
	      "file\n"
	      "  -n, -t TYPE    accepted and ignored\n"
	      "  -h, --help     print this\n"
	      "  -V, --version  print the version\n\n"
	      "Exit status:\n"
	      "  0   unmounted; without -f and -l everything is in the store\n"
	      "  1   wrong command line, or no permission\n"
	      "  2   unmounted, but not everything is in the store\n"
	      "  32  not unmounted\n",
		stdout);
}

/* -1: go on; else the exit status. */
static int parse(int argc, char **argv, struct request *request)
{
	static const struct option names[] = {
		{"dead", no_argument, NULL, 'd'},
		{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'V'},
		{NULL, 0, NULL, 0},
	};
	int option;

	opterr = 0;
	while ((option = getopt_long(
			argc, argv, ":flnqrvhVN:t:", names, NULL)) != -1) {
		switch (option) {
		case 'f':
			request->force = true;
			break;
		case 'l':
			request->lazy = true;
			break;
		case 'r':
			request->read_only = true;
			break;
		case 'v':
			request->verbose = true;
			break;
		case 'q':
			request->quiet = true;
			break;
		case 'd':
			request->dead = true;
			break;
		case 'N':
			request->mount_namespace = optarg;
			break;
		case 'n':
		case 't':
			break;
		case 'h':
			print_help();
			return status_done;
		case 'V':
			puts("umount.msyncfs " MSYNCFS_VERSION);
			return status_done;
		default:
			say("%s is not known or lacks its value: see "
			    "umount.msyncfs --help",
				argv[optind - 1]);
			return status_usage;
		}
	}
	if (argc - optind == 1 && !*argv[optind] && request->quiet)
		return status_done;
	if (argc - optind != 1 || !*argv[optind]) {
		say("expected one mountpoint: see umount.msyncfs --help");
		return status_usage;
	}
	request->target = argv[optind];
	return -1;
}

static int enter_namespace(const char *name)
{
	owned_memory char *path = NULL;

	if (asprintf(&path,
		    strspn(name, "0123456789") == strlen(name)
			    ? "/proc/%s/ns/mnt"
			    : "%s",
		    name) < 0)
		return -ENOMEM;
	owned_fd fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || setns(fd, CLONE_NEWNS) < 0) {
		int r = -errno;

		say("mount namespace %s: %s", path, strerror(errno));
		return r;
	}
	return 0;
}

/* ---- finding ----------------------------------------------------------- */

/*
 * The mount that is on top at the path. -1; or an exit status, and it has been
 * said why.
 */
static int find_mount(const struct request *request, struct target *target)
{
	owned_mountinfo info = {0};
	owned_memory char *type = NULL;
	const struct mountinfo_entry *entry;

	/* realpath(3) sends nothing to what is mounted there. */
	target->path = realpath(request->target, NULL);
	if (!target->path)
		target->path = strdup(request->target);
	if (!target->path ||
		mountinfo_open(&info, "/proc/self/mountinfo") < 0) {
		say("/proc/self/mountinfo can't be read: mount proc");
		return status_failed;
	}
	while ((entry = mountinfo_next(&info)) != NULL) {
		if (strcmp(entry->mountpoint, target->path) != 0)
			continue;
		free(type);
		free(target->source);
		type = strdup(entry->type);
		target->source = strdup(entry->source);
		target->major = entry->major;
		target->minor = entry->minor;
	}
	if (type && target->source && strcmp(type, MOUNT_TYPE) == 0)
		return -1;
	if (!type && request->quiet)
		return status_done;
	if (!type)
		say("%s: nothing is mounted there", target->path);
	else
		say("%s: a filesystem of type %s is mounted there: use umount "
		    "-i",
			target->path, type);
	return status_failed;
}

/* A daemon or a recovery has it. */
static bool is_in_use(int store)
{
	if (flock(store, LOCK_SH | LOCK_NB) < 0)
		return errno == EWOULDBLOCK;
	flock(store, LOCK_UN);
	return false;
}

/* What the daemon itself says; the caller frees it. */
static char *ask_for_store(const struct target *target)
{
	ssize_t size = getxattr(target->path, STATS, NULL, 0);
	/* It may have grown in between. */
	size_t room = size > 0 ? (size_t)size + 4096 : 0;
	owned_memory char *text = room > 0 ? malloc(room + 1) : NULL;
	char *line;

	if (!text)
		return NULL;
	size = getxattr(target->path, STATS, text, room);
	if (size < 0)
		return NULL;
	text[size] = '\0';
	line = strstr(text, "store=/");
	if (!line || (line != text && line[-1] != '\n'))
		return NULL;
	line += strlen("store=");
	return strndup(line, strcspn(line, "\n"));
}

static void find_store(const struct request *request, struct target *target)
{
	const int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;

	if (target->source[0] == '/') {
		target->store_path = strdup(target->source);
		target->store = open(target->source, flags);
		if (target->store >= 0 && is_in_use(target->store))
			return;
	}
	if (request->force || request->lazy)
		return;
	owned_memory char *path = ask_for_store(target);
	if (!path)
		return;
	if (target->store >= 0)
		close(target->store);
	free(target->store_path);
	target->store = open(path, flags);
	target->store_path = path;
	path = NULL;
}

/* ---- unmounting -------------------------------------------------------- */

static int unmount_as_user(
	const struct request *request, const struct target *target)
{
	char *arguments[] = {(char *)"fusermount3",
		(char *)(request->lazy ? "-uz" : "-u"), (char *)"--",
		target->path, NULL};
	extern char **environ;
	int status;
	pid_t pid;
	int r = posix_spawnp(
		&pid, arguments[0], NULL, NULL, arguments, environ);

	if (r != 0) {
		say("%s: running fusermount3: %s", target->path, strerror(r));
		return status_failed;
	}
	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return status_failed;
	}
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? status_done
							     : status_failed;
}

/* The mount's other flags stay: Linux 5.12. */
static int make_read_only(const struct target *target)
{
	struct mount_attr change = {.attr_set = MOUNT_ATTR_RDONLY};

	if (syscall(SYS_mount_setattr, AT_FDCWD, target->path, 0, &change,
		    sizeof(change)) < 0) {
		say("%s: it is busy, and can't be made read-only: %s",
			target->path, strerror(errno));
		return status_failed;
	}
	say("%s is busy and read-only now", target->path);
	return status_done;
}

/* 0; else an exit status, and it has been said why. */
static int unmount(const struct request *request, const struct target *target,
	bool *still_mounted)
{
	int flags = FLAG_NOFOLLOW;

	if (request->force)
		flags |= FLAG_FORCE;
	if (request->lazy)
		flags |= FLAG_DETACH;
	if (umount2(target->path, flags) == 0)
		return status_done;
	switch (errno) {
	case EPERM:
		if (geteuid() != 0)
			return unmount_as_user(request, target);
		say("%s: unmounting takes CAP_SYS_ADMIN", target->path);
		return status_usage;
	case EBUSY:
		if (request->read_only) {
			*still_mounted = true;
			return make_read_only(target);
		}
		say("%s is busy: end the programs that use it (fuser -vm %s "
		    "lists them), or use umount -l",
			target->path, target->path);
		return status_failed;
	default:
		say("%s: unmounting: %s", target->path, strerror(errno));
		return status_failed;
	}
}

/* ---- waiting ----------------------------------------------------------- */

/*
 * The kernel's own list of FUSE connections, without mounting it anywhere;
 * for a plain user where it is mounted. -1: not known.
 */
static int open_connections(void)
{
	int context = (int)syscall(SYS_fsopen, "fusectl", 1 /* CLOEXEC */);
	int fd = -1;

	if (context >= 0) {
		if (syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, NULL,
			    NULL, 0) == 0)
			fd = (int)syscall(
				SYS_fsmount, context, FSMOUNT_CLOEXEC, 0);
		close(context);
	}
	return fd >= 0 ? fd
		       : open("/sys/fs/fuse/connections",
				 O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* In another mount namespace; false where that can't be told. */
static bool is_mounted_unseen(const struct target *target)
{
	owned_fd connections = open_connections();
	char name[32];

	snprintf(name, sizeof(name), "%u", target->minor);
	return target->major == 0 && connections >= 0 &&
	       faccessat(connections, name, F_OK, 0) == 0;
}

/* Its daemon goes on then. */
static bool is_mounted_elsewhere(const struct target *target)
{
	owned_mountinfo info = {0};
	const struct mountinfo_entry *entry;

	if (mountinfo_open(&info, "/proc/self/mountinfo") < 0)
		return false;
	while ((entry = mountinfo_next(&info)) != NULL) {
		if (entry->major != target->major ||
			entry->minor != target->minor)
			continue;
		say("%s is unmounted; it is still mounted at %s, so its "
		    "daemon goes on",
			target->path, entry->mountpoint);
		return true;
	}
	if (!is_mounted_unseen(target))
		return false;
	say("%s is unmounted here; another mount namespace still has it, so "
	    "its daemon goes on",
		target->path);
	return true;
}

/* By somebody else, after our daemon has ended. */
static bool is_mounted_anew(const struct target *target)
{
	owned_mountinfo info = {0};
	const struct mountinfo_entry *entry;

	if (mountinfo_open(&info, "/proc/self/mountinfo") < 0)
		return false;
	while ((entry = mountinfo_next(&info)) != NULL) {
		if (strcmp(entry->type, MOUNT_TYPE) == 0 &&
			strcmp(entry->source, target->store_path) == 0)
			return true;
	}
	return false;
}

/* False: the store is somebody else's by now, of which nothing can be told. */
static bool await_daemon(const struct target *target)
{
	const struct timespec pause = {.tv_nsec = POLL_NS};
	int64_t waited = 0;

	while (is_in_use(target->store)) {
		if (is_mounted_anew(target))
			return false;
		nanosleep(&pause, NULL);
		waited += POLL_NS;
		if (waited == SILENT_NS)
			say("%s is unmounted; waiting for its daemon to commit "
			    "and sync %s",
				target->path, target->store_path);
	}
	return true;
}

/* ---- judging ----------------------------------------------------------- */

static int judge(const struct target *target)
{
	if (faccessat(target->store, JOURNAL, F_OK, 0) == 0) {
		say("%s is unmounted, but its daemon did not end properly: %s "
		    "is to be used after the next mount or msyncctl recover "
		    "only, which carry out the journal in it; the daemon's "
		    "log says more",
			target->path, target->store_path);
		return status_system;
	}
	if (syncfs(target->store) < 0) {
		say("%s is unmounted, but the file system of %s could not "
		    "write everything: %s",
			target->path, target->store_path, strerror(errno));
		return status_system;
	}
	return status_done;
}

/*
 * A request to the mount. What has ended says so at once; whoever asks for
 * this has to wait for one that hangs, as it may still come back.
 */
static bool is_dead(const struct target *target)
{
	struct statx status;

	return statx(AT_FDCWD, target->path,
		       AT_STATX_FORCE_SYNC | AT_SYMLINK_NOFOLLOW, STATX_TYPE,
		       &status) < 0 &&
	       errno == ENOTCONN;
}

/* The daemon of a service has crashed, but this one is another's. */
static int leave_alone(
	const struct request *request, const struct target *target)
{
	if (request->quiet)
		return status_done;
	say("%s: its daemon has not ended: expected a dead mount, for --dead",
		target->path);
	return status_failed;
}

static int work(const struct request *request, struct target *target)
{
	bool still_mounted = false;
	int status = find_mount(request, target);

	if (status >= 0)
		return status;
	if (request->dead && !is_dead(target))
		return leave_alone(request, target);
	find_store(request, target);
	status = unmount(request, target, &still_mounted);
	if (status != 0 || still_mounted)
		return status;
	if (request->force || request->lazy) {
		if (request->verbose)
			say("%s is unmounted; not waited for its daemon",
				target->path);
		return status_done;
	}
	if (is_mounted_elsewhere(target))
		return status_done;
	if (target->store < 0) {
		say("%s is unmounted; its store can't be found, so not waited "
		    "for its daemon",
			target->path);
		return status_done;
	}
	if (await_daemon(target))
		status = judge(target);
	if (status == 0 && request->verbose)
		say("%s is unmounted, everything is in %s", target->path,
			target->store_path);
	return status;
}

int main(int argc, char **argv)
{
	struct request request = {0};
	struct target target = {.store = -1};
	int status = parse(argc, argv, &request);

	if (status >= 0)
		return status;
	if (request.mount_namespace &&
		enter_namespace(request.mount_namespace) < 0)
		return status_failed;
	status = work(&request, &target);
	if (target.store >= 0)
		close(target.store);
	free(target.path);
	free(target.source);
	free(target.store_path);
	return status;
}
