# SPDX-License-Identifier: Apache-2.0
#
# report: a row's figures as a line of a table, on stdout. Sourced by bench.

report_head() {
	local -a head=(row against bar ratio min..max met
		msyncfs against store)
	local version theirs=
	version=$("$MSYNCFS" --version 2>/dev/null | head -n 1)
	command -v bindfs >/dev/null && theirs=", $(bindfs --version |
		head -n 1)"
	say "bench: ${version:-$MSYNCFS}$theirs," \
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
		printf '%-28s %-14s %4s %6s  %-12s %-4s %10s %10s %10s\n' "$@"
	fi
}

# row_figures OURS THEIRS STORE BAR: the first three are columns (from 1; 0:
# there is none) of the seconds of the rounds. Prints
#	RATIO MIN MAX MET SPEED SPEED SPEED
# with the speeds of these three, in the row's unit. The bar "-" is always met.
row_figures() {
	awk -v bar="$4" -v unit="$UNIT" -v block="${IO_BLOCK:-0}" \
		-v ops="${IO_OPS:-0}" -v columns="$1 $2 $3" "$MEDIAN"'
	function speed(seconds,   name, value) {
		name = figure_unit()
		value = figure(seconds)
		if (name == "s")
			return sprintf("%.3fs", value)
		if (name == "op/s")
			return sprintf("%.0f/s", value)
		if (name == "MiB/s")
			return sprintf("%.0fMiB/s", value)
		if (name == "MiB")
			return sprintf("%.1fMiB", value)
		if (name == "count")
			return sprintf("%.2f", value)
		return sprintf("%.2f%s", value, name)
	}
	BEGIN {
		split(columns, column)
	}
	{
		ratio[NR] = $column[2] / $column[1]
		for (c = 1; c <= NF; c++)
			took[c, NR] = $c
	}
	END {
		middle = median(ratio, NR)
		# The verdict is on what is printed, not on hidden digits.
		shown = sprintf("%.2f", middle)
		met = (shown + 0 >= bar + 0) ? "yes" : "NO"
		if (bar == "-")
			met = "-"
		printf "%s %.2f %.2f %s", shown, ratio[1], ratio[NR], met
		for (c = 1; c <= 3; c++) {
			for (r = 1; r <= NR; r++)
				one[r] = took[column[c], r]
			printf " %s", column[c] ? speed(median(one, NR)) : "-"
		}
		print ""
	}' "$WORK/figures"
}

# Prints the column of contender $1, 0 if it takes no part.
column_of() {
	local i
	for ((i = 0; i < ${#CONTENDERS[@]}; i++)); do
		[[ ${CONTENDERS[i]} == "$1" ]] && { echo $((i + 1)); return; }
	done
	echo 0
}

# One line for each of the row's comparisons. Returns 1 if a bar was missed.
report_row() {
	local comparison ours theirs bar status=0 name
	local ratio least most met our_speed their_speed store_speed
	for comparison in "${COMPARISONS[@]}"; do
		read -r ours theirs bar <<<"$comparison"
		read -r ratio least most met our_speed their_speed \
			store_speed < <(row_figures "$(column_of "$ours")" \
			"$(column_of "$theirs")" "$(column_of store)" "$bar") ||
			die "no figures for $1"
		name=$1
		[[ $ours == msyncfs ]] || name+=" $ours"
		report_line "$name" "$theirs" "$bar" "$ratio" \
			"$least..$most" "$met" "$our_speed" "$their_speed" \
			"$store_speed"
		figure_ratio "$1" "$ours" "$theirs" "$bar" "$ratio" \
			"$least" "$most" "$met"
		[[ $met != NO ]] || status=1
	done
	figure_rows
	return "$status"
}

report_failed() {
	local comparison ours theirs bar name
	figure failed "$1"
	for comparison in "${COMPARISONS[@]}"; do
		read -r ours theirs bar <<<"$comparison"
		name=$1
		[[ $ours == msyncfs ]] || name+=" $ours"
		report_line "$name" "$theirs" "$bar" - - none - - -
	done
}
