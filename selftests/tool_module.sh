#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# kipc load, unload, status: as root and as an ordinary user. At the end the module is loaded
# as it was.
#
# shellcheck disable=SC2317,SC2154 # functions are called through ok; common.sh sets the names
. ./common.sh

module=/lib/modules/kipc.ko
release=$(uname -r)
parameters=$(cd /sys/module/kipc/parameters && for name in *; do echo "$name=$(cat "$name")"; done)

parameter()
{
	cat "/sys/module/kipc/parameters/$1"
}

loaded()
{
	[ -d /sys/module/kipc ]
}

# --- loaded

status 0 "status" "$kipc" status
ok "... the module" prints '^module  *loaded (live)'
ok "... the interface" prints '^interface  *ABI '
ok "... the limits" prints '^limits  *message [0-9]* bytes'
ok "... no process" prints '^in use by  *no process'
status 0 "status in JSON" "$kipc" status --json
ok "... is JSON" is "$("$json" /loaded <"$tmp/out")" true
status 4 "status for who may not open the device" as kipc-a "$kipc" status
ok "... says so" prints 'mode 0600, root:root: you may not open it'
chmod 0666 /dev/kipc
status 0 "... and if he may" as kipc-a "$kipc" status
ok "... that only root sees all" prints 'only root sees'
status 0 "to load it again" "$kipc" load
status 6 "... with a parameter" "$kipc" load msg_max=4096
status 4 "a user may not unload it" as kipc-a "$kipc" unload

# --- in use

"$kipc" recv --create held >/dev/null 2>&1 &
pid=$!
until_true "$kipc" stat held
"$kipc" mk --mode=600 lasting >/dev/null
status 0 "status while it is used" "$kipc" status
ok "... by whom" prints "^in use by  *kipc $pid (root)"
status 10 "unload while it is used" "$kipc" unload
ok "... by a process" says "process $pid (kipc) of root: [01] device files*, 1 handle$"
ok "... and an endpoint" says '1 endpoint that lives until removed'
ok "... it stays" loaded
status 10 "... though it waits" "$kipc" unload --deadline=300ms
"$kipc" rm lasting
LD_PRELOAD=$PWD/libkipc-posixmq.so ./helper-queue hold /held-queue &
queue=$!
until_true "$kipc" stat /held-queue
status 10 "unload while a POSIX queue is open" "$kipc" unload
ok "... by whom" says "process $queue (helper-queue) of root: 1 device file, 1 handle$"
kill $queue
LD_PRELOAD=$PWD/libkipc-posixmq.so ./helper-queue unlink /held-queue
{
	sleep 1
	"$kipc" rm held
} &
status 0 "until nobody uses it" "$kipc" unload --deadline=30s
ok "... it has gone" test ! -e /sys/module/kipc
wait

# --- not loaded

status 0 "unload what is not loaded" "$kipc" unload
status 10 "status then" "$kipc" status
ok "... says what to do" prints "^module  *not loaded: 'kipc load'"
for command in "ls" "stat x" "mk x" "set --mode=600 x" "rm x" "send x y" "recv x" "call x y" \
	"serve x true" "monitor" "top --batch"; do
	# shellcheck disable=SC2086 # words
	status 10 "kipc $command then" "$kipc" $command
	ok "... says what to do" says "'kipc load'"
done
status 4 "a user may not load it" as kipc-a "$kipc" load --module=$module
ok "... which is explained" says 'only root'

# --- what can be wrong with it

mv "/lib/modules/$release" "/lib/modules/$release.away" 2>/dev/null
status 10 "none for this kernel" "$kipc" load
ok "... says what to do" says "no module for the running kernel, $release"
status 10 "a file that does not exist" "$kipc" load --module="$tmp/nonsense.ko"
echo nonsense >"$tmp/kipc.ko"
status 10 "a file that is no module" "$kipc" load --module="$tmp/kipc.ko"
ok "... says so" says 'not a kernel module'
# Kernels with versions of symbols do not look at the release, only at what comes after it
other=$(echo "$release" | sed 's/[0-9]/9/g')
sed "s/vermagic=$release SMP/vermagic=$other XXX/" $module >"$tmp/kipc.ko"
status 10 "one for another kernel" "$kipc" load --module="$tmp/kipc.ko"
ok "... says for which" says "built for kernel $other, and this is $release"
status 2 "a parameter that it does not know" "$kipc" load --module=$module nonsense=1
ok "... is named" says "no parameter 'nonsense'"
status 2 "a parameter without a value" "$kipc" load --module=$module msg_max
status 10 "a value that is refused" "$kipc" load --module=$module msg_max=many
ok "... says so" says 'refuses the value'
ok "nothing was loaded" test ! -e /sys/module/kipc

# --- loading

status 0 "a file, with a parameter" "$kipc" load --module=$module msg_max=12288
ok "... is loaded" loaded
ok "... with it" is "$(parameter msg_max)" 12288
status 0 "unload" "$kipc" unload
mkdir -p "/lib/modules/$release/updates"
sed "s/vermagic=$release SMP/vermagic=$other XXX/" $module >"/lib/modules/$release/updates/kipc.ko"
/usr/sbin/depmod "$release"
status 10 "the installed one is for another kernel" "$kipc" load
ok "... says for which" says "built for kernel $other"
"$kipc" status >"$tmp/out"
ok "... status, too" prints "^installed .*that is for kernel $other"
cp $module "/lib/modules/$release/updates/kipc.ko"
/usr/sbin/depmod "$release"
mkdir -p /etc/modprobe.d
echo 'options kipc waiters_max=77' >/etc/modprobe.d/kipc.conf
status 0 "the installed one" "$kipc" load msg_max=16384
ok "... with the parameter given" is "$(parameter msg_max)" 16384
ok "... and the one of modprobe.d" is "$(parameter waiters_max)" 77
"$kipc" status >"$tmp/out"
ok "... status shows which" prints "^installed  */lib/modules/$release/updates/kipc.ko$"
status 0 "unload" "$kipc" unload
rm -r "/lib/modules/$release" /etc/modprobe.d/kipc.conf
[ ! -d "/lib/modules/$release.away" ] || mv "/lib/modules/$release.away" "/lib/modules/$release"

# --- as it was
# shellcheck disable=SC2086 # words
status 0 "with the parameters it had" "$kipc" load --module=$module $parameters
loaded || insmod $module

finish
