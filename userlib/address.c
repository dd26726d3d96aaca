// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Addresses: a name, "key:NUMBER" or "id:NUMBER".
 */
#include "internal.h"

#include <string.h>

static int digit(char c, unsigned int base)
{
	int value;

	if (c >= '0' && c <= '9')
		value = c - '0';
	else if (c >= 'a' && c <= 'f')
		value = c - 'a' + 10;
	else if (c >= 'A' && c <= 'F')
		value = c - 'A' + 10;
	else
		return -1;
	return value < (int)base ? value : -1;
}

/*
 * All of @text, 1 to @max. strtoull(3) would take blanks, signs and octal
 * numbers, and touch errno.
 */
static int number(const char *text, uint64_t max, uint64_t *value)
{
	unsigned int base = 10;
	uint64_t sum = 0;

	if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
		base = 16;
		text += 2;
	}
	if (!*text)
		return -EINVAL;
	for (; *text; text++) {
		int next = digit(*text, base);

		if (next < 0 || sum > (max - (unsigned int)next) / base)
			return -EINVAL;
		sum = sum * base + (unsigned int)next;
	}
	if (!sum)
		return -EINVAL;
	*value = sum;
	return 0;
}

int libkipc_address(struct kipc_op_open *op, const char *address)
{
	uint64_t value;
	size_t len;
	int ret;

	if (!address)
		return 0;
	if (!strncmp(address, "key:", 4)) {
		ret = number(address + 4, UINT64_MAX, &value);
		if (!ret)
			op->key = value;
		return ret;
	}
	if (!strncmp(address, "id:", 3)) {
		ret = number(address + 3, UINT32_MAX, &value);
		if (!ret)
			op->id = (uint32_t)value;
		return ret;
	}

	len = strnlen(address, KIPC_NAME_MAX + 1);
	if (!len)
		return -EINVAL;
	if (len > KIPC_NAME_MAX)
		return -ENAMETOOLONG;
	op->name = libkipc_pointer(address);
	op->name_len = (uint32_t)len;
	return 0;
}
