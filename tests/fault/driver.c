// SPDX-License-Identifier: Apache-2.0
/*
 * Fails each call that the daemon makes for a step, one after the other.
 *
 * First the step runs undisturbed, to learn its calls and its effect. Then,
 * for every call, in a fresh directory: the call fails, and either the client
 * gets that errno and nothing has changed, or, where a fallback is known, all
 * went as without the fault. Afterwards the daemon lives, the mount shows
 * what the store has, other operations have their own rights, the step works
 * again, and the daemon holds what it held before: descriptors, heap blocks,
 * mappings, backing files.
 *
 *	fault_driver steps
 *	fault_driver new CONTROL
 *	fault_driver main CONTROL FUNCTION NUMBER ERRNO [lasting]
 *	fault_driver calls CONTROL		of the main thread
 *	fault_driver sweep CONTROL STORE MOUNT DAEMON STEP [all]
 */
#include "driver.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "control.h"

#define ANSWER_SECONDS 15
#define SETTLE_MS 3000
#define CACHES_MS 500
#define ERRNOS 3
#define TRIES 20
#define COMPLAINTS_MAX 40

enum opcode {
	op_none = 0,
	op_lookup = 1,
	op_getattr = 3,
	op_setattr = 4,
	op_unlink = 10,
	op_rmdir = 11,
	op_rename = 12,
	op_open = 14,
	op_read = 15,
	op_write = 16,
	op_release = 18,
	op_getxattr = 22,
	op_flush = 25,
	op_opendir = 27,
	op_readdir = 28,
	op_releasedir = 29,
	op_create = 35,
	op_fallocate = 43,
	op_readdirplus = 44,
	op_rename2 = 45,
	op_copy = 47,
	op_tmpfile = 51,
	op_any = -1,
};

static const char *const opcode_names[FAULT_OPCODES] = {
	[1] = "LOOKUP", [3] = "GETATTR", [4] = "SETATTR", [5] = "READLINK",
	[6] = "SYMLINK", [8] = "MKNOD", [9] = "MKDIR", [10] = "UNLINK",
	[11] = "RMDIR", [12] = "RENAME", [13] = "LINK", [14] = "OPEN",
	[15] = "READ", [16] = "WRITE", [17] = "STATFS", [18] = "RELEASE",
	[20] = "FSYNC", [21] = "SETXATTR", [22] = "GETXATTR",
	[23] = "LISTXATTR", [24] = "REMOVEXATTR", [25] = "FLUSH",
	[27] = "OPENDIR", [28] = "READDIR", [29] = "RELEASEDIR",
	[30] = "FSYNCDIR", [34] = "ACCESS", [35] = "CREATE", [39] = "IOCTL",
	[43] = "FALLOCATE", [44] = "READDIRPLUS", [45] = "RENAME2",
	[46] = "LSEEK", [47] = "COPY_FILE_RANGE", [50] = "SYNCFS",
	[51] = "TMPFILE", [52] = "STATX",
};

static const char *const function_names[] = {
#define X(name, ...) #name,
	FAULT_FUNCTIONS(X)
#undef X
};

static const int function_errnos[][ERRNOS] = {
#define X(name, ...) { __VA_ARGS__ },
	FAULT_FUNCTIONS(X)
#undef X
};

/* What may fail unnoticed, and why the client is none the worse. */
static const struct fallback {
	int function;
	int opcode;
	bool once; /* only if the same call works the next time */
} fallbacks[] = {
	/* Closed all the same. */
	{ fault_close, op_any, false },
	/* Goes through the daemon instead. */
	{ fault_backing_open, op_any, false },
	/* By pread and pwrite. */
	{ fault_mmap_file, op_read, false },
	{ fault_mmap_file, op_write, false },
	/* The region's own record: as if it could not be mapped. */
	{ fault_calloc, op_read, false },
	{ fault_calloc, op_write, false },
	/* By pwrite, which moves the times itself. */
	{ fault_utimens, op_write, false },
	/* Whether the kernel's cached pages are good: taken as not. */
	{ fault_fstat, op_open, true },
	{ fault_fstat, op_create, true },
	{ fault_fstat, op_release, false },
	/* The access time stays, as with noatime. */
	{ fault_open, op_read, false },
	{ fault_pread, op_read, false },
	/* May have capabilities: treated as if it had. */
	{ fault_getxattr, op_open, false },
	{ fault_getxattr, op_create, false },
	{ fault_getxattr, op_tmpfile, false },
	/* An entry without its inode, which is then looked up. */
	{ fault_openat, op_readdirplus, false },
	{ fault_fstat, op_readdirplus, false },
	{ fault_statx, op_readdirplus, false },
	{ fault_name_to_handle_at, op_readdirplus, false },
	{ fault_calloc, op_readdirplus, false },
	{ fault_malloc, op_readdirplus, false },
	/* Known by its old name until it is looked up again. */
	{ fault_malloc, op_rename, false },
	{ fault_malloc, op_rename2, false },
	/* Read ahead, and read again when it is needed. */
	{ fault_fstat, op_read, true },
	{ fault_malloc, op_read, true },
	/* What was read before is given, and the rest asked for again. */
	{ fault_getdents64, op_readdir, true },
	{ fault_getdents64, op_readdirplus, true },
	/* Whether bits are cleared: taken as so. */
	{ fault_fstat, op_fallocate, false },
	{ fault_fstat, op_copy, false },
	/* The kernel looks up again with ESTALE, and then opens. */
	{ fault_open_by_handle_at, op_any, true },
	{ fault_open_by_handle_at, op_create, false },
};

/* ---- the daemon -------------------------------------------------------- */

static struct fault_control *control;
static pid_t daemon_pid;
static char waiting_path[128];
static _Atomic time_t deadline;
static unsigned complaints;
static const char *step_name = "";
static char fault_text[160] = "";

void give_up(const char *what)
{
	printf("%s: the test can't go on: %s: %s\n", step_name, what,
	       strerror(errno));
	exit(2);
}

void complain(const char *format, ...)
{
	va_list arguments;

	printf("%s%s%s: ", step_name, fault_text[0] ? ", " : "", fault_text);
	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	putchar('\n');
	fflush(stdout);
	complaints++;
}

static unsigned faults_tried;

/* What comes now would only say the same again. */
static void end_sweep(const char *why)
{
	printf("%s: %u faults, %u complaints, and no more: %s\n", step_name,
	       faults_tried, complaints, why);
	exit(1);
}

static const char *errno_name(int error)
{
	const char *name = strerrorname_np(error);

	return name ? name : "0";
}

/* A client that waits for ever can only be freed by ending the daemon. */
static void *watch(void *argument)
{
	struct timespec interval = { .tv_nsec = 200000000 };

	for (;;) {
		nanosleep(&interval, NULL);
		if (!deadline || time(NULL) < deadline)
			continue;
		printf("%s, %s: no answer for %d seconds\n", step_name,
		       fault_text, ANSWER_SECONDS);
		fflush(stdout);
		kill(daemon_pid, SIGKILL);
		_exit(1);
	}
	return argument;
}

static void expect_answers(bool expected)
{
	deadline = expected ? time(NULL) + ANSWER_SECONDS : 0;
}

static void expect_daemon(void)
{
	if (kill(daemon_pid, 0) == 0)
		return;
	complain("the daemon is dead");
	end_sweep("it can't go on");
}

static int number_waiting(void)
{
	int count = -1;
	FILE *file = fopen(waiting_path, "re");

	if (!file)
		give_up(waiting_path);
	if (fscanf(file, "%d", &count) != 1)
		count = -1;
	fclose(file);
	return count;
}

static void sleep_us(long us)
{
	struct timespec interval = { .tv_nsec = us * 1000 };

	nanosleep(&interval, NULL);
}

/* Until every request is answered, those that nobody waits for as well. */
static void wait_until_idle(void)
{
	for (unsigned i = 0; i < 50000; i++) {
		if (number_waiting() == 0 && control->busy == 0)
			return;
		expect_daemon();
		sleep_us(200);
	}
	complain("requests are never done");
	end_sweep("it can't go on");
}

static int64_t count_descriptors(void)
{
	char path[64];
	int64_t count = 0;
	DIR *stream;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)daemon_pid);
	stream = opendir(path);
	if (!stream)
		give_up(path);
	while (readdir(stream))
		count++;
	closedir(stream);
	return count;
}

struct holdings {
	int64_t descriptors, blocks, mappings, backings;
};

static struct holdings holdings_now(void)
{
	return (struct holdings){
		.descriptors = count_descriptors(),
		.blocks = control->blocks,
		.mappings = control->mappings,
		.backings = control->backings,
	};
}

static bool within(const struct holdings *now, const struct holdings *before)
{
	return now->descriptors <= before->descriptors &&
	       now->blocks <= before->blocks &&
	       now->mappings <= before->mappings &&
	       now->backings <= before->backings;
}

static unsigned caches_dropped;

static void drop_caches(void)
{
	int fd = open("/proc/sys/vm/drop_caches", O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (write(fd, "2", 1) != 1)
		give_up("/proc/sys/vm/drop_caches");
	close(fd);
	caches_dropped++;
}

/*
 * Nodes are freed after a grace period, and the kernel may keep an inode
 * until it is asked for memory.
 */
static bool settles_within(const struct holdings *before,
			   struct holdings *now)
{
	for (unsigned ms = 0; ms < SETTLE_MS; ms++) {
		*now = holdings_now();
		if (within(now, before))
			return true;
		if (ms == CACHES_MS)
			drop_caches();
		sleep_us(1000);
	}
	return false;
}

/* If not, what it holds now is the new measure. */
static bool settled(struct holdings *before)
{
	struct holdings now;

	if (settles_within(before, &now))
		return true;
	printf("DEBUG %s %+lld %+lld %+lld\n", fault_text, (long long)(now.descriptors - before->descriptors), (long long)(now.blocks-before->blocks), (long long)(now.mappings-before->mappings));
	*before = now;
	return false;
}

static void check_holdings(struct holdings *before)
{
	struct holdings now;

	if (settles_within(before, &now))
		return;
	complain("the daemon keeps %+lld descriptors, %+lld heap blocks, "
		 "%+lld mappings, %+lld backing files",
		 (long long)(now.descriptors - before->descriptors),
		 (long long)(now.blocks - before->blocks),
		 (long long)(now.mappings - before->mappings),
		 (long long)(now.backings - before->backings));
	*before = now;
}

/* ---- one try ----------------------------------------------------------- */

static int store_root, mount_root;
static const char *mount_path;
static const struct step *step;

struct outcome {
	int result;
	char *store; /* tree_text */
};

static void become(uid_t uid, gid_t gid, bool with_group)
{
	gid_t group = OTHER_GROUP_ID;

	/* Raw calls: the watching thread stays what it is. */
	if (uid == 0 && (syscall(SYS_setresuid, -1, 0, -1) < 0 ||
			 syscall(SYS_setresgid, -1, 0, -1) < 0 ||
			 syscall(SYS_setgroups, 0, NULL) < 0))
		give_up("being root again");
	if (uid != 0 && (syscall(SYS_setgroups, with_group, &group) < 0 ||
			 syscall(SYS_setresgid, -1, gid, -1) < 0 ||
			 syscall(SYS_setresuid, -1, uid, -1) < 0))
		give_up("being a user");
}

static void make_place(struct place *place, char *name, size_t size)
{
	static unsigned number;

	snprintf(name, size, "%s.%u.%d", step->name, ++number, (int)getpid());
	snprintf(place->mount_path, sizeof(place->mount_path), "%s/%s",
		 mount_path, name);
	if (mkdirat(store_root, name, 0755) < 0)
		give_up("a directory in the store");
	place->store = openat(store_root, name,
			      O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (place->store < 0 ||
	    ((step->flags & step_by_user) && fchown(place->store, USER_ID, GROUP_ID) < 0))
		give_up("a directory in the store");
}

/* Returns what it opened the directory with. */
static int enter(struct place *place, const char *name)
{
	place->mount = openat(mount_root, name,
			      O_PATH | O_DIRECTORY | O_CLOEXEC);
	return place->mount < 0 ? -errno : 0;
}

static void arm(int function, int opcode, uint32_t number, bool lasting,
		int error)
{
	memset(control->seen, 0, sizeof(control->seen));
	control->traced = 0;
	control->fired = 0;
	control->function = function;
	control->opcode = opcode;
	control->number = number;
	control->lasting = lasting;
	control->error = error;
	control->armed = error != 0;
	control->counting = 1;
}

static void disarm(void)
{
	control->counting = 0;
	control->armed = 0;
}

static int act(struct place *place, const char *name)
{
	int r;

	if (step->flags & step_by_user)
		become(USER_ID, GROUP_ID, true);
	r = enter(place, name);
	if (r == 0)
		r = step->act(place);
	if (step->flags & step_by_user)
		become(0, 0, false);
	return r;
}

static void check_mount_shows_store(struct place *place, const char *store)
{
	int fd = open(place->mount_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char *mount;

	if (fd < 0) {
		complain("afterwards the directory can't be opened: %s",
			 strerror(errno));
		return;
	}
	mount = tree_text(fd);
	if (!mount)
		complain("afterwards the mount can't be read: %s",
			 strerror(errno));
	else if (strcmp(mount, store) != 0)
		complain("the mount shows\n%sand the store has\n%s", mount,
			 store);
	free(mount);
	close(fd);
}

static void remove_place(struct place *place, const char *name)
{
	int fd = open(place->mount_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = fd < 0 ? -errno : tree_clear(fd);

	if (fd >= 0)
		close(fd);
	if (r == 0 && unlinkat(mount_root, name, AT_REMOVEDIR) < 0)
		r = -errno;
	if (r < 0)
		complain("afterwards it can't be removed: %s", strerror(-r));
	close(place->store);
}

/* A step with what was armed; before: the tree without the act. */
static struct outcome try(char **before)
{
	struct place place = { .mount = -1 };
	struct outcome outcome;
	char name[256];

	expect_answers(true);
	make_place(&place, name, sizeof(name));
	place.mount = -1;
	if (enter(&place, name) < 0)
		give_up("a directory on the mount");
	step->setup(&place);
	close(place.mount);
	wait_until_idle();
	wrote_less = false;
	free(*before);
	*before = tree_text(place.store);
	control->counting = 1;
	outcome.result = act(&place, name);
	if (place.mount >= 0)
		close(place.mount);
	wait_until_idle();
	disarm();
	expect_daemon();
	outcome.store = tree_text(place.store);
	if (!outcome.store || !*before)
		give_up("reading the store");
	if (outcome.result == 0 || !(step->flags & step_partial))
		check_mount_shows_store(&place, outcome.store);
	remove_place(&place, name);
	wait_until_idle();
	expect_answers(false);
	return outcome;
}

/* ---- what a fault may do ----------------------------------------------- */

struct fault {
	int function;
	int opcode;
	uint32_t number;
	bool lasting;
	int error;
};

static bool may_go_unnoticed(const struct fault *fault)
{
	for (unsigned i = 0; i < sizeof(fallbacks) / sizeof(fallbacks[0]);
	     i++) {
		const struct fallback *known = &fallbacks[i];

		if (known->function == fault->function &&
		    (known->opcode == op_any ||
		     known->opcode == fault->opcode) &&
		    (!known->once || !fault->lasting))
			return true;
	}
	/* The kernel asks for what the client has not. */
	if (fault->opcode == op_getxattr && !(step->flags & step_attributes))
		return true;
	/* After a write that cleared bits the daemon has them read again. */
	if ((step->flags & step_setuid) &&
	    (fault->opcode == op_flush || fault->opcode == op_opendir ||
	     fault->opcode == op_getattr))
		return true;
	/* Removed all the same; who holds the inode is another step. */
	return (fault->opcode == op_unlink || fault->opcode == op_rmdir ||
		fault->opcode == op_rename || fault->opcode == op_rename2) &&
	       (fault->function == fault_openat ||
		fault->function == fault_fstat ||
		fault->function == fault_name_to_handle_at ||
		fault->function == fault_statx);
}

/* A step that failed, with a trace of it in the store. */
static bool may_have_changed(const struct fault *fault, bool as_normal)
{
	if (step->flags & step_partial)
		return true;
	if (!as_normal)
		return false;
	if (step->flags & step_goes_on)
		return true;
	/* The kernel asks for attributes of its own accord, after it. */
	if (fault->opcode == op_getattr)
		return true;
	/* Attributes were changed, but what they are now can't be told. */
	return fault->opcode == op_setattr && fault->function == fault_fstat;
}

static bool right_errno(const struct fault *fault, int error)
{
	if (error == fault->error)
		return true;
	/* Pages that can't be written back: the kernel knows two causes. */
	return fault->opcode == op_write && error == EIO;
}

static void judge(const struct fault *fault, const struct outcome *normal,
		  const char *before, const struct outcome *seen)
{
	const char *store = seen->store;
	bool unchanged = strcmp(store, before) == 0;
	bool as_normal = strcmp(store, normal->store) == 0;

	if (seen->result == 0) {
		if (!may_go_unnoticed(fault) && !wrote_less)
			complain("the client was told of success");
		if (!as_normal)
			complain("success, but the store has\n%sinstead of\n%s",
				 store, normal->store);
		return;
	}
	if (!right_errno(fault, -seen->result))
		complain("the client got %s", errno_name(-seen->result));
	if (!unchanged && !may_have_changed(fault, as_normal))
		complain("the client got %s, but the store has\n%sinstead "
			 "of\n%s",
			 errno_name(-seen->result), store, before);
}

/* ---- what comes after -------------------------------------------------- */

/*
 * A thread that failed to change its credentials must not serve the next
 * operation with the wrong ones: in a directory that only root may enter.
 */
static void check_rights(void)
{
	unsigned before = complaints;
	struct stat st;
	int fd;

	expect_answers(true);
	if (fstatat(mount_root, "private/file", &st, 0) < 0)
		complain("afterwards root can't look up a file: %s",
			 strerror(errno));
	fd = openat(mount_root, "private/new",
		    O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0 || fstat(fd, &st) < 0)
		complain("afterwards root can't create a file: %s",
			 strerror(errno));
	else if (st.st_uid != 0 || st.st_gid != 0)
		complain("afterwards root's new file belongs to %u:%u",
			 st.st_uid, st.st_gid);
	if (fd >= 0)
		close(fd);
	if (fd >= 0 && unlinkat(mount_root, "private/new", 0) < 0)
		complain("afterwards root can't remove a file: %s",
			 strerror(errno));
	expect_answers(false);
	if (complaints > before)
		end_sweep("the daemon can't be used any more");
}

/* Not through the mount: the first thing it is asked comes later. */
static void make_private(void)
{
	int fd;

	if (mkdirat(store_root, "private", 0700) < 0 && errno != EEXIST)
		give_up("a directory in the store");
	fd = openat(store_root, "private/file",
		    O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		give_up("a file in the store");
	close(fd);
	/* Kept, so that the daemon always knows these two. */
	if (openat(mount_root, "private", O_PATH | O_CLOEXEC) < 0 ||
	    openat(mount_root, "private/file", O_PATH | O_CLOEXEC) < 0)
		give_up("a directory on the mount");
}

static void check_step_again(const struct outcome *normal)
{
	struct outcome again;
	char *before = NULL;

	again = try(&before);
	if (again.result < 0)
		complain("afterwards it fails without a fault: %s",
			 errno_name(-again.result));
	else if (strcmp(again.store, normal->store) != 0)
		complain("afterwards the store has\n%sinstead of\n%s",
			 again.store, normal->store);
	free(again.store);
	free(before);
}

/* ---- the sweep --------------------------------------------------------- */

static struct outcome normal;
static struct holdings base;
static bool thorough;

/* False when the call was not made: another thread served. */
static bool try_once(const struct fault *fault)
{
	struct outcome seen;
	char *before = NULL;
	bool fired;

	arm(fault->function, fault->opcode, fault->number, fault->lasting,
	    fault->error);
	control->counting = 0;
	seen = try(&before);
	fired = control->fired > 0;
	check_rights();
	if (fired)
		judge(fault, &normal, before, &seen);
	free(seen.store);
	free(before);
	return fired;
}

/*
 * What a thread does for a request depends on what it did before: it has the
 * right credentials already or not.
 */
static void try_fault(const struct fault *fault)
{
	unsigned tries = TRIES;

	snprintf(fault_text, sizeof(fault_text), "%s of %s %u%s in %s",
		 errno_name(fault->error), function_names[fault->function],
		 fault->number + 1, fault->lasting ? " and later" : "",
		 opcode_names[fault->opcode] ?: "an unnamed request");
	while (!try_once(fault) && tries > 0)
		tries--;
	if (tries == 0)
		complain("the call was not made again");
	check_step_again(&normal);
	/* What was made once, for a new thread, is not made again. */
	if (!settled(&base)) {
		try_once(fault);
		check_holdings(&base);
	}
	faults_tried++;
	fault_text[0] = '\0';
	if (complaints >= COMPLAINTS_MAX)
		end_sweep("that is enough");
}

static bool worth_trying(uint32_t number, uint32_t count)
{
	return thorough || number == 0 || number == count - 1;
}

/* All faults of one function in one kind of request, called count times. */
static void try_function(int function, int opcode, uint32_t count)
{
	struct fault fault = { .function = function, .opcode = opcode };

	for (unsigned e = 0; e < (thorough ? ERRNOS : 1); e++) {
		fault.error = function_errnos[function][e];
		if (fault.error == 0)
			return;
		for (uint32_t i = 0; i < count; i++) {
			if (!worth_trying(i, count))
				continue;
			fault.number = i;
			fault.lasting = false;
			try_fault(&fault);
			fault.lasting = true;
			if (thorough || i == 0)
				try_fault(&fault);
		}
	}
}

/*
 * libfuse allocates a request before it calls us. Where it can't, nobody
 * hears of a release, and what was open stays so: not ours to mend.
 */
static bool is_libfuse_s(int function, int opcode)
{
	return (function == fault_calloc || function == fault_malloc) &&
	       (opcode == op_release || opcode == op_releasedir);
}

static void learn(uint32_t count[fault_functions][FAULT_OPCODES])
{
	char *before = NULL;

	/* Twice: the first time, caches of all kinds are cold. */
	for (unsigned i = 0; i < 2; i++) {
		free(normal.store);
		arm(0, 0, 0, false, 0);
		control->counting = 0;
		normal = try(&before);
		memcpy(count, control->seen, sizeof(control->seen));
	}
	free(before);
	if (normal.result < 0)
		complain("fails without a fault: %s",
			 errno_name(-normal.result));
	check_rights();
	wait_until_idle();
	for (unsigned i = 0; i < 100; i++) {
		base = holdings_now();
		sleep_us(1000);
	}
}

static void sweep(void)
{
	static uint32_t count[fault_functions][FAULT_OPCODES];

	learn(count);
	if (complaints > 0)
		return;
	for (int f = 0; f < fault_functions; f++) {
		for (int op = 0; op < FAULT_OPCODES; op++) {
			if (count[f][op] > 0 && !is_libfuse_s(f, op))
				try_function(f, op, count[f][op]);
		}
	}
}

/* ---- the program ------------------------------------------------------- */

static void map_control(const char *path, int flags)
{
	int fd = open(path, O_RDWR | O_CLOEXEC | flags, 0600);

	if (fd < 0 || ftruncate(fd, sizeof(*control)) < 0)
		give_up(path);
	control = mmap(NULL, sizeof(*control), PROT_READ | PROT_WRITE,
		       MAP_SHARED, fd, 0);
	if (control == MAP_FAILED)
		give_up(path);
	close(fd);
}

static const struct step *step_of(const char *name)
{
	for (unsigned i = 0; i < step_count; i++) {
		if (strcmp(steps[i].name, name) == 0)
			return &steps[i];
	}
	errno = ENOENT;
	give_up(name);
}

static int sweep_command(char **argv, bool all)
{
	pthread_t thread;
	struct stat st;
	time_t began;

	map_control(argv[0], 0);
	store_root = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	mount_root = open(argv[2], O_PATH | O_DIRECTORY | O_CLOEXEC);
	mount_path = argv[2];
	daemon_pid = atoi(argv[3]);
	step = step_of(argv[4]);
	step_name = step->name;
	thorough = all;
	if (store_root < 0 || mount_root < 0 || stat(mount_path, &st) < 0)
		give_up("opening the store and the mount");
	snprintf(waiting_path, sizeof(waiting_path),
		 "/sys/fs/fuse/connections/%u/waiting", minor(st.st_dev));
	if (pthread_create(&thread, NULL, watch, NULL) != 0)
		give_up("a thread");
	began = time(NULL);
	umask(022);
	make_private();
	sweep();
	printf("%s: %u faults, %u complaints, %ld s, caches dropped %u times\n",
	       step_name, faults_tried, complaints, (long)(time(NULL) - began),
	       caches_dropped);
	return complaints > 0;
}

static int main_command(int argc, char **argv)
{
	int function = 0;
	int error = 1;

	map_control(argv[0], 0);
	while (function < fault_functions &&
	       strcmp(function_names[function], argv[1]) != 0)
		function++;
	while (error < 134 && strcmp(errno_name(error), argv[3]) != 0)
		error++;
	if (function == fault_functions || error == 134)
		return 2;
	arm(function, op_none, (uint32_t)atoi(argv[2]), argc > 4, error);
	control->main_thread = 1;
	return 0;
}

static int calls_command(char **argv)
{
	map_control(argv[0], 0);
	for (int f = 0; f < fault_functions; f++) {
		uint32_t count = control->seen[f][op_none];

		if (count > 0)
			printf("%s %u %s\n", function_names[f], count,
			       errno_name(function_errnos[f][0]));
	}
	printf("fired %u\n", control->fired);
	return 0;
}

int main(int argc, char **argv)
{
	const char *command = argc > 1 ? argv[1] : "";

	if (strcmp(command, "steps") == 0) {
		for (unsigned i = 0; i < step_count; i++)
			puts(steps[i].name);
		return 0;
	}
	if (argc == 3 && strcmp(command, "new") == 0) {
		map_control(argv[2], O_CREAT | O_TRUNC);
		return 0;
	}
	if (argc >= 6 && strcmp(command, "main") == 0)
		return main_command(argc - 2, argv + 2);
	if (argc == 3 && strcmp(command, "calls") == 0)
		return calls_command(argv + 2);
	if (argc >= 7 && strcmp(command, "sweep") == 0)
		return sweep_command(argv + 2, argc > 7);
	fprintf(stderr, "fault_driver: see the top of driver.c\n");
	return 2;
}
