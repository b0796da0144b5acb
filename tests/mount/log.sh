#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# What the daemon tells people, and where: events with names and advice, no
# more of them than anybody reads, to a file and to the journal, for which a
# program listens in a /run of our own.
# shellcheck source=tests/lib/harness.sh
source "$(dirname "$0")/../lib/harness.sh"
# shellcheck source=tests/lib/control.sh
source "$SRCDIR/tests/lib/control.sh"

[[ $EUID -eq 0 && -z $AS_USER ]] ||
	skip_all "n/a: the journal's socket is made by root"

JOURNAL=/run/systemd/journal/socket

# --- tools -------------------------------------------------------------------

# A value that is refused; each file is told of in one line.
refuse() {
	setfattr -n user.msyncfs.sync -v never "$@" 2>/dev/null || true
}

# Each message becomes one line, its fields divided by tabs.
messages() {
	awk 'BEGIN { RS = ""; FS = "\n"; OFS = "\t" } { $1 = $1; print }' \
		"$BASE/journal"
}

# message_of EVENT: the last one.
message_of() {
	messages | grep -P "\tMSYNCFS_EVENT=$1(\t|$)" | tail -n 1
}

is_told() {
	[[ -n $(message_of "$1") ]]
}

# has_fields EVENT FIELD=VALUE...: its last message has exactly these.
has_fields() {
	local event=$1 text field
	shift
	wait_until 30 is_told "$event" || {
		echo "the journal has no $event:"
		cat "$BASE/journal"
		return 1
	}
	text=$(message_of "$event")
	for field in "$@"; do
		grep -qF $'\t'"$field"$'\t' <<<$'\t'"$text"$'\t' || {
			echo "no $field in $text"
			return 1
		}
	done
}

start_journal() {
	[[ -d ${JOURNAL%/*} ]] || mkdir -p "${JOURNAL%/*}"
	rm -f "$JOURNAL"
	setsid "$(helper journal_reader)" "$JOURNAL" >"$BASE/journal" &
	echo $! >"$BASE/journal.pid"
	disown
	wait_until 10 test -S "$JOURNAL"
}

stop_journal() {
	local pid
	pid=$(<"$BASE/journal.pid")
	kill -CONT "$pid"
	kill "$pid"
	rm -f "$JOURNAL" "$BASE/journal.pid"
}

# --- lines -------------------------------------------------------------------

lines_end_in_their_name() {
	mount_store
	touch "$STORE/file"
	refuse "$MNT/file"
	unmount_store
	cat "$LOG"
	grep -qxE "msyncfs: mounted at $MNT, .* \[mounted\]" "$LOG"
	# Not the faster path: the line says what that takes.
	if grep -q "data path daemon" "$LOG" && [[ $DATA != daemon ]]; then
		grep -qE "data path daemon \(the kernel's takes .*\)" "$LOG"
	fi
	grep -qxE "msyncfs: warning: $STORE/file: user\.msyncfs\.sync.*;\
 nothing was changed; see msyncfs-xattr\(7\) \[attribute-refused\]" "$LOG"
	grep -qxE "msyncfs: unmounted from $MNT, .* \[unmounted\]" "$LOG"
	is 3 grep -c . "$LOG"
}

# However long it takes: what isn't told is counted.
a_flood_is_limited() {
	local told left_out
	mount_store
	(cd "$STORE" && touch file.{1..600})
	refuse "$MNT"/file.*
	unmount_store
	told=$(grep -c '/file\..*\[attribute-refused\]$' "$LOG")
	left_out=$(sed -nE 's/.*[ (]([0-9]+) more like this .*/\1/p' "$LOG" |
		awk '{ sum += $1 } END { print sum + 0 }')
	rm "$STORE"/file.*
	echo "$told lines, $left_out left out"
	[[ $told -ge 200 && $((told + left_out)) -eq 600 ]]
}

# --- the journal -------------------------------------------------------------

no_journal_is_an_error() {
	local status=0
	mkdir "$BASE/point"
	"$MSYNCFS" -f -o log=journal "$STORE" "$BASE/point" \
		>"$BASE/out" 2>&1 || status=$?
	cat "$BASE/out"
	is 1 echo "$status"
	is 1 grep -c . "$BASE/out"
	grep -q "log=journal: No such file.*expected log=stderr, log=syslog" \
		"$BASE/out"
	rmdir "$BASE/point"
}

the_journal_gets_fields() {
	start_journal
	mount_store -o log=journal
	touch "$STORE/file"
	refuse "$MNT/file"
	has_fields mounted PRIORITY=6 SYSLOG_IDENTIFIER=msyncfs \
		"MSYNCFS_STORE=$STORE" "MSYNCFS_MOUNTPOINT=$MNT"
	has_fields attribute-refused PRIORITY=4 SYSLOG_IDENTIFIER=msyncfs \
		"MSYNCFS_STORE=$STORE" "MSYNCFS_MOUNTPOINT=$MNT" \
		'MSYNCFS_ADVICE=nothing was changed; see msyncfs-xattr(7)'
	message_of attribute-refused |
		grep -qP "\tMESSAGE=warning: $STORE/file: user.*; nothing was"
	unmount_store
	has_fields unmounted PRIORITY=6
	is 0 grep -c . "$LOG"
	stop_journal
}

# Both hear of it: who started it, and who reads the log.
a_start_that_fails_is_told_to_both() {
	local status=0
	start_journal
	mount_store
	mkdir "$BASE/point"
	"$MSYNCFS" -f -o log=journal "$STORE" "$BASE/point" \
		>"$BASE/out" 2>&1 || status=$?
	is 1 echo "$status"
	grep -q "^msyncfs: .*$STORE.* in use by" "$BASE/out"
	has_fields start-failed PRIORITY=3 "MSYNCFS_MOUNTPOINT=$BASE/point"
	message_of start-failed | grep -q "$STORE.* in use by"
	rmdir "$BASE/point"
	unmount_store
	stop_journal
}

# As systemd starts a service: standard error is a socket of the journal's.
a_service_s_stderr_is_the_journal() {
	start_journal
	cat >"$BASE/service" <<-'END'
		JOURNAL_STREAM=$(stat -L -c %d:%i /proc/self/fd/2)
		export JOURNAL_STREAM
		exec "$@"
	END
	DAEMON_WRAP="bash $BASE/service"
	LOG_ELSEWHERE=1 mount_store
	has_fields mounted "MSYNCFS_MOUNTPOINT=$MNT"
	unmount_store
	has_fields unmounted "MSYNCFS_MOUNTPOINT=$MNT"
	is 0 grep -c . "$LOG"
	# What is asked for goes before that.
	mount_store -o log=stderr
	unmount_store
	is 1 grep -c '\[mounted\]' "$LOG"
	stop_journal
	# Gone: lines are better as plain text than nowhere.
	mount_store
	unmount_store
	is 1 grep -c '\[mounted\]' "$LOG"
}

# It may wait for a file of this very mount. With -d each request is a line.
a_journal_that_hangs_holds_nobody_up() {
	local pid
	start_journal
	mount_store -d -o log=journal
	mkdir "$STORE/many"
	(cd "$STORE/many" && touch file.{1..1000})
	pid=$(<"$BASE/journal.pid")
	kill -STOP "$pid"
	timeout 60 find "$MNT/many" -type f -printf '%s\n' | wc -l |
		grep -qx 1000
	refuse "$MNT/many/file.1" "$MNT/many/file.2" "$MNT/many/file.3"
	kill -CONT "$pid"
	# Room again, and what was left out is told.
	sleep 0.5
	told_again() {
		refuse "$MNT/many/file.4"
		sleep 0.1
		messages | grep -P '\tMSYNCFS_EVENT=attribute-refused\t' |
			grep -qP '\tMSYNCFS_LEFT_OUT=[0-9]+\t'
	}
	wait_until 30 told_again
	messages | grep -q 'more like this were left out) \[attribute-refused'
	unmount_store
	rm -r "$STORE/many"
	stop_journal
}

make_store || bail "no $FS store"
mount -t tmpfs -o mode=755 run /run
t lines_end_in_the_event_s_name lines_end_in_their_name
t a_flood_is_limited_and_counted a_flood_is_limited
t without_a_journal_it_is_refused no_journal_is_an_error
t the_journal_gets_fields the_journal_gets_fields
t a_start_that_fails_is_told_to_both a_start_that_fails_is_told_to_both
t a_service_s_standard_error_is_the_journal a_service_s_stderr_is_the_journal
t a_journal_that_hangs_holds_nobody_up a_journal_that_hangs_holds_nobody_up
t the_store_is_given_back drop_store
done_testing
