#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# A git repository that gets one commit after the other.
#
#	git.sh write DIRECTORY KIND		until WORK_STOP; see work.h
#	git.sh check DIRECTORY KIND MARKS
#
# KIND: plain, as git is by default, or synced, with core.fsync=all. Every
# eighth commit everything is packed and what was loose is removed. Claims now
# and then that a commit is durable ("git.KIND SHA"). `check` wants a
# repository in which git fsck finds no fault, with that commit in HEAD's
# history.
#
# By default git doesn't sync loose objects, so nobody can know that an
# object's name is to come after its data: in a plain repository there may be
# objects without all of their data, but nothing may refer to them. What is
# left when they are removed has to be without a fault.
set -eu
verb=$1 kind=$3 repo=$2/$3
export HOME=/nonexistent GIT_CONFIG_NOSYSTEM=1 GIT_OPTIONAL_LOCKS=0
export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@example.org
export GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@example.org

# change NUMBER: some files of the tree, one of them large.
change() {
	local folder=$(($1 % 5))
	mkdir -p "f$folder"
	seq "$1" $(($1 + 40)) >"f$folder/$(($1 % 7))"
	seq "$1" $(($1 + 4000)) >large
	echo "$1" >last
}

make() {
	local number=0
	mkdir -p "${repo%/*}"
	git init -q -b main "$repo"
	cd "$repo"
	git config gc.auto 0
	[[ $kind == plain ]] || git config core.fsync all
	while [[ ! -e $WORK_STOP ]]; do
		number=$((number + 1))
		change "$number"
		git add -A
		git commit -q -m "commit $number"
		[[ $((number % 8)) -ne 0 ]] || git repack -a -d -q
		[[ $((number % 3)) -ne 0 ]] ||
			"$HELPERS/durable" "git.$kind" "$(git rev-parse HEAD)"
		sleep 0.05
	done
}

fails() {
	echo "git $kind: $*"
	exit 1
}

fsck() {
	git fsck --full --strict --no-progress --no-dangling 2>&1
}

remove_damaged() {
	local found file
	found=$(fsck) && return
	while read -r file; do
		rm -f "$file"
	done < <(sed -n 's/.*: object corrupt or missing: //p' <<<"$found")
}

# check MARKS
check() {
	local least head found
	least=$(sed -n "s/^durable git\.$kind //p" "$1" | tail -n 1)
	if [[ -z $least && ! -s $repo/.git/refs/heads/main ]]; then
		return
	fi
	cd "$repo" || fails "no repository; $least was durable"
	head=$(git rev-parse --verify -q 'HEAD^{commit}') ||
		fails "HEAD is no commit: $(cat .git/HEAD .git/refs/heads/*)"
	[[ $kind != plain ]] || remove_damaged
	found=$(fsck) || fails "fsck: $found"
	[[ -z $least ]] || git merge-base --is-ancestor "$least" "$head" ||
		fails "HEAD is $head; $least was durable"
}

case $verb in
write) make ;;
check) check "$4" ;;
esac
