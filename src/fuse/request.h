/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The request that a worker thread serves: what libfuse doesn't hand on from
 * it, and what has to be added to its reply. One for each thread, set by the
 * receiving loop, valid until the operation returns.
 */
#ifndef MSYNCFS_FUSE_REQUEST_H
#define MSYNCFS_FUSE_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "os/credentials.h"

/* What is to be told of a request's time when it is answered. */
struct request_clock {
	uint32_t opcode;
	int64_t begin; /* clock_now(); 0: it is not timed, or elsewhere */
};

struct request {
	uint32_t opcode;
	int64_t begin; /* as request_clock's */
	uint64_t unique;
	struct caller caller;
	/* Of an INIT: what the kernel offers, flags and flags2. */
	uint32_t offered;
	uint32_t offered2;
	/* For the reply of an OPEN or CREATE on the kernel path, else 0. */
	int backing_id;
	bool wants_flush; /* not FOPEN_NOFLUSH */
	/* Of a READ that is answered from a mapping: what to read again. */
	int read_fd;
	off_t read_offset;
	size_t read_size;
};

extern _Thread_local struct request current_request;

/* A buffer of this thread's for one read (REQUEST_SPARE_SIZE), or NULL. */
char *request_spare(void);
void request_spare_free(void);

#define REQUEST_SPARE_SIZE ((size_t)1 << 20)

/*
 * The request will be answered later, maybe by another thread: whoever has
 * its clock ends it then, with reply_late().
 */
static inline struct request_clock request_take_clock(void)
{
	struct request_clock clock = { current_request.opcode,
				       current_request.begin };

	current_request.begin = 0;
	return clock;
}

/* Takes a request apart as far as needed here. -EINVAL if it is too short. */
int request_parse(const void *message, size_t size);

#endif
