# shellcheck shell=bash disable=SC2034
# SPDX-License-Identifier: Apache-2.0
#
# Short memory: cgroups with a limit, of version 1 or 2. Needs harness.sh.
#
#	memory_limit BYTES	makes one; "$IN_CGROUP" COMMAND... runs in it.
#		Status 77 with a reason where there is none to be had
#	memory_limit_end	removes it
#	memory_cleanup GROUPS	for the EXIT trap: removes what cases that were
#		killed have left, when all processes are gone. GROUPS is what
#		stood in $BASE/cgroups, before $BASE was removed

memory_limit() {
	local root=/sys/fs/cgroup limit=memory.max
	if [[ -e $root/memory/memory.limit_in_bytes ]]; then
		root=$root/memory
		limit=memory.limit_in_bytes
	elif ! grep -qsw memory $root/cgroup.subtree_control; then
		echo "no cgroup controller for memory"
		return 77
	fi
	CGROUP=$root/msyncfs-test.${BASE##*.}.$BASHPID
	if ! mkdir "$CGROUP" 2>/dev/null; then
		echo "no cgroup can be made"
		return 77
	fi
	echo "$CGROUP" >>"$BASE/cgroups"
	echo "$1" >"$CGROUP/$limit"
	IN_CGROUP=$BASE/in_cgroup
	cat >"$IN_CGROUP" <<-END
		#!/bin/bash
		echo 0 >"$CGROUP/cgroup.procs" && exec "\$@"
	END
	chmod 755 "$IN_CGROUP"
}

memory_limit_end() {
	wait_until 10 rmdir "$CGROUP" 2>/dev/null ||
		{ echo "the cgroup is still in use"; return 1; }
}

memory_cleanup() {
	local group
	for group in $1; do
		rmdir "$group" 2>/dev/null
	done
	return 0
}

: >"$BASE/cgroups"
