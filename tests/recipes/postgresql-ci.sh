#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# docs/recipes/postgresql-ci.md: a PostgreSQL cluster on a staged mount, with
# fsync on. Daemon and server are killed in the middle of pgbench, and the
# flushes of the disk counted beside those of the same cluster in a directory.
# shellcheck source=tests/recipes/lib.sh
source "$(dirname "$0")/lib.sh"

cluster=/srv/pg/data
scratch=$BASE/scratch
# Debian keeps most of the programs apart.
! type -P pg_config >/dev/null || PATH=$(pg_config --bindir):$PATH

as_server() {
	PGDATABASE=postgres setpriv --reuid=postgres \
		--regid=postgres --init-groups -- "$@"
}

value() {
	(cd / && as_server psql -X -q -A -t -v ON_ERROR_STOP=1 -c "$1")
}

transactions() {
	value 'SELECT count(*) FROM pgbench_history'
}

# What the package does: a user, and a directory for the socket.
as_a_package_leaves_it() {
	getent passwd postgres >/dev/null ||
		useradd --system --user-group --home-dir /var/lib/postgresql \
			postgres
	install -d -o postgres -g postgres /run/postgresql "$scratch"
}

# pgbench COMMAND-LINE: quiet, its output kept.
bench() {
	(cd "$scratch" && as_server pgbench "$@") >"$BASE/bench" 2>&1
}

set_up() {
	as_a_package_leaves_it
	install_block "Setting up" /etc/fstab
	run_block "Setting up"
	run_block "Making the cluster"
	# Where the socket is depends on who has built it.
	echo "unix_socket_directories = '/run/postgresql'" \
		>>$cluster/postgresql.conf
	run_block "Starting the server"
	[[ $(grep -cx ' on' "$RECIPE_OUT") -eq 3 ]]
	value 'CREATE EXTENSION amcheck'
	bench -i -q -s 1
	bench -n -c 4 -j 2 -t 50
	[[ $(transactions) -eq 200 ]]
	run_block "See that it works"
	grep -qE '^fsync\.deferred=[1-9]' "$RECIPE_OUT"
}

stop_server() {
	as_server pg_ctl -D "$1" -m fast -w -t 60 stop >/dev/null
}

# flushes_of CLUSTER: for 800 transactions on it, all of them durable at the
# end; into REPLY.
flushes_of() {
	local before found
	[[ $1 == "$cluster" ]] || as_server pg_ctl -D "$1" -w -t 60 \
		-o "-c listen_addresses=''" -l "$scratch/log" start >/dev/null
	value CHECKPOINT
	sync -f /srv
	found=$(transactions)
	before=$(disk_stat /srv flushes)
	bench -n -c 4 -j 2 -t 200
	[[ $1 != "$cluster" ]] || msyncctl sync /srv/pg
	REPLY=$(($(disk_stat /srv flushes) - before))
	[[ $(transactions) -eq $((found + 800)) ]]
	[[ $(value 'SHOW fsync') == on ]]
}

flushes_are_saved() {
	local staged
	flushes_of "$cluster"
	staged=$REPLY
	stop_server "$cluster"
	cp -a "$cluster" /srv/plain
	flushes_of /srv/plain
	stop_server /srv/plain
	rm -r /srv/plain
	tell "800 transactions of pgbench: $REPLY flushes on the directory," \
		"$staged on the mount"
	# Four clients may share a flush. Or nothing was counted.
	[[ $REPLY -ge 200 ]]
	[[ $((staged * 3)) -le $REPLY ]]
	run_block "Starting the server"
}

# What pgbench's transactions keep equal, and the structure of every table.
cluster_is_whole() {
	[[ $(value 'SELECT
		(SELECT sum(abalance) FROM pgbench_accounts) =
		(SELECT sum(delta) FROM pgbench_history) AND
		(SELECT sum(bbalance) FROM pgbench_branches) =
		(SELECT sum(delta) FROM pgbench_history) AND
		(SELECT sum(tbalance) FROM pgbench_tellers) =
		(SELECT sum(delta) FROM pgbench_history)') == t ]] ||
		{ echo 'the balances differ'; return 1; }
	(cd / && as_server pg_amcheck --heapallindexed --no-dependent-toast \
		postgres)
}

# Its children notice, and none may hold the shared memory any more.
kill_server() {
	kill -KILL "$1" && wait_until 60 no_server
}

no_server() {
	[[ -z $(pgrep -u postgres -f '^postgres' || true) ]]
}

has_transactions() {
	[[ $(transactions) -ge $1 ]]
}

# killed daemon|both: the daemon, after the server or alone. What was there at
# `msyncctl sync` is durable.
killed() {
	local client started least seen
	started=$(transactions)
	(cd "$scratch" && as_server pgbench -n -c 4 -j 2 -T 60) \
		>"$BASE/bench" 2>&1 &
	client=$!
	wait_until 60 has_transactions $((started + 100))
	least=$(transactions)
	run_block "What survives"
	wait_until 60 has_transactions $((least + 20))
	seen=$(transactions)
	# In the middle of a checkpoint, if there is time for one.
	value CHECKPOINT &
	[[ $1 == daemon ]] ||
		kill_server "$(head -n 1 $cluster/postmaster.pid)"
	kill_daemon /srv/pg
	wait "$client" || true
	run_block "After a crash"
	no_server
	run_block "Starting the server"
	tell "killed after $seen transactions, of which $least were in a" \
		"commit: $(transactions) are there"
	has_transactions "$least"
	cluster_is_whole
}

# Of a server that alone is killed PostgreSQL keeps what it has reported.
the_server_alone() {
	local found
	bench -n -c 4 -j 2 -t 25
	found=$(transactions)
	kill_server "$(head -n 1 $cluster/postmaster.pid)"
	run_block "Starting the server"
	[[ $(transactions) -eq $found ]]
}

undone() {
	local found
	cluster_is_whole
	found=$(transactions)
	run_block "Undoing it"
	[[ $(grep -c msyncfs /etc/fstab) -eq 0 && ! -e /srv/pg.store/.msyncfs ]]
	as_server pg_checksums -D /srv/pg.store/data --check
	as_server pg_ctl -D /srv/pg.store/data -w -t 60 \
		-o "-c listen_addresses=''" -l "$scratch/log" start >/dev/null
	[[ $(transactions) -eq $found ]]
	stop_server /srv/pg.store/data
}

recipe postgresql-ci pg_config psql pg_amcheck pgbench runuser pgrep
t a_cluster_is_made_and_started_with_fsync_on set_up
t commits_of_transactions_cost_no_flush_of_the_disk flushes_are_saved
t it_recovers_when_the_daemon_is_killed killed daemon
t it_recovers_when_server_and_daemon_are_killed killed both
t a_killed_server_loses_nothing the_server_alone
t the_cluster_is_an_ordinary_one_afterwards undone
recipe_done
