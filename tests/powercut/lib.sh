# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# Pulling the plug: what reaches the store's disk while programs work is
# recorded, and the disk is presented again as a power cut at any instant
# could have left it (record_disk.c, replay_disk.c). Needs harness.sh, root,
# a file system that is ext4 or xfs. (btrfs takes its superblock of 4 KiB for
# written whole, and never writes data in its place.)
#
# A recording is made in one case and looked at in others:
#
#	recorded() {
#		pc_record_start "$FS" 128M	# sets STORE
#		...work on $STORE, or on msyncfs mounted on it...
#		pc_mark durable 7		# known to be on the disk
#		pc_record_stop			# msyncfs is unmounted by now
#	}
#	holds() {				# for each image
#		local store=$1 seed=$2 marks=$3
#		...recover, look; fail with a reason...
#	}
#	pc_have_recording || t the_work_is_recorded recorded
#	t "after_a_power_cut_all_is_well" pc_each 200 "$seed" holds
#
# Positions count the records of the log: writes, discards, flushes, marks. A
# cut at N comes after the records 0 to N - 1. There
#   - everything is written that was answered before the last flush began,
#     of those flushes that were over by the cut;
#   - of what was written since then, nothing (mode flush), everything (mode
#     all) or what the seed says (mode random), some of it in part only: a
#     part of the sectors of one write (never of one to the first 4 KiB, the
#     superblock, which file systems take for written whole).
# So every cut with N > P must show what was durable when the mark at P was
# put; a mark that is not there says that its time had not come. Cuts are
# chosen after the last mark "start" (pc_record_start makes one) and before
# the mark "stop" of pc_record_stop: the file system's own mount and unmount
# aren't tested.
#
# The same log, N, seed and mode give the same image to the bit. When an image
# fails, the recording is kept and the case says how to look at it again:
#	PC_RECORDING=DIRECTORY PC_REPLAY=N:SEED:MODE script
#
# Set by the caller before the functions are called:
#   PC_NAME      which recording, for a script that makes several ("work");
#                it may be set for one case: PC_NAME=plain t ... pc_each ...
#   PC_FLUSH_US  microseconds that a flush takes while recording (0)
#   PC_SECTOR    bytes that the disk writes all or nothing of (512; 4096 for
#                xfs: its recovery leaves alone a directory block whose first
#                sector is newer than the log's, as if all of it were)
#   PC_AGAIN     after every so manyth image there is a second power cut, in
#                the midst of what the kernel and FUNCTION did to the first
#                one, and FUNCTION is called once more (0: never). FUNCTION
#                must not change what it looks for. Its mode has "+again"; as
#                to the second cut it replays only in likeness.
#   PC_KEEP      where failures' recordings go (build/powercut)
# Set here: STORE (as make_store; the same path in all images), PC_MARK (a
#   file: each line written to it is a mark, for programs that put their own,
#   as any user), PC_DISK (the image as a file, while pc_each runs); by
#   pc_try: PC_IMAGES, PC_FAILED.

PC_NAME=${PC_NAME:-work}
PC_FLUSH_US=${PC_FLUSH_US:-0}
PC_SECTOR=${PC_SECTOR:-}
PC_AGAIN=${PC_AGAIN:-0}
PC_KEEP=${PC_KEEP:-$SRCDIR/build/powercut}
PC_RECORDING=${PC_RECORDING:-}
PC_REPLAY=${PC_REPLAY:-}
PC_IMAGES=0
PC_FAILED=0
pc_from= pc_kind= pc_sector= pc_server= pc_last_failure=
pc_disk=$BASE/pc.disk
pc_fs=$BASE/pc.fs
PC_MARK=$pc_disk/mark
PC_DISK=$pc_disk/disk
mkdir "$pc_disk" "$pc_fs"

# --- recording ---------------------------------------------------------------

# pc_record_start FS SIZE [MOUNT'S-OPTIONS]: a fresh file system of SIZE on a
# recorded disk, mounted; STORE is an empty directory in it.
pc_record_start() {
	local fs=$1 size=$2 options=${3:-} dir=$BASE/pc.$PC_NAME
	pc_is_replayed_elsewhere && return 77
	mkdir "$dir"
	echo "$fs" >"$dir/fs"
	pc_make_base "$fs" "$size" "$dir/base"
	pc_serve record_disk "$dir/base" "$dir/log" "$PC_FLUSH_US"
	pc_mount "$fs" "$options"
	STORE=$pc_fs/store
	sync -f "$STORE"
	pc_mark start
}

# pc_mark TEXT...: one line of at most 4000 bytes.
pc_mark() {
	echo "$*" >"$PC_MARK"
}

# pc_record_stop: nothing may use STORE any more.
pc_record_stop() {
	pc_mark stop
	pc_unmount
	pc_end_serving
	# What pc_each reads must be whole.
	"$(helper replay_disk)" --positions "$BASE/pc.$PC_NAME/log" \
		>"$BASE/pc.$PC_NAME/positions"
}

# pc_have_recording: a kept recording by this name was given in PC_RECORDING.
pc_have_recording() {
	[[ -n $PC_RECORDING && $(<"$PC_RECORDING/name") == "$PC_NAME" ]]
}

pc_is_replayed_elsewhere() {
	[[ -n $PC_REPLAY ]] && ! pc_have_recording || return 1
	echo "n/a: another recording is replayed"
}

# pc_make_base FS SIZE FILE: the file system as its first unmount leaves it,
# with the directory that becomes the store. Small journals: images are many.
pc_make_base() {
	truncate -s "$2" "$3"
	case $1 in
	ext4)
		mkfs.ext4 -q -F -J size=8 \
			-E lazy_itable_init=0,lazy_journal_init=0,nodiscard \
			"$3"
		;;
	xfs) mkfs.xfs -q -f -K "$3" ;;
	*)
		echo "no recordings on $1"
		return 1
		;;
	esac
	pc_loop_mount "$1" "" "$3"
	mkdir "$pc_fs/store"
	if [[ -n $AS_USER ]]; then
		chown "$AS_USER:" "$pc_fs/store"
	fi
	pc_unmount
}

# --- images ------------------------------------------------------------------

# pc_each COUNT SEED FUNCTION [ARG...]: for COUNT power cuts in the recording
# calls
#	FUNCTION STORE CASE-SEED MARKS FLUSHED [ARG...]
# in a subshell with set -e, with the file system mounted after the kernel's
# own recovery. MARKS is a file: the marks before the cut, one on each line,
# in order. FLUSHED is one too: those before the last flush before the cut. A
# third of the cuts leave exactly what a flush covers (mode flush).
# FUNCTION ends what it starts and unmounts what it mounts. An image that
# fails is told and the others go on. Fails if one did; 77 when PC_REPLAY is
# about another recording. For a case of its own: with CASE_LIMIT for all.
pc_each() {
	pc_try "$@"
	[[ $PC_FAILED -gt 0 ]] || return 0
	pc_tell_failures
	return 1
}

# pc_try COUNT SEED FUNCTION [ARG...]: the same, but that images fail is no
# failure: PC_IMAGES, PC_FAILED and $BASE/pc.failures (a line for each) say.
# Call it plainly, not behind "if" or before "||": the shell's set -e would
# not work in FUNCTION.
pc_try() {
	local count=$1 seed=$2 position case_seed mode
	local start=${EPOCHREALTIME/[.,]/}
	shift 2
	pc_is_replayed_elsewhere && return 77
	pc_load
	PC_IMAGES=0
	PC_FAILED=0
	: >"$BASE/pc.failures"
	pc_choose "$count" "$seed" >"$BASE/pc.cases"
	while read -r -u 9 position case_seed mode; do
		PC_IMAGES=$((PC_IMAGES + 1))
		pc_image "$position" "$case_seed" "$mode" "$@"
	done 9<"$BASE/pc.cases"
	pc_end_serving
	[[ $PC_IMAGES -gt 0 ]]
	pc_tell "$seed" $((${EPOCHREALTIME/[.,]/} - start))
}

# A line for the reader of the whole test's output.
pc_tell() {
	local rate
	rate=$(awk -v n="$PC_IMAGES" -v us="$2" \
		'BEGIN { printf "%.1f", n / us * 1e6 }')
	echo "# $PC_NAME on $pc_kind: $PC_IMAGES images from seed $1," \
		"$(grep -c flush "$BASE/pc.cases") of them at flushes;" \
		"$PC_FAILED failed; $rate each second" >>"$BASE/told"
}

# pc_choose COUNT SEED: lines POSITION SEED MODE.
pc_choose() {
	if [[ -n $PC_REPLAY ]]; then
		echo "${PC_REPLAY//:/ }"
		return
	fi
	"$(helper replay_disk)" --choose "$pc_from/log" "$1" "$2" |
		awk -v every="$PC_AGAIN" '
			every && NR % every == 0 { $3 = $3 "+again" }
			{ print }'
}

# Presents the recording's disk; sets pc_from, pc_kind.
pc_load() {
	pc_from=$BASE/pc.$PC_NAME
	pc_have_recording && pc_from=$PC_RECORDING
	pc_kind=$(<"$pc_from/fs")
	pc_sector=${PC_SECTOR:-512}
	[[ -n $PC_SECTOR || $pc_kind != xfs ]] || pc_sector=4096
	pc_serve replay_disk "$pc_from/base" "$pc_from/log"
}

# pc_image POSITION SEED MODE FUNCTION [ARG...]
pc_image() {
	local case=$1:$2:$3 status
	set +e
	(
		set -e
		pc_present "cut $1 $2 ${3%+again} $pc_sector"
		pc_look "$2" "${@:4}"
		if [[ $3 == *+again ]]; then
			echo "the power goes a second time"
			pc_present "again $2"
			pc_look "$2" "${@:4}"
		fi
	) >"$BASE/pc.said" 2>&1 </dev/null
	status=$?
	[[ $status -eq 0 ]] || pc_note_failure "$case" "$status"
	set -e
}

# pc_present COMMAND...: another image. The loop device lets go of the disk a
# moment after the unmount.
pc_present() {
	pc_command=$*
	wait_until 10 pc_control 2>/dev/null || pc_control
}

pc_control() {
	echo "$pc_command" >"$pc_disk/control"
}

# pc_look CASE-SEED FUNCTION [ARG...]
pc_look() {
	pc_mount "$pc_kind"
	STORE=$pc_fs/store
	"$2" "$STORE" "$1" "$pc_disk/marks" "$pc_disk/flushed" "${@:3}"
	pc_unmount
}

# What a failed image left running and mounted must not fail the next one.
pc_note_failure() {
	local mnt
	PC_FAILED=$((PC_FAILED + 1))
	{
		echo "case: position ${1%%:*} seed $(cut -d : -f 2 <<<"$1")" \
			"mode ${1##*:} (exit status $2)"
		tail -n "$((PC_FAILED > 3 ? 1 : 20))" "$BASE/pc.said" |
			sed 's/^/  /'
	} >>"$BASE/pc.failures"
	pc_last_failure=$1
	harness_end_daemons KILL
	while read -r mnt; do
		[[ $mnt == "$BASE/dev"* || $mnt == "$pc_disk" ]] ||
			umount -l "$mnt"
	done < <(harness_mounts)
}

pc_tell_failures() {
	local kept=$PC_RECORDING
	head -n 45 "$BASE/pc.failures"
	echo "$PC_FAILED of $PC_IMAGES images failed"
	if [[ -z $kept ]]; then
		kept=$PC_KEEP/$(basename "$0" .sh).$PC_NAME.$pc_kind
		rm -rf "$kept"
		mkdir -p "$kept"
		cp --sparse=always "$pc_from"/{base,log,fs,positions} \
			"$kept/"
		echo "$PC_NAME" >"$kept/name"
	fi
	echo "to see one of them again, as the last:" \
		"PC_RECORDING=$kept PC_REPLAY=$pc_last_failure FS=$FS" \
		"DATA=$DATA $0"
}

# --- the disk ----------------------------------------------------------------

# pc_serve PROGRAM [ARG...]: presents $PC_DISK.
pc_serve() {
	local program
	program=$(helper "$1")
	# What a case that failed has left.
	if harness_is_mounted "$pc_fs"; then umount -l "$pc_fs"; fi
	if harness_is_mounted "$pc_disk"; then umount -l "$pc_disk"; fi
	"$program" "${@:2}" "$pc_disk" >"$BASE/pc.log" 2>&1 </dev/null &
	pc_server=$!
	wait_until 10 pc_is_served
	harness_is_mounted "$pc_disk"
}

# It is, or never will be.
pc_is_served() {
	harness_is_mounted "$pc_disk" || ! kill -0 "$pc_server" 2>/dev/null
}

pc_end_serving() {
	wait_until 10 umount "$pc_disk" 2>/dev/null || umount "$pc_disk"
	wait "$pc_server" || {
		cat "$BASE/pc.log"
		return 1
	}
}

# pc_mount FS [MOUNT'S-OPTIONS]
pc_mount() {
	pc_loop_mount "$1" "${2:-}" "$PC_DISK"
}

# pc_loop_mount FS OPTIONS FILE
pc_loop_mount() {
	harness_devices
	(cd "$BASE/dev" && "$HELPERS/loop_mount" "$@" "$pc_fs")
}

# Whoever has just ended may be a moment longer in there.
pc_unmount() {
	wait_until 5 umount "$pc_fs" 2>/dev/null || umount "$pc_fs"
}
