# SPDX-License-Identifier: Apache-2.0
#
# contenders: who takes part in a row, and where each one's files are seen.
# Sourced by bench. A contender is one of
#
#	msyncfs		the daemon under test, mounted with data=$ROW_DATA
#	msyncfs-daemon	the same with data=daemon
#	strict group relaxed	the daemon with that sync policy
#	nofsync		relaxed, and the kernel answers fsync
#	staged		files are staged, and fsync deferred for 5 s
#	store		the store directory itself
#	eatmydata	the store directory; the programs run under eatmydata(1)
#	bindfs		bindfs with its defaults
#	fuse-overlayfs	the store as its upper layer over an empty lower one
#	mergerfs	with the store as its only branch; minfreespace=0, or it
#			would write nothing to a small file system
#	tmpfs		a tmpfs of its own
#
# A name of msyncfs's with -daemon behind it, as in relaxed-daemon, is that one
# on the daemon path.
#
# All of them but tmpfs are on one file system. A store is mounted by one
# msyncfs at a time, so that msyncfs, store and those of other projects share
# the directory $STORE, and the other msyncfs have one each, $STORE.WHO. A
# daemon is kept in the foreground as a child, so that its end can be waited
# for and its status seen.

# Who needs a program of somebody else, and the Debian package that has it.
OTHER_CONTENDERS=(bindfs fuse-overlayfs mergerfs)

declare -A DAEMON

# Options of msyncfs and msyncfs-daemon besides.
EXTRA_OPTIONS=
# And of staged besides map=staged.
STAGED_DEFAULT=sync=fsync=defer+every=5s
STAGED_OPTIONS=$STAGED_DEFAULT
# See prepare_work in bench.
FAST_DISK= FAST_STORE= SLOW_DISK= SLOW_STORE= GROWTH_DISK= GROWTH_STORE=

# Sets ROOT, where programs find the contender's files.
root_of() {
	case $1 in
	store|eatmydata) ROOT=$STORE ;;
	*) ROOT=$WORK/mnt.$1 ;;
	esac
}

# Sets OWN_STORE, the directory that has the contender's files in the end.
store_of() {
	case $1 in
	store|eatmydata|msyncfs|bindfs|fuse-overlayfs|mergerfs)
		OWN_STORE=$STORE ;;
	tmpfs) OWN_STORE=$WORK/mnt.$1 ;;
	*) OWN_STORE=$STORE.$1 ;;
	esac
}

is_msyncfs() {
	case $1 in
	store|eatmydata|bindfs|fuse-overlayfs|mergerfs|tmpfs) return 1 ;;
	esac
}

msyncfs_options() {
	local options=log=stderr
	case $1 in
	*-daemon) options+=,data=daemon ;;
	*) options+=,data=$ROW_DATA ;;
	esac
	case ${1%-daemon} in
	strict|relaxed) options+=,sync=${1%-daemon} ;;
	nofsync) options+=,sync=relaxed,nofsync ;;
	group) options+=,sync=fsync=group:5ms ;;
	staged) options+=,map=staged,$STAGED_OPTIONS ;;
	msyncfs) options+=${EXTRA_OPTIONS:+,$EXTRA_OPTIONS} ;;
	esac
	echo "$options"
}

start_contender() {
	local who=$1 tries
	root_of "$who"
	store_of "$who"
	[[ $ROOT == "$STORE" ]] && return 0
	mkdir -p "$ROOT" "$OWN_STORE" || return 1
	case $who in
	tmpfs)
		mount -t tmpfs -o mode=755,nr_inodes=0 msyncfs-bench "$ROOT"
		return ;;
	bindfs)
		bindfs -f "$STORE" "$ROOT" >"$WORK/log.$who" 2>&1 & ;;
	fuse-overlayfs)
		mkdir -p "$STORE.lower" "$STORE.work" || return 1
		fuse-overlayfs -f -o "lowerdir=$STORE.lower" \
			-o "upperdir=$STORE,workdir=$STORE.work" "$ROOT" \
			>"$WORK/log.$who" 2>&1 & ;;
	mergerfs)
		mergerfs -f -o minfreespace=0 "$STORE" "$ROOT" \
			>"$WORK/log.$who" 2>&1 & ;;
	*)
		"$MSYNCFS" -f -o "$(msyncfs_options "$who")" "$OWN_STORE" \
			"$ROOT" >"$WORK/log.$who" 2>&1 & ;;
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
	[[ $who != tmpfs ]] || { drop_tmpfs; return; }
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

drop_tmpfs() {
	local root=$WORK/mnt.tmpfs
	! mountpoint -q "$root" || umount "$root" || umount -l "$root"
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
	for who in "${!DAEMON[@]}" tmpfs; do
		stop_contender "$who" "$@"
	done
}

# All statistics of a mount of msyncfs's. They may grow between getfattr's
# question of how long they are and the next.
all_stats() {
	local try
	for try in 1 2 3 4 5; do
		getfattr --absolute-names --only-values \
			-n user.msyncfs.stats "$WORK/mnt.$1" 2>/dev/null &&
			return 0
	done
	say "bench: $1 doesn't tell its statistics"
	return 1
}

# stat_of WHO KEY: one of them, printed; nothing if it isn't there.
stat_of() {
	all_stats "$1" | sed -n "s/^$2=//p"
}

# A row is about one data path; the daemon's own counters tell whether it was
# the one that the requests took.
check_data_path() {
	local kind=READ count
	[[ -n ${DAEMON[msyncfs]:-} && $ROW_DATA != auto ]] || return 0
	[[ $IO_ACTION != write ]] || kind=WRITE
	count=$(stat_of msyncfs "requests.$kind")
	if [[ -z $count ]]; then
		say "bench: msyncfs has not counted its requests"
		return 1
	fi
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

# check_counted WHO KEY LEAST: that the mount has done what was asked of it,
# and programs were not answered by the kernel or on another path.
check_counted() {
	local count
	is_msyncfs "$1" || return 0
	count=$(stat_of "$1" "$2")
	((${count:-0} >= $3)) && return 0
	say "bench: $1 has counted ${count:-no} $2, $3 were expected"
	return 1
}

# check_opened WHO: that files were opened on the path that WHO is about, if
# any was opened. On $ROW_DATA=auto that is the kernel's where there is one.
check_opened() {
	local wrong=opens.daemon count
	is_msyncfs "$1" || return 0
	if [[ $1 == *-daemon || $1 == staged || $ROW_DATA == daemon ]]; then
		wrong=opens.kernel
	elif [[ $(stat_of "$1" passthrough) != yes ]]; then
		return 0
	fi
	count=$(stat_of "$1" "$wrong")
	[[ ${count:-none} != 0 ]] || return 0
	say "bench: $1 has counted ${count:-no} $wrong: not the path that" \
		"it is about"
	return 1
}
