# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# What the tests of staged and private files share, control.sh and client.sh
# with it. Needs harness.sh.
#
#	staged_case OPTIONS NAME COMMAND...	a case on a mount with these
#		options, then an empty store; map=staged unless they say
#		another map
#	has FILE SIZE BYTE	a file of a mount or the store, all of it
#	store_had NAME SIZE BYTE	makes it in the store, behind any mount
#	wrote CLIENT NAME BYTE [FLAGS]	handle 0: 1 MiB of that letter, written
#	commits			of the mount, by whatever cause
#	counted KEY		by how much it grew since counts_mark
# shellcheck source=tests/lib/control.sh
source "$SRCDIR/tests/lib/control.sh"
# shellcheck source=tests/mount/programs/client.sh
source "$SRCDIR/tests/mount/programs/client.sh"

MIB=$((1 << 20))
shopt -s extglob

# The letters that step_client writes, by their numbers.
A=65 B=66 C=67 D=68

staged_case() {
	MOUNT_OPTIONS=$1
	[[ ,$1 == *,map=* ]] || MOUNT_OPTIONS=map=staged,$1
	t "$2" "${@:3}"
	# One that failed may leave a daemon, which still has the store.
	wait_until "${harness_wait:-20}" no_daemon ||
		echo "# a daemon still runs after $2"
	as_user find "$STORE" -mindepth 1 -delete
}

no_daemon() {
	! harness_running
}

# begun: mounts; a case that fails after it doesn't leave the mount there. For
# those that unmount by themselves.
begun() {
	mount_store "$MOUNT_OPTIONS" "$@"
	trap 'umount -l "$MNT" 2>/dev/null || true' EXIT
}

# letters BYTE: without end.
letters() {
	tr '\0' "\\$(printf %o "$1")" </dev/zero
}

has() {
	is "$2" as_user stat -c %s "$1" || return 1
	[[ $2 -eq 0 ]] || as_user cmp -n "$2" "$1" <(letters "$3")
}

store_had() {
	as_user dd of="$STORE/$1" iflag=fullblock bs=64k count="$2" \
		iflag=count_bytes status=none < <(letters "$3")
}

wrote() {
	while [[ $CLIENT -lt $1 ]]; do
		client_new
	done
	expect "$1" 'ok *' open 0 "$MNT/$2" "rw,create${4:+,$4}"
	expect "$1" "ok $MIB" write 0 0 65536 "$3" 16
}

# --- counters ----------------------------------------------------------------

counts_mark() {
	value "$MNT" stats >"$BASE/stats.mark"
}

counted() {
	local before
	before=$(sed -n "s/^${1//./\\.}=//p" "$BASE/stats.mark")
	echo $(($(stats "$1") - before))
}

commits() {
	stats commit.count
}

uncommitted() {
	status "$MNT/$1" staged.uncommitted
}

# A commit asked for by name; nothing of the mount is uncommitted then.
commit() {
	is 'ok 0' xattr set "$MNT" sync.now wait
	is 0 stats stage.dirty
}

# KiB of memory that the daemon shares with nobody but itself: the arena.
daemon_arena() {
	awk '$1 == "RssShmem:" { print $2 }' "/proc/$DAEMON_PID/status"
}

arena_at_most() {
	[[ $(daemon_arena) -le $1 ]]
}
