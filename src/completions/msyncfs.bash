# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# Completion of msyncctl and msyncfs for bash. Made by src/completions/generate
# from what the programs say of themselves; what the fields of the table are is
# said there. bash-completion is used where it is there, and not needed.

_msyncfs_table='@TABLE@'

# Sets words and cur: the words up to the cursor. Those of bash are cut at each
# of COMP_WORDBREAKS, "=" and ":" among them.
_msyncfs_words() {
	local line=${COMP_LINE:0:COMP_POINT} part i
	words=()
	for ((i = 0; i <= COMP_CWORD; i++)); do
		part=${COMP_WORDS[i]}
		if [[ $i -eq 0 || $line == [[:blank:]]* ]]; then
			words+=('')
			line=${line#"${line%%[![:blank:]]*}"}
		fi
		[[ ${#part} -le ${#line} ]] || part=$line
		words[-1]+=$part
		line=${line#"$part"}
	done
	cur=${words[-1]}
}

# Not in a completion, as in a test, compopt fails.
_msyncfs_option() { compopt -o "$1" 2>/dev/null || :; }

# _msyncfs_offer BEFORE WORD...: each word as BEFOREWORD, if that goes on from
# cur. What bash gets begins where it has cut the last word.
_msyncfs_offer() {
	local before=$1 cut=${cur%"${cur##*["$COMP_WORDBREAKS"]}"} word
	shift
	for word; do
		word=$before$word
		[[ $word == "$cur"* ]] || continue
		COMPREPLY+=("${word#"$cut"}")
		[[ $word != *[=:] ]] || _msyncfs_option nospace
	done
}

# _msyncfs_list BEFORE LIST WORD...: the next of LIST, which is joined by "+",
# is a word that isn't in it.
_msyncfs_list() {
	local before=$1 head=${2%"${2##*+}"} word
	local -a left=()
	shift 2
	for word; do
		[[ +$head == *"+${word%%=*}"[+=]* ]] || left+=("$word")
	done
	_msyncfs_offer "$before$head" "${left[@]}"
}

# _msyncfs_files [-d]: files, or directories only, behind the last "=" of cur.
_msyncfs_files() {
	local cur=${cur##*=} file
	if declare -F _filedir >/dev/null; then
		_filedir "$@"
		return
	fi
	_msyncfs_option filenames
	while IFS= read -r file; do
		COMPREPLY+=("$file")
	done < <(compgen "${1:--f}" -- "$cur")
}

_msyncfs_mountpoints() {
	local point rest
	while read -r _ _ _ _ point rest; do
		[[ $rest == *' - fuse.msyncfs '* ]] || continue
		printf -v point %b "$point"
		[[ $point != "$cur"* ]] || COMPREPLY+=("$point")
	done </proc/self/mountinfo
	_msyncfs_option filenames
}

# --- msyncctl ----------------------------------------------------------------

# What the table has for the verb: fills the arrays of _msyncctl.
_msyncctl_read() {
	local kind a b c d e f option
	while IFS=$'\t' read -r kind a b c d e f; do
		case $kind in
		verb) verbs+=("$a") ;;
		attribute)
			attribute_kind[$a]=$b
			attribute_words[$a]=${c#-}
			;;
		argument)
			[[ $a != "$verb" ]] || argument=("$b" "$c" "$d" "$e")
			;;
		option)
			[[ $a == "$verb" || $a == '*' ||
				-z $verb && $a == - ]] || continue
			for option in "$b" "$c"; do
				[[ $option != - ]] || continue
				options+=("$option")
				takes[$option]=${d#-}
				option_words[$option]=${e#-}
			done
			;;
		esac
	done <<<"$_msyncfs_table"
}

# _msyncctl_names KIND...: attributes of these kinds.
_msyncctl_names() {
	local name
	for name in "${!attribute_kind[@]}"; do
		[[ " $* " != *" ${attribute_kind[$name]} "* ]] || echo "$name"
	done
}

# Sets before: the words before cur that are neither options nor their values,
# without the verb.
_msyncctl_before() {
	local i word
	before=()
	for ((i = 1; i < ${#words[@]} - 1; i++)); do
		word=${words[i]}
		if [[ $word == -- ]]; then
			ended=1
		elif [[ $word == -* && -z $ended ]]; then
			[[ -z ${takes[$word]-} || ${takes[$word]} == \[* ]] ||
				i=$((i + 1))
		else
			before+=("$word")
		fi
	done
	before=("${before[@]:1}")
}

# _msyncctl_first WORD: it is one of those that come before the files.
_msyncctl_first() {
	case ${argument[0]} in
	NAME) [[ -n ${attribute_kind[$1]-} ]] ;;
	NAME=VALUE) [[ $1 == *=* ]] ;;
	ADVICE) true ;;
	*) [[ " ${argument[0]} " == *" $1 "* ]] ;;
	esac
}

_msyncctl_offer_first() {
	local name=${cur%%=*} kinds=policy
	local -a names
	[[ $verb != get ]] || kinds='policy status'
	[[ $verb != set ]] || kinds='policy action'
	# shellcheck disable=SC2086
	mapfile -t names < <(_msyncctl_names $kinds)
	# shellcheck disable=SC2086
	case ${argument[0]} in
	NAME) _msyncfs_offer '' "${names[@]}" ;;
	NAME=VALUE)
		if [[ $cur == *=* ]]; then
			_msyncfs_list "$name=" "${cur#*=}" \
				${attribute_words[$name]-}
		else
			_msyncfs_offer '' "${names[@]/%/=}"
		fi
		;;
	ADVICE) _msyncfs_list '' "$cur" ${attribute_words[advise.now]} ;;
	VERB) _msyncfs_offer '' "${verbs[@]}" attributes ;;
	*) _msyncfs_offer '' ${argument[0]} ;;
	esac
}

_msyncctl_argument() {
	local first=1 word kind
	for word in "${before[@]}"; do
		_msyncctl_first "$word" || first=
	done
	[[ ${argument[2]} == yes || ${#before[@]} -eq 0 ]] || first=
	[[ -z $first || ${argument[0]} == - ]] || _msyncctl_offer_first
	[[ ${argument[1]} == no || ${#before[@]} -gt 0 ]] || return
	for kind in ${argument[3]}; do
		case $kind in
		FILE) _msyncfs_files ;;
		MOUNTPOINT) _msyncfs_mountpoints ;;
		STORE) _msyncfs_files -d ;;
		esac
	done
}

_msyncctl_options() {
	local option
	for option in "${options[@]}"; do
		[[ $option != --* || -z ${takes[$option]} ||
			${takes[$option]} == \[* ]] || option+='='
		_msyncfs_offer '' "$option"
	done
}

_msyncctl() {
	local cur verb= ended= last word
	local -a words verbs=() options=() argument=(- no no -) before
	local -A takes=() option_words=() attribute_kind=() attribute_words=()
	COMPREPLY=()
	_msyncfs_words
	for word in "${words[@]:1:${#words[@]}-2}"; do
		[[ $word == -* ]] || { verb=$word && break; }
	done
	_msyncctl_read
	_msyncctl_before
	last=${words[-2]}
	# shellcheck disable=SC2086
	if [[ -z $ended && $cur == --*=* ]]; then
		_msyncfs_offer "${cur%%=*}=" ${option_words[${cur%%=*}]-}
	elif [[ -z $ended && -n ${takes[$last]-} && ${takes[$last]} != \[* ]]
	then
		_msyncfs_offer '' ${option_words[$last]}
	elif [[ -z $ended && $cur == -* ]]; then
		_msyncctl_options
	elif [[ -z $verb ]]; then
		_msyncfs_offer '' "${verbs[@]}"
	else
		_msyncctl_argument
	fi
}

# --- msyncfs -----------------------------------------------------------------

# The last of the options that cur joins by commas.
_msyncfs_mount_options() {
	local head=${cur%"${cur##*,}"} one=${cur##*,} kind name words rest
	_msyncfs_option nospace
	while IFS=$'\t' read -r kind name words rest; do
		[[ $kind == mount ]] || continue
		if [[ $one != *=* ]]; then
			[[ $words == - ]] || name+='='
			_msyncfs_offer "$head" "$name"
		elif [[ $name == "${one%%=*}" && $words != - ]]; then
			[[ " $words " != *' FILE '* ]] || _msyncfs_files
			words=" $words "
			# What is in capitals stands for something.
			# shellcheck disable=SC2046
			_msyncfs_list "$head$name=" "${one#*=}" \
				$(tr ' ' '\n' <<<"$words" | grep '^[a-z]')
		fi
	done <<<"$_msyncfs_table"
}

_msyncfs() {
	local cur kind short long value help
	local -a words
	COMPREPLY=()
	_msyncfs_words
	if [[ ${words[-2]} == -o ]]; then
		_msyncfs_mount_options
	elif [[ $cur == -* ]]; then
		while IFS=$'\t' read -r kind short long value help; do
			[[ $kind == flag ]] || continue
			[[ $short == - ]] || _msyncfs_offer '' "$short"
			[[ $long == - ]] || _msyncfs_offer '' "$long"
		done <<<"$_msyncfs_table"
	else
		_msyncfs_files -d
	fi
}

complete -F _msyncctl msyncctl
complete -F _msyncfs msyncfs
