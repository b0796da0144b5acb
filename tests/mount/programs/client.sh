# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# step_client's driver: programs that hold files open while the test does
# something else, and never hang it.
#
#	client_new [COMMAND...]	starts one, sets CLIENT (a number)
#	ask N LINE...		sends a line to client N, sets REPLY; a reply
#				that takes longer than ASK_LIMIT is TIMEOUT
#	tell N LINE... / reply N	the same in two steps
#	expect N PATTERN LINE...	asks; fails unless REPLY matches
#	client_end N		ends it, fails if it does not end
#
# With AS_USER set the clients run as that user.

ASK_LIMIT=${ASK_LIMIT:-10}
CLIENT=-1
client_in=()
client_out=()
client_pid=()

client_new() {
	local in out pipe
	CLIENT=$((CLIENT + 1))
	pipe=$(mktemp -d "$BASE/client.XXXXXX")
	mkfifo "$pipe/in" "$pipe/out"
	as_user "$(helper step_client)" <"$pipe/in" >"$pipe/out" &
	client_pid[CLIENT]=$!
	exec {in}>"$pipe/in" {out}<"$pipe/out"
	client_in[CLIENT]=$in
	client_out[CLIENT]=$out
	rm -r "$pipe"
}

tell() {
	local client=$1
	shift
	echo "$*" >&"${client_in[client]}"
}

reply() {
	REPLY=TIMEOUT
	read -r -t "$((ASK_LIMIT * SLOW))" -u "${client_out[$1]}" REPLY ||
		REPLY=TIMEOUT
}

ask() {
	tell "$@"
	reply "$1"
}

expect() {
	local client=$1 pattern=$2
	shift 2
	ask "$client" "$@"
	# shellcheck disable=SC2053
	[[ $REPLY == $pattern ]] && return 0
	echo "$*: $REPLY, expected $pattern"
	return 1
}

client_end() {
	local in=${client_in[$1]} out=${client_out[$1]} pid=${client_pid[$1]}
	tell "$1" quit
	exec {in}>&- {out}<&-
	if ! wait_until "$ASK_LIMIT" client_ended "$pid"; then
		echo "client $1 (process $pid) does not end"
		return 1
	fi
	wait "$pid" 2>/dev/null || true
}

# A zombie has ended, too.
client_ended() {
	! kill -0 "$1" 2>/dev/null || grep -qs '^State:[[:space:]]*Z' \
		"/proc/$1/status"
}

# Prints a new directory outside of the mount that the clients may write to.
client_directory() {
	local directory
	directory=$(mktemp -d "$BASE/work.XXXXXX")
	if [[ -n $AS_USER && $EUID -eq 0 ]]; then
		chown "$AS_USER" "$directory"
	fi
	echo "$directory"
}
