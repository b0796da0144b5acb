# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# The daemon's table of requests, as SIGUSR1 has it printed.
#
#	counters_mark		remembers the present counts
#	counters_since		prints `NAME COUNT` for what came since the mark
#	came_at_most NAME N	fails if more than N of NAME came
#	came_only 'NAME COUNT'...	fails unless exactly these came; FORGET
#				and BATCH_FORGET, which the kernel sends when
#				it likes, don't count

counters_read() {
	local tables
	tables=$(grep -c 'requests by operation:' "$LOG" || true)
	kill -USR1 "$DAEMON_PID"
	wait_until 10 counters_printed $((tables + 1)) ||
		{ echo 'no table after SIGUSR1' >&2; return 1; }
	sed -n 'H; /requests by operation:/h; ${x;p}' "$LOG" |
		sed -nE 's/.*[^A-Z0-9_]?\b([A-Z][A-Z0-9_]+) +([0-9]+)$/\1 \2/p'
}

# The last line of a table is there when the log stops growing.
counters_printed() {
	local size
	[[ $(grep -c 'requests by operation:' "$LOG") -ge $1 ]] || return 1
	size=$(stat -c %s "$LOG")
	sleep "$((SLOW / 10)).$((SLOW % 10))"
	[[ $(stat -c %s "$LOG") -eq $size ]]
}

counters_mark() {
	counters_read >"$BASE/counters.mark"
}

counters_since() {
	# Releases are sent after close(2) has returned.
	sleep "$((SLOW / 5)).$((SLOW % 5 * 2))"
	counters_read >"$BASE/counters.now" || return 1
	awk '
		NR == FNR { before[$1] = $2; next }
		$2 > before[$1] { print $1, $2 - before[$1] }
	' "$BASE/counters.mark" "$BASE/counters.now"
}

came_at_most() {
	local list count
	list=$(counters_since) || return 1
	count=$(awk -v name="$1" '
		$1 == name { count = $2 }
		END { print count + 0 }' <<<"$list")
	[[ $count -le $2 ]] && return 0
	echo "requests: ${list//$'\n'/, }; expected at most $2 $1"
	return 1
}

came_only() {
	local list seen expected
	list=$(counters_since) || return 1
	seen=$(grep -vE '^(BATCH_)?FORGET ' <<<"$list" | sort || true)
	expected=$( (($# == 0)) || printf '%s\n' "$@" | sort)
	[[ $seen == "$expected" ]] && return 0
	echo "requests: ${seen//$'\n'/, }; expected: ${expected//$'\n'/, }"
	return 1
}
