#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# docs/recipes/sqlite-full.md: an SQLite application on a staged mount. The
# daemon is killed at several moments of its work, with both kinds of journal,
# and the flushes of the disk are counted beside those of the directory itself.
#
# The application is tests/powercut/work/sqlite.sh: rows 1, 2, 3, ... with
# synchronous=FULL, whose check wants whole transactions from the first on.
# shellcheck source=tests/recipes/lib.sh
source "$(dirname "$0")/lib.sh"

data=/srv/app/data
store=/srv/app/data.store
application=$SRCDIR/tests/powercut/work/sqlite.sh
export WORK_STOP=$BASE/stop

# work_on DIRECTORY MODE: the application, in the background.
work_on() {
	rm -f "$WORK_STOP"
	bash "$application" write "$1" "$2" >"$BASE/said" 2>&1 &
	worker=$!
}

# Also one whose mount has died under it.
work_ends() {
	touch "$WORK_STOP"
	wait "$worker" || [[ -n ${1:-} ]] ||
		{ cat "$BASE/said"; return 1; }
}

# rows DIRECTORY MODE
rows() {
	local found
	found=$(sqlite3 -cmd '.timeout 20000' "$1/$2.db" \
		'SELECT count(*) FROM item' 2>/dev/null) || found=0
	echo "${found:-0}"
}

has_rows() {
	[[ $(rows "$1" "$2") -ge $3 ]]
}

# is_whole DIRECTORY MODE LEAST: no fault, whole transactions, so many rows.
is_whole() {
	echo "durable sqlite.$2 $3" >"$BASE/marks"
	bash "$application" check "$1" "$2" "$BASE/marks"
}

# What an existing application has is there afterwards.
set_up() {
	mkdir -p "$data"
	work_on "$data" wal
	wait_until 30 has_rows "$data" wal 20
	work_ends
	before=$(rows "$data" wal)
	# First, because both blocks are run in one go.
	install_block "Setting up" /etc/fstab
	run_block "Setting up"
	[[ $(rows "$data" wal) -eq $before ]]
	[[ $(stat -c %d "$data") != $(stat -c %d "$store") ]]
	is_whole "$data" wal "$before"
	rm "$data"/wal.db*
	run_block "See that it works"
	grep -qx 'map=staged *(mount)' "$RECIPE_OUT"
	grep -q '^fsync\.deferred=' "$RECIPE_OUT"
}

# transactions DIRECTORY MODE: 300, each synced as SQLite sees fit.
transactions() {
	mkdir -p "$1"
	{
		echo "PRAGMA journal_mode=$2; PRAGMA synchronous=FULL;
			CREATE TABLE item(id INTEGER PRIMARY KEY, text);"
		for i in {1..300}; do
			echo "INSERT INTO item VALUES($i, 'row $i');"
		done
	} | sqlite3 -bail "$1/counted.db" >"$BASE/said"
	[[ $1 != "$data"/* ]] || msyncctl sync "$data"
}

# flushes_of DIRECTORY MODE: for these, all of them durable at the end; into
# REPLY.
flushes_of() {
	local before
	sync -f /srv
	before=$(disk_stat /srv flushes)
	transactions "$1" "$2"
	REPLY=$(($(disk_stat /srv flushes) - before))
	[[ $(rows "$1" counted) -eq 300 ]]
	rm -r "$1"
}

flushes_are_saved() {
	local mode plain
	for mode in wal delete; do
		flushes_of /srv/plain "$mode"
		plain=$REPLY
		flushes_of "$data/counted" "$mode"
		tell "300 transactions, journal_mode=$mode:" \
			"$plain flushes on the directory, $REPLY on the mount"
		# Or nothing was counted.
		[[ $plain -ge 300 ]]
		[[ $((REPLY * 10)) -le $plain ]]
	done
	[[ $(stat_of "$data" fsync.deferred) -ge 600 ]]
}

# killed DIRECTORY MODE COMMAND...: at a moment after COMMAND has made what is
# there by then durable.
killed() {
	local dir=$1 mode=$2 started least
	shift 2
	started=$(rows "$dir" "$mode")
	work_on "$dir" "$mode"
	wait_until 60 has_rows "$dir" "$mode" $((started + 30))
	least=$(rows "$dir" "$mode")
	"$@"
	sleep "0.$((RANDOM % 4))$((RANDOM % 10))"
	kill -0 "$worker"
	kill_daemon "$data"
	work_ends mercy
	run_block "After a crash"
	is_whole "$dir" "$mode" "$least"
	# It is another state than the one before.
	[[ $(rows "$dir" "$mode") -gt $started ]]
	rm "$dir/$mode.db"*
}

nothing_but_the_end_is_lost() {
	local mode=$1
	for _ in 1 2 3; do
		killed "$data" "$mode" run_block "What survives"
	done
}

# The second commit from now has begun after this.
commits_by_itself() {
	local first
	first=$(stat_of "$data" commit.sequence)
	wait_until 90 commit_came $((first + 2))
}

commit_came() {
	[[ $(stat_of "$data" commit.sequence) -ge $1 ]]
}

the_interval_holds() {
	killed "$data" wal commits_by_itself
}

# All that SQLite had written, to the last row.
without_staging() {
	run_block "Data that can be made again"
	killed "$data/cache" wal true
	killed "$data/cache" delete true
}

undone() {
	local rows
	work_on "$data" delete
	wait_until 30 has_rows "$data" delete 10
	work_ends
	rows=$(rows "$data" delete)
	run_block "Undoing it"
	[[ $(rows "$data" delete) -eq $rows && ! -e $store ]]
	[[ ! -e $data/.msyncfs ]]
	[[ $(grep -c msyncfs /etc/fstab) -eq 0 ]]
	is_whole "$data" delete "$rows"
}

recipe sqlite-full sqlite3
t an_application_s_data_becomes_a_mount set_up
t transactions_cost_no_flush_of_the_disk flushes_are_saved
t a_kill_takes_the_last_transactions_of_a_write_ahead_log \
	nothing_but_the_end_is_lost wal
t a_kill_takes_the_last_transactions_of_a_rollback_journal \
	nothing_but_the_end_is_lost delete
t what_was_there_two_commits_ago_is_there_after_a_kill the_interval_holds
t a_database_that_is_only_deferred_loses_nothing_in_a_kill without_staging
t the_directory_is_given_back_as_it_is undone
recipe_done
