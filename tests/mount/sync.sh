#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# When data is synced, and what a program's fsync means: shown by which pages
# of the store are dirty, by cachestat(2), and by the daemon's counters.
#
# The kernel writes dirty pages by itself after 30 seconds, so what is clean
# within LIMIT was synced by the daemon, and what must stay dirty is looked at
# before that.
# shellcheck source=tests/lib/harness.sh
source "$(dirname "$0")/../lib/harness.sh"
# shellcheck source=tests/lib/control.sh
source "$SRCDIR/tests/lib/control.sh"
# shellcheck source=tests/mount/programs/client.sh
source "$SRCDIR/tests/mount/programs/client.sh"

MIB=$((1 << 20))
LIMIT=15
shopt -s extglob

# written NAME [FLAGS]: a client has it open and has written 1 MiB.
written() {
	client_new
	expect "$CLIENT" 'ok *' open 0 "$MNT/$1" "rw,create${2:+,$2}"
	expect "$CLIENT" 'ok 1048576' write 0 0 65536 65 16
}

# still N FILE: so many pages are unwritten, and nobody has synced them. Not
# asked where the disk is the machine's: others may sync that at any time.
still() {
	[[ $FS == dir ]] || is "$1" unwritten "$2"
}

# A store file of 1 MiB, all of it.
is_dirty() {
	still 256 "$STORE/$1"
}

is_clean() {
	is 0 unwritten "$STORE/$1"
	cmp -n "${2:-1048576}" "$STORE/$1" <(tr '\0' A </dev/zero)
}

# counted KEY: by how much it grew since counts_mark.
counts_mark() {
	value "$MNT" stats >"$BASE/stats.mark"
}

counted() {
	local before
	before=$(sed -n "s/^${1//./\\.}=//p" "$BASE/stats.mark")
	echo $(($(stats "$1") - before))
}

# --- by time, by amount, at close --------------------------------------------

every_syncs_in_time() {
	counts_mark
	written data
	is_dirty data
	is '* 256 256 *' value "$MNT/data" residency
	becomes "$LIMIT" 0 unwritten "$STORE/data"
	is '* 256 0 0 *' value "$MNT/data" residency
	is_clean data
	at_least 1 counted sync.scheduled
	is 0 counted sync.errors
	becomes 5 '[0-9]*.[0-9]*' status "$MNT/data" sync.last
	at_least 1 status "$MNT/data" sync.took
	at_least 1 status "$MNT/data" count.syncs
	# And again, after it was clean.
	expect 0 'ok 65536' write 0 0 65536 65
	becomes "$LIMIT" 0 unwritten "$STORE/data"
	at_least 2 counted sync.scheduled
	client_end 0
}

# Closed while still dirty, and nobody has it open any more.
every_syncs_closed_files() {
	written data
	client_end 0
	becomes "$LIMIT" 0 unwritten "$STORE/data"
	is_clean data
}

# While one page is written all the time, another becomes durable.
every_syncs_under_constant_writing() {
	written data
	becomes "$LIMIT" 0 unwritten "$STORE/data"
	expect 0 'ok 4096' write 0 0 4096 66
	is '1' dirty "$STORE/data" 0 4096
	(
		trap - EXIT
		while [[ ! -e $BASE/enough ]]; do
			tell 0 write 0 524288 4096 67 200
			reply 0
			[[ $REPLY == ok* ]] || exit 1
		done
	) &
	does "$LIMIT" written_page "$STORE/data"
	counts_mark
	# It goes on and on.
	does "$LIMIT" counted_at_least 3 sync.scheduled
	: >"$BASE/enough"
	wait $!
	client_end 0
	becomes "$LIMIT" 0 unwritten "$STORE/data"
}

written_page() {
	[[ $("$HELPERS/pages" count "$1" 0 4096) == '1 0 0 '* ]]
}

counted_at_least() {
	[[ $(counted "$2") -ge $1 ]]
}

# Of a mapping that a program writes to.
every_syncs_mapped_writes() {
	written data
	expect 0 'ok 1048576' map 0 1048576 rw
	becomes "$LIMIT" 0 unwritten "$STORE/data"
	expect 0 'ok 8192' poke 0 8192 8192 66
	# The daemon path's pages are the mount's first; msync(2) or the
	# kernel brings them to the store.
	if [[ $usual_path == daemon ]]; then
		expect 0 'ok 0' msync 0
	fi
	becomes "$LIMIT" 0 unwritten "$STORE/data"
	cmp -n 8192 -i 8192:0 "$STORE/data" <(tr '\0' B </dev/zero)
	client_end 0
}

# less_than N COMMAND...: prints 1 if it prints a number less than N.
less_than() {
	local most=$1
	shift
	[[ $("$@") -lt $most ]] && echo 1
}

amounts_sync_early() {
	counts_mark
	client_new
	expect 0 'ok *' open 0 "$MNT/data" rw,create
	expect 0 'ok 524288' write 0 0 65536 65 8
	sleep 3
	still 128 "$STORE/data"
	is 0 counted sync.scheduled
	expect 0 'ok 2097152' write 0 524288 65536 65 32
	# What comes after the sync's begin waits for the next.
	becomes "$LIMIT" 1 less_than 256 unwritten "$STORE/data"
	at_least 1 counted sync.scheduled
	is 'ok 0' xattr set "$MNT/data" sync.now wait
	# A new count begins.
	expect 0 'ok 65536' write 0 0 65536 65
	sleep 2
	still 16 "$STORE/data"
	client_end 0
}

# Written by copy_file_range(2), which comes as one request.
copies_sync_early() {
	head -c 4M /dev/urandom | as_user dd of="$STORE/source" bs=1M \
		iflag=fullblock status=none
	client_new
	expect 0 'ok *' open 0 "$MNT/copy" rw,create
	counts_mark
	as_user xfs_io -c "copy_range $MNT/source" "$MNT/copy" >/dev/null
	cmp "$STORE/source" "$STORE/copy"
	becomes "$LIMIT" '[1-9]*' counted sync.scheduled
	client_end 0
}

# It may have got its name meanwhile.
the_last_close_of_an_unnamed_file_syncs() {
	counts_mark
	as_user xfs_io -T -c 'pwrite 0 64k' -c "flink $MNT/named" "$MNT" \
		>/dev/null
	# It was told of the close, and not of what came after it only.
	at_least 1 counted requests.FLUSH
	still 0 "$STORE/named"
}

# With fsync=honor the close waits: that of the last who can write.
the_last_close_syncs() {
	written data
	expect 0 'ok *' open 1 "$MNT/data" ro
	expect 0 'ok *' open 2 "$MNT/data" wo
	is_dirty data
	counts_mark
	# A reader's says nothing about the writers.
	expect 0 'ok 0' close 1
	sleep 0.3
	is_dirty data
	is 0 counted sync.at_close
	expect 0 'ok 0' close 0
	expect 0 'ok 65536' write 2 0 65536 65
	expect 0 'ok 0' close 2
	is_clean data
	at_least 1 counted sync.at_close
	# What is clean costs nothing.
	counts_mark
	expect 0 'ok *' open 0 "$MNT/data" ro
	expect 0 'ok 4096' read 0 0 4096
	expect 0 'ok 0' close 0
	expect 0 'ok *' open 0 "$MNT/data" rw
	expect 0 'ok 0' close 0
	sleep 0.3
	is 0 counted sync.at_close
	client_end 0
}

# With fsync=defer it doesn't.
the_last_close_hands_over() {
	counts_mark
	written data
	is_dirty data
	expect 0 'ok 0' close 0
	becomes "$LIMIT" 0 unwritten "$STORE/data"
	is_clean data
	is 1 counted sync.at_close
	client_end 0
}

ten_thousand_files_are_synced() {
	local began
	as_user mkdir "$MNT/many" "$MNT/never"
	is 'ok 0' xattr set "$MNT/never" sync manual
	# What nobody syncs stays dirty for that long.
	as_user "$(helper many_files)" make "$MNT/never" 1000
	# btrfs is an exception: it writes most of the small ones early.
	at_least "$([[ $FS == btrfs ]] && echo 1 || echo 1000)" \
		unwritten "$STORE/never"
	began=${EPOCHREALTIME/./}
	counts_mark
	as_user "$(helper many_files)" make "$MNT/many" 10000
	echo "made after $(((${EPOCHREALTIME/./} - began) / 1000)) ms"
	becomes "$LIMIT" 0 unwritten "$STORE/many"
	echo "clean after $(((${EPOCHREALTIME/./} - began) / 1000)) ms"
	at_least 1 counted sync.scheduled
	as_user rm -r "$MNT/many" "$MNT/never"
}

# --- fsync -------------------------------------------------------------------

# What fsync and its kin are to the store, each time: nothing more or less.
syncs_traced() {
	traced "$1" fsync,fdatasync,msync,sync_file_range,syncfs,sync
}

# trace_count: calls that began.
trace_count() {
	grep -cE ' (fsync|fdatasync|msync|sync_file_range|syncfs|sync)\(' \
		"$TRACED"
}

strict_is_native() {
	counts_mark
	written data
	is_dirty data
	sleep 1
	is_dirty data
	if command -v strace >/dev/null; then
		syncs_traced strict
		expect 0 'ok 0' fsync 0
		expect 0 'ok 65536' write 0 0 65536 65
		expect 0 'ok 0' fdatasync 0
		is 2 trace_count
		untraced
	else
		expect 0 'ok 0' fsync 0
		expect 0 'ok 65536' write 0 0 65536 65
		expect 0 'ok 0' fdatasync 0
	fi
	is_clean data
	is 2 counted fsync.honored
	is 0 counted fsync.deferred
	is 0 counted fsync.grouped
	expect 0 'ok 65536' write 0 0 65536 65
	expect 0 'ok 0' close 0
	sleep 0.5
	still 16 "$STORE/data"
	is 0 counted sync.scheduled
	is 0 counted sync.at_close
	client_end 0
}

# Whoever asks a file for its times has its next change get times of its own,
# and then the next fsync commits the file system's journal, which it else need
# not (inode_look() in os/inode.h). Half as many fsyncs a second on ext4.
fsyncs_ask_for_no_times() {
	local round
	command -v strace >/dev/null || {
		echo "strace is not installed"
		return 1
	}
	written data
	expect 0 'ok 0' fsync 0
	traced times fsync,fstat,newfstatat
	for ((round = 0; round < 20; round++)); do
		expect 0 'ok 4096' write 0 0 4096 66
		expect 0 'ok 0' fsync 0
	done
	untraced
	is 20 grep -cE ' fsync\(' "$TRACED"
	is 0 grep -cE ' (fstat|newfstatat)\(' "$TRACED"
	client_end 0
}

a_deferred_fsync_returns_at_once() {
	written data
	counts_mark
	expect 0 'ok 0' fsync 0
	is_dirty data
	expect 0 'ok 0' fdatasync 0
	is_dirty data
	is 2 counted fsync.deferred
	is 0 counted fsync.honored
	client_end 0
	sleep 1
	is_dirty data
	is 0 counted sync.scheduled
	is 0 counted sync.at_close
}

# With delays of half a second for the disk's flush, a deferred one takes none.
a_deferred_fsync_of_a_directory_returns_at_once() {
	as_user mkdir "$MNT/dir"
	counts_mark
	as_user sync "$MNT/dir"
	is 1 counted fsync.deferred
	is 'ok 0' xattr set "$MNT/dir" sync strict
	as_user sync "$MNT/dir"
	is 1 counted fsync.deferred
	is 1 counted fsync.honored
}

# Eight at a time, fifty times.
fsyncs_share_a_flush() {
	counts_mark
	is 400 as_user "$(helper syncers)" "$MNT" "$STORE" 8 50
	is 400 counted fsync.grouped
	is 0 counted fsync.honored
	echo "$(counted group.flushes) flushes"
	at_least 50 counted group.flushes
	at_most 130 counted group.flushes
}

# One alone doesn't wait for others that don't come, and is durable.
a_lonely_group_fsync_is_durable() {
	written data
	is_dirty data
	counts_mark
	expect 0 'ok 0' fsync 0
	is_clean data
	is 1 counted fsync.grouped
	is 1 counted group.flushes
	client_end 0
}

# --- programs' own means -----------------------------------------------------

# O_SYNC and O_DSYNC, and msync, as they are without us.
synchronous_writes_are_durable() {
	local flag client=-1
	for flag in sync dsync; do
		client=$((client + 1))
		client_new
		expect "$client" 'ok *' open 0 "$MNT/data.$flag" \
			"rw,create,$flag"
		expect "$client" 'ok 65536' write 0 0 65536 65
		is_clean "data.$flag" 65536
		client_end "$client"
	done
}

msync_is_durable() {
	written data
	expect 0 'ok 0' fsync 0
	expect 0 'ok 1048576' map 0 1048576 rw
	expect 0 'ok 8192' poke 0 8192 8192 66
	expect 0 'ok 0' msync 0
	is 0 unwritten "$STORE/data"
	cmp -n 8192 -i 8192:0 "$STORE/data" <(tr '\0' B </dev/zero)
	client_end 0
}

# With fsync=defer: the kernel path's go past the daemon and are honoured, the
# daemon path's are the kernel's fsyncs, and deferred like any.
synchronous_writes_while_fsync_is_deferred() {
	counts_mark
	client_new
	expect 0 'ok *' open 0 "$MNT/data" rw,create,dsync
	expect 0 'ok 65536' write 0 0 65536 65
	if [[ $usual_path == kernel ]]; then
		is_clean data 65536
		is 0 counted fsync.deferred
	else
		at_least 1 counted fsync.deferred
	fi
	client_end 0
}

# --- sync.now ----------------------------------------------------------------

sync_now_wait_is_durable() {
	written data
	is_dirty data
	counts_mark
	is 'ok 0' xattr set "$MNT/data" sync.now wait
	is_clean data
	is 1 counted sync.explicit
	becomes 5 '[0-9]*.[0-9]*' status "$MNT/data" sync.last
	# Of a file that nobody has open.
	expect 0 'ok 65536' write 0 0 65536 65
	client_end 0
	still 16 "$STORE/data"
	is 'ok 0' xattr set "$MNT/data" sync.now 'wait\n'
	is_clean data
}

sync_now_start_starts() {
	written data
	is_dirty data
	is 'ok 0' xattr set "$MNT/data" sync.now start
	becomes "$LIMIT" 0 unwritten "$STORE/data"
	client_end 0
}

sync_now_invalidate_drops() {
	written data
	is 'ok 0' xattr set "$MNT/data" sync.now wait+invalidate
	is 0 unwritten "$STORE/data"
	is 0 resident "$STORE/data"
	expect 0 'ok 65536' expect 0 0 65536 65
	expect 0 'ok 1048576' write 0 0 65536 66 16
	# What is not written yet can't be dropped, and stays.
	is 'ok 0' xattr set "$MNT/data" sync.now start+invalidate
	becomes "$LIMIT" 0 unwritten "$STORE/data"
	expect 0 'ok 65536' expect 0 0 65536 66
	is 'ok 0' xattr set "$MNT/data" sync.now wait+invalidate
	cmp -n 1048576 "$STORE/data" <(tr '\0' B </dev/zero)
	client_end 0
}

# VERB: the one of two dirty parts.
sync_now_takes_a_range() {
	client_new
	as_user truncate -s 16M "$STORE/data"
	"$HELPERS/pages" evict "$STORE/data"
	expect 0 'ok *' open 0 "$MNT/data" rw
	expect 0 'ok 1048576' write 0 0 65536 65 16
	expect 0 'ok 1048576' write 0 $((8 * MIB)) 65536 65 16
	is 512 dirty "$STORE/data"
	is 'ok 0' xattr set "$MNT/data" sync.now "$1@8M+512K"
	becomes "$2" '128 0 0 *' "$HELPERS/pages" count "$STORE/data" \
		$((8 * MIB)) $((MIB / 2))
	if [[ $FS == btrfs ]]; then
		echo "btrfs syncs all of a file that has grown"
	else
		is '256 256 0 *' "$HELPERS/pages" count "$STORE/data" 0 "$MIB"
		is '128 128 0 *' "$HELPERS/pages" count "$STORE/data" \
			$((8 * MIB + MIB / 2)) $((MIB / 2))
		is 384 dirty "$STORE/data"
	fi
	client_end 0
}

sync_now_of_the_root_takes_everything() {
	as_user mkdir -p "$MNT/tree/deep"
	as_user "$(helper many_files)" make "$MNT/tree" 500
	written tree/deep/open
	at_least 256 unwritten "$STORE/tree"
	is 'ok 0' xattr set "$MNT" sync.now wait
	is 0 unwritten "$STORE/tree"
	client_end 0
	as_user rm -r "$MNT/tree"
}

# --- ends --------------------------------------------------------------------

dirty_files() {
	as_user mkdir "$MNT/tree"
	as_user "$(helper many_files)" make "$MNT/tree" 200
	as_user dd if=/dev/zero of="$MNT/tree/large" bs=1M count=4 status=none
	at_least 1000 unwritten "$STORE/tree"
}

# Also what was written through a mapping that is still there.
SIGTERM_leaves_nothing_dirty() {
	mount_store "$MOUNT_OPTIONS"
	dirty_files
	kill -TERM "$DAEMON_PID"
	does "$harness_wait" test -s "${MNT%/mnt}/status"
	is 0 cat "${MNT%/mnt}/status"
	is 0 unwritten "$STORE/tree"
	rm -r "$STORE/tree"
}

an_unmount_leaves_nothing_dirty() {
	mount_store "$MOUNT_OPTIONS"
	dirty_files
	unmount_store
	is 0 unwritten "$STORE/tree"
	rm -r "$STORE/tree"
}

# --- nothing for nothing -----------------------------------------------------

# Clean, and open by who could write it; then not even that.
clean_files_and_idle_mounts_cost_nothing() {
	local open
	written data
	expect 0 'ok *' open 1 "$MNT/data" wo
	expect 0 'ok *' open 2 "$MNT/data" ro
	becomes "$LIMIT" 0 unwritten "$STORE/data"
	# What is mapped is written unseen, and so is a mapping that may come.
	expect 0 'ok 0' close 0
	for open in yes no; do
		if [[ $open == no ]]; then
			client_end 0
		elif [[ $usual_path == kernel ]]; then
			# Nobody sees a write: a look now and then must be.
			continue
		fi
		sleep 1
		counts_mark
		echo "open for writing: $open"
		sleeps_soundly || sleeps_soundly || sleeps_soundly
		is 0 counted sync.scheduled
		is 0 counted scheduler.wakes
	done
}

# Nothing wakes the daemon for three seconds. A timer of its own would, each
# time; the kernel may once, with the inodes that it forgets.
sleeps_soundly() {
	local before after
	# Until what served the last request has gone to sleep.
	sleep 1
	before=$(daemon_sleeps)
	sleep 3
	after=$(daemon_sleeps)
	[[ $after -eq $before ]] && return 0
	echo "woken $((after - before)) times"
	return 1
}

# Open for writing, where it has to be looked at: no sync of what is clean.
clean_files_are_not_synced() {
	written data
	becomes "$LIMIT" 0 unwritten "$STORE/data"
	sleep 1
	counts_mark
	if command -v strace >/dev/null; then
		syncs_traced clean
		sleep 2
		# The daemon path has the mount's own pages written (syncfs).
		is 0 grep -cE ' (f(data)?sync|msync|sync_file_range)\(' \
			"$TRACED"
		[[ $usual_path == daemon ]] || is 0 trace_count
		untraced
	else
		sleep 2
	fi
	is 0 counted sync.scheduled
	client_end 0
}

# --- errors ------------------------------------------------------------------

# An ext4 on a disk that gets bad where store file "bad" has its data.
trouble_store() {
	local dir start
	dir=$(mktemp -d "$BASE/trouble.XXXXXX")
	control=$dir/control
	troubled_disk "$dir" 128M
	head -c 1M /dev/zero | tr '\0' A >"$STORE/bad"
	head -c 1M /dev/zero | tr '\0' A >"$STORE/good"
	sync -f "$STORE"
	start=$(filefrag -v "$STORE/bad" |
		awk '$1 == "0:" { sub(/\.+$/, "", $4); print $4 }')
	bad="$((start * 4096)) 1048576"
	mount_store "$MOUNT_OPTIONS"
}

# The daemon may end with status 1: something could not be kept.
trouble_store_ends() {
	local dir=${STORE%/fs/store}
	unmount_store || is 1 cat "${MNT%/mnt}/status"
	harness_log_is_clean "$LOG"
	umount "$dir/fs"
	umount "$dir/disk"
	rm -r "$dir"
}

# Nobody waits when the error happens; every handle hears of it, once.
an_error_in_the_background_is_told() {
	trouble_store
	is 0 status "$MNT/bad" errors
	is - status "$MNT/bad" error.last
	client_new
	client_new
	expect 0 'ok *' open 0 "$MNT/bad" rw
	expect 0 'ok *' open 1 "$MNT/bad" ro
	expect 1 'ok *' open 0 "$MNT/bad" rw
	expect 0 'ok *' open 2 "$MNT/good" rw
	echo "$bad" >"$control/bad"
	expect 0 'ok 1048576' write 0 0 65536 66 16
	does "$LIMIT" has_failed bad
	is 'EIO*' status "$MNT/bad" error.last
	at_least 1 stats sync.errors
	rm "$control/bad"
	# The device is good again; the data of then is lost all the same.
	expect 0 'err EIO *' fsync 0
	expect 0 'ok 0' fsync 0
	expect 0 'err EIO *' fsync 1
	expect 0 'ok 0' fsync 1
	expect 1 'err EIO *' fdatasync 0
	expect 1 'ok 0' fdatasync 0
	# Not the business of another file, or of who comes later.
	expect 0 'ok 0' fsync 2
	expect 1 'ok *' open 1 "$MNT/bad" rw
	expect 1 'ok 0' fsync 1
	expect 1 'ok 1048576' write 1 0 65536 67 16
	expect 1 'ok 0' fsync 1
	client_end 0
	client_end 1
	"$HELPERS/pages" evict "$STORE/bad"
	cmp -n 1048576 "$STORE/bad" <(tr '\0' C </dev/zero)
	trouble_store_ends
}

has_failed() {
	[[ $(status "$MNT/$1" errors) -ge 1 ]]
}

# Who waits is told at once: sync.now, an honoured fsync, a close that syncs.
an_error_is_told_to_who_waits() {
	trouble_store
	client_new
	expect 0 'ok *' open 0 "$MNT/bad" rw
	echo "$bad" >"$control/bad"
	expect 0 'ok 65536' write 0 0 65536 66
	is 'err EIO' xattr set "$MNT/bad" sync.now wait
	is 'EIO*' status "$MNT/bad" error.last
	expect 0 'err EIO *' fsync 0
	expect 0 'ok 65536' write 0 0 65536 66
	expect 0 'err EIO *' fsync 0
	expect 0 'ok 65536' write 0 0 65536 66
	expect 0 'err EIO *' close 0
	rm "$control/bad"
	client_end 0
	trouble_store_ends
}

a_group_is_told_of_its_errors() {
	trouble_store
	client_new
	expect 0 'ok *' open 0 "$MNT/bad" rw
	expect 0 'ok *' open 1 "$MNT/good" rw
	echo "$bad" >"$control/bad"
	expect 0 'ok 65536' write 0 0 65536 66
	expect 0 'ok 65536' write 1 0 65536 66
	expect 0 'err EIO *' fsync 0
	expect 0 'ok 0' fsync 1
	rm "$control/bad"
	expect 0 'ok 65536' write 0 0 65536 67
	expect 0 'ok 0' fsync 0
	client_end 0
	trouble_store_ends
}

# The disk's own count: what group saves is flushes.
one_flush_of_the_disk_serves_many() {
	local flushes
	trouble_store
	echo 0.02 >"$control/delay"
	: >"$control/flushes"
	is 200 "$(helper syncers)" "$MNT" "$STORE" 8 25
	flushes=$(wc -l <"$control/flushes")
	echo "$flushes flushes of the disk for 200 fsyncs"
	[[ $flushes -gt 0 && $flushes -le 100 ]]
	rm "$control/delay"
	trouble_store_ends
}

# --- which of them -----------------------------------------------------------

# sync_case SYNC NAME COMMAND...: with that policy as the mount's default.
sync_case() {
	MOUNT_OPTIONS=sync=$1
	t "$2" "${@:3}"
	as_user find "$STORE" -mindepth 1 -delete
}

make_store || bail "no $FS store"
has_cachestat || skip_all "this kernel has no cachestat(2)"
[[ $(stat -f -c %T "$STORE") != tmpfs ]] ||
	skip_all "n/a: nothing in a tmpfs is ever dirty"

sync_case every=1s every_syncs_in_time mounted every_syncs_in_time
sync_case fsync=defer+every=500ms every_syncs_files_that_are_closed \
	mounted every_syncs_closed_files
sync_case every=500ms every_syncs_under_constant_writing \
	mounted every_syncs_under_constant_writing
sync_case every=500ms every_syncs_what_is_written_to_a_mapping \
	mounted every_syncs_mapped_writes
sync_case dirty=1M an_amount_of_dirty_data_is_synced_early \
	mounted amounts_sync_early
# What a reflink shares is not dirty.
case $FS in
ext4 | tmpfs)
	sync_case dirty=1M an_amount_that_was_copied_is_synced_early \
		mounted copies_sync_early
	;;
*)
	skip an_amount_that_was_copied_is_synced_early \
		"n/a: $FS copies by sharing"
	;;
esac
sync_case close the_last_close_syncs_and_waits mounted the_last_close_syncs
sync_case close the_last_close_of_an_unnamed_file_syncs \
	mounted the_last_close_of_an_unnamed_file_syncs
sync_case fsync=defer+close the_last_close_hands_over_when_fsync_is_deferred \
	mounted the_last_close_hands_over
sync_case fsync=defer+every=1s ten_thousand_dirty_files_are_synced \
	mounted ten_thousand_files_are_synced

sync_case strict strict_is_as_native mounted strict_is_native
sync_case strict a_strict_fsync_asks_for_no_times \
	mounted fsyncs_ask_for_no_times
sync_case fsync=group:5ms a_group_fsync_asks_for_no_times \
	mounted fsyncs_ask_for_no_times
sync_case manual a_deferred_fsync_returns_at_once \
	mounted a_deferred_fsync_returns_at_once
sync_case manual a_deferred_fsync_of_a_directory_returns_at_once \
	mounted a_deferred_fsync_of_a_directory_returns_at_once
sync_case fsync=group:20ms fsyncs_of_many_share_a_flush \
	mounted fsyncs_share_a_flush
sync_case fsync=group:5ms a_lonely_group_fsync_is_durable \
	mounted a_lonely_group_fsync_is_durable

sync_case strict synchronous_writes_are_durable \
	mounted synchronous_writes_are_durable
sync_case strict msync_is_durable mounted msync_is_durable
sync_case manual synchronous_writes_while_fsync_is_deferred \
	mounted synchronous_writes_while_fsync_is_deferred

sync_case manual sync_now_wait_is_durable mounted sync_now_wait_is_durable
sync_case manual sync_now_start_starts_writeback mounted sync_now_start_starts
sync_case manual sync_now_invalidate_drops_clean_pages \
	mounted sync_now_invalidate_drops
sync_case manual sync_now_wait_takes_a_range \
	mounted sync_now_takes_a_range wait 0
sync_case manual sync_now_start_takes_a_range \
	mounted sync_now_takes_a_range start "$LIMIT"
sync_case manual sync_now_of_the_root_takes_everything \
	mounted sync_now_of_the_root_takes_everything

sync_case manual SIGTERM_leaves_nothing_dirty SIGTERM_leaves_nothing_dirty
sync_case manual an_unmount_leaves_nothing_dirty \
	an_unmount_leaves_nothing_dirty
if [[ $SANITIZER == thread ]]; then
	skip an_idle_mount_wakes_for_nothing \
		"n/a: the sanitizer has a thread of its own that wakes"
else
	sync_case every=200ms an_idle_mount_wakes_for_nothing \
		mounted clean_files_and_idle_mounts_cost_nothing
fi
sync_case every=200ms a_clean_file_is_not_synced \
	mounted clean_files_are_not_synced
t the_store_is_given_back drop_store

if [[ $EUID -eq 0 && -z $AS_USER ]]; then
	MOUNT_OPTIONS=sync=every=500ms
	t an_error_that_nobody_waited_for_is_told_to_every_handle \
		an_error_in_the_background_is_told
	MOUNT_OPTIONS=sync=close
	t an_error_is_told_to_who_waits an_error_is_told_to_who_waits
	MOUNT_OPTIONS=sync=fsync=group:5ms
	t a_group_is_told_of_its_errors a_group_is_told_of_its_errors
	MOUNT_OPTIONS=sync=fsync=group:20ms
	t one_flush_of_the_disk_serves_many one_flush_of_the_disk_serves_many
else
	skip errors_of_the_device_are_told "a loop device needs root"
fi
done_testing
