#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Each call by which the daemon touches its store is failed in turn: the
# client gets the errno or the daemon's fallback, nothing hangs, leaks or is
# lost. A preloaded library fails the calls, fault_driver says which.
#
#   FS=ext4 DATA=kernel tests/fault/fault.sh [STEP...]
#
# Of several like calls the first and the last are failed; FAULT_ALL=1 takes
# every one, with every errno that fits it.
# shellcheck disable=SC2034,SC2154
: "${CASE_LIMIT:=${FAULT_ALL:+3600}}"
# shellcheck source=tests/lib/harness.sh
. "$(dirname "$0")/../lib/harness.sh"

[[ $EUID -eq 0 && -z $AS_USER ]] || skip_all "fault tests need root"
driver=$(helper fault_driver) || bail "fault_driver is not built"
preload=$(helper fault_preload.so) || bail "fault_preload.so is not built"
wanted=("$@")
[[ ${#wanted[@]} -gt 0 ]] || mapfile -t wanted < <("$driver" steps)

# A sanitizer's library has to come first.
runtime() {
	[[ -n $SANITIZER ]] || return
	ldd "$MSYNCFS" | awk '/lib[at]san/ { print $3 ":" }'
}

# Tells how many requests wait; seen in this namespace only.
connections=/sys/fs/fuse/connections
[[ -d $connections/. && -n $(ls "$connections") ]] ||
	mount -t fusectl fusectl "$connections" ||
	bail "no fusectl at $connections"

control=$BASE/control
# faulty VARIABLE...: what is put before the daemon.
faulty() {
	echo env "LD_PRELOAD=$(runtime)$preload" "FAULT_CONTROL=$control" "$@"
}

mount_faulty() {
	"$driver" new "$control"
	DAEMON_WRAP=$(faulty "$@")
	mount_store -o threads=2 || bail "no mount"
	# Has the second thread started, which would look like a leak later.
	echo x >"$MNT/first"
	sync "$MNT/first"
	rm "$MNT/first"
}

sweep() {
	"$driver" sweep "$control" "$STORE" "$MNT" "$DAEMON_PID" "$1" "$2" \
		| tee -a "${FAULT_LOG:-/dev/null}"
	return "${PIPESTATUS[0]}"
}

# sweep_all NAME DEPTH VARIABLE...
# A daemon that failed one step is no witness for the next.
sweep_all() {
	local step failed=$tap_failed depth=${FAULT_ALL:+all}
	mount_faulty "${@:3}"
	for step in "${wanted[@]}"; do
		if [[ $tap_failed -gt $failed ]]; then
			failed=$tap_failed
			timeout 20 umount "$MNT" || umount -l "$MNT"
			mount_faulty "${@:3}"
		fi
		t "each_call_of_${step}_fails_$1" sweep "$step" "${depth:-$2}"
	done
	t "the_daemon_whose_calls_failed_$1_ends_well" unmount_store
}

# --- the daemon's start and end --------------------------------------------

# One call of the start fails: the daemon says why and leaves nothing, or does
# without it.
start_without() {
	local run
	"$driver" new "$control"
	"$driver" main "$control" "$@"
	DAEMON_WRAP=$(faulty)
	if mount_store -o threads=2 >"$BASE/start" 2>&1; then
		echo works >"$MNT/start"
		[[ $(<"$STORE/start") == works ]]
		rm "$MNT/start"
		unmount_store
		return
	fi
	run=${MNT%/mnt}
	if [[ $(<"$run/status") -ne 1 ]] || ! grep -q '^msyncfs: ' "$LOG" ||
		harness_is_mounted "$MNT"; then
		echo "$*: status $(<"$run/status"), it said:"
		cat "$LOG"
		return 1
	fi
}

# Memory and threads are left out: the start of libfuse and liburcu does not
# outlive the lack of them.
start_without_each() {
	local function count errno number
	"$driver" new "$control"
	"$driver" main "$control" openat 1000000 EIO
	DAEMON_WRAP=$(faulty)
	mount_store -o threads=2
	"$driver" calls "$control" >"$BASE/calls"
	unmount_store
	grep -q '^openat ' "$BASE/calls"
	while read -r function count errno; do
		case $function in
		*alloc | pthread_create | fired) continue ;;
		esac
		for ((number = 0; number < count; number++)); do
			start_without "$function" "$number" "$errno"
		done
	done <"$BASE/calls"
}

failed_sync_at_the_end() {
	mount_faulty
	echo x >"$MNT/file"
	"$driver" main "$control" syncfs 0 EIO
	if unmount_store >"$BASE/end" 2>&1; then
		echo "the daemon ended as if all was well"
		return 1
	fi
	[[ $(<"${MNT%/mnt}/status") -eq 1 ]]
	grep 'Input/output error' "$LOG"
	rm "$STORE/file"
}

# What is not hooked would be called unseen.
unknown_calls() {
	local unknown='readv|preadv2?|pwritev|lstat|fstatat'
	unknown+='|l?chown|fchown|fchmodat|l(get|set|list|remove)xattr|rename'
	unknown+='|renameat|mkdir|rmdir|unlink|remove|symlink|link'
	unknown+='|mknod|mkfifo|creat|sendfile|splice|statfs|posix_fallocate'
	unknown+='|mlock|mlockall|process_madvise|vmsplice|tee|flock'
	nm -D --undefined-only "$MSYNCFS" | awk '{ print $NF }' |
		sed 's/@.*//; s/64$//' | sort -u >"$BASE/imports"
	grep -qx openat "$BASE/imports"
	! grep -xE "$unknown" "$BASE/imports"
}

make_store || bail "no $FS store"
if command -v nm >/dev/null; then
	t the_daemon_calls_nothing_that_is_not_hooked unknown_calls
else
	skip the_daemon_calls_nothing_that_is_not_hooked "nm is not installed"
fi
sweep_all in_turn some
if [[ $DATA != kernel ]]; then
	sweep_all without_file_handles few FAULT_NO_HANDLES=1
fi
t a_start_with_a_failing_call_works_or_says_why start_without_each
t a_failed_sync_at_the_end_is_told failed_sync_at_the_end
t the_store_is_given_back drop_store
done_testing
