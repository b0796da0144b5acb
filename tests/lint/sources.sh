#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The rules of the house that a program can check: layers, headers, licence
# lines, sizes.

cd "$(dirname "$0")/../.." || exit 1
. tests/lib/tap.sh
tap_output=$(mktemp)
trap 'tap_end_case; rm -f "$tap_output"' EXIT
trap 'exit 130' INT TERM
export LC_ALL=C.UTF-8

# Every file of the project: what git knows or would add.
files() {
	git ls-files --cached --others --exclude-standard 2>/dev/null |
		while read -r file; do
			[[ -f $file ]] && echo "$file"
		done | grep . || find . -type f -not -path './.git/*' \
		-not -path './build*' -not -path './demo/*' -printf '%P\n'
}

# Prints what was found and fails, or succeeds on nothing.
none() {
	local found
	found=$(cat)
	[[ -z $found ]] || {
		echo "$found"
		return 1
	}
}

# rank PATH-BELOW-SRC: the layer; a file may include its own and lower ones.
rank() {
	case $1 in
	fuse/*) echo 6 ;;
	control/*) echo 5 ;;
	core/*) echo 4 ;;
	store/*) echo 3 ;;
	os/*) echo 2 ;;
	util/*) echo 1 ;;
	*/*) echo 0 ;;
	*) echo 7 ;;
	esac
}

# FILE INCLUDED, both below src, for every #include "..." there.
includes() {
	local file line name dir
	while IFS=: read -r file line; do
		name=${line#*\"}
		name=${name%%\"*}
		dir=$(dirname "$file")
		if [[ -f src/$name ]]; then
			echo "${file#src/} $name"
		elif [[ -f $dir/$name ]]; then
			echo "${file#src/}" \
				"$(realpath --relative-to=src "$dir/$name")"
		else
			echo "${file#src/} missing:$name"
		fi
	done < <(grep -rHE '^[[:space:]]*#[[:space:]]*include "' src \
		--include='*.[ch]')
}

# What msyncctl shares with the daemon, besides src/util: the list of
# attributes, and the journals of stores.
shared='control/attribute_list\.h|store/(claim|journal|journal_read|recover'
shared+='|recover_text)\.h'

includes_go_down_only() {
	local file name own other
	while read -r file name; do
		own=$(rank "$file")
		other=$(rank "$name")
		if [[ $name == missing:* ]]; then
			[[ $name == *config.h ]] || echo "src/$file: $name"
		elif [[ $own -eq 0 && $other -gt 1 &&
			! $name =~ ^($shared)$ ]]; then
			echo "src/$file is a program of its own, includes $name"
		elif [[ $own -ne 0 && $other -gt $own || $other -eq 0 ]]; then
			echo "src/$file includes $name, a layer above it"
		fi
	done < <(includes | grep -v '^msyncctl/.* msyncctl/') | none
}

parts_of_a_node_do_not_know_the_node() {
	includes | grep -E '^core/(mapping|policy|scheduler|stage)\.[ch] ' |
		grep -E ' core/(node|file|filesystem)\.h$' | none
}

only_the_fuse_folder_includes_libfuse() {
	grep -rnE --include='*.[ch]' '#[[:space:]]*include <(fuse|cuse)' src |
		grep -v '^src/fuse/' | none
}

each_header_compiles_alone() {
	local header flags bad=0
	flags=$(pkg-config --cflags fuse3 liburcu liburcu-cds libxxhash)
	while read -r header; do
		# shellcheck disable=SC2086
		echo "#include \"${header#src/}\"" |
			"${CC:-cc}" -std=c17 -D_GNU_SOURCE \
				-D_FILE_OFFSET_BITS=64 -Wall -Wextra -Werror \
				-Isrc $flags -fsyntax-only -x c - || {
			echo "$header does not compile alone"
			bad=1
		}
	done < <(find src -name '*.h')
	return "$bad"
}

every_file_names_its_licence() {
	local file
	files | while read -r file; do
		case $file in
		LICENSE | .gitignore | *.json | *.png) continue ;;
		esac
		head -n 4 "$file" |
			grep -q 'SPDX-License-Identifier: Apache-2.0' ||
			echo "$file has no SPDX line at its top"
	done | none
}

no_source_file_is_longer_than_700_lines() {
	find src -name '*.[ch]' -exec awk '
		FNR == 701 { print FILENAME " is longer than 700 lines" }
	' {} + | none
}

no_function_is_longer_than_80_lines() {
	find src -name '*.c' -exec awk '
		FNR == 1 { start = 0 }
		/^\{/ { start = FNR }
		/^\}/ && start {
			if (FNR - start > 80)
				print FILENAME ":" start ": " FNR - start \
					" lines in one function"
			start = 0
		}' {} + | none
}

no_line_of_c_is_wider_than_80_columns() {
	local file
	find src tests scripts -name '*.[ch]' | while read -r file; do
		expand "$file" | grep -nE '^.{81,}' | sed "s|^|$file:|"
	done | none
}

lines_end_without_blanks() {
	files | grep -E '\.([ch]|sh|md|scd|build)$' |
		xargs grep -nHE '[[:blank:]]+$' | none
}

every_unit_test_is_built() {
	local file name
	for file in tests/unit/*_test.c; do
		name=${file##*/}
		grep -q "'${name%_test.c}'" tests/unit/meson.build ||
			echo "$file is not in tests/unit/meson.build"
	done | none
}

t includes_go_down_only includes_go_down_only
t parts_of_a_node_do_not_know_the_node parts_of_a_node_do_not_know_the_node
t only_the_fuse_folder_includes_libfuse only_the_fuse_folder_includes_libfuse
t each_header_compiles_alone each_header_compiles_alone
t every_file_names_its_licence every_file_names_its_licence
t no_source_file_is_longer_than_700_lines \
	no_source_file_is_longer_than_700_lines
t no_function_is_longer_than_80_lines no_function_is_longer_than_80_lines
t no_line_of_c_is_wider_than_80_columns no_line_of_c_is_wider_than_80_columns
t lines_end_without_blanks lines_end_without_blanks
t every_unit_test_is_built every_unit_test_is_built
done_testing
