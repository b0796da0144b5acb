#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The systemd unit, as far as it can be judged without starting it, and what
# the pages say of it and of umount.msyncfs.

cd "$(dirname "$0")/../.." || exit 1
. tests/lib/tap.sh
MSYNCFS=${MSYNCFS:-build/src/msyncfs}
scratch=$(mktemp -d)
tap_output=$scratch/output
trap 'tap_end_case; rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM

unit=$scratch/msyncfs@name.service
built=$(realpath "$(dirname "$MSYNCFS")")
sed "s|@bindir@|$built|; s|@sbindir@|$built|" \
	'src/service/msyncfs@.service.in' >"$unit"

systemd_has_nothing_to_say() {
	local said
	said=$(systemd-analyze verify --man=no "$unit" 2>&1) || {
		echo "$said"
		return 1
	}
	! grep -F msyncfs <<<"$said"
}

# The check itself: a mistake is found.
systemd_would_say_something() {
	local bad=$scratch/msyncfs@bad.service
	sed 's/^KillMode=mixed/KillMode=some/' "$unit" >"$bad"
	systemd-analyze verify --man=no "$bad" 2>&1 | grep -qi "kill mode"
}

documented_exposure() {
	sed -n 's/.*exposure is \*\*\([0-9]\)\.\([0-9]\)\*\*.*/\1\2/p' \
		docs/service.md
}

the_exposure_is_what_is_documented() {
	[[ $(documented_exposure) == [0-9][0-9] ]]
	systemd-analyze security --no-pager --offline=yes \
		--threshold="$(documented_exposure)" "$unit"
	# And no better: the page would be behind.
	! systemd-analyze security --no-pager --offline=yes \
		--threshold="$(($(documented_exposure) - 1))" "$unit" \
		>/dev/null 2>&1
}

# By whatever would give it a mount namespace nobody would see the mount.
the_unit_has_no_mount_namespace() {
	local setting='Private(Tmp|Devices|Mounts|Network|Users|IPC|PIDs)'
	setting+='|Protect(System|Home|Proc|ControlGroups|Kernel[A-Za-z]*)'
	setting+='|[A-Za-z]*Paths|Bind[A-Za-z]*|TemporaryFileSystem'
	setting+='|Root[A-Za-z]*|Mount[A-Z][A-Za-z]*|ProcSubset|DynamicUser'
	setting+='|(State|Cache|Logs|Runtime|Configuration)Directory'
	! grep -nE "^($setting)=" 'src/service/msyncfs@.service.in'
}

every_option_of_umount_is_in_the_manual() {
	local option count=0
	while read -r option; do
		count=$((count + 1))
		grep -qF -- "*$option*" docs/man/umount.msyncfs.8.scd || {
			echo "docs/man/umount.msyncfs.8.scd lacks $option"
			return 1
		}
	done < <("$built/umount.msyncfs" --help |
		grep -oE '^  (-[a-zA-Z-]+,? ?)+|^  [0-9]+' | tr ', ' '\n\n' |
		grep .)
	[[ $count -ge 14 ]] || {
		echo "only $count options found in --help"
		return 1
	}
}

every_option_of_umount_is_in_its_help() {
	local option
	while read -r option; do
		"$built/umount.msyncfs" --help | grep -qE -- \
			"^  (.*, )?$option\b" || {
			echo "--help lacks $option"
			return 1
		}
	done < <(sed -n '/^# OPTIONS/,/^# EXAMPLES/p' \
		docs/man/umount.msyncfs.8.scd | grep -E '^\*' |
		grep -oE '\*[^*]+\*' | tr -d '*')
}

if ! command -v systemd-analyze >/dev/null; then
	skip systemd_has_nothing_to_say "systemd-analyze is not installed"
else
	t systemd_has_nothing_to_say systemd_has_nothing_to_say
	t systemd_would_say_something systemd_would_say_something
fi
# Each version of systemd has a scale of its own.
if [[ $(systemd-analyze --version 2>/dev/null) == 'systemd 252 '* ]]; then
	t the_exposure_is_what_is_documented the_exposure_is_what_is_documented
else
	skip the_exposure_is_what_is_documented "n/a: not systemd 252"
fi
t the_unit_has_no_mount_namespace the_unit_has_no_mount_namespace
t every_option_of_umount_is_in_the_manual \
	every_option_of_umount_is_in_the_manual
t every_option_of_umount_is_in_its_help every_option_of_umount_is_in_its_help
done_testing
