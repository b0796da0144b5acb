#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# fio.sh DIRECTORY SCRATCH HELPERS ENGINE [FIO_OPTION...]
#
# Random writes by two jobs, every block read back and compared with its
# checksum, in this run and in another one afterwards.
set -eu
dir=$1 scratch=$2 engine=$4
shift 4
cd "$scratch"

job() {
	fio --name=verified --directory="$dir" --numjobs=2 --size=8m \
		--ioengine="$engine" --rw=randwrite --verify=crc32c \
		--verify_fatal=1 --verify_state_save=0 --randseed=7 \
		--thread --group_reporting "${@}" >fio.out 2>&1 ||
		{ cat fio.out; exit 1; }
	if grep -qE 'verify: bad|err=[^ 0]' fio.out; then
		cat fio.out
		exit 1
	fi
}

for size in 4k 20k; do
	job --bs="$size" --do_verify=1 "$@"
	job --bs="$size" --verify_only=1 "$@"
done
