#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# docs/recipes/event-log.md: writers and readers at one time; then the daemon
# is killed, and then the power is cut, under four writers.
# shellcheck source=tests/recipes/lib.sh
source "$(dirname "$0")/lib.sh"
# shellcheck source=tests/powercut/lib.sh
source "$SRCDIR/tests/powercut/lib.sh"

WRITERS=4
EVENTS=${EVENT_LOG_EVENTS:-250}	# of each writer
IMAGES=${EVENT_LOG_IMAGES:-16}
SEED=$((RANDOM * 32768 + RANDOM))
AT=/srv/events
EVENT_LOG=$SRCDIR/tests/recipes/event_log.py

# Where it isn't the last command, "!" alone is no reason for set -e.
fails() {
	! "$@"
}

events() {
	python3 "$EVENT_LOG" "$@"
}

# Waits for each of these.
all_end_well() {
	local pid
	for pid; do
		wait "$pid"
	done
}

it_is_set_up() {
	install_block "Setting up" /etc/fstab
	run_block "Setting up"
	run_block "Writing"
	run_block "Reading"
	[[ $(grep -c '^20.*T.* order [123] paid$' "$RECIPE_OUT") -ge 3 ]]
	[[ $(wc -l <$AT/orders) -eq 3 ]]
	# All of it is in the store after the fdatasync.
	cmp $AT/orders /srv/events.store/orders
}

refused() {
	fails "$@" 2>"$BASE/said"
	cat "$BASE/said"
	grep -q 'Operation not permitted' "$BASE/said"
}

what_was_written_stays() {
	local before
	cp $AT/orders "$BASE/before"
	refused dd if=/dev/zero of=$AT/orders bs=1 count=1 conv=notrunc
	refused dd if=/dev/zero of=$AT/orders bs=1 count=1 seek=100000 \
		conv=notrunc
	refused truncate -s 100000 $AT/orders
	refused fallocate --punch-hole --length 4096 $AT/orders
	refused fallocate --length 1M $AT/orders
	cmp $AT/orders "$BASE/before"
	# This is allowed, and the document says so.
	: >$AT/orders
	[[ $(stat -c %s $AT/orders) -eq 0 ]]
	run_block "A new file"
	[[ -e $AT/orders.1 && -e $AT/orders ]]
}

# One that reads as it comes, one that maps, and tail.
readers_see_whole_events_in_order() {
	local i kind total tail_pid
	local -a readers=() writers=()
	: >$AT/log
	fallocate --keep-size --length 16M $AT/log
	for i in 1 2 3; do
		for kind in poll map; do
			events read $AT/log $kind $WRITERS \
				>"$BASE/read.$kind.$i" &
			readers+=($!)
		done
	done
	tail -n +1 -s 0.1 -f $AT/log >"$BASE/tail" &
	tail_pid=$!
	for ((i = 1; i <= WRITERS; i++)); do
		events write $AT/log $i "$EVENTS" "$BASE/marks" &
		writers+=($!)
	done
	all_end_well "${writers[@]}" "${readers[@]}"
	total=$((WRITERS * (EVENTS + 1)))
	cat "$BASE"/read.*
	[[ $(cat "$BASE"/read.* | grep -c "^$total events, 0 seen in part") \
		-eq 6 ]]
	wait_until 60 cmp -s $AT/log "$BASE/tail"
	kill "$tail_pid"
	wait "$tail_pid" || true
	[[ $(events check "$BASE/tail" "$BASE/marks" whole) -eq $total ]]
	run_block "Looking at it"
	tell "$total events, $(stat_of $AT fsync.grouped) fsyncs in" \
		"$(stat_of $AT commit.by_group) commits"
	grep -q '^commit.by_group=[1-9]' "$RECIPE_OUT"
	# How many of them come at one time is chance.
	[[ $(stat_of $AT commit.by_group) -le \
		$(stat_of $AT fsync.grouped) ]]
}

a_log_with_space_ahead_is_in_one_piece() {
	local pieces
	sync -f /srv
	filefrag /srv/events.store/log
	pieces=$(filefrag /srv/events.store/log |
		sed -n 's/.*: \([0-9]*\) extents\? found/\1/p')
	# What was free decides; small pieces would be hundreds.
	[[ $pieces -ge 1 && $pieces -le 4 ]]
}

# all_have_written NUMBER FILE: events before that one are durable, if the
# number can be divided by 4, and their marks are there.
all_have_written() {
	local i
	for ((i = 1; i <= WRITERS; i++)); do
		grep -qs "^$i $1 " "$2" || return 1
	done
}

# They end when the mount fails; their pids go to the array endless.
write_without_end() {
	local i
	for ((i = 1; i <= WRITERS; i++)); do
		events write "$1" $i 0 "$2" &
		endless+=($!)
	done
}

a_killed_daemon_leaves_whole_events() {
	local found told
	local -a endless=()
	write_without_end $AT/killed "$BASE/killed"
	wait_until 60 all_have_written 100 $AT/killed
	kill_daemon $AT
	all_end_well "${endless[@]}"
	# Before what the document does with the end; a log that ends within
	# an event for certain, too.
	msyncctl recover /srv/events.store
	events check /srv/events.store/killed "$BASE/killed" part
	printf 'a\nb\nin part' >/srv/events.store/ends
	run_block "What a crash takes"
	[[ $(<$AT/ends) == a$'\n'b ]]
	found=$(events check $AT/killed "$BASE/killed" whole)
	told=$(grep -c . "$BASE/killed")
	tell "after a kill of the daemon: $found whole events," \
		"$((told * 4)) were known to be durable"
	# Here too: what the store has is the same.
	cmp $AT/killed /srv/events.store/killed
	# It goes on from there.
	cat $AT/killed >"$BASE/prefix"
	echo 'more' >>$AT/killed
	sync --data $AT/killed
	cmp -n "$(stat -c %s "$BASE/prefix")" $AT/killed "$BASE/prefix"
}

# With the document's own options, on a disk that is recorded.
the_work_is_recorded() {
	local options
	local -a endless=()
	options=$(awk '$3 == "msyncfs" { print $4 }' /etc/fstab)
	pc_record_start ext4 128M
	mkdir "$BASE/recorded"
	mount -t msyncfs -o "$options" "$STORE" "$BASE/recorded"
	write_without_end "$BASE/recorded/log" "$PC_MARK"
	write_without_end "$BASE/recorded/other" "$BASE/other"
	wait_until 60 all_have_written 60 "$BASE/recorded/log"
	wait_until 60 all_have_written 20 "$BASE/recorded/other"
	kill_daemon "$BASE/recorded"
	all_end_well "${endless[@]}"
	umount -l "$BASE/recorded"
	pc_record_stop
	all_have_durable
}

all_have_durable() {
	local i
	for ((i = 1; i <= WRITERS; i++)); do
		grep -q "durable $i 60$" "$BASE/pc.$PC_NAME/positions"
	done
}

power_cuts_leave_whole_events() {
	# Of a recording that came to its end.
	[[ -n $PC_REPLAY || -s $BASE/pc.$PC_NAME/positions ]]
	pc_each "$IMAGES" "$SEED" holds
	tell "$(sed 's/^# //' "$BASE/told")"
}

# holds STORE CASE-SEED MARKS FLUSHED
holds() {
	local log
	msyncctl recover "$1"
	for log in log other; do
		[[ -e $1/$log ]] || : >"$BASE/$log"
		[[ ! -e $1/$log ]] || cp "$1/$log" "$BASE/$log"
	done
	events check "$BASE/log" "$3" part
	events check "$BASE/other" /dev/null part
}

it_is_undone() {
	run_block "Undoing it"
	fails mountpoint -q $AT
	fails grep msyncfs /etc/fstab
}

recipe event-log python3 filefrag fallocate
t it_is_set_up it_is_set_up
t what_was_written_stays what_was_written_stays
t readers_see_whole_events_in_order readers_see_whole_events_in_order
t a_log_with_space_ahead_is_in_one_piece a_log_with_space_ahead_is_in_one_piece
t a_killed_daemon_leaves_whole_events a_killed_daemon_leaves_whole_events
pc_have_recording || t the_work_is_recorded the_work_is_recorded
t a_power_cut_leaves_whole_events power_cuts_leave_whole_events
t it_is_undone it_is_undone
recipe_done
