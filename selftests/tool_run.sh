#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# kipc run: programs of queues on kipc's, and what --check tells of them.
#
# shellcheck disable=SC2317,SC2154 # functions are called through ok; common.sh sets the names
# shellcheck disable=SC2016 # what is for other shells, and for the dynamic linker
. ./common.sh

sysv=libkipc-sysv.so posix=libkipc-posixmq.so

# give DIRECTORY SUFFIX: the libraries under the names that they are installed under
give()
{
	mkdir -p "$1"
	cp "libkipc-sysv$2.so" "$1/$sysv"
	cp "libkipc-posixmq$2.so" "$1/$posix"
}

# What $LIB is depends on who built the dynamic linker
give "$tmp/lib/x86_64-linux-gnu" ""
give "$tmp/lib32" -32
give "$tmp/lib/i386-linux-gnu" -32
both=$tmp/'$LIB'
only64=$tmp/lib/x86_64-linux-gnu
chmod 0666 /dev/kipc

run()
{
	"$kipc" run --libdir="$both" "$@"
}

# check PROGRAM...: what it would say of those
check()
{
	run --check "$@"
}

# A queue of the kernel's own
native()
{
	awk -v id="$1" 'NR > 1 && $2 == id { found = 1 } END { exit !found }' /proc/sysvipc/msg
}

is_kipcs()
{
	exists "id:$1" && ! native "$1"
}

is_native()
{
	native "$1" && ! exists "id:$1"
}

one_line()
{
	is "$(wc -l <"$tmp/err")" 1
}

# --- the command line and the exit status

status 2 "without a program" "$kipc" run
status 2 "a directory of libraries that does not exist" "$kipc" run --libdir="$tmp/nonsense" true
status 2 "one that LD_PRELOAD cannot name" "$kipc" run --libdir="$tmp:$tmp" true
status 2 "one with a token that is not absolute" "$kipc" run --libdir='$LIB' true
status 127 "a program that does not exist" run nonsense
ok "... is told" says 'nonsense: No such file or directory'
status 127 "... also by its path" run "$tmp/nonsense"
echo 'exit 0' >"$tmp/text"
status 126 "a file that may not be executed" run "$tmp/text"
ok "... is told" says 'Permission denied'
status 126 "a directory" run "$tmp"
mkdir "$tmp/path"
cp "$tmp/text" "$tmp/path/denied"
status 126 "one of PATH that may not be executed" env PATH="$tmp/path:$PATH" \
	"$kipc" run --libdir="$both" denied
printf '#!%s\n' "$tmp/nonsense" >"$tmp/orphan"
chmod 755 "$tmp/orphan"
status 127 "a script whose interpreter does not exist" run "$tmp/orphan"
status 7 "the program's own status" run -- sh -c 'exit 7'
status 0 "what looks like an option behind the program" run sh -c 'echo "$@"' sh --check -s
ok "... is the program's" is "$(out)" "--check -s"
status 143 "a program that a signal ends" sh -c '"$@"; exit $?' sh "$kipc" run --libdir="$both" \
	sh -c 'kill $$'
status 141 "SIGPIPE is what it was" run sh -c 'kill -s PIPE $$; exit 3'
status 3 "... also when it was ignored" sh -c 'trap "" PIPE; exec "$@"' sh "$kipc" run \
	--libdir="$both" sh -c 'kill -s PIPE $$; exit 3'

# --- what the program gets

preload()
{
	"$kipc" run "$@" sh -c 'echo "$LD_PRELOAD"' 2>/dev/null
}

ok "both libraries, by their names" is "$(preload)" $sysv:$posix
ok "one of them" is "$(preload --sysv)" $sysv
ok "the other" is "$(preload --posix)" $posix
ok "both options" is "$(preload --posix --sysv)" $sysv:$posix
ok "before what is there" is "$(LD_PRELOAD=libc.so.6:libm.so.6 preload)" \
	$sysv:$posix:libc.so.6:libm.so.6
ok "an empty one is none" is "$(LD_PRELOAD='' preload)" $sysv:$posix
ok "from a directory, whose name is made absolute" is "$(cd "$tmp" && preload --libdir=lib32)" \
	"$tmp/lib32/$sysv:$tmp/lib32/$posix"

for bits in 64 32; do
	program=./helper-queue
	[ $bits = 64 ] || program=./helper-queue-32
	status 0 "a System V queue, $bits bits" run $program sysv
	ok "... is kipc's" is_kipcs "$(out)"
	ok "... and nothing is said" is "$(cat "$tmp/err")" ""
	status 0 "a POSIX queue" run $program posix /run-$bits
	ok "... is kipc's" exists /run-$bits
	status 0 "with --posix a System V queue" run --posix $program sysv
	ok "... is the kernel's" is_native "$(out)"
	status 0 "with --sysv a POSIX queue" run --sysv $program posix /run-sysv-$bits
	status 3 "... is not kipc's" "$kipc" stat /run-sysv-$bits
	ok "... but the kernel's" ./helper-queue unlink /run-sysv-$bits
	status 0 "with --sysv a System V queue" run --sysv $program sysv
	ok "... is kipc's" is_kipcs "$(out)"
done
status 0 "what the program runs in turn" run sh -c './helper-queue sysv; ./helper-queue-32 sysv'
ok "... has kipc's" is_kipcs "$(head -n 1 "$tmp/out")"
ok "... with 32 bits too" is_kipcs "$(tail -n 1 "$tmp/out")"
ok "... and nothing is said" is "$(cat "$tmp/err")" ""

# --- installed libraries

status 12 "no library is installed" "$kipc" run --check ./helper-queue
ok "... says so" prints "^obstacle  *there is no $sysv for 64-bit x86-64 programs"
status 0 "... the program runs" "$kipc" run --sysv ./helper-queue sysv
ok "... on the kernel's" is_native "$(out)"
ok "... which is said" says "^kipc run: ./helper-queue: not kipc's queues, .*there is no $sysv"
# Without a cache of ldconfig's the dynamic linkers look there, and skip the other's
give /usr/lib/x86_64-linux-gnu ""
give /usr/lib -32
for program in ./helper-queue ./helper-queue-32; do
	status 0 "installed libraries are found: $program --check" "$kipc" run --check $program
	status 0 "... and loaded" "$kipc" run $program sysv
	ok "... so that its queue is kipc's" is_kipcs "$(out)"
	ok "... and nothing is said" is "$(cat "$tmp/err")" ""
done
for directory in /usr/lib/x86_64-linux-gnu /usr/lib; do
	rm "$directory/$sysv" "$directory/$posix"
done
status 0 "LD_LIBRARY_PATH is looked in" env LD_LIBRARY_PATH="/nonsense:$tmp/lib32:$only64" \
	"$kipc" run --check ./helper-queue
ok "... for what fits" prints "^library  *$only64/$sysv$"

# --- no device

chmod 0600 /dev/kipc
status 0 "a user who may not open the device" as kipc-a "$kipc" run --libdir="$both" \
	./helper-queue sysv
ok "... gets the kernel's queues" is_native "$(out)"
ok "... and is told in one line" one_line
ok "... what to do" says "^kipc run: ./helper-queue: not kipc's queues, .*'kipc status' says who"
chmod 0666 /dev/kipc
mv /dev/kipc /dev/kipc-away
status 0 "no device" run ./helper-queue sysv
mv /dev/kipc-away /dev/kipc
ok "... gives the kernel's queues" is_native "$(out)"
ok "... is told in one line" one_line
ok "... and what to do" says "^kipc run: ./helper-queue: not kipc's queues, .*'kipc load'"

# --- what can be served

status 0 "a program of queues" check ./helper-queue
ok "... for a processor" prints '^program  *./helper-queue, 64-bit x86-64$'
ok "... with a dynamic linker" prints '^linker  */.*/ld-linux-x86-64.so.2$'
ok "... gets this library" prints "^library  *$only64/$sysv$"
ok "... and this" prints "^library  *$only64/$posix$"
ok "... calls these functions" prints '^calls  .*msgget.* (System V), by ./helper-queue$'
ok "... and these" prints '^calls  .*mq_open.* (POSIX), by ./helper-queue$'
ok "... and what cannot be seen" prints '^unseen  *system calls that it makes itself'
ok "... so it can be served" is "$(tail -n 1 "$tmp/out")" "result      it can be served"
status 0 "one with 32 bits" check ./helper-queue-32
ok "... says so" prints '^program  *./helper-queue-32, 32-bit x86$'
ok "... gets its own library" prints "^library  *$tmp/lib.*32.*/$sysv$"
status 0 "one that needs a library with queues" check ./helper-linked sysv
ok "... names that" prints '^calls  .*msgget.* (System V), by .*/helper-queue.so$'
mkdir "$tmp/lost"
cp helper-linked "$tmp/lost/"
status 11 "... which is not found" check "$tmp/lost/helper-linked"
ok "... is told" prints '^unseen  *helper-queue.so, which .*/helper-linked needs, is not found$'
status 0 "all the functions of System V" check --sysv ./dropin_sysv
ok "... once" is "$(sed -n 's/^calls  *\(.*\) (System V).*/\1/p' "$tmp/out" | tr -d , | tr ' ' '\n' |
	sort | tr '\n' ' ')" "msgctl msgget msgrcv msgsnd "
ok "... and none of POSIX" is "$(grep -c POSIX "$tmp/out")" 0
status 11 "a program without queues" check ./helper-json
ok "... says so" prints '^result  *it can be served, but no use of queues is seen$'
status 11 "a program of POSIX queues with --sysv" check --sysv ./dropin_posixmq
status 127 "a program that does not exist" check nonsense
status 127 "a script whose interpreter does not exist" check "$tmp/orphan"
status 126 "one that may not be executed" check "$tmp/text"

printf '#! %s -x\n' "$here/helper-queue" >"$tmp/script"
printf '#!%s\n' "$tmp/script" >"$tmp/outer"
printf '#!/usr/bin/env -S A=1 helper-queue -x\n' >"$tmp/env"
printf '#!%s\n' "$tmp/loop" >"$tmp/loop"
chmod 755 "$tmp/script" "$tmp/outer" "$tmp/env" "$tmp/loop" "$tmp/text"
status 0 "a script" check "$tmp/script"
ok "... is run by" prints "^script  *$tmp/script, which $here/helper-queue runs$"
status 0 "a script that a script runs" check "$tmp/outer"
ok "... is followed" is "$(grep -c ^script "$tmp/out")" 2
status 0 "one that env runs" env PATH="$here:$PATH" "$kipc" run --libdir="$both" --check "$tmp/env"
ok "... is followed too" prints "^script  *$tmp/env, which $here/helper-queue runs$"
status 12 "one that runs itself" check "$tmp/loop"
status 12 "a text" check "$tmp/text"
ok "... is no program" prints '^obstacle .*neither an ELF file nor a script'

# --- what cannot

status 12 "a static program" check /bin/busybox
ok "... says so" prints '^obstacle .*/busybox is statically linked'
ok "... at the end too" is "$(tail -n 1 "$tmp/out")" "result      it cannot be served"
status 0 "... is run" run /bin/busybox true
ok "... after one line" one_line
ok "... that says why" says "^kipc run: /bin/busybox: not kipc's queues, .*statically linked"
status 12 "a static program with 32 bits" check ./compat32
status 12 "no library with 32 bits" "$kipc" run --libdir="$only64" --check ./helper-queue-32
ok "... is told" prints "^obstacle  *there is no $only64/$sysv for 32-bit x86 programs$"
status 12 "no library in a directory with a token" "$kipc" run --libdir="$tmp/none/\$LIB" --check \
	./helper-queue
sed 's|/ld-linux-x86-64|/ld-muslx-x86-64|' helper-queue >"$tmp/musl"
sed 's|/lib64/ld-linux|/lib65/ld-linux|' helper-queue >"$tmp/lacking"
head -c 300 helper-queue >"$tmp/torn"
head -c 9000 helper-queue >"$tmp/torn2"
chmod 755 "$tmp/musl" "$tmp/lacking" "$tmp/torn" "$tmp/torn2"
status 12 "another dynamic linker" check "$tmp/musl"
ok "... is told" prints "^obstacle .*/ld-muslx-x86-64.so.2, is not that of the GNU C library"
status 12 "a dynamic linker that is not there" check "$tmp/lacking"
ok "... is told" prints "^obstacle .*/lib65/ld-linux-x86-64.so.2: No such file"
status 12 "a torn file" check "$tmp/torn"
status 11 "one without its tables" check "$tmp/torn2"
ok "... is told" prints "^unseen  *$tmp/torn2 does not tell what it calls$"

# privileged NAME: as kipc-a it is told of, and run on the kernel's queues
privileged()
{
	status 12 "$1, for another user" as kipc-a "$kipc" run --libdir="$both" --check "$tmp/privileged"
	ok "... is told" prints "^obstacle  *$tmp/privileged is .*$1.*ignores LD_PRELOAD"
	status 0 "... is run" as kipc-a "$kipc" run --libdir="$both" "$tmp/privileged" sysv
	ok "... on the kernel's" is_native "$(out)"
	ok "... after one line" one_line
}

unprivileged()
{
	status 0 "$1" as "$2" "$kipc" run --libdir="$both" --check "$tmp/privileged"
	status 0 "... is run" as "$2" "$kipc" run --libdir="$both" "$tmp/privileged" sysv
	ok "... on kipc's" is_kipcs "$(out)"
}

cp helper-queue "$tmp/privileged"
chmod 755 "$tmp/privileged"
unprivileged "a program without privileges" kipc-a
chown kipc-b "$tmp/privileged"
chmod 4755 "$tmp/privileged"
privileged setuid
unprivileged "a setuid program of one's own" kipc-b
chown root:kipc-b "$tmp/privileged"
chmod 2755 "$tmp/privileged"
privileged setgid
unprivileged "a setgid program of one's own group" kipc-b
chown root:root "$tmp/privileged"
chmod 755 "$tmp/privileged"
ok "capabilities" setcap cap_net_raw+ep "$tmp/privileged"
privileged capabilities
unprivileged "a program with capabilities, for root" root
setcap -r "$tmp/privileged"
chmod 711 "$tmp/privileged"
status 4 "one that may not be read" as kipc-a "$kipc" run --libdir="$both" --check "$tmp/privileged"
status 0 "... is run" as kipc-a "$kipc" run --libdir="$both" "$tmp/privileged" sysv
ok "... on kipc's" is_kipcs "$(out)"

# The kernel's own that were made above
awk 'NR > 1 { print $2 }' /proc/sysvipc/msg | while read -r id; do
	./helper-queue remove "$id"
done
finish
