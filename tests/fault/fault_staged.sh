#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Staged and private files: each call of the daemon is failed in turn, while
# a program works, at the first use of the journal, at the end, and when a
# store is recovered. The client is told or none the worse, what it saw is
# committed once the fault is gone, and after a crash all files are of one
# commit, none that was reported lost.
#
#   FS=ext4 tests/fault/fault_staged.sh [STEP...]
#
# DATA says which half is done, as staged files have one path only: with
# daemon the sweep on a store without file handles, else the other and the
# crashes. FAULT_ALL=1 as in fault.sh.
# shellcheck disable=SC2034,SC2154
: "${CASE_LIMIT:=${FAULT_ALL:+3600}}"
# shellcheck source=tests/lib/harness.sh
. "$(dirname "$0")/../lib/harness.sh"

[[ $EUID -eq 0 && -z $AS_USER ]] || skip_all "fault tests need root"
# shellcheck source=tests/fault/lib/faulty.sh
. "$SRCDIR/tests/fault/lib/faulty.sh"
wanted=("$@")
[[ ${#wanted[@]} -gt 0 ]] || mapfile -t wanted < <("$driver" steps staged)
files=$(helper fault_files) || bail "fault_files is not built"
msyncctl=$(dirname "$(realpath "$MSYNCFS")")/msyncctl/msyncctl
[[ -x $msyncctl ]] || bail "no msyncctl at $msyncctl"
staged=map=staged,sync=manual
memory=

# --- crashes ----------------------------------------------------------------

# A store with generation 1, and nothing else.
new_files() {
	"$driver" new "$control"
	rm -rf "${STORE:?}"/* "$STORE/.msyncfs"
	"$files" make "$STORE" 1
}

# The daemon is gone at once, and so is its mount.
crash() {
	if ! kill -KILL "$DAEMON_PID"; then
		echo "the daemon was dead before, it said:"
		cat "$LOG"
		return 1
	fi
	wait_until 10 test -s "${MNT%/mnt}/status"
	umount -l "$MNT"
}

# mount_staged [faulty]
mount_staged() {
	DAEMON_WRAP=
	[[ $# -eq 0 ]] || DAEMON_WRAP=$(faulty)
	mount_store -o threads=2 "$staged"
}

# one_of GENERATION...: without a fault the store can be mounted, its files
# are of one of these, can be committed to, and are the store's own afterwards.
one_of() {
	local now
	mount_staged
	now=$("$files" check "$MNT") || { echo "$now"; return 1; }
	if [[ " $* " != *" $now "* ]]; then
		echo "generation $now, and not one of $*"
		return 1
	fi
	"$files" commit "$MNT" 9
	unmount_store
	is_store_s 9
}

# Nothing else is in the store.
is_store_s() {
	[[ $("$files" check "$STORE") == "$1" && ! -e $STORE/.msyncfs ]] &&
		return
	"$files" check "$STORE"
	ls -lA "$STORE" "$STORE/.msyncfs"
	return 1
}

# each_call FUNCTION...: FUNCTION for each call that was counted since the
# last `arm`, with the words that arm it again.
each_call() {
	local function opcode count errno number lasting tried=0
	"$driver" all_calls "$control" >"$BASE/calls"
	while read -r function opcode count errno; do
		worth_failing "$function" "$opcode" || continue
		for ((number = 0; number < count; number++)); do
			[[ -n ${FAULT_ALL:-} || $number -eq 0 ||
				$number -eq $((count - 1)) ]] || continue
			tried=$((tried + 1))
			fault="$errno of $function $((number + 1)) in $opcode"
			if ! ("$@" "$function" "$opcode" "$number" "$errno"); then
				echo "$fault"
				return 1
			fi
		done
	done <"$BASE/calls"
	echo "$tried calls"
	[[ $tried -ge $least ]]
}

# Calls that make, write, sync and carry out; the sweep has failed the others.
# Opcode 0 is the main thread, whose libraries don't outlive the lack of
# memory; 63 the background.
worth_failing() {
	case $1 in
	malloc | calloc | realloc) [[ $2 == 63 || -n $memory ]] ;;
	open | openat | open_by_handle_at | name_to_handle_at | fstat | \
		pread | pwritev2 | write_journal | truncate | fallocate | \
		fsync | fsync_file | fdatasync | syncfs | utimens | mkdirat | \
		unlinkat | renameat2 | flock | memfd_create | mmap_file)
		[[ $2 == @(0|14|16|21|63) ]]
		;;
	*) return 1 ;;
	esac
}

nothing_fails() {
	"$driver" arm "$control" openat 1 1000000 EIO
}

# --- the first commit of a mount -------------------------------------------

# told: what the program was told, of generation 2.
first_commit() {
	new_files
	mount_staged faulty
	"$driver" arm "$control" "$1" "$2" "$3" "$4"
	told=0
	"$files" commit "$MNT" 2 || told=$?
	[[ $told -le 1 ]]
}

crash_after_first_commit() {
	first_commit "$@"
	crash
	if [[ $told -eq 0 ]]; then
		one_of 2
	else
		one_of 1 2
	fi
}

second_commit() {
	first_commit "$@"
	nothing_fails
	"$files" commit "$MNT" 3
	crash
	one_of 3
}

learn_first_commit() {
	new_files
	mount_staged faulty
	nothing_fails
	"$files" commit "$MNT" 2
	crash
	one_of 2
}

crashes_after_each() {
	local least=20
	learn_first_commit
	each_call crash_after_first_commit
}

commits_after_each() {
	local least=20
	learn_first_commit
	each_call second_commit
}

# --- the end ----------------------------------------------------------------

# A failed end says so; what it could not commit is lost, what it has told is
# not.
end_with() {
	local run
	new_files
	mount_staged faulty
	"$files" commit "$MNT" 2
	"$files" write "$MNT" 3
	"$driver" arm "$control" "$1" "$2" "$3" "$4"
	if unmount_store >"$BASE/end" 2>&1; then
		is_store_s 3
		one_of 3
		return
	fi
	run=${MNT%/mnt}
	if harness_is_mounted "$MNT" || [[ $(<"$run/status") -ne 1 ]] ||
		! grep -q '^msyncfs: ' "$LOG"; then
		echo "the end: status $(<"$run/status"), it said:"
		cat "$LOG"
		return 1
	fi
	one_of 2 3
}

ends_with_each() {
	local least=10
	new_files
	mount_staged faulty
	"$files" commit "$MNT" 2
	"$files" write "$MNT" 3
	nothing_fails
	unmount_store
	is_store_s 3
	each_call end_with
}

# --- recovery ---------------------------------------------------------------

# A journal with generation 2 in it, which the store's files need not have.
leave_pending() {
	new_files
	mount_staged
	"$files" commit "$MNT" 2
	"$files" write "$MNT" 3
	crash
	[[ -s $STORE/.msyncfs/journal ]]
	# As if it had never been carried out.
	"$files" make "$STORE" 1
}

recover_with() {
	local run
	leave_pending
	"$driver" arm "$control" "$1" "$2" "$3" "$4"
	if ! mount_staged faulty >"$BASE/start" 2>&1; then
		run=${MNT%/mnt}
		if harness_is_mounted "$MNT" || [[ $(<"$run/status") -ne 1 ]] ||
			! grep -q '^msyncfs: ' "$LOG"; then
			echo "the start: status $(<"$run/status"), it said:"
			cat "$LOG"
			return 1
		fi
		one_of 2
		return
	fi
	[[ $("$files" check "$MNT") == 2 ]]
	crash
	one_of 2
}

recovers_with_each() {
	local least=20
	leave_pending
	nothing_fails
	mount_staged faulty
	[[ $("$files" check "$MNT") == 2 ]]
	unmount_store
	each_call recover_with
}

recover_by_tool_with() {
	local status=0
	leave_pending
	"$driver" arm "$control" "$1" "$2" "$3" "$4"
	# shellcheck disable=SC2046
	$(faulty) "$msyncctl" recover "$STORE" >"$BASE/said" 2>&1 || status=$?
	if [[ $status -gt 1 || ($status -eq 1 &&
		$(<"$BASE/said") != *msyncctl:*) ]]; then
		echo "msyncctl recover: status $status, it said:"
		cat "$BASE/said"
		return 1
	fi
	if [[ $status -eq 0 && $("$files" check "$STORE") != 2 ]]; then
		echo "msyncctl recover said that all is well"
		return 1
	fi
	one_of 2
}

recovers_by_tool_with_each() {
	local least=20 memory=1
	leave_pending
	nothing_fails
	$(faulty) "$msyncctl" recover "$STORE"
	[[ $("$files" check "$STORE") == 2 ]]
	each_call recover_by_tool_with
}

# --- all of it --------------------------------------------------------------

make_store || bail "no $FS store"
if [[ $DATA == daemon ]]; then
	sweep_all without_file_handles few FAULT_NO_HANDLES=1
else
	sweep_all in_turn some
	DAEMON_WRAP=
	t a_crash_after_a_failing_call_leaves_a_commit crashes_after_each
	t after_a_failing_call_the_next_commit_is_whole commits_after_each
	t an_end_with_a_failing_call_leaves_a_commit ends_with_each
	t a_recovery_with_a_failing_call_can_be_done_again recovers_with_each
	t msyncctl_recover_with_a_failing_call_can_be_done_again \
		recovers_by_tool_with_each
fi
t the_store_is_given_back drop_store
done_testing
