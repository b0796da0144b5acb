/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is done once, now: advise.now, sync.now, discard.now. Threads that
 * may wait.
 */
#ifndef MSYNCFS_CONTROL_ACTION_H
#define MSYNCFS_CONTROL_ACTION_H

#include <stddef.h>

struct attributes_request;

/*
 * value has length bytes, without blanks at its end. 0 or -errno; -EINVAL
 * with a line in error that says what was expected.
 */
int action_advise(const struct attributes_request *request, const char *value,
		  size_t length, char *error, size_t error_size);
int action_sync(const struct attributes_request *request, const char *value,
		size_t length, char *error, size_t error_size);
int action_discard(const struct attributes_request *request,
		   const char *value, size_t length, char *error,
		   size_t error_size);

#endif
