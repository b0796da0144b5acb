# SPDX-License-Identifier: Apache-2.0
#
# staged: what staged files give and cost. Sourced by bench, after fsync.sh
# and before rows.sh.
#
#	staged-sqlite-wal staged-sqlite-delete	the SQLite of fsync.sh, on the
#			slow disk: msyncfs with map=staged and fsync deferred
#			beside the store directory with fsyncs that wait
#	staged-pause staged-pause-slow	the longest that a commit of 64 MiB
#			keeps a writer waiting, as a program sees it (write)
#			and by the daemon's own count (pause), on the image and
#			on the slow disk; 20ms is what it may be
#	staged-commit	512 MiB committed: until they are durable (journal),
#			and in the store's own files as well (staged), beside
#			dd and its fdatasync to the same disk
#	staged-flushes	flushes of the disk for a commit of one page
#	staged-written	bytes that reach the disk for 64 MiB of pages, until
#			they are in the store's files
#	staged-memory	memory for 64 MiB of pages
#
# Rows whose figures are no times are reported like the others: a ratio is
# what is allowed, or what there is in any case, by what was taken.

STAGED_ROWS=(
	staged-sqlite-wal
	staged-sqlite-delete
	staged-pause
	staged-pause-slow
	staged-commit
	staged-flushes
	staged-written
	staged-memory
)

DIRTY_MIB=64
COMMIT_MIB=512
# Commits whose longest pause, or mean flushes, are one turn's figure.
PAUSES=3
FLUSHED_COMMITS=50

is_staged_row() {
	[[ " ${STAGED_ROWS[*]} " == *" $1 "* ]]
}

measures_staged() {
	measures 'staged-*'
}

check_staged_tools() {
	local -a tools=(setfattr)
	measures 'staged-sqlite*' && tools+=(sqlite3)
	if measures 'staged-sqlite*' || measures 'staged-pause-slow'; then
		tools+=(pkg-config)
	fi
	need_tools "${tools[@]}"
}

describe_staged_row() {
	KIND=staged UNIT=time STORE=$FAST_STORE ROW_DATA=$DATA
	IO_ACTION= IO_BLOCK=0 IO_OPS=1
	case $1 in
	staged-sqlite-*)
		KIND=fsync UNIT=rate IO_OPS=1000 PROGRAM=sqlite CLIENTS=1
		JOURNAL_MODE=${1##*-} STORE=$SLOW_STORE
		CONTENDERS=(store staged)
		COMPARISONS=("staged store 10")
		[[ $JOURNAL_MODE == wal ]] ||
			COMPARISONS=("staged store 4") ;;
	staged-pause*)
		[[ $1 != *-slow ]] || STORE=$SLOW_STORE
		CONTENDERS=(write pause 20ms)
		COMPARISONS=("write 20ms 1" "pause 20ms 1") ;;
	staged-commit)
		UNIT=rate IO_BLOCK=1048576 IO_OPS=$COMMIT_MIB
		CONTENDERS=(staged journal dd)
		COMPARISONS=("staged dd 0.4" "journal dd -") ;;
	staged-flushes)
		UNIT=count CONTENDERS=(staged one)
		COMPARISONS=("staged one 1") ;;
	staged-written)
		UNIT=bytes CONTENDERS=(staged pages)
		COMPARISONS=("staged pages -") ;;
	staged-memory)
		UNIT=bytes CONTENDERS=(staged pages+5%)
		COMPARISONS=("staged pages+5% 1") ;;
	esac
}

# One daemon for all contenders of a row.
begin_staged_row() {
	[[ $STORE != "$SLOW_STORE" ]] || make_slow_disk || return 1
	compile pause_writer -lpthread || return 1
	start_contender staged && root_of staged || return 1
	case $ROW in
	# A journal as large as is needed, and a file with a place.
	staged-commit) turn_commit staged ;;
	# Where a journal has grown, blocks that are used for the first time
	# cost one more flush.
	staged-flushes)
		write_staged pages 1 && durable pages && written_out ;;
	staged-written | staged-memory)
		write_staged pages "$DIRTY_MIB" && durable pages &&
			written_out ;;
	esac
}

end_staged_row() {
	stop_contender staged && store_of staged &&
		rm -f "$OWN_STORE"/{pages,pause,other,commit.*}
}

turn_staged() {
	root_of staged
	case $ROW in
	staged-pause*) turn_pause "$1" ;;
	staged-commit) turn_commit "$1" ;;
	staged-flushes) turn_flushes "$1" ;;
	staged-written) turn_written "$1" ;;
	staged-memory) turn_memory "$1" ;;
	esac
}

# --- the mount ---------------------------------------------------------------

staged_stat() {
	stat_of staged "$1"
}

# write_staged NAME MIB: its first so many MiB.
write_staged() {
	dd if=/dev/zero of="$ROOT/$1" bs=1M count="$2" conv=notrunc \
		status=none
}

# durable NAME: all that is uncommitted is in the journal and durable. Asked of
# the file: the root's would sync the whole store as well.
durable() {
	setfattr -n user.msyncfs.sync.now -v wait "$ROOT/$1"
}

# And in the store's own files.
written_out() {
	sync -f "$STORE"
}

# --- turns -------------------------------------------------------------------

turn_pause() {
	local i pause longest=0
	case $1 in
	20ms) TOOK=0.020 ;;
	write)
		TOOK=$("$WORK/pause_writer" "$ROOT/pause" "$ROOT/other" \
			$((DIRTY_MIB << 20)) "$PAUSES") ;;
	pause)
		for ((i = 0; i < PAUSES; i++)); do
			write_staged pause "$DIRTY_MIB" && durable pause ||
				return 1
			pause=$(staged_stat commit.pause)
			((pause <= longest)) || longest=$pause
		done
		((longest > 0)) || return 1
		TOOK=$(awk -v ns="$longest" 'BEGIN { print ns / 1e9 }') ;;
	esac
}

turn_commit() {
	local file=$ROOT/commit.$TURN
	settle
	case $1 in
	dd)
		timed dd if=/dev/zero of="$STORE/dd.$TURN" bs=1M \
			count="$COMMIT_MIB" conv=fdatasync status=none ||
			return 1
		rm "$STORE/dd.$TURN"
		return ;;
	staged)
		write_staged "commit.$TURN" "$COMMIT_MIB" &&
			timed commit_to_the_store "commit.$TURN" ||
			return 1 ;;
	journal)
		write_staged "commit.$TURN" "$COMMIT_MIB" &&
			timed durable "commit.$TURN" || return 1 ;;
	esac
	settle
	rm "$file"
}

commit_to_the_store() {
	durable "$1" && written_out
}

# disk_count FIELD: of the disk's statistics (Documentation/block/stat.rst).
disk_count() {
	local device
	device=$(findmnt -n -o SOURCE --target "$STORE")
	if [[ $device != /dev/loop* ]]; then
		say "bench: $device has others' writes, too; without --dir" \
			"the disk is our own"
		return 1
	fi
	awk -v field="$1" '{ print $field }' "/sys/block/${device##*/}/stat"
}

# One page, in turn another one. What the last commit has left to be synced is
# not to be synced meanwhile.
turn_flushes() {
	local i before after
	TOOK=1
	[[ $1 != one ]] || return 0
	checkpointed || return 1
	settle
	before=$(disk_count 16) || return 1
	for ((i = 0; i < FLUSHED_COMMITS; i++)); do
		dd if=/dev/zero of="$ROOT/pages" bs=4k count=1 seek="$i" \
			conv=notrunc status=none && durable pages || return 1
	done
	after=$(disk_count 16) || return 1
	TOOK=$(awk -v all=$((after - before)) -v n="$FLUSHED_COMMITS" \
		'BEGIN { print all / n }')
}

# Until the daemon has synced the store's files by itself: the journal is
# empty then but for its header.
checkpointed() {
	local tries
	for ((tries = 0; tries < 200; tries++)); do
		(($(staged_stat journal.size) -
			$(staged_stat journal.free) <= 65536)) && return 0
		sleep 0.1
	done
	say "bench: no checkpoint within 20 s"
	return 1
}

# Until everything is where it belongs, the journal's header included.
turn_written() {
	local before after
	TOOK=$((DIRTY_MIB << 20))
	[[ $1 != pages ]] || return 0
	settle
	before=$(disk_count 7) || return 1
	write_staged pages "$DIRTY_MIB" && durable pages && checkpointed ||
		return 1
	settle
	after=$(disk_count 7) || return 1
	TOOK=$(((after - before) * 512))
}

daemon_memory() {
	awk '/^Rss(Anon|Shmem):/ { kib += $2 } END { print kib * 1024 }' \
		"/proc/${DAEMON[staged]}/status"
}

turn_memory() {
	local before
	TOOK=$((DIRTY_MIB * 105 * (1 << 20) / 100))
	[[ $1 == staged ]] || return 0
	durable pages || return 1
	before=$(daemon_memory)
	write_staged pages "$DIRTY_MIB" || return 1
	TOOK=$(($(daemon_memory) - before))
	(($(staged_stat stage.dirty) == DIRTY_MIB << 20)) || {
		say "bench: it was committed too early"
		return 1
	}
	durable pages
}
