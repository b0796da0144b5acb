#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# What becomes of a store's journal when the daemon was killed: the next mount
# or msyncctl carries it out, shows it, refuses it, or throws it away; and that
# a store has one user at a time.
#
# Commits are carried out at once but stay in the journal until the store's
# files are durable, so it still has them after a kill. To see that recovery
# writes, the store's files are spoilt first.
built=$(realpath -m "${MSYNCFS:-$(dirname "$0")/../../build/src/msyncfs}")
MSYNCCTL=${MSYNCCTL:-${built%/*}/msyncctl/msyncctl}
export MSYNCCTL
# shellcheck source=tests/lib/harness.sh
source "$(dirname "$0")/../lib/harness.sh"
# shellcheck source=tests/lib/control.sh
source "$SRCDIR/tests/lib/control.sh"
export LC_ALL=C

# --- tools -------------------------------------------------------------------

ctl() {
	as_user timeout "$((60 * SLOW))" "$MSYNCCTL" "$@"
}

# fails STATUS PATTERN COMMAND...: with one line on standard error.
fails() {
	local status=$1 pattern=$2 got=0
	shift 2
	"$@" >"$BASE/out" 2>"$BASE/err" || got=$?
	[[ $got -eq $status && $(wc -l <"$BASE/err") -eq 1 ]] &&
		grep -qE -- "$pattern" "$BASE/err" && return 0
	echo "$*: status $got, expected $status with $pattern:"
	cat "$BASE/out" "$BASE/err"
	return 1
}

# says PATTERN COMMAND...: status 0, and the output has it.
says() {
	local pattern=$1 got
	shift
	got=$("$@") || { echo "$*: status $?"; return 1; }
	grep -qE -- "$pattern" <<<"$got" && return 0
	echo "$*: $got, expected $pattern"
	return 1
}

# json EXPRESSION ARG...: Python's value of it on the first object, "j".
json() {
	local expression=$1
	shift
	ctl "$@" --json | python3 -c '
import json, sys
j = json.load(sys.stdin)[0]
exec("print(" + sys.argv[1] + ")")' "$expression"
}

# All that can be seen of the store, the journal too.
store_state() {
	(
		cd "$STORE" || exit
		find . -printf '%p %y %m %i %s %T@\n' | sort
		find . -type f -exec md5sum {} + | sort
	)
}

# untouched COMMAND...: it leaves the store as it was.
untouched() {
	store_state >"$BASE/before"
	"$@"
	store_state >"$BASE/after"
	diff "$BASE/before" "$BASE/after"
}

# letters LETTER: three pages of it, as a file.
letters() {
	head -c 12288 /dev/zero | tr '\0' "$1" >"$BASE/text"
}

# put NAME LETTER: a file of three pages, committed by the time this returns.
put() {
	letters "$2"
	as_user dd if="$BASE/text" of="$MNT/$1" bs=12288 conv=notrunc,fsync \
		status=none
}

# has NAME LETTER: in the store; shows: at the mount.
has() {
	letters "$2"
	cmp "$STORE/$1" "$BASE/text"
}

shows() {
	letters "$2"
	as_user cmp "$MNT/$1" "$BASE/text"
}

spoil() {
	local name
	for name in "$@"; do
		head -c 5000 /dev/zero | as_user tee "$STORE/$name" >/dev/null
	done
}

killed() {
	kill -KILL "$DAEMON_PID"
	wait_until 10 test -s "${MNT%/mnt}/status"
	if [[ -n $AS_USER ]]; then
		as_user fusermount3 -u -z "$MNT"
	else
		umount -l "$MNT"
	fi
}

# A new store whose daemon was killed after three commits: a=A, dir/b=B, then
# a=C; and a write to a that no commit has.
crashed() {
	make_store
	mount_store map=staged
	as_user mkdir "$MNT/dir"
	put a A
	put dir/b B
	put a C
	printf lost | as_user dd of="$MNT/a" conv=notrunc status=none
	killed
	journal=$STORE/.msyncfs/journal
	[[ -f $journal ]]
}

forge() {
	"$(helper forge_journal)" "$@"
}

# try_mount ARG...: in the foreground, for what is to be refused.
try_mount() {
	[[ -d $BASE/other ]] || as_user mkdir "$BASE/other" 2>/dev/null ||
		install -d -o "${AS_USER:-root}" "$BASE/other"
	as_user timeout "$((30 * SLOW))" "$MSYNCFS" -f "$@" "$STORE" "$BASE/other"
}

# mounts_again [OPTION...]: and is unmounted cleanly, which leaves no journal.
mounts_again() {
	mount_store "$@"
	unmount_store
	[[ ! -e $STORE/.msyncfs ]]
}

# --- recovery ----------------------------------------------------------------

a_mount_recovers() {
	crashed
	spoil a dir/b
	mount_store
	shows a C
	has a C
	has dir/b B
	says 'recovered 3 commits: 3 changes of files, 36 KiB' cat "$LOG"
	unmount_store
	[[ ! -e $STORE/.msyncfs ]]
	# Once is enough.
	mount_store
	[[ $(<"$LOG") != *recovered* ]]
	unmount_store
	has a C
	drop_store
}

a_read_only_mount_recovers() {
	crashed
	spoil a
	mount_store ro
	has a C
	unmount_store
	drop_store
}

what_is_not_committed_is_not_there() {
	crashed
	has a C
	mounts_again
	has a C
	drop_store
}

msyncctl_recovers() {
	crashed
	spoil a dir/b
	untouched says "^$STORE: would recover 3 commits: 3 changes of files, \
36 KiB\$" ctl recover --dry-run "$STORE"
	untouched is '3 36864 True True' json \
		'j["commits"], j["bytes"], j["dry_run"], j["journal"]' \
		recover -n "$STORE"
	is "$STORE: recovered 3 commits: 3 changes of files, 36 KiB" \
		ctl recover "$STORE"
	has a C
	has dir/b B
	[[ ! -e $STORE/.msyncfs ]]
	is "$STORE: no journal, nothing to do" ctl recover "$STORE"
	mounts_again
	drop_store
}

a_second_crash_is_recovered() {
	crashed
	ctl recover "$STORE"
	mount_store map=staged
	put c D
	killed
	says 'recovered 1 commit: 1 change of files' ctl recover "$STORE"
	has c D
	drop_store
}

# NTFS-3G, for one, knows nothing of a directory that is removed.
nothing_removed_is_synced() {
	command -v strace >/dev/null || {
		echo "strace is not installed"
		return 77
	}
	crashed
	as_user strace -qq -y -e trace=fsync,unlinkat -e signal=none \
		"$MSYNCCTL" recover "$STORE" 2>"$BASE/trace" >"$BASE/out"
	cat "$BASE/trace"
	grep -q AT_REMOVEDIR "$BASE/trace"
	grep -q fsync "$BASE/trace"
	[[ $(<"$BASE/trace") != *'fsync('*deleted* ]]
	drop_store
}

files_that_are_gone_are_passed_over() {
	crashed
	rm "$STORE/dir/b"
	spoil a
	says 'recovered 3 commits.*; 1 of them of files deleted since' \
		ctl recover "$STORE"
	has a C
	[[ ! -e $STORE/dir/b ]]
	drop_store
}

files_that_were_renamed_are_found() {
	crashed
	spoil a
	mv "$STORE/a" "$STORE/dir/z"
	ctl recover "$STORE"
	has dir/z C
	[[ ! -e $STORE/a ]]
	drop_store
}

# The last page of the last commit never reached the disk.
an_incomplete_commit_is_dropped() {
	crashed
	local blocks
	blocks=$(json 'j["journal"]["used"] // 4096' journal "$STORE")
	forge flip "$journal" \
		$((($(forge tail "$journal") + blocks) * 4096 - 1))
	is 'True 2' json \
		'j["journal"]["incomplete"], len(j["journal"]["commits"])' \
		journal "$STORE"
	spoil a
	mount_store
	says 'recovered 2 commits: .*; one incomplete commit dropped' \
		cat "$LOG"
	unmount_store
	has a A
	drop_store
}

# --- what is in it -----------------------------------------------------------

the_journal_is_shown() {
	crashed
	ctl journal "$STORE" >"$BASE/shown"
	grep -q '^version      1$' "$BASE/shown"
	grep -qE '^commits      3, [0-9]+ to [0-9]+$' "$BASE/shown"
	[[ $(grep -cE '^commit [0-9]+, 20.*: 1 file, ' "$BASE/shown") -eq 3 ]]
	[[ $(grep -c '^  a: size 12288, 3 pages, ' "$BASE/shown") -eq 2 ]]
	[[ $(grep -c '^  dir/b: size 12288, 3 pages, ' "$BASE/shown") -eq 1 ]]
	says '^    pages 0\+3$' ctl journal -v "$STORE"
	untouched is "a dir/b a" json \
		'*[c["files"][0]["path"] for c in j["journal"]["commits"]]' \
		journal "$STORE"
	is '0 3' json '*j["journal"]["commits"][2]["files"][0]["pages"][0]' \
		journal "$STORE"
	is True json '(lambda s: s == list(range(s[0], s[0] + 3)))(
[c["sequence"] for c in j["journal"]["commits"]])' journal "$STORE"
	ctl recover "$STORE" >/dev/null
	is "$STORE: no journal" ctl journal "$STORE"
	is None json 'j["journal"]' journal "$STORE"
	drop_store
}

# --- one user at a time ------------------------------------------------------

a_second_user_is_refused() {
	make_store
	mount_store map=staged
	put a A
	fails 1 "store '$STORE': it is in use by .*: unmount it" try_mount
	fails 1 'is in use by .*: unmount it' ctl recover "$STORE"
	fails 1 'is in use by .*: unmount it' ctl journal "$STORE"
	# It is named where the kernel's list can be read so.
	[[ $FS == btrfs ]] || grep -qF "(pid $DAEMON_PID)" "$BASE/err"
	# The first has not noticed.
	put a B
	has a B
	killed
	# With the process the lock is gone.
	says 'recovered 2 commits' ctl recover "$STORE"
	drop_store
}

a_mount_waits_for_the_daemon_that_ends() {
	local number
	make_store
	mount_store map=staged
	for number in 1 2 3 4 5; do
		put "$number" A
		# Not unmount_store, which waits for the daemon.
		if [[ -n $AS_USER ]]; then
			as_user fusermount3 -u "$MNT"
		else
			umount "$MNT"
		fi
		mount_store map=staged
	done
	unmount_store
	drop_store
}

a_mountpoint_is_no_store() {
	make_store
	mount_store map=staged
	put a A
	fails 1 "is on a mount of msyncfs: .*$STORE" ctl recover "$MNT"
	fails 1 "is on a mount of msyncfs: .*$STORE" ctl journal "$MNT"
	fails 1 'No such file' ctl recover "$STORE/none"
	fails 1 'Not a directory' ctl journal "$STORE/a"
	is '*recover: STORE is missing*usage: *' ctl recover
	is '*journal: STORE is missing*usage: *' ctl journal
	unmount_store
	drop_store
}

shared_files_need_no_journal() {
	make_store
	mount_store
	put a A
	[[ ! -e $STORE/.msyncfs ]]
	unmount_store
	drop_store
}

a_clean_end_leaves_no_journal() {
	local way
	make_store
	for way in umount TERM INT; do
		mount_store map=staged
		put a A
		[[ -f $STORE/.msyncfs/journal ]]
		[[ $way == umount ]] || kill "-$way" "$DAEMON_PID"
		[[ $way == umount ]] ||
			wait_until 20 test -s "${MNT%/mnt}/status"
		unmount_store
		[[ ! -e $STORE/.msyncfs ]]
	done
	drop_store
}

# --- what can't be used ------------------------------------------------------

# unusable STATE PATTERN: refused everywhere with the way out, nothing touched,
# and discard-journal is that way.
unusable() {
	untouched fails 1 "$STORE/.msyncfs/journal .*$1.*discard-journal" try_mount
	untouched fails 1 "$1" try_mount -o map=staged
	untouched fails 1 "$1" ctl recover "$STORE"
	untouched fails 1 "$1" ctl recover --dry-run "$STORE"
	untouched fails 1 "$1" ctl journal "$STORE"
	untouched ctl recover --dry-run --discard-journal "$STORE"
	spoil a
	mount_store discard-journal
	says 'journal was thrown away' cat "$LOG"
	is 5000 as_user stat -c %s "$MNT/a"
	unmount_store
	[[ ! -e $STORE/.msyncfs ]]
	mounts_again
	drop_store
}

a_damaged_journal() {
	crashed
	# In the first of three commits: the others prove that it was whole.
	forge flip "$journal" $(($(forge tail "$journal") * 4096 + 5000))
	unusable damaged
}

a_newer_journal() {
	crashed
	forge version "$journal" 2
	unusable 'version 2'
}

a_copied_store() {
	crashed
	cp -a "$STORE" "$STORE.copy"
	rm -r "$STORE"
	mv "$STORE.copy" "$STORE"
	unusable 'another store|copy'
}

no_journal_at_all() {
	crashed
	head -c 8192 /dev/urandom >"$journal"
	unusable 'damaged'
}

# --- giving it up ------------------------------------------------------------

# A file of the user's own, for one, that only has the name.
what_is_no_file_is_named() {
	make_store
	mkdir -p "$STORE/.msyncfs/journal"
	untouched fails 1 'a directory, move away what is there' try_mount
	untouched fails 1 'expected a regular file' ctl recover "$STORE"
	rm -r "$STORE/.msyncfs"
	echo mine >"$STORE/.msyncfs"
	untouched fails 1 'expected a regular file' ctl recover "$STORE"
	untouched fails 1 'expected a regular file' try_mount
	rm "$STORE/.msyncfs"
	drop_store
}

a_good_journal_may_be_discarded() {
	crashed
	spoil a
	untouched says 'would throw away 3 commits' \
		ctl recover --dry-run --discard-journal "$STORE"
	says 'threw away 3 commits: 3 changes' \
		ctl recover --discard-journal "$STORE"
	is 5000 stat -c %s "$STORE/a"
	[[ ! -e $STORE/.msyncfs ]]
	mounts_again discard-journal
	[[ $(<"$LOG") != *'thrown away'* ]]
	drop_store
	crashed
	spoil a
	mount_store --discard-journal
	says 'thrown away .*lost are 3 commits' cat "$LOG"
	is 5000 as_user stat -c %s "$MNT/a"
	unmount_store
	drop_store
}

# --- rights ------------------------------------------------------------------

a_store_that_can_t_be_written() {
	local writable
	crashed
	mkdir "$BASE/ro"
	mount --bind "$STORE" "$BASE/ro"
	mount -o remount,bind,ro "$BASE/ro"
	STORE=$BASE/ro fails 1 \
		"holds 3 .*: Read-only.* you can write the store" try_mount
	fails 1 'Read-only' ctl recover "$BASE/ro"
	ctl journal "$BASE/ro" >/dev/null
	umount "$BASE/ro"
	ctl recover "$STORE" >/dev/null
	# With nothing to be done it is as good as any.
	mount --bind "$STORE" "$BASE/ro"
	mount -o remount,bind,ro "$BASE/ro"
	writable=$STORE
	STORE=$BASE/ro
	mount_store
	shows a C
	unmount_store
	umount "$BASE/ro"
	STORE=$writable
	drop_store
}

a_journal_of_another_user() {
	local -a user=(setpriv --reuid=65534 --regid=65534 --clear-groups)
	crashed
	# The build may lie where only root comes to.
	install -m 755 "$MSYNCCTL" "$BASE/bin/msyncctl.copy"
	untouched fails 1 'journal .*: Permission denied' \
		"${user[@]}" "$BASE/bin/msyncctl.copy" recover "$STORE"
	ctl recover "$STORE" >/dev/null
	drop_store
}

[[ -x $MSYNCCTL ]] || bail "no msyncctl at $MSYNCCTL: build it first"
harness_place "$(realpath "$MSYNCCTL")" "$BASE/bin/msyncctl"
MSYNCCTL=$BASE/bin/msyncctl
t a_mount_carries_out_what_the_journal_holds a_mount_recovers
t a_read_only_mount_does_so_too a_read_only_mount_recovers
t what_is_not_committed_is_not_there what_is_not_committed_is_not_there
t msyncctl_recovers_without_a_mount msyncctl_recovers
t a_second_crash_is_recovered_as_well a_second_crash_is_recovered
t no_directory_is_synced_that_is_removed nothing_removed_is_synced
t files_that_are_gone_are_passed_over files_that_are_gone_are_passed_over
t files_that_were_renamed_are_found files_that_were_renamed_are_found
t an_incomplete_commit_is_dropped an_incomplete_commit_is_dropped
t the_journal_is_shown the_journal_is_shown
t a_store_has_one_user_at_a_time a_second_user_is_refused
t a_mount_waits_for_the_daemon_that_ends a_mount_waits_for_the_daemon_that_ends
t a_mountpoint_is_no_store a_mountpoint_is_no_store
t shared_files_need_no_journal shared_files_need_no_journal
t a_clean_end_leaves_no_journal a_clean_end_leaves_no_journal
t a_damaged_journal_is_refused a_damaged_journal
t a_newer_journal_is_refused a_newer_journal
t the_journal_of_a_copied_store_is_refused a_copied_store
t what_is_no_journal_is_refused no_journal_at_all
t what_is_no_file_is_named what_is_no_file_is_named
t a_journal_may_be_given_up a_good_journal_may_be_discarded
if [[ $EUID -eq 0 && -z $AS_USER ]]; then
	t a_store_that_can_t_be_written_is_refused_while_commits_wait \
		a_store_that_can_t_be_written
	t a_journal_of_another_user_is_refused a_journal_of_another_user
else
	skip a_store_that_can_t_be_written_is_refused_while_commits_wait \
		"needs root"
	skip a_journal_of_another_user_is_refused "needs root"
fi
done_testing
