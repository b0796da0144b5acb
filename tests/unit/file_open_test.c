// SPDX-License-Identifier: Apache-2.0
/*
 * Opening and closing: what opens of one inode share, and with whose rights
 * they write.
 */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include "core/file.h"
#include "os/clock.h"
#include "os/guard.h"
#include "util/cleanup.h"

#define USER 12001

static off_t size_of(struct place *place)
{
	struct stat st;

	assert_int_equal(fstatat(place->fd, "file", &st, 0), 0);
	return st.st_size;
}

/* ---- descriptors -------------------------------------------------------- */

static void many_opens_share_one_descriptor(void **state)
{
	struct file_opened opened[20];
	struct place *place = *state;
	struct open_file this;
	unsigned before;

	open_file_begin(&this, place, O_RDONLY, "content");
	before = open_descriptors();
	for (int i = 0; i < 20; i++) {
		assert_int_equal(file_open(this.fs, this.node,
			i % 2 ? O_RDWR : O_RDONLY, &caller_root, &opened[i]),
			0);
		assert_ptr_equal(opened[i].handle->file, this.file);
		assert_int_equal(opened[i].first_mapper, i == 1);
		read_text(this.file, 7, 0);
	}
	assert_int_equal(open_descriptors(), before);
	assert_int_equal(mappings_of(place->directory), 1);
	assert_int_equal(this.file->opens, 21);
	assert_int_equal(this.file->writers, 10);
	for (int i = 0; i < 20; i++)
		file_close(this.fs, opened[i].handle);
	assert_ptr_equal(this.node->file, this.file);
	open_file_end(&this);
	assert_int_equal(mappings_of(place->directory), 0);
}

static void the_last_close_gives_everything_back(void **state)
{
	struct place *place = *state;
	struct open_file this;
	unsigned before;

	open_file_begin(&this, place, O_RDWR, "content");
	read_text(this.file, 7, 0);
	before = open_descriptors();
	file_close(this.fs, this.opened.handle);
	assert_null(this.node->file);
	assert_int_equal(open_descriptors(), before - 1);
	assert_int_equal(mappings_of(place->directory), 0);
	assert_int_equal(this.fs->mappings.count, 0);
	node_forget(&this.fs->nodes, this.node, 1);
}

static void the_first_writer_keeps_the_descriptor_s_number(void **state)
{
	struct place *place = *state;
	struct file_opened writer;
	struct file_bytes bytes;
	struct open_file this;
	int number;

	open_file_begin(&this, place, O_RDONLY, "content");
	number = file_descriptor(this.file);
	assert_false(this.file->writable);
	file_read(this.file, spare_bytes, 7, 0, 0, &bytes);
	assert_int_equal(file_open(this.fs, this.node, O_WRONLY, &caller_root,
		&writer), 0);
	assert_ptr_equal(writer.handle->file, this.file);
	assert_int_equal(file_descriptor(this.file), number);
	assert_true(this.file->writable);
	assert_int_equal(fcntl(number, F_GETFL) & O_ACCMODE, O_RDWR);
	assert_true(fcntl(number, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(write_text(this.file, "C", 0, 0), 1);
	/* The reader's bytes are still there, and the same file's. */
	assert_memory_equal(bytes.data, "Content", 7);
	region_put(bytes.region);
	file_close(this.fs, writer.handle);
	open_file_end(&this);
}

static void a_created_file_is_opened_with_its_descriptor(void **state)
{
	struct place *place = *state;
	struct open_file this = { .fs = &place->fs };
	int fd;

	guard_init();
	fd = openat(place->fd, "file", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC,
		0600);
	this.node = look_up(this.fs, place->fs.nodes.root, "file");
	assert_int_equal(file_open_created(this.fs, this.node, fd,
		O_RDWR, NULL, &caller_root, &this.opened), 0);
	this.file = this.opened.handle->file;
	assert_int_equal(file_descriptor(this.file), fd);
	assert_true(this.opened.first_mapper);
	assert_int_equal(write_text(this.file, "new", 0, 0), 3);
	assert_string_equal(read_text(this.file, 9, 0), "new");
	open_file_end(&this);
}

/* Another process was faster, through READDIRPLUS or a hard link. */
static void a_created_file_that_is_being_read_can_be_written(void **state)
{
	struct place *place = *state;
	struct file_opened opened = { 0 };
	struct open_file this;

	open_file_begin(&this, place, O_RDONLY, "content");
	assert_int_equal(file_open_created(this.fs, this.node,
		openat(place->fd, "file", O_RDWR | O_CLOEXEC), O_RDWR,
		NULL, &caller_root, &opened), 0);
	assert_ptr_equal(opened.handle->file, this.file);
	assert_int_equal(write_text(this.file, "C", 0, 0), 1);
	assert_int_equal(write_text(this.file, "longer", 7, 0), 6);
	assert_string_equal(stored(place, "file"), "Contentlonger");
	file_close(this.fs, opened.handle);
	open_file_end(&this);
}

static void an_unlinked_file_goes_on(void **state)
{
	struct place *place = *state;
	struct file_opened again;
	struct open_file this;

	open_file_begin(&this, place, O_RDWR, "content");
	path_pin(&this.fs->paths, this.node, openat(place->fd, "file",
		O_PATH | O_CLOEXEC));
	assert_int_equal(unlinkat(place->fd, "file", 0), 0);
	assert_int_equal(write_text(this.file, "C", 0, 0), 1);
	assert_int_equal(write_text(this.file, "longer", 7, 0), 6);
	assert_string_equal(read_text(this.file, 99, 0), "Contentlonger");
	/* Closed and opened again through /proc: the kernel knows it yet. */
	file_close(this.fs, this.opened.handle);
	assert_int_equal(file_open(this.fs, this.node, O_RDWR, &caller_root,
		&again), 0);
	this.opened = again;
	this.file = again.handle->file;
	assert_string_equal(read_text(this.file, 99, 0), "Contentlonger");
	open_file_end(&this);
}

static void truncating_at_open_empties_the_file(void **state)
{
	struct place *place = *state;
	struct file_opened opened;
	struct open_file this;

	open_file_begin(&this, place, O_RDONLY, "content");
	read_text(this.file, 7, 0);
	assert_int_equal(file_open(this.fs, this.node, O_WRONLY | O_TRUNC,
		&caller_root, &opened), 0);
	assert_int_equal(size_of(place), 0);
	assert_string_equal(read_text(this.file, 7, 0), "");
	file_close(this.fs, opened.handle);
	write_text(this.file, "again", 0, 0);
	/* Linux truncates with O_RDONLY as well. */
	assert_int_equal(file_open(this.fs, this.node, O_RDONLY | O_TRUNC,
		&caller_root, &opened), 0);
	assert_int_equal(size_of(place), 0);
	file_close(this.fs, opened.handle);
	open_file_end(&this);
}

static void an_open_that_fails_leaves_nothing(void **state)
{
	struct place *place = *state;
	struct open_file this = { .fs = &place->fs };
	unsigned before;

	make_file(place, "file", "");
	this.node = look_up(this.fs, place->fs.nodes.root, "file");
	assert_int_equal(unlinkat(place->fd, "file", 0), 0);
	before = open_descriptors();
	assert_int_equal(open_file_as(&this, O_RDWR, &caller_root), -ESTALE);
	assert_null(this.node->file);
	assert_int_equal(open_descriptors(), before);
	node_forget(&this.fs->nodes, this.node, 1);
}

/* A tick may be late, and a file's time finer. */
static void pass_the_tick_of(struct place *place, const char *name)
{
	struct stat st;

	assert_int_equal(fstatat(place->fd, name, &st, 0), 0);
	while (clock_wall_coarse() <= clock_nanoseconds(&st.st_ctim))
		sched_yield();
}

static void unchanged_contents_keep_the_kernel_s_cache(void **state)
{
	struct timespec times[2] = { { .tv_sec = time(NULL) + 60 },
		{ .tv_nsec = UTIME_OMIT } };
	struct place *place = *state;
	struct open_file this;

	open_file_begin(&this, place, O_RDONLY, "content");
	/* Read since the last change, so reads need not move atime. */
	utimensat(place->fd, "file", times, 0);
	assert_false(this.opened.keep_cache);
	pass_the_tick_of(place, "file");
	file_close(this.fs, this.opened.handle);
	assert_int_equal(open_file_as(&this, O_RDONLY, &caller_root), 0);
	assert_true(this.opened.keep_cache);
	file_close(this.fs, this.opened.handle);
	make_file(place, "file", "CONTENT");
	assert_int_equal(open_file_as(&this, O_RDONLY, &caller_root), 0);
	assert_false(this.opened.keep_cache);
	open_file_end(&this);
}

/* Whoever changes it once more in that tick may leave the same times. */
static void contents_of_this_tick_don_t_keep_it(void **state)
{
	struct timespec times[2] = { { .tv_sec = time(NULL) + 60 },
		{ .tv_nsec = UTIME_OMIT } };
	struct place *place = *state;
	struct open_file this;
	int64_t begin;

	open_file_begin(&this, place, O_RDONLY, "content");
	do {
		pass_the_tick_of(place, "file");
		begin = clock_wall_coarse();
		utimensat(place->fd, "file", times, 0);
		file_close(this.fs, this.opened.handle);
		assert_int_equal(open_file_as(&this, O_RDONLY, &caller_root),
			0);
	} while (clock_wall_coarse() != begin);
	assert_false(this.opened.keep_cache);
	open_file_end(&this);
}

/* ---- rights ------------------------------------------------------------- */

static mode_t mode_of(struct place *place)
{
	struct stat st;

	return fstatat(place->fd, "file", &st, 0) < 0 ? 0 : st.st_mode & 07777;
}

struct writing {
	struct place *place;
	struct caller caller;
	int extend;
	mode_t expected;
	bool cleared;
};

static int write_as(void *argument)
{
	struct writing *writing = argument;
	struct open_file this;

	open_file_begin(&this, writing->place, O_RDWR, "content");
	expect(fchmodat(writing->place->fd, "file", 06755, 0) == 0);
	expect(file_write(this.file, "x", 1, writing->extend ? 7 : 0, 0,
		&writing->caller, &writing->cleared) == 1);
	expect(credentials_restore() == 0);
	expect(writing->cleared);
	expect(mode_of(writing->place) == writing->expected);
	return 0;
}

static void check_writing(struct place *place, struct caller caller,
			  mode_t expected)
{
	struct writing writing = {
		.place = place,
		.caller = caller,
		.expected = expected,
	};

	if (geteuid() != 0)
		skip_because("needs root: it becomes another user");
	assert_int_equal(in_child(write_as, &writing), 0);
	writing.extend = 1;
	assert_int_equal(in_child(write_as, &writing), 0);
}

static void a_user_s_write_clears_setuid_and_setgid(void **state)
{
	struct caller user = { .uid = USER, .gid = USER,
		.kill_privileges = true };

	check_writing(*state, user, 0755);
}

static void root_s_write_keeps_them(void **state)
{
	check_writing(*state, caller_root, 06755);
}

static void root_s_write_clears_them_when_the_kernel_asks(void **state)
{
	struct caller caller = { .kill_privileges = true };

	check_writing(*state, caller, 0755);
}

static int truncate_as_user(void *argument)
{
	struct caller user = { .uid = USER, .gid = USER,
		.kill_privileges = true };
	struct place *place = argument;
	struct open_file this;

	open_file_begin(&this, place, O_RDONLY, "content");
	expect(fchmodat(place->fd, "file", 04755, 0) == 0);
	expect(open_file_as(&this, O_WRONLY | O_TRUNC, &user) == 0);
	expect(credentials_restore() == 0);
	expect(mode_of(place) == 0755);
	return 0;
}

static void truncating_at_open_clears_setuid(void **state)
{
	if (geteuid() != 0)
		skip_because("needs root: it becomes another user");
	assert_int_equal(in_child(truncate_as_user, *state), 0);
}

static int write_over_capabilities(void *argument)
{
	struct caller user = { .uid = USER, .gid = USER,
		.kill_privileges = true };
	struct vfs_cap_data value = {
		.magic_etc = VFS_CAP_REVISION_2,
		.data[0].permitted = 1u << CAP_NET_RAW,
	};
	struct place *place = argument;
	struct open_file this;
	bool cleared = false;

	open_file_begin(&this, place, O_RDWR, "content");
	expect(fsetxattr(this.file->fd, "security.capability", &value,
		XATTR_CAPS_SZ_2, 0) == 0);
	file_capabilities_set(this.node);
	expect(file_write(this.file, "x", 1, 0, 0, &user, &cleared) == 1);
	expect(credentials_restore() == 0);
	expect(cleared);
	expect(fgetxattr(this.file->fd, "security.capability", NULL, 0) < 0);
	expect(errno == ENODATA);
	/* The next one has nothing to clear. */
	expect(file_write(this.file, "x", 1, 0, 0, &user, &cleared) == 1);
	expect(!cleared);
	return 0;
}

static void a_write_clears_file_capabilities(void **state)
{
	if (geteuid() != 0)
		skip_because("needs root: it sets file capabilities");
	assert_int_equal(in_child(write_over_capabilities, *state), 0);
}

/* As CREATE does with a name that is there after all. */
static int open_after_check(void *argument)
{
	struct caller user = { .uid = USER, .gid = USER };
	struct place *place = argument;
	struct open_file this;

	open_file_begin(&this, place, O_RDONLY, "content");
	file_close(this.fs, this.opened.handle);
	expect(fchmodat(place->fd, "file", 0666, 0) == 0);
	expect(credentials_check_open(&user, place->fd, "file", O_RDWR) == 0);
	expect(open_file_as(&this, O_RDWR, &user) == 0);
	return 0;
}

static void a_checked_open_is_made(void **state)
{
	if (geteuid() != 0)
		skip_because("needs root: it becomes another user");
	assert_int_equal(in_child(open_after_check, *state), 0);
}

/* A plain user's daemon and a file of the user's that has no read bit. */
static int write_only_as_nobody(void *argument)
{
	struct filesystem_settings settings = { .attr_timeout = 1 };
	struct place *place = argument;
	struct filesystem fs;
	struct open_file this = { .fs = &fs };
	struct file_opened reader;

	expect(fchownat(place->fd, "file", USER, USER, 0) == 0);
	expect(fchmodat(place->fd, "file", 0200, 0) == 0);
	expect(setresgid(USER, USER, USER) == 0);
	expect(setresuid(USER, USER, USER) == 0);
	credentials_init();
	expect(filesystem_init(&fs, dup(place->fd), 1024, &settings) == 0);
	this.node = look_up(&fs, fs.nodes.root, "file");
	expect(open_file_as(&this, O_RDONLY, &caller_root) == -EACCES);
	expect(open_file_as(&this, O_WRONLY, &caller_root) == 0);
	expect(write_text(this.file, "CON", 0, 0) == 3);
	expect(write_text(this.file, "longer", 7, 0) == 6);
	expect(fs.mappings.count == 0);
	/* Its owner may read it from now on, so an open must work. */
	expect(fchmodat(place->fd, "file", 0600, 0) == 0);
	expect(file_open(&fs, this.node, O_RDONLY, &caller_root, &reader) ==
		0);
	expect(strcmp(read_text(reader.handle->file, 99, 0),
		"CONtentlonger") == 0);
	return 0;
}

static void a_file_that_can_only_be_written_is(void **state)
{
	if (geteuid() != 0)
		skip_because("needs root: it becomes another user");
	make_file(*state, "file", "content");
	assert_int_equal(in_child(write_only_as_nobody, *state), 0);
}

/* ---- threads ------------------------------------------------------------ */

static int open_write_close(void *argument, unsigned thread)
{
	struct open_file *shared = argument;
	char text[4];

	snprintf(text, sizeof(text), "%03u", thread);
	for (int i = 0; i < 300; i++) {
		struct open_file this = {
			.fs = shared->fs,
			.node = shared->node,
		};
		struct file_bytes bytes;
		bool cleared;

		expect(open_file_as(&this, i % 3 ? O_RDWR : O_RDONLY,
			&caller_root) == 0);
		if (i % 3)
			expect(file_write(this.file, text, 3, thread * 4096,
				0, &caller_root, &cleared) == 3);
		expect(file_read(this.file, spare_bytes, 3, thread * 4096, 0,
			&bytes) == 0);
		expect(i == 0 || memcmp(bytes.data, text, 3) == 0);
		if (bytes.region)
			region_put(bytes.region);
		file_close(this.fs, this.opened.handle);
	}
	return 0;
}

static void threads_open_and_close_one_file(void **state)
{
	struct place *place = *state;
	struct open_file this;

	open_file_begin(&this, place, O_RDONLY, "");
	cut_file(place, "file", 8 * 4096);
	file_close(this.fs, this.opened.handle);
	assert_int_equal(in_threads(8, open_write_close, &this), 0);
	assert_null(this.node->file);
	assert_int_equal(this.fs->mappings.count, 0);
	node_forget(&this.fs->nodes, this.node, 1);
}

#define sentence(name)                                                         \
	cmocka_unit_test_setup_teardown(name, place_setup_filesystem,          \
		place_teardown)
#define by_number(name)                                                        \
	cmocka_unit_test_setup_teardown(name, place_setup_by_number,           \
		place_teardown)

static void an_unlinked_file_goes_on_by_number(void **state)
{
	an_unlinked_file_goes_on(state);
}

static void threads_open_one_file_by_number(void **state)
{
	threads_open_and_close_one_file(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		sentence(many_opens_share_one_descriptor),
		sentence(the_last_close_gives_everything_back),
		sentence(the_first_writer_keeps_the_descriptor_s_number),
		sentence(a_created_file_is_opened_with_its_descriptor),
		sentence(a_created_file_that_is_being_read_can_be_written),
		sentence(an_unlinked_file_goes_on),
		by_number(an_unlinked_file_goes_on_by_number),
		sentence(truncating_at_open_empties_the_file),
		sentence(an_open_that_fails_leaves_nothing),
		sentence(unchanged_contents_keep_the_kernel_s_cache),
		sentence(contents_of_this_tick_don_t_keep_it),
		sentence(a_user_s_write_clears_setuid_and_setgid),
		sentence(root_s_write_keeps_them),
		sentence(root_s_write_clears_them_when_the_kernel_asks),
		sentence(truncating_at_open_clears_setuid),
		sentence(a_write_clears_file_capabilities),
		sentence(a_checked_open_is_made),
		sentence(a_file_that_can_only_be_written_is),
		sentence(threads_open_and_close_one_file),
		by_number(threads_open_one_file_by_number),
	};

	return cmocka_run_group_tests_name("file_open", tests, NULL, NULL);
}
