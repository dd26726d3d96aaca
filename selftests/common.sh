# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh disable=SC2034 # names for who reads this in
#
# What the tests of kipc(1) share: TAP, users, and a look at what a command did. They run in
# the test VM only, as root, in the directory with the programs.

here=$PWD
kipc=$here/kipc
json=$here/helper-json
pty=$here/helper-pty
tmp=$(mktemp -d /tmp/tool.XXXXXX)
chmod 1777 "$tmp"
count=0 failed=0

# A line of it that began with "ok" would count as a result
complain()
{
	sed 's/^/# | /'
}

# ok NAME COMMAND...: the command succeeds
ok()
{
	name=$1
	shift
	count=$((count + 1))
	if "$@" >"$tmp/why" 2>&1; then
		echo "ok $count $name"
	else
		echo "not ok $count $name"
		{
			echo "failed: $*"
			cat "$tmp/why"
			echo "its output was:"
			head -n 20 "$tmp/out"
			echo "its errors were:"
			head -n 20 "$tmp/err"
		} | complain
		failed=$((failed + 1))
	fi
}

# status NUMBER NAME COMMAND...: so it ends; output and errors are in $tmp/out and $tmp/err
status()
{
	wanted=$1 what=$2
	shift 2
	got=0
	"$@" >"$tmp/out" 2>"$tmp/err" || got=$?
	ok "$what" test "$got" = "$wanted"
}

# What a command said last
out()
{
	cat "$tmp/out"
}

says()
{
	grep -qe "$1" "$tmp/err"
}

prints()
{
	grep -qe "$1" "$tmp/out"
}

is()
{
	[ "$1" = "$2" ] || {
		echo "'$1' is not '$2'"
		return 1
	}
}

# as USER COMMAND...
as()
{
	user=$1
	shift
	/usr/bin/setpriv --reuid="$user" --regid="$user" --init-groups "$@"
}

# until_true COMMAND...: tries for half a minute
until_true()
{
	i=0
	while ! "$@" >/dev/null 2>&1; do
		i=$((i + 1))
		[ "$i" -lt 300 ] || return 1
		sleep 0.1
	done
}

exists()
{
	"$kipc" stat "$1"
}

# A member of an endpoint
member()
{
	"$kipc" stat --json "$1" | "$json" "/0/$2"
}

member_is()
{
	[ "$(member "$1" "$2")" = "$3" ]
}

# one_cpu, all_cpus: tracepoints are switched by rewriting code that other CPUs may be executing. Of
# QEMU's emulated CPUs one can be left at such an instruction for ever (seen with 7.2 on a busy
# host), hence no other CPU meanwhile.
one_cpu()
{
	others=
	for cpu in /sys/devices/system/cpu/cpu[1-9]*/online; do
		[ ! -w "$cpu" ] || ! echo 0 >"$cpu" || others="$others $cpu"
	done
}

all_cpus()
{
	for cpu in $others; do
		echo 1 >"$cpu" || return
	done
}

finish()
{
	chmod 0600 /dev/kipc
	"$kipc" rm --all --force
	rm -rf "$tmp"
	echo "1..$count"
	[ "$failed" = 0 ]
	exit
}
