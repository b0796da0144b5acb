#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# git.sh DIRECTORY SCRATCH HELPERS
#
# A repository made, packed, cloned and checked, all in DIRECTORY.
set -eu
dir=$1 scratch=$2
export HOME=$scratch GIT_CONFIG_NOSYSTEM=1
export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@example.org
export GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@example.org
files=1500

fill() {
	local folder
	for ((folder = 0; folder < files / 50; folder++)); do
		mkdir -p "folder $folder/deeper"
		seq -f "$1 $folder line %g" 400 |
			split -l 8 -a 3 - "folder $folder/deeper/f"
	done
	printf '#!/bin/sh\necho run\n' >run.sh
	chmod +x run.sh
	ln -sf run.sh link
}

git init -q -b main "$dir/origin"
cd "$dir/origin"
fill first
git add -A
git commit -q -m first
[[ $(git ls-files | wc -l) -eq $((files + 2)) ]]
fill second
git commit -q -a -m second
git checkout -q -b side HEAD~1
git mv 'folder 1' moved
git commit -q -m move
git merge -q -m merge main
git gc -q --aggressive --prune=now
git fsck --strict --no-progress
git clone -q --no-local "$dir/origin" "$dir/copied"
git clone -q "$dir/origin" "$dir/linked"
for clone in copied linked; do
	cd "$dir/$clone"
	git fsck --strict --no-progress
	[[ -z $(git status --porcelain) ]]
	./run.sh >/dev/null
	diff -r --exclude=.git "$dir/origin" .
done
rm -rf "$dir/linked"
[[ ! -e $dir/linked ]]
