# SPDX-License-Identifier: Apache-2.0
#
# tools: what the rows that were chosen need. Sourced by bench.

# The Debian package that has a command which isn't called as it is.
package_of() {
	case $1 in
	getfattr|setfattr) echo attr ;;
	cc) echo gcc ;;
	awk) echo mawk ;;
	gnuplot) echo gnuplot-nox ;;
	mountpoint|findmnt|setpriv|unshare) echo util-linux ;;
	mkfs.ext4) echo e2fsprogs ;;
	redis-cli|redis-benchmark) echo redis-tools ;;
	initdb|postgres|pgbench|pg_isready|createdb) echo postgresql ;;
	*) echo "$1" ;;
	esac
}

# need_tools COMMAND...: says what is missing, all of it at once.
need_tools() {
	local tool text=
	for tool in "$@"; do
		command -v "$tool" >/dev/null || [[ $text == *"$tool is"* ]] ||
			text+="; $tool is missing (package $(package_of \
				"$tool"))"
	done
	[[ -z $text ]] || die "${text#; }"
}

check_tools() {
	local row who
	local -a tools=(awk mountpoint getfattr "${CC:-cc}")
	[[ -z $IMAGE ]] && ! measures_curves || tools+=(mkfs.ext4)
	[[ -z $REPORT ]] || tools+=(gnuplot python3)
	for row in "${ONLY[@]}"; do
		case $(group_of "$row") in
		io) tools+=(git tar) ;;
		meta) tools+=(setfattr) ;;
		esac
	done
	for who in "${OTHER_CONTENDERS[@]}"; do
		! takes_part "$who" || tools+=("$who")
	done
	need_tools "${tools[@]}"
	! measures_fsync || check_fsync_tools
	! measures_staged || check_staged_tools
	! measures_curves || check_curve_tools
	[[ -x $MSYNCFS ]] || die "no daemon at $MSYNCFS; build it, or" \
		"name one with --msyncfs"
	MSYNCFS=$(realpath "$MSYNCFS")
	[[ -r /dev/fuse && -w /dev/fuse ]] ||
		die "/dev/fuse can't be opened; run as root"
}

# Is this a contender of one of the rows?
takes_part() {
	local row
	for row in "${ONLY[@]}"; do
		! is_curve "$row" || continue
		describe_row "$row"
		[[ " ${CONTENDERS[*]} " != *" $1 "* ]] || return 0
	done
	return 1
}
