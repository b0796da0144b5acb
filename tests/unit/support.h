/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of the daemon's inner parts share: a fresh directory with
 * or without a filesystem object on it, and a teardown that fails when the
 * test has left a descriptor open or a file of the directory mapped.
 */
#ifndef MSYNCFS_TESTS_UNIT_SUPPORT_H
#define MSYNCFS_TESTS_UNIT_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>
#include <cmocka.h>

#include "core/file.h"
#include "core/filesystem.h"

/* Also the high ones that valgrind keeps for itself. */
#define PLACE_DESCRIPTORS_MAX (1 << 16)

struct place {
	char directory[128];
	int fd; /* of the directory, O_RDONLY; never the filesystem's */
	struct filesystem fs;
	bool has_fs;
	bool open_before[PLACE_DESCRIPTORS_MAX];
};

/* cmocka's fixtures; *state is a struct place. */
int place_setup(void **state);
/* With a filesystem: by handle where that is possible, and by number. */
int place_setup_filesystem(void **state);
int place_setup_by_number(void **state);
int place_teardown(void **state);

/* Why handles can't be used here, or NULL. */
const char *place_lacks_handles(const struct place *place);

#define skip_because(reason)                                                   \
	do {                                                                   \
		print_message("%s\n", reason);                                 \
		skip();                                                        \
	} while (0)

#define need_handles(place)                                                    \
	do {                                                                   \
		const char *lacking_ = place_lacks_handles(place);             \
                                                                               \
		if (lacking_)                                                  \
			skip_because(lacking_);                                \
	} while (0)

/* A file of the place's directory with this content. */
void make_file(struct place *place, const char *name, const char *content);
/* Grows or cuts one in the store, behind the daemon. */
void cut_file(struct place *place, const char *name, off_t size);
/* What is in the file, as the store has it; static memory. */
const char *stored(struct place *place, const char *name);

/* As a LOOKUP does it: the node, with one look-up more, or NULL. */
struct node *look_up(struct filesystem *fs, struct node *parent,
		     const char *name);

unsigned open_descriptors(void);
/* Mappings of this process whose file has text in its path. */
unsigned mappings_of(const char *text);
/* Bytes that malloc has handed out and not got back. */
size_t allocated_bytes(void);

extern const struct caller caller_root;

/* The place's file "file", looked up and opened. */
struct open_file {
	struct filesystem *fs;
	struct node *node;
	struct file_opened opened;
	struct file *file;
};

/* Makes it with this content and opens it as root; installs the guard. */
void open_file_begin(struct open_file *this, struct place *place, int flags,
		     const char *content);
/* Opens this->node of this->fs; 0 or -errno. */
int open_file_as(struct open_file *this, int flags,
		 const struct caller *caller);
void open_file_end(struct open_file *this);

/* As root; bytes or -errno. */
ssize_t write_text(struct file *file, const char *text, off_t offset,
		   int flags);
/* What a read gives, as a string; static memory. */
const char *read_text(struct file *file, size_t size, off_t offset);
/* Where file_read() may copy to when there is no mapping. */
char *spare_bytes(void);

/*
 * Runs what in a child, so that ids, namespaces and limits can be changed;
 * what it returns is the child's exit status. A signal gives 128 and more.
 */
int in_child(int (*what)(void *), void *argument);

/* In a child or thread: says what was expected and returns 1 if it isn't. */
#define expect(condition)                                                      \
	do {                                                                   \
		if (!(condition)) {                                            \
			print_message("# %s:%d: %s\n", __func__, __LINE__,     \
				#condition);                                   \
			return 1;                                              \
		}                                                              \
	} while (0)

/* Runs what in count threads, all known to RCU; the sum of their results. */
int in_threads(unsigned count, int (*what)(void *, unsigned), void *argument);

#endif
