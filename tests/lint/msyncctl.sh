#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# msyncctl(1) says what the program does: each verb and each of its options
# is there, and none that --help does not have; every verb's help has an
# example; every exit status is told.

cd "$(dirname "$0")/../.." || exit 1
. tests/lib/tap.sh
MSYNCCTL=${MSYNCCTL:-build/src/msyncctl/msyncctl}
page=docs/man/msyncctl.1.scd
tap_output=$(mktemp)
trap 'tap_end_case; rm -f "$tap_output"' EXIT
trap 'exit 130' INT TERM

# What stands under "Verbs:" in --help, but for help itself.
verbs() {
	"$MSYNCCTL" --help | awk '
		/^[^ ]/ { on = /^Verbs:/ }
		on && /^  [a-z]/ && $1 != "help" { print $1 }'
}

# help_options VERB: options at the beginning of lines of its help: "-R",
# "--range=RANGE" as "--range".
help_options() {
	"$MSYNCCTL" "$1" --help | awk '
		/^  -/ {
			for (i = 1; i <= NF && $i ~ /^-/; i++) {
				sub(/,$/, "", $i)
				sub(/[[=].*/, "", $i)
				print $i
			}
		}' | sort -u
}

common_options() {
	"$MSYNCCTL" --help | awk '/^[^ ]/ { on = /^Options|^Instead/ } on' |
		grep -oE -- '^  (-[A-Za-z], )?--[a-z-]+' | tr ', ' '\n\n' |
		grep -E '^-'
}

# section VERB: its part of the manual.
section() {
	awk -v head="## $1" '/^##? / { on = $0 == head } on' "$page"
}

# What is bold in the manual: *--range=*_range_, *-R*.
section_options() {
	section "$1" | grep -oE -- '\*-{1,2}[A-Za-z-]+' | tr -d '*' | sort -u
}

every_verb_is_in_the_manual() {
	local verb bad=0 count=0
	while read -r verb; do
		count=$((count + 1))
		section "$verb" | grep -qF "*msyncctl $verb*" || {
			echo "$page: no synopsis of $verb"
			bad=1
		}
	done < <(verbs)
	[[ $count -ge 13 ]] || {
		echo "only $count verbs found in --help"
		return 1
	}
	return "$bad"
}

the_manual_invents_no_verb() {
	local verb bad=0
	while read -r verb; do
		verbs | grep -qx "$verb" || {
			echo "$page has $verb, --help has not"
			bad=1
		}
	done < <(awk '/^# / { on = /^# VERBS/ } on && /^## /' "$page" |
		cut -d ' ' -f 2)
	return "$bad"
}

# Options that many verbs have are described once, above all verbs, and named
# by their letter in each verb's synopsis.
described() {
	section "$1"
	[[ $2 != --* ]] || sed '/^# VERBS/q' "$page"
}

every_option_is_in_the_verb_s_section() {
	local verb option bad=0 count=0
	while read -r verb; do
		while read -r option; do
			count=$((count + 1))
			described "$verb" "$option" |
				grep -qE -- "\*${option}[=*]" || {
				echo "$page: ${verb}'s $option is missing"
				bad=1
			}
		done < <(help_options "$verb")
	done < <(verbs)
	[[ $count -ge 20 ]] || {
		echo "only $count options found"
		return 1
	}
	return "$bad"
}

the_manual_invents_no_option() {
	local verb option bad=0
	while read -r verb; do
		while read -r option; do
			help_options "$verb" | grep -qxF -- "$option" ||
				common_options | grep -qxF -- "$option" || {
				echo "$page: $verb has no $option"
				bad=1
			}
		done < <(section_options "$verb")
	done < <(verbs)
	return "$bad"
}

every_common_option_is_in_the_manual() {
	local option bad=0 count=0
	while read -r option; do
		count=$((count + 1))
		grep -qF -- "*$option*" "$page" || {
			echo "$page: $option is missing"
			bad=1
		}
	done < <(common_options)
	[[ $count -ge 5 ]] || {
		echo "only $count common options found"
		return 1
	}
	return "$bad"
}

# The synopsis in the help names each option that is described below it, by
# its letter or its long name.
every_synopsis_has_the_verb_s_options() {
	local verb line name found synopsis bad=0
	while read -r verb; do
		synopsis=$("$MSYNCCTL" "$verb" --help | head -n 1)
		while read -r line; do
			found=
			for name in $(grep -oE -- '(^|, )-{1,2}[A-Za-z0-9-]+' \
				<<<"$line" | tr -d ', '); do
				grep -qE -- "(\\[|\\| )$name([]= ]|\\[=)" \
					<<<"$synopsis" && found=1
			done
			[[ -n $found ]] || {
				echo "$synopsis lacks: $line"
				bad=1
			}
		done < <("$MSYNCCTL" "$verb" --help | grep -E '^  -')
	done < <(verbs)
	return "$bad"
}

every_verb_s_help_has_an_example() {
	local verb bad=0
	while read -r verb; do
		"$MSYNCCTL" "$verb" --help |
			grep -q "^Example: msyncctl $verb" || {
			echo "$verb --help has no example"
			bad=1
		}
		section "$verb" | grep -q "^\$ msyncctl $verb" || {
			echo "$page: $verb has no example"
			bad=1
		}
	done < <(verbs)
	return "$bad"
}

every_exit_status_is_in_the_manual() {
	local status bad=0 count=0
	while read -r status; do
		count=$((count + 1))
		sed -n '/^# EXIT STATUS/,/^# ENV/p' "$page" |
			grep -qxF "*$status*" || {
			echo "$page: exit status $status is missing"
			bad=1
		}
	done < <("$MSYNCCTL" --help | awk '/^[^ ]/ { on = /^Exit status/ }
		on && /^  [0-9]/ { print $1 }')
	[[ $count -eq 4 ]] || {
		echo "$count exit statuses found in --help"
		return 1
	}
	return "$bad"
}

help_is_no_wider_than_a_terminal() {
	local verb
	{
		"$MSYNCCTL" --help
		while read -r verb; do
			"$MSYNCCTL" "$verb" --help
		done < <(verbs)
	} | awk 'length > 80 && !/^usage:/ { print; bad = 1 } END { exit bad }'
}

[[ -x $MSYNCCTL ]] || bail "no $MSYNCCTL: build it first"
for name in every_verb_is_in_the_manual the_manual_invents_no_verb \
	every_option_is_in_the_verb_s_section the_manual_invents_no_option \
	every_common_option_is_in_the_manual \
	every_synopsis_has_the_verb_s_options \
	every_verb_s_help_has_an_example every_exit_status_is_in_the_manual \
	help_is_no_wider_than_a_terminal; do
	t "$name" "$name"
done
done_testing
