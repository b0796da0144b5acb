/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What doctor has found, in the order in which it is told. The caller owns
 * the list. One thread.
 */
#ifndef MSYNCFS_MSYNCCTL_DOCTOR_FINDING_H
#define MSYNCFS_MSYNCCTL_DOCTOR_FINDING_H

#include <stddef.h>

enum finding_level {
	finding_ok,
	finding_costs, /* it works, but slower or less of it */
	finding_missing, /* something does not work without it */
	finding_broken, /* something has gone wrong */
};

struct finding {
	enum finding_level level;
	const char *name; /* static */
	char *mount; /* its mountpoint, or NULL: the machine */
	char *text; /* how it is */
	char *cost; /* what that costs; NULL if ok */
	char *get; /* how to have it otherwise; NULL if ok */
};

struct findings {
	struct finding *list;
	size_t count;
};

const char *finding_level_name(enum finding_level level);

/*
 * Appends one; the pointer holds until the next. When memory is short the
 * program ends.
 */
struct finding *findings_add(struct findings *findings,
			     enum finding_level level, const char *mount,
			     const char *name);

/* Sets the texts. Return the finding. */
struct finding *finding_text(struct finding *finding, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
struct finding *finding_cost(struct finding *finding, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
struct finding *finding_get(struct finding *finding, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

enum finding_level findings_worst(const struct findings *findings);
void findings_free(struct findings *findings);

#define owned_findings __attribute__((cleanup(findings_free))) struct findings

#endif
