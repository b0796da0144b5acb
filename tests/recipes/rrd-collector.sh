#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# docs/recipes/rrd-collector.md: 100 RRD files that are updated for ten minutes
# of their own time, and what the disk has to write for it. The kernel's
# writeback is played by a sync each half minute, so nothing here depends on
# how long the test takes.
# shellcheck source=tests/recipes/lib.sh
source "$(dirname "$0")/lib.sh"

FILES=100
ROUNDS=60	# of 10 seconds: ten minutes
FIRST=1700000000
AT=/var/lib/collectd/rrd

# Where it isn't the last command, "!" alone is no reason for set -e.
fails() {
	! "$@"
}

make_files() {
	local i
	mkdir -p "$1"
	for ((i = 0; i < FILES; i++)); do
		echo "create $1/host$i.rrd --start $FIRST --step 10" \
			DS:in:GAUGE:30:0:U DS:out:GAUGE:30:0:U \
			RRA:AVERAGE:0.5:1:2160 RRA:AVERAGE:0.5:6:1440 \
			RRA:AVERAGE:0.5:180:1344 RRA:MAX:0.5:180:1344
	done | rrdtool - >"$BASE/rrdtool.out"
	no_errors
}

no_errors() {
	! grep -m 3 ERROR "$BASE/rrdtool.out"
}

# update DIRECTORY ROUND [FILES]: a reading of each file.
update() {
	local i
	for ((i = 0; i < ${3:-FILES}; i++)); do
		echo "update $1/host$i.rrd $((FIRST + $2 * 10)):$i:$2"
	done | rrdtool - >"$BASE/rrdtool.out"
	no_errors
}

# ten_minutes DIRECTORY ROUND: from there on.
ten_minutes() {
	local i
	for ((i = 0; i < ROUNDS; i++)); do
		update "$1" $(($2 + i))
		((i % 3 < 2)) || sync -f /srv
	done
}

# all_have DIRECTORY ROUND: as their last reading, with its values.
all_have() {
	local i
	for ((i = 0; i < FILES; i++)); do
		echo "lastupdate $1/host$i.rrd"
	done | rrdtool - >"$BASE/rrdtool.out"
	no_errors
	for ((i = 0; i < FILES; i++)); do
		echo "$((FIRST + $2 * 10)): $i $2"
	done >"$BASE/expected"
	grep ': ' "$BASE/rrdtool.out" | diff - "$BASE/expected"
}

# nothing_in_memory FILE...: of the store, as after the machine's start. Large
# folios that the files were made in would be written whole for each byte.
nothing_in_memory() {
	sync -f /srv
	"$(helper pages)" evict "$@"
}

it_is_set_up() {
	make_files "$AT"
	install_block "Setting up" /etc/fstab
	run_block "Setting up"
	mountpoint -q "$AT"
	[[ $(ls "$AT" | wc -l) -eq $FILES ]]
}

readers_see_each_update_at_once() {
	update "$AT" 1
	all_have "$AT" 1
	rrdtool fetch "$AT/host7.rrd" AVERAGE -r 10 -s "$FIRST" \
		-e $((FIRST + 9)) | grep -q "^$((FIRST + 10)): 7.0*e+00 1.0*e+00"
	rrdtool graph "$BASE/graph.png" -s "$FIRST" -e $((FIRST + 60)) \
		"DEF:in=$AT/host7.rrd:in:AVERAGE" LINE1:in#FF0000
	# And the disk has none of it.
	[[ $(rrdtool last /srv/rrd/host7.rrd) -eq $FIRST ]]
	run_block "Looking at it"
	grep -q '^stage.dirty=[1-9]' "$RECIPE_OUT"
	all_have /srv/rrd 1
	[[ $(stat_of "$AT" stage.dirty) -eq 0 ]]
}

sectors_of_ten_minutes() {
	local before
	sync -f /srv
	before=$(disk_stat /srv sectors)
	ten_minutes "$@"
	[[ $1 != "$AT" ]] || msyncctl sync "$AT"
	sync -f /srv
	sectors=$(($(disk_stat /srv sectors) - before))
}

ten_minutes_are_one_commit() {
	local sectors plain staged commits
	make_files /srv/plain
	nothing_in_memory /srv/plain/*
	sectors_of_ten_minutes /srv/plain 2
	plain=$sectors
	commits=$(stat_of "$AT" commit.count)
	nothing_in_memory /srv/rrd/*
	sectors_of_ten_minutes "$AT" 2
	staged=$sectors
	all_have /srv/plain $((ROUNDS + 1))
	all_have "$AT" $((ROUNDS + 1))
	[[ $(stat_of "$AT" commit.count) -eq $((commits + 1)) ]]
	tell "ten minutes of $FILES RRD files write $((plain / 2)) KiB to the" \
		"disk by themselves, $((staged / 2)) KiB staged, one of" \
		"$((plain / staged))"
	((staged * 4 <= plain))
}

after_a_kill_all_files_are_of_one_instant() {
	local last=$((ROUNDS + 2))
	update "$AT" $last
	msyncctl sync "$AT"
	# Some files have had the next readings, others haven't.
	update "$AT" $((last + 1))
	update "$AT" $((last + 2)) $((FILES / 2))
	kill_daemon "$AT"
	fails rrdtool last "$AT/host0.rrd"
	run_block "What a crash takes"
	all_have "$AT" $last
	# It goes on from there.
	an_update_reads_few_pages $((last + 3))
	update "$AT" $((last + 4))
	all_have "$AT" $((last + 4))
}

# an_update_reads_few_pages ROUND: nobody has opened the files since the mount.
an_update_reads_few_pages() {
	local file=/srv/rrd/host0.rrd pages
	nothing_in_memory /srv/rrd/*
	"$(helper pages)" evict "$AT/host0.rrd"
	update "$AT" "$1" 1
	pages=$("$(helper pages)" count "$file" | cut -d ' ' -f 1)
	tell "the first update of a file of $(($(stat -c %s "$file") / 4096 + 1))" \
		"pages reads $pages of them"
	[[ $pages -gt 0 && $pages -le 8 ]]
}

an_unmount_commits_and_it_is_undone() {
	local last=$((ROUNDS + 6))
	[[ $(rrdtool last /srv/rrd/host0.rrd) -lt \
		$(rrdtool last "$AT/host0.rrd") ]]
	run_block "Undoing it"
	fails mountpoint -q "$AT"
	[[ ! -e /srv/rrd && ! -e $AT/.msyncfs/journal ]]
	all_have "$AT" $last
	fails grep msyncfs /etc/fstab
}

recipe rrd-collector rrdtool
t it_is_set_up it_is_set_up
t readers_see_each_update_at_once readers_see_each_update_at_once
t ten_minutes_are_one_commit ten_minutes_are_one_commit
t after_a_kill_all_files_are_of_one_instant \
	after_a_kill_all_files_are_of_one_instant
t an_unmount_commits_and_it_is_undone an_unmount_commits_and_it_is_undone
recipe_done
