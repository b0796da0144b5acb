// SPDX-License-Identifier: Apache-2.0
/*
 * The main thread waits for signals; workers serve.
 *
 *	mounted		libfuse has mounted, nobody serves yet
 *	serving		INIT was answered, a stat of the mountpoint too
 *	closing		SIGTERM: a thread writes back what programs have
 *			dirtied in mapped files (syncfs of the mount, which
 *			needs the workers), then detaches the mount
 *	ended		the workers saw ENODEV, or were stopped because files
 *			were still open a while after the mount was detached
 *
 * In every case the store is synced last.
 */
#include "fuse/session.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/file.h"
#include "fuse/client.h"
#include "fuse/counters.h"
#include "fuse/fuse.h"
#include "fuse/handshake.h"
#include "fuse/request.h"
#include "fuse/wire.h"
#include "fuse/workers.h"
#include "os/clock.h"
#include "os/credentials.h"
#include "os/notify.h"
#include "util/cleanup.h"
#include "util/log.h"

#define OVERLAYFS_MAGIC 0x794c7630
#define MAX_WRITE (1u << 20)
#define MAX_BACKGROUND 256
/* Bytes of a message: a write of more takes a while to copy. */
#define LONG_MESSAGE ((size_t)64 << 10)
/* How long somebody who has asked something may ask something again. */
#define COMPANY_NS INT64_C(20000000)
/* After the mount was detached, for programs that still have files open. */
#define LINGER_MS 1000
/* For workers that wait for the store's device. */
#define STOP_MS 10000

struct session {
	struct filesystem *fs;
	struct session_settings settings;
	struct fuse_session *fuse;
	struct handshake handshake;
	int device_again; /* keep_device_high() */
	struct workers workers;
	_Atomic bool initialised;
	bool serving;
	bool closing;
	bool hurried; /* closing, and told again not to wait for that */
	pthread_t closer; /* while closing */
	bool mounted;
	bool abandoned; /* stopped while programs had files open */
	/* Whose the last request was, and when it was another's than before. */
	_Atomic uint32_t last_caller;
	_Atomic int64_t mixed_at; /* clock_coarse() */
	_Atomic dev_t device; /* of the mounted root, while serving */
};

struct filesystem *session_filesystem(struct session *session)
{
	return session->fs;
}

struct handshake *session_handshake(struct session *session)
{
	return &session->handshake;
}

struct fuse_session *session_fuse(struct session *session)
{
	return session->fuse;
}

/* ---- requests ---------------------------------------------------------- */

static void want_if_capable(struct fuse_conn_info *conn, unsigned flags)
{
	conn->want |= conn->capable & flags;
}

static void op_init(void *context, struct fuse_conn_info *conn)
{
	(void)context;
	/*
	 * Locks stay the kernel's own. Splicing would copy through pipes what
	 * goes straight from the mapping. KILLPRIV, the older protocol, would
	 * have every write clear setuid, also root's.
	 */
	conn->want &= ~(unsigned)(FUSE_CAP_POSIX_LOCKS | FUSE_CAP_FLOCK_LOCKS |
				  FUSE_CAP_SPLICE_READ |
				  FUSE_CAP_SPLICE_WRITE |
				  FUSE_CAP_SPLICE_MOVE |
				  FUSE_CAP_AUTO_INVAL_DATA |
				  FUSE_CAP_WRITEBACK_CACHE |
				  FUSE_CAP_HANDLE_KILLPRIV);
	want_if_capable(conn, FUSE_CAP_ASYNC_READ | FUSE_CAP_ASYNC_DIO |
				      FUSE_CAP_ATOMIC_O_TRUNC |
				      FUSE_CAP_PARALLEL_DIROPS |
				      FUSE_CAP_READDIRPLUS |
				      FUSE_CAP_READDIRPLUS_AUTO |
				      FUSE_CAP_CACHE_SYMLINKS |
				      FUSE_CAP_DONT_MASK |
				      FUSE_CAP_POSIX_ACL | FUSE_CAP_IOCTL_DIR);
	conn->max_write = MAX_WRITE;
	conn->max_background = MAX_BACKGROUND;
	conn->congestion_threshold = MAX_BACKGROUND * 3 / 4;
}

static const struct fuse_lowlevel_ops *operations(void)
{
	static struct fuse_lowlevel_ops ops = { .init = op_init };

	ops_name_add(&ops);
	ops_attr_add(&ops);
	ops_dir_add(&ops);
	ops_file_add(&ops);
	ops_xattr_add(&ops);
	return &ops;
}

static void dispatch(struct session *session, void *message, size_t size)
{
	const struct wire_in_header *header = message;
	struct fuse_buf buffer = { .mem = message, .size = size };
	uint32_t opcode = header->opcode;

	if (opcode == WIRE_TMPFILE) {
		ops_tmpfile(session, header->nodeid, header + 1,
			    size - sizeof(*header));
		return;
	}
	if (opcode == WIRE_STATX) {
		ops_statx(session, header->nodeid);
		return;
	}
	fuse_session_process_buf(session->fuse, &buffer);
	if (opcode == WIRE_INIT) {
		session->initialised = true;
		kill(getpid(), workers_signal());
	}
}

static void serve(void *context, void *message, size_t size)
{
	struct session *session = context;
	const struct wire_in_header *header = message;
	struct request_clock clock;
	uint32_t opcode;

	if (request_parse(message, size) < 0) {
		log_event(event_request_malformed,
			  "a request of %zu bytes is too short", size);
		return;
	}
	opcode = header->opcode;
	/* Without KILLPRIV_V2 nobody says whose change keeps the bits. */
	if (!session->handshake.killpriv)
		current_request.caller.kill_privileges =
			current_request.caller.uid != 0;
	if (credentials_ensure() < 0)
		log_event(event_identity_stuck, "a thread can't take its own "
			  "identity back after acting for a user");
	counters_add(opcode);
	log_debug("%s of %llu", counters_name(opcode),
		  (unsigned long long)header->nodeid);
	dispatch(session, message, size);
	clock = request_take_clock();
	counters_answered(&clock);
}

/* Our own mount, as a client of it. */
static struct client client_of(const struct session *session)
{
	return (struct client){
		.mountpoint = session->settings.mountpoint,
		.device = session->device,
		.connections = { session->handshake.device,
				 session->device_again },
	};
}

void session_refresh_attributes(struct session *session, struct node *node)
{
	struct client client = client_of(session);
	int r = client_refresh(&client, node_number(&session->fs->nodes, node),
			       node->generation);

	if (r < 0)
		log_debug("attributes not refreshed: %s", strerror(-r));
}

/*
 * What programs have dirtied in mappings of the mount comes to us: syncfs of
 * the mount, served by other threads meanwhile. 0 or -errno.
 */
static int write_back(void *context)
{
	const struct session *session = context;
	struct client client = client_of(session);

	return session->workers.stopping ? 0 : client_sync(&client);
}

static void invalidate(void *context, struct node *node, off_t offset,
		       off_t length)
{
	struct session *session = context;

	/* -ENOENT: the kernel has nothing of it. */
	(void)fuse_lowlevel_notify_inval_inode(
		session->fuse, node_number(&session->fs->nodes, node), offset,
		length);
}

static void describe(void *context, FILE *out)
{
	const struct session *session = context;

	fprintf(out, "libfuse=%s\nkillpriv=%s\n", fuse_pkgversion(),
		session->handshake.killpriv ? "yes" : "no");
	counters_print(out);
}

static void idle(void *context)
{
	struct session *session = context;

	node_table_trim(&session->fs->nodes);
}

/* An fsync that is deferred, or answered when its group is, does not. */
static bool waits_for_device(const void *body, size_t size)
{
	const struct wire_fsync_in *in = body;

	if (size < sizeof(*in))
		return false;
	const struct file_handle_state *handle =
		(const struct file_handle_state *)(uintptr_t)in->fh;
	return file_policy(handle->file)->fsync == policy_fsync_honor;
}

/* Requests of several programs or threads have come lately. */
static bool has_company(const struct session *session)
{
	return clock_coarse() - session->mixed_at < COMPANY_NS;
}

static void note_caller(struct session *session, uint32_t caller)
{
	/* 0: the kernel's own, such as write-back. */
	if (caller == 0 || caller == session->last_caller)
		return;
	session->last_caller = caller;
	session->mixed_at = clock_coarse();
}

/* By its nature: what waits for a device, or copies a lot. */
static bool is_long(void *context, const void *message, size_t size)
{
	struct session *session = context;
	const struct wire_in_header *header = message;

	note_caller(session, header->pid);
	switch (header->opcode) {
	case WIRE_FSYNC:
		/*
		 * A program that is alone waits for just this; to wake
		 * another thread would cost it a tenth of an fsync.
		 */
		return has_company(session) &&
		       waits_for_device(header + 1, size - sizeof(*header));
	case WIRE_FSYNCDIR:
		return has_company(session) &&
		       session->fs->settings.policy.fsync == policy_fsync_honor;
	case WIRE_FALLOCATE:
	case WIRE_COPY_FILE_RANGE:
		return true;
	default:
		return size >= LONG_MESSAGE;
	}
}

/* ---- mounting ---------------------------------------------------------- */

/* What libfuse says is kept for the message of the one who called it. */
static char libfuse_said[256];

__attribute__((format(printf, 2, 0))) static void
take_message(enum fuse_log_level level, const char *format, va_list arguments)
{
	char line[sizeof(libfuse_said)];
	size_t length;

	vsnprintf(line, sizeof(line), format, arguments);
	length = strcspn(line, "\n");
	line[length] = '\0';
	if (level <= FUSE_LOG_ERR)
		memcpy(libfuse_said, line, sizeof(libfuse_said));
	log_debug("libfuse: %s", line);
}

static int mount_by_libfuse(struct session *session, char *error,
			    size_t error_size)
{
	const struct session_settings *settings = &session->settings;
	char *arguments[] = { (char *)"msyncfs", (char *)"-o",
			      (char *)settings->mount_options, NULL };
	struct fuse_args args = FUSE_ARGS_INIT(3, arguments);

	fuse_set_log_func(take_message);
	session->fuse = fuse_session_new(&args, operations(),
					 sizeof(struct fuse_lowlevel_ops),
					 session);
	fuse_opt_free_args(&args);
	if (!session->fuse) {
		snprintf(error, error_size, "mount options '%s': %s",
			 settings->mount_options, libfuse_said);
		return -EINVAL;
	}
	if (fuse_session_mount(session->fuse, settings->mountpoint) != 0) {
		snprintf(error, error_size, "mounting at %s failed%s%s",
			 settings->mountpoint, libfuse_said[0] ? ": " : "",
			 libfuse_said);
		return -EPERM;
	}
	session->mounted = true;
	return 0;
}

/* Flags that only mount(2) itself takes. */
static int set_late_flags(const struct session *session, char *error,
			  size_t error_size)
{
	const struct session_settings *settings = &session->settings;

	if (settings->late_flags == 0 ||
	    mount(NULL, settings->mountpoint, NULL,
		  MS_REMOUNT | settings->late_flags, NULL) == 0)
		return 0;
	snprintf(error, error_size, "setting mount flags of %s: %s",
		 settings->mountpoint, strerror(errno));
	return -EPERM;
}

/*
 * With auto_unmount a fusermount3 waits until a socket that we have inherited
 * closes, looks whether the mount is dead, and if not gives up. So when we are
 * killed the device must be released before that socket. The kernel releases
 * the descriptors of a process from the highest number down (task work runs
 * last in, first out: kernel/task_work.c), and libfuse leaves the socket's
 * just above the device's.
 */
static int keep_device_high(int device)
{
	return fcntl(device, F_DUPFD_CLOEXEC, device + 16);
}

static unsigned stack_depth_of(const struct filesystem *fs)
{
	struct statfs st;

	if (fstatfs(fs->store.root_fd, &st) == 0 &&
	    st.f_type == OVERLAYFS_MAGIC)
		return 2;
	return 1;
}

int session_new(struct filesystem *fs, const struct session_settings *settings,
		struct session **made, char *error, size_t error_size)
{
	struct session *session = calloc(1, sizeof(*session));
	int r;

	if (!session) {
		snprintf(error, error_size, "out of memory");
		return -ENOMEM;
	}
	session->fs = fs;
	session->settings = *settings;
	fs->clients = (struct filesystem_clients){
		.write_back = write_back,
		.invalidate = invalidate,
		.describe = describe,
		.operations = counters_all(),
		.operation_count = WIRE_OPCODES,
		.operation_name = counters_name,
		.mountpoint = settings->mountpoint,
		.context = session,
	};
	session->device_again = -1;
	r = mount_by_libfuse(session, error, error_size);
	if (r < 0) {
		session_free(session);
		return r;
	}
	session->device_again = keep_device_high(
		fuse_session_fd(session->fuse));
	session->handshake = (struct handshake){
		.fs = fs,
		.device = fuse_session_fd(session->fuse),
		.want_passthrough = settings->passthrough &&
				    credentials_can_passthrough(),
		.stack_depth = stack_depth_of(fs),
	};
	session->handshake.installed =
		handshake_install(&session->handshake, session->fuse) == 0;
	if (!session->handshake.installed)
		log_event(event_libfuse_old, "libfuse is older than 3.14: no "
			  "passthrough, and each write costs a request more");
	session->workers = (struct workers){
		.device = session->handshake.device,
		.limit = settings->threads,
		.is_long = is_long,
		.serve = serve,
		.idle = idle,
		.context = session,
	};
	*made = session;
	return 0;
}

bool session_free(struct session *session)
{
	if (session->abandoned)
		return false;
	if (session->device_again >= 0)
		close(session->device_again);
	/*
	 * Finds out by itself that the mount is gone. Detached with files
	 * open it would look alive, and another mount may be in its place.
	 */
	if (session->mounted)
		fuse_session_unmount(session->fuse);
	if (session->fuse)
		fuse_session_destroy(session->fuse);
	free(session);
	return true;
}

/* ---- running ----------------------------------------------------------- */

static void signals_of_session(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGHUP);
	sigaddset(set, SIGUSR1);
	sigaddset(set, workers_signal());
}

static pthread_t signals_waiter;

/* Sent to this thread alone it waits there, blocked, for sigwaitinfo(3). */
static void pass_on(int number)
{
	pthread_kill(signals_waiter, number);
}

void session_block_signals(void)
{
	/*
	 * The thread that liburcu has for its hash tables unblocks SIGUSR1 for
	 * itself. While this one is busy the kernel hands the signal to that.
	 */
	const struct sigaction action = { .sa_handler = pass_on,
					  .sa_flags = SA_RESTART };
	sigset_t set;

	signals_of_session(&set);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	signals_waiter = pthread_self();
	sigaction(SIGUSR1, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
}

static void detach_mount(const struct session *session)
{
	const char *mountpoint = session->settings.mountpoint;
	char *arguments[] = { (char *)"fusermount3", (char *)"-u",
			      (char *)"-z",	     (char *)"-q",
			      (char *)"--",	     (char *)mountpoint,
			      NULL };
	extern char **environ;
	struct stat st;
	pid_t pid;

	if (stat(mountpoint, &st) < 0 || st.st_dev != session->device)
		return;
	if (umount2(mountpoint, MNT_DETACH) == 0)
		return;
	if (posix_spawnp(&pid, arguments[0], NULL, NULL, arguments,
			 environ) == 0)
		waitpid(pid, NULL, 0);
}

static void *close_mount(void *argument)
{
	struct session *session = argument;
	struct timespec interval = { .tv_nsec = 10000000 };
	int r;

	r = write_back(session);
	if (r < 0)
		log_event(event_mapped_unwritten, "writing back mapped files "
			  "before the unmount: %s", strerror(-r));
	detach_mount(session);
	for (unsigned waited = 0; waited < LINGER_MS; waited += 10) {
		if (session->workers.stopping)
			return NULL;
		nanosleep(&interval, NULL);
	}
	session->abandoned = true;
	session->workers.stopping = true;
	kill(getpid(), workers_signal());
	return NULL;
}

static void close_session(struct session *session)
{
	notify_stopping();
	if (session->closing || !session->serving) {
		/* Asked twice, or before anybody could use it: at once. */
		session->hurried = session->closing;
		session->abandoned = session->closing;
		session->workers.stopping = true;
		return;
	}
	if (pthread_create(&session->closer, NULL, close_mount, session) == 0)
		session->closing = true;
	else
		session->workers.stopping = true;
}

static int start_serving(struct session *session, char *error,
			 size_t error_size)
{
	const struct session_settings *settings = &session->settings;
	struct stat st;
	int r;

	if (settings->passthrough_required &&
	    !session->handshake.passthrough) {
		snprintf(error, error_size,
			 "data=kernel: no FUSE passthrough here; it takes "
			 "Linux 6.9, CAP_SYS_ADMIN and libfuse 3.14 (use "
			 "data=auto)");
		return -EOPNOTSUPP;
	}
	if (stat(settings->mountpoint, &st) < 0) {
		r = -errno;
		snprintf(error, error_size, "the mount does not answer: %s",
			 strerror(-r));
		return r;
	}
	r = set_late_flags(session, error, error_size);
	if (r < 0)
		return r;
	session->device = st.st_dev;
	session->serving = true;
	log_event(event_mounted, "mounted at %s, data path %s%s",
		  settings->mountpoint,
		  handshake_data_path(&session->handshake),
		  session->handshake.killpriv ? "" : ", no KILLPRIV_V2");
	return settings->ready(settings->context);
}

static int handle_signal(struct session *session, int number, char *error,
			 size_t error_size)
{
	switch (number) {
	case SIGTERM:
	case SIGINT:
		close_session(session);
		return 0;
	case SIGHUP:
		(void)session->settings.reload(session->settings.context);
		return 0;
	case SIGUSR1:
		counters_log();
		return 0;
	default:
		if (!session->initialised || session->serving)
			return 0;
		return start_serving(session, error, error_size);
	}
}

int session_run(struct session *session, char *error, size_t error_size)
{
	sigset_t set;
	int r;

	signals_of_session(&set);
	r = filesystem_start(session->fs);
	if (r == 0)
		r = workers_start(&session->workers);
	if (r < 0)
		snprintf(error, error_size, "starting threads: %s",
			 strerror(-r));
	while (r == 0 && !session->workers.stopping) {
		int number = sigwaitinfo(&set, NULL);

		if (number > 0)
			r = handle_signal(session, number, error, error_size);
	}
	notify_stopping();
	if (session->serving)
		session->settings.ending(session->settings.context);
	if (workers_stop(&session->workers, STOP_MS)) {
		file_close_all(session->fs);
	} else {
		log_event(event_requests_stuck, "some requests have waited "
			  "for the store for more than %d s",
			  STOP_MS / 1000);
		session->abandoned = true;
	}
	filesystem_stop(session->fs);
	if (session->closing && !session->hurried)
		pthread_join(session->closer, NULL);
	if (session->settings.count_requests)
		counters_log();
	if (r == 0) {
		r = filesystem_finish(session->fs);
		if (r < 0)
			snprintf(error, error_size, "syncing the store: %s",
				 strerror(-r));
	}
	notify_stopped();
	return r;
}
