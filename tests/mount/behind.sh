#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Things go wrong below the daemon: store files are cut, replaced and removed
# behind its back, the store is full, slow, or has errors. Clients get an
# errno or a short read, in time, and everything else goes on.
# shellcheck source=tests/lib/harness.sh
source "$(dirname "$0")/../lib/harness.sh"
# shellcheck source=tests/mount/programs/client.sh
source "$SRCDIR/tests/mount/programs/client.sh"
shopt -s extglob
# Programs cut a file in a tight loop here, and the daemon is slow.
[[ -z $SANITIZER ]] || ASK_LIMIT=40

cut='@(ok *|err @(EIO|SIGBUS|SHORT|ESTALE|DIFFERS) *)'

# store_file NAME MEBIBYTES BYTE: made by the one who mounts.
store_file() {
	head -c "$2M" /dev/zero | tr '\0' "$3" | as_user dd "of=$STORE/$1" \
		bs=1M iflag=fullblock status=none
}

daemon_lives() {
	kill -0 "$DAEMON_PID"
	[[ ! -s ${MNT%/mnt}/status ]]
	as_user timeout 10 ls "$MNT" >/dev/null
}

# Another file than the one in trouble.
service_is_normal() {
	daemon_lives
	as_user timeout 10 dd if=/dev/urandom "of=$MNT/normal" bs=64k count=4 \
		conv=fsync status=none
	as_user timeout 10 cmp "$MNT/normal" "$STORE/normal"
	as_user timeout 10 rm "$MNT/normal"
}

# --- behind the daemon's back ------------------------------------------------

# Handle 0: buffered and mapped; handle 1: O_DIRECT, past FUSE's page cache.
open_both() {
	client_new
	expect "$CLIENT" 'ok *' open 0 "$MNT/$1" rw
	expect "$CLIENT" 'ok *' map 0 4194304 rw
	expect "$CLIENT" 'ok 65' peek 0 0
	expect "$CLIENT" 'ok 65536' read 0 1048576 65536
	expect "$CLIENT" 'ok *' open 1 "$MNT/$1" rw,direct
	expect "$CLIENT" 'ok 65536' read 1 1048576 65536
}

a_file_is_truncated() {
	store_file cut 4 A
	mount_store
	open_both cut
	truncate -s 4096 "$STORE/cut"
	# What no page cache has yet.
	expect 0 '@(ok 0|err EIO *)' read 1 3145728 65536
	# The kernel completes a short direct read from the pages it has, until
	# it learns the size.
	expect 0 "$cut" read 1 1048576 65536
	expect 0 "$cut" read 0 1048576 65536
	expect 0 "$cut" peek 0 2097152
	expect 0 "$cut" poke 0 2097152 10 66
	expect 0 '@(ok *|err EIO *)' msync 0
	daemon_lives
	sleep 1.2
	expect 0 'ok *' size 0
	[[ $REPLY == "ok $(stat -c %s "$STORE/cut")" ]]
	expect 0 'ok 0' read 1 3145728 65536
	expect 0 'ok 4096' read 1 0 4096
	# It may grow again, by either side.
	expect 0 'ok *' write 1 2097152 4096 67
	expect 0 'ok *' expect 1 2097152 4096 67
	cmp -n 4096 -i 2097152:0 "$STORE/cut" <(tr '\0' C </dev/zero)
	[[ $(stat -c %s "$STORE/cut") -ge 2101248 ]]
	client_end 0
	service_is_normal
	unmount_store
}

# Cut and grown again and again while three programs read and write it.
a_file_is_truncated_under_load() {
	local end i cutter
	store_file load 4 A
	mount_store
	for i in 0 1 2; do
		open_both load
	done
	# shellcheck disable=SC2016
	bash -c 'while :; do truncate -s 4096 "$1"; truncate -s 4M "$1"; done' \
		- "$STORE/load" &
	cutter=$!
	end=$((SECONDS + 4))
	while [[ $SECONDS -lt $end ]]; do
		tell 0 read 1 0 65536 60
		tell 1 write 1 0 65536 68 60
		tell 2 read 0 0 65536 60
		for i in 0 1 2; do
			reply "$i"
			# shellcheck disable=SC2053
			[[ $REPLY == @(ok *|err EIO *) ]] ||
				{ echo "client $i: $REPLY"; exit 1; }
		done
		ask 2 uncache 0
		ask 2 peek 0 3145728
		# shellcheck disable=SC2053
		[[ $REPLY == $cut ]] || { echo "mapping: $REPLY"; exit 1; }
	done
	kill "$cutter"
	wait "$cutter" 2>/dev/null || true
	for i in 0 1 2; do
		client_end "$i"
	done
	service_is_normal
	unmount_store
}

a_file_is_replaced() {
	store_file old 4 A
	store_file new 4 B
	mount_store
	open_both old
	as_user mv "$STORE/new" "$STORE/old"
	# Who has it open has the old one, who opens it gets the new one.
	expect 0 'ok *' expect 1 0 65536 65
	expect 0 'ok *' write 1 0 4096 67
	expect 0 'ok *' fsync 1
	expect 0 'ok 65' peek 0 3145728
	sleep 1.2
	client_new
	expect 1 'ok *' open 0 "$MNT/old" rw
	expect 1 'ok *' expect 0 0 65536 66
	expect 1 'ok *' write 0 0 4096 68
	cmp -n 4096 "$STORE/old" <(tr '\0' D </dev/zero)
	expect 0 'ok *' expect 1 0 4096 67
	client_end 0
	client_end 1
	service_is_normal
	unmount_store
}

a_file_is_removed() {
	store_file removed 4 A
	mount_store
	open_both removed
	rm "$STORE/removed"
	expect 0 'ok *' expect 1 0 65536 65
	expect 0 'ok *' write 1 0 4096 67
	expect 0 'ok *' fsync 1
	expect 0 'ok *' expect 1 0 4096 67
	sleep 1.2
	expect 0 'err @(ENOENT|ESTALE) *' open 2 "$MNT/removed" rw
	expect 0 'ok *' open 2 "$MNT/removed" rw,create
	expect 0 'ok *' write 2 0 4096 68
	[[ $(stat -c %s "$STORE/removed") -eq 4096 ]]
	client_end 0
	service_is_normal
	unmount_store
}

a_directory_is_removed() {
	as_user mkdir -p "$STORE/dir/sub"
	store_file dir/sub/file 4 A
	mount_store
	open_both dir/sub/file
	rm -r "$STORE/dir"
	expect 0 'ok *' expect 1 0 65536 65
	expect 0 'err @(ENOENT|ESTALE) *' open 2 "$MNT/dir/sub/new" rw,create
	sleep 1.2
	expect 0 'err @(ENOENT|ESTALE) *' stat "$MNT/dir/sub/file" 1
	as_user mkdir -p "$MNT/dir/sub"
	expect 0 'ok *' open 2 "$MNT/dir/sub/new" rw,create
	[[ -e $STORE/dir/sub/new ]]
	client_end 0
	service_is_normal
	unmount_store
}

# nobody_opens FLAGS FILE: what step_client says of it, as another user.
nobody_opens() {
	setpriv --reuid=65534 --regid=65534 --clear-groups \
		"$BASE/step_client" <<<"open 0 $2 $1"
}

# The kernel knows that there is no such name, and checks nobody's rights.
a_file_is_made() {
	local flags
	install -m 755 "$(helper step_client)" "$BASE/step_client"
	chmod 777 "$STORE"
	mount_store negative_timeout=60,entry_timeout=60
	client_new
	ls "$MNT/others" "$MNT/own" 2>/dev/null || true
	echo text >"$STORE/others"
	echo text >"$STORE/own"
	for flags in rw,create wo,create,trunc ro,create,trunc; do
		REPLY=$(nobody_opens "$flags" "$MNT/others")
		echo "$flags: $REPLY"
		[[ $REPLY == 'err EACCES '* ]]
	done
	[[ $(nobody_opens ro,create "$MNT/others") == 'ok '* ]]
	[[ $(<"$STORE/others") == text ]]
	expect 0 'ok *' open 0 "$MNT/own" rw,create,trunc
	expect 0 'ok 0' size 0
	[[ ! -s $STORE/own ]]
	client_end 0
	unmount_store
	chmod 755 "$STORE"
}

# --- a full store ------------------------------------------------------------

# Leaves about 8 MiB.
nearly_full() {
	local left
	left=$(df --output=avail -B 1M "$STORE" | tail -n 1)
	[[ $left -gt 16 ]]
	fallocate -l $((left - 8))M "${STORE%/store}/filler"
}

# To the last block, as root, also what is reserved.
quite_full() {
	nearly_full
	dd if=/dev/zero "of=${STORE%/store}/rest" bs=64k status=none \
		2>/dev/null || true
	dd if=/dev/zero "of=${STORE%/store}/rest2" bs=4k status=none \
		2>/dev/null || true
	sync -f "$STORE"
}

room_again() {
	rm -f "${STORE%/store}"/{filler,rest,rest2}
	sync -f "$STORE"
}

a_growing_file_fills_it() {
	local blocks
	mount_store
	nearly_full
	client_new
	expect 0 'ok *' open 0 "$MNT/grown" rw,create
	ask 0 write 0 0 65536 65 8192
	[[ $REPLY == err\ ENOSPC\ done=* ]] || { echo "$REPLY"; exit 1; }
	blocks=${REPLY#*done=}
	echo "$blocks blocks were accepted"
	[[ $blocks -gt 0 ]]
	expect 0 'err ENOSPC *' write 0 $((blocks * 65536 + 1048576)) 65536 65
	expect 0 'err ENOSPC *' fallocate 0 0 1073741824
	daemon_lives
	# Nothing that was accepted is lost.
	expect 0 'ok *' fsync 0
	expect 0 'ok *' expect 0 $(((blocks - 1) * 65536)) 65536 65
	cmp -n $((blocks * 65536)) "$STORE/grown" <(tr '\0' A </dev/zero)
	room_again
	expect 0 'ok *' write 0 $((blocks * 65536)) 65536 65 100
	expect 0 'ok *' fsync 0
	client_end 0
	service_is_normal
	rm "$STORE/grown"
	unmount_store
}

holes_can_not_be_filled() {
	local written
	mount_store
	client_new
	expect 0 'ok *' open 0 "$MNT/sparse" rw,create
	expect 0 'ok *' truncate 0 $((256 << 20))
	expect 0 'ok *' map 0 $((256 << 20)) rw
	quite_full
	ask 0 write 0 0 65536 66 2048 131072
	[[ $REPLY == err\ ENOSPC\ done=* ]] || { echo "$REPLY"; exit 1; }
	written=${REPLY#*done=}
	daemon_lives
	expect 0 'err ENOSPC *' write 0 $((255 << 20)) 65536 66
	# Through a mapping there is only a signal, or an error from msync.
	expect 0 '@(ok *|err SIGBUS *)' poke 0 $((200 << 20)) 1048576 66
	expect 0 '@(ok *|err @(ENOSPC|EIO) *)' msync 0
	[[ $REPLY != ok* ]] || echo "msync: $REPLY"
	ask 0 fsync 0
	[[ $REPLY == @(ok *|err @(ENOSPC|EIO) *) ]]
	daemon_lives
	[[ $written -eq 0 ]] || expect 0 'ok *' expect 0 0 65536 66
	room_again
	expect 0 'ok *' write 0 0 65536 67 2048 131072
	expect 0 'ok *' fsync 0
	expect 0 'ok *' expect 0 $((2047 * 131072)) 65536 67
	client_end 0
	service_is_normal
	rm "$STORE/sparse"
	unmount_store
}

# --- a slow or failing store -------------------------------------------------

# slowfs over a plain directory becomes the store.
slow_store() {
	control=$(client_directory)
	backing=$(client_directory)
	STORE=$BASE/slow.${control##*.}
	mkdir "$STORE"
	if [[ -n $AS_USER ]]; then
		[[ $EUID -ne 0 ]] || chown "$AS_USER" "$STORE"
		as_user "$(helper slowfs)" "$backing" "$control" "$STORE" -f &
	else
		"$(helper slowfs)" "$backing" "$control" "$STORE" -f \
			-o allow_other,default_permissions,dev,suid &
	fi
	wait_until 10 harness_is_mounted "$STORE"
}

drop_slow_store() {
	unmount_store
	if [[ -n $AS_USER ]]; then
		as_user fusermount3 -u "$STORE"
	else
		umount "$STORE"
	fi
}

a_slow_file() {
	local i started
	slow_store
	store_file slow 16 A
	store_file quick 1 A
	mount_store
	for i in {0..7}; do
		client_new
		expect "$i" 'ok *' open 0 "$MNT/slow" rw
		[[ $i -lt 6 ]] || expect "$i" 'ok *' map 0 16777216 rw
	done
	client_new
	expect 8 'ok *' open 0 "$MNT/quick" rw
	# Far longer than all that follows takes on a busy machine.
	echo 60 >"$control/slow.delay"
	: >"$control/slow.reads"
	chmod 666 "$control/slow.reads"
	drop_cached_pages
	for i in {0..5}; do
		tell "$i" read 0 $((i * 2097152 + 1048576)) 4096
	done
	tell 6 peek 0 $((13 << 20))
	tell 7 poke 0 $((15 << 20)) 1 66
	wait_until 20 test -s "$control/slow.reads"
	sleep 0.3
	started=${EPOCHREALTIME/./}
	ASK_LIMIT=15
	expect 8 'ok *' expect 0 0 65536 65
	expect 8 'ok *' write 0 1048576 65536 66 10
	expect 8 'ok *' fsync 0
	expect 8 'ok *' open 1 "$MNT/other" rw,create
	expect 8 'ok *' write 1 0 4096 67 100
	expect 8 'ok *' truncate 1 4096
	expect 8 'ok *' expect 1 0 4096 67
	expect 8 'ok *' stat "$MNT/other" 1
	as_user timeout 15 ls -l "$MNT/quick" >/dev/null
	as_user timeout 15 mkdir "$MNT/dir"
	as_user timeout 15 rm "$MNT/other"
	echo "$(((${EPOCHREALTIME/./} - started) / 1000)) ms"
	[[ $((${EPOCHREALTIME/./} - started)) -lt 40000000 ]]
	ASK_LIMIT=60
	rm "$control/slow.delay"
	for i in {0..7}; do
		reply "$i"
		[[ $REPLY == ok* ]] || { echo "client $i: $REPLY"; exit 1; }
	done
	for i in {0..8}; do
		client_end "$i"
	done
	drop_slow_store
}

# Of the slow file in every layer: only then is its backing read at all.
drop_cached_pages() {
	local layer
	for layer in "$MNT" "$STORE"; do
		as_user dd "of=$layer/slow" oflag=nocache conv=notrunc,fdatasync \
			count=0 status=none
	done
}

a_file_with_errors() {
	slow_store
	store_file bad 4 A
	store_file good 1 A
	mount_store
	client_new
	expect 0 'ok *' open 0 "$MNT/bad" rw
	expect 0 'ok *' map 0 4194304 rw
	expect 0 'ok *' open 1 "$MNT/good" rw
	as_user dd "of=$STORE/bad" oflag=nocache conv=notrunc,fdatasync \
		count=0 status=none
	: >"$control/bad.eio"
	expect 0 'err EIO *' read 0 1048576 4096
	expect 0 'err SIGBUS *' peek 0 2097152
	ask 0 write 0 3145728 65536 66
	[[ $REPLY == @(ok *|err EIO *) ]] || { echo "write: $REPLY"; exit 1; }
	# What was accepted and can't be kept is told.
	if [[ $REPLY == ok* ]]; then
		expect 0 'err EIO *' fsync 0
	fi
	expect 0 'ok *' expect 1 0 65536 65
	expect 0 'ok *' write 1 0 4096 66
	expect 0 'ok *' fsync 1
	daemon_lives
	rm "$control/bad.eio"
	expect 0 'ok *' expect 0 1048576 4096 65
	expect 0 'ok 65' peek 0 2097152
	expect 0 'ok *' write 0 3145728 65536 67
	expect 0 'ok *' fsync 0
	cmp -n 65536 -i 3145728:0 "$backing/bad" <(tr '\0' C </dev/zero)
	client_end 0
	service_is_normal
	drop_slow_store
}

make_store || bail "no $FS store"
t a_file_truncated_in_the_store_reads_short a_file_is_truncated
t a_file_truncated_under_load_harms_nobody a_file_is_truncated_under_load
t a_file_replaced_in_the_store_is_found a_file_is_replaced
t a_file_removed_in_the_store_lives_while_open a_file_is_removed
t a_directory_removed_in_the_store_is_gone a_directory_is_removed
if [[ $EUID -ne 0 || -n $AS_USER ]]; then
	skip a_file_made_in_the_store_is_opened_by_who_may \
		"n/a: needs root, tested as root"
else
	t a_file_made_in_the_store_is_opened_by_who_may a_file_is_made
fi
t the_store_is_given_back drop_store

if [[ $FS == dir ]]; then
	skip a_full_store_gives_ENOSPC "n/a: this store is the machine's disk"
	skip holes_of_a_full_store_give_ENOSPC \
		"n/a: this store is the machine's disk"
else
	STORE_SIZE=320M
	make_store || bail "no small $FS store"
	t a_full_store_gives_ENOSPC a_growing_file_fills_it
	t holes_of_a_full_store_give_ENOSPC holes_can_not_be_filled
	t the_small_store_is_given_back drop_store
fi
t a_slow_file_delays_no_other a_slow_file
t a_file_with_errors_gives_EIO a_file_with_errors
done_testing
