# SPDX-License-Identifier: Apache-2.0
#
# curves: how what an operation takes grows with what there is. Sourced by
# bench, before rows.sh.
#
#	curve-clients	1 to 16 processes at work at the same time, each on its
#			own file: pages read, pages written, a page written and
#			synced, attributes asked for (operations per second)
#	curve-size	files of 4 KiB to 4 GiB, with --full 64 GiB, sparse:
#			a page read, written, the file opened with its first
#			read and closed (us)
#	curve-dirty	1 to 10,000 dirty files: what it takes to make them
#			durable (sync), and in a commit the pause of writers;
#			of a scheduler's pass over them the daemon's processor
#			time (pass, us of a file) and its wake-ups (wakes)
#	curve-files	1 to 100,000 files in a directory, with --full
#			1,000,000: a name made, looked up, removed (us)
#
# Contenders take turns at each point, as in rows. All curves are on an image
# of their own, which has inodes enough, with a disk's blocks where they are
# used only. A contender named staged has staged files, group has
# sync=fsync=group:5ms, msyncfs and msyncfs-daemon are the data paths.

CURVE_ROWS=(
	curve-clients
	curve-size
	curve-dirty
	curve-files
)

GROWTH_MIB=8192
CLIENT_PAGES=4096
CLIENT_MILLISECONDS=300
SIZE_OPS=1024
SIZE_OPENS=64
# Names in a turn; fewer than a directory has are too few to time, so that
# there are several directories then.
NAMES_IN_A_TURN=500

is_curve() {
	[[ " ${CURVE_ROWS[*]} " == *" $1 "* ]]
}

measures_curves() {
	measures 'curve-*'
}

check_curve_tools() {
	((EUID == 0)) || die "curves need root"
	need_tools setfattr mkfs.ext4
}

make_growth_disk() {
	local inodes=500000
	[[ -z $FULL ]] || inodes=1800000
	[[ ! -d $GROWTH_STORE ]] || return 0
	mkdir "$GROWTH_DISK" &&
		mount_image "$WORK/growth.image" "$GROWTH_MIB" \
			"$GROWTH_DISK" -N "$inodes" && mkdir "$GROWTH_STORE"
}

measure_curve() {
	local most=3 status=0
	ROW=$1 CURVE=${1#curve-} ROW_DATA=$DATA TURN=0
	IO_ACTION= COMPARISONS=() STORE=$GROWTH_STORE
	[[ -z $FULL ]] || most=5
	CURVE_ROUNDS=$((ROUNDS < most ? ROUNDS : most))
	# No commit in the middle of a turn.
	STAGED_OPTIONS=sync=fsync=defer
	: >"$WORK/points"
	make_growth_disk && "measure_$CURVE" || status=1
	EXTRA_OPTIONS=
	STAGED_OPTIONS=$STAGED_DEFAULT
	STORE=$FAST_STORE
	report_curve || status=1
	return "$status"
}

# take_part WHO...: these are the contenders, but for those left out.
take_part() {
	CONTENDERS=("$@")
	leave_out
}

# Sets POINTS, of these the first --points.
set_points() {
	POINTS=("${@:1:MOST_POINTS}")
}

start_all() {
	local who
	for who in "${CONTENDERS[@]}"; do
		start_contender "$who" || return 1
	done
}

stop_all() {
	local who
	for who in "${CONTENDERS[@]}"; do
		stop_contender "$who" || return 1
	done
}

# Those who share a store share its files: made by one of them, $2 ...
# being a command that is given the directory as its last argument.
once_for_each_store() {
	local name=$1 who
	shift
	for who in "${CONTENDERS[@]}"; do
		store_of "$who"
		[[ -e $OWN_STORE/$name ]] || "$@" "$OWN_STORE/$name" || return 1
	done
	sync -f "$STORE"
}

# take_turns ROUNDS FUNCTION ARGUMENT...: calls FUNCTION WHO ROUND ARGUMENT...
# for each contender, in turns; ROOT and OWN_STORE are set.
take_turns() {
	local rounds=$1 call=$2 round i order n=${#CONTENDERS[@]}
	shift 2
	for ((round = 0; round < rounds; round++)); do
		order=$(seq 0 $((n - 1)))
		((round % 2)) && order=$(seq $((n - 1)) -1 0)
		for i in $order; do
			root_of "${CONTENDERS[i]}"
			store_of "${CONTENDERS[i]}"
			"$call" "${CONTENDERS[i]}" "$round" "$@" || {
				say "bench: $ROW: round $((round + 1)) failed" \
					"for ${CONTENDERS[i]}"
				return 1
			}
		done
	done
}

# point OPERATION X WHO UNIT VALUE: one round's.
point() {
	echo "$*" >>"$WORK/points"
}

# What is staged becomes durable now, and not in the middle of a turn.
settle_staged() {
	[[ $1 != staged ]] ||
		setfattr -n user.msyncfs.sync.now -v wait "$ROOT" || return 1
	settle
}

# Is there a cache of FUSE's that has to be emptied for a read to be one?
cold_or_kept() {
	if ! is_msyncfs "$1"; then
		echo kept
	elif [[ $1 == *-daemon || $1 == staged ||
		$(stat_of "$1" passthrough) != yes ]]; then
		echo cold
	else
		echo kept
	fi
}

# --- clients ---------------------------------------------------------------

measure_clients() {
	local operation n cold who
	declare -A COLD=()
	compile bench_clients || return 1
	set_points 1 2 4 8 16
	for operation in read write stat fsync; do
		take_part store msyncfs msyncfs-daemon staged
		[[ $operation != fsync ]] ||
			take_part store msyncfs msyncfs-daemon group staged
		start_all && once_for_each_store clients make_client_files ||
			return 1
		for who in "${CONTENDERS[@]}"; do
			COLD[$who]=$(cold_or_kept "$who")
		done
		for n in "${POINTS[@]}"; do
			take_turns "$CURVE_ROUNDS" turn_clients "$operation" \
				"$n" || return 1
		done
		for who in "${CONTENDERS[@]}"; do
			check_clients "$who" "$operation" || return 1
		done
		stop_all || return 1
	done
}

make_client_files() {
	mkdir "$1" && "$WORK/bench_clients" make "$1" 16 "$CLIENT_PAGES"
}

turn_clients() {
	local who=$1 operation=$3 n=$4 speed
	settle_staged "$who" || return 1
	speed=$("$WORK/bench_clients" "$operation" "$ROOT/clients" \
		"$OWN_STORE/clients" "$n" "$CLIENT_MILLISECONDS" \
		"${COLD[$who]}") || return 1
	point "$operation" "$n" "$who" op/s "$speed"
}

check_clients() {
	local least=0 n
	# All pages are read, and written, by each of the clients.
	for n in "${POINTS[@]}"; do
		((least += CURVE_ROUNDS * n * CLIENT_PAGES))
	done
	check_opened "$1" || return 1
	case $2 in
	read|write) check_requests "$1" "${2^^}" "$least" ;;
	stat) check_counted "$1" requests.GETATTR "$CURVE_ROUNDS" ;;
	fsync)
		case $1 in
		group) check_counted "$1" fsync.grouped "$CURVE_ROUNDS" ;;
		staged) check_counted "$1" fsync.deferred "$CURVE_ROUNDS" ;;
		*) check_counted "$1" fsync.honored "$CURVE_ROUNDS" ;;
		esac
	esac
}

# check_requests WHO KIND LEAST: all of them on the daemon path, none on the
# kernel's.
check_requests() {
	local count
	is_msyncfs "$1" || return 0
	[[ ${COLD[$1]} == kept ]] ||
		{ check_counted "$1" "requests.$2" "$3"; return; }
	count=$(stat_of "$1" "requests.$2")
	[[ $count != 0 ]] || return 0
	say "bench: $1 has counted ${count:-no} $2 on the kernel path"
	return 1
}

# --- sizes -----------------------------------------------------------------

measure_size() {
	local bytes who operation
	local -a sizes=(4096 $((64 << 10)) $((1 << 20)) $((16 << 20))
		$((256 << 20)) $((4 << 30)))
	declare -A COLD=()
	[[ -z $FULL ]] || sizes+=($((64 << 30)))
	set_points "${sizes[@]}"
	compile bench_size || return 1
	take_part store msyncfs msyncfs-daemon staged
	start_all || return 1
	for who in "${CONTENDERS[@]}"; do
		COLD[$who]=$(cold_or_kept "$who")
	done
	for bytes in "${POINTS[@]}"; do
		once_for_each_store "size.$bytes" make_size_file \
			"$bytes" || return 1
		for operation in read write open; do
			take_turns "$CURVE_ROUNDS" turn_size "$operation" \
				"$bytes" || return 1
		done
	done
	for who in "${CONTENDERS[@]}"; do
		check_size "$who" || return 1
	done
	stop_all
}

make_size_file() {
	"$WORK/bench_size" make "$2" "$1"
}

turn_size() {
	local who=$1 operation=$3 bytes=$4 ops=$SIZE_OPS took
	[[ $operation != open ]] || ops=$SIZE_OPENS
	settle_staged "$who" || return 1
	took=$("$WORK/bench_size" "$operation" "$ROOT/size.$bytes" \
		"$OWN_STORE/size.$bytes" "$ops" "${COLD[$who]}") || return 1
	point "$operation" "$bytes" "$who" us \
		"$(each_microseconds "$took" "$ops")"
}

each_microseconds() {
	awk -v took="$1" -v ops="$2" \
		'BEGIN { printf "%.6f\n", took / ops * 1000000 }'
}

# Each read is a request on the daemon path, but those of staged pages, too.
check_size() {
	local least=$((CURVE_ROUNDS * ${#POINTS[@]} * SIZE_OPS))
	check_opened "$1" && check_requests "$1" READ "$least" &&
		check_requests "$1" WRITE "$least"
}

# --- dirty files -----------------------------------------------------------

measure_dirty() {
	local n who counter
	compile bench_names || return 1
	set_points 1 10 100 1000 10000
	EXTRA_OPTIONS=sync=fsync=defer
	# All of the files in one commit: it may have a third of the journal,
	# and an eighth of the descriptors for files.
	STAGED_OPTIONS=sync=fsync=defer,journal-size=256M
	ulimit -n 131072 2>/dev/null || ulimit -S -n "$(ulimit -H -n)"
	take_part store msyncfs msyncfs-daemon staged
	start_all || return 1
	for n in "${POINTS[@]}"; do
		once_for_each_store "dirty.$n" make_dirty "$n" &&
			take_turns "$CURVE_ROUNDS" turn_sync "$n" || return 1
	done
	for who in "${CONTENDERS[@]}"; do
		counter=sync.explicit
		[[ $who != staged ]] || counter=commit.by_request
		check_counted "$who" "$counter" "$CURVE_ROUNDS" ||
			return 1
	done
	stop_all || return 1
	take_part msyncfs msyncfs-daemon
	for n in "${POINTS[@]}"; do
		take_turns 1 turn_pass "$n" || return 1
	done
}

# With blocks on the disk: later only pages are dirty.
make_dirty() {
	"$WORK/bench_names" make "$2" 1 "$1" &&
		"$WORK/bench_names" touch "$2" "$1"
}

turn_sync() {
	local who=$1 n=$3 how=xattr took
	[[ $who != store ]] || how=syncfs
	if [[ $who == staged ]] && ((n > $(ulimit -n) / 8)); then
		(($2)) || say "bench: staged commits before $n files are dirty, as" \
			"there may be $(ulimit -n) open ones only"
		return 0
	fi
	settle_staged "$who" &&
		"$WORK/bench_names" touch "$ROOT/dirty.$n" "$n" || return 1
	[[ $who != staged ]] || check_counted staged stage.files "$n" ||
		return 1
	took=$("$WORK/bench_names" sync "$ROOT" "$how") || return 1
	point sync "$n" "$who" us "$(each_microseconds "$took" "$n")"
	[[ $who != staged ]] || point pause "$n" "$who" us \
		"$(each_microseconds "$(stat_of staged commit.pause)e-9" 1)"
}

# What the files cost from the moment on that they are written until the policy
# has synced all of them. The period begins with the first one and has to be
# longer than writing them takes, or a part is synced meanwhile: the last
# point's is. A daemon that is asked for its statistics uses time as well, so
# that it is asked only when it should be done.
turn_pass() {
	local who=$1 n=$3 every=2 before after wakes
	((n < 10000)) || every=5
	EXTRA_OPTIONS=sync=fsync=defer+every=${every}s
	start_contender "$who" || return 1
	wakes=$(stat_of "$who" scheduler.wakes)
	"$WORK/bench_names" touch "$ROOT/dirty.$n" "$n" &&
		before=$("$WORK/bench_names" cpu "${DAEMON[$who]}") || return 1
	sleep "$every.5"
	after=$("$WORK/bench_names" cpu "${DAEMON[$who]}") || return 1
	if ! is_through "$who"; then
		await_scheduler "$who" &&
			after=$("$WORK/bench_names" cpu "${DAEMON[$who]}") ||
			return 1
	fi
	wakes=$(($(stat_of "$who" scheduler.wakes) - wakes))
	check_counted "$who" sync.scheduled 1 || return 1
	point pass "$n" "$who" us "$(awk -v before="$before" -v after="$after" \
		-v n="$n" 'BEGIN { print (after - before) / n * 1000000 }')"
	point wakes "$n" "$who" count "$wakes"
	stop_contender "$who"
}

# Has its scheduler nothing to do, now and later?
is_through() {
	[[ $(all_stats "$1" | sed -nE \
		's/^scheduler\.(waiting|running)=//p' | tr -d '\n') == 00 ]]
}

await_scheduler() {
	local tries
	for ((tries = 0; tries < 120; tries++)); do
		! is_through "$1" || return 0
		sleep 0.5
	done
	say "bench: $1 is not done with its syncs after a minute"
	return 1
}

# --- files -----------------------------------------------------------------

# Names are made at all points first, and removed last: see settle.
measure_files() {
	local n operation
	local -a files=(1 10 100 1000 10000 100000)
	[[ -z $FULL ]] || files+=(1000000)
	set_points "${files[@]}"
	compile bench_names || return 1
	take_part store msyncfs bindfs
	for operation in create lookup unlink; do
		start_all || return 1
		for n in "${POINTS[@]}"; do
			plan_files "$n"
			[[ $operation != create ]] ||
				make_directories "$n" || return 1
			take_turns "$CURVE_ROUNDS" turn_files "$operation" \
				"$n" || return 1
		done
		stop_all || return 1
	done
}

# Sets EACH and DIRECTORIES. A directory doesn't grow by more than a tenth.
plan_files() {
	EACH=$(($1 / 10))
	((EACH > 0)) || EACH=1
	((EACH <= NAMES_IN_A_TURN)) || EACH=$NAMES_IN_A_TURN
	DIRECTORIES=$(((NAMES_IN_A_TURN + EACH - 1) / EACH))
}

# directories_of WHO N: where they are below its root. Of a large one there is
# one for all.
directories_of() {
	if (($2 < 100000)); then
		echo "files.$2.$1"
	else
		echo "files.$2"
	fi
}

# In the store; the mounts haven't seen these names.
make_directories() {
	local who top
	for who in "${CONTENDERS[@]}"; do
		top=$STORE/$(directories_of "$who" "$1")
		[[ -e $top ]] || "$WORK/bench_names" make "$top" \
			"$DIRECTORIES" "$1" || return 1
	done
}

turn_files() {
	local who=$1 operation=$3 n=$4 i turn took ops request=${3^^}
	ops=$((EACH * DIRECTORIES))
	# No two turns' names are the same.
	for ((i = 0; i < ${#CONTENDERS[@]}; i++)); do
		[[ ${CONTENDERS[i]} != "$who" ]] ||
			turn=$(($2 * ${#CONTENDERS[@]} + i))
	done
	if [[ $operation == lookup ]]; then
		stop_contender "$who" && start_contender "$who" || return 1
	fi
	settle
	took=$("$WORK/bench_names" "$operation" \
		"$ROOT/$(directories_of "$who" "$n")" "$DIRECTORIES" "$n" \
		"$EACH" "$turn") || return 1
	check_counted "$who" "requests.$request" "$ops" || return 1
	point "$operation" "$n" "$who" us "$(each_microseconds "$took" "$ops")"
}

# --- the report ------------------------------------------------------------

# Medians as a table for each operation, and all of it into the figures.
report_curve() {
	awk -v curve="$CURVE" -v markdown="$MARKDOWN" \
		-v figures="${FIGURES:-/dev/null}" "$MEDIAN"'
	function line(fields, n,   i, text) {
		for (i = 1; i <= n; i++)
			text = text sprintf(form(i), fields[i])
		print text (markdown ? "|" : "")
	}
	function form(column) {
		if (markdown)
			return "| %s "
		return (column < 3) ? "%-14s " : "%14s "
	}
	function key(o, x, w) { return o SUBSEP x SUBSEP w }
	{
		if (!(($1, $3) in known)) {
			known[$1, $3] = 1
			who[$1, ++contenders[$1]] = $3
		}
		if (!(($1, $2) in known_x)) {
			known_x[$1, $2] = 1
			xs[$1, ++points[$1]] = $2
		}
		if (!($1 in unit_of))
			operation[++operations] = $1
		unit_of[$1] = $4
		value[$1, $2, $3, ++rounds[key($1, $2, $3)]] = $5
	}
	function report(o,   i, j, r, n, k, cell, head, all, middle) {
		head[1] = "curve-" curve
		head[2] = o " (" unit_of[o] ")"
		for (j = 1; j <= contenders[o]; j++)
			head[j + 2] = who[o, j]
		line(head, j + 1)
		if (markdown) {
			for (k = 1; k <= j + 1; k++)
				printf "|---"
			print "|"
		}
		for (i = 1; i <= points[o]; i++) {
			cell[1] = ""
			cell[2] = xs[o, i]
			for (j = 1; j <= contenders[o]; j++) {
				n = rounds[key(o, xs[o, i], who[o, j])]
				for (r = 1; r <= n; r++)
					all[r] = value[o, xs[o, i],
						who[o, j], r]
				cell[j + 2] = "-"
				if (!n)
					continue
				middle = number(median(all, n))
				cell[j + 2] = middle
				printf "point\t%s\t%s\t%s\t%s\t%s\t" \
					"%s\t%s\t%s\t%d\n", curve, o,
					xs[o, i], who[o, j], unit_of[o],
					middle, number(all[1]),
					number(all[n]), n >>figures
			}
			line(cell, j + 1)
		}
	}
	END {
		for (o = 1; o <= operations; o++)
			report(operation[o])
	}' "$WORK/points"
}
