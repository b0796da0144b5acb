# SPDX-License-Identifier: Apache-2.0
#
# median: what the reports have in common. unit, block and ops are those of
# rows.sh: a figure is the seconds that a turn took, in the row's unit.

function sort(a, n,   i, j, t) {
	for (i = 2; i <= n; i++)
		for (j = i; j > 1 && a[j - 1] > a[j]; j--) {
			t = a[j]; a[j] = a[j - 1]; a[j - 1] = t
		}
}

# Sorts a[1] ... a[n], too.
function median(a, n) {
	sort(a, n)
	return n % 2 ? a[(n + 1) / 2] : (a[n / 2] + a[n / 2 + 1]) / 2
}

function figure_unit() {
	if (unit == "tree")
		return "s"
	if (unit == "time")
		return "ms"
	if (unit == "each")
		return "us"
	if (unit == "bytes")
		return "MiB"
	if (unit == "count")
		return "count"
	return block >= 1048576 ? "MiB/s" : "op/s"
}

function figure(took,   name) {
	name = figure_unit()
	if (name == "ms")
		return took * 1000
	if (name == "us")
		return took / ops * 1000000
	if (name == "MiB")
		return took / 1048576
	if (name == "MiB/s")
		return ops * block / 1048576 / took
	if (name == "op/s")
		return ops / took
	return took
}

# Four digits that mean something, never in exponents.
function number(value,   digits) {
	digits = 4
	while (value >= 1 && digits > 0) {
		value /= 10
		digits--
	}
	return sprintf("%." digits "f", value * 10 ^ (4 - digits))
}
