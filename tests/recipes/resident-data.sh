#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# docs/recipes/resident-data.md: all happens in a memory cgroup that is smaller
# than what is read, and that it was too small is looked at, too. Pages are
# counted by cachestat(2) on the store.
# shellcheck source=tests/recipes/lib.sh
source "$(dirname "$0")/lib.sh"
# shellcheck source=tests/lib/memory.sh
source "$SRCDIR/tests/lib/memory.sh"

MIB=$((1 << 20))
INDEX=48	# MiB in three files
BULK=256
LIMIT=80	# so that the index is more than half of it: see the document
UNIT=/etc/systemd/system/srv-data-index.service
STORE=/srv/data.store

resident_cleanup() {
	local groups
	groups=$(<"$BASE/cgroups")
	recipe_cleanup
	memory_cleanup "$groups"
}

# in_short_memory COMMAND...: the case, and a daemon that it starts.
in_short_memory() {
	echo "$BASHPID" >"$CGROUP/cgroup.procs"
	"$@"
}

# How often the limit was reached.
times_short() {
	if [[ -e $CGROUP/memory.failcnt ]]; then
		cat "$CGROUP/memory.failcnt"
	else
		sed -n 's/^max //p' "$CGROUP/memory.events"
	fi
}

# Where it isn't the last command, "!" alone is no reason for set -e.
fails() {
	! "$@"
}

pages() {
	local file sum=0
	for file; do
		sum=$((sum + $("$(helper pages)" count "$file" |
			cut -d ' ' -f 1)))
	done
	echo "$sum"
}

index_pages() {
	pages $STORE/index/*
}

index_is_all_there() {
	[[ $(index_pages) -eq $((INDEX * MIB / 4096)) ]]
}

# Where the words are in percent, as a user would look.
says_all_in_memory() {
	msyncctl residency --json /srv/data/index/* | python3 -c '
import json, sys
files = json.load(sys.stdin)
sys.exit(not (len(files) == 3 and
	      all(file["resident"] == file["size"] > 0 for file in files)))'
}

# nothing_is_in_memory [MOUNTPOINT]
nothing_is_in_memory() {
	local dir
	sync -f /srv
	for dir in "$@" $STORE; do
		"$(helper pages)" evict "$dir"/index/* "$dir"/bulk/*
	done
	[[ $(pages $STORE/index/* $STORE/bulk/*) -eq 0 ]]
}

it_is_set_up() {
	local i
	install_block "Setting up" /etc/fstab
	install_block "At boot" $UNIT
	mkdir -p $STORE/index $STORE/bulk
	for i in 1 2 3; do
		head -c $((INDEX / 3 * MIB)) /dev/zero >$STORE/index/$i
	done
	head -c $((BULK * MIB)) /dev/zero >$STORE/bulk/history
	run_block "Setting up"
	index_is_all_there
	says_all_in_memory
	[[ $(stat_of /srv/data locked) -eq $((INDEX * MIB)) ]]
	# A file that is made there is held as well, after its last close.
	head -c $MIB /dev/zero >/srv/data/index/new
	wait_until 60 holds $((INDEX * MIB + MIB))
	rm /srv/data/index/new
	wait_until 60 holds $((INDEX * MIB))
}

holds() {
	[[ $(stat_of /srv/data locked) -eq $1 ]]
}

# From here on the daemon's pages count for the cgroup.
mounting_and_the_unit_load_it() {
	local command
	umount /srv/data
	flock $STORE true
	wait_until 20 nothing_is_in_memory
	mount /srv/data
	# Mounting alone doesn't, as the document says.
	[[ $(index_pages) -eq 0 ]]
	command=$(sed -n 's/^ExecStart=//p' $UNIT)
	[[ $command == /usr/bin/msyncctl\ * ]]
	$command
	index_is_all_there
	says_all_in_memory
	run_block "Looking at it"
	grep -qx "locked=$((INDEX * MIB))" "$RECIPE_OUT"
	grep -qx "lock.limit=$((64 * MIB))" "$RECIPE_OUT"
}

a_scan_does_not_evict_it() {
	local before left
	before=$(times_short)
	sha256sum /srv/data/bulk/history
	left=$(pages $STORE/bulk/history)
	run_block "Scanning"
	[[ $(times_short) -gt $before ]]
	index_is_all_there
	says_all_in_memory
	[[ $left -gt 0 && $(pages $STORE/bulk/history) -eq 0 ]]
	[[ $(pages /srv/data/bulk/history) -eq 0 ]]
	tell "after two scans of $BULK MiB in $LIMIT MiB of memory" \
		"$(index_pages) of $((INDEX * MIB / 4096)) pages of the index are" \
		"there; of the scan $left before it was dropped, 0 after it"
}

beyond_the_limit_is_refused() {
	fails msyncctl lock on /srv/data/bulk/history 2>"$BASE/said"
	cat "$BASE/said"
	grep -q 'lock limit' "$BASE/said"
	holds $((INDEX * MIB))
	index_is_all_there
}

# What all of this is for.
without_a_lock_it_is_evicted() {
	msyncctl lock -R off /srv/data/index
	wait_until 20 nothing_is_in_memory /srv/data
	msyncctl advise -R populate-read /srv/data/index
	index_is_all_there
	sha256sum /srv/data/bulk/history
	sha256sum /srv/data/bulk/history
	tell "without a lock $(index_pages) of $((INDEX * MIB / 4096))" \
		"pages are there after them"
	fails index_is_all_there
	msyncctl lock -R on /srv/data/index
	index_is_all_there
}

it_is_undone() {
	run_block "Undoing it"
	flock $STORE true
	memory_limit_end
	[[ ! -e $UNIT ]]
	fails mountpoint -q /srv/data
	fails grep msyncfs /etc/fstab
	[[ -z $(getfattr -R --absolute-names -m user.msyncfs -d $STORE) ]]
	[[ $(stat -c %s $STORE/index/3) -eq $((INDEX / 3 * MIB)) ]]
}

trap resident_cleanup EXIT
recipe resident-data python3 getfattr sha256sum
"$(helper pages)" count "$tap_output" >/dev/null || skip_all \
	"this kernel has no cachestat(2)"
memory_limit $((LIMIT * MIB)) >"$BASE/said" || skip_all "$(<"$BASE/said")"
t it_is_set_up it_is_set_up
t mounting_and_the_unit_load_it in_short_memory mounting_and_the_unit_load_it
t a_scan_does_not_evict_it in_short_memory a_scan_does_not_evict_it
t beyond_the_limit_is_refused in_short_memory beyond_the_limit_is_refused
t without_a_lock_it_is_evicted in_short_memory without_a_lock_it_is_evicted
t it_is_undone it_is_undone
recipe_done
