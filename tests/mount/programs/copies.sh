#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# copies.sh DIRECTORY SCRATCH HELPERS rsync|tar
#
# A tree with everything that a file can have goes onto the mount and comes
# back, and nothing of it has changed.
set -eu
dir=$1 scratch=$2 helpers=$3 kind=$4
tree=$(dirname "$0")/tree.sh

# By default rsync takes times within one second for the same.
copy() {
	rsync -aHAX --modify-window=-1 "$@"
}

# Neither direction finds anything to do.
nothing_to_do() {
	local left
	left=$(copy -nci --delete "$1/" "$2/")
	if [[ -n $left ]]; then
		echo "rsync still finds, from $1 to $2:"
		echo "$left"
		exit 1
	fi
}

same() {
	bash "$tree" list "$1" >"$scratch/list.1"
	bash "$tree" list "$2" >"$scratch/list.2"
	diff "$scratch/list.1" "$scratch/list.2"
}

through_rsync() {
	copy --sparse "$scratch/tree/" "$dir/there/"
	copy --sparse "$dir/there/" "$scratch/back/"
	nothing_to_do "$scratch/tree" "$dir/there"
	nothing_to_do "$dir/there" "$scratch/tree"
	nothing_to_do "$scratch/back" "$dir/there"
	same "$scratch/tree" "$dir/there"
	same "$scratch/tree" "$scratch/back"
	# Onto what is there already: new data, in place, and deletions.
	echo changed >>"$scratch/tree/plain/numbers"
	rm "$scratch/tree/deep/a/b/file7"
	copy --inplace --no-whole-file --delete "$scratch/tree/" "$dir/there/"
	nothing_to_do "$scratch/tree" "$dir/there"
}

# A tree made on the mount, packed and unpacked there.
through_tar() {
	local -a all=(--xattrs '--xattrs-include=*' --acls --numeric-owner
		--sparse --format=posix)
	# A socket can't be in an archive.
	rm "$dir/tree/nodes/socket"
	tar "${all[@]}" -C "$dir/tree" -cf "$dir/tree.tar" .
	mkdir "$dir/out"
	tar "${all[@]}" -C "$dir/out" -xpf "$dir/tree.tar"
	tar "${all[@]}" -C "$dir/out" --compare -f "$dir/tree.tar"
	same "$dir/tree" "$dir/out"
	nothing_to_do "$dir/tree" "$dir/out"
}

if [[ $kind == rsync ]]; then
	mkdir "$scratch/tree"
	bash "$tree" make "$scratch/tree" "$helpers"
	through_rsync
	rm -rf "$scratch/tree" "$scratch/back"
else
	mkdir "$dir/tree"
	bash "$tree" make "$dir/tree" "$helpers"
	through_tar
fi
