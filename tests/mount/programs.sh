#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Real programs on the mountpoint, as they run on any directory. What each one
# does is in tests/mount/programs/NAME.sh, which knows nothing of msyncfs.
# Afterwards the store must hold what the mountpoint showed.
# shellcheck source=tests/lib/harness.sh
source "$(dirname "$0")/../lib/harness.sh"

programs=$BASE/programs
# PostgreSQL refuses to run as root.
server_user=postgres
getent passwd "$server_user" >/dev/null || server_user=nobody

# run_program USER SCRIPT ARG...: in directories of its own, as that user.
run_program() {
	local user=$1 script=$2 dir scratch
	shift 2
	dir=$MNT/$script.$*
	dir=${dir// /.}
	dir=${dir%.}
	# On the store's filesystem: rsync must find the same kinds of
	# attributes on both sides (XFS shows ACLs as attributes, too).
	scratch=$(mktemp -d "${STORE%/store}/scratch.XXXXXX")
	if [[ -n $AS_USER ]]; then
		as_user mkdir "$dir"
		[[ $EUID -ne 0 ]] || chown "$AS_USER" "$scratch"
	else
		mkdir "$dir"
		chown "$user" "$dir" "$scratch"
	fi
	set -- bash "$programs/$script.sh" "$dir" "$scratch" "$HELPERS" "$@"
	if [[ $user != root ]]; then
		set -- setpriv --reuid="$user" --regid="$(id -g "$user")" \
			--init-groups -- "$@"
	fi
	as_user "$@"
	rm -rf "$scratch"
}

# program NAME "COMMAND..." SCRIPT ARG...: one case, or why it can't run here.
program() {
	local name=$1 command user=root
	for command in $2; do
		if [[ $command == helper:* ]]; then
			helper "${command#helper:}" >/dev/null 2>&1 && continue
			skip "$name" "${command#helper:} was not built"
			return
		fi
		[[ -n $(type -P "$command") ]] && continue
		skip "$name" "$command is not installed"
		return
	done
	shift 2
	[[ $1 != postgres || -n $AS_USER ]] || user=$server_user
	t "$name" run_program "$user" "$@"
}

# Names, sizes, links and contents; a server's socket has no meaning there.
listing() {
	(
		cd "$1" || exit 1
		find . ! -type s ! -type d -printf '%P %y %m %U %G %s %n %l\0' |
			sort -z | tr '\0' '\n'
		find . -type f -print0 | sort -z | xargs -0 -r sha1sum
	)
}

the_store_has_it_all() {
	as_user bash -c "$(declare -f listing)
		listing \"\$1\"" - "$MNT" >"$BASE/mount.list"
	unmount_store
	listing "$STORE" >"$BASE/store.list"
	[[ $(wc -l <"$BASE/store.list") -gt 1000 ]]
	diff "$BASE/mount.list" "$BASE/store.list"
}

# Two users at once, more requests under way than there are threads for.
make_files_as() {
	local user=$1 i
	shift
	for i in {1..8}; do
		# shellcheck disable=SC2016
		"$@" bash -c 'for i in {1..50}; do
			mkdir "$1.$i" && : >"$1.$i/file" && ln -s x "$1.$i/link"
		done' - "$MNT/owned/$user.$i" &
	done
}

files_belong_to_their_makers() {
	local server
	server=$(id -u "$server_user")
	mkdir -m 1777 "$MNT/owned"
	make_files_as 0
	make_files_as "$server" setpriv --reuid="$server_user" \
		--regid="$(id -g "$server_user")" --init-groups --
	wait
	[[ $(find "$STORE/owned" -mindepth 1 | wc -l) -eq 2400 ]]
	find "$STORE/owned" -mindepth 1 -uid 0 -path "*/owned/$server.*" \
		>"$BASE/wrong"
	find "$STORE/owned" -mindepth 1 -uid "$server" -path '*/owned/0.*' \
		>>"$BASE/wrong"
	find "$STORE/owned" -mindepth 1 -gid 0 -path "*/owned/$server.*" \
		>>"$BASE/wrong"
	if [[ -s $BASE/wrong ]]; then
		echo "$(wc -l <"$BASE/wrong") files of somebody else's:"
		head "$BASE/wrong"
		exit 1
	fi
}

a_database_is_whole_in_the_store() {
	local found
	for db in "$STORE"/sqlite.*/bank.db; do
		found=$(sqlite3 "$db" 'PRAGMA integrity_check')
		[[ $found == ok ]]
	done
}

install -d -m 755 "$programs"
install -m 755 "$SRCDIR"/tests/mount/programs/*.{sh,js} "$programs"
make_store || bail "no $FS store"
mount_store || bail "no mount"

program sqlite3_works_with_a_write_ahead_log sqlite3 sqlite wal
program sqlite3_works_with_a_deleted_journal sqlite3 sqlite delete
program sqlite3_works_with_a_truncated_journal sqlite3 sqlite truncate
program sqlite3_works_with_a_persistent_journal sqlite3 sqlite persist
program postgresql_works_and_recovers_from_a_kill "pg_config psql" postgres
program git_makes_packs_clones_and_checks_a_repository git git
program rsync_brings_everything_there_and_back \
	"rsync setfattr setfacl setcap helper:socket_file" copies rsync
program tar_packs_and_unpacks_everything \
	"tar rsync setfattr setfacl setcap helper:socket_file" copies tar
program rrdtool_keeps_its_mapped_database rrdtool rrdtool
program fio_verifies_random_writes fio fio psync
program fio_verifies_writes_through_a_mapping fio fio mmap
program fio_verifies_direct_asynchronous_writes fio fio libaio --direct=1
program fio_verifies_buffered_writes_with_fsyncs fio fio psync --fsync=16
program two_processes_share_a_mapping helper:shared_mmap shared_mmap
program lmdb_works "mdb_stat helper:lmdb_work" lmdb default
program lmdb_works_on_a_writable_map "mdb_stat helper:lmdb_work" lmdb writemap
program lmdb_works_on_an_asynchronous_map "mdb_stat helper:lmdb_work" \
	lmdb mapasync
program a_nodejs_addon_maps_a_file "node helper:mmap_addon.node" node
program make_builds_a_project "make cc ar" compile
program tail_follows_a_log_over_its_rotation tail follow tail
program inotifywait_sees_every_change inotifywait follow inotifywait
if [[ -z $AS_USER ]]; then
	t files_belong_to_their_makers_when_two_users_work_at_once \
		files_belong_to_their_makers
else
	skip files_belong_to_their_makers_when_two_users_work_at_once \
		"n/a: a user's mount has one user"
fi
t the_store_has_what_the_mount_showed the_store_has_it_all
if [[ -n $(type -P sqlite3) ]]; then
	t sqlite3_finds_its_databases_whole_in_the_store \
		a_database_is_whole_in_the_store
else
	skip sqlite3_finds_its_databases_whole_in_the_store \
		"sqlite3 is not installed"
fi
t the_store_is_given_back drop_store
done_testing
