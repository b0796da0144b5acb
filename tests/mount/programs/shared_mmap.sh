#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# shared_mmap.sh DIRECTORY SCRATCH HELPERS
set -eu
"$3/shared_mmap" "$1/shared" 4000
