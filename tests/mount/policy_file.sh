#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# A policy file gives whole trees their policies by path: which rule holds,
# what SIGHUP changes for files that are open or held in memory, and that a
# file that can't be used changes nothing.
built=$(realpath -m "${MSYNCFS:-build/src/msyncfs}")
MSYNCCTL=${MSYNCCTL:-${built%/*}/msyncctl/msyncctl}
# shellcheck source=tests/lib/harness.sh
source "$(dirname "$0")/../lib/harness.sh"
# shellcheck source=tests/lib/control.sh
source "$SRCDIR/tests/lib/control.sh"
# shellcheck source=tests/mount/programs/client.sh
source "$SRCDIR/tests/mount/programs/client.sh"

# Of what a loaded machine takes long for.
LIMIT=30
shopt -s extglob

# rules [MODE]: standard input becomes the policy file, as editors do it.
rules() {
	cat >"$RULES.new"
	chmod "${1:-644}" "$RULES.new"
	if [[ -n $AS_USER && $EUID -eq 0 ]]; then
		chown "$AS_USER" "$RULES.new"
	fi
	mv "$RULES.new" "$RULES"
}

has_told() {
	log_since | grep -q '\[policies-\(read\|refused\)\]'
}

# reread: SIGHUP, and what the log has to say of it is there.
reread() {
	log_mark
	kill -HUP "$DAEMON_PID"
	does "$LIMIT" has_told
}

# ruled TEXT CASE...: on a mount with these rules.
ruled() {
	rules <<<"$1"
	shift
	MOUNT_OPTIONS=policy-file=$RULES${MOUNT_OPTIONS:+,$MOUNT_OPTIONS}
	mounted "$@"
}

make() {
	as_user mkdir -p "$(dirname "$MNT/$1")"
	as_user touch "$MNT/$1"
}

# holds FILE POLICY VALUE LINE: which rule gives it; LINE is FROM if it is not
# a number.
holds() {
	local from=$4
	[[ $from != [0-9]* ]] || from=policy-file:$from
	is "$3" status "$MNT/$1" "$2"
	is "$from" status "$MNT/$1" "$2.from"
}

# --- which rule --------------------------------------------------------------

every_policy_may_come_from_the_file() {
	local file=tree/below/file
	make "$file"
	make tree2/file
	holds "$file" advise sequential+willneed 2
	holds "$file" sync fsync=defer+every=2s+close 3
	holds "$file" map private 4
	holds "$file" data daemon 5
	holds "$file" lock onfault 6
	holds "$file" grow chunk=1M+max=2M 7
	holds "$file" append on 8
	is '!(policy-file*)' status "$MNT/tree2/file" append.from
	is '!(policy-file*)' status "$MNT/tree2/file" sync.from
	# The directory itself too, and nothing became an attribute.
	holds tree sync fsync=defer+every=2s+close 3
	is 'ok 0' attribute list "$MNT/$file"
	is 'ok 0' attribute list "$MNT/tree/below"
}

what_the_rules_say_is_done() {
	local before
	client_new
	make relaxed/file
	make append/file
	make strict/file
	expect 0 'ok *' open 0 "$MNT/relaxed/file" rw
	expect 0 'ok *' open 1 "$MNT/strict/file" rw
	before=$(stats fsync.deferred)
	expect 0 'ok 1' write 0 0 1 65
	expect 0 'ok 0' fsync 0
	expect 0 'ok 1' write 1 0 1 65
	expect 0 'ok 0' fsync 1
	is $((before + 1)) stats fsync.deferred
	as_user sync "$MNT/relaxed"
	is $((before + 2)) stats fsync.deferred
	as_user sync "$MNT/strict"
	is $((before + 2)) stats fsync.deferred
	expect 0 'ok *' open 2 "$MNT/append/file" rw
	because 'append=on*' "$MNT/append/file"
	expect 0 'ok 4' write 2 0 4 65
	expect 0 'err EPERM*' write 2 1 1 65
	# A new file is so from the start.
	expect 0 'ok *' open 3 "$MNT/append/new" rw,create
	because 'append=on*' "$MNT/append/new"
	client_end 0
}

own_attributes_go_before_rules() {
	make own/file
	holds own/file sync fsync=defer 1
	is 'ok 0' xattr set "$MNT/own/file" sync every=3s
	holds own/file sync every=3s file
	is 'err ENODATA' xattr get "$MNT/own/file" data
	client_new
	expect 0 'ok *' open 0 "$MNT/own/file" rw
	holds own/file sync every=3s file
	is 'ok 0' xattr remove "$MNT/own/file" sync
	holds own/file sync fsync=defer 1
	expect 0 'ok 1' write 0 0 1 65
	expect 0 'ok 0' fsync 0
	client_end 0
	# A directory's own are taken over, its rules are not.
	as_user mkdir "$MNT/own/sub"
	is 'ok 0' xattr set "$MNT/own/sub" grow trim
	make own/sub/new
	holds own/sub/new grow trim file
	holds own/sub/new sync fsync=defer 1
	is 'ok * user.msyncfs.grow' attribute list "$MNT/own/sub/new"
}

rules_go_before_mount_options() {
	make rule/file
	make other/file
	holds rule/file sync fsync=defer 1
	holds other/file sync every=9s mount
}

msyncctl_says_where_a_policy_comes_from() {
	make rule/told
	harness_place "$MSYNCCTL" "$BASE/ctl"
	is 'sync=fsync=defer  (policy-file:1)' \
		as_user "$BASE/ctl" get sync "$MNT/rule/told"
}

# --- names -------------------------------------------------------------------

a_rename_counts_from_the_next_open_on() {
	client_new
	make from/file
	as_user mkdir "$MNT/to"
	holds from/file sync fsync=defer 1
	expect 0 'ok *' open 0 "$MNT/from/file" rw
	as_user mv "$MNT/from/file" "$MNT/to/file"
	holds to/file sync fsync=defer 1
	expect 0 'ok 0' close 0
	becomes "$LIMIT" policy-file:2 status "$MNT/to/file" sync.from
	expect 0 'ok *' open 0 "$MNT/to/file" rw
	# With its directory too, and what is open learns it at SIGHUP.
	as_user mv "$MNT/to" "$MNT/elsewhere"
	holds elsewhere/file sync every=1s 2
	reread
	log_says 1 '2 rules, other policies for 1 open file'
	is '!(policy-file*)' status "$MNT/elsewhere/file" sync.from
	client_end 0
	# In the store itself, behind the mount.
	as_user mkdir "$STORE/to"
	as_user mv "$STORE/elsewhere/file" "$STORE/to/file"
	holds to/file sync every=1s 2
	as_user rm -r "$MNT/to" "$MNT/elsewhere" "$MNT/from"
}

# By one of its names; which one is nobody's business, if there is one.
a_file_with_two_names_goes_by_one_of_them() {
	client_new
	make from/one
	as_user mkdir "$MNT/to"
	as_user ln "$MNT/from/one" "$MNT/to/two"
	is 'policy-file:[12]' status "$MNT/from/one" sync.from
	expect 0 'ok *' open 0 "$MNT/to/two" rw
	is "$(status "$MNT/to/two" sync.from)" \
		status "$MNT/from/one" sync.from
	expect 0 'ok 0' close 0
	as_user rm "$MNT/from/one"
	as_user ls -l "$MNT/to" >/dev/null
	becomes "$LIMIT" policy-file:2 status "$MNT/to/two" sync.from
	client_end 0
	as_user rm -r "$MNT/to" "$MNT/from"
}

a_removed_file_goes_by_the_name_it_had() {
	client_new
	make from/file
	expect 0 'ok *' open 0 "$MNT/from/file" rw
	as_user rm "$MNT/from/file"
	rules <<-END
		from/** sync=manual lock=off
		to/** sync=every=1s
	END
	reread
	log_says 1 'other policies for 0 open files'
	rules <<-END
		from/** sync=every=4s
		to/** sync=every=1s
	END
	reread
	log_says 1 'other policies for 1 open file'
	expect 0 'ok 1' write 0 0 1 65
	expect 0 'ok 0' fsync 0
	client_end 0
	# One that never had a name is in its directory.
	is 'ok *' attribute tmpfile "$MNT/from" "$MNT/from/named"
	holds from/named sync every=4s 1
	as_user rm -r "$MNT/from"
}

# --- SIGHUP ------------------------------------------------------------------

SIGHUP_changes_open_files() {
	local before
	client_new
	make open/file
	make open/own
	is 'ok 0' xattr set "$MNT/open/own" sync every=3s
	expect 0 'ok *' open 0 "$MNT/open/file" rw
	expect 0 'ok *' open 1 "$MNT/open/own" rw
	holds open/file sync fsync=defer 1
	rules <<-END
		# one line more
		open/** sync=strict map=shared
	END
	reread
	log_says 1 "the policy file '$RULES' was read again" \
		'1 rule, other policies for 1 open file' '[policies-read]'
	holds open/file sync strict 2
	holds open/own sync every=3s file
	before=$(stats fsync.deferred)
	expect 0 'ok 1' write 0 0 1 65
	expect 0 'ok 0' fsync 0
	is "$before" stats fsync.deferred
	# What is scheduled is as well.
	rules <<<'open/** sync=fsync=defer+every=100ms map=shared'
	reread
	expect 0 'ok 4096' write 0 0 4096 66
	becomes "$LIMIT" 0 unwritten "$STORE/open/file"
	# No rule holds any more.
	rules </dev/null
	reread
	log_says 1 '0 rules, other policies for '
	is '!(policy-file*)' status "$MNT/open/file" sync.from
	client_end 0
}

the_data_path_and_map_wait_for_the_last_close() {
	client_new
	make late/file
	expect 0 'ok *' open 0 "$MNT/late/file" rw
	rules <<<'late/** map=private data=daemon'
	reread
	holds late/file map private 1
	is '*map=shared until everybody*' status "$MNT/late/file" note
	expect 0 'ok 4' write 0 0 4 65
	is AAAA cat "$STORE/late/file"
	expect 0 'ok 0' close 0
	becomes "$LIMIT" '' status "$MNT/late/file" note
	expect 0 'ok *' open 0 "$MNT/late/file" rw
	expect 0 'ok 4' write 0 0 4 66
	is AAAA cat "$STORE/late/file"
	client_end 0
}

a_staged_tree_becomes_shared_again() {
	client_new
	make staged/file
	expect 0 'ok *' open 0 "$MNT/staged/file" rw
	expect 0 'ok 4' write 0 0 4 65
	is '' cat "$STORE/staged/file"
	rules <<<'staged/** sync=strict map=shared'
	reread
	log_says 1 'other policies for 1 open file'
	expect 0 'ok 4' write 0 0 4 66
	expect 0 'ok 0' close 0
	expect 0 'ok *' open 0 "$MNT/staged/file" rw
	is BBBB cat "$STORE/staged/file"
	expect 0 'ok 4' write 0 0 4 67
	is CCCC cat "$STORE/staged/file"
	client_end 0
}

a_bad_file_changes_nothing() {
	local mode
	client_new
	make open/file
	expect 0 'ok *' open 0 "$MNT/open/file" rw
	printf 'open/** sync=strict\n\nopen/** sync=bogus\n' | rules
	reread
	log_says 1 "$RULES:3: sync=bogus: 'bogus': expected" \
		'the rules from before still hold' '[policies-refused]'
	holds open/file sync fsync=defer 1
	for mode in 664 646; do
		rules "$mode" <<<'open/** sync=strict'
		reread
		log_says 1 "$RULES" "(mode $mode)" 'expected chmod go-w'
	done
	rm "$RULES"
	reread
	log_says 1 "$RULES" 'No such file'
	mkdir "$RULES"
	reread
	log_says 1 "$RULES" 'expected a regular file'
	rmdir "$RULES"
	holds open/file sync fsync=defer 1
	make open/new
	holds open/new sync fsync=defer 1
	rules <<<'open/** sync=strict'
	reread
	holds open/file sync strict 1
	client_end 0
}

the_same_SIGHUP_opens_the_log_anew() {
	local log=$BASE/own.log
	rules <<<'** sync=manual'
	as_user true
	if [[ -n $AS_USER ]]; then
		log=$BASE/home.$BASHPID
		mkdir "$log"
		chown "$AS_USER" "$log"
		log+=/log
	fi
	mount_store -o "policy-file=$RULES,log=$log"
	mv "$log" "$log.1"
	kill -HUP "$DAEMON_PID"
	does "$LIMIT" grep -qs 'was read again: 1 rule,' "$log"
	is 0 grep -c 'was read again' "$log.1"
	unmount_store
}

what_a_rule_held_in_memory_is_let_go() {
	client_new
	make held/closed
	make held/open
	for file in closed open; do
		as_user dd if=/dev/zero of="$MNT/held/$file" bs=4k count=2 \
			status=none
		becomes "$LIMIT" 8192 status "$MNT/held/$file" locked
	done
	expect 0 'ok *' open 0 "$MNT/held/open" rw
	is 16384 stats locked
	rules <<-END
		held/** lock=onfault
	END
	reread
	log_says 1 'other policies for 1 open file'
	is 8192 status "$MNT/held/closed" locked
	rules </dev/null
	reread
	is 0 status "$MNT/held/open" locked
	is 0 status "$MNT/held/closed" locked
	is 0 stats locked
	rules <<<'held/open lock=on'
	reread
	becomes "$LIMIT" 8192 status "$MNT/held/open" locked
	is 8192 stats locked
	# One that is removed is not kept by what remembers its name.
	client_end 0
	as_user rm "$MNT/held/open"
	becomes "$LIMIT" 0 stats locked
}

# storm MNT END: until the file END is there.
# shellcheck disable=SC2016
storm='
	while [[ ! -e $2 ]]; do
		for i in 1 2 3 4 5 6 7 8; do
			echo x >"$1/storm/$i" && read -r _ <"$1/storm/$i"
			mv "$1/storm/$i" "$1/storm/x.$i" && rm "$1/storm/x.$i"
		done || exit 1
	done'

SIGHUP_while_files_are_opened_and_closed() {
	local i worker
	as_user mkdir "$MNT/storm"
	as_user bash -c "$storm" storm "$MNT" "$BASE/enough" &
	worker=$!
	for i in 1 2 3 4 5 6 7 8 9 10 11 12; do
		rules <<<"storm/** sync=every=${i}s lock=on"
		reread
		rules <<<"**/x.* sync=every=${i}s append=on"
		reread
	done
	: >"$BASE/enough"
	wait "$worker"
	make storm/x.last
	holds storm/x.last sync every=12s 1
}

# --- the start ---------------------------------------------------------------

# refuses_to_start OPTIONS WORD...: one line with these, status 1.
refuses_to_start() {
	local options=$1 word line
	shift
	if mount_store -o "$options" >/dev/null 2>&1; then
		unmount_store
		echo "mounted with $options"
		return 1
	fi
	is 1 cat "${MNT%/mnt}/status"
	line=$(<"$LOG")
	for word; do
		if [[ $line != *"$word"* || $line == *$'\n'* ]]; then
			echo "it said: $line; expected $word"
			return 1
		fi
	done
}

a_bad_file_at_the_start_is_an_error() {
	rules <<<'a bogus=1'
	refuses_to_start "policy-file=$RULES" "$RULES:1: 'bogus=1': expected"
	rules 666 <<<'a sync=manual'
	refuses_to_start "policy-file=$RULES" 'expected chmod go-w'
	refuses_to_start "policy-file=$BASE/none" "'$BASE/none': No such file"
	# data=, map= of the harness are not meant here.
	rules <<<'a sync=strict'
	refuses_to_start "policy-file=$RULES,map=shared,sync=manual,nofsync" \
		"$RULES:1: sync=strict: option 'nofsync'"
	rules <<<'a map=staged'
	refuses_to_start "policy-file=$RULES,map=shared,sync=manual,nofsync" \
		"$RULES:1: map=staged: option 'nofsync'"
}

others_files_are_refused() {
	[[ $EUID -eq 0 ]] || {
		echo "n/a: only root has files of others"
		return 77
	}
	rules <<<'a sync=manual'
	chown 65533 "$RULES"
	refuses_to_start "policy-file=$RULES" 'belongs to user 65533'
}

# The daemon leaves the directory that it was started in.
daemon_of() {
	local directory
	for directory in /proc/[0-9]*; do
		if [[ $(cat "$directory/comm" 2>/dev/null) == msyncfs ]] &&
			grep -qzFx "$1" "$directory/cmdline" 2>/dev/null; then
			echo "${directory#/proc/}"
		fi
	done
}

a_relative_path_means_the_directory_of_the_start() {
	local pid
	MNT=$(mktemp -d "$BASE/relative.XXXXXX")
	[[ -z $AS_USER || $EUID -ne 0 ]] || chown "$AS_USER" "$MNT"
	rules <<<'** sync=manual'
	(
		cd "${RULES%/*}"
		as_user "$MSYNCFS" -o "policy-file=${RULES##*/}" \
			"$STORE" "$MNT"
	)
	trap '{ umount -l "$MNT" || fusermount3 -u -z "$MNT" || true
		} 2>/dev/null' EXIT
	make relative
	holds relative sync fsync=defer 1
	pid=$(daemon_of "$MNT")
	[[ $pid =~ ^[0-9]+$ ]]
	rules <<<'** sync=every=1s'
	kill -HUP "$pid"
	becomes "$LIMIT" every=1s status "$MNT/relative" sync
	as_user fusermount3 -u "$MNT" || umount "$MNT"
	does "$LIMIT" daemon_is_gone "$pid"
	trap - EXIT
}

daemon_is_gone() {
	[[ ! -d /proc/$1 ]]
}

a_file_below_the_mountpoint_is_refused() {
	local hidden
	hidden=$(mktemp -d "$BASE/hidden.XXXXXX")
	[[ -z $AS_USER || $EUID -ne 0 ]] || chown "$AS_USER" "$hidden"
	rules <<<'** sync=manual'
	mv "$RULES" "$hidden/rules"
	is '*below the mountpoint*expected one elsewhere*' as_user \
		"$MSYNCFS" -o "policy-file=$hidden/rules" "$STORE" "$hidden"
}

# --- what it costs -----------------------------------------------------------

# calls_of_work RESULT: how many calls on files the daemon makes for one and the same work; how it
# waits for requests is left out, which depends on when they come.
calls_of_work() {
	as_user rm -rf "$MNT/cost"
	make cost/file
	make cost/opened
	client_new
	expect "$CLIENT" 'ok *' open 0 "$MNT/cost/opened" rw
	expect "$CLIENT" 'ok *' write 0 0 10 65
	traced calls %file,fstat,newfstatat,fgetxattr,flistxattr,\
open_by_handle_at,name_to_handle_at,dup,dup3,close,pread64,pwrite64,ioctl,\
lseek,fcntl
	expect "$CLIENT" 'ok *' read 0 0 10 20
	expect "$CLIENT" 'ok *' write 0 0 10 66 20
	expect "$CLIENT" 'ok *' open 1 "$MNT/cost/opened" rw
	expect "$CLIENT" 'ok *' open 2 "$MNT/cost/file" rw
	expect "$CLIENT" 'ok *' write 2 0 10 65
	untraced
	client_end "$CLIENT"
	# Times are set once in each tick of the kernel's clock.
	grep -v ' utimensat(' "$TRACED" | grep -cE ' [a-z0-9_]+\(' >"$1"
}

rules_cost_no_system_calls() {
	local without with i
	command -v strace >/dev/null || {
		echo "strace is not installed"
		return 77
	}
	MOUNT_OPTIONS=attr_timeout=60,entry_timeout=60
	mounted calls_of_work "$BASE/without"
	for ((i = 0; i < 10000; i++)); do
		echo "home/user$i/** sync=every=${i}s"
	done | sed 's/every=0s/every=1s/' | rules
	MOUNT_OPTIONS+=,policy-file=$RULES
	mounted calls_of_work "$BASE/with"
	without=$(<"$BASE/without")
	with=$(<"$BASE/with")
	echo "calls without a policy file: $without, with one: $with"
	[[ $with -gt 0 && $with -eq $without ]]
}

make_store || bail "no $FS store"
RULES=$(mktemp -d "$BASE/rules.XXXXXX")
chmod 755 "$RULES"
RULES+=/rules

t every_policy_may_come_from_the_file ruled '# all of them
tree/** advise=sequential+willneed append=off
tree/ sync=relaxed+every=2s
/tree/** map=private
**/below/file data=daemon
"tree/below/file" lock=onfault
tr[a-z]e/*/f?le grow=chunk=1M,max=2M
tree/**/file append=on' every_policy_may_come_from_the_file

t what_the_rules_say_is_done ruled '
relaxed/** sync=manual map=shared
append/** append=on map=shared
strict/** sync=strict map=shared' what_the_rules_say_is_done

t own_attributes_go_before_rules ruled 'own/** sync=manual data=daemon' \
	own_attributes_go_before_rules
MOUNT_OPTIONS=sync=every=9s
t rules_go_before_mount_options ruled 'rule/** sync=manual' \
	rules_go_before_mount_options
MOUNT_OPTIONS=
if [[ -x $MSYNCCTL ]]; then
	t msyncctl_says_where_a_policy_comes_from \
		ruled 'rule/** sync=manual' \
		msyncctl_says_where_a_policy_comes_from
else
	skip msyncctl_says_where_a_policy_comes_from "msyncctl is not built"
fi

names='from/** sync=manual
to/** sync=every=1s'
t a_rename_counts_from_the_next_open_on \
	ruled "$names" a_rename_counts_from_the_next_open_on
t a_file_with_two_names_goes_by_one_of_them \
	ruled "$names" a_file_with_two_names_goes_by_one_of_them
t a_removed_file_goes_by_the_name_it_had \
	ruled "$names" a_removed_file_goes_by_the_name_it_had

open='open/** sync=manual map=shared'
t SIGHUP_changes_open_files ruled "$open" SIGHUP_changes_open_files
t the_data_path_and_map_wait_for_the_last_close \
	ruled 'late/** map=shared' the_data_path_and_map_wait_for_the_last_close
t a_staged_tree_becomes_shared_again \
	ruled 'staged/** map=staged sync=manual' \
	a_staged_tree_becomes_shared_again
t a_bad_file_changes_nothing ruled "$open" a_bad_file_changes_nothing
t the_same_SIGHUP_opens_the_log_anew the_same_SIGHUP_opens_the_log_anew
t what_a_rule_held_in_memory_is_let_go \
	ruled 'held/** lock=on map=shared' what_a_rule_held_in_memory_is_let_go
t SIGHUP_while_files_are_opened_and_closed \
	ruled '** sync=manual' SIGHUP_while_files_are_opened_and_closed

t a_bad_file_at_the_start_is_an_error a_bad_file_at_the_start_is_an_error
t others_files_are_refused others_files_are_refused
t a_relative_path_means_the_directory_of_the_start \
	a_relative_path_means_the_directory_of_the_start
t a_file_below_the_mountpoint_is_refused a_file_below_the_mountpoint_is_refused
t rules_cost_no_system_calls rules_cost_no_system_calls
t the_store_is_given_back drop_store
done_testing
