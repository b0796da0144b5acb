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
 * are libraries'. With all_threads, all that the daemon's own do counts. Such
 * a thread is busy from its first call that counts until it waits or ends.
 *
 * A thread that waits is not needed now, or it serves a request that waits
 * for another thread's work: its next call tells.
 */
#include "preload.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
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
_Thread_local bool exempt;
_Thread_local bool starting;
static _Thread_local bool serving;
static _Thread_local bool waited; /* while serving */
static _Thread_local bool own; /* the daemon's, not a library's */
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

/* Where the program itself is, without its libraries. */
static uintptr_t program_begin, program_end;

static int note_program(struct dl_phdr_info *info, size_t size, void *context)
{
	(void)size;
	(void)context;
	for (unsigned i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *part = &info->dlpi_phdr[i];
		uintptr_t begin = info->dlpi_addr + part->p_vaddr;

		if (part->p_type != PT_LOAD)
			continue;
		if (program_begin == 0 || begin < program_begin)
			program_begin = begin;
		if (begin + part->p_memsz > program_end)
			program_end = begin + part->p_memsz;
	}
	return 1; /* it comes first */
}

bool is_of_program(const void *code)
{
	return (uintptr_t)code >= program_begin &&
	       (uintptr_t)code < program_end;
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

	dl_iterate_phdr(note_program, NULL);
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

static bool counts_in_background(enum fault_function function)
{
	/* What it is closed for has been done before. */
	if (control->all_threads && own)
		return function != fault_close;
	return is_done_in_background(function);
}

/* The request the thread serves, FAULT_MAIN, FAULT_BACKGROUND, or -1. */
static int served_by(enum fault_function function)
{
	if (!control || !control->counting || exempt)
		return -1;
	if (waited) {
		waited = false;
		serving = true;
		control->busy++;
	}
	if (serving && (opcode == FUSE_FORGET || opcode == FUSE_BATCH_FORGET))
		return -1;
	if (serving)
		return opcode < FAULT_OPCODES ? (int)opcode : FAULT_MAIN;
	if (getpid() == (pid_t)syscall(SYS_gettid))
		return control->main_thread ? FAULT_MAIN : -1;
	if (serves || !counts_in_background(function))
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

/* ---- waiting ------------------------------------------------------------ */

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

static void begins_to_wait(void)
{
	waited |= serving;
	done_serving();
	done_in_background(NULL);
}

HOOK int hook_pthread_cond_wait(pthread_cond_t *condition,
				pthread_mutex_t *mutex)
{
	begins_to_wait();
	return REAL(pthread_cond_wait)(condition, mutex);
}
EXPORT(pthread_cond_wait, pthread_cond_wait)

HOOK int hook_pthread_cond_timedwait(pthread_cond_t *condition,
				     pthread_mutex_t *mutex,
				     const struct timespec *until)
{
	begins_to_wait();
	return REAL(pthread_cond_timedwait)(condition, mutex, until);
}
EXPORT(pthread_cond_timedwait, pthread_cond_timedwait)

/* ---- threads ----------------------------------------------------------- */

#define THREADS_MAX 4096

struct thread_start {
	void *(*start)(void *);
	void *argument;
};
static struct thread_start starts[THREADS_MAX];
static _Atomic unsigned start_count;

static void *start_own(void *argument)
{
	struct thread_start *this = argument;

	own = true;
	return this->start(this->argument);
}

/* Tells the error by its result. */
HOOK int hook_pthread_create(pthread_t *thread,
			     const pthread_attr_t *attributes,
			     void *(*start)(void *), void *argument)
{
	unsigned number;
	int error;

	if (fails(fault_pthread_create))
		return errno;
	if (is_of_program((void *)start)) {
		number = atomic_fetch_add(&start_count, 1) % THREADS_MAX;
		starts[number] = (struct thread_start){ start, argument };
		start = start_own;
		argument = &starts[number];
	}
	starting = true;
	error = REAL(pthread_create)(thread, attributes, start, argument);
	starting = false;
	return error;
}
EXPORT(pthread_create, pthread_create)

/* ---- requests ---------------------------------------------------------- */

HOOK ssize_t hook_read(int fd, void *buffer, size_t size)
{
	ssize_t n;

	if (!control || !is_fuse_device(fd))
		return PASS(read, fd, buffer, size);
	done_serving();
	waited = false;
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
