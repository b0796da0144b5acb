#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The machine that pulls the plug, tried on a file system without msyncfs:
# what was flushed is always there, what was not is lost in some images and
# torn in others, and an image comes again from its seed.
#
#	tests/powercut/machine_test.sh
#
# SEED and IMAGES (90) choose others.
# shellcheck source=tests/lib/harness.sh
source "$(dirname "$0")/../lib/harness.sh"
# shellcheck source=tests/powercut/lib.sh
source "$SRCDIR/tests/powercut/lib.sh"

SEED=${SEED:-$RANDOM}
IMAGES=${IMAGES:-90}
[[ $FS != dir ]] || FS=ext4
size=96M
[[ $FS != xfs ]] || size=300M

recorded() {
	pc_record_start "$FS" "$size"
	"$(helper mark_writer)" "$STORE" "$PC_MARK" 100
	pc_record_stop
	grep -qx 'mark [0-9]* loose 100' "$BASE/pc.$PC_NAME/positions"
}

# holds STORE SEED MARKS FLUSHED
holds() {
	"$(helper mark_writer)" --check "$1" "$3" >>"$BASE/loose"
	# What is flushed has happened.
	head -n "$(wc -l <"$4")" "$3" | cmp - "$4"
}

flushed_is_there() {
	: >"$BASE/loose"
	pc_each "$IMAGES" "$SEED" holds
}

# seen OUTCOME: what became of the file that nobody fsyncs. By chance none of
# these images shows it; not of five times as many.
seen() {
	local more=0
	while ! grep -qx "$1" "$BASE/loose"; do
		((++more < 5))
		pc_each "$IMAGES" $((SEED + more)) holds
	done
	sort "$BASE/loose" | uniq -c
}

# image POSITION SEED MODE: the sum of all its bytes.
image() {
	pc_present "cut $* $pc_sector"
	sha256sum "$PC_DISK"
}

# Where the most records stand between two flushes.
longest_stretch() {
	awk '$1 == "flush" {
			if ($3 - flush > most) { most = $3 - flush; at = $3 }
			flush = $3
		}
		END { print at }' "$pc_from/positions"
}

seeds_decide() {
	local position first other
	pc_load
	position=$(longest_stretch)
	first=$(image "$position" 1 random)
	[[ $(image "$position" 0 flush) != $(image "$position" 0 all) ]]
	other=$(image "$position" 2 random)$(image "$position" 3 random)
	other+=$(image "$position" 4 random)
	[[ $other != "$first$first$first" ]]
	[[ $(image "$position" 1 random) == "$first" ]]
	# What is done to one image is gone with the next.
	pc_mount "$pc_kind"
	touch "$pc_fs/store/touched"
	pc_unmount
	[[ $(sha256sum "$PC_DISK") != "$first" ]]
	[[ $(image "$position" 1 random) == "$first" ]]
	pc_end_serving
	pc_load
	[[ $(image "$position" 1 random) == "$first" ]]
	pc_end_serving
}

# A second cut in the midst of what was done to the first image.
the_power_goes_twice() {
	local PC_AGAIN=2
	: >"$BASE/loose"
	pc_each 20 "$SEED" holds
	[[ $(grep -c again "$BASE/pc.cases") -eq 10 ]]
}

disks_in_use_are_not_cut() {
	pc_load
	exec 8<"$PC_DISK"
	pc_refuses "cut 0 0 all"
	exec 8<&-
	pc_present "cut 0 0 all"
	pc_refuses "cut 99999999 0 all"
	pc_refuses "cut 0 0 none"
	pc_refuses "cut 0 0 all 100"
	pc_end_serving
}

pc_refuses() {
	pc_command=$1
	! pc_control 2>/dev/null || {
		echo "accepted: $1"
		return 1
	}
}

# fails_where_lost STORE SEED MARKS FLUSHED
fails_where_lost() {
	local became
	became=$("$(helper mark_writer)" --check "$1" "$3")
	if grep -x lost <<<"$became"; then
		return 1
	fi
}

# replayed OUTPUT: does what the output of a failure says.
replayed() {
	PC_RECORDING=$(sed -n 's/.*PC_RECORDING=\([^ ]*\).*/\1/p' "$1")
	PC_REPLAY=$(sed -n 's/.*PC_REPLAY=\([^ ]*\).*/\1/p' "$1")
	pc_try 5 0 fails_where_lost
	[[ $PC_IMAGES -eq 1 && $PC_FAILED -eq 1 ]]
}

failures_are_told_and_replayed() {
	local status failed
	PC_KEEP=$BASE/kept
	pc_try 30 "$SEED" fails_where_lost
	[[ $PC_IMAGES -eq 30 && $PC_FAILED -gt 0 && $PC_FAILED -lt 30 ]]
	failed=$(grep -c '^case: position [0-9]* seed [0-9]* mode [a-z]' \
		"$BASE/pc.failures")
	[[ $failed -eq $PC_FAILED ]]
	pc_tell_failures >"$BASE/told_failures"
	cat "$BASE/told_failures"
	replayed "$BASE/told_failures"
	PC_NAME=other
	set +e
	(set -e; pc_each 5 0 fails_where_lost)
	status=$?
	set -e
	[[ $status -eq 77 ]]
}

one_failure_fails_the_whole() {
	local status
	PC_KEEP=$BASE/kept
	set +e
	(set -e; pc_each 30 "$SEED" fails_where_lost)
	status=$?
	set -e
	[[ $status -eq 1 ]]
}

[[ $EUID -eq 0 ]] || skip_all "needs root"
[[ $FS == @(ext4|xfs) ]] || skip_all "n/a: no recordings on $FS"
echo "# seed $SEED"
: >"$BASE/told"
pc_have_recording || t the_work_is_recorded recorded
t what_was_flushed_is_there_and_nothing_early flushed_is_there
cat "$BASE/told"
t what_was_not_flushed_is_lost_in_some_images seen lost
t what_was_not_flushed_is_torn_in_some_images seen torn
t a_seed_gives_the_same_disk_each_time seeds_decide
t a_second_cut_comes_in_the_midst_of_recovery the_power_goes_twice
t a_disk_in_use_is_not_cut disks_in_use_are_not_cut
t a_failure_is_told_and_comes_again failures_are_told_and_replayed
t one_failure_fails_the_whole one_failure_fails_the_whole
done_testing
