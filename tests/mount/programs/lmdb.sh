#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# lmdb.sh DIRECTORY SCRATCH HELPERS default|writemap|mapasync
#
# Two processes write and read one environment; another looks afterwards, and
# so does LMDB's own tool on a copy.
set -eu
dir=$1 scratch=$2 work=$3/lmdb_work mode=$4
mkdir "$dir/env" "$scratch/copy" "$dir/compact"
"$work" "$dir/env" "$mode" 40
"$work" "$dir/env" check 40
mdb_copy "$dir/env" "$scratch/copy"
mdb_copy -c "$dir/env" "$dir/compact"
for env in "$dir/env" "$scratch/copy" "$dir/compact"; do
	"$work" "$env" check 40
	mdb_stat -a "$env" | grep -q 'Entries: 400$'
done
