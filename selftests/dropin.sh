# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
#
# Runs a program of queues twice: on the kernel's own queues, which shows that the test is
# right, and with the drop-in library before the C library on kipc's. Both must pass every
# case, and both must have the same cases. A third time there is no device: the library then
# leaves everything to the C library. All that for each way in which the program was built:
# PROGRAM with 64 bits, PROGRAM-32 with 32, PROGRAM-32t64 with 32 and 64-bit times. On the
# kernels of the debug tier, which look for mistakes in the module and take their time, it runs
# on kipc's only: what is native there is no other than with Debian's kernel.
#
# Read in by dropin_*.sh, which then calls: dropin NAME (of libkipc-NAME.so) PROGRAM

number=0
failed=0

# result OUTCOME NAME
result()
{
	number=$((number + 1))
	if [ "$1" = 0 ]; then
		echo "ok $number $2"
	else
		echo "not ok $number $2"
		failed=1
	fi
}

# under LABEL LIBRARY PROGRAM: its cases count with the label; their names go to the file LABEL
under()
{
	label=$1
	out=$tmp/out

	# A program that it cannot be loaded into would run all the same: by DROPIN it knows
	# whose queues it should see.
	env DROPIN="${label% *}" ${2:+LD_PRELOAD="$2"} "./$3" >"$out" 2>&1
	status=$?
	: >"$tmp/$label"
	while IFS= read -r line; do
		case $line in
		"ok "* | "not ok "*)
			case $line in
			"not ok "*) outcome=1 ;;
			*"# SKIP"*) outcome=1 ;;
			*) outcome=0 ;;
			esac
			name=${line#*ok }
			name=${name#* }
			result $outcome "$label: $name"
			echo "$outcome $name" >>"$tmp/$label"
			;;
		"TAP version"* | 1..*) ;;
		"#"*) echo "$line" ;;
		*) echo "# $line" ;;
		esac
	done <"$out"
	grep -q . "$tmp/$label" && [ "$status" = 0 ]
	result $? "$label: ends as a program whose cases all passed"
}

dropin()
{
	tmp=$(mktemp -d /tmp/dropin.XXXXXX)
	chmod 0666 /dev/kipc
	case $(uname -r) in
	*-kipc-*) compare=false ;;
	*) compare=true ;;
	esac
	echo "TAP version 13"
	for variant in "" -32 -32t64; do
		bits=${variant#-}
		bits=${bits:-64}
		case $bits in
		64) library=$PWD/libkipc-$1.so ;;
		*) library=$PWD/libkipc-$1-32.so ;;
		esac
		under "kipc $bits" "$library" "$2$variant"
		$compare || continue
		under "native $bits" "" "$2$variant"
		mv /dev/kipc /dev/kipc-away
		under "no device $bits" "$library" "$2$variant"
		mv /dev/kipc-away /dev/kipc
		for other in kipc "no device"; do
			cmp "$tmp/native $bits" "$tmp/$other $bits" >/dev/null
			result $? "native and $other agree, $bits bits"
		done
	done
	echo "1..$number"
	chmod 0600 /dev/kipc
	rm -rf "$tmp"
	exit $failed
}
