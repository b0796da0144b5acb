// SPDX-License-Identifier: Apache-2.0
/*
 * libfuse 3.14 masks the flags that say whether a caller's write, truncation
 * or open is to clear setuid and setgid, so they are read here, from the
 * message itself, before libfuse sees it.
 */
#include "fuse/request.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "fuse/counters.h"
#include "fuse/wire.h"
#include "os/clock.h"

_Thread_local struct request current_request;
static _Thread_local char *spare;

char *request_spare(void)
{
	if (!spare) {
		void *memory = mmap(NULL, REQUEST_SPARE_SIZE,
				    PROT_READ | PROT_WRITE,
				    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		spare = memory == MAP_FAILED ? NULL : memory;
	}
	return spare;
}

void request_spare_free(void)
{
	if (spare)
		munmap(spare, REQUEST_SPARE_SIZE);
	spare = NULL;
}

static void parse_body(struct request *request, const void *body, size_t size)
{
	const struct wire_setattr_in *setattr = body;
	const struct wire_open_in *open = body;
	const struct wire_create_in *create = body;
	const struct wire_write_in *write = body;
	const struct wire_init_in *init = body;
	bool kill = false;

	switch (request->opcode) {
	case WIRE_SETATTR:
		kill = size >= sizeof(*setattr) &&
		       (setattr->valid & WIRE_SETATTR_KILL_SUIDGID);
		break;
	case WIRE_OPEN:
		kill = size >= sizeof(*open) &&
		       (open->open_flags & WIRE_OPEN_KILL_SUIDGID);
		break;
	case WIRE_CREATE:
		kill = size >= sizeof(*create) &&
		       (create->open_flags & WIRE_OPEN_KILL_SUIDGID);
		break;
	case WIRE_WRITE:
		kill = size >= sizeof(*write) &&
		       (write->write_flags & WIRE_WRITE_KILL_SUIDGID);
		break;
	case WIRE_INIT:
		if (size >= offsetof(struct wire_init_in, flags2))
			request->offered = init->flags;
		if (size >= offsetof(struct wire_init_in, unused) &&
		    (request->offered & WIRE_INIT_EXT))
			request->offered2 = init->flags2;
		break;
	default:
		break;
	}
	request->caller.kill_privileges = kill;
}

int request_parse(const void *message, size_t size)
{
	const struct wire_in_header *header = message;

	if (size < sizeof(*header))
		return -EINVAL;
	current_request = (struct request){
		.opcode = header->opcode,
		.begin = counters_is_timed(header->opcode) ? clock_now() : 0,
		.unique = header->unique,
		.caller.uid = header->uid,
		.caller.gid = header->gid,
		.caller.pid = (pid_t)header->pid,
		.read_fd = -1,
	};
	parse_body(&current_request, header + 1, size - sizeof(*header));
	return 0;
}
