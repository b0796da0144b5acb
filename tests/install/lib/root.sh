# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# Machines to install packages on, that nobody misses afterwards. Source
# harness.sh first; all of it is in the test's mount namespace and on a tmpfs.
#
#	make_overlay_root	this machine's root, writable aside
#	make_debian_root	a new Debian of the same release, by debootstrap
#	in_root COMMAND...	runs it there
#	root_files		what the overlay has beyond the machine's root
#	all_files		every file there
#
# Set here: ROOT.

ROOT=$BASE/machine/root

# Empty, or why no package can be built and installed here.
no_package_because() {
	local dir
	if ! command -v dpkg-buildpackage >/dev/null; then
		echo "dpkg-dev is not installed"
	elif ! command -v lintian >/dev/null; then
		echo "lintian is not installed"
	elif [[ $EUID -ne 0 ]]; then
		echo "another root directory needs root"
	else
		for dir in /usr /var /etc; do
			! mountpoint -q "$dir" || {
				echo "$dir is a file system of its own"
				return
			}
		done
	fi
}

machine_memory() {
	mount --make-rprivate / && mkdir -p "$BASE/machine" &&
		mount -t tmpfs -o "size=$1,mode=755" msyncfs-test \
			"$BASE/machine" && mkdir "$ROOT"
}

# What a running system has besides its files. /run is empty, so nothing takes
# it for a machine whose systemd can be asked.
machine_mounts() {
	mount --rbind /dev "$ROOT/dev" &&
		mount -t proc proc "$ROOT/proc" &&
		mount -t tmpfs -o mode=755 msyncfs-test "$ROOT/run" &&
		mount -t tmpfs msyncfs-test "$ROOT/tmp"
}

make_overlay_root() {
	local dir=$BASE/machine
	machine_memory 1G && mkdir "$dir/upper" "$dir/work" || return 1
	chmod 755 "$dir/upper"
	mount -t overlay -o "lowerdir=/,upperdir=$dir/upper,workdir=$dir/work" \
		msyncfs-test "$ROOT" && machine_mounts
}

in_root() {
	env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=dumb \
		LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
		chroot "$ROOT" "$@"
}

# What dpkg itself, and man for its index, write whenever anything is
# installed; nothing in there may have the package's name.
written_by_dpkg='^[^ ]+ (var/lib/dpkg/(status|available|diversions|'
written_by_dpkg+='statoverride)(-old)?|var/lib/dpkg/(lock|triggers/).*|'
written_by_dpkg+='var/lib/dpkg/lock-frontend|var/log/dpkg\.log|'
written_by_dpkg+='var/cache/man/.*|var/cache/ldconfig/.*|etc/ld\.so\.cache) ?'

# "TYPE PATH [CHECKSUM]" of what is in the upper layer and is not a directory
# or file of the lower one. What has been removed of that is a device there.
root_files() {
	local type path sum
	(
		cd "$BASE/machine/upper" || exit 1
		find . -mindepth 1 -printf '%y %P\n' |
			while read -r type path; do
				sum=
				[[ $type != d || ! -d /$path ]] || continue
				if [[ $type == f ]]; then
					! cmp -s "$path" "/$path" || continue
					sum=$(cksum <"$path")
				fi
				echo "$type $path $sum"
			done
	) | grep -vE "$written_by_dpkg" | sort
}

# --- a real one --------------------------------------------------------------

# Where apt gets the release's packages: "MIRROR RELEASE".
apt_source() {
	local release
	release=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
	apt-get indextargets --format '$(SITE) $(RELEASE) $(CREATED_BY)' |
		awk -v release="$release" '
			$2 == release && $3 == "Packages" {
				print $1, release
				exit
			}'
}

# With what apt of this machine knows of mirrors, proxies and keys.
make_debian_root() {
	local mirror release
	read -r mirror release < <(apt_source)
	[[ -n $release ]] || {
		echo "apt has no source of this machine's release"
		return 1
	}
	command -v debootstrap >/dev/null || {
		echo "debootstrap is not installed"
		return 1
	}
	machine_memory 3G || return 1
	mount -o remount,dev,suid,exec "$BASE/machine" || return 1
	debootstrap --variant=minbase "$release" "$ROOT" "$mirror" ||
		return 1
	rm -rf "$ROOT/etc/apt" && cp -a /etc/apt "$ROOT/etc/" &&
		cp -aL /usr/share/keyrings "$ROOT/usr/share/" &&
		cp -L /etc/resolv.conf /etc/hosts "$ROOT/etc/" || return 1
	machine_mounts
}

# But for what apt and dpkg write whenever they do something.
all_files() {
	(
		cd "$ROOT" || exit 1
		find . -xdev -printf '%y %P\n'
	) | grep -vE '^[^ ]+ (var/(cache|log|lib/apt)/|var/lib/dpkg/triggers/)' |
		grep -vE '^[^ ]+ var/lib/dpkg/[a-z]+-old$' | sort
}
