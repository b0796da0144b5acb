# SPDX-License-Identifier: Apache-2.0
#
# report: a row's figures as a line of a table, on stdout. Sourced by bench.

report_head() {
	local -a head=(row against bar ratio min..max met
		msyncfs against store)
	local version
	version=$("$MSYNCFS" --version 2>/dev/null | head -n 1)
	say "bench: ${version:-$MSYNCFS}, $(bindfs --version | head -n 1)," \
		"Linux $(uname -r), $(nproc) CPUs, $FS_TYPE," \
		"${#ONLY[@]} rows, $ROUNDS rounds (3 times that for reads" \
		"and writes)"
	report_line "${head[@]}"
	[[ -z $MARKDOWN ]] || { printf '|---%.0s' "${head[@]}"; printf '|\n'; }
}

report_line() {
	if [[ -n $MARKDOWN ]]; then
		printf '| %s ' "$@"
		printf '|\n'
	else
		printf '%-21s %-7s %4s %6s  %-12s %-4s %10s %10s %10s\n' "$@"
	fi
}

# Reads the seconds of the rounds; prints
#	RATIO MIN MAX MET SPEED...
# with a speed for each contender: operations or MiB per second for a row of
# kind io, seconds for one of kind tree.
row_figures() {
	awk -v bar="$BAR" -v kind="$KIND" -v block="${IO_BLOCK:-0}" \
		-v ops="${IO_OPS:-0}" '
	function sort(a, n,   i, j, t) {
		for (i = 2; i <= n; i++)
			for (j = i; j > 1 && a[j - 1] > a[j]; j--) {
				t = a[j]; a[j] = a[j - 1]; a[j - 1] = t
			}
	}
	function median(a, n) {
		sort(a, n)
		return n % 2 ? a[(n + 1) / 2] : (a[n / 2] + a[n / 2 + 1]) / 2
	}
	function speed(seconds) {
		if (kind == "tree")
			return sprintf("%.3fs", seconds)
		if (block >= 1048576)
			return sprintf("%.0fMiB/s",
				ops * block / 1048576 / seconds)
		return sprintf("%.0f/s", ops / seconds)
	}
	{
		ratio[NR] = $2 / $1
		for (c = 1; c <= NF; c++)
			took[c, NR] = $c
	}
	END {
		middle = median(ratio, NR)
		# The verdict is on what is printed, not on hidden digits.
		shown = sprintf("%.2f", middle)
		printf "%s %.2f %.2f %s", shown, ratio[1], ratio[NR],
			(shown + 0 >= bar + 0) ? "yes" : "NO"
		for (c = 1; c <= NF; c++) {
			for (r = 1; r <= NR; r++)
				one[r] = took[c, r]
			printf " %s", speed(median(one, NR))
		}
		print ""
	}' "$WORK/figures"
}

# Returns 1 if the bar was missed.
report_row() {
	local ratio least most met ours theirs store
	read -r ratio least most met ours theirs store < <(row_figures) ||
		die "no figures for $1"
	[[ ${CONTENDERS[1]} == store ]] && store=$theirs
	report_line "$1" "${CONTENDERS[1]}" "$BAR" "$ratio" \
		"$least..$most" "$met" "$ours" "$theirs" "$store"
	[[ $met == yes ]]
}

report_failed() {
	report_line "$1" "${CONTENDERS[1]}" "$BAR" - - none - - -
}
