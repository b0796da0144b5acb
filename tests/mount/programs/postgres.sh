#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# postgres.sh DIRECTORY SCRATCH HELPERS
#
# A PostgreSQL cluster in DIRECTORY, to be run by the user who owns it (not
# root): initdb with checksums, pgbench, pg_amcheck, a restart, a kill -9 in
# the middle of pgbench and the recovery.
set -eu
dir=$1/cluster scratch=$2
export PGHOST=$scratch PGUSER=bench PGDATABASE=bench
PATH=$(pg_config --bindir):$PATH
cd "$scratch"

start() {
	pg_ctl -D "$dir" -w -t 60 -l "$scratch/server.log" start >/dev/null ||
		{ tail -n 20 "$scratch/server.log"; exit 1; }
}

stop() {
	pg_ctl -D "$dir" -w -t 60 -m fast stop >/dev/null
}

# Also when a step fails: no server outlives the test.
trap 'pg_ctl -D "$dir" -m immediate stop >/dev/null 2>&1 || true' EXIT

value() {
	psql -X -q -A -t -v ON_ERROR_STOP=1 -c "$1"
}

create() {
	initdb -D "$dir" -U bench -A trust --data-checksums >"$scratch/initdb"
	cat >>"$dir/postgresql.conf" <<-CONF
		listen_addresses = ''
		unix_socket_directories = '$scratch'
		shared_buffers = 16MB
		max_wal_size = 64MB
		min_wal_size = 32MB
		wal_keep_size = 0
		autovacuum = on
		fsync = on
	CONF
	start
	createdb bench
	value 'CREATE EXTENSION amcheck'
}

# What pgbench's transactions keep equal, and the structure of every table.
check() {
	local found
	found=$(value 'SELECT
		(SELECT sum(abalance) FROM pgbench_accounts) =
		(SELECT coalesce(sum(delta), 0) FROM pgbench_history) AND
		(SELECT sum(bbalance) FROM pgbench_branches) =
		(SELECT coalesce(sum(delta), 0) FROM pgbench_history) AND
		(SELECT sum(tbalance) FROM pgbench_tellers) =
		(SELECT coalesce(sum(delta), 0) FROM pgbench_history)')
	[[ $found == t ]] || { echo 'the balances differ'; exit 1; }
	pg_amcheck --heapallindexed --no-dependent-toast bench
}

bench() {
	pgbench -n -c 4 -j 2 "$@" >"$scratch/pgbench" 2>&1
}

# kill -9 of the server's first process; its children notice and end.
crash() {
	local postmaster client
	postmaster=$(head -n 1 "$dir/postmaster.pid")
	bench -T 60 -l --log-prefix="$scratch/crash" &
	client=$!
	# It is at work, however slow the disk is.
	for _ in {1..300}; do
		[[ $(value 'SELECT count(*) FROM pgbench_history') -lt 500 ]] ||
			break
		sleep 0.1
	done
	kill -KILL "$postmaster"
	wait "$client" 2>/dev/null || true
	# The next server takes the lock file for a live one's until both the
	# process and, for the shared memory, its children are gone.
	for _ in {1..200}; do
		pgrep -f "^postgres:.* bench bench" >/dev/null ||
			kill -0 "$postmaster" 2>/dev/null || break
		sleep 0.05
	done
	sleep 0.2
}

create
pgbench -i -q -s 1 >"$scratch/pgbench" 2>&1
bench -t 100
[[ $(value 'SELECT count(*) FROM pgbench_history') == 400 ]]
check
stop
start
[[ $(value 'SELECT count(*) FROM pgbench_history') == 400 ]]
crash
acknowledged=$(cat "$scratch"/crash* | wc -l)
start
found=$(value 'SELECT count(*) FROM pgbench_history')
# Every transaction that a client was told of, and perhaps the last ones that
# were committed and not told.
if [[ $acknowledged -eq 0 || $found -lt $((400 + acknowledged)) ]]; then
	echo "$found transactions, at least $((400 + acknowledged)) expected"
	exit 1
fi
check
stop
pg_checksums -D "$dir" --check >"$scratch/checksums" ||
	{ cat "$scratch/checksums"; exit 1; }
