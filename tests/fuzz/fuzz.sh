#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Fuzzes what reads bytes from outside, for so many seconds:
#
#   tests/fuzz/fuzz.sh [SECONDS], or FUZZ_SECONDS, for each of them
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
	ninja -C "$build" tests/fuzz/journal_fuzz tests/fuzz/journal_corpus \
		tests/fuzz/policy_fuzz
}

the_journal_reader_takes_any_bytes() {
	"$build/tests/fuzz/journal_corpus" "$corpus"
	"$build/tests/fuzz/journal_fuzz" -max_total_time="$seconds" \
		-max_len=65536 -timeout=10 -rss_limit_mb=2048 \
		-print_final_stats=1 -artifact_prefix="$build/" "$corpus"
	# Which inputs there were, and how fast, is worth knowing.
	grep -E '^stat::|^#[0-9]+.*DONE' "$tap_output" >"$build/fuzz.log"
}

# PATH, a newline, RULES: what the inputs begin with.
policy_corpus() {
	mkdir "$corpus/policies"
	printf 'a/b\n**/b sync=manual\n[!c]/** map=staged # x\n' \
		>"$corpus/policies/1"
	printf 'a b/c.db\n"a b/"*.db lock=on\na\\ b/ grow=trim,max=1M\n' \
		>"$corpus/policies/2"
	printf '\n/ sync=relaxed+every=2s data=auto advise=random append=on\n' \
		>"$corpus/policies/3"
}

policy_files_may_be_any_bytes() {
	policy_corpus
	"$build/tests/fuzz/policy_fuzz" -max_total_time="$seconds" \
		-max_len=2048 -timeout=10 -rss_limit_mb=2048 \
		-print_final_stats=1 -artifact_prefix="$build/" \
		"$corpus/policies"
	grep -E '^stat::|^#[0-9]+.*DONE' "$tap_output" >>"$build/fuzz.log"
}

if ! command -v clang >/dev/null; then
	skip_all "needs clang"
fi
t "the fuzzer is built" fuzzer_is_built
t "the journal reader takes any bytes, for $seconds s" \
	the_journal_reader_takes_any_bytes
t "policy files may be any bytes, for $seconds s" policy_files_may_be_any_bytes
sed 's/^/# /' "$build/fuzz.log" 2>/dev/null
done_testing
