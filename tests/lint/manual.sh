#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The manual pages say what the program does: each option that --help lists is
# there, and none that it does not list.

cd "$(dirname "$0")/../.." || exit 1
. tests/lib/tap.sh
MSYNCFS=${MSYNCFS:-build/src/msyncfs}
tap_output=$(mktemp)
trap 'tap_end_case; rm -f "$tap_output"' EXIT
trap 'exit 130' INT TERM

# What stands at the beginning of a line of --help, indented by two blanks:
# "-f", "-h, --help", "data=auto|kernel|daemon", "[no]allow_other"; under
# "Mount flags" lines are full of them, "nosuid|suid  nodev|dev".
help_options() {
	"$MSYNCFS" --help | awk '
		/^[^ ]/ { flags = /^Mount flags/ }
		!/^  [^ ]/ { next }
		!flags {
			sub(/^  /, "")
			sub(/  +.*/, "")
			gsub(/\[no\]/, "")
			gsub(/[= ][A-Za-z|[].*/, "")
		}
		{
			gsub(/[|,]/, " ")
			for (i = 1; i <= NF; i++)
				print $i
		}' | sort -u
}

# In the manual an option is bold: *-f*, *ro*, *data=auto*. A flag may be
# there as the opposite of another.
every_option_of_the_help_is_in_the_manual() {
	local option bad=0 count=0
	while read -r option; do
		count=$((count + 1))
		grep -qE -- "\*(remount,)?(no)?${option#no}[=*]" \
			docs/man/msyncfs.1.scd || {
			echo "docs/man/msyncfs.1.scd lacks $option"
			bad=1
		}
	done < <(help_options)
	[[ $count -gt 20 ]] || {
		echo "only $count options found in --help"
		return 1
	}
	return "$bad"
}

the_manual_invents_no_option() {
	local option bad=0 count=0
	while read -r option; do
		count=$((count + 1))
		help_options | grep -qxF -- "${option#no}" || {
			echo "the manual has $option, --help has not"
			bad=1
		}
	done < <(sed -n '/^# OPTIONS/,/^# SIGNALS/p' docs/man/msyncfs.1.scd |
		sed -nE 's/^\*(-{0,2}[a-z][-a-z_]*).*/\1/ip' | sort -u)
	[[ $count -gt 10 ]] || {
		echo "only $count options found in the manual"
		return 1
	}
	return "$bad"
}

the_pages_are_valid() {
	local page
	for page in docs/man/*.scd; do
		scdoc <"$page" >/dev/null || {
			echo "$page"
			return 1
		}
	done
}

t every_option_of_the_help_is_in_the_manual \
	every_option_of_the_help_is_in_the_manual
t the_manual_invents_no_option the_manual_invents_no_option
if command -v scdoc >/dev/null; then
	t the_pages_are_valid the_pages_are_valid
else
	skip the_pages_are_valid "scdoc is not installed"
fi
done_testing
