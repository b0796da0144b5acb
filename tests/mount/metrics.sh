#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# What a monitoring system gets: the attribute, msyncctl stats --prometheus
# and -o metrics=FILE, each read by a strict checker; errors, latencies and
# the loss window in it.
built=$(realpath -m "${MSYNCFS:-$(dirname "$0")/../../build/src/msyncfs}")
MSYNCCTL=${MSYNCCTL:-${built%/*}/msyncctl/msyncctl}
# shellcheck source=tests/lib/harness.sh
source "$(dirname "$0")/../lib/harness.sh"
# shellcheck source=tests/lib/control.sh
source "$SRCDIR/tests/lib/control.sh"

LIMIT=20
OUT=$BASE/out
FILE=$OUT/msyncfs.prom
install -d -m 777 "$OUT"

check() {
	python3 "$SRCDIR/tests/lib/prometheus_check.py" "$@"
}

# metric NAME [LABEL=VALUE...]: of the mount; nothing if there is no such.
metric() {
	value "$MNT" metrics | check - "$@"
}

# fails PATTERN COMMAND...: not status 0, and standard error has the pattern.
fails() {
	local pattern=$1
	shift
	if "$@" >"$BASE/said" 2>"$BASE/err"; then
		echo "$*: did not fail"
		return 1
	fi
	grep -qE -- "$pattern" "$BASE/err" && return 0
	echo "$*: expected $pattern"
	cat "$BASE/err"
	return 1
}

# --- the text ----------------------------------------------------------------

the_attribute_is_valid() {
	echo text >"$MNT/file"
	cat "$MNT/file" >"$BASE/copy"
	value "$MNT" metrics | check -
	is "$MNT" mountpoint_label
	at_least 1 metric msyncfs_requests_total operation=create
	is "$(metric msyncfs_requests_total operation=create)" \
		metric msyncfs_request_seconds_count operation=create
	is '1' metric msyncfs_info "store=$STORE"
	# Nobody waits for these: they are counted and have no time.
	is '' metric msyncfs_request_seconds_count operation=init
	is "err ENODATA" xattr get "$MNT/file" metrics
}

mountpoint_label() {
	value "$MNT" metrics |
		sed -n 's/^msyncfs_info.*,mountpoint="\([^"]*\)".*/\1/p'
}

# Counters go by the rule that their names tell.
every_counter_is_in_both_texts() {
	value "$MNT" stats | sed -nE 's/^([a-z_]+\.[a-z_]+)=[0-9]+$/\1/p' |
		tr . _ | sort >"$BASE/keys"
	value "$MNT" metrics | sed -nE \
		's/^# TYPE msyncfs_([a-z_]+)_total counter/\1/p' |
		grep -vE '^(requests|request_errors)$' | sort >"$BASE/names"
	at_least 40 grep -c . "$BASE/names"
	is '' comm -13 "$BASE/keys" "$BASE/names"
}

errors_are_counted_by_operation_and_errno() {
	local before
	mkdir -p "$MNT/full/below"
	fails 'not empty' rmdir "$MNT/full"
	is 1 metric msyncfs_request_errors_total operation=rmdir \
		errno=ENOTEMPTY
	# Answered later, by another thread.
	before=$(metric msyncfs_request_seconds_count operation=setxattr)
	is "err EINVAL" xattr set "$MNT" sync.now no
	is 1 metric msyncfs_request_errors_total operation=setxattr \
		errno=EINVAL
	is $((${before:-0} + 1)) metric msyncfs_request_seconds_count \
		operation=setxattr
	rmdir "$MNT/full/below" "$MNT/full"
}

# An fsync that shares a flush is answered by the group.
a_late_answer_is_timed_once() {
	echo text >"$MNT/grouped"
	xattr set "$MNT/grouped" sync fsync=group:300ms
	python3 - "$MNT/grouped" <<-'END'
		import os, sys
		fd = os.open(sys.argv[1], os.O_RDWR)
		os.write(fd, b"more")
		os.fsync(fd)
	END
	is 1 metric msyncfs_request_seconds_count operation=fsync
	is 1 metric msyncfs_fsync_wait_seconds_count
	is 1 metric msyncfs_fsync_grouped_total
}

# getxattr(2) is asked for the size, the text grows, and the value must fit.
a_status_has_room_to_grow() {
	python3 - "$MNT" <<-'END'
		import ctypes, os, sys
		libc = ctypes.CDLL(None, use_errno=True)
		mnt = os.fsencode(sys.argv[1])
		def get(name, size):
		    buffer = ctypes.create_string_buffer(size) if size else None
		    n = libc.getxattr(mnt, name, buffer, size)
		    return n if n >= 0 else -ctypes.get_errno()
		for name in b"user.msyncfs.stats", b"user.msyncfs.metrics":
		    room = get(name, 0)
		    for i in range(2000):
		        os.stat(mnt + b"/%d" % i) if os.path.exists(
		            mnt + b"/%d" % i) else None
		    length = get(name, room)
		    assert 0 < length < room <= 65536, (name, length, room)
		os.setxattr(mnt, "user.msyncfs.sync", b"every=7s")
		assert get(b"user.msyncfs.sync", 0) == len(b"every=7s")
		os.removexattr(mnt, "user.msyncfs.sync")
	END
}

# --- the loss window ---------------------------------------------------------

staged_changes_are_a_loss_until_they_are_committed() {
	xattr set "$MNT" map staged
	xattr set "$MNT" sync manual
	is 0 stats loss.window
	echo text >"$MNT/staged"
	sleep 1
	at_least 1000000000 stats loss.window
	at_least 4096 stats dirty
	metric msyncfs_loss_window_seconds | grep -E '^[1-9]'
	is '-' stats commit.age
	xattr set "$MNT" sync.now wait
	is 0 stats loss.window
	is 0 stats stage.dirty
	at_least 1000000000 stats loss.window.max
	metric msyncfs_loss_window_max_seconds | grep -E '^[1-9]'
	at_least 1 stats commit.age
	is 1 metric msyncfs_commit_seconds_count
	is 1 metric msyncfs_commit_pause_seconds_count
	is 1 metric msyncfs_commit_journal_seconds_count
	is 0 stats commit.failing
}

# On the kernel path as well, where nobody sees the write.
deferred_writes_are_a_loss_until_they_are_synced() {
	echo text >"$MNT/shared"
	exec 3<>"$MNT/shared"
	is "$usual_path" status "$MNT/shared" data.path
	xattr set "$MNT/shared" sync manual
	is 0 stats loss.window
	# File times are no finer than a tick.
	sleep 0.1
	echo more >&3
	sleep 1
	at_least 1000000000 stats loss.window
	xattr set "$MNT/shared" sync.now wait
	is 0 stats loss.window
	at_least 1000000000 stats loss.window.max
	exec 3<&-
}

# --- the file ----------------------------------------------------------------

# Each time that it is looked at it is whole, and in the end another one.
the_file_is_never_torn() {
	local first end=$((SECONDS + LIMIT)) looks=0
	does "$LIMIT" test -s "$FILE"
	is 644 stat -c %a "$FILE"
	first=$(stat -c %i "$FILE")
	while ((looks < 5)) || [[ $first == "$(stat -c %i "$FILE")" ]]; do
		((SECONDS < end)) || { echo "never written again"; return 1; }
		cat "$FILE" >"$BASE/seen"
		check "$BASE/seen"
		looks=$((looks + 1))
	done
	is "$MNT" label_of_file
	is 'msyncfs.prom*' ls "$OUT"
}

label_of_file() {
	sed -n 's/^msyncfs_info.*,mountpoint="\([^"]*\)".*/\1/p' "$FILE"
}

the_file_goes_with_the_mount() {
	local wanted
	MOUNT_OPTIONS=metrics=$FILE,metrics-every=1s
	umask 077
	mounted the_file_is_never_torn
	umask 022
	is '' ls "$OUT"
	# One that a killed daemon has left is replaced.
	echo stale >"$FILE"
	mounted does "$LIMIT" check "$FILE"
	is '' ls "$OUT"
	# Two mounts have a file each.
	wanted="$OUT/a.prom"
	MOUNT_OPTIONS=metrics=$wanted
	mounted does "$LIMIT" check "$wanted"
}

# In the background the daemon's working directory is the root.
a_relative_file_is_where_the_daemon_was_started() {
	local mnt=$BASE/run.relative/mnt
	mkdir -p "$mnt"
	[[ -z $AS_USER ]] || chown -R "$AS_USER" "$BASE/run.relative"
	(cd "$OUT" && as_user "$MSYNCFS" -o metrics=relative.prom \
		"$STORE" "$mnt")
	does "$LIMIT" check "$OUT/relative.prom"
	as_user fusermount3 -u "$mnt"
	does "$LIMIT" missing "$OUT/relative.prom"
}

missing() {
	[[ ! -e $1 ]]
}

# What goes wrong is told once, and what works again too.
a_file_that_cannot_be_written_is_told_once() {
	local there=$BASE/there
	install -d -m 777 "$there"
	MOUNT_OPTIONS=metrics=$there/a.prom,metrics-every=1s
	mounted writing_fails_for_a_while "$there"
	is '' ls "$there"
}

writing_fails_for_a_while() {
	does "$LIMIT" check "$1/a.prom"
	log_mark
	mv "$1" "$1.gone"
	does "$LIMIT" log_has metrics-unwritten
	sleep 1.5
	log_says 1 "metrics=$1/a.prom" 'No such file or directory'
	log_mark
	mv "$1.gone" "$1"
	does "$LIMIT" log_has metrics-resumed
	log_says 1 'is written again'
	# Requests were served all the time.
	at_least 0 stats open
}

log_has() {
	log_since | grep -q "$1"
}

# starts_not PATTERN OPTIONS
starts_not() {
	local mnt=$BASE/refused
	mkdir -p "$mnt"
	fails "$1" as_user timeout "$((30 * SLOW))" \
		"$MSYNCFS" -f -o "$2" "$STORE" "$mnt"
}

a_file_that_cannot_be_is_refused_at_the_start() {
	mkdir -p "$STORE/sub" "$BASE/refused"
	starts_not "metrics=$STORE/x': that is inside the store" \
		"metrics=$STORE/x"
	starts_not 'inside the store' "metrics=$STORE/sub/x"
	starts_not 'inside the mountpoint' "metrics=$BASE/refused/x"
	starts_not 'no/where: No such file.*expected a file in a directory' \
		"metrics=$BASE/no/where/x"
	starts_not 'is no regular file' "metrics=$OUT"
	starts_not 'is no regular file' metrics=/dev/null
	starts_not "metrics-every=10ms': expected at least 1s" \
		metrics-every=10ms
	starts_not "metrics-every=15': expected a time" metrics-every=15
	starts_not "'metrics' needs a value" metrics=
	rmdir "$STORE/sub"
	unwritable || return 0
	starts_not "$BASE/locked: .*expected a directory where" \
		"metrics=$BASE/locked/x"
}

# A directory in which not even root may make files.
unwritable() {
	mkdir -p "$BASE/locked"
	chmod 555 "$BASE/locked"
	[[ $EUID -ne 0 ]] && return
	mount -t tmpfs -o ro msyncfs-test "$BASE/locked"
}

# --- several mounts ----------------------------------------------------------

ctl() {
	as_user timeout "$((60 * SLOW))" "$MSYNCCTL" "$@"
}

msyncctl_makes_one_text_of_all_mounts() {
	local first=$MNT second store=$STORE
	ctl stats --prometheus "$first" | check -
	make_store
	mount_store
	second=$MNT
	ctl stats --prometheus "$first" "$second" >"$BASE/both"
	check "$BASE/both"
	is 1 check "$BASE/both" msyncfs_info "mountpoint=$first"
	is 1 check "$BASE/both" msyncfs_info "mountpoint=$second"
	# A mount that is named twice, by a file of it, is in it once.
	echo text >"$first/twice"
	ctl stats --prometheus "$first/twice" "$first" | check -
	fails 'exclude each other' ctl stats --prometheus --json "$first"
	fails 'not on an msyncfs mount' ctl stats --prometheus "$first" /
	check "$BASE/said" msyncfs_info >/dev/null
	drop_store
	MNT=$first STORE=$store
}

# --- the service manager -----------------------------------------------------

# Says what is going on to who has asked to be told.
the_service_manager_gets_a_line() {
	local pid
	if ! ldd "$MSYNCFS" | grep -q libsystemd; then
		echo "n/a: built without libsystemd"
		exit 77
	fi
	python3 - "$BASE/notify" >"$BASE/told" <<-'END' &
		import os, socket, sys
		s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
		s.bind(sys.argv[1])
		os.chmod(sys.argv[1], 0o777)
		while True:
		    print(s.recv(4096).decode(), flush=True)
	END
	pid=$!
	does "$LIMIT" test -S "$BASE/notify"
	DAEMON_WRAP="env NOTIFY_SOCKET=$BASE/notify"
	MOUNT_OPTIONS=metrics-every=1s
	mounted lines_come
	kill "$pid"
}

lines_come() {
	does "$LIMIT" grep -q "^STATUS=serving $STORE: 0 open files, 0 B not \
yet durable$" "$BASE/told"
	exec 3>"$MNT/open"
	does "$LIMIT" grep -q "^STATUS=serving $STORE: 1 open file, " \
		"$BASE/told"
	exec 3>&-
	# The same line is not sent again.
	does "$LIMIT" sends_nothing
}

sends_nothing() {
	local before
	before=$(wc -l <"$BASE/told")
	sleep 1.2
	[[ $(wc -l <"$BASE/told") -eq $before ]]
}

make_store || bail "no $FS store"
for name in the_attribute_is_valid every_counter_is_in_both_texts \
	errors_are_counted_by_operation_and_errno \
	a_late_answer_is_timed_once a_status_has_room_to_grow \
	deferred_writes_are_a_loss_until_they_are_synced \
	staged_changes_are_a_loss_until_they_are_committed \
	msyncctl_makes_one_text_of_all_mounts; do
	t "$name" mounted "$name"
done
for name in the_file_goes_with_the_mount \
	a_relative_file_is_where_the_daemon_was_started \
	a_file_that_cannot_be_written_is_told_once \
	a_file_that_cannot_be_is_refused_at_the_start \
	the_service_manager_gets_a_line; do
	t "$name" "$name"
done
t the_store_is_given_back drop_store
done_testing
