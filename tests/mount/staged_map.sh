#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Staged and private files: what map= means as a policy and when it changes,
# what is dropped, how much memory all of it takes, and files that change
# their names or have none.
# shellcheck source=tests/lib/harness.sh
source "$(dirname "$0")/../lib/harness.sh"
# shellcheck source=tests/mount/staged/staged_lib.sh
source "$SRCDIR/tests/mount/staged/staged_lib.sh"

LIMIT=10

# --- discard.now -------------------------------------------------------------

a_discard_goes_back_to_the_last_commit() {
	wrote 0 data $A
	commit
	client_new
	expect 1 'ok *' open 0 "$MNT/data" rw
	expect 1 "ok $MIB" map 0 $MIB ro
	expect 0 'ok 65536' write 0 0 65536 $B
	expect 0 'ok 65536' write 0 $((2 * MIB)) 65536 $B
	expect 1 "ok $B" peek 0 100
	is 'ok 0' xattr set "$MNT/data" discard.now all
	expect 1 "ok $A" peek 0 100
	expect 0 'ok 65536' expect 0 0 65536 $A
	expect 0 "ok $MIB" size 0
	expect 1 "ok $MIB" size 0
	has "$MNT/data" $MIB $A
	is 0 uncommitted data
	is 0 stats stage.dirty
	# Cut, and back.
	expect 0 'ok 0' truncate 0 100
	expect 0 'ok 0' truncate 0 5000
	is 'ok 0' xattr set "$MNT/data" discard.now all
	has "$MNT/data" $MIB $A
	# It goes on from there.
	expect 0 'ok 1' write 0 0 1 $B
	commit
	is B head -c 1 "$STORE/data"
	client_end 0
	client_end 1
}

a_discard_of_what_never_was_committed() {
	local before
	wrote 0 data $A
	is 'ok 0' xattr set "$MNT/data" discard.now all
	has "$MNT/data" 0 0
	before=$(commits)
	commit
	is "$before" commits
	has "$STORE/data" 0 0
	is 'err EINVAL' xattr set "$MNT/data" discard.now some
	is 'err EINVAL' xattr set "$MNT/data" discard.now ''
	client_end 0
	is 'ok 0' xattr set "$MNT/data" discard.now all
}

# --- private -----------------------------------------------------------------

private_changes_are_seen_by_all() {
	store_had data $MIB $A
	before=$(stat -c '%s %y' "$STORE/data")
	client_new
	client_new
	expect 0 'ok *' open 0 "$MNT/data" rw
	expect 1 'ok *' open 0 "$MNT/data" ro
	expect 1 "ok $MIB" map 0 $MIB ro
	expect 0 'ok 5000' write 0 4000 5000 $B
	expect 1 'ok 5000' expect 0 4000 5000 $B
	expect 1 "ok $B" peek 0 8999
	expect 1 "ok $A" peek 0 9000
	expect 0 'ok 65536' write 0 $MIB 65536 $B
	is $((MIB + 65536)) as_user stat -c %s "$MNT/data"
	expect 0 'ok 0' fsync 0
	expect 0 'ok 0' fdatasync 0
	is 'ok 0' xattr set "$MNT/data" sync.now wait
	is 'ok 0' xattr set "$MNT" sync.now wait
	is 0 commits
	is 0 stats stage.dirty
	at_least 73728 status "$MNT/data" staged
	has "$STORE/data" $MIB $A
	is "$before" stat -c '%s %y' "$STORE/data"
	# The last close drops them, not the first.
	expect 0 'ok 0' close 0
	sleep 0.2
	expect 1 'ok 5000' expect 0 4000 5000 $B
	client_end 0
	client_end 1
	becomes 5 0 status "$MNT/data" open
	has "$MNT/data" $MIB $A
	is "$before" as_user stat -c '%s %y' "$MNT/data"
	is 0 stats stage.used
}

# Also a size alone, of which nobody has written a page.
private_sizes_are_dropped() {
	local size
	store_had data $MIB $A
	client_new
	for size in $((2 * MIB)) 0 100 $MIB; do
		expect 0 'ok *' open 0 "$MNT/data" rw
		expect 0 'ok 0' truncate 0 "$size"
		is "$size" as_user stat -c %s "$MNT/data"
		expect 0 'ok 0' close 0
		becomes 5 0 status "$MNT/data" open
		has "$MNT/data" $MIB $A
	done
	client_end 0
}

private_changes_can_be_discarded() {
	store_had data $MIB $A
	client_new
	client_new
	expect 0 'ok *' open 0 "$MNT/data" rw
	expect 1 'ok *' open 0 "$MNT/data" rw
	expect 0 'ok 0' truncate 0 0
	expect 1 'ok 0' size 0
	expect 1 'ok 65536' write 0 0 65536 $B
	is 'ok 0' xattr set "$MNT/data" discard.now all
	expect 0 "ok $MIB" size 0
	expect 1 'ok 65536' expect 0 0 65536 $A
	has "$MNT/data" $MIB $A
	is 0 stats stage.used
	client_end 0
	client_end 1
}

# Fifty of them, all open at one time.
private_files_are_never_in_the_store() {
	local i
	store_had old $MIB $A
	client_new
	for i in {1..50}; do
		expect 0 'ok *' open "$i" "$MNT/file.$i" rw,create
		expect 0 'ok 65536' write "$i" 0 65536 $B
		expect 0 'ok 0' fsync "$i"
	done
	expect 0 'ok *' open 0 "$MNT/old" rw,trunc
	expect 0 'ok 65536' write 0 0 65536 $B
	for i in {1..50}; do
		has "$MNT/file.$i" 65536 $B
	done
	is $((51 * 65536)) stats stage.used
	client_end 0
	unmount_store
	for i in {1..50}; do
		has "$STORE/file.$i" 0 0
	done
	has "$STORE/old" $MIB $A
	[[ ! -e $STORE/.msyncfs ]]
}

# --- policies ----------------------------------------------------------------

a_directory_s_new_files_are_staged() {
	as_user mkdir "$MNT/staged"
	is 'ok 0' xattr set "$MNT/staged" map staged
	wrote 0 staged/data $A
	wrote 1 shared $A
	is staged status "$MNT/staged/data" map
	is file status "$MNT/staged/data" map.from
	is shared status "$MNT/shared" map
	has "$STORE/staged/data" 0 0
	is $MIB stat -c %s "$STORE/shared"
	expect 0 'ok 0' fsync 0
	has "$STORE/staged/data" $MIB $A
	client_end 0
	client_end 1
	as_user mkdir "$MNT/staged/below"
	is 'ok 6 staged' xattr get "$MNT/staged/below" map
}

# Until the last close it is what it was; a note says so.
notes_the_map() {
	is "*map=$2 until everybody has closed the file*" status "$MNT/$1" note
}

no_note_of_the_map() {
	is "!(*until everybody*)" status "$MNT/$1" note
}

staged_becomes_shared() {
	wrote 0 data $A
	counts_mark
	is 'ok 0' xattr set "$MNT/data" map shared
	is 1 counted commit.by_policy
	has "$STORE/data" $MIB $A
	is shared status "$MNT/data" map
	notes_the_map data staged
	# Staged still, and kept over the close.
	expect 0 'ok 65536' write 0 0 65536 $B
	cmp -n 65536 "$STORE/data" <(letters $A)
	expect 0 'ok 0' close 0
	becomes 5 0 status "$MNT/data" open
	expect 0 'ok *' open 0 "$MNT/data" rw
	expect 0 'ok 65536' expect 0 0 65536 $B
	expect 0 'ok 65536' write 0 65536 65536 $C
	expect 0 'ok 0' fsync 0
	cmp -n 65536 "$STORE/data" <(letters $B)
	cmp -n 65536 -i 65536:0 "$STORE/data" <(letters $C)
	no_note_of_the_map data
	is 0 stats stage.used
	client_end 0
}

shared_becomes_staged() {
	as_user touch "$MNT/data"
	is 'ok 0' xattr set "$MNT/data" map shared
	wrote 0 data $A
	is 'ok 0' xattr set "$MNT/data" map staged
	notes_the_map data shared
	expect 0 'ok 65536' write 0 0 65536 $B
	expect 0 'ok 0' fsync 0
	cmp -n 65536 "$STORE/data" <(letters $B)
	expect 0 'ok 0' close 0
	becomes 5 0 status "$MNT/data" open
	expect 0 'ok *' open 0 "$MNT/data" rw
	no_note_of_the_map data
	expect 0 'ok 65536' write 0 0 65536 $C
	cmp -n 65536 "$STORE/data" <(letters $B)
	commit
	cmp -n 65536 "$STORE/data" <(letters $C)
	client_end 0
}

# What was staged comes to the store, what is private then doesn't.
staged_becomes_private() {
	wrote 0 data $A
	counts_mark
	is 'ok 0' xattr set "$MNT/data" map private
	is 1 counted commit.by_policy
	has "$STORE/data" $MIB $A
	expect 0 'ok 0' close 0
	becomes 5 0 status "$MNT/data" open
	wrote 0 data $B
	commit
	has "$STORE/data" $MIB $A
	has "$MNT/data" $MIB $B
	client_end 0
	becomes 5 0 status "$MNT/data" open
	has "$MNT/data" $MIB $A
}

# Of a file that nobody has open, with something uncommitted.
a_closed_file_changes_its_map() {
	wrote 0 data $A
	client_end 0
	becomes 5 0 status "$MNT/data" open
	is $MIB uncommitted data
	is 'ok 0' xattr set "$MNT/data" map shared
	has "$STORE/data" $MIB $A
	no_note_of_the_map data
	client_new
	expect 1 'ok *' open 0 "$MNT/data" rw
	expect 1 'ok 65536' write 0 0 65536 $B
	expect 1 'ok 0' fsync 0
	cmp -n 65536 "$STORE/data" <(letters $B)
	expect 1 'ok 0' close 0
	is 'ok 0' xattr remove "$MNT/data" map
	becomes 5 0 status "$MNT/data" open
	is staged status "$MNT/data" map
	expect 1 'ok *' open 0 "$MNT/data" rw
	expect 1 'ok 65536' write 0 0 65536 $C
	cmp -n 65536 "$STORE/data" <(letters $B)
	client_end 1
}

other_policies_hold_as_well() {
	client_new
	as_user touch "$MNT/log" "$MNT/small"
	is 'ok 0' xattr set "$MNT/log" append on
	expect 0 'ok *' open 0 "$MNT/log" wo,append
	expect 0 'ok 5000' write 0 0 5000 $A
	expect 0 'ok 5000' write 0 0 5000 $A
	has "$MNT/log" 10000 $A
	expect 0 'ok *' open 1 "$MNT/log" wo
	expect 0 'err EPERM *' write 1 0 5000 $B
	is 'ok 0' xattr set "$MNT/small" grow max=64K
	expect 0 'ok *' open 2 "$MNT/small" rw
	expect 0 'ok 65536' write 2 0 65536 $A
	expect 0 'err EFBIG *' write 2 65536 4096 $A
	expect 0 'err EFBIG *' truncate 2 65537
	commit
	has "$STORE/log" 10000 $A
	has "$STORE/small" 65536 $A
	client_end 0
}

# --- memory ------------------------------------------------------------------

# While COMMAND... runs stage.used and stage.limit are looked at.
watched() {
	local most=0 used
	"$@" &
	while kill -0 $! 2>/dev/null; do
		used=$(stats stage.used)
		[[ ${used:-0} -le $most ]] || most=$used
		sleep 0.02
	done
	wait $!
	echo "$most bytes at the most"
	# How often it is looked at meanwhile is chance.
	at_least 1 echo "$most"
	at_most "$(stats stage.limit)" echo "$most"
}

writers_wait_at_the_limit() {
	is $((8 * MIB)) stats stage.limit
	counts_mark
	watched as_user dd of="$MNT/large" bs=64k count=80M \
		iflag=fullblock,count_bytes status=none < <(letters $A)
	at_least 5 counted commit.by_limit
	is 0 counted commit.errors
	has "$MNT/large" $((80 * MIB)) $A
	commit
	has "$STORE/large" $((80 * MIB)) $A
	at_most 24576 daemon_arena
	# In one file after the other, without an end.
	as_user rm "$MNT/large"
	watched as_user bash -c 'for i in {1..40}; do
		dd if=/dev/zero of="$1/file.$i" bs=1M count=1 status=none ||
			exit 1
	done' - "$MNT"
	commit
	find "$STORE" -name 'file.*' -size 1M | wc -l >"$BASE/count"
	is 40 cat "$BASE/count"
}

memory_goes_back_after_a_commit() {
	as_user dd if=/dev/zero of="$MNT/large" bs=1M count=48 status=none
	is $((48 * MIB)) stats stage.dirty
	at_most $((48 * MIB * 105 / 100)) stats stage.used
	at_least $((48 * 1024)) daemon_arena
	echo "$(daemon_arena) KiB of memory for 48 MiB"
	at_most $((48 * 1024 * 105 / 100)) daemon_arena
	commit
	becomes "$LIMIT" 0 stats stage.used
	does "$LIMIT" arena_at_most 4096
}

untouched_files_cost_no_memory() {
	local size=$((100 << 30))
	as_user truncate -s $size "$STORE/sparse"
	wrote 0 sparse $A
	expect 0 'ok 4096' write 0 $((size - 8192)) 4096 $B
	expect 0 'ok 65536' expect 0 $((50 << 30)) 65536 0
	expect 0 'ok 4096' expect 0 $((size - 8192)) 4096 $B
	expect 0 'ok 4096' expect 0 $((size - 4096)) 4096 0
	is 257 status "$MNT/sparse" staged.pages
	at_most 4096 daemon_arena
	is $size as_user stat -c %s "$MNT/sparse"
	# Cut, and as large again.
	expect 0 'ok 0' truncate 0 $((1 << 30))
	expect 0 'ok 0' truncate 0 $size
	expect 0 'ok 4096' expect 0 $((size - 8192)) 4096 0
	is 256 status "$MNT/sparse" staged.pages
	commit
	is $size stat -c %s "$STORE/sparse"
	cmp -n $MIB "$STORE/sparse" <(letters $A)
	at_most $((4 * MIB / 512)) stat -c %b "$STORE/sparse"
	at_most 4096 daemon_arena
	client_end 0
}

# --- names and files without one ---------------------------------------------

unlinked_files_work() {
	wrote 0 data $A
	client_new
	expect 1 'ok *' open 0 "$MNT/data" ro
	as_user rm "$MNT/data"
	expect 0 'ok 65536' write 0 $MIB 65536 $B
	expect 1 'ok 65536' expect 0 0 65536 $A
	expect 1 'ok 65536' expect 0 $MIB 65536 $B
	expect 0 'ok 0' fsync 0
	is 'ok 0' xattr set "$MNT" sync.now wait
	expect 0 'ok 0' uncache 0
	expect 1 'ok 65536' expect 0 $MIB 65536 $B
	expect 0 'ok 0' truncate 0 100
	expect 1 'ok 100' size 0
	expect 0 'ok 0' truncate 0 $MIB
	expect 1 'ok 65536' expect 0 65536 65536 0
	client_end 0
	client_end 1
	becomes "$LIMIT" 0 stats stage.used
	is 0 stats stage.files
	commit
	is '@(|.msyncfs)' ls -A "$STORE"
}

# Both when nothing of it was committed, and when something was.
removed_files_give_their_memory_back() {
	wrote 0 data $A
	client_end 0
	as_user rm "$MNT/data"
	becomes "$LIMIT" 0 stats stage.used
	is 0 stats stage.dirty
	wrote 1 data $A
	commit
	expect 1 "ok $MIB" write 0 0 65536 $B 16
	client_end 1
	as_user rm "$MNT/data"
	becomes "$LIMIT" 0 stats stage.used
	is 0 stats stage.dirty
}

unnamed_files_get_a_name() {
	as_user xfs_io -T -c 'pwrite -S 65 0 1m' -c "flink $MNT/data" \
		"$MNT" >/dev/null
	has "$MNT/data" $MIB $A
	commit
	has "$STORE/data" $MIB $A
}

hard_links_are_one_file() {
	wrote 0 data $A
	as_user ln "$MNT/data" "$MNT/linked"
	client_new
	expect 1 'ok *' open 0 "$MNT/linked" rw
	expect 1 'ok 65536' expect 0 0 65536 $A
	expect 1 'ok 65536' write 0 $MIB 65536 $A
	has "$MNT/data" $((MIB + 65536)) $A
	as_user rm "$MNT/data"
	has "$MNT/linked" $((MIB + 65536)) $A
	commit
	has "$STORE/linked" $((MIB + 65536)) $A
	client_end 0
	client_end 1
}

renamed_files_keep_what_is_uncommitted() {
	wrote 0 data $A
	as_user mkdir -p "$MNT/a/b"
	as_user mv "$MNT/data" "$MNT/a/b/moved"
	has "$MNT/a/b/moved" $MIB $A
	as_user mv "$MNT/a" "$MNT/c"
	has "$MNT/c/b/moved" $MIB $A
	expect 0 'ok 65536' write 0 $MIB 65536 $A
	client_end 0
	has "$MNT/c/b/moved" $((MIB + 65536)) $A
	commit
	has "$STORE/c/b/moved" $((MIB + 65536)) $A
	# Over another that has uncommitted data of its own.
	wrote 1 one $B
	wrote 2 two $C
	as_user mv "$MNT/one" "$MNT/two"
	has "$MNT/two" $MIB $B
	expect 2 'ok 65536' expect 0 0 65536 $C
	client_end 1
	client_end 2
	commit
	has "$STORE/two" $MIB $B
	becomes "$LIMIT" 0 stats stage.used
}

# The mode is the store's own business and there at once.
attributes_are_not_staged() {
	wrote 0 data $A
	as_user chmod 640 "$MNT/data"
	as_user setfattr -n user.other -v value "$MNT/data"
	is 640 stat -c %a "$STORE/data"
	is value getfattr --absolute-names --only-values -n user.other \
		"$STORE/data"
	commit
	is 640 stat -c %a "$STORE/data"
	client_end 0
}

# Nobody can change anything; a reader needs no journal.
a_read_only_mount_reads() {
	store_had data $MIB $A
	begun ro
	has "$MNT/data" $MIB $A
	is '*Read-only file system' as_user dd of="$MNT/data" count=0
	unmount_store
	is data ls -A "$STORE"
}

# -----------------------------------------------------------------------------

make_store || bail "no $FS store"

staged_case sync=manual a_discard_goes_back_to_the_last_commit \
	mounted a_discard_goes_back_to_the_last_commit
staged_case sync=manual a_discard_of_what_never_was_committed \
	mounted a_discard_of_what_never_was_committed

staged_case map=private private_changes_are_seen_by_all_and_dropped_at_the_end \
	mounted private_changes_are_seen_by_all
staged_case map=private private_sizes_are_dropped \
	mounted private_sizes_are_dropped
staged_case map=private private_changes_can_be_discarded \
	mounted private_changes_can_be_discarded
staged_case map=private private_files_are_never_in_the_store \
	mounted private_files_are_never_in_the_store

staged_case map=shared a_directory_s_new_files_are_staged \
	mounted a_directory_s_new_files_are_staged
staged_case sync=manual staged_becomes_shared mounted staged_becomes_shared
staged_case sync=manual shared_becomes_staged mounted shared_becomes_staged
staged_case sync=manual staged_becomes_private mounted staged_becomes_private
staged_case sync=manual a_closed_file_changes_its_map \
	mounted a_closed_file_changes_its_map
staged_case sync=manual other_policies_hold_as_well \
	mounted other_policies_hold_as_well

staged_case sync=manual,stage-limit=8M writers_wait_at_the_limit \
	mounted writers_wait_at_the_limit
staged_case sync=manual memory_goes_back_after_a_commit \
	mounted memory_goes_back_after_a_commit
staged_case sync=manual untouched_files_cost_no_memory \
	mounted untouched_files_cost_no_memory

staged_case sync=manual unlinked_files_work mounted unlinked_files_work
staged_case sync=manual removed_files_give_their_memory_back \
	mounted removed_files_give_their_memory_back
staged_case sync=manual unnamed_files_get_a_name \
	mounted unnamed_files_get_a_name
staged_case sync=manual hard_links_are_one_file \
	mounted hard_links_are_one_file
staged_case sync=manual renamed_files_keep_what_is_uncommitted \
	mounted renamed_files_keep_what_is_uncommitted
staged_case sync=manual attributes_are_not_staged \
	mounted attributes_are_not_staged
staged_case sync=manual a_read_only_mount_reads a_read_only_mount_reads
t the_store_is_given_back drop_store
done_testing
