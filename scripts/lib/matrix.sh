# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# Which mount test runs on which store, data path, user and build.
#
# Every filesystem behaves in its own way under the contract and the programs;
# the other scripts test the daemon, for which one filesystem does.

filesystems=(ext4 xfs btrfs tmpfs)
# The same on both data paths, or about files that take none but the daemon's.
once=(cli.sh devices.sh doctor.sh msyncctl.sh top.sh recover.sh staged.sh
	staged_data.sh staged_errors.sh staged_map.sh staged_names.sh
	powercut.sh machine_test.sh kill.sh fault_staged.sh log.sh
	policy_file.sh service.sh systemd.sh umount.sh)
paths=(kernel daemon)
user_scripts=(contract.sh programs.sh)

# Prints lines SCRIPT FS DATA USER BUILD, USER "-" for root.
matrix() {
	local script fs data
	case $1 in
	quick)
		for data in "${paths[@]}"; do
			all_scripts ext4 "$data" - build
		done
		return
		;;
	long)
		for fs in "${filesystems[@]}"; do
			for data in "${paths[@]}"; do
				all_scripts "$fs" "$data" - build
			done
			# The contract's own proof: what it asks holds on the
			# filesystem itself.
			some_scripts "$fs" native - build contract.sh
		done
		some_scripts ext4 daemon nobody build "${user_scripts[@]}"
		# What it runs in there it says itself.
		echo "tests/kernel/kernel.sh ext4 auto - build"
		;;
	*)
		for data in "${paths[@]}"; do
			all_scripts ext4 "$data" - build
		done
		for fs in xfs btrfs tmpfs; do
			for data in "${paths[@]}"; do
				some_scripts "$fs" "$data" - build contract.sh
			done
		done
		# The programs and the power cuts take a minute: on others than
		# ext4 they have their turn in the long campaign.
		some_scripts ext4 daemon nobody build contract.sh policy_file.sh
		;;
	esac
	some_scripts ext4 staged - build "${user_scripts[@]}"
	user_lines
	sanitizer_lines "$1"
}

# What stands in the documents, and what is installed.
user_lines() {
	local script
	for script in tests/install/*.sh tests/recipes/*.sh; do
		[[ $script == */lib.sh ]] || echo "$script ext4 auto - build"
	done
}

sanitizer_lines() {
	local build data
	for build in build-asan build-tsan; do
		for data in "${paths[@]}"; do
			if [[ $1 == long ]]; then
				all_scripts ext4 "$data" - "$build"
			else
				some_scripts ext4 "$data" - "$build" \
					contract.sh behind.sh daemon_death.sh
			fi
		done
	done
	[[ $1 == long ]] && return
	some_scripts ext4 kernel - build-asan attributes.sh grow.sh
	some_scripts ext4 daemon - build-tsan attributes.sh grow.sh
}

all_scripts() {
	local script
	for script in tests/mount/*.sh tests/fault/*.sh \
		tests/powercut/machine_test.sh; do
		[[ $2 == daemon && " ${once[*]} " == *" ${script##*/} "* ]] &&
			continue
		[[ -f $script ]] && echo "$script $*"
	done
}

# FS DATA USER BUILD SCRIPT...
some_scripts() {
	local where="$1 $2 $3 $4" script
	shift 4
	for script in "$@"; do
		echo "tests/mount/$script $where"
	done
}

# label FS DATA USER BUILD
label() {
	echo "$1 $2${3:+ $3}${4#build}" | sed -E 's/-(asan|tsan)/ \1/'
}

# limit SCRIPT BUILD: seconds; a hang is found by the cases' own limits, this
# one is for a test that is wrong itself.
limit() {
	local seconds=300
	[[ $1 == */fault.sh || $1 == */install.sh ]] && seconds=600
	[[ $2 == build ]] || seconds=900
	[[ $1 == */powercut.sh && ${POWERCUT_IMAGES:-0} -gt 200 ]] &&
		seconds=3600
	[[ $1 == */kill.sh && ${KILLS:-0} -gt 25 ]] && seconds=3600
	[[ $1 == */install.sh && -n ${PACKAGE_CLEAN_ROOT:-} ]] && seconds=1500
	[[ $1 == */kernel.sh ]] && seconds=15000
	[[ $1 == */scale.sh && -n ${scale_files:-} ]] && seconds=7200
	echo "$seconds"
}
