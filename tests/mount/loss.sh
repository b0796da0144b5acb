#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The loss window: how much is gone after a power cut, of what a program has
# written without ever syncing it.
#
#	tests/mount/loss.sh [--long | EVERY[:CUTS]...]
#
# stamp_writer stamps the time into 64 files on the mount, constantly. The
# store is an ext4 image on a loop device on cut_disk, which at random
# instants gives what had been flushed by then (see there why not what had
# been written). Each copy is mounted, ext4 recovers it, and stamp_check looks
# for the oldest stamp that is missing: it is to be at most 1.1 x every old.
#
# The store's own journal would commit every 5 s and so make the daemon look
# better than it is: it is told not to.
#
# A machine that is busy with other things makes single syncs late, so here
# the median of the cuts is held against 1.1 x every and the worst against
# twice that. With --long (every=1s and 5s, 30 cuts each) and with EVERY
# (seconds) on the command line none may be over 1.1 x every: for a machine
# that does nothing else.
arguments=("$@")
# shellcheck source=tests/lib/harness.sh
source "$(dirname "$0")/../lib/harness.sh"

disk_size=$((256 << 20))
writes_per_second=4000

# disk: the store on an ext4 filesystem on a loop device on cut_disk.
make_cut_disk() {
	disk=$BASE/disk cuts=$BASE/cuts
	mkdir "$disk" "$cuts" "$BASE/fs" "$BASE/copy"
	"$(helper cut_disk)" "$disk_size" 0 "$cuts" "$disk" -f &
	wait_until 10 harness_is_mounted "$disk"
	mkfs.ext4 -q -F -E lazy_itable_init=0,lazy_journal_init=0,nodiscard \
		"$disk/disk"
	mount_image "$disk/disk" "$BASE/fs" -o commit=600
	STORE=$BASE/fs/store
	mkdir "$STORE"
	sync -f "$STORE"
}

# mount_image IMAGE DIRECTORY [mount's options]
mount_image() {
	local node status=0
	node=$(harness_loop "$1")
	mount -t ext4 "${@:3}" "$node" "$2" || status=$?
	losetup -d "$node"
	return "$status"
}

drop_cut_disk() {
	umount "$BASE/fs"
	# The loop device lets go of its file a moment later.
	wait_until 10 umount "$disk"
	rm -r "$cuts"
	rmdir "$disk" "$BASE/fs" "$BASE/copy"
}

start_writer() {
	mkdir "$MNT/stamps"
	# The names are no part of this.
	sync -f "$STORE"
	"$(helper stamp_writer)" "$MNT/stamps" "$BASE/log" \
		"$writes_per_second" >"$BASE/writer" &
	writer=$!
	wait_until 10 grep -qs ready "$BASE/writer"
}

stop_writer() {
	kill "$writer"
	wait "$writer"
	rm "$BASE/log" "$BASE/writer"
	rm -r "$MNT/stamps"
}

# cut NAME: prints stamp_check's line for what is on the disk now.
cut() {
	local directory=$BASE/copy/stamps
	echo "$1" >"$disk/cut"
	mount_image "$cuts/$1" "$BASE/copy"
	[[ -d $directory ]] || directory=$BASE/copy/store/stamps
	"$(helper stamp_check)" "$directory" "$BASE/log" "$(<"$cuts/$1.ns")"
	umount "$BASE/copy"
	rm "$cuts/$1" "$cuts/$1.ns"
}

# random_pause MILLISECONDS: half of that to one and a half times.
random_pause() {
	local ms=$(($1 / 2 + RANDOM % $1))
	sleep "$((ms / 1000)).$(printf %03d $((ms % 1000)))"
}

# collect_losses EVERY-MS CUTS: lines of stamp_check in $BASE/losses.
collect_losses() {
	local i
	: >"$BASE/losses"
	# Until the oldest data is as old as it gets.
	sleep "$(($1 * 2 / 1000)).$(printf %03d $(($1 * 2 % 1000)))"
	for ((i = 0; i < $2; i++)); do
		random_pause "$1"
		cut "cut.$i" >>"$BASE/losses"
	done
	kill -0 "$writer"
}

# Prints LEAST MEDIAN MOST, in ms.
loss_figures() {
	sort -n "$BASE/losses" | awk '
		{ loss[NR] = $1 / 1e6 }
		END {
			lower = loss[int((NR + 1) / 2)]
			upper = loss[int(NR / 2) + 1]
			printf "%.0f %.0f %.0f\n", loss[1],
				(lower + upper) / 2, loss[NR]
		}'
}

# Kept for the reader of the test's output, who sees no case's own.
tell_losses() {
	local least median most
	read -r least median most < <(loss_figures)
	echo "# $1 on the $DATA path, ms lost: median $median, $least to" \
		"$most; each: $(awk '{ printf "%.0f ", $1 / 1e6 }' \
			"$BASE/losses")" >>"$BASE/told"
	awk '{ printf "%.0f ms lost, %d of %d missing, %d damaged\n",
		$1 / 1e6, $2, $3, $4 }' "$BASE/losses"
}

# judge_losses EVERY-MS STRICTLY
judge_losses() {
	local least median most bar=$(($1 * 11 / 10)) worst
	worst=$((bar * 2))
	[[ -z $2 ]] || worst=$bar
	read -r least median most < <(loss_figures)
	# Something is missing nearly always: or nothing was measured.
	[[ $median -gt 0 ]]
	if [[ $median -gt $bar || $most -gt $worst ]]; then
		echo "the median may be $bar ms, the worst $worst ms"
		return 1
	fi
	[[ $(awk '{ damaged += $4 } END { print damaged }' "$BASE/losses") \
		-eq 0 ]]
}

# bounded EVERY-MS CUTS STRICTLY
bounded() {
	make_cut_disk
	mount_store "sync=fsync=defer+every=$1ms"
	start_writer
	collect_losses "$1" "$2"
	stop_writer
	unmount_store
	drop_cut_disk
	tell_losses "every=$1ms"
	judge_losses "$1" "$3"
}

# What the bar is worth: without every= the oldest stamp is lost.
unbounded() {
	local least _
	make_cut_disk
	mount_store sync=fsync=defer
	start_writer
	collect_losses 1000 2
	stop_writer
	unmount_store
	drop_cut_disk
	tell_losses "fsync=defer"
	read -r least _ < <(loss_figures)
	[[ $least -gt 2000 ]]
}

# run_bounded EVERY-SECONDS CUTS STRICTLY
run_bounded() {
	local every
	every=$(awk -v s="$1" 'BEGIN { print int(s * 1000) }')
	CASE_LIMIT=$((60 + (every * ($2 * 3 / 2 + 3) + $2 * 1000) / 1000))
	: >"$BASE/told"
	t "at_most_${1}_s_are_lost_with_every=${1}s" bounded "$every" "$2" "$3"
	cat "$BASE/told"
}

[[ $EUID -eq 0 && -z $AS_USER ]] || skip_all "n/a: root's disk is cut off"
[[ $FS == ext4 || $FS == dir ]] || skip_all "n/a: the store is always ext4"

if [[ ${#arguments[@]} -eq 0 ]]; then
	run_bounded 1 7 ''
elif [[ ${arguments[0]} == --long ]]; then
	run_bounded 1 30 strictly
	run_bounded 5 30 strictly
else
	for argument in "${arguments[@]}"; do
		count=30
		[[ $argument != *:* ]] || count=${argument#*:}
		run_bounded "${argument%:*}" "$count" strictly
	done
fi
: >"$BASE/told"
t without_every_the_oldest_is_lost unbounded
cat "$BASE/told"
done_testing
