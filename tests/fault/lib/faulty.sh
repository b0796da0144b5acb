# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# A daemon whose calls can be made to fail, and the sweep through the steps.
# Needs harness.sh.
#
#	driver, preload, control	the program, the library, their file
#	wanted				the steps to sweep
#	faulty_options			more mount options
#	faulty VARIABLE...		what is put before a program
#	mount_faulty VARIABLE...	a mount whose daemon can be failed
#	sweep_all NAME DEPTH VARIABLE...	all steps, each a case
# shellcheck disable=SC2034,SC2154
driver=$(helper fault_driver) || bail "fault_driver is not built"
preload=$(helper fault_preload.so) || bail "fault_preload.so is not built"
faulty_options=
wanted=()

# A sanitizer's library has to come first.
runtime() {
	[[ -n $SANITIZER ]] || return
	ldd "$MSYNCFS" | awk '/lib[at]san/ { print $3 ":" }'
}

# Tells how many requests wait; seen in this namespace only.
connections=/sys/fs/fuse/connections
[[ -d $connections/. && -n $(ls "$connections") ]] ||
	mount -t fusectl fusectl "$connections" ||
	bail "no fusectl at $connections"

control=$BASE/control
# faulty VARIABLE...: what is put before the daemon.
faulty() {
	echo env "LD_PRELOAD=$(runtime)$preload" "FAULT_CONTROL=$control" "$@"
}

mount_faulty() {
	"$driver" new "$control"
	DAEMON_WRAP=$(faulty "$@")
	mount_store -o threads=2 "$faulty_options" || bail "no mount"
	# Has the second thread started, which would look like a leak later.
	echo x >"$MNT/first"
	sync "$MNT/first"
	rm "$MNT/first"
}

sweep() {
	"$driver" sweep "$control" "$STORE" "$MNT" "$DAEMON_PID" "$1" "$2" \
		| tee -a "${FAULT_LOG:-/dev/null}"
	return "${PIPESTATUS[0]}"
}

# sweep_all NAME DEPTH VARIABLE...
# A daemon that failed one step is no witness for the next.
sweep_all() {
	local step failed=$tap_failed depth=${FAULT_ALL:+all}
	mount_faulty "${@:3}"
	for step in "${wanted[@]}"; do
		if [[ $tap_failed -gt $failed ]]; then
			failed=$tap_failed
			timeout 20 umount "$MNT" || umount -l "$MNT"
			mount_faulty "${@:3}"
		fi
		t "each_call_of_${step}_fails_$1" sweep "$step" "${depth:-$2}"
	done
	t "the_daemon_whose_calls_failed_$1_ends_well" unmount_store
}
