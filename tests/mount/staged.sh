#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Staged and private files: who sees what is written, and what brings it to
# the store. That is looked for in the store's file itself. What the bytes are
# after all that can be done to a file is staged_data.sh's.
# shellcheck source=tests/lib/harness.sh
source "$(dirname "$0")/../lib/harness.sh"
# shellcheck source=tests/mount/staged/staged_lib.sh
source "$SRCDIR/tests/mount/staged/staged_lib.sh"

LIMIT=10

# --- seen by all, in the store after a commit --------------------------------

what_is_written_is_seen_at_once() {
	wrote 0 data $A
	client_new
	expect 1 'ok *' open 0 "$MNT/data" ro
	expect 1 'ok 65536' expect 0 $((MIB - 65536)) 65536 $A
	expect 1 "ok $MIB" size 0
	expect 1 "ok $MIB" map 0 $MIB ro
	expect 1 "ok $A" peek 0 $((MIB - 1))
	has "$MNT/data" $MIB $A
	has "$STORE/data" 0 0
	is daemon status "$MNT/data" data.path
	is staged status "$MNT/data" map
	is mount status "$MNT/data" map.from
	# Overwritten, where the other has it mapped.
	expect 0 'ok 5000' write 0 4000 5000 $B
	expect 1 "ok $B" peek 0 8000
	expect 1 'ok 5000' expect 0 4000 5000 $B
	has "$STORE/data" 0 0
	client_end 0
	client_end 1
}

a_commit_brings_it_to_the_store() {
	wrote 0 data $A
	counts_mark
	is 'ok 0' xattr set "$MNT/data" sync.now wait
	has "$STORE/data" $MIB $A
	is 1 counted commit.count
	is 1 counted commit.by_request
	expect 0 'ok 4096' write 0 8192 4096 $B
	has "$STORE/data" $MIB $A
	expect 0 'ok 4096' expect 0 8192 4096 $B
	is 'ok 0' xattr set "$MNT" sync.now wait
	is 2 counted commit.by_request
	cmp -n 4096 -i 8192:0 "$STORE/data" <(letters $B)
	cmp -n 8192 "$STORE/data" <(letters $A)
	# There is nothing to commit then.
	is 'ok 0' xattr set "$MNT" sync.now wait
	is 2 counted commit.count
	client_end 0
}

the_statuses_tell_what_is_staged() {
	local before
	wrote 0 data $A
	is $MIB status "$MNT/data" staged
	is 256 status "$MNT/data" staged.pages
	is $MIB uncommitted data
	is $MIB stats stage.dirty
	is 1 stats stage.files
	at_least $MIB stats stage.used
	at_most $((2 * MIB)) stats stage.used
	at_least $((8 * MIB)) stats stage.limit
	at_least $((256 * 1024)) stats journal.size
	at_least $((128 * 1024)) stats journal.free
	before=$(stats commit.sequence)
	counts_mark
	commit
	is $((before + 1)) stats commit.sequence
	is 1 stats commit.files
	is $MIB stats commit.bytes
	at_least 1 stats commit.pause
	at_least 1 stats commit.journal
	at_least "$(stats commit.journal)" stats commit.took
	at_least $MIB counted journal.bytes
	at_least $MIB counted apply.bytes
	is 1 counted journal.flushes
	is 0 counted commit.errors
	is 0 uncommitted data
	is 0 stats stage.files
	becomes "$LIMIT" 0 status "$MNT/data" staged
	is 0 status "$MNT/data" staged.pages
	# One page of it, in two files: one commit.
	expect 0 'ok 1' write 0 $((MIB / 2)) 1 $B
	wrote 1 other $A
	is 4096 uncommitted data
	is 2 stats stage.files
	is $((MIB + 4096)) stats stage.dirty
	commit
	is $((before + 2)) stats commit.sequence
	is 2 stats commit.files
	is $((MIB + 4096)) stats commit.bytes
	client_end 0
	client_end 1
}

every_status_is_there() {
	local key kind all
	all=$(value "$MNT" stats)
	for key in stage.{used,limit,dirty,files} journal.{size,free,bytes} \
		commit.{sequence,bytes,files,pause,journal,took} \
		commit.{count,errors,at_unmount} journal.flushes apply.bytes \
		checkpoint.count; do
		grep -qE "^${key/./\\.}=[0-9]+\$" <<<"$all" ||
			{ echo "no $key in stats"; return 1; }
	done
	for kind in fsync group time amount close request order limit policy
	do
		grep -qE "^commit\\.by_$kind=[0-9]+\$" <<<"$all" ||
			{ echo "no commit.by_$kind in stats"; return 1; }
	done
}

# The times of a file are those of its last write, whenever it is committed.
a_commit_changes_no_times() {
	local before
	wrote 0 data $A
	before=$(as_user stat -c '%y %s' "$MNT/data")
	sleep 0.1
	commit
	is "$before" as_user stat -c '%y %s' "$MNT/data"
	is "$before" stat -c '%y %s' "$STORE/data"
	sleep 0.1
	expect 0 'ok 1' write 0 0 1 $B
	[[ $(as_user stat -c '%y %s' "$MNT/data") != "$before" ]]
	# Those that a program sets stay as well.
	as_user touch -d '2001-02-03 04:05:06.789' "$MNT/data"
	is '2001-02-03 04:05:06.789*' as_user stat -c %y "$MNT/data"
	expect 0 'ok 0' close 0
	client_end 0
	is '2001-02-03 04:05:06.789*' as_user stat -c %y "$MNT/data"
	commit
	is '2001-02-03 04:05:06.789*' as_user stat -c %y "$MNT/data"
	is '2001-02-03 04:05:06.789*' stat -c %y "$STORE/data"
}

# Blocks that are not there yet count: tar takes a file without any for empty.
uncommitted_files_have_blocks() {
	wrote 0 data $A
	at_least $((MIB / 512)) as_user stat -c %b "$MNT/data"
	at_most $((MIB / 512 * 2)) as_user stat -c %b "$MNT/data"
	as_user tar -C "$MNT" -cSf "$MNT/archive" data
	commit
	at_least $((MIB / 512)) as_user stat -c %b "$MNT/data"
	tar -C "$BASE" -xf "$STORE/archive"
	has "$BASE/data" $MIB $A
	rm "$BASE/data"
	client_end 0
	# Neither are those of a hole.
	as_user truncate -s $MIB "$MNT/hole"
	commit
	printf middle | as_user dd of="$MNT/hole" bs=1 seek=500000 \
		conv=notrunc status=none
	as_user tar -C "$MNT" -cSf "$MNT/archive" hole
	commit
	tar -C "$BASE" -xf "$STORE/archive"
	cmp "$MNT/hole" "$BASE/hole"
	rm "$BASE/hole"
}

closed_files_keep_what_is_uncommitted() {
	local i
	wrote 0 data $A
	client_end 0
	# Until the daemon knows of the close.
	becomes 5 0 status "$MNT/data" open
	is $MIB uncommitted data
	has "$MNT/data" $MIB $A
	has "$STORE/data" 0 0
	for i in {1..100}; do
		echo "$i" | as_user tee "$MNT/small.$i" >/dev/null
	done
	# Also when the kernel has forgotten the names and the inodes.
	as_user ls -l "$MNT" >/dev/null
	[[ -n $AS_USER ]] || echo 2 >/proc/sys/vm/drop_caches
	has "$MNT/data" $MIB $A
	for i in {1..100}; do
		is "$i" as_user cat "$MNT/small.$i"
		is 0 stat -c %s "$STORE/small.$i"
	done
	is 101 stats stage.files
	commit
	has "$STORE/data" $MIB $A
	for i in {1..100}; do
		is "$i" cat "$STORE/small.$i"
	done
}

# --- what makes a commit -----------------------------------------------------

committed() {
	[[ $(stat -c %s "$STORE/$1") -eq $2 ]] &&
		cmp -s -n "$2" "$STORE/$1" <(letters "$3")
}

# within MS COMMAND...: it is so, unless the test itself has been so slow since
# $began that it may be otherwise.
within() {
	local ms=$1 status=0
	shift
	"$@" || status=$?
	[[ $status -eq 0 || $((${EPOCHREALTIME/[.,]/} - began)) -gt \
		$((ms * 1000)) ]]
}

every_commits_in_time() {
	local began
	counts_mark
	began=${EPOCHREALTIME/[.,]/}
	wrote 0 data $A
	# A commit may come a quarter of its time early.
	within 370 has "$STORE/data" 0 0
	does "$LIMIT" committed data $MIB $A
	at_least 1 counted commit.by_time
	# Also what is closed, and what is written while others are.
	expect 0 'ok 4096' write 0 $MIB 4096 $A
	client_end 0
	does "$LIMIT" committed data $((MIB + 4096)) $A
	# Nothing for nothing.
	becomes "$LIMIT" 0 stats stage.used
	counts_mark
	sleep 1.5
	is 0 counted commit.count
}

an_amount_commits_early() {
	counts_mark
	client_new
	expect 0 'ok *' open 0 "$MNT/data" rw,create
	expect 0 'ok 524288' write 0 0 65536 $A 8
	sleep 1
	is 0 counted commit.count
	has "$STORE/data" 0 0
	expect 0 'ok 1048576' write 0 524288 65536 $A 16
	becomes "$LIMIT" 1 counted commit.by_amount
	# What is less again waits.
	becomes "$LIMIT" '@(0|?????|??????)' stats stage.dirty
	client_end 0
}

# With fsync=honor the close waits.
the_last_close_commits() {
	counts_mark
	wrote 0 data $A
	is 0 counted commit.count
	expect 0 'ok 0' close 0
	has "$STORE/data" $MIB $A
	at_least 1 counted commit.by_close
	counts_mark
	expect 0 'ok *' open 0 "$MNT/data" rw
	expect 0 'ok 0' close 0
	sleep 0.3
	is 0 counted commit.count
	client_end 0
}

the_last_close_hands_over() {
	counts_mark
	wrote 0 data $A
	client_end 0
	does "$LIMIT" committed data $MIB $A
	at_least 1 counted commit.by_close
}

an_honored_fsync_commits() {
	local call
	wrote 0 data $A
	wrote 1 other $B
	for call in fsync fdatasync; do
		counts_mark
		expect 0 'ok 5000' write 0 0 5000 $A
		expect 0 'ok 0' "$call" 0
		is 1 counted commit.by_fsync
		is 1 counted fsync.honored
		has "$STORE/data" $MIB $A
		# All files, at one instant.
		has "$STORE/other" $MIB $B
	done
	# A second one finds nothing to do.
	counts_mark
	expect 0 'ok 0' fsync 0
	is 0 counted commit.count
	client_end 0
	client_end 1
}

synchronous_writes_commit() {
	local flag
	client_new
	for flag in sync dsync; do
		expect 0 'ok *' open 0 "$MNT/$flag" "rw,create,$flag"
		expect 0 'ok 10000' write 0 0 10000 $A
		has "$STORE/$flag" 10000 $A
		expect 0 'ok 0' close 0
	done
	client_end 0
}

a_deferred_fsync_commits_nothing() {
	counts_mark
	wrote 0 data $A
	expect 0 'ok 0' fsync 0
	expect 0 'ok 0' fdatasync 0
	is 2 counted fsync.deferred
	client_end 0
	as_user sync "$MNT"
	sleep 0.5
	is 0 counted commit.count
	has "$STORE/data" 0 0
	is $MIB uncommitted data
}

# Eight programs, fifty fsyncs each.
fsyncs_share_a_commit() {
	local i status=0
	local -a jobs=()
	counts_mark
	for i in {1..8}; do
		as_user dd of="$MNT/group.$i" bs=4k count=50 oflag=dsync \
			iflag=fullblock status=none < <(letters $A) &
		jobs+=($!)
	done
	for i in "${jobs[@]}"; do
		wait "$i" || status=1
	done
	[[ $status -eq 0 ]]
	for i in {1..8}; do
		has "$STORE/group.$i" 204800 $A
	done
	is 400 counted fsync.grouped
	at_least 50 counted commit.by_group
	at_most 350 counted commit.by_group
	is "$(counted commit.by_group)" counted commit.count
}

# --- ends --------------------------------------------------------------------

# What is written, also through a mapping that nobody synced.
leave_things_uncommitted() {
	begun
	wrote 0 data $A
	as_user mkdir "$MNT/directory"
	wrote 1 directory/mapped $A
	expect 1 "ok $MIB" map 0 $MIB rw
	expect 1 'ok 5000' poke 0 8192 5000 $B
	expect 1 'ok 0' unmap 0
	client_end 0
	client_end 1
	is 0 stat -c %s "$STORE/data"
}

is_all_in_the_store() {
	has "$STORE/data" $MIB $A
	is $MIB stat -c %s "$STORE/directory/mapped"
	cmp -n 5000 -i 8192:0 "$STORE/directory/mapped" <(letters $B)
	cmp -n 8192 "$STORE/directory/mapped" <(letters $A)
	is $'data\ndirectory' ls -A "$STORE"
	# With nothing of ours in it.
	harness_log_is_clean "$LOG"
}

an_unmount_commits_everything() {
	leave_things_uncommitted
	unmount_store
	is_all_in_the_store
}

SIGTERM_commits_everything() {
	leave_things_uncommitted
	kill -TERM "$DAEMON_PID"
	does "$harness_wait" test -s "${MNT%/mnt}/status"
	is 0 cat "${MNT%/mnt}/status"
	is_all_in_the_store
}

# --- the journal -------------------------------------------------------------

the_journal_is_hidden() {
	local name=$MNT/.msyncfs
	wrote 0 data $A
	commit
	[[ -f $STORE/.msyncfs/journal ]]
	is 700 stat -c %a "$STORE/.msyncfs"
	is 600 stat -c %a "$STORE/.msyncfs/journal"
	is data as_user ls -A "$MNT"
	is '* No such file *' as_user stat "$name"
	is '* No such file *' as_user ls "$name/journal"
	is '* No such file *' as_user cat "$name/journal"
	is '*: @(Operation not permitted|Permission denied|File exists)' \
		as_user mkdir "$name"
	is '*: @(Operation not permitted|Permission denied|File exists)' \
		as_user ln "$MNT/data" "$name"
	is '*: @(Operation not permitted|Permission denied|File exists)' \
		as_user mv -T "$MNT/data" "$name"
	is '*: @(Operation not permitted|Permission denied|File exists)' \
		as_user ln -s x "$name"
	is '*: @(Operation not permitted|Permission denied|File exists)' \
		as_user dd of="$name" count=0
	[[ $(as_user rmdir "$name" 2>&1) == *"No such file"* ]]
	[[ $(as_user rm "$name" 2>&1) == *"No such file"* ]]
	[[ -f $STORE/.msyncfs/journal ]]
	# It is the root's name only.
	as_user mkdir -p "$MNT/directory/.msyncfs"
	is .msyncfs as_user ls -A "$MNT/directory"
	as_user rmdir "$MNT/directory/.msyncfs"
	client_end 0
}

the_journal_goes_with_the_mount() {
	wrote 0 data $A
	client_end 0
	commit
	[[ -e $STORE/.msyncfs ]]
	unmount_store
	is data ls -A "$STORE"
}

a_mount_that_stages_nothing_makes_no_journal() {
	wrote 0 data $A
	expect 0 'ok 0' fsync 0
	client_end 0
	commit
	is data ls -A "$STORE"
	has "$STORE/data" $MIB $A
}

# --- the order of data and names ---------------------------------------------

# order_of VERB: with the data of file data as it is, by how many commits the
# name's change was preceded.
change_name() {
	counts_mark
	case $1 in
	rename) as_user mv "$MNT/other" "$MNT/renamed" ;;
	link) as_user ln "$MNT/other" "$MNT/linked" ;;
	unlink) as_user rm "$MNT/other" ;;
	rmdir) as_user rmdir "$MNT/folder" ;;
	esac
}

names_wait_for_deferred_data() {
	local verb
	wrote 0 data $A
	for verb in rename link unlink rmdir; do
		as_user mkdir -p "$MNT/folder"
		as_user touch "$MNT/other"
		as_user rm -f "$MNT/renamed" "$MNT/linked"
		commit
		expect 0 'ok 0' truncate 0 0
		expect 0 "ok $MIB" write 0 0 65536 $B 16
		expect 0 'ok 0' fsync 0
		change_name "$verb"
		echo "$verb"
		is 1 counted commit.by_order
		is 1 counted commit.count
		has "$STORE/data" $MIB $B
		# Once.
		as_user touch "$MNT/more"
		as_user rm "$MNT/more"
		is 1 counted commit.count
		expect 0 "ok $MIB" write 0 0 65536 $A 16
		expect 0 'ok 0' fsync 0
		commit
		# It is committed, nothing is to be waited for.
		as_user touch "$MNT/other"
		as_user mkdir -p "$MNT/folder"
		as_user rm -f "$MNT/renamed" "$MNT/linked"
		change_name "$verb"
		is 0 counted commit.count
	done
	client_end 0
}

# What adds a name leads to nothing that was there before.
new_names_wait_for_nothing() {
	wrote 0 data $A
	expect 0 'ok 0' fsync 0
	counts_mark
	as_user mkdir "$MNT/folder"
	as_user touch "$MNT/folder/file"
	as_user ln -s data "$MNT/symbolic"
	is 0 counted commit.count
	has "$STORE/data" 0 0
	client_end 0
}

names_without_an_fsync_wait_for_nothing() {
	local verb
	for verb in rename link unlink rmdir; do
		as_user mkdir -p "$MNT/folder"
		as_user touch "$MNT/other"
		wrote 0 data $A
		change_name "$verb"
		is 0 counted commit.count
		has "$STORE/data" 0 0
		expect 0 'ok 0' close 0
	done
	client_end 0
}

# Without any fsync: who replaces a file so means the new contents.
a_rename_over_a_file_commits_its_data_first() {
	store_had target 10000 $A
	wrote 0 new $B
	counts_mark
	as_user mv "$MNT/new" "$MNT/target"
	is 1 counted commit.by_order
	has "$STORE/target" $MIB $B
	has "$MNT/target" $MIB $B
	client_end 0
}

an_honored_fsync_leaves_nothing_to_wait_for() {
	wrote 0 data $A
	as_user touch "$MNT/other"
	expect 0 'ok 0' fsync 0
	expect 0 'ok 100' write 0 0 100 $B
	change_name rename
	is 0 counted commit.count
	client_end 0
}

# --- rewritten files ---------------------------------------------------------

# While it is rewritten the store has all of the old one.
a_file_being_rewritten_is_left_out() {
	local began
	store_had data 50000 $A
	client_new
	began=${EPOCHREALTIME/[.,]/}
	expect 0 'ok *' open 0 "$MNT/data" wo,trunc
	wrote 1 other $B
	does "$LIMIT" committed other $MIB $B
	within 5000 has "$STORE/data" 50000 $A
	expect 0 'ok 10000' write 0 0 10000 $C
	expect 1 'ok 5000' write 0 $MIB 5000 $B
	does "$LIMIT" committed other $((MIB + 5000)) $B
	within 5000 has "$STORE/data" 50000 $A
	has "$MNT/data" 10000 $C
	expect 0 'ok 0' close 0
	does "$LIMIT" committed data 10000 $C
	client_end 0
	client_end 1
}

an_fsync_ends_rewriting() {
	store_had data 50000 $A
	client_new
	expect 0 'ok *' open 0 "$MNT/data" wo,trunc
	expect 0 'ok 10000' write 0 0 10000 $C
	is 'ok 0' xattr set "$MNT" sync.now wait
	has "$STORE/data" 50000 $A
	is 12288 stats stage.dirty
	expect 0 'ok 0' fsync 0
	commit
	has "$STORE/data" 10000 $C
	# Whoever asks for this file means it.
	expect 0 'ok 0' truncate 0 0
	expect 0 'ok 10000' write 0 0 10000 $D
	is 'ok 0' xattr set "$MNT/data" sync.now wait
	has "$STORE/data" 10000 $D
	client_end 0
}

rewriting_does_not_keep_a_file_out_for_ever() {
	local began
	store_had data 50000 $A
	client_new
	began=${EPOCHREALTIME/[.,]/}
	expect 0 'ok *' open 0 "$MNT/data" wo,trunc
	expect 0 'ok 10000' write 0 0 10000 $C
	sleep 1
	within 5000 has "$STORE/data" 50000 $A
	does 12 committed data 10000 $C
	client_end 0
}

# --- nothing for nothing -----------------------------------------------------

# Nothing wakes the daemon for two seconds, or it does twice in a row: the
# kernel may once, with inodes that it forgets.
sleeps_soundly() {
	local before after
	sleep 0.5
	before=$(daemon_sleeps)
	sleep 2
	after=$(daemon_sleeps)
	[[ $after -eq $before ]] && return 0
	echo "woken $((after - before)) times"
	return 1
}

an_idle_mount_wakes_for_nothing() {
	wrote 0 data $A
	client_end 0
	does "$LIMIT" committed data $MIB $A
	becomes "$LIMIT" 0 stats stage.used
	sleep 1
	counts_mark
	sleeps_soundly || sleeps_soundly || sleeps_soundly
	is 0 counted commit.count
	is 0 counted scheduler.wakes
}

# -----------------------------------------------------------------------------

make_store || bail "no $FS store"

staged_case sync=manual what_is_written_is_seen_at_once_but_not_in_the_store \
	mounted what_is_written_is_seen_at_once
staged_case sync=manual a_commit_brings_it_to_the_store \
	mounted a_commit_brings_it_to_the_store
staged_case sync=manual the_statuses_tell_what_is_staged \
	mounted the_statuses_tell_what_is_staged
staged_case sync=manual every_status_is_there mounted every_status_is_there
staged_case sync=manual a_commit_changes_no_times \
	mounted a_commit_changes_no_times
staged_case sync=manual uncommitted_files_have_blocks \
	mounted uncommitted_files_have_blocks
staged_case sync=manual closed_files_keep_what_is_uncommitted \
	mounted closed_files_keep_what_is_uncommitted

staged_case sync=fsync=defer+every=500ms every_commits_in_time \
	mounted every_commits_in_time
staged_case sync=dirty=1M an_amount_commits_early \
	mounted an_amount_commits_early
staged_case sync=close the_last_close_commits_and_waits \
	mounted the_last_close_commits
staged_case sync=fsync=defer+close \
	the_last_close_hands_over_when_fsync_is_deferred \
	mounted the_last_close_hands_over
staged_case sync=strict an_honored_fsync_commits \
	mounted an_honored_fsync_commits
staged_case sync=strict synchronous_writes_commit \
	mounted synchronous_writes_commit
staged_case sync=manual a_deferred_fsync_commits_nothing \
	mounted a_deferred_fsync_commits_nothing
staged_case sync=fsync=group:5ms fsyncs_share_a_commit \
	mounted fsyncs_share_a_commit

staged_case sync=manual an_unmount_commits_everything \
	an_unmount_commits_everything
staged_case sync=manual SIGTERM_commits_everything SIGTERM_commits_everything
staged_case sync=manual the_journal_is_hidden mounted the_journal_is_hidden
staged_case sync=manual the_journal_goes_with_the_mount \
	mounted the_journal_goes_with_the_mount
staged_case map=shared a_mount_that_stages_nothing_makes_no_journal \
	mounted a_mount_that_stages_nothing_makes_no_journal

staged_case sync=manual names_wait_for_data_whose_fsync_was_deferred \
	mounted names_wait_for_deferred_data
staged_case sync=manual new_names_wait_for_nothing \
	mounted new_names_wait_for_nothing
staged_case sync=manual names_without_an_fsync_wait_for_nothing \
	mounted names_without_an_fsync_wait_for_nothing
staged_case sync=manual a_rename_over_a_file_commits_its_data_first \
	mounted a_rename_over_a_file_commits_its_data_first
staged_case sync=strict an_honored_fsync_leaves_nothing_to_wait_for \
	mounted an_honored_fsync_leaves_nothing_to_wait_for

staged_case sync=fsync=defer+every=200ms a_file_being_rewritten_is_left_out \
	mounted a_file_being_rewritten_is_left_out
staged_case sync=manual an_fsync_ends_rewriting \
	mounted an_fsync_ends_rewriting
staged_case sync=fsync=defer+every=200ms \
	rewriting_does_not_keep_a_file_out_for_ever \
	mounted rewriting_does_not_keep_a_file_out_for_ever

if [[ $SANITIZER == thread ]]; then
	skip an_idle_mount_wakes_for_nothing \
		"n/a: the sanitizer has a thread of its own that wakes"
else
	staged_case sync=fsync=defer+every=200ms \
		an_idle_mount_wakes_for_nothing \
		mounted an_idle_mount_wakes_for_nothing
fi
t the_store_is_given_back drop_store
done_testing
