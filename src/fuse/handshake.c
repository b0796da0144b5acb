// SPDX-License-Identifier: Apache-2.0
/*
 * libfuse sends every reply through one writev; fuse_session_custom_io()
 * lets us stand in its place. A reply belongs to the request of its thread
 * when the unique ids are equal; notifications (unique 0) pass unseen.
 *
 * A READ's reply points into the mapping, and the kernel copies from there.
 * If a page of it can't be had (the file was truncated behind us, its device
 * failed) writev fails with EFAULT; the answer is then what pread says.
 */
#include "fuse/fuse.h"

#include "fuse/handshake.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "core/filesystem.h"
#include "fuse/counters.h"
#include "fuse/request.h"
#include "fuse/wire.h"
#include "util/log.h"

static void complete_init(struct handshake *handshake, struct iovec *body)
{
	struct wire_init_out *out = body->iov_base;

	if (body->iov_len < sizeof(*out))
		return;
	if (current_request.offered & WIRE_INIT_HANDLE_KILLPRIV_V2) {
		out->flags |= WIRE_INIT_HANDLE_KILLPRIV_V2;
		handshake->killpriv = true;
	}
	if (handshake->want_passthrough &&
	    (current_request.offered2 & WIRE_INIT2_PASSTHROUGH)) {
		out->flags |= WIRE_INIT_EXT;
		out->flags2 |= WIRE_INIT2_PASSTHROUGH;
		out->max_stack_depth = handshake->stack_depth;
		handshake->passthrough = true;
		handshake->fs->passthrough_device = handshake->device;
	}
}

const char *handshake_data_path(const struct handshake *handshake)
{
	if (handshake->fs->settings.policy.data == policy_data_daemon)
		return "daemon";
	if (handshake->passthrough)
		return "kernel";
	if (!handshake->want_passthrough)
		return "daemon (the kernel's takes CAP_SYS_ADMIN)";
	/* A libfuse that is too old has a line of its own. */
	return handshake->installed ?
		       "daemon (the kernel's takes FUSE passthrough, "
		       "Linux 6.9)" :
		       "daemon";
}

/* The open part stands at the end of both replies. */
static void complete_open(struct iovec *body)
{
	struct wire_open_out out;
	char *at = (char *)body->iov_base + body->iov_len - sizeof(out);

	if (body->iov_len < sizeof(out))
		return;
	memcpy(&out, at, sizeof(out));
	if (!current_request.wants_flush)
		out.open_flags |= WIRE_FOPEN_NOFLUSH;
	if (current_request.backing_id > 0) {
		out.open_flags &= ~WIRE_FOPEN_KEEP_CACHE;
		out.open_flags |= WIRE_FOPEN_PASSTHROUGH;
		out.backing_id = current_request.backing_id;
	}
	memcpy(at, &out, sizeof(out));
}

static ssize_t read_again(int device)
{
	struct wire_out_header header = { .unique = current_request.unique };
	char *spare = request_spare();
	ssize_t n = -1;
	struct iovec parts[2];

	errno = EIO;
	if (spare && current_request.read_size <= REQUEST_SPARE_SIZE)
		n = pread(current_request.read_fd, spare,
			  current_request.read_size,
			  current_request.read_offset);
	if (n < 0) {
		header.error = -errno;
		counters_failed(current_request.opcode, errno);
	}
	header.len = (uint32_t)(sizeof(header) + (n > 0 ? (size_t)n : 0));
	parts[0] = (struct iovec){ &header, sizeof(header) };
	parts[1] = (struct iovec){ spare, n > 0 ? (size_t)n : 0 };
	return writev(device, parts, n > 0 ? 2 : 1);
}

static ssize_t send_reply(int device, struct iovec *iov, int count, void *data)
{
	struct session *session = data;
	const struct wire_out_header *header = iov[0].iov_base;
	ssize_t n;

	if (header->unique != current_request.unique || header->unique == 0)
		return writev(device, iov, count);
	if (header->error == 0 && count > 1) {
		if (current_request.opcode == WIRE_INIT)
			complete_init(session_handshake(session), &iov[1]);
		else if (current_request.opcode == WIRE_OPEN ||
			 current_request.opcode == WIRE_CREATE)
			complete_open(&iov[1]);
	}
	n = writev(device, iov, count);
	if (n < 0 && errno == EFAULT && current_request.read_fd >= 0)
		n = read_again(device);
	return n;
}

int handshake_reply(struct handshake *handshake, int error, const void *body,
		    size_t size)
{
	struct wire_out_header header = {
		.len = (uint32_t)(sizeof(header) + size),
		.error = error,
		.unique = current_request.unique,
	};
	struct iovec parts[2] = {
		{ &header, sizeof(header) },
		{ (void *)body, size },
	};

	if (error < 0)
		counters_failed(current_request.opcode, -error);
	return writev(handshake->device, parts, size ? 2 : 1) < 0 ? -errno : 0;
}

#ifdef HAVE_FUSE_CUSTOM_IO

/* The loop reads for itself; libfuse only insists on a function. */
static ssize_t receive(int device, void *buffer, size_t size, void *data)
{
	(void)data;
	return read(device, buffer, size);
}

int handshake_install(struct handshake *handshake, struct fuse_session *se)
{
	static const struct fuse_custom_io hooks = {
		.read = receive,
		.writev = send_reply,
	};

	return fuse_session_custom_io(se, &hooks, handshake->device);
}

#else

int handshake_install(struct handshake *handshake, struct fuse_session *se)
{
	(void)handshake;
	(void)se;
	(void)send_reply;
	return -EOPNOTSUPP;
}

#endif
