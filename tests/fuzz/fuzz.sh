#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Fuzzes what reads bytes from outside, for so many seconds:
#
#   tests/fuzz/fuzz.sh [SECONDS], or FUZZ_SECONDS
#
# Needs clang with libFuzzer. Builds in build-fuzz. An input that was too much
# is kept there, and goes through the same program to see it again:
#
#   build-fuzz/tests/fuzz/journal_fuzz build-fuzz/crash-...

cd "$(dirname "$0")/../.." || exit 1
. tests/lib/tap.sh
seconds=${1:-${FUZZ_SECONDS:-60}}
CASE_LIMIT=$((seconds + 600))
build='build-fuzz'
tap_output=$(mktemp)
corpus=$(mktemp -d)
trap 'tap_end_case; rm -rf "$tap_output" "$corpus"' EXIT
trap 'exit 130' INT TERM

fuzzer_is_built() {
	[[ -f $build/build.ninja ]] ||
		CC=clang meson setup "$build" --buildtype=debugoptimized \
			-Dfuzz=true
	ninja -C "$build" tests/fuzz/journal_fuzz tests/fuzz/journal_corpus
}

the_journal_reader_takes_any_bytes() {
	"$build/tests/fuzz/journal_corpus" "$corpus"
	"$build/tests/fuzz/journal_fuzz" -max_total_time="$seconds" \
		-max_len=65536 -timeout=10 -rss_limit_mb=2048 \
		-print_final_stats=1 -artifact_prefix="$build/" "$corpus"
	# Which inputs there were, and how fast, is worth knowing.
	grep -E '^stat::|^#[0-9]+.*DONE' "$tap_output" >"$build/fuzz.log"
}

if ! command -v clang >/dev/null; then
	skip_all "needs clang"
fi
t "the fuzzer is built" fuzzer_is_built
t "the journal reader takes any bytes, for $seconds s" \
	the_journal_reader_takes_any_bytes
sed 's/^/# /' "$build/fuzz.log" 2>/dev/null
done_testing
