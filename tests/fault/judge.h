/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a fault may do to the client and to the store.
 */
#ifndef MSYNCFS_TESTS_FAULT_JUDGE_H
#define MSYNCFS_TESTS_FAULT_JUDGE_H

#include <stdbool.h>
#include <stdint.h>

struct step;

struct fault {
	int function;
	int opcode;
	uint32_t number;
	bool lasting;
	int error;
};

struct outcome {
	int result;
	char *store; /* tree_text */
};

/* What the calls are named in the control file and in reports. */
const char *function_name(int function);
/* The i-th errno that fits it, 0 after the last. */
int function_errno(int function, unsigned i);
/* "LOOKUP" and its like. */
const char *opcode_name(int opcode);

/* Faults that would only test libfuse. */
bool is_libfuse_s(int function, int opcode);

/* Is there another way, or nothing lost? */
bool may_go_unnoticed(const struct step *step, const struct fault *fault);

/* May the step do without this call, another time? */
bool may_be_elsewhere(const struct step *step, const struct fault *fault);

/*
 * Complains if step ended otherwise than it may. normal: without a fault;
 * before: the store's tree without the step.
 */
void judge(const struct step *step, const struct fault *fault,
	   const struct outcome *normal, const char *before,
	   const struct outcome *seen);

#endif
