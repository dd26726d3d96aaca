#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# kipc send, recv, call, serve: as root and as an ordinary user.
#
# shellcheck disable=SC2317,SC2154 # functions are called through ok; common.sh sets the names
. ./common.sh

chmod 0666 /dev/kipc
"$kipc" mk --mode=666 --max-size=64K --max-msgs=8 --max-bytes=1M q >/dev/null

alive()
{
	kill -0 "$1" 2>/dev/null
}

gone()
{
	! alive "$1"
}

# --- what is sent arrives

status 2 "send without an endpoint" "$kipc" send
status 2 "send with two texts" "$kipc" send q a b
status 2 "a priority that is too high" "$kipc" send --prio=32768 q x
status 2 "a deadline that is none" "$kipc" send --deadline=soon q x
status 2 "recv without an endpoint" "$kipc" recv
status 2 "two selectors" "$kipc" recv --type=1 --max-type=2 q
status 2 "--follow with --count" "$kipc" recv --follow --count=2 q
status 0 "a text" "$kipc" send q 'one message'
status 0 "... is received" "$kipc" recv q
ok "... as it is" is "$(out | od -An -c | tr -d ' \n')" 'onemessage'
status 0 "an empty text" "$kipc" send q ''
status 0 "... is a message" "$kipc" recv --newline q
ok "... of no bytes" is "$(wc -c <"$tmp/out" | tr -d ' ')" 1
head -c 60000 /dev/urandom >"$tmp/random"
status 0 "a file" "$kipc" send --file="$tmp/random" q
status 0 "... is received" "$kipc" recv q
ok "... every byte" cmp "$tmp/random" "$tmp/out"
status 0 "standard input" sh -c "'$kipc' send q <'$tmp/random'"
status 0 "... is received" "$kipc" recv q
ok "... every byte" cmp "$tmp/random" "$tmp/out"
head -c 70000 /dev/zero >"$tmp/large"
status 7 "a file that is too large" "$kipc" send --file="$tmp/large" q
ok "... says what changes that" says 'max-size'
status 1 "a file that does not exist" "$kipc" send --file="$tmp/nonsense" q
printf 'a\nb\n\nc' >"$tmp/lines"
status 0 "lines" sh -c "'$kipc' send --lines q <'$tmp/lines'"
status 0 "... are messages" "$kipc" recv --count=4 --newline q
ok "... each one" is "$(out | tr '\n' ,)" 'a,b,,c,'

# --- order and selectors

"$kipc" send --type=5 --prio=1 q five
"$kipc" send --type=3 --prio=9 q three
"$kipc" send --type=4 q four
status 0 "looking" "$kipc" recv --peek --newline q
ok "... shows them in order" is "$(out | tr '\n' ' ')" "three five four "
status 0 "... only the first" "$kipc" recv --peek --count=1 --newline q
ok "... of them" is "$(out)" three
ok "... and leaves them" member_is q msgs 3
status 0 "one of a type" "$kipc" recv --type=4 q
ok "... it is" is "$(out)" four
status 0 "one of another type" "$kipc" recv --not-type=3 q
ok "... it is" is "$(out)" five
status 0 "one up to a type" "$kipc" recv --max-type=10 q
ok "... it is" is "$(out)" three

# --- how it is shown

"$kipc" send --type=7 --prio=2 q 'some "text"'
status 0 "JSON" "$kipc" recv --json q
ok "... the text" is "$("$json" /text <"$tmp/out")" 'some "text"'
ok "... the type" is "$("$json" /type <"$tmp/out")" 7
ok "... the sender" is "$("$json" /user <"$tmp/out")" root
printf '\377\000' | "$kipc" send q
status 0 "bytes that are no text" "$kipc" recv --json q
ok "... are base64" is "$("$json" /base64 <"$tmp/out")" '/wA='
printf '\377\000' | "$kipc" send q
status 0 "pretty" "$kipc" recv --pretty q
ok "... what is known" prints 'message type 0 prio 0, 2 bytes, from root, process'
ok "... the bytes" prints 'ff 00'
printf '\033[31mred' | "$kipc" send q
status 0 "on a terminal" "$pty" "$kipc" recv q </dev/null
ok "... nothing gets at it" is "$(grep -c "$(printf '\033')\[31m" "$tmp/out")" 0

# --- waiting

status 5 "an empty queue without waiting" "$kipc" recv --deadline=0 q
status 5 "... and with" "$kipc" recv --deadline=100ms q
ok "... is told" says 'in time'
status 5 "a time of day that has passed" "$kipc" recv --deadline=@1 q
"$kipc" mk --max-msgs=1 small >/dev/null
"$kipc" send small x
status 5 "a full queue" "$kipc" send --deadline=100ms small y
ok "... says what to look at" says 'kipc stat'
status 5 "... without waiting" "$kipc" send --deadline=0 small y
status 5 "send --sync without a receiver" "$kipc" send --sync --deadline=100ms q x
ok "... which leaves nothing" member_is q msgs 0
printf 'a\nb\nc\n' | "$kipc" send --lines q
status 0 "--follow until none comes" "$kipc" recv --follow --newline --deadline=200ms q
ok "... has them all" is "$(out | tr '\n' ' ')" "a b c "
status 5 "--follow when none came at all" "$kipc" recv --follow --deadline=100ms q
"$kipc" recv --follow --newline q >"$tmp/followed" &
pid=$!
"$kipc" send --sync q followed
until_true grep -q followed "$tmp/followed"
kill -TERM $pid
status 0 "--follow until a signal" wait $pid
ok "... has what came before" is "$(cat "$tmp/followed")" followed
"$kipc" recv q >/dev/null 2>"$tmp/err2" &
pid=$!
until_true member_is q waiters 1
kill -TERM $pid
status 1 "without --follow a signal is an error" wait $pid
"$kipc" recv small >/dev/null
"$kipc" recv small 2>/dev/null &
pid=$!
until_true member_is small waiters 1
"$kipc" rm small
status 3 "removed under a receiver" wait $pid
"$kipc" recv --create --deadline=30s later >"$tmp/later" &
pid=$!
status 0 "an endpoint that is yet to come" "$kipc" send --wait --deadline=30s later x
status 0 "... has come" wait $pid
ok "... with the message" is "$(cat "$tmp/later")" x
status 3 "... and ended with its receiver" "$kipc" stat later
status 5 "one that does not come" "$kipc" send --wait --deadline=100ms never x

# --- who may, and whom to trust

status 3 "send to what does not exist" "$kipc" send nonsense x
status 3 "recv from what does not exist" "$kipc" recv nonsense
"$kipc" mk --mode=622 out >/dev/null
status 4 "a user may not receive there" as kipc-a "$kipc" recv --deadline=0 out
status 0 "... but send" as kipc-a "$kipc" send out x
as kipc-a "$kipc" mk --mode=666 impostor >/dev/null
status 4 "what a user made is not trusted" "$kipc" send impostor x
ok "... which is explained" says '--owner=USER'
status 4 "... if another is named" "$kipc" send --owner=kipc-b impostor x
status 0 "... but if he is named" "$kipc" send --owner=kipc-a impostor x
status 0 "... or anybody" "$kipc" send --any-owner impostor x
status 4 "... and so it is with calls" "$kipc" call impostor x
status 0 "he himself receives" as kipc-a "$kipc" recv --count=2 impostor

# --- files

echo attached >"$tmp/file"
"$kipc" recv --create --files --json filed >"$tmp/filed" &
pid=$!
status 0 "a file goes along" "$kipc" send --wait --deadline=30s --attach="$tmp/file" filed x
status 0 "... with its message" wait $pid
ok "... it is that one" is "$("$json" /files/0 <"$tmp/filed")" "$tmp/file"
"$kipc" serve --files --count=1 filed sh -c 'echo $KIPC_FILES; cat <&3' &
pid=$!
status 0 "a call with a file" "$kipc" call --wait --deadline=30s --attach="$tmp/file" filed x
ok "... which the command reads" is "$(out | tr '\n' ' ')" "1 attached "
wait $pid
status 1 "a file to an endpoint that takes none" "$kipc" send --attach="$tmp/file" q x
ok "... is told" says 'takes no files'
ok "... and nothing sent" member_is q msgs 0
status 1 "a file that does not exist" "$kipc" send --attach="$tmp/nonsense" q x
status 1 "a descriptor that is not open" "$kipc" send --attach=fd:99 q x

# --- calls

status 2 "serve without a command" "$kipc" serve upper
status 1 "serve with a command that does not exist" "$kipc" serve upper nonsense
status 2 "call without an endpoint" "$kipc" call
"$kipc" serve --mode=666 upper tr a-z A-Z &
upper=$!
until_true exists upper
status 0 "a call" "$kipc" call upper hello
ok "... is answered" is "$(out)" HELLO
status 0 "a user's" as kipc-a "$kipc" call upper hello
ok "... too" is "$(out)" HELLO
status 0 "with JSON" "$kipc" call --json upper x
ok "... the reply" is "$("$json" /text <"$tmp/out")" X
seq 1 400 >"$tmp/numbers"
status 0 "from a file" "$kipc" call --file="$tmp/numbers" upper
ok "... every byte" cmp "$tmp/numbers" "$tmp/out"
kill -TERM $upper
status 0 "serve ends by a signal" wait $upper
status 3 "... and its endpoint with it" "$kipc" call upper hello

"$kipc" serve --mode=666 who sh -c 'echo $KIPC_ENDPOINT $KIPC_UID $KIPC_GID $KIPC_TYPE $KIPC_PRIO $KIPC_FILES' &
who=$!
until_true exists who
as kipc-a "$kipc" call --type=5 --prio=6 who '' >"$tmp/out"
ok "a command knows who calls" is "$(out)" "who 1001 1001 5 6 0"
kill -TERM $who
wait $who

"$kipc" serve --count=2 log sed 's/^/logged: /' >"$tmp/log" &
log=$!
until_true exists log
"$kipc" send log first
"$kipc" send log second
status 0 "serve --count ends" wait $log
# (A sed may or may not end the line that its input does not)
ok "messages without reply are served too" is "$(tr -d '\n' <"$tmp/log")" 'logged: firstlogged: second'

(trap '' HUP && exec "$kipc" serve --count=1 lasts cat) &
lasts=$!
until_true exists lasts
kill -HUP $lasts
status 0 "a signal that serve was started to ignore" "$kipc" call lasts x
status 0 "... does not end it" wait $lasts

"$kipc" serve fails sh -c 'echo so it is; exit 3' 2>"$tmp/fails" &
fails=$!
until_true exists fails
status 8 "a command that fails" "$kipc" call fails x
ok "... is an error of the server" says 'answered with an error.*EIO'
ok "... with what it said" is "$(out)" 'so it is'
ok "... which serve tells" grep -q 'ended with status 3' "$tmp/fails"
kill -TERM $fails
wait $fails
"$kipc" serve --exit-is-errno fails sh -c 'exit 3' 2>/dev/null &
fails=$!
until_true exists fails
status 8 "its status as an errno" "$kipc" call fails x
ok "... is that" says ESRCH
kill -TERM $fails
wait $fails
"$kipc" serve --timeout=300ms slow sh -c 'sleep 60; echo late' 2>/dev/null &
slow=$!
until_true exists slow
status 8 "a command that takes too long" "$kipc" call slow x
ok "... is ended" says ETIMEDOUT
kill -TERM $slow
wait $slow
"$kipc" serve --max-size=1K talks sh -c 'head -c 2000 /dev/zero' 2>/dev/null &
talks=$!
until_true exists talks
status 8 "a command that says too much" "$kipc" call talks x
ok "... is an error" says EMSGSIZE
kill -TERM $talks
wait $talks

# Each waits for the other to have begun
"$kipc" serve --jobs=2 both sh -c 'read name; touch "$0/$name"; while [ ! -e "$0/a" ] || [ ! -e "$0/b" ]; do sleep 0.1; done; echo met' "$tmp" &
both=$!
until_true exists both
"$kipc" call both "a
" >"$tmp/met" &
pid=$!
status 0 "two commands at the same time" "$kipc" call --deadline=60s both "b
"
ok "... meet" is "$(out)" met
wait $pid

# What was taken is answered, though serve shall end
rm -f "$tmp/a" "$tmp/b"
"$kipc" call both "a
" >"$tmp/met" &
pid=$!
until_true test -e "$tmp/a"
kill -TERM $both
sleep 0.3
touch "$tmp/b"
status 0 "a call that was taken before the signal" wait $pid
ok "... is answered" is "$(cat "$tmp/met")" met
wait $both

"$kipc" serve dies sleep 60 &
dies=$!
until_true exists dies
"$kipc" call dies x 2>"$tmp/broken" &
pid=$!
until_true member_is dies calls 1
kill -KILL $dies
status 9 "a server that dies" wait $pid
ok "... may have acted" grep -q 'may have acted.*ECONNRESET' "$tmp/broken"
"$kipc" serve dies sleep 60 &
dies=$!
until_true exists dies
status 9 "a server that does not answer in time" "$kipc" call --deadline=3s dies x
kill -KILL $dies
killall sleep
status 5 "nobody to answer" "$kipc" call --deadline=200ms q x
"$kipc" mk --oneway oneway >/dev/null
status 1 "an endpoint that takes no calls" "$kipc" call oneway x
ok "... says what it takes" says 'kipc send'

finish
