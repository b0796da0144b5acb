// SPDX-License-Identifier: Apache-2.0
#include "util/utf8.h"

size_t utf8_length(const char *text, size_t length)
{
	const unsigned char *bytes = (const unsigned char *)text;
	unsigned char first = bytes[0];
	size_t size = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 :
									   4;

	if (first < 0x80)
		return 1;
	if (first < 0xc2 || first > 0xf4 || size > length)
		return 0;
	for (size_t i = 1; i < size; i++) {
		if ((bytes[i] & 0xc0) != 0x80)
			return 0;
	}
	if ((first == 0xe0 && bytes[1] < 0xa0) ||
	    (first == 0xed && bytes[1] > 0x9f) ||
	    (first == 0xf0 && bytes[1] < 0x90) ||
	    (first == 0xf4 && bytes[1] > 0x8f))
		return 0;
	return size;
}
