# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# Programs that work on a directory all at one time, and the check of what is
# found of their work after a power cut or a kill. Needs harness.sh.
#
#	work_start DIRECTORY SEED [WORDS...]	in the background; WORDS are
#		put before each program (eatmydata). Claims of what is durable
#		go to the file WORK_MARKS, if that is set, and are made by a
#		commit of the mount WORK_ROOT (work.h).
#	work_options SEED	options of a mount for that
#	work_fsync OPTIONS	what those make of fsync, for WORK_FSYNC
#	work_flush DIRECTORY SEED [FILE]	the kernel's writeback at work
#		on the store DIRECTORY, as long as the programs (flusher.c)
#	work_goes_on	fails if a program has ended already
#	work_end [mercy]	ends them; fails if one had failed, unless there
#		is mercy: the mount has died under them
#	work_check DIRECTORY SEED MARKS	what is wrong is printed; each kind of
#		work that something is wrong with is a line in work_wrong

work_dir=$SRCDIR/tests/powercut/work
work_wrong=$BASE/work.wrong
export WORK_ROOT WORK_MARKS WORK_FSYNC WORK_STOP HELPERS
WORK_ROOT=
WORK_MARKS=
WORK_FSYNC=
WORK_STOP=
work_rate=1500 # stamps' operations per second
sqlite_modes=(wal delete truncate)
git_kinds=(plain synced)

# Small journals, so that they go round, and large ones; all that can be the
# cause of a commit.
work_options() {
	local sync=(fsync=defer+every=50ms fsync=defer+every=100ms
		fsync=defer+every=200ms fsync=honor+every=100ms
		fsync=group:5ms+every=100ms
		fsync=defer+dirty=256K+close+every=200ms)
	local journal=(512K 4M 32M) limit=(1M 8M 256M) options
	options=map=staged,sync=${sync[$1 % 6]}
	options+=,journal-size=${journal[$1 / 6 % 3]}
	echo "$options,stage-limit=${limit[$1 / 18 % 3]}"
}

work_fsync() {
	[[ $1 == *fsync=defer* ]] || echo honoured
}

# work_run NAME COMMAND...: in the background, its output in $work_notes.
work_run() {
	local name=$1
	shift
	"$@" >"$work_notes/$name.said" 2>&1 &
	work_pids+=($!)
	work_names+=("$name")
}

work_start() {
	local dir=$1 seed=$2 mode kind
	shift 2
	work_notes=$(mktemp -d "$BASE/work.XXXXXX")
	work_pids=()
	work_names=()
	WORK_STOP=$work_notes/stop
	mkdir -p "$dir/stamps" "$dir/rewrite"
	work_run stamps "$@" "$(helper stamps)" write "$dir/stamps" "$seed" \
		"$work_rate"
	work_run rewrite "$@" "$(helper rewrite)" write "$dir/rewrite" \
		"$seed"
	for mode in "${sqlite_modes[@]}"; do
		work_run "sqlite.$mode" "$@" bash "$work_dir/sqlite.sh" \
			write "$dir/sqlite" "$mode"
	done
	for kind in "${git_kinds[@]}"; do
		work_run "git.$kind" "$@" bash "$work_dir/git.sh" write \
			"$dir/git" "$kind"
	done
}

work_flush() {
	work_run flusher "$(helper flusher)" "$@"
}

work_goes_on() {
	local i
	for i in "${!work_pids[@]}"; do
		kill -0 "${work_pids[i]}" 2>/dev/null && continue
		echo "${work_names[i]} has ended by itself:"
		sed 's/^/  /' "$work_notes/${work_names[i]}.said"
		return 1
	done
}

work_end() {
	local i status bad=0
	touch "$WORK_STOP"
	for i in "${!work_pids[@]}"; do
		status=0
		wait "${work_pids[i]}" || status=$?
		[[ $status -ne 0 && ${1:-} != mercy ]] || continue
		echo "${work_names[i]} ended with status $status:"
		sed 's/^/  /' "$work_notes/${work_names[i]}.said"
		bad=1
	done
	return "$bad"
}

# work_judge KIND COMMAND...
work_judge() {
	local kind=$1
	shift
	"$@" >"$BASE/work.found" 2>&1 && return
	echo "$kind:"
	head -n 40 "$BASE/work.found" | sed 's/^/  /'
	echo "$kind" >>"$work_wrong"
}

# latest KIND MARKS: the number that was claimed last, or 0.
work_latest() {
	local number
	number=$(sed -n "s/^durable $1 //p" "$2" | tail -n 1)
	echo "${number:-0}"
}

work_check() {
	local dir=$1 seed=$2 marks=$3 mode kind
	: >"$work_wrong"
	work_judge stamps "$(helper stamps)" check "$dir/stamps" "$seed" \
		"$(work_latest stamps "$marks")"
	work_judge rewrite "$(helper rewrite)" check "$dir/rewrite" "$seed" \
		"$marks"
	for mode in "${sqlite_modes[@]}"; do
		work_judge "sqlite.$mode" bash "$work_dir/sqlite.sh" check \
			"$dir/sqlite" "$mode" "$marks"
	done
	for kind in "${git_kinds[@]}"; do
		work_judge "git.$kind" bash "$work_dir/git.sh" check \
			"$dir/git" "$kind" "$marks"
	done
	[[ ! -s $work_wrong ]]
}
