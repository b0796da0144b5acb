#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# sqlite.sh DIRECTORY SCRATCH HELPERS MODE
#
# Three writers move money between 100 accounts of one database while two
# readers add all of it up; one more writer is killed at work. MODE: wal, or a
# kind of rollback journal (delete, truncate, persist).
set -eu
dir=$1 scratch=$2 mode=$4
db=$dir/bank.db
total=100000
moves=60

sql() {
	sqlite3 -bail -cmd '.timeout 30000' "$db" "$@"
}

create() {
	sql "PRAGMA journal_mode=$mode" >"$scratch/mode"
	if [[ $(<"$scratch/mode") != "$mode" ]]; then
		echo "journal_mode is $(<"$scratch/mode"), not $mode"
		exit 1
	fi
	sql "CREATE TABLE account(id INTEGER PRIMARY KEY, balance INTEGER);
		CREATE TABLE move(writer INTEGER, number INTEGER,
			note TEXT, UNIQUE(writer, number));
		WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL
			SELECT i + 1 FROM n WHERE i < 100)
		INSERT INTO account SELECT i, 1000 FROM n;"
}

# The statements of writer $1: $2 transactions.
transactions() {
	awk -v writer="$1" -v count="$2" 'BEGIN {
		srand(writer)
		for (i = 1; i <= count; i++) {
			from = int(rand() * 100) + 1
			to = int(rand() * 100) + 1
			print "BEGIN IMMEDIATE;"
			print "UPDATE account SET balance = balance - " i \
				" WHERE id = " from ";"
			print "UPDATE account SET balance = balance + " i \
				" WHERE id = " to ";"
			print "INSERT INTO move VALUES(" writer ", " i \
				", hex(randomblob(300)));"
			print "COMMIT;"
		}
	}'
}

write_moves() {
	transactions "$1" "$moves" | sql >"$scratch/writer.$1"
}

read_sums() {
	for _ in {1..60}; do
		echo 'SELECT sum(balance) FROM account;'
	done | sql >"$scratch/reader.$1"
	[[ $(sort -u "$scratch/reader.$1") == "$total" ]]
}

check() {
	local found
	found=$(sql 'PRAGMA integrity_check')
	[[ $found == ok ]] || { echo "integrity_check: $found"; exit 1; }
	found=$(sql 'SELECT sum(balance) FROM account')
	[[ $found == "$total" ]] || { echo "the sum is $found"; exit 1; }
}

moves_of() {
	sql "SELECT count(*) FROM move WHERE writer = $1"
}

# A hot journal, or a log that nobody closed, is there for the next to find.
kill_a_writer() {
	local writer
	# Without a pipe, so that $! is sqlite3 itself.
	transactions 9 100000 >"$scratch/long.sql"
	sqlite3 -bail -cmd '.timeout 30000' "$db" <"$scratch/long.sql" \
		>/dev/null &
	writer=$!
	# It is at work, however slow the disk is.
	for _ in {1..600}; do
		[[ $(moves_of 9) -lt 3 ]] || break
		sleep 0.05
	done
	kill -KILL "$writer"
	wait "$writer" 2>/dev/null || true
}

create
jobs=()
for writer in 1 2 3; do
	write_moves "$writer" &
	jobs+=($!)
done
for reader in 1 2; do
	read_sums "$reader" &
	jobs+=($!)
done
for job in "${jobs[@]}"; do
	wait "$job"
done
check
count=$(sql 'SELECT count(*) FROM move')
[[ $count -eq $((3 * moves)) ]] || { echo "$count moves"; exit 1; }
kill_a_writer
check
count=$(sql 'SELECT count(*) FROM move WHERE writer = 9')
last=$(sql 'SELECT max(number) FROM move WHERE writer = 9')
[[ $count -gt 0 && $count -eq $last ]] ||
	{ echo "$count moves of the killed writer, the last is $last"; exit 1; }
