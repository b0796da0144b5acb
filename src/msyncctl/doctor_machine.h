/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What this machine has that msyncfs uses, as this process finds it: tried
 * out where that is possible, else read from /proc, /sys and /etc. A value.
 * One thread.
 */
#ifndef MSYNCFS_MSYNCCTL_DOCTOR_MACHINE_H
#define MSYNCFS_MSYNCCTL_DOCTOR_MACHINE_H

#include <stdbool.h>
#include <stdint.h>

#include "msyncctl/doctor_finding.h"

struct version {
	unsigned major, minor;
	char text[64]; /* "" if it is not known */
};

enum tristate_fact {
	fact_unknown,
	fact_no,
	fact_yes,
};

#define MACHINE_WORD_MAX 32
#define MACHINE_UNLIMITED UINT64_MAX
#define MACHINE_UNKNOWN (-1)

struct machine {
	struct version kernel;
	struct version fusermount; /* libfuse's: they come together */
	bool root; /* who asks is */
	bool sys_admin, ipc_lock; /* capabilities */
	enum tristate_fact passthrough_built; /* into the kernel */
	int cachestat; /* 0 or errno */
	int memfd; /* memfd_create(2), where staged pages are: 0 or errno */
	int64_t memory; /* bytes; 0: not known */
	bool advice_cold, advice_populate, advice_collapse;
	int device; /* opening /dev/fuse: 0 or errno */
	bool has_fusermount;
	bool fusermount_suid; /* or it has capabilities */
	bool user_allow_other;
	uint64_t memlock, nofile; /* limits; MACHINE_UNLIMITED */
	int64_t max_map_count; /* these: MACHINE_UNKNOWN */
	int64_t dirty_expire, dirty_writeback; /* ms */
	char thp[MACHINE_WORD_MAX], shmem_thp[MACHINE_WORD_MAX]; /* or "" */
};

/*
 * root: put before the names of files, "" for the machine's own. path: where
 * fusermount3 is looked for, as in $PATH.
 */
void machine_look(struct machine *machine, const char *root,
		  const char *path);

/* "6.18.44-x" as 6, 18; false (and 0, 0) for what is no version. */
bool version_parse(struct version *version, const char *text);
bool version_is_least(const struct version *version, unsigned major,
		      unsigned minor);

/* Pure: what is to be said of it. */
void machine_judge(const struct machine *machine, struct findings *findings);

#endif
