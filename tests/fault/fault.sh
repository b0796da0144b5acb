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
# shellcheck source=tests/fault/lib/faulty.sh
. "$SRCDIR/tests/fault/lib/faulty.sh"
wanted=("$@")
[[ ${#wanted[@]} -gt 0 ]] || mapfile -t wanted < <("$driver" steps)

# --- the daemon's start and end --------------------------------------------

# One call of the start fails: the daemon says why and leaves nothing, or does
# without it. It may be the daemon's own look at the mount that fails, after
# others have used it.
has_decided() { [[ -s ${MNT%/mnt}/status ]] || grep -q 'mounted at' "$LOG"; }
start_without() {
	local run
	"$driver" new "$control"
	"$driver" main "$control" "$@"
	DAEMON_WRAP=$(faulty)
	if mount_store -o threads=2 >"$BASE/start" 2>&1 &&
		wait_until 20 has_decided && [[ ! -s ${MNT%/mnt}/status ]]; then
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
	local unknown='readv|preadv2|lstat'
	unknown+='|l?chown|fchown|l(get|set|list|remove)xattr|rename'
	unknown+='|mkdir|rmdir|unlink|remove|symlink|link'
	unknown+='|mknod|mkfifo|creat|sendfile|splice|statfs'
	unknown+='|mlock|mlockall|process_madvise|vmsplice|tee'
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
