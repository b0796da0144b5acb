# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# build DIRECTORY [MESON-OPTION...]: configures it once, then compiles. Source
# say.sh first.

build() {
	local dir=$1 log
	shift
	log=$dir.log
	if [[ -f $dir/build.ninja ]]; then
		quietly "$log" meson configure "$dir" "$@"
	else
		# What is left of a setup that failed would stop the next.
		rm -rf "$dir"
		quietly "$log" meson setup "$dir" "$@"
	fi
	quietly "$log" ninja --quiet -C "$dir"
	mv "$log" "$dir/build.log"
}
