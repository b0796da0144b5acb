# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# Test cases of shell scripts, printed as TAP. The sourcing script sets
# tap_output, a file that a failing case's output is collected in, and calls
# tap_end_case from its EXIT trap. CASE_LIMIT: seconds that one case may take.
# SLOW: how many times as long as elsewhere anything may take, on a machine that
# is emulated.

export SLOW=${SLOW:-1}
CASE_LIMIT=${CASE_LIMIT:-120}
tap_cases=0
tap_failed=0
tap_case=
tap_output=/dev/null

tap_result() {
	tap_cases=$((tap_cases + 1))
	echo "$1 $tap_cases - $2"
}

# t NAME FUNCTION [ARG...]: one case, in a subshell with set -e. Status 77
# skips it, for the reason in its last line of output.
t() {
	local name=$1 status=0 pid watch limit=$((CASE_LIMIT * SLOW))
	shift
	# A process group of its own, so that a hanging case can be ended with
	# all that it started; daemons live in sessions of their own.
	set -m
	(
		trap - EXIT INT TERM
		set -e
		"$@"
	) >"$tap_output" 2>&1 </dev/null &
	pid=$!
	(
		trap - EXIT INT TERM
		exec >/dev/null 2>&1
		sleep "$limit"
		echo "no end after $limit seconds: killed" >>"$tap_output"
		kill -KILL -- "-$pid"
	) &
	watch=$!
	set +m
	tap_case=$pid
	wait "$pid" 2>/dev/null || status=$?
	tap_case=
	# What the case left running in the background ends with it.
	kill -KILL -- "-$watch" "-$pid" 2>/dev/null
	wait "$watch" 2>/dev/null
	if [[ $status -eq 0 ]]; then
		tap_result ok "$name"
	elif [[ $status -eq 77 ]]; then
		skip "$name" "$(tail -n 1 "$tap_output")"
	else
		tap_failed=$((tap_failed + 1))
		tap_result 'not ok' "$name"
		echo "# exit status $status"
		tail -n 60 "$tap_output" | sed 's/^/# /'
	fi
	return 0
}

# skip NAME REASON: the machine lacks something (a failure on CI).
# skip NAME "n/a: REASON": the case has no meaning here (never a failure).
skip() {
	tap_result ok "$1 # SKIP $2"
}

# Ends the whole script: nothing of it can run here.
skip_all() {
	echo "1..0 # SKIP $*"
	exit 0
}

bail() {
	echo "Bail out! $*"
	exit 1
}

done_testing() {
	echo "1..$tap_cases"
	[[ $tap_failed -eq 0 ]] || exit 1
	exit 0
}

# Kills the case that runs, with all that it started.
tap_end_case() {
	[[ -z $tap_case ]] || kill -KILL -- "-$tap_case" 2>/dev/null
	tap_case=
}
