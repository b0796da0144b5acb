// SPDX-License-Identifier: Apache-2.0
/*
 * The daemon's life: options, checks, recovery, mount, loop, and teardown in
 * reverse.
 *
 * In the background the process forks before anything is opened that a fork
 * would share. The parent waits on a pipe for one byte, the exit status: 0
 * once the mount can be used, or the child's failure, whose one line the
 * child has printed itself.
 *
 * The store is locked by the process that serves it, and by the descriptor
 * that it opened first: the lock goes with the last copy of that one, when the
 * process has ended, however that was.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/filesystem.h"
#include "fuse/session.h"
#include "options.h"
#include "os/credentials.h"
#include "os/guard.h"
#include "os/inode.h"
#include "os/notify.h"
#include "policy_source.h"
#include "preflight.h"
#include "recovery.h"
#include "utab.h"
#include "util/absolute.h"
#include "util/cleanup.h"
#include "util/line.h"
#include "util/log.h"
#include "util/log_socket.h"
#include "util/text.h"
#include "watch.h"

#define EXIT_USAGE 2
#define EXIT_MOUNT 1
#define THREADS_DEFAULT 64
/* Paths in a message, and advice behind them. */
#define MESSAGE_MAX 8192

struct daemon {
	const struct options *options;
	const struct preflight *checked;
	struct policy_source policies;
	struct policy_file *policy_file; /* the filesystem's from its start */
	struct filesystem *fs; /* while it is there */
	struct watch_plan watching;
	struct watch *watch; /* while requests are served */
	int status_pipe; /* to the waiting parent, or -1 */
	bool mounted; /* programs have used it, or could have */
	bool abandoned; /* session_free(): threads may use what there is */
	bool log_is_stderr;
	bool stderr_is_journal; /* and so is the log: none need be told twice */
};

static int fail(int status, const char *message)
{
	fprintf(stderr, "msyncfs: %s\n", message);
	notify_failed(message);
	return status;
}

static unsigned raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return 1024;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	getrlimit(RLIMIT_NOFILE, &limit);
	return limit.rlim_cur < 1u << 30 ? (unsigned)limit.rlim_cur : 1u << 30;
}

static void tell_parent(struct daemon *daemon, int status)
{
	unsigned char byte = (unsigned char)status;

	if (daemon->status_pipe < 0)
		return;
	if (write(daemon->status_pipe, &byte, 1) != 1)
		log_debug("the parent is gone");
	close(daemon->status_pipe);
	daemon->status_pipe = -1;
}

/* What the mount is called in mountinfo. */
static const char *source_name(const struct daemon *daemon)
{
	return daemon->options->fsname ? daemon->options->fsname :
					 daemon->checked->store_abs;
}

/*
 * The mount can be used: let the terminal go. Not earlier: autofs lets those
 * who are to mount through to the mountpoint by their process group (systemd's
 * x-systemd.automount), and all others wait until it is mounted.
 */
static int mount_ready(void *context)
{
	struct daemon *daemon = context;
	owned_fd null = -1;

	daemon->mounted = true;
	if (daemon->checked->overlapping)
		log_event(event_store_overlaps, "another mount has files of "
			  "this store: %s", daemon->checked->overlapping);
	utab_note(source_name(daemon), daemon->checked->mountpoint_abs);
	if (daemon->options->foreground) {
		notify_status("%s is mounted at %s",
			      daemon->checked->store_abs,
			      daemon->checked->mountpoint_abs);
		notify_ready();
		daemon->watch = watch_start(daemon->fs, &daemon->watching);
		return 0;
	}
	setsid();
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null < 0 || chdir("/") < 0)
		return -errno;
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		if (dup2(null, fd) < 0)
			return -errno;
	}
	daemon->watch = watch_start(daemon->fs, &daemon->watching);
	tell_parent(daemon, EXIT_SUCCESS);
	return 0;
}

static void mount_ending(void *context)
{
	struct daemon *daemon = context;

	watch_stop(daemon->watch);
	daemon->watch = NULL;
}

/* SIGHUP: what may have been replaced is opened and read again. */
static int reload(void *context)
{
	const struct daemon *daemon = context;
	int r;

	/* Before the mount can be used "ready" would be a lie. */
	if (daemon->mounted)
		notify_reloading();
	r = log_reopen();
	if (r < 0)
		log_event(event_log_not_reopened, "opening the log file "
			  "anew: %s", strerror(-r));
	r = policy_source_reload(&daemon->policies, daemon->fs);
	if (daemon->mounted)
		notify_ready();
	return r;
}

/* Commas and backslashes in a value are escaped for libfuse's list. */
static void print_escaped(FILE *out, const char *value)
{
	for (; *value; value++) {
		if (*value == ',' || *value == '\\')
			fputc('\\', out);
		fputc(*value, out);
	}
}

static bool others_allowed(const struct options *options)
{
	if (options->allow_root)
		return false;
	if (options->allow_other == tristate_unset)
		return geteuid() == 0;
	return options->allow_other == tristate_yes;
}

/* The option list for libfuse; the caller frees it. */
static char *mount_options(const struct daemon *daemon)
{
	const struct options *options = daemon->options;
	const char *name = source_name(daemon);
	char *list = NULL;
	size_t size;
	FILE *out = text_open(&list, &size);

	if (!out)
		return NULL;
	fprintf(out, "default_permissions,subtype=msyncfs,fsname=");
	print_escaped(out, name);
	if (others_allowed(options))
		fprintf(out, ",allow_other");
	if (options->allow_root)
		fprintf(out, ",allow_root");
	if (options->auto_unmount)
		fprintf(out, ",auto_unmount");
	if (options->mount_opts[0])
		fprintf(out, ",%s", options->mount_opts);
	if (text_close(out) < 0) {
		free(list);
		return NULL;
	}
	return list;
}

static int serve(struct daemon *daemon, struct filesystem *fs, char *error)
{
	const struct options *options = daemon->options;
	owned_memory char *list = mount_options(daemon);
	struct session_settings settings = {
		.mountpoint = daemon->checked->mountpoint_abs,
		.mount_options = list,
		.late_flags = options->late_flags ? options->mount_flags : 0,
		.threads = options->threads ? options->threads :
					      THREADS_DEFAULT,
		/* Under data=daemon too: a file's policy may ask for it. */
		.passthrough = true,
		.passthrough_required = options->data == data_kernel,
		.count_requests = options->debug,
		.ready = mount_ready,
		.ending = mount_ending,
		.reload = reload,
		.context = daemon,
	};
	struct session *session;
	int r;

	if (!list) {
		snprintf(error, MESSAGE_MAX, "out of memory");
		return -ENOMEM;
	}
	r = session_new(fs, &settings, &session, error, MESSAGE_MAX);
	if (r < 0)
		return r;
	r = session_run(session, error, MESSAGE_MAX);
	if (r == 0 && daemon->mounted)
		log_event(event_unmounted, "unmounted from %s, everything is "
			  "synced", settings.mountpoint);
	daemon->abandoned = !session_free(session);
	return r;
}

/* data= stands apart, because the mount as a whole depends on it. */
static struct policy default_policy(const struct options *options)
{
	static const enum policy_data paths[] = {
		[data_auto] = policy_data_auto,
		[data_kernel] = policy_data_kernel,
		[data_daemon] = policy_data_daemon,
	};
	struct policy policy = options->policy;

	policy.data = paths[options->data];
	if (options->data != data_auto)
		policy.set |= 1u << policy_data;
	return policy;
}

static int recover(const struct daemon *daemon, char *error)
{
	const struct preflight *checked = daemon->checked;

	return recovery_run(checked->store_abs, checked->store_fd,
			    daemon->options->discard_journal, error,
			    MESSAGE_MAX);
}

/* The kernel refuses what is beyond RLIMIT_MEMLOCK, whatever was asked for. */
static uint64_t lock_limit(const struct options *options)
{
	struct rlimit limit;

	if (!credentials_can_lock() &&
	    getrlimit(RLIMIT_MEMLOCK, &limit) == 0 &&
	    limit.rlim_max < options->lock_limit)
		return limit.rlim_max;
	return options->lock_limit;
}

static int run(struct daemon *daemon, char *error)
{
	const struct options *options = daemon->options;
	struct filesystem_settings settings = {
		.kernel_path = true,
		.cross_mounts = options->cross_mounts,
		.no_fsync = options->nofsync,
		.attr_timeout = options->attr_timeout,
		.entry_timeout = options->entry_timeout,
		.negative_timeout = options->negative_timeout,
		.stage_limit = options->stage_limit,
		.journal_size = options->journal_size,
	};
	struct filesystem *fs = calloc(1, sizeof(*fs));
	int r = guard_init();

	settings.policy = default_policy(options);

	if (!fs || r < 0) {
		free(fs);
		snprintf(error, MESSAGE_MAX, "out of memory");
		return -ENOMEM;
	}
	node_thread_enter();
	session_block_signals();
	/* What RLIMIT_FSIZE forbids is an error and no death. */
	signal(SIGXFSZ, SIG_IGN);
	credentials_init();
	settings.lock_limit = lock_limit(options);
	if (inode_init() < 0)
		log_event(event_proc_missing, "/proc can't be read: %s",
			  strerror(errno));
	settings.policy_file = daemon->policy_file;
	daemon->policy_file = NULL;
	r = filesystem_init(
		fs, fcntl(daemon->checked->store_fd, F_DUPFD_CLOEXEC, 0),
		raise_descriptor_limit(), &settings);
	daemon->fs = fs;
	if (r < 0) {
		snprintf(error, MESSAGE_MAX, "store %s: %s",
			 daemon->checked->store_abs, strerror(-r));
	} else {
		r = serve(daemon, fs, error);
		if (daemon->abandoned)
			return r;
		filesystem_fini(fs);
	}
	node_thread_leave();
	inode_fini();
	free(fs);
	return r;
}

/* A service's standard error may be the journal, which takes more than text. */
static const char *default_log(struct daemon *daemon)
{
	if (!daemon->options->foreground)
		return "syslog";
	daemon->stderr_is_journal = log_socket_stderr_is_journal();
	return daemon->stderr_is_journal ? "journal" : "stderr";
}

static bool is_log_file(const char *target)
{
	return strcmp(target, "stderr") != 0 &&
	       strcmp(target, "syslog") != 0 && strcmp(target, "journal") != 0;
}

/* What a log target that can't be opened should have been. */
static const char *log_expected(const char *target)
{
	if (strcmp(target, "journal") == 0)
		return ": no systemd-journald here; expected log=stderr, "
		       "log=syslog or log=FILE";
	if (is_log_file(target))
		return ": expected a file that can be written, in a directory "
		       "that is there, or stderr, syslog or journal";
	return "";
}

static int open_log(struct daemon *daemon, char *error)
{
	const struct options *options = daemon->options;
	const char *target = options->log_target;
	int r;

	if (!target)
		target = default_log(daemon);
	daemon->log_is_stderr = strcmp(target, "stderr") == 0;
	/*
	 * After SIGHUP it would be a file of our own mount: nobody could
	 * unmount that any more, and each line would be a request to us.
	 */
	if (is_log_file(target) &&
	    path_is_below(target, daemon->checked->mountpoint_abs))
		return line_fail(error, MESSAGE_MAX, EINVAL,
				 "log=%s is below the mountpoint: expected a "
				 "file elsewhere", target);
	r = log_open(target, options->debug ? log_level_debug :
					      log_level_info);
	if (r < 0)
		snprintf(error, MESSAGE_MAX, "log=%s: %s%s", target,
			 strerror(-r), log_expected(target));
	else
		log_set_mount(daemon->checked->store_abs,
			      daemon->checked->mountpoint_abs);
	return r;
}

/* One line, to whoever started us if they still wait, and to the log. */
static int report(const struct daemon *daemon, const char *error)
{
	bool waited_for = daemon->options->foreground ||
			  daemon->status_pipe >= 0;
	bool told_by_log = daemon->stderr_is_journal ||
			   (daemon->mounted && daemon->log_is_stderr);

	notify_failed(error);
	if (waited_for && !told_by_log)
		fail(EXIT_MOUNT, error);
	if (!waited_for || told_by_log ||
	    (daemon->options->log_target && !daemon->log_is_stderr))
		log_event(daemon->mounted ? event_end_failed :
					    event_start_failed, "%s", error);
	return EXIT_MOUNT;
}

static int run_daemon(struct daemon *daemon)
{
	char error[MESSAGE_MAX] = "";
	int status = EXIT_SUCCESS;

	if (open_log(daemon, error) < 0)
		status = fail(EXIT_MOUNT, error);
	else if (recover(daemon, error) < 0 || run(daemon, error) < 0)
		status = report(daemon, error);
	else if (daemon->status_pipe >= 0)
		status = fail(EXIT_MOUNT, "ended by a signal before the mount "
					  "could be used");
	tell_parent(daemon, status);
	log_close();
	if (daemon->abandoned)
		_exit(status);
	return status;
}

static int await_child(int pipe_fd, pid_t child)
{
	unsigned char status;
	int wait_status;

	if (read(pipe_fd, &status, 1) == 1)
		return status;
	waitpid(child, &wait_status, 0);
	return fail(EXIT_MOUNT, "the daemon ended before the mount was there");
}

static int run_in_background(struct daemon *daemon)
{
	int ends[2];
	pid_t child;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return fail(EXIT_MOUNT, strerror(errno));
	fflush(NULL);
	child = fork();
	if (child < 0)
		return fail(EXIT_MOUNT, strerror(errno));
	if (child > 0) {
		close(ends[1]);
		return await_child(ends[0], child);
	}
	close(ends[0]);
	daemon->status_pipe = ends[1];
	return run_daemon(daemon);
}

static int remount(const struct options *options,
		   const struct preflight *checked)
{
	char message[MESSAGE_MAX];

	if (mount(NULL, checked->mountpoint_abs, NULL,
		  MS_REMOUNT | options->mount_flags, NULL) == 0)
		return EXIT_SUCCESS;
	snprintf(message, sizeof(message), "remounting %s: %s",
		 checked->mountpoint_abs, strerror(errno));
	return fail(EXIT_MOUNT, message);
}

static int start(const struct options *options)
{
	char error[MESSAGE_MAX];
	struct preflight checked;
	struct daemon daemon = {
		.options = options,
		.checked = &checked,
		.status_pipe = -1,
	};
	int status;

	if (!options->foreground)
		notify_ignore();
	if (preflight_check(options, &checked, error, sizeof(error)) < 0)
		return fail(EXIT_MOUNT, error);
	if (options->remount)
		status = remount(options, &checked);
	else if (policy_source_open(&daemon.policies, options,
				    checked.mountpoint_abs,
				    &daemon.policy_file, error,
				    sizeof(error)) < 0)
		status = fail(EXIT_MOUNT, error);
	else if (watch_plan(&daemon.watching, options, &checked, error,
			    sizeof(error)) < 0)
		status = fail(EXIT_MOUNT, error);
	else if (options->fake_mount)
		status = EXIT_SUCCESS;
	else if (options->foreground)
		status = run_daemon(&daemon);
	else
		status = run_in_background(&daemon);
	policy_file_put(daemon.policy_file);
	policy_source_close(&daemon.policies);
	watch_plan_fini(&daemon.watching);
	preflight_fini(&checked);
	return status;
}

/* So that no file of ours gets a number that is closed or reused later. */
static void fill_standard_descriptors(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd > STDERR_FILENO)
		close(fd);
}

int main(int argc, char **argv)
{
	char error[MESSAGE_MAX];
	struct options options;
	int status = EXIT_SUCCESS;

	fill_standard_descriptors();
	if (options_parse(argc, argv, &options, error, sizeof(error)) < 0)
		return fail(EXIT_USAGE, error);
	if (options.help)
		fputs(options_help_text(), stdout);
	else if (options.version)
		options_print_version();
	else
		status = start(&options);
	options_fini(&options);
	return status;
}
