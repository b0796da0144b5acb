#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The plug is pulled while programs work on staged files: at whatever instant
# that is, and whatever of the unflushed writes has reached the disk, what is
# found after recovery is one commit, whole, and no older than one that was
# reported durable.
#
#	tests/mount/powercut.sh [SEED]
#
# A recording of the store's disk (tests/powercut/lib.sh) is made while the
# programs of tests/powercut/work run. Then image after image is recovered,
# most by msyncctl, every fifth by a mount, and looked at. Some lose the power
# a second time on the way.
#
# That this could fail at all is shown by the same work and the same checks on
# the directory itself with eatmydata.
#
#	POWERCUT_IMAGES		how many images (160 on ext4, 40 on others);
#				for each 200 there is a recording
#	POWERCUT_SECONDS	length of a recording (6)
#	POWERCUT_ONLY		a pattern: only the recordings with such a name
arguments=("$@")
# shellcheck source=tests/lib/harness.sh
source "$(dirname "$0")/../lib/harness.sh"
# shellcheck source=tests/powercut/lib.sh
source "$SRCDIR/tests/powercut/lib.sh"
# shellcheck source=tests/powercut/work/work.sh
source "$SRCDIR/tests/powercut/work/work.sh"

built=$(realpath "$MSYNCFS")
MSYNCCTL=${MSYNCCTL:-${built%/*}/msyncctl/msyncctl}
seed=${arguments[0]:-$((RANDOM * 32768 + RANDOM))}
only=${POWERCUT_ONLY:-.}
default_images=160
if [[ $FS != ext4 && $FS != dir ]]; then
	default_images=40
	# The rest is the same on every store: in the long campaign.
	[[ -n ${POWERCUT_ONLY:-}${POWERCUT_IMAGES:-} ]] || only=^work
fi
IMAGES=${POWERCUT_IMAGES:-$default_images}
seconds=${POWERCUT_SECONDS:-6}
# So many images of one recording, at most.
each=200
# How often the power is cut twice.
PC_AGAIN=${PC_AGAIN:-10}
[[ $FS != dir ]] || FS=ext4
size=128M
[[ $FS != xfs ]] || size=400M
server_user=postgres

# --- staged files ------------------------------------------------------------

# recorded SEED
recorded() {
	local options
	options=$(work_options "$1")
	pc_record_start "$FS" "$size"
	pc_mark "seed $1"
	mount_store "$options"
	echo "# $PC_NAME: seed $1, $options" >>"$BASE/told"
	WORK_ROOT=$MNT WORK_MARKS=$PC_MARK WORK_FSYNC=$(work_fsync "$options")
	work_start "$MNT/work" "$1"
	work_flush "$STORE" "$1"
	sleep "$seconds"
	work_end
	unmount_store
	pc_record_stop
	# Nothing was tested of a program that claimed nothing.
	claims_of_all "$BASE/pc.$PC_NAME/positions"
}

claims_of_all() {
	local kind
	for kind in stamps rewrite.truncated rewrite.synced rewrite.renamed \
		rewrite.renamed-synced sqlite.wal sqlite.delete \
		sqlite.truncate git.plain git.synced; do
		grep -q "durable $kind " "$1" || {
			echo "$kind claims nothing"
			return 1
		}
	done
}

# recovered NUMBER: STORE, by a mount or without one; sets found.
recovered() {
	found=$STORE
	if [[ $(($1 % 5)) -eq 0 ]]; then
		mount_store map=staged
		found=$MNT
	else
		"$MSYNCCTL" recover "$STORE"
	fi
}

left() {
	[[ $found == "$STORE" ]] || unmount_store
}

# holds STORE CASE-SEED MARKS FLUSHED
holds() {
	local found
	recovered "$2"
	work_check "$found/work" "$(sed -n 's/^seed //p' "$3")" "$3"
	left
}

# images COUNT SEED FUNCTION: pc_each, of a recording that came to its end.
images() {
	if [[ -z $PC_REPLAY && ! -s $BASE/pc.$PC_NAME/positions ]]; then
		echo "nothing was recorded"
		return 1
	fi
	pc_each "$@"
}

# --- the same without --------------------------------------------------------

recorded_plain() {
	pc_record_start "$FS" "$size"
	pc_mark "seed $1"
	WORK_ROOT='' WORK_MARKS='' WORK_FSYNC=''
	work_start "$STORE/work" "$1" eatmydata
	work_flush "$STORE" "$1" "$STORE/.other"
	sleep "$seconds"
	work_end
	pc_record_stop
}

# plain_holds STORE CASE-SEED MARKS FLUSHED
plain_holds() {
	work_check "$1/work" "$(sed -n 's/^seed //p' "$3")" "$3" || {
		cat "$work_wrong" >>"$BASE/broken"
		return 1
	}
}

is_seen_to_break() {
	local PC_AGAIN= kind
	: >"$BASE/broken"
	pc_try "$1" "$2" plain_holds
	sort "$BASE/broken" | uniq -c | sed 's/^/#/' | tee -a "$BASE/told"
	head -n 60 "$BASE/pc.failures"
	[[ $PC_FAILED -gt 0 ]]
	for kind in stamps sqlite git; do
		grep -q "^$kind" "$BASE/broken"
	done
}

# --- PostgreSQL --------------------------------------------------------------

# as_server COMMAND...: PostgreSQL refuses to run as root.
as_server() {
	setpriv --reuid="$server_user" --regid="$(id -g "$server_user")" \
		--init-groups -- "$@"
}

recorded_postgres() {
	local dir scratch=$BASE/server
	install -d -o "$server_user" "$scratch"
	pc_record_start "$FS" "$1"
	# Who asks for a commit has to be allowed to write there.
	chown "$server_user" "$STORE"
	mount_store "map=staged,sync=fsync=defer+every=100ms"
	WORK_ROOT=$MNT WORK_MARKS=$PC_MARK
	install -d -o "$server_user" "$MNT/server"
	as_server bash "$work_dir/postgres.sh" create "$MNT/server" "$scratch"
	"$HELPERS/durable" postgres 0
	# Before this there is nothing to be looked at.
	pc_mark start
	as_server bash "$work_dir/postgres.sh" work "$MNT/server" "$scratch" \
		"$2"
	unmount_store
	pc_record_stop
}

# server_holds STORE CASE-SEED MARKS FLUSHED
server_holds() {
	local found scratch=$BASE/server
	# Nobody waits for a cluster that was never finished.
	grep -q '^durable postgres' "$3" || return 0
	echo "$2" >>"$BASE/looked"
	install -d -o "$server_user" "$scratch"
	recovered "$2"
	as_server bash "$work_dir/postgres.sh" check "$found/server" \
		"$scratch" "$(work_latest postgres "$3")"
	left
}

# servers_hold COUNT SEED: twice COUNT images, most of them of a cluster.
servers_hold() {
	: >"$BASE/looked"
	images $(($1 * 2)) "$2" server_holds
	echo "# $(wc -l <"$BASE/looked") of these had a whole cluster" \
		>>"$BASE/told"
	[[ $(wc -l <"$BASE/looked") -ge $(($1 / 2)) ]]
}

# --- main --------------------------------------------------------------------

# wanted NAME
wanted() {
	PC_NAME=$1
	[[ $1 =~ $only ]]
}

told() {
	cat "$BASE/told"
	: >"$BASE/told"
}

[[ $EUID -eq 0 && -z $AS_USER ]] || skip_all "n/a: root's disk is cut off"
[[ $FS == @(ext4|xfs) ]] || skip_all "n/a: no recordings on $FS"
[[ -x $MSYNCCTL ]] || bail "no msyncctl at $MSYNCCTL: build it first"
for command in sqlite3 git; do
	type -P "$command" >/dev/null ||
		skip_all "$command is not installed"
done
: >"$BASE/told"
CASE_LIMIT=$((120 + each * 3))
echo "# seed $seed"

for ((number = 0; number * each < IMAGES; number++)); do
	wanted "work.$number" || continue
	count=$((IMAGES - number * each))
	[[ $count -le $each ]] || count=$each
	pc_have_recording ||
		t "the_work_is_recorded_$number" recorded $((seed + number))
	t "staged_files_are_at_one_commit_after_a_power_cut_$number" \
		images "$count" $((seed + number)) holds
	told
	# Kept, if it is needed any more.
	rm -rf "$BASE/pc.$PC_NAME"
done

name=the_same_work_with_eatmydata_is_seen_to_break
if ! wanted plain; then
	:
elif ! type -P eatmydata >/dev/null; then
	skip "$name" "eatmydata is not installed"
else
	pc_have_recording ||
		t the_work_with_eatmydata_is_recorded recorded_plain "$seed"
	t "$name" is_seen_to_break 30 "$seed"
	told
	rm -rf "$BASE/pc.$PC_NAME"
fi

name=postgresql_starts_and_has_no_fault_after_a_power_cut
if ! wanted postgres; then
	:
elif ! type -P pg_config >/dev/null || ! getent passwd "$server_user" >/dev/null
then
	skip "$name" "PostgreSQL is not installed"
else
	count=$((IMAGES / 30))
	pc_have_recording ||
		t postgresql_is_recorded recorded_postgres 400M "$seconds"
	t "$name" servers_hold "$count" "$seed"
	told
fi
done_testing
