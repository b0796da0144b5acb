# SPDX-License-Identifier: Apache-2.0
#
# fish complete.fish FILE: completes each line of standard input by what FILE
# says, and prints "LINE<tab>WORD WORD...".
source $argv[1]
while read -l line
	printf '%s\t%s\n' $line "$(complete -C $line |
		string replace -r '\t.*' '' | string join ' ')"
end
