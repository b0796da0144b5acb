# SPDX-License-Identifier: Apache-2.0
#
# fsync: programs that sync every transaction, on each sync policy. Sourced by
# bench, before rows.sh.
#
#	sqlite-wal sqlite-delete	one sqlite3 inserts rows, each in a
#			transaction of its own; synchronous=FULL; the
#			write-ahead log, and the rollback journal
#	sqlite8-wal sqlite8-delete	eight of them, each in its own database
#	pgbench		PostgreSQL, eight clients of pgbench's own transaction
#	redis		redis-server with appendfsync always, eight clients
#	slow-...	the same on a disk whose flush takes a millisecond
#
# A turn is a program working for about TURN_SECONDS. How many transactions
# that is differs a hundredfold between contenders, so each has its own
# number, found when the row begins; the turn's figure is for IO_OPS of them.
# Servers run only during their turn: an idle one writes, too.
#
# Only where the eight clients sync files of their own is there anything for
# fsync=group to share. PostgreSQL and redis gather their clients' syncs
# themselves, so that these rows show what group costs there, without a bar.

FSYNC_ROWS=(
	sqlite-wal
	sqlite-delete
	sqlite8-wal
	sqlite8-delete
	pgbench
	redis
)

SLOW_DISK_BYTES=$((4 << 30))
FLUSH_MICROSECONDS=1000
PGBENCH_SCALE=8

declare -A TURN_OPS

is_fsync_row() {
	[[ " ${FSYNC_ROWS[*]} " == *" ${1#slow-} "* ]]
}

# Is there one among the rows that match the pattern $1?
measures() {
	local row
	for row in "${ONLY[@]}"; do
		# shellcheck disable=SC2053
		[[ $row == $1 ]] && return 0
	done
	return 1
}

measures_fsync() {
	local row
	for row in "${ONLY[@]}"; do
		is_fsync_row "$row" && return 0
	done
	return 1
}

check_fsync_tools() {
	local -a tools=(setfattr)
	is_left_out eatmydata || tools+=(eatmydata)
	if measures '*pgbench'; then
		PATH=$PATH:$(postgres_programs)
		tools+=(initdb postgres pgbench pg_isready createdb setpriv)
		((EUID == 0)) || die "pgbench's rows need root"
		id postgres >/dev/null 2>&1 || die "no user postgres"
	fi
	measures '*redis' && tools+=(redis-server redis-benchmark redis-cli)
	measures '*sqlite*' && tools+=(sqlite3)
	measures 'slow-*' && tools+=(pkg-config)
	need_tools "${tools[@]}"
}

# Debian keeps the server's programs out of PATH.
postgres_programs() {
	local found
	found=$(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
	if [[ -x $found/initdb ]]; then
		echo "$found"
	else
		pg_config --bindir 2>/dev/null
	fi
}

describe_fsync_row() {
	local group_bar=-
	KIND=fsync IO_ACTION= IO_BLOCK=0 IO_OPS=1000 ROW_DATA=$DATA
	PROGRAM=${1#slow-} STORE=$FAST_STORE CLIENTS=8
	CONTENDERS=(store eatmydata strict group relaxed nofsync)
	if [[ $1 == slow-* ]]; then
		STORE=$SLOW_STORE
		[[ $1 == *sqlite8* ]] && group_bar=3
	fi
	COMPARISONS=("strict store 0.9" "group strict $group_bar"
		"relaxed eatmydata 0.6" "nofsync eatmydata 0.6")
	[[ -z $OTHERS ]] || add_fsync_others "$1"
	[[ $PROGRAM == sqlite-* ]] && CLIENTS=1
	# Shell functions begin_PROGRAM, work_PROGRAM OPS, end_PROGRAM.
	PROGRAM=${PROGRAM/sqlite8/sqlite}
	JOURNAL_MODE=${PROGRAM#sqlite-}
	PROGRAM=${PROGRAM%-*}
}

# A tmpfs is as fast whatever the disk.
add_fsync_others() {
	CONTENDERS+=(staged)
	COMPARISONS+=("staged store -")
	[[ $1 == slow-* ]] || CONTENDERS+=(tmpfs)
	[[ -z $FULL ]] || CONTENDERS+=(strict-daemon relaxed-daemon)
}

# --- the slow disk ---------------------------------------------------------

make_slow_disk() {
	local source=$HERE/../tests/mount/loss/cut_disk.c tries
	local now=lazy_itable_init=0,lazy_journal_init=0,nodiscard
	local -a flags
	[[ -z ${SLOW_DISK_PID:-} ]] || return 0
	read -ra flags < <(pkg-config --cflags --libs fuse3 | tr '\n' ' ')
	"${CC:-cc}" -std=c17 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -O2 \
		-o "$WORK/cut_disk" "$source" "${flags[@]}" -lpthread || {
		say "bench: cut_disk doesn't compile"
		return 1
	}
	mkdir -p "$WORK/disk" "$SLOW_DISK"
	"$WORK/cut_disk" "$SLOW_DISK_BYTES" "$FLUSH_MICROSECONDS" - \
		"$WORK/disk" -f 2>"$WORK/log.disk" &
	SLOW_DISK_PID=$!
	for ((tries = 0; tries < 500; tries++)); do
		mountpoint -q "$WORK/disk" && break
		sleep 0.01
	done
	mkfs.ext4 -q -F -E "$now" "$WORK/disk/disk" &&
		mount -o loop "$WORK/disk/disk" "$SLOW_DISK" &&
		chmod 755 "$SLOW_DISK" && mkdir "$SLOW_STORE" || {
		say "bench: the slow disk can't be mounted"
		return 1
	}
}

drop_slow_disk() {
	local tries
	[[ -n ${SLOW_DISK_PID:-} ]] || return 0
	mountpoint -q "$SLOW_DISK" &&
		{ umount "$SLOW_DISK" || umount -l "$SLOW_DISK"; }
	# The loop device lets go of its file a moment later.
	for ((tries = 0; tries < 100; tries++)); do
		umount "$WORK/disk" 2>/dev/null && break
		sleep 0.1
	done
	kill "$SLOW_DISK_PID" 2>/dev/null
	wait "$SLOW_DISK_PID" 2>/dev/null
	SLOW_DISK_PID=
}

# --- rows and turns ---------------------------------------------------------

begin_fsync_row() {
	local who
	[[ $STORE != "$SLOW_STORE" ]] || make_slow_disk || return 1
	[[ $PROGRAM != pgbench ]] || make_cluster || return 1
	TURN_OPS=()
	for who in "${CONTENDERS[@]}"; do
		start_contender "$who" || return 1
		mkdir -p "$OWN_STORE/$ROW.$who" || return 1
		calibrate "$who" || return 1
	done
}

end_fsync_row() {
	local who
	for who in "${CONTENDERS[@]}"; do
		check_policy "$who" || return 1
	done
	for who in "${CONTENDERS[@]}"; do
		store_of "$who"
		rm -rf --one-file-system "${OWN_STORE:?}/$ROW.$who"
	done
}

# Of the daemon's counters, one that tells that the policy acted.
check_policy() {
	local counter count
	case $1 in
	strict|strict-daemon) counter=fsync.honored ;;
	group) counter=fsync.grouped ;;
	relaxed|relaxed-daemon) counter=fsync.deferred ;;
	staged) counter=commit.count ;;
	*) return 0 ;;
	esac
	root_of "$1"
	[[ $1 != staged ]] ||
		setfattr -n user.msyncfs.sync.now -v wait "$ROOT" || return 1
	count=$(stat_of "$1" "$counter")
	((${count:-0} > 0)) && return 0
	say "bench: $counter is ${count:-not there}: $1 did not act"
	return 1
}

# How many transactions take TURN_SECONDS: few, then more until they take
# long enough to tell.
calibrate() {
	local ops=64
	under_way "$1" || return 1
	while :; do
		"work_$PROGRAM" "$ops" || return 1
		awk -v took="$ELAPSED" -v whole="$TURN_SECONDS" \
			'BEGIN { exit !(took > whole / 4) }' && break
		((ops *= 4))
	done
	TURN_OPS[$1]=$(awk -v ops="$ops" -v took="$ELAPSED" \
		-v whole="$TURN_SECONDS" -v least="$CLIENTS" 'BEGIN {
			ops = int(ops * whole / took)
			print ops < least ? least : ops }')
	finished "$1"
}

turn_fsync() {
	under_way "$1" && "work_$PROGRAM" "${TURN_OPS[$1]}" || return 1
	TOOK=$(awk -v took="$ELAPSED" -v all="$IO_OPS" \
		-v ops="${TURN_OPS[$1]}" \
		'BEGIN { printf "%.9f", took * all / ops }')
	finished "$1"
}

under_way() {
	root_of "$1"
	HOME_DIR=$ROOT/$ROW.$1
	PRELOAD=()
	[[ $1 == eatmydata ]] && PRELOAD=(eatmydata)
	"begin_$PROGRAM"
}

finished() {
	"end_$PROGRAM"
}

# --- SQLite ---------------------------------------------------------

INSERT='INSERT INTO entry(body) VALUES(hex(randomblob(50)));'

begin_sqlite() { BATCH=0; }
end_sqlite() { :; }

# Rounded up to the same number for each client; the databases are new.
work_sqlite() {
	local each=$((($1 + CLIENTS - 1) / CLIENTS)) dir i pid found
	local -a clients=()
	dir=$HOME_DIR/$TURN.$((++BATCH))
	mkdir "$dir" || return 1
	for ((i = 0; i < CLIENTS; i++)); do
		"${PRELOAD[@]}" sqlite3 -bail "$dir/$i.db" >/dev/null \
			"PRAGMA journal_mode=$JOURNAL_MODE;
			CREATE TABLE entry(id INTEGER PRIMARY KEY, body TEXT)" \
			|| return 1
	done
	{
		echo 'PRAGMA synchronous=FULL;'
		yes "$INSERT" | head -n "$each"
	} >"$WORK/inserts"
	settle
	timed run_clients "$dir" || return 1
	ELAPSED=$(awk -v took="$TOOK" -v asked="$1" \
		-v made=$((each * CLIENTS)) \
		'BEGIN { printf "%.9f", took * asked / made }')
	for ((i = 0; i < CLIENTS; i++)); do
		found=$(sqlite3 "$dir/$i.db" 'SELECT count(*) FROM entry')
		[[ $found == "$each" ]] && continue
		say "bench: $found rows, $each expected"
		return 1
	done
}

run_clients() {
	local i pid status=0
	local -a clients=()
	for ((i = 0; i < CLIENTS; i++)); do
		"${PRELOAD[@]}" sqlite3 -bail "$1/$i.db" <"$WORK/inserts" &
		clients+=($!)
	done
	for pid in "${clients[@]}"; do
		wait "$pid" || status=1
	done
	return "$status"
}

# --- PostgreSQL ---------------------------------------------------------

AS_POSTGRES=(setpriv --reuid=postgres --regid=postgres --init-groups --)

# One cluster to copy from, on the file system that $WORK is on. Autovacuum
# and checkpoints would fall into some turns and not into others.
make_cluster() {
	local dir=$WORK/cluster status=0
	[[ ! -e $dir/made ]] || return 0
	rm -rf "$dir"
	install -d -o postgres -m 700 "$dir"
	"${AS_POSTGRES[@]}" initdb -D "$dir/data" -U postgres -A trust \
		--no-sync >"$WORK/log.initdb" 2>&1 || {
		tail -n 20 "$WORK/log.initdb" >&2
		return 1
	}
	cat >>"$dir/data/postgresql.conf" <<-CONF
		listen_addresses = ''
		shared_buffers = 128MB
		max_connections = 20
		checkpoint_timeout = 1h
		max_wal_size = 2GB
		autovacuum = off
		fsync = on
		synchronous_commit = on
	CONF
	start_postgres "$dir/data" || return 1
	"${AS_POSTGRES[@]}" createdb -h "$SOCKETS" bench &&
		"${AS_POSTGRES[@]}" pgbench -h "$SOCKETS" -q -i \
			-s "$PGBENCH_SCALE" bench >"$WORK/log.pgbench" 2>&1 ||
		status=1
	stop_server && ((!status)) && touch "$dir/made"
}

start_postgres() {
	local tries
	# No function and no subshell: $! must be the server itself.
	"${AS_POSTGRES[@]}" "${PRELOAD[@]}" postgres -D "$1" -k "$SOCKETS" \
		>"$WORK/log.server" 2>&1 &
	SERVER=$! STOP_SIGNAL=INT
	for ((tries = 0; tries < 600; tries++)); do
		pg_isready -q -h "$SOCKETS" && return 0
		kill -0 "$SERVER" 2>/dev/null || break
		sleep 0.1
	done
	server_failed
}

begin_pgbench() {
	local data=$HOME_DIR/data
	if [[ ! -e $data ]]; then
		chown postgres "$HOME_DIR" &&
			cp -a "$WORK/cluster/data" "$HOME_DIR/" || return 1
	fi
	start_postgres "$data" && settle
}

work_pgbench() {
	local each=$((($1 + CLIENTS - 1) / CLIENTS)) speed
	"${AS_POSTGRES[@]}" pgbench -h "$SOCKETS" -n -c "$CLIENTS" -j 2 \
		-t "$each" bench >"$WORK/log.pgbench" 2>&1 || {
		tail -n 20 "$WORK/log.pgbench" >&2
		return 1
	}
	speed=$(awk '$1 == "tps" { print $3 }' "$WORK/log.pgbench")
	ELAPSED=$(awk -v ops="$1" -v speed="$speed" \
		'BEGIN { printf "%.9f", ops / speed }')
}

end_pgbench() { stop_server; }

# --- redis ---------------------------------------------------------

begin_redis() {
	local tries
	mkdir -p "$HOME_DIR/$TURN" || return 1
	"${PRELOAD[@]}" redis-server --port 0 --save '' --appendonly yes \
		--unixsocket "$SOCKETS/redis" --appendfsync always \
		--auto-aof-rewrite-percentage 0 --dir "$HOME_DIR/$TURN" \
		>"$WORK/log.server" 2>&1 &
	SERVER=$! STOP_SIGNAL=TERM
	for ((tries = 0; tries < 100; tries++)); do
		[[ $(redis-cli -s "$SOCKETS/redis" ping 2>&1) == PONG ]] &&
			{ settle; return; }
		kill -0 "$SERVER" 2>/dev/null || break
		sleep 0.1
	done
	server_failed
}

work_redis() {
	local speed
	redis-benchmark -s "$SOCKETS/redis" -c "$CLIENTS" -n "$1" -t set \
		-d 100 -r 10000 --csv >"$WORK/log.redis" 2>&1
	speed=$(awk -F '"' '$2 == "SET" { print $4 }' "$WORK/log.redis")
	[[ -n $speed ]] || {
		tail -n 20 "$WORK/log.redis" >&2
		return 1
	}
	ELAPSED=$(awk -v ops="$1" -v speed="$speed" \
		'BEGIN { printf "%.9f", ops / speed }')
}

end_redis() { stop_server; }

# --- servers ---------------------------------------------------------

server_failed() {
	say "bench: the server did not start; it said:"
	tail -n 20 "$WORK/log.server" | sed 's/^/	/' >&2
	stop_server
	return 1
}

stop_server() {
	local tries status=0
	[[ -n ${SERVER:-} ]] || return 0
	kill "-$STOP_SIGNAL" "$SERVER" 2>/dev/null
	for ((tries = 0; tries < 600; tries++)); do
		kill -0 "$SERVER" 2>/dev/null || break
		sleep 0.1
	done
	((tries < 600)) || {
		say "bench: the server is still there after 60 s; killing it"
		kill -KILL "$SERVER" 2>/dev/null
	}
	wait "$SERVER" || status=$?
	SERVER=
	return "$status"
}
