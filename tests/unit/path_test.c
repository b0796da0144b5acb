// SPDX-License-Identifier: Apache-2.0
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/node.h"
#include "core/path.h"
#include "util/cleanup.h"

#define DIRECTORIES 40

static struct node *root_of(struct place *place)
{
	return place->fs.nodes.root;
}

static void forget(struct place *place, struct node *node)
{
	node_forget(&place->fs.nodes, node, 1);
}

/* The inode number that the node's path leads to, or -errno. */
static int64_t reached(struct place *place, struct node *node)
{
	owned_path path = PATH_NONE;
	struct stat st;
	int r = path_get(&place->fs.nodes, node, &path);

	if (r < 0)
		return r;
	return fstat(path.at.fd, &st) < 0 ? -errno : (int64_t)st.st_ino;
}

static struct node *directories[DIRECTORIES];

static void make_directories(struct place *place)
{
	char name[16];

	for (int i = 0; i < DIRECTORIES; i++) {
		snprintf(name, sizeof(name), "d%d", i);
		assert_int_equal(mkdirat(place->fd, name, 0700), 0);
		directories[i] = look_up(&place->fs, root_of(place), name);
		assert_non_null(directories[i]);
	}
}

static void forget_directories(struct place *place)
{
	for (int i = 0; i < DIRECTORIES; i++)
		forget(place, directories[i]);
}

/* ---- descriptors -------------------------------------------------------- */

static void a_directory_s_descriptor_is_kept(void **state)
{
	struct place *place = *state;
	struct path first = PATH_NONE, second = PATH_NONE;

	make_directories(place);
	assert_int_equal(path_get(&place->fs.nodes, directories[0], &first),
		0);
	assert_int_equal(path_get(&place->fs.nodes, directories[0], &second),
		0);
	assert_int_equal(first.at.fd, second.at.fd);
	path_put(&first);
	path_put(&second);
	assert_int_equal(first.at.fd, -1);
	forget_directories(place);
}

static void a_file_s_descriptor_is_not_kept(void **state)
{
	struct place *place = *state;
	struct node *file;
	unsigned before;

	need_handles(place);
	make_file(place, "file", "");
	file = look_up(&place->fs, root_of(place), "file");
	before = open_descriptors();
	assert_int_equal(reached(place, file), file->ino);
	assert_int_equal(open_descriptors(), before);
	forget(place, file);
}

static void the_cache_holds_no_more_than_its_limit(void **state)
{
	struct place *place = *state;
	unsigned before;

	make_directories(place);
	assert_int_equal(reached(place, root_of(place)), root_of(place)->ino);
	place->fs.paths.limit = 8;
	before = open_descriptors();
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < DIRECTORIES; i++) {
			assert_int_equal(reached(place, directories[i]),
				directories[i]->ino);
			assert_true(place->fs.paths.count <= 8);
			assert_true(open_descriptors() <= before + 8);
		}
	}
	forget_directories(place);
	assert_true(open_descriptors() <= before);
}

static void a_path_in_use_is_not_evicted(void **state)
{
	struct place *place = *state;
	struct path held = PATH_NONE;
	struct stat st;

	make_directories(place);
	place->fs.paths.limit = 2;
	assert_int_equal(path_get(&place->fs.nodes, directories[0], &held),
		0);
	for (int i = 1; i < DIRECTORIES; i++)
		assert_int_equal(reached(place, directories[i]),
			directories[i]->ino);
	assert_int_equal(fstat(held.at.fd, &st), 0);
	assert_int_equal(st.st_ino, directories[0]->ino);
	path_put(&held);
	forget_directories(place);
}

/* More can be in use at one time than the limit; not for longer. */
static void after_a_rush_the_limit_holds_again(void **state)
{
	struct place *place = *state;
	struct path held[DIRECTORIES];

	make_directories(place);
	place->fs.paths.limit = 4;
	for (int i = 1; i < DIRECTORIES; i++)
		assert_int_equal(path_get(&place->fs.nodes, directories[i],
			&held[i]), 0);
	for (int i = 1; i < DIRECTORIES; i++)
		path_put(&held[i]);
	assert_int_equal(reached(place, directories[0]), directories[0]->ino);
	assert_true(place->fs.paths.count <= 4);
	forget_directories(place);
}

struct rush {
	struct place *place;
	unsigned limit;
	_Atomic unsigned highest;
};

static int get_paths(void *argument, unsigned thread)
{
	struct rush *rush = argument;
	struct place *place = rush->place;
	int wrong = 0;

	for (unsigned i = 0; i < 2000; i++) {
		unsigned which = (i * 7 + thread * 5) % DIRECTORIES;
		struct node *node = directories[which];
		unsigned count;

		wrong += reached(place, node) != (int64_t)node->ino;
		lock_take(&place->fs.paths.lock, lock_rank_path_cache);
		count = place->fs.paths.count;
		lock_drop(&place->fs.paths.lock, lock_rank_path_cache);
		if (count > rush->highest)
			rush->highest = count;
	}
	return wrong;
}

static void threads_keep_to_the_limit(void **state)
{
	struct place *place = *state;
	struct rush rush = { .place = place, .limit = 16 };

	make_directories(place);
	place->fs.paths.limit = rush.limit;
	/* What is there from before the limit was set goes with use. */
	for (int i = 0; i < DIRECTORIES; i++)
		reached(place, directories[i]);
	assert_int_equal(in_threads(8, get_paths, &rush), 0);
	/* Each thread has one in use, which can't be evicted just then. */
	assert_in_range(rush.highest, 1, rush.limit + 8);
	for (int i = 0; i < DIRECTORIES; i++)
		reached(place, directories[i]);
	assert_true(place->fs.paths.count <= rush.limit);
	forget_directories(place);
}

/* ---- inodes that lose their name ---------------------------------------- */

static void check_pinned(struct place *place)
{
	struct node *file;
	ino_t number;

	make_file(place, "file", "content");
	file = look_up(&place->fs, root_of(place), "file");
	number = file->ino;
	path_pin(&place->fs.paths, file, openat(place->fd, "file",
		O_PATH | O_CLOEXEC));
	assert_int_equal(unlinkat(place->fd, "file", 0), 0);
	place->fs.paths.limit = 1;
	make_directories(place);
	for (int i = 0; i < DIRECTORIES; i++)
		assert_int_equal(reached(place, directories[i]),
			directories[i]->ino);
	assert_int_equal(reached(place, file), number);
	forget_directories(place);
	forget(place, file);
}

static void a_pinned_inode_is_reached_after_its_unlink(void **state)
{
	need_handles(*state);
	check_pinned(*state);
}

static void a_pinned_inode_is_reached_by_number_as_well(void **state)
{
	check_pinned(*state);
}

static void a_directory_that_is_cached_can_be_pinned(void **state)
{
	struct place *place = *state;
	unsigned before = open_descriptors();
	struct node *directory;

	assert_int_equal(mkdirat(place->fd, "gone", 0700), 0);
	directory = look_up(&place->fs, root_of(place), "gone");
	assert_int_equal(reached(place, directory), directory->ino);
	for (int i = 0; i < 2; i++)
		path_pin(&place->fs.paths, directory, openat(place->fd,
			"gone", O_PATH | O_CLOEXEC));
	assert_int_equal(unlinkat(place->fd, "gone", AT_REMOVEDIR), 0);
	assert_int_equal(reached(place, directory), directory->ino);
	forget(place, directory);
	/* Of the root and what came before, nothing more. */
	assert_true(open_descriptors() <= before + 1);
}

static void an_inode_deleted_in_the_store_is_stale(void **state)
{
	struct place *place = *state;
	struct node *file;

	need_handles(place);
	make_file(place, "file", "");
	file = look_up(&place->fs, root_of(place), "file");
	assert_int_equal(unlinkat(place->fd, "file", 0), 0);
	assert_int_equal(reached(place, file), -ESTALE);
	forget(place, file);
}

static void an_open_file_s_descriptor_is_borrowed(void **state)
{
	struct place *place = *state;
	struct file_opened opened;
	struct path path = PATH_NONE;
	struct node *node;
	int descriptor;

	need_handles(place);
	make_file(place, "file", "");
	node = look_up(&place->fs, root_of(place), "file");
	assert_int_equal(file_open(&place->fs, node, O_RDONLY, &caller_root,
		&opened), 0);
	descriptor = file_descriptor(opened.handle->file);
	assert_int_equal(path_get(&place->fs.nodes, node, &path), 0);
	assert_int_equal(path.at.fd, descriptor);
	/* The close comes first: the descriptor stays as long as it's used. */
	file_close(&place->fs, opened.handle);
	assert_true(fcntl(descriptor, F_GETFD) >= 0);
	path_put(&path);
	assert_int_equal(fcntl(descriptor, F_GETFD), -1);
	forget(place, node);
}

/* ---- found by name ------------------------------------------------------ */

/* Lets the cache go of everything. */
static void empty_cache(struct place *place)
{
	make_directories(place);
	place->fs.paths.limit = 1;
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < DIRECTORIES; i++)
			reached(place, directories[i]);
	}
}

static void a_moved_inode_is_followed(void **state)
{
	struct place *place = *state;
	struct node *from, *to, *file;

	assert_int_equal(mkdirat(place->fd, "from", 0700), 0);
	assert_int_equal(mkdirat(place->fd, "to", 0700), 0);
	make_file(place, "from/old", "");
	from = look_up(&place->fs, root_of(place), "from");
	to = look_up(&place->fs, root_of(place), "to");
	file = look_up(&place->fs, from, "old");
	assert_int_equal(renameat(place->fd, "from/old", place->fd, "to/new"),
		0);
	path_moved(&place->fs.nodes, file, to, "new");
	forget(place, from);
	empty_cache(place);
	assert_int_equal(file->path_fd, -1);
	assert_int_equal(reached(place, file), file->ino);
	/* Nobody counts the old parent any more, the file the new one. */
	assert_int_equal(to->lookups, 2);
	forget_directories(place);
	forget(place, to);
	forget(place, file);
	assert_int_equal(place->fs.nodes.count, 1);
}

static void a_look_up_under_another_name_is_followed(void **state)
{
	struct place *place = *state;
	struct node *file;

	make_file(place, "old", "");
	file = look_up(&place->fs, root_of(place), "old");
	assert_int_equal(renameat(place->fd, "old", place->fd, "new"), 0);
	assert_ptr_equal(look_up(&place->fs, root_of(place), "new"), file);
	empty_cache(place);
	assert_int_equal(file->path_fd, -1);
	assert_int_equal(reached(place, file), file->ino);
	forget_directories(place);
	forget(place, file);
	forget(place, file);
}

static void an_inode_that_was_replaced_is_stale(void **state)
{
	struct place *place = *state;
	struct node *file;

	make_file(place, "file", "");
	make_file(place, "other", "");
	file = look_up(&place->fs, root_of(place), "file");
	empty_cache(place);
	assert_int_equal(renameat(place->fd, "other", place->fd, "file"), 0);
	assert_int_equal(reached(place, file), -ESTALE);
	assert_int_equal(unlinkat(place->fd, "file", 0), 0);
	assert_int_equal(reached(place, file), -ESTALE);
	forget_directories(place);
	forget(place, file);
}

static void a_new_name_unpins_an_inode(void **state)
{
	struct place *place = *state;
	struct node *file;

	make_file(place, "file", "");
	file = look_up(&place->fs, root_of(place), "file");
	path_pin(&place->fs.paths, file, openat(place->fd, "file",
		O_PATH | O_CLOEXEC));
	assert_int_equal(renameat(place->fd, "file", place->fd, "new"), 0);
	path_moved(&place->fs.nodes, file, root_of(place), "new");
	empty_cache(place);
	assert_int_equal(file->path_fd, -1);
	assert_int_equal(reached(place, file), file->ino);
	forget_directories(place);
	forget(place, file);
}

/* ---- as deep and as twisted as the store can be -------------------------- */

#define DEEP 1900 /* of two bytes each: below PATH_MAX */
#define WORKER_STACK ((size_t)512 << 10)

struct deep {
	struct place *place;
	struct node *last;
	int64_t reached;
};

static void *reach_deepest(void *argument)
{
	struct deep *deep = argument;

	node_thread_enter();
	deep->reached = reached(deep->place, deep->last);
	node_thread_leave();
	return NULL;
}

/* In a thread with the stack that a worker has. */
static int reach_in_worker(void *argument)
{
	struct deep *deep = argument;
	pthread_attr_t attributes;
	pthread_t thread;

	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, WORKER_STACK);
	expect(pthread_create(&thread, &attributes, reach_deepest, deep) == 0);
	pthread_join(thread, NULL);
	pthread_attr_destroy(&attributes);
	return 0;
}

static int look_up_deep(void *argument)
{
	struct deep *deep = argument;

	expect(reach_in_worker(deep) == 0);
	expect(deep->reached == (int64_t)deep->last->ino);
	return 0;
}

static int look_up_circle(void *argument)
{
	struct deep *deep = argument;

	expect(reach_in_worker(deep) == 0);
	expect(deep->reached == -ESTALE || deep->reached == -ELOOP);
	return 0;
}

static void a_very_deep_directory_is_found_again(void **state)
{
	struct place *place = *state;
	struct node *chain[DEEP];
	struct deep deep = { .place = place };
	int directory = fcntl(place->fd, F_DUPFD_CLOEXEC, 3);

	place->fs.paths.limit = 4;
	for (int i = 0; i < DEEP; i++) {
		int next;

		assert_int_equal(mkdirat(directory, "d", 0700), 0);
		next = openat(directory, "d", O_RDONLY | O_CLOEXEC);
		close(directory);
		directory = next;
		chain[i] = look_up(&place->fs,
			i ? chain[i - 1] : root_of(place), "d");
		assert_non_null(chain[i]);
	}
	close(directory);
	/* Only the root end of the chain is left in the cache. */
	for (int i = 0; i < 8; i++)
		reached(place, chain[i]);
	deep.last = chain[DEEP - 1];
	assert_int_equal(deep.last->path_fd, -1);
	assert_int_equal(in_child(look_up_deep, &deep), 0);
	for (int i = DEEP - 1; i >= 0; i--)
		forget(place, chain[i]);
}

/*
 * Somebody turns two directories inside out in the store: each is last known
 * to be in the other.
 */
static void a_circle_of_parents_is_stale(void **state)
{
	struct place *place = *state;
	struct node *outer, *inner;
	struct deep deep = { .place = place };

	assert_int_equal(mkdirat(place->fd, "outer", 0700), 0);
	assert_int_equal(mkdirat(place->fd, "outer/inner", 0700), 0);
	outer = look_up(&place->fs, root_of(place), "outer");
	inner = look_up(&place->fs, outer, "inner");
	/* A process whose working directory is inner looks on from there. */
	assert_int_equal(reached(place, inner), inner->ino);
	assert_int_equal(renameat(place->fd, "outer/inner", place->fd,
		"inner"), 0);
	assert_int_equal(renameat(place->fd, "outer", place->fd,
		"inner/outer"), 0);
	assert_ptr_equal(look_up(&place->fs, inner, "outer"), outer);
	empty_cache(place);
	assert_int_equal(outer->path_fd, -1);
	deep.last = outer;
	assert_int_equal(in_child(look_up_circle, &deep), 0);
	forget_directories(place);
	forget(place, outer);
	forget(place, outer);
	forget(place, inner);
}

#define sentence(name)                                                         \
	cmocka_unit_test_setup_teardown(name, place_setup_filesystem,          \
		place_teardown)
#define by_number(name)                                                        \
	cmocka_unit_test_setup_teardown(name, place_setup_by_number,           \
		place_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		sentence(a_directory_s_descriptor_is_kept),
		sentence(a_file_s_descriptor_is_not_kept),
		sentence(the_cache_holds_no_more_than_its_limit),
		sentence(a_path_in_use_is_not_evicted),
		sentence(after_a_rush_the_limit_holds_again),
		sentence(threads_keep_to_the_limit),
		sentence(a_pinned_inode_is_reached_after_its_unlink),
		by_number(a_pinned_inode_is_reached_by_number_as_well),
		sentence(a_directory_that_is_cached_can_be_pinned),
		sentence(an_inode_deleted_in_the_store_is_stale),
		sentence(an_open_file_s_descriptor_is_borrowed),
		by_number(a_moved_inode_is_followed),
		by_number(a_look_up_under_another_name_is_followed),
		by_number(an_inode_that_was_replaced_is_stale),
		by_number(a_new_name_unpins_an_inode),
		by_number(a_very_deep_directory_is_found_again),
		by_number(a_circle_of_parents_is_stale),
	};

	return cmocka_run_group_tests_name("path", tests, NULL, NULL);
}
