#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Names of staged files that are removed with the next commit: what programs
# see meanwhile, what may not pass such a removal, and what is made by the same
# name again.
# shellcheck source=tests/lib/harness.sh
source "$(dirname "$0")/../lib/harness.sh"
# shellcheck source=tests/lib/control.sh
source "$SRCDIR/tests/lib/control.sh"
# shellcheck source=tests/mount/programs/client.sh
source "$SRCDIR/tests/mount/programs/client.sh"
# shellcheck source=tests/mount/staged/staged_lib.sh
source "$SRCDIR/tests/mount/staged/staged_lib.sh"

LIMIT=10

# removed_with_the_next_commit NAME: because of what client 0 has ordered.
removed_later() {
	counts_mark
	as_user rm "$MNT/$1"
	is 0 counted commit.count
	[[ ! -e $MNT/$1 && -e $STORE/$1 ]]
}

# Client 0 has written and fsynced a file, which was deferred.
something_is_ordered() {
	wrote 0 data $A
	expect 0 'ok 0' fsync 0
}

# --- what programs see -------------------------------------------------------

a_removed_file_lives_for_who_holds_it() {
	something_is_ordered
	wrote 1 other $B
	client_end 1
	client_new
	expect 2 'ok *' open 0 "$MNT/other" path
	removed_later other
	expect 2 'ok *' size 0
	commit
	[[ ! -e $STORE/other ]]
	# Also when the store has no name of it any more.
	becomes "$LIMIT" 0 stats stage.used
	sleep 1.2
	expect 2 'ok *' size 0
	client_end 2
	client_end 0
}

# As a lock file is opened: to read, and made if it isn't there.
a_file_made_again_only_to_read_can_be_committed() {
	as_user touch "$MNT/lock"
	something_is_ordered
	client_new
	expect 1 'ok *' open 0 "$MNT/lock" ro
	removed_later lock
	client_end 1
	client_new
	expect 2 'ok *' open 0 "$MNT/lock" ro,create
	expect 2 'ok 0' size 0
	commit
	is 0 stats commit.errors
	[[ -e $STORE/lock ]]
	client_end 2
	client_end 0
}

# --- what may not pass it ----------------------------------------------------

# The data that it waits for is removed itself.
nothing_passes_a_removal() {
	local verb
	for verb in rename link unlink rmdir; do
		something_is_ordered
		wrote 1 other $B
		as_user mkdir -p "$MNT/folder"
		as_user touch "$MNT/empty"
		removed_later other
		expect 0 'ok 0' close 0
		expect 1 'ok 0' close 0
		as_user rm "$MNT/data"
		case $verb in
		rename) as_user mv "$MNT/empty" "$MNT/renamed" ;;
		link) as_user ln "$MNT/empty" "$MNT/linked" ;;
		unlink) as_user rm "$MNT/empty" ;;
		rmdir) as_user rmdir "$MNT/folder" ;;
		esac
		echo "$verb"
		[[ ! -e $STORE/other ]]
		as_user rm -rf "$MNT"/*
		commit
	done
}

an_emptied_directory_can_be_replaced() {
	something_is_ordered
	as_user mkdir "$MNT/target" "$MNT/source"
	wrote 1 target/other $B
	removed_later target/other
	as_user rm "$MNT/data"
	as_user mv -T "$MNT/source" "$MNT/target"
	client_end 0
	client_end 1
}

# An fsync of the directory that is not deferred; then a crash.
an_honored_fsync_of_a_directory_has_removals() {
	begun
	as_user mkdir "$MNT/strict"
	is 'ok 0' xattr set "$MNT/strict" sync strict
	something_is_ordered
	wrote 1 strict/other $B
	removed_later strict/other
	client_new
	expect 2 'ok *' open 0 "$MNT/strict" ro,directory
	expect 2 'ok 0' fsync 0
	kill -KILL "$DAEMON_PID"
	does "$LIMIT" test -s "${MNT%/mnt}/status"
	umount -l "$MNT"
	begun
	[[ ! -e $MNT/strict/other ]]
	unmount_store
}

# -----------------------------------------------------------------------------

make_store || bail "no $FS store"

staged_case sync=manual a_removed_file_lives_for_who_holds_it \
	mounted a_removed_file_lives_for_who_holds_it
staged_case sync=manual a_file_made_again_only_to_read_can_be_committed \
	mounted a_file_made_again_only_to_read_can_be_committed
staged_case sync=manual nothing_passes_a_removal \
	mounted nothing_passes_a_removal
staged_case sync=manual an_emptied_directory_can_be_replaced \
	mounted an_emptied_directory_can_be_replaced
staged_case sync=manual an_honored_fsync_of_a_directory_has_removals \
	an_honored_fsync_of_a_directory_has_removals
t the_store_is_given_back drop_store
done_testing
