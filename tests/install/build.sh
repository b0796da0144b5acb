#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# How the scripts build (scripts/lib/build.sh), with a project of one file: in
# each directory that one's sources, configured no more often than need be.

cd "$(dirname "$0")/../.." || exit 1
. scripts/lib/say.sh
. scripts/lib/build.sh
. tests/lib/tap.sh
scratch=$(mktemp -d)
tap_output=$scratch/output
trap 'tap_end_case; rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM

# project DIRECTORY: what it builds says 1.
project() {
	mkdir -p "$1"
	cat >"$1/meson.build" <<-'TEXT'
		project('one')
		configure_file(input: 'one.in', output: 'one', copy: true)
	TEXT
	echo 1 >"$1/one.in"
}

# builds DIRECTORY TEXT [MESON-OPTION...]: there, and it says that then.
builds() {
	cd "$1"
	build build "${@:3}"
	[[ $(<build/one) == "$2" ]]
}

it_is_configured_once() {
	project "$scratch/a place"
	builds "$scratch/a place" 1
	: >build/kept
	builds "$scratch/a place" 1 --buildtype=release
	[[ -f build/kept ]]
}

a_setup_that_failed_is_no_obstacle() {
	project "$scratch/bad"
	echo 'error()' >>"$scratch/bad/meson.build"
	if (builds "$scratch/bad" 1); then
		return 1
	fi
	project "$scratch/bad"
	builds "$scratch/bad" 1
}

a_directory_that_was_moved_is_built() {
	project "$scratch/before"
	(builds "$scratch/before" 1)
	mv "$scratch/before" "$scratch/after"
	echo 2 >"$scratch/after/one.in"
	builds "$scratch/after" 2
}

a_copy_is_built_of_its_own_sources() {
	project "$scratch/original"
	(builds "$scratch/original" 1)
	cp -a "$scratch/original" "$scratch/copy"
	echo 2 >"$scratch/copy/one.in"
	(builds "$scratch/copy" 2)
	[[ $(<"$scratch/original/build/one") == 1 ]]
}

# Some call their checkouts by links.
a_link_to_it_is_the_same_place() {
	project "$scratch/linked"
	ln -s linked "$scratch/link"
	(builds "$scratch/link" 1)
	: >"$scratch/linked/build/kept"
	builds "$scratch/linked" 1
	[[ -f build/kept ]]
}

t it_is_configured_once it_is_configured_once
t a_setup_that_failed_is_no_obstacle a_setup_that_failed_is_no_obstacle
t a_directory_that_was_moved_is_built a_directory_that_was_moved_is_built
t a_copy_is_built_of_its_own_sources a_copy_is_built_of_its_own_sources
t a_link_to_it_is_the_same_place a_link_to_it_is_the_same_place
done_testing
