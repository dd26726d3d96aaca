#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The demo, to be run as root in a test VM that has the module loaded; lies as
# "run" beside the programs and the texts. Its exit status tells whether all
# went as it must.
set -eu
cd "$(dirname "$0")"

if [ "$(id -u)" != 0 ] || [ ! -c /dev/kipc ]; then
	echo "The demo wants to be run by root, and with kipc.ko loaded." >&2
	exit 1
fi

# What a package's udev rule does: group kipc may use it.
chgrp kipc /dev/kipc
chmod 0660 /dev/kipc

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 0755 "$work"

echo "Texts: $(find texts -type f | wc -l) files, $(cat texts/* | wc -c) bytes. Asking GNU grep first what is right:"
./words texts 240 >"$work/words"
sh ./expect.sh texts "$work/words" "$work/table"

status=0
./main texts "$work/table" || status=$?
exit "$status"
