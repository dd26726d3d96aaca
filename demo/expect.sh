#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# expect.sh DIRECTORY WORDS TABLE: asks GNU grep about each word in the file
# WORDS and writes what it says about the texts in DIRECTORY to TABLE, in the
# form that expect.c reads.
set -eu
# Words are ASCII, bytes are bytes; files in the order of their bytes.
LC_ALL=C
export LC_ALL

texts=$1 words=$2 table=$3

# By its path, for busybox's shell would rather run its own.
grep=/usr/bin/grep
case $("$grep" --version 2>/dev/null) in
*"GNU grep"*) ;;
*)
	echo "expect.sh: $grep is not GNU grep" >&2
	exit 1
	;;
esac

# Every second word, from the first or the second on
ask()
{
	(
		cd "$texts"
		awk "NR % 2 == $1" | while read -r word; do
			echo "=$word"
			# 1: no such word anywhere
			"$grep" -a -n -w -F -H -e "$word" -- * || [ $? = 1 ] || exit 1
		done
	) <"$words" >"$table.$1"
}

ask 0 &
first=$!
ask 1 &
second=$!

total=$(wc -l <"$words")
while kill -0 "$first" 2>/dev/null || kill -0 "$second" 2>/dev/null; do
	sleep 1
	echo "  grep has looked for $(cat "$table.0" "$table.1" | "$grep" -a -c '^=') of $total words"
done
wait "$first"
wait "$second"

(cd "$texts" && printf '<%s\n' *) >"$table"
cat "$table.0" "$table.1" >>"$table"
rm "$table.0" "$table.1"
[ "$("$grep" -a -c '^=' "$table")" = "$total" ]
