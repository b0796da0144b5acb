#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The service, and lines of /etc/fstab, under a systemd that runs: process 1
# of a machine of its own (tests/lib/booted.sh). What the unit takes away from
# the daemon is taken away for real, so the contract is asked here as well.
#
#	tests/mount/systemd.sh [--long]
#
# --long: all of the contract.
arguments=("$@")
# shellcheck source=tests/lib/harness.sh
source "$(dirname "$0")/../lib/harness.sh"
# shellcheck source=tests/lib/control.sh
source "$SRCDIR/tests/lib/control.sh"
# shellcheck source=tests/lib/booted.sh
source "$SRCDIR/tests/lib/booted.sh"
trap 'boot_kill; harness_cleanup' EXIT

subjects=(names attr privs suid mmap locks xattr acl open)
unit=msyncfs@x.service

# on FILE TEXT: written by a program of the machine.
on() {
	# shellcheck disable=SC2016
	booted sh -c 'echo "$2" >"$1"' sh "$1" "$2"
}

# shown PROPERTY [UNIT]
shown() {
	booted systemctl show --property="$1" --value "${2:-$unit}"
}

is_free() {
	flock --nonblock --shared "$1" true
}

# configure NAME LINE...: /etc/msyncfs/NAME.conf; with the directories.
configure() {
	local file=$ROOT/etc/msyncfs/$1.conf
	mkdir -p "$BOOT_DISK/$1" "$ROOT/srv/$1"
	shift
	printf '%s\n' "$@" >"$file"
}

# --- the service -------------------------------------------------------------

it_is_started_when_the_mount_can_be_used() {
	configure x STORE=/.disk/x MOUNTPOINT=/srv/x \
		OPTIONS=map=staged,sync=manual,policy-file=/etc/msyncfs/x.rules
	: >"$ROOT/etc/msyncfs/x.rules"
	booted systemctl start msyncfs@x
	on /srv/x/started yes
	is yes booted cat /srv/x/started
	is fuse.msyncfs booted findmnt -n -o FSTYPE /srv/x
	is active shown ActiveState
}

systemctl_status_says_what_it_does() {
	becomes 10 '*/.disk/x*' shown StatusText
	becomes 10 '*Status: "*/.disk/x*' booted systemctl status msyncfs@x
	is '*mounted at /srv/x*' booted journalctl --no-pager -u msyncfs@x
}

# Else nobody but the service would see the mount.
it_has_no_namespace_of_its_own() {
	local pid
	pid=$(shown MainPID)
	[[ $(booted readlink "/proc/$pid/ns/mnt") == \
		"$(booted readlink /proc/1/ns/mnt)" ]]
}

what_it_can_do_without_is_taken_away() {
	local pid status
	pid=$(shown MainPID)
	status=$(booted cat "/proc/$pid/status")
	[[ $status == *$'NoNewPrivs:\t1'* ]]
	[[ $status == *$'Seccomp:\t2'* ]]
	# CAP_SYS_PTRACE, _MODULE, _BOOT, _NICE, _NET_ADMIN, _KILL.
	for bit in 19 16 22 23 12 5; do
		[[ $((0x$(sed -n 's/^CapBnd:\t//p' <<<"$status") >> bit & 1)) \
			-eq 0 ]] || {
			echo "capability $bit is left"
			return 1
		}
	done
}

# What systemctl says is in the log as well.
reload_reads_the_policy_file_anew() {
	echo '/** sync=fsync=defer+every=77s' >"$ROOT/etc/msyncfs/x.rules"
	booted systemctl reload msyncfs@x
	on /srv/x/reloaded yes
	becomes 10 '*every=77s*' booted getfattr -n user.msyncfs.status \
		--only-values /srv/x/reloaded
	is active shown ActiveState
}

a_killed_daemon_comes_back_with_its_mount() {
	local pid
	on /srv/x/kept one
	booted msyncctl sync /srv/x
	on /srv/x/kept two
	pid=$(shown MainPID)
	booted kill -KILL "$pid"
	does 30 came_back "$pid"
	is one booted cat /srv/x/kept
	is 1 booted grep -c ' /srv/x ' /proc/mounts
	on /srv/x/kept three
	is 1 shown NRestarts
}

came_back() {
	[[ $(shown MainPID) != @(0|"$1") && $(shown ActiveState) == active ]]
}

the_contract_holds_under_it() {
	local subject program
	mkdir -p "$ROOT/opt/contract"
	configure contract STORE=/.disk/contract MOUNTPOINT=/srv/contract \
		OPTIONS=suid,dev
	booted systemctl start msyncfs@contract
	booted mkdir /srv/contract/work
	for subject; do
		program=$(helper "contract_$subject")
		install "$program" "$ROOT/opt/contract"
		booted env CMOCKA_MESSAGE_OUTPUT=TAP CONTRACT_DATA=kernel \
			CONTRACT_STORE_TYPE="$(stat -f -c %T "$BOOT_DISK")" \
			"/opt/contract/contract_$subject" /srv/contract/work \
			>"$BASE/contract" 2>&1 || true
		grep -qE '^ok ' "$BASE/contract"
		! grep -E '^not ok ' "$BASE/contract" | grep -v SKIP || {
			cat "$BASE/contract"
			return 1
		}
	done
	# The daemon met no refusal that it had to speak of.
	is '' booted journalctl -q --no-pager -u msyncfs@contract -p warning
	booted systemctl stop msyncfs@contract
	rm -r "$BOOT_DISK/contract"
}

# Advice, locks, residency, device nodes: what the contract doesn't ask.
control_works_under_it() {
	on /srv/x/controlled data
	booted msyncctl advise willneed /srv/x/controlled
	booted msyncctl lock /srv/x/controlled
	booted msyncctl residency /srv/x/controlled
	booted msyncctl lock off /srv/x/controlled
	booted msyncctl sync /srv/x
	booted mknod /srv/x/null c 1 3
	is '*1, *3 *' booted ls -l /srv/x/null
	touch "$BOOT_DISK/try"
	if chattr +i "$BOOT_DISK/try" 2>/dev/null; then
		chattr -i "$BOOT_DISK/try"
		booted chattr +i /srv/x/controlled
		is '----i*' lsattr "$BOOT_DISK/x/controlled"
		booted chattr -i /srv/x/controlled
	fi
}

stop_commits() {
	on /srv/x/stopped yes
	is 0 stat -c %s "$BOOT_DISK/x/stopped"
	booted systemctl stop msyncfs@x
	is yes cat "$BOOT_DISK/x/stopped"
	is inactive shown ActiveState
	is success shown Result
	[[ ! -e $BOOT_DISK/x/.msyncfs/journal ]]
	is_free "$BOOT_DISK/x"
	not booted mountpoint -q /srv/x
}

an_unmount_ends_it() {
	booted systemctl start msyncfs@x
	on /srv/x/unmounted yes
	booted umount -c /srv/x
	is yes cat "$BOOT_DISK/x/unmounted"
	becomes 20 inactive shown ActiveState
	is success shown Result
	is 0 shown NRestarts
}

a_missing_file_is_named() {
	said 1 '*' booted systemctl start msyncfs@none
	# A process that has ended at once is not known as the unit's any more.
	becomes 10 '*none.conf is missing: expected STORE=, MOUNTPOINT=*' \
		booted journalctl --no-pager
}

a_wrong_configuration_is_told_and_not_tried_again() {
	configure wrong STORE=/.disk/missing MOUNTPOINT=/srv/wrong
	said 1 '*' booted systemctl start msyncfs@wrong
	is '*/.disk/missing* does not exist: make it with mkdir*' \
		booted systemctl status msyncfs@wrong
	is 0 shown NRestarts msyncfs@wrong
	configure wrong STORE=/.disk/wrong MOUNTPOINT=/srv/wrong OPTIONS=bad
	said 1 '*' booted systemctl start msyncfs@wrong
	is '*bad*' booted systemctl status msyncfs@wrong
	configure wrong STORE=/.disk/wrong
	said 1 '*' booted systemctl start msyncfs@wrong
	is '*MOUNTPOINT is empty*' booted systemctl status msyncfs@wrong
}

a_mount_that_is_there_is_left_alone() {
	configure second STORE=/.disk/second MOUNTPOINT=/srv/x
	on /srv/x/there before
	said 1 '*' booted systemctl start msyncfs@second
	is '*mounted there already*' booted systemctl status msyncfs@second
	is before booted cat /srv/x/there
	is 1 booted grep -c ' /srv/x ' /proc/mounts
	is active shown ActiveState
}

names_may_have_blanks() {
	mkdir "$BOOT_DISK/a b" "$ROOT/srv/c d"
	configure blank 'STORE="/.disk/a b"' 'MOUNTPOINT="/srv/c d"' \
		'OPTIONS="ro,log=stderr"'
	booted systemctl start msyncfs@blank
	is '*ro*' booted findmnt -n -o OPTIONS '/srv/c d'
	booted systemctl stop msyncfs@blank
}

# An ext4 whose device takes two seconds for each flush.
slow_disk() {
	local dir=$BASE/slow node
	mkdir -p "$dir/control" "$dir/disk" "$BOOT_DISK/slow"
	truncate -s 64M "$dir/image"
	mkfs.ext4 -q -F "$dir/image"
	"$(helper disk)" "$dir/image" "$dir/control" "$dir/disk" -f \
		>"$dir/said" 2>&1 &
	disown
	wait_until "$harness_wait" harness_is_mounted "$dir/disk"
	node=$(harness_loop "$dir/disk/disk")
	mount -t ext4 "$node" "$BOOT_DISK/slow"
	losetup -d "$node"
	mkdir "$BOOT_DISK/slow/store"
}

# The unit's limit is shorter than what the last commit takes.
a_long_last_commit_is_given_its_time() {
	local begun=$SECONDS
	configure slow STORE=/.disk/slow/store MOUNTPOINT=/srv/slow \
		OPTIONS=map=staged,sync=manual
	mkdir "$ROOT/etc/systemd/system/msyncfs@slow.service.d"
	printf '%s\n' '[Service]' 'TimeoutStopSec=3s' \
		>"$ROOT/etc/systemd/system/msyncfs@slow.service.d/time.conf"
	booted systemctl daemon-reload
	booted systemctl start msyncfs@slow
	on /srv/slow/file yes
	echo 2 >"$BASE/slow/control/delay"
	begun=$SECONDS
	booted systemctl stop --no-block msyncfs@slow
	becomes 10 '*committing and syncing*' shown StatusText msyncfs@slow
	becomes 60 inactive shown ActiveState msyncfs@slow
	rm "$BASE/slow/control/delay"
	# Else it proves nothing.
	[[ $((SECONDS - begun)) -gt 3 ]]
	is success shown Result msyncfs@slow
	is yes cat "$BOOT_DISK/slow/store/file"
}

# --- /etc/fstab --------------------------------------------------------------

# A store on a mount of its own, which is nofail and so in no order with
# anything, but for what names it.
fstab_lines_become_units() {
	local name
	mkdir -p "$BOOT_DISK"/disk/{now,later,service} "$ROOT/srv/disk"
	mkdir -p "$ROOT"/srv/{now,later}
	cat >"$ROOT/etc/fstab" <<-'TAB'
		/.disk/disk /srv/disk none bind,nofail 0 0
		/srv/disk/now /srv/now msyncfs nofail,map=staged,sync=manual 0 0
		/srv/disk/later /srv/later msyncfs noauto,x-systemd.automount,map=staged,sync=manual 0 0
	TAB
	booted systemctl daemon-reload
	for name in now later; do
		is "*/srv/disk/$name*" \
			shown RequiresMountsFor "srv-$name.mount"
		is '*srv-disk.mount*' shown After "srv-$name.mount"
	done
	# The example's lines, and what systemd makes of them.
	mkdir "$ROOT/tmp/generated" "$ROOT/opt/example"
	cp "$SRCDIR/docs/examples/fstab" "$ROOT/opt/example/fstab"
	booted env SYSTEMD_FSTAB=/opt/example/fstab \
		/usr/lib/systemd/system-generators/systemd-fstab-generator \
		/opt/example /opt/example /opt/example
	for name in "$ROOT"/opt/example/*mount; do
		said 0 '' booted systemd-analyze verify --man=no \
			"/opt/example/${name##*/}"
	done
	[[ -s $ROOT/opt/example/mnt-store.mount ]]
	grep -q RequiresMountsFor=/srv/disk "$ROOT/opt/example/mnt-disk.mount"
}

a_mount_of_fstab_is_started_and_stopped() {
	booted systemctl start srv-now.mount
	is fuse.msyncfs booted findmnt -n -o FSTYPE /srv/now
	# The store's came along.
	booted mountpoint -q /srv/disk
	on /srv/now/file yes
	booted systemctl stop srv-now.mount
	is yes cat "$BOOT_DISK/disk/now/file"
	is_free "$BOOT_DISK/disk/now"
	is inactive shown ActiveState srv-now.mount
}

an_automount_mounts_at_the_first_look() {
	[[ -c $ROOT/dev/autofs || -c /dev/autofs ]] || {
		echo "n/a: no autofs in this kernel"
		return 77
	}
	booted systemctl start srv-later.automount
	is inactive shown ActiveState srv-later.mount
	on /srv/later/file yes
	is active shown ActiveState srv-later.mount
	is yes booted cat /srv/later/file
}

# The machine's end: everything that is staged reaches the stores before these
# are unmounted.
a_shutdown_loses_nothing() {
	local name
	configure service STORE=/srv/disk/service MOUNTPOINT=/srv/service \
		OPTIONS=map=staged,sync=manual
	mkdir "$ROOT/etc/systemd/system/msyncfs@service.service.d"
	printf '%s\n' '[Unit]' 'RequiresMountsFor=/srv/disk/service' \
		>"$ROOT/etc/systemd/system/msyncfs@service.service.d/store.conf"
	booted systemctl daemon-reload
	booted systemctl start srv-now.mount msyncfs@service msyncfs@x
	for name in now later service x; do
		booted dd if=/dev/urandom "of=/srv/$name/last" bs=1M count=4 \
			status=none
	done
	booted sha256sum /srv/{now,later,service,x}/last >"$BASE/sums"
	is 0 stat -c %s "$BOOT_DISK/disk/now/last"
	power_off
	sed -E 's|/srv/(now\|later\|service)|disk/\1|; s|/srv/||' \
		"$BASE/sums" >"$BASE/sums.store"
	is 4 grep -c last "$BASE/sums.store"
	(cd "$BOOT_DISK" && sha256sum -c "$BASE/sums.store")
	for name in disk/now disk/later disk/service x; do
		[[ ! -e $BOOT_DISK/$name/.msyncfs/journal ]]
	done
	boot_journal >"$BASE/journal"
	grep -q 'Unmounted srv-disk.mount' "$BASE/journal"
	not grep -E 'Failed unmounting|target is busy|SIGKILL' "$BASE/journal"
}

# -----------------------------------------------------------------------------

if [[ -n $AS_USER ]]; then
	skip_all "n/a: needs root, tested as root"
elif [[ -n $SANITIZER ]]; then
	skip_all "n/a: a sanitizer does what the unit forbids"
elif ! boot_possible; then
	skip_all "n/a: $BOOT_LACKS"
elif ! grep -q sd_notify "$(realpath "$MSYNCFS")"; then
	skip_all "n/a: built without libsystemd"
fi
{ boot_files && slow_disk && boot; } >"$BASE/boot.said" 2>&1 ||
	bail "the machine does not boot: $(tr '\n' ' ' <"$BASE/boot.said")"
for name in it_is_started_when_the_mount_can_be_used \
	systemctl_status_says_what_it_does it_has_no_namespace_of_its_own \
	what_it_can_do_without_is_taken_away a_mount_that_is_there_is_left_alone \
	reload_reads_the_policy_file_anew \
	a_killed_daemon_comes_back_with_its_mount control_works_under_it \
	stop_commits an_unmount_ends_it a_missing_file_is_named \
	a_wrong_configuration_is_told_and_not_tried_again \
	names_may_have_blanks a_long_last_commit_is_given_its_time; do
	t "$name" "$name"
done
[[ ${arguments[*]} != *--long* ]] || subjects+=(times io direct holes copy dirs
	inotify)
t the_contract_holds_under_it the_contract_holds_under_it "${subjects[@]}"
for name in fstab_lines_become_units a_mount_of_fstab_is_started_and_stopped \
	an_automount_mounts_at_the_first_look a_shutdown_loses_nothing; do
	t "$name" "$name"
done
done_testing
