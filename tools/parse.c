// SPDX-License-Identifier: GPL-2.0-or-later
/* Arguments. What is malformed ends the program as a wrong command line. */
#include <ctype.h>
#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <math.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tool.h"

#define NS_PER_S	1000000000
#define NS_PER_MS	1000000

/* strtoull(3) without blanks, signs and octal numbers; *@end is behind the digits */
static bool digits(const char *text, uint64_t *value, char **end)
{
	bool hex = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');

	if (hex ? !isxdigit((unsigned char)text[2]) : !isdigit((unsigned char)text[0]))
		return false;
	errno = 0;
	*value = strtoull(text, end, hex ? 16 : 10);
	return !errno;
}

uint64_t parse_number(const char *what, const char *text, uint64_t max)
{
	uint64_t value;
	char *end;

	if (!digits(text, &value, &end) || *end || value > max)
		die_usage("%s is a number from 0 to %llu, decimal or after 0x, not '%s'", what,
			  (unsigned long long)max, text);
	return value;
}

uint64_t parse_size(const char *what, const char *text, uint64_t max)
{
	static const char units[] = "KMG";
	unsigned int shift = 0;
	uint64_t value;
	char *end;

	if (digits(text, &value, &end)) {
		const char *unit = *end ? strchr(units, toupper((unsigned char)*end)) : NULL;

		if (unit) {
			shift = 10 * (unsigned int)(unit - units + 1);
			end++;
		}
		if (!*end && value <= max >> shift)
			return value << shift;
	}
	die_usage("%s is a number of bytes, perhaps with K, M or G, not '%s'", what, text);
}

int parse_duration(const char *what, const char *text)
{
	static const struct {
		const char *unit;
		double factor;
	} units[] = {
		{ "", 1e3 }, { "s", 1e3 }, { "ms", 1 }, { "min", 60e3 }, { "h", 3600e3 },
	};
	double value;
	char *end;

	if (isdigit((unsigned char)text[0]) || text[0] == '.') {
		value = strtod(text, &end);
		for (size_t i = 0; i < COUNT(units); i++) {
			if (strcmp(end, units[i].unit))
				continue;
			value = ceil(value * units[i].factor);
			if (value <= INT_MAX)
				return (int)value;
		}
	}
	die_usage("%s is a time like 500ms, 2.5s, 10min or 1h, not '%s'", what, text);
}

unsigned int parse_mode(const char *text)
{
	unsigned long mode = 01000;
	char *end = NULL;

	if (text[0] >= '0' && text[0] <= '7')
		mode = strtoul(text, &end, 8);
	if (!end || *end || mode > 0777)
		die_usage("a mode is octal, 0 to 777, not '%s'", text);
	return (unsigned int)mode;
}

static bool parse_id(const char *text, uint32_t *id)
{
	uint64_t value;
	char *end;

	if (!digits(text, &value, &end) || *end || value >= KIPC_ID_UNMAPPED)
		return false;
	*id = (uint32_t)value;
	return true;
}

uid_t parse_user(const char *text)
{
	const struct passwd *user = getpwnam(text);
	uint32_t id;

	if (user)
		return user->pw_uid;
	if (!parse_id(text, &id))
		die_usage("there is no user '%s'", text);
	return id;
}

gid_t parse_group(const char *text)
{
	const struct group *group = getgrnam(text);
	uint32_t id;

	if (group)
		return group->gr_gid;
	if (!parse_id(text, &id))
		die_usage("there is no group '%s'", text);
	return id;
}

const char *user_name(uid_t uid)
{
	static char number[16];
	const struct passwd *user;

	if (uid == KIPC_ID_UNMAPPED)
		return "?";
	user = getpwuid(uid);
	if (user)
		return user->pw_name;
	snprintf(number, sizeof(number), "%u", uid);
	return number;
}

const char *group_name(gid_t gid)
{
	static char number[16];
	const struct group *group;

	if (gid == KIPC_ID_UNMAPPED)
		return "?";
	group = getgrgid(gid);
	if (group)
		return group->gr_name;
	snprintf(number, sizeof(number), "%u", gid);
	return number;
}

void check_address(const char *text)
{
	if (!strncmp(text, "key:", 4)) {
		if (!parse_number("a key", text + 4, UINT64_MAX))
			die_usage("a key is not 0");
	} else if (!strncmp(text, "id:", 3)) {
		if (!parse_number("an id", text + 3, INT32_MAX))
			die_usage("an id is not 0");
	} else if (!*text) {
		die_usage("the name of an endpoint has at least one byte");
	} else if (strlen(text) > KIPC_NAME_MAX) {
		die(EXIT_LIMIT, "the name of an endpoint has at most %d bytes", KIPC_NAME_MAX);
	}
}

int64_t monotonic_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec;
}

void pause_ms(int ms)
{
	const struct timespec time = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000L * NS_PER_MS };

	nanosleep(&time, NULL);
}

/* "@SECONDS" is a time of day, as date +%s shows it */
static int until(const char *text)
{
	struct timespec now;
	double left;
	char *end;

	if (!isdigit((unsigned char)text[0]))
		die_usage("a time of day is @ and seconds since 1970, not '@%s'", text);
	left = strtod(text, &end);
	if (*end)
		die_usage("a time of day is @ and seconds since 1970, not '@%s'", text);
	clock_gettime(CLOCK_REALTIME, &now);
	left = ceil((left - (double)now.tv_sec) * 1e3 - (double)now.tv_nsec / NS_PER_MS);
	/* What has passed is tried once */
	if (left < 1)
		left = 1;
	return left > INT_MAX ? INT_MAX : (int)left;
}

void parse_deadline(const char *text, struct deadline *deadline)
{
	int ms;

	if (!strcmp(text, "never")) {
		deadline->set = false;
		return;
	}
	ms = *text == '@' ? until(text + 1) : parse_duration("a deadline", text);
	deadline->set = true;
	deadline->never_wait = !ms;
	deadline->end = monotonic_ns() + (int64_t)ms * NS_PER_MS;
}

int milliseconds_left(const struct deadline *deadline)
{
	int64_t left;

	if (!deadline->set)
		return -1;
	if (deadline->never_wait)
		return 0;
	left = (deadline->end - monotonic_ns() + NS_PER_MS - 1) / NS_PER_MS;
	/* 0 would forbid to wait: that is another error than time that has passed */
	return left < 1 ? 1 : (int)left;
}
