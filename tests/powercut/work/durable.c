// SPDX-License-Identifier: Apache-2.0
/*
 * For shell scripts and for programs that can start one:
 *
 *	durable NAME NUMBER
 *
 * commits everything on the mount and, when that is done, claims it in the
 * list of marks (work.h).
 */
#include "work.h"

int main(int argc, char **argv)
{
	char line[200];

	if (argc != 3) {
		fprintf(stderr, "usage: durable NAME NUMBER\n");
		return 2;
	}
	snprintf(line, sizeof(line), "%s %s", argv[1], argv[2]);
	if (work_durable(line)) {
		perror("durable");
		return 1;
	}
	return 0;
}
