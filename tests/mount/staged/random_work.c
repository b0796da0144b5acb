// SPDX-License-Identifier: Apache-2.0
/*
 * Operations at random on one file of a mount, each compared with a model in
 * memory.
 *
 *	random_work FILE MODEL BASE SEED OPERATIONS KIND
 *
 * All happens in the megabyte that begins at offset BASE; what is below it is
 * never written and so reads as zeros. KIND says what the file keeps:
 *
 *	staged	whatever happens; sync.now is one of the operations
 *	undone	the same, and discard.now brings back what sync.now kept: for
 *		mounts that commit at no other time. Nothing is fsynced, which
 *		would order it before what follows
 *	private	what it was at the last open of a closed file
 *
 * The file has four descriptors, as of programs that know nothing of each
 * other: two for reading and writing, one with O_APPEND, one with O_DIRECT,
 * whose reads go past the page cache to the daemon.
 *
 * MODEL is what the file has to be in the end, from BASE on; the file's size is
 * printed. When something differs, so are the seed and what was done last.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define PAGE       4096
#define WINDOW     (1 << 20)
#define LENGTH_MAX 70000
#define HISTORY    24

enum kind { kind_staged, kind_undone, kind_private };

/* Bytes past the size are zeros. */
struct model {
	uint64_t size; /* of the file, from its very beginning */
	unsigned char bytes[WINDOW];
};

static const char *path;
static uint64_t base;
static uint64_t seed;
static uint64_t state;
static enum kind kind;
static struct model now;
static struct model kept; /* what a discard or the last close brings back */
static int fds[2], append_fd, direct_fd;
static char history[HISTORY][100];
static unsigned long step;
static unsigned char *buffer;

static void fail(const char *format, ...)
{
	va_list list;

	printf("seed %llu, step %lu: ", (unsigned long long)seed, step);
	va_start(list, format);
	vprintf(format, list);
	va_end(list);
	printf("\nwhat was done last:\n");
	for (unsigned long i = step < HISTORY ? 0 : step - HISTORY + 1;
		i <= step; i++)
		printf("  %lu %s\n", i, history[i % HISTORY]);
	exit(1);
}

static void fail_errno(const char *what)
{
	fail("%s: %s", what, strerror(errno));
}

static void note(const char *format, ...)
{
	va_list list;

	va_start(list, format);
	vsnprintf(history[step % HISTORY], sizeof(history[0]), format, list);
	va_end(list);
}

/* xorshift64 */
static uint64_t any(uint64_t below)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state % below;
}

static int any_fd(void)
{
	return fds[any(2)];
}

/* Offsets like to be at, or next to, the borders of pages. */
static size_t any_offset(void)
{
	size_t offset = any(WINDOW);

	switch (any(4)) {
	case 0:
		return offset / PAGE * PAGE;
	case 1:
		return offset / PAGE * PAGE + PAGE - 1;
	default:
		return offset;
	}
}

static size_t any_length(size_t offset)
{
	size_t length = 1 + any(any(2) ? LENGTH_MAX : 2 * PAGE);

	if (any(4) == 0)
		length = (length + PAGE - 1) / PAGE * PAGE;
	return length < WINDOW - offset ? length : WINDOW - offset;
}

/* What of the window is in the file. */
static size_t inside(void)
{
	return now.size > base ? (size_t)(now.size - base) : 0;
}

static void fill(size_t length)
{
	unsigned char first = (unsigned char)(1 + any(255));

	for (size_t i = 0; i < length; i++)
		buffer[i] = (unsigned char)(first + i / 13 + i % 251);
}

static void model_grow(size_t end)
{
	if (base + end > now.size)
		now.size = base + end;
}

static void model_cut(uint64_t size)
{
	size_t from = size > base ? (size_t)(size - base) : 0;

	memset(now.bytes + from, 0, WINDOW - from);
	now.size = size;
}

static int open_one(int flags)
{
	int fd = open(path, flags | O_CLOEXEC, 0644);

	if (fd < 0)
		fail_errno("open");
	return fd;
}

static void open_all(void)
{
	fds[0] = open_one(O_RDWR | O_CREAT);
	fds[1] = open_one(O_RDWR);
	append_fd = open_one(O_WRONLY | O_APPEND);
	direct_fd = open_one(O_RDONLY | O_DIRECT);
}

/*
 * As programs do before they map or copy a file, and have to: that a discard
 * has made it longer the kernel learns when it asks.
 */
static int sized_fd(void)
{
	struct stat status;
	int fd = any_fd();

	if (fstat(fd, &status) < 0)
		fail_errno("stat");
	if ((uint64_t)status.st_size != now.size)
		fail("the size is %lld, expected %llu",
			(long long)status.st_size,
			(unsigned long long)now.size);
	return fd;
}

static unsigned char *map_range(size_t start, size_t end, int access)
{
	int fd = sized_fd();
	unsigned char *map;

	map = mmap(NULL, end - start, access, MAP_SHARED, fd,
		(off_t)(base + start));
	if (map == MAP_FAILED)
		fail_errno("mmap");
	return map;
}

/* ---- changes ----------------------------------------------------------- */

static void do_write(void)
{
	size_t offset = any_offset();
	size_t length = any_length(offset);

	note("write %zu+%zu, size %llu", offset, length,
		(unsigned long long)now.size);
	fill(length);
	if (pwrite(any_fd(), buffer, length, (off_t)(base + offset)) !=
		(ssize_t)length)
		fail_errno("pwrite");
	memcpy(now.bytes + offset, buffer, length);
	model_grow(offset + length);
}

static void do_append(void)
{
	size_t offset = inside();
	size_t length;

	if (now.size < base || offset + LENGTH_MAX > WINDOW)
		return;
	length = any_length(offset);
	note("append %zu+%zu", offset, length);
	fill(length);
	if (write(append_fd, buffer, length) != (ssize_t)length)
		fail_errno("append");
	memcpy(now.bytes + offset, buffer, length);
	model_grow(offset + length);
}

static void do_truncate(void)
{
	uint64_t size = base + any_offset();

	if (any(8) == 0)
		size = base ? any(base) : 0;
	note("truncate to %llu from %llu", (unsigned long long)size,
		(unsigned long long)now.size);
	if (ftruncate(any_fd(), (off_t)size) < 0)
		fail_errno("ftruncate");
	if (size < now.size)
		model_cut(size);
	now.size = size;
}

static void do_open_truncated(void)
{
	note("open with O_TRUNC, size %llu", (unsigned long long)now.size);
	close(open_one(O_WRONLY | O_TRUNC));
	model_cut(0);
}

/* Modes that the file system of the store doesn't have change nothing. */
static void do_allocate(void)
{
	static const struct {
		const char *name;
		int mode;
	} modes[] = {
		{"allocate", 0},
		{"allocate keeping the size", FALLOC_FL_KEEP_SIZE},
		{"punch", FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE},
		{"zero", FALLOC_FL_ZERO_RANGE},
		{"zero keeping the size",
			FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE},
		{"punch", FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE},
	};
	size_t which = any(sizeof(modes) / sizeof(modes[0]));
	int mode = modes[which].mode;
	size_t offset = any_offset();
	size_t length = any_length(offset);

	note("%s %zu+%zu, size %llu", modes[which].name, offset, length,
		(unsigned long long)now.size);
	if (fallocate(any_fd(), mode, (off_t)(base + offset), (off_t)length) <
		0) {
		if (errno != EOPNOTSUPP)
			fail_errno("fallocate");
		return;
	}
	if (mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE))
		memset(now.bytes + offset, 0, length);
	if (!(mode & FALLOC_FL_KEEP_SIZE))
		model_grow(offset + length);
}

static void do_copy(void)
{
	size_t from = any_offset();
	size_t to = any_offset();
	size_t length = any_length(from < to ? to : from);
	off_t in = (off_t)(base + from);
	off_t out = (off_t)(base + to);
	int fd;

	if (from + length > inside() ||
		(from < to ? from + length > to : to + length > from))
		return;
	note("copy %zu+%zu to %zu", from, length, to);
	fd = sized_fd();
	for (size_t left = length; left > 0;) {
		ssize_t n = copy_file_range(fd, &in, fds[1], &out, left, 0);

		if (n <= 0)
			fail("copy_file_range: %s, %zu left",
				n ? strerror(errno) : "nothing", left);
		left -= (size_t)n;
	}
	memmove(now.bytes + to, now.bytes + from, length);
	model_grow(to + length);
}

static void do_map_write(void)
{
	size_t offset = any_offset();
	size_t length = any_length(offset);
	size_t start = offset / PAGE * PAGE;
	unsigned char *map;

	if (offset >= inside())
		return;
	if (offset + length > inside())
		length = inside() - offset;
	note("map and write %zu+%zu, size %llu", offset, length,
		(unsigned long long)now.size);
	map = map_range(start, offset + length, PROT_READ | PROT_WRITE);
	fill(length);
	memcpy(map + (offset - start), buffer, length);
	if (kind != kind_undone && any(2) &&
		msync(map, offset - start + length, MS_SYNC) < 0)
		fail_errno("msync");
	munmap(map, offset - start + length);
	memcpy(now.bytes + offset, buffer, length);
}

/* ---- looks ------------------------------------------------------------- */

static void compare(const char *what, const unsigned char *seen, size_t offset,
	size_t length)
{
	const unsigned char *wanted = now.bytes + offset;

	if (memcmp(seen, wanted, length) == 0)
		return;
	for (size_t i = 0; i < length; i++) {
		if (seen[i] != wanted[i])
			fail("%s %zu+%zu: %#x at %zu, expected %#x; size %llu",
				what, offset, length, seen[i], offset + i,
				wanted[i], (unsigned long long)now.size);
	}
}

static void check_read(int fd, const char *what, size_t offset, size_t length)
{
	size_t there = inside() > offset ? inside() - offset : 0;
	ssize_t n;

	if (there > length)
		there = length;
	n = pread(fd, buffer, length, (off_t)(base + offset));
	if (n < 0)
		fail_errno(what);
	if ((size_t)n != there)
		fail("%s %zu+%zu: %zd bytes, expected %zu", what, offset,
			length, n, there);
	compare(what, buffer, offset, there);
}

static void do_read(void)
{
	size_t offset = any_offset();
	size_t length = any_length(offset);

	note("read %zu+%zu", offset, length);
	check_read(any_fd(), "read", offset, length);
}

/* From the daemon, nothing from the page cache. */
static void do_cold_read(void)
{
	size_t offset = any_offset() / PAGE * PAGE;
	size_t length = any_length(offset);

	length = (length + PAGE - 1) / PAGE * PAGE;
	note("cold read %zu+%zu", offset, length);
	if (any(2)) {
		check_read(direct_fd, "direct read", offset, length);
		return;
	}
	posix_fadvise(fds[0], 0, 0, POSIX_FADV_DONTNEED);
	check_read(any_fd(), "cold read", offset, length);
}

static void do_map_read(void)
{
	size_t offset = any_offset() / PAGE * PAGE;
	size_t length = any_length(offset);
	unsigned char *map;

	if (offset >= inside())
		return;
	if (offset + length > inside())
		length = inside() - offset;
	note("map and read %zu+%zu", offset, length);
	map = map_range(offset, offset + length, PROT_READ);
	compare("mapping", map, offset, length);
	munmap(map, length);
}

static void do_read_below(void)
{
	size_t length = 1 + any(LENGTH_MAX);
	uint64_t offset = base ? any(base) : 0;
	ssize_t n;

	if (offset + length > base)
		return;
	note("read below, at %llu", (unsigned long long)offset);
	n = pread(any_fd(), buffer, length, (off_t)offset);
	if (n < 0)
		fail_errno("read");
	for (ssize_t i = 0; i < n; i++) {
		if (buffer[i])
			fail("byte %llu is %#x, it was never written",
				(unsigned long long)(offset + (uint64_t)i),
				buffer[i]);
	}
}

static void do_stat(void)
{
	struct stat by_fd;
	struct stat by_path;

	note("stat");
	if (fstat(any_fd(), &by_fd) < 0 || stat(path, &by_path) < 0)
		fail_errno("stat");
	if ((uint64_t)by_fd.st_size != now.size ||
		(uint64_t)by_path.st_size != now.size)
		fail("the size is %lld and %lld, expected %llu",
			(long long)by_fd.st_size, (long long)by_path.st_size,
			(unsigned long long)now.size);
}

/* What is said to be a hole reads as zeros. */
static void do_seek(void)
{
	size_t offset = any_offset();
	size_t end = inside();
	off_t found;

	if (offset >= end)
		return;
	note("seek data and hole from %zu", offset);
	found = lseek(fds[0], (off_t)(base + offset), SEEK_DATA);
	if (found < 0 && errno != ENXIO)
		fail_errno("SEEK_DATA");
	if (found >= 0)
		end = (size_t)((uint64_t)found - base);
	for (size_t i = offset; i < end; i++) {
		if (now.bytes[i])
			fail("SEEK_DATA from %zu says %lld, but %zu is data",
				offset, (long long)found, i);
	}
	found = lseek(fds[0], (off_t)(base + offset), SEEK_HOLE);
	if (found < 0)
		fail_errno("SEEK_HOLE");
	if ((uint64_t)found > now.size || (uint64_t)found < base + offset)
		fail("SEEK_HOLE from %zu says %lld", offset, (long long)found);
}

/* ---- keeping and forgetting -------------------------------------------- */

static void do_fsync(void)
{
	bool data_only = any(2);

	/* It may have something else commit the file. */
	if (kind == kind_undone)
		return;
	note(data_only ? "fdatasync" : "fsync");
	if ((data_only ? fdatasync(any_fd()) : fsync(any_fd())) < 0)
		fail_errno("fsync");
}

/* A close(2) doesn't wait until the daemon knows of it. */
static void wait_until_closed(void)
{
	char status[8192];
	ssize_t n;

	for (int tries = 0; tries < 1000; tries++) {
		n = getxattr(path, "user.msyncfs.status", status,
			sizeof(status) - 1);
		if (n < 0)
			fail_errno("status");
		status[n] = '\0';
		if (strstr(status, "\nopen=0\n"))
			return;
		usleep(5000);
	}
	fail("it is still open 5 s after the last close");
}

static void do_reopen(void)
{
	note("close and open");
	if (close(fds[0]) < 0 || close(fds[1]) < 0 || close(append_fd) < 0 ||
		close(direct_fd) < 0)
		fail_errno("close");
	if (kind == kind_private) {
		wait_until_closed();
		now = kept;
	}
	open_all();
}

static void do_sync_now(void)
{
	note("sync.now, size %llu", (unsigned long long)now.size);
	if (fsetxattr(fds[0], "user.msyncfs.sync.now", "wait", 4, 0) < 0)
		fail_errno("sync.now");
	if (kind != kind_private)
		kept = now;
}

static void do_discard(void)
{
	if (kind == kind_staged)
		return;
	note("discard.now, size %llu of %llu", (unsigned long long)kept.size,
		(unsigned long long)now.size);
	if (fsetxattr(fds[0], "user.msyncfs.discard.now", "all", 3, 0) < 0)
		fail_errno("discard.now");
	now = kept;
}

static const struct {
	unsigned weight;
	void (*run)(void);
} operations[] = {
	{16, do_write},
	{4, do_append},
	{5, do_truncate},
	{1, do_open_truncated},
	{8, do_allocate},
	{3, do_copy},
	{5, do_map_write},
	{8, do_read},
	{12, do_cold_read},
	{4, do_map_read},
	{2, do_read_below},
	{4, do_stat},
	{6, do_seek},
	{2, do_fsync},
	{2, do_reopen},
	{3, do_sync_now},
	{1, do_discard},
};

static void do_something(void)
{
	static unsigned all;
	size_t i = 0;
	uint64_t chosen;

	if (!all) {
		for (size_t k = 0;
			k < sizeof(operations) / sizeof(operations[0]); k++)
			all += operations[k].weight;
	}
	chosen = any(all);
	while (chosen >= operations[i].weight)
		chosen -= operations[i++].weight;
	note("nothing");
	operations[i].run();
}

/* What the file is at first: of it a private file's changes never touch. */
static void take_first(void)
{
	struct stat status;
	ssize_t n;

	if (fstat(fds[0], &status) < 0)
		fail_errno("stat");
	now.size = (uint64_t)status.st_size;
	if (now.size > base + WINDOW)
		fail("the file is too large");
	n = pread(fds[0], now.bytes, WINDOW, (off_t)base);
	if (n != (ssize_t)inside())
		fail("read: %zd", n);
	kept = now;
}

static void write_model(const char *to)
{
	int fd = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	const struct model *end = kind == kind_private ? &kept : &now;
	size_t length = end->size > base ? (size_t)(end->size - base) : 0;

	if (fd < 0 || write(fd, end->bytes, length) != (ssize_t)length ||
		close(fd) < 0)
		fail_errno(to);
	printf("%llu\n", (unsigned long long)end->size);
}

static enum kind kind_of(const char *name)
{
	if (strcmp(name, "staged") == 0)
		return kind_staged;
	return strcmp(name, "undone") == 0 ? kind_undone : kind_private;
}

int main(int argc, char **argv)
{
	unsigned long count;

	if (argc != 7) {
		fputs("random_work: see the top of random_work.c\n", stderr);
		return 2;
	}
	path = argv[1];
	base = strtoull(argv[3], NULL, 10);
	seed = strtoull(argv[4], NULL, 10);
	count = strtoul(argv[5], NULL, 10);
	kind = kind_of(argv[6]);
	state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
	if (posix_memalign((void **)&buffer, PAGE, WINDOW + PAGE) != 0)
		return 2;
	open_all();
	take_first();
	for (step = 0; step < count; step++)
		do_something();
	note("the end");
	check_read(fds[0], "read", 0, WINDOW);
	do_stat();
	posix_fadvise(fds[0], 0, 0, POSIX_FADV_DONTNEED);
	check_read(direct_fd, "direct read", 0, WINDOW);
	write_model(argv[2]);
	return 0;
}
