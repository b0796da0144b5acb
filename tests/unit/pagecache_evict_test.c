// SPDX-License-Identifier: Apache-2.0
/* Pages are dropped although other processes have mapped and touched them. */
#include "pages.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "util/cleanup.h"

#define MAPPERS_MAX 4

/* Processes that have the file mapped and all its pages touched. */
struct mappers {
	pid_t process[MAPPERS_MAX];
	unsigned count;
};

static void map_and_wait(int fd, off_t pages, bool lock, int ready)
{
	size_t length = (size_t)(pages * PAGE);
	volatile char *base = mmap(NULL, length, PROT_READ, MAP_SHARED, fd, 0);
	char sum = 0;

	if (base == MAP_FAILED || (lock && mlock2((void *)base, length, 0) < 0))
		_exit(1);
	for (off_t page = 0; page < pages; page++)
		sum += base[page * PAGE];
	if (write(ready, "r", 1) != 1)
		_exit((unsigned char)sum);
	for (;;)
		pause();
}

static void begin(struct mappers *mappers, unsigned count, int fd,
		  off_t pages, bool lock)
{
	int ready[2];
	char byte;

	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	mappers->count = count;
	for (unsigned i = 0; i < count; i++) {
		mappers->process[i] = fork();
		assert_true(mappers->process[i] >= 0);
		if (mappers->process[i] == 0)
			map_and_wait(fd, pages, lock, ready[1]);
	}
	close(ready[1]);
	for (unsigned i = 0; i < count; i++)
		assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
}

static void end(struct mappers *mappers)
{
	for (unsigned i = 0; i < mappers->count; i++) {
		kill(mappers->process[i], SIGKILL);
		waitpid(mappers->process[i], NULL, 0);
	}
}

/* Blocks allocated ahead may go at any close (XFS). */
static bool is_as_before(int fd, const struct stat *before)
{
	struct stat now;

	assert_int_equal(fstat(fd, &now), 0);
	return now.st_size == before->st_size &&
		now.st_mode == before->st_mode &&
		now.st_blocks <= before->st_blocks &&
		now.st_mtim.tv_sec == before->st_mtim.tv_sec &&
		now.st_mtim.tv_nsec == before->st_mtim.tv_nsec;
}

static void clean_pages_go(void **state)
{
	owned_fd fd = -1;

	need_disk(*state);
	fd = make_pages(*state, "file", 256);
	assert_int_equal(resident(fd, 0, 0), 256);
	assert_int_equal(pagecache_evict(fd, 0, 0, NULL), 0);
	assert_int_equal(resident(fd, 0, 0), 0);
	assert_true(pages_are_whole(fd, 256));
}

static void dirty_pages_stay_and_stay_dirty(void **state)
{
	owned_fd fd = -1;
	unsigned left = 0;

	need_disk(*state);
	if (!pagecache_has_cachestat())
		skip_because("Dirty pages can't be counted before Linux 6.5.");
	fd = make_pages(*state, "file", 64);
	/* A sync(1) of somebody else's may come between. */
	for (int i = 0; i < 10 && left != 8; i++) {
		for (off_t page = 16; page < 24; page++)
			write_page(fd, page);
		assert_int_equal(pagecache_evict(fd, 0, 0, NULL), 0);
		left = dirty(fd, 0, 0);
	}
	assert_int_equal(dirty(fd, 16, 8), 8);
	assert_int_equal(resident(fd, 0, 0), 8);
	assert_true(pages_are_whole(fd, 64));
}

static void evict_while_mapped(struct place *place, unsigned processes)
{
	owned_fd fd = make_pages(place, "file", 256);
	struct mappers mappers;
	struct stat before;
	unsigned left;

	assert_int_equal(fstat(fd, &before), 0);
	begin(&mappers, processes, fd, 256, false);
	assert_int_equal(pagecache_evict(fd, 0, 0, NULL), 0);
	left = resident(fd, 0, 0);
	end(&mappers);
	assert_int_equal(left, 0);
	assert_true(is_as_before(fd, &before));
	assert_true(pages_are_whole(fd, 256));
}

static void pages_go_that_a_program_has_mapped(void **state)
{
	need_disk(*state);
	if (is_on(*state, BTRFS_SUPER_MAGIC) && geteuid() != 0)
		skip_because("On btrfs only root can drop mapped pages.");
	evict_while_mapped(*state, 1);
}

#define need_direct_writes(place)                                              \
	do {                                                                   \
		need_disk(place);                                              \
		if (is_on(place, BTRFS_SUPER_MAGIC))                           \
			skip_because("btrfs can't drop pages that several "    \
				"programs have mapped.");                      \
	} while (0)

static void pages_go_that_several_programs_have_mapped(void **state)
{
	need_direct_writes(*state);
	evict_while_mapped(*state, 3);
}

static void only_the_range_goes(void **state)
{
	owned_fd fd = -1;
	struct mappers mappers;
	unsigned inside, outside;

	need_direct_writes(*state);
	fd = make_pages(*state, "file", 256);
	begin(&mappers, 2, fd, 256, false);
	assert_int_equal(pagecache_evict(fd, 50 * PAGE, 70 * PAGE, NULL), 0);
	inside = resident(fd, 50, 70);
	outside = resident(fd, 0, 0) - inside;
	end(&mappers);
	assert_int_equal(inside, 0);
	assert_int_equal(outside, 256 - 70);
}

static void a_large_folio_is_split_at_the_edges(void **state)
{
	owned_fd fd = -1;
	off_t size = (off_t)4 << 20;
	owned_memory char *bytes = calloc(1, (size_t)size);
	unsigned pages = (unsigned)(size / PAGE);

	need_disk(*state);
	fd = make_pages(*state, "file", 0);
	assert_int_equal(pwrite(fd, bytes, (size_t)size, 0), size);
	assert_int_equal(fsync(fd), 0);
	assert_int_equal(resident(fd, 0, 0), pages);
	assert_int_equal(pagecache_evict(fd, 7 * PAGE, 3 * PAGE, NULL), 0);
	assert_int_equal(resident(fd, 7, 3), 0);
	assert_int_equal(resident(fd, 0, 0), pages - 3);
}

static void holes_between_data_stay_holes(void **state)
{
	owned_fd fd = -1;
	struct mappers mappers;
	struct stat before, after;

	need_direct_writes(*state);
	fd = make_pages(*state, "file", 0);
	for (off_t page = 0; page < 64; page += 8)
		write_page(fd, page);
	assert_int_equal(ftruncate(fd, 64 * PAGE), 0);
	assert_int_equal(fsync(fd), 0);
	assert_int_equal(fstat(fd, &before), 0);
	begin(&mappers, 2, fd, 64, false);
	assert_int_equal(pagecache_evict(fd, 0, 0, NULL), 0);
	assert_int_equal(fsync(fd), 0);
	assert_int_equal(fstat(fd, &after), 0);
	for (off_t page = 0; page < 64; page += 8)
		assert_int_equal(resident(fd, page, 1), 0);
	end(&mappers);
	assert_true(after.st_blocks <= before.st_blocks);
	assert_int_equal(after.st_size, before.st_size);
}

static void a_setuid_program_is_left_alone(void **state)
{
	owned_fd fd = -1;
	struct mappers mappers;
	struct stat before, after;

	need_disk(*state);
	fd = make_pages(*state, "file", 16);
	assert_int_equal(fchmod(fd, 04755), 0);
	assert_int_equal(fstat(fd, &before), 0);
	begin(&mappers, 2, fd, 16, false);
	assert_int_equal(pagecache_evict(fd, 0, 0, NULL), 0);
	end(&mappers);
	assert_int_equal(fstat(fd, &after), 0);
	assert_true(is_as_before(fd, &before));
	assert_int_equal(after.st_mode & 07777, 04755);
	assert_int_equal(after.st_ctim.tv_sec, before.st_ctim.tv_sec);
	assert_int_equal(after.st_ctim.tv_nsec, before.st_ctim.tv_nsec);
}

static void pages_that_a_program_has_locked_stay(void **state)
{
	owned_fd fd = -1;
	struct mappers mappers;
	unsigned left;

	need_disk(*state);
	if (geteuid() != 0)
		skip_because("Only root sees that others lock pages.");
	fd = make_pages(*state, "file", 16);
	begin(&mappers, 2, fd, 16, true);
	assert_int_equal(pagecache_evict(fd, 0, 0, NULL), 0);
	left = resident(fd, 0, 0);
	end(&mappers);
	assert_int_equal(left, 16);
}

/* Counts up in every page, through the mapping or by pwrite(2). */
static void write_for_ever(int fd, off_t pages, bool mapped,
			   _Atomic uint32_t *rounds)
{
	char *base = mmap(NULL, (size_t)(pages * PAGE),
		PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (base == MAP_FAILED)
		_exit(3);
	for (uint32_t round = 1;; round++) {
		for (off_t page = 0; page < pages; page++) {
			off_t at = page * PAGE + (mapped ? 0 : 8);

			if (mapped)
				memcpy(base + at, &round, sizeof(round));
			else if (pwrite(fd, &round, sizeof(round), at) < 0)
				_exit(1);
			/* What is written is there, always. */
			if (memcmp(base + at, &round, sizeof(round)) != 0)
				_exit(2);
		}
		atomic_store(rounds, round);
		/* Now and then the file is clean. */
		if (round % 4 == 0)
			fsync(fd);
	}
}

static void nothing_is_lost_that_is_written_meanwhile(void **state)
{
	owned_fd fd = -1;
	_Atomic uint32_t *rounds;
	pid_t writers[2];
	uint32_t found;

	need_disk(*state);
	fd = make_pages(*state, "file", 32);
	rounds = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(rounds, MAP_FAILED);
	for (int i = 0; i < 2; i++) {
		writers[i] = fork();
		assert_true(writers[i] >= 0);
		if (writers[i] == 0)
			write_for_ever(fd, 32, i == 0, &rounds[i]);
	}
	for (int i = 0; i < 300 || rounds[0] < 10 || rounds[1] < 10; i++) {
		assert_int_equal(pagecache_evict(fd, 0, 0, NULL), 0);
		assert_int_equal(waitpid(-1, NULL, WNOHANG), 0);
	}
	for (int i = 0; i < 2; i++) {
		kill(writers[i], SIGKILL);
		waitpid(writers[i], NULL, 0);
	}
	assert_int_equal(fsync(fd), 0);
	assert_int_equal(pagecache_evict(fd, 0, 0, NULL), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(pread(fd, &found, sizeof(found), i * 8),
			sizeof(found));
		assert_true(found >= atomic_load(&rounds[i]));
	}
	munmap((void *)rounds, 4096);
}

static void paging_out_writes_what_is_dirty(void **state)
{
	owned_fd fd = -1;

	need_disk(*state);
	fd = make_pages(*state, "file", 64);
	for (off_t page = 0; page < 64; page++)
		write_page(fd, page);
	assert_int_equal(pagecache_page_out(fd, 8 * PAGE, 16 * PAGE, NULL), 0);
	assert_int_equal(resident(fd, 8, 16), 0);
	assert_int_equal(resident(fd, 0, 0), 48);
	assert_int_equal(pagecache_page_out(fd, 0, 0, NULL), 0);
	assert_int_equal(resident(fd, 0, 0), 0);
	assert_true(pages_are_whole(fd, 64));
}

static void files_that_are_memory_are_refused(void **state)
{
	owned_fd fd = memfd_create("file", MFD_CLOEXEC);

	(void)state;
	assert_true(fd >= 0);
	write_page(fd, 0);
	assert_int_equal(pagecache_evict(fd, 0, 0, NULL), -EOPNOTSUPP);
	assert_int_equal(pagecache_page_out(fd, 0, 0, NULL), -EOPNOTSUPP);
	assert_int_equal(resident(fd, 0, 0), 1);
}

int main(void)
{
#define in_place(test)                                                         \
	cmocka_unit_test_setup_teardown(test, place_setup, place_teardown)
	const struct CMUnitTest tests[] = {
		in_place(clean_pages_go),
		in_place(dirty_pages_stay_and_stay_dirty),
		in_place(pages_go_that_a_program_has_mapped),
		in_place(pages_go_that_several_programs_have_mapped),
		in_place(only_the_range_goes),
		in_place(a_large_folio_is_split_at_the_edges),
		in_place(holes_between_data_stay_holes),
		in_place(a_setuid_program_is_left_alone),
		in_place(pages_that_a_program_has_locked_stay),
		in_place(nothing_is_lost_that_is_written_meanwhile),
		in_place(paging_out_writes_what_is_dirty),
		in_place(files_that_are_memory_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
