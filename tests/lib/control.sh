# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# The control plane as a shell script uses it: attributes, page counts, the
# daemon's own statistics and its log, cgroups (memory.sh). Needs harness.sh.
#
#	xattr get|set|remove FILE NAME [VALUE...]	NAME without the
#		prefix; prints what helper `attribute` prints
#	is PATTERN COMMAND...		fails unless the output is that
#	becomes SECONDS PATTERN COMMAND...	the same, polled
#	mounted CASE...			a case with a mount of its own, made
#		with MOUNT_OPTIONS; cases are subshells, so a mount ends with it
#	does SECONDS COMMAND...		polls until it succeeds, says if not
#
# With AS_USER set the attributes are set and read as that user.

# shellcheck source=tests/lib/memory.sh
source "$SRCDIR/tests/lib/memory.sh"

prefix=user.msyncfs.
MOUNT_OPTIONS=

# The path that files take here when nothing asks for another.
usual_path=$(usual_path)

# mounted CASE...: on a mount of its own, with MOUNT_OPTIONS.
mounted() {
	mount_store "$MOUNT_OPTIONS"
	# A case that fails is not to fail the next ones as well.
	trap '{ umount -l "$MNT" || fusermount3 -u -z "$MNT" || true
		} 2>/dev/null' EXIT
	"$@"
	unmount_store
	trap - EXIT
}

attribute() {
	as_user "$HELPERS/attribute" "$@"
}

xattr() {
	local verb=$1 file=$2 name=$3
	shift 3
	attribute "$verb" "$file" "$prefix$name" "$@"
}

is() {
	local pattern=$1 got
	shift
	got=$("$@" 2>&1) || true
	# shellcheck disable=SC2053
	[[ $got == $pattern ]] && return 0
	echo "$*: ${got:-(nothing)}; expected ${pattern:-(nothing)}"
	return 1
}

becomes() {
	local end=$((${EPOCHREALTIME/[.,]/} + $1 * SLOW * 1000000)) pattern=$2 got
	shift 2
	while :; do
		got=$("$@" 2>&1) || true
		# shellcheck disable=SC2053
		[[ $got == $pattern ]] && return 0
		((${EPOCHREALTIME/[.,]/} < end)) || break
		sleep 0.05
	done
	echo "$*: still ${got:-(nothing)}; expected ${pattern:-(nothing)}"
	return 1
}

does() {
	local seconds=$1
	shift
	wait_until "$seconds" "$@" && return 0
	echo "not within $seconds s: $*"
	return 1
}

# at_least N COMMAND..., at_most N COMMAND...: its output is a number.
at_least() {
	local least=$1 got
	shift
	got=$("$@" 2>&1) || true
	[[ $got =~ ^[0-9]+$ && $got -ge $least ]] && return 0
	echo "$*: $got; expected at least $least"
	return 1
}

at_most() {
	local most=$1 got
	shift
	got=$("$@" 2>&1) || true
	[[ $got =~ ^[0-9]+$ && $got -le $most ]] && return 0
	echo "$*: $got; expected at most $most"
	return 1
}

# --- what can be read --------------------------------------------------------

# value FILE NAME: the attribute as it is.
value() {
	local said status try
	# getfattr(1) asks for the size first: a status may be longer by then.
	for try in 1 2 3; do
		status=0
		((try == 1)) || sleep 0.01
		said=$(as_user getfattr --absolute-names --only-values \
			-n "$prefix$2" "$1" 2>&1 && echo .) || status=$?
		[[ $said == *'Numerical result out of range'* ]] || break
	done
	[[ $status -ne 0 ]] || said=${said%.}
	printf %s "$said"
	return "$status"
}

# status FILE KEY: what stands behind KEY=; nothing if there is no such line.
status() {
	value "$1" status | sed -n "s/^${2//./\\.}=//p"
}

# because PATTERN FILE: why it is on the daemon's path; where the mount has no
# other there is no other reason.
because() {
	is "@($1|the mount has no passthrough)" status "$2" data.why
}

# stats KEY: of the mount.
stats() {
	value "$MNT" stats | sed -n "s/^${1//./\\.}=//p"
}

# Several counters at once: COUNTER=NUMBER lines of those that match.
stats_like() {
	value "$MNT" stats | grep -E -- "$1" || true
}

# --- pages -------------------------------------------------------------------

# Of a store file, by the kernel: resident, dirty, being written.
resident() {
	as_user "$HELPERS/pages" count "$@" | cut -d ' ' -f 1
}

dirty() {
	as_user "$HELPERS/pages" count "$@" | cut -d ' ' -f 2
}

# Dirty or being written, of files and whole trees.
unwritten() {
	as_user "$HELPERS/pages" unwritten "$@"
}

# evict NAME...: nothing of it is in memory any more, in the store nor, where
# the mount has a page cache of its own, in the mount.
evict() {
	local name
	for name in "$@"; do
		does 10 evicted "$name"
	done
}

# Not while it is mapped: a close may not have reached the daemon yet.
evicted() {
	as_user "$HELPERS/pages" evict "$MNT/$1" "$STORE/$1" &&
		[[ $(resident "$STORE/$1") -eq 0 ]]
}

has_cachestat() {
	local status=0
	"$HELPERS/pages" count "$BASE/tap" >/dev/null 2>&1 || status=$?
	[[ $status -ne 77 ]]
}

# --- the daemon --------------------------------------------------------------

log_mark() {
	log_lines=$(wc -l <"$LOG")
}

log_since() {
	tail -n +"$((log_lines + 1))" "$LOG"
}

# log_says N PATTERN...: N lines came since the mark, and all patterns (fixed
# strings) stand in each.
log_says() {
	local count=$1 text pattern
	shift
	text=$(log_since)
	if [[ $(grep -c . <<<"$text") -ne $count ]]; then
		echo "log, expected $count lines: ${text:-(nothing)}"
		return 1
	fi
	for pattern in "$@"; do
		if [[ $(grep -cF -- "$pattern" <<<"$text") -ne $count ]]; then
			echo "log, expected to name $pattern: $text"
			return 1
		fi
	done
}

# How often its threads went to sleep: a thread that nothing wakes doesn't.
daemon_sleeps() {
	cat "/proc/$DAEMON_PID/task"/*/status |
		awk '/^voluntary_ctxt_switches/ { n += $2 } END { print n }'
}

# troubled_disk DIRECTORY SIZE: sets STORE, on an ext4 at DIRECTORY/fs whose disk
# fails where DIRECTORY/control says (tests/mount/control/disk.c).
troubled_disk() {
	local dir=$1 node
	mkdir -p "$dir/control" "$dir/disk" "$dir/fs"
	truncate -s "$2" "$dir/image"
	mkfs.ext4 -q -F -b 4096 "$dir/image"
	"$(helper disk)" "$dir/image" "$dir/control" "$dir/disk" -f &
	wait_until 10 harness_is_mounted "$dir/disk"
	node=$(harness_loop "$dir/disk/disk")
	mount -t ext4 "$node" "$dir/fs"
	losetup -d "$node"
	STORE=$dir/fs/store
	mkdir "$STORE"
}

# traced NAME CALLS: from now on the daemon's system calls of these names are
# written to $TRACED, until untraced.
traced() {
	TRACED=$BASE/trace.$1
	strace -f -q -o "$TRACED" -p "$DAEMON_PID" -e trace="$2" \
		>/dev/null 2>&1 &
	tracer=$!
	does "$LIMIT" is_traced
}

is_traced() {
	local task
	for task in "/proc/$DAEMON_PID/task"/*; do
		grep -qE '^TracerPid:[[:space:]]+[1-9]' "$task/status" ||
			return 1
	done
}

untraced() {
	kill "$tracer"
	wait "$tracer" 2>/dev/null || true
}

# said STATUS PATTERN COMMAND...: it ends with that and says that.
said() {
	local status=0 output want=$1 pattern=$2
	shift 2
	output=$("$@" 2>&1) || status=$?
	# shellcheck disable=SC2053
	[[ $status -eq $want && $output == $pattern ]] || {
		echo "$*: status $status, expected $want: ${output:-(nothing)}"
		return 1
	}
}

# not COMMAND...: "!" alone would not end a case.
not() {
	if "$@"; then
		echo "should fail: $*"
		return 1
	fi
}

# What a killed case left behind.
control_cleanup() {
	local groups
	groups=$(<"$BASE/cgroups")
	harness_cleanup
	memory_cleanup "$groups"
}

trap control_cleanup EXIT
