#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# docs/recipes/private-views.md: four views of one directory at one time. Each
# does to its files whatever can be done to files, sees what it did and nothing
# of what the others did, and the golden directory stays as it is.
# shellcheck source=tests/recipes/lib.sh
source "$(dirname "$0")/lib.sh"

VIEWS=4
ROWS=40000
GOLDEN=/srv/golden
MEET=$BASE/meet

# Where it isn't the last command, "!" alone is no reason for set -e.
fails() {
	! "$@"
}

# All there is to know of a tree, but for times of reading.
manifest() {
	(cd "$1" && find . -printf '%p %y %m %U:%G %s %T@ %l\n' | sort &&
		find . -type f -print0 | sort -z | xargs -0 sha256sum)
}

golden_is_as_it_was() {
	manifest $GOLDEN | diff "$BASE/golden" -
}

nothing_is_left() {
	[[ -z $(find /srv -maxdepth 1 -name 'view.*') ]]
	fails grep -q '/srv/view\.' /proc/self/mountinfo
	# What else is there in this process namespace has another name.
	wait_until 20 fails pgrep -x msyncfs
	[[ $(find $GOLDEN -type f -links +1 | wc -l) -eq 0 ]]
}

# What the views must bear: databases in both modes, names that need care.
make_golden() {
	mkdir -p $GOLDEN/sub/deep "$GOLDEN/a name"
	sqlite3 $GOLDEN/app.db "
		CREATE TABLE t (id INTEGER PRIMARY KEY, owner INT, data);
		WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL
			SELECT i + 1 FROM n WHERE i < $ROWS)
		INSERT INTO t SELECT i, 0, hex(randomblob(150)) FROM n"
	sqlite3 $GOLDEN/sub/wal.db "PRAGMA journal_mode = WAL;
		CREATE TABLE t (owner INT); INSERT INTO t VALUES (0)" \
		>/dev/null
	echo golden >$GOLDEN/sub/deep/rewritten
	echo golden >"$GOLDEN/a name/appended to"
	echo golden >$GOLDEN/sub/removed
	echo golden >$GOLDEN/sub/renamed
	echo golden >$GOLDEN/sub/replaced
	head -c 300000 /dev/zero >$GOLDEN/sub/cut
	: >$GOLDEN/empty
	ln -s sub/cut $GOLDEN/link
}

# All views have come as far as STEP.
meets() {
	: >"$MEET/$1.$2"
	wait_until 60 all_met "$1"
}

all_met() {
	[[ $(find "$MEET" -name "$1.*" | wc -l) -eq $VIEWS ]]
}

# In the view number $1. Each command opens and closes the files anew.
change_everything() {
	local me=$1
	sqlite3 app.db "UPDATE t SET owner = $me WHERE id % 4000 = $me"
	sqlite3 app.db "DELETE FROM t WHERE id = 10 + $me"
	sqlite3 sub/wal.db "INSERT INTO t VALUES ($me)"
	echo "of view $me" >sub/deep/rewritten
	echo "of view $me" >>'a name/appended to'
	rm sub/removed
	mv sub/renamed "sub/renamed by $me"
	echo "of view $me" >new && mv new sub/replaced
	truncate -s "$((me * 1000))" sub/cut
	echo "of view $me" >empty
	mkdir -p made/here && echo "of view $me" >made/here/file
	sqlite3 made/own.db "CREATE TABLE t (a); INSERT INTO t VALUES ($me)"
}

see_just_my_changes() {
	local me=$1
	[[ $(sqlite3 app.db "SELECT count(*), sum(owner) FROM t") == \
		"$((ROWS - 1))|$((me * 10))" ]]
	[[ $(sqlite3 app.db 'PRAGMA integrity_check') == ok ]]
	[[ $(sqlite3 sub/wal.db 'SELECT group_concat(owner) FROM t') == \
		"0,$me" ]]
	[[ $(<sub/deep/rewritten) == "of view $me" ]]
	[[ $(<'a name/appended to') == "golden"$'\n'"of view $me" ]]
	[[ ! -e sub/removed && ! -e sub/renamed ]]
	[[ $(ls sub/renamed*) == "sub/renamed by $me" ]]
	[[ $(<"sub/renamed by $me") == golden ]]
	[[ $(<sub/replaced) == "of view $me" && $(<empty) == "of view $me" ]]
	[[ $(stat -L -c %s link) -eq $((me * 1000)) ]]
	[[ $(<made/here/file) == "of view $me" ]]
	[[ $(sqlite3 made/own.db 'SELECT a FROM t') -eq $me ]]
}

in_a_view() {
	set -e
	meets begin "$1"
	change_everything "$1"
	meets changed "$1"
	see_just_my_changes "$1"
	stat_of . stage.used >"$MEET/used.$1"
	meets seen "$1"
}

it_is_set_up() {
	install_block "Setting up" /usr/local/bin/with-view 755
	run_block "Running tests"
	[[ $(sqlite3 $GOLDEN/app.db 'SELECT count(*) FROM account') -eq 0 ]]
	run_block "Looking at it"
	grep -q '^stage.used=[1-9]' "$RECIPE_OUT"
	grep -qx "stage.limit=$((256 << 20))" "$RECIPE_OUT"
	nothing_is_left
	rm $GOLDEN/app.db
}

views_are_apart_and_the_golden_directory_stays() {
	local i used database
	local -a pids=()
	mkdir "$MEET"
	make_golden
	manifest $GOLDEN >"$BASE/golden"
	export -f in_a_view meets all_met wait_until change_everything \
		see_just_my_changes stat_of
	export MEET VIEWS ROWS
	for ((i = 1; i <= VIEWS; i++)); do
		with-view $GOLDEN bash -c "in_a_view $i" &
		pids+=($!)
	done
	for i in "${pids[@]}"; do
		wait "$i"
	done
	golden_is_as_it_was
	nothing_is_left
	used=$(sort -n "$MEET"/used.* | tail -n 1)
	database=$(stat -c %s $GOLDEN/app.db)
	tell "a view of a database of $((database / 1024)) KiB, 11 rows of it" \
		"changed, takes $((used / 1024)) KiB"
	[[ $used -gt 0 && $((used * 10)) -lt $database ]]
}

the_command_s_status_is_kept() {
	local status=0
	with-view $GOLDEN bash -c 'exit 42' || status=$?
	[[ $status -eq 42 ]]
	nothing_is_left
}

# Why with-view holds the files open.
unheld_changes_end_with_the_last_close() {
	cp -al $GOLDEN /srv/unheld.store
	mkdir /srv/unheld
	msyncfs -o map=private /srv/unheld.store /srv/unheld
	(
		echo mine >&3
		[[ $(<"/srv/unheld/sub/removed") == mine ]]
	) 3>/srv/unheld/sub/removed
	wait_until 20 grep -qx golden /srv/unheld/sub/removed
	umount /srv/unheld
	flock /srv/unheld.store rm -rf /srv/unheld.store
	golden_is_as_it_was
}

# As the document says; not as anybody would wish.
attributes_are_not_private() {
	with-view $GOLDEN chmod 600 sub/removed
	[[ $(stat -c %a $GOLDEN/sub/removed) == 600 ]]
	chmod 644 $GOLDEN/sub/removed
	golden_is_as_it_was
}

as_tester() {
	setpriv --reuid=nobody --regid=nogroup --clear-groups "$@"
}

# And what the document says to do about it. Times of the files are in golden.
another_user_s_tests_can_t_change_them() {
	harness_open_dev_fuse
	chmod 1777 /srv
	chgrp -R nogroup $GOLDEN
	fails as_tester with-view $GOLDEN true
	nothing_is_left
	rm $GOLDEN/link
	find $GOLDEN -type f -exec chmod g+w {} +
	manifest $GOLDEN >"$BASE/golden"
	# shellcheck disable=SC2016
	as_tester with-view $GOLDEN bash -c '
		echo mine >sub/removed && mv sub/renamed sub/mine &&
		sqlite3 app.db "UPDATE t SET owner = 7" &&
		! chmod 600 sub/removed && ! touch -d 2001-01-01 empty &&
		! chown nobody empty && rm empty && [[ $(<sub/removed) == mine ]]'
	golden_is_as_it_was
	nothing_is_left
}

a_killed_view_is_cleared_away() {
	local view pid
	with-view $GOLDEN bash -c 'echo $$ >'"$MEET"'/pid; echo x >empty
		exec sleep 1000' &
	pid=$!
	wait_until 60 test -s "$MEET/pid"
	kill -KILL "$pid" "$(<"$MEET/pid")"
	view=$(find /srv -maxdepth 1 -name 'view.*')
	kill_daemon "$view/view"
	run_block "What a crash takes"
	golden_is_as_it_was
	nothing_is_left
}

it_is_undone() {
	run_block "Undoing it"
	[[ ! -e /usr/local/bin/with-view ]]
}

recipe private-views sqlite3 fusermount3 setpriv pgrep
t it_is_set_up it_is_set_up
t views_are_apart_and_the_golden_directory_stays \
	views_are_apart_and_the_golden_directory_stays
t the_command_s_status_is_kept the_command_s_status_is_kept
t unheld_changes_end_with_the_last_close unheld_changes_end_with_the_last_close
t attributes_are_not_private attributes_are_not_private
t another_user_s_tests_can_t_change_them another_user_s_tests_can_t_change_them
t a_killed_view_is_cleared_away a_killed_view_is_cleared_away
t it_is_undone it_is_undone
recipe_done
