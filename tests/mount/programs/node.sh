#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# node.sh DIRECTORY SCRATCH HELPERS
set -eu
node "$(dirname "$0")/mmap_program.js" "$3/mmap_addon.node" "$1"
