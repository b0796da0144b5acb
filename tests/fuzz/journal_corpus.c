// SPDX-License-Identifier: Apache-2.0
/* journal_corpus DIRECTORY: writes what the fuzzer begins with. */
#include "journal_input.h"

#include <stdio.h>

int main(int argc, char **argv)
{
	static uint8_t bytes[INPUT_MAX];

	if (argc != 2) {
		fprintf(stderr, "usage: journal_corpus DIRECTORY\n");
		return 2;
	}
	for (unsigned i = 0; i < INPUT_SEEDS; i++) {
		size_t size = input_seed(i, bytes);
		char path[4096];
		FILE *file;

		snprintf(path, sizeof(path), "%s/seed-%u", argv[1], i);
		file = fopen(path, "we");
		if (!file || fwrite(bytes, 1, size, file) != size ||
			fclose(file) != 0) {
			perror(path);
			return 1;
		}
	}
	return 0;
}
