#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Stores that are one mount whose files have several device numbers: btrfs with
# subvolumes, which count their inodes each for itself, and overlayfs with
# layers on two file systems, where no file handles are to be had.
# shellcheck source=tests/lib/harness.sh
source "$(dirname "$0")/../lib/harness.sh"
# shellcheck source=tests/lib/control.sh
source "$SRCDIR/tests/lib/control.sh"

[[ $EUID -eq 0 ]] || skip_all "mounts need root"

numbers() {
	find "$1" -printf '%i\n'
}

# All that the store has is seen, and nothing is taken for something else.
all_is_seen() {
	local said
	said=$(find "$MNT" -mindepth 1 2>&1 >/dev/null)
	[[ -z $said ]] || { echo "$said"; return 1; }
	diff <(cd "$STORE" && find . | sort) <(cd "$MNT" && find . | sort)
	diff -r "$STORE" "$MNT"
	[[ -z $(numbers "$MNT" | sort | uniq -d) ]] || {
		find "$MNT" -printf '%i %p\n' | sort
		return 1
	}
	! grep -F 'store-spans' "$LOG"
}

# --- btrfs -------------------------------------------------------------------

subvolumes() {
	FS=btrfs make_store || exit 1
	btrfs subvolume create "$STORE/sub" >/dev/null
	btrfs subvolume create "$STORE/sub/deep" >/dev/null
	echo one >"$STORE/sub/file"
	echo two >"$STORE/sub/deep/file"
	echo three >"$STORE/file"
	# They do have the same numbers there.
	[[ -n $(numbers "$STORE" | sort | uniq -d) ]]
}

subvolumes_are_told_apart() {
	subvolumes
	mount_store
	all_is_seen
	is "$(stat -c %i "$STORE/file")" stat -c %i "$MNT/file"
	cp -r "$MNT/sub" "$BASE/copy"
	diff -r "$STORE/sub" "$BASE/copy"
	# Nor is one snapshot's file another's.
	btrfs subvolume snapshot "$STORE/sub" "$STORE/snapshot" >/dev/null
	echo changed >"$MNT/snapshot/file"
	is one cat "$MNT/sub/file"
	is changed cat "$STORE/snapshot/file"
	unmount_store
	drop_store
}

subvolumes_have_staged_files() {
	subvolumes
	mount_store map=staged,sync=fsync=defer+every=100s
	echo ONE >"$MNT/sub/file"
	echo TWO >"$MNT/sub/deep/file"
	is 'ok 0' xattr set "$MNT" sync.now wait
	is ONE cat "$STORE/sub/file"
	is TWO cat "$STORE/sub/deep/file"
	unmount_store
	drop_store
}

# --- overlayfs ---------------------------------------------------------------

# Lower on the store's file system, upper on a tmpfs.
overlay() {
	make_store || exit 1
	layers=$BASE/layers.$RANDOM
	mkdir -p "$STORE/dir" "$layers/upper" "$layers/merged"
	echo low >"$STORE/low"
	echo low >"$STORE/dir/low"
	mount -t tmpfs msyncfs-test "$layers/upper"
	mkdir "$layers/upper/work" "$layers/upper/upper"
	if ! mount -t overlay msyncfs-test -o "lowerdir=$STORE" \
		-o "upperdir=$layers/upper/upper,xino=off" \
		-o "workdir=$layers/upper/work" "$layers/merged"; then
		echo "n/a: no overlayfs here"
		exit 77
	fi
	lower=$STORE
	STORE=$layers/merged
	echo up >"$STORE/up"
	[[ $(stat -c %d "$STORE/low") != $(stat -c %d "$STORE/up") ]]
}

drop_overlay() {
	umount "$layers/merged"
	umount "$layers/upper"
	STORE=$lower
	drop_store
}

layers_of_two_file_systems_are_one_store() {
	overlay
	mount_store
	all_is_seen
	echo made >"$MNT/made"
	is made cat "$STORE/made"
	is up cat "$MNT/up"
	# What is changed moves to the upper layer.
	echo more >>"$MNT/dir/low"
	is $'low\nmore' cat "$MNT/dir/low"
	is $'low\nmore' cat "$STORE/dir/low"
	is low cat "$lower/dir/low"
	mv "$MNT/up" "$MNT/dir/up"
	rm "$MNT/low"
	[[ ! -e $STORE/low ]]
	is up cat "$STORE/dir/up"
	unmount_store
	drop_overlay
}

layers_have_staged_files() {
	overlay
	mount_store map=staged,sync=fsync=defer+every=100s
	echo LOW >"$MNT/low"
	echo UP >>"$MNT/up"
	is low cat "$STORE/low"
	is 'ok 0' xattr set "$MNT" sync.now wait
	is LOW cat "$STORE/low"
	is $'up\nUP' cat "$STORE/up"
	is low cat "$lower/low"
	unmount_store
	drop_overlay
}

# What is mounted in it is another file system still.
what_is_mounted_in_it_is_refused() {
	overlay
	mkdir "$STORE/other"
	mount -t tmpfs msyncfs-test "$STORE/other"
	mount_store
	as_user ls "$MNT/other" 2>&1 | grep -qi 'cross-device'
	is up cat "$MNT/up"
	unmount_store
	umount "$STORE/other"
	drop_overlay
}

t subvolumes_of_btrfs_are_told_apart subvolumes_are_told_apart
t subvolumes_of_btrfs_have_staged_files subvolumes_have_staged_files
t layers_of_two_file_systems_are_one_store \
	layers_of_two_file_systems_are_one_store
t layers_of_two_file_systems_have_staged_files layers_have_staged_files
t what_is_mounted_in_a_layered_store_is_refused \
	what_is_mounted_in_it_is_refused
done_testing
