// SPDX-License-Identifier: Apache-2.0
/* Policies by path: names of nodes, precedence, reading the file again. */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/path.h"
#include "core/policy_defaults.h"
#include "os/credentials.h"
#include "os/guard.h"

static struct policy_file *rules(const char *text)
{
	struct policy_file *file;
	char error[512];

	if (policy_file_parse("rules", text, strlen(text), false, &file, error,
		    sizeof(error)) != 0)
		fail_msg("%s", error);
	return file;
}

/* As if the mount had been made with a policy file. */
static void place_gets_rules(struct place *place, const char *text)
{
	policy_defaults_replace(&place->fs.defaults, rules(text));
	place->fs.defaults.by_path = true;
	place->fs.nodes.keeps_names = true;
}

static struct node *root_of(struct place *place)
{
	return place->fs.nodes.root;
}

static void forget(struct place *place, struct node *node)
{
	node_forget(&place->fs.nodes, node, 1);
}

static const char *path_of(struct place *place, struct node *node)
{
	static char path[PATH_MAX];

	assert_int_equal(node_path(&place->fs.nodes, node, path), 0);
	return path;
}

/* ---- names -------------------------------------------------------------- */

static void a_path_is_made_of_names(void **state)
{
	struct place *place = *state;
	struct node *one, *two, *file;
	char path[PATH_MAX];

	place_gets_rules(place, "");
	assert_int_equal(mkdirat(place->fd, "one", 0700), 0);
	assert_int_equal(mkdirat(place->fd, "one/two", 0700), 0);
	make_file(place, "one/two/file", "");
	one = look_up(&place->fs, root_of(place), "one");
	two = look_up(&place->fs, one, "two");
	file = look_up(&place->fs, two, "file");
	/* They count their parents. */
	forget(place, one);
	forget(place, two);
	assert_string_equal(path_of(place, root_of(place)), "");
	assert_string_equal(path_of(place, file), "one/two/file");
	path_moved(&place->fs.nodes, file, root_of(place), "new");
	assert_string_equal(path_of(place, file), "new");
	/* Nobody needs the others any more. */
	assert_int_equal(place->fs.nodes.count, 2);
	path_moved(&place->fs.nodes, file, NULL, NULL);
	assert_int_equal(node_path(&place->fs.nodes, file, path), 0);
	forget(place, file);
	assert_int_equal(place->fs.nodes.count, 1);
}

static void a_file_may_have_no_name(void **state)
{
	struct place *place = *state;
	struct node *directory, *file;
	struct store_id id;
	struct stat st;
	int fd;

	place_gets_rules(place, "");
	assert_int_equal(mkdirat(place->fd, "sub", 0700), 0);
	directory = look_up(&place->fs, root_of(place), "sub");
	fd = openat(place->fd, "sub", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd < 0) {
		forget(place, directory);
		skip_because("no O_TMPFILE in the temporary directory");
	}
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(store_identify(&place->fs.store, fd, &id), 0);
	close(fd);
	file = node_get_or_add(&place->fs.nodes, &id, &st, directory, NULL);
	assert_string_equal(path_of(place, file), "sub/");
	path_moved(&place->fs.nodes, file, directory, "named");
	assert_string_equal(path_of(place, file), "sub/named");
	forget(place, file);
	forget(place, directory);
}

static void a_path_that_is_too_long_is_not_known(void **state)
{
	static char name[256];
	struct place *place = *state;
	struct node *nodes[20];
	char path[PATH_MAX], short_name[8];

	place_gets_rules(place, "** sync=manual");
	memset(name, 'x', 255);
	for (unsigned i = 0; i < 20; i++) {
		struct node *parent = i > 0 ? nodes[i - 1] : root_of(place);

		snprintf(short_name, sizeof(short_name), "%u", i);
		make_file(place, short_name, "");
		nodes[i] = look_up(&place->fs, root_of(place), short_name);
		assert_non_null(nodes[i]);
		path_moved(&place->fs.nodes, nodes[i], parent, name);
	}
	assert_int_equal(strlen(path_of(place, nodes[15])), 16 * 256 - 1);
	assert_int_equal(node_path(&place->fs.nodes, nodes[16], path),
		-ENAMETOOLONG);
	assert_int_equal(node_path(&place->fs.nodes, nodes[19], path),
		-ENAMETOOLONG);
	for (unsigned i = 0; i < 20; i++)
		forget(place, nodes[i]);
}

static void without_a_policy_file_no_names_are_kept(void **state)
{
	struct place *place = *state;
	char path[PATH_MAX];
	struct node *file;

	need_handles(place);
	make_file(place, "file", "");
	file = look_up(&place->fs, root_of(place), "file");
	assert_null(file->name);
	assert_null(file->parent);
	assert_int_equal(node_path(&place->fs.nodes, file, path), -ENOENT);
	forget(place, file);
}

/* ---- what holds --------------------------------------------------------- */

static void own_policies_go_before_rules_and_these_before_the_mount(
	void **state)
{
	struct place *place = *state;
	struct policy own = policy_builtin, effective;
	struct policy_lines lines;
	struct node *file;

	place->fs.settings.policy.every = 7;
	place->fs.settings.policy.append = true;
	place->fs.settings.policy.trim = true;
	place->fs.settings.policy.set =
		1u << policy_sync | 1u << policy_append | 1u << policy_grow;
	make_file(place, "file", "");
	place_gets_rules(place, "\nfile append=off lock=on sync=every=2s\n");
	file = look_up(&place->fs, root_of(place), "file");
	own.lock = policy_lock_onfault;
	own.set = 1u << policy_lock;
	policy_in_force(&place->fs, file, &own, &effective, &lines);
	assert_int_equal(effective.set, own.set);
	assert_int_equal(effective.lock, policy_lock_onfault);
	assert_int_equal(lines.of[policy_lock], 0);
	assert_false(effective.append);
	assert_int_equal(lines.of[policy_append], 2);
	assert_int_equal(effective.every, 2000000000);
	assert_int_equal(lines.of[policy_sync], 2);
	assert_true(effective.trim);
	assert_int_equal(lines.of[policy_grow], 0);
	policy_defaults_replace(&place->fs.defaults, rules(""));
	policy_in_force(&place->fs, file, &own, &effective, NULL);
	assert_true(effective.append);
	assert_int_equal(effective.every, 7);
	forget(place, file);
}

/* ---- read again --------------------------------------------------------- */

static void open_files_get_the_new_rules(void **state)
{
	struct open_file this;
	struct place *place = *state;
	struct policy own = policy_builtin;

	place_gets_rules(place, "file sync=manual\n");
	open_file_begin(&this, place, O_RDWR, "");
	assert_int_equal(file_policy(this.file)->fsync, policy_fsync_defer);
	assert_int_equal(file_reload_policies(&place->fs), 0);
	policy_defaults_replace(&place->fs.defaults,
		rules("\nfile sync=every=1s\n"));
	assert_int_equal(file_reload_policies(&place->fs), 1);
	assert_int_equal(file_policy(this.file)->every, 1000000000);
	/* Only the line is another. */
	policy_defaults_replace(&place->fs.defaults,
		rules("file sync=every=1s\n"));
	assert_int_equal(file_reload_policies(&place->fs), 0);
	assert_int_equal(file_policies(this.file)->lines.of[policy_sync], 1);
	/* What it has of its own stays. */
	own.close = true;
	own.set = 1u << policy_sync;
	assert_int_equal(file_set_policies(this.file, &own), 0);
	policy_defaults_replace(&place->fs.defaults,
		rules("file sync=manual grow=trim\n"));
	assert_int_equal(file_reload_policies(&place->fs), 1);
	assert_true(file_policy(this.file)->close);
	assert_int_equal(file_policy(this.file)->fsync, policy_fsync_honor);
	assert_true(file_policy(this.file)->trim);
	open_file_end(&this);
}

#define WORKERS 4
#define RELOADS 200

struct race {
	struct place *place;
	struct node *nodes[WORKERS];
	_Atomic bool over;
	_Atomic unsigned opened;
};

/* The last one reads the file again, the others open and close. */
static int work(void *argument, unsigned index)
{
	struct race *race = argument;
	struct filesystem *fs = &race->place->fs;
	struct file_opened opened = { 0 };
	char text[64];

	for (unsigned i = 1; index == WORKERS && i <= RELOADS; i++) {
		snprintf(text, sizeof(text), "f? grow=max=%u\n", i);
		policy_defaults_replace(&fs->defaults, rules(text));
		expect(file_reload_policies(fs) >= 0);
		/* Not before everybody has had a turn. */
		while (i == RELOADS / 2 && race->opened < 50 * WORKERS)
			continue;
	}
	if (index == WORKERS) {
		race->over = true;
		return 0;
	}
	for (;;) {
		expect(file_open(fs, race->nodes[index], O_RDWR, &caller_root,
			&opened) == 0);
		race->opened++;
		path_moved(&fs->nodes, race->nodes[index], fs->nodes.root,
			race->opened % 2 ? "fx" : "fy");
		if (race->over)
			break;
		file_close(fs, opened.handle);
	}
	/* One that stays open: whenever that was, the last rule is in force. */
	expect(file_policy(opened.handle->file)->max == RELOADS);
	file_close(fs, opened.handle);
	return 0;
}

static void nothing_that_is_opened_meanwhile_is_missed(void **state)
{
	struct race race = { .place = *state };
	char name[3] = "f0";

	assert_int_equal(guard_init(), 0);
	place_gets_rules(race.place, "");
	for (unsigned i = 0; i < WORKERS; i++) {
		name[1] = (char)('0' + i);
		make_file(race.place, name, "");
		race.nodes[i] = look_up(&race.place->fs,
			root_of(race.place), name);
		assert_non_null(race.nodes[i]);
	}
	assert_int_equal(in_threads(WORKERS + 1, work, &race), 0);
	for (unsigned i = 0; i < WORKERS; i++)
		forget(race.place, race.nodes[i]);
	assert_int_equal(race.place->fs.nodes.count, 1);
}

static void held_files_are_let_go_when_no_rule_holds_them(void **state)
{
	struct place *place = *state;
	struct store_id id, other;
	struct node *file, *kept;
	int r;

	need_handles(place);
	place->fs.holds.limit = UINT64_MAX;
	place_gets_rules(place, "* lock=on\n");
	make_file(place, "file", "x");
	make_file(place, "kept", "x");
	file = look_up(&place->fs, root_of(place), "file");
	kept = look_up(&place->fs, root_of(place), "kept");
	node_id(file, &id);
	node_id(kept, &other);
	int fd = openat(place->fd, "file", O_RDONLY | O_CLOEXEC);
	r = hold_set(&place->fs.holds, &id, fd, false);
	file_note_hold(&place->fs, file);
	close(fd);
	fd = openat(place->fd, "kept", O_RDONLY | O_CLOEXEC);
	if (r == 0)
		r = hold_set(&place->fs.holds, &other, fd, false);
	file_note_hold(&place->fs, kept);
	close(fd);
	/* Held files stay known though the kernel forgets them. */
	forget(place, file);
	forget(place, kept);
	if (r < 0)
		skip_because("pages can't be locked here");
	assert_int_equal(place->fs.nodes.count, 3);
	assert_int_equal(file_reload_policies(&place->fs), 0);
	assert_true(hold_has(&place->fs.holds, &id, NULL));
	policy_defaults_replace(&place->fs.defaults, rules("kept lock=on"));
	assert_int_equal(file_reload_policies(&place->fs), 0);
	assert_false(hold_has(&place->fs.holds, &id, NULL));
	assert_true(hold_has(&place->fs.holds, &other, NULL));
	assert_int_equal(place->fs.nodes.count, 2);
}

#define here(test)                                                             \
	cmocka_unit_test_setup_teardown(test, place_setup_filesystem,          \
		place_teardown)
#define by_number(test)                                                        \
	{ #test "_by_number", test, place_setup_by_number, place_teardown,     \
		NULL }

int main(void)
{
	const struct CMUnitTest tests[] = {
		here(a_path_is_made_of_names),
		by_number(a_path_is_made_of_names),
		here(a_file_may_have_no_name),
		by_number(a_file_may_have_no_name),
		here(a_path_that_is_too_long_is_not_known),
		here(without_a_policy_file_no_names_are_kept),
		here(own_policies_go_before_rules_and_these_before_the_mount),
		here(open_files_get_the_new_rules),
		by_number(open_files_get_the_new_rules),
		here(nothing_that_is_opened_meanwhile_is_missed),
		here(held_files_are_let_go_when_no_rule_holds_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
