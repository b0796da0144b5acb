#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The manual pages say what the program does: each option that --help lists is
# there, and none that it does not list; and so for the attributes and counters
# of the lists that the code is made from.

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

ATTRIBUTES=docs/man/msyncfs-xattr.7.scd

# NAME KIND VALUES of each attribute, as the compiler sees the list.
attributes() {
	printf '%s\n' '#include "control/attribute_list.h"' \
		'#define LINE(name, kind, where, values, help) ; name kind values' \
		'ATTRIBUTE_LIST(LINE)' |
		"${CC:-cc}" -E -P -Isrc -x c - | tr '\n' ' ' | tr ';' '\n' |
		sed -nE 's/" +"//g; s/^ *"([^"]*)" ([a-z]+) "([^"]*)".*/\1 \2 \3/p'
}

# The part of the page under "## NAME", without its heading.
section() {
	awk -v heading="## $1" '
		/^#/ { inside = $0 == heading; next }
		inside' "$ATTRIBUTES"
}

# Each under the heading of its kind: "advise POLICIES".
documented_attributes() {
	awk '
		/^# / { kind = $2 }
		/^## / && kind ~ /^(POLICIES|ACTIONS|STATUSES)$/ {
			print $2, kind
		}' "$ATTRIBUTES" | sort
}

every_attribute_is_documented_and_none_is_invented() {
	[[ $(attributes | wc -l) -gt 10 ]] || {
		echo "only $(attributes | wc -l) attributes in the list"
		return 1
	}
	diff <(attributes | awk '
		BEGIN {
			heading["policy"] = "POLICIES"
			heading["action"] = "ACTIONS"
			heading["status"] = "STATUSES"
		}
		{ print $1, heading[$2] }' | sort) <(documented_attributes)
}

# The words that can be set stand in bold in the attribute's section.
every_value_of_an_attribute_is_documented() {
	local name kind values word bad=0 count=0
	while read -r name kind values; do
		[[ $kind != status ]] || continue
		while read -r word; do
			count=$((count + 1))
			section "$name" |
				grep -qE "\*([a-z]+=)?${word}[*=:]" || {
				echo "$ATTRIBUTES: $name lacks $word"
				bad=1
			}
		done < <(grep -oE '[a-z][a-z-]+' <<<"$values")
	done < <(attributes)
	[[ $count -gt 30 ]] || {
		echo "only $count values found in the list"
		return 1
	}
	return "$bad"
}

every_attribute_has_an_example() {
	local name rest bad=0
	while read -r name rest; do
		section "$name" | awk '/^```/ { inside = !inside } inside' |
			grep -q "user\.msyncfs\.$name " || {
			echo "$ATTRIBUTES: $name has no example"
			bad=1
		}
	done < <(attributes)
	return "$bad"
}

# NAME METRIC of each counter, gauge and histogram, as the compiler sees them.
counters() {
	printf '%s\n' '#include "core/counters.h"' \
		'#define COUNTER(field, name, help) ; name "-"' \
		'#define GAUGE(field, name, metric, kind, help) ; name metric' \
		'#define HISTOGRAM(field, name, metric, help) ; name metric' \
		'COUNTER_LIST(COUNTER)' 'GAUGE_LIST(GAUGE)' \
		'HISTOGRAM_LIST(HISTOGRAM)' |
		"${CC:-cc}" -E -P -Isrc -x c - | tr '\n' ' ' | tr ';' '\n' |
		sed -nE 's/^ *"([a-z_.]+)" *"([a-z_-]+)" *$/\1 \2/p' | sort
}

# They stand in tables: "[[ *opens.kernel*", "|  *opens.daemon*", and what has
# a name of its own for Prometheus in the line after: ":< _msyncfs_open_files_".
every_counter_is_documented_and_none_is_invented() {
	[[ $(counters | wc -l) -gt 70 ]] || {
		echo "only $(counters | wc -l) counters in the list"
		return 1
	}
	diff <(counters) <(section stats | awk '
		/^(\[\[|\| ) \*[a-z_.]+\*$/ {
			name = $2
			gsub(/\*/, "", name)
			getline
			metric = "-"
			if ($2 ~ /^_msyncfs_[a-z_]+_$/)
				metric = substr($2, 10, length($2) - 10)
			print name, metric
		}' | sort)
}

# NAME LEVEL LIMIT ADVICE of each event, as the compiler sees the list.
events() {
	printf '%s\n' '#include "util/event_list.h"' \
		'#define LINE(name, level, limit, advice) @ name level limit advice' \
		'EVENT_LIST(LINE)' |
		"${CC:-cc}" -E -P -Isrc -x c - | tr '\n' ' ' | tr '@' '\n' |
		sed -nE 's/" +"//g; s/^ *([a-z_]+ [a-z]+ [a-z]+ ".*") *$/\1/p'
}

# "*sync-failed* (error)", "*store-spans* (warning, once)" under MESSAGES.
every_message_is_documented_and_none_is_invented() {
	[[ $(events | wc -l) -gt 20 ]] || {
		echo "only $(events | wc -l) events in the list"
		return 1
	}
	diff <(events | awk '{
		gsub(/_/, "-", $1)
		sub(/^info$/, "information", $2)
		print $1, "(" $2 ($3 == "once" ? ", once" : "") ")"
	}' | sort) <(sed -n '/^# MESSAGES/,/^# EXIT/p' \
		docs/man/msyncfs.1.scd |
		sed -nE 's/^\*([-a-z]+)\* (\([a-z, ]+\))$/\1 \2/p' | sort)
}

every_message_that_is_no_information_says_what_to_do() {
	local bad
	bad=$(events | awk '$2 != "info" && $4 == "\"\""')
	[[ -z $bad ]] || {
		echo "no advice: $bad"
		return 1
	}
}

# As they are installed: made by docs/man/page.
the_pages_are_clean() {
	local page made bad=0 dir
	dir=$(mktemp -d) || return 1
	for page in docs/man/*.scd; do
		made=$dir/$(basename "$page" .scd)
		docs/man/page scdoc <"$page" >"$made" &&
			mandoc -Tlint "$made" || bad=1
	done
	rm -rf "$dir"
	return "$bad"
}

every_page_has_an_example() {
	local page bad=0
	for page in docs/man/*.scd; do
		awk '/^```/ { on = !on; n += on } END { exit !(n && !on) }' \
			"$page" || {
			echo "$page has no example"
			bad=1
		}
	done
	return "$bad"
}

# The daemon's are in main.c; mount(8)'s helper has the same.
every_exit_status_is_in_the_manual() {
	local page status bad=0
	for page in docs/man/msyncfs.1.scd docs/man/mount.msyncfs.8.scd; do
		for status in 0 $(sed -n \
			's/^#define EXIT_[A-Z]* \([0-9]*\)$/\1/p' src/main.c); do
			awk '/^# / { on = /^# EXIT STATUS/ } on' "$page" |
				grep -qxF "*$status*" || {
				echo "$page: exit status $status is missing"
				bad=1
			}
		done
	done
	return "$bad"
}

# scdoc takes "_a_+_b_" for one emphasis and leaves the second as it stands.
no_markup_is_left_on_the_page() {
	local page bad=0
	for page in docs/man/*.scd; do
		! scdoc <"$page" | grep -nE \
			'(^|[^[:alnum:]])_[[:alpha:]]+_([^[:alnum:]]|$)' || {
			echo "$page: as scdoc gives it out, see above"
			bad=1
		}
	done
	return "$bad"
}

t every_option_of_the_help_is_in_the_manual \
	every_option_of_the_help_is_in_the_manual
t the_manual_invents_no_option the_manual_invents_no_option
t every_attribute_is_documented_and_none_is_invented \
	every_attribute_is_documented_and_none_is_invented
t every_value_of_an_attribute_is_documented \
	every_value_of_an_attribute_is_documented
t every_attribute_has_an_example every_attribute_has_an_example
t every_counter_is_documented_and_none_is_invented \
	every_counter_is_documented_and_none_is_invented
t every_message_is_documented_and_none_is_invented \
	every_message_is_documented_and_none_is_invented
t every_message_that_is_no_information_says_what_to_do \
	every_message_that_is_no_information_says_what_to_do
t every_page_has_an_example every_page_has_an_example
t every_exit_status_is_in_the_manual every_exit_status_is_in_the_manual
if command -v scdoc >/dev/null; then
	t no_markup_is_left_on_the_page no_markup_is_left_on_the_page
else
	skip no_markup_is_left_on_the_page "scdoc is not installed"
fi
if command -v scdoc >/dev/null && command -v mandoc >/dev/null; then
	t the_pages_are_clean the_pages_are_clean
else
	skip the_pages_are_clean "scdoc or mandoc is not installed"
fi
done_testing
