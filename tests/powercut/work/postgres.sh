#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# A PostgreSQL cluster that pgbench works on. To be run by the user who owns
# the directories, not root.
#
#	postgres.sh create DIRECTORY SCRATCH
#	postgres.sh work DIRECTORY SCRATCH SECONDS	see work.h, HELPERS
#	postgres.sh check DIRECTORY SCRATCH TRANSACTIONS
#
# `work` claims now and then that so many of pgbench's transactions are durable
# ("postgres COUNT"). `check` wants a server that starts by itself, at least
# TRANSACTIONS, balances that agree, and nothing for pg_amcheck or the
# checksums to find.
set -eu
verb=$1 dir=$2/cluster scratch=$3
export PGHOST=$scratch PGUSER=bench PGDATABASE=bench
PATH=$(pg_config --bindir):$PATH
cd "$scratch"

start() {
	pg_ctl -D "$dir" -w -t 60 -l "$scratch/server.log" start >/dev/null ||
		{ tail -n 30 "$scratch/server.log"; exit 1; }
}

# Also when a step fails: no server outlives the test.
trap 'pg_ctl -D "$dir" -m immediate stop >/dev/null 2>&1 || true' EXIT

value() {
	psql -X -q -A -t -v ON_ERROR_STOP=1 -c "$1"
}

# Small segments and frequent checkpoints: more of it happens in a second.
create() {
	initdb -D "$dir" -U bench -A trust --data-checksums \
		--wal-segsize=1 --no-instructions >"$scratch/initdb"
	cat >>"$dir/postgresql.conf" <<-CONF
		listen_addresses = ''
		unix_socket_directories = '$scratch'
		shared_buffers = 4MB
		max_wal_size = 4MB
		min_wal_size = 2MB
		checkpoint_timeout = 30s
		bgwriter_delay = 10ms
		wal_keep_size = 0
		fsync = on
	CONF
	start
	createdb bench
	value 'CREATE EXTENSION amcheck'
	pgbench -i -q -s 1 >"$scratch/pgbench" 2>&1
	pg_ctl -D "$dir" -w -m fast stop >/dev/null
}

work() {
	local client
	start
	pgbench -n -c 2 -R 300 -T "$1" >"$scratch/pgbench" 2>&1 &
	client=$!
	while kill -0 "$client" 2>/dev/null; do
		"$HELPERS/durable" postgres \
			"$(value 'SELECT count(*) FROM pgbench_history')"
		sleep 0.3
	done
	wait "$client" || { cat "$scratch/pgbench"; exit 1; }
	pg_ctl -D "$dir" -w -m fast stop >/dev/null
}

check() {
	local found
	# A power cut removes no process, but this is another boot.
	rm -f "$dir/postmaster.pid"
	start
	found=$(value 'SELECT
		(SELECT sum(abalance) FROM pgbench_accounts) =
		(SELECT coalesce(sum(delta), 0) FROM pgbench_history) AND
		(SELECT sum(bbalance) FROM pgbench_branches) =
		(SELECT coalesce(sum(delta), 0) FROM pgbench_history) AND
		(SELECT sum(tbalance) FROM pgbench_tellers) =
		(SELECT coalesce(sum(delta), 0) FROM pgbench_history)')
	[[ $found == t ]] || { echo 'the balances differ'; exit 1; }
	found=$(value 'SELECT count(*) FROM pgbench_history')
	[[ $found -ge $1 ]] ||
		{ echo "$found transactions, $1 were durable"; exit 1; }
	pg_amcheck --heapallindexed --no-dependent-toast bench
	pg_ctl -D "$dir" -w -m fast stop >/dev/null
	pg_checksums -D "$dir" --check >"$scratch/checksums" ||
		{ cat "$scratch/checksums"; exit 1; }
}

case $verb in
create) create ;;
work) work "$4" ;;
check) check "$4" ;;
esac
