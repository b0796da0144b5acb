#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# docs/recipes/profile-directory.md: the profile of a browser that is staged in
# memory. The daemon is killed at random moments of the browsing; each time the
# profile is as it was at one instant, with nothing to repair.
#
#	tests/recipes/profile-directory.sh [SEED]
#
#	KILLS	how many (8)
#
# What browses, and what looks at the profile, is work/browser.py.
arguments=("$@")
# shellcheck source=tests/recipes/lib.sh
source "$(dirname "$0")/lib.sh"

profile=/home/alice/.mozilla
browser=$BASE/browser.py
seed=${arguments[0]:-$((RANDOM * 32768 + RANDOM))}
KILLS=${KILLS:-8}

as_alice() {
	(cd / && exec setpriv --reuid=alice --regid=alice --init-groups -- "$@")
}

# A user with a home on a disk.
make_home() {
	getent group alice >/dev/null || groupadd alice
	getent passwd alice >/dev/null ||
		useradd -g alice -d /home/alice -M alice
	disk_at /home/alice
	chown alice:alice /home/alice
	install -m 755 "$SRCDIR/tests/recipes/work/browser.py" "$browser"
}

set_up() {
	make_home
	as_alice mkdir -m 700 "$profile"
	as_alice "$browser" browse "$profile" 40
	# First, because both blocks are run in one go.
	install_block "Setting up" /etc/fstab
	run_block "Setting up"
	[[ $(stat -c '%a %U' "$profile") == "700 alice" ]]
	[[ $(as_alice "$browser" check "$profile" 40) -eq 40 ]]
	run_block "See that it works"
	grep -qx 'map=staged *(mount)' "$RECIPE_OUT"
}

# asked_of_disk DIRECTORY: flushes, writes and KiB for 200 pages in it, all of
# them durable at the end; into REPLY.
asked_of_disk() {
	local what before=() after=()
	as_alice mkdir "$1"
	sync -f /home/alice
	for what in flushes writes sectors; do
		before+=("$(disk_stat /home/alice "$what")")
	done
	as_alice "$browser" browse "$1" 200
	[[ $1 != "$profile"/* ]] || msyncctl sync "$profile"
	# Without staging the cache and the names are synced by nobody yet.
	sync -f /home/alice
	for what in flushes writes sectors; do
		after+=("$(disk_stat /home/alice "$what")")
	done
	REPLY="$((after[0] - before[0])) $((after[1] - before[1]))"
	REPLY+=" $(((after[2] - before[2]) / 2))"
	as_alice "$browser" check "$1" 200
	rm -r "$1"
}

# on_the_mount COLUMN: what is asked of the disk, and why.
on_the_mount() {
	local commits orders
	commits=$(stat_of "$profile" commit.count)
	orders=$(stat_of "$profile" commit.by_order)
	asked_of_disk "$profile/counted"
	commits=$(($(stat_of "$profile" commit.count) - commits))
	orders=$(($(stat_of "$profile" commit.by_order) - orders))
	figures "$1"
	tell "  in $commits commits, $orders of them by order"
}

figures() {
	local -a of
	read -r -a of <<<"$REPLY"
	tell "200 pages $1: ${of[0]} flushes, ${of[1]} writes, ${of[2]} KiB"
}

the_disk_rests() {
	local -a plain often seldom
	asked_of_disk /home/alice/plain
	read -r -a plain <<<"$REPLY"
	figures "in the directory"
	on_the_mount "on the mount"
	read -r -a often <<<"$REPLY"
	export BROWSER_EVERY=200
	on_the_mount "on the mount, files replaced once"
	read -r -a seldom <<<"$REPLY"
	# One for a transaction at least, or nothing was counted.
	[[ ${plain[0]} -ge 200 ]]
	[[ $((often[0] * 2)) -le ${plain[0]} ]]
	[[ $((seldom[0] * 10)) -le ${plain[0]} ]]
	[[ ${seldom[2]} -lt ${often[2]} ]]
}

pages() {
	as_alice sqlite3 -readonly -cmd '.timeout 20000' \
		"$profile/places.sqlite" 'SELECT max(page) FROM visit'
}

has_pages() {
	[[ $(pages) -ge $1 ]]
}

# killed_at SEED: half of the times with no file replaced, so that a commit by
# request, at any point, is the last one.
killed_at() {
	local worker least found every=10
	RANDOM=$1
	((RANDOM % 2)) || every=1000000
	export BROWSER_EVERY=$every
	least=$(pages)
	as_alice "$browser" browse "$profile" 0 >"$BASE/said" 2>&1 &
	worker=$!
	wait_until 60 has_pages $((least + 5 + RANDOM % 5))
	if ((every > 10)); then
		least=$(pages)
		run_block "What survives"
	fi
	sleep "0.$((RANDOM % 9))$((RANDOM % 10))"
	kill -0 "$worker"
	kill_daemon "$profile"
	wait "$worker" || true
	run_block "After a crash"
	found=$(as_alice "$browser" check "$profile" "$least") ||
		{ echo "$found"; return 1; }
	echo -n " $found" >>"$BASE/pages"
	# The files as the next round wants to find them.
	unset BROWSER_EVERY
	((every == 10)) || as_alice "$browser" browse "$profile" 10
}

nothing_to_repair() {
	local i status
	for ((i = 0; i < KILLS; i++)); do
		set +e
		(set -e; killed_at $((seed + i)))
		status=$?
		set -e
		[[ $status -eq 0 ]] || {
			echo "to try it again: KILLS=1 $0 $((seed + i))"
			return 1
		}
	done
	tell "killed $KILLS times, back to page$(<"$BASE/pages")"
}

undone() {
	local page
	as_alice "$browser" browse "$profile" 20
	page=$(pages)
	[[ -n $page ]]
	run_block "Undoing it"
	[[ $(as_alice "$browser" check "$profile" "$page") -eq $page ]]
	[[ $(grep -c msyncfs /etc/fstab) -eq 0 ]]
	# No store, no copy, no backup.
	[[ $(ls -A /home/alice) == $'.mozilla\nlost+found' ]]
}

recipe profile-directory python3 sqlite3
echo "# seed $seed"
t a_profile_becomes_a_mount set_up
t browsing_has_the_disk_rest the_disk_rests
t a_kill_at_any_moment_leaves_nothing_to_repair nothing_to_repair
t the_profile_is_given_back_with_nothing_beside_it undone
recipe_done
