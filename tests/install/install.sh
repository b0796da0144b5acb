#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# What is installed: by meson install, which files, and that they work; by the
# Debian package, the same, on a machine that has nothing of it, and that
# nothing is left when the package is purged.
#
# That machine is this one: its root below an overlay, in the test's own mount
# namespace. With PACKAGE_CLEAN_ROOT=1 there is a real one as well, made by
# debootstrap from where apt gets its packages.

# The package is compiled on a machine that has other things to do.
CASE_LIMIT=${CASE_LIMIT:-400}
# shellcheck source=tests/lib/harness.sh
. "$(dirname "$0")/../lib/harness.sh"
# shellcheck source=tests/install/lib/root.sh
. "$SRCDIR/tests/install/lib/root.sh"

BUILD=$(dirname "$(dirname "$(readlink -f "$MSYNCFS")")")
DEST=$BASE/dest
PACKAGES=$BASE/packages

# --- meson install -----------------------------------------------------------

# Sets PREFIX, where the files are that meson install puts below its prefix.
install_to_dest() {
	[[ -d $DEST ]] || meson install -C "$BUILD" --no-rebuild --quiet \
		--destdir "$DEST" || return 1
	PREFIX=$(find "$DEST" -path '*/bin/msyncfs')
	PREFIX=${PREFIX%/bin/msyncfs}
	[[ -n $PREFIX ]]
}

# All of docs/ is for users, but for what is named here.
documents() {
	(
		cd "$SRCDIR/docs" || exit 1
		find . -type f -not -path './man/*' -not -path './examples/*' \
			-not -name CONTRIBUTING.md -not -name meson.build
	) | sed -E 's|^(\./)?|644 share/doc/msyncfs/docs/|'
	(
		cd "$SRCDIR/docs" || exit 1
		find examples -type f -printf '%m %p\n'
	) | sed 's| | share/doc/msyncfs/|'
}

# "MODE FILE" or "LINK -> TARGET", below the prefix.
wanted_files() {
	cat <<-'TEXT'
		755 bin/msyncctl
		755 bin/msyncfs
		644 lib/systemd/system/msyncfs@.service
		sbin/mount.fuse.msyncfs -> ../bin/msyncfs
		sbin/mount.msyncfs -> ../bin/msyncfs
		sbin/umount.fuse.msyncfs -> umount.msyncfs
		755 sbin/umount.msyncfs
		644 share/bash-completion/completions/msyncfs
		share/bash-completion/completions/msyncctl -> msyncfs
		644 share/doc/msyncfs/README.md
		share/doc/msyncfs/docs/examples -> ../examples
		644 share/fish/vendor_completions.d/msyncfs.fish
		share/fish/vendor_completions.d/msyncctl.fish -> msyncfs.fish
		644 share/man/man1/msyncctl.1
		644 share/man/man1/msyncfs.1
		644 share/man/man7/msyncfs-xattr.7
		share/man/man8/mount.fuse.msyncfs.8 -> mount.msyncfs.8
		644 share/man/man8/mount.msyncfs.8
		share/man/man8/umount.fuse.msyncfs.8 -> umount.msyncfs.8
		644 share/man/man8/umount.msyncfs.8
		644 share/zsh/site-functions/_msyncfs
	TEXT
	documents
}

# installed_files DIRECTORY: the same of what is there.
installed_files() {
	find "$1" -type f -printf '%m %P\n' -o -type l -printf '%P -> %l\n' \
		-o -not -type d -printf 'what is %P?\n'
}

meson_installs_what_is_wanted_and_nothing_else() {
	install_to_dest
	diff <(wanted_files | sort) <(installed_files "$PREFIX" | sort)
	[[ -z $(find "$DEST" -not -type d -not -path "$PREFIX/*") ]]
}

directories_can_be_entered_by_all() {
	install_to_dest
	[[ -z $(find "$PREFIX" -type d -not -perm 755) ]]
}

# Everything in docs/man, and what is only a link to it.
man_finds_every_page() {
	local page
	install_to_dest
	for page in "$SRCDIR"/docs/man/*.scd \
		{mount,umount}.fuse.msyncfs.8.scd; do
		page=${page##*/}
		page=${page%.scd}
		man -M "$PREFIX/share/man" -w "${page##*.}" "${page%.*}"
	done
}

# A dead link, or one out of the destination, would show here.
what_is_installed_mounts() {
	local mnt=$BASE/installed.mnt store=$BASE/installed.store
	install_to_dest
	mkdir "$mnt" "$store"
	"$PREFIX/sbin/mount.msyncfs" "$store" "$mnt" \
		-o "nosuid,nodev,log=$BASE/installed.log"
	echo 'through the mount' >"$mnt/file"
	[[ $("$PREFIX/bin/msyncctl" get --value sync "$mnt/file") == strict* ]]
	"$PREFIX/share/doc/msyncfs/examples/attributes.sh" "$mnt" ||
		return 1
	umount "$mnt"
	[[ $(<"$store/file") == 'through the mount' ]]
	[[ $(<"$store/log/audit") == 'first line' ]]
}

# It sets what the unit reads, and nothing else.
the_service_example_is_what_the_unit_reads() {
	local example=$SRCDIR/docs/examples/store.conf unit
	install_to_dest
	unit=$PREFIX/lib/systemd/system/msyncfs@.service
	diff <(sed -nE 's/^([A-Z]+)=.*/\1/p' "$example" | sort) \
		<(grep -oE '^Exec.*' "$unit" | grep -oE '[$][{][A-Z]+[}]' |
			tr -d '${}' | sort -u)
	mkdir "$BASE/conf.store" "$BASE/conf.mnt"
	"$PREFIX/sbin/mount.msyncfs" "$BASE/conf.store" "$BASE/conf.mnt" \
		-f -o "$(sed -n 's/^OPTIONS=//p' "$example")"
}

# The list of what meson has installed is the build's own: it is put back.
uninstalling_leaves_no_file() {
	local log=$BUILD/meson-logs/install-log.txt
	install_to_dest
	ninja -C "$BUILD" uninstall
	[[ -z $(find "$DEST" -not -type d) ]] || {
		find "$DEST" -not -type d
		return 1
	}
	if [[ -f $BASE/install-log ]]; then
		cp "$BASE/install-log" "$log"
	else
		rm "$log"
	fi
}

# In every line of commands that installs packages.
documented_packages_are_those_of_the_scripts() {
	local package
	(
		# shellcheck source=scripts/lib/machine.sh
		. "$SRCDIR/scripts/lib/machine.sh"
		echo "apt install $(printf '%s\n' "${build_packages[@]%|*}" |
			sort | paste -s -d ' ')"
		for package in "dnf install $build_packages_dnf" \
			"pacman -S --needed $build_packages_pacman"; do
			echo "$package"
		done
	) >"$BASE/packages.scripts"
	sed -nE 's/^sudo (apt|dnf|pacman) (install|-S --needed) ([^.])/\1 \2 \3/p' \
		"$SRCDIR/docs/install.md" | while read -r package; do
		[[ $package != apt* ]] || {
			package=${package#apt install }
			package="apt install $(tr ' ' '\n' <<<"$package" |
				sort | paste -s -d ' ')"
		}
		echo "$package"
	done | diff "$BASE/packages.scripts" -
}

# msyncfs checks all but mounts nothing with -f.
every_line_of_the_fstab_example_is_accepted() {
	local source mountpoint type options rest count=0
	mkdir "$BASE/fstab.store" "$BASE/fstab.mnt"
	install_to_dest
	while read -r source mountpoint type options rest; do
		[[ $source == /* ]] || continue
		count=$((count + 1))
		[[ $type == msyncfs && $rest == '0  0' ]] || {
			echo "$source: type $type, $rest"
			return 1
		}
		"$PREFIX/sbin/mount.msyncfs" "$BASE/fstab.store" \
			"$BASE/fstab.mnt" -f -o "$options" || return 1
	done <"$SRCDIR/docs/examples/fstab"
	[[ $count -ge 5 ]]
}

# --- the Debian package ------------------------------------------------------

the_package_is_built_and_lintian_finds_nothing() {
	"$SRCDIR/scripts/package" --output "$PACKAGES"
	[[ $(find "$PACKAGES" -name 'msyncfs_*.deb' | wc -l) -eq 1 ]]
	[[ $(find "$PACKAGES" -name 'msyncfs-dbgsym_*.deb' | wc -l) -eq 1 ]]
}

# Compressed, in Debian's directories, with what Debian adds.
as_in_the_package() {
	sed -E '
		s|^|usr/|
		s|(usr/share/man/[^ ]*[0-9])|\1.gz|
		s|( -> .*\.8)$|\1.gz|
		s|zsh/site-functions/|zsh/vendor-completions/|
		s|^usr/(.*/systemd/system/)|\1|'
	echo usr/share/doc/msyncfs/changelog.gz
	echo usr/share/doc/msyncfs/copyright
}

the_package_has_what_meson_installs() {
	diff <(wanted_files | sed -E 's/^[0-7]+ //' | as_in_the_package |
		sort) <(dpkg-deb -c "$PACKAGES"/msyncfs_*.deb |
		awk '$1 !~ /^d/ { sub(/.* \.\//, ""); print }' |
		sed 's|^usr/lib/systemd/|lib/systemd/|' | sort)
}

# use_package: in the root where it is installed, mount by a line of fstab,
# write, remount, unmount.
use_package() {
	in_root mount /mnt/store || return 1
	in_root findmnt --noheadings --types fuse.msyncfs /mnt/store ||
		return 1
	in_root sh -ec '
		echo "by fstab" >/mnt/store/file
		msyncctl set sync=relaxed /mnt/store/file
		[ "$(cat /srv/store/file)" = "by fstab" ]
		mount -o remount,ro /mnt/store
		! touch /mnt/store/file 2>/dev/null
		mount -o remount,rw /mnt/store
		touch /mnt/store/file
		umount /mnt/store
		[ "$(cat /srv/store/file)" = "by fstab" ]' || return 1
	root_is_idle
}

# The shells and man find what is theirs where they look by themselves.
programs_find_what_is_theirs() {
	in_root sh -ec '
		man -w msyncfs-xattr >/dev/null
		man -w mount.fuse.msyncfs >/dev/null' || return 1
	[[ $(in_root fish -c 'complete -C "msyncctl resid"') == residency* ]] ||
		return 1
	[[ $(in_root zsh -fc 'autoload -Uz compinit
		compinit -D -u
		echo $_comps[msyncctl] $_comps[msyncfs]') == \
		'_msyncfs _msyncfs' ]] || return 1
	# shellcheck disable=SC2016
	[[ $(in_root bash -c '
		. /usr/share/bash-completion/bash_completion
		for command in msyncctl msyncfs; do
			_completion_loader $command
			complete -p $command
		done') == *-F*msyncctl*-F*msyncfs ]]
}

# The daemon goes on for a moment after the unmount.
root_is_idle() { wait_until 20 root_has_no_daemon; }

root_has_no_daemon() {
	local link
	for link in /proc/[0-9]*/exe; do
		[[ $(readlink "$link") != "$ROOT"/usr/bin/msyncfs* ]] ||
			return 1
	done
}

prepare_root() {
	in_root mkdir -p /srv/store /mnt/store
	# A directory and a file in it lie on different devices for an overlay
	# of two file systems, which a store may not have.
	mount -t tmpfs msyncfs-test "$ROOT/srv/store"
	echo '/srv/store /mnt/store msyncfs nosuid,nodev,log=/tmp/log 0 0' \
		>>"$ROOT/etc/fstab"
	cp "$PACKAGES"/msyncfs_*.deb "$ROOT/tmp/msyncfs.deb"
}

the_package_comes_works_and_goes() {
	make_overlay_root || return 1
	prepare_root
	root_files >"$BASE/before"
	in_root dpkg -i /tmp/msyncfs.deb
	[[ $(in_root dpkg-query -W -f '${db:Status-Status}' msyncfs) == \
		installed ]]
	in_root test -x /usr/bin/msyncfs
	use_package
	programs_find_what_is_theirs
	in_root dpkg -P msyncfs
	! in_root test -e /usr/bin/msyncfs
	! in_root dpkg-query -W msyncfs 2>/dev/null
	root_files | diff "$BASE/before" -
}

a_clean_debian_installs_it_by_apt_uses_it_and_has_nothing_left() {
	make_debian_root || return 1
	prepare_root
	in_root apt-get -q update
	all_files >"$BASE/clean.before"
	in_root apt-get -q -y install /tmp/msyncfs.deb
	use_package
	in_root apt-get -q -y purge --autoremove msyncfs
	all_files | diff "$BASE/clean.before" -
}

cp "$BUILD/meson-logs/install-log.txt" "$BASE/install-log" 2>/dev/null
t meson_installs_what_is_wanted_and_nothing_else \
	meson_installs_what_is_wanted_and_nothing_else
t directories_can_be_entered_by_all directories_can_be_entered_by_all
if command -v man >/dev/null; then
	t man_finds_every_page man_finds_every_page
else
	skip man_finds_every_page "man is not installed"
fi
t what_is_installed_mounts what_is_installed_mounts
t every_line_of_the_fstab_example_is_accepted \
	every_line_of_the_fstab_example_is_accepted
t the_service_example_is_what_the_unit_reads \
	the_service_example_is_what_the_unit_reads
t uninstalling_leaves_no_file uninstalling_leaves_no_file
t documented_packages_are_those_of_the_scripts \
	documented_packages_are_those_of_the_scripts
why=$(no_package_because)
if [[ -n $why ]]; then
	for name in the_package_is_built_and_lintian_finds_nothing \
		the_package_has_what_meson_installs \
		the_package_comes_works_and_goes; do
		skip "$name" "$why"
	done
else
	t the_package_is_built_and_lintian_finds_nothing \
		the_package_is_built_and_lintian_finds_nothing
	t the_package_has_what_meson_installs \
		the_package_has_what_meson_installs
	t the_package_comes_works_and_goes the_package_comes_works_and_goes
fi
if [[ ${PACKAGE_CLEAN_ROOT:-} == 1 ]]; then
	CASE_LIMIT=1200
	t a_clean_debian_installs_it_by_apt_uses_it_and_has_nothing_left \
		a_clean_debian_installs_it_by_apt_uses_it_and_has_nothing_left
fi
done_testing
