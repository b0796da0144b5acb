// SPDX-License-Identifier: Apache-2.0
/*
 * A service of the kernel is asked for in a way that does nothing: advice for
 * no pages, statistics of an empty file. What the kernel says counts, its
 * version is for the advice only: distributions take things over, containers
 * take things away.
 */
#include "msyncctl/doctor_machine.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "util/cleanup.h"

#ifndef SYS_cachestat
#define SYS_cachestat 451
#endif
#ifndef MADV_COLD
#define MADV_COLD 20
#endif
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

#define CAP_IPC_LOCK_BIT 14
#define CAP_SYS_ADMIN_BIT 21
#define PATH_SIZE 4096

bool version_parse(struct version *version, const char *text)
{
	int used = 0;

	*version = (struct version){ 0 };
	if (sscanf(text, "%u.%u%n", &version->major, &version->minor, &used) !=
		2) {
		version->major = version->minor = 0;
		return false;
	}
	snprintf(version->text, sizeof(version->text), "%.*s",
		(int)strcspn(text, " \t\n"), text);
	return true;
}

bool version_is_least(const struct version *version, unsigned major,
	unsigned minor)
{
	return version->major > major ||
	       (version->major == major && version->minor >= minor);
}

/* --- files --------------------------------------------------------------- */

static FILE *open_below(const char *root, const char *name)
{
	char path[PATH_SIZE];

	snprintf(path, sizeof(path), "%s%s", root, name);
	return fopen(path, "re");
}

static int64_t read_number(const char *root, const char *name)
{
	FILE *file = open_below(root, name);
	int64_t number;

	if (!file)
		return MACHINE_UNKNOWN;
	if (fscanf(file, "%" SCNd64, &number) != 1 || number < 0)
		number = MACHINE_UNKNOWN;
	fclose(file);
	return number;
}

/* The word in brackets: "always [madvise] never". */
static void read_choice(const char *root, const char *name,
	char word[MACHINE_WORD_MAX])
{
	FILE *file = open_below(root, name);
	char line[256];
	char *start;

	word[0] = '\0';
	if (!file)
		return;
	if (fgets(line, sizeof(line), file) &&
		(start = strchr(line, '[')) != NULL)
		snprintf(word, MACHINE_WORD_MAX, "%.*s",
			(int)strcspn(start + 1, "]\n"), start + 1);
	fclose(file);
}

static void read_capabilities(struct machine *machine, const char *root)
{
	FILE *file = open_below(root, "/proc/self/status");
	uint64_t effective = 0;
	char line[256];

	if (!file)
		return;
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "CapEff: %" SCNx64, &effective) == 1)
			break;
	}
	fclose(file);
	machine->sys_admin = effective >> CAP_SYS_ADMIN_BIT & 1;
	machine->ipc_lock = effective >> CAP_IPC_LOCK_BIT & 1;
}

/* A line of its own, white space and comments aside. */
static bool read_allow_other(const char *root)
{
	FILE *file = open_below(root, "/etc/fuse.conf");
	char line[1024];
	bool found = false;

	if (!file)
		return false;
	while (!found && fgets(line, sizeof(line), file)) {
		char *word = line + strspn(line, " \t");

		word[strcspn(word, "# \t\r\n")] = '\0';
		found = strcmp(word, "user_allow_other") == 0;
	}
	fclose(file);
	return found;
}

/*
 * The kernel's configuration, if the distribution has left it in /boot; the
 * one in /proc is compressed and passed over.
 */
static enum tristate_fact read_built(const char *root, const char *release)
{
	enum tristate_fact built = fact_no;
	char name[256], line[256];
	bool has_fuse = false;
	FILE *file;

	snprintf(name, sizeof(name), "/boot/config-%s", release);
	file = open_below(root, name);
	if (!file)
		return fact_unknown;
	while (fgets(line, sizeof(line), file)) {
		if (strncmp(line, "CONFIG_FUSE_FS=", 15) == 0)
			has_fuse = true;
		if (strcmp(line, "CONFIG_FUSE_PASSTHROUGH=y\n") == 0)
			built = fact_yes;
	}
	fclose(file);
	/* Else it is no configuration that says anything. */
	return has_fuse ? built : fact_unknown;
}

/* --- the kernel's services ----------------------------------------------- */

static int try_cachestat(void)
{
	struct {
		uint64_t offset, length;
	} range = { 0, 0 };
	uint64_t counts[5];
	owned_fd fd = memfd_create("msyncctl", MFD_CLOEXEC);

	if (fd < 0)
		return errno;
	return syscall(SYS_cachestat, fd, &range, counts, 0) < 0 ? errno : 0;
}

static int try_memfd(void)
{
	owned_fd fd = memfd_create("msyncctl", MFD_CLOEXEC);

	return fd < 0 ? errno : 0;
}

static bool try_advice(int advice)
{
	size_t size = (size_t)sysconf(_SC_PAGESIZE);
	void *page = mmap(NULL, size, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	bool known;

	if (page == MAP_FAILED)
		return false;
	/* The kernel looks whether it knows the advice first (madvise(2)). */
	known = madvise(page, 0, advice) == 0;
	munmap(page, size);
	return known;
}

static int try_device(const char *root)
{
	char path[PATH_SIZE];
	owned_fd fd = -1;

	snprintf(path, sizeof(path), "%s/dev/fuse", root);
	fd = open(path, O_RDWR | O_CLOEXEC);
	return fd < 0 ? errno : 0;
}

static uint64_t limit_of(int resource, bool hard)
{
	struct rlimit limit;
	rlim_t value;

	if (getrlimit((unsigned)resource, &limit) < 0)
		return MACHINE_UNLIMITED;
	value = hard ? limit.rlim_max : limit.rlim_cur;
	return value == RLIM_INFINITY ? MACHINE_UNLIMITED : value;
}

/* --- fusermount3 --------------------------------------------------------- */

static bool find_fusermount(const char *path, char found[PATH_SIZE])
{
	owned_memory char *directories = strdup(path);
	char *rest = directories;
	char *directory;

	while (rest && (directory = strsep(&rest, ":")) != NULL) {
		snprintf(found, PATH_SIZE, "%s/fusermount3", directory);
		if (*directory == '/' && access(found, X_OK) == 0)
			return true;
	}
	return false;
}

static void ask_fusermount(struct version *version, const char *program)
{
	owned_memory char *command = NULL;
	char line[256];
	FILE *pipe;

	/* A directory's name with a quote in it is not worth the trouble. */
	if (strchr(program, '\'') ||
		asprintf(&command, "'%s' --version 2>&1", program) < 0) {
		command = NULL;
		return;
	}
	pipe = popen(command, "re");
	if (!pipe)
		return;
	/* "fusermount3 version: 3.14.0" */
	if (fgets(line, sizeof(line), pipe) && strchr(line, ':'))
		version_parse(version, strchr(line, ':') + 2);
	pclose(pipe);
}

static void look_for_fusermount(struct machine *machine, const char *path)
{
	char program[PATH_SIZE];
	struct stat st;

	machine->has_fusermount = find_fusermount(path, program);
	if (!machine->has_fusermount)
		return;
	machine->fusermount_suid = stat(program, &st) == 0 &&
		((st.st_uid == 0 && (st.st_mode & S_ISUID)) ||
			getxattr(program, "security.capability", NULL, 0) > 0);
	ask_fusermount(&machine->fusermount, program);
}

void machine_look(struct machine *machine, const char *root, const char *path)
{
	struct utsname name;

	*machine = (struct machine){ .root = geteuid() == 0 };
	if (uname(&name) == 0) {
		version_parse(&machine->kernel, name.release);
		machine->passthrough_built = read_built(root, name.release);
	}
	machine->cachestat = try_cachestat();
	machine->memfd = try_memfd();
	machine->memory = (int64_t)sysconf(_SC_PHYS_PAGES) *
			  sysconf(_SC_PAGESIZE);
	machine->advice_cold = try_advice(MADV_COLD);
	machine->advice_populate = try_advice(MADV_POPULATE_READ);
	machine->advice_collapse = try_advice(MADV_COLLAPSE);
	machine->device = try_device(root);
	look_for_fusermount(machine, path);
	read_capabilities(machine, root);
	machine->user_allow_other = read_allow_other(root);
	machine->memlock = limit_of(RLIMIT_MEMLOCK, false);
	/* The daemon takes what it may have. */
	machine->nofile = limit_of(RLIMIT_NOFILE, true);
	machine->max_map_count = read_number(root,
		"/proc/sys/vm/max_map_count");
	machine->dirty_expire = read_number(root,
		"/proc/sys/vm/dirty_expire_centisecs");
	machine->dirty_writeback = read_number(root,
		"/proc/sys/vm/dirty_writeback_centisecs");
	if (machine->dirty_expire >= 0)
		machine->dirty_expire *= 10;
	if (machine->dirty_writeback >= 0)
		machine->dirty_writeback *= 10;
	read_choice(root, "/sys/kernel/mm/transparent_hugepage/enabled",
		machine->thp);
	read_choice(root, "/sys/kernel/mm/transparent_hugepage/shmem_enabled",
		machine->shmem_thp);
}
