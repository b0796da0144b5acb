# SPDX-License-Identifier: Apache-2.0
#
# options: the command line, and what a report measures. Sourced by bench.

usage() {
	cat <<-END
	usage: scripts/bench [OPTION...]

	  --rounds N      rounds per row (default 7; the rows of single reads
	                  and writes are short and get three times as many,
	                  points of curves have at most three, five with
	                  --full)
	  --only ROW      only this row; may be given again, or ROW,ROW. Also
	                  groups of rows: io (the default), meta (single
	                  operations on names and attributes), fsync (programs
	                  that sync all the time), slow (the same on a disk
	                  whose flush takes a millisecond), staged (staged
	                  files: speed, pauses, memory), curves (how time
	                  grows with files, clients, sizes, dirty files), all
	  --others        in the rows of io and fsync fuse-overlayfs, mergerfs,
	                  tmpfs and staged files take turns as well
	  --without WHO   this contender takes no part; may be given again, or
	                  WHO,WHO
	  --full          curves to their ends: 1,000,000 files in a directory,
	                  files of 64 GiB
	  --points N      of each curve the first N points only
	  --seconds S     how long a turn of the programs that sync is to take
	                  (default 2)
	  --dir DIR       keep the store in a new directory below DIR, on the
	                  file system that is there. The default is a new ext4
	                  image in \$TMPDIR or /tmp: where many files were
	                  removed in the last minutes, ext4 makes new ones very
	                  slowly, and a run after another would show less
	                  difference than there is. Curves are on an image of
	                  their own in any case
	  --msyncfs PATH  the daemon to measure (default build/src/msyncfs)
	  --data PATH     data path of msyncfs in rows that are not about one:
	                  auto (default), kernel or daemon
	  --file-size MIB size of the file that is read and written (default 64)
	  --figures FILE  append all figures to FILE, a line each, for other
	                  programs; bench.d/figures.sh says how
	  --report[=full] a report of about ten minutes, or of everything, some
	                  hours: chooses rows and rounds, and makes the
	                  figures anew (default build/bench/figures.tsv)
	  --markdown      print a Markdown table
	  --list          print the names of the rows
	  --help

	Exit status: 0 all bars met, 3 a bar was missed, 1 a row could not be
	measured, 2 bad usage. Needs root for the kernel data path, and cc,
	getfattr, bindfs, git and tar; for the rows of others fuse-overlayfs
	and mergerfs, for those of programs eatmydata, sqlite3, PostgreSQL and
	redis.
	END
}

count_option() {
	[[ $2 =~ ^[1-9][0-9]{0,5}$ ]] || bad_usage "$1 wants a count, not '$2'"
}

# add_rows ROW-OR-GROUP...
add_rows() {
	local row
	for row in "$@"; do
		case $row in
		io) ONLY+=("${IO_ROWS[@]}") ;;
		meta) ONLY+=("${META_ROWS[@]}") ;;
		fsync) ONLY+=("${FSYNC_ROWS[@]}") ;;
		slow) ONLY+=("${FSYNC_ROWS[@]/#/slow-}") ;;
		staged) ONLY+=("${STAGED_ROWS[@]}") ;;
		curves) ONLY+=("${CURVE_ROWS[@]}") ;;
		all) ONLY+=("${ROWS[@]}") ;;
		*)
			[[ " ${ROWS[*]} " == *" $row "* ]] ||
				bad_usage "no row '$row'; --list prints them"
			ONLY+=("$row") ;;
		esac
	done
}

add_without() {
	local who known
	known="msyncfs-daemon ${OTHER_CONTENDERS[*]} tmpfs eatmydata"
	known+=" strict group relaxed nofsync staged"
	for who in "$@"; do
		[[ " $known " == *" $who "* ]] ||
			bad_usage "--without wants one of $known, not '$who'"
		WITHOUT+=("$who")
	done
}

parse_arguments() {
	local value
	local -a words
	ROUNDS= PARENT=${TMPDIR:-/tmp} IMAGE=yes
	DATA=auto FILE_MIB=64 MARKDOWN= TURN_SECONDS= OTHERS= FULL=
	FIGURES= REPORT= ROW_SECONDS= MOST_POINTS=99
	MSYNCFS=$HERE/../build/src/msyncfs
	ONLY=() WITHOUT=()
	while (($#)); do
		value=${2:-}
		case $1 in
		--rounds|--only|--dir|--msyncfs|--data|--file-size|--seconds| \
			--figures|--without|--points)
			(($# > 1)) || bad_usage "$1 wants a value"
			take_value "$1" "$value"
			shift ;;
		--others) OTHERS=yes ;;
		--full) FULL=yes ;;
		--report) REPORT=short ;;
		--report=full) REPORT=full FULL=yes ;;
		--report=*) bad_usage "--report is short, or --report=full" ;;
		--markdown) MARKDOWN=yes ;;
		--list) printf '%s\n' "${ROWS[@]}"; exit 0 ;;
		--help|-h) usage; exit 0 ;;
		*) bad_usage "unknown argument '$1'" ;;
		esac
		shift
	done
	[[ -z $REPORT ]] || plan_report
	ROUNDS=${ROUNDS:-7} TURN_SECONDS=${TURN_SECONDS:-2}
	((${#ONLY[@]})) || ONLY=("${IO_ROWS[@]}")
	order_rows
}

take_value() {
	local -a words
	case $1 in
	--rounds) count_option "$1" "$2"; ROUNDS=$2 ;;
	--points) count_option "$1" "$2"; MOST_POINTS=$2 ;;
	--only)
		IFS=, read -ra words <<<"$2"
		add_rows "${words[@]}" ;;
	--without)
		IFS=, read -ra words <<<"$2"
		add_without "${words[@]}" ;;
	--seconds)
		[[ $2 =~ ^[0-9]{1,3}(\.[0-9]{1,3})?$ && $2 =~ [1-9] ]] ||
			bad_usage "--seconds wants seconds, not '$2'"
		TURN_SECONDS=$2 ;;
	--dir) PARENT=$2 IMAGE= ;;
	--msyncfs) MSYNCFS=$2 ;;
	--data)
		[[ $2 =~ ^(auto|kernel|daemon)$ ]] || bad_usage \
			"--data is auto, kernel or daemon, not '$2'"
		DATA=$2 ;;
	--file-size) count_option "$1" "$2"; FILE_MIB=$2 ;;
	--figures)
		[[ -n $2 ]] || bad_usage "--figures wants a file"
		FIGURES=$(realpath -m "$2") ;;
	esac
}

# Rounds that a row has at the least, if it may have so many.
LEAST_ROUNDS=3

# What was given on the command line counts for more. The rows of a short
# report end after the round that takes them beyond ROW_SECONDS.
plan_report() {
	OTHERS=yes
	FIGURES=${FIGURES:-$(realpath -m "$HERE/../build/bench/figures.tsv")}
	rm -f "$FIGURES"
	if [[ $REPORT == full ]]; then
		((${#ONLY[@]})) || add_rows all
		return
	fi
	ROUNDS=${ROUNDS:-5} TURN_SECONDS=${TURN_SECONDS:-0.3}
	ROW_SECONDS=4 CLIENT_MILLISECONDS=150
	((${#ONLY[@]})) || add_rows io meta sqlite-wal sqlite-delete pgbench \
		redis slow-sqlite-wal slow-sqlite-delete slow-sqlite8-delete \
		slow-pgbench slow-redis staged curves
}

# Where many files were removed ext4 makes new ones slowly: the rows that do
# it come after those that are on the same image.
order_rows() {
	local row
	local -a first=() removing=() last=()
	for row in "${ONLY[@]}"; do
		case " ${REMOVING_ROWS[*]} $(group_of "$row") " in
		*" $row "*) removing+=("$row") ;;
		*" io "|*" meta ") first+=("$row") ;;
		*) last+=("$row") ;;
		esac
	done
	ONLY=("${first[@]}" "${removing[@]}" "${last[@]}")
}
