// SPDX-License-Identifier: Apache-2.0
/*
 * One step for each operation, small enough that a failure has one cause.
 * Files are prepared in the store, so that a step begins with look-ups.
 */
#include "steps.h"

static const struct step *const lists[] = {
	name_steps,
	attribute_steps,
	data_steps,
	control_steps,
	durability_steps,
	staged_steps,
	private_steps,
};

const struct step *step_number(unsigned number)
{
	for (unsigned i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		for (unsigned j = 0; lists[i][j].name; j++) {
			if (number-- == 0)
				return &lists[i][j];
		}
	}
	return NULL;
}
