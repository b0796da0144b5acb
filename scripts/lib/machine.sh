# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# What the scripts need of the machine: packages, /dev/fuse, root. Source
# say.sh first.

# Sets root_command: what makes a command run as root ("" for root itself), and
# have_root. With a terminal, sudo may ask for the password here, once.
find_root() {
	have_root=yes
	root_command=()
	[[ $EUID -eq 0 ]] && return
	root_command=(sudo -n)
	if ! command -v sudo >/dev/null; then
		have_root=
	elif ! sudo -n true 2>/dev/null; then
		{ [[ -t 1 ]] && sudo -v; } || have_root=
	fi
}

as_root() {
	[[ -n $have_root ]] || die "\"$*\" needs root or sudo"
	"${root_command[@]}" "$@"
}

# Prints those of the packages that are not installed.
missing_packages() {
	local package state
	for package in "$@"; do
		state=$(dpkg-query -W -f '${db:Status-Status}' "$package" \
			2>/dev/null) || true
		[[ $state == installed ]] || echo "$package"
	done
}

# install_packages PACKAGE...: Debian and Ubuntu. Without anything missing it
# needs no network. A name with alternatives is written "a|b": the first is
# installed when none of them is there.
install_packages() {
	local -a missing=() choices lacking
	local choice
	for choice in "$@"; do
		read -r -a choices <<<"${choice//|/ }"
		mapfile -t lacking < <(missing_packages "${choices[@]}")
		[[ ${#lacking[@]} -lt ${#choices[@]} ]] ||
			missing+=("${choices[0]}")
	done
	if [[ ${#missing[@]} -eq 0 ]]; then
		note "every package is installed"
		return
	fi
	say "Installing ${missing[*]}"
	apt_get update
	apt_get install --yes --no-install-recommends "${missing[@]}"
}

apt_get() {
	local log
	log=$(mktemp) || die "no temporary file"
	if ! as_root env DEBIAN_FRONTEND=noninteractive apt-get -q \
		-o Acquire::Retries=3 -o DPkg::Lock::Timeout=120 "$@" \
		>"$log" 2>&1 </dev/null; then
		tail -n 30 "$log" >&2
		rm -f "$log"
		die "apt-get $1 failed (see above)"
	fi
	rm -f "$log"
}

# What the build needs elsewhere, as a command: Fedora and its like, Arch.
# docs/install.md has the same lines.
build_packages_dnf='gcc meson ninja-build pkgconf-pkg-config scdoc fuse3 '
build_packages_dnf+='fuse3-devel userspace-rcu-devel xxhash-devel '
build_packages_dnf+='jansson-devel ncurses-devel systemd-devel'
build_packages_pacman='gcc meson ninja pkgconf scdoc fuse3 liburcu xxhash '
build_packages_pacman+='jansson ncurses systemd-libs'

# install_hint: a sentence for the end of a message, or nothing.
install_hint() {
	if command -v dnf >/dev/null; then
		echo "(for the build: dnf install $build_packages_dnf)"
	elif command -v pacman >/dev/null; then
		echo "(for the build: pacman -S --needed" \
			"$build_packages_pacman)"
	fi
}

# need_commands WHAT-FOR COMMAND...: where packages can't be installed.
need_commands() {
	local command for=$1
	local -a missing=()
	shift
	for command in "$@"; do
		command -v "$command" >/dev/null || missing+=("$command")
	done
	[[ ${#missing[@]} -eq 0 ]] ||
		die "not Debian or Ubuntu: install these yourself, $for" \
			"needs them: ${missing[*]} $(install_hint)"
}

need_libraries() {
	local library
	local -a missing=()
	for library in "$@"; do
		pkg-config --exists "$library" || missing+=("$library")
	done
	[[ ${#missing[@]} -eq 0 ]] ||
		die "install the development files of: ${missing[*]}" \
			"$(install_hint)"
}

is_debian() {
	command -v apt-get >/dev/null && command -v dpkg-query >/dev/null
}

build_packages=(gcc libc6-dev pkg-config\|pkgconf meson ninja-build fuse3
	libfuse3-dev liburcu-dev libxxhash-dev libjansson-dev libncurses-dev libsystemd-dev
	scdoc)

install_build_needs() {
	if is_debian; then
		install_packages "${build_packages[@]}" "$@"
	else
		need_commands "the build" cc pkg-config meson ninja fusermount3
		need_libraries fuse3 liburcu liburcu-cds libxxhash jansson \
			ncursesw
	fi
}

# Makes /dev/fuse exist. On a machine without udev the node may be missing
# even though the kernel has the driver.
ensure_dev_fuse() {
	if [[ ! -e /dev/fuse ]]; then
		say "/dev/fuse is missing: loading the kernel's fuse module"
		as_root modprobe fuse 2>/dev/null || true
	fi
	if [[ ! -e /dev/fuse ]] && grep -qw fuse /proc/filesystems; then
		note "mknod -m 666 /dev/fuse c 10 229"
		as_root mknod -m 666 /dev/fuse c 10 229
	fi
	[[ -c /dev/fuse ]] ||
		die "no /dev/fuse: this kernel (or container) has no FUSE;" \
			"in a container, start it with --device /dev/fuse"
	if [[ $EUID -eq 0 ]] && ! { : <>/dev/fuse; } 2>/dev/null; then
		die "/dev/fuse can't be opened: in a container, start it with" \
			"--device /dev/fuse --cap-add SYS_ADMIN"
	fi
}
