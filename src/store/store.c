// SPDX-License-Identifier: Apache-2.0
/*
 * Handles are used where the file system makes them and this process may
 * open them (CAP_DAC_READ_SEARCH); that is tried once, on the root. A file
 * system below the root, entered with cross_mounts, must make them as well,
 * or its directory is refused: a mixture would need both ways for each inode.
 *
 * A mount is known by its mount id while we hold a descriptor on it; it can
 * be unmounted from the store only lazily then, and the id is not reused. Its
 * files may have several device numbers: btrfs has one for each subvolume,
 * overlayfs one for each layer. Kernels that tell no mount id without handles
 * leave only the device number.
 */
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <linux/magic.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "os/inode.h"
#include "util/cleanup.h"
#include "util/log.h"

_Static_assert(STORE_ID_MAX >= MAX_HANDLE_SZ, "any handle fits");

struct handle_buffer {
	struct file_handle head;
	unsigned char bytes[STORE_ID_MAX];
};

static int handle_of(int fd, struct store_id *id, int *mount_id)
{
	struct handle_buffer buffer = {
		.head.handle_bytes = STORE_ID_MAX,
	};

	if (name_to_handle_at(fd, "", &buffer.head, mount_id,
			      AT_EMPTY_PATH) < 0)
		return -errno;
	id->type = buffer.head.handle_type;
	id->length = (uint8_t)buffer.head.handle_bytes;
	memcpy(id->bytes, buffer.head.f_handle, id->length);
	return 0;
}

static int open_handle(int mount_fd, const struct store_id *id, int flags)
{
	struct handle_buffer buffer = {
		.head.handle_bytes = id->length,
		.head.handle_type = id->type,
	};
	int fd;

	memcpy(buffer.head.f_handle, id->bytes, id->length);
	fd = open_by_handle_at(mount_fd, &buffer.head, flags | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int number_of(int fd, struct store_id *id)
{
	struct statx stx;
	struct {
		uint64_t ino;
		uint32_t major;
		uint32_t minor;
		int64_t birth_seconds;
		uint32_t birth_nanoseconds;
	} __attribute__((packed)) number = { 0 };

	if (statx(fd, "", AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW,
		  STATX_INO | STATX_BTIME, &stx) < 0)
		return -errno;
	number.ino = stx.stx_ino;
	number.major = stx.stx_dev_major;
	number.minor = stx.stx_dev_minor;
	if (stx.stx_mask & STATX_BTIME) {
		number.birth_seconds = stx.stx_btime.tv_sec;
		number.birth_nanoseconds = stx.stx_btime.tv_nsec;
	}
	id->type = STORE_ID_BY_NUMBER;
	id->length = sizeof(number);
	memcpy(id->bytes, &number, sizeof(number));
	return 0;
}

/* What fd is on: the mount's id, -1 if the kernel doesn't tell; the device. */
static int mount_of(int fd, int *id, dev_t *device)
{
	struct statx stx;

	if (statx(fd, "", AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW, STATX_MNT_ID,
		  &stx) < 0)
		return -errno;
	*id = stx.stx_mask & STATX_MNT_ID ? (int)stx.stx_mnt_id : -1;
	*device = makedev(stx.stx_dev_major, stx.stx_dev_minor);
	return 0;
}

int store_init(struct store *store, int root_fd, bool cross_mounts)
{
	struct store_id id;
	struct statvfs vfs;
	struct statfs fs;
	int mount_id;
	int r;
	int fd;

	*store = (struct store){
		.root_fd = root_fd,
		.cross_mounts = cross_mounts,
	};
	lock_init(&store->lock);
	store->mounts[0] = (struct store_mount){
		.id = -1,
		.fd = root_fd,
		.flush_fd = -1,
	};
	store->mount_count = 1;
	if (fstatvfs(root_fd, &vfs) < 0)
		return -errno;
	if (fstatfs(root_fd, &fs) < 0)
		return -errno;
	r = mount_of(root_fd, &mount_id, &store->mounts[0].device);
	if (r < 0)
		return r;
	store->devices[0] = store->mounts[0].device;
	store->device_count = 1;
	store->fills_holes = fs.f_type == TMPFS_MAGIC;
	store->updates_atime = !(vfs.f_flag & (ST_NOATIME | ST_RDONLY));
	store->relatime = vfs.f_flag & ST_RELATIME;
	if (handle_of(root_fd, &id, &mount_id) == 0) {
		fd = open_handle(root_fd, &id, O_PATH);
		if (fd >= 0) {
			store->by_handle = true;
			close(fd);
		}
	}
	store->mounts[0].id = mount_id;
	store->by_device = !store->by_handle && mount_id < 0;
	return 0;
}

void store_fini(struct store *store)
{
	for (unsigned i = 0; i < store->mount_count; i++) {
		close(store->mounts[i].fd);
		if (store->mounts[i].flush_fd >= 0)
			close(store->mounts[i].flush_fd);
	}
	lock_fini(&store->lock);
}

/*
 * XFS writes all data in syncfs(2), but flushes the device only if it logs
 * something (Linux 6.18); fdatasync(2) of a regular file always does.
 */
static void open_flush_file(struct store_mount *mount)
{
	struct statfs system;

	if (mount->flush_tried)
		return;
	mount->flush_tried = true;
	if (fstatfs(mount->fd, &system) == 0 &&
	    system.f_type == XFS_SUPER_MAGIC)
		mount->flush_fd = openat(mount->fd, ".",
					 O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
}

int store_sync(struct store *store)
{
	unsigned count = store->mount_count;
	int r = 0;

	for (unsigned i = 0; i < count; i++) {
		struct store_mount *mount = &store->mounts[i];

		open_flush_file(mount);
		if (syncfs(mount->fd) < 0)
			r = -errno;
		else if (mount->flush_fd >= 0 &&
			 fdatasync(mount->flush_fd) < 0)
			r = -errno;
	}
	return r;
}

static int mount_find(const struct store *store, int id, dev_t device)
{
	unsigned count = store->mount_count;

	for (unsigned i = 0; i < count; i++) {
		const struct store_mount *mount = &store->mounts[i];

		if (store->by_device ? mount->device == device :
				       mount->id == id)
			return (int)i;
	}
	return -ENOENT;
}

static int mount_add_locked(struct store *store, int id, dev_t device, int fd)
{
	int index = mount_find(store, id, device);
	unsigned count = store->mount_count;

	if (index >= 0)
		return index;
	if (count == STORE_MOUNTS_MAX)
		return -EXDEV;
	int directory = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (directory < 0)
		return errno == ENOTDIR ? -EXDEV : -errno;
	store->mounts[count] = (struct store_mount){
		.id = id,
		.device = device,
		.fd = directory,
		.flush_fd = -1,
	};
	store->mount_count = count + 1;
	return (int)count;
}

static void warn_of_mount(void)
{
	log_event(event_store_spans, "another file system is mounted inside "
		  "the store: programs get EXDEV there");
}

/* The index of the mount that fd is on, entering it if that is allowed. */
static int mount_enter(struct store *store, int id, dev_t device, int fd)
{
	int index = mount_find(store, id, device);

	if (index >= 0)
		return index;
	if (!store->cross_mounts) {
		warn_of_mount();
		return -EXDEV;
	}
	lock_take(&store->lock, lock_rank_store);
	index = mount_add_locked(store, id, device, fd);
	lock_drop(&store->lock, lock_rank_store);
	return index;
}

static int mount_enter_numbered(struct store *store, int fd)
{
	dev_t device;
	int id;
	int r = mount_of(fd, &id, &device);

	return r < 0 ? r : mount_enter(store, id, device, fd);
}

int store_identify(struct store *store, int fd, struct store_id *id)
{
	int mount_id;
	int r;

	id->mount = 0;
	if (!store->by_handle) {
		r = mount_enter_numbered(store, fd);
		if (r < 0)
			return r;
		id->mount = (uint8_t)r;
		return number_of(fd, id);
	}
	r = handle_of(fd, id, &mount_id);
	if (r < 0)
		return r == -EOPNOTSUPP ? -EXDEV : r;
	r = mount_enter(store, mount_id, 0, fd);
	if (r < 0)
		return r;
	id->mount = (uint8_t)r;
	return 0;
}

/* The last index stands for all devices that there was no room for. */
unsigned store_device(struct store *store, dev_t device)
{
	unsigned count = store->device_count;
	unsigned i = 0;

	while (i < count && store->devices[i] != device)
		i++;
	if (i < count)
		return i;
	lock_take(&store->lock, lock_rank_store);
	count = store->device_count;
	while (i < count && store->devices[i] != device)
		i++;
	if (i == STORE_DEVICES_MAX) {
		i--;
	} else if (i == count) {
		store->devices[i] = device;
		store->device_count = count + 1;
	}
	lock_drop(&store->lock, lock_rank_store);
	return i;
}

int store_open(struct store *store, const struct store_id *id, int flags)
{
	if (id->type == STORE_ID_BY_NUMBER || !store->by_handle)
		return -EOPNOTSUPP;
	return open_handle(store->mounts[id->mount].fd, id, flags);
}

int store_reopen(int fd, int flags)
{
	struct inode_path path = inode_path_of(fd);
	int opened = open(path.text, (flags & ~O_NOFOLLOW) | O_CLOEXEC);

	return opened < 0 ? -errno : opened;
}
