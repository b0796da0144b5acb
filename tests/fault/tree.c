// SPDX-License-Identifier: Apache-2.0
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "driver.h"

/* Times before this are none that the clock gives now. */
#define OLD 1500000000

static uint64_t hash(uint64_t seed, const void *data, size_t size)
{
	const unsigned char *at = data;

	/* FNV-1a */
	for (size_t i = 0; i < size; i++)
		seed = (seed ^ at[i]) * UINT64_C(1099511628211);
	return seed;
}

static int write_contents(FILE *out, int directory, const char *name)
{
	static char buffer[1 << 16];
	uint64_t sum = UINT64_C(14695981039346656037);
	int fd = openat(directory, name, O_RDONLY | O_NOATIME | O_CLOEXEC);
	ssize_t n = -1;

	if (fd < 0)
		return -1;
	while ((n = read(fd, buffer, sizeof(buffer))) > 0)
		sum = hash(sum, buffer, (size_t)n);
	close(fd);
	fprintf(out, " contents=%016llx", (unsigned long long)sum);
	return n < 0 ? -1 : 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Sorted: their order depends on which came first. */
static int write_attributes(FILE *out, int directory, const char *name)
{
	char path[512];
	char names[4096];
	char value[4096];
	char *list[64];
	unsigned count = 0;
	ssize_t size;

	snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", directory, name);
	size = llistxattr(path, names, sizeof(names));
	if (size < 0)
		return errno == EOPNOTSUPP ? 0 : -1;
	for (char *at = names; at < names + size && count < 64;
	     at += strlen(at) + 1)
		list[count++] = at;
	qsort(list, count, sizeof(char *), by_name);
	for (unsigned i = 0; i < count; i++) {
		ssize_t n = lgetxattr(path, list[i], value, sizeof(value));

		if (n < 0)
			return -1;
		fprintf(out, " %s=%016llx", list[i],
			(unsigned long long)hash(0, value, (size_t)n));
	}
	return 0;
}

static int write_entry(FILE *out, int directory, const char *name)
{
	char target[4096];
	struct stat st;
	ssize_t n;

	if (fstatat(directory, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -1;
	fprintf(out, "%s mode=%o owner=%u:%u", name, st.st_mode, st.st_uid,
		st.st_gid);
	if (!S_ISDIR(st.st_mode))
		fprintf(out, " links=%u size=%lld", (unsigned)st.st_nlink,
			(long long)st.st_size);
	if (st.st_mtim.tv_sec < OLD)
		fprintf(out, " mtime=%lld.%09ld", (long long)st.st_mtim.tv_sec,
			st.st_mtim.tv_nsec);
	if (st.st_atim.tv_sec < OLD)
		fprintf(out, " atime=%lld.%09ld", (long long)st.st_atim.tv_sec,
			st.st_atim.tv_nsec);
	if (S_ISREG(st.st_mode) && write_contents(out, directory, name) < 0)
		return -1;
	if (S_ISLNK(st.st_mode)) {
		n = readlinkat(directory, name, target, sizeof(target));
		if (n < 0)
			return -1;
		fprintf(out, " target=%.*s", (int)n, target);
	}
	if (write_attributes(out, directory, name) < 0)
		return -1;
	fputc('\n', out);
	return 0;
}

/* The names in it, sorted. The number, or -1. */
static int names_of(int directory, char ***names)
{
	int fd = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *stream = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	int count = 0;

	*names = NULL;
	if (!stream)
		return -1;
	while ((errno = 0, entry = readdir(stream))) {
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		*names = realloc(*names, (size_t)(count + 1) * sizeof(char *));
		(*names)[count++] = strdup(entry->d_name);
	}
	if (errno)
		count = -1;
	closedir(stream);
	if (count > 0)
		qsort(*names, (size_t)count, sizeof(char *), by_name);
	return count;
}

static void names_free(char **names, int count)
{
	for (int i = 0; i < count; i++)
		free(names[i]);
	free(names);
}

char *tree_text(int directory)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	char **names;
	int count = names_of(directory, &names);
	int r = count < 0 ? -1 : 0;
	int error;

	for (int i = 0; i < count && r == 0; i++)
		r = write_entry(out, directory, names[i]);
	error = errno;
	names_free(names, count);
	fclose(out);
	if (r == 0)
		return text;
	free(text);
	errno = error;
	return NULL;
}

/* Behind the policies, if any are next. */
static const char *after_policies(const char *text)
{
	static const char prefix[] = " user.msyncfs.";

	while (strncmp(text, prefix, sizeof(prefix) - 1) == 0)
		text += 1 + strcspn(text + 1, " \n");
	return text;
}

bool tree_same_but_policies(const char *one, const char *other)
{
	for (;; one++, other++) {
		one = after_policies(one);
		other = after_policies(other);
		if (*one != *other)
			return false;
		if (*one == '\0')
			return true;
	}
}

static bool has_line(const char *text, const char *line, size_t length)
{
	while (*text) {
		size_t this = strcspn(text, "\n") + 1;

		if (this == length && memcmp(text, line, length) == 0)
			return true;
		text += this;
	}
	return false;
}

bool tree_of_either(const char *text, const char *one, const char *other)
{
	while (*text) {
		size_t length = strcspn(text, "\n") + 1;

		if (!has_line(one, text, length) &&
		    !has_line(other, text, length))
			return false;
		text += length;
	}
	return true;
}

int tree_clear(int directory)
{
	char **names;
	int count = names_of(directory, &names);
	int r = count < 0 ? -errno : 0;

	for (int i = 0; i < count && r == 0; i++) {
		if (unlinkat(directory, names[i], 0) == 0)
			continue;
		if (errno != EISDIR ||
		    unlinkat(directory, names[i], AT_REMOVEDIR) < 0)
			r = -errno;
	}
	names_free(names, count);
	return r;
}
