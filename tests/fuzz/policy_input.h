/* SPDX-License-Identifier: Apache-2.0 */
/* What tests/fuzz/policy_fuzz.c is for who calls it. One thread. */
#ifndef MSYNCFS_TESTS_POLICY_INPUT_H
#define MSYNCFS_TESTS_POLICY_INPUT_H

#include <stddef.h>
#include <stdint.h>

/* Rules of all inputs that were taken so far. */
extern uint64_t input_rules;

/* A path, a newline, a policy file. 0; aborts if something is wrong. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

#endif
