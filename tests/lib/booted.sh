# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# A machine that systemd runs, with msyncfs installed on it, for one test: as
# process 1 of its own namespaces. Its files are the machine's below an
# overlay in memory, so nothing that happens in there is left; it has its own
# /run, /dev with the few nodes that it needs, no network, and can't write to
# /sys and /proc/sys, which are the kernel's and so everybody's. Of services
# it has the journal and what the test starts. Needs harness.sh, as root, and
# the built msyncctl and umount.msyncfs beside the daemon.
#
#	boot_possible	fails where it isn't, BOOT_LACKS then says why
#	boot_files	makes $ROOT, where the test can put files of its own
#	boot	starts it; afterwards
#	booted COMMAND...	runs a command in there
#	power_off	ends it as systemctl poweroff does
#	boot_kill	ends it at once; for the EXIT trap, before
#		harness_cleanup
#
#	boot_journal	what systemd and its services have said, also after
#		the end
#
# $ROOT/.disk is $BOOT_DISK, a directory that outlives the machine.

ROOT=$BASE/root
BOOT_DISK=$BASE/boot.disk
BOOT_LOG=$BASE/boot.log
boot_cgroup=$BASE/boot.cgroup
boot_group=
boot_pid=

boot_possible() {
	BOOT_LACKS=
	if [[ ! -x /lib/systemd/systemd ]]; then
		BOOT_LACKS="systemd is not installed"
	elif ! unshare --cgroup --uts --ipc --net --pid --mount --fork true \
		2>/dev/null; then
		BOOT_LACKS="namespaces can't be made here"
	elif ! boot_make_group 2>/dev/null; then
		BOOT_LACKS="no cgroups of version 2 can be made here"
	fi
	[[ -z $BOOT_LACKS ]]
}

# Ours, in the place where we are ourselves.
boot_make_group() {
	local own
	own=$(sed -n 's/^0:://p' /proc/self/cgroup)
	mkdir "$boot_cgroup" &&
		mount -t cgroup2 msyncfs-test "$boot_cgroup" || return 1
	[[ -d $boot_cgroup$own ]] || own=
	boot_group=$boot_cgroup$own/msyncfs-test.$$.$RANDOM
	mkdir "$boot_group"
}

# --- its files -------------------------------------------------------------

boot_files() {
	local upper=$BASE/boot.upper
	mkdir "$ROOT" "$upper" "$BOOT_DISK" &&
		mount --make-rprivate / &&
		mount -t tmpfs -o size=512M,mode=755 msyncfs-test "$upper" &&
		mkdir "$upper/files" "$upper/work" &&
		boot_programs "$upper/programs" &&
		mount -t overlay -o "lowerdir=$upper/programs:/" \
			-o "upperdir=$upper/files,workdir=$upper/work" \
			msyncfs-test "$ROOT" || return 1
	rm -rf "$ROOT"/etc/systemd/{system,network,system.conf.d} \
		"$ROOT"/etc/{fstab,machine-id} "$ROOT/var/log/journal"
	mkdir -p "$ROOT/.disk" "$ROOT"/etc/{msyncfs,systemd/system} \
		"$ROOT/var/log/journal"
	touch "$ROOT/etc/fstab" "$ROOT/etc/machine-id"
	boot_units "$ROOT/etc/systemd/system"
}

# What meson install would put there for the prefix /usr.
boot_programs() {
	local built helper
	built=$(realpath "$MSYNCFS")
	built=${built%/*}
	mkdir -p "$1"/usr/{bin,sbin,lib/systemd/system}
	install -t "$1/usr/bin" "$built/msyncfs" "$built/msyncctl/msyncctl" &&
		install -t "$1/usr/sbin" "$built/umount.msyncfs" || return 1
	for helper in mount.msyncfs mount.fuse.msyncfs; do
		ln -s ../bin/msyncfs "$1/usr/sbin/$helper"
	done
	ln -s umount.msyncfs "$1/usr/sbin/umount.fuse.msyncfs"
	sed 's|@bindir@|/usr/bin|; s|@sbindir@|/usr/sbin|' \
		"$SRCDIR/src/service/msyncfs@.service.in" \
		>"$1/usr/lib/systemd/system/msyncfs@.service"
}

# Nothing of the machine's own services: above all nobody clears /tmp or sets
# up devices.
boot_units() {
	local unit
	cat >"$1/default.target" <<-'UNIT'
		[Unit]
		Requires=basic.target
		After=basic.target
		AllowIsolate=yes
	UNIT
	for unit in getty.target timers.target paths.target \
		cryptsetup.target integritysetup.target veritysetup.target \
		dev-hugepages.mount dev-mqueue.mount \
		sys-kernel-config.mount sys-kernel-debug.mount \
		sys-kernel-tracing.mount proc-sys-fs-binfmt_misc.automount \
		dbus.socket systemd-logind.service; do
		ln -s /dev/null "$1/$unit"
	done
	for unit in "$ROOT"/usr/lib/systemd/system/*.target.wants/*; do
		unit=${unit##*/}
		case $unit in
		systemd-journal*) ;;
		systemd-*.service | systemd-*.socket | kmod-*.service)
			ln -sf /dev/null "$1/$unit"
			;;
		esac
	done
}

# --- its life --------------------------------------------------------------

# In the new namespaces; $1 is ROOT, $2 the disk.
# shellcheck disable=SC2016
boot_script='
	set -e
	cd "$1"
	mount --make-rprivate /
	mount --rbind "$2" .disk
	mount -t proc msyncfs-test proc
	mount --bind proc/sys proc/sys
	mount -o remount,bind,ro proc/sys
	mount -t sysfs -o ro msyncfs-test sys
	mount -t cgroup2 msyncfs-test sys/fs/cgroup
	mount -t tmpfs -o mode=755 msyncfs-test dev
	mkdir dev/shm dev/pts
	for node in null zero full random urandom tty fuse autofs; do
		[ -c "/dev/$node" ] || continue
		touch "dev/$node"
		mount --bind "/dev/$node" "dev/$node"
	done
	ln -s /proc/self/fd dev/fd
	mount -t tmpfs -o mode=755 msyncfs-test run
	mount -t tmpfs -o mode=1777 msyncfs-test tmp
	mkdir -p run/old
	pivot_root . run/old
	umount -l run/old
	rmdir run/old
	exec env -i container=msyncfs-test \
		PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd
'

# shellcheck disable=SC2154 # harness_wait
boot() {
	bash -c 'echo $$ >"$1/cgroup.procs" && shift && exec "$@"' boot \
		"$boot_group" setsid unshare --cgroup --uts --ipc --net --pid \
		--mount --fork --kill-child -- bash -c "$boot_script" boot \
		"$ROOT" "$BOOT_DISK" </dev/null >"$BOOT_LOG" 2>&1 &
	echo $! >"$BASE/boot.pid"
	disown
	if ! wait_until "$((harness_wait * 3))" boot_is_up; then
		echo "the machine did not come up:"
		cat "$BOOT_LOG"
		boot_journal | tail -n 30
		return 1
	fi
}

# The init of the namespaces: the child of unshare.
boot_init() {
	local pid
	pid=$(<"$BASE/boot.pid")
	# Without a newline at its end.
	read -r boot_pid _ <"/proc/$pid/task/$pid/children" || :
	[[ -n $boot_pid ]]
} 2>/dev/null

boot_is_up() {
	boot_init && [[ $(booted systemctl is-system-running 2>/dev/null) == \
		@(running|degraded) ]]
}

booted() {
	boot_init && nsenter --target "$boot_pid" --mount --uts --ipc --net \
		--pid --cgroup env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin \
		LC_ALL=C.UTF-8 SYSTEMD_PAGER='' SYSTEMD_COLORS=0 "$@"
}

boot_journal() {
	journalctl -D "$ROOT/var/log/journal" -o short-monotonic --no-pager
}

power_off() {
	booted systemctl poweroff --no-wall --no-block
	wait_until 120 boot_is_over || {
		echo "the machine did not end:"
		cat "$BOOT_LOG"
		boot_journal | tail -n 30
		return 1
	}
}

boot_is_over() {
	[[ ! -d /proc/$(<"$BASE/boot.pid") ]]
}

boot_kill() {
	if [[ -s $BASE/boot.pid ]]; then
		kill -KILL "$(<"$BASE/boot.pid")" 2>/dev/null
		wait_until 10 boot_is_over
	fi
	# What was killed leaves its groups a moment later.
	if [[ -n $boot_group ]]; then
		wait_until 10 boot_groups_are_gone
	fi
	umount "$ROOT" 2>/dev/null
	umount "$BASE/boot.upper" 2>/dev/null
	return 0
}

boot_groups_are_gone() {
	find "$boot_group" -depth -type d -exec rmdir {} \; 2>/dev/null
	[[ ! -d $boot_group ]]
}
