# SPDX-License-Identifier: Apache-2.0
#
# meta: operations on names and attributes, one at a time. Sourced by bench,
# before rows.sh; what each is stands at the top of bench_meta.c.
#
# Each turn has a new directory and does the same number of operations in it,
# whoever's turn it is; the figures are microseconds for one. Those on names
# that FUSE has not seen yet are done on a new mount, where the store knows
# the names and the mount doesn't.

META_ROWS=(
	meta-create
	meta-write
	meta-open
	meta-stat
	meta-stat-cold
	meta-list
	meta-list-cold
	meta-chmod
	meta-utimens
	meta-setxattr
	meta-getxattr
	meta-truncate
	meta-rename
	meta-link
	meta-symlink
	meta-readlink
	meta-mkdir
	meta-fsyncdir
	meta-unlink
	meta-rmdir
)

META_OPS=500
LISTED_NAMES=1000

is_meta_row() {
	[[ " ${META_ROWS[*]} " == *" $1 "* ]]
}

measures_meta() {
	measures 'meta-*'
}

describe_meta_row() {
	local who
	KIND=meta UNIT=each STORE=$FAST_STORE ROW_DATA=$DATA
	IO_ACTION= IO_BLOCK=0 IO_OPS=$META_OPS
	OPERATION=${1#meta-} META_LISTED= META_REQUEST=
	CONTENDERS=(msyncfs bindfs store fuse-overlayfs mergerfs tmpfs
		msyncfs-daemon)
	# What the daemon is asked for each operation; of the others the kernel
	# may know the answer.
	case $OPERATION in
	create|write) META_REQUEST=CREATE ;;
	open) META_REQUEST=OPEN ;;
	stat-cold) META_REQUEST=LOOKUP ;;
	list) META_LISTED=$LISTED_NAMES IO_OPS=20 META_REQUEST=OPENDIR ;;
	list-cold) META_LISTED=$LISTED_NAMES IO_OPS=3 META_REQUEST=OPENDIR ;;
	chmod|utimens|truncate) META_REQUEST=SETATTR ;;
	fsyncdir) IO_OPS=25 META_REQUEST=FSYNCDIR ;;
	setxattr|getxattr|rename|link|symlink|mkdir|unlink|rmdir)
		META_REQUEST=${OPERATION^^} ;;
	esac
	# bindfs and mergerfs don't have it, so that the kernel reports success
	# and nothing is synced; on tmpfs there is nothing to do.
	[[ $OPERATION != fsyncdir ]] ||
		CONTENDERS=(msyncfs store fuse-overlayfs msyncfs-daemon)
	COMPARISONS=()
	for who in bindfs store fuse-overlayfs mergerfs tmpfs; do
		[[ " ${CONTENDERS[*]} " != *" $who "* ]] ||
			COMPARISONS+=("msyncfs $who -")
	done
	[[ " ${CONTENDERS[*]} " != *" msyncfs-daemon "* ]] ||
		COMPARISONS+=("msyncfs-daemon ${CONTENDERS[1]} -")
}

is_cold() {
	[[ $OPERATION == *-cold ]]
}

begin_meta_row() {
	local who
	compile bench_meta || return 1
	for who in "${CONTENDERS[@]}"; do
		start_contender "$who" || return 1
		if is_cold; then
			is_kept "$who" || stop_contender "$who" || return 1
		fi
	done
	# tmpfs has such attributes since Linux 6.6.
	[[ $OPERATION != *xattr ]] || is_left_out tmpfs ||
		setfattr -n user.bench -v x "$WORK/mnt.tmpfs" 2>/dev/null || {
		say "bench: this tmpfs has no attributes of users;" \
			"without tmpfs"
		stop_contender tmpfs
		WITHOUT+=(tmpfs)
		leave_out
	}
}

turn_meta() {
	local who=$1 name=meta.$ROW.$TURN
	store_of "$who"
	if is_cold; then
		mkdir "$OWN_STORE/$name" &&
			run_meta make "$OWN_STORE/$name" >/dev/null || return 1
		is_kept "$who" || start_contender "$who" || return 1
	else
		mkdir "$ROOT/$name" || return 1
	fi
	settle
	TOOK=$(run_meta "$OPERATION" "$ROOT/$name") || return 1
	check_meta "$who" "$name" || return 1
	! is_cold || is_kept "$who" || stop_contender "$who"
}

run_meta() {
	"$WORK/bench_meta" "$1" "$2" "$IO_OPS" ${META_LISTED:+"$META_LISTED"}
}

# After a contender's first turn, and those on new mounts: the store has the
# names that the program has seen, and the mount was asked.
check_meta() {
	local seen real
	is_cold || ((TURN <= ${#CONTENDERS[@]})) || return 0
	seen=$(find "$ROOT/$2" | wc -l)
	# fuse-overlayfs has marks of its own there.
	real=$(find "$OWN_STORE/$2" -not -name '.wh.*' | wc -l)
	[[ $seen == "$real" ]] || {
		say "bench: $seen names, but $real in the store"
		return 1
	}
	[[ -z $META_REQUEST ]] ||
		check_counted "$1" "requests.$META_REQUEST" "$IO_OPS" &&
		check_opened "$1"
}

end_meta_row() {
	local who
	! is_cold || return 0
	for who in "${CONTENDERS[@]}"; do
		check_opened "$who" || return 1
	done
}
