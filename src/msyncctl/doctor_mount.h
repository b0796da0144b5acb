/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is to be said of one mount, by what its daemon tells. Pure.
 */
#ifndef MSYNCFS_MSYNCCTL_DOCTOR_MOUNT_H
#define MSYNCFS_MSYNCCTL_DOCTOR_MOUNT_H

#include <stdint.h>

#include "msyncctl/doctor_machine.h"
#include "msyncctl/mount_reader.h"

struct mount_facts {
	const char *mountpoint;
	const struct machine *machine;
	int error; /* why there is no reading at all, or 0 */
	const struct reading *root; /* stats and status */
	int store_error; /* why there is none of these, or 0 */
	const struct reading *store; /* files, store and open */
};

void mount_judge(const struct mount_facts *facts, struct findings *findings);

/*
 * How much time's work, ns, a crash can take although fsync has said that it
 * is safe: 0 where fsync is honoured, WINDOW_KERNEL where only the kernel's
 * own writeback ends it. sync: the text of a policy.
 */
#define WINDOW_KERNEL INT64_MAX
int64_t sync_window(const char *sync);

#endif
