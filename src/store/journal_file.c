// SPDX-License-Identifier: Apache-2.0
/*
 * A journal is another's when the inodes of the store's root and of the
 * journal itself are not those that it was made for: handles have a
 * generation, which is not given out again, and a copy has other inodes. An
 * image of the whole device has the same. Device numbers are left out: they
 * change from mount to mount.
 */
#include "store/journal_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "os/inode.h"
#include "store/journal_bytes.h"
#include "util/cleanup.h"

struct handle_buffer {
	struct file_handle head;
	unsigned char bytes[JOURNAL_HANDLE_MAX];
};

_Static_assert(JOURNAL_HANDLE_MAX >= MAX_HANDLE_SZ, "any handle fits");

/* ---- which inode ------------------------------------------------------- */

int journal_identify(int fd, struct journal_id *id)
{
	struct handle_buffer buffer = {
		.head.handle_bytes = JOURNAL_HANDLE_MAX,
	};
	struct statx stx;
	int mount_id;

	if (statx(fd, "", AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW,
		  STATX_INO | STATX_BTIME, &stx) < 0)
		return -errno;
	*id = (struct journal_id){ .ino = stx.stx_ino };
	if (stx.stx_mask & STATX_BTIME)
		id->birth_ns = stx.stx_btime.tv_sec * INT64_C(1000000000) +
			       stx.stx_btime.tv_nsec;
	if (name_to_handle_at(fd, "", &buffer.head, &mount_id,
			      AT_EMPTY_PATH) < 0)
		return errno == EOPNOTSUPP || errno == ENOSYS ||
		       errno == EPERM ? 0 : -errno;
	id->handle_type = buffer.head.handle_type;
	id->handle_length = buffer.head.handle_bytes;
	memcpy(id->handle, buffer.head.f_handle, id->handle_length);
	return 0;
}

bool journal_same_id(const struct journal_id *a, const struct journal_id *b)
{
	if (a->ino != b->ino)
		return false;
	if (a->handle_length == 0 || b->handle_length == 0)
		return a->birth_ns == b->birth_ns;
	return a->handle_type == b->handle_type &&
	       a->handle_length == b->handle_length &&
	       memcmp(a->handle, b->handle, a->handle_length) == 0;
}

/* ino, birth time, handle's type and length, handle: what is hashed. */
#define ID_BYTES (24 + JOURNAL_HANDLE_MAX)

static int put_id(int fd, unsigned char bytes[ID_BYTES])
{
	struct journal_id id;
	int r = journal_identify(fd, &id);

	if (r < 0)
		return r;
	memset(bytes, 0, ID_BYTES);
	bytes_put64(bytes, id.ino);
	bytes_put64(bytes + 8, (uint64_t)id.birth_ns);
	bytes_put32(bytes + 16, (uint32_t)id.handle_type);
	bytes_put32(bytes + 20, id.handle_length);
	memcpy(bytes + 24, id.handle, id.handle_length);
	return 0;
}

int journal_store_id(int root_fd, int file_fd, uint64_t id[2])
{
	unsigned char bytes[2 * ID_BYTES];
	XXH128_hash_t hash;
	int r = put_id(root_fd, bytes);

	if (r == 0)
		r = put_id(file_fd, bytes + ID_BYTES);
	if (r < 0)
		return r;
	hash = XXH3_128bits(bytes, sizeof(bytes));
	id[0] = hash.low64;
	id[1] = hash.high64;
	return 0;
}

/* ---- the file ---------------------------------------------------------- */

static int own(int fd, mode_t kind)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if ((st.st_mode & S_IFMT) != kind)
		return kind == S_IFDIR ? -ENOTDIR : -EINVAL;
	return st.st_uid == geteuid() ? 0 : -EPERM;
}

static int open_own(int directory_fd, const char *name, int flags, mode_t kind)
{
	owned_fd fd = openat(directory_fd, name,
		flags | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	int r;

	if (fd < 0)
		return -errno;
	r = own(fd, kind);
	return r < 0 ? r : take_fd(&fd);
}

int journal_directory_open(int root_fd)
{
	return open_own(root_fd, JOURNAL_DIRECTORY, O_RDONLY | O_DIRECTORY,
			S_IFDIR);
}

int journal_file_open(int directory_fd, int flags)
{
	return open_own(directory_fd, JOURNAL_NAME, flags, S_IFREG);
}

static void advance(struct iovec **parts, size_t *count, size_t done)
{
	while (*count > 0 && done >= (*parts)->iov_len) {
		done -= (*parts)->iov_len;
		(*parts)++;
		(*count)--;
	}
	if (*count > 0) {
		(*parts)->iov_base = (char *)(*parts)->iov_base + done;
		(*parts)->iov_len -= done;
	}
}

int journal_write_parts(int fd, struct iovec *parts, size_t count,
			off_t offset)
{
	advance(&parts, &count, 0);
	while (count > 0) {
		ssize_t n = pwritev(fd, parts,
			(int)(count < IOV_MAX ? count : IOV_MAX), offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		offset += n;
		advance(&parts, &count, (size_t)n);
	}
	return 0;
}

int journal_write(int fd, const void *bytes, size_t size, off_t offset)
{
	struct iovec part = { .iov_base = (void *)bytes, .iov_len = size };

	return journal_write_parts(fd, &part, 1, offset);
}

int journal_read(int fd, void *bytes, size_t size, off_t offset)
{
	char *to = bytes;

	while (size > 0) {
		ssize_t n = pread(fd, to, size, offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		to += n;
		size -= (size_t)n;
		offset += n;
	}
	return 0;
}

int journal_header_write(int fd, const struct journal_header *header)
{
	unsigned char block[JOURNAL_PAGE];

	journal_header_encode(header, block);
	return journal_write(fd, block, sizeof(block),
		(off_t)(header->generation % JOURNAL_RING) * JOURNAL_PAGE);
}

void journal_say(char *error, size_t size, int root_fd, const char *format,
		 ...)
{
	char path[PATH_MAX] = "";
	va_list arguments;
	int n;

	if (size == 0)
		return;
	if (root_fd >= 0)
		inode_read_path(root_fd, path);
	n = root_fd < 0 ? snprintf(error, size, "the journal ") :
			  snprintf(error, size, "%s/%s/%s ", path,
				   JOURNAL_DIRECTORY, JOURNAL_NAME);
	if (n < 0 || (size_t)n >= size)
		return;
	va_start(arguments, format);
	vsnprintf(error + n, size - (size_t)n, format, arguments);
	va_end(arguments);
}
