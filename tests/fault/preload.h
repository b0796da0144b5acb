/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the parts of the preloaded library share: how a hook is written, and
 * whether its call is to fail. Any thread of the daemon.
 */
#ifndef MSYNCFS_TESTS_FAULT_PRELOAD_H
#define MSYNCFS_TESTS_FAULT_PRELOAD_H

#include <stdatomic.h>
#include <stdbool.h>

#include "control.h"

/* NULL: nobody tells what is to fail. */
extern struct fault_control *control;
/* dlsym(3) is at work in this thread. */
extern _Thread_local bool resolving;
/* This thread is in a library that ends the program if a call fails. */
extern _Thread_local bool exempt;
/* This thread starts another, which has blocks of its own as long as it is. */
extern _Thread_local bool starting;

/* The C library's function; the one with 64 bit offsets if there are two. */
void *resolve(const char *name);

/* Counts the call. True, with errno set, when it is to fail. */
bool fails(enum fault_function function);

/* Is this address in the program itself, not in a library? */
bool is_of_program(const void *code);

/* A pointer to the function that a hook stands for. */
#define REAL(name)                                                       \
	({                                                               \
		static __typeof__(hook_##name) *_Atomic real_function;   \
		__typeof__(hook_##name) *now = real_function;            \
		if (!now) {                                              \
			now = (__typeof__(hook_##name) *)resolve(#name); \
			real_function = now;                             \
		}                                                        \
		now;                                                     \
	})

/* A hook is static and exported under the names it takes the place of. */
#define HOOK __attribute__((used)) static
#define EXPORT(hook, symbol)                                 \
	extern __typeof__(hook_##hook) exported_##symbol     \
		__asm__(#symbol) __attribute__((alias("hook_" #hook)));
#define EXPORT_WIDE(hook) EXPORT(hook, hook) EXPORT(hook, hook##64)

/* A result of -1 on failure, else what the real function says. */
#define PASS_AS(family, name, ...) \
	(fails(fault_##family) ? -1 : REAL(name)(__VA_ARGS__))
#define PASS(name, ...) PASS_AS(name, name, __VA_ARGS__)

#endif
