# SPDX-License-Identifier: Apache-2.0
#
# figures: what a run has measured, for other programs. Sourced by bench.
#
# With --figures FILE these lines are appended to FILE. Fields are separated
# by one tab each, none is empty, and numbers are decimal, without a unit. A
# line that begins with # is a comment; a new file begins with these.
#
#	machine KEY VALUE
#	row     GROUP ROW CONTENDER UNIT MEDIAN MIN MAX ROUNDS
#	ratio   GROUP ROW OURS THEIRS BAR MEDIAN MIN MAX MET
#	point   CURVE OPERATION X CONTENDER UNIT MEDIAN MIN MAX ROUNDS
#	failed  ROW
#
# machine	once per KEY and run; "date" is a run's first line, so that a
#		file of several runs can be told apart. KEY is one of
#	date		of the run's begin, YYYY-MM-DD, UTC
#	command		the command line
#	rounds		rounds per row; GROUP io has three times as many
#	seconds		what a turn of group fsync and slow was to take
#	file-size	of the files that group io reads and writes, in MiB
#	kernel cpus cpu memory	uname -r, how many, the model, MiB
#	load		load average over a minute as the run began
#	filesystem	of the store, and in brackets where it is: "(image)" or
#			"(directory)"
#	below		the file system that an image lies on
#	passthrough	yes or no: whether msyncfs has its kernel path here
#	msyncfs libfuse bindfs fuse-overlayfs mergerfs eatmydata sqlite
#	postgresql redis	versions; those not installed are left out, as
#			is what the run has no use for
#
# row		one contender's speed in a row.
#	GROUP		io, meta, fsync, slow or staged, as in bench --help
#	ROW		as in bench --list
#	CONTENDER	as at the top of contenders.sh; in group staged also
#			what was measured of it, or what it is measured by
#			(write, pause, journal, dd, pages, 20ms ...)
#	UNIT		op/s and MiB/s (more is better); us, ms, s (of one
#			operation), MiB, count (less is better)
#	MEDIAN MIN MAX	of the rounds
# ratio		two contenders compared: how many times as fast as THEIRS OURS
#		is, in each round; its median, lowest and highest.
#	BAR		what MEDIAN has to reach, or -
#	MET		yes, no, or - where there is no bar
# point		one point of a growth curve, see curves.sh
#	CURVE OPERATION	files: create lookup unlink (us)
#			clients: read write fsync stat (op/s)
#			size: read write open (us)
#			dirty: sync pause pass (us), wakes (count)
#	X		files in the directory, client processes, bytes of the
#			file, dirty files
# failed	a row or curve that could not be measured

# The common beginning of awk programs.
MEDIAN=$(<"$HERE/bench.d/median.awk")

begin_figures() {
	[[ -n $FIGURES ]] || return 0
	mkdir -p "$(dirname "$FIGURES")" && : >>"$FIGURES" ||
		die "$FIGURES can't be written"
	[[ -s $FIGURES ]] || {
		echo "# what scripts/bench has measured; the top of" \
			"scripts/bench.d/figures.sh says what it means"
		sed -n '/^#\tmachine KEY/,/^#\tfailed *ROW/p' \
			"$HERE/bench.d/figures.sh"
	} >"$FIGURES"
	describe_machine
}

figure() {
	local IFS=$'\t'
	[[ -z $FIGURES ]] || printf '%s\n' "$*" >>"$FIGURES"
}

# machine KEY VALUE...: nothing, if there is no value.
machine() {
	local key=$1 value
	shift
	value=$(tr -s '[:space:]' ' ' <<<"$*")
	value=${value% }
	[[ -z $value ]] || figure machine "$key" "$value"
}

# version_of COMMAND [ARGUMENT]: the first number with dots that it says.
version_of() {
	command -v "$1" >/dev/null || return 0
	"$1" "${2:---version}" 2>&1 </dev/null |
		grep -oE '[0-9]+(\.[0-9]+)+' | head -n 1
}

describe_machine() {
	local place=directory stats
	[[ -z $IMAGE ]] || place=image
	machine date "$(date -u +%F)"
	machine command "$COMMAND"
	machine rounds "$ROUNDS"
	machine seconds "$TURN_SECONDS"
	machine file-size "$FILE_MIB"
	machine kernel "$(uname -r)"
	machine cpus "$(nproc)"
	machine cpu "$(sed -n 's/^model name[^:]*: *//p' /proc/cpuinfo |
		head -n 1)"
	machine memory "$(awk '/^MemTotal:/ { print int($2 / 1024) }' \
		/proc/meminfo)"
	machine load "$(cut -d ' ' -f 1 /proc/loadavg)"
	machine filesystem "$FS_TYPE ($place)"
	[[ -z $IMAGE ]] ||
		machine below "$(findmnt -n -o FSTYPE --target "$WORK")"
	read_stats_of_a_mount
	stats=$(<"$WORK/stats")
	machine passthrough "$(sed -n 's/^passthrough=//p' <<<"$stats")"
	machine msyncfs "$(version_of "$MSYNCFS")"
	machine libfuse "$(sed -n 's/^libfuse=//p' <<<"$stats")"
	machine bindfs "$(version_of bindfs)"
	machine fuse-overlayfs "$(fuse-overlayfs --version 2>/dev/null |
		sed -n 's/^fuse-overlayfs: version //p')"
	machine mergerfs "$(version_of mergerfs)"
	# It doesn't tell.
	machine eatmydata "$(dpkg-query -W -f '${Version}' eatmydata \
		2>/dev/null)"
	machine sqlite "$(version_of sqlite3)"
	machine postgresql "$(version_of postgres)"
	machine redis "$(version_of redis-server)"
}

# What only a mounted msyncfs knows.
read_stats_of_a_mount() {
	local ROW_DATA=auto
	: >"$WORK/stats"
	start_contender msyncfs && all_stats msyncfs >"$WORK/stats"
	stop_contender msyncfs || die "msyncfs can't be measured"
}

# The rounds in $WORK/figures as lines "row", one for each contender.
figure_rows() {
	[[ -n $FIGURES ]] || return 0
	awk -v group="$(group_of "$ROW")" -v row="$ROW" -v unit="$UNIT" \
		-v block="${IO_BLOCK:-0}" -v ops="${IO_OPS:-1}" \
		-v names="${CONTENDERS[*]}" "$MEDIAN"'
	BEGIN { OFS = "\t" }
	{
		for (c = 1; c <= NF; c++)
			took[c, NR] = $c
	}
	END {
		split(names, name, " ")
		for (c = 1; c in name; c++) {
			for (r = 1; r <= NR; r++)
				all[r] = figure(took[c, r])
			middle = median(all, NR)
			print "row", group, row, name[c], figure_unit(),
				number(middle), number(all[1]),
				number(all[NR]), NR
		}
	}' "$WORK/figures" >>"$FIGURES"
}

# figure_ratio ROW OURS THEIRS BAR MEDIAN MIN MAX MET
figure_ratio() {
	local row=$1 met=${8,,}
	shift
	figure ratio "$(group_of "$row")" "$row" "${@:1:6}" "$met"
}
