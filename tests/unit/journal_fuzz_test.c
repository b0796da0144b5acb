// SPDX-License-Identifier: Apache-2.0
/*
 * The fuzzer's inputs without the fuzzer, in every build: what it begins
 * with, and the same changes it makes, by numbers that are always the same.
 */
#include "support.h"

#include <string.h>

#include "../fuzz/journal_input.h"
#include "random.h"

#define VARIANTS 3000u

static uint64_t random_state = RANDOM_SEED;

/* Stands in for libFuzzer's. */
size_t LLVMFuzzerMutate(uint8_t *bytes, size_t size, size_t max)
{
	if (random_next(&random_state) % 4 == 0)
		size = random_between(&random_state, 1, max);
	for (unsigned i = 0; i < 4; i++)
		bytes[random_next(&random_state) % size] =
			(uint8_t)random_next(&random_state);
	return size;
}

static void the_seeds_are_read(void **state)
{
	static uint8_t bytes[INPUT_MAX];

	(void)state;
	for (unsigned i = 0; i < INPUT_SEEDS; i++)
		assert_int_equal(LLVMFuzzerTestOneInput(bytes,
			input_seed(i, bytes)), 0);
	assert_int_equal(LLVMFuzzerTestOneInput(bytes, 0), 0);
}

/* Each goes on from the one before it, until the seed comes again. */
static void changed_ones_are_read(void **state)
{
	static uint8_t bytes[INPUT_MAX];
	size_t size = 0;

	(void)state;
	for (unsigned i = 0; i < INPUT_SEEDS * VARIANTS; i++) {
		if (i % 5 == 0)
			size = input_seed(i / 5 % INPUT_SEEDS, bytes);
		size = LLVMFuzzerCustomMutator(bytes, size, INPUT_MAX, i);
		assert_in_range(size, 1, INPUT_MAX);
		assert_int_equal(LLVMFuzzerTestOneInput(bytes, size), 0);
	}
	/* They are not all refused at the first look. */
	print_message("# %llu transactions of %u journals\n",
		(unsigned long long)input_transactions,
		INPUT_SEEDS * VARIANTS);
	assert_true(input_transactions > 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_seeds_are_read),
		cmocka_unit_test(changed_ones_are_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
