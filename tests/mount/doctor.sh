#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# msyncctl doctor: what it finds on machines and mounts that are well, and on
# those that are not. Mounts are named: others of the machine are none of ours.
built=$(realpath -m "${MSYNCFS:-$(dirname "$0")/../../build/src/msyncfs}")
MSYNCCTL=${MSYNCCTL:-${built%/*}/msyncctl/msyncctl}
export MSYNCCTL
# shellcheck source=tests/lib/harness.sh
source "$(dirname "$0")/../lib/harness.sh"
export LC_ALL=C BASE
unset COLUMNS NO_COLOR

# --- tools -----------------------------------------------------------------

doctor() {
	timeout "$((60 * SLOW))" "$MSYNCCTL" doctor "$@"
}

# level NAME [MOUNTPOINT]: prints the level and the texts of that finding.
level() {
	python3 - "$BASE/json" "$@" <<-'PYTHON'
		import json, sys
		mount = sys.argv[3] if len(sys.argv) > 3 else None
		for f in json.load(open(sys.argv[1]))["findings"]:
		    if f["name"] == sys.argv[2] and f["mountpoint"] == mount:
		        print(f["level"], f["text"], f["costs"], f["to_do"])
	PYTHON
}

# ask ARG...: the JSON into $BASE/json; its status agrees with it.
ask() {
	local status=0 worst
	doctor --json "$@" >"$BASE/json" || status=$?
	worst=$(python3 -c 'import json, sys
print(json.load(open(sys.argv[1]))["worst"])' "$BASE/json")
	[[ $worst == ok && $status -eq 0 || $worst != ok && $status -eq 1 ]] ||
		{ echo "status $status, worst $worst"; return 1; }
}

# finds PATTERN NAME [MOUNTPOINT]
finds() {
	local pattern=$1 line
	shift
	line=$(level "$@")
	[[ $line =~ $pattern ]] || {
		echo "$*: ${line:-no such finding}, expected $pattern"
		return 1
	}
}

# fails STATUS PATTERN ARG...
fails() {
	local status=$1 pattern=$2 got=0
	shift 2
	doctor "$@" >"$BASE/out" 2>"$BASE/err" || got=$?
	[[ $got -eq $status && ! -s $BASE/out ]] &&
		grep -qE -- "$pattern" "$BASE/err" && return 0
	echo "$*: status $got, expected $status with $pattern:"
	cat "$BASE/err"
	return 1
}

needs_root() {
	[[ $EUID -eq 0 && -z $AS_USER ]] || { echo "needs root"; exit 77; }
}

# --- the machine -----------------------------------------------------------

the_machine_is_looked_at() {
	local name
	ask
	for name in kernel device fusermount3 libfuse passthrough cachestat \
		madvise hugepages lock files mappings writeback; do
		finds . "$name"
	done
	finds "^ok Linux $(uname -r | sed 's/[+.]/\\&/g') " kernel
}

it_knows_what_the_kernel_has() {
	ask
	if linux_is_least 6 5; then
		finds '^ok' cachestat
		finds '^ok' madvise
	else
		finds '^costs.*6\.5' cachestat
	fi
	linux_is_least 6 9 || {
		finds '^costs.*6\.9' passthrough
		# What only a newer kernel could lose is nothing to warn of.
		level cachestat | grep 'kernel path' && return 1
		return 0
	}
}

a_machine_without_the_device_can_t_mount() {
	needs_root
	mkdir "$BASE/nodev"
	# shellcheck disable=SC2016
	unshare --mount --propagation private bash -c '
		mount -t tmpfs -o mode=755 empty "$BASE/nodev"
		mknod -m 666 "$BASE/nodev/null" c 1 3
		mount --bind "$BASE/nodev" /dev
		exec "$MSYNCCTL" doctor --json /proc/nothing
	' 2>"$BASE/err" >"$BASE/json" || true
	grep -q '/proc/nothing: No such file' "$BASE/err"
	# shellcheck disable=SC2016
	unshare --mount --propagation private bash -c '
		mount -t tmpfs -o mode=755 empty "$BASE/nodev"
		mknod -m 666 "$BASE/nodev/null" c 1 3
		awk "\$0 ~ / - fuse.msyncfs / { print \$5 }" \
			/proc/self/mountinfo | xargs -r umount -l
		mount --bind "$BASE/nodev" /dev
		exec "$MSYNCCTL" doctor --json
	' >"$BASE/json" && return 1
	finds '^missing .*nothing can be mounted.*modprobe fuse' device
}

a_plain_user_is_told_what_root_has() {
	needs_root
	install -m 755 "$MSYNCCTL" "$BASE/ctl"
	MSYNCCTL=$BASE/ctl
	setpriv --reuid=65534 --regid=65534 --clear-groups \
		--bounding-set=-all prlimit --memlock=65536:65536 \
		"$MSYNCCTL" doctor --json "$BASE" >"$BASE/json" \
		2>"$BASE/err" || true
	grep -q 'not on an msyncfs mount' "$BASE/err"
	# Nor are others' mounts to be seen.
	# shellcheck disable=SC2016
	unshare --mount --propagation private bash -c '
		awk "\$0 ~ / - fuse.msyncfs / { print \$5 }" \
			/proc/self/mountinfo | xargs -r umount -l
		exec setpriv --reuid=65534 --regid=65534 --clear-groups \
			--bounding-set=-all \
			prlimit --memlock=65536:65536 \
			"$MSYNCCTL" doctor --json
	' >"$BASE/json" && return 1
	if linux_is_least 6 9; then
		finds '^costs .*mount as root' passthrough
	else
		finds '^costs .*Linux 6\.9 or newer' passthrough
	fi
	finds '^costs only 64 KiB' lock
}

text_is_for_people() {
	local status=0
	make_store
	mount_store
	COLUMNS=60 doctor "$MNT" >"$BASE/out" || status=$?
	[[ $status -le 1 ]]
	! grep -q $'\033' "$BASE/out"
	awk 'length > 60 && !/\//' "$BASE/out" | grep . && return 1
	grep -qx "$MNT" "$BASE/out"
	grep -qE '^ok +kernel +Linux' "$BASE/out"
	drop_store
}

# --- mounts ----------------------------------------------------------------

a_mount_that_is_well_is_ok() {
	make_store
	mount_store
	ask "$MNT"
	finds '^ok msyncfs [0-9.]+ with libfuse 3' daemon "$MNT"
	[[ $DATA != kernel ]] || finds '^ok granted' passthrough "$MNT"
	[[ $DATA != daemon ]] || finds '^ok not wanted' passthrough "$MNT"
	finds "^ok $STORE on .* keeps policies" store "$MNT"
	finds '^ok no sync has failed' errors "$MNT"
	finds '^ok none' 'loss window' "$MNT"
	# A file on it stands for it.
	: >"$MNT/file"
	ask "$MNT/file"
	finds '^ok' daemon "$MNT"
	drop_store
}

the_loss_window_is_that_of_open_files() {
	make_store
	mount_store sync=fsync=defer+every=2s
	ask "$MNT"
	finds '^ok .*last 2 s of fsynced work \(the mount' 'loss window' "$MNT"
	: >"$MNT/a b"
	setfattr -n user.msyncfs.sync -v fsync=defer+every=9s "$MNT/a b"
	ask "$MNT"
	finds '^ok .*last 2 s' 'loss window' "$MNT"
	exec 8>>"$MNT/a b"
	ask "$MNT"
	finds '^ok .*last 9 s .*\(a b: ' 'loss window' "$MNT"
	setfattr -n user.msyncfs.sync -v manual "$MNT/a b"
	ask "$MNT"
	finds '^costs .*without an end .*every=' 'loss window' "$MNT"
	exec 8>&-
	drop_store
}

a_lock_limit_that_is_reached_costs() {
	needs_root
	make_store
	mount_store lock-limit=64K
	head -c 64K /dev/zero >"$MNT/file"
	ask "$MNT"
	finds '^ok 0 B locked, at most 64 KiB' lock "$MNT"
	setfattr -n user.msyncfs.lock -v on "$MNT/file"
	ask "$MNT"
	finds '^costs 64 KiB of 64 KiB.*lock-limit' lock "$MNT"
	drop_store
}

# As a plain user has it: stats and doctor say what really holds.
the_process_s_lock_limit_is_told() {
	local DAEMON_WRAP="setpriv --bounding-set=-ipc_lock --inh-caps=-ipc_lock"
	needs_root
	DAEMON_WRAP+=" prlimit --memlock=1048576:1048576"
	make_store
	mount_store
	"$MSYNCCTL" stats "$MNT" | grep -qx lock.limit=1048576
	ask "$MNT"
	finds '^ok 0 B locked, at most 1 MiB' lock "$MNT"
	unmount_store
	mount_store lock-limit=1G
	"$MSYNCCTL" stats "$MNT" | grep -qx lock.limit=1048576
	drop_store
}

syncs_that_have_failed_are_broken() {
	local slow
	needs_root
	slow=$(helper slowfs) || exit 77
	mkdir "$BASE/real" "$BASE/control" "$BASE/slow"
	"$slow" "$BASE/real" "$BASE/control" "$BASE/slow"
	wait_until 10 mountpoint -q "$BASE/slow"
	mkdir "$BASE/slow/store"
	STORE=$BASE/slow/store
	mount_store data=daemon sync=fsync=defer+every=100ms
	head -c 4096 /dev/zero >"$MNT/bad"
	exec 8<>"$MNT/bad"
	# In place, to have the page in memory: else the write itself fails.
	echo data >&8
	: >"$BASE/control/bad.eio"
	echo more >&8
	wait_until 20 has_failed
	ask "$MNT"
	finds '^broken .* failed.*may be lost' errors "$MNT"
	exec 8>&- || true
	umount "$MNT"
	umount -l "$BASE/slow"
}

has_failed() {
	getfattr --absolute-names --only-values -n user.msyncfs.stats "$MNT" |
		grep -qE '^sync\.errors=[1-9]'
}

a_mount_that_hangs_is_told() {
	local since=$SECONDS
	make_store
	mount_store
	kill -STOP "$DAEMON_PID"
	ask "$MNT" || { kill -CONT "$DAEMON_PID"; return 1; }
	kill -CONT "$DAEMON_PID"
	# It is waited for once, for five seconds.
	[[ $((SECONDS - since)) -lt 10 ]]
	finds '^broken .*does not answer.*hangs' answer "$MNT"
	[[ -z $(level daemon "$MNT") ]]
	drop_store
}

a_daemon_that_has_died_is_told() {
	make_store
	mount_store
	kill -KILL "$DAEMON_PID"
	wait_until 20 test -s "${MNT%/mnt}/status"
	ask "$MNT"
	finds '^broken .*has ended: fusermount3 -u' answer "$MNT"
	umount "$MNT" || fusermount3 -u "$MNT"
}

# --- the command line ------------------------------------------------------

what_is_no_mount_is_refused() {
	fails 3 "$BASE: not on an msyncfs mount" "$BASE"
	fails 1 "$BASE/none: No such file" "$BASE/none"
	fails 2 '^usage: msyncctl doctor' --deep
	[[ $(doctor --help) == *'Example: msyncctl doctor'* ]]
}

[[ -x $MSYNCCTL ]] || bail "no msyncctl at $MSYNCCTL: build it first"
[[ -z $AS_USER || $EUID -ne 0 ]] ||
	skip_all "n/a: root asks about the mounts of another user"

t the_machine_is_looked_at the_machine_is_looked_at
t it_knows_what_the_kernel_has it_knows_what_the_kernel_has
t a_machine_without_the_device_can_t_mount \
	a_machine_without_the_device_can_t_mount
t a_plain_user_is_told_what_root_has a_plain_user_is_told_what_root_has
t text_is_for_people text_is_for_people
t a_mount_that_is_well_is_ok a_mount_that_is_well_is_ok
t the_loss_window_is_that_of_open_files the_loss_window_is_that_of_open_files
t a_lock_limit_that_is_reached_costs a_lock_limit_that_is_reached_costs
t the_process_s_lock_limit_is_told the_process_s_lock_limit_is_told
t syncs_that_have_failed_are_broken syncs_that_have_failed_are_broken
t a_mount_that_hangs_is_told a_mount_that_hangs_is_told
t a_daemon_that_has_died_is_told a_daemon_that_has_died_is_told
t what_is_no_mount_is_refused what_is_no_mount_is_refused
done_testing
