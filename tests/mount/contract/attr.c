// SPDX-License-Identifier: Apache-2.0
/*
 * Attributes: modes, owners, sizes, link counts, inode numbers, and what
 * statvfs tells of the filesystem.
 */
#include "contract.h"

#include <dirent.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>

static void a_mode_is_what_chmod_made_it(void **state)
{
	static const mode_t modes[] = {0, 0400, 0644, 0755, 01777, 02755,
				       04711, 07777};
	size_t i;
	int fd;

	(void)state;
	make_file("file", 1, 1);
	check_ok(mkdir("dir", 0700));
	fd = open_ok("file", O_RDONLY);
	for (i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		check_ok(fchmod(fd, modes[i]));
		check_equal(stat_of("file").st_mode, S_IFREG | modes[i]);
		check_equal(fstat_of(fd).st_mode, S_IFREG | modes[i]);
		check_ok(chmod("dir", modes[i]));
		check_equal(stat_of("dir").st_mode, S_IFDIR | modes[i]);
	}
	close_ok(fd);
	check_ok(chmod("dir", 0755));
	check_fails(chmod("missing", 0600), ENOENT);
}

static void the_umask_limits_new_modes(void **state)
{
	(void)state;
	umask(0);
	close_ok(check_ok(open("open", O_CREAT | O_RDWR, 0666)));
	check_ok(mkdir("dir", 0777));
	check_ok(mkfifo("fifo", 0666));
	check_equal(stat_of("open").st_mode & 07777, 0666);
	check_equal(stat_of("dir").st_mode & 07777, 0777);
	check_equal(stat_of("fifo").st_mode & 07777, 0666);
	umask(027);
	close_ok(check_ok(open("open2", O_CREAT | O_RDWR, 0666)));
	check_ok(mkdir("dir2", 0777));
	check_ok(mkfifo("fifo2", 0666));
	check_equal(stat_of("open2").st_mode & 07777, 0640);
	check_equal(stat_of("dir2").st_mode & 07777, 0750);
	check_equal(stat_of("fifo2").st_mode & 07777, 0640);
}

static void a_file_made_read_only_stays_writable_to_its_maker(void **state)
{
	int fd;

	(void)state;
	fd = check_ok(open("file", O_CREAT | O_RDWR, 0444));
	write_ok(fd, "text", 4);
	close_ok(fd);
	check_equal(stat_of("file").st_mode & 07777, 0444);
	fd = check_ok(open("none", O_CREAT | O_WRONLY, 0));
	write_ok(fd, "text", 4);
	close_ok(fd);
	check_equal(stat_of("none").st_size, 4);
}

static void truncate_cuts_and_extends_with_zeros(void **state)
{
	char seen[10000], wanted[10000];
	int fd;

	(void)state;
	make_file("file", 10000, 1);
	fill(wanted, sizeof(wanted), 1);
	check_ok(truncate("file", 5001));
	check_equal(stat_of("file").st_size, 5001);
	check_ok(truncate("file", 10000));
	memset(wanted + 5001, 0, 10000 - 5001);
	fd = open_ok("file", O_RDWR);
	pread_ok(fd, seen, sizeof(seen), 0);
	check_bytes(seen, wanted, sizeof(seen));
	check_ok(ftruncate(fd, 0));
	check_equal(fstat_of(fd).st_size, 0);
	check_equal(pread(fd, seen, 10, 0), 0);
	check_fails(ftruncate(fd, -1), EINVAL);
	close_ok(fd);
	fd = open_ok("file", O_RDONLY);
	check_fails(ftruncate(fd, 10), EINVAL);
	close_ok(fd);
	check_fails(truncate(".", 0), EISDIR);
	check_fails(truncate("missing", 0), ENOENT);
}

static void inode_numbers_are_stable_and_those_of_readdir(void **state)
{
	ino_t file, dir_ino;
	struct dirent *entry;
	int seen = 0;
	DIR *dir;

	(void)state;
	check_ok(mkdir("dir", 0755));
	make_file("dir/file", 1, 1);
	check_ok(mkdir("dir/sub", 0755));
	check_ok(symlink("file", "dir/link"));
	file = stat_of("dir/file").st_ino;
	dir_ino = stat_of("dir").st_ino;
	dir = opendir("dir");
	check(dir);
	while ((entry = readdir(dir)) != NULL) {
		struct stat st;

		check_ok(fstatat(dirfd(dir), entry->d_name, &st,
				 AT_SYMLINK_NOFOLLOW));
		check_equal(entry->d_ino, st.st_ino);
		check_equal(entry->d_type, IFTODT(st.st_mode));
		seen++;
	}
	closedir(dir);
	check_equal(seen, 5);
	check_ok(chmod("dir/file", 0600));
	check_ok(rename("dir/file", "dir/renamed"));
	check_ok(truncate("dir/renamed", 0));
	check_equal(stat_of("dir/renamed").st_ino, file);
	check_equal(stat_of("dir").st_ino, dir_ino);
	check(stat_of("dir/sub").st_ino != file);
	check_equal(stat_of("dir").st_dev, stat_of("dir/renamed").st_dev);
}

static void a_directory_s_link_count_is_its_subdirectories(void **state)
{
	nlink_t empty;

	(void)state;
	check_ok(mkdir("dir", 0755));
	empty = stat_of("dir").st_nlink;
	check_ok(mkdir("dir/a", 0755));
	check_ok(mkdir("dir/b", 0755));
	make_file("dir/file", 1, 1);
	if (empty == 1) {
		/* btrfs does not count them. */
		check_equal(stat_of("dir").st_nlink, 1);
		return;
	}
	check_equal(empty, 2);
	check_equal(stat_of("dir").st_nlink, 4);
	check_ok(rmdir("dir/a"));
	check_equal(stat_of("dir").st_nlink, 3);
	check_ok(rename("dir/b", "b"));
	check_equal(stat_of("dir").st_nlink, 2);
}

static void blocks_are_what_is_allocated(void **state)
{
	blkcnt_t blocks;
	int fd;

	(void)state;
	fd = open_ok("file", O_CREAT | O_RDWR);
	check_ok(ftruncate(fd, 64 << 20));
	check(fstat_of(fd).st_blocks < 64);
	make_file("full", 1 << 20, 1);
	close_ok(fd);
	fd = open_ok("full", O_RDONLY);
	check_ok(fsync(fd));
	blocks = stat_of("full").st_blocks;
	check(blocks >= 2048 && blocks < 4096);
	close_ok(fd);
}

static void statvfs_tells_of_the_filesystem(void **state)
{
	struct statvfs fs, same;
	int fd;

	(void)state;
	check_ok(statvfs(".", &fs));
	check(fs.f_bsize >= 512);
	check(fs.f_frsize >= 512);
	check(fs.f_blocks > 0);
	check(fs.f_bfree <= fs.f_blocks);
	check(fs.f_bavail <= fs.f_bfree);
	check(fs.f_ffree <= fs.f_files);
	check_equal(fs.f_namemax, 255);
	make_file("file", 1, 1);
	fd = open_ok("file", O_RDONLY);
	check_ok(fstatvfs(fd, &same));
	check_equal(same.f_blocks, fs.f_blocks);
	check_equal(same.f_bsize, fs.f_bsize);
	close_ok(fd);
}

static void write_more(void *unused)
{
	int fd = open_ok("file", O_WRONLY | O_APPEND);

	(void)unused;
	write_ok(fd, "0123456789", 10);
	close_ok(fd);
	check_ok(chmod("file", 0600));
}

static void another_process_s_changes_are_seen_at_once(void **state)
{
	int i, fd;

	(void)state;
	make_file("file", 0, 1);
	fd = open_ok("file", O_RDONLY);
	for (i = 1; i <= 20; i++) {
		check_ok(chmod("file", 0644));
		run_as(NULL, write_more, NULL);
		check_equal(stat_of("file").st_size, 10 * i);
		check_equal(stat_of("file").st_mode & 07777, 0600);
		check_equal(fstat_of(fd).st_size, 10 * i);
	}
	close_ok(fd);
}

static void device_numbers_are_kept(void **state)
{
	(void)state;
	need_root();
	check_ok(mknod("char", S_IFCHR | 0600, makedev(1, 3)));
	check_ok(mknod("block", S_IFBLK | 0640, makedev(259, 70000)));
	check_equal(stat_of("char").st_mode, S_IFCHR | 0600);
	check_equal(stat_of("char").st_rdev, makedev(1, 3));
	check_equal(stat_of("block").st_mode, S_IFBLK | 0640);
	check_equal(stat_of("block").st_rdev, makedev(259, 70000));
}

static void owners_are_what_chown_made_them(void **state)
{
	int fd;

	(void)state;
	need_root();
	make_file("file", 1, 1);
	check_ok(symlink("file", "link"));
	check_ok(chown("link", 1001, 1002));
	check_equal(stat_of("file").st_uid, 1001);
	check_equal(stat_of("file").st_gid, 1002);
	check_equal(lstat_of("link").st_uid, 0);
	check_ok(lchown("link", 1003, 1004));
	check_equal(lstat_of("link").st_uid, 1003);
	check_equal(lstat_of("link").st_gid, 1004);
	check_equal(stat_of("file").st_uid, 1001);
	check_ok(chown("file", -1, 1005));
	check_equal(stat_of("file").st_uid, 1001);
	check_equal(stat_of("file").st_gid, 1005);
	check_ok(chown("file", 4000000000u, -1));
	check_equal(stat_of("file").st_uid, 4000000000u);
	fd = open_ok("file", O_RDONLY);
	check_ok(fchown(fd, 5, 6));
	check_equal(fstat_of(fd).st_uid, 5);
	close_ok(fd);
	fd = open_ok("link", O_PATH | O_NOFOLLOW);
	check_ok(fchownat(fd, "", 7, 8, AT_EMPTY_PATH));
	close_ok(fd);
	check_equal(lstat_of("link").st_uid, 7);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		contract_case(a_mode_is_what_chmod_made_it),
		contract_case(the_umask_limits_new_modes),
		contract_case(
			a_file_made_read_only_stays_writable_to_its_maker),
		contract_case(truncate_cuts_and_extends_with_zeros),
		contract_case(inode_numbers_are_stable_and_those_of_readdir),
		contract_case(a_directory_s_link_count_is_its_subdirectories),
		contract_case(blocks_are_what_is_allocated),
		contract_case(statvfs_tells_of_the_filesystem),
		contract_case(another_process_s_changes_are_seen_at_once),
		contract_case(device_numbers_are_kept),
		contract_case(owners_are_what_chown_made_them),
	};

	return contract_main(argc, argv, tests);
}
