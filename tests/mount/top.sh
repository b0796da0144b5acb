#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# msyncctl top: what it prints, and what it does on a terminal, which script(1)
# makes. Mounts are named: others of the machine are none of ours.
built=$(realpath -m "${MSYNCFS:-$(dirname "$0")/../../build/src/msyncfs}")
MSYNCCTL=${MSYNCCTL:-${built%/*}/msyncctl/msyncctl}
export MSYNCCTL
# shellcheck source=tests/lib/harness.sh
source "$(dirname "$0")/../lib/harness.sh"
export LC_ALL=C BASE
unset COLUMNS LINES NO_COLOR

# --- tools -----------------------------------------------------------------

top() {
	timeout 60 "$MSYNCCTL" top "$@"
}

# value EXPRESSION ARG...: Python's value of it, "m" being the first mount of
# the JSON.
value() {
	local expression=$1
	shift
	top --json "$@" >"$BASE/json" || return 1
	python3 -c 'import json, sys
j = json.load(open(sys.argv[1]))
m = j["mounts"][0]
print(eval(sys.argv[2]))' "$BASE/json" "$expression"
}

# is EXPECTED COMMAND...
is() {
	local expected=$1 got
	shift
	got=$("$@") || { echo "$*: status $?"; return 1; }
	[[ $got == "$expected" ]] && return 0
	echo "$*: $got"
	echo "expected: $expected"
	return 1
}

# fails STATUS PATTERN ARG...
fails() {
	local status=$1 pattern=$2 got=0
	shift 2
	top "$@" >"$BASE/out" 2>"$BASE/err" || got=$?
	[[ $got -eq $status ]] && grep -qE -- "$pattern" "$BASE/err" &&
		return 0
	echo "$*: status $got, expected $status with $pattern:"
	cat "$BASE/err"
	return 1
}

# Starts top on a terminal of 24 lines of 80; sets term, its directory, pid
# and script, whose. Keys are written to descriptor 9. What a test has open on
# the mount (7 and 8) is not script's: it would keep the mount busy.
start_top() {
	term=$(mktemp -d "$BASE/term.XXXXXX")
	mkfifo "$term/keys"
	cat >"$term/run" <<-'SCRIPT'
		tty >"$term/tty"
		stty rows 24 cols 80
		stty -g >"$term/before"
		trap : INT TERM HUP
		bash -c 'echo $$ >"$term/pid"; exec "$MSYNCCTL" top "$@"' - "$@"
		echo $? >"$term/status"
		stty -g >"$term/after"
	SCRIPT
	export term
	printf -v command ' %q' bash "$term/run" "$@"
	TERM=${terminal:-xterm} script -qfec "$command" "$term/typescript" \
		<"$term/keys" >/dev/null 2>&1 7>&- 8>&- &
	script=$!
	exec 9>"$term/keys"
	wait_until 20 test -s "$term/pid"
	pid=$(<"$term/pid")
}

# sees TEXT: it comes to be on the screen, which is drawn anew to find out.
sees() {
	wait_until 30 is_drawn "$1" && return 0
	echo "not on the screen: $1"
	tail -c 3000 "$term/typescript" | cat -v
	return 1
}

is_drawn() {
	local from
	from=$(stat -c %s "$term/typescript")
	kill -WINCH "$pid" || return 1
	sleep 0.1
	tail -c "+$((from + 1))" "$term/typescript" | grep -qF -- "$1"
}

is_not_drawn() {
	! is_drawn "$1"
}

key() {
	printf '%b' "$1" >&9
}

# ends STATUS: by itself; the terminal is as it was.
ends() {
	wait_until 30 test -s "$term/after" || {
		echo 'top still runs'
		return 1
	}
	exec 9>&-
	# Its status is top's, which is looked at below.
	wait "$script" || true
	is "$1" cat "$term/status"
	cmp "$term/before" "$term/after"
	# The main screen is back, and so is the cursor.
	[[ $1 -eq 1 || ${terminal:-xterm} != xterm ]] && return 0
	grep -qF $'\033[?1049l' "$term/typescript"
	tail -c 200 "$term/typescript" | grep -qF $'\033[?1049l'
}

no_reader() {
	! pgrep -f "msyncctl top .*$MNT" >/dev/null
}

fresh() {
	make_store
	mount_store "$@"
}

# --- snapshots -------------------------------------------------------------

a_snapshot_has_the_mount_and_its_files() {
	fresh
	mkdir "$MNT/dir"
	exec 8>"$MNT/dir/open file" 7>"$MNT/other"
	top -d 0.1 --once "$MNT" >"$BASE/out"
	head -n 1 "$BASE/out" | grep -qF "$MNT  up "
	head -n 1 "$BASE/out" | grep -qF "store $STORE"
	grep -q '  open 2$' "$BASE/out"
	grep -qE '  dir/open file$' "$BASE/out"
	grep -qE '  other$' "$BASE/out"
	! grep -q $'\033' "$BASE/out"
	exec 8>&- 7>&-
	drop_store
}

numbers_are_those_of_the_mount() {
	fresh data=daemon
	exec 8>"$MNT/file"
	is "$MNT" value 'm["mountpoint"]' -d 0.1 "$MNT"
	is None value 'm["trouble"]' -d 0.1 "$MNT"
	is 1 value 'm["open"]' -d 0.1 "$MNT"
	is 0 value 'm["write.bytes"]' -d 0.1 "$MNT"
	before=$(value 'm["files"][0]["requests"]' -d 0.1 "$MNT")
	for _ in {1..20}; do
		printf x >&8
	done
	is 20 value 'm["write.bytes"]' -d 0.1 "$MNT"
	is $((before + 20)) value 'm["files"][0]["requests"]' -d 0.1 "$MNT"
	# Nobody has written meanwhile.
	is 0.0 value 'm["write_bytes_per_second"]' -d 0.1 "$MNT"
	is True value 'm["requests_per_second"] > 0' -d 0.1 "$MNT"
	exec 8>&-
	drop_store
}

a_rate_is_of_the_time_between_two_looks() {
	fresh data=daemon
	exec 8>"$MNT/file"
	(
		while :; do
			printf '%01000d' 0 >&8
			sleep 0.01 8>&-
		done
	) &
	writer=$!
	is True value '0 < m["write_bytes_per_second"] <= 100000' -d 1 "$MNT"
	is True value 'm["files"][0]["requests_per_second"] > 0' "$MNT"
	kill "$writer"
	wait "$writer" || true
	exec 8>&-
	drop_store
}

what_is_dirtiest_comes_first_if_asked() {
	fresh sync=manual
	[[ $(getfattr --absolute-names --only-values -n user.msyncfs.stats \
		"$MNT") == *cachestat=yes* ]] ||
		{ echo 'no cachestat'; return 77; }
	exec 6>"$MNT/busy" 7>"$MNT/dirty"
	for _ in {1..50}; do
		printf x >&6
		exec 5>>"$MNT/busy" 5>&-
	done
	dd bs=1M count=1 if=/dev/zero status=none >&7
	is busy value 'm["files"][0]["path"]' -d 0.1 "$MNT"
	is dirty value 'm["files"][0]["path"]' -d 0.1 -s dirty "$MNT"
	is True value 'm["files"][0]["dirty_bytes"] > 500000' -d 0.1 \
		--sort=dirty "$MNT"
	exec 6>&- 7>&-
	drop_store
}

snapshots_are_counted() {
	fresh
	is 3 eval 'top -d 0.1 -n 3 "$MNT" | grep -c "^--- "'
	is 3 eval 'top -d 0.1 -n 3 --json "$MNT" | grep -c "\"time\""'
	# Without an end, until nobody reads.
	is "--- " eval 'top -d 0.1 -b "$MNT" | head -n 1 | cut -c 1-4'
	# A file on it stands for it.
	: >"$MNT/file"
	is "$MNT" value 'm["mountpoint"]' -d 0.1 "$MNT/file" "$MNT"
	is 1 value 'len(j["mounts"])' -d 0.1 "$MNT/file" "$MNT"
	drop_store
}

names_don_t_drive_the_terminal() {
	fresh
	exec 8>"$MNT/"$'a\nb\e[31m\x9bc'
	top -d 0.1 --once "$MNT" >"$BASE/out"
	tail -n 1 "$BASE/out" | grep -qE '  a.012b.033\[31m.c$'
	! LC_ALL=C grep -qE $'\033|\233' "$BASE/out"
	exec 8>&-
	drop_store
}

without_a_mount_it_says_so() {
	fails 3 "$BASE: not on an msyncfs mount" "$BASE"
	fails 1 "$BASE/none: No such file" "$BASE/none"
	[[ $EUID -eq 0 ]] || return 0
	# shellcheck disable=SC2016
	unshare --mount --propagation private bash -c '
		awk "\$0 ~ / - fuse.msyncfs / { print \$5 }" \
			/proc/self/mountinfo | xargs -r umount -l
		"$MSYNCCTL" top --once 2>"$BASE/err"
		[[ $? -eq 3 ]]
	'
	grep -qx 'msyncctl: no msyncfs is mounted' "$BASE/err"
}

wrong_options_are_refused() {
	fails 2 "'0' is no number of seconds" -d 0
	fails 2 "'nan' is no number" -d nan
	fails 2 "'x' is none of requests, dirty, sync" -s x
	fails 2 "'0' is no number of snapshots" -n 0
	fails 2 '^usage: msyncctl top' --fast
	[[ $(top --help) == *'Example: msyncctl top'* ]]
}

a_mount_that_hangs_is_told_in_a_snapshot() {
	local status=0
	fresh
	kill -STOP "$DAEMON_PID"
	top --once "$MNT" >"$BASE/out" || status=$?
	kill -CONT "$DAEMON_PID"
	[[ $status -eq 1 ]]
	grep -qE '^no answer for [0-9]+ s' "$BASE/out"
	drop_store
}

a_dead_daemon_is_told_in_a_snapshot() {
	local status=0
	fresh
	kill -KILL "$DAEMON_PID"
	wait_until 20 test -s "${MNT%/mnt}/status"
	top -d 0.1 --once "$MNT" >"$BASE/out" || status=$?
	[[ $status -eq 1 ]]
	grep -q 'the daemon has ended' "$BASE/out"
	umount "$MNT" || fusermount3 -u "$MNT"
}

# --- on a terminal ---------------------------------------------------------

the_screen_shows_the_mount_until_q() {
	fresh
	exec 8>"$MNT/open file"
	start_top -d 0.2 "$MNT"
	sees ' store /'
	sees 'open file'
	sees 'q quit'
	key q
	ends 0
	exec 8>&-
	drop_store
}

terminals_of_other_kinds_work() {
	local terminal
	fresh
	exec 8>"$MNT/file"
	for terminal in linux screen vt100 xterm-256color; do
		infocmp "$terminal" >/dev/null 2>&1 || continue
		start_top -d 0.2 "$MNT"
		sees 'REQUESTS'
		sees file
		key q
		ends 0
	done
	exec 8>&-
	drop_store
}

a_terminal_without_a_screen_is_refused() {
	local terminal
	fresh
	for terminal in dumb nonsense; do
		start_top "$MNT"
		ends 1
		grep -q "terminal of type .* use --once" "$term/typescript"
	done
	drop_store
}

keys_change_what_is_shown() {
	local holder
	fresh
	python3 -c 'import sys, time
files = [open("%s/file%d" % (sys.argv[1], i), "w") for i in range(10, 50)]
open(sys.argv[2], "w")
time.sleep(1000)' "$MNT" "$BASE/held" &
	holder=$!
	wait_until 20 test -e "$BASE/held"
	start_top -d 0.2 "$MNT"
	sees 'by requests'
	sees file10
	key s
	sees 'by dirty'
	key s
	sees 'by sync'
	key s
	sees 'by requests'
	key '?'
	sees 'TAB, 1-9'
	key '?'
	sees file10
	is_not_drawn file49
	# End, Home, the arrow down, page down, as an xterm sends them.
	key '\033OF'
	sees file49
	is_not_drawn file10
	key '\033OH'
	sees file10
	key '\033OB'
	wait_until 20 is_not_drawn file10
	key '\033OA'
	sees file10
	key '\033[6~'
	wait_until 20 is_not_drawn file10
	key q
	ends 0
	kill "$holder"
	wait "$holder" || true
	drop_store
}

# Nobody else asks the mount anything.
a_pause_asks_nothing() {
	local before own
	fresh
	start_top -d 0.1 "$MNT"
	sees 'up '
	key ' '
	sees PAUSED
	sleep 0.5
	# getfattr may ask twice, for the size and for the value.
	before=$(asked)
	own=$(($(asked) - before))
	sleep 1
	is $((before + 2 * own)) asked
	key ' '
	wait_until 20 is_not_drawn PAUSED
	wait_until 20 asks_again $((before + 20))
	key q
	ends 0
	drop_store
}

asked() {
	getfattr --absolute-names --only-values -n user.msyncfs.stats "$MNT" |
		sed -n 's/^requests.GETXATTR=//p'
}

asks_again() {
	[[ $(asked) -gt $1 ]]
}

a_signal_ends_it_well() {
	fresh
	start_top "$MNT"
	sees 'up '
	kill "-$1" "$pid"
	ends "$2"
	drop_store
}

the_interrupt_key_ends_it_well() {
	fresh
	start_top "$MNT"
	sees 'up '
	key '\003'
	ends 130
	drop_store
}

a_lost_terminal_ends_it() {
	fresh
	start_top "$MNT"
	sees 'up '
	# script has the terminal's other end.
	kill -KILL "$script"
	wait_until 30 eval '! kill -0 "$pid" 2>/dev/null'
	wait_until 20 no_reader
	exec 9>&-
	drop_store
}

it_follows_the_terminal_s_size() {
	local tty
	fresh
	exec 8>"$MNT/file"
	start_top -d 0.2 "$MNT"
	sees 'requests/s'
	tty=$(<"$term/tty")
	stty -F "$tty" rows 9 cols 30
	wait_until 20 is_not_drawn 'TAB next mount'
	sees 'q quit  s sort'
	stty -F "$tty" rows 1 cols 1
	sleep 0.3
	stty -F "$tty" rows 50 cols 200
	sees 'TAB next mount'
	sees file
	key q
	ends 0
	exec 8>&-
	drop_store
}

a_mount_that_hangs_does_not_hang_the_keys() {
	local first first_store second
	fresh
	first=$MNT
	first_store=$STORE
	fresh
	second=$MNT
	exec 8>"$second/hidden file"
	start_top -d 0.2 "$first" "$second"
	sees "[1 $first"
	is_not_drawn 'hidden file'
	kill -STOP "$DAEMON_PID"
	key 2
	sees 'hidden file'
	sees 'no answer for '
	key '\t'
	wait_until 20 is_not_drawn 'no answer for'
	sees 'up '
	kill -CONT "$DAEMON_PID"
	key '\t'
	sees 'hidden file'
	wait_until 20 is_not_drawn 'no answer for'
	# And the program ends while it hangs.
	kill -STOP "$DAEMON_PID"
	sees 'no answer for '
	key q
	wait_until 20 test -s "$term/after"
	kill -CONT "$DAEMON_PID"
	ends 0
	exec 8>&-
	drop_store
	MNT=$first
	STORE=$first_store
	drop_store
}

a_mount_that_goes_away_and_comes_back() {
	local where
	fresh
	where=$MNT
	start_top -d 0.2 "$MNT"
	sees 'up '
	unmount_store
	sees 'it has been unmounted'
	"$MSYNCFS" "$STORE" "$where"
	wait_until 20 is_not_drawn 'it has been unmounted'
	sees 'up '
	fusermount3 -u "$where"
	key q
	ends 0
}

[[ -x $MSYNCCTL ]] || bail "no msyncctl at $MSYNCCTL: build it first"
[[ -z $AS_USER || $EUID -ne 0 ]] ||
	skip_all "n/a: root asks about the mounts of another user"

t a_snapshot_has_the_mount_and_its_files a_snapshot_has_the_mount_and_its_files
t numbers_are_those_of_the_mount numbers_are_those_of_the_mount
t a_rate_is_of_the_time_between_two_looks \
	a_rate_is_of_the_time_between_two_looks
t what_is_dirtiest_comes_first_if_asked what_is_dirtiest_comes_first_if_asked
t snapshots_are_counted snapshots_are_counted
t names_don_t_drive_the_terminal names_don_t_drive_the_terminal
t without_a_mount_it_says_so without_a_mount_it_says_so
t wrong_options_are_refused wrong_options_are_refused
t a_mount_that_hangs_is_told_in_a_snapshot \
	a_mount_that_hangs_is_told_in_a_snapshot
t a_dead_daemon_is_told_in_a_snapshot a_dead_daemon_is_told_in_a_snapshot
if command -v script >/dev/null; then
	t the_screen_shows_the_mount_until_q the_screen_shows_the_mount_until_q
	t terminals_of_other_kinds_work terminals_of_other_kinds_work
	t a_terminal_without_a_screen_is_refused \
		a_terminal_without_a_screen_is_refused
	t keys_change_what_is_shown keys_change_what_is_shown
	t a_pause_asks_nothing a_pause_asks_nothing
	t sigterm_ends_it_well a_signal_ends_it_well TERM 143
	t sighup_ends_it_well a_signal_ends_it_well HUP 129
	t the_interrupt_key_ends_it_well the_interrupt_key_ends_it_well
	t a_lost_terminal_ends_it a_lost_terminal_ends_it
	t it_follows_the_terminal_s_size it_follows_the_terminal_s_size
	t a_mount_that_hangs_does_not_hang_the_keys \
		a_mount_that_hangs_does_not_hang_the_keys
	t a_mount_that_goes_away_and_comes_back \
		a_mount_that_goes_away_and_comes_back
else
	skip the_screen "script (bsdutils) is not installed"
fi
done_testing
