#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Staged and private files when something is full or fails: memory, the store,
# the journal, the device of either. Who asked is told, what was accepted can
# be read and is committed as soon as that is possible, and the store never
# has a part of a commit.
# shellcheck source=tests/lib/harness.sh
source "$(dirname "$0")/../lib/harness.sh"
# shellcheck source=tests/mount/staged/staged_lib.sh
source "$SRCDIR/tests/mount/staged/staged_lib.sh"

LIMIT=15
# The least that every file system takes.
STORE_SIZE=320M

# --- a full store ------------------------------------------------------------

# Nothing can be written to the store's file system any more.
fill_up() {
	local filler=${STORE%/store}/filler size=$((1 << 30))
	: >"$filler.0"
	while [[ $size -ge 65536 ]]; do
		fallocate -l $size -o "$(stat -c %s "$filler.0")" \
			"$filler.0" 2>/dev/null || size=$((size / 2))
	done
	dd if=/dev/zero of="$filler.1" bs=4k status=none 2>/dev/null || true
	sync -f "$STORE"
	dd if=/dev/zero of="$filler.2" bs=4k status=none 2>/dev/null || true
}

make_room() {
	rm -f "${STORE%/store}"/filler.*
	sync -f "$STORE"
}

# full_case OPTIONS NAME CASE: a later one is to have room, however it ends.
full_case() {
	staged_case "$1" "$2" mounted "$3"
	make_room
}

# Nobody can stage anything then; what is there is as it was.
a_store_without_room_for_a_journal() {
	store_had data $MIB $A
	fill_up
	client_new
	ask 0 open 0 "$MNT/data" rw
	if [[ $REPLY == ok* ]]; then
		ask 0 write 0 0 65536 $B
		[[ $REPLY != ok* ]] || ask 0 fsync 0
	fi
	[[ $REPLY == 'err ENOSPC '* ]] || { echo "$REPLY"; return 1; }
	has "$MNT/data" $MIB $A
	has "$STORE/data" $MIB $A
	make_room
	client_end 0
	client_new
	expect 1 'ok *' open 0 "$MNT/data" rw
	expect 1 "ok $MIB" write 0 0 65536 $B 16
	expect 1 'ok 0' fsync 0
	has "$STORE/data" $MIB $B
	client_end 1
}

# Written while there was room: all files of the commit stay as they are.
a_store_that_is_full_at_a_commit() {
	store_had old $MIB $A
	wrote 0 first $A
	expect 0 'ok 0' fsync 0
	expect 0 'ok 8388608' write 0 0 65536 $B 128
	wrote 1 old $B
	fill_up
	counts_mark
	expect 0 'err ENOSPC *' fsync 0
	expect 1 'err ENOSPC *' fsync 0
	is 'err ENOSPC' xattr set "$MNT" sync.now wait
	at_least 1 counted commit.errors
	is 0 counted commit.count
	has "$STORE/first" $MIB $A
	has "$STORE/old" $MIB $A
	has "$MNT/first" $((8 * MIB)) $B
	has "$MNT/old" $MIB $B
	is $((9 * MIB)) stats stage.dirty
	is '*No space*' cat "$LOG"
	# Nothing is lost, so nothing says that it may be.
	is 0 stats sync.errors
	if grep sync-failed "$LOG"; then return 1; fi
	make_room
	expect 1 'ok 0' fsync 0
	has "$STORE/first" $((8 * MIB)) $B
	has "$STORE/old" $MIB $B
	is 0 stats stage.dirty
	is 1 counted commit.count
	client_end 0
	client_end 1
}

# What a write of it says is the truth: what it took can be read and comes to
# the store when there is room.
a_store_that_is_full_already() {
	local taken=0
	wrote 0 data $A
	expect 0 'ok 0' fsync 0
	fill_up
	while [[ $taken -lt 128 ]]; do
		ask 0 write 0 $((MIB + taken * 65536)) 65536 $A
		[[ $REPLY == 'ok 65536' ]] || break
		taken=$((taken + 1))
	done
	echo "$taken of 128 writes were taken, then $REPLY"
	if [[ $taken -lt 128 ]]; then
		[[ $REPLY == 'err ENOSPC '* ]]
	else
		expect 0 'err ENOSPC *' fsync 0
	fi
	has "$MNT/data" $((MIB + taken * 65536)) $A
	ask 0 fsync 0
	[[ $REPLY == 'ok 0' || $REPLY == 'err ENOSPC '* ]]
	make_room
	expect 0 'ok 0' fsync 0
	has "$STORE/data" $((MIB + taken * 65536)) $A
	client_end 0
}

# More than the journal holds, over data that has its place: the journal has
# to grow and can't.
a_journal_that_can_not_grow() {
	store_had data $((16 * MIB)) $A
	wrote 0 other $A
	commit
	is 'ok 0' xattr set "$MNT" sync.now wait
	client_new
	expect 1 'ok *' open 0 "$MNT/data" rw
	expect 1 'ok 16777216' write 0 0 65536 $B 256
	fill_up
	expect 1 'err ENOSPC *' fsync 0
	has "$STORE/data" $((16 * MIB)) $A
	has "$MNT/data" $((16 * MIB)) $B
	# Once more: the first failure has broken nothing.
	expect 1 'err ENOSPC *' fsync 0
	make_room
	expect 1 'ok 0' fsync 0
	has "$STORE/data" $((16 * MIB)) $B
	at_least $((16 * MIB)) stats journal.size
	client_end 0
	client_end 1
}

# Who waits for memory that no commit can free is told.
a_full_store_and_full_memory() {
	wrote 0 data $A
	expect 0 'ok 3145728' write 0 0 65536 $B 48
	fill_up
	ask 0 write 0 $((4 * MIB)) 65536 $B 256
	[[ $REPLY == 'err ENOSPC '* ]] || { echo "$REPLY"; return 1; }
	expect 0 'ok 65536' expect 0 $((2 * MIB)) 65536 $B
	make_room
	expect 0 'ok 0' fsync 0
	cmp -n $((3 * MIB)) "$STORE/data" <(letters $B)
	client_end 0
}

# --- full memory -------------------------------------------------------------

# Private pages can't go anywhere: the next write has no room, and that is all
# that happens.
private_files_up_to_the_limit() {
	store_had data $((4 * MIB)) $A
	as_user mkdir "$MNT/shared" "$MNT/staged"
	is 'ok 0' xattr set "$MNT/shared" map shared
	is 'ok 0' xattr set "$MNT/staged" map staged
	client_new
	client_new
	expect 0 'ok *' open 0 "$MNT/data" rw
	ask 0 write 0 0 65536 $B 64
	[[ $REPLY == 'err ENOSPC done='* ]] || { echo "$REPLY"; return 1; }
	at_least 12 echo "${REPLY##*=}"
	at_most $MIB stats stage.used
	# What was taken is there, the rest is as it was.
	expect 0 'ok 65536' expect 0 $((11 * 65536)) 65536 $B
	expect 0 'ok 65536' expect 0 $((3 * MIB)) 65536 $A
	# Others, which need none of it.
	expect 1 'ok *' open 0 "$MNT/shared/data" rw,create
	expect 1 "ok $MIB" write 0 0 65536 $A 16
	expect 1 'ok 0' fsync 0
	has "$STORE/shared/data" $MIB $A
	# One that does: an error, not a wait without an end.
	expect 1 'ok *' open 1 "$MNT/staged/data" rw,create
	expect 1 'err ENOSPC *' write 1 0 65536 $A 4
	is 'ok 0' xattr set "$MNT/data" discard.now all
	expect 1 'ok 262144' write 1 0 65536 $A 4
	expect 1 'ok 0' fsync 1
	has "$STORE/staged/data" 262144 $A
	expect 0 'ok 65536' expect 0 0 65536 $A
	expect 0 'ok 65536' write 0 0 65536 $C
	has "$STORE/data" $((4 * MIB)) $A
	client_end 0
	client_end 1
}

files_in() {
	find "$1" -type f -size +0 | wc -l
}

# Files with something uncommitted are not limited by descriptors.
more_files_than_descriptors() {
	local DAEMON_WRAP="prlimit --nofile=200:200"
	begun
	as_user mkdir "$MNT/many"
	as_user bash -c 'for i in {1..1000}; do
		echo "$i" >"$1/$i" || exit 1
	done' - "$MNT/many"
	is 500 as_user cat "$MNT/many/500"
	commit
	is 1000 files_in "$STORE/many"
	unmount_store
	is 1000 cat "$STORE/many/1000"
}

# Nobody would know otherwise why opening fails.
a_limit_of_the_process_is_named() {
	local DAEMON_WRAP="prlimit --fsize=1048576:1048576"
	begun
	if as_user touch "$MNT/new" 2>/dev/null; then return 1; fi
	is '*stage-limit (RLIMIT_AS, RLIMIT_FSIZE): *staging-refused*' \
		cat "$LOG"
	unmount_store
}

# --- the store changed behind the daemon -------------------------------------

the_store_changes_behind_a_staged_file() {
	store_had cut $MIB $A
	store_had gone $MIB $A
	client_new
	client_new
	expect 0 'ok *' open 0 "$MNT/cut" rw
	expect 1 'ok *' open 0 "$MNT/gone" rw
	expect 0 'ok 100' write 0 500000 100 $B
	expect 1 'ok 100' write 0 500000 100 $B
	: >"$STORE/cut"
	rm "$STORE/gone"
	# Whatever is read, it is read.
	ask 0 read 0 0 65536 16
	[[ $REPLY == ok* || $REPLY == 'err EIO '* ]]
	expect 1 'ok 65536' expect 0 0 65536 $A
	# After a short read the kernel takes the file for as short, until it
	# asks again.
	does 5 expect 0 'ok 100' expect 0 500000 100 $B
	wrote 2 other $C
	commit
	has "$STORE/other" $MIB $C
	cmp -n 100 -i 500000:0 "$STORE/cut" <(letters $B)
	[[ ! -e $STORE/gone ]]
	client_end 0
	client_end 1
	client_end 2
}

# --- a bad device ------------------------------------------------------------

# An ext4 on a disk that gets bad where it is told to.
trouble_store() {
	local dir
	dir=$(mktemp -d "$BASE/trouble.XXXXXX")
	control=$dir/control
	troubled_disk "$dir" 128M
	store_had data $MIB $A
	store_had other $MIB $A
	sync -f "$STORE"
	begun
}

# The daemon may end with status 1: something could not be kept.
trouble_store_ends() {
	local dir=${STORE%/fs/store}
	unmount_store || is 1 cat "${MNT%/mnt}/status"
	harness_log_is_clean "$LOG"
	umount "$dir/fs"
	wait_until 10 umount "$dir/disk"
	rm -r "$dir"
}

# gets_bad FILE: writing where the disk has it fails.
gets_bad() {
	filefrag -v "$STORE/$1" | awk '$1 ~ /^[0-9]+:$/ {
		gsub(/[.:]/, " ")
		print $4 * 4096, ($5 - $4 + 1) * 4096
	}' >"$control/bad.new"
	[[ -s $control/bad.new ]]
	mv "$control/bad.new" "$control/bad"
}

gets_good() {
	rm "$control/bad"
}

# Each of both files changed in part, by clients 0 and 1.
change_both() {
	expect 0 'ok 65536' write 0 65536 65536 "$1"
	expect 1 'ok 65536' write 0 131072 65536 "$1"
}

both_have() {
	local file
	cmp -n 65536 -i 65536:0 "$1/data" <(letters "$2") || return 1
	cmp -n 65536 -i 131072:0 "$1/other" <(letters "$2") || return 1
	for file in data other; do
		cmp -n 65536 "$1/$file" <(letters $A) || return 1
		is $MIB stat -c %s "$1/$file" || return 1
	done
}

open_both() {
	client_new
	client_new
	expect 0 'ok *' open 0 "$MNT/data" rw
	expect 1 'ok *' open 0 "$MNT/other" rw
}

# Nothing was committed, all of it stays and is committed later.
a_bad_journal_is_told_to_who_asks() {
	trouble_store
	open_both
	change_both $B
	expect 0 'ok 0' fsync 0
	both_have "$STORE" $B
	gets_bad .msyncfs/journal
	counts_mark
	change_both $C
	expect 0 'err EIO *' fsync 0
	expect 1 'err EIO *' fsync 0
	is 'err EIO' xattr set "$MNT" sync.now wait
	at_least 1 counted commit.errors
	is 0 counted commit.count
	both_have "$STORE" $B
	both_have "$MNT" $C
	is $((2 * 65536)) stats stage.dirty
	is '*Input/output error*' cat "$LOG"
	# More can be written, and undone.
	change_both $D
	is 'ok 0' xattr set "$MNT/data" discard.now all
	expect 0 'ok 65536' expect 0 65536 65536 $B
	expect 0 'ok 65536' write 0 65536 65536 $D
	gets_good
	# What failed for others is told to this handle, too, once.
	ask 1 fsync 0
	[[ $REPLY == 'ok 0' || $REPLY == 'err EIO '* ]]
	expect 1 'ok 0' fsync 0
	both_have "$STORE" $D
	is 1 counted commit.count
	client_end 0
	client_end 1
	trouble_store_ends
}

# Nobody waits for it: the commits that time brings are tried again.
a_bad_journal_is_tried_again() {
	trouble_store
	open_both
	change_both $B
	does "$LIMIT" both_have "$STORE" $B
	gets_bad .msyncfs/journal
	counts_mark
	change_both $C
	does "$LIMIT" counted_at_least 2 commit.errors
	both_have "$STORE" $B
	both_have "$MNT" $C
	gets_good
	does "$LIMIT" both_have "$STORE" $C
	client_end 0
	client_end 1
	trouble_store_ends
}

counted_at_least() {
	[[ $(counted "$2") -ge $1 ]]
}

# The journal has what the store's own file could not be made to keep, and
# the next mount puts it there.
a_bad_store_file_is_restored_from_the_journal() {
	trouble_store
	open_both
	change_both $B
	gets_bad data
	expect 0 'ok 0' fsync 0
	both_have "$MNT" $B
	# Until somebody has tried to make it durable there.
	does "$LIMIT" counted_journal_error
	both_have "$MNT" $B
	client_end 0
	client_end 1
	gets_good
	umount "$MNT"
	does "$harness_wait" test -s "${MNT%/mnt}/status"
	is 1 cat "${MNT%/mnt}/status"
	harness_log_is_clean "$LOG"
	[[ -e $STORE/.msyncfs/journal ]]
	"$HELPERS/pages" evict "$STORE/data" "$STORE/other"
	begun
	both_have "$MNT" $B
	both_have "$STORE" $B
	unmount_store
	[[ ! -e $STORE/.msyncfs ]]
	"$HELPERS/pages" evict "$STORE/data" "$STORE/other"
	both_have "$STORE" $B
	trouble_store_ends
}

counted_journal_error() {
	[[ $(stats commit.errors) -ge 1 ]]
}

# What the last commit can't keep is lost, and said so; nothing of it is in
# the store.
a_bad_journal_at_the_unmount() {
	trouble_store
	open_both
	change_both $B
	expect 0 'ok 0' fsync 0
	change_both $C
	gets_bad .msyncfs/journal
	client_end 0
	client_end 1
	umount "$MNT"
	does "$harness_wait" test -s "${MNT%/mnt}/status"
	is 1 cat "${MNT%/mnt}/status"
	is '*Input/output error*' cat "$LOG"
	harness_log_is_clean "$LOG"
	gets_good
	begun
	both_have "$MNT" $B
	unmount_store
	both_have "$STORE" $B
	trouble_store_ends
}

# -----------------------------------------------------------------------------

make_store || bail "no $FS store"

if [[ $FS == dir ]]; then
	skip a_full_store "n/a: the disk is the machine's"
else
	full_case sync=strict,journal-size=1M \
		a_store_without_room_for_a_journal \
		a_store_without_room_for_a_journal
	full_case sync=strict,journal-size=16M \
		a_store_that_is_full_at_a_commit \
		a_store_that_is_full_at_a_commit
	full_case sync=strict,journal-size=16M a_store_that_is_full_already \
		a_store_that_is_full_already
	full_case sync=strict,journal-size=1M a_journal_that_can_not_grow \
		a_journal_that_can_not_grow
	full_case sync=strict,journal-size=16M,stage-limit=4M \
		a_full_store_and_full_memory a_full_store_and_full_memory
fi
staged_case map=private,sync=strict,stage-limit=1M \
	private_files_up_to_the_limit mounted private_files_up_to_the_limit
staged_case sync=manual more_files_than_descriptors \
	more_files_than_descriptors
staged_case sync=manual a_limit_of_the_process_is_named \
	a_limit_of_the_process_is_named
staged_case sync=manual the_store_changes_behind_a_staged_file \
	mounted the_store_changes_behind_a_staged_file
t the_store_is_given_back drop_store

if [[ $EUID -eq 0 && -z $AS_USER ]]; then
	MOUNT_OPTIONS=map=staged,sync=strict
	t a_bad_journal_is_told_to_who_asks a_bad_journal_is_told_to_who_asks
	MOUNT_OPTIONS=map=staged,sync=fsync=defer+every=300ms
	t a_bad_journal_is_tried_again a_bad_journal_is_tried_again
	MOUNT_OPTIONS=map=staged,sync=strict
	t a_bad_store_file_is_restored_from_the_journal \
		a_bad_store_file_is_restored_from_the_journal
	t a_bad_journal_at_the_unmount a_bad_journal_at_the_unmount
else
	skip errors_of_the_device_are_told "a loop device needs root"
fi
done_testing
