#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Runs each program of examples/, and the session of kipc(7), and compares what they
# print with what they should.
cd "$(dirname "$0")/examples" || exit 1

number=0
failed=0
servers=
trap '[ -z "$servers" ] || kill $servers 2>/dev/null' EXIT

# report WHAT: of the last command's files "expected" and "printed"
report()
{
	number=$((number + 1))
	if diff expected printed >difference; then
		echo "ok $number $1"
	else
		sed 's/^/# /' difference
		echo "not ok $number $1"
		failed=1
	fi
}

# expect WHAT LINE... : what was printed
expect()
{
	what=$1
	shift
	: >expected
	[ $# = 0 ] || printf '%s\n' "$@" >expected
	report "$what"
}

# ends PID: waits for one that was told to end; prints its exit status
ends()
{
	wait "$1" 2>/dev/null
	status=$?
	servers=
	echo "status $status" >>printed
}

echo "TAP version 13"
echo "1..9"

# --- echo, ask
./echo &
servers=$!
{
	./ask echo hello
	./ask echo ''
	./ask echo 'several words'
} >printed 2>&1
expect "echo answers" hello '' 'several words'
./echo >printed 2>&1
expect "a second echo is refused" "echo: File exists"
kill $servers
wait $servers 2>/dev/null
servers=

# --- tickets: both kinds of clients, in turn
./tickets 7070 >tickets.log 2>&1 &
servers=$!
{
	./ask tickets ''
	nc 127.0.0.1 7070 </dev/null
	./ask tickets ''
	./ask tickets 'this is longer than the endpoint allows: 64 bytes are the most it takes'
	nc 127.0.0.1 7070 </dev/null
} >printed 2>&1
kill $servers
ends $servers
cat tickets.log >>printed
expect "tickets for calls and for sockets" "1 for a kipc client" "2 for a socket client" \
	"3 for a kipc client" \
	"ask: tickets: Message too long (the server never had the call)" \
	"4 for a socket client" "status 0" "4 tickets"

# --- inflight
./inflight >printed 2>&1
expect "100 calls in flight" "100 calls in flight" \
	"all answered, the sum of the squares is 338350" "the server has ended"

# --- logd, log: nobody reads while they are sent, so that the order is certain
./logd >logd.log 2>&1 &
servers=$!
./log first second >printed 2>&1
kill -STOP $servers
for i in 1 2 3; do
	./log "line $i" >>printed 2>&1
done
./log -u fire >>printed 2>&1
kill -TERM $servers
kill -CONT $servers
ends $servers
# What it was taking when it stopped comes before the rest.
grep -v urgent logd.log >>printed
grep -c 'uid 0, urgent: fire' logd.log >>printed
expect "logd collects everything before it ends" "status 0" "uid 0: first" "uid 0: second" \
	"uid 0: line 1" "uid 0: line 2" "uid 0: line 3" 1

# As many as go into several batches, by several senders
./logd >logd.log 2>&1 &
servers=$!
senders=
for sender in a b c d; do
	# shellcheck disable=SC2046 # a text for each
	./log $(seq 1 200 | sed "s/^/$sender/") &
	senders="$senders $!"
done
# shellcheck disable=SC2086 # one for each
wait $senders
kill $servers
ends $servers
: >printed
for sender in a b c d; do
	sed -n "s/^uid 0: $sender//p" logd.log >numbers
	seq 1 200 | cmp -s - numbers || echo "of $sender: $(wc -l <numbers)" >>printed
done
expect "logd loses nothing and keeps the order of each sender"

# --- bigfile
./bigfile 100 >printed 2>&1
expect "a file of 100 MiB is passed without a copy" \
	"received a file of 100 MiB from uid 0" "the other side read the same"

# --- named_echo, named_ask: with a naming service that was there before neither of them
mkdir -p named.d
echo "look-up * any" >named.d/a.conf
./named_echo org.example.echo >named_echo.log 2>&1 &
servers=$!
../kipc-named --policy=named.d &
servers="$servers $!"
./named_ask org.example.echo hello >printed 2>&1
cat named_echo.log >>printed
# shellcheck disable=SC2086 # both
kill $servers
wait
servers=
./named_echo org.example.echo >>printed 2>&1
expect "a server is found by its registered name" hello "user 0 asks" \
	"named_echo: org.example.echo: Connection timed out"

# --- the example of kipc(7), without what the build has done
cd manual || exit 1
: >../printed
grep -v '^\$ cc ' session >../expected
while IFS= read -r line; do
	case $line in
	"\$ cc "*) ;;
	"\$ "*)
		echo "$line" >>../printed
		eval "${line#??}" >>../printed 2>&1
		;;
	esac
done <session
cd ..
report "the example of kipc(7)"

exit $failed
