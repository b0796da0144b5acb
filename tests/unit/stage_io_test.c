// SPDX-License-Identifier: Apache-2.0
/*
 * Reading and changing staged files: against a model, a plain array, with
 * commits, commits that fail, checkpoints and discards in between.
 */
#include "stage_world.h"

#include <signal.h>
#include <sys/resource.h>

#include "random.h"

/* Called after the next pread(2), once: what was read is out of date then. */
static void (*_Atomic after_read)(void);

ssize_t __real_pread64(int fd, void *bytes, size_t size, off_t offset);
ssize_t __wrap_pread64(int fd, void *bytes, size_t size, off_t offset);

ssize_t __wrap_pread64(int fd, void *bytes, size_t size, off_t offset)
{
	void (*what)(void) = atomic_exchange(&after_read, NULL);
	ssize_t n = __real_pread64(fd, bytes, size, offset);

	if (what)
		what();
	return n;
}

/* ---- the model ---------------------------------------------------------- */

#define SPAN  ((size_t)200 << 10)
#define STEPS 4000

struct contents {
	size_t size;
	char bytes[SPAN]; /* zeros behind size */
};

struct model {
	struct subject file;
	struct contents now, committed;
	uint64_t seed;
};

static char buffer[SPAN];

static size_t draw(struct model *this, size_t least, size_t most)
{
	return (size_t)random_between(&this->seed, least, most);
}

/* Ends at page boundaries as often as not. */
static size_t draw_place(struct model *this)
{
	size_t place = random_next(&this->seed) % SPAN;

	return random_next(&this->seed) % 2 ? place : place / PAGE * PAGE;
}

static void model_resize(struct contents *contents, size_t size)
{
	if (size < contents->size)
		memset(contents->bytes + size, 0, contents->size - size);
	contents->size = size;
}

static void step_write(struct model *this)
{
	bool append = random_next(&this->seed) % 8 == 0;
	size_t offset = append ? this->now.size : draw_place(this);
	size_t size = draw(this, 1, 20000);
	char byte = (char)random_next(&this->seed);

	if (size > SPAN - offset)
		size = SPAN - offset;
	if (size == 0)
		return;
	for (size_t i = 0; i < size; i++)
		buffer[i] = (char)(byte + (char)i);
	assert_int_equal(staged_make_room(this->file.staged, size,
				 append ? 0 : (off_t)offset, append),
		0);
	assert_int_equal(staged_write(this->file.staged, buffer, size,
				 append ? 0 : (off_t)offset, append),
		size);
	memcpy(this->now.bytes + offset, buffer, size);
	if (offset + size > this->now.size)
		this->now.size = offset + size;
}

static void step_truncate(struct model *this)
{
	size_t size = draw_place(this);

	if (random_next(&this->seed) % 16 == 0)
		size = 0;
	assert_int_equal(staged_truncate(this->file.staged, (off_t)size), 0);
	model_resize(&this->now, size);
}

static void step_allocate(struct model *this)
{
	static const int modes[] = {
		FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		FALLOC_FL_ZERO_RANGE,
		FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE,
		FALLOC_FL_KEEP_SIZE,
		0,
	};
	int mode = modes[random_next(&this->seed) % 5];
	size_t offset = draw_place(this);
	size_t end = draw_place(this);
	size_t stop;

	if (end <= offset)
		return;
	assert_int_equal(staged_allocate(this->file.staged, mode, (off_t)offset,
				 (off_t)(end - offset)),
		0);
	if (!(mode & FALLOC_FL_KEEP_SIZE) && end > this->now.size)
		this->now.size = end;
	stop = end < this->now.size ? end : this->now.size;
	if ((mode & ~FALLOC_FL_KEEP_SIZE) && offset < stop)
		memset(this->now.bytes + offset, 0, stop - offset);
}

static void step_read(struct model *this)
{
	size_t offset = draw_place(this);
	size_t size = draw(this, 1, SPAN);
	size_t there = offset < this->now.size ? this->now.size - offset : 0;

	if (there > size)
		there = size;
	memset(buffer, 0x55, sizeof(buffer));
	assert_int_equal(get(&this->file, buffer, size < SPAN ? size : SPAN,
				 (off_t)offset),
		there);
	assert_memory_equal(buffer, this->now.bytes + offset, there);
}

static bool is_zero(const char *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		if (bytes[i])
			return false;
	}
	return true;
}

/* What is skipped is zeros; a hole begins with zeros, to its block's end. */
static void step_seek(struct model *this)
{
	const struct contents *now = &this->now;
	size_t offset = draw_place(this);
	bool data = random_next(&this->seed) % 2;
	off_t found = staged_seek(this->file.staged, this->file.fd,
		(off_t)offset, data ? SEEK_DATA : SEEK_HOLE);
	size_t end;

	if (offset >= now->size) {
		assert_int_equal(found, -ENXIO);
		return;
	}
	if (found == -ENXIO) {
		assert_true(data);
		assert_true(is_zero(now->bytes + offset, now->size - offset));
		return;
	}
	assert_in_range(found, offset, data ? now->size - 1 : now->size);
	end = ((size_t)found | (PAGE - 1)) + 1;
	if (end > now->size)
		end = now->size;
	if (data)
		assert_true(
			is_zero(now->bytes + offset, (size_t)found - offset));
	else
		assert_true(is_zero(now->bytes + found, end - (size_t)found));
}

static void step_commit(struct model *this)
{
	static _Atomic int *const errors[] = {
		&fdatasync_error, &syncfs_error, &apply_error};
	unsigned kind = random_next(&this->seed) % 6;
	int r;

	/* Else it could be left out. */
	staged_rewritten(this->file.staged);
	if (kind < 3) {
		note_some_name(this->file.world);
		*errors[kind] = EIO;
	}
	r = commit(this->file.world);
	fdatasync_error = syncfs_error = apply_error = 0;
	if (r == 0)
		this->committed = this->now;
	else
		assert_int_equal(r, -EIO);
	if (random_next(&this->seed) % 4 == 0)
		assert_int_equal(stage_checkpoint(this->file.world->stage), 0);
}

static void step_discard(struct model *this)
{
	if (random_next(&this->seed) % 8)
		return;
	staged_discard(this->file.staged);
	this->now = this->committed;
}

static void check_all(struct model *this)
{
	assert_int_equal(size_seen(&this->file), this->now.size);
	assert_int_equal(get(&this->file, buffer, SPAN, 0), this->now.size);
	assert_memory_equal(buffer, this->now.bytes, this->now.size);
}

static void step(struct model *this, bool is_private)
{
	static void (*const steps[])(struct model *) = {
		step_write,
		step_write,
		step_write,
		step_write,
		step_truncate,
		step_allocate,
		step_allocate,
		step_read,
		step_read,
		step_seek,
		step_seek,
		step_discard,
		step_commit,
	};
	unsigned kinds = sizeof(steps) / sizeof(steps[0]) - is_private;

	steps[random_next(&this->seed) % kinds](this);
}

static void run_model(void **state, uint64_t seed, bool is_private)
{
	struct model *this = calloc(1, sizeof(*this));
	struct world world;

	assert_non_null(this);
	print_message("# seed %#llx\n", (unsigned long long)seed);
	world_begin(&world, state, 16 * MIB);
	this->seed = seed;
	subject_begin_as(&this->file, &world, "file", "not a page", is_private);
	this->now.size = strlen("not a page");
	memcpy(this->now.bytes, "not a page", this->now.size);
	this->committed = this->now;
	for (unsigned i = 0; i < STEPS; i++) {
		step(this, is_private);
		if (i % 64 == 0)
			check_all(this);
	}
	check_all(this);
	if (is_private) {
		staged_discard(this->file.staged);
		this->now = this->committed;
		check_all(this);
	}
	assert_int_equal(world_finish(&world), 0);
	assert_int_equal(pread(this->file.fd, buffer, SPAN, 0), this->now.size);
	assert_memory_equal(buffer, this->now.bytes, this->now.size);
	assert_int_equal(look_at(&world).resident, 0);
	assert_int_equal(look_at(&world).dirty, 0);
	subject_end(&this->file);
	world_free(&world);
	free(this);
}

static void a_staged_file_is_what_its_changes_make_it(void **state)
{
	for (uint64_t i = 0; i < 4; i++)
		run_model(state, RANDOM_SEED + i, false);
}

static void a_private_file_is_so_too_and_leaves_nothing(void **state)
{
	run_model(state, RANDOM_SEED, true);
	assert_string_equal(stored(*state, "file"), "not a page");
}

/* ---- edges -------------------------------------------------------------- */

static void an_append_goes_to_the_end_that_programs_see(void **state)
{
	struct world world;
	struct subject file;

	world_begin(&world, state, 16 * MIB);
	subject_begin(&file, &world, "file", "one");
	assert_int_equal(staged_write(file.staged, " two", 4, 0, true), 4);
	assert_int_equal(commit(&world), 0);
	assert_int_equal(staged_write(file.staged, " three", 6, 0, true), 6);
	assert_string_equal(seen(&file), "one two three");
	subject_end(&file);
	world_end(&world);
	assert_string_equal(stored(*state, "file"), "one two three");
}

static void what_was_cut_off_does_not_come_back(void **state)
{
	struct world world;
	struct subject file;

	world_begin(&world, state, 16 * MIB);
	subject_begin(&file, &world, "file", "0123456789");
	assert_int_equal(staged_truncate(file.staged, 3), 0);
	assert_int_equal(staged_truncate(file.staged, 8), 0);
	assert_int_equal(size_seen(&file), 8);
	assert_string_equal(seen(&file), "012");
	assert_int_equal(commit(&world), 0);
	assert_int_equal(staged_truncate(file.staged, 10), 0);
	assert_string_equal(seen(&file), "012");
	subject_end(&file);
	world_end(&world);
	assert_string_equal(stored(*state, "file"), "012");
}

static struct subject *changed;

static void change_and_commit(void)
{
	assert_int_equal(put_text(changed, "NEW", 0), 3);
	assert_int_equal(commit(changed->world), 0);
}

/* The rest of a page is read without a lock: the store may change then. */
static void the_rest_of_a_page_is_never_out_of_date(void **state)
{
	struct world world;
	struct subject file;

	world_begin(&world, state, 16 * MIB);
	subject_begin(&file, &world, "file", "old contents");
	changed = &file;
	after_read = change_and_commit;
	assert_int_equal(put_text(&file, "stuffing", 4), 8);
	assert_string_equal(seen(&file), "NEW stuffing");
	subject_end(&file);
	world_end(&world);
	assert_string_equal(stored(*state, "file"), "NEW stuffing");
}

static void ranges_that_make_no_sense_are_refused(void **state)
{
	const int zero = FALLOC_FL_ZERO_RANGE;
	struct world world;
	struct subject file;

	world_begin(&world, state, 16 * MIB);
	subject_begin(&file, &world, "file", "old");
	assert_int_equal(staged_truncate(file.staged, -1), -EINVAL);
	assert_int_equal(staged_truncate(file.staged, INT64_MAX), -EFBIG);
	assert_int_equal(
		staged_write(file.staged, "new", 3, INT64_MAX - 1, false),
		-EFBIG);
	assert_int_equal(
		staged_write(file.staged, "new", 3, INT64_MAX - 10, false),
		-EFBIG);
	assert_int_equal(
		staged_allocate(file.staged, zero, 1, INT64_MAX), -EFBIG);
	assert_int_equal(staged_allocate(file.staged, zero, -1, 1), -EINVAL);
	assert_int_equal(staged_allocate(file.staged, zero, 1, 0), -EINVAL);
	assert_int_equal(
		staged_allocate(file.staged, FALLOC_FL_COLLAPSE_RANGE, 0, 4096),
		-EOPNOTSUPP);
	assert_int_equal(
		staged_seek(file.staged, file.fd, 3, SEEK_DATA), -ENXIO);
	assert_int_equal(size_seen(&file), 3);
	assert_false(staged_is_uncommitted(file.staged));
	subject_end(&file);
	world_end(&world);
}

/* In a child: the limit is the process's. Sizes are told before it's late. */
static int write_beyond_the_limit(void *argument)
{
	const struct rlimit limit = {.rlim_cur = MIB, .rlim_max = MIB};
	struct world world;
	struct subject file;

	signal(SIGXFSZ, SIG_IGN);
	world_begin(&world, argument, 16 * MIB);
	subject_begin(&file, &world, "file", "old");
	expect(setrlimit(RLIMIT_FSIZE, &limit) == 0);
	expect(put_text(&file, "new", MIB) == -EFBIG);
	expect(staged_truncate(file.staged, MIB + 1) == -EFBIG);
	expect(staged_allocate(file.staged, FALLOC_FL_ZERO_RANGE, 0, MIB + 1) ==
		-EFBIG);
	expect(put_text(&file, "new", MIB - 3) == 3);
	expect(commit(&world) == 0);
	expect(size_seen(&file) == (off_t)MIB);
	subject_end(&file);
	expect(world_finish(&world) == 0);
	world_free(&world);
	return 0;
}

static void what_the_store_can_not_hold_is_refused_at_once(void **state)
{
	assert_int_equal(in_child(write_beyond_the_limit, state), 0);
}

/* As far as a file of the store can reach, and one byte further. */
static void a_file_is_as_long_as_the_store_allows(void **state)
{
	struct world world;
	struct subject file;
	off_t good = 0, bad = INT64_MAX;

	world_begin(&world, state, 16 * MIB);
	subject_begin(&file, &world, "file", "old");
	while (bad - good > 1) {
		off_t middle = good + (bad - good) / 2;

		if (lseek(file.fd, middle, SEEK_SET) >= 0)
			good = middle;
		else
			bad = middle;
	}
	if (good > INT64_MAX - (off_t)PAGE)
		good = INT64_MAX - (off_t)PAGE;
	assert_int_equal(staged_truncate(file.staged, good), 0);
	assert_int_equal(commit(&world), 0);
	assert_int_equal(staged_truncate(file.staged, good + 1), -EFBIG);
	assert_int_equal(put_text(&file, "new", good - 2), -EFBIG);
	assert_int_equal(size_seen(&file), good);
	assert_int_equal(staged_truncate(file.staged, 3), 0);
	subject_end(&file);
	world_end(&world);
	assert_string_equal(stored(*state, "file"), "old");
}

static void holes_without_end_are_committed(void **state)
{
	const int punch = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
	struct world world;
	struct subject file;

	world_begin(&world, state, 16 * MIB);
	subject_begin(&file, &world, "file", "old");
	assert_int_equal(
		staged_truncate(file.staged, (off_t)(2 * 70000 * PAGE)), 0);
	for (off_t i = 0; i < 70000; i++)
		assert_int_equal(staged_allocate(file.staged, punch,
					 2 * i * (off_t)PAGE, PAGE),
			0);
	assert_int_equal(world.counters.commit_limit, 1);
	subject_end(&file);
	world_end(&world);
}

struct readers {
	struct subject file;
	_Atomic uint64_t written; /* the number of the last write */
	_Atomic bool end;
};

static int write_numbers(struct readers *this)
{
	static uint64_t numbers[2 * PAGE / 8];

	for (uint64_t i = 1; i <= 300; i++) {
		for (size_t j = 0; j < 2 * PAGE / 8; j++)
			numbers[j] = i;
		expect(put(&this->file, numbers, sizeof(numbers), 0) ==
			sizeof(numbers));
		this->written = i;
		expect(commit(this->file.world) == 0);
	}
	return 0;
}

static int read_or_write(void *argument, unsigned thread)
{
	struct readers *this = argument;
	uint64_t numbers[2 * PAGE / 8];
	int failures = 0;

	if (thread == 0) {
		failures = write_numbers(this);
		this->end = true;
	}
	while (!this->end) {
		uint64_t before = this->written;

		expect(get(&this->file, numbers, sizeof(numbers), 0) ==
			sizeof(numbers));
		for (size_t j = 0; j < 2 * PAGE / 8; j++)
			failures += numbers[j] < before;
	}
	return failures;
}

/* It goes from one layer to the next and into the store meanwhile. */
static void what_has_been_written_is_read_whatever_is_committed(void **state)
{
	static const char zeros[2 * PAGE];
	struct readers this = {0};
	struct world world;

	world_begin(&world, state, 16 * MIB);
	subject_begin(&this.file, &world, "file", "");
	assert_int_equal(
		put(&this.file, zeros, sizeof(zeros), 0), sizeof(zeros));
	assert_int_equal(in_threads(3, read_or_write, &this), 0);
	subject_end(&this.file);
	world_end(&world);
}

struct parts {
	struct subject file;
	_Atomic bool end;
};

#define PARTS 4
#define PART  ((size_t)1000) /* so that they share pages */

/* Each its own bytes of all: what a page's rest is made of must be new. */
static int write_part(void *argument, unsigned thread)
{
	struct parts *this = argument;
	char bytes[PART], back[PART];

	if (thread == PARTS) {
		while (!this->end)
			expect(commit(this->file.world) == 0);
		return 0;
	}
	for (unsigned i = 0; i < 600; i++) {
		off_t offset = (off_t)((i % 5 * PARTS + thread) * PART);

		memset(bytes, (int)(i + thread), PART);
		expect(put(&this->file, bytes, PART, offset) == PART);
		expect(get(&this->file, back, PART, offset) == PART);
		expect(memcmp(bytes, back, PART) == 0);
		if (i == 599)
			this->end = true;
	}
	return 0;
}

static void parts_of_pages_are_changed_whatever_is_committed(void **state)
{
	struct parts this = {0};
	struct world world;

	world_begin(&world, state, 16 * MIB);
	subject_begin(&this.file, &world, "file", "");
	assert_int_equal(
		staged_truncate(this.file.staged, 5 * PARTS * PART), 0);
	assert_int_equal(in_threads(PARTS + 1, write_part, &this), 0);
	subject_end(&this.file);
	world_end(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		in_a_place(a_staged_file_is_what_its_changes_make_it),
		in_a_place(a_private_file_is_so_too_and_leaves_nothing),
		in_a_place(an_append_goes_to_the_end_that_programs_see),
		in_a_place(what_was_cut_off_does_not_come_back),
		in_a_place(the_rest_of_a_page_is_never_out_of_date),
		in_a_place(ranges_that_make_no_sense_are_refused),
		in_a_place(what_the_store_can_not_hold_is_refused_at_once),
		in_a_place(a_file_is_as_long_as_the_store_allows),
		in_a_place(holes_without_end_are_committed),
		in_a_place(what_has_been_written_is_read_whatever_is_committed),
		in_a_place(parts_of_pages_are_changed_whatever_is_committed),
	};

	return cmocka_run_group_tests_name("stage_io", tests, NULL, NULL);
}
