#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# tree.sh make DIRECTORY: a tree with everything that a file can have.
# tree.sh list DIRECTORY: all of it as text, to be compared by diff.
set -eu
dir=$2

make_data() {
	mkdir -p plain deep/a/b/c/d/e/f empty odd sparse links nodes marked
	seq 1 20000 >plain/numbers
	head -c 300000 /dev/zero | tr '\0' x >plain/x
	: >plain/nothing
	local i
	for ((i = 0; i < 200; i++)); do
		echo "file $i" >"deep/a/b/file$i"
	done
	echo bottom >deep/a/b/c/d/e/f/bottom
	truncate -s 64M sparse/hole
	echo end >>sparse/hole
	truncate -s 1M sparse/middle
	printf 'here' | dd of=sparse/middle bs=1 seek=500000 conv=notrunc \
		status=none
}

make_names() {
	echo 1 >"odd/ two  spaces "
	echo 2 >$'odd/new\nline'
	echo 3 >$'odd/\xff\xfe not UTF-8 \x01'
	echo 4 >"odd/$(printf 'n%.0s' {1..255})"
	echo 5 >'odd/*?[]\"$`'"'"
	echo 6 >odd/-rf
	echo 7 >'odd/…ünïcode'
	mkdir 'odd/dir with \ in it'
}

make_links() {
	echo linked >links/one
	ln links/one links/two
	ln links/one deep/three
	ln -s one links/relative
	ln -s /nonexistent/target links/dangling
	ln -s "$(printf 'l%.0s' {1..200})" links/long
	ln -P links/dangling links/hard_to_symlink
}

make_nodes() {
	mkfifo -m 640 nodes/fifo
	"$helpers/socket_file" nodes/socket
	[[ $EUID -eq 0 ]] || return 0
	mknod nodes/char c 1 3
	mknod nodes/block b 7 200
	chown 1234:4321 nodes/char plain/x links/one
	chown -h 77:88 links/dangling
}

make_marks() {
	echo attributes >marked/file
	setfattr -n user.text -v 'a value' marked/file
	setfattr -n user.binary -v 0x00ff10 marked/file
	setfattr -n user.empty marked/file
	setfattr -n user.big -v "$(printf 'v%.0s' {1..1500})" marked/file
	setfattr -n user.dir -v d marked
	setfacl -m u:1001:rw,g:1002:r,m::rw marked/file
	mkdir marked/default
	setfacl -d -m u:1001:rwx,g::rx,o::- marked/default
	echo inherited >marked/default/child
	chmod 4755 plain/numbers
	chmod 2711 plain
	chmod 1777 empty
	chmod 400 plain/nothing
	[[ $EUID -eq 0 ]] || return 0
	chmod 000 plain/nothing
	setfattr -n trusted.note -v secret marked/file
	cp "$(type -P true)" marked/capable
	setcap cap_net_raw+ep marked/capable
	setfattr -h -n trusted.link -v l links/relative
}

make_times() {
	touch -h -d '2001-02-03 04:05:06.123456789 UTC' links/relative
	touch -d '1971-01-01 00:00:00.000000001 UTC' plain/x
	touch -d '2037-12-31 23:59:59.999999999 UTC' sparse/hole
	touch -d '2020-05-05 05:05:05.5 UTC' nodes/fifo deep/a/b
	touch -d '2010-10-10 10:10:10.010101010 UTC' empty plain links deep
}

list() {
	# A directory's link count is the filesystem's own affair.
	find . \( -type d -printf '%P: %y %m %U %G %T@\0' \) -o \
		-printf '%P: %y %m %U %G %T@ %n %l\0' | sort -z | tr '\0' '\n'
	find . ! -type d -printf '%s %P\0' | sort -z | tr '\0' '\n'
	find . -type f -readable -print0 | sort -z | xargs -0 sha1sum
	find . -print0 | sort -z |
		xargs -0 getfattr -h -d -m - -e hex --absolute-names
	find . ! -type l -print0 | sort -z |
		xargs -0 getfacl -n -p --
	if [[ $EUID -eq 0 ]]; then
		stat -c '%n %t %T' nodes/char nodes/block
	fi
}

helpers=${3:-}
cd "$dir"
case $1 in
make)
	make_data
	make_names
	make_links
	make_nodes
	make_marks
	make_times
	;;
list) list ;;
esac
