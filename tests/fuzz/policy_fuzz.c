// SPDX-License-Identifier: Apache-2.0
/*
 * Any bytes as a policy file and a path: what is refused says why in one line
 * that names a line of the file; what is taken is matched, and the index by
 * heads finds a rule exactly when its line alone does.
 *
 * The path is what stands before the first newline.
 */
#include "policy_input.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/policy_file.h"

uint64_t input_rules;

static bool no_fsync;

static void must(bool true_so)
{
	if (!true_so)
		abort();
}

static struct policy_file *parse(const char *text, size_t length)
{
	struct policy_file *file;
	char error[512] = "";
	unsigned line;
	int r = policy_file_parse("f", text, length, no_fsync, &file, error,
		sizeof(error));

	must((r == 0) == (file != NULL));
	if (r < 0) {
		must(sscanf(error, "f:%u: ", &line) == 1 && line > 0);
		must(strlen(error) > 10);
		for (const char *c = error; *c; c++)
			must((unsigned char)*c >= ' ' && *c != 0x7f);
	}
	return file;
}

/* A line by itself; a byte order mark is one in the first line only. */
static struct policy_file *parse_line(const char *line, size_t length,
	unsigned number)
{
	struct policy_file *file;
	char *copy;

	if (number == 1)
		return parse(line, length);
	copy = malloc(length + 1);
	must(copy != NULL);
	*copy = '\n';
	memcpy(copy + 1, line, length);
	file = parse(copy, length + 1);
	free(copy);
	return file;
}

/* The last line that gives a policy to the path, each line by itself. */
static unsigned expected_line(const char *text, size_t length,
	const char *path, bool directory, enum policy_name name)
{
	const char *end = text + length;
	unsigned found = 0;

	for (unsigned line = 1; text < end; line++) {
		const char *newline =
			memchr(text, '\n', (size_t)(end - text));
		struct policy_file *file;
		struct policy policy = policy_builtin;
		struct policy_lines lines;

		newline = newline ? newline : end;
		file = parse_line(text, (size_t)(newline - text), line);
		if (file) {
			policy_file_match(file, path, directory, &policy,
				&lines);
			if (lines.of[name] > 0)
				found = line;
		}
		policy_file_put(file);
		text = newline + 1;
	}
	return found;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	const char *text = memchr(bytes, '\n', size);
	struct policy policy = policy_builtin;
	struct policy_lines lines;
	struct policy_file *file;
	char path[256];
	size_t length;

	if (!text)
		return 0;
	length = (size_t)(text - (const char *)bytes);
	if (length >= sizeof(path))
		return 0;
	memcpy(path, bytes, length);
	path[length] = '\0';
	text++;
	no_fsync = size % 2;
	length = (size_t)((const char *)bytes + size - text);
	file = parse(text, length);
	if (!file)
		return 0;
	input_rules += policy_file_count(file);
	for (int directory = 0; directory < 2; directory++) {
		policy_file_match(file, path, directory, &policy, &lines);
		must(policy.set == 0);
		for (unsigned i = 0; i < POLICY_NAMES; i++)
			must(lines.of[i] == expected_line(text, length, path,
				directory, (enum policy_name)i));
	}
	policy_file_put(file);
	return 0;
}
