#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# umount(8) with its helper: it comes back when all is in the store, or says
# what is not. And /etc/fstab, as far as mount(8) and umount(8) go.
#
# Root's umount(8) looks for a helper by the type that statfs(2) gives, which is
# "fuse" whoever serves it, unless it is told -c, as systemd does, or mount(8)'s
# table names a helper, which the daemon sees to.
#
# A daemon that takes its time is one that is stopped: what happens then does
# not depend on how long anything takes.
# shellcheck source=tests/lib/harness.sh
source "$(dirname "$0")/../lib/harness.sh"
# shellcheck source=tests/lib/control.sh
source "$SRCDIR/tests/lib/control.sh"
# shellcheck source=tests/lib/installed.sh
source "$SRCDIR/tests/lib/installed.sh"
trap 'uninstall_system; harness_cleanup' EXIT

STAGED=map=staged,sync=manual

# begun [OPTIONS]: staged files by default; ends politely with the case.
begun() {
	mount_store -o "${1-$STAGED}"
	trap '{ kill -CONT "$DAEMON_PID" || true
		umount -l "$MNT" || true; } 2>/dev/null' EXIT
}

is_free() {
	flock --nonblock --shared "$STORE" true
}

ended_with() {
	does "$harness_wait" test -s "${MNT%/mnt}/status"
	is "$1" cat "${MNT%/mnt}/status"
}

# --- waiting -----------------------------------------------------------------

umount_is_back_when_the_daemon_has_ended() {
	begun
	head -c 1M /dev/urandom >"$MNT/waited"
	cp "$MNT/waited" "$BASE/waited"
	is 0 stat -c %s "$STORE/waited"
	kill -STOP "$DAEMON_PID"
	umount -c "$MNT" 2>"$BASE/umount.said" &
	does "$harness_wait" grep -q "waiting for its daemon to commit" \
		"$BASE/umount.said"
	# The mount has gone long ago.
	not harness_is_mounted "$MNT"
	kill -0 $!
	not is_free
	kill -CONT "$DAEMON_PID"
	wait $!
	is_free
	cmp "$BASE/waited" "$STORE/waited"
	[[ ! -e $STORE/.msyncfs/journal ]]
	ended_with 0
}

# From mount(8)'s table, where there is one note for each mount.
a_plain_umount_finds_the_helper() {
	local table=/run/mount/utab
	[[ -d ${table%/*} ]]
	begun
	# It comes when the mount is there already.
	becomes "$harness_wait" 1 grep -c " TARGET=$MNT " "$table"
	echo data >"$MNT/plain"
	umount "$MNT"
	is_free
	is data cat "$STORE/plain"
	not grep " TARGET=$MNT " "$table"
	# Of a daemon that was killed the note stays, and is not made twice.
	begun
	becomes "$harness_wait" 1 grep -c " TARGET=$MNT " "$table"
	kill -KILL "$DAEMON_PID"
	umount -i -l "$MNT" || true
	ended_with 137
	"$MSYNCFS" -o "$STAGED" "$STORE" "$MNT"
	is 1 grep -c " TARGET=$MNT " "$table"
	umount "$MNT"
	is_free
}

# What the helper is for.
without_the_helper_it_is_back_too_early() {
	begun
	echo data >"$MNT/early"
	kill -STOP "$DAEMON_PID"
	umount -c -i "$MNT"
	not is_free
	[[ ! -s $STORE/early ]]
	kill -CONT "$DAEMON_PID"
	ended_with 0
	is data cat "$STORE/early"
}

the_store_can_be_unmounted_at_once() {
	local dir=$BASE/own
	mkdir "$dir"
	mount -t tmpfs msyncfs-test "$dir"
	STORE=$dir
	begun
	head -c 1M /dev/urandom >"$MNT/data"
	umount -c "$MNT"
	umount "$dir"
	rmdir "$dir"
}

it_finds_a_store_by_another_name() {
	begun "$STAGED,fsname=myfiles"
	is myfiles findmnt -n -o SOURCE "$MNT"
	echo data >"$MNT/named"
	said 0 "*everything is in $STORE" umount.msyncfs -v "$MNT"
	is_free
	is data cat "$STORE/named"
	ended_with 0
}

# --- not waiting -------------------------------------------------------------

lazily_it_waits_for_nobody() {
	begun
	exec 3>"$MNT/lazy"
	said 32 "*$MNT is busy: end the programs*" umount -c "$MNT"
	said 0 '*not waited for its daemon' umount -v -l "$MNT"
	not harness_is_mounted "$MNT"
	not is_free
	echo data >&3
	exec 3>&-
	ended_with 0
	is data cat "$STORE/lazy"
}

forced_it_waits_for_nobody() {
	begun
	echo data >"$MNT/forced"
	kill -STOP "$DAEMON_PID"
	said 0 '' umount -f "$MNT"
	not is_free
	kill -CONT "$DAEMON_PID"
	does "$harness_wait" is_free
	is data cat "$STORE/forced"
}

a_daemon_that_goes_on_is_not_waited_for() {
	local other=$BASE/other
	begun
	mkdir "$other"
	mount --bind "$MNT" "$other"
	said 0 "*still mounted at $other, so its daemon goes on" umount -c "$MNT"
	echo data >"$other/on"
	umount -c "$other"
	is_free
	is data cat "$STORE/on"
	ended_with 0
}

# The daemon itself uses its mount to have what programs have mapped written
# back. That takes as long as strace says, and begins while a file is open.
a_sync_of_the_daemon_s_own_keeps_nothing_busy() {
	local tracer
	command -v strace >/dev/null || {
		echo "strace is not installed"
		return 77
	}
	begun data=daemon,sync=fsync=defer+every=100ms
	exec 3<>"$MNT/mapped"
	strace -f -q -o "$BASE/trace.syncfs" -p "$DAEMON_PID" -e trace=syncfs \
		-e inject=syncfs:delay_enter=3000000 >/dev/null 2>&1 3>&- &
	tracer=$!
	does "$harness_wait" grep -qs 'syncfs(' "$BASE/trace.syncfs"
	exec 3>&-
	said 0 '*' umount -c "$MNT"
	not harness_is_mounted "$MNT"
	wait "$tracer" || true
	is_free
	ended_with 0
}

another_namespace_is_not_waited_for() {
	local pid
	begun
	unshare --mount --propagation private sleep 1000 &
	pid=$!
	does 10 grep -q "^sleep" "/proc/$pid/comm"
	said 0 '*another mount namespace still has it, so*' umount -c "$MNT"
	not is_free
	said 0 '' umount -c -N "$pid" "$MNT"
	is_free
	kill "$pid"
	ended_with 0
}

a_busy_mount_becomes_read_only_if_asked() {
	begun
	cd "$MNT"
	said 0 "*$MNT is busy and read-only now" umount.msyncfs -r "$MNT"
	is "*ro,nosuid,nodev*" findmnt -n -o VFS-OPTIONS "$MNT"
	cd /
	umount "$MNT"
	ended_with 0
}

# --- what went wrong ---------------------------------------------------------

a_killed_daemon_is_told() {
	begun
	echo one >"$MNT/killed"
	xattr set "$MNT" sync.now wait
	echo two >"$MNT/killed"
	kill -KILL "$DAEMON_PID"
	does "$harness_wait" test -s "${MNT%/mnt}/status"
	said 2 "*did not end properly: $STORE is to be used after the next \
mount or msyncctl recover only*" umount -c "$MNT"
	not harness_is_mounted "$MNT"
	"$MSYNCCTL" recover "$STORE"
	is one cat "$STORE/killed"
}

# What a service does after a crash must not take away another's mount.
only_a_dead_mount_is_taken_away_if_asked() {
	begun
	said 32 '*has not ended*' umount.msyncfs --dead -l "$MNT"
	said 0 '' umount.msyncfs --dead -l -q "$MNT"
	harness_is_mounted "$MNT"
	echo data >"$MNT/alive"
	kill -KILL "$DAEMON_PID"
	does "$harness_wait" test -s "${MNT%/mnt}/status"
	said 0 '' umount.msyncfs --dead -l -q "$MNT"
	not harness_is_mounted "$MNT"
	said 0 '' umount.msyncfs --dead -l -q "$MNT"
}

# With nothing to recover there is nothing to say.
a_killed_daemon_without_a_journal_is_no_matter() {
	begun ''
	echo data >"$MNT/shared"
	kill -KILL "$DAEMON_PID"
	does "$harness_wait" test -s "${MNT%/mnt}/status"
	said 0 '' umount -c "$MNT"
	is data cat "$STORE/shared"
}

a_failed_last_commit_is_told() {
	local dir=$BASE/bad
	# An ext4 on a disk that is bad where the journal is.
	troubled_disk "$dir" 64M
	begun
	echo one >"$MNT/bad"
	xattr set "$MNT" sync.now wait
	echo two >"$MNT/bad"
	filefrag -v "$STORE/.msyncfs/journal" | awk '$1 ~ /^[0-9]+:$/ {
		gsub(/[.:]/, " ")
		print $4 * 4096, ($5 - $4 + 1) * 4096
	}' >"$dir/control/bad.new"
	[[ -s $dir/control/bad.new ]]
	mv "$dir/control/bad.new" "$dir/control/bad"
	said 2 "umount.msyncfs: $MNT is unmounted, but *" umount -c "$MNT"
	ended_with 1
	rm "$dir/control/bad"
	umount "$dir/fs"
	wait_until 10 umount "$dir/disk"
	rm -r "$dir"
}

# --- input -------------------------------------------------------------------

bad_input_is_answered() {
	begun
	mkdir "$BASE/plain"
	said 32 '*plain: nothing is mounted there' umount.msyncfs "$BASE/plain"
	said 0 '' umount.msyncfs -q "$BASE/plain"
	said 0 '' umount.msyncfs -q ''
	said 32 '*/proc: a filesystem of type proc is mounted there*' \
		umount.msyncfs /proc
	said 1 '*expected one mountpoint*' umount.msyncfs
	said 1 '*expected one mountpoint*' umount.msyncfs "$MNT" "$MNT"
	said 1 '*expected one mountpoint*' umount.msyncfs ''
	said 1 '*-x is not known*' umount.msyncfs -x "$MNT"
	said 1 '*-N is not known or lacks its value*' umount.msyncfs "$MNT" -N
	said 32 '*mount namespace /nowhere: No such file*' \
		umount.msyncfs -N /nowhere "$MNT"
	said 0 'usage: umount.msyncfs *' umount.msyncfs --help
	said 0 'umount.msyncfs [0-9]*' umount.msyncfs --version
	harness_is_mounted "$MNT"
	umount "$MNT"
	ended_with 0
}

# A plain user's own mount, through a umount(8) that is setuid root.
a_plain_user_waits_as_well() {
	AS_USER=nobody harness_gid=$(id -g nobody)
	local home=$BASE/nobody
	harness_open_dev_fuse
	install -d -o nobody "$home" "$home/store" "$home/mnt"
	install -m 755 "$(realpath "$MSYNCFS")" "$home/msyncfs"
	as_user "$home/msyncfs" -o "$STAGED" "$home/store" "$home/mnt"
	trap 'umount -l "$BASE/nobody/mnt" || true' EXIT
	as_user sh -c 'echo data >"$1/mnt/file"' sh "$home"
	said 0 "*everything is in $home/store" \
		as_user umount -v "$home/mnt"
	STORE=$home/store
	is_free
	is data cat "$STORE/file"
	trap - EXIT
}

# --- /etc/fstab --------------------------------------------------------------

fstab_lines_work() {
	local dir=$BASE/fstab
	mkdir -p "$dir"/{one,two,three}.store "$dir"/{one,two,three}
	cat >/etc/fstab <<-TAB
		$dir/one.store $dir/one msyncfs nosuid,nofail,$STAGED 0 0
		$dir/two.store $dir/two msyncfs noauto,x-systemd.automount 0 0
		$dir/three.store $dir/three fuse.msyncfs noauto,users 0 0
	TAB
	trap 'umount -l "$BASE"/fstab/* 2>/dev/null || true' EXIT
	mount -a
	is fuse.msyncfs findmnt -n -o FSTYPE "$dir/one"
	is '*nosuid*' findmnt -n -o OPTIONS "$dir/one"
	not mountpoint -q "$dir/two"
	# Once is enough.
	mount -a
	is 1 grep -c " $dir/one " /proc/mounts
	mount "$dir/two"
	not grep -q nosuid < <(findmnt -n -o OPTIONS "$dir/two")
	mount "$dir/three"
	is '*nosuid,nodev,noexec*' findmnt -n -o OPTIONS "$dir/three"
	for name in one two three; do
		echo "$name" >"$dir/$name/file"
		umount "$dir/$name"
		is "$name" cat "$dir/$name.store/file"
		STORE=$dir/$name.store is_free
	done
}

# -----------------------------------------------------------------------------

make_store || bail "no $FS store"
if [[ -n $AS_USER ]]; then
	skip_all "n/a: needs root, tested as root"
fi
install_system /etc || bail "msyncfs can't be installed for the test"
command -v umount.msyncfs >/dev/null || bail "umount.msyncfs is not built"
for name in umount_is_back_when_the_daemon_has_ended \
	a_plain_umount_finds_the_helper \
	without_the_helper_it_is_back_too_early \
	the_store_can_be_unmounted_at_once it_finds_a_store_by_another_name \
	lazily_it_waits_for_nobody forced_it_waits_for_nobody \
	a_daemon_that_goes_on_is_not_waited_for \
	a_sync_of_the_daemon_s_own_keeps_nothing_busy \
	another_namespace_is_not_waited_for \
	a_busy_mount_becomes_read_only_if_asked a_killed_daemon_is_told \
	only_a_dead_mount_is_taken_away_if_asked \
	a_killed_daemon_without_a_journal_is_no_matter \
	a_failed_last_commit_is_told bad_input_is_answered \
	a_plain_user_waits_as_well fstab_lines_work; do
	t "$name" "$name"
done
t the_store_is_given_back drop_store
done_testing
