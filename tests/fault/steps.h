/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of steps share: their lists, each ended by a step without a
 * name, the setups, and shorthand.
 */
#ifndef MSYNCFS_TESTS_FAULT_STEPS_H
#define MSYNCFS_TESTS_FAULT_STEPS_H

#include <errno.h>
#include <stddef.h>
#include <sys/types.h>

#include "driver.h"

extern const struct step name_steps[];
extern const struct step attribute_steps[];
extern const struct step data_steps[];
extern const struct step control_steps[];
extern const struct step durability_steps[];
extern const struct step staged_steps[];
extern const struct step private_steps[];

#define SIZE 10000
#define MANY 200

/* To be written. */
extern char bytes[SIZE];

/* ---- shorthand --------------------------------------------------------- */

/* Less than all of it, or something else, without an error. */
#define SHORT (-EBADMSG)

/* Gives the test up if r is negative. */
void must(int r, const char *what);
/* The result of a call as 0 or -errno. */
int result(long r);
/* Of a call on fd, which is closed; of the open if that failed. */
int on(int fd, long r);
/* r, after closing. */
int closing(int fd, int r);
/*
 * Writes so many of bytes. A write that fails in the middle is short; the
 * next one says why.
 */
int written(int fd, off_t offset, size_t size);
int open_in(const struct place *place, const char *name, int flags);
/* Static memory. */
const char *path_in(const struct place *place, const char *name);
/* Sets user.msyncfs.NAME in the store, behind the daemon. */
void store_policy(struct place *place, const char *file, const char *name,
		  const char *value);

/* ---- setups ------------------------------------------------------------ */

/* In the store: SIZE times 'o', of USER_ID. */
void make_file(struct place *place, const char *name, mode_t mode);

void nothing(struct place *place);
void a_file(struct place *place);
void two_files(struct place *place);
void a_setuid_file(struct place *place);
void a_setgid_file(struct place *place);
void a_file_with_capabilities(struct place *place);
void a_file_with_attributes(struct place *place);
void a_directory(struct place *place);
void a_link(struct place *place);
void many_files(struct place *place);
void a_file_with_a_hole(struct place *place);
/* The kernel knows that there is none, and then there is. */
void a_file_made_behind(struct place *place);

#endif
