#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# msyncfs on another kernel: the mount tests in a virtual machine (lib.sh) that
# has this machine's programs and the stock kernel of Debian 12, 6.1, which has
# neither FUSE passthrough nor cachestat. One case for each program.
#
#	tests/kernel/kernel.sh ["SCRIPT FS DATA [USER]"...]
#
# "unit" is the unit tests. DATA=kernel can't be had in there.
#
#	KERNEL_PACKAGE	another kernel: a file, or the name of a package that
#		apt-get can download
#	KERNEL_LOGS	a directory that keeps the output of each program
#	KERNEL_SECONDS	what all of it may take (14400)

cd "$(dirname "$0")/../.." || exit 1

# What is about the daemon's path, which nothing else takes on that kernel,
# and what chooses a path by itself.
programs=(
	"unit"
	"tests/mount/contract.sh ext4 daemon"
	"tests/mount/contract.sh ext4 auto"
	"tests/mount/contract.sh ext4 auto nobody"
	"tests/mount/attributes.sh ext4 auto"
	"tests/mount/counts.sh ext4 auto"
	"tests/mount/doctor.sh ext4 auto"
	"tests/mount/staged.sh ext4 auto"
	"tests/mount/msyncctl.sh ext4 auto"
	"tests/mount/cli.sh ext4 auto"
)
# Whose steps have to be quicker than what the daemon does by itself every
# second or five: an emulated processor isn't.
timed_programs=(
	"tests/mount/staged_map.sh ext4 auto"
	"tests/mount/recover.sh ext4 auto"
	"tests/mount/sync.sh ext4 auto"
	"tests/mount/advice.sh ext4 auto"
	"tests/mount/grow.sh ext4 auto"
	"tests/mount/programs.sh ext4 auto"
)

# --- inside ----------------------------------------------------------------

# Everything waits longer where a processor is emulated.
slow=1
grep -qE '^model name.*\b(TCG|QEMU)\b' /proc/cpuinfo && slow=10

# inside PROGRAM...: runs them there, the results of the Nth into VM_OUT/N.*.
# They wait more than they work: one more at a time than there are processors.
inside() {
	local number=0 line
	for line; do
		number=$((number + 1))
		while [[ $(jobs -rp | wc -l) -gt $(nproc) ]]; do
			wait -n
		done
		{
			# shellcheck disable=SC2086
			inside_one "$number" $line >"$VM_OUT/$number.said" 2>&1
			cat "$VM_OUT/$number.said"
		} &
	done
	wait
}

# In /tmp, which is in memory, pages can't be dropped.
unit_tests() {
	local disk=/var/tmp/unit
	truncate -s 2G /run/unit.img && mkfs.ext4 -q /run/unit.img &&
		mkdir -p "$disk" && mount -o loop /run/unit.img "$disk" &&
		TMPDIR=$disk "$@" -n unit "$HELPERS"/unit/*_test
}

# inside_one NUMBER SCRIPT [FS [DATA [USER]]]
inside_one() {
	local number=$1 script=$2 fs=${3:-} data=${4:-} user=${5:-}
	local -a run=(tests/run -l "$VM_OUT/logs" -t "$VM_OUT/$number.tally"
		-s $((600 * slow)))
	if [[ $script == unit ]]; then
		SLOW=$slow unit_tests "${run[@]}"
	else
		env SLOW="$slow" FS="$fs" DATA="$data" AS_USER="$user" \
			"${run[@]}" -n "$fs $data${user:+ $user}" "$script"
	fi
}

if [[ -n ${VM_OUT:-} ]]; then
	inside "$@"
	exit 0
fi

# --- outside ---------------------------------------------------------------

SRCDIR=$PWD
MSYNCFS=$(realpath -m "${MSYNCFS:-build/src/msyncfs}")
HELPERS=$(realpath -m "${HELPERS:-build/tests}")
WORK=$(mktemp -d "${TMPDIR:-/tmp}/msyncfs-kernel.XXXXXX") || exit 1
# shellcheck source=tests/lib/tap.sh
. tests/lib/tap.sh
# shellcheck source=tests/kernel/lib.sh
. tests/kernel/lib.sh
tap_output=$WORK/case.out
trap 'tap_end_case; vm_end; rm -rf "$WORK"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# Prints the file of the kernel's package.
the_package() {
	local package=${KERNEL_PACKAGE:-}
	if [[ -f $package ]]; then
		realpath "$package"
		return
	fi
	# The newest of them; a name is all that apt-cache knows it by.
	[[ -n $package ]] || package=$(apt-cache search --names-only \
		'^linux-image-6\.1\.0-[0-9]+-amd64$' 2>/dev/null |
		cut -d ' ' -f 1 | sort -V | tail -n 1)
	[[ -n $package ]] || return 1
	mkdir "$WORK/package"
	# As root apt-get downloads as a user of its own, who can't write here.
	(cd "$WORK/package" && apt-get -q -o APT::Sandbox::User=root \
		download "$package" >&2) || return 1
	echo "$WORK"/package/*.deb
}

# has_passed NUMBER: what the program with that number has left.
has_passed() {
	cat "$WORK/out/$1.said" && grep -q '^counts ' "$WORK/out/$1.tally" &&
		! grep -q '^failed ' "$WORK/out/$1.tally"
}

# What is skipped is told one by one, but for what has no meaning there.
give_results() {
	local number=0 line
	for line; do
		number=$((number + 1))
		t "$line" has_passed "$number"
		while IFS= read -r line; do
			skip "${line%: *}" "${line##*: }"
		done < <(sed -n '/: n\/a/!s/^skipped //p' \
			"$WORK/out/$number.tally" 2>/dev/null)
	done
}

vm_possible || skip_all "$VM_LACKS"
package=$(the_package) || skip_all "no package of a kernel 6.1 to be had"
vm_kernel "$package" || bail "no machine can be made of $package"
if [[ $# -gt 0 ]]; then
	programs=("$@")
elif vm_emulates; then
	for program in "${timed_programs[@]}"; do
		skip "$program" "needs KVM: too slow without"
	done
else
	programs+=("${timed_programs[@]}")
fi
echo "# Linux $VM_VERSION"
# Printed as it comes: it takes long.
vm_run "${KERNEL_SECONDS:-14400}" env MSYNCFS="$MSYNCFS" HELPERS="$HELPERS" \
	tests/kernel/kernel.sh "${programs[@]}" > >(sed 's/^/# /')
t "the machine does its work to the end" test "$?" -eq 0
give_results "${programs[@]}"
if [[ -n ${KERNEL_LOGS:-} ]]; then
	mkdir -p "$KERNEL_LOGS" && cp -r "$WORK/out/." "$KERNEL_LOGS/"
fi
done_testing
