# SPDX-License-Identifier: Apache-2.0
#
# zsh -f complete.zsh DIRECTORY SCRATCH: completes each line of standard input
# by the functions in DIRECTORY, and prints "LINE<tab>WORD WORD...". There is no
# completion without a terminal: an interactive zsh gets a pseudo-terminal, and
# its compadd writes down what it is given.
zmodload zsh/zpty || exit 1
export FUNCTIONS=$1 WORDS=$2/words

cat >$2/setup.zsh <<'SETUP'
PROMPT= PS2= RPROMPT=
fpath=($FUNCTIONS $fpath)
autoload -Uz compinit
compinit -D -u
bindkey '^I' complete-word
bindkey '^U' kill-whole-line
# zsh forgets it after each time.
finish() { print >>$WORDS; comppostfuncs=(finish) }
comppostfuncs=(finish)
compadd() {
	local -a hits before after
	local hit
	# Where only an array is filled nothing is offered.
	if [[ ${@[1,(i)(-|--)]} != *-(O|A|D)\ * ]]; then
		builtin compadd -A hits "$@"
		zparseopts -E P:=before S:=after
		for hit in $hits; do
			print -rn -- "$IPREFIX$before[2]$hit$after[2] "
		done >>$WORDS
	fi
	builtin compadd "$@"
}
SETUP

# wait_for COMMAND...: a minute at the most.
wait_for() {
	local i
	for ((i = 0; i < 1200; i++)); do
		"$@" && return
		# What zsh echoes has to go somewhere.
		zpty -r -t shell reply
		sleep 0.05
	done
	print -u 2 "zsh does not answer: $reply"
	exit 1
}

lines() { [[ $(wc -l <$WORDS) -gt $1 ]]; }

: >$WORDS
zpty shell zsh -f -i
zpty -w shell ". ${(q)2}/setup.zsh; print >>\$WORDS"
wait_for lines 0
count=1
while IFS= read -r line; do
	zpty -n -w shell $'\x15'"$line"$'\t'
	wait_for lines $count
	printf '%s\t%s\n' "$line" "$(sed -n "$((count + 1))p" $WORDS)"
	count=$((count + 1))
done
