#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The program as it is called: by hand, by mount(8), from fstab, by a plain
# user; what it says when it can't start, and how it ends.
#
# FS and DATA make no difference here, so the stores are plain directories.
# What needs a changed /dev or /sbin happens in a mount namespace of its own.
FS=dir
DATA=auto
# shellcheck source=tests/lib/harness.sh
source "$(dirname "$0")/../lib/harness.sh"

built=$(realpath "${MSYNCFS}")
work=$BASE/cli
plain_user=nobody
export BASE MSYNCFS work plain_user

# --- tools -----------------------------------------------------------------

# A store with a file and an empty mountpoint, in a directory of their own.
fresh() {
	place=$(mktemp -d "$work/XXXXXX")
	chmod 755 "$place"
	store=$place/store
	mnt=$place/mnt
	mkdir "$store" "$mnt"
	echo content >"$store/file"
}

is_mounted() {
	grep -qF " $1 " /proc/self/mountinfo
}

# Field 6 of mountinfo: the flags.
mount_flags() {
	awk -v mnt="$1" '$5 == mnt { flags = $6 } END { print flags }' \
		/proc/self/mountinfo
}

# flags MOUNTPOINT FLAG... -FLAG...: these are there, those are not.
flags() {
	local flag found
	found=,$(mount_flags "$1"),
	shift
	for flag in "$@"; do
		if [[ $flag == -* ]]; then
			[[ $found != *,"${flag#-}",* ]] && continue
		else
			[[ $found == *,"$flag",* ]] && continue
		fi
		echo "flags $found, expected $flag"
		return 1
	done
}

# For `set -e`, which lets a `!` pass.
not() {
	! "$@"
}

# Prints the daemon's pid by its arguments.
daemon_of() {
	local dir
	for dir in /proc/[0-9]*; do
		tr '\0' '\n' <"$dir/cmdline" 2>/dev/null | grep -qxF "$1" ||
			continue
		[[ $(readlink "$dir/exe") == "$(realpath "$MSYNCFS")" ]] ||
			continue
		echo "${dir#/proc/}"
		return 0
	done
	return 1
}

no_daemon_of() {
	! daemon_of "$1" >/dev/null
}

unmount() {
	timeout "$((20 * SLOW))" umount "$mnt"
	not is_mounted "$mnt"
	wait_until 10 no_daemon_of "$mnt"
}

# refused PATTERN ARG...: an error status, one line that matches, no mount.
refused() {
	local pattern=$1 status=0
	shift
	timeout "$((10 * SLOW))" "${as[@]}" "$MSYNCFS" "$@" \
		>"$work/out" 2>"$work/err" \
		</dev/null || status=$?
	echo "status $status: $(<"$work/err")"
	[[ $status -ne 0 && $status -lt 124 ]]
	[[ ! -s $work/out ]]
	[[ $(wc -l <"$work/err") -eq 1 ]]
	grep -qE -- "$pattern" "$work/err"
	# With the names taken out it has to differ from all the others.
	sed -E "s#'[^']*'##g; s#${BASE}[^ ]*##g" "$work/err" >>"$work/messages"
}
as=()

# The rest of the case, in a mount namespace of its own.
in_own_namespace() {
	local name
	for name in fresh is_mounted mount_flags flags not daemon_of \
		no_daemon_of unmount wait_until refused add_mount_helper \
		open_device refuses_to_write "$1"; do
		declare -f "$name"
	done >"$work/functions"
	# shellcheck disable=SC2016
	unshare --mount --propagation private bash -c '
		set -eu
		as=()
		source "$work/functions"
		"$@"
	' - "$@"
}

# A foreground daemon; sets pid.
foreground() {
	env --default-signal=INT,TERM "$MSYNCFS" -f "$@" "$store" "$mnt" \
		>"$work/log" 2>&1 &
	pid=$!
	wait_until 20 is_mounted "$mnt" || { cat "$work/log"; return 1; }
	[[ $(<"$mnt/file") == content ]]
	# Before that it looks at its own mount, which is busy for so long.
	wait_until 20 has_mounted
}

has_mounted() {
	cat "$work/log" "$place/log" 2>/dev/null | grep -qF '[mounted]'
}

# It ends by itself, with status 0 and without the mount.
ends_well() {
	local status=0
	wait_until 10 gone "$pid" || { echo 'still runs'; return 1; }
	wait "$pid" || status=$?
	[[ $status -eq 0 ]] || { echo "status $status"; cat "$work/log"; }
	[[ $status -eq 0 ]]
	! is_mounted "$mnt"
}

gone() {
	! kill -0 "$1" 2>/dev/null || grep -q '^State:.*Z' "/proc/$1/status"
}

# --- what can't be started ---------------------------------------------------

a_missing_store() {
	fresh
	refused "store '$place/none' does not exist" "$place/none" "$mnt"
}

a_store_that_is_a_file() {
	fresh
	refused "store '$store/file' is not a directory" "$store/file" "$mnt"
}

a_missing_mountpoint() {
	fresh
	refused "mountpoint '$place/none' does not exist" \
		"$store" "$place/none"
}

a_mountpoint_that_is_a_file() {
	fresh
	: >"$place/file"
	refused "mountpoint '$place/file' is not a directory" \
		"$store" "$place/file"
}

a_store_in_use() {
	fresh
	mkdir "$place/other"
	"$MSYNCFS" "$store" "$mnt"
	refused "store '$store': it is in use by msyncfs \\(pid [0-9]+\\)" \
		"$store" "$place/other"
	[[ $(<"$mnt/file") == content ]]
	unmount
}

a_mountpoint_inside_the_store() {
	fresh
	mkdir -p "$store/a/b"
	refused "inside the store" "$store" "$store/a/b"
	ln -s "$store/a" "$place/link"
	refused "inside the store" "$store" "$place/link/b"
	mkdir "$place/bound"
	mount --bind "$store/a" "$place/bound"
	refused "inside the store" "$store" "$place/bound/b"
	umount "$place/bound"
}

a_store_inside_the_mountpoint() {
	fresh
	mkdir -p "$mnt/a/b"
	refused "inside the mountpoint" "$mnt/a/b" "$mnt"
}

one_directory_for_both() {
	fresh
	refused "the same directory" "$store" "$store"
	ln -s "$store" "$place/link"
	refused "the same directory" "$store" "$place/link/../link/."
}

a_mountpoint_in_use() {
	fresh
	"$MSYNCFS" "$store" "$mnt"
	refused "mounted there already" "$store" "$mnt"
	[[ $(<"$mnt/file") == content ]]
	unmount
}

a_dead_mountpoint() {
	fresh
	foreground
	kill -KILL "$pid"
	wait "$pid" || true
	refused "is still mounted there.*fusermount3 -u" "$store" "$mnt"
	umount "$mnt"
}

no_device() {
	fresh
	mkdir "$place/dev"
	mount -t tmpfs -o mode=755 empty "$place/dev"
	mknod -m 666 "$place/dev/null" c 1 3
	mount --bind "$place/dev" /dev
	refused "/dev/fuse.*modprobe fuse" "$store" "$mnt"
}

a_closed_device() {
	fresh
	mkdir "$place/dev"
	mount -t tmpfs -o mode=755 empty "$place/dev"
	mknod -m 600 "$place/dev/fuse" c 10 229
	mount --bind "$place/dev/fuse" /dev/fuse
	chown "$plain_user" "$store" "$mnt"
	as=(setpriv "--reuid=$plain_user" --regid=65534 --clear-groups)
	refused "/dev/fuse.*permission|permission.*/dev/fuse" "$store" "$mnt"
}

a_store_without_permission() {
	fresh
	chown "$plain_user" "$mnt"
	chmod 700 "$store"
	as=(setpriv "--reuid=$plain_user" --regid=65534 --clear-groups)
	refused "store '$store': no permission" "$store" "$mnt"
}

a_mountpoint_of_another_user() {
	fresh
	chown "$plain_user" "$store"
	as=(setpriv "--reuid=$plain_user" --regid=65534 --clear-groups)
	refused "mountpoint '$mnt' is not writable" "$store" "$mnt"
}

unknown_options() {
	fresh
	refused "colour" -o colour=red "$store" "$mnt"
	refused "'?-Q" -Q "$store" "$mnt"
	refused "--quick" --quick "$store" "$mnt"
	refused "adviser" -o ro,adviser=random "$store" "$mnt"
}

malformed_values() {
	local option
	fresh
	for option in data=fast data= threads=1 threads=1000 threads=two \
		threads=3x attr_timeout=-1 entry_timeout=soon \
		negative_timeout= log= attr_timeout=nan allow_other=1 \
		advise=often sync=every=5x sync= lock=perhaps grow=chunk=1 \
		append=1 map=copied lock-limit=much stage-limit=1K \
		journal-size=0 discard-journal=1; do
		refused "${option%%=*}" -o "$option" "$store" "$mnt"
		# What was wrong with it is told, too.
		[[ -z ${option#*=} ]] || grep -qF -- "${option#*=}" "$work/err"
	done
	refused 'attr_timeout' -o "rw,attr_timeout=x,data=auto" "$store" "$mnt"
}

wrong_number_of_arguments() {
	fresh
	refused . "$store"
	refused .
	refused . "$store" "$mnt" "$place"
	refused "-o" "$store" "$mnt" -o
}

an_impossible_log() {
	fresh
	refused "$place/none/log.*expected" -o "log=$place/none/log" \
		"$store" "$mnt"
}

# After SIGHUP it would be opened through the mount and keep that busy.
a_log_below_the_mountpoint() {
	fresh
	refused "log=$mnt/log is below the mountpoint" -o "log=$mnt/log" \
		"$store" "$mnt"
	[[ ! -e $mnt/log ]]
	ln -s "$mnt" "$place/link"
	refused "log=$place/link/log is below" -o "log=$place/link/log" \
		"$store" "$mnt"
}

the_messages_differ() {
	[[ $(wc -l <"$work/all_messages") -gt 12 ]]
	sort "$work/all_messages" | uniq -d >"$work/twice"
	if [[ -s $work/twice ]]; then
		echo 'the same message for different causes:'
		cat "$work/twice"
		exit 1
	fi
}

# --- what it prints ----------------------------------------------------------

help_is_printed() {
	local option
	"$MSYNCFS" --help >"$work/help" 2>"$work/err"
	[[ ! -s $work/err ]]
	grep -q 'msyncfs .*STORE MOUNTPOINT' "$work/help"
	for option in data= threads= attr_timeout= entry_timeout= \
		negative_timeout= log= cross_mounts auto_unmount allow_other \
		ro -f -d -o --help --version; do
		grep -qF -- "$option" "$work/help" || { echo "$option"; exit 1; }
	done
	[[ $("$MSYNCFS" -h) == "$(<"$work/help")" ]]
}

version_is_printed() {
	local line
	line=$("$MSYNCFS" --version 2>"$work/err" | head -n 1)
	[[ ! -s $work/err && $line =~ ^msyncfs\ [0-9]+\.[0-9]+ ]]
	[[ $("$MSYNCFS" -V) == "$line"* ]]
}

# --- how it runs and ends ----------------------------------------------------

relative_paths() {
	fresh
	cd "$place"
	"$MSYNCFS" store ./mnt -o log=here.log
	cd /
	[[ $(<"$mnt/file") == content && -s $place/here.log ]]
	pid=$(daemon_of store)
	umount "$mnt"
	wait_until 10 gone "$pid"
	mkdir "$place/else"
	cd "$place/else"
	"$MSYNCFS" ../store ../mnt/../mnt/
	cd /
	[[ $(<"$mnt/file") == content ]]
	timeout "$((20 * SLOW))" umount "$mnt"
}

usable_at_once() {
	local i
	fresh
	for i in {1..10}; do
		"$MSYNCFS" "$store" "$mnt"
		is_mounted "$mnt"
		echo "$i" >"$mnt/made.$i"
		unmount
		[[ $(<"$store/made.$i") == "$i" ]]
	done
}

a_proper_daemon() {
	fresh
	# Who waits for the output's end is not held up.
	# shellcheck disable=SC2016
	timeout "$((10 * SLOW))" bash -c 'x=$("$0" "$1" "$2" 2>&1); [[ -z $x ]]' \
		"$MSYNCFS" "$store" "$mnt"
	pid=$(daemon_of "$mnt")
	[[ $(readlink "/proc/$pid/cwd") == / ]]
	[[ $(ps -o sid= -p "$pid") -ne $(ps -o sid= -p $$) ]]
	[[ $(ps -o tty= -p "$pid") == '?' ]]
	[[ $(readlink "/proc/$pid/fd/1") == /dev/null ]]
	unmount
}

closed_standard_descriptors() {
	fresh
	timeout "$((10 * SLOW))" "$MSYNCFS" "$store" "$mnt" <&- >&- 2>&-
	echo more >"$mnt/made"
	[[ $(<"$mnt/file") == content && $(<"$store/made") == more ]]
	unmount
}

stays_in_the_foreground() {
	fresh
	foreground
	sleep 0.3
	not gone "$pid"
	umount "$mnt"
	ends_well
}

ended_by() {
	local signal=$1
	fresh
	foreground
	echo last >"$mnt/last"
	kill "-$signal" "$pid"
	ends_well
	[[ $(<"$store/last") == last ]]
}

ended_by_fusermount3() {
	fresh
	foreground
	fusermount3 -u "$mnt"
	ends_well
}

# Nobody may take it for mounted: the signal comes while it mounts.
ended_before_it_is_usable() {
	local status=0
	fresh
	command -v strace >/dev/null || {
		echo "strace is not installed"
		return 77
	}
	strace -f -qq -o "$place/trace" -e trace=mount \
		-e inject=mount:signal=TERM:when=1 \
		"$MSYNCFS" "$store" "$mnt" 2>"$place/err" || status=$?
	cat "$place/err" "$place/trace"
	[[ $status -eq 1 ]]
	grep -q 'signal before the mount could be used' "$place/err"
	not is_mounted "$mnt"
	no_daemon_of "$mnt"
}

# In the background nobody sees the status, but the mount is gone, too.
a_daemon_is_ended_by_sigterm() {
	fresh
	"$MSYNCFS" "$store" "$mnt"
	pid=$(daemon_of "$mnt")
	kill -TERM "$pid"
	wait_until 10 gone "$pid"
	! is_mounted "$mnt"
}

# --- options -----------------------------------------------------------------

safe_flags_by_default() {
	fresh
	"$MSYNCFS" "$store" "$mnt"
	flags "$mnt" nosuid nodev
	grep -qF " - fuse.msyncfs $store " /proc/self/mountinfo
	unmount
}

root_may_say_otherwise() {
	fresh
	"$MSYNCFS" -o suid,dev,noexec,noatime "$store" "$mnt"
	flags "$mnt" -nosuid -nodev noexec noatime
	unmount
}

read_only() {
	fresh
	"$MSYNCFS" -o ro "$store" "$mnt"
	flags "$mnt" ro
	refuses_to_write
	[[ $(<"$mnt/file") == content ]]
	unmount
}

refuses_to_write() {
	local message
	message=$(LC_ALL=C touch "$mnt/new" 2>&1) && return 1
	[[ $message == *'Read-only file system'* ]]
	message=$(LC_ALL=C truncate -s 0 "$mnt/file" 2>&1) && return 1
	[[ $message == *'Read-only file system'* ]]
}

a_log_file() {
	fresh
	foreground -o "log=$place/log"
	kill -USR1 "$pid"
	wait_until 5 grep -q 'requests by operation:' "$place/log"
	[[ $(stat -c %a "$place/log") == 600 && ! -s $work/log ]]
	umount "$mnt"
	ends_well
}

# While one is answered no other thread dies of the next.
many_signals() {
	fresh
	foreground -o "log=$place/log"
	for _ in {1..500}; do
		kill -USR1 "$pid"
	done
	wait_until 5 grep -q 'requests by operation:' "$place/log"
	umount "$mnt"
	ends_well
}

# store_overlaps STORE: a mount of it says that another has its files, too.
store_overlaps() {
	local other=$place/other
	mkdir -p "$other"
	"$MSYNCFS" -o "log=$place/log" "$1" "$other"
	wait_until 20 grep -qF "$store, mounted at $mnt" "$place/log"
	umount "$other"
	grep -F '[store-overlaps]' "$place/log"
	rm "$place/log"
}

overlapping_stores() {
	fresh
	mkdir -p "$place/outer/storey" "$store/inner"
	mv "$store" "$place/outer"
	store=$place/outer/store
	foreground
	store_overlaps "$store/inner"
	store_overlaps "$place/outer"
	# A name that only begins like it.
	"$MSYNCFS" -o "log=$place/log" "$place/outer/storey" "$place/other"
	wait_until 20 grep -qF '[mounted]' "$place/log"
	umount "$place/other"
	not grep -F '[store-overlaps]' "$place/log"
	umount "$mnt"
	ends_well
}

odd_names() {
	fresh
	mv "$store" "$place/a store, with \\ odd"
	mv "$mnt" "$place/a, mount"
	store="$place/a store, with \\ odd" mnt="$place/a, mount"
	"$MSYNCFS" "$store" "$mnt"
	[[ $(<"$mnt/file") == content ]]
	grep -F 'a\040store,\040with\040\134\040odd' /proc/self/mountinfo
	umount "$mnt"
}

others_are_let_in_by_root_only_if_allowed() {
	local -a other=(setpriv "--reuid=$plain_user" --regid=65534
		--clear-groups)
	fresh
	"$MSYNCFS" "$store" "$mnt"
	[[ $("${other[@]}" cat "$mnt/file") == content ]]
	not "${other[@]}" touch "$mnt/new" 2>/dev/null
	unmount
	"$MSYNCFS" -o noallow_other "$store" "$mnt"
	not "${other[@]}" cat "$mnt/file" 2>/dev/null
	unmount
}

remounted() {
	fresh
	[[ $1 == -i ]] || add_mount_helper
	"$MSYNCFS" "$store" "$mnt"
	mount "$@" -o remount,ro "$mnt"
	flags "$mnt" ro
	refuses_to_write
	[[ $(<"$mnt/file") == content ]]
	mount "$@" -o remount,rw "$mnt"
	flags "$mnt" rw
	echo again >"$mnt/again"
	[[ $(<"$store/again") == again ]]
	unmount
}

# --- through mount(8) --------------------------------------------------------

install_it() {
	local build=${built%/src/msyncfs}
	[[ -f $build/build.ninja ]]
	meson install -C "$build" --no-rebuild --quiet \
		--destdir "$BASE/root" >"$work/install" 2>&1 ||
		{ cat "$work/install"; exit 1; }
	helper_link=$(find "$BASE/root" -name mount.msyncfs)
	[[ -L $helper_link ]]
	installed=$(realpath "$helper_link")
	[[ -x $installed ]]
	echo "$installed" >"$work/installed"
}

# /sbin with everything that is there and mount.msyncfs.
add_mount_helper() {
	local sbin file
	sbin=$(realpath /sbin)
	mkdir "$place/sbin"
	mount --bind "$sbin" "$place/sbin"
	mount -t tmpfs -o mode=755 helpers "$sbin"
	for file in "$place"/sbin/*; do
		ln -s "$file" "$sbin/${file##*/}"
	done
	ln -s "$(<"$work/installed")" "$sbin/mount.msyncfs"
	# mount.fuse3 looks for msyncfs in the path, and mount(8) resets that.
	ln -s "$(<"$work/installed")" "$sbin/msyncfs"
	MSYNCFS=$(<"$work/installed")
}

by_type_msyncfs() {
	fresh
	add_mount_helper
	mount -t msyncfs "$store" "$mnt"
	[[ $(<"$mnt/file") == content ]]
	# What mount(8) leaves out is its own default: suid and dev.
	flags "$mnt" -nosuid -nodev
	unmount
	mount -t msyncfs -o nosuid,ro,data=daemon "$store" "$mnt"
	flags "$mnt" nosuid ro -nodev
	mount -o remount,rw "$mnt"
	: >"$mnt/now"
	unmount
	mount -f -t msyncfs "$store" "$mnt"
	not is_mounted "$mnt"
	not mount -t msyncfs -o nonsense=1 "$store" "$mnt" 2>"$work/err"
	grep -q nonsense "$work/err"
	mount -s -t msyncfs "$store" "$mnt"
	unmount
}

by_type_fuse_msyncfs() {
	fresh
	add_mount_helper
	mount -t fuse.msyncfs "$store" "$mnt" -o data=daemon,noatime
	[[ $(<"$mnt/file") == content ]]
	flags "$mnt" noatime
	unmount
}

from_fstab() {
	fresh
	add_mount_helper
	cat >"$place/fstab" <<-FSTAB
		$store $mnt msyncfs noauto,nofail,x-test.a=1,threads=4,_netdev 0 0
		$place/more $place/second fuse.msyncfs noauto,ro,defaults 0 0
	FSTAB
	mkdir "$place/second"
	cp -r "$store" "$place/more"
	mount --bind "$place/fstab" /etc/fstab
	mount "$mnt"
	mount "$place/second"
	[[ $(<"$mnt/file") == content && $(<"$place/second/file") == content ]]
	flags "$place/second" ro
	flags "$mnt" -nosuid
	umount "$place/second"
	umount "$mnt"
	wait_until 10 no_daemon_of "$mnt"
}

# --- a plain user ------------------------------------------------------------

open_device() {
	mkdir "$place/dev"
	mount -t tmpfs -o mode=755 node "$place/dev"
	mknod -m 666 "$place/dev/fuse" c 10 229
	mount --bind "$place/dev/fuse" /dev/fuse
}

by_a_plain_user() {
	local -a user=(setpriv "--reuid=$plain_user" --regid=65534
		--clear-groups)
	fresh
	open_device
	chown -R "$plain_user" "$store" "$mnt"
	install -m 600 /dev/null "$store/root_only"
	install -m 666 /dev/null "$place/log"
	"${user[@]}" "$MSYNCFS" -o "log=$place/log" "$store" "$mnt"
	grep -q "data path daemon (the kernel's takes CAP_SYS_ADMIN)" \
		"$place/log"
	[[ $("${user[@]}" cat "$mnt/file") == content ]]
	"${user[@]}" touch "$mnt/mine"
	[[ $(stat -c %U "$store/mine") == "$plain_user" ]]
	# No more rights than the user has; and nobody else's business.
	not "${user[@]}" cat "$mnt/root_only" 2>/dev/null
	not ls "$mnt" 2>/dev/null
	flags "$mnt" nosuid nodev
	"${user[@]}" fusermount3 -u "$mnt"
	wait_until 10 no_daemon_of "$mnt"
}

allow_other_needs_permission() {
	fresh
	open_device
	: >"$place/fuse.conf"
	mount --bind "$place/fuse.conf" /etc/fuse.conf
	chown -R "$plain_user" "$store" "$mnt"
	as=(setpriv "--reuid=$plain_user" --regid=65534 --clear-groups)
	refused 'user_allow_other.*/etc/fuse.conf|fuse.conf.*allow_other' \
		-o allow_other "$store" "$mnt"
	echo user_allow_other >"$place/fuse.conf"
	"${as[@]}" "$MSYNCFS" -o allow_other "$store" "$mnt"
	[[ $(<"$mnt/file") == content ]]
	"${as[@]}" fusermount3 -u "$mnt"
}

# --- all of them -------------------------------------------------------------

# r NAME FUNCTION...: a refusal; its messages join those of all the others.
r() {
	local name=$1
	shift
	: >"$work/messages"
	t "$name" "$@"
	sort -u "$work/messages" >>"$work/all_messages"
}

[[ $EUID -eq 0 ]] || skip_all "needs root (who also plays the plain user)"
mkdir -m 755 "$work"

r a_missing_store_is_an_error a_missing_store
r a_store_that_is_a_file_is_an_error a_store_that_is_a_file
r a_missing_mountpoint_is_an_error a_missing_mountpoint
r a_mountpoint_that_is_a_file_is_an_error a_mountpoint_that_is_a_file
r a_store_in_use_is_an_error a_store_in_use
r a_mountpoint_inside_the_store_is_an_error a_mountpoint_inside_the_store
r a_store_inside_the_mountpoint_is_an_error a_store_inside_the_mountpoint
r one_directory_for_both_is_an_error one_directory_for_both
r a_mountpoint_in_use_is_an_error a_mountpoint_in_use
r a_dead_mountpoint_is_an_error a_dead_mountpoint
r no_fuse_device_is_an_error in_own_namespace no_device
r a_closed_fuse_device_is_an_error in_own_namespace a_closed_device
r a_store_without_permission_is_an_error a_store_without_permission
r another_users_mountpoint_is_an_error a_mountpoint_of_another_user
r unknown_options_are_named unknown_options
r malformed_values_are_named malformed_values
r a_wrong_number_of_arguments_is_an_error wrong_number_of_arguments
r an_impossible_log_is_an_error an_impossible_log
r a_log_below_the_mountpoint_is_an_error a_log_below_the_mountpoint
t every_error_has_a_message_of_its_own the_messages_differ
t help_lists_the_options help_is_printed
t version_is_printed version_is_printed
t relative_paths_work relative_paths
t the_mount_is_usable_when_the_command_returns usable_at_once
t the_daemon_lets_go_of_its_caller a_proper_daemon
t closed_standard_descriptors_do_no_harm closed_standard_descriptors
t f_stays_in_the_foreground_and_umount_ends_it stays_in_the_foreground
t sigterm_ends_it_well ended_by TERM
t sigint_ends_it_well ended_by INT
t fusermount3_ends_it_well ended_by_fusermount3
t sigterm_ends_a_daemon a_daemon_is_ended_by_sigterm
t a_signal_before_the_mount_is_usable_is_a_failure ended_before_it_is_usable
t nosuid_and_nodev_are_the_default safe_flags_by_default
t root_may_ask_for_suid_and_dev root_may_say_otherwise
t ro_refuses_writes read_only
t log_names_a_file a_log_file
t many_signals_at_once_are_no_end many_signals
t a_store_that_another_mount_shows_is_told overlapping_stores
t odd_names_work odd_names
t root_lets_others_in_unless_told_otherwise \
	others_are_let_in_by_root_only_if_allowed
t remount_makes_it_read_only_and_back remounted -i
t it_can_be_installed install_it
t remount_works_through_the_mount_helper \
	in_own_namespace remounted -o noatime
t mount_mounts_type_msyncfs in_own_namespace by_type_msyncfs
t mount_mounts_type_fuse_msyncfs in_own_namespace by_type_fuse_msyncfs
t fstab_lines_work in_own_namespace from_fstab
t a_plain_user_mounts_with_no_more_rights in_own_namespace by_a_plain_user
r allow_other_by_a_user_needs_permission \
	in_own_namespace allow_other_needs_permission
done_testing
