# SPDX-License-Identifier: Apache-2.0
#
# Completion of msyncctl and msyncfs for fish. Made by src/completions/generate
# from what the programs say of themselves; what the fields of the table are is
# said there.

set -g __msyncfs_table '@TABLE@'

# __msyncfs_rows KIND: the rows of that kind, without it.
function __msyncfs_rows
	string replace -rf "^$argv[1]\t" '' -- \
		(string split \n -- $__msyncfs_table)
end

# __msyncfs_list BEFORE LIST WORD...: BEFORE and LIST, which is joined by "+",
# with each of the words that are not in it in place of its last part.
function __msyncfs_list
	set -l head (string replace -r '[^+]*$' '' -- $argv[2])
	for word in $argv[3..]
		set -l key (string replace -r '=.*' '' -- $word)
		string match -qr -- "(^|\+)$key(\+|=)" "$head"
		or echo $argv[1]$head$word
	end
end

function __msyncfs_mountpoints
	string replace -rf '^(\S+ ){4}(\S+) .* - fuse\.msyncfs .*' '$2' \
		</proc/self/mountinfo | while read -l point
		printf '%b\n' $point
	end
end

# --- msyncctl ----------------------------------------------------------------

# The words before the cursor that are neither options nor their values.
function __msyncctl_words
	set -l words (commandline -opc)
	set -l takes (__msyncctl_options_with_value)
	set -l skip
	for word in $words[2..]
		if test -n "$skip"
			set skip
		else if contains -- $word $takes
			set skip 1
		else if not string match -q -- '-*' $word
			echo $word
		end
	end
end

function __msyncctl_options_with_value
	for row in (__msyncfs_rows option)
		set -l field (string split \t -- $row)
		string match -qr '^[A-Z]' -- $field[4]
		and string match -v -- - $field[2..3]
	end
end

function __msyncctl_verb_is
	set -l words (__msyncctl_words)
	test "$words[1]" = "$argv[1]"
end

# __msyncctl_attributes KIND...: those of these kinds.
function __msyncctl_attributes
	for row in (__msyncfs_rows attribute)
		set -l field (string split \t -- $row)
		contains -- $field[2] $argv
		and echo $field[1]
	end
end

# __msyncctl_values NAME: words that can be its value.
function __msyncctl_values
	for row in (__msyncfs_rows attribute)
		set -l field (string split \t -- $row)
		test $field[1] = $argv[1]
		and string split ' ' -- $field[3]
	end
end

# Attributes that a verb can name.
function __msyncctl_names
	switch $argv[1]
		case get
			__msyncctl_attributes policy status
		case set
			__msyncctl_attributes policy action
		case '*'
			__msyncctl_attributes policy
	end
end

# __msyncctl_assignments NAME...: "NAME=", or behind that its value.
function __msyncctl_assignments
	set -l token (commandline -ct)
	if string match -q -- '*=*' $token
		set -l part (string split -m 1 = -- $token)
		__msyncfs_list $part[1]= "$part[2]" \
			(__msyncctl_values $part[1])
	else
		printf '%s=\n' $argv
	end
end

# The fields of the verb's row "argument": FIRST REQUIRED MANY REST.
function __msyncctl_argument
	for row in (__msyncfs_rows argument)
		set -l field (string split \t -- $row)
		test $field[1] = "$argv[1]"
		and string join \n -- $field[2..]
	end
end

# What comes before the files.
function __msyncctl_first
	set -l words (__msyncctl_words)
	set -l verb $words[1]
	set -l before $words[2..]
	set -l argument (__msyncctl_argument $verb)
	test "$argument[3]" = yes -o (count $before) -eq 0
	or return
	set -l names (__msyncctl_names $verb)
	switch "$argument[1]"
		case NAME
			for word in $before
				contains -- $word $names
				or return
			end
			string join \n -- $names
		case 'NAME=VALUE'
			string match -qv -- '*=*' $before
			and return
			__msyncctl_assignments $names
		case ADVICE
			__msyncfs_list '' (commandline -ct) \
				(__msyncctl_values advise.now)
		case VERB
			string replace -r '\t.*' '' -- (__msyncfs_rows verb)
			echo attributes
		case - ''
		case '*'
			string split ' ' -- $argument[1]
	end
end

# __msyncctl_wants KIND: FILE, MOUNTPOINT or STORE can be next.
function __msyncctl_wants
	set -l words (__msyncctl_words)
	set -l argument (__msyncctl_argument "$words[1]")
	contains -- $argv[1] (string split ' ' -- "$argument[4]")
	and test "$argument[2]" = no -o (count $words) -gt 1
end

complete -c msyncctl -e
complete -c msyncctl -f
for row in (__msyncfs_rows verb)
	set -l field (string split \t -- $row)
	complete -c msyncctl -n 'test -z "$(__msyncctl_words)"' \
		-a $field[1] -d $field[2]
end
complete -c msyncctl -n 'test -n "$(__msyncctl_words)"' -a '(__msyncctl_first)'
complete -c msyncctl -n '__msyncctl_wants FILE' -F
complete -c msyncctl -n '__msyncctl_wants MOUNTPOINT' \
	-a '(__msyncfs_mountpoints)'
complete -c msyncctl -n '__msyncctl_wants STORE' \
	-a '(__fish_complete_directories)'
for row in (__msyncfs_rows option)
	set -l field (string split \t -- $row)
	set -l option -d $field[6]
	switch $field[1]
		case '\*'
		case -
			set -a option -n 'test -z "$(__msyncctl_words)"'
		case '*'
			set -a option -n "__msyncctl_verb_is $field[1]"
	end
	test $field[2] = -
	or set -a option -s (string sub -s 2 -- $field[2])
	test $field[3] = -
	or set -a option -l (string sub -s 3 -- $field[3])
	if string match -qr '^[A-Z]' -- $field[4]
		set -a option -x
		test $field[5] = -
		or set -a option -a $field[5]
	end
	complete -c msyncctl $option
end

# --- msyncfs -----------------------------------------------------------------

# The last of the options that the token joins by commas.
function __msyncfs_mount_options
	set -l token (commandline -ct)
	set -l head (string replace -r '[^,]*$' '' -- $token)
	set -l one (string replace -r '.*,' '' -- $token)
	set -l part (string split -m 1 = -- $one)
	for row in (__msyncfs_rows mount)
		set -l field (string split \t -- $row)
		if not string match -q -- '*=*' $one
			test $field[2] = -
			or set field[1] $field[1]=
			printf '%s\t%s\n' $head$field[1] $field[3]
		else if test $field[1] = $part[1] -a $field[2] != -
			set -l words (string split ' ' -- $field[2])
			__msyncfs_list $head$part[1]= "$part[2]" \
				(string match -r '^[a-z].*' -- $words) |
				string replace -r '$' \t$field[3]
			contains FILE $words
			and printf '%s\n' $head$part[1]=(
				__fish_complete_path $part[2] |
				string replace -r '\t.*' '')
		end
	end
end

complete -c msyncfs -e
complete -c msyncfs -f -a '(__fish_complete_directories)'
for row in (__msyncfs_rows flag)
	set -l field (string split \t -- $row)
	set -l option -d $field[4]
	test $field[1] = -
	or set -a option -s (string sub -s 2 -- $field[1])
	test $field[2] = -
	or set -a option -l (string sub -s 3 -- $field[2])
	test $field[3] = -
	or set -a option -x -a '(__msyncfs_mount_options)'
	complete -c msyncfs $option
end
