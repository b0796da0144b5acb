#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The filesystem contract on a mount: runs every contract program on a
# directory of the mount and gives each of its cases as one of its own.
#
#   FS=ext4 DATA=kernel tests/mount/contract.sh [SUBJECT...]
#
# CONTRACT_NATIVE=1 runs them on the store itself, without msyncfs. That is
# the proof that they ask what Linux does, not what we wish.

: "${CASE_LIMIT:=400}"
# shellcheck source=tests/lib/harness.sh
. "$(dirname "$0")/../lib/harness.sh"

native=${CONTRACT_NATIVE:-}
subjects=("$@")
if [[ ${#subjects[@]} -eq 0 ]]; then
	subjects=(names attr times privs suid io direct holes copy mmap locks
		dirs xattr acl inotify open)
fi

# Runs one program; its output goes to a file, for the cases to look at.
run_program() {
	local program
	program=$(helper "contract_$1") || return 1
	CMOCKA_MESSAGE_OUTPUT=TAP as_user "$program" "$work" >"$out" 2>&1 ||
		true
}

# A failing case shows what the program wrote about it.
show_case() {
	cat "$1"
	return 1
}

ended_well() {
	if [[ $planned -gt 0 && $seen -eq $planned ]]; then
		return
	fi
	echo "the program planned $planned cases and ran $seen, its end:"
	tail -n 15 "$out"
	return 1
}

# skipped SUBJECT NAME REASON: what a plain user can't do is tested as root.
skipped() {
	if [[ -n $AS_USER && $3 == 'needs root' ]]; then
		skip "$1: $2" "n/a: needs root, tested as root"
	else
		skip "$1: $2" "$3"
	fi
}

# cmocka 1.1 writes "not ok N # SKIP name" for a skipped case. What was said
# about a case comes before its line; "error: Failure!" after it says no more.
give_cases() {
	local subject=$1 line note='' number name
	planned=0 seen=0
	: >"$BASE/said"
	while IFS= read -r line; do
		if [[ $line =~ ^1\.\.([0-9]+) ]]; then
			planned=${BASH_REMATCH[1]}
		elif [[ $line =~ ^(not )?ok\ ([0-9]+)\ \#\ SKIP\ (.*) ]]; then
			skipped "$subject" "${BASH_REMATCH[3]}" "$note"
			seen=$((seen + 1))
			: >"$BASE/said"
		elif [[ $line =~ ^ok\ ([0-9]+)\ -\ (.*) ]]; then
			t "$subject: ${BASH_REMATCH[2]}" true
			seen=$((seen + 1))
			: >"$BASE/said"
		elif [[ $line =~ ^not\ ok\ ([0-9]+)\ -\ (.*) ]]; then
			number=${BASH_REMATCH[1]} name=${BASH_REMATCH[2]}
			t "$subject: $name" show_case "$BASE/said"
			seen=$((seen + 1))
			: >"$BASE/said"
		elif [[ $line != *': error: Failure!' ]]; then
			note=${line#\# }
			echo "$line" >>"$BASE/said"
		fi
	done <"$out"
}

contract() {
	local subject=$1
	out=$BASE/contract.$subject
	: >"$out"
	t "$subject: the program runs" run_program "$subject"
	give_cases "$subject"
	t "$subject: every case ran" ended_well
}

make_store || bail "no store"
if [[ -n $native ]]; then
	work=$STORE
elif [[ $EUID -eq 0 && -z $AS_USER ]]; then
	# The rights that a set-id bit gives are part of the contract.
	mount_store -o suid,dev || bail "not mounted"
	work=$MNT
else
	mount_store || bail "not mounted"
	work=$MNT
fi
# What a mount can't tell of itself.
CONTRACT_STORE_TYPE=$(stat -f -c %T "$STORE")
export CONTRACT_STORE_TYPE
if [[ -z $native ]]; then
	export CONTRACT_DATA=$DATA CONTRACT_MAP=${harness_map:+staged}
fi
for subject in "${subjects[@]}"; do
	contract "$subject"
done
if [[ -z $native ]]; then
	t "the daemon ends well" unmount_store
fi
done_testing
