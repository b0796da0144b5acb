#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Many files known, many open, many mapped, with few descriptors and little
# memory. SCALE_FILES (20000) is how many files are walked over; 2000000 is
# the size to promise.
SCALE_FILES=${SCALE_FILES:-20000}
if [[ $SCALE_FILES -gt 100000 ]]; then
	STORE_SIZE=$((SCALE_FILES / 50000 + 4))G
	CASE_LIMIT=1200
fi
# shellcheck source=tests/lib/harness.sh
source "$(dirname "$0")/../lib/harness.sh"
# shellcheck source=tests/mount/programs/client.sh
source "$SRCDIR/tests/mount/programs/client.sh"

bytes_per_inode=400
mapped_files=70000
if [[ -n $SANITIZER ]]; then
	mapped_files=3000
fi

# What the daemon has allocated: private pages without a file, in bytes.
daemon_memory() {
	awk '$1 == "Anonymous:" { print $2 * 1024 }' \
		"/proc/$DAEMON_PID/smaps_rollup"
}

descriptors() {
	find "/proc/$DAEMON_PID/fd" -mindepth 1 | wc -l
}

mappings() {
	wc -l <"/proc/$DAEMON_PID/maps"
}

in_store() {
	as_user mkdir "$STORE/$2"
	as_user "$(helper many_files)" "$1" "$STORE/$2" "$3"
}

walk() {
	local found
	found=$(as_user find "$MNT/walked" -type f -printf '%s\n' | wc -l)
	echo "$found files found"
	[[ $found -eq $SCALE_FILES ]]
}

walked_with_few_descriptors() {
	DAEMON_WRAP='prlimit --nofile=1024:1024'
	mount_store
	[[ $(awk '/open files/ { print $5 }' "/proc/$DAEMON_PID/limits") \
		-eq 1024 ]]
	as_user find "$MNT" -maxdepth 1 >/dev/null
	walk
	# And all of it still works.
	as_user touch "$MNT/walked/d00000/new"
	as_user rm "$STORE/walked/d00000/new"
	walk
	unmount_store
}

grown_by() {
	echo $(($(daemon_memory) - before))
}

# The kernel is asked again each time: one round may leave some behind.
shrunk_to() {
	echo 2 >/proc/sys/vm/drop_caches
	sleep 0.5
	[[ $(grown_by) -le $1 ]]
}

remembered_in_little_memory() {
	local grown
	mount_store entry_timeout=600,attr_timeout=600
	as_user find "$MNT" -maxdepth 1 >/dev/null
	before=$(daemon_memory)
	walk
	grown=$(grown_by)
	echo "$((grown / SCALE_FILES)) bytes for each of $SCALE_FILES inodes"
	[[ $grown -le $((SCALE_FILES * bytes_per_inode)) ]]
	# Every name and inode that nobody uses is forgotten.
	# A thread's arena of the allocator keeps some, however few files.
	wait_until 10 shrunk_to $((grown / 4 + 1048576)) ||
		{ echo "$(grown_by) of $grown bytes are still held"; exit 1; }
	walk
	unmount_store
}

# hold PROCESSES DIRECTORY FILES TIMES: all of them at once, then let go.
hold() {
	local processes=$1 i pids=()
	shift
	mkfifo "$BASE/go"
	exec 9<>"$BASE/go"
	for ((i = 0; i < processes; i++)); do
		: >"$BASE/held.$i"
		as_user prlimit --nofile=20000 "$(helper many_files)" hold \
			"$MNT/$1" "$2" "$3" <"$BASE/go" >"$BASE/held.$i" \
			2>&1 9>&- &
		pids+=($!)
	done
	wait_until 100 all_say ready "$processes" || {
		cat "$BASE"/held.*
		return 1
	}
	echo "held: $(descriptors) descriptors, $(mappings) mappings"
	held_descriptors=$(descriptors)
	exec 9>&-
	for ((i = 0; i < processes; i++)); do
		wait "${pids[i]}" || { cat "$BASE/held.$i"; return 1; }
	done
	all_say 'done' "$processes"
	rm "$BASE/go" "$BASE"/held.*
}

all_say() {
	[[ $(cat "$BASE"/held.* | grep -cx "$1") -eq $2 ]]
}

# A user's daemon has no file handles: it keeps some descriptors instead.
descriptor_limit=200
if [[ -n $AS_USER ]]; then
	descriptor_limit=4096
fi

few_descriptors_left() {
	[[ $(descriptors) -le $descriptor_limit ]]
}

opened_again_and_again() {
	DAEMON_WRAP='prlimit --nofile=20000:20000'
	in_store make few 5
	mount_store
	hold 10 few 5 800
	# One descriptor and one mapping for an inode, however often it's open.
	[[ $held_descriptors -le 200 ]]
	wait_until 10 few_descriptors_left
	unmount_store
}

open_at_once() {
	DAEMON_WRAP='prlimit --nofile=20000:20000'
	in_store make wide 15000
	mount_store
	hold 1 wide 15000 1
	wait_until 10 few_descriptors_left ||
		{ echo "$(descriptors) descriptors are left"; exit 1; }
	unmount_store
}

read_in_turn() {
	in_store make mapped "$mapped_files"
	mount_store
	as_user "$(helper many_files)" read "$MNT/mapped" "$mapped_files"
	echo "$(mappings) mappings"
	[[ $(mappings) -lt 30000 ]]
	as_user "$(helper many_files)" read "$MNT/mapped" 100
	unmount_store
}

# The mount of a smaller number than vm.max_map_count of files, all open and
# read at once, keeps room for more: new files can still be mapped.
room_for_more() {
	DAEMON_WRAP='prlimit --nofile=20000:20000'
	mount_store
	hold 1 wide 15000 1
	as_user cp "$MNT/wide/d00000/f00000001" "$MNT/copy"
	cmp "$STORE/copy" "$STORE/wide/d00000/f00000001"
	unmount_store
}

make_store || bail "no $FS store"
in_store empty walked "$SCALE_FILES" || bail "no files to walk over"

t a_walk_needs_few_descriptors walked_with_few_descriptors
if [[ -n $SANITIZER ]]; then
	skip inodes_are_remembered_in_little_memory_and_forgotten \
		"n/a: a sanitizer's allocator is not the real one"
elif [[ $EUID -ne 0 ]]; then
	skip inodes_are_remembered_in_little_memory_and_forgotten \
		"needs root to make the kernel forget"
else
	t inodes_are_remembered_in_little_memory_and_forgotten \
		remembered_in_little_memory
fi
t a_file_opened_40000_times_costs_one_descriptor opened_again_and_again
t fifteen_thousand_files_are_open_at_once open_at_once
if [[ $DATA == daemon ]]; then
	t mappings_are_given_up_when_idle read_in_turn
	t many_mapped_files_leave_room_for_more room_for_more
else
	skip mappings_are_given_up_when_idle "n/a: the daemon maps nothing"
	skip many_mapped_files_leave_room_for_more \
		"n/a: the daemon maps nothing"
fi
t the_store_is_given_back drop_store
done_testing
