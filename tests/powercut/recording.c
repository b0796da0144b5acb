// SPDX-License-Identifier: Apache-2.0
/*
 * The file is mapped as a whole when it is read, and its records' heads are
 * gone through once: the data is used where it lies.
 */
#include "recording.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "util/cleanup.h"

static const char magic[8] = { 'c', 'u', 't', 'l', 'o', 'g', '0', '1' };

static int write_all(int fd, struct iovec *parts, int count)
{
	while (count > 0) {
		ssize_t n = writev(fd, parts, count);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		for (; count > 0 && (size_t)n >= parts->iov_len; count--)
			n -= (ssize_t)parts++->iov_len;
		if (count > 0) {
			parts->iov_base = (char *)parts->iov_base + n;
			parts->iov_len -= (size_t)n;
		}
	}
	return 0;
}

int recording_create(const char *path, uint64_t disk_size)
{
	struct recording_start start = { .disk_size = disk_size };
	struct iovec part = { &start, sizeof(start) };
	owned_fd fd = open(path,
			   O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC,
			   0644);
	int result;

	if (fd < 0)
		return -errno;
	memcpy(start.magic, magic, sizeof(magic));
	result = write_all(fd, &part, 1);
	return result ? result : take_fd(&fd);
}

int recording_append(int fd, const struct record *record)
{
	struct recording_head head = {
		.kind = record->kind,
		.length = record->length,
		.offset = record->offset,
		.size = record->size,
	};
	struct iovec parts[] = {
		{ &head, sizeof(head) },
		{ (void *)record->data, record->length },
	};

	return write_all(fd, parts, record->length ? 2 : 1);
}

int recording_add(struct recording *recording, const struct record *record)
{
	if (recording->count == recording->room) {
		size_t room = recording->room ? recording->room * 2 : 1024;
		struct record *records = reallocarray(recording->records, room,
						      sizeof(*records));

		if (!records)
			return -ENOMEM;
		recording->records = records;
		recording->room = room;
	}
	recording->records[recording->count++] = *record;
	return 0;
}

/* What can't have been written by recording_append. */
static bool is_wrong(const struct recording *recording,
		     const struct recording_head *head)
{
	uint64_t size = recording->disk_size;

	switch (head->kind) {
	case record_write:
	case record_zero:
		if (head->offset > size || head->size > size - head->offset ||
		    head->offset % SECTOR || head->size % SECTOR)
			return true;
		return head->length !=
			(head->kind == record_write ? head->size : 0);
	case record_flush:
		return head->length > 0;
	case record_mark:
		return false;
	default:
		return true;
	}
}

static int read_records(struct recording *recording)
{
	size_t at = sizeof(struct recording_start);

	while (at < recording->map_size) {
		struct recording_head head;
		struct record record;
		int result;

		if (recording->map_size - at < sizeof(head))
			return -EINVAL;
		memcpy(&head, recording->map + at, sizeof(head));
		at += sizeof(head);
		if (recording->map_size - at < head.length ||
		    is_wrong(recording, &head))
			return -EINVAL;
		record = (struct record){
			.kind = head.kind,
			.length = head.length,
			.offset = head.offset,
			.size = head.size,
			.data = recording->map + at,
		};
		at += head.length;
		result = recording_add(recording, &record);
		if (result)
			return result;
	}
	return 0;
}

static int map_file(struct recording *recording, const char *path)
{
	struct recording_start start;
	owned_fd fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat status;
	void *map;

	if (fd < 0 || fstat(fd, &status))
		return -errno;
	if (status.st_size < (off_t)sizeof(start))
		return -EINVAL;
	map = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (map == MAP_FAILED)
		return -errno;
	recording->map = map;
	recording->map_size = (size_t)status.st_size;
	memcpy(&start, map, sizeof(start));
	recording->disk_size = start.disk_size;
	return memcmp(start.magic, magic, sizeof(magic)) ? -EINVAL : 0;
}

int recording_open(struct recording *recording, const char *path)
{
	int result;

	memset(recording, 0, sizeof(*recording));
	result = map_file(recording, path);
	if (!result)
		result = read_records(recording);
	if (result)
		recording_close(recording);
	return result;
}

void recording_close(struct recording *recording)
{
	free(recording->records);
	if (recording->map)
		munmap((void *)recording->map, recording->map_size);
	memset(recording, 0, sizeof(*recording));
}

size_t recording_covered(const struct recording *recording, size_t cut)
{
	while (cut > 0 && recording->records[cut - 1].kind != record_flush)
		cut--;
	return cut;
}
