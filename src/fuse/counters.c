// SPDX-License-Identifier: Apache-2.0
/*
 * The names are the kernel's (include/uapi/linux/fuse.h, enum fuse_opcode);
 * what newer kernels add is counted under its number.
 */
#include "fuse/counters.h"

#include <inttypes.h>
#include <stdatomic.h>

#include "fuse/wire.h"
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

static _Atomic uint64_t counts[WIRE_OPCODES];

const char *counters_name(uint32_t opcode)
{
	return opcode < WIRE_OPCODES && names[opcode] ? names[opcode] : "?";
}

void counters_add(uint32_t opcode)
{
	/* What can't be told apart is counted at 0. */
	if (opcode >= WIRE_OPCODES)
		opcode = 0;
	atomic_fetch_add_explicit(&counts[opcode], 1, memory_order_relaxed);
}

void counters_print(FILE *out)
{
	for (unsigned i = 0; i < WIRE_OPCODES; i++) {
		uint64_t count = counts[i];

		if (names[i])
			fprintf(out, "requests.%s=%" PRIu64 "\n", names[i],
				count);
	}
}

void counters_log(void)
{
	log_info("requests by operation:");
	for (unsigned i = 0; i < WIRE_OPCODES; i++) {
		uint64_t count = counts[i];

		if (count == 0)
			continue;
		if (names[i])
			log_info("%s %" PRIu64, names[i], count);
		else
			log_info("OPCODE_%u %" PRIu64, i, count);
	}
}
