// SPDX-License-Identifier: Apache-2.0
/*
 * inotify: who watches a directory or a file of the mount is told what
 * others do with it through the same mount.
 */
#include "contract.h"

#include <poll.h>
#include <sys/inotify.h>
#include <sys/xattr.h>

struct watch {
	int fd;
	int count;
	struct {
		uint32_t mask;
		uint32_t cookie;
		char name[64];
	} event[256];
};

static void watch(struct watch *watch, const char *path, uint32_t mask)
{
	watch->fd = check_ok(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
	watch->count = 0;
	check_ok(inotify_add_watch(watch->fd, path, mask));
}

/* Takes what has come; events are queued before the call that causes them
 * returns, so there is nothing to wait for. */
static void collect(struct watch *watch)
{
	_Alignas(struct inotify_event) char buffer[8192];
	ssize_t size, at;

	watch->count = 0;
	while ((size = read(watch->fd, buffer, sizeof(buffer))) > 0) {
		for (at = 0; at < size;) {
			struct inotify_event *event = (void *)(buffer + at);
			int i = watch->count++;

			check(i < 256);
			check(!(event->mask & IN_Q_OVERFLOW));
			watch->event[i].mask = event->mask;
			watch->event[i].cookie = event->cookie;
			snprintf(watch->event[i].name,
				 sizeof(watch->event[i].name), "%.63s",
				 event->len ? event->name : "");
			at += sizeof(*event) + event->len;
		}
	}
	check_equal(errno, EAGAIN);
}

/* The place of the event; a test that misses it fails. */
static int find(const struct watch *watch, uint32_t mask, const char *name)
{
	int i;

	for (i = 0; i < watch->count; i++) {
		if ((watch->event[i].mask & mask) == mask &&
		    strcmp(watch->event[i].name, name) == 0)
			return i;
	}
	check_failed(__FILE__, __LINE__, "no event %#x of \"%s\" among %d",
		     (unsigned)mask, name, watch->count);
}

static void make_and_remove(void *unused)
{
	(void)unused;
	make_file("dir/file", 10, 1);
	check_ok(mkdir("dir/sub", 0755));
	check_ok(symlink("x", "dir/soft"));
	check_ok(link("dir/file", "dir/hard"));
	check_ok(unlink("dir/file"));
	check_ok(rmdir("dir/sub"));
}

static void creation_and_removal_are_told(void **state)
{
	struct watch dir;

	(void)state;
	check_ok(mkdir("dir", 0755));
	watch(&dir, "dir", IN_CREATE | IN_DELETE);
	run_as(NULL, make_and_remove, NULL);
	collect(&dir);
	check(find(&dir, IN_CREATE, "file") < find(&dir, IN_DELETE, "file"));
	find(&dir, IN_CREATE | IN_ISDIR, "sub");
	find(&dir, IN_CREATE, "soft");
	find(&dir, IN_CREATE, "hard");
	find(&dir, IN_DELETE | IN_ISDIR, "sub");
	check_equal(dir.count, 6);
	close_ok(dir.fd);
}

static void append_to_file(void *unused)
{
	int fd = open_ok("dir/file", O_WRONLY | O_APPEND);

	(void)unused;
	write_ok(fd, "more", 4);
	close_ok(fd);
}

static void reading_and_writing_are_told(void **state)
{
	struct watch dir, file;

	(void)state;
	check_ok(mkdir("dir", 0755));
	make_file("dir/file", 10, 1);
	watch(&dir, "dir", IN_ALL_EVENTS);
	watch(&file, "dir/file", IN_ALL_EVENTS);
	run_as(NULL, append_to_file, NULL);
	collect(&dir);
	collect(&file);
	check(find(&dir, IN_OPEN, "file") < find(&dir, IN_MODIFY, "file"));
	check(find(&dir, IN_MODIFY, "file") <
	      find(&dir, IN_CLOSE_WRITE, "file"));
	find(&file, IN_MODIFY, "");
	find(&file, IN_CLOSE_WRITE, "");
	close_ok(dir.fd);
	close_ok(file.fd);
}

static void attributes_and_truncation_are_told(void **state)
{
	struct watch dir;

	(void)state;
	check_ok(mkdir("dir", 0755));
	make_file("dir/file", 10, 1);
	watch(&dir, "dir", IN_ATTRIB | IN_MODIFY);
	check_ok(chmod("dir/file", 0600));
	collect(&dir);
	find(&dir, IN_ATTRIB, "file");
	check_ok(truncate("dir/file", 5));
	collect(&dir);
	find(&dir, IN_MODIFY, "file");
	check_ok(setxattr("dir/file", "user.a", "x", 1, 0));
	collect(&dir);
	find(&dir, IN_ATTRIB, "file");
	check_ok(utimensat(AT_FDCWD, "dir/file", NULL, 0));
	collect(&dir);
	find(&dir, IN_ATTRIB, "file");
	close_ok(dir.fd);
}

static void a_move_is_told_as_one(void **state)
{
	struct watch dir;
	int from, to;

	(void)state;
	check_ok(mkdir("dir", 0755));
	make_file("dir/a", 1, 1);
	make_file("outside", 1, 1);
	watch(&dir, "dir", IN_MOVE);
	check_ok(rename("dir/a", "dir/b"));
	collect(&dir);
	from = find(&dir, IN_MOVED_FROM, "a");
	to = find(&dir, IN_MOVED_TO, "b");
	check_equal(dir.event[from].cookie, dir.event[to].cookie);
	check_ok(rename("outside", "dir/in"));
	check_ok(rename("dir/b", "out"));
	collect(&dir);
	find(&dir, IN_MOVED_TO, "in");
	find(&dir, IN_MOVED_FROM, "b");
	check_equal(dir.count, 2);
	close_ok(dir.fd);
}

static void the_end_of_what_is_watched_is_told(void **state)
{
	struct watch file, dir;

	(void)state;
	make_file("file", 1, 1);
	check_ok(mkdir("dir", 0755));
	watch(&file, "file", IN_ALL_EVENTS);
	watch(&dir, "dir", IN_ALL_EVENTS);
	check_ok(rename("file", "renamed"));
	collect(&file);
	find(&file, IN_MOVE_SELF, "");
	check_ok(unlink("renamed"));
	collect(&file);
	find(&file, IN_DELETE_SELF, "");
	find(&file, IN_IGNORED, "");
	check_ok(rmdir("dir"));
	collect(&dir);
	find(&dir, IN_DELETE_SELF, "");
	close_ok(file.fd);
	close_ok(dir.fd);
}

static void write_a_little_later(void *unused)
{
	(void)unused;
	tick();
	tick();
	append_to_file(NULL);
}

static void a_waiting_watcher_is_woken(void **state)
{
	struct watch dir;
	struct pollfd poll_fd;
	pid_t child;

	(void)state;
	check_ok(mkdir("dir", 0755));
	make_file("dir/file", 10, 1);
	watch(&dir, "dir", IN_MODIFY);
	child = spawn(NULL, write_a_little_later, NULL);
	poll_fd = (struct pollfd){.fd = dir.fd, .events = POLLIN};
	check_equal(poll(&poll_fd, 1, 10000), 1);
	collect(&dir);
	find(&dir, IN_MODIFY, "file");
	join(child);
	close_ok(dir.fd);
}

static void a_watch_stays_while_nobody_else_uses_the_file(void **state)
{
	struct watch file;
	char name[32];
	int i;

	(void)state;
	check_ok(mkdir("dir", 0755));
	make_file("dir/file", 10, 1);
	watch(&file, "dir/file", IN_MODIFY);
	/* Other files come and go, so that caches have reason to forget. */
	for (i = 0; i < 500; i++) {
		snprintf(name, sizeof(name), "dir/other%d", i);
		make_file(name, 10, 1);
		check_ok(unlink(name));
	}
	append_to_file(NULL);
	collect(&file);
	find(&file, IN_MODIFY, "");
	close_ok(file.fd);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		contract_case(creation_and_removal_are_told),
		contract_case(reading_and_writing_are_told),
		contract_case(attributes_and_truncation_are_told),
		contract_case(a_move_is_told_as_one),
		contract_case(the_end_of_what_is_watched_is_told),
		contract_case(a_waiting_watcher_is_woken),
		contract_case(a_watch_stays_while_nobody_else_uses_the_file),
	};

	return contract_main(argc, argv, tests);
}
