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
 * What is staged is compared when the fault is over: then it is committed, and
 * the store has what programs saw on the mount.
 *
 *	fault_driver steps [staged]
 *	fault_driver new CONTROL
 *	fault_driver main CONTROL FUNCTION NUMBER ERRNO [lasting]
 *	fault_driver calls CONTROL		of the main thread
 *	fault_driver arm CONTROL FUNCTION OPCODE NUMBER ERRNO [lasting]
 *	fault_driver all_calls CONTROL		with their opcodes
 *	fault_driver sweep CONTROL STORE MOUNT DAEMON STEP few|some|all
 */
#include "driver.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include "control.h"
#include "daemon.h"
#include "judge.h"
#include "report.h"

#define TRIES 20
#define CHANCES 2
#define COMPLAINTS_MAX 40

/* ---- one try ----------------------------------------------------------- */

static int store_root, mount_root;
static const char *mount_path;
static const struct step *step;
/* Not only what syncs counts in the background. */
static bool all_threads;

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
	if (place->store < 0)
		give_up("a directory in the store");
	if ((step->flags & step_by_user) &&
	    fchown(place->store, USER_ID, GROUP_ID) < 0)
		give_up("the user's directory");
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
	control->all_threads = all_threads;
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

/* A policy that the store didn't take: the mount shows it nevertheless. */
static bool is_kept_in_memory(void)
{
	return (step->flags & step_policy) && control->fired > 0 &&
	       control->function == fault_setxattr;
}

/* NULL, with errno, when it can't be read. */
static char *mount_text(struct place *place)
{
	int fd = open(place->mount_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char *text = fd < 0 ? NULL : tree_text(fd);
	int error = errno;

	if (fd >= 0)
		close(fd);
	errno = error;
	return text;
}

static void check_mount_shows_store(struct place *place, const char *store)
{
	char *mount = mount_text(place);

	if (!mount)
		complain("afterwards the mount can't be read: %s",
			 strerror(errno));
	else if (strcmp(mount, store) != 0 &&
		 !(is_kept_in_memory() && tree_same_but_policies(mount, store)))
		complain("the mount shows\n%sand the store has\n%s", mount,
			 store);
	free(mount);
}

/*
 * Nothing is left for the background, nor held for it: changing a file's map
 * has the store synced and the journal emptied. SETTLE is such a file.
 */
#define SETTLE "settle"
static void settle_stage(void)
{
	int fd = openat(mount_root, SETTLE, O_RDWR | O_CLOEXEC);

	if (fd < 0 || pwrite(fd, "x", 1, 0) != 1 ||
	    fsetxattr(fd, "user.msyncfs.map", "staged", 6, 0) < 0)
		complain("afterwards the stage can't be emptied: %s",
			 strerror(errno));
	if (fd >= 0)
		close(fd);
}

static bool is_shown_wrongly(const struct outcome *outcome)
{
	return (step->flags & step_mapped) && outcome->result < 0;
}

static int commit_all(void)
{
	return setxattr(mount_path, "user.msyncfs.sync.now", "wait", 4, 0);
}

/* With no fault left, the store gets what programs saw. */
static void check_commits(struct place *place, const struct outcome *outcome)
{
	char *mount = mount_text(place);
	char *store;

	if (!mount)
		complain("before the commit the mount can't be read: %s",
			 strerror(errno));
	if (commit_all() < 0 &&
	    (!is_shown_wrongly(outcome) || commit_all() < 0))
		complain("afterwards nothing can be committed: %s",
			 strerror(errno));
	store = tree_text(place->store);
	if (!store)
		give_up("reading the store");
	if (mount && strcmp(mount, store) != 0 && !is_shown_wrongly(outcome) &&
	    !(is_kept_in_memory() && tree_same_but_policies(mount, store)))
		complain("the mount showed\n%sand this was committed\n%s",
			 mount, store);
	free(mount);
	free(store);
	settle_stage();
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

/*
 * A step with what was armed; before: the tree without the act, as programs
 * see it if it is staged.
 */
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
	*before = step->flags & step_staged ? mount_text(&place) :
					      tree_text(place.store);
	wait_until_idle();
	control->counting = 1;
	outcome.result = act(&place, name);
	if (place.mount >= 0)
		close(place.mount);
	wait_until_idle();
	disarm();
	expect_daemon();
	if (step->flags & step_staged)
		check_commits(&place, &outcome);
	outcome.store = tree_text(place.store);
	if (!outcome.store || !*before)
		give_up("reading the store");
	if (outcome.result == 0 || !(step->flags & step_partial) ||
	    ((step->flags & step_staged) && !is_shown_wrongly(&outcome)))
		check_mount_shows_store(&place, outcome.store);
	remove_place(&place, name);
	wait_until_idle();
	expect_answers(false);
	return outcome;
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
	fd = openat(store_root, SETTLE, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 ||
	    fsetxattr(fd, "user.msyncfs.sync", "manual", 6, 0) < 0)
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
static int64_t base_blocks;
static bool watch_heap;
static enum { depth_few, depth_some, depth_all } depth;

/* The daemon knows an inode and forgets it. */
static void churn(void)
{
	struct stat st;

	if (mknodat(store_root, "churn", S_IFREG | 0600, 0) < 0 ||
	    fstatat(mount_root, "churn", &st, 0) < 0 ||
	    unlinkat(mount_root, "churn", 0) < 0)
		give_up("making and removing a file");
}

static bool heap_grew(int64_t *by)
{
	int64_t now = heap_blocks(churn, base_blocks);

	*by = now - base_blocks;
	if (*by > 0)
		base_blocks = now;
	return *by > 0;
}

static void check_heap(void)
{
	int64_t by;

	if (heap_grew(&by))
		complain("the daemon keeps %lld heap blocks", (long long)by);
}

/*
 * What was applied earlier is synced in the background, at any time: the fault
 * may meet that instead of what the step waits for.
 */
static bool may_be_another_s(const struct fault *fault)
{
	return (step->flags & step_staged) &&
	       fault->opcode == FAULT_BACKGROUND && !fault->lasting &&
	       !may_go_unnoticed(step, fault);
}

/* False when the call was not made: another thread served. */
static bool try_once(const struct fault *fault, unsigned *chances)
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
	if (fired && seen.result == 0 && may_be_another_s(fault) &&
	    (*chances)++ < CHANCES)
		fired = false;
	if (fired)
		judge(step, fault, &normal, before, &seen);
	free(seen.store);
	free(before);
	return fired;
}

static void try_fault(const struct fault *fault)
{
	unsigned tries = TRIES;
	unsigned chances = 0;

	snprintf(fault_text, sizeof(fault_text), "%s of %s %u%s in %s",
		 errno_name(fault->error), function_name(fault->function),
		 fault->number + 1, fault->lasting ? " and later" : "",
		 opcode_name(fault->opcode));
	while (!try_once(fault, &chances) && tries > 0)
		tries--;
	if (tries == 0 && !may_be_elsewhere(step, fault))
		complain("the call was not made again");
	check_step_again(&normal);
	/* What was opened once is not opened again. */
	if (!settled(&base)) {
		try_once(fault, &chances);
		check_holdings(&base);
	}
	if (watch_heap)
		check_heap();
	faults_tried++;
	fault_text[0] = '\0';
	if (complaints >= COMPLAINTS_MAX)
		end_sweep("that is enough");
}

static bool worth_trying(uint32_t number, uint32_t count)
{
	if (step->flags & step_by_time)
		return number == 0;
	return depth == depth_all || number == 0 || number == count - 1;
}

/* All faults of one function in one kind of request, called count times. */
static void try_function(int function, int opcode, uint32_t count)
{
	struct fault fault = { .function = function, .opcode = opcode };

	for (unsigned e = 0; e == 0 || depth == depth_all; e++) {
		fault.error = function_errno(function, e);
		if (fault.error == 0)
			return;
		for (uint32_t i = 0; i < count; i++) {
			if (!worth_trying(i, count))
				continue;
			fault.number = i;
			fault.lasting = false;
			try_fault(&fault);
			fault.lasting = true;
			if (depth == depth_all ||
			    (depth == depth_some && i == 0))
				try_fault(&fault);
		}
	}
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
	base = holdings_now();
	base_blocks = heap_blocks(churn, 0);
}

/*
 * Where a file that was committed can't be synced, the mount commits nothing
 * more: that is for fault_staged.sh. And what the background does by chance
 * is no part of the step.
 */
static bool is_left_out(int function, int opcode)
{
	if (!(step->flags & step_staged))
		return false;
	return function == fault_fsync_file ||
	       (opcode == FAULT_BACKGROUND &&
		!(step->flags & step_background));
}

static void sweep_calls(uint32_t count[fault_functions][FAULT_OPCODES])
{
	for (int f = 0; f < fault_functions; f++) {
		for (int op = 0; op < FAULT_OPCODES; op++) {
			if (count[f][op] > 0 && !is_libfuse_s(f, op) &&
			    !is_left_out(f, op))
				try_function(f, op, count[f][op]);
		}
	}
}

static void sweep(void)
{
	static uint32_t count[fault_functions][FAULT_OPCODES];
	int64_t by;

	learn(count);
	if (complaints > 0)
		return;
	sweep_calls(count);
	/*
	 * To look at the heap takes long, so it is done once at the end, and
	 * after each fault only to find the one; what was allocated once, for
	 * a new thread, is not allocated again.
	 */
	watch_heap = heap_grew(&by);
	if (watch_heap)
		sweep_calls(count);
}

/* ---- the program ------------------------------------------------------- */

static const struct step *step_of(const char *name)
{
	const struct step *found;

	for (unsigned i = 0; (found = step_number(i)) != NULL; i++) {
		if (strcmp(found->name, name) == 0)
			return found;
	}
	errno = ENOENT;
	give_up(name);
}

static int sweep_command(char **argv, const char *wanted)
{
	struct stat st;
	time_t began;

	map_control(argv[0], 0);
	store_root = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	mount_root = open(argv[2], O_PATH | O_DIRECTORY | O_CLOEXEC);
	mount_path = argv[2];
	step = step_of(argv[4]);
	step_name = step->name;
	all_threads = step->flags & step_staged;
	if (strcmp(wanted, "all") == 0)
		depth = depth_all;
	else if (strcmp(wanted, "some") == 0)
		depth = depth_some;
	if (store_root < 0 || mount_root < 0 || stat(mount_path, &st) < 0)
		give_up("opening the store and the mount");
	watch_daemon(atoi(argv[3]), st.st_dev);
	began = time(NULL);
	umask(022);
	make_private();
	sweep();
	printf("%s: %u faults, %u complaints, %ld s, caches dropped %u times\n",
	       step_name, faults_tried, complaints, (long)(time(NULL) - began),
	       caches_dropped);
	return complaints > 0;
}

/* Everybody's calls count from now on. */
static int arm_command(const char *path, const char *function_named,
		       int opcode, const char *number, const char *error_named,
		       bool lasting)
{
	int function = 0;
	int error = 1;

	map_control(path, 0);
	while (function < fault_functions &&
	       strcmp(function_name(function), function_named) != 0)
		function++;
	while (error < 134 && strcmp(errno_name(error), error_named) != 0)
		error++;
	if (function == fault_functions || error == 134)
		return 2;
	arm(function, opcode, (uint32_t)atoi(number), lasting, error);
	control->main_thread = 1;
	return 0;
}

static int main_command(int argc, char **argv)
{
	return arm_command(argv[0], argv[1], FAULT_MAIN, argv[2], argv[3],
			   argc > 4);
}

static int all_calls_command(char **argv)
{
	map_control(argv[0], 0);
	for (int f = 0; f < fault_functions; f++) {
		for (int op = 0; op < FAULT_OPCODES; op++) {
			uint32_t count = control->seen[f][op];

			if (count > 0 && !is_libfuse_s(f, op))
				printf("%s %d %u %s\n", function_name(f), op,
				       count,
				       errno_name(function_errno(f, 0)));
		}
	}
	printf("fired %u\n", control->fired);
	return 0;
}

static int calls_command(char **argv)
{
	map_control(argv[0], 0);
	for (int f = 0; f < fault_functions; f++) {
		uint32_t count = control->seen[f][FAULT_MAIN];

		if (count > 0)
			printf("%s %u %s\n", function_name(f), count,
			       errno_name(function_errno(f, 0)));
	}
	printf("fired %u\n", control->fired);
	return 0;
}

static int steps_command(bool staged)
{
	const struct step *this;

	for (unsigned i = 0; (this = step_number(i)) != NULL; i++) {
		if (staged == !!(this->flags & step_staged))
			puts(this->name);
	}
	return 0;
}

int main(int argc, char **argv)
{
	const char *command = argc > 1 ? argv[1] : "";

	if (strcmp(command, "steps") == 0)
		return steps_command(argc > 2);
	if (argc == 3 && strcmp(command, "new") == 0) {
		map_control(argv[2], O_CREAT | O_TRUNC);
		return 0;
	}
	if (argc >= 6 && strcmp(command, "main") == 0)
		return main_command(argc - 2, argv + 2);
	if (argc >= 7 && strcmp(command, "arm") == 0) {
		all_threads = true;
		return arm_command(argv[2], argv[3], atoi(argv[4]), argv[5],
				   argv[6], argc > 7);
	}
	if (argc == 3 && strcmp(command, "all_calls") == 0)
		return all_calls_command(argv + 2);
	if (argc == 3 && strcmp(command, "calls") == 0)
		return calls_command(argv + 2);
	if (argc == 8 && strcmp(command, "sweep") == 0)
		return sweep_command(argv + 2, argv[7]);
	fprintf(stderr, "fault_driver: see the top of driver.c\n");
	return 2;
}
