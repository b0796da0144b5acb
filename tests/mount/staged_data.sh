#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The bytes of staged and private files: whatever is done to one, it reads as
# a plain file would, before a commit, after it, and in the store.
#
# SEED=N repeats the operations at random of a run that said it.
# shellcheck source=tests/lib/harness.sh
source "$(dirname "$0")/../lib/harness.sh"
# shellcheck source=tests/mount/staged/staged_lib.sh
source "$SRCDIR/tests/mount/staged/staged_lib.sh"

OPERATIONS=${OPERATIONS:-3000}
OFFSETS=()
programs=$BASE/programs

# --- the same done to a plain file -------------------------------------------

# do_to FILE OPERATION: one of xfs_io's commands, or
#	rewrite N	O_TRUNC, then N bytes
#	append N	with O_APPEND
do_to() {
	local flags=
	case $2 in
	rewrite*) ;;
	append*) flags=oflag=append ;;
	*)
		as_user xfs_io -f -c "$2" "$1" >/dev/null
		return
		;;
	esac
	as_user dd of="$1" bs=4k iflag=fullblock,count_bytes \
		count="${2#* }" status=none $flags \
		${flags:+conv=notrunc} < <(letters $D)
}

# same_bytes FILE FILE: all of them, or those at the OFFSETS, 64 KiB each.
same_bytes() {
	local offset
	if [[ ${#OFFSETS[@]} -eq 0 ]]; then
		as_user cmp "$@"
		return
	fi
	for offset in "${OFFSETS[@]}"; do
		as_user cmp -i "$offset" -n 65536 "$@"
	done
}

# Looked at through the page cache and without it.
is_alike() {
	local size
	size=$(stat -c %s "$STORE/model")
	is "$size" as_user stat -c %s "$MNT/data"
	same_bytes "$STORE/model" "$MNT/data"
	expect 0 'ok 0' uncache 0
	same_bytes "$STORE/model" "$MNT/data"
}

# as_a_plain_file SIZE OPERATION...: to a file that has SIZE bytes in the
# store; all of it before the first commit, and again with one after each.
as_a_plain_file() {
	local size=$1 each operation
	shift
	client_new
	for each in '' each; do
		rm -f "$STORE/model"
		as_user rm -f "$MNT/data"
		as_user touch "$MNT/data"
		do_to "$STORE/model" "pwrite -S 65 0 $size"
		do_to "$MNT/data" "pwrite -S 65 0 $size"
		commit
		expect 0 'ok *' open 0 "$MNT/data" ro
		for operation in "$@"; do
			do_to "$STORE/model" "$operation"
			do_to "$MNT/data" "$operation"
			[[ -z $each ]] || commit
			is_alike || { echo "after $operation"; return 1; }
		done
		commit
		is "$(stat -c %s "$STORE/model")" stat -c %s "$STORE/data"
		same_bytes "$STORE/model" "$STORE/data"
		is_alike
		expect 0 'ok 0' close 0
	done
	client_end 0
}

truncations() {
	as_a_plain_file 20000 'truncate 5000' 'truncate 15000' \
		'truncate 4096' 'truncate 4097' 'pwrite -S 66 9000 10' \
		'truncate 0' 'truncate 30000' 'pwrite -S 67 29999 2' \
		'truncate 10' 'truncate 12289' 'pwrite -S 68 12288 4096' \
		'truncate 12290' 'truncate 40960' 'truncate 1' \
		'truncate 4095' 'pwrite -S 66 4094 3' 'truncate 8192'
}

writes_across_pages() {
	as_a_plain_file 5000 'pwrite -S 66 4999 2' 'pwrite -S 67 4095 2' \
		'pwrite -S 68 1 8192' 'pwrite -S 66 12287 1' \
		'pwrite -S 67 20480 4096' 'pwrite -S 68 20479 4098' \
		'pwrite -S 66 16384 1' 'pwrite -S 67 0 4096' \
		'pwrite -S 68 100000 1' 'pwrite -S 66 65535 65538'
}

rewriting_and_appending() {
	as_a_plain_file 10000 'append 5000' 'append 1' 'rewrite 3000' \
		'append 9000' 'rewrite 0' 'append 4096' 'append 4096' \
		'rewrite 50000' 'truncate 100' 'append 10' 'rewrite 8193'
}

# Only what the store's file system has itself.
has_mode() {
	as_user xfs_io -f -c 'pwrite 0 64k' -c "$1 0 4k" \
		"$STORE/probe" >"$BASE/probe" 2>&1
	rm "$STORE/probe"
	! grep -q 'not supported' "$BASE/probe"
}

punched_and_allocated() {
	local -a zero=()
	if has_mode fzero; then
		zero=('fzero 200000 50000' 'fzero -k 1040000 20000'
			'pwrite -S 67 210000 10' 'fzero 1048570 100')
	fi
	as_a_plain_file $MIB 'fpunch 4096 8192' 'fpunch 100 100' \
		'fpunch 5000 100000' 'pwrite -S 66 8192 100' \
		'fpunch 8192 4096' "${zero[@]}" 'falloc 0 1100000' \
		'falloc -k 0 2m' 'pwrite -S 67 300000 10' \
		'fpunch 299999 5000' 'fpunch 0 3m' 'pwrite -S 68 500000 1' \
		'falloc 500000 2' 'truncate 499999' 'falloc 480000 40000'
}

# Beyond what 32 bits can count, and around it.
far_out() {
	OFFSETS=(0 $(((1 << 31) - 32768)) $(((1 << 32) - 32768))
		$(((5 << 30) - 65536)))
	as_a_plain_file 5000 "pwrite -S 66 $((1 << 32)) 4097" \
		"pwrite -S 67 $(((1 << 32) - 3)) 5" \
		"pwrite -S 68 $(((1 << 31) - 3)) 5" \
		"truncate $(((1 << 32) + 1))" \
		"truncate $((5 << 30))" "fpunch $(((1 << 32) - 10)) 12" \
		"truncate $((3 << 30))"
}

# --- holes -------------------------------------------------------------------

# Where xfs_io finds data and holes.
map_of() {
	as_user xfs_io -r -c 'seek -a -r 0' "$1" | awk 'NR > 1 {
		printf "%s%s %s", (NR > 2 ? " " : ""), tolower($1), $2 }'
}

# Between the pages that are written, and what is punched out of a file.
holes_are_found() {
	local wanted
	as_user xfs_io -f -c 'pwrite -S 65 0 64k' -c 'pwrite -S 65 1m 64k' \
		"$MNT/sparse" >/dev/null
	wanted="data 0 hole 65536 data $MIB hole $((MIB + 65536))"
	is "$wanted" map_of "$MNT/sparse"
	commit
	is "$wanted" map_of "$MNT/sparse"
	is "$wanted" map_of "$STORE/sparse"
	# Over the store's data and over its hole, uncommitted.
	as_user xfs_io -c 'fpunch 16k 32k' -c 'pwrite -S 66 512k 4k' \
		-c 'truncate 3m' "$MNT/sparse" >/dev/null
	wanted='data 0 hole 16384 data 49152 hole 65536 data 524288 '
	wanted+="hole 528384 data $MIB hole $((MIB + 65536))"
	is "$wanted" map_of "$MNT/sparse"
	commit
	is "$wanted" map_of "$MNT/sparse"
	is "$wanted" map_of "$STORE/sparse"
	is $((3 * MIB)) stat -c %s "$STORE/sparse"
	# All of it gone, and a page again.
	as_user xfs_io -c 'fpunch 0 3m' "$MNT/sparse" >/dev/null
	is 'hole 0' map_of "$MNT/sparse"
	as_user xfs_io -c 'pwrite -S 67 2m 1' "$MNT/sparse" >/dev/null
	wanted="hole 0 data $((2 * MIB)) hole $((2 * MIB + 4096))"
	is "$wanted" map_of "$MNT/sparse"
	commit
	is "$wanted" map_of "$STORE/sparse"
	at_most 64 stat -c %b "$STORE/sparse"
}

# Space that is allocated is the store's to find; none is no silent success.
allocation_finds_no_space() {
	local left
	left=$(df --output=avail -B 1 "$STORE" | tail -n 1)
	client_new
	expect 0 'ok *' open 0 "$MNT/large" rw,create
	expect 0 'err @(ENOSPC|EFBIG|EOPNOTSUPP) *' \
		fallocate 0 0 $((left + (64 << 30)))
	has "$MNT/large" 0 0
	# What it got of it before it failed.
	as_user rm "$MNT/large"
	client_end 0
	wrote 1 data $A
	commit
	has "$STORE/data" $MIB $A
	client_end 1
}

# --- mappings ----------------------------------------------------------------

# What one program stores in its mapping others read, and after msync the next
# commit has it.
mapped_writes_are_committed() {
	store_had data $MIB $A
	client_new
	client_new
	expect 0 'ok *' open 0 "$MNT/data" rw
	expect 1 'ok *' open 0 "$MNT/data" rw
	expect 0 "ok $MIB" map 0 $MIB rw
	expect 1 "ok $MIB" map 0 $MIB rw
	expect 0 'ok 5000' poke 0 8190 5000 $B
	expect 1 "ok $B" peek 0 8190
	expect 1 'ok 5000' expect 0 8190 5000 $B
	has "$STORE/data" $MIB $A
	expect 0 'ok 0' msync 0
	has "$STORE/data" $MIB $A
	commit
	cmp -n 5000 -i 8190:0 "$STORE/data" <(letters $B)
	cmp -n 8190 "$STORE/data" <(letters $A)
	# By fsync, of the other; and a write into what is mapped.
	expect 1 'ok 100' poke 0 500000 100 $C
	expect 1 'ok 100' write 0 500050 100 $D
	expect 0 "ok $D" peek 0 500149
	expect 1 'ok 0' fsync 0
	commit
	cmp -n 50 -i 500000:0 "$STORE/data" <(letters $C)
	cmp -n 100 -i 500050:0 "$STORE/data" <(letters $D)
	# Closed while mapped; nobody syncs but the kernel, at the end.
	expect 0 'ok 0' close 0
	client_end 0
	expect 1 'ok 100' poke 0 0 100 $C
	client_end 1
	unmount_store
	cmp -n 100 "$STORE/data" <(letters $C)
	is $MIB stat -c %s "$STORE/data"
}

a_program_runs_before_it_is_committed() {
	as_user cp "$(type -P true)" "$MNT/program"
	as_user chmod +x "$MNT/program"
	as_user "$MNT/program"
	is 0 stat -c %s "$STORE/program"
	as_user cp --reflink=never "$MNT/program" "$MNT/copy"
	as_user "$MNT/copy"
	commit
	cmp "$(type -P true)" "$STORE/program"
	cmp "$(type -P true)" "$STORE/copy"
}

# --- at random ---------------------------------------------------------------

# random_work KIND START [NAME]: on a file that was in the store, from that
# offset on.
work_at_random() {
	local kind=$1 start=$2 name=${3:-data} model
	model=$(client_directory)/model
	as_user "$(helper random_work)" "$MNT/$name" "$model" "$start" \
		"$SEED" "$OPERATIONS" "$kind" >"$model.said" ||
		{ cat "$model.said"; return 1; }
	echo "$model" >"$BASE/model.$name"
}

# What there is in the end is what the model says, once all is committed.
the_store_has_the_model() {
	local start=$1 name=${2:-data} model
	model=$(<"$BASE/model.$name")
	is "$(<"$model.said")" stat -c %s "$STORE/$name"
	[[ ! -s $model ]] || cmp -i "$start:0" "$STORE/$name" "$model"
}

random_file() {
	as_user xfs_io -f -c "pwrite -S 65 $1 300000" "$STORE/${2:-data}" \
		>/dev/null
}

random_operations() {
	random_file "$2"
	begun
	work_at_random "$@"
	unmount_store
	the_store_has_the_model "$2"
}

# Four at once, in little memory.
random_operations_beside_others() {
	local i status=0
	local -a jobs=()
	for i in 1 2 3 4; do
		random_file 0 "data.$i"
	done
	begun
	for i in 1 2 3 4; do
		(
			trap - EXIT
			SEED=$((SEED + i)) work_at_random staged 0 "data.$i"
		) &
		jobs+=($!)
	done
	for i in "${jobs[@]}"; do
		wait "$i" || status=1
	done
	[[ $status -eq 0 ]]
	at_least 1 stats commit.by_limit
	unmount_store
	for i in 1 2 3 4; do
		the_store_has_the_model 0 "data.$i"
	done
}

# --- programs ----------------------------------------------------------------

# run_program SCRIPT ARG...: in a directory of its own, as programs.sh does.
run_program() {
	local script=$1 scratch dir
	shift
	dir=$MNT/$script.$*
	dir=${dir// /.}
	dir=${dir%.}
	scratch=$(mktemp -d "${STORE%/store}/scratch.XXXXXX")
	[[ -z $AS_USER ]] || chown "$AS_USER" "$scratch"
	as_user mkdir "$dir"
	as_user bash "$programs/$script.sh" "$dir" "$scratch" "$HELPERS" "$@"
	rm -rf "$scratch"
}

# program NAME "COMMAND..." SCRIPT ARG...
program() {
	local name=$1 command
	for command in $2; do
		[[ -n $(type -P "$command") || -x $HELPERS/$command ]] &&
			continue
		skip "$name" "$command is not installed"
		return
	done
	t "$name" run_program "${@:3}"
}

listing() {
	(
		cd "$1" || exit 1
		find . ! -type s ! -type d -printf '%P %y %m %U %G %s %n %l\0' |
			sort -z | tr '\0' '\n'
		find . -type f -print0 | sort -z | xargs -0 -r sha1sum
	)
}

the_store_has_what_the_mount_showed() {
	at_least 1 stats commit.by_time
	is 0 stats commit.errors
	as_user bash -c "$(declare -f listing)
		listing \"\$1\"" - "$MNT" >"$BASE/mount.list"
	unmount_store
	listing "$STORE" >"$BASE/store.list"
	[[ $(wc -l <"$BASE/store.list") -gt 1000 ]]
	diff "$BASE/mount.list" "$BASE/store.list"
}

databases_are_whole_in_the_store() {
	local db
	for db in "$STORE"/sqlite.*/bank.db; do
		is ok sqlite3 "$db" 'PRAGMA integrity_check'
	done
}

# -----------------------------------------------------------------------------

install -d -m 755 "$programs"
install -m 755 "$SRCDIR"/tests/mount/programs/*.sh "$programs"
make_store || bail "no $FS store"
SEED=${SEED:-$((RANDOM * 32768 + RANDOM))}
echo "# SEED=$SEED"

staged_case sync=manual truncations_are_as_of_a_plain_file \
	mounted truncations
staged_case sync=manual writes_across_pages_are_as_of_a_plain_file \
	mounted writes_across_pages
staged_case sync=manual rewriting_and_appending_are_as_of_a_plain_file \
	mounted rewriting_and_appending
staged_case sync=manual holes_and_allocations_are_as_of_a_plain_file \
	mounted punched_and_allocated
staged_case sync=manual offsets_over_4_GiB_are_as_of_a_plain_file \
	mounted far_out
staged_case sync=manual holes_are_found mounted holes_are_found
staged_case sync=manual allocation_finds_no_space \
	mounted allocation_finds_no_space
staged_case sync=manual mapped_writes_are_committed \
	mounted mapped_writes_are_committed
staged_case sync=manual a_program_runs_before_it_is_committed \
	mounted a_program_runs_before_it_is_committed

staged_case sync=strict random_operations_with_commits_at_each_fsync \
	random_operations staged 0
staged_case sync=fsync=defer+every=10ms random_operations_with_many_commits \
	random_operations staged 0
staged_case sync=fsync=defer+every=20ms random_operations_over_4_GiB \
	random_operations staged $((5 << 30))
staged_case sync=manual random_operations_with_discards \
	random_operations undone 0
staged_case sync=fsync=defer+every=50ms,stage-limit=1M \
	random_operations_of_four_in_little_memory \
	random_operations_beside_others
staged_case map=private random_operations_on_a_private_file \
	random_operations private 0
staged_case map=private random_operations_on_a_private_file_over_4_GiB \
	random_operations private $((5 << 30))

mount_store map=staged,sync=fsync=defer+every=1s,stage-limit=16M ||
	bail "no mount"
program sqlite3_works_with_a_write_ahead_log sqlite3 sqlite wal
program sqlite3_works_with_a_deleted_journal sqlite3 sqlite delete
program git_makes_packs_clones_and_checks_a_repository git git
program rsync_brings_everything_there_and_back \
	"rsync setfattr setfacl setcap socket_file" copies rsync
program tar_packs_and_unpacks_everything \
	"tar rsync setfattr setfacl setcap socket_file" copies tar
program rrdtool_keeps_its_mapped_database rrdtool rrdtool
program fio_verifies_random_writes fio fio psync
program fio_verifies_writes_through_a_mapping fio fio mmap
program two_processes_share_a_mapping shared_mmap shared_mmap
program lmdb_works_on_a_writable_map "mdb_stat lmdb_work" lmdb writemap
t the_store_has_what_the_mount_showed the_store_has_what_the_mount_showed
if [[ -n $(type -P sqlite3) ]]; then
	t sqlite3_finds_its_databases_whole_in_the_store \
		databases_are_whole_in_the_store
else
	skip sqlite3_finds_its_databases_whole_in_the_store \
		"sqlite3 is not installed"
fi
t the_store_is_given_back drop_store
done_testing
