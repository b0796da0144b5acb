#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The tour in README.md, command by command.

# shellcheck source=tests/recipes/lib.sh
source "$(dirname "$0")/lib.sh"
recipe ../../README sqlite3 setfattr

tour() {
	run_block "Five minutes" || return 1
	# The first queries a store, the last prints what was staged.
	grep -qx 1 "$RECIPE_OUT"
	grep -q 'MiB\|KiB' "$RECIPE_OUT"
	[[ $(tail -n 1 "$RECIPE_OUT") == important ]]
	if mountpoint -q /srv/mnt; then return 1; fi
	[[ $(sqlite3 /srv/store/demo.db 'SELECT a FROM t') == 1 ]]
}

line_of_fstab() {
	install_block "Five minutes" /etc/fstab
	mkdir -p /srv/store
	mount /mnt
	mountpoint -q /mnt
	echo there >/mnt/file
	umount /mnt
	[[ $(<"/srv/store/file") == there ]]
}

t the_tour_works_as_it_stands_there tour
t the_line_for_fstab_mounts_and_its_umount_waits line_of_fstab
recipe_done
