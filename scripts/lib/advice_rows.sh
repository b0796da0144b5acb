# shellcheck shell=bash disable=SC2034
# SPDX-License-Identifier: Apache-2.0
#
# advice_rows: which advice is given, and what is counted. Sourced by advice.
#
# A row is a function try_NAME. It begins with "begin MEBIBYTES", which makes
# a file whose pages are all out of memory ($FILE in the store, $SEEN at the
# mount), and sets
#
#	WHAT	what was done, for the reader
#	BEFORE AFTER	what was counted; pages unless it says otherwise
#	MEANT	yes or NO; "-" where nothing was meant
#
# It fails if something else than the advice went wrong.

MIB=$((1 << 20))

# --- files -------------------------------------------------------------------

begin() {
	FILE=$STORE/file.$((++FILES)) SEEN=$MNT/file.$FILES
	"$PAGES" fill "$FILE" $(($1 * MIB))
	[[ $STORE == "$WORK/tmpfs" ]] || "$PAGES" evict "$FILE"
}

resident() { "$PAGES" count "$FILE" "$@" | cut -d ' ' -f 1; }
unwritten() { "$PAGES" count "$FILE" | cut -d ' ' -f 2; }

# policy NAME VALUE; now ADVICE: 0, or what setfattr said in SAID.
policy() {
	SAID=$(setfattr -n "user.msyncfs.$1" -v "$2" "$SEEN" 2>&1) && return 0
	SAID=${SAID##*: }
	return 1
}
now() { policy advise.now "$1"; }

status_of() {
	getfattr --absolute-names --only-values -n user.msyncfs.status \
		"$SEEN" | sed -n "s/^$1=//p"
}

# The file open by a program for as long as a row wants; the path is chosen
# by then. With "mapped" that program also maps it and has read every page.
keep_open() {
	if [[ ${1:-} == mapped ]]; then
		coproc HOLDER { exec "$PAGES" hold "$SEEN"; }
		HELD=$HOLDER_PID
		read -r -u "${HOLDER[0]}" _ || return 1
	else
		exec 8<>"$SEEN" || return 1
	fi
	WAY=$(status_of data.path)
}

let_go() {
	exec 8<&-
	[[ -n ${HELD:-} ]] || return 0
	kill "$HELD" 2>/dev/null
	wait "$HELD" 2>/dev/null
	HELD=
}

# comes_to COUNT COMMAND...: what goes on in the background may take a while.
comes_to() {
	local tries wanted=$1
	shift
	for ((tries = 0; tries < 200; tries++)); do
		[[ $("$@") == "$wanted" ]] && break
		sleep 0.05
	done
	"$@"
}

is_so() {
	MEANT=NO
	! (($1)) || MEANT=yes
}

# --- patterns ----------------------------------------------------------------

try_pattern() {
	begin 32 && policy advise "$1" && keep_open || return 1
	WHAT="a cold read of 4 KiB at 20 MB"
	BEFORE=$(resident)
	"$PAGES" read "$SEEN" $((5000 * 4096)) || return 1
	AFTER=$(resident)
}

try_normal() {
	try_pattern normal || return 1
	MEANT=-
}

try_random() {
	try_pattern random || return 1
	is_so 'AFTER == 1'
}

try_sequential() {
	try_pattern sequential || return 1
	is_so 'AFTER >= 32'
}

# Who insists on the kernel path gets it, and a note in the file's status.
try_random_insisting() {
	begin 32 && policy advise random && policy data kernel && keep_open ||
		return 1
	WHAT="the same with \`data=kernel\`, which excludes it: a note in"
	WHAT+=" \`status\`"
	BEFORE=$(resident)
	"$PAGES" read "$SEEN" $((5000 * 4096)) || return 1
	AFTER=$(resident)
	is_so "$(status_of note | grep -c advise) > 0"
}

# --- loading -----------------------------------------------------------------

try_willneed() {
	begin 32 && policy advise willneed || return 1
	BEFORE=$(resident)
	keep_open || return 1
	WHAT="32 MiB are opened, nothing is read"
	AFTER=$(comes_to 8192 resident)
	is_so 'AFTER == 8192'
}

# try_range ADVICE: 8 MiB of 32.
try_range() {
	begin 32 && keep_open || return 1
	BEFORE=$(resident)
	WHAT="8 MiB of 32: \`@16M+8M\`"
	now "$1@16M+8M" || return 1
}

try_willneed_now() {
	try_range willneed || return 1
	AFTER=$(comes_to 2048 resident)
	is_so "AFTER == 2048 && $(resident $((16 * MIB)) $((8 * MIB))) == 2048"
}

try_populate_read() {
	try_range populate-read || return 1
	WHAT+="; in when it returns"
	AFTER=$(resident)
	is_so "AFTER == 2048 && $(resident $((16 * MIB)) $((8 * MIB))) == 2048"
}

try_beyond_4g() {
	begin 0 && truncate -s 6G "$FILE" && keep_open || return 1
	BEFORE=$(resident)
	WHAT="1 MiB of 6 GiB: \`@5G+1M\`"
	now populate-read@5G+1M || return 1
	AFTER=$(resident)
	is_so "AFTER == 256 && $(resident $((5 << 30)) $MIB) == 256"
}

blocks() {
	sync -d "$FILE"
	echo $(($(stat -c %b "$FILE") / 8))
}

try_populate_write() {
	begin 0 && truncate -s 16M "$FILE" && keep_open || return 1
	WHAT="a hole of 16 MiB, \`@4M+4M\`; in memory there, on the disk"
	BEFORE="$(resident), $(blocks)"
	now populate-write@4M+4M || return 1
	# The kernel reads holes ahead as well.
	AFTER=$(resident $((4 * MIB)) $((4 * MIB)))
	is_so "AFTER == 1024 && $(blocks) >= 1024 && $(blocks) <= 1040"
	AFTER+=", $(blocks)"
}

# --- dropping ----------------------------------------------------------------

try_dontneed() {
	begin 32 && keep_open mapped || return 1
	BEFORE=$(resident)
	WHAT="32 MiB, clean, mapped and read by a program"
	now dontneed || return 1
	AFTER=$(resident)
	is_so 'BEFORE == 8192 && AFTER == 0'
}

try_dontneed_range() {
	begin 32 && keep_open mapped || return 1
	BEFORE=$(resident)
	WHAT="the same, 8 MiB of it: \`@16M+8M\`"
	now dontneed@16M+8M || return 1
	AFTER=$(resident)
	is_so "AFTER == 6144 && $(resident $((16 * MIB)) $((8 * MIB))) == 0"
}

try_pageout() {
	begin 32 && keep_open mapped &&
		dd if=/dev/zero of="$SEEN" bs=1M count=16 conv=notrunc \
			status=none || return 1
	BEFORE="$(resident), $(unwritten)"
	WHAT="32 MiB, mapped, half of it just written; in memory, dirty"
	now pageout || return 1
	AFTER=$(resident)
	is_so "AFTER == 0 && $(unwritten) == 0"
	AFTER+=", $(unwritten)"
}

try_remove() {
	begin 32 && keep_open mapped || return 1
	BEFORE="$(resident), $(blocks)"
	WHAT="8 MiB of 32, \`@16M+8M\`, become a hole; in memory, on the disk"
	now remove@16M+8M || return 1
	AFTER=$(resident)
	is_so "$(resident $((16 * MIB)) $((8 * MIB))) == 0 &&
		$(blocks) < 6200"
	AFTER+=", $(blocks)"
}

# --- under pressure ----------------------------------------------------------

# press MEBIBYTES: as much again wants to be in the cgroup's memory.
press() {
	local other=$WORK/ext4/other
	[[ -e $other ]] || "$PAGES" fill "$other" $((192 * MIB))
	"$PAGES" evict "$other"
	in_cgroup dd if="$other" of=/dev/null bs=1M count="$1" status=none
}

# read_in_cgroup FILE TIMES: what is pressed is charged to the cgroup: the first
# to read it is in there. Read often, pages are taken for used ones.
read_in_cgroup() {
	local i
	for ((i = 0; i < $2; i++)); do
		in_cgroup cat "$1" >/dev/null || return 1
	done
}

limit() { echo $(($1 * MIB)) >"$CGROUP/$LIMIT"; }
no_limit() { echo -1 >"$CGROUP/$LIMIT" 2>/dev/null ||
	echo max >"$CGROUP/$LIMIT"; }

try_cold() {
	local first='0 16777216' second='16777216 16777216' kept
	begin 32 && read_in_cgroup "$FILE" 3 && keep_open || return 1
	# shellcheck disable=SC2086
	BEFORE="$(resident $first), $(resident $second)"
	WHAT="the first half of 32 MiB, then memory gets short; each half"
	now cold@0+16M && limit 160 && press 144 || return 1
	# shellcheck disable=SC2086
	AFTER=$(resident $first) kept=$(resident $second)
	is_so "AFTER < 1024 && kept > 3072"
	AFTER+=", $kept"
	no_limit
}

# try_lock_as VALUE
try_lock_as() {
	begin 16 || return 1
	BEFORE=$(resident)
	policy lock "$1" && keep_open || return 1
	[[ $1 == on ]] || read_in_cgroup "$SEEN" 1 || return 1
	limit 64 && press 192 || return 1
	AFTER=$(resident)
	no_limit
}

try_lock_off() {
	try_lock_as off || return 1
	WHAT="16 MiB, opened and read, then memory gets short"
	MEANT=-
}

try_lock_on() {
	try_lock_as on || return 1
	WHAT="16 MiB, opened, then memory gets short"
	is_so 'AFTER == 4096'
}

try_lock_onfault() {
	try_lock_as onfault || return 1
	WHAT="16 MiB, opened and read, then memory gets short"
	is_so 'AFTER == 4096'
}

# --- huge pages and flags ----------------------------------------------------

# Pages that a program's mapping of the store's file has in huge ones.
in_huge() {
	"$PAGES" hold "$FILE" </dev/null | cut -d ' ' -f 2
}

# Refused where the store's file system has none, and then by an errno that
# says so.
refused() {
	AFTER=$SAID MEANT=NO
	[[ $SAID != 'Operation not supported' && \
		$SAID != 'Invalid argument' ]] || MEANT=yes
	[[ $STORE != "$WORK/tmpfs" ]] || MEANT=NO
}

# tmpfs allocates them for a hole, others read into them.
try_hugepage() {
	local load=populate-read
	if [[ $STORE == "$WORK/tmpfs" ]]; then
		load=populate-write
		begin 0 && truncate -s 8M "$FILE" || return 1
	else
		begin 8 || return 1
	fi
	WHAT="8 MiB, then \`advise.now=$load\`; in huge pages"
	BEFORE=0
	policy advise hugepage || { refused; return 0; }
	keep_open && now "$load" || return 1
	AFTER=$(in_huge)
	is_so 'AFTER == 2048'
}

try_collapse() {
	begin 8 && keep_open || return 1
	WHAT="8 MiB in small pages; in huge pages"
	BEFORE=$(in_huge)
	if now collapse; then
		AFTER=$(in_huge)
		is_so 'AFTER == 2048'
		return 0
	fi
	refused
}

# The flag that the kernel shows for the daemon's mapping of the file.
daemon_flag() {
	local name=${FILE##*/}
	awk -v name="/$name" -v flag="$1" '
		/^[0-9a-f]+-[0-9a-f]+ / {
			inside = index($0, name) == \
				length($0) - length(name) + 1
		}
		inside && /^VmFlags:/ {
			for (i = 2; i <= NF; i++)
				found = found || $i == flag
		}
		END { print found ? flag : "-" }' "/proc/$DAEMON/smaps"
}

# try_flag ADVICE FLAG WANTED: of what the daemon has mapped. On the kernel
# path that is nothing.
try_flag() {
	begin 8 && keep_open || return 1
	WHAT="flag \`$2\` of the daemon's mapping"
	"$PAGES" read "$SEEN" 0 || return 1
	[[ $1 != dodump ]] || now dontdump || return 1
	BEFORE=$(daemon_flag "$2")
	if ! now "$1"; then
		AFTER=$SAID
		MEANT=NO
		return 0
	fi
	AFTER=$(daemon_flag "$2")
	MEANT=NO
	[[ $AFTER == "$3" ]] && MEANT=yes
	if [[ $WAY == kernel ]]; then
		WHAT+=", which has none on this path"
		MEANT=-
	fi
}

try_nohugepage() { try_flag nohugepage nh nh; }
try_dontdump() { try_flag dontdump dd dd; }
try_dodump() { try_flag dodump dd -; }

# --- all of them -------------------------------------------------------------

# row NAME TRY...: one line of the table.
row() {
	local name=$1
	shift
	# shellcheck disable=SC2053
	[[ $name == $ONLY ]] || return 0
	say "advice: $name ..."
	WHAT='' BEFORE='' AFTER='' MEANT='' WAY=- SAID=''
	if ! "$@"; then
		say "advice: $name could not be tried${SAID:+: $SAID}"
		AFTER=${SAID:-'could not be tried'} MEANT=NO
		worst=1
	fi
	let_go
	rm -f "$FILE"
	[[ $MEANT != NO || $worst != 0 ]] || worst=3
	TABLE+=("| \`$name\` | $WAY | $WHAT | $BEFORE | $AFTER | $MEANT |")
}

ext4_rows() {
	row advise=normal try_normal
	row advise=random try_random
	[[ $1 != auto ]] || row advise=random try_random_insisting
	row advise=sequential try_sequential
	row advise=willneed try_willneed
	row advise.now=willneed try_willneed_now
	row advise.now=populate-read try_populate_read
	row advise.now=populate-read try_beyond_4g
	row advise.now=populate-write try_populate_write
	row advise.now=dontneed try_dontneed
	row advise.now=dontneed try_dontneed_range
	row advise.now=pageout try_pageout
	row advise.now=remove try_remove
	if [[ -n $CGROUP ]]; then
		row advise.now=cold try_cold
		row lock=off try_lock_off
		row lock=on try_lock_on
		row lock=onfault try_lock_onfault
	else
		say "advice: no memory cgroup: cold and lock are left out"
		((worst)) || worst=1
	fi
	row advise.now=nohugepage try_nohugepage
	row advise.now=dontdump try_dontdump
	row advise.now=dodump try_dodump
	row 'advise=hugepage, ext4' try_hugepage
	row 'advise.now=collapse, ext4' try_collapse
}

tmpfs_rows() {
	row 'advise=hugepage, tmpfs' try_hugepage
	row 'advise.now=collapse, tmpfs' try_collapse
}

run_rows() {
	local data worst=0
	FILES=0
	make_cgroup || CGROUP=
	for data in auto daemon; do
		start_daemon "$WORK/ext4" "data=$data" || return 1
		ext4_rows "$data"
		stop_daemon
		start_daemon "$WORK/tmpfs" "data=$data" || return 1
		tmpfs_rows
		stop_daemon
	done
	return "$worst"
}
