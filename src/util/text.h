/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text that is put together in memory through a stdio stream. One thread.
 *
 * As open_memstream(3), which in glibc goes on without a word when memory is
 * short, and leaves a text with a gap.
 */
#ifndef MSYNCFS_UTIL_TEXT_H
#define MSYNCFS_UTIL_TEXT_H

#include <stddef.h>
#include <stdio.h>

/*
 * NULL: out of memory. After text_close() *text is the caller's to free, also
 * if that failed, and has a NUL behind its *length bytes; NULL if there was
 * no memory at all.
 */
FILE *text_open(char **text, size_t *length);

/* 0, or -ENOMEM: the text is not complete. */
int text_close(FILE *stream);

#endif
