#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# msyncctl as people and scripts use it: verbs on files and trees, what it
# prints, what it says when something is wrong, how it ends.
built=$(realpath -m "${MSYNCFS:-$(dirname "$0")/../../build/src/msyncfs}")
MSYNCCTL=${MSYNCCTL:-${built%/*}/msyncctl/msyncctl}
export MSYNCCTL
# shellcheck source=tests/lib/harness.sh
source "$(dirname "$0")/../lib/harness.sh"
export LC_ALL=C
unset COLUMNS NO_COLOR

# --- tools -----------------------------------------------------------------

ctl() {
	timeout "$((30 * SLOW))" "$MSYNCCTL" "$@"
}

# A store of its own for each case, with a file "f" of 256 KiB and a tree of
# two files, all clean.
fresh() {
	make_store
	mkdir -p "$STORE/tree/sub"
	head -c 256K /dev/zero | tr '\0' x >"$STORE/f"
	# Whole blocks: writes change no size, so no journal writes their data.
	head -c 4K "$STORE/f" | tee "$STORE/tree/one" >"$STORE/tree/sub/two"
	sync -f "$STORE"
	mount_store "$@"
}

# is EXPECTED COMMAND...: exactly this on standard output, status 0.
is() {
	local expected=$1 got
	shift
	got=$("$@") || { echo "$*: status $?"; return 1; }
	[[ $got == "$expected" ]] || {
		echo "$*: $got"
		echo "expected: $expected"
		return 1
	}
}

# fails STATUS PATTERN ARG...: msyncctl ends with it, and one line of standard
# error has the pattern.
fails() {
	local status=$1 pattern=$2 got=0
	shift 2
	ctl "$@" >"$BASE/out" 2>"$BASE/err" || got=$?
	[[ $got -eq $status ]] && grep -qE -- "$pattern" "$BASE/err" &&
		return 0
	echo "$*: status $got, expected $status with $pattern:"
	cat "$BASE/err"
	return 1
}

# json EXPRESSION ARG...: Python's value of the expression on the JSON, "j".
json() {
	local expression=$1
	shift
	ctl "$@" --json | python3 -c '
import json, sys
j = json.load(sys.stdin)
print(eval(sys.argv[1]))' "$expression"
}

# Pages of tmpfs are the data: never clean, and dropped only to swap.
needs_page_cache() {
	[[ $FS != tmpfs ]] && return
	echo "n/a: tmpfs has no pages that can be dropped"
	exit 77
}

needs_cachestat() {
	needs_page_cache
	[[ $(ctl stats "$MNT") == *cachestat=yes* ]] && return
	echo "no cachestat(2)"
	exit 77
}

# write_page FILE N: page N (of 4 KiB) becomes dirty and no other does: what
# is in memory may be there in larger pieces, which get dirty as a whole.
write_page() {
	ctl advise pageout@"$(($2 / 16 * 64))K+64K" "$1"
	head -c 4K /dev/zero |
		dd of="$1" bs=4K seek="$2" conv=notrunc status=none
}

# on_terminal COLUMNS COMMAND...: in a terminal of that width; what it shows.
on_terminal() {
	local columns=$1 words
	shift
	printf -v words '%q ' "$@"
	TERM=xterm timeout "$((60 * SLOW))" script -qefc \
		"stty cols $columns rows 25; $words" /dev/null </dev/null
}

requests() {
	ctl stats "$MNT" | sed -n "s/^requests.$1=//p"
}

# --- policies ----------------------------------------------------------------

a_policy_is_set_shown_and_removed() {
	fresh
	is 'sync=strict  (builtin)' ctl get sync "$MNT/f"
	is '' ctl set sync=every=2s "$MNT/f"
	is 'sync=every=2s' ctl get sync "$MNT/f"
	is 'every=2s' ctl get --value sync "$MNT/f"
	is 'every=2s' getfattr --only-values --absolute-names \
		-n user.msyncfs.sync "$MNT/f"
	is '' ctl unset sync "$MNT/f"
	is 'sync=strict  (builtin)' ctl get sync "$MNT/f"
	is '' ctl get --set sync "$MNT/f"
	is '' ctl unset sync "$MNT/f"
}

several_policies_are_set_at_once() {
	fresh
	ctl set sync=manual advise=random "$MNT/f" "$MNT/tree/one"
	is "$(printf '%s: advise=random\n%s: sync=fsync=defer\n' \
		"$MNT/f" "$MNT/f"
		printf '%s: advise=random\n%s: sync=fsync=defer\n' \
			"$MNT/tree/one" "$MNT/tree/one")" \
		ctl get --set advise sync "$MNT/f" "$MNT/tree/one"
}

where_a_value_comes_from_is_shown() {
	fresh sync=every=7s
	is 'sync=every=7s  (mount)' ctl get sync "$MNT/f"
	is 'advise=normal  (builtin)' ctl get advise "$MNT/f"
	is 'mount' json 'j[0]["attributes"]["sync"]["from"]' \
		get sync "$MNT/f"
	ctl set sync=strict "$MNT/f"
	is 'file' json 'j[0]["attributes"]["sync"]["from"]' get "$MNT/f"
}

every_policy_is_shown_without_a_name() {
	fresh
	is "$(ctl help attributes --json | python3 -c '
import json, sys
for a in json.load(sys.stdin):
    if a["kind"] == "policy":
        print(a["name"])')" eval 'ctl get "$MNT/f" | sed "s/=.*//"'
}

a_refusal_says_what_was_expected() {
	fresh
	fails 1 "$MNT/f: sync=evry=5s: refused by the mount: expected strict" \
		set sync=evry=5s "$MNT/f"
	fails 1 'data=fast: .*auto\|kernel\|daemon' set data=fast "$MNT/f"
	fails 1 'map=copied: .*shared\|private\|staged' set map=copied "$MNT/f"
	fails 1 'discard.now=all: not available' \
		set discard.now=all "$MNT/f"
	fails 1 'grow=max=.*: too large' set grow=max=999999999T "$MNT/f"
	fails 1 'advise.now=nonsense: refused' advise nonsense "$MNT/f"
	fails 1 'advise.now is for regular files' \
		set advise.now=cold "$MNT/tree"
	is '' ctl get --set "$MNT/f"
}

the_command_line_is_checked_first() {
	fresh
	fails 2 'speed: no such attribute' set sync=manual speed=1 "$MNT/f"
	fails 2 'status can only be read' set status=1 "$MNT/f"
	fails 2 'advise.now can only be set' get advise.now "$MNT/f"
	fails 2 'sync.now is no policy' unset sync.now "$MNT/f"
	fails 2 'FILE is missing' set sync=manual
	fails 2 'NAME=VALUE is missing' set "$MNT/f"
	fails 2 'option --fast is unknown' get --fast "$MNT/f"
	fails 2 'option -x is unknown' set -x "$MNT/f"
	fails 2 'expected OFFSET\+LENGTH' sync --range=5 "$MNT/f"
	fails 2 '--watch=soon: expected seconds' residency --watch=soon "$MNT/f"
	fails 2 'no such verb' frobnicate
	fails 2 '^usage: msyncctl'
	is '' ctl get --set "$MNT/f"
}

another_user_is_refused() {
	local -a user=(setpriv --reuid=65534 --regid=65534 --clear-groups)
	[[ $EUID -eq 0 ]] || { echo "needs root"; return 77; }
	fresh
	install -m 755 "$MSYNCCTL" "$BASE/ctl"
	MSYNCCTL=$BASE/ctl
	ctl() { "${user[@]}" "$MSYNCCTL" "$@"; }
	is 'strict' ctl get --value sync "$MNT/f"
	fails 1 "$MNT/f: sync=manual: not permitted" set sync=manual "$MNT/f"
	fails 1 "$MNT/f: sync=manual: not permitted" \
		set -n sync=manual "$MNT/f"
}

# --- trees -------------------------------------------------------------------

a_tree_gets_a_policy_and_loses_it() {
	fresh
	ctl set -R sync=manual "$MNT/tree"
	is "$(printf '%s: sync=fsync=defer\n' "$MNT/tree" "$MNT/tree/one" \
		"$MNT/tree/sub" "$MNT/tree/sub/two")" ctl get -R "$MNT/tree"
	is 'strict' ctl get --value sync "$MNT/f"
	: >"$MNT/tree/sub/new"
	is 'fsync=defer' ctl get --value sync "$MNT/tree/sub/new"
	ctl unset -R sync "$MNT/tree"
	is '' ctl get -R "$MNT/tree"
}

# With a file system of its own mounted inside, where there is root.
a_tree_ends_at_links_mounts_and_other_kinds() {
	fresh
	ln -s ../f "$MNT/tree/link"
	ln -s .. "$MNT/tree/up"
	mkfifo "$MNT/tree/pipe"
	mkdir "$MNT/tree/other"
	if [[ $EUID -eq 0 && -z $AS_USER ]]; then
		mount -t tmpfs -o size=1M none "$MNT/tree/other"
		: >"$MNT/tree/other/file"
	fi
	is "$(printf '%s: sync: strict (builtin) -> manual\n' "$MNT/tree" \
		"$MNT/tree/one" "$MNT/tree/sub" "$MNT/tree/sub/two" |
		if mountpoint -q "$MNT/tree/other"; then cat; else
			sed "2a$MNT/tree/other: sync: strict (builtin) -> manual"
		fi)" \
		ctl set -R -v sync=manual "$MNT/tree"
	! mountpoint -q "$MNT/tree/other" || umount "$MNT/tree/other"
	is 'strict' ctl get --value sync "$MNT/f"
	fails 1 'sync is for regular files and directories' \
		set sync=manual "$MNT/tree/pipe"
	# A link that is named is followed.
	ctl set sync=manual "$MNT/tree/link"
	is 'fsync=defer' ctl get --value sync "$MNT/f"
}

a_dry_run_changes_nothing() {
	fresh
	ctl set advise=random "$MNT/tree/one"
	is "$(printf '%s: advise: %s -> sequential\n' \
		"$MNT/tree" 'normal (builtin)' "$MNT/tree/one" random \
		"$MNT/tree/sub" 'normal (builtin)' \
		"$MNT/tree/sub/two" 'normal (builtin)')" \
		ctl set -n -R advise=sequential "$MNT/tree"
	is "$MNT/tree/one: advise: random -> the mount's default" \
		ctl unset -n -R advise "$MNT/tree"
	is 'True random' json \
		'"%s %s" % (j[0]["dry_run"], j[0]["changes"][0]["old"])' \
		set -n advise=normal "$MNT/tree/one"
	is "$MNT/tree/one: advise=random" ctl get -R "$MNT/tree"
	before=$(requests SETXATTR)
	ctl sync -n "$MNT/f"
	ctl advise -n dontneed "$MNT/f"
	ctl lock -n "$MNT/f"
	is "$before" requests SETXATTR
}

a_failed_file_does_not_stop_the_others() {
	fresh
	fails 1 "$MNT/none: No such file" \
		set sync=manual "$MNT/none" "$MNT/f"
	is 'fsync=defer' ctl get --value sync "$MNT/f"
}

# Deeper than a process may have descriptors by default.
a_deep_tree_is_walked() {
	local depth=1500 path=$MNT
	fresh
	(
		ulimit -n "$(ulimit -Hn)"
		python3 - "$MNT" $depth <<-'PYTHON'
			import os, sys
			os.chdir(sys.argv[1])
			for i in range(int(sys.argv[2])):
			    os.mkdir("d")
			    os.chdir("d")
		PYTHON
	)
	[[ $(ulimit -Hn) -gt 3000 ]] || { echo "too few descriptors"; return 77; }
	ulimit -Sn 1024
	ctl set -R sync=manual "$MNT/d"
	is "$depth" eval 'ctl get -R "$MNT/d" | wc -l'
	rm -rf "$MNT/d"
}

files_may_be_called_as_attributes_are() {
	fresh
	: >"$MNT/sync"
	(cd "$MNT" && ctl set sync=manual ./sync)
	is 'sync=fsync=defer' ctl get sync "$MNT/sync"
	(cd "$MNT" && is 'sync=fsync=defer' ctl get --set ./sync)
}

names_with_control_bytes_stay_on_their_line() {
	local name=$'a\nb\e[31m'
	fresh
	: >"$MNT/$name"
	is "$MNT/a\\012b\\033[31m: sync: strict (builtin) -> manual" \
		ctl set -v sync=manual "$MNT/$name"
	fails 1 "a\\\\012b\\\\033\[31m: sync=x: refused" \
		set sync=x "$MNT/$name"
	is "1" eval 'wc -l <"$BASE/err"'
	is "True" json "j[0]['file'].endswith('a\\nb\\x1b[31m')" \
		get "$MNT/$name"
	: >"$MNT/$(printf 'x\377')"
	is "True" json "j[0]['file'].endswith('x\\ufffd')" \
		get "$MNT/$(printf 'x\377')"
}

# --- actions -----------------------------------------------------------------

advise_loads_and_drops() {
	needs_page_cache
	fresh
	ctl advise pageout "$MNT/f"
	is 0 json 'j[0]["resident"]' residency "$MNT/f"
	ctl advise populate-read@64K+128K "$MNT/f"
	is 131072 json 'j[0]["resident"]' residency "$MNT/f"
	ctl advise -R dontneed "$MNT"
	is 0 json 'j[0]["resident"]' residency "$MNT/f"
	fails 1 "$MNT/tree: advise.now is for regular files" \
		advise cold "$MNT/tree"
}

# The kernel may write anything at any time when others on the machine dirty a
# lot, so what is to be dirty is tried again.
page_gets_dirty() {
	write_page "$1" 0
	[[ $(json 'j[0]["dirty"]' residency "$1") -eq 4096 ]]
}

sync_makes_files_clean() {
	fresh sync=manual
	needs_cachestat
	wait_until 30 page_gets_dirty "$MNT/f"
	ctl sync "$MNT/f"
	is 0 json 'j[0]["dirty"]' residency "$MNT/f"
	wait_until 30 page_gets_dirty "$MNT/tree/one"
	ctl sync "$MNT"
	is 0 json 'j[0]["dirty"]' residency "$MNT/tree/one"
	wait_until 30 page_gets_dirty "$MNT/tree/one"
	ctl sync -R "$MNT/tree"
	is 0 json 'j[0]["dirty"]' residency "$MNT/tree/one"
}

# Of pages 0 and 32 just the second is synced.
only_the_range_is_synced() {
	write_page "$MNT/f" 0
	write_page "$MNT/f" 32
	ctl sync --range=128K+4K "$MNT/f"
	[[ $(json '[j[0]["cells"][i] for i in (0, 32)]' residency "$MNT/f") \
		== "['dirty', 'in memory']" ]]
}

sync_takes_ranges_and_invalidates() {
	fresh sync=manual
	needs_cachestat
	# btrfs knows no range: it syncs the file.
	[[ $FS == btrfs ]] || wait_until 30 only_the_range_is_synced
	write_page "$MNT/f" 0
	ctl sync --invalidate "$MNT/f"
	is 0 json 'j[0]["resident"]' residency "$MNT/f"
}

sync_of_a_directory_says_what_to_do() {
	fresh
	fails 1 "$MNT/tree: is a directory: use -R" sync "$MNT/tree"
	fails 1 "$MNT: is a mountpoint, which has no ranges" \
		sync --range=0+1 "$MNT"
	ctl sync --start "$MNT/f"
}

lock_sets_the_policy() {
	[[ $EUID -eq 0 && -z $AS_USER ]] || { echo "needs root"; return 77; }
	fresh lock-limit=512K
	head -c 1M /dev/zero >"$MNT/big"
	ctl lock "$MNT/f"
	is 'on' ctl get --value lock "$MNT/f"
	is 262144 json 'j[0]["status"]["locked"]' status "$MNT/f"
	fails 1 "$MNT/big: lock=on: .*lock limit" lock "$MNT/big"
	ctl lock onfault "$MNT/f"
	is 'onfault' ctl get --value lock "$MNT/f"
	ctl lock off "$MNT/f"
	is 'off' ctl get --value lock "$MNT/f"
	is 0 json 'j[0]["status"]["locked"]' status "$MNT/f"
}

# --- what is shown -----------------------------------------------------------

residency_draws_the_file() {
	needs_page_cache
	fresh
	ctl advise pageout "$MNT/f"
	is "$(printf '................\n%s' \
		'0 B of 256 KiB in memory (0%)')" \
		eval 'COLUMNS=16 ctl residency "$MNT/f" | sed "s/,.*//"'
	ctl advise populate-read@64K+64K "$MNT/f"
	ctl advise populate-read@128K+4K "$MNT/f"
	is "$(printf '....####-.......\n%s' \
		'68 KiB of 256 KiB in memory (26%)')" \
		eval 'COLUMNS=16 ctl residency "$MNT/f" | sed "s/,.*//"'
	is '8' eval 'COLUMNS=4 ctl residency --rows=8 "$MNT/f" |
		grep -cE "^[.#-]{4}\$"'
	: >"$MNT/empty"
	is '0 B of 0 B in memory (0%)' \
		eval 'ctl residency "$MNT/empty" | sed "s/,.*//"'
}

a_dirty_page_is_drawn() {
	write_page "$MNT/f" 0
	COLUMNS=16 ctl residency "$MNT/f" >"$BASE/out"
	grep -qE '^d[#.-]{15}$' "$BASE/out" &&
		grep -q ', 4 KiB dirty, 0 B being written$' "$BASE/out"
}

residency_shows_dirty_pages() {
	fresh sync=manual
	needs_cachestat
	wait_until 30 a_dirty_page_is_drawn
	wait_until 30 page_gets_dirty "$MNT/f"
	ctl sync "$MNT/f"
	is 'in memory' json 'j[0]["cells"][0]' residency "$MNT/f"
}

the_picture_uses_blocks_in_a_utf_8_locale() {
	fresh
	ctl advise populate-read "$MNT/f"
	is '████' eval 'LC_ALL=C.UTF-8 COLUMNS=4 ctl residency "$MNT/f" |
		head -n 1'
}

watch_draws_until_it_is_interrupted() {
	local pid status=0
	fresh
	# A background job's SIGINT is ignored otherwise.
	env --default-signal=INT "$MSYNCCTL" residency --watch=0.1 "$MNT/f" \
		>"$BASE/out" &
	pid=$!
	wait_until 20 drawn_thrice
	kill -INT "$pid"
	wait "$pid" || status=$?
	[[ $status -eq 0 ]] || { echo "status $status"; return 1; }
	# Whole pictures only.
	[[ $(tail -n 1 "$BASE/out") == *'in memory'* ]]
}

drawn_thrice() {
	[[ $(grep -c 'in memory' "$BASE/out") -ge 3 ]]
}

status_and_stats_are_key_value_lines() {
	fresh
	ctl status "$MNT/f" >"$BASE/out"
	grep -qx 'type=file' "$BASE/out"
	grep -qx 'size=262144' "$BASE/out"
	is 0 eval 'grep -cvE "^[a-z][a-z0-9_.]*=" "$BASE/out" || true'
	grep -qx 'sync.from=builtin' "$BASE/out"
	ctl status "$MNT/f" "$MNT/tree" >"$BASE/out"
	is "$(printf '%s:\n' "$MNT/f" "$MNT/tree")" grep ':$' "$BASE/out"
	is 'directory' json 'j[0]["status"]["type"]' status "$MNT/tree"
	is '262144' json 'j[0]["status"]["size"]' status "$MNT/f"
	# Any file stands for its mount.
	is "$STORE" json 'j[0]["stats"]["store"]' stats "$MNT/tree/one"
	is "True" json 'isinstance(j[0]["stats"]["requests.LOOKUP"], int)' \
		stats "$MNT"
	is "$MNT" json \
		"[x['file'] for x in j if x['file'] == '$MNT'][0]" stats
}

a_bind_mount_of_a_part_is_no_root() {
	[[ $EUID -eq 0 && -z $AS_USER ]] || { echo "needs root"; return 77; }
	fresh
	mkdir "$BASE/bound"
	mount --bind "$MNT/tree" "$BASE/bound"
	is "$STORE" json 'j[0]["stats"]["store"]' stats "$BASE/bound/one"
	fails 1 'is a directory: use -R' sync "$BASE/bound"
	ctl set sync=manual "$BASE/bound/one"
	is 'fsync=defer' ctl get --value sync "$MNT/tree/one"
	umount "$BASE/bound"
}

nothing_is_opened() {
	fresh
	before=$(requests OPEN)
	ctl get -R "$MNT"
	ctl set -R sync=manual "$MNT"
	ctl status "$MNT/f"
	ctl residency "$MNT/f"
	is "$before" requests OPEN
}

# --- a terminal --------------------------------------------------------------

colours_are_for_terminals() {
	fresh
	is '0' eval 'ctl residency "$MNT/f" | grep -c $'"'\e'"' || true'
	[[ $(on_terminal 40 "$MSYNCCTL" residency "$MNT/f") == *$'\e['* ]]
	[[ $(NO_COLOR=1 on_terminal 40 "$MSYNCCTL" residency "$MNT/f") != \
		*$'\e['* ]]
}

the_picture_is_as_wide_as_the_terminal() {
	fresh
	ctl advise populate-read "$MNT/f"
	is '37' eval 'NO_COLOR=1 on_terminal 37 "$MSYNCCTL" residency \
		"$MNT/f" | head -n 1 | tr -cd "#" | wc -c'
}

# 70 MiB are 5 pieces of 16; a sync of the whole follows.
large_files_are_done_in_pieces_at_a_terminal() {
	local before
	fresh
	truncate -s 70M "$MNT/large"
	before=$(requests SETXATTR)
	ctl sync "$MNT/large"
	ctl advise willneed "$MNT/large"
	is $((before + 2)) requests SETXATTR
	on_terminal 80 "$MSYNCCTL" sync "$MNT/large"
	is $((before + 8)) requests SETXATTR
	on_terminal 80 "$MSYNCCTL" advise willneed "$MNT/large"
	is $((before + 13)) requests SETXATTR
	on_terminal 80 "$MSYNCCTL" advise normal "$MNT/large"
	is $((before + 14)) requests SETXATTR
}

# --- how it ends -------------------------------------------------------------

elsewhere_is_said_so() {
	fresh
	: >"$BASE/plain"
	fails 3 "$BASE/plain: not on an msyncfs mount \(it is on [a-z0-9.]+ at /" \
		get "$BASE/plain"
	fails 3 'not on an msyncfs mount' set sync=manual "$BASE/plain"
	fails 3 'not on an msyncfs mount' residency /proc/self/status
	fails 3 'not on an msyncfs mount' stats "$BASE/plain"
	# The others are done all the same.
	fails 3 "$BASE/plain: not on" set sync=manual "$BASE/plain" "$MNT/f"
	is 'fsync=defer' ctl get --value sync "$MNT/f"
}

a_mount_that_hangs_is_not_waited_for() {
	local status=0
	fresh
	kill -STOP "$DAEMON_PID"
	fails 1 "$MNT: stats: no answer: the daemon or its store hangs" \
		stats "$MNT" &&
		fails 1 "$MNT: metrics: no answer" stats --prometheus ||
		status=1
	kill -CONT "$DAEMON_PID"
	[[ $status -eq 0 ]]
	ctl stats "$MNT" | grep -q '^version='
	unmount_store
}

what_to_do_with_a_dead_mount_is_said() {
	fresh
	kill -KILL "$DAEMON_PID"
	wait_until 20 test -s "${MNT%/mnt}/status"
	fails 1 "$MNT/f: .*has ended: umount or fusermount3 -u" get sync \
		"$MNT/f"
	fails 1 "$MNT: .*has ended: umount or fusermount3 -u" set \
		sync=relaxed "$MNT"
	fails 1 "$MNT: .*has ended: umount or fusermount3 -u" sync "$MNT"
	fails 1 "$MNT: .*has ended: fusermount3 -u or umount" stats
	umount "$MNT" || fusermount3 -u "$MNT"
}

errors_are_in_the_json() {
	fresh
	ctl --json get "$MNT/none" "$MNT/f" >"$BASE/out" 2>"$BASE/err" &&
		return 1
	is 'No such file or directory|True' python3 -c '
import json, sys
j = json.load(open(sys.argv[1]))
print(j[0]["error"], "attributes" in j[1], sep="|")' "$BASE/out"
}

every_verb_s_json_is_json() {
	fresh
	is 1 json 'len(j)' set sync=manual "$MNT/f"
	is 4 json 'len(j)' set -R -v sync=manual "$MNT/tree"
	is 1 json 'len(j)' unset sync "$MNT/f"
	is 'willneed' json 'j[0]["advice"]' advise willneed "$MNT/f"
	is 'wait' json 'j[0]["sync"]' sync "$MNT/f"
	is 64 json 'len(j[0]["cells"])' residency "$MNT/f"
	is 1 json 'len(j)' lock off "$MNT/f"
	is 'policy' json 'j[0]["kind"]' help attributes
}

a_full_disk_is_an_error() {
	fresh
	ctl status "$MNT/f" >/dev/full 2>"$BASE/err" && return 1
	grep -q 'standard output: No space left' "$BASE/err"
}

help_and_version_succeed() {
	local verb
	ctl --help | grep -q '^usage: msyncctl'
	ctl -h >/dev/null
	ctl help >/dev/null
	ctl help attributes | grep -q '^sync.now'
	ctl --version | grep -qE '^msyncctl [0-9]'
	for verb in get set unset advise sync lock residency status stats \
		top doctor; do
		ctl "$verb" --help | grep -q "^Example: msyncctl $verb "
		is "$(ctl "$verb" --help)" ctl help "$verb"
	done
}

# --- all of them -------------------------------------------------------------

# Each with a store of its own, which is gone afterwards.
case_of() {
	"$@"
	drop_store
}

[[ -x $MSYNCCTL ]] || bail "no msyncctl at $MSYNCCTL: build it first"
[[ -z $SANITIZER ]] || CASE_LIMIT=300

for name in a_policy_is_set_shown_and_removed \
	several_policies_are_set_at_once \
	where_a_value_comes_from_is_shown \
	every_policy_is_shown_without_a_name \
	a_refusal_says_what_was_expected \
	the_command_line_is_checked_first \
	another_user_is_refused \
	a_tree_gets_a_policy_and_loses_it \
	a_tree_ends_at_links_mounts_and_other_kinds \
	a_dry_run_changes_nothing \
	a_failed_file_does_not_stop_the_others \
	a_deep_tree_is_walked \
	files_may_be_called_as_attributes_are \
	names_with_control_bytes_stay_on_their_line \
	advise_loads_and_drops sync_makes_files_clean \
	sync_takes_ranges_and_invalidates \
	sync_of_a_directory_says_what_to_do \
	lock_sets_the_policy \
	residency_draws_the_file \
	residency_shows_dirty_pages \
	the_picture_uses_blocks_in_a_utf_8_locale \
	watch_draws_until_it_is_interrupted \
	status_and_stats_are_key_value_lines \
	a_bind_mount_of_a_part_is_no_root \
	nothing_is_opened \
	colours_are_for_terminals \
	the_picture_is_as_wide_as_the_terminal \
	large_files_are_done_in_pieces_at_a_terminal \
	elsewhere_is_said_so \
	a_mount_that_hangs_is_not_waited_for \
	what_to_do_with_a_dead_mount_is_said \
	errors_are_in_the_json \
	every_verb_s_json_is_json \
	a_full_disk_is_an_error \
	help_and_version_succeed; do
	t "$name" case_of "$name"
done
done_testing
