// SPDX-License-Identifier: Apache-2.0
/*
 * What is missing, what that costs and how to get it, one function for each
 * thing. Costs are what was measured or what the manual promises; a number
 * that depends on the machine is left out.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "msyncctl/doctor_machine.h"
#include "util/quantity.h"

/* Less than this is too little to hold a file worth holding. */
#define MEMLOCK_LEAST (UINT64_C(64) << 20)
#define NOFILE_LEAST 16384
/* Of memory for staged pages. */
#define STAGE_LEAST (UINT64_C(64) << 20)
/* The kernel's own default. */
#define MAPS_LEAST 65530
#define EXPIRE_MOST (60 * 1000)

static struct finding *add(struct findings *findings,
	enum finding_level level, const char *name)
{
	return findings_add(findings, level, NULL, name);
}

static void judge_kernel(const struct machine *machine,
	struct findings *findings)
{
	finding_text(add(findings, finding_ok, "kernel"), "Linux %s",
		machine->kernel.text);
}

static void judge_device(const struct machine *machine,
	struct findings *findings)
{
	struct finding *finding;

	if (machine->device == 0) {
		finding_text(add(findings, finding_ok, "device"),
			"/dev/fuse can be opened");
		return;
	}
	finding = finding_text(add(findings, finding_missing, "device"),
		"/dev/fuse: %s", strerror(machine->device));
	finding_cost(finding, "nothing can be mounted%s",
		machine->root ? "" : " by this user");
	if (machine->device == ENOENT || machine->device == ENODEV ||
		machine->device == ENXIO)
		finding_get(finding, "modprobe fuse; in a container, pass the "
			"device to it");
	else if (machine->root)
		finding_get(finding, "this container or sandbox has to allow "
			"the device");
	else
		finding_get(finding, "as root: chmod 666 /dev/fuse");
}

/* Who mounts as root needs it for auto_unmount only. */
static void judge_fusermount(const struct machine *machine,
	struct findings *findings)
{
	enum finding_level level =
		machine->root ? finding_costs : finding_missing;
	struct finding *finding;

	if (machine->has_fusermount &&
		(machine->root || machine->fusermount_suid)) {
		finding_text(add(findings, finding_ok, "fusermount3"),
			"version %s", machine->fusermount.text[0] ?
				machine->fusermount.text : "unknown");
		return;
	}
	finding = add(findings, level, "fusermount3");
	finding_text(finding, machine->has_fusermount ?
		"has no setuid bit" : "is not there");
	finding_cost(finding, "only root can mount; no auto_unmount");
	finding_get(finding, machine->has_fusermount ?
		"as root: chmod u+s fusermount3 (the package does that)" :
		"install the package fuse3");
}

static void judge_libfuse(const struct machine *machine,
	struct findings *findings)
{
	const struct version *version = &machine->fusermount;
	struct finding *finding;

	if (version->text[0] == '\0')
		return;
	if (version_is_least(version, 3, 14)) {
		finding_text(add(findings, finding_ok, "libfuse"), "%s",
			version->text);
		return;
	}
	if (version_is_least(version, 3, 10)) {
		finding = add(findings, finding_costs, "libfuse");
		finding_cost(finding, "no passthrough: every read and write "
			"is a request to the daemon");
	} else {
		finding = add(findings, finding_missing, "libfuse");
		finding_cost(finding, "msyncfs needs 3.10");
	}
	finding_text(finding, "%s is older than 3.14", version->text);
	finding_get(finding, "libfuse 3.14 or newer (Debian 12, Ubuntu 24.04)");
}

static void judge_passthrough(const struct machine *machine,
	struct findings *findings)
{
	struct finding *finding;

	if (version_is_least(&machine->kernel, 6, 9) &&
		machine->passthrough_built != fact_no && machine->sys_admin) {
		finding_text(add(findings, finding_ok, "passthrough"),
			"the kernel can read and write the store's files "
			"itself");
		return;
	}
	finding = finding_cost(add(findings, finding_costs, "passthrough"),
		"every read and write is a request to the daemon, about ten "
		"microseconds each; nothing else is lost");
	if (!version_is_least(&machine->kernel, 6, 9)) {
		finding_text(finding, "Linux %s does not have it",
			machine->kernel.text);
		finding_get(finding, "Linux 6.9 or newer");
	} else if (machine->passthrough_built == fact_no) {
		finding_text(finding, "this kernel is built without it");
		finding_get(finding, "a kernel with "
			"CONFIG_FUSE_PASSTHROUGH=y");
	} else {
		finding_text(finding, "needs CAP_SYS_ADMIN, which %s lacks",
			machine->root ? "root has been denied and" :
					"a plain user");
		finding_get(finding, machine->root ?
			"this container or service has to grant it" :
			"mount as root");
	}
}

static void judge_cachestat(const struct machine *machine,
	struct findings *findings)
{
	struct finding *finding;

	if (machine->cachestat == 0) {
		finding_text(add(findings, finding_ok, "cachestat"),
			"dirty pages can be counted");
		return;
	}
	finding = finding_text(add(findings, finding_costs, "cachestat"),
		"the kernel answers: %s", strerror(machine->cachestat));
	/* A kernel without passthrough has no kernel path to be blind on. */
	finding_cost(finding, "dirty, written and evicted pages are not known "
		"(\"-\")%s", version_is_least(&machine->kernel, 6, 9) ?
		", and dirty=SIZE can't see what is written on the kernel "
		"path" : "");
	finding_get(finding, version_is_least(&machine->kernel, 6, 5) ?
		"a container or service that lets system call 451 through" :
		"Linux 6.5 or newer");
}

/* The pages of staged and private files, by default a quarter of all. */
static void judge_staging(const struct machine *machine,
	struct findings *findings)
{
	char size[QUANTITY_TEXT_MAX];
	/* Where the memory is not known it is taken to be enough. */
	uint64_t limit = machine->memory > 0 ?
		(uint64_t)machine->memory / 4 : STAGE_LEAST;
	struct finding *finding;

	if (machine->memfd != 0) {
		finding = finding_text(add(findings, finding_missing,
			"staging"), "memfd_create: %s",
			strerror(machine->memfd));
		finding_cost(finding, "map=staged and map=private are "
			"refused");
		finding_get(finding, "a container or service that lets this "
			"system call through");
		return;
	}
	quantity_show_size(size, limit);
	if (limit >= STAGE_LEAST) {
		finding_text(add(findings, finding_ok, "staging"),
			"%s for staged files, or what -o stage-limit says",
			size);
		return;
	}
	finding = finding_text(add(findings, finding_costs, "staging"),
		"only %s for staged files", size);
	finding_cost(finding, "who writes more than that waits for commits");
	finding_get(finding, "-o stage-limit=SIZE, or more memory");
}

static void judge_advice(const struct machine *machine,
	struct findings *findings)
{
	char lacking[128];
	struct finding *finding;

	snprintf(lacking, sizeof(lacking), "%s%s%s",
		machine->advice_cold ? "" : " cold pageout",
		machine->advice_populate ? "" :
					   " populate-read populate-write",
		machine->advice_collapse ? "" : " collapse");
	if (lacking[0] == '\0') {
		finding_text(add(findings, finding_ok, "madvise"),
			"the kernel knows all advice");
		return;
	}
	finding = finding_text(add(findings, finding_costs, "madvise"),
		"the kernel does not know:%s", lacking);
	finding_cost(finding, "advise.now refuses these, or does them more "
		"slowly by other means");
	if (!machine->advice_cold)
		finding_get(finding, "Linux 5.4 (cold, pageout), 5.14 "
			"(populate), 6.1 (collapse)");
	else if (!machine->advice_populate)
		finding_get(finding, "Linux 5.14 (populate), 6.1 (collapse)");
	else
		finding_get(finding, "Linux 6.1 or newer, built with "
			"CONFIG_TRANSPARENT_HUGEPAGE");
}

static void judge_hugepages(const struct machine *machine,
	struct findings *findings)
{
	const char *get = "echo madvise "
			  ">/sys/kernel/mm/transparent_hugepage/enabled";
	struct finding *finding;

	if (machine->thp[0] != '\0' && strcmp(machine->thp, "never") != 0 &&
		strcmp(machine->shmem_thp, "deny") != 0) {
		finding_text(add(findings, finding_ok, "hugepages"),
			"%s; a store on tmpfs has them if it is mounted with "
			"huge=", machine->thp);
		return;
	}
	finding = add(findings, finding_costs, "hugepages");
	if (machine->thp[0] == '\0') {
		finding_text(finding, "the kernel has none");
		get = "a kernel built with CONFIG_TRANSPARENT_HUGEPAGE";
	} else if (strcmp(machine->thp, "never") == 0) {
		finding_text(finding, "transparent huge pages are off");
	} else {
		finding_text(finding, "denied on tmpfs");
		get = "echo advise "
		      ">/sys/kernel/mm/transparent_hugepage/shmem_enabled";
	}
	finding_cost(finding, "advise=hugepage has no effect");
	finding_get(finding, "%s", get);
}

static void judge_memlock(const struct machine *machine,
	struct findings *findings)
{
	char size[QUANTITY_TEXT_MAX];
	struct finding *finding;

	if (machine->ipc_lock || machine->memlock == MACHINE_UNLIMITED) {
		finding_text(add(findings, finding_ok, "lock"),
			"no limit for locked pages");
		return;
	}
	quantity_show_size(size, machine->memlock);
	if (machine->memlock >= MEMLOCK_LEAST) {
		finding_text(add(findings, finding_ok, "lock"),
			"%s of pages may be locked", size);
		return;
	}
	finding = finding_text(add(findings, finding_costs, "lock"),
		"only %s of pages may be locked", size);
	finding_cost(finding, "lock=on of more is refused (ENOMEM)");
	finding_get(finding, "memlock in /etc/security/limits.conf, "
		"LimitMEMLOCK= of a service, or mount as root");
}

static void judge_nofile(const struct machine *machine,
	struct findings *findings)
{
	struct finding *finding;

	if (machine->nofile == MACHINE_UNLIMITED ||
		machine->nofile >= NOFILE_LEAST) {
		finding_text(add(findings, finding_ok, "files"),
			"enough descriptors");
		return;
	}
	finding = finding_text(add(findings, finding_costs, "files"),
		"only %" PRIu64 " descriptors", machine->nofile);
	finding_cost(finding, "each open file takes one in the daemon; the "
		"next open fails (ENFILE)");
	finding_get(finding, "nofile (hard) in /etc/security/limits.conf, or "
		"LimitNOFILE= of a service");
}

static void judge_mappings(const struct machine *machine,
	struct findings *findings)
{
	struct finding *finding;

	if (machine->max_map_count < 0)
		return;
	if (machine->max_map_count >= MAPS_LEAST) {
		finding_text(add(findings, finding_ok, "mappings"),
			"%" PRId64 " (vm.max_map_count)",
			machine->max_map_count);
		return;
	}
	finding = finding_text(add(findings, finding_costs, "mappings"),
		"only %" PRId64 " (vm.max_map_count)",
		machine->max_map_count);
	finding_cost(finding, "with more files open on the daemon path, "
		"mappings are given up and made again");
	finding_get(finding, "sysctl vm.max_map_count=%d", MAPS_LEAST);
}

/* How long data that nobody syncs stays in memory. */
static void judge_writeback(const struct machine *machine,
	struct findings *findings)
{
	char least[QUANTITY_TEXT_MAX], most[QUANTITY_TEXT_MAX];
	int64_t expire = machine->dirty_expire;
	int64_t period = machine->dirty_writeback;
	struct finding *finding;

	if (expire < 0 || period < 0)
		return;
	quantity_show_duration(least, expire * 1000000);
	quantity_show_duration(most, (expire + period) * 1000000);
	if (period > 0 && expire <= EXPIRE_MOST) {
		finding_text(add(findings, finding_ok, "writeback"),
			"what nobody syncs (sync=manual) the kernel writes "
			"after %s to %s", least, most);
		return;
	}
	finding = add(findings, finding_costs, "writeback");
	if (period == 0)
		finding_text(finding, "the kernel writes nothing by time");
	else
		finding_text(finding, "the kernel writes after %s to %s",
			least, most);
	finding_cost(finding, "sync=manual loses that much in a crash; every= "
		"is not concerned");
	finding_get(finding, "sysctl vm.dirty_writeback_centisecs=500 "
		"vm.dirty_expire_centisecs=3000, or every= in the policy");
}

static void judge_fuse_conf(const struct machine *machine,
	struct findings *findings)
{
	struct finding *finding;

	if (machine->root)
		return;
	if (machine->user_allow_other) {
		finding_text(add(findings, finding_ok, "allow_other"),
			"plain users may let others in");
		return;
	}
	finding = finding_text(add(findings, finding_costs, "allow_other"),
		"not for plain users");
	finding_cost(finding, "what you mount only you can use, not even "
		"root");
	finding_get(finding, "as root: echo user_allow_other >>/etc/fuse.conf");
}

void machine_judge(const struct machine *machine, struct findings *findings)
{
	judge_kernel(machine, findings);
	judge_device(machine, findings);
	judge_fusermount(machine, findings);
	judge_libfuse(machine, findings);
	judge_fuse_conf(machine, findings);
	judge_passthrough(machine, findings);
	judge_cachestat(machine, findings);
	judge_staging(machine, findings);
	judge_advice(machine, findings);
	judge_hugepages(machine, findings);
	judge_memlock(machine, findings);
	judge_nofile(machine, findings);
	judge_mappings(machine, findings);
	judge_writeback(machine, findings);
}
