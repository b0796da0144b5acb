#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# attributes.sh DIRECTORY: makes some directories and files in DIRECTORY, which
# is on a mount of msyncfs, and sets and reads what can be asked of them. With
# setfattr(1) and getfattr(1) alone; msyncctl(1) does the same in fewer words.
# See msyncfs-xattr(7).
set -eux
cd "${1:?usage: attributes.sh DIRECTORY}"

# What is made in a directory from now on takes the directory's policies.
mkdir -p build db log
setfattr -n user.msyncfs.sync -v relaxed build
setfattr -n user.msyncfs.map -v staged db
setfattr -n user.msyncfs.sync -v fsync=defer+every=2s db
setfattr -n user.msyncfs.append -v on log

# A file's own policies, and what holds where none is set.
echo 'some data' >db/table
setfattr -n user.msyncfs.grow -v chunk=1M+trim db/table
getfattr --absolute-names -d -m '^user\.msyncfs\.' db/table
getfattr --absolute-names --only-values -n user.msyncfs.status db/table

# Durable now, whatever the policies: one file, and everything of the mount.
# (On the mountpoint itself: "setfattr ... MOUNTPOINT".)
setfattr -n user.msyncfs.sync.now -v wait db/table

# Into memory, all of it; how much is there; and the first 4 KiB out again.
setfattr -n user.msyncfs.advise.now -v populate-read db/table
getfattr --absolute-names --only-values -n user.msyncfs.residency db/table
setfattr -n user.msyncfs.advise.now -v dontneed@0+4K db/table

# A policy is removed: the mount's default holds again.
setfattr -x user.msyncfs.sync build

# What was logged can't be overwritten.
echo 'first line' >>log/audit
if echo 'other' | dd of=log/audit conv=notrunc status=none; then
	echo 'what was logged could be overwritten' >&2
	exit 1
fi
