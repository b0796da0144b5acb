# shellcheck shell=bash disable=SC2034
# SPDX-License-Identifier: Apache-2.0
#
# What a mount test needs: a store, msyncfs mounted on it, TAP, and a machine
# that afterwards is as it was.
#
# As root, sourcing this file starts the script again inside a mount and a
# process namespace of its own. Mounts made in there are seen by nobody else,
# and however the script ends, the kernel kills what it started, drops its
# mounts and frees its loop devices. The EXIT trap does the same politely and
# removes the files.
#
# Functions that make something note it in files under $BASE, because a case
# runs in a subshell and the trap in the main shell has to find it.
#
# Set by the caller:
#   MSYNCFS   the daemon (build/src/msyncfs)
#   HELPERS   where compiled helpers are looked for (build/tests); afterwards
#             one flat directory that AS_USER can read
#   FS        kind of store: ext4 xfs btrfs tmpfs dir
#   DATA      data path: auto kernel daemon; staged: the daemon's, with
#             map=staged and an fsync that is deferred
#   AS_USER   the user who mounts and works; empty: the one who runs the test
#   STORE_SIZE    size of the store's filesystem (2G)
#   CASE_LIMIT    seconds that one case may take (120)
#   SLOW          how many times as long as elsewhere all waiting may take (1)
#   DAEMON_WRAP   words put before the daemon, e.g. prlimit --nofile=1024, or
#             valgrind -q --error-exitcode=99: each error fails an unmount
#   LOG_ELSEWHERE the daemon's messages don't go to its standard error
# Set here: BASE (private directory), STORE, MNT, LOG, DAEMON_PID, HELPERS,
#   MSYNCFS (absolute), SRCDIR (the repository), SANITIZER.

if [[ $EUID -eq 0 && -z ${HARNESS_INSIDE:-} ]]; then
	HARNESS_INSIDE=1 exec unshare --mount --propagation slave \
		--pid --fork --kill-child --mount-proc -- bash "$0" "$@"
fi
unset HARNESS_INSIDE

set -u
SRCDIR=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
MSYNCFS=$(realpath -m "${MSYNCFS:-$SRCDIR/build/src/msyncfs}")
HELPERS=$(realpath -m "${HELPERS:-$SRCDIR/build/tests}")
FS=${FS:-dir}
DATA=${DATA:-auto}
harness_map=
if [[ $DATA == staged ]]; then
	DATA=daemon
	harness_map=map=staged,sync=fsync=defer+every=1s
fi
AS_USER=${AS_USER:-}
STORE_SIZE=${STORE_SIZE:-2G}
DAEMON_WRAP=${DAEMON_WRAP:-}
LOG_ELSEWHERE=${LOG_ELSEWHERE:-}
SANITIZER=
STORE=
MNT=
LOG=
DAEMON_PID=
harness_shell=$BASHPID

# shellcheck source=tests/lib/tap.sh
. "$SRCDIR/tests/lib/tap.sh"

# --- cleaning up -----------------------------------------------------------

# Mountpoints under $BASE in this namespace, the innermost first.
harness_mounts() {
	local -a field
	while read -r -a field; do
		[[ ${field[4]} == "$BASE"/* ]] && printf '%b\n' "${field[4]}"
	done </proc/self/mountinfo | tac
}

# Ends every daemon that was noted and still runs.
harness_end_daemons() {
	local run pid
	for run in "$BASE"/run.*; do
		[[ -s $run/pid && ! -s $run/status ]] || continue
		pid=$(<"$run/pid")
		kill "-$1" "$pid" 2>/dev/null
	done
	return 0
}

harness_cleanup() {
	local mnt
	trap - EXIT
	trap '' INT TERM
	[[ $BASHPID == "$harness_shell" ]] || return
	tap_end_case
	# A daemon that lives must not delay the end, a dead one's mount is
	# detached; nothing here may wait for an answer from either.
	harness_end_daemons TERM
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		harness_running || break
		sleep 0.1
	done
	harness_end_daemons KILL
	for _ in 1 2 3; do
		while read -r mnt; do
			timeout 10 umount "$mnt" 2>/dev/null ||
				umount -l "$mnt" 2>/dev/null ||
				fusermount3 -u -z "$mnt" 2>/dev/null
		done < <(harness_mounts)
	done
	if [[ -n $(harness_mounts) ]]; then
		echo "# mounts left under $BASE" >&2
	else
		rm -rf --one-file-system "$BASE"
	fi
}

harness_running() {
	local run
	for run in "$BASE"/run.*; do
		[[ -s $run/pid && ! -s $run/status ]] && return 0
	done
	return 1
}

# --- who works -------------------------------------------------------------

# as_user COMMAND...: runs it as AS_USER (functions can't be run this way).
as_user() {
	if [[ -z $AS_USER || $EUID -ne 0 ]]; then
		"$@"
	else
		HOME=$BASE/home USER=$AS_USER LOGNAME=$AS_USER setpriv \
			--reuid="$AS_USER" --regid="$harness_gid" \
			--init-groups -- "$@"
	fi
}

# A filesystem for device nodes: /tmp may be mounted nodev.
harness_devices() {
	[[ -d $BASE/dev ]] && return
	mkdir "$BASE/dev" &&
		mount -t tmpfs -o size=1M,mode=755 msyncfs-test "$BASE/dev"
}

# A plain user needs a usable /dev/fuse: a bind mount of our own node, only
# in this namespace, the machine's stays as it is.
harness_open_dev_fuse() {
	local mode
	mode=$(stat -c %a /dev/fuse)
	((0$mode & 06)) && return
	harness_devices || bail "no tmpfs for device nodes"
	mknod -m 666 "$BASE/dev/fuse" c 10 229
	mount --bind "$BASE/dev/fuse" /dev/fuse
}

# The daemon and the helpers where AS_USER can reach them: a checkout may lie
# below a directory that only root may enter.
harness_publish() {
	local file
	mkdir "$BASE/helpers" "$BASE/bin"
	if [[ -d $HELPERS ]]; then
		while read -r file; do
			harness_place "$file" "$BASE/helpers/${file##*/}"
		done < <(find "$HELPERS" -type f -executable \
			-not -path '*/unit/*')
	fi
	HELPERS=$BASE/helpers
	[[ -x $MSYNCFS ]] || bail "no daemon at $MSYNCFS: build it first"
	harness_place "$MSYNCFS" "$BASE/bin/msyncfs"
	MSYNCFS=$BASE/bin/msyncfs
}

harness_place() {
	if [[ -n $AS_USER && $EUID -eq 0 ]]; then
		install -m 755 "$1" "$2"
	else
		ln -s "$1" "$2"
	fi
}

# helper NAME: prints the path of a compiled helper.
helper() {
	[[ -x $HELPERS/$1 ]] || {
		echo "helper $1 is not built" >&2
		return 1
	}
	echo "$HELPERS/$1"
}

# linux_is_least MAJOR MINOR: the kernel.
linux_is_least() {
	local major minor
	IFS=. read -r major minor _ <<<"$(uname -r)"
	minor=${minor%%[!0-9]*}
	((major > $1 || major == $1 && minor >= $2))
}

# usual_path: prints the path that files take here when nothing asks for
# another.
usual_path() {
	if [[ $DATA == daemon || -n $AS_USER ]] || ! linux_is_least 6 9; then
		echo daemon
	else
		echo kernel
	fi
}

# --- stores ----------------------------------------------------------------

# Prints a free loop device after setting it up on file $1. Beyond /dev/loop7
# a node may be missing (containers, static /dev): then it's one of our own.
harness_loop() {
	local node number try
	for try in 1 2 3 4 5 6 7 8 9 10; do
		node=$(losetup -f) || return 1
		number=${node#/dev/loop}
		if [[ ! -b $node ]]; then
			harness_devices || return 1
			node=$BASE/dev/loop$number
			[[ -b $node ]] || mknod "$node" b 7 "$number"
		fi
		# Another test may take the same number in between.
		if losetup "$node" "$1" 2>"$BASE/losetup.err"; then
			echo "$node"
			return 0
		fi
		sleep "0.$((RANDOM % 5 + try))"
	done
	cat "$BASE/losetup.err" >&2
	return 1
}

harness_image() {
	local dir=$1 node status=0
	truncate -s "$STORE_SIZE" "$dir.img" || return 1
	case $FS in
	ext4) mkfs.ext4 -q -F "$dir.img" ;;
	xfs) mkfs.xfs -q -f "$dir.img" ;;
	btrfs) mkfs.btrfs -q -f "$dir.img" >/dev/null ;;
	esac || return 1
	node=$(harness_loop "$dir.img") || return 1
	mount -t "$FS" "$node" "$dir" || status=$?
	# While mounted this only marks it to be freed at the last close.
	losetup -d "$node"
	return "$status"
}

# make_store: a fresh store of kind $FS; sets STORE.
make_store() {
	local dir
	dir=$(mktemp -d "$BASE/fs.XXXXXX") || return 1
	chmod 755 "$dir"
	if [[ $FS != dir && $EUID -ne 0 ]]; then
		skip_all "a $FS store needs root"
	fi
	case $FS in
	dir) ;;
	tmpfs)
		mount -t tmpfs -o "size=$STORE_SIZE,mode=755" msyncfs-test \
			"$dir" || return 1
		;;
	ext4 | xfs | btrfs) harness_image "$dir" || return 1 ;;
	*) bail "FS=$FS is not a kind of store" ;;
	esac
	STORE=$dir/store
	mkdir "$STORE" || return 1
	if [[ $EUID -eq 0 && -n $AS_USER ]]; then
		chown "$AS_USER:$harness_gid" "$STORE"
	fi
}

# --- the daemon ------------------------------------------------------------

harness_is_mounted() {
	local -a field
	while read -r -a field; do
		[[ ${field[4]} == "$1" ]] && return 0
	done </proc/self/mountinfo
	return 1
}

# wait_until SECONDS COMMAND...: polls until it succeeds.
wait_until() {
	local end=$((${EPOCHREALTIME/[.,]/} + $1 * SLOW * 1000000))
	shift
	until "$@"; do
		((${EPOCHREALTIME/[.,]/} < end)) || return 1
		sleep 0.02
	done
}

# mount_store [-o OPTIONS | OPTIONS | -d]...: mounts STORE at a fresh MNT;
# sets MNT, DAEMON_PID, LOG.
mount_store() {
	local options=data=${DATA}${harness_map:+,$harness_map} run
	local -a flags=()
	while [[ $# -gt 0 ]]; do
		case $1 in
		-o) options+=,$2 && shift ;;
		-*) flags+=("$1") ;;
		?*) options+=,$1 ;;
		esac
		shift
	done
	run=$(mktemp -d "$BASE/run.XXXXXX") || return 1
	chmod 755 "$run"
	MNT=$run/mnt
	LOG=$run/log
	mkdir "$MNT" || return 1
	if [[ $EUID -eq 0 && -n $AS_USER ]]; then
		chown "$AS_USER:$harness_gid" "$MNT"
	fi
	harness_start "$run" "$MSYNCFS" -f "${flags[@]}" -o "$options" \
		"$STORE" "$MNT"
	wait_until "$harness_wait" harness_settled "$run"
	if [[ -s $run/status ]] || ! harness_is_mounted "$MNT"; then
		echo "msyncfs did not mount:" >&2
		sed 's/^/  /' "$LOG" >&2
		return 1
	fi
	if ! as_user timeout "$((harness_wait * SLOW))" stat "$MNT" >/dev/null; then
		echo "the mountpoint is not usable:" >&2
		sed 's/^/  /' "$LOG" >&2
		return 1
	fi
	# Before that it looks at its own mount, which is busy for so long.
	if [[ -z $LOG_ELSEWHERE && ,$options != *,log=* ]]; then
		wait_until "$harness_wait" harness_has_said_so "$run"
	fi
	return 0
}

harness_has_said_so() {
	[[ -s $1/status ]] || grep -qF '[mounted]' "$1/log"
}

# Starts the daemon in a session of its own under a shell that writes down how
# it ended: unmount_store may run in another subshell and could not wait for
# it. "exec" everywhere below it, so that the noted pid is the daemon's.
harness_start() {
	local run=$1
	local -a wrap=()
	shift
	read -r -a wrap <<<"$DAEMON_WRAP"
	# A sanitizer's shadow memory does not fit every random layout.
	if [[ -n $SANITIZER ]] && setarch -R true 2>/dev/null; then
		wrap=(setarch -R "${wrap[@]}")
	fi
	if [[ -n $AS_USER && $EUID -eq 0 ]]; then
		wrap+=(env "HOME=$BASE/home" "USER=$AS_USER" setpriv
			--reuid="$AS_USER" --regid="$harness_gid"
			--init-groups --)
	fi
	# shellcheck disable=SC2016
	setsid bash -c '
		run=$1
		shift
		trap "" HUP INT
		"$@" >"$run/log" 2>&1 </dev/null &
		echo $! >"$run/pid.new"
		mv "$run/pid.new" "$run/pid"
		wait $!
		echo $? >"$run/status.new"
		mv "$run/status.new" "$run/status"
	' msyncfs-test "$run" "${wrap[@]}" "$@" >/dev/null 2>&1 </dev/null &
	disown
	wait_until 10 test -s "$run/pid"
	DAEMON_PID=$(<"$run/pid")
}

# The daemon has mounted, or has given up.
harness_settled() {
	[[ -s $1/status ]] || harness_is_mounted "$1/mnt"
}

# unmount_store: unmounts MNT and waits for the daemon; fails when it ended
# with another status than 0 or its log has a sanitizer's report.
unmount_store() {
	local run=${MNT%/mnt} status
	if harness_is_mounted "$MNT"; then
		if [[ $EUID -eq 0 && -z $AS_USER ]]; then
			timeout "$((harness_wait * SLOW))" umount "$MNT" || return 1
		else
			as_user timeout "$((harness_wait * SLOW))" fusermount3 -u \
				"$MNT" || return 1
		fi
	fi
	if ! wait_until "$harness_wait" test -s "$run/status"; then
		echo "the daemon still runs after the unmount" >&2
		return 1
	fi
	status=$(<"$run/status")
	if [[ $status -ne 0 ]]; then
		echo "the daemon ended with status $status:" >&2
		tail -n 40 "$LOG" | sed 's/^/  /' >&2
		return 1
	fi
	harness_log_is_clean "$LOG"
}

harness_log_is_clean() {
	local found='ERROR: (Address|Leak)Sanitizer|runtime error:'
	found+='|WARNING: ThreadSanitizer'
	if grep -qE "$found" "$1"; then
		echo "a sanitizer reports:" >&2
		grep -E -A 40 "$found" "$1" | head -n 80 | sed 's/^/  /' >&2
		return 1
	fi
}

# drop_store: unmounts and frees the store.
drop_store() {
	local status=0
	if [[ -n $MNT ]] && harness_is_mounted "$MNT"; then
		unmount_store || status=1
	fi
	if [[ -n $STORE ]]; then
		if [[ $FS != dir ]]; then
			umount "${STORE%/store}" || status=1
		fi
		rm -rf --one-file-system "${STORE%/store}" \
			"${STORE%/store}.img"
		STORE=
	fi
	return "$status"
}

# --- start -----------------------------------------------------------------

harness_setup() {
	# mount(8)'s notes are not the machine's.
	[[ $EUID -ne 0 || ! -d /run/mount ]] ||
		mount -n -t tmpfs -o mode=755 msyncfs-test /run/mount
	BASE=$(mktemp -d "${TMPDIR:-/tmp}/msyncfs.XXXXXX") || exit 1
	BASE=$(realpath "$BASE")
	tap_output=$BASE/case.out
	trap harness_cleanup EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP
	chmod 755 "$BASE"
	umask 022
	[[ -c /dev/fuse ]] || bail "no /dev/fuse: modprobe fuse"
	if [[ $EUID -ne 0 ]]; then
		AS_USER=$(id -un)
	elif [[ -n $AS_USER ]]; then
		harness_gid=$(id -g "$AS_USER") ||
			bail "no user $AS_USER"
		install -d -o "$AS_USER" -m 700 "$BASE/home"
		harness_open_dev_fuse
	fi
	if grep -qs __tsan_init "$MSYNCFS"; then
		SANITIZER=thread
	elif grep -qs __asan_init "$MSYNCFS"; then
		SANITIZER=address
	fi
	harness_wait=60
	[[ -n $SANITIZER || $DAEMON_WRAP == *valgrind* ]] && harness_wait=90
	export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=1}
	export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}
	# From a copy: the path must be readable for AS_USER and plain.
	cp "$SRCDIR/tests/lib/tsan.supp" "$BASE/"
	TSAN_OPTIONS="${TSAN_OPTIONS:-exitcode=66} suppressions=$BASE/tsan.supp"
	export TSAN_OPTIONS
	harness_publish
}

harness_setup
