// SPDX-License-Identifier: Apache-2.0
/*
 * Each thread remembers what it has: the ids, whether CAP_FSETID and
 * CAP_SYS_RESOURCE are effective, whether groups are set, the umask. become()
 * makes the difference to what is wanted, in one order: ids first, because
 * setfsuid(2) changes the effective capabilities as a side effect, then the
 * capabilities. All calls are raw: glibc would apply them to every thread.
 */
#include "os/credentials.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "util/cleanup.h"

/* NGROUPS_MAX of Linux, and room for as many of ten digits. */
#define MAX_GROUPS 65536
#define STATUS_SIZE ((size_t)1 << 20)
#define CAP_BIT(cap) ((uint64_t)1 << (cap))

struct identity {
	uid_t uid;
	gid_t gid;
	bool keeps_bits;    /* CAP_FSETID */
	bool above_limits;  /* CAP_SYS_RESOURCE */
};

struct thread_state {
	struct identity now;
	bool known; /* now is what this thread has */
	size_t groups;
	mode_t umask;
	bool umask_known;
};

static struct {
	bool can_switch;
	bool can_passthrough;
	bool can_lock;
	uint64_t permitted;
	struct identity self;
} process;

/* What groups it starts with is not known: as if it had one. */
static _Thread_local struct thread_state thread = { .groups = 1 };

static int capabilities_get(uint64_t *permitted, uint64_t *effective)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &header, data) < 0)
		return -errno;
	*permitted = data[0].permitted | (uint64_t)data[1].permitted << 32;
	*effective = data[0].effective | (uint64_t)data[1].effective << 32;
	return 0;
}

static int capabilities_set(uint64_t effective)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[2] = {
		{ .effective = (uint32_t)effective,
		  .permitted = (uint32_t)process.permitted },
		{ .effective = (uint32_t)(effective >> 32),
		  .permitted = (uint32_t)(process.permitted >> 32) },
	};

	return syscall(SYS_capset, &header, data) < 0 ? -errno : 0;
}

void credentials_init(void)
{
	uint64_t effective = 0;
	uint64_t needed = CAP_BIT(CAP_SETUID) | CAP_BIT(CAP_SETGID) |
			  CAP_BIT(CAP_DAC_OVERRIDE) | CAP_BIT(CAP_CHOWN);

	process.self = (struct identity){
		.uid = geteuid(),
		.gid = getegid(),
		.keeps_bits = true,
		.above_limits = true,
	};
	if (capabilities_get(&process.permitted, &effective) < 0)
		return;
	process.can_switch = (effective & needed) == needed;
	process.can_passthrough = effective & CAP_BIT(CAP_SYS_ADMIN);
	process.can_lock = effective & CAP_BIT(CAP_IPC_LOCK);
}

bool credentials_can_lock(void)
{
	return process.can_lock;
}

bool credentials_can_passthrough(void)
{
	return process.can_passthrough;
}

bool credentials_can_switch(void)
{
	return process.can_switch;
}

int credentials_thread_init(void)
{
	/* It was started by another that may have been somebody just then. */
	thread = (struct thread_state){ .groups = 1 };
	if (unshare(CLONE_FS) < 0)
		return -errno;
	return credentials_restore();
}

static bool same_identity(const struct identity *a, const struct identity *b)
{
	return a->uid == b->uid && a->gid == b->gid &&
	       a->keeps_bits == b->keeps_bits &&
	       a->above_limits == b->above_limits;
}

/* setfsuid(2) tells a failure only by what the next call returns. */
static int set_ids(const struct identity *want)
{
	syscall(SYS_setfsgid, want->gid);
	syscall(SYS_setfsuid, want->uid);
	if ((gid_t)syscall(SYS_setfsgid, -1) != want->gid ||
	    (uid_t)syscall(SYS_setfsuid, -1) != want->uid)
		return -EPERM;
	return 0;
}

static int change_to(const struct identity *want)
{
	uint64_t effective = process.permitted;
	int r = 0;

	/* It takes CAP_SETUID, which a thread may have put down. */
	if (!thread.known)
		r = capabilities_set(effective);
	if (r == 0 && (!thread.known || thread.now.uid != want->uid ||
		       thread.now.gid != want->gid))
		r = set_ids(want);
	if (!want->keeps_bits)
		effective &= ~CAP_BIT(CAP_FSETID);
	if (!want->above_limits)
		effective &= ~CAP_BIT(CAP_SYS_RESOURCE);
	if (r == 0)
		r = capabilities_set(effective);
	return r;
}

static int become(const struct identity *want)
{
	int r;

	if (!process.can_switch)
		return 0;
	if (thread.known && thread.groups == 0 &&
	    same_identity(&thread.now, want))
		return 0;
	r = change_to(want);
	if (r == 0 && thread.groups > 0) {
		if (syscall(SYS_setgroups, 0, NULL) < 0)
			r = -errno;
		else
			thread.groups = 0;
	}
	thread.known = r == 0;
	thread.now = *want;
	/* Half way is nobody: better the daemon itself, and the error told. */
	if (r < 0 && change_to(&process.self) == 0) {
		thread.known = true;
		thread.now = process.self;
	}
	return r;
}

int credentials_ensure(void)
{
	return thread.known ? 0 : become(&process.self);
}

int credentials_assume(const struct caller *caller)
{
	bool root = caller->uid == 0;
	struct identity want = {
		.uid = caller->uid,
		.gid = caller->gid,
		.keeps_bits = root,
		.above_limits = root,
	};

	return become(&want);
}

/* The whole of proc_pid_status(5), ended by NUL. Bytes, or -errno. */
static ssize_t read_status(pid_t pid, char *text, size_t size)
{
	char path[64];
	size_t used = 0;
	ssize_t n = 0;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	owned_fd fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	do {
		used += (size_t)n;
		n = read(fd, text + used, size - 1 - used);
	} while (n > 0);
	text[used] = '\0';
	return n < 0 ? -errno : (ssize_t)used;
}

/* The number of the process's groups, or -errno. */
static int read_groups(pid_t pid, gid_t *groups, int max)
{
	owned_memory char *text = malloc(STATUS_SIZE);
	ssize_t n = text ? read_status(pid, text, STATUS_SIZE) : -ENOMEM;
	int count = 0;
	char *at;
	char *end;

	if (n < 0)
		return (int)n;
	at = strstr(text, "\nGroups:");
	if (!at)
		return -ENOENT;
	for (at += strlen("\nGroups:"); count < max && *at != '\n'; at = end) {
		unsigned long id = strtoul(at, &end, 10);

		if (end == at)
			break;
		groups[count++] = (gid_t)id;
		end += strspn(end, " \t");
	}
	return count;
}

int credentials_assume_with_groups(const struct caller *caller)
{
	int count = 0;
	int r = credentials_assume(caller);

	if (r < 0 || !process.can_switch || caller->uid == 0)
		return r;
	owned_memory gid_t *groups = malloc(MAX_GROUPS * sizeof(*groups));
	if (!groups)
		return -ENOMEM;
	/* A caller that is gone has no groups: the strict answer. */
	if (caller->pid > 0)
		count = read_groups(caller->pid, groups, MAX_GROUPS);
	if (count == -ENOENT || count == -ESRCH)
		count = 0;
	if (count <= 0)
		return count;
	if (syscall(SYS_setgroups, (size_t)count, groups) < 0)
		return -errno;
	thread.groups = (size_t)count;
	return 0;
}

int credentials_assume_for_write(const struct caller *caller)
{
	struct identity want = {
		.uid = caller->uid,
		.gid = caller->gid,
		.above_limits = caller->uid == 0,
	};

	if (!caller->kill_privileges)
		return credentials_restore();
	if (caller->uid != 0)
		return credentials_assume_with_groups(caller);
	/* Root without CAP_FSETID. */
	return become(&want);
}

int credentials_assume_for_backing(const struct caller *caller)
{
	struct identity want = {
		.uid = caller->uid,
		.gid = caller->gid,
		.above_limits = caller->uid == 0,
	};

	return become(&want);
}

int credentials_check_open(const struct caller *caller, int directory,
			   const char *name, int flags)
{
	int mode = flags & (O_ACCMODE | O_NOATIME);
	int r = credentials_assume_with_groups(caller);
	int fd;

	/* To truncate it takes the right to write, however it is opened. */
	if ((flags & O_TRUNC) && (flags & O_ACCMODE) == O_RDONLY)
		mode |= O_RDWR;
	if (r < 0)
		return r;
	if (process.can_switch && caller->uid != 0) {
		thread.known = false;
		r = capabilities_set(0);
		if (r < 0)
			return r;
	}
	fd = openat(directory, name,
		    mode | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	r = fd < 0 ? -errno : 0;
	if (fd >= 0)
		close(fd);
	/* What comes next needs what was put down. */
	int restored = credentials_restore();
	return restored < 0 ? restored : r;
}

int credentials_restore(void)
{
	return become(&process.self);
}

void credentials_umask(mode_t mask)
{
	if (thread.umask_known && thread.umask == mask)
		return;
	umask(mask);
	thread.umask = mask;
	thread.umask_known = true;
}
