// SPDX-License-Identifier: Apache-2.0
/*
 * A few files that belong together: each tells which generation it is of, in
 * every word and by its size. After a crash all are of one.
 *
 *	fault_files make DIR GENERATION		in a store, durable or not
 *	fault_files write DIR GENERATION	on a mount: not committed
 *	fault_files commit DIR GENERATION	on a mount: and committed
 *	fault_files check DIR			prints the generation
 *
 * One file is written in place, one grows and shrinks, one is rewritten, one
 * has a hole where it had data. Each commit comes with a file of its own,
 * made before it; that of the generation before is removed after it.
 *
 * Status 0; 1 when a call failed (which is printed) or the files are of
 * several generations; 2 when it was called wrongly.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define PAGE 4096
#define SIZE_MAX_OF_FILE (16 * PAGE)

static int directory;

struct kind {
	const char *name;
	int flags; /* of open(2) */
	bool sized; /* its size changes */
	bool holed; /* pages are holes in odd generations */
};

static const struct kind kinds[] = {
	{ "in_place", 0, false, false },
	{ "sized", 0, true, false },
	{ "rewritten", O_TRUNC, true, false },
	{ "holed", 0, false, true },
};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

static off_t size_of(const struct kind *kind, unsigned generation)
{
	return kind->sized ? 5 * PAGE + (generation % 7) * 1000 : 8 * PAGE;
}

static bool is_hole(const struct kind *kind, unsigned generation,
		    unsigned page)
{
	return kind->holed && page >= 2 && page < 5 && generation % 2 == 1;
}

static void fill(const struct kind *kind, unsigned generation,
		 uint32_t *words)
{
	for (unsigned i = 0; i < SIZE_MAX_OF_FILE / 4; i++)
		words[i] = is_hole(kind, generation, i / (PAGE / 4)) ?
				   0 :
				   generation;
}

static void name_of_own(unsigned generation, char name[32])
{
	snprintf(name, 32, "own.%u", generation);
}

/* ---- writing ------------------------------------------------------------ */

static int failed(const char *what, const char *name)
{
	printf("%s %s: %s\n", what, name, strerrorname_np(errno));
	return 1;
}

static int write_one(const struct kind *kind, const char *name,
		     unsigned generation)
{
	static uint32_t words[SIZE_MAX_OF_FILE / 4];
	off_t size = size_of(kind, generation);
	int fd = openat(directory, name,
			O_RDWR | O_CREAT | O_CLOEXEC | kind->flags, 0644);
	int r = 0;

	if (fd < 0)
		return failed("open", name);
	fill(kind, generation, words);
	if (pwrite(fd, words, (size_t)size, 0) != size)
		r = failed("write", name);
	if (r == 0 && ftruncate(fd, size) < 0)
		r = failed("truncate", name);
	if (r == 0 && is_hole(kind, generation, 2) &&
	    fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 2 * PAGE,
		      3 * PAGE) < 0)
		r = failed("punch", name);
	if (close(fd) < 0 && r == 0)
		r = failed("close", name);
	return r;
}

static int write_all(unsigned generation)
{
	char name[32];
	int r = 0;

	for (unsigned i = 0; i < KINDS && r == 0; i++)
		r = write_one(&kinds[i], kinds[i].name, generation);
	name_of_own(generation, name);
	return r == 0 ? write_one(&kinds[0], name, generation) : r;
}

static int commit(unsigned generation)
{
	char name[32];

	if (fsetxattr(directory, "user.msyncfs.sync.now", "wait", 4, 0) < 0)
		return failed("commit", "all");
	name_of_own(generation - 1, name);
	if (unlinkat(directory, name, 0) < 0 && errno != ENOENT)
		printf("unlink %s: %s\n", name, strerrorname_np(errno));
	return 0;
}

/* ---- checking ----------------------------------------------------------- */

/* Its generation, or -1 after saying what is wrong. */
static int generation_of(const struct kind *kind, const char *name)
{
	static uint32_t words[SIZE_MAX_OF_FILE / 4];
	static uint32_t wanted[SIZE_MAX_OF_FILE / 4];
	int fd = openat(directory, name, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : pread(fd, words, sizeof(words), 0);
	unsigned generation = words[0];

	if (fd >= 0)
		close(fd);
	if (n < 4)
		return printf("%s: %zd bytes\n", name, n), -1;
	fill(kind, generation, wanted);
	if (n != size_of(kind, generation))
		return printf("%s: of %u, but %zd bytes\n", name, generation,
			      n),
		       -1;
	for (ssize_t i = 0; i < n / 4; i++) {
		if (words[i] == wanted[i])
			continue;
		return printf("%s: of %u, but %u at %zd\n", name, generation,
			      words[i], i * 4),
		       -1;
	}
	return (int)generation;
}

static int check(void)
{
	int first = generation_of(&kinds[0], kinds[0].name);
	char name[32];

	if (first < 0)
		return 1;
	for (unsigned i = 1; i < KINDS; i++) {
		int this = generation_of(&kinds[i], kinds[i].name);

		if (this < 0)
			return 1;
		if (this != first) {
			printf("%s is of %d, %s of %d\n", kinds[0].name, first,
			       kinds[i].name, this);
			return 1;
		}
	}
	name_of_own((unsigned)first, name);
	if (generation_of(&kinds[0], name) != first)
		return printf("%s is not as it was\n", name), 1;
	printf("%d\n", first);
	return 0;
}

int main(int argc, char **argv)
{
	const char *verb = argc > 2 ? argv[1] : "";
	unsigned generation = argc > 3 ? (unsigned)atoi(argv[3]) : 0;
	int r = 2;

	directory = open(argc > 2 ? argv[2] : "",
			 O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (directory < 0)
		return failed("open", argc > 2 ? argv[2] : "no directory"), 2;
	if (strcmp(verb, "check") == 0)
		return check();
	if (generation > 0 && (strcmp(verb, "make") == 0 ||
			       strcmp(verb, "write") == 0))
		r = write_all(generation);
	if (generation > 0 && strcmp(verb, "commit") == 0) {
		r = write_all(generation);
		if (r == 0)
			r = commit(generation);
	}
	return r;
}
