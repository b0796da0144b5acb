// SPDX-License-Identifier: Apache-2.0
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <urcu.h>

#include "core/node.h"

/* What design and tests promise for an inode the kernel knows. */
#define NODE_BYTES_MAX 256
#define INODE_BYTES_MAX 400

static struct node_table *table_of(struct place *place)
{
	return &place->fs.nodes;
}

static struct node *root_of(struct place *place)
{
	return place->fs.nodes.root;
}

/* An id that no inode has; the table doesn't mind. */
static struct store_id invented_id(unsigned number)
{
	struct store_id id = { .type = 1, .length = 16 };

	memcpy(id.bytes, &number, sizeof(number));
	return id;
}

static struct node *add_invented(struct place *place, unsigned number)
{
	struct stat st = {
		.st_dev = place->fs.store.devices[0],
		.st_ino = number,
		.st_mode = S_IFREG,
	};
	struct store_id id = invented_id(number);

	return node_get_or_add(table_of(place), &id, &st, root_of(place),
		"invented");
}

static void one_inode_gives_one_node(void **state)
{
	struct place *place = *state;
	struct node *first, *second;

	make_file(place, "a", "");
	assert_int_equal(linkat(place->fd, "a", place->fd, "b", 0), 0);
	first = look_up(&place->fs, root_of(place), "a");
	second = look_up(&place->fs, root_of(place), "b");
	assert_non_null(first);
	assert_ptr_equal(first, second);
	assert_int_equal(first->lookups, 2);
	assert_int_equal(table_of(place)->count, 2);
	node_forget(table_of(place), first, 2);
	assert_int_equal(table_of(place)->count, 1);
}

static void two_inodes_give_two_nodes(void **state)
{
	struct place *place = *state;
	struct node *a, *b;

	make_file(place, "a", "");
	make_file(place, "b", "");
	a = look_up(&place->fs, root_of(place), "a");
	b = look_up(&place->fs, root_of(place), "b");
	assert_ptr_not_equal(a, b);
	assert_int_not_equal(a->ino, b->ino);
	node_forget(table_of(place), a, 1);
	node_forget(table_of(place), b, 1);
}

static void a_node_lives_until_all_lookups_are_forgotten(void **state)
{
	struct place *place = *state;
	struct store_id id = invented_id(7);
	struct node *node = add_invented(place, 7);

	for (int i = 0; i < 4; i++)
		assert_ptr_equal(add_invented(place, 7), node);
	node_forget(table_of(place), node, 3);
	assert_ptr_equal(node_get(table_of(place), &id), node);
	node_forget(table_of(place), node, 3);
	assert_null(node_get(table_of(place), &id));
}

static void an_inode_that_is_not_known_has_no_node(void **state)
{
	struct place *place = *state;
	struct store_id id = invented_id(8);

	assert_null(node_get(table_of(place), &id));
	assert_int_equal(table_of(place)->count, 1);
}

/* Type, mount and bytes of an id all count. */
static void ids_that_differ_anywhere_are_different_nodes(void **state)
{
	struct place *place = *state;
	struct stat st = { .st_ino = 1, .st_mode = S_IFREG };
	struct store_id ids[5];
	struct node *nodes[5];

	for (int i = 0; i < 5; i++)
		ids[i] = invented_id(9);
	ids[1].type = 2;
	ids[2].mount = 1;
	ids[3].length = 17;
	ids[4].bytes[15] = 1;
	for (int i = 0; i < 5; i++)
		nodes[i] = node_get_or_add(table_of(place), &ids[i], &st,
			root_of(place), "name");
	assert_int_equal(table_of(place)->count, 6);
	for (int i = 0; i < 5; i++) {
		struct store_id id;

		node_id(nodes[i], &id);
		assert_int_equal(id.type, ids[i].type);
		assert_int_equal(id.mount, ids[i].mount);
		assert_int_equal(id.length, ids[i].length);
		assert_memory_equal(id.bytes, ids[i].bytes, id.length);
		node_forget(table_of(place), nodes[i], 1);
	}
}

static void the_root_is_number_one(void **state)
{
	struct place *place = *state;
	struct node *node = add_invented(place, 10);
	uint64_t number = node_number(table_of(place), node);

	assert_int_equal(node_number(table_of(place), root_of(place)), 1);
	assert_ptr_equal(node_of_number(table_of(place), 1), root_of(place));
	assert_int_not_equal(number, 1);
	assert_ptr_equal(node_of_number(table_of(place), number), node);
	node_forget(table_of(place), node, 1);
}

/* With handles a node counts nobody; without, it keeps its parent known. */
static void a_node_by_number_keeps_its_parent_known(void **state)
{
	struct place *place = *state;
	struct node *directory, *file;

	assert_int_equal(mkdirat(place->fd, "directory", 0700), 0);
	make_file(place, "directory/file", "");
	directory = look_up(&place->fs, root_of(place), "directory");
	file = look_up(&place->fs, directory, "file");
	assert_ptr_equal(file->parent, directory);
	assert_string_equal(file->name, "file");
	node_forget(table_of(place), directory, 1);
	assert_int_equal(table_of(place)->count, 3);
	node_forget(table_of(place), file, 1);
	assert_int_equal(table_of(place)->count, 1);
}

static void a_node_by_handle_keeps_no_name(void **state)
{
	struct place *place = *state;
	struct node *file;

	need_handles(place);
	make_file(place, "file", "");
	file = look_up(&place->fs, root_of(place), "file");
	assert_null(file->name);
	assert_null(file->parent);
	assert_true(sizeof(*file) + file->id_length <= NODE_BYTES_MAX);
	node_forget(table_of(place), file, 1);
}

#define MANY 20000

static struct node *many[MANY];

static void add_and_forget_many(struct place *place, size_t *with)
{
	for (unsigned i = 0; i < MANY; i++)
		many[i] = add_invented(place, 1000 + i);
	*with = allocated_bytes();
	for (unsigned i = 0; i < MANY; i++)
		node_forget(table_of(place), many[i], 1);
	/* The table shrinks and the nodes go in threads of liburcu. */
	for (int i = 0; i < 100; i++) {
		rcu_barrier();
		if (allocated_bytes() + MANY * 16 < *with)
			break;
		usleep(10000);
	}
	node_table_trim(table_of(place));
	rcu_barrier();
}

static void a_forgotten_node_s_memory_is_given_back(void **state)
{
	struct place *place = *state;
	size_t before, after, with;

	/* The first round grows what stays: buckets, the allocator's own. */
	add_and_forget_many(place, &with);
	before = allocated_bytes();
	add_and_forget_many(place, &with);
	after = allocated_bytes();
	assert_true(with > before);
	assert_in_range((with - before) / MANY, sizeof(struct node),
		INODE_BYTES_MAX);
	/* The table may keep its buckets: 16 bytes each, and up to twice as
	 * many as there were nodes. A node has more than 200. */
	assert_true(after < before + MANY * 32);
	assert_int_equal(table_of(place)->count, 1);
}

/* ---- threads ------------------------------------------------------------ */

#define THREADS 8
#define ROUNDS 5000
#define FEW 4

static int look_up_and_forget(void *argument, unsigned thread)
{
	struct place *place = argument;
	int wrong = 0;

	for (unsigned i = 0; i < ROUNDS; i++) {
		unsigned number = (i + thread) % FEW;
		struct store_id id = invented_id(number);
		struct node *node = add_invented(place, number);
		struct node *again;

		if (!node)
			return 1;
		/* While we count it, everybody gets the same one. */
		again = node_get(table_of(place), &id);
		wrong += again != node;
		wrong += node->ino != number;
		if (again)
			node_forget(table_of(place), again, 1);
		node_forget(table_of(place), node, 1);
	}
	return wrong;
}

static void threads_leave_an_empty_table(void **state)
{
	struct place *place = *state;

	assert_int_equal(in_threads(THREADS, look_up_and_forget, place), 0);
	assert_int_equal(table_of(place)->count, 1);
	for (unsigned i = 0; i < FEW; i++) {
		struct store_id id = invented_id(i);

		assert_null(node_get(table_of(place), &id));
	}
}

static int look_up_only(void *argument, unsigned thread)
{
	struct place *place = argument;

	(void)thread;
	for (unsigned i = 0; i < ROUNDS; i++) {
		if (!add_invented(place, i % FEW))
			return 1;
	}
	return 0;
}

static void threads_lookups_are_all_counted(void **state)
{
	struct place *place = *state;

	assert_int_equal(in_threads(THREADS, look_up_only, place), 0);
	assert_int_equal(table_of(place)->count, 1 + FEW);
	for (unsigned i = 0; i < FEW; i++) {
		struct store_id id = invented_id(i);
		struct node *node = node_get(table_of(place), &id);

		assert_int_equal(node->lookups, 1 + THREADS * ROUNDS / FEW);
		node_forget(table_of(place), node, node->lookups);
	}
	assert_int_equal(table_of(place)->count, 1);
}

/* Real files, whose parents come and go with them. */
static int walk(void *argument, unsigned thread)
{
	struct place *place = argument;
	struct filesystem *fs = &place->fs;
	const char *const names[] = { "a", "b" };

	for (unsigned i = 0; i < ROUNDS / 10; i++) {
		const char *name = names[(i + thread) % 2];
		struct node *directory = look_up(fs, root_of(place), name);
		struct node *file;

		if (!directory)
			return 1;
		file = look_up(fs, directory, "file");
		node_forget(&fs->nodes, directory, 1);
		if (!file)
			return 1;
		node_forget(&fs->nodes, file, 1);
	}
	return 0;
}

static void threads_walk_a_tree_and_forget_it(void **state)
{
	struct place *place = *state;

	assert_int_equal(mkdirat(place->fd, "a", 0700), 0);
	assert_int_equal(mkdirat(place->fd, "b", 0700), 0);
	make_file(place, "a/file", "");
	/* One inode in two directories: its parent changes all the time. */
	assert_int_equal(linkat(place->fd, "a/file", place->fd, "b/file", 0),
		0);
	assert_int_equal(in_threads(THREADS, walk, place), 0);
	assert_int_equal(table_of(place)->count, 1);
}

#define sentence(name)                                                         \
	cmocka_unit_test_setup_teardown(name, place_setup_filesystem,          \
		place_teardown)
#define by_number(name)                                                        \
	cmocka_unit_test_setup_teardown(name, place_setup_by_number,           \
		place_teardown)

static void threads_walk_it_by_number_as_well(void **state)
{
	threads_walk_a_tree_and_forget_it(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		sentence(one_inode_gives_one_node),
		sentence(two_inodes_give_two_nodes),
		sentence(a_node_lives_until_all_lookups_are_forgotten),
		sentence(an_inode_that_is_not_known_has_no_node),
		sentence(ids_that_differ_anywhere_are_different_nodes),
		sentence(the_root_is_number_one),
		by_number(a_node_by_number_keeps_its_parent_known),
		sentence(a_node_by_handle_keeps_no_name),
		sentence(a_forgotten_node_s_memory_is_given_back),
		sentence(threads_leave_an_empty_table),
		sentence(threads_lookups_are_all_counted),
		sentence(threads_walk_a_tree_and_forget_it),
		by_number(threads_walk_it_by_number_as_well),
	};

	return cmocka_run_group_tests_name("node", tests, NULL, NULL);
}
