# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# bash complete.bash FILE PLAIN: completes each line of standard input by what
# FILE says, and prints "LINE<tab>WORD WORD..." with whole words, as other
# shells have them. PLAIN is empty or the way to bash-completion's functions.

# shellcheck source=/dev/null
[[ -z $2 ]] || . "$2"
# shellcheck source=/dev/null
. "$1"
# What an interactive bash has.
COMP_WORDBREAKS=$' \t\n"\'@><=;|&(:'

# Sets COMP_WORDS as bash does: cut at blanks, and runs of "=", ":" and "@"
# are words.
cut_words() {
	local rest=$1
	COMP_WORDS=()
	while [[ -n $rest ]]; do
		if [[ $rest =~ ^' '+ ]]; then
			:
		elif [[ $rest =~ ^[=:@]+ || $rest =~ ^[^\ =:@]+ ]]; then
			COMP_WORDS+=("${BASH_REMATCH[0]}")
		fi
		rest=${rest:${#BASH_REMATCH[0]}}
	done
	[[ $1 != *' ' ]] || COMP_WORDS+=('')
	COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
}

while IFS= read -r line; do
	COMP_LINE=$line COMP_POINT=${#line}
	cut_words "$line"
	word=${line##* }
	command=${line%% *}
	COMPREPLY=()
	function=$(complete -p "$command") || exit 1
	function=${function##*-F }
	"${function%% *}" "$command" "${COMP_WORDS[-1]}" "${COMP_WORDS[-2]}"
	cut=${word%"${word##*[=:@]}"}
	printf '%s\t%s\n' "$line" "${COMPREPLY[*]/#/$cut}"
done
