#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Programs of Debian's that know nothing of kipc, each on the kernel's own queues and on
# kipc's: both succeed, and print the same. Tracepoints of the module and of the system calls
# tell whose queues they were. scripts/runner.py brings the programs.
#
# shellcheck disable=SC2154,SC2013,SC2086 # common.sh sets names; keys, options and ways are words
. ./common.sh

# What puts a program on kipc's queues
over_kipc="$kipc run --libdir=$here --"

tracing=/sys/kernel/tracing
calls="msgget msgsnd msgrcv msgctl mq_open mq_unlink mq_timedsend mq_timedreceive mq_notify"

# A buffer of its own for each kind of event
trace()
{
	mkdir "$tracing/instances/kipc" "$tracing/instances/system" || return
	echo 1 >"$tracing/instances/kipc/events/kipc/enable" || return
	# The kernels of the debug tier have no events of system calls
	if [ ! -d "$tracing/events/syscalls" ]; then
		uname -r | grep -q -e -kipc-
		return
	fi
	for call in $calls; do
		echo 1 >"$tracing/instances/system/events/syscalls/sys_enter_$call/enable" || return
	done
	# The drop-in library asks for the limits (IPC_INFO)
	echo 'cmd != 3' >"$tracing/instances/system/events/syscalls/sys_enter_msgctl/filter"
	# stress-ng tries its standard input, too, which is no queue of anybody's
	for call in mq_timedsend mq_timedreceive mq_notify; do
		echo 'mqdes != 0' >"$tracing/instances/system/events/syscalls/sys_enter_$call/filter"
	done
}

forget()
{
	echo >"$tracing/instances/kipc/trace"
	echo >"$tracing/instances/system/trace"
}

# seen INSTANCE: how many events since
seen()
{
	cat "$tracing/instances/$1"/per_cpu/cpu*/stats |
		awk '/^(entries|overrun|dropped events):/ { n += $NF } END { print n + 0 }'
}

# That the system calls were made says nothing where they are not seen
used_system()
{
	is "$(seen kipc)" 0 || return
	[ ! -d "$tracing/events/syscalls" ] || [ "$(seen system)" -gt 0 ]
}

used_kipc()
{
	is "$(seen system)" 0 && [ "$(seen kipc)" -gt 0 ] && return
	tail -n 10 "$tracing/instances/system/trace"
	return 1
}

# The queues there are, each with its key, unless ipcmk has drawn that, and its permissions
hide_keys()
{
	sed '/^0x4b5[0-9] /!s/^[^ ]*/drawn/' | sort
}

system_queues()
{
	while read -r key _ mode _; do
		[ "$key" = key ] || printf '%#x %s\n' "$key" "$mode"
	done </proc/sysvipc/msg | hide_keys
}

kipc_queues()
{
	"$kipc" ls --noheadings --output=KEY,MODE | awk '{ sub(/^0/, "", $2); print $1, $2 }' |
		hide_keys
}

no_queues()
{
	is "$(system_queues)" "" && is "$(kipc_queues)" ""
}

# choose WHOSE: sets how a program gets to these queues, and which others there are
choose()
{
	case $1 in
	system) way='' other=kipc ;;
	kipc) way=$over_kipc other=system ;;
	esac
}

# remove WHOSE: by key what a program has left, if that is known, else all there is
remove()
{
	for key in $(sed -n 's/^\(0x[^ ]*\) .*/\1/p' "$tmp/$1-queues"); do
		as kipc-a $way ipcrm -Q "$key" || return
	done
	! grep -q drawn "$tmp/$1-queues" || as kipc-a $way ipcrm --all=msg
}

# programs NAME COMMAND...: a user runs a command in both ways. What it prints, on whose queues
# that was, and which it leaves behind
programs()
{
	program=$1
	shift
	for whose in system kipc; do
		choose $whose
		forget
		status 0 "$program, $whose: succeeds" as kipc-a $way "$@"
		sed 's/^/# /' "$tmp/out" "$tmp/err" | head -n 40
		filter <"$tmp/out" >"$tmp/$whose"
		ok "$program, $whose: on these queues" used_$whose
		"${whose}_queues" >"$tmp/$whose-queues"
		ok "$program, $whose: on no others" is "$("${other}_queues")" ""
		ok "$program, $whose: ipcrm removes what is left" remove $whose
		ok "$program, $whose: and nothing stays" no_queues
	done
	ok "$program: both print the same" diff "$tmp/system" "$tmp/kipc"
	ok "$program: both leave the same" diff "$tmp/system-queues" "$tmp/kipc-queues"
}

# What is another each time in what programs print
filter()
{
	sed -E 's/^(Message queue id:) [0-9]+$/\1 N/
		s/^stress-ng: ([a-z]+): +\[[0-9]+\] /stress-ng: \1: /
		s/^(stress-ng: metrc: [a-z]+ +[0-9]+) .*/\1/
		s/ in [0-9.]+s.*//'
}

missed()
{
	! used_kipc && is "$(kipc_queues)" ""
}

chmod 0666 /dev/kipc
cd "$tmp" || exit
one_cpu
ok "events are counted" trace
ok "the other CPUs are back" all_cpus
ok "there are no queues" no_queues

# shellcheck disable=SC2016 # the shell that is started expands these
programs "ipcmk, ipcrm" sh -c '
	ipcmk -Q && ipcmk -Q -p 0600 || exit
	id=$(ipcmk -Q | sed "s/.* //")
	ipcrm -q "$id" || exit
	! ipcrm -q "$id" 2>&1 | grep -v "invalid id\|already removed"'
programs "perl" perl "$here/dropin_programs.pl"
programs "python" /usr/bin/python3 "$here/dropin_programs.py"
# One worker: it makes queues until there is no more room for them, which with a user's share
# another one would notice
programs "stress-ng --msg" stress-ng --msg 1 --msg-ops 20000 --verify --metrics-brief --stdout
programs "stress-ng --msg-types" stress-ng --msg 1 --msg-ops 10000 --msg-types 8 --verify \
	--metrics-brief --stdout
programs "stress-ng --mq" stress-ng --mq 2 --mq-ops 20000 --verify --metrics-brief --stdout
# As a user who builds a package does it; with -s and -i what is faked outlives the daemon
# shellcheck disable=SC2016 # the shell that is started expands these
programs "fakeroot-sysv" sh -c '
	export SOURCE_DATE_EPOCH=1700000000
	umask 022
	rm -rf tree state package.deb
	mkdir -p tree/DEBIAN tree/usr/bin tree/dev tree/var/lib/package || exit
	printf "%s\n" "Package: package" "Version: 1" "Architecture: all" \
		"Maintainer: nobody <nobody@localhost>" "Description: small" >tree/DEBIAN/control
	for name in one two three; do
		echo "$name" >tree/usr/bin/$name
	done
	ln -s one tree/usr/bin/link
	fakeroot-sysv -s state -- sh -c "
		chown -R 0:0 tree && chown 33:4 tree/var/lib/package && chmod 2770 tree/var/lib/package &&
			chmod 4755 tree/usr/bin/one && chmod 0640 tree/usr/bin/two && chown 0:33 tree/usr/bin/two &&
			mknod tree/dev/zero c 1 5 && stat -c \"%n %U %G %a %F\" tree/dev/* tree/usr/bin/*" || exit
	fakeroot-sysv -i state dpkg-deb --build tree package.deb || exit
	dpkg-deb -c package.deb
	dpkg-deb -c package.deb | grep -q "^crw-r--r-- root/root .* 1,5 .* ./dev/zero" || exit
	sha256sum package.deb
	for i in 1 2 3 4 5 6 7 8 9 10; do
		pidof faked-sysv >/dev/null || exit 0
		sleep 0.5
	done
	exit 1'

# Were the library not loaded, all of that would succeed, too.
forget
status 0 "without the library" as kipc-a ipcmk -Q
ok "that is noticed" missed
status 0 "... and removed" as kipc-a ipcrm --all=msg

one_cpu
status 0 "a queue of kipc's" as kipc-a $over_kipc ipcmk -Q
id=$(sed 's/.* //' "$tmp/out")
status 0 "kipc top" "$kipc" top --batch --count=1 --delay=100ms
ok "... shows it" prints "\<$id\>"
status 0 "... and it is removed" as kipc-a $over_kipc ipcrm -q "$id"
rmdir "$tracing/instances/kipc" "$tracing/instances/system"
ok "the other CPUs are back in the end" all_cpus
finish
