// SPDX-License-Identifier: Apache-2.0
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/store.h"
#include "util/cleanup.h"

/* The store that a test makes itself, on the place's directory. */
static void open_store(struct place *place, struct store *store, bool by_handle)
{
	int fd = fcntl(place->fd, F_DUPFD_CLOEXEC, 3);

	assert_int_equal(store_init(store, fd, false), 0);
	if (!by_handle)
		store->by_handle = false;
}

static int identify(struct store *store, const char *name, struct store_id *id)
{
	owned_fd fd = openat(store->root_fd, name,
		O_PATH | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? -errno : store_identify(store, fd, id);
}

static bool same(const struct store_id *a, const struct store_id *b)
{
	return a->type == b->type && a->mount == b->mount &&
		a->length == b->length &&
		memcmp(a->bytes, b->bytes, a->length) == 0;
}

/* The same for both kinds of id. */
static void check_ids(struct place *place, bool by_handle)
{
	struct store_id first, again, other;
	struct store store;

	open_store(place, &store, by_handle);
	make_file(place, "a", "content");
	make_file(place, "b", "");
	assert_int_equal(identify(&store, "a", &first), 0);
	assert_int_equal(first.type == STORE_ID_BY_NUMBER, !by_handle);
	assert_int_equal(first.mount, 0);
	assert_int_equal(identify(&store, "a", &again), 0);
	assert_true(same(&first, &again));
	assert_int_equal(identify(&store, "b", &other), 0);
	assert_false(same(&first, &other));
	assert_int_equal(mkdirat(place->fd, "directory", 0700), 0);
	assert_int_equal(renameat(place->fd, "a", place->fd, "directory/c"),
		0);
	assert_int_equal(linkat(place->fd, "directory/c", place->fd, "link",
		0), 0);
	assert_int_equal(identify(&store, "directory/c", &again), 0);
	assert_true(same(&first, &again));
	assert_int_equal(identify(&store, "link", &again), 0);
	assert_true(same(&first, &again));
	store_fini(&store);
}

static void an_id_by_handle_stays_when_the_file_is_renamed(void **state)
{
	need_handles(*state);
	check_ids(*state, true);
}

static void an_id_by_number_stays_when_the_file_is_renamed(void **state)
{
	check_ids(*state, false);
}

static void an_inode_is_opened_again_under_any_name(void **state)
{
	struct place *place = *state;
	struct store_id id;
	struct store store;
	char text[8] = "";
	int fd;

	need_handles(place);
	open_store(place, &store, true);
	make_file(place, "file", "content");
	assert_int_equal(identify(&store, "file", &id), 0);
	assert_int_equal(renameat(place->fd, "file", place->fd, "moved"), 0);
	make_file(place, "file", "another");
	fd = store_open(&store, &id, O_RDONLY);
	assert_true(fd >= 0);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(read(fd, text, 7), 7);
	assert_string_equal(text, "content");
	close(fd);
	store_fini(&store);
}

static void every_kind_of_inode_is_found_by_handle(void **state)
{
	struct place *place = *state;
	const char *const names[] = { "fifo", "socket", "link", "directory" };
	struct store_id id;
	struct store store;
	struct stat before, after;

	need_handles(place);
	open_store(place, &store, true);
	assert_int_equal(mknodat(place->fd, "fifo", S_IFIFO | 0600, 0), 0);
	assert_int_equal(mknodat(place->fd, "socket", S_IFSOCK | 0600, 0), 0);
	assert_int_equal(symlinkat("nowhere", place->fd, "link"), 0);
	assert_int_equal(mkdirat(place->fd, "directory", 0700), 0);
	for (unsigned i = 0; i < 4; i++) {
		int fd;

		assert_int_equal(identify(&store, names[i], &id), 0);
		fd = store_open(&store, &id, O_PATH);
		assert_true(fd >= 0);
		assert_int_equal(fstat(fd, &after), 0);
		assert_int_equal(fstatat(place->fd, names[i], &before,
			AT_SYMLINK_NOFOLLOW), 0);
		assert_int_equal(before.st_ino, after.st_ino);
		close(fd);
	}
	store_fini(&store);
}

static void a_deleted_inode_is_stale(void **state)
{
	struct place *place = *state;
	struct store_id id;
	struct store store;

	need_handles(place);
	open_store(place, &store, true);
	make_file(place, "file", "");
	assert_int_equal(identify(&store, "file", &id), 0);
	assert_int_equal(unlinkat(place->fd, "file", 0), 0);
	assert_int_equal(store_open(&store, &id, O_PATH), -ESTALE);
	make_file(place, "file", "");
	assert_int_equal(store_open(&store, &id, O_PATH), -ESTALE);
	store_fini(&store);
}

static void an_id_by_number_opens_nothing(void **state)
{
	struct place *place = *state;
	struct store_id id;
	struct store store;

	open_store(place, &store, false);
	make_file(place, "file", "");
	assert_int_equal(identify(&store, "file", &id), 0);
	assert_int_equal(store_open(&store, &id, O_PATH), -EOPNOTSUPP);
	store_fini(&store);
}

/* Of a file system that reuses numbers, only the birth time differs. */
static void a_reused_number_is_another_inode(void **state)
{
	struct place *place = *state;
	struct stat old, new = { 0 };
	struct store_id first, second;
	struct statx birth;
	struct store store;

	open_store(place, &store, false);
	make_file(place, "file", "");
	assert_int_equal(identify(&store, "file", &first), 0);
	assert_int_equal(fstatat(place->fd, "file", &old, 0), 0);
	statx(place->fd, "file", 0, STATX_BTIME, &birth);
	for (int i = 0; i < 20 && new.st_ino != old.st_ino; i++) {
		assert_int_equal(unlinkat(place->fd, "file", 0), 0);
		usleep(20000); /* past the tick of birth times */
		make_file(place, "file", "");
		assert_int_equal(fstatat(place->fd, "file", &new, 0), 0);
	}
	assert_int_equal(identify(&store, "file", &second), 0);
	store_fini(&store);
	assert_false((birth.stx_mask & STATX_BTIME) && same(&first, &second));
	if (new.st_ino != old.st_ino)
		skip_because("n/a: this file system reuses no inode numbers");
	if (!(birth.stx_mask & STATX_BTIME))
		skip_because("n/a: this file system has no birth times");
}

static int init_as_nobody(void *argument)
{
	struct place *place = argument;
	struct store store;
	struct store_id id;

	expect(setresgid(65534, 65534, 65534) == 0);
	expect(setresuid(65534, 65534, 65534) == 0);
	expect(store_init(&store, dup(place->fd), false) == 0);
	expect(!store.by_handle);
	expect(identify(&store, "file", &id) == 0);
	expect(id.type == STORE_ID_BY_NUMBER);
	store_fini(&store);
	return 0;
}

static void a_plain_user_s_store_goes_by_number(void **state)
{
	struct place *place = *state;

	if (geteuid() != 0)
		skip_because("needs root: it becomes another user");
	make_file(place, "file", "");
	assert_int_equal(in_child(init_as_nobody, place), 0);
}

static void an_inode_without_a_name_is_opened_again(void **state)
{
	struct place *place = *state;
	char text[8] = "";
	owned_fd path = -1;
	owned_fd fd = -1;

	make_file(place, "file", "content");
	path = openat(place->fd, "file", O_PATH | O_CLOEXEC);
	assert_int_equal(unlinkat(place->fd, "file", 0), 0);
	fd = store_reopen(path, O_RDONLY | O_NOFOLLOW);
	assert_true(fd >= 0);
	assert_int_equal(read(fd, text, 7), 7);
	assert_string_equal(text, "content");
}

static void inode_numbers_of_the_root_s_file_system_are_kept(void **state)
{
	(void)state;
	assert_true(store_inode_number(0, 12345) == 12345);
	assert_true(store_inode_number(1, 12345) != 12345);
	assert_true(store_inode_number(1, 12345) !=
		store_inode_number(2, 12345));
}

static void each_device_has_numbers_of_its_own(void **state)
{
	struct place *place = *state;
	struct store *store = &place->fs.store;
	dev_t own;
	struct stat st;

	assert_int_equal(fstat(place->fd, &st), 0);
	own = st.st_dev;
	assert_int_equal(store_device(store, own), 0);
	for (unsigned i = 1; i < STORE_DEVICES_MAX; i++) {
		assert_int_equal(store_device(store, own + i), i);
		assert_int_equal(store_device(store, own + i), i);
		assert_true(store_inode_number(i, 256) !=
			store_inode_number(i - 1, 256));
	}
	/* Those that there is no room for share the last one's. */
	assert_int_equal(store_device(store, own + STORE_DEVICES_MAX),
		STORE_DEVICES_MAX - 1);
	assert_int_equal(store_device(store, own), 0);
}

/* ---- a tmpfs on "other", in a mount namespace of a child's own ---------- */

struct crossing {
	struct place *place;
	bool by_handle;
	bool cross_mounts;
};

static int mount_other(struct place *place)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/other", place->directory);
	expect(unshare(CLONE_NEWNS) == 0);
	expect(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
	expect(mount("none", path, "tmpfs", 0, "size=1m") == 0);
	return 0;
}

/* Below the mountpoint; the descriptor from before sees what it covers. */
static int identify_other(struct store *store, const char *path,
			  struct store_id *id)
{
	int root = open(path, O_RDONLY | O_DIRECTORY);
	int fd = openat(root, "other", O_PATH | O_DIRECTORY);
	int r = fd < 0 ? -errno : store_identify(store, fd, id);

	close(root);
	close(fd);
	return r;
}

static bool is_on_other(const struct store *store, const char *path,
			unsigned mount)
{
	char other[256];
	struct stat st, own;

	snprintf(other, sizeof(other), "%s/other", path);
	return stat(other, &st) == 0 &&
	       fstat(store->mounts[mount].fd, &own) == 0 &&
	       st.st_dev == own.st_dev;
}

static int cross(void *argument)
{
	struct crossing *crossing = argument;
	const char *path = crossing->place->directory;
	struct store_id outer, inner, again;
	struct store store;
	int fd;

	expect(mount_other(crossing->place) == 0);
	fd = open(path, O_RDONLY | O_DIRECTORY);
	expect(store_init(&store, fd, crossing->cross_mounts) == 0);
	if (!crossing->by_handle)
		store.by_handle = false;
	if (!crossing->cross_mounts) {
		expect(identify_other(&store, path, &inner) == -EXDEV);
		expect(identify(&store, "own", &outer) == 0);
		store_fini(&store);
		return 0;
	}
	expect(identify(&store, "own", &outer) == 0);
	expect(identify_other(&store, path, &inner) == 0);
	expect(outer.mount == 0);
	expect(inner.mount != 0);
	expect(identify_other(&store, path, &again) == 0);
	expect(same(&inner, &again));
	/* What syncs the file system as a whole is a directory on it. */
	expect(store.mount_count == 2);
	expect(is_on_other(&store, path, inner.mount));
	if (crossing->by_handle) {
		fd = store_open(&store, &inner, O_PATH);
		expect(fd >= 0);
	}
	store_fini(&store);
	return 0;
}

static void check_crossing(struct place *place, bool by_handle,
			   bool cross_mounts)
{
	struct crossing crossing = { place, by_handle, cross_mounts };

	if (geteuid() != 0)
		skip_because("needs root: it mounts a tmpfs");
	if (by_handle)
		need_handles(place);
	assert_int_equal(mkdirat(place->fd, "other", 0700), 0);
	assert_int_equal(mkdirat(place->fd, "own", 0700), 0);
	assert_int_equal(in_child(cross, &crossing), 0);
}

static void another_file_system_is_refused(void **state)
{
	check_crossing(*state, true, false);
}

static void another_file_system_is_refused_by_number(void **state)
{
	check_crossing(*state, false, false);
}

static void cross_mounts_enters_another_file_system(void **state)
{
	check_crossing(*state, true, true);
}

static void cross_mounts_enters_it_by_number(void **state)
{
	check_crossing(*state, false, true);
}

static int init_read_only(void *argument)
{
	struct place *place = argument;
	struct store store;
	char path[256];

	expect(mount_other(place) == 0);
	snprintf(path, sizeof(path), "%s/other", place->directory);
	expect(mount(NULL, path, NULL, MS_REMOUNT | MS_BIND | MS_RELATIME,
		NULL) == 0);
	expect(store_init(&store, open(path, O_RDONLY), false) == 0);
	expect(store.updates_atime && store.relatime);
	store_fini(&store);
	expect(mount(NULL, path, NULL, MS_REMOUNT | MS_BIND | MS_STRICTATIME,
		NULL) == 0);
	expect(store_init(&store, open(path, O_RDONLY), false) == 0);
	expect(store.updates_atime && !store.relatime);
	store_fini(&store);
	expect(mount(NULL, path, NULL, MS_REMOUNT | MS_BIND | MS_NOATIME,
		NULL) == 0);
	expect(store_init(&store, open(path, O_RDONLY), false) == 0);
	expect(!store.updates_atime);
	store_fini(&store);
	expect(mount(NULL, path, NULL,
		MS_REMOUNT | MS_BIND | MS_RELATIME | MS_RDONLY, NULL) == 0);
	expect(store_init(&store, open(path, O_RDONLY), false) == 0);
	expect(!store.updates_atime);
	store_fini(&store);
	return 0;
}

static void the_mount_s_rules_for_access_times_are_known(void **state)
{
	struct place *place = *state;

	if (geteuid() != 0)
		skip_because("needs root: it mounts a tmpfs");
	assert_int_equal(mkdirat(place->fd, "other", 0700), 0);
	assert_int_equal(in_child(init_read_only, place), 0);
}

#define sentence(name) \
	cmocka_unit_test_setup_teardown(name, place_setup, place_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		sentence(an_id_by_handle_stays_when_the_file_is_renamed),
		sentence(an_id_by_number_stays_when_the_file_is_renamed),
		sentence(an_inode_is_opened_again_under_any_name),
		sentence(every_kind_of_inode_is_found_by_handle),
		sentence(a_deleted_inode_is_stale),
		sentence(an_id_by_number_opens_nothing),
		sentence(a_reused_number_is_another_inode),
		sentence(a_plain_user_s_store_goes_by_number),
		sentence(an_inode_without_a_name_is_opened_again),
		sentence(inode_numbers_of_the_root_s_file_system_are_kept),
		sentence(each_device_has_numbers_of_its_own),
		sentence(another_file_system_is_refused),
		sentence(another_file_system_is_refused_by_number),
		sentence(cross_mounts_enters_another_file_system),
		sentence(cross_mounts_enters_it_by_number),
		sentence(the_mount_s_rules_for_access_times_are_known),
	};

	return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
