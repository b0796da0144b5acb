#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# How many requests the work on a file costs, by the daemon's own count.
# shellcheck source=tests/lib/harness.sh
source "$(dirname "$0")/../lib/harness.sh"
# shellcheck source=tests/mount/programs/client.sh
source "$SRCDIR/tests/mount/programs/client.sh"
# shellcheck source=tests/mount/programs/counters.sh
source "$SRCDIR/tests/mount/programs/counters.sh"

# So that nothing expires between two steps; that it does is tested elsewhere.
long=$((60 * SLOW))
timeouts=attr_timeout=$long,entry_timeout=$long,negative_timeout=$long

writes_cost_nothing() {
	client_new
	expect 0 'ok *' open 0 "$MNT/written" rw,create
	expect 0 'ok 1' write 0 0 1 65
	counters_mark
	expect 0 'ok 4096000' write 0 0 4096 65 1000
	came_only
	expect 0 'ok 4096000' write 0 0 4096 66 1000
	came_only
	client_end 0
	cmp -n 4096000 "$STORE/written" <(tr '\0' B </dev/zero)
}

reads_cost_nothing() {
	head -c 4096000 /dev/zero >"$STORE/read"
	client_new
	expect 0 'ok *' open 0 "$MNT/read" ro
	counters_mark
	expect 0 'ok 4096000' read 0 0 4096 1000
	came_only
	client_end 0
}

appends_cost_nothing() {
	client_new
	expect 0 'ok *' open 0 "$MNT/appended" rw,create,append
	expect 0 'ok 1' write 0 0 1 65
	counters_mark
	expect 0 'ok 4096000' write 0 0 4096 65 1000
	came_only
	client_end 0
	[[ $(stat -c %s "$STORE/appended") -eq 4096001 ]]
}

# Before an inode's first write after its attributes were (re)read, the kernel
# asks once for security.capability, as it does on every filesystem: no answer
# to OPEN or LOOKUP can say that there is none. It must not ask again.
capabilities_are_asked_for_once() {
	as_user install -m 755 "$(type -P true)" "$STORE/program"
	client_new
	expect 0 'ok *' open 0 "$MNT/program" rw
	counters_mark
	expect 0 'ok 4096000' write 0 0 4096 65 1000
	came_at_most GETXATTR 1
	counters_mark
	expect 0 'ok 4096000' write 0 0 4096 65 1000
	expect 0 'ok *' fsync 0
	expect 0 'ok 4096000' write 0 0 4096 65 1000
	came_at_most GETXATTR 0
	client_end 0
}

a_write_costs_one_write() {
	client_new
	expect 0 'ok *' open 0 "$MNT/written" rw,create
	expect 0 'ok 1' write 0 0 1 65
	counters_mark
	expect 0 'ok 4096' write 0 0 4096 65
	came_only 'WRITE 1'
	counters_mark
	expect 0 'ok 4096000' write 0 0 4096 65 1000
	came_only 'WRITE 1000'
	client_end 0
	[[ $(stat -c %s "$STORE/written") -eq 4096000 ]]
}

# The kernel may reclaim pages at any time; not three times running.
a_second_read_is_served_by_the_page_cache() {
	local try
	head -c 4096000 /dev/zero >"$STORE/read"
	client_new
	expect 0 'ok *' open 0 "$MNT/read" ro
	for try in 1 2 3 failed; do
		[[ $try != failed ]] || break
		expect 0 'ok 4096000' read 0 0 4096 1000
		counters_mark
		expect 0 'ok 4096000' read 0 0 4096 1000
		came_only && break
		echo "try $try: pages were gone"
	done
	client_end 0
	[[ $try != failed ]]
}

# reopening FLAGS REQUEST...: what ten opens of a known file cost.
reopening() {
	local flags=$1
	shift
	as_user dd if=/proc/self/status of="$STORE/known" status=none
	client_new
	expect 0 'ok 1' stat "$MNT/known" 1
	expect 0 'ok 1' reopen "$MNT/known" 1 "$flags"
	counters_mark
	expect 0 'ok 10' reopen "$MNT/known" 10 "$flags"
	came_only "$@"
	client_end 0
}

opening_to_read_costs_an_open_and_a_release() {
	reopening ro 'OPEN 10' 'RELEASE 10'
}

opening_to_write_costs_an_open_and_a_release() {
	reopening wo 'OPEN 10' 'RELEASE 10'
}

# Through a shared mapping it could be written unseen: on the kernel path the
# attributes that were cached before are asked for again.
opening_to_map_costs_the_attributes_too() {
	if [[ $path == daemon ]]; then
		reopening rw 'OPEN 10' 'RELEASE 10'
	else
		reopening rw 'GETATTR 10' 'OPEN 10' 'RELEASE 10'
	fi
}

a_repeated_stat_costs_nothing() {
	echo seen >"$STORE/seen"
	client_new
	expect 0 'ok 1' stat "$MNT/seen" 1
	counters_mark
	expect 0 'ok 1000' stat "$MNT/seen" 1000
	came_only
	client_end 0
}

a_repeated_look_up_of_a_missing_name_costs_nothing() {
	client_new
	expect 0 'err ENOENT *' stat "$MNT/missing" 1
	counters_mark
	expect 0 'err ENOENT *' stat "$MNT/missing" 1000
	came_only
	# And it is forgotten when the name comes into being.
	as_user touch "$MNT/missing"
	expect 0 'ok 1' stat "$MNT/missing" 1
	client_end 0
}

# The capability of a written file may be asked for beside it.
fsyncs_are_answered_by_the_kernel() {
	unmount_store
	mount_store "$timeouts" -o sync=relaxed,nofsync
	client_new
	# What could be mapped is written back from time to time.
	expect 0 'ok *' open 0 "$MNT/synced" wo,create
	expect 0 'ok 4096' write 0 0 4096 65
	counters_mark
	expect 0 'ok *' fsync 0
	for _ in 1 2 3 4 5; do
		expect 0 'ok *' fsync 0
		expect 0 'ok *' fdatasync 0
	done
	came_only 'FSYNC 1'
	# Nobody can be promised what the kernel doesn't ask for.
	as_user setfattr -n user.msyncfs.sync -v strict "$MNT/synced" \
		2>"$BASE/refused" && return 1
	grep -q 'not supported' "$BASE/refused"
	as_user setfattr -n user.msyncfs.sync -v manual "$MNT/synced"
	client_end 0
	unmount_store
}

debug_prints_the_table_at_unmount() {
	unmount_store
	mount_store "$timeouts" -d
	as_user stat "$MNT/." >/dev/null
	unmount_store
	grep -q 'requests by operation:' "$LOG"
	grep -qE '\bINIT +1$' "$LOG"
}

make_store || bail "no $FS store"
mount_store "$timeouts" || bail "no mount"

path=$(usual_path)
if [[ $path == kernel ]]; then
	t writes_cost_no_request writes_cost_nothing
	t reads_cost_no_request reads_cost_nothing
	t appends_cost_no_request appends_cost_nothing
else
	t a_write_costs_one_write_request a_write_costs_one_write
	t a_second_read_costs_no_request \
		a_second_read_is_served_by_the_page_cache
fi
t opening_to_read_costs_an_open_and_a_release \
	opening_to_read_costs_an_open_and_a_release
t opening_to_write_costs_an_open_and_a_release \
	opening_to_write_costs_an_open_and_a_release
t opening_to_map_costs_the_attributes_too \
	opening_to_map_costs_the_attributes_too
t a_repeated_stat_costs_no_request a_repeated_stat_costs_nothing
t a_repeated_look_up_of_a_missing_name_costs_no_request \
	a_repeated_look_up_of_a_missing_name_costs_nothing
t capabilities_are_asked_for_once_and_not_per_write \
	capabilities_are_asked_for_once
t with_nofsync_fsyncs_are_answered_by_the_kernel \
	fsyncs_are_answered_by_the_kernel
t debug_prints_the_table_at_unmount debug_prints_the_table_at_unmount
t the_store_is_given_back drop_store
done_testing
