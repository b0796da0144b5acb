#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Each advice acts: shown by how many pages of the store file the kernel has,
# by cachestat(2) on the store and not by what the daemon says.
# shellcheck source=tests/lib/harness.sh
source "$(dirname "$0")/../lib/harness.sh"
# shellcheck source=tests/lib/control.sh
source "$SRCDIR/tests/lib/control.sh"
# shellcheck source=tests/mount/programs/client.sh
source "$SRCDIR/tests/mount/programs/client.sh"

MIB=$((1 << 20))
shopt -s extglob

# store_file NAME MEBIBYTES: new, full of "A", made behind the daemon's back.
store_file() {
	rm -f "$STORE/$1"
	head -c "$2M" /dev/zero | tr '\0' A |
		as_user dd "of=$STORE/$1" bs=1M iflag=fullblock conv=fsync \
			status=none
}

# cold_file NAME MEBIBYTES [POLICY VALUE]...: of which nothing is in memory.
cold_file() {
	local name=$1
	store_file "$1" "$2"
	shift 2
	while [[ $# -gt 0 ]]; do
		is 'ok 0' xattr set "$MNT/$name" "$1" "$2"
		shift 2
	done
	evict "$name"
}

# The page counts of both observers.
has_resident() {
	is "$2" resident "$STORE/$1"
	is "* $2 *" value "$MNT/$1" residency
}

# --- patterns ----------------------------------------------------------------

# cold_read NAME: 4 KiB in the middle, by read(2), by a program that keeps it
# open.
cold_read() {
	client_new
	expect "$CLIENT" 'ok *' open 0 "$MNT/$1" ro
	expect "$CLIENT" 'ok 4096' expect 0 $((5000 * 4096)) 4096 65
}

random_reads_bring_one_page() {
	cold_file cold 32 advise random data auto
	cold_read cold
	is daemon status "$MNT/cold" data.path
	because '*advise*' "$MNT/cold"
	has_resident cold 1
	client_end "$CLIENT"
}

sequential_reads_bring_many() {
	cold_file cold 32 advise sequential data auto
	cold_read cold
	is daemon status "$MNT/cold" data.path
	because '*advise*' "$MNT/cold"
	at_least 32 resident "$STORE/cold"
	client_end "$CLIENT"
}

# Who insists on the kernel path gets it, and is told what it costs.
what_does_not_act_is_noted() {
	store_file cold 32
	is 'ok 0' xattr set "$MNT/cold" data kernel
	cold_read cold
	is kernel status "$MNT/cold" data.path
	is '' status "$MNT/cold" note
	client_end "$CLIENT"
	is none status "$MNT/cold" data.path
	is 'ok 0' xattr set "$MNT/cold" advise random
	cold_read cold
	is kernel status "$MNT/cold" data.path
	is '*advise*' status "$MNT/cold" note
	client_end "$CLIENT"
}

# The path that is taken, and for which reason.
the_path_is_shown() {
	store_file shown 1
	is none status "$MNT/shown" data.path
	is 0 status "$MNT/shown" open
	client_new
	expect 0 'ok *' open 0 "$MNT/shown" rw
	is "$usual_path" status "$MNT/shown" data.path
	is '?*' status "$MNT/shown" data.why
	is 1 status "$MNT/shown" open
	is 1 status "$MNT/shown" writers
	expect 0 'ok *' open 1 "$MNT/shown" ro
	is 2 status "$MNT/shown" open
	is 1 status "$MNT/shown" writers
	# It is held until the last close, whatever is set meanwhile.
	is 'ok 0' xattr set "$MNT/shown" data daemon
	is "$usual_path" status "$MNT/shown" data.path
	expect 0 'ok 0' close 0
	is "$usual_path" status "$MNT/shown" data.path
	expect 0 'ok 0' close 1
	becomes 10 none status "$MNT/shown" data.path
	expect 0 'ok *' open 0 "$MNT/shown" rw
	is daemon status "$MNT/shown" data.path
	client_end 0
}

# Given before the file is mapped, applied when it is, until the last close.
a_pattern_is_remembered_until_mapped() {
	cold_file cold 32 data daemon
	client_new
	expect 0 'ok *' open 0 "$MNT/cold" ro
	is 'ok 0' xattr set "$MNT/cold" advise.now random
	expect 0 'ok 4096' read 0 $((5000 * 4096)) 4096
	has_resident cold 1
	# Changed while it is mapped.
	is 'ok 0' xattr set "$MNT/cold" advise.now sequential
	expect 0 'ok 4096' read 0 $((3000 * 4096)) 4096
	at_least 33 resident "$STORE/cold"
	client_end 0
	becomes 10 none status "$MNT/cold" data.path
	is 'err ENODATA' xattr get "$MNT/cold" advise
	# Forgotten with the last close: a fault reads around again.
	is 'ok 0' xattr set "$MNT/cold" advise.now random
	evict cold
	cold_read cold
	at_least 2 resident "$STORE/cold"
	client_end 1
}

a_policy_reaches_an_open_file() {
	cold_file cold 32 data daemon
	client_new
	expect 0 'ok *' open 0 "$MNT/cold" ro
	expect 0 'ok 4096' read 0 4096 4096
	is 'ok 0' xattr set "$MNT/cold" advise.now dontneed
	has_resident cold 0
	is 'ok 0' xattr set "$MNT/cold" advise random
	expect 0 'ok 4096' read 0 $((5000 * 4096)) 4096
	has_resident cold 1
	client_end 0
}

# --- loading -----------------------------------------------------------------

willneed_loads_at_open() {
	cold_file cold 32 advise willneed
	has_resident cold 0
	client_new
	expect 0 'ok *' open 0 "$MNT/cold" ro
	is "$usual_path" status "$MNT/cold" data.path
	becomes 20 8192 resident "$STORE/cold"
	has_resident cold 8192
	client_end 0
}

willneed_now_loads() {
	cold_file cold 32
	is 'ok 0' xattr set "$MNT/cold" advise.now willneed
	becomes 20 8192 resident "$STORE/cold"
	evict cold
	client_new
	expect 0 'ok *' open 0 "$MNT/cold" ro
	is 'ok 0' xattr set "$MNT/cold" advise.now 'willneed @16M+4M\n'
	becomes 20 1024 resident "$STORE/cold" $((16 * MIB)) $((4 * MIB))
	sleep 0.2
	is 1024 resident "$STORE/cold"
	client_end 0
}

populate_read_returns_when_all_is_in() {
	cold_file cold 32
	is 'ok 0' xattr set "$MNT/cold" advise.now populate-read
	has_resident cold 8192
	evict cold
	client_new
	expect 0 'ok *' open 0 "$MNT/cold" ro
	is 'ok 0' xattr set "$MNT/cold" advise.now populate-read
	has_resident cold 8192
	is '0+33554432 r' value "$MNT/cold" residency.map
	client_end 0
}

populate_read_loads_just_its_range() {
	cold_file cold 32
	is 'ok 0' xattr set "$MNT/cold" advise.now populate-read@8M+4M
	is 1024 resident "$STORE/cold" $((8 * MIB)) $((4 * MIB))
	has_resident cold 1024
	is '8388608+4194304 r' value "$MNT/cold" residency.map
	# Rounded outward to pages.
	evict cold
	is 'ok 0' xattr set "$MNT/cold" advise.now populate-read@40960001+2
	has_resident cold 0
	is 'ok 0' xattr set "$MNT/cold" advise.now populate-read@20479999+2
	is 2 resident "$STORE/cold" $((4999 * 4096)) 8192
	has_resident cold 2
}

populate_write_makes_room() {
	local blocks
	as_user truncate -s 16M "$MNT/sparse"
	is 0 stat -c %b "$STORE/sparse"
	is 'ok 0' xattr set "$MNT/sparse" advise.now populate-write@4M+4M
	is 1024 resident "$STORE/sparse" $((4 * MIB)) $((4 * MIB))
	sync -d "$STORE/sparse"
	blocks=$(stat -c %b "$STORE/sparse")
	[[ $blocks -ge 8192 && $blocks -lt 12288 ]] ||
		{ echo "$blocks blocks"; return 1; }
	is 16777216 as_user stat -c %s "$MNT/sparse"
	as_user cmp -n 16777216 "$MNT/sparse" /dev/zero
}

# --- dropping ----------------------------------------------------------------

# Two programs have all of it mapped and read; and so has the daemon, if it is
# on the daemon's path. On btrfs one program: what two have mapped there
# nothing but memory pressure drops.
held_by_everybody() {
	local i page
	store_file held 32
	holders=(0 1)
	if [[ $(stat -f -c %T "$STORE") == btrfs && $usual_path == kernel ]]
	then
		holders=(0)
	fi
	for i in "${holders[@]}"; do
		client_new
		expect "$i" 'ok *' open 0 "$MNT/held" rw
		expect "$i" 'ok 33554432' map 0 33554432 rw
		expect "$i" 'ok 33554432' read 0 0 1048576 32
		for ((page = 0; page < 8192; page += 61)); do
			tell "$i" peek 0 $((page * 4096))
		done
		for ((page = 0; page < 8192; page += 61)); do
			reply "$i"
			[[ $REPLY == 'ok 65' ]] || { echo "$REPLY"; exit 1; }
		done
	done
	has_resident held 8192
}

still_the_same() {
	local i
	for i in "${holders[@]}"; do
		expect "$i" "ok $2" peek 0 $((5000 * 4096))
		expect "$i" 'ok 65536' expect 0 0 65536 "$2"
		client_end "$i"
	done
	cmp -n $((32 * MIB)) "$STORE/held" <(tr '\0' "$1" </dev/zero)
}

# dropped_by ADVICE
dropped_by() {
	held_by_everybody
	sync "$STORE/held"
	is 'ok 0' xattr set "$MNT/held" advise.now "$1"
	has_resident held 0
	still_the_same A 65
}

# The mount's own page cache is memory as well.
dropped_in_the_mount_by() {
	store_file held 32
	client_new
	expect 0 'ok *' open 0 "$MNT/held" ro
	expect 0 'ok 33554432' read 0 0 1048576 32
	at_least 4096 resident "$MNT/held"
	is 'ok 0' xattr set "$MNT/held" advise.now "$1"
	is 0 resident "$STORE/held"
	is 0 resident "$MNT/held"
	expect 0 'ok 65536' expect 0 0 65536 65
	client_end 0
}

dontneed_loses_nothing() {
	held_by_everybody
	expect 0 'ok 33554432' write 0 0 1048576 66 32
	is 'ok 0' xattr set "$MNT/held" advise.now dontneed
	still_the_same B 66
}

pageout_writes_first() {
	held_by_everybody
	expect 0 'ok 33554432' write 0 0 1048576 66 32
	is 'ok 0' xattr set "$MNT/held" advise.now pageout
	is 0 unwritten "$STORE/held"
	has_resident held 0
	still_the_same B 66
}

# ADVICE: 2048 pages of 8192, whoever has them mapped.
a_range_is_dropped_by() {
	held_by_everybody
	sync "$STORE/held"
	is 'ok 0' xattr set "$MNT/held" advise.now "$1 @8M+8M"
	is 0 resident "$STORE/held" $((8 * MIB)) $((8 * MIB))
	has_resident held 6144
	still_the_same A 65
}

# --- files of any size -------------------------------------------------------

ranges_beyond_4_gib() {
	local at=$((5 << 30))
	rm -f "$STORE/big"
	as_user truncate -s 6G "$STORE/big"
	head -c 4M /dev/zero | tr '\0' A | as_user dd "of=$STORE/big" bs=1M \
		seek=5120 iflag=fullblock conv=notrunc status=none
	evict big
	client_new
	expect 0 'ok *' open 0 "$MNT/big" rw
	is 'ok 0' xattr set "$MNT/big" advise.now populate-read@5G+4M
	has_resident big 1024
	is "$at+4194304 r" value "$MNT/big" residency.map
	is 'ok 0' xattr set "$MNT/big" advise.now dontneed@5121M+2M
	is 512 resident "$STORE/big" "$at" $((4 * MIB))
	is 0 resident "$STORE/big" $((at + MIB)) $((2 * MIB))
	is "$at+1048576 r"$'\n'"$((at + 3 * MIB))+1048576 r" \
		value "$MNT/big" residency.map
	is 'ok 0' xattr set "$MNT/big" advise.now willneed@5121M+2M
	becomes 20 1024 resident "$STORE/big" "$at" $((4 * MIB))
	# Past the end there is nothing to advise.
	is 'ok 0' xattr set "$MNT/big" advise.now willneed@7G+1M
	is 'ok 0' xattr set "$MNT/big" advise.now dontneed@1G+100G
	is 0 resident "$STORE/big"
	expect 0 'ok 4194304' expect 0 "$at" 4194304 65
	client_end 0
	rm "$STORE/big"
}

# --- under pressure ----------------------------------------------------------

# press MEBIBYTES: so much more wants to be in the cgroup's memory.
press() {
	"$IN_CGROUP" dd "if=${STORE%/store}/other" of=/dev/null bs=1M \
		count="$1" status=none
}

# All memory of the daemon and of its clients counts, whoever reads first.
pressed_mount() {
	local other=${STORE%/store}/other
	memory_limit "$1" || exit
	DAEMON_WRAP=$IN_CGROUP mount_store "$MOUNT_OPTIONS"
	[[ -e $other ]] || head -c 256M /dev/zero >"$other"
	"$HELPERS/pages" evict "$other"
}

pressed_mount_ends() {
	unmount_store
	memory_limit_end
}

cold_pages_go_first() {
	local cold warm
	pressed_mount $((160 * MIB))
	store_file cold 32
	store_file warm 32
	evict cold warm
	# Twice, so that the kernel takes them for used ones.
	for _ in 1 2 3; do
		"$IN_CGROUP" cat "$STORE/cold" "$STORE/warm" >/dev/null
	done
	has_resident cold 8192
	has_resident warm 8192
	is 'ok 0' xattr set "$MNT/cold" advise.now cold
	# That alone drops nothing.
	is 8192 resident "$STORE/cold"
	press 140
	cold=$(resident "$STORE/cold")
	warm=$(resident "$STORE/warm")
	echo "of 8192 pages each: cold $cold, warm $warm"
	[[ $cold -lt 2048 && $warm -gt 6144 ]]
	pressed_mount_ends
}

locked_pages_stay() {
	pressed_mount $((96 * MIB))
	store_file locked 16
	store_file other 16
	evict locked other
	"$IN_CGROUP" cat "$STORE/other" >/dev/null
	is 'ok 0' xattr set "$MNT/locked" lock on
	has_resident locked 4096
	is 16777216 status "$MNT/locked" locked
	press 256
	press 256
	has_resident locked 4096
	at_most 2048 resident "$STORE/other"
	# And no longer.
	is 'ok 0' xattr set "$MNT/locked" lock off
	is 0 status "$MNT/locked" locked
	press 256
	press 256
	at_most 2048 resident "$STORE/locked"
	pressed_mount_ends
}

# --- locking -----------------------------------------------------------------

# What the kernel says that the daemon has locked, in KiB.
daemon_locked() {
	awk '$1 == "VmLck:" { print $2 }' "/proc/$DAEMON_PID/status"
}

lock_holds_until_it_is_off() {
	cold_file locked 8
	is 0 daemon_locked
	is 'ok 0' xattr set "$MNT/locked" lock on
	has_resident locked 2048
	is 8192 daemon_locked
	is 8388608 status "$MNT/locked" locked
	is 8388608 stats locked
	is 'ok 0' xattr set "$MNT/locked" lock off
	is 0 daemon_locked
	is 'ok 0' xattr set "$MNT/locked" lock on
	is 8192 daemon_locked
	is 'ok 0' xattr remove "$MNT/locked" lock
	is 0 daemon_locked
	is 'ok 0' xattr set "$MNT/locked" lock on
	as_user rm "$MNT/locked"
	becomes 10 0 daemon_locked
	is 0 stats locked
}

lock_on_fault_brings_nothing_in() {
	cold_file locked 8
	is 'ok 0' xattr set "$MNT/locked" lock onfault
	has_resident locked 0
	is 8192 daemon_locked
	is 'ok 0' xattr set "$MNT/locked" lock off
	is 0 daemon_locked
}

lock_begins_at_the_first_open() {
	store_file locked 8
	is 'ok 0' xattr set "$STORE/locked" lock on
	# Not by way of the mount: that would be the first open.
	"$HELPERS/pages" evict "$STORE/locked"
	is 0 resident "$STORE/locked"
	is 0 daemon_locked
	client_new
	expect 0 'ok *' open 0 "$MNT/locked" ro
	becomes 10 8192 daemon_locked
	becomes 10 2048 resident "$STORE/locked"
	# It doesn't end with the close.
	client_end 0
	sleep 0.3
	is 8192 daemon_locked
	is 'ok 0' xattr remove "$MNT/locked" lock
}

lock_follows_the_files_size() {
	store_file locked 1
	is 'ok 0' xattr set "$MNT/locked" lock on
	is 1024 daemon_locked
	client_new
	expect 0 'ok *' open 0 "$MNT/locked" rw
	expect 0 'ok 0' truncate 0 4096
	expect 0 'ok 4096' write 0 0 4096 66
	expect 0 'ok 1048576' write 0 4096 1048576 66
	client_end 0
	cmp -n 1052672 "$STORE/locked" <(tr '\0' B </dev/zero)
	is 1052672 stat -c %s "$STORE/locked"
	is 'ok 0' xattr set "$MNT/locked" lock off
	is 0 daemon_locked
}

# With lock-limit=4M.
lock_ends_at_the_limit() {
	store_file small 3
	store_file large 8
	is 4194304 stats lock.limit
	log_mark
	is 'err ENOMEM' xattr set "$MNT/large" lock on
	log_says 1 lock
	is 0 daemon_locked
	is 'err ENODATA' xattr get "$MNT/large" lock
	is 'err ENODATA' xattr get "$STORE/large" lock
	is off status "$MNT/large" lock
	is 'ok 0' xattr set "$MNT/small" lock on
	is 3072 daemon_locked
	# The limit is the mount's, not each file's.
	store_file second 2
	is 'err ENOMEM' xattr set "$MNT/second" lock on
	is 'ok 0' xattr set "$MNT/small" lock off
	is 'ok 0' xattr set "$MNT/second" lock on
	is 2048 daemon_locked
	is 'ok 0' xattr remove "$MNT/second" lock
}

# --- huge pages --------------------------------------------------------------

large() {
	"$HELPERS/pages" large "$1"
}

# A tmpfs that gives huge pages to who asks for them.
huge_store() {
	STORE=$BASE/huge/store
	mkdir -p "$BASE/huge"
	mount -t tmpfs -o huge=advise,size=256M none "$BASE/huge"
	mkdir "$STORE"
	mount_store
}

huge_store_ends() {
	unmount_store
	umount "$BASE/huge"
}

hugepage_gives_huge_pages() {
	huge_store
	as_user truncate -s 8M "$MNT/plain" "$MNT/huge"
	is 'ok 0' xattr set "$MNT/plain" advise.now populate-write
	is 0 large "$STORE/plain"
	is 'ok 0' xattr set "$MNT/huge" advise hugepage
	is hugepage status "$MNT/huge" advise
	is 'ok 0' xattr set "$MNT/huge" advise.now populate-write
	at_least 1024 large "$STORE/huge"
	huge_store_ends
}

hugepage_now_gives_huge_pages() {
	huge_store
	as_user truncate -s 8M "$MNT/huge"
	client_new
	expect 0 'ok *' open 0 "$MNT/huge" rw
	is 'ok 0' xattr set "$MNT/huge" advise.now hugepage
	is 'ok 0' xattr set "$MNT/huge" advise.now populate-write
	at_least 1024 large "$STORE/huge"
	client_end 0
	huge_store_ends
}

# Without asking for it: by a program that writes into holes.
hugepage_acts_on_writes() {
	huge_store
	as_user truncate -s 8M "$MNT/huge"
	is 'ok 0' xattr set "$MNT/huge" advise hugepage
	is 'ok 0' xattr set "$MNT/huge" data daemon
	client_new
	expect 0 'ok *' open 0 "$MNT/huge" rw
	expect 0 'ok 8388608' write 0 0 65536 65 128
	client_end 0
	cmp -n 8388608 "$STORE/huge" <(tr '\0' A </dev/zero)
	at_least 1024 large "$STORE/huge"
	huge_store_ends
}

collapse_makes_huge_pages() {
	huge_store
	head -c 8M /dev/zero | tr '\0' A >"$MNT/huge"
	is 0 large "$STORE/huge"
	is 'ok 0' xattr set "$MNT/huge" advise.now collapse
	at_least 1024 large "$STORE/huge"
	as_user cat "$MNT/huge" | cmp -n 8M - <(tr '\0' A </dev/zero)
	huge_store_ends
}

# Either the store's files get huge pages or the setting is refused.
hugepage_acts_or_is_refused() {
	local answer name
	for name in advise advise.now; do
		store_file "huge.$name" 16
		evict "huge.$name"
		client_new
		expect "$CLIENT" 'ok *' open 0 "$MNT/huge.$name" rw
		answer=$(xattr set "$MNT/huge.$name" "$name" hugepage || true)
		echo "$name=hugepage: $answer"
		if [[ $answer == 'ok 0' ]]; then
			is 'ok 0' xattr set "$MNT/huge.$name" advise.now \
				populate-read
			at_least 512 large "$STORE/huge.$name"
		else
			is 'err E@(INVAL|OPNOTSUPP)' echo "$answer"
			is 'err ENODATA' xattr get "$MNT/huge.$name" advise
		fi
		client_end "$CLIENT"
	done
	is 'ok 0' xattr set "$MNT/huge.advise" advise nohugepage
	is 'ok 0' xattr set "$MNT/huge.advise" advise.now nohugepage
}

collapse_acts_or_is_refused() {
	local answer
	store_file huge 16
	evict huge
	answer=$(xattr set "$MNT/huge" advise.now collapse || true)
	echo "collapse: $answer"
	if [[ $answer == 'ok 0' ]]; then
		at_least 512 large "$STORE/huge"
	else
		is 'err E@(INVAL|OPNOTSUPP)' echo "$answer"
	fi
	as_user cat "$MNT/huge" | cmp -n 16M - <(tr '\0' A </dev/zero)
}

# --- the others --------------------------------------------------------------

remove_punches_a_hole() {
	store_file holed 8
	client_new
	expect 0 'ok *' open 0 "$MNT/holed" rw
	expect 0 'ok 4096' expect 0 $((2 * MIB)) 4096 65
	is 'ok 0' xattr set "$MNT/holed" advise.now remove@2M+4M
	expect 0 'ok 1048576' expect 0 $((2 * MIB)) 1048576 0
	expect 0 'ok 1048576' expect 0 $((5 * MIB)) 1048576 0
	expect 0 'ok 1048576' expect 0 $((6 * MIB)) 1048576 65
	is 8388608 as_user stat -c %s "$MNT/holed"
	sync "$STORE/holed"
	at_most 8200 stat -c %b "$STORE/holed"
	client_end 0
}

every_advice_is_taken() {
	local advice evicted='ok 0'
	store_file any 1
	for advice in normal random sequential willneed cold \
		populate-read populate-write nohugepage dontdump dodump; do
		is 'ok 0' xattr set "$MNT/any" advise.now "$advice"
		is 'ok 0' xattr set "$MNT/any" advise.now "$advice@4096+4096"
	done
	# What is in memory only can't be dropped from there.
	[[ $(stat -f -c %T "$STORE") != tmpfs ]] || evicted=err\ EOPNOTSUPP
	for advice in dontneed pageout; do
		is "$evicted" xattr set "$MNT/any" advise.now "$advice"
		is "$evicted" xattr set "$MNT/any" advise.now "$advice@4096+1"
	done
	is 'ok 0' xattr set "$MNT/any" advise.now random+populate-read
	is 256 resident "$STORE/any"
	as_user touch "$MNT/empty"
	for advice in normal willneed cold populate-read; do
		is 'ok 0' xattr set "$MNT/empty" advise.now "$advice"
	done
	as_user cat "$MNT/any" | cmp -n 1M - <(tr '\0' A </dev/zero)
}

# --- which of them -----------------------------------------------------------

make_store || bail "no $FS store"
has_cachestat || skip_all "this kernel has no cachestat(2)"

t the_data_path_is_shown_and_held_until_the_last_close \
	mounted the_path_is_shown
t every_advice_is_taken mounted every_advice_is_taken
t populate_write_makes_room mounted populate_write_makes_room
t remove_punches_a_hole mounted remove_punches_a_hole
t lock_follows_the_file_s_size mounted lock_follows_the_files_size
MOUNT_OPTIONS=lock-limit=4M
t lock_ends_at_the_mount_s_limit mounted lock_ends_at_the_limit
MOUNT_OPTIONS=

if [[ $(stat -f -c %T "$STORE") == tmpfs ]]; then
	skip cold_reads_willneed_dontneed_and_pageout \
		"n/a: what is in a tmpfs is always in memory"
else
	t a_cold_random_read_brings_in_one_page \
		mounted random_reads_bring_one_page
	t a_cold_sequential_read_brings_in_many \
		mounted sequential_reads_bring_many
	t a_pattern_is_remembered_until_the_file_is_mapped \
		mounted a_pattern_is_remembered_until_mapped
	t a_policy_reaches_a_file_that_is_open \
		mounted a_policy_reaches_an_open_file
	t willneed_loads_the_file_at_open mounted willneed_loads_at_open
	t willneed_now_loads_the_file mounted willneed_now_loads
	t populate_read_returns_when_the_pages_are_in \
		mounted populate_read_returns_when_all_is_in
	t populate_read_loads_just_its_range \
		mounted populate_read_loads_just_its_range
	t dontneed_drops_what_everybody_has_mapped mounted dropped_by dontneed
	t pageout_drops_what_everybody_has_mapped mounted dropped_by pageout
	if [[ $usual_path == daemon ]]; then
		t dontneed_drops_the_mount_s_own_pages \
			mounted dropped_in_the_mount_by dontneed
		t pageout_drops_the_mount_s_own_pages \
			mounted dropped_in_the_mount_by pageout
	fi
	t dontneed_loses_no_data mounted dontneed_loses_nothing
	t pageout_writes_before_it_drops mounted pageout_writes_first
	t dontneed_drops_just_its_range mounted a_range_is_dropped_by dontneed
	t pageout_drops_just_its_range mounted a_range_is_dropped_by pageout
	t ranges_beyond_4_GiB_act_on_just_their_pages \
		mounted ranges_beyond_4_gib
	t lock_holds_the_pages_until_it_is_off \
		mounted lock_holds_until_it_is_off
	t lock_on_fault_brings_nothing_in \
		mounted lock_on_fault_brings_nothing_in
	t lock_begins_at_the_first_open mounted lock_begins_at_the_first_open
	if [[ -n $SANITIZER ]]; then
		skip cold_and_locked_pages_under_pressure \
			"n/a: a sanitizer's own memory fills the cgroup"
	elif [[ $EUID -eq 0 && -z $AS_USER ]]; then
		t cold_pages_go_first cold_pages_go_first
		t locked_pages_stay_under_pressure locked_pages_stay
	else
		skip cold_and_locked_pages_under_pressure "cgroups need root"
	fi
	t hugepage_acts_or_is_refused mounted hugepage_acts_or_is_refused
	t collapse_acts_or_is_refused mounted collapse_acts_or_is_refused
fi
if [[ $usual_path == kernel ]]; then
	t what_does_not_act_on_the_kernel_path_is_noted \
		mounted what_does_not_act_is_noted
fi
t the_store_is_given_back drop_store

if [[ $EUID -ne 0 || -n $AS_USER ]]; then
	skip huge_pages_on_a_tmpfs "mounting one needs root"
elif ! grep -qs '\[\(madvise\|always\)\]' \
	/sys/kernel/mm/transparent_hugepage/enabled; then
	skip huge_pages_on_a_tmpfs "this kernel has huge pages turned off"
else
	t hugepage_gives_huge_pages_on_a_tmpfs hugepage_gives_huge_pages
	t hugepage_now_gives_huge_pages_on_a_tmpfs \
		hugepage_now_gives_huge_pages
	t hugepage_acts_on_writes_to_a_tmpfs hugepage_acts_on_writes
	t collapse_makes_huge_pages_on_a_tmpfs collapse_makes_huge_pages
fi
done_testing
