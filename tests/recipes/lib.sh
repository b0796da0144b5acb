# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# A recipe of docs/recipes is tested by following it: the commands that a user
# would paste are taken out of the document and run, on a machine where
# msyncfs is installed (tests/lib/installed.sh). So a document can't go stale,
# and what it promises is looked at by its test, tests/recipes/NAME.sh:
#
#	source "$(dirname "$0")/lib.sh"
#	recipe NAME COMMAND...	docs/recipes/NAME.md; what it needs installed
#		besides msyncfs. /etc, /home, /run and /var are the test's own,
#		at /srv is an empty ext4 file system on a disk of its own
#	prepared() {			a case, run as one of tap.sh
#		run_block "Setting up"
#		install_block "Setting up" /etc/fstab
#		...look...
#	}
#	t the_steps_work prepared
#	recipe_done		a last case: every step of the document was run
#
# Code blocks say what they are. ```sh is run, ```fstab is a line for a file
# (install_block): each of these must have been used. ```ini, ```conf, ```sql,
# ```python are for reading, or for install_block as well; ```text is what
# something prints.
#
#	run_block HEADING	runs all sh blocks between the heading HEADING
#		(of any level, without its #) and the next one, in /srv, as one
#		script of bash -eu with a user's PATH. What it printed is in
#		RECIPE_OUT; a command that fails is told with its line in the
#		document. Nothing is carried over to the next run_block but
#		what is on the disks
#	install_block HEADING FILE [MODE]	appends the blocks of another
#		language below HEADING to FILE
#	disk_at DIRECTORY [SIZE]	one more ext4 disk (2G), mounted there
#	disk_stat DIRECTORY sectors|writes|flushes	what the disk of that
#		directory has been asked for so far, by /sys/block: take
#		differences. A sector is 512 bytes. What the kernel still holds
#		back isn't in it: sync -f DIRECTORY before
#	daemon_of MOUNTPOINT	prints the pid of the daemon
#	kill_daemon MOUNTPOINT	SIGKILL, and waits for its end. The mount stays
#		and answers ENOTCONN
#	stat_of MOUNTPOINT KEY	a key of the mount's stats
#	tell WORDS...		a remark in the test's output, for figures

# shellcheck source=tests/lib/harness.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/harness.sh"
# shellcheck source=tests/lib/installed.sh
source "$SRCDIR/tests/lib/installed.sh"

RECIPE=
RECIPE_OUT=$BASE/recipe.out
recipe_used=$BASE/recipe.used
recipe_told=$BASE/recipe.told
mkdir "$BASE/blocks"
: >"$recipe_used"
: >"$recipe_told"

recipe_cleanup() {
	[[ $BASHPID == "$harness_shell" ]] || return
	tap_end_case
	uninstall_system
	harness_cleanup
}
trap recipe_cleanup EXIT

recipe() {
	local command
	RECIPE=$SRCDIR/docs/recipes/$1.md
	shift
	[[ $EUID -eq 0 && -z $AS_USER ]] || skip_all "n/a: recipes are root's"
	[[ -z $SANITIZER ]] || skip_all "n/a: recipes are for released builds"
	[[ -f $RECIPE ]] || bail "no $RECIPE"
	for command; do
		[[ -n $(type -P "$command") ]] ||
			skip_all "$command is not installed"
	done
	{ install_system /etc /home /var && disk_at /srv; } >"$tap_output" 2>&1 ||
		bail "no installed system: $(tail -n 1 "$tap_output")"
}

# --- the document ------------------------------------------------------------

# recipe_lines HEADING|'' sh|other: the lines of such blocks under HEADING, or
# in all of the document: NUMBER LANGUAGE TEXT.
recipe_lines() {
	HEADING=$1 KIND=$2 awk '
		BEGIN { here = ENVIRON["HEADING"] == "" }
		/^```/ {
			inside = !inside
			language = substr($0, 4)
			if (inside && language == "") {
				print "line " FNR ": code of what language?"
				exit 1
			}
			next
		}
		!inside && /^#+ / && ENVIRON["HEADING"] != "" {
			title = $0
			sub(/^#+ +/, "", title)
			here = title == ENVIRON["HEADING"]
		}
		inside && here && language != "text" &&
			(ENVIRON["KIND"] == "sh") == (language == "sh") {
			print FNR, language, $0
		}' "$RECIPE"
}

# recipe_take HEADING KIND: those lines into $BASE/lines; there must be some.
recipe_take() {
	recipe_lines "$1" "$2" >"$BASE/lines" ||
		{ tail -n 1 "$BASE/lines"; return 1; }
	[[ -s $BASE/lines ]] || {
		echo "${RECIPE##*/} has no block of $2 under \"$1\""
		return 1
	}
	cut -d ' ' -f 1 "$BASE/lines" >>"$recipe_used"
}

# A script whose lines have the numbers that they have in the document.
run_block() {
	local script=$BASE/blocks/${RECIPE##*/} status=0
	recipe_take "$1" sh || return 1
	{
		# shellcheck disable=SC2016
		echo 'set -E; trap '\''echo "line $LINENO: $BASH_COMMAND"'\'' ERR'
		awk 'BEGIN { at = 2 }
			{
				for (; at < $1; at++)
					print ""
				sub(/^[0-9]+ [^ ]+ /, "")
				print
				at++
			}' "$BASE/lines"
	} >"$script"
	(
		cd /srv && exec env -i HOME=/root USER=root LOGNAME=root \
			LANG=C.UTF-8 TERM=dumb CI="${CI:-}" \
			PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin \
			bash -eu "$script"
	) >"$RECIPE_OUT" 2>&1 </dev/null || status=$?
	cat "$RECIPE_OUT"
	[[ $status -eq 0 ]] || {
		echo "${RECIPE##*/}: \"$1\" failed with status $status"
		return 1
	}
}

install_block() {
	recipe_take "$1" other || return 1
	mkdir -p "$(dirname "$2")"
	sed -E 's/^[0-9]+ [^ ]+ //' "$BASE/lines" >>"$2"
	[[ $# -lt 3 ]] || chmod "$3" "$2"
}

every_step_was_run() {
	local number language text bad=0
	if ! { recipe_lines '' sh && recipe_lines '' other; } >"$BASE/lines"
	then
		tail -n 1 "$BASE/lines"
		return 1
	fi
	while read -r number language text; do
		[[ $language == sh || $language == fstab ]] || continue
		grep -qx "$number" "$recipe_used" && continue
		echo "${RECIPE##*/}:$number was not run: $text"
		bad=1
	done <"$BASE/lines"
	[[ -s $recipe_used ]] || {
		echo "nothing of ${RECIPE##*/} was run"
		return 1
	}
	return "$bad"
}

recipe_done() {
	[[ ! -s $recipe_told ]] || sed 's/^/# /' "$recipe_told"
	t every_step_of_the_document_was_run every_step_was_run
	done_testing
}

tell() {
	echo "$*" | tee -a "$recipe_told"
}

# --- disks -------------------------------------------------------------------

# The inode tables are written by mkfs or never: not behind the back of a test
# that counts. As with the directories of installed.sh, the test's own files
# stay where they are.
disk_at() {
	local image node at status=0
	image=$(mktemp "$BASE/disk.XXXXXX") && at=$(mktemp -d "$BASE/at.XXXXXX") &&
		truncate -s "${2:-2G}" "$image" && mkfs.ext4 -q -F "$image" &&
		node=$(harness_loop "$image") && mkdir -p "$1" || return 1
	mount -t ext4 -o noinit_itable "$node" "$at" || status=$?
	# While mounted this only marks it to be freed at the last close.
	losetup -d "$node"
	[[ $status -eq 0 ]] && installed_keep "$1" "$at" &&
		mount --move "$at" "$1"
}

# /sys/block/*/stat: 5 writes, 7 sectors written, 16 flushes (Linux 5.5).
disk_stat() {
	local node field
	case $2 in
	writes) field=5 ;;
	sectors) field=7 ;;
	flushes) field=16 ;;
	*) return 2 ;;
	esac
	node=$(findmnt -n -o SOURCE -T "$1") || return 1
	awk -v field="$field" '{ print $field }' "/sys/block/${node##*/}/stat"
}

# --- the daemon --------------------------------------------------------------

# In a process namespace of our own all that there are are ours.
daemon_of() {
	local dir point=$1
	local -a words
	for dir in /proc/[0-9]*; do
		mapfile -d '' -t words <"$dir/cmdline" || continue
		[[ ${words[0]:-} =~ (^|/)(mount\.)?msyncfs$ &&
			" ${words[*]} " == *" $point "* ]] || continue
		echo "${dir#/proc/}"
		return
	done 2>/dev/null
	echo "no daemon serves $point" >&2
	return 1
}

kill_daemon() {
	local pid
	pid=$(daemon_of "$1") || return 1
	kill -KILL "$pid" && wait_until 20 daemon_is_gone "$pid"
}

daemon_is_gone() {
	! grep -qsv '^State:.*Z' <(grep -s '^State:' "/proc/$1/status")
}

stat_of() {
	getfattr --absolute-names --only-values -n user.msyncfs.stats "$1" |
		sed -n "s/^${2//./\\.}=//p"
}
