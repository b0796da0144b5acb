# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# A machine on which msyncfs is installed, for one test: the build's programs
# where mount(8), shells and services look for them, and system directories
# that may be written. Needs harness.sh, started as root: all of it is in the
# test's own mount namespace, nobody else sees it and nothing of it is left.
#
#	install_system [DIRECTORY...]
#
# The DIRECTORIES (/etc /var) are what they were, but what is written there is
# kept in memory and goes away with the test. /run is empty: what services of
# the machine have there is not for the test, nor the test's for them.
#
# By overlayfs: /usr is the programs over the machine's /usr, a DIRECTORY an
# upper layer over itself; what is written lies on a tmpfs, so any file system
# may be below TMPDIR. TMPDIR itself may lie in one of the directories.
#
#	uninstall_system	undoes it; call it from the EXIT trap, before
#		harness_cleanup
#
# Set here: MSYNCCTL (the built one, also without install_system).

installed_build=$(realpath "$MSYNCFS")
installed_build=${installed_build%/*}
MSYNCCTL=${MSYNCCTL:-$installed_build/msyncctl/msyncctl}
installed_dir=$BASE/installed

install_system() {
	local dir
	[[ $# -gt 0 ]] || set -- /etc /var
	[[ -x $MSYNCCTL ]] || {
		echo "no msyncctl at $MSYNCCTL: build it first"
		return 1
	}
	# Where mount(8) looks for helpers must be below /usr.
	[[ /sbin -ef /usr/sbin ]] || {
		echo "/sbin is not /usr/sbin on this machine"
		return 1
	}
	mount --make-rprivate / && mkdir "$installed_dir" &&
		mount -t tmpfs -o size=512M,mode=755 msyncfs-test \
			"$installed_dir" || return 1
	installed_programs "$installed_dir/programs" &&
		installed_overlay /usr "$installed_dir/programs:/usr" ||
		return 1
	for dir; do
		installed_overlay "$dir" "$dir" || return 1
	done
	installed_run
	hash -r
}

# What meson install puts below the prefix /usr, as far as it is to be run.
installed_programs() {
	install -D -t "$1/bin" "$installed_build/msyncfs" "$MSYNCCTL" &&
		install -D -t "$1/sbin" "$installed_build/umount.msyncfs" &&
		ln -s ../bin/msyncfs "$1/sbin/mount.msyncfs" &&
		ln -s ../bin/msyncfs "$1/sbin/mount.fuse.msyncfs" &&
		ln -s umount.msyncfs "$1/sbin/umount.fuse.msyncfs"
}

# installed_overlay DIRECTORY LOWER: mounted aside, then moved there, so that
# what has to stay visible can be put into it before.
installed_overlay() {
	local at="$installed_dir/new${1//\//.}" options="lowerdir=$2"
	local layers="$installed_dir/layers${1//\//.}"
	mkdir -p "$at" "$layers/upper" "$layers/work" || return 1
	options+=",upperdir=$layers/upper,workdir=$layers/work"
	chmod --reference="$1" "$layers/upper"
	mount -t overlay -o "$options" msyncfs-test "$at" &&
		installed_keep "$1" "$at" below && mount --move "$at" "$1"
}

# installed_keep DIRECTORY NEW [below]: the test's own files stay where they
# are when NEW takes the place of DIRECTORY; with "below" also what is mounted
# in that.
installed_keep() {
	local number point
	if [[ -n ${3:-} ]]; then
		while read -r number point; do
			[[ $point == "$1"/?* && $point != "$BASE"/* ]] ||
				continue
			mount --bind "$point" "$2/${point#"$1"/}" 2>/dev/null
		done < <(installed_mounts | tac)
	fi
	[[ $BASE == "$1"/* ]] || return 0
	mkdir -p "$2/${BASE#"$1"/}" &&
		mount --rbind "$BASE" "$2/${BASE#"$1"/}"
}

# With what mount(8) keeps there of its own.
installed_run() {
	local at=$installed_dir/new.run
	mkdir "$at" && mount -t tmpfs -o size=64M,mode=755 msyncfs-test \
		"$at" && mkdir "$at/mount" && mkdir -m 1777 "$at/lock" &&
		installed_keep /run "$at" && mount --move "$at" /run
}

# Mounts of the mount namespace by their numbers, the innermost first.
installed_mounts() {
	local -a field
	while read -r -a field; do
		printf '%s %b\n' "${field[0]}" "${field[4]}"
	done </proc/self/mountinfo | tac
}

# Everything that was mounted since, politely: what a test has left on a mount
# of msyncfs is committed by its daemon. A daemon that is dead or busy must not
# delay the end.
uninstall_system() {
	local number point
	[[ -s $installed_dir.before ]] || return 0
	while read -r number point; do
		grep -qx "$number" "$installed_dir.before" && continue
		[[ $point == "$BASE" || $point == "$BASE"/* ]] && continue
		timeout 10 umount "$point" 2>/dev/null || umount -l "$point"
	done < <(installed_mounts)
	rm -f "$installed_dir.before"
}

installed_mounts | cut -d ' ' -f 1 >"$installed_dir.before"
