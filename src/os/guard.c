// SPDX-License-Identifier: Apache-2.0
/*
 * The handler jumps back into guard_copy() when the fault came from there,
 * and dies of the signal as before when it did not: a SIGBUS outside a guard
 * is a bug of ours and must leave a core.
 *
 * sigsetjmp with 0 costs no syscall and saves no signal mask; the handler
 * gives back the one that was interrupted.
 */
#include "os/guard.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <ucontext.h>

static _Thread_local sigjmp_buf *guard_point;

static void catch_bus_error(int signal_number, siginfo_t *info, void *context)
{
	const ucontext_t *interrupted = context;

	(void)info;
	if (guard_point) {
		pthread_sigmask(SIG_SETMASK, &interrupted->uc_sigmask, NULL);
		siglongjmp(*guard_point, 1);
	}
	signal(signal_number, SIG_DFL);
	raise(signal_number);
}

int guard_init(void)
{
	struct sigaction action = {
		.sa_sigaction = catch_bus_error,
		.sa_flags = SA_SIGINFO,
	};

	sigemptyset(&action.sa_mask);
	if (sigaction(SIGBUS, &action, NULL) < 0)
		return -errno;
	return 0;
}

bool guard_copy(void *to, const void *from, size_t size)
{
	sigjmp_buf point;

	if (sigsetjmp(point, 0) != 0) {
		guard_point = NULL;
		return false;
	}
	guard_point = &point;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	memcpy(to, from, size);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	guard_point = NULL;
	return true;
}
