#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# What bash, zsh and fish offer behind msyncctl and msyncfs, each asked the way
# it asks itself: everything that --help has and nothing else, and what fits
# where the cursor is.

# shellcheck source=tests/lib/harness.sh
. "$(dirname "$0")/../lib/harness.sh"

BUILD=$(dirname "$(readlink -f "$MSYNCFS")")
MSYNCCTL=${MSYNCCTL:-$BUILD/msyncctl/msyncctl}
MADE=$BUILD/completions
ASK=$SRCDIR/tests/install/lib
bash_functions=/usr/share/bash-completion/bash_completion

# --- asking ------------------------------------------------------------------

# ask SHELL: lines to complete on standard input; where there is one mount, and
# the working directory has store/, others/, files.db and "final cut".
ask() {
	cd "$BASE/work" || return 1
	case $1 in
	bash) bash "$ASK/complete.bash" "$MADE/msyncfs" "$bash_functions" ;;
	'bash alone') bash "$ASK/complete.bash" "$MADE/msyncfs" '' ;;
	fish) HOME=$BASE/home fish --no-config "$ASK/complete.fish" \
		"$MADE/msyncfs.fish" ;;
	zsh)
		rm -rf "$BASE/zsh" && mkdir "$BASE/zsh" || return 1
		HOME=$BASE/home TERM=dumb zsh -f "$ASK/complete.zsh" \
			"$BASE/functions" "$BASE/zsh"
		;;
	esac
}

# What is offered for a line may end in what the shell adds by itself: "/"
# after a directory, "=" where an option wants a value.
tidy() {
	local line words
	while IFS=$'\t' read -r line words; do
		# shellcheck disable=SC2086
		printf '%s\t%s\n' "$line" "$(printf '%s\n' $words |
			sed -E 's|([^/])/$|\1|; s/^(--.*)=$/\1/' | sort -u |
			paste -s -d ' ')"
	done
}

# --- what fits ---------------------------------------------------------------

# A line, a tab, and all that is offered, sorted.
wanted() {
	local tab=$'\t'
	cat <<-TEXT
		msyncctl re${tab}recover residency
		msyncctl --json do${tab}doctor
		msyncctl help attr${tab}attributes
		msyncctl help un${tab}unset
		msyncctl get resid${tab}residency residency.map
		msyncctl unset sync${tab}sync
		msyncctl set discard${tab}discard.now=
		msyncctl set map=${tab}map=private map=shared map=staged
		msyncctl set sync=fs${tab}sync=fsync=defer sync=fsync=group: sync=fsync=honor
		msyncctl set sync=fsync=defer+ev${tab}sync=fsync=defer+every=
		msyncctl set sync=close+every=2s+cl${tab}
		msyncctl set -R sync=close gr${tab}grow=
		msyncctl set sync=close fil${tab}files.db
		msyncctl set fil${tab}
		msyncctl advise popu${tab}populate-read populate-write
		msyncctl advise cold+page${tab}cold+pageout
		msyncctl advise cold fil${tab}files.db
		msyncctl lock on${tab}on onfault
		msyncctl lock onfault o${tab}others
		msyncctl sync --inv${tab}--invalidate
		msyncctl top --sort=${tab}--sort=dirty --sort=requests --sort=sync
		msyncctl top -s dir${tab}dirty
		msyncctl top -s dirty $BASE/run${tab}$MNT
		msyncctl stats $BASE/run${tab}$MNT
		msyncctl journal ${tab}others store
		msyncctl recover -n st${tab}store
		msyncfs --disc${tab}--discard-journal
		msyncfs -o thr${tab}threads=
		msyncfs -o data=${tab}data=auto data=daemon data=kernel
		msyncfs -o ro,log=sy${tab}ro,log=syslog
		msyncfs -o log=fil${tab}log=files.db
		msyncfs -o ro,advise=random+huge${tab}ro,advise=random+hugepage
		msyncfs -o noallow_o${tab}noallow_other
		msyncfs -f -o ro ${tab}others store
		msyncfs store oth${tab}others
	TEXT
}

each_offers_what_fits() {
	diff <(wanted) <(wanted | cut -f 1 | ask "$1" | tidy)
}

a_name_with_a_blank_is_one_file() {
	local said
	said=$(ask "$1" <<<'msyncctl status fin')
	[[ $said == *$'\t'*final*cut* ]] || {
		echo "$said"
		return 1
	}
}

# --- everything and nothing else ---------------------------------------------

verbs() {
	"$MSYNCCTL" --help | awk '
		/^[^ ]/ { on = /^Verbs:/ }
		on && /^  [a-z]/ { print $1 }'
}

# Options at the beginning of lines: "-R, --recursive", "--range=RANGE".
options_in_help() {
	grep -E '^  -' | grep -oE -- '(^  |, )-{1,2}[A-Za-z-]+' |
		grep -oE -- '-.*'
}

policies() {
	"$MSYNCCTL" help attributes | sed -nE 's/^([a-z.]+) \(policy .*/\1/p'
}

mount_options() {
	"$MSYNCFS" --help | awk '
		/^[^ ]/ {
			flags = /^Mount flags/
			on = /^Mount options/ || /^Policies/ || on &&
				/^msyncfs-xattr/
		}
		/^  [^ ]/ && (on || flags) {
			sub(/^  /, "")
			if (on)
				sub(/ .*/, "")
			if (/\[no\]/) {
				sub(/\[no\]/, "")
				print "no" $1
			}
			if (on)
				sub(/=.*/, "=")
			gsub(/[ |]+/, "\n")
			print
		}'
}

# Lines as in wanted(), from what the programs say.
all_there_is() {
	local verb common
	printf 'msyncctl \t%s\n' "$(verbs | words)"
	common=$("$MSYNCCTL" --help |
		awk '/^[^ ]/ { on = /^Options of/ } on' | options_in_help)
	for verb in $(verbs); do
		[[ $verb != help ]] || continue
		printf 'msyncctl %s -\t%s\n' "$verb" "$({
			"$MSYNCCTL" "$verb" --help | options_in_help
			echo "$common"
		} | words)"
	done
	printf 'msyncctl unset \t%s\n' "$(policies | words)"
	printf 'msyncfs -\t%s\n' "$("$MSYNCFS" --help |
		sed '/^Mount options/q' | options_in_help | words)"
	printf 'msyncfs -o \t%s\n' "$(mount_options | words)"
}

words() { sort -u | paste -s -d ' '; }

each_offers_all_there_is_and_nothing_else() {
	[[ $(all_there_is | wc -l) -ge 16 &&
		$(mount_options | wc -l) -gt 40 ]] || {
		echo "hardly anything found in --help:"
		all_there_is
		return 1
	}
	diff <(all_there_is) <(all_there_is | cut -f 1 | ask "$1" | tidy)
}

# --- all of them -------------------------------------------------------------

made_is_as_the_shells_want_it() {
	bash -n "$MADE/msyncfs" && zsh -f -n "$MADE/_msyncfs" &&
		fish --no-execute "$MADE/msyncfs.fish" &&
		! grep -l '@TABLE@' "$MADE/msyncfs" "$MADE/_msyncfs" \
			"$MADE/msyncfs.fish"
}

# What the generator can't make sense of must not be passed over in silence.
the_generator_refuses_what_it_does_not_understand() {
	local said
	cat >"$BASE/msyncctl" <<-TEXT
		#!/bin/sh
		"$MSYNCCTL" "\$@" | sed '1s/FILE\.\.\./THING.../'
	TEXT
	chmod +x "$BASE/msyncctl"
	! said=$("$SRCDIR/src/completions/generate" \
		"$SRCDIR/src/completions/msyncfs.bash" "$MSYNCFS" \
		"$BASE/msyncctl" 2>&1 >/dev/null) || {
		echo "THING was accepted"
		return 1
	}
	[[ $said == *'"[-R]'*THING*'not known'* ]] || {
		echo "$said"
		return 1
	}
}

[[ -f $MADE/msyncfs ]] ||
	bail "no completions in $MADE: build without a sanitizer first"
mkdir "$BASE/work" "$BASE/functions" "$BASE/home" 2>/dev/null
mkdir "$BASE/work/store" "$BASE/work/others"
touch "$BASE/work/files.db" "$BASE/work/final cut"
cp "$MADE/_msyncfs" "$BASE/functions/"
make_store && mount_store || bail "no mount"

for shell in bash zsh fish; do
	if ! command -v "$shell" >/dev/null; then
		skip "$shell offers what fits" "$shell is not installed"
		continue
	fi
	[[ $shell != bash ]] || [[ -f $bash_functions ]] || {
		skip "bash offers what fits" "bash-completion is not installed"
		continue
	}
	t "$shell offers what fits" each_offers_what_fits "$shell"
	t "$shell offers all there is and nothing else" \
		each_offers_all_there_is_and_nothing_else "$shell"
	t "a name with a blank is one file for $shell" \
		a_name_with_a_blank_is_one_file "$shell"
done
t "bash without bash-completion offers what fits" \
	each_offers_what_fits 'bash alone'
if command -v zsh >/dev/null && command -v fish >/dev/null; then
	t "what is made is as the shells want it" made_is_as_the_shells_want_it
else
	skip "what is made is as the shells want it" "no zsh or no fish"
fi
t "the generator refuses what it does not understand" \
	the_generator_refuses_what_it_does_not_understand
done_testing
