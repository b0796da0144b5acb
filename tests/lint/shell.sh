#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Every shell script parses, and shellcheck has nothing to say.

cd "$(dirname "$0")/../.." || exit 1
. tests/lib/tap.sh
tap_output=$(mktemp)
trap 'tap_end_case; rm -f "$tap_output"' EXIT
trap 'exit 130' INT TERM

# By name, or by the interpreter in the first line.
shell_scripts() {
	find scripts tests .ci src docs -type f -not -name '*.[ch]' \
		-not -name '.*' |
		sort |
		while read -r file; do
			if [[ $file == *.sh || $file == *.bash ]] ||
				head -n 1 "$file" | grep -qE '^#!.*\b(ba)?sh\b'
			then
				echo "$file"
			fi
		done
}

every_script_parses() {
	local file bad=0
	while read -r file; do
		bash -n "$file" || bad=1
	done < <(shell_scripts)
	return "$bad"
}

shellcheck_has_nothing_to_say() {
	shell_scripts | xargs shellcheck --external-sources --severity=warning
}

every_script_that_is_started_is_executable() {
	local file bad=0
	while read -r file; do
		case $file in
		*/lib/* | */lib.sh | */*_lib.sh | *.bash) ;;
		scripts/bench.d/* | tests/mount/programs/*) ;;
		tests/powercut/work/*) ;;
		*)
			[[ -x $file ]] || {
				echo "$file is not executable"
				bad=1
			}
			;;
		esac
	done < <(shell_scripts)
	return "$bad"
}

t every_script_parses every_script_parses
if command -v shellcheck >/dev/null; then
	t shellcheck_has_nothing_to_say shellcheck_has_nothing_to_say
else
	skip shellcheck_has_nothing_to_say "shellcheck is not installed"
fi
t every_script_that_is_started_is_executable \
	every_script_that_is_started_is_executable
done_testing
