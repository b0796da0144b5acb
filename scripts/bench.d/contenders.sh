# SPDX-License-Identifier: Apache-2.0
#
# contenders: who takes part in a row, and where each one's files are seen.
# Sourced by bench. A contender is one of
#
#	msyncfs		the daemon under test, mounted with data=$ROW_DATA
#	bindfs		bindfs with its defaults
#	store		the store directory itself
#	strict group relaxed	the daemon with that sync policy
#	nofsync	relaxed, and the kernel answers fsync
#	staged	files are staged, and fsync deferred for 5 s
#	eatmydata	the store directory; the programs run under eatmydata(1)
#
# All of them show the same store, $STORE. A daemon is kept in the foreground
# as a child, so that its end can be waited for and its status seen.

declare -A DAEMON

root_of() {
	case $1 in
	store|eatmydata) ROOT=$STORE ;;
	*) ROOT=$WORK/mnt.$1 ;;
	esac
}

start_contender() {
	local who=$1 tries options=data=$ROW_DATA,log=stderr
	root_of "$who"
	[[ $ROOT == "$STORE" ]] && return 0
	mkdir -p "$ROOT"
	case $who in
	strict|relaxed) options+=,sync=$who ;;
	nofsync) options+=,sync=relaxed,nofsync ;;
	group) options+=,sync=fsync=group:5ms ;;
	staged) options+=,map=staged,sync=fsync=defer+every=5s ;;
	esac
	case $who in
	bindfs)
		bindfs -f "$STORE" "$ROOT" >"$WORK/log.$who" 2>&1 & ;;
	*)
		"$MSYNCFS" -f -o "$options" \
			"$STORE" "$ROOT" >"$WORK/log.$who" 2>&1 & ;;
	esac
	DAEMON[$who]=$!
	for ((tries = 0; tries < 500; tries++)); do
		mountpoint -q "$ROOT" && return 0
		kill -0 "${DAEMON[$who]}" 2>/dev/null || break
		sleep 0.01
	done
	say "bench: $who did not mount; it said:"
	sed 's/^/	/' "$WORK/log.$who" >&2
	stop_contender "$who" quietly
	return 1
}

# Unmounts and waits. A daemon that ends with an error makes the row fail.
stop_contender() {
	local who=$1 quietly=${2:-} status=0
	[[ -n ${DAEMON[$who]:-} ]] || return 0
	root_of "$who"
	if mountpoint -q "$ROOT"; then
		umount "$ROOT" || umount -l "$ROOT"
	else
		# A mount whose daemon has died is no mountpoint to
		# mountpoint(1), and still has to go; and a daemon that never
		# mounted has to be told.
		umount "$ROOT" 2>/dev/null
		kill "${DAEMON[$who]}" 2>/dev/null
	fi
	await_end "$who"
	wait "${DAEMON[$who]}" || status=$?
	unset "DAEMON[$who]"
	[[ -n $quietly || $status == 0 ]] && return 0
	say "bench: $who ended with status $status; it said:"
	sed 's/^/	/' "$WORK/log.$who" >&2
	return 1
}

# A mount that some other mount namespace has a copy of outlives its umount.
await_end() {
	local tries
	for ((tries = 0; tries < 1000; tries++)); do
		kill -0 "${DAEMON[$1]}" 2>/dev/null || return 0
		sleep 0.01
	done
	say "bench: $1 is still there 10 s after the unmount; ending it"
	kill "${DAEMON[$1]}" 2>/dev/null
}

unmount_all() {
	local who
	for who in "${!DAEMON[@]}"; do
		stop_contender "$who" "$@"
	done
}

# The number of requests of one kind that msyncfs has counted so far.
requests() {
	local name=$1 log=$WORK/log.msyncfs before tries
	before=$(grep -c 'requests by operation:' "$log")
	kill -USR1 "${DAEMON[msyncfs]}" || return 1
	for ((tries = 0; ; tries++)); do
		(($(grep -c 'requests by operation:' "$log") > before)) && break
		((tries < 200)) || return 1
		sleep 0.01
	done
	# The table's lines follow its heading; let the last one arrive.
	sleep 0.05
	awk -v name="$name" '
		/requests by operation:/ { count = 0 }
		NF > 1 && $(NF - 1) == name { count = $NF }
		END { print count + 0 }' "$log"
}

# A row is about one data path; the daemon's own counters tell whether it was
# the one that the requests took.
check_data_path() {
	local kind count
	[[ -n ${DAEMON[msyncfs]:-} && $ROW_DATA != auto ]] || return 0
	kind=READ
	[[ $IO_ACTION == write ]] && kind=WRITE
	count=$(requests "$kind") || {
		say "bench: msyncfs printed no request counters"
		return 1
	}
	if [[ $ROW_DATA == kernel ]] && ((count > 0)); then
		say "bench: $count $kind requests reached the daemon: not" \
			"the kernel path"
		return 1
	fi
	if [[ $ROW_DATA == daemon ]] && ((count == 0)); then
		say "bench: no $kind request reached the daemon: not the" \
			"daemon path"
		return 1
	fi
}
