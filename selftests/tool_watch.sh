#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# kipc monitor and top: as root and as an ordinary user.
#
# shellcheck disable=SC2317,SC2154 # functions are called through ok; common.sh sets the names
. ./common.sh

one_cpu
chmod 0666 /dev/kipc
"$kipc" mk --mode=666 watched >/dev/null
"$kipc" mk other >/dev/null

instances()
{
	find /sys/kernel/tracing/instances -maxdepth 1 -name 'kipc-*' | wc -l | tr -d ' '
}

some_instances()
{
	[ "$(instances)" -gt 0 ]
}

column()
{
	awk -v name="$1" -v column="$2" '
		/ NAME / { for (i = 1; i <= NF; i++) if ($i == column) at = i }
		$2 == name { print $at }' "$tmp/out"
}

# --- monitor

status 2 "an event that does not exist" "$kipc" monitor --event=send,nonsense
status 3 "an endpoint that does not exist" "$kipc" monitor nonsense
status 4 "a user may not see tracepoints" as kipc-a "$kipc" monitor
ok "... which is explained" says 'root'
"$kipc" monitor --count=4 watched >"$tmp/events" &
pid=$!
until_true some_instances
until_true grep -q 1 /sys/kernel/tracing/instances/kipc-*/events/kipc/kipc_drop/enable
"$kipc" send other x
"$kipc" send --type=5 --prio=6 watched hello
"$kipc" recv watched >/dev/null
"$kipc" rm other
"$kipc" send watched x
status 0 "monitor --count" wait $pid
ok "... shows each step" is "$(awk '{ print $2 }' "$tmp/events" | tr '\n' ' ')" 'send claim deliver send '
ok "... of the message" grep -q 'send .*watched.*type 5 prio 6 size 5' "$tmp/events"
ok "... and of no other endpoint" is "$(grep -c other "$tmp/events")" 0
ok "... and leaves no trace instance" is "$(instances)" 0
"$kipc" monitor --event=send --count=1 --json >"$tmp/events" &
pid=$!
until_true some_instances
until_true grep -q 1 /sys/kernel/tracing/instances/kipc-*/events/kipc/kipc_send/enable
"$kipc" recv watched >/dev/null
"$kipc" send watched x
status 0 "JSON of one event" wait $pid
ok "... is that one" is "$("$json" /event <"$tmp/events")" send
ok "... the endpoint" is "$("$json" /name <"$tmp/events")" watched
"$kipc" monitor >/dev/null &
pid=$!
until_true some_instances
kill -INT $pid
kill -TERM $pid
status 0 "a signal ends it" wait $pid
ok "... and its trace instance" is "$(instances)" 0
"$kipc" monitor >/dev/null &
pid=$!
until_true some_instances
kill -KILL $pid
wait $pid
status 0 "after one that was killed" "$kipc" top --batch --count=1 --delay=100ms
ok "... its trace instance goes, too" is "$(instances)" 0
status 1 "without tracefs" unshare -m sh -c \
	"umount -l /sys/kernel/debug; umount -l /sys/kernel/tracing; exec '$kipc' monitor"
ok "... says how to mount it" says 'mount -t tracefs'

# --- top

status 2 "top without a terminal" "$kipc" top
ok "... names --batch" says -- --batch
status 2 "a delay that is too short" "$kipc" top --batch --delay=1ms
"$kipc" serve --mode=666 upper tr a-z A-Z &
serve=$!
until_true "$kipc" stat upper
"$kipc" top --batch --count=1 --delay=6s >"$tmp/top" &
pid=$!
until_true some_instances
until_true grep -q 1 /sys/kernel/tracing/instances/kipc-*/events/kipc/kipc_drop/enable
as kipc-a sh -c "for i in 1 2 3; do '$kipc' call upper hello; done; '$kipc' send watched x; sleep 4" >/dev/null &
status 0 "top --batch" wait $pid
cp "$tmp/top" "$tmp/out"
ok "... a rate" test "$(column upper RATE)" != 0.0
ok "... which is none where nothing happens" test "$(column upper RATE)" != "$(column watched RATE)"
ok "... how long messages waited" test "$(column upper WAIT50)" -ge 0
ok "... how long calls took" test "$(column upper CALL50)" -ge "$(column upper WAIT50)"
ok "... 99 of 100 not less" test "$(column upper CALL99)" -ge "$(column upper CALL50)"
ok "... not of who has no calls" is "$(column watched CALL50)" -
ok "... how many wait in the queue" is "$(column watched MSGS)" 2
status 0 "sorted, with columns" "$kipc" top --batch --count=2 --delay=100ms --noheadings --sort=NAME --output=NAME,MSGS
ok "... in this order, twice" is "$(awk '{ print $1 }' "$tmp/out" | tr '\n' ' ')" 'upper watched upper watched '
"$kipc" top --batch --count=1 --delay=4s --output=NAME,WORST-USER >"$tmp/top" &
pid=$!
until_true some_instances
until_true grep -q 1 /sys/kernel/tracing/instances/kipc-*/events/kipc/kipc_drop/enable
# They live until they are looked at
as kipc-a "$kipc" send --sync --deadline=8s watched x &
"$kipc" recv --count=3 watched >/dev/null
wait $pid
ok "who sends most" grep -q 'watched.* \(kipc-a\|root\|-\)' "$tmp/top"
status 0 "top as a user" as kipc-a "$kipc" top --batch --count=1 --delay=100ms
ok "... has no rates" is "$(column watched RATE)" -
ok "... and says why" prints 'neither rates nor times: .*root'
ok "... but the rest" is "$(column watched MSGS)" 0
status 0 "top on a terminal" sh -c "{ sleep 1; printf '>'; sleep 1; printf q; sleep 1; } | TERM=linux '$pty' '$kipc' top --delay=500ms"
ok "... shows the endpoints" prints watched
ok "... the order" prints 'sort by RATE'
ok "... that a key changes" prints 'MSGS'
status 0 "top --count on a terminal" env TERM=linux "$pty" "$kipc" top --delay=100ms --count=2 </dev/null
status 1 "a terminal that nobody knows" env TERM=nonsense "$pty" "$kipc" top </dev/null
ok "... leaves no trace instance" is "$(instances)" 0
kill -TERM $serve
wait $serve

ok "the other CPUs are back" all_cpus
finish
