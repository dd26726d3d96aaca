# SPDX-License-Identifier: GPL-2.0-or-later
#
# Makes flags.h from uapi/linux/kipc.h: every flag there is, by the operation it
# belongs to, as the second part of its name tells. Those without one are of messages.
/^#define[ \t]+KIPC_[A-Z_]+[ \t]+\(1U << / {
	name = $2
	sub(/^KIPC_/, "", name)
	group = name
	sub(/_.*/, "", group)
	if (group ~ /^(RIGHT|OPEN|RESULT|ENDPOINT|SET|NOTIFY)$/)
		sub(/^[A-Z]+_/, "", name)
	else
		group = "MESSAGE"
	printf "FLAG(%s, %s, %s)\n", group, name, $2
}
