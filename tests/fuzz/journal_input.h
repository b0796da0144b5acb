/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Journals as inputs of the fuzzer: a few small ones to begin with, and what
 * gives a changed one right checksums again, so that changes get behind them.
 */
#ifndef MSYNCFS_TESTS_FUZZ_JOURNAL_INPUT_H
#define MSYNCFS_TESTS_FUZZ_JOURNAL_INPUT_H

#include <stddef.h>
#include <stdint.h>

#define INPUT_SEEDS 6u
/* Bytes; the largest of them has so many. */
#define INPUT_MAX (16u * 4096u)

/* Fills bytes with seed number `which`; its size. */
size_t input_seed(unsigned which, uint8_t bytes[INPUT_MAX]);

/* Sets the checksums of all headers and transactions that it can find. */
void input_seal(uint8_t *bytes, size_t size);

/*
 * What libFuzzer calls: reads all of it as recovery does, and aborts when
 * something comes out that must not.
 */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);
/* Transactions that came out of all inputs so far. */
extern uint64_t input_transactions;
/* Changes it; its new size. */
size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t size, size_t max,
	unsigned seed);
/* libFuzzer's own, or that of who runs the inputs without it. */
size_t LLVMFuzzerMutate(uint8_t *bytes, size_t size, size_t max);

#endif
