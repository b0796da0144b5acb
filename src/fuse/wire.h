/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parts of the kernel's FUSE protocol that libfuse hides or doesn't know
 * yet (Linux, include/uapi/linux/fuse.h, minor version 40). Own names, so
 * that headers of any age can be on the system.
 */
#ifndef MSYNCFS_FUSE_WIRE_H
#define MSYNCFS_FUSE_WIRE_H

#include <stdint.h>

enum wire_opcode {
	WIRE_FORGET = 2,
	WIRE_SETATTR = 4,
	WIRE_OPEN = 14,
	WIRE_READ = 15,
	WIRE_WRITE = 16,
	WIRE_FSYNC = 20,
	WIRE_INIT = 26,
	WIRE_FSYNCDIR = 30,
	WIRE_CREATE = 35,
	WIRE_INTERRUPT = 36,
	WIRE_DESTROY = 38,
	WIRE_NOTIFY_REPLY = 41,
	WIRE_BATCH_FORGET = 42,
	WIRE_FALLOCATE = 43,
	WIRE_COPY_FILE_RANGE = 47,
	WIRE_TMPFILE = 51,
	WIRE_STATX = 52,
	WIRE_OPCODES = 64, /* above the highest */
};

struct wire_in_header {
	uint32_t len;
	uint32_t opcode;
	uint64_t unique;
	uint64_t nodeid;
	uint32_t uid;
	uint32_t gid;
	uint32_t pid;
	uint16_t total_extlen;
	uint16_t padding;
};

struct wire_out_header {
	uint32_t len;
	int32_t error;
	uint64_t unique;
};

struct wire_init_in {
	uint32_t major;
	uint32_t minor;
	uint32_t max_readahead;
	uint32_t flags;
	uint32_t flags2;
	uint32_t unused[11];
};

struct wire_init_out {
	uint32_t major;
	uint32_t minor;
	uint32_t max_readahead;
	uint32_t flags;
	uint16_t max_background;
	uint16_t congestion_threshold;
	uint32_t max_write;
	uint32_t time_gran;
	uint16_t max_pages;
	uint16_t map_alignment;
	uint32_t flags2;
	uint32_t max_stack_depth;
	uint32_t unused[6];
};

#define WIRE_INIT_HANDLE_KILLPRIV_V2 (UINT32_C(1) << 28)
#define WIRE_INIT_EXT (UINT32_C(1) << 30)
#define WIRE_INIT2_PASSTHROUGH (UINT32_C(1) << (37 - 32))

struct wire_setattr_in {
	uint32_t valid;
	/* More follows that libfuse hands on. */
};

#define WIRE_SETATTR_KILL_SUIDGID (UINT32_C(1) << 11)

struct wire_open_in {
	uint32_t flags;
	uint32_t open_flags;
};

struct wire_create_in {
	uint32_t flags;
	uint32_t mode;
	uint32_t umask;
	uint32_t open_flags;
};

#define WIRE_OPEN_KILL_SUIDGID (UINT32_C(1) << 0)

struct wire_fsync_in {
	uint64_t fh;
	uint32_t fsync_flags;
	uint32_t padding;
};

struct wire_write_in {
	uint64_t fh;
	uint64_t offset;
	uint32_t size;
	uint32_t write_flags;
	uint64_t lock_owner;
	uint32_t flags;
	uint32_t padding;
};

#define WIRE_WRITE_KILL_SUIDGID (UINT32_C(1) << 2)

struct wire_open_out {
	uint64_t fh;
	uint32_t open_flags;
	int32_t backing_id;
};

#define WIRE_FOPEN_KEEP_CACHE (UINT32_C(1) << 1)
#define WIRE_FOPEN_NOFLUSH (UINT32_C(1) << 5)
#define WIRE_FOPEN_PASSTHROUGH (UINT32_C(1) << 7)

struct wire_attr {
	uint64_t ino;
	uint64_t size;
	uint64_t blocks;
	uint64_t atime;
	uint64_t mtime;
	uint64_t ctime;
	uint32_t atimensec;
	uint32_t mtimensec;
	uint32_t ctimensec;
	uint32_t mode;
	uint32_t nlink;
	uint32_t uid;
	uint32_t gid;
	uint32_t rdev;
	uint32_t blksize;
	uint32_t flags;
};

struct wire_time {
	int64_t seconds;
	uint32_t nanoseconds;
	int32_t reserved;
};

struct wire_statx_out {
	uint64_t attr_valid;
	uint32_t attr_valid_nsec;
	uint32_t flags;
	uint64_t spare[2];
	uint32_t mask;
	uint32_t blksize;
	uint64_t attributes;
	uint32_t nlink;
	uint32_t uid;
	uint32_t gid;
	uint16_t mode;
	uint16_t spare0;
	uint64_t ino;
	uint64_t size;
	uint64_t blocks;
	uint64_t attributes_mask;
	struct wire_time atime;
	struct wire_time btime;
	struct wire_time ctime;
	struct wire_time mtime;
	uint32_t rdev_major;
	uint32_t rdev_minor;
	uint32_t dev_major;
	uint32_t dev_minor;
	uint64_t spare2[14];
};

struct wire_entry_out {
	uint64_t nodeid;
	uint64_t generation;
	uint64_t entry_valid;
	uint64_t attr_valid;
	uint32_t entry_valid_nsec;
	uint32_t attr_valid_nsec;
	struct wire_attr attr;
};

#endif
