// SPDX-License-Identifier: Apache-2.0
/*
 * Files that are written anew as a whole, again and again, in the ways that
 * programs have for it. Whatever happens, each is an old one or a new one.
 *
 *	rewrite write DIRECTORY SEED
 *	rewrite check DIRECTORY SEED MARKS
 *
 * A version's bytes, and how many there are, follow from the seed, the file
 * and the number of the version. `write` claims now and then that a file has
 * got as far as a version ("rewrite.NAME VERSION"), and stops when it is
 * told to, or with the mount. `check` wants of each file one version, whole,
 * and not an earlier one than MARKS claims. Only a file of which nothing is
 * claimed may be absent, or have a part of the first version: that one took no
 * other's place.
 */
#include <sys/stat.h>

#include "work.h"

#define LONGEST ((size_t)160 << 10)

/* How a file is written anew. */
enum way {
	way_open_truncates,     /* O_TRUNC, write, close */
	way_ftruncate_and_sync, /* the same with ftruncate(2) and fsync(2) */
	way_sync_and_rename,    /* another name, fsync, rename(2) over it */
	way_rename,             /* the same without fsync */
	way_count
};

static const char *const names[way_count] = { "truncated", "synced",
					      "renamed-synced", "renamed" };

struct head {
	uint64_t version;
	uint64_t length; /* of the whole file */
};

static uint64_t seed;
static uint64_t state; /* of what need not be known later */
static const char *directory;
static unsigned char content[LONGEST + 8];

static void die(const char *what)
{
	fprintf(stderr, "rewrite: %s: %s\n", what, strerror(errno));
	exit(2);
}

static uint64_t draw(uint64_t below)
{
	return work_mix(state++) % below;
}

/* The version's bytes into `content`; their number. */
static size_t make_content(enum way way, uint64_t version)
{
	uint64_t key = work_mix(work_mix(seed + (uint64_t)way) + version);
	struct head head = { .version = version };

	/* Most are small, some take many pages. */
	head.length = sizeof(head) + 1 +
		      key % (version % 5 ? 9000 : LONGEST - sizeof(head) - 1);
	for (size_t i = 0; i < head.length; i += 8) {
		uint64_t word = work_mix(key + i);

		memcpy(content + i, &word, 8);
	}
	memcpy(content, &head, sizeof(head));
	return head.length;
}

/* --- writing ------------------------------------------------------------- */

/* In a few pieces, with commits in between sometimes. 0 or -1. */
static int write_content(int fd, size_t length)
{
	for (size_t at = 0; at < length;) {
		size_t piece = draw(length) + 1;
		ssize_t n;

		if (piece > length - at)
			piece = length - at;
		n = write(fd, content + at, piece);
		if (n < 0)
			return -1;
		at += (size_t)n;
		if (draw(6) == 0)
			work_pause_us(draw(60000));
	}
	return 0;
}

static bool has_another_name(enum way way)
{
	return way == way_sync_and_rename || way == way_rename;
}

/* Opens it, empty. */
static int open_anew(enum way way, const char *path)
{
	int flags = O_WRONLY | O_CREAT | O_CLOEXEC;
	int fd;

	if (way != way_ftruncate_and_sync)
		return open(path, flags | O_TRUNC, 0644);
	fd = open(path, flags, 0644);
	if (fd >= 0 && ftruncate(fd, 0)) {
		close(fd);
		return -1;
	}
	return fd;
}

static int rewrite(enum way way, uint64_t version)
{
	size_t length = make_content(way, version);
	char path[4096];
	char other[4096 + 8];
	int result;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", directory, names[way]);
	snprintf(other, sizeof(other), "%s.new", path);
	fd = open_anew(way, has_another_name(way) ? other : path);
	if (fd < 0)
		return -1;
	result = write_content(fd, length);
	if (!result &&
	    (way == way_sync_and_rename || way == way_ftruncate_and_sync))
		result = fsync(fd);
	if (close(fd))
		result = -1;
	if (!result && has_another_name(way))
		result = rename(other, path);
	return result;
}

static int write_all(void)
{
	bool honoured = work_fsync_is_honoured();
	char text[64];

	for (uint64_t n = 0; !work_is_over(); n++) {
		enum way way = (enum way)(n % way_count);
		uint64_t version = n / way_count + 1;

		if (rewrite(way, version))
			die(names[way]);
		snprintf(text, sizeof(text), "rewrite.%s %llu", names[way],
			 (unsigned long long)version);
		if (way == way_ftruncate_and_sync && honoured &&
		    work_claim(text))
			die("claim");
		if ((version == 2 || draw(7) == 0) && work_durable(text))
			die("durable");
		work_pause_us(draw(15000));
	}
	return 0;
}

/* --- checking ------------------------------------------------------------ */

/* The latest version that is claimed; 0: none is. */
static uint64_t claimed(const char *marks, enum way way)
{
	FILE *file = fopen(marks, "re");
	unsigned long long version;
	uint64_t latest = 0;
	char format[64];
	char line[300];

	if (!file)
		die(marks);
	snprintf(format, sizeof(format), "durable rewrite.%s %%llu",
		 names[way]);
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, format, &version) == 1 && version > latest)
			latest = version;
	}
	fclose(file);
	return latest;
}

/* Its bytes and size; -1: it isn't there. */
static off_t load(const char *path, unsigned char *buffer, size_t room)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat status;

	if (fd < 0 && errno == ENOENT)
		return -1;
	if (fd < 0 || fstat(fd, &status))
		die(path);
	if ((size_t)status.st_size <= room &&
	    pread(fd, buffer, room, 0) != status.st_size)
		die(path);
	close(fd);
	return status.st_size;
}

/* The beginning of version 1, or not even that. */
static bool is_begun(enum way way, const unsigned char *is, off_t size)
{
	return size <= 0 || (make_content(way, 1) >= (size_t)size &&
			     memcmp(is, content, (size_t)size) == 0);
}

static bool is_good(enum way way, uint64_t least)
{
	static unsigned char is[LONGEST];
	const char *name = names[way];
	struct head head = { .version = 0 };
	char path[4096];
	off_t size;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	size = load(path, is, sizeof(is));
	if (least == 0 && is_begun(way, is, size))
		return true;
	if (size <= 0) {
		printf("%s is %s; %llu was durable\n", name,
		       size < 0 ? "absent" : "empty",
		       (unsigned long long)least);
		return false;
	}
	if ((size_t)size >= sizeof(head))
		memcpy(&head, is, sizeof(head));
	if (make_content(way, head.version) != (size_t)size ||
	    memcmp(is, content, (size_t)size) != 0) {
		printf("%s, %lld bytes, is no version: it begins as %llu, "
		       "which has %llu\n",
		       name, (long long)size, (unsigned long long)head.version,
		       (unsigned long long)head.length);
		return false;
	}
	if (head.version < least) {
		printf("%s is version %llu, %llu was durable\n", name,
		       (unsigned long long)head.version,
		       (unsigned long long)least);
		return false;
	}
	return true;
}

static int check(const char *marks)
{
	int bad = 0;

	for (int i = 0; i < way_count; i++) {
		enum way way = (enum way)i;

		if (!is_good(way, claimed(marks, way)))
			bad = 1;
	}
	return bad;
}

int main(int argc, char **argv)
{
	bool is_check;

	is_check = argc == 5 && strcmp(argv[1], "check") == 0;
	if (!is_check && (argc != 4 || strcmp(argv[1], "write") != 0)) {
		fprintf(stderr, "usage: rewrite write DIRECTORY SEED\n"
				"       rewrite check DIRECTORY SEED MARKS\n");
		return 2;
	}
	directory = argv[2];
	seed = work_mix(strtoull(argv[3], NULL, 10));
	state = work_mix(seed);
	return is_check ? check(argv[4]) : write_all();
}
