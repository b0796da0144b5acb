// SPDX-License-Identifier: Apache-2.0
/*
 * The names are the kernel's (include/uapi/linux/fuse.h, enum fuse_opcode);
 * what newer kernels add is counted under its number.
 */
#include "fuse/counters.h"

#include <inttypes.h>
#include <stdatomic.h>

#include "core/counters.h"
#include "fuse/request.h"
#include "fuse/wire.h"
#include "os/clock.h"
#include "util/log.h"

static const char *const names[WIRE_OPCODES] = {
	[1] = "LOOKUP",
	[2] = "FORGET",
	[3] = "GETATTR",
	[4] = "SETATTR",
	[5] = "READLINK",
	[6] = "SYMLINK",
	[8] = "MKNOD",
	[9] = "MKDIR",
	[10] = "UNLINK",
	[11] = "RMDIR",
	[12] = "RENAME",
	[13] = "LINK",
	[14] = "OPEN",
	[15] = "READ",
	[16] = "WRITE",
	[17] = "STATFS",
	[18] = "RELEASE",
	[20] = "FSYNC",
	[21] = "SETXATTR",
	[22] = "GETXATTR",
	[23] = "LISTXATTR",
	[24] = "REMOVEXATTR",
	[25] = "FLUSH",
	[26] = "INIT",
	[27] = "OPENDIR",
	[28] = "READDIR",
	[29] = "RELEASEDIR",
	[30] = "FSYNCDIR",
	[31] = "GETLK",
	[32] = "SETLK",
	[33] = "SETLKW",
	[34] = "ACCESS",
	[35] = "CREATE",
	[36] = "INTERRUPT",
	[37] = "BMAP",
	[38] = "DESTROY",
	[39] = "IOCTL",
	[40] = "POLL",
	[41] = "NOTIFY_REPLY",
	[42] = "BATCH_FORGET",
	[43] = "FALLOCATE",
	[44] = "READDIRPLUS",
	[45] = "RENAME2",
	[46] = "LSEEK",
	[47] = "COPY_FILE_RANGE",
	[48] = "SETUPMAPPING",
	[49] = "REMOVEMAPPING",
	[50] = "SYNCFS",
	[51] = "TMPFILE",
	[52] = "STATX",
	[53] = "COPY_FILE_RANGE_64",
};

static struct operation_counts counts[WIRE_OPCODES];

const char *counters_name(uint32_t opcode)
{
	return opcode < WIRE_OPCODES && names[opcode] ? names[opcode] : "?";
}

/* What can't be told apart is counted at 0. */
static struct operation_counts *counts_of(uint32_t opcode)
{
	return &counts[opcode < WIRE_OPCODES ? opcode : 0];
}

const struct operation_counts *counters_all(void)
{
	return counts;
}

void counters_add(uint32_t opcode)
{
	counter_add(&counts_of(opcode)->requests, 1);
}

bool counters_is_timed(uint32_t opcode)
{
	switch (opcode) {
	case WIRE_FORGET:
	case WIRE_BATCH_FORGET:
	case WIRE_INTERRUPT:
	case WIRE_NOTIFY_REPLY:
	case WIRE_INIT:
	case WIRE_DESTROY:
		return false;
	default:
		return true;
	}
}

void counters_answered(const struct request_clock *clock)
{
	if (clock->begin != 0)
		histogram_add(&counts_of(clock->opcode)->took,
			      clock_now() - clock->begin);
}

void counters_failed(uint32_t opcode, int error)
{
	if (error < 0 || error >= COUNTERS_ERRNO_MAX)
		error = 0;
	counter_add(&counts_of(opcode)->errors[error], 1);
}

void counters_print(FILE *out)
{
	for (unsigned i = 0; i < WIRE_OPCODES; i++) {
		uint64_t count = counts[i].requests;

		if (names[i])
			fprintf(out, "requests.%s=%" PRIu64 "\n", names[i],
				count);
	}
}

void counters_log(void)
{
	log_event(event_requests, "requests by operation:");
	for (unsigned i = 0; i < WIRE_OPCODES; i++) {
		uint64_t count = counts[i].requests;

		if (count == 0)
			continue;
		if (names[i])
			log_event(event_requests, "%s %" PRIu64, names[i],
				  count);
		else
			log_event(event_requests, "OPCODE_%u %" PRIu64, i,
				  count);
	}
}
