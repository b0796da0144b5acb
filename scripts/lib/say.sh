# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# How the scripts talk: each step is announced, a failure names its cause.

if [[ -t 1 ]]; then
	say_bold=$'\e[1m' say_red=$'\e[31m' say_plain=$'\e[0m'
else
	say_bold= say_red= say_plain=
fi

say() {
	echo "${say_bold}==>${say_plain} $*"
}

note() {
	echo "    $*"
}

die() {
	echo "${say_red}error:${say_plain} $*" >&2
	exit 1
}

# quietly LOG COMMAND...: shows the command's output only if it fails.
quietly() {
	local log=$1
	shift
	mkdir -p "$(dirname "$log")"
	if ! "$@" >"$log" 2>&1 </dev/null; then
		tail -n 40 "$log" >&2
		die "$* failed; all of its output is in $log"
	fi
}
