#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# texts.sh: lists files of this machine with text for the demo, one per line,
# in the same order on every run.
# texts.sh DIRECTORY: copies them there, each under a name of its own.
#
# The files come with Debian's base and with the packages in scripts/packages;
# what a machine lacks is left out, but a minimum there must be.
set -eu
LC_ALL=C
export LC_ALL

most=1500000	# bytes
least=300000

candidates()
{
	find /usr/share/common-licenses -type f | sort
	for package in base-files bash binutils coreutils cpio dash debianutils \
		diffutils dpkg e2fsprogs findutils gcc-12-base gpgv grep gzip \
		kmod libacl1 libbz2-1.0 libc6 libdb5.3 libgcrypt20 libgmp10 \
		libpam-runtime libpcre2-8-0 libsystemd0 libxxhash0 libzstd1 \
		linux-source-6.1 login make mandoc mount ncurses-base passwd \
		perl-base qemu-system-common rsync sed tar util-linux xz-utils \
		zlib1g; do
		echo "/usr/share/doc/$package/copyright"
	done
	find /usr/share/perl -name '*.pod' -size +8k -type f 2>/dev/null | sort
}

list()
{
	total=0
	for file in $(candidates); do
		[ -f "$file" ] || continue
		size=$(wc -c <"$file")
		[ $((total + size)) -le "$most" ] || continue
		total=$((total + size))
		echo "$file"
	done
	if [ "$total" -lt "$least" ]; then
		echo "texts.sh: only $total bytes of text found on this machine" >&2
		return 1
	fi
}

# What to call a copy: no two alike, no colon (grep's separator)
name()
{
	case $1 in
	/usr/share/common-licenses/*) echo "license-${1##*/}" ;;
	/usr/share/doc/*/copyright)
		package=${1%/copyright}
		echo "copyright-${package##*/}" ;;
	*) echo "${1#/usr/share/}" | tr '/:' '--' ;;
	esac
}

if [ $# = 0 ]; then
	list
	exit
fi

files=$(list)
rm -rf "$1"
mkdir -p "$1"
for file in $files; do
	cp -L "$file" "$1/$(name "$file")"
	chmod 0644 "$1/$(name "$file")"
done
