// SPDX-License-Identifier: Apache-2.0
#include "support.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/guard.h"
#include "util/cleanup.h"

#define THREADS_MAX 16

const struct caller caller_root;

/*
 * ThreadSanitizer asks for these. It doesn't see the order that liburcu
 * makes, which is not built for it; and children may start threads.
 */
const char *__tsan_default_suppressions(void);
const char *__tsan_default_options(void);

const char *__tsan_default_suppressions(void)
{
	return "called_from_lib:liburcu.so\n"
	       "called_from_lib:liburcu-cds.so\n";
}

const char *__tsan_default_options(void)
{
	return "die_after_fork=0";
}

static int for_each_descriptor(int (*what)(int fd, void *), void *argument)
{
	DIR *list = opendir("/proc/self/fd");
	struct dirent *entry;
	int sum = 0;

	if (!list)
		return -1;
	while ((entry = readdir(list)) != NULL) {
		int fd = atoi(entry->d_name);

		if (entry->d_name[0] != '.' && fd != dirfd(list))
			sum += what(fd, argument);
	}
	closedir(list);
	return sum;
}

static int note_descriptor(int fd, void *argument)
{
	struct place *place = argument;

	if (fd < PLACE_DESCRIPTORS_MAX)
		place->open_before[fd] = true;
	return 1;
}

static int find_leak(int fd, void *argument)
{
	struct place *place = argument;
	char link[64];
	char target[256];
	ssize_t length;

	if (fd < PLACE_DESCRIPTORS_MAX && place->open_before[fd])
		return 0;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	length = readlink(link, target, sizeof(target) - 1);
	target[length < 0 ? 0 : length] = '\0';
	print_message("# descriptor %d was left open: %s\n", fd, target);
	return 1;
}

static int count_one(int fd, void *argument)
{
	(void)fd;
	(void)argument;
	return 1;
}

unsigned open_descriptors(void)
{
	return (unsigned)for_each_descriptor(count_one, NULL);
}

unsigned mappings_of(const char *text)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char *line = NULL;
	size_t capacity = 0;
	unsigned count = 0;

	assert_non_null(maps);
	while (getline(&line, &capacity, maps) > 0)
		count += strstr(line, text) != NULL;
	free(line);
	fclose(maps);
	return count;
}

/* The sanitizers' allocators answer here; without them it is glibc's. */
size_t __sanitizer_get_current_allocated_bytes(void) __attribute__((weak));

size_t allocated_bytes(void)
{
	if (__sanitizer_get_current_allocated_bytes)
		return __sanitizer_get_current_allocated_bytes();
	return mallinfo2().uordblks;
}

int place_setup(void **state)
{
	struct place *place = calloc(1, sizeof(*place));
	const char *base = getenv("TMPDIR");

	if (!place)
		return -1;
	/* liburcu's thread and its descriptors, if any, are made now. */
	node_thread_enter();
	for_each_descriptor(note_descriptor, place);
	snprintf(place->directory, sizeof(place->directory),
		"%s/unit_test.XXXXXX", base && *base ? base : "/tmp");
	if (!mkdtemp(place->directory))
		return -1;
	/* Tests with other users' rights go in and out. */
	if (chmod(place->directory, 0755) < 0)
		return -1;
	place->fd = open(place->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	*state = place;
	return place->fd < 0 ? -1 : 0;
}

int place_setup_filesystem(void **state)
{
	struct filesystem_settings settings = { .attr_timeout = 1 };
	struct place *place;

	if (place_setup(state) < 0)
		return -1;
	place = *state;
	credentials_init();
	if (filesystem_init(&place->fs,
		    fcntl(place->fd, F_DUPFD_CLOEXEC, 3), 1024, &settings) < 0)
		return -1;
	place->has_fs = true;
	return 0;
}

int place_setup_by_number(void **state)
{
	struct place *place;

	if (place_setup_filesystem(state) < 0)
		return -1;
	place = *state;
	place->fs.store.by_handle = false;
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int kind,
		      struct FTW *where)
{
	(void)st;
	(void)kind;
	(void)where;
	return remove(path);
}

int place_teardown(void **state)
{
	struct place *place = *state;
	unsigned mapped;
	int result = 0;

	credentials_restore();
	if (place->has_fs)
		filesystem_fini(&place->fs);
	mapped = mappings_of(place->directory);
	if (mapped > 0) {
		print_message("# %u mappings were left\n", mapped);
		result = -1;
	}
	close(place->fd);
	if (for_each_descriptor(find_leak, place) != 0)
		result = -1;
	if (nftw(place->directory, remove_one, 16, FTW_DEPTH | FTW_PHYS) != 0) {
		print_message("# %s can't be removed\n", place->directory);
		result = -1;
	}
	node_thread_leave();
	free(place);
	return result;
}

const char *place_lacks_handles(const struct place *place)
{
	struct store store;
	bool by_handle;

	if (geteuid() != 0)
		return "needs root: file handles are for it alone";
	if (store_init(&store, fcntl(place->fd, F_DUPFD_CLOEXEC, 3), false) < 0)
		return "the temporary directory can't be a store";
	by_handle = store.by_handle;
	store_fini(&store);
	return by_handle ? NULL : "no file handles in the temporary directory";
}

void make_file(struct place *place, const char *name, const char *content)
{
	owned_fd fd = openat(place->fd, name,
		O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	size_t length = strlen(content);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, content, length), length);
}

void cut_file(struct place *place, const char *name, off_t size)
{
	owned_fd fd = openat(place->fd, name, O_WRONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, size), 0);
}

const char *stored(struct place *place, const char *name)
{
	static char text[4096];
	owned_fd fd = openat(place->fd, name, O_RDONLY | O_CLOEXEC);
	ssize_t length;

	assert_true(fd >= 0);
	length = pread(fd, text, sizeof(text) - 1, 0);
	assert_true(length >= 0);
	text[length] = '\0';
	return text;
}

struct node *look_up(struct filesystem *fs, struct node *parent,
		     const char *name)
{
	owned_path at = PATH_NONE;
	owned_fd fd = -1;
	struct store_id id;
	struct stat st;

	if (path_get(&fs->nodes, parent, &at) < 0)
		return NULL;
	fd = openat(at.at.fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0 ||
		store_identify(&fs->store, fd, &id) < 0)
		return NULL;
	return node_get_or_add(&fs->nodes, &id, &st, parent, name);
}

char *spare_bytes(void)
{
	static _Thread_local char bytes[65536];

	return bytes;
}

int open_file_as(struct open_file *this, int flags,
		 const struct caller *caller)
{
	int r = file_open(this->fs, this->node, flags, caller, &this->opened);

	if (r == 0)
		this->file = this->opened.handle->file;
	return r;
}

void open_file_begin(struct open_file *this, struct place *place, int flags,
		     const char *content)
{
	/* cmocka has its own SIGBUS handler until here. */
	assert_int_equal(guard_init(), 0);
	make_file(place, "file", content);
	this->fs = &place->fs;
	this->node = look_up(this->fs, place->fs.nodes.root, "file");
	assert_non_null(this->node);
	assert_int_equal(open_file_as(this, flags, &caller_root), 0);
}

void open_file_end(struct open_file *this)
{
	file_close(this->fs, this->opened.handle);
	node_forget(&this->fs->nodes, this->node, 1);
}

ssize_t write_text(struct file *file, const char *text, off_t offset,
		   int flags)
{
	bool cleared;

	return file_write(file, text, strlen(text), offset, flags,
		&caller_root, &cleared);
}

/* What a read gives, as a string; static memory. */
const char *read_text(struct file *file, size_t size, off_t offset)
{
	static char text[256];
	struct file_bytes bytes;

	assert_true(size < sizeof(text));
	assert_int_equal(file_read(file, spare_bytes, size, offset, 0, &bytes),
		0);
	assert_true(bytes.size <= size);
	if (bytes.size > 0)
		memcpy(text, bytes.data, bytes.size);
	text[bytes.size] = '\0';
	if (bytes.region)
		region_put(bytes.region);
	return text;
}

int in_child(int (*what)(void *), void *argument)
{
	int status = 0;
	pid_t child;

	fflush(NULL);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		/* A failed assert must not go on with the next test. */
		setenv("CMOCKA_TEST_ABORT", "1", 1);
		status = what(argument);
		fflush(NULL);
		_exit(status);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFEXITED(status) ? WEXITSTATUS(status) :
				   128 + WTERMSIG(status);
}

struct thread_task {
	pthread_t thread;
	pthread_barrier_t *start;
	int (*what)(void *, unsigned);
	void *argument;
	unsigned number;
	int result;
};

static void *run_task(void *argument)
{
	struct thread_task *task = argument;

	node_thread_enter();
	pthread_barrier_wait(task->start);
	task->result = task->what(task->argument, task->number);
	node_thread_leave();
	return NULL;
}

int in_threads(unsigned count, int (*what)(void *, unsigned), void *argument)
{
	struct thread_task tasks[THREADS_MAX];
	pthread_barrier_t start;
	int sum = 0;

	assert_true(count <= THREADS_MAX);
	pthread_barrier_init(&start, NULL, count);
	for (unsigned i = 0; i < count; i++) {
		tasks[i] = (struct thread_task){
			.start = &start,
			.what = what,
			.argument = argument,
			.number = i,
		};
		assert_int_equal(pthread_create(&tasks[i].thread, NULL,
			run_task, &tasks[i]), 0);
	}
	for (unsigned i = 0; i < count; i++) {
		pthread_join(tasks[i].thread, NULL);
		sum += tasks[i].result;
	}
	pthread_barrier_destroy(&start);
	return sum;
}
