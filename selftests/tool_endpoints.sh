#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# kipc ls, stat, mk, set, rm: as root and as an ordinary user.
#
# shellcheck disable=SC2317,SC2154 # functions are called through ok; common.sh sets the names
. ./common.sh

lines()
{
	wc -l <"$tmp/out" | tr -d ' '
}

# --- the command line

status 2 "no command is a wrong command line" "$kipc"
status 2 "nor is one that does not exist right" "$kipc" nonsense
ok "... which is said, and what to do" says "Try 'kipc --help'"
status 0 "--version" "$kipc" --version
ok "... is that of the tree" prints '^kipc [0-9]*\.[0-9]'
for command in ls stat mk set rm send recv call serve run names monitor top load unload status; do
	status 0 "kipc $command --help" "$kipc" "$command" --help
	status 2 "kipc $command: an option that does not exist" "$kipc" "$command" --nonsense
done
status 2 "kipc stat without an endpoint" "$kipc" stat
status 2 "kipc mk without a name" "$kipc" mk
status 2 "kipc mk with an id" "$kipc" mk id:5
status 2 "kipc mk with a wrong mode" "$kipc" mk --mode=8 x
status 2 "kipc mk with a wrong size" "$kipc" mk --max-size=many x
status 2 "kipc set without a change" "$kipc" set x
status 2 "kipc rm without an endpoint" "$kipc" rm
status 2 "kipc rm --all with an endpoint" "$kipc" rm --all x
status 2 "a key is a number" "$kipc" stat key:x
status 2 "an id is not 0" "$kipc" stat id:0
status 2 "a column that does not exist" "$kipc" ls --output=ID,NONSENSE
ok "... after a list of those that do" says 'MAX-BYTES'

# --- who may use the device

status 4 "a user without access to the device" as kipc-a "$kipc" ls
ok "... is told how to get it" says "kipc status"
chmod 0666 /dev/kipc

# --- making, looking, sorting

status 0 "an empty table" "$kipc" ls
ok "... is a heading" is "$(lines)" 1
status 0 "... and in JSON" "$kipc" ls --json
ok "... an empty array" is "$("$json" '#' <"$tmp/out")" 0
status 0 "kipc mk" "$kipc" mk --mode=640 --max-size=1K --max-msgs=10 --max-bytes=4K one
id=$(out)
ok "... prints an address" is "${id%%:*}" id
ok "... of a persistent endpoint" member_is one flags persist
ok "... with that mode" member_is one mode 0640
ok "... that size" member_is one max_size 1024
ok "... that many messages" member_is one max_msgs 10
ok "... and bytes" member_is one max_bytes 4096
status 6 "a name that is taken" "$kipc" mk one
status 0 "with a key" "$kipc" mk key:0x10
status 6 "a key that is taken" "$kipc" mk key:16
status 0 "with both" "$kipc" mk --key=17 --oneway --rendezvous two
ok "... it has the key" member_is two key 0x11
ok "... and the flags" member_is two flags persist,rendezvous,oneway
status 0 "any user may fill it" "$kipc" mk --first-come third
ok "... it has the flag" member_is third flags persist,first-come
status 0 "... and goes" "$kipc" rm third
status 6 "with a name and a key that is taken" "$kipc" mk --key=17 three
status 3 "... leaves none behind" "$kipc" stat three
status 7 "larger than the module allows" "$kipc" mk --max-size=1G huge
ok "... says what shows the limits" says "kipc status"
long=$(printf '%0256d' 0)
status 7 "a name that is too long" "$kipc" mk "$long"
for address in one "$id"; do
	status 0 "kipc stat $address" "$kipc" stat --json "$address"
	ok "... finds it" is "id:$("$json" /0/id <"$tmp/out")" "$id"
done
status 0 "kipc stat by key" "$kipc" stat key:16
ok "... finds it" prints '^key  *0x10$'
status 3 "kipc stat of a name that does not exist" "$kipc" stat nonsense
ok "... says what there is" says "kipc ls"
status 3 "... of an id" "$kipc" stat id:77
status 3 "... of a key" "$kipc" stat key:77
status 3 "one that exists and one that does not" "$kipc" stat one nonsense
ok "... shows the former" prints '^name  *one$'
ok "two of them in JSON" is "$("$kipc" stat --json one two | "$json" '#')" 2
"$kipc" send one x
status 0 "sorting by a number" "$kipc" ls --sort=-MSGS --output=NAME,MSGS --noheadings
ok "... the largest first" is "$(head -n 1 "$tmp/out" | tr -s ' ')" "one 1"
status 0 "sorting by a text" "$kipc" ls --sort=name --output=name --noheadings
ok "... what has none last" is "$(out | tr '\n' ' ')" "one two - "
status 0 "more columns" "$kipc" ls --output=+HANDLES one
ok "... besides the usual" prints 'RECEIVERS.*HANDLES'
ok "only those named" is "$(lines)" 2
status 3 "ls of one that does not exist" "$kipc" ls nonsense
status 0 "JSON with columns chosen" "$kipc" ls --json --sort=-MSGS --output=NAME,MSGS
ok "... is JSON" is "$("$json" /0/msgs <"$tmp/out")" 1
ok "... without the others" is "$("$json" /0/id <"$tmp/out")" ""
ok "looking opens nothing" member_is one handles 0

# --- what happened last

today=$(date +%Y-%m-%d)
status 0 "kipc stat of one that was sent to" "$kipc" stat one
ok "... when it was made" prints "^changed  *${today}T[0-9:]*+0000$"
ok "... when a message came" prints "^sent  *${today}T"
ok "... from a process" prints '^sender  *[1-9][0-9]*$'
ok "... nobody has received" prints '^received  *-$'
ok "... and no process" member_is one receiver null
"$kipc" recv one >/dev/null
"$kipc" send one y &
sender=$!
wait $sender
ok "the process that sent last" member_is one sender $sender
"$kipc" recv one >/dev/null &
receiver=$!
wait $receiver
ok "... and that received last" member_is one receiver $receiver
status 0 "as columns" "$kipc" ls --noheadings --output=CHANGED,SENT,RECEIVED,SENDER,RECEIVER one
ok "... each" prints "^${today}T.* ${today}T.* ${today}T.* $sender  *$receiver *$"
status 0 "of one that was never sent to" "$kipc" ls --noheadings --output=SENT,RECEIVED,SENDER,RECEIVER two
ok "... there is nothing" is "$(out | tr -d ' ')" ----
"$kipc" send one x

# --- names that are not fit for a terminal

odd=$(printf 'a\033[31mb')
status 0 "a name with an escape sequence" "$kipc" mk "$odd"
status 0 "... is listed" "$kipc" ls "$odd"
ok "... without it" prints 'a\\x1b\[31mb'
"$kipc" mk "$(printf 'c\377')" >/dev/null
status 0 "a name that is not UTF-8" "$kipc" ls --json --output=NAME "$(printf 'c\377')"
ok "... becomes JSON" is "$("$json" /0/name <"$tmp/out")" 'c\xff'

# --- colours

status 0 "on a terminal" "$pty" "$kipc" ls </dev/null
ok "... the heading is bold" prints "$(printf '\033\\[1mID\\|\033\\[1m *ID')"
status 0 "with NO_COLOR" env NO_COLOR=1 "$pty" "$kipc" ls </dev/null
ok "... it is not" is "$(grep -c "$(printf '\033')\[1m" "$tmp/out")" 0
status 0 "in a pipe" "$kipc" ls
ok "... neither" is "$(grep -c "$(printf '\033')" "$tmp/out")" 0
status 1 "output that goes nowhere" sh -c "'$kipc' ls >/dev/full"
ok "... is an error" says 'standard output'

# --- what a user sees and may do

ok "a user does not see what is closed to him" is "$(as kipc-a "$kipc" ls --noheadings | wc -l | tr -d ' ')" 0
status 4 "... and is told if he names it" as kipc-a "$kipc" stat one
status 4 "... by its id" as kipc-a "$kipc" stat "$id"
status 4 "... nor may he make a reserved name" as kipc-a "$kipc" mk sys.x
ok "... which is explained" says CAP_IPC_OWNER
status 0 "a user makes one" as kipc-a "$kipc" mk --mode=644 users
ok "... it is his" member_is users owner kipc-a
status 0 "another user sees it" as kipc-b "$kipc" stat users
status 4 "... and may not change it" as kipc-b "$kipc" set --mode=600 users
status 4 "... nor remove it" as kipc-b "$kipc" rm users
ok "... which is explained" says 'its owner'
status 0 "its owner gives it away" as kipc-a "$kipc" set --owner=kipc-b users
ok "... it is the other's" member_is users owner kipc-b
status 0 "... who gives it back" as kipc-b "$kipc" set --owner=kipc-a users
status 2 "a user that does not exist" "$kipc" set --owner=nonsense users

# --- changing

status 0 "mode, name and key at once" "$kipc" set --mode=606 --name=first --key=18 one
ok "... the old name is free" test "$("$kipc" stat one >/dev/null 2>&1; echo $?)" = 3
ok "... the mode" member_is first mode 0606
ok "... the key" member_is key:18 name first
status 6 "a name that is taken" "$kipc" set --name=two --mode=600 first
ok "... nothing has changed" member_is first mode 0606
status 0 "without key and name" "$kipc" set --no-key --no-name "$id"
ok "... it has none" member_is "$id" name null
status 0 "... and shall have none" "$kipc" set --no-key --no-name "$id"
status 0 "a name again" "$kipc" set --name=one --owner=kipc-a --group=kipc "$id"
ok "... the owner" member_is one owner kipc-a
ok "... the group" member_is one group kipc
status 0 "the capacity" "$kipc" set --max-msgs=20 one
ok "... changes where asked" member_is one max_msgs 20
ok "... and nowhere else" member_is one max_size 1024
status 3 "one that does not exist" "$kipc" set --mode=600 nonsense
status 2 "messages larger than all of them together" "$kipc" set --max-size=1G one
ok "... says what to do" says 'change both'
status 7 "a capacity beyond the limits" "$kipc" set --max-size=1G --max-bytes=1G one

# --- removing

status 0 "by name" "$kipc" rm two
status 3 "... it is gone" "$kipc" rm two
status 0 "... which can be no error" "$kipc" rm --force two
status 0 "by key" "$kipc" rm key:16
status 0 "by id" "$kipc" rm "$id"
echo n >"$tmp/no"
echo y >"$tmp/yes"
"$kipc" mk roots >/dev/null
status 1 "--all asks" "$kipc" rm --all <"$tmp/no"
ok "... how many there are" says 'Remove 4 endpoints'
ok "... and no is no" exists roots
status 1 "no answer is no, too" "$kipc" rm --all </dev/null
status 0 "a user's --all" as kipc-a "$kipc" rm --all <"$tmp/yes"
ok "... is of his own" exists roots
ok "... and they are gone" test "$("$kipc" stat users >/dev/null 2>&1; echo $?)" = 3
status 0 "root's --all --force" "$kipc" rm --all --force
ok "... leaves nothing" is "$("$kipc" ls --noheadings | wc -l | tr -d ' ')" 0

finish
