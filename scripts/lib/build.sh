# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# build DIRECTORY [MESON-OPTION...]: configures it once, then compiles. Source
# say.sh first.

# In a checkout that was moved it fails, in a copy it builds the original.
is_configured() {
	local source
	[[ -f $1/build.ninja ]] || return 1
	source=$(python3 -c 'import json, sys
print(json.load(open(sys.argv[1]))["directories"]["source"])' \
		"$1/meson-info/meson-info.json" 2>/dev/null) || return 1
	[[ $source == "$(pwd -P)" ]]
}

build() {
	local dir=$1 log
	shift
	log=$dir.log
	if is_configured "$dir"; then
		quietly "$log" meson configure "$dir" "$@"
	else
		# What is left of a setup that failed would stop the next.
		rm -rf "$dir"
		quietly "$log" meson setup "$dir" "$@"
	fi
	quietly "$log" ninja --quiet -C "$dir"
	mv "$log" "$dir/build.log"
}
