// SPDX-License-Identifier: Apache-2.0
/*
 * A test program is two processes: the worker runs the cases, the supervisor
 * waits for it. However the worker ends (a crash, a hang ended by its alarm,
 * a signal to the supervisor), the supervisor removes the directory, and the
 * worker's children die with it (PR_SET_PDEATHSIG).
 */
#include "contract.h"

#include <dirent.h>
#include <grp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>

enum {
	case_limit_seconds = 100,
	child_failed = 99,
	child_limit = 1024,
};

const struct identity alice = {.uid = 64101, .gid = 64101};
const struct identity bob = {.uid = 64102, .gid = 64102};

static bool in_child;
static pid_t children[child_limit];
static size_t child_count;
static int base_fd = -1;
static char base_name[] = "contract.XXXXXX";
static volatile sig_atomic_t worker_pid, caught_signal;

/* --- checks -------------------------------------------------------------- */

void check_failed(const char *file, int line, const char *format, ...)
{
	char text[600];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	if (in_child) {
		dprintf(STDERR_FILENO, "# %s:%d: in a child: %s\n", file, line,
			text);
		_exit(child_failed);
	}
	print_message("# %s:%d: %s\n", file, line, text);
	_fail(file, line);
	abort();
}

void check_bytes_at(const void *left, const void *right, size_t size,
		    const char *what, const char *file, int line)
{
	const unsigned char *l = left, *r = right;
	size_t at, wrong = 0, first = 0;

	for (at = size; at-- > 0;) {
		if (l[at] != r[at]) {
			wrong++;
			first = at;
		}
	}
	if (wrong)
		check_failed(file, line,
			     "%s: %zu of %zu bytes differ, the first at %zu "
			     "(%#x, wanted %#x)",
			     what, wrong, size, first, l[first], r[first]);
}

void skip_because(const char *format, ...)
{
	char text[300];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	if (in_child)
		check_failed(__FILE__, __LINE__, "skipped in a child: %s",
			     text);
	print_message("# %s\n", text);
	_skip(__FILE__, __LINE__);
	abort();
}

void need_root(void)
{
	if (geteuid() != 0)
		skip_because("needs root");
}

bool store_is(const char *type, long magic)
{
	const char *store = getenv("CONTRACT_STORE_TYPE");
	struct statfs fs;

	if (store)
		return strcmp(store, type) == 0;
	check_ok(statfs(".", &fs));
	return fs.f_type == magic;
}

/* --- processes ----------------------------------------------------------- */

void become(const struct identity *who)
{
	check_ok(setgroups(who->group_count, who->groups));
	check_ok(setresgid(who->gid, who->gid, who->gid));
	check_ok(setresuid(who->uid, who->uid, who->uid));
	/* A change of identity has switched this off. */
	check_ok(prctl(PR_SET_PDEATHSIG, SIGKILL));
}

pid_t spawn(const struct identity *who, body_fn *body, void *argument)
{
	pid_t child;

	check(child_count < child_limit);
	child = check_ok(fork());
	if (child == 0) {
		in_child = true;
		child_count = 0;
		check_ok(prctl(PR_SET_PDEATHSIG, SIGKILL));
		if (who)
			become(who);
		body(argument);
		_exit(EXIT_SUCCESS);
	}
	children[child_count++] = child;
	return child;
}

static int reap(pid_t child)
{
	size_t i;
	int status = 0;

	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	for (i = 0; i < child_count; i++) {
		if (children[i] == child) {
			children[i] = children[--child_count];
			break;
		}
	}
	return status;
}

void join(pid_t child)
{
	int status = reap(child);

	if (WIFSIGNALED(status))
		check_failed(__FILE__, __LINE__, "a child died of signal %d",
			     WTERMSIG(status));
	if (WEXITSTATUS(status) != EXIT_SUCCESS)
		check_failed(__FILE__, __LINE__, "a child failed, status %d",
			     WEXITSTATUS(status));
}

void join_killed(pid_t child, int signal_number)
{
	int status = reap(child);

	check(WIFSIGNALED(status));
	check_equal(WTERMSIG(status), signal_number);
}

void check_runs(pid_t child)
{
	siginfo_t info = {0};

	check_ok(waitid(P_PID, child, &info, WEXITED | WNOHANG | WNOWAIT));
	if (info.si_pid == child)
		join(child);
	check_equal(info.si_pid, 0);
}

void kill_child(pid_t child)
{
	kill(child, SIGKILL);
	reap(child);
}

void run_as(const struct identity *who, body_fn *body, void *argument)
{
	join(spawn(who, body, argument));
}

/* How many times as long as elsewhere things may take: tests/lib/tap.sh. */
static unsigned int slowness(void)
{
	const char *text = getenv("SLOW");

	return text && atoi(text) > 0 ? (unsigned int)atoi(text) : 1;
}

void wait_until_asleep(pid_t process)
{
	char path[64], line[256], *state;
	unsigned int tries;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)process);
	for (tries = 0; tries < 250 * slowness(); tries++) {
		file = fopen(path, "re");
		check(file);
		state = fgets(line, sizeof(line), file);
		fclose(file);
		check(state);
		state = strrchr(line, ')');
		if (state && (state[2] == 'S' || state[2] == 'D'))
			return;
		tick();
	}
	check_failed(__FILE__, __LINE__, "process %d does not sleep",
		     (int)process);
}

void gate_init(struct gate *gate)
{
	check_ok(pipe2(gate->fd, O_CLOEXEC));
}

void gate_pass(struct gate *gate)
{
	check_equal(write(gate->fd[1], "", 1), 1);
}

void gate_wait(struct gate *gate)
{
	char byte;

	check_equal(read(gate->fd[0], &byte, 1), 1);
}

/* --- files --------------------------------------------------------------- */

void fill(void *buffer, size_t size, unsigned seed)
{
	unsigned char *to = buffer;
	uint32_t x = seed * 2654435761u + 1;
	size_t i;

	for (i = 0; i < size; i++) {
		x = x * 1664525u + 1013904223u;
		to[i] = x >> 24;
	}
}

void make_file_with_mode(const char *name, size_t size, mode_t mode)
{
	make_file(name, size, 1);
	check_ok(chmod(name, mode));
}

void make_file(const char *name, size_t size, unsigned seed)
{
	char *bytes = malloc(size + 1);
	int fd = check_ok(open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
			       0644));

	check(bytes);
	fill(bytes, size, seed);
	write_ok(fd, bytes, size);
	close_ok(fd);
	free(bytes);
}

void check_file(const char *name, size_t size, unsigned seed)
{
	char *seen = malloc(size + 1), *wanted = malloc(size + 1);
	int fd = open_ok(name, O_RDONLY);

	check(seen && wanted);
	fill(wanted, size, seed);
	check_equal(fstat_of(fd).st_size, size);
	pread_ok(fd, seen, size, 0);
	check_bytes(seen, wanted, size);
	check_equal(pread(fd, seen, 1, size), 0);
	close_ok(fd);
	free(seen);
	free(wanted);
}

int open_ok(const char *name, int flags)
{
	int fd = open(name, flags | O_CLOEXEC, 0644);

	if (fd < 0)
		check_failed(__FILE__, __LINE__, "open %s (flags %#o): %s",
			     name, (unsigned)flags, strerror(errno));
	return fd;
}

void close_ok(int fd)
{
	check_ok(close(fd));
}

void write_ok(int fd, const void *buffer, size_t size)
{
	check_equal(write(fd, buffer, size), size);
}

void pwrite_ok(int fd, const void *buffer, size_t size, off_t offset)
{
	check_equal(check_ok(pwrite(fd, buffer, size, offset)), size);
}

void pread_ok(int fd, void *buffer, size_t size, off_t offset)
{
	check_equal(check_ok(pread(fd, buffer, size, offset)), size);
}

void copy_program(const char *from, const char *to)
{
	int source = open_ok(from, O_RDONLY);
	int copy = check_ok(open(to, O_WRONLY | O_CREAT | O_CLOEXEC, 0755));
	char bytes[65536];
	ssize_t count;

	while ((count = check_ok(read(source, bytes, sizeof(bytes)))) > 0)
		write_ok(copy, bytes, count);
	close_ok(source);
	close_ok(copy);
}

void execute_it(void *name)
{
	execl(name, name, NULL);
	check_failed(__FILE__, __LINE__, "exec: %s", strerror(errno));
}

struct stat stat_of(const char *name)
{
	struct stat st;

	if (stat(name, &st) < 0)
		check_failed(__FILE__, __LINE__, "stat %s: %s", name,
			     strerror(errno));
	return st;
}

struct stat lstat_of(const char *name)
{
	struct stat st;

	if (lstat(name, &st) < 0)
		check_failed(__FILE__, __LINE__, "lstat %s: %s", name,
			     strerror(errno));
	return st;
}

struct stat fstat_of(int fd)
{
	struct stat st;

	check_ok(fstat(fd, &st));
	return st;
}

void *map_ok(int fd, size_t size, int protection, int flags)
{
	void *at = mmap(NULL, size, protection, flags, fd, 0);

	if (at == MAP_FAILED)
		check_failed(__FILE__, __LINE__, "mmap: %s", strerror(errno));
	return at;
}

void *aligned_buffer(size_t size)
{
	return map_ok(-1, size, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS);
}

int open_direct(const char *name, int flags)
{
	int fd = open(name, flags | O_DIRECT | O_CLOEXEC, 0644);

	if (fd < 0 && errno == EINVAL)
		skip_because("n/a: the filesystem has no O_DIRECT");
	return check_ok(fd);
}

void tick(void)
{
	const struct timespec time = {.tv_nsec = 20 * 1000 * 1000};

	nanosleep(&time, NULL);
}

int64_t nanoseconds(struct timespec time)
{
	return time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
}

/* --- a case's life ------------------------------------------------------- */

static int remove_entry(int dir, const char *name);

static int remove_entries(int fd)
{
	struct dirent *entry;
	int failures = 0;
	DIR *dir = fdopendir(fd);

	if (!dir) {
		close(fd);
		return 1;
	}
	while ((entry = readdir(dir)) != NULL) {
		if (strcmp(entry->d_name, ".") != 0 &&
		    strcmp(entry->d_name, "..") != 0)
			failures += remove_entry(dirfd(dir), entry->d_name);
	}
	closedir(dir);
	return failures;
}

static int remove_entry(int dir, const char *name)
{
	int fd, tries, failures = 0;

	if (unlinkat(dir, name, 0) == 0)
		return 0;
	/* Not every filesystem is sure to show all while we remove. */
	for (tries = 0; tries < 3; tries++) {
		fchmodat(dir, name, 0700, 0);
		fd = openat(dir, name,
			    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd >= 0)
			failures = remove_entries(fd);
		if (unlinkat(dir, name, AT_REMOVEDIR) == 0)
			return 0;
	}
	dprintf(STDERR_FILENO, "# can't remove %s: %s\n", name,
		strerror(errno));
	return failures + 1;
}

int case_begins(void **state)
{
	(void)state;
	umask(022);
	if (fchdir(base_fd) < 0 || mkdir("case", 0755) < 0 ||
	    chdir("case") < 0) {
		print_error("can't make the case's directory: %s\n",
			    strerror(errno));
		return -1;
	}
	alarm(case_limit_seconds * slowness());
	return 0;
}

int case_ends(void **state)
{
	(void)state;
	alarm(0);
	while (child_count > 0)
		kill_child(children[0]);
	/* A case that failed has left its descriptors. */
	close_range(base_fd + 1, ~0u, 0);
	if (fchdir(base_fd) < 0)
		return -1;
	return remove_entry(base_fd, "case") ? -1 : 0;
}

/* --- the program --------------------------------------------------------- */

static void pass_on(int signal_number)
{
	caught_signal = signal_number;
	if (worker_pid > 0)
		kill(worker_pid, SIGKILL);
}

static int supervise(pid_t worker)
{
	int status;

	while (waitpid(worker, &status, 0) < 0) {
		if (errno != EINTR)
			return EXIT_FAILURE;
	}
	if (caught_signal)
		return 128 + caught_signal;
	if (WIFEXITED(status))
		return WEXITSTATUS(status);
	dprintf(STDERR_FILENO, "# the program died of signal %d (%s)%s\n",
		WTERMSIG(status), strsignal(WTERMSIG(status)),
		WTERMSIG(status) == SIGALRM ? ": the case hangs" : "");
	return EXIT_FAILURE;
}

int contract_run(int argc, char **argv, const struct CMUnitTest *tests,
		 size_t count)
{
	struct sigaction action = {.sa_handler = pass_on};
	int dir, result;
	pid_t worker;

	if (argc != 2) {
		dprintf(STDERR_FILENO, "usage: %s DIRECTORY\n", argv[0]);
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
	dir = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0 || fchdir(dir) < 0 || !mkdtemp(base_name) ||
	    chmod(base_name, 0755) < 0) {
		perror(argv[1]);
		return EXIT_FAILURE;
	}
	base_fd = open(base_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	worker = fork();
	if (worker == 0) {
		signal(SIGINT, SIG_DFL);
		signal(SIGTERM, SIG_DFL);
		signal(SIGHUP, SIG_DFL);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		exit(_cmocka_run_group_tests("contract", tests, count, NULL,
					     NULL));
	}
	worker_pid = worker;
	result = worker < 0 ? EXIT_FAILURE : supervise(worker);
	close(base_fd);
	if (remove_entry(dir, base_name) && result == EXIT_SUCCESS)
		result = EXIT_FAILURE;
	close(dir);
	return result;
}
