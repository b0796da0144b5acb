#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The daemon is killed, or told to end, while programs work on the mount.
# Nobody hangs, nobody is told a lie, and the mountpoint can be used again.
# shellcheck source=tests/lib/harness.sh
source "$(dirname "$0")/../lib/harness.sh"
# shellcheck source=tests/mount/programs/client.sh
source "$SRCDIR/tests/mount/programs/client.sh"

kinds='write append fsync mmap'
gone='err @(ENOTCONN|ECONNABORTED|EIO) *'
shopt -s extglob

kill_daemon() {
	kill -KILL "$DAEMON_PID"
	wait_until 10 test -s "${MNT%/mnt}/status"
}

# As the one who mounted.
unmount_dead() {
	if [[ -n $AS_USER ]]; then
		as_user timeout 10 fusermount3 -u "$@" "$MNT"
	else
		timeout 10 umount "${@/-z/-l}" "$MNT"
	fi
	! harness_is_mounted "$MNT"
}

# One program of each kind at work; sets ledgers and workers.
start_work() {
	local kind
	ledgers=$(client_directory)
	workers=()
	for kind in $kinds; do
		as_user "$(helper death_client)" "$kind" "$MNT/work.$kind" \
			"$ledgers/$kind" >"$BASE/said.$kind" 2>&1 &
		workers+=($!)
	done
	for kind in $kinds; do
		wait_until 10 test -s "$ledgers/$kind"
	done
	sleep 0.5
}

# All of them end by themselves, each with an outcome that is allowed.
end_work() {
	local kind worker i=0 status
	sleep 0.5
	for kind in $kinds; do
		touch "$ledgers/$kind.stop"
	done
	for kind in $kinds; do
		worker=${workers[i++]}
		wait_until 15 client_ended "$worker" ||
			{ echo "$kind hangs"; return 1; }
		status=0
		wait "$worker" || status=$?
		echo "$kind: $(<"$BASE/said.$kind")"
		[[ $status -eq 0 ]] || return 1
	done
}

# What was promised is in directory $1.
work_is_in() {
	local kind
	for kind in $kinds; do
		echo "$kind in $1: $("$(helper death_client)" check \
			"$1/work.$kind" "$ledgers/$kind" 2>&1)"
		"$(helper death_client)" check "$1/work.$kind" \
			"$ledgers/$kind" >/dev/null
	done
}

clear_work() {
	rm -f "$STORE"/work.*
}

programs_at_work() {
	mount_store
	start_work
	kill_daemon
	end_work
	work_is_in "$STORE"
	unmount_dead
	work_is_in "$STORE"
	clear_work
}

mounted_again() {
	mount_store
	start_work
	kill_daemon
	end_work
	unmount_dead
	mount_store
	# The files as they are, and a working filesystem.
	for kind in $kinds; do
		as_user cmp "$MNT/work.$kind" "$STORE/work.$kind"
	done
	as_user touch "$MNT/after"
	[[ -e $STORE/after ]]
	unmount_store
	clear_work
}

every_operation_ends() {
	mount_store
	client_new
	expect 0 'ok *' open 0 "$MNT/held" rw,create
	expect 0 'ok *' open 1 "$MNT/mapped" rw,create
	expect 0 'ok *' write 0 0 8192 65
	expect 0 'ok *' truncate 1 65536
	expect 0 'ok *' map 1 65536 rw
	expect 0 'ok *' poke 1 0 4096 66
	kill_daemon
	# These need the daemon.
	expect 0 "$gone" stat "$MNT/never_seen" 1
	expect 0 "$gone" open 2 "$MNT/held" rw
	expect 0 "$gone" open 2 "$MNT/new" rw,create
	expect 0 "$gone" fsync 0
	expect 0 "$gone" fdatasync 0
	expect 0 "$gone" truncate 0 100
	expect 0 "$gone" fallocate 0 0 1000000
	# These are the kernel's own where it has the store file.
	for line in 'write 0 0 4096 67' 'read 0 0 4096' 'read 0 1048576 4096' \
		'write 0 1048576 4096 67' 'peek 1 40960' 'poke 1 40960 1 67' \
		'msync 1' 'size 0' 'lock 0 try' 'flock 0 try' 'unmap 1'; do
		expect 0 '@(ok *|err @(ENOTCONN|ECONNABORTED|EIO|SIGBUS) *)' \
			"$line"
	done
	expect 0 '@(ok *|err *)' close 0
	expect 0 '@(ok *|err *)' close 1
	client_end 0
	unmount_dead
}

# The answer may be an error; if it is success, the store has the data.
late_syncs_tell_the_truth() {
	mount_store
	client_new
	expect 0 'ok *' open 0 "$MNT/late" rw,create
	expect 0 'ok *' write 0 0 4096 65
	expect 0 'ok *' open 1 "$MNT/late_map" rw,create
	expect 0 'ok *' truncate 1 65536
	expect 0 'ok *' map 1 65536 rw
	expect 0 'ok *' poke 1 0 65536 65
	expect 0 'ok *' msync 1
	expect 0 'ok *' write 0 0 4096 66
	expect 0 'ok *' poke 1 4096 4096 66
	kill_daemon
	for _ in 1 2 3; do
		ask 0 fsync 0
		[[ $REPLY != TIMEOUT ]]
		[[ $REPLY != ok* ]] || holds "$STORE/late" 0
		ask 0 msync 1
		[[ $REPLY != TIMEOUT ]]
		[[ $REPLY != ok* ]] || holds "$STORE/late_map" 4096
	done
	# Without any sync: what write(2) took is in the store's page cache.
	holds "$STORE/late" 0
	client_end 0
	unmount_dead
}

# 4096 times B in file $1 at offset $2.
holds() {
	cmp -n 4096 -i "$2:0" "$1" <(tr '\0' B </dev/zero)
}

a_lock_is_no_trap() {
	mount_store
	client_new
	client_new
	client_new
	for client in 0 1 2; do
		expect "$client" 'ok *' open 0 "$MNT/locked" rw,create
	done
	expect 0 'ok *' lock 0 wait
	expect 0 'ok *' flock 0 wait
	tell 1 lock 0 wait
	tell 2 flock 0 wait
	sleep 0.2
	kill_daemon
	sleep 0.2
	# Locks are the kernel's own: they are waited for until they are free.
	expect 0 '@(ok *|err *)' close 0
	for client in 1 2; do
		reply "$client"
		[[ $REPLY == @(ok *|err @(ENOTCONN|EIO|EINTR) *) ]] ||
			{ echo "client $client: $REPLY"; exit 1; }
		client_end "$client"
	done
	client_end 0
	unmount_dead
}

requests_under_way_end() {
	as_user dd if=/dev/zero of="$STORE/big" bs=1M count=1 status=none
	mount_store
	for client in 0 1 2; do
		client_new
		expect "$client" 'ok *' open 0 "$MNT/big" rw
	done
	kill -STOP "$DAEMON_PID"
	tell 0 fsync 0
	tell 1 truncate 0 5000
	tell 2 open 1 "$MNT/more" rw,create
	sleep 0.3
	kill_daemon
	for client in 0 1 2; do
		reply "$client"
		# shellcheck disable=SC2053
		[[ $REPLY == $gone ]] ||
			{ echo "client $client: $REPLY"; exit 1; }
		client_end "$client"
	done
	unmount_dead
	rm "$STORE/big"
}

a_busy_mountpoint_is_detached() {
	mount_store
	client_new
	expect 0 'ok *' open 0 "$MNT/busy" rw,create
	kill_daemon
	unmount_dead -z
	mount_store
	as_user touch "$MNT/fresh"
	[[ -e $STORE/fresh ]]
	ask 0 fsync 0
	# shellcheck disable=SC2053
	[[ $REPLY == $gone ]]
	client_end 0
	unmount_store
}

# Who waits for its end has nothing of the store, nor its lock.
the_helper_holds_no_store() {
	local comm found=
	for comm in /proc/[0-9]*/comm; do
		[[ $(cat "$comm" 2>/dev/null) == fusermount3 ]] &&
			grep -qzxF -- "$MNT" "${comm%comm}cmdline" || continue
		found=yes
		! find "${comm%comm}fd" -lname "$STORE" | grep . || return 1
	done
	[[ -n $found ]]
}

# Again and again: fusermount3 looks once, at the moment of the death.
auto_unmount_removes_the_mount() {
	local round
	for round in 1 2 3 4 5 6; do
		mount_store auto_unmount
		the_helper_holds_no_store
		as_user touch "$MNT/auto$round"
		kill_daemon
		wait_until 10 is_unmounted || {
			echo "round $round: still mounted after 10 s"
			grep "$MNT" /proc/self/mountinfo
			exit 1
		}
		[[ -e $STORE/auto$round ]]
	done
}

is_unmounted() {
	! harness_is_mounted "$MNT"
}

# Still open and mapped: the mount is detached, the files are whole.
sigterm_saves_dirty_mappings() {
	mount_store
	client_new
	expect 0 'ok *' open 0 "$MNT/dirty" rw,create
	expect 0 'ok *' truncate 0 1048576
	expect 0 'ok *' map 0 1048576 rw
	expect 0 'ok *' poke 0 0 1048576 66
	expect 0 'ok *' open 1 "$MNT/unsynced" rw,create
	expect 0 'ok *' write 1 0 4096 66 256
	kill -TERM "$DAEMON_PID"
	wait_until 20 test -s "${MNT%/mnt}/status"
	is_unmounted
	unmount_store
	cmp -n 1048576 "$STORE/dirty" <(tr '\0' B </dev/zero)
	cmp -n 1048576 "$STORE/unsynced" <(tr '\0' B </dev/zero)
	client_end 0
}

sigterm_at_work() {
	mount_store
	start_work
	kill -TERM "$DAEMON_PID"
	wait_until 20 test -s "${MNT%/mnt}/status"
	is_unmounted
	end_work
	unmount_store
	work_is_in "$STORE"
	clear_work
}

make_store || bail "no $FS store"
t programs_at_work_end_and_were_told_the_truth programs_at_work
t the_mountpoint_can_be_mounted_again mounted_again
t every_operation_ends_after_the_kill every_operation_ends
t a_sync_after_the_kill_tells_the_truth late_syncs_tell_the_truth
t a_lock_that_is_waited_for_is_no_trap a_lock_is_no_trap
t requests_under_way_end_with_an_error requests_under_way_end
t a_busy_dead_mountpoint_can_be_detached a_busy_mountpoint_is_detached
if [[ -z $AS_USER ]]; then
	t auto_unmount_removes_a_dead_mount auto_unmount_removes_the_mount
else
	skip auto_unmount_removes_a_dead_mount "n/a: fusermount3 looks at it \
as root, which is not allowed on a mount without allow_other"
fi
t sigterm_saves_what_is_dirty_in_mappings sigterm_saves_dirty_mappings
t sigterm_keeps_every_promise_to_programs_at_work sigterm_at_work
t the_store_is_given_back drop_store
done_testing
