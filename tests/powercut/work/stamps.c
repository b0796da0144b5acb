// SPDX-License-Identifier: Apache-2.0
/*
 * One program writes into many files, and what is found of it later has to be
 * one moment of its work, the same one in all files.
 *
 *	stamps write DIRECTORY SEED OPERATIONS_PER_SECOND
 *	stamps check DIRECTORY SEED LEAST
 *
 * Operation k = 1, 2, 3, ... follows from the seed, from k and from what the
 * operations before it have made; so do the contents of all files after it.
 * `write` carries them out one after the other, claims now and then that all
 * so far is durable ("stamps K"), and stops when it is told to, or with the
 * mount.
 *
 * `check` goes through the same operations in memory and looks for a k, LEAST
 * or later, at which every file is what DIRECTORY has. It prints that k. If
 * there is none, it prints of each file which moments it is of, and fails.
 *
 * The kernel may pass a write on in pieces, one for each page that it touches
 * (a page that is not in its cache ends a FUSE request). So a commit may come
 * in the midst of the one write(2) that was under way, between two pages.
 *
 * A file that isn't there is as good as an empty one: names aren't part of a
 * commit. No operation makes a file empty again, because files that are being
 * written anew are left out of commits on purpose (rewrite.c is about those).
 */
#include <sys/mman.h>
#include <sys/stat.h>

#include "work.h"

#define FILES     24u
#define LARGEST   ((uint64_t)256 << 10) /* bytes, of one file */
#define FLAT_SIZE ((uint64_t)64 << 10)  /* of files that keep their size */
#define LONGEST   ((uint32_t)64 << 10)  /* one write */
#define PAGE      4096u
/* Nobody works for longer; where `check` gives up. */
#define MOST ((uint64_t)100000)

enum op_kind { op_write, op_append, op_truncate, op_punch, op_map };

/* Which operations a file sees; its number modulo the number of these. */
enum habit {
	habit_in_place,
	habit_append,
	habit_resize,
	habit_large,
	habit_reopen,
	habit_map,
	habit_sparse,
	habit_count
};

struct op {
	uint64_t number;
	uint32_t file;
	enum op_kind kind;
	uint64_t offset; /* of a truncation: the new size */
	uint32_t length;
	bool sync; /* fsync after it */
};

/* What a file holds; bytes from size up to LARGEST are zero. */
struct image {
	unsigned char *data;
	uint64_t size;
};

static uint64_t seed;
static struct image model[FILES];
static unsigned char bytes[LONGEST];

static void die(const char *what)
{
	fprintf(stderr, "stamps: %s: %s\n", what, strerror(errno));
	exit(2);
}

/* --- the operations ------------------------------------------------------ */

/* The n-th random number that belongs to operation k. */
static uint64_t draw(uint64_t k, unsigned int n, uint64_t below)
{
	return work_mix(work_mix(seed ^ k * 64) + n) % below;
}

static void make_append(struct op *op)
{
	uint64_t size = model[op->file].size;

	op->kind = op_append;
	op->offset = size;
	op->length = (uint32_t)draw(op->number, 3, 6000) + 1;
	if (size + op->length > LARGEST) {
		op->kind = op_truncate;
		op->offset = draw(op->number, 4, size - 1) + 1;
	}
}

static void make_resize(struct op *op)
{
	op->kind = draw(op->number, 3, 2) ? op_truncate : op_write;
	op->offset = draw(op->number, 4, LARGEST - LONGEST) + 1;
	op->length = (uint32_t)draw(op->number, 5, 9000) + 1;
}

static void make_large(struct op *op)
{
	op->kind = draw(op->number, 3, 4) ? op_write : op_punch;
	op->offset = draw(op->number, 4, LARGEST - LONGEST);
	op->length = (uint32_t)draw(op->number, 5, LONGEST) + 1;
}

/* The page's first words; the file has its size from the beginning. */
static void make_map(struct op *op)
{
	op->kind = op_map;
	op->offset = draw(op->number, 3, FLAT_SIZE / PAGE) * PAGE;
	op->length = 64;
	if (model[op->file].size != FLAT_SIZE) {
		op->kind = op_truncate;
		op->offset = FLAT_SIZE;
	}
}

static void make_small(struct op *op, uint64_t size)
{
	op->kind = op_write;
	op->length = (uint32_t)draw(op->number, 3, 600) + 1;
	op->offset = draw(op->number, 4, size - op->length);
}

static struct op make_op(uint64_t k)
{
	struct op op = { .number = k, .file = (uint32_t)draw(k, 0, FILES) };

	op.sync = draw(k, 1, 12) == 0;
	switch ((enum habit)(op.file % habit_count)) {
	case habit_append:
		make_append(&op);
		break;
	case habit_resize:
		make_resize(&op);
		break;
	case habit_large:
		make_large(&op);
		break;
	case habit_map:
		make_map(&op);
		break;
	case habit_sparse:
		make_small(&op, LARGEST);
		break;
	default:
		make_small(&op, FLAT_SIZE);
		break;
	}
	return op;
}

static bool has_bytes(const struct op *op)
{
	return op->kind != op_truncate && op->kind != op_punch;
}

/* Never zero, so that it is never taken for a hole. */
static void make_bytes(const struct op *op)
{
	uint64_t key = work_mix(seed ^ op->number * 64 ^ 7);

	for (uint32_t i = 0; i < op->length; i += 8) {
		uint64_t word =
			work_mix(key + i) | UINT64_C(0x0101010101010101);

		memcpy(bytes + i, &word,
		       op->length - i < 8 ? op->length - i : 8);
	}
}

/* Carries it out on the model, with these bytes if it writes any. */
static void model_apply(const struct op *op, const unsigned char *data)
{
	struct image *image = &model[op->file];
	uint64_t end = op->offset + op->length;

	if (op->kind == op_truncate) {
		if (op->offset < image->size)
			memset(image->data + op->offset, 0,
			       image->size - op->offset);
		image->size = op->offset;
		return;
	}
	if (op->kind == op_punch) {
		memset(image->data + op->offset, 0, op->length);
		return;
	}
	memcpy(image->data + op->offset, data, op->length);
	if (end > image->size)
		image->size = end;
}

static unsigned char *room(size_t size)
{
	void *at = mmap(NULL, size, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (at == MAP_FAILED)
		die("mmap");
	return at;
}

static void model_init(void)
{
	unsigned char *data = room(FILES * LARGEST);

	for (uint32_t i = 0; i < FILES; i++)
		model[i].data = data + i * LARGEST;
}

/* --- writing ------------------------------------------------------------- */

struct target {
	int fd;             /* -1: not open */
	unsigned char *map; /* of FLAT_SIZE bytes, or NULL */
};

static struct target targets[FILES];
static const char *directory;

static int open_target(uint32_t file)
{
	bool append = file % habit_count == habit_append;
	char path[4096];

	snprintf(path, sizeof(path), "%s/%02u", directory, file);
	return open(path,
		    O_RDWR | O_CREAT | O_CLOEXEC | (append ? O_APPEND : 0),
		    0644);
}

/* 0 or -1 with errno. */
static int write_bytes(int fd, const struct op *op)
{
	ssize_t n;

	if (op->kind == op_append)
		n = write(fd, bytes, op->length);
	else
		n = pwrite(fd, bytes, op->length, (off_t)op->offset);
	if (n >= 0 && n != (ssize_t)op->length)
		errno = ENOSPC;
	return n == (ssize_t)op->length ? 0 : -1;
}

static int poke(struct target *target, const struct op *op)
{
	if (!target->map) {
		void *at = mmap(NULL, FLAT_SIZE, PROT_READ | PROT_WRITE,
				MAP_SHARED, target->fd, 0);

		if (at == MAP_FAILED)
			return -1;
		target->map = at;
	}
	memcpy(target->map + op->offset, bytes, op->length);
	return msync(target->map + op->offset, PAGE, MS_SYNC);
}

static int carry_out(struct target *target, const struct op *op)
{
	switch (op->kind) {
	case op_truncate:
		return ftruncate(target->fd, (off_t)op->offset);
	case op_punch:
		return fallocate(target->fd,
				 FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				 (off_t)op->offset, op->length);
	case op_map:
		return poke(target, op);
	default:
		return write_bytes(target->fd, op);
	}
}

static int perform(const struct op *op)
{
	struct target *target = &targets[op->file];
	int result;

	if (target->fd < 0)
		target->fd = open_target(op->file);
	if (target->fd < 0)
		return -1;
	result = carry_out(target, op);
	if (!result && op->sync)
		result = fsync(target->fd);
	if (op->file % habit_count == habit_reopen) {
		if (close(target->fd) && !result)
			result = -1;
		target->fd = -1;
	}
	return result;
}

static int64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000000) + now.tv_nsec / 1000;
}

/* The mapped files' pages can't be had any more once the daemon is dead. */
static void bus(int number)
{
	(void)number;
	_exit(2);
}

static int write_all(int64_t rate)
{
	bool honoured = work_fsync_is_honoured();
	int64_t start = now_us();
	char text[64];

	for (uint64_t k = 1; !work_is_over(); k++) {
		int64_t left = start + (int64_t)k * 1000000 / rate - now_us();
		struct op op = make_op(k);

		if (left > 500)
			work_pause_us((uint64_t)left);
		if (has_bytes(&op))
			make_bytes(&op);
		if (perform(&op))
			die("operation");
		model_apply(&op, bytes);
		snprintf(text, sizeof(text), "stamps %llu",
			 (unsigned long long)k);
		if (op.sync && honoured && work_claim(text))
			die("claim");
		if (draw(k, 2, 150) == 0 && work_durable(text))
			die("durable");
	}
	return 0;
}

/* --- checking ------------------------------------------------------------ */

struct found {
	struct image image;
	bool absent;
	bool matches; /* the model, now */
	bool ever;
	uint64_t since, until; /* operations: when it did last */
};

static struct found found[FILES];

static void load(uint32_t file)
{
	struct found *at = &found[file];
	struct stat status;
	char path[4096];
	int fd;

	at->image.data = room(LARGEST);
	snprintf(path, sizeof(path), "%s/%02u", directory, file);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	at->absent = fd < 0;
	if (fd < 0) {
		if (errno != ENOENT)
			die(path);
		return;
	}
	if (fstat(fd, &status))
		die(path);
	at->image.size = (uint64_t)status.st_size;
	if (at->image.size <= LARGEST &&
	    pread(fd, at->image.data, at->image.size, 0) != status.st_size)
		die(path);
	close(fd);
}

/* First where the operation was: nearly always that is enough to know. */
static bool is_same(const struct op *op)
{
	const struct image *is = &found[op->file].image;
	const struct image *want = &model[op->file];

	if (is->size != want->size)
		return false;
	if (op->kind != op_truncate &&
	    memcmp(is->data + op->offset, want->data + op->offset,
		   op->length) != 0)
		return false;
	return memcmp(is->data, want->data, want->size) == 0;
}

/* How the file differs from what it was after operation k, as the model is. */
static void tell_difference(uint32_t file, uint64_t k)
{
	const struct image *is = &found[file].image;
	const struct image *want = &model[file];
	uint64_t first = 0;
	uint64_t last = 0;
	bool zeros = true;

	printf("%02u after %llu: %llu bytes, is %llu", file,
	       (unsigned long long)k, (unsigned long long)want->size,
	       (unsigned long long)is->size);
	for (uint64_t i = 0; i < want->size && i < is->size; i++) {
		if (is->data[i] == want->data[i])
			continue;
		if (!last)
			first = i;
		last = i + 1;
		zeros = zeros && !is->data[i];
	}
	if (last)
		printf("; differs from byte %llu to %llu%s",
		       (unsigned long long)first, (unsigned long long)last,
		       zeros ? ", where it is zeros" : "");
	putchar('\n');
}

/* Once more from the beginning: the moment that most files can be of. */
static void tell_differences(void)
{
	uint64_t moment = 0;

	for (uint32_t i = 0; i < FILES; i++) {
		const struct found *at = &found[i];

		if (at->ever && at->since > moment)
			moment = at->since;
		memset(model[i].data, 0, LARGEST);
		model[i].size = 0;
	}
	for (uint64_t k = 1; k <= moment; k++) {
		struct op op = make_op(k);

		if (has_bytes(&op))
			make_bytes(&op);
		model_apply(&op, bytes);
	}
	for (uint32_t i = 0; i < FILES; i++) {
		if (!found[i].matches &&
		    (!found[i].ever || found[i].until < moment))
			tell_difference(i, moment);
	}
}

/* Four on a line: what is printed of an image isn't endless. */
static void tell(uint64_t least)
{
	printf("no moment of the work from %llu on is in all files:\n",
	       (unsigned long long)least);
	for (uint32_t i = 0; i < FILES; i++) {
		const struct found *at = &found[i];
		char text[64] = "never like this";

		if (at->matches)
			snprintf(text, sizeof(text), "%llu...",
				 (unsigned long long)at->since);
		else if (at->ever)
			snprintf(text, sizeof(text), "%llu-%llu",
				 (unsigned long long)at->since,
				 (unsigned long long)at->until);
		printf("%02u: %s%s", i, at->absent ? "absent, " : "", text);
		putchar(i % 4 == 3 ? '\n' : '\t');
	}
	tell_differences();
}

static void note(struct found *at, bool matches, uint64_t k)
{
	if (matches && !at->matches)
		at->since = k;
	if (matches)
		at->until = k;
	at->matches = matches;
	at->ever = at->ever || matches;
}

/* The next page's part of a write after `piece`; false: there is none. */
static bool next_piece(const struct op *op, struct op *piece)
{
	uint64_t end = op->offset + op->length;

	piece->offset += piece->length;
	if (piece->offset >= end)
		return false;
	piece->length = PAGE - (uint32_t)(piece->offset % PAGE);
	if (piece->length > end - piece->offset)
		piece->length = (uint32_t)(end - piece->offset);
	return true;
}

/* How many files are as the model is, changed by one after operation k. */
static uint32_t compare(const struct op *op, uint64_t k, uint32_t same)
{
	struct found *at = &found[op->file];

	/* As it was until now, that is until the operation before. */
	if (at->matches)
		at->until = k - 1;
	same -= at->matches;
	note(at, is_same(op), k);
	return same + at->matches;
}

/* Through operation k; true if all files are of a moment in it, or its end. */
static bool passes(uint64_t k, bool only_end, uint32_t *same)
{
	struct op op = make_op(k);
	struct op piece = op;

	piece.length = 0;
	if (!has_bytes(&op)) {
		model_apply(&op, NULL);
		*same = compare(&op, k, *same);
		return *same == FILES;
	}
	make_bytes(&op);
	while (next_piece(&op, &piece)) {
		model_apply(&piece, bytes + (piece.offset - op.offset));
		*same = compare(&piece, k, *same);
		if (*same == FILES && !only_end)
			return true;
	}
	return *same == FILES;
}

static int check(uint64_t least)
{
	uint32_t same = 0;
	bool found_it;

	for (uint32_t i = 0; i < FILES; i++) {
		load(i);
		note(&found[i], found[i].image.size == 0, 0);
		same += found[i].matches;
	}
	found_it = same == FILES && least == 0;
	for (uint64_t k = 1; !found_it && k <= least + MOST; k++) {
		found_it = passes(k, k <= least, &same) && k >= least;
		if (found_it)
			printf("%llu\n", (unsigned long long)k);
	}
	if (!found_it)
		tell(least);
	return found_it ? 0 : 1;
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = bus };

	if (argc != 5) {
		fprintf(stderr, "usage: stamps write DIRECTORY SEED RATE\n"
				"       stamps check DIRECTORY SEED LEAST\n");
		return 2;
	}
	directory = argv[2];
	seed = work_mix(strtoull(argv[3], NULL, 10));
	model_init();
	if (strcmp(argv[1], "check") == 0)
		return check(strtoull(argv[4], NULL, 10));
	for (uint32_t i = 0; i < FILES; i++)
		targets[i].fd = -1;
	sigaction(SIGBUS, &action, NULL);
	return write_all(atoll(argv[4]));
}
