#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# An SQLite database with synchronous=FULL that loses nothing but its end.
#
#	sqlite.sh write DIRECTORY MODE	until WORK_STOP; see work.h, HELPERS
#	sqlite.sh check DIRECTORY MODE MARKS
#
# MODE: wal, or a kind of rollback journal (delete, truncate, persist). One
# session inserts rows 1, 2, 3, ..., in transactions of one row or of many that
# also touch older rows, and claims now and then that all so far is durable
# ("sqlite.MODE ROWS"). `check` wants rows 1 to k, whole transactions and no
# less than MARKS claims, in a database without a fault.
set -eu -o pipefail
verb=$1 dir=$2 mode=$3
db=$dir/$mode.db

# What row $1 (an SQL expression) holds.
payload() {
	echo "printf('%d:%.*c', $1, ($1 * 7919) % 900 + 1, 'x')"
}

begin_session() {
	# Small, so that pages leave the cache and the log is often emptied.
	cat <<-SQL
		.bail on
		.timeout 10000
		PRAGMA journal_mode=$mode;
		PRAGMA synchronous=FULL;
		PRAGMA wal_autocheckpoint=60;
		PRAGMA cache_size=30;
		CREATE TABLE IF NOT EXISTS item(id INTEGER PRIMARY KEY,
			payload TEXT, touched INTEGER);
		CREATE INDEX IF NOT EXISTS item_touched ON item(touched);
		CREATE TABLE IF NOT EXISTS done(number INTEGER PRIMARY KEY,
			last INTEGER);
	SQL
}

# transaction NUMBER FIRST LAST
transaction() {
	cat <<-SQL
		BEGIN IMMEDIATE;
		WITH RECURSIVE n(i) AS (SELECT $2 UNION ALL
			SELECT i + 1 FROM n WHERE i < $3)
		INSERT INTO item SELECT i, $(payload i), $1 FROM n;
		UPDATE item SET touched = $1 WHERE id % 61 = $1 % 61;
		INSERT INTO done VALUES($1, $3);
		COMMIT;
	SQL
}

session() {
	local number=0 rows=0 more
	begin_session
	while [[ ! -e $WORK_STOP ]]; do
		number=$((number + 1)) more=1
		[[ $((number % 10)) -ne 0 ]] || more=25
		[[ $((number % 70)) -ne 0 ]] || more=300
		transaction "$number" $((rows + 1)) $((rows + more))
		rows=$((rows + more))
		if [[ -n ${WORK_MARKS:-} && $((number % 8)) -eq 0 ]]; then
			echo ".shell $HELPERS/durable sqlite.$mode $rows"
		fi
		sleep 0.01
	done
}

write() {
	mkdir -p "$dir"
	# sqlite3 goes on after a .shell that failed, and tells.
	session | sqlite3 -bail "$db" 2>&1 >/dev/null | {
		! grep .
	}
}

# --- checking ----------------------------------------------------------------

sql() {
	sqlite3 -bail -cmd '.timeout 10000' "$db" "$@"
}

fails() {
	echo "sqlite $mode: $*"
	exit 1
}

check() {
	local least found count last bad ends
	least=$(sed -n "s/^durable sqlite\.$mode //p" "$1" | tail -n 1)
	if [[ ! -s $db && -z $least ]]; then
		return
	fi
	[[ -s $db ]] || fails "no database; $least rows were durable"
	found=$(sql 'PRAGMA integrity_check' 2>&1) || fails "$found"
	[[ $found == ok ]] || fails "integrity_check: $found"
	found=$(sql "SELECT count(*) FROM sqlite_master WHERE name = 'done'")
	if [[ $found -eq 0 && -z $least ]]; then
		return
	fi
	found=$(sql "SELECT count(*), coalesce(max(id), 0),
		coalesce(sum(payload <> $(payload id)), 0),
		(SELECT coalesce(max(last), 0) FROM done) FROM item" 2>&1) ||
		fails "$found"
	IFS='|' read -r count last bad ends <<<"$found"
	if [[ $count -ne $last || $bad -ne 0 || $last -ne $ends ]]; then
		fails "$count rows up to $last, $bad of them wrong;" \
			"the last transaction ends at $ends"
	fi
	[[ $last -ge ${least:-0} ]] ||
		fails "$last rows; $least were durable"
}

case $verb in
write) write ;;
check) check "$4" ;;
esac
