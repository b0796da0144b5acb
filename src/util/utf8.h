/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which bytes are UTF-8: names of files may be anything. Pure.
 */
#ifndef MSYNCFS_UTIL_UTF8_H
#define MSYNCFS_UTIL_UTF8_H

#include <stddef.h>

/* U+FFFD, for bytes that are none. */
#define UTF8_REPLACEMENT "\xef\xbf\xbd"

/*
 * Bytes of the character that text, of length bytes and at least one, begins
 * with; 0: it begins with none. None is longer than needed, a surrogate or
 * past U+10FFFF (RFC 3629).
 */
size_t utf8_length(const char *text, size_t length);

#endif
