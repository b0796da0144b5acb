#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The daemon is killed at random instants while programs work on staged files.
# Mounted again, or recovered without a mount, the files are those of one
# commit, whole, and no older than one that was reported durable.
#
#	tests/mount/kill.sh [SEED]
#
# The programs and the checks are those of the power cut (powercut.sh,
# tests/powercut/work). A kill loses nothing that the store's page cache has,
# but it comes between any two steps of the daemon, and finds journals that
# several daemons have left behind one another.
#
#	KILLS	how many (25)
arguments=("$@")
# shellcheck source=tests/lib/harness.sh
source "$(dirname "$0")/../lib/harness.sh"
# shellcheck source=tests/powercut/work/work.sh
source "$SRCDIR/tests/powercut/work/work.sh"

built=$(realpath "$MSYNCFS")
MSYNCCTL=${MSYNCCTL:-${built%/*}/msyncctl/msyncctl}
seed=${arguments[0]:-$((RANDOM * 32768 + RANDOM))}
KILLS=${KILLS:-25}
failed=0

# A number below $1 into REPLY. Not printed: in a subshell it would not be the
# seed's.
draw() {
	REPLY=$((RANDOM % $1))
}

# draw_pause MOST: milliseconds; as seconds into REPLY.
draw_pause() {
	draw "$1"
	REPLY=$(printf '%d.%03d' $((++REPLY / 1000)) $((REPLY % 1000)))
}

# work_and_kill SEED
work_and_kill() {
	WORK_ROOT=$MNT WORK_MARKS=$BASE/marks
	WORK_FSYNC=$(work_fsync "$(work_options "$1")")
	: >"$WORK_MARKS"
	work_start "$MNT/work" "$1"
	draw_pause 1000
	sleep "$REPLY"
	work_goes_on
	kill -KILL "$DAEMON_PID"
	wait_until 10 test -s "${MNT%/mnt}/status"
	work_end mercy
	umount -l "$MNT"
}

# recover_and_mount SEED: for the next round. Some recoveries are killed.
recover_and_mount() {
	local tries options
	options=$(work_options $(($1 + 1)))
	draw 3
	for ((tries = REPLY; tries > 0; tries--)); do
		draw_pause 20
		timeout -s KILL "$REPLY" "$MSYNCCTL" recover "$STORE" || true
	done
	draw 2
	if [[ $REPLY -eq 0 ]]; then
		"$MSYNCCTL" recover "$STORE"
		work_check "$STORE/work" "$1" "$BASE/marks"
		mount_store "$options"
	else
		mount_store "$options"
		work_check "$MNT/work" "$1" "$BASE/marks"
	fi
}

# round SEED: one kill, on a mount with that seed's options; leaves one with
# the next one's.
round() {
	RANDOM=$1
	work_and_kill "$1"
	recover_and_mount "$1"
	cat "$BASE/marks" >>"$BASE/all_marks"
	rm -r "$MNT/work"
}

# start_over SEED: after a failure, as if it were the first round.
start_over() {
	harness_end_daemons KILL
	umount -l "$MNT" 2>/dev/null || true
	rm -rf "$STORE/work" "$STORE/.msyncfs"
	mount_store "$(work_options "$1")"
}

killed() {
	local i status
	: >"$BASE/all_marks"
	mount_store "$(work_options "$seed")"
	for ((i = 0; i < KILLS; i++)); do
		set +e
		(
			set -e
			round $((seed + i))
			declare -p MNT DAEMON_PID LOG |
				sed 's/^declare -[-x]*/declare -g/' \
					>"$BASE/mounted"
		) >"$BASE/round" 2>&1
		status=$?
		set -e
		if [[ $status -eq 0 ]]; then
			# shellcheck source=/dev/null
			. "$BASE/mounted"
			continue
		fi
		failed=$((failed + 1))
		echo "kill $i failed; to try it again: KILLS=1 FS=$FS" \
			"DATA=$DATA $0 $((seed + i))"
		tail -n 30 "$BASE/round" | sed 's/^/  /'
		start_over $((seed + i + 1))
	done
	unmount_store
	echo "$failed of $KILLS kills failed"
	echo "# $KILLS kills from seed $seed," \
		"$(wc -l <"$BASE/all_marks") claims before them" >>"$BASE/told"
	[[ $failed -eq 0 ]]
	# Nothing was tested of programs that claimed nothing.
	[[ $(wc -l <"$BASE/all_marks") -ge $KILLS ]]
}

# Only files are left where it was used in peace.
left_as_files() {
	mount_store map=staged
	echo last >"$MNT/last"
	unmount_store
	[[ $(<"$STORE/last") == last ]]
	[[ ! -e $STORE/.msyncfs ]]
}

[[ $EUID -eq 0 && -z $AS_USER ]] || skip_all "n/a: root's work is looked at"
[[ -x $MSYNCCTL ]] || bail "no msyncctl at $MSYNCCTL: build it first"
for command in sqlite3 git; do
	type -P "$command" >/dev/null ||
		skip_all "$command is not installed"
done
make_store || bail "no $FS store"
: >"$BASE/told"
CASE_LIMIT=$((60 + KILLS * 8))
echo "# seed $seed"
t staged_files_are_at_one_commit_whenever_the_daemon_is_killed killed
cat "$BASE/told"
t a_store_that_went_through_kills_is_only_files_again left_as_files
t the_store_is_given_back drop_store
done_testing
