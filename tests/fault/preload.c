// SPDX-License-Identifier: Apache-2.0
/*
 * Preloaded into the daemon: stands between it and the C library, fails the
 * call that the control file names, and counts. Here is whose calls count;
 * the hooks are in preload_files.c and preload_memory.c.
 *
 * A thread serves a request from the read of /dev/fuse that brought it until
 * its next one, or until it waits for being needed. Only calls made in
 * between count, and if asked for those of the main thread. Forgetting is
 * left out: the kernel sends it whenever it likes, and its one allocation is
 * libfuse's.
 *
 * Threads that never read /dev/fuse sync and load in the background. Of
 * theirs, only what they do to files counts, not their memory: some of them
 * are libraries'. Such a thread is busy from its first call that counts until
 * it waits or ends.
 */
#include "preload.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define FUSE_FORGET 2
#define FUSE_BATCH_FORGET 42
#define FUSE_DEVICE makedev(10, 229)

struct fault_control *control;
_Thread_local bool resolving;
_Thread_local bool starting;
static _Thread_local bool serving;
static _Thread_local uint32_t opcode;
static _Thread_local bool serves; /* has read /dev/fuse */
static _Thread_local bool busy; /* in the background */
static pthread_key_t ending;

void *resolve(const char *name)
{
	char wide[64];
	void *found;

	resolving = true;
	snprintf(wide, sizeof(wide), "%s64", name);
	found = dlsym(RTLD_NEXT, wide);
	if (!found)
		found = dlsym(RTLD_NEXT, name);
	resolving = false;
	return found;
}

/* ---- counting and failing ---------------------------------------------- */

static void done_in_background(void *thread)
{
	(void)thread;
	if (busy)
		control->background_busy--;
	busy = false;
}

__attribute__((constructor)) static void attach(void)
{
	const char *path = getenv("FAULT_CONTROL");
	long fd;
	long at;

	if (!path || pthread_key_create(&ending, done_in_background) != 0)
		return;
	fd = syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0);
	if (fd < 0)
		return;
	at = syscall(SYS_mmap, NULL, sizeof(*control), PROT_READ | PROT_WRITE,
		     MAP_SHARED, fd, 0L);
	syscall(SYS_close, fd);
	if (at != -1)
		control = (struct fault_control *)at;
}

static bool is_done_in_background(enum fault_function function)
{
	switch (function) {
	case fault_fstat:
	case fault_fsync:
	case fault_fdatasync:
	case fault_syncfs:
	case fault_sync_file_range:
	case fault_msync:
	case fault_cachestat:
	case fault_posix_fadvise:
	case fault_madvise:
	case fault_mlock2:
		return true;
	default:
		return false;
	}
}

/* The request the thread serves, FAULT_MAIN, FAULT_BACKGROUND, or -1. */
static int served_by(enum fault_function function)
{
	if (!control || !control->counting)
		return -1;
	if (serving && (opcode == FUSE_FORGET || opcode == FUSE_BATCH_FORGET))
		return -1;
	if (serving)
		return opcode < FAULT_OPCODES ? (int)opcode : FAULT_MAIN;
	if (getpid() == (pid_t)syscall(SYS_gettid))
		return control->main_thread ? FAULT_MAIN : -1;
	if (serves || !is_done_in_background(function))
		return -1;
	if (!busy) {
		pthread_setspecific(ending, control);
		control->background_busy++;
		busy = true;
	}
	return FAULT_BACKGROUND;
}

bool fails(enum fault_function function)
{
	int served = served_by(function);
	uint32_t number, position;

	if (served < 0)
		return false;
	number = atomic_fetch_add(&control->seen[function][served], 1);
	position = atomic_fetch_add(&control->traced, 1);
	if (position < FAULT_TRACE_MAX)
		control->trace[position] = (struct fault_call){
			.function = (uint8_t)function,
			.opcode = (uint8_t)served,
		};
	if (!control->armed || control->function != (int)function ||
	    control->opcode != served || number < control->number ||
	    (number > control->number && !control->lasting))
		return false;
	control->fired++;
	errno = control->error;
	return true;
}

/* ---- requests ---------------------------------------------------------- */

static bool is_fuse_device(int fd)
{
	static _Atomic int device = -1;
	struct stat st;

	if (fd == device)
		return true;
	if (device >= 0 || syscall(SYS_fstat, fd, &st) < 0 ||
	    !S_ISCHR(st.st_mode) || st.st_rdev != FUSE_DEVICE)
		return false;
	device = fd;
	return true;
}

static void done_serving(void)
{
	if (serving)
		control->busy--;
	serving = false;
}

/* A thread that is not needed now waits so. */
HOOK int hook_pthread_cond_wait(pthread_cond_t *condition,
				pthread_mutex_t *mutex)
{
	done_serving();
	done_in_background(NULL);
	return REAL(pthread_cond_wait)(condition, mutex);
}
EXPORT(pthread_cond_wait, pthread_cond_wait)

/* Tells the error by its result. */
HOOK int hook_pthread_create(pthread_t *thread,
			     const pthread_attr_t *attributes,
			     void *(*start)(void *), void *argument)
{
	int error;

	if (fails(fault_pthread_create))
		return errno;
	starting = true;
	error = REAL(pthread_create)(thread, attributes, start, argument);
	starting = false;
	return error;
}
EXPORT(pthread_create, pthread_create)

HOOK ssize_t hook_read(int fd, void *buffer, size_t size)
{
	ssize_t n;

	if (!control || !is_fuse_device(fd))
		return PASS(read, fd, buffer, size);
	done_serving();
	serves = true;
	n = REAL(read)(fd, buffer, size);
	if (n >= 8) {
		memcpy(&opcode, (char *)buffer + 4, sizeof(opcode));
		serving = true;
		control->busy++;
	}
	return n;
}
EXPORT(read, read)
