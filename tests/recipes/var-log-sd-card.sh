#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# docs/recipes/var-log-sd-card.md: /var/log staged in memory, on a /var that is
# a disk of its own. Its writes during a day of logging are counted beside
# those of a plain directory; logs are rotated; memory is bounded; a shutdown
# loses nothing, and a kill leaves all logs as they were at one instant.
#
# An hour is a `msyncctl sync` here, which does what the hour would.
# shellcheck source=tests/recipes/lib.sh
source "$(dirname "$0")/lib.sh"

store=/var/lib/msyncfs/log
logs=(syslog auth.log daemon.log)

# A /var like that of a machine with one card.
make_var() {
	disk_at /var 1G
	mkdir -p /var/{log/apt,lib/logrotate,tmp}
	chmod 1777 /var/tmp
	ln -s /run /var/run
	echo "installed msyncfs" >/var/log/apt/history.log
	chmod 640 /var/log/apt/history.log
}

set_up() {
	local owner
	make_var
	owner=$(stat -c '%a %u %g %i' /var/log/apt/history.log)
	# First, because both blocks are run in one go.
	install_block "Setting up" /etc/fstab
	run_block "Setting up"
	[[ $(findmnt -n -o FSTYPE /var/log) == fuse* ]]
	[[ $(stat -c '%a %u %g %i' /var/log/apt/history.log) == "$owner" ]]
	[[ $(</var/log/apt/history.log) == "installed msyncfs" ]]
	run_block "See that it works"
	grep -qx stage.limit=67108864 "$RECIPE_OUT"
}

# What systemd makes of the line.
the_order_at_boot() {
	local generator=/usr/lib/systemd/system-generators
	local unit=$BASE/units/var-log.mount
	generator+=/systemd-fstab-generator
	[[ -x $generator ]] || {
		echo "n/a: no systemd on this machine"
		return 77
	}
	mkdir "$BASE/units"
	"$generator" "$BASE/units" "$BASE/units" "$BASE/units"
	grep -qE '^Before=.*systemd-journal-flush\.service' "$unit"
	grep -qE '^Before=.*rsyslog\.service' "$unit"
	grep -qx 'RequiresMountsFor=/var/lib/msyncfs' "$unit"
	grep -qx "What=$store" "$unit"
	[[ -L $BASE/units/local-fs.target.wants/var-log.mount ]]
}

# line PROGRAM ROUND: as a log has it.
line() {
	printf 'Nov 21 %02d:%02d:17 pi %s[%d]: %s %d\n' $(($2 / 30)) \
		$(($2 % 30 * 2)) "$1" $((RANDOM % 9000 + 400)) \
		'received a request and has answered it, number' "$2"
}

# day DIRECTORY ROUND-END HOUR-END: a day of logging in 720 rounds; the files
# stay open, as a syslog daemon has them. Every line of a log ends with the
# number of its round.
day() {
	local i
	for ((i = 0; i < 720; i++)); do
		line sshd "$i" >&4
		sync -d "$1/auth.log"
		line kernel "$i" >&3
		((i % 5)) || line cron "$i" >&5
		"$2"
		((i % 30 < 29)) || "$3"
	done 3>>"$1/syslog" 4>>"$1/auth.log" 5>>"$1/daemon.log"
}

kernel_writes_back() {
	sync -f /var/plain
}

hour_is_over() {
	msyncctl sync /var/log
}

# asked_of_disk DIRECTORY COMMANDS...: KiB, writes and flushes, into REPLY.
asked_of_disk() {
	local what before=() REST=()
	sync -f /var/lib
	for what in sectors writes flushes; do
		before+=("$(disk_stat /var/lib "$what")")
	done
	day "$@"
	sync -f /var/lib
	for what in sectors writes flushes; do
		REST+=($(($(disk_stat /var/lib "$what") - before[${#REST[@]}])))
	done
	REPLY="$((REST[0] / 2)) ${REST[1]} ${REST[2]}"
}

writes_are_saved() {
	local name
	local -a plain mount
	mkdir /var/plain
	asked_of_disk /var/plain kernel_writes_back true
	read -r -a plain <<<"$REPLY"
	# Includes what the journal costs when it is made.
	[[ ! -e $store/.msyncfs/journal ]]
	asked_of_disk /var/log true hour_is_over
	read -r -a mount <<<"$REPLY"
	tell "a day on the directory: ${plain[0]} KiB in ${plain[1]} writes," \
		"${plain[2]} flushes"
	tell "a day on the mount: ${mount[0]} KiB in ${mount[1]} writes," \
		"${mount[2]} flushes"
	# A block of data each round, or nothing was counted.
	[[ ${plain[0]} -ge $((720 * 4)) ]]
	[[ $((mount[0] * 3)) -le ${plain[0]} ]]
	[[ $((mount[1] * 5)) -le ${plain[1]} ]]
	[[ $((mount[2] * 5)) -le ${plain[2]} ]]
	[[ $(stat_of /var/log commit.count) -eq 24 ]]
	for name in "${logs[@]}"; do
		is_a_log "/var/log/$name"
		[[ $(wc -l <"/var/log/$name") == \
			$(wc -l <"/var/plain/$name") ]]
	done
}

# is_a_log FILE [FIRST]: whole lines whose numbers go up, none missing.
is_a_log() {
	local step=1
	[[ $1 != */daemon.log* ]] || step=5
	awk -v step=$step '
		NR > 1 && $NF != (last + step) % 720 {
			print FILENAME ": " $NF " after " last
			exit 1
		}
		{ last = $NF }' "$1"
	[[ -z $(tail -c 1 "$1") ]]
}

# due_in FILE: seconds to the commit that what was written to it waits for;
# told of open files only.
due_in() {
	local next
	next=$(getfattr --absolute-names --only-values \
		-n user.msyncfs.status "$1" | sed -n 's/^sync\.next=//p')
	echo $((next / 1000000000))
}

an_hour_is_what_it_waits() {
	local hour minute
	exec 3>>/var/log/syslog
	line kernel 0 >&3
	hour=$(due_in /var/log/syslog)
	run_block "What survives"
	[[ $(stat_of /var/log stage.dirty) -eq 0 ]]
	exec 4>/var/log/audit/audit.log
	echo one >&4
	minute=$(due_in /var/log/audit/audit.log)
	exec 3>&- 4>&-
	echo "due in $hour s, the other in $minute s"
	# However slow the machine is.
	[[ $hour -gt 1800 && $hour -le 3600 ]]
	[[ $minute -ge 0 && $minute -le 60 ]]
	rm /var/log/audit/audit.log
}

# Twenty logs that are written all the time, each for itself, with a second in
# place of the hour: a commit takes all, and the next is due a second later.
one_commit_for_all() {
	local dir=/var/log/fast commits begin elapsed i fd
	local -a fds=()
	mkdir $dir
	msyncctl set sync=fsync=defer+every=1s $dir
	msyncctl sync /var/log
	for i in {1..20}; do
		exec {fd}>>"$dir/$i.log"
		fds+=("$fd")
	done
	commits=$(stat_of /var/log commit.by_time)
	begin=${EPOCHREALTIME/[.,]/}
	for i in {0..149}; do
		line kernel "$i" >&"${fds[i % 20]}"
		sleep 0.025
	done
	elapsed=$((${EPOCHREALTIME/[.,]/} - begin))
	commits=$(($(stat_of /var/log commit.by_time) - commits))
	tell "20 logs, every=1s: $commits commits in $((elapsed / 1000)) ms"
	# One begins a quarter of its time early at the most.
	[[ $commits -ge 1 && $commits -le $((elapsed / 750000 + 1)) ]]
	rm -r $dir
}

# rotated HOW FILE: by logrotate, with a writer that has it open.
rotated() {
	local name=/var/log/$2
	cat >/etc/logrotate.test <<-CONF
		$name {
			rotate 2
			compress
			delaycompress
			$1
		}
	CONF
	# Others than root's may not be written by others.
	chmod 644 /etc/logrotate.test
	exec 3>>"$name"
	line kernel 1 >&3
	sync -d "$name"
	logrotate -f -s /var/lib/logrotate/status /etc/logrotate.test
	line kernel 2 >&3
	exec 3>&-
	logrotate -f -s /var/lib/logrotate/status /etc/logrotate.test
	zcat "$name.2.gz" >"$BASE/rotated"
	grep -q ' 1$' "$BASE/rotated"
}

# With create the open file goes along, with copytruncate it starts anew.
logs_are_rotated() {
	rotated "create 640 root root" created.log
	grep -q ' 2$' "$BASE/rotated"
	[[ $(stat -c %a /var/log/created.log) == 640 ]]
	[[ ! -s /var/log/created.log ]]
	rotated copytruncate cut.log
	[[ $(wc -l <"$BASE/rotated") -eq 1 ]]
	grep -q ' 2$' /var/log/cut.log.1
	[[ ! -s /var/log/cut.log ]]
}

# Twice of what may be held; nobody asks for a commit.
memory_is_bounded() {
	local limit most=0 used commits
	limit=$(stat_of /var/log stage.limit)
	commits=$(stat_of /var/log commit.count)
	dd if=/dev/zero of=/var/log/flood.log bs=128K count=1024 status=none &
	while kill -0 $! 2>/dev/null; do
		used=$(stat_of /var/log stage.used)
		((used <= most)) || most=$used
		sleep 0.02
	done
	wait $!
	tell "128 MiB logged at once: at most $((most >> 20)) MiB in memory," \
		"$(($(stat_of /var/log commit.count) - commits)) commits"
	[[ $most -gt 0 && $most -le $limit ]]
	[[ $(stat_of /var/log commit.count) -gt $commits ]]
	[[ $(stat -c %s /var/log/flood.log) -eq $((128 << 20)) ]]
	rm /var/log/flood.log
}

killed() {
	local name
	rm -f /var/log/*.log /var/log/syslog
	msyncctl sync /var/log
	day_until_killed &
	wait $! || true
	run_block "After a crash"
	for name in "${logs[@]}"; do
		cmp "/var/log/$name" "$BASE/expected.$name"
		is_a_log "/var/log/$name"
	done
	# The name is there, what was written to it is not.
	[[ -e /var/log/new.log && ! -s /var/log/new.log ]]
	echo again >>/var/log/syslog
}

# In a process of its own: afterwards it has files open on a dead mount.
day_until_killed() {
	hours=0
	day /var/log true until_the_kill
}

until_the_kill() {
	local name
	hours=$((hours + 1))
	[[ $hours -ne 3 ]] || {
		hour_is_over
		for name in "${logs[@]}"; do
			cp "/var/log/$name" "$BASE/expected.$name"
		done
	}
	[[ $hours -ne 4 ]] || {
		echo lost >/var/log/new.log
		kill_daemon /var/log
		exit 0
	}
}

# start_journald: as it is, but for the kernel's messages; into REPLY its pid.
start_journald() {
	mkdir -p /etc/systemd/journald.conf.d /run/systemd "$1"
	printf '[Journal]\n%s\n' Storage=persistent ReadKMsg=no Audit= \
		>/etc/systemd/journald.conf.d/test.conf
	SYSTEMD_LOG_LEVEL=err setsid /usr/lib/systemd/systemd-journald \
		>"$BASE/journald" 2>&1 &
	REPLY=$!
	wait_until 20 test -S /run/systemd/journal/io.systemd.journal
	journalctl --flush
}

journal_lines() {
	local i
	for ((i = $1; i <= $2; i++)); do
		logger -u /run/systemd/journal/dev-log -t recipe "line $i"
	done
	journalctl --sync
}

# It maps its files.
journald_is_whole() {
	local journald dir
	[[ -x /usr/lib/systemd/systemd-journald ]] || {
		echo "n/a: no systemd on this machine"
		return 77
	}
	[[ -s /etc/machine-id ]] || echo "$(</proc/sys/kernel/random/uuid)" |
		tr -d - >/etc/machine-id
	dir=/var/log/journal/$(</etc/machine-id)
	start_journald "$dir"
	journald=$REPLY
	journal_lines 1 20
	msyncctl sync /var/log
	journal_lines 21 40
	[[ $(journalctl -D "$dir" -t recipe -o cat | tail -n 1) == "line 40" ]]
	kill_daemon /var/log
	kill -KILL "$journald"
	# Its files are on the mount that is to be unmounted.
	wait "$journald" || true
	run_block "After a crash"
	journalctl -D "$dir" --verify
	journalctl -D "$dir" -t recipe -o cat >"$BASE/found"
	diff "$BASE/found" <(printf 'line %d\n' {1..20})
	rm -r /var/log/journal
}

# What is on the mount, with nothing asked for before the unmount.
shut_down() {
	local name
	for name in "${logs[@]}"; do
		line kernel 1 >>"/var/log/$name"
		cp "/var/log/$name" "$BASE/expected.$name"
	done
	[[ $(stat_of /var/log stage.dirty) -gt 0 ]]
	run_block "Undoing it"
	for name in "${logs[@]}"; do
		cmp "/var/log/$name" "$BASE/expected.$name"
	done
	[[ ! -e $store && ! -e /var/log/.msyncfs ]]
	[[ $(grep -c msyncfs /etc/fstab) -eq 0 ]]
	[[ $(</var/log/apt/history.log) == "installed msyncfs" ]]
}

recipe var-log-sd-card logrotate
t the_logs_become_a_mount set_up
t systemd_mounts_it_before_what_logs the_order_at_boot
t a_day_of_logging_is_few_writes_of_the_disk writes_are_saved
t a_commit_is_due_in_an_hour_or_in_a_minute an_hour_is_what_it_waits
t a_commit_is_for_all_logs_that_are_written one_commit_for_all
t logrotate_works_both_ways logs_are_rotated
t memory_is_bounded_and_nothing_fails memory_is_bounded
t a_kill_leaves_all_logs_at_the_last_commit killed
t journald_finds_its_journal_as_it_was_synced journald_is_whole
t a_shutdown_loses_nothing_and_leaves_the_logs shut_down
recipe_done
