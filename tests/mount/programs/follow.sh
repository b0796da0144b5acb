#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# follow.sh DIRECTORY SCRATCH HELPERS tail|inotifywait
#
# Somebody looks on while a log grows and is rotated.
set -eu
dir=$1 scratch=$2 kind=$4
log=$dir/app.log
seen=$scratch/seen
watcher=

trap '[[ -z $watcher ]] || kill "$watcher" 2>/dev/null' EXIT

wait_for() {
	for _ in {1..300}; do
		grep -q -- "$1" "$seen" && return 0
		sleep 0.1
	done
	echo "never saw: $1; seen was:"
	cat "$seen"
	return 1
}

follow_by_tail() {
	# It takes every FUSE filesystem for a remote one, and polls.
	tail -F -n +1 -s 0.1 "$log" >"$seen" 2>"$scratch/errors" &
	watcher=$!
	wait_for 'line 0'
	for i in 1 2 3; do
		echo "line $i" >>"$log"
		wait_for "line $i"
	done
	mv "$log" "$log.1"
	echo 'line 4 of the next file' >"$log"
	wait_for 'line 4'
	echo 'line 5' >>"$log"
	wait_for 'line 5'
	[[ $(grep -c '^line' "$seen") -eq 6 ]]
}

follow_by_inotifywait() {
	inotifywait -q -m --format '%e %f' "$dir" >"$seen" \
		2>"$scratch/errors" &
	watcher=$!
	# It says nothing when its watch is set.
	for _ in {1..400}; do
		grep -qs '^inotify' "/proc/$watcher/fdinfo/"* && break
		sleep 0.05
	done
	echo more >>"$log"
	wait_for 'MODIFY app.log'
	: >"$dir/new"
	wait_for 'CREATE new'
	mv "$dir/new" "$dir/other"
	wait_for 'MOVED_FROM new'
	wait_for 'MOVED_TO other'
	chmod 600 "$dir/other"
	wait_for 'ATTRIB other'
	rm "$dir/other"
	wait_for 'DELETE other'
}

: >"$seen"
echo 'line 0' >"$log"
"follow_by_$kind"
