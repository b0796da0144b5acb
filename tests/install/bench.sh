#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# scripts/bench measures what it is told to, writes figures that other programs
# can read, says what it lacks, and leaves nothing behind. The figures
# themselves are not looked at: they are the machine's.
FS=dir
DATA=auto
# shellcheck source=tests/lib/harness.sh
source "$(dirname "$0")/../lib/harness.sh"

bench=$SRCDIR/scripts/bench
work=$BASE/bench
mkdir "$work"
export TMPDIR=$work

[[ $EUID -eq 0 ]] || skip_all "the benchmark's kernel path needs root"

# measure ARGUMENT...: sets status; what it prints is in $BASE/out and err.
measure() {
	status=0
	"$bench" --msyncfs "$MSYNCFS" "$@" >"$BASE/out" 2>"$BASE/err" ||
		status=$?
	cat "$BASE/err"
}

# Tools that a run with all contenders needs.
need_tools() {
	local tool
	for tool in "$@"; do
		command -v "$tool" >/dev/null && continue
		echo "$tool is not installed"
		exit 77
	done
}

nothing_is_left() {
	local left
	left=$(find "$work" -mindepth 1)
	[[ -z $left ]] || {
		echo "left: $left"
		return 1
	}
	! grep -F "$work/" /proc/self/mountinfo
	losetup --list --noheadings --output BACK-FILE >"$BASE/loops"
	! grep -F "$work/" "$BASE/loops"
	! pgrep --full --list-full "$work/"
}

# The words of each line of the figures' file that begins so.
lines() {
	grep -P "^$1\t" "$BASE/figures.tsv"
}

figures_have_every_contender_and_comparison() {
	local who
	need_tools cc getfattr setfattr bindfs fuse-overlayfs mergerfs
	rm -f "$BASE/figures.tsv"
	measure --only meta-stat,meta-unlink --rounds 1 --dir "$work" \
		--figures "$BASE/figures.tsv"
	[[ $status -eq 0 ]]
	for who in msyncfs msyncfs-daemon store bindfs fuse-overlayfs \
		mergerfs tmpfs; do
		lines "row\tmeta\tmeta-stat\t$who\tus"
		lines "row\tmeta\tmeta-unlink\t$who\tus"
	done
	lines "ratio\tmeta\tmeta-stat\tmsyncfs\tbindfs\t-"
	for who in date command kernel cpus cpu memory filesystem msyncfs \
		libfuse passthrough bindfs fuse-overlayfs mergerfs; do
		lines "machine\t$who"
	done
	[[ $(lines machine | head -n 1) == machine$'\t'date$'\t'20??-??-?? ]]
	! lines failed
	every_line_is_as_documented
	nothing_is_left
}

every_line_is_as_documented() {
	awk -F '\t' '
		function bad(why) { print NR ": " why ": " $0; status = 1 }
		function is_number(text) { return text ~ /^[0-9]+(\.[0-9]+)?$/ }
		function check(first, last, fields,   i) {
			if (NF != fields)
				bad(NF " fields")
			for (i = first; i <= last; i++)
				if (!is_number($i))
					bad("no number")
			if ($first + 0 < $(first + 1) + 0 ||
				$first + 0 > $(first + 2) + 0)
				bad("no median")
		}
		{
			for (i = 1; i <= NF; i++)
				if ($i == "")
					bad("an empty field")
		}
		/^#/ { next }
		$1 == "machine" { if (NF != 3) bad("no key and value"); next }
		$1 == "row" { check(6, 9, 9); next }
		$1 == "ratio" {
			check(7, 9, 10)
			if ($10 !~ /^(yes|no|-)$/)
				bad("met or not")
			next
		}
		$1 == "point" {
			check(7, 10, 10)
			if (!is_number($4))
				bad("X")
			next
		}
		{ bad("what is it") }
		END { exit status }
	' "$BASE/figures.tsv"
}

curves_have_their_points() {
	local who operation
	need_tools cc getfattr setfattr mkfs.ext4
	rm -f "$BASE/figures.tsv"
	measure --only curve-size,curve-files --without bindfs --points 2 \
		--rounds 1 --figures "$BASE/figures.tsv"
	[[ $status -eq 0 ]]
	for operation in read write open; do
		for who in store msyncfs msyncfs-daemon staged; do
			lines "point\tsize\t$operation\t4096\t$who\tus"
			lines "point\tsize\t$operation\t65536\t$who\tus"
		done
	done
	for operation in create lookup unlink; do
		for who in store msyncfs; do
			lines "point\tfiles\t$operation\t1\t$who\tus"
			lines "point\tfiles\t$operation\t10\t$who\tus"
		done
	done
	! lines failed
	every_line_is_as_documented
	nothing_is_left
}

an_interrupted_run_leaves_nothing() {
	local pid
	need_tools cc getfattr mkfs.ext4
	# More rounds than there is time for.
	"$bench" --msyncfs "$MSYNCFS" --only meta-create --rounds 300 \
		--without bindfs,fuse-overlayfs,mergerfs --dir "$work" \
		>"$BASE/out" 2>"$BASE/err" &
	pid=$!
	wait_until 60 works_on_names
	kill -TERM "$pid"
	status=0
	wait "$pid" || status=$?
	cat "$BASE/err"
	[[ $status -eq 143 ]]
	nothing_is_left
}

works_on_names() {
	compgen -G "$work/*/fast/store/meta.*" >/dev/null
}

# says STATUS TEXT ARGUMENT...
says() {
	local expected=$1 text=$2
	shift 2
	measure "$@"
	[[ $status -eq $expected ]]
	grep -qF -- "$text" "$BASE/err"
	nothing_is_left
}

bad_arguments_are_named() {
	says 2 "no row 'meta-sing'" --only meta-sing
	says 2 "not 'store'" --without store
	says 2 "--points wants a count, not '0'" --points 0
	says 2 "--report is short, or --report=full" --report=half
	says 2 "--figures wants a value" --figures
	says 1 "is not a directory" --only meta-stat --dir "$BASE/none" \
		--without bindfs,fuse-overlayfs,mergerfs
}

# Every program but one.
what_is_missing_is_named_with_its_package() {
	local directory
	mkdir "$BASE/tools"
	for directory in /usr/local/bin /usr/bin /usr/sbin /bin /sbin; do
		find "$directory" -maxdepth 1 -not -type d \
			-not -name mergerfs -not -name getfattr -print0 |
			xargs -0 -r ln -sf -t "$BASE/tools" --
	done
	PATH=$BASE/tools says 1 "mergerfs is missing (package mergerfs)" \
		--only meta-stat
	grep -qF "getfattr is missing (package attr)" "$BASE/err"
}

t figures_have_every_contender_and_comparison \
	figures_have_every_contender_and_comparison
t curves_have_their_points curves_have_their_points
t an_interrupted_run_leaves_nothing an_interrupted_run_leaves_nothing
t bad_arguments_are_named bad_arguments_are_named
t what_is_missing_is_named_with_its_package \
	what_is_missing_is_named_with_its_package
done_testing
