#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Attributes under user.msyncfs. are set, read, listed and removed as xattr(7)
# says, kept in the store, inherited, and refused with the right errno.
# shellcheck source=tests/lib/harness.sh
source "$(dirname "$0")/../lib/harness.sh"
# shellcheck source=tests/lib/control.sh
source "$SRCDIR/tests/lib/control.sh"

statuses=(residency residency.map status)
actions=(advise.now sync.now discard.now)
shopt -s extglob

fresh() {
	as_user rm -rf "${MNT:?}/$1"
	as_user touch "$MNT/$1"
}

# --- setting and reading -----------------------------------------------------

# The harness always says data=.
default_of() {
	[[ $1 == data && $DATA != auto ]] && echo mount || echo builtin
}

# Values that read back as they were set.
plain_values() {
	cat <<-END
		advise random
		advise sequential
		advise random+willneed
		advise hugepage
		advise nohugepage
		sync strict
		sync fsync=defer
		sync fsync=defer+every=5s
		sync fsync=group:20ms
		sync fsync=defer+every=5s+dirty=64M+close
		map shared
		data auto
		data kernel
		data daemon
		lock off
		lock on
		lock onfault
		grow chunk=1M
		grow chunk=1M+max=16M+trim
		append on
		append off
	END
}

each_policy_reads_back() {
	local name text file
	as_user touch "$MNT/each.file"
	as_user mkdir "$MNT/each.directory"
	for file in "$MNT"/each.{file,directory}; do
		while read -r name text; do
			# Who can't have huge pages says so; see advice.sh.
			if [[ $text == hugepage ]] &&
				[[ $(xattr set "$file" "$name" "$text") == \
					err\ E@(INVAL|OPNOTSUPP) ]]; then
				continue
			fi
			is 'ok 0' xattr set "$file" "$name" "$text"
			is "ok ${#text} $text" xattr get "$file" "$name"
			is "$text" status "$file" "$name"
			is file status "$file" "$name.from"
			is 'ok 0' xattr remove "$file" "$name"
			is 'err ENODATA' xattr get "$file" "$name"
			is 'err ENODATA' xattr remove "$file" "$name"
			is "$(default_of "$name")" status "$file" "$name.from"
		done < <(plain_values)
	done
}

# From, to: what is set is what is meant.
other_spellings() {
	cat <<-'END'
		sync	relaxed	fsync=defer+every=5s+close
		sync	manual	fsync=defer
		sync	fsync=honor	strict
		sync	every=5000ms,fsync=defer	fsync=defer+every=5s
		advise	normal	normal
		advise	willneed,random	random+willneed
		advise	random\n	random
		advise	random\0	random
		advise	random \n	random
		advise	random\n\0	random
		grow	max=1024K	max=1M
		append	on\n	on
		lock	off\0	off
	END
}

values_are_understood_in_any_spelling() {
	local name from to
	fresh spelling
	while IFS=$'\t' read -r name from to; do
		is 'ok 0' xattr set "$MNT/spelling" "$name" "$from"
		is "ok ${#to} $to" xattr get "$MNT/spelling" "$name"
		is 'ok 0' xattr remove "$MNT/spelling" "$name"
	done < <(other_spellings)
}

only_set_policies_are_listed() {
	local name
	fresh listed
	as_user dd if=/dev/zero of="$MNT/listed" bs=4k count=1 status=none
	is 'ok 0' attribute list "$MNT/listed"
	is 'ok 0' xattr set "$MNT/listed" sync relaxed
	is 'ok 0' xattr set "$MNT/listed" advise random
	is 'ok 0' attribute set "$MNT/listed" user.other theirs
	is "ok * user.msyncfs.advise user.msyncfs.sync user.other" \
		attribute list "$MNT/listed"
	for name in "${statuses[@]}"; do
		is 'ok [1-9]*' xattr get "$MNT/listed" "$name"
	done
	is 'ok 0' xattr set "$MNT/listed" sync.now wait
	is "ok * user.msyncfs.advise user.msyncfs.sync user.other" \
		attribute list "$MNT/listed"
	is 'ok 0' xattr remove "$MNT/listed" sync
	is "ok * user.msyncfs.advise user.other" \
		attribute list "$MNT/listed"
	is 'ok 0' attribute list "$MNT"
}

# An action that has been done, a status: nothing that could be copied.
the_roots_own_are_not_listed() {
	is 'ok *' xattr get "$MNT" stats
	is 'ok *' xattr get "$MNT" status
	is 'ok 0' attribute list "$MNT"
	as_user getfattr -d -m - "$MNT/" >"$BASE/all" 2>&1
	is 0 grep -c msyncfs "$BASE/all"
}

create_and_replace_mean_what_they_say() {
	fresh flags
	is 'err ENODATA' xattr set "$MNT/flags" sync relaxed replace
	is 'err ENODATA' xattr get "$MNT/flags" sync
	is 'ok 0' xattr set "$MNT/flags" sync relaxed create
	is 'err EEXIST' xattr set "$MNT/flags" sync manual create
	is 'ok * fsync=defer+every=5s+close' xattr get "$MNT/flags" sync
	is 'ok 0' xattr set "$MNT/flags" sync manual replace
	is 'ok * fsync=defer' xattr get "$MNT/flags" sync
}

sizes_can_be_asked_for() {
	local name size
	fresh sizes
	as_user dd if=/dev/zero of="$MNT/sizes" bs=4k count=1 status=none
	is 'ok 0' xattr set "$MNT/sizes" sync manual
	is 'ok 11' xattr get "$MNT/sizes" sync 0
	is 'ok 11 fsync=defer' xattr get "$MNT/sizes" sync 11
	is 'err ERANGE' xattr get "$MNT/sizes" sync 10
	is 'err ERANGE' xattr get "$MNT/sizes" sync 1
	is 'ok 18' attribute list "$MNT/sizes" 0
	is 'ok 18 *' attribute list "$MNT/sizes" 18
	is 'err ERANGE' attribute list "$MNT/sizes" 17
	for name in "${statuses[@]}"; do
		size=$(xattr get "$MNT/sizes" "$name" 0)
		size=${size#ok }
		# The next answer may be a few digits longer.
		is 'ok *' xattr get "$MNT/sizes" "$name" $((size + 64))
		is 'err ERANGE' xattr get "$MNT/sizes" "$name" 1
	done
}

statuses_are_lines() {
	fresh lines
	is 'ok *\\n' xattr get "$MNT/lines" status
	is 'ok *\\n' xattr get "$MNT" stats
	is file status "$MNT/lines" type
	is 0 status "$MNT/lines" size
	is directory status "$MNT" type
	is 'ok * 0 0 @(0|-) @(0|-) @(0|-)' xattr get "$MNT/lines" residency
	as_user dd if=/dev/zero of="$MNT/lines" bs=4k count=3 status=none
	is 12288 status "$MNT/lines" size
	is '3 3 *' value "$MNT/lines" residency
	is 'ok *+* [rdwp]\\n' xattr get "$MNT/lines" residency.map
}

# --- refusals ----------------------------------------------------------------

# NAME VALUE ERRNO on a file.
bad_values() {
	cat <<-'END'
		advise	bogus	EINVAL
		advise	random+sequential	EINVAL
		advise	random+	EINVAL
		advise	RANDOM	EINVAL
		advise		EINVAL
		sync	every	EINVAL
		sync	every=	EINVAL
		sync	every=5	EINVAL
		sync	every=5x	EINVAL
		sync	every=-5s	EINVAL
		sync	every=99999999999999999h	ERANGE
		sync	dirty=99999999999T	ERANGE
		sync	fsync=sometimes	EINVAL
		sync	fsync=group	EINVAL
		sync	strict+nonsense	EINVAL
		grow	chunk=	EINVAL
		grow	chunk=x	EINVAL
		grow	max=99999999999T	ERANGE
		grow	shrink	EINVAL
		map	mirrored	EINVAL
		map	copied	EINVAL
		map	private+staged	EINVAL
		data	both	EINVAL
		lock	yes	EINVAL
		append	1	EINVAL
		append	on\0off	EINVAL
		advise.now	bogus	EINVAL
		advise.now	willneed@	EINVAL
		advise.now	willneed@0	EINVAL
		advise.now	willneed@0+0	EINVAL
		advise.now	willneed@0+1M@0+1M	EINVAL
		advise.now	willneed@-1+1	EINVAL
		advise.now	@0+1M	EINVAL
		advise.now	willneed@99999999999T+1	ERANGE
		sync.now	later	EINVAL
		sync.now	wait+start	EINVAL
		sync.now	wait@1M	EINVAL
		discard.now	some	EINVAL
		discard.now	all	EOPNOTSUPP
		bogus	1	EINVAL
		bogus.now	1	EINVAL
		Sync	strict	EINVAL
	END
}

# Each is refused, said in one line of the log, and changes nothing.
bad_values_are_refused() {
	local line name text errno bad=0
	fresh refused
	is 'ok 0' xattr set "$MNT/refused" sync manual
	value "$MNT/refused" status | grep -v '^count\.' >"$BASE/before"
	while IFS= read -r line; do
		name=${line%%$'\t'*}
		errno=${line##*$'\t'}
		text=${line#*$'\t'}
		text=${text%$'\t'*}
		log_mark
		is "err $errno" xattr set "$MNT/refused" "$name" "$text" ||
			bad=1
		# Control characters don't get into a log as they are.
		[[ $text != *\\* ]] || text=
		log_says 1 "$name" "$text" || bad=1
	done < <(bad_values)
	is "ok * user.msyncfs.sync" attribute list "$MNT/refused" || bad=1
	is "ok * user.msyncfs.sync" attribute list "$STORE/refused" || bad=1
	value "$MNT/refused" status | grep -v '^count\.' >"$BASE/after"
	diff "$BASE/before" "$BASE/after" || bad=1
	return "$bad"
}

unknown_names_have_no_data() {
	local name
	fresh unknown
	for name in bogus '' sync.later status.now Advise; do
		is 'err ENODATA' xattr get "$MNT/unknown" "$name"
		is 'err ENODATA' xattr remove "$MNT/unknown" "$name"
		is 'err EINVAL' xattr set "$MNT/unknown" "$name" on
	done
}

# Names that only look alike belong to others.
other_attributes_pass() {
	local name
	fresh others
	for name in user.msyncfs user.msyncfsx.sync user.sync \
		user.x.msyncfs.sync; do
		is 'ok 0' attribute set "$MNT/others" "$name" 'any\n'
		is 'ok 4 any\\n' attribute get "$MNT/others" "$name"
		is 'ok 4 any\\n' attribute get "$STORE/others" "$name"
		is 'ok 0' attribute remove "$MNT/others" "$name"
	done
}

actions_are_no_values() {
	local name
	fresh actions
	for name in "${actions[@]}"; do
		is 'err ENODATA' xattr get "$MNT/actions" "$name"
		is 'err ENODATA' xattr remove "$MNT/actions" "$name"
	done
	is 'ok 0' xattr set "$MNT/actions" sync.now wait
	is 'err ENODATA' xattr get "$MNT/actions" sync.now
}

statuses_are_read_only() {
	local name
	fresh readonly
	for name in "${statuses[@]}"; do
		is 'err EPERM' xattr set "$MNT/readonly" "$name" 1
		is 'err EPERM' xattr remove "$MNT/readonly" "$name"
	done
	is 'err EPERM' xattr set "$MNT" stats 1
	is 'err EPERM' xattr remove "$MNT" stats
	is 'err EPERM' xattr set "$MNT" files 1
}

wrong_kinds_are_refused() {
	local name
	fresh kind
	as_user mkdir "$MNT/kind.d"
	for name in advise.now sync.now discard.now; do
		log_mark
		is 'err EINVAL' xattr set "$MNT/kind.d" "$name" wait
		log_says 1 "$name"
		is 'err ENODATA' xattr get "$MNT/kind.d" "$name"
	done
	for name in residency residency.map stats files; do
		is 'err ENODATA' xattr get "$MNT/kind.d" "$name"
	done
	for name in stats files; do
		is 'err ENODATA' xattr get "$MNT/kind" "$name"
	done
	is 'err EINVAL' xattr set "$MNT" advise.now willneed
	is 'err ENODATA' xattr get "$MNT" residency
	# Others than files and directories have no user attributes at all.
	as_user mkfifo "$MNT/kind.fifo"
	is 'err EPERM' xattr set "$MNT/kind.fifo" sync relaxed
	is 'ok 0' xattr set "$MNT/kind.d" sync relaxed
	as_user mkfifo "$MNT/kind.d/fifo"
	as_user ln -s nowhere "$MNT/kind.d/link"
	as_user rm -r "$MNT/kind.d"
}

# --- who may -----------------------------------------------------------------

as_nobody() {
	setpriv --reuid=65534 --regid=65534 --clear-groups -- \
		"$HELPERS/attribute" "$@"
}

writers_may_set_and_readers_may_read() {
	fresh private
	chmod 755 "$BASE/helpers"
	chmod 644 "$MNT/private"
	is 'ok 0' xattr set "$MNT/private" sync manual
	is 'ok 11 fsync=defer' as_nobody get "$MNT/private" "${prefix}sync"
	is 'ok * type=file*' as_nobody get "$MNT/private" "${prefix}status"
	is 'err EACCES' as_nobody set "$MNT/private" "${prefix}sync" strict
	is 'err EACCES' as_nobody set "$MNT/private" "${prefix}sync.now" wait
	is 'err EACCES' as_nobody set "$MNT/private" \
		"${prefix}advise.now" dontneed
	is 'err EACCES' as_nobody remove "$MNT/private" "${prefix}sync"
	is 'err EACCES' as_nobody set "$MNT" "${prefix}sync.now" wait
	chmod 600 "$MNT/private"
	is 'err EACCES' as_nobody get "$MNT/private" "${prefix}sync"
	is 'err EACCES' as_nobody get "$MNT/private" "${prefix}residency"
	is 'ok * fsync=defer' xattr get "$MNT/private" sync
	chmod 666 "$MNT/private"
	is 'ok 0' as_nobody set "$MNT/private" "${prefix}sync" relaxed
	is 'ok 0' as_nobody set "$MNT/private" "${prefix}advise.now" willneed
	is 'ok 0' as_nobody set "$MNT/private" "${prefix}sync.now" wait
	is 'ok 0' as_nobody remove "$MNT/private" "${prefix}sync"
	is 'err ENODATA' xattr get "$STORE/private" sync
}

# --- where they are kept -----------------------------------------------------

policies_live_in_the_store_file() {
	fresh kept
	as_user mkdir "$MNT/kept.d"
	is 'ok 0' xattr set "$MNT/kept" sync relaxed
	is 'ok 0' xattr set "$MNT/kept.d" advise random
	is 'ok * fsync=defer+every=5s+close*' xattr get "$STORE/kept" sync
	is 'ok * random*' xattr get "$STORE/kept.d" advise
	is store status "$MNT/kept" policies
	unmount_store
	is 'ok * fsync=defer+every=5s+close*' xattr get "$STORE/kept" sync
	mount_store
	is 'ok * fsync=defer+every=5s+close' xattr get "$MNT/kept" sync
	is file status "$MNT/kept" sync.from
	is 'ok * random' xattr get "$MNT/kept.d" advise
	is file status "$MNT/kept.d" advise.from
	as_user mv "$MNT/kept" "$MNT/moved"
	as_user ln "$MNT/moved" "$MNT/linked"
	is 'ok * fsync=defer+every=5s+close' xattr get "$MNT/linked" sync
	is 'ok 0' xattr remove "$MNT/linked" sync
	is 'err ENODATA' xattr get "$MNT/moved" sync
	is 'ok 0' attribute list "$STORE/moved"
}

# Whatever stands in a store file, it can be opened; the value has no effect.
a_bad_value_in_the_store_harms_nobody() {
	as_user touch "$STORE/strange"
	is 'ok 0' xattr set "$STORE/strange" sync 'every=never'
	is 'ok 0' xattr set "$STORE/strange" advise 'random'
	as_user dd if=/dev/zero of="$MNT/strange" bs=4k count=1 conv=fsync \
		status=none
	is strict status "$MNT/strange" sync
	is random status "$MNT/strange" advise
	grep -q "sync.*every=never" "$LOG"
	is 'ok 0' xattr set "$MNT/strange" sync manual
	is 'ok * fsync=defer' xattr get "$STORE/strange" sync
}

# --- inheritance -------------------------------------------------------------

parent() {
	as_user rm -rf "${MNT:?}/parent"
	as_user mkdir "$MNT/parent"
	is 'ok 0' xattr set "$MNT/parent" sync relaxed
	is 'ok 0' xattr set "$MNT/parent" advise random
	is 'ok 0' attribute set "$MNT/parent" user.other 1
}

# inherited FILE: as the mount and the store say.
inherited() {
	is "ok * user.msyncfs.advise user.msyncfs.sync" attribute list "$1"
	is 'ok * fsync=defer+every=5s+close' xattr get "$1" sync
	is 'ok * random' xattr get "$1" advise
	is file status "$1" sync.from
	is "ok * user.msyncfs.advise user.msyncfs.sync" \
		attribute list "$STORE/${1#"$MNT"/}"
}

new_files_take_their_directorys_policies() {
	parent
	as_user touch "$MNT/parent/created"
	inherited "$MNT/parent/created"
	as_user mkdir "$MNT/parent/made"
	inherited "$MNT/parent/made"
	is 'ok 0' attribute mknod "$MNT/parent/node"
	inherited "$MNT/parent/node"
	# And so on downwards.
	as_user mkdir "$MNT/parent/made/deeper"
	as_user touch "$MNT/parent/made/deeper/created"
	inherited "$MNT/parent/made/deeper/created"
	# A file that nobody may write has them as well.
	[[ $EUID -eq 0 && -z $AS_USER ]] || return 0
	(umask 777 && touch "$MNT/parent/closed")
	inherited "$MNT/parent/closed"
}

an_unnamed_file_takes_its_directorys_policies() {
	local answer
	parent
	answer=$(attribute tmpfile "$MNT/parent" "$MNT/parent/named" || true)
	if [[ $answer == 'err EOPNOTSUPP' ]]; then
		echo "O_TMPFILE is not supported on the mount"
		exit 77
	fi
	is 'ok 0' echo "$answer"
	inherited "$MNT/parent/named"
}

policies_stay_when_files_move() {
	parent
	# What is in the directory already stays, what leaves it stays.
	as_user touch "$MNT/before"
	as_user mv "$MNT/before" "$MNT/parent/"
	is 'ok 0' attribute list "$MNT/parent/before"
	as_user touch "$MNT/parent/after"
	as_user mv "$MNT/parent/after" "$MNT/"
	is 'ok * random' xattr get "$MNT/after" advise
	# Only what is set on the directory itself is handed on.
	as_user mkdir "$MNT/plain"
	as_user touch "$MNT/plain/file"
	is 'ok 0' attribute list "$MNT/plain/file"
	is 'ok 0' xattr remove "$MNT/parent" sync
	as_user touch "$MNT/parent/later"
	is 'ok * user.msyncfs.advise' attribute list "$MNT/parent/later"
	is 'ok * user.msyncfs.advise user.msyncfs.sync' \
		attribute list "$MNT/after"
	as_user rm -r "$MNT/after" "$MNT/plain"
}

copies_take_the_directorys_policies() {
	local from
	parent
	from=$(mktemp -d "$BASE/from.XXXXXX")
	chmod 755 "$from"
	mkdir "$from/tree"
	echo text >"$from/tree/file"
	as_user cp -r "$from/tree" "$MNT/parent/copied"
	inherited "$MNT/parent/copied"
	inherited "$MNT/parent/copied/file"
	tar -C "$from" -cf "$from/archive" tree
	chmod 644 "$from/archive"
	as_user tar -C "$MNT/parent" -xf "$from/archive"
	inherited "$MNT/parent/tree"
	inherited "$MNT/parent/tree/file"
}

# What copies attributes copies policies, and finds nothing to trigger.
copying_attributes_triggers_nothing() {
	local before after
	parent
	as_user dd if=/dev/zero of="$MNT/parent/data" bs=4k count=4 status=none
	is 'ok 0' xattr set "$MNT/parent/data" sync manual
	before=$(stats_like '^sync\.explicit=')
	log_mark
	as_user cp -a "$MNT/parent" "$MNT/copy"
	is 'ok * fsync=defer' xattr get "$MNT/copy/data" sync
	is 'ok * random' xattr get "$MNT/copy" advise
	is 'ok * user.msyncfs.advise user.msyncfs.sync user.other' \
		attribute list "$MNT/copy"
	if command -v rsync >/dev/null; then
		as_user rsync -aX "$MNT/parent/" "$MNT/synced/"
		as_user rsync -aX "$MNT/parent/" "$MNT/synced/"
		is 'ok * fsync=defer' xattr get "$MNT/synced/data" sync
		is 'ok * user.msyncfs.advise user.msyncfs.sync user.other' \
			attribute list "$MNT/synced"
	fi
	as_user tar -C "$MNT/parent" --xattrs --xattrs-include='*' \
		-cf "$MNT/archive" .
	as_user mkdir "$MNT/unpacked"
	as_user tar -C "$MNT/unpacked" --xattrs --xattrs-include='*' \
		-xf "$MNT/archive"
	is 'ok * fsync=defer' xattr get "$MNT/unpacked/data" sync
	log_says 0
	after=$(stats_like '^sync\.explicit=')
	[[ -n $before ]]
	is "$before" echo "$after"
	as_user rm -r "$MNT/copy" "$MNT/synced" "$MNT/archive" "$MNT/unpacked"
}

# --- defaults ----------------------------------------------------------------

mount_options_are_the_defaults() {
	fresh default
	is random status "$MNT/default" advise
	is mount status "$MNT/default" advise.from
	is fsync=defer+every=5s status "$MNT/default" sync
	is mount status "$MNT/default" sync.from
	is chunk=1M status "$MNT/default" grow
	is builtin status "$MNT/default" append.from
	is 67108864 stats lock.limit
	is 'ok 0' attribute list "$MNT/default"
	is 'err ENODATA' xattr get "$MNT/default" sync
	is 'ok 0' xattr set "$MNT/default" sync strict
	is strict status "$MNT/default" sync
	is file status "$MNT/default" sync.from
	# One policy doesn't take parts of another's default.
	is 'ok 0' xattr set "$MNT/default" sync close
	is close status "$MNT/default" sync
	is 'ok 0' xattr remove "$MNT/default" sync
	is fsync=defer+every=5s status "$MNT/default" sync
	is mount status "$MNT/default" sync.from
}

bad_mount_options_are_named() {
	local option run bad=0
	run=$(mktemp -d "$BASE/options.XXXXXX")
	chmod 755 "$run"
	mkdir "$run/mnt"
	for option in sync=bogus advise=random+sequential sync=every=5 \
		lock-limit=much map=copied stage-limit=1 grow=max=; do
		if as_user timeout 20 "$MSYNCFS" -f -o "$option" "$STORE" \
			"$run/mnt" >"$run/out" 2>&1; then
			echo "$option was taken"
			bad=1
		fi
		grep -qF -- "${option%%=*}" "$run/out" ||
			{ echo "$option: $(<"$run/out")"; bad=1; }
		harness_is_mounted "$run/mnt" && bad=1
	done
	return "$bad"
}

# --- stores without room -----------------------------------------------------

# In memory they work as ever, until the mount ends.
policies_in_memory() {
	is 'ok 0' xattr set "$MNT/$1" sync manual
	is 'ok 0' xattr set "$MNT/$1" advise random
	is 'ok 11 fsync=defer' xattr get "$MNT/$1" sync
	is '* user.msyncfs.sync' attribute list "$MNT/$1"
	is '* user.msyncfs.advise *' attribute list "$MNT/$1"
	is fsync=defer status "$MNT/$1" sync
	is file status "$MNT/$1" sync.from
	is memory status "$MNT/$1" policies
	is 'err EEXIST' xattr set "$MNT/$1" sync strict create
	is 'ok 0' xattr set "$MNT/$1" sync relaxed replace
	is 'ok 0' xattr remove "$MNT/$1" advise
	is 'err ENODATA' xattr get "$MNT/$1" advise
	is 'err ENODATA' xattr remove "$MNT/$1" advise
	is 'err ENODATA' xattr set "$MNT/$1" advise random replace
	is builtin status "$MNT/$1" advise.from
	# Also when the kernel has forgotten the file in between.
	echo 2 >/proc/sys/vm/drop_caches
	is 'ok * fsync=defer+every=5s+close' xattr get "$MNT/$1" sync
	is 1 grep -c 'policy.*until the unmount' "$LOG"
}

a_store_without_user_attributes() {
	mkdir "$BASE/ramfs"
	mount -t ramfs none "$BASE/ramfs"
	STORE=$BASE/ramfs/store
	mkdir "$STORE"
	if setfattr -n user.x -v 1 "$STORE" 2>/dev/null; then
		echo "ramfs has user attributes here"
		exit 77
	fi
	mount_store
	fresh file
	policies_in_memory file
	as_user mkdir "$MNT/dir"
	is 'ok 0' xattr set "$MNT/dir" sync manual
	is memory status "$MNT/dir" policies
	as_user touch "$MNT/dir/new"
	is 'ok 11 fsync=defer' xattr get "$MNT/dir/new" sync
	is 'err EOPNOTSUPP' attribute set "$MNT/file" user.other 1
	is 1 grep -c 'policy.*until the unmount' "$LOG"
	unmount_store
	mount_store
	is 'err ENODATA' xattr get "$MNT/file" sync
	unmount_store
	umount "$BASE/ramfs"
}

# Fills what room the file has for attributes.
fill_attributes() {
	local size=4000 i=0
	while [[ $size -gt 0 ]]; do
		if attribute set "$1" "user.fill.$i" \
			"$(head -c "$size" /dev/zero | tr '\0' x)" \
			>/dev/null; then
			i=$((i + 1))
		else
			size=$((size / 2))
		fi
		[[ $i -lt 200 ]] || return 1
	done
}

a_file_without_room_for_attributes() {
	fresh full
	if ! fill_attributes "$STORE/full"; then
		unmount_store
		echo "n/a: attributes have no end here"
		exit 77
	fi
	is 'err E@(NOSPC|DQUOT|2BIG)' xattr set "$STORE/full" sync strict
	is 'ok 0' xattr set "$MNT/full" sync manual
	is 'ok 11 fsync=defer' xattr get "$MNT/full" sync
	is memory status "$MNT/full" policies
	is '* user.msyncfs.sync' attribute list "$MNT/full"
	is 1 grep -c 'policy.*until the unmount' "$LOG"
	# Others are kept as ever.
	fresh roomy
	is 'ok 0' xattr set "$MNT/roomy" sync manual
	is store status "$MNT/roomy" policies
	is 'ok *' xattr get "$STORE/roomy" sync
}

make_store || bail "no $FS store"

t each_policy_is_set_read_and_removed mounted each_policy_reads_back
t values_are_understood_in_any_spelling \
	mounted values_are_understood_in_any_spelling
t only_set_policies_are_listed mounted only_set_policies_are_listed
t the_root_s_statuses_are_not_listed mounted the_roots_own_are_not_listed
t XATTR_CREATE_and_XATTR_REPLACE_mean_what_they_say \
	mounted create_and_replace_mean_what_they_say
t sizes_can_be_asked_for_first mounted sizes_can_be_asked_for
t statuses_are_lines mounted statuses_are_lines
t bad_values_are_refused_and_logged_once mounted bad_values_are_refused
t unknown_names_have_no_data mounted unknown_names_have_no_data
t other_attributes_are_left_alone mounted other_attributes_pass
t actions_are_no_values mounted actions_are_no_values
t statuses_are_read_only mounted statuses_are_read_only
t wrong_kinds_of_files_are_refused mounted wrong_kinds_are_refused
if [[ $EUID -eq 0 && -z $AS_USER ]]; then
	t writers_may_set_and_readers_may_read \
		mounted writers_may_set_and_readers_may_read
else
	skip writers_may_set_and_readers_may_read "a second user needs root"
fi

t policies_live_in_the_store_file mounted policies_live_in_the_store_file
t a_bad_value_in_the_store_harms_nobody \
	mounted a_bad_value_in_the_store_harms_nobody
t new_files_take_their_directory_s_policies \
	mounted new_files_take_their_directorys_policies
t an_unnamed_file_takes_its_directory_s_policies \
	mounted an_unnamed_file_takes_its_directorys_policies
t policies_stay_when_files_move mounted policies_stay_when_files_move
t copies_take_the_directory_s_policies \
	mounted copies_take_the_directorys_policies
t copying_attributes_triggers_nothing \
	mounted copying_attributes_triggers_nothing
MOUNT_OPTIONS=advise=random,sync=fsync=defer+every=5s,grow=chunk=1M
MOUNT_OPTIONS+=,lock-limit=64M
t mount_options_are_the_defaults \
	mounted mount_options_are_the_defaults
MOUNT_OPTIONS=
t bad_mount_options_are_named bad_mount_options_are_named
t a_file_without_room_for_attributes_keeps_its_policies_in_memory \
	mounted a_file_without_room_for_attributes
t the_store_is_given_back drop_store

if [[ $EUID -eq 0 && -z $AS_USER ]]; then
	t a_store_without_user_attributes_keeps_policies_in_memory \
		a_store_without_user_attributes
else
	skip a_store_without_user_attributes_keeps_policies_in_memory \
		"a ramfs needs root"
fi
done_testing
