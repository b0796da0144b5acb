# SPDX-License-Identifier: Apache-2.0
#
# rows: what is measured. Sourced by bench.
#
# A row of kind io is a loop of single reads or writes, timed by bench_io; a
# row of kind tree is a command over many small files; one of kind fsync is a
# program that syncs all the time, see fsync.sh; those of kind staged are in
# staged.sh, those of kind meta in meta.sh. Growth curves are no rows, see
# curves.sh. describe_row sets
#
#	KIND		io, tree, fsync, staged or meta
#	UNIT		what the figures are: rate (operations or MiB per
#			second), tree (seconds), time (milliseconds), each
#			(microseconds for an operation), bytes or count
#	CONTENDERS	who takes turns
#	ROW_DATA	data path of msyncfs
#	COMPARISONS	for each line of the report "OURS THEIRS BAR", two
#			contenders and the least median ratio of their times,
#			THEIRS / OURS, or "-"
#	IO_ACTION IO_BLOCK IO_OPS IO_ORDER	for kind io, as bench_io's
#
# and between begin_row and end_row each call of `turn WHO` sets TOOK, the
# seconds that it took.

IO_ROWS=(
	kernel-write-4k-seq
	kernel-write-4k-rand
	kernel-read-4k-seq
	kernel-read-4k-rand
	kernel-write-1m
	kernel-read-1m
	daemon-write-4k-rand
	daemon-read-4k-seq
	daemon-read-4k-rand
	untar
	git-clone
	read-tree
	rm-tree
)
ROWS=("${IO_ROWS[@]}" "${META_ROWS[@]}" "${FSYNC_ROWS[@]}"
	"${FSYNC_ROWS[@]/#/slow-}" "${STAGED_ROWS[@]}" "${CURVE_ROWS[@]}")
# Those that remove many files; see settle.
REMOVING_ROWS=(rm-tree meta-unlink meta-rmdir)

TREE_DIRECTORIES=40
TREE_FILES_EACH=100
TREE_FILE_BYTES=6144

# The group that a row belongs to; for curves, too.
group_of() {
	if is_meta_row "$1"; then
		echo meta
	elif is_staged_row "$1"; then
		echo staged
	elif is_fsync_row "$1"; then
		[[ $1 == slow-* ]] && echo slow || echo fsync
	elif is_curve "$1"; then
		echo curves
	else
		echo io
	fi
}

describe_row() {
	ROW=$1
	TURN=0
	UNIT=rate
	if is_meta_row "$1"; then
		describe_meta_row "$1"
	elif is_staged_row "$1"; then
		describe_staged_row "$1"
	elif is_fsync_row "$1"; then
		describe_fsync_row "$1"
	else
		describe_io_row "$1"
	fi
	leave_out
}

# Contenders that --without names, and the comparisons with them.
leave_out() {
	local word
	local -a kept=() compared=()
	for word in "${CONTENDERS[@]}"; do
		is_left_out "$word" || kept+=("$word")
	done
	for word in "${COMPARISONS[@]}"; do
		is_left_out "${word%% *}" ||
			is_left_out "$(cut -d ' ' -f 2 <<<"$word")" ||
			compared+=("$word")
	done
	CONTENDERS=("${kept[@]}") COMPARISONS=("${compared[@]}")
}

is_left_out() {
	[[ " ${WITHOUT[*]} " == *" $1 "* ]]
}

describe_io_row() {
	local bar=0.95
	IO_ACTION= IO_BLOCK= IO_OPS= IO_ORDER=seq
	KIND=io ROW_DATA=kernel STORE=$FAST_STORE
	CONTENDERS=(msyncfs store)
	case $1 in
	*-write-4k-*) IO_BLOCK=4096 IO_OPS=131072 ;;
	*-read-4k-*) IO_BLOCK=4096 IO_OPS=262144 ;;
	*-1m) IO_BLOCK=1048576 IO_OPS=2048 ;;
	esac
	case $1 in *-write-*) IO_ACTION=write ;; *) IO_ACTION=read ;; esac
	case $1 in *-rand) IO_ORDER=rand ;; esac
	case $1 in
	daemon-*)
		ROW_DATA=daemon
		CONTENDERS=(msyncfs bindfs store) ;;
	esac
	case $1 in
	daemon-write-*) bar=3 IO_OPS=32768 ;;
	# Each page once: more would find it in FUSE's page cache.
	daemon-read-*) bar=1.2 IO_ACTION=coldread IO_OPS=$((FILE_MIB * 256)) ;;
	untar) bar=2.5 ;;
	rm-tree|read-tree|git-clone) bar=1.5 ;;
	esac
	case $1 in
	untar|rm-tree|read-tree|git-clone)
		KIND=tree UNIT=tree ROW_DATA=$DATA
		CONTENDERS=(msyncfs bindfs store) ;;
	esac
	COMPARISONS=("msyncfs ${CONTENDERS[1]} $bar")
	[[ -z $OTHERS ]] || add_others
}

# They take turns as well, and have no bar.
add_others() {
	local who
	local -a others=(fuse-overlayfs mergerfs tmpfs)
	case $KIND-$ROW_DATA in
	io-kernel) others+=(bindfs) ;;
	tree-daemon) ;;
	tree-*) others+=(msyncfs-daemon) ;;
	esac
	for who in "${others[@]}"; do
		CONTENDERS+=("$who")
		COMPARISONS+=("msyncfs $who -")
	done
}

begin_row() {
	local who
	[[ $KIND != fsync ]] || { begin_fsync_row; return; }
	[[ $KIND != staged ]] || { begin_staged_row; return; }
	[[ $KIND != meta ]] || { begin_meta_row; return; }
	case $ROW in
	untar|rm-tree|read-tree) make_archive || return 1 ;;
	git-clone) make_repository || return 1 ;;
	esac
	for who in "${CONTENDERS[@]}"; do
		# Some look into the store once only, when they are mounted.
		[[ $KIND != io || $who == tmpfs ]] || make_data "$who" ||
			return 1
		start_contender "$who" || return 1
		case $KIND-$who-$ROW in
		io-tmpfs-*) make_data "$who" || return 1 ;;
		*-read-tree) make_read_tree "$who" || return 1 ;;
		*-rm-tree) make_trees "$who" || return 1 ;;
		esac
	done
}

# In the store itself, once, and all of it in the page cache.
make_read_tree() {
	store_of "$1"
	# It is mounted anew for each turn.
	is_kept "$1" || stop_contender "$1" || return 1
	[[ ! -e $OWN_STORE/read ]] || return 0
	mkdir "$OWN_STORE/read" &&
		tar -C "$OWN_STORE/read" -xf "$WORK/tree.tar" &&
		sync -f "$OWN_STORE" && read_tree "$OWN_STORE/read"
}

# Is there no FUSE to forget what it knows?
is_kept() {
	[[ $1 == store || $1 == tmpfs ]]
}

make_data() {
	file_of "$1"
	store_of "$1"
	mkdir -p "$OWN_STORE" || return 1
	[[ -e $OWN_STORE/$FILE ]] || "$WORK/bench_io" make \
		"$OWN_STORE/$FILE" $((FILE_MIB << 20))
}

# Trees to be removed, made through the mount that they are removed from.
make_trees() {
	local round
	root_of "$1"
	for ((round = 0; round < ROW_ROUNDS; round++)); do
		mkdir -p "$ROOT/rm.$1.$round" &&
			tar -C "$ROOT/rm.$1.$round" -xf "$WORK/tree.tar" ||
			return 1
	done
}

end_row() {
	local who
	case $KIND in
	io) check_data_path || return 1 ;;
	fsync) end_fsync_row || return 1 ;;
	staged) end_staged_row; return ;;
	meta) end_meta_row || return 1 ;;
	esac
	for who in "${CONTENDERS[@]}"; do
		stop_contender "$who" || return 1
	done
}

# On the kernel path msyncfs and the store work on the very same file, so that
# its blocks and its pages are the same. Two FUSE mounts don't share a file: the
# one's cache would not know of the other's writes.
file_of() {
	FILE=data.$1
	[[ $ROW_DATA != kernel || ! $1 =~ ^(msyncfs|store)$ ]] || FILE=data
}

turn() {
	local who=$1
	root_of "$who"
	((++TURN))
	[[ $KIND != fsync ]] || { turn_fsync "$who"; return; }
	[[ $KIND != staged ]] || { turn_staged "$who"; return; }
	[[ $KIND != meta ]] || { turn_meta "$who"; return; }
	case $ROW in
	untar) turn_untar ;;
	rm-tree) turn_rm "$who" ;;
	read-tree) turn_read "$who" ;;
	git-clone) turn_clone ;;
	*) turn_io "$who" ;;
	esac
}

turn_io() {
	local action=$IO_ACTION part=1
	[[ $action != coldread ]] || ! is_kept "$1" || action=read
	# Who has to be asked for each write takes ten times as long as the
	# store: an eighth of the work tells as much.
	[[ $ROW_DATA-$action != kernel-write ||
		" ${OTHER_CONTENDERS[*]} " != *" $1 "* ]] || part=8
	file_of "$1"
	store_of "$1"
	TOOK=$("$WORK/bench_io" "$action" "$ROOT/$FILE" "$OWN_STORE/$FILE" \
		"$IO_BLOCK" $((IO_OPS / part)) "$IO_ORDER") &&
		TOOK=$(awk -v took="$TOOK" -v part="$part" \
			'BEGIN { printf "%.9f", took * part }')
}

timed() {
	local start=${EPOCHREALTIME/./} status
	"$@"
	status=$?
	TOOK=$((${EPOCHREALTIME/./} - start))
	TOOK=$(printf '%d.%06d' $((TOOK / 1000000)) $((TOOK % 1000000)))
	return $status
}

# What earlier turns left to be written out must not be written during a
# later one's time. Nor is anything removed before the last row that makes
# files has run: for some minutes ext4 steps over the inodes of removed files
# one by one (recently_deleted() in its ialloc.c), and files then take twenty
# times as long to make, whoever makes them.
settle() { sync -f "$STORE"; }

turn_untar() {
	local dir=$ROOT/untar.$TURN
	mkdir "$dir" && settle &&
		timed tar -C "$dir" -xf "$WORK/tree.tar"
}

turn_rm() {
	settle && timed rm -rf "$ROOT/rm.$1.$(((TURN - 1) / ${#CONTENDERS[@]}))"
}

read_tree() {
	find "$1" -type f -print0 | xargs -0 cat >/dev/null
}

# A new mount each time: nothing is known to FUSE yet, all of it to the store.
turn_read() {
	is_kept "$1" || start_contender "$1" || return 1
	timed read_tree "$ROOT/read" && { is_kept "$1" || stop_contender "$1"; }
}

turn_clone() {
	local dir=$ROOT/clone.$TURN
	settle && timed git clone -q "$WORK/repository" "$dir"
}

# Text of a given seed and size, as like a source file as need be.
write_files() {
	awk -v top="$1" -v dirs="$2" -v each="$3" -v bytes="$4" -v seed="$5" '
	function text(size,   s, word) {
		s = ""
		while (length(s) < size) {
			word = int(rand() * 1000000)
			s = s "value_" word " = " (word % 977) ";\n"
		}
		return substr(s, 1, size)
	}
	BEGIN {
		srand(seed)
		for (d = 0; d < dirs; d++)
			for (f = 0; f < each; f++) {
				file = top "/dir" d "/file" f ".c"
				printf "%s", text(bytes) > file
				close(file)
			}
	}'
}

make_archive() {
	local top=$WORK/tree d
	[[ -e $WORK/tree.tar ]] && return 0
	for ((d = 0; d < TREE_DIRECTORIES; d++)); do
		mkdir -p "$top/dir$d" || return 1
	done
	write_files "$top" $TREE_DIRECTORIES $TREE_FILES_EACH \
		$TREE_FILE_BYTES 1 &&
		tar -C "$top" -cf "$WORK/tree.tar" . && rm -rf "$top"
}

# A repository with some history and 2,000 files, packed as a served one is.
make_repository() {
	local repo=$WORK/repository d i
	export GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null
	export GIT_AUTHOR_NAME=bench GIT_AUTHOR_EMAIL=bench@localhost
	export GIT_COMMITTER_NAME=bench GIT_COMMITTER_EMAIL=bench@localhost
	[[ -d $repo ]] && return 0
	git -c init.defaultBranch=main init -q "$repo" || return 1
	for ((d = 0; d < 40; d++)); do
		mkdir "$repo/dir$d" || return 1
	done
	for ((i = 1; i <= 10; i++)); do
		# Every commit after the first rewrites a few directories.
		write_files "$repo" $((i == 1 ? 40 : 4)) 50 4000 "$i" &&
			git -C "$repo" add -A &&
			git -C "$repo" commit -q -m "change $i" || return 1
	done
	git -C "$repo" gc -q
}
