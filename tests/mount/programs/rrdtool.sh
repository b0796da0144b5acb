#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# rrdtool.sh DIRECTORY SCRATCH HELPERS
#
# A round robin database, which rrdtool maps: 500 updates in many processes'
# lives, fetched, graphed, dumped and restored.
set -eu
dir=$1 scratch=$2
rrd=$dir/load.rrd
start=1600000000

rrdtool create "$rrd" --start "$start" --step 10 \
	DS:load:GAUGE:20:0:U RRA:AVERAGE:0.5:1:600 RRA:MAX:0.5:10:100
for ((i = 1; i <= 500; i += 10)); do
	samples=()
	for ((j = i; j < i + 10; j++)); do
		samples+=("$((start + j * 10)):$((j % 97))")
	done
	rrdtool update "$rrd" "${samples[@]}"
done
[[ $(rrdtool last "$rrd") -eq $((start + 5000)) ]]
rrdtool fetch "$rrd" AVERAGE -r 10 -s "$((start))" \
	-e "$((start + 4990))" >"$scratch/fetched"
awk -v start="$start" '/^[0-9]+:/ {
	sub(":", "", $1)
	expected = ($1 - start) / 10 % 97
	if ($2 + 0 != expected) {
		print $1 " has " $2 ", not " expected
		exit 1
	}
	seen++
}
END { exit seen < 490 }' "$scratch/fetched"
rrdtool graph "$dir/load.png" -s "$start" -e "$((start + 5000))" \
	"DEF:l=$rrd:load:AVERAGE" LINE1:l#FF0000 >"$scratch/size"
[[ $(head -c 4 "$dir/load.png" | tail -c 3) == PNG ]]
rrdtool dump "$rrd" >"$scratch/dump.xml"
rrdtool restore "$scratch/dump.xml" "$dir/again.rrd"
rrdtool dump "$dir/again.rrd" | cmp - "$scratch/dump.xml"
