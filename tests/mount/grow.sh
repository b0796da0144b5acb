#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Files that grow: space allocated ahead, limits, files that may only be
# appended to, and those who follow them.
# shellcheck source=tests/lib/harness.sh
source "$(dirname "$0")/../lib/harness.sh"
# shellcheck source=tests/lib/control.sh
source "$SRCDIR/tests/lib/control.sh"
# shellcheck source=tests/mount/programs/client.sh
source "$SRCDIR/tests/mount/programs/client.sh"

MIB=$((1 << 20))
shopt -s extglob

# policy_file NAME [POLICY VALUE]...: new and empty; data=auto, because growth
# in chunks acts on the daemon path only.
policy_file() {
	local name=$1
	as_user rm -f "$MNT/$name"
	as_user touch "$MNT/$name"
	is 'ok 0' xattr set "$MNT/$name" data auto
	shift
	while [[ $# -gt 0 ]]; do
		is 'ok 0' xattr set "$MNT/$name" "$1" "$2"
		shift 2
	done
}

# Bytes that the store has for it.
allocated() {
	echo $(($(stat -c %b "$STORE/$1") * 512))
}

# --- ahead -------------------------------------------------------------------

extents() {
	sync -d "$STORE/$1"
	filefrag "$STORE/$1" | sed -E 's/.*: ([0-9]+) extents? found/\1/'
}

# Three files that grow at the same time, each piece on the disk before the
# next, and other small ones in between.
grow_side_by_side() {
	local i name n=0
	client_new
	for name in "$@"; do
		expect "$CLIENT" 'ok *' open $n "$MNT/$name" wo,append
		n=$((n + 1))
	done
	for ((i = 0; i < 128; i++)); do
		for ((n = 0; n < $#; n++)); do
			tell "$CLIENT" write $n $((i * 4096)) 4096 65
			tell "$CLIENT" fdatasync $n
		done
		for ((n = 0; n < $#; n++)); do
			reply "$CLIENT"
			[[ $REPLY == 'ok 4096' ]] || { echo "$REPLY"; exit 1; }
			reply "$CLIENT"
			[[ $REPLY == 'ok 0' ]] || { echo "$REPLY"; exit 1; }
		done
	done
	client_end "$CLIENT"
}

chunks_make_few_extents() {
	local without with
	for name in without.0 without.1 without.2; do
		policy_file "$name"
	done
	for name in with.0 with.1 with.2; do
		policy_file "$name" grow chunk=1M
	done
	grow_side_by_side without.{0..2}
	grow_side_by_side with.{0..2}
	without=$(($(extents without.0) + $(extents without.1) + \
		$(extents without.2)))
	with=$(($(extents with.0) + $(extents with.1) + $(extents with.2)))
	echo "extents of three files: $with with chunk=1M, $without without"
	for name in with.0 with.1 with.2; do
		is 524288 stat -c %s "$STORE/$name"
		cmp -n 524288 "$STORE/$name" <(tr '\0' A </dev/zero)
	done
	[[ $with -le 9 ]]
	# Where the file system itself is so clever there is nothing to gain.
	[[ $without -le 9 || $with -lt $((without / 4)) ]]
}

chunks_are_not_seen_in_the_size() {
	policy_file ahead grow chunk=4M
	client_new
	expect 0 'ok *' open 0 "$MNT/ahead" rw
	expect 0 'ok 4097' write 0 0 4097 65
	is 4097 as_user stat -c %s "$MNT/ahead"
	is 4097 stat -c %s "$STORE/ahead"
	at_least $((4 * MIB)) allocated ahead
	at_most $((5 * MIB)) allocated ahead
	expect 0 'ok 4097' read 0 0 65536
	expect 0 'ok 0' read 0 4097 65536
	expect 0 'ok 4097' size 0
	is 4097 status "$MNT/ahead" size
	# What is made bigger later is zeros, and not what stood there.
	expect 0 'ok 0' truncate 0 100
	expect 0 'ok 0' truncate 0 65536
	expect 0 'ok 65436' expect 0 100 65436 0
	expect 0 'ok 4096' write 0 $((6 * MIB)) 4096 66
	is $((6 * MIB + 4096)) stat -c %s "$STORE/ahead"
	expect 0 'ok 65536' expect 0 $((5 * MIB)) 65536 0
	client_end 0
	is $((6 * MIB + 4096)) stat -c %s "$STORE/ahead"
}

# No room for a chunk is no reason to refuse what there is room for.
a_full_store_has_no_chunks() {
	local left
	policy_file tight grow chunk=1G
	as_user dd if=/dev/zero of="$MNT/tight" bs=4k count=16 conv=notrunc \
		status=none
	is 65536 stat -c %s "$STORE/tight"
	left=$(df --output=avail -B 1 "$STORE" | tail -n 1)
	[[ $left -gt $MIB ]]
	as_user rm "$MNT/tight"
}

trim_gives_back_at_the_last_close() {
	policy_file trimmed grow chunk=16M+trim
	client_new
	expect 0 'ok *' open 0 "$MNT/trimmed" rw
	expect 0 'ok *' open 1 "$MNT/trimmed" wo
	expect 0 'ok 5000' write 0 0 5000 65
	at_least $((16 * MIB)) allocated trimmed
	expect 0 'ok 0' close 0
	sleep 0.3
	at_least $((16 * MIB)) allocated trimmed
	expect 0 'ok 0' close 1
	does 10 allocated_at_most 65536 trimmed
	is 5000 stat -c %s "$STORE/trimmed"
	cmp -n 5000 "$STORE/trimmed" <(tr '\0' A </dev/zero)
	client_end 0
	# Without trim it is kept for the next writer.
	policy_file kept grow chunk=16M
	as_user dd if=/dev/zero of="$MNT/kept" bs=4k count=1 conv=notrunc \
		status=none
	sleep 0.5
	at_least $((16 * MIB)) allocated kept
}

allocated_at_most() {
	[[ $(allocated "$2") -le $1 ]]
}

# The kernel forgets the releases that nobody has read when the mount goes.
trim_gives_back_what_the_unmount_finds_open() {
	policy_file unread grow chunk=4M+trim
	client_new
	expect 0 'ok *' open 0 "$MNT/unread" rw
	expect 0 'ok 4097' write 0 0 4097 65
	at_least $((4 * MIB)) allocated unread
	kill -STOP "$DAEMON_PID"
	client_end 0
	if [[ $EUID -eq 0 ]]; then
		umount -i "$MNT"
	else
		fusermount3 -u "$MNT"
	fi
	kill -CONT "$DAEMON_PID"
	unmount_store
	is 4097 stat -c %s "$STORE/unread"
	at_most 65536 allocated unread
}

# --- limits ------------------------------------------------------------------

growth_past_max_is_EFBIG() {
	policy_file limited grow max=1M data "$DATA"
	client_new
	expect 0 'ok *' open 0 "$MNT/limited" rw
	expect 0 'ok 524288' write 0 0 524288 65
	# One that crosses it is short, one that begins there fails.
	expect 0 'ok 2048' write 0 $((MIB - 2048)) 4096 66
	is "$MIB" stat -c %s "$STORE/limited"
	expect 0 'err EFBIG *' write 0 "$MIB" 1 66
	expect 0 'err EFBIG *' write 0 $((5 * MIB)) 4096 66
	expect 0 'err EFBIG *' truncate 0 $((MIB + 1))
	expect 0 'err EFBIG *' fallocate 0 0 $((MIB + 1))
	expect 0 'err EFBIG *' fallocate 0 "$MIB" 4096
	is "$MIB" stat -c %s "$STORE/limited"
	is "$MIB" as_user stat -c %s "$MNT/limited"
	expect 0 'ok 2048' expect 0 $((MIB - 2048)) 2048 66
	# Within it all goes on.
	expect 0 'ok 1048576' write 0 0 65536 67 16
	expect 0 'ok 0' fallocate 0 0 "$MIB"
	expect 0 'ok 0' truncate 0 100
	expect 0 'ok 0' truncate 0 "$MIB"
	expect 0 'ok 0' truncate 0 $((MIB - 100))
	expect 0 'ok *' open 1 "$MNT/limited" wo,append
	expect 0 'ok 100' write 1 0 4096 68
	expect 0 'err EFBIG *' write 1 0 1 68
	expect 0 'ok 100' expect 0 $((MIB - 100)) 100 68
	is daemon status "$MNT/limited" data.path
	because '*max*' "$MNT/limited"
	client_end 0
	if as_user truncate -s 2M "$MNT/limited" 2>"$BASE/errors"; then
		echo "truncate(2) went past it"
		return 1
	fi
	grep -q 'File too large' "$BASE/errors"
	is "$MIB" stat -c %s "$STORE/limited"
}

# A file that is larger already may be written, and shrink.
a_larger_file_may_shrink() {
	as_user rm -f "$MNT/larger"
	as_user truncate -s 2M "$MNT/larger"
	is 'ok 0' xattr set "$MNT/larger" grow max=1M
	client_new
	expect 0 'ok *' open 0 "$MNT/larger" rw
	expect 0 'ok 4096' expect 0 "$MIB" 4096 0
	expect 0 'err EFBIG *' write 0 $((2 * MIB)) 4096 65
	expect 0 'err EFBIG *' truncate 0 $((2 * MIB + 1))
	expect 0 'ok 0' truncate 0 $((MIB / 2))
	expect 0 'ok 4096' write 0 $((MIB / 2)) 4096 65
	client_end 0
	is $((MIB / 2 + 4096)) stat -c %s "$STORE/larger"
}

# --- appending only ----------------------------------------------------------

# "data=kernel" does not get around it either.
only_appends_are_taken() {
	policy_file log append on data "$DATA"
	client_new
	expect 0 'ok *' open 0 "$MNT/log" rw
	is daemon status "$MNT/log" data.path
	because '*append*' "$MNT/log"
	expect 0 'ok 8192' write 0 0 8192 65
	expect 0 'ok 100' write 0 8192 100 66
	expect 0 'err EPERM *' write 0 0 1 67
	expect 0 'err EPERM *' write 0 8291 1 67
	expect 0 'err EPERM *' write 0 8191 4096 67
	expect 0 'err EPERM *' write 0 8293 1 67
	expect 0 'err EPERM *' write 0 1048576 4096 67
	expect 0 'err EPERM *' truncate 0 8293
	expect 0 'err EPERM *' truncate 0 1048576
	expect 0 'err EPERM *' punch 0 0 4096
	expect 0 'err EPERM *' fallocate 0 0 65536
	is 8292 stat -c %s "$STORE/log"
	expect 0 'ok 8192' expect 0 0 8192 65
	expect 0 'ok 100' expect 0 8192 100 66
	expect 0 'ok *' open 1 "$MNT/log" wo,append
	expect 0 'ok 4096' write 1 0 4096 67
	is 12388 stat -c %s "$STORE/log"
	# Down is meant.
	expect 0 'ok 0' truncate 0 8192
	is 8192 stat -c %s "$STORE/log"
	expect 0 'ok 4096' write 1 0 4096 68
	is 12288 stat -c %s "$STORE/log"
	expect 0 'ok 4096' expect 0 8192 4096 68
	expect 0 'ok 0' fsync 0
	expect 0 'ok *' open 2 "$MNT/log" wo,trunc
	is 0 stat -c %s "$STORE/log"
	expect 0 'ok 4096' write 2 0 4096 69
	# advise.now=remove is a hole like any.
	is 'err EPERM' xattr set "$MNT/log" advise.now remove@0+4096
	expect 0 'ok 4096' expect 0 0 4096 69
	client_end 0
	# Nor is it one when nobody has the file open.
	is 'err EPERM' xattr set "$MNT/log" advise.now remove@0+4096
	cmp -n 4096 "$STORE/log" <(tr '\0' E </dev/zero)
	is 'ok 0' xattr set "$MNT/log" append off
	as_user dd if=/dev/zero of="$MNT/log" bs=1 count=1 conv=notrunc \
		status=none
}

a_mapping_can_not_overwrite() {
	policy_file log append on
	client_new
	expect 0 'ok *' open 0 "$MNT/log" rw
	expect 0 'ok 8192' write 0 0 8192 65
	ask 0 map 0 8192 rw
	if [[ $REPLY == ok* ]]; then
		ask 0 poke 0 0 4096 66
		ask 0 msync 0
		echo "msync: $REPLY"
	else
		[[ $REPLY == err\ E@(ACCES|PERM|NODEV|INVAL)* ]]
		expect 0 'ok 8192' map 0 8192 ro
		expect 0 'ok 65' peek 0 0
	fi
	client_end 0
	cmp -n 8192 "$STORE/log" <(tr '\0' A </dev/zero)
	is 8192 stat -c %s "$STORE/log"
}

# Copies by the kernel end as writes do.
copying_into_it_obeys() {
	policy_file log append on
	as_user dd if=/dev/zero of="$MNT/log" bs=4k count=2 status=none
	head -c 4096 /dev/zero | tr '\0' A >"$BASE/piece"
	chmod 644 "$BASE/piece"
	as_user cp "$BASE/piece" "$MNT/piece"
	# O_TRUNC first, then from the start: which is the end.
	as_user cp "$MNT/piece" "$MNT/log"
	is 4096 stat -c %s "$STORE/log"
	if as_user dd if="$MNT/piece" of="$MNT/log" bs=4k conv=notrunc \
		status=none 2>"$BASE/errors"; then
		echo "it was overwritten"
		return 1
	fi
	grep -q 'not permitted' "$BASE/errors"
	as_user dd if="$MNT/piece" of="$MNT/log" bs=4k seek=1 conv=notrunc \
		status=none
	cmp -n 8192 "$STORE/log" <(tr '\0' A </dev/zero)
}

# --- followers ---------------------------------------------------------------

RECORDS=2000

many_writers_append_whole_records() {
	local i pids=()
	policy_file log append on
	for i in 0 1 2 3; do
		as_user "$(helper records)" write "$MNT/log" \
			$((i * RECORDS / 4)) $((RECORDS / 4)) &
		pids+=($!)
	done
	for i in "${pids[@]}"; do
		wait "$i"
	done
	is "$RECORDS" as_user "$(helper records)" check "$MNT/log" "$RECORDS"
	is "$RECORDS" "$(helper records)" check "$STORE/log" "$RECORDS"
}

has_line() {
	grep -qs "$1" "$2"
}

# all_lines FILE: "tail" has printed as much as was written.
all_bytes() {
	[[ $(stat -c %s "$1") -eq $(stat -c %s "$STORE/log") ]]
}

# POLICY...: half of the followers are told by inotify, half are tail(1).
readers_follow_one_writer() {
	local i out keeper pids=() tails=()
	out=$(client_directory)
	policy_file log "$@"
	sleep 600 &
	keeper=$!
	for i in {0..7}; do
		as_user "$(helper records)" follow "$MNT/log" "$RECORDS" \
			>"$out/follow.$i" 2>&1 &
		pids+=($!)
		as_user tail -F -n +1 -s 0.1 --pid="$keeper" "$MNT/log" \
			>"$out/tail.$i" 2>/dev/null &
		tails+=($!)
	done
	for i in {0..7}; do
		does 10 has_line following "$out/follow.$i"
	done
	as_user "$(helper records)" write "$MNT/log" 0 "$RECORDS"
	for i in {0..7}; do
		wait "${pids[i]}" || { cat "$out/follow.$i"; exit 1; }
		is "following"$'\n'"$RECORDS" cat "$out/follow.$i"
		does 30 all_bytes "$out/tail.$i"
		is "$RECORDS" "$(helper records)" check "$out/tail.$i" \
			"$RECORDS"
		cmp "$out/tail.$i" "$STORE/log"
	done
	kill "$keeper"
	wait "${tails[@]}"
}

# --- which of them -----------------------------------------------------------

make_store || bail "no $FS store"
kind=$(stat -f -c %T "$STORE")

if [[ $kind == tmpfs ]]; then
	skip chunks_make_few_extents "n/a: a tmpfs has no extents"
elif ! command -v filefrag >/dev/null; then
	skip chunks_make_few_extents "filefrag is not installed"
else
	t chunks_make_few_extents mounted chunks_make_few_extents
fi
t chunks_are_not_seen_in_the_size mounted chunks_are_not_seen_in_the_size
t trim_gives_back_at_the_last_close mounted trim_gives_back_at_the_last_close
t trim_gives_back_what_the_unmount_finds_open \
	mounted trim_gives_back_what_the_unmount_finds_open
t growth_past_max_is_EFBIG mounted growth_past_max_is_EFBIG
t a_larger_file_may_shrink mounted a_larger_file_may_shrink
t only_appends_are_taken mounted only_appends_are_taken
t a_mapping_can_not_overwrite mounted a_mapping_can_not_overwrite
t copying_into_it_obeys mounted copying_into_it_obeys
t many_writers_append_whole_records mounted many_writers_append_whole_records
t readers_follow_a_file_that_is_appended_to \
	mounted readers_follow_one_writer append on
t readers_follow_one_that_grows_in_chunks \
	mounted readers_follow_one_writer append on grow chunk=1M+trim
t the_store_is_given_back drop_store

if [[ $FS == dir ]]; then
	skip a_full_store_has_no_chunks \
		"n/a: this store is the machine's disk"
else
	STORE_SIZE=320M
	make_store || bail "no small $FS store"
	t a_full_store_has_no_chunks mounted a_full_store_has_no_chunks
	t the_small_store_is_given_back drop_store
fi
done_testing
