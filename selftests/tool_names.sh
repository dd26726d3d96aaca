#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# kipc names: with a naming service and without.
#
# shellcheck disable=SC2317,SC2154 # functions are called through ok; common.sh sets the names
. ./common.sh

chmod 0666 /dev/kipc
status 2 "--look-up without a name" "$kipc" names --look-up
status 2 "--watch without a name" "$kipc" names --watch
status 2 "both" "$kipc" names --look-up --watch a
status 2 "two names" "$kipc" names a b
status 2 "a list that waits" "$kipc" names --deadline=1s
status 2 "a number of changes of a list" "$kipc" names --count=2
status 3 "without a naming service" "$kipc" names
ok "... is told what to do" says "kipc-named(8)"
status 3 "to look up" "$kipc" names --look-up a
status 3 "to watch" "$kipc" names --watch a

mkdir "$tmp/policy"
cat >"$tmp/policy/a.conf" <<'END'
own      org.example.*         user:kipc-a
look-up  org.example.*         any
look-up  org.example.secret.*  user:kipc-a
END
"$here/kipc-named" --policy="$tmp/policy" &
named=$!
status 0 "an empty list" until_true "$kipc" names
"$kipc" names >"$tmp/out"
ok "... is a heading" prints '^NAME  *OWNER  *ENDPOINT$'
ok "... and nothing else" is "$(wc -l <"$tmp/out")" 1
status 3 "a name that is not registered" "$kipc" names --look-up org.example.echo
ok "... is told what to do" says "deadline=TIME"
status 5 "waiting for it in vain" "$kipc" names --look-up --deadline=200ms org.example.echo
status 1 "what is no name" "$kipc" names --look-up org..example
ok "... is told what one is" says "words of letters"
status 4 "what the policy forbids" as kipc-b "$kipc" names --look-up org.other
ok "... names the policy" says "kipc-named.conf(5)"

# server NAME: $! is it, not a shell's
server()
{
	/usr/bin/setpriv --reuid=kipc-a --regid=kipc-a --init-groups \
		examples/named_echo "$1" >/dev/null &
}

registered()
{
	grep -qx "$1" "$tmp/watched"
}

"$kipc" names --watch --count=3 org.example.echo >"$tmp/watched" &
watcher=$!
ok "a watch tells at once what there is" until_true registered "not registered"
"$kipc" names --look-up --deadline=1min org.example.echo >"$tmp/waited" &
waiter=$!
server org.example.echo
server=$!
ok "who waits for a name is told" wait $waiter
ok "... and when it is registered" until_true registered registered
status 0 "looking it up" as kipc-b "$kipc" names --look-up org.example.echo
ok "... prints an address" prints '^id:[1-9][0-9]*$'
ok "... which the one who waited got too" cmp "$tmp/out" "$tmp/waited"
address=$(out)
status 0 "the list" as kipc-b "$kipc" names
ok "... has it" prints "^org.example.echo  *kipc-a  *${address#id:}$"
server org.example.secret.a
secret=$!
ok "one that few may look up" until_true "$kipc" names --look-up org.example.secret.a
status 0 "the list in JSON" "$kipc" names --json
ok "... has both" is "$("$json" '#' <"$tmp/out")" 2
ok "... by name" is "$("$json" /1/name <"$tmp/out")" org.example.secret.a
ok "... and owner" is "$("$json" /0/owner <"$tmp/out")" kipc-a
status 0 "another user's list" as kipc-b "$kipc" names --json
ok "... has one" is "$("$json" '#' <"$tmp/out")" 1
status 0 "what begins so" "$kipc" names --noheadings --output=NAME org.example.s
ok "... is one line" is "$(out)" org.example.secret.a
kill $server $secret
ok "a watch ends after so many changes" wait $watcher
ok "... of which the last is the end" is "$(tail -n 1 "$tmp/watched")" "not registered"
status 0 "a watch in JSON" "$kipc" names --watch --count=1 --json org.example.echo
ok "... tells the name" is "$("$json" /name <"$tmp/out")" org.example.echo
kill $named
wait
finish
