// SPDX-License-Identifier: Apache-2.0
/*
 * Preloaded: memory of all kinds, and how much of it the daemon holds.
 */
#include "preload.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/*
 * dlsym(3) may allocate before there is an allocator to hand on to; those
 * few blocks are never given back.
 */
static _Alignas(16) char early[65536];
static _Atomic size_t early_used;

static void *early_block(size_t size)
{
	size_t need = (size + 15) & ~(size_t)15;
	size_t at = atomic_fetch_add(&early_used, need);

	return at + need <= sizeof(early) ? early + at : NULL;
}

static bool is_early(const void *block)
{
	return (const char *)block >= early &&
	       (const char *)block < early + sizeof(early);
}

/*
 * What the daemon retires it has freed in batches: here ends one. The first
 * call starts a thread, and aborts where it can't.
 */
struct rcu_head;

HOOK void hook_urcu_memb_call_rcu(struct rcu_head *head,
				  void (*function)(struct rcu_head *head))
{
	if (control)
		control->grace_periods++;
	exempt = true;
	REAL(urcu_memb_call_rcu)(head, function);
	exempt = false;
}
EXPORT(urcu_memb_call_rcu, urcu_memb_call_rcu)

#define MAPPINGS_MAX 4096
static void *_Atomic mapped[MAPPINGS_MAX];

static void note_mapping(void *base)
{
	for (unsigned i = 0; i < MAPPINGS_MAX; i++) {
		void *none = NULL;

		if (!mapped[i] &&
		    atomic_compare_exchange_strong(&mapped[i], &none, base)) {
			control->mappings++;
			return;
		}
	}
	abort();
}

static void forget_mapping(void *base)
{
	for (unsigned i = 0; i < MAPPINGS_MAX; i++) {
		void *this = base;

		if (atomic_compare_exchange_strong(&mapped[i], &this, NULL)) {
			control->mappings--;
			return;
		}
	}
}

static bool is_noted(void *base)
{
	for (unsigned i = 0; i < MAPPINGS_MAX; i++) {
		if (mapped[i] == base)
			return true;
	}
	return false;
}

HOOK void *hook_mmap(void *at, size_t size, int protection, int flags, int fd,
		     off_t offset)
{
	void *base;

	if (fails(fd < 0 ? fault_mmap_memory : fault_mmap_file))
		return MAP_FAILED;
	base = REAL(mmap)(at, size, protection, flags, fd, offset);
	if (control && fd >= 0 && base != MAP_FAILED)
		note_mapping(base);
	return base;
}
EXPORT_WIDE(mmap)

HOOK int hook_munmap(void *base, size_t size)
{
	if (control)
		forget_mapping(base);
	return REAL(munmap)(base, size);
}
EXPORT(munmap, munmap)

HOOK void *hook_mremap(void *base, size_t size, size_t wanted, int flags, ...)
{
	void *at = NULL;
	va_list arguments;

	va_start(arguments, flags);
	if (flags & MREMAP_FIXED)
		at = va_arg(arguments, void *);
	va_end(arguments);
	if (fails(fault_mremap))
		return MAP_FAILED;
	at = REAL(mremap)(base, size, wanted, flags, at);
	if (control && at != MAP_FAILED && at != base && is_noted(base)) {
		forget_mapping(base);
		note_mapping(at);
	}
	return at;
}
EXPORT(mremap, mremap)

HOOK int hook_madvise(void *base, size_t size, int advice)
{
	return PASS(madvise, base, size, advice);
}
EXPORT(madvise, madvise)

HOOK int hook_mincore(void *base, size_t size, unsigned char *present)
{
	return PASS(mincore, base, size, present);
}
EXPORT(mincore, mincore)

HOOK int hook_mlock2(const void *base, size_t size, unsigned flags)
{
	return PASS(mlock2, base, size, flags);
}
EXPORT(mlock2, mlock2)

HOOK int hook_msync(void *base, size_t size, int flags)
{
	return PASS(msync, base, size, flags);
}
EXPORT(msync, msync)

HOOK int hook_memfd_create(const char *name, unsigned flags)
{
	return PASS(memfd_create, name, flags);
}
EXPORT(memfd_create, memfd_create)

static void *counted(void *block)
{
	if (control && block && !starting)
		control->blocks++;
	return block;
}

HOOK void *hook_malloc(size_t size)
{
	if (resolving)
		return early_block(size);
	return fails(fault_malloc) ? NULL : counted(REAL(malloc)(size));
}
EXPORT(malloc, malloc)

HOOK void *hook_calloc(size_t count, size_t size)
{
	if (resolving)
		return early_block(count * size); /* zero, used once */
	return fails(fault_calloc) ? NULL : counted(REAL(calloc)(count, size));
}
EXPORT(calloc, calloc)

HOOK void *hook_realloc(void *block, size_t size);

/*
 * The C library's own calls are left out: a stream in memory doesn't outlive
 * that its buffer can't be made smaller.
 */
static void *resized(void *block, size_t size, const void *caller)
{
	if (is_early(block)) {
		void *copy = hook_malloc(size);
		size_t room = (size_t)(early + sizeof(early) - (char *)block);

		if (copy)
			memcpy(copy, block, size < room ? size : room);
		return copy;
	}
	if (!block)
		return hook_malloc(size);
	if (is_of_program(caller) && fails(fault_realloc))
		return NULL;
	return REAL(realloc)(block, size);
}

HOOK void *hook_realloc(void *block, size_t size)
{
	return resized(block, size, __builtin_return_address(0));
}
EXPORT(realloc, realloc)

HOOK void *hook_reallocarray(void *block, size_t count, size_t size)
{
	size_t bytes;

	if (__builtin_mul_overflow(count, size, &bytes)) {
		errno = ENOMEM;
		return NULL;
	}
	return resized(block, bytes, __builtin_return_address(0));
}
EXPORT(reallocarray, reallocarray)

HOOK void hook_free(void *block)
{
	if (!block || is_early(block))
		return;
	/* Of blocks allocated before attach() a few are freed uncounted. */
	if (control)
		control->blocks--;
	REAL(free)(block);
}
EXPORT(free, free)
